"""Jumps through tables as switches, and branches that constants decide."""

from __future__ import annotations

from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.machine import Machine
from llm_compiler.lifting.text import entries
from llm_compiler.lifting.values import EFFECTS, Graph, Value


def cut_dead_branches(graph: Graph) -> None:
    """Branches on constants, such as those of stack protectors, and the blocks that only they lead to."""
    for index, end in enumerate(graph.ends):
        if end is not None and end.op == "br" and end.args[0].constant is not None and end.extra[0] != end.extra[1]:
            taken, other = end.extra if end.args[0].constant else end.extra[::-1]
            graph.ends[index] = Value("jump", "void", (), (taken,), index)
            graph.cut(index, other)
    graph.refold()


def make_switches(machine: Machine) -> None:
    """Jumps through tables: the entry whose number is the index."""
    graph = machine.graph
    for block, end in enumerate(graph.ends):
        if end is None or end.op != "ijmp":
            continue
        index = _index(end.args[0], end.extra)
        if index is None:
            raise LiftError("an indirect jump of another form")
        graph.ends[block] = Value("switch", "void", [index], (None, entries(machine.code, end.extra)), block)


def _index(target: Value, table: str) -> Value | None:
    if target.op != "add":
        return None
    for base, offset in (target.args, target.args[::-1]):
        if base.op == "symbol" and base.extra[0] == table and offset.op == "sext" and offset.args[0].op == "load":
            address = offset.args[0].args[0]
            if address.op != "add":
                return None
            for one, two in (address.args, address.args[::-1]):
                if one.op == "symbol" and one.extra[0] == table:
                    if two.op == "shl" and two.args[1].constant == 2:
                        return two.args[0]
                    if two.constant is not None:
                        return None
    return None


def merge_ranges(graph: Graph, live: set[int]) -> None:
    """A check of the range and the switch behind it are one switch with a default."""
    for block, end in enumerate(graph.ends):
        if end is None or end.op != "switch" or len(graph.predecessors[block]) != 1:
            continue
        before = graph.predecessors[block][0]
        check = graph.ends[before]
        if check is None or check.op != "br" or any(
                value.op in EFFECTS or value.op == "phi" for value in graph.blocks[block] if id(value) in live):
            continue
        condition, index = check.args[0], end.args[0]
        inner = index.args[0] if index.op == "zext" else index
        if condition.op != "icmp" or condition.args[0] not in (inner, index) or condition.args[1].constant is None:
            continue
        number = condition.args[1].constant
        inside = {"ugt": 1, "uge": 1, "ule": 0, "ult": 0}.get(condition.extra)
        if inside is None or check.extra[inside] != block or check.extra[0] == check.extra[1]:
            continue
        count = number + (condition.extra in ("ugt", "ule"))
        default = check.extra[1 - inside]
        places = end.extra[1][:count]
        if count > len(end.extra[1]):
            continue
        if default in places and not _agree(graph, default, block, before, live):
            continue
        graph.blocks[before] += [value for value in graph.blocks[block] if id(value) in live]
        for value in graph.blocks[block]:
            value.block = before
        graph.blocks[block] = []
        for target in dict.fromkeys(graph.successors[block]):
            at = graph.predecessors[target].index(block)
            if before in graph.predecessors[target]:
                for value in graph.blocks[target]:
                    if value.op == "phi":
                        value.args = [arg for place, arg in enumerate(value.args) if place != at]
                del graph.predecessors[target][at]
            else:
                graph.predecessors[target][at] = before
        graph.successors[before] = list(dict.fromkeys([default, *places]))
        graph.successors[block] = []
        graph.predecessors[block] = []
        graph.ends[before] = Value("switch", "void", [inner if condition.args[0] is inner else index],
                                   (default, places), before)
        graph.ends[block] = None


def _agree(graph: Graph, target: int, one: int, two: int, live: set[int]) -> bool:
    before = graph.predecessors[target]
    return all(value.args[before.index(one)] is value.args[before.index(two)] for value in graph.blocks[target]
               if value.op == "phi" and id(value) in live)
