"""Search, strategies, store and results."""

from __future__ import annotations

import itertools
import json
import random
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

import llm_compiler
from llm_compiler.errors import CompileError, InputError, LlmcError, PipelineError, ToolchainError
from llm_compiler.llvm import registry
from llm_compiler.llvm.job import Job, Limits, Measurement, Outcome, Status
from llm_compiler.llvm.objectfile import ObjectSize, measure
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.registry import Registry, Tier
from llm_compiler.llvm.target import Lowering, Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import cache_folder
from llm_compiler.tuning import data, edit
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.result import TuningResult, TuningStatus
from llm_compiler.tuning.search import Search, SearchState
from llm_compiler.tuning.space import Space, space_for
from llm_compiler.tuning.store import Store, key_of
from llm_compiler.tuning.strategies import STRATEGIES, Score, make_strategy
from llm_compiler.tuning.tuner import Tuner, TuningOptions, tune, tune_many
from llm_compiler.tuning.verify import Verifier
from llm_compiler.validation.differential import FunctionStatus, FunctionVerdict, Level, Verification
from samples import IR, OPTNONE_IR, PROGRAMS, TINY
from support import candidate, clang, inspected, link, measured, output_of, unoptimised, write_source


@pytest.fixture(scope="module")
def known() -> Registry:
    return registry.load()


@pytest.fixture(scope="module")
def space(known: Registry) -> Space:
    return space_for(known, Tier.PRODUCTION, "deploy", "x86_64").with_functions(("alpha", "beta", "odd name", "x:y"))


def options(evaluations: int = 60, **more: Any) -> TuningOptions:
    return replace(TuningOptions(budget=Budget(evaluations=evaluations), store=False), **more)


def tuned(source: Path, evaluations: int = 60, **more: Any) -> TuningResult:
    with Tuner(options(evaluations, **more)) as tuner:
        result = tuner.tune(source)
    assert result.status is not TuningStatus.FAILED, result.message
    return result


# --- budgets ---


@pytest.mark.parametrize(("text", "seconds", "evaluations"), [
    ("10s", 10, None), ("500ms", 0.5, None), ("1.5m", 90, None), ("2min", 120, None), ("1h", 3600, None),
    (" 400 ", None, 400), ("3.0", None, 3),
])
def test_budgets(text: str, seconds: float | None, evaluations: int | None) -> None:
    budget = Budget.parse(text)
    assert (budget.seconds, budget.evaluations) == (seconds, evaluations)
    assert Budget.parse(str(budget)) == budget


