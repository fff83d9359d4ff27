"""Search strategies behind one interface: `ask` gives the next candidate, `tell` reports what it came to.

A strategy sees nothing but the space, its seed and what it is told, in the order in which it asked, so that the same
tells give the same asks.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from llm_compiler.errors import PipelineError
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.tuning.space import Space


@dataclass(frozen=True, order=True)
class Score:
    """The ranking key, smaller is better: bytes first, then the shorter recipe."""

    total: int
    elements: int
    text: str

    @staticmethod
    def of(candidate: Candidate, total: int) -> Score:
        options = len(candidate.codegen_options) + len(candidate.pass_options)
        return Score(total, len(candidate.passes) + options, candidate.key)


class Strategy(Protocol):
    """`ask` returns None when the strategy has nothing left to propose."""

    def ask(self) -> Candidate | None: ...

    def tell(self, candidate: Candidate, total: int | None, ir_hash: str) -> None:
        """`total` in bytes, None when the candidate came to nothing (invalid, crashed, timed out)."""
        ...


class RandomSearch:
    """The reference's search: pass lists of a uniform length from 1 to 50 (arXiv 2407.02524, section 3.3)."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._rng = random.Random(seed)

    def ask(self) -> Candidate | None:
        return Candidate(self._space.random_list(self._rng))

    def tell(self, candidate: Candidate, total: int | None, ir_hash: str) -> None:
        pass


class Evolution:
    """A steady-state evolutionary search over pass lists and options: tournament, crossover, mutation."""

    POPULATION = 24

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._rng = random.Random(seed)
        self._population: list[tuple[Score, Candidate]] = []
        self._asked = 0

    def ask(self) -> Candidate | None:
        self._asked += 1
        rng = self._rng
        if self._asked <= self.POPULATION or len(self._population) < 2:
            start = self._space.random_list(rng, 1, 20)
            return Candidate(PassList((*self._space.oz.passes, *start.passes)) if rng.random() < 0.5 else start)
        mother, father = self._pick(), self._pick()
        child = mother
        if rng.random() < 0.5:
            left = mother.passes.passes[: rng.randint(0, len(mother.passes.passes))]
            right = father.passes.passes[rng.randint(0, len(father.passes.passes)) :]
            child = Candidate(PassList(left + right), father.codegen_options, mother.pass_options)
        for _ in range(rng.randint(1, 3)):
            if rng.random() < 0.4:
                child = self._space.mutate_options(rng, child)
            else:
                passes = self._space.mutate_passes(rng, child.passes)
                child = Candidate(passes, child.codegen_options, child.pass_options)
        return child

    def _pick(self) -> Candidate:
        return min(self._rng.sample(self._population, min(3, len(self._population))))[1]

    def tell(self, candidate: Candidate, total: int | None, ir_hash: str) -> None:
        if total is None:
            return
        self._population.append((Score.of(candidate, total), candidate))
        self._population.sort(key=lambda pair: pair[0])
        del self._population[self.POPULATION :]


class CoreSet:
    """The ranked core set, one after the other, then nothing."""

    def __init__(self, space: Space, seed: int) -> None:
        self._queue = list(space.core_set)

    def ask(self) -> Candidate | None:
        return self._queue.pop(0) if self._queue else None

    def tell(self, candidate: Candidate, total: int | None, ir_hash: str) -> None:
        pass


class PipelineMutation:
    """The -Oz pipeline written out, mutated by hill climbing; options left alone."""

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._rng = random.Random(seed)
        self._best: tuple[Score, Candidate] | None = None
        self._asked = 0

    def ask(self) -> Candidate | None:
        self._asked += 1
        if self._asked == 1 or self._best is None:
            return Candidate(self._space.oz) if self._asked == 1 else Candidate(
                self._space.mutate_passes(self._rng, self._space.oz))
        passes = self._best[1].passes
        for _ in range(1 + int(self._rng.random() < 0.4) + int(self._rng.random() < 0.2)):
            passes = self._space.mutate_passes(self._rng, passes)
        return Candidate(passes)

    def tell(self, candidate: Candidate, total: int | None, ir_hash: str) -> None:
        if total is not None and (self._best is None or total <= self._best[0].total):
            self._best = (Score.of(candidate, total), candidate)


