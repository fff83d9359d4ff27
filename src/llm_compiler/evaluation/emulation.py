"""Emulation: how many of a model's answers compile, how many are LLVM's own, and how close the others come."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_compiler.errors import CompileError
from llm_compiler.evaluation.document import Section, Table, decimal, number, percent
from llm_compiler.evaluation.metrics import bleu, mean, median
from llm_compiler.evaluation.runs import Log, Record, Run
from llm_compiler.evaluation.suites import Item, Suite
from llm_compiler.evaluation.words import unfinished, where
from llm_compiler.inference import asking
from llm_compiler.inference.backend import Backend, Form
from llm_compiler.llvm import frontend
from llm_compiler.llvm.job import Limits, Reading, Status
from llm_compiler.llvm.target import X86_64
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tasks import prompts
from llm_compiler.tasks.assembly import compact_assembly
from llm_compiler.tasks.compact import expand
from llm_compiler.tasks.lowering import normalise, text_of
from llm_compiler.tasks.prompts import Emulated, EmulationPrompt, Unparsed

TASK = "emulation"
EXACT, COMPILES = "exact", "compiles"
_LIMITS = Limits(seconds=30.0)
_STATUSES = (EXACT, COMPILES, "invalid", "crashed", "timed_out", "out_of_memory", "cut_off", "unparsed", "too_long",
             "refused")


@dataclass(frozen=True)
class EmulationOptions:
    """tokens: of an answer at most."""

    tokens: int = 4096

    def parameters(self) -> dict[str, Any]:
        """What decides the records."""
        return {"tokens": self.tokens}


def evaluate(run: Run, suite: Suite, options: EmulationOptions, backend: Backend,
             on_progress: Callable[[int, int], None] = lambda done, count: None) -> None:
    """A record for each example that the run lacks. Raises EngineError when the model cannot be run any more."""
    with WorkerPool(1, _LIMITS) as pool, tempfile.TemporaryDirectory(prefix="eval-") as name:
        for count, item in enumerate(suite.read(), 1):
            if item.key not in run:
                status, values = _judged(item, options, backend, pool, Path(name))
                run.add(item.key, status, name=item.name, benchmark=item.benchmark, output=item.row["output"],
                        length=item.row["length"], **values)
            on_progress(count, suite.count)


def _judged(item: Item, options: EmulationOptions, backend: Backend, pool: WorkerPool,
            folder: Path) -> tuple[str, dict[str, Any]]:
    row = item.row
    compacts = backend.form is Form.COMPACT
    asked = prompts.parse_compact_prompt(row["compact_prompt"]) if compacts else prompts.parse_prompt(row["prompt"])
    told = (prompts.parse_compact_emulation(row["compact_answer"]) if compacts
            else prompts.parse_emulation(row["answer"]))
    if not isinstance(asked, EmulationPrompt) or isinstance(told, Unparsed):
        return "refused", {"message": "the example is none of emulation"}
    found = asking.ask(backend, asked, tokens=options.tokens)
    values: dict[str, Any] = {"seconds": round(found.seconds, 4)}
    if found.problem:
        return found.problem, {**values, "message": found.message}
    sample = found.samples[0]
    answer = backend.emulated(sample)
    values |= {"tokens": sample.tokens, "logprob": sample.logprob}
    if isinstance(answer, Unparsed):
        return "unparsed", {**values, "bleu": 0.0, "message": f"{answer.reason}: {sample.text[:200]}"}
    values["sizes"] = answer.after is not None and answer.after == told.after
    if row["output"] == "ir":
        return _judged_ir(answer, told, compacts, pool, folder, values)
    return _judged_assembly(answer, told, folder, values)


def _judged_ir(answer: Emulated, told: Emulated, compacts: bool, pool: WorkerPool, folder: Path,
               values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    text, wanted = (expand(code) if compacts else code for code in (answer.code, told.code))
    status, found, message = canonical(text, pool, folder)
    _, original, _ = canonical(wanted, pool, folder)
    values["bleu"] = round(bleu(found or text, original or wanted), 6)
    if answer.truncated:
        return "cut_off", values
    if found is None:
        return status, {**values, "message": message[:300]}
    return EXACT if found == original else COMPILES, values


def canonical(text: str, pool: WorkerPool, folder: Path) -> tuple[str, str | None, str]:
    """`compiles` and IR text as LLVM prints it, without names of values; else what went wrong, None, and LLVM's
    message. The worker may die over it.
    """
    path = folder / "answer.ll"
    path.write_text(text, errors="replace")
    outcome = pool.run(Reading(path, canonical_text))
    if outcome.status is Status.MEASURED and isinstance(outcome.value, str):
        return COMPILES, outcome.value, ""
    return str(outcome.status), None, outcome.message


def canonical_text(data: bytes) -> str:
    """Runs in the LLVM worker. Raises InputError for what does not parse or verify."""
    return text_of(normalise(data))


def _judged_assembly(answer: Emulated, told: Emulated, folder: Path,
                     values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    text, wanted = (compact_assembly(code) for code in (answer.code, told.code))
    values["bleu"] = round(bleu(text, wanted), 6)
    if answer.truncated:
        return "cut_off", values
    if text == wanted:
        return EXACT, values
    message = assembled(answer.code, folder)
    if message is not None:
        return "timed_out" if " took more than " in message else "invalid", {**values, "message": message[:300]}
    return COMPILES, values


def assembled(text: str, folder: Path) -> str | None:
    """None when clang assembles a text, else what it says."""
    source, output = folder / "answer.s", folder / "answer.o"
    source.write_text(text, errors="replace")
    try:
        frontend.clang_for(X86_64).run(["-c", "-x", "assembler", str(source), "-o", str(output)],
                                       timeout=_LIMITS.seconds)
    except CompileError as error:
        return str(error)
    return None


# --- the report --------------------------------------------------------------------------------------------------


def section(log: Log) -> Section:
    """What a run has shown."""
    found = Section(f"Emulation: {log.name}", [f"{where(log)} {unfinished(log)}".strip()])
    table = Table(("answers", "examples", "asked", "compiles", "exact match", "sizes right", "BLEU, mean",
                   "BLEU, median", "BLEU of what compiles"), left=1)
    statuses = Table(("answers", *(name.replace("_", " ") for name in _STATUSES)), title="What became of answers")
    for output, name in (("ir", "LLVM-IR"), ("assembly", "assembly")):
        records = [record for record in log.records.values() if record.get("output") == output]
        if records:
            table.add(name, *_row(records, found.numbers.setdefault(output, {})))
            counts = Counter(record["status"] for record in records)
            statuses.add(name, *(number(counts[status]) for status in _STATUSES))
    if table.rows:
        found.add(table)
        found.add(statuses)
    found.add("Compiles: IR parses and passes LLVM's verifier, assembly assembles. Exact match: the same IR as LLVM "
              "prints it without names of values, or the same assembly without comments and what gives no code. "
              "Shares are of the examples that were asked; an answer that cannot be read has BLEU 0.")
    published = Table(("published", "compiles", "exact match"),
                      title="Published on another data set (arXiv 2407.02524)")
    published.add("LLM Compiler 13B, after stage 2", "95.6 %", "20 %")
    found.add(published)
    return found


def _row(records: Sequence[Record], numbers: dict[str, Any]) -> Sequence[str]:
    asked = [record for record in records if record["status"] not in ("too_long", "refused")]
    compiled = [record for record in asked if record["status"] in (EXACT, COMPILES)]
    exact = [record["status"] == EXACT for record in asked]
    scores = [record["bleu"] for record in asked]
    shares = {"compiles": mean([100.0 * (record["status"] in (EXACT, COMPILES)) for record in asked]),
              "exact": mean([100.0 * each for each in exact]),
              "sizes": mean([100.0 * bool(record.get("sizes")) for record in asked])}
    of_compiled = mean([record["bleu"] for record in compiled])
    numbers |= {"examples": len(records), "asked": len(asked), **shares, "bleu": mean(scores),
                "bleu_median": median(scores), "bleu_of_compiled": of_compiled}
    return (number(len(records)), number(len(asked)), f"{len(compiled)}: {percent(shares['compiles'], 1)}",
            f"{sum(exact)}: {percent(shares['exact'], 1)}", percent(shares["sizes"], 1), decimal(mean(scores)),
            decimal(median(scores)), decimal(of_compiled))
