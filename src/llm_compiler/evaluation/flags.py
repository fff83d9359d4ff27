"""Flag tuning: what a model's pass lists save over -Oz, beside the core set and searches of the same wall time.

Candidates are lowered in workers, as `clang -Oz` lowers (deploy) or at codegen level -O0 (paper); the best of every
method is run beside -Oz by differential execution. A candidate that crashes is an answer like any other.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError, LlmcError
from llm_compiler.evaluation.programs import Program, Refused, open_program, pool_of
from llm_compiler.evaluation.runs import Run
from llm_compiler.evaluation.suites import Item, Suite
from llm_compiler.inference import asking
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.llvm.job import Job, Outcome, Reading, Status
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import X86_64, Profile, architecture
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models.engine import Sample
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.grammar import pass_list_grammar
from llm_compiler.tasks.labels.search import full_space, list_space
from llm_compiler.tasks.lowering import text_of
from llm_compiler.tasks.prompts import FlagsPrompt, Unparsed
from llm_compiler.tuning.ranked import RankedCoreSet
from llm_compiler.tuning.search import Search
from llm_compiler.tuning.strategies import STRATEGIES, make_strategy
from llm_compiler.tuning.verify import Verifier
from llm_compiler.validation.differential import FunctionStatus, Level

TASK = "flags"
MODEL, CORE_SET = "model", "coreset"
DONE = "done"
SECONDS = 2.0
"""Of a search where no model says how long."""

_VERIFY_SECONDS = 10.0  # of one candidate
_FLIGHT = 8


class Answer(StrEnum):
    """What became of an answer. measured: it is a pass list, and has an object. cut_off: it did not end."""

    MEASURED = "measured"
    CUT_OFF = "cut_off"
    UNPARSED = "unparsed"
    INVALID = "invalid"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    WRONG = "wrong"


@dataclass(frozen=True)
class FlagsOptions:
    """samples: numbers of samples that are reported. tokens: of an answer. grammar: restrict answers to valid lists.
    searches: strategies beside the model. seconds: of each search; None: what the model took, or 2.
    """

    profile: Profile = Profile.DEPLOY
    samples: tuple[int, ...] = (1, 8, 32)
    temperature: float = 0.8
    tokens: int = 256
    grammar: bool = False
    searches: tuple[str, ...] = (CORE_SET, "random", "evolution", "adaptive")
    seconds: float | None = None
    verify: Level = Level.QUICK
    seed: int = 0
    jobs: int = 2
    cflags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.samples or list(self.samples) != sorted(set(self.samples)) or self.samples[0] < 1:
            raise InputError("numbers of samples are whole and ascend, as 1,8,32")
        unknown = [name for name in self.searches if name not in STRATEGIES]
        if unknown:
            raise InputError(f"unknown strategy '{unknown[0]}'; use {', '.join(STRATEGIES)}")
        if self.seconds is not None and self.seconds <= 0:
            raise InputError("a search needs more than 0 seconds")

    def parameters(self) -> dict[str, Any]:
        """What decides the records."""
        return {name: value for name, value in asdict(self).items() if name not in ("jobs", "seed")}


@dataclass
class Tried:
    """An answer. sample: how many had been asked for when it came. bytes, text_data: of its object. at: seconds from
    the method's start, of those that are tried one after the other.
    """

    status: Answer
    sample: int
    passes: str = ""
    options: list[str] = field(default_factory=list)
    pass_options: list[str] = field(default_factory=list)
    bytes: int | None = None
    text_data: int | None = None
    object: str = ""
    message: str = ""
    logprob: float | None = None
    at: float | None = None


class Ranking:
    """Instead of a model: the core set as the ranking that comes with the package orders it."""


def evaluate(run: Run, suite: Suite, options: FlagsOptions, backend: Backend | Ranking | None = None,
             on_progress: Callable[[int, int], None] = lambda done, count: None) -> None:
    """A record for each program that the run lacks. Raises EngineError when the model cannot be run any more."""
    with tempfile.TemporaryDirectory(prefix="eval-") as name:
        for number, item in enumerate(suite.read(), 1):
            if item.key not in run:
                folder = Path(name) / str(number)
                folder.mkdir()
                _evaluate(run, item, options, backend, folder)
            on_progress(number, suite.count)


def _evaluate(run: Run, item: Item, options: FlagsOptions, backend: Backend | Ranking | None, folder: Path) -> None:
    told: dict[str, Any] = {"name": item.name, "benchmark": item.benchmark}
    with pool_of(options.jobs) as pool:
        try:
            program = open_program(item, options.profile, folder, pool, options.cflags)
        except Refused as refused:
            run.add(item.key, refused.status, **told, message=refused.message)
            return
        methods: dict[str, Any] = {}
        checks = _Checks(program, pool, folder, options)
        try:
            if isinstance(backend, Ranking):
                methods[MODEL] = _ranked(program, pool, options, checks)
            elif backend is not None:
                methods[MODEL] = _Asking(program, item, pool, options, backend).record(checks)
            seconds = options.seconds or methods.get(MODEL, {}).get("seconds") or SECONDS
            for strategy in options.searches:
                methods[strategy] = _search(program, item, options, strategy, seconds, checks)
        finally:
            checks.close()
    run.add(item.key, DONE, **told, instructions=program.prepared.instructions,
            baseline={"bytes": program.bytes, "text_data": program.text_data}, methods=methods,
            searched=round(seconds, 4), verification=dict(sorted(checks.verdicts.items())))


# --- measuring ---------------------------------------------------------------------------------------------------


def measure(pool: WorkerPool, program: Program, candidates: Sequence[Candidate]) -> Iterator[Outcome]:
    """Outcomes in the order of the candidates, with as many under way as the pool likes."""
    waiting: dict[int, int] = {}
    found: dict[int, Outcome] = {}
    following = 0
    for index in range(len(candidates)):
        while index not in found:
            while following < len(candidates) and len(waiting) < _FLIGHT:
                job = Job(program.path, candidates[following], program.prepared.lowering, verify=True)
                waiting[pool.submit(job)] = following
                following += 1
            for ticket, outcome in pool.wait():
                found[waiting.pop(ticket)] = outcome
        yield found.pop(index)


_ANSWERS = {Status.INVALID: Answer.INVALID, Status.CRASHED: Answer.CRASHED, Status.TIMED_OUT: Answer.TIMED_OUT,
            Status.OUT_OF_MEMORY: Answer.OUT_OF_MEMORY, Status.WRONG: Answer.WRONG}


def _tried(candidate: Candidate, outcome: Outcome, sample: int) -> Tried:
    made = Tried(Answer.MEASURED, sample, candidate.passes.text, list(candidate.codegen_options),
                 list(candidate.pass_options))
    measurement = outcome.measurement
    if measurement is None or measurement.size is None:
        return replace(made, status=_ANSWERS[outcome.status], message=outcome.message[:300])
    return replace(made, bytes=measurement.size.total, text_data=measurement.size.text_data,
                   object=measurement.object_hash)


class _Checks:
    """Differential execution of answers beside -Oz, once for each object."""

    def __init__(self, program: Program, pool: WorkerPool, folder: Path, options: FlagsOptions) -> None:
        assert program.baseline.object is not None
        self._program = program
        self._pool = pool
        self._off = options.verify is Level.OFF
        self._verifier = Verifier(pool, program.path, program.prepared.lowering, program.baseline.object, folder,
                                  options.verify)
        self._wrong: dict[str, bool] = {program.baseline.object_hash: False}
        self.verdicts: Counter[str] = Counter()

    def close(self) -> None:
        self._verifier.__exit__()

    def settle(self, tried: Sequence[Tried]) -> None:
        """Mark what does something else than -Oz, as far as it would be an answer's best."""
        for sample in sorted({each.sample for each in tried}):
            while True:
                able = [each for each in tried if each.sample <= sample and each.status is Answer.MEASURED]
                best = min(able, key=lambda each: each.bytes or 0, default=None)
                if best is None or (best.bytes or 0) >= self._program.bytes or not self._is_wrong(best):
                    break
                for each in tried:
                    if each.object == best.object and each.status is Answer.MEASURED:
                        each.status, each.message = Answer.WRONG, "differs from -Oz when it is run"

    def _is_wrong(self, tried: Tried) -> bool:
        if self._off:
            return False
        known = self._wrong.get(tried.object)
        if known is None:
            known = self._wrong[tried.object] = self._check(tried)
        return known

    def _check(self, tried: Tried) -> bool:
        candidate = Candidate(PassList.parse(tried.passes), tuple(tried.options), tuple(tried.pass_options))
        job = Job(self._program.path, candidate, self._program.prepared.lowering, keep_object=True)
        measurement = self._pool.run(job).measurement
        if measurement is None or measurement.object is None:
            self.verdicts["not executed"] += 1
            return False
        try:
            found = self._verifier.check(candidate, measurement.object, "", _VERIFY_SECONDS)
        except LlmcError:
            self.verdicts["not executed"] += 1
            return False
        if found.wrong is not None:
            self.verdicts["wrong"] += 1
            return True
        statuses = {each.status for each in found.functions}
        self.verdicts["agreed" if FunctionStatus.AGREED in statuses else
                      "not executed" if FunctionStatus.NOT_EXECUTED in statuses or not statuses else
                      "without a changed function"] += 1
        return False


