"""Shards are whole or absent, equal for equal rows, stream in bounded memory, and a manifest tells when they change."""

from __future__ import annotations

import resource
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_compiler.corpus.shards import (
    Manifest,
    ShardInfo,
    read_shards,
    read_slice,
    remove_pending,
    shard_metadata,
    shard_paths,
    write_shard,
)
from llm_compiler.errors import InputError, StorageError

SCHEMA = pa.schema([("package", pa.string()), ("version", pa.string()), ("licence", pa.string()),
                    ("split", pa.string()), ("n", pa.int64()), ("data", pa.binary())])


def row(n: int, package: str = "zlib", data: bytes = b"") -> dict[str, Any]:
    return {"package": package, "version": "1.3", "licence": "Zlib", "split": "train", "n": n, "data": data}


def noise(n: int, size: int) -> bytes:
    return (n * 2654435761 % 2**32).to_bytes(4, "little") * (size // 4)


def test_round_trip_and_description(tmp_path: Path) -> None:
    counts: Counter[str] = Counter()

    def rows() -> Iterator[dict[str, Any]]:
        for n in range(5):
            counts["made"] += 1
            yield row(n, "zlib" if n < 3 else "lua", bytes([n]))

    info = write_shard(tmp_path / "a.parquet", rows(), SCHEMA, {"task": "test", "counts": counts})
    assert info == ShardInfo.of(tmp_path / "a.parquet")
    assert list(read_shards(tmp_path)) == [row(n, "zlib" if n < 3 else "lua", bytes([n])) for n in range(5)]
    assert list(read_shards(tmp_path / "a.parquet", columns=["n"])) == [{"n": n} for n in range(5)]
    told = shard_metadata(tmp_path / "a.parquet")
    assert told["counts"] == {"made": 5} and told["task"] == "test"
    assert told["packages"] == [["lua", "1.3", "Zlib", 2], ["zlib", "1.3", "Zlib", 3]]
    assert told["splits"] == {"train": 5}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"])), st.integers(-2**63, 2**63 - 1),
                          st.none() | st.binary())))
def test_any_rows_come_back(tmp_path: Path, values: list[tuple[str, int, bytes | None]]) -> None:
    rows = [{**row(n), "package": name, "data": data} for name, n, data in values]
    write_shard(tmp_path / "x.parquet", rows, SCHEMA, {})
    assert list(read_shards([tmp_path / "x.parquet"])) == rows


def test_equal_rows_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_shard(tmp_path / name / "a.parquet", (row(n, data=noise(n, 3000)) for n in range(9000)), SCHEMA,
                    {"b": 1, "a": name == "never"})
    one, two = ((tmp_path / name / "a.parquet").read_bytes() for name in ("one", "two"))
    assert one == two
    assert pq.ParquetFile(tmp_path / "one" / "a.parquet").metadata.num_row_groups > 2


def test_slices_and_order(tmp_path: Path) -> None:
    for name, start in (("b", 100), ("a", 0)):
        write_shard(tmp_path / f"{name}.parquet",
                    (row(start + n, data=noise(n, 1 << 20)) for n in range(30)), SCHEMA, {})
    assert [found["n"] for found in read_shards(tmp_path, ["n"])] == [*range(30), *range(100, 130)]
    for start, stop in ((0, 1), (7, 9), (5, 25), (28, 99), (30, 31), (4, 4)):
        found = [row["n"] for row in read_slice(tmp_path / "a.parquet", start, stop, ["n"])]
        assert found == list(range(30))[start:stop]


def test_memory_is_bounded(tmp_path: Path) -> None:
    """200 MB go through while Python and Arrow hold a fraction of it."""
    pool = pa.default_memory_pool()
    before, peak = pool.bytes_allocated(), 0

    def rows() -> Iterator[dict[str, Any]]:
        nonlocal peak
        for n in range(200):
            peak = max(peak, pool.bytes_allocated() - before)
            yield row(n, data=noise(n, 1 << 20))

    tracemalloc.start()
    try:
        write_shard(tmp_path / "a.parquet", rows(), SCHEMA, {})
        seen = 0
        for found in read_shards(tmp_path, batch=4):
            peak = max(peak, pool.bytes_allocated() - before)
            seen += len(found["data"])
        assert seen == 200 << 20
        assert tracemalloc.get_traced_memory()[1] < 60 << 20
    finally:
        tracemalloc.stop()
    assert peak < 80 << 20


