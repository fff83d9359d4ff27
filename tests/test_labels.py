"""Flag-tuning labels: which programs, which lists, what a label says, and that runs resume and repeat."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_compiler.corpus import schema
from llm_compiler.corpus.shards import Manifest, read_shards, write_shard
from llm_compiler.errors import InputError
from llm_compiler.llvm.job import Job, Limits
from llm_compiler.llvm.module import digest
from llm_compiler.llvm.target import X86_64, Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks.flags import FlagOptions, build, export
from llm_compiler.tasks.labels import lists as selecting
from llm_compiler.tasks.labels import store
from llm_compiler.tasks.labels.answers import SharedAnswers
from llm_compiler.tasks.labels.bench import Bench, Task
from llm_compiler.tasks.labels.choice import FUNCTION, MODULE, choose, slices
from llm_compiler.tasks.labels.label import FAILED, Choice, Label, label, measure_lists
from llm_compiler.tasks.labels.search import LONGEST, OZ, Found, full_space, list_space, option_sets, search
from llm_compiler.tasks.labels.stages import TRIALS, Trials, VerifyWork, trial_row
from llm_compiler.tasks.lowering import text_of
from llm_compiler.tasks.prompts import FlagsPrompt, PassList, parse_compact_flags, parse_flags
from llm_compiler.validation import suites
from llm_compiler.validation.differential import Level
from support import candidate, inspected, measured, unoptimised, write_source
from test_passlisteval import VOWELS

EXAMPLE = Path(__file__).parent.parent / "examples" / "json.c"

# A switch that becomes a table, a loop, branches that meet, a call.
CODE = {
    "table": "int table(int a) { switch (a) { case 0: return 7; case 1: return 93; case 2: return 14; case 3: return 2;"
             " case 4: return 77; case 5: return 31; default: return 0; } }",
    "sum": "int sum(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) if (p[i] > 3) s += p[i] * 3;"
           " return s; }",
    "meet": "int meet(int a, int b, int *q) { if (a > 2) { q[0] = b + 4; q[1] = a; } else { q[0] = b + 4; q[1] = 9; } "
            "return q[0] ^ q[1]; }",
    "call": "int other(int); int call(int a) { return a ? other(a) + other(a + 1) : other(0); }",
    "text": "int text(const char *s) { int n = 0; while (*s) { if (*s == 'a' || *s == 'e') n++; s++; } return n; }",
    "small": "int small(int a) { return a; }",
}
SMALL = FlagOptions(functions=6, modules=2, lists=6, sample=1.0, cover=6, search_evaluations=24, refine=16, options=2,
                    suite=(), jobs=2)


def module_row(package: str, name: str, code: bytes, functions: int, instructions: int) -> dict[str, Any]:
    return {"module": digest(code), "package": package, "version": "1", "licence": "MIT", "file": name,
            "language": "c", "flags": [], "triple": X86_64, "functions": functions, "instructions": instructions,
            "bitcode": code}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, clang: str) -> Path:
    """Two packages, one of them for tests; six functions and three modules, one of which is a duplicate."""
    folder = tmp_path_factory.mktemp("corpus")
    packages: dict[str, list[dict[str, Any]]] = {"one": [], "two": []}
    modules: dict[str, list[dict[str, Any]]] = {"one": [], "two": []}
    status = []
    for index, (name, text) in enumerate(CODE.items()):
        package = ("one", "two")[index % 2]
        code = unoptimised(folder, f"{name}.c", text).read_bytes()
        packages[package].append({
            "function": digest(code), "name": name, "module": digest(code), "package": package, "version": "1",
            "licence": "MIT", "file": f"{name}.c", "language": "c", "split": ("train", "test")[index % 2],
            "instructions": 10 + index, "ir": text_of(code)})
    for package, names in (("one", ("table", "sum")), ("two", ("meet", "text")), ("two", ("sum", "meet"))):
        text = "\n".join(CODE[name] for name in names)
        code = unoptimised(folder, f"{'-'.join(names)}.c", text).read_bytes()
        modules[package].append(module_row(package, f"{names[0]}.c", code, 2, 60))
        status.append({"module": digest(code), "package": package, "split": "train" if package == "one" else "test",
                       "status": "duplicate" if names[0] == "sum" else "kept", "detail": "", "new_functions": 2})
    for package in packages:
        write_shard(folder / "modules" / f"{package}-000.parquet", modules[package], schema.MODULES, {})
    written = [write_shard(folder / "functions" / f"{package}.parquet", rows, schema.FUNCTIONS, {})
               for package, rows in packages.items()]
    Manifest.of(folder / "functions", written, task="functions", counts={}, parameters={}).write(folder / "functions")
    write_shard(folder / "functions" / "modules.parquet", status, schema.MODULE_STATUS, {})
    return folder


@pytest.fixture
def pool() -> Any:
    with WorkerPool(1, Limits(30)) as pool:
        yield pool


def shards(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.parquet")}


# --- the choice ---


def test_programs_are_chosen_evenly_and_repeatably(corpus: Path) -> None:
    chosen = choose(corpus, 6, 5, largest=1000, seed=0)
    assert chosen == choose(corpus, 6, 5, largest=1000, seed=0)
    assert Counter(program.kind for program in chosen) == {FUNCTION: 6, MODULE: 2}  # the third is a duplicate
    two = choose(corpus, 2, 0, largest=1000, seed=0)
    assert {program.package for program in two} == {"one", "two"}
    assert not [program for program in choose(corpus, 6, 2, largest=12, seed=0) if program.instructions > 12]
    small = choose(corpus, 6, 2, largest=1000, largest_function=12, seed=0)
    assert {program.kind: max(p.instructions for p in small if p.kind == program.kind) for program in small} == {
        FUNCTION: 12, MODULE: 60}
    with pytest.raises(InputError, match="no function and no module of at most 1 instructions"):
        choose(corpus, 6, 2, largest=1, seed=0)
    for part in slices(chosen):
        assert {name for name, _, _ in part.rows()} == set(part.names)
        assert all(row.get("split", part.split) == part.split for _, _, row in part.rows())


def test_a_corpus_without_functions_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="run `llmc corpus functions` first"):
        choose(tmp_path, 1, 0, largest=10, seed=0)


# --- one program ---


def one(corpus: Path, name: str) -> bytes:
    rows = read_shards(sorted((corpus / "functions").glob("[ot]*.parquet")))
    return next(row["ir"].encode() for row in rows if row["name"] == name)


def test_a_label_is_what_its_list_measures(corpus: Path, pool: WorkerPool, tmp_path: Path) -> None:
    lists = tuple(item.passes.text for item in list_space(Profile.DEPLOY).core_set)
    counts: Counter[str] = Counter()
    found = Task(Profile.DEPLOY, label, (lists, 30, 3, 1)).run(pool, one(corpus, "sum"), counts)
    assert isinstance(found, Label) and found.baseline is not None and not counts["programs done again one by one"]
    assert lists[0] == OZ and len(found.sizes) == len(found.text_data) == len(lists) and FAILED not in found.sizes
    path = tmp_path / "sum.ll"
    path.write_bytes(one(corpus, "sum"))
    lowering = inspected(pool, path)
    base = measured(pool, Job(path, replace(candidate(), passes=full_space(Profile.DEPLOY).oz), lowering))
    assert base.size is not None and base.size.total == found.baseline.total
    for index in (0, len(lists) - 1):
        size = measured(pool, Job(path, candidate(lists[index]), lowering)).size
        assert size is not None and (size.total, size.text_data) == (found.sizes[index], found.text_data[index])
    for choice in (*found.best, *found.with_options):
        again = measured(pool, Job(path, candidate(choice.pass_list, choice.options), lowering, count=True))
        assert again.size is not None and again.size.total == choice.total < found.baseline.total
        assert again.instructions == choice.instructions
        assert choice.index == -1 or lists[choice.index] == choice.pass_list
    assert found.evaluations > len(lists) and 0 < found.lowered < found.evaluations


def test_where_llvm_dies_the_rest_is_done_one_by_one(corpus: Path, pool: WorkerPool) -> None:
    counts: Counter[str] = Counter()
    sound, data = (OZ, "function(sroa)", "function(mem2reg,instcombine)"), one(corpus, "meet")
    alone = Task(Profile.PAPER, measure_lists, (sound,)).run(pool, data, counts)
    assert isinstance(alone, Label) and not counts["programs done again one by one"]
    planted = (sound[0], "trigger-crash", *sound[1:], "no-such-pass")
    found = Task(Profile.PAPER, measure_lists, (planted,)).run(pool, data, counts)
    assert isinstance(found, Label) and counts["programs done again one by one"] == 1
    assert found.sizes == (alone.sizes[0], FAILED, *alone.sizes[1:], FAILED) and found.baseline == alone.baseline
    assert (found.evaluations, found.lowered) == (alone.evaluations + 2, alone.lowered)


def test_what_llvm_does_not_read_is_said(pool: WorkerPool) -> None:
    for data, reason in ((b"define i32 @f( {", "cannot read it"), (b"@a = global i32 1\n", "defines no function")):
        found = Task(Profile.DEPLOY, search, (10, 0)).run(pool, data, Counter())
        assert isinstance(found, str) and reason in found


def test_a_search_says_short_lists_and_repeats(corpus: Path, pool: WorkerPool) -> None:
    task = Task(Profile.PAPER, search, (40, 7))
    found = task.run(pool, one(corpus, "text"), Counter())
    assert isinstance(found, Found) and found.baseline is not None and found.lists
    assert found == task.run(pool, one(corpus, "text"), Counter())
    assert all(len(PassList.parse(text)) <= LONGEST for text, _ in found.lists)
    assert min(total for _, total in found.lists) < found.baseline
    assert option_sets(Profile.DEPLOY, 3) and not option_sets(Profile.PAPER, 3)


# --- the lists ---


def test_the_cover_takes_what_adds_most() -> None:
    baselines = [100, 100, 1000]
    sizes = [[100, 90, 95, 80, FAILED], [100, 100, 80, 81, FAILED], [1000, 1000, 1000, 1000, 900]]
    order, gains = selecting.cover(baselines, sizes, 5)
    assert order[:2] == [0, 3] and set(order[2:]) == {2, 4} and 1 not in order
    assert gains[0] == 0 and gains == sorted(gains) and gains[-1] == pytest.approx((20 + 20 + 10) / 3)
    assert selecting.cover(baselines, sizes, 2)[0] == [0, 3]


def test_a_list_that_breaks_a_program_is_not_broadcast(clang: str, tmp_path: Path) -> None:
    suite = tmp_path / "suite"
    suite.mkdir()
    write_source(suite, "vowels.c", VOWELS)
    wrong = "default<Oz>,function(structurizecfg)"
    chosen = selecting.select([100], [[100, 40, 90]], [OZ, wrong, "function(sroa)"], 2, suites.load(str(suite)), 1)
    assert chosen.lists == (OZ, "function(sroa)") and chosen.programs == 1
    assert list(chosen.dropped) == [wrong] and "wrong" in chosen.dropped[wrong]
    unchecked = selecting.select([100], [[100, 40, 90]], [OZ, wrong, "function(sroa)"], 2, (), 1)
    assert unchecked.lists == (OZ, wrong) and not unchecked.dropped


# --- verification ---


@pytest.mark.parametrize("level", [Level.QUICK, Level.OFF])
def test_a_planted_miscompile_gives_way_to_the_next_best(level: Level, clang: str, tmp_path: Path,
                                                         pool: WorkerPool) -> None:
    code = unoptimised(tmp_path, "json.c", EXAMPLE.read_text()).read_bytes()
    write_shard(tmp_path / "modules" / "p-000.parquet", [module_row("p", "json.c", code, 9, 400)], schema.MODULES, {})
    write_shard(tmp_path / "functions" / "modules.parquet", [
        {"module": digest(code), "package": "p", "split": "train", "status": "kept", "detail": "",
         "new_functions": 9}], schema.MODULE_STATUS, {})
    write_shard(tmp_path / "functions" / "p.parquet", [], schema.FUNCTIONS, {})
    (part,) = slices(choose(tmp_path, 0, 1, largest=1000, seed=0))
    path = tmp_path / "json.bc"
    path.write_bytes(code)
    bench = Bench(pool, path, inspected(pool, path), 0)
    wrong, right = "default<Oz>,function(structurizecfg)", "default<O1>"
    items = bench.measure([candidate(wrong), candidate(right)])
    choices = []
    for index, (text, item) in enumerate(zip((wrong, right), items, strict=True)):
        assert item is not None
        choices.append(Choice(text, index + 1, (), 100 + index, 90, item.object_hash, 300))
    trial = Label(400, Choice("", -1, (), 1000, 900, "", 350), (1000, 100, 101), (900, 90, 91), tuple(choices),
                  (), 3, 3)
    shard = tmp_path / "trials.parquet"
    work = VerifyWork(Profile.DEPLOY, level, True)
    write_shard(shard, [trial_row(digest(code), trial)], TRIALS, {})
    counts: Counter[str] = Counter()
    (row,) = work.rows(Trials(part, str(shard)), pool, counts)
    if level is Level.OFF:
        assert row["pass_list"] == wrong and row["wrong"] == 0 and "--verify off" in row["verification"]
        return
    assert (row["pass_list"], row["list_index"], row["wrong"]) == (right, 2, 1)
    assert counts["objects that differential execution refused"] == 1
    assert row["verified"] and row["verification"].startswith("agreed: ") and "inputs" in row["verification"]
    # Options that are not run are taken on the list that was, and on no other.
    optioned = tuple(replace(choice, options=("-disable-lsr",), total=choice.total - 50) for choice in choices)
    write_shard(shard, [trial_row(digest(code), replace(trial, with_options=optioned))], TRIALS, {})
    (row,) = replace(work, run_options=False).rows(Trials(part, str(shard)), pool, counts)
    assert (row["pass_list"], row["options_pass_list"], row["options_bytes"]) == (right, right, 51)
    assert row["options_verification"] == "not executed: --no-run-options"


# --- the pipeline ---


@pytest.fixture(scope="module")
def built(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    output = tmp_path_factory.mktemp("flags")
    return output, build(corpus, output, SMALL)


def test_the_dataset(built: tuple[Path, Manifest], corpus: Path) -> None:
    output, manifest = built
    rows = list(read_shards(output))
    assert manifest.verify(output) == [] and manifest.counts["rows"] == len(rows) == 8
    assert manifest.counts["splits"] == {"train": 4, "test": 4} and set(manifest.packages) == {"one", "two"}
    lists = manifest.parameters["lists"]["deploy"]
    assert lists[0] == OZ and len(lists) == 6 and manifest.parameters["complete"]
    record = manifest.counts["profiles"]["deploy"]
    assert record["labels"] == 8 and record["gain, per cent"] > 0 and record["compilations a label"] > 6
    for row in rows:
        ir = row["prompt"].removeprefix("[INST] Tell me how to optimize this LLVM-IR for object file size:\n\n<code>")
        assert ir.endswith("</code> [/INST]") and "define " in ir and row["prompt"] == FlagsPrompt(
            ir.removesuffix("</code> [/INST]")).reference()
        wanted = PassList.parse(row["pass_list"])
        assert parse_flags(row["answer"]) == wanted == parse_compact_flags(row["compact_answer"])
        assert len(row["sizes"]) == len(row["sizes_text_data"]) == len(lists)
        assert row["bytes"] <= min(size for size in row["sizes"] if size != FAILED) or row["wrong"]
        assert row["options_bytes"] <= row["bytes"] and row["verification"]
        assert row["list_index"] == -1 or lists[row["list_index"]] == row["pass_list"]
    assert {row["function"] for row in rows if row["kind"] == FUNCTION} == set(CODE)
    small = next(row for row in rows if row["function"] == "small")
    assert small["pass_list"] == OZ and small["bytes"] == small["baseline_bytes"]


def test_loads_with_datasets(built: tuple[Path, Manifest], tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    output, _ = built
    loaded = datasets.load_dataset(str(output), cache_dir=str(tmp_path))
    assert loaded["train"].num_rows == 4 and loaded["test"].features["sizes"] is not None


def test_the_same_again_does_nothing_and_a_lost_shard_comes_back(built: tuple[Path, Manifest], corpus: Path) -> None:
    output, manifest = built
    before, stages = shards(output), sorted((corpus / "work" / "labels").glob("*/*.parquet"))
    times = {path: path.stat().st_mtime_ns for path in stages}
    assert build(corpus, output, SMALL) == manifest
    assert {path: path.stat().st_mtime_ns for path in stages} == times
    lost = next((corpus / "work" / "labels" / "label").glob("*.parquet"))
    lost.unlink()
    next(output.glob("train-*.parquet")).unlink()
    build(corpus, output, SMALL)
    assert shards(output) == before and lost.exists()


def test_one_process_gives_the_same(built: tuple[Path, Manifest], corpus: Path, tmp_path: Path) -> None:
    other = tmp_path / "corpus"
    other.mkdir()
    for name in ("modules", "functions"):
        (other / name).symlink_to(corpus / name)
    build(other, tmp_path / "flags", replace(SMALL, jobs=1))
    rows, again = ({row["hash"]: row for row in read_shards(folder)} for folder in (built[0], tmp_path / "flags"))
    assert rows.keys() == again.keys()
    for name, row in rows.items():
        # How many inputs run to their end in the processor time that they have depends on the machine's load.
        for each in (row, again[name]):
            for key in ("verification", "options_verification"):
                each[key] = each[key].split(":")[0]
        assert {key: (row[key], again[name][key]) for key in row if row[key] != again[name][key]} == {}


def test_labels_are_joined_with_a_corpus_that_was_built_again(built: tuple[Path, Manifest], corpus: Path,
                                                              tmp_path: Path) -> None:
    file = corpus / "work" / "labels" / "labels.parquet"
    again = tmp_path / "again"
    kept = [row for row in read_shards(corpus / "functions" / "one.parquet") if row["name"] != "table"]
    write_shard(again / "functions" / "p.parquet", kept, schema.FUNCTIONS, {})
    manifest = export(again, tmp_path / "flags", file, SMALL)
    rows = {row["hash"]: row for row in read_shards(built[0])}
    found = list(read_shards(tmp_path / "flags"))
    assert len(found) == 2 and manifest.counts["labelled programs that the corpus lacks"] == 6
    assert all(row == rows[row["hash"]] for row in found)
    assert store.about(file)["lists"] == built[1].parameters["lists"]
    write_shard(tmp_path / "none" / "functions" / "p.parquet", [], schema.FUNCTIONS, {})
    with pytest.raises(InputError, match="made for another corpus"):
        export(tmp_path / "none", tmp_path / "flags", file, SMALL)
    with pytest.raises(InputError, match="holds no flag labels"):
        store.about(corpus / "functions" / "one.parquet")


def test_labels_are_extended(built: tuple[Path, Manifest], corpus: Path, tmp_path: Path) -> None:
    """A first run knows one package; the second adds the other's programs under the first one's lists."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder, package in ((first, "one"), (second, "two")):
        rows = list(read_shards(corpus / "functions" / f"{package}.parquet"))
        write_shard(folder / "functions" / "p.parquet", rows, schema.FUNCTIONS, {})
    alone = replace(SMALL, modules=0)
    build(first, tmp_path / "a", alone)
    file = first / "work" / "labels" / "labels.parquet"
    build(second, tmp_path / "b", alone, extend=file)
    before, after = (store.Labels(folder / "work" / "labels" / "labels.parquet") for folder in (first, second))
    assert after.about["lists"] == before.about["lists"]
    assert len(before.hashes()) == 3 and len(after.hashes()) == 6 and before.hashes() < after.hashes()
    assert all(list(after.of(name)) == list(before.of(name)) for name in before.hashes())
    records = [labels.about["profiles"]["deploy"] for labels in (before, after)]
    assert [record["labels"] for record in records] == [3, 6]
    assert records[1]["costs"]["search"] == records[0]["costs"]["search"]
    lists = len(after.about["lists"]["deploy"])
    assert all(len(label["sizes"]) == lists for name in after.hashes() for label in after.of(name))
    assert not (second / "work" / "labels" / "search").exists()
    # Another profile is searched from the start, and stands beside what was held.
    build(first, tmp_path / "c", replace(alone, profiles=(Profile.PAPER,), functions=1), extend=file)
    both = store.about(file)
    assert both["lists"].keys() == both["profiles"].keys() == {"deploy", "paper"}
    assert both["lists"]["deploy"] == before.about["lists"]["deploy"]


