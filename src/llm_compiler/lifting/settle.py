"""What the code itself leaves open, settled: arguments of calls, results, sizes of values, what is a pointer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_compiler.lifting.build import clobbered_by
from llm_compiler.lifting.calls import FLOATS, INTEGERS, KNOWN, Call, counts
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.machine import Machine
from llm_compiler.lifting.text import entries
from llm_compiler.lifting.values import EFFECTS, Graph, Value, bits, resolved, signed


_ANY, _SMALL, _NEGATIVE = 0, 1, 2  # beside numbers of bits


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
    ask for the contrary;
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
    result: str = ""


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
    _cut_dead_branches(graph)
    _switches(machine)
    calls = [value for value in _effects(graph) if value.op == "call"]
    least: dict[str, int] = {}
    halves = _halves(graph)
    for value in calls:
        call: Call = value.extra
        call.integers, call.floats = _present(call.integers), _present(call.floats)
        if call.name:
            least[call.name] = max(least.get(call.name, 0), counts(call, loose=False)[0])
    for value in calls:
        _arguments(graph, value, choice, least.get(value.extra.name, 0), halves)
    _pass_on(graph, calls)
    _results(graph, choice)
    _views(machine)
    graph.refold()
    _narrow(graph, choice)
    graph.refold()
    live = _live(graph)
    _merge_ranges(graph, live)
    live = _live(graph)
    _known(machine, graph, live)
    parameters = _parameters(graph, live, choice)
    result = _result_type(graph, choice)
    pointers = _pointers(graph, live, result)
    return Settled(machine, graph, result, parameters, live, pointers, choice)


def _cut_dead_branches(graph: Graph) -> None:
    """Branches on constants, such as those of stack protectors, and the blocks that only they lead to."""
    for index, end in enumerate(graph.ends):
        if end is not None and end.op == "br" and end.args[0].constant is not None and end.extra[0] != end.extra[1]:
            taken, other = end.extra if end.args[0].constant else end.extra[::-1]
            graph.ends[index] = Value("jump", "void", (), (taken,), index)
            graph.cut(index, other)
    graph.refold()


def _effects(graph: Graph) -> Iterator[Value]:
    for block in graph.blocks:
        for value in block:
            if value.op in EFFECTS:
                yield value


# --- arguments and results -------------------------------------------------------------------------------------------


def _arguments(graph: Graph, value: Value, choice: Choice, least: int, halves: set[int]) -> None:
    call: Call = value.extra
    integers, floats = counts(call, loose=choice.loose)
    integers = max(integers, min(least, len(call.integers)))
    if integers > len(call.integers) or floats > len(call.floats):
        known = KNOWN.get(call.name)
        if known is not None:
            raise LiftError(f"a call of {call.name} without all of its arguments")
        integers, floats = min(integers, len(call.integers)), min(floats, len(call.floats))
    known = KNOWN.get(call.name)
    chosen: list[Value] = []
    before = ([resolved(item) for _, item in call.integers[:integers]],
              [resolved(item) for _, item in call.floats[:floats]])
    numbers = {"int": 0, "float": 0}
    for parameter in known.parameters if known else ():
        kind = "float" if parameter in ("double", "float") else "int"
        item = before[kind == "float"][numbers[kind]]
        numbers[kind] += 1
        wide = {"i32": 32}.get(parameter)
        chosen.append(_before(graph, value, "trunc", f"i{wide}", item) if wide else item)
    for number, item in enumerate(before[0]):
        if number >= numbers["int"]:
            copied = number in call.wide
            wide = (choice.wide or copied) if item.constant is not None else (choice.wide and copied)
            narrow = item.op == "arg" and id(item) in halves
            chosen.append(item if wide else _before(graph, value, "trunc", "i32", item) if narrow
                          else _passed(graph, value, item, extended=choice.extended))
    chosen += before[1][numbers["float"] :]
    chosen += [_passed(graph, value, resolved(item)) for item in call.stack] if integers == len(INTEGERS) else []
    value.args = ([call.callee] if call.callee is not None else []) + chosen
    call.types = known.parameters if known else ()
    if known is not None:
        call.result = known.result


def _halves(graph: Graph) -> set[int]:
    """Parameters of which code reads parts only."""
    parts: set[int] = set()
    others: set[int] = set()
    for value in _each(graph, _live(graph, but_returns=True)):
        for arg in value.args if value.op != "ret" else ():
            if arg.op == "arg":
                (parts if value.op == "trunc" else others).add(id(arg))
    return parts - others


def _pass_on(graph: Graph, calls: list[Value]) -> None:
    """A parameter that other code uses, and that still is where it came in, is passed on, too."""
    live = _live(graph, but_returns=True)
    for value in calls:
        call: Call = value.extra
        if not call.tail or call.name in KNOWN or (value.args[-1:] and value.args[-1].type in ("double", "float")):
            continue
        first = 0 if call.callee is None else 1
        for state, item in call.integers[len(value.args) - first :]:
            passed = resolved(item)
            if state != "pass" or id(passed) not in live:
                break
            whole = any(passed in user.args and user.op != "trunc" for user in _each(graph, live))
            value.args = [*value.args, passed if whole else _before(graph, value, "trunc", "i32", passed)]


def _present(items: list[tuple[str, Value]]) -> list[tuple[str, Value]]:
    """Registers up to the first that holds nothing, or only what a call has left in it."""
    found = []
    for state, item in items:
        value = resolved(item)
        inner = value.args[0] if value.op == "view" else value
        sources = list(_sources(inner, set()))
        if any(source.op == "undef" or (source.op in ("result", "arg") and source.extra in FLOATS and state == "old")
               for source in sources):
            break
        found.append((state, item))
    return found


def _before(graph: Graph, at: Value, op: str, type_: str, arg: Value) -> Value:
    """A value made right before another."""
    block = graph.blocks[at.block]
    place = block.index(at) if at in block else len(block)
    tail, block[place:] = block[place:], []
    graph.current = at.block
    made = graph.make(op, type_, [arg])
    graph.blocks[at.block] += tail
    return made


def _passed(graph: Graph, call: Value, item: Value, *, extended: bool = False) -> Value:
    if extended and _is_extended(item):
        return _before(graph, call, "trunc", _inner(item), item)
    width = effective([item])
    return _before(graph, call, "trunc", f"i{width}", item) if item.type == "i64" and width < 64 else item


def _is_extended(item: Value) -> bool:
    """Whether it is a value of less than 32 bits, extended by zeros."""
    return item.op == "zext" and bits(item.args[0].type) < 32


def _inner(item: Value) -> str:
    """The type of what was extended."""
    inner = item.args[0]
    while inner.op in ("zext", "trunc"):
        inner = inner.args[0]
    return "i1" if (inner.op == "and" and inner.args[1].constant == 1) or inner.type == "i1" else item.args[0].type


def effective(values: Sequence[Value]) -> int:
    """How many low bits of a register matter, going by how it was set on all ways: 8, 32 or 64."""
    seen: set[int] = set()
    widths = {_set_bits(source) for value in values for source in _sources(value, seen)} - {_ANY}
    if widths == {_NEGATIVE} or not widths or 64 in widths:
        return 64
    if widths == {8}:
        return 8
    return 8 if widths == {8, _SMALL} else 32


def _set_bits(value: Value) -> int:
    """8, 32 or 64; or what says little: _ANY, _SMALL (a number that fits into a byte), _NEGATIVE (one of 32 bits)."""
    if value.op in ("result", "undef"):
        return _ANY
    number = value.constant
    if number is not None:
        return _SMALL if number < 256 else 32 if number < 1 << 32 else _NEGATIVE if number >= -(1 << 31) % (1 << 64) else 64
    if value.op == "zext":
        return 32
    if value.op == "insert":
        return bits(value.args[1].type)
    return 64


def _results(graph: Graph, choice: Choice) -> None:
    """What returns hand back."""
    ends = [end for end in graph.ends if end is not None and end.op == "ret"]
    if choice.result == "void" or not ends:
        for end in ends:
            end.args = []
        return
    if choice.result == "pair":
        for end in ends:
            end.args = [end.args[0], end.args[2]]
            if not all(_set(value, set()) for value in end.args):
                raise LiftError("it sets no second result")
        return
    index = 0 if choice.result == "rax" else 1
    values = [end.args[index] for end in ends]
    for value in values:
        if not _set(value, set()):
            raise LiftError(f"it sets no {choice.result}")
    width = effective(values) if index == 0 else 0
    if index == 0 and choice.extended and all(_is_extended(value) or value.constant is not None for value in values):
        inner = max((bits(_inner(value)) for value in values if value.op == "zext"), default=32)
        for end, value in zip(ends, values, strict=True):
            end.args = [_at_end(graph, end, "trunc", f"i{inner}", value)]
        return
    for end, value in zip(ends, values, strict=True):
        if index == 0:
            end.args = [_at_end(graph, end, "trunc", f"i{width}", value)]
        else:
            end.args = [value]
    if index == 1:
        kinds = {_float_of(value, set()) for value in values} - {""}
        kind = next(iter(kinds)) if len(kinds) == 1 else "double"
        for end in ends:
            end.args = [_at_end(graph, end, "view", kind, end.args[0])]


def _at_end(graph: Graph, end: Value, op: str, type_: str, arg: Value) -> Value:
    graph.current = end.block
    return graph.make(op, type_, [arg])


def _float_of(value: Value, seen: set[int]) -> str:
    if id(value) in seen:
        return ""
    seen.add(id(value))
    if value.type in ("float", "double"):
        return value.type
    if value.op == "widen":
        return value.args[0].type
    if value.op == "phi":
        return next((kind for kind in (_float_of(arg, seen) for arg in value.args) if kind), "")
    if value.type.startswith("<4 x float"):
        return ""
    return ""


def _set(value: Value, seen: set[int]) -> bool:
    """Whether something was put into a register on every way here."""
    if id(value) in seen:
        return True
    seen.add(id(value))
    if value.op == "phi":
        return all(_set(arg, seen) for arg in value.args)
    return value.op not in ("undef", "guard")


def _sources(value: Value, seen: set[int]) -> Iterator[Value]:
    """What a value may be, phis aside."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if value.op == "phi":
        for arg in value.args:
            yield from _sources(arg, seen)
    else:
        yield value


