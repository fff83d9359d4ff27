"""Emulation by models that are written by hand: right, wrong, cut off, nonsense, dead. LLVM has the last word."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from llm_compiler.cli import run
from llm_compiler.errors import InputError
from llm_compiler.inference import emulation
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.inference.emulation import Answer, Program, Verdict, compare, read_program
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models.engine import EngineError, Sample
from llm_compiler.tasks import prompts
from llm_compiler.tasks.assembly import compact_assembly
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.prompts import EmulationPrompt, Output, Sizes
from llm_compiler.tuning.source import small_pool
from support import write_source

SOURCE = "int twice(int x) { int y = x; return y + y; }\nint four(int x) { return twice(twice(x)); }\n"
PASSES = PassList.parse("function(sroa)")
BROKEN = "define i32 @twice(i32 %0) {\n  %2 = add i32 %0, %9\n  ret i32 %2\n}\n"


class Fake:
    """An engine that answers what it is given, and keeps what it was asked."""

    name = "fake"

    def __init__(self, *answers: Sample | Exception, context: int = 100_000) -> None:
        self.answers = answers
        self.context = context
        self.asked: list[tuple[str, int, float]] = []
        self.closed = False

    def count(self, prompt: str) -> int:
        return len(prompt) // 3

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        self.asked.append((prompt, samples, temperature))
        for answer in self.answers:
            if isinstance(answer, Exception):
                raise answer
        start = 0 if not temperature else 1
        return [answer for answer in self.answers[start : start + samples] if isinstance(answer, Sample)]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with small_pool() as pool:
        yield pool


@pytest.fixture
def program(tmp_path: Path, pool: WorkerPool) -> Program:
    return read_program(write_source(tmp_path, "f.c", SOURCE), tmp_path, pool)


def right(program: Program, pool: WorkerPool, form: Form, output: Output = Output.IR) -> str:
    """LLVM's own result as the answer of a model."""
    made = emulation.truth(program, PASSES, pool)
    assert isinstance(made, emulation.Made)
    before, after = (Sizes(count, size.total) for count, size in zip(made.instructions, made.sizes, strict=True))
    code = made.after if output is Output.IR else made.assembly
    if form is Form.REFERENCE:
        return prompts.emulation_answer(code, after)
    short = compact(code) if output is Output.IR else compact_assembly(code)
    return prompts.compact_emulation_answer(short, before, after).removesuffix(prompts.END)


@pytest.mark.parametrize("output", list(Output))
@pytest.mark.parametrize("form", list(Form))
def test_the_right_answer_is_identical(program: Program, pool: WorkerPool, tmp_path: Path, form: Form,
                                       output: Output) -> None:
    engine = Fake(Sample(right(program, pool, form, output), 9, True, -1.0))
    backend = Backend(engine, form)
    [answer] = emulation.ask(program, PASSES, output, backend, pool, tmp_path)
    compared = compare(answer, program, PASSES, output, backend, pool, tmp_path)
    assert (answer.verdict, answer.reason, compared.identical) == (Verdict.COMPILES, "", True)
    assert compared.size == answer.after
    assert answer.measured == (answer.after if output is Output.IR else None)
    assert "identical to what LLVM gives, " in compared.sentence


def test_the_prompts_are_those_of_the_training_data(program: Program, pool: WorkerPool, tmp_path: Path) -> None:
    made = emulation.truth(program, PASSES, pool)
    assert isinstance(made, emulation.Made)
    before = Sizes(made.instructions[0], made.sizes[0].total)
    wanted = {
        Form.REFERENCE: EmulationPrompt(made.before, PASSES.text, Output.IR, before).reference(),
        Form.COMPACT: EmulationPrompt(compact(made.before), PASSES.text, Output.IR).compact()}
    for form, text in wanted.items():
        engine = Fake(Sample("", 0, True))
        emulation.ask(program, PASSES, Output.IR, Backend(engine, form), pool, tmp_path, samples=3)
        assert engine.asked == [(text, 1, 0.0), (text, 2, 0.6)]


