"""IR with fewer tokens, for models of our own, and back: `expand(compact(x))` is the same code.

Compact IR leaves out what can be told from the rest, and turns defaults round: what is nearly always there is left
out, and its absence is written. Every line is expanded again when it is made, and kept as LLVM prints it when the two
differ. What does not come back: comments, the source's name, `!llvm.ident`, `!srcloc`, the numbers of attribute groups
and of metadata, metadata that nothing refers to, and the order of declarations. All else does, value names included.

    header        x86-64 Linux and its data layout go without saying
    attributes    `#[+a -b]`: the difference from what clang -Oz gives a definition, a declaration or a call
    declarations  left out when they say what the first call says; those of intrinsics when there is a call
    noundef       goes without saying for arguments, intrinsics aside; `?` before an argument without it
    align         left out of loads, stores and allocas when it is the type's
    br, switch    without `label`; load, store, gep without `ptr`; lifetimes as `life` and `dead`
    metadata      `!int`, `!p` …: clang's usual TBAA tags, `!t4`: tag !4; `!loop`: a loop that must progress
    module flags  `flags pic`, `flags pie`: clang's usual sets
    strings       `@.str = str "…"`: private unnamed_addr constant, zero-terminated
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from llm_compiler.llvm.target import AARCH64, X86_64

LAYOUTS = {
    X86_64: "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128",
    AARCH64: "e-m:e-i8:8:32-i16:16:32-i64:64-i128:128-n32:64-S128",
}
"""Data layouts that LLVM 17 gives the two targets (X86TargetMachine.cpp, AArch64TargetMachine.cpp)."""

_NAME = r'(?:[-\w$.]+|"[^"]*")'
_LOCAL = rf"%{_NAME}"
_GLOBAL = rf"@{_NAME}"
_OUTSIDE = r'"[^"]*"|'  # first in an alternation: what stands in quotes is passed over
_TYPE = rf"(?:{_LOCAL}|[a-z]\w*|<[^<>]*>|\[[^\[\]]*\]|\{{[^{{}}]*\}})"
_VALUE = rf"(?:{_LOCAL}|{_GLOBAL}|null|undef|poison)"
_TAIL = r"((?:,? !.*)?)"

_STRINGS = ('"no-trapping-math"="true"', '"stack-protector-buffer-size"="8"', '"target-cpu"="x86-64"',
            '"target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87"', '"tune-cpu"="generic"')
_DEFINITION = ("minsize", "nounwind", "optsize", "uwtable", '"min-legal-vector-width"="0"', *_STRINGS)
_DECLARATION = ("minsize", "optsize", *_STRINGS)
_CALL = ("minsize", "optsize")
_ATTRIBUTE = re.compile(r'"[^"]*"(?:="[^"]*")?|\w+=\d+|\w+(?:\((?:"[^"]*"|[^()"])*\))?')

_ALIGN = {"i1": 1, "i8": 1, "i16": 2, "i32": 4, "float": 4, "i64": 8, "ptr": 8, "double": 8}
_FLAGS = {"wchar_size": 1, "PIC Level": 8, "PIE Level": 7, "uwtable": 7, "frame-pointer": 7, "RtLibUseGOT": 7,
          "Code Model": 1, "openmp": 7, "direct-access-external-data": 7}
# Flags of modules as clang makes them without options, with -fPIC and with -fPIE, by name.
_FLAG_SETS: dict[str, tuple[tuple[str, int], ...]] = {
    "": (),
    "static": (("wchar_size", 4), ("uwtable", 2)),
    "pic": (("wchar_size", 4), ("PIC Level", 2), ("uwtable", 2)),
    "pie": (("wchar_size", 4), ("PIC Level", 2), ("PIE Level", 2), ("uwtable", 2)),
}

_ROOTS = {"Simple C/C++ TBAA": "c", "Simple C++ TBAA": "c++"}
_SCALARS = {
    "char": "omnipotent char", "p": "any pointer", "int": "int", "long": "long", "short": "short", "ll": "long long",
    "float": "float", "double": "double", "bool": "bool", "enum": "enum", "i128": "__int128", "ld": "long double",
    "vptr": "vtable pointer",
}
_SHORT = {name: short for short, name in _SCALARS.items()}
_LOOP = ('!"llvm.loop.mustprogress"',)


# --- both ways ---------------------------------------------------------------------------------------------------


def split_top(text: str, separator: str = ",") -> list[str]:
    """Parts between separators that stand in no bracket and no string, without the blanks around them."""
    parts, depth, start, quoted = [], 0, 0, False
    for at, char in enumerate(text):
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "([{<":
            depth += 1
        elif char in ")]}>":
            depth -= 1
        elif char == separator and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    last = text[start:].strip()
    return [*parts, last] if parts or last else []


def _closing(text: str, start: int) -> int:
    """The place after the bracket that closes the one at `start`; -1 when there is none."""
    depth, quoted = 0, False
    for at in range(start, len(text)):
        char = text[at]
        if char == '"':
            quoted = not quoted
        elif not quoted:
            if char == "(":
                depth += 1
            elif char == ")":
                depth -= 1
                if depth == 0:
                    return at + 1
    return -1


_CALLEE = re.compile(rf"({_LOCAL}|{_GLOBAL})\(")
_FIRST_TYPE = re.compile(rf"(?:{_LOCAL}|[a-z]\w*)")


def _type_end(text: str) -> int:
    """The length of the type that a text begins with."""
    if text[:1] in "([{<":
        depth = 0
        for at, char in enumerate(text):
            depth += (char in "([{<") - (char in ")]}>")
            if depth == 0:
                end = at + 1
                break
        else:
            return len(text)
    else:
        match = _FIRST_TYPE.match(text)
        end = match.end() if match else 0
    match = re.match(r" addrspace\(\d+\)", text[end:])
    return end + match.end() if match else end


@dataclass(frozen=True)
class _Call:
    """`head` up to the callee, the arguments, and what follows the parenthesis."""

    head: str
    callee: str
    arguments: tuple[str, ...]
    rest: str

    @property
    def intrinsic(self) -> bool:
        return self.callee.startswith("@llvm.")

    def text(self, arguments: Iterable[str], rest: str) -> str:
        return f"{self.head}{self.callee}({', '.join(arguments)}){rest}"


def _take_call(text: str) -> _Call | None:
    match = _CALLEE.search(text)
    if match is None or '"' in text[: match.start()].replace(match.group(), ""):
        return None
    end = _closing(text, match.end() - 1)
    if end < 0:
        return None
    return _Call(text[: match.start()], match.group(1), tuple(split_top(text[match.end() : end - 1])), text[end:])


def _without_noundef(argument: str) -> str:
    """`ptr noundef %1` as `ptr %1`, and `ptr %1` as `?ptr %1`."""
    if argument == "..." or argument.startswith("metadata"):
        return argument
    end = _type_end(argument)
    words = argument[end:]
    found = re.search(r" noundef(?= |$)", words)
    return f"?{argument}" if found is None else argument[:end] + words[: found.start()] + words[found.end() :]


def _with_noundef(argument: str) -> str:
    if argument == "..." or argument.startswith("metadata"):
        return argument
    if argument.startswith("?"):
        return argument[1:]
    end = _type_end(argument)
    return f"{argument[:end]} noundef{argument[end:]}"


def _noundef_first(argument: str) -> str:
    """The same argument with `noundef` before its other attributes: their order means nothing."""
    short = _without_noundef(argument)
    return argument if short.startswith("?") else _with_noundef(short)


def _difference(attributes: tuple[str, ...], base: tuple[str, ...]) -> str:
    """What `_apply` makes the attributes from; `#d[…]` counts from those of a definition."""
    if set(attributes) == set(base):
        return ""
    if not attributes:
        return " #[]"
    texts = []
    for mark, known in (("", base), ("d", _DEFINITION)):
        words = [f"+{name}" for name in attributes if name not in known]
        words += [f"-{name}" for name in known if name not in attributes]
        texts.append(f" #{mark}[{' '.join(words)}]")
    return min(texts, key=len)


_DIFFERENCE = re.compile(r' #(d?)\[((?:"[^"]*"|[^\]"])*)\]')
_SIGNED = re.compile(rf"([+-])({_ATTRIBUTE.pattern})")


def _apply(difference: re.Match[str] | None, base: tuple[str, ...]) -> tuple[str, ...]:
    """The attributes that a match of `_DIFFERENCE` speaks of."""
    if difference is None:
        return base
    if difference[1]:
        base = _DEFINITION
    elif not difference[2]:
        return ()
    signed = _SIGNED.findall(difference[2])
    removed = {name for sign, name in signed if sign == "-"}
    return (*(name for name in base if name not in removed), *(name for sign, name in signed if sign == "+"))


def _base(call: _Call) -> tuple[str, ...]:
    return () if call.intrinsic else _CALL


def _declaration_of(call: _Call, attributes: tuple[str, ...]) -> tuple[str, tuple[str, ...]] | None:
    """The declaration that a call speaks of: its text without attributes of the function, and those."""
    head = re.sub(r"^(?:%[^=]*= )?(?:(?:tail|musttail|notail) )?(?:call|invoke) ", "", call.head)
    head = re.sub(r"\b(?:nnan|ninf|nsz|arcp|contract|afn|reassoc|fast) ", "", head)
    shapes, variadic = [], False
    typed = re.match(r"(.*) \((.*)\) $", head)
    if typed:
        parameters = split_top(typed.group(2))
        variadic = bool(parameters) and parameters[-1] == "..."
        head = f"{typed.group(1)} "
        count = len(parameters) - variadic
    else:
        count = len(call.arguments)
    for argument in call.arguments[:count]:
        end = _type_end(argument)
        if call.intrinsic:
            shapes.append(argument[:end])
            continue
        kept, rest = [argument[:end]], argument[end:].strip()
        while match := re.match(r"(align \d+|[a-z_]\w*(?:\((?:[^()]|\([^()]*\))*\))?)(?: |$)", rest):
            if match.group(1).split("(")[0] not in _PARAMETER and not match.group(1).startswith("align "):
                break
            kept.append(match.group(1))
            rest = rest[match.end() :]
        shapes.append(" ".join(kept))
    if variadic:
        shapes.append("...")
    if call.intrinsic:
        # LLVM itself knows the attributes; those of the call's result are the call's own.
        head = re.sub(r"^(?:(?:noundef|nonnull|signext|zeroext|noalias|align \d+|dereferenceable\(\d+\)) )+", "", head)
        return f"declare {head}{call.callee}({', '.join(shapes)})", ()
    return f"declare {head}{call.callee}({', '.join(shapes)})", (*attributes, *_STRINGS)


_PARAMETER = frozenset({
    "noundef", "nonnull", "nocapture", "readonly", "readnone", "writeonly", "signext", "zeroext", "inreg", "noalias",
    "dereferenceable", "dereferenceable_or_null", "sret", "byval", "returned", "nest", "immarg", "nofree", "allocptr",
    "allocalign", "swiftself", "swifterror", "swiftasync", "inalloca", "preallocated", "elementtype", "byref",
})


# --- instructions ------------------------------------------------------------------------------------------------

_RESULT = re.compile(rf"({_LOCAL}) ?= ?")
_LOAD = re.compile(rf"load (volatile )?({_TYPE}), ptr (.+?), align (\d+){_TAIL}$")
_SHORT_LOAD = re.compile(rf"load (volatile )?({_TYPE}) (.+?)(?: align (\d+))?{_TAIL}$")
_STORE = re.compile(rf"store (volatile )?({_TYPE}) (.+), ptr ({_VALUE}|getelementptr .+), align (\d+){_TAIL}$")
_SHORT_STORE = re.compile(rf"store (volatile )?({_TYPE}) (.+), ({_VALUE}|getelementptr .+?)(?: align (\d+))?{_TAIL}$")
_ALLOCA = re.compile(rf"alloca ({_TYPE}), align (\d+)$")
_SHORT_ALLOCA = re.compile(rf"alloca ({_TYPE})$")
_BR = re.compile(rf"br label ({_LOCAL}){_TAIL}$")
_SHORT_BR = re.compile(rf"br ({_LOCAL}){_TAIL}$")
_COND = re.compile(rf"br i1 ({_LOCAL}|true|false|undef|poison), label ({_LOCAL}), label ({_LOCAL}){_TAIL}$")
_SHORT_COND = re.compile(rf"br ({_LOCAL}|true|false|undef|poison) ({_LOCAL}) ({_LOCAL}){_TAIL}$")
_SWITCH = re.compile(rf"switch (i\d+) ({_LOCAL}), label ({_LOCAL}) \[(.*)\]{_TAIL}$")
_CASE = re.compile(rf"i\d+ (-?\d+), label ({_LOCAL})")
_SHORT_SWITCH = re.compile(rf"switch (i\d+) ({_LOCAL}) ({_LOCAL}) \[(.*)\]{_TAIL}$")
_SHORT_CASE = re.compile(rf"(-?\d+) ({_LOCAL})")
_PHI = re.compile(rf"phi ({_TYPE}) (\[ .* \])$")
_EDGE = re.compile(rf"\[ ([^\[\],]+), ({_LOCAL}) \](?:, )?")
_SHORT_PHI = re.compile(rf"phi ({_TYPE}) (\[.*\])$")
_SHORT_EDGE = re.compile(rf"\[([^\[\],]+) ({_LOCAL})\] ?")
_GEP = re.compile(rf"getelementptr (inbounds )?({_TYPE}), ptr ({_VALUE}), (.*)$")
_SHORT_GEP = re.compile(rf"gep (inbounds )?({_TYPE}) ({_VALUE}), (.*)$")
_LIFE = re.compile(rf"call void @llvm\.lifetime\.(start|end)\.p0\(i64 (\d+), ptr ({_LOCAL})\) #\[\+nounwind\]$")
_SHORT_LIFE = re.compile(rf"(life|dead) (\d+) ({_LOCAL})$")
_UNWIND = re.compile(rf" to label ({_LOCAL}) unwind label ({_LOCAL})$")
_SHORT_UNWIND = re.compile(rf" to ({_LOCAL}) unwind ({_LOCAL})$")


def _align(kind: str, given: str, of: str) -> str:
    return "" if str(_ALIGN.get(of, "")) == given else f" {kind}align {given}"


def _full_align(given: str | None, of: str) -> str | None:
    if given is not None:
        return given
    known = _ALIGN.get(of)
    return None if known is None else str(known)


def _shorten(body: str) -> str:
    """A rule's short form of an instruction without its result; the instruction itself when no rule fits."""
    word = body[:4]
    if word == "load" and (m := _LOAD.match(body)):
        return f"load {m[1] or ''}{m[2]} {m[3]}{_align('', m[4], m[2])}{m[5].replace(',', '', 1)}"
    if word == "stor" and (m := _STORE.match(body)):
        return f"store {m[1] or ''}{m[2]} {m[3]}, {m[4]}{_align('', m[5], m[2])}{m[6].replace(',', '', 1)}"
    if word == "allo" and (m := _ALLOCA.match(body)) and str(_ALIGN.get(m[1], "")) == m[2]:
        return f"alloca {m[1]}"
    if word.startswith("br "):
        if m := _BR.match(body):
            return f"br {m[1]}{m[2].replace(',', '', 1)}"
        if m := _COND.match(body):
            return f"br {m[1]} {m[2]} {m[3]}{m[4].replace(',', '', 1)}"
    if word == "swit" and (m := _SWITCH.match(body)):
        cases = ", ".join(f"{value} {label}" for value, label in _CASE.findall(m[4]))
        return f"switch {m[1]} {m[2]} {m[3]} [{cases}]{m[5].replace(',', '', 1)}"
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


