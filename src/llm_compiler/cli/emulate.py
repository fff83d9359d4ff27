"""`llmc emulate`: a model says what a pass list makes of a program, and its answers are checked."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_compiler.cli.common import cflags, say, validated
from llm_compiler.errors import InputError

if TYPE_CHECKING:
    from llm_compiler.inference.emulation import Answer

Source = Annotated[Path, typer.Argument(
    metavar="INPUT", show_default=False, help="A C, C++, IR or bitcode file.")]
Model = Annotated[str | None, typer.Option(
    metavar="MODEL", show_default=False,
    help="A GGUF file, a folder of transformers' or OpenVINO's, or a server, http://HOST:PORT/v1.")]
Tokenizer = Annotated[Path | None, typer.Option(
    metavar="FILE", show_default=False, help="The tokenizer.json of a GGUF file, where none lies beside it.")]
Name = Annotated[str, typer.Option(metavar="NAME", show_default=False, help="The model's name on the server.")]
Form = Annotated[str | None, typer.Option(
    metavar="FORM", show_default=False,
    help="Prompts: compact (models of ours) or reference (Meta's). Told from the tokenizer unless said.")]
Context = Annotated[int | None, typer.Option(
    metavar="TOKENS", show_default=False, help="Tokens of prompt and answer together.")]


def emulate(
    ctx: typer.Context,
    source: Source,
    passes: Annotated[str, typer.Option(
        metavar="LIST", show_default=False, help="The pass list, as for `opt -passes=`.")],
    output: Annotated[str, typer.Option(metavar="FORM", help="What is asked for: ir or asm.")] = "ir",
    true: Annotated[bool, typer.Option("--true", help="Run LLVM, too, and compare.")] = False,
    samples: Annotated[int, typer.Option("-n", "--samples", min=1, help="Answers to ask for.")] = 1,
    temperature: Annotated[float | None, typer.Option(
        metavar="T", min=0.0, show_default=False,
        help="Of all answers. Unless said, the first is the most likely, and the others are sampled at 0.6.")] = None,
    seed: Annotated[int, typer.Option(help="Of the samples.")] = 0,
    model: Model = None,
    tokenizer: Tokenizer = None,
    model_name: Name = "",
    form: Form = None,
    context: Context = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Ask a model for the IR or assembly that a pass list gives, and check that it is code.

    Of several answers the likeliest of those that compile is printed, with the sizes that the model tells: IR
    instructions, and bytes lowered at code generation level -O0. Exit codes: 0 done, 1 no answer compiles, 2 misuse.
    """
    from llm_compiler.inference import emulation
    from llm_compiler.inference.backend import backend_for
    from llm_compiler.inference.emulation import Verdict
    from llm_compiler.llvm.frontend import temporary_folder
    from llm_compiler.tasks.prompts import Output
    from llm_compiler.tuning.source import small_pool

    forms = {"ir": Output.IR, "asm": Output.ASSEMBLY}
    if output not in forms:
        raise InputError(f"there is no output '{output}'; use ir or asm")
    wanted, listed = forms[output], validated(passes)
    with temporary_folder() as name, small_pool() as pool:
        folder = Path(name)
        program = emulation.read_program(source, folder, pool, cflags=cflags(ctx))
        with backend_for("emulation", model, tokenizer=tokenizer, name=model_name, form=form,
                         context=context) as backend:
            answers = emulation.ask(program, listed, wanted, backend, pool, folder, samples=samples,
                                    temperature=temperature, seed=seed)
            best = answers[0] if answers else emulation.Answer(Verdict.UNREADABLE, "the model gave no answer")
            compared = emulation.compare(best, program, listed, wanted, backend, pool, folder) if true else None
    if as_json:
        record = {"input": str(source), "passes": listed.text, "output": output, **best.as_record(),
                  "answers": len(answers), "true": None if compared is None else compared.as_record()}
        print(json.dumps(record), flush=True)
    else:
        _show(best, "; " if wanted is Output.IR else "# ")
        if compared is not None:
            say(compared.sentence)
    return 0 if best.verdict is Verdict.COMPILES else 1


def _show(answer: Answer, mark: str) -> None:
    """Code, and what is known of it in a comment before it."""
    from llm_compiler.inference.emulation import words

    told = "the answer tells no sizes" if answer.after is None else f"predicted: {words(answer.after)}"
    reason = f": {' '.join(answer.reason.split())}" if answer.reason else ""
    print(f"{mark}{answer.verdict}{reason}; {told}")
    if answer.code:
        print(answer.code.rstrip("\n"), flush=True)
