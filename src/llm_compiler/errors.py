"""What this package raises.

    LlmcError                a wrong input or a missing tool: one sentence that says what to do
    ├── InputError           a file that cannot be tuned (missing, not IR, corrupted, optnone …)
    ├── PipelineError        a pass list or option that does not parse or that this LLVM does not know
    ├── CompileError         clang refused the input; `diagnostics` holds what it printed
    ├── ToolchainError       libLLVM, clang or zig is missing or unusable
    └── StorageError         a file that cannot be written: the disk is full or the folder is read-only

Outcomes of evaluations (crashed, timed out …) are values, never exceptions: see `llvm.job.Status`.
"""

from __future__ import annotations


class LlmcError(Exception):
    """Base of every error that a user can cause and mend; the command line exits with 2 on it."""


class InputError(LlmcError):
    """The input file cannot be used."""


class PipelineError(LlmcError):
    """A pass list or an option is malformed or unknown."""


class CompileError(LlmcError):
    """clang refused the input."""

    def __init__(self, message: str, diagnostics: str = "") -> None:
        super().__init__(message)
        self.diagnostics = diagnostics


class ToolchainError(LlmcError):
    """A library or program that is needed was not found or does not work."""


class StorageError(LlmcError):
    """A result cannot be written."""
