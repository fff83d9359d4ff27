"""What the commands share: clang's flags after `--`, and sentences on stderr."""

from __future__ import annotations

import functools
import importlib.util
import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ParamSpec

import typer
from typer.core import TyperCommand

from llm_compiler.errors import InputError, PipelineError

if TYPE_CHECKING:
    from llm_compiler.llvm.pipeline import PassList

_KEY = "llm_compiler.cflags"
_ELSEWHERE = ("corpus", "output", "jobs", "ray", "time_budget", "as_json")  # options that decide no result
P = ParamSpec("P")


class CflagsCommand(TyperCommand):
    """A command that takes clang's flags after `--`, which click would add to the inputs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if "--" in args:
            at = args.index("--")
            ctx.meta[_KEY] = tuple(args[at + 1 :])
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        return [*super().collect_usage_pieces(ctx), "[-- CFLAGS...]"]


def cflags(ctx: typer.Context) -> tuple[str, ...]:
    """The words after `--`."""
    found: tuple[str, ...] = ctx.meta.get(_KEY, ())
    return found


def say(sentence: str) -> None:
    """A sentence for the user, on stderr."""
    print(f"llmc: {' '.join(sentence.split())}", file=sys.stderr, flush=True)


def need_corpus() -> None:
    """Raises InputError that says what to install when packages of the extra `corpus` are missing."""
    missing = [name for name in ("pyarrow", "numpy", "tokenizers") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; "
                         "pip install 'llm-compiler[corpus]'")


def seconds(text: str) -> float:
    """Seconds of a time such as 90s, 30m or 2h. Raises InputError."""
    from llm_compiler.tuning.budget import Budget

    try:
        found = Budget.parse(text).seconds
    except PipelineError:
        found = None
    if found is None:
        raise InputError(f"'{text}' is no time; write 90s, 30m or 2h")
    return found


def resumable(command: Callable[P, int]) -> Callable[P, int]:
    """A command that can be ended by Ctrl-C or SIGTERM, with a sentence and exit code 130."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            return command(*args, **kwargs)
        except KeyboardInterrupt:
            say("interrupted; what is finished stays, and the same command goes on from there")
            return 130

    return wrapper


def command_again(context: typer.Context) -> str:
    """The running command with the options that were given and decide its result, to be run on another machine."""
    words = [context.command_path, "--corpus DIR", "-o OUT"]
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in _ELSEWHERE or source is None or source.name != "COMMANDLINE":
            continue
        value = context.params[name]
        if isinstance(value, bool):
            words.append((parameter.opts if value else parameter.secondary_opts)[0])
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            words += [parameter.opts[0], shlex.quote(str(each))]
    return " ".join(words)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def exit_code(done: int, failed: int) -> int:
    """0 all done, 1 some failed, 2 all failed."""
    if not failed:
        return 0
    return 1 if done else 2


def validated(text: str) -> PassList:
    """The pass list in canonical form. Raises PipelineError."""
    from llm_compiler.llvm import registry
    from llm_compiler.llvm.pipeline import PassList

    passes = PassList.parse(text)
    known = registry.load()
    if not all(known.level(name) for name in passes.names()):
        known = registry.load(full=True)
    known.validate(passes)
    return passes.canonical(known.level)
