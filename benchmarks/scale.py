"""The engine's pace, here and on Ray, its memory, and what a corpus of millions would cost.

    python benchmarks/scale.py engine --corpus DIR [--units 24] [--functions 16] [--repeats 3]
    python benchmarks/scale.py examples --corpus DIR [--jobs 2] [--ray local] [--seconds 60] [--costs costs.json]
    python benchmarks/scale.py labels corpora/debian-12/labels.parquet --costs costs.json
    python benchmarks/scale.py plan costs.json [--price 0.04] [--machines 64] [--cores 64]

engine: the same units by one and two local workers and by one and two Ray workers, side by side in each repetition;
the pace is taken from the first finished unit to the last, so that starting Ray is not part of it. examples: IR and
assembly examples a second, and the largest memory (PSS) of the whole process tree. plan: from measured costs to 4.5
million programs, as Markdown; `--costs` of `examples` writes such a file or adds its stage to it; labels: adds what the
stages of a file of labels have cost a program, searches of the sample included, and prints what they save.

Form of the costs: {"quantities": {"program": 1, "function": 20.5}, "stages": [{"name": "…", "per": "function",
"cpu_seconds": 0.01, "bytes": 4000, "compilations": 2, "labels": false}], "unit_seconds": [3.1, 2.2]}: quantities are
numbers a program; a stage's costs are for one of what it is `per`; `labels` marks the stages that the reference's
figures are about; unit_seconds are measured times of whole units, from which the run is simulated.
"""

from __future__ import annotations

import argparse
import heapq
import itertools
import json
import os
import random
import statistics
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from llm_compiler.corpus.engine import Report, Unit, run
from llm_compiler.tasks.labels.store import Labels, about
from llm_compiler.tasks.pretraining import PretrainingOptions, PretrainingWork
from llm_compiler.tasks.units import function_units

PROGRAMS = 4_500_000
REFERENCE_CPU_DAYS, REFERENCE_COMPILATIONS = 21_000, 28e9
WAYS = (("local", 1), ("local", 2), ("Ray", 1), ("Ray", 2))


# --- measuring ---------------------------------------------------------------------------------------------------


@dataclass
class Tree:
    """Samples this process's tree: the largest sum of PSS in bytes, and CPU seconds of all that was seen."""

    interval: float = 0.3
    peak: int = 0
    cpu: dict[int, float] = field(default_factory=dict)

    def __enter__(self) -> Self:
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self.thread.join()

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu.values())

    def _watch(self) -> None:
        tick = os.sysconf("SC_CLK_TCK")
        while not self.stop.wait(self.interval):
            parents, used = {}, {}
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    except OSError:
                        continue
                    parents[int(entry.name)] = int(fields[1])
                    used[int(entry.name)] = (int(fields[11]) + int(fields[12])) / tick
            tree = {os.getpid()}
            while new := {pid for pid, parent in parents.items() if parent in tree} - tree:
                tree |= new
            total = 0
            for pid in tree:
                try:
                    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
                except OSError:
                    continue
                total += sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
                self.cpu[pid] = max(self.cpu.get(pid, 0.0), used.get(pid, 0.0))
            self.peak = max(self.peak, total)


@dataclass(frozen=True)
class Pace:
    """rows a second from the first finished unit on; seconds: of the whole run, start included."""

    rows_a_second: float
    seconds: float
    rows: int
    bytes: int
    units: int


def pace(units: list[Unit], way: str, jobs: int) -> Pace:
    """Do units in a folder that is thrown away."""
    times: list[tuple[float, int]] = []

    def note(report: Report) -> None:
        times.append((time.monotonic(), report.rows))

    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        report = run(units, PretrainingWork(options()), Path(folder), jobs=jobs, ray="local" if way == "Ray" else None,
                     on_progress=note)
        seconds = time.monotonic() - started
    if report.failed:
        raise SystemExit(f"units failed: {report.failures}")
    (first, before), (last, after) = times[0], times[-1]
    return Pace((after - before) / (last - first), seconds, report.rows,
                sum(shard.bytes for shard in report.shards), report.done)


def options() -> PretrainingOptions:
    """x86-64 only: the other compiler is a process a document, not what is measured here."""
    return PretrainingOptions(aarch64_share=0.0)


def engine(arguments: argparse.Namespace) -> None:
    # The longest are first elsewhere than in a real run: a fixed shuffle spreads them.
    units = list(function_units(arguments.corpus, arguments.functions, "benchmark"))
    random.Random(0).shuffle(units)
    units = units[: arguments.units]
    found: dict[tuple[str, int], list[Pace]] = {way: [] for way in WAYS}
    for _ in range(arguments.repeats):
        for where in WAYS:
            found[where].append(pace(units, *where))
    print(f"{len(units)} units, {found[WAYS[0]][0].rows} examples, median of {arguments.repeats}\n")
    print("| way | workers | examples a second | all | times one worker | whole run |\n|---|---|---|---|---|---|")
    for way, jobs in WAYS:
        rates = [item.rows_a_second for item in found[way, jobs]]
        # Compared within a repetition: what else the machine does changes between them.
        ratio = statistics.median(two.rows_a_second / one.rows_a_second
                                  for one, two in zip(found[way, 1], found[way, jobs], strict=True))
        whole = statistics.median(item.seconds for item in found[way, jobs])
        print(f"| {way} | {jobs} | {statistics.median(rates):.0f} | {', '.join(f'{rate:.0f}' for rate in rates)} | "
              f"{ratio:.2f} | {whole:.1f} s |")


