"""Whether two object files hold the same code of a function: its bytes, and what they refer to, constants included.

Original code may be relocatable or linked, the other side is relocatable. What cannot be told to be equal counts as
different: where a constant ends in a linked file, for one.
"""

from __future__ import annotations

import bisect
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from llm_compiler.errors import InputError
from llm_compiler.validation.differential.image import Image, Relocation, Section, Symbol

X86_64, AARCH64 = 62, 183
"""ELF machines."""

UNENDED = "a constant whose end the file does not tell"
"""Why linked files' strings cannot be told to be equal."""

_WRITE, _ALLOCATED, _EXECUTABLE, _MERGE, _STRINGS = 1, 2, 4, 0x10, 0x20
_NOBITS, _DYNAMIC_SYMBOLS = 8, 11
_FUNCTION, _SECTION_SYMBOL, _FILE = 2, 3, 4
_FRAMES = (".eh_frame", ".note", ".comment", ".llvm", ".debug", ".gnu", ".symtab", ".strtab", ".shstrtab", ".rela")
_CONSTANTS = (".rodata", ".data.rel.ro", ".gcc_except_table")
_MAPPING = re.compile(r"\$[xd](?:\.\d+)?")  # AArch64's marks of code and data
_MERGED = re.compile(r"\.rodata\.cst(\d+)")
# What x86-64 relocations are: bytes of the field; whether it is a distance; whether linkers resolve it to the symbol.
_R64, _PC32, _PLT32, _R32, _R32S, _PC64, _GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX = 1, 2, 4, 10, 11, 24, 9, 41, 42
_X86_FIELDS = {_R64: (8, False), _PC32: (4, True), _PLT32: (4, True), _R32: (4, False), _R32S: (4, False),
               _PC64: (8, True)}
_GOT = (_GOTPCREL, _GOTPCRELX, _REX_GOTPCRELX)
_GLOB_DAT, _JUMP_SLOT, _RELATIVE = 6, 7, 8  # what x86-64's loaders put into a table of addresses
_X86_DISTANCES = (_PC32, _PLT32, _PC64, *_GOT)
# AArch64: whole words of data, distances of data, branches.
_ABS64, _PREL32, _PREL64, _JUMP26, _CALL26 = 257, 261, 260, 282, 283


@dataclass(frozen=True)
class Place:
    """A byte of a section."""

    section: int
    offset: int


@dataclass(frozen=True)
class Named:
    """A symbol's address and a distance from it."""

    name: str
    distance: int


@dataclass(frozen=True)
class _Constant:
    """Bytes of a section without a name that others use. sized: its end is known, not just that of its neighbour."""

    start: Place
    size: int
    sized: bool


