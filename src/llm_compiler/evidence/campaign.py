"""Campaigns: many lists on many programs, to find out which passes and options can be trusted.

Two kinds. `pass_batches` tries each pass, option and list of the core set: alone on unoptimised IR, before, within and
after -Oz, after other passes, beside common ones, with each of its parameters. `tuned_batches` draws candidates as the
tuner's search does; a program under such a candidate is a tuned program.

Attribution. What is on trial is blamed for a failure when the same list without it passes and no pipeline of LLVM's
runs it. In any other case the list is reduced to passes and options none of which can be left out, and of those the
least trusted by trust.toml and options.toml are blamed (all of them: nothing tells them apart); when all are as trusted
as LLVM's own pipelines, the last one is, after which the program goes wrong.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Protocol

from llm_compiler.errors import InputError
from llm_compiler.evidence.reduce import reduce_candidate
from llm_compiler.evidence.table import (
    Blame,
    Journal,
    Record,
    Subject,
    candidates_of,
    example_of,
    is_failure,
    trial_key,
)
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import Candidate, Pass, PassList
from llm_compiler.llvm.registry import PassInfo, Registry, Tier, trusted
from llm_compiler.tuning import data, edit
from llm_compiler.tuning.space import Space, space_for
from llm_compiler.validation.passlisteval import Trial, Verdict
from llm_compiler.validation.suites import Program

SecondOpinion = Callable[[str, Candidate], tuple[Verdict, str]]
"""A verdict, and its detail, on what a candidate makes of a program that passed: other inputs than its own tests'."""

PROGRAMS_A_BATCH = 8
CANDIDATES_A_BATCH = 8
SETTLED = 5
"""Failures after which a pass or option is tried no more."""

_REDUCED = 2  # failures of a subject that are reduced for the sake of an example
_PARTNERS = ("instcombine", "simplifycfg", "sroa", "gvn", "early-cse", "inline", "licm", "loop-rotate",
             "jump-threading", "globalopt")


class Checker(Protocol):
    """What a campaign needs of `passlisteval.PassListEval`."""

    @property
    def programs(self) -> Sequence[Program]: ...

    def bitcode(self, program: str) -> Path: ...

    def check(self, candidates: Iterable[Candidate], *, programs: Collection[str] | None = None) -> Iterator[Trial]: ...


@dataclass(frozen=True)
class Experiment:
    """A candidate, the same without what is on trial, and what that is."""

    subject: Subject
    candidate: Candidate
    base: Candidate


@dataclass(frozen=True)
class Batch:
    """Experiments to run on each of some programs."""

    programs: tuple[str, ...]
    experiments: tuple[Experiment, ...]


# --- what is tried ---


class _Places:
    """The lists in which a pass is tried."""

    def __init__(self, known: Registry, space: Space) -> None:
        self._known = known
        self._space = space
        self._makers = (self._after, self._within, self._alone, self._before, self._beside, self._after_others,
                        self._within)

    def draw(self, rng: random.Random, info: PassInfo, number: int) -> Experiment:
        """The experiment of a round; the rounds go through the places in turn."""
        item = self._space.parameterised(rng, info.name)
        passes, base = self._makers[number % len(self._makers)](rng, item, info.level)
        return Experiment(Subject("pass", info.name), Candidate(passes), Candidate(base))

    def _wrapped(self, *items: Pass) -> tuple[Pass, ...]:
        return PassList(items).canonical(self._known.level).passes

    def _alone(self, rng: random.Random, item: Pass, level: str) -> tuple[PassList, PassList]:
        return PassList(self._wrapped(item)), PassList()

    def _after(self, rng: random.Random, item: Pass, level: str) -> tuple[PassList, PassList]:
        oz = self._space.oz
        return PassList((*oz.passes, *self._wrapped(item))), oz

    def _before(self, rng: random.Random, item: Pass, level: str) -> tuple[PassList, PassList]:
        oz = self._space.oz
        return PassList((*self._wrapped(item), *oz.passes)), oz

    def _within(self, rng: random.Random, item: Pass, level: str) -> tuple[PassList, PassList]:
        """At one to three random places of -Oz, among passes of its own level."""
        passes = self._space.oz
        for _ in range(rng.choice((1, 1, 2, 3))):
            slots = [slot for slot in edit.leaves(passes) if slot.level == level]
            if not slots:
                return self._before(rng, item, level)
            slot = rng.choice(slots)
            pair = (item, slot.item) if rng.random() < 0.5 else (slot.item, item)
            passes = edit.replace(passes, slot.path, pair)
        return passes, self._space.oz

    def _beside(self, rng: random.Random, item: Pass, level: str) -> tuple[PassList, PassList]:
        """Before or after a common pass, and then -Oz or nothing."""
        names = [name for name in _PARTNERS if name != item.name and self._known.level(name) is not None]
        partner = self._space.parameterised(rng, rng.choice(names))
        pair = (item, partner) if rng.random() < 0.5 else (partner, item)
        rest = self._space.oz.passes if rng.random() < 0.5 else ()
        return PassList((*self._wrapped(*pair), *rest)), PassList((*self._wrapped(partner), *rest))

    def _after_others(self, rng: random.Random, item: Pass, level: str) -> tuple[PassList, PassList]:
        """After some of the passes that LLVM's pipelines run, in random order."""
        others = self._space.random_list(rng, 2, 8).passes
        rest = self._space.oz.passes if rng.random() < 0.5 else ()
        return PassList((*others, *self._wrapped(item), *rest)), PassList((*others, *rest))


