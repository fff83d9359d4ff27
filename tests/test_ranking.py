"""The ranking of the core set: how it orders, how it is kept, where it knows nothing, and what uses it."""

from __future__ import annotations

import json
from array import array
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from llm_compiler.cli import run
from llm_compiler.errors import InputError
from llm_compiler.llvm import registry
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.registry import Tier
from llm_compiler.models import ranking
from llm_compiler.models.ranking import Ranking, Table, cover
from llm_compiler.tuning import ranked
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.ranked import RankedCoreSet, counts_of
from llm_compiler.tuning.result import TuningResult, TuningStatus
from llm_compiler.tuning.source import small_pool
from llm_compiler.tuning.space import Space, space_for
from llm_compiler.tuning.tuner import Tuner, TuningOptions
from support import write_source

SOURCE = "int f(int n) { int s = 0; for (int i = 0; i < n; i++) s += i * i; return s; }\n"
EXAMPLE = Path(__file__).parent.parent / "examples" / "json.c"
# Two programs of calls, which gain by `b` and then `a`; two of loads, which gain by `c`.
SMALL = Ranking(("call", "load"), (10.0, 10.0), (bytes((40, 0)), bytes((42, 0)), bytes((0, 40)), bytes((0, 42))),
                "x86_64", {"deploy": Table(("a", "b", "c"), 2, (
                    array("H", (100, 0, 0, 0)), array("H", (0, 300, 0, 0)), array("H", (0, 0, 700, 700))))})
CALLS, LOADS = Counter(call=60), Counter(load=60)


def space(profile: str = "deploy", tier: Tier = Tier.PRODUCTION, arch: str = "x86_64") -> Space:
    return space_for(registry.load(full=tier > Tier.PRODUCTION), tier, profile, arch)


# --- the ranking ---


def test_neighbours_decide_the_order() -> None:
    assert SMALL.order(CALLS, "deploy", "x86_64", ("a", "b", "c")) == [1, 0, 2]
    assert SMALL.order(LOADS, "deploy", "x86_64", ("a", "b", "c")) == [2, 0, 1]
    # Indices are those of what is asked about; what it does not ask about plays no part.
    assert SMALL.order(LOADS, "deploy", "x86_64", ("c", "b")) == [0, 1]
    assert SMALL.order(CALLS, "deploy", "x86_64", ("c", "b")) == [1, 0]


def test_without_neighbours_the_order_is_everybodys() -> None:
    plain = replace(SMALL, tables={"deploy": replace(SMALL.tables["deploy"], neighbours=0)})
    assert plain.order(LOADS, "deploy", "x86_64", ("c", "b", "a")) == [2, 1, 0]


def test_nothing_is_said_without_data() -> None:
    for profile, arch, entries in (("paper", "x86_64", ("a",)), ("deploy", "aarch64", ("a",)),
                                   ("deploy", "x86_64", ("a", "unknown")), ("deploy", "x86_64", ())):
        assert SMALL.order(CALLS, profile, arch, entries) is None


def test_a_cover_counts_what_is_added() -> None:
    # 1 is second best alone, and adds nothing to 0; 2 is the least, and adds all it has.
    assert cover({0: (5, 5, 0), 1: (5, 4, 0), 2: (0, 0, 1), 3: (0, 0, 0)}) == [0, 2, 1, 3]
    assert cover({7: (), 3: ()}) == [7, 3] and cover({}) == []


def test_it_is_kept_in_bytes() -> None:
    data = SMALL.to_bytes()
    assert Ranking.from_bytes(data) == SMALL
    assert ranking.read(data).identity != ranking.read(replace(SMALL, arch="aarch64").to_bytes()).identity
    for damaged in (b"", b"text", data[:-5], data[:40], data.replace(b"ranking 1", b"ranking 2"),
                    replace(SMALL, scales=(1.0,)).to_bytes(), replace(SMALL, programs=SMALL.programs[:3]).to_bytes()):
        with pytest.raises(InputError, match="these bytes are no ranking"):
            Ranking.from_bytes(damaged)


# --- the shipped one ---


