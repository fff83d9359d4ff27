"""Delta debugging of pass lists and modules, with made-up faults and with one of LLVM's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_compiler.errors import InputError
from llm_compiler.evidence import irtext
from llm_compiler.evidence.irtext import as_text, transform
from llm_compiler.evidence.reduce import (
    Misbehaves,
    ddmin,
    reduce_candidate,
    reduce_case,
    write_reproduction,
)
from llm_compiler.llvm import library, registry
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.registry import Registry
from support import candidate

MISCOMPILES = Path(__file__).parent / "miscompiles"

# A switch whose two cases lead to one block, which structurizecfg makes one condition of.
SWITCH = """
target triple = "x86_64-unknown-linux-gnu"
@letters = global [4 x i8] c"xyYz"

define i32 @unused(i32 %x) {
  ret i32 %x
}

define i32 @count(ptr %p, i32 %n) noinline {
entry:
  br label %head
head:
  %i = phi i32 [ 0, %entry ], [ %next, %join ]
  %sum = phi i32 [ 0, %entry ], [ %more, %join ]
  %go = icmp ult i32 %i, %n
  br i1 %go, label %body, label %done
body:
  %at = getelementptr i8, ptr %p, i32 %i
  %c = load i8, ptr %at
  %w = zext i8 %c to i32
  switch i32 %w, label %join [
    i32 121, label %hit
    i32 89, label %hit
  ]
hit:
  %inc = add i32 %sum, 1
  br label %join
join:
  %more = phi i32 [ %inc, %hit ], [ %sum, %body ]
  %next = add i32 %i, 1
  br label %head
done:
  ret i32 %sum
}

define i32 @main() {
  %n = call i32 @count(ptr @letters, i32 4)
  %wrong = icmp ne i32 %n, 2
  %code = zext i1 %wrong to i32
  ret i32 %code
}
"""


@pytest.fixture(scope="module")
def known() -> Registry:
    return registry.load()


@given(st.integers(1, 40), st.sets(st.integers(0, 39), max_size=6), st.sets(st.integers(0, 39), max_size=3))
def test_ddmin_finds_a_minimal_part(count: int, one: set[int], other: set[int]) -> None:
    items = list(range(count))
    one, other = {item for item in one if item < count}, {item for item in other if item < count}

    def fails(part: list[int]) -> bool:
        assert part == sorted(part) and tuple(part) not in asked
        asked.add(tuple(part))
        return one <= set(part) or other <= set(part)

    asked: set[tuple[int, ...]] = set()
    found = ddmin(items, fails)
    asked.clear()
    assert fails(found)
    assert not any(fails(found[:index] + found[index + 1 :]) for index in range(len(found)))
    assert len(asked) <= 1 + len(found) + count * count


@pytest.mark.parametrize(("needed", "found"), [
    ({"gvn"}, "function(gvn)"), ({"gvn", "sroa"}, "function(sroa<modify-cfg>,gvn)"),
    ({"inline", "licm"}, "cgscc(inline),function(loop-mssa(licm))"), (set(), ""),
])
def test_a_pass_list_is_cut_down_to_what_fails(known: Registry, needed: set[str], found: str) -> None:
    def fails(held: Candidate) -> bool:
        text = str(held.passes)
        return needed <= held.passes.names() and ("sroa" not in needed or "sroa<" in text) \
            and "-disable-lsr" in held.codegen_options

    start = candidate("default<Oz>,globaldce", ("-disable-lsr", "-disable-machine-licm"), ("-inline-threshold=0",))
    assert reduce_candidate(start, fails, known) == candidate(found, ("-disable-lsr",))


def test_a_list_that_only_fails_as_it_stands(known: Registry) -> None:
    start = candidate("default<Oz>,function(gvn)")
    assert reduce_candidate(start, lambda held: held == start, known) == start


def edited(change: Callable[[irtext.Function], irtext.Function]) -> str | None:
    return transform(irtext.render(irtext.mapped(irtext.parse(as_text(SWITCH.encode())), change)), "globaldce")


def test_edits_leave_ir_that_llvm_takes() -> None:
    text = as_text(SWITCH.encode())
    assert irtext.render(irtext.parse(text)).split() == [
        word for line in text.splitlines() for word in line.split("; preds")[0].split()]
    stubbed = edited(lambda found: irtext.stubbed(found) if found.name == "count" else found)
    assert stubbed is not None and "ret i32 0" in stubbed and "switch" not in stubbed
    hidden = edited(irtext.internal)
    assert hidden is not None and "@unused" not in hidden and "define i32 @main" in hidden

    def straight(found: irtext.Function) -> irtext.Function:
        blocks = tuple(irtext.sent_one_way(block, 1) if "switch" in block.lines[-1] else block
                       for block in found.blocks)
        return irtext.pruned(irtext.Function(found.header, blocks))

    one_way = edited(straight)
    assert one_way is not None and "switch" not in one_way and "[ %sum, %body ]" not in one_way
    without = edited(lambda found: irtext.without(found, {(0, 0)}) if found.name == "main" else found)
    assert without is not None and "icmp ne i32 0, 2" in without


def test_calls_that_unwind_become_plain_ones() -> None:
    text = as_text(b"""