class Adaptive:
    """What the default strategy is made of: the core set in its order, then options one by one on the best so far,
    then a search that mutates passes and options of the few best, spending its draws on the moves that have paid on
    this file.
    """

    ELITE = 6

    def __init__(self, space: Space, seed: int) -> None:
        self._space = space
        self._rng = random.Random(seed)
        # -Oz itself comes after the first few: where time is short it is known from clang.
        self._queue: list[Candidate] = [*space.core_set[:3], Candidate(space.oz), *space.core_set[3:]]
        self._elite: list[tuple[Score, Candidate, str]] = []
        self._sweep: list[tuple[str, tuple[str, ...], str]] = []
        self._sweeps = 0
        self._moves: dict[str, Callable[[], Candidate]] = {
            "option": self._mutate_option,
            "pass": self._mutate_pass,
            "passes": self._mutate_passes,
            "cross": self._cross,
        }
        self._credit = {"option": 1.0, "pass": 3.0, "passes": 2.0, "cross": 1.0}
        if space.functions:
            self._moves["inline"] = self._toggle_inlining
            self._credit["inline"] = 2.0
        self._made_by: dict[str, str] = {}
        self._since_gain = 0
        self._asked: set[str] = set()

    def ask(self) -> Candidate | None:
        if self._queue:
            return self._note(self._queue.pop(0), "core")
        if not self._elite:
            return self._note(Candidate(self._space.mutate_passes(self._rng, self._space.oz)), "pass")
        if self._sweeps == 0 or (self._sweeps < 4 and self._since_gain > 150 and not self._sweep):
            self._sweeps += 1
            self._since_gain = 0
            self._sweep = [("c", group, option) for group in self._space.codegen_options for option in group]
            self._sweep += [("p", group, option) for group in self._space.pass_options for option in group]
            inlining = [("i", group, option) for group in map(self._space.inline_options, self._space.functions)
                        for option in reversed(group)]
            # Options and inlining by turns: a file may owe most of its size to either.
            self._sweep = [step for pair in itertools.zip_longest(self._sweep, inlining) for step in pair if step]
        while self._sweep:
            candidate = self._toggled(*self._sweep.pop(0))
            if candidate.key not in self._asked:
                return self._note(candidate, "sweep")
        for _ in range(20):
            names = list(self._moves)
            move = self._rng.choices(names, [self._credit[name] for name in names])[0]
            candidate = self._moves[move]()
            if candidate.key not in self._asked:
                return self._note(candidate, move)
        return self._note(self._mutate_passes(), "passes")

    def tell(self, candidate: Candidate, total: int | None, ir_hash: str) -> None:
        move = self._made_by.pop(candidate.key, "core")
        best = self._elite[0][0].total if self._elite else None
        gained = total is not None and (best is None or total < best)
        self._since_gain = 0 if gained else self._since_gain + 1
        if move in self._credit:
            # A move earns by gains and slowly forgets, so that no move dies out.
            self._credit[move] = max(0.6, self._credit[move] * 0.995) + (1.0 if gained else 0.0)
        if total is None:
            return
        score = Score.of(candidate, total)
        # Equal IR under equal options is the same thing spelled otherwise: keep the shorter spelling.
        signature = " ".join((ir_hash, *candidate.codegen_options, *candidate.pass_options))
        for index, (held, _, other) in enumerate(self._elite):
            if other == signature:
                if score < held:
                    self._elite[index] = (score, candidate, signature)
                    self._elite.sort(key=lambda item: item[0])
                return
        self._elite.append((score, candidate, signature))
        self._elite.sort(key=lambda item: item[0])
        del self._elite[self.ELITE :]

    def _note(self, candidate: Candidate, move: str) -> Candidate:
        self._asked.add(candidate.key)
        self._made_by[candidate.key] = move
        return candidate

    def _parent(self) -> Candidate:
        # Half of the draws go to the best, the rest to the others, nearer ones first.
        index = 0
        while index + 1 < len(self._elite) and self._rng.random() < 0.45:
            index += 1
        return self._elite[index][1]

    def _toggled(self, kind: str, group: tuple[str, ...], option: str) -> Candidate:
        best = self._elite[0][1]
        if kind == "i":
            held = option in best.pass_options
            return self._space.with_inlining(best, (group[0], group[1]), None if held else option)
        present = best.codegen_options if kind == "c" else best.pass_options
        others = tuple(item for item in present if item not in group)
        new = others if option in present else (*others, option)
        if kind == "c":
            return Candidate(best.passes, new, best.pass_options)
        return Candidate(best.passes, best.codegen_options, new)

    def _mutate_option(self) -> Candidate:
        candidate = self._space.mutate_options(self._rng, self._parent())
        return self._space.mutate_options(self._rng, candidate) if self._rng.random() < 0.4 else candidate

    def _toggle_inlining(self) -> Candidate:
        candidate = self._space.toggle_inlining(self._rng, self._parent())
        return self._space.toggle_inlining(self._rng, candidate) if self._rng.random() < 0.3 else candidate

    def _mutate_pass(self) -> Candidate:
        parent = self._parent()
        passes = self._space.mutate_passes(self._rng, parent.passes)
        return Candidate(passes, parent.codegen_options, parent.pass_options)

    def _mutate_passes(self) -> Candidate:
        parent = self._parent()
        passes = parent.passes
        for _ in range(self._rng.randint(2, 5)):
            passes = self._space.mutate_passes(self._rng, passes)
        return Candidate(passes, parent.codegen_options, parent.pass_options)

    def _cross(self) -> Candidate:
        one, other = self._parent(), self._parent()
        options = sorted({*one.codegen_options, *other.codegen_options})
        held: dict[tuple[str, ...], str] = {}
        for option in options:
            if self._rng.random() < 0.1:
                continue
            group = next((group for group in self._space.codegen_options if option in group), (option,))
            held.setdefault(group, option)
        passes = one.passes if self._rng.random() < 0.5 else other.passes
        return Candidate(passes, tuple(held.values()), one.pass_options)


STRATEGIES: dict[str, Callable[[Space, int], Strategy]] = {
    "adaptive": Adaptive,
    "coreset": CoreSet,
    "evolution": Evolution,
    "pipeline": PipelineMutation,
    "random": RandomSearch,
}


def make_strategy(name: str, space: Space, seed: int) -> Strategy:
    """Raises PipelineError for an unknown name."""
    if name not in STRATEGIES:
        raise PipelineError(f"unknown strategy '{name}'; use {', '.join(STRATEGIES)}")
    return STRATEGIES[name](space, seed)
