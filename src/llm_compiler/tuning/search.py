"""One search: asks a strategy, has workers evaluate, tells in order, and then makes the winner shorter.

Determinism: the strategy is asked for candidate i when it has been told the results up to i - WINDOW, whatever the
number of workers and whichever finishes first. An evaluation is a pure function of input and candidate. So with a
budget in evaluations the same seed gives the same result; a candidate that hits the time limit is the one exception.
"""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from llm_compiler.llvm.job import Job, Outcome, Status
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Lowering
from llm_compiler.tuning import edit
from llm_compiler.tuning.strategies import Score, Strategy

WINDOW = 8
_MINIMISE_SHARE = 0.15


class Pool(Protocol):
    """Where jobs are done: a WorkerPool, or a stand-in inside a worker."""

    def submit(self, job: Job) -> int: ...

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]: ...

    def cancel(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Evaluated:
    """A candidate that was measured, bytes and all."""

    candidate: Candidate
    total: int
    ir_hash: str
    bitcode: bytes | None = None
    instructions: int | None = None

    @property
    def score(self) -> Score:
        return Score.of(self.candidate, self.total)


@dataclass
class SearchState:
    """What a search has found so far; complete at any moment, so that an interruption loses nothing.

    trace: (seconds since the start, evaluations, bytes) at every gain.
    """

    best: Evaluated | None = None
    ranking: list[Evaluated] = field(default_factory=list)
    evaluations: int = 0
    outcomes: dict[Status, int] = field(default_factory=dict)
    trace: list[tuple[float, int, int]] = field(default_factory=list)
    cpu_seconds: float = 0.0


@dataclass
class _Flight:
    candidate: Candidate
    ticket: int | None
    outcome: Outcome | None = None


class Search:
    """A search over one input. `deadline` is a time.monotonic() value; `evaluations` a count; None is no limit.
    count: the candidate whose IR instructions are wanted. insertions: what minimisation tries last, one pass more.
    """

    RANKED = 8

    def __init__(
        self, pool: Pool, input: Path, lowering: Lowering, *, deadline: float | None = None,
        evaluations: int | None = None, on_progress: Callable[[SearchState], None] | None = None,
        count: Candidate | None = None, insertions: Callable[[Candidate], list[Candidate]] | None = None,
    ) -> None:
        self._pool = pool
        self._input = input
        self._lowering = lowering
        self._deadline = deadline
        self._evaluations = evaluations
        self._on_progress = on_progress
        self._count = count
        self._insertions = insertions
        self._memo: dict[str, Outcome] = {}
        self._started = time.monotonic()
        self.state = SearchState()

    def run(self, strategy: Strategy) -> SearchState:
        """Search until the budget is spent or the strategy has nothing more, then minimise with what is left."""
        limit = self._evaluations
        self._drive(
            lambda: strategy.ask(),
            lambda candidate, evaluated: strategy.tell(
                candidate, evaluated.total if evaluated else None, evaluated.ir_hash if evaluated else ""),
            None if self._deadline is None
            else self._started + (self._deadline - self._started) * (1 - _MINIMISE_SHARE),
            None if limit is None else max(1, limit - int(limit * _MINIMISE_SHARE)),
        )
        self._minimise()
        return self.state

    def instructions_of(self, passes: PassList) -> int | None:
        """IR instructions after a pass list without options, when the search came by it."""
        outcome = self._memo.get(Candidate(passes).key)
        return outcome.measurement.instructions if outcome is not None and outcome.measurement else None

    def _drive(
        self, ask: Callable[[], Candidate | None], tell: Callable[[Candidate, Evaluated | None], None],
        deadline: float | None, evaluations: int | None,
    ) -> None:
        flights: deque[_Flight] = deque()
        running: dict[int, _Flight] = {}
        exhausted = False
        while True:
            while not exhausted and len(flights) < WINDOW:
                if evaluations is not None and self.state.evaluations + len(flights) >= evaluations:
                    exhausted = True
                    break
                if deadline is not None and time.monotonic() >= deadline:
                    exhausted = True
                    break
                candidate = ask()
                if candidate is None:
                    break  # for now: what is under way may give it new ideas
                known = self._memo.get(candidate.key)
                flight = _Flight(candidate, None, known)
                if known is None:
                    # What may become the best is kept: confirming it then costs no second run of its passes.
                    bound = self.state.best.total if self.state.best else sys.maxsize
                    flight.ticket = self._pool.submit(
                        Job(self._input, candidate, self._lowering, keep_below=bound, count=candidate == self._count))
                    running[flight.ticket] = flight
                flights.append(flight)
            if not flights:
                return
            if flights[0].outcome is None:
                timeout = None if deadline is None else max(0.0, deadline - time.monotonic())
                for ticket, outcome in self._pool.wait(timeout):
                    if ticket in running:
                        running.pop(ticket).outcome = outcome
                if deadline is not None and time.monotonic() >= deadline and flights[0].outcome is None:
                    self._abandon(flights)
                    return
            # One tell to one ask: how many have finished by now must not decide what the next ask knows.
            finished = flights[0].outcome
            if finished is not None:
                flight = flights.popleft()
                tell(flight.candidate, self._record(flight.candidate, finished))

    def _abandon(self, flights: deque[_Flight]) -> None:
        # What has finished behind the one that is late still counts.
        for flight in flights:
            if flight.outcome is not None:
                self._record(flight.candidate, flight.outcome)
        self._pool.cancel()

    def _record(self, candidate: Candidate, outcome: Outcome) -> Evaluated | None:
        state = self.state
        measurement = outcome.measurement
        if candidate.key not in self._memo:
            slim = None if measurement is None else replace(measurement, bitcode=None)
            self._memo[candidate.key] = replace(outcome, measurement=slim)
            state.outcomes[outcome.status] = state.outcomes.get(outcome.status, 0) + 1
        state.evaluations += 1
        if measurement is None or measurement.size is None:
            return None
        state.cpu_seconds += measurement.seconds
        evaluated = Evaluated(candidate, measurement.size.total, measurement.ir_hash, measurement.bitcode,
                              measurement.instructions)
        if all(other.candidate.key != candidate.key for other in state.ranking):
            state.ranking.append(evaluated)
            state.ranking.sort(key=lambda item: item.score)
            del state.ranking[self.RANKED :]
        if state.best is None or evaluated.score < state.best.score:
            if state.best is None or evaluated.total < state.best.total:
                state.trace.append((time.monotonic() - self._started, state.evaluations, evaluated.total))
            state.best = evaluated
            if self._on_progress is not None:
                self._on_progress(state)
        return evaluated

    # --- minimisation: drop, order, insert (arXiv 2407.02524, section 3.3) ---

    def _minimise(self) -> None:
        best = self.state.best
        if best is None:
            return
        for step in (self._drop_options, self._drop_runs, self._drop_passes, self._order, self._insertions):
            if step is not None:
                self._try_all(step)

    def _try_all(self, propose: Callable[[Candidate], list[Candidate]]) -> None:
        """Try proposals on the best until none is accepted; one is when it is no larger and shorter."""
        best = self.state.best
        if best is None:
            return
        queue = deque(propose(best.candidate))
        seen: set[str] = set()
        base = best.candidate.key

        def ask() -> Candidate | None:
            nonlocal base
            now = self.state.best
            assert now is not None
            if now.candidate.key != base:
                base = now.candidate.key
                queue.clear()
                queue.extend(propose(now.candidate))
            while queue:
                candidate = queue.popleft()
                if candidate.key not in seen:
                    seen.add(candidate.key)
                    return candidate
            return None

        self._drive(ask, lambda candidate, evaluated: None, self._deadline, self._evaluations)

    @staticmethod
    def _drop_options(candidate: Candidate) -> list[Candidate]:
        out = [Candidate(candidate.passes, tuple(o for o in candidate.codegen_options if o != option),
                         candidate.pass_options) for option in candidate.codegen_options]
        out += [Candidate(candidate.passes, candidate.codegen_options,
                          tuple(o for o in candidate.pass_options if o != option))
                for option in candidate.pass_options]
        return out

    @staticmethod
    def _with(candidate: Candidate, passes: PassList) -> Candidate:
        return Candidate(passes, candidate.codegen_options, candidate.pass_options)

    def _drop_runs(self, candidate: Candidate) -> list[Candidate]:
        """Whole adaptors, largest first."""
        holders = [slot for slot in edit.slots(candidate.passes) if slot.item.children]
        holders.sort(key=lambda slot: -sum(1 for _ in slot.item.walk()))
        return [self._with(candidate, edit.drop(candidate.passes, slot.path)) for slot in holders]

    def _drop_passes(self, candidate: Candidate) -> list[Candidate]:
        return [self._with(candidate, edit.drop(candidate.passes, slot.path))
                for slot in reversed(edit.leaves(candidate.passes))]

    def _order(self, candidate: Candidate) -> list[Candidate]:
        """Neighbours put in the order of their text, where the size allows: equal recipes look equal."""
        out = []
        for slot in edit.leaves(candidate.passes):
            items = edit.siblings(candidate.passes, slot.path)
            index = slot.path[-1]
            if index + 1 < len(items) and str(items[index + 1]) < str(items[index]):
                out.append(self._with(candidate, edit.swap(candidate.passes, slot.path)))
        return out
