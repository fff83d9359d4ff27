"""`llmc opt`: apply one pass list, and the options that go with it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_compiler.cli.common import cflags, say, validated
from llm_compiler.errors import InputError, PipelineError

if TYPE_CHECKING:
    from llm_compiler.llvm.job import Outcome


def opt(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(
        metavar="INPUT", show_default=False, help="An IR, bitcode, C or C++ file.")],
    passes: Annotated[str, typer.Option(
        metavar="LIST", show_default=False, help="The pass list, as for `opt -passes=`; may be empty.")],
    output: Annotated[str, typer.Option(
        "-o", "--output", metavar="OUT", show_default=False,
        help="Where to write: .bc or .ll the IR, .o the object, .s assembly; - prints the IR.")],
    pass_options: Annotated[list[str] | None, typer.Option(
        "--pass-option", metavar="OPTION", show_default=False,
        help="An LLVM option for passes and lowering, such as --pass-option=-inline-threshold=5.")] = None,
    codegen_options: Annotated[list[str] | None, typer.Option(
        "--codegen-option", metavar="OPTION", show_default=False,
        help="An LLVM option for the lowering only, such as --codegen-option=-disable-lsr.")] = None,
    profile: Annotated[str, typer.Option(
        metavar="PROFILE", help="How objects are lowered: deploy or paper.")] = "deploy",
    target: Annotated[str, typer.Option(
        metavar="TRIPLE", help="x86_64-linux-gnu or aarch64-linux-gnu.")] = "x86_64-linux-gnu",
) -> int:
    """Apply one pass list, as LLVM's opt would.

    Writes the IR, assembly or object that it gives. Bare names are put at the level that they need. If LLVM crashes,
    its input is kept and the exit code is 1.
    """
    from llm_compiler.llvm.frontend import temporary_folder
    from llm_compiler.llvm.job import Status
    from llm_compiler.llvm.pipeline import Candidate
    from llm_compiler.llvm.target import Profile
    from llm_compiler.paths import write_atomically
    from llm_compiler.tuning import output as outputs
    from llm_compiler.tuning.source import open_source, small_pool

    if profile not in list(Profile):
        raise InputError(f"unknown profile '{profile}'; use {' or '.join(Profile)}")
    kind = outputs.Kind.IR if output == "-" else outputs.kind_of(Path(output))
    candidate = Candidate(validated(passes), tuple(codegen_options or ()), tuple(pass_options or ()))
    with temporary_folder() as name, small_pool() as pool:
        folder = Path(name)
        opened = open_source(source, folder, pool, target=target, profile=Profile(profile), cflags=cflags(ctx))
        lower = kind in (outputs.Kind.OBJECT, outputs.Kind.ASSEMBLY)
        outcome = outputs.apply(opened, candidate, pool, lower=lower)
        if outcome.status is Status.INVALID:
            raise PipelineError(outcome.message)
        if outcome.measurement is None or outcome.measurement.bitcode is None:
            say(failure(outcome))
            return 1
        data = outputs.render(opened, candidate, outcome.measurement.bitcode, kind, folder)
    if output == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
    else:
        write_atomically(Path(output), data)
    return 0


def failure(outcome: Outcome) -> str:
    what = {"crashed": "LLVM crashed", "timed_out": "LLVM did not end", "out_of_memory": "LLVM ran out of memory"}
    text = f"{what.get(outcome.status, outcome.status)} ({outcome.message})"
    return f"{text}; the input and a reproduction are in {outcome.crash_folder}" if outcome.crash_folder else text
