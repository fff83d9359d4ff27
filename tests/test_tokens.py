"""Tokenised shards hold exactly the dataset's examples, in files below the limit, and are whole or not there."""

from __future__ import annotations

import json
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from typer.testing import CliRunner

from llm_compiler.cli.dataset import app
from llm_compiler.corpus.schema import EXAMPLE
from llm_compiler.corpus.shards import Manifest, write_shard
from llm_compiler.corpus.tokens import Encoder, count_tokens, export, read_tokens
from llm_compiler.errors import InputError, StorageError

SCHEMA = pa.schema(EXAMPLE)
LINES = ["define i32 @f(i32 %x) {", "  %y = add i32 %x, 1", "  ret i32 %y", "}", "declare void @llvm.memcpy()"]


def example(n: int, split: str) -> dict[str, Any]:
    row = dict.fromkeys(SCHEMA.names, "")
    body = "\n".join(LINES[(n + k) % 5].replace("%x", f"%x{n * 7919 % 1009}") for k in range(n % 6 + 1))
    prompt = f"[INST] {body} [/INST]" if n % 4 else ""
    return {**row, "task": "test", "package": "zlib", "split": split, "prompt": prompt,
            "answer": f"{body}\n; {n} é", "compact_prompt": f"oz {n}", "compact_answer": body}


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    from tokenizers import decoders

    trained.decoder = decoders.ByteLevel()
    trained.train_from_iterator(LINES * 10, trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    trained.save(str(path))
    return path


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    shards = [write_shard(folder / f"{split}-{key}.parquet", [example(n, split) for n in numbers], SCHEMA, {})
              for split, key, numbers in (("train", "a", range(300)), ("train", "b", range(300, 500)),
                                          ("test", "c", range(500, 560)))]
    Manifest.of(folder, shards, task="test", parameters={}, counts={}).write(folder)
    return folder


def decoded(tokenizer: Path, folder: Path, split: str | None = None) -> Iterator[tuple[str, str, str]]:
    known = Tokenizer.from_file(str(tokenizer))
    end = known.token_to_id("<|endoftext|>")
    for found, document in read_tokens(folder, split):
        assert document.tokens[-1] == end and end not in document.tokens[:-1]
        ids = document.tokens.tolist()
        yield found, known.decode(ids[: document.prompt]), known.decode(ids[document.prompt : -1])


@pytest.mark.parametrize("form", ["reference", "compact"])
def test_round_trip(tmp_path: Path, dataset: Path, tokenizer: Path, form: str) -> None:
    done = export(dataset, tokenizer, tmp_path / "out", form=form)
    before = "" if form == "reference" else "compact_"
    wanted = [(split, row[f"{before}prompt"], row[f"{before}answer"])
              for split, numbers in (("test", range(500, 560)), ("train", range(500)))
              for row in (example(n, split) for n in numbers)]
    assert list(decoded(tokenizer, tmp_path / "out")) == wanted
    assert [found for found, *_ in decoded(tokenizer, tmp_path / "out", "test")] == ["test"] * 60
    assert done.documents == {"train": 500, "test": 60} and done.too_long == 0
    found = list(read_tokens(tmp_path / "out"))
    assert sum(done.tokens.values()) == sum(len(document.tokens) for _, document in found)
    assert sum(done.prompt_tokens.values()) == sum(document.prompt for _, document in found)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "manifest.json", "tokenizer.json", "train-00000.tok.zst", "test-00000.tok.zst"}


def test_files_stay_below_the_limit(tmp_path: Path, tokenizer: Path) -> None:
    rng = np.random.default_rng(0)
    folder, output = tmp_path / "data", tmp_path / "out"
    rows = [{**example(n, "train"), "answer": rng.bytes(3000).hex()} for n in range(200)]
    info = write_shard(folder / "train-a.parquet", rows, SCHEMA, {})
    Manifest.of(folder, [info], task="test", parameters={}, counts={}).write(folder)
    done = export(folder, tokenizer, output, shard_bytes=150_000)
    sizes = [path.stat().st_size for path in sorted(output.glob("*.zst"))]
    assert len(sizes) > 3 and max(sizes) <= 150_000 and min(sizes[:-1]) > 75_000
    assert sizes == [shard.bytes for shard in done.shards]
    assert [answer for _, _, answer in decoded(tokenizer, output)] == [row["answer"] for row in rows]


