"""From modules to unique functions: `llmc corpus functions`.

(a) map: each shard of modules gives one of candidates, every function by itself with hash and signature, in parallel.
(b) reduce: one pass over the candidates, test packages first, then validation, then train: what resembles a function
seen before is left out, so that no near duplicate of a test function stays in train.
(c) what is left, the status of every module, and a manifest, written last.

(a) resumes shard by shard. (b) and (c) are one fast pass, done anew; its result depends on the modules, the exclusions
and the splits.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_compiler.corpus import engine
from llm_compiler.corpus.canonical import canonical_hash, shingles
from llm_compiler.corpus.duplicates import NEAR, Index, signature
from llm_compiler.corpus.exclusion import Exclusion
from llm_compiler.corpus.extraction import extract
from llm_compiler.corpus.moduletext import ModuleText
from llm_compiler.corpus.schema import FUNCTIONS, MODULE_STATUS, MODULE_STATUS_FILE, MODULES, PROVENANCE
from llm_compiler.corpus.shards import (
    MANIFEST,
    Manifest,
    ShardInfo,
    read_shards,
    shard_metadata,
    shard_paths,
    write_shard,
)
from llm_compiler.corpus.splits import ORDER, Splits
from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.job import Limits, Reading
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.worker import WorkerPool

_VERSION = "1"  # of what (a) makes; part of the units' keys
_SEEN_SHARE = 0.8  # of a module's instructions in functions seen before, from which it is a duplicate
_SHARD_TEXT = 96 << 20  # characters of IR in a shard, about 10 MB compressed
_DISCARDABLE = ("linkonce_odr", "linkonce")
_HISTOGRAM = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
_RENUMBERED = re.compile(r"[#!]\d+|@\.str[.\d]*")

# A function; or, with an empty hash, the end of a module: `instructions` and `skipped` of what was left out because the
# same shard has it in an earlier module, and `problem` when LLVM could not read it.
CANDIDATES = pa.schema([
    pa.field("function", pa.string()),
    pa.field("name", pa.string()),
    pa.field("module", pa.string()),
    *PROVENANCE,
    pa.field("instructions", pa.int32()),
    pa.field("signature", pa.binary()),
    pa.field("ir", pa.string()),
    pa.field("skipped", pa.int32()),
    pa.field("problem", pa.string()),
])


# --- (a) candidates --------------------------------------------------------------------------------------------------


def text_of(data: bytes) -> str:
    """Bitcode or IR text as LLVM prints it, without names of values. For a worker."""
    with Context(library.load()) as context:
        module = context.parse(data)
        if data[:2] not in (b"BC", b"\xde\xc0"):
            module = context.parse(module.bitcode())
        return module.text()


class Candidates:
    """The work of (a): the payload is a shard of modules."""

    schema = CANDIDATES
    limits = Limits(seconds=120.0)

    def rows(self, payload: str, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        seen: defaultdict[str, set[int]] = defaultdict(set)
        columns = [name for name in MODULES.names if name not in ("flags", "triple", "functions", "instructions")]
        with tempfile.NamedTemporaryFile(suffix=".bc") as file:
            for module in read_shards(Path(payload), columns, batch=8):
                file.seek(0)
                file.truncate()
                file.write(module.pop("bitcode"))
                file.flush()
                counts["modules"] += 1
                outcome = pool.run(Reading(Path(file.name), text_of))
                problem = ""
                skipped = instructions = 0
                if isinstance(outcome.value, str):
                    for row, left_out in _functions(outcome.value, seen, counts):
                        if row is not None:
                            yield {**module, **row, "skipped": 0, "problem": ""}
                        skipped += left_out > 0
                        instructions += left_out
                else:
                    problem = f"LLVM: {outcome.status}: {' '.join(outcome.message.split())[:200]}"
                    counts["unreadable_modules"] += 1
                yield {**module, "function": "", "name": "", "instructions": instructions, "signature": b"", "ir": "",
                       "skipped": skipped, "problem": problem}


def _functions(
    text: str, seen: defaultdict[str, set[int]], counts: Counter[str]
) -> Iterator[tuple[dict[str, Any] | None, int]]:
    """A row for every function, or none and the number of instructions for one that an earlier module has, too.

    A name that may be defined in many modules stands for one definition: where the texts are equal, what they refer to
    by number needs no look.
    """
    module = ModuleText(text)
    for symbol in module.names():
        counts["candidates"] += 1
        if module.linkage(symbol) in _DISCARDABLE:
            key = zlib.crc32(_RENUMBERED.sub("", "".join(module.raw(symbol))).encode())
            if key in seen[symbol]:
                counts["repeated"] += 1
                yield None, max(1, module.instructions(symbol))
                continue
            seen[symbol].add(key)
        try:
            function = extract(module, symbol)
        except InputError:
            counts["not_extracted"] += 1
            continue
        yield {"function": canonical_hash(function), "name": function.name, "instructions": function.instructions,
               "signature": signature(shingles(function)), "ir": function.text}, 0


# --- (b) and (c) -----------------------------------------------------------------------------------------------------


@dataclass
class _Module:
    """A module's candidates, together."""

    end: dict[str, Any]
    functions: list[dict[str, Any]]
    split: str


