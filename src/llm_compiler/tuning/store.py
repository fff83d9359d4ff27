"""Results kept in SQLite, keyed by everything that decides them; safe under parallel builds.

A store that cannot be opened, read or written is no reason to fail: it answers nothing and keeps nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import time
import zlib
from pathlib import Path
from typing import Any

from llm_compiler.paths import cache_folder

_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS results (
    key TEXT PRIMARY KEY, seconds REAL, evaluations INTEGER, saved REAL, record TEXT, object BLOB
) WITHOUT ROWID
"""


def key_of(**parts: object) -> str:
    """The key of a result: input hash, profile, target, LLVM version, tier, strategy, lowering flags …"""
    text = json.dumps({"version": _VERSION, **parts}, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


class Store:
    """`get` answers with a record made under at least the budget asked for; `put` keeps the better budget."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or cache_folder() / "results.sqlite"
        self._connection: sqlite3.Connection | None = None
        with contextlib.suppress(sqlite3.Error, OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute(_SCHEMA)
            self._connection = connection

    def get(self, key: str, *, seconds: float | None, evaluations: int | None) -> tuple[dict[str, Any], bytes] | None:
        """(record, object) or None. A budget of another kind is another key's business: see `key_of`."""
        if self._connection is None:
            return None
        with contextlib.suppress(sqlite3.Error, ValueError, zlib.error):
            row = self._connection.execute(
                "SELECT seconds, evaluations, record, object FROM results WHERE key = ?", (key,)).fetchone()
            if row is None:
                return None
            enough = row[0] >= seconds if seconds is not None and row[0] is not None else row[1] == evaluations
            if enough:
                return json.loads(row[2]), zlib.decompress(row[3])
        return None

    def put(self, key: str, record: dict[str, Any], object_: bytes, *, seconds: float | None,
            evaluations: int | None) -> None:
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            self._connection.execute(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?)",
                (key, seconds, evaluations, time.time(), json.dumps(record), zlib.compress(object_, 6)),
            )

    def close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
