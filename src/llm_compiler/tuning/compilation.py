"""One compilation of the compiler wrapper: clang has made its object, the tuner may offer a smaller one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_compiler.llvm.registry import Tier
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.result import TuningStatus
from llm_compiler.tuning.tuner import Tuner, TuningOptions
from llm_compiler.validation.differential import Level

_LEVELS = ("-O0", "-O1", "-O2", "-O3", "-Os", "-Oz", "-Ofast", "-Og", "-O", "-O4")


@dataclass(frozen=True)
class TunedObject:
    """improved: `object` is smaller than clang's, in bytes that are loaded. from_store: no search was needed."""

    improved: bool
    from_store: bool
    baseline_bytes: int
    best_bytes: int
    object: bytes | None
    note: str


def tune_object(*, clang: str, cflags: Sequence[str], source: str, baseline_object: Path, budget: str, trust: str,
                jobs: int, verify: str) -> TunedObject:
    """Tune one compilation against the object that clang made of it.

    cflags: the user's arguments without source, -c, -o and dependency flags. Raises LlmcError for a bad setting.
    """
    levels = [flag for flag in cflags if flag in _LEVELS]
    options = TuningOptions(
        budget=Budget.parse(budget), tier=Tier.parse(trust), jobs=jobs, clang=clang,
        verify=Level.parse(verify),
        cflags=tuple(flag for flag in cflags if flag not in _LEVELS), level=levels[-1] if levels else "-O0",
    )
    with Tuner(options) as tuner:
        result = tuner.tune(source, baseline_object=baseline_object.read_bytes())
    baseline = result.baseline.bytes if result.baseline else 0
    best = result.best.bytes if result.best else baseline
    improved = result.status is TuningStatus.IMPROVED
    note = "; ".join(filter(None, (f"{result.evaluations} evaluations in {result.seconds:.1f} s", result.message)))
    return TunedObject(improved, result.from_store, baseline, best, result.object if improved else None, note)
