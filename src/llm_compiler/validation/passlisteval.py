"""PassListEval (arXiv 2407.02524): candidates tried on programs that test themselves.

A program is compiled by clang -O0, whose run is the reference, and to the bitcode that clang -Oz hands to its passes. A
candidate's object of that bitcode, passes and code-generation options included, is linked and run in the sandbox. A
program's bitcode and reference, a candidate's object of it, and that object's verdict are kept on disk: equal objects
of a program run once.
"""

from __future__ import annotations

import contextlib
import json
import re
import shlex
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import InputError, ToolchainError
from llm_compiler.llvm import library, registry
from llm_compiler.llvm.frontend import clang_for, first_error, lowering_flags
from llm_compiler.llvm.job import Job, Limits, Status
from llm_compiler.llvm.module import digest
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import X86_64, Lowering
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import cache_folder
from llm_compiler.validation.sandbox import Ended, Execution, SandboxLimits
from llm_compiler.validation.schedule import Command, Task, drive, job, process
from llm_compiler.validation.suites import Program
from llm_compiler.validation.trialcache import TrialCache

_VERSION = 1  # of what the cache holds
_TOOL_LIMITS = SandboxLimits(cpu_seconds=120, wall_seconds=240, memory=8 << 30, file_size=1 << 30)
_REFERENCE_SHARE = 5  # a candidate has this many times the time of the slowest reference
_DETAIL = 200
_PRECOMPILE_FROM = 3  # programs that begin with the same headers
_HEADER_LINE = re.compile(r"\s*(#\s*include\s*<[^>]+>|using namespace std;)?\s*")
_FRONT_END = ("-Oz", "-Xclang", "-disable-llvm-passes", "-emit-llvm")
# What a worker says of IR that passes broke, and when it fails itself; all else is about the candidate's text.
_BROKEN = re.compile(r"the verifier refuses the result|\w+: LLVM \S+ cannot read it|lowering failed")
_FAILURE = re.compile(r"(llmc worker: )?\w+Error: ")


class Verdict(StrEnum):
    """What became of a program under a candidate.

    WRONG: exit code, output, a failed assertion, or an object that does not link. COMPILER_CRASHED: also out of memory,
    and passes whose result LLVM itself refuses. INVALID: LLVM does not take the list or an option.
    """

    PASSED = "passed"
    WRONG = "wrong"
    CRASHED = "crashed"
    HUNG = "hung"
    COMPILER_CRASHED = "compiler_crashed"
    COMPILER_HUNG = "compiler_hung"
    INVALID = "invalid"


@dataclass(frozen=True)
class Trial:
    """A program under a candidate. seconds: processor time spent on it now; from_cache: nothing was done now.

    bytes: what is loaded of the object (`ObjectSize.total`); changed: the object is not the one that -Oz gives.
    """

    program: str
    suite: str
    candidate: Candidate
    verdict: Verdict
    detail: str
    seconds: float
    from_cache: bool
    bytes: int | None
    changed: bool


@dataclass(frozen=True)
class _Ready:
    """A program with its reference. oz: hashes of the objects that count as those of -Oz."""

    program: Program
    key: str
    bitcode: Path
    lowering: Lowering
    stdout: bytes
    oz: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Object:
    """What a candidate makes of a program: an object, or the verdict that there is none."""

    hash: str = ""
    bytes: int | None = None
    verdict: Verdict | None = None
    detail: str = ""
    seconds: float = field(default=0.0, compare=False)


class _LeftOutError(Exception):
    """Why a program cannot serve; `lasting` when that does not depend on the machine's load."""

    def __init__(self, reason: str, *, lasting: bool = True) -> None:
        super().__init__(reason)
        self.lasting = lasting


