"""Registers, memory and flags of the code that is lifted, as values of a graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.frame import GUARD, Frame
from llm_compiler.lifting.text import REGISTERS, Code, Immediate, Memory, Operand, Register
from llm_compiler.lifting.values import Graph, Value, bits

_ALIASES = {"c": "b", "nae": "b", "nb": "ae", "nc": "ae", "z": "e", "nz": "ne", "na": "be", "nbe": "a", "nge": "l",
            "nl": "ge", "ng": "le", "nle": "g", "pe": "p", "po": "np"}
_NEGATED = {"ne": "e", "ae": "b", "a": "be", "ns": "s", "ge": "l", "g": "le", "no": "o", "np": "p"}
_COMPARED = {"e": "eq", "ne": "ne", "b": "ult", "ae": "uge", "be": "ule", "a": "ugt", "l": "slt", "ge": "sge",
             "le": "sle", "g": "sgt"}
_ORDERED = {"a": "ogt", "ae": "oge", "b": "ult", "be": "ule", "e": "ueq", "ne": "one", "p": "uno", "np": "ord"}
_ZERO = {"e": "eq", "ne": "ne", "s": "slt", "l": "slt", "ns": "sge", "ge": "sge", "le": "sle", "g": "sgt",
         "be": "eq", "a": "ne"}
CONDITIONS = frozenset((*_COMPARED, *_ORDERED, *_ZERO, "o", "no", *_ALIASES))


@dataclass
class Machine:
    """The state that rules read and write. place: offsets of stack and frame pointer before the instruction."""

    code: Code
    graph: Graph
    frame: Frame
    place: tuple[int, int | None] = (0, None)
    symbols: dict[str, Value] = field(default_factory=dict)

    # --- registers

    def register(self, name: str) -> Value:
        """A general register or a part of one."""
        whole, width, shift = REGISTERS[name]
        if whole == "rsp":
            value = self.graph.make_frame(self.place[0])
        elif whole == "rbp" and self.place[1] is not None:
            value = self.graph.make_frame(self.place[1])
        else:
            value = self.graph.read(whole)
        if shift:
            value = self.graph.make("lshr", "i64", [value, self.graph.const(shift, 64)])
        return self.graph.make("trunc", f"i{width}", [value]) if width < 64 else value

    def set_register(self, name: str, value: Value) -> None:
        whole, width, shift = REGISTERS[name]
        graph = self.graph
        if whole == "rsp":
            return  # followed by `frame`
        if shift:
            mask = graph.const(~(0xFF << 8), 64)
            kept = graph.make("and", "i64", [graph.read(whole), mask])
            wide = graph.make("shl", "i64", [graph.make("zext", "i64", [value]), graph.const(8, 64)])
            graph.write(whole, graph.make("or", "i64", [kept, wide]))
        elif width == 64:
            graph.write(whole, value)
        elif width == 32:
            graph.write(whole, graph.make("zext", "i64", [value]))
        else:
            graph.write(whole, graph.make("insert", "i64", [graph.read(whole), value]))

    # --- operands

    def get(self, operand: Operand, width: int) -> Value:
        """An integer operand. width: in bits."""
        if isinstance(operand, Immediate):
            if operand.symbol:
                value = self.address_of(operand.symbol, operand.value)
                return self.graph.make("trunc", f"i{width}", [value]) if width < 64 else value
            return self.graph.const(operand.value, width)
        if isinstance(operand, Register):
            if operand.name not in REGISTERS:
                raise LiftError(f"no rule for the register {operand.name}")
            return self.register(operand.name)
        if isinstance(operand, Memory):
            return self.load(operand, f"i{width}")
        raise LiftError("a label as a value")

    def set(self, operand: Operand, value: Value) -> None:
        if isinstance(operand, Register):
            self.set_register(operand.name, value)
        elif isinstance(operand, Memory):
            self.store(operand, value)
        else:
            raise LiftError("a constant is written to")

    # --- memory

    def symbol(self, name: str, *, through: str = "") -> Value:
        """The address of a symbol. through: GOT or PLT where it is not known to be of this file; TLS."""
        key = f"{name} {through}"
        if key not in self.symbols:
            self.symbols[key] = Value("symbol", "i64", (), (name, through))
        return self.symbols[key]

    def address_of(self, name: str, disp: int) -> Value:
        return self.graph.make("add", "i64", [self.symbol(name), self.graph.const(disp, 64)])

    def address(self, operand: Memory) -> Value:
        """Raises LiftError for what lies relative to a segment in an unknown way."""
        graph = self.graph
        if operand.kind in ("GOTPCREL", "GOTTPOFF"):
            raise LiftError(f"no rule for an address in {operand.kind}")
        if operand.segment:
            return self._thread_local(operand)
        parts: list[Value] = []
        if operand.symbol:
            if operand.kind in ("TPOFF", "DTPOFF"):
                parts.append(self.symbol(operand.symbol, through="TPOFF"))
            elif operand.kind:
                raise LiftError(f"no rule for an address in {operand.kind}")
            else:
                parts.append(self.symbol(operand.symbol))
        if operand.base and operand.base != "rip":
            base = self.register(operand.base)
            if bits(base.type) != 64:
                raise LiftError("an address of 32 bits")
            parts.append(base)
        if operand.index:
            index = self.register(operand.index)
            if bits(index.type) != 64:
                raise LiftError("an address of 32 bits")
            shift = operand.scale.bit_length() - 1
            scaled = graph.make("shl", "i64", [index, graph.const(shift, 64)])
            if parts and parts[0].op not in ("frame", "symbol") and scaled.op in ("frame", "symbol"):
                parts.insert(0, scaled)
            else:
                parts.append(scaled)
        if not parts:
            return graph.const(operand.disp, 64)
        value = parts[0]
        for part in parts[1:]:
            value = graph.make("add", "i64", [value, part])
        return graph.make("add", "i64", [value, graph.const(operand.disp, 64)])

    def _thread_local(self, operand: Memory) -> Value:
        graph = self.graph
        if operand.segment != "fs":
            raise LiftError(f"no rule for the segment {operand.segment}")
        if operand.kind == "TPOFF" and not operand.base:
            place = graph.thread_local(self.symbol(operand.symbol, through="TPOFF"))
            return graph.make("add", "i64", [place, graph.const(operand.disp, 64)])
        if not operand.symbol and operand.base and not operand.index:
            base = graph.read(REGISTERS[operand.base][0])
            if base.op == "symbol" and base.extra[1] in ("TPOFF", "GOTTPOFF"):
                return graph.make("add", "i64", [graph.thread_local(base), graph.const(operand.disp, 64)])
        if not operand.symbol and not operand.base and not operand.index:
            return Value("fsabs", "i64", (), operand.disp)
        raise LiftError("no rule for an address of thread-local data")

    def load(self, operand: Memory, type_: str) -> Value:
        if operand.kind == "GOTPCREL" and type_ == "i64" and operand.base == "rip":
            return self.symbol(operand.symbol, through="GOT")
        if operand.kind == "GOTTPOFF" and type_ == "i64":
            return self.symbol(operand.symbol, through="GOTTPOFF")
        if operand.segment == "fs" and not operand.symbol and not operand.base and not operand.disp:
            return Value("fs", "i64")
        if operand.base == "rip" and operand.symbol.startswith(".LCPI"):
            return self._pooled(operand, type_)
        if operand == GUARD and self.frame.guards:
            return self.symbols.setdefault("guard", Value("guard", "i64"))
        return self.load_at(self.address(operand), type_)

    def _pooled(self, operand: Memory, type_: str) -> Value:
        """A constant of the function's pool."""
        data = self.code.data.get(operand.symbol)
        size = bits(type_) // 8
        if data is None or data.bytes is None or operand.disp < 0 or operand.disp + size > len(data.bytes):
            raise LiftError(f"the constant {operand.symbol} is not there")
        number = int.from_bytes(data.bytes[operand.disp : operand.disp + size], "little")
        return self.graph.make("bitcast", type_, [self.graph.const(number, 8 * size)])

    def load_at(self, address: Value, type_: str) -> Value:
        if address.op == "frame":
            slot = self._slot(address.extra)
            if slot is not None:
                return self._read_slot(slot, type_)
        return self.graph.make("load", type_, [address])

    def store(self, operand: Memory, value: Value) -> None:
        self.store_at(self.address(operand), value)

    def store_at(self, address: Value, value: Value) -> None:
        if address.op == "frame":
            if address.extra == 0:
                raise LiftError("the return address is written to")
            area = self.frame.area
            if area is not None and area <= address.extra < area + 48 and value.op == "arg":
                return  # where `va_arg` finds registers
            slot = self._slot(address.extra)
            if slot is not None:
                self._write_slot(slot, value)
                return
        self.graph.make("store", "void", [address, value])

    def _slot(self, offset: int) -> tuple[int, int] | None:
        found = self.frame.slots.get(offset)
        if found is None and self.frame.object_of(offset) is None:
            raise LiftError("no rule for a place in the frame that is part of two")
        return found

    def _read_slot(self, slot: tuple[int, int], type_: str) -> Value:
        value = self.graph.read(f"slot{slot[0]}")
        return self.as_type(value, type_)

    def _write_slot(self, slot: tuple[int, int], value: Value) -> None:
        name, size = f"slot{slot[0]}", bits(value.type) if value.type != "x" else 8 * slot[1]
        if size < 8 * slot[1]:
            if value.type[0] != "i":
                value = self.graph.make("bitcast", f"i{size}", [value])
            if slot[1] > 8:
                raise LiftError("no rule for a slot of which a part is written")
            old = self.as_type(self.graph.read(name), f"i{8 * slot[1]}")
            wide = self.graph.make("zext", "i64", [old])
            value = self.graph.make("trunc", f"i{8 * slot[1]}", [self.graph.make("insert", "i64", [wide, value])])
        self.graph.write(name, value)

    def as_type(self, value: Value, type_: str) -> Value:
        """A slot's or vector register's contents as a type of at most its size; the lowest bits."""
        if value.type == type_:
            return value
        if (value.op == "phi" and value.type == "?") or value.op == "undef" or value.type == "x":
            return self.graph.make("view", type_, [value])
        if value.op == "widen" and bits(type_) <= bits(value.args[0].type):
            return self.as_type(value.args[0], type_)
        have, want = bits(value.type), bits(type_)
        if have == want:
            return self.graph.make("bitcast", type_, [value])
        if have < want:
            raise LiftError("more of a register or slot is read than was written")
        if value.type[0] == "i" and type_[0] == "i":
            return self.graph.make("trunc", type_, [value])
        if value.type[0] == "<" and 128 % want == 0:
            lanes = f"<{have // want} x {type_}>"
            return self.graph.make("lane", type_, [self.graph.make("bitcast", lanes, [value])], 0)
        narrow = self.graph.make("trunc", f"i{want}", [self.graph.make("bitcast", f"i{have}", [value])])
        return self.graph.make("bitcast", type_, [narrow])

    # --- flags

    def set_flags(self, kind: str, *args: Value) -> None:
        self.graph.write("flags", Value("flags", "flags", args, kind))

    def spoil_flags(self) -> None:
        self.graph.write("flags", Value("flags", "flags", (), ""))

    def compare(self, predicate: str, one: Value, two: Value) -> Value:
        if one.constant is not None and two.constant is not None:
            return self.graph.const(int(_holds(predicate, one.constant, two.constant, bits(one.type))), 1)
        if one is two:
            return self.graph.const(int(_holds(predicate, 0, 0, 1)), 1)
        return self.graph.make("icmp", "i1", [one, two], predicate)

    def negated(self, value: Value) -> Value:
        return self.graph.make("xor", "i1", [value, self.graph.const(1, 1)])

    def condition(self, name: str) -> Value:
        """Whether a condition code holds. Raises LiftError where the flags are not known."""
        name = _ALIASES.get(name, name)
        flags = self.graph.read("flags")
        if flags.op != "flags" or not flags.extra:
            raise LiftError("flags that come from several places" if flags.op == "phi" else f"no rule for the flags "
                            f"that `{name}` looks at")
        found = getattr(self, f"_after_{flags.extra}")(name, *flags.args)
        if found is None and name in _NEGATED:
            found = getattr(self, f"_after_{flags.extra}")(_NEGATED[name], *flags.args)
            found = None if found is None else self.negated(found)
        if found is None:
            raise LiftError(f"no rule for the flags that `{name}` looks at")
        return found  # type: ignore[no-any-return]

    def _after_sub(self, name: str, one: Value, two: Value) -> Value | None:
        if name in _COMPARED:
            return self.compare(_COMPARED[name], one, two)
        if name in ("s", "ns"):
            rest = self.graph.make("sub", one.type, [one, two])
            return self.compare(_ZERO[name], rest, self.graph.const(0, bits(one.type)))
        return self._overflow(name, "ssub", one, two)

    def _after_dec(self, name: str, one: Value, two: Value) -> Value | None:
        return None if name in ("b", "ae", "be", "a") else self._after_sub(name, one, two)

    def _after_add(self, name: str, one: Value, two: Value) -> Value | None:
        width = bits(one.type)
        total = self.graph.make("add", one.type, [one, two])
        if name in ("e", "ne", "s", "ns"):
            return self.compare(_ZERO[name], total, self.graph.const(0, width))
        if name in ("b", "ae") and two.constant:
            return self.compare("uge" if name == "b" else "ult", one, self.graph.const(-two.constant, width))
        if name in ("b", "ae"):
            return self.compare("ult" if name == "b" else "uge", total, one)
        if name in ("l", "ge", "le", "g") and two.constant and two.constant != 1 << (width - 1):
            return self.compare(_COMPARED[name], one, self.graph.const(-two.constant, width))
        return self._overflow(name, "sadd", one, two)

    def _after_inc(self, name: str, one: Value, two: Value) -> Value | None:
        return None if name in ("b", "ae", "be", "a") else self._after_add(name, one, two)

    def _overflow(self, name: str, kind: str, one: Value, two: Value) -> Value | None:
        return self.graph.make("overflow", "i1", [one, two], kind) if name == "o" else None

    def _after_logic(self, name: str, result: Value) -> Value | None:
        if name in ("b", "o"):
            return self.graph.const(0, 1)
        return self.compare(_ZERO[name], result, self.graph.const(0, bits(result.type))) if name in _ZERO else None

    def _after_shift(self, name: str, result: Value) -> Value | None:
        return self._after_logic(name, result) if name in ("e", "ne", "s", "ns") else None

    def _after_shift_out(self, name: str, result: Value, out: Value) -> Value | None:
        return out if name == "b" else self._after_shift(name, result)

    def _after_carry(self, name: str, carry: Value) -> Value | None:
        return carry if name == "b" else None

    def _after_zero(self, name: str, source: Value) -> Value | None:
        return self.compare("eq", source, self.graph.const(0, bits(source.type))) if name == "e" else None

    def _after_overflow(self, name: str, out: Value) -> Value | None:
        return out if name in ("o", "b") else None

    def _after_sbb(self, name: str, one: Value, two: Value, carry: Value) -> Value | None:
        if name not in ("b", "l"):
            return None
        wide = f"i{2 * bits(one.type)}"
        kind = "zext" if name == "b" else "sext"
        left, right = (self.graph.make(kind, wide, [item]) for item in (one, two))
        right = self.graph.make("add", wide, [right, self.graph.make("zext", wide, [carry])])
        return self.compare("ult" if name == "b" else "slt", left, right)

    def _after_adc(self, name: str, one: Value, two: Value, carry: Value) -> Value | None:
        if name != "b":
            return None
        width = bits(one.type)
        wide = f"i{2 * width}"
        total = self.graph.make("add", wide, [self.graph.make("zext", wide, [item]) for item in (one, two)])
        total = self.graph.make("add", wide, [total, self.graph.make("zext", wide, [carry])])
        return self.compare("ugt", total, self.graph.const((1 << width) - 1, 2 * width))

    def _after_exchanged(self, name: str, done: Value) -> Value | None:
        return done if name == "e" else None

    def _after_float(self, name: str, one: Value, two: Value) -> Value | None:
        return self.graph.make("fcmp", "i1", [one, two], _ORDERED[name]) if name in _ORDERED else None


def _holds(predicate: str, one: int, two: int, width: int) -> bool:
    if predicate[0] == "s":
        one, two = (value - (1 << width) if value >> (width - 1) else value for value in (one, two))
    return {"eq": one == two, "ne": one != two, "lt": one < two, "le": one <= two, "gt": one > two,
            "ge": one >= two}[predicate if predicate in ("eq", "ne") else predicate[1:]]


def jump_condition(name: str, prefixes: Sequence[str] = ("j", "set", "cmov")) -> str:
    """The condition code in a mnemonic; empty when it holds none."""
    for prefix in prefixes:
        if name.startswith(prefix):
            rest = name.removeprefix(prefix)
            if rest in CONDITIONS:
                return rest
            if prefix == "cmov" and rest[:-1] in CONDITIONS:
                return rest[:-1]
    return ""
