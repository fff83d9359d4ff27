"""Suites of programs that test themselves: exit code 0, and the same output however they are compiled.

`own` ships with the package; `humaneval` is HumanEval-X for C++ (github.com/THUDM/CodeGeeX), from a file that the user
has; `csmith` programs (github.com/csmith-project/csmith) print a checksum of what they did; a folder is the user's.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from llm_compiler.errors import InputError
from llm_compiler.llvm.frontend import C_SUFFIXES, CXX_SUFFIXES
from llm_compiler.paths import cache_folder

SPECS = "own, humaneval, humaneval:FILE, csmith:COUNT, csmith:COUNT@SEED or a folder"
"""What `load` takes, in words."""

_HUMANEVAL_FIELDS = ("task_id", "declaration", "canonical_solution", "test")
_FLAGS = re.compile(r"(?://|/\*| \*)\s*flags:(.*?)(?:\*/.*)?$")
# Programs of which one compiles in a quarter of a second and runs in milliseconds.
_CSMITH_OPTIONS = ("--concise", "--no-argc", "--max-funcs", "5", "--max-block-depth", "3", "--max-block-size", "3",
                   "--max-expr-complexity", "6", "--max-array-dim", "2", "--max-array-len-per-dim", "6",
                   "--max-struct-fields", "6")
_CSMITH_SECONDS = 10.0


@dataclass(frozen=True)
class Program:
    """A program in one file. flags: the front end's; link: the linker's. strict: one that does not compile or fails at
    -O0 is the user's mistake; others are left out.
    """

    name: str
    suite: str
    text: str = field(repr=False)
    cxx: bool
    flags: tuple[str, ...] = ()
    link: tuple[str, ...] = ()
    strict: bool = False


def load(spec: str) -> list[Program]:
    """The programs of a suite as the command line names it. Raises InputError."""
    kind, _, rest = spec.partition(":")
    if spec == "own":
        return own()
    if kind == "humaneval":
        return humaneval(Path(rest) if rest else None)
    if kind == "csmith":
        match = re.fullmatch(r"(\d+)(?:@(\d+))?", rest)
        if not match or not int(match[1]):
            raise InputError(f"'{spec}' names no csmith programs; use csmith:COUNT or csmith:COUNT@FIRST_SEED")
        first = int(match[2] or 1)
        return csmith(range(first, first + int(match[1])))
    if Path(spec).is_dir():
        return folder(Path(spec))
    raise InputError(f"there is no suite '{spec}'; use {SPECS}")


def own() -> list[Program]:
    """The suite of this package."""
    files = sorted((file for file in resources.files("llm_compiler.data").joinpath("suite").iterdir()
                    if Path(file.name).suffix in (".c", ".cc")), key=lambda file: file.name)
    return [_program(f"own/{file.name}", "own", file.read_text()) for file in files]


def folder(path: Path) -> list[Program]:
    """The C and C++ programs of a folder. Raises InputError when it holds none, or they cannot be read."""
    files = sorted(file for file in path.iterdir() if file.suffix in C_SUFFIXES | CXX_SUFFIXES)
    if not files:
        raise InputError(f"{path} holds no .c or .cc program")
    name = path.resolve().name
    return [_program(f"{name}/{file.name}", name, _read(file).decode(errors="surrogateescape"), strict=True)
            for file in files]


def humaneval_file() -> Path | None:
    """Where HumanEval-X is: LLMC_HUMANEVAL, else humaneval_cpp.jsonl or .jsonl.gz in the cache folder."""
    named = os.environ.get("LLMC_HUMANEVAL")
    if named:
        return Path(named)
    files = (cache_folder() / f"humaneval_cpp.jsonl{suffix}" for suffix in ("", ".gz"))
    return next((file for file in files if file.exists()), None)


def humaneval(path: Path | None = None) -> list[Program]:
    """The programs of HumanEval-X's C++ file, plain or compressed.

    Raises InputError for a file that is missing, and for a malformed line with its number.
    """
    found = path or humaneval_file()
    if found is None:
        raise InputError(f"HumanEval-X was not found: name humaneval_cpp.jsonl.gz with --suite humaneval:FILE, set "
                         f"LLMC_HUMANEVAL, or put it into {cache_folder()}")
    data = _read(found)
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise InputError(f"{found} is a damaged gzip file ({error}); get it again") from error
    programs: dict[str, Program] = {}
    for number, line in enumerate(data.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"{found}, line {number}: not JSON ({error})") from error
        if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in _HUMANEVAL_FIELDS):
            raise InputError(f"{found}, line {number}: not a problem of HumanEval-X, which has "
                             f"{', '.join(_HUMANEVAL_FIELDS)} as texts")
        head = row["declaration"]
        if head.count("{") - head.count("}") != 1:  # of CPP/38 it goes on into the solution
            head = row.get("prompt") or head
        name, text = row["task_id"], head + row["canonical_solution"] + row["test"]
        if name in programs:
            raise InputError(f"{found}, line {number}: {name} stands there twice")
        link = ("-lcrypto",) if "openssl/" in text else ()
        programs[name] = Program(name, "humaneval", text, cxx=True, link=link)
    if not programs:
        raise InputError(f"{found} holds no problem of HumanEval-X")
    return list(programs.values())


def csmith(seeds: Iterable[int]) -> list[Program]:
    """A random program for every seed, the same for the same csmith.

    Raises InputError when csmith or its headers are missing.
    """
    program = shutil.which("csmith")
    if program is None:
        raise InputError("csmith was not found: install it (Debian: csmith and libcsmith-dev)")
    include = _csmith_include(Path(program))
    return [Program(f"csmith/{seed}", "csmith", _csmith_text(program, seed), cxx=False, flags=("-w", f"-I{include}"))
            for seed in seeds]


def _csmith_include(program: Path) -> Path:
    named = os.environ.get("LLMC_CSMITH_INCLUDE")
    prefix = program.resolve().parent.parent / "include"
    folders = [Path(named)] if named else [prefix / "csmith", *sorted(prefix.glob("csmith-*")), prefix]
    for found in folders:
        if (found / "csmith.h").exists():
            return found
    raise InputError(f"csmith.h was not found in {folders[0]}: install csmith's headers (Debian: libcsmith-dev), or "
                     f"set LLMC_CSMITH_INCLUDE to their folder")


def _csmith_text(program: str, seed: int) -> str:
    try:
        with tempfile.TemporaryDirectory(prefix="llmc-csmith-") as folder:  # it writes a file where it runs
            done = subprocess.run([program, "--seed", str(seed), *_CSMITH_OPTIONS], cwd=folder, capture_output=True,
                                  stdin=subprocess.DEVNULL, text=True, timeout=_CSMITH_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "#error csmith did not end\n"
    except OSError as error:
        raise InputError(f"cannot run csmith: {error.strerror}") from error
    return done.stdout if done.returncode == 0 else f"#error csmith ended with {done.returncode}\n"


def _program(name: str, suite: str, text: str, *, strict: bool = False) -> Program:
    words = _flags(text, name)
    link = tuple(word for word in words if word.startswith(("-l", "-L", "-Wl,", "-pthread")))
    flags = tuple(word for word in words if word not in link or word == "-pthread")
    return Program(name, suite, text, Path(name).suffix in CXX_SUFFIXES, flags, link, strict)


def _flags(text: str, name: str) -> list[str]:
    """The words after `flags:` in one of the comment lines that a program begins with."""
    for line in text.splitlines():
        if not line.startswith(("//", "/*", " *")):
            break
        match = _FLAGS.match(line)
        if match:
            try:
                return shlex.split(match[1])
            except ValueError as error:
                raise InputError(f"{name}: its line of flags cannot be read ({error})") from error
    return []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
