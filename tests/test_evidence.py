"""The journal of a campaign, the table made of it, what a campaign tries, and what it blames."""

from __future__ import annotations

import json
import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from llm_compiler.cli import app
from llm_compiler.errors import InputError
from llm_compiler.evidence import campaign as campaigns
from llm_compiler.evidence.campaign import Campaign, Experiment, culprits, pass_batches, tuned_batches
from llm_compiler.evidence.opinion import DifferentialOpinion
from llm_compiler.evidence.table import (
    FORMAT,
    Blame,
    Journal,
    Record,
    Subject,
    Table,
    candidates_of,
    repeat,
    shipped,
    tabulate,
    trial_key,
)
from llm_compiler.llvm import registry
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import FORCE_ATTRIBUTE, Candidate, PassList
from llm_compiler.llvm.registry import Evidence, Example, Registry, Tier
from llm_compiler.tuning import data
from llm_compiler.validation.passlisteval import Trial, Verdict
from llm_compiler.validation.suites import Program
from support import bitcode_of, candidate, unoptimised

LLVM = "17.0.6"
SINK, OZ = Subject("pass", "sink"), candidate("default<Oz>")


@pytest.fixture(scope="module")
def known() -> Registry:
    return registry.load(full=True)


def record(program: str, text: str, verdict: str = "passed", *, changed: bool = True,
           subject: Subject = SINK) -> tuple[Record, Candidate]:
    held = candidate(text)
    return Record(trial_key(program, held, subject), program, "own", subject, held.digest, verdict, changed,
                  "" if verdict == "passed" else "why"), held


# --- the journal ---


def test_a_journal_remembers(tmp_path: Path) -> None:
    path = tmp_path / "new" / "j.jsonl"
    first, second = record("a", "sink"), record("b", "sink", "wrong")
    with Journal(path, LLVM) as journal:
        journal.add(*first)
        journal.add(*first)
        journal.add(*second)
    assert path.read_text().count("\n") == 4  # the header, the list once, two trials
    with Journal(path, LLVM) as journal:
        assert first[0].key in journal and second[0].key in journal and journal.trials == 2
        assert trial_key("c", first[1], SINK) not in journal
        assert journal.failed == {second[0].key: second[0]} and not journal.blamed
        journal.blame(Blame(second[0].key, (SINK,), Example("b", "sink", "wrong")))
    with Journal(path, LLVM) as journal:
        assert journal.blamed == {second[0].key}
    assert candidates_of([path], {first[1].digest}) == {first[1].digest: first[1]}


