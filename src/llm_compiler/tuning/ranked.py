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
from llm_compiler.models.features import Counts, counts
from llm_compiler.tuning.proposals import Proposals

FIXED_ORDER = ("the ranking knows nothing of this profile, trust tier, target or LLVM, or of files so "
               "large: the core set is tried in its fixed order")
_LARGEST = 400_000  # bytes of bitcode: to count what is larger takes a good part of a second


def counts_of(bitcode: bytes) -> Counter[str]:
    """What tells a program from others; runs in the LLVM worker."""
    with Context(library.load()) as context:
        return counts(context.parse(bitcode).text())


def ranked(found: Counts, core_set: tuple[Candidate, ...], profile: str, arch: str) -> tuple[Candidate, ...] | None:
    """The core set, the most promising first; None where the ranking has no data. Raises InputError when the
    package's file is damaged.
    """
    order = ranking.shipped().ranking.order(found, profile, arch, [candidate.digest for candidate in core_set])
    return None if order is None else tuple(core_set[index] for index in order)


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
        found = pool.run(Reading(bitcode, counts_of)).value if bitcode.stat().st_size <= _LARGEST else None
        order = ranked(found, self.core_set, self.profile, self.arch) if isinstance(found, Counter) else None
        return Proposals((order or self.core_set)[: self.samples], "" if order or self.samples is None else FIXED_ORDER)
