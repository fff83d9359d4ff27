"""`llmc corpus functions`, `llmc corpus stats`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from llm_compiler.cli.common import cores, need_corpus, resumable, say
from llm_compiler.cli.corpus import CorpusFolder, corpus_folder, filled_corpus


@resumable
def functions(
    corpus: CorpusFolder = None,
    exclude_like: Annotated[list[Path] | None, typer.Option(
        metavar="DIR", help="Refuse what resembles a function of this folder (C, C++, .ll, .bc).")] = None,
    splits: Annotated[Path | None, typer.Option(
        metavar="FILE", help="TOML with lists of packages named test, validation, train, over the rule.")] = None,
    jobs: Annotated[int | None, typer.Option("--jobs", "-j", metavar="N", min=1, show_default="one per core",
                                             help="Processes on this machine.")] = None,
    ray: Annotated[str | None, typer.Option(
        metavar="ADDRESS", help="Run on Ray: local, auto or HOST:PORT of a cluster that shares the folder.")] = None,
) -> int:
    """Extract the functions of all modules, drop duplicates and what must never be trained on, and set the splits.

    Whole packages are train, validation or test. Interrupted runs go on where they were.
    """
    need_corpus()
    from llm_compiler.corpus.functions import make_functions

    folder = filled_corpus(corpus)
    manifest = make_functions(folder, exclude_like=exclude_like or (), splits=splits, jobs=jobs or cores(),
                              ray=ray)
    counts = manifest.counts
    refused = sum(number for name, number in counts.items() if name.startswith("refused_"))
    print(f"{folder / 'functions'}: {counts.get('kept', 0)} functions of {counts.get('candidates', 0)} found: "
          f"{counts.get('exact_duplicates', 0)} exact and {counts.get('near_duplicates', 0)} near duplicates, "
          f"{refused} refused")
    unread = manifest.parameters["exclude_like_unread"]
    if unread:
        say(f"{len(unread)} files of the excluded folders do not compile and protect nothing, as {unread[0]}")
    for shard, reason in counts["failed_shards"].items():
        say(f"{shard}: {reason}")
    return 1 if counts["failed_shards"] else 0


def stats(
    corpus: CorpusFolder = None,
    plots: Annotated[Path | None, typer.Option(metavar="DIR", help="Write plots (PNG) to this folder.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Print what a corpus holds: packages, captured share, functions, duplicates, splits, sizes."""
    need_corpus()
    from llm_compiler.corpus import stats as figures

    found = figures.collect(corpus_folder(corpus))
    written = figures.plot(found, plots) if plots else []
    print(json.dumps(found.as_json(), indent=1) if as_json else figures.tables(found))
    for path in written:
        say(f"wrote {path}")
    return 0