@pytest.mark.parametrize("kept", [3, 60, 150, 400])
def test_a_killed_run_loses_its_last_line_only(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "j.jsonl"
    with Journal(path, LLVM) as journal:
        for name in "abc":
            journal.add(*record(name, "sink"))
    whole = path.read_bytes()
    path.write_bytes(whole[:kept])
    complete = sum(b'"trial"' in line for line in whole[:kept].split(b"\n")[:-1])
    with Journal(path, LLVM) as journal:
        assert journal.trials == complete
        for name in "abc":
            journal.add(*record(name, "sink"))
    assert path.read_bytes() == whole


@pytest.mark.parametrize(("content", "said"), [
    ("notes of mine", "no journal"), ('{"journal":1,"llvm":"16.0.6"}\n', "of LLVM 16.0.6, not 17.0.6"),
    ('{"journal":9,"llvm":"17.0.6"}\n', "format 9"), ('{"journal":1,"llvm":"17.0.6"}\n[]\n', ":2: no line"),
    ('{"journal":1,"llvm":"17.0.6"}\n{"trial":"x"}\n', ":2: no line"),
])
def test_what_is_no_journal_is_left_alone(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "j.jsonl"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        Journal(path, LLVM)
    assert path.read_text() == content


# --- the table ---


def test_a_table_counts_each_trial_once(tmp_path: Path) -> None:
    one, two = tmp_path / "1.jsonl", tmp_path / "2.jsonl"
    core = Subject("core", "0123")
    with Journal(one, LLVM) as journal:
        journal.add(*record("a", "sink"))
        journal.add(*record("b", "sink", changed=False))
        journal.add(*record("b", "sink,gvn", "wrong"))
        journal.add(*record("b", "nonsense", "invalid"))
    with Journal(two, LLVM) as journal:
        journal.add(*record("a", "sink"))
        failing = record("a", "gvn", "crashed", subject=core)
        journal.add(*failing)
        journal.blame(Blame(failing[0].key, (Subject("option", "-x"),), Example("a", "gvn", "crashed", ("-x",))))
    table = tabulate([one, two], LLVM, [1, 1])
    assert table.passes == {"sink": Evidence(2, 2, 3, 2, 2, (("wrong", 1),))}
    example = Example("a", "gvn", "crashed", ("-x",))
    assert table.options == {"-x": Evidence(failures=(("crashed", 1),), example=example)}
    assert table.core_set["0123"].failures == (("crashed", 1),) and table.suites == {"own": 2} and table.seeds == (1,)
    with pytest.raises(InputError, match="of LLVM 17"):
        tabulate([one], "18.1.8")


counts = st.integers(0, 50)
examples = st.builds(Example, st.sampled_from(["CPP/1", "own/a.c"]), st.sampled_from(["gvn", "sink,gvn"]),
                     st.sampled_from(["wrong", "hung"]))
evidences = st.builds(Evidence, counts, counts, counts, counts, counts,
                      st.dictionaries(st.sampled_from(["wrong", "hung"]), st.integers(1, 9)).map(
                          lambda held: tuple(sorted(held.items()))), st.none() | examples)
rows = st.dictionaries(st.sampled_from(["sink", "gvn", "slsr"]), evidences)
tables = st.builds(Table, st.just(LLVM), st.lists(st.integers(0, 9), unique=True).map(lambda held: tuple(sorted(held))),
                   st.dictionaries(st.sampled_from(["own", "humaneval"]), counts), rows, rows, rows, rows)


@settings(max_examples=20)
@given(tables, tables, tables)
def test_merging_repeats_nothing_and_loses_nothing(one: Table, two: Table, three: Table) -> None:
    assert Table.parse(one.text()) == one
    assert one.merge(one) == one and one.merge(two) == two.merge(one)
    assert one.merge(two).merge(three) == one.merge(two.merge(three))
    both = one.merge(two)
    for name, row in one.passes.items():
        assert both.passes[name].trials >= row.trials and both.passes[name].failed >= row.failed


def test_tables_that_do_not_go_together(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"of LLVM 17\.0\.6 and of LLVM 18\.1\.8 cannot be merged"):
        Table(LLVM).merge(Table("18.1.8"))
    for text, said in (("{", "no table"), ("[]", "no table"), ('{"format": 99}', "format 99; this version reads"),
                       (json.dumps({"format": FORMAT, "llvm": LLVM}), "no table")):
        with pytest.raises(InputError, match=said):
            Table.parse(text)
    path = tmp_path / "table.json"
    Table(LLVM).write(path)
    assert Table.read(path) == Table(LLVM)
    with pytest.raises(InputError, match="cannot read"):
        Table.read(tmp_path / "missing")


def test_the_table_of_the_package_is_the_one_that_tiers_are_made_of() -> None:
    table = shipped()
    assert table.passes == dict(registry.evidence_for(table.llvm))
    assert len(table.text()) < 100_000


def test_how_a_failure_is_repeated() -> None:
    said = repeat(Example("CPP/64", "function(structurizecfg)", "wrong", ("-disable-lsr",), ("-inline-threshold=0",)))
    assert said == ("llmc check 'function(structurizecfg)' --suite=humaneval --pass-option=-inline-threshold=0 "
                    "--codegen-option=-disable-lsr")
    assert "--suite=csmith:1@77" in repeat(Example("csmith/77", "gvn", "wrong"))


# --- campaigns ---


class FakeChecker:
    """Programs that fail when a list holds what they cannot stand; everything but -Oz changes the object."""

    def __init__(self, faults: dict[str, set[str]], folder: Path | None = None, kill_after: int | None = None) -> None:
        self.faults = faults
        self.folder = folder
        self.kill_after = kill_after
        self.asked: list[tuple[str, Candidate]] = []
        self.oz = oz_pipeline(registry.load())

    @property
    def programs(self) -> list[Program]:
        return [Program(name, "own", f"text of {name}", False) for name in self.faults]

    def bitcode(self, program: str) -> Path:
        assert self.folder is not None
        path = self.folder / f"{program}.bc"
        path.write_bytes(bitcode_of("define internal i32 @helped(i32 %x) {\n  ret i32 %x\n}\n"
                                    "define i32 @f(i32 %x) {\n  %y = call i32 @helped(i32 %x)\n  ret i32 %y\n}\n"))
        return path

    def check(self, candidates: Iterable[Candidate], *, programs: Collection[str] | None = None) -> Iterator[Trial]:
        for held in candidates:
            for name in self.faults if programs is None else programs:
                if self.kill_after is not None and len(self.asked) >= self.kill_after:
                    raise KeyboardInterrupt
                self.asked.append((name, held))
                parts = {*held.passes.names(), *held.codegen_options, *held.pass_options}
                verdict = Verdict.WRONG if self.faults[name] and self.faults[name] <= parts else Verdict.PASSED
                yield Trial(name, "own", held, verdict, "exit code 1" if verdict is Verdict.WRONG else "", 0.0, False,
                            100 + len(held.passes), held.passes != self.oz)


FAULTS: dict[str, set[str]] = {"a": set(), "b": {"sink"}, "c": {"gvn", "slsr"}, "d": set()}


def run(path: Path, checker: FakeChecker, known: Registry, rounds: int, only: Collection[str]) -> Table:
    with Journal(path, LLVM) as journal:
        Campaign(checker, journal, known).run(islice(pass_batches(known, list(FAULTS), 1, only), rounds))
    return tabulate([path], LLVM)


def test_a_campaign_blames_what_fails(tmp_path: Path, known: Registry) -> None:
    table = run(tmp_path / "j", FakeChecker(FAULTS), known, 8, only=("sink", "slsr", "mergefunc", "-disable-lsr"))
    assert set(table.passes) == {"sink", "slsr", "mergefunc"} and set(table.options) == {"-disable-lsr"}
    sink = table.passes["sink"]
    assert sink.failures[0][0] == "wrong" and sink.example is not None and sink.example.passes == "function(sink)"
    slsr = table.passes["slsr"].example
    assert slsr is not None and PassList.parse(slsr.passes).names() == {"gvn", "slsr"}
    assert not table.passes["mergefunc"].failures and table.passes["mergefunc"].lists > 4
    assert "gvn" not in table.passes


@pytest.mark.parametrize("after", [1, 7, 40, 75])
def test_a_killed_campaign_goes_on_without_repeating(tmp_path: Path, known: Registry, after: int) -> None:
    only = ("sink", "slsr", "mergefunc")
    whole = run(tmp_path / "whole", FakeChecker(FAULTS), known, 4, only=only)
    path = tmp_path / "killed"
    with pytest.raises(KeyboardInterrupt):
        run(path, FakeChecker(FAULTS, kill_after=after), known, 4, only=only)
    with Journal(path, LLVM) as journal:
        done = set(journal.done)
    with path.open("ab") as file:
        file.write(b'{"trial":"torn')
    again = FakeChecker(FAULTS)
    assert replace(run(path, again, known, 4, only=only), seeds=()) == whole
    lines = [json.loads(line).get("trial") for line in path.read_text().splitlines()]
    trials = [key for key in lines if key]
    assert len(trials) == len(set(trials)) and {int(key, 16) for key in trials} >= done
    more = FakeChecker(FAULTS)
    run(path, more, known, 4, only=only)
    assert not more.asked


def test_a_settled_pass_is_tried_no_more(tmp_path: Path, known: Registry) -> None:
    faults = {name: {"sink"} for name in "abcdefgh"}
    checker = FakeChecker(faults)
    with Journal(tmp_path / "j", LLVM) as journal:
        Campaign(checker, journal, known).run(islice(pass_batches(known, list(faults), 1, ("sink",)), 6))
    sink = tabulate([tmp_path / "j"], LLVM).passes["sink"]
    assert sink.failed == sink.trials == 8  # of the first round, on eight programs


def test_a_second_opinion_counts(tmp_path: Path, known: Registry) -> None:
    def differs(program: str, held: Candidate) -> tuple[Verdict, str]:
        return (Verdict.WRONG, "f(3) differs") if "mergefunc" in held.passes.names() else (Verdict.PASSED, "")

    with Journal(tmp_path / "j", LLVM) as journal:
        Campaign(FakeChecker({"a": set()}), journal, known, second=differs).run(
            islice(pass_batches(known, ["a"], 1, ("mergefunc", "slsr")), 3))
    table = tabulate([tmp_path / "j"], LLVM)
    assert table.passes["mergefunc"].failures and not table.passes["slsr"].failures


def test_a_toolchain_that_fails_at_oz_gives_no_verdicts(tmp_path: Path, known: Registry) -> None:
    with Journal(tmp_path / "j", LLVM) as journal, pytest.raises(InputError, match="a fails under -Oz itself"):
        Campaign(FakeChecker({"a": {"gvn"}}), journal, known).run(islice(pass_batches(known, ["a"], 1, ("sink",)), 1))
    assert not tabulate([tmp_path / "j"], LLVM).passes


def test_what_a_campaign_tries_is_valid_and_repeats_itself(known: Registry) -> None:
    batches = list(islice(pass_batches(known, list("abcdefghijkl"), 3), 5))
    assert batches == list(islice(pass_batches(known, list("lkjihgfedcba"), 3), 5))
    assert batches[:1] != list(islice(pass_batches(known, list("abcdefghijkl"), 4), 1))
    tried = {experiment.subject for batch in batches for experiment in batch.experiments}
    assert {subject.name for subject in tried if subject.kind == "pass"} == {
        info.name for info in known.passes() if info.transforms}
    assert {"option", "core"} <= {subject.kind for subject in tried}
    drawn = [experiment for batch in batches for experiment in batch.experiments]
    for experiment in random.Random(1).sample(drawn, 12):
        known.validate(experiment.candidate.passes)
        known.validate(experiment.base.passes)
    for experiment in drawn:
        if experiment.subject.kind == "pass":
            held = [item.name for item in experiment.candidate.passes.walk()]
            base = [item.name for item in experiment.base.passes.walk()]
            assert held.count(experiment.subject.name) > base.count(experiment.subject.name)


def test_tuned_programs_are_what_the_tier_allows(tmp_path: Path, known: Registry) -> None:
    checker = FakeChecker({"a": set(), "b": set()}, tmp_path)
    batches = list(islice(tuned_batches(known, Tier.PRODUCTION, ["a", "b"], 1, checker.bitcode), 12))
    assert batches == list(islice(tuned_batches(known, Tier.PRODUCTION, ["b", "a"], 1, checker.bitcode), 12))
    candidates = [experiment.candidate for batch in batches for experiment in batch.experiments]
    assert all(data.candidate_tier(held, known) is Tier.PRODUCTION for held in candidates)
    assert any(held.codegen_options for held in candidates)
    assert any(option.startswith(f"{FORCE_ATTRIBUTE}helped:") for held in candidates for option in held.pass_options)
    with Journal(tmp_path / "j", LLVM) as journal:
        progress = Campaign(checker, journal, known).run(batches, trials=20)
    assert progress.trials == 20
    assert tabulate([tmp_path / "j"], LLVM).tuned["production"].trials == 20


@pytest.mark.parametrize(("text", "options", "blamed"), [
    ("function(sroa,structurizecfg)", (), ["pass:structurizecfg"]),
    ("attributor,function(sink)", (), ["pass:attributor"]),
    ("function(sink,slsr,gvn)", (), ["pass:sink", "pass:slsr"]),
    ("function(sroa,gvn)", (), ["pass:gvn"]),
    ("function(sroa)", ("-disable-lsr",), ["option:-disable-lsr"]),
    ("function(sink)", ("-disable-lsr",), ["pass:sink"]),
    ("default<O3>", (), ["pass:default"]), ("", (), []),
])
def test_who_is_to_blame(known: Registry, text: str, options: tuple[str, ...], blamed: list[str]) -> None:
    assert [str(subject) for subject in culprits(candidate(text, options), known)] == blamed


def test_a_pass_of_llvms_own_is_not_blamed_for_its_partner(tmp_path: Path, known: Registry) -> None:
    checker = FakeChecker({"a": {"sink", "gvn"}})
    experiment = Experiment(Subject("pass", "gvn"), candidate("function(sink,gvn)"), candidate("function(sink)"))
    with Journal(tmp_path / "j", LLVM) as journal:
        Campaign(checker, journal, known).run([campaigns.Batch(("a",), (experiment,))])
    table = tabulate([tmp_path / "j"], LLVM)
    assert table.passes["sink"].failed == 1 and not table.passes["gvn"].failed


# --- the command ---


def test_passes_shows_the_evidence(monkeypatch: pytest.MonkeyPatch, known: Registry) -> None:
    found = known.get("sink")
    assert found is not None
    evidence = Evidence(12, 60, 1400, 900, 44, (("wrong", 2),), Example("own/a.c", "function(sink)", "wrong"))
    told = Registry(known.version, {"sink": found.level, "slsr": "function"}, frozenset(), {"sink": evidence})
    monkeypatch.setattr(registry, "load", lambda *, full=False: told)
    said = CliRunner().invoke(app, ["passes", "sink"]).stdout
    for part in ("experimental  miscompiles: 2 wrong of 1,400 trials",
                 f"LLVM {known.version}: 1,400, of 12 lists on 60 programs; 900 changed code, in 44 programs",
                 "failures: 2 wrong", "smallest example: own/a.c, wrong",
                 "repeat it: llmc check 'function(sink)' --suite=own"):
        assert part in said, said
    assert "no trials with LLVM" in CliRunner().invoke(app, ["passes", "slsr"]).stdout
    lines = CliRunner().invoke(app, ["passes", "--json"]).stdout.splitlines()
    sink, slsr = (json.loads(line) for line in lines)
    assert sink["evidence"]["failures"] == {"wrong": 2} and sink["evidence"]["example"]["program"] == "own/a.c"
    assert sink["evidence"]["llvm"] == known.version and sink["evidence"]["repeat"].startswith("llmc check")
    assert slsr["evidence"] is None and sink["tier"] == "experimental"


def test_differential_execution_gives_a_second_opinion(tmp_path: Path) -> None:
    """The function that the list breaks is not called by the program's own main."""
    text = """
extern int outside(int);
int f(unsigned char c, int x) {
  switch (c) { case 3: return x ^ 1; case 77: case 78: return outside(x / 3); case 200: return ~x; }
  return outside(x);
}
int main(void) { return 0; }
"""
    bitcode = unoptimised(tmp_path, "unit.c", text)
    with DifferentialOpinion(lambda name: bitcode) as opinion:
        assert opinion("unit", candidate("default<O1>")) == (Verdict.PASSED, "")
        verdict, detail = opinion("unit", candidate("default<Oz>,function(structurizecfg)"))
        assert verdict is Verdict.WRONG and detail.startswith("f(") and "input" in detail
