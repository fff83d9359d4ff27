"""Which values matter, and where values come from."""

from __future__ import annotations

from collections.abc import Iterator

from llm_compiler.lifting.values import EFFECTS, Graph, Value


def effects(graph: Graph) -> Iterator[Value]:
    for block in graph.blocks:
        for value in block:
            if value.op in EFFECTS:
                yield value


def live_values(graph: Graph, *, but_returns: bool = False) -> set[int]:
    todo = list(effects(graph))
    todo += [end for end in graph.ends if end is not None and not (but_returns and end.op == "ret")]
    live: set[int] = set()
    while todo:
        value = todo.pop()
        if id(value) not in live:
            live.add(id(value))
            todo += value.args
    return live


def each_live(graph: Graph, live: set[int]) -> Iterator[Value]:
    """Live values, with what ends blocks, arguments and constants aside."""
    for index, block in enumerate(graph.blocks):
        for value in block:
            if id(value) in live:
                yield value
        end = graph.ends[index]
        if end is not None:
            yield end


def sources(value: Value, seen: set[int]) -> Iterator[Value]:
    """What a value may be, phis aside."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if value.op == "phi":
        for arg in value.args:
            yield from sources(arg, seen)
    else:
        yield value