declare void @may_throw()
declare i32 @__gxx_personality_v0(...)
define i32 @main() personality ptr @__gxx_personality_v0 {
  invoke void @may_throw() to label %fine unwind label %bad
fine:
  ret i32 0
bad:
  %caught = landingpad { ptr, i32 }
          cleanup
  resume { ptr, i32 } %caught
}
""")
    (main,) = irtext.functions(irtext.parse(text))
    assert [len(block.lines) for block in main.blocks] == [1, 1, 2]
    plain = irtext.pruned(irtext.Function(main.header, (irtext.sent_one_way(main.blocks[0], 0), *main.blocks[1:])))
    assert plain.blocks[0].lines == ("  call void @may_throw()", "  br label %fine") and len(plain.blocks) == 2


@pytest.mark.parametrize("kind", ["i32", "[4 x { i8, i64 }]", "{ ptr, i32 }", "<4 x float>"])
def test_locals_are_filled(kind: str) -> None:
    text = as_text(f"define i32 @main() {{\n  %x = alloca {kind}, align 16\n  %n = load i32, ptr %x\n  ret i32 %n\n}}\n"
                   .encode())
    filled = transform(irtext.filled(text, 0xAA), "function(sroa<modify-cfg>,instcombine)")
    assert filled is not None and "alloca" not in filled and "ret i32 -1431655766" in filled


def test_llvm_may_die() -> None:
    text = as_text(SWITCH.encode())
    assert transform(text, "trigger-crash") is None
    assert transform(text, "no-such-pass") is None
    assert transform("define i32 @f() {\n  ret i32 %x\n}\n", "globaldce") is None
    with pytest.raises(InputError, match="does not survive reading"):
        as_text(b"no module")


def has_switch(text: str, held: Candidate) -> bool:
    return "switch i32" in text and "structurizecfg" in held.passes.names()


def test_a_module_is_cut_down_to_what_fails(known: Registry) -> None:
    found = reduce_case(SWITCH, candidate("default<Oz>,function(structurizecfg)"), has_switch, known, seconds=30)
    assert found.candidate == candidate("function(structurizecfg)")
    assert "@unused" not in found.text and found.text.count("br ") <= 4 and found.instructions < 12
    assert found.tests > 10


def test_ctrl_c_keeps_the_best_so_far(known: Registry) -> None:
    asked = 0

    def test(text: str, held: Candidate) -> bool:
        nonlocal asked
        asked += 1
        if asked > 30:
            raise KeyboardInterrupt
        return has_switch(text, held)

    found = reduce_case(SWITCH, candidate("default<Oz>,function(structurizecfg)"), test, known)
    assert not found.complete and len(found.candidate.passes) < 90 and has_switch(found.text, found.candidate)
    late = reduce_case(SWITCH, candidate("default<Oz>,function(structurizecfg)"), has_switch, known, seconds=0)
    assert not late.complete and late.tests == 1


def test_what_does_not_fail_is_not_reduced(known: Registry) -> None:
    with pytest.raises(InputError, match="the case does not fail"):
        reduce_case(SWITCH, candidate("function(gvn)"), has_switch, known)


def test_a_miscompile_of_llvms_is_reduced_and_kept(known: Registry, tmp_path: Path) -> None:
    if library.load().version[0] != 17:
        pytest.skip("seen in LLVM 17")
    with Misbehaves(known, cxx=False) as test:
        start = candidate("function(gvn,structurizecfg)", ("-disable-lsr",))
        found = reduce_case(SWITCH, start, test, known, seconds=6)
        assert found.candidate == candidate("function(structurizecfg)")
        assert "@unused" not in found.text and "switch i32" in found.text
        write_reproduction(tmp_path, "case", found, test, "made up")
        assert not test(found.text, candidate("default<Oz>"))
    record = json.loads((tmp_path / "case.json").read_text())
    assert record["passes"] == "function(structurizecfg)" and record["verdict"] == "wrong"
    assert record["expected"] == {"exit": 0, "stdout": ""} and record["actual"] == "exit code 1"
    assert (tmp_path / "case.ll").read_text() == found.text


def test_a_program_that_reads_what_it_never_wrote_is_no_miscompile(known: Registry) -> None:
    text = """
target triple = "x86_64-unknown-linux-gnu"
define i32 @main() {
  %a = alloca [256 x i32]
  %at = getelementptr [256 x i32], ptr %a, i32 0, i32 100
  %n = load volatile i32, ptr %at
  %b = icmp eq i32 %n, -1431655766
  %code = zext i1 %b to i32
  ret i32 %code
}
"""
    with Misbehaves(known, cxx=False) as test:
        test._guard = True
        wrong = candidate("function(structurizecfg)")
        assert not test(as_text(text.encode()), wrong)


@pytest.mark.parametrize("path", sorted(MISCOMPILES.glob("*.ll")), ids=lambda path: path.stem)
def test_known_miscompiles_are_still_there(known: Registry, path: Path) -> None:
    record = json.loads(path.with_suffix(".json").read_text())
    if library.load().version_text != record["llvm"]:
        pytest.skip(f"seen in LLVM {record['llvm']}")
    wrong = Candidate(PassList.parse(record["passes"]), tuple(record["codegen_options"]),
                      tuple(record["pass_options"]))
    with Misbehaves(known) as test:
        assert test(path.read_text(), wrong)
        assert (test.verdict, test.actual) == (record["verdict"], record["actual"])
        assert test.expected.decode() == record["expected"]["stdout"]
        assert not test(path.read_text(), Candidate(oz_pipeline(known)))
