"""Sources without a build: trees, single files, compile_commands.json, IR and bitcode."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from llm_compiler.corpus.capture import Recorder, read_arguments
from llm_compiler.corpus.exclusion import Exclusion
from llm_compiler.corpus.recording import Recording, Report, check_package, collect
from llm_compiler.corpus.schema import Origin
from llm_compiler.errors import InputError
from llm_compiler.llvm.frontend import CXX_SUFFIXES, IR_SUFFIXES
from llm_compiler.llvm.module import digest
from llm_compiler.tuning.project import Compilation, read_compile_commands

_SUFFIXES = frozenset({".c", *(CXX_SUFFIXES - {".ii"})})
_HEADERS = frozenset({".h", ".hh", ".hpp", ".hxx", ".h++", ".inc", ".inl", ".ipp", ".tcc", ".def"})
_FOLDERS = 48  # guessed include folders of one file
_MISSING_HEADERS = 6  # times that a folder is added for a header that clang did not find
# Folders for other systems, whose sources no guess can help.
_ELSEWHERE = frozenset({
    "win32", "win64", "windows", "win", "msvc", "mingw", "cygwin", "wince", "macos", "macosx", "mac", "darwin", "osx",
    "cocoa", "ios", "android", "os2", "dos", "msdos", "djgpp", "vms", "amiga", "beos", "haiku", "symbian", "solaris",
    "aix", "hpux", "freebsd", "netbsd", "openbsd", "debian", ".git", ".pc",
})  # fmt: skip
_LOCK = threading.Lock()


class IncludeGuess:
    """Include paths for the single files of trees, from where the headers of all of them lie."""

    def __init__(self, *roots: Path) -> None:
        self.sources: list[str] = []
        self._headers: dict[str, list[str]] = defaultdict(list)
        folders: set[str] = set()
        for folder, below, names in (found for root in roots for found in os.walk(os.path.abspath(root))):
            below[:] = sorted(name for name in below if name.lower() not in _ELSEWHERE)
            for name in sorted(names):
                suffix = os.path.splitext(name)[1]
                path = os.path.join(folder, name)
                if suffix in _HEADERS:
                    folders.add(folder)
                    self._headers[name].append(path)
                elif suffix in _SUFFIXES and os.path.isfile(path):
                    self.sources.append(path)
        self._folders = sorted(folders)
        self._configured = [os.path.dirname(path) for path in self._headers.get("config.h", [])]

    def flags(self, source: str) -> list[str]:
        """Folders with headers, those next to the source first. <…> looks into the system's folders before them."""
        near = sorted(self._folders, key=lambda folder: self._distance(folder, source))[:_FOLDERS]
        flags = ["-DHAVE_CONFIG_H"] if self._configured else []
        for folder in self._configured[:4]:
            flags += ["-iquote", folder, "-idirafter", folder]
        for folder in near:
            flags += ["-iquote", folder, "-idirafter", folder]
        return flags

    def folder_of(self, header: str, source: str) -> str | None:
        """The folder from which `header` (as an #include names it) would be found, nearest to the source."""
        tail = os.sep + os.path.normpath(header)
        found = [path[: -len(tail)] for path in self._headers.get(os.path.basename(header), []) if path.endswith(tail)]
        return min(found, key=lambda folder: self._distance(folder, source), default=None)

    def _distance(self, folder: str, source: str) -> tuple[int, int, str]:
        common = os.path.commonpath((folder, os.path.dirname(source)))
        return -common.count(os.sep), folder.count(os.sep), folder


def record_single_files(
    recorder: Recorder, root: Path, *, jobs: int, skip: Collection[str] = (), most: int | None = None,
    until: float | None = None,
) -> int:
    """Compile the sources below `root` one by one with guessed include paths; how many were tried.

    until: by time.monotonic(). The recorder's log tells what became of each.
    """
    guess = IncludeGuess(root)
    sources = [source for source in guess.sources if source not in skip][:most]

    def attempt(source: str) -> int:
        if until is not None and time.monotonic() > until:
            return 0
        _capture_guessing(recorder, source, guess)
        return 1

    with ThreadPoolExecutor(jobs) as pool:
        try:
            return sum(pool.map(attempt, sources))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _capture_guessing(recorder: Recorder, source: str, guess: IncludeGuess) -> None:
    cxx = os.path.splitext(source)[1] in CXX_SUFFIXES
    flags = guess.flags(source)
    for _ in range(1 + _MISSING_HEADERS):
        module, reason, taken = recorder.capture(source, cxx, flags, dict(os.environ))
        header, found, _ = reason.removeprefix("'").partition("' file not found")
        folder = guess.folder_of(header, source) if found else None
        if module or folder is None or folder in flags:
            break
        flags = ["-idirafter", folder, "-iquote", folder, *flags]
    _note(recorder, source, "c++" if cxx else "c", taken, module, reason)


