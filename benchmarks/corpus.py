"""Translation units of the packages that `sources.py` fetched, for the other benchmarks."""

from __future__ import annotations

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

_DROPPED_WITH_VALUE = {"-o", "-MF", "-MT", "-MQ"}
_LEVELS = {"-O0", "-O1", "-O2", "-O3", "-Os", "-Oz", "-O", "-g"}


@dataclass(frozen=True)
class Unit:
    """A translation unit: its package, source and the flags that the front end needs, paths made absolute."""

    package: str
    source: Path
    flags: tuple[str, ...]

    @property
    def name(self) -> str:
        return f"{self.package}/{self.source.name}"


def sources_folder() -> Path:
    """LLMC_SOURCES, else the cache folder of `sources.py`."""
    named = os.environ.get("LLMC_SOURCES")
    return Path(named) if named else Path.home() / ".cache" / "llm-compiler" / "sources"


def units(packages: list[str] | None = None) -> list[Unit]:
    """Every unit of the packages (all that were fetched when None), in a fixed order."""
    found: list[Unit] = []
    for file in sorted(sources_folder().glob("*/compile_commands.json")):
        package = file.parent.name
        if packages is not None and package not in packages:
            continue
        for entry in json.loads(file.read_text()):
            source = Path(entry["file"])
            if source.exists():
                found.append(Unit(package, source, _flags(entry["arguments"][1:], entry["directory"], source)))
    return found


def _flags(arguments: list[str], folder: str, source: Path) -> tuple[str, ...]:
    kept: list[str] = []
    words = iter(arguments)
    for word in words:
        if word in _DROPPED_WITH_VALUE:
            next(words, None)
        elif word == "-c" or word in _LEVELS or word.startswith(("-M", "-Wp,")):
            continue
        elif word in ("-I", "-isystem", "-iquote", "-include"):
            kept += [word, os.path.normpath(os.path.join(folder, next(words, "")))]
        elif word.startswith("-I"):
            kept.append("-I" + os.path.normpath(os.path.join(folder, word[2:])))
        elif word.startswith("-") or (Path(folder) / word).resolve() != source.resolve():
            kept.append(word)
    return tuple(kept)


def sample(found: list[Unit], count: int, seed: int) -> list[Unit]:
    """At most `count` units, the same number from every package as far as it has them."""
    rng = random.Random(seed)
    by_package: dict[str, list[Unit]] = {}
    for unit in found:
        by_package.setdefault(unit.package, []).append(unit)
    for group in by_package.values():
        rng.shuffle(group)
    chosen: list[Unit] = []
    while len(chosen) < count and any(by_package.values()):
        for package in sorted(by_package):
            if by_package[package] and len(chosen) < count:
                chosen.append(by_package[package].pop())
    return chosen
