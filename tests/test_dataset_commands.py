"""`llmc corpus` and `llmc dataset` as they are typed: what is said of wrong input, what a card says of options."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from corpora import make_corpus
from llm_compiler import cli
from llm_compiler.corpus.functions import make_functions
from llm_compiler.corpus.shards import Manifest
from llm_compiler.tasks import emulation, flags

CODE = {"sum.c": "int sum(const int *p, int n) { int s = 0; for (int i = 0; i < n; i++) s += p[i] * 3; return s; }",
        "twice.c": "int twice(int a) { return a > 3 ? a * 2 : a / 7; }"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = make_corpus(tmp_path_factory.mktemp("made"), {"demo": CODE})
    make_functions(folder, jobs=1)
    return folder


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str]:
    code = cli.run([str(word) for word in words])
    return code, capsys.readouterr().err.strip()


def test_a_card_says_with_which_options_the_dataset_was_made(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "out put"
    words = ["dataset", "emulation", "--corpus", str(corpus), "-o", str(out), "--no-modules", "--lists", "2",
             "--profile", "deploy", "-j", "1", "--json"]
    assert cli.run(words) == 0
    command = "llmc dataset emulation --corpus DIR -o OUT --no-modules --lists 2 --profile deploy"
    assert Manifest.read(out).parameters["commands"] == [command]
    assert f"```sh\n{command}\n```" in (out / "README.md").read_text()


@pytest.mark.parametrize(("words", "sentence"), [
    (["corpus", "functions", "--no-such"], "see `llmc corpus functions --help`"),
    (["dataset", "flags", "--lists", "none"], "see `llmc dataset flags --help`"),
    (["corpus", "nothing"], "see `llmc corpus --help`"),
    (["dataset", "flags", "--corpus", "CORPUS", "--suite", "ownn"], "there is no suite 'ownn'"),
    (["dataset", "flags", "--corpus", "CORPUS", "--profile", "fast"], "unknown profile 'fast'"),
    (["dataset", "emulation", "--corpus", "EMPTY"], "fill it by `llmc corpus record`"),
    (["corpus", "functions", "--corpus", "EMPTY"], "fill it by `llmc corpus record`"),
])
def test_wrong_input_is_told_in_one_sentence(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                             words: list[str], sentence: str) -> None:
    code, said = told(capsys, *({"CORPUS": corpus, "EMPTY": tmp_path}.get(word, word) for word in words))
    assert code == 2 and sentence in said and "\n" not in said
    assert not (corpus / "work" / "labels").exists()


def test_functions_must_be_finished(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_corpus(tmp_path, {"demo": CODE})
    code, said = told(capsys, "dataset", "pretraining", "--corpus", folder)
    assert code == 2 and f"run `llmc corpus functions --corpus {folder}` first" in said


@pytest.mark.parametrize("command", ["emulation", "flags"])
def test_ctrl_c_is_told_in_one_sentence(corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                        monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(emulation.engine, "run", interrupted)
    monkeypatch.setattr(flags, "choose", interrupted)
    code, said = told(capsys, "dataset", command, "--corpus", corpus, "-o", tmp_path / "out")
    assert code == 130 and said == "llmc: interrupted; what is finished stays, and the same command goes on from there"
