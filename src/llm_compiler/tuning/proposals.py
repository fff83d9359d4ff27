"""What a model says of a program before the search: candidates to try first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.worker import WorkerPool


@dataclass(frozen=True)
class Proposals:
    """Candidates to try first on a program, the most promising first. note: what the user should know of them."""

    candidates: tuple[Candidate, ...]
    note: str = ""


class Proposer(Protocol):
    """Proposes candidates for the unoptimised bitcode in a file. identity: a text that decides what it proposes."""

    @property
    def identity(self) -> str: ...

    def __call__(self, pool: WorkerPool, bitcode: Path) -> Proposals: ...
