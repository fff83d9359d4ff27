"""`llmc cc` and `llmc c++`: clang, and smaller objects where the plan says so.

Whatever happens here, the user gets at least what clang gives: the same messages, exit code and object.
"""

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from llm_compiler.cc.arguments import Plan, plan
from llm_compiler.cc.compiler import GUARD, Compiler, find_compiler
from llm_compiler.cc.flags import Reason
from llm_compiler.cc.log import count, log
from llm_compiler.errors import ToolchainError

if TYPE_CHECKING:
    from llm_compiler.cc.signals import Signals
    from llm_compiler.tuning.compilation import TunedObject


def main(argv: Sequence[str], *, cxx: bool) -> int:
    """Run `llmc cc` (or, with `cxx`, `llmc c++`) on the arguments after it; returns the exit code.

    Where clang is to run untouched, this process becomes clang and the call does not return.
    """
    program = "llmc c++" if cxx else "llmc cc"
    first = argv[0] if argv else ""
    env = os.environ
    if first == "--stats":
        from llm_compiler.cc.report import stats

        return stats(argv[1:], env=env, program=program)
    try:
        compiler = find_compiler(argv[1:] if first == "--explain" else argv, cxx=cxx, env=env)
    except ToolchainError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return 2
    decision = decide(compiler, env)
    if first == "--explain":
        from llm_compiler.cc.report import explain

        explain(compiler, decision, env=env)
        return 0
    child_env = {**env, GUARD: os.pathsep.join(filter(None, (env.get(GUARD), os.path.abspath(compiler.path))))}
    try:
        if decision.reason:
            count(env, "passed", decision.reason.key)
            _become(compiler, child_env)
        return _compile_and_tune(compiler, decision, env, child_env)
    except OSError as error:
        print(f"{program}: cannot run {compiler.path}: {error.strerror}.", file=sys.stderr)
        return 2


def decide(compiler: Compiler, env: Mapping[str, str]) -> Plan:
    """The plan for this compiler, command line and environment."""
    if env.get(GUARD):
        return Plan(Reason.NESTED)
    if not compiler.is_clang:
        return Plan(Reason.NOT_CLANG, compiler.path)
    try:
        cwd = os.getcwd()
    except OSError:  # the folder is gone; clang says so better
        cwd = ""
    return plan(compiler.argv, env=env, cwd=cwd, machine=os.uname().machine)


def _become(compiler: Compiler, child_env: dict[str, str]) -> None:
    import signal

    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and exec would hand that on
        signal.signal(number, signal.SIG_DFL)
    os.execve(compiler.path, [compiler.path, *compiler.argv], child_env)


def _compile_and_tune(compiler: Compiler, decision: Plan, env: Mapping[str, str], child_env: dict[str, str]) -> int:
    from llm_compiler.cc.signals import Signals

    with Signals() as signals:
        code = signals.run([compiler.path, *compiler.argv], child_env)
        if code:
            count(env, "clang_error")
            return code
        try:
            _tune(compiler, decision, env, signals)
        except KeyboardInterrupt:
            pass
        except (Exception, SystemExit) as error:
            import traceback

            count(env, "failed")
            message = " ".join(f"{type(error).__name__}: {error}".split())
            log(env, f"failed: {decision.source}: {message}; clang's own object stays", traceback.format_exc())
        return signals.exit_code


def _tune(compiler: Compiler, decision: Plan, env: Mapping[str, str], signals: "Signals") -> None:
    """Tune the object that clang has just written, and put a smaller one in its place."""
    import stat
    from pathlib import Path

    output = os.path.realpath(decision.output)
    before = os.stat(output)
    if not stat.S_ISREG(before.st_mode):
        raise ValueError(f"{output} is not a regular file")
    with _silence(), signals.interrupting():
        from llm_compiler.tuning.compilation import tune_object

        tuned = tune_object(
            clang=compiler.path,
            cflags=list(decision.cflags),
            source=decision.source,
            baseline_object=Path(output),
            budget=budget(env),
            trust=trust(env),
            jobs=jobs(env),
            verify=verify(env),
        )
    if signals.received:  # the tuner kept what it had, but the user wants to stop
        return
    size = tuned.baseline_bytes
    if tuned.improved:
        _replace(output, before, tuned)
        size = tuned.best_bytes
    count(env, "stored" if tuned.from_store else "tuned", before=tuned.baseline_bytes, after=size)
    origin = " from the store" if tuned.from_store else ""
    note = f"; {tuned.note}" if tuned.note else ""
    log(env, f"tuned{origin}: {decision.source}: {tuned.baseline_bytes} to {size} bytes{note}")


def _replace(output: str, before: os.stat_result, tuned: "TunedObject") -> None:
    """Put the tuned object in place atomically, with the mode and the times of clang's own."""
    data = tuned.object or b""
    if not data.startswith(b"\x7fELF") or tuned.best_bytes >= tuned.baseline_bytes:
        raise ValueError(f"the tuner's answer is not a smaller object ({len(data)} bytes of file; {tuned.note})")
    temporary = os.path.join(os.path.dirname(output), f".llmc-{os.getpid()}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(descriptor, before.st_mode & 0o7777)
        # A source that was edited while we tuned must stay newer than its object, or make would miss the edit.
        os.utime(temporary, ns=(before.st_atime_ns, before.st_mtime_ns))
        now = os.stat(output)
        if (now.st_ino, now.st_size, now.st_mtime_ns) != (before.st_ino, before.st_size, before.st_mtime_ns):
            raise ValueError("the object was changed by someone else meanwhile")
        os.replace(temporary, output)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def budget(env: Mapping[str, str]) -> str:
    """The budget of one file: seconds ("2s") or evaluations ("200")."""
    return env.get("LLMC_BUDGET") or "2s"


def trust(env: Mapping[str, str]) -> str:
    """The tier of passes that may be used."""
    return env.get("LLMC_TRUST") or "production"


def verify(env: Mapping[str, str]) -> str:
    """How far tuned functions are run beside clang's: off, quick or full."""
    return env.get("LLMC_VERIFY") or "quick"


def jobs(env: Mapping[str, str]) -> int:
    """Workers for one file; one unless asked, since make runs several of us."""
    text = env.get("LLMC_JOBS", "")
    return max(1, int(text)) if text.isascii() and text.isdigit() else 1


@contextmanager
def _silence() -> Iterator[None]:
    """Keep whatever the tuner and LLVM say away from the user's build: stdout and stderr are clang's alone."""
    saved = [(descriptor, os.dup(descriptor)) for descriptor in (1, 2)]
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        for descriptor, _ in saved:
            os.dup2(sink, descriptor)
        yield
    finally:
        os.close(sink)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        for descriptor, copy in saved:
            os.dup2(copy, descriptor)
            os.close(copy)