class Code:
    """A function in an ELF file. starts: where instructions of its section begin, as a disassembler tells (offsets, or
    addresses in a linked file; x86-64). stubs: addresses of PLT entries in a linked file, with names.

    Raises InputError when the file is broken or lacks the function.
    """

    def __init__(self, data: bytes, name: str, starts: Sequence[int] = (),
                 stubs: Mapping[int, str] | None = None) -> None:
        self.image = image = open_image(data)
        self.kind, self.machine = struct.unpack_from("<HH", data, 16)
        self.linked = self.kind != 1
        self.name = name
        self.stubs = stubs or {}
        self._starts = sorted(set(starts))
        found = [symbol for symbol in self.symbols if symbol.name == name and symbol.kind == _FUNCTION
                 and 0 < symbol.section < len(image.sections)]
        if not found:
            raise InputError(f"there is no code of {name}")
        self.symbol = found[0]
        self.section = image.sections[self.symbol.section]
        base = self.section.address if self.linked else 0
        self.start = self.symbol.value - base
        self.size = self.symbol.size or self._until_next()
        self.bytes = self.section.data[self.start : self.start + self.size]
        if len(self.bytes) < self.size or not self.size:
            raise InputError(f"the code of {name} is cut off")

    @cached_property
    def symbols(self) -> list[Symbol]:
        return symbols_of(self.image)

    def _until_next(self) -> int:
        base = self.section.address if self.linked else 0
        starts = [symbol.value - base for symbol in self.symbols
                  if symbol.section == self.symbol.section and symbol.kind == _FUNCTION]
        return min((at for at in starts if at > self.start), default=self.section.size) - self.start

    @cached_property
    def relocations(self) -> dict[int, dict[int, Relocation]]:
        """By section and offset; none in a linked file, whose fields are filled in."""
        if self.linked:
            return {}
        return {section: {item.offset: item for item in items} for section, items in self.image.relocations.items()}

    @cached_property
    def own(self) -> dict[int, Relocation]:
        """Relocations of the function's code, by offset in it."""
        items = self.relocations.get(self.symbol.section, {})
        return {at - self.start: item for at, item in items.items() if self.start <= at < self.start + self.size}

    @cached_property
    def instructions(self) -> list[int]:
        """Where the function's instructions begin, in it; AArch64's have four bytes each."""
        if self.machine == AARCH64:
            return list(range(0, self.size, 4))
        base = self.start + (self.section.address if self.linked else 0)
        return [at - base for at in self._starts if base <= at < base + self.size]

    def end(self, offset: int) -> int:
        """Where the instruction around an offset of the function ends, in it."""
        at = bisect.bisect_right(self.instructions, offset)
        return self.instructions[at] if at < len(self.instructions) else self.size

    def index(self, offset: int) -> int:
        """Which instruction begins at an offset of the function; -1 when none does."""
        at = bisect.bisect_left(self.instructions, offset)
        return at if at < len(self.instructions) and self.instructions[at] == offset else -1

    def externals(self) -> set[str]:
        """Names of what the function refers to outside its file."""
        return {self.image.symbols[item.symbol].name for item in self.own.values()
                if self.image.symbols[item.symbol].section == 0}

    # --- where references lead

    def target(self, item: Relocation, distance: int) -> Place | Named:
        """What a relocation refers to; distance: from its field to where it counts from."""
        symbol = self.image.symbols[item.symbol]
        addend = item.addend + distance
        if symbol.section == 0 or symbol.section >= len(self.image.sections):
            return Named(symbol.name, addend)
        return Place(symbol.section, symbol.value + addend)

    def at(self, address: int) -> Place | Named | None:
        """What lies at an address of a linked file."""
        if address in self.stubs:
            return Named(self.stubs[address], 0)
        for index, section in enumerate(self.image.sections):
            if section.flags & _ALLOCATED and section.address <= address < section.address + max(section.size, 1):
                return Place(index, address - section.address)
        return None

    @cached_property
    def slots(self) -> dict[int, Place | Named]:
        """What the table of addresses of a linked file holds, by the addresses of its words, as its loader is told."""
        if not self.linked:
            return {}
        names = [symbol.name for symbol in _dynamic(self.image)]
        tables = [range(section.address, section.address + section.size) for section in self.image.sections
                  if section.name.startswith(".got")]
        found: dict[int, Place | Named] = {}
        for item in (item for items in self.image.relocations.values() for item in items):
            if not any(item.offset in table for table in tables):
                continue
            if item.kind in (_GLOB_DAT, _JUMP_SLOT) and item.symbol < len(names) and names[item.symbol]:
                found[item.offset] = Named(names[item.symbol], 0)
            elif item.kind == _RELATIVE:
                where = self.at(item.addend)
                if where is not None:
                    found[item.offset] = where
        return found

    def names_at(self, place: Place) -> set[str]:
        base = self.image.sections[place.section].address if self.linked else 0
        return {symbol.name for symbol in self.symbols if symbol.section == place.section
                and symbol.value == base + place.offset and _is_name(symbol)}

    def inside(self, place: Place) -> int | None:
        """The offset in the function itself."""
        if place.section == self.symbol.section and self.start <= place.offset < self.start + self.size:
            return place.offset - self.start
        return None

    def named(self, place: Place) -> Named | None:
        """The named object, not a label of the compiler's, that holds a place."""
        base = self.image.sections[place.section].address if self.linked else 0
        best: Symbol | None = None
        for symbol in self.symbols:
            if symbol.section == place.section and _is_name(symbol) and symbol.value - base <= place.offset and (
                    best is None or symbol.value > best.value):
                best = symbol
        if best is None or best.value - base + max(best.size, 1) <= place.offset:
            return None
        return Named(best.name, place.offset - (best.value - base))

    def constants(self, place: Place) -> list[tuple[_Constant, int]]:
        """Labelled constants that hold a place, or end there, each with the place's offset in it."""
        starts = self._labels.get(place.section, [])
        section = self.image.sections[place.section]
        found = []
        for (start, size), (following, _) in pairwise([*starts, (section.size, 0)]):
            sized = size > 0
            length = size or following - start
            if start <= place.offset <= start + length:
                found.append((_Constant(Place(place.section, start), length, sized), place.offset - start))
        return sorted(found, key=lambda item: item[1])

    @cached_property
    def _labels(self) -> dict[int, list[tuple[int, int]]]:
        base = {index: section.address if self.linked else 0 for index, section in enumerate(self.image.sections)}
        found: dict[int, dict[int, int]] = {}
        for symbol in self.symbols:
            if 0 < symbol.section < len(self.image.sections) and _is_label(symbol):
                places = found.setdefault(symbol.section, {})
                at = symbol.value - base[symbol.section]
                places[at] = max(places.get(at, 0), symbol.size)
        return {section: sorted(places.items()) for section, places in found.items()}

    def is_stub(self, place: Place) -> bool:
        """Whether it is the address of a type, as exception tables name it."""
        return not self.linked and any(symbol.section == place.section and symbol.value == place.offset
                                       and symbol.name.endswith(".DW.stub") for symbol in self.symbols)

    def data_labels(self) -> set[Place]:
        """Where the labelled data of a relocatable file begins."""
        return {Place(section, at) for section, places in self._labels.items() for at, _ in places
                if not self.image.sections[section].flags & _EXECUTABLE
                and self.image.sections[section].flags & _ALLOCATED
                and not self.image.sections[section].name.startswith(_FRAMES)}

    def extent(self, start: Place, section: Section) -> int | None:
        """How long the data at a place without a label is, as far as the file tells for sure."""
        if self.linked or start.offset >= section.size:
            return None
        merged = _MERGED.match(section.name)
        if merged:
            return int(merged[1])
        if section.flags & _STRINGS and section.flags & _MERGE and section.name.startswith(".rodata.str1"):
            if start.offset and section.data[start.offset - 1]:
                return None
            end = section.data.find(b"\0", start.offset)
            return end + 1 - start.offset if end >= 0 else None
        ends = [at for at, _ in self._labels.get(start.section, ()) if at > start.offset]
        return None if ends else section.size - start.offset


