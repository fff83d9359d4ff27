"""What a flag-tuning label reaches of a long search, and what it costs, on programs of held-out packages.

    llmc dataset flags --corpus DIR
    python benchmarks/labels.py --corpus DIR --functions 40 --modules 10 --evaluations 3000

Lists are chosen on training packages; programs here are of the test and validation packages. Searches use pass lists
alone, as labels do: the written-out -Oz pipeline mutated, too, of any length. Resumable: every program is a line of the
results file, and a line that is there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from llm_compiler.corpus.engine import key_of
from llm_compiler.corpus.schema import TRAIN
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks.labels import store
from llm_compiler.tasks.labels.bench import Task
from llm_compiler.tasks.labels.choice import FUNCTION, MODULE, Program, Slice, choose
from llm_compiler.tasks.labels.label import FAILED, label
from llm_compiler.tasks.labels.search import search
from llm_compiler.tasks.labels.stages import seed_of

Row = dict[str, Any]
BUDGETS = (10, 40, 100, 150, 300, 1000, 3000)


def measure(program: Program, profile: Profile, lists: tuple[str, ...], evaluations: int, refine: int,
            strategy: str) -> Row | None:
    """One program: a long search, and its label with and without refinement."""
    part = Slice(program.kind, program.split, ((program.shard, (program.hash,)),))
    ((name, data, _),) = part.rows()
    long_, short, plain = Counter[str](), Counter[str](), Counter[str]()
    with WorkerPool(1, Limits(3600.0)) as pool:
        found = Task(profile, search, (evaluations, seed_of(name), strategy, True)).run(pool, data, long_)
        refined = Task(profile, label, (lists, refine, 0, seed_of(name))).run(pool, data, short)
        broadcast = Task(profile, label, (lists, 0, 0, seed_of(name))).run(pool, data, plain)
    if isinstance(found, str) or isinstance(refined, str) or isinstance(broadcast, str):
        return None
    if found.baseline is None or refined.baseline is None:
        return None
    base = refined.baseline.total
    return {
        "kind": program.kind, "package": program.package, "instructions": program.instructions, "baseline": base,
        "trace": found.trace, "evaluations": found.evaluations, "lowered": found.lowered,
        "milliseconds": long_["processor milliseconds"],
        "broadcast": min([base, *(size for size in broadcast.sizes if size != FAILED)]),
        "broadcast evaluations": broadcast.evaluations, "broadcast lowered": broadcast.lowered,
        "broadcast milliseconds": plain["processor milliseconds"],
        "label": min([base, *(choice.total for choice in refined.best)]),
        "label evaluations": refined.evaluations, "label lowered": refined.lowered,
        "label milliseconds": short["processor milliseconds"],
    }


def searched(row: Row, budget: int) -> int:
    return min([row["baseline"], *(size for count, size in row["trace"] if count <= budget)])


def table(rows: list[Row], evaluations: int) -> str:
    """Markdown: gains by budget, and what labels reach of the last."""
    base = sum(row["baseline"] for row in rows)

    def gains(sizes: list[int]) -> tuple[float, float]:
        return (100 * (1 - sum(sizes) / base),
                statistics.mean(100 * (1 - size / row["baseline"]) for size, row in zip(sizes, rows, strict=True)))

    best = gains([searched(row, evaluations) for row in rows])
    lines = ["| what | compilations | back ends run | ms of processor time | total | mean | of the long search, total "
             "| mean |", "|---|---|---|---|---|---|---|---|"]

    def line(what: str, sizes: list[int], costs: tuple[str, str, str]) -> str:
        total, mean = gains(sizes)
        shares = [100 * reached / most if most else 100 for reached, most in zip((total, mean), best, strict=True)]
        return (f"| {what} | {' | '.join(costs)} | {total:.2f} % | {mean:.2f} % | "
                f"{shares[0]:.0f} % | {shares[1]:.0f} % |")

    def average(name: str) -> str:
        return f"{statistics.mean(row[name] for row in rows):.0f}"

    for budget in (*(budget for budget in BUDGETS if budget < evaluations), evaluations):
        last = budget == evaluations
        costs = (str(budget), average("lowered") if last else "", average("milliseconds") if last else "")
        lines.append(line("search", [searched(row, budget) for row in rows], costs))
    for what, name in (("broadcast", "broadcast"), ("broadcast and refinement", "label")):
        costs = (average(f"{name} evaluations"), average(f"{name} lowered"), average(f"{name} milliseconds"))
        lines.append(line(what, [row[name] for row in rows], costs))
    rate = sum(row["label evaluations"] for row in rows) / max(1, sum(row["label milliseconds"] for row in rows)) * 1000
    lines.append(f"\n{len(rows)} programs of {len({row['package'] for row in rows})} packages, median "
                 f"{statistics.median(row['instructions'] for row in rows):.0f} IR instructions; "
                 f"{rate:.0f} evaluations a CPU-second in labels")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--labels", type=Path, help="the lists are taken from here; the corpus's own unless said")
    parser.add_argument("--functions", type=int, default=40)
    parser.add_argument("--modules", type=int, default=10)
    parser.add_argument("--largest", type=int, default=1000, help="IR instructions of a program at most")
    parser.add_argument("--evaluations", type=int, default=3000)
    parser.add_argument("--refine", type=int, default=120)
    parser.add_argument("--strategy", default="adaptive")
    parser.add_argument("--profile", default="deploy", choices=[str(profile) for profile in Profile])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("labels.jsonl"))
    arguments = parser.parse_args()
    profile = Profile(arguments.profile)
    told = store.about(arguments.labels or arguments.corpus / "work" / "labels" / "labels.parquet")
    lists = tuple(told["lists"][arguments.profile])
    programs = held_out(arguments.corpus, arguments.functions, arguments.modules, arguments.largest)
    done: dict[str, Row] = {}
    if arguments.results.exists():
        done = {row["key"]: row for row in map(json.loads, arguments.results.read_text().splitlines())}
    keys = {program: key_of(program.hash, arguments.profile, lists, arguments.evaluations, arguments.refine,
                            arguments.strategy) for program in programs}
    with ProcessPoolExecutor(arguments.jobs) as executor:
        waiting = {program: executor.submit(measure, program, profile, lists, arguments.evaluations, arguments.refine,
                                            arguments.strategy) for program in programs if keys[program] not in done}
        for program, future in waiting.items():
            row = future.result()
            if row is None:
                print(f"{program.package}: nothing to measure in {program.hash}", file=sys.stderr)
                continue
            done[keys[program]] = {"key": keys[program], **row}
            with arguments.results.open("a") as file:
                file.write(json.dumps(done[keys[program]]) + "\n")
            print(f"{program.kind:8} {program.package:20} {program.instructions:5} {row['baseline']:6} "
                  f"search {searched(row, arguments.evaluations):6} broadcast {row['broadcast']:6} "
                  f"label {row['label']:6}", file=sys.stderr, flush=True)
    for kind in (FUNCTION, MODULE):
        rows = [done[keys[program]] for program in programs if program.kind == kind and keys[program] in done]
        if rows:
            print(f"\n{kind}s, {arguments.profile}, {len(lists)} lists\n\n{table(rows, arguments.evaluations)}")
    return 0


def held_out(corpus: Path, functions: int, modules: int, largest: int) -> list[Program]:
    """Programs of packages that are not for training, spread over packages and sizes."""
    everything = [program for program in choose(corpus, 1 << 40, 1 << 40, largest=largest, seed=1)
                  if program.split != TRAIN]
    found = []
    for kind, wanted in ((FUNCTION, functions), (MODULE, modules)):
        found += [program for program in everything if program.kind == kind][:wanted]
    return found


if __name__ == "__main__":
    raise SystemExit(main())
