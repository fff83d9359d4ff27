"""What instructions on general registers do, by mnemonic."""

from __future__ import annotations

import re
from collections.abc import Callable

from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.locked import locked, pair, string
from llm_compiler.lifting.machine import Machine, jump_condition
from llm_compiler.lifting.text import Immediate, Instruction, Memory, Operand, Register
from llm_compiler.lifting.values import Value, bits

_WIDTHS = {"b": 8, "w": 16, "l": 32, "q": 64}
_EXTEND = re.compile(r"mov([sz])([bwl])([wlq])$")
Rule = Callable[[Machine, Instruction, int], None]


def execute(machine: Machine, instruction: Instruction) -> bool:
    """Do what an instruction does; False when no rule here covers it. Raises LiftError."""
    name = instruction.name
    if instruction.prefix == "lock" or name.startswith("xchg"):
        return locked(machine, instruction)
    if instruction.prefix and not name.startswith("bsf"):  # which is tzcnt's code, for what is not 0
        return string(machine, instruction)
    if name == "movq" and any(isinstance(item, Register) and item.name.startswith("xmm")
                              for item in instruction.operands):
        return False
    extend = _EXTEND.match(name)
    if extend:
        source, target = instruction.operands
        value = machine.get(source, _WIDTHS[extend[2]])
        kind = "sext" if extend[1] == "s" else "zext"
        machine.set(target, machine.graph.make(kind, f"i{_WIDTHS[extend[3]]}", [value]))
        return True
    if name.startswith("set") and jump_condition(name):
        condition = machine.condition(jump_condition(name))
        machine.set(instruction.operands[0], machine.graph.make("zext", "i8", [condition]))
        return True
    if name.startswith("cmov"):
        source, target = instruction.operands
        width = _WIDTHS[name[-1]]
        chosen = machine.get(source, width)
        kept = machine.get(target, width)
        machine.set(target, _select(machine, machine.condition(jump_condition(name)), chosen, kept))
        return True
    if name in _PLAIN:
        _PLAIN[name](machine, instruction, 64)
        return True
    base, suffix = name[:-1], name[-1]
    if base in _SIZED and suffix in _WIDTHS:
        _SIZED[base](machine, instruction, _WIDTHS[suffix])
        return True
    return False


def _select(machine: Machine, condition: Value, one: Value, two: Value) -> Value:
    if condition.constant is not None:
        return one if condition.constant else two
    return machine.graph.make("select", one.type, [condition, one, two])


# --- moves


def _mov(machine: Machine, instruction: Instruction, width: int) -> None:
    source, target = instruction.operands
    machine.set(target, machine.get(source, width))


def _lea(machine: Machine, instruction: Instruction, width: int) -> None:
    source, target = instruction.operands
    if target == Register("rsp"):
        return
    assert isinstance(source, Memory)
    graph = machine.graph
    if width == 64:
        machine.set(target, machine.address(source))
        return
    parts = [machine.graph.make("trunc", f"i{width}", [machine.register(source.base)])] if source.base else []
    if source.index:
        index = graph.make("trunc", f"i{width}", [machine.register(source.index)])
        parts.append(graph.make("shl", f"i{width}", [index, graph.const(source.scale.bit_length() - 1, width)]))
    if source.symbol or source.base == "rip" or not parts:
        raise LiftError("an address of 32 bits")
    value = parts[0]
    for part in parts[1:]:
        value = graph.make("add", f"i{width}", [value, part])
    machine.set(target, graph.make("add", f"i{width}", [value, graph.const(source.disp, width)]))


def _push(machine: Machine, instruction: Instruction, width: int) -> None:
    value = machine.get(instruction.operands[0], 64)
    offset = machine.place[0] - 8
    if value.op != "undef" or offset in machine.frame.slots:  # or it only makes room
        machine.store_at(machine.graph.make_frame(offset), value)


def _pop(machine: Machine, instruction: Instruction, width: int) -> None:
    machine.set(instruction.operands[0], machine.load_at(machine.graph.make_frame(machine.place[0]), "i64"))


def _leave(machine: Machine, instruction: Instruction, width: int) -> None:
    assert machine.place[1] is not None
    machine.set_register("rbp", machine.load_at(machine.graph.make_frame(machine.place[1]), "i64"))


