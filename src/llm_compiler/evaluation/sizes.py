"""Sizes that a model, or any function, tells of a program before and after a pass list, against LLVM's."""

from __future__ import annotations

import importlib.util
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError, LlmcError
from llm_compiler.evaluation.document import Curve, Plot, Section, Table, decimal, number, percent, share
from llm_compiler.evaluation.metrics import Errors, errors
from llm_compiler.evaluation.programs import Refused, code_of
from llm_compiler.evaluation.runs import Log, Run
from llm_compiler.evaluation.suites import Item, Suite
from llm_compiler.evaluation.words import unfinished, where
from llm_compiler.inference import asking
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.llvm import registry
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks import batches, prompts
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.emulation import Order, emulate, random_passes
from llm_compiler.tasks.prompts import EmulationPrompt, Output, Sizes, Unparsed

TASK = "size"
PREDICTED = "predicted"
Predictor = Callable[[str, str], tuple[int, int]]
"""IR text and pass text (without the outer `module(…)`) → bytes before and after."""

_TOKENS = 48  # the four sizes that an answer of the compact form begins with
_NAMES = ("bytes before", "bytes after", "instructions before", "instructions after")
# arXiv 2407.02524: mean absolute percentage errors of the binary size.
_PUBLISHED = (("LLM Compiler 7B and 13B, bytes before", "0.082 to 0.083"),
              ("LLM Compiler 7B and 13B, bytes after", "0.225"))


@dataclass(frozen=True)
class SizeOptions:
    """profile: how files are lowered; a dataset has its own sizes. tokens: of an answer in the reference's form, which
    tells sizes after the code. seconds: for a pass list on a file.
    """

    profile: Profile = Profile.PAPER
    tokens: int = 2048
    seconds: float = 60.0
    seed: int = 0
    cflags: tuple[str, ...] = ()

    def parameters(self) -> dict[str, Any]:
        """What decides the records."""
        return {name: value for name, value in asdict(self).items() if name != "seed"}


@dataclass(frozen=True)
class Question:
    """A program and a pass list, and what LLVM makes of it: bytes before and after, instructions before and after."""

    ir: str
    passes: str
    measured: tuple[int, int, int, int]


def evaluate(run: Run, suite: Suite, options: SizeOptions, predict: Backend | Predictor,
             on_progress: Callable[[int, int], None] = lambda done, count: None) -> None:
    """A record for each example that the run lacks. Raises EngineError when the model cannot be run any more."""
    with WorkerPool(1, Limits(options.seconds)) as pool:
        for count, item in enumerate(suite.read(), 1):
            if item.key not in run:
                told = {"name": item.name, "benchmark": item.benchmark}
                try:
                    asked = question(item, options, pool)
                except Refused as refused:
                    run.add(item.key, refused.status, **told, message=refused.message)
                else:
                    status, values = _answer(item, asked, predict, options)
                    run.add(item.key, status, **told, measured=asked.measured, **values)
            on_progress(count, suite.count)


def question(item: Item, options: SizeOptions, pool: WorkerPool) -> Question:
    """An example of a dataset, or a file with a pass list that its content and the seed decide. Raises Refused."""
    if item.path is None:
        row = item.row
        asked = prompts.parse_prompt(row["prompt"])
        if not isinstance(asked, EmulationPrompt):
            raise Refused("refused", "the example's prompt is none of emulation")
        return Question(asked.ir, asked.passes, (row["bytes_before"], row["bytes_after"], row["instructions_before"],
                                                row["instructions_after"]))
    passes = random_passes(f"{options.seed} {item.key}", registry.load(full=True)).text
    order = Order(code_of(item, options.cflags), passes, options.profile)
    [made] = batches.batch(pool, emulate, [order])
    if isinstance(made, batches.Failure):
        raise Refused(made.reason.replace(" ", "_"), made.message)
    return Question(made.before, passes, (made.sizes[0].total, made.sizes[1].total, *made.instructions))


