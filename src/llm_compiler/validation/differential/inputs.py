"""Inputs: short lists of numbers, from which runtime.c derives all that the code under test can see."""

from __future__ import annotations

import random
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace

LAYERS = 16
BEFORE = 4
PATCHES = 12
_AFTER, _BEFORE, _PATCHES = 0, 1, 2  # what a word below _SEED_FROM says, above its 28 bits of number
_SEED_FROM = 1 << 32
_INPUT = struct.Struct(f"<4I{BEFORE}I{LAYERS}Q")
_PATCH = struct.Struct("<QIIQ")
_NO_PATCH = _PATCH.pack(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Patch:
    """What stands at a place instead of what is drawn: the low `size` bytes (1 to 8) of `value`, `offset` bytes into
    what `path` (a number of runtime.c's) leads to.
    """

    path: int
    offset: int
    size: int
    value: int


@dataclass(frozen=True, slots=True)
class Input:
    """layers: seeds, each of which decides some of the places anew. before: entries called first, which share objects
    with what follows; after: one called next, or -1.
    """

    layers: tuple[int, ...]
    before: tuple[int, ...] = ()
    after: int = -1
    patches: tuple[Patch, ...] = ()

    @staticmethod
    def drawn(random_: random.Random) -> Input:
        return Input((_seed(random_),))

    def varied(self, random_: random.Random) -> Input:
        """With a layer more, which moves an eighth of the places."""
        return replace(self, layers=(*self.layers[: LAYERS - 1], _seed(random_)))

    @property
    def others(self) -> frozenset[int]:
        """Entries that are called besides the one that the input is of."""
        return frozenset((*self.before, self.after) if self.after >= 0 else self.before)

    def patched(self, patches: Sequence[Patch]) -> Input | None:
        """With other bytes at some places; None when these are too many."""
        taken = {(patch.path, patch.offset) for patch in patches}
        kept = [patch for patch in self.patches if (patch.path, patch.offset) not in taken]
        found = (*kept, *patches)
        return replace(self, patches=found) if len(found) <= PATCHES else None

    @property
    def words(self) -> tuple[int, ...]:
        """The input as numbers, to be printed and read again."""
        words = [*self.layers, *(_BEFORE << 28 | entry for entry in self.before)]
        if self.patches:
            words.append(_PATCHES << 28 | len(self.patches))
            for patch in self.patches:
                words += [patch.path, patch.size << 32 | patch.offset, patch.value]
        if self.after >= 0:
            words.append(self.after)
        return tuple(words)

    @staticmethod
    def parse(words: Sequence[int]) -> Input:
        """What `words` gave. Raises ValueError for what it never gives."""
        layers: list[int] = []
        before: list[int] = []
        after = -1
        patches: list[Patch] = []
        rest = iter(words)
        for word in rest:
            kind, number = word >> 28, word & (1 << 28) - 1
            if word >= _SEED_FROM:
                layers.append(word)
            elif kind == _AFTER:
                after = number
            elif kind == _BEFORE:
                before.append(number)
            elif kind == _PATCHES:
                for _ in range(number):
                    path, where, value = (next(rest, -1) for _ in range(3))
                    patches.append(Patch(path, where & 0xFFFFFFFF, where >> 32, value))
            else:
                raise ValueError(f"{word:x} is no part of an input")
        numbers = [*layers, *(number for patch in patches for number in (patch.path, patch.size, patch.value))]
        if not layers or len(layers) > LAYERS or len(before) > BEFORE or len(patches) > PATCHES or not all(
                0 <= number < 1 << 64 for number in numbers):
            raise ValueError("not an input")
        return Input(tuple(layers), tuple(before), after, tuple(patches))

    def packed(self) -> bytes:
        """runtime.c's struct input."""
        head = _INPUT.pack(len(self.layers), self.after + 1, len(self.before), len(self.patches),
                           *_padded(self.before, BEFORE), *_padded(self.layers, LAYERS))
        body = b"".join(_PATCH.pack(item.path, item.offset, item.size, item.value) for item in self.patches)
        return head + body + _NO_PATCH * (PATCHES - len(self.patches))


def _padded(numbers: Sequence[int], count: int) -> list[int]:
    return [*numbers, *[0] * (count - len(numbers))]


def _seed(random_: random.Random) -> int:
    return random_.getrandbits(64) | _SEED_FROM