@pytest.mark.parametrize(("text", "message"), [
    ("0", "more than 0"), ("0s", "more than 0"), ("-1", "neither a time"), ("", "neither"), ("ten", "neither"),
    ("1e3", "neither"), ("2.5", "no whole number"), ("10 s", "neither"),
    ("9" * 400, "too large"), ("9" * 400 + "s", "too large"), ("nan", "neither"), ("inf", "neither"),
])
def test_budgets_that_make_no_sense(text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        Budget.parse(text)


# --- strategies ---


def fake_size(candidate: Candidate) -> int | None:
    """A size that depends on the candidate alone; now and then there is none."""
    rng = random.Random(candidate.key)
    return None if rng.random() < 0.1 else 1000 - len(candidate.codegen_options) + rng.randrange(200)


def drive(name: str, space: Space, seed: int, count: int) -> list[Candidate]:
    """What a strategy asks when it is told eight behind, as a search does."""
    strategy = make_strategy(name, space, seed)
    asked: list[Candidate] = []
    told = 0
    for _ in range(count):
        proposal = strategy.ask()
        if proposal is None:
            break
        asked.append(proposal)
        if len(asked) - told >= 8:
            strategy.tell(asked[told], fake_size(asked[told]), str(random.Random(asked[told].passes.text).random()))
            told += 1
    return asked


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_strategies_repeat_themselves_for_a_seed(space: Space, name: str) -> None:
    one, again = drive(name, space, 3, 150), drive(name, space, 3, 150)
    assert one == again and one
    if name != "coreset":
        assert len(one) == 150 and drive(name, space, 4, 150) != one


@pytest.mark.parametrize("name", sorted(STRATEGIES))
def test_strategies_propose_what_the_space_holds(space: Space, known: Registry, name: str) -> None:
    core = {option for held in space.core_set for option in (*held.codegen_options, *held.pass_options)}
    groups = (*space.codegen_options, *space.pass_options, *map(space.inline_options, space.functions))
    every = {option for group in groups for option in group}
    asked = drive(name, space, 1, 300)
    for proposal in asked:
        assert known.tier_of(proposal.passes) is Tier.PRODUCTION
        assert data.candidate_tier(proposal, known) is Tier.PRODUCTION
        unknown = {item for item in proposal.passes.names() if known.level(item) is None}
        assert not unknown, proposal
        assert {*proposal.codegen_options, *proposal.pass_options} <= every | core
        assert PassList.parse(proposal.passes.text) == proposal.passes
    for proposal in asked[::30]:
        known.validate(proposal.passes)


def test_options_of_one_group_exclude_each_other(space: Space) -> None:
    rng = random.Random(1)
    proposal = Candidate(space.oz)
    for _ in range(300):
        proposal = space.mutate_options(rng, proposal)
        for group in space.codegen_options:
            assert len(set(group) & set(proposal.codegen_options)) <= 1
        for group in space.pass_options:
            assert len(set(group) & set(proposal.pass_options)) <= 1


def test_names_that_an_option_cannot_hold_are_left_out(space: Space) -> None:
    assert space.functions == ("alpha", "beta")


def test_forced_attributes_come_with_the_pass_that_reads_them(space: Space) -> None:
    rng = random.Random(1)
    bare = Candidate(PassList.parse("function(gvn)"))
    for _ in range(30):
        proposal = space.toggle_inlining(rng, bare)
        assert not proposal.pass_options or "forceattrs" in proposal.passes.names()
        assert len(proposal.pass_options) <= 1


def test_unknown_strategy(space: Space) -> None:
    with pytest.raises(PipelineError, match="unknown strategy 'luck'; use adaptive, coreset"):
        make_strategy("luck", space, 0)


def test_scores_rank_bytes_then_length() -> None:
    short, long = candidate("gvn"), candidate("gvn,sroa", ["-disable-lsr"])
    assert Score.of(long, 99) < Score.of(short, 100) < Score.of(long, 100)


# --- the search, with workers that are none ---


class FakePool:
    """Answers in an order that a seed shuffles, as workers of different speed do."""

    def __init__(self, seed: int, jobs: int) -> None:
        self._rng = random.Random(seed)
        self._jobs = jobs
        self._waiting: list[tuple[int, Job]] = []
        self._tickets = itertools.count()
        self.cancelled = False

    def submit(self, job: Job) -> int:
        ticket = next(self._tickets)
        self._waiting.append((ticket, job))
        return ticket

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        running = self._waiting[: self._jobs]
        finished = self._rng.sample(running, self._rng.randint(1, len(running)))
        for item in finished:
            self._waiting.remove(item)
        return [(ticket, self._outcome(job)) for ticket, job in finished]

    def cancel(self) -> None:
        self.cancelled = True
        self._waiting.clear()

    @staticmethod
    def _outcome(job: Job) -> Outcome:
        total = fake_size(job.candidate)
        if total is None:
            return Outcome(Status.CRASHED, message="SIGSEGV")
        ir_hash = str(random.Random(job.candidate.passes.text).random())
        return Outcome(Status.MEASURED, Measurement(ObjectSize(total, total, ()), ir_hash))


def fake_search(space: Space, *, seed: int, jobs: int, evaluations: int, strategy: str = "adaptive") -> SearchState:
    pool = FakePool(seed, jobs)
    search = Search(pool, Path("none"), Lowering(), evaluations=evaluations)  # type: ignore[arg-type]
    return search.run(make_strategy(strategy, space, 0))


@pytest.mark.parametrize("strategy", ["adaptive", "evolution", "pipeline"])
def test_the_order_in_which_workers_finish_changes_nothing(space: Space, strategy: str) -> None:
    states = [fake_search(space, seed=seed, jobs=jobs, evaluations=200, strategy=strategy)
              for seed, jobs in ((1, 1), (2, 2), (3, 2), (4, 3), (5, 8))]
    first = states[0]
    assert first.best is not None and first.evaluations == 200
    for other in states[1:]:
        assert other.best is not None
        assert (other.best.candidate, other.best.total) == (first.best.candidate, first.best.total)
        assert other.evaluations == first.evaluations and other.outcomes == first.outcomes
        assert [item.candidate for item in other.ranking] == [item.candidate for item in first.ranking]
        assert [row[1:] for row in other.trace] == [row[1:] for row in first.trace]


@pytest.mark.parametrize("evaluations", [1, 2, 7, 8, 9, 50])
def test_a_budget_in_evaluations_is_kept(space: Space, evaluations: int) -> None:
    assert fake_search(space, seed=1, jobs=2, evaluations=evaluations).evaluations == evaluations


def test_the_ranking_is_sorted_and_has_no_twins(space: Space) -> None:
    state = fake_search(space, seed=1, jobs=2, evaluations=300)
    scores = [item.score for item in state.ranking]
    assert scores == sorted(scores) and len(scores) == Search.RANKED
    assert len({item.candidate.key for item in state.ranking}) == len(scores)
    assert state.best is not None and state.best.score == scores[0]
    totals = [row[2] for row in state.trace]
    assert totals == sorted(totals, reverse=True) and totals[-1] == state.best.total


def test_minimisation_never_grows(space: Space) -> None:
    # A size that only the options decide: every pass is redundant, every option is not.
    class Plain(FakePool):
        @staticmethod
        def _outcome(job: Job) -> Outcome:
            outcome = FakePool._outcome(Job(job.input, candidate("gvn"), job.lowering))
            assert outcome.measurement is not None and outcome.measurement.size is not None
            total = 1000 - 5 * len(job.candidate.codegen_options)
            return replace(outcome, measurement=replace(
                outcome.measurement, size=replace(outcome.measurement.size, total=total), ir_hash="same"))

    class One:
        def __init__(self) -> None:
            self.left = [candidate(space.oz.text, ["-disable-lsr", "-split-spill-mode=size"])]

        def ask(self) -> Candidate | None:
            return self.left.pop() if self.left else None

        def tell(self, candidate: Candidate, total: int | None, ir_hash: str) -> None:
            pass

    sizes: list[int] = []
    search = Search(Plain(1, 2), Path("none"), Lowering(), evaluations=1000,  # type: ignore[arg-type]
                    on_progress=lambda state: sizes.append(state.best.total if state.best else 0))
    state = search.run(One())
    assert state.best is not None and state.best.total == 990 == min(sizes) == max(sizes)
    assert state.best.candidate.codegen_options == ("-disable-lsr", "-split-spill-mode=size")
    assert len(edit.leaves(state.best.candidate.passes)) <= 1


# --- tuning for real ---


@pytest.fixture(scope="module")
def interpreter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_source(tmp_path_factory.mktemp("interpreter"), "interpreter.c", PROGRAMS["interpreter.c"])


@pytest.mark.parametrize("profile", list(Profile))
def test_the_same_result_with_any_number_of_jobs(interpreter: Path, profile: Profile) -> None:
    results = [tuned(interpreter, 45, jobs=jobs, profile=profile) for jobs in (1, 2, 3)]
    first = results[0]
    assert first.status is TuningStatus.IMPROVED and 30 < first.evaluations <= 45
    for other in results[1:]:
        assert (other.candidate, other.best, other.baseline, other.object, other.evaluations, other.outcomes) == (
            first.candidate, first.best, first.baseline, first.object, first.evaluations, first.outcomes)


@pytest.mark.parametrize("evaluations", [1, 3])
def test_a_tiny_budget_gives_the_same_with_any_number_of_jobs(interpreter: Path, evaluations: int) -> None:
    one, two = tuned(interpreter, evaluations, jobs=1), tuned(interpreter, evaluations, jobs=2)
    assert (one.status, one.candidate, one.best) == (two.status, two.candidate, two.best)


def test_a_result_says_what_it_is(interpreter: Path, known: Registry) -> None:
    result = tuned(interpreter)
    assert result.baseline is not None and result.best is not None and result.candidate is not None
    assert result.object is not None
    assert result.best.bytes == measure(result.object).total < result.baseline.bytes
    assert result.saving_pct == pytest.approx(100 * (1 - result.best.bytes / result.baseline.bytes))
    assert result.tier == "production" and data.candidate_tier(result.candidate, known) is Tier.PRODUCTION
    assert "changed functions agree with clang's" in result.verification.summary and result.llvm == known.version
    assert {item.name for item in result.verification.functions} >= {"run", "main"}
    record = result.as_record()
    assert json.loads(json.dumps(record)) == record
    assert record["best"]["pass_list"] == result.candidate.passes.text
    again = TuningResult.from_record(record, result.object)
    assert again.from_store and replace(again, from_store=False).as_record() == record
    known.validate(result.candidate.passes)


def opt(pool: WorkerPool, folder: Path, line: str) -> None:
    """What LLVM 17's opt does with such a line, by way of a worker: the wheels have no opt."""
    source = ""
    for number, step in enumerate(line.split(" | ")):
        words = shlex.split(step)
        assert words.pop(0) == "opt"
        flags = [word for word in words if word.startswith("-") and word != "-o"]
        files = [word for word in words if not word.startswith("-")]
        source = source or files.pop(0)
        # opt itself keeps the order of uses, LLVM's C API does not.
        flags.remove("-preserve-bc-uselistorder=false")
        assert ("-discard-value-names" in flags) or number == 0
        passes = next(flag.removeprefix("-passes=") for flag in flags if flag.startswith("-passes="))
        rest = [flag for flag in flags if not flag.startswith("-passes=") and flag != "-discard-value-names"]
        job = Job(folder / source, candidate(passes, (), rest), inspected(pool, folder / source), lower=False,
                  whole=True, keep_bitcode=True)
        bitcode = measured(pool, job).bitcode
        assert bitcode is not None
        source = files.pop() if files else f"step{number}.bc"
        (folder / source).write_bytes(bitcode)
    assert source == "optimised.bc"


def replay(result: TuningResult, folder: Path, name: str) -> bytes:
    """The object that the printed lines give."""
    with WorkerPool(1) as pool:
        for line in result.reproduce:
            words = shlex.split(line)
            if words[0] == "opt":
                opt(pool, folder, line)
            else:
                driver = clang(name)
                assert words[0] == driver.name
                subprocess.run([driver.command[0], *words[1:]], cwd=folder, check=True, capture_output=True)
    return (folder / "tuned.o").read_bytes()


@pytest.mark.parametrize("name", sorted(PROGRAMS))
def test_tuned_programs_still_run_and_can_be_replayed(tmp_path: Path, name: str) -> None:
    source = write_source(tmp_path, name, PROGRAMS[name])
    cxx = name.endswith(".cc")
    plain = tmp_path / "plain.o"
    clang(name).run(["-O0", "-c", str(source), "-o", str(plain)])
    with Tuner(options(60)) as tuner:
        result = tuner.tune(source, name=name)
    assert result.status is not TuningStatus.FAILED, result.message
    assert result.object is not None and result.baseline is not None and result.best is not None
    assert result.best.bytes <= result.baseline.bytes
    best = tmp_path / "best.o"
    result.write(best)
    wanted = output_of(link([plain], tmp_path / "plain", cxx=cxx))
    assert output_of(link([best], tmp_path / "best", cxx=cxx)) == wanted != ""
    if result.status is TuningStatus.IMPROVED:
        assert replay(result, tmp_path, name) == result.object


def test_flags_reach_every_step(interpreter: Path, tmp_path: Path) -> None:
    flags = ("-ffunction-sections", "-fno-pic", "-DUNUSED=1", "-I.")
    with Tuner(options(60, cflags=flags)) as tuner:
        result = tuner.tune(interpreter, name=interpreter.name)
    assert result.status is TuningStatus.IMPROVED and result.object is not None
    assert any(name == ".text.run" for name, _ in measure(result.object).sections)
    work = tmp_path / "work"
    work.mkdir()
    write_source(work, interpreter.name, interpreter.read_text())
    assert replay(result, work, interpreter.name) == result.object


@pytest.mark.parametrize("suffix", [".ll", ".bc"])
def test_ir_can_be_tuned(tmp_path: Path, suffix: str) -> None:
    bitcode = unoptimised(tmp_path, "interpreter.c", PROGRAMS["interpreter.c"])
    source = tmp_path / f"given{suffix}"
    if suffix == ".bc":
        source.write_bytes(bitcode.read_bytes())
    else:
        clang("a.c").run(["-x", "ir", "-S", "-emit-llvm", "-Xclang", "-disable-llvm-passes", "-Oz", str(bitcode),
                          "-o", str(source)])
    with Tuner(options(60)) as tuner:
        result = tuner.tune(source, name=source.name)
    assert result.status is TuningStatus.IMPROVED and result.object is not None
    assert replay(result, tmp_path, "a.c") == result.object


def test_small_ir(tmp_path: Path) -> None:
    result = tuned(write_source(tmp_path, "scale.ll", IR), 20)
    assert result.baseline is not None and result.baseline.bytes > 0 and result.object is not None


@pytest.mark.parametrize(("name", "content", "message"), [
    ("all.ll", OPTNONE_IR, "all 1 functions carry `optnone`, which blocks every pass"),
    ("a.txt", "x", "unknown suffix; name a .c"),
    ("a.c", "int f( {", r"error: expected"),
    ("a.c", "", "is empty"),
    ("bad.ll", "nothing", "cannot read it"),
    ("bad.bc", "nothing", "cannot read it"),
    ("other.ll", 'target triple = "aarch64-unknown-linux-gnu"\ndefine void @f() {\n  ret void\n}\n',
     "the IR is for aarch64-unknown-linux-gnu; say --target"),
])
def test_what_cannot_be_tuned(tmp_path: Path, name: str, content: str, message: str) -> None:
    source = write_source(tmp_path, name, content)
    with Tuner(options(5)) as tuner:
        result = tuner.tune(source)
        assert result.status is TuningStatus.FAILED and result.object is None
        with pytest.raises(InputError, match=message):
            raise InputError(result.message)
        assert "\n" not in result.message
        with pytest.raises(ValueError, match="no object"):
            result.write(tmp_path / "out.o")
        good = tuner.tune(write_source(tmp_path, "good.c", TINY))  # the next one is not hindered
        assert good.status is not TuningStatus.FAILED
    with pytest.raises(LlmcError):
        tune(source, budget="2", store=False)


def test_some_functions_with_optnone(tmp_path: Path) -> None:
    text = PROGRAMS["interpreter.c"].replace("const char *name", "__attribute__((optnone)) const char *name")
    result = tuned(write_source(tmp_path, "some.c", text), 20)
    assert "1 of 3 functions carry `optnone`" in result.message


@pytest.mark.parametrize("text", ["int nothing;\n", "extern int nothing;\n", "typedef int t;\n"])
def test_an_object_without_code(tmp_path: Path, text: str) -> None:
    result = tuned(write_source(tmp_path, "a.c", text), 5)
    assert result.status is TuningStatus.NO_GAIN and "there is nothing to tune" in result.message
    assert result.object is not None and result.saving_pct == 0


def test_an_object_that_cannot_be_written_keeps_the_old_one(tmp_path: Path) -> None:
    result = tuned(write_source(tmp_path, "a.c", TINY), 5)
    with pytest.raises(InputError, match=r"cannot write .*old contents are kept"):
        result.write(tmp_path / "absent" / "out.o")
    result.write(tmp_path / "out.o")
    result.write("/dev/null")
    assert (tmp_path / "out.o").read_bytes() == result.object


def test_a_budget_in_seconds(interpreter: Path) -> None:
    with Tuner(replace(options(), budget=Budget(seconds=1.0))) as tuner:
        result = tuner.tune(interpreter)
    assert result.status is TuningStatus.IMPROVED and result.evaluations > 5
    assert result.seconds < 4


def test_an_interruption_keeps_what_was_found(interpreter: Path) -> None:
    def interrupt(_: str, state: SearchState) -> None:
        if state.evaluations >= 15:
            raise KeyboardInterrupt

    with Tuner(options(5000, store=True, seed=77), on_progress=interrupt) as tuner:
        result = tuner.tune(interpreter)
        assert result.status is TuningStatus.IMPROVED and 15 <= result.evaluations < 5000
        assert "interrupted; this is the best found until then" in result.message
        assert result.object is not None and result.best is not None
        assert measure(result.object).total == result.best.bytes
    with Tuner(options(20, store=True, seed=77)) as tuner:
        again = tuner.tune(interpreter)
    assert not again.from_store  # half a search is no answer for a whole one


def test_the_library_call(interpreter: Path, tmp_path: Path) -> None:
    result = llm_compiler.tune(interpreter, budget="30", store=False)
    result.write(tmp_path / "out.o")
    assert result.saving_pct > 0 and result.pass_list
    with pytest.raises(PipelineError, match="unknown strategy"):
        llm_compiler.tune(interpreter, strategy="luck")
    with pytest.raises(InputError, match="does not exist"):
        llm_compiler.tune(tmp_path / "absent.c")


def test_many(tmp_path: Path, interpreter: Path) -> None:
    given: list[tuple[str, tuple[str, ...] | None]] = [
        (str(interpreter), None), (str(tmp_path / "absent.c"), None), (str(interpreter), ("-ffunction-sections",))]
    results = list(tune_many(given, options(20)))
    assert [result.status for result in results] == [
        TuningStatus.IMPROVED, TuningStatus.FAILED, TuningStatus.IMPROVED]


def test_a_clang_that_fails_is_a_failed_result(interpreter: Path, tmp_path: Path) -> None:
    with Tuner(options(5, clang=str(tmp_path / "no-clang"))) as tuner:
        result = tuner.tune(interpreter)
    assert result.status is TuningStatus.FAILED and "cannot run no-clang" in result.message
    assert issubclass(CompileError, LlmcError)


# --- the store ---


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "folder" / "results.sqlite")
    yield store
    store.close()


