"""Metadata: clang's usual TBAA tags and loops by short names, all else numbered anew; and back."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from llm_compiler.tasks.compact.syntax import QUOTED, replace_unquoted, split_top

LANGUAGES = {"Simple C/C++ TBAA": "c", "Simple C++ TBAA": "c++"}
"""Roots of clang's type trees."""

_TYPES = {
    "char": "omnipotent char", "p": "any pointer", "int": "int", "long": "long", "short": "short", "ll": "long long",
    "float": "float", "double": "double", "bool": "bool", "enum": "enum", "i128": "__int128", "ld": "long double",
    "vptr": "vtable pointer",
}
_SHORT = {name: short for short, name in _TYPES.items()}
_BELOW_ROOT = ("char", "vptr")  # all other types are below char
_PROGRESS = '!{!"llvm.loop.mustprogress"}'

_NUMBERED = re.compile(QUOTED + r"!(\d+)\b")
_REFERENCE = re.compile(QUOTED + r"!([a-z][\w.]*) !(\d+)\b|!(\d+)\b")
_NAMED = re.compile(QUOTED + r"!([a-z]\w*)\b(?! !| =)")
_OFFSET = re.compile(QUOTED + r"\bi64 (?=-?\d)")
_TYPE_NODE = re.compile(r'!\{!"([^"]+)", !(\d+), i64 0\}')
_TAG_NODE = re.compile(r"!\{!(\d+), !(\d+), i64 0\}")


# --- shorter -----------------------------------------------------------------------------------------------------


class ShortMetadata:
    """The nodes of a module, and the short names and numbers that the kept ones get.

    language: of the type tree, `c` or `c++`; empty without one, or with several.
    """

    def __init__(self, nodes: Mapping[int, str]) -> None:
        self.language = ""
        self._nodes = nodes
        self._types: dict[int, str] = {}  # type nodes by short name
        self._tags: dict[int, str] = {}  # access tags of those
        self._numbers: dict[int, int] = {}
        self._order: list[int] = []
        self._name_types()
        progress = {number for number, text in nodes.items() if text == _PROGRESS}
        self._loops = frozenset(number for number, text in nodes.items()
                                if any(text == f"distinct !{{!{number}, !{other}}}" for other in progress))

    def _name_types(self) -> None:
        roots = {number: LANGUAGES[text[4:-2]] for number, text in self._nodes.items() if text[4:-2] in LANGUAGES}
        if len(roots) != 1:
            return
        (root, self.language), = roots.items()
        self._name_below(root, [_TYPES[name] for name in _BELOW_ROOT])
        char = next((number for number, name in self._types.items() if name == "char"), None)
        self._name_below(char, _SHORT)
        for number, text in self._nodes.items():
            match = _TAG_NODE.fullmatch(text)
            if match and match[1] == match[2] and int(match[1]) in self._types:
                self._tags[number] = self._types[int(match[1])]

    def _name_below(self, parent: int | None, names: Iterable[str]) -> None:
        for number, text in self._nodes.items():
            match = _TYPE_NODE.fullmatch(text)
            if match and int(match[2]) == parent and match[1] in names:
                self._types[number] = _SHORT[match[1]]

    def shorten(self, text: str) -> str:
        """A line with the new names and numbers."""
        if "!" not in text:
            return text
        text = re.sub(r", !srcloc !\d+", "", text)
        # Both kinds at once: a new number must not be read as an old one.
        return replace_unquoted(_REFERENCE, text, lambda m: self._attachment(m[1], int(m[2])) if m[1]
                                else f"!{self._number(int(m[3]))}")

    def _attachment(self, kind: str, node: int) -> str:
        if kind == "tbaa":
            return f"!{self._tags[node]}" if node in self._tags else f"!t{self._number(node)}"
        return "!loop" if kind == "llvm.loop" and node in self._loops else f"!{kind} !{self._number(node)}"

    def _number(self, node: int) -> int:
        if node not in self._numbers:
            self._numbers[node] = len(self._numbers)
            self._order.append(node)
        return self._numbers[node]

    def lines(self) -> list[str]:
        """The kept nodes, in the order of their first use."""
        out = []
        for node in self._order:  # grows on the way
            text = self._nodes.get(node, "!{}")
            if re.match(r"(?:distinct )?!\{", text):
                text = re.sub(r"^(distinct )?!\{", r"\1{", text)
                text = replace_unquoted(_OFFSET, text, lambda _: "")
            out.append(f"!{self._numbers[node]} = {replace_unquoted(_NUMBERED, text, self._operand)}")
        return out

    def _operand(self, match: re.Match[str]) -> str:
        node = int(match[1])
        return f"!{self._types[node]}" if node in self._types else f"!{self._number(node)}"


# --- back --------------------------------------------------------------------------------------------------------


class LongMetadata:
    """Numbers for the metadata that has short names, from `first` on; `next` is the first that is free."""

    def __init__(self, first: int) -> None:
        self.next = first
        self._types: dict[str, int] = {}
        self._tags: dict[str, int] = {}
        self._loops: list[int] = []

    def _take(self) -> int:
        self.next += 1
        return self.next - 1

    def attachments(self, line: str) -> str:
        """A line with kinds and numbers instead of short names."""
        return replace_unquoted(_NAMED, line, self._attachment) if "!" in line else line

    def _attachment(self, match: re.Match[str]) -> str:
        name = match[1]
        if name == "loop":
            self._loops.append(self._take())
            return f"!llvm.loop !{self._loops[-1]}"
        if re.fullmatch(r"t\d+", name):
            return f"!tbaa !{name[1:]}"
        if name not in _TYPES:
            return match.group()
        if name not in self._tags:
            self._tags[name] = self._take()
        return f"!tbaa !{self._tags[name]}"

    def _type(self, name: str) -> str:
        if name not in self._types:
            self._types[name] = self._take()
        return f"!{self._types[name]}"

    def nodes(self, lines: Iterable[str], language: str) -> list[str]:
        """The module's nodes, those of short names included."""
        out = [self._node(line) for line in lines]
        out += [f"!{number} = !{{{self._type(name)}, {self._type(name)}, i64 0}}"
                for name, number in self._tags.items()]
        if self._types:
            root, char = self._take(), self._type("char")
            spelled = next((name for name, short in LANGUAGES.items() if short == language), "Simple C/C++ TBAA")
            out.append(f'!{root} = !{{!"{spelled}"}}')
            out += [f'!{number} = !{{!"{_TYPES[name]}", {f"!{root}" if name in _BELOW_ROOT else char}, i64 0}}'
                    for name, number in self._types.items()]
        if self._loops:
            progress = self._take()
            out.append(f"!{progress} = {_PROGRESS}")
            out += [f"!{number} = distinct !{{!{number}, !{progress}}}" for number in self._loops]
        return out

    def _node(self, line: str) -> str:
        match = re.match(r"(!\d+) = (distinct )?\{(.*)\}$", line)
        if match is None:
            return line
        items = [f"i64 {item}" if re.fullmatch(r"-?\d+", item) else replace_unquoted(_NAMED, item, self._operand)
                 for item in split_top(match[3])]
        return f"{match[1]} = {match[2] or ''}!{{{', '.join(items)}}}"

    def _operand(self, match: re.Match[str]) -> str:
        return self._type(match[1]) if match[1] in _TYPES else match.group()
