"""Types of values: what vector registers and slots hold, and how much of a register is read."""

from __future__ import annotations

from llm_compiler.lifting.choice import Choice
from llm_compiler.lifting.liveness import each_live, live_values
from llm_compiler.lifting.machine import Machine
from llm_compiler.lifting.passing import made_before
from llm_compiler.lifting.values import Graph, Value, bits

_NARROWED = ("phi", "arg", "result", "insert", "saved")


def give_types(machine: Machine) -> None:
    """Give what vector registers and slots hold a type: that in which it is read."""
    graph = machine.graph
    wanted: dict[int, set[str]] = {}
    items: dict[int, Value] = {}
    live = live_values(graph)
    for value in each_live(graph, live):
        if value.op == "view":
            source = value.args[0]
            items[id(source)] = source
            wanted.setdefault(id(source), set()).add(value.type)
        elif value.op != "phi":
            for arg in value.args:
                if arg.type in ("x", "?"):
                    items[id(arg)] = arg
                    wanted.setdefault(id(arg), set())
    changed = True
    while changed:
        changed = False
        for value in list(items.values()):
            if value.op == "phi":
                for arg in value.args:
                    items.setdefault(id(arg), arg)
                    known = wanted.setdefault(id(arg), set())
                    if arg.type in ("x", "?") and not wanted[id(value)] <= known:
                        known |= wanted[id(value)]
                        changed = True
                    elif id(arg) not in items:
                        changed = True
            if value.op == "phi":
                for arg in value.args:
                    if arg.type == "?" and id(arg) not in live:
                        live.add(id(arg))
                        changed = True
    for value in items.values():
        if value.type not in ("x", "?"):
            continue
        kinds = sorted(wanted[id(value)], key=lambda kind: (bits(kind), kind[0] != "i", kind))
        if value.op == "phi" and not kinds:
            inner = {arg.type for arg in value.args} - {"x", "?"}
            kinds = sorted(inner)
        value.type = kinds[-1] if kinds else "<2 x i64>" if value.type == "x" else "i64"
    for value in items.values():
        if value.op == "phi" and value.type != "i64":
            args = value.args
            for number, block in enumerate(graph.predecessors[value.block]):
                if args[number].type != value.type:
                    graph.current = block
                    if args[number].op == "undef":
                        args[number] = Value("undef", value.type, (), args[number].extra)
                    else:
                        args[number] = machine.as_type(args[number], value.type)
            value.args = args
    for block in range(len(graph.blocks)):
        graph.current = block
        old, graph.blocks[block] = graph.blocks[block], []
        for value in old:
            if value.op == "view" and value.args[0].type not in ("x", "?") and value.args[0].op != "undef":
                value.same = machine.as_type(value.args[0], value.type)
            elif value.op == "view" and value.args[0].op == "undef":
                value.same = Value("undef", value.type, value.args[0].args, value.args[0].extra)
            else:
                graph.blocks[block].append(value)


def narrow(graph: Graph, choice: Choice) -> None:
    """Phis, arguments and results of which only low bits are read; registers of which only a written part is."""
    live = live_values(graph)
    demand: dict[int, int] = {}
    items: dict[int, Value] = {}
    users: list[tuple[Value, Value]] = []
    masked = _masked(graph, live, bools=choice.bools)
    for value in each_live(graph, live):
        for number, arg in enumerate(value.args):
            if arg.op in _NARROWED and arg.type in ("i64", "i32", "i16", "i8") and (value.op != "insert" or not number):
                items[id(arg)] = arg
                users.append((value, arg))
    changed = True
    while changed:
        changed = False
        for user, arg in users:
            if user.op == "phi":
                need = demand.get(id(user), 0)
            elif id(user) in masked:
                need = 1
            elif user.op == "insert":
                need = demand.get(id(user), 0)
                need = 0 if need <= bits(user.args[1].type) else need
            else:
                need = bits(user.type) if user.op == "trunc" else bits(arg.type)
            if need > demand.get(id(arg), 0):
                demand[id(arg)] = need
                changed = True
    for key, item in items.items():
        if item.op == "insert" and demand.get(key, 0) <= bits(item.args[1].type):
            item.op, item.args = "zext", item.args[1:]
    kinds = ("arg",) if choice.full else ("phi", "arg", "result")
    chosen = [(item, demand.get(key, 0)) for key, item in items.items()
              if item.op in kinds and 0 < demand.get(key, 0) < bits(item.type)]
    for item, width in chosen:
        item.type = f"i{width}"
    narrowed = {id(item) for item, _ in chosen}
    for item, _ in chosen:
        if item.op != "phi":
            continue
        args = item.args
        for number, block in enumerate(graph.predecessors[item.block]):
            if args[number].type != item.type:
                graph.current = block
                args[number] = graph.make("trunc", item.type, [args[number]])
        item.args = args
    for user, arg in users:
        if id(arg) not in narrowed or user.op in ("phi", "trunc") or arg not in user.args:
            continue
        if id(user) in masked:
            user.op, user.args = "zext", [arg]
        elif user.op != "zext":
            wide = made_before(graph, user, "zext", "i64", arg)
            user.args = [wide if item is arg else item for item in user.args]


def _masked(graph: Graph, live: set[int], *, bools: bool) -> set[int]:
    """Values that read the lowest bit of their operand alone. bools: or compare a byte with 0."""
    found: set[int] = set()
    others: set[int] = set()
    for value in each_live(graph, live):
        one_bit = value.op == "and" and value.args[1].constant == 1
        tested = bools and value.op == "icmp" and value.extra in ("eq", "ne") and value.args[1].constant == 0 and (
            value.args[0].type == "i8")
        if one_bit or tested:
            if one_bit:
                found.add(id(value))
            if value.args[0].op == "trunc":
                found.add(id(value.args[0]))
        else:
            others |= {id(arg) for arg in value.args if arg.op == "trunc"}
    return found - others
