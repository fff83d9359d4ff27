"""lm-eval (EleutherAI's harness), run as a program of its own on problems from files, without a hub.

The prompts, the ends of answers and the scores are those of lm-eval's own tasks. Replaced are where the problems come
from and `code_eval`, which it would fetch and which would run what the model writes unconfined.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import llm_compiler
from llm_compiler.errors import InputError
from llm_compiler.evaluation.pythonproblems import HUMANEVAL, INSTALL, MBPP, Problem, key_of
from llm_compiler.evaluation.pythonrun import VERDICTS, PythonStatus, Verdict, hash_of
from llm_compiler.inference.backend import KEY
from llm_compiler.models.embedded import served
from llm_compiler.models.engine import EngineError
from llm_compiler.models.server import Server

_FIELDS = {HUMANEVAL: ("task_id", "prompt", "entry_point", "test"), MBPP: ("task_id", "text", "code", "test_list")}
_NAME = "llmc_{}"
_ERROR = re.compile(r"[\w.]*(Error|Exception|Interrupt)\b")
_LONGEST = 300  # characters of what lm-eval says when it fails
_CODE_EVAL = """import sys
sys.path.append({root!r})
from importlib import import_module
CodeEval = import_module("llm_compiler.evaluation.codeeval").CodeEval
"""


@dataclass(frozen=True)
class Model:
    """A model as lm-eval takes it: its kind there, its arguments, the size of its batches, and secrets."""

    kind: str
    arguments: Mapping[str, Any]
    batch: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def open_model(model: str, *, name: str = "", batch: int = 1) -> Iterator[Model]:
    """A folder in transformers' form, a GGUF file, or the address of a server, `http://HOST:PORT/v1`, where `name` is
    the model's. batch: problems at a time. Raises InputError for what is no model, EngineError for a server that does
    not answer.
    """
    path = Path(model)
    if "://" in model:
        key = os.environ.get(KEY, "")
        Server(model, name, key=key).complete("def", tokens=1)
        yield _server(model, key, name, batch)
    elif path.is_dir():
        if not (path / "config.json").exists():
            raise InputError(f"{model} holds no model that transformers reads")
        yield Model("hf", {"pretrained": str(path.resolve())}, batch)
    elif path.exists():
        with served(path, slots=batch) as (address, key):
            yield _server(address, key, name, batch)
    else:
        raise InputError(f"there is no model {model}: name a folder, a GGUF file, or the http:// address of a server")


def _server(address: str, key: str, name: str, batch: int) -> Model:
    return Model("local-completions", {
        "model": name, "base_url": f"{address.rstrip('/')}/completions", "tokenizer_backend": "None",
        "tokenized_requests": False, "num_concurrent": batch, "max_retries": 3, "timeout": 600,
    }, 1, {"OPENAI_API_KEY": key})


@dataclass(frozen=True)
class Answer:
    """What lm-eval made of a problem. text: as the model gave it, up to lm-eval's ends."""

    problem: Problem
    text: str
    verdict: Verdict


def version() -> str:
    """lm-eval's. Raises InputError where it is missing."""
    try:
        return importlib.metadata.version("lm_eval")
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"lm-eval is missing: {INSTALL}") from error


def ask(task: str, problems: Sequence[Problem], model: Model, folder: Path, *, seed: int = 0, cache: Path | None = None,
        log: Path | None = None) -> list[Answer]:
    """Answers to problems of one task, in their order. folder: an empty one. cache: where answers are kept until all
    are there, log: what lm-eval prints. Raises InputError without lm-eval, EngineError when it fails.
    """
    _write(task, problems, folder)
    words = command(task, model, folder, seed=seed, cache=cache)
    log = log or folder / "log.txt"
    # What was set for the user's own hub must not lead lm-eval there, nor our files into its cache.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HF_")}
    environment = {**kept, "HF_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1",
                   VERDICTS: str(folder / "verdicts.jsonl"), **model.environment}
    with log.open("wb") as sink:
        done = subprocess.run(words, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=sink,
                              stderr=subprocess.STDOUT, check=False)
    if done.returncode:
        raise EngineError(f"lm-eval fails on {task}: {_reason(log.read_text(errors='replace'), done.returncode)}")
    return read_answers(task, problems, folder)


