"""First lines of definitions and declarations, and the declarations that go without saying, as a call tells them."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from dataclasses import dataclass

from llm_compiler.tasks.compact.attributes import (
    DIFFERENCE,
    STRINGS,
    Attributes,
    Groups,
    apply,
    difference,
    inline_groups,
    noundef_first,
    place,
    take_group,
    with_noundef,
    without_noundef,
)
from llm_compiler.tasks.compact.syntax import VERBATIM, Call, parse_call, split_top, type_end

_CALL_WORDS = re.compile(r"^(?:%[^=]*= )?(?:(?:tail|musttail|notail) )?(?:call|invoke) ")
_FAST_MATH = re.compile(r"\b(?:nnan|ninf|nsz|arcp|contract|afn|reassoc|fast) ")
_FUNCTION_TYPE = re.compile(r"(.*) \((.*)\) $")
_RESULT_ATTRIBUTE = r"(?:noundef|nonnull|signext|zeroext|noalias|align \d+|dereferenceable\(\d+\)) "
_RESULT_ATTRIBUTES = re.compile(rf"^(?:{_RESULT_ATTRIBUTE})+")
_ARGUMENT_WORD = re.compile(r"(align \d+|[a-z_]\w*(?:\((?:[^()]|\([^()]*\))*\))?)(?: |$)")
_PARAMETER_ATTRIBUTES = frozenset({
    "noundef", "nonnull", "nocapture", "readonly", "readnone", "writeonly", "signext", "zeroext", "inreg", "noalias",
    "dereferenceable", "dereferenceable_or_null", "sret", "byval", "returned", "nest", "immarg", "nofree", "allocptr",
    "allocalign", "swiftself", "swifterror", "swiftasync", "inalloca", "preallocated", "elementtype", "byref",
})


# --- headers -----------------------------------------------------------------------------------------------------


def short_header(line: str, groups: Groups, base: Attributes) -> str:
    """A definition's first line, or a declaration. base: the attributes that go without saying."""
    call = parse_call(line)
    if call is None:
        return VERBATIM + inline_groups(line, groups)
    rest, attributes = take_group(call.rest, groups)
    arguments = call.arguments if call.intrinsic else map(without_noundef, call.arguments)
    short = call.text(arguments, place(rest, difference(attributes, base)))
    full, found = long_header(short, base)
    wanted = call.text(map(noundef_first, call.arguments), rest)
    return short if (full, set(found)) == (wanted, set(attributes)) else VERBATIM + inline_groups(line, groups)


def long_header(short: str, base: Attributes) -> tuple[str, Attributes]:
    """The line without attributes of the function, and those."""
    call = parse_call(short)
    if call is None:
        return short, ()
    match = DIFFERENCE.search(call.rest)
    rest = call.rest if match is None else call.rest[: match.start()] + call.rest[match.end() :]
    arguments = call.arguments if call.intrinsic else map(with_noundef, call.arguments)
    return call.text(arguments, rest), apply(match, base)


# --- declarations that calls tell --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Declaration:
    """text: without attributes of the function, which are `attributes`."""

    text: str
    attributes: Attributes


class Told:
    """What the first call of every function says of its declaration."""

    def __init__(self) -> None:
        self._by_callee: dict[str, Declaration] = {}

    def learn(self, call: Call, attributes: Attributes) -> None:
        """attributes: of the call. Its arguments have `noundef` first."""
        if call.callee.startswith("@") and call.callee not in self._by_callee:
            self._by_callee[call.callee] = _declaration_of(call, attributes)

    def tells(self, line: str, groups: Groups) -> bool:
        """Whether a declaration says no more than the first call does."""
        call = parse_call(line)
        known = self._by_callee.get(call.callee) if call else None
        if call is None or known is None:
            return False
        if call.intrinsic:
            types = [argument if argument == "..." else argument[: type_end(argument)] for argument in call.arguments]
            return _bare(call.text(types, "")) == _bare(known.text)
        rest, attributes = take_group(call.rest, groups)
        full = call.text(map(noundef_first, call.arguments), rest)
        return full == known.text and set(attributes) == set(known.attributes)

    def missing(self, present: Container[str]) -> Iterator[Declaration]:
        """Declarations of the functions that are not present."""
        return (declaration for callee, declaration in self._by_callee.items() if callee not in present)


def _declaration_of(call: Call, attributes: Attributes) -> Declaration:
    head = _FAST_MATH.sub("", _CALL_WORDS.sub("", call.head))
    variadic = False
    count = len(call.arguments)
    typed = _FUNCTION_TYPE.match(head)
    if typed:
        parameters = split_top(typed.group(2))
        variadic = bool(parameters) and parameters[-1] == "..."
        head = f"{typed.group(1)} "
        count = len(parameters) - variadic
    parameter = _type_of if call.intrinsic else _parameter_of
    shapes = [parameter(argument) for argument in call.arguments[:count]] + ["..."] * variadic
    if call.intrinsic:
        # LLVM itself knows the attributes; those of the call's result are the call's own.
        return Declaration(f"declare {_RESULT_ATTRIBUTES.sub('', head)}{call.callee}({', '.join(shapes)})", ())
    return Declaration(f"declare {head}{call.callee}({', '.join(shapes)})", (*attributes, *STRINGS))


def _type_of(argument: str) -> str:
    return argument[: type_end(argument)]


def _parameter_of(argument: str) -> str:
    """An argument's type and attributes."""
    end = type_end(argument)
    kept, rest = [argument[:end]], argument[end:].strip()
    while match := _ARGUMENT_WORD.match(rest):
        if match.group(1).split("(")[0] not in _PARAMETER_ATTRIBUTES and not match.group(1).startswith("align "):
            break
        kept.append(match.group(1))
        rest = rest[match.end() :]
    return " ".join(kept)


def _bare(declaration: str) -> str:
    """An intrinsic's declaration without attributes of its result, which LLVM knows."""
    return re.sub(_RESULT_ATTRIBUTE, "", declaration)
