"""Disassembly by a model or by rules: each answer is lowered back and compared with the code that it was asked about.

identical: lowered back, it is the same code, to the last constant it refers to. equivalent: it is other code, which did
the same on every input that was run, in every block of both. differs, failed: anything else.
"""

from __future__ import annotations

import difflib
import re
import shutil
import struct
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from llm_compiler.errors import InputError, LlmcError
from llm_compiler.inference import roundtrip
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.inference.code import UNENDED, Code, difference
from llm_compiler.inference.cutting import cut
from llm_compiler.inference.execution import run_beside
from llm_compiler.inference.functions import Function
from llm_compiler.inference.reassembly import assemblies
from llm_compiler.inference.roundtrip import Answer, Refused
from llm_compiler.llvm.frontend import temporary_folder
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models.engine import Sample
from llm_compiler.paths import cache_folder
from llm_compiler.tasks.assembly import compact_assembly, compact_listing
from llm_compiler.tasks.listings import PLACE, defined_elsewhere, dump, link
from llm_compiler.tasks.prompts import Unparsed

_LIMITS = Limits(20.0, 3 << 30)
_LEAST_ANSWER = 128  # tokens
_SAMPLED = 0.6  # temperature of all samples but the first
_LABEL = re.compile(r"(?<![\w.$])(?:\.L[\w.$]+|L\d+(?=:|$))")
_IN_FILE = re.compile(r"\b0x[0-9a-f]+(?=\(%rip\))")


class Verdict(StrEnum):
    """What is known of an answer, or of a function: too_long: it was not asked, it does not fit into the context."""

    IDENTICAL = "identical"
    EQUIVALENT = "equivalent"
    DIFFERS = "differs"
    FAILED = "failed"
    TOO_LONG = "too_long"

    @property
    def good(self) -> bool:
        return self in (Verdict.IDENTICAL, Verdict.EQUIVALENT)


_ORDER = list(Verdict)


@dataclass(frozen=True)
class Checked:
    """An answer and what was found out. ir: as LLVM prints it; empty where it is none.

    similarity: of the instructions, from 0 to 1. inputs: on which it was run beside the original. codegen: the code
    generation level at which it comes nearest.
    """

    verdict: Verdict
    reason: str = ""
    ir: str = ""
    codegen: str = ""
    similarity: float = 0.0
    inputs: int = 0

    @property
    def sentence(self) -> str:
        if self.verdict is Verdict.EQUIVALENT:
            return f"equivalent on {self.inputs} inputs"
        return f"{self.verdict.replace('_', ' ')}: {self.reason}" if self.reason else str(self.verdict)

    @property
    def key(self) -> tuple[int, float]:
        """The better, the smaller."""
        return _ORDER.index(self.verdict), -self.similarity


@dataclass(frozen=True)
class Disassembled:
    """A function with the best of its answers. answers: how many different ones were checked."""

    function: str
    target: str
    best: Checked
    answers: int = 0
    prompt_tokens: int = 0
    seconds: float = 0.0

    def as_record(self) -> dict[str, Any]:
        best = self.best
        return {"function": self.function, "target": self.target, "verdict": str(best.verdict), "reason": best.reason,
                "inputs": best.inputs, "codegen": best.codegen, "similarity": round(best.similarity, 4),
                "answers": self.answers, "prompt_tokens": self.prompt_tokens, "seconds": round(self.seconds, 3),
                "ir": best.ir}


