"""Measure the core set on functions and modules drawn evenly over packages and sizes: what `ranker.py` learns from.

Resumable: programs are drawn and kept once, and every program that was measured is a line of sizes.jsonl.
"""

from __future__ import annotations

import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_compiler.corpus.schema import TEST, TRAIN, VALIDATION
from llm_compiler.corpus.shards import read_shards, write_shard
from llm_compiler.errors import InputError
from llm_compiler.llvm.job import Limits, Reading
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks.labels import store
from llm_compiler.tasks.labels.bench import Bench, Task
from llm_compiler.tasks.labels.choice import FUNCTION, MODULE, Program, choose
from llm_compiler.tasks.labels.search import full_space
from llm_compiler.tuning.ranked import counts_of

Row = dict[str, Any]
FAILED = -1
PROGRAMS, SIZES, ENTRIES = "programs.parquet", "sizes.jsonl", "entries.json"
_SCHEMA = pa.schema([*((name, pa.string()) for name in ("kind", "package", "split", "hash")),
                     ("instructions", pa.int64()), ("code", pa.binary())])
_EVERYTHING = 1 << 40


@dataclass(frozen=True)
class Wanted:
    """How many functions and modules of training packages, and of test packages; IR instructions of each.

    What is smaller than the least has nothing to gain: a function of seven instructions is hardly more than its frame.
    """

    functions: int
    modules: int
    test_functions: int
    test_modules: int
    function_range: tuple[int, int]
    module_range: tuple[int, int]


# --- entries -----------------------------------------------------------------------------------------------------


def entries(profile: Profile, labels: Path | None, more: int) -> list[Candidate]:
    """-Oz, the core set in its order, and `more` broadcast lists of the labels under the options of the head start."""
    space = full_space(profile)
    found = [Candidate(space.oz), *space.core_set]
    if labels is not None:
        lists = [PassList.parse(text) for text in store.about(labels)["lists"][str(Profile.DEPLOY)][:more]]
        found += [Candidate(passes, space.head_start) for passes in lists]
    return list(dict.fromkeys(found))


def texts(found: Sequence[Candidate]) -> list[list[Any]]:
    return [[each.passes.text, list(each.codegen_options), list(each.pass_options)] for each in found]


def keep_entries(folder: Path, found: dict[str, list[list[Any]]]) -> None:
    """Raises InputError when the sample was begun with others."""
    path = folder / ENTRIES
    if path.exists() and json.loads(path.read_text()) != found:
        raise InputError(f"{folder} was measured with other entries; name another folder")
    path.write_text(json.dumps(found))


# --- programs ----------------------------------------------------------------------------------------------------


def drawn(programs: Sequence[Program], count: int) -> list[Program]:
    """One of each package and size (a power of two) in turn, in hash order within these."""
    groups: dict[tuple[str, int], list[Program]] = defaultdict(list)
    for program in sorted(programs):
        groups[program.package, program.instructions.bit_length()].append(program)
    deepest = max(map(len, groups.values()), default=0)
    return [group[turn] for turn in range(deepest) for _, group in sorted(groups.items()) if turn < len(group)][:count]


def choice(corpus: Path, wanted: Wanted) -> list[Program]:
    """The programs in the order in which they are measured: a break anywhere leaves a smaller sample of all."""
    least = {FUNCTION: wanted.function_range[0], MODULE: wanted.module_range[0]}
    everything = [each for each in choose(corpus, _EVERYTHING, _EVERYTHING, largest=wanted.module_range[1],
                                          largest_function=wanted.function_range[1], seed=1)
                  if each.instructions >= least[each.kind]]
    placed = []
    for kind, splits, count in ((FUNCTION, (TRAIN, VALIDATION), wanted.functions),
                                (MODULE, (TRAIN, VALIDATION), wanted.modules),
                                (FUNCTION, (TEST,), wanted.test_functions), (MODULE, (TEST,), wanted.test_modules)):
        chosen = drawn([each for each in everything if each.kind == kind and each.split in splits], count)
        placed += [(place / max(1, len(chosen)), each) for place, each in enumerate(chosen)]
    return [program for _, program in sorted(placed)]


