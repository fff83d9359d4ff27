"""`llmc dataset pretraining`, `emulation` and `disassembly`: examples from the code of a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_compiler.cli.common import command_again, cores, need_corpus, resumable, say
from llm_compiler.cli.corpus import CorpusFolder, filled_corpus
from llm_compiler.errors import InputError

if TYPE_CHECKING:
    from llm_compiler.corpus.shards import Manifest

_Output = Annotated[Path | None, typer.Option(
    "-o", "--output", metavar="DIR", show_default=False,
    help="Where the dataset goes; datasets/TASK of the corpus unless said.")]
Jobs = Annotated[int | None, typer.Option(
    "-j", "--jobs", metavar="N", min=1, show_default="one per core", help="Processes.")]
Ray = Annotated[str | None, typer.Option(
    metavar="ADDRESS", show_default=False, help="Work on a Ray cluster: local, auto or HOST:PORT.")]
_Tokenizer = Annotated[Path | None, typer.Option(
    metavar="FILE", show_default=False,
    help="tokenizer.json that lengths are counted with; 2.5 bytes are a token unless given.")]
Json = Annotated[bool, typer.Option("--json", help="Print the manifest's counts as JSON.")]
_Share = Annotated[float, typer.Option(metavar="SHARE", min=0.0, max=1.0, help="Share that is for AArch64.")]


@resumable
def pretraining(
    ctx: typer.Context,
    corpus: CorpusFolder = None,
    output: _Output = None,
    levels: Annotated[str, typer.Option(
        metavar="LIST", help="Optimisation levels that an input's are drawn from.")] = "O0,O1,O2,O3,Os,Oz",
    draws: Annotated[int, typer.Option(metavar="N", min=1, help="Levels drawn for an input.")] = 2,
    aarch64_share: _Share = 0.15,
    functions: Annotated[bool, typer.Option(help="Take functions.")] = True,
    modules: Annotated[bool, typer.Option(help="Take whole modules.")] = True,
    text: Annotated[Path | None, typer.Option(
        metavar="DIR", show_default=False, help="A folder of text and code to mix in.")] = None,
    text_share: Annotated[float, typer.Option(
        metavar="SHARE", min=0.0, max=0.99, help="Share of the bytes that is such text.")] = 0.15,
    jobs: Jobs = None,
    ray: Ray = None,
    as_json: Json = False,
) -> int:
    """Write IR at several optimisation levels and assembly for x86-64 and AArch64, as documents.

    The same command again goes on where an earlier one ended.
    """
    need_corpus()
    from llm_compiler.tasks.pretraining import TASK, PretrainingOptions, build

    options = PretrainingOptions(tuple(levels.split(",")), draws, aarch64_share, functions, modules, text, text_share)
    folder = filled_corpus(corpus, functions=True)
    target = output or folder / "datasets" / TASK
    return _show(build(folder, target, options, jobs=jobs or cores(), ray=ray, command=command_again(ctx)), target,
                 as_json)


@resumable
def emulation(
    ctx: typer.Context,
    corpus: CorpusFolder = None,
    output: _Output = None,
    functions: Annotated[bool, typer.Option(help="Take functions.")] = True,
    modules: Annotated[bool, typer.Option(help="Take whole modules.")] = True,
    lists: Annotated[int, typer.Option(metavar="N", min=1, help="Pass lists for an input.")] = 1,
    seconds: Annotated[float, typer.Option(metavar="S", min=1.0, help="Time for one list.")] = 120.0,
    profile: Annotated[str, typer.Option(
        metavar="PROFILE", help="How sizes are taken: paper, codegen level -O0, or deploy, as -Oz lowers.")] = "paper",
    limit: Annotated[int, typer.Option(
        metavar="N", min=64, help="Leave out examples of more tokens, prompt and answer together.")] = 16_384,
    tokenizer: _Tokenizer = None,
    jobs: Jobs = None,
    ray: Ray = None,
    as_json: Json = False,
) -> int:
    """Write unoptimised IR with random pass lists, answered with what LLVM makes of it.

    The same command again goes on where an earlier one ended.
    """
    need_corpus()
    from llm_compiler.llvm.target import Profile
    from llm_compiler.tasks.emulation import TASK, EmulationOptions, build

    if profile not in tuple(Profile):
        raise InputError(f"unknown profile '{profile}'; use {' or '.join(Profile)}")
    options = EmulationOptions(functions, modules, lists, seconds, Profile(profile), limit, tokenizer)
    folder = filled_corpus(corpus, functions=True)
    target = output or folder / "datasets" / TASK
    return _show(build(folder, target, options, jobs=jobs or cores(), ray=ray, command=command_again(ctx)), target,
                 as_json)


@resumable
def disassembly(
    ctx: typer.Context,
    corpus: CorpusFolder = None,
    output: _Output = None,
    codegen: Annotated[str, typer.Option(metavar="LIST", help="Code generation levels.")] = "O0,Oz",
    style: Annotated[str, typer.Option(
        metavar="LIST", help="assembly: as clang prints it; listing: as a disassembler shows a linked file."
    )] = "assembly,listing",
    aarch64_share: _Share = 0.15,
    limit: Annotated[int, typer.Option(
        metavar="N", min=64, help="Leave out assembly or IR of more tokens.")] = 8192,
    tokenizer: _Tokenizer = None,
    jobs: Jobs = None,
    ray: Ray = None,
    as_json: Json = False,
) -> int:
    """Write assembly of functions, answered with the -Oz IR that it was lowered from.

    The same command again goes on where an earlier one ended.
    """
    need_corpus()
    from llm_compiler.tasks.disassembly import TASK, DisassemblyOptions, build

    options = DisassemblyOptions(tuple(codegen.split(",")), tuple(style.split(",")), aarch64_share, limit, tokenizer)
    folder = filled_corpus(corpus, functions=True)
    target = output or folder / "datasets" / TASK
    return _show(build(folder, target, options, jobs=jobs or cores(), ray=ray, command=command_again(ctx)), target,
                 as_json)


def _show(manifest: Manifest, target: Path, as_json: bool) -> int:
    counts = manifest.counts
    if as_json:
        print(json.dumps(counts, indent=1))
    else:
        for split, rows in counts.get("splits", {}).items():
            print(f"{split}: {rows} examples")
        for reason, number in counts["excluded"].items():
            print(f"left out, {reason}: {number}")
        say(f"{counts['rows']} examples in {target}")
    return 0 if counts["rows"] and "failed units" not in counts["excluded"] else 1