def _answer(item: Item, asked: Question, predict: Backend | Predictor,
            options: SizeOptions) -> tuple[str, dict[str, Any]]:
    if not isinstance(predict, Backend):
        try:
            before, after = predict(asked.ir, asked.passes)
        except LlmcError as error:
            return "refused", {"message": str(error)}
        return PREDICTED, {"predicted": [before, after, None, None]}
    compacts = predict.form is Form.COMPACT
    prompt = EmulationPrompt(asked.ir, asked.passes, Output.IR, Sizes(asked.measured[2], asked.measured[0]))
    if compacts:
        prompt = replace(prompt, ir=compact(asked.ir))
    found = asking.ask(predict, prompt, tokens=_TOKENS if compacts else options.tokens)
    values: dict[str, Any] = {"seconds": round(found.seconds, 4)}
    if found.problem:
        return found.problem, {**values, "message": found.message}
    told = predict.emulated(found.samples[0])
    if isinstance(told, Unparsed) or told.after is None:
        reason = told.reason if isinstance(told, Unparsed) else "the answer tells no sizes"
        return "unparsed", {**values, "message": f"{reason}: {found.samples[0].text[:200]}"}
    # The reference's prompt tells the sizes before: there is nothing to predict.
    first = told.before
    return PREDICTED, {**values, "predicted": [
        first.bytes if first else None, told.after.bytes, first.instructions if first else None,
        told.after.instructions]}


# --- the report --------------------------------------------------------------------------------------------------


def section(log: Log) -> Section:
    """What a run has shown."""
    found = Section(f"Prediction of sizes: {log.name}", [f"{where(log)} {unfinished(log)}".strip()])
    table = Table(("size", "count", "of them 0", "MAPE", "median error", "total", "correlation",
                   "correlation of logs", "over", "exact", "under"), left=1)
    curves = []
    for index, name in enumerate(_NAMES):
        pairs = list(_pairs(log, index))
        if not pairs:
            continue
        result = errors([pair[0] for pair in pairs], [pair[1] for pair in pairs])
        table.add(name, *_row(result))
        found.numbers[name] = asdict(result)
        if name.startswith("bytes"):
            shown = [pair for pair in pairs if min(pair) > 0]
            curves.append(Curve(name, [pair[1] for pair in shown], [pair[0] for pair in shown]))
    counts = Counter(record["status"] for record in log.records.values())
    found.add(_counts(counts, PREDICTED))
    if table.rows:
        found.add(table)
        found.add("MAPE and median: of |predicted - measured| / measured, over what is not 0. Total: how far all "
                  "predictions together lie below all sizes. Bytes are those of all loaded sections.")
    published = Table(("published", "MAPE"), title="Published on MiBench (another data set), .text + .data "
                                                  "(arXiv 2407.02524)")
    for row in _PUBLISHED:
        published.add(*row)
    found.add(published)
    if any(curve.x for curve in curves):
        found.add(Plot("Predicted and measured sizes", "measured, bytes", "predicted, bytes",
                       [curve for curve in curves if curve.x], log_x=True, log_y=True, points=True))
    return found


def _counts(counts: Counter[str], answered: str) -> str:
    others = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sorted(counts.items())
                       if name != answered)
    return f"{counts[answered]} of {sum(counts.values())} examples are {answered}{f'; {others}' if others else ''}."


def _pairs(log: Log, index: int) -> Iterator[tuple[int, int]]:
    for record in log.records.values():
        if record["status"] == PREDICTED and record["predicted"][index] is not None:
            yield record["predicted"][index], record["measured"][index]


def _row(result: Errors) -> Sequence[str]:
    return (number(result.count), number(result.zeros), decimal(result.mape), decimal(result.median),
            percent(_hundredfold(result)), decimal(result.correlation), decimal(result.log_correlation),
            share(result.over, result.count), share(result.exact, result.count), share(result.under, result.count))


def _hundredfold(result: Errors) -> Any:
    total = result.total
    return None if total is None else replace(total, value=100 * total.value, low=100 * total.low,
                                              high=100 * total.high)


def load_predictor(text: str) -> Predictor:
    """The function that `FILE.py:NAME` names. Raises InputError."""
    file, _, name = text.rpartition(":")
    path = Path(file)
    spec = importlib.util.spec_from_file_location(path.stem, path) if path.is_file() else None
    if spec is None or spec.loader is None:
        raise InputError(f"there is no predictor '{text}'; write FILE.py:FUNCTION")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: Predictor | None = getattr(module, name, None)
    if not callable(found):
        raise InputError(f"{path} has no function '{name}'")
    return found
