"""The engine's shards are the same whatever happens on the way: numbers of workers, kills, resumption, Ray."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine_work import INVALID, LISTS, MEASURED, KillOwnLlvm, Lower, Misbehave, units
from llm_compiler.corpus import engine
from llm_compiler.corpus.engine import DEATHS, Report, Unit, key_of, run
from llm_compiler.corpus.shards import Manifest, read_shards, shard_metadata
from llm_compiler.errors import InputError, StorageError
from support import HAS_PROC, children, eventually, state

COUNT = 6
TESTS = Path(__file__).parent

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="needs /proc")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder: leftovers would show."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    report = run(units(COUNT), Lower(), folder, jobs=1)
    assert (report.done, report.skipped, report.failed, report.lost_workers) == (COUNT, 0, 0, 0)
    assert report.counts == {MEASURED: COUNT * (len(LISTS) - 1), INVALID: COUNT}
    assert report.rows == COUNT * (len(LISTS) - 1) == len(list(read_shards(folder)))
    return contents(folder)


def workers(pid: int) -> set[int]:
    """The engine's worker processes among the descendants of a process, without LLVM's."""
    found = set()
    for child in children(pid):
        try:
            words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if any(b"corpus.engine import serve" in word for word in words):
            found.add(child)
    return found - {child for parent in found for child in children(parent)}


def test_two_jobs(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    before = children(os.getpid())
    seen: list[int] = []
    run(units(COUNT), Lower(), tmp_path, jobs=2, on_progress=lambda report: seen.append(report.units))
    assert contents(tmp_path) == undisturbed
    assert seen == list(range(1, COUNT + 1))
    assert children(os.getpid()) == before


def test_a_second_run_finds_all_done(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    first = run(units(4), Lower(), tmp_path, jobs=2)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    second = run(units(COUNT), Lower(), tmp_path, jobs=2)
    assert (second.done, second.skipped) == (2, 4)
    assert second.counts == {MEASURED: COUNT * (len(LISTS) - 1), INVALID: COUNT}
    assert all(path.stat().st_mtime_ns == at for path, at in times.items())
    assert {shard.name for shard in first.shards} < {shard.name for shard in second.shards}
    assert contents(tmp_path) == undisturbed


def test_a_killed_worker(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """kill -9 of one of two workers in the middle: its unit is done again, the other worker goes on."""
    killed: list[int] = []

    def kill(report: Report) -> None:
        if report.units == 2:
            killed.append(min(workers(os.getpid())))
            os.kill(killed[0], signal.SIGKILL)

    report = run(units(COUNT), Lower(pause=0.05), tmp_path, jobs=2, on_progress=kill)
    assert killed and report.failed == 0 and report.lost_workers <= 1
    assert contents(tmp_path) == undisturbed


def test_a_worker_killed_while_it_works(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """As above, with one job, so that the killed worker certainly had a unit."""
    killers: list[subprocess.Popen[bytes]] = []

    def kill(report: Report) -> None:
        if report.units == 2:
            line = f"import os, time; time.sleep(0.15); os.kill({min(workers(os.getpid()))}, 9)"
            killers.append(subprocess.Popen([sys.executable, "-c", line]))

    report = run(units(COUNT), Lower(pause=0.1), tmp_path, jobs=1, on_progress=kill)
    assert killers[0].wait() == 0
    assert (report.done, report.failed, report.lost_workers) == (COUNT, 0, 1)
    assert contents(tmp_path) == undisturbed


@pytest.mark.parametrize("times", [1, DEATHS])
def test_a_killed_llvm_worker_is_no_crash_of_llvm(tmp_path: Path, undisturbed: dict[str, bytes], times: int) -> None:
    """Killed from outside while it works: the unit is done again, and what became of the job is not recorded."""
    report = run(units(COUNT), KillOwnLlvm(times=times, log=str(tmp_path / "log")), tmp_path / "out", jobs=1)
    assert report.lost_workers == times
    if times < DEATHS:
        assert contents(tmp_path / "out").keys() == undisturbed.keys() and report.failed == 0
        assert report.counts == {MEASURED: COUNT * (len(LISTS) - 1), INVALID: COUNT}
    else:
        assert (report.done, report.failed) == (COUNT - 1, 1)
        assert list(report.failures.values()) == [f"its LLVM worker was killed {DEATHS} times"]


DRIVER = """
import sys
from pathlib import Path
from engine_work import Lower, units
from llm_compiler.corpus.engine import run
run(units(int(sys.argv[2])), Lower(pause=0.1), Path(sys.argv[1]), jobs=2)
print("finished")
"""


def driver(folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    return subprocess.Popen([sys.executable, "-c", DRIVER, str(folder), str(COUNT)], env=environment, text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_driver_is_resumed(tmp_path: Path, undisturbed: dict[str, bytes], how: signal.Signals) -> None:
    with driver(tmp_path) as process:
        assert eventually(lambda: len(list(tmp_path.glob("train-*.parquet"))) >= 2, 60)
        started = children(process.pid)
        assert len(started) >= 2
        process.send_signal(how)
        output, errors = process.communicate(timeout=30)
    assert process.returncode != 0 and "finished" not in output
    assert ("KeyboardInterrupt" in errors) == (how is signal.SIGINT)
    assert eventually(lambda: all(state(pid) in (None, "Z") for pid in started))
    whole = {name: data for name, data in contents(tmp_path).items() if not name.startswith(".")}
    assert 2 <= len(whole) < COUNT and whole.items() <= undisturbed.items()
    report = run(units(COUNT), Lower(), tmp_path, jobs=1)
    assert (report.done, report.skipped) == (COUNT - len(whole), len(whole))
    assert contents(tmp_path) == undisturbed


def test_ray(tmp_path: Path, undisturbed: dict[str, bytes]) -> None:
    """Two Ray workers; one of our processes beside them is killed in the middle, then a Ray worker itself."""
    pytest.importorskip("ray")
    before = children(os.getpid())
    killed: list[str] = []

    def kill(report: Report) -> None:
        if report.units in (1, 3):
            for pid in children(os.getpid()):
                try:
                    words = Path(f"/proc/{pid}/cmdline").read_text()
                except OSError:
                    continue
                wanted = "engine import serve" if report.units == 1 else "ray::_remote"
                if wanted in words:
                    killed.append(wanted)
                    os.kill(pid, signal.SIGKILL)
                    return

    report = run(units(COUNT), Lower(pause=0.1), tmp_path, jobs=2, ray="local", on_progress=kill)
    assert report.failures == {} and report.done + report.skipped == COUNT
    assert killed == ["engine import serve", "ray::_remote"]
    assert contents(tmp_path) == undisturbed
    assert eventually(lambda: not {pid for pid in children(os.getpid()) - before if state(pid) not in (None, "Z")})


def test_ray_without_a_cluster(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    with pytest.raises(InputError, match=r"no Ray cluster answers at '127\.0\.0\.1:1'"):
        run(units(1), Lower(), tmp_path, jobs=1, ray="127.0.0.1:1")


@pytest.mark.parametrize("keep", [0, 100, -1])
def test_a_truncated_shard_is_made_again(tmp_path: Path, undisturbed: dict[str, bytes], keep: int) -> None:
    report = run(units(COUNT), Lower(), tmp_path, jobs=1)
    Manifest.of(tmp_path, report.shards, task="t", parameters={}, counts={}).write(tmp_path)
    path = tmp_path / report.shards[2].name
    path.write_bytes(path.read_bytes()[:keep])
    assert len(Manifest.read(tmp_path).verify(tmp_path)) == 1
    again = run(units(COUNT), Lower(), tmp_path, jobs=1)
    assert (again.done, again.skipped) == (1, COUNT - 1)
    assert Manifest.read(tmp_path).verify(tmp_path) == []
    (tmp_path / "manifest.json").unlink()
    assert contents(tmp_path) == undisturbed


def test_failures_are_named_and_the_run_goes_on(tmp_path: Path) -> None:
    folder, log = tmp_path / "out", tmp_path / "log"
    payloads = [1, "refuse", 2, "fault", "die", 3]
    report = run([Unit(str(payload), payload) for payload in payloads], Misbehave(str(log)), folder, jobs=2)
    assert (report.done, report.failed, report.lost_workers) == (3, 3, DEATHS)
    assert report.failures["refuse"] == "the input is refused"
    assert report.failures["fault"].startswith("KeyError: 'column' (engine_work.py, line ")
    assert report.failures["die"] == f"its worker died {DEATHS} times (SIGKILL)"
    assert sorted(contents(folder)) == ["1.parquet", "2.parquet", "3.parquet"]
    assert report.counts == {"rows": 3} and report.rows == 3
    assert [shard.name for shard in report.shards] == ["1.parquet", "2.parquet", "3.parquet"]
    attempts = log.read_text().split()
    assert attempts.count("die") == DEATHS and all(attempts.count(str(n)) == 1 for n in payloads if n != "die")
    # What failed is tried again by the next run, what is done is not.
    run([Unit(str(payload), payload) for payload in payloads[:4]], Misbehave(str(log)), folder, jobs=1)
    assert log.read_text().split()[len(attempts):] == ["refuse", "fault"]


LIMITED = """
import resource, sys
from pathlib import Path
from engine_work import Misbehave
from llm_compiler.corpus.engine import Unit, run
from llm_compiler.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
payloads = [1, "large", 2] if sys.argv[2] == "once" else ["large"] * 99
try:
    report = run([Unit(f"{n}", payload) for n, payload in enumerate(payloads)], Misbehave(), Path(sys.argv[1]), jobs=1)
    print(report.done, report.failed, report.failures["1"])
