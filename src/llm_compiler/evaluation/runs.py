"""A run of an evaluation as a log: a folder with log.jsonl, whose lines are

    {"type": "started", "format": 1, "task": …, "arguments": …, "seed": …, "commit": …, "versions": …}
    {"type": "sample", "key": …, "status": …, …}     one for each example or program
    {"type": "closed", "status": "finished" or "interrupted", "reason": …}

A run that is taken up again has another `started` line; records that are there are not made again. A line that was
being written when the process died is dropped.
"""

from __future__ import annotations

import fcntl
import json
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import llm_compiler
from llm_compiler.errors import InputError, LlmcError, StorageError
from llm_compiler.llvm import library

FORMAT = 1
FILE = "log.jsonl"

Record = dict[str, Any]


class RunStatus(StrEnum):
    """started: neither finished nor closed: it runs, or was killed."""

    STARTED = "started"
    FINISHED = "finished"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True)
class Log:
    """What a run's folder holds. header: its last `started` line; records: by key, in the order of the log."""

    folder: Path
    header: Mapping[str, Any]
    records: Mapping[str, Record]
    status: RunStatus
    reason: str = ""

    @property
    def task(self) -> str:
        return str(self.header["task"])

    @property
    def arguments(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.header["arguments"]
        return found

    @property
    def name(self) -> str:
        """The model, or what there is instead, for a table."""
        return str(self.arguments.get("label") or "no model")


def read(folder: Path) -> Log:
    """Raises InputError for a folder that holds no run."""
    path = folder / FILE
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no run of an evaluation (no {FILE}); `llmc eval TASK … -o DIR` makes one"
                         ) from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    header: Mapping[str, Any] | None = None
    records: dict[str, Record] = {}
    status, reason = RunStatus.STARTED, ""
    for number, line in enumerate(lines, 1):
        if number == len(lines) and not line.endswith(b"\n"):
            break  # the process died over it
        try:
            entry = json.loads(line)
            kind = entry["type"]
            if kind == "started":
                if entry["format"] != FORMAT:
                    raise InputError(f"{path} is of format {entry['format']}; this llmc reads format {FORMAT}")
                header, status, reason = entry, RunStatus.STARTED, ""
            elif kind == "sample":
                records[entry["key"]] = entry
            elif kind == "closed":
                status, reason = RunStatus(entry["status"]), entry.get("reason", "")
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"line {number} of {path} is damaged; delete it, or the folder, and run again") from error
    if header is None:
        raise InputError(f"{path} is no log of an evaluation: it does not begin with how the run started")
    return Log(folder, header, records, status, reason)


class Run:
    """A run that is being made; a context manager, which closes the log as finished or, when something is raised, as
    interrupted.

    arguments: what decides the records; a folder with a run of other arguments is refused. about: what else is worth
    knowing. Raises InputError, and StorageError where the log cannot be written.
    """

    def __init__(self, folder: Path, task: str, arguments: Mapping[str, Any], *, seed: int,
                 about: Mapping[str, Any] | None = None) -> None:
        self.folder = folder
        self.task = task
        self.seed = seed
        arguments = json.loads(json.dumps(arguments))
        self.records: dict[str, Record] = {}
        path = folder / FILE
        if path.exists():
            self._take_up(path, arguments, seed)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file: TextIO = path.open("a")
        except OSError as error:
            raise StorageError(f"cannot write to {folder}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise InputError(f"{folder} is being written by another llmc; wait for it, or choose another folder"
                             ) from error
        commit, dirty = _commit()
        self._write({"type": "started", "format": FORMAT, "task": task, "arguments": arguments, "seed": seed,
                     "about": dict(about or {}), "commit": commit, "dirty": dirty, "versions": versions(),
                     "time": _now()})

    def _take_up(self, path: Path, arguments: Mapping[str, Any], seed: int) -> None:
        held = read(path.parent)
        if held.task != self.task:
            raise InputError(f"{path.parent} holds a run of {held.task}; choose another folder")
        told = {**held.arguments, "seed": held.header["seed"]}
        wanted = {**arguments, "seed": seed}
        other = sorted(name for name in told.keys() | wanted.keys() if told.get(name) != wanted.get(name))
        if other:
            name = other[0]
            raise InputError(f"{path.parent} holds a run with another {name} ({_short(told.get(name))}, not "
                             f"{_short(wanted.get(name))}); choose another folder")
        self.records = dict(held.records)
        data = path.read_bytes()
        if not data.endswith(b"\n"):
            with path.open("r+b") as file:
                file.truncate(data.rfind(b"\n") + 1)

    def __contains__(self, key: str) -> bool:
        return key in self.records

    def add(self, key: str, status: str, **values: Any) -> Record:
        """Write the record of a sample."""
        record = {"type": "sample", "key": key, "status": str(status), **values}
        self._write(record)
        self.records[key] = record
        return record

    def _write(self, entry: Mapping[str, Any]) -> None:
        try:
            self._file.write(json.dumps(entry, ensure_ascii=True) + "\n")
            self._file.flush()
        except OSError as error:
            raise StorageError(f"cannot write to {self.folder}: {error.strerror}; what is there stays, and the same "
                               "command goes on from there") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 _: TracebackType | None) -> None:
        if kind is None:
            self.close(RunStatus.FINISHED)
        elif not isinstance(error, StorageError):
            reason = str(error) if isinstance(error, LlmcError) else f"{kind.__name__}: {error}".rstrip(": ")
            self.close(RunStatus.INTERRUPTED, reason)
        self._file.close()

    def close(self, status: RunStatus, reason: str = "") -> None:
        self._write({"type": "closed", "status": str(status), "reason": reason, "samples": len(self.records),
                     "time": _now()})


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """What the numbers of a run may depend on."""
    return {"llm-compiler": llm_compiler.__version__, "llvm": library.load().version_text,
            "python": platform.python_version(), "machine": platform.machine()}


def _commit() -> tuple[str, bool | None]:
    """The commit of this package's sources and whether they differ from it; empty where they are in no git tree."""
    folder = Path(llm_compiler.__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(["git", "-C", str(folder), *words], stdin=subprocess.DEVNULL, capture_output=True,
                                  text=True, timeout=20, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # An installed copy may lie in the tree of another project.
    if git("ls-files", "--error-unmatch", "__init__.py") is None:
        return "", None
    return git("rev-parse", "HEAD") or "", bool(git("status", "--porcelain", "--untracked-files=no", "--", ":/"))
