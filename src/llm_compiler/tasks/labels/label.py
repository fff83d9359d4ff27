"""The label of one program: every broadcast list, a short search where it pays, options on the best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from llm_compiler.llvm.job import Measurement
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.tasks.labels.bench import Bench
from llm_compiler.tasks.labels.search import full_space, option_sets, search

FAILED = -1
"""The size of what came to nothing."""

_STARTS = 6  # lists that a refinement begins with
_KEPT = 5  # different objects that verification may fall back to
_OPTION_LISTS = 1  # lists that the option sets are tried on


@dataclass(frozen=True)
class Choice:
    """A candidate with what it came to. index: of the broadcast list; -1 for a list of this program's own.

    total, text_data: bytes. instructions: IR, after the passes.
    """

    pass_list: str
    index: int
    options: tuple[str, ...]
    total: int
    text_data: int
    object_hash: str
    instructions: int = 0


@dataclass(frozen=True)
class Label:
    """What was found out about a program. baseline: clang -Oz written out; None when there is nothing to measure.

    sizes, text_data: bytes by broadcast list, FAILED where there are none. best, with_options: choices that beat the
    baseline, different objects, best first.
    """

    instructions: int
    baseline: Choice | None
    sizes: tuple[int, ...] = ()
    text_data: tuple[int, ...] = ()
    best: tuple[Choice, ...] = ()
    with_options: tuple[Choice, ...] = ()
    evaluations: int = 0
    lowered: int = 0


@lru_cache(maxsize=4096)
def parsed(text: str) -> PassList:
    return PassList.parse(text)


def measure_lists(bench: Bench, lists: tuple[str, ...]) -> Label:
    """The baseline and the size matrix alone."""
    return _broadcast(bench, lists)[0]


def _broadcast(bench: Bench, lists: tuple[str, ...]) -> tuple[Label, list[Measurement | None]]:
    """The baseline and the size matrix, and the lists' measurements; none of these without a baseline."""
    base = bench.measure([Candidate(full_space(bench.lowering.profile).oz)], count=True)[0]
    baseline = None if base is None else _choice(Candidate(PassList()), -1, base)
    if baseline is None or not baseline.total:
        return Label(bench.instructions, None, evaluations=bench.evaluations, lowered=bench.lowered), []
    found = bench.measure([Candidate(parsed(text)) for text in lists])
    return Label(bench.instructions, baseline, tuple(_size(item, "total") for item in found),
                 tuple(_size(item, "text_data") for item in found), evaluations=bench.evaluations,
                 lowered=bench.lowered), found


def label(bench: Bench, lists: tuple[str, ...], refine: int, options: int, seed: int) -> Label:
    """Everything that is found out about a program.

    refine: evaluations of the search that follows the broadcast; options: sets of options that are tried. Options are
    separable: they change the lowering alone, so they are tried on the code of the best lists, and not multiplied with
    all of them.
    """
    broadcast, found = _broadcast(bench, lists)
    baseline = broadcast.baseline
    if baseline is None:
        return broadcast
    order = sorted((item.size.total, index) for index, item in enumerate(found) if item is not None and item.size)
    # Equal code of several lists is one choice: the first list's, so that a model has few answers to tell apart.
    choices: dict[str, Choice] = {}
    distinct: dict[str, str] = {}
    for _, index in order:
        item = found[index]
        if item is not None:
            distinct.setdefault(item.ir_hash, lists[index])
            choices.setdefault(item.object_hash, _choice(Candidate(parsed(lists[index])), index, item))
    if refine and _pays([total for total, _ in order]):
        refined = search(bench, refine, seed, start=tuple(list(distinct.values())[:_STARTS]))
        own = [Candidate(parsed(text)) for text, total in refined.lists[:2] if not order or total < order[0][0]]
        for candidate, item in zip(own, bench.measure(own), strict=True):
            if item is not None:
                choices.setdefault(item.object_hash, _choice(candidate, -1, item))
    plain = _best(choices, baseline)
    optioned = dict(choices)
    starts = sorted(choices.values(), key=_order)[:_OPTION_LISTS]
    tried = [(choice, Candidate(parsed(choice.pass_list), names)) for choice in starts
             for names in option_sets(bench.lowering.profile, options)]
    for (choice, candidate), item in zip(tried, bench.measure([each for _, each in tried]), strict=True):
        if item is not None:
            optioned.setdefault(item.object_hash, _choice(candidate, choice.index, item))
    best, with_options = _counted(bench, plain), _counted(bench, _best(optioned, baseline))
    return replace(broadcast, best=best, with_options=with_options, evaluations=bench.evaluations,
                   lowered=bench.lowered)


def _pays(sizes: list[int]) -> bool:
    """Whether a search from the best lists is worth its cost: lists differ on this program."""
    return len(set(sizes)) > 2


def _best(choices: dict[str, Choice], baseline: Choice) -> tuple[Choice, ...]:
    smaller = [choice for choice in choices.values() if choice.total < baseline.total]
    return tuple(sorted(smaller, key=_order)[:_KEPT])


def _order(choice: Choice) -> tuple[int, bool, int, int, str]:
    return choice.total, choice.index < 0, len(choice.options), choice.index, choice.pass_list


def _counted(bench: Bench, choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
    """With IR instructions, and without what LLVM's verifier refuses."""
    candidates = [Candidate(parsed(choice.pass_list), choice.options) for choice in choices]
    found = bench.measure(candidates, count=True)
    return tuple(_choice(candidate, choice.index, item)
                 for candidate, choice, item in zip(candidates, choices, found, strict=True) if item is not None)


def _choice(candidate: Candidate, index: int, item: Measurement) -> Choice:
    assert item.size is not None
    return Choice(candidate.passes.text, index, candidate.codegen_options, item.size.total, item.size.text_data,
                  item.object_hash, item.instructions or 0)


def _size(item: Measurement | None, name: str) -> int:
    return FAILED if item is None or item.size is None else int(getattr(item.size, name))
