"""What `llmc corpus stats` and `llmc corpus functions` say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from corpora import make_corpus
from llm_compiler.cli import corpus_index
from llm_compiler.corpus.functions import make_functions
from llm_compiler.corpus.stats import collect, plot, tables
from llm_compiler.errors import InputError

SOURCE = "int {name}(int *p, int n) {{ int s = {number}; for (int i = 0; i < n; i++) s += p[i]; return s; }}\n"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_corpus(tmp_path_factory.mktemp("stats"), {
        "curl": {"a.c": SOURCE.format(name="a", number=1), "b.c": SOURCE.format(name="b", number=1)},
        "grep": {"c.cc": SOURCE.format(name="c", number=99) + "struct s { int f(int x) { return x + 1; } };\n"
                                                              "int g(s &x) { return x.f(2); }\n"},
    })
    report = {"package": "curl", "version": "1.0-1", "how": ["build", "single files"],
              "commands": {"seen": 4, "captured": 3, "failed": 1}}
    (made / "modules" / "curl.json").write_text(json.dumps(report))
    (made / "modules" / "broken.json").write_text(json.dumps({"package": "broken", "commands": {"seen": 4}}))
    return made


def test_before_and_after_the_functions(corpus: Path) -> None:
    before = collect(corpus)
    assert [one.package for one in before.packages] == ["broken", "curl", "grep"]
    assert before.captured_share == 3 / 8
    assert "functions:" not in tables(before)
    make_functions(corpus)
    after = collect(corpus)
    curl = after.packages[1]
    assert (curl.split, curl.modules, curl.candidates, curl.kept, curl.exact_duplicates, curl.share, curl.how) == (
        "train", 2, 2, 1, 1, 0.75, "build, single files")
    assert curl.bytes > 500
    text = tables(after)
    row = next(line for line in text.splitlines() if line.startswith("curl"))
    assert row.split() == ["curl", "1.0-1", "train", "4", "3", "75", "%", "2", "0.0", "2", "1", "0", "0", "1"]
    assert "functions: 5 found, 4 unique by hash, 0 near duplicates, 4 kept" in text
    sizes = [line.split()[0] for line in text.splitlines() if line.startswith(("<=", ">"))]
    assert sizes == [*(f"<={2 ** power}" for power in range(2, 13)), ">4096"]
    assert next(line for line in text.splitlines() if line.startswith("c++")).split()[1:3] == ["1", "3"]


def test_the_commands(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert corpus_index.functions(corpus=corpus, jobs=1) == 0
    assert "functions of 5 found: 1 exact and" in capsys.readouterr().out
    plots = tmp_path / "plots"
    assert corpus_index.stats(corpus=corpus, plots=plots, as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["packages"][1]["share"] == 0.75
    assert told["functions"]["candidates"] == 5
    assert sorted(path.name for path in plots.iterdir()) == [
        "captured-share.png", "duplicates.png", "function-sizes.png", "functions-by-package.png"]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in plots.iterdir())
    assert corpus_index.stats(corpus=corpus) == 0
    assert "package" in capsys.readouterr().out


def test_plots_show_only_what_there_is(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, {"curl": {"a.c": "int f(void) { return 1; }"}})
    assert plot(collect(made), tmp_path / "plots") == []


def test_no_corpus_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no corpus"):
        collect(tmp_path)


def test_a_broken_report_is_named(tmp_path: Path) -> None:
    made = make_corpus(tmp_path, {"curl": {"a.c": "int f(void) { return 1; }"}})
    (made / "modules" / "curl.json").write_text("{")
    with pytest.raises(InputError, match=r"curl\.json is no report"):
        collect(made)
