"""Candidates evaluated in forked workers that are limited in time and memory, killed with everything they started,
and replaced. What LLVM does to a worker comes back as an `Outcome`, never as an exception.

A job's result depends on its input and candidate alone: passes always run on a module fresh from bitcode, at cut
points that the pass list decides (`segments`), so caches and the number of workers change nothing but the time.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import os
import pickle
import resource
import selectors
import shlex
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import InputError, LlmcError, PipelineError
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context, digest
from llm_compiler.llvm.objectfile import ObjectSize, measure
from llm_compiler.llvm.pipeline import Candidate, Pass, PassList
from llm_compiler.llvm.target import Lowering, Profile, TargetMachine, lowering_of

_HEAVY = ("default", "cgscc", "inliner-wrapper", "lto-pre-link", "thinlto-pre-link", "lto", "thinlto")
_PR_SET_PDEATHSIG = 1
_CACHE_BYTES = 96 << 20
_STDERR_TAIL = 4000


class Status(StrEnum):
    """What became of an evaluation."""

    MEASURED = "measured"
    INVALID = "invalid"
    CRASHED = "crashed"
    TIMED_OUT = "timed_out"
    OUT_OF_MEMORY = "out_of_memory"
    WRONG = "wrong"


@dataclass(frozen=True)
class Limits:
    """seconds: wall time of one job; memory: address space of one worker in bytes."""

    seconds: float = 60.0
    memory: int = 4 << 30


@dataclass(frozen=True)
class Job:
    """One evaluation. `input` is a bitcode file. `lower` off stops after the passes.

    whole: run the pass list in one go, as `opt` does, not at the cut points.
    keep_bitcode, keep_object, assembly: what to send back beside the sizes. keep_below: send the bitcode back, verified
    and counted, when the object is no larger than this.
    """

    input: Path
    candidate: Candidate
    lowering: Lowering
    lower: bool = True
    whole: bool = False
    verify: bool = False
    count: bool = False
    keep_bitcode: bool = False
    keep_object: bool = False
    assembly: bool = False
    keep_below: int | None = None


@dataclass(frozen=True)
class Inspection:
    """What a file holds: its bitcode, triple, code model and relocation model (as `Lowering` has them), the number of
    functions with a body, the names of those that carry `optnone`, and of those that the object can do without once all
    calls of them are inlined (largest first).
    """

    bitcode: bytes = field(repr=False)
    triple: str
    relocation: int
    code_model: int
    functions: int
    optnone: tuple[str, ...]
    inlinable: tuple[str, ...] = ()


@dataclass(frozen=True)
class Measurement:
    """Sizes in bytes; `instructions` in IR, counted only on request; hashes of the optimised IR and of the object."""

    size: ObjectSize | None
    ir_hash: str
    object_hash: str = ""
    instructions: int | None = None
    bitcode: bytes | None = field(default=None, repr=False)
    object: bytes | None = field(default=None, repr=False)
    seconds: float = 0.0
    lowered: bool = True


@dataclass(frozen=True)
class Outcome:
    """`measurement` is set when, and only when, the status is MEASURED."""

    status: Status
    measurement: Measurement | None = None
    message: str = ""
    inspection: Inspection | None = None
    crash_folder: Path | None = None


def segments(passes: PassList) -> tuple[tuple[Pass, ...], ...]:
    """Cut a pass list around its expensive elements, where the module goes through bitcode so that lists which
    share a prefix share its result. Elements that only prepare analyses stay with what uses them.
    """
    cuts: list[tuple[Pass, ...]] = []
    current: list[Pass] = []
    for item in passes.passes:
        if item.name in _HEAVY:
            attached: list[Pass] = []
            while current and _prepares(current[-1]):
                attached.insert(0, current.pop())
            if current:
                cuts.append(tuple(current))
            cuts.append((*attached, item))
            current = []
        else:
            current.append(item)
    if current or not cuts:
        cuts.append(tuple(current))
    return tuple(cuts)


def _prepares(item: Pass) -> bool:
    if item.name in ("require", "invalidate"):
        return True
    return item.name == "function" and all(child.name in ("require", "invalidate") for child in item.children)


# --- in the worker -----------------------------------------------------------------------------------------------


class _Evaluator:
    """Runs jobs in this process; keeps what prefixes gave."""

    def __init__(self) -> None:
        self.lib = library.load()
        self.machines: dict[Lowering, TargetMachine] = {}
        self.inputs: dict[Path, bytes] = {}
        self.after: OrderedDict[tuple[object, ...], bytes] = OrderedDict()
        self.after_bytes = 0
        self.lowered: OrderedDict[tuple[object, ...], tuple[ObjectSize, str]] = OrderedDict()

    def machine(self, lowering: Lowering) -> int | None:
        """None for a target that the library lacks: passes then run with the cost model of no target."""
        if lowering.external:
            return None
        found = self.machines.get(lowering)
        if found is None:
            found = self.machines[lowering] = TargetMachine(self.lib, lowering)
        return found.handle

    def run(self, job: Job) -> Measurement:
        started = time.process_time()
        candidate = job.candidate
        bitcode, instructions = self.optimise(job)
        ir_hash = digest(bitcode)
        size, object_hash, data, lowered = None, "", None, False
        if job.lower:
            key = (ir_hash, job.lowering, candidate.lowering_options)
            known = self.lowered.get(key)
            if known is None or job.keep_object or job.assembly:
                self.lib.set_options(candidate.lowering_options)
                lowered = True
                data = self.lower(job, bitcode)
                if not job.assembly:
                    known = self.lowered[key] = (measure(data), digest(data))
                    if len(self.lowered) > 20000:
                        self.lowered.popitem(last=False)
            if known is not None:
                size, object_hash = known
        keep = job.keep_bitcode
        if job.keep_below is not None and size is not None and size.total <= job.keep_below:
            instructions = self.check(bitcode, count=True, verify=True)
            keep = True
        return Measurement(
            size, ir_hash, object_hash, instructions,
            bitcode if keep else None,
            data if job.keep_object or job.assembly else None,
            time.process_time() - started, lowered,
        )

    def lower(self, job: Job, bitcode: bytes) -> bytes:
        if not job.lowering.external:
            # A new machine each time: options such as -enable-ipra are written into it and would stay.
            machine = TargetMachine(self.lib, job.lowering)
            try:
                with Context(self.lib) as context:
                    return context.parse(bitcode).emit(machine.handle, assembly=job.assembly)
            finally:
                machine.close()
        with tempfile.TemporaryDirectory(prefix="lower-", dir=job.input.parent) as folder:
            source, output = Path(folder) / "in.bc", Path(folder) / "out"
            source.write_bytes(bitcode)
            words = [{"INPUT": str(source), "OUTPUT": str(output)}.get(word, word) for word in job.lowering.external]
            for option in job.candidate.lowering_options:
                words += ["-mllvm", option]
            words += ["-S"] if job.assembly else []
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                                  preexec_fn=_die_with_parent)
            if done.returncode:
                raise InputError(f"lowering failed: {done.stderr.strip().splitlines()[-1:]}")
            return output.read_bytes()

    def inspect(self, path: Path) -> Inspection:
        with Context(self.lib) as context:
            module = context.parse(path.read_bytes(), path.name)
            broken = module.verify()
            if broken:
                raise InputError(f"{path.name}: LLVM's verifier refuses it: {broken.splitlines()[0]}")
            lowering = lowering_of(module, Profile.DEPLOY)
            return Inspection(module.bitcode(), module.triple, lowering.relocation, lowering.code_model,
                              len(module.functions()), tuple(module.functions_with_attribute("optnone")),
                              tuple(module.discardable_functions()))

    def optimise(self, job: Job) -> tuple[bytes, int | None]:
        if job.input not in self.inputs:
            if len(self.inputs) > 16:
                self.inputs.clear()
            self.inputs[job.input] = job.input.read_bytes()
        bitcode = self.inputs[job.input]
        passes = job.candidate.passes
        parts = (passes.passes,) if job.whole else segments(passes)
        options = job.candidate.pass_options
        done = 0
        source = digest(bitcode)
        # The key of a step is the hash of the IR before it, so that equal IR on different ways shares the rest.
        options_set = False
        for part in parts:
            text = ",".join(map(str, part))
            if not text:
                continue
            key = (source, options, text)
            known = self.after.get(key)
            if known is None:
                if not options_set:
                    self.lib.set_options(options)
                    options_set = True
                with Context(self.lib) as context:
                    module = context.parse(bitcode)
                    module.run_passes(text, self.machine(job.lowering))
                    if context.messages:
                        raise PipelineError(context.messages[0])
                    known = module.bitcode()
                self.keep(key, known)
            else:
                self.after.move_to_end(key)
            bitcode = known
            source = digest(bitcode)
            done += 1
        instructions = self.check(bitcode, count=job.count, verify=job.verify) if job.verify or job.count else None
        return bitcode, instructions

    def check(self, bitcode: bytes, *, count: bool, verify: bool) -> int | None:
        with Context(self.lib) as context:
            module = context.parse(bitcode)
            broken = module.verify() if verify else None
            if broken:
                raise PipelineError(f"the verifier refuses the result: {broken}")
            return module.count_instructions() if count else None

    def keep(self, key: tuple[object, ...], bitcode: bytes) -> None:
        self.after[key] = bitcode
        self.after_bytes += len(bitcode)
        while self.after_bytes > _CACHE_BYTES and len(self.after) > 1:
            _, dropped = self.after.popitem(last=False)
            self.after_bytes -= len(dropped)


def _serve(channel: socket.socket, memory: int) -> None:
    """The worker's loop; returns when the parent is gone."""
    evaluator = _Evaluator()
    while True:
        message = _receive(channel)
        if message is None:
            return
        job = pickle.loads(message)
        try:
            if isinstance(job, Path):
                outcome = Outcome(Status.MEASURED, inspection=evaluator.inspect(job))
            else:
                outcome = Outcome(Status.MEASURED, evaluator.run(job))
        except (PipelineError, InputError) as error:
            outcome = Outcome(Status.INVALID, message=str(error))
        except MemoryError:
            outcome = Outcome(Status.OUT_OF_MEMORY, message=f"more than {memory >> 20} MB")
        except (OSError, LlmcError) as error:
            outcome = Outcome(Status.INVALID, message=f"{type(error).__name__}: {error}")
        _send(channel, pickle.dumps(outcome, protocol=5))


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _become_worker(channel: socket.socket, limits: Limits, stderr: int) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.SIG_IGN)
    _die_with_parent()
    faulthandler.disable()  # it would print the parent's stack, to the parent's stderr
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (limits.memory, limits.memory))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(stderr, 2)
    faulthandler.disable()
    gc.disable()
    _serve(channel, limits.memory)


