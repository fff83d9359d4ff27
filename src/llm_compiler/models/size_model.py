"""A small model of sizes: instructions and bytes before and after a pass list, from text alone, in milliseconds.

Bytes before are nearly a sum over what the IR holds, so a weight for each count comes first (fitted to least relative
error) and trees correct it. Bytes and instructions after are those before, times what trees make of program and list.
Sizes are those of code lowered at code generation level -O0, as in the reference's emulation (arXiv 2407.02524).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import Self

from llm_compiler.errors import InputError
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.models.features import Counts, counts, pass_counts, row
from llm_compiler.models.trees import Trees
from llm_compiler.tasks.prompts import Sizes

FILE = "sizes.bin"
BEFORE, AFTER, INSTRUCTIONS_AFTER = range(3)
"""Outputs of the trees: what bytes before, bytes after and instructions after are multiplied by."""

CONSTANT = "a module"
"""The weight of what every object has."""

ESTIMATE = "estimated bytes"
_MAGIC = b"llmc sizes 1\n"
_ORDER_FILE = "pass instrorderfile"
_ORDER_FILE_BYTES = (1 << 20) + 64  # a table of 2^17 places for 8 bytes, each time it runs
_LEAST_FACTOR = 0.01


@dataclass(frozen=True)
class PredictedSizes:
    """after: None without a pass list."""

    before: Sizes
    after: Sizes | None = None


@dataclass(frozen=True)
class SizeModel:
    """weights: bytes for each count of `features.counts`, and for CONSTANT. trees: see BEFORE."""

    weights: Mapping[str, float]
    trees: Trees

    def predict(self, ir: str, passes: PassList | None = None) -> PredictedSizes:
        """Sizes of unoptimised IR text. Raises InputError for a text that holds neither code nor data."""
        found = counts(ir)
        if not any(found[name] for name in ("instructions", "constants", "data", "zeros")):
            raise InputError("the IR holds neither code nor data")
        return self.predict_counts(found, None if passes is None else pass_counts(passes))

    def predict_counts(self, found: Counts, told: Counts | None) -> PredictedSizes:
        """Sizes by `features.counts` and `features.pass_counts`."""
        instructions = round(found.get("instructions", 0))
        estimated = estimate(found, self.weights)
        known = {ESTIMATE: estimated, **shares(found), **found}
        before = Sizes(instructions, round(estimated * self._factor(row(self.trees.names, known), BEFORE)))
        if told is None:
            return PredictedSizes(before)
        inputs = row(self.trees.names, known, told)
        return PredictedSizes(before, Sizes(
            round(instructions * self._factor(inputs, INSTRUCTIONS_AFTER)),
            round(with_table(estimated, told) * self._factor(inputs, AFTER))))

    def _factor(self, inputs: Sequence[float], output: int) -> float:
        return max(_LEAST_FACTOR, self.trees.predict(inputs, output))

    def to_bytes(self) -> bytes:
        return _MAGIC + json.dumps(dict(self.weights)).encode() + b"\n" + self.trees.to_bytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises InputError for bytes that `to_bytes` did not make."""
        head, _, trees = data.removeprefix(_MAGIC).partition(b"\n")
        try:
            if not data.startswith(_MAGIC):
                raise ValueError("it does not begin as one does")
            weights = {str(name): float(weight) for name, weight in json.loads(head).items()}
        except (ValueError, AttributeError, TypeError) as error:
            raise InputError(f"these bytes are no model of sizes: {error}") from error
        return cls(weights, Trees.from_bytes(trees))


def estimate(found: Counts, weights: Mapping[str, float]) -> float:
    """Bytes by weights alone."""
    return weights.get(CONSTANT, 0.0) + sum(weights.get(name, 0.0) * count for name, count in found.items())


def shares(found: Counts) -> dict[str, float]:
    """Counts by instruction."""
    least = max(1.0, found.get("instructions", 0))
    return {f"{name} an instruction": count / least for name, count in found.items()}


def with_table(size: float, told: Counts) -> float:
    """Bytes with what `instrorderfile` adds to any module: a megabyte each time."""
    return size + _ORDER_FILE_BYTES * told.get(_ORDER_FILE, 0)


@lru_cache(maxsize=1)
def shipped() -> SizeModel:
    """The model that comes with the package; `benchmarks/size_model.py` trains it."""
    return SizeModel.from_bytes(resources.files("llm_compiler.data").joinpath(FILE).read_bytes())
