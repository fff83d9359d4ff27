"""Small changes to one instruction of IR text, each of which means something else.

Works on text, so that all but the changed instruction stays as it is. Not every change parses: LLVM says which.
"""

from __future__ import annotations

import itertools
import random
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What was changed.

    constant: an operand that is a number becomes one more, one less or its negative (a real: also twice itself).
    predicate: a comparison becomes its opposite, takes or leaves out equality, or takes the other sign (not for sizes
    of memory and for addresses: it would take 2^63 bytes to tell).
    operand order: operands of what does not commute change places, as do neighbouring arguments of one type (not where
    `unordered` proves that it means the same).
    dropped store: nothing is stored.
    swapped branch: the two targets, or neighbouring targets of a switch, change places.
    off-by-one GEP: an index one more or less, an element further, a neighbouring field of the same type.
    wrong width: a load or store of fewer bytes; a result cut to i8 or i16 and widened; zext for sext and the reverse,
    of i8, i16 and i32. Sizes of memory keep their low 32 bits: it would take 4 GiB to tell.
    dropped call: the call goes, its result is 0. Not for calls that only hint.
    """

    CONSTANT = "constant"
    PREDICATE = "predicate"
    ORDER = "operand order"
    STORE = "dropped store"
    BRANCH = "swapped branch"
    INDEX = "off-by-one GEP"
    WIDTH = "wrong width"
    CALL = "dropped call"


# --- reading IR text ---

_NAME = r'(?:[\w.$-]+|"[^"]*")'
_DEFINE = re.compile(rf"define .*?@({_NAME})\(")
_LABEL = re.compile(rf"({_NAME}):(?: |$)")
_INSTRUCTION = re.compile(rf"  (?:(%{_NAME}) = )?(?:(tail|musttail|notail) )?(\w+) ?(.*?)((?:, ![\w.]+ !\w+)*)",
                          re.DOTALL)
_CALLEE = re.compile(rf"(?:^| )[@%]{_NAME}\(")
_COUNTER = re.compile(r"store i8 .*@__sancov_gen_[.\d]*(?:, i64 0, i64 (\d+)\)| to i64\), i64 (\d+)\) to ptr\))?")
_OPEN, _CLOSE = "([{<", ")]}>"


@dataclass(frozen=True)
class Instruction:
    """One instruction: its function, the number of its block there, its first line (from 0) and its text; label: of the
    block, empty for the first.
    """

    function: str
    block: int
    line: int
    text: str
    label: str = ""


def instructions(text: str) -> Iterator[Instruction]:
    """Every instruction of a module's text, in order."""
    function, block, label, started = "", 0, "", False
    lines = text.split("\n")
    number = 0
    while number < len(lines):
        line = lines[number]
        if not function:
            found = _DEFINE.match(line)
            if found and line.endswith("{"):
                function, block, label, started = found[1].strip('"'), 0, "", False
        elif line == "}":
            function = ""
        elif line.startswith("  "):
            end = number + 1
            while end < len(lines) and (lines[end].startswith("   ") or lines[end].startswith("  ]")):
                end += 1
            yield Instruction(function, block, number, "\n".join(lines[number:end]), label)
            started = True
            number = end
            continue
        elif (named := _LABEL.match(line)) and started:
            block, label = block + 1, named[1]
        number += 1


def counters_of(instrumented: str) -> dict[str, dict[int, int]]:
    """Which counter counts each block, by function, in the text of a module after `sancov-module`."""
    found: dict[str, dict[int, int]] = {}
    for item in instructions(instrumented):
        match = _COUNTER.search(item.text)
        if match:
            found.setdefault(item.function, {})[item.block] = int(match[1] or match[2] or 0)
    return found


def named_types(text: str) -> dict[str, str]:
    """Bodies of the named types."""
    return dict(re.findall(rf"^(%{_NAME}) = type (.*)$", text, re.MULTILINE))


def _split(text: str) -> list[str]:
    """The parts between the commas outside of brackets."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, letter in enumerate(text):
        if letter == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif letter in _OPEN:
            depth += 1
        elif letter in _CLOSE:
            depth -= 1
        elif letter == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    return [*parts, text[start:].strip()] if text.strip() else []


def _last(text: str) -> tuple[str, str]:
    """What stands before the last word outside of brackets, and that word."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] in _CLOSE) - (text[at] in _OPEN)
        if text[at] == " " and depth == 0:
            return text[:at], text[at + 1 :]
    return "", text


