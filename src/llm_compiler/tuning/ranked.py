"""The core set in the order that the ranking which comes with the package gives a program."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from llm_compiler.llvm import library
from llm_compiler.llvm.job import Reading
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models import ranking
from llm_compiler.models.features import counts
from llm_compiler.tuning.proposals import Proposals

FIXED_ORDER = ("the ranking knows nothing of this profile, trust tier, target or LLVM, or of files so "
               "large: the core set is tried in its fixed order")
_LARGEST = 400_000  # bytes of bitcode: to count what is larger takes a good part of a second


def counts_of(bitcode: bytes) -> Counter[str]:
    """What tells a program from others; runs in the LLVM worker."""
    with Context(library.load()) as context:
        return counts(context.parse(bitcode).text())


@dataclass(frozen=True)
class RankedCoreSet:
    """Proposes the first `samples` of the ranked core set; None: all of it, for a search to go on from."""

    core_set: tuple[Candidate, ...]
    profile: str
    arch: str
    samples: int | None = None

    @property
    def identity(self) -> str:
        return f"the core set as ranking {ranking.shipped().identity} has it, {self.samples}"

    def __call__(self, pool: WorkerPool, bitcode: Path) -> Proposals:
        order = self._order(pool, bitcode)
        candidates = self.core_set if order is None else tuple(self.core_set[index] for index in order)
        return Proposals(candidates[: self.samples], FIXED_ORDER if order is None and self.samples else "")

    def _order(self, pool: WorkerPool, bitcode: Path) -> list[int] | None:
        known = ranking.shipped().ranking
        asked = self.profile, self.arch, [candidate.digest for candidate in self.core_set]
        if not known.knows(*asked) or bitcode.stat().st_size > _LARGEST:
            return None
        found = pool.run(Reading(bitcode, counts_of)).value
        return known.order(found, *asked) if isinstance(found, Counter) else None
