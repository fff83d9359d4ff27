"""How many wrong versions of real functions differential execution notices.

    python benchmarks/sources.py --set held-out
    python benchmarks/mutation.py --functions 300 --minutes 60 --list missed.jsonl

A mutant is a module's -Oz IR with one instruction changed. Those that lower to the same object are thrown away.
Executed: an input that counts reaches the block of the changed instruction, and the one that a changed value of a phi
comes from. What means the same in other code counts as missed: nothing is taken out by hand.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import struct
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

from corpus import Unit, sample, units
from llm_compiler.errors import LlmcError
from llm_compiler.llvm import frontend, library
from llm_compiler.llvm.job import Inspection, Job, Limits, Measurement
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Lowering, Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.validation.differential import Differential, Effort, open_differential
from sources import SETS

_PLAIN = Candidate(PassList(()))
# Level 2 splits no edges: the blocks are those of the text.
_BLOCKS = Candidate(PassList.parse("sancov-module"), (), (
    "-sanitizer-coverage-level=2", "-sanitizer-coverage-inline-8bit-counters", "-sanitizer-coverage-pc-table",
    "-sanitizer-coverage-prune-blocks=false"))


class Kind(StrEnum):
    """What was changed."""

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
    """An instruction taken apart. rest: between the opcode and the metadata."""

    result: str
    opcode: str
    before: str
    rest: str
    after: str
    types: Mapping[str, str]

    def with_rest(self, rest: str) -> str:
        return f"{self.before}{rest}{self.after}"

    def named(self, result: str) -> str:
        """The text with another result."""
        return self.with_rest(self.rest).replace(f"  {self.result} = ", f"  {result} = ", 1)


def take_apart(text: str, types: Mapping[str, str]) -> Parts | None:
    found = _INSTRUCTION.fullmatch(text)
    if found is None or found[2] == "musttail":
        return None
    return Parts(found[1] or "", found[3], text[: found.start(4)], found[4], found[5], types)


# --- changes ---

_DIRECTED = frozenset({"sub", "udiv", "sdiv", "urem", "srem", "shl", "lshr", "ashr", "fsub", "fdiv", "frem"})
_BINARY = _DIRECTED | {"add", "mul", "and", "or", "xor", "fadd", "fmul"}
_SYMMETRIC = frozenset({"eq", "ne", "oeq", "one", "ueq", "une", "ord", "uno", "true", "false"})
_COMMUTATIVE = re.compile(r"@llvm\.(?:[us](?:min|max|add|mul)|min|max|fma\.|fmuladd)")
_PREDICATES = {
    "icmp": {"eq": ("ne",), "ne": ("eq",), "slt": ("sge", "sle", "ult"), "sle": ("sgt", "slt", "ule"),
             "sgt": ("sle", "sge", "ugt"), "sge": ("slt", "sgt", "uge"), "ult": ("uge", "ule", "slt"),
             "ule": ("ugt", "ult", "sle"), "ugt": ("ule", "uge", "sgt"), "uge": ("ult", "ugt", "sge")},
    "fcmp": {"oeq": ("une", "ueq"), "une": ("oeq", "one"), "one": ("ueq", "une"), "ueq": ("one", "oeq"),
             "olt": ("uge", "ole", "ult"), "ole": ("ugt", "olt", "ule"), "ogt": ("ule", "oge", "ugt"),
             "oge": ("ult", "ogt", "uge"), "ult": ("oge", "ule", "olt"), "ule": ("ogt", "ult", "ole"),
             "ugt": ("ole", "uge", "ogt"), "uge": ("olt", "ugt", "oge"), "ord": ("uno",), "uno": ("ord",)},
}
# Calls that mean nothing to what is computed, or that the verifier wants in pairs.
_HINTS = ("@llvm.lifetime", "@llvm.assume", "@llvm.experimental", "@llvm.dbg", "@llvm.prefetch", "@llvm.va_",
          "@llvm.stack", "@llvm.invariant", "@llvm.donothing")


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
            for other in others:
                yield parts.with_rest(" ".join([*words[:at], other, *words[at + 1 :]]))
            return


def order(parts: Parts) -> Iterator[str]:
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
                      if 0 <= near < len(fields) and fields[near] == fields[int(value)]]
        else:
            others = [int(value) + 1, int(value) - 1] if at > 2 or len(items) == 3 else []
        for other in others:
            yield parts.with_rest(", ".join([*items[:at], f"{size} {other}", *items[at + 1 :]]))
        if at > 2:
            if fields:
                if not value.isdigit():
                    return
                kind = fields[int(value)]
            else:
                element = re.fullmatch(r"[\[<]\d+ x (.*)[\]>]", body)
                if element is None:
                    return
                kind = element[1]


def width(parts: Parts) -> Iterator[str]:
    opcode, items = parts.opcode, _split(parts.rest)
    if opcode in ("zext", "sext"):
        yield parts.with_rest(parts.rest).replace(f" {opcode} ", f" {'sext' if opcode == 'zext' else 'zext'} ", 1)
        return
    if opcode in _BINARY:
        kind = _last(_last(items[0])[0])[1]
    elif opcode == "select":
        kind = _first(items[1])
    elif opcode == "load":
        kind = items[0]
    else:
        return
    if kind not in ("i16", "i32", "i64"):
        return
    half = f"i{int(kind[1:]) // 2}"
    for widen in ("zext", "sext"):
        yield (f"{parts.named('%mutant.wide')}\n  %mutant.half = trunc {kind} %mutant.wide to {half}\n"
               f"  {parts.result} = {widen} {half} %mutant.half to {kind}")
    if opcode == "load":
        plain = replace(parts, rest=", ".join([half, *items[1:]]), after="")
        yield f"{plain.named('%mutant.half')}\n  {parts.result} = zext {half} %mutant.half to {kind}"


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


def mutants_of(item: Instruction, types: Mapping[str, str]) -> list[Mutant]:
    """All mutants of an instruction. Not all of them parse."""
    parts = take_apart(item.text, types)
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


# --- the survey ---


@dataclass
class Tally:
    """Counts of one kind."""

    refused: int = 0
    mutants: int = 0
    same: int = 0
    executed: int = 0
    noticed: int = 0
    unreached: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass
class Survey:
    """What was found. unmapped: functions whose blocks and counters do not match; inputs: of functions run alone."""

    per_function: int
    effort: Effort
    rng: random.Random
    stop: float
    kinds: dict[Kind, Tally] = field(default_factory=lambda: {kind: Tally() for kind in Kind})
    used: Counter[Kind] = field(default_factory=Counter)
    packages: Counter[str] = field(default_factory=Counter)
    functions: int = 0
    not_executable: int = 0
    unmapped: int = 0
    alone: int = 0
    inputs: int = 0
    exploring: float = 0.0
    checking: float = 0.0
    missed: list[dict[str, object]] = field(default_factory=list)


def lower(pool: WorkerPool, path: Path, lowering: Lowering, candidate: Candidate = _PLAIN, *,
          verify: bool = False, bitcode: bool = False) -> Measurement | None:
    """None for what LLVM does not parse, verify or lower."""
    outcome = pool.run(Job(path, candidate, lowering, verify=verify, keep_bitcode=bitcode, keep_object=True))
    return outcome.measurement


def print_ir(bitcode: bytes) -> str:
    with Context(library.load()) as context:
        return context.parse(bitcode).text()


def survey_unit(unit: Unit, pool: WorkerPool, survey: Survey, functions: int, largest: int) -> None:
    """Mutants of at most `functions` functions of a unit. Raises LlmcError."""
    with frontend.temporary_folder() as name:
        folder = Path(name)
        clang = frontend.clang_for("x86_64-unknown-linux-gnu", frontend.is_cxx(unit.source))
        bitcode, optimised, path = folder / "unoptimised.bc", folder / "optimised.bc", folder / "optimised.ll"
        frontend.emit_optimised(clang, unit.source, unit.flags, optimised)
        text = print_ir(optimised.read_bytes())
        if len(text) > largest:
            return
        path.write_text(text)
        frontend.emit_unoptimised(clang, unit.source, unit.flags, bitcode)
        inspection = pool.inspect(bitcode)
        if not isinstance(inspection, Inspection) or not inspection.functions:
            return
        lowering = Lowering(inspection.triple, relocation=inspection.relocation, code_model=inspection.code_model)
        # From the text, as the mutants: text and bitcode differ in the order of uses.
        base = lower(pool, path, lowering)
        counted = lower(pool, path, replace(lowering, profile=Profile.PAPER), _BLOCKS, bitcode=True)
        if base is None or counted is None or base.object is None or counted.object is None or counted.bitcode is None:
            return
        started = time.monotonic()
        with open_differential(pool, bitcode, lowering, base.object, folder, survey.effort) as differential:
            differential.explore()
            reached = differential.reached(counted.object)
            survey.exploring += time.monotonic() - started
            counters = counters_of(print_ir(counted.bitcode))
            chosen = _choose_functions(differential, survey, text, functions, counters, reached)
            if chosen:
                survey.packages[unit.package] += 1
            started = time.monotonic()
            for number, (mutant, executed) in enumerate(chosen):
                if time.monotonic() > survey.stop:
                    break
                # Another name for each: workers keep what they read.
                mutated = folder / f"mutant-{number}.ll"
                mutated.write_text(mutant.apply(text))
                made = lower(pool, mutated, lowering, verify=True)
                _try(unit, mutant, executed, made, base.object_hash, differential, survey)
                mutated.unlink()
            survey.checking += time.monotonic() - started


def _choose_functions(differential: Differential, survey: Survey, text: str, limit: int,
                      counters: Mapping[str, Mapping[int, int]],
                      reached: Mapping[str, set[int]]) -> list[tuple[Mutant, bool]]:
    """Mutants of functions that can be executed, with whether their block was."""
    types = named_types(text)
    by_function: dict[str, list[Instruction]] = {}
    for item in instructions(text):
        by_function.setdefault(item.function, []).append(item)
    states = [state for state in differential.executability() if state.name in by_function]
    survey.not_executable += sum(not state.inputs and not state.via for state in states)
    usable = [state for state in states if state.inputs or state.via]
    survey.rng.shuffle(usable)
    chosen: list[tuple[Mutant, bool]] = []
    for state in usable[:limit]:
        items, counter = by_function[state.name], counters.get(state.name, {})
        if not _maps(items, counter) or state.name not in reached:
            survey.unmapped += 1
            continue
        available: dict[Kind, list[Mutant]] = {kind: [] for kind in Kind}
        for item in items:
            if item.block in counter:
                for mutant in mutants_of(item, types):
                    available[mutant.kind].append(mutant)
        labels = {item.label: item.block for item in items}
        picked = choose(available, survey.per_function, survey.used, survey.rng)
        if not picked:
            continue
        survey.functions += 1
        survey.alone += state.inputs > 0
        survey.inputs += state.inputs
        chosen += [(mutant, {counter.get(block) for block in places(mutant, labels)} <= reached[state.name])
                   for mutant in picked]
    return chosen


def _maps(items: Sequence[Instruction], counter: Mapping[int, int]) -> bool:
    """Whether every block that holds more than `unreachable` has a counter, in order."""
    real = [block for block in dict.fromkeys(item.block for item in items)
            if any(item.text.split()[0] != "unreachable" for item in items if item.block == block)]
    return list(counter) == real and list(counter.values()) == list(range(len(counter)))


def _try(unit: Unit, mutant: Mutant, executed: bool, made: Measurement | None, base: str, differential: Differential,
         survey: Survey) -> None:
    tally = survey.kinds[mutant.kind]
    if made is None or made.object is None:
        tally.refused += 1
        return
    tally.mutants += 1
    if made.object_hash == base:
        tally.same += 1
        return
    verification = differential.check(made.object, stop=True)
    noticed = verification.wrong is not None
    tally.executed += executed
    tally.noticed += executed and noticed
    tally.unreached += noticed and not executed
    if executed and not noticed:
        survey.missed.append({
            "unit": unit.name, "function": mutant.at.function, "kind": str(mutant.kind), "line": mutant.at.line + 1,
            "block": mutant.at.block, "was": mutant.at.text.strip(), "is": mutant.text.strip(),
            "told": verification.summary,
        })


def table(survey: Survey) -> str:
    """Markdown."""
    lines = ["| kind | mutants | same object | not executed | executed | noticed | of executed |",
             "|---|---|---|---|---|---|---|"]
    total = Tally()
    for kind, tally in survey.kinds.items():
        lines.append(_row(kind, tally))
        total += tally
    lines.append(_row("all", total))
    mutants = max(1, total.mutants)
    lines += [
        "",
        f"- {survey.functions} functions of {sum(survey.packages.values())} files of {len(survey.packages)} packages; "
        f"{survey.not_executable} more of them cannot be executed, the blocks of {survey.unmapped} cannot be counted",
        f"- {survey.inputs / max(1, survey.alone):.0f} inputs a function that can be called alone ({survey.alone})",
        f"- {survey.exploring:.0f} s looking for inputs, {survey.checking / mutants:.2f} s a mutant",
        f"- {total.refused} changes that LLVM does not parse, verify or lower are no mutants",
        f"- {total.unreached} mutants were noticed though no counter says that they are executed",
    ]
    return "\n".join(lines)


def _row(name: str, tally: Tally) -> str:
    share = f"{100 * tally.noticed / tally.executed:.1f} %" if tally.executed else ""
    idle = tally.mutants - tally.same - tally.executed
    return f"| {name} | {tally.mutants} | {tally.same} | {idle} | {tally.executed} | {tally.noticed} | {share} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, default=300)
    parser.add_argument("--per-function", type=int, default=8, help="mutants of a function")
    parser.add_argument("--per-file", type=int, default=6, help="functions of a file")
    parser.add_argument("--largest", type=int, default=300_000, help="bytes of IR text of a file")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--set", default="held-out", choices=sorted(SETS))
    parser.add_argument("--packages", nargs="+", help="instead of a set")
    parser.add_argument("--effort", choices=("quick", "full"), default="quick")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of files, functions and mutants")
    parser.add_argument("--list", type=Path, help="write the executed mutants that were missed, as JSON lines")
    arguments = parser.parse_args()
    found = units(arguments.packages or list(SETS[arguments.set]))
    if not found:
        print(f"no files; run sources.py --set {arguments.set} first", file=sys.stderr)
        return 2
    effort = Effort.full() if arguments.effort == "full" else Effort.quick()
    stop = time.monotonic() + 60 * arguments.minutes
    survey = Survey(arguments.per_function, effort, random.Random(arguments.seed), stop)
    with WorkerPool(1, Limits(60.0)) as pool:
        for unit in sample(found, len(found), arguments.seed):
            left = arguments.functions - survey.functions
            if left <= 0 or time.monotonic() > survey.stop:
                break
            started = time.monotonic()
            try:
                survey_unit(unit, pool, survey, min(left, arguments.per_file), arguments.largest)
            except LlmcError as error:
                print(f"{unit.name}: {error}", file=sys.stderr)
                continue
            if arguments.list is not None:
                arguments.list.write_text("".join(json.dumps(item) + "\n" for item in survey.missed))
            print(f"{unit.name}: {time.monotonic() - started:.1f} s, {survey.functions} functions so far, "
                  f"{len(survey.missed)} mutants missed", file=sys.stderr)
    print(table(survey))
    return 0


if __name__ == "__main__":
    sys.exit(main())
