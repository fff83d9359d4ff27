"""Workers: every fate of an evaluation is a value, nothing leaks between jobs, nothing survives the pool."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_compiler.llvm import registry
from llm_compiler.llvm.job import Inspection, Job, Limits, Outcome, Status, segments
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.worker import WorkerPool, reproduction
from llm_compiler.tuning import data
from samples import EXCEPTIONS, IR, OPTNONE_IR, PROGRAMS
from support import HAS_PROC, candidate, children, eventually, inspected, measured, state, unoptimised

ENDLESS = "repeat<1000000000>(function(instcombine))"

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="needs /proc")


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.ll"
    path.write_text(IR)
    return path


@pytest.fixture
def crashes(tmp_path: Path) -> Path:
    return tmp_path / "crashes"


@pytest.fixture
def pool(crashes: Path) -> Iterator[WorkerPool]:
    with WorkerPool(1, Limits(20), crashes) as pool:
        yield pool


def job(path: Path, passes: str = "default<Oz>", **options: object) -> Job:
    return Job(path, candidate(passes), Lowering(), **options)  # type: ignore[arg-type]


def still_works(pool: WorkerPool, path: Path) -> None:
    assert measured(pool, job(path)).size is not None


# --- outcomes ---


def test_a_measurement(pool: WorkerPool, tiny: Path) -> None:
    outcome = pool.run(job(tiny, count=True, verify=True, keep_bitcode=True, keep_object=True))
    assert outcome.status is Status.MEASURED and outcome.crash_folder is None and not outcome.message
    measurement = outcome.measurement
    assert measurement is not None and measurement.size is not None
    assert measurement.instructions == 2 and measurement.size.total > 0
    assert measurement.bitcode is not None and measurement.bitcode[:2] == b"BC"
    assert measurement.object is not None and measurement.object[:4] == b"\x7fELF"
    assembly = measured(pool, job(tiny, assembly=True))
    assert assembly.object is not None and b"scale:" in assembly.object
    passes_only = measured(pool, job(tiny, lower=False))
    assert passes_only.size is None and passes_only.ir_hash == measurement.ir_hash


@pytest.mark.parametrize(("passes", "codegen", "options", "message"), [
    ("no-such-pass", (), (), "unknown pass name 'no-such-pass'"),
    ("function(globaldce)", (), (), "unknown function pass 'globaldce'"),
    ("gvn<foo>", (), (), "invalid GVN pass parameter 'foo'"),
    ("gvn", ("-no-such-option",), (), "Unknown command line argument '-no-such-option'"),
    ("gvn", (), ("-no-such-option",), "Unknown command line argument '-no-such-option'"),
    ("gvn", ("-min-jump-table-entries=many",), (), "'many' value invalid for uint argument"),
    ("gvn", (), ("-inline-threshold=low",), "'low' value invalid for integer argument"),
    ("gvn", ("-pre-RA-sched=nothing",), (), "for the --pre-RA-sched option"),
    ("gvn", ("not-an-option",), (), ""),
])
def test_invalid(pool: WorkerPool, tiny: Path, crashes: Path, passes: str, codegen: tuple[str, ...],
                 options: tuple[str, ...], message: str) -> None:
    outcome = pool.run(Job(tiny, candidate(passes, codegen, options), Lowering()))
    assert outcome.status is Status.INVALID and outcome.measurement is None
    assert message in outcome.message
    assert not crashes.exists() and pool.lost_workers == 0
    still_works(pool, tiny)


def test_what_one_job_printed_is_not_the_next_ones(pool: WorkerPool, tiny: Path) -> None:
    noisy = Job(tiny, candidate("function(print)"), Lowering())
    assert pool.run(noisy).status is Status.MEASURED
    crash = pool.run(job(tiny, "trigger-crash"))
    assert crash.status is Status.CRASHED and "}" not in crash.message and crash.crash_folder is not None
    assert "define" not in (crash.crash_folder / "stderr.txt").read_text()
    assert pool.run(noisy).status is Status.MEASURED
    refused = pool.run(Job(tiny, candidate("gvn", ["-no-such-option"]), Lowering()))
    assert refused.status is Status.INVALID and refused.message.startswith("llmc: Unknown command line argument")


def test_what_other_libraries_left_to_be_done_at_exit_does_not_hold_up_a_refused_option(tiny: Path) -> None:
    script = f"""
