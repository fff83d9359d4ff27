"""What a tuning came to: enough to replay it, and to do so without this package."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from llm_compiler.llvm.job import segments
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.paths import write_atomically
from llm_compiler.validation.differential.verdict import Verification


class TuningStatus(StrEnum):
    """improved: smaller than the baseline. no_gain: the baseline stands. failed: the input could not be tuned."""

    IMPROVED = "improved"
    NO_GAIN = "no_gain"
    FAILED = "failed"


@dataclass(frozen=True)
class Sizes:
    """bytes: what the object takes when loaded; text_data: .text + .data; instructions: of the optimised IR."""

    bytes: int
    text_data: int
    instructions: int | None = None


@dataclass(frozen=True)
class TuningResult:
    """One input's result. `object` is what to ship: the tuned object, or clang's own where nothing was gained."""

    input: str
    status: TuningStatus
    profile: str
    target: str
    llvm: str
    seed: int
    baseline: Sizes | None = None
    best: Sizes | None = None
    candidate: Candidate | None = None
    tier: str = "production"
    verification: Verification = field(default_factory=Verification)
    evaluations: int = 0
    seconds: float = 0.0
    from_store: bool = False
    interrupted: bool = False
    message: str = ""
    input_hash: str = ""
    reproduce: tuple[str, ...] = ()
    outcomes: tuple[tuple[str, int], ...] = ()
    trace: tuple[tuple[float, int, int], ...] = ()
    cpu_seconds: float = 0.0
    object: bytes | None = None
    bitcode: bytes | None = None

    @property
    def saving_pct(self) -> float:
        """Per cent of the baseline's bytes; 0 when nothing was gained or there is no code."""
        if self.baseline is None or self.best is None or self.baseline.bytes == 0:
            return 0.0
        return 100.0 * (self.baseline.bytes - self.best.bytes) / self.baseline.bytes

    @property
    def pass_list(self) -> str:
        return self.candidate.passes.text if self.candidate else ""

    def write(self, path: str | Path) -> None:
        """Write the object atomically. Raises InputError when it cannot be written."""
        if self.object is None:
            raise ValueError("a failed result has no object")
        write_atomically(Path(path), self.object)

    def as_record(self) -> dict[str, Any]:
        """The JSON object that `llmc tune --json` prints."""
        best: dict[str, Any] | None = None
        if self.best is not None:
            best = {
                **_sizes(self.best),
                "pass_list": self.pass_list,
                "codegen_options": list(self.candidate.codegen_options) if self.candidate else [],
                "pass_options": list(self.candidate.pass_options) if self.candidate else [],
            }
        return {
            "input": self.input, "status": str(self.status), "profile": self.profile, "target": self.target,
            "llvm": self.llvm, "baseline": _sizes(self.baseline) if self.baseline else None, "best": best,
            "saving_pct": round(self.saving_pct, 4), "evaluations": self.evaluations,
            "seconds": round(self.seconds, 3), "seed": self.seed, "tier": self.tier,
            "verification": self.verification.as_record(), "reproduce": list(self.reproduce),
            "input_hash": self.input_hash,
            "from_store": self.from_store, "outcomes": dict(self.outcomes), "message": self.message,
        }

    @staticmethod
    def from_record(record: dict[str, Any], object_: bytes) -> TuningResult:
        """The result that `as_record` wrote, from the store."""
        best = record["best"]
        candidate = None
        if best is not None and record["status"] == TuningStatus.IMPROVED:
            candidate = Candidate(PassList.parse(best["pass_list"]), tuple(best["codegen_options"]),
                                  tuple(best["pass_options"]))
        return TuningResult(
            input=record["input"], status=TuningStatus(record["status"]), profile=record["profile"],
            target=record["target"], llvm=record["llvm"], seed=record["seed"],
            baseline=_from(record["baseline"]), best=_from(best), candidate=candidate, tier=record["tier"],
            verification=Verification.from_record(record["verification"]),
            evaluations=record["evaluations"], seconds=record["seconds"],
            from_store=True, message=record["message"], input_hash=record["input_hash"],
            reproduce=tuple(record["reproduce"]), outcomes=tuple(record["outcomes"].items()), object=object_,
        )


def _sizes(sizes: Sizes) -> dict[str, int | None]:
    return {"bytes": sizes.bytes, "text_data": sizes.text_data, "instructions": sizes.instructions}


def _from(record: dict[str, Any] | None) -> Sizes | None:
    return None if record is None else Sizes(record["bytes"], record["text_data"], record["instructions"])


def stock_commands(
    source: str, candidate: Candidate, frontend: list[str], lowering: list[str], ir_input: bool
) -> tuple[str, ...]:
    """Shell lines with clang and opt alone that give the same object."""
    lines = []
    if not ir_input:
        lines.append(shlex.join(frontend))
    # LLVM's C API writes no order of uses into bitcode. The steps are those of the workers: see `segments`.
    runs = [["opt", "-preserve-bc-uselistorder=false", "-passes=verify"]] if ir_input else []
    for part in segments(candidate.passes):
        runs.append(["opt", "-discard-value-names", "-preserve-bc-uselistorder=false",
                     f"-passes={','.join(map(str, part)) or 'verify'}", *candidate.pass_options])
    runs[0].append(source if ir_input else "unoptimised.bc")
    runs[-1] += ["-o", "optimised.bc"]
    lines.append(" | ".join(map(shlex.join, runs)))
    lines.append(shlex.join(lowering))
    return tuple(lines)
