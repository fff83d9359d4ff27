"""Runs programs that may be wrong in any way: limited, without network, without new files or processes, killed whole.

On Linux for x86-64 a seccomp filter lets through what a program needs that computes and prints; it needs no privilege
and no namespace. It is an allow list: what it does not name is refused with EPERM. On other architectures, and on
kernels that take no filter, only the limits, the session of its own and the death with the parent are left: `filtered`.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import math
import os
import platform
import resource
import selectors
import shutil
import signal
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

# Only what a program may find: its output must not depend on the user's settings. Every thread's arena of glibc's
# allocator reserves 64 MB of the address space that is limited.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "MALLOC_ARENA_MAX": "2"}

_CHUNK = 1 << 16
_TICK = 0.05


@dataclass(frozen=True)
class SandboxLimits:
    """Processor and wall time in seconds, address space, output (of each stream) and size of a file in bytes."""

    cpu_seconds: float = 10
    wall_seconds: float = 10
    memory: int = 1 << 30
    output: int = 1 << 20
    file_size: int = 16 << 20


class Ended(StrEnum):
    """How a program ended; TIMED_OUT by processor or wall time."""

    EXITED = "exited"
    SIGNALLED = "signalled"
    TIMED_OUT = "timed_out"
    OUTPUT_LIMIT = "output_limit"
    NOT_STARTED = "not_started"


@dataclass(frozen=True)
class Execution:
    """code: exit code, signal number, or errno of a program that did not start; wall and processor time in seconds."""

    ended: Ended
    code: int
    stdout: bytes
    stderr: bytes
    seconds: float
    cpu: float = 0.0


# --- the filter --------------------------------------------------------------------------------------------------

# Numbers of arch/x86/entry/syscalls/syscall_64.tbl.
_ALLOWED = (
    0, 1, 3, 8, 17, 18, 19, 20, 32, 33, 292, 295, 296, 327, 328, 436,  # read, write, close, lseek, dup … close_range
    22, 293, 7, 23, 213, 232, 233, 270, 271, 281, 291, 441, 282, 284, 289, 290,  # pipe, poll, select, epoll, eventfd
    4, 5, 6, 21, 79, 80, 81, 78, 89, 95, 137, 138, 217, 221, 262, 267, 269, 332, 439,  # stat, access, getcwd, readlink
    9, 10, 11, 12, 25, 26, 27, 28, 324, 329, 330, 331,  # mmap, mprotect, munmap, brk, mremap … membarrier, pkey
    13, 14, 15, 127, 128, 130, 131, 219,  # rt_sigaction, rt_sigprocmask, rt_sigreturn … restart_syscall
    24, 34, 35, 36, 37, 38, 230, 222, 223, 224, 225, 226, 283, 286, 287,  # sched_yield, nanosleep, timers
    39, 102, 104, 107, 108, 110, 111, 115, 118, 120, 121, 124, 186,  # getpid, getuid … gettid
    63, 96, 97, 98, 99, 100, 201, 228, 229, 309, 318,  # uname, times, clock_gettime, getrusage, getcpu, getrandom
    140, 143, 145, 146, 147, 148, 204,  # getpriority, sched_get…
    202, 218, 273, 274, 334, 449, 454, 455, 456, 158,  # futex, set_tid_address, robust lists, rseq, arch_prctl
    59, 60, 61, 231, 247,  # execve, exit, wait4, exit_group, waitid
)
_SEND_SIGNAL = (62, 129, 200, 234, 297)  # kill, rt_sigqueueinfo, tkill, tgkill, rt_tgsigqueueinfo
_OPEN, _OPENAT, _CLONE, _FORK, _VFORK = 2, 257, 56, 57, 58
_FCNTL, _IOCTL, _PRCTL, _PRLIMIT = 72, 16, 157, 302
_CLONE3, _OPENAT2 = 435, 437
_FIRST_NEW = 424  # from here on glibc expects ENOSYS of what is not there, and falls back

_CHANGES_FILES = os.O_ACCMODE | os.O_CREAT | os.O_TRUNC | 0x400000  # __O_TMPFILE
_CLONE_NEW, _CLONE_THREAD = 0x7E020000, 0x10000
_FCNTL_REFUSED = (8, 10, 15, 1024, 1026)  # F_SETOWN, F_SETSIG, F_SETOWN_EX send signals to others; F_SETLEASE, F_NOTIFY
_IOCTL_ALLOWED = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FI(N)OCLEX
_PRCTL_ALLOWED = (3, 15, 16, 0x53564D41)  # PR_GET_DUMPABLE, PR_SET_NAME, PR_GET_NAME, PR_SET_VMA

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x00050001, 0x00050026  # linux/seccomp.h
_ARCH_X86_64 = 0xC000003E
_ARCH_AT, _NUMBER_AT = 4, 0
_OWN_PID = -1

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _FILTER_MODE = 1, 22, 38, 2  # linux/prctl.h

_Instruction = tuple[int, int, int, int]


class _SockFprog(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def _argument(index: int, *, high: bool = False) -> _Instruction:
    return (_LOAD, 0, 0, 16 + 8 * index + 4 * high)


def _return(value: int) -> _Instruction:
    return (_RETURN, 0, 0, value)


def _for(number: int, *body: _Instruction) -> list[_Instruction]:
    """The body for one system call; it must end in returns."""
    return [(_EQUAL, 0, len(body), number), *body]


def _one_of(argument: int, values: Iterable[int], then: int, otherwise: int) -> list[_Instruction]:
    tests = [item for value in values for item in ((_EQUAL, 0, 1, value), _return(then))]
    return [_argument(argument), *tests, _return(otherwise)]


def _instructions(may_fork: bool) -> list[_Instruction]:
    out = [(_LOAD, 0, 0, _ARCH_AT), (_EQUAL, 1, 0, _ARCH_X86_64), _return(_KILL), (_LOAD, 0, 0, _NUMBER_AT)]
    for number in (*_ALLOWED, *((_FORK, _VFORK) if may_fork else ())):
        out += _for(number, _return(_ALLOW))
    for number in _SEND_SIGNAL:  # abort and raise signal their own process
        out += _for(number, *_one_of(0, (_OWN_PID,), _ALLOW, _EPERM))
    for number, flags in ((_OPEN, 1), (_OPENAT, 2)):
        out += _for(number, _argument(flags), (_ANY_BIT, 0, 1, _CHANGES_FILES), _return(_EPERM), _return(_ALLOW))
    out += _for(_CLONE, _argument(0), (_ANY_BIT, 0, 1, _CLONE_NEW), _return(_EPERM),
                (_ANY_BIT, 0, 1, _CLONE_THREAD), _return(_ALLOW), _return(_ALLOW if may_fork else _EPERM))
    out += _for(_FCNTL, *_one_of(1, _FCNTL_REFUSED, _EPERM, _ALLOW))
    out += _for(_IOCTL, *_one_of(1, _IOCTL_ALLOWED, _ALLOW, _EPERM))
    out += _for(_PRCTL, *_one_of(0, _PRCTL_ALLOWED, _ALLOW, _EPERM))
    # Reading limits is free; root could raise its own, or lower those of others.
    out += _for(_PRLIMIT, _argument(2), (_EQUAL, 0, 2, 0), _argument(2, high=True), (_EQUAL, 1, 0, 0),
                _return(_EPERM), _return(_ALLOW))
    for number in (_CLONE3, _OPENAT2):  # their flags are behind a pointer; glibc falls back
        out += _for(number, _return(_ENOSYS))
    return [*out, (_AT_LEAST, 0, 1, _FIRST_NEW), _return(_ENOSYS), _return(_EPERM)]


class _Filter:
    """A filter in memory that the kernel reads, made before the fork; the process's number is put in after it."""

    def __init__(self, may_fork: bool) -> None:
        instructions = _instructions(may_fork)
        self._pid_at = [8 * index + 4 for index, item in enumerate(instructions) if item[3] == _OWN_PID]
        self._memory = ctypes.create_string_buffer(8 * len(instructions))
        for index, (code, true, false, value) in enumerate(instructions):
            struct.pack_into("<HBBI", self._memory, 8 * index, code, true, false, value & 0xFFFFFFFF)
        self._program = _SockFprog(len(instructions), ctypes.addressof(self._memory))
        self._address = ctypes.addressof(self._program)

    def install(self) -> None:
        pid = os.getpid()
        for offset in self._pid_at:
            struct.pack_into("<I", self._memory, offset, pid)
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
        _prctl(_PR_SET_SECCOMP, _FILTER_MODE, self._address)


