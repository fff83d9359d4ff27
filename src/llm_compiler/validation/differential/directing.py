"""Inputs that meet what the code asks for: made from what a traced run looked at, and what it compared that with.

After Aschermann et al., "REDQUEEN: Fuzzing with Input-to-State Correspondence" (NDSS 2019).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from llm_compiler.validation.differential.inputs import Input, Patch
from llm_compiler.validation.interface import Kind

_COMPARED, _LOADED, _BYTES = 1, 2, 3
_TRIES = 2  # inputs for one way to change what one instruction looks at
_WANTED = 6  # values that one comparison may want
# So much more is the same in 8 or 16 bits, so that a cut shows; as a count the first is too many for some loops.
_BEYOND = (0x10000, 0x100)
_REAL = (Kind.FLOAT, Kind.DOUBLE)
_REALS = (float("nan"), 0.0, -1.0, 1e10)


@dataclass(frozen=True, slots=True)
class Hint:
    """A value of the input that the code looked at, `size` bytes at a place. where: in the code; wanted: what it was
    compared with; hints of a group (not 0) belong together.
    """

    where: int
    path: int
    value: int
    wanted: int
    offset: int
    type: int
    kind: int
    size: int
    group: int

    def patch(self, value: int) -> Patch:
        return Patch(self.path, self.offset, self.size, value & (1 << 8 * self.size) - 1)


class Director:
    """Makes inputs of one function from hints; a way to change what an instruction looks at is tried a few times in
    each order of calls.
    """

    def __init__(self) -> None:
        self._tried: dict[tuple[tuple[int, ...], int, tuple[int, ...]], int] = {}
        self._wanted: dict[int, set[int]] = {}

    def exact(self, base: Input, hints: Sequence[Hint]) -> Iterator[Input]:
        """Inputs that hold what `base` was compared with."""
        groups: dict[int, list[Hint]] = {}
        for hint in hints:
            if hint.type == _BYTES:
                groups.setdefault(hint.group, []).append(hint)
        for group in groups.values():
            if self._new(base, _TRIES, _BYTES, group[0].where, hash(tuple(hint.wanted for hint in group))):
                yield from _made(base, [hint.patch(hint.wanted) for hint in group])
        yield from self._stepped(base, hints, (0,))

    def around(self, base: Input, hints: Sequence[Hint]) -> Iterator[Input]:
        """Inputs that hold what is next to that, or equals it but for high bits."""
        yield from self._stepped(base, hints, (1, -1, *_BEYOND))

    def _stepped(self, base: Input, hints: Sequence[Hint], steps: Sequence[int]) -> Iterator[Input]:
        for hint in hints:
            if hint.type != _COMPARED:
                continue
            values = self._wanted.setdefault(hint.where, set())
            if len(values) >= _WANTED and hint.wanted not in values:
                continue
            values.add(hint.wanted)
            met = hint.wanted == hint.value
            for step in steps:
                if abs(step) >> 8 * hint.size - 1 or hint.wanted + step == hint.value:
                    continue
                # What equals but for high bits shows only where the equal one gets through all that follows.
                limit = _TRIES * (1 if not met else 6 if step in _BEYOND else 2)
                if self._new(base, limit, _COMPARED, hint.where, hint.wanted, step, met):
                    yield from _made(base, [hint.patch(hint.wanted + step)])

    def neighbours(self, base: Input, hints: Sequence[Hint]) -> Iterator[Input]:
        """Inputs with one value that the code loads, or is handed, changed so that it tells how much of it matters."""
        last: dict[tuple[int, int], Hint] = {}
        for hint in hints:
            if hint.type != _LOADED:
                continue
            values = _neighbours(hint)
            if hint.kind in _REAL:  # comparisons of reals are not told: the one before may be the other side
                other = last.get((hint.kind, hint.size))
                values += [other.value] if other is not None else []
                last[hint.kind, hint.size] = hint
            for number, value in enumerate(values):
                if self._new(base, _TRIES, _LOADED, hint.where, number):
                    yield from _made(base, [hint.patch(value)])

    def _new(self, base: Input, limit: int, *key: int) -> bool:
        way = base.before, base.after, key
        tried = self._tried[way] = self._tried.get(way, 0) + 1
        return tried <= limit


def _made(base: Input, patches: Sequence[Patch]) -> Iterator[Input]:
    made = base.patched(patches)
    if made is not None:
        yield made


def _neighbours(hint: Hint) -> list[int]:
    """Values beyond narrower types and of the other sign; null for a pointer, no number for a real."""
    if hint.kind == Kind.POINTER and hint.size == 8:
        return [0]
    if hint.kind in _REAL:
        float_, integer = ("<f", "<I") if hint.size == 4 else ("<d", "<Q")
        return [struct.unpack(integer, struct.pack(float_, real))[0] for real in _REALS]
    top = 1 << (8 * hint.size - 1)
    if hint.size == 1:
        return [hint.value ^ top, 0]
    if hint.size == 2:
        return [hint.value ^ top, hint.value + 0x100]
    return [*(hint.value + more for more in _BEYOND), hint.value ^ top]
