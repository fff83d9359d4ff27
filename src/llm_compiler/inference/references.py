"""What the code of a listed function refers to, by name: symbols, labels, and constants with contents."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

from llm_compiler.inference.code import Code, Named, Place
from llm_compiler.lifting import LiftError
from llm_compiler.validation.differential.image import Relocation, Section

WIDTHS = {"b": 8, "w": 16, "l": 32, "q": 64}
"""Bits that an instruction works in, by the last letter of its name."""

_NOBITS, _OBJECT, _DYNAMIC_SYMBOLS = 8, 1, 11
_EXECUTED = 2  # ET_EXEC: linked for a fixed address
_WRITE, _EXECUTABLE = 1, 4
_R64, _PC32, _RELATIVE, _TPOFF64 = 1, 2, 8, 18
_MAX_DATA = 64 * 1024  # bytes of a constant
_MAX_GUESSED = 4096  # those of one whose end the file does not tell
_RELATIVES = ".data.rel.ro"
_ESCAPES = {8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}


@dataclass
class Constant:
    """Data that comes along: its label, its bytes' place, and its lines."""

    label: str
    place: Place
    size: int
    section: str
    lines: list[str] = field(default_factory=list)


class References:
    """Of one function. starts: where its instructions begin; table: addresses of exported symbols are loaded from a
    table of addresses; switches: it jumps through registers.
    """

    def __init__(self, code: Code, starts: Collection[int], *, table: bool, switches: bool) -> None:
        self._code = code
        self._base = code.start + (code.section.address if code.linked else 0)
        self._starts = starts
        self._table = table
        self._switches = switches
        self._counts: dict[str, int] = {}
        self.constants: dict[Place, Constant] = {}
        self.targets: set[int] = set()
        self.doubtful = False

    def label(self, inside: int) -> str:
        """What stands for the label of an offset in the function until all are known. Raises LiftError."""
        if inside not in self._starts:
            raise LiftError("a jump into an instruction")
        self.targets.add(inside)
        return f"@place{inside}@"

    def at(self, address: int) -> Place | Named | None:
        """What lies at an address that the disassembler shows."""
        if self._code.linked:
            return self._code.at(address)
        return Place(self._code.symbol.section, address)

    def at_start(self, where: Place) -> str:
        """A symbol of just this place, exported ones first; empty when there is none."""
        names = self._code.names_at(where)
        exported = {symbol.name for symbol in self._code.symbols if not symbol.local}
        return min(names, key=lambda name: (name not in exported, name), default="")

    def name_of(self, where: Place) -> str:
        """A symbol of just this place. Raises LiftError when there is none."""
        name = self.at_start(where)
        if not name:
            raise LiftError("an address without a name in a table of addresses")
        return name

    def found(self, text: str, address: int) -> str:
        """What an instruction of a linked file refers to, or one that the assembler resolved."""
        slot = "" if text.startswith("leaq") else self._slot(address)
        if slot:
            return slot
        where = self.at(address)
        if where is None:
            raise LiftError("a reference to where the file holds nothing")
        name = self.reference(where, text)
        if self._code.linked and text.startswith("leaq") and isinstance(where, Place) and self._exported(name):
            self.doubtful = True
            return f"{name}@GOTPCREL" if self._table else name
        return name

    def _exported(self, name: str) -> bool:
        return any(symbol.name == name and not symbol.local for symbol in self._code.symbols)

    def reference(self, where: Place | Named, text: str) -> str:
        """A symbol or label and a distance from it. Raises LiftError for data without a name."""
        if isinstance(where, Named):
            return _with(quoted(where.name), where.distance)
        inside = self._code.inside(where)
        if inside is not None:
            if inside:
                raise LiftError("it takes the address of a place in its code")
            return quoted(self._code.name)
        start = self.at_start(where)
        named = Named(start, 0) if start else self._code.named(where)
        section = self._code.image.sections[where.section]
        if named is not None:
            self._define(named, Place(where.section, where.offset - named.distance), section)
            return _with(quoted(named.name), named.distance)
        if section.flags & (_WRITE | _EXECUTABLE) and not section.name.startswith(_RELATIVES):
            raise LiftError("a table of addresses that the file does not tell" if section.name.startswith(".got")
                            else f"data without a name in {section.name}")
        known = self.constants.get(where)
        if known is not None:
            return known.label
        return self._unnamed(where, section, text).label

    def _define(self, named: Named, start: Place, section: Section) -> None:
        """Constants of the file's own come along."""
        symbol = next((item for item in self._code.symbols if item.name == named.name and item.kind == _OBJECT
                       and item.section == start.section), None)
        if symbol is None or not symbol.local or not 0 < symbol.size <= _MAX_DATA or start in self.constants:
            return
        if section.kind == _NOBITS or not section.name.startswith((".rodata", _RELATIVES)):
            return
        self._add(quoted(named.name), start, symbol.size, section)

    def _unnamed(self, where: Place, section: Section, text: str) -> Constant:
        taken = text.startswith(("leaq", "leal", "movl $", "movq $", "movabsq $", "."))
        if taken and self._switches:
            entries = self._entries(where, section)
            if entries:
                constant = self._add(self._numbered(".LJTI0_"), where, 4 * len(entries), section, fill=False)
                constant.lines = [f"\t.long\t{self.label(inside)}-{constant.label}" for inside in entries]
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
        ends += [place.offset for place in self.constants if place.section == where.section]
        end = min((at for at in ends if at > where.offset), default=section.size)
        return min(end - where.offset, _MAX_GUESSED)

    def _entries(self, where: Place, section: Section) -> list[int]:
        """The places in the function that a table of distances at a place leads to."""
        code, found = self._code, list[int]()
        items = code.relocations.get(where.section, {})
        others = {place.offset for place in self.constants if place.section == where.section}
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

    def _add(self, label: str, place: Place, size: int, section: Section, *, fill: bool = True) -> Constant:
        constant = self.constants[place] = Constant(label, place, size, section.name)
        if place.offset < 0 or not 0 < size <= _MAX_DATA or place.offset + size > len(section.data):
            raise LiftError("a constant whose end the file does not tell")
        if fill:
            self._fill(constant, section)
        return constant

    def _fill(self, constant: Constant, section: Section) -> None:
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
                name = self.reference(self._code.target(item, -at), ".long")
                constant.lines.append(f"\t.long\t{name}-{constant.label}")
                at += 4
                continue
            if item is not None and (item.kind != _R64 or at + 8 > constant.size):
                raise LiftError(f"a constant with a relocation of the kind {item.kind}")
            where = self._code.target(item, 0) if item is not None else word
            if where is not None:
                flush()
                constant.lines.append(f"\t.quad\t{self.reference(where, '.quad')}")
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

    def data(self, constant: Constant) -> list[str]:
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

    def _slot(self, address: int) -> str:
        """What a word of a linked file's table of addresses refers to; empty where it is none or has no name."""
        where = self._code.slots.get(address)
        if where is None:
            return f"{quoted(self._distances[address])}@GOTTPOFF" if address in self._distances else ""
        name = where.name if isinstance(where, Named) else self.at_start(where)
        return f"{quoted(name)}@GOTPCREL" if name else ""

    @cached_property
    def _loaded(self) -> list[tuple[Relocation, str]]:
        """What a linked file tells its loader, with the names of symbols."""
        image = self._code.image
        names = _dynamic_names(image.sections)
        return [(item, names[item.symbol] if item.symbol < len(names) else "")
                for items in image.relocations.values() for item in items] if self._code.linked else []

    @cached_property
    def _distances(self) -> dict[int, str]:
        """Thread-local variables by the addresses of the words that hold their distances."""
        return {item.offset: name for item, name in self._loaded if item.kind == _TPOFF64 and name and not item.addend}

    @cached_property
    def _words(self) -> dict[int, Place | Named]:
        """What words of data point to, by address."""
        found: dict[int, Place | Named] = {}
        for item, name in self._loaded:
            where = Named(name, item.addend) if item.kind == _R64 and name else (
                self._code.at(item.addend) if item.kind == _RELATIVE else None)
            if where is not None:
                found[item.offset] = where
        return found


def _dynamic_names(sections: list[Section]) -> list[str]:
    for section in sections:
        if section.kind == _DYNAMIC_SYMBOLS:
            strings = sections[section.link].data
            return [strings[name : strings.find(b"\0", name)].decode(errors="replace")
                    for name, *_ in struct.iter_unpack("<IBBHQQ", section.data)]
    return []


def quoted(name: str) -> str:
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
    return WIDTHS.get(name[-1], 64) // 8
