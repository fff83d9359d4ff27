"""Tokenised shards: what a training job elsewhere needs of a dataset, in a few files of at most 56 MB.

A file `<split>-<nnnnn>.tok.zst` is zstd (several frames, as `zstd -d` takes them) of one line of JSON, which says
`dtype` (uint16 or uint32) and `split`, and of blocks until the end, all little-endian:

    uint32 documents n, uint32 tokens m, uint32 lengths[n], uint32 prompts[n], dtype tokens[m]

lengths: tokens of each document, the end mark included. prompts: how many of them are the prompt, which no loss is
taken on. The manifest, written last, lists the files; the tokenizer lies beside them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from llm_compiler.corpus.schema import TRAIN
from llm_compiler.corpus.shards import CREATED_BY, MANIFEST, Manifest, ShardInfo, read_shards
from llm_compiler.errors import InputError, StorageError
from llm_compiler.paths import write_atomically

FORMAT = "llmc-tokens 1"
TOKENIZER = "tokenizer.json"
FORMS = {"reference": ("prompt", "answer"), "compact": ("compact_prompt", "compact_answer")}
SHARD_BYTES = 56_000_000
_COMPACT_END = "<|end|>"  # what compact answers end with
_ENDS = ("<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "[EOS]", _COMPACT_END)
_BLOCK = 1 << 19  # tokens
_LEVEL = 6
_TEXTS = 128  # encoded at a time


@dataclass(frozen=True)
class Document:
    """tokens: with the end mark. The first `prompt` of them are given, the rest is to be learnt."""

    tokens: npt.NDArray[np.uint16] | npt.NDArray[np.uint32]
    prompt: int


class Answers(Protocol):
    """What examples are exported, and with which answers. columns: read beside the texts; told: for the manifest."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def told(self) -> dict[str, Any]: ...

    def chosen(self, rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Rows that are exported."""
        ...


@dataclass(frozen=True)
class Export:
    """What was written: documents and tokens by split; documents left out for their length."""

    documents: dict[str, int]
    tokens: dict[str, int]
    prompt_tokens: dict[str, int]
    too_long: int
    shards: list[ShardInfo]


class Encoder:
    """A tokenizer, and the end mark of documents in a form: answers of the compact form bring theirs, `<|end|>`.

    Raises InputError when the file is none, or has no end mark that is known and `required`.
    """

    def __init__(self, path: Path, end: str | None = None, form: str = "reference", *, required: bool = True) -> None:
        from tokenizers import Tokenizer

        try:
            self.text = path.read_bytes()
            self.tokenizer = Tokenizer.from_str(self.text.decode())
        except Exception as error:  # the library raises bare Exceptions
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise InputError(f"{path} is no tokenizer of the tokenizers library ({reason}); give a tokenizer.json"
                             ) from error
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        # In the reference's form `</s>` in code is code; the compact form escapes what looks like a token of its own.
        self.tokenizer.encode_special_tokens = form == "reference"
        self.form = form
        self.size = self.tokenizer.get_vocab_size(with_added_tokens=True)
        names = (end,) if end is not None else (_COMPACT_END, *_ENDS) if form == "compact" else _ENDS
        found = [(name, self.tokenizer.token_to_id(name)) for name in names]
        marks = [(name, number) for name, number in found if number is not None]
        if not marks and required:
            raise InputError(f"{path} has no token {' or '.join(names)}; name its end mark with --end")
        self.end_name, self.end = marks[0] if marks else ("", self.size)
        self.dtype = "uint16" if max(self.size, self.end + 1) <= 1 << 16 else "uint32"
        self.sha256 = hashlib.sha256(self.text).hexdigest()

    def documents(self, rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, Document]]:
        """Split and document of each row; prompt and answer are encoded apart, so that no token spans both."""
        prompt, answer = FORMS[self.form]
        pending: list[Mapping[str, Any]] = []
        for row in rows:
            pending.append(row)
            if len(pending) == _TEXTS:
                yield from self._encode(pending, prompt, answer)
                pending = []
        yield from self._encode(pending, prompt, answer)

    def _encode(self, rows: list[Mapping[str, Any]], prompt: str, answer: str) -> Iterator[tuple[str, Document]]:
        texts = [row[name] or "" for row in rows for name in (prompt, answer)]
        encoded = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        for row, given, wanted in zip(rows, encoded[::2], encoded[1::2], strict=True):
            ids = [*given.ids, *wanted.ids]
            if not (wanted.ids and wanted.ids[-1] == self.end):
                ids.append(self.end)
            yield row["split"], Document(np.array(ids, dtype=self.dtype), len(given.ids))


def export(folder: Path, tokenizer: Path, output: Path, *, form: str = "reference", max_tokens: int | None = None,
           max_length: int | None = None, shard_bytes: int = SHARD_BYTES, end: str | None = None,
           answers: Answers | None = None) -> Export:
    """Write a dataset's examples as tokenised shards, split kept, in the dataset's order.

    form: `reference` or `compact` prompts. max_tokens: of each split at most. max_length: documents with more tokens
    are left out and counted. end: the end mark, found by its usual names. answers: rows left out, or given another
    answer. Raises InputError, and StorageError when the disk does not take a file; a finished export has a
    manifest.json.
    """
    if form not in FORMS:
        raise InputError(f"unknown form '{form}'; use {' or '.join(FORMS)}")
    if shard_bytes < 100_000:
        raise InputError("a tokenised shard needs at least 0.1 MB")
    source = Manifest.read(folder)
    encoder = Encoder(tokenizer, end, form)
    with _storage(output):
        output.mkdir(parents=True, exist_ok=True)
        if any(output.iterdir()) and not (output / TOKENIZER).exists():
            raise InputError(f"{output} holds other files; give a new folder")
        for old in [output / MANIFEST, *output.glob("*.tok.zst")]:
            old.unlink(missing_ok=True)
        write_atomically(output / TOKENIZER, encoder.text)
    documents: Counter[str] = Counter()
    tokens: Counter[str] = Counter()
    prompts: Counter[str] = Counter()
    too_long = 0
    full: set[str] = set()
    writers: dict[str, _SplitWriter] = {}
    rows = read_shards(folder, ["split", *FORMS[form], *(answers.columns if answers else ())])
    if answers is not None:
        rows = answers.chosen(rows)
    try:
        for split, document in encoder.documents(row for row in rows if row["split"] not in full):
            size = len(document.tokens)
            if max_length is not None and size > max_length:
                too_long += 1
                continue
            if split in full:
                continue
            if max_tokens is not None and tokens[split] + size > max_tokens:
                full.add(split)
                continue
            documents[split] += 1
            tokens[split] += size
            prompts[split] += document.prompt
            if split not in writers:
                writers[split] = _SplitWriter(output, split, encoder.dtype, shard_bytes)
            writers[split].add(document)
        shards = [shard for _, writer in sorted(writers.items()) for shard in writer.finish()]
    except BaseException:
        for writer in writers.values():
            writer.abandon()
        raise
    done = Export(dict(documents), dict(tokens), dict(prompts), too_long, shards)
    with (folder / MANIFEST).open("rb") as file:
        origin = hashlib.file_digest(file, "sha256").hexdigest()
    content = {
        "format": FORMAT, "created_by": CREATED_BY, "task": source.task, "form": form,
        "dataset_manifest_sha256": origin,
        "tokenizer": {"file": TOKENIZER, "sha256": encoder.sha256, "size": encoder.size, "end": encoder.end_name,
                      "end_id": encoder.end},
        "dtype": encoder.dtype, "max_tokens": max_tokens, "max_length": max_length,
        "answers": None if answers is None else answers.told, **asdict(done),
    }
    write_atomically(output / MANIFEST, json.dumps(content, indent=1, sort_keys=True).encode() + b"\n")
    return done


class _SplitWriter:
    """Files of one split, each below the limit: a compressed block that no longer fits opens the next file."""

    def __init__(self, folder: Path, split: str, dtype: str, limit: int) -> None:
        self.folder, self.split, self.dtype, self.limit = folder, split, dtype, limit
        self.codec = pa.Codec("zstd", compression_level=_LEVEL)
        self.block: list[Document] = []
        self.block_tokens = 0
        self.block_limit = min(_BLOCK, limit // 8)
        self.file: Any = None
        self.temporary = ""
        self.written = self.documents = 0
        self.shards: list[ShardInfo] = []

    def add(self, document: Document) -> None:
        if self.block and self.block_tokens + len(document.tokens) > self.block_limit:
            self._flush()
        self.block.append(document)
        self.block_tokens += len(document.tokens)

    def _flush(self) -> None:
        if not self.block:
            return
        kind = "<u2" if self.dtype == "uint16" else "<u4"
        lengths = np.array([len(document.tokens) for document in self.block], "<u4")
        prompts = np.array([document.prompt for document in self.block], "<u4")
        ids = np.concatenate([document.tokens for document in self.block]).astype(kind)
        head = np.array([len(lengths), len(ids)], "<u4")
        data = self.codec.compress(b"".join(part.tobytes() for part in (head, lengths, prompts, ids)), asbytes=True)
        with _storage(self.folder):
            if self.file is not None and self.written + len(data) > self.limit:
                self._close()
            if self.file is None:
                self._open()
            self._write(data)
        self.documents += len(self.block)
        self.block, self.block_tokens = [], 0

    def _open(self) -> None:
        handle, self.temporary = tempfile.mkstemp(prefix=f".{self.split}.", suffix=".tmp", dir=self.folder)
        self.file = os.fdopen(handle, "wb")
        header = json.dumps({"format": FORMAT, "dtype": self.dtype, "split": self.split}, sort_keys=True) + "\n"
        self.written = self.documents = 0
        self._write(self.codec.compress(header.encode(), asbytes=True))

    def _write(self, data: bytes) -> None:
        self.file.write(data)
        self.written += len(data)

    def _close(self) -> None:
        file, self.file = self.file, None
        with file:
            file.flush()
            os.fsync(file.fileno())
        with open(self.temporary, "rb") as written:
            sha256 = hashlib.file_digest(written, "sha256").hexdigest()
        name = f"{self.split}-{len(self.shards):05d}.tok.zst"
        os.chmod(self.temporary, 0o644)
        os.replace(self.temporary, self.folder / name)
        self.temporary = ""
        self.shards.append(ShardInfo(name, sha256, self.documents, self.written))

    def finish(self) -> list[ShardInfo]:
        self._flush()
        if self.file is not None:
            with _storage(self.folder):
                self._close()
        return self.shards

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            if self.file is not None:
                self.file.close()
        if self.temporary:
            with contextlib.suppress(OSError):
                os.unlink(self.temporary)


@contextlib.contextmanager
def _storage(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write to {folder}: {error.strerror or error}; free some space or choose another "
                           "folder") from error


def read_tokens(folder: Path, split: str | None = None) -> Iterator[tuple[str, Document]]:
    """Split and documents of an export, in order, a block (about 1 MB) in memory.

    Raises InputError for an export without a manifest, and for a file that is missing or damaged.
    """
    try:
        content = json.loads((folder / MANIFEST).read_bytes())
        if content["format"] != FORMAT:
            raise KeyError("format")
    except FileNotFoundError as error:
        raise InputError(f"{folder} has no {MANIFEST}: the export is unfinished; run it again") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{folder / MANIFEST} is no manifest of tokenised shards") from error
    for shard in content["shards"]:
        path = folder / shard["name"]
        if split is not None and not shard["name"].startswith(f"{split}-"):
            continue
        try:
            found = 0
            for document in _read_file(path):
                found += 1
                yield shard["name"].rpartition("-")[0], document
        except FileNotFoundError as error:
            raise InputError(f"{path} is missing; run the export again") from error
        except (OSError, ValueError, KeyError, EOFError) as error:
            raise InputError(f"{path} is damaged; run the export again") from error
        if found != shard["rows"]:
            raise InputError(f"{path} holds {found} documents, not {shard['rows']}; run the export again")


def _read_file(path: Path) -> Iterator[Document]:
    with pa.OSFile(str(path), "rb") as file, pa.CompressedInputStream(file, "zstd") as stream:
        header = b""
        while not header.endswith(b"\n"):
            byte = stream.read(1)
            if not byte:
                raise EOFError
            header += byte
        kind = {"uint16": "<u2", "uint32": "<u4"}[json.loads(header)["dtype"]]
        while head := stream.read(8):
            documents, tokens = np.frombuffer(head, "<u4").tolist()
            numbers = np.frombuffer(_exactly(stream, 8 * documents), "<u4")
            ids = np.frombuffer(_exactly(stream, tokens * int(kind[2])), kind)
            at = 0
            for length, prompt in zip(numbers[:documents].tolist(), numbers[documents:].tolist(), strict=True):
                yield Document(ids[at : at + length], prompt)
                at += length


def _exactly(stream: Any, size: int) -> bytes:
    data: bytes = stream.read(size)
    if len(data) != size:
        raise EOFError
    return data


def compact_texts(folder: Path, size: int, split: str = TRAIN) -> Iterator[str]:
    """Compact prompts with their answers, from all over a dataset's split, until `size` bytes; whole examples."""
    shards = [shard for shard in Manifest.read(folder).shards if shard.name.startswith(f"{split}-")]
    for shard in shards:
        taken, share = 0, size // len(shards)
        for row in read_shards(folder / shard.name, list(FORMS["compact"])):
            text = (row["compact_prompt"] or "") + (row["compact_answer"] or "")
            yield text
            taken += len(text)
            if taken >= share:
                break


def count_tokens(folder: Path, tokenizer: Path) -> dict[str, dict[str, int]]:
    """Tokens of a dataset's prompts and answers by split, without end marks, in both forms where it has them."""
    source = Manifest.read(folder)
    counts: dict[str, dict[str, int]] = {}
    if not source.shards:
        return counts
    names = pq.read_schema(folder / source.shards[0].name).names
    for form, columns in FORMS.items():
        if not set(columns) <= set(names):
            continue
        encoder = Encoder(tokenizer, form=form, required=False)
        before = "" if form == "reference" else f"{form} "
        for split, document in encoder.documents(read_shards(folder, ["split", *columns])):
            found = counts.setdefault(f"{before}{split}", {"documents": 0, "prompt": 0, "answer": 0})
            found["documents"] += 1
            found["prompt"] += document.prompt
            found["answer"] += len(document.tokens) - document.prompt - 1
    return counts


def add_token_counts(folder: Path, tokenizer: Path, name: str | None = None) -> Manifest:
    """Count a dataset's tokens (`count_tokens`) and write them into its manifest and its card."""
    from llm_compiler.corpus.card import write_card

    manifest = Manifest.read(folder)
    known = dict(manifest.counts.get("tokens", {}))
    known[name or tokenizer.stem] = count_tokens(folder, tokenizer)
    manifest = replace(manifest, counts={**manifest.counts, "tokens": known})
    write_card(folder, manifest)
    manifest.write(folder)
    return manifest
