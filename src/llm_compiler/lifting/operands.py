"""Operands of instructions as text: values, constants, symbols, places in the frame."""

from __future__ import annotations

import re
from collections import Counter

from llm_compiler.lifting.calls import Call
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.settle import Settled
from llm_compiler.lifting.text import Code, Data
from llm_compiler.lifting.values import Value, bits, signed

_PLAIN_NAME = re.compile(r"[A-Za-z_.$-][\w.$-]*$")


def name_of(name: str) -> str:
    """A symbol as LLVM writes it, without the quotes of assembly."""
    name = name.strip('"')
    return f"@{name}" if _PLAIN_NAME.match(name) else f'@"{name}"'


class Operands:
    """What a function's text is made with: lines of the current block, names, and what the module must hold."""

    def __init__(self, settled: Settled) -> None:
        self.settled = settled
        self.code: Code = settled.machine.code
        self.graph = settled.graph
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.count = 0
        self.declared: dict[str, str] = {}
        self.data: dict[str, str] = {}
        self.objects: dict[int, str] = {}
        self.returned: list[tuple[str, int]] = []
        self.several = sum(end is not None and end.op == "ret" for end in self.graph.ends) > 1
        self.pairs: dict[int, list[Value]] = {}
        self.results: dict[int, str] = {}
        ends = [end for end in self.graph.ends if end is not None]
        self.branched = {id(end.args[0]) for end in ends if end.op == "br"}
        values = [value for block in self.graph.blocks for value in block if id(value) in settled.live]
        self.uses = Counter(id(arg) for value in (*values, *ends) for arg in value.args)

    def _fresh(self) -> str:
        self.count += 1
        return f"%v{self.count}"

    def _type(self, value: Value) -> str:
        return "ptr" if id(value) in self.settled.pointers else value.type

    def _emit(self, text: str) -> str:
        name = self._fresh()
        self.lines.append(f"  {name} = {text}")
        return name

    def _natural(self, value: Value) -> tuple[str, str]:
        """Type and text of a value as it is."""
        if value.op == "const":
            return value.type, ("true" if value.extra else "false") if value.type == "i1" else str(
                signed(value.extra, bits(value.type)))
        if value.op == "undef":
            return (value.type if value.type not in ("x", "?") else "i64"), "undef"
        if value.op == "symbol":
            return "ptr", self._symbol(*value.extra)
        if value.op == "frame":
            return "ptr", self._frame(value.extra)
        if value.op == "fsabs":
            return "ptr addrspace(257)", f"inttoptr (i64 {value.extra} to ptr addrspace(257))"
        if value.op == "guard":
            raise LiftError("a stack protector's value in another use")
        if value.op == "fs":
            raise LiftError("the address of thread-local data")
        name = self.results.get(id(value)) or self.names.get(id(value.args[0] if value.op == "result" else value))
        if name is None:
            raise LiftError(f"a value without a place: {value.op}")
        return self._type(value), name

    def _use(self, value: Value, wanted: str) -> str:
        """A value as a type, converted between integers and pointers where need be."""
        have, text = self._natural(value)
        if have == wanted:
            return text
        if value.op == "undef":
            return "undef"
        if wanted == "ptr" and have == "i64":
            if value.constant is not None:
                return "null" if value.constant == 0 else f"inttoptr (i64 {text} to ptr)"
            return self._emit(f"inttoptr i64 {text} to ptr")
        if have == "ptr" and wanted == "i64":
            if value.op == "symbol":
                return f"ptrtoint (ptr {text} to i64)"
            return self._emit(f"ptrtoint ptr {text} to i64")
        if bits(have) == bits(wanted) and "ptr" not in (have, wanted):
            return self._emit(f"bitcast {have} {text} to {wanted}")
        if "ptr" in (have, wanted) and bits(have) == bits(wanted):
            middle = self._use(value, "i64") if have == "ptr" else self._emit(f"bitcast {have} {text} to i64")
            cast = "inttoptr" if wanted == "ptr" else "bitcast"
            return self._emit(f"{cast} i64 {middle} to {wanted}")
        raise LiftError(f"a value of type {have} as {wanted}")

    def _typed(self, value: Value) -> str:
        have, text = self._natural(value)
        return f"{have} {text}"

    def _frame(self, offset: int) -> str:
        frame = self.settled.machine.frame
        start = frame.object_of(offset)
        if start is None:
            start = next((item for item, end in zip(frame.starts, frame.ends, strict=True) if end == offset), None)
        if start is None:
            raise LiftError("the address of a place in the frame that holds no object")
        if start not in self.objects:
            self.objects[start] = f"%f{len(self.objects)}"
        base = self.objects[start]
        return base if offset == start else self._emit(f"getelementptr i8, ptr {base}, i64 {offset - start}")

    def _symbol(self, name: str, through: str) -> str:
        written = name_of(name if not name.startswith(".L") else name[2:])
        data = self.code.data.get(name)
        if data is not None and through == "":
            self._constant(data, written)
        elif name.strip('"') == self.code.name:
            pass
        elif name.startswith(".L"):
            raise LiftError(f"the label {name} as a value")
        elif name.strip('"') in {item.name.strip('"') for item in self._called()}:
            self._declare(name, "void", "", through == "GOT")
        elif written not in self.declared:
            if "TPOFF" in through:
                raise LiftError("the distance of a thread-local variable as a value")
            where = "thread_local(initialexec) " if through.startswith("TLS") else ""
            local = "" if "GOT" in through else "dso_local "
            self.declared[written] = f"{written} = external {local}{where}global i8"
        if through.startswith("TLS"):
            return self._emit(f"call ptr {self._intrinsic('llvm.threadlocal.address.p0', 'ptr', 'ptr')}(ptr {written})")
        return written

    def _called(self) -> list[Call]:
        return [value.extra for block in self.graph.blocks for value in block
                if value.op == "call" and value.extra.name]

    def _constant(self, data: Data, name: str) -> None:
        if name in self.data:
            return
        if data.name.startswith(".LJTI"):
            raise LiftError("a jump table as data")
        self.data[name] = ""
        linkage = "private unnamed_addr" if data.name.startswith(".L") else "internal unnamed_addr"
        plain = data.bytes
        if plain is not None:
            shown = "".join(chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02X}" for byte in plain)
            self.data[name] = (f'{name} = {linkage} constant [{len(plain)} x i8] c"{shown}", align {data.align}')
            return
        types, values = [], []
        for part in data.parts:
            if isinstance(part, bytes):
                if len(part) == 8:
                    types.append("i64")
                    values.append(f"i64 {int.from_bytes(part, 'little', signed=True)}")
                    continue
                types.append(f"[{len(part)} x i8]")
                values.append(f'[{len(part)} x i8] c"' + "".join(f"\\{byte:02X}" for byte in part) + '"')
            elif isinstance(part[1], int):
                symbol = self._symbol(part[0], "")
                types.append("ptr")
                place = f"getelementptr (i8, ptr {symbol}, i64 {part[1]})" if part[1] else symbol
                values.append(f"ptr {place}")
            else:
                raise LiftError(f"the constant {data.name} holds distances")
        text = f"<{{ {', '.join(types)} }}> <{{ {', '.join(values)} }}>"
        self.data[name] = f"{name} = {linkage} constant {text}, align {data.align}"

    def _declare(self, name: str, result: str, parameters: str, plt: bool) -> None:
        written = name_of(name)
        if name.strip('"') != self.code.name and (written not in self.declared or parameters):
            old = self.declared.get(written)
            if old is None or old.endswith("() #1") or " global " in old:
                self.declared[written] = f"declare {'' if plt else 'dso_local '}{result} {written}({parameters}) #1"

    def _intrinsic(self, name: str, result: str, *types: str) -> str:
        self.declared[f"@{name}"] = f"declare {result} @{name}({', '.join(types)})"
        return f"@{name}"
