"""Emulation by a model: what a pass list makes of a program, checked to be code at all, and compared with LLVM's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any

from llm_compiler.errors import CompileError, InputError
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.inference.roundtrip import assembled
from llm_compiler.llvm import frontend, library
from llm_compiler.llvm.job import Outcome, Reading, Status
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.objectfile import measure, with_init_arrays
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.target import X86_64, Profile, architecture
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models.engine import Sample
from llm_compiler.tasks import batches, lowering
from llm_compiler.tasks.assembly import compact_assembly
from llm_compiler.tasks.compact import compact, expand
from llm_compiler.tasks.emulating import Emulated as Made
from llm_compiler.tasks.emulating import Order, emulate
from llm_compiler.tasks.prompts import EmulationPrompt, Output, Sizes, Unparsed
from llm_compiler.tuning.source import check_source, inspect

_LEAST_ANSWER = 64  # tokens
_SAMPLED = 0.6  # temperature of all samples but the first
_LONGEST = 16 << 20  # characters of an answer
_ARCHITECTURE = "x86_64"
_PLACE = re.compile(r"^.*\.s:(\d+):\d+: error: ")


@dataclass(frozen=True)
class Program:
    """An input made ready. ir: unoptimised, as LLVM prints it. bitcode: the same."""

    path: Path
    ir: str = field(repr=False)
    bitcode: bytes = field(repr=False)


class Verdict(StrEnum):
    """What is known of an answer. compiles: LLVM's verifier takes the IR and the back end lowers it; assembly
    assembles. unreadable: the answer is not in the form of answers.
    """

    COMPILES = "compiles"
    BROKEN = "broken"
    CUT_OFF = "cut off"
    UNREADABLE = "unreadable"


@dataclass(frozen=True)
class Answer:
    """An answer and what was found out.

    code: IR as LLVM prints it when it compiles; else what the model wrote. before, after: sizes that the answer tells.
    measured: those of its IR, where it compiles (assembly lacks the unwind tables in the compact form).
    """

    verdict: Verdict
    reason: str = ""
    code: str = ""
    before: Sizes | None = None
    after: Sizes | None = None
    measured: Sizes | None = None
    logprob: float | None = None
    tokens: int = 0

    @property
    def key(self) -> tuple[bool, float]:
        """The better, the smaller: what compiles first, then what is likelier."""
        return self.verdict is not Verdict.COMPILES, float("inf") if self.logprob is None else -self.logprob

    def as_record(self) -> dict[str, Any]:
        return {"verdict": str(self.verdict), "reason": self.reason, "code": self.code,
                "before": size_record(self.before), "after": size_record(self.after),
                "measured": size_record(self.measured), "logprob": self.logprob, "tokens": self.tokens}


@dataclass(frozen=True)
class Comparison:
    """What LLVM itself gives, beside an answer. size: of its result; None where it failed, and `failure` says how."""

    identical: bool = False
    size: Sizes | None = None
    failure: str = ""

    @property
    def sentence(self) -> str:
        if self.size is None:
            return f"LLVM gives nothing to compare with: {self.failure}"
        return f"{'identical to' if self.identical else 'differs from'} what LLVM gives, {words(self.size)}"

    def as_record(self) -> dict[str, Any]:
        return {"identical": self.identical, "size": size_record(self.size), "failure": self.failure}


def words(size: Sizes) -> str:
    return f"{size.instructions} instructions, {size.bytes} bytes"


def size_record(size: Sizes | None) -> dict[str, int] | None:
    """For JSON."""
    return None if size is None else {"instructions": size.instructions, "bytes": size.bytes}


# --- in the worker -----------------------------------------------------------------------------------------------


def print_module(data: bytes) -> tuple[str, bytes]:
    """IR text and bitcode of a file's bytes, without names of values. Raises InputError."""
    bitcode = lowering.normalise(data)
    return lowering.text_of(bitcode), bitcode


def judge(compacted: bool, data: bytes) -> tuple[str, Sizes]:
    """An answer's IR as LLVM prints it, and its sizes. Raises InputError with what LLVM says against it."""
    text = data.decode(errors="replace")
    bitcode = lowering.normalise((expand(text) if compacted else text).encode())
    return lowering.text_of(bitcode), measure_module(bitcode)


def measure_module(data: bytes) -> Sizes:
    """Instructions, and bytes at code generation level -O0. Raises InputError."""
    with Context(library.load()) as context:
        module = context.parse(data)
        instructions = module.count_instructions()
        machine = lowering.machine(lowering.lowering_for(module, Profile.PAPER))
        return Sizes(instructions, measure(with_init_arrays(lowering.emit(module, machine))).total)


# --- in this process ---------------------------------------------------------------------------------------------


def read_program(path: Path, folder: Path, pool: WorkerPool, *, cflags: Sequence[str] = ()) -> Program:
    """A C, C++, IR or bitcode file, unoptimised. folder: takes bitcode. Raises LlmcError."""
    check_source(path)
    given = path
    if path.suffix not in frontend.IR_SUFFIXES:
        given = folder / "unoptimised.bc"
        frontend.emit_unoptimised(frontend.clang_for(X86_64, frontend.is_cxx(path)), path, cflags, given)
    triple = inspect(pool, given).triple
    if triple and architecture(triple) != _ARCHITECTURE:
        raise InputError(f"{path} is for {triple}; only x86-64 is emulated")
    outcome = pool.run(Reading(given, print_module))
    if not isinstance(outcome.value, tuple):
        raise InputError(f"{path}: {_said(outcome)}")
    ir, bitcode = outcome.value
    return Program(path, ir, bitcode)


