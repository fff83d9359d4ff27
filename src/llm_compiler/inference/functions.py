"""The functions of an input, assembly or ELF, shown as the training data shows them."""

from __future__ import annotations

import re
import struct
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from llm_compiler.errors import InputError, ToolchainError
from llm_compiler.inference import roundtrip
from llm_compiler.inference.code import AARCH64, X86_64, Code, open_image, symbols_of
from llm_compiler.inference.cutting import cut
from llm_compiler.llvm.module import BITCODE_MAGIC
from llm_compiler.tasks.assembly import compact_assembly, compact_listing
from llm_compiler.tasks.listings import PLACE, dump, find_objdump, link
from llm_compiler.tasks.prompts import DisassemblyPrompt
from llm_compiler.validation.differential.image import Image

_MACHINES = {X86_64: "x86_64", AARCH64: "aarch64"}
_OTHERS = {3: "32-bit x86", 8: "MIPS", 20: "PowerPC", 21: "PowerPC", 22: "s390", 40: "32-bit ARM", 243: "RISC-V"}
_RELOCATABLE, _EXECUTABLE, _SHARED = 1, 2, 3
_FUNCTION, _OBJECT = 2, 1
_LARGEST = 256 << 20
_X86_LINE = re.compile(r"%(?:[re]?(?:[abcd]x|[sd]i|[sb]p)|[abcd]l|rip|r\d+|[xyz]mm\d)\b|^\s+(?:retq|jmpq?|callq)\b|"
                       r"# -- Begin function", re.MULTILINE)
_ARM_LINE = re.compile(r"^\s+[a-z][a-z.0-9]*\s+(?:\[?[xwvqds]\d+\b|\[?sp\b)|^\s+ret\s*$|// -- Begin function",
                       re.MULTILINE)
_STUB = re.compile(r"(?<![\w])(?:0x)?([0-9a-f]+) <([^<>+]+)@plt>")
_CALLS = {X86_64: (4,), AARCH64: (282, 283)}  # relocations that a PLT entry answers
_TABLES = {X86_64: (9, 41, 42), AARCH64: ()}  # those that go through a table of addresses
_INDIRECT_CALL = b"\xff"


@dataclass(frozen=True)
class Elf:
    """An ELF file's bytes and what is read of them."""

    data: bytes = field(repr=False)
    target: str

    @cached_property
    def image(self) -> Image:
        return open_image(self.data)

    @cached_property
    def _starts(self) -> dict[str, list[int]]:
        return {}

    @cached_property
    def _dumps(self) -> dict[str, str]:
        return {}

    def code(self, name: str, stubs: Mapping[int, str]) -> Code:
        """A function's code. Raises InputError for a name that has none."""
        plain = Code(self.data, name)
        if self.target != "x86_64":
            return plain
        section = plain.section.name
        if section not in self._starts:
            self._starts[section] = roundtrip.instruction_starts(self.data, section, self.target)
        return Code(self.data, name, self._starts[section], stubs)

    def dumped(self, section: str) -> str:
        """What a disassembler shows of a section of the file as it stands. Raises CompileError."""
        if section not in self._dumps:
            self._dumps[section] = roundtrip.dumped(self.data, section, self.target)
        return self._dumps[section]


@dataclass(frozen=True)
class Function:
    """A function to be disassembled. shown: its assembly by itself, or its listing in a linked file.

    elf: the file that it stands in; None for a function of an assembly file.
    """

    name: str
    target: str
    shown: str
    elf: Elf | None = None

    @property
    def listing(self) -> bool:
        return self.elf is not None

    def prompt(self, *, compact: bool) -> DisassemblyPrompt:
        """What a model is asked, the code in the form of its prompts."""
        text = self.shown
        if compact:
            text = compact_listing(text) if self.listing else compact_assembly(text)
        return DisassemblyPrompt(text, self.target, self.listing)

    def code(self) -> Code:
        """The code itself. Raises LlmcError when it cannot be assembled or read."""
        if self.elf is None:
            return roundtrip.code_of(self.shown, self.name, self.target)
        return self.elf.code(self.name, {int(at, 16): name for at, name in _STUB.findall(self.shown)})