def command(task: str, model: Model, folder: Path, *, seed: int = 0, cache: Path | None = None) -> list[str]:
    """lm-eval's command line in a folder that `ask` has filled."""
    words = [sys.executable, "-P", "-m", "lm_eval", "run", "--model", model.kind, "--model_args",
             json.dumps(model.arguments), "--tasks", _NAME.format(task), "--include_path", str(folder / "tasks"),
             "--batch_size", str(model.batch), "--seed", str(seed), "--output_path", str(folder / "out"),
             "--log_samples", "--confirm_run_unsafe_code"]
    return words if cache is None else [*words, "--use_cache", str(cache)]


def _write(task: str, problems: Sequence[Problem], folder: Path) -> None:
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(f"lm-eval is missing: {INSTALL}")
    base = Path(spec.submodule_search_locations[0]) / "tasks" / task / f"{task}.yaml"
    if not base.exists():
        raise InputError(f"the lm-eval that is installed has no task {task}: {INSTALL}")
    data = folder / "problems.jsonl"
    data.write_text("".join(json.dumps({name: problem.row[name] for name in _FIELDS[task]}) + "\n"
                            for problem in problems))
    (folder / "tasks").mkdir()
    # JSON is YAML.
    (folder / "tasks" / "task.yaml").write_text(json.dumps({
        "include": str(base), "task": _NAME.format(task), "dataset_path": "json", "dataset_name": None,
        "dataset_kwargs": {"data_files": {"test": str(data)}}}, indent=1))
    (folder / "code_eval").mkdir()
    root = str(Path(llm_compiler.__file__).resolve().parent.parent)
    (folder / "code_eval" / "code_eval.py").write_text(_CODE_EVAL.format(root=root))


def _reason(printed: str, code: int) -> str:
    """The last error that a text tells of, else its last line."""
    lines = [line.strip() for line in printed.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.match(line)]
    return (errors or lines or [f"exit code {code}"])[-1][:_LONGEST]


def read_answers(task: str, problems: Sequence[Problem], folder: Path) -> list[Answer]:
    """What lm-eval and `code_eval` left in a folder. Raises EngineError where an answer or a verdict is missing, or
    where lm-eval's pass@1 is not what the verdicts say.
    """
    try:
        verdicts = {row["key"]: Verdict(PythonStatus(row["status"]), row["message"])
                    for row in _rows(folder / "verdicts.jsonl")}
        found: dict[str, Answer] = {}
        known = {problem.key: problem for problem in problems}
        for row in _rows(max((folder / "out").rglob("samples_*.jsonl"))):
            key = key_of(task, row["doc"])
            program = row["filtered_resps"][0]
            program = program if isinstance(program, str) else program[0]
            found[key] = Answer(known[key], row["resps"][0][0], verdicts[hash_of(f"{program}\n{row['target']}")])
        results = json.loads(max((folder / "out").rglob("results_*.json")).read_text())["results"][_NAME.format(task)]
        told = next(float(results[name]) for name in results if name.split(",")[0] in ("pass@1", "pass_at_1"))
        answers = [found[problem.key] for problem in problems]
    except (OSError, ValueError, LookupError, TypeError, StopIteration) as error:
        raise EngineError(f"lm-eval did not tell what became of the problems of {task}") from error
    passed = sum(answer.verdict.status is PythonStatus.PASSED for answer in answers) / len(answers)
    if abs(passed - told) > 1e-6:
        raise EngineError(f"lm-eval says {100 * told:.2f} % of {task}, and its records {100 * passed:.2f} %")
    return answers


def _rows(file: Path) -> Iterator[Any]:
    with file.open() as lines:
        for line in lines:
            yield json.loads(line)
