"""Disassembly without a model: what the rules of `lifting` leave open is decided by lowering each choice back."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Self

from llm_compiler.errors import InputError, LlmcError
from llm_compiler.inference import roundtrip
from llm_compiler.inference.cutting import cut
from llm_compiler.inference.disassembly import Checked, Proposal, Verdict
from llm_compiler.inference.functions import Function
from llm_compiler.inference.reassembly import assemblies, plain_numbers
from llm_compiler.lifting import Choice, LiftError, Lifting
from llm_compiler.llvm import library
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import cache_folder
from llm_compiler.tasks import batches, lowering
from llm_compiler.tasks.assembly import compact_assembly

RULES = "rules"
"""What `--model` calls them."""

_LIMITS = Limits(20.0, 3 << 30)
_LABEL = re.compile(r"(?<![\w.$])\.L[\w.$]+")
_SMALL = "function(sroa,early-cse,instcombine,simplifycfg)"
_LEAST = "function(dce)"
_CHANGES = ("wide", "copied", "loose", "extended", "ends", "full", "turned", "odd", "split", "bools")
_CHECKED = 2  # texts that are checked where the first is not identical
_LONGEST = 4096  # lines of assembly


_Rank = tuple[bool, bool, float]


@dataclass(frozen=True)
class _Order:
    text: str
    passes: str
    name: str


@dataclass(frozen=True)
class _Lowered:
    """IR after passes, and its assembly at each code generation level."""

    text: str
    assembly: dict[str, str]


def _lower(order: _Order) -> _Lowered:
    """In the worker. Raises InputError, PipelineError."""
    with Context(library.load()) as context:
        module = context.parse(order.text.encode(), "the rules' answer")
        broken = module.verify()
        if broken:
            raise InputError(f"LLVM's verifier refuses it: {broken.splitlines()[0]}")
        target = lowering.lowering_for(module, roundtrip.CODEGENS["Oz"])
        if order.passes:
            passes = lowering.oz_text() if order.passes == "Oz" else order.passes
            module.run_passes(passes, lowering.machine(target).handle)
        text, bitcode = lowering.clean(module.text()), module.bitcode()
    return _Lowered(text, {codegen: roundtrip.emit_assembly(codegen, bitcode) for codegen in roundtrip.CODEGENS})


class Rules:
    """Proposes IR for functions, the most likely first. Close it, or use it as a context manager."""

    name = RULES

    def __init__(self) -> None:
        self._pool = WorkerPool(1, _LIMITS, cache_folder() / "crashes")

    def close(self) -> None:
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def proposals(self, function: Function) -> Iterator[Proposal]:
        """The texts that come closest; a failure that says what no rule covers."""
        try:
            texts = self.propose(function)
        except LlmcError as error:
            yield Proposal(told=Checked(Verdict.FAILED, str(error)))
            return
        for text in texts[:_CHECKED]:
            yield Proposal(text)

    def propose(self, function: Function) -> list[str]:
        """IR texts, those first that lower to what is closest to the function's code. Raises LlmcError."""
        if function.target != "x86_64":
            raise LiftError(f"no rules for {function.target}")
        found: dict[str, _Rank] = {}
        refused: LiftError | None = None
        for assembly in assemblies(function) if function.listing else [function.shown]:
            try:
                ranked = _Search(self._pool, assembly, function.name).found()
            except LiftError as error:
                refused = refused or error
                continue
            found |= {text: max(rank, found.get(text, rank)) for text, rank in ranked.items()}
            if max(found.values())[0]:
                break
        if not found:
            raise refused or LiftError("LLVM refuses what the rules make of it")
        return sorted(found, key=found.__getitem__, reverse=True)


class _Search:
    """One thing after the other is decided otherwise, and kept where that comes closer."""

    def __init__(self, pool: WorkerPool, assembly: str, name: str) -> None:
        self._pool = pool
        self._name = name
        self._lifting = Lifting(assembly, name)
        self._wanted = _lines(assembly, name)
        self._tried: dict[str, float] = {}
        self._ranked: dict[str, _Rank] = {}

    def found(self) -> dict[str, _Rank]:
        """Texts and how good each is. Raises LiftError."""
        best = Choice()
        text, results = self._lifting.text(best)
        score = self._score(text, best)
        changes: list[dict[str, Any]] = [{name: True} for name in _CHANGES]
        changes += [change | {"result": name} for name in results[1:] for change in ({}, {"odd": True}, {"wide": True})]
        for change in changes:
            if score == 1.0:
                break
            other = replace(best, **change)
            try:
                again = self._score(self._lifting.text(other)[0], other)
            except LiftError:
                continue
            if again == 1.0 or (again > score and not other.result):
                best, score = other, again
        return self._ranked

    def _score(self, text: str, choice: Choice) -> float:
        """How close a text comes, by the best way to clean it up."""
        if text in self._tried:
            return self._tried[text]
        best = 0.0
        orders = [_Order(text, passes, self._name) for passes in ("Oz", _SMALL, _LEAST)]
        for made in batches.batch(self._pool, _lower, orders):
            if isinstance(made, batches.Failure):
                continue
            score = max(_similarity(self._wanted, _lines(again, self._name)) for again in made.assembly.values())
            # Other than identical, the more guesses, the less it can be trusted.
            rank = (score == 1.0, not (choice.result or choice.split or choice.bools), score)
            self._ranked[made.text] = max(rank, self._ranked.get(made.text, rank))
            best = max(best, score)
        self._tried[text] = best
        return best


def _lines(text: str, name: str) -> list[str]:
    """Instructions with labels numbered as they come; constants are compared later."""
    try:
        own = cut(text).get(name, "")
    except (LlmcError, ValueError):
        own = ""
    names: dict[str, str] = {}
    text = _LABEL.sub(lambda match: names.setdefault(match[0], f".L{len(names)}"), compact_assembly(own))
    text = text.replace("@PLT", "").replace(";", " ")
    return [plain_numbers(line) for line in text.splitlines() if line.endswith(":") or not line.startswith(".")]


def _similarity(one: Sequence[str], other: Sequence[str]) -> float:
    if one == other:
        return 1.0
    if max(len(one), len(other)) > _LONGEST:
        return 0.0
    return difflib.SequenceMatcher(None, one, other, autojunk=False).ratio()
