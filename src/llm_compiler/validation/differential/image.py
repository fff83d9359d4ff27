"""What differential execution reads of ELF files: symbols, writable memory, and the code of each function.

ELF-64 little endian (System V ABI, chapter 4; x86-64 psABI for relocations).
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass, field
from functools import cached_property

from llm_compiler.errors import InputError

_SYMTAB, _RELA, _NOBITS = 2, 4, 8
_FUNCTION, _SECTION = 2, 3
_PC32, _PLT32 = 2, 4
# lea disp32(%rip), REG: how position-independent code takes the address of a function in its own section.
_LEA = re.compile(rb"[\x48\x4c]\x8d[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Section:
    """One section header. `data` is empty for sections without bytes in the file."""

    name: str
    kind: int
    flags: int
    address: int
    size: int
    link: int
    info: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Symbol:
    """One symbol. section: index of its section; 0 undefined."""

    name: str
    value: int
    size: int
    kind: int
    local: bool
    section: int


@dataclass(frozen=True, slots=True)
class Relocation:
    """One entry of a .rela section; symbol is an index into the symbol table."""

    offset: int
    kind: int
    symbol: int
    addend: int


class Image:
    """A relocatable object or a linked program. Raises InputError when it is no ELF-64 file."""

    def __init__(self, data: bytes) -> None:
        if data[:6] != b"\x7fELF\x02\x01":
            raise InputError("not a 64-bit little-endian ELF file")
        self._data = data
        try:
            (table,) = struct.unpack_from("<Q", data, 0x28)
            size, count, names = struct.unpack_from("<HHH", data, 0x3A)
            raw = [struct.unpack_from("<IIQQQQIIQQ", data, table + index * size) for index in range(count)]
            strings = data[raw[names][4] : raw[names][4] + raw[names][5]] if count else b""
            self.sections = [
                Section(_text(strings, name), kind, flags, address, size_, link, info,
                        b"" if kind == _NOBITS else data[at : at + size_])
                for name, kind, flags, address, at, size_, link, info, _, _ in raw
            ]
        except (struct.error, IndexError) as error:
            raise InputError("the ELF file is truncated") from error

    @cached_property
    def symbols(self) -> list[Symbol]:
        for section in self.sections:
            if section.kind == _SYMTAB:
                strings = self.sections[section.link].data
                return [Symbol(_text(strings, name), value, size, info & 15, info >> 4 == 0, index)
                        for name, info, _, index, value, size in struct.iter_unpack("<IBBHQQ", section.data)]
        return []

    def writable(self) -> list[tuple[int, int]]:
        """Address ranges of a linked program that can be written."""
        at, = struct.unpack_from("<Q", self._data, 0x20)
        size, count = struct.unpack_from("<HH", self._data, 0x36)
        ranges = []
        for index in range(count):
            kind, flags, _, address, _, _, memory, _ = struct.unpack_from("<IIQQQQQQ", self._data, at + index * size)
            if kind == 1 and flags & 2:  # PT_LOAD, PF_W
                ranges.append((address, address + memory))
        return ranges

    def constructors(self) -> list[int]:
        """Addresses in .init_array of a linked program, in the order of running."""
        found: list[int] = []
        for section in self.sections:
            if section.name == ".init_array":
                found += [word for (word,) in struct.iter_unpack("<Q", section.data[: len(section.data) // 8 * 8])]
        return [word for word in found if word not in (0, 0xFFFFFFFFFFFFFFFF)]

    @cached_property
    def relocations(self) -> dict[int, list[Relocation]]:
        """Relocations of a relocatable object by the section that they change."""
        found: dict[int, list[Relocation]] = {}
        for section in self.sections:
            if section.kind == _RELA:
                found.setdefault(section.info, []).extend(
                    Relocation(offset, info & 0xFFFFFFFF, info >> 32, addend)
                    for offset, info, addend in struct.iter_unpack("<QQq", section.data))
        return found

    def functions(self) -> dict[str, str]:
        """A digest of the code of each function by name: its bytes, and what its relocations refer to by name or by
        content. Equal digests mean equal code; calls within a section make digests differ where only distances do.
        """
        digests = {}
        symbols = self.symbols
        by_section: dict[int, list[Relocation]] = {
            index: sorted(items, key=lambda item: item.offset) for index, items in self.relocations.items()}
        for symbol in symbols:
            if symbol.kind != _FUNCTION or not 0 < symbol.section < len(self.sections) or not symbol.name:
                continue
            end = symbol.value + symbol.size
            code = self.sections[symbol.section].data[symbol.value : end]
            hasher = hashlib.blake2b(code, digest_size=12)
            for item in by_section.get(symbol.section, ()):
                if symbol.value <= item.offset < end:
                    hasher.update(repr((item.offset - symbol.value, item.kind, self._meaning(item))).encode())
            digests[symbol.name] = hasher.hexdigest()
        return digests

    def _meaning(self, item: Relocation) -> tuple[object, ...]:
        """What a relocation refers to, without positions that mean nothing."""
        symbol = self.symbols[item.symbol]
        section = self.sections[symbol.section] if 0 < symbol.section < len(self.sections) else None
        # neither SHF_WRITE nor SHF_EXECINSTR
        constant = section is not None and not section.flags & 5 and section.kind != _NOBITS
        if section is None or (not constant and symbol.name and symbol.kind != _SECTION):
            return symbol.name, item.addend
        if not constant:
            return section.name, item.addend
        at = max(0, symbol.value + item.addend + (4 if item.kind in (_PC32, _PLT32) else 0))
        size = symbol.value + symbol.size - at if symbol.kind != _SECTION else 0
        if section.name.startswith(".rodata.cst"):
            size = int(section.name.rpartition("cst")[2] or 16)
        if size <= 0:
            table = self._table(symbol.section, at)
            if table:
                return "table", table
            return section.name.split(".")[1], _until_zero(section.data, at)
        targets = [(other.offset - at, self.symbols[other.symbol].name, other.addend)
                   for other in self.relocations.get(symbol.section, ()) if at <= other.offset < at + size]
        return section.name.split(".")[1], section.data[at : at + size], tuple(targets)

    def _table(self, section: int, at: int) -> tuple[object, ...]:
        """The addresses in a table without a name (a switch's): as many as follow each other."""
        places = self._by_offset.get(section, {})
        found: list[object] = []
        while at in places and len(found) < 4096:
            item = places[at]
            found.append((item.kind, self.symbols[item.symbol].name, item.symbol, item.addend))
            at += 8 if item.kind == 1 else 4
        return tuple(found)

    @cached_property
    def _by_offset(self) -> dict[int, dict[int, Relocation]]:
        return {index: {item.offset: item for item in items} for index, items in self.relocations.items()}

    def address_taken(self) -> set[str]:
        """Functions of a relocatable object whose address something other than a call takes."""
        places = {(symbol.section, symbol.value): symbol.name for symbol in self.symbols if symbol.kind == _FUNCTION}
        taken = set()
        for index, items in self.relocations.items():
            if not self.sections[index].flags & 2:  # not loaded: debug information
                continue
            if self.sections[index].name.startswith(".eh_frame"):
                continue
            for item in items:
                if item.kind == _PLT32:
                    continue
                symbol = self.symbols[item.symbol]
                pc_relative = 4 if item.kind in (2, 9, 41, 42) else 0
                name = places.get((symbol.section, symbol.value + item.addend + pc_relative))
                if name:
                    taken.add(name)
        for index, section in enumerate(self.sections):
            if section.flags & 4:
                for match in _LEA.finditer(section.data):
                    end = match.end() + 4
                    if end <= len(section.data):
                        (distance,) = struct.unpack_from("<i", section.data, match.end())
                        name = places.get((index, end + distance))
                        if name:
                            taken.add(name)
        return taken


def _until_zero(data: bytes, at: int) -> bytes:
    end = data.find(b"\0", at, at + 256)
    return data[at : end if end >= 0 else at + 256]


def _text(strings: bytes, at: int) -> str:
    return strings[at : strings.find(b"\0", at)].decode(errors="replace")