@dataclass
class _Reducer:
    """What the pass knows and counts."""

    index: Index
    exclusion: Exclusion
    splits: Splits
    counts: Counter[str] = field(default_factory=Counter)
    packages: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    languages: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    by_split: defaultdict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    histogram: Counter[str] = field(default_factory=Counter)
    modules: list[dict[str, Any]] = field(default_factory=list)

    def add(self, key: str, module: _Module, number: int = 1) -> None:
        self.counts[key] += number
        self.packages[module.end["package"]][key] += number
        self.languages[module.end["language"]][key] += number
        self.by_split[module.split][key] += number

    def kept(self, module: _Module) -> Iterator[dict[str, Any]]:
        """The rows of a module's functions that are new; its status is noted."""
        number = len(self.modules)
        total = len(module.functions) + module.end["skipped"]
        self.add("modules", module)
        self.add("candidates", module, total)
        why = self._refused(module)
        if why:
            cause, reason = why
            self.add(f"refused_{cause}", module, total)
            self.add("modules_refused", module)
            self._note(module, "refused", reason, 0)
            return
        self.add("exact_duplicates", module, module.end["skipped"])
        seen = module.end["instructions"]
        everything = seen + sum(row["instructions"] for row in module.functions)
        new = 0
        for row in module.functions:
            if self.exclusion.function(row["signature"]):
                self.add("refused_fingerprint", module)
                continue
            first = self.index.exact(row["function"])
            key = "exact_duplicates"
            if first is None:
                self.add("unique", module)
                first = self.index.near(row["signature"])
                key = "near_duplicates"
                self.index.add_exact(row["function"], number if first is None else first)
            if first is not None:
                self.add(key, module)
                seen += row["instructions"] if first != number else 0
                continue
            self.index.add_near(row["signature"], number)
            self.add("kept", module)
            self.histogram[_size_class(row["instructions"])] += 1
            new += 1
            yield {name: row[name] for name in FUNCTIONS.names if name != "split"} | {"split": module.split}
        if everything and seen >= _SEEN_SHARE * everything:
            self.add("modules_duplicate", module)
            self._note(module, "duplicate", f"{100 * seen / everything:.0f} % of its instructions seen before", new)
        else:
            self.add("modules_kept", module)
            self._note(module, "kept", "", new)

    def _refused(self, module: _Module) -> tuple[str, str] | None:
        """Why nothing of a module may be used: what found it, and a sentence."""
        end = module.end
        if end["problem"]:
            return "unreadable", end["problem"]
        if reason := self.exclusion.package(end["package"]):
            return "package", reason
        if reason := self.exclusion.path(end["file"]):
            return "path", reason
        sized = [row for row in module.functions if row["signature"]]
        like = [found for row in sized if (found := self.exclusion.function(row["signature"]))]
        if like and 2 * len(like) >= len(sized):
            return "fingerprint", f"{len(like)} of {len(sized)} functions: {like[0]}"
        return None

    def _note(self, module: _Module, status: str, detail: str, new: int) -> None:
        self.modules.append({"module": module.end["module"], "package": module.end["package"], "split": module.split,
                             "status": status, "detail": detail, "new_functions": new})


def _size_class(instructions: int) -> str:
    bound = next((bound for bound in _HISTOGRAM if instructions <= bound), None)
    return f"<={bound}" if bound else f">{_HISTOGRAM[-1]}"