import ctypes, os
from pathlib import Path
from llm_compiler.llvm.job import Job, Limits
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.worker import WorkerPool
libc = ctypes.CDLL(None)
libc.on_exit(libc.pause, None)
with WorkerPool(1, Limits(20)) as pool:
    job = Job(Path({str(tiny)!r}), Candidate(PassList.parse("gvn"), ("-no-such-option",)), Lowering())
    print(pool.run(job).status, flush=True)
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout == "invalid\n", done.stderr


def test_missing_input(pool: WorkerPool, tmp_path: Path, tiny: Path) -> None:
    for given in (job(tmp_path / "absent.bc"), tmp_path / "absent.bc", tmp_path):
        outcome = pool.run(given)
        assert outcome.status is Status.INVALID and outcome.message
    still_works(pool, tiny)


def test_a_crash_is_kept_with_its_reproduction(pool: WorkerPool, tiny: Path, crashes: Path) -> None:
    crash = Job(tiny, candidate("default<Oz>,trigger-crash", ["-disable-lsr"], ["-inline-threshold=0"]), Lowering())
    outcome = pool.run(crash)
    assert outcome.status is Status.CRASHED and "SIGABRT" in outcome.message
    assert pool.lost_workers == 1
    folder = outcome.crash_folder
    assert folder is not None and folder.parent == crashes and folder.name.startswith("crashed-")
    assert (folder / "input.bc").read_bytes() == tiny.read_bytes()
    line, = (folder / "reproduce.sh").read_text().splitlines()
    assert line == reproduction(crash, folder / "input.bc")
    assert shlex.split(line) == [
        "llmc", "opt", "--passes=default<Oz>,trigger-crash", "--profile=deploy", "--pass-option=-inline-threshold=0",
        "--codegen-option=-disable-lsr", str(folder / "input.bc"), "-o", "/dev/null"]
    assert "SIGABRT" in (folder / "stderr.txt").read_text()
    still_works(pool, tiny)
    assert pool.run(crash).crash_folder == folder  # the same crash is kept once
    assert len(list(crashes.iterdir())) == 1


