"""Pretraining documents: IR at several optimisation levels, assembly for x86-64 and AArch64, and any text.

For every function or module some levels are drawn by its hash; each gives a document of IR and one of assembly. The
levels above -O0 but -Oz are those of code that was not compiled for size: `minsize` and `optsize` are taken off there.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa

from llm_compiler.corpus import engine
from llm_compiler.corpus.engine import Unit, key_of
from llm_compiler.corpus.schema import EXAMPLE, TRAIN
from llm_compiler.corpus.shards import Manifest
from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks import batches, lowering, prompts, units
from llm_compiler.tasks.assembly import compact_assembly
from llm_compiler.tasks.compact import compact

TASK = "pretraining"
SCHEMA = pa.schema([*EXAMPLE, pa.field("kind", pa.string()), pa.field("target", pa.string()),
                    pa.field("level", pa.string())])
LEVELS = ("O0", "O1", "O2", "O3", "Os", "Oz")
MAXIMUM_TEXT = 1 << 20  # bytes of a text file; longer ones are cut there
_FUNCTIONS_A_UNIT, _MODULES_A_UNIT, _FILES_A_UNIT, _A_BATCH = 256, 32, 256, 64
_SIZE = re.compile(r"\b(?:minsize|optsize) ")
_GROUP = re.compile(r'"[^"]*"| (#\d+)\b')
T = TypeVar("T")

_ABOUT = ("IR at several optimisation levels, and assembly for x86-64 and AArch64. The prompt is empty; a "
          "document is the answer.")


@dataclass(frozen=True)
class PretrainingOptions:
    """levels: those that are drawn from, `draws` of them for an input. aarch64_share: of the assembly documents.
    modules: whole modules beside functions. text: a folder of text files, which make up `text_share` of the bytes.
    maximum: bytes of a document; longer ones are left out.
    """

    levels: tuple[str, ...] = LEVELS
    draws: int = 2
    aarch64_share: float = 0.15
    functions: bool = True
    modules: bool = True
    text: Path | None = None
    text_share: float = 0.15
    maximum: int = 1 << 20

    def __post_init__(self) -> None:
        unknown = set(self.levels) - set(LEVELS)
        if unknown or not self.levels:
            raise InputError(f"levels are {', '.join(LEVELS)}, not '{', '.join(sorted(unknown))}'")
        if not (0 <= self.aarch64_share <= 1 and 0 <= self.text_share < 1):
            raise InputError("a share is a number from 0 to 1, and text cannot be all there is")
        if self.text is not None and not self.text.is_dir():
            raise InputError(f"{self.text} is no folder; --text takes one with text files")

    def parameters(self) -> dict[str, Any]:
        return asdict(self) | {"text": self.text.name if self.text else "", "levels": list(self.levels)}


def build(corpus: Path, output: Path, options: PretrainingOptions = PretrainingOptions(), *, jobs: int = 2,
          ray: str | None = None, command: str = "",
          on_progress: Callable[[engine.Report], None] | None = None) -> Manifest:
    """Make the dataset in `output`, or finish it. command: what its card says makes it again.

    Raises InputError when the corpus is empty.
    """
    if options.aarch64_share and lowering.aarch64_clang() is None:
        options = replace(options, aarch64_share=0.0)
    decides = (TASK, options.levels, options.draws, options.aarch64_share, options.maximum)
    wanted: list[Iterator[Unit]] = []
    if options.functions:
        wanted.append(units.function_units(corpus, _FUNCTIONS_A_UNIT, *decides, "functions"))
    if options.modules:
        wanted.append(units.module_units(corpus, _MODULES_A_UNIT, *decides, "modules"))
    work = PretrainingWork(options)
    report = engine.run((unit for some in wanted for unit in some), work, output, jobs=jobs, ray=ray,
                        on_progress=on_progress)
    if options.text is not None:
        size = int(report.counts["bytes"] * options.text_share / (1 - options.text_share))
        texts = engine.run(text_units(options.text, size), work, output, jobs=jobs, ray=ray, on_progress=on_progress)
        report.counts.update(texts.counts)
        report.shards += texts.shards
        report.failed += texts.failed
        report.failures |= texts.failures
    return units.finish(report, output, TASK, options.parameters(), _ABOUT, command)


def text_units(folder: Path, wanted: int) -> Iterator[Unit]:
    """Units of text files, in an order that their paths' hashes decide, until they have `wanted` bytes."""
    paths = sorted((path for path in folder.rglob("*") if path.is_file()),
                   key=lambda path: hashlib.sha256(str(path.relative_to(folder)).encode(errors="replace")).digest())
    taken = 0
    chosen: list[Path] = []
    for path in paths:
        if taken >= wanted:
            break
        taken += min(path.stat().st_size, MAXIMUM_TEXT)
        chosen.append(path)
        if len(chosen) == _FILES_A_UNIT:
            yield _text_unit(folder, chosen)
            chosen = []
    if chosen:
        yield _text_unit(folder, chosen)


