"""What instructions on vector registers do: scalars of SSE2, copies of 16 bytes, and simple packed arithmetic.

A register holds a scalar whose upper lanes are not known, or a vector: what asks for more than is known is refused.
"""

from __future__ import annotations

import re

from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.machine import Machine
from llm_compiler.lifting.text import Instruction, Memory, Operand, Register
from llm_compiler.lifting.values import Value, bits

_SCALARS = {"ss": "float", "sd": "double"}
_ARITHMETIC = re.compile(r"(add|sub|mul|div|min|max|sqrt)(s[sd]|p[sd])$")
_MOVES = re.compile(r"v?mov(?:[au](p[sd])|dq[au]())$")
_CONVERT = re.compile(r"cvt(?:si2(s[sd])([lq]?)|t?(s[sd])2si([lq]?))$")
_LOGIC = re.compile(r"(andn|and|or|xor)(?:p[sd])$|p(andn|and|or|xor)$")
_PACKED = re.compile(r"p(add|sub|mull)([bwdq])$")
_COMPARE = re.compile(r"pcmp(eq|gt)([bwd])$")
_UNPACK = re.compile(r"(?:punpck([lh])(bw|wd|dq|qdq)|unpck([lh])(p[sd]))$")
_LANES = {"b": "<16 x i8>", "w": "<8 x i16>", "d": "<4 x i32>", "q": "<2 x i64>", "bw": "<16 x i8>",
          "wd": "<8 x i16>", "dq": "<4 x i32>", "qdq": "<2 x i64>", "ps": "<4 x float>", "pd": "<2 x double>"}
_EXPONENTS = 0x4530000043300000
_PREDICATES = {"eq": "oeq", "lt": "olt", "le": "ole", "unord": "uno", "neq": "une", "nlt": "uge", "nle": "ugt",
               "ord": "ord"}


def execute(machine: Machine, instruction: Instruction) -> bool:
    """Do what an instruction does; False when no rule here covers it. Raises LiftError."""
    name, operands = instruction.name, instruction.operands
    if name in ("movss", "movsd") and len(operands) == 2:
        return _scalar_move(machine, operands[0], operands[1], _SCALARS[name[3:]])
    if name in ("movd", "movq"):
        return _integer_move(machine, operands[0], operands[1], "i32" if name == "movd" else "i64")
    moves = _MOVES.match(name)
    if moves:
        type_ = _LANES[moves[1]] if moves[1] else "<2 x i64>"
        source, target = operands
        aligned = name[3] == "a" or name.endswith("dqa")
        value = _whole(machine, source, type_, aligned)
        _put(machine, target, value, aligned)
        return True
    arithmetic = _ARITHMETIC.match(name)
    if arithmetic:
        return _arithmetic(machine, operands[0], operands[1], arithmetic[1], arithmetic[2])
    if name in ("ucomiss", "ucomisd", "comiss", "comisd"):
        type_ = _SCALARS[name[-2:]]
        machine.set_flags("float", get(machine, operands[1], type_), get(machine, operands[0], type_))
        return True
    convert = _CONVERT.match(name)
    if convert:
        return _convert(machine, instruction, convert)
    if name in ("cvtss2sd", "cvtsd2ss"):
        narrow, wide = ("float", "double") if name == "cvtss2sd" else ("double", "float")
        value = get(machine, operands[0], narrow)
        _put(machine, operands[1], machine.graph.make("fpext" if wide == "double" else "fptrunc", wide, [value]))
        return True
    compare = re.match(r"cmp(\w+?)(s[sd])$", name)
    if compare and compare[1] in _PREDICATES:
        type_ = _SCALARS[compare[2]]
        one, two = get(machine, operands[1], type_), get(machine, operands[0], type_)
        found = machine.graph.make("fcmp", "i1", [one, two], _PREDICATES[compare[1]])
        _put(machine, operands[1], machine.as_type(machine.graph.make("sext", f"i{bits(type_)}", [found]), type_))
        return True
    logic = _LOGIC.match(name)
    if logic:
        return _logic(machine, operands[0], operands[1], logic[1] or logic[2])
    return _packed(machine, instruction)


def get(machine: Machine, operand: Operand, type_: str) -> Value:
    """An operand, or its lowest lane, as a type."""
    if isinstance(operand, Memory):
        return machine.load(operand, type_)
    if not isinstance(operand, Register) or not operand.name.startswith("xmm"):
        raise LiftError("no rule for an operand of another kind")
    return machine.as_type(machine.graph.read(operand.name), type_)


def _put(machine: Machine, operand: Operand, value: Value, aligned: bool = False) -> None:
    if isinstance(operand, Memory):
        address = machine.address(operand)
        machine.store_at(address, value)
        if aligned:
            _mark(machine, address, "store")
    elif isinstance(operand, Register):
        machine.graph.write(operand.name, value)


