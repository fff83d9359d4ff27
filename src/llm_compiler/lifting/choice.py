"""What code leaves open, and how it is decided."""

from __future__ import annotations

from dataclasses import dataclass

from llm_compiler.lifting.errors import LiftError


class Returns(LiftError):
    """A call that, it seems, does not return. name: of its callee."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name or 'an indirect call'} seems not to return")
        self.name = name


@dataclass(frozen=True)
class Choice:
    """What cannot be told for sure. split: an object for each address taken in the frame, not one for all of them;
    loose: registers that other code reads, too, hold arguments; wide: constants that are passed have 64 bits;
    copied: calls at the end of code that several ways lead to are many calls; bools: bytes that are only compared with
    0 have one bit; extended: values that are extended to be passed or returned are so by the convention; full:
    results of calls and what loops carry have 64 bits; odd: a parameter that is not used is a byte; turned: branches
    ask for the contrary; ends: what is only called at the end of blocks does not return;
    result: rax, xmm0 or void. Empty for the likeliest.
    """

    split: bool = False
    loose: bool = False
    wide: bool = False
    copied: bool = False
    bools: bool = False
    extended: bool = False
    full: bool = False
    odd: bool = False
    turned: bool = False
    ends: bool = False
    result: str = ""
