"""Types in IR text: where one ends, and how many bytes it takes on a 64-bit target."""

from __future__ import annotations

import re
from collections.abc import Mapping

_SCALARS = {"ptr": (8, 8), "float": (4, 4), "double": (8, 8), "half": (2, 2), "bfloat": (2, 2), "x86_fp80": (16, 16),
            "fp128": (16, 16)}
_INTEGER = re.compile(r"i\d+")
_SEQUENCE = re.compile(r"[\[<](\d+) x (.*)[\]>]")


def type_end(text: str, at: int) -> int:
    """Where the type that begins at `at` ends, parameters of a function type included."""
    depth = 0
    quoted = False
    for index in range(at, len(text)):
        char = text[index]
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "[{<(":
            depth += 1
        elif char in "]}>)":
            depth -= 1
        elif depth == 0 and char in " ,":
            if char == " " and text.startswith((" (", " addrspace("), index):
                continue
            return index
    return len(text)


class TypeSizes:
    """Sizes of types, those with a name by their bodies in `types`; each is measured once."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = types
        self._layouts: dict[str, tuple[int, int] | None] = {}

    def size(self, type_: str) -> int | None:
        """Bytes; None for a type whose layout is not known."""
        found = self._layout(type_)
        return found[0] if found else None

    def _layout(self, type_: str) -> tuple[int, int] | None:
        """Bytes and alignment."""
        if type_ not in self._layouts:
            self._layouts[type_] = None  # of a type that holds itself
            self._layouts[type_] = self._measure(type_)
        return self._layouts[type_]

    def _measure(self, type_: str) -> tuple[int, int] | None:
        if scalar := _SCALARS.get(type_):
            return scalar
        if _INTEGER.fullmatch(type_):
            size = 1 << max(0, ((int(type_[1:]) + 7) // 8 - 1).bit_length())
            return size, min(size, 16)
        if type_[:1] == "%":
            return self._layout(self._types[type_]) if type_ in self._types else None
        if sequence := _SEQUENCE.fullmatch(type_):
            element = self._layout(sequence.group(2))
            return (int(sequence.group(1)) * element[0], element[1]) if element else None
        return self._structure(type_) if type_[:1] in ("{", "<") else None

    def _structure(self, type_: str) -> tuple[int, int] | None:
        packed = type_.startswith("<{")
        size, widest = 0, 1
        for member in _members(type_.strip("<>").removeprefix("{").removesuffix("}").strip()):
            found = self._layout(member)
            if found is None:
                return None
            align = 1 if packed else found[1]
            size = -(-size // align) * align + found[0]
            widest = max(widest, align)
        return -(-size // widest) * widest, widest


def _members(text: str) -> list[str]:
    found, at = [], 0
    while at < len(text):
        end = type_end(text, at)
        found.append(text[at:end])
        at = end + 2
    return found