@lru_cache(maxsize=2)
def _filter(may_fork: bool) -> _Filter | None:
    return _Filter(may_fork) if filtered() else None


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return libc


def _prctl(option: int, *arguments: int) -> None:
    if _libc().prctl(option, *arguments, *[0] * (4 - len(arguments))) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl({option}): {os.strerror(code)}")


@lru_cache(maxsize=1)
def filtered() -> bool:
    """Whether programs run under the filter here; without it, only under limits."""
    if platform.machine() != "x86_64" or struct.calcsize("P") != 8:
        return False
    try:
        _prctl(_PR_SET_SECCOMP, _FILTER_MODE, 0)
    except OSError as error:
        return error.errno == errno.EFAULT  # the mode is known, and there is no filter at address 0
    return False


# --- in the child ------------------------------------------------------------------------------------------------


def confine(limits: SandboxLimits, *, may_fork: bool = False) -> None:
    """In a child, before exec: limits, a session of its own, death with the parent, and the filter.

    may_fork: let it have processes of its own; they stay in its session. Raises OSError when the kernel refuses.
    """
    found = _filter(may_fork)
    restrain(limits)
    if found is not None:
        found.install()


def restrain(limits: SandboxLimits) -> None:
    """In a child, before exec, for a program that is trusted to behave: `confine` without the filter."""
    with contextlib.suppress(PermissionError):  # it leads one already
        os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    seconds = math.ceil(limits.cpu_seconds)
    for kind, soft, hard in (
        (resource.RLIMIT_CPU, seconds, seconds + 1), (resource.RLIMIT_FSIZE, limits.file_size, limits.file_size),
        (resource.RLIMIT_CORE, 0, 0), (resource.RLIMIT_NOFILE, 256, 256),
        (resource.RLIMIT_AS, limits.memory, limits.memory),
    ):
        _, highest = resource.getrlimit(kind)
        if highest != resource.RLIM_INFINITY:
            soft, hard = min(soft, highest), min(hard, highest)
        resource.setrlimit(kind, (soft, hard))


