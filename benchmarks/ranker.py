"""Which entries of the core set save most on which programs: the cheap alternative to a language model for flags.

    python benchmarks/ranker.py sample --corpus DIR -o SAMPLE
    python benchmarks/ranker.py choose SAMPLE        cross-validation over training packages: what decides `train`
    python benchmarks/ranker.py train SAMPLE         writes the package's src/llm_compiler/data/ranking.bin
    python benchmarks/ranker.py evaluate SAMPLE      prints the table of docs/benchmarks.md, on test packages

Totals are bytes of all loaded sections below -Oz of the profile, with -Oz as backup.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm
import numpy as np

import ranker_sample as sampling
from llm_compiler.corpus.schema import TEST
from llm_compiler.evaluation.metrics import gains
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Profile
from llm_compiler.models import ranking
from llm_compiler.models.features import NAMES
from llm_compiler.models.ranking import FILE, STEPS, Ranking, Table
from llm_compiler.paths import write_atomically
from llm_compiler.tasks.labels.choice import FUNCTION, MODULE
from llm_compiler.tasks.labels.search import full_space
from ranker_sample import ENTRIES, FAILED, SIZES, Wanted, lines

STEPS_SHOWN = (1, 2, 4, 8)
_NEIGHBOURS = {Profile.DEPLOY: 200}  # what `choose` says; in the paper profile nothing beats the core set's own order
_ARCH = "x86_64"
_LEAST_SHARE = 0.02  # of programs that a count stands in; rarer ones are left out
_LEAST_WEIGHT = 0.3  # of the heaviest
_SCALE = 50.0  # of the heaviest count's logarithm, so that a byte holds it
_FOLDS = 5

# --- data --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Data:
    """Programs of a sample, a row each. base: bytes of -Oz by profile; sizes: of the entries, -Oz where they failed."""

    kinds: Any
    packages: Any
    counts: list[dict[str, float]]
    logs: Any
    base: dict[str, Any]
    sizes: dict[str, Any]

    def gains(self, profile: str) -> Any:
        """Shares of -Oz that entries save; 0 where they save nothing."""
        base = self.base[profile][:, None]
        return np.maximum(0.0, 1 - self.sizes[profile] / base)

    def of(self, chosen: Any) -> Data:
        rows = np.flatnonzero(chosen)
        return Data(self.kinds[rows], self.packages[rows], [self.counts[row] for row in rows], self.logs[rows],
                    {name: each[rows] for name, each in self.base.items()},
                    {name: each[rows] for name, each in self.sizes.items()})

    def __len__(self) -> int:
        return len(self.counts)


def measured(folder: Path, profile: str) -> list[Candidate]:
    """What a sample holds the sizes of, -Oz first."""
    return [Candidate(PassList.parse(passes), tuple(codegen), tuple(options))
            for passes, codegen, options in json.loads((folder / ENTRIES).read_text())[profile]]


def load(folder: Path, test: bool) -> Data:
    """The core set's entries alone, in its order, whatever else was measured."""
    rows = [row for row in lines(folder / SIZES) if "left out" not in row and (row["split"] == TEST) == test]
    base, sizes = {}, {}
    for profile in map(str, Profile):
        places = {candidate: place for place, candidate in enumerate(measured(folder, profile))}
        columns = [0, *(places[candidate] for candidate in full_space(Profile(profile)).core_set)]
        matrix = np.array([[row[profile][place] for place in columns] for row in rows], float)
        base[profile] = matrix[:, 0]
        sizes[profile] = np.where(matrix[:, 1:] == FAILED, matrix[:, :1], matrix[:, 1:])
    logs = np.log1p(np.array([[row["counts"].get(name, 0) for name in NAMES] for row in rows], float))
    return Data(np.array([row["kind"] for row in rows]), np.array([row["package"] for row in rows]),
                [row["counts"] for row in rows], logs, base, sizes)


# --- orders ------------------------------------------------------------------------------------------------------

Orders = Callable[[Data], Iterator[Sequence[int]]]
"""Gives each program the entries in the order in which they are tried, at least as many as are shown."""