def test_equal_exports(tmp_path: Path, dataset: Path, tokenizer: Path) -> None:
    for name in ("one", "two"):
        export(dataset, tokenizer, tmp_path / name)
    assert not subprocess.run(["diff", "-r", tmp_path / "one", tmp_path / "two"], check=False).returncode
    export(dataset, tokenizer, tmp_path / "two", max_tokens=100)  # over an old one
    assert sum(1 for _ in read_tokens(tmp_path / "two")) < 20


def test_limits(tmp_path: Path, dataset: Path, tokenizer: Path) -> None:
    done = export(dataset, tokenizer, tmp_path / "a", max_tokens=1000)
    assert all(900 < tokens <= 1000 for tokens in done.tokens.values()) and set(done.tokens) == {"train", "test"}
    everything = list(decoded(tokenizer, export_to(tmp_path / "b", dataset, tokenizer)))
    assert list(decoded(tokenizer, tmp_path / "a", "train")) == everything[60 : 60 + done.documents["train"]]
    done = export(dataset, tokenizer, tmp_path / "c", max_length=60)
    lengths = [len(document.tokens) for _, document in read_tokens(tmp_path / "b")]
    assert done.too_long == sum(length > 60 for length in lengths) > 0
    assert max(len(document.tokens) for _, document in read_tokens(tmp_path / "c")) <= 60


def export_to(output: Path, dataset: Path, tokenizer: Path) -> Path:
    export(dataset, tokenizer, output)
    return output


def test_the_documented_format_is_all_one_needs(tmp_path: Path, dataset: Path, tokenizer: Path) -> None:
    """Read with nothing but zstd and numpy, as the module's text says."""
    export(dataset, tokenizer, tmp_path)
    data = pa.CompressedInputStream(str(tmp_path / "train-00000.tok.zst"), "zstd").read()
    line, _, rest = data.partition(b"\n")
    assert json.loads(line) == {"format": "llmc-tokens 1", "dtype": "uint16", "split": "train"}
    lengths: list[int] = []
    tokens: list[int] = []
    while rest:
        n, m = np.frombuffer(rest, "<u4", 2).tolist()
        lengths += np.frombuffer(rest, "<u4", n, 8).tolist()
        tokens += np.frombuffer(rest, "<u2", m, 8 + 8 * n).tolist()
        rest = rest[8 + 8 * n + 2 * m :]
    found = [document.tokens.tolist() for _, document in read_tokens(tmp_path, "train")]
    assert lengths == [len(ids) for ids in found] and tokens == [token for ids in found for token in ids]


def test_large_vocabularies_take_four_bytes(tmp_path: Path, dataset: Path) -> None:
    words = {f"w{n}": n for n in range(70_000)} | {"<unk>": 70_000, "</s>": 70_001}
    Tokenizer(models.WordLevel(words, unk_token="<unk>")).save(str(tmp_path / "t.json"))
    assert Encoder(tmp_path / "t.json").end == 70_001
    export(dataset, tmp_path / "t.json", tmp_path / "out")
    assert {document.tokens.dtype for _, document in read_tokens(tmp_path / "out")} == {np.dtype("<u4")}
    assert next(read_tokens(tmp_path / "out"))[1].tokens.tolist()[-2:] == [70_000, 70_001]


def test_counting(dataset: Path, tokenizer: Path, tmp_path: Path) -> None:
    counts = count_tokens(dataset, tokenizer)
    done = export(dataset, tokenizer, tmp_path / "out")
    for split in ("train", "test"):
        found = counts[split]
        assert found["documents"] == done.documents[split] and found["prompt"] == done.prompt_tokens[split]
        assert found["prompt"] + found["answer"] + found["documents"] == done.tokens[split]
    assert set(counts) == {"train", "test", "compact train", "compact test"}


