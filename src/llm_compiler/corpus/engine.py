"""Units of work into shards: one shard a unit, by processes of this machine or by a Ray cluster, with equal results.

A unit's key names everything that decides its rows, and its shard is folder/<key>.parquet. What is there is not made
again, so a run that was killed, in whatever way, is resumed by starting it again.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import importlib
import json
import os
import pickle
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from llm_compiler.errors import InputError, LlmcError, StorageError
from llm_compiler.llvm.evaluator import die_with_parent
from llm_compiler.llvm.job import Limits

if TYPE_CHECKING:
    import pyarrow as pa

    from llm_compiler.llvm.worker import WorkerPool

DEATHS = 3  # a unit that has killed its worker so often is left out
_FULL = 10  # so many units in a row that could not be written end the run
_NAMED = 10_000  # failures that a report names
_SCRATCH = "llmc-engine-"
_OBJECT_STORE = 100 << 20


@dataclass(frozen=True)
class Unit:
    """key: see `key_of`. payload: what `Work.rows` gets; small and picklable (paths and row numbers, not the rows)."""

    key: str
    payload: Any


class Work(Protocol):
    """What is done to units; picklable, its class in a module that other processes can import (not `__main__`). It may
    have `limits: Limits` for the pool that it is given.
    """

    schema: pa.Schema

    def rows(self, payload: Any, pool: WorkerPool, counts: Counter[str]) -> Iterable[Mapping[str, Any]]:
        """The rows of a unit, the same for the same payload. Runs in a worker process.

        pool: one worker for LLVM, kept over units; what LLVM does to it is an outcome. counts: numbers for the shard's
        metadata. Temporary files go where `tempfile` puts them. An exception makes the unit a failed one.
        """
        ...


def key_of(*parts: Any, split: str = "") -> str:
    """The key of a unit from all that decides its rows (values for JSON), with its split in front: the shards of a
    dataset are named `train-…`, `validation-…` and `test-…`, and a unit belongs to one split.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    name = hashlib.sha256(text.encode()).hexdigest()[:24]
    return f"{split}-{name}" if split else name


@dataclass(slots=True)
class Report:
    """done: shards written; skipped: found. lost_workers: killed from outside, LLVM's included. failures: reasons by
    unit, at most 10,000 of them. rows and counts: over all shards, those found included. shards: for `Manifest.of`.
    """

    done: int = 0
    skipped: int = 0
    failed: int = 0
    lost_workers: int = 0
    rows: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    shards: list[ShardInfo] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def units(self) -> int:
        return self.done + self.skipped + self.failed

    def sentence(self) -> str:
        return (f"{self.units} units: {self.done} done, {self.skipped} found done, {self.failed} failed; "
                f"{self.rows} rows in {self.seconds:.0f} s")


@dataclass(frozen=True)
class Result:
    """What became of a unit: `shard` and `counts`, or `failure`."""

    key: str
    shard: ShardInfo | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    skipped: bool = False
    failure: str = ""
    storage: bool = False
    deaths: int = 0


def run(units: Iterable[Unit], work: Work, folder: Path, *, jobs: int, ray: str | None = None,
        on_progress: Callable[[Report], None] | None = None) -> Report:
    """Make the shard of every unit that has none yet.

    units: may be a generator of any length; only those under way are held. jobs: processes here. ray: `local` starts a
    cluster of `jobs` workers on this machine; `auto` or HOST:PORT joins one whose machines share `folder` and have
    this package, and uses all of it. on_progress: called after every unit; without it a line is shown on a terminal.
    Raises InputError when another run works on the folder, StorageError when the disk stays full.
    """
    if jobs < 1:
        raise ValueError("a run needs at least one job")
    if type(work).__module__ == "__main__":
        raise ValueError(f"{type(work).__name__} must be in a module that workers can import")
    from llm_compiler.corpus.shards import remove_pending

    report = Report()
    started = time.monotonic()
    with _storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    show = contextlib.nullcontext(on_progress) if on_progress is not None else _line(units)
    with _locked(folder), show as tell:
        remove_pending(folder)
        crew: _Crew = _LocalCrew(work, folder.resolve(), jobs) if ray is None else _RayCrew(
            work, folder.resolve(), jobs, ray)
        full = 0
        try:
            with crew:
                for result in crew.results(iter(units)):
                    _add(report, result)
                    report.seconds = time.monotonic() - started
                    if tell is not None:
                        tell(report)
                    full = full + 1 if result.storage else 0
                    if full == _FULL:
                        raise StorageError(result.failure)
        finally:
            remove_pending(folder)
    report.seconds = time.monotonic() - started
    report.shards.sort(key=lambda shard: shard.name)
    return report


