"""What the search may use: passes by level, their parameters, options, the pipelines to start from.

All of it is data checked against the registry of the library in use: what that library does not know is left out.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import FORCE_ATTRIBUTE, Candidate, Pass, PassList
from llm_compiler.llvm.registry import Registry, Tier
from llm_compiler.tuning import data, edit

# name -> parameter texts that LLVM's own pipelines, or their documented switches, allow (PassRegistry.def).
PARAMETERS: dict[str, tuple[str | None, ...]] = {
    "early-cse": (None, "memssa"),
    "function-attrs": (None, "skip-non-recursive"),
    "gvn": (None, "no-pre", "no-load-pre", "pre;load-pre", "no-pre;no-load-pre", "memdep"),
    "licm": (None, "no-allowspeculation"),
    "loop-rotate": (None, "no-header-duplication"),
    "loop-unroll": ("O1", "O2", "O3"),
    "mldst-motion": (None, "no-split-footer-bb", "split-footer-bb"),
    "simple-loop-unswitch": (None, "no-nontrivial;trivial", "nontrivial;trivial"),
    "sroa": ("modify-cfg", "preserve-cfg"),
    "instcombine": (None, "use-loop-info"),
    "loop-vectorize": ("no-interleave-forced-only;vectorize-forced-only",
                       "interleave-forced-only;vectorize-forced-only"),
    "default": ("O1", "O2", "O3", "Os", "Oz"),
}
_WRAPPED_IN = {"module": (), "cgscc": ("cgscc",), "function": ("function",), "loop": ("loop", "function"),
               "loop-mssa": ("loop-mssa", "function")}
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.$]+")
# Of simplifycfg, beside its threshold: each may stand as it is, or with `no-` before it.
SIMPLIFYCFG_SWITCHES = ("forward-switch-cond", "switch-range-to-icmp", "switch-to-lookup", "keep-loops",
                         "hoist-common-insts", "sink-common-insts")


@dataclass(frozen=True)
class Space:
    """The search space for one library, trust tier and target.

    passes: names by level. codegen_options and pass_options: groups of texts of which a candidate holds one at most.
    functions: names of one input whose inlining may be forced or forbidden.
    oz: clang's -Oz pipeline written out. head_start: the options that save most on -Oz when nothing is searched.
    """

    passes: dict[str, tuple[str, ...]]
    codegen_options: tuple[tuple[str, ...], ...]
    pass_options: tuple[tuple[str, ...], ...]
    oz: PassList
    core_set: tuple[Candidate, ...]
    head_start: tuple[str, ...]
    functions: tuple[str, ...] = ()

    def with_functions(self, names: tuple[str, ...]) -> Space:
        """The space for one input: `names` are the functions whose inlining may be forced or forbidden."""
        # forceattrs splits its argument at colons, and a shell has its own idea of some characters.
        return replace(self, functions=tuple(name for name in names if _PLAIN_NAME.fullmatch(name)))

    def inline_options(self, function: str) -> tuple[str, str]:
        """The group of options that decide the inlining of a function."""
        return f"{FORCE_ATTRIBUTE}{function}:noinline", f"{FORCE_ATTRIBUTE}{function}:alwaysinline"

    def toggle_inlining(self, rng: random.Random, candidate: Candidate) -> Candidate:
        """Force, forbid or leave free the inlining of one function; `forceattrs` is put in front if missing."""
        if not self.functions:
            return candidate
        group = self.inline_options(rng.choice(self.functions))
        return self.with_inlining(candidate, group, rng.choice((None, *group)))

    def with_inlining(self, candidate: Candidate, group: tuple[str, str], option: str | None) -> Candidate:
        others = [held for held in candidate.pass_options if held not in group]
        passes = candidate.passes
        if option is not None and "forceattrs" not in passes.names() and "default" not in passes.names():
            passes = PassList((Pass("forceattrs"), *passes.passes))
        return Candidate(passes, candidate.codegen_options, (*others, *([option] if option else ())))

    def random_pass(self, rng: random.Random, level: str) -> Pass | None:
        """A pass that may stand at a level, with parameters."""
        names = self.passes.get(level, ())
        if not names:
            return None
        return self.parameterised(rng, rng.choice(names))

    def parameterised(self, rng: random.Random, name: str) -> Pass:
        if name == "simplifycfg":
            threshold = rng.choice((1, 1, 1, 0, 2, 3))
            switches = [f"bonus-inst-threshold={threshold}"]
            switches += [("" if rng.random() < 0.5 else "no-") + switch for switch in SIMPLIFYCFG_SWITCHES]
            return Pass(name, ";".join(switches))
        choices = PARAMETERS.get(name)
        return Pass(name, rng.choice(choices) if choices else None)

    def random_list(self, rng: random.Random, shortest: int = 1, longest: int = 50) -> PassList:
        """The reference's random list: a uniform length, passes drawn uniformly, each in the adaptors it needs."""
        drawn = [(level, name) for level, names in self.passes.items() for name in names]
        drawn += [("module", "default")] * 5
        items: list[Pass] = []
        for _ in range(rng.randint(shortest, longest)):
            level, name = rng.choice(drawn)
            item = self.parameterised(rng, name)
            for adaptor in _WRAPPED_IN[level]:
                item = Pass(adaptor, None, (item,))
            items.append(item)
        return PassList(tuple(items))

    def insertions(self, candidate: Candidate) -> list[Candidate]:
        """The candidate with one more pass in front or at the end, for every pass."""
        out = []
        for level, names in self.passes.items():
            for name in names:
                item = Pass(name, (PARAMETERS.get(name) or (None,))[0])
                for adaptor in _WRAPPED_IN[level]:
                    item = Pass(adaptor, None, (item,))
                passes = candidate.passes.passes
                out += [replace(candidate, passes=PassList((*passes, item))),
                        replace(candidate, passes=PassList((item, *passes)))]
        return out

    def mutate_passes(self, rng: random.Random, passes: PassList) -> PassList:
        """One random edit: drop, swap, insert, replace, re-parameterise, or append."""
        places = edit.leaves(passes)
        if not places:
            return self.random_list(rng, 1, 3)
        slot = rng.choice(places)
        action = rng.random()
        if action < 0.34:
            return edit.drop(passes, slot.path)
        if action < 0.46:
            return edit.swap(passes, slot.path)
        if action < 0.70:
            new = self.random_pass(rng, slot.level)
            if new is None:
                return edit.drop(passes, slot.path)
            pair = (new, slot.item) if rng.random() < 0.5 else (slot.item, new)
            return edit.replace(passes, slot.path, pair)
        if action < 0.80:
            new = self.random_pass(rng, slot.level)
            return edit.replace(passes, slot.path, (new,) if new else ())
        if action < 0.95:
            tunable = [place for place in places if place.item.name == "simplifycfg" or place.item.name in PARAMETERS]
            if tunable:
                slot = rng.choice(tunable)
                return edit.replace(passes, slot.path, (self._reparameterised(rng, slot.item),))
        return PassList((*passes.passes, *self.random_list(rng, 1, 3).passes))

    def _reparameterised(self, rng: random.Random, item: Pass) -> Pass:
        if item.name == "simplifycfg" and item.parameters and rng.random() < 0.8:
            words = item.parameters.split(";")
            index = rng.randrange(len(words))
            word = words[index]
            if word.startswith("bonus-inst-threshold"):
                words[index] = f"bonus-inst-threshold={rng.choice((0, 1, 2, 3))}"
            else:
                words[index] = word[3:] if word.startswith("no-") else f"no-{word}"
            return Pass(item.name, ";".join(words))
        return self.parameterised(rng, item.name)

    def mutate_options(self, rng: random.Random, candidate: Candidate) -> Candidate:
        """Set, change or take away one option."""
        groups = [("c", group) for group in self.codegen_options] + [("p", group) for group in self.pass_options]
        if not groups:
            return candidate
        kind, group = rng.choice(groups)
        present = candidate.codegen_options if kind == "c" else candidate.pass_options
        others = tuple(option for option in present if option not in group)
        held = [option for option in present if option in group]
        choices = [option for option in group if option not in held]
        if held and (not choices or rng.random() < 0.6):
            new = others
        else:
            new = (*others, rng.choice(choices))
        if kind == "c":
            return Candidate(candidate.passes, new, candidate.pass_options)
        return Candidate(candidate.passes, candidate.codegen_options, new)


@lru_cache(maxsize=8)
def space_for(registry: Registry, tier: Tier, profile: str, arch: str) -> Space:
    """The space that a trust tier opens on this library."""
    passes: dict[str, list[str]] = {}
    for info in registry.passes(tier):
        if info.transforms:
            passes.setdefault(info.level, []).append(info.name)
    oz = oz_pipeline(registry)
    return Space(
        {level: tuple(sorted(names)) for level, names in sorted(passes.items())},
        # The paper profile is for comparing pass lists: its lowering is left as it is.
        data.option_groups("codegen", tier, arch) if profile == "deploy" else (),
        data.option_groups("pass", tier, arch),
        oz,
        data.core_set(registry, tier, profile, arch, oz),
        data.head_start(tier, profile, arch),
    )
