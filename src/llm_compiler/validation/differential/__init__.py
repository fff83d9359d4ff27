"""Differential execution of a module's functions: unoptimised, -Oz and candidate side by side."""

from llm_compiler.validation.differential.execution import Differential, Level
from llm_compiler.validation.differential.exploring import Effort
from llm_compiler.validation.differential.program import ProgramError
from llm_compiler.validation.differential.verdict import (
    Counterexample,
    FunctionStatus,
    FunctionVerdict,
    Verification,
)
from llm_compiler.validation.differential.versions import open_differential

__all__ = [
    "Counterexample",
    "Differential",
    "Effort",
    "FunctionStatus",
    "FunctionVerdict",
    "Level",
    "ProgramError",
    "Verification",
    "open_differential",
]