class PassListEval:
    """Makes programs ready once, then checks candidates on them. A context manager: nothing outlives it.

    limits: of a program's run, of which -O0 may take a fifth of the time; compile_limits: of passes and lowering.
    folder: where the cache is; one that cannot be written keeps nothing. Raises ToolchainError without clang or
    libLLVM.
    """

    def __init__(self, programs: Sequence[Program], *, jobs: int = 2, limits: SandboxLimits = SandboxLimits(),
                 compile_limits: Limits = Limits(60.0), folder: Path | None = None) -> None:
        for name, count in Counter(program.name for program in programs).items():
            if count > 1:
                raise InputError(f"{count} programs are called {name}; name a suite once, and folders differently")
        self._programs = {program.name: program for program in programs}
        self._limits = limits
        self._width = jobs + 1  # while one program is linked or run, every worker has something to compile
        self._clang = {cxx: clang_for(X86_64, cxx).command for cxx in {program.cxx for program in programs}}
        self._versions = {cxx: [library.load().version_text, clang_for(X86_64, cxx).version()] for cxx in self._clang}
        self._link_lines: dict[tuple[bool, tuple[str, ...]], tuple[str, ...]] = {}
        self._ready: dict[str, _Ready] | None = None
        self._left_out: dict[str, str] = {}
        self._checking = False
        self._temporary = tempfile.TemporaryDirectory(prefix="llmc-check-", ignore_cleanup_errors=True)
        self._scratch = Path(self._temporary.name)
        self._cache = TrialCache(folder or cache_folder() / "passlisteval", self._scratch / "cache")
        self._pool = WorkerPool(jobs, compile_limits, cache_folder() / "crashes")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End what runs, and bound the cache. Any number of times."""
        self._pool.close()
        self._cache.close()
        self._temporary.cleanup()

    @property
    def programs(self) -> tuple[Program, ...]:
        """The programs that can serve, in their order."""
        return tuple(ready.program for ready in self._prepared().values())

    @property
    def left_out(self) -> dict[str, str]:
        """The other programs, and why."""
        self._prepared()
        return dict(self._left_out)

    def bitcode(self, program: str) -> Path:
        """The unoptimised bitcode of a program that can serve, as clang -Oz hands it to its passes."""
        return self._prepared()[program].bitcode

    # --- references ---

    def prepare(self, on_progress: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
        """Make every program ready: its bitcode, and runs of clang -O0 and clang -Oz, which must agree.

        Returns a line `NAME: REASON` for each program that is left out. on_progress gets the programs done, and all.
        Raises InputError when a strict program has to be left out, or when none can serve.
        """
        found: dict[str, _Ready] = {}
        reasons: dict[str, str] = {}
        done = 0

        def settle(program: Program, result: _Ready | str) -> None:
            nonlocal done
            done += 1
            if isinstance(result, _Ready):
                found[program.name] = result
            elif program.strict:
                raise InputError(f"{program.name} cannot serve as a test: it {result}; mend it or take it out")
            else:
                reasons[program.name] = result
            if on_progress is not None:
                on_progress(done, len(self._programs))

        unknown = []
        for program in self._programs.values():
            known = self._from_cache(program)
            if known is None:
                unknown.append(program)
            else:
                settle(program, known)
        with self._folder() as name:
            headers = self._precompile(unknown, Path(name))
            tasks = (self._prepare(program, headers) for program in unknown)
            with contextlib.closing(drive(tasks, self._pool, self._width)) as results:
                for program, result in results:
                    settle(program, result)
        if not found:
            first = next((f": {name} {reason}" for name, reason in reasons.items()), "")
            raise InputError(f"no program of the suite can serve{first}")
        self._ready = {name: found[name] for name in self._programs if name in found}
        self._left_out = {name: reasons[name] for name in self._programs if name in reasons}
        return tuple(f"{name}: {reason}" for name, reason in self._left_out.items())

    def _prepared(self) -> dict[str, _Ready]:
        if self._ready is None:
            self.prepare()
        assert self._ready is not None
        return self._ready

    def _folder(self) -> tempfile.TemporaryDirectory[str]:
        return tempfile.TemporaryDirectory(dir=self._scratch, ignore_cleanup_errors=True)

    def _key(self, program: Program) -> str:
        """Of everything that decides a run but the time that it may take."""
        limits = (self._limits.memory, self._limits.output, self._limits.file_size)
        parts = [_VERSION, self._versions[program.cxx], program.text, program.cxx, program.flags, program.link, limits]
        return digest(json.dumps(parts).encode())

    def _from_cache(self, program: Program) -> _Ready | str | None:
        key = self._key(program)
        record = self._cache.get("program", key)
        if record is None:
            return None
        if "reason" in record:
            return str(record["reason"])
        bitcode = self._cache.file(f"{key}.bc")
        if bitcode is None or record["cpu"] > self._limits.cpu_seconds / _REFERENCE_SHARE:
            return None
        triple, relocation, code_model = record["lowering"]
        lowering = Lowering(triple, relocation=relocation, code_model=code_model)
        return _Ready(program, key, bitcode, lowering, record["stdout"].encode("latin-1"), tuple(record["oz"]))

    def _prepare(self, program: Program, headers: dict[tuple[str, ...], Path]) -> Task[tuple[Program, _Ready | str]]:
        with self._folder() as folder:
            try:
                return program, (yield from self._reference(program, Path(folder), headers))
            except _LeftOutError as error:
                if error.lasting:
                    self._cache.put("program", self._key(program), record={"reason": str(error)})
                return program, str(error)

    def _reference(self, program: Program, folder: Path, headers: dict[tuple[str, ...], Path]) -> Task[_Ready]:
        key, source = self._key(program), _source(program)
        (folder / source).write_bytes(program.text.encode(errors="surrogateescape"))

        def compile_(level: str, flags: Sequence[str], output: str) -> Task[Execution]:
            words = (*program.flags, *flags, "-c", source, "-o", output)
            known = headers.get((level, *program.flags, _header(program)))
            if known is not None:
                with contextlib.suppress(_LeftOutError):  # whatever it says is to be said without them
                    return (yield from self._tool(program, ("-include-pch", str(known), *words), folder, ""))
            return (yield from self._tool(program, words, folder, "does not compile"))

        yield from compile_("-Oz", _FRONT_END, "program.bc")
        outcome = yield from job(folder / "program.bc")
        if outcome.inspection is None:
            raise _LeftOutError(f"gives bitcode that LLVM does not read ({outcome.message})", lasting=False)
        lowering = Lowering(outcome.inspection.triple or X86_64, relocation=outcome.inspection.relocation,
                            code_model=outcome.inspection.code_model)
        yield from compile_("-O0", ("-O0",), "program.o")
        linked = yield from self._link(program, (folder / "program.o").read_bytes(), folder)
        if linked.code or linked.ended is not Ended.EXITED:
            raise _lacking(f"does not link ({_tool_error(linked)})")
        execution = yield from self._run(folder)
        self._check_reference(execution)
        bitcode = self._cache.put_file(f"{key}.bc", (folder / "program.bc").read_bytes())
        ready = _Ready(program, key, bitcode, lowering, execution.stdout)
        # clang's passes, and the lowering of candidates: the code is that of `clang -Oz`, and the hash compares.
        words = (*lowering_flags(program.flags), "-Oz", "-emit-llvm", "-c", "-x", "ir", "program.bc", "-o", "oz.bc")
        yield from self._tool(program, words, folder, "does not compile at -Oz")
        clang_oz = yield from self._make_object(replace(ready, bitcode=folder / "oz.bc"), Candidate(PassList()))
        verdict, detail = clang_oz.verdict, clang_oz.detail
        if verdict is None:
            verdict, detail, _ = yield from self._judge(ready, clang_oz)
        if verdict is not Verdict.PASSED:
            raise _LeftOutError(f"differs between -O0 and -Oz ({detail})", lasting=verdict is not Verdict.HUNG)
        written_out = yield from self._object(ready, Candidate(oz_pipeline(registry.load())))
        ready = replace(ready, oz=(clang_oz.hash, written_out.hash))
        self._cache.put("program", key, record={
            "lowering": (lowering.triple, lowering.relocation, lowering.code_model),
            "stdout": ready.stdout.decode("latin-1"), "oz": ready.oz, "cpu": execution.cpu})
        return ready

    def _check_reference(self, execution: Execution) -> None:
        allowed = self._limits.cpu_seconds / _REFERENCE_SHARE
        if execution.ended is Ended.TIMED_OUT or execution.cpu > allowed:
            raise _LeftOutError(f"takes more than {allowed:g} s at -O0", lasting=False)
        verdict, detail = _verdict(execution, execution.stdout, self._limits)
        if verdict is not Verdict.PASSED:
            raise _LeftOutError(f"fails at -O0 ({detail})")

    def _precompile(self, programs: Sequence[Program], folder: Path) -> dict[tuple[str, ...], Path]:
        """Headers that several C++ programs begin with, precompiled; parsing them takes most of clang's time."""
        counts = Counter((program.flags, _header(program)) for program in programs if program.cxx)
        found: dict[tuple[str, ...], Path] = {}

        def precompile(number: int, level: str, flags: tuple[str, ...], header: str) -> Task[None]:
            source, output = f"{number}{level}.h", f"{number}{level}.pch"
            (folder / source).write_text(header)
            words = (*self._clang[True], *flags, level, "-x", "c++-header", source, "-o", output)
            execution = yield from process(Command(words, _TOOL_LIMITS, folder))
            if execution.ended is Ended.EXITED and execution.code == 0:
                found[level, *flags, header] = folder / output

        groups = [group for group, count in counts.items() if count >= _PRECOMPILE_FROM and group[1]]
        for _ in drive((precompile(number, level, *group) for number, group in enumerate(groups)
                        for level in ("-Oz", "-O0")), self._pool, self._width):
            pass
        return found

    # --- trials ---

    def check(self, candidates: Iterable[Candidate], *, programs: Collection[str] | None = None) -> Iterator[Trial]:
        """Each candidate on each program that can serve (on those of `programs` only), trials as they end.

        Candidates are taken one after another; the trials of two of them overlap. One check at a time.
        """
        ready = [item for name, item in self._prepared().items() if programs is None or name in programs]
        if self._checking:
            raise ValueError("a check is under way; end it, or close its iterator")
        self._checking = True
        try:
            yield from drive((self._trial(item, candidate) for candidate in candidates for item in ready),
                             self._pool, self._width)
        finally:
            self._checking = False

    def run_object(self, program: str, object: bytes) -> tuple[Verdict, str]:
        """Link an object as that of a program and run it, unless that was done before: the verdict and its detail."""
        made = _Object(digest(object))
        ready = self._prepared()[program]
        self._cache.put_file(f"{made.hash}.o", object)
        ((verdict, detail, _),) = drive(iter([self._judge(ready, made)]), self._pool, 1)
        return verdict, detail

    def _trial(self, ready: _Ready, candidate: Candidate) -> Task[Trial]:
        made = self._known_object(ready, candidate)
        known = made is not None
        if made is None:
            made = yield from self._object(ready, candidate)
        verdict, detail, seconds = made.verdict, made.detail, made.seconds
        if verdict is None:
            verdict, detail, cpu = yield from self._judge(ready, made)
            known = known and cpu is None
            seconds += cpu or 0.0
        return Trial(ready.program.name, ready.program.suite, candidate, verdict, detail, seconds, known, made.bytes,
                     bool(made.hash) and made.hash not in ready.oz)

    def _known_object(self, ready: _Ready, candidate: Candidate) -> _Object | None:
        record = self._cache.get("object", ready.key, candidate.digest)
        if record is None:
            return None
        if record["verdict"] is not None:
            return _Object(verdict=Verdict(record["verdict"]), detail=record["detail"])
        made = _Object(record["hash"], record["bytes"])
        # The object may have gone for want of room; it is needed only when its verdict is not known.
        return made if self._known_verdict(ready, made) or self._cache.file(f"{made.hash}.o") else None

    def _object(self, ready: _Ready, candidate: Candidate) -> Task[_Object]:
        made = yield from self._make_object(ready, candidate)
        if made.verdict in (None, Verdict.COMPILER_CRASHED):
            self._cache.put("object", ready.key, candidate.digest, record={
                "hash": made.hash, "bytes": made.bytes, "verdict": made.verdict, "detail": made.detail})
        return made

    def _make_object(self, ready: _Ready, candidate: Candidate) -> Task[_Object]:
        outcome = yield from job(Job(ready.bitcode, candidate, ready.lowering, verify=True, keep_object=True))
        measurement = outcome.measurement
        if measurement is not None and measurement.object is not None and measurement.size is not None:
            self._cache.put_file(f"{measurement.object_hash}.o", measurement.object)
            return _Object(measurement.object_hash, measurement.size.total, seconds=measurement.seconds)
        verdict = {Status.TIMED_OUT: Verdict.COMPILER_HUNG, Status.INVALID: Verdict.INVALID}.get(
            outcome.status, Verdict.COMPILER_CRASHED)
        if _FAILURE.match(outcome.message):
            raise ToolchainError(f"a worker failed ({outcome.message}); check again")
        if verdict is Verdict.INVALID and _BROKEN.match(outcome.message):
            verdict = Verdict.COMPILER_CRASHED
        return _Object(verdict=verdict, detail=_short(outcome.message))

    def _known_verdict(self, ready: _Ready, made: _Object) -> tuple[Verdict, str] | None:
        record = self._cache.get("run", ready.key, made.hash)
        if record is None:
            return None
        verdict = Verdict(record["verdict"])
        if verdict is Verdict.HUNG and record["cpu_seconds"] < self._limits.cpu_seconds:
            return None
        return verdict, record["detail"]

    def _judge(self, ready: _Ready, made: _Object) -> Task[tuple[Verdict, str, float | None]]:
        """The verdict of an object, its detail, and the processor time of the run; None when it was known."""
        known = self._known_verdict(ready, made)
        if known is not None:
            return *known, None
        path = self._cache.file(f"{made.hash}.o")
        if path is None:
            raise ToolchainError("an object went from the cache while it was in use; check again")
        with self._folder() as name:
            folder = Path(name)
            linked = yield from self._link(ready.program, path.read_bytes(), folder)
            if linked.ended is not Ended.EXITED:
                raise ToolchainError(f"the linker did not end well ({_tool_error(linked)}); check again")
            if linked.code:
                verdict, detail = Verdict.WRONG, _short(f"does not link: {_tool_error(linked)}")
                execution = linked
            else:
                execution = yield from self._run(folder)
                verdict, detail = _verdict(execution, ready.stdout, self._limits)
        if _lasting(verdict, execution, self._limits):
            self._cache.put("run", ready.key, made.hash, record={
                "verdict": verdict, "detail": detail, "cpu_seconds": self._limits.cpu_seconds})
        return verdict, detail, execution.cpu

    # --- processes ---

    def _tool(self, program: Program, words: Sequence[str], folder: Path, failure: str) -> Task[Execution]:
        execution = yield from process(Command((*self._clang[program.cxx], *words), _TOOL_LIMITS, folder))
        if execution.ended is Ended.TIMED_OUT:
            raise _LeftOutError(f"{failure} in {_TOOL_LIMITS.wall_seconds:g} s", lasting=False)
        if execution.ended is not Ended.EXITED or execution.code:
            raise _lacking(f"{failure} ({_tool_error(execution)})")
        return execution

    def _link(self, program: Program, object: bytes, folder: Path) -> Task[Execution]:
        (folder / "object.o").write_bytes(object)
        key = (program.cxx, program.link)
        if key not in self._link_lines:
            self._link_lines[key] = _link_line(self._clang[program.cxx], program, folder)
        return (yield from process(Command(self._link_lines[key], _TOOL_LIMITS, folder)))

    def _run(self, folder: Path) -> Task[Execution]:
        execution = yield from process(Command((str(folder / "program"),), self._limits))
        if execution.ended is Ended.NOT_STARTED:
            raise ToolchainError(f"programs do not start in {folder.parent} ({execution.stderr.decode()}); set TMPDIR "
                                 f"to a folder where they do")
        return execution


