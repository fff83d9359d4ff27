"""`llmc disassemble`: rules or a model give the IR of assembly or machine code; it is lowered back and compared."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_compiler.cli.common import say
from llm_compiler.errors import StorageError
from llm_compiler.paths import write_atomically

if TYPE_CHECKING:
    from llm_compiler.inference.disassembly import Disassembled


def disassemble(
    source: Annotated[Path, typer.Argument(
        metavar="INPUT", show_default=False, help="Assembly (.s), an object (.o) or a linked ELF file.")],
    model: Annotated[str | None, typer.Option(
        metavar="MODEL", show_default=False,
        help="A GGUF file, a folder of transformers' or OpenVINO's, or a server, http://HOST:PORT/v1; rules, and no "
             "model, unless said.")] = None,
    tokenizer: Annotated[Path | None, typer.Option(
        metavar="FILE", show_default=False,
        help="The tokenizer.json of a GGUF file, where none lies beside it.")] = None,
    model_name: Annotated[str, typer.Option(
        metavar="NAME", show_default=False, help="The model's name on the server.")] = "",
    form: Annotated[str | None, typer.Option(
        metavar="FORM", show_default=False,
        help="Prompts: compact (models of ours) or reference (Meta's). Told from the tokenizer unless said.")] = None,
    context: Annotated[int | None, typer.Option(
        metavar="TOKENS", show_default=False, help="Tokens of prompt and answer together.")] = None,
    threads: Annotated[int | None, typer.Option(
        metavar="N", min=1, show_default=False, help="Threads for GGUF and OpenVINO; all cores unless said.")] = None,
    functions: Annotated[list[str] | None, typer.Option(
        "--function", metavar="NAME", show_default=False, help="A function to disassemble; all unless said.")] = None,
    samples: Annotated[int, typer.Option("-n", "--samples", min=1, help="Answers to ask for, for each function.")] = 1,
    temperature: Annotated[float | None, typer.Option(
        metavar="T", min=0.0, show_default=False,
        help="Of all answers. Unless said, the first is the most likely, and the others are sampled at 0.6.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples, and of the inputs of runs.")] = 0,
    no_run: Annotated[bool, typer.Option(
        "--no-run", help="Do not run code that differs beside the original.")] = False,
    output: Annotated[Path | None, typer.Option(
        "-o", "--output", metavar="PATH", show_default=False,
        help="Write the IR to a file; of several functions to a folder, NAME.ll each.")] = None,
    json_lines: Annotated[bool, typer.Option("--json", help="Print a JSON object for each function.")] = False,
) -> int:
    """Lift functions to IR, by rules or a model, and check it.

    The IR is lowered back. identical: it gives the same code. equivalent: other code, which did the same on all inputs
    that were run (assembly for x86-64). Exit codes: 0 all functions are one of these, 1 some are not, 2 misuse.
    """
    from llm_compiler.inference.backend import backend_for
    from llm_compiler.inference.disassembly import disassemble as ask
    from llm_compiler.inference.functions import read_functions
    from llm_compiler.inference.rules import RULES, Rules

    found = read_functions(source, functions or ())
    several = len(found) > 1
    good = done = 0
    with Rules() if model in (None, RULES) else backend_for(
            "disassembly", model, tokenizer=tokenizer, name=model_name, form=form, context=context,
            threads=threads) as answers:
        if output is not None and several:
            _make(output)
        for item in ask(found, answers, samples=samples, temperature=temperature, seed=seed, run=not no_run):
            done += 1
            good += item.best.verdict.good
            if json_lines:
                print(json.dumps({"input": str(source), **item.as_record()}), flush=True)
            else:
                _print(item, show=output is None)
            if output is not None and item.best.ir:
                write_atomically(output / f"{_file(item.function)}.ll" if several else output, _text(item).encode())
    if several and not json_lines:
        say(f"{good} of {done} functions are identical or equivalent")
    return 0 if good == done else 1


def _print(item: Disassembled, *, show: bool) -> None:
    if show and item.best.ir:
        print(_text(item), flush=True)
    else:
        print(f"; {item.function}: {item.best.sentence}", flush=True)


def _text(item: Disassembled) -> str:
    return f"; {item.function}: {' '.join(item.best.sentence.split())}\n{item.best.ir}"


def _file(function: str) -> str:
    return re.sub(r"[^\w.$-]", "_", function)[:200]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot make the folder {folder}: {error.strerror}") from error
