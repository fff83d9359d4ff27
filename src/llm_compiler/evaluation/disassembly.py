"""Disassembly: how many answers lower back, to how close or to the very same code, and which do the same.

The reference's round trip: an answer that lowers back to assembly; its BLEU and exact match are of that assembly.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError, LlmcError
from llm_compiler.evaluation.document import Section, Table, decimal, number, percent, share
from llm_compiler.evaluation.emulation import canonical
from llm_compiler.evaluation.metrics import bleu, mean, median
from llm_compiler.evaluation.runs import Log, Record, Run
from llm_compiler.evaluation.suites import Item, Suite
from llm_compiler.evaluation.words import unfinished, where
from llm_compiler.inference import asking, roundtrip
from llm_compiler.inference.backend import Backend
from llm_compiler.inference.cutting import cut
from llm_compiler.inference.disassembly import Checked, Disassembled, Verdict, disassemble
from llm_compiler.inference.functions import Function, read_functions
from llm_compiler.inference.rules import Rules
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.models.engine import Engine, EngineError, Sample
from llm_compiler.tasks import prompts
from llm_compiler.tasks.assembly import compact_assembly, compact_listing
from llm_compiler.tasks.prompts import Code, DisassemblyPrompt, Unparsed

TASK = "disassembly"
SUFFIXES = frozenset({".s", ".S", ".o", ".so"})
LISTING = "listing"
_LIMITS = Limits(30.0)
_BACK = (Verdict.IDENTICAL, Verdict.EQUIVALENT, Verdict.DIFFERS)
_STATUSES = (*(str(verdict) for verdict in _BACK), "failed", "cut_off", "unparsed", "too_long", "refused")
# arXiv 2407.02524, table 5: round trips of 2,015, BLEU of them, exact match.
_PUBLISHED = (("LLM Compiler FTD 13B", "905", "0.960", "13.8 %"), ("LLM Compiler FTD 7B", "936", "0.951", "12.7 %"),
              ("GPT-4 Turbo", "127", "0.429", "0 %"), ("Code Llama Instruct", "53", "0.615", "0 %"))


@dataclass(frozen=True)
class DisassemblyOptions:
    """samples: answers for a function at most, of which the best counts. execute: run what lowers to other code."""

    samples: int = 1
    execute: bool = True
    seed: int = 0

    def parameters(self) -> dict[str, Any]:
        """What decides the records."""
        return {name: value for name, value in asdict(self).items() if name != "seed"}


class _Listening:
    """An engine, and what it last said."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name
        self.context = engine.context
        self.heard: list[Sample] = []

    def count(self, prompt: str) -> int:
        return self._engine.count(prompt)

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        found = self._engine.complete(prompt, samples=samples, tokens=tokens, temperature=temperature, seed=seed,
                                      grammar=grammar)
        self.heard += found
        return found

    def close(self) -> None:
        self._engine.close()


def evaluate(run: Run, suite: Suite, options: DisassemblyOptions, source: Backend | Rules,
             on_progress: Callable[[int, int], None] = lambda done, count: None) -> None:
    """A record for each function that the run lacks. Raises EngineError when the model cannot be run any more."""
    listening = _Listening(source.engine) if isinstance(source, Backend) else None
    if listening is not None and isinstance(source, Backend):
        source = replace(source, engine=listening)
    with WorkerPool(1, _LIMITS) as pool, tempfile.TemporaryDirectory(prefix="eval-") as name:
        judge = _Judge(options, source, listening, pool, Path(name))
        for count, item in enumerate(suite.read(), 1):
            if item.path is None:
                if item.key not in run:
                    judge.add_row(run, item)
            else:
                judge.add_file(run, item)
            on_progress(count, suite.count)


