"""Sizes from text: what is counted, the shipped model against LLVM, and the command."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_compiler.cli import run
from llm_compiler.errors import InputError, PipelineError
from llm_compiler.inference import sizes
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.inference.emulation import Program, read_program
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models import size_model
from llm_compiler.models.engine import EngineError, Sample
from llm_compiler.models.features import NAMES, counts, features, pass_counts, row
from llm_compiler.models.size_model import CONSTANT, ESTIMATE, PredictedSizes, SizeModel
from llm_compiler.models.trees import Trees
from llm_compiler.tasks import batches
from llm_compiler.tasks.prompts import Sizes
from llm_compiler.tuning.source import small_pool
from support import write_source

SOURCE = """
#include <string.h>
struct pair { int first; long second; };
static int table[5] = {3, 1, 4, 1, 5};
const char text[] = "a constant";
int zeros[100];
extern int other(struct pair *p, const char *format, ...);
int pick(int x) {
  switch (x) { case 1: return 10; case 2: return 10; case 3: return 10; case 7: return 20; default: return 0; }
}
int sum(int n) {
  int s = 0;
  for (int i = 0; i < n; i++) s += table[i % 5] + zeros[i];
  return s;
}
int call(struct pair *p, int (*f)(int)) {
  struct pair copy;
  memcpy(&copy, p, sizeof copy);
  return other(&copy, "%d", f(3)) + pick((int)copy.second);
}
"""
# Everything times 2, of at most 8 instructions.
TREE = Trees.stacked([Trees(("instructions",), ((0,),), (0, -1, -1), (8.0, 2.0, 3.0), (2, 0, 0))] * 3)


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with small_pool() as pool:
        yield pool


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, pool: WorkerPool) -> Program:
    folder = tmp_path_factory.mktemp("sizes")
    return read_program(write_source(folder, "f.c", SOURCE), folder, pool)


# --- what is counted ---


def test_counts_are_those_of_the_text(program: Program) -> None:
    found = counts(program.ir)
    assert found.keys() <= set(NAMES)
    wanted = {
        "functions": 3, "with code": 1, "switch": 1, "cases": 4, "case runs": 4, "case targets": 4, "case table": 7,
        "ret": 3, "calls direct": 2, "calls indirect": 1, "calls variadic": 1, "memcpy short": 1, "memcpy words": 2,
        "data": 1, "data bytes": 20, "zeros": 1, "zero bytes": 400, "constants": 2, "constant bytes": 14, "strings": 2,
        "string bytes": 14, "srem i32": 1, "srem constant": 1, "alloca aggregate": 1, "uwtable": 3, "nounwind": 3,
        "sext i32 i64": 2, "trunc i64 i32": 1}
    assert {name: found[name] for name in wanted} == wanted
    assert found["load"] == sum(found[f"load from {place}"] for place in ("slot", "value", "address", "constant"))


def test_instructions_are_those_of_llvm(program: Program, pool: WorkerPool) -> None:
    made = sizes.measured(program, None, pool)
    assert isinstance(made, PredictedSizes)
    assert counts(program.ir)["instructions"] == made.before.instructions and made.after is None


def test_counts_by_hand() -> None:
    found = counts("""
%s = type { i64, [4 x i8] }
@a = private unnamed_addr constant [3 x i8] c"hi\\00", align 1
@b = external global ptr
@c = available_externally global i32 7
@d = internal global %s { i64 1, [4 x i8] zeroinitializer }
define available_externally i32 @elsewhere(ptr %0) {
  %2 = load i32, ptr %0
  ret i32 %2
}
define internal void @f(ptr byval(%s) %0, ...) #0 personality ptr @p {
  %2 = alloca [200 x i8], align 16
  %3 = load volatile i32, ptr @b
  store ptr @a, ptr %2
  %4 = invoke zeroext i1 (ptr, ...) @g(ptr noundef %2, i32 noundef 7, double 1.0, ptr @a, ptr byval(%s) %0) #1
          to label %5 unwind label %6

5:
  ret void

