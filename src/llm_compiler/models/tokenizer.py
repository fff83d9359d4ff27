"""A byte-level BPE for IR, assembly and pass lists. Lossless: decoding gives the text back, byte by byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llm_compiler.errors import InputError
from llm_compiler.models.engine import first_line
from llm_compiler.paths import write_atomically
from llm_compiler.tasks.prompts import END, SPECIAL_TOKENS

if TYPE_CHECKING:
    from tokenizers import Tokenizer

SIZE = 16_384
# Pieces that tokens never cross: a line's end with the indentation after it; a word with the sigil of a value, a
# register or metadata; digits by threes, so that numbers are read by place; runs of other characters.
PIECES = (r"\n[ \t]*"
          r"| ?[%@$#!]?[A-Za-z_][A-Za-z_.]*"
          r"| ?[%@$#!]?[0-9]{1,3}"
          r"| ?[^\sA-Za-z0-9_%@$#!]+"
          r"| ?[%@$#!]"
          r"|[^\S\n]+")
_SPECIAL = re.compile("|".join(map(re.escape, SPECIAL_TOKENS)))


@dataclass(frozen=True)
class Lengths:
    """How long texts are in tokens. fits: the share of them within so many tokens."""

    texts: int
    tokens: int
    bytes: int
    median: int
    fits: Mapping[int, float]


def train(texts: Iterable[str], size: int = SIZE) -> Tokenizer:
    """A tokenizer of `size` tokens, those of the tasks (`prompts.SPECIAL_TOKENS`) first. The same for equal texts.

    texts: in the compact form of prompts; what stands between special tokens is learnt from.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIAL_TOKENS), show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=32)
    tokenizer.train_from_iterator((part for text in texts for part in _SPECIAL.split(text) if part), trainer)
    return tokenizer


def load(path: Path) -> Tokenizer:
    """A tokenizer.json. Raises InputError for a file that is none."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"there is no tokenizer {path}") from error
    except Exception as error:  # the library raises bare Exceptions
        raise InputError(f"{path} is no tokenizer.json ({first_line(error)})") from error


def encoded(tokenizer: Tokenizer, text: str) -> list[int]:
    """The tokens of a text, and no others."""
    ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
    return ids


def save(tokenizer: Tokenizer, path: Path) -> None:
    """Write tokenizer.json, and beside it what transformers wants to know."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config: dict[str, Any] = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "pad_token": END,
                              "clean_up_tokenization_spaces": False, "model_max_length": 16_384}
    write_atomically(path.parent / "tokenizer_config.json", (json.dumps(config, indent=1) + "\n").encode())
    write_atomically(path, tokenizer.to_str().encode())


def measure(tokenizer: Tokenizer, texts: Iterable[str], limits: tuple[int, ...] = (2048, 8192, 16_384)) -> Lengths:
    """Tokens of each text. Raises InputError without texts."""
    lengths, size = [], 0
    for batch in _batches(texts, 256):
        size += sum(len(text.encode(errors="surrogateescape")) for text in batch)
        lengths += [len(found.ids) for found in tokenizer.encode_batch_fast(batch, add_special_tokens=False)]
    if not lengths:
        raise InputError("there is no text to measure")
    fits = {limit: sum(length <= limit for length in lengths) / len(lengths) for limit in limits}
    return Lengths(len(lengths), sum(lengths), size, sorted(lengths)[len(lengths) // 2], fits)


def _batches(texts: Iterable[str], size: int) -> Iterator[list[str]]:
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
