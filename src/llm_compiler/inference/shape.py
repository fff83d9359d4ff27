"""What can be read off x86-64 assembly: how a function passes things on, which numbers it knows, how it widens values.

Two codes that differ in it may still do the same. But runs that show no difference are then too little to say so.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from llm_compiler.tasks.assembly import compact_assembly

_CALL = re.compile(r"(?:callq?|jmpq?) (\*?)([^\s,]+)$")
_IMMEDIATE = re.compile(r"\$(-?(?:0x[0-9a-f]+|\d+))\b")
_DATA = re.compile(r"\.(?:long|quad|short|byte|word) (-?(?:0x[0-9a-f]+|\d+))$")
_REGISTER = re.compile(r"%(\w+)$")
_FAMILIES = {
    "di": ("rdi", "edi", "di", "dil"), "si": ("rsi", "esi", "si", "sil"), "dx": ("rdx", "edx", "dx", "dl", "dh"),
    "cx": ("rcx", "ecx", "cx", "cl", "ch"), "8": ("r8", "r8d", "r8w", "r8b"), "9": ("r9", "r9d", "r9w", "r9b"),
}
_FAMILY = {name: family for family, names in _FAMILIES.items() for name in names} | {
    f"{kind}mm{number}": f"v{number}" for kind in "xyz" for number in range(8)}
_EXTENSION = re.compile(r"(mov[sz][bwl]|cltq|cwtl|cbtw|cqto|cltd)")
_STACK = re.compile(r"(?:sub|add|and)q \$-?\d+, %rsp$")
_DATA_WORDS = (".byte", ".short", ".long", ".quad", ".asci", ".zero", ".uleb", ".sleb", ".string")
_LABEL = re.compile(r"(?<![\w.$])\.L[\w.$]+")
_READS_ONLY = ("cmp", "test", "push", "ucomis", "comis", "bt")
_CONSTANTS = 96


@dataclass(frozen=True)
class Shape:
    """calls: callees with the registers of arguments that are set in the block before a call; `*` for indirect ones.
    results: registers of a second result that are set before a return. numbers: immediate ones but 0, with how often;
    widened: extensions of signs and zeros, by their sizes, with how often; data: lines of constants, jump tables aside.
    """

    calls: frozenset[tuple[str, frozenset[str]]]
    results: frozenset[str]
    numbers: frozenset[tuple[int, int]]
    widened: frozenset[tuple[str, int]]
    data: frozenset[tuple[str, int]]

    def unlike(self, other: Shape) -> str:
        """In what way another one differs that running might not show; empty when in none."""
        if self.calls != other.calls:
            callee = min(callee for callee, _ in self.calls ^ other.calls)
            return f"the arguments of {'an indirect call' if callee == '*' else callee} may differ"
        if self.results != other.results:
            return "a second result may differ"
        if self.numbers != other.numbers:
            number = min(value for value, _ in self.numbers ^ other.numbers)
            return f"only one of them holds the number {number} so often"
        if self.data != other.data:
            return "their constants differ"
        return "they widen values in other ways" if self.widened != other.widened else ""


def shape(text: str) -> Shape:
    """Of assembly of one function, as clang prints it."""
    calls: set[tuple[str, frozenset[str]]] = set()
    results: set[str] = set()
    written: set[str] = set()
    numbers: Counter[int] = Counter()
    data: Counter[str] = Counter()
    widened: Counter[str] = Counter()
    for line in compact_assembly(text).splitlines():
        if line.endswith(":") or line.startswith("."):
            written = set()
            if line.startswith(_DATA_WORDS) and ".LBB" not in line:
                data[_LABEL.sub(".L", line)] += 1
            continue
        if not _STACK.match(line):
            numbers.update(value for value in (int(text, 0) for text in _IMMEDIATE.findall(line)) if value)
        extension = _EXTENSION.match(line)
        if extension:
            widened[extension[1]] += 1
        call = _CALL.match(line)
        if call and not call[2].startswith(".L"):
            calls.add(("*" if call[1] else call[2].removesuffix("@PLT"), frozenset(written)))
            written = set()
        elif line.startswith("ret"):
            results |= written & {"dx", "v1"}
            written = set()
        else:
            register = _REGISTER.search(line)
            if register and register[1] in _FAMILY and not line.startswith(_READS_ONLY):
                written.add(_FAMILY[register[1]])
    return Shape(frozenset(calls), frozenset(results), frozenset(numbers.items()), frozenset(widened.items()),
                 frozenset(data.items()))


def constants(text: str) -> tuple[int, ...]:
    """Numbers in the code and its tables, and their neighbours, to be tried as inputs."""
    found: dict[int, None] = {}
    for line in compact_assembly(text).splitlines():
        for number in (*_IMMEDIATE.findall(line), *_DATA.findall(line)):
            value = int(number, 0)
            if value >= 1 << 63:
                value -= 1 << 64
            if -(1 << 63) < value < (1 << 63) - 1:
                found |= dict.fromkeys((value, value + 1, value - 1))
    return tuple(found)[:_CONSTANTS]