def _comma(tail: str) -> str:
    return f",{tail}" if tail and not tail.startswith(",") else tail


_CALL_START = re.compile(r"(?:(?:tail|musttail|notail) )?(?:call|invoke) ")
_VERBATIM = "'"  # begins a line that is as LLVM prints it


def _logical_lines(text: str) -> Iterator[str]:
    """Lines as LLVM prints them, with what continues a line behind it, and without comments and blank ones."""
    held = ""
    for line in text.splitlines():
        if not line or line.startswith(";"):
            continue
        if held and (line.startswith("    ") or line.startswith("  ]")):
            held += f" {line.strip()}"
            continue
        if held:
            yield held
        label = re.match(rf"({_NAME}):(?: +;.*)?$", line)
        held = f"{label[1]}:" if label else line.rstrip()
    if held:
        yield held


_NUMBERED = re.compile(_OUTSIDE + r"!(\d+)\b")
_REFERENCE = re.compile(_OUTSIDE + r"!([a-z][\w.]*) !(\d+)\b|!(\d+)\b")
_NAMED = re.compile(_OUTSIDE + r"!([a-z]\w*)\b(?! !| =)")
_GROUP = re.compile(_OUTSIDE + r" #(\d+)\b")


def _sub(pattern: re.Pattern[str], text: str, replace: Callable[[re.Match[str]], str]) -> str:
    """Replace outside of strings."""
    return pattern.sub(lambda m: m.group() if m.group().startswith('"') else replace(m), text)


