"""Values in static single assignment form, folded as they are made; registers and stack slots are variables.

After Braun et al., Simple and Efficient Construction of Static Single Assignment Form (CC 2013).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from llm_compiler.lifting.errors import LiftError

EFFECTS = frozenset({"store", "call", "ret", "br", "switch", "unreachable", "rmw", "cmpxchg", "fence", "trap", "memcpy",
                     "memset", "ijmp", "va_start"})
SYMMETRIC = frozenset({"add", "mul", "and", "or", "xor"})


_FLOATS = ("float", "double")


class Value:
    """An instruction, constant or argument. type: LLVM's; `x` for what a vector register holds until it is known."""

    __slots__ = ("_args", "block", "extra", "op", "same", "type")

    def __init__(self, op: str, type_: str, args: Sequence[Value] = (), extra: Any = None, block: int = -1) -> None:
        self.op = op
        self.type = type_
        self._args = list(args)
        self.extra = extra
        self.block = block
        self.same: Value | None = None

    @property
    def args(self) -> list[Value]:
        self._args = [resolved(arg) for arg in self._args]
        return self._args

    @args.setter
    def args(self, args: Sequence[Value]) -> None:
        self._args = list(args)

    @property
    def constant(self) -> int | None:
        """An integer constant's bits."""
        return self.extra if self.op == "const" else None

    def __repr__(self) -> str:
        return f"{self.op}:{self.type}({', '.join(arg.op for arg in self._args)}; {self.extra})"


def resolved(value: Value) -> Value:
    while value.same is not None:
        value = value.same
    return value


def bits(type_: str) -> int:
    """How many a value has. Raises LiftError for a vector register's that are not known."""
    known = {"ptr": 64, "double": 64, "float": 32}.get(type_)
    if known is not None:
        return known
    if type_.startswith("<"):
        count, _, element = type_[1:-1].split()
        return int(count) * bits(element)
    if type_[0] == "i" and type_[1:].isdigit():
        return int(type_[1:])
    raise LiftError("a vector register whose contents are not known")


