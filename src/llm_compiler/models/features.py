"""Numbers that tell programs and pass lists apart, from text alone: what a tree or a nearest neighbour can learn from.

Counts come by name; what is absent is 0. They are made for what decides sizes: which values an instruction takes (of a
stack slot, a global, a constant), what a call passes, bytes of constants.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, pairwise

from llm_compiler.llvm.irtypes import TypeSizes, type_end
from llm_compiler.llvm.pipeline import Pass, PassList

Counts = Mapping[str, float]

_SCALARS = ("i1", "i8", "i16", "i32", "i64", "ptr", "float", "double")
_KINDS = (*_SCALARS, "odd integer", "wide integer", "vector", "aggregate")
_CLASSES = ("value", "constant", "address")
_ARITHMETIC = ("add", "sub", "mul", "sdiv", "udiv", "srem", "urem", "shl", "lshr", "ashr", "and", "or", "xor")
_FLOATING = ("fadd", "fsub", "fmul", "fdiv", "frem", "fneg")
_COMPARISONS = ("icmp", "fcmp")
_CASTS = ("trunc", "zext", "sext", "bitcast", "ptrtoint", "inttoptr", "fptrunc", "fpext", "fptosi", "fptoui", "sitofp",
          "uitofp")
_MEMORY = ("memcpy", "memmove", "memset")
_INTEGERS = ("i1", "i8", "i16", "i32", "i64")
_OPCODES = (
    *_ARITHMETIC, *_FLOATING, *_COMPARISONS, *_CASTS, "select", "phi", "alloca", "load", "store", "getelementptr",
    "call", "invoke", "landingpad", "resume", "br", "switch", "indirectbr", "ret", "unreachable", "extractvalue",
    "insertvalue", "extractelement", "insertelement", "shufflevector", "atomicrmw", "cmpxchg", "fence", "freeze",
    "va_arg",
)
NAMES = (
    *_OPCODES,
    *(f"{opcode} {kind}" for opcode in ("load", "store", "alloca") for kind in _KINDS),
    *(f"{opcode} {kind}" for opcode in (*_ARITHMETIC, "icmp") for kind in _INTEGERS[1:]),
    *(f"{opcode} constant" for opcode in (*_ARITHMETIC, *_FLOATING, *_COMPARISONS)),
    *(f"{opcode} {kind}" for opcode in ("fadd", "fsub", "fmul", "fdiv", "fcmp") for kind in ("float", "double")),
    "icmp ptr", "icmp zero",
    *(f"{opcode} {one} {other}" for one, other in combinations(_INTEGERS, 2) for opcode in ("zext", "sext")),
    *(f"trunc {other} {one}" for one, other in combinations(_INTEGERS, 2)),
    "uitofp i64 float", "uitofp i64 double", "fptoui float i64", "fptoui double i64",
    *(f"store of {name}" for name in _CLASSES),
    *(f"{place} {name}" for place in ("store to", "load from", "element of") for name in ("slot", *_CLASSES)),
    "element constant", "element variable", "element deep", "branches", "conditional branches", "incoming", "cases",
    "case runs", "case targets", "case table",
    "calls direct", "calls indirect", "calls variadic", "calls void", "calls asm", "intrinsics", "lifetimes",
    *(f"{name} {how}" for name in _MEMORY for how in ("short", "words", "long", "called")),
    *(f"argument {name}" for name in (*_CLASSES, "slot", "floating", "byval", "sret", "stacked")),
    "argument words",
    "ret void", "clauses", "volatile", "with code", "functions", "functions local", "functions inline", "parameters",
    "variable arguments", "uwtable", "nounwind", "stack protector", "guarded", "personality", "instructions elsewhere",
    "declarations", "blocks", "slot bytes", "functions of large frames", "instructions of large frames",
    "globals external", "constants", "constant bytes", "strings", "string bytes", "data", "data bytes", "zeros",
    "zero bytes", "instructions",
)
"""Every name that `counts` gives."""

_INSTRUCTION = re.compile(r"  (?:(%\S+) = )?(?:(?:tail|musttail|notail) )?([a-z_]+)(?: (.*))?$")
_FLAGS = re.compile(r"(?:(?:nuw|nsw|exact|inbounds|volatile|atomic|fast|nnan|ninf|nsz|arcp|contract|afn|reassoc) )+")
_CALLEE = re.compile(r'([@%](?:"[^"]*"|[\w.$-]+))\(')
_TYPE = re.compile(r"^(%\S+) = type (.*)$", re.MULTILINE)
_GROUP = re.compile(r"^attributes (#\d+) = \{(.*)\}", re.MULTILINE)
_GLOBAL = re.compile(r'@(?:"[^"]*"|\S+) = (.*?\b)(global|constant) (.*)$')
_BLOCK = re.compile(r'(?:"[^"]*"|[\w.$-]+):')
_CASE = re.compile(r"    i\d+ (-?\d+), label (\S+)")
_BYVAL = re.compile(r" byval\(([^()]*)\)")
_LARGE_FRAME = 128  # bytes: beyond, offsets take four bytes instead of one
_SHORT_COPY = 64  # bytes: beyond, memcpy and memset are a repeated instruction
_SPARSE_TABLE = 10  # times its cases: a switch with a wider range of values has no table


def counts(ir: str) -> Counter[str]:
    """What a module's text holds, by the names of NAMES."""
    reader = _Reader(ir)
    for line in ir.splitlines():
        reader.read(line)
    return Counter({name: count for name, count in reader.found.items() if count and name in _KNOWN})


