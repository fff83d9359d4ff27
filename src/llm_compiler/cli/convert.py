"""`llmc convert`: a trained model in the forms that `--model` takes: a GGUF file, or a folder for OpenVINO."""

from __future__ import annotations

import importlib.util
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from llm_compiler.cli.common import say
from llm_compiler.errors import InputError
from llm_compiler.paths import write_atomically


class _To(StrEnum):
    GGUF = "gguf"
    OPENVINO = "openvino"


_NEEDED = {_To.GGUF: ("gguf", "safetensors"), _To.OPENVINO: ("openvino_genai", "transformers")}
_EXTRAS = {_To.GGUF: "train", _To.OPENVINO: "train,fast"}


def convert(
    folder: Annotated[Path, typer.Argument(
        metavar="FOLDER", help="A Llama in transformers' form, as `llmc train` leaves one in RUN/model.")],
    output: Annotated[Path, typer.Option(
        "--output", "-o", metavar="PATH", help="The GGUF file, or the folder for OpenVINO.")],
    to: Annotated[_To, typer.Option(
        help="gguf: a file, for llama.cpp; openvino: a folder, for OpenVINO, quick on long prompts.")] = _To.GGUF,
    quantisation: Annotated[str | None, typer.Option(
        metavar="NAME", show_default=False,
        help="Of weights: q8_0 (8 bits), f16 or f32 in a GGUF file; int8 or f32 for OpenVINO. 8 bits unless said.",
    )] = None,
) -> int:
    """Write a model as one GGUF file, with tokenizer.json beside it, or as a folder for OpenVINO."""
    missing = [name for name in _NEEDED[to] if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing; pip install 'llm-compiler[{_EXTRAS[to]}]'")
    if to is _To.OPENVINO:
        from llm_compiler.models.openvino_file import WEIGHTS, write_openvino

        write_openvino(folder, output, quantisation=quantisation or "int8")
        say(f"{output}: {(output / WEIGHTS).stat().st_size / 1e6:.1f} MB")
        return 0
    from llm_compiler.models.gguf_file import write_gguf

    beside, own = output.parent / "tokenizer.json", folder / "tokenizer.json"
    if beside.exists() and not output.exists() and own.exists() and beside.read_bytes() != own.read_bytes():
        raise InputError(f"{beside} is another model's, and {output.name} would be read with it; choose another folder")
    write_gguf(folder, output, quantisation=quantisation or "q8_0")
    if not (beside.exists() and beside.samefile(own)):
        write_atomically(beside, own.read_bytes())
    say(f"{output}: {output.stat().st_size / 1e6:.1f} MB")
    return 0
