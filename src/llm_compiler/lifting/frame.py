"""Where the stack pointer is at each instruction, and what of the frame is a slot or an object.

Offsets count from the stack pointer at entry: the return address lies at 0, arguments on the stack from 8 on.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from llm_compiler.lifting.errors import LiftError
from llm_compiler.lifting.text import REGISTERS, Block, Immediate, Instruction, Memory, Register, Target

_VECTORS = re.compile(r"(?:v?mov(?:ap|up|dq|ntp|ntd)|p[a-z]|"
                      r"(?:add|sub|mul|div|max|min|and|or|xor|andn|sqrt|unpck|shuf|cmp)[a-z]*p[sd]$)")
_WIDTHS = {"b": 1, "w": 2, "l": 4, "q": 8}
FIRST_ARGUMENT = 8
_AREA, _VECTORS_IN_AREA = 176, 48
GUARD = Memory(40, segment="fs")
"""What a stack protector keeps in the frame."""


@dataclass(frozen=True)
class Access:
    offset: int
    size: int
    store: bool
    load: bool
    spill: bool


@dataclass
class Frame:
    """before: the offsets of stack and frame pointer (None: it is none) before each instruction, by block.

    taken: offsets whose address the code takes.
    """

    before: list[list[tuple[int, int | None]]]
    accesses: list[Access] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    saved: int = 0
    lowest: int = 0
    starts: list[int] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    slots: dict[int, tuple[int, int]] = field(default_factory=dict)
    guards: set[int] = field(default_factory=set)
    area: int | None = None  # where a variadic function saves its registers

    def resolve(self, operand: Memory, place: tuple[int, int | None]) -> int | None:
        """The offset of a memory operand without an index that lies in the frame."""
        if operand.symbol or operand.segment or operand.index:
            return None
        if operand.base == "rsp":
            return place[0] + operand.disp
        if operand.base == "rbp" and place[1] is not None:
            return place[1] + operand.disp
        return None

    def settle(self, *, split: bool) -> None:
        """Decide what is an object and what a slot. split: an object for each address taken, not one for all."""
        self.starts, self.ends, self.slots = [], [], {}
        top = -self.saved
        mine = sorted({at for at in self.taken if at < 0 and at != self.area})
        lowest = mine[0] if mine else top
        spills: list[tuple[int, int]] = []
        spills = sorted((at, 8) for at in self.guards)
        if self.area is not None:
            spills += [(self.area, _AREA)]
        if split:
            spills += sorted({(item.offset, item.size) for item in self.accesses
                              if item.spill and item.offset >= lowest})
            self.starts = [at for at in mine if not any(one <= at < one + size for one, size in spills)]
        elif mine:
            self.starts = [lowest, *(at + size for at, size in spills if lowest < at and any(
                at + size <= item < top for item in (*mine, *(access.offset for access in self.accesses))))]
        for start in self.starts:
            later = [at for at in (*self.starts, *(at for at, _ in spills)) if at > start] + [max(top, start + 1)]
            self.ends.append(min(later) if start < top else start + 8)
        groups: dict[int, int] = {}
        for item in self.accesses:
            if self.object_of(item.offset) is None:
                groups[item.offset] = max(groups.get(item.offset, 0), item.size)
        end, current = None, 0
        for offset in sorted(groups):
            if end is not None and offset < end:
                # Accesses that overlap: a small object of its own.
                end = max(end, offset + groups[offset])
                self.slots[current] = (current, end - current)
            else:
                current, end = offset, offset + groups[offset]
                self.slots[current] = (current, groups[offset])
        for offset in groups:
            held = max(at for at in self.slots if at <= offset)
            size = self.slots[held][1]
            if held != offset or size > 16:
                at = bisect.bisect(self.starts, held)
                if held not in self.starts:
                    self.starts.insert(at, held)
                    self.ends.insert(at, held + size)
        for start in self.starts:
            self.slots.pop(start, None)

    def shorten(self, start: int, size: int) -> None:
        """Say that an object has no more bytes than `size`, where nothing of the code is behind them."""
        if start in self.starts:
            at = self.starts.index(start)
            inside = range(start + size, self.ends[at])
            if not any(offset in inside for offset in (*self.taken, *(item.offset for item in self.accesses))):
                self.ends[at] = min(self.ends[at], start + size)

    def object_of(self, offset: int) -> int | None:
        """The start of the object that holds an offset."""
        at = bisect.bisect_right(self.starts, offset) - 1
        return self.starts[at] if at >= 0 and offset < self.ends[at] else None


def width_of(instruction: Instruction) -> int:
    """Bytes of an instruction's memory operand. Raises LiftError where it is not known."""
    name = instruction.name
    if name.startswith(("movs", "movz")) and len(name) == 6 and name[4] in "bwl":
        return _WIDTHS[name[4]]
    if name.startswith("set"):
        return 1
    if name in ("movss", "cvtss2sd", "cvttss2si", "cvtss2si", "ucomiss", "comiss", "movd", "cvtsi2ssl", "cvtsi2sdl",
                "cvttss2siq", "insertps") or name.endswith("ss"):
        return 4
    if name in ("fldl", "fstpl", "fstl", "fildll", "fistpll"):
        return 8
    if name in ("flds", "fstps", "fsts", "fildl", "fistpl"):
        return 4
    if name in ("fldt", "fstpt"):
        return 10
    if (name.endswith("sd") and name != "movsd") or name in (
            "movsd", "movlps", "movlpd", "movhps", "movhpd", "cvtsd2ss", "cvttsd2si", "cvtsd2si", "ucomisd", "comisd",
            "cvtsi2sdq", "cvtsi2ssq", "cvttsd2siq", "cvtps2pd", "cvtdq2pd", "push", "pop"):
        return 8
    if name in ("movsd", "movq"):
        return 8
    if _VECTORS.match(name) and not name.startswith(("push", "pop")):
        return 16
    for operand in instruction.operands:
        if isinstance(operand, Register) and operand.name in REGISTERS and not name.startswith(
                ("sh", "sa", "ro")):
            return REGISTERS[operand.name][1] // 8
    if name[-1] in _WIDTHS:
        return _WIDTHS[name[-1]]
    raise LiftError(f"no rule for {instruction}")


