"""Disassembly examples: assembly of functions, answered with the -Oz IR that it was lowered from.

Lowered at codegen level -O0, as the reference does, and as clang -Oz does; shown as clang prints it and as
`llvm-objdump -d` shows it once it is linked. Many functions share a link; linked names are those of the functions.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_compiler.corpus import engine
from llm_compiler.corpus.schema import EXAMPLE
from llm_compiler.corpus.shards import Manifest
from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks import batches, lengths, lowering, prompts, units
from llm_compiler.tasks.assembly import compact_assembly, compact_listing
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.listings import defined_elsewhere, find_objdump, listings
from llm_compiler.tasks.prompts import DisassemblyPrompt

TASK = "disassembly"
SCHEMA = pa.schema([
    *EXAMPLE,
    pa.field("target", pa.string()),  # x86_64 or aarch64
    pa.field("codegen", pa.string()),  # O0 or Oz
    pa.field("style", pa.string()),  # assembly or listing
])
CODEGENS = {"O0": Profile.PAPER, "Oz": Profile.DEPLOY}
STYLES = ("assembly", "listing")
_FUNCTIONS_A_UNIT, _A_BATCH = 256, 64

_ABOUT = ("Assembly and disassembler listings of functions, answered with the -Oz IR that they were lowered "
          "from. AArch64 is x86-64's IR with another target: structs are passed as on x86-64.")


@dataclass(frozen=True)
class DisassemblyOptions:
    """codegens: of O0 and Oz; styles: of assembly and listing. aarch64_share: of the functions.

    limit: tokens of the assembly, and of the IR, in the reference's form; longer ones are left out.
    """

    codegens: tuple[str, ...] = ("O0", "Oz")
    styles: tuple[str, ...] = STYLES
    aarch64_share: float = 0.15
    limit: int = 8192
    tokenizer: Path | None = None

    def __post_init__(self) -> None:
        if not self.codegens or set(self.codegens) - set(CODEGENS):
            raise InputError("code generation levels are O0 and Oz")
        if not self.styles or set(self.styles) - set(STYLES):
            raise InputError("styles are assembly and listing")
        if not 0 <= self.aarch64_share <= 1:
            raise InputError("a share is a number from 0 to 1")

    def parameters(self) -> dict[str, Any]:
        return asdict(self) | {"codegens": list(self.codegens), "styles": list(self.styles),
                               "tokenizer": lengths.identity(self.tokenizer)}


def build(corpus: Path, output: Path, options: DisassemblyOptions = DisassemblyOptions(), *, jobs: int = 2,
          ray: str | None = None, command: str = "",
          on_progress: Callable[[engine.Report], None] | None = None) -> Manifest:
    """Make the dataset in `output`, or finish it. command: what its card says makes it again.

    Raises InputError when the corpus is empty.
    """
    if options.aarch64_share and lowering.aarch64_clang() is None:
        options = replace(options, aarch64_share=0.0)
    if "listing" in options.styles:
        find_objdump("x86_64")
    decides = (TASK, options.parameters(), find_objdump("aarch64", required=False) is not None)
    report = engine.run(units.function_units(corpus, _FUNCTIONS_A_UNIT, *decides), DisassemblyWork(options), output,
                        jobs=jobs, ray=ray, on_progress=on_progress)
    return units.finish(report, output, TASK, options.parameters(), _ABOUT, command)


# --- in the LLVM worker ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """A function's IR text, the code generation levels, and whether objects are wanted beside assembly."""

    source: str
    codegens: tuple[str, ...]
    objects: bool


@dataclass(frozen=True)
class Lowered:
    """A function's -Oz IR and, by code generation level, its assembly and its object (empty when not wanted)."""

    ir: str
    assembly: Mapping[str, str]
    objects: Mapping[str, bytes]


def lower(order: Order) -> Lowered:
    """For x86-64; runs in the LLVM worker. Raises InputError."""
    lib = library.load()
    bitcode = lowering.normalise(order.source.encode())
    assembly, objects = {}, {}
    with Context(lib) as context:
        module = context.parse(bitcode)
        target = lowering.lowering_for(module, Profile.DEPLOY)
        module.run_passes(lowering.oz_text(), lowering.machine(target).handle)
        text, optimised = lowering.clean(module.text()), module.bitcode()
    for codegen in order.codegens:
        machine = lowering.machine(replace(target, profile=CODEGENS[codegen]))
        with Context(lib) as context:
            assembly[codegen] = lowering.emit(context.parse(optimised), machine, assembly=True).decode(errors="replace")
        if order.objects:
            with Context(lib) as context:
                objects[codegen] = lowering.emit(context.parse(optimised), machine)
    return Lowered(text, assembly, objects)


