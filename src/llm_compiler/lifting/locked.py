"""What locked instructions, exchanges and string instructions do."""

from __future__ import annotations

from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.machine import Machine
from llm_compiler.lifting.text import Immediate, Instruction, Memory, Register
from llm_compiler.lifting.values import Value

_WIDTHS = {"b": 8, "w": 16, "l": 32, "q": 64}


def locked(machine: Machine, instruction: Instruction) -> bool:
    """Do what a locked instruction or an exchange does; False when no rule here covers it."""
    name, operands = instruction.name, instruction.operands
    graph = machine.graph
    base, suffix = name[:-1], name[-1]
    if suffix not in _WIDTHS:
        return False
    width = _WIDTHS[suffix]
    type_ = f"i{width}"
    target = operands[-1]
    if base == "xchg" and not any(isinstance(operand, Memory) for operand in operands):
        one, two = machine.get(operands[0], width), machine.get(operands[1], width)
        machine.set(operands[0], two)
        machine.set(operands[1], one)
        return True
    if base == "xchg":
        register, place = operands if isinstance(operands[1], Memory) else operands[::-1]
        assert isinstance(place, Memory)
        old = graph.make("rmw", type_, [machine.address(place), machine.get(register, width)], "xchg")
        machine.set(register, old)
        return True
    if not isinstance(target, Memory):
        return False
    if base == "or" and operands[0] == Immediate(0) and target.base == "rsp":
        graph.make("fence", "void", [])
        return True
    address = machine.address(target)
    if base in ("inc", "dec"):
        one = graph.const(1, width)
        old = graph.make("rmw", type_, [address, one], "add" if base == "inc" else "sub")
        machine.set_flags(base, old, one)
        return True
    if base in ("add", "sub", "and", "or", "xor"):
        value = machine.get(operands[0], width)
        old = graph.make("rmw", type_, [address, value], base)
        if base in ("add", "sub"):
            machine.set_flags(base, old, value)
        else:
            machine.set_flags("logic", graph.make(base, type_, [old, value]))
        return True
    if base == "xadd":
        value = machine.get(operands[0], width)
        old = graph.make("rmw", type_, [address, value], "add")
        machine.set(operands[0], old)
        machine.set_flags("add", old, value)
        return True
    if base == "cmpxchg":
        low = pair(width)[0]
        expected, new = machine.get(Register(low), width), machine.get(operands[0], width)
        made = graph.make("cmpxchg", type_, [address, expected, new])
        old = graph.make("part", type_, [made], 0)
        machine.set(Register(low), old)
        graph.write("flags", Value("flags", "flags", (graph.make("part", "i1", [made], 1),), "exchanged"))
        return True
    return False


def string(machine: Machine, instruction: Instruction) -> bool:
    """`rep movs`, `rep stos` forwards, as LLVM uses them."""
    graph = machine.graph
    if instruction.prefix in ("rep", "repz") and instruction.name in ("ret", "retq"):
        return False
    if instruction.prefix != "rep" or instruction.name[:4] not in ("movs", "stos"):
        return False
    size = {"b": 1, "w": 2, "l": 4, "q": 8}[instruction.name[4]]
    count = graph.make("mul", "i64", [machine.register("rcx"), graph.const(size, 64)])
    target = machine.register("rdi")
    if instruction.name.startswith("movs"):
        source = machine.register("rsi")
        graph.make("memcpy", "void", [target, source, count])
        machine.set_register("rsi", graph.make("add", "i64", [source, count]))
    else:
        value = machine.register("rax")
        number = value.constant
        if size > 1 and (number is None or len(set((number & ((1 << 8 * size) - 1)).to_bytes(size, "little"))) > 1):
            raise LiftError(f"no rule for {instruction} of a value of several bytes")
        graph.make("memset", "void", [target, graph.make("trunc", "i8", [value]), count])
    machine.set_register("rdi", graph.make("add", "i64", [target, count]))
    machine.set_register("rcx", graph.const(0, 64))
    return True


def pair(width: int) -> tuple[str, str]:
    """The registers that products and dividends have their lower and upper half in."""
    return {8: ("al", "ah"), 16: ("ax", "dx"), 32: ("eax", "edx"), 64: ("rax", "rdx")}[width]