def _first(text: str) -> str:
    """The first word outside of brackets."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if letter == " " and depth == 0:
            return text[:at]
    return text


@dataclass(frozen=True)
class Parts:
    """An instruction taken apart. rest: between the opcode and the metadata; sizes, either: the function's `sizes_of`
    and `unordered`.
    """

    result: str
    opcode: str
    before: str
    rest: str
    after: str
    types: Mapping[str, str]
    sizes: frozenset[str] = frozenset()
    either: frozenset[str] = frozenset()

    def with_rest(self, rest: str) -> str:
        return f"{self.before}{rest}{self.after}"

    def named(self, result: str) -> str:
        """The text with another result."""
        return self.with_rest(self.rest).replace(f"  {self.result} = ", f"  {result} = ", 1)


def take_apart(text: str, types: Mapping[str, str], sizes: frozenset[str] = frozenset(),
               either: frozenset[str] = frozenset()) -> Parts | None:
    found = _INSTRUCTION.fullmatch(text)
    if found is None or found[2] == "musttail":
        return None
    return Parts(found[1] or "", found[3], text[: found.start(4)], found[4], found[5], types, sizes, either)


# --- changes ---

_DIRECTED = frozenset({"sub", "udiv", "sdiv", "urem", "srem", "shl", "lshr", "ashr", "fsub", "fdiv", "frem"})
_BINARY = _DIRECTED | {"add", "mul", "and", "or", "xor", "fadd", "fmul"}
_SYMMETRIC = frozenset({"eq", "ne", "oeq", "one", "ueq", "une", "ord", "uno", "true", "false"})
_COMMUTATIVE = re.compile(r"@calloc\b|@llvm\.(?:[us](?:min|max|add|mul)|min|max|fma\.|fmuladd)")
_PREDICATES = {
    "icmp": {"eq": ("ne",), "ne": ("eq",), "slt": ("sge", "sle", "ult"), "sle": ("sgt", "slt", "ule"),
             "sgt": ("sle", "sge", "ugt"), "sge": ("slt", "sgt", "uge"), "ult": ("uge", "ule", "slt"),
             "ule": ("ugt", "ult", "sle"), "ugt": ("ule", "uge", "sgt"), "uge": ("ult", "ugt", "sge")},
    "fcmp": {"oeq": ("une", "ueq"), "une": ("oeq", "one"), "one": ("ueq", "une"), "ueq": ("one", "oeq"),
             "olt": ("uge", "ole", "ult"), "ole": ("ugt", "olt", "ule"), "ogt": ("ule", "oge", "ugt"),
             "oge": ("ult", "ogt", "uge"), "ult": ("oge", "ule", "olt"), "ule": ("ogt", "ult", "ole"),
             "ugt": ("ole", "uge", "ogt"), "uge": ("olt", "ugt", "oge"), "ord": ("uno",), "uno": ("ord",)},
}
_COMPUTES = _BINARY - {"xor"} | {"select", "phi", "icmp", "freeze"}
_MEASURES = re.compile(r"@(?:llvm\.)?(?:mem|str|wcs|wmem|bcmp|bcopy|bzero|read|write|fread|fwrite|_Zn[aw]m|\w*alloc)")
_OTHER_SIGN = {f"{one}{rest}": f"{other}{rest}" for one, other in ("su", "us") for rest in ("lt", "le", "gt", "ge")}
# Calls that mean nothing to what is computed, or that the verifier wants in pairs.
_HINTS = ("@llvm.lifetime", "@llvm.assume", "@llvm.experimental", "@llvm.dbg", "@llvm.prefetch", "@llvm.va_",
          "@llvm.stack", "@llvm.invariant", "@llvm.donothing", "@llvm.sideeffect", "@llvm.pseudoprobe")


def other_constants(kind: str, value: str) -> list[str]:
    """Neighbours of a constant: one more, one less, negated; none for what is no plain number."""
    if kind == "i1":
        return {"true": ["false"], "false": ["true"]}.get(value, [])
    if kind in ("float", "double"):
        number = _real(value)
        if number is None:
            return []
        changed = [_spell(kind, item) for item in (number + 1, -number if number else 2.0, 2 * number)]
        return [text for text in dict.fromkeys(changed) if text != _spell(kind, number)]
    if not re.fullmatch(r"i\d+", kind) or not re.fullmatch(r"-?\d+", value):
        return []
    bits, number_ = int(kind[1:]), int(value)
    near = [_wrap(item, bits) for item in (number_ + 1, number_ - 1, -number_)]
    return [str(item) for item in dict.fromkeys(near) if item != _wrap(number_, bits)]


def _wrap(number: int, bits: int) -> int:
    number &= (1 << bits) - 1
    return number - (1 << bits) if number >> (bits - 1) else number


def _real(value: str) -> float | None:
    if re.fullmatch(r"0x[0-9A-Fa-f]{16}", value):
        number: float = struct.unpack(">d", bytes.fromhex(value[2:]))[0]
        return number if abs(number) < 1e30 else None
    return float(value) if re.fullmatch(r"-?\d+\.\d+e[+-]\d+", value) else None


def _spell(kind: str, number: float) -> str:
    # LLVM spells a float as the double of the same value.
    exact = struct.unpack("<f", struct.pack("<f", number))[0] if kind == "float" else number
    return f"0x{struct.pack('>d', exact).hex().upper()}"


def _arguments(parts: Parts) -> tuple[str, list[str], str] | None:
    """A call's text before its arguments, these, and the text after them; None for calls that only hint."""
    found = _CALLEE.search(parts.rest)
    if parts.opcode != "call" or found is None or any(name in found[0] for name in _HINTS):
        return None
    start = found.end()
    depth = 1
    for at in range(start, len(parts.rest)):
        depth += (parts.rest[at] == "(") - (parts.rest[at] == ")")
        if depth == 0:
            return parts.rest[:start], _split(parts.rest[start:at]), parts.rest[at:]
    return None


