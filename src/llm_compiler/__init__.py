"""LLM Compiler: smaller objects than -Oz, verified."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llm_compiler.tuning.tuner import tune

__version__ = "0.1.0"
__all__ = ["tune"]


def __getattr__(name: str) -> Any:
    # Importing the package stays cheap: the compiler wrapper does it for every compilation.
    if name == "tune":
        from llm_compiler.tuning.tuner import tune

        return tune
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