def read_functions(path: Path, wanted: Collection[str] = ()) -> list[Function]:
    """The functions of an assembly file, an object or a linked ELF file, in its order; only those `wanted`, if any.

    Raises InputError for another file, one without functions, and a name that it lacks.
    """
    data = _read(path)
    found = _of_elf(path, data) if data[:4] == b"\x7fELF" else _of_assembly(path, data)
    if not wanted:
        return found
    known = {function.name for function in found}
    missing = [name for name in wanted if name not in known]
    if missing:
        some = ", ".join(sorted(known)[:8]) + (", …" if len(known) > 8 else "")
        raise InputError(f"{path} has no function {missing[0]}; it has {some}")
    return [function for function in found if function.name in wanted]


def _read(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise InputError(f"{path} is a directory; name an assembly file, an object or a program")
        if path.stat().st_size > _LARGEST:
            raise InputError(f"{path} has more than {_LARGEST >> 20} MB")
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    if not data:
        raise InputError(f"{path} is empty")
    if data[:4] in BITCODE_MAGIC:
        raise InputError(f"{path} is LLVM bitcode: there is nothing to disassemble")
    if data[:8] == b"!<arch>\n":
        raise InputError(f"{path} is an archive; take its objects out first: ar x {path.name}")
    return data


# --- assembly --------------------------------------------------------------------------------------------------------


def _of_assembly(path: Path, data: bytes) -> list[Function]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = ""
    if not text or "\0" in text:
        raise InputError(f"{path} is neither an ELF file nor assembly in UTF-8")
    target = _target_of(path, text)
    found = [Function(name, target, shown) for name, shown in cut(text).items()]
    if not found:
        raise InputError(f"{path} holds no function")
    return found


def _target_of(path: Path, text: str) -> str:
    if re.search(r"^define .*\{$", text, re.MULTILINE) and "target triple" in text:
        raise InputError(f"{path} is LLVM-IR: there is nothing to disassemble")
    if re.search(r"^\s*\.intel_syntax", text, re.MULTILINE):
        raise InputError(f"{path} is in Intel's syntax; give it as clang prints it by default, or as an object")
    if _X86_LINE.search(text):
        return "x86_64"
    if _ARM_LINE.search(text):
        return "aarch64"
    raise InputError(f"{path} is assembly neither of x86-64 nor of AArch64")


# --- ELF -------------------------------------------------------------------------------------------------------------


def _of_elf(path: Path, data: bytes) -> list[Function]:
    try:
        kind, machine = struct.unpack_from("<HH", data, 16)
    except struct.error as error:
        raise InputError(f"{path}: the ELF file is truncated") from error
    if data[4:6] != b"\2\1" or machine not in _MACHINES:
        name = _OTHERS.get(machine) if data[5:6] == b"\1" else None
        raise InputError(f"{path} is for {name or 'another machine'}; functions of x86-64 and AArch64 can be read")
    if kind not in (_RELOCATABLE, _EXECUTABLE, _SHARED):
        raise InputError(f"{path} is an ELF file without code, such as a core dump")
    target = _MACHINES[machine]
    elf = Elf(data, target)
    try:
        image = elf.image
        symbols = symbols_of(image)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    functions = {symbol.name for symbol in symbols if symbol.kind == _FUNCTION and symbol.section}
    if not functions:
        raise InputError(f"{path} names no functions: it is stripped, or holds no code")
    if find_objdump(target, required=False) is None:
        raise ToolchainError(f"no llvm-objdump for {target} was found: set LLMC_OBJDUMP to one that knows it")
    known = {symbol.name: symbol.size for symbol in symbols if symbol.kind in (_FUNCTION, _OBJECT) and symbol.section}
    linked: bytes | None = data
    if kind == _RELOCATABLE:
        elsewhere = _elsewhere(image, machine)
        linked, known = link([data], target, elsewhere), {**known, **dict.fromkeys(elsewhere, PLACE)}
    shown = dump(linked, target, known) if linked is not None else {}
    found = [Function(name, target, text, elf) for name, text in shown.items() if name in functions]
    if not found:
        raise InputError(f"{path} has no functions in .text that could be disassembled")
    return found


def _elsewhere(image: Image, machine: int) -> Sequence[str]:
    """What an object uses without defining it, and no PLT stands in for."""
    found: dict[str, None] = {}
    for index, items in image.relocations.items():
        section = image.sections[index]
        if not section.flags & 4:  # SHF_EXECINSTR
            continue
        for item in items:
            symbol = image.symbols[item.symbol]
            if symbol.section or not symbol.name or item.kind in _CALLS[machine]:
                continue
            if item.kind in _TABLES[machine] and section.data[item.offset - 2 : item.offset - 1] == _INDIRECT_CALL:
                continue
            found[symbol.name] = None
    return list(found)
