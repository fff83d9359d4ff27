"""Small corpora for tests: sources compiled to shards of modules."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from llm_compiler.corpus.schema import MODULES
from llm_compiler.corpus.shards import write_shard
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context, digest
from support import unoptimised


def module_row(folder: Path, package: str, file: str, text: str) -> dict[str, Any]:
    """A row of MODULES, from C or C++."""
    name = Path(file).name
    return bitcode_row(package, file, unoptimised(folder, name, text).read_bytes())


def bitcode_row(package: str, file: str, bitcode: bytes) -> dict[str, Any]:
    functions = instructions = 0
    triple = ""
    if bitcode[:2] == b"BC":
        with Context(library.load()) as context:
            module = context.parse(bitcode)
            functions, instructions, triple = len(module.functions()), module.count_instructions(), module.triple
    return {"module": digest(bitcode), "package": package, "version": "1.0-1", "licence": "MIT", "file": file,
            "language": "c++" if file.endswith((".cc", ".cpp")) else "c", "flags": [], "triple": triple,
            "functions": functions, "instructions": instructions, "bitcode": bitcode}


def make_corpus(folder: Path, packages: Mapping[str, Mapping[str, str]]) -> Path:
    """A corpus with a shard for every package: sources by file name."""
    corpus, scratch = folder / "corpus", folder / "scratch"
    scratch.mkdir()
    for package, files in packages.items():
        rows = [module_row(scratch, package, file, text) for file, text in files.items()]
        write_shard(corpus / "modules" / f"{package}-000.parquet", rows, MODULES, {})
    return corpus
