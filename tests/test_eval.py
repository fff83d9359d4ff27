"""Evaluation: metrics by hand, logs that resume, engines of every temper, and reports that stand alone."""

from __future__ import annotations

import json
import math
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")
pytest.importorskip("sacrebleu")

import pyarrow as pa

from corpora import make_corpus
from llm_compiler import cli
from llm_compiler.corpus.functions import make_functions
from llm_compiler.corpus.schema import EXAMPLE
from llm_compiler.corpus.shards import Manifest, read_shards, write_shard
from llm_compiler.errors import InputError
from llm_compiler.evaluation import (
    disassembly,
    document,
    emulation,
    flags,
    metrics,
    nexttoken,
    report,
    runs,
    sizes,
    suites,
)
from llm_compiler.evaluation.document import Curve, Plot, Section, Table
from llm_compiler.evaluation.flags import CORE_SET, MODEL, FlagsOptions
from llm_compiler.evaluation.metrics import Interval
from llm_compiler.evaluation.runs import Run, RunStatus
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.objectfile import measure
from llm_compiler.models.engine import EngineError, Sample, fingerprint
from llm_compiler.tasks import disassembly as disassembling
from llm_compiler.tasks import emulation as emulating
from llm_compiler.tasks import pretraining, prompts
from llm_compiler.tasks.disassembly import DisassemblyOptions
from llm_compiler.tasks.emulation import EmulationOptions
from llm_compiler.tasks.lowering import text_of
from llm_compiler.tasks.prompts import FlagsPrompt
from llm_compiler.validation.differential import Level
from support import unoptimised, write_source

CODE = {
    "table": "int table(int a) { switch (a) { case 0: return 7; case 1: return 93; case 2: return 14; case 3: return 2;"
             " case 4: return 77; case 5: return 31; default: return 0; } }",
    "sum": "int sum(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) if (p[i] > 3) s += p[i] * 3;"
           " return s; }",
    "data": "int numbers[4] = {1, 2, 3, 4};",
}
SWITCH = """
extern int outside(int);
int f(unsigned char c, int x) {
  switch (c) { case 3: return x ^ 1; case 77: return outside(x / 3); case 78: return ~x; }
  return outside(x);
}
"""


@dataclass
class Fake:
    """An engine whose answers a function gives: of the prompt and the seed, or an error."""

    answer: Callable[[str, int], str | Sample | Exception]
    context: int = 1 << 20
    pause: float = 0.0
    name: str = "fake"
    asked: list[dict[str, Any]] = field(default_factory=list)

    def count(self, prompt: str) -> int:
        return len(prompt) // 4

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        self.asked.append({"prompt": prompt, "samples": samples, "temperature": temperature, "grammar": grammar})
        time.sleep(self.pause)
        found = []
        for number in range(samples):
            told = self.answer(prompt, seed + number if temperature else -1)
            if isinstance(told, Exception):
                raise told
            found.append(told if isinstance(told, Sample) else Sample(told, 5, True, -1.0))
        return found

    def close(self) -> None:
        pass


def backend(answer: Callable[[str, int], str | Sample | Exception], form: Form = Form.COMPACT,
            **options: Any) -> Backend:
    return Backend(Fake(answer, **options), form)


def garbage(prompt: str, seed: int) -> str:
    return "I am a helpful assistant!"


def cut_off(prompt: str, seed: int) -> Sample:
    return Sample("default<Oz>,inst", 256, False, -9.0)


def records(folder: Path) -> list[runs.Record]:
    return list(runs.read(folder).records.values())


# --- metrics -----------------------------------------------------------------------------------------------------


def test_gains_by_hand() -> None:
    found = metrics.gains([100, 200, 0, 50, 50], [90, 220, 0, 50, 25])
    assert (found.programs, found.empty, found.baseline, found.best) == (4, 1, 400, 90 + 200 + 50 + 25)
    assert (found.smaller, found.equal, found.larger) == (2, 1, 1)
    assert found.total is not None and found.total.value == pytest.approx(100 * (1 - 365 / 400))
    assert found.mean is not None and found.mean.value == pytest.approx((10 + 0 + 0 + 50) / 4)
    assert found.median is not None and found.median.value == pytest.approx(5)
    assert found.plain_total is not None and found.plain_total.value == pytest.approx(100 * (1 - 385 / 400))
    assert found.plain_mean is not None and found.plain_mean.value == pytest.approx((10 - 10 + 0 + 50) / 4)
    assert found.mean.low < found.mean.value < found.mean.high <= 50


def test_objects_without_code_divide_nothing() -> None:
    found = metrics.gains([0, 0], [0, 0])
    assert (found.programs, found.empty, found.total, found.mean, found.median) == (0, 2, None, None, None)
    assert metrics.gains([], []).total is None
    assert document.percent(None) == "-" and document.share(0, 0) == "0"


def test_intervals_are_the_same_each_time_and_hold_95_per_cent() -> None:
    assert metrics.mean([1.0, 2.0, 4.0]) == metrics.mean([1.0, 2.0, 4.0])
    assert metrics.mean([3.0]) == Interval(3.0, 3.0, 3.0) and metrics.mean([]) is None
    random = np.random.default_rng(5)
    held = 0
    for _ in range(100):
        found = metrics.mean(list(random.normal(10, 2, 60)))
        assert found is not None
        held += found.low <= 10 <= found.high
    assert 88 <= held <= 100


def test_errors_by_hand() -> None:
    found = metrics.errors([110, 80, 5, 30], [100, 100, 0, 30])
    assert (found.count, found.zeros, found.over, found.under, found.exact) == (4, 1, 2, 1, 1)
    assert found.mape is not None and found.mape.value == pytest.approx((0.1 + 0.2 + 0) / 3)
    assert found.median is not None and found.median.value == pytest.approx(0.1)
    assert found.total is not None and found.total.value == pytest.approx(5 / 230)
    logs = np.log1p([110, 80, 5, 30]), np.log1p([100, 100, 0, 30])
    assert found.log_correlation is not None
    assert found.log_correlation.value == pytest.approx(np.corrcoef(*logs)[0, 1])
    assert found.correlation is not None
    assert found.correlation.value == pytest.approx(np.corrcoef([110, 80, 5, 30], [100, 100, 0, 30])[0, 1])
    flat = metrics.errors([4, 4], [1, 2])
    assert flat.correlation is None and flat.mape is not None
    assert metrics.errors([1], [0]).mape is None and metrics.errors([], []).correlation is None