class Checker:
    """Compares answers with original code. Close it, or use it as a context manager. run: execute both, too, where
    code differs and can be run here.
    """

    def __init__(self, *, run: bool = True, seed: int = 0) -> None:
        self._run = run
        self._seed = seed
        self._pool = WorkerPool(1, _LIMITS, cache_folder() / "crashes")
        self._folder = temporary_folder()
        self._codes: tuple[Function, Code] | None = None

    def close(self) -> None:
        self._pool.close()
        self._folder.cleanup()

    def __enter__(self) -> Checker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self, function: Function, code: str, *, compact: bool = False) -> Checked:
        """Check an answer: IR text, or its compact form. Raises LlmcError when the original itself is unusable."""
        original = self._original(function)
        folder = Path(self._folder.name)
        answer = roundtrip.judge(self._pool, folder, code, function.name, function.target, compact=compact)
        if isinstance(answer, Refused):
            return Checked(Verdict.FAILED, answer.reason)
        if answer.assembly and (function.listing or "#APP" not in function.shown):
            return Checked(Verdict.FAILED, "it holds inline assembly", answer.text)
        tried: list[tuple[Checked, str]] = []
        for codegen in roundtrip.CODEGENS:
            text = roundtrip.lowered(self._pool, folder, answer, function.target, codegen)
            found, again = self._compared(function, original, answer, text)
            found = replace(found, codegen=codegen)
            if found.verdict is Verdict.IDENTICAL:
                return found
            tried.append((found, again))
        best, again = min(tried, key=lambda item: item[0].key)
        if best.verdict is not Verdict.DIFFERS or not self._run or function.target != "x86_64" or answer.assembly:
            return best
        shown = function.shown if function.elf is None else _standing_alone(function, original)
        return best if shown is None else self._executed(function.name, shown, answer, again, best)

    def _original(self, function: Function) -> Code:
        if self._codes is None or self._codes[0] is not function:
            self._codes = function, function.code()
        return self._codes[1]

    def _compared(self, function: Function, original: Code, answer: Answer,
                  text: str | Refused) -> tuple[Checked, str]:
        if isinstance(text, Refused):
            return Checked(Verdict.FAILED, text.reason, answer.text), ""
        again = cut(text).get(function.name)
        if again is None:
            return Checked(Verdict.FAILED, "its code cannot be found in its assembly", answer.text), ""
        try:
            reason = difference(original, roundtrip.code_of(again, function.name, function.target))
            if not reason:
                return Checked(Verdict.IDENTICAL, ir=answer.text, similarity=1.0), again
            ours, theirs = _lines(function), _lines_again(function, answer, again)
        except (LlmcError, struct.error, IndexError) as error:
            return Checked(Verdict.FAILED, f"its code cannot be compared: {error}", answer.text), ""
        similarity = difflib.SequenceMatcher(None, ours, theirs, autojunk=False).ratio()
        told = reason if reason == UNENDED else _first(ours, theirs) or reason  # else linking shows other lines
        return Checked(Verdict.DIFFERS, told, answer.text, similarity=similarity), again

    def _executed(self, name: str, shown: str, answer: Answer, again: str, found: Checked) -> Checked:
        folder = Path(tempfile.mkdtemp(dir=self._folder.name))
        try:
            outcome = run_beside(self._pool, folder, name, shown, again, answer.bitcode, seed=self._seed)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if outcome.equal:
            return replace(found, verdict=Verdict.EQUIVALENT, reason="", inputs=outcome.inputs)
        return replace(found, reason=f"{found.reason}; {outcome.reason}", inputs=outcome.inputs)


def _standing_alone(function: Function, original: Code) -> str | None:
    """Assembly of a listed function that can be run: it gives the same code, to the last constant; None without any."""
    if any(section.name.startswith(".gcc_except_table") and section.size for section in original.image.sections):
        return None  # the function's own handlers cannot be told from others'
    try:
        shown = assemblies(function)[0]
        return None if difference(original, roundtrip.code_of(shown, function.name, function.target)) else shown
    except (LlmcError, struct.error, IndexError):
        return None


def _lines(function: Function) -> list[str]:
    return _normal((compact_listing if function.listing else compact_assembly)(function.shown))


def _lines_again(function: Function, answer: Answer, again: str) -> list[str]:
    if not function.listing:
        return _normal(compact_assembly(again))
    elsewhere = defined_elsewhere(answer.text)
    linked = link([roundtrip.assembled(again, function.target, labels=False)], function.target, elsewhere)
    shown = {} if linked is None else dump(linked, function.target, dict.fromkeys(elsewhere, PLACE))
    return _normal(compact_listing(shown.get(function.name, "")))


def _normal(text: str) -> list[str]:
    """Instructions and data, with labels numbered as they come and constants of linked files without their place."""
    names: dict[str, str] = {}
    text = _LABEL.sub(lambda match: names.setdefault(match[0], f".L{len(names)}"), text)
    text = _IN_FILE.sub("", text.replace("@plt", "").replace("@PLT", ""))
    return [line for line in text.splitlines() if line and not line.startswith((".globl", ".weak", ".hidden", ".text"))]


def _first(ours: Sequence[str], theirs: Sequence[str]) -> str:
    """The first line that is another."""
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return f"line {number + 1} `{one}` comes back as `{other}`"
    if len(ours) != len(theirs):
        return f"{len(theirs)} lines come back for {len(ours)}"
    return ""