class Graph:
    """Blocks of values. Blocks are filled in turn; `finish` completes the phis."""

    def __init__(self, successors: Sequence[Sequence[int]]) -> None:
        self.successors = [list(items) for items in successors]
        self.blocks: list[list[Value]] = [[] for _ in successors]
        self.predecessors: list[list[int]] = [[] for _ in successors]
        for index, items in enumerate(successors):
            for item in items:
                self.predecessors[item].append(index)
        self.ends: list[Value | None] = [None] * len(successors)
        self.filled: set[int] = set()
        self.current = 0
        self._definitions: list[dict[str, Value]] = [{} for _ in successors]
        self._entry: dict[str, Value] = {}
        self._open: list[tuple[Value, str]] = []
        self._phis: list[Value] = []
        self._constants: dict[tuple[str, int], Value] = {}

    # --- making

    def const(self, value: int, width: int) -> Value:
        value &= (1 << width) - 1
        return self._constants.setdefault((f"i{width}", value), Value("const", f"i{width}", (), value))

    def make(self, op: str, type_: str, args: Sequence[Value] = (), extra: Any = None) -> Value:
        """A value in the current block, or an equal one that is there."""
        args = [resolved(arg) for arg in args]
        folded = self._fold(op, type_, args, extra)
        if folded is not None:
            return folded
        made = Value(op, type_, args, extra, self.current)
        self.blocks[self.current].append(made)
        return made

    def _fold(self, op: str, type_: str, args: list[Value], extra: Any) -> Value | None:
        if op in ("add", "sub", "and", "or", "xor", "mul", "shl", "lshr", "ashr"):
            return self._arithmetic(op, int(type_[1:]), args)
        if op in ("trunc", "zext", "sext"):
            return self._resized(op, int(type_[1:]), args[0])
        if op == "insert":  # the low bits of a register are written
            old, new = args
            if old.op == "insert" and bits(old.args[1].type) <= bits(new.type):
                return self.make("insert", type_, [old.args[0], new])
            if old.constant is not None and old.constant >> bits(new.type) == 0:
                return self.make("zext", type_, [new])
            if old.op == "zext" and bits(old.args[0].type) <= bits(new.type):
                return self.make("zext", type_, [new])
        if op == "view" and args[0].type == type_:
            return args[0]
        if op == "bitcast":
            if args[0].type == type_:
                return args[0]
            if args[0].op == "bitcast":
                return self.make("bitcast", type_, args[0].args)
        if op == "select" and args[1] is args[2]:
            return args[1]
        if op == "icmp" and args[0] is args[1]:
            return self.const(int(extra in ("eq", "ule", "uge", "sle", "sge")), 1)
        if op == "icmp" and extra in ("eq", "ne") and args[1].constant == 0:
            bit = self._bit(args[0])
            if bit is not None:
                return bit if extra == "ne" else self.make("xor", "i1", [bit, self.const(1, 1)])
        return None

    def _bit(self, value: Value) -> Value | None:
        """What a value that is 0 or 1 is one bit of."""
        if value.op == "zext" and value.args[0].type == "i1":
            return value.args[0]
        if value.op == "and" and value.args[1].constant == 1:
            return self.make("trunc", "i1", [value.args[0]])
        return None

    def _arithmetic(self, op: str, width: int, args: list[Value]) -> Value | None:
        left, right = args
        if op in SYMMETRIC and left.constant is not None and right.constant is None:
            args[:] = left, right = right, left
        one, two = left.constant, right.constant
        full = (1 << width) - 1
        if two is not None:
            if one is not None:
                return self.const(_computed(op, one, two, width), width)
            if op == "sub":
                return self.make("add", f"i{width}", [left, self.const(-two, width)])
            if two == 0 and op in ("add", "or", "xor", "shl", "lshr", "ashr"):
                return left
            if two == 0 and op in ("and", "mul"):
                return right
            if two == full and op in ("and", "or"):
                return left if op == "and" else right
            if two == 1 and op == "mul":
                return left
            if op == "and" and left.op == "zext" and (1 << bits(left.args[0].type)) - 1 & ~two == 0:
                return left
            inner = left.args[1].constant if left.op == op and op in SYMMETRIC else None
            if inner is not None:
                return self.make(op, f"i{width}", [left.args[0], self.const(_computed(op, inner, two, width), width)])
            if left.op == "frame" and op == "add":
                return self.make_frame(left.extra + signed(two, 64))
        if op == "xor" and two == 1 << (width - 1) and left.op == "bitcast" and left.args[0].type in _FLOATS:
            return self.make("bitcast", f"i{width}", [self.make("fneg", left.args[0].type, left.args)])
        if op == "add" and {left.op, right.op} == {"fs", "symbol"}:
            return self.thread_local(left if left.op == "symbol" else right)
        if op in ("and", "or", "xor") and left.op == "zext" and left.args[0].type == "i1" and width > 1:
            second = self.const(1, 1) if two == 1 else right.args[0] if right.op == "zext" else None
            if second is not None and second.type == "i1":
                return self.make("zext", f"i{width}", [self.make(op, "i1", [left.args[0], second])])
        if left is right and op in ("xor", "sub"):
            return self.const(0, width)
        if left is right and op in ("and", "or"):
            return left
        return None

    def make_frame(self, offset: int) -> Value:
        """The address of a place in the frame: from where the stack pointer was at entry."""
        key = ("frame", offset)
        if key not in self._constants:
            self._constants[key] = Value("frame", "i64", (), offset)
        return self._constants[key]

    def thread_local(self, distance: Value) -> Value:
        """The thread's variable that lies at a distance from the thread's base."""
        name, through = distance.extra
        found = "TLS" if through == "TPOFF" else "TLS GOT"
        return self._constants.setdefault((f"{name} {found}", 0), Value("symbol", "i64", (), (name, found)))

    def _resized(self, op: str, width: int, value: Value) -> Value | None:
        had = bits(value.type)
        if had == width:
            return value
        if op == "trunc" and had < width:
            return self.make("zext", f"i{width}", [value])
        if value.constant is not None:
            return self.const(signed(value.constant, had) if op == "sext" else value.constant, width)
        if op == "trunc":
            if value.op in ("zext", "sext"):
                inner = value.args[0]
                size = bits(inner.type)
                if size == width:
                    return inner
                return self.make("trunc" if size > width else value.op, f"i{width}", [inner])
            if value.op == "trunc":
                return self.make("trunc", f"i{width}", value.args)
            if value.op == "insert" and width <= bits(value.args[1].type):
                return self.make("trunc", f"i{width}", [value.args[1]])
            if value.op == "undef":
                return self.make("undef", f"i{width}", (), value.extra)
        elif value.op == "zext":
            return self.make("zext", f"i{width}", value.args)
        elif value.op == "sext" and op == "sext":
            return self.make("sext", f"i{width}", value.args)
        return None

    # --- variables

    def write(self, variable: str, value: Value) -> None:
        self._definitions[self.current][variable] = value

    def read(self, variable: str) -> Value:
        return self._read(variable, self.current)

    def on_entry(self, variable: str, value: Value) -> None:
        """What a variable holds when the function begins."""
        self._entry[variable] = value

    def entry_value(self, variable: str) -> Value:
        if variable not in self._entry:
            kind = "x" if variable.startswith("xmm") else "i64"
            self._entry[variable] = Value("undef", kind, (), variable)
        return self._entry[variable]

    def _read(self, variable: str, block: int) -> Value:
        chain = []
        while True:  # along blocks with one predecessor
            found = self._definitions[block].get(variable)
            if found is not None or len(self.predecessors[block]) != 1 or block == 0 or (
                    self.predecessors[block][0] not in self.filled):
                break
            chain.append(block)
            block = self.predecessors[block][0]
        if found is None:
            found = self._at_start(variable, block)
        found = resolved(found)
        for item in (block, *chain):
            self._definitions[item][variable] = found
        return found

    def _at_start(self, variable: str, block: int) -> Value:
        before = self.predecessors[block]
        if block == 0 and not before:
            return self.entry_value(variable)
        if not before:
            return Value("undef", "x" if variable.startswith("xmm") else "i64", (), variable)
        kind = "i64" if variable[0] == "r" else "flags" if variable == "flags" else "?"
        phi = Value("phi", kind, (), variable, block)
        self._definitions[block][variable] = phi
        self.blocks[block].insert(0, phi)
        if block and all(item in self.filled for item in before):
            phi.args = [self._read(variable, item) for item in before]
            others = {id(arg): arg for arg in phi.args if arg is not phi}
            if len(others) == 1:
                phi.same = next(iter(others.values()))
                self.blocks[block].remove(phi)
                return phi.same
            self._phis.append(phi)
        else:
            self._open.append((phi, variable))
        return phi

    def finish(self) -> None:
        """Give phis their operands and drop those that stand for one value."""
        phis = self._phis
        while self._open:
            phi, variable = self._open.pop()
            phis.append(phi)
            operands = [self._read(variable, block) for block in self.predecessors[phi.block]]
            if phi.block == 0:
                raise LiftError("a jump leads to the function's begin")
            phi.args = operands
        self._drop_copies(phis)
        for block in self.blocks:
            block[:] = [value for value in block if value.same is None]
        self.refold()

    def _drop_copies(self, phis: Sequence[Value]) -> None:
        """Phis that stand for one value, also where phis refer to each other in a circle."""
        stands: dict[int, Value | None] = {id(phi): None for phi in phis if phi.same is None}
        changed = True
        while changed:
            changed = False
            for phi in phis:
                if id(phi) not in stands or stands[id(phi)] is phi:
                    continue
                found = {id(value): value for value in (stands.get(id(arg), arg) for arg in phi.args)
                         if value is not None}
                new = phi if len(found) > 1 else next(iter(found.values()), None)
                if new is not stands[id(phi)]:
                    stands[id(phi)] = phi if stands[id(phi)] is not None else new
                    changed = True
        for phi in phis:
            value = stands.get(id(phi))
            if value is not None and value is not phi:
                phi.same = value

    def refold(self) -> None:
        """Fold what could not be folded before its operands were known."""
        changed = True
        rounds = 0
        while changed and rounds < 8:
            changed, rounds = False, rounds + 1
            for index, block in enumerate(self.blocks):
                self.current = index
                kept: list[Value] = []
                self.blocks[index] = kept
                for value in block:
                    if value.op not in EFFECTS and value.op not in ("phi", "load", "result"):
                        args = value.args
                        folded = self._fold(value.op, value.type, args, value.extra)
                        value.args = args
                        if folded is not None and folded is not value:
                            value.same = folded
                            changed = True
                            continue
                    kept.append(value)
            for phi in self.phis():
                others = {id(arg): arg for arg in phi.args if arg is not phi}
                if len(others) == 1:
                    phi.same = next(iter(others.values()))
                    changed = True
            for block in self.blocks:
                block[:] = [value for value in block if value.same is None]

    def cut(self, block: int, target: int) -> None:
        """Take an edge away, and the blocks that nothing leads to any more."""
        self.successors[block] = [item for item in self.successors[block] if item != target]
        at = self.predecessors[target].index(block)
        del self.predecessors[target][at]
        for value in self.blocks[target]:
            if value.op == "phi":
                value.args = [arg for place, arg in enumerate(value.args) if place != at]
        if not self.predecessors[target] and target:
            self.filled.discard(target)
            self.blocks[target], self.ends[target] = [], None
            for item in dict.fromkeys(self.successors[target]):
                self.cut(target, item)

    def phis(self) -> Iterator[Value]:
        for block in self.blocks:
            for value in list(block):
                if value.op == "phi":
                    yield value


def signed(value: int, width: int) -> int:
    value &= (1 << width) - 1
    return value - (1 << width) if value >> (width - 1) else value


def _computed(op: str, one: int, two: int, width: int) -> int:
    if op in ("shl", "lshr", "ashr"):
        if two >= width:
            return 0
        return {"shl": one << two, "lshr": one >> two, "ashr": signed(one, width) >> two}[op]
    return {"add": one + two, "sub": one - two, "and": one & two, "or": one | two, "xor": one ^ two,
            "mul": one * two}[op]