def covered(matrix: Any, count: int) -> list[int]:
    """Columns of a matrix of gains, each the one that adds most to those before it; then in their own order."""
    best, order = np.zeros(len(matrix)), []
    for _ in range(min(count, matrix.shape[1])):
        added = np.maximum(matrix - best[:, None], 0).sum(axis=0)
        index = int(added.argmax())
        if added[index] <= 0:
            break
        order.append(index)
        best = np.maximum(best, matrix[:, index])
    return [*order, *(index for index in range(matrix.shape[1]) if index not in set(order))]


def fixed(order: Sequence[int]) -> Orders:
    return lambda asked: (order for _ in range(len(asked)))


def remembered(known: Data, orders: Sequence[Sequence[int]]) -> Orders:
    """Orders that were made before, of some of the programs."""
    by_program = {id(each): order for each, order in zip(known.counts, orders, strict=True)}
    return lambda asked: (by_program[id(each)] for each in asked.counts)


def greedy(known: Data, profile: str) -> list[int]:
    """The order that covers the training programs: those of each kind count by half."""
    matrix = known.gains(profile)
    return covered(matrix * shares(known)[:, None], matrix.shape[1])


def shares(known: Data) -> Any:
    """What each program counts, 1 in all, and functions as much as modules."""
    found = np.array([1 / np.sum(known.kinds == kind) for kind in known.kinds])
    return found / found.sum()


@dataclass(frozen=True)
class Space:
    """Where programs lie: logarithms of some counts, scaled."""

    columns: Any
    scales: Any

    @staticmethod
    def of(known: Data) -> Space:
        """A count weighs as much as it goes along with what entries save; functions and modules weigh the same."""
        usual = np.flatnonzero((known.logs > 0).mean(axis=0) >= _LEAST_SHARE)
        logs = known.logs[:, usual]
        share = shares(known)[:, None]
        centred = logs - (share * logs).sum(axis=0)
        standard = centred / np.maximum(1e-9, np.sqrt((share * centred**2).sum(axis=0)))
        weights = np.zeros(len(usual))
        for profile in known.sizes:
            matrix = known.gains(profile)
            together = (share * standard).T @ (matrix - (share * matrix).sum(axis=0))
            weights += np.sqrt((together**2).sum(axis=1) / (matrix**2).mean())
        kept = weights >= _LEAST_WEIGHT * weights.max()
        return Space(usual[kept], _SCALE * weights[kept] / weights.max())

    def points(self, data: Data) -> Any:
        return np.minimum(255.0, data.logs[:, self.columns] * self.scales)


def neighbours(known: Data, profile: str, count: int) -> Orders:
    """The cover of the nearest training programs."""
    space, matrix = Space.of(known), known.gains(profile)
    held, default = np.rint(space.points(known)), greedy(known, profile)

    def orders(asked: Data) -> Iterator[Sequence[int]]:
        for point in space.points(asked):
            near = np.argsort(((held - point) ** 2).sum(axis=1), kind="stable")[:count]
            order = covered(matrix[near][:, default], max(STEPS_SHOWN))
            yield [default[index] for index in order]

    return orders


_PARAMETERS = {"objective": "regression", "num_leaves": 15, "learning_rate": 0.05, "min_data_in_leaf": 20,
               "feature_fraction": 0.5, "bagging_fraction": 0.7, "bagging_freq": 1, "num_threads": 1, "verbose": -1,
               "seed": 1, "deterministic": True}


def trees(known: Data, profile: str, joint: bool, rounds: int = 60) -> Orders:
    """A boosted model an entry. joint: the cover of what is predicted plus what training programs together were off;
    else by what is predicted alone.
    """
    matrix = known.gains(profile)
    models = [lightgbm.train(_PARAMETERS, lightgbm.Dataset(known.logs, column), rounds) for column in matrix.T]
    predicted = np.column_stack([model.predict(known.logs) for model in models])
    drawn = random.Random(1).sample(range(len(known)), min(200, len(known)))
    off = (matrix - predicted)[drawn]

    def orders(asked: Data) -> Iterator[Sequence[int]]:
        for row in np.column_stack([model.predict(asked.logs) for model in models]):
            yield covered(np.maximum(0, row + off), max(STEPS_SHOWN)) if joint else list(np.argsort(-row))

    return orders


# --- tables ------------------------------------------------------------------------------------------------------


