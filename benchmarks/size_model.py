"""How well sizes are predicted from unoptimised IR and a pass list, on programs of held-out packages.

    python benchmarks/size_model.py sample --corpus DIR -o SAMPLE
    python benchmarks/size_model.py train SAMPLE         writes the package's src/llm_compiler/data/sizes.bin
    python benchmarks/size_model.py evaluate SAMPLE      prints the table of docs/benchmarks.md

`sample` draws functions and modules evenly over packages and measures them as `llmc dataset emulation` does: lowered at
code generation level -O0 before and after a random pass list.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
from scipy.optimize import nnls

from llm_compiler.corpus.schema import TEST, TRAIN, VALIDATION
from llm_compiler.corpus.shards import read_shards, write_shard
from llm_compiler.llvm import registry
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models import size_model
from llm_compiler.models.features import counts, pass_counts, row
from llm_compiler.models.size_model import (
    AFTER,
    BEFORE,
    CONSTANT,
    ESTIMATE,
    FILE,
    INSTRUCTIONS_AFTER,
    SizeModel,
    estimate,
    shares,
    with_table,
)
from llm_compiler.models.trees import Trees
from llm_compiler.paths import write_atomically
from llm_compiler.tasks import batches, units
from llm_compiler.tasks.emulating import Order, emulate
from llm_compiler.tasks.emulation import random_passes

Row = dict[str, Any]
SCHEMA = pa.schema([
    *((name, pa.string()) for name in ("kind", "package", "split", "hash", "ir", "passes")),
    *((name, pa.int64()) for name in ("instructions_before", "instructions_after", "bytes_before", "bytes_after")),
])
SPLITS = (TEST, VALIDATION, TRAIN)
FUNCTION, MODULE = "function", "module"
_LONGEST = 2_000_000  # characters of an input
_A_BATCH = 16

# --- sampling ----------------------------------------------------------------------------------------------------


def places(corpus: Path, kind: str, split: str) -> Iterator[tuple[str, Path, int]]:
    """Every function or kept module of a split: package, shard, row."""
    kept = units.kept_modules(corpus)
    for path in units.function_shards(corpus) if kind == FUNCTION else units.module_shards(corpus):
        columns = ["package", "split"] if kind == FUNCTION else ["package", "module"]
        for number, each in enumerate(read_shards(path, columns)):
            if (each["split"] if kind == FUNCTION else kept.get(each["module"])) == split:
                yield each["package"], path, number


def spread(found: Iterator[tuple[str, Path, int]], count: int, seed: str) -> dict[Path, list[int]]:
    """Rows by shard, `count` in all: a random one of each package in turn."""
    rng = random.Random(seed)
    packages: dict[str, list[tuple[Path, int]]] = defaultdict(list)
    for package, path, number in found:
        packages[package].append((path, number))
    for listed in packages.values():
        rng.shuffle(listed)
    turns = [listed[turn] for turn in range(max(map(len, packages.values()), default=0))
             for _, listed in sorted(packages.items()) if turn < len(listed)]
    rows: dict[Path, list[int]] = defaultdict(list)
    for path, number in turns[:count]:
        rows[path].append(number)
    return rows


def sampled(corpus: Path, kind: str, split: str, count: int, lists: int, counts: Counter[str]) -> Iterator[Row]:
    """Rows of the sample. counts: takes what became of the inputs."""
    known = registry.load(full=True)
    with WorkerPool(1, Limits(30.0)) as pool:
        for path, numbers in spread(places(corpus, kind, split), count, f"{kind} {split}").items():
            for rows in units.chunks(units.Rows(path, tuple(numbers), split).read(), _A_BATCH):
                pairs = [(row, random_passes(f"size {row.get('function') or row['module']} {number}", known).text)
                         for row in rows for number in range(lists)]
                orders = [Order(row.get("ir") or row["bitcode"], passes, Profile.PAPER, _LONGEST)
                          for row, passes in pairs]
                for (row, passes), found in zip(pairs, batches.batch(pool, emulate, orders), strict=True):
                    if isinstance(found, batches.Failure):
                        counts[f"{kind} {found.reason}"] += 1
                    elif found.sizes[0].total and found.sizes[1].total:
                        counts[f"{kind} {split}"] += 1
                        yield {
                            "kind": kind, "package": row["package"], "split": split,
                            "hash": row.get("function") or row["module"], "ir": found.before, "passes": passes,
                            "instructions_before": found.instructions[0], "instructions_after": found.instructions[1],
                            "bytes_before": found.sizes[0].total, "bytes_after": found.sizes[1].total}


def sample(arguments: argparse.Namespace) -> None:
    for split in SPLITS:
        share = 1.0 if split == TRAIN else arguments.held_out
        counts: Counter[str] = Counter()

        def rows(split: str = split, share: float = share, counts: Counter[str] = counts) -> Iterator[Row]:
            yield from sampled(arguments.corpus, FUNCTION, split, round(arguments.functions * share), 1, counts)
            yield from sampled(arguments.corpus, MODULE, split, round(arguments.modules * share),
                               arguments.module_lists, counts)

        write_shard(arguments.output / f"{split}.parquet", rows(), SCHEMA, {"counts": counts})
        print(f"{split}: {dict(sorted(counts.items()))}", file=sys.stderr, flush=True)


# --- examples ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Example:
    """What a prediction is made of, and what LLVM says: instructions and bytes, before and after."""

    module: bool
    package: str
    found: Counter[str]
    told: dict[str, float]
    instructions: tuple[int, int]
    bytes: tuple[int, int]


def examples(folder: Path, split: str) -> list[Example]:
    return [Example(each["kind"] == MODULE, each["package"], counts(each["ir"]),
                    pass_counts(PassList.parse(each["passes"])),
                    (each["instructions_before"], each["instructions_after"]),
                    (each["bytes_before"], each["bytes_after"]))
            for each in read_shards(folder / f"{split}.parquet")]


# --- training ----------------------------------------------------------------------------------------------------

_LEAST_ROWS = 50  # a count that is rarer is left out
_PARAMETERS = {"objective": "regression_l1", "num_leaves": 31, "learning_rate": 0.05, "min_data_in_leaf": 20,
               "feature_fraction": 0.6, "bagging_fraction": 0.7, "bagging_freq": 1, "num_threads": 1, "verbose": -1,
               "seed": 1, "deterministic": True}
_ROUNDS = {BEFORE: 300, AFTER: 400, INSTRUCTIONS_AFTER: 400}  # where validation packages gain no more


def train(arguments: argparse.Namespace) -> None:
    """Weights and trees, both for the least mean of relative errors."""
    known = examples(arguments.sample, TRAIN)
    weights = fitted_weights([each.found for each in known], [each.bytes[0] for each in known])
    names = usual(each.found for each in known)
    of_program = (ESTIMATE, *names, *shares(dict.fromkeys(names, 1.0)))
    inputs = (*of_program, *usual(each.told for each in known))
    matrix = np.array([input_row(inputs, each, weights) for each in known])
    bases = [np.array(column, float) for column in zip(*(basis(each, weights) for each in known), strict=True)]
    models = []
    for output, truth in enumerate(zip(*(measured(each) for each in known), strict=True)):
        given = matrix.copy()
        if output == BEFORE:
            given[:, len(of_program) :] = 0
        models.append(boosted(given, np.array(truth) / bases[output], _ROUNDS[output], inputs))
    data = SizeModel(weights, Trees.stacked(models)).to_bytes()
    write_atomically(arguments.output, data)
    print(f"{arguments.output}: {len(data)} bytes, {len(inputs)} inputs, {len(known)} examples", file=sys.stderr)


def basis(example: Example, weights: Mapping[str, float]) -> tuple[float, float, float]:
    """What the factors of the trees are of, in the order of their outputs."""
    size = estimate(example.found, weights)
    return size, with_table(size, example.told), max(1, example.instructions[0])


def measured(example: Example) -> tuple[float, float, float]:
    """What LLVM says, in the order of the outputs. Every function keeps an instruction; data alone has none."""
    return example.bytes[0], example.bytes[1], max(1, example.instructions[1])


def fitted_weights(found: Sequence[Counter[str]], sizes: Sequence[int]) -> dict[str, float]:
    """Bytes a count."""
    names = usual(found)
    matrix = np.array([row(names, each) for each in found])
    weights = least_errors([*matrix.T, np.ones(len(found))], np.array(sizes))
    return {name: round(float(weight), 3) for name, weight in zip((*names, CONSTANT), weights, strict=True)
            if weight > 0.001}


def usual(found: Iterable[Mapping[str, float]]) -> tuple[str, ...]:
    """Names that stand in enough rows."""
    times = Counter(name for each in found for name in each)
    return tuple(sorted(name for name, count in times.items() if count >= _LEAST_ROWS))


def input_row(names: Sequence[str], example: Example, weights: Mapping[str, float]) -> list[float]:
    return row(names, {ESTIMATE: estimate(example.found, weights)}, shares(example.found), example.found, example.told)


def boosted(matrix: Any, target: Any, rounds: int, names: Sequence[str]) -> Trees:
    """Trees for the least mean of |prediction - target| / target."""
    made = lightgbm.train(_PARAMETERS, lightgbm.Dataset(matrix, target, weight=1 / target), rounds)
    return Trees.from_lightgbm(made.model_to_string(), names)


# --- evaluation --------------------------------------------------------------------------------------------------

_PUBLISHED = {BEFORE: "8.2 to 8.3 %", AFTER: "22.5 %", INSTRUCTIONS_AFTER: ""}  # arXiv 2407.02524, binary size
_ORDER_FILE = "pass instrorderfile"  # adds a megabyte to whatever it is
_TITLES = {BEFORE: "bytes before", AFTER: "bytes after", INSTRUCTIONS_AFTER: "instructions after"}


def evaluate(arguments: argparse.Namespace) -> None:
    """The package's model on held-out packages, beside what takes no model."""
    model, simple = size_model.shipped(), baselines(arguments.sample)
    asked = examples(arguments.sample, arguments.split)
    started = time.process_time()
    predicted = [predict(model, each) for each in asked]
    milliseconds = 1000 * (time.process_time() - started) / len(asked)
    lines = ["| programs | what | mean error (MAPE) | median error | correlation of logarithms | LLM Compiler, "
             "published | LLVM's number before | a constant times instructions | a line in instructions |",
             "|---" * 9 + "|"]
    plain = [each for each in zip(asked, predicted, strict=True) if _ORDER_FILE not in each[0].told]
    for rows, where in ((list(zip(asked, predicted, strict=True)), ""), (plain, ", lists without instrorderfile")):
        for kind in (FUNCTION, MODULE):
            chosen = [each for each in rows if each[0].module is (kind == MODULE)]
            for output, title in _TITLES.items():
                if output == BEFORE and where:
                    continue
                programs = [program for program, _ in chosen]
                truth = np.array([measured(each)[output] for each in programs], float)
                found = np.array([numbers[output] for _, numbers in chosen])
                told = [mean_error([unchanged(each)[output] for each in programs], truth) if output != BEFORE else "",
                        *(mean_error(simply(programs), truth) for simply in simple[output])]
                lines.append("| " + " | ".join((
                    f"{len(chosen)} {kind}s", title + where, mean_error(found, truth),
                    f"{100 * np.median(np.abs(found / truth - 1)):.1f} %",
                    f"{np.corrcoef(np.log(found), np.log(truth))[0, 1]:.3f}",
                    "" if where else _PUBLISHED[output], *told)) + " |")
    print("\n".join(lines))
    counted = sum(each.found["instructions"] == each.instructions[0] for each in asked)
    packages = sorted({each.package for each in asked})
    print(f"\n{len(packages)} packages: {', '.join(packages)}. Instructions before are counted, in {counted} of "
          f"{len(asked)} programs exactly. {milliseconds:.0f} ms a prediction, features aside.")