@dataclass
class _Metadata:
    """The nodes of a module, and the short names and numbers that the kept ones get."""

    nodes: dict[int, str]
    language: str = ""
    names: dict[int, str] = field(default_factory=dict)  # type nodes by short name
    tags: dict[int, str] = field(default_factory=dict)  # access tags of those
    loops: frozenset[int] = frozenset()
    numbers: dict[int, int] = field(default_factory=dict)
    order: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        nodes = self.nodes
        roots = {number: _ROOTS[text[4:-2]] for number, text in nodes.items() if text[4:-2] in _ROOTS}
        if len(roots) == 1:
            (root, self.language), = roots.items()
            for number, text in nodes.items():
                match = re.fullmatch(r'!\{!"([^"]+)", !(\d+), i64 0\}', text)
                if match and int(match[2]) == root and match[1] in ("omnipotent char", "vtable pointer"):
                    self.names[number] = _SHORT[match[1]]
            char = next((number for number, name in self.names.items() if name == "char"), None)
            for number, text in nodes.items():
                match = re.fullmatch(r'!\{!"([^"]+)", !(\d+), i64 0\}', text)
                if match and int(match[2]) == char and match[1] in _SHORT:
                    self.names[number] = _SHORT[match[1]]
            for number, text in nodes.items():
                match = re.fullmatch(r"!\{!(\d+), !(\d+), i64 0\}", text)
                if match and match[1] == match[2] and int(match[1]) in self.names:
                    self.tags[number] = self.names[int(match[1])]
        usual = {number for number, text in nodes.items() if text == f"!{{{_LOOP[0]}}}"}
        self.loops = frozenset(number for number, text in nodes.items()
                               if any(text == f"distinct !{{!{number}, !{other}}}" for other in usual))

    def number(self, old: int) -> str:
        if old not in self.numbers:
            self.numbers[old] = len(self.numbers)
            self.order.append(old)
        return f"!{self.numbers[old]}"

    def shorten(self, text: str) -> str:
        """A line with the new names and numbers."""
        if "!" not in text:
            return text

        def attached(match: re.Match[str]) -> str:
            kind, old = match[1], int(match[2])
            if kind == "tbaa" and old in self.tags:
                return f"!{self.tags[old]}"
            if kind == "llvm.loop" and old in self.loops:
                return "!loop"
            return f"!t{self.number(old)[1:]}" if kind == "tbaa" else f"!{kind} {self.number(old)}"

        text = re.sub(r", !srcloc !\d+", "", text)
        # Both kinds at once: a new number must not be read as an old one.
        return _sub(_REFERENCE, text, lambda m: attached(m) if m[1] else self.number(int(m[3])))

    def lines(self) -> list[str]:
        """The kept nodes, in the order of their first use."""
        out = []
        for old in self.order:  # grows on the way
            text = self.nodes.get(old, "!{}")

            def reference(match: re.Match[str]) -> str:
                number = int(match[1])
                return f"!{self.names[number]}" if number in self.names else self.number(number)

            if re.match(r"(?:distinct )?!\{", text):
                text = re.sub(r"^(distinct )?!\{", r"\1{", text)
                text = _sub(re.compile(_OUTSIDE + r"\bi64 (?=-?\d)"), text, lambda _: "")
            out.append(f"!{self.numbers[old]} = {_sub(_NUMBERED, text, reference)}")
        return out


