"""`llmc dataset`: what is done with finished datasets."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from llm_compiler.cli.common import need_corpus, say
from llm_compiler.errors import InputError

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True,
                  help="Make, check and export datasets.")

_Folder = Annotated[Path, typer.Argument(metavar="FOLDER", help="A dataset: shards and manifest.json.")]
_Tokenizer = Annotated[Path, typer.Option("--tokenizer", metavar="FILE",
                                          help="tokenizer.json of the tokenizers library.")]


@app.command("export")
def export(
    folder: _Folder,
    tokenizer: _Tokenizer,
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")],
    form: Annotated[str, typer.Option(help="`reference` or `compact` prompts.")] = "reference",
    max_tokens: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most N tokens of each split.")] = None,
    max_length: Annotated[int | None, typer.Option(
        metavar="N", min=1, help="Leave out documents of more than N tokens.")] = None,
    shard_mb: Annotated[float, typer.Option(metavar="MB", min=0.1, help="Largest size of a file.")] = 56,
    end: Annotated[str | None, typer.Option(metavar="TOKEN",
                                            help="The token that ends a document; found by its usual names.",
                                            show_default=False)] = None,
    shared_answers: Annotated[float | None, typer.Option(
        metavar="SHARE", min=0, max=1, show_default=False,
        help="Of flag tuning: programs with a gain alone, answered with the commonest list that saves this share of "
             "what their best list saves.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> int:
    """Write a dataset as tokenised shards for a training job elsewhere.

    Each file is zstd-compressed and at most 56 MB; tokenizer.json and, last, manifest.json are written beside them.
    """
    need_corpus()
    from llm_compiler.corpus.tokens import export as write
    from llm_compiler.tasks.labels.answers import SharedAnswers

    done = write(folder, tokenizer, output, form=form, max_tokens=max_tokens, max_length=max_length,
                 shard_bytes=int(shard_mb * 1_000_000), end=end,
                 answers=None if shared_answers is None else SharedAnswers.of(folder, shared_answers))
    if as_json:
        print(json.dumps(asdict(done), indent=1))
    else:
        for split, tokens in sorted(done.tokens.items()):
            print(f"{split}: {done.documents[split]} documents, {tokens} tokens")
        size = sum(shard.bytes for shard in done.shards)
        say(f"{len(done.shards)} files, {size / 1e6:.1f} MB, in {output}; {done.too_long} documents too long")
    return 0


@app.command("tokenizer")
def tokenizer(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Datasets: shards and manifest.json.")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Where tokenizer.json goes.")],
    size: Annotated[int, typer.Option(metavar="N", min=300, help="Tokens.")] = 16_384,
    megabytes: Annotated[float, typer.Option(
        metavar="MB", min=0.01, help="Text of each dataset's training split that is read at most.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print the lengths as JSON.")] = False,
) -> int:
    """Train a byte-level BPE on the compact form of datasets, and print how long their examples are in it."""
    need_corpus()
    from llm_compiler.corpus.tokens import compact_texts
    from llm_compiler.models import tokenizer as tokenizers

    limit = int(megabytes * 1_000_000)
    made = tokenizers.train((text for folder in folders for text in compact_texts(folder, limit)), size)
    tokenizers.save(made, output)
    found = {str(folder): tokenizers.measure(made, compact_texts(folder, limit // 10, split="validation"))
             for folder in folders}
    if as_json:
        print(json.dumps({name: asdict(lengths) for name, lengths in found.items()}, indent=1))
        return 0
    print(f"{output}: {made.get_vocab_size()} tokens")
    for name, lengths in found.items():
        fits = ", ".join(f"{100 * share:.1f} % within {limit}" for limit, share in lengths.fits.items())
        print(f"{name}: median {lengths.median} tokens an example, {lengths.bytes / lengths.tokens:.2f} bytes a token, "
              f"{fits}")
    return 0


@app.command("tokens")
def tokens(
    folder: _Folder,
    tokenizer: _Tokenizer,
    name: Annotated[str | None, typer.Option(help="What to call the tokenizer; default the file's name.")] = None,
) -> int:
    """Count a dataset's tokens and write the numbers into its manifest and its card."""
    need_corpus()
    from llm_compiler.corpus.tokens import add_token_counts

    manifest = add_token_counts(folder, tokenizer, name)
    print(json.dumps(manifest.counts["tokens"][name or tokenizer.stem], indent=1))
    return 0


@app.command("verify")
def verify(folder: _Folder) -> int:
    """Compare a dataset's shards with its manifest: exit 1 and a line for each that is missing or damaged."""
    need_corpus()
    from llm_compiler.corpus.shards import Manifest

    manifest = Manifest.read(folder)
    problems = manifest.verify(folder)
    for problem in problems:
        print(problem)
    say(f"{len(manifest.shards) - len(problems)} of {len(manifest.shards)} shards are as the manifest says")
    return 1 if problems else 0


@app.command("card")
def card(folder: _Folder) -> int:
    """Write README.md, the dataset's card, from its manifest."""
    need_corpus()
    from llm_compiler.corpus.card import write_card
    from llm_compiler.corpus.shards import Manifest

    if not folder.is_dir():
        raise InputError(f"there is no folder {folder}")
    print(write_card(folder, Manifest.read(folder)))
    return 0
