"""`llmc convert`: a trained model as one GGUF file, which `--model` takes."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Annotated

import typer

from llm_compiler.cli.common import say
from llm_compiler.errors import InputError
from llm_compiler.paths import write_atomically


def convert(
    folder: Annotated[Path, typer.Argument(
        metavar="FOLDER", help="A Llama in transformers' form, as `llmc train` leaves one in RUN/model.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="The GGUF file.")],
    quantisation: Annotated[str, typer.Option(
        metavar="NAME", help="Of weights: q8_0 (8 bits), f16 or f32.")] = "q8_0",
) -> int:
    """Write a model as one GGUF file, with tokenizer.json beside it."""
    missing = [name for name in ("gguf", "safetensors") if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing; pip install 'llm-compiler[train]'")
    from llm_compiler.models.gguf_file import write_gguf

    beside, own = output.parent / "tokenizer.json", folder / "tokenizer.json"
    if beside.exists() and not output.exists() and own.exists() and beside.read_bytes() != own.read_bytes():
        raise InputError(f"{beside} is another model's, and {output.name} would be read with it; choose another folder")
    write_gguf(folder, output, quantisation=quantisation)
    if not (beside.exists() and beside.samefile(own)):
        write_atomically(beside, own.read_bytes())
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    return 0
