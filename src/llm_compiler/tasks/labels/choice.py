"""Which programs are labelled, and how they are cut into units of work."""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_compiler.corpus.engine import Unit, key_of
from llm_compiler.corpus.shards import read_shards
from llm_compiler.errors import InputError
from llm_compiler.tasks.units import function_shards, kept_modules, module_shards

FUNCTION, MODULE = "function", "module"
_UNIT = {FUNCTION: 64, MODULE: 8}


@dataclass(frozen=True, order=True)
class Program:
    """A chosen function or module; `shard` is the file that it is in, `rank` the hash order of the choice."""

    rank: str
    hash: str
    kind: str
    split: str
    package: str
    shard: str
    instructions: int


def choose(corpus: Path, functions: int, modules: int, *, largest: int, seed: int,
           largest_function: int | None = None) -> list[Program]:
    """Programs spread evenly over packages and sizes, in hash order within each; the same for the same corpus.

    largest: IR instructions of a program at most; largest_function: of a single function, if fewer. Raises
    InputError for a corpus without functions or modules.
    """
    chosen: list[Program] = []
    function_limit = largest if largest_function is None else min(largest, largest_function)
    for kind, wanted, limit in ((FUNCTION, functions, function_limit), (MODULE, modules, largest)):
        if wanted:
            chosen += _spread(corpus, kind, wanted, limit, seed)
    if not chosen:
        raise InputError(f"{corpus} holds no function and no module of at most {largest} instructions; "
                         "run `llmc corpus` first, or raise --largest")
    return sorted(chosen)


def find(corpus: Path, hashes: Collection[str]) -> list[Program]:
    """The programs of a corpus with these hashes."""
    everything = 1 << 62
    kinds = [kind for kind in (FUNCTION, MODULE) if kind == FUNCTION or (corpus / "modules").is_dir()]
    return sorted(program for kind in kinds for program in _programs(corpus, kind, everything, 0)
                  if program.hash in hashes)


def _spread(corpus: Path, kind: str, wanted: int, largest: int, seed: int) -> list[Program]:
    counts = Counter(_stratum(program) for program in _programs(corpus, kind, largest, seed))
    quota = _level(counts, wanted)
    heaps: dict[tuple[str, int], list[tuple[int, Program]]] = {}
    for program in _programs(corpus, kind, largest, seed):
        heap = heaps.setdefault(_stratum(program), [])
        # The heap's first is the one to go: largest rank, by its negative.
        item = (-int(program.rank, 16), program)
        if len(heap) < quota:
            heapq.heappush(heap, item)
        elif item > heap[0]:
            heapq.heapreplace(heap, item)
    found = sorted(program for heap in heaps.values() for _, program in heap)
    return found[:wanted]


def _level(counts: Counter[tuple[str, int]], wanted: int) -> int:
    """The smallest quota for each stratum that gives `wanted` in all, or everything there is."""
    low, high = 0, max(counts.values(), default=0)
    while low < high:
        middle = (low + high) // 2
        if sum(min(count, middle) for count in counts.values()) >= wanted:
            high = middle
        else:
            low = middle + 1
    return low


def _stratum(program: Program) -> tuple[str, int]:
    return program.package, program.instructions.bit_length()


def _programs(corpus: Path, kind: str, largest: int, seed: int) -> Iterator[Program]:
    if kind == FUNCTION:
        for path in function_shards(corpus):
            for row in read_shards(path, ["function", "package", "split", "instructions"]):
                if 0 < row["instructions"] <= largest:
                    yield _program(row["function"], kind, row["split"], row["package"], path, row["instructions"], seed)
        return
    splits = kept_modules(corpus)
    seen: set[str] = set()
    for path in module_shards(corpus):
        for row in read_shards(path, ["module", "package", "instructions"]):
            name = row["module"]
            if name in splits and name not in seen and 0 < row["instructions"] <= largest:
                seen.add(name)
                yield _program(name, kind, splits[name], row["package"], path, row["instructions"], seed)


def _program(name: str, kind: str, split: str, package: str, path: Path, instructions: int, seed: int) -> Program:
    rank = hashlib.sha256(f"{seed} {name}".encode()).hexdigest()[:16]
    return Program(rank, name, kind, split, package, str(path), instructions)


@dataclass(frozen=True)
class Slice:
    """Programs of one kind and split: hashes by shard. What a unit's work reads."""

    kind: str
    split: str
    hashes: tuple[tuple[str, tuple[str, ...]], ...]

    def rows(self) -> Iterator[tuple[str, bytes, dict[str, Any]]]:
        """Hash, IR text or bitcode, and the row itself, in a fixed order."""
        name, code = ("function", "ir") if self.kind == FUNCTION else ("module", "bitcode")
        for path, hashes in self.hashes:
            wanted = set(hashes)
            for row in read_shards(Path(path), batch=64):
                if row[name] in wanted:
                    wanted.discard(row[name])
                    data = row.pop(code)
                    yield row[name], data.encode() if isinstance(data, str) else data, row
            if wanted:
                raise InputError(f"{path} no longer holds {min(wanted)}; the corpus has changed, run the command again")

    @property
    def names(self) -> list[str]:
        return [name for _, hashes in self.hashes for name in hashes]


def slices(programs: Iterable[Program]) -> list[Slice]:
    """Programs grouped by kind and split into units of a few minutes at most, neighbours in the corpus together."""
    groups: dict[tuple[str, str], list[Program]] = {}
    for program in programs:
        groups.setdefault((program.kind, program.split), []).append(program)
    found = []
    for (kind, split), members in sorted(groups.items()):
        members.sort(key=lambda program: (program.shard, program.hash))
        size = _UNIT[kind]
        for start in range(0, len(members), size):
            by_shard: dict[str, list[str]] = {}
            for program in members[start : start + size]:
                by_shard.setdefault(program.shard, []).append(program.hash)
            found.append(Slice(kind, split, tuple((path, tuple(names)) for path, names in by_shard.items())))
    return found


def units(programs: Sequence[Program], *parameters: Any) -> list[Unit]:
    """A unit a slice, in an order that mixes sizes and packages. parameters: what else decides the result."""
    made = [Unit(key_of(part.kind, part.names, *parameters, split=part.split), part) for part in slices(programs)]
    return sorted(made, key=lambda unit: unit.key.rpartition("-")[2])