def _nothing(machine: Machine, instruction: Instruction, width: int) -> None:
    pass


# --- arithmetic


def _binary(op: str, flags: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        source, target = instruction.operands
        if target == Register("rsp"):
            machine.spoil_flags()
            return
        if op in ("xor", "sub") and source == target and isinstance(source, Register):
            result = machine.graph.const(0, width)
            machine.set(target, result)
            machine.set_flags("logic", result)
            return
        one, two = machine.get(target, width), machine.get(source, width)
        if target == Register("rbp") and machine.place[1] is not None:
            raise LiftError("the frame pointer is computed")
        if (op == "and" and two.constant == 0) or (op == "or" and two.constant == (1 << width) - 1):
            result = two  # how clang stores 0 and -1 in few bytes
        else:
            result = machine.graph.make(op, f"i{width}", [one, two])
        machine.set(target, result)
        if flags == "logic":
            machine.set_flags("logic", result)
        else:
            machine.set_flags(flags, one, two)
    return rule


def _cmp(machine: Machine, instruction: Instruction, width: int) -> None:
    source, target = instruction.operands
    machine.set_flags("sub", machine.get(target, width), machine.get(source, width))


def _test(machine: Machine, instruction: Instruction, width: int) -> None:
    source, target = instruction.operands
    one, two = machine.get(target, width), machine.get(source, width)
    machine.set_flags("logic", machine.graph.make("and", f"i{width}", [one, two]))


def _step(op: str, flags: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        target = instruction.operands[0]
        one, two = machine.get(target, width), machine.graph.const(1, width)
        machine.set(target, machine.graph.make(op, f"i{width}", [one, two]))
        machine.set_flags(flags, one, two)
    return rule


def _neg(machine: Machine, instruction: Instruction, width: int) -> None:
    target = instruction.operands[0]
    zero, value = machine.graph.const(0, width), machine.get(target, width)
    machine.set(target, machine.graph.make("sub", f"i{width}", [zero, value]))
    machine.set_flags("sub", zero, value)


def _not(machine: Machine, instruction: Instruction, width: int) -> None:
    target = instruction.operands[0]
    machine.set(target, machine.graph.make("xor", f"i{width}", [machine.get(target, width),
                                                               machine.graph.const(-1, width)]))


def _carrying(op: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        source, target = instruction.operands
        graph = machine.graph
        carry = machine.condition("b")
        if op == "sub" and source == target:
            result = graph.make("sext", f"i{width}", [carry])
            machine.set(target, result)
            machine.set_flags("carry", carry)
            return
        one, two = machine.get(target, width), machine.get(source, width)
        result = graph.make(op, f"i{width}", [graph.make(op, f"i{width}", [one, two]),
                                              graph.make("zext", f"i{width}", [carry])])
        machine.set(target, result)
        machine.set_flags("sbb" if op == "sub" else "adc", one, two, carry)
    return rule


def _imul(machine: Machine, instruction: Instruction, width: int) -> None:
    operands = instruction.operands
    if len(operands) == 1:
        _wide_product(machine, operands[0], width, "sext")
        return
    one = machine.get(operands[-2] if len(operands) == 3 else operands[1], width)
    two = machine.get(operands[0], width)
    machine.set(operands[-1], machine.graph.make("mul", f"i{width}", [one, two]))
    machine.graph.write("flags", Value("flags", "flags", (machine.graph.make("overflow", "i1", [one, two], "smul"),),
                                       "overflow"))


def _mul(machine: Machine, instruction: Instruction, width: int) -> None:
    _wide_product(machine, instruction.operands[0], width, "zext")


def _wide_product(machine: Machine, operand: Operand, width: int, kind: str) -> None:
    graph = machine.graph
    low, high = pair(width)
    one, two = machine.get(Register(low), width), machine.get(operand, width)
    wide = f"i{2 * width}"
    product = graph.make("mul", wide, [graph.make(kind, wide, [one]), graph.make(kind, wide, [two])])
    if width == 8:
        machine.set(Register("ax"), product)
    else:
        machine.set(Register(low), graph.make("trunc", f"i{width}", [product]))
        upper = graph.make("lshr", wide, [product, graph.const(width, 2 * width)])
        machine.set(Register(high), graph.make("trunc", f"i{width}", [upper]))
    overflow = graph.make("overflow", "i1", [one, two], "umul" if kind == "zext" else "smul")
    machine.set_flags("overflow", overflow)


def _divide(kind: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        graph = machine.graph
        low, high = pair(width)
        divisor = machine.get(instruction.operands[0], width)
        if width == 8:
            dividend = machine.get(Register("ax"), 16)
            wide = graph.make("zext" if kind == "u" else "sext", "i16", [divisor])
            inner = dividend.args[0] if dividend.op in ("zext", "sext") else None
            if inner is None or bits(inner.type) != 8 or dividend.op != ("zext" if kind == "u" else "sext"):
                raise LiftError("a division of more bits than its result has")
            quotient = graph.make(f"{kind}div", "i16", [dividend, wide])
            rest = graph.make(f"{kind}rem", "i16", [dividend, wide])
            machine.set(Register("al"), graph.make("trunc", "i8", [quotient]))
            machine.set(Register("ah"), graph.make("trunc", "i8", [rest]))
            machine.spoil_flags()
            return
        dividend, upper = machine.get(Register(low), width), machine.get(Register(high), width)
        extends = upper.constant == 0 if kind == "u" else (
            (upper.op == "ashr" and upper.args[0] is dividend and upper.args[1].constant == width - 1)
            or (dividend.constant is not None and upper.constant == (
                (1 << width) - 1 if dividend.constant >> (width - 1) else 0)))
        if not extends:
            raise LiftError("a division of more bits than its result has")
        type_ = f"i{width}"
        machine.set(Register(low), graph.make(f"{kind}div", type_, [dividend, divisor]))
        machine.set(Register(high), graph.make(f"{kind}rem", type_, [dividend, divisor]))
        machine.spoil_flags()
    return rule


def _signs(width: int) -> Rule:
    def rule(machine: Machine, instruction: Instruction, _: int) -> None:
        graph = machine.graph
        low, high = pair(width)
        value = machine.get(Register(low), width)
        machine.set(Register(high), graph.make("ashr", f"i{width}", [value, graph.const(width - 1, width)]))
    return rule


def _widened(narrow: str, wide: str, width: int) -> Rule:
    def rule(machine: Machine, instruction: Instruction, _: int) -> None:
        value = machine.register(narrow)
        machine.set(Register(wide), machine.graph.make("sext", f"i{width}", [value]))
    return rule


# --- shifts and bits


def _shift(op: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        graph = machine.graph
        operands = instruction.operands
        target = operands[-1]
        count = machine.get(operands[0], 8) if len(operands) == 2 else graph.const(1, 8)
        value = machine.get(target, width)
        limit = 63 if width == 64 else 31
        if count.constant is not None:
            number = count.constant & limit
            if number >= width:
                raise LiftError("a shift by more bits than there are")
            result = graph.make(op, f"i{width}", [value, graph.const(number, width)])
            if number:
                if op == "shl":
                    out = graph.make("lshr", f"i{width}", [value, graph.const(width - number, width)])
                else:
                    out = graph.make("lshr", f"i{width}", [value, graph.const(number - 1, width)])
                machine.set_flags("shift_out", result, graph.make("trunc", "i1", [out]))
        else:
            wide = max(width, 32)  # bits beyond a narrow value are shifted out, which IR does not define
            amount = graph.make("and", f"i{wide}", [_sized(machine, count, wide), graph.const(limit, wide)])
            kind = "sext" if op == "ashr" else "zext"
            result = graph.make(op, f"i{wide}", [graph.make(kind, f"i{wide}", [value]), amount])
            result = graph.make("trunc", f"i{width}", [result])
            machine.spoil_flags()
        machine.set(target, result)
    return rule


def _sized(machine: Machine, value: Value, width: int) -> Value:
    return machine.graph.make("zext" if bits(value.type) < width else "trunc", f"i{width}", [value])


def _rotate(name: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        operands = instruction.operands
        value = machine.get(operands[-1], width)
        count = machine.get(operands[0], 8) if len(operands) == 2 else machine.graph.const(1, 8)
        machine.set(operands[-1], machine.graph.make(
            "funnel", f"i{width}", [value, value, _sized(machine, count, width)], name))
        machine.spoil_flags()
    return rule


def _double_shift(name: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        operands = instruction.operands
        if width == 16:
            raise LiftError(f"no rule for {instruction}")
        count = machine.get(operands[0], 8) if len(operands) == 3 else machine.register("cl")
        other, value = machine.get(operands[-2], width), machine.get(operands[-1], width)
        pair = [value, other] if name == "fshl" else [other, value]
        amount = _sized(machine, count, width)
        machine.set(operands[-1], machine.graph.make("funnel", f"i{width}", [*pair, amount], name))
        machine.spoil_flags()
    return rule


def _bit_test(change: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        graph = machine.graph
        source, target = instruction.operands
        if isinstance(target, Memory) and not isinstance(source, Immediate):
            raise LiftError(f"no rule for {instruction} on memory")
        type_ = f"i{width}"
        value = machine.get(target, width)
        number = graph.make("and", type_, [machine.get(source, width), graph.const(width - 1, width)])
        shifted = graph.make("lshr", type_, [value, number])
        if change:
            bit = graph.make("shl", type_, [graph.const(1, width), number])
            if change == "and":
                bit = graph.make("xor", type_, [bit, graph.const(-1, width)])
            machine.set(target, graph.make(change, type_, [value, bit]))
        machine.set_flags("carry", graph.make("trunc", "i1", [shifted]))
    return rule


def _swap_bytes(machine: Machine, instruction: Instruction, width: int) -> None:
    target = instruction.operands[0]
    machine.set(target, machine.graph.make("unary", f"i{width}", [machine.get(target, width)], "bswap"))


def _count_bits(name: str) -> Rule:
    def rule(machine: Machine, instruction: Instruction, width: int) -> None:
        source, target = instruction.operands
        value = machine.get(source, width)
        graph = machine.graph
        if name in ("bsf", "bsr"):  # of 0 the target keeps what it holds
            count = graph.make("zeros", f"i{width}", [value], "cttz" if name == "bsf" else "ctlz")
            if name == "bsr":
                count = graph.make("xor", f"i{width}", [count, graph.const(width - 1, width)])
            result = count
        else:
            result = graph.make("unary" if name == "ctpop" else "counted", f"i{width}", [value], name)
        machine.set(target, result)
        if name in ("bsf", "bsr"):
            machine.set_flags("zero", value)
        else:
            machine.spoil_flags()
    return rule


_SIZED: dict[str, Rule] = {
    "mov": _mov, "movabs": _mov, "lea": _lea, "push": _push, "pop": _pop, "nop": _nothing,
    "add": _binary("add", "add"), "sub": _binary("sub", "sub"), "and": _binary("and", "logic"),
    "or": _binary("or", "logic"), "xor": _binary("xor", "logic"), "cmp": _cmp, "test": _test,
    "inc": _step("add", "inc"), "dec": _step("sub", "dec"), "neg": _neg, "not": _not,
    "adc": _carrying("add"), "sbb": _carrying("sub"), "imul": _imul, "mul": _mul,
    "div": _divide("u"), "idiv": _divide("s"), "shl": _shift("shl"), "sal": _shift("shl"), "shr": _shift("lshr"),
    "sar": _shift("ashr"), "rol": _rotate("fshl"), "ror": _rotate("fshr"), "shld": _double_shift("fshl"),
    "shrd": _double_shift("fshr"), "bt": _bit_test(""), "bts": _bit_test("or"), "btr": _bit_test("and"),
    "btc": _bit_test("xor"), "bswap": _swap_bytes, "bsf": _count_bits("bsf"), "bsr": _count_bits("bsr"),
    "popcnt": _count_bits("ctpop"), "tzcnt": _count_bits("cttz"), "lzcnt": _count_bits("ctlz"),
}
_PLAIN: dict[str, Rule] = {
    "cltd": _signs(32), "cqto": _signs(64), "cwtd": _signs(16), "cltq": _widened("eax", "rax", 64),
    "cwtl": _widened("ax", "eax", 32), "cbtw": _widened("al", "ax", 16), "leave": _leave, "leaveq": _leave,
    "nop": _nothing, "endbr64": _nothing, "pause": _nothing,
}