@dataclass
class _Judge:
    options: DisassemblyOptions
    source: Backend | Rules
    listening: _Listening | None
    pool: WorkerPool
    folder: Path

    def add_row(self, run: Run, item: Item) -> None:
        row = item.row
        told = {"name": item.name, "benchmark": item.benchmark, "target": row["target"], "style": row["style"],
                "level": row["codegen"]}
        try:
            function = self._function(item)
        except LlmcError as error:
            run.add(item.key, "refused", **told, message=str(error))
            return
        status, values, best = self._asked(function)
        wanted = prompts.parse_code(row["answer"])
        if best is not None and isinstance(wanted, Code):
            mine, original = (canonical(text, self.pool, self.folder)[1] for text in (best.ir, wanted.text))
            values["same_ir"] = mine is not None and mine == original
        run.add(item.key, status, **told, **values)

    def add_file(self, run: Run, item: Item) -> None:
        assert item.path is not None
        try:
            functions = read_functions(item.path)
        except InputError as error:
            if item.key not in run:
                run.add(item.key, "refused", name=item.name, benchmark=item.benchmark, target="", style="", level="",
                        message=str(error))
            return
        for function in functions:
            key = f"{item.key}:{function.name}"
            if key not in run:
                status, values, _ = self._asked(function)
                run.add(key, status, name=function.name, benchmark=item.benchmark, target=function.target,
                        style=LISTING if function.listing else "assembly", level="", **values)

    def _function(self, item: Item) -> Function:
        """An example's function. A listing is made anew, from the IR, for the file that it stood in is gone."""
        row = item.row
        if row["style"] != LISTING:
            asked = prompts.parse_prompt(row["prompt"])
            if not isinstance(asked, DisassemblyPrompt):
                raise InputError("the example's prompt is none of disassembly")
            return Function(row["function"], row["target"], asked.assembly)
        told = prompts.parse_code(row["answer"])
        if isinstance(told, Unparsed):
            raise InputError(told.reason)
        text = self._lowered(told.text, row["function"], row["target"], row["codegen"])
        return self._dumped(text, row["function"], row["target"])

    def _lowered(self, ir: str, name: str, target: str, codegen: str) -> str:
        """The assembly of a function's IR. Raises InputError."""
        answer = roundtrip.judge(self.pool, self.folder, ir, name, target, compact=False)
        text = answer if isinstance(answer, roundtrip.Refused) else roundtrip.lowered(
            self.pool, self.folder, answer, target, codegen)
        if isinstance(text, roundtrip.Refused):
            raise InputError(text.reason)
        return text

    def _dumped(self, assembly: str, name: str, target: str) -> Function:
        path = self.folder / "function.o"
        path.write_bytes(roundtrip.assembled(assembly, target))
        return read_functions(path, [name])[0]

    def _asked(self, function: Function) -> tuple[str, dict[str, Any], Checked | None]:
        """Status, what goes into the record, and the best answer where it lowers back."""
        options = self.options
        if self.listening is not None:
            self.listening.heard.clear()
        try:
            [found] = disassemble([function], self.source, samples=options.samples, seed=options.seed,
                                  run=options.execute)
        except EngineError as error:
            if not asking.is_refusal(error):
                raise
            return "refused", {"message": str(error)}, None
        best = found.best
        values: dict[str, Any] = {"reason": best.reason[:300], "inputs": best.inputs, "codegen": best.codegen,
                                  "similarity": round(best.similarity, 4), "answers": found.answers,
                                  "prompt_tokens": found.prompt_tokens, "seconds": round(found.seconds, 3)}
        if best.verdict in _BACK:
            values["bleu"] = 1.0 if best.verdict is Verdict.IDENTICAL else self._bleu(function, best)
            return str(best.verdict), values, best
        return self._status(found), values, None

    def _status(self, found: Disassembled) -> str:
        """Why there is no code to compare."""
        heard = self.listening.heard if self.listening is not None else []
        if found.best.verdict is Verdict.TOO_LONG or not heard or isinstance(self.source, Rules):
            return str(found.best.verdict)
        codes = [self.source.code(sample) for sample in heard]
        if any(isinstance(code, Code) and not code.truncated and sample.finished
               for code, sample in zip(codes, heard, strict=True)):
            return str(found.best.verdict)
        return "unparsed" if all(isinstance(code, Unparsed) for code in codes) else "cut_off"

    def _bleu(self, function: Function, best: Checked) -> float:
        try:
            text = self._lowered(best.ir, function.name, function.target, best.codegen)
            if function.listing:
                shown = compact_listing(self._dumped(text, function.name, function.target).shown)
                return round(bleu(shown, compact_listing(function.shown)), 6)
        except LlmcError:
            return 0.0
        again = cut(text).get(function.name, "")
        return round(bleu(compact_assembly(again), compact_assembly(function.shown)), 6)


