"""The columns of the corpus and of its datasets, and the values that go with every example."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

PROVENANCE = [
    pa.field("package", pa.string()),
    pa.field("version", pa.string()),
    pa.field("licence", pa.string()),  # the names in debian/copyright, joined by " AND "; empty when unknown
    pa.field("file", pa.string()),  # within the package's source tree
    pa.field("language", pa.string()),  # c, c++ or ir
]

# module: `digest` of the bitcode, which is unoptimised and made for -Oz, without debug information.
MODULES = pa.schema([
    pa.field("module", pa.string()),
    *PROVENANCE,
    pa.field("flags", pa.list_(pa.string())),  # the user's own, without source and outputs
    pa.field("triple", pa.string()),
    pa.field("functions", pa.int32()),  # with a body
    pa.field("instructions", pa.int32()),
    pa.field("bitcode", pa.binary()),
])

# function: hash of the canonical form; ir: text of a module with this one definition and what it needs.
FUNCTIONS = pa.schema([
    pa.field("function", pa.string()),
    pa.field("name", pa.string()),
    pa.field("module", pa.string()),
    *PROVENANCE,
    pa.field("split", pa.string()),
    pa.field("instructions", pa.int32()),
    pa.field("ir", pa.string()),
])

MODULE_STATUS_FILE = "modules.parquet"  # in functions/, beside the shards of functions

# One row for every module that the functions stage has read. `status` is kept, duplicate or refused; detail says why.
MODULE_STATUS = pa.schema([
    pa.field("module", pa.string()),
    pa.field("package", pa.string()),
    pa.field("split", pa.string()),
    pa.field("status", pa.string()),
    pa.field("detail", pa.string()),
    pa.field("new_functions", pa.int32()),
])

# What every example of a task begins with; tasks add columns of their own. hash: of the module or function.
EXAMPLE = [
    pa.field("task", pa.string()),
    pa.field("prompt", pa.string()),
    pa.field("answer", pa.string()),
    pa.field("compact_prompt", pa.string()),
    pa.field("compact_answer", pa.string()),
    *PROVENANCE,
    pa.field("function", pa.string()),  # its name; empty for a module
    pa.field("hash", pa.string()),
    pa.field("split", pa.string()),
]

TRAIN, VALIDATION, TEST = "train", "validation", "test"


@dataclass(frozen=True)
class Origin:
    """Where code comes from, as far as it is known."""

    package: str
    version: str = ""
    licence: str = ""
