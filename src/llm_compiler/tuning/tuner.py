"""Tune one input, or many: baseline, unoptimised IR, search, and an object lowered by clang itself and measured again.

The figure of a result is never the search's: the winner's object is made by the very clang that made the baseline,
with the user's flags, and is taken only if its loaded sections are smaller.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import CompileError, InputError, LlmcError
from llm_compiler.llvm import frontend, library, registry
from llm_compiler.llvm.job import Inspection, Job, Limits, Status
from llm_compiler.llvm.module import digest
from llm_compiler.llvm.objectfile import ObjectSize, measure
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.registry import Tier
from llm_compiler.llvm.target import X86_64, Lowering, Profile, architecture, normalise_triple
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models import ranking
from llm_compiler.paths import cache_folder
from llm_compiler.tuning import data
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.proposals import Proposals, Proposer
from llm_compiler.tuning.ranked import RankedCoreSet
from llm_compiler.tuning.result import Sizes, TuningResult, TuningStatus, stock_commands
from llm_compiler.tuning.search import Evaluated, Search, SearchState
from llm_compiler.tuning.source import check_source, inspect, lowering_for
from llm_compiler.tuning.space import Space, space_for
from llm_compiler.tuning.store import Store, key_of
from llm_compiler.tuning.strategies import make_strategy
from llm_compiler.tuning.verify import Verifier
from llm_compiler.validation.differential import Level, Verification

Progress = Callable[[str, SearchState], None]

WITH_MODEL = {"model": "coreset", "hybrid": "adaptive"}
"""Strategies that try what a model proposes first: `model` this alone; `hybrid` goes on from it as `adaptive`."""

PROPOSALS = 8
"""What is tried by the strategy `model`, where it is not said."""

_VERIFYING = 0.3  # the share of a budget in seconds that a quick verification may take


@dataclass(frozen=True)
class TuningOptions:
    """What decides a tuning beside its input.

    level: the flag of the baseline (`-Oz`; `llmc cc` passes the user's own). clang: a clang to use instead of the
    one found. store: whether results are kept and looked up. verify: how far changed functions are run beside clang's.
    proposals: entries of the ranked core set that the strategy `model` tries, where no proposer is named.
    """

    budget: Budget = field(default_factory=lambda: Budget(seconds=10.0))
    profile: Profile = Profile.DEPLOY
    strategy: str = "hybrid"
    tier: Tier = Tier.PRODUCTION
    target: str = X86_64
    jobs: int = 2
    seed: int = 0
    cflags: tuple[str, ...] = ()
    level: str = "-Oz"
    clang: str | None = None
    store: bool = True
    memory: int = 3 << 30
    verify: Level = Level.QUICK
    proposals: int = PROPOSALS


@dataclass
class _Prepared:
    """An input made ready: all files are in the run's own folder."""

    source: Path
    bitcode: Path
    lowering: Lowering
    baseline_object: bytes
    baseline: ObjectSize
    inspection: Inspection
    input_hash: str
    back_end_seconds: float
    clang: frontend.Clang
    head_start: _HeadStart | None = None
    waited: float = 0.0


@dataclass(frozen=True)
class _HeadStart:
    """What clang itself makes with the best fixed options, compiled beside the baseline: a gain for files so large
    that the budget ends before the first evaluation."""

    options: tuple[str, ...]
    object: bytes
    size: ObjectSize


class Tuner:
    """Holds the workers and the store over many inputs. Use it as a context manager.

    proposer: for the strategies `model` and `hybrid`; the ranking that comes with the package unless said.
    """

    def __init__(self, options: TuningOptions = TuningOptions(), *, on_progress: Progress | None = None,
                 proposer: Proposer | None = None) -> None:
        self.options = options
        self._on_progress = on_progress
        self._strategy = WITH_MODEL.get(options.strategy, options.strategy)
        self._lib = library.load()
        self._registry = registry.load(full=options.tier > Tier.PRODUCTION)
        self._triple = normalise_triple(options.target)
        self._space = space_for(self._registry, options.tier, str(options.profile), architecture(self._triple))
        make_strategy(self._strategy, self._space, options.seed)  # an unknown name is said before any work
        self._proposer: Proposer | None = None
        if options.strategy in WITH_MODEL:
            self._proposer = proposer or self._ranking()
        self._folder = tempfile.TemporaryDirectory(prefix="llmc-", ignore_cleanup_errors=True)
        self._pool: WorkerPool | None = None
        self._store = Store() if options.store else None
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None
        if self._store is not None:
            self._store.close()
        self._folder.cleanup()

    def tune(self, source: str | Path, *, cflags: Sequence[str] | None = None, name: str | None = None,
             baseline_object: bytes | None = None) -> TuningResult:
        """Tune one file. What is wrong with the input is a result with status FAILED, never an exception.

        name: how the input is called in the result. baseline_object: clang's own object when the caller has it.
        """
        started = time.monotonic()
        path = Path(source)
        flags = self.options.cflags if cflags is None else tuple(cflags)
        blank = TuningResult(
            input=name or str(source), status=TuningStatus.FAILED, profile=str(self.options.profile),
            target=self._triple, llvm=self._lib.version_text, seed=self.options.seed,
        )
        try:
            prepared = self._prepare(path, flags, baseline_object)
            result = self._tune(prepared, flags, blank, started)
        except LlmcError as error:
            return replace(blank, message=str(error), seconds=time.monotonic() - started)
        finally:
            shutil.rmtree(Path(self._folder.name) / str(self._count), ignore_errors=True)
        return replace(result, seconds=result.seconds or time.monotonic() - started)

    def _ranking(self) -> RankedCoreSet:
        """Raises InputError when the package's file is damaged."""
        options = self.options
        ranking.shipped()
        return RankedCoreSet(self._space.core_set, str(options.profile), architecture(self._triple),
                             options.proposals if options.strategy == "model" else None)

    # --- preparation ---

    def _workspace(self) -> Path:
        self._count += 1
        folder = Path(self._folder.name) / str(self._count)
        folder.mkdir()
        return folder

    def _workers(self) -> WorkerPool:
        if self._pool is None:
            budget = self.options.budget.seconds
            seconds = 60.0 if budget is None else max(10.0, budget)
            self._pool = WorkerPool(self.options.jobs, Limits(seconds, self.options.memory),
                                    cache_folder() / "crashes")
        return self._pool

    def _prepare(self, source: Path, flags: tuple[str, ...], baseline_object: bytes | None) -> _Prepared:
        check_source(source)
        options = self.options
        folder = self._workspace()
        clang = frontend.clang_for(self._triple, frontend.is_cxx(source), options.clang)
        ir_input = source.suffix in frontend.IR_SUFFIXES
        inspection: Inspection | None = None
        bitcode = folder / "unoptimised.bc"
        if ir_input:
            inspection = inspect(self._workers(), source)
            bitcode.write_bytes(inspection.bitcode)
            source = bitcode
        started = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(1) as executor:
            made = None if ir_input else executor.submit(_timed(
                lambda: frontend.emit_unoptimised(clang, source, flags, bitcode, options.level)))
            ahead = self._begin_head_start(clang, source, flags, folder / "ahead.o")
            try:
                if options.profile is not Profile.DEPLOY and made is not None:
                    made.result()
                object_ = baseline_object or self._baseline(clang, source, flags, folder, bitcode)
                seconds = time.monotonic() - started
                # What is left of the baseline compile without its front end is what a last lowering takes at most.
                back_end = max(0.0, seconds - made.result()) if made is not None else seconds
                waiting = time.monotonic()
                head_start = self._end_head_start(ahead, folder / "ahead.o")
                # A single job has no core to spare beside the baseline: the wait is taken from the search.
                waited = 0.0 if options.jobs > 1 else time.monotonic() - waiting
            except BaseException:
                self._end_head_start(ahead, folder / "ahead.o", patience=0.0)
                raise
        if inspection is None:
            inspection = inspect(self._workers(), bitcode)
        baseline = measure(object_)
        if inspection.functions and len(inspection.optnone) == inspection.functions:
            raise InputError(
                f"all {inspection.functions} functions carry `optnone`, which blocks every pass; "
                "make the IR with -O1 or higher and -Xclang -disable-llvm-passes")
        lowering = lowering_for(inspection, self._triple, options.profile, clang, flags)
        return _Prepared(source, bitcode, lowering, object_, baseline, inspection,
                         digest(bitcode.read_bytes()), back_end, clang, head_start, waited)

    def _baseline(self, clang: frontend.Clang, source: Path, flags: tuple[str, ...], folder: Path,
                  bitcode: Path) -> bytes:
        """deploy: the object of `clang -Oz -c`. paper: clang's -Oz passes, lowered at codegen level -O0."""
        output = folder / "baseline.o"
        options = self.options
        if options.profile is Profile.DEPLOY:
            clang.run(self._plain_compile(source, flags, output))
        else:
            optimised = folder / "baseline.bc"
            frontend.emit_optimised(clang, bitcode, frontend.lowering_flags(flags), optimised, options.level)
            frontend.lower(clang, optimised, output, options.profile, cflags=flags)
        return output.read_bytes()

    def _plain_compile(self, source: Path, flags: tuple[str, ...], output: Path | str) -> list[str]:
        language = ["-x", "ir", "-Wno-override-module"] if source.suffix in frontend.IR_SUFFIXES else []
        given = frontend.lowering_flags(flags) if language else list(flags)
        return [*given, self.options.level, "-c", *language, str(source), "-o", str(output)]

    def _begin_head_start(self, clang: frontend.Clang, source: Path, flags: tuple[str, ...],
                          output: Path) -> subprocess.Popen[bytes] | None:
        options = self._space.head_start
        if not options or self.options.profile is not Profile.DEPLOY or self._strategy != "adaptive":
            return None
        words = [word for option in options for word in ("-mllvm", option)]
        command = [*clang.command, *clang.target_flags, *words, *self._plain_compile(source, flags, output)]
        try:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, start_new_session=True)
        except OSError:
            return None  # the baseline compile says what is wrong

    def _end_head_start(self, process: subprocess.Popen[bytes] | None, output: Path,
                        patience: float | None = None) -> _HeadStart | None:
        """What came of it; it began with the baseline, and is given up where it takes much longer than that."""
        if process is None:
            return None
        try:
            if process.wait(self.options.budget.seconds if patience is None else patience) == 0:
                object_ = output.read_bytes()
                return _HeadStart(self._space.head_start, object_, measure(object_))
        except (subprocess.TimeoutExpired, OSError, LlmcError):
            pass
        finally:
            if process.poll() is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return None

    # --- tuning ---

    def _tune(self, prepared: _Prepared, flags: tuple[str, ...], blank: TuningResult, started: float) -> TuningResult:
        options = self.options
        key = key_of(
            input=prepared.input_hash, lowering=prepared.lowering, flags=frontend.lowering_flags(flags),
            tier=options.tier, strategy=options.strategy, llvm=self._lib.version, level=options.level,
            baseline=digest(prepared.baseline_object), clang=prepared.clang.command,
            seed=options.seed if options.budget.evaluations is not None else None, verify=str(options.verify),
            kind="seconds" if options.budget.seconds is not None else "evaluations",
            space=repr(self._space),
            **({} if self._proposer is None else {"proposer": self._proposer.identity}),
        )
        if self._store is not None:
            held = self._store.get(key, seconds=options.budget.seconds, evaluations=options.budget.evaluations)
            if held is not None:
                with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError, LlmcError):
                    return replace(TuningResult.from_record(*held), input=blank.input)
        base = replace(
            blank, status=TuningStatus.NO_GAIN, input_hash=prepared.input_hash, object=prepared.baseline_object,
            baseline=Sizes(prepared.baseline.total, prepared.baseline.text_data),
            best=Sizes(prepared.baseline.total, prepared.baseline.text_data),
            verification=Verification(basis="clang's own object"),
        )
        if prepared.inspection.functions == 0 or prepared.baseline.total == 0:
            return replace(base, message="the object has no code; there is nothing to tune")
        notes = []
        if prepared.inspection.optnone:
            notes.append(f"{len(prepared.inspection.optnone)} of {prepared.inspection.functions} functions carry "
                         "`optnone`, which blocks every pass on them")
        interrupted = False
        space = self._space.with_functions(prepared.inspection.inlinable)
        if self._proposer is not None:
            space, note = self._proposed(space, prepared, self._proposer)
            notes += [note] if note else []
        search = self._search(prepared)
        try:
            search.run(make_strategy(self._strategy, space, options.seed))
        except KeyboardInterrupt:
            interrupted = True
            self._workers().cancel()
        state = search.state
        base = replace(
            base, evaluations=state.evaluations, message="; ".join(notes), cpu_seconds=state.cpu_seconds,
            outcomes=tuple((str(status), count) for status, count in sorted(state.outcomes.items())),
            trace=tuple(state.trace),
        )
        if base.baseline is not None:
            base = replace(base, baseline=replace(base.baseline, instructions=search.instructions_of(self._space.oz)))
        result = self._finish(prepared, flags, base, state)
        if interrupted:
            notes.append("interrupted; this is the best found until then")
            return replace(result, interrupted=True, message="; ".join(notes))
        if self._store is not None and result.object is not None:
            object_ = result.object
            result = replace(result, seconds=time.monotonic() - started)
            self._store.put(key, result.as_record(), object_, seconds=options.budget.seconds,
                            evaluations=options.budget.evaluations)
        return result

    def _proposed(self, space: Space, prepared: _Prepared, proposer: Proposer) -> tuple[Space, str]:
        """The space with the proposals at the head of its core set, or in its place; what they took is waited for."""
        started = time.monotonic()
        proposals = proposer(self._workers(), prepared.bitcode)
        prepared.waited += time.monotonic() - started
        allowed = tuple(candidate for candidate in proposals.candidates if self._allows(candidate))
        left = len(proposals.candidates) - len(allowed)
        note = f"{left} lists of the model hold passes beyond --trust {self.options.tier}" if left else ""
        core = space.core_set if self.options.strategy == "hybrid" else ()
        return (replace(space, core_set=tuple(dict.fromkeys((*allowed, *core)))),
                "; ".join(filter(None, (proposals.note, note))))

    def _allows(self, candidate: Candidate) -> bool:
        known = all(self._registry.level(name) is not None for name in candidate.passes.names())
        return known and data.candidate_tier(candidate, self._registry) <= self.options.tier

    def _search(self, prepared: _Prepared) -> Search:
        options = self.options
        deadline = None
        if options.budget.seconds is not None:
            # The last lowering by clang is part of the budget.
            reserve = 0.05 + 0.7 * prepared.back_end_seconds + prepared.waited - 0.1 * options.budget.seconds
            checking = self._verifying() if options.verify is Level.QUICK else 0.0
            deadline = time.monotonic() + options.budget.seconds - max(0.0, reserve) - (checking or 0.0)
        name = prepared.source.name

        def report(state: SearchState) -> None:
            if self._on_progress is not None:
                self._on_progress(name, state)

        return Search(self._workers(), prepared.bitcode, prepared.lowering, deadline=deadline,
                      evaluations=options.budget.evaluations, on_progress=report,
                      count=Candidate(self._space.oz), insertions=self._space.insertions)

    def _verifying(self) -> float | None:
        """Seconds that a quick verification may take; None without a limit."""
        seconds = self.options.budget.seconds
        return None if seconds is None else _VERIFYING * seconds

    def _finish(self, prepared: _Prepared, flags: tuple[str, ...], base: TuningResult,
                state: SearchState) -> TuningResult:
        """The best candidate whose object, made by clang, is smaller than the baseline's and does what it does.

        Candidates found wrong are dropped, counted, and kept in the cache folder.
        """
        folder = prepared.bitcode.parent / "versions"
        folder.mkdir(exist_ok=True)
        wrong = 0
        with Verifier(self._workers(), prepared.bitcode, prepared.lowering, prepared.baseline_object, folder,
                      self.options.verify) as verifier:
            best = base
            for result in self._confirmed(prepared, flags, base, state):
                assert result.candidate is not None and result.object is not None
                limit = self._verifying()
                left = None if limit is None else limit - verifier.seconds
                if wrong and left is not None and left <= 0:
                    break  # no time to look at another one
                verification = verifier.check(result.candidate, result.object, result.verification.basis, left)
                if verification.wrong is None:
                    best = replace(result, verification=verification)
                    break
                wrong += 1
        if not wrong:
            return best
        counts = {**dict(best.outcomes), str(Status.WRONG): wrong}
        note = f"dropped, for doing something else than -Oz: {wrong} smaller candidate{'s' if wrong > 1 else ''}"
        return replace(best, outcomes=tuple(sorted(counts.items())),
                       message="; ".join(filter(None, (best.message, note))))

    def _confirmed(self, prepared: _Prepared, flags: tuple[str, ...], base: TuningResult,
                   state: SearchState) -> Iterator[TuningResult]:
        """Results with objects made by clang that are smaller than the baseline's, the smallest found first."""
        ahead = prepared.head_start
        held = None
        if ahead is not None and ahead.size.total < prepared.baseline.total:
            held = self._from_head_start(prepared, flags, base, ahead)
        bound = ahead.size.total if held is not None and ahead is not None else prepared.baseline.total
        for evaluated in state.ranking:
            if evaluated.total >= bound:
                break
            with contextlib.suppress(CompileError):
                result = self._confirm(prepared, flags, held or base, evaluated)
                if result is not None:
                    yield result
        if held is not None:
            yield held

    def _confirm(self, prepared: _Prepared, flags: tuple[str, ...], base: TuningResult,
                 evaluated: Evaluated) -> TuningResult | None:
        candidate = evaluated.candidate
        bitcode, instructions = evaluated.bitcode, evaluated.instructions
        if bitcode is None:
            outcome = self._workers().run(Job(prepared.bitcode, candidate, prepared.lowering, lower=False, verify=True,
                                              count=True, keep_bitcode=True))
            if outcome.measurement is None or outcome.measurement.bitcode is None:
                return None
            bitcode, instructions = outcome.measurement.bitcode, outcome.measurement.instructions
        optimised = prepared.bitcode.parent / "optimised.bc"
        optimised.write_bytes(bitcode)
        output = prepared.bitcode.parent / "tuned.o"
        mllvm = candidate.lowering_options
        frontend.lower(prepared.clang, optimised, output, self.options.profile, cflags=flags, options=mllvm,
                       level=self._lowering_level())
        object_ = output.read_bytes()
        size = measure(object_)
        if base.best is None or size.total >= base.best.bytes:
            return None
        clang = prepared.clang
        front = [*clang.name.split(), *clang.target_flags, *flags, self.options.level,
                 "-Xclang", "-disable-llvm-passes", "-emit-llvm", "-c", base.input, "-o", "unoptimised.bc"]
        lower = [*clang.name.split(), *clang.target_flags, *frontend.lowering_arguments(
            "optimised.bc", "tuned.o", self.options.profile, cflags=flags, options=mllvm, level=self._lowering_level())]
        return replace(
            base, status=TuningStatus.IMPROVED, candidate=candidate, object=object_, bitcode=bitcode,
            best=Sizes(size.total, size.text_data, instructions),
            tier=str(data.candidate_tier(candidate, self._registry)),
            verification=Verification(basis="IR verifier, passes and options of the tier"),
            reproduce=stock_commands(base.input, candidate, front, lower,
                                     Path(base.input).suffix in frontend.IR_SUFFIXES),
        )

    def _from_head_start(self, prepared: _Prepared, flags: tuple[str, ...], base: TuningResult,
                         ahead: _HeadStart) -> TuningResult:
        candidate = Candidate(self._space.oz, ahead.options)
        clang = prepared.clang
        words = [word for option in ahead.options for word in ("-mllvm", option)]
        command = [*clang.name.split(), *clang.target_flags, *words,
                   *self._plain_compile(Path(base.input), flags, "tuned.o")]
        return replace(
            base, status=TuningStatus.IMPROVED, candidate=candidate, object=ahead.object,
            best=Sizes(ahead.size.total, ahead.size.text_data),
            tier=str(data.candidate_tier(candidate, self._registry)),
            verification=Verification(basis="made by clang -Oz with options of the tier"),
            reproduce=(shlex.join(command),),
        )

    def _lowering_level(self) -> str | None:
        return self.options.level if self.options.profile is Profile.DEPLOY else None


