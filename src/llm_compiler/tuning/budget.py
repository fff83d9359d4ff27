"""Budgets: seconds of wall time or a number of evaluations."""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_compiler.errors import PipelineError


@dataclass(frozen=True)
class Budget:
    """Exactly one of `seconds` and `evaluations` is set."""

    seconds: float | None = None
    evaluations: int | None = None

    @staticmethod
    def parse(text: str) -> Budget:
        """`10s`, `500ms`, `2m` are time; a bare number is evaluations. Raises PipelineError for anything else."""
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|min|h)?", text.strip())
        if match is None:
            raise PipelineError(f"budget '{text}' is neither a time such as 10s nor a number such as 400 evaluations")
        number, unit = float(match.group(1)), match.group(2)
        if number > 1e9:
            raise PipelineError(f"a budget of {text} is too large")
        if number <= 0:
            raise PipelineError("the budget must be more than 0")
        if unit is None:
            if number != int(number):
                raise PipelineError(f"a budget of {text} evaluations is no whole number; write {text}s for seconds")
            return Budget(evaluations=int(number))
        return Budget(seconds=number * {"ms": 0.001, "s": 1, "m": 60, "min": 60, "h": 3600}[unit])

    def __str__(self) -> str:
        return f"{self.seconds:g}s" if self.seconds is not None else str(self.evaluations)