def test_wrong_columns_are_a_fault(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not those of the schema: extra"):
        write_shard(tmp_path / "a.parquet", [{**row(1), "extra": 1}], SCHEMA, {})
    with pytest.raises(ValueError, match="not those of the schema: n"):
        write_shard(tmp_path / "a.parquet", [{key: value for key, value in row(1).items() if key != "n"}], SCHEMA, {})
    assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_nothing_and_keeps_the_old(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    write_shard(path, [row(1)], SCHEMA, {})
    old = path.read_bytes()

    def rows() -> Iterator[dict[str, Any]]:
        yield row(2, data=noise(1, 20 << 20))
        raise InputError("no more")

    with pytest.raises(InputError, match="no more"):
        write_shard(path, rows(), SCHEMA, {})
    assert path.read_bytes() == old and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("rows", [1, 40])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, rows: int) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*a\.parquet.*File too large.*free some space"):
            write_shard(tmp_path / "a.parquet", (row(n, data=_random(1 << 20)) for n in range(rows)), SCHEMA, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(tmp_path.iterdir()) == []


def _random(size: int) -> bytes:
    with open("/dev/urandom", "rb") as file:
        return file.read(size)


def test_an_impossible_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write_shard(tmp_path / "file" / "a.parquet", [row(1)], SCHEMA, {})


@pytest.mark.parametrize("keep", [0, 3, 200, -1])
def test_a_truncated_shard_is_named(tmp_path: Path, keep: int) -> None:
    path = tmp_path / "a.parquet"
    write_shard(path, [row(n, data=_random(50)) for n in range(50)], SCHEMA, {})
    path.write_bytes(path.read_bytes()[:keep])
    for read in (lambda: list(read_shards(tmp_path)), lambda: ShardInfo.of(path), lambda: shard_metadata(path)):
        with pytest.raises(InputError, match=r"the shard .*a\.parquet is damaged .*delete it"):
            read()


def test_damage_inside_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    info = write_shard(path, [row(n, data=_random(500)) for n in range(500)], SCHEMA, {})
    manifest = Manifest.of(tmp_path, [info], task="t", parameters={}, counts={})
    data = bytearray(path.read_bytes())
    data[1000:60_000] = bytes(59_000)
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.parquet is damaged"):
        list(read_shards(tmp_path))
    assert "is not the one of the manifest" in manifest.verify(tmp_path)[0]


def test_missing_things_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no folder"):
        shard_paths(tmp_path / "nothing")
    with pytest.raises(InputError, match="is missing"):
        list(read_shards([tmp_path / "a.parquet"]))
    write_shard(tmp_path / "a.parquet", [row(1)], SCHEMA, {})
    with pytest.raises(InputError, match="has no column size"):
        list(read_shards(tmp_path, ["size"]))
    pq.write_table(pa.table({"a": [1]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="no shard of llmc"):
        shard_metadata(tmp_path / "b.parquet")


def test_manifest(tmp_path: Path) -> None:
    infos = [write_shard(tmp_path / f"{name}.parquet", [{**row(n, name), "version": version} for n in range(3)],
                         SCHEMA, {}) for name, version in (("lua", "5.4"), ("zlib", "1.3"))]
    write_shard(tmp_path / "stale.parquet", [row(1)], SCHEMA, {})
    manifest = Manifest.of(tmp_path, infos[::-1], task="test", parameters={"seed": 1}, counts={"refused": 4})
    assert manifest.counts == {"rows": 6, "splits": {"train": 6}, "refused": 4}
    assert manifest.packages["lua"] == {"version": "5.4", "licence": "Zlib", "rows": 3}
    manifest.write(tmp_path)
    assert Manifest.read(tmp_path) == manifest and manifest.verify(tmp_path) == []
    # What a manifest does not list is not read.
    assert [path.name for path in shard_paths(tmp_path)] == ["lua.parquet", "zlib.parquet"]
    (tmp_path / "lua.parquet").unlink()
    write_shard(tmp_path / "zlib.parquet", [row(7)], SCHEMA, {})
    missing, changed = manifest.verify(tmp_path)
    assert "lua.parquet is missing" in missing and "zlib.parquet is not the one of the manifest: 1 rows" in changed


def test_a_broken_shard_is_in_no_manifest(tmp_path: Path) -> None:
    info = write_shard(tmp_path / "a.parquet", [row(1)], SCHEMA, {})
    (tmp_path / "a.parquet").write_bytes((tmp_path / "a.parquet").read_bytes()[:-9])
    with pytest.raises(InputError, match="damaged"):
        Manifest.of(tmp_path, [info], task="t", parameters={}, counts={})
    write_shard(tmp_path / "a.parquet", [row(1), row(2)], SCHEMA, {})
    with pytest.raises(InputError, match="has changed"):
        Manifest.of(tmp_path, [info], task="t", parameters={}, counts={})


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"task": "t", "parameters": {}, "shards": [{"name": "a"}]}'])
def test_a_bad_manifest(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="unfinished"):
        Manifest.read(tmp_path)
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="is no manifest"):
        Manifest.read(tmp_path)


def test_two_versions_of_a_package(tmp_path: Path) -> None:
    infos = [write_shard(tmp_path / f"{version}.parquet", [{**row(1), "version": version}], SCHEMA, {})
             for version in ("1.3", "1.2", "1.25")]
    manifest = Manifest.of(tmp_path, infos, task="t", parameters={}, counts={})
    assert manifest.packages["zlib"] == {"version": "1.2, 1.25, 1.3", "licence": "Zlib", "rows": 3}


def test_leftovers_of_killed_writers_go(tmp_path: Path) -> None:
    (tmp_path / ".a.parquet.1234.tmp").write_bytes(b"half")
    write_shard(tmp_path / "a.parquet", [row(1)], SCHEMA, {})
    assert remove_pending(tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.parquet"]
