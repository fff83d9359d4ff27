"""Instructions: a rule for each kind, shorter and back, and the check that a short line says the same."""

from __future__ import annotations

import re

from llm_compiler.tasks.compact.attributes import (
    DIFFERENCE,
    Attributes,
    Groups,
    apply,
    base_of,
    difference,
    inline_groups,
    noundef_first,
    take_group,
    with_noundef,
    without_noundef,
)
from llm_compiler.tasks.compact.functions import Told
from llm_compiler.tasks.compact.syntax import (
    CALL_START,
    LOCAL,
    RESULT,
    TYPE,
    VALUE,
    VERBATIM,
    Call,
    parse_call,
    split_top,
)

_ALIGN = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "float": 4, "i64": 8, "ptr": 8, "double": 8}
_TAIL = r"((?:,? !.*)?)"  # attachments

_LOAD = re.compile(rf"load (volatile )?({TYPE}), ptr (.+?), align (\d+){_TAIL}$")
_SHORT_LOAD = re.compile(rf"load (volatile )?({TYPE}) (.+?)(?: align (\d+))?{_TAIL}$")
_STORE = re.compile(rf"store (volatile )?({TYPE}) (.+), ptr ({VALUE}|getelementptr .+), align (\d+){_TAIL}$")
_SHORT_STORE = re.compile(rf"store (volatile )?({TYPE}) (.+), ({VALUE}|getelementptr .+?)(?: align (\d+))?{_TAIL}$")
_ALLOCA = re.compile(rf"alloca ({TYPE}), align (\d+)$")
_SHORT_ALLOCA = re.compile(rf"alloca ({TYPE})$")
_BR = re.compile(rf"br label ({LOCAL}){_TAIL}$")
_SHORT_BR = re.compile(rf"br ({LOCAL}){_TAIL}$")
_COND = re.compile(rf"br i1 ({LOCAL}|true|false|undef|poison), label ({LOCAL}), label ({LOCAL}){_TAIL}$")
_SHORT_COND = re.compile(rf"br ({LOCAL}|true|false|undef|poison) ({LOCAL}) ({LOCAL}){_TAIL}$")
_SWITCH = re.compile(rf"switch (i\d+) ({LOCAL}), label ({LOCAL}) \[(.*)\]{_TAIL}$")
_CASE = re.compile(rf"i\d+ (-?\d+), label ({LOCAL})")
_SHORT_SWITCH = re.compile(rf"switch (i\d+) ({LOCAL}) ({LOCAL}) \[(.*)\]{_TAIL}$")
_SHORT_CASE = re.compile(rf"(-?\d+) ({LOCAL})")
_PHI = re.compile(rf"phi ({TYPE}) (\[ .* \])$")
_EDGE = re.compile(rf"\[ ([^\[\],]+), ({LOCAL}) \](?:, )?")
_SHORT_PHI = re.compile(rf"phi ({TYPE}) (\[.*\])$")
_SHORT_EDGE = re.compile(rf"\[([^\[\],]+) ({LOCAL})\] ?")
_GEP = re.compile(rf"getelementptr (inbounds )?({TYPE}), ptr ({VALUE}), (.*)$")
_SHORT_GEP = re.compile(rf"gep (inbounds )?({TYPE}) ({VALUE}), (.*)$")
_LIFE = re.compile(rf"call void @llvm\.lifetime\.(start|end)\.p0\(i64 (\d+), ptr ({LOCAL})\) #\[\+nounwind\]$")
_SHORT_LIFE = re.compile(rf"(life|dead) (\d+) ({LOCAL})$")
_UNWIND = re.compile(rf" to label ({LOCAL}) unwind label ({LOCAL})$")
_SHORT_UNWIND = re.compile(rf" to ({LOCAL}) unwind ({LOCAL})$")


# --- rules -------------------------------------------------------------------------------------------------------


def _shorten(body: str) -> str:
    """A rule's short form of an instruction without its result; the instruction itself when no rule fits."""
    word = body[:4]
    if word == "load" and (m := _LOAD.match(body)):
        return f"load {m[1] or ''}{m[2]} {m[3]}{_short_align(m[4], m[2])}{_no_comma(m[5])}"
    if word == "stor" and (m := _STORE.match(body)):
        return f"store {m[1] or ''}{m[2]} {m[3]}, {m[4]}{_short_align(m[5], m[2])}{_no_comma(m[6])}"
    if word == "allo" and (m := _ALLOCA.match(body)) and str(_ALIGN.get(m[1], "")) == m[2]:
        return f"alloca {m[1]}"
    if word.startswith("br "):
        if m := _BR.match(body):
            return f"br {m[1]}{_no_comma(m[2])}"
        if m := _COND.match(body):
            return f"br {m[1]} {m[2]} {m[3]}{_no_comma(m[4])}"
    if word == "swit" and (m := _SWITCH.match(body)):
        cases = ", ".join(f"{value} {label}" for value, label in _CASE.findall(m[4]))
        return f"switch {m[1]} {m[2]} {m[3]} [{cases}]{_no_comma(m[5])}"
    if word == "phi " and (m := _PHI.match(body)):
        return f"phi {m[1]} " + " ".join(f"[{value} {label}]" for value, label in _EDGE.findall(m[2]))
    if word == "gete" and (m := _GEP.match(body)):
        indices = ", ".join(index.removeprefix("i32 ") if re.fullmatch(r"i32 -?\d+", index) else index
                            for index in split_top(m[4]))
        return f"gep {m[1] or ''}{m[2]} {m[3]}, {indices}"
    if m := _LIFE.match(body):
        return f"{'life' if m[1] == 'start' else 'dead'} {m[2]} {m[3]}"
    return body