def _add(report: Report, result: Result) -> None:
    report.lost_workers += result.deaths
    if result.shard is None:
        report.failed += 1
        if len(report.failures) < _NAMED:
            report.failures[result.key] = result.failure
        return
    report.done += not result.skipped
    report.skipped += result.skipped
    report.rows += result.shard.rows
    report.counts.update(result.counts)
    report.shards.append(result.shard)


@contextlib.contextmanager
def _storage(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror or error}") from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One run at a time in a folder; the kernel lets go of it when the process ends."""
    handle = _lock(folder)
    if handle is None:
        raise InputError(f"another run is writing to {folder}; wait for it, or end it")
    try:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _line(units: Iterable[Unit]) -> Iterator[Callable[[Report], None] | None]:
    """A line on stderr that follows the run, when stderr is a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    total = f" of {len(units)}" if isinstance(units, Sized) else ""
    last = 0.0
    with Live(Text(""), console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        def tell(report: Report) -> None:
            nonlocal last
            if time.monotonic() - last > 0.2:
                last = time.monotonic()
                pace = report.done / report.seconds * 60 if report.seconds else 0.0
                live.update(Text(f"{report.units}{total} units, {report.skipped} found done, {report.failed} failed, "
                                 f"{report.rows} rows, {pace:.1f} units a minute"), refresh=True)

        yield tell


# --- in a worker -------------------------------------------------------------------------------------------------


def execute(unit: Unit, work: Work, folder: Path, pool: WorkerPool) -> Result:
    """Make a unit's shard, or find it."""
    from llm_compiler.corpus.shards import ShardInfo, shard_metadata, write_shard

    path = folder / f"{unit.key}.parquet"
    if path.exists():
        with contextlib.suppress(InputError):  # a damaged one is made again
            told = shard_metadata(path)
            if told.get("unit") == unit.key:
                return Result(unit.key, ShardInfo.of(path), told["counts"], skipped=True)
    deaths = 0
    try:
        while True:
            counts: Counter[str] = Counter()
            rows = _undisturbed(work.rows(unit.payload, pool, counts), pool)
            metadata = {"unit": unit.key, "work": type(work).__name__, "counts": counts}
            try:
                shard = write_shard(path, rows, work.schema, metadata)
                return Result(unit.key, shard, counts, deaths=deaths)
            except _Killed:
                pool.cancel()
                deaths += 1
                if deaths == DEATHS:
                    return Result(unit.key, failure=f"its LLVM worker was killed {DEATHS} times", deaths=deaths)
    except StorageError as error:
        return Result(unit.key, failure=str(error), storage=True)
    except LlmcError as error:
        return Result(unit.key, failure=str(error))
    except Exception as error:
        # A fault in the work on one unit must not end a run of days; it is named with the line that it came from.
        at = traceback.extract_tb(error.__traceback__)[-1]
        text = f"{type(error).__name__}: {error} ({Path(at.filename).name}, line {at.lineno})"
        return Result(unit.key, failure=" ".join(text.split()))
    finally:
        pool.cancel()


class _Killed(Exception):
    """The LLVM worker was killed while rows were made: an outcome among them may not be LLVM's doing."""


def _undisturbed(rows: Iterable[Mapping[str, Any]], pool: WorkerPool) -> Iterator[Mapping[str, Any]]:
    before = pool.killed_workers
    for row in rows:
        if pool.killed_workers > before:
            break
        yield row
    if pool.killed_workers > before:
        raise _Killed