def compact(text: str) -> str:
    """A module in the compact form; see the top of this file. The text must be as LLVM prints it."""
    groups: dict[str, tuple[str, ...]] = {}
    nodes: dict[int, str] = {}
    named: dict[str, str] = {}
    lines: list[str] = []
    for line in _logical_lines(text):
        if line.startswith("attributes #"):
            name, _, listed = line.removeprefix("attributes ").partition(" = { ")
            found = _ATTRIBUTE.findall(listed.rstrip(" }"))
            groups[name] = tuple(re.sub(r"^(\w+)=(\d+)$", r"\1(\2)", word) for word in found)
        elif match := re.match(r"!(\d+) = (.*)$", line):
            nodes[int(match[1])] = match[2]
        elif match := re.match(r"!([\w.]+) = (!\{.*\})$", line):
            named[match[1]] = match[2]
        else:
            lines.append(line)
    named.pop("llvm.ident", None)
    metadata = _Metadata(nodes)
    flags = _flags(named.pop("llvm.module.flags", ""), nodes, named)
    header = _header(lines)
    body: list[str] = []
    declarations: list[str] = []
    told: dict[str, tuple[str, tuple[str, ...]]] = {}
    for line in lines:
        if line.startswith(("source_filename", "target ")):
            continue
        if line.startswith("declare "):
            declarations.append(line)
        elif line.startswith("define "):
            body.append(_short_header(metadata.shorten(line), groups, _DEFINITION))
        elif line.startswith("  "):
            body.append(_short_line(metadata.shorten(line.strip()), groups, told))
        elif line.startswith("@"):
            body.append(_short_global(metadata.shorten(line)))
        elif line.startswith("%"):
            body.append(re.sub(r" = type (?=[<{])", " = ", line))
        else:
            body.append(line)
    for line in declarations:
        if not _is_told(line, groups, told):
            body.append(_short_header(metadata.shorten(line), groups, _DECLARATION))
    rest = [f"!{name} = {metadata.shorten(value)}" for name, value in named.items()]
    rest += metadata.lines()
    language = [f"tbaa {metadata.language}"] if metadata.language == "c++" else []
    return "\n".join([*header, *flags, *language, *body, *rest]) + "\n"


