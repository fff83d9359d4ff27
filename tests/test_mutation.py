"""The mutators of benchmarks: each change is made where it should be, parses, and leaves the rest alone."""

from __future__ import annotations

import json
import random
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.worker import WorkerPool

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import mutation
import mutators
from mutators import Kind

MODULE = """\
%struct.pair = type { i32, i32, ptr }
%"struct.a b" = type <{ i8, i32 }>

@g = global i32 7
@text = constant [4 x i8] c"a%d\\00"

declare void @note(ptr, i32)
declare i32 @tell(ptr, ...)
declare ptr @"odd name"(i64, i64)
declare void @llvm.lifetime.start.p0(i64, ptr)
declare i32 @llvm.umin.i32(i32, i32)
declare void @llvm.assume(i1)
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
declare i32 @personality(...)

define i32 @f(ptr %0, i32 %1, double %2) personality ptr @personality {
  %4 = alloca i64, align 8
  call void @llvm.lifetime.start.p0(i64 8, ptr %4)
  %5 = getelementptr inbounds %struct.pair, ptr %0, i64 0, i32 0
  %6 = load i32, ptr %5, align 8, !range !0
  %7 = sub nsw i32 %6, 5
  %8 = icmp slt i32 %7, %1
  br i1 %8, label %9, label %19

9:                                                ; preds = %3
  tail call void @note(ptr nonnull %0, i32 noundef 3)
  %10 = tail call i32 (ptr, ...) @tell(ptr @text, i32 %7, i32 %1)
  %11 = call ptr @"odd name"(i64 1, i64 2)
  %12 = fmul fast double %2, 1.500000e+00
  %13 = fcmp olt double %12, %2
  %14 = select i1 %13, i32 %10, i32 0
  %15 = sext i32 %14 to i64
  %16 = getelementptr inbounds i32, ptr %0, i64 %15
  store volatile i32 %14, ptr %16, align 4
  %17 = call i32 @llvm.umin.i32(i32 %14, i32 4)
  switch i32 %17, label %19 [
    i32 0, label %18
    i32 -1, label %20
  ]

18:                                               ; preds = %9
  unreachable

19:                                               ; preds = %9, %3
  br label %20

20:                                               ; preds = %19, %9
  %21 = phi i32 [ 1, %9 ], [ %7, %19 ]
  invoke void @note(ptr %0, i32 %21)
          to label %22 unwind label %23

22:                                               ; preds = %20
  ret i32 %21

23:                                               ; preds = %20
  %24 = landingpad { ptr, i32 }
          cleanup
  ret i32 0
}

define void @"g h"() {
  call void @llvm.assume(i1 true)
  call void @llvm.prefetch.p0(ptr @g, i32 0, i32 3, i32 1)
  store i32 1, ptr @g, align 4
  ret void
}

!0 = !{i32 0, i32 9}
"""


def found(start: str, kind: Kind) -> list[str]:
    """What becomes of the instruction that starts like this."""
    (item,) = [item for item in mutators.instructions(MODULE) if item.text.strip().startswith(start)]
    mutants = mutators.mutants_of(item, mutators.named_types(MODULE))
    return [mutant.text.strip() for mutant in mutants if mutant.kind is kind]


def test_instructions_know_function_block_and_line() -> None:
    items = list(mutators.instructions(MODULE))
    lines = MODULE.split("\n")
    assert all("\n".join(lines[item.line :]).startswith(item.text) for item in items)
    blocks = Counter((item.function, item.block) for item in items)
    assert blocks == {("f", 0): 7, ("f", 1): 11, ("f", 2): 1, ("f", 3): 1, ("f", 4): 2, ("f", 5): 1, ("f", 6): 2,
                      ("g h", 0): 4}
    assert [item.text.count("\n") for item in items if "switch" in item.text or "invoke" in item.text] == [3, 1]


