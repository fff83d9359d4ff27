"""Assembly of one function as clang prints it (AT&T syntax): instructions, blocks, and constants of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llm_compiler.lifting.errors import LiftError

_FAMILIES = (
    ("rax", "eax", "ax", "al", "ah"), ("rcx", "ecx", "cx", "cl", "ch"), ("rdx", "edx", "dx", "dl", "dh"),
    ("rbx", "ebx", "bx", "bl", "bh"), ("rsi", "esi", "si", "sil"), ("rdi", "edi", "di", "dil"),
    ("rbp", "ebp", "bp", "bpl"), ("rsp", "esp", "sp", "spl"),
    *((f"r{n}", f"r{n}d", f"r{n}w", f"r{n}b") for n in range(8, 16)))
REGISTERS = {name: (family[0], bits, shift) for family in _FAMILIES
             for name, bits, shift in zip(family, (64, 32, 16, 8, 8), (0, 0, 0, 0, 8), strict=False)}
"""Of a general register: the whole one, bits, and the first bit in it."""

_LABEL = re.compile(r'([A-Za-z_.$][\w.$@]*|"[^"]+"):(.*)$')
_MEMORY = re.compile(r"(?:%(?:(fs|gs)|[de]s):)?([^()%]*)(?:\(([^)]*)\))?$")
_SYMBOL = re.compile(r'((?:"[^"]+"|[A-Za-z_.$][\w.$]*))(?:@(\w+))?((?:[+-]\d+)*)$')
_SPLIT = re.compile(r',\s*(?![^(]*\))')
_COMMENT = re.compile(r'^((?:[^"#]|"(?:[^"\\]|\\.)*")*)#.*$')
_PREFIXES = ("lock", "rep", "repne", "repe", "repz", "repnz")
_SIZES = {".byte": 1, ".short": 2, ".value": 2, ".word": 2, ".long": 4, ".int": 4, ".quad": 8}
_ROUNDS, _COPIED = 1, 12
_ENDS = ("jmp", "ret", "ud2")
_ESCAPES = {"n": 10, "t": 9, "r": 13, "b": 8, "f": 12, '"': 34, "\\": 92}


@dataclass(frozen=True)
class Immediate:
    value: int
    symbol: str = ""


@dataclass(frozen=True)
class Register:
    name: str


@dataclass(frozen=True)
class Memory:
    """kind: what follows a symbol's `@` (GOTPCREL, TPOFF …). base is `rip` for what lies at a fixed place."""

    disp: int = 0
    symbol: str = ""
    kind: str = ""
    base: str = ""
    index: str = ""
    scale: int = 1
    segment: str = ""


@dataclass(frozen=True)
class Target:
    """Where a jump or call leads: a name, and whether it goes through the PLT."""

    name: str
    plt: bool = False


Operand = Immediate | Register | Memory | Target


@dataclass(frozen=True)
class Instruction:
    """indirect: a jump or call through its operand. spill: the compiler's comment says so."""

    name: str
    operands: tuple[Operand, ...] = ()
    prefix: str = ""
    indirect: bool = False
    spill: bool = False

    def __str__(self) -> str:
        return f"{self.prefix} {self.name}".strip()

    @property
    def ends(self) -> bool:
        """Whether nothing runs on behind it."""
        return self.name.startswith(_ENDS)

    @property
    def conditional(self) -> bool:
        return self.name[0] == "j" and not self.name.startswith("jmp")


@dataclass
class Block:
    """Instructions with at most one jump, at the end. successors: indices; for a conditional jump, where it leads
    comes first.
    """

    labels: list[str] = field(default_factory=list)
    code: list[Instruction] = field(default_factory=list)
    successors: list[int] = field(default_factory=list)
    table: str = ""


@dataclass(frozen=True)
class Data:
    """A constant: parts are bytes, or symbols with an offset (8 bytes each), or differences of labels (4 bytes)."""

    name: str
    section: str
    align: int
    parts: tuple[bytes | tuple[str, int] | tuple[str, str], ...]

    @property
    def bytes(self) -> bytes | None:
        """None when an address is among the parts."""
        if not all(isinstance(part, bytes) for part in self.parts):
            return None
        return b"".join(part for part in self.parts if isinstance(part, bytes))


@dataclass
class Code:
    """A function's text taken apart."""

    name: str
    blocks: list[Block]
    data: dict[str, Data]
    directives: set[str]
    saved: Memory | None = None  # where a variadic function saves its first vector register


