"""`llmc size`: sections of objects, instructions of IR."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_compiler.cli.common import cflags, exit_code, say
from llm_compiler.errors import InputError, LlmcError

if TYPE_CHECKING:
    from llm_compiler.llvm.worker import WorkerPool


def size(
    ctx: typer.Context,
    files: Annotated[list[Path], typer.Argument(
        metavar="FILE", show_default=False,
        help="ELF objects, executables, libraries and archives; IR, bitcode, C and C++ files.")],
    target: Annotated[str, typer.Option(
        metavar="TRIPLE", help="For C, C++ and IR: x86_64-linux-gnu or aarch64-linux-gnu.")] = "x86_64-linux-gnu",
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a file or member.")] = False,
) -> int:
    """Show the sections of a file, and the bytes that are loaded.

    For IR, bitcode, C and C++: the instructions before LLVM's passes and after those of -Oz, and the object of -Oz.
    """
    from llm_compiler.tuning.source import small_pool

    done = 0
    with small_pool() as pool:
        for file in files:
            try:
                for record in _measure(file, pool, target, cflags(ctx)):
                    print(json.dumps(record) if json_lines else _plain(record), flush=True)
                done += 1
            except LlmcError as error:
                text = str(error)
                say(text if str(file) in text else f"{file}: {text}")
    return exit_code(done, len(files) - done)


def _measure(file: Path, pool: WorkerPool, target: str, flags: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    from llm_compiler.llvm import archive
    from llm_compiler.llvm.frontend import SOURCE_SUFFIXES, check_readable
    from llm_compiler.llvm.module import BITCODE_MAGIC

    check_readable(file)
    with file.open("rb") as opened:
        start = opened.read(8)
    if start.startswith(b"\x7fELF"):
        yield _object_record(str(file), "object", file.read_bytes())
    elif start in (archive.MAGIC, archive.THIN_MAGIC):
        for name, data in archive.members(file.read_bytes()):
            if data.startswith(b"\x7fELF"):
                yield _object_record(f"{file}({name})", "member", data)
    elif start[:4] in BITCODE_MAGIC or file.suffix in SOURCE_SUFFIXES:
        yield _source_record(file, pool, target, flags)
    else:
        raise InputError(f"{file} is no ELF file, archive, IR, bitcode, C or C++ file")


def _object_record(name: str, kind: str, data: bytes) -> dict[str, Any]:
    from llm_compiler.llvm.objectfile import measure

    found = measure(data)
    return {"input": name, "kind": kind, "bytes": found.total, "text_data": found.text_data,
            "sections": [{"name": section, "bytes": count} for section, count in found.sections]}


def _source_record(file: Path, pool: WorkerPool, target: str, flags: tuple[str, ...]) -> dict[str, Any]:
    from llm_compiler.llvm.frontend import IR_SUFFIXES, temporary_folder
    from llm_compiler.tuning.output import Kind, clang_output
    from llm_compiler.tuning.source import open_source

    with temporary_folder() as name:
        folder = Path(name)
        if file.suffix not in (IR_SUFFIXES | {".c", ".i", ".cc", ".cpp", ".cxx", ".c++", ".C", ".ii"}):
            # Bitcode under another name (clang -flto writes .o).
            (folder / "input.bc").write_bytes(file.read_bytes())
            given = folder / "input.bc"
        else:
            given = file
        source = open_source(given, folder, pool, target=target, cflags=flags)
        record = _object_record(str(file), "ir" if given.suffix in IR_SUFFIXES else "source",
                                clang_output(source, Kind.OBJECT, folder))
        optimised = folder / "oz.bc"
        optimised.write_bytes(clang_output(source, Kind.BITCODE, folder))
        record["functions"] = source.inspection.functions
        record["instructions"] = _instructions(source.bitcode, pool)
        record["instructions_oz"] = _instructions(optimised, pool)
    return record


def _instructions(bitcode: Path, pool: WorkerPool) -> int | None:
    from llm_compiler.llvm.job import Job
    from llm_compiler.llvm.pipeline import Candidate, PassList
    from llm_compiler.llvm.target import Lowering

    outcome = pool.run(Job(bitcode, Candidate(PassList()), Lowering(), lower=False, count=True))
    return outcome.measurement.instructions if outcome.measurement else None


def _plain(record: dict[str, Any]) -> str:
    lines = [f"{record['input']}: {record['bytes']} bytes, {record['text_data']} in .text and .data"
             + (" (the object of clang -Oz)" if "instructions" in record else "")]
    if "instructions" in record:
        lines.append(f"  {record['functions']} functions, {record['instructions']} IR instructions, "
                     f"{record['instructions_oz']} after -Oz")
    lines += [f"  {section['bytes']:>10}  {section['name']}" for section in record["sections"]]
    return "\n".join(lines)
