"""Small changes to pass lists: where the leaves of the tree stand, and what can be done to them.

Every edit keeps the nesting valid: a pass is only put among passes of its own level.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from llm_compiler.llvm.pipeline import Pass, PassList

Path = tuple[int, ...]
"""Where an element stands: its index in the pass list, then in each nested list."""

_LEVEL_INSIDE = {"module": "module", "cgscc": "cgscc", "devirt": "cgscc", "function": "function", "loop": "loop",
                 "loop-mssa": "loop-mssa"}


@dataclass(frozen=True, slots=True)
class Slot:
    """An element, where it stands, and the level of the list that it stands in."""

    path: Path
    level: str
    item: Pass


def slots(passes: PassList) -> list[Slot]:
    """Every element, adaptors included."""
    return list(_slots(passes.passes, (), "module"))


def _slots(items: tuple[Pass, ...], prefix: Path, level: str) -> Iterator[Slot]:
    for index, item in enumerate(items):
        path = (*prefix, index)
        yield Slot(path, level, item)
        if item.children:
            yield from _slots(item.children, path, _LEVEL_INSIDE.get(item.name, level))


def replace(passes: PassList, path: Path, new: tuple[Pass, ...]) -> PassList:
    """The list with the element at `path` replaced by `new`; adaptors that become empty go too."""
    return PassList(_replace(passes.passes, path, new))


def _replace(items: tuple[Pass, ...], path: Path, new: tuple[Pass, ...]) -> tuple[Pass, ...]:
    index, rest = path[0], path[1:]
    item = items[index]
    if rest:
        children = _replace(item.children, rest, new)
        new = (Pass(item.name, item.parameters, children),) if children else ()
    return items[:index] + new + items[index + 1 :]


def drop(passes: PassList, path: Path) -> PassList:
    return replace(passes, path, ())


def siblings(passes: PassList, path: Path) -> tuple[Pass, ...]:
    """The list that the element at `path` stands in."""
    items = passes.passes
    for index in path[:-1]:
        items = items[index].children
    return items


def swap(passes: PassList, path: Path) -> PassList:
    """Exchange the element with the one after it; the list unchanged when there is none."""
    items = siblings(passes, path)
    index = path[-1]
    if index + 1 >= len(items):
        return passes
    swapped = (*items[:index], items[index + 1], items[index], *items[index + 2 :])
    if len(path) == 1:
        return PassList(swapped)
    parent = siblings(passes, path[:-1])[path[-2]]
    return replace(passes, path[:-1], (Pass(parent.name, parent.parameters, swapped),))


def leaves(passes: PassList) -> list[Slot]:
    """Passes without what holds them; elements that only prepare analyses are left out."""
    return [slot for slot in slots(passes)
            if not slot.item.children and slot.item.name not in ("require", "invalidate")]