def mean_error(found: Any, truth: Any) -> str:
    return f"{100 * np.mean(np.abs(np.array(found) / truth - 1)):.1f} %"


def unchanged(example: Example) -> tuple[float, float, float]:
    """LLVM's numbers before as predictions of those after, with the table that `instrorderfile` adds."""
    return example.bytes[0], with_table(example.bytes[0], example.told), max(1, example.instructions[0])


def predict(model: SizeModel, example: Example) -> tuple[float, float, float]:
    found = model.predict_counts(example.found, example.told)
    assert found.after is not None
    return found.before.bytes, found.after.bytes, max(1, found.after.instructions)


Baseline = Callable[[Sequence[Example]], Any]


def baselines(folder: Path) -> list[tuple[Baseline, Baseline]]:
    """For each output a constant times instructions, and a line in them, for the least mean of relative errors on
    training packages.
    """
    columns = ("bytes_before", "bytes_after", "instructions_after", "instructions_before")
    known = list(read_shards(folder / f"{TRAIN}.parquet", columns))
    count = np.array([each["instructions_before"] for each in known], float)
    found = []
    for name in columns[:3]:
        truth = np.array([max(1, each[name]) for each in known])
        (ratio,), (slope, start) = (least_errors(given, truth) for given in ([count], [count, np.ones(len(count))]))
        found.append((_line(ratio, 0.0), _line(slope, start)))
    return found


