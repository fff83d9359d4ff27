"""From modules to unique functions: what is a duplicate of what, which split wins, and that nothing depends on luck."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from corpora import make_corpus, module_row
from llm_compiler.corpus import functions as stage
from llm_compiler.corpus.duplicates import Index
from llm_compiler.corpus.functions import make_functions
from llm_compiler.corpus.schema import MODULES
from llm_compiler.corpus.shards import Manifest, read_shards, write_shard
from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context

OPERATIONS = ("+", "-", "*", "^", "|", "&")


def function(name: str, seed: int, changed: int = 0, length: int = 40) -> str:
    """A function of `length` statements that depend on the seed; the last `changed` of them are others."""
    lines = []
    for number in range(length):
        key = hashlib.md5(f"{seed} {number} {number >= length - changed and 'other'}".encode()).digest()
        lines.append(f"  x = x {OPERATIONS[key[0] % 6]} {key[1] * 7 + key[2]};")
    return f"int {name}(int x) {{\n" + "\n".join(lines) + "\n  return x;\n}\n"


def rows_of(corpus: Path) -> list[dict[str, Any]]:
    return list(read_shards(corpus / "functions"))


def names(corpus: Path) -> set[tuple[str, str]]:
    return {(row["split"], row["name"]) for row in rows_of(corpus)}


def status(corpus: Path) -> dict[str, tuple[str, int]]:
    """By file: its module's status and new functions."""
    files = {row["module"]: row["file"] for row in read_shards(corpus / "modules", ["module", "file"])}
    return {files[row["module"]]: (row["status"], row["new_functions"])
            for row in read_shards(corpus / "functions" / "modules.parquet")}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """zlib's name is refused, lua5.1 is test, rsync validation, nginx and curl train."""
    return make_corpus(tmp_path_factory.mktemp("functions"), {
        "curl": {"a.c": function("first", 1) + function("second", 2), "b.c": function("renamed", 1),
                 "c.c": function("small", 3, length=2), "d.c": function("near", 2, changed=2) + function("far", 2, 25)},
        "lua5.1": {"l.c": function("held_out", 4)},
        "rsync": {"r.c": function("looks_like_test", 4, changed=2) + function("of_validation", 5)},
        "nginx": {"n.c": function("copy_of_test", 4) + function("like_validation", 5, changed=1) + function("own", 6),
                  "o.c": function("copied", 6, changed=1)},
        "zlib": {"z.c": function("refused", 7)},
        "html": {"deps/zlib/inflate.c": function("embedded", 8), "t.c": function("kept", 9)},
    })


@pytest.fixture(scope="module")
def manifest(corpus: Path) -> Manifest:
    return make_functions(corpus, jobs=2)


def test_near_and_exact_duplicates_go_and_test_wins(corpus: Path, manifest: Manifest) -> None:
    assert names(corpus) == {
        ("test", "held_out"), ("validation", "of_validation"), ("train", "first"), ("train", "second"),
        ("train", "far"), ("train", "small"), ("train", "own"), ("train", "kept")}
    counts = manifest.counts
    assert counts["candidates"] == 16
    assert counts["exact_duplicates"] == 2
    assert counts["near_duplicates"] == 4
    assert counts["refused_package"] == counts["refused_path"] == 1
    assert counts["kept"] == 8 == counts["unique"] - counts["near_duplicates"]
    assert counts["by_split"]["train"]["kept"] == 6
    assert counts["by_package"]["nginx"] == {
        "candidates": 4, "exact_duplicates": 1, "near_duplicates": 2, "kept": 1, "unique": 3, "modules": 2,
        "modules_kept": 1, "modules_duplicate": 1}
    assert sum(counts["instructions"].values()) == 8


def test_modules_have_a_status(corpus: Path, manifest: Manifest) -> None:
    assert status(corpus) == {
        "a.c": ("kept", 2), "b.c": ("duplicate", 0), "c.c": ("kept", 1), "d.c": ("kept", 1), "l.c": ("kept", 1),
        "r.c": ("kept", 1), "n.c": ("kept", 1), "o.c": ("duplicate", 0), "z.c": ("refused", 0),
        "deps/zlib/inflate.c": ("refused", 0), "t.c": ("kept", 1)}


def test_rows_are_whole(corpus: Path, manifest: Manifest) -> None:
    assert manifest.verify(corpus / "functions") == []
    for row in rows_of(corpus):
        assert (row["version"], row["licence"], row["language"]) == ("1.0-1", "MIT", "c")
        assert len(row["function"]) == 32
        with Context(library.load()) as context:
            module = context.parse(row["ir"].encode())
            assert module.verify() is None
            assert module.count_instructions() == row["instructions"]


def digests(corpus: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (corpus / "functions").iterdir()}


