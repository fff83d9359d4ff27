"""A function's assembly to IR texts: one for each choice that the code leaves open."""

from __future__ import annotations

from dataclasses import replace

from llm_compiler.lifting.build import build
from llm_compiler.lifting.calls import NORETURN, last_calls
from llm_compiler.lifting.choice import Choice, Returns
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.frame import recover
from llm_compiler.lifting.passing import returned
from llm_compiler.lifting.printing import printed
from llm_compiler.lifting.settle import settle
from llm_compiler.lifting.text import read

_TRIES = 8


class Lifting:
    """A function's assembly, lifted by one choice after the other."""

    def __init__(self, assembly: str, name: str) -> None:
        self._assembly = assembly
        self._name = name
        self._noreturn: frozenset[str] = NORETURN
        self._results: list[str] = []

    def text(self, choice: Choice) -> tuple[str, list[str]]:
        """IR text, and the places that may hold the function's result, likely ones first. Raises LiftError."""
        for _ in range(_TRIES):
            try:
                return self._first(choice)
            except (AttributeError, IndexError, KeyError, RecursionError, ValueError) as error:
                # Text is taken apart as compilers write it; what is written otherwise ends here.
                raise LiftError(f"code of another form than compilers make ({type(error).__name__})") from error
            except Returns as error:
                if not error.name or error.name in self._noreturn:
                    break
                self._noreturn |= {error.name}
        raise LiftError("it reads what a call leaves in registers")

    def _first(self, choice: Choice) -> tuple[str, list[str]]:
        """By the first place for a result that can be, where none is chosen."""
        self._results = []
        try:
            return self._once(choice)
        except Returns:
            raise
        except LiftError:
            for result in self._results[1:] if not choice.result else ():
                try:
                    return self._once(replace(choice, result=result))[0], [result]
                except LiftError:
                    continue
            raise

    def _once(self, choice: Choice) -> tuple[str, list[str]]:
        noreturn = self._noreturn
        if choice.ends:
            noreturn |= last_calls(read(self._assembly, self._name, noreturn))
        code = read(self._assembly, self._name, noreturn, copied=choice.copied)
        frame = recover(code.blocks, code.saved)
        frame.settle(split=choice.split)
        graph, machine = build(code, frame, noreturn)
        results = self._results = returned(graph)
        settled = settle(machine, choice if choice.result else replace(choice, result=results[0]))
        return printed(settled), results