def _lacking(reason: str) -> _LeftOutError:
    # A header or a library that is missing now may be installed by the next run.
    return _LeftOutError(reason, lasting="not found" not in reason and "unable to find" not in reason)


def _source(program: Program) -> str:
    return "program.cc" if program.cxx else "program.c"


def _header(program: Program) -> str:
    """The lines at the top that only include the system's headers."""
    lines = []
    for line in program.text.splitlines():
        if not _HEADER_LINE.fullmatch(line):
            break
        lines.append(line.strip())
    return "\n".join(filter(None, lines))


def _link_line(clang: Sequence[str], program: Program, folder: Path) -> tuple[str, ...]:
    """The linker's command line for object.o: to run it takes half the time of the driver."""
    runtime = []
    if program.cxx:
        # The wheels' libc++ lies outside the loader's folders.
        found = Path(_asked(clang, ["-print-file-name=libc++.so.1"], folder).stdout.strip())
        runtime = [f"-Wl,-rpath,{found.resolve().parent}"] if found.is_absolute() else []
    done = _asked(clang, ["-###", "object.o", "-o", "program", *program.link, *runtime], folder)
    lines = [line for line in done.stderr.splitlines() if line.startswith(' "')]
    if done.returncode or not lines:
        raise ToolchainError(f"{Path(clang[0]).name} does not say how it links: {first_error(done.stderr, 1)}")
    return tuple(shlex.split(lines[-1]))