def _note(recorder: Recorder, source: str, language: str, flags: Sequence[str], module: str, reason: str) -> None:
    status = "captured" if module else "failed"
    with _LOCK:
        recorder.note(source, language, flags, status, module=module, reason=reason)


@dataclass(frozen=True)
class _Found:
    """What the paths of `add` hold."""

    files: list[tuple[Path, IncludeGuess]]
    projects: list[Compilation]
    ir: list[Path]


def add_paths(
    paths: Iterable[Path], *, corpus: Path, origin: Origin, jobs: int = 1, say: Callable[[str], None] = lambda _: None
) -> Report:
    """Bring sources into the corpus as one package; the report is written when anything was captured.

    A folder with a compile_commands.json is taken by it. Raises InputError for a path that does not exist.
    """
    check_package(origin.package)
    if refusal := Exclusion.load().package(origin.package):
        raise InputError(f"{origin.package} may not enter a corpus: {refusal}")
    report = Report(origin.package, origin.version, origin.licence, how=["add"])
    roots = [Path(os.path.abspath(path)) for path in paths]
    started = time.monotonic()
    found = _look(roots)
    work = corpus / "work" / "add" / origin.package
    root = Path(os.path.commonpath([root if root.is_dir() else root.parent for root in roots]))
    recording = Recording.create(work, root)
    try:
        recorder = recording.recorder
        say(f"{len(found.files)} single files, {len(found.projects)} compilations, {len(found.ir)} IR files")
        with ThreadPoolExecutor(jobs) as pool:
            for _ in pool.map(lambda item: _capture_guessing(recorder, str(item[0]), item[1]), found.files):
                pass
            for _ in pool.map(lambda item: _capture_compilation(recorder, item), found.projects):
                pass
        for path in found.ir:
            _take_ir(recorder, path)
        report.seconds["build"] = round(time.monotonic() - started, 1)
        collect(recording, root, origin, corpus, report, jobs=jobs)
        if report.shards:
            report.write(corpus / "modules")
    except OSError as error:
        raise InputError(f"cannot write the corpus in {corpus}: {error.strerror or error}") from error
    finally:
        recording.remove()
    return report


def _look(roots: Sequence[Path]) -> _Found:
    found = _Found([], [], [])
    trees = [root for root in roots if root.is_dir()]
    guess = IncludeGuess(*trees)  # `add src include`: headers of one tree are for the sources of another
    loose = [root for root in trees if not (root / "compile_commands.json").is_file()]
    found.files.extend((path, guess) for path in dict.fromkeys(map(Path, guess.sources))
                       if any(path.is_relative_to(root) for root in loose))
    for root in roots:
        if root.name == "compile_commands.json":
            found.projects.extend(read_compile_commands(root))
        elif root.is_dir():
            found.ir.extend(_ir_files(root))
            database = root / "compile_commands.json"
            if database.is_file():
                found.projects.extend(read_compile_commands(database))
        elif not root.exists():
            raise InputError(f"{root} does not exist")
        elif root.suffix in IR_SUFFIXES:
            found.ir.append(root)
        elif root.suffix in _SUFFIXES:
            found.files.append((root, IncludeGuess(root.parent, *trees)))
        else:
            raise InputError(f"{root} is no C, C++, .ll or .bc file, no compile_commands.json and no folder")
    return found


def _ir_files(root: Path) -> Iterator[Path]:
    for folder, below, names in os.walk(root):
        below.sort()
        yield from (Path(folder) / name for name in sorted(names) if os.path.splitext(name)[1] in IR_SUFFIXES)


def _capture_compilation(recorder: Recorder, item: Compilation) -> None:
    source = str(item.source)
    cxx = item.source.suffix in CXX_SUFFIXES
    compilation = read_arguments(["-c", *item.flags, source], cxx=cxx, cwd=str(item.source.parent))
    folder = [flag for flag in item.flags if flag.startswith("-working-directory=")]
    flags = [*(compilation.flags if compilation is not None else item.flags), *folder]
    module, reason, taken = recorder.capture(source, cxx, flags, dict(os.environ))
    _note(recorder, source, "c++" if cxx else "c", taken, module, reason)


def _take_ir(recorder: Recorder, path: Path) -> None:
    """Copy an IR file among the captures; whether LLVM can read it is found out in a worker."""
    try:
        data = path.read_bytes()
    except OSError as error:
        _note(recorder, str(path), "ir", (), "", f"cannot be read: {error.strerror}")
        return
    name = digest(data) if data else ""
    if name:
        shutil.copyfile(path, recorder.path(name))
    _note(recorder, str(path), "ir", (), name, "" if name else "the file is empty")
