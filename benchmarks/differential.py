"""How many functions of real packages differential execution can run, and how often it cries wolf.

    python benchmarks/sources.py --set held-out
    python benchmarks/differential.py --files 60 --effort full

Executable: at least one input counts (unoptimised and -Oz agree), or counted inputs of callers reach the function.
False alarms: unmutated functions that differ under LLVM's own pipelines.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from corpus import Unit, sample, units
from llm_compiler.errors import LlmcError
from llm_compiler.llvm import frontend
from llm_compiler.llvm.job import Job, Limits
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tuning import output
from llm_compiler.tuning.source import open_source
from llm_compiler.validation.differential import Effort, FunctionStatus, open_differential
from sources import SETS

LEVELS = ("default<Oz>", "default<O1>", "default<O3>")


@dataclass
class Tally:
    """Counts of a package. `changed` and `alarms` are by level."""

    files: int = 0
    functions: int = 0
    alone: int = 0
    via: int = 0
    inputs: int = 0
    blocks: int = 0
    all_blocks: int = 0
    seconds: float = 0.0
    reasons: Counter[str] = field(default_factory=Counter)
    changed: Counter[str] = field(default_factory=Counter)
    alarms: Counter[str] = field(default_factory=Counter)


def survey(unit: Unit, pool: WorkerPool, effort: Effort, tally: Tally, verbose: bool) -> None:
    """Add one translation unit. Raises LlmcError."""
    with frontend.temporary_folder() as name:
        folder = Path(name)
        opened = open_source(unit.source, folder, pool, cflags=unit.flags)
        if not opened.inspection.functions:
            return
        bitcode, lowering = opened.bitcode, opened.lowering
        reference = output.clang_output(opened, output.Kind.OBJECT, folder)
        started = time.monotonic()
        with open_differential(pool, bitcode, lowering, reference, folder, effort) as differential:
            differential.explore()
            tally.seconds += time.monotonic() - started
            tally.files += 1
            for state in differential.executability():
                tally.functions += 1
                tally.alone += state.inputs > 0
                tally.via += state.via
                tally.inputs += state.inputs
                tally.blocks += state.blocks
                tally.all_blocks += state.all_blocks
                if not state.inputs and not state.via:
                    tally.reasons[_main_reason(state.reason)] += 1
                    if verbose:
                        print(f"    {unit.name}: {state.name}: {state.reason}", file=sys.stderr)
            for level in LEVELS:
                outcome = pool.run(Job(bitcode, Candidate(PassList.parse(level)), lowering, keep_object=True))
                if outcome.measurement is None or outcome.measurement.object is None:
                    continue
                verification = differential.check(outcome.measurement.object)
                for item in verification.functions:
                    if item.status in (FunctionStatus.AGREED, FunctionStatus.DIFFERS):
                        tally.changed[level] += 1
                    if item.status is FunctionStatus.DIFFERS:
                        tally.alarms[level] += 1
                        example = item.counterexample
                        assert example is not None
                        print(f"  {unit.name} {level}: {example.call}: {example.difference} [{example.replay}]",
                              file=sys.stderr)


def _main_reason(reason: str) -> str:
    """`none of 48 inputs counts (40 crash, 8 …)`: what most of them did."""
    if "(" not in reason:
        return reason
    told = reason.split("(", 1)[1].split(",")[0].rstrip(")")
    return "inputs: " + told.split(" ", 1)[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--set", default="held-out", choices=sorted(SETS))
    parser.add_argument("--packages", nargs="+", help="instead of a set")
    parser.add_argument("--effort", choices=("quick", "full"), default="quick")
    parser.add_argument("--seed", type=int, default=1, help="of the choice of files")
    parser.add_argument("--verbose", action="store_true", help="name the functions that cannot be executed")
    arguments = parser.parse_args()
    chosen = sample(units(arguments.packages or list(SETS[arguments.set])), arguments.files, arguments.seed)
    if not chosen:
        print(f"no files; run sources.py --set {arguments.set} first", file=sys.stderr)
        return 2
    effort = Effort.full() if arguments.effort == "full" else Effort.quick()
    tallies: dict[str, Tally] = {}
    with WorkerPool(1, Limits(120.0)) as pool:
        for unit in chosen:
            tally = tallies.setdefault(unit.package, Tally())
            started = time.monotonic()
            try:
                survey(unit, pool, effort, tally, arguments.verbose)
            except LlmcError as error:
                print(f"{unit.name}: {error}", file=sys.stderr)
                continue
            print(f"{unit.name}: {time.monotonic() - started:.1f} s", file=sys.stderr)
    print("| package | files | functions | run alone | run through callers | executable | inputs a function | "
          "blocks reached | seconds a file | " + " | ".join(f"{level}: changed, alarms" for level in LEVELS) + " |")
    print("|---|---|---|---|---|---|---|---|---|" + "---|" * len(LEVELS))
    total = Tally()
    for package, tally in sorted(tallies.items()):
        print(row(package, tally))
        for name in ("files", "functions", "alone", "via", "inputs", "blocks", "all_blocks", "seconds"):
            setattr(total, name, getattr(total, name) + getattr(tally, name))
        total.reasons += tally.reasons
        total.changed += tally.changed
        total.alarms += tally.alarms
    print(row("all", total))
    for reason, count in total.reasons.most_common(12):
        print(f"- {count}: {reason}")
    return 0


def row(name: str, tally: Tally) -> str:
    run = tally.alone + tally.via
    levels = " | ".join(f"{tally.changed[level]}, {tally.alarms[level]}" for level in LEVELS)
    return (f"| {name} | {tally.files} | {tally.functions} | {tally.alone} | {tally.via} | "
            f"{100 * run / max(1, tally.functions):.1f} % | {tally.inputs / max(1, tally.alone):.0f} | "
            f"{100 * tally.blocks / max(1, tally.all_blocks):.0f} % | {tally.seconds / max(1, tally.files):.1f} | "
            f"{levels} |")


if __name__ == "__main__":
    sys.exit(main())