def recover(blocks: Sequence[Block], area: Memory | None = None) -> Frame:
    """Raises LiftError when the stack pointer cannot be told."""
    before: list[list[tuple[int, int | None]]] = [[] for _ in blocks]
    todo: list[tuple[int, tuple[int, int | None]]] = [(0, (0, None))]
    starts: dict[int, tuple[int, int | None]] = {}
    while todo:
        index, place = todo.pop()
        if index in starts:
            known = starts[index]
            if known[0] != place[0]:
                raise LiftError("the stack pointer differs by the way that is taken")
            if known[1] == place[1] or known[1] is None:
                continue
            place = (place[0], None)
        starts[index] = place
        before[index] = []
        for instruction in blocks[index].code:
            before[index].append(place)
            place = _after(instruction, place)
        todo += [(item, place) for item in blocks[index].successors]
    frame = Frame(before)
    for block, places in zip(blocks, before, strict=True):
        for instruction, place in zip(block.code, places, strict=False):
            _look(frame, instruction, place)
    frame.saved = _saved(blocks, before)
    for block, places in zip(blocks, before, strict=True):
        for first, second, place in zip(block.code, block.code[1:], places[1:], strict=False):
            if first.operands[:1] == (GUARD,) and second.name == "movq" and first.operands[-1] == second.operands[0]:
                last = second.operands[-1]
                at = frame.resolve(last, place) if isinstance(last, Memory) else None
                frame.guards |= set() if at is None else {at}
    if area is not None:
        at = next((frame.resolve(area, place) for place in before[0][::-1]), None)
        frame.area = None if at is None else at - _VECTORS_IN_AREA
    frame.lowest = min((place[0] for places in before for place in places), default=0)
    return frame