def test_bleu() -> None:
    text = 'define i32 @f(i32 %0) {\n  %2 = add nsw i32 %0, 1\n  ret i32 %2\n}\n'
    assert metrics.bleu(text, text) == pytest.approx(1.0)
    assert metrics.bleu(text.replace("\n", "\n\n   "), text) == pytest.approx(1.0)
    assert metrics.bleu("", text) == metrics.bleu(" \n", text) == 0.0
    assert 0.4 < metrics.bleu(text.replace("nsw ", ""), text) < 1.0
    assert metrics.words('%1 = x "a b" -3, #4 ret.2;') == ["%1", "=", "x", '"ab"', "-", "3", ",", "#4", "ret.2", ";"]
    # Four words of five right, by hand: 4/5, 3/4, 2/3, 1/2.
    assert metrics.bleu("a b c d e", "a b c d f") == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_perplexity_by_hand() -> None:
    found = metrics.perplexity([math.log(4) * 3, math.log(2) * 1], [3, 1])
    assert found is not None and found.value == pytest.approx((4**3 * 2) ** 0.25)
    bits = metrics.bits_per_byte([math.log(2) * 16], [8])
    assert bits is not None and bits.value == pytest.approx(2.0)
    assert metrics.bits_per_byte([1.0], [0]) is None


# --- logs --------------------------------------------------------------------------------------------------------


def test_a_log_is_closed_and_taken_up(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with Run(folder, "flags", {"a": [1, 2]}, seed=3, about={"suite": "x"}) as run:
        assert runs.read(folder).status is RunStatus.STARTED
        run.add("one", "done", bytes=1)
    log = runs.read(folder)
    assert (log.status, log.reason, list(log.records)) == (RunStatus.FINISHED, "", ["one"])
    assert log.header["seed"] == 3 and {"llvm", "python", "llm-compiler"} <= log.header["versions"].keys()
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True,
                            check=False)
    if commit.returncode == 0:
        assert log.header["commit"] == commit.stdout.strip() and log.header["dirty"] in (True, False)
    with pytest.raises(RuntimeError), Run(folder, "flags", {"a": (1, 2)}, seed=3) as run:
        assert "one" in run and "two" not in run
        run.add("two", "done", bytes=2)
        raise RuntimeError("the power went")
    log = runs.read(folder)
    assert (log.status, log.reason) == (RunStatus.INTERRUPTED, "RuntimeError: the power went")
    assert [record["bytes"] for record in log.records.values()] == [1, 2]


def test_a_line_that_was_being_written_is_dropped(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Run(tmp_path, "flags", {}, seed=0) as run:
        run.add("one", "done")
        raise KeyboardInterrupt
    assert runs.read(tmp_path).reason == "KeyboardInterrupt"
    with (tmp_path / runs.FILE).open("a") as file:
        file.write('{"type": "sample", "key": "tw')
    assert list(runs.read(tmp_path).records) == ["one"]
    with Run(tmp_path, "flags", {}, seed=0) as run:
        run.add("three", "done")
    assert list(runs.read(tmp_path).records) == ["one", "three"]


def test_a_run_of_other_arguments_is_refused(tmp_path: Path) -> None:
    with Run(tmp_path, "flags", {"profile": "deploy"}, seed=0), pytest.raises(InputError, match="written by another"):
        Run(tmp_path, "flags", {"profile": "deploy"}, seed=0)
    for task, arguments, seed, said in (("size", {"profile": "deploy"}, 0, "holds a run of flags"),
                                        ("flags", {"profile": "paper"}, 0, r"another profile \(deploy, not paper\)"),
                                        ("flags", {"profile": "deploy"}, 1, r"another seed \(0, not 1\)")):
        with pytest.raises(InputError, match=said):
            Run(tmp_path, task, arguments, seed=seed)
    with pytest.raises(InputError, match="holds no run"):
        runs.read(tmp_path / "none")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / runs.FILE).write_text("hello\n")
    with pytest.raises(InputError, match=r"line 1 of .* is damaged"):
        runs.read(tmp_path / "other")


def test_fingerprints_tell_models_apart(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 100)
    one = fingerprint(tmp_path / "a")
    assert one == fingerprint(tmp_path / "a")
    (tmp_path / "a").write_bytes(b"x" * 99 + b"y")
    assert fingerprint(tmp_path / "a") != one and fingerprint(tmp_path)


# --- suites ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, clang: str) -> Path:
    """A suite of two benchmarks: C and IR, and a file without functions."""
    folder = tmp_path_factory.mktemp("sources")
    for name in ("one", "two"):
        (folder / name).mkdir()
    write_source(folder / "one", "table.c", CODE["table"])
    write_source(folder / "two", "data.c", CODE["data"])
    made = unoptimised(folder, "sum.c", CODE["sum"])
    (folder / "two" / "sum.ll").write_text(text_of(made.read_bytes()))
    (folder / "sum.c").unlink()
    made.unlink()
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, clang: str) -> Path:
    """A corpus with its functions; lua5.4 is a test package."""
    folder = make_corpus(tmp_path_factory.mktemp("corpus"), {
        "lua5.4": {"table.c": CODE["table"], "sum.c": CODE["sum"]}, "demo": {"f.c": SWITCH}})
    make_functions(folder, jobs=1)
    return folder


@pytest.fixture(scope="module")
def emulated(corpus: Path) -> Path:
    folder = corpus / "datasets" / "emulation"
    emulating.build(corpus, folder, EmulationOptions(modules=False, lists=2), jobs=1)
    return folder


