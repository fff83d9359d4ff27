"""Gather the evidence that tiers rest on, and find wrong code.

    python benchmarks/campaign.py --passes --budget 2h
    python benchmarks/campaign.py --tuned 20000 --tier production --budget 1h
    python benchmarks/campaign.py --write
    python benchmarks/campaign.py --reduce CPP/64 'default<Oz>,function(structurizecfg)'

Resumable: every trial is a line of the journal (`--journal`), and one that is there is not run again. Ctrl-C ends a run
without loss. `--write` sums the journals into the package's table; `--reduce` makes a failing case small and keeps it
among the tests.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from llm_compiler.errors import InputError, LlmcError
from llm_compiler.evidence.campaign import Campaign, Progress, pass_batches, tuned_batches
from llm_compiler.evidence.opinion import DifferentialOpinion
from llm_compiler.evidence.reduce import Misbehaves, reduce_case, write_reproduction
from llm_compiler.evidence.table import (
    Journal,
    Record,
    Table,
    candidates_of,
    example_of,
    is_failure,
    read_journal,
    repeat,
    tabulate,
)
from llm_compiler.llvm import library, registry
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.registry import Registry, Tier
from llm_compiler.tuning.budget import Budget
from llm_compiler.validation import suites
from llm_compiler.validation.passlisteval import PassListEval
from llm_compiler.validation.sandbox import SandboxLimits

ROOT = Path(__file__).parent.parent
TABLE = ROOT / "src" / "llm_compiler" / "data" / "evidence.json"
# A program that takes more than a fifth of this unoptimised is left out; one that takes five times as long has hung.
LIMITS = SandboxLimits(cpu_seconds=5, wall_seconds=15)
COMPILE_LIMITS = Limits(20.0)


def loaded(specs: Sequence[str]) -> list[suites.Program]:
    """The programs of suites; `own`, and HumanEval-X when it is there, unless named."""
    chosen = list(specs) or ["own", *(["humaneval"] if suites.humaneval_file() else [])]
    return [program for spec in chosen for program in suites.load(spec)]


def evaluator(arguments: argparse.Namespace) -> PassListEval:
    return PassListEval(loaded(arguments.suite), jobs=arguments.jobs, limits=LIMITS, compile_limits=COMPILE_LIMITS)


class Reporter:
    """Progress on stderr, a line every few seconds."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._every = seconds
        self._last = time.monotonic()

    def __call__(self, progress: Progress) -> None:
        if time.monotonic() - self._last >= self._every:
            self._last = time.monotonic()
            rate = 60 * progress.trials / max(progress.seconds, 1e-9)
            print(f"{progress.seconds:7.0f} s {progress.trials:8,} trials ({rate:,.0f} a minute), {progress.known:,} "
                  f"in the journal, {progress.failures:,} failures", file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace, known: Registry) -> None:
    seconds = None if arguments.budget is None else Budget.parse(arguments.budget).seconds
    if arguments.budget is not None and seconds is None:
        raise InputError("--budget takes a time, such as 20m or 2h")
    with (evaluator(arguments) as checker, Journal(arguments.journal, known.version) as journal,
          contextlib.ExitStack() as opened):
        for line in checker.prepare(lambda done, of: print(f"\r{done} of {of} programs made ready", end="",
                                                           file=sys.stderr, flush=True)):
            print(f"\nleft out: {line}", end="", file=sys.stderr)
        print(file=sys.stderr)
        deadline = None if seconds is None else time.monotonic() + seconds
        names = [program.name for program in checker.programs]
        second = opened.enter_context(DifferentialOpinion(checker.bitcode)) if arguments.differential else None
        campaign = Campaign(checker, journal, known, second=second, on_progress=Reporter())
        if arguments.passes:
            campaign.run(pass_batches(known, names, arguments.seed, frozenset(arguments.only)), deadline=deadline)
        if arguments.tuned is not None:
            tier = Tier.parse(arguments.tier)
            done = tabulate([arguments.journal], known.version).tuned.get(str(tier))
            wanted = max(0, arguments.tuned - (done.trials if done else 0)) + campaign.progress.trials
            campaign.run(tuned_batches(known, tier, names, arguments.seed, checker.bitcode), deadline=deadline,
                         trials=wanted)


