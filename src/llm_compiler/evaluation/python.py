"""Python: HumanEval and MBPP pass@1, asked and scored by lm-eval, with every program run in the sandbox."""

from __future__ import annotations

import math
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from llm_compiler.errors import InputError
from llm_compiler.evaluation.document import Section, Table, number, percent
from llm_compiler.evaluation.harness import Model, ask
from llm_compiler.evaluation.metrics import Interval
from llm_compiler.evaluation.pythonproblems import TASKS, Problem
from llm_compiler.evaluation.pythonrun import PythonStatus
from llm_compiler.evaluation.runs import Log, Run
from llm_compiler.evaluation.words import unfinished, where
from llm_compiler.validation import sandbox

TASK = "python"
_CACHE = "generations"
_LOST = tuple(status for status in PythonStatus if status is not PythonStatus.PASSED)


def check_confinement(unsafe: bool) -> None:
    """Raises InputError where programs that a model writes would only be limited, and nobody has said that they may."""
    if not (unsafe or sandbox.filtered()):
        raise InputError("there is no seccomp filter here to confine the programs that the model writes; in a "
                         "container say --unsafe-code")


def evaluate(run: Run, problems: Sequence[Problem], model: Model,
             progress: Callable[[int, int], None] = lambda done, count: None) -> None:
    """A record for each problem that the run lacks. lm-eval gives the answers of a task together: those that were
    written before it failed are kept in the run's folder for the next try. Raises EngineError when lm-eval fails.
    """
    for task in TASKS:
        missing = [problem for problem in problems if problem.task == task and problem.key not in run]
        if not missing:
            continue
        with tempfile.TemporaryDirectory(prefix="llmc-eval-") as folder:
            answers = ask(task, missing, model, Path(folder), seed=run.seed, cache=run.folder.resolve() / _CACHE,
                          log=run.folder / f"lm-eval-{task}.log")
        for answer in answers:
            run.add(answer.problem.key, answer.verdict.status, name=answer.problem.key, task=task, answer=answer.text,
                    message=answer.verdict.message)
        for file in run.folder.glob(f"{_CACHE}*"):
            file.unlink()
        progress(sum(problem.key in run for problem in problems), len(problems))


def section(log: Log) -> Section:
    """What a run has shown."""
    found = Section(f"Python: {log.name}", [f"{where(log)} {unfinished(log)}".strip()])
    table = Table(("problems", "count", "solved", "pass@1", *(str(status).replace("_", " ") for status in _LOST)))
    for task in TASKS:
        statuses = Counter(record["status"] for record in log.records.values() if record["task"] == task)
        if not statuses:
            continue
        count = statuses.total()
        value = wilson(statuses[PythonStatus.PASSED], count)
        shown = Interval(100 * value.value, 100 * value.low, 100 * value.high)
        table.add(task, number(count), number(statuses[PythonStatus.PASSED]), percent(shown, 1),
                  *(number(statuses[status]) for status in _LOST))
        found.numbers[task] = {"problems": count, "pass_at_1": value, "statuses": dict(statuses)}
    if table.rows:
        found.add(table)
    found.add(f"Prompts, ends of answers and scores are those of lm-eval {log.arguments.get('lm-eval', '?')}; programs "
              "ran in llmc's sandbox. Intervals are Wilson's, 95 %.")
    return found


def wilson(solved: int, count: int) -> Interval:
    """A share and Wilson's 95 % interval: a bootstrap of problems of which none was solved would have no width."""
    share, z2 = solved / count, 1.96**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    reach = math.sqrt(z2 * (share * (1 - share) / count + z2 / (4 * count**2))) / (1 + z2 / count)
    return Interval(share, max(0.0, middle - reach), min(1.0, middle + reach))