def features(ir: str) -> list[float]:
    """Logarithms of the counts, in the order of NAMES."""
    found = counts(ir)
    return [math.log1p(found[name]) for name in NAMES]


def row(names: Sequence[str], *found: Counts) -> list[float]:
    """The numbers of `names`, out of several counts."""
    merged = {name: number for each in found for name, number in each.items()}
    return [float(merged.get(name, 0)) for name in names]


# --- programs ----------------------------------------------------------------------------------------------------


class _Reader:
    """Reads a module line by line."""

    def __init__(self, ir: str) -> None:
        self.found: Counter[str] = Counter()
        self._sizes = TypeSizes(dict(_TYPE.findall(ir)))
        self._groups = dict(_GROUP.findall(ir))
        self._slots: set[str] = set()
        self._frame = self._instructions = 0
        self._inside = self._protected = self._elsewhere = self._taken = False
        self._cases: list[tuple[int, str]] = []

    def read(self, line: str) -> None:
        if line.startswith("  "):
            match = _INSTRUCTION.match(line)
            if match:
                self._instruction(match[1], match[2], match[3] or "")
            elif case := _CASE.match(line):
                self._cases.append((int(case[1]), case[2]))
            elif line == "  ]":
                self._switch()
            elif line.lstrip().startswith(("cleanup", "catch ", "filter ")):
                self.found["clauses"] += 1
        elif line.startswith("define "):
            self._begin(line)
        elif line == "}":
            self._end()
        elif line.startswith("@"):
            self._global(line)
        elif line.startswith("declare "):
            self.found["declarations"] += 1
        elif self._inside and _BLOCK.match(line):
            self.found["blocks"] += 1

    def _begin(self, line: str) -> None:
        self._slots, self._frame, self._instructions, self._inside, self._taken = set(), 0, 0, True, False
        groups = re.findall(r" (#\d+)", line)
        attributes = self._groups.get(groups[-1], "").split() if groups else ()
        self._protected = "ssp" in attributes or "sspstrong" in attributes
        self._elsewhere = " available_externally " in line
        if self._elsewhere:
            return
        self.found["with code"] = 1
        self.found.update({
            "functions": 1, "blocks": 1, "functions local": int(" internal " in line or " linkonce_odr " in line),
            "functions inline": int(" linkonce_odr " in line), "parameters": line.count(", ") + 1,
            "variable arguments": int("...)" in line), "uwtable": int("uwtable" in attributes),
            "nounwind": int("nounwind" in attributes), "stack protector": int(self._protected),
            "personality": int(" personality " in line)})

    def _end(self) -> None:
        self._inside = False
        self.found["instructions"] += self._instructions
        if self._elsewhere:  # its code is for inlining only
            self.found["instructions elsewhere"] += self._instructions
            self._elsewhere = False
            return
        self.found["guarded"] += self._protected and self._taken
        self.found["slot bytes"] += self._frame
        if self._frame > _LARGE_FRAME:
            self.found["functions of large frames"] += 1
            self.found["instructions of large frames"] += self._instructions

    def _switch(self) -> None:
        if self._cases and not self._elsewhere:
            cases = sorted(self._cases)
            runs = 1 + sum(one[1] != other[1] or one[0] + 1 != other[0] for one, other in pairwise(cases))
            width = cases[-1][0] - cases[0][0] + 1
            self.found.update({"cases": len(cases), "case runs": runs, "case targets": len({to for _, to in cases}),
                               "case table": width if width <= _SPARSE_TABLE * len(cases) else 0})
        self._cases = []

    def _global(self, line: str) -> None:
        match = _GLOBAL.match(line)
        if match is None or "available_externally" in match[1]:
            return
        if "external " in match[1] or "extern_weak " in match[1]:
            self.found["globals external"] += 1
            return
        end = type_end(match[3], 0)
        size, value = self._sizes.size(match[3][:end]) or 8, match[3][end + 1 :]
        if match[2] == "constant":
            self._add("constants", "constant bytes", size)
        elif value.startswith(("zeroinitializer", "null", "0,")):
            self._add("zeros", "zero bytes", size)
        else:
            self._add("data", "data bytes", size)
        if value.startswith('c"'):
            self._add("strings", "string bytes", size)

    def _add(self, number: str, size: str, count: int) -> None:
        self.found[number] += 1
        self.found[size] += count

    def _instruction(self, result: str | None, opcode: str, rest: str) -> None:
        if opcode in ("to", "cleanup", "catch", "filter"):  # the lines after an invoke and a landingpad
            self.found["clauses"] += opcode != "to"
            return
        self._instructions += 1
        if self._elsewhere:
            return
        flags = _FLAGS.match(rest)
        body = rest[flags.end() :] if flags else rest
        if flags and "volatile" in flags[0]:
            self.found["volatile"] += 1
        if opcode == "alloca" and result is not None:
            type_ = body[: type_end(body, 0)]
            self._frame += self._sizes.size(type_) or 8
            self._slots.add(result)
            self._taken |= "[" in type_
            self.found[f"alloca {_kind(type_)}"] += 1
        self.found[opcode] += 1
        for name in _details(opcode, body, self._slots):
            self.found[name] += 1
            self._taken |= name in ("argument slot", "element of slot")
        for type_ in _BYVAL.findall(body):
            self.found["argument words"] += (self._sizes.size(type_) or 8) // 8


