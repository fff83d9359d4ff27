"""A function's assembly to IR texts: one for each choice that the code leaves open."""

from __future__ import annotations

from llm_compiler.lifting.build import build
from llm_compiler.lifting.calls import NORETURN
from llm_compiler.lifting.frame import recover
from llm_compiler.lifting.machine import Machine
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.printing import printed
from llm_compiler.lifting.settle import Choice, Returns, returned, settle
from llm_compiler.lifting.text import read

_TRIES = 8


def lift(assembly: str, name: str) -> dict[str, Choice]:
    """IR texts with the choices that they were made by, the likeliest first. Raises LiftError when there is none."""
    noreturn: frozenset[str] = NORETURN
    found: dict[str, Choice] = {}
    problem: LiftError | None = None
    results: list[str] = []
    for split in (False, True):
        for loose in (False, True):
            for rank in range(3):
                if results and rank >= len(results):
                    break
                for _ in range(_TRIES):
                    try:
                        text, results, choice = _once(assembly, name, noreturn, split, loose, rank)
                        found.setdefault(text, choice)
                    except Returns as error:
                        if error.name and error.name not in noreturn:
                            noreturn |= {error.name}
                            continue
                        problem = problem or LiftError(f"it reads what {error.name or 'a call'} leaves in registers")
                    except LiftError as error:
                        problem = problem or error
                    break
                if problem is not None and not results:
                    raise problem
    if not found:
        raise problem or LiftError("it cannot be lifted")
    return found


def _once(assembly: str, name: str, noreturn: frozenset[str], split: bool, loose: bool,
          rank: int) -> tuple[str, list[str], Choice]:
    code = read(assembly, name, noreturn)
    frame = recover(code.blocks)
    frame.settle(split=split)
    graph, machine = build(code, frame, noreturn)
    results = returned(graph)
    choice = Choice(split, loose, results[min(rank, len(results) - 1)])
    return printed(settle(machine, choice)), results, choice
