"""Candidates of one input run beside clang's own code before they are handed out."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.errors import LlmcError
from llm_compiler.llvm.module import digest
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.paths import cache_folder, write_atomically
from llm_compiler.validation.differential import Differential, Level, Verification, open_differential

_WORST = 120.0  # seconds that a full verification of one candidate may take
# Seconds to make a module ready, and for each byte of its bitcode: medians of 14 files of as many Debian packages.
_OPENING, _OPENING_A_BYTE = 0.12, 16e-6


class Verifier:
    """Opens differential execution when the first candidate comes, and keeps what it found out for the next.

    folder: for its files, removed by the caller. Use it as a context manager.
    """

    def __init__(self, pool: WorkerPool, bitcode: Path, lowering: Lowering, baseline: bytes, folder: Path,
                 level: Level) -> None:
        self._pool = pool
        self._bitcode = bitcode
        self._lowering = lowering
        self._baseline = baseline
        self._folder = folder
        self._level = level
        self._differential: Differential | None = None
        self._refused = ""
        self.seconds = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._differential is not None:
            self._differential.close()

    def check(self, candidate: Candidate, object_: bytes, basis: str, seconds: float | None) -> Verification:
        """What running the candidate's object showed; `seconds` bounds it. Wrong candidates go to the cache folder."""
        started = time.monotonic()
        verification = self._check(object_, seconds)
        verification = replace(verification, level=str(self._level), basis=basis, seconds=time.monotonic() - started)
        self.seconds += verification.seconds
        if verification.wrong is not None:
            self._keep(candidate, verification)
        return verification

    def _check(self, object_: bytes, seconds: float | None) -> Verification:
        if self._level is Level.OFF:
            return Verification(note="not executed (--verify off)")
        if self._level is Level.FULL:
            seconds = _WORST
        deadline = None if seconds is None else time.monotonic() + seconds
        if self._differential is None and not self._refused:
            needed = _OPENING + _OPENING_A_BYTE * self._bitcode.stat().st_size
            if self._level is Level.QUICK and seconds is not None and seconds < needed:
                return Verification(note=f"not executed: making the module ready takes some {needed:.1f} s, and the "
                                         f"budget leaves {max(seconds, 0.0):.1f} s; raise --budget, or --verify full")
            try:
                self._differential = open_differential(self._pool, self._bitcode, self._lowering, self._baseline,
                                                       self._folder, self._level.effort)
            except LlmcError as error:  # no linker or C library, too: tuning goes on, and the result says so
                self._refused = str(error)
        if self._differential is None:
            return Verification(note=f"not executed: {self._refused}")
        return self._differential.check(object_, deadline, stop=True)

    def _keep(self, candidate: Candidate, verification: Verification) -> None:
        """The input, the candidate and the counterexample, for a bug report."""
        with contextlib.suppress(OSError):
            data = self._bitcode.read_bytes()
            folder = cache_folder() / "wrong" / f"{digest(data)[:8]}-{candidate.digest}"
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / "input.bc", data)
            record = {"pass_list": candidate.passes.text, "pass_options": list(candidate.pass_options),
                      "codegen_options": list(candidate.codegen_options), **verification.as_record()}
            write_atomically(folder / "verdict.json", json.dumps(record, indent=1).encode())
