"""How many wrong versions of real functions differential execution notices.

    python benchmarks/sources.py --set held-out
    python benchmarks/mutation.py --functions 300 --minutes 60 --list missed.jsonl

A mutant is a module's -Oz IR with one instruction changed (mutators.py says how). Two sorts are thrown away: those
that lower to the same object, and those missed ones that are proved equal, where one more run of LLVM's optimiser over
mutant and original ends in the same object, byte for byte. What means the same and is not proved so counts as missed:
nothing is taken out by hand.
Executed: an input that counts reaches the block of the changed instruction, and the one that a changed value of a phi
comes from.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from corpus import Unit, sample, units
from llm_compiler.errors import LlmcError
from llm_compiler.llvm import frontend, library
from llm_compiler.llvm.job import Job, Limits, Measurement
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Lowering, Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tuning.source import open_source
from llm_compiler.validation.differential import Differential, Effort, open_differential
from mutators import (
    Instruction,
    Kind,
    Mutant,
    choose,
    counters_of,
    instructions,
    mutants_of,
    named_types,
    places,
    sizes_of,
    unordered,
)
from sources import SETS

_PLAIN = Candidate(PassList(()))
# Level 2 splits no edges: the blocks are those of the text.
_BLOCKS = Candidate(PassList.parse("sancov-module"), (), (
    "-sanitizer-coverage-level=2", "-sanitizer-coverage-inline-8bit-counters", "-sanitizer-coverage-pc-table",
    "-sanitizer-coverage-prune-blocks=false"))
# Each may find that a change means nothing: within a function, with what is known of its callers, or where a loop goes
# over a constant table, turn by turn.
_PROOFS = (
    Candidate(PassList.parse(
        "function(instcombine,correlated-propagation,constraint-elimination,sccp,early-cse<memssa>,gvn,dse,bdce,"
        "instcombine,simplifycfg,correlated-propagation,reassociate,gvn,instcombine,adce,simplifycfg)")),
    Candidate(PassList.parse("default<O2>")),
    Candidate(PassList.parse("default<O3>"), (), (
        "-unroll-threshold=30000", "-unroll-max-upperbound=128", "-unroll-partial-threshold=0")),
)

@dataclass
class Tally:
    """Counts of one kind."""

    refused: int = 0
    mutants: int = 0
    same: int = 0
    equal: int = 0
    executed: int = 0
    noticed: int = 0
    unreached: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass
class Survey:
    """What was found. unmapped: functions whose blocks and counters do not match; inputs: of functions run alone."""

    per_function: int
    effort: Effort
    rng: random.Random
    stop: float
    kinds: dict[Kind, Tally] = field(default_factory=lambda: {kind: Tally() for kind in Kind})
    used: Counter[Kind] = field(default_factory=Counter)
    packages: Counter[str] = field(default_factory=Counter)
    functions: int = 0
    not_executable: int = 0
    unmapped: int = 0
    alone: int = 0
    inputs: int = 0
    exploring: float = 0.0
    checking: float = 0.0
    missed: list[dict[str, object]] = field(default_factory=list)


def lower(pool: WorkerPool, path: Path, lowering: Lowering, candidate: Candidate = _PLAIN, *,
          verify: bool = False, bitcode: bool = False) -> Measurement | None:
    """None for what LLVM does not parse, verify or lower."""
    outcome = pool.run(Job(path, candidate, lowering, verify=verify, keep_bitcode=bitcode, keep_object=True))
    return outcome.measurement


@dataclass
class Original:
    """What mutants of a module are compared with. path: its -Oz IR as text."""

    pool: WorkerPool
    path: Path
    lowering: Lowering
    object_hash: str
    _further: dict[Candidate, str] = field(default_factory=dict)

    def is_equal(self, mutated: Path) -> bool:
        """Whether LLVM's optimiser makes the same object of a mutant."""
        return any(self._optimised(proof) == found.object_hash for proof in _PROOFS
                   if (found := lower(self.pool, mutated, self.lowering, proof)) is not None)

    def _optimised(self, proof: Candidate) -> str:
        if proof not in self._further:
            made = lower(self.pool, self.path, self.lowering, proof)
            self._further[proof] = made.object_hash if made is not None else "none"
        return self._further[proof]


