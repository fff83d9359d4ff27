"""Parquet shards that are there whole or not at all, and the manifest that lists them, written last.

A shard describes itself: JSON under the key `llmc` of its footer. Nothing in it depends on time, machine or order of
work, so that equal rows give equal bytes.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from llm_compiler import __version__
from llm_compiler.errors import InputError, StorageError
from llm_compiler.paths import write_atomically

KEY = b"llmc"
MANIFEST = "manifest.json"
CREATED_BY = f"llm-compiler {__version__}"
_GROUP_BYTES = 8 << 20
_PENDING = ".tmp"


@dataclass(frozen=True, slots=True)
class ShardInfo:
    """name: of the file, within its folder. sha256: of the file. bytes: its size."""

    name: str
    sha256: str
    rows: int
    bytes: int

    @classmethod
    def of(cls, path: Path) -> Self:
        """Reads the whole file. Raises InputError when it is missing or damaged."""
        rows = _open(path).metadata.num_rows
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path.name, sha256, rows, path.stat().st_size)


# --- writing -----------------------------------------------------------------------------------------------------


def write_shard(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema,
                metadata: Mapping[str, Any]) -> ShardInfo:
    """Write rows in row groups of about 8 MB, streaming: the file appears when it is complete.

    metadata: what JSON can hold; it is written after the last row, so it may contain a Counter that making the rows
    adds to. Rows by package and by split are added to it where the schema has those columns. Rows must have exactly
    the schema's columns. Raises StorageError when the disk does not take the file; nothing is left of it then.
    """
    writer = _Writer(schema)
    temporary: str | None = None
    # What `rows` raises is its own affair: only the writing below is named a storage error.
    try:
        with _storage(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PENDING, dir=path.parent)
            os.close(handle)
            writer.open(temporary)
        for row in rows:
            if writer.add(row):
                with _storage(path):
                    writer.flush()
        with _storage(path):
            writer.close({"created_by": CREATED_BY, **writer.summary(), **metadata})
            _sync(temporary)
            info = ShardInfo.of(Path(temporary))
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(temporary, 0o666 & ~mask)
            os.replace(temporary, path)
            with contextlib.suppress(OSError):  # some network file systems cannot
                _sync(path.parent)
        return ShardInfo(path.name, info.sha256, info.rows, info.bytes)
    except BaseException:
        writer.abandon()
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise


class _Writer:
    """A Parquet file in the making, and what is counted on the way."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.names = set(schema.names)
        self.file: pa.NativeFile | None = None
        self.parquet: pq.ParquetWriter | None = None
        self.pending: list[Mapping[str, Any]] = []
        self.size = 0
        self.packages: Counter[tuple[str, str, str]] = Counter()
        self.splits: Counter[str] = Counter()

    def open(self, path: str) -> None:
        self.file = pa.OSFile(path, "wb")
        self.parquet = pq.ParquetWriter(self.file, self.schema, compression="zstd", compression_level=3)

    def add(self, row: Mapping[str, Any]) -> bool:
        """Take a row; whether it is time to flush."""
        if row.keys() != self.names:
            wrong = ", ".join(sorted(self.names ^ row.keys()))
            raise ValueError(f"the columns of a row are not those of the schema: {wrong}")
        self.pending.append(row)
        self.size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row.values())
        if "package" in row:
            self.packages[row["package"] or "", row.get("version") or "", row.get("licence") or ""] += 1
        if "split" in row:
            self.splits[row["split"] or ""] += 1
        return self.size >= _GROUP_BYTES

    def flush(self) -> None:
        assert self.parquet is not None
        if self.pending:
            self.parquet.write_table(pa.Table.from_pylist(self.pending, schema=self.schema))
        self.pending, self.size = [], 0

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        if "package" in self.names:
            found["packages"] = [[*key, rows] for key, rows in sorted(self.packages.items())]
        if "split" in self.names:
            found["splits"] = dict(sorted(self.splits.items()))
        return found

    def close(self, metadata: Mapping[str, Any]) -> None:
        assert self.file is not None and self.parquet is not None
        self.flush()
        text = json.dumps(metadata, sort_keys=True, ensure_ascii=False)
        self.parquet.add_key_value_metadata({KEY.decode(): text})
        self.parquet.close()
        self.file.close()

    def abandon(self) -> None:
        with contextlib.suppress(OSError, pa.ArrowException):
            if self.parquet is not None:
                self.parquet.is_open = False  # or it would write a footer when it is collected
            if self.file is not None:
                self.file.close()


@contextlib.contextmanager
def _storage(path: Path) -> Iterator[None]:
    """What the disk refuses, as a StorageError."""
    try:
        yield
    except (OSError, InputError) as error:
        reason = getattr(error, "strerror", None) or error
        raise StorageError(f"cannot write {path}: {reason}; free some space or choose another folder, then run the "
                           "same command again: what is finished is kept") from error


def _sync(path: str | Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_pending(folder: Path) -> int:
    """Delete what killed writers left; the number of files. Nobody may be writing to the folder."""
    found = [entry.path for entry in os.scandir(folder) if entry.name.startswith(".") and entry.name.endswith(_PENDING)]
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return len(found)


# --- reading -----------------------------------------------------------------------------------------------------


def shard_paths(folder: Path) -> list[Path]:
    """The shards of a folder in sorted order: those of its manifest, or every *.parquet when it has none."""
    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}; run the command that makes it first")
    if (folder / MANIFEST).exists():
        return [folder / shard.name for shard in Manifest.read(folder).shards]
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def read_shards(where: Path | Iterable[Path], columns: Sequence[str] | None = None,
                batch: int = 256) -> Iterator[dict[str, Any]]:
    """Rows of a folder's shards (`shard_paths`), of one shard or of several, streaming, in sorted order of the paths.

    columns: the wanted ones, all by default. batch: rows in memory at a time, beside one row group (about 8 MB).
    Raises InputError that names a missing or damaged shard.
    """
    if isinstance(where, Path):
        paths = shard_paths(where) if not where.is_file() else [where]
    else:
        paths = sorted(where)
    for path in paths:
        yield from _rows(path, columns, batch, None)


