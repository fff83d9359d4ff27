"""Functions cut out of modules: what comes along, what LLVM makes of it, and what their hashes depend on."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_compiler.corpus import extraction
from llm_compiler.corpus.canonical import canonical_hash, shapes, shingles
from llm_compiler.corpus.duplicates import MIN_SHINGLES, numbers, resemblance, signature
from llm_compiler.corpus.extraction import Extracted
from llm_compiler.corpus.functions import text_of
from llm_compiler.corpus.moduletext import ModuleText
from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context
from support import bitcode_of, unoptimised

MODULE = """
source_filename = "some/where.c"
target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"

%struct.node = type { %struct.pair, ptr, i32 }
%struct.pair = type { i16, i64 }
%struct.unused = type { i8 }
%"class.odd name.7" = type { %struct.pair }

$shared = comdat any
$other = comdat any

@.str.4 = private unnamed_addr constant [10 x i8] c"%d #7 !2\\0A\\00", align 1
@.str.9 = private unnamed_addr constant [4 x i8] c"end\\00", align 1
@table = internal constant [4 x ptr] [ptr @.str.9, ptr @helper, ptr null, ptr null], align 16
@big = internal constant [600 x i32] zeroinitializer, align 16
@counter = internal global i32 7, section "odd, align 3", align 4
@exported = global [2 x i64] [i64 1, i64 2], align 16, !type !8
@tls = internal thread_local(localexec) global i32 0, align 4
@weak = linkonce_odr hidden constant i32 3, comdat($other), align 4
@also = alias i32 (i32), ptr @helper
@unused = internal constant i32 1

define internal fastcc i32 @helper(i32 noundef %x) unnamed_addr #1 !prof !5 {
entry:
  ret i32 %x
}

; Function Attrs: nounwind
define linkonce_odr signext i32 @work(ptr noundef %list, i32 %limit) #0 comdat($shared) personality ptr @__gxx_p_v0 {
entry:
  %field = getelementptr inbounds %struct.node, ptr %list, i32 0, i32 2
  %value = load i32, ptr %field, align 4, !tbaa !1, !range !4
  %sum = add nuw nsw i32 %value, %limit
  store i32 %sum, ptr @counter, align 4, !tbaa !1
  br label %loop

loop:                                             ; preds = %loop, %entry
  %i = phi i32 [ 0, %entry ], [ %next, %loop ]
  %next = add i32 %i, 1
  %r = call i32 (ptr, ...) @printf(ptr noundef @.str.4, i32 %next) #2
  %h = call fastcc i32 @helper(i32 %r)
  %a = call i32 @also(i32 %h)
  %w = load i32, ptr @weak, align 4
  %e = load i64, ptr @exported, align 8
  %s = load ptr, ptr @table, align 8
  %b = load i32, ptr @big, align 4
  %t = load i32, ptr @tls, align 4
  %o = getelementptr %"class.odd name.7", ptr %s, i64 1
  %more = icmp slt i32 %next, %sum
  br i1 %more, label %loop, label %done, !llvm.loop !6

done:                                             ; preds = %loop
  %again = call i32 @work(ptr %list, i32 0)
  switch i32 %again, label %out [
    i32 1, label %loop2
    i32 2, label %out
  ]

loop2:                                            ; preds = %done
  br label %out

out:                                              ; preds = %loop2, %done, %done
  ret i32 %again
}

declare i32 @printf(ptr noundef, ...) #3
declare i32 @__gxx_p_v0(...)
declare i32 @unneeded()

attributes #0 = { minsize nounwind optsize "target-cpu"="x86-64" }
attributes #1 = { noinline }
attributes #2 = { nounwind }
attributes #3 = { "frame-pointer"="none" }

