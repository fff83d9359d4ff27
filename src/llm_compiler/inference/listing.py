"""Functions of objects and linked files as assembly that stands by itself, which is what the rules of `lifting` read.

Bytes and relocations are the file's: jumps get labels, references their names, constants their contents.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, field

from llm_compiler.inference.code import Code, Named, Place
from llm_compiler.inference.functions import Function
from llm_compiler.lifting import LiftError
from llm_compiler.validation.differential.image import Section, Symbol

_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$")
_COMMENT = re.compile(r"\s+# .*$")
_HEX = re.compile(r"(?<![\w.$%])(-?)0x([0-9a-f]+)\b|\$(-?)0x([0-9a-f]+)\b")
_RIP = re.compile(r"-?(?:\d+)?\(%rip\)")
_BRANCH = re.compile(r"^((?:[a-z]+ )*?(?:j[a-z]+|callq?)) (?:0x)?([0-9a-f]+) <[^>]*>$")
_ABSOLUTE = re.compile(r"(?<=[ :])-?\d+(?=\(|$|, %)|(?<=[ ,:])(?=\(,?%)")
_IMMEDIATE = re.compile(r"\$-?\d+")
_WIDTHS = {"b": 8, "w": 16, "l": 32, "q": 64}
_PADDING = ("nop", "int3", "data16", "cs nop", "xchgw %ax, %ax")
_HANDLERS = ("_Unwind_Resume", "__cxa_begin_catch", "__cxa_end_catch")
_NOBITS, _OBJECT = 8, 1
_EXECUTED = 2  # ET_EXEC: linked for a fixed address
_WRITE, _EXECUTABLE = 1, 4
_R64, _PC32, _PLT32, _R32, _R32S, _GOTTPOFF, _TPOFF32 = 1, 2, 4, 10, 11, 22, 23
_GOT = (9, 41, 42)
_BY_CALL = (19, 20, 21)  # TLSGD, TLSLD, DTPOFF32
_RELATIVE, _TPOFF64 = 8, 18
_MAX_DATA = 64 * 1024  # bytes of a constant
_MAX_GUESSED = 4096  # those of one whose end the file does not tell
_RELATIVES = ".data.rel.ro"
_ESCAPES = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


def assemblies(function: Function) -> list[str]:
    """A listed function as assembly; twice for a linked file where addresses may have been loaded from a table before
    it was linked. Raises LiftError for what cannot be told, LlmcError.
    """
    code = function.code()
    first = _Translation(function, code, table=False)
    texts = [first.text()]
    if code.linked and first.doubtful:
        texts.append(_Translation(function, code, table=True).text())
    return texts


def plain_numbers(line: str) -> str:
    """An instruction whose constants are signed, in the width that it works in."""
    name = line.split(None, 1)[0] if line.strip() else ""
    width = _WIDTHS.get(name[-1:], 64)

    def signed(match: re.Match[str]) -> str:
        value = int(match[0][1:]) & ((1 << width) - 1)
        return f"${value - (1 << width) if value >> (width - 1) else value}"

    return _IMMEDIATE.sub(signed, line)


@dataclass
class _Constant:
    """Data that comes along: its label, its bytes' place, and its lines."""

    label: str
    place: Place
    size: int
    section: str
    lines: list[str] = field(default_factory=list)


