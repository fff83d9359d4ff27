"""Answers that a small model can learn: of a program's good pass lists the one that most others share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llm_compiler.corpus.shards import Manifest
from llm_compiler.errors import InputError
from llm_compiler.tasks import prompts
from llm_compiler.tasks.labels.label import FAILED


@dataclass(frozen=True)
class SharedAnswers:
    """Of flag tuning: programs with a gain alone, since -Oz need not be learnt where it is the fallback anyway. The
    answer is the first broadcast list (they stand in the order of a greedy cover) that saves `share` of what the
    program's best list saves.

    lists: broadcast lists by profile.
    """

    lists: dict[str, list[str]]
    share: float
    columns: tuple[str, ...] = ("profile", "baseline_bytes", "bytes", "sizes")

    @classmethod
    def of(cls, folder: Path, share: float) -> SharedAnswers:
        """For a dataset of flag tuning. Raises InputError for another."""
        manifest = Manifest.read(folder)
        if manifest.task != "flags":
            raise InputError(f"{folder} is no dataset of flag tuning, whose lists --shared-answers chooses from")
        return cls(manifest.parameters["lists"], share)

    @property
    def told(self) -> dict[str, Any]:
        return {"programs with a gain alone": True, "share of the best list's saving": self.share}

    def chosen(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        for row in rows:
            baseline, best = row["baseline_bytes"], row["bytes"]
            if best >= baseline:
                continue
            enough = baseline - self.share * (baseline - best)
            index = next((index for index, size in enumerate(row["sizes"]) if size != FAILED and size <= enough), None)
            if index is None:
                yield row
                continue
            text = self.lists[row["profile"]][index]
            yield {**row, "answer": prompts.flags_answer(text), "compact_answer": prompts.compact_flags_answer(text)}