def _line(slope: float, start: float) -> Baseline:
    return lambda asked: start + slope * np.array([each.instructions[0] for each in asked], float)


def least_errors(columns: Sequence[Any], truth: Any) -> Any:
    """Weights of columns, none below zero, with the least mean of absolute relative errors."""
    matrix = np.column_stack(columns) / truth[:, None]
    weights, _ = nnls(matrix, np.ones(len(truth)), maxiter=100_000)
    for _ in range(8):
        scale = 1 / np.sqrt(np.abs(matrix @ weights - 1) + 0.01)
        weights, _ = nnls(matrix * scale[:, None], scale, maxiter=100_000)
    return weights


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    drawing = commands.add_parser("sample")
    drawing.add_argument("--corpus", type=Path, required=True)
    drawing.add_argument("-o", "--output", type=Path, required=True)
    drawing.add_argument("--functions", type=int, default=11_000, help="of training packages")
    drawing.add_argument("--modules", type=int, default=700)
    drawing.add_argument("--module-lists", type=int, default=1, help="pass lists for a module")
    drawing.add_argument("--held-out", type=float, default=0.15, help="as many of the other splits, each")
    drawing.set_defaults(run=sample)
    training = commands.add_parser("train")
    training.add_argument("sample", type=Path)
    training.add_argument("-o", "--output", type=Path, default=Path(size_model.__file__).parents[1] / "data" / FILE)
    training.set_defaults(run=train)
    judging = commands.add_parser("evaluate")
    judging.add_argument("sample", type=Path)
    judging.add_argument("--split", choices=(VALIDATION, TEST), default=TEST)
    judging.set_defaults(run=evaluate)
    arguments = parser.parse_args()
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