def test_the_store_gives_back_what_it_got(store: Store) -> None:
    record = {"a": [1, 2], "b": None}
    assert store.get("k", seconds=1, evaluations=None) is None
    store.put("k", record, b"object", seconds=10, evaluations=None)
    assert store.get("k", seconds=10, evaluations=None) == (record, b"object")
    assert store.get("k", seconds=5, evaluations=None) == (record, b"object")
    assert store.get("k", seconds=11, evaluations=None) is None
    store.put("e", record, b"", seconds=None, evaluations=40)
    assert store.get("e", seconds=None, evaluations=40) == (record, b"")
    assert store.get("e", seconds=None, evaluations=41) is None
    assert store.get("e", seconds=None, evaluations=39) is None
    store.close()
    store.close()
    assert store.get("k", seconds=1, evaluations=None) is None
    store.put("k", record, b"object", seconds=10, evaluations=None)


def test_keys_name_every_part() -> None:
    assert key_of(a=1, b="x") == key_of(b="x", a=1)
    assert len({key_of(a=1), key_of(a=2), key_of(b=1), key_of(a="1"), key_of(a=1, b=None)}) == 5


def test_a_second_run_answers_from_the_store(interpreter: Path) -> None:
    given = options(15, store=True, seed=5)
    with Tuner(given) as tuner:
        first = tuner.tune(interpreter)
    with Tuner(replace(given, jobs=1)) as tuner:
        second = tuner.tune(interpreter)
        other = tuner.tune(interpreter, cflags=["-ffunction-sections"])
    assert not first.from_store and second.from_store and not other.from_store
    assert second.object == first.object and second.seconds == pytest.approx(first.seconds, abs=0.01)
    assert second.as_record() == {**first.as_record(), "from_store": True}
    with Tuner(replace(given, seed=6)) as tuner:
        assert not tuner.tune(interpreter).from_store
    with Tuner(replace(given, tier=Tier.EXTENDED)) as tuner:
        assert not tuner.tune(interpreter).from_store


