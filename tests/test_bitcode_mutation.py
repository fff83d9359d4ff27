"""Broken bitcode, on which LLVM may abort, run away or eat memory: the parent lives, and every fate is a value."""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path

import pytest

from llm_compiler.llvm.job import Job, Limits, Status
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.worker import WorkerPool
from samples import IR, PROGRAMS
from support import bitcode_of, candidate, children, unoptimised

PASSES = "function(sroa,instcombine,simplifycfg),globaldce"


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("sound")
    compiled = [unoptimised(folder, name, PROGRAMS[name]).read_bytes()
                for name in ("crc.c", "varargs.c", "exceptions.cc")]
    return [bitcode_of(IR), *compiled]


def mutate(rng: random.Random, pool: list[bytes]) -> bytes:
    """A sound file with bytes flipped, cut off, inserted, repeated or taken from another file."""
    data = bytearray(rng.choice(pool))
    for _ in range(rng.choice((1, 1, 1, 2, 4, 16))):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(7)
        if kind == 0:
            data[at : at + 1] = bytes([rng.randrange(256)])
        elif kind == 1 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 2 and rng.random() < 0.3:
            del data[at & ~3 :]
        elif kind == 3:
            del data[at : at + rng.choice((1, 4, 8, 64))]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.choice((1, 4, 32)))
        elif kind == 5:
            start = rng.randrange(len(data) + 1)
            data[at:at] = data[start : start + rng.randrange(1, 200)]
        elif kind == 6:
            other = rng.choice(pool)
            start = rng.randrange(len(other))
            length = rng.randrange(1, 400)
            data[at : at + length] = other[start : start + length]
    return bytes(data)


def push_through(folder: Path, sound: list[bytes], seed: int, count: int) -> Counter[Status]:
    """Inspect and compile `count` mutations; what became of them."""
    rng = random.Random(seed)
    seen: Counter[Status] = Counter()
    paths: dict[int, Path] = {}
    left: Counter[Path] = Counter()
    with WorkerPool(2, Limits(5, 1 << 30), folder / "crashes") as pool:
        made = 0
        while made < count or pool.unfinished:
            while made < count and pool.unfinished < 8:
                path = folder / f"{made}.bc"
                path.write_bytes(mutate(rng, sound))
                for given in (path, Job(path, candidate(PASSES), Lowering(), verify=True, count=True)):
                    paths[pool.submit(given)] = path
                left[path] = 2
                made += 1
            for ticket, outcome in pool.wait():
                assert outcome.status in Status
                if outcome.status is Status.MEASURED:
                    assert outcome.inspection is not None or outcome.measurement is not None
                else:
                    assert outcome.message and outcome.measurement is None and outcome.inspection is None
                if outcome.status in (Status.CRASHED, Status.TIMED_OUT, Status.OUT_OF_MEMORY):
                    assert outcome.crash_folder is not None and (outcome.crash_folder / "reproduce.sh").exists()
                seen[outcome.status] += 1
                path = paths.pop(ticket)
                left[path] -= 1
                if not left[path]:
                    path.unlink()
        assert not paths
    return seen


def check(folder: Path, sound: list[bytes], seed: int, count: int) -> None:
    before = children(os.getpid())
    seen = push_through(folder, sound, seed, count)
    assert seen.total() == 2 * count
    # The mutations reach both sides: some files are still sound, most are not, some bring LLVM down.
    assert seen[Status.MEASURED] and seen[Status.INVALID] > count // 2 and seen[Status.CRASHED]
    assert children(os.getpid()) == before


def test_two_thousand_mutations(tmp_path: Path, sound: list[bytes]) -> None:
    check(tmp_path, sound, seed=1, count=2000)


@pytest.mark.slow
def test_twenty_thousand_mutations(tmp_path: Path, sound: list[bytes]) -> None:
    check(tmp_path, sound, seed=2, count=20_000)


def test_every_truncation_of_a_small_file(tmp_path: Path) -> None:
    data = bitcode_of(IR)
    with WorkerPool(2, Limits(5, 1 << 30)) as pool:
        for length in range(1, len(data), 7):
            path = tmp_path / f"{length}.bc"
            path.write_bytes(data[:length])
            pool.submit(path)
        seen: Counter[Status] = Counter()
        while pool.unfinished:
            seen.update(outcome.status for _, outcome in pool.wait())
    assert seen[Status.INVALID] > 100
