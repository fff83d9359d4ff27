"""What may never enter training: benchmark suites and the projects that MiBench copies, wherever they are embedded.

By package and by path: data/exclusions.toml. By fingerprint: what resembles a function of a folder that the user names.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Self

from llm_compiler.corpus.canonical import shingles
from llm_compiler.corpus.duplicates import Fingerprints, signature
from llm_compiler.corpus.extraction import extract
from llm_compiler.corpus.moduletext import ModuleText
from llm_compiler.errors import CompileError, InputError
from llm_compiler.llvm import frontend, library
from llm_compiler.llvm.job import Limits, Reading
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.target import X86_64
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import write_atomically

ALIKE = 0.7  # estimated resemblance from which a function is taken for a benchmark's; looser than for duplicates
_VERSION = 1  # of the signatures in the cache
_INCLUDE_FOLDERS = 100
# Old C takes what C99 forbids; a header that is missing ends the matter either way.
_TRIES = {"c": (("-w",), ("-w", "-std=gnu89")), "c++": (("-w", "-std=gnu++17"), ("-w", "-std=gnu++98"))}
_SHARED = ("linkonce_odr", "linkonce", "weak_odr", "weak", "available_externally")  # of headers, not its own

# Instances of the standard library's templates for types of one file are local to it, and everybody has their like.
_STANDARD = ("@_ZNSt", "@_ZNKSt", "@_ZSt", "@_ZN9__gnu_cxx", "@_ZNK9__gnu_cxx")


@dataclass(frozen=True)
class _Rule:
    pattern: re.Pattern[str]
    reason: str


@dataclass
class Exclusion:
    """folders: those read beside the list. unread: their files that no compiler took, which protect nothing."""

    packages: Sequence[_Rule]
    paths: Sequence[_Rule]
    fingerprints: Fingerprints = field(default_factory=lambda: Fingerprints(ALIKE))
    folders: dict[str, int] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)

    @classmethod
    def load(cls, extra: Sequence[Path] = (), *, jobs: int = 1, cache: Path | None = None) -> Self:
        """The list of the package, and the functions of folders: C, C++, .ll and .bc files.

        Sources are compiled with guessed include paths. Optimised IR resembles nothing in a corpus of unoptimised
        modules: give sources where there are any.

        cache: a folder that spares a second compilation. Raises InputError for a folder that has nothing to read.
        """
        content = tomllib.loads(resources.files("llm_compiler.data").joinpath("exclusions.toml").read_text())
        packages, paths = ([_Rule(re.compile(entry["pattern"]), entry["reason"]) for entry in content[kind]]
                           for kind in ("package", "path"))
        found = cls(packages, paths)
        for folder in extra:
            entries, unread = _cached(folder, jobs, cache)
            for name, data in entries:
                found.fingerprints.add(bytes.fromhex(data), f"{folder.name}/{name}")
            found.folders[str(folder)] = len(entries)
            found.unread += [f"{folder.name}/{name}" for name in unread]
        return found

    def package(self, name: str) -> str | None:
        """Why a source package is refused."""
        return next((rule.reason for rule in self.packages if rule.pattern.fullmatch(name.lower())), None)

    def path(self, path: str) -> str | None:
        """Why a source file is refused, by its path within the package."""
        path = "/" + re.sub(r"\.(?:cc|cpp|cxx|c\+\+|i|ii)$", ".c", path.lower())
        return next((rule.reason for rule in self.paths if rule.pattern.search(path)), None)

    def function(self, data: bytes) -> str | None:
        """Why a function with this signature (`duplicates.signature`) is refused."""
        like = self.fingerprints.like(data)
        return f"like {like[0]} ({like[1]:.2f})" if like else None


# --- folders of benchmarks -------------------------------------------------------------------------------------------


def _cached(folder: Path, jobs: int, cache: Path | None) -> tuple[list[tuple[str, str]], list[str]]:
    """Names and signatures (hexadecimal) of a folder's functions, and the files that cannot be read."""
    if not folder.is_dir():
        raise InputError(f"{folder} is no folder; --exclude-like takes one with benchmark sources, IR or bitcode")
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in frontend.SOURCE_SUFFIXES)
    if not files:
        raise InputError(f"{folder} holds no C, C++, .ll or .bc file; name a folder with the benchmark's sources")
    key = _digest(folder)
    path = cache / f"{key}.json" if cache else None
    if path is not None and path.exists():
        content = json.loads(path.read_text())
        return [(name, data) for name, data in content["functions"]], content["unread"]
    with frontend.temporary_folder() as name:
        entries, unread = _read(folder, files, Path(name), jobs)
    if not entries and len(unread) == len(files):
        raise InputError(f"nothing in {folder} compiles ({unread[0]} and all else); give it as bitcode or IR")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({"functions": entries, "unread": unread}).encode())
    return entries, unread


def _digest(folder: Path) -> str:
    """Of every file: headers decide, too."""
    total = hashlib.blake2b(f"{_VERSION}".encode(), digest_size=16)
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256").hexdigest()
        total.update(f"{path.relative_to(folder)} {content}\n".encode(errors="surrogateescape"))
    return total.hexdigest()


def _read(folder: Path, files: Sequence[Path], scratch: Path, jobs: int) -> tuple[list[tuple[str, str]], list[str]]:
    headers = sorted({path.parent for pattern in ("*.h", "*.hpp", "*.hh", "*.inc") for path in folder.rglob(pattern)})
    includes = [f"-I{path.resolve()}" for path in [folder, *headers[:_INCLUDE_FOLDERS]]]
    with ThreadPoolExecutor(jobs) as threads:  # over before the workers are forked
        compiled = list(threads.map(
            lambda number: _compiled(files[number], scratch / f"{number}.bc", includes), range(len(files))))
    entries: list[tuple[str, str]] = []
    unread = []
    with WorkerPool(1, Limits()) as pool:
        for path, bitcode in zip(files, compiled, strict=True):
            name = str(path.relative_to(folder))
            value = pool.run(Reading(bitcode, signatures)).value if bitcode else None
            if not isinstance(value, list):
                unread.append(name)
                continue
            entries += [(f"{name}:{symbol}", data) for symbol, data in value]
    return entries, unread


def _compiled(path: Path, output: Path, includes: Sequence[str]) -> Path | None:
    if path.suffix in frontend.IR_SUFFIXES:
        return path
    cxx = frontend.is_cxx(path)
    for flags in _TRIES["c++" if cxx else "c"]:
        try:
            words = [*flags, f"-I{path.parent.resolve()}", *includes]
            frontend.emit_unoptimised(frontend.clang_for(X86_64, cxx), path, words, output)
            return output
        except CompileError:
            continue
    return None


def signatures(data: bytes) -> list[tuple[str, str]]:
    """Name and signature of a module's own functions that are large enough to have one. For a worker."""
    with Context(library.load()) as context:
        module = context.parse(context.parse(data).bitcode())  # bitcode drops the names of values
        return list(_signatures(ModuleText(module.text())))


def _signatures(module: ModuleText) -> Iterator[tuple[str, str]]:
    for symbol in module.names():
        if module.linkage(symbol) not in _SHARED and not symbol.startswith(_STANDARD):
            function = extract(module, symbol)
            data = signature(shingles(function))
            if data:
                yield function.name, data.hex()