# --- the report --------------------------------------------------------------------------------------------------


def section(log: Log) -> Section:
    """What a run has shown."""
    found = Section(f"Disassembly: {log.name}", [f"{where(log)} {unfinished(log)}".strip()])
    table = Table(("functions", "count", "asked", "round trips", "identical", "equivalent", "BLEU of round trips, mean",
                   "BLEU, median", "BLEU of all", "same IR"), left=1)
    statuses = Table(("functions", *(name.replace("_", " ") for name in _STATUSES)), title="What became of answers")
    for name, records in _groups(log):
        table.add(name, *_row(records, found.numbers.setdefault(name, {})))
        counts = Counter(record["status"] for record in records)
        statuses.add(name, *(number(counts[status]) for status in _STATUSES))
    if table.rows:
        found.add(table)
        found.add(statuses)
    samples = log.arguments.get("samples", 1)
    found.add("Round trips: answers that lower back to code of the function. Identical: the same code, to the last "
              "constant. Equivalent: other code that did the same on every input that was run. Shares are of the "
              "functions that were asked; an answer that does not lower back has BLEU 0 in the last. "
              + (f"The best of {samples} answers counts." if samples > 1 else "One answer a function."))
    published = Table(("published", "round trips", "BLEU of round trips", "exact match"),
                      title="Published on MiBench (another data set), 2,015 assembly files (arXiv 2407.02524)")
    for row in _PUBLISHED:
        published.add(*row)
    found.add(published)
    return found


def _groups(log: Log) -> Iterator[tuple[str, list[Record]]]:
    """Records by target, level of code generation and style, and all together."""
    records = list(log.records.values())
    names = {(record["target"], record["level"], record["style"]) for record in records}
    for key in sorted(names):
        name = " ".join(part if part not in ("O0", "Oz") else f"-{part}" for part in key if part)
        yield name or "not read", [record for record in records
                                   if (record["target"], record["level"], record["style"]) == key]
    if len(names) > 1:
        yield "all", records


def _row(records: Sequence[Record], numbers: dict[str, Any]) -> Sequence[str]:
    asked = [record for record in records if record["status"] not in ("too_long", "refused")]
    back = [record for record in asked if record["status"] in _BACK]
    counts = Counter(record["status"] for record in asked)
    scores = [record["bleu"] for record in back]
    everything = mean([record.get("bleu", 0.0) for record in asked])
    shares = {name: mean([100.0 * (record["status"] in kinds) for record in asked]) for name, kinds in (
        ("round_trips", _BACK), ("identical", (Verdict.IDENTICAL,)), ("equivalent", (Verdict.EQUIVALENT,)))}
    same = [record["same_ir"] for record in records if "same_ir" in record]
    numbers |= {"count": len(records), "asked": len(asked), **shares, "bleu_of_round_trips": mean(scores),
                "bleu_of_all": everything}
    return (number(len(records)), number(len(asked)), f"{len(back)}: {percent(shares['round_trips'], 1)}",
            f"{counts[Verdict.IDENTICAL]}: {percent(shares['identical'], 1)}",
            f"{counts[Verdict.EQUIVALENT]}: {percent(shares['equivalent'], 1)}", decimal(mean(scores)),
            decimal(median(scores)), decimal(everything), share(sum(same), len(asked)) if same else "-")