@pytest.mark.parametrize(("start", "kind", "expected"), [
    ("%7 = sub", Kind.CONSTANT, ["%7 = sub nsw i32 %6, 6", "%7 = sub nsw i32 %6, 4", "%7 = sub nsw i32 %6, -5"]),
    ("%7 = sub", Kind.ORDER, ["%7 = sub nsw i32 5, %6"]),
    ("%7 = sub", Kind.WIDTH, [
        f"%mutant.whole = sub nsw i32 %6, 5\n  %mutant.part = trunc i32 %mutant.whole to {narrow}\n"
        f"  %7 = {widen} {narrow} %mutant.part to i32"
        for narrow in ("i16", "i8") for widen in ("zext", "sext")]),
    ("%6 = load", Kind.WIDTH, [
        f"%mutant.part = load {narrow}, ptr %5, align 8\n  %6 = {widen} {narrow} %mutant.part to i32"
        for narrow in ("i16", "i8") for widen in ("zext", "sext")]),
    ("store i32 1", Kind.WIDTH, [
        f"%mutant.part = trunc i32 1 to {narrow}\n  store {narrow} %mutant.part, ptr @g, align 4"
        for narrow in ("i16", "i8")]),
    ("store volatile", Kind.WIDTH, []),
    ("%14 = select", Kind.WIDTH, [
        f"%mutant.whole = select i1 %13, i32 %10, i32 0\n  %mutant.part = trunc i32 %mutant.whole to {narrow}\n"
        f"  %14 = {widen} {narrow} %mutant.part to i32"
        for narrow in ("i16", "i8") for widen in ("zext", "sext")]),
    ("%15 = sext", Kind.WIDTH, ["%15 = zext i32 %14 to i64"]),
    ("%8 = icmp", Kind.PREDICATE, [f"%8 = icmp {name} i32 %7, %1" for name in ("sge", "sle", "ult")]),
    ("%8 = icmp", Kind.ORDER, ["%8 = icmp slt i32 %1, %7"]),
    ("%13 = fcmp", Kind.PREDICATE, [f"%13 = fcmp {name} double %12, %2" for name in ("uge", "ole", "ult")]),
    ("%12 = fmul", Kind.ORDER, []),
    ("%12 = fmul", Kind.CONSTANT, [f"%12 = fmul fast double %2, {value}" for value in
                                   ("0x4004000000000000", "0xBFF8000000000000", "0x4008000000000000")]),
    ("%14 = select", Kind.ORDER, ["%14 = select i1 %13, i32 0, i32 %10"]),
    ("br i1", Kind.BRANCH, ["br i1 %8, label %19, label %9"]),
    ("br label", Kind.BRANCH, []),
    ("store volatile", Kind.STORE, [""]),
    ("store i32 1", Kind.CONSTANT, ["store i32 2, ptr @g, align 4", "store i32 0, ptr @g, align 4",
                                    "store i32 -1, ptr @g, align 4"]),
    ("tail call void @note", Kind.CALL, [""]),
    ("tail call void @note", Kind.ORDER, []),
    ("tail call void @note", Kind.CONSTANT, [f"tail call void @note(ptr nonnull %0, i32 noundef {value})"
                                             for value in (4, 2, -3)]),
    ("%10 = tail", Kind.CALL, ["%10 = freeze i32 zeroinitializer"]),
    ("%10 = tail", Kind.ORDER, ["%10 = tail call i32 (ptr, ...) @tell(ptr @text, i32 %1, i32 %7)"]),
    ("%11 = call", Kind.CALL, ["%11 = freeze ptr zeroinitializer"]),
    ("%11 = call", Kind.ORDER, ['%11 = call ptr @"odd name"(i64 2, i64 1)']),
    ("%17 = call", Kind.ORDER, []),
    ("call void @llvm.lifetime", Kind.CALL, []),
    ("call void @llvm.lifetime", Kind.CONSTANT, []),
    ("call void @llvm.assume", Kind.CALL, []),
    ("call void @llvm.prefetch", Kind.CALL, []),
    ("%21 = phi", Kind.CONSTANT, ["%21 = phi i32 [ 2, %9 ], [ %7, %19 ]", "%21 = phi i32 [ 0, %9 ], [ %7, %19 ]",
                                  "%21 = phi i32 [ -1, %9 ], [ %7, %19 ]"]),
    ("%5 = getelementptr", Kind.INDEX, ["%5 = getelementptr inbounds %struct.pair, ptr %0, i64 0, i32 1"]),
    ("%16 = getelementptr", Kind.INDEX, ["%mutant.base = getelementptr i32, ptr %0, i64 1\n"
                                         "  %16 = getelementptr i32, ptr %mutant.base, i64 %15"]),
    ("ret i32 0", Kind.CONSTANT, ["ret i32 1", "ret i32 -1"]),
])
def test_changes(start: str, kind: Kind, expected: list[str]) -> None:
    assert found(start, kind) == expected


