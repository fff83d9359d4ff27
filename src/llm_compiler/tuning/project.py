"""The C and C++ files of a project, from the compile_commands.json that CMake, Meson, Bear and others write."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from llm_compiler.errors import InputError
from llm_compiler.llvm.frontend import C_SUFFIXES, CXX_SUFFIXES

# Outputs, the kind of compilation, and dependency files: the tuner decides these itself.
_DROPPED = frozenset({"-c", "-S", "-E", "-emit-llvm", "-M", "-MM", "-MD", "-MMD", "-MP", "-MG", "-MV", "--compile"})
_DROPPED_WITH_VALUE = frozenset({"-o", "-MF", "-MT", "-MQ", "-MJ", "--output", "-dumpbase", "-dumpdir"})
_DROPPED_JOINED = ("-MF", "-MT", "-MQ", "-MJ", "-Wp,-M", "--output=")


@dataclass(frozen=True)
class Compilation:
    """A source file (absolute) and the flags that it is compiled with."""

    source: Path
    flags: tuple[str, ...]


def read_compile_commands(path: Path) -> list[Compilation]:
    """Every C and C++ compilation, each once, in the order of the file. Raises InputError for a malformed file."""
    try:
        entries = json.loads(path.read_text())
        found = [_compilation(entry, path.parent) for entry in entries]
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a compile_commands.json: {type(error).__name__} {error}") from error
    return list(dict.fromkeys(item for item in found if item.source.suffix in C_SUFFIXES | CXX_SUFFIXES))


def _compilation(entry: dict[str, object], base: Path) -> Compilation:
    folder = Path(os.path.abspath(base / str(entry.get("directory", "."))))
    file = str(entry["file"])
    arguments = entry.get("arguments")
    words = [str(word) for word in arguments] if isinstance(arguments, list) else shlex.split(str(entry["command"]))
    source = Path(os.path.normpath(folder / file))
    return Compilation(source, _flags(words, file, source, folder))


def _flags(words: Sequence[str], file: str, source: Path, folder: Path) -> tuple[str, ...]:
    """The flags of a command without compiler, source, outputs and dependency files."""
    index = 0
    while index < len(words) and not words[index].startswith("-"):
        index += 1  # the compiler, and a launcher before it
    kept: list[str] = []
    skip = False
    for word in words[index:]:
        if skip:
            skip = False
        elif word in _DROPPED_WITH_VALUE:
            skip = True
        elif not (_is_dropped(word) or word == file or os.path.normpath(folder / word) == str(source)):
            kept.append(word)
    if kept and kept[-1] == "--":
        kept.pop()
    # clang then takes every relative path (-I, -include, …) from the folder that the build runs it in.
    return (*kept, f"-working-directory={folder}")


def _is_dropped(word: str) -> bool:
    joined_output = word.startswith("-o") and not word.startswith("-object")
    return word in _DROPPED or word.startswith(_DROPPED_JOINED) or joined_output