def _lengthen(body: str) -> str:
    """What `_shorten` shortened."""
    word = body[:4]
    if word == "load" and (m := _SHORT_LOAD.match(body)):
        align = _full_align(m[4], m[2])
        if align is not None and not m[2].endswith(","):
            return f"load {m[1] or ''}{m[2]}, ptr {m[3]}, align {align}{_comma(m[5])}"
    elif word == "stor" and (m := _SHORT_STORE.match(body)):
        align = _full_align(m[5], m[2])
        if align is not None:
            return f"store {m[1] or ''}{m[2]} {m[3]}, ptr {m[4]}, align {align}{_comma(m[6])}"
    elif word == "allo" and (m := _SHORT_ALLOCA.match(body)):
        if m[1] in _ALIGN:
            return f"alloca {m[1]}, align {_ALIGN[m[1]]}"
    elif word.startswith("br "):
        if m := _SHORT_BR.match(body):
            return f"br label {m[1]}{_comma(m[2])}"
        if m := _SHORT_COND.match(body):
            return f"br i1 {m[1]}, label {m[2]}, label {m[3]}{_comma(m[4])}"
    elif word == "swit" and (m := _SHORT_SWITCH.match(body)):
        cases = " ".join(f"{m[1]} {value}, label {label}" for value, label in _SHORT_CASE.findall(m[4]))
        return f"switch {m[1]} {m[2]}, label {m[3]} [ {cases} ]{_comma(m[5])}".replace("[  ]", "[ ]")
    elif word == "phi " and (m := _SHORT_PHI.match(body)):
        edges = _SHORT_EDGE.findall(m[2])
        if edges:
            return f"phi {m[1]} " + ", ".join(f"[ {value}, {label} ]" for value, label in edges)
    elif word == "gep " and (m := _SHORT_GEP.match(body)):
        indices = ", ".join(f"i32 {index}" if re.fullmatch(r"-?\d+", index) else index for index in split_top(m[4]))
        return f"getelementptr {m[1] or ''}{m[2]}, ptr {m[3]}, {indices}"
    elif m := _SHORT_LIFE.match(body):
        kind = "start" if m[1] == "life" else "end"
        return f"call void @llvm.lifetime.{kind}.p0(i64 {m[2]}, ptr {m[3]}) #[+nounwind]"
    return body


def _short_align(given: str, type_: str) -> str:
    return "" if str(_ALIGN.get(type_, "")) == given else f" align {given}"


def _full_align(given: str | None, type_: str) -> str | None:
    if given is not None:
        return given
    known = _ALIGN.get(type_)
    return None if known is None else str(known)


def _no_comma(tail: str) -> str:
    return tail.replace(",", "", 1)


def _comma(tail: str) -> str:
    return f",{tail}" if tail and not tail.startswith(",") else tail


# --- lines -------------------------------------------------------------------------------------------------------


def short_line(line: str, groups: Groups, told: Told) -> str:
    """An instruction; `told` learns what it says of the function that it calls."""
    result = RESULT.match(line)
    start, original = (f"{result[1]}=", line[result.end() :]) if result else ("", line)
    body = wanted = original
    attributes: Attributes = ()
    if CALL_START.match(original):
        call = None if " asm " in original else parse_call(original)
        if call is None:
            return f"{VERBATIM}{start}{inline_groups(original, groups)}"
        rest, attributes = take_group(call.rest, groups)
        arguments, shorter = call.arguments, call.arguments
        if not call.intrinsic:
            arguments = tuple(noundef_first(argument) for argument in call.arguments)
            shorter = tuple(without_noundef(argument) for argument in call.arguments)
        wanted = call.text(arguments, rest)
        told.learn(Call(call.head, call.callee, arguments, rest), attributes)
        body = _UNWIND.sub(r" to \1 unwind \2", call.text(shorter, difference(attributes, base_of(call)) + rest))
    short = _shorten(body)
    full, found = long_line(short)
    if full.split() == wanted.split() and set(found) == set(attributes):
        return start + short
    return f"{VERBATIM}{start}{inline_groups(original, groups)}"


def long_line(short: str) -> tuple[str, Attributes]:
    """An instruction without its result as LLVM prints it, without the attributes of a call, and those."""
    body = _lengthen(short)
    call = parse_call(body) if CALL_START.match(body) else None
    if call is None:
        return body, ()
    match = DIFFERENCE.match(call.rest)
    rest = call.rest[match.end() :] if match else call.rest
    rest = _SHORT_UNWIND.sub(r" to label \1 unwind label \2", rest)
    arguments = call.arguments if call.intrinsic else map(with_noundef, call.arguments)
    return call.text(arguments, rest), apply(match, base_of(call))
