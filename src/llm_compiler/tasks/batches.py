"""Many items in one go of the LLVM worker; one that kills the worker costs itself only."""

from __future__ import annotations

import pickle
import struct
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from llm_compiler.errors import InputError, PipelineError, ToolchainError
from llm_compiler.llvm.job import Outcome, Reading, Status
from llm_compiler.llvm.worker import WorkerPool

LEFT_OUT = "left out: "
"""Begins the names of counts of what gave no example."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """An item without a result: `reason` is a word for counting, such as `crashed`."""

    reason: str
    message: str = ""


def batch(pool: WorkerPool, function: Callable[[Item], Result | Failure],
          items: Sequence[Item]) -> Iterator[Result | Failure]:
    """`function` of every item, in order, in the pool's worker; an item that kills the worker costs itself only.

    function: of a module, so that it can be sent; it may give a Failure. What it raises as InputError, PipelineError
    or MemoryError is the item's Failure. The pool's time limit holds for one item. What fails behind others runs
    again in a fresh worker: it may be their doing (passes that LLVM does not use itself corrupt memory now and then).
    """
    with tempfile.TemporaryDirectory(prefix="batch-") as name:
        given, results = Path(name) / "items", Path(name) / "results"
        given.write_bytes(pickle.dumps(list(items), protocol=5))
        start, fresh = 0, False
        while start < len(items):
            results.write_bytes(b"")
            outcome = pool.run(Reading(given, partial(_serve, function, results, start)))
            count = 0
            for result in _frames(results):
                count += 1
                yield result
            start += count
            if start < len(items) and fresh and not count:
                yield _failure(outcome)
                start += 1
            fresh = True


def _failure(outcome: Outcome) -> Failure:
    if outcome.status is Status.INVALID and outcome.message.startswith(("OSError", "FileNotFoundError")):
        raise ToolchainError(f"the worker cannot write its results: {outcome.message}; is the disk full?")
    return Failure(outcome.status.value.replace("_", " "), outcome.message)


def _serve(function: Callable[[Any], Any], results: Path, start: int, data: bytes) -> None:
    items = pickle.loads(data)
    with results.open("ab", buffering=0) as file:
        for item in items[start:]:
            try:
                result = function(item)
            except (InputError, PipelineError) as error:
                result = Failure("refused by LLVM", str(error))
            except MemoryError:
                result = Failure("out of memory")
            frame = pickle.dumps(result, protocol=5)
            file.write(struct.pack("<Q", len(frame)) + frame)


def _frames(path: Path) -> Iterator[Any]:
    with path.open("rb") as file:
        while len(header := file.read(8)) == 8:
            (size,) = struct.unpack("<Q", header)
            frame = file.read(size)
            if len(frame) < size:
                return
            yield pickle.loads(frame)


def leave_out(counts: Counter[str], reason: str, number: int = 1) -> None:
    """Count what gives no example; manifest and card list it by reason (`units.finish`)."""
    counts[f"{LEFT_OUT}{reason}"] += number


def counted(results: Iterator[Result | Failure], counts: Counter[str]) -> Iterator[Result | None]:
    """The results, None for those that failed, which are counted by reason."""
    for result in results:
        if isinstance(result, Failure):
            leave_out(counts, result.reason)
            yield None
        else:
            yield result
