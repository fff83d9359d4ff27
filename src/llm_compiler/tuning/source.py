"""What every command does with an input first: look into it, and decide how it is lowered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from llm_compiler.errors import InputError
from llm_compiler.llvm import frontend, library
from llm_compiler.llvm.job import Inspection, Limits, Status
from llm_compiler.llvm.target import X86_64, Lowering, Profile, architecture, normalise_triple
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import cache_folder


def check_source(path: Path) -> None:
    """Raises InputError for a file that cannot be read or is of no known kind."""
    frontend.check_readable(path)
    if path.suffix not in frontend.SOURCE_SUFFIXES:
        raise InputError(f"{path} has an unknown suffix; name a .c, .cc, .cpp, .cxx, .ll or .bc file")


def inspect(pool: WorkerPool, path: Path) -> Inspection:
    """What an IR or bitcode file holds. Raises InputError when LLVM refuses it or dies on it."""
    outcome = pool.inspect(path)
    if isinstance(outcome, Inspection):
        return outcome
    if outcome.status is Status.INVALID:
        raise InputError(outcome.message)
    raise InputError(f"{path}: LLVM {library.load().version_text} {outcome.status.replace('_', ' ')} while reading it "
                     f"({outcome.message}); the file is corrupted")


def lowering_for(inspection: Inspection, wanted: str, profile: Profile, clang: frontend.Clang,
                 cflags: Sequence[str]) -> Lowering:
    """How an input is lowered for the triple `wanted`. Raises InputError when its IR is for another architecture."""
    triple = inspection.triple or wanted
    if architecture(triple) != architecture(wanted):
        raise InputError(f"the IR is for {triple}; say --target {triple}")
    lowering = Lowering(triple, profile, inspection.relocation, inspection.code_model)
    if frontend.needs_external_lowering(lowering, library.load().targets):
        arguments = frontend.lowering_arguments("INPUT", "OUTPUT", profile, cflags=cflags)
        lowering = replace(lowering, external=(*clang.command, *clang.target_flags, *arguments))
    return lowering


@dataclass(frozen=True)
class Source:
    """An input made ready: the file, its unoptimised bitcode, and the clang and lowering for it."""

    path: Path
    bitcode: Path
    inspection: Inspection
    lowering: Lowering
    clang: frontend.Clang
    cflags: tuple[str, ...] = ()
    level: str = "-Oz"


def small_pool() -> WorkerPool:
    """A pool for the few jobs of one command; crashes go to the cache folder."""
    return WorkerPool(1, Limits(120.0), cache_folder() / "crashes")


def open_source(path: Path, folder: Path, pool: WorkerPool, *, target: str = X86_64, profile: Profile = Profile.DEPLOY,
                cflags: Sequence[str] = (), level: str = "-Oz", clang: str | None = None) -> Source:
    """Make a C, C++, IR or bitcode file ready; `folder` takes its bitcode. Raises LlmcError."""
    check_source(path)
    wanted = normalise_triple(target)
    program = frontend.clang_for(wanted, frontend.is_cxx(path), clang)
    bitcode = folder / "unoptimised.bc"
    if path.suffix in frontend.IR_SUFFIXES:
        inspection = inspect(pool, path)
        bitcode.write_bytes(inspection.bitcode)
    else:
        frontend.emit_unoptimised(program, path, cflags, bitcode, level)
        inspection = inspect(pool, bitcode)
    lowering = lowering_for(inspection, wanted, profile, program, cflags)
    return Source(path, bitcode, inspection, lowering, program, tuple(cflags), level)
