"""A settled function as the text of an LLVM-IR module."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from llm_compiler.lifting.calls import KNOWN, Call
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.settle import Settled
from llm_compiler.lifting.text import Code, Data
from llm_compiler.lifting.values import Value, bits, signed

_HEAD = '''target datalayout = "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128"
target triple = "x86_64-unknown-linux-gnu"
'''
_PLAIN_NAME = re.compile(r"[A-Za-z_.$-][\w.$-]*$")
_WORDS = ('"min-legal-vector-width"="0" "no-trapping-math"="true" "stack-protector-buffer-size"="8" '
          '"target-cpu"="x86-64" "target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87" "tune-cpu"="generic"')
_BINARY = frozenset({"add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "udiv", "sdiv", "urem", "srem",
                     "fadd", "fsub", "fmul", "fdiv"})
_CASTS = frozenset({"trunc", "zext", "sext", "bitcast", "sitofp", "uitofp", "fptosi", "fpext", "fptrunc"})
_EXTENDED = ("i1", "i8", "i16")  # what callers extend
_INVERSE = {"ne": "eq", "sge": "slt", "sle": "sgt", "uge": "ult", "ule": "ugt"}  # to what LLVM's passes prefer
_TURNED = {"ugt": ("ult", 1), "ult": ("ugt", -1), "sgt": ("slt", 1), "slt": ("sgt", -1)}
_STRIDES = {1: "i16", 2: "i32", 3: "i64"}


def printed(settled: Settled) -> str:
    """Raises LiftError for what has no text."""
    return _Printer(settled).module()


def name_of(name: str) -> str:
    """A symbol as LLVM writes it, without the quotes of assembly."""
    name = name.strip('"')
    return f"@{name}" if _PLAIN_NAME.match(name) else f'@"{name}"'


class _Printer:
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

    def module(self) -> str:
        settled, graph = self.settled, self.graph
        parameters = []
        for item in settled.parameters:
            name = self._fresh()
            if isinstance(item, Value):
                self.names[id(item)] = name
                ext = " zeroext" if item.type == "i1" else ""
                parameters.append(f"{self._type(item)}{ext} {name}")
            else:
                parameters.append(f"{item} {name}")
        bodies: dict[int, list[str]] = {}
        order = [index for index in range(len(graph.blocks)) if index in graph.filled and (
            index == 0 or graph.predecessors[index])]
        for index in order:  # phis first, so that uses ahead have names
            phis = sorted((value for value in graph.blocks[index] if value.op == "phi"), key=_rank)
            graph.blocks[index] = [*phis, *(value for value in graph.blocks[index] if value.op != "phi")]
            for value in phis:
                if value.op == "phi" and id(value) in settled.live:
                    self.names[id(value)] = self._fresh()
        sequence = self._sequence(order)
        for index in sequence:
            self.lines = bodies[index] = []
            for value in graph.blocks[index]:
                if id(value) in settled.live and value.op != "phi":
                    self._value(value)
            self._end(index)
        for index in order:
            bodies[index][:0] = self._phis(index, bodies)
        body = [line for index in order for line in (f"b{index}:", *bodies[index])] + self._common_return()
        first = ["entry:"]
        first += [f"  {name} = alloca {self._object(start)}" for start, name in self.objects.items()]
        body[:1] = first
        result = self._result_word()
        head = (f"define {self._linkage()}{result} {name_of(self.code.name)}({', '.join(parameters)}) "
                f"local_unnamed_addr #0 {{")
        text = "\n".join([head, *body, "}"]).replace("label %b0,", "label %entry,")
        text = re.sub(r"%b0(?!\d)", "%entry", text)
        words = f"minsize nounwind optsize {self._protected()}{self._tables()}{self._frame_pointer()}{_WORDS}"
        group = f"attributes #0 = {{ {words} }}"
        return "\n".join([_HEAD, *self.data.values(), "", text, "", *self.declared.values(), "", group,
                          "attributes #1 = { minsize nounwind optsize }",
                          "attributes #2 = { minsize noreturn nounwind optsize }", ""])

    def _sequence(self, order: Sequence[int]) -> list[int]:
        """Blocks so that definitions come before uses."""
        seen: set[int] = set()
        found: list[int] = []
        stack = [(0, iter(self.graph.successors[0]))]
        seen.add(0)
        while stack:
            index, rest = stack[-1]
            following = next((item for item in rest if item not in seen), None)
            if following is None:
                found.append(index)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(self.graph.successors[following])))
        return found[::-1]

    # --- the head

    def _linkage(self) -> str:
        name = self.code.name
        words = self.code.directives
        known = any(word.split(None, 1)[-1].strip('"') == name for word in words
                    if word.startswith((".globl", ".weak")))
        hidden = any(word.startswith(".hidden") and word.split(None, 1)[-1].strip('"') == name for word in words)
        weak = any(word.startswith(".weak") and word.split(None, 1)[-1].strip('"') == name for word in words)
        if not known:
            return "internal "
        return ("weak " if weak else "") + ("hidden " if hidden else "dso_local ")

    def _protected(self) -> str:
        return "sspstrong " if self.settled.machine.frame.guards else ""

    def _tables(self) -> str:
        return "uwtable " if ".cfi_startproc" in self.code.directives else ""

    def _frame_pointer(self) -> str:
        return '"frame-pointer"="all" ' if any(fp is not None for places in self.settled.machine.frame.before
                                               for _, fp in places) else ""

    def _result_word(self) -> str:
        for end in self.graph.ends:
            if end is not None and end.op == "ret" and end.args:
                if len(end.args) == 2:
                    return "{ i64, i64 }"
                values = [item.args[0] for item in self.graph.ends if item is not None and item.op == "ret"]
                if any(id(value) in self.settled.pointers for value in values):
                    return "ptr"
                result = self.settled.result
                extended = result in ("i1", "i16") or (self.settled.choice.extended and result == "i8")
                return f"zeroext {result}" if extended else result
        return "void"

    def _object(self, start: int) -> str:
        frame = self.settled.machine.frame
        size = frame.ends[frame.starts.index(start)] - start
        align = next(align for align in (16, 8, 4, 2, 1) if (start - 8) % align == 0 and size >= align)
        return f"[{size} x i8], align {align}"

    # --- operands

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

    # --- symbols

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

    # --- values

    def _value(self, value: Value) -> None:
        op, type_, args = value.op, value.type, value.args
        if op in ("frame", "symbol", "const", "undef"):
            return
        text = ""
        if op == "add" and id(value) in self.settled.pointers:
            text = self._element(args)
        elif op in _BINARY:
            text = f"{op} {type_} {self._use(args[0], type_)}, {self._use(args[1], type_)}"
        elif op in _CASTS:
            have = args[0].type
            text = f"{op} {have} {self._use(args[0], have)} to {type_}"
        elif op == "vector":
            text = f"{value.extra} {type_} {self._use(args[0], type_)}, {self._use(args[1], type_)}"
        elif op == "vsext":
            text = f"sext {args[0].type} {self._use(args[0], args[0].type)} to {type_}"
        elif op in ("icmp", "fcmp"):
            kind = "ptr" if any(self._natural(arg)[0] == "ptr" for arg in args) else args[0].type
            other = self._inverted(value) if id(value) in self.branched else None
            predicate, second = other or (value.extra, self._use(args[1], kind))
            text = f"{op} {predicate} {kind} {self._use(args[0], kind)}, {second}"
        elif op == "select":
            kind = self._type(value)
            text = (f"select i1 {self._use(args[0], 'i1')}, {kind} {self._use(args[1], kind)}, "
                    f"{kind} {self._use(args[2], kind)}")
        elif op == "insert":
            text = self._insert(value)
        elif op == "fneg":
            text = f"fneg {type_} {self._use(args[0], type_)}"
        elif op == "load":
            text = self._load(value)
        elif op == "store":
            self._store(value)
            return
        elif op == "widen":
            text = f"insertelement {type_} zeroinitializer, {args[0].type} {self._use(args[0], args[0].type)}, i64 0"
        elif op == "lane":
            text = f"extractelement {args[0].type} {self._use(args[0], args[0].type)}, i64 {value.extra}"
        elif op == "shuffle":
            mask = ", ".join(f"i32 {index}" for index in value.extra)
            text = (f"shufflevector {type_} {self._use(args[0], type_)}, {type_} {self._use(args[1], type_)}, "
                    f"<{len(value.extra)} x i32> <{mask}>")
        elif op == "signs":
            lanes = args[0].type
            found = self._emit(f"icmp slt {lanes} {self._use(args[0], lanes)}, zeroinitializer")
            text = f"bitcast <{value.extra} x i1> {found} to {type_}"
        elif op in ("unary", "counted", "zeros", "funnel", "overflow"):
            text = self._intrinsics(value)
        elif op in ("rmw", "cmpxchg", "fence", "part", "memcpy", "memset"):
            text = self._atomic(value)
        elif op == "call":
            self._call(value)
            return
        elif op == "result":
            return
        else:
            raise LiftError(f"no text for {op}")
        if text:
            self.names[id(value)] = self._emit(text)

    def _element(self, args: Sequence[Value]) -> str:
        base, offset = self._base(args)
        inner = self._strided(base, offset)
        if inner is not None:
            return inner
        where = self._use(base, "ptr")
        stride = _stride(offset)
        if stride:
            return f"getelementptr [{stride} x i8], ptr {where}, i64 {self._use(offset.args[0], 'i64')}"
        if offset.op == "shl" and offset.args[1].constant in _STRIDES:
            kind = _STRIDES[offset.args[1].constant or 0]
            return f"getelementptr {kind}, ptr {where}, i64 {self._use(offset.args[0], 'i64')}"
        return f"getelementptr i8, ptr {where}, i64 {self._use(offset, 'i64')}"

    def _base(self, args: Sequence[Value]) -> tuple[Value, Value]:
        """Which of two summands is the address."""
        for base, offset in (args, args[::-1]):
            if self._natural(base)[0] == "ptr":
                return base, offset
        return args[0], args[1]

    def _strided(self, base: Value, offset: Value) -> str | None:
        """A field of an element of an array, in one: what is not optimised is lowered as it is written."""
        if offset.constant is None or base.op != "add" or id(base) not in self.settled.pointers:
            return None
        place, scaled = self._base(base.args)
        stride = _stride(scaled) or (1 << (scaled.args[1].constant or 0) if scaled.op == "shl" else 0)
        if not 0 < offset.constant < stride:
            return None
        fields = f"<{{ [{offset.constant} x i8], [{stride - offset.constant} x i8] }}>"
        return f"getelementptr {fields}, ptr {self._use(place, 'ptr')}, i64 {self._use(scaled.args[0], 'i64')}, i32 1"

    def _inverted(self, condition: Value) -> tuple[str, str] | None:
        """The contrary of a comparison that one branch asks for, where LLVM's passes prefer it: predicate, operand."""
        if condition.op != "icmp" or self.uses.get(id(condition)) != 1:
            return None
        second = condition.args[1]
        kind = "ptr" if any(self._natural(arg)[0] == "ptr" for arg in condition.args) else second.type
        if condition.extra in _INVERSE:
            return _INVERSE[condition.extra], self._use(second, kind)
        turned = _TURNED.get(condition.extra)
        if not self.settled.choice.turned or turned is None or second.constant is None or kind == "ptr":
            return None
        number = signed(second.constant, bits(second.type)) if turned[0][0] == "s" else second.constant
        least = -(1 << bits(kind) - 1) if turned[0][0] == "s" else 0
        if not least < number + turned[1] < least + (1 << bits(kind)) - 1:
            return None
        return turned[0], str(signed(number + turned[1], bits(kind)))

    def _insert(self, value: Value) -> str:
        old, new = value.args
        mask = -(1 << bits(new.type))
        kept = self._emit(f"and i64 {self._use(old, 'i64')}, {mask}")
        wide = self._emit(f"zext {new.type} {self._use(new, new.type)} to i64")
        return f"or i64 {kept}, {wide}"

    def _load(self, value: Value) -> str:
        where = value.args[0]
        kind = self._type(value)
        align = f", align {bits(value.type) // 8 if value.extra == 'aligned' else 1}"
        if where.op == "fsabs":
            return f"load {kind}, {self._typed(where)}, align 8"
        return f"load {kind}, ptr {self._use(where, 'ptr')}{align}"

    def _store(self, value: Value) -> None:
        where, what = value.args
        kind, text = self._natural(what)
        align = bits(kind) // 8 if value.extra == "aligned" else 1
        place = self._typed(where) if where.op == "fsabs" else f"ptr {self._use(where, 'ptr')}"
        self.lines.append(f"  store {kind} {text}, {place}, align {align}")

    def _intrinsics(self, value: Value) -> str:
        op, type_, args = value.op, value.type, value.args
        if op == "overflow":
            inner = args[0].type
            pair = f"{{ {inner}, i1 }}"
            name = self._intrinsic(f"llvm.{value.extra}.with.overflow.{inner}", pair, inner, inner)
            one, two = (self._use(arg, inner) for arg in args)
            made = self._emit(f"call {pair} {name}({inner} {one}, {inner} {two})")
            return f"extractvalue {pair} {made}, 1"
        suffix = {"double": "f64", "float": "f32"}.get(type_, type_)
        if op == "funnel":
            name = self._intrinsic(f"llvm.{value.extra}.{suffix}", type_, type_, type_, type_)
            shown = ", ".join(f"{type_} {self._use(arg, type_)}" for arg in args)
            return f"call {type_} {name}({shown})"
        if op in ("counted", "zeros"):
            kind = "cttz" if value.extra in ("cttz", "bsf") else "ctlz"
            name = self._intrinsic(f"llvm.{kind}.{suffix}", type_, type_, "i1")
            poison = "true" if op == "zeros" else "false"
            return f"call {type_} {name}({type_} {self._use(args[0], type_)}, i1 {poison})"
        if type_[0] == "<":
            raise LiftError(f"no text for {value.extra} of a vector")
        name = self._intrinsic(f"llvm.{value.extra}.{suffix}", type_, type_)
        return f"call {type_} {name}({type_} {self._use(args[0], type_)})"

    def _atomic(self, value: Value) -> str:
        op, args = value.op, value.args
        if op == "fence":
            self.lines.append("  fence seq_cst")
            return ""
        if op == "part":
            type_ = args[0].type
            return f"extractvalue {{ {type_}, i1 }} {self.names[id(args[0])]}, {value.extra}"
        where = self._use(args[0], "ptr")
        if op in ("memcpy", "memset"):
            size = self._use(args[2], "i64")
            if op == "memcpy":
                name = self._intrinsic("llvm.memcpy.p0.p0.i64", "void", "ptr", "ptr", "i64", "i1")
                what = f"ptr {self._use(args[1], 'ptr')}"
            else:
                name = self._intrinsic("llvm.memset.p0.i64", "void", "ptr", "i8", "i64", "i1")
                what = f"i8 {self._use(args[1], 'i8')}"
            self.lines.append(f"  call void {name}(ptr {where}, {what}, i64 {size}, i1 false)")
            return ""
        type_ = value.type
        align = bits(type_) // 8
        if op == "rmw":
            return f"atomicrmw {value.extra} ptr {where}, {type_} {self._use(args[1], type_)} seq_cst, align {align}"
        return (f"cmpxchg ptr {where}, {type_} {self._use(args[1], type_)}, {type_} {self._use(args[2], type_)} "
                f"seq_cst seq_cst, align {align}")

    # --- calls and ends

    def _call(self, value: Value) -> None:
        call: Call = value.extra
        args = value.args
        if call.callee is not None:
            callee, args = self._use(args[0], "ptr"), args[1:]
        else:
            callee = name_of(call.name)
        shown, types = [], []
        for number, arg in enumerate(args):
            wanted = call.types[number] if number < len(call.types) else self._natural(arg)[0]
            ext = " zeroext" if wanted in _EXTENDED else ""
            shown.append(f"{wanted}{ext} {self._use(arg, wanted)}")
            types.append(f"{wanted}{ext}")
        result = self._call_result(value)
        variadic = call.variadic is not None if call.name not in KNOWN else KNOWN[call.name].variadic
        signature = result = f"zeroext {result}" if result == "i1" else result
        if variadic:
            signature = f"{result} ({', '.join([*types[: call.fixed], '...'])})"
        if call.callee is None:
            parameters = ", ".join([*types[: call.fixed], "..."] if variadic else types)
            self._declare(call.name, result, parameters, call.plt)
        text = f"{'tail ' if call.tail else ''}call {signature} {callee}({', '.join(shown)}) #{2 if call.ends else 1}"
        if result == "void":
            self.lines.append(f"  {text}")
        else:
            self.names[id(value)] = self._emit(text)
        for item in self.pairs.get(id(value), ()):
            part = self._emit(f"extractvalue {{ i64, i64 }} {self.names[id(value)]}, {int(item.extra == 'rdx')}")
            if item.type != "i64":
                part = self._emit(f"trunc i64 {part} to {item.type}")
            elif id(item) in self.settled.pointers:
                part = self._emit(f"inttoptr i64 {part} to ptr")
            self.results[id(item)] = part

    def _call_result(self, value: Value) -> str:
        call: Call = value.extra
        used = [item for block in self.graph.blocks for item in block if item.op == "result" and item.args[0] is value
                and id(item) in self.settled.live]
        used += [item for item in self._loose_results if item.args[0] is value and id(item) in self.settled.live]
        kinds = {id(item): item for item in used}
        if len({item.extra for item in kinds.values()} - {"rdx"}) > 1:
            raise LiftError("a call with two results")
        if any(item.extra == "rdx" for item in kinds.values()):
            self.pairs.update({id(value): list(kinds.values())})
            return "{ i64, i64 }"
        for item in kinds.values():
            return self._type(item)
        return call.result if call.name in KNOWN else "void"

    @property
    def _loose_results(self) -> list[Value]:
        if not hasattr(self, "_results"):
            self._results: list[Value] = []
            seen: set[int] = set()
            for block in self.graph.blocks:
                for item in block:
                    for arg in item.args:
                        if arg.op == "result" and id(arg) not in seen:
                            seen.add(id(arg))
                            self._results.append(arg)
            for end in self.graph.ends:
                for arg in end.args if end is not None else ():
                    if arg.op == "result" and id(arg) not in seen:
                        seen.add(id(arg))
                        self._results.append(arg)
        return self._results

    def _phis(self, index: int, bodies: dict[int, list[str]]) -> list[str]:
        found = []
        before = self.graph.predecessors[index]
        for value in self.graph.blocks[index]:
            if value.op != "phi" or id(value) not in self.settled.live:
                continue
            kind = self._type(value)
            parts = []
            for block, arg in zip(before, value.args, strict=True):
                self.lines = []
                text = self._use(arg, kind)
                bodies[block][-1:-1] = self.lines
                parts.append(f"[ {text}, %b{block} ]")
            found.append(f"  {self.names[id(value)]} = phi {kind} {', '.join(parts)}")
        return found

    def _end(self, index: int) -> None:
        end = self.graph.ends[index]
        assert end is not None
        if end.op == "jump":
            self.lines.append(f"  br label %b{end.extra[0]}")
        elif end.op == "br":
            one, two = end.extra
            condition = end.args[0]
            if one == two:
                self.lines.append(f"  br label %b{one}")
            else:
                if self._inverted(condition):
                    one, two = two, one
                self.lines.append(f"  br i1 {self._use(condition, 'i1')}, label %b{one}, label %b{two}")
        elif end.op == "switch":
            self._switch(end)
        elif end.op == "ret":
            self._return(index, end)
        elif end.op == "trap":
            self._intrinsic("llvm.trap", "void")
            self.lines += ["  call void @llvm.trap()", "  unreachable"]
        else:
            self.lines.append("  unreachable")

    def _return(self, index: int, end: Value) -> None:
        kind = self._result_word().removeprefix("zeroext ")
        text = ""
        if len(end.args) == 2:
            one, two = (self._use(arg, "i64") for arg in end.args)
            first = self._emit(f"insertvalue {kind} poison, i64 {one}, 0")
            text = self._emit(f"insertvalue {kind} {first}, i64 {two}, 1")
        elif end.args:
            text = self._use(end.args[0], kind)
        self.returned.append((text, index))
        self.lines.append("  br label %out" if self.several else f"  ret {kind} {text}".rstrip())

    def _common_return(self) -> list[str]:
        """The one block that clang has for all returns."""
        if not self.several:
            return []
        kind = self._result_word().removeprefix("zeroext ")
        if kind == "void":
            return ["out:", "  ret void"]
        parts = ", ".join(f"[ {text}, %b{index} ]" for text, index in self.returned)
        return ["out:", f"  %result = phi {kind} {parts}", f"  ret {kind} %result"]

    def _switch(self, end: Value) -> None:
        default, places = end.extra
        value = end.args[0]
        add = 0
        if value.op == "add" and value.args[1].constant is not None:
            add = -value.args[1].constant
            value = value.args[0]
        kind = value.type
        text = self._use(value, kind)
        cases = [f"{kind} {signed(number + add, bits(kind))}, label %b{place}" for number, place in enumerate(places)
                 if place != default]
        name = f"%b{default}" if default is not None else "%nowhere"
        self.lines.append(f"  switch {kind} {text}, label {name} [ {' '.join(cases)} ]")
        if default is None:
            raise LiftError("a switch without a check of its range")


def _rank(phi: Value) -> int:
    """Without optimisation, phis get their slots in turn."""
    name = str(phi.extra)
    return int(name.removeprefix("slot")) if name.startswith("slot") else 0


def _stride(offset: Value) -> int:
    """The size of an array's elements, where it is none that addresses can be scaled by."""
    number = offset.args[1].constant if offset.op in ("mul", "shl") else None
    if number is None or (offset.op == "shl" and not 3 < number < 32) or number >= 1 << 31:
        return 0
    return 1 << number if offset.op == "shl" else number
