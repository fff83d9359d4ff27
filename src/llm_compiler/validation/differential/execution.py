"""Differential execution: the unoptimised, the -Oz and the candidate's version of a module get equal inputs.

An input counts only where the unoptimised code with checks against undefined behaviour runs through, and unoptimised
and -Oz code agree with it, whatever uninitialised memory holds. A candidate that does something else on a counted
input, again when asked twice, is wrong, unless one of LLVM's own plain pipelines (the witnesses) departs from the three
there, too: then the input leans on something undefined that no check sees.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import InputError
from llm_compiler.validation.differential.describe import describe
from llm_compiler.validation.differential.driver import Driver, Entry
from llm_compiler.validation.differential.exploring import Effort, Explorer, Tried, count
from llm_compiler.validation.differential.image import Image
from llm_compiler.validation.differential.inputs import Input
from llm_compiler.validation.differential.program import FILL, Linking, Program, ProgramError, Run, RunStatus, agreeing
from llm_compiler.validation.differential.verdict import Counterexample, FunctionStatus, FunctionVerdict, Verification

_SLICE = 8  # inputs before the first look at what a candidate did
_MANY = 256  # pages of memory: an eighth of what a run may touch
_FILLS = (FILL, 0x7F, 0xB5, 0x1D)  # what uninitialised memory holds: bytes that programs seldom write, of both signs


class Level(StrEnum):
    """How much a tuning looks before it hands out code."""

    OFF = "off"
    QUICK = "quick"
    FULL = "full"

    @staticmethod
    def parse(text: str) -> Level:
        """Raises InputError for an unknown name."""
        try:
            return Level(text)
        except ValueError:
            raise InputError(f"unknown verification '{text}'; use off, quick or full") from None

    @property
    def effort(self) -> Effort:
        return Effort.full() if self is Level.FULL else Effort.quick()


@dataclass(frozen=True, slots=True)
class _Counted:
    """An input that counts, what it did, and which soft bytes mean something."""

    input: Input
    run: Run
    mask: bytes


@dataclass
class _Explored:
    """An entry: inputs that count, how many were tried, and why not."""

    inputs: list[_Counted] = field(default_factory=list)
    tried: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    reason: str = ""

    def refuse(self) -> str:
        if self.reason:
            return self.reason
        if not self.tried:
            return "no time left to look for inputs"
        told = ", ".join(f"{count} {what}" for what, count in sorted(self.outcomes.items(), key=lambda item: -item[1]))
        return f"none of {self.tried} inputs counts ({told})"


class Differential:
    """One module: explored once, then any number of candidates are checked. Use it as a context manager.

    driver_object: the lowered text of `driver`; checked: the object of the unoptimised module with checks and counters
    of its blocks; unoptimised: without; reference: clang's -Oz object; spare: the unoptimised object lends the others
    what they lack; witnesses: makes more objects that are right, asked for when a candidate differs.
    `open_differential` makes them. Raises ProgramError when they cannot be run.
    """

    def __init__(self, folder: Path, driver: Driver, driver_object: bytes, checked: bytes, unoptimised: bytes,
                 reference: bytes, effort: Effort = Effort(), *, seed: int = 0, spare: bool = False,
                 witnesses: Callable[[], Sequence[bytes]] = tuple) -> None:
        self._folder = folder
        self.interface = interface = driver.interface
        self._effort = effort
        self._count = 0
        self._driver = driver
        self._driver_object = folder / "driver.o"
        self._driver_object.write_bytes(driver_object)
        self._spare: tuple[Path, ...] = ()
        if spare:
            path = folder / "spare.o"
            path.write_bytes(unoptimised)
            self._spare = (path,)
        self._exports = frozenset(item.name for item in interface.globals
                                  if item.defined and not item.constant and not item.local and not item.thread_local)
        self._reference_image = Image(reference)
        self._digests = self._reference_image.functions()
        self._make_witnesses = witnesses
        self._witnesses: list[Program] | None = None
        self._programs: list[Program] = []
        try:
            linking = [self._link(object_) for object_ in (checked, unoptimised, reference)]
            self._checked, self._plain, self._reference = map(self._program, linking)
        except ProgramError:
            self.close()
            raise
        self._explored: dict[int, _Explored] = {}
        self._callees = {function.name: frozenset(function.callees) for function in interface.functions}
        self._covered: set[int] = set()
        self._blocks: dict[str, list[int]] = {}
        for index, (name, _) in enumerate(self._checked.blocks):
            self._blocks.setdefault(name, []).append(index)
        taken = self._reference_image.address_taken()
        self._callable = {
            index: entry for index, entry in enumerate(self._driver.entries)
            if entry.function.name in self._plain.names and entry.function.name in self._digests
            and (not entry.function.local or (entry.function.address_taken and entry.function.name in taken))
        }
        self._explorer = Explorer(self._checked, self._callable, interface, self._reachable, effort, seed)

    def _link(self, object_: bytes) -> Linking:
        self._count += 1
        path = self._folder / f"version-{self._count}.o"
        path.write_bytes(object_)
        return Linking(path, (self._driver_object, *self._spare), path.with_suffix(""))

    def _program(self, linking: Linking) -> Program:
        program = Program(linking, self._driver, self._exports)
        self._programs.append(program)
        return program

    def close(self) -> None:
        for program in self._programs:
            program.close()
        self._programs.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    # --- inputs ---

    def explore(self, deadline: float | None = None) -> None:
        """Look for inputs of every function that can be called, until done or `deadline` (time.monotonic)."""
        self._explore_all(list(self._callable), deadline)

    def _explore_all(self, wanted: Sequence[int], deadline: float | None) -> None:
        order = [index for index in wanted if index not in self._explored]
        for position, index in enumerate(order):
            share = None
            if deadline is not None:
                now = time.monotonic()
                if now >= deadline:
                    return
                # What is left is shared out evenly; what one function does not use the next ones have.
                share = min(deadline, now + max(0.02, 3 * (deadline - now) / (len(order) - position)))
            found = self._explorer.explore(index, share)
            explored = self._explored[index] = _Explored([], found.tried, found.outcomes, found.reason)
            if found.inputs:
                self._count_inputs(index, found.inputs, explored)

    def executability(self) -> list[FunctionVerdict]:
        """For each defined function: its counted inputs, the blocks they and those of callers reach, or why there are
        none; the status is AGREED where it can be executed.
        """
        found = []
        by_name = {entry.function.name: self._explored.get(index, _Explored())
                   for index, entry in self._callable.items()}
        for function in self.interface.functions:
            if not function.defined or function.intrinsic:
                continue
            explored = by_name.get(function.name)
            covered, blocks = self._coverage(function.name)
            inputs = len(explored.inputs) if explored is not None else 0
            via = not inputs and covered > 0
            reason = ""
            if not inputs and not via:
                reason = explored.refuse() if explored is not None else self._driver.refused.get(
                    function.name, "no caller that could be run reaches it")
            status = FunctionStatus.AGREED if inputs or via else FunctionStatus.NOT_EXECUTED
            found.append(FunctionVerdict(function.name, status, inputs, covered, blocks, reason, via))
        return found

    def _count_inputs(self, index: int, chosen: Sequence[Tried], found: _Explored) -> None:
        inputs = [item for item, _ in chosen]
        limit = self._effort.limit
        try:
            again = self._plain.run(index, inputs, fill=_FILLS[1], limit=4 * limit)
            expected = self._reference.run(index, inputs, limit=4 * limit)
        except ProgramError as error:
            found.reason = str(error)
            return
        for (item, first), second, third in zip(chosen, again, expected, strict=True):
            if not first.same(second):
                count(found.outcomes, "depend on what is undefined")
            elif not first.same(third):
                count(found.outcomes, "differ between -O0 and -Oz")
            else:
                found.inputs.append(_Counted(item, first, agreeing((first, second, third))))
                self._covered.update(first.fresh)

    # --- candidates ---

    def check(self, candidate: bytes, deadline: float | None = None, *, stop: bool = False) -> Verification:
        """Run a candidate's object on the inputs that count; stop: at the first function that differs."""
        started = time.monotonic()
        image = Image(candidate)
        digests = image.functions()
        changed = {name for name in self._digests.keys() | digests.keys()
                   if self._digests.get(name) != digests.get(name)}
        if not changed:
            return self._verification({}, changed, digests, "", started)
        try:
            program = self._program(self._link(candidate))
        except ProgramError as error:
            return Verification(note=f"not executed: {error}", seconds=time.monotonic() - started)
        try:
            taken = image.address_taken()
            usable = {index: entry for index, entry in self._callable.items()
                      if entry.function.name in digests
                      and (not entry.function.local or entry.function.name in taken)}
            wanted = self._wanted(usable, changed)
            if deadline is not None:  # the rest is for the candidate's runs
                now = time.monotonic()
                self._explore_all(wanted, now + 0.6 * (deadline - now))
            else:
                self._explore_all(wanted, None)
            others = [index for index in self._explored if index not in wanted] if self._effort.callers else []
            results: dict[str, FunctionVerdict] = {}
            note = ""
            for index in (*wanted, *others):
                if deadline is not None and time.monotonic() > deadline:
                    note = "time ran out before all functions were run"
                    break
                if index not in usable:
                    continue
                entry = usable[index]
                known = self._explored.get(index, _Explored()).inputs
                inputs = [item for item in known if usable.keys() >= item.input.others]
                if index not in wanted:  # only what calls a wanted one before or after
                    inputs = [item for item in inputs if not item.input.others.isdisjoint(wanted)]
                    if not inputs:
                        continue
                verdict = self._check(program, index, entry, inputs)
                if index in wanted or verdict.status is FunctionStatus.DIFFERS:
                    results[entry.function.name] = verdict
                if stop and verdict.status is FunctionStatus.DIFFERS:
                    note = "stopped at the first function that differs"
                    break
            return self._verification(results, changed, digests, note, started)
        finally:
            program.close()
            self._programs.remove(program)

    def _wanted(self, usable: Mapping[int, Entry], changed: set[str]) -> list[int]:
        """Entries to run: changed functions, then those that reach changed ones which cannot be called alone."""
        hidden = changed - {entry.function.name for entry in usable.values()}
        sought = changed if self._effort.callers else hidden
        first = [index for index, entry in usable.items() if entry.function.name in changed]
        return first + [index for index, entry in usable.items() if entry.function.name not in changed
                        and not sought.isdisjoint(self._reachable(entry.function.name))]

    def _reachable(self, name: str) -> set[str]:
        """Functions that a function calls, directly or through others."""
        seen: set[str] = set()
        todo = [name]
        while todo:
            new = self._callees.get(todo.pop(), frozenset()) - seen
            seen |= new
            todo += new
        return seen

    def _coverage(self, name: str) -> tuple[int, int]:
        """Blocks of a function that counted inputs reach, and all of them."""
        blocks = self._blocks.get(name, [])
        return sum(block in self._covered for block in blocks), len(blocks)

    def _check(self, program: Program, index: int, entry: Entry, inputs: Sequence[_Counted]) -> FunctionVerdict:
        name = entry.function.name
        explored = self._explored.get(index, _Explored())
        covered, blocks = self._coverage(name)
        if not explored.inputs:
            return FunctionVerdict(name, FunctionStatus.NOT_EXECUTED, 0, covered, blocks, explored.refuse())
        limit = max(0.2, 10 * self._effort.limit)
        agreed = 0
        first, size = 0, _SLICE
        while first < len(inputs):
            some = inputs[first : first + size]
            first, size = first + size, 2 * size  # what differs most often does so at once
            try:
                runs = program.run(index, [item.input for item in some], limit=limit, patience=10 + len(some) * limit)
            except ProgramError as error:
                return FunctionVerdict(name, FunctionStatus.NOT_EXECUTED, 0, covered, blocks, str(error))
            for item, run in zip(some, runs, strict=True):
                if item.run.matches(run, item.mask):
                    agreed += 1
                    continue
                if _says_nothing(item.run, run):
                    continue
                defined, example = self._confirm(program, index, entry, item)
                if example is not None:
                    return FunctionVerdict(name, FunctionStatus.DIFFERS, agreed, covered, blocks,
                                           counterexample=example)
                if not defined:
                    explored.inputs.remove(item)  # it counted by chance
        if not agreed:
            reason = ("its inputs depend on what is undefined" if inputs else
                      "its inputs call functions that the candidate lacks")
            return FunctionVerdict(name, FunctionStatus.NOT_EXECUTED, 0, covered, blocks, reason)
        return FunctionVerdict(name, FunctionStatus.AGREED, agreed, covered, blocks)

    def _confirm(self, program: Program, index: int, entry: Entry,
                 item: _Counted) -> tuple[bool, Counterexample | None]:
        """Whether the versions known to be right agree whatever uninitialised memory holds; and, when they do and the
        candidate differs from them twice in the same way of filling it, the counterexample.
        """
        limit = max(0.5, 10 * self._effort.limit)
        differs = None
        right = (self._checked, self._plain, self._reference)
        try:
            for fill in _FILLS:
                runs = [version.run(index, [item.input], fill=fill, limit=limit)[0] for version in right]
                if not all(runs[0].same(run) for run in runs) or len(runs[0].soft) != len(item.mask):
                    return False, None
                if differs is None:
                    twice = [program.run(index, [item.input], fill=fill, limit=limit)[0] for _ in range(2)]
                    mask = _both(item.mask, agreeing(runs))
                    if any(_says_nothing(runs[0], run) or runs[0].matches(run, mask) for run in twice):
                        continue
                    for witness in self._opened_witnesses():
                        (run,) = witness.run(index, [item.input], fill=fill, limit=limit)
                        if _says_nothing(runs[0], run):
                            continue
                        if not runs[0].same(run):
                            return False, None
                        runs.append(run)
                    mask = _both(item.mask, agreeing(runs))
                    if not any(runs[0].matches(run, mask) for run in twice):
                        differs = fill
            if differs is None:
                return True, None
            (told,) = program.run(index, [item.input], fill=differs, verbose=True, limit=limit)
            (expected,) = self._reference.run(index, [item.input], fill=differs, verbose=True, limit=limit)
        except ProgramError:
            return True, None
        call, difference = describe(self._driver, entry, expected, told)
        return True, Counterexample(entry.function.name, item.input.words, call, difference)

    def _opened_witnesses(self) -> list[Program]:
        if self._witnesses is None:
            self._witnesses = []
            for object_ in self._make_witnesses():
                with contextlib.suppress(ProgramError):
                    self._witnesses.append(self._program(self._link(object_)))
        return self._witnesses

    def _verification(self, results: dict[str, FunctionVerdict], changed: set[str], digests: dict[str, str], note: str,
                      started: float) -> Verification:
        verdicts = []
        through = {callee for item in results.values() if item.status is FunctionStatus.AGREED
                   for callee in self._reachable(item.name)}
        for function in self.interface.functions:
            name = function.name
            if not function.defined or function.intrinsic:
                continue
            covered, blocks = self._coverage(name)
            if name in results and (name in changed or results[name].status is FunctionStatus.DIFFERS):
                verdicts.append(results[name])
            elif name not in self._digests and name not in digests:
                verdicts.append(FunctionVerdict(name, FunctionStatus.GONE, 0, covered, blocks))
            elif name not in changed:
                verdicts.append(FunctionVerdict(name, FunctionStatus.UNCHANGED, 0, covered, blocks))
            elif covered and name in through:
                verdicts.append(FunctionVerdict(name, FunctionStatus.AGREED, 0, covered, blocks, via=True))
            else:
                reason = self._driver.refused.get(name, "")
                if not reason:
                    reason = (note or "it is local, and no caller that could be run reaches it" if function.local
                              else note or "one of the versions lacks it")
                verdicts.append(FunctionVerdict(name, FunctionStatus.NOT_EXECUTED, 0, covered, blocks, reason))
        return Verification(tuple(verdicts), note, time.monotonic() - started)

    def reached(self, instrumented: bytes) -> dict[str, set[int]]:
        """Blocks of an instrumented object that counted inputs reach: by function, in the order of its counters."""
        program = self._program(self._link(instrumented))
        found: set[int] = set()
        for index, explored in self._explored.items():
            if explored.inputs:
                for run in program.run(index, [item.input for item in explored.inputs], limit=1.0):
                    found.update(run.fresh)
        first: dict[str, int] = {}
        blocks: dict[str, set[int]] = {}
        for position, (name, _) in enumerate(program.blocks):
            first.setdefault(name, position)
            if position in found:
                blocks.setdefault(name, set()).add(position - first[name])
        return blocks

    def replay(self, candidate: bytes, name: str, seeds: Sequence[int]) -> tuple[str, str]:
        """One input on -Oz and on the candidate: the call in words, and the difference (empty when none).

        Raises InputError for seeds that are no input.
        """
        try:
            item = Input.parse(seeds)
        except ValueError as error:
            raise InputError(f"this is no input that a verification printed: {error}") from None
        for index, entry in self._callable.items():
            if entry.function.name == name:
                program = self._program(self._link(candidate))
                (expected,) = self._reference.run(index, [item], verbose=True, limit=2.0)
                (told,) = program.run(index, [item], verbose=True, limit=2.0)
                call, difference = describe(self._driver, entry, expected, told)
                return call, "" if expected.same(told) and expected.soft == told.soft else difference
        raise ProgramError(f"{name} cannot be called alone in this module")


def _says_nothing(right: Run, run: Run) -> bool:
    """Ended by a limit of ours, on memory or on objects, which code that is right may have come near, too."""
    return run.inconclusive and (run.status is not RunStatus.OUT_OF_MEMORY or right.pages > _MANY)


def _both(one: bytes, other: bytes) -> bytes:
    return bytes(a & b for a, b in zip(one, other, strict=True))
