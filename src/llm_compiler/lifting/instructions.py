"""Values as instructions of LLVM-IR."""

from __future__ import annotations

from collections.abc import Sequence

from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.operands import Operands
from llm_compiler.lifting.values import Value, bits, signed

_BINARY = frozenset({"add", "sub", "mul", "and", "or", "xor", "shl", "lshr", "ashr", "udiv", "sdiv", "urem", "srem",
                     "fadd", "fsub", "fmul", "fdiv"})
_CASTS = frozenset({"trunc", "zext", "sext", "bitcast", "sitofp", "uitofp", "fptosi", "fpext", "fptrunc"})
_INVERSE = {"ne": "eq", "sge": "slt", "sle": "sgt", "uge": "ult", "ule": "ugt"}  # to what LLVM's passes prefer
_TURNED = {"ugt": ("ult", 1), "ult": ("ugt", -1), "sgt": ("slt", 1), "slt": ("sgt", -1)}
_STRIDES = {1: "i16", 2: "i32", 3: "i64"}


class Instructions(Operands):
    """Prints values, calls aside."""

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
        elif op in ("rmw", "cmpxchg", "fence", "part", "memcpy", "memset", "va_start"):
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
        if op == "va_start":
            name = self._intrinsic("llvm.va_start", "void", "ptr")
            self.lines.append(f"  call void {name}(ptr {self._use(args[0], 'ptr')})")
            return ""
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

    def _call(self, value: Value) -> None:
        raise NotImplementedError


def _stride(offset: Value) -> int:
    """The size of an array's elements, where it is none that addresses can be scaled by."""
    number = offset.args[1].constant if offset.op in ("mul", "shl") else None
    if number is None or (offset.op == "shl" and not 3 < number < 32) or number >= 1 << 31:
        return 0
    return 1 << number if offset.op == "shl" else number
