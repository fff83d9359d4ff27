"""What several test modules share: compiling sources, running jobs, counting processes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from llm_compiler.llvm import frontend, library
from llm_compiler.llvm.job import Inspection, Job, Measurement
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import X86_64, Lowering
from llm_compiler.llvm.worker import WorkerPool

HAS_PROC = Path("/proc/self/stat").exists()


def clang(source: str | Path, triple: str = X86_64) -> frontend.Clang:
    return frontend.clang_for(triple, frontend.is_cxx(Path(source)))


def write_source(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def unoptimised(folder: Path, name: str, text: str, cflags: Sequence[str] = (), triple: str = X86_64) -> Path:
    """The bitcode that clang -Oz hands to LLVM's passes."""
    source = write_source(folder, name, text)
    output = folder / f"{name}.bc"
    frontend.emit_unoptimised(clang(source, triple), source, cflags, output)
    return output


def candidate(passes: str = "", codegen: Sequence[str] = (), options: Sequence[str] = ()) -> Candidate:
    return Candidate(PassList.parse(passes), tuple(codegen), tuple(options))


def lowering_for(inspection: Inspection) -> Lowering:
    return Lowering(inspection.triple or X86_64, relocation=inspection.relocation, code_model=inspection.code_model)


def inspected(pool: WorkerPool, path: Path) -> Lowering:
    """The lowering of a bitcode file that is known to be sound."""
    found = pool.inspect(path)
    assert isinstance(found, Inspection), found
    return lowering_for(found)


def measured(pool: WorkerPool, job: Job) -> Measurement:
    outcome = pool.run(job)
    assert outcome.measurement is not None, outcome
    return outcome.measurement


def bitcode_of(text: str) -> bytes:
    with Context(library.load()) as context:
        return context.parse(text.encode()).bitcode()


def children(pid: int) -> set[int]:
    """Every descendant of a process, zombies included."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: set[int] = set()
    while new := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= new
    return found


def state(pid: int) -> str | None:
    """The letter of /proc/PID/stat (`R`, `S`, `Z` …); None when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return None


def eventually(condition: object, seconds: float = 10.0) -> bool:
    """Whether `condition()` comes true in time."""
    assert callable(condition)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(0.02)
    return bool(condition())


def output_of(program: Path) -> str:
    done = subprocess.run([program], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout


def link(objects: Sequence[Path], output: Path, *, cxx: bool = False) -> Path:
    """A program of objects; the run path is for the wheels' libc++, which lies outside the loader's."""
    driver = frontend.clang_for(X86_64, cxx)
    question = [*driver.command, "-print-file-name=libc++.so.1"]
    found = subprocess.run(question, capture_output=True, text=True, check=True)
    driver.run([*map(str, objects), f"-Wl,-rpath,{Path(found.stdout.strip()).resolve().parent}", "-o", str(output)])
    return output