def make_functions(
    corpus: Path, *, exclude_like: Sequence[Path] = (), jobs: int = 1, ray: str | None = None,
    splits: Path | None = None, on_progress: Callable[[engine.Report], None] | None = None,
) -> Manifest:
    """Fill `functions/` of a corpus from its `modules/`; the manifest that was written.

    exclude_like: folders whose functions must not be in the corpus. splits: see `Splits.load`. Raises InputError.
    """
    shards = shard_paths(corpus / "modules")
    if not shards:
        raise InputError(f"{corpus / 'modules'} holds no modules; record a build or add sources first")
    rule = Splits.load(splits)
    exclusion = Exclusion.load(exclude_like, jobs=jobs, cache=corpus / "work" / "exclusions")
    units: dict[str, Path] = {}
    for shard in shards:
        units[engine.key_of(_VERSION, ShardInfo.of(shard).sha256)] = shard
    folder = corpus / "work" / "candidates"
    report = engine.run([engine.Unit(key, str(shard.resolve())) for key, shard in units.items()], Candidates(), folder,
                        jobs=jobs, ray=ray, on_progress=on_progress)
    done = {shard.name.removesuffix(".parquet") for shard in report.shards}
    ready = [(folder / f"{key}.parquet", shard) for key, shard in sorted(units.items(), key=lambda unit: unit[1].name)
             if key in done]
    failed = {units[key].name: reason for key, reason in sorted(report.failures.items())}
    for old in folder.glob("*.parquet"):
        if old.stem not in units:
            old.unlink()  # of modules that are gone or were recorded anew
    return _reduce(corpus, ready, exclusion, rule, failed)


def _modules(paths: Sequence[Path], split: str, splits: Splits) -> Iterator[_Module]:
    """The modules of a split, in fixed order."""
    for path in paths:
        if not any(splits.of(package) == split for package, *_ in shard_metadata(path)["packages"]):
            continue
        functions: list[dict[str, Any]] = []
        for row in read_shards(path):
            if row["function"]:
                functions.append(row)
                continue
            if splits.of(row["package"]) == split:
                yield _Module(row, functions, split)
            functions = []


class _Chunks:
    """Rows in parts of about _SHARD_TEXT characters of IR, streaming."""

    def __init__(self, rows: Iterator[dict[str, Any]]) -> None:
        self._rows = rows
        self._next = next(rows, None)

    def more(self) -> bool:
        return self._next is not None

    def chunk(self) -> Iterator[dict[str, Any]]:
        size = 0
        while self._next is not None and size < _SHARD_TEXT:
            size += len(self._next["ir"])
            yield self._next
            self._next = next(self._rows, None)


def _plain(counters: Mapping[str, Counter[str]]) -> dict[str, dict[str, int]]:
    return {name: dict(sorted(counter.items())) for name, counter in sorted(counters.items())}


def _reduce(corpus: Path, ready: Sequence[tuple[Path, Path]], exclusion: Exclusion, splits: Splits,
            failed: Mapping[str, str]) -> Manifest:
    folder = corpus / "functions"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        (folder / MANIFEST).unlink()  # from here on the folder is unfinished
    database = corpus / "work" / "index.sqlite"
    written: list[ShardInfo] = []
    with Index(database) as index:
        reducer = _Reducer(index, exclusion, splits)
        for split in ORDER:
            rows = _Chunks(row for module in _modules([path for path, _ in ready], split, splits)
                           for row in reducer.kept(module))
            while rows.more():
                name = f"{split}-{sum(shard.name.startswith(split) for shard in written):04d}.parquet"
                written.append(write_shard(folder / name, rows.chunk(), FUNCTIONS, {}))
    database.unlink()
    status = write_shard(folder / MODULE_STATUS_FILE, reducer.modules, MODULE_STATUS, {})
    listed = {shard.name for shard in [*written, status]}
    for old in folder.glob("*.parquet"):
        if old.name not in listed:
            old.unlink()
    counts: dict[str, Any] = {
        **dict(sorted(reducer.counts.items())),
        "by_split": _plain(reducer.by_split), "by_language": _plain(reducer.languages),
        "by_package": _plain(reducer.packages),
        "split_of": {package: splits.of(package) for package in sorted(reducer.packages)},
        "instructions": {name: reducer.histogram[name] for name in map(_size_class, (*_HISTOGRAM, _HISTOGRAM[-1] + 1))},
        "failed_shards": dict(failed),
    }
    manifest = Manifest.of(folder, written, task="functions", counts=counts, parameters={
        "version": _VERSION, "near": NEAR, "seen_share": _SEEN_SHARE, "exclude_like": exclusion.folders,
        "exclude_like_unread": exclusion.unread, "splits": dict(splits.assigned), "modules_sha256": status.sha256})
    manifest.write(folder)
    return manifest
