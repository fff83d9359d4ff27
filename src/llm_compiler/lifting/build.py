"""From instructions to a graph: blocks in turn, each instruction by its rule, jumps, calls and returns here."""

from __future__ import annotations

from llm_compiler.lifting import integer, vector
from llm_compiler.lifting.calls import CLOBBERED, FLOATS, INTEGERS, KNOWN, NORETURN, SAVED, Call, status, target_of
from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.frame import FIRST_ARGUMENT, Frame
from llm_compiler.lifting.machine import Machine, jump_condition
from llm_compiler.lifting.text import Code, Instruction, Memory, Register
from llm_compiler.lifting.values import Graph, Value, resolved

_STACK_ARGUMENTS = 32


def build(code: Code, frame: Frame, noreturn: frozenset[str]) -> tuple[Graph, Machine]:
    """The function as a graph, phis complete. Raises LiftError."""
    graph = Graph([block.successors for block in code.blocks])
    for register in (*INTEGERS, *SAVED, *FLOATS):
        kind = "saved" if register in SAVED else "arg"
        graph.on_entry(register, Value(kind, "x" if register in FLOATS else "i64", (), register))
    for number in range(_STACK_ARGUMENTS):
        offset = FIRST_ARGUMENT + 8 * number
        graph.on_entry(f"slot{offset}", Value("arg", "i64", (), f"stack{number}"))
    machine = Machine(code, graph, frame)
    for index in _order(graph):
        graph.current = index
        _Filler(machine, index, noreturn).fill()
        graph.filled.add(index)
    graph.finish()
    for index, end in enumerate(graph.ends):
        if end is not None and end.op == "ret":
            for register, value in zip(SAVED, end.args[3:], strict=True):
                if value is not graph.entry_value(register):
                    raise LiftError(f"{register} does not come back as it was")
            end.args = end.args[:3]
        elif index in graph.filled and end is None:
            raise LiftError("control leaves the function at its end")
    return graph, machine


def _order(graph: Graph) -> list[int]:
    """Blocks that can be reached, each behind those before it, loops aside."""
    seen: set[int] = {0}
    found: list[int] = []
    stack: list[tuple[int, list[int]]] = [(0, list(reversed(graph.successors[0])))]
    while stack:
        index, rest = stack[-1]
        if not rest:
            found.append(index)
            stack.pop()
            continue
        item = rest.pop()
        if item not in seen:
            seen.add(item)
            stack.append((item, list(reversed(graph.successors[item]))))
    for index in range(len(graph.blocks)):
        if index not in seen:
            for item in graph.successors[index]:
                graph.predecessors[item].remove(index)
            graph.successors[index] = []
    return found[::-1]


