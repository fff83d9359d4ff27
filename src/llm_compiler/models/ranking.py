"""Which entries of the core set to try first on a program: those that saved most on programs like it.

Programs whose counts (`features.counts`) are nearest vote, and entries are taken greedily, each for what it adds to
those before it. `benchmarks/ranker.py` measures the programs and writes the file; plain Python reads it.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import math
import zlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources
from typing import Any, Self

from llm_compiler.errors import InputError
from llm_compiler.models.features import Counts

FILE = "ranking.bin"
STEPS = 10_000
"""A gain is a share of a program's bytes in so many steps."""

_MAGIC = b"llmc ranking 1\n"
_MOST = 255  # of a scaled count


@dataclass(frozen=True)
class Table:
    """What entries save on the programs, for a profile. entries: `Candidate.digest`s, in the order that serves best
    where nothing is known of a program. neighbours: programs that vote; with 0 that order is everybody's. gains: by
    entry, for each program, in STEPS; 0 where -Oz is as good.
    """

    entries: tuple[str, ...]
    neighbours: int
    gains: tuple[array[int], ...] = field(repr=False)


@dataclass(frozen=True)
class Ranking:
    """names, scales: counts that tell programs apart, and what the logarithm of each is multiplied by. programs: their
    scaled counts. arch: of the code that was measured. tables: by profile.
    """

    names: tuple[str, ...]
    scales: tuple[float, ...] = field(repr=False)
    programs: tuple[bytes, ...] = field(repr=False)
    arch: str
    tables: Mapping[str, Table]

    def knows(self, profile: str, arch: str, entries: Sequence[str]) -> bool:
        """Whether there is data on each of `entries` (`Candidate.digest`s)."""
        table = self.tables.get(profile)
        return bool(entries) and table is not None and arch == self.arch and set(entries) <= set(table.entries)

    def order(self, found: Counts, profile: str, arch: str, entries: Sequence[str]) -> list[int] | None:
        """Indices of `entries`, the most promising first; None without data on each of them."""
        if not self.knows(profile, arch, entries):
            return None
        table = self.tables[profile]
        places = {entry: place for place, entry in enumerate(table.entries)}
        indices = {places[entry]: index for index, entry in enumerate(entries)}
        near = self._nearest(self.point(found), table.neighbours)
        columns = {place: [table.gains[place][row] for row in near] for place in sorted(indices)}
        return [indices[place] for place in cover(columns)]

    def point(self, found: Counts) -> tuple[float, ...]:
        """Where a program lies among the others."""
        return scaled(found, self.names, self.scales)

    def _nearest(self, point: Sequence[float], count: int) -> list[int]:
        distances = [math.dist(point, program) for program in self.programs] if count else []
        return heapq.nsmallest(count, range(len(distances)), key=lambda row: (distances[row], row))

    # --- bytes ---

    def to_bytes(self) -> bytes:
        """A compressed form that `from_bytes` reads back to an equal value."""
        head = {"names": self.names, "scales": self.scales, "programs": len(self.programs), "arch": self.arch,
                "tables": {name: [table.neighbours, *table.entries] for name, table in self.tables.items()}}
        # Counts by name and gains by program: what is alike stands together.
        parts = [bytes(program[number] for program in self.programs) for number in range(len(self.names))]
        for table in self.tables.values():
            for column in table.gains:
                parts += [bytes(gain & 255 for gain in column), bytes(gain >> 8 for gain in column)]
        return _MAGIC + zlib.compress(json.dumps(head).encode() + b"\n" + b"".join(parts), 9)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises InputError for bytes that `to_bytes` did not make."""
        try:
            if not data.startswith(_MAGIC):
                raise ValueError("they do not begin as one does")
            line, _, rest = zlib.decompress(data[len(_MAGIC) :]).partition(b"\n")
            return cls._read(json.loads(line), rest)
        except (ValueError, KeyError, TypeError, AttributeError, zlib.error, RecursionError) as error:
            raise InputError(f"these bytes are no ranking: {error}") from error

    @classmethod
    def _read(cls, head: dict[str, Any], rest: bytes) -> Self:
        count, names = int(head["programs"]), tuple(map(str, head["names"]))
        columns = len(names) + 2 * sum(len(told) - 1 for told in head["tables"].values())
        if len(rest) != columns * count or len(head["scales"]) != len(names) or not count:
            raise ValueError("they are cut off")
        parts = iter([rest[start : start + count] for start in range(0, len(rest), count)])
        by_name = [next(parts) for _ in names]
        tables = {}
        for profile, (neighbours, *entries) in head["tables"].items():
            gains = tuple(array("H", (low | high << 8 for low, high in zip(next(parts), next(parts), strict=True)))
                          for _ in entries)
            tables[str(profile)] = Table(tuple(map(str, entries)), int(neighbours), gains)
        return cls(names, tuple(map(float, head["scales"])), tuple(map(bytes, zip(*by_name, strict=True))),
                   str(head["arch"]), tables)


def scaled(found: Counts, names: Sequence[str], scales: Sequence[float]) -> tuple[float, ...]:
    """Logarithms of counts, each times its scale, up to what a byte holds."""
    return tuple(min(float(_MOST), scale * math.log1p(found.get(name, 0)))
                 for name, scale in zip(names, scales, strict=True))


def cover(columns: Mapping[int, Sequence[int]]) -> list[int]:
    """The keys of columns, each the one that adds most to the best of those before it, row by row; then, where none
    adds anything, in their own order.
    """
    left = dict(columns)
    best = [0] * max(map(len, columns.values()), default=0)
    order = []
    while left:
        key, added = 0, 0
        for each, column in left.items():
            adds = sum([gain - held for gain, held in zip(column, best, strict=True) if gain > held])
            if adds > added:
                key, added = each, adds
        if not added:
            break
        order.append(key)
        best = [max(pair) for pair in zip(left.pop(key), best, strict=True)]
    return [*order, *left]


@dataclass(frozen=True)
class Shipped:
    """The ranking that comes with the package. identity: a hash of its file."""

    ranking: Ranking
    identity: str


@lru_cache(maxsize=1)
def shipped() -> Shipped:
    """Raises InputError when the package's file is damaged."""
    return read(resources.files("llm_compiler.data").joinpath(FILE).read_bytes())


def read(data: bytes) -> Shipped:
    """Raises InputError for bytes that are no ranking."""
    return Shipped(Ranking.from_bytes(data), hashlib.sha256(data).hexdigest()[:16])
