"""Items as LLVM takes them: bitcode, how it is lowered, and what -Oz makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from llm_compiler.errors import CompileError, InputError
from llm_compiler.evaluation.suites import Item
from llm_compiler.llvm import frontend
from llm_compiler.llvm.job import Inspection, Job, Limits, Measurement, Reading, Status
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.target import X86_64, Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks.labels.bench import Prepare, Prepared
from llm_compiler.tasks.labels.search import full_space
from llm_compiler.tasks.prompts import DisassemblyPrompt, Unparsed, parse_prompt

LIMITS = Limits(seconds=30.0)
"""Of one candidate on one program."""


class Refused(Exception):
    """A program that is not evaluated. status: a word for counting."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Program:
    """path: its bitcode, unoptimised. baseline: what -Oz gives, with its object."""

    path: Path
    prepared: Prepared
    inlinable: tuple[str, ...]
    baseline: Measurement

    @property
    def bytes(self) -> int:
        return self.baseline.size.total if self.baseline.size else 0

    @property
    def text_data(self) -> int:
        return self.baseline.size.text_data if self.baseline.size else 0


def code_of(item: Item, cflags: Sequence[str] = ()) -> bytes:
    """An item's unoptimised IR, text or bitcode. Raises Refused."""
    if item.path is None:
        asked = parse_prompt(item.row["prompt"])
        if isinstance(asked, Unparsed | DisassemblyPrompt):
            raise Refused("refused", "the example's prompt holds no IR")
        return asked.ir.encode(errors="replace")
    path = item.path
    if path.suffix in frontend.IR_SUFFIXES:
        return path.read_bytes()
    clang = frontend.clang_for(X86_64, frontend.is_cxx(path))
    with frontend.temporary_folder() as name:
        output = Path(name) / "unoptimised.bc"
        try:
            frontend.emit_unoptimised(clang, path, cflags, output)
        except CompileError as error:
            raise Refused("refused", str(error)) from error
        return output.read_bytes()


def open_program(item: Item, profile: Profile, folder: Path, pool: WorkerPool,
                 cflags: Sequence[str] = ()) -> Program:
    """Raises Refused for what this LLVM does not take, cannot improve (optnone), or that has no code."""
    path = folder / f"{item.key}.bc"
    path.write_bytes(code_of(item, cflags))
    inspection = pool.inspect(path)
    if not isinstance(inspection, Inspection):
        raise Refused("refused", inspection.message or str(inspection.status))
    if inspection.functions and len(inspection.optnone) == inspection.functions:
        raise Refused("optnone", "all functions carry `optnone`, which blocks every pass")
    prepared = pool.run(Reading(path, Prepare(profile)))
    if not isinstance(prepared.value, Prepared):
        raise Refused("no_code" if not inspection.functions else "refused", prepared.message)
    path.write_bytes(prepared.value.bitcode)
    job = Job(path, Candidate(full_space(profile).oz), prepared.value.lowering, verify=True, count=True,
              keep_object=True)
    outcome = pool.run(job)
    if outcome.status is not Status.MEASURED or outcome.measurement is None:
        raise Refused("refused", f"-Oz: {outcome.message or outcome.status}")
    program = Program(path, prepared.value, inspection.inlinable, outcome.measurement)
    if not program.bytes:
        raise Refused("no_code", "the object has no code")
    return program


@contextmanager
def pool_of(jobs: int) -> Iterator[WorkerPool]:
    """Fresh workers, which keep nothing of what others did."""
    with WorkerPool(jobs, LIMITS) as pool:
        yield pool


def profile_of(text: str) -> Profile:
    """Raises InputError for an unknown profile."""
    if text not in list(Profile):
        raise InputError(f"unknown profile '{text}'; use {' or '.join(Profile)}")
    return Profile(text)
