"""Gradient-boosted regression trees as a value: trained by LightGBM elsewhere, read and run without it.

A file of the package is a few hundred kilobytes, a prediction a millisecond of plain Python.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from llm_compiler.errors import InputError

_MAGIC = b"llmc trees 1\n"
_LEAF = 0xFFFF
_CATEGORICAL, _MISSING = 1, 12  # bits of LightGBM's decision_type
_ZERO_IS_MISSING = 4


@dataclass(frozen=True)
class Trees:
    """Sums of trees. names: of a row's numbers. roots: of the trees of each output.

    Nodes stand in preorder: a node's left child is the next one. feature: which number of a row a node asks about, -1
    at a leaf. value: at most this goes left; at a leaf, what it adds. right: the other child, 0 at a leaf.
    """

    names: tuple[str, ...]
    roots: tuple[tuple[int, ...], ...]
    feature: tuple[int, ...] = field(repr=False)
    value: tuple[float, ...] = field(repr=False)
    right: tuple[int, ...] = field(repr=False)

    def predict(self, row: Sequence[float], output: int = 0) -> float:
        """What the trees of an output add up to. row: numbers in the order of `names`, none of them NaN."""
        feature, value, right = self.feature, self.value, self.right
        total = 0.0
        for node in self.roots[output]:
            number = feature[node]
            while number >= 0:
                node = node + 1 if row[number] <= value[node] else right[node]
                number = feature[node]
            total += value[node]
        return total

    def outputs(self, row: Sequence[float]) -> list[float]:
        """Every output."""
        return [self.predict(row, output) for output in range(len(self.roots))]

    @classmethod
    def stacked(cls, models: Sequence[Trees]) -> Self:
        """One value whose outputs are those of several, in order. Raises ValueError when their inputs differ."""
        names = models[0].names
        if any(model.names != names for model in models):
            raise ValueError("trees of different inputs cannot be stacked")
        builder = _Builder()
        for model in models:
            start = len(builder.feature)
            builder.feature += model.feature
            builder.value += model.value
            builder.right += (right and right + start for right in model.right)
            builder.roots += ([root + start for root in roots] for roots in model.roots)
        return cls(names, *builder.parts())

    # --- bytes ---

    def to_bytes(self) -> bytes:
        """A compressed form that `from_bytes` reads back to an equal value."""
        splits = [number for number, feature in enumerate(self.feature) if feature >= 0]
        tables: list[list[float]] = [[] for _ in self.names]
        for feature, value in sorted({(self.feature[node], self.value[node]) for node in splits}):
            tables[feature].append(value)
        places = {(feature, value): place for feature, table in enumerate(tables) for place, value in enumerate(table)}
        head = {"names": self.names, "trees": [len(roots) for roots in self.roots], "nodes": len(self.feature),
                "thresholds": [len(table) for table in tables]}
        thresholds = [value for table in tables for value in table]
        leaves = [value for feature, value in zip(self.feature, self.value, strict=True) if feature < 0]
        body = b"".join((
            json.dumps(head).encode() + b"\n",
            struct.pack(f"<{len(thresholds)}d", *thresholds),
            struct.pack(f"<{len(self.feature)}H", *(_LEAF if feature < 0 else feature for feature in self.feature)),
            struct.pack(f"<{len(splits)}H", *(places[self.feature[node], self.value[node]] for node in splits)),
            struct.pack(f"<{len(leaves)}f", *leaves)))
        return _MAGIC + zlib.compress(body, 9)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises InputError for bytes that `to_bytes` did not make."""
        try:
            if not data.startswith(_MAGIC):
                raise ValueError("they do not begin as trees do")
            body = zlib.decompress(data[len(_MAGIC) :])
            line, _, rest = body.partition(b"\n")
            return cls._read(json.loads(line), rest)
        except (ValueError, KeyError, TypeError, IndexError, struct.error, zlib.error, StopIteration,
                RecursionError) as error:
            raise InputError(f"these bytes are no trees: {error}") from error

    @classmethod
    def _read(cls, head: dict[str, Any], rest: bytes) -> Self:
        at = 0

        def take(count: int, letter: str) -> tuple[Any, ...]:
            nonlocal at
            found = struct.unpack_from(f"<{count}{letter}", rest, at)
            at += struct.calcsize(f"<{count}{letter}")
            return found

        tables = [take(count, "d") for count in head["thresholds"]]
        features = take(head["nodes"], "H")
        leaf_count = features.count(_LEAF)
        places, leaves = iter(take(len(features) - leaf_count, "H")), iter(take(leaf_count, "f"))
        builder = _Builder()
        for feature in features:
            if feature == _LEAF:
                builder.leaf(next(leaves))
            else:
                builder.split(feature, tables[feature][next(places)])
        builder.group(head["trees"])
        return cls(tuple(map(str, head["names"])), *builder.parts())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file. Raises InputError."""
        try:
            return cls.from_bytes(path.read_bytes())
        except OSError as error:
            raise InputError(f"the trees {path} cannot be read: {error.strerror}") from error

    # --- LightGBM ---

    @classmethod
    def from_lightgbm(cls, text: str, names: Sequence[str] = ()) -> Self:
        """The trees of `Booster.model_to_string()`: their sum is `predict(…, raw_score=True)`.

        names: of a row's numbers, where LightGBM's own do not serve (it allows no blanks).
        Raises InputError for what is none, and for what is not carried over: categories, zeros as missing values,
        linear leaves, averaging.
        """
        sections = text.split("\nTree=")
        head = _fields(sections[0])
        if "feature_names" not in head or len(sections) < 2:
            raise InputError("this is no model of LightGBM")
        if "average_output" in sections[0].splitlines():
            raise InputError("averages of trees (random forests) are not carried over")
        outputs = int(head.get("num_tree_per_iteration", "1"))
        trees = [_fields(section.partition("\n\n")[0]) for section in sections[1:]]
        builder = _Builder()
        for output in range(outputs):
            for tree in trees[output::outputs]:
                _copy(tree, builder)
        builder.group([len(trees[output::outputs]) for output in range(outputs)])
        return cls(tuple(names) or tuple(head["feature_names"].split()), *builder.parts())


def _fields(section: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in section.splitlines() if "=" in line)


def _copy(tree: dict[str, str], builder: _Builder) -> None:
    """A tree of LightGBM's text into a builder."""
    if tree.get("is_linear", "0") != "0":
        raise InputError("linear trees are not carried over")
    leaves = [float(number) for number in tree["leaf_value"].split()]
    if tree["num_leaves"] == "1":
        builder.leaf(leaves[0])
        return
    features, decisions, left, right = ([int(number) for number in tree[name].split()] for name in (
        "split_feature", "decision_type", "left_child", "right_child"))
    thresholds = [float(number) for number in tree["threshold"].split()]
    if any(kind & _CATEGORICAL or kind & _MISSING == _ZERO_IS_MISSING for kind in decisions):
        raise InputError("categories and zeros as missing values are not carried over")
    waiting = [0]
    while waiting:
        node = waiting.pop()
        if node < 0:
            builder.leaf(leaves[~node])
        else:
            builder.split(features[node], thresholds[node])
            waiting += (right[node], left[node])