!llvm.module.flags = !{!0}
!0 = !{i32 8, !"PIC Level", i32 2}
!1 = !{!2, !2, i64 0}
!2 = !{!"int", !3}
!3 = !{!"Simple C/C++ TBAA"}
!4 = !{i32 0, i32 100}
!5 = !{!"function_entry_count", i64 4}
!6 = distinct !{!6, !7}
!7 = !{!"llvm.loop.mustprogress"}
!8 = !{i64 0, !"type"}
"""


def sound(text: str) -> None:
    with Context(library.load()) as context:
        assert context.parse(text.encode()).verify() is None


def extract(text: str, name: str) -> Extracted:
    return extraction.extract(ModuleText(text), f"@{name}")


def extract_all(text: str) -> Iterator[Extracted]:
    module = ModuleText(text)
    return (extraction.extract(module, symbol) for symbol in module.names())


def hash_of(text: str, name: str = "work") -> str:
    return canonical_hash(extract(text_of(text.encode()), name))


@pytest.fixture(scope="module")
def work() -> Extracted:
    return extract(text_of(MODULE.encode()), "work")


def test_an_extracted_function_stands_alone(work: Extracted) -> None:
    sound(work.text)
    assert work.instructions == 22
    assert work.linkage == "linkonce_odr"
    assert work.text.count("\ndefine ") == 1


def test_what_comes_along_and_what_becomes_a_declaration(work: Extracted) -> None:
    lines = work.text.splitlines()
    assert '@.str = private unnamed_addr constant [10 x i8] c"%d #7 !2\\0A\\00", align 1' in lines
    assert '@.str.1 = private unnamed_addr constant [4 x i8] c"end\\00", align 1' in lines
    assert "@table = internal constant [4 x ptr] [ptr @.str.1, ptr @helper, ptr null, ptr null], align 16" in lines
    assert "@big = external dso_local constant [600 x i32], align 16" in lines
    assert "@counter = external dso_local global i32, align 4" in lines
    assert "@exported = external global [2 x i64], align 16" in lines
    assert "@tls = external dso_local thread_local(localexec) global i32, align 4" in lines
    assert "@weak = external hidden constant i32, align 4" in lines
    assert "declare dso_local fastcc i32 @helper(i32 noundef) unnamed_addr #3" in lines
    assert "declare i32 @also(i32)" in lines
    assert '%"class.odd name" = type { %struct.pair }' in lines
    for gone in ("unused", "unneeded", "comdat", "tbaa", "source_filename", "module.flags", "preds", "!prof", "!type"):
        assert gone not in work.text, gone
    for kept in ("!range", "llvm.loop.mustprogress", "target datalayout", "target triple"):
        assert kept in work.text, kept


def test_named_text_and_bitcode_give_the_same() -> None:
    from_bitcode = list(extract_all(text_of(MODULE.encode())))
    for named, numbered in zip(extract_all(MODULE), from_bitcode, strict=True):
        assert (named.text, canonical_hash(named)) == (numbered.text, canonical_hash(numbered))


def test_a_name_shared_by_a_type_and_a_value_is_refused() -> None:
    with pytest.raises(InputError, match=r"%both names a value and a type"):
        extract("%both = type { i32 }\ndefine i32 @f(i32 %both) {\n  %1 = alloca %both\n  ret i32 %both\n}\n", "f")


def test_an_unknown_function_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        extract(MODULE, "printf")


def test_computed_goto_takes_its_table_along() -> None:
    text = text_of(b"""