class _Filler:
    def __init__(self, machine: Machine, index: int, noreturn: frozenset[str]) -> None:
        self.machine = machine
        self.graph = machine.graph
        self.index = index
        self.block = machine.code.blocks[index]
        self.noreturn = noreturn

    def fill(self) -> None:
        places = self.machine.frame.before[self.index]
        for at, instruction in enumerate(self.block.code):
            self.machine.place = places[at]
            if instruction.name.startswith("call"):
                if self._call(at, instruction, tail=False):
                    return
            elif instruction.name.startswith("jmp"):
                self._jump(at, instruction)
                return
            elif instruction.conditional:
                condition = jump_condition(instruction.name, ("j",))
                if not condition:
                    raise LiftError(f"no rule for {instruction}")
                value = self.machine.condition(condition)
                self._end("br", [value], tuple(self.block.successors))
                return
            elif instruction.name in ("ret", "retq"):
                self._return(at)
                return
            elif instruction.name == "ud2":
                self._end("trap" if at or not self.block.labels else "unreachable", [], None)
                return
            elif not (integer.execute(self.machine, instruction) or vector.execute(self.machine, instruction)):
                raise LiftError(f"no rule for {instruction}")
        if self.block.successors:
            self._end("jump", [], tuple(self.block.successors))

    def _end(self, op: str, args: list[Value], extra: object) -> None:
        self.graph.ends[self.index] = Value(op, "void", args, extra, self.index)

    def _jump(self, at: int, instruction: Instruction) -> None:
        if self.block.table:
            target = self.machine.get(instruction.operands[0], 64)
            self._end("ijmp", [target], self.block.table)
        elif self.block.successors:
            self._end("jump", [], tuple(self.block.successors))
        elif not self._call(at, instruction, tail=True):
            self._return(at + 1)

    def _return(self, at: int) -> None:
        place = self.machine.place[0]
        if place:
            raise LiftError("the stack pointer is not where it was when the function returns")
        read = self.graph.read
        setter = status(self.machine.code.blocks, self.graph.predecessors, self.index, at, "rax")[1]
        moves = setter is not None and isinstance((*setter.operands, None)[0], Register)
        move = setter.name if setter is not None and moves else ""
        self._end("ret", [read("rax"), read("xmm0"), read("rdx"), *(read(register) for register in SAVED)], move)

    def _call(self, at: int, instruction: Instruction, *, tail: bool) -> bool:
        """Whether control does not come back."""
        machine, graph = self.machine, self.graph
        target = target_of(instruction)
        name = target.name if target else ""
        call = Call(name, bool(target and target.plt), tail)
        if not target:
            operand = instruction.operands[0]
            if isinstance(operand, Memory) and operand.kind == "GOTPCREL":
                call.name, call.plt = operand.symbol, True
            else:
                call.callee = machine.get(operand, 64)
                if call.callee.op == "symbol" and call.callee.extra[1] in ("", "GOT"):
                    call.name, call.plt, call.callee = call.callee.extra[0], call.callee.extra[1] == "GOT", None
        self._arguments(at, call)
        known = KNOWN.get(call.name)
        call.fixed = len(known.parameters) if known else 0
        made = graph.make("call", "void", [], call)
        last = at + 1 == len(self.block.code) and not self.block.successors and not tail
        call.ends = last or call.name in NORETURN or call.name in self.noreturn
        for register in CLOBBERED:
            kind = "x" if register.startswith("xmm") else "i64"
            graph.write(register, Value("undef", kind, (made,), register))
        graph.write("rax", Value("result", "i64", [made], "rax"))
        graph.write("xmm0", Value("result", "x", [made], "xmm0"))
        machine.spoil_flags()
        if call.ends:
            self._end("unreachable", [], None)
        return call.ends

    def _arguments(self, at: int, call: Call) -> None:
        machine, graph = self.machine, self.graph
        blocks = machine.code.blocks
        for register in INTEGERS:
            value = graph.read(register)
            state, setter = status(blocks, graph.predecessors, self.index, at, register)
            if state == "absent" or value.op == "undef":
                break
            if setter is not None and setter.name in ("movl", "movq") and isinstance(setter.operands[0], Register):
                call.moves[len(call.integers)] = setter.name
            call.integers.append((state, value))
        state, _ = status(blocks, graph.predecessors, self.index, at, "rax")
        accumulator = graph.read("rax")
        low = graph.make("trunc", "i8", [accumulator]) if accumulator.op != "undef" else accumulator
        if state == "strict" and low.constant is not None and low.constant <= 8 and call.callee is not accumulator:
            call.variadic = low.constant
        for register in FLOATS:
            value = graph.read(register)
            state, _ = status(blocks, graph.predecessors, self.index, at, register)
            if state == "absent" or value.op == "undef":
                break
            found = self._scalar(value)
            if found is None:
                break
            call.floats.append((state, found))
        if len(call.integers) == len(INTEGERS):
            self._on_stack(call)

    def _scalar(self, value: Value) -> Value | None:
        """What a vector register passes: a float, a double, or all of it."""
        if value.type in ("float", "double"):
            return value
        if value.op == "widen":
            inner = value.args[0]
            return inner if inner.type in ("float", "double") else None
        try:
            return self.machine.as_type(value, "double")
        except LiftError:
            return None

    def _on_stack(self, call: Call) -> None:
        frame, graph = self.machine.frame, self.graph
        offset = self.machine.place[0] + (8 if call.tail else 0)
        loaded = {item.offset for item in frame.accesses if item.load and not self._pops(item.offset)}
        while offset in frame.slots and offset not in loaded and offset < -frame.saved:
            value = graph.read(f"slot{offset}")
            if value.op in ("undef", "saved", "phi") or (value.op == "arg" and value.extra == f"slot{offset}"):
                break
            call.stack.append(value)
            graph.write(f"slot{offset}", Value("undef", "i64", (), f"slot{offset}"))
            offset += 8

    def _pops(self, offset: int) -> bool:
        """Whether a place is only read by pops that drop it."""
        for block, places in zip(self.machine.code.blocks, self.machine.frame.before, strict=True):
            for instruction, place in zip(block.code, places, strict=False):
                for operand in instruction.operands:
                    if isinstance(operand, Memory) and self.machine.frame.resolve(operand, place) == offset and (
                            operand is not instruction.operands[-1] or not instruction.name.startswith("mov")):
                        return False
        return True


def clobbered_by(value: Value) -> Value | None:
    """The call that leaves nothing known in a register."""
    value = resolved(value)
    return value.args[0] if value.op == "undef" and value.args else None