def test_targets_of_a_switch_change_places() -> None:
    first, second = found("switch", Kind.BRANCH)
    assert first.split("\n") == ["switch i32 %17, label %18 [", "    i32 0, label %19", "    i32 -1, label %20", "  ]"]
    assert second.split("\n") == ["switch i32 %17, label %19 [", "    i32 0, label %20", "    i32 -1, label %18", "  ]"]


def test_nested_types_and_fields() -> None:
    types = {"%s": "{ i32, [4 x %t], i32 }", "%t": "<{ i8, i8, i64 }>"}

    def gep(rest: str) -> list[str]:
        item = mutators.Instruction("f", 0, 0, f"  %1 = getelementptr {rest}")
        return [mutant.text.removeprefix("  %1 = getelementptr ") for mutant in mutators.mutants_of(item, types)]

    at = "%s, ptr %0, i64 0, i32 1, i64 2"
    assert gep(f"{at}, i32 0") == ["%s, ptr %0, i64 0, i32 1, i64 3, i32 0", "%s, ptr %0, i64 0, i32 1, i64 1, i32 0",
                                   f"{at}, i32 1"]
    assert gep("inbounds %s, ptr %0, i64 %2, i32 2") == []
    assert gep("inbounds i8, ptr %0, i64 16") == ["inbounds i8, ptr %0, i64 17", "inbounds i8, ptr %0, i64 15"]


WIDE = """\
define i64 @f(ptr %0, i64 %1, ptr %2, i32 %3) {
  %5 = load i64, ptr %0, align 8
  %6 = xor i64 %5, %1
  store i64 %6, ptr %0, align 8
  %7 = call i64 @strlen(ptr %0)
  %8 = load i64, ptr %2, align 8
  %9 = icmp ugt i64 %8, %7
  store i64 %7, ptr %2, align 8
  %10 = ptrtoint ptr %0 to i64
  %11 = ptrtoint ptr %2 to i64
  %12 = sub i64 %11, %10
  %13 = zext i32 %3 to i64
  %14 = mul i64 %13, 24
  %15 = call ptr @malloc(i64 noundef %14)
  %16 = zext i32 %3 to i64
  %17 = sext i32 %3 to i64
  %18 = getelementptr i8, ptr %0, i64 %17
  %19 = call i64 @other(i64 %6)
  %20 = select i1 %9, i64 %8, i64 %7
  br label %21

21:
  %22 = phi i64 [ %19, %4 ], [ %22, %21 ]
  %23 = phi i64 [ %20, %4 ], [ %23, %21 ]
  br label %21
}
"""


