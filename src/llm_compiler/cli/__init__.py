"""The command line: parse, call the library, print. A module per command; each imports the library when it runs."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated

import typer

from llm_compiler import __version__
from llm_compiler.cli import (
    check,
    convert,
    corpus,
    corpus_index,
    dataset,
    dataset_flags,
    dataset_tasks,
    disassemble,
    doctor,
    emulate,
    eval,
    opt,
    passes,
    plan,
    predict_size,
    size,
    train,
    tune,
    verify,
)
from llm_compiler.cli.common import CflagsCommand, say
from llm_compiler.errors import LlmcError

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"llmc {__version__}")
        raise typer.Exit


@app.callback()
def llmc(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True,
                                          help="Print the version and exit.")] = False,
) -> None:
    """Objects smaller than `clang -Oz` makes, and the recipe for them.

    Exit codes: 0 done, 1 some inputs failed or LLVM did, 2 misuse or an input that cannot be used, 130 interrupted.
    """


app.command("tune", cls=CflagsCommand)(tune.tune)
app.command("opt", cls=CflagsCommand)(opt.opt)
app.command("size", cls=CflagsCommand)(size.size)
app.command("verify", cls=CflagsCommand)(verify.verify)
app.command("disassemble")(disassemble.disassemble)
app.command("emulate", cls=CflagsCommand)(emulate.emulate)
app.command("predict-size", cls=CflagsCommand)(predict_size.predict_size)
app.command("passes")(passes.passes)
app.command("check")(check.check)
app.command("doctor")(doctor.doctor)

corpus.app.command("functions")(corpus_index.functions)
corpus.app.command("stats")(corpus_index.stats)
app.add_typer(corpus.app, name="corpus")

for command in (dataset_tasks.pretraining, dataset_tasks.emulation, dataset_flags.flags, dataset_tasks.disassembly):
    dataset.app.command(command.__name__)(command)
app.add_typer(dataset.app, name="dataset")
app.add_typer(eval.app, name="eval")
app.command("train")(train.train)
app.command("convert")(convert.convert)
app.command("plan")(plan.plan)

_TO_CLANG = {"ignore_unknown_options": True, "allow_extra_args": True}


# `__main__` takes these two words before Typer sees them; they stand here for the list of commands.
@app.command("cc", context_settings=_TO_CLANG, add_help_option=False)
def cc(ctx: typer.Context) -> int:
    """clang for C, with tuned objects: make CC="llmc cc".

    Compilations with -Oz or -Os are tuned, all else is clang's. Takes clang's arguments. `llmc cc --explain ARGS`
    says what would be done, `llmc cc --stats` what was done.
    """
    from llm_compiler.cc import main

    return main(ctx.args, cxx=False)


@app.command("c++", context_settings=_TO_CLANG, add_help_option=False)
def cxx(ctx: typer.Context) -> int:
    """clang for C++, with tuned objects: make CXX="llmc c++"."""
    from llm_compiler.cc import main

    return main(ctx.args, cxx=True)


def run(argv: list[str]) -> int:
    """Run `llmc` on arguments; returns the exit code. What a user can mend is one sentence on stderr."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    if not argv:
        with contextlib.redirect_stdout(sys.stderr):
            app(["--help"], prog_name="llmc", standalone_mode=False)
        return 2
    try:
        return app(argv, prog_name="llmc", standalone_mode=False) or 0
    except LlmcError as error:
        say(str(error))
        return 2
    except Exception as error:
        # Typer's usage errors come from the click that it carries or, before 0.26, from the package click.
        message = getattr(error, "format_message", None)
        if message is None:
            raise
        words = _command(argv)
        say(f"{message().rstrip('.')}; see `llmc {words} --help`" if words else message())
        return 2


def _command(argv: list[str]) -> str:
    """The words of `argv` that name a command or a group of commands; empty when there is no such command."""
    words: list[str] = []
    group: typer.Typer | None = app
    for word in argv:
        if group is None or word not in _names(group):
            break
        words.append(word)
        group = next((inner.typer_instance for inner in group.registered_groups if inner.name == word), None)
    return " ".join(words)


def _names(group: typer.Typer) -> set[str | None]:
    return {command.name for command in group.registered_commands} | {inner.name for inner in group.registered_groups}


__all__ = ["app", "run"]
