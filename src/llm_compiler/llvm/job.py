"""What a worker is asked and what it answers: jobs and outcomes as values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from llm_compiler.llvm.objectfile import ObjectSize
from llm_compiler.llvm.pipeline import Candidate, Pass, PassList
from llm_compiler.llvm.target import Lowering

_HEAVY = ("default", "cgscc", "inliner-wrapper", "lto-pre-link", "thinlto-pre-link", "lto", "thinlto")


class Status(StrEnum):
    """What became of an evaluation."""

    MEASURED = "measured"
    INVALID = "invalid"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    WRONG = "wrong"


@dataclass(frozen=True)
class Limits:
    """seconds: wall time of one job; memory: address space of one worker in bytes."""

    seconds: float = 60.0
    memory: int = 4 << 30


@dataclass(frozen=True)
class Job:
    """One evaluation. `input` is a bitcode file. `lower` off stops after the passes.

    whole: run the pass list in one go, as `opt` does, not at the cut points.
    keep_bitcode, keep_object, assembly: what to send back beside the sizes. keep_below: send the bitcode back, verified
    and counted, when the object is no larger than this.
    """

    input: Path
    candidate: Candidate
    lowering: Lowering
    lower: bool = True
    whole: bool = False
    verify: bool = False
    count: bool = False
    keep_bitcode: bool = False
    keep_object: bool = False
    assembly: bool = False
    keep_below: int | None = None


@dataclass(frozen=True)
class Reading:
    """A file to be read by a function of this package in a worker, where LLVM may die over it.

    reader: takes the file's bytes; a function of a module, so that it can be sent. Its result is the outcome's `value`.
    """

    input: Path
    reader: Callable[[bytes], object]


@dataclass(frozen=True)
class Inspection:
    """What a file holds: its bitcode, triple, code model and relocation model (as `Lowering` has them), the number of
    functions with a body, the names of those that carry `optnone`, and of those that the object can do without once all
    calls of them are inlined (largest first).
    """

    bitcode: bytes = field(repr=False)
    triple: str
    relocation: int
    code_model: int
    functions: int
    optnone: tuple[str, ...]
    inlinable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """Sizes in bytes; `instructions` in IR, counted only on request; hashes of the optimised IR and of the object."""

    size: ObjectSize | None
    ir_hash: str
    object_hash: str = ""
    instructions: int | None = None
    bitcode: bytes | None = field(default=None, repr=False)
    object: bytes | None = field(default=None, repr=False)
    seconds: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """`measurement` is set when, and only when, the status is MEASURED."""

    status: Status
    measurement: Measurement | None = None
    message: str = ""
    inspection: Inspection | None = None
    value: object = None
    crash_folder: Path | None = None


def segments(passes: PassList) -> tuple[tuple[Pass, ...], ...]:
    """Cut a pass list around its expensive elements, where the module goes through bitcode so that lists which
    share a prefix share its result. Elements that only prepare analyses stay with what uses them.
    """
    cuts: list[tuple[Pass, ...]] = []
    current: list[Pass] = []
    for item in passes.passes:
        if item.name in _HEAVY:
            attached: list[Pass] = []
            while current and _prepares(current[-1]):
                attached.insert(0, current.pop())
            if current:
                cuts.append(tuple(current))
            cuts.append((*attached, item))
            current = []
        else:
            current.append(item)
    if current or not cuts:
        cuts.append(tuple(current))
    return tuple(cuts)


def _prepares(item: Pass) -> bool:
    if item.name in ("require", "invalidate"):
        return True
    return item.name == "function" and all(child.name in ("require", "invalidate") for child in item.children)