def _is_label(symbol: Symbol) -> bool:
    return bool(symbol.name) and symbol.kind not in (_SECTION_SYMBOL, _FILE) and not _MAPPING.fullmatch(symbol.name)


def _is_name(symbol: Symbol) -> bool:
    return _is_label(symbol) and not symbol.name.startswith(".L")


def open_image(data: bytes) -> Image:
    """An ELF file whose sections are all there. Raises InputError."""
    try:
        image = Image(data)
        if any(len(section.data) < section.size for section in image.sections if section.kind not in (0, _NOBITS)):
            raise InputError("the ELF file is truncated")
        image.symbols, image.relocations  # read now: they may be cut off  # noqa: B018
    except (struct.error, IndexError) as error:
        raise InputError("the ELF file is truncated") from error
    return image


def symbols_of(image: Image) -> list[Symbol]:
    """The symbol table, or the dynamic one in a stripped file."""
    return image.symbols or _dynamic(image)


def _dynamic(image: Image) -> list[Symbol]:
    for section in image.sections:
        if section.kind == _DYNAMIC_SYMBOLS:
            strings = image.sections[section.link].data
            return [Symbol(strings[name : strings.find(b"\0", name)].decode(errors="replace"), value, size, info & 15,
                           info >> 4 == 0, index)
                    for name, info, _, index, value, size in struct.iter_unpack("<IBBHQQ", section.data)]
    return []


# --- comparison ------------------------------------------------------------------------------------------------------


def difference(original: Code, again: Code) -> str:
    """In what way code made anew is not the original's; empty when it is the same to the last constant."""
    return _Comparison(original, again).code()


