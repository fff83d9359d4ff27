"""The grammar holds the lists that searches find; that all it holds is valid is tried in test_engines.py."""

from __future__ import annotations

import json
import random
import re

import pytest

from llm_compiler.llvm.pipeline import Pass, PassList
from llm_compiler.llvm.target import Profile
from llm_compiler.tasks.grammar import pass_list_grammar
from llm_compiler.tasks.labels.search import list_space
from llm_compiler.tuning.space import SIMPLIFYCFG_SWITCHES

SIMPLIFYCFG = re.compile(";".join(["bonus-inst-threshold=[0-3]", *(f"(no-)?{name}" for name in SIMPLIFYCFG_SWITCHES)]))
ADAPTORS = {("cgscc", "module"): "cgscc", ("devirt<4>", "cgscc"): "cgscc", ("loop", "function"): "loop",
            ("loop-mssa", "function"): "loop-mssa"}
FOUND = [
    "cgscc(devirt<4>(function<eager-inv;no-rerun>(jump-threading,instcombine),inline,function(dse)))",
    "require<globals-aa>,function(invalidate<aa>),cgscc(function(loop-mssa(licm),gvn)),default<Oz>",
    "function<eager-inv>(mem2reg,loop(loop-rotate<no-header-duplication>)),globaldce",
    "cgscc(devirt<4>(function(require<should-not-run-function-passes>)))",
]


def outside(grammar: str, passes: tuple[Pass, ...], level: str = "module") -> list[str]:
    """What of a pipeline the grammar does not hold, by a reading of its rules of one literal each."""
    rules = dict(line.split(" ::= ") for line in grammar.splitlines())
    found = []
    for item in passes:
        text = item.name if item.parameters is None else f"{item.name}<{item.parameters}>"
        if item.children:
            inner = ADAPTORS.get((text, level))
            if inner is None and level in ("module", "cgscc") and json.dumps(text) in rules["function-adaptor"]:
                inner = "function"
            found += outside(grammar, item.children, inner) if inner else [str(item)]
        elif item.name == "simplifycfg":
            if level != "function" or not SIMPLIFYCFG.fullmatch(item.parameters or ""):
                found.append(str(item))
        elif json.dumps(text) not in rules[f"{level}-pass"].split(" | "):
            found.append(f"{level}: {text}")
    return found


@pytest.mark.parametrize("profile", Profile)
def test_lists_that_are_found_can_be_said(profile: Profile) -> None:
    space, rng = list_space(profile), random.Random(1)
    grammar = pass_list_grammar(space)
    lists = [PassList.parse(text) for text in FOUND] + [candidate.passes for candidate in space.core_set]
    lists += [space.random_list(rng) for _ in range(200)]
    for passes in lists:
        assert outside(grammar, passes.passes) == []
    assert outside(grammar, PassList.parse("function(structurizecfg),gvn").passes) == [
        "function: structurizecfg", "module: gvn"]
