"""Evaluations a CPU-second, in process and by `opt` and `llc` as processes: the same candidates, side by side.

    python benchmarks/throughput.py --files 5 --candidates 120 --opt opt-19 --llc llc-19

The files are those around the median object size of the held-out packages' sample. The candidates are the ones that
the default search proposes on the file, in its order. Both sides start from the same unoptimised bitcode and end with
an object and its size; both are charged user and system time of everything they start.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from corpus import Unit, sample, units
from llm_compiler.llvm.job import Job
from llm_compiler.llvm.objectfile import measure
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.search import Search
from llm_compiler.tuning.strategies import Strategy, make_strategy
from llm_compiler.tuning.tuner import Tuner, TuningOptions
from sources import SETS


class _Recorder:
    """A strategy that writes down what another one asks."""

    def __init__(self, inner: Strategy) -> None:
        self._inner = inner
        self.asked: list[Candidate] = []

    def ask(self) -> Candidate | None:
        candidate = self._inner.ask()
        if candidate is not None:
            self.asked.append(candidate)
        return candidate

    def tell(self, candidate: Candidate, total: int | None, ir_hash: str) -> None:
        self._inner.tell(candidate, total, ir_hash)


def cpu(who: int) -> float:
    used = resource.getrusage(who)
    return used.ru_utime + used.ru_stime


def processes(opt: str, llc: str, source: Path, candidate: Candidate, folder: Path) -> int | None:
    """Bytes by `opt | llc`; None when one of them refuses."""
    optimised, output = folder / "opt.bc", folder / "opt.o"
    done = subprocess.run([opt, f"-passes={candidate.passes.text}", *candidate.pass_options, str(source), "-o",
                           str(optimised)], capture_output=True, check=False)
    if done.returncode:
        return None
    done = subprocess.run([llc, "-O2", "-filetype=obj", "-relocation-model=pic", *candidate.pass_options,
                           *candidate.codegen_options, str(optimised), "-o", str(output)], capture_output=True,
                          check=False)
    return measure(output.read_bytes()).total if done.returncode == 0 else None


def compare(unit: Unit, count: int, opt: str, llc: str) -> tuple[int, int, float, int, float, int] | None:
    """(object bytes, candidates, our CPU seconds, accepted by opt and llc, their CPU seconds, equal sizes)."""
    options = TuningOptions(Budget(evaluations=count), jobs=1, store=False)
    with Tuner(options) as tuner, tempfile.TemporaryDirectory() as name:
        prepared = tuner._prepare(unit.source, unit.flags, None)
        recorder = _Recorder(make_strategy("adaptive", tuner._space, 0))
        tuner._workers().close()
        before = cpu(resource.RUSAGE_SELF) + cpu(resource.RUSAGE_CHILDREN)
        with WorkerPool(1) as pool:
            search = Search(pool, prepared.bitcode, prepared.lowering, evaluations=count)
            search._drive(recorder.ask, lambda candidate, evaluated: recorder.tell(
                candidate, evaluated.total if evaluated else None, evaluated.ir_hash if evaluated else ""), None, count)
        ours = cpu(resource.RUSAGE_SELF) + cpu(resource.RUSAGE_CHILDREN) - before
        with WorkerPool(1) as pool:
            sizes = [pool.run(Job(prepared.bitcode, candidate, prepared.lowering)) for candidate in recorder.asked]
        theirs = 0.0
        accepted = equal = 0
        for candidate, outcome in zip(recorder.asked, sizes, strict=True):
            before = cpu(resource.RUSAGE_CHILDREN)
            total = processes(opt, llc, prepared.bitcode, candidate, Path(name))
            if total is not None:  # what another version refuses is not charged to it
                accepted += 1
                theirs += cpu(resource.RUSAGE_CHILDREN) - before
            measured = outcome.measurement.size if outcome.measurement else None
            equal += total is not None and measured is not None and measured.total == total
        return prepared.baseline.total, len(recorder.asked), ours, accepted, theirs, equal


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=5, help="how many files around the median")
    parser.add_argument("--sample", type=int, default=26)
    parser.add_argument("--candidates", type=int, default=120)
    parser.add_argument("--opt", default="opt-19")
    parser.add_argument("--llc", default="llc-19")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chosen = sample(units(list(SETS["held-out"])), arguments.sample, arguments.seed)
    sized = []
    with Tuner(TuningOptions(Budget(evaluations=1), strategy="coreset", jobs=1, store=False)) as tuner:
        for unit in chosen:
            baseline = tuner.tune(unit.source, cflags=unit.flags).baseline
            if baseline is not None and baseline.bytes:
                sized.append((baseline.bytes, unit.name, unit))
    sized.sort(key=lambda item: item[:2])
    middle = len(sized) // 2
    first = max(0, middle - arguments.files // 2)
    print("| file | bytes | candidates | in process, a CPU-second | opt + llc, a CPU-second | ratio | "
          "refused by opt or llc | equal sizes |\n|---|---|---|---|---|---|---|---|")
    ours, ratios = [], []
    for _, name, unit in sized[first : first + arguments.files]:
        row = compare(unit, arguments.candidates, arguments.opt, arguments.llc)
        if row is None:
            continue
        size, count, own, accepted, theirs, equal = row
        rate, other = count / own, accepted / theirs if theirs else 0.0
        ours.append(rate)
        ratios.append(rate / other if other else float("inf"))
        print(f"| {name} | {size} | {count} | {rate:.1f} | {other:.1f} | {ratios[-1]:.1f} | {count - accepted} | "
              f"{equal} |", flush=True)
    print(f"\nmedian: {statistics.median(ours):.1f} evaluations a CPU-second, {statistics.median(ratios):.1f} times "
          f"{arguments.opt} + {arguments.llc}", file=sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
