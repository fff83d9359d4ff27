"""Looking for inputs of a module's functions, in the version that is checked against undefined behaviour: random ones,
variants of those that did something new, such as hold what the code compares with, and several calls in a row.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from llm_compiler.validation.differential.directing import Director
from llm_compiler.validation.differential.driver import Entry, name_hash
from llm_compiler.validation.differential.inputs import BEFORE, Input
from llm_compiler.validation.differential.program import Behaviour, Program, ProgramError, Run, RunStatus
from llm_compiler.validation.interface import Interface

_ENDLESS = 24  # inputs of a function that may run out of time before the search for more is given up
_PARENTS = 24  # inputs that are looked into for further ones
_AT_ONCE = 8  # of them
_LARGE, _LARGE_KEPT = 32, 4  # pages from which on an input takes long, and how many such inputs are kept

Tried = tuple[Input, Run]


@dataclass(frozen=True)
class Effort:
    """How hard to look. first: inputs of a first round; rounds: further ones, guided by coverage; kept: inputs kept
    of a function; limit: CPU seconds of one run; callers: run what calls a changed function, too;
    children: neighbours run of an input that reached a new block; directed: inputs made from what runs looked at;
    sequences: inputs of several calls.
    """

    first: int = 24
    rounds: int = 1
    kept: int = 24
    limit: float = 0.02
    callers: bool = False
    children: int = 0
    directed: int = 12
    sequences: int = 6

    @staticmethod
    def quick() -> Effort:
        return Effort()

    @staticmethod
    def full() -> Effort:
        return Effort(first=128, rounds=12, kept=192, limit=0.03, callers=True, children=4, directed=768, sequences=96)


@dataclass
class Found:
    """What was found for one entry: inputs that may count with what they did, how many were tried, how others ended."""

    inputs: list[Tried] = field(default_factory=list)
    tried: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    reason: str = ""


class _Search:
    """Inputs found for one entry. fresh: reached a new block; edges: a comparison came out in a new way; other: did
    something new all the same; again: did what another did. Outcomes of others are counted in `found`.
    """

    def __init__(self, found: Found, deadline: float | None) -> None:
        self.fresh: list[Tried] = []
        self.edges: list[Tried] = []
        self.other: list[Tried] = []
        self.again: list[Tried] = []
        self._found = found
        self._deadline = deadline
        self._seen: set[Behaviour] = set()

    @property
    def late(self) -> bool:
        return self._deadline is not None and time.monotonic() > self._deadline

    def is_new(self, run: Run) -> bool:
        """Whether no run did the same before."""
        new = run.behaviour not in self._seen
        self._seen.add(run.behaviour)
        return new

    def take(self, item: Input, run: Run) -> bool:
        """Sort a run in; whether it reached a block or made a comparison come out as none did before."""
        self._found.tried += 1
        if not run.usable:
            count(self._found.outcomes, _named(run))
        elif run.fresh:
            self.fresh.append((item, run))
        elif run.features:
            self.edges.append((item, run))
        else:
            (self.other if self.is_new(run) else self.again).append((item, run))
        return run.usable and bool(run.fresh or run.features)


class Explorer:
    """Finds inputs. checked: the program to run; entries: those that may be called; reach: functions that one calls."""

    def __init__(self, checked: Program, entries: Mapping[int, Entry], interface: Interface,
                 reach: Callable[[str], set[str]], effort: Effort, seed: int) -> None:
        self._checked = checked
        self._entries = entries
        self._interface = interface
        self._reach = reach
        self._effort = effort
        self._seed = seed
        self._kin: dict[int, list[int]] = {}

    def explore(self, index: int, deadline: float | None = None) -> Found:
        """Inputs of an entry that the checked version runs through, the most telling ones first."""
        found = Found()
        random_ = random.Random(name_hash(self._entries[index].function.name) ^ self._seed)
        search = _Search(found, deadline)
        try:
            self._search(index, search, random_)
        except ProgramError as error:
            found.reason = str(error)
            return found
        near = self._near(index, search.fresh, random_) if self._effort.children else []
        again = search.again[: max(8, self._effort.kept // 8)]
        chosen = (search.fresh + search.edges + near + search.other + again)[: self._effort.kept]
        if chosen and not search.late:
            director = Director()
            several, quiet = self._sequences(index, chosen, search, random_)
            chosen += self._directed(index, chosen[:_PARENTS], search, director, self._effort.directed, random_)
            chosen += several
            if self._effort.callers:
                more = self._effort.directed // 3
                parents = (several + quiet)[:_PARENTS]
                chosen += self._directed(index, parents, search, director, more, random_)
        large = 0
        for item, run in chosen:
            large += run.pages > _LARGE
            if run.pages <= _LARGE or large <= _LARGE_KEPT:
                found.inputs.append((item, run))
        return found

    def _search(self, index: int, search: _Search, random_: random.Random) -> None:
        """Random inputs, and variants of those that did something new. Raises ProgramError."""
        effort = self._effort
        inputs = [Input.drawn(random_) for _ in range(8)]
        idle = endless = 0
        for number in range(effort.rounds + 2):
            runs = self._checked.run(index, inputs, limit=effort.limit)
            news = sum([search.take(item, run) for item, run in zip(inputs, runs, strict=True)])
            idle = 0 if news else idle + 1
            endless += sum(run.status is RunStatus.HUNG for run in runs)
            hung = all(run.status is RunStatus.HUNG for run in runs) or endless > _ENDLESS
            if number == effort.rounds + 1 or search.late or hung or idle > max(2, effort.rounds // 4):
                return
            parents = [item for item, _ in search.fresh[-12:] + search.edges[-12:] or search.other[-16:]]
            half = effort.first if number == 0 else max(8, effort.first // 2)
            inputs = [random_.choice(parents).varied(random_) if parents and random_.random() < 0.7
                      else Input.drawn(random_) for _ in range(half)]

    def _near(self, index: int, fresh: Sequence[Tried], random_: random.Random) -> list[Tried]:
        """Neighbours of inputs that reached a new block: what is seldom reached is run more than once."""
        inputs = [item.varied(random_) for item, _ in fresh[-24:] for _ in range(self._effort.children)]
        return self._usable(index, inputs)

    def _directed(self, index: int, chosen: Sequence[Tried], search: _Search, director: Director, left: int,
                  random_: random.Random) -> list[Tried]:
        """At most `left` inputs made from what others looked at: those that did something new, which are followed in
        turn.
        """
        waiting = [item for item, _ in reversed(chosen)]
        kept: list[Tried] = []
        limit = self._effort.limit
        at_once = min(_AT_ONCE, -(-left // 4))
        shares = at_once * 2, at_once, at_once
        # What parents did, and inputs made from them: exact, around, neighbours; the newest last.
        shelves: tuple[list[tuple[Behaviour, Iterator[Input]]], ...] = ([], [], [])
        try:
            while left > 0 and not search.late and (waiting or any(shelves)):
                parents, waiting = waiting[-at_once:], waiting[:-at_once]
                traced = self._checked.run(index, parents, tracing=True, limit=4 * limit)
                for parent, run in zip(parents, traced, strict=True):
                    if run.usable:
                        ways = director.exact, director.around, director.neighbours
                        for shelf, way in zip(shelves, ways, strict=True):
                            shelf.append((run.behaviour, way(parent, run.hints)))
                taken = [_taken(shelf, count) for shelf, count in zip(shelves, shares, strict=True)]
                made = [item for items in taken for item in items]
                met, aimed = len(taken[0]), len(made) - shares[-1]
                left -= len(made)
                runs = self._checked.run(index, [item for _, item in made], limit=2 * limit)
                for number, ((before, item), run) in enumerate(zip(made, runs, strict=True)):
                    if not run.usable:
                        continue
                    # A wrong version may take the one for the other.
                    if search.is_new(run) or run.fresh or run.features or run.behaviour != before:
                        kept.append((item, run))
                    # What one call leaves where nobody looks may make a later one ask for more.
                    if run.fresh or (number < aimed and run.features) or (number < met and item.others):
                        waiting.append(item)
                waiting = waiting[-_PARENTS:]
            # One change may hide what another would show.
            last = [item.varied(random_) for item, _ in kept[-_PARENTS:] for _ in range(self._effort.children)]
            kept += [(item, run) for item, run in self._usable(index, last) if search.is_new(run)]
        except ProgramError:
            pass  # what was found until then is as good
        return kept

    def _sequences(self, index: int, chosen: Sequence[Tried], search: _Search,
                   random_: random.Random) -> tuple[list[Tried], list[Tried]]:
        """Inputs of several calls: what one leaves in variables, or in objects that they share, shows in another.
        First those that did something new, then one for each other order of calls: it may ask for the right arguments.
        """
        kin = self._relatives(index)
        if not kin:
            return [], []
        inputs = []
        for number in range(self._effort.sequences):
            item = chosen[number % len(chosen)][0]
            if number % 3 == 0:
                inputs.append(replace(item, after=random_.choice(kin)))
            else:
                count = 1 if number % 3 == 1 else random_.randint(2, BEFORE)
                before = tuple(random_.choice(kin) for _ in range(count))
                inputs.append(replace(item, before=before, after=random_.choice(kin) if number % 6 == 2 else -1))
        new: list[Tried] = []
        quiet: dict[tuple[tuple[int, ...], int], Tried] = {}
        for item, run in self._usable(index, inputs):
            if search.is_new(run):
                new.append((item, run))
            else:
                quiet.setdefault((item.before, item.after), (item, run))
        return new, list(quiet.values())

    def _relatives(self, index: int) -> list[int]:
        """Entries that share a variable of the module with one, or a kind of object."""
        if not self._kin:
            by_name = {function.name: function for function in self._interface.functions}
            shared: dict[tuple[str, object], list[int]] = {}
            for number, entry in self._entries.items():
                names = {entry.function.name, *self._reach(entry.function.name)}
                keys: set[tuple[str, object]] = {
                    ("variable", name) for function in names if function in by_name
                    for name in by_name[function].variables}
                signature = entry.signature
                items = [*signature.parameters, *([signature.result] if signature.result else [])]
                keys |= {("object", item.layout) for item in items
                         if item.layout >= 0 and len(self._interface.layouts[item.layout].slots) > 1}
                for key in keys:
                    shared.setdefault(key, []).append(number)
            # What only a few share says more: they stand more often in the list that calls are drawn from.
            kin: dict[int, list[int]] = {number: [] for number in self._entries}
            for group in shared.values():
                for number in group:
                    kin[number] += group if len(group) <= 8 else group[::2]
            self._kin = kin
        return self._kin[index]

    def _usable(self, index: int, inputs: Sequence[Input]) -> list[Tried]:
        """Inputs that the checked version runs through; none when it gives up."""
        try:
            runs = self._checked.run(index, inputs, limit=self._effort.limit)
        except ProgramError:
            return []
        return [(item, run) for item, run in zip(inputs, runs, strict=True) if run.usable]


def _taken(shelf: list[tuple[Behaviour, Iterator[Input]]], count: int) -> list[tuple[Behaviour, Input]]:
    """The next inputs of the newest iterators, each with what its parent did; iterators that are at their end go."""
    taken: list[tuple[Behaviour, Input]] = []
    while shelf and len(taken) < count:
        behaviour, inputs = shelf[-1]
        found = next(inputs, None)
        if found is None:
            shelf.pop()
        else:
            taken.append((behaviour, found))
    return taken


def count(counts: dict[str, int], key: str) -> None:
    counts[key] = counts.get(key, 0) + 1


def _named(run: Run) -> str:
    return {RunStatus.CRASHED: "crash", RunStatus.HUNG: "do not end", RunStatus.OUT_OF_MEMORY: "need too much memory",
            RunStatus.DISCARDED: "unusable",
            RunStatus.UNDEFINED: "undefined"}.get(run.status, str(run.status))