def test_shared_answers_are_the_first_good_enough() -> None:
    lists = ["default<Oz>", "function(sroa)", "function(gvn)", "function(dse)"]
    chosen = SharedAnswers({"deploy": lists}, 0.8)
    row = {"profile": "deploy", "answer": "", "compact_answer": "own", "baseline_bytes": 200}
    rows = [{**row, "name": name, "bytes": best, "sizes": sizes} for name, best, sizes in (
        ("no gain", 200, [200, 200, 201, 200]), ("first of equals", 100, [200, 100, 100, 100]),
        ("near enough", 100, [200, 121, 120, 100]), ("one fails", 100, [FAILED, FAILED, 120, 100]),
        ("its own alone", 100, [200, 190, 190, 190]))]
    found = {row["name"]: row["compact_answer"] for row in chosen.chosen(rows)}
    assert found == {"first of equals": "function(sroa)<|end|>", "near enough": "function(gvn)<|end|>",
                     "one fails": "function(gvn)<|end|>", "its own alone": "own"}


def test_shared_answers_of_a_dataset(built: tuple[Path, Manifest]) -> None:
    folder, _ = built
    chosen = SharedAnswers.of(folder, 1.0)
    rows = list(chosen.chosen(read_shards(folder, ["bytes", "baseline_bytes", "sizes", "profile", "compact_answer"])))
    assert rows
    for row in rows:
        text = row["compact_answer"].removesuffix("<|end|>")
        size = dict(zip(chosen.lists[row["profile"]], row["sizes"], strict=True)).get(text, row["bytes"])
        assert size == row["bytes"] < row["baseline_bytes"]