def test_sizes_of_memory_keep_their_low_32_bits() -> None:
    items = {item.text.split()[0] + item.text.split()[2]: item for item in mutators.instructions(WIDE)}
    sizes = mutators.sizes_of(items.values())
    assert sizes == {f"%{number}" for number in (7, 8, 10, 11, 12, 13, 14, 17, 20, 23)}

    def narrowed(item: mutators.Instruction) -> set[str]:
        mutants = mutators.mutants_of(item, {}, sizes)
        return {part for mutant in mutants if mutant.kind is Kind.WIDTH
                for part in re.findall(r"i\d+(?= %mutant.part)|[sz]ext i32(?= %3)", mutant.text)}

    told = {name: narrowed(item) for name, item in items.items()}
    assert told["%5load"] == told["store%6,"] == {"i8", "i16", "i32"}
    assert told["%8load"] == told["store%7,"] == told["%12sub"] == told["%6xor"] == {"i8", "i16"}
    assert told["%13zext"] == set()
    assert told["%16zext"] == {"sext i32"}
    assert told["%17sext"] == {"zext i32"}
    compared = [mutant.text.split()[3] for mutant in mutators.mutants_of(items["%9icmp"], {}, sizes)
                if mutant.kind is Kind.PREDICATE]
    assert compared == ["ule", "uge"]


UNORDERED = """\
define i32 @f(ptr %0, ptr %1, i64 %2, float %3, float %4) {
  %6 = call i32 @bcmp(ptr %0, ptr %1, i64 %2)
  %7 = icmp eq i32 %6, 0
  %8 = call i32 @memcmp(ptr %0, ptr %1, i64 %2)
  %9 = icmp slt i32 %8, 0
  %10 = call i32 @strcmp(ptr %0, ptr %1)
  %11 = icmp ne i32 %10, 0
  %12 = select i1 %11, i32 %10, i32 0
  %13 = call i64 @fwrite(ptr %0, i64 26, i64 1, ptr %1)
  %14 = call i64 @fread(ptr %0, i64 26, i64 1, ptr %1)
  %15 = icmp eq i64 %14, 1
  %16 = fsub float %3, %4
  %17 = fmul float %16, %16
  %18 = fsub float %4, %3
  %19 = call float @llvm.fmuladd.f32(float %18, float %18, float %17)
  %20 = fsub float %4, 1.0
  %21 = fmul float %20, %20
  %22 = fadd float %20, %21
  %23 = call i32 @compare(ptr %0, ptr %1)
  %24 = icmp eq i32 %23, 0
  %25 = fsub float %3, 2.0
  %26 = call float @llvm.fmuladd.f32(float %25, float %3, float %25)
  ret i32 %12
}
"""


def test_operands_whose_order_means_nothing_stay() -> None:
    """Where the result only tells whether two things are equal, is squared, or is not used."""
    items = list(mutators.instructions(UNORDERED))
    either = mutators.unordered(items)
    assert either == {"%6", "%13", "%16", "%18"}
    ordered = {mutant.at.text.split()[0] for item in items for mutant in mutators.mutants_of(item, {}, either=either)
               if mutant.kind is Kind.ORDER}
    assert ordered >= {"%8", "%10", "%14", "%20", "%23", "%25"} and not ordered & either


def test_addresses_have_no_sign() -> None:
    item = mutators.Instruction("f", 0, 0, "  %3 = icmp ult ptr %0, %1")
    told = [mutant.text.split()[3] for mutant in mutators.mutants_of(item, {}) if mutant.kind is Kind.PREDICATE]
    assert told == ["uge", "ule"]


@pytest.mark.parametrize(("kind", "value", "expected"), [
    ("i1", "true", ["false"]),
    ("i32", "0", ["1", "-1"]),
    ("i8", "127", ["-128", "126", "-127"]),
    ("i8", "-128", ["-127", "127"]),
    ("i64", "9223372036854775807", ["-9223372036854775808", "9223372036854775806", "-9223372036854775807"]),
    ("i32", "%5", []),
    ("i32", "poison", []),
    ("ptr", "null", []),
    ("float", "0x3FB99999A0000000", ["0x3FF19999A0000000", "0xBFB99999A0000000", "0x3FC99999A0000000"]),
    ("double", "0x7FF0000000000000", []),
])
def test_other_constants(kind: str, value: str, expected: list[str]) -> None:
    assert mutators.other_constants(kind, value) == expected


