"""What is searched for labels: pass lists that a model can say, under LLVM's default code generation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from llm_compiler.llvm import registry
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.registry import Tier
from llm_compiler.llvm.target import X86_64, Profile, architecture
from llm_compiler.tasks.labels.bench import Bench
from llm_compiler.tuning.search import Search
from llm_compiler.tuning.space import Space, space_for
from llm_compiler.tuning.strategies import make_strategy

LONGEST = 20
"""Passes of a list that is searched from or kept: -Oz itself is written `default<Oz>`."""

OZ = "default<Oz>"
_LEVELS = (OZ, "default<Oz>,default<Oz>", "default<Os>", "default<O1>", "default<O2>", "default<O3>")


@lru_cache(maxsize=4)
def full_space(profile: Profile) -> Space:
    """Everything of the production tier."""
    return space_for(registry.load(), Tier.PRODUCTION, str(profile), architecture(X86_64))


@lru_cache(maxsize=4)
def list_space(profile: Profile) -> Space:
    """Pass lists without options, around `default<Oz>` instead of the pipeline written out: short ones."""
    space = full_space(profile)
    core = [PassList.parse(text) for text in _LEVELS]
    core += [candidate.passes for profile_ in Profile for candidate in full_space(profile_).core_set
             if len(candidate.passes) <= LONGEST]
    return replace(space, codegen_options=(), pass_options=(), head_start=(), oz=core[0],
                   core_set=tuple(Candidate(passes) for passes in dict.fromkeys(core)))


def option_sets(profile: Profile, count: int) -> tuple[tuple[str, ...], ...]:
    """Sets of code-generation options, those of the core set in its order; none for the paper profile."""
    if profile is Profile.PAPER:  # it is for comparing pass lists
        return ()
    space = full_space(profile)
    sets = [space.head_start, *(candidate.codegen_options for candidate in space.core_set)]
    return tuple(options for options in dict.fromkeys(sets) if options)[:count]


@dataclass(frozen=True)
class Found:
    """baseline: bytes of clang -Oz written out; None when it came to nothing. lists: the best, minimised, best first.
    trace: evaluations and bytes at every gain.
    """

    baseline: int | None
    lists: tuple[tuple[str, int], ...] = ()
    evaluations: int = 0
    lowered: int = 0
    trace: tuple[tuple[int, int], ...] = ()


def search(bench: Bench, evaluations: int, seed: int, strategy: str = "adaptive",
           full: bool = False, start: Sequence[str] = ()) -> Found:
    """A search of one program. full: around the written-out pipeline, too, of any length. start: instead of the core
    set.
    """
    profile = bench.lowering.profile
    space = list_space(profile)
    base = bench.measure([Candidate(full_space(profile).oz)])[0]
    if base is None or base.size is None or not base.size.total:
        return Found(None)
    if full:
        everything = full_space(profile)
        lists = dict.fromkeys([*space.core_set, *(Candidate(item.passes) for item in everything.core_set)])
        space = replace(space, oz=everything.oz, core_set=tuple(lists))
    if start:
        space = replace(space, core_set=tuple(Candidate(PassList.parse(text)) for text in start))
    state = Search(bench, bench.input, bench.lowering, evaluations=evaluations).run(
        make_strategy(strategy, space, seed))
    ranked = [(item.candidate.passes.text, item.total) for item in ([state.best] if state.best else []) + state.ranking
              if full or len(item.candidate.passes) <= LONGEST]
    return Found(base.size.total, tuple(dict.fromkeys(ranked)), bench.evaluations, bench.lowered,
                 tuple((count, size) for _, count, size in state.trace))
