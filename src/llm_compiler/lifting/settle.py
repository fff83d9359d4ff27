"""What the code itself leaves open, settled: arguments of calls, results, sizes of values, what is a pointer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llm_compiler.lifting.build import clobbered_by
from llm_compiler.lifting.calls import FLOATS, INTEGERS
from llm_compiler.lifting.choice import Choice, Returns
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.liveness import each_live, live_values
from llm_compiler.lifting.machine import Machine
from llm_compiler.lifting.narrowing import give_types, narrow
from llm_compiler.lifting.passing import choose_arguments, choose_results
from llm_compiler.lifting.pointers import pointers_of
from llm_compiler.lifting.switches import cut_dead_branches, make_switches, merge_ranges
from llm_compiler.lifting.values import Graph, Value
from llm_compiler.lifting.variadic import find_lists


@dataclass
class Settled:
    """live: values that matter. pointers: those of 64 bits that are addresses. parameters: in the order of IR."""

    machine: Machine
    graph: Graph
    result: str
    parameters: list[Value | str]
    live: set[int]
    pointers: set[int]
    choice: Choice


def settle(machine: Machine, choice: Choice) -> Settled:
    """Raises LiftError; Returns where a register is read that a call has spoilt."""
    graph = machine.graph
    cut_dead_branches(graph)
    area = machine.frame.area
    named = None if area is None else find_lists(graph, machine.frame, area)
    make_switches(machine)
    choose_arguments(graph, choice)
    choose_results(graph, choice)
    give_types(machine)
    graph.refold()
    narrow(graph, choice)
    graph.refold()
    live = live_values(graph)
    merge_ranges(graph, live)
    live = live_values(graph)
    _known(machine, graph, live)
    parameters = _parameters(graph, live, choice)
    if named is not None:
        if len(parameters) > named or choice.odd:
            raise LiftError("a variadic function that reads more parameters than it names")
        parameters += ["i64"] * (named - len(parameters)) + ["..."]
    result = _result_type(graph, choice)
    pointers = pointers_of(graph, live, result)
    return Settled(machine, graph, result, parameters, live, pointers, choice)


def _known(machine: Machine, graph: Graph, live: set[int]) -> None:
    """Raise where a value is used that nothing has set; a phi may have such an operand."""
    for value in each_live(graph, live):
        for arg in value.args:
            if arg.op == "saved":
                raise LiftError(f"it uses {arg.extra} of its caller")
            if arg.op != "undef" or value.op == "insert":
                continue
            call = clobbered_by(arg)
            if call is not None and arg.extra == "rdx" and (value.op != "phi" or _goes_on(machine, call)):
                arg.op, arg.type = "result", "i64"
                continue
            if call is not None and not call.extra.ends and not call.extra.tail:
                raise Returns(call.extra.name)
            if value.op != "phi":
                raise LiftError(f"it reads {arg.extra}, which nothing has set")


def _goes_on(machine: Machine, call: Value) -> bool:
    """Whether something stands behind a call in its block."""
    return not machine.code.blocks[call.block].code[-1].name.startswith("call")


def _parameters(graph: Graph, live: set[int], choice: Choice) -> list[Value | str]:
    """Parameters in order; a type stands for one that the code does not use."""
    used = {value.extra: value for value in _leaves(graph, live) if value.op == "arg"}
    stack = [int(name.removeprefix("stack")) for name in used if name.startswith("stack")]
    integers = [name for name in INTEGERS if name in used]
    count = len(INTEGERS) if stack else 1 + INTEGERS.index(integers[-1]) if integers else 0
    floats = [name for name in FLOATS if name in used]
    vectors = 1 + FLOATS.index(floats[-1]) if floats else 0
    unused = "i8" if choice.odd else "i64"
    found: list[Value | str] = [used.get(name, unused) for name in INTEGERS[:count]]
    if choice.odd and count < len(INTEGERS) and all(isinstance(item, Value) for item in found):
        found.append(unused)
    found += [used.get(name, "double") for name in FLOATS[:vectors]]
    return found + [used.get(f"stack{number}", "i64") for number in range(max(stack, default=-1) + 1)]


def _leaves(graph: Graph, live: set[int]) -> Iterator[Value]:
    for value in each_live(graph, live):
        yield from value.args


def _result_type(graph: Graph, choice: Choice) -> str:
    for end in graph.ends:
        if end is not None and end.op == "ret" and end.args:
            return end.args[0].type
    return "void"