def test_every_mutant_but_a_repeated_case_parses_and_verifies() -> None:
    types = mutators.named_types(MODULE)
    sound: Counter[Kind] = Counter()
    refused = []
    with Context(library.load()) as context:
        unchanged = context.parse(MODULE.encode()).text()
        for item in mutators.instructions(MODULE):
            for mutant in mutators.mutants_of(item, types):
                try:
                    with context.parse(mutant.apply(MODULE).encode()) as module:
                        assert module.verify() is None, mutant.text
                        assert module.text() != unchanged, mutant.text
                except InputError as error:
                    refused.append(str(error))
                else:
                    sound[mutant.kind] += 1
    assert [("duplicate case" in text) for text in refused] == [True, True]
    assert set(sound) == set(Kind)


def test_a_value_of_a_phi_is_executed_where_it_comes_from() -> None:
    items = list(mutators.instructions(MODULE))
    labels = {item.label: item.block for item in items if item.function == "f"}
    assert labels == {"": 0, "9": 1, "18": 2, "19": 3, "20": 4, "22": 5, "23": 6}
    (phi,) = [item for item in items if "phi" in item.text]
    mutant = mutators.mutants_of(phi, {})[0]
    assert mutant.text == "  %21 = phi i32 [ 2, %9 ], [ %7, %19 ]"
    assert mutators.places(mutant, labels) == {1, 4}
    first = mutators.Instruction("f", 2, 0, "  %2 = phi i8 [ 0, %1 ], [ %3, %4 ]")
    assert mutators.places(mutators.mutants_of(first, {})[0], {"": 0, "4": 1, "5": 2}) == {0, 2}
    (store,) = [item for item in items if "store i32 1" in item.text]
    assert mutators.places(mutators.mutants_of(store, {})[0], {}) == {0}


def test_choice_is_spread_over_kinds_and_repeatable() -> None:
    types = mutators.named_types(MODULE)
    available: dict[Kind, list[mutators.Mutant]] = {kind: [] for kind in Kind}
    for item in mutators.instructions(MODULE):
        for mutant in mutators.mutants_of(item, types):
            available[mutant.kind].append(mutant)
    chosen = mutators.choose(available, 8, Counter(), random.Random(1))
    assert {mutant.kind for mutant in chosen} == set(Kind)
    assert chosen == mutators.choose(available, 8, Counter(), random.Random(1))
    used = Counter({kind: 5 for kind in Kind if kind is not Kind.STORE})
    assert [mutant.kind for mutant in mutators.choose(available, 1, used, random.Random(1))] == [Kind.STORE]
    assert used[Kind.STORE] == 1
    many = mutators.choose(available, 1000, Counter(), random.Random(1))
    assert len({(mutant.kind, mutant.at.line) for mutant in many}) == len(many)


def test_counters_are_those_of_the_blocks() -> None:
    with Context(library.load()) as context:
        context.lib.set_options(mutation._BLOCKS.pass_options)
        try:
            module = context.parse(MODULE.encode())
            module.run_passes("sancov-module", None)
            counters = mutators.counters_of(module.text())
        finally:
            context.lib.set_options(())
    # Block 2 of f holds nothing but `unreachable`.
    assert counters == {"f": {0: 0, 1: 1, 3: 2, 4: 3, 5: 4, 6: 5}, "g h": {0: 0}}
    items = [item for item in mutators.instructions(MODULE) if item.function == "f"]
    assert mutation._maps(items, counters["f"])
    assert not mutation._maps(items, {0: 0, 1: 1, 3: 2})