def _mark(machine: Machine, address: Value, op: str) -> None:
    """Note that the access just made is aligned, as the code says."""
    made = machine.graph.blocks[machine.graph.current]
    if made and made[-1].op == op and made[-1].args[0] is address:
        made[-1].extra = "aligned"


def _whole(machine: Machine, operand: Operand, type_: str, aligned: bool) -> Value:
    """All of a register or of 16 bytes of memory: a copy leaves the register's type as it is."""
    if isinstance(operand, Register):
        return machine.graph.read(operand.name)
    assert isinstance(operand, Memory)
    value = machine.load(operand, type_)
    if aligned and value.op == "load":
        value.extra = "aligned"
    return value


def _scalar_move(machine: Machine, source: Operand, target: Operand, type_: str) -> bool:
    if isinstance(source, Memory):
        value = machine.load(source, type_)
        lanes = f"<{128 // bits(type_)} x {type_}>"
        _put(machine, target, machine.graph.make("widen", lanes, [value]))
    elif isinstance(target, Memory):
        machine.store(target, get(machine, source, type_))
    else:  # upper lanes stay
        _put(machine, target, get(machine, source, type_))
    return True


def _integer_move(machine: Machine, source: Operand, target: Operand, type_: str) -> bool:
    if isinstance(target, Register) and target.name.startswith("xmm"):
        if isinstance(source, Register) and not source.name.startswith("xmm"):
            value = machine.get(source, bits(type_))
        else:
            value = get(machine, source, type_)
        lanes = f"<{128 // bits(type_)} x {type_}>"
        _put(machine, target, machine.graph.make("widen", lanes, [value]))
        return True
    if isinstance(source, Register) and source.name.startswith("xmm"):
        machine.set(target, get(machine, source, type_))
        return True
    return False


def _arithmetic(machine: Machine, source: Operand, target: Operand, op: str, suffix: str) -> bool:
    graph = machine.graph
    type_ = _SCALARS.get(suffix) or _LANES[suffix]
    two = get(machine, source, type_)
    if op == "sqrt":
        _put(machine, target, graph.make("unary", type_, [two], "sqrt"))
        return True
    one = get(machine, target, type_)
    if op in ("min", "max"):
        if suffix[0] == "p":
            return False
        compared = graph.make("fcmp", "i1", [one, two], "olt" if op == "min" else "ogt")
        value = graph.make("select", type_, [compared, one, two])
    else:
        value = _from_unsigned(machine, one, two, op) or graph.make(f"f{op}", type_, [one, two])
    _put(machine, target, value)
    return True


def _from_unsigned(machine: Machine, one: Value, two: Value, op: str) -> Value | None:
    """A double made of an unsigned number of 64 bits: its halves as mantissas, less their exponents, added."""
    if op != "add" or one.op != "lane" or two.op != "lane":
        return None
    found = _under(one, "lane", "bitcast", "shuffle")
    if found is not _under(two, "lane", "bitcast", "shuffle") or found.op != "fsub":
        return None
    left = _under(found.args[0])
    if left.op != "shuffle" or not any((arg.constant or 0) & 0xFFFFFFFFFFFFFFFF == _EXPONENTS
                                       for arg in map(_under, left.args)):
        return None
    source = _under(left.args[0])
    if source.op != "widen" or source.args[0].type not in ("i64", "double"):
        return None
    number = machine.as_type(source.args[0], "i64")
    return machine.graph.make("uitofp", "double", [number])


def _under(value: Value, *ops: str) -> Value:
    while value.op in (ops or ("bitcast",)):
        value = value.args[0]
    return value


def _convert(machine: Machine, instruction: Instruction, match: re.Match[str]) -> bool:
    source, target = instruction.operands
    if match[1]:
        width = 64 if match[2] == "q" or (isinstance(source, Register) and source.name.startswith("r")
                                          and not source.name.endswith("d")) else 32
        number = machine.get(source, width)
        _put(machine, target, machine.graph.make("sitofp", _SCALARS[match[1]], [number]))
        return True
    if not instruction.name.startswith("cvtt"):
        return False
    assert isinstance(target, Register)
    width = 64 if target.name.startswith("r") and not target.name.endswith("d") else 32
    value = get(machine, source, _SCALARS[match[3]])
    machine.set(target, machine.graph.make("fptosi", f"i{width}", [value]))
    return True