class _Translation:
    """One function. table: addresses of exported symbols are loaded from a table of addresses."""

    def __init__(self, function: Function, code: Code, *, table: bool) -> None:
        assert function.elf is not None
        self._code = code
        self._table = table
        self._base = code.start + (code.section.address if code.linked else 0)
        shown = function.shown if code.linked else function.elf.dumped(code.section.name)
        lines = [(int(match[1], 16), match[2]) for match in map(_LINE.match, shown.splitlines()) if match]
        self._lines = [(at - self._base, re.sub(r"\s+", " ", _COMMENT.sub("", text)).strip())
                       for at, text in lines if self._base <= at < self._base + code.size]
        self._starts = {at for at, _ in self._lines}
        self._targets: set[int] = set()
        self._constants: dict[Place, _Constant] = {}
        self._counts: dict[str, int] = {}
        self._switches = any(re.search(r"\bjmpq? \*", text) for _, text in self._lines)
        self._direct = {self._symbol(item.symbol).name for item in code.own.values()
                        if item.kind in (_PC32, _R32, _R32S)}
        self._words: dict[int, Place | Named] = {}
        self._slots = self._dynamic() if code.linked else {}
        self.doubtful = False

    def text(self) -> str:
        if not self._lines or self._lines[0][0]:
            raise LiftError("code that cannot be disassembled")
        while self._lines and self._lines[-1][1].startswith(_PADDING) and not self._code.symbol.size:
            self._lines.pop()
        body = [(at, "" if text.startswith(_PADDING) else self._instruction(at, text)) for at, text in self._lines]
        name = _quoted(self._code.name)
        out = ["\t.text", '\t.file\t"input"']
        constants = list(self._constants.values())
        for constant in constants:
            if constant.label.startswith(".LCPI"):
                out += self._data(constant)
        out += ["\t.text"] + ([] if self._code.symbol.local else [f"\t.globl\t{name}"])
        out += [f"\t.type\t{name},@function", f"{name}:"]
        frames = any(section.name == ".eh_frame" for section in self._code.image.sections)
        if frames:
            out.append("\t.cfi_startproc")
        labels = {at: f".LBB0_{number}" for number, at in enumerate(sorted(self._targets - {0}), 1)} | (
            {0: name} if 0 in self._targets else {})
        for at, text in body:
            if at in labels and at:
                out.append(f"{labels[at]}:")
            if text:
                out.append("\t" + text)
        out += [".Lfunc_end0:", f"\t.size\t{name}, .Lfunc_end0-{name}"] + (["\t.cfi_endproc"] if frames else [])
        for constant in constants:
            if not constant.label.startswith(".LCPI"):
                out += self._data(constant)
        text = "\n".join([*out, '\t.section\t".note.GNU-stack","",@progbits', ""])
        return re.sub(r"@place(\d+)@", lambda match: labels[int(match[1])], text)

    # --- instructions

    def _instruction(self, at: int, text: str) -> str:
        branch = _BRANCH.match(text)
        end = self._code.end(at)
        fields = [(place, item) for place, item in self._code.own.items() if at <= place < end]
        if branch:
            if fields:
                place, item = fields[0]
                if item.kind not in (_PC32, _PLT32):
                    raise LiftError("a jump to what a linker finds in another way")
                where: Place | Named | None = self._code.target(item, end - place)
            else:
                where = self._at(int(branch[2], 16))
            return f"{branch[1]}\t{self._leads(where)}"
        text = plain_numbers(_HEX.sub(_decimal, text))
        for place, item in fields:
            text = self._filled(text, place, end, item.kind, self._code.target(
                item, end - place if item.kind in (_PC32, _PLT32, *_GOT, _GOTTPOFF) else 0))
        relative = _RIP.search(text)
        if relative and not fields:
            address = self._base + end + int(relative[0].removesuffix("(%rip)") or "0")
            text = _RIP.sub(lambda _: f"{self._found(text, address)}(%rip)", text, count=1)
            if "@GOT" in text:
                text = text.replace("leaq ", "movq ", 1)
        name, _, rest = text.partition(" ")
        return f"{name}\t{rest}" if rest else name

    def _filled(self, text: str, place: int, end: int, kind: int, where: Place | Named) -> str:
        """An instruction with what a relocation puts into it."""
        if kind in _BY_CALL:
            raise LiftError("it asks a call for the place of thread-local data")
        if kind in (*_GOT, _GOTTPOFF, _TPOFF32):
            name = where.name if isinstance(where, Named) else self._names(where)
            word = "GOTTPOFF" if kind == _GOTTPOFF else "TPOFF" if kind == _TPOFF32 else "GOTPCREL"
            distance = where.distance if isinstance(where, Named) else 0
            symbol = f"{_quoted(name)}@{word}{f'{distance:+d}' if distance and kind == _TPOFF32 else ''}"
            return _RIP.sub(f"{symbol}(%rip)", text, count=1) if kind != _TPOFF32 else _ABSOLUTE.sub(
                symbol, text, count=1)
        if kind in (_PC32, _PLT32):
            return _RIP.sub(lambda _: f"{self._reference(where, text)}(%rip)", text, count=1)
        if kind not in (_R32, _R32S, _R64):
            raise LiftError(f"a relocation of the kind {kind}")
        name = self._reference(where, text)
        immediate = _IMMEDIATE.search(text)
        if immediate and (kind == _R64 or place + 4 == end):
            return text[: immediate.start()] + f"${name}" + text[immediate.end() :]
        return _ABSOLUTE.sub(lambda _: name, text, count=1)

    def _leads(self, where: Place | Named | None) -> str:
        """The target of a jump or call."""
        if where is None:
            raise LiftError("a jump to where the file holds nothing")
        if isinstance(where, Named):
            if where.name in _HANDLERS:
                raise LiftError("it handles exceptions")
            if where.distance:
                raise LiftError("a jump into another function")
            return _quoted(where.name) + ("@PLT" if where.name not in self._direct else "")
        inside = self._code.inside(where)
        if inside is not None:
            return self._label(inside)
        names = self._at_start(where)
        if not names:
            raise LiftError("a jump to code without a name")
        return _quoted(names)

    def _label(self, inside: int) -> str:
        if inside not in self._starts:
            raise LiftError("a jump into an instruction")
        self._targets.add(inside)
        return f"@place{inside}@"

    # --- what lies where

    def _symbol(self, number: int) -> Symbol:
        return self._code.image.symbols[number]

    def _at(self, address: int) -> Place | Named | None:
        if self._code.linked:
            return self._code.at(address)
        return Place(self._code.symbol.section, address)

    def _at_start(self, where: Place) -> str:
        """A symbol of just this place, exported ones first; empty when there is none."""
        names = self._code.names_at(where)
        exported = {symbol.name for symbol in self._code.symbols if not symbol.local}
        return min(names, key=lambda name: (name not in exported, name), default="")

    def _names(self, where: Place) -> str:
        name = self._at_start(where)
        if not name:
            raise LiftError("an address without a name in a table of addresses")
        return name

    def _found(self, text: str, address: int) -> str:
        """What an instruction of a linked file refers to, or one that the assembler resolved."""
        slot = self._slots.get(address)
        if slot is not None and not text.startswith("leaq"):
            return slot
        where = self._at(address)
        if where is None:
            raise LiftError("a reference to where the file holds nothing")
        name = self._reference(where, text)
        if self._code.linked and text.startswith("leaq") and isinstance(where, Place) and self._exported(name):
            self.doubtful = True
            return f"{name}@GOTPCREL" if self._table else name
        return name

    def _exported(self, name: str) -> bool:
        return any(symbol.name == name and not symbol.local for symbol in self._code.symbols)

    def _reference(self, where: Place | Named, text: str) -> str:
        """A symbol or label and a distance from it. Raises LiftError for data without a name."""
        if isinstance(where, Named):
            return _with(_quoted(where.name), where.distance)
        inside = self._code.inside(where)
        if inside is not None:
            if inside:
                raise LiftError("it takes the address of a place in its code")
            return _quoted(self._code.name)
        start = self._at_start(where)
        named = Named(start, 0) if start else self._code.named(where)
        section = self._code.image.sections[where.section]
        if named is not None:
            self._define(named, Place(where.section, where.offset - named.distance), section)
            return _with(_quoted(named.name), named.distance)
        if section.flags & (_WRITE | _EXECUTABLE) and not section.name.startswith(_RELATIVES):
            raise LiftError("a table of addresses that the file does not tell" if section.name.startswith(".got")
                            else f"data without a name in {section.name}")
        known = self._known(where)
        if known is not None:
            return _with(known.label, where.offset - known.place.offset)
        return self._unnamed(where, section, text).label

    def _known(self, where: Place) -> _Constant | None:
        return self._constants.get(where)

    def _define(self, named: Named, start: Place, section: Section) -> None:
        """Constants of the file's own come along."""
        symbol = next((item for item in self._code.symbols if item.name == named.name and item.kind == _OBJECT
                       and item.section == start.section), None)
        if symbol is None or not symbol.local or not 0 < symbol.size <= _MAX_DATA or start in self._constants:
            return
        if section.kind == _NOBITS or not section.name.startswith((".rodata", _RELATIVES)):
            return
        self._add(_quoted(named.name), start, symbol.size, section)

    def _unnamed(self, where: Place, section: Section, text: str) -> _Constant:
        taken = text.startswith(("leaq", "leal", "movl $", "movq $", "movabsq $", "."))
        if taken and self._switches:
            entries = self._entries(where, section)
            if entries:
                constant = self._add(self._numbered(".LJTI0_"), where, 4 * len(entries), section, fill=False)
                constant.lines = [f"\t.long\t{self._label(inside)}-{constant.label}" for inside in entries]
                return constant
        sized = next((item for item, offset in self._code.constants(where) if offset == 0 and item.sized), None)
        size = sized.size if sized is not None else self._code.extent(where, section)
        pooled = section.name.startswith(".rodata.cst") or not taken
        if pooled:
            return self._add(self._numbered(".LCPI0_"), where, size or _width(text), section)
        string = section.data.find(b"\0", where.offset)
        is_string = ".str" in section.name or (
            size is None and string > where.offset and _printable(section.data[where.offset : string]))
        if size is None or size > _MAX_DATA:
            size = string + 1 - where.offset if is_string else self._until_next(where, section)
        number = self._counts.setdefault(".L.str", 0) if is_string else -1
        if is_string:
            self._counts[".L.str"] += 1
            label = f".L.str.{number}" if number else ".L.str"
        else:
            label = self._numbered(".Ltable.")
        return self._add(label, where, size, section)

    def _numbered(self, label: str) -> str:
        number = self._counts.get(label, 0)
        self._counts[label] = number + 1
        return f"{label}{number}"

    def _until_next(self, where: Place, section: Section) -> int:
        """A guess: to what is named or referred to next."""
        base = section.address if self._code.linked else 0
        ends = [symbol.value - base for symbol in self._code.symbols if symbol.section == where.section]
        ends += [place.offset for place in self._constants if place.section == where.section]
        end = min((at for at in ends if at > where.offset), default=section.size)
        return min(end - where.offset, _MAX_GUESSED)

    def _entries(self, where: Place, section: Section) -> list[int]:
        """The places in the function that a table of distances at a place leads to."""
        code, found = self._code, list[int]()
        items = code.relocations.get(where.section, {})
        others = {place.offset for place in self._constants if place.section == where.section}
        for at in range(where.offset, len(section.data) - 3, 4):
            if at in others:
                break
            if code.linked:
                value = struct.unpack_from("<i", section.data, at)[0] + section.address + where.offset - self._base
            else:
                item = items.get(at)
                target = code.target(item, where.offset - at) if item is not None and item.kind == _PC32 else None
                inside = code.inside(target) if isinstance(target, Place) else None
                value = -1 if inside is None else inside
            if value not in self._starts:
                break
            found.append(value)
        return found

    # --- data

    def _add(self, label: str, place: Place, size: int, section: Section, *, fill: bool = True) -> _Constant:
        constant = self._constants[place] = _Constant(label, place, size, section.name)
        if place.offset < 0 or not 0 < size <= _MAX_DATA or place.offset + size > len(section.data):
            raise LiftError("a constant whose end the file does not tell")
        if fill:
            self._fill(constant, section)
        return constant

    def _fill(self, constant: _Constant, section: Section) -> None:
        start, at = constant.place.offset, 0
        data = section.data[start : start + constant.size]
        items = self._code.relocations.get(constant.place.section, {})
        plain = bytearray()

        def flush() -> None:
            if plain:
                constant.lines.append("\t" + _bytes(bytes(plain), pool=constant.label.startswith(".LCPI")))
                plain.clear()

        while at < constant.size:
            item = items.get(start + at)
            word = self._word(section, start + at)
            if item is not None and item.kind == _PC32:
                flush()
                name = self._reference(self._code.target(item, -at), ".long")
                constant.lines.append(f"\t.long\t{name}-{constant.label}")
                at += 4
                continue
            if item is not None and (item.kind != _R64 or at + 8 > constant.size):
                raise LiftError(f"a constant with a relocation of the kind {item.kind}")
            where = self._code.target(item, 0) if item is not None else word
            if where is not None:
                flush()
                constant.lines.append(f"\t.quad\t{self._reference(where, '.quad')}")
                at += 8
                continue
            plain.append(data[at])
            at += 1
        flush()

    def _word(self, section: Section, at: int) -> Place | Named | None:
        """What a word of a linked file's constants points to, if it is known to."""
        if not self._code.linked:
            return None
        address = section.address + at
        if self._code.kind == _EXECUTED and section.name.startswith(_RELATIVES) and not address % 8:
            word = section.data[at : at + 8]
            return self._code.at(int.from_bytes(word, "little")) if any(word) and len(word) == 8 else None
        return self._words.get(address)

    def _data(self, constant: _Constant) -> list[str]:
        label = constant.label
        if label.startswith(".LJTI"):
            return ['\t.section\t.rodata,"a",@progbits', "\t.p2align\t2, 0x0", f"{label}:", *constant.lines]
        address = constant.place.offset
        align = next(power for power in (4, 3, 2, 1, 0) if address % (1 << power) == 0)
        if label.startswith(".LCPI"):
            return [f'\t.section\t.rodata.cst{constant.size},"aM",@progbits,{constant.size}',
                    f"\t.p2align\t{constant.size.bit_length() - 1}, 0x0", f"{label}:", *constant.lines]
        if label.startswith(".L.str"):
            return [f"\t.type\t{label},@object", '\t.section\t.rodata.str1.1,"aMS",@progbits,1', f"{label}:",
                    *constant.lines, f"\t.size\t{label}, {constant.size}"]
        relative = constant.section.startswith(_RELATIVES)
        return [f"\t.type\t{label},@object",
                '\t.section\t.data.rel.ro,"aw",@progbits' if relative else '\t.section\t.rodata,"a",@progbits',
                f"\t.p2align\t{align}, 0x0", f"{label}:", *constant.lines, f"\t.size\t{label}, {constant.size}"]

    def _dynamic(self) -> dict[int, str]:
        """The table of addresses of a linked file: what each of its words refers to; and `_words`, those of data."""
        found: dict[int, str] = {}
        code = self._code
        for address, where in code.slots.items():
            name = where.name if isinstance(where, Named) else self._at_start(where)
            if name:
                found[address] = f"{_quoted(name)}@GOTPCREL"
        names = _dynamic_names(code.image.sections)
        for item in (item for items in code.image.relocations.values() for item in items):
            name = names[item.symbol] if item.symbol < len(names) else ""
            if item.kind == _TPOFF64 and name and not item.addend:
                found[item.offset] = f"{_quoted(name)}@GOTTPOFF"
            elif item.kind == _R64 and name:
                self._words[item.offset] = Named(name, item.addend)
            elif item.kind == _RELATIVE and item.offset not in code.slots:
                pointed = code.at(item.addend)
                if pointed is not None:
                    self._words[item.offset] = pointed
        return found