def test_a_crash_folder_that_cannot_be_written_changes_nothing(tmp_path: Path, tiny: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    with WorkerPool(1, Limits(20), in_the_way / "crashes") as pool:
        outcome = pool.run(job(tiny, "trigger-crash"))
        assert outcome.status is Status.CRASHED and outcome.crash_folder is None
        still_works(pool, tiny)


def test_an_endless_pass_times_out(tiny: Path, crashes: Path) -> None:
    with WorkerPool(1, Limits(0.3), crashes) as pool:
        started = time.monotonic()
        outcome = pool.run(job(tiny, ENDLESS))
        assert outcome.status is Status.TIMED_OUT and outcome.message == "more than 0.3 s"
        assert time.monotonic() - started < 3
        assert outcome.crash_folder is not None and outcome.crash_folder.name.startswith("timed_out-")
    with WorkerPool(1, Limits(20), crashes) as pool:
        still_works(pool, tiny)


def test_a_slow_job_delays_no_other(tiny: Path) -> None:
    with WorkerPool(2, Limits(1.5)) as pool:
        slow = pool.submit(job(tiny, ENDLESS))
        quick = {pool.submit(job(tiny, f"repeat<{count}>(function(gvn))")) for count in range(1, 5)}
        seen: list[int] = []
        while pool.unfinished:
            for ticket, outcome in pool.wait():
                seen.append(ticket)
                assert outcome.status is (Status.TIMED_OUT if ticket == slow else Status.MEASURED)
        assert set(seen[:4]) == quick and seen[4] == slow


def test_memory_is_limited(tmp_path: Path, tiny: Path) -> None:
    big = tmp_path / "big.ll"
    body = "".join(f"  %v{i} = add i32 %v{i - 1}, {i}\n" for i in range(1, 400_000))
    big.write_text(f"define i32 @f(i32 %v0) {{\n{body}  ret i32 %v399999\n}}\n")
    with WorkerPool(1, Limits(30, 100 << 20)) as pool:
        outcome = pool.inspect(big)
        assert isinstance(outcome, Outcome) and outcome.status is Status.OUT_OF_MEMORY, outcome
        assert "MB" in outcome.message
        still_works(pool, tiny)


def test_a_worker_that_is_killed_from_outside(pool: WorkerPool, tiny: Path) -> None:
    pool.submit(job(tiny, ENDLESS))
    worker = pool._workers[0].pid
    time.sleep(0.1)
    os.kill(worker, signal.SIGKILL)
    (_, outcome), = pool.wait()
    assert outcome.status is Status.CRASHED and "SIGKILL" in outcome.message
    still_works(pool, tiny)
    assert pool._workers[0].pid != worker and state(worker) is None


def test_an_idle_worker_that_is_killed_costs_no_job(pool: WorkerPool, tiny: Path) -> None:
    still_works(pool, tiny)
    worker = pool._workers[0].pid
    os.kill(worker, signal.SIGKILL)
    assert eventually(lambda: state(worker) == "Z")
    still_works(pool, tiny)
    assert pool.lost_workers == 0


def test_ctrl_c_is_the_parents_business(pool: WorkerPool, tiny: Path) -> None:
    still_works(pool, tiny)
    worker = pool._workers[0].pid
    os.kill(worker, signal.SIGINT)
    still_works(pool, tiny)
    assert pool._workers[0].pid == worker and os.getsid(worker) == worker


# --- inspection ---


def test_inspection(pool: WorkerPool, tmp_path: Path) -> None:
    path = tmp_path / "o.ll"
    path.write_text(OPTNONE_IR + "define void @free() {\n  ret void\n}\n")
    found = pool.inspect(path)
    assert isinstance(found, Inspection)
    assert (found.functions, found.optnone, found.relocation) == (2, ("frozen",), 1)
    assert found.triple == "x86_64-unknown-linux-gnu"
    again = tmp_path / "o.bc"
    again.write_bytes(found.bitcode)
    assert pool.inspect(again) == pool.inspect(again)


@pytest.mark.parametrize(("content", "message"), [
    (b"not IR at all", "o.bc: LLVM .* cannot read it: .*expected top-level entity"),
    (b"BC\xc0\xde1234", "o.bc: LLVM .* cannot read it"),
    (b"define i32 @f() {\n  %a = add i32 %b, 1\n  %b = add i32 1, 1\n  ret i32 %a\n}\n",
     "o.bc: LLVM's verifier refuses it: Instruction does not dominate all uses"),
])
def test_inspection_of_bad_input(pool: WorkerPool, tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "o.bc"
    path.write_bytes(content)
    found = pool.inspect(path)
    assert isinstance(found, Outcome) and found.status is Status.INVALID
    with pytest.raises(ValueError, match=message):
        raise ValueError(found.message)
    assert "\n" not in found.message


def test_code_that_passes_break_is_never_measured(tmp_path: Path, clang: str) -> None:
    path = unoptimised(tmp_path, "exceptions.cc", EXCEPTIONS)
    said = set()
    for _ in range(3):  # what is written of it differs from process to process
        with WorkerPool(1, crash_folder=tmp_path) as pool:
            for options in ({"verify": True}, {}, {"lower": False}, {"whole": True}, {"keep_below": 1 << 30}):
                outcome = pool.run(job(path, "default<Oz>,function(structurizecfg)", **options))
                said.add((outcome.status, outcome.message))
    # It holds values that were freed: now and then even the verifier crashes over them.
    said.discard((Status.CRASHED, "SIGSEGV"))
    assert all(status is Status.INVALID and message.startswith("the verifier refuses the result: function '")
               for status, message in said), said


# --- the pool ---


def test_pool_arguments_and_closing(tiny: Path) -> None:
    with pytest.raises(ValueError, match="at least one job"):
        WorkerPool(0)
    pool = WorkerPool(2)
    assert pool.wait() == [] and pool.idle == 2
    pool.close()
    pool.close()
    with pytest.raises(ValueError, match="the pool is closed"):
        pool.submit(job(tiny))


def test_cancel_forgets_everything_and_goes_on(tiny: Path) -> None:
    with WorkerPool(2, Limits(30)) as pool:
        for _ in range(5):
            pool.submit(job(tiny, ENDLESS))
        assert pool.unfinished == 5
        pool.cancel()
        assert pool.unfinished == 0 and pool.wait() == []
        still_works(pool, tiny)


def test_wait_gives_up_in_time(tiny: Path) -> None:
    with WorkerPool(1, Limits(30)) as pool:
        pool.submit(job(tiny, ENDLESS))
        started = time.monotonic()
        assert pool.wait(0.1) == []
        assert 0.05 < time.monotonic() - started < 2


def test_nothing_is_left_after_close(tiny: Path, tmp_path: Path) -> None:
    before = children(os.getpid())
    open_before = len(os.listdir("/proc/self/fd"))
    with WorkerPool(3, Limits(1), tmp_path / "crashes") as pool:
        for passes in ("default<Oz>", "trigger-crash", ENDLESS, "no-such-pass", ENDLESS, "trigger-crash", ENDLESS):
            pool.submit(job(tiny, passes))
        pool.wait()
        pool.wait()
        assert len(children(os.getpid()) - before) <= 3
    assert children(os.getpid()) == before
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_what_a_worker_started_dies_with_it(tiny: Path, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    command = ("/bin/sh", "-c", f"sleep 300 & echo $! > {note}.new; mv {note}.new {note}; wait")
    with WorkerPool(1, Limits(0.8)) as pool:
        outcome = pool.run(Job(tiny, candidate("gvn"), Lowering(external=command)))
        assert outcome.status is Status.TIMED_OUT
        sleeper = int(note.read_text())
        assert eventually(lambda: state(sleeper) in (None, "Z"))


PARENT = """
import sys, time
from pathlib import Path
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.job import Job
from llm_compiler.llvm.worker import WorkerPool
pool = WorkerPool(3)
source = Path(sys.argv[1])
for count in range(2):
    pool.submit(Job(source, Candidate(PassList.parse("repeat<1000000000>(function(instcombine))")), Lowering()))
pool.submit(Job(source, Candidate(PassList.parse("gvn")), Lowering(external=("sleep", "300"))))
time.sleep(0.5)
print(*[worker.pid for worker in pool._workers], flush=True)
time.sleep(60)
"""


def test_workers_die_with_their_parent(tiny: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, str(tiny)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        workers = {int(word) for word in parent.stdout.readline().split()}
        started = children(parent.pid)
        try:
            assert len(workers) == 3 and workers < started
            parent.kill()
            parent.wait()
            assert eventually(lambda: all(state(pid) in (None, "Z") for pid in started)), list(map(state, started))
        finally:
            for pid in started:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


# --- purity: a result depends on input and candidate alone ---


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Between them: a switch, loops, floats and calls."""
    folder = tmp_path_factory.mktemp("modules")
    return [unoptimised(folder, name, PROGRAMS[name]) for name in ("interpreter.c", "floats.c")]


def test_options_do_not_leak_into_the_next_job(modules: list[Path]) -> None:
    # `whole` and a count that no other job has: nothing comes from a worker's memory of earlier jobs.
    oz = oz_pipeline(registry.load()).text
    count = 0

    def plain(pool: WorkerPool, path: Path) -> tuple[str, str]:
        nonlocal count
        count += 1
        fresh = Job(path, candidate(f"repeat<{count}>(verify),{oz}"), lowering, whole=True, keep_object=True)
        found = measured(pool, fresh)
        return found.ir_hash, found.object_hash

    groups = [(group["kind"], option) for group in data._options() for option in group["options"]]
    changed = set()
    with WorkerPool(1) as pool:
        lowering = inspected(pool, modules[0])
        assert inspected(pool, modules[1]) == lowering
        before = [plain(pool, path) for path in modules]
        worker = pool._workers[0].pid
        for number, (kind, option) in enumerate(groups):
            options = {"codegen" if kind == "codegen" else "options": [option]}
            tried = Job(modules[number % 2], candidate(oz, **options), lowering, whole=True, keep_object=True)
            if measured(pool, tried).object_hash != before[number % 2][1]:
                changed.add(option)
            assert plain(pool, modules[number % 2]) == before[number % 2], option
        assert [plain(pool, path) for path in modules] == before
        assert pool._workers[0].pid == worker
    assert len(changed) > 8  # the options were in force


def test_results_do_not_depend_on_the_number_of_workers(modules: list[Path]) -> None:
    oz = oz_pipeline(registry.load()).text
    candidates = [
        candidate(), candidate(oz), candidate(oz, ["-disable-lsr"]), candidate("default<Oz>,default<Oz>"),
        candidate(oz, (), ["-inline-threshold=0"]), candidate("default<O1>,function(gvn)"), candidate("no-such-pass"),
        candidate("function(sroa),cgscc(inline)"), candidate(f"{oz},function(loop-unroll)"), candidate(oz),
    ]
    results = []
    for jobs in (1, 3):
        with WorkerPool(jobs) as pool:
            lowerings = [inspected(pool, path) for path in modules]
            tickets = [pool.submit(Job(path, each, lowering, count=True))
                       for each in candidates for path, lowering in zip(modules, lowerings, strict=True)]
            found: dict[int, Outcome] = {}
            while pool.unfinished:
                found.update(pool.wait())
        outcomes = [found[ticket] for ticket in tickets]
        results.append([(outcome.status, outcome.message,
                         outcome.measurement and (outcome.measurement.size, outcome.measurement.ir_hash,
                                                  outcome.measurement.object_hash, outcome.measurement.instructions))
                        for outcome in outcomes])
    assert results[0] == results[1]
    assert sum(status is Status.MEASURED for status, *_ in results[0]) == 18


def test_cut_points_change_no_pass(modules: list[Path]) -> None:
    oz = oz_pipeline(registry.load())
    parts = segments(oz)
    assert len(parts) > 2
    assert PassList(tuple(item for part in parts for item in part)) == oz
    with WorkerPool(1) as pool:
        for path in modules:
            lowering = inspected(pool, path)
            cut = measured(pool, Job(path, candidate(oz.text), lowering))
            whole = measured(pool, Job(path, candidate(oz.text), lowering, whole=True))
            assert cut.size == whole.size


@pytest.mark.parametrize(("passes", "wanted"), [
    ("", [""]),
    ("gvn,sroa", ["gvn,sroa"]),
    ("gvn,default<Oz>,sroa", ["gvn", "default<Oz>", "sroa"]),
    ("gvn,require<globals-aa>,function(invalidate<aa>),cgscc(inline),sroa",
     ["gvn", "require<globals-aa>,function(invalidate<aa>),cgscc(inline)", "sroa"]),
])
def test_segments(passes: str, wanted: list[str]) -> None:
    assert [",".join(map(str, part)) for part in segments(PassList.parse(passes))] == wanted