def pass_batches(known: Registry, programs: Sequence[str], seed: int, only: Collection[str] = ()) -> Iterator[Batch]:
    """Rounds without end: each tries every pass that has its evidence to earn in one more place, on a few programs.

    Passes of LLVM's own pipelines, suspected ones, options and the core set come in every fourth round. only: names of
    passes and texts of options, instead of all.
    """
    space = space_for(known, Tier.PRODUCTION, "deploy", "x86_64")
    places = _Places(known, space)
    run_by, suspected = trusted()
    oz = Candidate(space.oz)
    options = [("codegen", option) for group in data.option_groups("codegen", Tier.EXPERIMENTAL, "x86_64")
               for option in group]
    options += [("pass", option) for group in data.option_groups("pass", Tier.EXPERIMENTAL, "x86_64")
                for option in group]
    for number in count():
        rng = random.Random(f"{seed}:{number}")
        chosen = tuple(sorted(rng.sample(sorted(programs), min(PROGRAMS_A_BATCH, len(programs)))))
        experiments = []
        for info in known.passes():
            settled = info.name in run_by or info.name in suspected
            if not info.transforms or (only and info.name not in only):
                continue
            if only or not settled or number % 4 == 0:
                turn = number if only or not settled else number // 4
                experiments.append(places.draw(random.Random(f"{seed}:{number}:{info.name}"), info, turn))
        if number % 4 == 0 or only:
            for kind, option in options:
                if not only or option in only:
                    held = ((option,), ()) if kind == "codegen" else ((), (option,))
                    experiments.append(Experiment(Subject("option", option), Candidate(space.oz, *held), oz))
            if not only:
                experiments += [Experiment(Subject("core", entry.digest), entry, oz) for entry in space.core_set]
        rng.shuffle(experiments)
        yield Batch(chosen, tuple(experiments))


def tuned_batches(known: Registry, tier: Tier, programs: Sequence[str], seed: int,
                  bitcode: Callable[[str], Path]) -> Iterator[Batch]:
    """Rounds without end over all programs: candidates drawn for each as a search at this tier would."""
    space = space_for(known, tier, "deploy", "x86_64")
    subject = Subject("tuned", str(tier))
    oz = Candidate(space.oz)
    for number in count():
        order = sorted(programs)
        random.Random(f"{seed}:{number}").shuffle(order)
        for program in order:
            rng = random.Random(f"{seed}:{number}:{program}:{tier}")
            own = space.with_functions(_inlinable(bitcode(program)))
            drawn = [_tuned(rng, own) for _ in range(CANDIDATES_A_BATCH)]
            yield Batch((program,), tuple(Experiment(subject, candidate, oz) for candidate in dict.fromkeys(drawn)))


def _inlinable(bitcode: Path) -> tuple[str, ...]:
    with Context(library.load()) as context:
        return tuple(context.parse(bitcode.read_bytes()).discardable_functions())


