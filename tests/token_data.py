"""Small tokenised exports for tests of training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa

from llm_compiler.corpus.schema import EXAMPLE
from llm_compiler.corpus.shards import Manifest, write_shard
from llm_compiler.corpus.tokens import export
from llm_compiler.models import tokenizer as tokenizers

SCHEMA = pa.schema(EXAMPLE)
CODE = ["  %{0} = add i32 %{1}, {0}", "  store i32 %{0}, ptr %{1}, align 4", "  br label %{0}",
        "  %{0} = load ptr, ptr %{1}, align 8", "  call void @use_{1}(i32 %{0}, i64 {0})"]


def code(number: int, lines: int) -> str:
    """Text that looks like IR, and is another for every number."""
    body = (CODE[(number * 7 + line) % 5].format(number + line, line + 1) for line in range(lines))
    return "\n".join((f"define void @f{number}(i32 %0) {{", *body, "  ret void", "}")) + "\n"


def make_tokenizer(folder: Path, size: int = 400) -> Path:
    path = folder / "tokenizer.json"
    tokenizers.save(tokenizers.train((code(number, 9) for number in range(80)), size), path)
    return path


def make_export(folder: Path, tokenizer: Path, task: str, documents: int, *, prompts: bool, split: str = "train",
                lines: int = 3) -> Path:
    """Documents of two to `lines` + 2 lines and more; the last tenth of them is for validation."""
    rows: list[dict[str, Any]] = []
    for number in range(documents):
        given = f"<|optimize|>{code(number, 1)}<|answer|>" if prompts else ""
        rows.append({**dict.fromkeys(SCHEMA.names, ""), "task": task, "package": "p", "compact_prompt": given,
                     "compact_answer": f"{code(number, 1 + number % lines)}<|end|>",
                     "split": "validation" if number * 10 >= documents * 9 else split})
    source = folder / f"{task}-dataset"
    shards = [write_shard(source / f"{name}-0.parquet", [row for row in rows if row["split"] == name], SCHEMA, {})
              for name in (split, "validation")]
    Manifest.of(source, shards, task=task, parameters={}, counts={}).write(source)
    export(source, tokenizer, folder / task, form="compact")
    return folder / task
