"""A second opinion on candidates that a program's own tests pass: its functions run beside those of -Oz."""

from __future__ import annotations

import tempfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from llm_compiler.llvm import registry
from llm_compiler.llvm.job import Inspection, Job, Limits
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.llvm.target import Lowering
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.validation.differential import Differential, Effort, ProgramError, open_differential
from llm_compiler.validation.passlisteval import Verdict

_KEPT = 8  # programs whose inputs are held


class DifferentialOpinion:
    """Call it with a program's name and a candidate. A context manager: it holds a worker and running programs.

    bitcode: where the unoptimised bitcode of a program is.
    """

    def __init__(self, bitcode: Callable[[str], Path], effort: Effort = Effort()) -> None:
        self._bitcode = bitcode
        self._effort = effort
        self._pool = WorkerPool(1, Limits(60.0))
        self._oz = Candidate(oz_pipeline(registry.load()))
        self._temporary = tempfile.TemporaryDirectory(prefix="llmc-opinion-", ignore_cleanup_errors=True)
        self._open: OrderedDict[str, tuple[Differential | None, Lowering]] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        for differential, _lowering in self._open.values():
            if differential is not None:
                differential.close()
        self._pool.close()
        self._temporary.cleanup()

    def __call__(self, program: str, candidate: Candidate) -> tuple[Verdict, str]:
        """WRONG with the counterexample, else PASSED: also where nothing could be run."""
        differential, lowering = self._of(program)
        object_ = self._object(program, candidate, lowering) if differential is not None else None
        if differential is None or object_ is None:
            return Verdict.PASSED, ""
        wrong = differential.check(object_, stop=True).wrong
        if wrong is None or wrong.counterexample is None:
            return Verdict.PASSED, ""
        example = wrong.counterexample
        return Verdict.WRONG, f"{example.call}: {example.difference} (input {example.replay})"

    def _of(self, program: str) -> tuple[Differential | None, Lowering]:
        if program not in self._open:
            while len(self._open) >= _KEPT:
                _, (oldest, _lowering) = self._open.popitem(last=False)
                if oldest is not None:
                    oldest.close()
            self._open[program] = self._opened(program)
        self._open.move_to_end(program)
        return self._open[program]

    def _opened(self, program: str) -> tuple[Differential | None, Lowering]:
        found = self._pool.inspect(self._bitcode(program))
        if not isinstance(found, Inspection):
            return None, Lowering()
        lowering = Lowering(found.triple, relocation=found.relocation, code_model=found.code_model)
        reference = self._object(program, self._oz, lowering)
        if reference is None:
            return None, lowering
        folder = Path(tempfile.mkdtemp(dir=self._temporary.name))
        try:
            return open_differential(self._pool, self._bitcode(program), lowering, reference, folder,
                                     self._effort), lowering
        except ProgramError:
            return None, lowering

    def _object(self, program: str, candidate: Candidate, lowering: Lowering) -> bytes | None:
        outcome = self._pool.run(Job(self._bitcode(program), candidate, lowering, keep_object=True))
        return outcome.measurement.object if outcome.measurement is not None else None