def report(journals: Sequence[Path], known: Registry) -> str:
    """Counts by what was tried, and every failing tuned program with what repeats it."""
    table = tabulate(journals, known.version)
    lines = [f"LLVM {table.llvm}; programs: {', '.join(f'{count} {name}' for name, count in table.suites.items())}", ""]
    lines += ["| on trial | kind | lists | programs | trials | changed code | failures |",
              "|---|---|---|---|---|---|---|"]
    for kind, part in (("pass", table.passes), ("option", table.options), ("core set", table.core_set),
                       ("tuned", table.tuned)):
        for name, row in sorted(part.items()):
            failures = ", ".join(f"{count} {verdict}" for verdict, count in row.failures) or "0"
            lines.append(f"| {name} | {kind} | {row.lists:,} | {row.programs:,} | {row.trials:,} | {row.changed:,} in "
                         f"{row.programs_changed:,} programs | {failures} |")
    failed = [entry for path in journals for _, entry in read_journal(path)
              if isinstance(entry, Record) and entry.subject.kind in ("tuned", "core") and is_failure(entry.verdict)]
    lists = candidates_of(journals, {record.candidate for record in failed})
    for record in failed:
        example = example_of(record.program, lists[record.candidate], record.verdict)
        lines.append(f"\n{record.program}: {record.verdict} ({record.detail})\n  {repeat(example)}")
    return "\n".join(lines)


def reduce(arguments: argparse.Namespace, known: Registry) -> None:
    name, passes = arguments.reduce
    candidate = Candidate(PassList.parse(passes), tuple(arguments.codegen_option), tuple(arguments.pass_option))
    program = next((program for program in loaded(arguments.suite) if program.name == name), None)
    if program is None:
        raise InputError(f"there is no program {name}; name its suite with --suite")
    with PassListEval([program], jobs=1, limits=LIMITS) as checker, Misbehaves(known, cxx=program.cxx) as test:
        bitcode = checker.bitcode(name).read_bytes()

        def progress(tests: int, passes: int, instructions: int) -> None:
            print(f"{tests:5} tests: {passes} passes, {instructions} instructions", file=sys.stderr, flush=True)

        seconds = (Budget.parse(arguments.budget).seconds if arguments.budget else None) or 600.0
        found = reduce_case(bitcode, candidate, test, known, seconds=seconds, on_progress=progress)
    what = "-".join([name, *sorted(found.candidate.passes.names())])
    label = re.sub(r"[^A-Za-z0-9]+", "-", what).strip("-").lower()
    write_reproduction(arguments.output, label, found, test, name)
    print(f"{found.candidate.passes.text}: {found.instructions} instructions, {test.actual} where "
          f"exit code 0 is right; in {arguments.output / label}.ll")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passes", action="store_true", help="try passes, options and the core set")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="with --passes: only this one")
    parser.add_argument("--tuned", type=int, metavar="N", help="go on until the journal holds N tuned programs")
    parser.add_argument("--differential", action="store_true",
                        help="run the functions of programs that pass beside those of -Oz, too")
    parser.add_argument("--tier", default="production", help="of the tuned programs")
    parser.add_argument("--suite", action="append", default=[], metavar="SPEC", help=suites.SPECS)
    parser.add_argument("--budget", metavar="TIME",
                        help="of the trials, once the programs are ready: such as 20m or 2h; none is no limit")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--journal", type=Path, default=Path("campaign.jsonl"))
    parser.add_argument("--also", type=Path, action="append", default=[], metavar="JOURNAL",
                        help="journals of other machines or seeds to sum up as well")
    parser.add_argument("--write", action="store_true", help="write the package's table")
    parser.add_argument("--keep", action="store_true", help="with --write: merge with the table that is there")
    parser.add_argument("--reduce", nargs=2, metavar=("PROGRAM", "LIST"))
    parser.add_argument("--codegen-option", action="append", default=[], metavar="OPTION", help="with --reduce")
    parser.add_argument("--pass-option", action="append", default=[], metavar="OPTION", help="with --reduce")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "tests" / "miscompiles", help="with --reduce")
    arguments = parser.parse_args()
    status = 0
    try:
        known = registry.load(full=True)
        if arguments.reduce:
            reduce(arguments, known)
            return 0
        if arguments.passes or arguments.tuned is not None:
            try:
                run(arguments, known)
            except KeyboardInterrupt:
                print("interrupted; the journal has everything up to here", file=sys.stderr)
                status = 130
        journals = [arguments.journal, *arguments.also]
        missing = [path for path in journals if not path.exists()]
        if missing:
            raise InputError(f"{missing[0]} does not exist; say --passes or --tuned N first, or name it with --journal")
        print(report(journals, known))
        if arguments.write and not status:
            table = tabulate(journals, library.load().version_text, [arguments.seed])
            (Table.read(TABLE).merge(table) if arguments.keep else table).write(TABLE)
            print(f"written to {TABLE}", file=sys.stderr)
    except LlmcError as error:
        print(f"campaign: {error}", file=sys.stderr)
        return 2
    return status


if __name__ == "__main__":
    raise SystemExit(main())