def _after(instruction: Instruction, place: tuple[int, int | None]) -> tuple[int, int | None]:
    sp, fp = place
    name, operands = instruction.name, instruction.operands
    if name.startswith("push"):
        return sp - 8, fp
    if name.startswith("pop") and name != "popcntl" and name != "popcntq":
        if operands == (Register("rbp"),):
            return sp + 8, None
        if operands == (Register("rsp"),):
            raise LiftError("the stack pointer is taken from memory")
        return sp + 8, fp
    if name in ("leave", "leaveq"):
        if fp is None:
            raise LiftError("leave without a frame pointer")
        return fp + 8, None
    if not operands or not isinstance(operands[-1], Register) or name.startswith(("cmp", "test", "call", "jmp")):
        return place
    last = operands[-1].name
    if last in ("rbp", "ebp", "bpl", "bp"):
        return sp, (sp if name == "movq" and operands[0] == Register("rsp") else None)
    if last == "rsp":
        first = operands[0]
        if name in ("subq", "addq") and isinstance(first, Immediate):
            return sp + (first.value if name == "addq" else -first.value), fp
        if name == "movq" and first == Register("rbp") and fp is not None:
            return fp, fp
        if name == "leaq" and isinstance(first, Memory) and not first.index and not first.symbol:
            if first.base == "rsp":
                return sp + first.disp, fp
            if first.base == "rbp" and fp is not None:
                return fp + first.disp, fp
        raise LiftError("the stack pointer is computed")
    if last == "esp":
        raise LiftError("the stack pointer is computed")
    return place


def _saved(blocks: Sequence[Block], before: Sequence[Sequence[tuple[int, int | None]]]) -> int:
    """Bytes right below the return address that registers take which are saved."""
    pushed = {place[0] - 8 for block, places in zip(blocks, before, strict=True)
              for instruction, place in zip(block.code, places, strict=False)
              if instruction.name == "pushq" and isinstance(instruction.operands[0], Register)
              and instruction.operands[0].name in ("rbp", "rbx", "r12", "r13", "r14", "r15")}
    count = 0
    while -count - 8 in pushed:
        count += 8
    return count


def _look(frame: Frame, instruction: Instruction, place: tuple[int, int | None]) -> None:
    name, operands = instruction.name, instruction.operands
    if name.startswith("push"):
        frame.accesses.append(Access(place[0] - 8, 8, True, False, False))
    elif name in ("popq", "pop"):
        frame.accesses.append(Access(place[0], 8, False, True, False))
    elif name in ("leave", "leaveq"):
        frame.accesses.append(Access(place[1] or 0, 8, False, True, False))
    adjusts = bool(operands) and operands[-1] == Register("rsp")
    for number, operand in enumerate(operands):
        last = number == len(operands) - 1
        if isinstance(operand, Memory):
            at = frame.resolve(operand, place)
            if at is None:
                base = frame.resolve(Memory(operand.disp, operand.symbol, operand.kind, operand.base), place)
                if base is not None:
                    frame.taken.append(base)
            elif name.startswith("lea"):
                if not adjusts:
                    frame.taken.append(at)
            else:
                store = last and not name.startswith(("cmp", "test", "call", "push", "ucom", "com", "bt"))
                move = name.startswith(("mov", "set", "fst", "pop"))
                frame.accesses.append(Access(at, width_of(instruction), store, not store or not move,
                                             instruction.spill))
        elif isinstance(operand, Register) and not adjusts and not isinstance(operand, Target):
            if operand.name == "rsp" and not (name == "movq" and operands[-1] == Register("rbp")) and not (
                    name.startswith("push")):
                frame.taken.append(place[0])
            elif operand.name == "rbp" and place[1] is not None and not last and not name.startswith(
                    ("push", "pop", "cmp")):
                frame.taken.append(place[1])
