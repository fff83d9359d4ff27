"""Gain over clang -Oz by budget, and gain against seconds by strategy, on held-out packages.

    python benchmarks/sources.py --set held-out
    python benchmarks/gain.py --files 26 --budgets 1s 10s 60s
    python benchmarks/gain.py --files 26 --budgets 10s --profile paper
    python benchmarks/gain.py --files 13 --budgets 10s --plot docs/gain.png --strategy random evolution coreset adaptive

One file after the other, each with both cores. A file with nothing gained counts with clang's own object. Resumable:
every result is a line of the results file, and a line that is there is not measured again.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from pathlib import Path
from typing import Any

from corpus import Unit, sample, units
from llm_compiler.llvm.target import Profile
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.tuner import Tuner, TuningOptions
from sources import SETS

Row = dict[str, Any]


def measure(chosen: list[Unit], budget: str, strategy: str, profile: str, jobs: int, done: dict[str, Row],
            log: Path) -> list[Row]:
    """One row a unit; rows already in `done` are taken from there."""
    rows = []
    options = TuningOptions(Budget.parse(budget), Profile(profile), strategy, jobs=jobs, store=False)
    with Tuner(options) as tuner:
        for unit in chosen:
            key = f"{unit.name} {budget} {strategy} {profile} {jobs} {' '.join(unit.flags)}"
            row = done.get(key)
            if row is None:
                result = tuner.tune(unit.source, cflags=unit.flags)
                if result.baseline is None or result.best is None:
                    print(f"{unit.name}: {result.message}", file=sys.stderr)
                    continue
                row = {
                    "key": key, "unit": unit.name, "budget": budget, "strategy": strategy, "profile": profile,
                    "baseline": result.baseline.bytes, "best": result.best.bytes, "seconds": result.seconds,
                    "evaluations": result.evaluations, "cpu_seconds": result.cpu_seconds,
                    "trace": result.trace, "outcomes": dict(result.outcomes),
                }
                with log.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{unit.name:40} {budget} {strategy} {row['baseline']:7} {row['best']:7} "
                      f"{100 * (1 - row['best'] / max(1, row['baseline'])):6.2f} % {row['evaluations']:5} evaluations "
                      f"{row['seconds']:.1f} s", file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def table(groups: dict[tuple[str, str, str], list[Row]]) -> str:
    """Markdown: totals, medians, means, counts."""
    lines = ["| profile | strategy | budget | files | bytes clang -Oz | bytes tuned | total | median | mean | "
             "smaller | equal | larger | evaluations a CPU-second, median file | seconds a file, median |",
             "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|"]
    for (profile, strategy, budget), rows in groups.items():
        rows = [row for row in rows if row["baseline"]]
        if not rows:
            continue
        base, best = sum(row["baseline"] for row in rows), sum(row["best"] for row in rows)
        savings = [100 * (1 - row["best"] / row["baseline"]) for row in rows]
        rates = [row["evaluations"] / row["cpu_seconds"] for row in rows if row["cpu_seconds"] > 0]
        lines.append(
            f"| {profile} | {strategy} | {budget} | {len(rows)} | {base:,} | {best:,} | "
            f"{100 * (1 - best / base):.2f} % | "
            f"{statistics.median(savings):.2f} % | {statistics.mean(savings):.2f} % | "
            f"{sum(saving > 0 for saving in savings)} | {sum(saving == 0 for saving in savings)} | "
            f"{sum(saving < 0 for saving in savings)} | {statistics.median(rates) if rates else 0:.0f} | "
            f"{statistics.median(row['seconds'] for row in rows):.1f} |")
    return "\n".join(lines)


def plot(groups: dict[tuple[str, str, str], list[Row]], path: Path) -> None:
    """Total gain against seconds of search, a line a strategy."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4.5))
    for (profile, strategy, budget), rows in groups.items():
        limit = Budget.parse(budget).seconds or max((row["trace"][-1][0] for row in rows if row["trace"]), default=1.0)
        times = [limit * step / 200 for step in range(1, 201)]
        base = sum(row["baseline"] for row in rows)
        curve = []
        for moment in times:
            total = 0
            for row in rows:
                reached = [size for seconds, _, size in row["trace"] if seconds <= moment]
                total += min([row["baseline"], *reached])
            curve.append(100 * (1 - total / base))
        axes.plot(times, curve, label=f"{strategy} ({profile}, {budget})")
    axes.set_xscale("log")
    axes.set_xlabel("seconds of search a file (2 cores)")
    axes.set_ylabel("total saving over clang -Oz, %")
    axes.grid(True, alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=26)
    parser.add_argument("--budgets", nargs="+", default=["1s", "10s", "60s"])
    parser.add_argument("--strategy", nargs="+", default=["adaptive"])
    parser.add_argument("--profile", default="deploy", choices=[str(profile) for profile in Profile])
    parser.add_argument("--set", default="held-out", choices=sorted(SETS))
    parser.add_argument("--seed", type=int, default=1, help="of the choice of files")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=Path("gain.jsonl"))
    parser.add_argument("--plot", type=Path)
    arguments = parser.parse_args()
    chosen = sample(units(list(SETS[arguments.set])), arguments.files, arguments.seed)
    if not chosen:
        print(f"no files; run sources.py --set {arguments.set} first", file=sys.stderr)
        return 2
    done = {}
    if arguments.results.exists():
        done = {row["key"]: row for row in map(json.loads, arguments.results.read_text().splitlines())}
    groups = {}
    for strategy in arguments.strategy:
        for budget in arguments.budgets:
            groups[arguments.profile, strategy, budget] = measure(
                chosen, budget, strategy, arguments.profile, arguments.jobs, done, arguments.results)
    print(f"{len(chosen)} files of {len({unit.package for unit in chosen})} packages: "
          f"{', '.join(sorted({unit.package for unit in chosen}))}\n")
    print(table(groups))
    if arguments.plot:
        plot(groups, arguments.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
