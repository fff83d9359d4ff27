"""Candidates evaluated in forked workers that are limited in time and memory, killed with everything they started,
and replaced. What LLVM does to a worker comes back as an `Outcome`, never as an exception.
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
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import InputError, LlmcError, PipelineError
from llm_compiler.llvm import library
from llm_compiler.llvm.evaluator import Evaluator, die_with_parent
from llm_compiler.llvm.job import Inspection, Job, Limits, Outcome, Reading, Status
from llm_compiler.llvm.module import digest

_STDERR_TAIL = 4000


# --- in the worker -----------------------------------------------------------------------------------------------


def _serve(channel: socket.socket, memory: int) -> None:
    """The worker's loop; returns when the parent is gone."""
    evaluator = Evaluator()
    while True:
        message = _receive(channel)
        if message is None:
            return
        outcome = perform(evaluator, pickle.loads(message), memory)
        _send(channel, pickle.dumps(outcome, protocol=5))


def perform(evaluator: Evaluator, job: Job | Reading | Path, memory: int) -> Outcome:
    """Do a job in this process, which LLVM may end. memory: the limit in bytes, for the message."""
    try:
        if isinstance(job, Path):
            return Outcome(Status.MEASURED, inspection=evaluator.inspect(job))
        if isinstance(job, Reading):
            return Outcome(Status.MEASURED, value=job.reader(job.input.read_bytes()))
        return Outcome(Status.MEASURED, evaluator.run(job))
    except (PipelineError, InputError) as error:
        return Outcome(Status.INVALID, message=str(error))
    except MemoryError:
        return Outcome(Status.OUT_OF_MEMORY, message=f"more than {memory >> 20} MB")
    except (OSError, LlmcError) as error:
        return Outcome(Status.INVALID, message=f"{type(error).__name__}: {error}")


def _mapped() -> int:
    """Bytes of this process's address space."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _become_worker(channel: socket.socket, limits: Limits, stderr: int) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL if number != signal.SIGINT else signal.SIG_IGN)
    die_with_parent()
    faulthandler.disable()  # it would print the parent's stack, to the parent's stderr
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # What the parent has mapped before the fork (torch alone is more than a gigabyte) is not the job's.
    memory = limits.memory + _mapped()
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.dup2(stderr, 2)
    gc.disable()
    # LLVM calls exit() over options; what other libraries left to be done then may wait for threads of the parent.
    libc = ctypes.CDLL(None)
    libc.on_exit(libc._exit, None)
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
    job: Job | Reading | Path | None = None
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
        self.killed_workers = 0  # by SIGKILL, so not by LLVM: from outside, or because memory ran out
        self._workers: list[_Worker] = []
        self._queue: deque[tuple[int, Job | Reading | Path]] = deque()
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

    def submit(self, job: Job | Reading | Path) -> int:
        if self._closed:
            raise ValueError("the pool is closed")
        self._tickets += 1
        self._queue.append((self._tickets, job))
        self._dispatch()
        return self._tickets

    def run(self, job: Job | Reading | Path) -> Outcome:
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
                    outcome = pickle.loads(message)
                    if outcome.status is Status.OUT_OF_MEMORY:  # Python's own allocation failed, and the worker lives
                        outcome = self._record(job, outcome, outcome.message)
                    yield ticket, outcome
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

    def _bury(self, worker: _Worker, job: Job | Reading | Path) -> Outcome:
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
            self.killed_workers += os.WTERMSIG(status) == signal.SIGKILL
            name = signal.Signals(os.WTERMSIG(status)).name
            last = stderr.splitlines()[-1] if stderr else ""
            outcome = Outcome(Status.CRASHED, message=f"{name} {last}".strip())
        else:
            last = stderr.splitlines()[-1] if stderr else f"exit code {os.waitstatus_to_exitcode(status)}"
            outcome = Outcome(Status.CRASHED, message=last)
        return self._record(job, outcome, stderr)

    def _record(self, job: Job | Reading | Path, outcome: Outcome, stderr: str) -> Outcome:
        """Write the input and a reproduction to the crash folder, as far as the disk allows."""
        if self.crash_folder is None:
            return outcome
        with contextlib.suppress(OSError):
            if isinstance(job, Path):
                data, name = job.read_bytes(), "read"
            elif isinstance(job, Reading):
                reader = job.reader.func if isinstance(job.reader, partial) else job.reader
                data, name = job.input.read_bytes(), reader.__name__
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


def reproduction(job: Job | Reading | Path, path: Path) -> str:
    """One line that repeats a job."""
    if isinstance(job, Reading | Path):
        return shlex.join(["llmc", "size", str(path)])
    words = ["llmc", "opt", f"--passes={job.candidate.passes.text}", f"--profile={job.lowering.profile}"]
    words += [f"--pass-option={option}" for option in job.candidate.pass_options]
    words += [f"--codegen-option={option}" for option in job.candidate.codegen_options]
    return shlex.join([*words, str(path), "-o", "/dev/null"])
