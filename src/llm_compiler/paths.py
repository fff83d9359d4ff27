"""Where the package keeps what it may lose, and how it writes files."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from llm_compiler.errors import InputError


def cache_folder() -> Path:
    """LLMC_CACHE, else XDG_CACHE_HOME/llm-compiler, else ~/.cache/llm-compiler. Not made by this call."""
    named = os.environ.get("LLMC_CACHE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "llm-compiler"


def write_atomically(path: Path, data: bytes, *, required: bool = True) -> None:
    """Write a file so that it is there whole or as it was before.

    Raises InputError when it cannot be written, unless `required` is off.
    """
    temporary: str | None = None
    try:
        if not required:
            path.parent.mkdir(parents=True, exist_ok=True)
        # A device or a pipe is written to; there is nothing to replace.
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        mask = os.umask(0)
        os.umask(mask)
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~mask
        if path.exists() and not os.access(path, os.W_OK):
            raise PermissionError(13, "Permission denied")
        os.chmod(temporary, mode)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        if required:
            raise InputError(f"cannot write {path}: {error.strerror or error}; its old contents are kept") from error
