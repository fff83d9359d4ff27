"""What lifting raises."""

from __future__ import annotations

from llm_compiler.errors import LlmcError


class LiftError(LlmcError):
    """Code that no rule covers, or that does what compilers do not; one sentence says what."""