def _text_unit(folder: Path, paths: Sequence[Path]) -> Unit:
    hashes = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    return Unit(key_of(units.FORMAT, TASK, "text", hashes, split=TRAIN),
                Texts(folder.resolve(), tuple(str(path.relative_to(folder)) for path in paths)))


@dataclass(frozen=True)
class Texts:
    """Files of a folder."""

    folder: Path
    names: tuple[str, ...]


@dataclass(frozen=True)
class PretrainingWork:
    """The engine's work for pretraining."""

    options: PretrainingOptions
    schema = SCHEMA

    def rows(self, payload: Any, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        """Documents of a unit's functions, modules or texts."""
        found = _text_rows(payload, counts) if isinstance(payload, Texts) else self._code_rows(payload, pool, counts)
        for row in found:
            size = len(row["answer"].encode(errors="replace"))
            if size > self.options.maximum:
                batches.leave_out(counts, "too long")
                continue
            counts["bytes"] += size
            counts[f"{row['kind']} {row['target']}".strip()] += 1
            yield row

    def _code_rows(self, payload: units.Rows, pool: WorkerPool, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        for chunk in units.chunks(payload.read(), _A_BATCH):
            counts["inputs"] += len(chunk)
            orders = [self._order(row) for row in chunk]
            external: list[tuple[dict[str, Any], str, str]] = []
            made = batches.counted(batches.batch(pool, compile_levels, orders), counts)
            for row, order, compiled in zip(chunk, orders, made, strict=True):
                if compiled is None:
                    continue
                for level, ir, assembly in compiled.documents:
                    yield _document(row, payload.split, prompts.IR, "", level, ir)
                    if level not in order.aarch64:
                        yield _document(row, payload.split, prompts.ASM, "x86_64", level, assembly)
                external += [(row, level, compiled.unoptimised) for level in order.aarch64]
            yield from self._aarch64(external, payload.split, counts)

    def _order(self, row: Mapping[str, Any]) -> Order:
        """What is made of an input: decided by its hash alone."""
        rng = random.Random(f"{TASK} {row.get('function') or row['module']}")
        levels = tuple(sorted(rng.sample(self.options.levels, min(self.options.draws, len(self.options.levels)))))
        elsewhere = tuple(level for level in levels if rng.random() < self.options.aarch64_share)
        return Order(row.get("ir") or row["bitcode"], levels, elsewhere)

    def _aarch64(self, wanted: Sequence[tuple[dict[str, Any], str, str]], split: str,
                 counts: Counter[str]) -> Iterator[dict[str, Any]]:
        clang = lowering.aarch64_clang() if wanted else None
        if clang is None:
            return
        for level, group in groupby(sorted(wanted, key=lambda item: item[1]), key=lambda item: item[1]):
            rows, texts = [], []
            for row, _, unoptimised in group:
                text = lowering.retarget(_for_level(unoptimised, level))
                if text is None:
                    batches.leave_out(counts, "x86-64 only")
                else:
                    rows.append(row)
                    texts.append(lowering.executable(text))
            flags = [f"-{level}", "-S", "-fno-addrsig"]
            for row, made in zip(rows, lowering.clang_batch(clang, texts, flags, ".s"), strict=True):
                if made is None:
                    batches.leave_out(counts, "refused by clang for AArch64")
                else:
                    yield _document(row, split, prompts.ASM, "aarch64", level, made.decode(errors="replace"))


@dataclass(frozen=True)
class Order:
    """IR text or bitcode, the levels that are wanted of it, and those of them whose assembly is for AArch64."""

    source: str | bytes
    levels: tuple[str, ...]
    aarch64: tuple[str, ...]


@dataclass(frozen=True)
class Compiled:
    """The unoptimised IR, and (level, IR, x86-64 assembly); the assembly is empty for levels that go to AArch64."""

    unoptimised: str
    documents: tuple[tuple[str, str, str], ...]


def compile_levels(order: Order) -> Compiled:
    """What an order asks for; runs in the LLVM worker. Raises InputError."""
    source = order.source.encode() if isinstance(order.source, str) else order.source
    bitcode = lowering.normalise(source)
    unoptimised = lowering.text_of(bitcode)
    out: list[tuple[str, str, str]] = []
    lib = library.load()
    for level in order.levels:
        with Context(lib) as context:
            at_level = bitcode if level in ("O0", "Oz") else _bitcode(_for_level(unoptimised, level))
            module = context.parse(at_level)
            profile = Profile.PAPER if level == "O0" else Profile.DEPLOY
            machine = lowering.machine(lowering.lowering_for(module, profile))
            if level != "O0":
                module.run_passes(lowering.oz_text() if level == "Oz" else f"default<{level}>", machine.handle)
            text = lowering.clean(module.text())
            assembly = ""
            if level not in order.aarch64:
                assembly = lowering.emit(module, machine, assembly=True).decode(errors="replace")
            out.append((level, text, assembly))
    return Compiled(unoptimised, tuple(out))


def _bitcode(text: str) -> bytes:
    with Context(library.load()) as context:
        return context.parse(text.encode()).bitcode()


def _for_level(text: str, level: str) -> str:
    """IR of a compilation at another level: clang -Oz marks its functions, which decides more than the level does."""
    if level in ("O0", "Oz"):
        return text
    pattern = re.compile(r"\bminsize ") if level == "Os" else _SIZE
    lines = [pattern.sub("", line) if line.startswith("attributes #") else line for line in text.splitlines()]
    # LLVM takes no empty group: references to one go.
    empty = {line.split()[1] for line in lines if line.startswith("attributes #") and line.endswith("= { }")}
    return "".join(f"{line if line.startswith('@') else _GROUP.sub(lambda m: '' if m[1] in empty else m[0], line)}\n"
                   for line in lines if not (line.startswith("attributes #") and line.endswith("= { }")))


def _document(row: Mapping[str, Any], split: str, kind: str, target: str, level: str, text: str) -> dict[str, Any]:
    short = compact(text) if kind == prompts.IR else compact_assembly(text)
    made = units.example(row, split, TASK, "", text, "", prompts.document(short, kind=kind, target=target))
    return made | {"kind": "ir" if kind == prompts.IR else "assembly", "target": target, "level": level}


def _text_rows(texts: Texts, counts: Counter[str]) -> Iterator[dict[str, Any]]:
    for name in texts.names:
        with (texts.folder / name).open("rb") as file:
            data = file.read(MAXIMUM_TEXT)
        try:
            # A file that is cut may be cut within a character.
            text = data.decode() if len(data) < MAXIMUM_TEXT else data.decode(errors="ignore")
        except UnicodeDecodeError:
            batches.leave_out(counts, "text that is not UTF-8")
            continue
        if not text.strip() or "\0" in text:
            batches.leave_out(counts, "text that is empty or binary")
            continue
        row = {"package": texts.folder.name, "file": name, "module": hashlib.sha256(data).hexdigest()[:32]}
        made = units.example(row, TRAIN, TASK, "", text, "", prompts.document(text))
        yield made | {"kind": "text", "target": "", "level": ""}


# --- packing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pack(Generic[T]):
    """A sequence for training: documents behind each other. ends: where each ends, the last one too."""

    items: tuple[T, ...]
    ends: tuple[int, ...]


def pack(documents: Iterable[Sequence[T]], length: int) -> Iterator[Pack[T]]:
    """Documents (of tokens) in order into packs of at most `length`, each as full as its order allows.

    A document that is longer than a pack is cut into pieces of `length`; no other is cut. Give it one split at a time.
    """
    if length < 1:
        raise ValueError("a pack needs room")
    items: list[T] = []
    ends: list[int] = []
    for document in documents:
        for start in range(0, len(document), length):
            piece = document[start : start + length]
            if len(items) + len(piece) > length:
                yield Pack(tuple(items), tuple(ends))
                items, ends = [], []
            items += piece
            ends.append(len(items))
    if items:
        yield Pack(tuple(items), tuple(ends))