def test_what_compiles_comes_first_then_what_is_likelier(program: Program, pool: WorkerPool, tmp_path: Path) -> None:
    good, other = right(program, pool, Form.REFERENCE), prompts.emulation_answer(program.ir, Sizes(1, 2))
    engine = Fake(Sample(prompts.emulation_answer(BROKEN, Sizes(1, 1)), 5, True, -0.1), Sample(other, 5, True, -9.0),
                  Sample(good, 5, True, -3.0), Sample("no code", 5, True, -0.2), Sample(good, 5, True, -3.0))
    found = emulation.ask(program, PASSES, Output.IR, Backend(engine, Form.REFERENCE), pool, tmp_path, samples=5)
    assert [(answer.verdict, answer.logprob) for answer in found] == [
        (Verdict.COMPILES, -3.0), (Verdict.COMPILES, -9.0), (Verdict.BROKEN, -0.1), (Verdict.UNREADABLE, -0.2)]
    best, second = found[:2]
    assert second.after == Sizes(1, 2) and second.measured is not None and second.measured.instructions > 8
    for answer, identical in ((best, True), (second, False), (found[2], False)):
        compared = compare(answer, program, PASSES, Output.IR, Backend(engine, Form.REFERENCE), pool, tmp_path)
        assert compared.identical is identical and compared.size == best.after
    assert Answer(Verdict.COMPILES).key > Answer(Verdict.COMPILES, logprob=-99.0).key


@pytest.mark.parametrize(("form", "sample", "verdict", "reason"), [
    (Form.COMPACT, Sample("<|sizes|>1 2 3 4<|code|>define", 3, False), Verdict.CUT_OFF, "no end"),
    (Form.COMPACT, Sample("<|sizes|>1 2 3 4", 3, True), Verdict.CUT_OFF, "no end"),
    (Form.COMPACT, Sample("<|sizes|>1 2 3 4<|code|>\x00\udcff %%%", 3, True), Verdict.BROKEN, "expected top-level"),
    (Form.COMPACT, Sample("<|sizes|>1 2 3 4<|code|> \n", 3, True), Verdict.BROKEN, "holds no code"),
    (Form.COMPACT, Sample("nonsense", 3, True), Verdict.UNREADABLE, "four sizes"),
    (Form.COMPACT, Sample("", 0, True), Verdict.UNREADABLE, "four sizes"),
    (Form.REFERENCE, Sample("<code>define void @f() {", 3, False), Verdict.CUT_OFF, "no end"),
    (Form.REFERENCE, Sample(f"<code>{BROKEN}</code>", 3, True), Verdict.BROKEN, "undefined value '%9'"),
    (Form.REFERENCE, Sample("<code>define void @f() {\n ret i32 0\n}</code>", 3, True), Verdict.BROKEN, "ret"),
    (Form.REFERENCE, Sample("I cannot do that.", 3, True), Verdict.UNREADABLE, "no <code>"),
])
def test_what_is_no_code_is_told(program: Program, pool: WorkerPool, tmp_path: Path, form: Form, sample: Sample,
                                 verdict: Verdict, reason: str) -> None:
    [answer] = emulation.ask(program, PASSES, Output.IR, Backend(Fake(sample), form), pool, tmp_path)
    assert answer.verdict is verdict and reason in answer.reason and answer.measured is None


def test_assembly_that_does_not_assemble_is_broken(program: Program, pool: WorkerPool, tmp_path: Path) -> None:
    engine = Fake(Sample("<code>twice:\n\tnot an instruction\n</code>", 3, True))
    [answer] = emulation.ask(program, PASSES, Output.ASSEMBLY, Backend(engine, Form.REFERENCE), pool, tmp_path)
    assert answer.verdict is Verdict.BROKEN and answer.reason.startswith("line 2: ")


def test_what_kills_llvm_costs_an_answer(program: Program, pool: WorkerPool, tmp_path: Path) -> None:
    deadly = ('target triple = "x86_64-unknown-linux-gnu"\ndefine void @f() {\n'
              "  call void @llvm.aarch64.hint(i32 1)\n  ret void\n}\ndeclare void @llvm.aarch64.hint(i32)\n")
    good = right(program, pool, Form.REFERENCE)
    engine = Fake(Sample(f"<code>{deadly}</code>", 3, True, -1.0), Sample(good, 3, True, -2.0))
    found = emulation.ask(program, PASSES, Output.IR, Backend(engine, Form.REFERENCE), pool, tmp_path, samples=2)
    assert [answer.verdict for answer in found] == [Verdict.COMPILES, Verdict.BROKEN]
    assert found[1].reason == "LLVM crashes over it"


