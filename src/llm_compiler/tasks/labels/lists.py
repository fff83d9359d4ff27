"""Which lists are broadcast: a greedy cover of what searches found, as far as programs that test themselves pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.tasks.labels.label import FAILED
from llm_compiler.tasks.labels.search import OZ
from llm_compiler.validation import suites
from llm_compiler.validation.passlisteval import PassListEval, Verdict

_SPARE = 1.25  # lists that are tried on the suites, for each that is wanted
_CANDIDATES = 4  # lists that the cover chooses from, for each that is wanted


@dataclass(frozen=True)
class Selection:
    """lists: in the order in which the cover took them, -Oz first. dropped: list → why PassListEval refused it.

    gains: mean saving in per cent of the cover's programs by the first 1, 2, … lists. programs: of the suites.
    """

    lists: tuple[str, ...]
    dropped: dict[str, str] = field(default_factory=dict)
    gains: tuple[float, ...] = ()
    candidates: int = 0
    programs: int = 0


def candidates(found: Sequence[Sequence[str]], core: Sequence[str], lists: int) -> list[str]:
    """The lists that the cover chooses from: -Oz, the core set, then winners by how many programs they are best for.

    found: the best lists of each program that was searched, best first.
    """
    counts = Counter(winners[0] for winners in found if winners)
    ranked = sorted(counts, key=lambda text: (-counts[text], len(text), text))
    return list(dict.fromkeys([OZ, *core, *ranked]))[: max(lists * _CANDIDATES, len(core) + 1)]


def cover(baselines: Sequence[int], sizes: Sequence[Sequence[int]], count: int) -> tuple[list[int], list[float]]:
    """Indices of at most `count` lists, each the one that adds most, and the mean saving in per cent after each.

    A byte counts by its share of its program and by its share of all, half each, so that neither small nor large
    programs decide alone. sizes: a row a program; FAILED is as good as the baseline. The first list is always taken.
    """
    import numpy as np

    base = np.array(baselines, dtype=np.float64)
    matrix = np.array(sizes, dtype=np.float64)
    matrix = np.where(matrix == FAILED, base[:, None], matrix)
    weights = 0.5 / base / len(base) + 0.5 / base.sum()
    best = np.minimum(base, matrix[:, 0])
    order, gains = [0], [float(100 * (1 - best / base).mean())]
    while len(order) < min(count, matrix.shape[1]):
        added = (np.maximum(0.0, best[:, None] - matrix) * weights[:, None]).sum(axis=0)
        index = int(added.argmax())
        if added[index] <= 0:
            break
        order.append(index)
        best = np.minimum(best, matrix[:, index])
        gains.append(float(100 * (1 - best / base).mean()))
    return order, gains


def select(baselines: Sequence[int], sizes: Sequence[Sequence[int]], lists: Sequence[str], count: int,
           suite: Sequence[suites.Program], jobs: int,
           on_progress: Callable[[str], None] = lambda text: None) -> Selection:
    """The cover's lists that pass every program of the suite; without programs nothing is tried."""
    order, gains = cover(baselines, sizes, round(count * _SPARE) + 1 if suite else count)
    # Where fewer lists reach every size that is known, the most frequent of the others fill up.
    order += [index for index in range(len(lists)) if index not in set(order)]
    wanted = [lists[index] for index in order]
    if not suite:
        return Selection(tuple(wanted[:count]), {}, tuple(gains[:count]), len(lists))
    passed: list[str] = []
    dropped: dict[str, str] = {}
    with PassListEval(suite, jobs=jobs) as evaluation:
        evaluation.prepare()
        names = evaluation.programs
        for text in wanted:
            if len(passed) == count:
                break
            refused = _refused(evaluation, text)
            if refused:
                dropped[text] = refused
            else:
                passed.append(text)
            on_progress(f"{len(passed)} of {count} lists pass {len(names)} programs, {len(dropped)} dropped")
    return Selection(tuple(passed), dropped, tuple(gains[: len(passed)]), len(lists), len(names))


def _refused(evaluation: PassListEval, text: str) -> str:
    """Why a list may not be broadcast; empty when it passes. It is given up at the first program."""
    trials = evaluation.check([Candidate(PassList.parse(text))])
    try:
        for trial in trials:
            if trial.verdict is not Verdict.PASSED:
                return f"{trial.program}: {trial.verdict}: {trial.detail}"
    finally:
        close = getattr(trials, "close", None)
        if close is not None:
            close()
    return ""


def default_suite() -> tuple[str, ...]:
    return ("own", *(["humaneval"] if suites.humaneval_file() else []))
