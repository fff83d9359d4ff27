"""Batches of packed rows from a mixture, in an order that a seed decides; their place can be kept and taken up again.

Every process makes the same plan of a step from lengths alone and fills in its own rows, so a step holds the same
documents on one device and on many.
"""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_compiler.errors import InputError
from llm_compiler.training.documents import Documents

IGNORED = -100
"""The target of a token that no loss is taken on, as torch has it."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Tokens start to stop of a document, which a row holds as a whole."""

    source: int
    index: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


Row = list[Piece]


@dataclass(frozen=True)
class Batch:
    """Arrays of rows × context. documents: which document of its row a token is of, from 1; 0 where there is none.
    positions: within the piece. targets: the next token, or IGNORED.
    """

    tokens: npt.NDArray[np.int64]
    targets: npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    documents: npt.NDArray[np.int32]


class Mixture:
    """Documents of several sources without end. Each epoch of a source has an order of its own; sources take turns so
    that their tokens stand to each other as `weights` do.
    """

    def __init__(self, sources: Sequence[Documents], weights: Sequence[float], seed: int) -> None:
        if not sources or len(sources) != len(weights) or any(weight <= 0 for weight in weights):
            raise InputError("a mixture needs sources, each with a weight of more than 0")
        self.sources = list(sources)
        self.weights = list(weights)
        self.seed = seed
        self._epochs = [0] * len(sources)
        self._places = [0] * len(sources)
        self._drawn = [0] * len(sources)
        self._orders: list[npt.NDArray[np.intp] | None] = [None] * len(sources)

    def draw(self) -> tuple[int, int]:
        """The next document: its source and number."""
        source = min(range(len(self.sources)), key=lambda number: self._drawn[number] / self.weights[number])
        documents = self.sources[source]
        if self._places[source] == len(documents):
            self._epochs[source] += 1
            self._places[source] = 0
            self._orders[source] = None
        order = self._orders[source]
        if order is None:
            random = np.random.default_rng([self.seed, source, self._epochs[source]])
            order = self._orders[source] = random.permutation(len(documents))
        index = int(order[self._places[source]])
        self._places[source] += 1
        self._drawn[source] += documents.length(index)
        return source, index

    def state(self) -> dict[str, Any]:
        return {"epochs": list(self._epochs), "places": list(self._places), "drawn": list(self._drawn)}

    def restore(self, state: dict[str, Any]) -> None:
        self._epochs, self._places, self._drawn = (list(state[name]) for name in ("epochs", "places", "drawn"))
        self._orders = [None] * len(self.sources)


class Packer:
    """Plans of steps: `rows` rows of at most `context` tokens, filled by best fit, longest document first.

    A document without a prompt that is longer than a row is cut; one with a prompt is left out, and counted in
    `too_long`, since half an example says nothing.
    """

    def __init__(self, mixture: Mixture, rows: int, context: int) -> None:
        self.mixture = mixture
        self.rows = rows
        self.context = context
        self.too_long = 0
        self._waiting: list[Piece] = []

    def plan(self) -> list[Row]:
        """The rows of the next step. Raises InputError when every document is too long."""
        size = sum(map(len, self._waiting))
        refused = 0
        while size < self.rows * self.context:
            pieces = self._pieces(*self.mixture.draw())
            refused = 0 if pieces else refused + 1
            if refused > 10_000:
                raise InputError(f"10,000 examples on end are longer than {self.context} tokens; raise context")
            self._waiting += pieces
            size += sum(map(len, pieces))
        rows: list[Row] = [[] for _ in range(self.rows)]
        # Rows by what is free in them, least first.
        free = [(self.context, number) for number in range(self.rows)]
        left: list[Piece] = []
        for piece in sorted(self._waiting, key=len, reverse=True):
            at = bisect.bisect_left(free, (len(piece), -1))
            if at == len(free):
                left.append(piece)
                continue
            room, number = free.pop(at)
            rows[number].append(piece)
            bisect.insort(free, (room - len(piece), number))
        self._waiting = left
        return rows

    def _pieces(self, source: int, index: int) -> list[Piece]:
        documents = self.mixture.sources[source]
        length = documents.length(index)
        if length <= self.context:
            return [Piece(source, index, 0, length)] if length > 1 else []
        if documents.prompts[index]:
            self.too_long += 1
            return []
        cuts = [Piece(source, index, start, min(length, start + self.context))
                for start in range(0, length, self.context)]
        return [piece for piece in cuts if len(piece) > 1]

    def state(self) -> dict[str, Any]:
        return {**self.mixture.state(), "too_long": self.too_long,
                "waiting": [[piece.source, piece.index, piece.start, piece.stop] for piece in self._waiting]}

    def restore(self, state: dict[str, Any]) -> None:
        self.mixture.restore(state)
        self.too_long = state["too_long"]
        self._waiting = [Piece(*numbers) for numbers in state["waiting"]]


def learned(rows: Sequence[Row], sources: Sequence[Documents]) -> int:
    """Tokens of rows that a loss is taken on."""
    return sum(_learned(piece, sources) for row in rows for piece in row)


def _learned(piece: Piece, sources: Sequence[Documents]) -> int:
    given = int(sources[piece.source].prompts[piece.index])
    return max(0, piece.stop - max(piece.start + 1, given))


def fill(rows: Sequence[Row], sources: Sequence[Documents], context: int) -> Batch:
    """The arrays of planned rows."""
    shape = len(rows), context
    tokens = np.full(shape, sources[0].end, np.int64)
    targets = np.full(shape, IGNORED, np.int64)
    positions = np.zeros(shape, np.int64)
    documents = np.zeros(shape, np.int32)
    for number, row in enumerate(rows):
        at = 0
        for count, piece in enumerate(row, 1):
            source = sources[piece.source]
            ids = source.document(piece.index)[piece.start : piece.stop]
            end = at + len(ids)
            tokens[number, at:end] = ids
            first = max(1, int(source.prompts[piece.index]) - piece.start)
            if first < len(ids):
                targets[number, at + first - 1 : end - 1] = ids[first:]
            positions[number, at:end] = np.arange(len(ids))
            documents[number, at:end] = count
            at = end
    return Batch(tokens, targets, positions, documents)