def truth(program: Program, passes: PassList, pool: WorkerPool) -> Made | batches.Failure:
    """What LLVM itself makes of a program, with sizes at code generation level -O0."""
    [found] = batches.batch(pool, emulate, [Order(program.bitcode, passes.text, Profile.PAPER)])
    return found


def ask(program: Program, passes: PassList, output: Output, backend: Backend, pool: WorkerPool, folder: Path, *,
        samples: int = 1, temperature: float | None = None, seed: int = 0) -> list[Answer]:
    """A model's answers, checked, best first: see `Answer.key`.

    The first sample is the most likely one, unless `temperature` is given. Raises InputError for a program that does
    not fit into the model's context, EngineError when the model cannot be run.
    """
    if samples < 1:
        raise InputError("at least one sample is needed")
    if temperature is not None and temperature < 0:
        raise InputError("a temperature is not negative")
    if not passes:
        raise InputError("the pass list is empty: there is nothing to emulate")
    before = measured_before(program, pool) if backend.form is Form.REFERENCE else Sizes(0, 0)
    if isinstance(before, batches.Failure):
        raise InputError(f"{program.path} cannot be lowered: {before.reason} {before.message}".strip())
    text = prompt(program, passes, output, backend, before)
    length, context = backend.engine.count(text), backend.engine.context
    tokens = min(context - length, max(_LEAST_ANSWER, 4 * length))
    if tokens < _LEAST_ANSWER:
        raise InputError(f"{program.path} makes a prompt of {length} tokens; the model takes {context} with the answer")
    found: dict[str, Sample] = {}
    for count, warmth in _rounds(samples, temperature):
        for sample in backend.engine.complete(text, samples=count, tokens=tokens, temperature=warmth, seed=seed):
            found.setdefault(sample.text, sample)
    return sorted((check(sample, output, backend, pool, folder) for sample in found.values()),
                  key=lambda answer: answer.key)


def prompt(program: Program, passes: PassList, output: Output, backend: Backend, before: Sizes = Sizes(0, 0)) -> str:
    """The text that a model is asked. before: told in the reference's form."""
    ir = compact(program.ir) if backend.form is Form.COMPACT else program.ir
    return backend.prompt(EmulationPrompt(ir, passes.text, output, before))


def measured_before(program: Program, pool: WorkerPool) -> Sizes | batches.Failure:
    """Sizes of a program as it is, by LLVM."""
    [found] = batches.batch(pool, measure_module, [program.bitcode])
    return found


def _rounds(samples: int, temperature: float | None) -> list[tuple[int, float]]:
    """How many samples are asked for at a time, and at which temperature."""
    if temperature is not None:
        return [(samples if temperature else 1, temperature)]
    return [(1, 0.0), (samples - 1, _SAMPLED)] if samples > 1 else [(1, 0.0)]


def check(sample: Sample, output: Output, backend: Backend, pool: WorkerPool, folder: Path) -> Answer:
    """Whether an answer is code. Nothing that LLVM does over it comes through."""
    told = backend.emulated(sample)
    if isinstance(told, Unparsed):
        return Answer(Verdict.UNREADABLE, told.reason, sample.text, logprob=sample.logprob, tokens=sample.tokens)
    answer = Answer(Verdict.BROKEN, "", told.code, told.before, told.after, None, sample.logprob, sample.tokens)
    if told.truncated:
        return replace(answer, verdict=Verdict.CUT_OFF, reason="the answer has no end")
    if not told.code.strip():
        return replace(answer, reason="it holds no code")
    if len(told.code) > _LONGEST:
        return replace(answer, reason=f"it has more than {_LONGEST >> 20} MB")
    if output is Output.ASSEMBLY:
        return _checked_assembly(answer)
    path = folder / "answer.txt"
    path.write_bytes(told.code.encode(errors="replace"))
    outcome = pool.run(Reading(path, partial(judge, backend.form is Form.COMPACT)))
    if not isinstance(outcome.value, tuple):
        return replace(answer, reason=_said(outcome))
    text, size = outcome.value
    return replace(answer, verdict=Verdict.COMPILES, code=text, measured=size)


def _checked_assembly(answer: Answer) -> Answer:
    try:
        assembled(answer.code, _ARCHITECTURE, labels=False)
    except CompileError as error:
        return replace(answer, reason=_PLACE.sub(r"line \1: ", str(error)))
    return replace(answer, verdict=Verdict.COMPILES)


def compare(answer: Answer, program: Program, passes: PassList, output: Output, backend: Backend, pool: WorkerPool,
            folder: Path) -> Comparison:
    """Run LLVM, and compare: IR as LLVM prints it without names of values, assembly without comments and what gives no
    code.
    """
    true = truth(program, passes, pool)
    if isinstance(true, batches.Failure):
        return Comparison(failure=f"{true.reason} {true.message}".strip())
    found = Comparison(size=Sizes(true.instructions[1], true.sizes[1].total))
    if answer.verdict is not Verdict.COMPILES:
        return found
    if output is Output.ASSEMBLY:
        return replace(found, identical=compact_assembly(answer.code) == compact_assembly(true.assembly))
    path = folder / "true.ll"
    # What the compact form leaves out cannot be asked of an answer.
    path.write_text(expand(compact(true.after)) if backend.form is Form.COMPACT else true.after, errors="replace")
    outcome = pool.run(Reading(path, print_module))
    return replace(found, identical=isinstance(outcome.value, tuple) and outcome.value[0] == answer.code)


def _said(outcome: Outcome) -> str:
    """Why the worker gave nothing, in words."""
    if outcome.status is Status.INVALID:
        return " ".join(outcome.message.removeprefix("input: ").split())
    what = {Status.TIMED_OUT: "LLVM takes too long over it", Status.OUT_OF_MEMORY: "LLVM needs too much memory for it"}
    return what.get(outcome.status, "LLVM crashes over it")
