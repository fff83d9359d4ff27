"""Which values are addresses."""

from __future__ import annotations

from llm_compiler.lifting.calls import Call
from llm_compiler.lifting.liveness import each_live
from llm_compiler.lifting.values import Graph, Value

_ROOTS = ("arg", "load", "result", "phi", "select", "frame", "symbol", "rmw", "part")


def pointers_of(graph: Graph, live: set[int], result: str) -> set[int]:
    """Values of 64 bits that are addresses: what is accessed, what is added to, and what these come from."""
    values = list(each_live(graph, live))
    found: dict[int, Value] = {}
    todo: list[Value] = []

    def mark(value: Value) -> None:
        if value.type == "i64" and id(value) not in found and value.op not in (
                "const", "undef"):
            found[id(value)] = value
            todo.append(value)

    def origins(value: Value) -> None:
        """A value that is an address makes those addresses that it comes from."""
        if value.op == "add":
            one, two = value.args
            if id(one) in found or id(two) in found:
                return
            if two.constant is not None:
                mark(one) if one.op in (*_ROOTS, "add") else None
            elif one.op in _ROOTS and two.op not in ("frame", "symbol"):
                mark(one)
            elif two.op in _ROOTS:
                mark(two)
            elif one.op == "add":
                mark(one)
        elif value.op in ("phi", "select"):
            for arg in value.args[1 if value.op == "select" else 0 :]:
                mark(arg) if arg.op in (*_ROOTS, "add") else None

    for value in [*values, *(arg for item in values for arg in item.args)]:
        if value.op in ("frame", "symbol"):
            mark(value)
    for value in values:
        if value.op in ("load", "store", "rmw", "cmpxchg", "memset"):
            mark(value.args[0]) if value.args[0].op in (*_ROOTS, "add") else None
        elif value.op == "memcpy":
            mark(value.args[0])
            mark(value.args[1])
        elif value.op == "call":
            call: Call = value.extra
            first = 0
            if call.callee is not None:
                mark(value.args[0]) if value.args[0].op in _ROOTS else None
                first = 1
            for kind, arg in zip(call.types, value.args[first:], strict=False):
                if kind == "ptr" and arg.op in (*_ROOTS, "add"):
                    mark(arg)
        elif value.op == "result" and value.args[0].extra.result == "ptr":
            mark(value)
    changed = True
    while changed or todo:
        while todo:
            origins(todo.pop())
        changed = False
        for value in values:
            if value.op in ("phi", "select", "add") and id(value) not in found and value.type == "i64" and any(
                    id(arg) in found for arg in value.args):
                mark(value)
                changed = True
            elif value.op == "icmp" and value.args[0].type == "i64":
                one, two = value.args
                for this, other in ((one, two), (two, one)):
                    if id(this) in found and id(other) not in found and other.op in ("arg", "load", "result", "phi"):
                        mark(other)
                        changed = True
    return set(found)