def returned(graph: Graph) -> list[str]:
    """Where a result may be, the likelier first."""
    ends = [end for end in graph.ends if end is not None and end.op == "ret"]
    if not ends:
        return ["void"]
    live = _live(graph, but_returns=True)
    possible, certain = [], []
    for index, name in enumerate(("rax", "xmm0", "pair")):
        if not all(_set(end.args[index], set()) for end in ends):
            continue
        seen: set[int] = set()
        sources = [value for end in ends for value in _sources(end.args[index], seen)]
        made = [value for value in sources if value.op not in ("arg", "result", "undef")]
        if made or name == "rax":
            possible.append(name)
        if name != "pair" and any(value.op == "const" or id(value) not in live for value in made):
            certain.append(name)
    if certain:
        return list(dict.fromkeys([*certain[::-1], *possible, "void"]))
    return [*possible, "void"] if "rax" in possible else ["void", *possible]


def _result_type(graph: Graph, choice: Choice) -> str:
    for end in graph.ends:
        if end is not None and end.op == "ret" and end.args:
            return end.args[0].type
    return "void"


# --- liveness --------------------------------------------------------------------------------------------------------


def _live(graph: Graph, *, but_returns: bool = False) -> set[int]:
    todo = list(_effects(graph))
    todo += [end for end in graph.ends if end is not None and not (but_returns and end.op == "ret")]
    live: set[int] = set()
    while todo:
        value = todo.pop()
        if id(value) not in live:
            live.add(id(value))
            todo += value.args
    return live


