"""How long code is in tokens: our tokenizers on the compact form, Llama's on plain text; what fits into a context.

    python benchmarks/llama_tokenizer.py llama.json
    python benchmarks/tokens.py --corpus DIR --functions 1500 --modules 300 llama.json ours=tok/tokenizer.json …

Unoptimised IR of functions and whole modules (translation units), drawn from all splits. A tokenizer.json that is
named as NAME=FILE reads the compact form, one without a name plain IR.
"""

from __future__ import annotations

import argparse
import random
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from llm_compiler.corpus.shards import read_shards
from llm_compiler.errors import LlmcError
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.lowering import text_of
from llm_compiler.tasks.units import function_shards, kept_modules, module_shards

CONTEXTS = (2048, 8192, 16_384)


def drawn(paths: list[Path], column: str, count: int, kept: set[str] | None) -> Iterator[Any]:
    """A column of `count` rows, drawn by a fixed seed."""
    places = [(path, number) for path in paths for number, row in enumerate(read_shards(path, ["module"]))
              if kept is None or row["module"] in kept]
    chosen = set(random.Random(0).sample(places, min(count, len(places))))
    for path in paths:
        for number, row in enumerate(read_shards(path, [column])):
            if (path, number) in chosen:
                yield row[column]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizers", nargs="+")
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--functions", type=int, default=1500)
    parser.add_argument("--modules", type=int, default=300)
    parser.add_argument("--largest", type=int, default=4_000_000, help="bytes of a text; larger ones fit into nothing")
    arguments = parser.parse_args()
    named = [(text.rpartition("=")[0], text.rpartition("=")[2]) for text in arguments.tokenizers]
    loaded = [(name, Path(path).stem, Tokenizer.from_file(path)) for name, path in named]
    kept = set(kept_modules(arguments.corpus))
    kinds = {"functions": drawn(function_shards(arguments.corpus), "ir", arguments.functions, None),
             "translation units": map(text_of, drawn(module_shards(arguments.corpus), "bitcode", arguments.modules,
                                                     kept))}
    print("| programs | tokenizer | text | median | mean | " + " | ".join(f"fit {size:,}" for size in CONTEXTS) + " |")
    print("|---" * (5 + len(CONTEXTS)) + "|")
    for kind, texts in kinds.items():
        lengths: list[list[int]] = [[] for _ in loaded]
        for plain in texts:
            fits = len(plain) <= arguments.largest
            try:
                short = compact(plain) if fits else ""
            except LlmcError:
                continue
            for found, (name, _, tokenizer) in zip(lengths, loaded, strict=True):
                found.append(len(tokenizer.encode(short if name else plain, add_special_tokens=False).ids) if fits
                             else arguments.largest)
        for found, (name, stem, _) in zip(lengths, loaded, strict=True):
            shares = [f"{100 * sum(length <= size for length in found) / len(found):.1f} %" for size in CONTEXTS]
            print(f"| {len(found):,} {kind} | {name or stem} | {'compact' if name else 'plain'} | "
                  f"{statistics.median(found):,.0f} | {statistics.mean(found):,.0f} | {' | '.join(shares)} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
