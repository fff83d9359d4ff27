"""Emulation examples: unoptimised IR and a random pass list, answered with what LLVM makes of it, and sizes.

The list's length is uniform in 1–50 and its passes are drawn from the registry's transformation passes and LLVM's own
pipelines (arXiv 2407.02524, section 3.2); the input's hash is the seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_compiler.corpus import engine
from llm_compiler.corpus.schema import EXAMPLE
from llm_compiler.corpus.shards import Manifest
from llm_compiler.errors import InputError
from llm_compiler.llvm import registry
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.pipeline import Pass, PassList
from llm_compiler.llvm.registry import Registry
from llm_compiler.llvm.target import Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks import batches, lengths, prompts, units
from llm_compiler.tasks.assembly import compact_assembly
from llm_compiler.tasks.compact import compact
from llm_compiler.tasks.emulating import Emulated as Emulated
from llm_compiler.tasks.emulating import Order as Order
from llm_compiler.tasks.emulating import emulate as emulate
from llm_compiler.tasks.prompts import EmulationPrompt, Output, Sizes

TASK = "emulation"
SCHEMA = pa.schema([
    *EXAMPLE,
    pa.field("output", pa.string()),
    pa.field("passes", pa.string()),
    pa.field("length", pa.int32()),
    pa.field("instructions_before", pa.int64()),
    pa.field("instructions_after", pa.int64()),
    pa.field("bytes_before", pa.int64()),  # all that is loaded; the prompt's
    pa.field("bytes_after", pa.int64()),
    pa.field("text_data_before", pa.int64()),  # sections named .text* and .data* only
    pa.field("text_data_after", pa.int64()),
])
MAXIMUM_LENGTH = 50
_LEFT_OUT = frozenset({
    "gvn-sink",  # gives another result now and then (CompilerGym issue 46)
    "function-import", "inliner-ml-advisor-release",  # want a file that nobody has, and end LLVM without it
})
_PIPELINES = tuple(Pass("default", level) for level in ("O1", "O2", "O3", "Os", "Oz"))
_FUNCTIONS_A_UNIT, _MODULES_A_UNIT, _A_BATCH = 256, 64, 32

_ABOUT = ("Unoptimised IR and a random pass list, answered with the IR or assembly that LLVM makes of it, and "
          "sizes before and after. Bytes are those of an object's loaded sections.")


@dataclass(frozen=True)
class EmulationOptions:
    """functions, modules: what the inputs are. lists: pass lists for an input. seconds: for one list.

    profile: how objects are lowered for the sizes, and the assembly answers. limit: tokens of prompt and answer
    together, in the reference's form; longer examples are left out.
    """

    functions: bool = True
    modules: bool = True
    lists: int = 1
    seconds: float = 120.0
    profile: Profile = Profile.PAPER
    limit: int = 16_384
    tokenizer: Path | None = None

    def __post_init__(self) -> None:
        if not (self.functions or self.modules):
            raise InputError("emulation needs functions, modules or both")

    def parameters(self) -> dict[str, Any]:
        return asdict(self) | {"profile": str(self.profile), "tokenizer": lengths.identity(self.tokenizer)}


def build(corpus: Path, output: Path, options: EmulationOptions = EmulationOptions(), *, jobs: int = 2,
          ray: str | None = None, command: str = "",
          on_progress: Callable[[engine.Report], None] | None = None) -> Manifest:
    """Make the dataset in `output`, or finish it. command: what its card says makes it again.

    Raises InputError when the corpus is empty.
    """
    registry.load(full=True)  # once, for the workers find it in the cache
    decides = (TASK, {name: value for name, value in options.parameters().items()
                      if name not in ("functions", "modules")})
    wanted: list[Iterator[engine.Unit]] = []
    if options.functions:
        wanted.append(units.function_units(corpus, _FUNCTIONS_A_UNIT, *decides, "functions"))
    if options.modules:
        wanted.append(units.module_units(corpus, _MODULES_A_UNIT, *decides, "modules"))
    work = EmulationWork(options, Limits(options.seconds))
    report = engine.run((unit for some in wanted for unit in some), work, output, jobs=jobs, ray=ray,
                        on_progress=on_progress)
    return units.finish(report, output, TASK, options.parameters(), _ABOUT, command)


@lru_cache(maxsize=1)
def alphabet(known: Registry) -> tuple[Pass, ...]:
    """What random lists are made of, in a fixed order."""
    names = (info.name for info in known.passes() if info.transforms and info.name not in _LEFT_OUT)
    return (*(Pass(name) for name in names), *_PIPELINES)


def random_passes(seed: str, known: Registry) -> PassList:
    """A pass list as the reference draws them, nested as LLVM wants it; the same for the same seed and LLVM."""
    rng = random.Random(seed)
    letters = alphabet(known)
    drawn = tuple(rng.choice(letters) for _ in range(rng.randint(1, MAXIMUM_LENGTH)))
    return PassList(drawn).canonical(known.level)


@dataclass(frozen=True)
class EmulationWork:
    """The engine's work for emulation."""

    options: EmulationOptions
    limits: Limits
    schema = SCHEMA

    def rows(self, payload: units.Rows, pool: WorkerPool, counts: Counter[str]) -> Iterator[Mapping[str, Any]]:
        """Examples of a unit's functions or modules."""
        options = self.options
        known = registry.load(full=True)
        for chunk in units.chunks(payload.read(), _A_BATCH):
            pairs = [(row, random_passes(f"{TASK} {row.get('function') or row['module']} {number}", known))
                     for row in chunk for number in range(options.lists)]
            counts["lists"] += len(pairs)
            # No time for what is left out anyway; no token of a real tokenizer has so many characters on average.
            longest = int(options.limit * (lengths.BYTES_PER_TOKEN if options.tokenizer is None else 16))
            orders = [Order(row.get("ir") or row["bitcode"], passes.text, options.profile, longest)
                      for row, passes in pairs]
            made = batches.counted(batches.batch(pool, emulate, orders), counts)
            for (row, passes), result in zip(pairs, made, strict=True):
                if result is not None:
                    yield from self._examples(row, payload.split, passes, result, counts)

    def _examples(self, row: Mapping[str, Any], split: str, passes: PassList, result: Emulated,
                  counts: Counter[str]) -> Iterator[dict[str, Any]]:
        options = self.options
        before = Sizes(result.instructions[0], result.sizes[0].total)
        after = Sizes(result.instructions[1], result.sizes[1].total)
        short = ""
        for output, code in ((Output.IR, result.after), (Output.ASSEMBLY, result.assembly)):
            prompt = EmulationPrompt(result.before, passes.text, output, before).reference()
            answer = prompts.emulation_answer(code, after)
            if not lengths.within(prompt + answer, options.limit, options.tokenizer):
                batches.leave_out(counts, "too long")
                continue
            short = short or compact(result.before)
            made = compact(code) if output is Output.IR else compact_assembly(code)
            counts[output.value] += 1
            yield units.example(
                row, split, TASK, prompt, answer, EmulationPrompt(short, passes.text, output).compact(),
                prompts.compact_emulation_answer(made, before, after),
            ) | {
                "output": "ir" if output is Output.IR else "assembly", "passes": passes.text,
                "length": len(passes), "instructions_before": before.instructions,
                "instructions_after": after.instructions, "bytes_before": before.bytes, "bytes_after": after.bytes,
                "text_data_before": result.sizes[0].text_data, "text_data_after": result.sizes[1].text_data,
            }
