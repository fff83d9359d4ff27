"""`llmc dataset flags`: tuned pass lists for the programs of a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_compiler.cli.common import command_again, cores, need_corpus, resumable, say, seconds
from llm_compiler.cli.corpus import CorpusFolder, filled_corpus
from llm_compiler.cli.dataset_tasks import Jobs, Json, Ray
from llm_compiler.errors import InputError

if TYPE_CHECKING:
    from llm_compiler.corpus.shards import Manifest


@resumable
def flags(
    ctx: typer.Context,
    corpus: CorpusFolder = None,
    output: Annotated[Path | None, typer.Option(
        "-o", "--output", metavar="DIR", show_default=False,
        help="Where the dataset goes; datasets/flags of the corpus unless said.")] = None,
    profile: Annotated[str, typer.Option(
        metavar="PROFILE", help="deploy: lower as `clang -Oz` does; paper: at codegen level -O0; both.")] = "deploy",
    functions: Annotated[int, typer.Option(metavar="N", min=0, help="Functions to label.")] = 20_000,
    modules: Annotated[int, typer.Option(metavar="N", min=0, help="Whole modules to label.")] = 3_000,
    largest: Annotated[int, typer.Option(
        metavar="N", min=1, help="IR instructions of a program at most.")] = 4_000,
    largest_function: Annotated[int, typer.Option(
        metavar="N", min=1, help="IR instructions of a single function at most.")] = 1_000,
    lists: Annotated[int, typer.Option(metavar="N", min=1, help="Pass lists that every program is tried with.")] = 100,
    sample: Annotated[float, typer.Option(
        metavar="SHARE", help="Share of the programs that is searched for these lists.")] = 0.1,
    search_evaluations: Annotated[int, typer.Option(
        metavar="N", min=1, help="Evaluations of each such search.")] = 400,
    refine: Annotated[int, typer.Option(
        metavar="N", min=0, help="Evaluations of the search that goes on from a program's best lists.")] = 120,
    options: Annotated[int, typer.Option(
        metavar="N", min=0, help="Sets of code-generation options tried on a program's best list.")] = 12,
    verify: Annotated[str, typer.Option(
        metavar="LEVEL", help="Run changed functions beside clang's: quick, full or off.")] = "quick",
    run_options: Annotated[bool, typer.Option(
        help="Run the best object with options, too, which takes as long again.")] = True,
    suite: Annotated[list[str] | None, typer.Option(
        metavar="SUITE", show_default=False,
        help="What a list must pass, as for `llmc check`, or none; own, and humaneval where it is found, unless said. "
             "May be given several times.")] = None,
    labels: Annotated[Path | None, typer.Option(
        metavar="FILE", show_default=False,
        help="Take the labels of an earlier run, for the programs of this corpus that it knows, and search "
             "nothing.")] = None,
    extend: Annotated[Path | None, typer.Option(
        metavar="FILE", show_default=False,
        help="Add to the labels of an earlier run: its lists are tried on the programs that it does not know.")] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="Decides which programs are chosen.")] = 0,
    jobs: Jobs = None,
    ray: Ray = None,
    time_budget: Annotated[str | None, typer.Option(
        metavar="TIME", show_default=False,
        help="Stop after this time (30m, 2h) with the labels that are done.")] = None,
    as_json: Json = False,
) -> int:
    """Find the pass list that makes each program smallest, and write prompts and answers.

    A sample is searched; the lists found are checked on programs that test themselves and tried on every program; a
    short search follows where they differ; what is smallest is run beside clang's -Oz. The labels alone are left in
    work/labels/labels.parquet of the corpus. The same command again goes on where an earlier one ended.
    """
    need_corpus()
    from llm_compiler.llvm.target import Profile
    from llm_compiler.tasks.flags import FlagOptions, build, export
    from llm_compiler.tasks.labels.lists import default_suite
    from llm_compiler.validation.differential import Level

    if profile not in (*Profile, "both"):
        raise InputError(f"unknown profile '{profile}'; use {', '.join(Profile)} or both")
    names = tuple(dict.fromkeys(suite)) if suite else default_suite()
    chosen = FlagOptions(
        profiles=tuple(Profile) if profile == "both" else (Profile(profile),), functions=functions, modules=modules,
        largest=largest, largest_function=largest_function, lists=lists, sample=sample,
        search_evaluations=search_evaluations, refine=refine, options=options, verify=Level.parse(verify),
        run_options=run_options, suite=() if names == ("none",) else names, seed=seed, jobs=jobs or cores(), ray=ray,
        time_budget=None if time_budget is None else seconds(time_budget))
    if labels is not None and extend is not None:
        raise InputError("--labels searches nothing and --extend adds to what is there; give one of them")
    folder = filled_corpus(corpus, functions=True)
    target = output or folder / "datasets" / "flags"
    if labels is not None:
        manifest = export(folder, target, labels, chosen, say, command_again(ctx))
    else:
        manifest = build(folder, target, chosen, say, command_again(ctx), extend)
    print(json.dumps(manifest.counts, indent=1) if as_json else _plain(manifest, target))
    return 0 if manifest.parameters["complete"] else 1


def _plain(manifest: Manifest, target: Path) -> str:
    lines = [f"{manifest.counts['rows']} examples in {target}"]
    profiles: dict[str, dict[str, Any]] = manifest.counts["profiles"]
    for name, record in profiles.items():
        lines.append(
            f"{name}: {record['labels']} labels, {record['verified labels']} verified; "
            f"{record['gain, per cent']:.2f} % below -Oz, {record['gain with options, per cent']:.2f} % with options; "
            f"{record['compilations a label']:.0f} compilations and "
            f"{record['processor milliseconds a label']:.0f} ms of processor time a label")
    return "\n".join(lines)