def _details(opcode: str, body: str, slots: set[str]) -> Iterator[str]:
    """What is counted of an instruction beside its opcode. body: what follows opcode and flags."""
    if opcode == "load":
        type_, _, address = _split(body)
        yield f"load {_kind(type_)}"
        yield f"load from {_place(address.removeprefix('ptr '), slots)}"
    elif opcode == "store":
        type_, value, rest = _split(body)
        value, _, address = f"{value}{rest}".partition(", ptr ")
        yield f"store {_kind(type_)}"
        yield f"store of {_class(value)}"
        yield f"store to {_place(address, slots)}"
    elif opcode in _ARITHMETIC or opcode in _FLOATING:
        end = type_end(body, 0)
        yield f"{opcode} {_kind(body[:end])}"
        if body.count("%", end) < 2 and opcode != "fneg":
            yield f"{opcode} constant"
    elif opcode in _COMPARISONS:
        operands = body.partition(" ")[2]
        yield f"{opcode} {_kind(operands[: type_end(operands, 0)])}"
        last = operands.rpartition(", ")[2]
        if not last.startswith("%"):
            yield f"{opcode} constant"
        if last in ("0", "null"):
            yield f"{opcode} zero"
    elif opcode in _CASTS:
        yield f"{opcode} {_kind(body[: type_end(body, 0)])} {_kind(body.rpartition(' to ')[2])}"
    elif opcode == "getelementptr":
        _, _, rest = _split(body)
        base, *indices = rest.split(", ")
        yield "element variable" if any("%" in index for index in indices[1:] or indices) else "element constant"
        yield f"element of {_place(base.removeprefix('ptr '), slots)}"
        if len(indices) > 2:
            yield "element deep"
    elif opcode in ("call", "invoke"):
        yield from _call(body, slots)
    elif opcode == "br":
        yield "conditional branches" if body.startswith("i1 ") else "branches"
    elif opcode == "ret" and body == "void":
        yield "ret void"
    elif opcode == "phi":
        for _ in range(body.count("[")):
            yield "incoming"


def _call(body: str, slots: set[str]) -> Iterator[str]:
    callee = _CALLEE.search(body)
    if " asm " in body or callee is None:
        yield "calls asm"
        return
    before, name = body[: callee.start()], callee[1]
    if name.startswith("@llvm."):
        yield from _intrinsic(name.split(".")[1], body)
        return
    yield "calls indirect" if name[0] == "%" else "calls direct"
    if "..." in before:
        yield "calls variadic"
    if "void " in before:
        yield "calls void"
    for number, argument in enumerate(_arguments(body, callee.end())):
        if number > 5:
            yield "argument stacked"
        if "byval(" in argument or "sret(" in argument:
            yield "argument byval" if "byval(" in argument else "argument sret"
        else:
            place = _place(argument.rpartition(" ")[2] if not argument.endswith(")") else argument, slots)
            yield f"argument {place}"
        if argument.startswith(("double ", "float ")):
            yield "argument floating"