except StorageError as error:
    print("stopped:", error)
"""


@pytest.mark.parametrize("how", ["once", "always"])
def test_a_full_disk(tmp_path: Path, how: str) -> None:
    """One shard that does not fit is a failed unit; a disk that stays full ends the run, in one sentence."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    done = subprocess.run([sys.executable, "-c", LIMITED, str(tmp_path), how], env=environment, text=True,
                          capture_output=True, timeout=120, check=True)
    if how == "once":
        assert done.stdout.startswith(f"2 1 cannot write {tmp_path}/1.parquet: ")
        assert sorted(contents(tmp_path)) == ["0.parquet", "2.parquet"]
    else:
        assert done.stdout.startswith("stopped: cannot write") and "free some space" in done.stdout
        assert contents(tmp_path) == {}


def test_units_are_taken_as_they_are_needed(tmp_path: Path) -> None:
    """A window is in flight, however many units there are."""
    taken = 0

    def source() -> Iterator[Unit]:
        nonlocal taken
        for n in range(10**9):
            taken += 1
            yield Unit(str(n), n)

    def stop(report: Report) -> None:
        assert taken - report.units <= 2
        if report.units == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(source(), Misbehave(), tmp_path, jobs=2, on_progress=stop)
    assert len(list(tmp_path.glob("*.parquet"))) >= 20