def serve(handle: int, parent: int, scratch: str) -> None:
    """The life of a worker process: gets the pickled work and folder, then pickled units; answers with results."""
    die_with_parent()
    if os.getppid() != parent:  # it died before this line
        return
    tempfile.tempdir = scratch
    channel = Connection(handle)
    import pyarrow as pa

    from llm_compiler.llvm.worker import WorkerPool

    # Forked LLVM workers inherit this process: no threads, and no address space that Arrow reserves in advance.
    pa.set_memory_pool(pa.system_memory_pool())
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    try:
        work, folder = pickle.loads(channel.recv_bytes())
        with WorkerPool(1, getattr(work, "limits", Limits())) as pool:
            while True:
                channel.send(execute(pickle.loads(channel.recv_bytes()), work, folder, pool))
                if trim is not None:
                    trim(0)
    except (EOFError, BrokenPipeError, ConnectionError):
        return


# --- in the driver -----------------------------------------------------------------------------------------------


class _Scratch:
    """A folder for temporary files, locked while it is in use: those of killed runs are removed by the next."""

    def __init__(self) -> None:
        base = Path(tempfile.gettempdir())
        for left in base.glob(f"{_SCRATCH}*"):
            with contextlib.suppress(OSError):
                if time.time() - left.stat().st_mtime > 60 and (handle := _lock(left)) is not None:
                    shutil.rmtree(left, ignore_errors=True)
                    os.close(handle)
        self.path = Path(tempfile.mkdtemp(prefix=_SCRATCH))
        self.handle = _lock(self.path)

    def empty(self) -> None:
        for entry in self.path.iterdir():
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
        if self.handle is not None:
            os.close(self.handle)