def best_sizes(data: Data, profile: str, orders: Orders) -> dict[int, list[int]]:
    """Bytes of each program after so many entries."""
    found: dict[int, list[int]] = {count: [] for count in STEPS_SHOWN}
    for row, order in zip(data.sizes[profile], orders(data), strict=True):
        for count in STEPS_SHOWN:
            found[count].append(int(row[list(order[:count])].min()))
    return found


def saving(data: Data, profile: str, sizes: Sequence[int]) -> str:
    total = gains(data.base[profile].astype(int).tolist(), sizes).total
    return "" if total is None else f"{total.value:.2f} % ({total.low:.2f} to {total.high:.2f})"


def table(data: Data, profile: str, methods: dict[str, Orders]) -> Iterator[str]:
    """Markdown: total saving after some entries, by kind and method."""
    yield f"\n{profile}\n\n| programs | order | " + " | ".join(f"after {count}" for count in STEPS_SHOWN) + " |"
    yield "|---" * (len(STEPS_SHOWN) + 2) + "|"
    for kind in (FUNCTION, MODULE):
        chosen = data.of(data.kinds == kind)
        if not len(chosen):
            continue
        for name, orders in methods.items():
            found = best_sizes(chosen, profile, orders)
            yield (f"| {len(chosen)} {kind}s | {name} | "
                   + " | ".join(saving(chosen, profile, found[count]) for count in STEPS_SHOWN) + " |")
        least = chosen.sizes[profile].min(axis=1).astype(int).tolist()
        count = chosen.sizes[profile].shape[1]
        blank = " |" * (len(STEPS_SHOWN) - 1)
        yield f"| {len(chosen)} {kind}s | all {count} |{blank} {saving(chosen, profile, least)} |"


# --- commands ----------------------------------------------------------------------------------------------------


def sample(arguments: argparse.Namespace) -> None:
    arguments.output.mkdir(parents=True, exist_ok=True)
    more = {Profile.DEPLOY: arguments.more, Profile.PAPER: 0}
    asked = {str(profile): sampling.entries(profile, arguments.labels, more[profile]) for profile in Profile}
    sampling.keep_entries(arguments.output, {profile: sampling.texts(found) for profile, found in asked.items()})
    sampling.keep_programs(arguments.output, arguments.corpus, Wanted(
        arguments.functions, arguments.modules, arguments.test_functions, arguments.test_modules,
        tuple(arguments.function_range), tuple(arguments.module_range)))
    sampling.measure(arguments.output, asked, arguments.minutes, arguments.first)


def choose(arguments: argparse.Namespace) -> None:
    """Every method on each fifth of the training packages, trained on the others."""
    known = load(arguments.sample, test=False)
    names = sorted(set(known.packages))
    random.Random(1).shuffle(names)
    fold = {name: number % _FOLDS for number, name in enumerate(names)}
    folds = np.array([fold[package] for package in known.packages])
    makers: dict[str, Callable[[Data, str], Orders]] = {
        "fixed": lambda data, profile: fixed(range(data.sizes[profile].shape[1])),
        "greedy": lambda data, profile: fixed(greedy(data, profile)),
        **{f"nearest {count}": lambda data, profile, count=count: neighbours(data, profile, count)  # type: ignore[misc]
           for count in (50, 100, 150, 200, 300)}}
    if arguments.trees:
        makers |= {"trees": lambda data, profile: trees(data, profile, joint=False),
                   "trees, residuals jointly": lambda data, profile: trees(data, profile, joint=True)}
    for profile in map(str, Profile):
        found: dict[str, list[list[int]]] = {name: [[]] * len(known) for name in makers}
        for number in range(_FOLDS):
            inside = known.of(folds != number)
            asked = known.of(folds == number)
            for name, maker in makers.items():
                for row, order in zip(np.flatnonzero(folds == number), maker(inside, profile)(asked), strict=True):
                    found[name][row] = list(order)
        print("\n".join(table(known, profile, {
            name: remembered(known, orders) for name, orders in found.items()})), flush=True)