def _logic(machine: Machine, source: Operand, target: Operand, op: str) -> bool:
    graph = machine.graph
    if source == target and op in ("xor", "andn"):
        _put(machine, target, graph.make("bitcast", "<2 x i64>", [graph.const(0, 128)]))
        return True
    held = graph.read(target.name) if isinstance(target, Register) else None
    scalar = held is not None and held.type in ("float", "double")
    if not scalar and held is not None and (held.op == "undef" or held.type == "?" or held.type == "x"):
        scalar = True
    if not scalar and isinstance(source, Register):
        scalar = graph.read(source.name).type in ("float", "double")
    if scalar:
        other = graph.read(source.name) if isinstance(source, Register) else None
        known = [item.type for item in (held, other) if item is not None and item.type in ("float", "double")]
        type_ = known[0] if known else "double"
        if not known and isinstance(source, Memory) and _pool_lane(machine, source) == 32:
            type_ = "float"
        width = bits(type_)
        one = get(machine, target, type_)
        two = machine.as_type(get(machine, source, f"i{width}"), f"i{width}")
        sign = 1 << (width - 1)
        if two.constant == sign - 1 and op == "and":
            _put(machine, target, graph.make("unary", type_, [one], "fabs"))
            return True
        if two.constant == sign and op == "xor":
            _put(machine, target, graph.make("fneg", type_, [one]))
            return True
        left = machine.as_type(one, f"i{width}")
        if op == "andn":
            left, op = graph.make("xor", f"i{width}", [left, graph.const(-1, width)]), "and"
        _put(machine, target, machine.as_type(graph.make(op, f"i{width}", [left, two]), type_))
        return True
    one, two = get(machine, target, "<2 x i64>"), get(machine, source, "<2 x i64>")
    if op == "andn":
        ones = graph.make("bitcast", "<2 x i64>", [graph.const(-1, 128)])
        one, op = graph.make("vector", "<2 x i64>", [one, ones], "xor"), "and"
    _put(machine, target, graph.make("vector", "<2 x i64>", [one, two], op))
    return True


def _pool_lane(machine: Machine, operand: Memory) -> int:
    """The bits of the lanes that a mask of signs in the constant pool is for."""
    data = machine.code.data.get(operand.symbol)
    if data is None or data.bytes is None or len(data.bytes) < 16:
        return 64
    return 32 if data.bytes[:4] == data.bytes[4:8] and data.bytes[3] in (0x80, 0x7F) else 64


def _packed(machine: Machine, instruction: Instruction) -> bool:
    name, operands = instruction.name, instruction.operands
    graph = machine.graph
    packed = _PACKED.match(name)
    if packed:
        lanes = _LANES[packed[2]]
        one, two = get(machine, operands[1], lanes), get(machine, operands[0], lanes)
        op = "mul" if packed[1] == "mull" else packed[1]
        _put(machine, operands[1], graph.make("vector", lanes, [one, two], op))
        return True
    compare = _COMPARE.match(name)
    if compare:
        lanes = _LANES[compare[2]]
        count = lanes[1:].split()[0]
        if operands[0] == operands[1] and compare[1] == "eq":
            _put(machine, operands[1], graph.make("bitcast", lanes, [graph.const(-1, 128)]))
            return True
        one, two = get(machine, operands[1], lanes), get(machine, operands[0], lanes)
        found = graph.make("icmp", f"<{count} x i1>", [one, two], "eq" if compare[1] == "eq" else "sgt")
        _put(machine, operands[1], graph.make("vsext", lanes, [found]))
        return True
    unpack = _UNPACK.match(name)
    if unpack:
        lanes = _LANES[unpack[2] or unpack[4]]
        size = int(lanes[1:].split()[0])
        first = size // 2 if (unpack[1] or unpack[3]) == "h" else 0
        mask = [index for item in range(first, first + size // 2) for index in (item, item + size)]
        one, two = get(machine, operands[1], lanes), get(machine, operands[0], lanes)
        _put(machine, operands[1], graph.make("shuffle", lanes, [one, two], tuple(mask)))
        return True
    if name == "pshufd":
        immediate, source, target = operands
        order = machine.get(immediate, 8).constant or 0
        value = get(machine, source, "<4 x i32>")
        mask = [order >> 2 * lane & 3 for lane in range(4)]
        _put(machine, target, graph.make("shuffle", "<4 x i32>", [value, value], tuple(mask)))
        return True
    if name in ("movmskpd", "pmovmskb", "movmskps"):
        kind = {"movmskpd": "<2 x i64>", "movmskps": "<4 x i32>", "pmovmskb": "<16 x i8>"}[name]
        number = 128 // bits(kind.split()[-1][:-1])
        signs = graph.make("signs", f"i{number}", [get(machine, operands[0], kind)], number)
        machine.set(operands[1], graph.make("zext", "i32", [signs]))
        return True
    return False