def test_nothing_depends_on_workers_or_interruptions(corpus: Path, manifest: Manifest,
                                                     monkeypatch: pytest.MonkeyPatch) -> None:
    before = digests(corpus)
    assert "train-0000.parquet" in before
    # Killed in the middle of the second pass: the folder is unfinished and says so.
    with monkeypatch.context() as patch:
        real = stage.write_shard

        def killed(path: Path, *rest: Any) -> Any:
            if path.name.startswith("validation"):
                raise KeyboardInterrupt
            return real(path, *rest)

        patch.setattr(stage, "write_shard", killed)
        with pytest.raises(KeyboardInterrupt):
            make_functions(corpus)
    with pytest.raises(InputError, match="unfinished"):
        Manifest.read(corpus / "functions")
    # Some candidates lost, and a stray file.
    lost = sorted((corpus / "work" / "candidates").glob("*.parquet"))[::2]
    for path in lost:
        path.unlink()
    (corpus / "functions" / "train-0077.parquet").write_bytes(b"stale")
    make_functions(corpus, jobs=1)
    assert digests(corpus) == before


def test_many_shards_hold_the_same_rows(corpus: Path, manifest: Manifest, monkeypatch: pytest.MonkeyPatch) -> None:
    before = rows_of(corpus)
    monkeypatch.setattr(stage, "_SHARD_TEXT", 1)
    again = make_functions(corpus)
    assert [shard.name for shard in again.shards][:2] == ["test-0000.parquet", "train-0000.parquet"]
    assert len(again.shards) == 8
    assert sorted(rows_of(corpus), key=str) == sorted(before, key=str)
    monkeypatch.undo()
    make_functions(corpus)


def test_inline_functions_are_taken_once(tmp_path: Path) -> None:
    header = "template <class T> inline T twice(T x) { " + "x = x * 3 + 1; " * 20 + "return x; }\n"
    files = {f"{name}.cc": header + f"int {name}(int x) {{ return twice(x) + {len(name)}; }}\n"
             for name in ("a", "bb", "ccc")}
    corpus = make_corpus(tmp_path, {"curl": files})
    manifest = make_functions(corpus)
    assert manifest.counts["candidates"] == 6
    assert manifest.counts["exact_duplicates"] == 2
    assert [name for _, name in sorted(names(corpus))].count("_Z5twiceIiET_S0_") == 1
    # Nearly all of the later modules was in the first.
    assert status(corpus) == {"a.cc": ("kept", 2), "bb.cc": ("duplicate", 1), "ccc.cc": ("duplicate", 1)}


def test_a_module_that_llvm_cannot_read_is_counted(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    good = module_row(scratch, "curl", "good.c", function("good", 1))
    broken = {
        **good, "module": "0" * 32, "file": "broken.c", "bitcode": good["bitcode"][:200]}
    write_shard(tmp_path / "corpus" / "modules" / "curl-000.parquet", [broken, good], MODULES, {})
    manifest = make_functions(tmp_path / "corpus")
    assert manifest.counts["kept"] == 1
    assert status(tmp_path / "corpus") == {"broken.c": ("refused", 0), "good.c": ("kept", 1)}
    refused = next(iter(read_shards(tmp_path / "corpus" / "functions" / "modules.parquet")))
    assert refused["detail"].startswith("LLVM: invalid: ")


class Failing(stage.Candidates):
    """Work that meets a bug in one shard."""

    def rows(self, payload: str, pool: Any, counts: Any) -> Iterator[Mapping[str, Any]]:
        if "nginx" in payload:
            raise ValueError("a bug")
        return super().rows(payload, pool, counts)


def test_a_shard_that_fails_is_named_and_the_rest_is_done(corpus: Path, manifest: Manifest,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (corpus / "work" / "candidates").glob("*.parquet"):
        path.unlink()
    monkeypatch.setattr(stage, "Candidates", Failing)
    found = make_functions(corpus)
    assert list(found.counts["failed_shards"]) == ["nginx-000.parquet"]
    assert "a bug" in found.counts["failed_shards"]["nginx-000.parquet"]
    assert ("train", "own") not in names(corpus)
    assert ("train", "first") in names(corpus)
    monkeypatch.undo()
    assert make_functions(corpus).counts["failed_shards"] == {}


def test_no_modules_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no folder"):
        make_functions(tmp_path)
    (tmp_path / "modules").mkdir()
    with pytest.raises(InputError, match="holds no modules"):
        make_functions(tmp_path)


def test_the_index_starts_empty(tmp_path: Path) -> None:
    for _ in range(2):
        with Index(tmp_path / "index.sqlite") as index:
            assert index.exact("ab" * 16) is None
            index.add_exact("ab" * 16, 7)
            assert index.exact("ab" * 16) == 7
            data = bytes(range(256))
            assert index.near(data) is None
            index.add_near(data, 3)
            assert index.near(data) == 3
            assert index.near(data[:200] + data[:56]) is None