def test_damage_is_named(tmp_path: Path, dataset: Path, tokenizer: Path) -> None:
    export(dataset, tokenizer, tmp_path)
    path = tmp_path / "train-00000.tok.zst"
    data = path.read_bytes()
    for broken in (data[: len(data) // 2], b"", data[:-1], b"x" * len(data)):
        path.write_bytes(broken)
        with pytest.raises(InputError, match=r"train-00000\.tok\.zst (is damaged|holds)"):
            list(read_tokens(tmp_path))
    path.unlink()
    with pytest.raises(InputError, match="is missing"):
        list(read_tokens(tmp_path))
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="no manifest of tokenised"):
        list(read_tokens(tmp_path))
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(InputError, match="unfinished"):
        list(read_tokens(tmp_path))


def test_a_full_disk(tmp_path: Path, tokenizer: Path) -> None:
    rng = np.random.default_rng(1)
    rows = [{**example(n, "train"), "answer": rng.bytes(3000).hex()} for n in range(100)]
    info = write_shard(tmp_path / "data" / "train-a.parquet", rows, SCHEMA, {})
    Manifest.of(tmp_path / "data", [info], task="test", parameters={}, counts={}).write(tmp_path / "data")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError, match="File too large; free some space"):
            export(tmp_path / "data", tokenizer, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["tokenizer.json"]


def test_misuse(tmp_path: Path, dataset: Path, tokenizer: Path) -> None:
    (tmp_path / "t.json").write_text('{"version": "1.0"}')
    with pytest.raises(InputError, match="is no tokenizer"):
        export(dataset, tmp_path / "t.json", tmp_path / "out")
    with pytest.raises(InputError, match="is no tokenizer"):
        export(dataset, tmp_path / "nothing.json", tmp_path / "out")
    with pytest.raises(InputError, match="has no token <end>"):
        export(dataset, tokenizer, tmp_path / "out", end="<end>")
    with pytest.raises(InputError, match="unknown form"):
        export(dataset, tokenizer, tmp_path / "out", form="short")
    with pytest.raises(InputError, match="holds other files"):
        export(dataset, tokenizer, dataset)
    assert Manifest.read(dataset).verify(dataset) == []
    with pytest.raises(InputError, match="has no manifest"):
        export(tmp_path, tokenizer, tmp_path / "out")


def test_commands(tmp_path: Path, dataset: Path, tokenizer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runner = CliRunner()
    words = ["export", str(dataset), "--tokenizer", str(tokenizer), "--output", str(tmp_path / "out")]
    done = runner.invoke(app, [*words, "--max-tokens", "2000"], standalone_mode=False)
    assert done.return_value == 0 and done.stdout.startswith("test: ")
    done = runner.invoke(app, [*words, "--json"], standalone_mode=False)
    assert json.loads(done.stdout)["documents"] == {"train": 500, "test": 60}
    done = runner.invoke(app, ["verify", str(dataset)], standalone_mode=False)
    assert done.return_value == 0 and done.stdout == ""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    done = runner.invoke(app, words, standalone_mode=False)
    assert isinstance(done.exception, InputError)
    assert str(done.exception) == ("pyarrow and numpy and tokenizers are missing; "
                                   "pip install 'llm-compiler[corpus]'")


def test_compact_answers_keep_their_own_end(tmp_path: Path, tokenizer: Path) -> None:
    known = Tokenizer.from_file(str(tokenizer))
    known.add_special_tokens(["<|end|>"])
    known.save(str(tmp_path / "t.json"))
    row = {**example(1, "train"), "compact_answer": "ret void<|end|>", "answer": "ret void </s> <|endoftext|>"}
    shard = write_shard(tmp_path / "data" / "train-a.parquet", [row], SCHEMA, {})
    Manifest.of(tmp_path / "data", [shard], task="test", parameters={}, counts={}).write(tmp_path / "data")
    export(tmp_path / "data", tmp_path / "t.json", tmp_path / "compact", form="compact")
    [(_, document)] = read_tokens(tmp_path / "compact")
    assert document.tokens.tolist().count(known.token_to_id("<|end|>")) == 1
    assert document.tokens[-1] == known.token_to_id("<|end|>")
    assert known.token_to_id("<|endoftext|>") not in document.tokens
    export(tmp_path / "data", tmp_path / "t.json", tmp_path / "reference")
    [(_, document)] = read_tokens(tmp_path / "reference")  # what looks like a mark in code is code
    assert document.tokens.tolist().count(known.token_to_id("<|endoftext|>")) == 1


def test_tokens_are_counted_without_an_end_mark(tmp_path: Path, dataset: Path, tokenizer: Path) -> None:
    content = json.loads(tokenizer.read_text())
    content["added_tokens"] = []
    content["model"]["vocab"]["plain"] = content["model"]["vocab"].pop("<|endoftext|>")
    (tmp_path / "t.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="--end"):
        Encoder(tmp_path / "t.json")
    assert count_tokens(dataset, tmp_path / "t.json") == count_tokens(dataset, tokenizer)
