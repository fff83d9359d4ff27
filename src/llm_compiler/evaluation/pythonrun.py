"""One Python program that a model wrote, run with its tests in the sandbox; and a process that does so for others.

As lm-eval's own executor (`code_eval`) does, a program is executed in a namespace that is empty at first, in silence,
and passes when nothing is raised. Other than there, the time is the processor's, and files cannot be written.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TextIO

from llm_compiler.validation.sandbox import ENVIRONMENT, Ended, Execution, SandboxLimits, execute

LIMITS = SandboxLimits(cpu_seconds=3, wall_seconds=15, memory=2 << 30)
"""3 s are what lm-eval gives a program, there by the clock."""


VERDICTS = "LLMC_VERDICTS"
"""The environment variable that names the file to which `codeeval` writes a line for each program."""


class PythonStatus(StrEnum):
    """wrong: an assertion failed; failed: anything else was raised; crashed: it ended without having been through its
    tests.
    """

    PASSED = "passed"
    WRONG = "wrong"
    FAILED = "failed"
    UNPARSED = "unparsed"
    TIMED_OUT = "timed_out"
    CRASHED = "crashed"


@dataclass(frozen=True)
class Verdict:
    """message: of what was raised, or how the program ended."""

    status: PythonStatus
    message: str = ""


# Only who knows the mark can say how a run ended: a program that exits early does not.
_DRIVER = r"""
import io, json, os, sys
mark, source = json.load(sys.stdin)
def say(status, message=""):
    os.write(1, json.dumps([mark, status, message[:300]]).encode())
    os._exit(0)
class Silence(io.TextIOBase):
    def writable(self):
        return True
    def write(self, text):
        return len(text)
def told(error):
    return f"{type(error).__name__}: {error}".rstrip(": ")
sys.stdin, sys.stdout, sys.stderr = io.StringIO(), Silence(), Silence()
try:
    code = compile(source, "<program>", "exec")
except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
    say("unparsed", told(error))
try:
    exec(code, {})
except AssertionError as error:
    say("wrong", told(error))
except BaseException as error:
    try:
        message = told(error)
    except BaseException:
        message = type(error).__name__
    say("failed", message)
say("passed")
"""


def judge(program: str, limits: SandboxLimits = LIMITS) -> Verdict:
    """Run a program, tests and all."""
    mark = secrets.token_hex(16)
    asked = json.dumps([mark, program]).encode()
    environment = {**ENVIRONMENT, "OPENBLAS_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    # -I: neither the user's settings nor files that lie about are part of the program.
    return _verdict(execute([sys.executable, "-I", "-B", "-c", _DRIVER], limits, stdin=asked, env=environment), mark)


def _verdict(execution: Execution, mark: str) -> Verdict:
    if execution.ended is Ended.TIMED_OUT:
        return Verdict(PythonStatus.TIMED_OUT, f"{execution.cpu:.1f} s of processor time")
    try:
        told = json.loads(execution.stdout)
        if told[0] == mark:
            return Verdict(PythonStatus(told[1]), str(told[2]))
    except (ValueError, TypeError, LookupError):
        pass
    if execution.ended is Ended.EXITED:
        return Verdict(PythonStatus.CRASHED, f"exit code {execution.code} before the end of the tests")
    return Verdict(PythonStatus.CRASHED, f"{execution.ended} {execution.code}")


def hash_of(program: str) -> str:
    """What a program goes by in the file of verdicts."""
    return hashlib.sha256(program.encode(errors="surrogatepass")).hexdigest()


def serve(source: TextIO, sink: TextIO) -> None:
    """A verdict for each line of `source`, which holds a program as JSON."""
    for line in source:
        found = judge(json.loads(line))
        sink.write(json.dumps([str(found.status), found.message]) + "\n")
        sink.flush()


if __name__ == "__main__":
    serve(sys.stdin, sys.stdout)
