"""The compiler wrapper `llmc cc` and `llmc c++`: drop-in for clang, smaller objects, as dull as ccache."""

from llm_compiler.cc.arguments import Plan, plan
from llm_compiler.cc.flags import Effect, Reason
from llm_compiler.cc.wrapper import main

__all__ = ["Effect", "Plan", "Reason", "main", "plan"]