@pytest.mark.parametrize("spoil", [
    lambda path: path.write_bytes(b"not a database, but long enough to be taken for one" * 100),
    lambda path: path.write_bytes(path.read_bytes()[:5000] + bytes(3000)),
    lambda path: path.write_bytes(b""),
    lambda path: (path.unlink(), path.mkdir()),
])
def test_a_spoilt_store_is_no_reason_to_fail(interpreter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                             spoil: object) -> None:
    monkeypatch.setenv("LLMC_CACHE", str(tmp_path / "cache"))
    given = options(10, store=True)
    with Tuner(given) as tuner:
        wanted = tuner.tune(interpreter)
    path = cache_folder() / "results.sqlite"
    assert path.exists()
    for extra in cache_folder().glob("results.sqlite-*"):
        extra.unlink()
    assert callable(spoil)
    spoil(path)
    with Tuner(given) as tuner:
        result = tuner.tune(interpreter)
    assert result.object == wanted.object and result.best == wanted.best


@pytest.mark.parametrize(("column", "contents"), [
    ("record", ("{", "[]", '{"best": {"bytes": 1}, "status": "improved"}', '{"status": "unheard of", "best": null}')),
    ("object", (b"not compressed",)),
])
def test_a_spoilt_row_is_passed_over(interpreter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                     column: str, contents: tuple[str | bytes, ...]) -> None:
    monkeypatch.setenv("LLMC_CACHE", str(tmp_path / "cache"))
    given = options(4, store=True)
    with Tuner(given) as tuner:
        wanted = tuner.tune(interpreter)
    if column == "record":
        contents = (*contents, json.dumps({**wanted.as_record(), "status": "unheard of"}))
    for content in contents:
        connection = sqlite3.connect(cache_folder() / "results.sqlite")
        connection.execute(f"UPDATE results SET {column} = ?", (content,))
        connection.commit()
        connection.close()
        with Tuner(given) as tuner:
            result = tuner.tune(interpreter)
        assert not result.from_store and result.best == wanted.best