def read(text: str, name: str, noreturn: frozenset[str] = frozenset(), *, copied: bool = False) -> Code:
    """noreturn: callees behind which nothing runs. copied: a copy of final calls for each way to them.

    Raises LiftError for syntax that is not known.
    """
    instructions: list[tuple[list[str], Instruction]] = []
    data: dict[str, Data] = {}
    directives: set[str] = set()
    section, align = ".text", 1
    labels: list[str] = []
    inside, seen = False, False
    held: str | None = None
    for raw in text.splitlines():
        comment = _COMMENT.match(raw)
        line = (comment[1] if comment else raw).strip()
        if "#APP" in raw:
            raise LiftError("it holds inline assembly")
        if not line:
            continue
        label = _LABEL.match(line)
        word = line.split(None, 1)[0]
        if label:
            inside = inside or (label[1].strip('"') == name and not seen)
            seen = seen or inside
            if inside:
                labels.append(label[1])
            else:
                held = label[1]
                data[held] = Data(held, section, align, ())
            align, line = 1, label[2].strip()
            if not line:
                continue
            word = line.split(None, 1)[0]
        if word in (".section", ".text", ".data", ".bss"):
            section = line.split(None, 1)[-1] if word == ".section" else word
            inside, held, align = False, None, 1
        elif word == ".p2align":
            align = 1 << int(line.split()[1].split(",")[0], 0)
        elif word.startswith("."):
            directives.add(line if word in (".hidden", ".globl", ".weak", ".internal") else word)
            if word == ".size":
                inside = False
            elif held is not None and not inside:
                parts = _data(line)
                if parts:
                    data[held] = Data(held, data[held].section, data[held].align, data[held].parts + parts)
        elif inside:
            spill = comment is not None and ("Spill" in raw or "Reload" in raw or "Folded" in raw)
            instructions.append((labels, _instruction(line, spill)))
            labels = []
    if ".cfi_personality" in directives:
        raise LiftError("it handles exceptions")
    area = _without_vectors(instructions)
    if not instructions:
        raise LiftError(f"there is no code of {name}")
    if any(not label.startswith(".Lfunc_end") for label in labels):
        instructions.append((labels, Instruction("ud2")))
    blocks = _blocks(instructions, data, noreturn)
    return Code(name, _copied(blocks) if copied else blocks, data, directives, area)


def _without_vectors(instructions: list[tuple[list[str], Instruction]]) -> Memory | None:
    """Take out of a variadic function what saves its vector registers; where the first goes, None in another one."""
    for at, (_, item) in enumerate(instructions[:_BEGIN]):
        if item.name.startswith("call") or item.operands[-1:] in ((Register("rax"),), (Register("eax"),)):
            return None
        if item.name == "testb" and item.operands == _VARIADIC:
            end = at + 2
            while instructions[end][1].name == "movaps":
                end += 1
            first = instructions[at + 2][1].operands
            if instructions[at + 1][1].name != "je" or end != at + 10 or first[0] != Register("xmm0") or not isinstance(
                    first[1], Memory):
                raise LiftError("it takes a variable number of arguments in another way")
            labels = instructions[at][0]
            del instructions[at:end]
            instructions[at] = ([*labels, *instructions[at][0]], instructions[at][1])
            return first[1]
    return None


_VARIADIC = (Register("al"), Register("al"))
_BEGIN = 32  # instructions among which a variadic function asks for its vector registers


# --- instructions ----------------------------------------------------------------------------------------------------


def _instruction(line: str, spill: bool) -> Instruction:
    prefix = ""
    words = line.replace(";", " ", 1).split(None, 1)
    while words[0] in _PREFIXES and len(words) > 1:
        prefix = words[0]
        words = words[1].split(None, 1)
    name = words[0]
    if len(words) == 1:
        return Instruction(name, (), prefix, False, spill)
    rest = words[1]
    indirect = rest.startswith("*")
    jump = name[0] == "j" or name.startswith("call")
    parts = [rest.lstrip("*")] if jump else _SPLIT.split(rest)
    return Instruction(name, tuple(_operand(part.strip(), jump and not indirect) for part in parts), prefix, indirect,
                       spill)


def _operand(text: str, jump: bool) -> Operand:
    if text.startswith("%") and ":" not in text:
        return Register(text[1:])
    if text.startswith("$"):
        try:
            return Immediate(int(text[1:], 0))
        except ValueError:
            match = _SYMBOL.match(text[1:])
            if match and not match[2]:
                return Immediate(_sum(match[3]), match[1])
            raise LiftError(f"no rule for the operand {text}") from None
    match = _SYMBOL.match(text)
    if jump and match and not match[3]:
        return Target(match[1], match[2] == "PLT")
    found = _MEMORY.match(text)
    if not found:
        raise LiftError(f"no rule for the operand {text}")
    disp, symbol, kind = 0, "", ""
    if found[2]:
        try:
            disp = int(found[2], 0)
        except ValueError:
            named = _SYMBOL.match(found[2])
            if not named:
                raise LiftError(f"no rule for the operand {text}") from None
            symbol, kind, disp = named[1], named[2] or "", _sum(named[3])
    inner = [part.strip().lstrip("%") for part in (found[3] or "").split(",")]
    base, index, scale = (*inner, "", "")[:3] if len(inner) < 3 else inner
    return Memory(disp, symbol, kind, base, index, int(scale or 1), found[1] or "")


def _sum(text: str) -> int:
    return sum(int(part) for part in re.findall(r"[+-]\d+", text))


# --- blocks ----------------------------------------------------------------------------------------------------------