# --- methods -----------------------------------------------------------------------------------------------------


def _record(tried: Iterable[Tried], seconds: float, **others: Any) -> dict[str, Any]:
    kept = [{name: value for name, value in asdict(each).items() if value not in (None, "", [])} for each in tried]
    return {"seconds": round(seconds, 4), "answers": kept, **others}


class _Asking:
    """A model's answers for one program: the likeliest first, then samples, as many as are reported."""

    def __init__(self, program: Program, item: Item, pool: WorkerPool, options: FlagsOptions,
                 backend: Backend) -> None:
        self._program = program
        self._pool = pool
        self._options = options
        self._backend = backend
        self._seed = seed_of(options.seed, item)
        self._grammar = pass_list_grammar(list_space(options.profile)) if options.grammar else None

    def record(self, checks: _Checks) -> dict[str, Any]:
        text = self._pool.run(Reading(self._program.path, text_of)).value
        if not isinstance(text, str):
            return _record([], 0.0, problem=asking.REFUSED)
        asked = FlagsPrompt(compact(text) if self._backend.form is Form.COMPACT else text)
        tried: list[Tried] = []
        seconds, began = 0.0, 0
        for samples in self._options.samples:
            for count, temperature in _portions(began, samples, self._options.temperature):
                found = asking.ask(self._backend, asked, samples=count, tokens=self._options.tokens,
                                   temperature=temperature, seed=self._seed + began, grammar=self._grammar)
                if found.problem:
                    return _record(tried, seconds, problem=found.problem, message=found.message)
                started = time.monotonic()
                tried += self._measured([self._read(sample, samples) for sample in found.samples])
                seconds += found.seconds + time.monotonic() - started
            began = samples
        checks.settle(tried)
        return _record(tried, seconds)

    def _read(self, sample: Sample, number: int) -> tuple[Tried, Candidate | None]:
        text, logprob = sample.text, sample.logprob
        if not sample.finished:
            return Tried(Answer.CUT_OFF, number, message=text[:300], logprob=logprob), None
        parsed = self._backend.passes(sample)
        if isinstance(parsed, Unparsed):
            told = f"{parsed.reason}: {text[:200]}"
            return Tried(Answer.UNPARSED, number, message=told, logprob=logprob), None
        return Tried(Answer.MEASURED, number, parsed.text, logprob=logprob), Candidate(parsed)

    def _measured(self, read: Sequence[tuple[Tried, Candidate | None]]) -> list[Tried]:
        able = [candidate for _, candidate in read if candidate is not None]
        outcomes = measure(self._pool, self._program, able)
        return [tried if candidate is None else
                replace(_tried(candidate, next(outcomes), tried.sample), logprob=tried.logprob)
                for tried, candidate in read]