def test_one_run_at_a_time(tmp_path: Path) -> None:
    handle = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="another run is writing"):
            run(units(1), Lower(), tmp_path, jobs=1)
    finally:
        os.close(handle)
    assert run([], Lower(), tmp_path, jobs=1).units == 0


def test_scratch_folders_of_killed_runs_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for name in ("old", "new", "busy"):
        (tmp_path / f"llmc-engine-{name}").mkdir()
        (tmp_path / f"llmc-engine-{name}" / "file").touch()
        if name != "new":
            os.utime(tmp_path / f"llmc-engine-{name}", (time.time() - 1000,) * 2)
    handle = os.open(tmp_path / "llmc-engine-busy", os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        run([Unit("1", 1)], Misbehave(), tmp_path / "out", jobs=1)
    finally:
        os.close(handle)
    assert {path.name for path in tmp_path.iterdir()} == {"llmc-engine-new", "llmc-engine-busy", "out"}


def test_keys() -> None:
    assert key_of("a", 1, {"x": 1, "y": 2}) == key_of("a", 1, {"y": 2, "x": 1})
    assert len({key_of("a", 1), key_of("a", 2), key_of("a1"), key_of("a", "1"), key_of(["a", 1])}) == 5
    assert key_of("a", split="test") == f"test-{key_of('a')}"


def test_a_work_that_workers_cannot_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Misbehave, "__module__", "__main__")
    with pytest.raises(ValueError, match="Misbehave must be in a module"):
        run([], Misbehave(), tmp_path, jobs=1)


def test_shards_tell_their_unit_and_counts(tmp_path: Path) -> None:
    run(units(1), Lower(), tmp_path, jobs=1)
    told = shard_metadata(tmp_path / f"{units(1)[0].key}.parquet")
    assert told["unit"] == units(1)[0].key and told["work"] == "Lower"
    assert told["counts"] == {MEASURED: len(LISTS) - 1, INVALID: 1}


def test_a_full_disk_before_the_first_unit(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write to"):
        run([], Lower(), tmp_path / "file" / "out", jobs=1)
    assert engine.DEATHS == 3