def print_ir(bitcode: bytes) -> str:
    with Context(library.load()) as context:
        return context.parse(bitcode).text()


def survey_unit(unit: Unit, pool: WorkerPool, survey: Survey, functions: int, largest: int) -> None:
    """Mutants of at most `functions` functions of a unit. Raises LlmcError."""
    with frontend.temporary_folder() as name:
        folder = Path(name)
        clang = frontend.clang_for("x86_64-unknown-linux-gnu", frontend.is_cxx(unit.source))
        optimised, path = folder / "optimised.bc", folder / "optimised.ll"
        frontend.emit_optimised(clang, unit.source, unit.flags, optimised)
        text = print_ir(optimised.read_bytes())
        if len(text) > largest:
            return
        path.write_text(text)
        opened = open_source(unit.source, folder, pool, cflags=unit.flags)
        if not opened.inspection.functions:
            return
        bitcode, lowering = opened.bitcode, opened.lowering
        # From the text, as the mutants: text and bitcode differ in the order of uses.
        base = lower(pool, path, lowering)
        counted = lower(pool, path, replace(lowering, profile=Profile.PAPER), _BLOCKS, bitcode=True)
        if base is None or counted is None or base.object is None or counted.object is None or counted.bitcode is None:
            return
        started = time.monotonic()
        with open_differential(pool, bitcode, lowering, base.object, folder, survey.effort) as differential:
            differential.explore()
            reached = differential.reached(counted.object)
            survey.exploring += time.monotonic() - started
            counters = counters_of(print_ir(counted.bitcode))
            chosen = _choose_functions(differential, survey, text, functions, counters, reached)
            original = Original(pool, path, lowering, base.object_hash)
            if chosen:
                survey.packages[unit.package] += 1
            started = time.monotonic()
            for number, (mutant, executed) in enumerate(chosen):
                if time.monotonic() > survey.stop:
                    break
                # Another name for each: workers keep what they read.
                mutated = folder / f"mutant-{number}.ll"
                mutated.write_text(mutant.apply(text))
                _try(unit, mutant, executed, mutated, original, differential, survey)
                mutated.unlink()
            survey.checking += time.monotonic() - started


def _choose_functions(differential: Differential, survey: Survey, text: str, limit: int,
                      counters: Mapping[str, Mapping[int, int]],
                      reached: Mapping[str, set[int]]) -> list[tuple[Mutant, bool]]:
    """Mutants of functions that can be executed, with whether their block was."""
    types = named_types(text)
    by_function: dict[str, list[Instruction]] = {}
    for item in instructions(text):
        by_function.setdefault(item.function, []).append(item)
    states = [state for state in differential.executability() if state.name in by_function]
    survey.not_executable += sum(not state.inputs and not state.via for state in states)
    usable = [state for state in states if state.inputs or state.via]
    survey.rng.shuffle(usable)
    chosen: list[tuple[Mutant, bool]] = []
    for state in usable[:limit]:
        items, counter = by_function[state.name], counters.get(state.name, {})
        if not _maps(items, counter) or state.name not in reached:
            survey.unmapped += 1
            continue
        available: dict[Kind, list[Mutant]] = {kind: [] for kind in Kind}
        sizes, either = sizes_of(items), unordered(items)
        for item in items:
            if item.block in counter:
                for mutant in mutants_of(item, types, sizes, either):
                    available[mutant.kind].append(mutant)
        labels = {item.label: item.block for item in items}
        picked = choose(available, survey.per_function, survey.used, survey.rng)
        if not picked:
            continue
        survey.functions += 1
        survey.alone += state.inputs > 0
        survey.inputs += state.inputs
        chosen += [(mutant, {counter.get(block) for block in places(mutant, labels)} <= reached[state.name])
                   for mutant in picked]
    return chosen


def _maps(items: Sequence[Instruction], counter: Mapping[int, int]) -> bool:
    """Whether every block that holds more than `unreachable` has a counter, in order."""
    real = [block for block in dict.fromkeys(item.block for item in items)
            if any(item.text.split()[0] != "unreachable" for item in items if item.block == block)]
    return list(counter) == real and list(counter.values()) == list(range(len(counter)))