class _Comparison:
    def __init__(self, original: Code, again: Code) -> None:
        self.original = original
        self.again = again
        self.compared: set[Place] = set()
        self.seen: dict[tuple[Place, Place], str] = {}

    def code(self) -> str:
        original, again = self.original, self.again
        if original.machine != again.machine:
            return "it is for another machine"
        if again.symbol.local and not original.symbol.local:
            return "a local function in place of one that is exported"
        if not original.instructions or original.instructions[0] or not again.instructions or again.instructions[0]:
            return "code that cannot be disassembled"
        if len(original.instructions) != len(again.instructions):
            return f"{len(again.instructions)} instructions instead of {len(original.instructions)}"
        for one, other in zip(original.instructions, again.instructions, strict=True):
            problem = self._instruction(one, other)
            if problem:
                return problem
        return self._tables() or self._rest()

    def _instruction(self, one: int, other: int) -> str:
        original, again = self.original, self.again
        ours, theirs = original.bytes[one : original.end(one)], again.bytes[other : again.end(other)]
        if original.machine == X86_64:
            branch, second = _branch(ours), _branch(theirs)
            if branch is not None and second is not None and branch[0] == second[0]:
                # A near jump is a short one where the assembler knows the distance.
                places = self._leads(original, one, branch[1]), self._leads(again, other, second[1])
                if places[0] is None or places[1] is None:
                    return "a jump that cannot be compared"
                return self._same(places[0], places[1])
        if len(ours) != len(theirs):
            return "other instructions"
        skipped: set[int] = set()
        for at in range(len(ours)):
            mine, item = original.own.get(one + at), again.own.get(other + at)
            if mine is not None or item is not None:
                problem = self._field(one + at, other + at, mine, item, skipped)
                if problem:
                    return problem
        return "other instructions" if any(
            a != b for at, (a, b) in enumerate(zip(ours, theirs, strict=True)) if one + at not in skipped) else ""

    def _leads(self, code: Code, start: int, opcode: int) -> Place | Named | None:
        """Where a direct jump or call leads; opcode: the bytes before its distance."""
        end = code.end(start)
        item = code.own.get(start + opcode)
        if item is not None:
            return code.target(item, end - start - opcode) if item.kind in (_PC32, _PLT32) else None
        return self._absolute(code, end + int.from_bytes(code.bytes[start + opcode : end], "little", signed=True))

    def _field(self, one: int, other: int, mine: Relocation | None, item: Relocation | None,
               skipped: set[int]) -> str:
        """A reference in an instruction, at `one` and at `other`. skipped: bytes of the original that it stands in."""
        if mine is not None and item is not None:
            if not _alike(mine.kind, item.kind):
                return "another kind of reference"
            return self._same(self.original.target(mine, self._distance(self.original, one, mine.kind)),
                              self.again.target(item, self._distance(self.again, other, item.kind)))
        if item is not None:
            found = self._filled(self.original, one, other, item.kind, skipped)
            if found is not None:
                return self._same(found, self.again.target(item, self._distance(self.again, other, item.kind)))
        elif mine is not None:
            found = self._filled(self.again, other, one, mine.kind, set())
            if found is not None:
                skipped.update(range(one, one + 4))
                return self._same(self.original.target(mine, self._distance(self.original, one, mine.kind)), found)
        return "a reference that cannot be compared"

    def _distance(self, code: Code, at: int, kind: int) -> int:
        if code.machine != X86_64 or kind not in _X86_DISTANCES:
            return 0
        return code.end(at) - at

    def _filled(self, code: Code, at: int, beside: int, kind: int, skipped: set[int]) -> Place | Named | None:
        """Where a field leads that a linker or the assembler filled in. beside: its place in the other code."""
        across = self.again if code is self.original else self.original
        if code.machine == AARCH64:
            if kind not in (_JUMP26, _CALL26) or at + 4 > code.size:
                return None
            (word,) = struct.unpack_from("<I", code.bytes, at)
            (other,) = struct.unpack_from("<I", across.bytes, beside)
            if word >> 26 != other >> 26:
                return None
            skipped.update(range(at, at + 4))
            return self._absolute(code, at + ((word & 0x3FFFFFF) - ((word & 0x2000000) << 1)) * 4)
        size, relative = _X86_FIELDS.get(kind, (4, True))
        if at + size > code.size or (kind not in _X86_FIELDS and kind not in _GOT):
            return None
        if kind in _GOT:
            if code.linked and code.bytes[at - 2] == across.bytes[beside - 2]:  # the table of addresses is still used
                skipped.update(range(at, at + 4))
                distance = int.from_bytes(code.bytes[at : at + 4], "little", signed=True)
                return code.slots.get(code.section.address + code.start + code.end(at) + distance)
            # lea in place of mov is how a linker spares the table of addresses.
            if not code.linked or kind == _GOTPCREL or code.bytes[at - 2] != 0x8D or across.bytes[beside - 2] != 0x8B:
                return None
            skipped.add(at - 2)
        skipped.update(range(at, at + size))
        value = int.from_bytes(code.bytes[at : at + size], "little", signed=relative or kind == _R32S)
        if relative:
            return self._absolute(code, code.end(at) + value)
        return code.at(value) if code.linked else None

    def _absolute(self, code: Code, offset: int) -> Place | Named | None:
        """What lies at an offset from the function's start."""
        if code.linked:
            return code.at(code.section.address + code.start + offset)
        if not 0 <= code.start + offset <= code.section.size:
            return None
        return Place(code.symbol.section, code.start + offset)

    def _same(self, ours: Place | Named, theirs: Place | Named) -> str:
        """Whether both references mean the same; empty when they do."""
        inside = self.again.inside(theirs) if isinstance(theirs, Place) else None
        within = self.original.inside(ours) if isinstance(ours, Place) else None
        if isinstance(theirs, Named) and theirs.name == self.again.name:
            inside = theirs.distance
        if isinstance(ours, Named) and ours.name == self.original.name:
            within = ours.distance
        if inside is not None or within is not None:
            if inside is None or within is None or self.original.index(within) < 0:
                return "a jump to another place"
            return "" if self.original.index(within) == self.again.index(inside) else "a jump to another place"
        name = theirs if isinstance(theirs, Named) else self.again.named(theirs)
        if name is not None:
            return self._same_name(ours, theirs, name)
        assert isinstance(theirs, Place)
        if isinstance(ours, Named):
            return f"a constant in place of {ours.name}"
        problem = "another constant"
        for constant, offset in self.again.constants(theirs):
            problem = self._same_constant(ours, constant, offset)
            if not problem:
                return ""
        return problem

    def _same_name(self, ours: Place | Named, theirs: Place | Named, name: Named) -> str:
        if isinstance(ours, Named):
            known = ours
        else:
            start = Place(ours.section, ours.offset - name.distance)
            known = Named(name.name, name.distance) if name.name in self.original.names_at(start) else (
                self.original.named(ours) or Named("something without a name", 0))
        if known.name != name.name:
            return f"{name.name} in place of {known.name}"
        if known.distance != name.distance:
            return f"another part of {name.name}"
        if isinstance(theirs, Named):
            return ""
        # Defined by the answer: what it says of it has to be true.
        if isinstance(ours, Named):
            return f"{name.name} is defined, which the code does not show"
        for constant, offset in self.again.constants(Place(theirs.section, theirs.offset)):
            if offset == name.distance:
                return self._same_constant(ours, constant, offset)
        return f"{name.name} cannot be compared"

    def _same_constant(self, ours: Place, theirs: _Constant, offset: int) -> str:
        start = Place(ours.section, ours.offset - offset)
        key = (start, theirs.start)
        if key not in self.seen:
            self.seen[key] = ""  # taken as equal where it refers to itself
            self.seen[key] = self._contents(start, theirs)
        return self.seen[key]

    def _contents(self, start: Place, theirs: _Constant) -> str:
        original, again = self.original, self.again
        section, other = original.image.sections[start.section], again.image.sections[theirs.start.section]
        kind = section.flags & (_WRITE | _EXECUTABLE)
        constant = section.name.startswith(_CONSTANTS) or (original.linked and not kind)
        if not (constant and other.name.startswith(_CONSTANTS)) and not (
                original.is_stub(start) and again.is_stub(theirs.start)):
            return "data that is no constant"
        if start.offset < 0 or start.offset + theirs.size > section.size:
            return "another constant"
        known = next((constant for constant, at in original.constants(start) if at == 0 and constant.sized), None)
        length = known.size if known is not None else original.extent(start, section)
        if theirs.sized and length is None:
            return UNENDED
        if theirs.sized and length != theirs.size:
            return f"a constant of {theirs.size} bytes instead of {length}"
        if not theirs.sized and known is not None and known.size < theirs.size:
            return "another constant"
        problem = self._data(start, theirs)
        if not problem:
            self.compared.add(theirs.start)
        return problem

    def _data(self, start: Place, theirs: _Constant) -> str:
        original, again = self.original, self.again
        section, other = original.image.sections[start.section], again.image.sections[theirs.start.section]
        one = section.data[start.offset : start.offset + theirs.size]
        two = other.data[theirs.start.offset : theirs.start.offset + theirs.size]
        refers = again.relocations.get(theirs.start.section, {})
        ours = original.relocations.get(start.section, {})
        skipped: set[int] = set()
        for at in range(theirs.size):
            item, mine = refers.get(theirs.start.offset + at), ours.get(start.offset + at)
            if item is None and mine is None:
                continue
            if item is None or (mine is None and not original.linked) or (mine and mine.kind != item.kind):
                return "another constant"
            width, relative = _data_field(again.machine, item.kind)
            if not width or at + width > len(one):
                return "a constant that cannot be compared"
            # Tables of places count from their start, those of exceptions from each word.
            base = -at if relative and not other.name.startswith(".gcc_except_table") else 0
            where: Place | Named | None
            if mine is not None:
                where = original.target(mine, base)
            else:
                value = int.from_bytes(one[at : at + width], "little", signed=relative)
                where = original.at(section.address + start.offset + value if relative else value)
            if where is None:
                return "a constant that cannot be compared"
            problem = self._same(where, again.target(item, base))
            if problem:
                return f"in a table, {problem}"
            skipped.update(range(at, at + width))
        if any(a != b for at, (a, b) in enumerate(zip(one, two, strict=True)) if at not in skipped):
            return f"another constant: {_shown(two)} in place of {_shown(one)}"
        return ""

    def _tables(self) -> str:
        """Exception tables, which no code refers to."""
        ours, theirs = (
            [(index, section) for index, section in enumerate(code.image.sections)
             if section.name.startswith(".gcc_except_table") and section.size] for code in (self.original, self.again))
        if not theirs and (not ours or self.original.linked or len(self.original.image.functions()) > 1):
            return ""  # code that lands in no handler has no handler's code in it
        if self.original.linked or len(ours) != 1 or len(theirs) != 1:
            return "exception tables that cannot be compared"
        start, size = Place(ours[0][0], 0), theirs[0][1].size
        if ours[0][1].size != size:
            return "other exception tables"
        return self._data(start, _Constant(Place(theirs[0][0], 0), size, sized=True)) and "other exception tables"

    def _rest(self) -> str:
        """Whether every constant of the new code was met."""
        left = {place for place in self.again.data_labels() - self.compared
                if not self.again.image.sections[place.section].name.startswith((".gcc_except_table", ".data.DW.ref"))}
        return "a constant that cannot be compared" if left else ""


def _alike(one: int, other: int) -> bool:
    return one == other or {one, other} == {_PC32, _PLT32}


def _branch(code: bytes) -> tuple[int, int] | None:
    """A direct jump or call: a number for its kind, whatever its length, and the bytes before its distance."""
    if len(code) == 5 and code[0] in (0xE8, 0xE9):
        return code[0], 1
    if len(code) == 2 and code[0] == 0xEB:
        return 0xE9, 1
    if len(code) == 2 and code[0] & 0xF0 == 0x70:
        return code[0], 1
    if len(code) == 6 and code[0] == 0x0F and code[1] & 0xF0 == 0x80:
        return code[1] - 0x10, 2
    return None


def _data_field(machine: int, kind: int) -> tuple[int, bool]:
    if machine == X86_64:
        return _X86_FIELDS.get(kind, (0, False))
    return {_ABS64: (8, False), _PREL32: (4, True), _PREL64: (8, True)}.get(kind, (0, False))


def _shown(data: bytes) -> str:
    return repr(data[:24].decode("latin-1")) if data[:-1].isascii() and data[-1:] == b"\0" else data[:16].hex(" ")
