"""How many tokens a text has."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError, LlmcError

BYTES_PER_TOKEN = 2.5
"""What a token of IR or assembly is taken to be without a tokenizer: low, so that an estimate errs to the long side."""


@lru_cache(maxsize=2)
def _tokenizer(path: Path) -> Any:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise LlmcError("tokenizers is missing: pip install 'llm-compiler[corpus]'") from error
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises plain Exception
        raise InputError(f"{path} is no tokenizer file (tokenizer.json): {error}") from error


def tokens(text: str, tokenizer: Path | None) -> int:
    """Tokens of a text by a tokenizer.json, or by the estimate of 2.5 bytes a token."""
    if tokenizer is None:
        return int(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)
    return len(_tokenizer(tokenizer).encode(text, add_special_tokens=False).ids)


def within(text: str, limit: int, tokenizer: Path | None) -> bool:
    """Whether a text has at most `limit` tokens; a tokenizer is asked only where the answer is open."""
    if tokenizer is not None and len(text) <= limit:
        return True  # no byte-level tokenizer has more tokens than bytes; text here is ASCII but for strings
    return tokens(text, tokenizer) <= limit


def identity(path: Path | None) -> str:
    """What names a tokenizer file in parameters: the hash of its content."""
    if path is None:
        return f"{BYTES_PER_TOKEN} bytes a token"
    if not path.is_file():
        raise InputError(f"there is no tokenizer file {path}")
    return hashlib.sha256(path.read_bytes()).hexdigest()