def _each(graph: Graph, live: set[int]) -> Iterator[Value]:
    """Live values, with what ends blocks, arguments and constants aside."""
    for index, block in enumerate(graph.blocks):
        for value in block:
            if id(value) in live:
                yield value
        end = graph.ends[index]
        if end is not None:
            yield end


def _known(machine: Machine, graph: Graph, live: set[int]) -> None:
    """Raise where a value is used that nothing has set; a phi may have such an operand."""
    for value in _each(graph, live):
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


# --- sizes -----------------------------------------------------------------------------------------------------------


def _views(machine: Machine) -> None:
    """Give what vector registers and slots hold a type: that in which it is read."""
    graph = machine.graph
    wanted: dict[int, set[str]] = {}
    items: dict[int, Value] = {}
    live = _live(graph)
    for value in _each(graph, live):
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


def _narrow(graph: Graph, choice: Choice) -> None:
    """Phis, arguments and results of which only low bits are read; registers of which only a written part is."""
    live = _live(graph)
    demand: dict[int, int] = {}
    items: dict[int, Value] = {}
    users: list[tuple[Value, Value]] = []
    masked = _masked(graph, live, bools=choice.bools)
    for value in _each(graph, live):
        for number, arg in enumerate(value.args):
            if arg.op in ("phi", "arg", "result", "insert", "saved") and arg.type in ("i64", "i32", "i16", "i8") and not (
                    value.op == "insert" and number):
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
    chosen = [(item, demand.get(key, 0)) for key, item in items.items()
              if item.op in (("arg",) if choice.full else ("phi", "arg", "result")) and 0 < demand.get(key, 0) < bits(item.type)]
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
            wide = _before(graph, user, "zext", "i64", arg)
            user.args = [wide if item is arg else item for item in user.args]


