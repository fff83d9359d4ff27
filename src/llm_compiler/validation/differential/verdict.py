"""What differential execution found out, function by function."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class FunctionStatus(StrEnum):
    """agreed: on every counted input the candidate did what -O0 and -Oz did. differs: on one it did not, confirmed.
    unchanged: its code equals that of -Oz. gone: neither version has it on its own (inlined or dead).
    not_executed: it could not be run, or no input could be counted; `reason` says why.
    """

    AGREED = "agreed"
    DIFFERS = "differs"
    UNCHANGED = "unchanged"
    GONE = "gone"
    NOT_EXECUTED = "not_executed"


@dataclass(frozen=True)
class Counterexample:
    """An input on which a candidate differs. seeds: the input itself; `call` and `difference` are for readers."""

    function: str
    seeds: tuple[int, ...]
    call: str
    difference: str

    @property
    def replay(self) -> str:
        """The input as `llmc verify --input` takes it."""
        return ":".join(f"{seed:x}" for seed in self.seeds)


@dataclass(frozen=True)
class FunctionVerdict:
    """inputs: counted inputs that were run. blocks, all_blocks: basic blocks of the unoptimised function that counted
    inputs reached, of how many. via: callers through which it was run, where it cannot be called alone.
    """

    name: str
    status: FunctionStatus
    inputs: int = 0
    blocks: int = 0
    all_blocks: int = 0
    reason: str = ""
    via: bool = False
    counterexample: Counterexample | None = None

    def as_record(self) -> dict[str, Any]:
        record: dict[str, Any] = {"function": self.name, "status": str(self.status), "inputs": self.inputs,
                                  "blocks": self.blocks, "all_blocks": self.all_blocks}
        if self.reason:
            record["reason"] = self.reason
        if self.via:
            record["through_callers"] = True
        if self.counterexample is not None:
            example = self.counterexample
            record["counterexample"] = {"input": example.replay, "call": example.call, "difference": example.difference}
        return record


@dataclass(frozen=True)
class Verification:
    """The verdicts of one candidate; `note` says why nothing could be run, or that time ran out.

    basis: what else vouches for the code, in words.
    """

    functions: tuple[FunctionVerdict, ...] = ()
    note: str = ""
    seconds: float = 0.0
    level: str = "off"
    basis: str = ""

    @property
    def wrong(self) -> FunctionVerdict | None:
        """The first function that differs."""
        return next((item for item in self.functions if item.status is FunctionStatus.DIFFERS), None)

    @property
    def counts(self) -> Counter[FunctionStatus]:
        return Counter(item.status for item in self.functions)

    @property
    def summary(self) -> str:
        """One sentence for people."""
        return "; ".join(filter(None, (self.basis, self._executed)))

    @property
    def _executed(self) -> str:
        if not self.functions:
            return self.note
        counts = self.counts
        agreed = [item for item in self.functions if item.status is FunctionStatus.AGREED]
        inputs = sum(item.inputs for item in agreed if not item.via)
        changed = len(agreed) + counts[FunctionStatus.DIFFERS] + counts[FunctionStatus.NOT_EXECUTED]
        parts = []
        if counts[FunctionStatus.DIFFERS]:
            parts.append(f"{counts[FunctionStatus.DIFFERS]} of {changed} changed functions differ")
        if not changed:
            parts.append("no function's code changed")
        else:
            if agreed or not counts[FunctionStatus.DIFFERS]:
                parts.append(f"{len(agreed)} of {changed} changed functions agree with clang's on {inputs} inputs")
            if counts[FunctionStatus.NOT_EXECUTED]:
                parts.append(f"{counts[FunctionStatus.NOT_EXECUTED]} not executed")
        if self.note:
            parts.append(self.note)
        return "; ".join(parts)

    def as_record(self) -> dict[str, Any]:
        """For JSON: what was done, function by function."""
        return {"level": self.level, "summary": self.summary, "basis": self.basis, "note": self.note,
                "functions": [item.as_record() for item in self.functions]}

    @staticmethod
    def from_record(record: dict[str, Any]) -> Verification:
        """What `as_record` wrote."""
        functions = []
        for item in record["functions"]:
            told = item.get("counterexample")
            example = None if told is None else Counterexample(
                item["function"], tuple(int(word, 16) for word in told["input"].split(":")), told["call"],
                told["difference"])
            functions.append(FunctionVerdict(
                item["function"], FunctionStatus(item["status"]), item["inputs"], item["blocks"], item["all_blocks"],
                item.get("reason", ""), item.get("through_callers", False), example))
        return Verification(tuple(functions), record["note"], level=record["level"], basis=record["basis"])
