"""Functions of a variable number of arguments: what sets a list of arguments up becomes `va_start`."""

from __future__ import annotations

from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.frame import Frame
from llm_compiler.lifting.values import Graph, Value

_OFFSETS, _FLOATS, _SIZE = 8, 48, 24  # bytes of the two offsets; where vector registers begin; bytes of a list


def find_lists(graph: Graph, frame: Frame, area: int) -> int:
    """Put `va_start` for what stores a list's four fields; the number of parameters that have a name.

    area: the offset in the frame where registers are saved. Raises LiftError where the fields are set in another way.
    """
    named = -1
    for block in graph.blocks:
        for store in [value for value in block if value.op == "store"]:
            place, what = store.args
            if what.op == "frame" and what.extra == area and place.op == "frame":
                start = place.extra - 16
                named = max(named, _start(block, store, start))
                frame.shorten(start, _SIZE)
    if named < 0:
        raise LiftError("it takes a variable number of arguments in another way")
    return named


def _start(block: list[Value], last: Value, start: int) -> int:
    """Replace the stores of one list. `last` stays, as the call."""
    number = -1
    for value in list(block):
        if value.op != "store" or value is last or value.args[0].op != "frame":
            continue
        offset, what = value.args[0].extra - start, value.args[1]
        if not 0 <= offset < 16:
            continue
        if offset == 0 and what.constant is not None:
            number = (what.constant & 0xFFFFFFFF) // _OFFSETS
            if what.constant >> 32 not in (0, _FLOATS):
                raise LiftError("a variadic function with parameters in vector registers")
        elif offset == 4 and what.constant != _FLOATS:
            raise LiftError("a variadic function with parameters in vector registers")
        elif offset == _OFFSETS and (what.op != "frame" or what.extra < 8):
            raise LiftError("a list of arguments of another form")
        block.remove(value)
    last.op, last.args = "va_start", [_at(last.args[0], start)]
    return number


def _at(frame: Value, offset: int) -> Value:
    return Value("frame", "i64", (), offset, frame.block)
