"""Compiler-made x86-64 assembly of a function lifted to LLVM-IR by rules: text in, IR texts out."""

from llm_compiler.lifting.choice import Choice
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.lift import Lifting

__all__ = ["Choice", "LiftError", "Lifting"]