def _send(channel: socket.socket, data: bytes) -> None:
    channel.sendall(struct.pack("<Q", len(data)) + data)


def _receive(channel: socket.socket) -> bytes | None:
    header = _read(channel, 8)
    return None if header is None else _read(channel, struct.unpack("<Q", header)[0])


def _read(channel: socket.socket, size: int) -> bytes | None:
    parts: list[bytes] = []
    while size:
        try:
            part = channel.recv(min(size, 1 << 20))
        except ConnectionError:
            return None
        if not part:
            return None
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


# --- in the parent -----------------------------------------------------------------------------------------------


@dataclass
class _Worker:
    pid: int
    channel: socket.socket
    stderr: int
    ticket: int | None = None
    job: Job | Path | None = None
    deadline: float = 0.0


class WorkerPool:
    """At most `jobs` workers of one process each.

    `submit` queues a job and gives its ticket; `wait` gives finished tickets with their outcomes. Close it (or use it
    as a context manager): nothing that it started survives it, nor the death of the parent.
    """

    def __init__(self, jobs: int, limits: Limits = Limits(), crash_folder: Path | None = None) -> None:
        if jobs < 1:
            raise ValueError("a pool needs at least one job")
        library.load()  # once, before the forks, which share it
        self.limits = limits
        self.jobs = jobs
        self.crash_folder = crash_folder
        self.lost_workers = 0
        self._workers: list[_Worker] = []
        self._queue: deque[tuple[int, Job | Path]] = deque()
        self._tickets = 0
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def unfinished(self) -> int:
        """Jobs queued or running."""
        return len(self._queue) + sum(worker.ticket is not None for worker in self._workers)

    @property
    def idle(self) -> int:
        """Jobs that would start at once."""
        return self.jobs - self.unfinished

    def inspect(self, path: Path) -> Inspection | Outcome:
        """Read an IR or bitcode file in a worker; the outcome when that failed."""
        outcome = self.run(path)
        return outcome.inspection or outcome

    def submit(self, job: Job | Path) -> int:
        if self._closed:
            raise ValueError("the pool is closed")
        self._tickets += 1
        self._queue.append((self._tickets, job))
        self._dispatch()
        return self._tickets

    def run(self, job: Job | Path) -> Outcome:
        """Submit one job and wait for it; the pool must have nothing else under way."""
        ticket = self.submit(job)
        while True:
            for finished, outcome in self.wait():
                if finished == ticket:
                    return outcome

    def wait(self, timeout: float | None = None) -> list[tuple[int, Outcome]]:
        """Finished jobs, at least one unless nothing is under way or `timeout` seconds pass."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            busy = [worker for worker in self._workers if worker.ticket is not None]
            if not busy:
                return []
            now = time.monotonic()
            nearest = min(worker.deadline for worker in busy)
            pause = max(0.0, min(nearest, until if until is not None else nearest) - now)
            finished = list(self._collect(busy, pause))
            self._dispatch()
            if finished or (until is not None and time.monotonic() >= until):
                return finished

    def _collect(self, busy: list[_Worker], pause: float) -> Iterator[tuple[int, Outcome]]:
        with selectors.DefaultSelector() as selector:
            for worker in busy:
                selector.register(worker.channel, selectors.EVENT_READ, worker)
            ready = [key.data for key, _ in selector.select(pause)]
        now = time.monotonic()
        for worker in busy:
            ticket, job = worker.ticket, worker.job
            assert ticket is not None and job is not None
            if worker in ready:
                message = _receive(worker.channel)
                if message is not None:
                    worker.ticket = worker.job = None
                    yield ticket, pickle.loads(message)
                    continue
                yield ticket, self._bury(worker, job)
            elif now >= worker.deadline:
                outcome = Outcome(Status.TIMED_OUT, message=f"more than {self.limits.seconds:g} s")
                yield ticket, self._record(job, outcome, self._end(worker)[1])

    def cancel(self) -> None:
        """Forget the queue and kill what runs; the pool can be used again."""
        self._queue.clear()
        for worker in [worker for worker in self._workers if worker.ticket is not None]:
            self._end(worker)

    def close(self) -> None:
        self._closed = True
        self._queue.clear()
        for worker in list(self._workers):
            self._end(worker)

    def _dispatch(self) -> None:
        while self._queue:
            worker = next((worker for worker in self._workers if worker.ticket is None), None)
            if worker is None:
                if len(self._workers) >= self.jobs:
                    return
                worker = self._start()
            elif _is_dead(worker.pid):
                self._reap(worker)  # killed from outside while it was idle
                continue
            ticket, job = self._queue.popleft()
            worker.ticket, worker.job = ticket, job
            worker.deadline = time.monotonic() + self.limits.seconds
            # Both sides share the file's position: what earlier jobs printed is not this one's.
            os.lseek(worker.stderr, 0, os.SEEK_SET)
            os.ftruncate(worker.stderr, 0)
            with contextlib.suppress(OSError):  # a dead worker is noticed when its channel is read
                _send(worker.channel, pickle.dumps(job, protocol=5))

    def _start(self) -> _Worker:
        ours, theirs = socket.socketpair()
        stderr, name = tempfile.mkstemp(prefix="llmc-worker-")
        os.unlink(name)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                ours.close()
                for worker in self._workers:
                    worker.channel.close()
                _become_worker(theirs, self.limits, stderr)
                status = 0
            except BaseException as error:
                with contextlib.suppress(BaseException):
                    os.write(2, f"llmc worker: {type(error).__name__}: {error}\n".encode())
            finally:
                os._exit(status)
        theirs.close()
        worker = _Worker(pid, ours, stderr)
        self._workers.append(worker)
        return worker

    def _end(self, worker: _Worker) -> tuple[int, str]:
        """Kill a worker and its descendants; its wait status and the end of what it printed."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(worker.pid, signal.SIGKILL)
        return self._reap(worker)

    def _reap(self, worker: _Worker) -> tuple[int, str]:
        self._workers.remove(worker)
        worker.channel.close()
        status = 0
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(worker.pid, 0)
        size = os.fstat(worker.stderr).st_size
        tail = os.pread(worker.stderr, _STDERR_TAIL, max(0, size - _STDERR_TAIL))
        os.close(worker.stderr)
        return status, tail.decode(errors="replace").strip()

    def _bury(self, worker: _Worker, job: Job | Path) -> Outcome:
        """The outcome of a job whose worker died by itself."""
        # It closed its end of the channel before it became a zombie: wait without killing, but not for long.
        for _ in range(200):
            with contextlib.suppress(ChildProcessError):
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    break
            time.sleep(0.005)
        else:
            status = 0
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(worker.pid, signal.SIGKILL)
        _, stderr = self._reap(worker)
        lowered = stderr.lower()
        if "unknown command line argument" in lowered or "for the --" in lowered or "for the -" in lowered:
            return Outcome(Status.INVALID, message=stderr.splitlines()[0] if stderr else "unknown option")
        self.lost_workers += 1
        if "out of memory" in lowered or "bad_alloc" in lowered or "memoryerror" in lowered:
            outcome = Outcome(Status.OUT_OF_MEMORY, message=f"more than {self.limits.memory >> 20} MB")
        elif os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            last = stderr.splitlines()[-1] if stderr else ""
            outcome = Outcome(Status.CRASHED, message=f"{name} {last}".strip())
        else:
            last = stderr.splitlines()[-1] if stderr else f"exit code {os.waitstatus_to_exitcode(status)}"
            outcome = Outcome(Status.CRASHED, message=last)
        return self._record(job, outcome, stderr)

    def _record(self, job: Job | Path, outcome: Outcome, stderr: str) -> Outcome:
        """Write the input and a reproduction to the crash folder, as far as the disk allows."""
        if self.crash_folder is None:
            return outcome
        with contextlib.suppress(OSError):
            if isinstance(job, Path):
                data, name = job.read_bytes(), "read"
            else:
                data, name = job.input.read_bytes(), job.candidate.digest
            folder = self.crash_folder / f"{outcome.status}-{digest(data)[:8]}-{name}"
            line = reproduction(job, folder / "input.bc")
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "input.bc").write_bytes(data)
            (folder / "reproduce.sh").write_text(line + "\n")
            (folder / "stderr.txt").write_text(f"{outcome.status}: {outcome.message}\n{stderr}\n")
            return replace(outcome, crash_folder=folder)
        return outcome


def _is_dead(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def reproduction(job: Job | Path, path: Path) -> str:
    """One line that repeats a job."""
    if isinstance(job, Path):
        return shlex.join(["llmc", "size", str(path)])
    words = ["llmc", "opt", f"--passes={job.candidate.passes.text}", f"--profile={job.lowering.profile}"]
    words += [f"--pass-option={option}" for option in job.candidate.pass_options]
    words += [f"--codegen-option={option}" for option in job.candidate.codegen_options]
    return shlex.join([*words, str(path), "-o", "/dev/null"])
