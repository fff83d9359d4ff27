"""A dataset's card: README.md with the front matter that `datasets.load_dataset(folder)` reads, made from the manifest.

What a task wants to say of itself stands in the manifest's parameters: `about` (a paragraph) and `commands` (the lines
that make the dataset). `excluded` among the counts says what was left out, by reason; `tokens`, by tokenizer.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from llm_compiler.corpus.schema import TEST, TRAIN, VALIDATION
from llm_compiler.corpus.shards import Manifest
from llm_compiler.paths import write_atomically

CARD = "README.md"
_TOLD = ("about", "commands")
_PACKAGES = 300


def write_card(folder: Path, manifest: Manifest) -> Path:
    """Write the card of a dataset beside its manifest. Equal manifests give equal cards."""
    write_atomically(folder / CARD, card(folder, manifest).encode())
    return folder / CARD


def card(folder: Path, manifest: Manifest) -> str:
    """The card's text; the folder is looked at for the columns and for shards that are not of this dataset."""
    counts, parameters = manifest.counts, manifest.parameters
    rows = sum(shard.rows for shard in manifest.shards)
    size = sum(shard.bytes for shard in manifest.shards)
    parts = [_front_matter(folder, manifest, rows), f"# {manifest.task}"]
    if parameters.get("about"):
        parts.append(str(parameters["about"]).strip())
    parts.append(f"{_number(rows)} examples of {_number(len(manifest.packages))} packages in "
                 f"{_number(len(manifest.shards))} shards, {size / 1e6:,.1f} MB. Made by {manifest.created_by}.")
    splits = counts.get("splits", {})
    if splits:
        parts.append("## Splits\n\nPackages are in one split only.\n\n"
                     + _table(("split", "examples"), ((name, _number(splits[name])) for name in _ordered(splits))))
    if counts.get("tokens"):
        parts.append("## Tokens\n\n" + _table(
            ("tokenizer", "split", "prompt", "answer"),
            ((f"`{name}`", split, _number(found[split]["prompt"]), _number(found[split]["answer"]))
             for name, found in sorted(counts["tokens"].items()) for split in _ordered(found))))
    others = {name: value for name, value in counts.items() if name not in ("rows", "splits", "tokens", "excluded")}
    if others:
        parts.append("## Counts\n\n" + _table(("what", "number"), _flat(others)))
    if counts.get("excluded"):
        excluded = counts["excluded"]
        flat = _flat(excluded) if isinstance(excluded, dict) else [("all", _number(excluded))]
        parts.append("## Left out\n\n" + _table(("reason", "number"), flat))
    parts.append("## Columns\n\n" + _table(("column", "type"), ((f"`{field.name}`", f"`{field.type}`")
                                                                for field in _schema(folder, manifest))))
    if manifest.packages:
        parts.append(_sources(manifest))
    if parameters.get("commands"):
        commands = parameters["commands"]
        lines = [commands] if isinstance(commands, str) else commands
        parts.append("## Made again by\n\n```sh\n" + "\n".join(lines) + "\n```")
    told = {name: value for name, value in parameters.items() if name not in _TOLD}
    if told:
        parts.append("## Parameters\n\n```json\n" + json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False)
                     + "\n```")
    parts.append("`manifest.json` lists every shard with its SHA-256; `llmc dataset verify FOLDER` compares them.")
    return "\n\n".join(parts) + "\n"


def _front_matter(folder: Path, manifest: Manifest, rows: int) -> str:
    lines = ["---", f"pretty_name: {json.dumps(manifest.task)}", "license: other", "tags:", "- llvm", "- compilers",
             f"size_categories:\n- {_category(rows)}"]
    present = {path.name for path in folder.glob("*.parquet")}
    by_split: dict[str, list[str]] = {}
    rows_of: Counter[str] = Counter()
    for shard in manifest.shards:
        split, dash, _ = shard.name.partition("-")
        split = split if split in (TRAIN, VALIDATION, TEST) and dash else ""
        by_split.setdefault(split, []).append(shard.name)
        rows_of[split] += shard.rows
    # `datasets` fails over a split without examples.
    filled = [split for split in _ordered(by_split) if rows_of[split]]
    lines += ["configs:", "- config_name: default", "  data_files:"] if filled else []
    for split in filled:
        lines.append(f"  - split: {split or TRAIN}")
        pattern = f"{split}-*.parquet" if split else "*.parquet"
        matched = {name for name in present if not split or name.startswith(f"{split}-")}
        if matched == set(by_split[split]):
            lines.append(f"    path: {json.dumps(pattern)}")
        else:  # other shards lie about: each is named
            lines += ["    path:", *(f"    - {json.dumps(name)}" for name in by_split[split])]
    return "\n".join([*lines, "---"])


def _category(rows: int) -> str:
    for limit, name in ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
                        (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M")):
        if rows < limit:
            return name
    return "100M<n<1B"


def _sources(manifest: Manifest) -> str:
    licences: Counter[str] = Counter()
    for package in manifest.packages.values():
        licences[package["licence"] or "unknown"] += package["rows"]
    text = "## Sources\n\nThe examples are derived from these packages and stay under their licences.\n\n"
    text += _table(("licence", "examples"), ((name, _number(rows)) for name, rows in _by_number(licences)))
    packages = sorted(manifest.packages.items(), key=lambda item: (-item[1]["rows"], item[0]))
    text += "\n\n" + _table(("package", "version", "licence", "examples"), (
        (name or "unknown", package["version"], package["licence"] or "unknown", _number(package["rows"]))
        for name, package in packages[:_PACKAGES]))
    if len(packages) > _PACKAGES:
        text += f"\n\nand {_number(len(packages) - _PACKAGES)} more, in `manifest.json`."
    return text


def _schema(folder: Path, manifest: Manifest) -> Iterable[pa.Field]:
    return list(pq.read_schema(folder / manifest.shards[0].name)) if manifest.shards else []


def _ordered(splits: Mapping[str, Any]) -> list[str]:
    known = [TRAIN, VALIDATION, TEST]
    return sorted(splits, key=lambda name: (known.index(name) if name in known else len(known), name))


def _by_number(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _flat(counts: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for name, value in sorted(counts.items()):
        if isinstance(value, dict):
            yield from _flat(value, f"{before}{name}: ")
        else:
            yield f"{before}{name}", _number(value)


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int | float) else str(value)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in line) + " |"
                     for line in lines)
