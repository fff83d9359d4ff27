"""Near duplicates: MinHash signatures, bands for finding candidates, and an index on disk.

Broder, "On the resemblance and containment of documents" (1997); banding as in Leskovec, Rajaraman, Ullman, "Mining of
Massive Datasets", chapter 3.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt

PERMUTATIONS = 64
MIN_SHINGLES = 24  # fewer say too little: such functions are compared as a whole only
NEAR = 0.85  # estimated resemblance from which a function is a duplicate
_ROWS = 6  # in a band: 10 bands of 6 find 99.1 % of pairs that resemble by 0.85, and 0.2 % of those by 0.25
_LOOSE_ROWS = 4  # 16 bands of 4 find 98.8 % of pairs that resemble by 0.7
_CANDIDATES = 640  # entries with a band in common that are looked at
_BLOCK = 4096  # shingles at a time

_LOOK_UP = (f"SELECT id FROM band WHERE key IN ({', '.join('?' * (PERMUTATIONS // _ROWS))}) ORDER BY key, id "
            f"LIMIT {_CANDIDATES}")

Signature = npt.NDArray[np.uint32]

_rng = np.random.default_rng(20240702)
_FACTOR = _rng.integers(1, 1 << 63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_OFFSET = _rng.integers(0, 1 << 63, PERMUTATIONS, dtype=np.uint64)
_BAND_FACTOR = _rng.integers(1, 1 << 63, PERMUTATIONS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


def signature(shingles: npt.NDArray[np.uint64]) -> bytes:
    """64 numbers of 32 bits, little-endian; empty for fewer than MIN_SHINGLES shingles."""
    if len(shingles) < MIN_SHINGLES:
        return b""
    lowest = np.full(PERMUTATIONS, np.iinfo(np.uint64).max, np.uint64)
    for start in range(0, len(shingles), _BLOCK):
        part = shingles[start : start + _BLOCK, None] * _FACTOR + _OFFSET
        lowest = np.minimum(lowest, part.min(axis=0))
    found: bytes = (lowest >> np.uint64(32)).astype("<u4").tobytes()
    return found


def numbers(data: bytes) -> Signature:
    """The signature as an array."""
    return np.frombuffer(data, "<u4")


def resemblance(one: Signature, other: Signature) -> float:
    """Estimated share of shingles that two functions have in common; standard error at most 0.0625."""
    return float(np.count_nonzero(one == other)) / PERMUTATIONS


def bands(found: Signature, rows: int = _ROWS) -> list[int]:
    """A key for each band, equal in two signatures when the band's rows are."""
    count = len(found) // rows
    used = count * rows
    keys = (found[:used].astype(np.uint64) * _BAND_FACTOR[:used]).reshape(count, rows).sum(axis=1, dtype=np.uint64)
    keys = (keys ^ (keys >> np.uint64(29))) * _BAND_FACTOR[:count] + _OFFSET[:count]
    result: list[int] = keys.astype(np.int64).tolist()
    return result


class Fingerprints:
    """Signatures in memory, for likeness looser than that of duplicates."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold
        self._signatures: list[Signature] = []
        self._names: list[str] = []
        self._bands: defaultdict[int, list[int]] = defaultdict(list)

    def __len__(self) -> int:
        return len(self._names)

    def add(self, data: bytes, name: str) -> None:
        found = numbers(data)
        for key in bands(found, _LOOSE_ROWS):
            self._bands[key].append(len(self._names))
        self._signatures.append(found)
        self._names.append(name)

    def like(self, data: bytes) -> tuple[str, float] | None:
        """The name of the most similar entry above the threshold, and its resemblance."""
        if not data or not self._names:
            return None
        found = numbers(data)
        near = {entry for key in bands(found, _LOOSE_ROWS) if key in self._bands for entry in self._bands[key]}
        best = max(((resemblance(found, self._signatures[entry]), -entry) for entry in near), default=(0.0, 0))
        return (self._names[-best[1]], best[0]) if best[0] >= self.threshold else None


class Index:
    """Functions seen so far, on disk: memory does not grow with their number. Starts empty, and is not for keeping.

    Modules are numbers that the caller gives.
    """

    def __init__(self, path: Path) -> None:
        for old in (path, path.with_name(f"{path.name}-journal")):
            with contextlib.suppress(FileNotFoundError):
                old.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._sql = sqlite3.connect(path, isolation_level=None, cached_statements=64)
        # What is in it can be made again: no journal, no waiting for the disk.
        for pragma in ("journal_mode = OFF", "synchronous = OFF", "locking_mode = EXCLUSIVE", "cache_size = -131072",
                       "temp_store = MEMORY"):
            self._sql.execute(f"PRAGMA {pragma}")
        self._sql.execute("CREATE TABLE exact (hash BLOB PRIMARY KEY, module INTEGER) WITHOUT ROWID")
        self._sql.execute("CREATE TABLE near (id INTEGER PRIMARY KEY, signature BLOB, module INTEGER)")
        self._sql.execute("CREATE TABLE band (key INTEGER, id INTEGER, PRIMARY KEY (key, id)) WITHOUT ROWID")
        self._sql.execute("BEGIN")
        self._count = 0
        self._last: tuple[bytes, list[int]] = (b"", [])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._sql.close()

    def exact(self, name: str) -> int | None:
        """The module in which a function of this hash was first seen."""
        row = self._sql.execute("SELECT module FROM exact WHERE hash = ?", (bytes.fromhex(name),)).fetchone()
        return None if row is None else int(row[0])

    def near(self, data: bytes) -> int | None:
        """The module of the first function seen that resembles this one by NEAR or more."""
        if not data:
            return None
        found = numbers(data)
        rows = self._sql.execute(_LOOK_UP, self._bands(data))
        for entry in sorted({row[0] for row in rows}):
            stored, module = self._sql.execute("SELECT signature, module FROM near WHERE id = ?", (entry,)).fetchone()
            if resemblance(found, numbers(stored)) >= NEAR:
                return int(module)
        return None

    def add_exact(self, name: str, module: int) -> None:
        self._sql.execute("INSERT OR IGNORE INTO exact VALUES (?, ?)", (bytes.fromhex(name), module))

    def add_near(self, data: bytes, module: int) -> None:
        if not data:
            return
        self._count += 1
        self._sql.execute("INSERT INTO near VALUES (?, ?, ?)", (self._count, data, module))
        rows = [(key, self._count) for key in self._bands(data)]
        self._sql.executemany("INSERT OR IGNORE INTO band VALUES (?, ?)", rows)

    def _bands(self, data: bytes) -> list[int]:
        if self._last[0] is not data:  # what is looked up and not found is added next
            self._last = (data, bands(numbers(data)))
        return self._last[1]