def _dynamic_names(sections: list[Section]) -> list[str]:
    for section in sections:
        if section.kind == 11:  # SHT_DYNSYM
            strings = sections[section.link].data
            return [strings[name : strings.find(b"\0", name)].decode(errors="replace")
                    for name, *_ in struct.iter_unpack("<IBBHQQ", section.data)]
    return []


def _decimal(match: re.Match[str]) -> str:
    if match[2] is not None:
        return f"{match[1]}{int(match[2], 16)}"
    return f"${match[3]}{int(match[4], 16)}"


def _quoted(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_.$][\w.$]*", name) else f'"{name}"'


def _with(name: str, distance: int) -> str:
    return f"{name}{distance:+d}" if distance else name


def _bytes(data: bytes, *, pool: bool) -> str:
    """Data as clang prints it."""
    if pool and len(data) in (4, 8):
        word = ".long" if len(data) == 4 else ".quad"
        return f"{word}\t0x{int.from_bytes(data, 'little'):0{2 * len(data)}x}"
    if len(data) == 1:
        return f".byte\t{data[0]}"
    if len(set(data)) == 1:
        return f".zero\t{len(data)}" + (f",{data[0]}" if data[0] else "")
    kind, shown = (".asciz", data[:-1]) if data[-1] == 0 else (".ascii", data)
    text = "".join(_ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in shown)
    return f'{kind}\t"{text}"'


def _printable(data: bytes) -> bool:
    return all(32 <= byte < 127 or byte in b"\n\t\r\x1b" or byte >= 0xC2 for byte in data)


def _width(text: str) -> int:
    """Bytes that an instruction reads from memory."""
    name = text.split(None, 1)[0]
    if name.endswith("ss") or name in ("movd", "flds", "fadds", "fmuls", "cvtsi2sdl"):
        return 4
    if name.endswith("sd") or name in ("movq", "cvtps2pd", "cvtdq2pd", "movlps", "movhps", "movlpd", "movhpd", "fldl"):
        return 8
    if "%xmm" in text:
        return 16
    return _WIDTHS.get(name[-1], 64) // 8