def constant(parts: Parts) -> Iterator[str]:
    opcode, rest = parts.opcode, parts.rest
    items = _split(rest)
    if opcode in _BINARY or opcode in _PREDICATES:
        head, first = _last(items[0])
        kind = _last(head)[1]
        for value in other_constants(kind, first):
            yield parts.with_rest(f"{head} {value}, {items[1]}")
        for value in other_constants(kind, items[1]):
            if opcode in ("shl", "lshr", "ashr") and not 0 <= int(value) < int(kind.removeprefix("i")):
                continue  # poison: no version of it is wrong
            yield parts.with_rest(f"{items[0]}, {value}")
    elif opcode in ("select", "store", "ret"):
        for at, item in enumerate(items):
            head, value = _last(item)
            if (opcode == "store" and at) or (opcode == "select" and not at):
                continue
            for other in other_constants(_last(head)[1], value):
                yield parts.with_rest(", ".join([*items[:at], f"{head} {other}", *items[at + 1 :]]))
    elif opcode == "phi":
        for match in re.finditer(r"\[ (\S+), ", rest):
            for other in other_constants(_first(rest), match[1]):
                yield parts.with_rest(rest[: match.start(1)] + other + rest[match.end(1) :])
    elif opcode == "switch":
        for match in re.finditer(r"\n    (i\d+) (-?\d+), label", rest):
            for other in other_constants(match[1], match[2]):
                yield parts.with_rest(rest[: match.start(2)] + other + rest[match.end(2) :])
    elif (call := _arguments(parts)) is not None:
        for at, item in enumerate(call[1]):
            if item.startswith("i1 ") and "@llvm." in call[0]:  # volatile or not, and the like
                continue
            head, value = _last(item)
            for other in other_constants(_first(item), value):
                yield _called(parts, call, [*call[1][:at], f"{head} {other}", *call[1][at + 1 :]])


def _called(parts: Parts, call: tuple[str, list[str], str], arguments: Sequence[str]) -> str:
    return parts.with_rest(f"{call[0]}{', '.join(arguments)}{call[2]}")


def predicate(parts: Parts) -> Iterator[str]:
    words = parts.rest.split(" ")
    for at, word in enumerate(words[:8]):  # flags stand first
        others = _PREDICATES.get(parts.opcode, {}).get(word)
        if others:
            wide = parts.opcode == "icmp" and (words[at + 1] == "ptr" or bool(
                parts.sizes & set(re.findall(rf"%{_NAME}", parts.rest))))
            for other in others:
                if not (wide and other == _OTHER_SIGN.get(word)):
                    yield parts.with_rest(" ".join([*words[:at], other, *words[at + 1 :]]))
            return


