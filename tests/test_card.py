"""The card tells what the manifest holds, and `datasets` loads the folder by it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models
from typer.testing import CliRunner

from llm_compiler.cli.dataset import app
from llm_compiler.corpus.card import card, write_card
from llm_compiler.corpus.schema import EXAMPLE
from llm_compiler.corpus.shards import Manifest, write_shard

SCHEMA = pa.schema(EXAMPLE)


def rows(package: str, split: str, count: int) -> list[dict[str, Any]]:
    empty = dict.fromkeys(SCHEMA.names, "")
    licence = "MIT" if package == "lua" else ""
    return [{**empty, "package": package, "version": "1.0", "licence": licence, "split": split,
             "prompt": f"word {n}", "answer": "word word"} for n in range(count)]


def dataset(folder: Path, **parameters: Any) -> Manifest:
    shards = [write_shard(folder / f"{split}-{package}.parquet", rows(package, split, count), SCHEMA, {})
              for package, split, count in (("lua", "train", 5), ("zsh", "train", 3), ("bc", "test", 2),
                                            ("dc", "validation", 0))]
    return Manifest.of(folder, shards, task="emulation", parameters=parameters,
                       counts={"timed_out": 7, "excluded": {"MiBench": 1234, "by path": {"lame": 2}}})


def test_what_it_says(tmp_path: Path) -> None:
    commands = ["llmc corpus debian lua zsh", "llmc dataset x"]
    manifest = dataset(tmp_path, about="Passes over modules.", commands=commands, seed=3)
    text = write_card(tmp_path, manifest).read_text()
    for line in ("# emulation", "Passes over modules.", "10 examples of 3 packages in 4 shards", "| train | 8 |",
                 "| test | 2 |", "| timed_out | 7 |", "| MiBench | 1,234 |", "| by path: lame | 2 |",
                 "| lua | 1.0 | MIT | 5 |", "| zsh | 1.0 | unknown | 3 |",
                 "| MIT | 5 |", "| unknown | 5 |", "llmc corpus debian lua zsh\nllmc dataset x", '"seed": 3',
                 "| `compact_prompt` | `string` |"):
        assert line in text, line
    assert text.index("| train |") < text.index("| test |")
    assert "commands" not in text.split("## Parameters")[1]
    assert card(tmp_path, manifest) == text


@pytest.mark.parametrize("stale", [False, True])
def test_datasets_loads_the_folder(tmp_path: Path, stale: bool) -> None:
    """By split, stale shards and a split without examples notwithstanding."""
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "data"
    manifest = dataset(folder)
    if stale:
        write_shard(folder / "train-stale.parquet", rows("old", "train", 4), SCHEMA, {})
    write_card(folder, manifest)
    manifest.write(folder)
    found = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in found.items()} == {"train": 8, "test": 2}
    assert found["test"][1]["prompt"] == "word 1" and found["train"].column_names == SCHEMA.names
    one = datasets.load_dataset("parquet", data_files=str(folder / "train-lua.parquet"), split="train",
                                cache_dir=str(tmp_path / "cache"))
    assert len(one) == 5


def test_shards_without_a_split_are_for_training(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    info = write_shard(tmp_path / "data" / "a.parquet", rows("lua", "train", 3), SCHEMA, {})
    write_card(tmp_path / "data", Manifest.of(tmp_path / "data", [info], task="t", parameters={}, counts={}))
    found = datasets.load_dataset(str(tmp_path / "data"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(part) for name, part in found.items()} == {"train": 3}


def test_an_empty_dataset_has_a_card(tmp_path: Path) -> None:
    assert "0 examples of 0 packages in 0 shards" in card(tmp_path, Manifest("t", {}, []))


def test_many_packages_are_cut(tmp_path: Path) -> None:
    packages = {f"p{n:04d}": {"version": "1", "licence": "MIT", "rows": n} for n in range(1000)}
    text = card(tmp_path, replace(Manifest("t", {}, []), packages=packages))
    assert "| p0999 |" in text and "| p0000 |" not in text and "and 700 more" in text


def test_token_counts_go_into_manifest_and_card(tmp_path: Path) -> None:
    dataset(tmp_path).write(tmp_path)
    words = Tokenizer(models.WordLevel({"word": 0, "<unk>": 1, "</s>": 2}, unk_token="<unk>"))
    words.save(str(tmp_path / "small.json"))
    runner = CliRunner()
    done = runner.invoke(app, ["tokens", str(tmp_path), "--tokenizer", str(tmp_path / "small.json")],
                         standalone_mode=False)
    assert done.return_value == 0, done.exception
    found = Manifest.read(tmp_path)
    # Without a pre-tokenizer a text is one word.
    assert found.counts["tokens"]["small"]["train"] == {"documents": 8, "prompt": 8, "answer": 8}
    assert "| `small` | train | 8 | 8 |" in (tmp_path / "README.md").read_text()
    assert found.verify(tmp_path) == []


def test_commands(tmp_path: Path) -> None:
    manifest = dataset(tmp_path)
    manifest.write(tmp_path)
    runner = CliRunner()
    done = runner.invoke(app, ["card", str(tmp_path)], standalone_mode=False)
    assert done.return_value == 0 and (tmp_path / "README.md").read_text() == card(tmp_path, manifest)
    (tmp_path / "train-lua.parquet").write_bytes(b"PAR1")
    done = runner.invoke(app, ["verify", str(tmp_path)], standalone_mode=False)
    assert done.return_value == 1 and "train-lua.parquet is damaged" in done.stdout
