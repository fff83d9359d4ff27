"""Python: HumanEval and MBPP pass@1, by lm-eval (EleutherAI's harness), which the user installs beside this package.

lm-eval runs the programs that a model writes. It does so only when it is told to, and here that is `unsafe`: use a
container.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.evaluation.document import Section, Table
from llm_compiler.evaluation.runs import Log, Run
from llm_compiler.evaluation.words import unfinished, where
from llm_compiler.models.engine import EngineError

TASK = "python"
TASKS = ("humaneval", "mbpp")
INSTALL = "pip install 'lm-eval[hf]>=0.4.9'"


def command(model: Path, tasks: Sequence[str] = TASKS, *, limit: int | None = None, seed: int = 0,
            output: str = "OUT") -> list[str]:
    """The command line of lm-eval, for a folder in transformers' form."""
    words = [sys.executable, "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={model}", "--tasks",
             ",".join(tasks), "--seed", str(seed), "--output_path", output, "--log_samples",
             "--confirm_run_unsafe_code"]
    return words if limit is None else [*words, "--limit", str(limit)]


def check(model: Path, tasks: Sequence[str] = TASKS, *, limit: int | None = None, unsafe: bool = False) -> None:
    """Raises InputError without a model, without lm-eval, and without leave to run what the model writes."""
    unknown = [task for task in tasks if task not in TASKS]
    if unknown or not tasks:
        raise InputError(f"tasks are {' and '.join(TASKS)}, not '{', '.join(unknown)}'")
    if not (model / "config.json").exists():
        raise InputError(f"{model} holds no model that transformers reads")
    shown = shlex.join(["python", *command(model, tasks, limit=limit)[1:]])
    if importlib.util.find_spec("lm_eval") is None:
        raise InputError(f"lm-eval is missing: {INSTALL}; then this command, or `HF_ALLOW_CODE_EVAL=1 {shown}`")
    if not unsafe:
        raise InputError("lm-eval runs programs that the model writes; in a container say --unsafe-code, or run "
                         f"`HF_ALLOW_CODE_EVAL=1 {shown}`")


def evaluate(run: Run, model: Path, tasks: Sequence[str] = TASKS, *, limit: int | None = None) -> None:
    """A record for each task that the run lacks; `check` says whether it can be made. Raises EngineError when lm-eval
    fails.
    """
    for task in tasks:
        if task in run:
            continue
        with tempfile.TemporaryDirectory(prefix="eval-") as folder:
            words = command(model, [task], limit=limit, seed=run.seed, output=folder)
            done = subprocess.run(words, env={**os.environ, "HF_ALLOW_CODE_EVAL": "1"}, stdin=subprocess.DEVNULL,
                                  capture_output=True, text=True, check=False)
            if done.returncode:
                last = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
                raise EngineError(f"lm-eval fails on {task}: {last[0]}")
            run.add(task, "scored", name=task, **read_results(Path(folder), task))


def read_results(folder: Path, task: str) -> dict[str, Any]:
    """pass@1, its standard error and the number of problems, from what lm-eval wrote. Raises EngineError."""
    try:
        file = max(folder.rglob("results_*.json"))
        content = json.loads(file.read_text())
        told = content["results"][task]
        value = next(float(told[name]) for name in told if name.split(",")[0] in ("pass@1", "pass_at_1"))
        error = next((told[name] for name in told if name.split(",")[0] in ("pass@1_stderr", "pass_at_1_stderr")), None)
        count = content["n-samples"][task]["effective"]
    except (OSError, ValueError, KeyError, TypeError, StopIteration) as problem:
        raise EngineError(f"lm-eval told no pass@1 of {task}") from problem
    return {"pass_at_1": value, "problems": int(count), "error": error if isinstance(error, float) else None}


def section(log: Log) -> Section:
    """What a run has shown."""
    found = Section(f"Python: {log.name}", [f"{where(log)} {unfinished(log)}".strip()])
    table = Table(("problems", "count", "solved", "pass@1", "95 %"), left=1)
    for record in log.records.values():
        value, error = record["pass_at_1"], record["error"]
        low, high = (None, None) if error is None else (max(0.0, value - 1.96 * error), min(1.0, value + 1.96 * error))
        table.add(record["name"], str(record["problems"]), str(round(value * record["problems"])),
                  f"{100 * value:.1f} %", "-" if low is None or high is None
                  else f"{100 * low:.1f} to {100 * high:.1f} %")
        found.numbers[record["name"]] = {name: record[name] for name in ("pass_at_1", "problems", "error")}
    if table.rows:
        found.add(table)
    found.add("Run by lm-eval; the interval is 1.96 of its standard errors.")
    return found