# --- asking ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Proposal:
    """An answer to be checked: IR text, or its compact form. told: what is known of it without a check.

    prompt_tokens: of the question that it answers.
    """

    code: str = ""
    compact: bool = False
    told: Checked | None = None
    prompt_tokens: int = 0


class Proposer(Protocol):
    """What gives answers: a model, or rules."""

    def proposals(self, function: Function) -> Iterator[Proposal]:
        """Answers for a function, the likelier first; not asked for any more behind one that is identical.

        Raises EngineError when it cannot be run.
        """


def disassemble(functions: Sequence[Function], source: Backend | Proposer, *, samples: int = 1,
                temperature: float | None = None, seed: int = 0, run: bool = True) -> Iterator[Disassembled]:
    """Get the IR of each function and check the answers, in order.

    samples, temperature: of a model. The first answer is the most likely one, unless `temperature` is given; further
    ones are sampled when it is not identical. Raises EngineError when the model cannot be run.
    """
    if samples < 1:
        raise InputError("at least one sample is needed")
    if temperature is not None and temperature < 0:
        raise InputError("a temperature is not negative")
    proposer = _Asking(source, samples, temperature, seed) if isinstance(source, Backend) else source
    with Checker(run=run, seed=seed) as checker:
        for function in functions:
            yield _one(function, proposer, checker)


def _one(function: Function, proposer: Proposer, checker: Checker) -> Disassembled:
    started = time.monotonic()
    best = Checked(Verdict.FAILED, "the model gave no answer")
    answers = length = 0
    for proposal in proposer.proposals(function):
        length = proposal.prompt_tokens
        found = proposal.told or _checked(function, checker, proposal)
        answers += found.verdict is not Verdict.TOO_LONG
        best = found if answers < 2 or found.key < best.key else best
        if best.verdict is Verdict.IDENTICAL:
            break
    return Disassembled(function.name, function.target, best, answers, length, time.monotonic() - started)


def _checked(function: Function, checker: Checker, proposal: Proposal) -> Checked:
    try:
        return checker.check(function, proposal.code, compact=proposal.compact)
    except LlmcError as error:
        return Checked(Verdict.FAILED, f"the original cannot be read: {error}")


@dataclass(frozen=True)
class _Asking:
    """A model that is asked."""

    backend: Backend
    samples: int
    temperature: float | None
    seed: int

    def proposals(self, function: Function) -> Iterator[Proposal]:
        backend = self.backend
        compact = backend.form is Form.COMPACT
        prompt = backend.prompt(function.prompt(compact=compact))
        length, context = backend.engine.count(prompt), backend.engine.context
        tokens = min(context - length, max(_LEAST_ANSWER, 4 * length))
        if tokens < max(_LEAST_ANSWER, length // 2):
            reason = f"its prompt has {length} tokens, the model takes {context} with the answer"
            yield Proposal(told=Checked(Verdict.TOO_LONG, reason), prompt_tokens=length)
            return
        seen: set[str] = set()
        for number, warmth in _rounds(self.samples, self.temperature):
            try:
                answers = backend.engine.complete(prompt, samples=number, tokens=tokens, temperature=warmth,
                                                  seed=self.seed)
            except InputError as error:  # where `count` is an estimate
                yield Proposal(told=Checked(Verdict.TOO_LONG, str(error)), prompt_tokens=length)
                return
            for sample in answers:
                if sample.text not in seen:
                    seen.add(sample.text)
                    yield self._proposal(sample, compact, length)

    def _proposal(self, sample: Sample, compact: bool, length: int) -> Proposal:
        code = self.backend.code(sample)
        if isinstance(code, Unparsed):
            return Proposal(told=Checked(Verdict.FAILED, code.reason), prompt_tokens=length)
        if code.truncated:
            return Proposal(told=Checked(Verdict.FAILED, "the answer is cut off"), prompt_tokens=length)
        return Proposal(code.text, compact, None, length)


def _rounds(samples: int, temperature: float | None) -> list[tuple[int, float]]:
    """How many samples are asked for at a time, and at which temperature."""
    if temperature is not None:
        return [(samples if temperature else 1, temperature)]
    return [(1, 0.0), (samples - 1, _SAMPLED)] if samples > 1 else [(1, 0.0)]