def read_slice(path: Path, start: int, stop: int, columns: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """Rows start to stop - 1 of one shard; only the row groups that hold them are read."""
    parquet = _open(path)
    groups: list[int] = []
    first = before = 0
    for group in range(parquet.metadata.num_row_groups):
        rows = parquet.metadata.row_group(group).num_rows
        if before + rows > start and before < stop:
            if not groups:
                first = before
            groups.append(group)
        before += rows
    at = first
    for row in _rows(path, columns, 256, groups):
        if start <= at < stop:
            yield row
        at += 1


def shard_metadata(path: Path) -> dict[str, Any]:
    """The JSON of a shard's footer. Raises InputError when there is none."""
    found = (_open(path).metadata.metadata or {}).get(KEY)
    if found is None:
        raise InputError(f"{path} is no shard of llmc: it does not describe itself")
    content: dict[str, Any] = json.loads(found)
    return content


def _open(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except FileNotFoundError as error:
        raise InputError(f"the shard {path} is missing; run the command that makes it again") from error
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(f"the shard {path} is damaged ({reason}); delete it and run the command that makes it again")


def _rows(path: Path, columns: Sequence[str] | None, batch: int, groups: list[int] | None) -> Iterator[dict[str, Any]]:
    with _open(path) as parquet:
        missing = set(columns or ()) - set(parquet.schema_arrow.names)
        if missing:
            raise InputError(f"the shard {path} has no column {', '.join(sorted(missing))}")
        # Without threads: workers of the LLVM room are forked from processes that read shards.
        batches = parquet.iter_batches(batch_size=batch, columns=None if columns is None else list(columns),
                                       row_groups=groups, use_threads=False)
        while True:
            try:
                part = next(batches, None)
            except (OSError, pa.ArrowException) as error:
                raise _damaged(path, error) from error
            if part is None:
                return
            yield from part.to_pylist()


# --- the manifest ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Manifest:
    """What a folder of shards holds.

    parameters: everything that decided the result. counts: numbers, nested as the task likes; `Manifest.of` adds
    `rows` and `splits`. packages: name → version, licence, rows.
    """

    task: str
    parameters: dict[str, Any]
    shards: list[ShardInfo]
    counts: dict[str, Any] = field(default_factory=dict)
    packages: dict[str, dict[str, Any]] = field(default_factory=dict)
    created_by: str = CREATED_BY

    @classmethod
    def of(cls, folder: Path, shards: Iterable[ShardInfo], *, task: str, parameters: Mapping[str, Any],
           counts: Mapping[str, Any]) -> Self:
        """The manifest of shards in a folder; packages and splits come from what the shards say of themselves.

        Raises InputError for a shard that is missing, damaged or of another size than its ShardInfo.
        """
        ordered = sorted(shards, key=lambda shard: shard.name)
        splits: Counter[str] = Counter()
        packages: dict[str, dict[str, Any]] = {}
        for shard in ordered:
            path = folder / shard.name
            told = shard_metadata(path)
            if path.stat().st_size != shard.bytes:
                raise InputError(f"the shard {path} has changed since it was written; run the command again")
            splits.update(told.get("splits", {}))
            for name, version, licence, rows in told.get("packages", []):
                entry = packages.setdefault(name, {"version": version, "licence": licence, "rows": 0})
                entry["version"] = _joined(entry["version"], version)
                entry["licence"] = _joined(entry["licence"], licence)
                entry["rows"] += rows
        own: dict[str, Any] = {"rows": sum(shard.rows for shard in ordered)}
        if splits:
            own["splits"] = dict(sorted(splits.items()))
        return cls(task, dict(parameters), ordered, {**own, **counts}, dict(sorted(packages.items())))

    def write(self, folder: Path) -> Path:
        """Write manifest.json, after everything that it lists."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False)
        write_atomically(folder / MANIFEST, text.encode() + b"\n")
        return folder / MANIFEST

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises InputError when there is none or it is no manifest."""
        path = folder / MANIFEST
        try:
            content = json.loads(path.read_bytes())
            content["shards"] = [ShardInfo(**shard) for shard in content["shards"]]
            return cls(**content)
        except FileNotFoundError as error:
            raise InputError(f"{folder} has no {MANIFEST}: it is unfinished; run the command that makes it again"
                             ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{path} is no manifest of llmc; run the command that makes it again") from error

    def verify(self, folder: Path) -> list[str]:
        """A sentence for every shard that is missing, damaged or not what the manifest says; empty when all is well."""
        problems = []
        for shard in self.shards:
            try:
                found = ShardInfo.of(folder / shard.name)
            except InputError as error:
                problems.append(str(error))
                continue
            if found != shard:
                problems.append(f"the shard {folder / shard.name} is not the one of the manifest: {found.rows} rows, "
                                f"sha256 {found.sha256[:12]}…, expected {shard.rows} rows, sha256 {shard.sha256[:12]}…")
        return problems


def _joined(one: str, other: str) -> str:
    """Both texts, where they differ: a package may have come in two versions."""
    return one if other in one.split(", ") else ", ".join(sorted({*one.split(", "), other}))