def _timed(task: Callable[[], None]) -> Callable[[], float]:
    """The task as one that returns its seconds."""

    def run() -> float:
        started = time.monotonic()
        task()
        return time.monotonic() - started

    return run


def tune(source: str | Path, *, budget: str = "10s", profile: str = "deploy", strategy: str = "hybrid",
         trust: str = "production", target: str = X86_64, jobs: int = 2, seed: int = 0,
         cflags: Sequence[str] = (), store: bool = True, verify: str = "quick") -> TuningResult:
    """Tune one C, C++, IR or bitcode file.

        result = llm_compiler.tune("crc32.c", budget="2s", cflags=["-Iinclude"])
        result.write("crc32.o")
        print(result.saving_pct, result.pass_list)

    Raises LlmcError for options that make no sense and for an input that cannot be tuned.
    """
    options = TuningOptions(Budget.parse(budget), Profile(profile), strategy, Tier.parse(trust), target, jobs, seed,
                            tuple(cflags), store=store, verify=Level.parse(verify))
    with Tuner(options) as tuner:
        result = tuner.tune(source)
    if result.status is TuningStatus.FAILED:
        raise InputError(result.message)
    return result


def tune_many(sources: Sequence[tuple[str, tuple[str, ...] | None]], options: TuningOptions,
              on_progress: Progress | None = None, proposer: Proposer | None = None) -> Iterator[TuningResult]:
    """Results of (file, flags) pairs, in order; flags None means the options' own."""
    with Tuner(options, on_progress=on_progress, proposer=proposer) as tuner:
        for source, flags in sources:
            yield tuner.tune(source, cflags=flags)


__all__ = ["Proposals", "Proposer", "Tuner", "TuningOptions", "tune", "tune_many"]