# --- in the parent -----------------------------------------------------------------------------------------------


class Running:
    """A program under way: `poll` until it gives its Execution; `close` kills it and what it started.

    cwd: a fresh empty folder when none is named. setup: what the child does before exec, `confine` unless said. It dies
    with the thread that started it.
    """

    def __init__(self, command: Sequence[str], limits: SandboxLimits = SandboxLimits(), *, stdin: bytes = b"",
                 cwd: Path | None = None, env: Mapping[str, str] | None = None,
                 setup: Callable[[SandboxLimits], None] = confine) -> None:
        self.limits = limits
        self._output = (bytearray(), bytearray())
        self._open: dict[int, bytearray] = {}
        self._pidfd = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._execution: Execution | None = None
        self._overflow = False
        self._folder = None if cwd else tempfile.mkdtemp(prefix="llmc-run-")
        _filter(False), _libc()  # nothing is imported or made between fork and exec
        self._started = time.monotonic()
        try:
            with tempfile.TemporaryFile() if stdin else open(os.devnull, "rb") as source:
                if stdin:
                    source.write(stdin)
                    source.seek(0)
                self._process = subprocess.Popen(
                    command, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
                    cwd=cwd or self._folder, env=dict(ENVIRONMENT if env is None else env),
                    preexec_fn=lambda: setup(limits))
        except (OSError, subprocess.SubprocessError) as error:
            code = (error.errno or 0) if isinstance(error, OSError) else 0
            self._end(Execution(Ended.NOT_STARTED, code, b"", str(error).encode(), 0.0))
            return
        except BaseException:
            self.close()
            raise
        assert self._process.stdout and self._process.stderr
        for stream, kept in zip((self._process.stdout, self._process.stderr), self._output, strict=True):
            os.set_blocking(stream.fileno(), False)
            self._open[stream.fileno()] = kept
        with contextlib.suppress(OSError):  # before Linux 5.3
            self._pidfd = os.pidfd_open(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    @property
    def deadline(self) -> float:
        return self._started + self.limits.wall_seconds

    def poll(self) -> Execution | None:
        """Take what it printed; its Execution once it has ended. Does not wait."""
        if self._execution is not None:
            return self._execution
        assert self._process is not None
        late = time.monotonic() >= self.deadline
        over = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        self._read()
        if over or late or self._overflow:
            code, cpu = self._reap()
            self._end(self._classify(code, cpu, late and not over))
        return self._execution

    def close(self) -> None:
        """Kill it if it runs. Any number of times."""
        if self._execution is None:
            self._reap()
            self._end(Execution(Ended.TIMED_OUT, signal.SIGKILL, b"", b"", time.monotonic() - self._started))

    def files(self) -> list[int]:
        """Descriptors of which one becomes readable when there is something for `poll`."""
        if self._execution is not None:
            return []
        return [*self._open, *([self._pidfd] if self._pidfd >= 0 else [])]

    def _read(self) -> None:
        for stream, kept in list(self._open.items()):
            while not self._overflow:
                try:
                    data = os.read(stream, _CHUNK)
                except BlockingIOError:
                    break
                if not data:
                    del self._open[stream]  # it would be readable for ever
                    break
                kept += data
                self._overflow = len(kept) > self.limits.output

    def _classify(self, code: int, cpu: float, late: bool) -> Execution:
        seconds = time.monotonic() - self._started
        out_of_time = late or code == -signal.SIGXCPU or (code == -signal.SIGKILL and cpu >= self.limits.cpu_seconds)
        if self._overflow:
            ended = Ended.OUTPUT_LIMIT
        elif out_of_time:
            ended = Ended.TIMED_OUT
        else:
            ended = Ended.EXITED if code >= 0 else Ended.SIGNALLED
        stdout, stderr = (bytes(kept[: self.limits.output]) for kept in self._output)
        return Execution(ended, abs(code), stdout, stderr, seconds, cpu)

    def _reap(self) -> tuple[int, float]:
        """Kill what is left; the exit code (negative: the signal) and the processor time."""
        process = self._process
        if process is None:
            return 0, 0.0
        # Before the leader is reaped: its number cannot have gone to another process yet.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_utime + usage.ru_stime

    def _end(self, execution: Execution) -> None:
        self._execution = execution
        if self._process is not None and self._process.stdout and self._process.stderr:
            self._process.stdout.close()
            self._process.stderr.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)


def wait_for(running: Sequence[Running], timeout: float) -> None:
    """Wait until one of them may have something for `poll`, `timeout` seconds at most."""
    now = time.monotonic()
    pause = max(0.0, min([timeout, *(item.deadline - now for item in running)]))
    with selectors.DefaultSelector() as selector:
        watched = 0
        for item in running:
            files = item.files()
            if item._pidfd < 0:
                pause = min(pause, _TICK)  # nothing tells of its end
            for file in files:
                selector.register(file, selectors.EVENT_READ)
                watched += 1
        if watched or pause:
            selector.select(pause)


def execute(command: Sequence[str], limits: SandboxLimits = SandboxLimits(), *, stdin: bytes = b"",
            cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Execution:
    """Run a program in the sandbox and wait for it. stdout and stderr are cut at the limit."""
    with Running(command, limits, stdin=stdin, cwd=cwd, env=env) as running:
        while (execution := running.poll()) is None:
            wait_for([running], limits.wall_seconds)
        return execution
