"""Sizes of an ELF object, section by section.

Read with `struct`: the search does this a hundred times a second, where a general ELF reader takes longer than LLVM.
Layout: System V ABI, "Sections"; both classes and byte orders.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from llm_compiler.errors import InputError

_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_SHT_RELA, _SHT_NOBITS = 4, 8
_OLD_INITIALISERS = re.compile(r"\.(ctors|dtors)(?:\.(\d+))?")


@dataclass(frozen=True, slots=True)
class Section:
    """`size` in bytes; `allocated` sections are loaded, `nobits` ones (.bss) take no room in the file."""

    name: str
    size: int
    allocated: bool
    executable: bool
    writable: bool
    nobits: bool


@dataclass(frozen=True, slots=True)
class ObjectSize:
    """Bytes of an object.

    total: every section that takes room in the loaded file (Berkeley text + data: .rodata and .eh_frame included).
    text_data: sections named .text* or .data* only, the reference's measure.
    sections: (name, bytes) of the loaded sections, in file order, names that repeat kept apart.
    """

    total: int
    text_data: int
    sections: tuple[tuple[str, int], ...]


def read_sections(data: bytes) -> list[Section]:
    """Sections of an ELF file held in memory. Raises InputError when it is not one."""
    if len(data) < 52 or data[:4] != b"\x7fELF" or data[4] not in (1, 2) or data[5] not in (1, 2):
        raise InputError("not an ELF object")
    wide = data[4] == 2
    order = "<" if data[5] == 1 else ">"
    try:
        if wide:
            (offset,) = struct.unpack_from(order + "Q", data, 40)
            entry_size, count, names_index = struct.unpack_from(order + "HHH", data, 58)
            header = struct.Struct(order + "IIQQQQIIQQ")
        else:
            (offset,) = struct.unpack_from(order + "I", data, 32)
            entry_size, count, names_index = struct.unpack_from(order + "HHH", data, 46)
            header = struct.Struct(order + "IIIIIIIIII")
        if offset == 0:
            return []
        # More than 65,279 sections: the real numbers stand in section 0.
        first = header.unpack_from(data, offset)
        count = count or first[5]
        names_index = first[6] if names_index == 0xFFFF else names_index
        if entry_size < header.size or count > len(data) // entry_size:
            raise IndexError
        headers = [header.unpack_from(data, offset + index * entry_size) for index in range(count)]
        names_at = headers[names_index][4]
    except (struct.error, IndexError, OverflowError) as error:
        raise InputError("the ELF object is truncated or corrupted") from error
    sections = []
    for name_at, kind, flags, _, _, size, *_ in headers[1:]:
        start = names_at + name_at
        end = data.find(b"\0", start)
        sections.append(
            Section(
                data[start:end].decode(errors="replace"), size, bool(flags & _SHF_ALLOC),
                bool(flags & _SHF_EXECINSTR), bool(flags & _SHF_WRITE), kind == _SHT_NOBITS,
            )
        )
    return sections


def measure(data: bytes) -> ObjectSize:
    """Size of an ELF object held in memory. Raises InputError when it is not one."""
    total = text_data = 0
    loaded = []
    for section in read_sections(data):
        if section.allocated and not section.nobits and section.size:
            total += section.size
            loaded.append((section.name, section.size))
            if section.name.startswith((".text", ".data")) and not section.name.startswith(".data.rel.ro"):
                text_data += section.size
    return ObjectSize(total, text_data, tuple(loaded))


def with_init_arrays(data: bytes) -> bytes:
    """An object whose initialisers stand in .init_array and .fini_array, as clang has them.

    LLVM's C API lowers them to .ctors and .dtors (65535 less the priority, last one first), which today's linkers and
    C libraries leave out. ELF-64 little endian; another file comes back as it is.
    """
    if data[:6] != b"\x7fELF\x02\x01":
        return data
    header = struct.Struct("<IIQQQQIIQQ")
    (table,) = struct.unpack_from("<Q", data, 40)
    count, names_index = struct.unpack_from("<HH", data, 60)
    sections = [list(header.unpack_from(data, table + index * header.size)) for index in range(count)]
    start, size = sections[names_index][4:6]
    names = data[start : start + size]
    changed = bytearray(data)
    added = b""

    def rename(section: list[int], name: str) -> None:
        nonlocal added
        section[0] = len(names) + len(added)
        added += name.encode() + b"\0"

    for index, section in enumerate(sections):
        old = names[section[0] : names.find(b"\0", section[0])].decode(errors="replace")
        match = _OLD_INITIALISERS.fullmatch(old)
        if match is None:
            continue
        kind, name = (14, ".init_array") if match[1] == "ctors" else (15, ".fini_array")
        name += f".{65535 - int(match[2])}" if match[2] else ""
        section[1] = kind
        rename(section, name)
        for other in sections:
            if other[1] == _SHT_RELA and other[7] == index:
                rename(other, f".rela{name}")
                for at in range(other[4], other[4] + other[5], 24):
                    (offset,) = struct.unpack_from("<Q", data, at)
                    struct.pack_into("<Q", changed, at, section[5] - 8 - offset)
    if not added:
        return data
    sections[names_index][4:6] = len(changed), len(names) + len(added)
    changed += names + added
    for index, section in enumerate(sections):
        header.pack_into(changed, table + index * header.size, *section)
    return bytes(changed)
