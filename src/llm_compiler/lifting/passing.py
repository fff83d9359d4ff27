"""What calls pass and what the function returns, as far as registers tell."""

from __future__ import annotations

from collections.abc import Sequence

from llm_compiler.lifting.calls import FLOATS, INTEGERS, KNOWN, Call, counts
from llm_compiler.lifting.choice import Choice
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.liveness import each_live, effects, live_values, sources
from llm_compiler.lifting.values import Graph, Value, bits, resolved

_ANY, _SMALL, _NEGATIVE = 0, 1, 2  # beside numbers of bits
_LEAST = (1 << 64) - (1 << 31)  # the least number of 32 bits, in 64


def choose_arguments(graph: Graph, choice: Choice) -> None:
    """Give calls the arguments that their registers seem to hold. Raises LiftError."""
    calls = [value for value in effects(graph) if value.op == "call"]
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
        chosen.append(made_before(graph, value, "trunc", f"i{wide}", item) if wide else item)
    for number, item in enumerate(before[0]):
        if number >= numbers["int"]:
            wide = _is_wide(call.moves.get(number, ""), item, choice)
            if item.constant is not None and not wide and call.moves.get(number) == "movl":
                chosen.append(made_before(graph, value, "trunc", "i32", item))
                continue
            narrow = item.op == "arg" and id(item) in halves
            chosen.append(item if wide else made_before(graph, value, "trunc", "i32", item) if narrow
                          else _passed(graph, value, item, extended=choice.extended))
    chosen += before[1][numbers["float"] :]
    chosen += [_passed(graph, value, resolved(item)) for item in call.stack] if integers == len(INTEGERS) else []
    value.args = ([call.callee] if call.callee is not None else []) + chosen
    call.types = known.parameters if known else ()
    if known is not None:
        call.result = known.result


def _is_wide(move: str, item: Value, choice: Choice) -> bool:
    """Whether an argument has 64 bits although 32 say it all. move: what moved it to its register."""
    if item.constant is None:
        return choice.wide and move == "movl"
    if item.constant == 0 and move == "movl":
        return True  # without optimisation, 0 of 64 bits is one of 32 that is copied
    return move == "movq" or (choice.wide and move != "movl")


def _halves(graph: Graph) -> set[int]:
    """Parameters of which code reads parts only."""
    parts: set[int] = set()
    others: set[int] = set()
    for value in each_live(graph, live_values(graph, but_returns=True)):
        for arg in value.args if value.op != "ret" else ():
            if arg.op == "arg":
                (parts if value.op == "trunc" else others).add(id(arg))
    return parts - others


def _pass_on(graph: Graph, calls: list[Value]) -> None:
    """A parameter that other code uses, and that still is where it came in, is passed on, too."""
    live = live_values(graph, but_returns=True)
    for value in calls:
        call: Call = value.extra
        if not call.tail or call.name in KNOWN or (value.args[-1:] and value.args[-1].type in ("double", "float")):
            continue
        first = 0 if call.callee is None else 1
        for state, item in call.integers[len(value.args) - first :]:
            passed = resolved(item)
            if state != "pass" or id(passed) not in live:
                break
            whole = any(passed in user.args and user.op != "trunc" for user in each_live(graph, live))
            value.args = [*value.args, passed if whole else made_before(graph, value, "trunc", "i32", passed)]


def _present(items: list[tuple[str, Value]]) -> list[tuple[str, Value]]:
    """Registers up to the first that holds nothing, or only what a call has left in it."""
    found = []
    for state, item in items:
        value = resolved(item)
        inner = value.args[0] if value.op == "view" else value
        origins = list(sources(inner, set()))
        if any(source.op == "undef" or (source.op in ("result", "arg") and source.extra in FLOATS and state == "old")
               for source in origins):
            break
        found.append((state, item))
    return found


def made_before(graph: Graph, at: Value, op: str, type_: str, arg: Value) -> Value:
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
        return made_before(graph, call, "trunc", _inner(item), item)
    width = effective([item])
    return made_before(graph, call, "trunc", f"i{width}", item) if item.type == "i64" and width < 64 else item


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
    widths = {_set_bits(source) for value in values for source in sources(value, seen)} - {_ANY}
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
        if number >= _LEAST:
            return _NEGATIVE
        return _SMALL if number < 256 else 32 if number < 1 << 32 else 64
    if value.op == "zext":
        return 32
    if value.op == "insert":
        return bits(value.args[1].type)
    return 64


def choose_results(graph: Graph, choice: Choice) -> None:
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
    if width == 32 and any(end.extra == "movq" for end in ends):
        width = 64
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
    return value.op not in ("undef", "guard", "frame")


def returned(graph: Graph) -> list[str]:
    """Where a result may be, the likelier first."""
    ends = [end for end in graph.ends if end is not None and end.op == "ret"]
    if not ends:
        return ["void"]
    live = live_values(graph, but_returns=True)
    possible, certain = [], []
    for index, name in enumerate(("rax", "xmm0", "pair")):
        if not all(_set(end.args[index], set()) for end in ends):
            continue
        seen: set[int] = set()
        origins = [value for end in ends for value in sources(end.args[index], seen)]
        made = [value for value in origins if value.op not in ("arg", "result", "undef")]
        if made or name == "rax":
            possible.append(name)
        if name != "pair" and any(value.op == "const" or id(value) not in live for value in made):
            certain.append(name)
    if certain:
        return list(dict.fromkeys([*certain[::-1], *possible, "void"]))
    return [*possible, "void"] if "rax" in possible else ["void", *possible]