def test_the_shipped_ranking_knows_the_core_set() -> None:
    core = [candidate.digest for candidate in space().core_set]
    shipped = ranking.shipped().ranking
    made = [shipped.order(found, "deploy", "x86_64", core) for found in (CALLS, LOADS, CALLS, Counter[str]())]
    assert all(order is not None and sorted(order) == list(range(len(core))) for order in made)
    assert made[0] == made[2]
    assert len(shipped.to_bytes()) < 2_000_000
    # Nothing is known of another profile, another target, and an entry that was not measured.
    assert not shipped.knows("paper", "x86_64", [candidate.digest for candidate in space("paper").core_set])
    assert not shipped.knows("deploy", "aarch64", core)
    assert not shipped.knows("deploy", "x86_64", [*core, Candidate(PassList.parse("globaldce")).digest])


def test_it_proposes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    core = space().core_set
    source = write_source(tmp_path, "f.c", SOURCE)
    bitcode = tmp_path / "f.bc"
    with Tuner(TuningOptions(Budget(evaluations=1), strategy="coreset", store=False, jobs=1)) as tuner:
        bitcode.write_bytes(tuner._prepare(source, (), None).bitcode.read_bytes())
    assert counts_of(bitcode.read_bytes())["functions"] == 1
    with small_pool() as pool:
        some, all_, elsewhere, searched = (RankedCoreSet(core, "deploy", arch, samples)(pool, bitcode)
                                           for arch, samples in (("x86_64", 3), ("x86_64", None), ("aarch64", 3),
                                                                 ("aarch64", None)))
        monkeypatch.setattr(ranked, "_LARGEST", 100)
        large = RankedCoreSet(core, "deploy", "x86_64", 3)(pool, bitcode)
    assert some.candidates == all_.candidates[:3] and set(all_.candidates) == set(core) and not some.note
    assert elsewhere == large and large.candidates == core[:3] and large.note == ranked.FIXED_ORDER
    assert searched.candidates == core and not searched.note


# --- what uses it ---


def test_the_strategy_model_tries_the_first(tmp_path: Path) -> None:
    options = TuningOptions(Budget(evaluations=30), strategy="model", store=False, jobs=1, proposals=3)
    results = []
    for _ in range(2):
        with Tuner(options) as tuner:
            results.append(tuner.tune(EXAMPLE))
    one, two = results
    assert one.status is TuningStatus.IMPROVED and one.best is not None and one.baseline is not None
    assert one.best.bytes < one.baseline.bytes
    assert (one.best, one.candidate, one.evaluations) == (two.best, two.candidate, two.evaluations)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["tune", str(EXAMPLE), "--budget", "20", "--no-store", "--json", "--jobs", "1"]
    made = []
    for more in (["--strategy", "model"], ["--strategy", "model", "--model", "embedded"], ["--model", "embedded"]):
        assert run([*words, *more]) == 0
        made.append(TuningResult.from_record(json.loads(capsys.readouterr().out), b""))
    assert made[0].best == made[1].best
    for each in made:
        assert each.candidate is not None and PassList.parse(each.pass_list or "") == each.candidate.passes


def test_results_are_kept_by_ranking(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMC_CACHE", str(tmp_path))
    options = TuningOptions(Budget(evaluations=4), strategy="model", jobs=1, proposals=2)
    source = write_source(tmp_path, "f.c", SOURCE)

    def from_store() -> bool:
        with Tuner(options) as tuner:
            return tuner.tune(source).from_store

    assert not from_store() and from_store()
    held = ranking.shipped()
    monkeypatch.setattr(ranking, "shipped", lambda: replace(held, identity="another"))
    assert not from_store()


def test_a_damaged_file_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / ranking.FILE
    path.write_bytes(SMALL.to_bytes()[:-9])

    def damaged() -> ranking.Shipped:
        return ranking.read(path.read_bytes())

    monkeypatch.setattr(ranking, "shipped", damaged)
    assert run(["tune", str(EXAMPLE), "--strategy", "model", "--no-store"]) == 2
    assert "these bytes are no ranking" in capsys.readouterr().err