def _portions(began: int, samples: int, temperature: float) -> list[tuple[int, float]]:
    """How many answers are asked for at which temperature, to come from `began` to `samples`."""
    portions = [(1, 0.0)] if not began else []
    left = samples - began - len(portions)
    return [*portions, *([(left, temperature)] if left else [])]


def _ranked(program: Program, pool: WorkerPool, options: FlagsOptions, checks: _Checks) -> dict[str, Any]:
    """The core set in the order of the ranking, as far as answers are reported."""
    started = time.monotonic()
    proposer = RankedCoreSet(full_space(options.profile).core_set, str(options.profile), architecture(X86_64),
                             options.samples[-1])
    chosen = proposer(pool, program.path).candidates
    tried = []
    for number, outcome in enumerate(measure(pool, program, chosen), 1):
        sample = next(each for each in options.samples if number <= each)
        tried.append(_tried(chosen[number - 1], outcome, sample))
    spent = time.monotonic() - started
    checks.settle(tried)
    return _record(tried, spent)


def _search(program: Program, item: Item, options: FlagsOptions, strategy: str, seconds: float,
            checks: _Checks) -> dict[str, Any]:
    """The core set in its order, or the best of a search; in fresh workers, so that nothing is known beforehand."""
    with pool_of(options.jobs) as pool:
        started = time.monotonic()
        if strategy == CORE_SET:
            chosen = full_space(options.profile).core_set
            tried = []
            for number, outcome in enumerate(measure(pool, program, chosen), 1):
                made = _tried(chosen[number - 1], outcome, number)
                tried.append(replace(made, at=round(time.monotonic() - started, 4)))
            spent = time.monotonic() - started
            checks.settle(tried)
            return _record(tried, spent)
        space = (list_space(options.profile) if strategy == "random" else
                 full_space(options.profile).with_functions(program.inlinable))
        search = Search(pool, program.path, program.prepared.lowering, deadline=started + seconds)
        state = search.run(make_strategy(strategy, space, seed_of(options.seed, item)))
        spent = time.monotonic() - started
        best = [state.best] if state.best is not None else []
        chosen = tuple(dict.fromkeys(each.candidate for each in (*best, *state.ranking)
                                     if each.total < program.bytes))
        pool.cancel()
        tried = [_tried(candidate, outcome, 1) for candidate, outcome in
                 zip(chosen, measure(pool, program, chosen), strict=True)]
    checks.settle(tried)
    return _record(tried, spent, evaluations=state.evaluations,
                   outcomes={str(status): count for status, count in sorted(state.outcomes.items())})


def seed_of(seed: int, item: Item) -> int:
    """The seed of one program's samples and searches."""
    return random.Random(f"{seed} {item.key}").getrandbits(31)