def _blocks(instructions: list[tuple[list[str], Instruction]], data: dict[str, Data],
            noreturn: frozenset[str]) -> list[Block]:
    blocks: list[Block] = []
    fresh = True
    for labels, instruction in instructions:
        if labels or fresh:
            blocks.append(Block(list(labels)))
        blocks[-1].code.append(instruction)
        fresh = instruction.ends or instruction.conditional or _leaves(instruction, noreturn)
    places = {label: index for index, block in enumerate(blocks) for label in block.labels}
    tables = [name for name in data if name.startswith(".LJTI")]
    last = ""
    tails: list[Block] = []
    for index, block in enumerate(blocks):
        for item in block.code:
            for operand in item.operands:
                if isinstance(operand, Memory) and operand.symbol.startswith(".LJTI"):
                    last = operand.symbol
        end = block.code[-1]
        target = end.operands[0] if end.operands else None
        if end.name.startswith("jmp") and end.indirect:
            if tables and isinstance(target, Register):
                block.table = last or tables[0]
                block.successors = list(dict.fromkeys(_places(data[block.table], places)))
        elif end.name.startswith("jmp"):
            if isinstance(target, Target) and target.name in places:
                block.successors = [places[target.name]]
        elif end.conditional:
            if not isinstance(target, Target):
                raise LiftError(f"no rule for {end}")
            if index + 1 == len(blocks):
                raise LiftError("control leaves the function at its end")
            if target.name not in places:  # a tail call on a condition
                places[target.name] = len(blocks) + len(tails)
                tails.append(Block([target.name], [Instruction("jmp", (target,))]))
            block.successors = [places[target.name], index + 1]
        elif not end.ends and not _leaves(end, noreturn) and index + 1 < len(blocks):
            block.successors = [index + 1]
    blocks += tails
    if any(0 in block.successors for block in blocks):  # IR has no way back to the first block
        for block in blocks:
            block.successors = [item + 1 for item in block.successors]
        blocks.insert(0, Block([], [Instruction("nop")], [1]))
    return blocks


def _copied(blocks: list[Block]) -> list[Block]:
    """Undo what merges ends of code: a block that ends in a call for good is there for each way to it."""
    found = list(blocks)
    for _ in range(_ROUNDS):
        ways: dict[int, list[tuple[Block, int]]] = {}
        for block in found:
            for number, target in enumerate(block.successors):
                if not block.table:
                    ways.setdefault(target, []).append((block, number))
        for target, places in ways.items():
            ended = found[target]
            if ended.successors or ended.code[-1].name.startswith("ret") or len(ended.code) > _COPIED:
                continue
            for block, number in places[1:]:
                block.successors[number] = len(found)
                found.append(Block([], list(ended.code)))
    return found


def _leaves(instruction: Instruction, noreturn: frozenset[str]) -> bool:
    target = instruction.operands[0] if instruction.operands else None
    return instruction.name.startswith("call") and isinstance(target, Target) and target.name in noreturn


def _places(table: Data, places: dict[str, int]) -> list[int]:
    """The blocks that a jump table's entries lead to."""
    found = []
    for part in table.parts:
        if isinstance(part, bytes) or part[0] not in places:
            raise LiftError("a jump table of another form")
        found.append(places[part[0]])
    return found


def entries(code: Code, table: str) -> list[int]:
    """The blocks that a jump table of the function leads to, entry by entry."""
    return _places(code.data[table], {label: index for index, block in enumerate(code.blocks)
                                      for label in block.labels})


# --- data ------------------------------------------------------------------------------------------------------------


def _data(line: str) -> tuple[bytes | tuple[str, int] | tuple[str, str], ...]:
    word, _, rest = line.partition("\t") if "\t" in line else line.partition(" ")
    rest = rest.strip()
    if word in (".ascii", ".asciz", ".string"):
        return (_string(rest) + (b"" if word == ".ascii" else b"\0"),)
    if word in (".zero", ".space", ".skip"):
        size, _, fill = rest.partition(",")
        return (bytes([int(fill or "0", 0) & 255]) * int(size, 0),)
    if word not in _SIZES:
        return ()
    parts: list[bytes | tuple[str, int] | tuple[str, str]] = []
    for item in rest.split(","):
        text = item.strip()
        try:
            parts.append((int(text, 0) & ((1 << 8 * _SIZES[word]) - 1)).to_bytes(_SIZES[word], "little"))
        except ValueError:
            difference = re.match(r"([\w.$]+)-([\w.$]+)$", text)
            match = _SYMBOL.match(text)
            if difference and not difference[2].isdigit():
                parts.append((difference[1], difference[2]))
            elif match and not match[2] and word == ".quad":
                parts.append((match[1], _sum(match[3])))
            else:
                raise LiftError(f"no rule for the constant {text}") from None
    return tuple(parts)


def _string(text: str) -> bytes:
    out = bytearray()
    body = text[1:-1]
    at = 0
    while at < len(body):
        if body[at] != "\\":
            out += body[at].encode()
            at += 1
            continue
        octal = re.match(r"[0-7]{1,3}", body[at + 1 :])
        if octal:
            out.append(int(octal[0], 8) & 255)
            at += 1 + len(octal[0])
        else:
            out.append(_ESCAPES[body[at + 1]])
            at += 2
    return bytes(out)
