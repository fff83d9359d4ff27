"""The pass lists of a search space as a grammar, so that a model's answer is always one that parses and validates."""

from __future__ import annotations

import json

from llm_compiler.tuning.space import PARAMETERS, SIMPLIFYCFG_SWITCHES, Space

# What -Oz itself writes about its adaptors and analyses, and searches keep.
_FUNCTION_ADAPTORS = ("function", "function<eager-inv>", "function<eager-inv;no-rerun>")
_ANALYSES = {"module": ("require<globals-aa>", "require<profile-summary>"),
             "function": ("invalidate<aa>", "invalidate<should-not-run-function-passes>",
                          "require<should-not-run-function-passes>")}
_DEVIRT = "devirt<4>"


def pass_list_grammar(space: Space, longest: int = 20) -> str:
    """GBNF of lists of at most `longest` elements on each level, in the adaptors that they need."""
    more = max(0, longest - 1)
    loops = [name for name in ("loop", "loop-mssa") if space.passes.get(name)]
    return "\n".join([
        "root ::= module",
        *_level("module", space, more, ['"cgscc(" cgscc ")"', "function-adaptor"]),
        *_level("cgscc", space, more, [f'"{_DEVIRT}(" cgscc ")"', "function-adaptor"]),
        *_level("function", space, more, [f'"{name}(" {name} ")"' for name in loops]),
        *(line for name in loops for line in _level(name, space, more, [])),
        f'function-adaptor ::= ({" | ".join(map(json.dumps, _FUNCTION_ADAPTORS))}) "(" function ")"',
        "simplifycfg ::= " + ' ";" '.join([
            '"simplifycfg<bonus-inst-threshold=" [0-3]',
            *(f'"no-"? {json.dumps(switch)}' for switch in SIMPLIFYCFG_SWITCHES)]) + ' ">"',
    ]) + "\n"


def _level(name: str, space: Space, more: int, inner: list[str]) -> list[str]:
    choices = [text for each in space.passes.get(name, ()) for text in _spelled(each)]
    choices += [json.dumps(text) for text in _ANALYSES.get(name, ())]
    if name == "module":
        choices += [json.dumps(f"default<{level}>") for level in PARAMETERS["default"]]
    choices += inner
    return [f'{name} ::= {name}-pass ("," {name}-pass){{0,{more}}}', f"{name}-pass ::= {' | '.join(choices)}"]


def _spelled(name: str) -> list[str]:
    """A pass with each of its parameters."""
    if name == "simplifycfg":
        return ["simplifycfg"]
    return [json.dumps(name if parameters is None else f"{name}<{parameters}>")
            for parameters in PARAMETERS.get(name, (None,))]
