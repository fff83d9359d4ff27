"""Works for the engine's tests, in a module that workers can import: real LLVM work, and works that fail."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_compiler.corpus.engine import Unit, key_of
from llm_compiler.errors import InputError
from llm_compiler.llvm.job import Job, Limits, Reading, Status
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.worker import WorkerPool
from samples import IR

LISTS = ("instcombine", "instcombine,simplifycfg", "mem2reg", "default<Oz>", "reassociate,instcombine", "no-such-pass")


@dataclass(frozen=True)
class Lower:
    """Assembly of small functions under pass lists. pause: seconds to wait at every row."""

    schema = pa.schema([("package", pa.string()), ("split", pa.string()), ("passes", pa.string()),
                        ("assembly", pa.string()), ("size", pa.int32())])
    limits = Limits(seconds=30)
    pause: float = 0.0

    def rows(self, payload: int, pool: WorkerPool, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "input.ll"
            path.write_text(IR.replace("@scale", f"@scale{payload}").replace("i32 %x, 8", f"i32 %x, {payload}"))
            for text in LISTS:
                time.sleep(self.pause)
                candidate = Candidate(PassList.parse(text))
                outcome = pool.run(Job(path, candidate, Lowering(), assembly=True, count=True))
                counts[str(outcome.status)] += 1
                found = outcome.measurement
                if found is not None and found.object is not None:
                    yield {"package": f"p{payload % 3}", "split": "train", "passes": text,
                           "assembly": found.object.decode(), "size": len(found.object)}


@dataclass(frozen=True)
class KillOwnLlvm(Lower):
    """Has the LLVM worker of one unit killed while it runs a job, so many times; `log` counts them."""

    times: int = 0
    log: str = ""

    def rows(self, payload: int, pool: WorkerPool, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        log = Path(self.log)
        done = len(log.read_text()) if log.exists() else 0
        if payload == 2 and done < self.times:
            log.write_text("x" * (done + 1))
            with tempfile.NamedTemporaryFile() as file:
                counts[str(pool.run(Reading(Path(file.name), killed)).status)] += 1
        yield from super().rows(payload, pool, counts)


def killed(_: bytes) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Misbehave:
    """Payloads are what to do: a number, or a way to fail. log: a file that takes a line an attempt."""

    schema = pa.schema([("n", pa.int64()), ("text", pa.string())])
    log: str = ""

    def rows(self, payload: Any, pool: WorkerPool, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        if self.log:
            with open(self.log, "a") as file:
                file.write(f"{payload}\n")
        if payload == "refuse":
            raise InputError("the input is refused")
        if payload == "fault":
            yield {"n": 1, "text": "a row before the fault"}
            raise KeyError("column")
        if payload == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        if payload == "large":  # more than the limit on files that a test sets
            yield from ({"n": n, "text": os.urandom(500).hex()} for n in range(2000))
        else:
            counts["rows"] += 1
            yield {"n": int(payload), "text": "x"}


def units(count: int) -> list[Unit]:
    return [Unit(key_of("test", number, split="train"), number) for number in range(count)]


MEASURED = str(Status.MEASURED)
INVALID = str(Status.INVALID)
