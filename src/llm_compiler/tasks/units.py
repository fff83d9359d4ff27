"""What work on a corpus is made of: rows of its shards, as units; and how a dataset of examples is finished."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from llm_compiler.corpus.card import write_card
from llm_compiler.corpus.engine import Report, Unit, key_of
from llm_compiler.corpus.schema import MODULE_STATUS_FILE, PROVENANCE
from llm_compiler.corpus.shards import Manifest, read_shards, read_slice, shard_paths
from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.tasks.batches import LEFT_OUT

FORMAT = 2
"""In every unit's key: examples made by another version of this code are made again."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Rows:
    """Rows of one input shard, by number, all of one split."""

    path: Path
    numbers: tuple[int, ...]
    split: str

    def read(self) -> Iterator[dict[str, Any]]:
        wanted = set(self.numbers)
        if not wanted:
            return
        start, stop = min(wanted), max(wanted) + 1
        for number, row in enumerate(read_slice(self.path, start, stop), start):
            if number in wanted:
                yield row


def function_units(corpus: Path, size: int, *decides: Any) -> Iterator[Unit]:
    """Units of at most `size` functions, in the order of the corpus. decides: all else that decides the result."""
    for path in function_shards(corpus):
        yield from _units(path, (row["split"] for row in read_shards(path, ["split"])), size, decides)


def module_units(corpus: Path, size: int, *decides: Any) -> Iterator[Unit]:
    """Units of at most `size` modules, of those that the functions stage has kept."""
    kept = kept_modules(corpus)
    for path in module_shards(corpus):
        yield from _units(path, (kept.get(row["module"]) for row in read_shards(path, ["module"])), size, decides)


def function_shards(corpus: Path) -> list[Path]:
    """In a fixed order. Raises InputError when the functions stage has not run."""
    return _shards(corpus / "functions", "`llmc corpus functions`")


def module_shards(corpus: Path) -> list[Path]:
    """In a fixed order. Raises InputError when nothing was recorded."""
    return _shards(corpus / "modules", "`llmc corpus record`, `add` or `debian`")


def _shards(folder: Path, commands: str) -> list[Path]:
    found = [path for path in shard_paths(folder) if path.name != MODULE_STATUS_FILE] if folder.is_dir() else []
    if not found:
        raise InputError(f"{folder} holds no {folder.name}; run {commands} first")
    return found


def kept_modules(corpus: Path) -> dict[str, str]:
    """The split of every module that the functions stage has kept. Raises InputError when it has not run."""
    status = corpus / "functions" / MODULE_STATUS_FILE
    if not status.exists():
        raise InputError(f"{status} is missing; run `llmc corpus functions` first")
    return {row["module"]: row["split"] for row in read_shards(status, ["module", "split", "status"])
            if row["status"] == "kept"}


def _units(path: Path, splits: Iterator[str | None], size: int, decides: Sequence[Any]) -> Iterator[Unit]:
    rows: dict[str, list[int]] = {}
    for number, split in enumerate(splits):
        if split is not None:
            rows.setdefault(split, []).append(number)
    with path.open("rb") as file:
        content = hashlib.file_digest(file, "sha256").hexdigest()
    for split, numbers in sorted(rows.items()):
        for start in range(0, len(numbers), size):
            chosen = tuple(numbers[start : start + size])
            key = key_of(FORMAT, library.load().version_text, content, chosen, *decides, split=split)
            yield Unit(key, Rows(path.resolve(), chosen, split))


def example(row: Mapping[str, Any], split: str, task: str, prompt: str, answer: str, compact_prompt: str,
            compact_answer: str) -> dict[str, Any]:
    """The columns that every example begins with, from a row of functions or modules."""
    return {
        "task": task, "prompt": prompt, "answer": answer, "compact_prompt": compact_prompt,
        "compact_answer": compact_answer, **{item.name: row.get(item.name) or "" for item in PROVENANCE},
        "function": row.get("name") or "", "hash": row.get("function") or row["module"], "split": split,
    }


def finish(report: Report, output: Path, task: str, parameters: Mapping[str, Any], about: str,
           command: str = "") -> Manifest:
    """The manifest of a finished dataset, and its card: written last. about: what the card says of the task; command:
    what makes the dataset again.
    """
    excluded = {name.removeprefix(LEFT_OUT): count for name, count in sorted(report.counts.items())
                if name.startswith(LEFT_OUT) and count}
    counts: dict[str, Any] = {name: count for name, count in sorted(report.counts.items())
                              if not name.startswith(LEFT_OUT)}
    if report.failures:
        excluded["failed units"] = report.failed
    told = {**parameters, "about": about, "commands": [command or f"llmc dataset {task} --corpus DIR -o OUT"]}
    manifest = Manifest.of(output, report.shards, task=task, parameters=told, counts={**counts, "excluded": excluded})
    manifest.write(output)
    write_card(output, manifest)
    return manifest


def chunks(rows: Iterator[Item], size: int) -> Iterator[list[Item]]:
    """At most `size` rows at a time."""
    while chunk := list(islice(rows, size)):
        yield chunk
