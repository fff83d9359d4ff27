"""Numbers that reports are made of, each with its count and a 95 % bootstrap interval."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_compiler.errors import InputError

RESAMPLES = 1000
SEED = 0
_HELD = 4_000_000  # numbers of resamples in memory at a time
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[%@$#!.]?[\w.$]+|[^\s\w]')

Array = npt.NDArray[np.float64]
Statistic = Callable[..., Any]


@dataclass(frozen=True)
class Interval:
    """A statistic and what 95 % of bootstrap resamples of its items lie between."""

    value: float
    low: float
    high: float


def interval(statistic: Statistic, *columns: Sequence[float]) -> Interval | None:
    """A statistic of items; None without items. columns: a value an item in each, resampled together.

    statistic: takes arrays whose last axis are the items, and reduces that axis. What it gives as NaN (a resample in
    which it is not defined) is left out. The same numbers for the same items: the seed is fixed.
    """
    if not columns or not len(columns[0]):
        return None
    arrays = [np.asarray(column, np.float64) for column in columns]
    count = len(arrays[0])
    value = float(statistic(*arrays))
    if math.isnan(value):
        return None
    random = np.random.default_rng(SEED)
    found: list[Array] = []
    step = max(1, _HELD // count)
    for start in range(0, RESAMPLES, step):
        chosen = random.integers(0, count, (min(step, RESAMPLES - start), count))
        found.append(np.atleast_1d(statistic(*(array[chosen] for array in arrays))))
    low, high = np.nanpercentile(np.concatenate(found), [2.5, 97.5])
    return Interval(value, float(low), float(high))


def mean(values: Sequence[float]) -> Interval | None:
    return interval(lambda array: array.mean(-1), values)


def median(values: Sequence[float]) -> Interval | None:
    return interval(lambda array: np.median(array, axis=-1), values)


# --- bytes -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gains:
    """What programs gain over a baseline, in per cent of it. programs: those that have code; others are `empty`.

    total, median, mean: with the baseline kept wherever it is smaller; plain_total, plain_mean: without that.
    smaller, equal, larger: programs, before the baseline stands in.
    """

    programs: int
    empty: int
    baseline: int
    best: int
    total: Interval | None
    median: Interval | None
    mean: Interval | None
    plain_total: Interval | None
    plain_mean: Interval | None
    smaller: int
    equal: int
    larger: int


def gains(baselines: Sequence[int], sizes: Sequence[int]) -> Gains:
    """sizes: bytes of each program's answer; the baseline's where there is none."""
    pairs = [(base, size) for base, size in zip(baselines, sizes, strict=True) if base > 0]
    bases = [base for base, _ in pairs]
    plain = [size for _, size in pairs]
    best = [min(pair) for pair in pairs]
    savings, plain_savings = ([100 * (1 - size / base) for base, size in zip(bases, column, strict=True)]
                              for column in (best, plain))
    return Gains(
        len(pairs), len(baselines) - len(pairs), sum(bases), sum(best), interval(_saving, bases, best),
        median(savings), mean(savings), interval(_saving, bases, plain), mean(plain_savings),
        sum(size < base for base, size in pairs), sum(size == base for base, size in pairs),
        sum(size > base for base, size in pairs))


def _saving(base: Array, size: Array) -> Array:
    found: Array = 100 * (1 - size.sum(-1) / base.sum(-1))
    return found


# --- predictions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Errors:
    """Predicted against measured numbers. mape, median: of |predicted - measured| / measured, over what is not 0.

    total: 1 - predicted / measured, over all together. correlation, log_correlation: Pearson's, of the numbers and of
    log(1 + number); None where either side does not vary. over, under, exact: predictions by sign.
    """

    count: int
    zeros: int
    mape: Interval | None
    median: Interval | None
    total: Interval | None
    correlation: Interval | None
    log_correlation: Interval | None
    over: int
    under: int
    exact: int


def errors(predicted: Sequence[float], measured: Sequence[float]) -> Errors:
    pairs = list(zip(predicted, measured, strict=True))
    relative = [abs(guess - true) / true for guess, true in pairs if true > 0]
    return Errors(
        len(pairs), sum(true <= 0 for _, true in pairs), mean(relative), median(relative),
        interval(lambda guess, true: _ratio(true.sum(-1) - guess.sum(-1), true.sum(-1)), predicted, measured),
        interval(pearson, predicted, measured),
        interval(lambda guess, true: pearson(np.log1p(guess), np.log1p(true)), predicted, measured),
        sum(guess > true for guess, true in pairs), sum(guess < true for guess, true in pairs),
        sum(guess == true for guess, true in pairs))


def pearson(one: Array, other: Array) -> Any:
    """Pearson's correlation along the last axis; NaN where either side does not vary."""
    left = one - one.mean(-1, keepdims=True)
    right = other - other.mean(-1, keepdims=True)
    return _ratio((left * right).sum(-1), np.sqrt((left**2).sum(-1) * (right**2).sum(-1)))


def _ratio(above: Any, below: Any) -> Any:
    """The quotient, NaN where it is none."""
    return np.divide(above, below, out=np.full(np.shape(below), np.nan), where=np.asarray(below) != 0)


# --- texts -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1)
def _scorer() -> Any:
    try:
        from sacrebleu.metrics.bleu import BLEU
    except ImportError as error:
        raise InputError("sacrebleu is missing: pip install 'llm-compiler[eval]'") from error
    return BLEU(tokenize="none", effective_order=True)


def bleu(text: str, wanted: str) -> float:
    """BLEU-4 of code, 0 to 1, by sacrebleu with its exponential smoothing. Names, numbers, strings and single other
    characters are words; blanks and lines do not count.
    """
    if not text.strip():
        return 0.0
    found: float = _scorer().sentence_score(" ".join(words(text)), [" ".join(words(wanted))]).score / 100
    return min(1.0, found)


def words(code: str) -> list[str]:
    """The words of code for `bleu`; a string's blanks are closed up, so that it stays one word."""
    return ["".join(word.split()) for word in _TOKEN.findall(code)]


def perplexity(nats: Sequence[float], tokens: Sequence[int]) -> Interval | None:
    """exp of the nats a token. nats, tokens: of each document."""
    return interval(lambda loss, count: np.exp(_ratio(loss.sum(-1), count.sum(-1))), nats, tokens)


def bits_per_byte(nats: Sequence[float], sizes: Sequence[int]) -> Interval | None:
    """sizes: bytes of each document."""
    return interval(lambda loss, size: _ratio(loss.sum(-1), size.sum(-1)) / math.log(2), nats, sizes)
