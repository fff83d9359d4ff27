"""What the ranking adds to the search: `hybrid` beside `adaptive`, file by file in the same run, by budget.

    python benchmarks/ranker.py sample --corpus DIR -o SAMPLE
    python benchmarks/hybrid.py --sample SAMPLE --runs 1s:10:3 3s:10:2 10s:10:1 30s:6:1 60s:4:1 examples/*.c

Files are those that are named, and modules of test packages from the sample. A run is BUDGET:FILES:SEEDS. One process;
strategies take turns at being first. Resumable: a line of the results file is not measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_compiler.corpus.schema import TEST
from llm_compiler.corpus.shards import read_shards
from llm_compiler.llvm.target import Profile
from llm_compiler.tasks.labels.choice import MODULE
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.tuner import Tuner, TuningOptions
from ranker_sample import PROGRAMS

STRATEGIES = ("adaptive", "hybrid")
Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """budget: as `llmc tune` takes it, for the first `files`, with so many seeds."""

    budget: str
    files: int
    seeds: int

    @staticmethod
    def parse(text: str) -> Run:
        budget, files, seeds = text.split(":")
        return Run(budget, int(files), int(seeds))


def modules(sample: Path, count: int, least: int, folder: Path) -> Iterator[tuple[str, Path]]:
    """Names and bitcode of test modules: one of each package in turn, as they were drawn."""
    packages: dict[str, list[Row]] = {}
    for row in read_shards(sample / PROGRAMS):
        if row["kind"] == MODULE and row["split"] == TEST and row["instructions"] >= least:
            packages.setdefault(row["package"], []).append(row)
    deepest = max(map(len, packages.values()), default=0)
    turns = [rows[turn] for turn in range(deepest) for _, rows in sorted(packages.items()) if turn < len(rows)]
    for row in turns[:count]:
        path = folder / f"{row['package']}-{row['hash'][:8]}.bc"
        path.write_bytes(row["code"])
        yield path.stem, path


def measure(name: str, path: Path, strategy: str, budget: str, seed: int, profile: str) -> Row | None:
    options = TuningOptions(Budget.parse(budget), Profile(profile), strategy, jobs=1, seed=seed, store=False)
    with Tuner(options) as tuner:
        result = tuner.tune(path)
    if result.baseline is None or result.best is None or not result.baseline.bytes:
        print(f"{name}: {result.message}", file=sys.stderr)
        return None
    return {"file": name, "strategy": strategy, "budget": budget, "seed": seed, "baseline": result.baseline.bytes,
            "best": result.best.bytes, "seconds": round(result.seconds, 2), "evaluations": result.evaluations}


def table(rows: list[Row], runs: list[Run]) -> str:
    """Markdown: totals and medians of both, and how often the one is smaller than the other."""
    lines = ["| budget | files | seeds | bytes clang -Oz | adaptive, total | hybrid, total | adaptive, median | "
             "hybrid, median | hybrid smaller | equal | larger | evaluations, median | seconds, median |",
             "|---" * 13 + "|"]
    for run in runs:
        found = {(row["file"], row["seed"], row["strategy"]): row for row in rows if row["budget"] == run.budget}
        pairs = [(row, found[file, seed, "hybrid"]) for (file, seed, strategy), row in found.items()
                 if strategy == "adaptive" and (file, seed, "hybrid") in found]
        if not pairs:
            continue
        base = sum(one["baseline"] for one, _ in pairs)
        columns = list(zip(*pairs, strict=True))
        totals = [f"{100 * (1 - sum(row['best'] for row in column) / base):.2f} %" for column in columns]
        medians = [f"{statistics.median(100 * (1 - row['best'] / row['baseline']) for row in column):.2f} %"
                   for column in columns]
        compared = [sum(sign(other["best"] - one["best"]) == wanted for one, other in pairs) for wanted in (-1, 0, 1)]
        others = [" / ".join(f"{statistics.median(row[name] for row in column):.{digits}f}" for column in columns)
                  for name, digits in (("evaluations", 0), ("seconds", 1))]
        files = len({one["file"] for one, _ in pairs})
        lines.append("| " + " | ".join((run.budget, str(files), str(run.seeds), f"{base:,}", *totals, *medians,
                                        *map(str, compared), *others)) + " |")
    return "\n".join(lines)


def sign(number: int) -> int:
    return (number > 0) - (number < 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--sample", type=Path)
    parser.add_argument("--least", type=int, default=150, help="IR instructions of a module of the sample")
    parser.add_argument("--runs", nargs="+", type=Run.parse,
                        default=[Run.parse(text) for text in ("1s:10:3", "3s:10:2", "10s:10:1", "30s:6:1", "60s:4:1")])
    parser.add_argument("--profile", default="deploy", choices=[str(profile) for profile in Profile])
    parser.add_argument("--results", type=Path, default=Path("hybrid.jsonl"))
    arguments = parser.parse_args()
    done: dict[str, Row] = {}
    if arguments.results.exists():
        done = {row["key"]: row for row in map(json.loads, arguments.results.read_text().splitlines())}
    rows = []
    with tempfile.TemporaryDirectory(prefix="hybrid-") as name:
        most = max(run.files for run in arguments.runs)
        chosen = [(path.name, path) for path in arguments.files]
        if arguments.sample is not None:
            chosen += modules(arguments.sample, most - len(chosen), arguments.least, Path(name))
        for run in arguments.runs:
            for number, (file, path) in enumerate(chosen[: run.files]):
                for seed in range(run.seeds):
                    first = (number + seed) % 2
                    for strategy in (STRATEGIES[first], STRATEGIES[1 - first]):
                        key = f"{file} {strategy} {run.budget} {seed} {arguments.profile}"
                        row = done.get(key) or measure(file, path, strategy, run.budget, seed, arguments.profile)
                        if row is None:
                            continue
                        rows.append(row)
                        if key not in done:
                            with arguments.results.open("a") as out:
                                out.write(json.dumps({"key": key, **row}) + "\n")
                            print(f"{file} {run.budget} {strategy}: {row['baseline']} -> {row['best']}, "
                                  f"{row['evaluations']} evaluations, {row['seconds']} s", file=sys.stderr, flush=True)
    print(table(rows, arguments.runs))
    print(f"\n{', '.join(sorted({row['file'] for row in rows}))}; 1 job.")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