@f.table = internal constant [2 x ptr] [ptr blockaddress(@f, %a), ptr blockaddress(@f, %b)]
define void @f(i64 %i) {
entry:
  %p = getelementptr [2 x ptr], ptr @f.table, i64 0, i64 %i
  %t = load ptr, ptr %p
  indirectbr ptr %t, [label %a, label %b]
a:
  ret void
b:
  unreachable
}
define ptr @g() {
  ret ptr @f.table
}
""")
    for name in ("f", "g"):
        sound(extract(text, name).text)
    assert "blockaddress(@f, %4), ptr blockaddress(@f, %5)" in extract(text, "f").text
    assert "@f.table = external dso_local constant" in extract(text, "g").text


def test_debug_information_goes(tmp_path: Path) -> None:
    source = "int g(int); int f(int n) { int s = 0; for (int i = 0; i < n; i++) s += g(i); return s; }"
    plain = text_of(unoptimised(tmp_path, "a.c", source).read_bytes())
    debug = text_of(unoptimised(tmp_path, "b.c", source, ["-g"]).read_bytes())
    assert "DILocation" in debug
    function = extract(debug, "f")
    sound(function.text)
    assert function.text == extract(plain, "f").text
    assert "DI" not in function.text


def test_real_code_parses(tmp_path: Path) -> None:
    for path in sorted((Path(__file__).parents[1] / "src/llm_compiler/data/suite").glob("*")):
        if path.stem not in ("vm_dispatch", "threads_atomics", "except_unwind", "virtual_shapes", "tls_signals"):
            continue
        text = text_of(unoptimised(tmp_path, path.name, path.read_text()).read_bytes())
        found = list(extract_all(text))
        assert len(found) == text.count("\ndefine ") > 3
        for function in found:
            with Context(library.load()) as context:
                module = context.parse(function.text.encode())
                assert module.verify() is None, function.name
                assert module.count_instructions() == function.instructions


# --- the hash --------------------------------------------------------------------------------------------------------

NAMES = ("list", "limit", "field", "value", "sum", "loop", "next", "more", "done", "again", "out")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.randoms(use_true_random=False))
def test_the_hash_does_not_see_names_and_order(rng: random.Random) -> None:
    text = MODULE
    for name in NAMES:
        text = re.sub(rf"(%|^){name}\b(?=[ ,:)]|$)", rf"\1n{rng.randrange(10**6)}.{name}x", text, flags=re.MULTILINE)
    for old, new in (("struct.node", "struct.n"), ("struct.pair", "union.p.3"), ("class.odd name.7", "x y"),
                     (".str.4", ".str"), (".str.9", "text"), ("@table", "@tab"), ("@work", "@again_and_again"),
                     ('"target-cpu"="x86-64"', '"target-cpu"="znver3"'), ("some/where.c", "else.c")):
        if rng.random() < 0.6:
            text = text.replace(old, f"{new}{rng.randrange(100)}" if old[0] != '"' else new)
    lines = text.splitlines()
    for start in ("declare ", "$", "@"):
        at = [number for number, line in enumerate(lines) if line.startswith(start)]
        picked = [lines[number] for number in at]
        rng.shuffle(picked)
        for number, line in zip(at, picked, strict=True):
            lines[number] = line
    text = "\n".join(lines)
    sound(text)
    name = re.search(r"signext i32 @(\w+)\(", text)
    assert name is not None
    assert hash_of(text, name.group(1)) == hash_of(MODULE)


@pytest.mark.parametrize(("old", "new"), [
    ("getelementptr inbounds %struct.node", "getelementptr %struct.node"),
    ("phi i32 [ 0, %entry ]", "phi i32 [ 1, %entry ]"),
    ("icmp slt", "icmp sle"),
    ("add nuw nsw", "add nsw"),
    ("add nuw nsw", "sub nuw nsw"),
    ("load i64, ptr @exported", "load i32, ptr @exported"),
    ("@printf", "@fprintf_like"),
    ("%struct.pair = type { i16, i64 }", "%struct.pair = type { i32, i64 }"),
    ('c"end\\00"', 'c"End\\00"'),
    ("call i32 @work(ptr %list, i32 0)", "call i32 @work(ptr %list, i32 %limit)"),
    ("attributes #2 = { nounwind }", "attributes #2 = { cold nounwind }"),
    ("phi i32 [ 0, %entry ], [ %next, %loop ]", "phi i32 [ 0, %entry ], [ %sum, %loop ]"),
])
def test_the_hash_sees_what_matters(old: str, new: str) -> None:
    changed = MODULE.replace(old, new)
    assert changed != MODULE
    sound(changed)
    assert hash_of(changed) != hash_of(MODULE)


def test_a_static_function_equals_an_exported_one() -> None:
    body = "i32 @f(i32 %0) {\n  ret i32 %0\n}\n@keep = global ptr @f\n"
    assert hash_of(f"define internal {body}", "f") == hash_of(f"define dso_local {body}", "f")


# --- shingles --------------------------------------------------------------------------------------------------------


def test_shapes_hold_no_names_but_intrinsics() -> None:
    text = text_of(bitcode_of(
        "declare void @llvm.trap()\ndeclare void @named(ptr, i32)\n"
        "define void @f(ptr noundef %p) {\n  call void @named(ptr nonnull %p, i32 12)\n  call void @llvm.trap()\n"
        "  store i32 70000, ptr %p, align 4\n  ret void\n}\n"))
    lines = [b"  call void (ptr , i32 12)", b"  call void @llvm.trap()", b"  store i32 70000, ptr ", b"  ret void"]
    assert shapes(extract(text, "f"))[1:] == lines


def test_resemblance_follows_what_two_functions_share() -> None:
    def function(lines: list[str]) -> bytes:
        body = "".join(f"  %v{number} = {line}\n" for number, line in enumerate(lines))
        text = text_of(f"define i32 @f(i32 %x, ptr %p) {{\n{body}  ret i32 0\n}}\n".encode())
        return signature(shingles(extract(text, "f")))

    operations = ["add", "sub", "mul", "xor", "and", "or", "shl", "lshr", "ashr"]
    rng = random.Random(3)
    lines = [f"{rng.choice(operations)} i32 %x, {rng.randrange(1000)}" for _ in range(200)]
    other = [f"{rng.choice(operations)} i32 %x, {rng.randrange(1000)}" for _ in range(200)]
    same = numbers(function(lines))
    # 10 of 200 lines, each in three shingles: about 85 % of the union are shared at least.
    changed = numbers(function([f"add i32 %x, {5000 + n}" if n % 20 == 0 else line for n, line in enumerate(lines)]))
    assert resemblance(same, numbers(function(lines[100:] + lines[:100]))) > 0.9
    assert 0.6 < resemblance(same, changed) < 0.9
    assert resemblance(same, numbers(function(other))) < 0.1
    assert function(lines[: MIN_SHINGLES - 2]) == b""
    # A repeated line counts as often as it stands there.
    assert resemblance(numbers(function(["add i32 %x, 1"] * 40)), numbers(function(["add i32 %x, 1"] * 160))) < 0.5