def test_a_time_budget_ends_a_run_that_can_go_on(corpus: Path, built: tuple[Path, Manifest], tmp_path: Path) -> None:
    other = tmp_path / "corpus"
    other.mkdir()
    for name in ("modules", "functions"):
        (other / name).symlink_to(corpus / name)
    said: list[str] = []
    with pytest.raises(InputError, match=r"raise --sample|run the same command again"):
        build(other, tmp_path / "flags", replace(SMALL, time_budget=0.0), said.append)
    assert any("the time is over after 0 of" in text for text in said)
    assert not (tmp_path / "flags" / "manifest.json").exists()


def test_the_labels_that_landed() -> None:
    labels = store.Labels(Path(__file__).parent.parent / "corpora" / "debian-12" / "labels-deploy.parquet")
    lists = labels.about["lists"]["deploy"]
    record = labels.about["profiles"]["deploy"]
    assert len(labels.hashes("deploy")) == record["labels"] == record["verified labels"] and len(lists) == 64
    for name in sorted(labels.hashes())[:200]:
        (label_,) = labels.of(name)
        assert label_["verified"] and len(label_["sizes"]) == 64 and label_["bytes"] <= label_["sizes"][0] != FAILED
        assert label_["list_index"] == -1 or lists[label_["list_index"]] == label_["pass_list"]
        PassList.parse(label_["pass_list"])


# --- the command ---


def test_the_command(corpus: Path, built: tuple[Path, Manifest], tmp_path: Path,
                     capsys: pytest.CaptureFixture[str]) -> None:
    import typer
    from typer.testing import CliRunner

    from llm_compiler.cli.dataset_flags import flags

    app = typer.Typer()
    app.command()(flags)
    file = corpus / "work" / "labels" / "labels.parquet"
    done = CliRunner().invoke(app, ["--corpus", str(corpus), "-o", str(tmp_path / "out"), "--labels", str(file),
                                    "--json", "-j", "1"])
    assert done.exception is None, done.output
    assert json.loads(done.stdout[done.stdout.index("{") :])["rows"] == 8
    for words in (["--profile", "fast"], ["--time-budget", "soon"], ["--sample", "2"]):
        failed = CliRunner().invoke(app, ["--corpus", str(corpus), *words])
        assert isinstance(failed.exception, InputError)
