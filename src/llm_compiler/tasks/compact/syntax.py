"""IR text as LLVM prints it: names, lists within brackets, calls, logical lines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

NAME = r'(?:[-\w$.]+|"[^"]*")'
LOCAL = rf"%{NAME}"
GLOBAL = rf"@{NAME}"
TYPE = rf"(?:{LOCAL}|[a-z]\w*|<[^<>]*>|\[[^\[\]]*\]|\{{[^{{}}]*\}})"
VALUE = rf"(?:{LOCAL}|{GLOBAL}|null|undef|poison)"
QUOTED = r'"[^"]*"|'
"""First in an alternation for `replace_unquoted`: what stands in quotes is passed over."""

VERBATIM = "'"
"""Begins a line of compact IR that is as LLVM prints it."""

RESULT = re.compile(rf"({LOCAL}) ?= ?")
CALL_START = re.compile(r"(?:(?:tail|musttail|notail) )?(?:call|invoke) ")
_CALLEE = re.compile(rf"({LOCAL}|{GLOBAL})\(")
_FIRST_TYPE = re.compile(rf"(?:{LOCAL}|[a-z]\w*)")
_LABEL = re.compile(rf"({NAME}):(?: +;.*)?$")


def replace_unquoted(pattern: re.Pattern[str], text: str, replace: Callable[[re.Match[str]], str]) -> str:
    """Replace outside of strings. pattern: an alternation that begins with QUOTED."""
    return pattern.sub(lambda m: m.group() if m.group().startswith('"') else replace(m), text)


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


def type_end(text: str) -> int:
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
class Call:
    """A call, or a function's first line: `head` up to the callee, the arguments, and what follows the parenthesis."""

    head: str
    callee: str
    arguments: tuple[str, ...]
    rest: str

    @property
    def intrinsic(self) -> bool:
        return self.callee.startswith("@llvm.")

    def text(self, arguments: Iterable[str], rest: str) -> str:
        """The line with other arguments and another end."""
        return f"{self.head}{self.callee}({', '.join(arguments)}){rest}"


def parse_call(text: str) -> Call | None:
    """None for what is no call of one name, or has a string before it."""
    match = _CALLEE.search(text)
    if match is None or '"' in text[: match.start()]:
        return None
    end = _closing(text, match.end() - 1)
    if end < 0:
        return None
    return Call(text[: match.start()], match.group(1), tuple(split_top(text[match.end() : end - 1])), text[end:])


def _closing(text: str, start: int) -> int:
    """The place after the parenthesis that closes the one at `start`; -1 when there is none."""
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


def logical_lines(text: str) -> Iterator[str]:
    """Lines as LLVM prints them, with what continues a line behind it, and without comments and blank ones."""
    held = ""
    for line in text.splitlines():
        if not line or line.startswith(";"):
            continue
        if held and line.startswith(("    ", "  ]")):
            held += f" {line.strip()}"
            continue
        if held:
            yield held
        label = _LABEL.match(line)
        held = f"{label[1]}:" if label else line.rstrip()
    if held:
        yield held
