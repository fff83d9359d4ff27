"""What is evaluated: examples of a dataset, or files; always the same ones for the same seed."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.llvm.frontend import SOURCE_SUFFIXES

_MANIFEST = "manifest.json"
ALL = "all"
"""Every split."""

ANY = frozenset({"*"})
"""Files of any suffix."""


@dataclass(frozen=True)
class Item:
    """An example of a dataset (row) or a file (path). benchmark: its package, or the folder that the file is in.

    key: the same for the same content, wherever it lies.
    """

    key: str
    name: str
    benchmark: str
    row: Mapping[str, Any] = field(default_factory=dict)
    path: Path | None = None


@dataclass(frozen=True)
class Suite:
    """Items that are read when they are wanted. name: for tables; identity: of what they were chosen from; of: how
    many there are to choose from.
    """

    name: str
    identity: str
    count: int
    of: int
    read: Callable[[], Iterator[Item]]


def open_suite(inputs: Sequence[Path], task: str, *, split: str = "test", limit: int | None = None, seed: int = 0,
               where: Mapping[str, Sequence[str]] | None = None, columns: Sequence[str] = (),
               suffixes: frozenset[str] = SOURCE_SUFFIXES) -> Suite:
    """Datasets of a task, or files and folders of files.

    split: of a dataset's, or `all`. limit: items, drawn by `seed`: a larger limit takes the same ones and others.
    where: values that a dataset's columns may have. columns: what tells examples of one function apart. suffixes: of
    files. Raises InputError when there is nothing to evaluate.
    """
    if not inputs:
        raise InputError("name a dataset, a folder or files to evaluate on")
    for path in inputs:
        if not path.exists():
            raise InputError(f"there is no {path}; name a dataset, a folder or files to evaluate on")
    datasets = [path for path in inputs if (path / _MANIFEST).exists()]
    if not datasets:
        return _files(inputs, task, limit, seed, suffixes)
    if len(datasets) < len(inputs):
        other = next(path for path in inputs if path not in datasets)
        raise InputError(f"{datasets[0]} is a dataset and {other} is none; evaluate one kind at a time")
    return _dataset(datasets, task, split, limit, seed, where or {}, columns)


# --- datasets ----------------------------------------------------------------------------------------------------


def _dataset(folders: Sequence[Path], task: str, split: str, limit: int | None, seed: int,
             where: Mapping[str, Sequence[str]], columns: Sequence[str]) -> Suite:
    from llm_compiler.corpus.shards import Manifest, read_shards
    from llm_compiler.tasks.units import Rows

    splits: Counter[str] = Counter()
    ranked: list[tuple[str, str, Path, int]] = []
    seen: set[str] = set()
    identity = hashlib.sha256()
    for folder in folders:
        manifest = Manifest.read(folder)
        if manifest.task != task:
            raise InputError(f"{folder} holds examples of {manifest.task}, not of {task}")
        for shard in manifest.shards:
            identity.update(shard.sha256.encode())
            path = folder / shard.name
            for number, row in enumerate(read_shards(path, ["hash", "split", *columns])):
                splits[row["split"]] += 1
                if split not in (ALL, row["split"]):
                    continue
                if any(row[name] not in allowed for name, allowed in where.items()):
                    continue
                key = _key(row, columns)
                if key not in seen:
                    seen.add(key)
                    ranked.append((_rank(seed, key), key, path, number))
    if not ranked:
        told = ", ".join(f"{name} {count}" for name, count in sorted(splits.items())) or "no example at all"
        asked = "".join(f" with {name} {' or '.join(allowed)}" for name, allowed in where.items())
        raise InputError(f"{folders[0]} holds no example of the split {split}{asked} (it has {told}); use --split")
    chosen = sorted(ranked)[:limit]
    places: dict[Path, dict[int, str]] = {}
    for _, key, path, number in chosen:
        places.setdefault(path, {})[number] = key

    def read() -> Iterator[Item]:
        for path, keys in places.items():
            numbers = tuple(sorted(keys))
            for number, row in zip(numbers, Rows(path, numbers, split).read(), strict=True):
                name = row["function"] or row["file"] or row["hash"]
                yield Item(keys[number], name, row["package"] or "unknown", row)

    name = ", ".join(f"{folder.resolve().parent.name}/{folder.name}" for folder in folders)
    return Suite(f"{name}, {split}", identity.hexdigest()[:32], len(chosen), len(ranked), read)


def _key(row: Mapping[str, Any], columns: Sequence[str]) -> str:
    text = "\0".join([row["hash"], *(str(row[name]) for name in columns)])
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:24]


def _rank(seed: int, key: str) -> str:
    return hashlib.sha256(f"{seed} {key}".encode()).hexdigest()


# --- files -------------------------------------------------------------------------------------------------------


def _files(inputs: Sequence[Path], task: str, limit: int | None, seed: int, suffixes: frozenset[str]) -> Suite:
    found: dict[str, Item] = {}
    for given in inputs:
        if given.is_dir():
            if not suffixes:
                raise InputError(f"{given} is no dataset of {task}: it has no {_MANIFEST}; name one that "
                                 f"`llmc dataset {task}` has finished")
            paths = sorted(path for path in given.rglob("*")
                           if (suffixes is ANY or path.suffix in suffixes) and path.is_file())
            if not paths:
                raise InputError(f"{given} holds no {', '.join(sorted(suffixes))} file, and is no finished dataset")
            items = [_item(path, str(path.relative_to(given)), _benchmark(given, path)) for path in paths]
        elif suffixes is ANY or given.suffix in suffixes:
            items = [_item(given, given.name, given.resolve().parent.name)]
        else:
            kinds = ", ".join(sorted(suffixes)) or "dataset"
            raise InputError(f"{given} cannot be evaluated on; name a folder or a file of these: {kinds}")
        found |= {item.key: item for item in items if item.key not in found}
    ranked = sorted(found.values(), key=lambda item: _rank(seed, item.key))
    chosen = sorted(ranked[:limit], key=lambda item: (item.benchmark, item.name, item.key))
    identity = hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()[:32]
    name = ", ".join(dict.fromkeys(path.resolve().name for path in inputs))
    return Suite(name if len(name) < 80 else f"{len(inputs)} files", identity, len(chosen), len(found),
                 lambda: iter(chosen))


def _benchmark(folder: Path, path: Path) -> str:
    """The first folder below the one that was named."""
    parts = path.relative_to(folder).parts
    return parts[0] if len(parts) > 1 else folder.resolve().name


def _item(path: Path, name: str, benchmark: str) -> Item:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return Item(hashlib.sha256(f"{name}\0".encode() + content).hexdigest()[:24], name, benchmark, path=path)