def _masked(graph: Graph, live: set[int], *, bools: bool) -> set[int]:
    """Values that read the lowest bit of their operand alone. bools: or compare a byte with 0."""
    found: set[int] = set()
    others: set[int] = set()
    for value in _each(graph, live):
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


# --- switches --------------------------------------------------------------------------------------------------------


def _switches(machine: Machine) -> None:
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


def _merge_ranges(graph: Graph, live: set[int]) -> None:
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


# --- parameters and pointers -----------------------------------------------------------------------------------------


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
    for value in _each(graph, live):
        yield from value.args


_ROOTS = ("arg", "load", "result", "phi", "select", "frame", "symbol", "rmw", "part")


def _pointers(graph: Graph, live: set[int], result: str) -> set[int]:
    """Values of 64 bits that are addresses: what is accessed, what is added to, and what these come from."""
    values = list(_each(graph, live))
    found: dict[int, Value] = {}
    todo: list[Value] = []

    def mark(value: Value) -> None:
        if bits_or_none(value) == 64 and value.type == "i64" and id(value) not in found and value.op not in (
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
            if (value.op in ("phi", "select") and id(value) not in found and value.type == "i64" and any(
                    id(arg) in found for arg in value.args)) or (value.op == "add" and value.type == "i64" and id(value) not in found and any(
                    id(arg) in found for arg in value.args)):
                mark(value)
                changed = True
            elif value.op == "icmp" and value.args[0].type == "i64":
                one, two = value.args
                for this, other in ((one, two), (two, one)):
                    if id(this) in found and id(other) not in found and other.op in ("arg", "load", "result", "phi"):
                        mark(other)
                        changed = True
    return set(found)


def bits_or_none(value: Value) -> int | None:
    try:
        return bits(value.type)
    except LiftError:
        return None


def offset_of(value: int) -> int:
    return signed(value, 64)