class _Builder:
    """Nodes in preorder, one after the other; finds where trees begin and where right children are."""

    def __init__(self) -> None:
        self.feature: list[int] = []
        self.value: list[float] = []
        self.right: list[int] = []
        self.roots: list[list[int]] = []
        self._begun: list[int] = []
        self._open: list[int] = []  # splits whose right child is still to come
        self._whole = True

    def split(self, feature: int, threshold: float) -> None:
        self._add(feature, threshold)
        self._open.append(len(self.feature) - 1)
        self._whole = False

    def leaf(self, value: float) -> None:
        """value: kept as a float of 32 bits."""
        self._add(-1, struct.unpack("<f", struct.pack("<f", value))[0])
        if self._open:
            self.right[self._open.pop()] = len(self.feature)
        else:
            self._whole = True

    def _add(self, feature: int, value: float) -> None:
        if self._whole:
            self._begun.append(len(self.feature))
        self._whole = False
        self.feature.append(feature)
        self.value.append(value)
        self.right.append(0)

    def group(self, counts: Sequence[int]) -> None:
        """Give the trees to outputs, so many to each."""
        if self._open or not self._whole or sum(counts) != len(self._begun):
            raise ValueError("a tree is cut off")
        begun: Iterator[int] = iter(self._begun)
        self.roots = [[next(begun) for _ in range(count)] for count in counts]

    def parts(self) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...], tuple[float, ...], tuple[int, ...]]:
        return tuple(map(tuple, self.roots)), tuple(self.feature), tuple(self.value), tuple(self.right)