def _try(unit: Unit, mutant: Mutant, executed: bool, path: Path, original: Original, differential: Differential,
         survey: Survey) -> None:
    tally = survey.kinds[mutant.kind]
    made = lower(original.pool, path, original.lowering, verify=True)
    if made is None or made.object is None:
        tally.refused += 1
        return
    tally.mutants += 1
    if made.object_hash == original.object_hash:
        tally.same += 1
        return
    noticed = differential.check(made.object, stop=True).wrong is not None
    if executed and not noticed and original.is_equal(path):
        tally.equal += 1
        return
    tally.executed += executed
    tally.noticed += executed and noticed
    tally.unreached += noticed and not executed
    if executed and not noticed:
        survey.missed.append(_record(unit, mutant))


def _record(unit: Unit, mutant: Mutant) -> dict[str, object]:
    return {"unit": unit.name, "function": mutant.at.function, "kind": str(mutant.kind), "line": mutant.at.line + 1,
            "block": mutant.at.block, "was": mutant.at.text.strip(), "is": mutant.text.strip()}


def table(survey: Survey) -> str:
    """Markdown."""
    lines = ["| kind | mutants | same object | proved equal | not executed | executed | noticed | of executed |",
             "|---|---|---|---|---|---|---|---|"]
    total = Tally()
    for kind, tally in survey.kinds.items():
        lines.append(_row(kind, tally))
        total += tally
    lines.append(_row("all", total))
    mutants = max(1, total.mutants)
    lines += [
        "",
        f"- {survey.functions} functions of {sum(survey.packages.values())} files of {len(survey.packages)} packages; "
        f"{survey.not_executable} more of them cannot be executed, the blocks of {survey.unmapped} cannot be counted",
        f"- {survey.inputs / max(1, survey.alone):.0f} inputs a function that can be called alone ({survey.alone})",
        f"- {survey.exploring:.0f} s looking for inputs, {survey.checking / mutants:.2f} s a mutant",
        f"- {total.refused} changes that LLVM does not parse, verify or lower are no mutants",
        f"- {total.unreached} mutants were noticed though no counter says that they are executed",
    ]
    return "\n".join(lines)


def _row(name: str, tally: Tally) -> str:
    share = f"{100 * tally.noticed / tally.executed:.1f} %" if tally.executed else ""
    idle = tally.mutants - tally.same - tally.equal - tally.executed
    cells = (name, tally.mutants, tally.same, tally.equal, idle, tally.executed, tally.noticed, share)
    return f"| {' | '.join(map(str, cells))} |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--functions", type=int, default=300)
    parser.add_argument("--per-function", type=int, default=8, help="mutants of a function")
    parser.add_argument("--per-file", type=int, default=6, help="functions of a file")
    parser.add_argument("--largest", type=int, default=300_000, help="bytes of IR text of a file")
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--set", default="held-out", choices=sorted(SETS))
    parser.add_argument("--packages", nargs="+", help="instead of a set")
    parser.add_argument("--effort", choices=("quick", "full"), default="quick")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of files, functions and mutants")
    parser.add_argument("--list", type=Path, help="write the executed mutants that were missed, as JSON lines")
    arguments = parser.parse_args()
    found = units(arguments.packages or list(SETS[arguments.set]))
    if not found:
        print(f"no files; run sources.py --set {arguments.set} first", file=sys.stderr)
        return 2
    effort = Effort.full() if arguments.effort == "full" else Effort.quick()
    stop = time.monotonic() + 60 * arguments.minutes
    survey = Survey(arguments.per_function, effort, random.Random(arguments.seed), stop)
    with WorkerPool(1, Limits(60.0)) as pool:
        for unit in sample(found, len(found), arguments.seed):
            left = arguments.functions - survey.functions
            if left <= 0 or time.monotonic() > survey.stop:
                break
            started = time.monotonic()
            try:
                survey_unit(unit, pool, survey, min(left, arguments.per_file), arguments.largest)
            except LlmcError as error:
                print(f"{unit.name}: {error}", file=sys.stderr)
                continue
            if arguments.list is not None:
                arguments.list.write_text("".join(json.dumps(item) + "\n" for item in survey.missed))
            print(f"{unit.name}: {time.monotonic() - started:.1f} s, {survey.functions} functions so far, "
                  f"{len(survey.missed)} mutants missed", file=sys.stderr)
    print(table(survey))
    return 0


if __name__ == "__main__":
    sys.exit(main())