def held_costs(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is in the file of costs, or the beginning of one."""
    if arguments.costs.exists():
        found: dict[str, Any] = json.loads(arguments.costs.read_text())
        return found
    return {"quantities": {"program": 1, "function": arguments.functions_a_program}, "stages": []}


def examples(arguments: argparse.Namespace) -> None:
    units = function_units(arguments.corpus, arguments.functions, "benchmark")
    until: float | None = None
    ends: list[float] = []

    def source() -> Any:
        for unit in units:
            if until is not None and time.monotonic() > until:
                return
            yield unit

    first: tuple[float, int] | None = None
    last = (0.0, 0)

    def note(report: Report) -> None:
        nonlocal until, first, last
        last = (time.monotonic(), report.rows)
        ends.append(last[0])
        if first is None:
            first, until = last, last[0] + arguments.seconds

    with tempfile.TemporaryDirectory() as folder, Tree() as tree:
        report = run(source(), PretrainingWork(options()), Path(folder), jobs=arguments.jobs, ray=arguments.ray,
                     on_progress=note)
    if first is None or last[1] == first[1]:
        raise SystemExit("the corpus is too small to measure")
    inputs, size = report.counts["inputs"], sum(shard.bytes for shard in report.shards)
    print(f"{report.rows} examples of {inputs} functions, {size / 1e6:.1f} MB; "
          f"{(last[1] - first[1]) / (last[0] - first[0]):.0f} examples a second with {arguments.jobs} workers; "
          f"{report.rows / tree.cpu_seconds:.0f} a CPU-second; peak memory {tree.peak / 1e6:.0f} MB")
    if arguments.costs:
        costs = held_costs(arguments)
        stage = {"name": "IR and assembly examples", "per": "function", "cpu_seconds": tree.cpu_seconds / inputs,
                 "bytes": size / inputs, "compilations": report.rows / 2 / inputs, "labels": False}
        costs["stages"] = [old for old in costs["stages"] if old["name"] != stage["name"]] + [stage]
        costs["unit_seconds"] = [arguments.jobs * (two - one) for one, two in itertools.pairwise(sorted(ends))]
        arguments.costs.write_text(json.dumps(costs, indent=1) + "\n")


# --- planning ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Simulated:
    """hours: of wall time. busy: share of the cores' time that went into units that were finished."""

    hours: float
    busy: float
    failures: int
    lost_units: int


def simulate(cpu_seconds: float, unit_seconds: list[float], machines: int, cores: int, mtbf_hours: float) -> Simulated:
    """A run on machines that fail now and then and come back after ten minutes. What was finished stays; each core of
    a failing machine loses what it has done of a unit: a measured one, met the likelier the longer it is.
    """
    rng = random.Random(0)
    mean, down = mtbf_hours * 3600, 600.0
    events = [(rng.expovariate(1 / mean), True) for _ in range(machines)]
    heapq.heapify(events)
    up, at, left, failures = machines, 0.0, cpu_seconds, 0
    while True:
        when, fails = heapq.heappop(events)
        possible = up * cores * (when - at)
        if possible >= left and up:
            break
        left -= possible
        at = when
        if fails:
            failures += 1
            up -= 1
            left += sum(seconds * rng.random() for seconds in rng.choices(unit_seconds, unit_seconds, k=cores))
            heapq.heappush(events, (at + down, False))
        else:
            up += 1
            heapq.heappush(events, (at + rng.expovariate(1 / mean), True))
    end = at + left / (up * cores) + max(unit_seconds)  # the last unit alone
    return Simulated(end / 3600, cpu_seconds / (end * machines * cores), failures, failures * cores)


def labels(arguments: argparse.Namespace) -> None:
    told = about(arguments.labels)["profiles"]
    costs = held_costs(arguments)
    size = arguments.labels.stat().st_size / sum(record["labels"] for record in told.values())
    for profile, record in told.items():
        for stage, counts in record["costs"].items():
            # What runs code is measured by the clock: its processes are not this one's.
            spent = counts.get("milliseconds of differential execution", counts.get("processor milliseconds", 0)) / 1000
            each = 1 / record["labels"]
            costs["stages"] = [old for old in costs["stages"] if old["name"] != f"{profile}, {stage}"] + [{
                "name": f"{profile}, {stage}", "per": "program", "cpu_seconds": spent * each, "labels": True,
                "bytes": size if stage == "verify" else 0, "compilations": counts.get("evaluations", 0) * each}]
    arguments.costs.write_text(json.dumps(costs, indent=1) + "\n")
    table(arguments.labels)


def table(path: Path) -> None:
    """What the labels of a file save, by profile and kind of program."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in Labels(path).packed():
        groups.setdefault((row["profile"], row["kind"]), []).append(row)
    print("| labels | programs | smaller than -Oz | ran beside -Oz and agreed | verified | refused candidates | "
          "total | mean | with options | compilations a label |\n|---|---|---|---|---|---|---|---|---|---|")
    for (profile, kind), rows in sorted(groups.items()):
        base = [row["baseline_bytes"] for row in rows]
        best, optioned = ([min(size, row[name]) for size, row in zip(base, rows, strict=True)]
                          for name in ("bytes", "options_bytes"))
        mean = 100 * statistics.mean(1 - small / size for small, size in zip(best, base, strict=True))
        print(f"| {profile}, {kind}s | {len(rows):,} | {sum(map(int.__lt__, best, base)):,} | "
              f"{sum(row['verification'].startswith('agreed') for row in rows):,} | "
              f"{sum(row['verified'] for row in rows):,} | {sum(row['wrong'] > 0 for row in rows):,} | "
              f"{100 * (1 - sum(best) / sum(base)):.2f} % | {mean:.2f} % | "
              f"{100 * (1 - sum(optioned) / sum(base)):.2f} % | "
              f"{statistics.mean(row['evaluations'] for row in rows):.0f} |")


def plan(arguments: argparse.Namespace) -> None:
    costs = json.loads(arguments.costs.read_text())
    quantities: dict[str, float] = costs["quantities"]
    lines, total, storage, label_days, label_compilations = [], 0.0, 0.0, 0.0, 0.0
    for stage in costs["stages"]:
        times = quantities[stage["per"]] * arguments.programs
        days, size = times * stage["cpu_seconds"] / 86400, times * stage["bytes"]
        compilations = times * stage.get("compilations", 0)
        total, storage = total + days, storage + size
        if stage.get("labels"):
            label_days, label_compilations = label_days + days, label_compilations + compilations
        lines.append(f"| {stage['name']} | {stage['cpu_seconds']:.3g} s a {stage['per']} | {days:,.1f} | "
                     f"{size / 1e9:,.1f} GB | {compilations / 1e6:,.0f} M | {days * 24 * arguments.price:,.0f} |")
    print(f"{arguments.programs:,} programs of {quantities.get('function', 0):.3g} functions, at {arguments.price:g} a "
          "core-hour:\n")
    print("| stage | measured | CPU-days | storage | compilations | cost |\n|---|---|---|---|---|---|")
    print("\n".join(lines))
    print(f"| all | | {total:,.1f} | {storage / 1e9:,.1f} GB | | {total * 24 * arguments.price:,.0f} |\n")
    if label_days:
        print(f"Labels: {label_days:,.0f} CPU-days and {label_compilations / 1e9:.3g} billion compilations; the "
              f"reference: {REFERENCE_CPU_DAYS:,} and {REFERENCE_COMPILATIONS / 1e9:.0f} "
              f"({REFERENCE_CPU_DAYS * 24 * arguments.price:,.0f} at the same price): "
              f"{REFERENCE_CPU_DAYS / label_days:.1f} and {REFERENCE_COMPILATIONS / label_compilations:.1f} times as "
              "much.\n")
    if costs.get("unit_seconds"):
        found = simulate(total * 86400, costs["unit_seconds"], arguments.machines, arguments.cores, arguments.mtbf)
        print(f"Simulated on {arguments.machines} machines of {arguments.cores} cores, each failing once in "
              f"{arguments.mtbf:g} hours: {found.hours:,.1f} hours, {found.failures:,} failures, "
              f"{found.lost_units:,} units begun again, {100 * found.busy:.2f} % of the cores' time in finished units.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    one = commands.add_parser("engine")
    one.add_argument("--corpus", type=Path, required=True)
    one.add_argument("--units", type=int, default=24)
    one.add_argument("--functions", type=int, default=16, help="in a unit")
    one.add_argument("--repeats", type=int, default=3)
    one.set_defaults(run=engine)
    two = commands.add_parser("examples")
    two.add_argument("--corpus", type=Path, required=True)
    two.add_argument("--functions", type=int, default=64, help="in a unit")
    two.add_argument("--jobs", type=int, default=2)
    two.add_argument("--ray", metavar="ADDRESS")
    two.add_argument("--seconds", type=float, default=60, help="after the first unit, no more are begun")
    two.add_argument("--costs", type=Path)
    two.add_argument("--functions-a-program", type=float, default=20.0, help="for a new file of costs")
    two.set_defaults(run=examples)
    four = commands.add_parser("labels")
    four.add_argument("labels", type=Path)
    four.add_argument("--costs", type=Path, required=True)
    four.add_argument("--functions-a-program", type=float, default=1.0, help="for a new file of costs")
    four.set_defaults(run=labels)
    three = commands.add_parser("plan")
    three.add_argument("costs", type=Path)
    three.add_argument("--programs", type=int, default=PROGRAMS)
    three.add_argument("--price", type=float, default=0.04, help="of a core-hour")
    three.add_argument("--machines", type=int, default=64)
    three.add_argument("--cores", type=int, default=64, help="of a machine")
    three.add_argument("--mtbf", type=float, default=500, help="hours between failures of a machine")
    three.set_defaults(run=plan)
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    main()