def _lock(folder: Path) -> int | None:
    """A descriptor that holds the lock of a folder until it is closed; None when another process has it."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        return None
    except OSError:
        pass  # a file system without locks
    return handle


class _Slot:
    """One worker process and the unit that it works on; the process is replaced when it dies.

    A process for each slot, not an executor for all: when one is killed, only its own unit is lost and to blame.
    """

    def __init__(self, work: bytes) -> None:
        self.work = work
        self.scratch = _Scratch()
        self.unit: tuple[str, bytes] | None = None
        self.deaths = 0
        self._start()

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        path = [entry or os.getcwd() for entry in sys.path]
        call = f"serve({theirs.fileno()}, {os.getpid()}, {str(self.scratch.path)!r})"
        # Not multiprocessing's spawn: it imports the parent's main module, which in a Ray worker is Ray. A session of
        # its own: Ctrl-C is for the driver, which ends its workers.
        self.process = subprocess.Popen(
            [sys.executable, "-c", f"import sys; sys.path = {path!r}; from {__name__} import serve; {call}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=(theirs.fileno(),), start_new_session=True)
        theirs.close()
        self.channel = Connection(ours.detach())
        self._send(self.work)

    def _send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError, ConnectionError):  # its death is noticed when it is read from
            self.channel.send_bytes(data)

    def give(self, key: str, unit: bytes) -> None:
        self.unit, self.deaths = (key, unit), 0
        self._send(unit)

    def take(self) -> Result | None:
        """The result that lies ready; None when the worker died and the unit was given to a new one."""
        assert self.unit is not None
        key, unit = self.unit
        try:
            result: Result = self.channel.recv()
        except (EOFError, ConnectionError):
            code = self.process.wait()
            self._end()
            self.scratch.empty()
            self.deaths += 1
            self._start()
            if self.deaths < DEATHS:
                self._send(unit)
                return None
            how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            result = Result(key, failure=f"its worker died {DEATHS} times ({how})")
        self.unit = None
        return replace(result, deaths=result.deaths + self.deaths)

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.channel.close()

    def close(self) -> None:
        self._end()
        self.scratch.close()


class _Crew(Protocol):
    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def results(self, units: Iterator[Unit]) -> Iterator[Result]: ...


class _LocalCrew:
    """Processes of this machine."""

    def __init__(self, work: Work, folder: Path, jobs: int) -> None:
        self.work = pickle.dumps((work, folder))
        self.jobs = jobs
        self.slots: list[_Slot] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self.slots:
            slot.close()

    def results(self, units: Iterator[Unit]) -> Iterator[Result]:
        idle: list[_Slot] = []
        busy: dict[Any, _Slot] = {}
        more = True
        while True:
            while more and len(busy) < self.jobs:
                unit = next(units, None)
                if unit is None:
                    more = False
                    break
                if not idle:
                    self.slots.append(slot := _Slot(self.work))
                else:
                    slot = idle.pop()
                slot.give(unit.key, pickle.dumps(unit))
                busy[slot.channel] = slot
            if not busy:
                return
            for channel in wait(list(busy)):
                slot = busy.pop(channel)
                result = slot.take()
                if result is None:
                    busy[slot.channel] = slot
                else:
                    idle.append(slot)
                    yield result


class _RayCrew:
    """Workers of a Ray cluster. A Ray worker keeps one process of ours beside itself: it is full of threads, and the
    LLVM room forks.
    """

    def __init__(self, work: Work, folder: Path, jobs: int, address: str) -> None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            ray: Any = importlib.import_module("ray")
        except ImportError as error:
            raise InputError("Ray is missing; pip install 'llm-compiler[cluster]'") from error
        self.ray = ray
        if ray.is_initialized():
            raise InputError("this process is connected to a Ray cluster already; disconnect first")
        quiet = {"log_to_driver": False, "logging_level": "error"}
        if address == "local":
            ray.init(address="local", num_cpus=jobs, include_dashboard=False, _node_ip_address="127.0.0.1",
                     object_store_memory=_OBJECT_STORE, **quiet)
        else:
            try:
                if address != "auto":
                    # Ray itself would try for minutes.
                    host, _, port = address.rpartition(":")
                    socket.create_connection((host, int(port)), timeout=10).close()
                ray.init(address=address, **quiet)
            except (OSError, ValueError) as error:
                raise InputError(f"no Ray cluster answers at '{address}' ({str(error).splitlines()[0]}); give 'local', "
                                 "'auto' or HOST:PORT of the head node") from error
        self.window = 2 * (jobs if address == "local" else max(1, int(ray.cluster_resources().get("CPU", jobs))))
        self.work = ray.put(pickle.dumps((work, folder)))
        self.remote = ray.remote(num_cpus=1, max_retries=DEATHS - 1)(_remote)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.ray.shutdown()

    def results(self, units: Iterator[Unit]) -> Iterator[Result]:
        ray = self.ray
        path = [entry for entry in sys.path if entry]
        busy: dict[Any, str] = {}
        more = True
        while True:
            while more and len(busy) < self.window:
                unit = next(units, None)
                if unit is None:
                    more = False
                    break
                busy[self.remote.remote(path, self.work, unit.key, pickle.dumps(unit))] = unit.key
            if not busy:
                return
            for task in ray.wait(list(busy), num_returns=1)[0]:
                key = busy.pop(task)
                try:
                    result: Result = pickle.loads(ray.get(task))
                except ray.exceptions.RayError as error:
                    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
                    result = Result(key, failure=f"its Ray worker was lost {DEATHS} times ({reason})")
                yield result


_slots: dict[bytes, _Slot] = {}


def _remote(path: list[str], work: bytes, key: str, unit: bytes) -> bytes:
    """One unit in a Ray worker, by the process that it keeps."""
    sys.path += [entry for entry in path if entry not in sys.path]
    name = hashlib.sha256(work).digest()
    slot = _slots.get(name)
    if slot is None:
        for old in _slots.values():
            old.close()
        _slots.clear()
        slot = _slots[name] = _Slot(work)
    slot.give(key, unit)
    while True:
        result = slot.take()
        if result is not None:
            return pickle.dumps(result)


if TYPE_CHECKING:
    from llm_compiler.corpus.shards import ShardInfo