_EQUAL = re.compile(r"@(?:bcmp|memcmp|strcmp|strncmp|strcasecmp|strncasecmp)\b")
_BLOCKS = re.compile(r"@f(?:write|read)(?:_unlocked)?\b")


def unordered(items: Iterable[Instruction]) -> frozenset[str]:
    """Results of a function's instructions that are the same, or used as if they were, when operands change places.

    Of memcmp and its like, the first two: where the result is only compared with 0, for equality, which is symmetric.
    Of fwrite and fread, size and count: where the result is not used; so many bytes are their product (C17, 7.21.8).
    Of fsub: where the difference is only multiplied by itself; x - y is -(y - x), but for the sign of a zero result,
    which is positive either way, and a square has no sign.
    """
    texts: dict[str, Parts] = {}
    uses: dict[str, list[Parts]] = {}
    for item in items:
        parts = take_apart(item.text, {})
        if parts is None:  # whatever it does, it does with more than is known here
            for name in re.findall(rf"%{_NAME}", item.text):
                uses.setdefault(name, []).append(Parts("", "", "", "", "", {}))
            continue
        if parts.result:
            texts[parts.result] = parts
        for name in set(re.findall(rf"%{_NAME}", f"{parts.rest}{parts.after}")):
            uses.setdefault(name, []).append(parts)
    return frozenset(name for name, parts in texts.items() if _either(name, parts, uses.get(name, [])))


def _either(name: str, parts: Parts, uses: Sequence[Parts]) -> bool:
    call = _arguments(parts)
    if call is not None and _EQUAL.search(call[0]):
        return all(use.opcode == "icmp" and use.rest in (f"eq i32 {name}, 0", f"ne i32 {name}, 0") for use in uses)
    if call is not None and _BLOCKS.search(call[0]):
        return not uses
    if parts.opcode == "fsub":
        kind = _last(_last(_split(parts.rest)[0])[0])[1]
        twice = f"{kind} {name}, {kind} {name}, "
        return all(
            (use.opcode == "fmul" and use.rest.endswith(f"{kind} {name}, {name}"))
            or (use.opcode == "call" and "@llvm.fmuladd." in use.rest and f"({twice}" in use.rest
                and use.rest.count(name) == 2)
            for use in uses)
    return False


def order(parts: Parts) -> Iterator[str]:
    if parts.result and parts.result in parts.either:
        return
    items = _split(parts.rest)
    directed = parts.opcode in _DIRECTED or (
        parts.opcode in _PREDICATES and not _SYMMETRIC & set(items[0].split(" ")))
    if directed:
        head, first = _last(items[0])
        if first != items[1]:
            yield parts.with_rest(f"{head} {items[1]}, {first}")
    elif parts.opcode == "select":
        if items[1] != items[2]:
            yield parts.with_rest(f"{items[0]}, {items[2]}, {items[1]}")
    elif (call := _arguments(parts)) is not None and not _COMMUTATIVE.search(call[0]):
        arguments = call[1]
        for at, (one, other) in enumerate(itertools.pairwise(arguments)):
            fixed = "byval" in one + other or "sret" in one + other
            if _first(one) == _first(other) and _last(one)[1] != _last(other)[1] and not fixed:
                yield _called(parts, call, [*arguments[:at], other, one, *arguments[at + 2 :]])


def dropped_store(parts: Parts) -> Iterator[str]:
    if parts.opcode == "store":
        yield ""


def branch(parts: Parts) -> Iterator[str]:
    items = _split(parts.rest)
    if parts.opcode == "br" and len(items) == 3 and items[1] != items[2]:
        yield parts.with_rest(f"{items[0]}, {items[2]}, {items[1]}")
    elif parts.opcode == "switch":
        labels = list(re.finditer(rf"label %{_NAME}", parts.rest))
        text = parts.rest
        for one, other in itertools.pairwise(labels):
            if one[0] != other[0]:
                between = text[one.end() : other.start()]
                yield parts.with_rest(text[: one.start()] + other[0] + between + one[0] + text[other.end() :])