def _tuned(rng: random.Random, space: Space) -> Candidate:
    """A list of the core set, -Oz or a random list; edits of it; options; inlining decisions."""
    start = rng.random()
    if start < 0.1:
        candidate = Candidate(space.random_list(rng))
    elif start < 0.6 and space.core_set:
        candidate = rng.choice(space.core_set)
    else:
        candidate = Candidate(space.oz)
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 8))):
        candidate = replace(candidate, passes=space.mutate_passes(rng, candidate.passes))
    for _ in range(rng.choice((0, 1, 2, 4))):
        candidate = space.mutate_options(rng, candidate)
    for _ in range(rng.choice((0, 0, 1, 3))):
        candidate = space.toggle_inlining(rng, candidate)
    return candidate


# --- the run ---


@dataclass
class Progress:
    """Trials of this run, of the journal in all, failures of this run, and how long it has run in seconds."""

    trials: int = 0
    known: int = 0
    failures: int = 0
    seconds: float = 0.0


class Campaign:
    """Runs batches and writes every trial into a journal; what the journal holds is not run again."""

    def __init__(
        self, checker: Checker, journal: Journal, known: Registry, *, second: SecondOpinion | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> None:
        self._checker = checker
        self._journal = journal
        self._known = known
        self._second = second
        self._on_progress = on_progress
        self._digests = {program.name: _digest(program) for program in checker.programs}
        self._blamed: Counter[Subject] = Counter()
        self._oz = Candidate(oz_pipeline(known))
        for key in journal.blamed:
            if key in journal.failed:
                self._blamed[journal.failed[key].subject] += 1
        self.progress = Progress(known=journal.trials)

    def run(self, batches: Iterable[Batch], *, deadline: float | None = None, trials: int | None = None) -> Progress:
        """Run batches until `deadline`, a time.monotonic() value, or until the run has made so many trials."""
        started = time.monotonic()
        self._attribute_pending(deadline)
        for batch in batches:
            if _passed(deadline) or (trials is not None and self.progress.trials >= trials):
                break
            self._run_batch(batch, deadline, trials, started)
        self.progress.seconds = time.monotonic() - started
        return self.progress

    def _run_batch(self, batch: Batch, deadline: float | None, trials: int | None, started: float) -> None:
        programs = [name for name in batch.programs if name in self._digests]
        todo: dict[Candidate, list[Experiment]] = {}
        missing: dict[Candidate, set[str]] = {}
        for experiment in batch.experiments:
            if self._blamed[experiment.subject] >= SETTLED and experiment.subject.kind in ("pass", "option"):
                continue
            names = {name for name in programs if self._key(name, experiment) not in self._journal}
            if names:
                todo.setdefault(experiment.candidate, []).append(experiment)
                missing.setdefault(experiment.candidate, set()).update(names)
        without = self._without(todo, programs)
        groups: dict[frozenset[str], list[Candidate]] = {}
        for candidate, names in missing.items():
            groups.setdefault(frozenset(names), []).append(candidate)
        failed: list[tuple[Record, Experiment]] = []
        for group, candidates in groups.items():
            found = self._checker.check(candidates, programs=group)
            for trial in found:
                for experiment in todo[trial.candidate]:
                    base = without[trial.program, experiment.base]
                    record = self._record(trial, experiment, base)
                    if is_failure(record.verdict):
                        failed.append((record, experiment))
                self.progress.seconds = time.monotonic() - started
                if self._on_progress is not None:
                    self._on_progress(self.progress)
                if _passed(deadline) or (trials is not None and self.progress.trials >= trials):
                    if isinstance(found, Generator):
                        found.close()
                    break
            if _passed(deadline):
                break
        for record, experiment in failed:
            base = without[record.program, experiment.base]
            self._attribute(record, experiment.candidate, base.verdict is Verdict.PASSED, deadline)

    def _without(self, todo: Mapping[Candidate, Sequence[Experiment]], programs: Sequence[str],
                 ) -> dict[tuple[str, Candidate], Trial]:
        """Trials of the bases. Raises InputError when -Oz fails, so that no verdict means anything."""
        bases = {self._oz, *(experiment.base for held in todo.values() for experiment in held)} if todo else set()
        found = {(trial.program, trial.candidate): trial
                 for trial in self._checker.check(sorted(bases, key=lambda base: base.key), programs=programs)}
        for (program, candidate), trial in found.items():
            if candidate == self._oz and trial.verdict is not Verdict.PASSED:
                raise InputError(f"{program} fails under -Oz itself ({trial.verdict}: {trial.detail}); leave it out, "
                                 "or see what is wrong with the toolchain")
        return found

    def _record(self, trial: Trial, experiment: Experiment, base: Trial) -> Record:
        verdict, detail = trial.verdict, trial.detail
        # Where the base is not -Oz only sizes can be compared: that misses changes, and makes none up.
        changed = trial.bytes is not None and base.bytes is not None and (
            trial.changed if base.candidate == self._oz else trial.bytes != base.bytes)
        if verdict is Verdict.PASSED and changed and self._second is not None:
            verdict, detail = self._second(trial.program, trial.candidate)
        record = Record(self._key(trial.program, experiment), trial.program, trial.suite, experiment.subject,
                        trial.candidate.digest, str(verdict), changed,
                        detail if is_failure(verdict) or verdict is Verdict.INVALID else "")
        if record.key not in self._journal:
            self._journal.add(record, trial.candidate)
            self.progress.trials += 1
            self.progress.known += 1
            self.progress.failures += is_failure(record.verdict)
        return record

    def _key(self, program: str, experiment: Experiment) -> str:
        return trial_key(self._digests[program], experiment.candidate, experiment.subject)

    # --- attribution ---

    def _attribute_pending(self, deadline: float | None) -> None:
        pending = [record for key, record in self._journal.failed.items()
                   if key not in self._journal.blamed and record.program in self._digests]
        lists = candidates_of([self._journal.path], {record.candidate for record in pending})
        for record in pending:
            if _passed(deadline):
                return
            self._attribute(record, lists[record.candidate], False, deadline)

    def _attribute(self, record: Record, candidate: Candidate, passes_without: bool, deadline: float | None) -> None:
        """Write down what a failure is attributed to. Past the deadline only what needs no further trial."""
        subject = record.subject
        certain = passes_without and subject.kind in ("pass", "option") and _rank(subject, self._known) > 0
        reduced = candidate
        if not certain and _passed(deadline):
            return
        slow = record.verdict in (Verdict.HUNG, Verdict.COMPILER_HUNG)
        if not certain or (self._blamed[subject] < _REDUCED and not slow and not _passed(deadline)):
            reduced = reduce_candidate(candidate, lambda other: self._fails(record.program, other), self._known)
        subjects = (subject,) if certain else culprits(reduced, self._known)
        self._journal.blame(Blame(record.key, subjects, example_of(record.program, reduced, record.verdict)))
        for each in subjects:
            self._blamed[each] += 1

    def _fails(self, program: str, candidate: Candidate) -> bool:
        (trial,) = self._checker.check([candidate], programs=[program])
        if trial.verdict is Verdict.PASSED and self._second is not None:
            return is_failure(self._second(program, candidate)[0])
        return is_failure(trial.verdict)


def culprits(reduced: Candidate, known: Registry) -> tuple[Subject, ...]:
    """What a failure is attributed to, given a candidate of which nothing can be left out: see the top of this file.

    Empty when nothing is left, so that the program itself is to blame.
    """
    names = dict.fromkeys(item.name for item in reduced.passes.walk()
                          if not item.children and item.name not in ("require", "invalidate"))
    held = [Subject("pass", name) for name in names]
    held += [Subject("option", option) for option in (*reduced.pass_options, *reduced.codegen_options)]
    if not held:
        return ()
    worst = max(_rank(subject, known) for subject in held)
    return tuple(subject for subject in held if _rank(subject, known) == worst) if worst else (held[-1],)


def _rank(subject: Subject, known: Registry) -> int:
    """How little a pass or option is trusted before any trial: 0 for what LLVM's own pipelines do."""
    if subject.kind == "option":
        return int(data.option_tier(subject.name))
    run_by, suspected = trusted()
    if subject.name in suspected:
        return 2
    return 0 if subject.name in run_by or subject.name == "default" else 1


def _digest(program: Program) -> str:
    text = repr((program.text, program.cxx, program.flags, program.link))
    return hashlib.blake2b(text.encode(errors="surrogateescape"), digest_size=16).hexdigest()


def _passed(deadline: float | None) -> bool:
    return deadline is not None and time.monotonic() >= deadline
