"""Find the core set: search long on training files, try every winner on every file, rank greedily by what each adds.

    python benchmarks/sources.py --set train
    python benchmarks/core_set.py --files 60 --seconds 30 -o src/llm_compiler/data/core-set.json

Resumable: what a search found is kept in the work folder (`--work`), and the matrix as well.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from corpus import Unit, sample, units
from llm_compiler.llvm import registry
from llm_compiler.llvm.job import Job
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.registry import Tier
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tuning import data
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.tuner import Tuner, TuningOptions
from sources import SETS

Row = dict[str, object]


def search(unit: Unit, seconds: float, profile: str, seed: int) -> list[Row]:
    """The distinct best candidates of one file, minimised, best first."""
    options = TuningOptions(Budget(seconds=seconds), Profile(profile), jobs=1, seed=seed, store=False)
    with Tuner(options) as tuner:
        result = tuner.tune(unit.source, cflags=unit.flags)
        if result.candidate is None or result.baseline is None or result.best is None:
            return []
        print(f"{unit.name}: {result.baseline.bytes} -> {result.best.bytes} ({result.saving_pct:.2f} %), "
              f"{result.evaluations} evaluations", file=sys.stderr, flush=True)
        candidate = result.candidate
        return [{"passes": candidate.passes.text, "codegen_options": list(candidate.codegen_options),
                 "pass_options": list(candidate.pass_options), "from": unit.name,
                 "saving_pct": round(result.saving_pct, 3)}]


def matrix_row(unit: Unit, candidates: list[Candidate], profile: str) -> list[int | None]:
    """Bytes of the baseline, then of every candidate, on one file."""
    options = TuningOptions(Budget(evaluations=1), Profile(profile), jobs=1, store=False)
    with Tuner(options) as tuner:
        try:
            prepared = tuner._prepare(unit.source, unit.flags, None)
        except Exception as error:
            print(f"{unit.name}: {error}", file=sys.stderr)
            return []
        sizes: list[int | None] = [prepared.baseline.total]
        pool: WorkerPool = tuner._workers()
        for candidate in candidates:
            measurement = pool.run(Job(prepared.bitcode, candidate, prepared.lowering)).measurement
            sizes.append(measurement.size.total if measurement and measurement.size else None)
        return sizes


def rank(matrix: list[list[int | None]], count: int, keep: int) -> list[int]:
    """Indices of candidates, each the one that adds most to the mean saving of the best of those before it."""
    files = [row for row in matrix if row and row[0]]
    best = [1.0] * len(files)
    order: list[int] = []
    while len(order) < keep:
        gains = []
        for index in range(count):
            gain = 0.0
            for position, row in enumerate(files):
                size, base = row[index + 1], row[0]
                if size is not None and base:
                    gain += max(0.0, best[position] - size / base)
            gains.append((gain, -index))
        gain, negative = max(gains)
        if gain <= 1e-6:
            break
        chosen = -negative
        order.append(chosen)
        for position, row in enumerate(files):
            size, base = row[chosen + 1], row[0]
            if size is not None and base:
                best[position] = min(best[position], size / base)
        mean = 100 * (1 - sum(best) / len(best))
        print(f"{len(order)}: candidate {chosen}, mean saving {mean:.3f} %", file=sys.stderr)
    return order


def unions(candidates: list[Candidate], count: int, seed: int) -> list[tuple[str, ...]]:
    """Sets of options drawn by how often winners hold them, one of a group at most."""
    rng = random.Random(seed)
    held = Counter(option for candidate in candidates for option in candidate.codegen_options)
    groups = {option: group for group in data.option_groups("codegen", Tier.PRODUCTION, "x86_64") for option in group}
    sets = []
    for _ in range(count):
        chosen: dict[tuple[str, ...], str] = {}
        for _ in range(rng.randint(3, 9)):
            option = rng.choices(list(held), list(held.values()))[0]
            chosen.setdefault(groups.get(option, (option,)), option)
        sets.append(tuple(chosen.values()))
    return sets


def head_start(matrix: list[list[int | None]], candidates: list[Candidate]) -> list[str]:
    """The options that, on the -Oz pipeline and with nothing else, save most in total."""
    oz = candidates[0].passes
    best: tuple[float, list[str]] = (0.0, [])
    for index, candidate in enumerate(candidates):
        if candidate.passes != oz or candidate.pass_options:
            continue
        rows = [row for row in matrix if row and row[0] and row[index + 1] is not None]
        total = sum(row[0] or 0 for row in rows)
        saved = sum((row[0] or 0) - (row[index + 1] or 0) for row in rows)
        mean = sum(1 - (row[index + 1] or 0) / (row[0] or 1) for row in rows) / max(1, len(rows))
        if total and saved / total > best[0]:
            best = (saved / total, list(candidate.codegen_options))
            print(f"head start: {100 * saved / total:.3f} % in total, {100 * mean:.3f} % mean: {best[1]}",
                  file=sys.stderr)
    return best[1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=60)
    parser.add_argument("--matrix-files", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--profile", default="deploy", choices=[str(profile) for profile in Profile])
    parser.add_argument("--unions", type=int, default=24)
    parser.add_argument("--keep", type=int, default=40)
    parser.add_argument("--largest", type=int, default=60000, help="bytes of source beyond which a file is left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=Path("core-set-work"))
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    found = [unit for unit in units(list(SETS["train"])) if unit.source.stat().st_size <= arguments.largest]
    chosen = sample(found, arguments.matrix_files, arguments.seed)
    if not chosen:
        print("no training files; run sources.py --set train first", file=sys.stderr)
        return 2
    rows: list[Row] = []
    started = time.monotonic()
    with ProcessPoolExecutor(2) as executor:
        waiting = {}
        for unit in chosen[: arguments.files]:
            file = arguments.work / f"{arguments.profile}-{unit.name.replace('/', '-')}.json"
            if file.exists():
                rows += json.loads(file.read_text())
            else:
                waiting[file] = executor.submit(search, unit, arguments.seconds, arguments.profile, arguments.seed)
        for file, future in waiting.items():
            found_rows = future.result()
            file.write_text(json.dumps(found_rows))
            rows += found_rows
        candidates = list(dict.fromkeys(
            Candidate(PassList.parse(str(row["passes"])), tuple(row["codegen_options"]), tuple(row["pass_options"]))  # type: ignore[arg-type]
            for row in rows))
        # A minimised list has lost what its own file did not need: the whole -Oz pipeline under the same options
        # stands beside it, and under unions of options that won often.
        oz = oz_pipeline(registry.load())
        candidates += [Candidate(oz, candidate.codegen_options, candidate.pass_options) for candidate in candidates]
        candidates += [Candidate(oz, options) for options in unions(candidates, arguments.unions, arguments.seed)]
        candidates = list(dict.fromkeys([Candidate(oz), *candidates]))
        print(f"{len(candidates)} candidates after {time.monotonic() - started:.0f} s", file=sys.stderr)
        matrix = list(executor.map(matrix_row, chosen, [candidates] * len(chosen),
                                   [arguments.profile] * len(chosen)))
    order = rank(matrix, len(candidates), arguments.keep)
    held = json.loads(arguments.output.read_text()) if arguments.output.exists() else {}
    if arguments.profile == "deploy":
        held["deploy-head-start"] = head_start(matrix, candidates)
    held[arguments.profile] = [
        {"passes": "" if candidate.passes == oz else candidate.passes.text,
         "codegen_options": list(candidate.codegen_options), "pass_options": list(candidate.pass_options)}
        for candidate in (candidates[index] for index in order)]
    arguments.output.write_text(json.dumps(held, indent=1) + "\n")
    print(f"{len(order)} candidates written to {arguments.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