def index(parts: Parts) -> Iterator[str]:
    if parts.opcode != "getelementptr":
        return
    items = _split(parts.rest)
    kind = items[0].removeprefix("inbounds ")
    if len(items) == 3 and re.fullmatch(r"i\d+ %.*", items[2]):
        # Not `inbounds`: the address between may be outside.
        yield (f"  %mutant.base = getelementptr {kind}, {items[1]}, i64 1\n"
               f"  {parts.result} = getelementptr {kind}, ptr %mutant.base, {items[2]}{parts.after}")
    for at in range(2, len(items)):
        size, value = _last(items[at])
        body = parts.types.get(kind, kind)
        fields = _split(body.strip("<>{} ")) if at > 2 and body.endswith(("}", "}>")) else []
        if not re.fullmatch(r"-?\d+", value):
            others = []
        elif fields:
            others = [near for near in (int(value) + 1, int(value) - 1)
                      if 0 <= int(value) < len(fields) and 0 <= near < len(fields)
                      and fields[near] == fields[int(value)]]
        else:
            others = [int(value) + 1, int(value) - 1] if at > 2 or len(items) == 3 else []
        for other in others:
            yield parts.with_rest(", ".join([*items[:at], f"{size} {other}", *items[at + 1 :]]))
        if at > 2:
            if fields:
                if not value.isdigit():
                    return
                if int(value) >= len(fields):
                    return
                kind = fields[int(value)]
            else:
                element = re.fullmatch(r"[\[<]\d+ x (.*)[\]>]", body)
                if element is None:
                    return
                kind = element[1]


def sizes_of(items: Iterable[Instruction]) -> frozenset[str]:
    """Values of 64 bits in a function that index or measure memory, and those computed from or compared with them."""
    sizes: set[str] = set()
    linked: list[set[str]] = []
    for item in items:
        parts = take_apart(item.text, {})
        if parts is None:
            continue
        call = _arguments(parts)
        if parts.opcode == "ptrtoint":
            sizes.add(parts.result)
        elif parts.opcode in ("getelementptr", "inttoptr"):
            sizes |= _wide(parts.rest)
        elif call is not None:
            names = _wide(", ".join(call[1]))
            if re.search(r"(?:^| )i64 (?:\([^@]*\) )?@", call[0]):
                names.add(parts.result)
            if _MEASURES.search(call[0]):
                sizes |= names
            elif "@llvm." in call[0]:
                linked.append(names)
        elif parts.opcode in _COMPUTES and re.search(r"\bi64\b", parts.rest):
            if parts.opcode == "phi":
                names = set(re.findall(rf"\[ (%{_NAME}),", parts.rest))
            elif parts.opcode == "select":
                names = _wide(parts.rest)
            else:
                names = set(re.findall(rf"%{_NAME}", parts.rest))
            linked.append(names if parts.opcode == "icmp" else {*names, parts.result})
    grown = True
    while grown:
        before = len(sizes)
        for names in linked:
            if names & sizes:
                sizes |= names
        grown = len(sizes) > before
    return frozenset(sizes)


def _wide(text: str) -> set[str]:
    """Values that are spelled with their type, i64; attributes may stand between."""
    return set(re.findall(rf"\bi64 (?:\w+ )*(%{_NAME})", text))


