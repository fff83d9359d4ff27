"""What lm-eval finds when it asks `evaluate` for the metric `code_eval`: programs run by `pythonrun`, in the sandbox.

lm-eval's tasks stay as they are. `harness` puts a file into the working folder that loads this module, which needs
evaluate and datasets, and writes a line for each program that was run to the file that VERDICTS names.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import datasets
import evaluate

import llm_compiler
from llm_compiler.evaluation.pythonrun import VERDICTS, PythonStatus, hash_of


class CodeEval(evaluate.Metric):  # type: ignore[misc]
    """pass@1 of programs, and what became of each."""

    _judge: subprocess.Popen[str] | None = None

    def _info(self) -> Any:
        text = datasets.Value("string")
        return evaluate.MetricInfo(description="pass@1", citation="", inputs_description="", features=datasets.Features(
            {"predictions": datasets.Sequence(text), "references": text}))

    def _compute(self, predictions: Sequence[Sequence[str]], references: Sequence[str],
                 k: Sequence[int] = (1,)) -> tuple[dict[str, float], dict[str, Any]]:
        if list(k) != [1] or any(len(answers) != 1 for answers in predictions):
            raise ValueError("only pass@1 of one answer a problem is known here")
        passed = [self._passes(f"{answers[0]}\n{tests}")
                  for answers, tests in zip(predictions, references, strict=True)]
        return {"pass@1": sum(passed) / len(passed)}, {}

    def _passes(self, program: str) -> bool:
        # Programs are started by a process of its own: this one has threads, with which forking is unsafe.
        if self._judge is None:
            root = str(Path(llm_compiler.__file__).parent.parent)
            path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), root]))
            self._judge = subprocess.Popen(
                [sys.executable, "-P", "-m", "llm_compiler.evaluation.pythonrun"], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path})
        assert self._judge.stdin is not None and self._judge.stdout is not None
        self._judge.stdin.write(json.dumps(program) + "\n")
        self._judge.stdin.flush()
        status, message = json.loads(self._judge.stdout.readline())
        with open(os.environ[VERDICTS], "a") as file:
            file.write(json.dumps({"key": hash_of(program), "status": status, "message": message}) + "\n")
        return bool(status == PythonStatus.PASSED)