def flags_dataset(folder: Path, profiles: Sequence[str] = ("deploy",)) -> Path:
    """A dataset of flags with one program for tests, in each profile."""
    schema = pa.schema([*EXAMPLE, pa.field("profile", pa.string())])
    text = text_of(unoptimised(folder, "f.c", SWITCH).read_bytes())
    rows = [{**dict.fromkeys(schema.names, ""), "task": "flags", "prompt": FlagsPrompt(text).reference(),
             "function": "f", "hash": "f0", "package": "demo", "split": "test", "profile": profile}
            for profile in profiles]
    shard = write_shard(folder / "flags" / "test-0.parquet", rows, schema, {})
    Manifest.of(folder / "flags", [shard], task="flags", parameters={}, counts={}).write(folder / "flags")
    return folder / "flags"


def test_files_are_the_same_for_the_same_seed(sources: Path) -> None:
    whole = suites.open_suite([sources], "flags")
    assert [(item.benchmark, item.name) for item in whole.read()] == [
        ("one", "one/table.c"), ("two", "two/data.c"), ("two", "two/sum.ll")]
    chosen = {seed: {item.key for item in suites.open_suite([sources], "flags", limit=2, seed=seed).read()}
              for seed in range(8)}
    assert len({frozenset(keys) for keys in chosen.values()}) > 1
    one = suites.open_suite([sources], "flags", limit=1, seed=3)
    assert {item.key for item in one.read()} < chosen[3] and (one.count, one.of) == (1, 3)
    assert next(suites.open_suite([sources / "one" / "table.c"], "flags").read()).benchmark == "one"


def test_datasets_are_read_by_split(emulated: Path) -> None:
    told = {"where": {"output": ["ir"]}, "columns": ["passes", "output"]}
    suite = suites.open_suite([emulated], "emulation", **told)
    items = list(suite.read())
    assert len(items) == suite.count == 4 and {item.benchmark for item in items} == {"lua5.4"}
    assert {item.row["output"] for item in items} == {"ir"}
    everything = suites.open_suite([emulated], "emulation", split="all", **told)
    assert everything.count == 6 and everything.identity == suite.identity
    limited = suites.open_suite([emulated], "emulation", split="all", limit=3, seed=1, **told)
    assert {item.key for item in limited.read()} < {item.key for item in everything.read()}