def lower_aarch64(texts: Sequence[str], codegens: Sequence[str], objects: bool) -> list[Lowered | None]:
    """For AArch64, by clang: IR texts that are made for it. None for those that clang refuses."""
    clang = lowering.aarch64_clang()
    if clang is None:
        return [None] * len(texts)
    made = lowering.clang_batch(clang, texts, ["-Oz", "-S", "-emit-llvm"], ".ll")
    found = [None if data is None else Lowered(lowering.clean(data.decode(errors="replace")), {}, {}) for data in made]
    for codegen in codegens:
        level = ["-O0", "-mno-relax-all"] if codegen == "O0" else ["-Oz"]
        flags = [*level, "-Xclang", "-disable-llvm-passes", "-fno-addrsig"]
        for suffix, flag in ((".s", "-S"), (".o", "-c"))[: 2 if objects else 1]:
            inputs = [lowering.executable(item.ir) for item in found if item is not None]
            lowered = iter(lowering.clang_batch(clang, inputs, [*flags, flag], suffix))
            for index, item in enumerate(found):
                if item is None:
                    continue
                data = next(lowered)
                if data is None:
                    found[index] = None
                elif suffix == ".s":
                    found[index] = replace(item, assembly={**item.assembly, codegen: data.decode(errors="replace")})
                else:
                    found[index] = replace(item, objects={**item.objects, codegen: data})
    return list(found)


# --- the work ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class DisassemblyWork:
    """The engine's work for disassembly."""

    options: DisassemblyOptions
    schema = SCHEMA

    def rows(self, payload: units.Rows, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        """Examples of a unit's functions."""
        for chunk in units.chunks(payload.read(), _A_BATCH):
            counts["functions"] += len(chunk)
            elsewhere = {id(row) for row in chunk
                         if random.Random(f"{TASK} {row['function']}").random() < self.options.aarch64_share}
            here = [row for row in chunk if id(row) not in elsewhere]
            orders = [Order(row["ir"], self.options.codegens, "listing" in self.options.styles) for row in here]
            made = batches.counted(batches.batch(pool, lower, orders), counts)
            yield from self._examples(here, list(made), "x86_64", payload.split, counts)
            yield from self._aarch64([row for row in chunk if id(row) in elsewhere], payload.split, counts)

    def _aarch64(self, rows: Sequence[dict[str, Any]], split: str, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        texts = [lowering.retarget(row["ir"]) for row in rows]
        batches.leave_out(counts, "x86-64 only", sum(text is None for text in texts))
        kept = [row for row, text in zip(rows, texts, strict=True) if text is not None]
        wants = "listing" in self.options.styles and find_objdump("aarch64", required=False) is not None
        made = lower_aarch64([text for text in texts if text is not None], self.options.codegens, wants)
        batches.leave_out(counts, "refused by clang for AArch64", sum(item is None for item in made))
        yield from self._examples(kept, made, "aarch64", split, counts)

    def _examples(self, rows: Sequence[dict[str, Any]], made: Sequence[Lowered | None], target: str, split: str,
                  counts: Counter[str]) -> Iterator[dict[str, Any]]:
        options = self.options
        pairs = []
        for row, item in zip(rows, made, strict=True):
            if item is None:
                continue
            if not lengths.within(item.ir, options.limit, options.tokenizer):
                batches.leave_out(counts, "IR too long")
            else:
                pairs.append((row, item, compact(item.ir)))
        for codegen in options.codegens:
            if "assembly" in options.styles:
                for row, item, short in pairs:
                    text = item.assembly[codegen]
                    yield from self._example(row, item, short, text, compact_assembly(text), target, codegen,
                                             "assembly", split, counts)
            if "listing" in options.styles:
                with_objects = [pair for pair in pairs if codegen in pair[1].objects]
                batches.leave_out(counts, "no disassembler for AArch64", len(pairs) - len(with_objects))
                used = {name for _, item, _ in with_objects for name in defined_elsewhere(item.ir)}
                shown = listings([(row["name"], item.objects[codegen]) for row, item, _ in with_objects], target, used)
                for (row, item, short), listing in zip(with_objects, shown, strict=True):
                    if listing is None:
                        batches.leave_out(counts, "not in the linked file")
                    else:
                        yield from self._example(row, item, short, listing, compact_listing(listing), target, codegen,
                                                 "listing", split, counts)

    def _example(self, row: Mapping[str, Any], item: Lowered, short: str, text: str, shorter: str, target: str,
                 codegen: str, style: str, split: str, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        if not lengths.within(text, self.options.limit, self.options.tokenizer):
            batches.leave_out(counts, "assembly too long")
            return
        counts[f"{target} {codegen} {style}"] += 1
        prompt = DisassemblyPrompt(text, target, style == "listing")
        yield units.example(
            row, split, TASK, prompt.reference(), prompts.code_answer(item.ir),
            replace(prompt, assembly=shorter).compact(), prompts.compact_code_answer(short),
        ) | {"target": target, "codegen": codegen, "style": style}