def test_report_tells_executed_from_noticed() -> None:
    survey = mutation.Survey(8, mutation.Effort.quick(), random.Random(1), 0.0)
    survey.kinds[Kind.STORE] = mutation.Tally(refused=1, mutants=12, same=2, equal=2, executed=5, noticed=4)
    told = mutation.table(survey)
    assert "| dropped store | 12 | 2 | 2 | 3 | 5 | 4 | 80.0 % |" in told
    assert "| all | 12 | 2 | 2 | 3 | 5 | 4 | 80.0 % |" in told
    assert "| constant | 0 | 0 | 0 | 0 | 0 | 0 |  |" in told
    assert json.dumps(survey.missed) == "[]"


EQUAL = """\
target triple = "x86_64-unknown-linux-gnu"
define i64 @f(i32 %0, ptr %1) {{
  %3 = icmp sgt i32 %0, -1
  br i1 %3, label %4, label %9

4:
  %5 = load i8, ptr %1
  %6 = zext i8 %5 to i32
  %7 = icmp {predicate} i32 %6, %0
  store i1 %7, ptr %1
  %8 = {widen} i32 %0 to i64
  ret i64 %8

9:
  %10 = {outside} i32 %0 to i64
  ret i64 %10
}}
"""


@pytest.mark.parametrize(("changed", "equal"), [
    ({"widen": "sext"}, True), ({"predicate": "sgt"}, True),
    ({"outside": "sext"}, False), ({"predicate": "uge"}, False),
])
def test_only_what_the_optimiser_makes_identical_is_equal(changed: dict[str, str], equal: bool, tmp_path: Path) -> None:
    plain = {"predicate": "ugt", "widen": "zext", "outside": "zext"}
    path, mutated = tmp_path / "plain.ll", tmp_path / "mutated.ll"
    path.write_text(EQUAL.format(**plain))
    mutated.write_text(EQUAL.format(**{**plain, **changed}))
    lowering = Lowering("x86_64-unknown-linux-gnu")
    with WorkerPool(1, Limits(60.0)) as pool:
        made, other = (mutation.lower(pool, item, lowering, verify=True) for item in (path, mutated))
        assert made is not None and other is not None and made.object_hash != other.object_hash
        assert mutation.Original(pool, path, lowering, made.object_hash).is_equal(mutated) is equal


TABLE = """\
target triple = "x86_64-unknown-linux-gnu"
@table = internal constant [4 x {{ i64, i32 }}] [{{ i64, i32 }} {{ i64 3, i32 7 }}, {{ i64, i32 }} {{ i64 9, i32 8 }},
  {{ i64, i32 }} {{ i64 {last}, i32 1 }}, {{ i64, i32 }} zeroinitializer]
define i32 @f(i64 %0) minsize optsize {{
  br label %2

2:
  %3 = phi ptr [ @table, %1 ], [ %9, %8 ]
  {load}
  %5 = icmp eq i64 %4, 0
  br i1 %5, label %10, label %6

6:
  %7 = icmp eq i64 %4, %0
  br i1 %7, label %10, label %8

8:
  %9 = getelementptr {{ i64, i32 }}, ptr %3, i64 1
  br label %2

10:
  %11 = phi i32 [ 0, %2 ], [ 5, %6 ]
  ret i32 %11
}}
"""


@pytest.mark.parametrize(("last", "equal"), [(200, True), (300, False)])
def test_loops_over_constant_tables_are_unrolled_for_a_proof(last: int, equal: bool, tmp_path: Path) -> None:
    path, mutated = tmp_path / "plain.ll", tmp_path / "mutated.ll"
    path.write_text(TABLE.format(last=last, load="%4 = load i64, ptr %3, align 8"))
    mutated.write_text(TABLE.format(
        last=last, load="%part = load i8, ptr %3, align 8\n  %4 = zext i8 %part to i64"))
    lowering = Lowering("x86_64-unknown-linux-gnu")
    with WorkerPool(1, Limits(60.0)) as pool:
        made, other = (mutation.lower(pool, item, lowering, verify=True) for item in (path, mutated))
        assert made is not None and other is not None and made.object_hash != other.object_hash
        assert mutation.Original(pool, path, lowering, made.object_hash).is_equal(mutated) is equal
