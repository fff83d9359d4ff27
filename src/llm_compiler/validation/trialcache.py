"""What PassListEval keeps on disk: records in SQLite, and files named by what is in them, within a bound."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

from llm_compiler.paths import write_atomically

BOUND = 2 << 30
"""Bytes of files that are kept; those not used for longest go first."""

_SCHEMA = "CREATE TABLE IF NOT EXISTS records (key TEXT PRIMARY KEY, record TEXT) WITHOUT ROWID"


class TrialCache:
    """Safe under parallel use. A folder that cannot be used is replaced by `fallback`, which goes with the session."""

    def __init__(self, folder: Path, fallback: Path, bound: int = BOUND) -> None:
        self._fallback = fallback
        self._bound = bound
        try:
            self._open(folder)
        except (sqlite3.Error, OSError):
            self._open(fallback)

    def _open(self, folder: Path) -> None:
        self._files = folder / "files"
        self._files.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(folder / "records.sqlite", timeout=10, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_SCHEMA)
        except sqlite3.Error:
            self._connection.close()
            raise

    def get(self, *key: str) -> dict[str, Any] | None:
        with contextlib.suppress(sqlite3.Error, ValueError):
            row = self._connection.execute("SELECT record FROM records WHERE key = ?", (" ".join(key),)).fetchone()
            if row is not None:
                found: dict[str, Any] = json.loads(row[0])
                return found
        return None

    def put(self, *key: str, record: dict[str, Any]) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute("INSERT OR REPLACE INTO records VALUES (?, ?)",
                                     (" ".join(key), json.dumps(record)))

    def file(self, name: str) -> Path | None:
        """A file that is kept, from now on the one used last."""
        for path in (self._path(name), self._fallback / name):
            with contextlib.suppress(OSError):
                os.utime(path)
                return path
        return None

    def put_file(self, name: str, data: bytes) -> Path:
        """Keep a file. Raises InputError when there is no room anywhere."""
        found = self.file(name)
        if found is not None:
            return found
        path = self._path(name)
        write_atomically(path, data, required=False)
        if not path.exists():
            path = self._fallback / name
            self._fallback.mkdir(parents=True, exist_ok=True)
            write_atomically(path, data)
        return path

    def _path(self, name: str) -> Path:
        return self._files / name[:2] / name

    def close(self) -> None:
        """Bound the files. Any number of times."""
        self._connection.close()
        found: list[tuple[int, int, Path]] = []
        for path in self._files.glob("*/*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.append((stat.st_mtime_ns, stat.st_size, path))
        excess = sum(size for _, size, _ in found) - self._bound
        for _, size, path in sorted(found):
            if excess <= 0:
                break
            with contextlib.suppress(OSError):
                path.unlink()
            excess -= size
