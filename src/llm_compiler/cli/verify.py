"""`llmc verify`: run a source's functions as compiled by a pass list beside those of clang -Oz and -O0."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_compiler.cli.common import cflags, say, validated
from llm_compiler.cli.opt import failure
from llm_compiler.errors import InputError, PipelineError

if TYPE_CHECKING:
    from llm_compiler.llvm.worker import WorkerPool
    from llm_compiler.tuning.source import Source
    from llm_compiler.validation.differential import Differential, Verification


def verify(
    ctx: typer.Context,
    source: Annotated[Path, typer.Argument(
        metavar="INPUT", show_default=False, help="A C, C++, IR or bitcode file.")],
    passes: Annotated[str | None, typer.Option(
        metavar="LIST", show_default=False,
        help="The pass list to check, as for `opt -passes=`; may be empty.")] = None,
    object_: Annotated[Path | None, typer.Option(
        "--object", metavar="FILE", show_default=False,
        help="An object of the same source to check instead.")] = None,
    pass_options: Annotated[list[str] | None, typer.Option(
        "--pass-option", metavar="OPTION", show_default=False,
        help="An LLVM option for passes and lowering.")] = None,
    codegen_options: Annotated[list[str] | None, typer.Option(
        "--codegen-option", metavar="OPTION", show_default=False,
        help="An LLVM option for the lowering only.")] = None,
    effort: Annotated[str, typer.Option(metavar="LEVEL", help="quick or full.")] = "full",
    function: Annotated[str | None, typer.Option(
        metavar="NAME", show_default=False, help="Replay: the function of a counterexample.")] = None,
    replay: Annotated[str | None, typer.Option(
        "--input", metavar="INPUT", show_default=False, help="Replay: its input, as it was printed.")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Run changed functions beside clang's.

    Each function that the pass list changes is called with generated inputs, as clang -O0, clang -Oz and the pass list
    compiled it. Exit codes: 0 no function differs, 1 one does, 2 misuse.
    """
    from llm_compiler.llvm.frontend import temporary_folder
    from llm_compiler.tuning.source import open_source, small_pool
    from llm_compiler.validation.differential import Level, ProgramError, open_differential

    if (passes is None) == (object_ is None):
        raise InputError("name the code to check: either --passes or --object")
    if (function is None) != (replay is None):
        raise InputError("a replay needs both --function and --input")
    level = Level.parse(effort)
    if level is Level.OFF:
        raise InputError("--effort is quick or full")
    seeds = _seeds(replay) if replay is not None else ()
    with temporary_folder() as name, small_pool() as pool:
        folder = Path(name)
        opened = open_source(source, folder, pool, cflags=cflags(ctx))
        if object_ is not None:
            try:
                data: bytes | None = object_.read_bytes()
            except OSError as error:
                raise InputError(f"{object_} cannot be read: {error.strerror}") from error
        else:
            data = _compiled(opened, pool, folder, passes or "", tuple(pass_options or ()),
                             tuple(codegen_options or ()))
        if data is None:
            return 1
        try:
            with open_differential(pool, opened.bitcode, opened.lowering, _reference(opened, folder), folder,
                                   level.effort) as differential:
                if function is not None:
                    return _replay(differential, data, function, seeds)
                verification = differential.check(data)
        except ProgramError as error:
            raise InputError(f"{source}: {error}") from error
    record = {"input": str(source), **verification.as_record()}
    print(json.dumps(record) if json_lines else _plain(source, verification))
    return 1 if verification.wrong is not None else 0


def _seeds(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word, 16) for word in text.split(":"))
    except ValueError:
        raise InputError(f"--input {text} is not one that llmc printed (hexadecimal numbers with colons)") from None


def _compiled(opened: Source, pool: WorkerPool, folder: Path, passes: str, pass_options: tuple[str, ...],
              codegen_options: tuple[str, ...]) -> bytes | None:
    """The object of a pass list; None, with a sentence said, when LLVM does not survive it."""
    from llm_compiler.llvm.job import Status
    from llm_compiler.llvm.pipeline import Candidate
    from llm_compiler.tuning import output as outputs

    candidate = Candidate(validated(passes), codegen_options, pass_options)
    outcome = outputs.apply(opened, candidate, pool, lower=True, whole=False)
    if outcome.status is Status.INVALID:
        raise PipelineError(outcome.message)
    if outcome.measurement is None or outcome.measurement.bitcode is None:
        say(failure(outcome))
        return None
    return outputs.render(opened, candidate, outcome.measurement.bitcode, outputs.Kind.OBJECT, folder)


def _reference(opened: Source, folder: Path) -> bytes:
    from llm_compiler.tuning import output as outputs

    return outputs.clang_output(opened, outputs.Kind.OBJECT, folder)


def _replay(differential: Differential, data: bytes, function: str, seeds: tuple[int, ...]) -> int:
    call, difference = differential.replay(data, function, seeds)
    print(f"{call}: {difference or 'no difference'}")
    return 1 if difference else 0


def _plain(source: Path, verification: Verification) -> str:
    lines = [f"{source}: {verification.summary}"]
    for item in verification.functions:
        if item.status == "agreed":
            how = "through its callers" if item.via else f"on {item.inputs} inputs"
            text = f"agrees {how}, {item.blocks} of {item.all_blocks} blocks reached"
        elif item.counterexample is not None:
            example = item.counterexample
            text = (f"DIFFERS: {example.call}: {example.difference}\n"
                    f"      replay with --function {item.name} --input {example.replay}")
        else:
            text = {"unchanged": "unchanged", "gone": "inlined or removed in both"}.get(
                item.status, f"not executed: {item.reason}")
        lines.append(f"  {item.name}: {text}")
    return "\n".join(lines)
