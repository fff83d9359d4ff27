"""Attributes: groups as differences from what clang -Oz gives, and `noundef`, which goes without saying."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llm_compiler.tasks.compact.syntax import QUOTED, Call, replace_unquoted, type_end

Attributes = tuple[str, ...]
Groups = Mapping[str, Attributes]
"""Attribute groups by their name in the module, as `#3`."""

STRINGS = ('"no-trapping-math"="true"', '"stack-protector-buffer-size"="8"', '"target-cpu"="x86-64"',
           '"target-features"="+cmov,+cx8,+fxsr,+mmx,+sse,+sse2,+x87"', '"tune-cpu"="generic"')
DEFINITION = ("minsize", "nounwind", "optsize", "uwtable", '"min-legal-vector-width"="0"', *STRINGS)
DECLARATION = ("minsize", "optsize", *STRINGS)
CALL = ("minsize", "optsize")

DIFFERENCE = re.compile(r' #(d?)\[((?:"[^"]*"|[^\]"])*)\]')
_ATTRIBUTE = re.compile(r'"[^"]*"(?:="[^"]*")?|\w+=\d+|\w+(?:\((?:"[^"]*"|[^()"])*\))?')
_SIGNED = re.compile(rf"([+-])({_ATTRIBUTE.pattern})")
_REFERENCE = re.compile(QUOTED + r" #(\d+)\b")


# --- groups ------------------------------------------------------------------------------------------------------


def parse_group(line: str) -> tuple[str, Attributes]:
    """The name and the attributes of a line `attributes #0 = { … }`."""
    name, _, listed = line.removeprefix("attributes ").partition(" = { ")
    found = _ATTRIBUTE.findall(listed.rstrip(" }"))
    # In a group it is `allocsize=0`, on a function `allocsize(0)`.
    return name, tuple(re.sub(r"^(\w+)=(\d+)$", r"\1(\2)", word) for word in found)


def base_of(call: Call) -> Attributes:
    """What clang -Oz gives a call."""
    return () if call.intrinsic else CALL


def difference(attributes: Attributes, base: Attributes) -> str:
    """What `apply` makes the attributes from; `#d[…]` counts from those of a definition."""
    if set(attributes) == set(base):
        return ""
    if not attributes:
        return " #[]"
    texts = []
    for mark, known in (("", base), ("d", DEFINITION)):
        words = [f"+{name}" for name in attributes if name not in known]
        words += [f"-{name}" for name in known if name not in attributes]
        texts.append(f" #{mark}[{' '.join(words)}]")
    return min(texts, key=len)


def apply(match: re.Match[str] | None, base: Attributes) -> Attributes:
    """The attributes that a match of DIFFERENCE speaks of."""
    if match is None:
        return base
    if match[1]:
        base = DEFINITION
    elif not match[2]:
        return ()
    signed = _SIGNED.findall(match[2])
    removed = {name for sign, name in signed if sign == "-"}
    return (*(name for name in base if name not in removed), *(name for sign, name in signed if sign == "+"))


def take_group(rest: str, groups: Groups) -> tuple[str, Attributes]:
    """What follows a parenthesis without its attribute group, and the group."""
    match = re.match(r"((?: (?:local_)?unnamed_addr)?) #(\d+)\b", rest)
    if match is None:
        return rest, ()
    return match[1] + rest[match.end() :], groups.get(f"#{match[2]}", ())


def place(rest: str, text: str) -> str:
    """Attributes where LLVM's parser takes them."""
    match = re.match(r"(?: (?:local_)?unnamed_addr)?", rest)
    end = match.end() if match else 0
    return rest[:end] + text + rest[end:]


def inline_groups(line: str, groups: Groups) -> str:
    """The line with attributes instead of references to groups."""
    return replace_unquoted(_REFERENCE, line, lambda m: "".join(f" {name}" for name in groups.get(f"#{m[1]}", ())))


# --- noundef -----------------------------------------------------------------------------------------------------


def without_noundef(argument: str) -> str:
    """`ptr noundef %1` as `ptr %1`, and `ptr %1` as `?ptr %1`."""
    if argument == "..." or argument.startswith("metadata"):
        return argument
    end = type_end(argument)
    words = argument[end:]
    found = re.search(r" noundef(?= |$)", words)
    return f"?{argument}" if found is None else argument[:end] + words[: found.start()] + words[found.end() :]


def with_noundef(argument: str) -> str:
    """What `without_noundef` was given, with `noundef` first."""
    if argument == "..." or argument.startswith("metadata"):
        return argument
    if argument.startswith("?"):
        return argument[1:]
    end = type_end(argument)
    return f"{argument[:end]} noundef{argument[end:]}"


def noundef_first(argument: str) -> str:
    """The same argument with `noundef` before its other attributes: their order means nothing."""
    short = without_noundef(argument)
    return argument if short.startswith("?") else with_noundef(short)