def _asked(clang: Sequence[str], words: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*clang, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=folder,
                          check=False)


def _verdict(execution: Execution, expected: bytes, limits: SandboxLimits) -> tuple[Verdict, str]:
    if execution.ended is Ended.TIMED_OUT:
        return Verdict.HUNG, f"more than {limits.cpu_seconds:g} s"
    if execution.ended is Ended.OUTPUT_LIMIT:
        return Verdict.WRONG, f"printed more than {limits.output} bytes"
    said = execution.stderr.decode(errors="replace").strip().splitlines()
    last = said[-1].strip() if said else ""
    if execution.ended is Ended.SIGNALLED:
        if execution.code == signal.SIGABRT and "Assertion" in last:
            return Verdict.WRONG, _short(last)
        return Verdict.CRASHED, _short(f"{_signal(execution.code)} {last}".strip())
    if execution.code:
        return Verdict.WRONG, _short(f"exit code {execution.code} {last}".strip())
    if execution.stdout != expected:
        return Verdict.WRONG, _difference(execution.stdout, expected)
    return Verdict.PASSED, ""


def _lasting(verdict: Verdict, execution: Execution, limits: SandboxLimits) -> bool:
    """Whether a run would end alike on a machine with another load."""
    if verdict is Verdict.HUNG:
        return execution.cpu >= 0.8 * limits.cpu_seconds  # and not asleep, or waiting for a processor
    return not (execution.ended is Ended.SIGNALLED and execution.code == signal.SIGKILL)  # the kernel, out of memory


def _difference(printed: bytes, expected: bytes) -> str:
    ours, theirs = printed.splitlines(), expected.splitlines()
    for number, (mine, other) in enumerate(zip(ours, theirs, strict=False), 1):
        if mine != other:
            return _short(f"line {number} of the output is {_shown(mine)} instead of {_shown(other)}")
    if len(ours) == len(theirs):
        return "the output ends otherwise"
    return f"{len(ours)} lines of output instead of {len(theirs)}"


def _shown(line: bytes) -> str:
    text = line.decode(errors="replace")
    return repr(text if len(text) <= 60 else f"{text[:60]}…")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _tool_error(execution: Execution) -> str:
    if execution.ended is Ended.SIGNALLED:
        return _signal(execution.code)
    return _short(first_error(execution.stderr.decode(errors="replace"), execution.code))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _DETAIL else f"{text[:_DETAIL]}…"