def test_a_cache_that_cannot_be_written(interpreter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = write_source(tmp_path, "file", "")
    monkeypatch.setenv("LLMC_CACHE", str(blocked / "cache"))
    with Tuner(options(10, store=True)) as tuner:
        assert tuner.tune(interpreter).status is not TuningStatus.FAILED


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(PROGRAMS))
@pytest.mark.parametrize("tier", [Tier.PRODUCTION, Tier.EXTENDED], ids=str)
def test_long_searches_break_no_program(tmp_path: Path, name: str, tier: Tier) -> None:
    source = write_source(tmp_path, name, PROGRAMS[name])
    cxx = name.endswith(".cc")
    plain, best = tmp_path / "plain.o", tmp_path / "best.o"
    clang(name).run(["-O0", "-c", str(source), "-o", str(plain)])
    for seed in range(2):
        tuned(source, 400, seed=seed, tier=tier).write(best)
        wanted = output_of(link([plain], tmp_path / "plain", cxx=cxx))
        assert output_of(link([best], tmp_path / "best", cxx=cxx)) == wanted


class Distrustful(Verifier):
    """Calls the first candidates wrong, and remembers what it was asked."""

    asked: ClassVar[list[Candidate]] = []
    wrong = 2

    def check(self, candidate: Candidate, object_: bytes, basis: str, seconds: float | None) -> Verification:
        self.asked.append(candidate)
        status = FunctionStatus.DIFFERS if len(self.asked) <= self.wrong else FunctionStatus.AGREED
        return Verification((FunctionVerdict("run", status, 1),), basis=basis)


