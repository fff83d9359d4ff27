"""Labels in one small file: without code, to be joined with a corpus that was built again, by hash."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llm_compiler.corpus.shards import ShardInfo, read_shards, shard_metadata, write_shard
from llm_compiler.errors import InputError
from llm_compiler.tasks.labels.label import FAILED
from llm_compiler.tasks.labels.stages import LABELS

FORMAT = "llmc flag labels 1"
_SIZES = {"sizes": "baseline_bytes", "sizes_text_data": "baseline_text_data"}


def write_labels(path: Path, shards: Iterable[Path], about: Mapping[str, Any], held: Labels | None = None) -> ShardInfo:
    """Gather the labels of shards in a file, after those of another. about: goes with them: lists by profile,
    parameters, counts.

    Sizes are kept as differences to the baseline, most of which are equal; a failure is the largest number.
    """
    told = {"format": FORMAT, **about}
    content = hashlib.sha256()

    def rows() -> Iterator[dict[str, Any]]:
        for packed in itertools.chain(held.packed() if held else (), map(_packed, read_shards(shards))):
            content.update(json.dumps(packed, sort_keys=True).encode())
            yield packed
        # Of the labels alone: what they have cost is another number each time.
        told["content"] = content.hexdigest()

    return write_shard(path, rows(), LABELS, told)


def about(path: Path) -> dict[str, Any]:
    """What goes with the labels of a file; `content` is a hash of them. Raises InputError when it is no such file."""
    told = shard_metadata(path)
    if told.get("format") != FORMAT:
        raise InputError(f"{path} holds no flag labels; name a file that `llmc dataset flags` wrote")
    return told


def _packed(row: dict[str, Any]) -> dict[str, Any]:
    for name, base in _SIZES.items():
        row[name] = [_NONE if size == FAILED else size - row[base] for size in row[name]]
    return row


def _unpacked(row: dict[str, Any]) -> dict[str, Any]:
    for name, base in _SIZES.items():
        row[name] = [FAILED if size == _NONE else size + row[base] for size in row[name]]
    return row


_NONE = (1 << 31) - 1


class Labels:
    """The labels of a file, looked up by hash; held as Arrow columns."""

    def __init__(self, path: Path) -> None:
        self.about = about(path)
        self._table: pa.Table = pq.read_table(path, use_threads=False)
        self._rows: dict[str, list[int]] = {}
        for index, name in enumerate(self._table.column("hash").to_pylist()):
            self._rows.setdefault(name, []).append(index)

    def hashes(self, profile: str | None = None) -> frozenset[str]:
        """The programs that have a label, or one of a profile."""
        if profile is None:
            return frozenset(self._rows)
        profiles = self._table.column("profile").to_pylist()
        return frozenset(name for name, rows in self._rows.items() if any(profiles[row] == profile for row in rows))

    def packed(self) -> Iterator[dict[str, Any]]:
        """The rows as they stand in the file."""
        for batch in self._table.to_batches(max_chunksize=1024):
            yield from batch.to_pylist()

    def of(self, name: str) -> Iterator[dict[str, Any]]:
        """The labels of a program, one a profile."""
        for index in self._rows.get(name, ()):
            yield _unpacked(self._table.slice(index, 1).to_pylist()[0])


@lru_cache(maxsize=1)
def open_labels(path: Path, content: str) -> Labels:
    """content: see `about`, so that a changed file is read anew."""
    return Labels(path)
