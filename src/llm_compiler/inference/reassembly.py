"""Functions of objects and linked files as assembly that stands by itself, which is what the rules of `lifting` read.

Bytes and relocations are the file's: jumps get labels, references their names, constants their contents.
"""

from __future__ import annotations

import re

from llm_compiler.inference.code import Code, Named, Place
from llm_compiler.inference.functions import Function
from llm_compiler.inference.references import WIDTHS, References, quoted
from llm_compiler.lifting import LiftError

_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$")
_COMMENT = re.compile(r"\s+# .*$")
_HEX = re.compile(r"(?<![\w.$%])(-?)0x([0-9a-f]+)\b|\$(-?)0x([0-9a-f]+)\b")
_RIP = re.compile(r"-?(?:\d+)?\(%rip\)")
_BRANCH = re.compile(r"^((?:[a-z]+ )*?(?:j[a-z]+|callq?)) (?:0x)?([0-9a-f]+) <[^>]*>$")
_ABSOLUTE = re.compile(r"(?<=[ :])-?\d+(?=\(|$|, %)|(?<=[ ,:])(?=\(,?%)")
_IMMEDIATE = re.compile(r"\$-?\d+")
_PADDING = ("nop", "int3", "data16", "cs nop", "xchgw %ax, %ax")
_HANDLERS = ("_Unwind_Resume", "__cxa_begin_catch", "__cxa_end_catch")
_R64, _PC32, _PLT32, _R32, _R32S, _GOTTPOFF, _TPOFF32 = 1, 2, 4, 10, 11, 22, 23
_GOT = (9, 41, 42)
_BY_CALL = (19, 20, 21)  # TLSGD, TLSLD, DTPOFF32


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
    width = WIDTHS.get(name[-1:], 64)

    def signed(match: re.Match[str]) -> str:
        value = int(match[0][1:]) & ((1 << width) - 1)
        return f"${value - (1 << width) if value >> (width - 1) else value}"

    return _IMMEDIATE.sub(signed, line)


class _Translation:
    """One function. table: addresses of exported symbols are loaded from a table of addresses."""

    def __init__(self, function: Function, code: Code, *, table: bool) -> None:
        assert function.elf is not None
        self._code = code
        self._base = code.start + (code.section.address if code.linked else 0)
        shown = function.shown if code.linked else function.elf.dumped(code.section.name)
        lines = [(int(match[1], 16), match[2]) for match in map(_LINE.match, shown.splitlines()) if match]
        self._lines = [(at - self._base, re.sub(r"\s+", " ", _COMMENT.sub("", text)).strip())
                       for at, text in lines if self._base <= at < self._base + code.size]
        switches = any(re.search(r"\bjmpq? \*", text) for _, text in self._lines)
        self._refers = References(code, {at for at, _ in self._lines}, table=table, switches=switches)
        self._direct = {code.image.symbols[item.symbol].name for item in code.own.values()
                        if item.kind in (_PC32, _R32, _R32S)}

    @property
    def doubtful(self) -> bool:
        """Whether an address of an exported symbol may have come from a table."""
        return self._refers.doubtful

    def text(self) -> str:
        if not self._lines or self._lines[0][0]:
            raise LiftError("code that cannot be disassembled")
        while self._lines and self._lines[-1][1].startswith(_PADDING) and not self._code.symbol.size:
            self._lines.pop()
        body = [(at, "" if text.startswith(_PADDING) else self._instruction(at, text)) for at, text in self._lines]
        name = quoted(self._code.name)
        out = ["\t.text", '\t.file\t"input"']
        constants = list(self._refers.constants.values())
        for constant in constants:
            if constant.label.startswith(".LCPI"):
                out += self._refers.data(constant)
        out += ["\t.text"] + ([] if self._code.symbol.local else [f"\t.globl\t{name}"])
        out += [f"\t.type\t{name},@function", f"{name}:"]
        frames = any(section.name == ".eh_frame" for section in self._code.image.sections)
        if frames:
            out.append("\t.cfi_startproc")
        labels = {at: f".LBB0_{number}" for number, at in enumerate(sorted(self._refers.targets - {0}), 1)} | (
            {0: name} if 0 in self._refers.targets else {})
        padding: int | None = None
        for at, text in body:
            if padding is not None and text:
                out += _aligned(padding, at)
            padding = None if text else at if padding is None else padding
            if at in labels and at:
                out.append(f"{labels[at]}:")
            if text:
                out.append("\t" + text)
        out += [".Lfunc_end0:", f"\t.size\t{name}, .Lfunc_end0-{name}"] + (["\t.cfi_endproc"] if frames else [])
        for constant in constants:
            if not constant.label.startswith(".LCPI"):
                out += self._refers.data(constant)
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
                where = self._refers.at(int(branch[2], 16))
            return f"{branch[1]}\t{self._leads(where)}"
        text = plain_numbers(_HEX.sub(_decimal, text))
        for place, item in fields:
            text = self._filled(text, place, end, item.kind, self._code.target(
                item, end - place if item.kind in (_PC32, _PLT32, *_GOT, _GOTTPOFF) else 0))
        relative = _RIP.search(text)
        if relative and not fields:
            address = self._base + end + int(relative[0].removesuffix("(%rip)") or "0")
            text = _RIP.sub(lambda _: f"{self._refers.found(text, address)}(%rip)", text, count=1)
            if "@GOT" in text:
                text = text.replace("leaq ", "movq ", 1)
        name, _, rest = text.partition(" ")
        return f"{name}\t{rest}" if rest else name

    def _filled(self, text: str, place: int, end: int, kind: int, where: Place | Named) -> str:
        """An instruction with what a relocation puts into it."""
        if kind in _BY_CALL:
            raise LiftError("it asks a call for the place of thread-local data")
        if kind in (*_GOT, _GOTTPOFF, _TPOFF32):
            name = where.name if isinstance(where, Named) else self._refers.name_of(where)
            word = "GOTTPOFF" if kind == _GOTTPOFF else "TPOFF" if kind == _TPOFF32 else "GOTPCREL"
            distance = where.distance if isinstance(where, Named) else 0
            symbol = f"{quoted(name)}@{word}{f'{distance:+d}' if distance and kind == _TPOFF32 else ''}"
            return _RIP.sub(f"{symbol}(%rip)", text, count=1) if kind != _TPOFF32 else _ABSOLUTE.sub(
                symbol, text, count=1)
        if kind in (_PC32, _PLT32):
            return _RIP.sub(lambda _: f"{self._refers.reference(where, text)}(%rip)", text, count=1)
        if kind not in (_R32, _R32S, _R64):
            raise LiftError(f"a relocation of the kind {kind}")
        name = self._refers.reference(where, text)
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
            return quoted(where.name) + ("@PLT" if where.name not in self._direct else "")
        inside = self._code.inside(where)
        if inside is not None:
            return self._refers.label(inside)
        names = self._refers.at_start(where)
        if not names:
            raise LiftError("a jump to code without a name")
        return quoted(names)


def _aligned(start: int, end: int) -> list[str]:
    """What fills a gap before an aligned place, in a function that is aligned itself."""
    power = next((power for power in range(1, 7) if -(-start >> power) << power == end), 0)
    return [f"\t.p2align\t{power}, 0x90"] if power else []


def _decimal(match: re.Match[str]) -> str:
    if match[2] is not None:
        return f"{match[1]}{int(match[2], 16)}"
    return f"${match[3]}{int(match[4], 16)}"
