"""Differential execution: the unoptimised, the -Oz and the candidate's version of a module get equal inputs.

An input counts only where the unoptimised code with checks against undefined behaviour runs through, and unoptimised
and -Oz code agree with it, whatever uninitialised memory holds. A candidate that does something else on a counted
input, again when asked twice, is wrong.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import InputError
from llm_compiler.validation.differential.describe import describe
from llm_compiler.validation.differential.driver import Driver, Entry, name_hash
from llm_compiler.validation.differential.image import Image
from llm_compiler.validation.differential.program import Linking, Program, ProgramError, Run, RunStatus
from llm_compiler.validation.differential.verdict import Counterexample, FunctionStatus, FunctionVerdict, Verification

_ENDLESS = 24  # inputs of a function that may run out of time before the search for more is given up
_SLICE = 8  # inputs between two looks at what a candidate did
_FILLS = (0xA5, 0x5A, 0x3C, 0xC3)  # what uninitialised memory holds: bytes that programs seldom write


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


@dataclass(frozen=True)
class Effort:
    """How hard to look. first: inputs of a first round; rounds: further ones, guided by coverage; kept: inputs kept
    of a function; limit: CPU seconds of one run; callers: run what calls a changed function, too;
    children: neighbours run of an input that reached a new block.
    """

    first: int = 24
    rounds: int = 2
    kept: int = 24
    limit: float = 0.02
    callers: bool = False
    children: int = 0

    @staticmethod
    def quick() -> Effort:
        return Effort()

    @staticmethod
    def full() -> Effort:
        return Effort(first=128, rounds=12, kept=192, limit=0.03, callers=True, children=4)


@dataclass(frozen=True, slots=True)
class _Counted:
    """An input that counts, what it did, and which soft bytes mean something."""

    seeds: tuple[int, ...]
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
    what they lack. `open_differential` makes them. Raises ProgramError when they cannot be run.
    """

    def __init__(self, folder: Path, driver: Driver, driver_object: bytes, checked: bytes, unoptimised: bytes,
                 reference: bytes, effort: Effort = Effort(), *, seed: int = 0, spare: bool = False) -> None:
        self._folder = folder
        self.interface = interface = driver.interface
        self._effort = effort
        self._seed = seed
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
        self._programs: list[Program] = []
        try:
            linking = [self._link(object_) for object_ in (checked, unoptimised, reference)]
            self._checked, self._plain, self._reference = map(self._program, linking)
        except ProgramError:
            self.close()
            raise
        self._explored: dict[int, _Explored] = {}
        self._has_state = any(item.defined and item.local and not item.constant for item in interface.globals)
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
            self._explored[index] = self._explore(index, self._callable[index], share)

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

    def _explore(self, index: int, entry: Entry, deadline: float | None) -> _Explored:
        found = _Explored()
        effort = self._effort
        random_ = random.Random(name_hash(entry.function.name) ^ self._seed)
        seen: set[tuple[object, ...]] = set()
        fresh: list[tuple[tuple[int, ...], Run]] = []
        edges: list[tuple[tuple[int, ...], Run]] = []  # a comparison came out in a new way
        other: list[tuple[tuple[int, ...], Run]] = []  # did something new without reaching a new block
        again: list[tuple[tuple[int, ...], Run]] = []  # did what another input did
        inputs: list[tuple[int, ...]] = [(random_.getrandbits(64),) for _ in range(8)]
        idle = endless = 0
        for number in range(effort.rounds + 2):
            try:
                runs = self._checked.run(index, inputs, limit=effort.limit)
            except ProgramError as error:
                found.reason = str(error)
                return found
            news = 0
            for seeds, run in zip(inputs, runs, strict=True):
                found.tried += 1
                if not run.usable:
                    _count(found.outcomes, _named(run))
                    continue
                if run.fresh:
                    fresh.append((seeds, run))
                    news += 1
                    continue
                if run.features:
                    edges.append((seeds, run))
                    news += 1
                    continue
                key = (run.status, run.result, run.calls, run.memory, run.soft)
                (again if key in seen else other).append((seeds, run))
                seen.add(key)
            idle = 0 if news else idle + 1
            late = deadline is not None and time.monotonic() > deadline
            endless += sum(run.status is RunStatus.HUNG for run in runs)
            hung = all(run.status is RunStatus.HUNG for run in runs) or endless > _ENDLESS
            if number == effort.rounds + 1 or late or hung or idle > max(2, effort.rounds // 4):
                break
            parents = [seeds for seeds, _ in fresh[-12:] + edges[-12:] or other[-16:]]
            half = effort.first if number == 0 else max(8, effort.first // 2)
            inputs = [
                (*random_.choice(parents)[:15], random_.getrandbits(64)) if parents and random_.random() < 0.7
                else (random_.getrandbits(64),) for _ in range(half)]
        near = self._near(index, fresh, random_) if effort.children else []
        chosen = (fresh + edges + near + other + again)[: effort.kept]
        if self._has_state and chosen and not (deadline is not None and time.monotonic() > deadline):
            chosen += self._sequences(index, chosen, random_)
        if chosen:
            self._count_inputs(index, chosen, found)
        return found

    def _near(self, index: int, fresh: Sequence[tuple[tuple[int, ...], Run]],
              random_: random.Random) -> list[tuple[tuple[int, ...], Run]]:
        """Neighbours of inputs that reached a new block: what is seldom reached is run more than once."""
        inputs = [(*seeds[:15], random_.getrandbits(64))
                  for seeds, _ in fresh[-24:] for _ in range(self._effort.children)]
        return self._usable(index, inputs)

    def _sequences(self, index: int, chosen: Sequence[tuple[tuple[int, ...], Run]],
                   random_: random.Random) -> list[tuple[tuple[int, ...], Run]]:
        """Inputs with a call of another function after them: what the first leaves in variables shows there."""
        others = list(self._callable)
        inputs = [(*seeds[:15], random_.choice(others)) for seeds, _ in chosen[: max(4, self._effort.kept // 4)]]
        return self._usable(index, inputs)

    def _usable(self, index: int, inputs: Sequence[tuple[int, ...]]) -> list[tuple[tuple[int, ...], Run]]:
        """Inputs that the checked version runs through; none when it gives up."""
        try:
            runs = self._checked.run(index, inputs, limit=self._effort.limit)
        except ProgramError:
            return []
        return [(seeds, run) for seeds, run in zip(inputs, runs, strict=True) if run.usable]

    def _count_inputs(self, index: int, chosen: Sequence[tuple[tuple[int, ...], Run]], found: _Explored) -> None:
        inputs = [seeds for seeds, _ in chosen]
        limit = self._effort.limit
        try:
            again = self._plain.run(index, inputs, fill=_FILLS[1], limit=4 * limit)
            expected = self._reference.run(index, inputs, limit=4 * limit)
        except ProgramError as error:
            found.reason = str(error)
            return
        for (seeds, first), second, third in zip(chosen, again, expected, strict=True):
            if not first.same(second):
                _count(found.outcomes, "depend on what is undefined")
            elif not first.same(third):
                _count(found.outcomes, "differ between -O0 and -Oz")
            else:
                found.inputs.append(_Counted(seeds, first, _agreeing(first.soft, second.soft, third.soft)))
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
            results: dict[str, FunctionVerdict] = {}
            note = ""
            for index in wanted:
                entry = usable[index]
                if deadline is not None and time.monotonic() > deadline:
                    note = "time ran out before all functions were run"
                    break
                verdict = results[entry.function.name] = self._check(program, index, entry)
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

    def _check(self, program: Program, index: int, entry: Entry) -> FunctionVerdict:
        name = entry.function.name
        explored = self._explored.get(index, _Explored())
        covered, blocks = self._coverage(name)
        if not explored.inputs:
            return FunctionVerdict(name, FunctionStatus.NOT_EXECUTED, 0, covered, blocks, explored.refuse())
        limit = max(0.2, 10 * self._effort.limit)
        agreed = 0
        inputs = list(explored.inputs)
        for first in range(0, len(inputs), _SLICE):
            some = inputs[first : first + _SLICE]
            try:
                runs = program.run(index, [item.seeds for item in some], limit=limit, patience=10 + len(some) * limit)
            except ProgramError as error:
                return FunctionVerdict(name, FunctionStatus.NOT_EXECUTED, 0, covered, blocks, str(error))
            for item, run in zip(some, runs, strict=True):
                if _equal(item, run):
                    agreed += 1
                    continue
                if run.inconclusive:
                    continue
                defined, example = self._confirm(program, index, entry, item)
                if example is not None:
                    return FunctionVerdict(name, FunctionStatus.DIFFERS, agreed, covered, blocks,
                                           counterexample=example)
                if not defined:
                    explored.inputs.remove(item)  # it counted by chance
        if not agreed:
            return FunctionVerdict(name, FunctionStatus.NOT_EXECUTED, 0, covered, blocks,
                                   "its inputs depend on what is undefined")
        return FunctionVerdict(name, FunctionStatus.AGREED, agreed, covered, blocks)

    def _confirm(self, program: Program, index: int, entry: Entry,
                 item: _Counted) -> tuple[bool, Counterexample | None]:
        """Whether the versions known to be right agree whatever uninitialised memory holds; and, when they do and the
        candidate differs from them twice in the same way of filling it, the counterexample.
        """
        limit = max(0.5, 10 * self._effort.limit)
        differs = None
        try:
            for fill in _FILLS:
                checked, plain, reference = (
                    version.run(index, [item.seeds], fill=fill, limit=limit)[0]
                    for version in (self._checked, self._plain, self._reference))
                if not (checked.same(plain) and plain.same(reference)) or len(plain.soft) != len(item.mask):
                    return False, None
                mask = bytes(a & b for a, b in zip(item.mask, _agreeing(checked.soft, plain.soft, reference.soft),
                                                   strict=True))
                right = _Counted(item.seeds, plain, mask)
                if differs is None:
                    twice = [program.run(index, [item.seeds], fill=fill, limit=limit)[0] for _ in range(2)]
                    if not any(run.inconclusive or _equal(right, run) for run in twice):
                        differs = fill
            if differs is None:
                return True, None
            (told,) = program.run(index, [item.seeds], fill=differs, verbose=True, limit=limit)
            (expected,) = self._reference.run(index, [item.seeds], fill=differs, verbose=True, limit=limit)
        except ProgramError:
            return True, None
        call, difference = describe(self._driver, entry, expected, told)
        return True, Counterexample(entry.function.name, item.seeds, call, difference)

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
                for run in program.run(index, [item.seeds for item in explored.inputs], limit=1.0):
                    found.update(run.fresh)
        first: dict[str, int] = {}
        blocks: dict[str, set[int]] = {}
        for position, (name, _) in enumerate(program.blocks):
            first.setdefault(name, position)
            if position in found:
                blocks.setdefault(name, set()).add(position - first[name])
        return blocks

    def replay(self, candidate: bytes, name: str, seeds: Sequence[int]) -> tuple[str, str]:
        """One input on -Oz and on the candidate: the call in words, and the difference (empty when none)."""
        for index, entry in self._callable.items():
            if entry.function.name == name:
                program = self._program(self._link(candidate))
                (expected,) = self._reference.run(index, [tuple(seeds)], verbose=True, limit=2.0)
                (told,) = program.run(index, [tuple(seeds)], verbose=True, limit=2.0)
                call, difference = describe(self._driver, entry, expected, told)
                return call, "" if expected.same(told) and expected.soft == told.soft else difference
        raise ProgramError(f"{name} cannot be called alone in this module")


def _agreeing(*versions: bytes) -> bytes:
    """0xFF where all versions hold the same; four bytes at a time, since zeros agree by chance."""
    first = versions[0]
    return b"".join(
        (b"\xff" if all(version[at : at + 4] == first[at : at + 4] for version in versions) else b"\0")
        * len(first[at : at + 4]) for at in range(0, len(first), 4))


def _equal(item: _Counted, run: Run) -> bool:
    if not item.run.same(run):
        return False
    if item.run.soft == run.soft:
        return True
    return all(a == b or not keep for a, b, keep in zip(item.run.soft, run.soft, item.mask, strict=True))


def _count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _named(run: Run) -> str:
    return {RunStatus.CRASHED: "crash", RunStatus.HUNG: "do not end", RunStatus.OUT_OF_MEMORY: "need too much memory",
            RunStatus.DISCARDED: "unusable",
            RunStatus.UNDEFINED: "undefined"}.get(run.status, str(run.status))