def width(parts: Parts) -> Iterator[str]:
    opcode, items = parts.opcode, _split(parts.rest)
    if opcode in ("zext", "sext"):
        kind = _first(parts.rest)
        if kind in ("i8", "i16") or (kind == "i32" and not (opcode == "zext" and parts.result in parts.sizes)):
            other = "sext" if opcode == "zext" else "zext"
            yield parts.with_rest(parts.rest).replace(f" {opcode} ", f" {other} ", 1)
    elif opcode in ("load", "store"):
        kind, value = (items[0], parts.result) if opcode == "load" else (_first(items[0]), _last(items[0])[1])
        for narrow in ("i32", "i16", "i8"):
            if kind not in ("i16", "i32", "i64") or int(narrow[1:]) >= int(kind[1:]):
                continue
            if narrow == "i32" and value in parts.sizes:
                continue
            # What is said of the whole value (its range, its type) does not hold of a part.
            if opcode == "store":
                plain = replace(parts, rest=", ".join([f"{narrow} %mutant.part", *items[1:]]), after="")
                yield f"  %mutant.part = trunc {kind} {value} to {narrow}\n{plain.with_rest(plain.rest)}"
            else:
                plain = replace(parts, rest=", ".join([narrow, *items[1:]]), after="")
                for widen in ("zext", "sext"):
                    yield f"{plain.named('%mutant.part')}\n  {parts.result} = {widen} {narrow} %mutant.part to {kind}"
    elif opcode in _BINARY or opcode == "select":
        kind = _first(items[1]) if opcode == "select" else _last(_last(items[0])[0])[1]
        for narrow in ("i16", "i8"):
            if kind not in ("i16", "i32", "i64") or narrow == kind:
                continue
            for widen in ("zext", "sext"):
                yield (f"{parts.named('%mutant.whole')}\n  %mutant.part = trunc {kind} %mutant.whole to {narrow}\n"
                       f"  {parts.result} = {widen} {narrow} %mutant.part to {kind}")


def dropped_call(parts: Parts) -> Iterator[str]:
    found = _CALLEE.search(parts.rest)
    if found is None or _arguments(parts) is None:
        return
    head = parts.rest[: found.start()]
    if head.endswith(")") and "(" in head:  # the type of a variadic function: `i32 (ptr, ...)`
        head = _last(head)[0]
    kind = _last(head)[1]
    if kind == "void":
        yield ""
    elif parts.result:
        yield f"  {parts.result} = freeze {kind} zeroinitializer"


CHANGES: dict[Kind, Callable[[Parts], Iterator[str]]] = {
    Kind.CONSTANT: constant, Kind.PREDICATE: predicate, Kind.ORDER: order, Kind.STORE: dropped_store,
    Kind.BRANCH: branch, Kind.INDEX: index, Kind.WIDTH: width, Kind.CALL: dropped_call,
}


@dataclass(frozen=True)
class Mutant:
    """An instruction, what was changed, and the lines that stand in its place."""

    at: Instruction
    kind: Kind
    text: str

    def apply(self, module: str) -> str:
        """The text of the whole module."""
        lines = module.split("\n")
        end = self.at.line + self.at.text.count("\n") + 1
        return "\n".join([*lines[: self.at.line], *([self.text] if self.text else []), *lines[end:]])


def places(mutant: Mutant, labels: Mapping[str, int]) -> set[int]:
    """Blocks that have to run for a change to be executed: the instruction's, and where a changed value of a phi comes
    from. labels: numbers of the function's blocks; the first need not have one.
    """
    needed = {mutant.at.block}
    if " = phi " in mutant.at.text:
        old, new = (re.findall(r"\[ (\S+), %([^\s]+) \]", text) for text in (mutant.at.text, mutant.text))
        needed |= {labels.get(source, 0) for (was, source), (now, _) in zip(old, new, strict=True) if was != now}
    return needed


def mutants_of(item: Instruction, types: Mapping[str, str], sizes: frozenset[str] = frozenset(),
               either: frozenset[str] = frozenset()) -> list[Mutant]:
    """All mutants of an instruction. Not all of them parse. sizes, either: `sizes_of` and `unordered` its function."""
    parts = take_apart(item.text, types, sizes, either)
    if parts is None:
        return []
    return [Mutant(item, kind, text) for kind, change in CHANGES.items() for text in change(parts) if text != item.text]


def choose(available: Mapping[Kind, list[Mutant]], count: int, used: Counter[Kind], rng: random.Random) -> list[Mutant]:
    """At most `count` mutants of one function: of different kinds as far as there are, first of kinds seldom used."""
    pools = {kind: sorted(items, key=lambda _: rng.random()) for kind, items in available.items() if items}
    chosen: list[Mutant] = []
    here: Counter[Kind] = Counter()
    while len(chosen) < count and pools:
        kind = min(pools, key=lambda item: (here[item], used[item], item))
        lines = {mutant.at.line for mutant in chosen if mutant.kind is kind}
        fresh = next((mutant for mutant in pools[kind] if mutant.at.line not in lines), None)
        if fresh is None:
            del pools[kind]
            continue
        pools[kind].remove(fresh)
        chosen.append(fresh)
        here[kind] += 1
        used[kind] += 1
    return chosen