def test_wrong_candidates_are_dropped_for_the_next_best(interpreter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    best = tuned(interpreter, 45)
    monkeypatch.setattr("llm_compiler.tuning.tuner.Verifier", Distrustful)
    Distrustful.asked.clear()
    result = tuned(interpreter, 45)
    assert Distrustful.asked[0] == best.candidate and result.candidate == Distrustful.asked[2]
    assert dict(result.outcomes)["wrong"] == 2 and "2 smaller candidates" in result.message
    assert result.best is not None and best.best is not None and best.baseline is not None
    assert best.best.bytes <= result.best.bytes < best.baseline.bytes


def test_when_all_are_wrong_clangs_own_object_stands(interpreter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_compiler.tuning.tuner.Verifier", Distrustful)
    monkeypatch.setattr(Distrustful, "wrong", 1000)
    Distrustful.asked.clear()
    result = tuned(interpreter, 45)
    assert result.status is TuningStatus.NO_GAIN and result.candidate is None
    assert result.best is not None and result.baseline is not None and result.best.bytes == result.baseline.bytes
    assert dict(result.outcomes)["wrong"] == len(Distrustful.asked) > 1


def test_a_wrong_candidate_is_kept_for_a_report(interpreter: Path, tmp_path: Path, private_cache: Path) -> None:
    """The object of another program in place of the candidate's."""
    before = set((private_cache / "wrong").glob("*/verdict.json"))
    bitcode = unoptimised(tmp_path, "one.c", "int f(int a) { return a / 3; }")
    baseline, other = tmp_path / "one.o", tmp_path / "two.o"
    for output, text in ((baseline, "int f(int a) { return a / 3; }"), (other, "int f(int a) { return a / 5; }")):
        source = write_source(tmp_path, "version.c", text)
        clang(source).run(["-Oz", "-c", str(source), "-o", str(output)])
    with WorkerPool(1, Limits(60.0)) as pool, Verifier(
            pool, bitcode, inspected(pool, bitcode), baseline.read_bytes(), tmp_path, Level.QUICK) as verifier:
        verification = verifier.check(candidate("default<Oz>"), other.read_bytes(), "", None)
    assert verification.wrong is not None
    (kept,) = set((private_cache / "wrong").glob("*/verdict.json")) - before
    record = json.loads(kept.read_text())
    assert record["pass_list"] == "default<Oz>" and record["functions"][0]["counterexample"]["call"].startswith("f(")
    assert (kept.parent / "input.bc").read_bytes() == bitcode.read_bytes()


def test_verification_can_be_left_out(interpreter: Path) -> None:
    result = tuned(interpreter, 20, verify=Level.OFF)
    assert "not executed (--verify off)" in result.verification.summary and not result.verification.functions


def test_tuning_goes_on_where_nothing_can_be_run(interpreter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ToolchainError("clang finds no C library")

    monkeypatch.setattr("llm_compiler.validation.differential.program._kit", missing)
    result = tuned(interpreter, 20)
    assert result.status is TuningStatus.IMPROVED
    assert "not executed: clang finds no C library" in result.verification.summary


def test_a_quick_verification_keeps_to_its_share(interpreter: Path, tmp_path: Path) -> None:
    bitcode = unoptimised(tmp_path, "one.c", "int f(int a) { return a / 3; }")
    with WorkerPool(1, Limits(60.0)) as pool, Verifier(
            pool, bitcode, inspected(pool, bitcode), b"", tmp_path, Level.QUICK) as verifier:
        verification = verifier.check(candidate("default<Oz>"), b"", "", 0.05)
    assert "the budget leaves 0.1 s" in verification.summary or "the budget leaves 0.0 s" in verification.summary
    assert "--verify full" in verification.summary and not verification.functions
