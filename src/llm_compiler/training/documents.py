"""Documents of tokenised shards, laid out flat on disk: any of them is a slice of a mapped file."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_compiler.corpus.tokens import FORMAT, read_tokens
from llm_compiler.errors import InputError, StorageError
from llm_compiler.paths import cache_folder

MANIFEST = "manifest.json"
_WRITE = 1 << 22  # tokens written at a time


@dataclass(frozen=True)
class Documents:
    """One split of an export. offsets: where each document begins, and the end; prompts: tokens that are given."""

    name: str
    tokens: npt.NDArray[Any]
    offsets: npt.NDArray[np.int64]
    prompts: npt.NDArray[np.uint32]
    end: int  # the end mark's number
    vocabulary: int
    tokenizer: str  # sha256 of tokenizer.json

    def __len__(self) -> int:
        return len(self.prompts)

    @property
    def total(self) -> int:
        """Tokens of all documents."""
        return int(self.offsets[-1])

    def length(self, index: int) -> int:
        return int(self.offsets[index + 1] - self.offsets[index])

    def document(self, index: int) -> npt.NDArray[Any]:
        return self.tokens[self.offsets[index] : self.offsets[index + 1]]


def open_documents(folder: Path, split: str, scratch: Path | None = None) -> Documents:
    """The documents of an export's split; the first call lays them out in `scratch`, or in the cache folder.

    Raises InputError for what is no finished export, or has no such split; StorageError when the disk is full.
    """
    try:
        raw = (folder / MANIFEST).read_bytes()
        manifest = json.loads(raw)
        if manifest["format"] != FORMAT:
            raise KeyError("format")
        dtype = {"uint16": np.uint16, "uint32": np.uint32}[manifest["dtype"]]
        end, tokenizer = int(manifest["tokenizer"]["end_id"]), str(manifest["tokenizer"]["sha256"])
        size = int(manifest["tokenizer"]["size"])
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no tokenised shards; `llmc dataset export` writes them") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} is no manifest of tokenised shards") from error
    if not manifest["documents"].get(split):
        raise InputError(f"{folder} has no documents of the split {split}")
    key = hashlib.sha256(raw).hexdigest()[:24]
    flat = (scratch or cache_folder() / "tokens") / f"{key}-{split}"
    if not (flat / "prompts.npy").exists():
        _lay_out(folder, split, flat, dtype)
    return Documents(f"{manifest['task']}/{split}", np.memmap(flat / "tokens.bin", dtype=dtype, mode="r"),
                     np.load(flat / "offsets.npy", mmap_mode="r"), np.load(flat / "prompts.npy", mmap_mode="r"),
                     end, max(size, end + 1), tokenizer)


def _lay_out(folder: Path, split: str, flat: Path, dtype: Any) -> None:
    """Write the flat form in a folder of its own, and give it its name when it is whole."""
    try:
        flat.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{flat.name}.", dir=flat.parent))
    except OSError as error:
        raise StorageError(f"cannot write to {flat.parent}: {error.strerror}") from error
    try:
        lengths, prompts, waiting, held = [], [], [], 0
        with (made / "tokens.bin").open("wb") as file:
            for _, document in read_tokens(folder, split):
                lengths.append(len(document.tokens))
                prompts.append(document.prompt)
                waiting.append(document.tokens)
                held += len(document.tokens)
                if held >= _WRITE:
                    file.write(np.concatenate(waiting).astype(dtype, copy=False).tobytes())
                    waiting, held = [], 0
            if waiting:
                file.write(np.concatenate(waiting).astype(dtype, copy=False).tobytes())
        np.save(made / "offsets.npy", np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]))
        np.save(made / "prompts.npy", np.array(prompts, np.uint32))
        try:
            os.rename(made, flat)
        except OSError:
            if not (flat / "prompts.npy").exists():  # else another process was faster
                raise
    except OSError as error:
        raise StorageError(f"cannot write to {flat.parent}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