def keep_programs(folder: Path, corpus: Path, wanted: Wanted) -> None:
    """The code of the programs into the sample, unless it is there."""
    path = folder / PROGRAMS
    if path.exists():
        return
    chosen = choice(corpus, wanted)
    shards: dict[str, set[str]] = defaultdict(set)
    for program in chosen:
        shards[program.shard].add(program.hash)
    code: dict[str, bytes] = {}
    for shard, hashes in shards.items():
        for row in read_shards(Path(shard), batch=64):
            name = row.get("function") or row["module"]
            if name in hashes:
                data = row["ir"] if "ir" in row else row["bitcode"]
                code[name] = data.encode() if isinstance(data, str) else data
    rows = ({"kind": each.kind, "package": each.package, "split": each.split, "hash": each.hash,
             "instructions": each.instructions, "code": code[each.hash]} for each in chosen if each.hash in code)
    write_shard(path, rows, _SCHEMA, {})


# --- measuring ---------------------------------------------------------------------------------------------------


def totals(bench: Bench, candidates: Sequence[Candidate]) -> tuple[int, ...]:
    """Bytes of all loaded sections by candidate; runs in the LLVM worker."""
    return tuple(FAILED if item is None or item.size is None else item.size.total
                 for item in bench.measure(candidates))


def sizes_of(pool: WorkerPool, row: Row, asked: dict[str, list[Candidate]], folder: Path) -> Row | str:
    """What is measured of a program, or why it is left out."""
    path = folder / "program.bc"
    path.write_bytes(row["code"])
    found = pool.run(Reading(path, counts_of)).value
    if not isinstance(found, Counter):
        return "not read"
    started = time.monotonic()
    made: Row = {name: row[name] for name in ("kind", "package", "split", "hash", "instructions")}
    made["counts"] = dict(sorted(found.items()))
    for profile, candidates in asked.items():
        sizes = Task(Profile(profile), totals, (tuple(candidates),)).run(pool, row["code"], Counter())
        if isinstance(sizes, str) or sizes[0] <= 0:
            return "without code, or refused"
        made[profile] = sizes
    return made | {"seconds": round(time.monotonic() - started, 3)}


def lines(path: Path) -> Iterator[Row]:
    """Whole lines: one that was being written when the process died is dropped."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield json.loads(line)


def measure(folder: Path, asked: dict[str, list[Candidate]], minutes: float, first: str | None) -> None:
    """Every program that has no line yet, for at most so many minutes. first: the kind that is measured before the
    other.
    """
    path = folder / SIZES
    known = list(lines(path))
    path.write_text("".join(json.dumps(row) + "\n" for row in known))
    done = {row["hash"] for row in known}
    rows = [row for row in read_shards(folder / PROGRAMS) if row["hash"] not in done]
    rows.sort(key=lambda row: first is not None and row["kind"] != first)
    started = said = time.monotonic()
    counts: Counter[str] = Counter()
    with WorkerPool(1, Limits(600.0)) as pool, path.open("a") as file:
        for number, row in enumerate(rows, 1):
            made = sizes_of(pool, row, asked, folder)
            counts[made if isinstance(made, str) else f"{made['split']} {made['kind']}s"] += 1
            told = made if not isinstance(made, str) else {"hash": row["hash"], "left out": made}
            file.write(json.dumps(told) + "\n")
            file.flush()
            now = time.monotonic()
            if now - said > 20 or number == len(rows):
                said = now
                left = (len(rows) - number) * (now - started) / number / 60
                print(f"{number} of {len(rows)}, {left:.0f} min left: {dict(sorted(counts.items()))}",
                      file=sys.stderr, flush=True)
            if now - started > 60 * minutes:
                return