def test_bad_calls_are_told(program: Program, pool: WorkerPool, tmp_path: Path) -> None:
    backend = Backend(Fake(context=100), Form.COMPACT)
    with pytest.raises(InputError, match=r"f\.c makes a prompt of \d+ tokens; the model takes 100"):
        emulation.ask(program, PASSES, Output.IR, backend, pool, tmp_path)
    for options, sentence in (({"samples": 0}, "at least one"), ({"temperature": -1.0}, "not negative")):
        with pytest.raises(InputError, match=sentence):
            emulation.ask(program, PASSES, Output.IR, backend, pool, tmp_path, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the pass list is empty"):
        emulation.ask(program, PassList(), Output.IR, backend, pool, tmp_path)
    assert emulation.ask(program, PASSES, Output.IR, Backend(Fake(), Form.COMPACT), pool, tmp_path) == []


def test_a_failure_of_llvm_is_told(program: Program, pool: WorkerPool, tmp_path: Path) -> None:
    compared = compare(Answer(Verdict.COMPILES), program, PassList.parse("no-such-pass"), Output.IR,
                       Backend(Fake(), Form.COMPACT), pool, tmp_path)
    assert compared.size is None and compared.sentence.startswith("LLVM gives nothing to compare with: refused by LLVM")


# --- the command ---


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, program: Program) -> Any:
    """Runs `llmc emulate` with an engine; gives the exit code."""

    def emulate(engine: Fake, *more: str, source: Path = program.path, passes: str = "sroa") -> int:
        monkeypatch.setattr("llm_compiler.inference.backend.open_backend",
                            lambda model, **_: Backend(engine, Form.REFERENCE))
        return run(["emulate", str(source), f"--passes={passes}", "--model=fake", *more])

    return emulate


def test_the_command_prints_code_with_sizes(command: Any, program: Program, pool: WorkerPool,
                                            capsys: pytest.CaptureFixture[str]) -> None:
    answer = right(program, pool, Form.REFERENCE)
    engine = Fake(Sample(answer, 9, True, -1.0))
    assert command(engine, "--true") == 0
    told = capsys.readouterr()
    after = prompts.parse_emulation(answer)
    assert isinstance(after, prompts.Emulated) and after.after is not None
    size = f"{after.after.instructions} instructions, {after.after.bytes} bytes"
    assert told.out.startswith(f"; compiles; predicted: {size}\n") and "define dso_local i32 @twice" in told.out
    assert told.err == f"llmc: identical to what LLVM gives, {size}\n" and engine.closed
    assert command(engine, "--true", "--json") == 0
    record = json.loads(capsys.readouterr().out)
    assert record["true"] == {"identical": True, "size": record["after"], "failure": ""}
    assert record["verdict"] == "compiles" and record["passes"] == "function(sroa)" and record["answers"] == 1


def test_the_command_prints_assembly(command: Any, program: Program, pool: WorkerPool,
                                     capsys: pytest.CaptureFixture[str]) -> None:
    engine = Fake(Sample(right(program, pool, Form.REFERENCE, Output.ASSEMBLY), 9, True, -1.0))
    assert command(engine, "--output=asm", "--true") == 0
    told = capsys.readouterr()
    assert told.out.startswith("# compiles; ") and "retq" in told.out and "identical" in told.err


def test_the_command_fails_without_code(command: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for engine, sentence in ((Fake(Sample("sorry", 1, True)), "; unreadable: the answer holds no <code>"),
                             (Fake(), "; unreadable: the model gave no answer"),
                             (Fake(Sample(f"<code>{BROKEN}</code>", 1, True)), "; broken: ")):
        assert command(engine) == 1
        assert capsys.readouterr().out.startswith(sentence)


def test_misuse_is_one_sentence(command: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    binary, empty = tmp_path / "b.bc", tmp_path / "e.ll"
    binary.write_bytes(b"\x7fELF\0\1\2")
    empty.touch()
    arm = write_source(tmp_path, "arm.ll", 'target triple = "aarch64-linux-gnu"\ndefine void @f() {\n  ret void\n}\n')
    fake = Fake(Sample("x", 1, True))
    for call, sentence in (
            (lambda: command(fake, source=tmp_path / "none.c"), "does not exist"),
            (lambda: command(fake, source=empty), "is empty"),
            (lambda: command(fake, source=binary), "cannot read it"),
            (lambda: command(fake, source=tmp_path / "f.c", passes="no-such-pass"), "no pass 'no-such-pass'"),
            (lambda: command(fake, source=tmp_path / "f.c", passes="sroa("), "pass list: a pass name is missing"),
            (lambda: command(fake, source=arm), "only x86-64 is emulated"),
            (lambda: command(fake, "--output=object"), "there is no output 'object'"),
            (lambda: command(Fake(context=70)), "the model takes 70 with the answer"),
            (lambda: command(Fake(EngineError("the server is down"))), "the server is down"),
            (lambda: run(["emulate", str(tmp_path / "f.c"), "--passes=sroa"]), "--model")):
        assert call() == 2, sentence
        told = capsys.readouterr()
        assert sentence in told.err and told.err.count("\n") == 1 and not told.out