def _header(lines: list[str]) -> list[str]:
    found = dict(re.findall(r'^target (triple|datalayout) = "([^"]*)"', "\n".join(lines), re.MULTILINE))
    triple = found.get("triple", "")
    out = [] if triple == X86_64 else [f"target {triple or 'none'}"]
    layout = found.get("datalayout", "")
    return out if layout == LAYOUTS.get(triple, "") else [*out, f"layout {layout or 'none'}"]


def _flags(value: str, nodes: dict[int, str], named: dict[str, str]) -> list[str]:
    """The line for the module's flags; in `named` they stay when one is unusual."""
    found = []
    for number in re.findall(r"!(\d+)", value):
        match = re.fullmatch(r'!\{i32 (\d+), !"([^"]+)", i32 (\d+)\}', nodes.get(int(number), ""))
        if match is None or _FLAGS.get(match[2]) != int(match[1]):
            named["llvm.module.flags"] = value
            return []
        found.append((match[2], int(match[3])))
    usual = next((name for name, known in _FLAG_SETS.items() if known == tuple(found)), None)
    if usual is not None:
        return [f"flags {usual}"] if usual else []
    return [f"flags {', '.join(f'{name} {number}' for name, number in found)}"]


def _take_group(rest: str, groups: dict[str, tuple[str, ...]]) -> tuple[str, tuple[str, ...]]:
    """What follows a parenthesis without its attribute group, and the group."""
    match = re.match(r"((?: (?:local_)?unnamed_addr)?) #(\d+)\b", rest)
    if match is None:
        return rest, ()
    return match[1] + rest[match.end() :], groups.get(f"#{match[2]}", ())