def _intrinsic(name: str, body: str) -> Iterator[str]:
    if name == "lifetime":
        yield "lifetimes"
    elif name in _MEMORY:
        size = body.rpartition(", i1 ")[0].rpartition(" ")[2]
        if not size.isdigit():
            yield f"{name} called"
        elif int(size) > _SHORT_COPY:
            yield f"{name} long"
        else:
            yield f"{name} short"
            for _ in range((int(size) + 7) // 8):
                yield f"{name} words"
    else:
        yield "intrinsics"


def _arguments(text: str, at: int) -> Iterator[str]:
    """The arguments of a call whose parenthesis ends before `at`."""
    depth, start = 0, at
    quoted = False
    for index in range(at, len(text)):
        char = text[index]
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "([{<":
            depth += 1
        elif char in ")]}>":
            if not depth:
                if index > start:
                    yield text[start:index]
                return
            depth -= 1
        elif char == "," and not depth:
            yield text[start:index]
            start = index + 2


def _split(body: str) -> tuple[str, str, str]:
    """The type that begins a text, the word after it, and the rest."""
    end = type_end(body, 0)
    if body[end : end + 2] == ", ":
        return body[:end], "", body[end + 2 :]
    value, blank, rest = body[end + 1 :].partition(" ")
    return body[:end], value, blank + rest


def _kind(type_: str) -> str:
    if type_ in _SCALARS:
        return type_
    if type_[:1] == "i" and type_[1:].isdigit():
        return "odd integer" if int(type_[1:]) < 64 else "wide integer"
    return "vector" if type_.startswith("<") and not type_.startswith("<{") else "aggregate"


def _class(value: str) -> str:
    if value.startswith("%"):
        return "value"
    return "address" if "@" in value else "constant"


def _place(value: str, slots: set[str]) -> str:
    return "slot" if value.partition(",")[0] in slots else _class(value)


# --- pass lists --------------------------------------------------------------------------------------------------

_GROUPS = {  # passes that do much the same, LLVM's own pipelines among them
    "promotion": ("sroa", "mem2reg", "default"),
    "combination": ("instcombine", "default"),
    "numbering": ("early-cse", "gvn", "newgvn", "default"),
    "simplification": ("simplifycfg", "default"),
    "deletion": ("adce", "bdce", "dce", "instcombine", "gvn", "early-cse", "default"),
    "demotion": ("reg2mem",),
    "structuring": ("structurizecfg", "fix-irreducible", "unify-loop-exits"),
    "outlining": ("iroutliner", "hotcoldsplit", "loop-extract", "partial-inliner"),
}


def pass_counts(passes: PassList) -> dict[str, float]:
    """How often each pass stands in a list (`pass sroa`), and how near to its end the last one (`last sroa`: 1 at the
    end, 1/2 before it, …); the same for groups of passes, and what comes before the first of a group.
    """
    names = list(_names(passes.passes))
    found: dict[str, float] = {"passes": len(names), "kinds of passes": len(set(names))}
    for place, name in enumerate(names):
        found[f"pass {name}"] = found.get(f"pass {name}", 0) + 1
        found[f"last {name}"] = 1 / (len(names) - place)
    for group, members in _GROUPS.items():
        places = [place for place, name in enumerate(names) if name.partition("<")[0] in members]
        if places:
            found[f"group {group}"] = len(places)
            found[f"last of {group}"] = 1 / (len(names) - places[-1])
            found[f"before {group}"] = places[0] + 1
    levels = [name for name in names if name.startswith("default<")]
    if levels:
        found[f"last level {levels[-1]}"] = 1
    promoted, demoted = (found.get(f"last of {group}", 0) for group in ("promotion", "demotion"))
    found["stays promoted"] = float(promoted > demoted)
    found["stays demoted"] = float(demoted > promoted)
    return found


def _names(passes: Sequence[Pass]) -> Iterator[str]:
    """The passes without what nests them; parameters of LLVM's pipelines only."""
    for item in passes:
        if item.children:
            yield from _names(item.children)
        else:
            yield str(item) if item.name == "default" else item.name


_KNOWN = frozenset(NAMES)