6:
  %7 = landingpad { ptr, i32 }
          cleanup
  call void asm sideeffect "nop", ""()
  resume { ptr, i32 } %7
}
attributes #0 = { sspstrong uwtable }
attributes #1 = { nounwind }
""")
    wanted = {"instructions": 10, "instructions elsewhere": 2, "functions": 1, "functions local": 1, "load": 1,
              "load from address": 1, "volatile": 1, "store of address": 1, "store to slot": 1, "slot bytes": 200,
              "functions of large frames": 1, "instructions of large frames": 8, "invoke": 1, "calls direct": 1,
              "calls variadic": 1, "calls asm": 1, "argument slot": 1, "argument constant": 2, "argument address": 1,
              "argument byval": 1, "argument words": 2, "argument floating": 1, "clauses": 1, "landingpad": 1,
              "personality": 1, "variable arguments": 1, "guarded": 1, "stack protector": 1, "uwtable": 1,
              "nounwind": 0, "globals external": 1, "data": 1, "data bytes": 16, "strings": 1, "string bytes": 3}
    assert {name: found[name] for name in wanted} == wanted


def test_anything_can_be_counted() -> None:
    for text in ("", "\0\n  \n  =\n  %1 =\n@\n@x = \ndefine \n}\n}\n", "  call void @f(\n  store\n  load i32\n",
                 "define void @f() {\n  %1 = alloca %none\n    i32 5, label %6\n  ]\n  br\n  getelementptr i8\n}\n",
                 "  switch i32 [", "@x = global [9 x\n@y = constant {{\n"):
        assert all(math.isfinite(number) for number in features(text))
    assert len(features("")) == len(NAMES) == len(set(NAMES))


def test_pass_lists_are_counted() -> None:
    found = pass_counts(PassList.parse("default<Oz>,function(sroa,loop(licm),sroa<modify-cfg>),cgscc(inline),reg2mem"))
    wanted = {"passes": 6, "kinds of passes": 5, "pass sroa": 2, "pass default<Oz>": 1, "last default<Oz>": 1 / 6,
              "last sroa": 1 / 3, "last reg2mem": 1, "group promotion": 3, "before promotion": 1,
              "last of promotion": 1 / 3, "last level default<Oz>": 1, "stays promoted": 0, "stays demoted": 1}
    assert found | wanted == found and "pass loop" not in found and "pass function" not in found
    assert pass_counts(PassList()) == {"passes": 0, "kinds of passes": 0, "stays promoted": 0, "stays demoted": 0}
    assert row(("passes", "none", "pass sroa"), {"x": 1}, found) == [6.0, 0.0, 2.0]


# --- the model ---


def test_a_model_by_hand() -> None:
    model = SizeModel({CONSTANT: 10.0, "ret": 5.0}, TREE)
    assert SizeModel.from_bytes(model.to_bytes()) == model
    text = "define void @f() {\n  ret void\n}\n"
    assert model.predict(text) == PredictedSizes(Sizes(1, 30))
    assert model.predict(text, PassList()) == PredictedSizes(Sizes(1, 30), Sizes(2, 30))
    table = model.predict(text, PassList.parse("instrorderfile,sroa,instrorderfile")).after
    assert table is not None and table.bytes > 2 * 2 * (1 << 20)
    with pytest.raises(InputError, match="holds neither code nor data"):
        model.predict("nothing")
    for data in (b"", b"text", model.to_bytes()[:-9], model.to_bytes().replace(b"{", b"[")):
        with pytest.raises(InputError, match="these bytes are no"):
            SizeModel.from_bytes(data)


def test_the_shipped_model_is_near(program: Program, pool: WorkerPool) -> None:
    model = size_model.shipped()
    assert len(model.trees.roots) == 3 and ESTIMATE in model.trees.names
    assert len(model.to_bytes()) < 1_500_000
    for passes in ("default<Oz>", "function(sroa)", "function(dce)", "default<O3>,instrorderfile"):
        listed = PassList.parse(passes)
        found, made = sizes.predict(program.ir, listed), sizes.measured(program, listed, pool)
        assert isinstance(made, PredictedSizes) and found.after is not None and made.after is not None
        assert found.before.instructions == made.before.instructions
        assert found.before.bytes == pytest.approx(made.before.bytes, rel=0.25)
        assert found.after.bytes == pytest.approx(made.after.bytes, rel=0.5)
        assert sizes.predict_bytes(program.ir, passes) == (found.before.bytes, found.after.bytes)
    promoted, untouched = (sizes.predict(program.ir, PassList.parse(text)).after for text in ("default<Oz>", "dce"))
    assert promoted is not None and untouched is not None and promoted.bytes < untouched.bytes
    with pytest.raises(PipelineError):
        sizes.predict_bytes(program.ir, "sroa(")


# --- the command ---


class Fake:
    """An engine that gives one answer, or raises."""

    name = "fake"
    context = 10_000

    def __init__(self, answer: Sample | Exception | None) -> None:
        self.answer = answer

    def count(self, prompt: str) -> int:
        return len(prompt) // 3

    def complete(self, prompt: str, **_: Any) -> Sequence[Sample]:
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer] if self.answer else []

    def close(self) -> None:
        pass


def test_the_command_prints_sizes(program: Program, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["predict-size", str(program.path), "--true", "--passes=sroa,default<Oz>"]) == 0
    told = capsys.readouterr()
    before, after = told.out.splitlines()
    assert before.startswith("before  ") and " bytes  (LLVM: " in before and not told.err
    assert after.startswith("after   ") and "(LLVM: " in after
    assert run(["predict-size", str(program.path), "--json", "--true"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["before"]["instructions"] == record["true"]["before"]["instructions"]
    assert record["after"] is record["passes"] is record["true"]["after"] is None and record["failure"] == ""
    assert run(["predict-size", str(program.path)]) == 0
    assert capsys.readouterr().out.count("\n") == 1


@pytest.mark.parametrize("name", ["f.ll", "f.bc", "f.cpp"])
def test_every_kind_of_input_is_read(program: Program, tmp_path: Path, name: str,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / name
    path.write_bytes({"ll": program.ir.encode(), "bc": program.bitcode, "cpp": b"int f() { return 1; }"}[name[2:]])
    assert run(["predict-size", str(path), "--json", "--passes=default<Oz>", "--true"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["before"]["instructions"] == record["true"]["before"]["instructions"]


def test_cflags_count(program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write_source(tmp_path, "d.c", "int f(int x) {\n#ifdef MORE\n  x = x / 3 * x;\n#endif\n  return x;\n}\n")
    for words, count in (((), 4), (("--", "-DMORE"), 9)):
        assert run(["predict-size", str(source), "--json", *words]) == 0
        assert json.loads(capsys.readouterr().out)["before"]["instructions"] == count


def test_a_language_model_is_asked(program: Program, monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    command = ["predict-size", str(program.path), "--model=fake"]
    right = Sample("<|sizes|>10 20 5 9<|code|>def", 9, False)
    for answer, form, passes, sentence in (
            (right, Form.COMPACT, "sroa", ""),
            (right, Form.COMPACT, None, "name one with --passes"),
            (right, Form.REFERENCE, "sroa", "tells sizes after its code only"),
            (Sample("nonsense", 1, True), Form.COMPACT, "sroa", "does not begin with four sizes"),
            (Sample("<|sizes|>10 20 5", 1, False), Form.COMPACT, "sroa", "does not begin with four sizes"),
            (None, Form.COMPACT, "sroa", "the model gave no answer"),
            (EngineError("the model is down"), Form.COMPACT, "sroa", "the model is down")):
        monkeypatch.setattr("llm_compiler.inference.backend.open_backend",
                            lambda model, told=answer, prompts=form, **_: Backend(Fake(told), prompts))
        code = run([*command, *([f"--passes={passes}"] if passes else [])])
        told = capsys.readouterr()
        assert (code, sentence in told.err) == (2 if sentence else 0, True)
        if not sentence:
            assert told.out == "before  10 instructions, 20 bytes\nafter   5 instructions, 9 bytes\n"


def test_misuse_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = write_source(tmp_path, "good.c", "int f(void) { return 1; }")
    binary, empty = tmp_path / "b.ll", tmp_path / "e.c"
    binary.write_bytes(bytes(range(256)))
    empty.touch()
    for words, sentence in (
            ([tmp_path / "none.c"], "does not exist"), ([tmp_path], "is a directory"), ([empty], "is empty"),
            ([binary], "cannot read it"), ([write_source(tmp_path, "x.txt", "x")], "unknown suffix"),
            ([write_source(tmp_path, "broken.c", "int f( {")], "error:"),
            ([write_source(tmp_path, "none.ll", "declare void @f()\n")], "holds neither code nor data"),
            ([good, "--passes=no-such-pass"], "no pass 'no-such-pass'"), ([good, "--passes=sroa("], "pass list: ")):
        assert run(["predict-size", *map(str, words)]) == 2, sentence
        told = capsys.readouterr()
        assert sentence in told.err and told.err.count("\n") == 1 and not told.out


def test_a_failure_of_llvm_is_told(program: Program, monkeypatch: pytest.MonkeyPatch,
                                   capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sizes, "measured", lambda *_: batches.Failure("crashed", "SIGSEGV"))
    assert run(["predict-size", str(program.path), "--true"]) == 1
    told = capsys.readouterr()
    assert told.out.startswith("before  ") and "nothing" not in told.out
    assert told.err == "llmc: LLVM gives no sizes to compare with: crashed SIGSEGV\n"
