"""Next tokens: perplexity and bits per byte of IR and assembly, for a model in transformers' form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.evaluation.document import Section, Table, decimal, number
from llm_compiler.evaluation.metrics import bits_per_byte, perplexity
from llm_compiler.evaluation.runs import Log, Record, Run
from llm_compiler.evaluation.suites import Item, Suite
from llm_compiler.evaluation.words import unfinished, where
from llm_compiler.models import local
from llm_compiler.models import tokenizer as tokenizers
from llm_compiler.models.engine import check_vocabulary
from llm_compiler.tasks import prompts
from llm_compiler.tasks.assembly import comment_mark, compact_assembly
from llm_compiler.tasks.compact import compact

TASK = "next-token"
SCORED = "scored"
_ASSEMBLY = (".s", ".S", ".asm")
_LONGEST = 4096  # tokens of a window unless said: the logits of all of them are held
_BEGIN = ("<s>", "<|begin_of_text|>")


@dataclass(frozen=True)
class Text:
    """text: what is scored; plain: bytes of the code or text that it tells, as its tools print it. kind: ir, assembly
    or text; target: of assembly.
    """

    text: str
    plain: int
    kind: str
    target: str = ""


class Scorer:
    """A folder that transformers reads: config.json, weights, tokenizer.json.

    context: tokens that are looked at together; the model's own, at most 4096, unless said. Raises InputError for a
    folder that holds no model, EngineError when it cannot be loaded.
    """

    def __init__(self, folder: Path, *, context: int | None = None, device: str | None = None) -> None:
        config = local.configuration(folder)
        self.context = context or min(_LONGEST, int(config.get("max_position_embeddings", _LONGEST)))
        if self.context < 2:
            raise InputError("a context has at least 2 tokens")
        self.tokenizer = tokenizers.load(folder / "tokenizer.json")
        check_vocabulary(self.tokenizer.get_vocab_size(), config.get("vocab_size"), folder / "tokenizer.json")
        self._model, self.device = local.load(folder, device)
        self.compacts = self.tokenizer.token_to_id(prompts.DISASSEMBLE) is not None
        self._begin = next((found for mark in _BEGIN if (found := self.tokenizer.token_to_id(mark)) is not None), None)

    def score(self, text: str) -> tuple[float, int]:
        """Nats of a text's tokens, and how many were predicted: all but the first, which nothing stands before.

        A text beyond the context is read in windows that overlap by half; each token is scored once.
        """
        import torch
        from torch.nn import functional

        ids = tokenizers.encoded(self.tokenizer, text)
        if self._begin is not None and not self.compacts:
            ids = [self._begin, *ids]
        nats, scored = 0.0, 1
        while scored < len(ids):
            start = 0 if scored == 1 else scored - self.context // 2
            window = torch.tensor([ids[start : start + self.context]], device=self.device)
            with torch.no_grad():
                logits = self._model(window).logits[0, scored - start - 1 : -1].float()
            targets = window[0, scored - start :]
            nats += float(functional.cross_entropy(logits, targets, reduction="sum"))
            scored = start + window.shape[1]
        return nats, max(0, len(ids) - 1)


def text_of(item: Item, compacts: bool) -> Text:
    """An item as the model has learnt such texts. A file is IR (.ll), assembly (.s) or plain text."""
    if item.path is None:
        row = item.row
        return Text(row["compact_answer"] if compacts else row["answer"], len(row["answer"].encode(errors="replace")),
                    row["kind"], row["target"])
    text = item.path.read_bytes().decode(errors="replace")
    size = len(text.encode())
    if item.path.suffix == ".ll":
        return Text(prompts.document(compact(text), kind=prompts.IR) if compacts else text, size, "ir")
    if item.path.suffix in _ASSEMBLY:
        target = "aarch64" if comment_mark(text) == "//" else "x86_64"
        short = prompts.document(compact_assembly(text), kind=prompts.ASM, target=target) if compacts else text
        return Text(short, size, "assembly", target)
    return Text(prompts.document(text) if compacts else text, size, "text")


def evaluate(run: Run, suite: Suite, scorer: Scorer,
             on_progress: Callable[[int, int], None] = lambda done, count: None) -> None:
    """A record for each text that the run lacks."""
    for count, item in enumerate(suite.read(), 1):
        if item.key not in run:
            text = text_of(item, scorer.compacts)
            nats, tokens = scorer.score(text.text)
            run.add(item.key, SCORED if tokens else "empty", name=item.name, benchmark=item.benchmark, kind=text.kind,
                    target=text.target, level=item.row.get("level", ""), nats=round(nats, 4), tokens=tokens,
                    bytes=len(text.text.encode(errors="replace")), plain=text.plain)
        on_progress(count, suite.count)


def section(log: Log) -> Section:
    """What a run has shown."""
    found = Section(f"Next tokens: {log.name}", [f"{where(log)} {unfinished(log)}".strip()])
    table = Table(("texts", "count", "tokens", "bytes", "perplexity", "bits per byte", "bits per byte as fed"), left=1)
    for name, kind, target in (("LLVM-IR", "ir", ""), ("x86-64 assembly", "assembly", "x86_64"),
                               ("AArch64 assembly", "assembly", "aarch64"), ("other text", "text", "")):
        records = [record for record in log.records.values()
                   if record["status"] == SCORED and (record["kind"], record["target"]) == (kind, target)]
        if records:
            table.add(name, *_row(records, found.numbers.setdefault(name, {})))
    if table.rows:
        found.add(table)
    found.add("Perplexity is a token's, and no two tokenizers' can be compared; bits per byte can: they are over the "
              "bytes of the code as its tools print it. As fed: over the bytes that the model reads, in its own form.")
    return found


def _row(records: Sequence[Record], numbers: dict[str, Any]) -> Sequence[str]:
    nats = [record["nats"] for record in records]
    tokens, plain, fed = ([record[name] for record in records] for name in ("tokens", "plain", "bytes"))
    numbers |= {"count": len(records), "tokens": sum(tokens), "bytes": sum(plain),
                "perplexity": perplexity(nats, tokens), "bits_per_byte": bits_per_byte(nats, plain),
                "bits_per_byte_as_fed": bits_per_byte(nats, fed)}
    return (number(len(records)), number(sum(tokens)), number(sum(plain)), decimal(perplexity(nats, tokens)),
            decimal(bits_per_byte(nats, plain)), decimal(bits_per_byte(nats, fed)))
