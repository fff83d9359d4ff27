"""Many evaluations of one program in one go.

A small function is evaluated in about three milliseconds, and to send a job to a worker and its result back takes a
good part of that. So what is done to a program is sent to the worker as a whole, as a `Task`. Where LLVM dies or hangs
over it, the task is done again from outside, one job after the other, which gives the same result.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Generic, TypeVar

from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.evaluator import Evaluator
from llm_compiler.llvm.job import Job, Limits, Measurement, Outcome, Reading
from llm_compiler.llvm.module import Context, digest
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.target import Lowering, Profile
from llm_compiler.llvm.worker import WorkerPool, perform
from llm_compiler.tasks.lowering import lowering_for
from llm_compiler.tuning.search import Pool

_FLIGHT = 8
_COLLECT_EVERY = 50
_SINGLE = Limits(seconds=30.0)
R = TypeVar("R")


class Bench:
    """One program on a pool: measures candidates, and counts what that takes. A search may use it as its pool.

    instructions: of the unoptimised IR. evaluations: candidates measured; lowered: back ends run, where equal IR under
    equal options runs one.
    """

    def __init__(self, pool: Pool, input: Path, lowering: Lowering, instructions: int) -> None:
        self.pool = pool
        self.input = input
        self.lowering = lowering
        self.instructions = instructions
        self.evaluations = 0
        self.failures: Counter[str] = Counter()
        self._lowered: set[tuple[str, tuple[str, ...]]] = set()
        self._jobs: dict[int, Job] = {}

    @property
    def lowered(self) -> int:
        return len(self._lowered)

    def submit(self, job: Job) -> int:
        # A search asks for the code of all that is no larger than its best, and small functions are full of ties.
        job = replace(job, keep_below=None)
        ticket = self.pool.submit(job)
        self._jobs[ticket] = job
        return ticket

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        finished = self.pool.wait(timeout)
        for ticket, outcome in finished:
            self._count(self._jobs.pop(ticket), outcome)
        return finished

    def cancel(self) -> None:
        self._jobs.clear()
        self.pool.cancel()

    def _count(self, job: Job, outcome: Outcome) -> None:
        self.evaluations += 1
        measurement = outcome.measurement
        if measurement is None:
            self.failures[str(outcome.status)] += 1
        elif job.lower:
            self._lowered.add((measurement.ir_hash, job.candidate.lowering_options))

    def measure(self, candidates: Sequence[Candidate], *, count: bool = False, keep_object: bool = False,
                ) -> list[Measurement | None]:
        """One result a candidate, in their order; None for one that came to nothing. Verified when counted."""
        found: list[Measurement | None] = [None] * len(candidates)
        waiting: dict[int, int] = {}
        for index, candidate in enumerate(candidates):
            job = Job(self.input, candidate, self.lowering, count=count, verify=count, keep_object=keep_object)
            waiting[self.submit(job)] = index
            if len(waiting) >= _FLIGHT or index + 1 == len(candidates):
                while waiting:
                    for ticket, outcome in self.wait():
                        found[waiting.pop(ticket)] = outcome.measurement
        return found


class _InProcess:
    """A pool of the process that it is in."""

    def __init__(self, evaluator: Evaluator) -> None:
        self._evaluator = evaluator
        self._finished: list[tuple[int, Outcome]] = []
        self._tickets = 0

    def submit(self, job: Job) -> int:
        self._tickets += 1
        self._finished.append((self._tickets, perform(self._evaluator, job, 0)))
        return self._tickets

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        finished, self._finished = self._finished, []
        return finished

    def cancel(self) -> None:
        self._finished.clear()


@dataclass(frozen=True)
class Prepared:
    """A program ready for evaluations: bitcode, how it is lowered, and its IR instructions."""

    bitcode: bytes
    lowering: Lowering
    instructions: int


@dataclass(frozen=True)
class Prepare:
    """Reads IR text or bitcode. Raises InputError for what this libLLVM cannot lower."""

    profile: Profile

    def __call__(self, data: bytes) -> Prepared:
        with Context(library.load()) as context:
            module = context.parse(data)
            if not module.functions():
                raise InputError("it defines no function")
            lowering = lowering_for(module, self.profile)
            return Prepared(module.bitcode(), lowering, module.count_instructions())


@dataclass(frozen=True)
class _Done(Generic[R]):
    value: R
    seconds: float


@dataclass(frozen=True)
class Task(Generic[R]):
    """What is done to a program: a function of a module, which takes a bench and `parameters`. Called with the
    program's bytes inside a worker.
    """

    profile: Profile
    function: Callable[..., R]
    parameters: tuple[object, ...] = ()

    def __call__(self, data: bytes) -> _Done[R]:
        started = time.process_time()
        prepared = Prepare(self.profile)(data)
        evaluator, path = _evaluator(), Path("program.bc")
        evaluator.forget()
        evaluator.inputs[path] = prepared.bitcode
        try:
            return _Done(self.apply(_InProcess(evaluator), path, prepared), time.process_time() - started)
        finally:
            evaluator.forget()
            _tidy()

    def apply(self, pool: Pool, path: Path, prepared: Prepared) -> R:
        return self.function(Bench(pool, path, prepared.lowering, prepared.instructions), *self.parameters)

    def run(self, pool: WorkerPool, data: bytes, counts: Counter[str]) -> R | str:
        """The result, or why there is none: LLVM cannot read the program, or dies over reading it."""
        with tempfile.TemporaryDirectory(prefix="label-") as folder:
            path = Path(folder) / f"{digest(data)}.bc"
            path.write_bytes(data)
            outcome = pool.run(Reading(path, self))
            if isinstance(outcome.value, _Done):
                counts["processor milliseconds"] += round(1000 * outcome.value.seconds)
                found: R = outcome.value.value
                return found
            counts["programs done again one by one"] += 1
            prepared = pool.run(Reading(path, Prepare(self.profile))).value
            if not isinstance(prepared, Prepared):
                return outcome.message or str(outcome.status)
            path.write_bytes(prepared.bitcode)
            with WorkerPool(1, _SINGLE) as singles:
                return self.apply(singles, path, prepared)


@lru_cache(maxsize=1)
def _evaluator() -> Evaluator:
    return Evaluator()


_calls = 0


def _tidy() -> None:
    """Workers run without the cycle collector; a search leaves a few cycles."""
    global _calls
    _calls += 1
    if _calls % _COLLECT_EVERY == 0:
        gc.collect()