def _place(rest: str, text: str) -> str:
    """Attributes where LLVM's parser takes them."""
    match = re.match(r"(?: (?:local_)?unnamed_addr)?", rest)
    end = match.end() if match else 0
    return rest[:end] + text + rest[end:]


def _short_header(line: str, groups: dict[str, tuple[str, ...]], base: tuple[str, ...]) -> str:
    """A definition's first line, or a declaration."""
    call = _take_call(line)
    if call is None:
        return _VERBATIM + _inline_groups(line, groups)
    rest, attributes = _take_group(call.rest, groups)
    if not call.intrinsic:
        arguments: Iterable[str] = map(_without_noundef, call.arguments)
    else:
        arguments = call.arguments
    short = call.text(arguments, _place(rest, _difference(attributes, base)))
    full, found = _long_header(short, base)
    wanted = call.text(map(_noundef_first, call.arguments), rest)
    return short if (full, set(found)) == (wanted, set(attributes)) else _VERBATIM + _inline_groups(line, groups)


def _long_header(short: str, base: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """The line without attributes of the function, and those."""
    call = _take_call(short)
    if call is None:
        return short, ()
    match = _DIFFERENCE.search(call.rest)
    attributes = _apply(match, base)
    rest = call.rest if match is None else call.rest[: match.start()] + call.rest[match.end() :]
    return call.text(call.arguments if call.intrinsic else map(_with_noundef, call.arguments), rest), attributes


def _inline_groups(line: str, groups: dict[str, tuple[str, ...]]) -> str:
    return _sub(_GROUP, line, lambda m: "".join(f" {name}" for name in groups.get(f"#{m[1]}", ())))


def _short_line(line: str, groups: dict[str, tuple[str, ...]],
                told: dict[str, tuple[str, tuple[str, ...]]]) -> str:
    """An instruction; `told` learns what the first call of a function says about it."""
    result = _RESULT.match(line)
    start, body = (f"{result[1]}=", line[result.end() :]) if result else ("", line)
    wanted = body
    attributes: tuple[str, ...] = ()
    if _CALL_START.match(body):
        call = None if " asm " in body else _take_call(body)
        if call is None:
            return f"{_VERBATIM}{start}{_inline_groups(body, groups)}"
        rest, attributes = _take_group(call.rest, groups)
        if call.intrinsic:
            arguments = shorter = list(call.arguments)
        else:
            arguments = [_noundef_first(argument) for argument in call.arguments]
            shorter = [_without_noundef(argument) for argument in call.arguments]
        wanted = call.text(arguments, rest)
        if call.callee.startswith("@") and call.callee not in told:
            declaration = _declaration_of(_Call(call.head, call.callee, tuple(arguments), rest), attributes)
            if declaration is not None:
                told[call.callee] = declaration
        body = call.text(shorter, _difference(attributes, _base(call)) + rest)
        body = _UNWIND.sub(r" to \1 unwind \2", body)
    short = _shorten(body)
    full, found = _long_line(short)
    if _spaced(full) == _spaced(wanted) and set(found) == set(attributes):
        return start + short
    return f"{_VERBATIM}{start}{_inline_groups(line[result.end() :] if result else line, groups)}"


def _spaced(text: str) -> str:
    return " ".join(text.split())


def _long_line(short: str) -> tuple[str, tuple[str, ...]]:
    """An instruction without its result as LLVM prints it, without the attributes of a call, and those."""
    body = _lengthen(short)
    if not _CALL_START.match(body):
        return body, ()
    call = _take_call(body)
    if call is None:
        return body, ()
    match = _DIFFERENCE.match(call.rest)
    attributes = _apply(match, _base(call))
    rest = call.rest[match.end() :] if match else call.rest
    rest = _SHORT_UNWIND.sub(r" to label \1 unwind label \2", rest)
    return call.text(call.arguments if call.intrinsic else map(_with_noundef, call.arguments), rest), attributes


_STRING = re.compile(r'(@\S+) = private unnamed_addr constant \[(\d+) x i8\] c"([^"]*)\\00", align 1$')
_SHORT_STRING = re.compile(r'(@\S+) = str "([^"]*)"$')


def _characters(text: str) -> int:
    return len(re.sub(r"\\[0-9A-F]{2}|\\\\", ".", text).encode())


def _short_global(line: str) -> str:
    match = _STRING.match(line)
    if match and _characters(match[3]) + 1 == int(match[2]):
        return f'{match[1]} = str "{match[3]}"'
    return line


def _is_told(line: str, groups: dict[str, tuple[str, ...]], told: dict[str, tuple[str, tuple[str, ...]]]) -> bool:
    """Whether a declaration says no more than the first call does."""
    call = _take_call(line)
    known = told.get(call.callee) if call else None
    if call is None or known is None:
        return False
    rest, attributes = _take_group(call.rest, groups)
    if call.intrinsic:
        types = [argument if argument == "..." else argument[: _type_end(argument)] for argument in call.arguments]
        return _bare(call.text(types, "")) == _bare(known[0])
    full = call.text([argument if argument == "..." else _noundef_first(argument) for argument in call.arguments], rest)
    return full == known[0] and set(attributes) == set(known[1])


def _bare(declaration: str) -> str:
    """An intrinsic's declaration without attributes of its result, which LLVM knows."""
    return re.sub(r"(?:noundef|nonnull|signext|zeroext|noalias|align \d+|dereferenceable\(\d+\)) ", "", declaration)


# --- back --------------------------------------------------------------------------------------------------------


def expand(text: str) -> str:
    """IR text that LLVM parses, from the compact form. What is no compact IR comes out as something LLVM refuses."""
    triple, layout, language = X86_64, None, "c"
    flags: tuple[tuple[str, int], ...] = ()
    groups: dict[tuple[str, ...], int] = {}
    told: dict[str, tuple[str, tuple[str, ...]]] = {}
    present: set[str] = set()
    out: list[str] = []
    nodes: list[str] = []
    lines = text.splitlines()
    first = 1 + max((int(number) for number in re.findall(r"!(\d+)", text) if len(number) < 9), default=-1)
    names = _Names(first)

    def group(attributes: tuple[str, ...]) -> str:
        return f" #{groups.setdefault(attributes, len(groups))}" if attributes else ""

    for line in lines:
        word, _, rest = line.partition(" ")
        if line.startswith(_VERBATIM):
            line = names.attachments(line[1:])
            started = line.startswith(("define ", "declare "))
            if started and (call := _take_call(line)):
                present.add(call.callee)
            out.append(line if started else f"  {line}")
        elif word == "target":
            triple = "" if rest == "none" else rest
        elif word == "layout":
            layout = "" if rest == "none" else rest
        elif word == "tbaa":
            language = rest
        elif word == "flags":
            found = [item.rpartition(" ") for item in rest.split(", ")]
            flags = _FLAG_SETS.get(rest) or tuple(
                (name, int(value)) for name, _, value in found if value.isdecimal() and name in _FLAGS)
        elif line.startswith("!"):
            nodes.append(line)
        elif word in ("define", "declare"):
            full, attributes = _long_header(line, _DEFINITION if word == "define" else _DECLARATION)
            call = _take_call(full)
            if call is not None:
                present.add(call.callee)
                full = call.text(call.arguments, _place(call.rest, group(attributes)))
            out.append(names.attachments(full))
        elif line.startswith("@"):
            present.add(line.partition(" = ")[0])
            out.append(names.attachments(_long_global(line)))
        elif re.match(rf"{_LOCAL} = [<{{]", line):
            out.append(line.replace(" = ", " = type ", 1))
        elif line.startswith(("}", "$", "module asm")) or line.endswith(":") or re.match(rf"{_LOCAL} = type ", line):
            out.append(line)
        elif line:
            result = _RESULT.match(line)
            body = line[result.end() :] if result else line
            full, attributes = _long_line(body)
            if _CALL_START.match(full) and (call := _take_call(full)) and " asm " not in call.head:
                if call.callee.startswith("@") and call.callee not in told:
                    declaration = _declaration_of(call, attributes)
                    if declaration is not None:
                        told[call.callee] = declaration
                full = call.text(call.arguments, group(attributes) + call.rest)
            out.append(names.attachments(f"  {result[1]} = {full}" if result else f"  {full}"))
    out += [text + group(attributes) for callee, (text, attributes) in told.items() if callee not in present]
    out += names.nodes(nodes, language)
    if flags:
        start = names.next
        out.append(f"!llvm.module.flags = !{{{', '.join(f'!{start + at}' for at in range(len(flags)))}}}")
        out += [f'!{start + at} = !{{i32 {_FLAGS[name]}, !"{name}", i32 {value}}}'
                for at, (name, value) in enumerate(flags)]
    out += [f"attributes #{number} = {{ {' '.join(attributes)} }}" for attributes, number in groups.items()]
    head = [f'target datalayout = "{layout}"'] if layout else []
    if layout is None and triple in LAYOUTS:
        head = [f'target datalayout = "{LAYOUTS[triple]}"']
    head += [f'target triple = "{triple}"'] if triple else []
    return "\n".join([*head, *out]) + "\n"


def _long_global(line: str) -> str:
    match = _SHORT_STRING.match(line)
    if match is None:
        return line
    count = _characters(match[2]) + 1
    return f'{match[1]} = private unnamed_addr constant [{count} x i8] c"{match[2]}\\00", align 1'


class _Names:
    """Numbers for the metadata that has short names."""

    def __init__(self, first: int) -> None:
        self.next = first
        self.types: dict[str, int] = {}
        self.tags: dict[str, int] = {}
        self.loops: list[int] = []

    def take(self) -> int:
        self.next += 1
        return self.next - 1

    def attachments(self, line: str) -> str:
        if "!" not in line:
            return line

        def replace(match: re.Match[str]) -> str:
            name = match[1]
            if name == "loop":
                self.loops.append(self.take())
                return f"!llvm.loop !{self.loops[-1]}"
            if re.fullmatch(r"t\d+", name):
                return f"!tbaa !{name[1:]}"
            if name not in _SCALARS:
                return match.group()
            if name not in self.tags:
                self.tags[name] = self.take()
            return f"!tbaa !{self.tags[name]}"

        return _sub(_NAMED, line, replace)

    def type(self, name: str) -> str:
        if name not in self.types:
            self.types[name] = self.take()
        return f"!{self.types[name]}"

    def nodes(self, lines: list[str], language: str) -> list[str]:
        """The module's nodes, those of short names included."""
        out = []

        def named(match: re.Match[str]) -> str:
            return self.type(match[1]) if match[1] in _SCALARS else match.group()

        for line in lines:
            match = re.match(r"(!\d+) = (distinct )?\{(.*)\}$", line)
            if match is None:
                out.append(line)
                continue
            items = [f"i64 {item}" if re.fullmatch(r"-?\d+", item) else _sub(_NAMED, item, named)
                     for item in split_top(match[3])]
            out.append(f"{match[1]} = {match[2] or ''}!{{{', '.join(items)}}}")
        out += [f"!{number} = !{{{self.type(name)}, {self.type(name)}, i64 0}}" for name, number in self.tags.items()]
        if self.types:
            root = self.take()
            char = self.type("char")
            spelled = next((name for name, short in _ROOTS.items() if short == language), "Simple C/C++ TBAA")
            out.append(f'!{root} = !{{!"{spelled}"}}')
            for name, number in self.types.items():
                parent = f"!{root}" if name in ("char", "vptr") else char
                out.append(f'!{number} = !{{!"{_SCALARS[name]}", {parent}, i64 0}}')
        if self.loops:
            progress = self.take()
            out.append(f"!{progress} = !{{{_LOOP[0]}}}")
            out += [f"!{number} = distinct !{{!{number}, !{progress}}}" for number in self.loops]
        return out
