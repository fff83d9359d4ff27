"""What `llmc cc` remembers: one line a call for the counts, and a log. Neither may ever fail a compilation.

A record is one write() of a short line to a file opened with O_APPEND, so parallel makes do not mix their lines.
"""

import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

_COUNTS = "cc-counts.jsonl"


class Counts(NamedTuple):
    """Totals since the counts were last set to zero. Bytes are those of the compilations that were tuned."""

    seen: int
    tuned: int
    improved: int
    from_store: int
    passed_through: dict[str, int]
    clang_errors: int
    failures: int
    bytes_before: int
    bytes_after: int


def cache_dir(env: Mapping[str, str]) -> str:
    """The folder of everything that is kept: $LLMC_CACHE, or llm-compiler in $XDG_CACHE_HOME or ~/.cache."""
    if own := env.get("LLMC_CACHE"):
        return own
    base = env.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification: a relative path is to be ignored
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "llm-compiler")


def log_path(env: Mapping[str, str]) -> str:
    """The log file: $LLMC_LOG, or cc.log in the cache folder."""
    return env.get("LLMC_LOG") or os.path.join(cache_dir(env), "cc.log")


def count(env: Mapping[str, str], event: str, key: str = "", *, before: int = 0, after: int = 0) -> None:
    """Remember one call: `event` is passed, clang_error, failed, tuned or stored; `key` the reason for passed."""
    # Written by hand: pass-through pays for no import of json, and keys need no escapes.
    _append(
        os.path.join(cache_dir(env), _COUNTS),
        f'{{"event":"{event}","key":"{key}","before":{before},"after":{after}}}\n',
    )


def log(env: Mapping[str, str], line: str, details: str = "") -> None:
    """Append one line with time and process, and `details` indented below it, to the log."""
    head = line.replace("\n", " ")
    body = "".join(f"    {part}\n" for part in details.splitlines())
    _append(log_path(env), f"{time.strftime('%Y-%m-%dT%H:%M:%S')} [{os.getpid()}] {head}\n{body}")


def read_counts(env: Mapping[str, str]) -> Counts:
    """Add up what was counted; no file is all zeros, and a damaged line is passed over."""
    import json

    events: dict[str, int] = {}
    passed: dict[str, int] = {}
    improved = before = after = 0
    try:
        with open(os.path.join(cache_dir(env), _COUNTS), encoding="utf-8", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        lines = []
    for line in lines:
        try:
            record = json.loads(line)
            event, key = str(record["event"]), str(record["key"])
            was, now = int(record["before"]), int(record["after"])
        except (ValueError, TypeError, KeyError):
            continue
        events[event] = events.get(event, 0) + 1
        if event == "passed":
            passed[key] = passed.get(key, 0) + 1
        before, after, improved = before + was, after + now, improved + (now < was)
    stored = events.get("stored", 0)
    return Counts(
        seen=sum(events.values()),
        tuned=events.get("tuned", 0) + stored,
        improved=improved,
        from_store=stored,
        passed_through=dict(sorted(passed.items(), key=lambda item: (-item[1], item[0]))),
        clang_errors=events.get("clang_error", 0),
        failures=events.get("failed", 0),
        bytes_before=before,
        bytes_after=after,
    )


def zero_counts(env: Mapping[str, str]) -> None:
    """Set the counts to zero. Raises OSError where the file cannot be written."""
    with suppress(FileNotFoundError):
        os.truncate(os.path.join(cache_dir(env), _COUNTS), 0)


def _append(path: str, text: str) -> None:
    try:
        folder = os.path.dirname(path)
        if folder:
            os.makedirs(folder, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            os.write(descriptor, text.encode("utf-8", "backslashreplace"))
        finally:
            os.close(descriptor)
    except (OSError, ValueError):
        pass  # a read-only cache or a full disk costs the record, not the compilation
