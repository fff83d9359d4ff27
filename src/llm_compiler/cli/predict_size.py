"""`llmc predict-size`: instructions and bytes before and after a pass list, without running LLVM's passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_compiler.cli.common import cflags, say, validated
from llm_compiler.cli.emulate import Context, Form, Model, Name, Source, Tokenizer
from llm_compiler.errors import InputError

if TYPE_CHECKING:
    from llm_compiler.models.size_model import PredictedSizes


def predict_size(
    ctx: typer.Context,
    source: Source,
    passes: Annotated[str | None, typer.Option(
        metavar="LIST", show_default=False, help="Say what a pass list makes of the sizes, as for `opt -passes=`.",
    )] = None,
    true: Annotated[bool, typer.Option("--true", help="Run LLVM, too, and show its sizes.")] = False,
    model: Model = None,
    tokenizer: Tokenizer = None,
    model_name: Name = "",
    form: Form = None,
    context: Context = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> int:
    """Predict IR instructions and bytes of unoptimised code, and of what a pass list makes of it.

    Without a model by gradient-boosted trees that come with the package. Bytes are those of the object that is lowered
    at code generation level -O0, all that is loaded. Exit codes: 0 done, 1 LLVM failed (--true), 2 misuse.
    """
    from llm_compiler.inference import emulation, sizes
    from llm_compiler.inference.backend import backend_for
    from llm_compiler.llvm.frontend import temporary_folder
    from llm_compiler.llvm.pipeline import PassList
    from llm_compiler.tasks import batches
    from llm_compiler.tuning.source import small_pool

    listed: PassList | None = None if passes is None else validated(passes)
    with temporary_folder() as name, small_pool() as pool:
        program = emulation.read_program(source, Path(name), pool, cflags=cflags(ctx))
        if model is None:
            found = sizes.predict(program.ir, listed)
        elif listed is None:
            raise InputError("a language model is asked about a pass list; name one with --passes")
        else:
            with backend_for("emulation", model, tokenizer=tokenizer, name=model_name, form=form,
                             context=context) as backend:
                found = sizes.ask(program, listed, backend)
        made = sizes.measured(program, listed, pool) if true else None
    failure = f"{made.reason} {made.message}".strip() if isinstance(made, batches.Failure) else ""
    beside = None if isinstance(made, batches.Failure) else made
    if as_json:
        print(json.dumps({"input": str(source), "passes": None if listed is None else listed.text, **_record(found),
                          "true": None if beside is None else _record(beside), "failure": failure}), flush=True)
    else:
        _show(found, beside)
    if failure:
        say(f"LLVM gives no sizes to compare with: {failure}")
    return 1 if failure else 0


def _record(found: PredictedSizes) -> dict[str, Any]:
    from llm_compiler.inference.emulation import size_record

    return {"before": size_record(found.before), "after": size_record(found.after)}


def _show(found: PredictedSizes, beside: PredictedSizes | None) -> None:
    from llm_compiler.inference.emulation import words

    for name in ("before", "after"):
        size, true = getattr(found, name), getattr(beside, name, None)
        if size is not None:
            print(f"{name:<6}  {words(size)}" + (f"  (LLVM: {words(true)})" if true else ""), flush=True)
