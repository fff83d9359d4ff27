"""The versions of a module that differential execution compares, made ready from its unoptimised bitcode."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from llm_compiler.llvm import library
from llm_compiler.llvm.job import Job, Reading
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.pipeline import Candidate, PassList
from llm_compiler.llvm.target import Lowering, Profile, architecture
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.validation.differential.driver import make_driver
from llm_compiler.validation.differential.execution import Differential
from llm_compiler.validation.differential.exploring import Effort
from llm_compiler.validation.differential.program import ProgramError
from llm_compiler.validation.differential.promises import check_promises
from llm_compiler.validation.interface import Interface, read_interface

# Counters of every block, in the order of functions, with the table that says which function they are of; then checks
# that end the run at what is undefined in C: overflow, bad shifts, accesses outside variables. They need sroa.
_CHECKED = Candidate(PassList.parse("function(sroa),sancov-module,function(bounds-checking),poison-checking"), (), (
    "-sanitizer-coverage-level=2", "-sanitizer-coverage-inline-8bit-counters", "-sanitizer-coverage-pc-table",
    "-sanitizer-coverage-prune-blocks=false", "-sanitizer-coverage-trace-compares",
    "-sanitizer-coverage-trace-loads", "-sanitizer-coverage-trace-geps", "-poison-checking-function-local"))

# What clang's users run every day, and the plainest passes one by one.
_WITNESSES = ("default<O1>", "default<O3>", "function(mem2reg)", "function(early-cse,dse)")


def open_differential(pool: WorkerPool, bitcode: Path, lowering: Lowering, reference: bytes, folder: Path,
                      effort: Effort = Effort(), *, seed: int = 0) -> Differential:
    """Make a module ready. bitcode: unoptimised; reference: its -Oz object; folder: for files, the caller's to remove.

    Raises ProgramError, with a sentence, when nothing of it can be run here.
    """
    if architecture(lowering.triple) != os.uname().machine or architecture(lowering.triple) != "x86_64":
        raise ProgramError(f"code for {architecture(lowering.triple)} cannot be run on this machine")
    if lowering.external:
        raise ProgramError("this libLLVM has no back end for the target")
    interface = _interface(pool, bitcode)
    if interface.inline_assembly:
        raise ProgramError("the module holds assembly outside functions")
    driver = make_driver(interface)
    text = folder / "driver.ll"
    text.write_text(driver.text)
    static = Lowering(lowering.triple, Profile.PAPER, relocation=1)
    lowered = Job(text, Candidate(PassList(())), static, keep_object=True)
    callers = _object(pool, lowered, "the callers of its functions")
    inline = any(function.linkage == "available_externally" for function in interface.functions)
    if inline:
        bitcode = _rewritten(pool, bitcode, emit_inline_copies, folder / "inline.bc")
    checked = instrumented_object(pool, _rewritten(pool, bitcode, check_promises, folder / "checked.bc"), lowering)
    plain = instrumented_object(pool, bitcode, lowering, Candidate(PassList(())))

    def witnesses() -> list[bytes]:
        jobs = (Job(bitcode, Candidate(PassList.parse(text)), lowering, keep_object=True) for text in _WITNESSES)
        measured = (pool.run(job).measurement for job in jobs)
        return [found.object for found in measured if found is not None and found.object is not None]

    return Differential(folder, driver, callers, checked, plain, reference, effort, seed=seed, spare=inline,
                        witnesses=witnesses)


def _rewritten(pool: WorkerPool, bitcode: Path, rewrite: Callable[[bytes], bytes], output: Path) -> Path:
    outcome = pool.run(Reading(bitcode, rewrite))
    if not isinstance(outcome.value, bytes):
        raise ProgramError(f"the module cannot be read: {outcome.message}")
    output.write_bytes(outcome.value)
    return output


def emit_inline_copies(bitcode: bytes) -> bytes:
    """The module with definitions of its own for C's `inline` functions. Runs in a worker."""
    with Context(library.load()) as context:
        module = context.parse(bitcode)
        module.emit_inline_copies()
        return module.bitcode()


def instrumented_object(pool: WorkerPool, bitcode: Path, lowering: Lowering, passes: Candidate = _CHECKED) -> bytes:
    """A module lowered without optimisation, by default with checks and counters of its blocks. Raises ProgramError."""
    job = Job(bitcode, passes, replace(lowering, profile=Profile.PAPER), keep_object=True)
    return _object(pool, job, "the unoptimised code")


def _object(pool: WorkerPool, job: Job, what: str) -> bytes:
    outcome = pool.run(job)
    if outcome.measurement is None or outcome.measurement.object is None:
        raise ProgramError(f"{what} cannot be lowered: {outcome.message}")
    return outcome.measurement.object


def _interface(pool: WorkerPool, bitcode: Path) -> Interface:
    outcome = pool.run(Reading(bitcode, read_interface))
    if not isinstance(outcome.value, Interface):
        raise ProgramError(f"the module's functions could not be read: {outcome.message}")
    return outcome.value