def train(arguments: argparse.Namespace) -> None:
    """The package's file, of all programs that are no test's."""
    known = load(arguments.sample, test=False)
    space = Space.of(known)
    tables = {}
    for profile, neighbours_ in _NEIGHBOURS.items():
        candidates = full_space(profile).core_set
        order, matrix = greedy(known, profile), known.gains(profile)
        gains_by_entry = tuple(array("H", np.rint(STEPS * matrix[:, index]).astype(int).tolist()) for index in order)
        tables[profile] = Table(tuple(candidates[index].digest for index in order), neighbours_, gains_by_entry)
    points = np.rint(space.points(known)).astype(np.uint8)
    made = Ranking(tuple(NAMES[index] for index in space.columns),
                   tuple(round(float(scale), 4) for scale in space.scales),
                   tuple(bytes(row) for row in points), _ARCH, tables)
    data = made.to_bytes()
    write_atomically(arguments.output, data)
    print(f"{arguments.output}: {len(data)} bytes, {len(known)} programs, {len(made.names)} counts", file=sys.stderr)


def evaluate(arguments: argparse.Namespace) -> None:
    """The package's ranking on test packages, beside what it might have been."""
    known, asked = load(arguments.sample, test=False), load(arguments.sample, test=True)
    started = time.process_time()
    shipped = ranking.read((Path(ranking.__file__).parents[1] / "data" / FILE).read_bytes()).ranking
    loading = time.process_time() - started
    spent = 0.0
    for profile in map(str, Profile):
        digests = [candidate.digest for candidate in full_space(Profile(profile)).core_set]

        def orders(data: Data, profile: str = profile, digests: Sequence[str] = digests) -> Iterator[Sequence[int]]:
            nonlocal spent
            for each in data.counts:
                began = time.process_time()
                order = shipped.order(each, profile, _ARCH, digests)
                spent += time.process_time() - began
                yield range(len(digests)) if order is None else order

        print("\n".join(table(asked, profile, {
            "core set, fixed": fixed(range(len(digests))),
            "greedy on the training programs": fixed(greedy(known, profile)),
            "ranking, shipped": orders,
            "boosted trees": trees(known, profile, joint=False),
            "boosted trees, residuals jointly": trees(known, profile, joint=True)})), flush=True)
    milliseconds = 1000 * spent / (len(_NEIGHBOURS) * len(asked))
    print(f"\n{len(known)} training programs of {len(set(known.packages))} packages, {len(asked)} of "
          f"{len(set(asked.packages))} others: {', '.join(sorted(set(asked.packages)))}. The ranking is read in "
          f"{1000 * loading:.0f} ms and takes {milliseconds:.0f} ms a program, features aside.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    drawing = commands.add_parser("sample")
    drawing.add_argument("--corpus", type=Path, required=True)
    drawing.add_argument("-o", "--output", type=Path, required=True)
    drawing.add_argument("--functions", type=int, default=2000, help="of training packages")
    drawing.add_argument("--modules", type=int, default=250)
    drawing.add_argument("--test-functions", type=int, default=400)
    drawing.add_argument("--test-modules", type=int, default=80)
    drawing.add_argument("--function-range", type=int, nargs=2, default=(8, 300), help="IR instructions of a function")
    drawing.add_argument("--module-range", type=int, nargs=2, default=(32, 1200))
    drawing.add_argument("--labels", type=Path, help="measure lists of these labels, too")
    drawing.add_argument("--more", type=int, default=0, help="so many of them, under the head start's options")
    drawing.add_argument("--minutes", type=float, default=1e9, help="stop then; the same command goes on")
    drawing.add_argument("--first", choices=(FUNCTION, MODULE), help="the kind that is measured before the other")
    drawing.set_defaults(run=sample)
    choosing = commands.add_parser("choose")
    choosing.add_argument("sample", type=Path)
    choosing.add_argument("--trees", action="store_true", help="boosted trees, too: minutes")
    choosing.set_defaults(run=choose)
    training = commands.add_parser("train")
    training.add_argument("sample", type=Path)
    training.add_argument("-o", "--output", type=Path, default=Path(ranking.__file__).parents[1] / "data" / FILE)
    training.set_defaults(run=train)
    judging = commands.add_parser("evaluate")
    judging.add_argument("sample", type=Path)
    judging.set_defaults(run=evaluate)
    arguments = parser.parse_args()
    arguments.run(arguments)
    return 0


if __name__ == "__main__":
    sys.exit(main())