def test_what_cannot_be_evaluated_on_is_told(emulated: Path, sources: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    for inputs, task, options, said in (
            ([], "flags", {}, "name a dataset"),
            ([tmp_path / "none"], "flags", {}, "there is no"),
            ([emulated], "flags", {}, "holds examples of emulation, not of flags"),
            ([emulated], "emulation", {"split": "validation"}, r"no example of the split validation \(it has test 8"),
            ([emulated], "emulation", {"where": {"output": ["obj"]}, "columns": ["output"]}, "with output obj"),
            ([emulated, sources], "emulation", {}, "is a dataset and .* is none"),
            ([tmp_path], "flags", {}, "holds no .*file"),
            ([tmp_path / "notes.txt"], "flags", {}, "cannot be evaluated on"),
            ([sources], "emulation", {"suffixes": frozenset()}, "is no dataset of emulation")):
        with pytest.raises(InputError, match=said):
            suites.open_suite(inputs, task, **options)


# --- flags -------------------------------------------------------------------------------------------------------


QUICK = FlagsOptions(samples=(1, 3), searches=(), verify=Level.OFF, jobs=1)


def flags_run(folder: Path, where: Path, options: FlagsOptions, model: Backend | None = None) -> list[runs.Record]:
    suite = suites.open_suite([where], "flags", where={"profile": [str(options.profile)]}, columns=["profile"])
    with Run(folder, "flags", {**options.parameters(), "model": "fake" if model else None}, seed=options.seed,
             about={"suite": suite.name, "of": suite.of}) as run:
        flags.evaluate(run, suite, options, model)
    return records(folder)


def test_without_a_model_searches_alone(sources: Path, tmp_path: Path, clang: str) -> None:
    options = FlagsOptions(searches=(CORE_SET, "random"), seconds=0.2, verify=Level.OFF, jobs=1)
    found = {record["name"]: record for record in flags_run(tmp_path / "run", sources, options)}
    assert found["two/data.c"]["status"] == "no_code"
    table = found["one/table.c"]
    subprocess.run([clang, "-Oz", "-c", sources / "one" / "table.c", "-o", tmp_path / "table.o"], check=True)
    assert table["baseline"]["bytes"] == measure((tmp_path / "table.o").read_bytes()).total
    assert list(table["methods"]) == [CORE_SET, "random"] and table["methods"]["random"]["evaluations"] > 0
    assert {answer["status"] for answer in table["methods"][CORE_SET]["answers"]} == {"measured"}
    made = report.read_report([tmp_path / "run"])
    text = made.text()
    assert "Not evaluated: 1 no_code of 3 programs" in text and "core set" in text and "random search" in text
    assert "Published on MiBench (another data set)" in text
    rows = made.as_json()[0]["numbers"]["methods"]
    assert [row["k"] for row in rows if row["method"] == "core set"][:3] == [1, 2, 4]


def test_answers_stay_distinct(tmp_path: Path) -> None:
    told = iter(["default<Oz>", "gvn,no-such-pass", "sroa,,", "trigger-crash", Sample("default<Oz>,in", 9, False),
                 "default<O3>"])
    model = backend(lambda prompt, seed: next(told))
    [record] = flags_run(tmp_path / "run", flags_dataset(tmp_path), FlagsOptions(
        samples=(1, 6), searches=(), verify=Level.OFF, jobs=1), model)
    answers = record["methods"][MODEL]["answers"]
    assert [answer["status"] for answer in answers] == [
        "measured", "invalid", "unparsed", "crashed", "cut_off", "measured"]
    assert [answer["sample"] for answer in answers] == [1, 6, 6, 6, 6, 6]
    engine = model.engine
    assert isinstance(engine, Fake)
    assert [(call["samples"], call["temperature"]) for call in engine.asked] == [(1, 0.0), (5, 0.8)]
    assert engine.asked[0]["prompt"].startswith(prompts.OPTIMIZE)
    assert "1 | 1 | 1 | 0 |" in report.read_report([tmp_path / "run"]).text()


def test_a_hanging_candidate_times_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(self: Any, job: Any) -> Any:
        if job.candidate.passes.text == "sroa":
            time.sleep(60)
        return run(self, job)

    from llm_compiler.llvm.evaluator import Evaluator
    run = Evaluator.run
    monkeypatch.setattr(Evaluator, "run", hang)
    monkeypatch.setattr("llm_compiler.evaluation.programs.LIMITS", Limits(1.5))
    model = backend(lambda prompt, seed: "sroa" if seed < 0 else "default<Oz>")
    [record] = flags_run(tmp_path / "run", flags_dataset(tmp_path), QUICK, model)
    assert [answer["status"] for answer in record["methods"][MODEL]["answers"]] == ["timed_out", "measured", "measured"]


@pytest.mark.parametrize(("answer", "status"), [(garbage, "unparsed"), (cut_off, "cut_off")])
def test_a_useless_model_leaves_oz(tmp_path: Path, answer: Any, status: str) -> None:
    [record] = flags_run(tmp_path / "run", flags_dataset(tmp_path), QUICK, backend(answer, Form.REFERENCE))
    assert {each["status"] for each in record["methods"][MODEL]["answers"]} == {status}
    [one, three] = report.read_report([tmp_path / "run"]).as_json()[0]["numbers"]["methods"]
    assert (one["k"], three["k"]) == (1, 3)
    assert one["baseline"] == one["best"] > 0 and one["equal"] == 1 and one["total"]["value"] == 0.0


def test_reference_prompts_and_answers(tmp_path: Path) -> None:
    model = backend(lambda prompt, seed: "opt -p 'module(default<Oz>)'", Form.REFERENCE)
    [record] = flags_run(tmp_path / "run", flags_dataset(tmp_path), QUICK, model)
    answer = record["methods"][MODEL]["answers"][0]
    assert answer["status"] == "measured" and answer["passes"] == "default<Oz>"
    assert isinstance(model.engine, Fake) and model.engine.asked[0]["prompt"].startswith("[INST] Tell me how")


def test_a_grammar_is_handed_on(tmp_path: Path) -> None:
    model = backend(lambda prompt, seed: "default<Oz>")
    options = FlagsOptions(samples=(1,), searches=(), verify=Level.OFF, grammar=True, jobs=1)
    flags_run(tmp_path / "run", flags_dataset(tmp_path), options, model)
    assert isinstance(model.engine, Fake) and str(model.engine.asked[0]["grammar"]).startswith("root ::=")


def test_a_prompt_that_is_too_long_is_counted(tmp_path: Path) -> None:
    model = backend(lambda prompt, seed: "default<Oz>", context=300)
    [record] = flags_run(tmp_path / "run", flags_dataset(tmp_path), QUICK, model)
    assert record["status"] == "done" and record["methods"][MODEL]["problem"] == "too_long"
    assert "do not fit into 300" in record["methods"][MODEL]["message"]


def test_searches_have_the_time_of_a_slow_model(tmp_path: Path) -> None:
    options = FlagsOptions(samples=(1,), searches=("random",), verify=Level.OFF, jobs=1)
    model = backend(lambda prompt, seed: "default<Oz>", pause=0.6)
    [record] = flags_run(tmp_path / "run", flags_dataset(tmp_path), options, model)
    took = record["methods"][MODEL]["seconds"]
    assert took >= 0.6 and record["searched"] == pytest.approx(took)
    # A search keeps a seventh of its time for minimising, and may have nothing to minimise.
    assert 0.8 * took < record["methods"]["random"]["seconds"] < took + 2


def test_a_wrong_answer_is_found_out_and_the_next_best_counts(tmp_path: Path) -> None:
    wrong = "default<Oz>,function(structurizecfg)"
    model = backend(lambda prompt, seed: wrong if seed < 0 else "default<O2>")
    options = FlagsOptions(samples=(1, 2), searches=(), verify=Level.QUICK, jobs=1)
    [record] = flags_run(tmp_path / "run", flags_dataset(tmp_path), options, model)
    first, second = record["methods"][MODEL]["answers"]
    assert first["bytes"] < record["baseline"]["bytes"] and first["status"] == "wrong"
    assert second["status"] == "measured" and record["verification"]["wrong"] == 1
    assert "1 wrong" in report.read_report([tmp_path / "run"]).text()


def test_a_program_that_cannot_be_improved_is_told(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ll").write_text("define void @f() noinline optnone { ret void }")
    (tmp_path / "in" / "b.ll").write_text("no IR")
    write_source(tmp_path / "in", "c.c", "int f(")
    found = {record["name"]: record for record in flags_run(tmp_path / "run", tmp_path / "in", QUICK)}
    assert {name: record["status"] for name, record in found.items()} == {
        "a.ll": "optnone", "b.ll": "refused", "c.c": "refused"}
    assert "There is no program to report" in report.read_report([tmp_path / "run"]).text()


def test_an_interrupted_run_goes_on(sources: Path, tmp_path: Path) -> None:
    calls = iter(["default<Oz>", "default<Oz>", "default<Oz>", EngineError("the server x cannot be reached"),
                  *["default<Oz>"] * 3])
    model = backend(lambda prompt, seed: next(calls))
    with pytest.raises(EngineError):
        flags_run(tmp_path / "run", sources, QUICK, model)
    log = runs.read(tmp_path / "run")
    assert log.status is RunStatus.INTERRUPTED and log.reason == "the server x cannot be reached"
    assert [record["name"] for record in log.records.values()] == ["one/table.c", "two/data.c"]
    assert "The run was not finished (the server x" in report.read_report([tmp_path / "run"]).text()
    found = flags_run(tmp_path / "run", sources, QUICK, model)
    assert [record["name"] for record in found] == ["one/table.c", "two/data.c", "two/sum.ll"]
    lines = (tmp_path / "run" / runs.FILE).read_text().splitlines()
    assert [json.loads(line)["type"] for line in lines] == [
        "started", "sample", "sample", "closed", "started", "sample", "closed"]


def test_options_that_make_no_sense() -> None:
    for options in ({"samples": ()}, {"samples": (8, 1)}, {"searches": ("fast",)}, {"seconds": 0.0}):
        with pytest.raises(InputError):
            FlagsOptions(**options)


# --- sizes -------------------------------------------------------------------------------------------------------


def size_run(folder: Path, where: Path, predict: Any, **options: Any) -> list[runs.Record]:
    chosen = sizes.SizeOptions(**options)
    suite = suites.open_suite([where], "emulation", where={"output": ["ir"]}, columns=["passes", "output"])
    with Run(folder, "size", chosen.parameters(), seed=0, about={"suite": suite.name, "of": suite.of}) as run:
        sizes.evaluate(run, suite, chosen, predict)
    return records(folder)


def answers_of(dataset: Path) -> dict[str, str]:
    """Prompts and answers, in both forms."""
    rows = list(read_shards(dataset))
    return ({row["compact_prompt"]: row["compact_answer"].removesuffix(prompts.END) for row in rows}
            | {row["prompt"]: row["answer"] for row in rows})


def test_sizes_of_a_perfect_model_and_of_others(emulated: Path, tmp_path: Path) -> None:
    known = answers_of(emulated)
    for form in Form:
        found = size_run(tmp_path / form, emulated, backend(lambda prompt, seed: known[prompt], form))
        assert {record["status"] for record in found} == {"predicted"} and len(found) == 4
        made = report.read_report([tmp_path / form]).as_json()[0]["numbers"]
        assert made["bytes after"]["mape"]["value"] == 0.0 and made["bytes after"]["exact"] == 4
        # The reference's prompt tells the sizes before.
        assert ("bytes before" in made) == (form is Form.COMPACT)
    short = backend(lambda prompt, seed: Sample(known[prompt][:40], 40, False))
    assert {record["status"] for record in size_run(tmp_path / "short", emulated, short)} == {"predicted"}
    bad = size_run(tmp_path / "garbage", emulated, backend(garbage))
    assert {record["status"] for record in bad} == {"unparsed"} and "0 of 4" in report.read_report(
        [tmp_path / "garbage"]).text()


def test_a_predictor_on_files(sources: Path, tmp_path: Path) -> None:
    asked = []

    def predict(ir: str, passes: str) -> tuple[int, int]:
        asked.append((ir, passes))
        return 100, 50

    found = {record["name"]: record for record in size_run(tmp_path / "run", sources, predict)}
    assert found["two/data.c"]["measured"][0] == 16 and found["two/data.c"]["measured"][2] == 0
    assert found["one/table.c"]["predicted"] == [100, 50, None, None]
    assert len(asked) == 3 and all("define" in ir or "@numbers" in ir for ir, _ in asked)
    again = {record["name"]: record["measured"] for record in size_run(tmp_path / "again", sources, predict)}
    assert again == {name: record["measured"] for name, record in found.items()}

    def refuse(ir: str, passes: str) -> tuple[int, int]:
        raise InputError("it knows no such pass")

    assert {record["status"] for record in size_run(tmp_path / "none", sources, refuse)} == {"refused"}
    (tmp_path / "predictor.py").write_text("def half(ir, passes):\n    return len(ir), len(ir) // 2\n")
    assert sizes.load_predictor(f"{tmp_path}/predictor.py:half")("abcd", "") == (4, 2)
    for wrong in ("none.py:f", f"{tmp_path}/predictor.py:other", "x"):
        with pytest.raises(InputError):
            sizes.load_predictor(wrong)


# --- emulation ---------------------------------------------------------------------------------------------------


def emulation_run(folder: Path, dataset: Path, model: Backend) -> list[runs.Record]:
    suite = suites.open_suite([dataset], "emulation", columns=["passes", "output"])
    with Run(folder, "emulation", {}, seed=0, about={"suite": suite.name, "of": suite.of}) as run:
        emulation.evaluate(run, suite, emulation.EmulationOptions(), model)
    return records(folder)


@pytest.mark.parametrize("form", list(Form))
def test_a_perfect_emulator(emulated: Path, tmp_path: Path, form: Form) -> None:
    known = answers_of(emulated)
    found = emulation_run(tmp_path / "run", emulated, backend(lambda prompt, seed: known[prompt], form))
    assert len(found) == 8 and {record["status"] for record in found} == {"exact"}
    assert all(record["bleu"] == pytest.approx(1.0) and record["sizes"] for record in found)
    made = report.read_report([tmp_path / "run"]).as_json()[0]["numbers"]
    assert made["ir"]["exact"]["value"] == 100 and made["assembly"]["bleu"]["value"] == pytest.approx(1.0)


def test_other_emulators(emulated: Path, tmp_path: Path) -> None:
    known = answers_of(emulated)

    def renamed(prompt: str, seed: int) -> str:
        """The same IR in other words, other assembly that assembles."""
        text = known[prompt]
        return (text.replace("%2", "%two").replace("<code>; ", "<code>") if "define" in text
                else text.replace("<code>", "<code>\n# nothing\n").replace("</code>", "\tnop\n</code>"))

    found = emulation_run(tmp_path / "renamed", emulated, backend(renamed, Form.REFERENCE))
    by_output = {record["output"]: record["status"] for record in found}
    assert by_output["assembly"] == "compiles"
    broken = emulation_run(tmp_path / "broken", emulated, backend(
        lambda prompt, seed: known[prompt].replace("i32", "i3 2").replace("\tret", "\tno_such"), Form.REFERENCE))
    assert {record["status"] for record in broken} == {"invalid"} and all(
        0 < record["bleu"] < 1 and record["message"] for record in broken)
    cut = emulation_run(tmp_path / "cut", emulated, backend(
        lambda prompt, seed: Sample(known[prompt][: len(known[prompt]) // 2], 99, False)))
    assert {record["status"] for record in cut} == {"cut_off"}
    bad = emulation_run(tmp_path / "bad", emulated, backend(garbage))
    assert {record["status"] for record in bad} == {"unparsed"} and {record["bleu"] for record in bad} == {0.0}
    long = emulation_run(tmp_path / "long", emulated, backend(garbage, context=10))
    assert {record["status"] for record in long} == {"too_long"}
    text = report.read_report([tmp_path / name for name in ("renamed", "broken", "cut", "bad", "long")]).text()
    assert "95.6 %" in text and text.count("## Emulation") == 5


# --- disassembly -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def disassembled(corpus: Path) -> Path:
    folder = corpus / "datasets" / "disassembly"
    disassembling.build(corpus, folder, DisassemblyOptions(aarch64_share=0.0), jobs=1)
    return folder


def disassembly_run(folder: Path, where: Path, model: Backend, **options: Any) -> list[runs.Record]:
    chosen = disassembly.DisassemblyOptions(**options)
    suite = suites.open_suite([where], "disassembly", columns=["target", "codegen", "style"],
                              suffixes=disassembly.SUFFIXES)
    with Run(folder, "disassembly", chosen.parameters(), seed=0, about={"suite": suite.name, "of": suite.of}) as run:
        disassembly.evaluate(run, suite, chosen, model)
    return records(folder)


def disassembler(dataset: Path) -> Callable[[str, int], str]:
    """The IR of the function that a prompt in the reference's form names."""
    known = {row["function"]: row["answer"] for row in read_shards(dataset)}

    def answer(prompt: str, seed: int) -> str:
        return next(text for name, text in known.items() if re.search(rf"^{name}:|<{name}>:", prompt, re.MULTILINE))

    return answer


def test_a_perfect_disassembler(disassembled: Path, tmp_path: Path) -> None:
    found = disassembly_run(tmp_path / "run", disassembled, backend(disassembler(disassembled), Form.REFERENCE))
    assert len(found) == 8 and {record["status"] for record in found} == {"identical"}
    assert {(record["level"], record["style"]) for record in found} == {
        (level, style) for level in ("O0", "Oz") for style in ("assembly", "listing")}
    assert all(record["same_ir"] and record["bleu"] == 1.0 for record in found)
    made = report.read_report([tmp_path / "run"])
    assert made.as_json()[0]["numbers"]["all"]["identical"]["value"] == 100 and "| FTD" not in made.text()
    assert "x86_64 -O0 listing" in made.text() and "LLM Compiler FTD 13B | 905 | 0.960 | 13.8 %" in made.text()


def test_other_disassemblers(disassembled: Path, tmp_path: Path) -> None:
    right = disassembler(disassembled)

    def changed(prompt: str, seed: int) -> str:
        return right(prompt, seed).replace(" 93", " 94").replace(" 3", " 5")

    found = disassembly_run(tmp_path / "other", disassembled, backend(changed, Form.REFERENCE), execute=False)
    assert {record["status"] for record in found} == {"differs"} and not any(record["same_ir"] for record in found)
    # A listing does not show the table that differs.
    assert all(0.2 < record["bleu"] < 1 for record in found if record["style"] == "assembly")
    assert all(0.2 < record["bleu"] <= 1 for record in found)
    for name, answer, options, status in (
            ("garbage", garbage, {}, "unparsed"), ("cut", cut_off, {}, "unparsed"),
            ("half", lambda prompt, seed: Sample("<code>define", 9, False), {}, "cut_off"),
            ("wrong", lambda prompt, seed: "<code>define i3 2</code>", {}, "failed"),
            ("long", garbage, {"context": 100}, "too_long")):
        found = disassembly_run(tmp_path / name, disassembled, backend(answer, Form.REFERENCE, **options))
        if name != "cut":
            assert {record["status"] for record in found} == {status}, name
        numbers = report.read_report([tmp_path / name]).as_json()[0]["numbers"]["all"]
        assert numbers["round_trips"] is None if name == "long" else numbers["round_trips"]["value"] == 0


def test_disassembly_of_files(disassembled: Path, tmp_path: Path, clang: str) -> None:
    (tmp_path / "in").mkdir()
    source = write_source(tmp_path, "sum.c", CODE["sum"])
    for flag, name in (("-S", "sum.s"), ("-c", "sum.o")):
        subprocess.run([clang, "-Oz", flag, source, "-o", tmp_path / "in" / name], check=True)
    (tmp_path / "in" / "empty.s").write_text("\t.text\n")
    found = disassembly_run(tmp_path / "run", tmp_path / "in", backend(disassembler(disassembled), Form.REFERENCE))
    assert {(record["name"], record["style"]) for record in found if record["status"] != "refused"} == {
        ("sum", "assembly"), ("sum", "listing")}
    assert {record["status"] for record in found if record["name"] == "sum"} == {"identical"}
    assert [record["name"] for record in found if record["status"] == "refused"] == ["empty.s"]
    assert "not read" in report.read_report([tmp_path / "run"]).text()


# --- next tokens -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama at random, with a tokenizer."""
    pytest.importorskip("torch")
    from llm_compiler.models.shapes import Shape
    from llm_compiler.training.learner import new_model
    from token_data import make_tokenizer

    folder = tmp_path_factory.mktemp("model")
    make_tokenizer(folder)
    new_model(Shape("tiny", 64, 2, 4, 2, 128, vocabulary=400, context=64), 0).save_pretrained(folder)
    return folder


def test_windows_score_every_token_once(model: Path) -> None:
    import torch

    scorer = nexttoken.Scorer(model, device="cpu")
    text = "define i32 @f(i32 %0) {\n  ret i32 %0\n}\n"
    ids = scorer.tokenizer.encode(text, add_special_tokens=False).ids
    assert len(ids) <= scorer.context == 64 and scorer.compacts
    with torch.no_grad():
        loss = scorer._model(torch.tensor([ids]), labels=torch.tensor([ids])).loss
    nats, tokens = scorer.score(text)
    assert tokens == len(ids) - 1 and nats == pytest.approx(float(loss) * tokens, rel=1e-4)
    long = text * 20
    nats, tokens = scorer.score(long)
    assert tokens == len(scorer.tokenizer.encode(long, add_special_tokens=False).ids) - 1
    assert 0.5 < nats / tokens / math.log(400) < 2
    assert scorer.score("") == (0.0, 0)
    with pytest.raises(InputError, match="holds no model"):
        nexttoken.Scorer(model / "none")


def test_texts_by_kind(model: Path, tmp_path: Path, sources: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.ll").write_text((sources / "two" / "sum.ll").read_text())
    (tmp_path / "in" / "b.s").write_text("\t.text\nf:\n\tretq\t# back\n")
    (tmp_path / "in" / "c.s").write_text("\t.text\n\t.word 3\nf:\t// an entry\n\tret\n")
    (tmp_path / "in" / "d.md").write_text("words")
    code, out, _ = llmc(capsys, "eval", "next-token", tmp_path / "in", "-o", tmp_path / "run", "--model", model)
    assert code == 0
    found = {record["name"]: record for record in records(tmp_path / "run")}
    assert {name: (record["kind"], record["target"]) for name, record in found.items()} == {
        "a.ll": ("ir", ""), "b.s": ("assembly", "x86_64"), "c.s": ("assembly", "aarch64"), "d.md": ("text", "")}
    assert found["a.ll"]["bytes"] < found["a.ll"]["plain"]
    assert all(name in out for name in ("LLVM-IR", "x86-64 assembly", "AArch64 assembly", "bits per byte"))


def test_texts_of_a_dataset(model: Path, tmp_path: Path) -> None:
    rows = [{**dict.fromkeys(pretraining.SCHEMA.names, ""), "hash": f"h{kind}{target}", "split": "test", "kind": kind,
             "target": target, "level": "O1", "function": "f", "answer": text * 2,
             "compact_answer": prompts.document(text, kind=mark, target=target)}
            for kind, target, mark, text in (("ir", "", prompts.IR, "ret i32 0\n"),
                                             ("assembly", "aarch64", prompts.ASM, "ret\n"))]
    shard = write_shard(tmp_path / "data" / "test-0.parquet", rows, pretraining.SCHEMA, {})
    Manifest.of(tmp_path / "data", [shard], task="pretraining", parameters={}, counts={}).write(tmp_path / "data")
    assert cli.run(["eval", "next-token", str(tmp_path / "data"), "-o", str(tmp_path / "run"), "--model", str(model)]
                   ) == 0
    found = {record["kind"]: record for record in records(tmp_path / "run")}
    assert found["ir"]["plain"] == 20 and found["ir"]["bytes"] == len(rows[0]["compact_answer"])
    assert found["assembly"]["target"] == "aarch64" and found["assembly"]["status"] == "scored"
    numbers = report.read_report([tmp_path / "run"]).as_json()[0]["numbers"]
    assert numbers["LLVM-IR"]["bits_per_byte"]["value"] == pytest.approx(
        found["ir"]["nats"] / math.log(2) / 20)


# --- reports and the command line --------------------------------------------------------------------------------


def test_the_page_stands_alone(tmp_path: Path) -> None:
    section = Section("A <b>title</b>", ["x & y"])
    table = Table(("name", "number"), title="Of <all>")
    table.add("a|b", "1")
    section.add(table)
    section.add(Plot("Lines", "x", "y", [Curve("one", [1, 8], [2, 3]), Curve("flat", [1], [2.5])], log_x=True,
                     flat=True))
    section.add(Plot("Points", "x", "y", [Curve("p", [1, 2], [2, 4])], log_x=True, log_y=True, points=True))
    section.add(Plot("None", "x", "y", []))
    page = document.page("T", [section])
    assert page == document.page("T", [section])
    assert page.count("<img ") == 2 and page.count("data:image/png;base64,") == 2
    assert not re.search(r"""(?:https?:)?//|<script|<link|@import|url\(|src="(?!data:)|href=""", re.sub(
        r"base64,[A-Za-z0-9+/=]+", "", page))
    assert "A &lt;b&gt;title&lt;/b&gt;" in page and "x &amp; y" in page
    assert "| a\\|b | 1 |" in document.markdown("T", [section])
    with pytest.raises(ValueError, match="cells"):
        table.add("a")


def llmc(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.run([str(word) for word in words])
    return (code, *capsys.readouterr())


@pytest.fixture
def lost(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """A server that answers so many programs and is gone then."""
    left = [1]

    def answer(prompt: str, seed: int) -> str | Exception:
        left[0] -= 1
        return "default<Oz>" if left[0] >= 0 else EngineError("the server http://x cannot be reached: refused")

    monkeypatch.setattr("llm_compiler.inference.backend.open_backend", lambda model, **options: backend(answer))
    yield left


def test_a_server_that_is_lost_on_the_way(lost: list[int], sources: Path, tmp_path: Path,
                                          capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "flags", sources, "-o", tmp_path / "run", "--model", "http://x/v1", "--searches", "none", "-k",
             "1", "--verify", "off", "-j", "1"]
    code, out, err = llmc(capsys, *words)
    assert code == 1 and "The run was not finished" in out
    assert "cannot be reached: refused; 2 records are kept, and the same command goes on from there" in err
    lost[0] = 9
    code, out, err = llmc(capsys, *words)
    assert code == 0 and "not finished" not in out and len(records(tmp_path / "run")) == 3
    lost[0] = 0
    code, out, err = llmc(capsys, *words[:3], "-o", tmp_path / "other", *words[5:])
    assert code == 2 and err.count("\n") == 1 and "cannot be reached" in err and not out


def test_the_commands(sources: Path, emulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "flags", sources, "--searches", "coreset", "--budget", "100ms", "--verify", "off", "-j", "1"]
    code, out, err = llmc(capsys, *words, "-o", tmp_path / "a", "--limit", "1", "--seed", "2")
    assert code == 0 and "| core set |" in out and "report.html" in err
    code, out, _ = llmc(capsys, *words, "-o", tmp_path / "a", "--limit", "3", "--seed", "2", "--json")
    assert code == 0 and json.loads(out)[0]["records"] == 3 and len(records(tmp_path / "a")) == 3
    (tmp_path / "p.py").write_text("def p(ir, passes):\n    return 100, 100\n")
    code, out, _ = llmc(capsys, "eval", "size", emulated, "-o", tmp_path / "b", "--predictor", f"{tmp_path}/p.py:p")
    assert code == 0 and "| bytes after | 4 |" in out and "0.225" in out
    code, out, _ = llmc(capsys, "eval", "report", tmp_path / "a", tmp_path / "b", "-o", tmp_path / "joined")
    page = (tmp_path / "joined" / "report.html").read_text()
    assert code == 0 and out == (tmp_path / "joined" / "report.md").read_text() and page.count("<section>") == 2
    assert out.startswith("# LLM Compiler") and "Flag tuning" in out and "Prediction of sizes" in out


def test_the_commands_of_code(emulated: Path, disassembled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                              capsys: pytest.CaptureFixture[str]) -> None:
    known, right = answers_of(emulated), disassembler(disassembled)
    answers = iter([lambda prompt, seed: known[prompt], right])
    monkeypatch.setattr("llm_compiler.inference.backend.open_backend",
                        lambda model, **options: backend(next(answers), Form(options["form"])))
    words = ["--model", "http://x/v1", "--form", "reference", "--limit", "2"]
    code, out, _ = llmc(capsys, "eval", "emulation", emulated, "-o", tmp_path / "a", "--outputs", "ir", *words)
    assert code == 0 and "## Emulation: http://x/v1" in out and "| LLVM-IR | 2 | 2 | 2: 100.0 %" in out
    assert runs.read(tmp_path / "a").arguments["form"] == "reference"
    code, out, _ = llmc(capsys, "eval", "disassembly", disassembled, "-o", tmp_path / "b", "--levels", "Oz", *words)
    assert code == 0 and "| x86_64 -Oz assembly | 2 | 2 | 2: 100.0 %" in out


def test_the_model_that_comes_with_the_package(emulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capsys: pytest.CaptureFixture[str]) -> None:
    shipped = {"emulation": tmp_path / "model.gguf"}  # sizes are what a model of emulation tells first
    shipped["emulation"].write_bytes(b"weights")
    monkeypatch.setattr("llm_compiler.inference.backend.embedded_model", shipped.__getitem__)
    monkeypatch.setattr("llm_compiler.inference.backend.open_backend",
                        lambda model, **options: replace(backend(garbage), files=(Path(model),)))
    words = ["eval", "size", emulated, "-o", tmp_path / "run", "--model", "embedded", "--limit", "1"]
    code, out, _ = llmc(capsys, *words)
    assert code == 0 and "## Prediction of sizes: embedded" in out
    assert runs.read(tmp_path / "run").arguments["fingerprint"] == fingerprint(shipped["emulation"])
    shipped["emulation"].write_bytes(b"others")
    code, out, err = llmc(capsys, *words)
    assert code == 2 and not out and "holds a run with another fingerprint" in err


@pytest.mark.parametrize(("words", "said"), [
    (["flags", "NONE", "-o", "OUT"], "there is no"),
    (["flags", "EMULATED", "-o", "OUT"], "holds examples of emulation, not of flags"),
    (["flags", "SOURCES", "-o", "OUT", "--searches", "none"], "nothing to evaluate"),
    (["flags", "SOURCES", "-o", "OUT", "--profile", "fast"], "unknown profile 'fast'"),
    (["flags", "SOURCES", "-o", "OUT", "-k", "one"], "is no list of numbers"),
    (["flags", "SOURCES", "-o", "OUT", "--budget", "12"], "is no time"),
    (["flags", "SOURCES", "-o", "OUT", "--model", "NONE"], "there is no model"),
    (["size", "EMULATED", "-o", "OUT"], "either a --model or a --predictor"),
    (["size", "EMULATED", "-o", "OUT", "--predictor", "x:y", "--split", "validation"], "no example of the split"),
    (["emulation", "SOURCES", "-o", "OUT", "--model", "x"], "is no dataset of emulation"),
    (["emulation", "EMULATED", "-o", "OUT"], "name the model"),
    (["emulation", "EMULATED", "-o", "OUT", "--model", "x", "--outputs", "c"], "takes ir or assembly"),
    (["disassembly", "SOURCES", "-o", "OUT", "--model", "x"], "holds no .S, .o, .s, .so file"),
    (["disassembly", "EMULATED", "-o", "OUT", "--model", "x"], "holds examples of emulation, not of disassembly"),
    (["next-token", "SOURCES", "-o", "OUT"], "name the model"),
    (["report", "NONE"], "holds no run"),
    (["report"], "see `llmc eval report --help`"),
    (["nothing"], "see `llmc eval --help`"),
])
def test_misuse_is_told_in_one_sentence(sources: Path, emulated: Path, tmp_path: Path, words: list[str], said: str,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    places = {"NONE": tmp_path / "none", "OUT": tmp_path / "out", "EMULATED": emulated, "SOURCES": sources}
    code, out, err = llmc(capsys, "eval", *(places.get(word, word) for word in words))
    assert code == 2 and said in err and err.count("\n") == 1 and not out and not (tmp_path / "out").exists()
