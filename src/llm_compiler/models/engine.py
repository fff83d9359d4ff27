"""What answers prompts, whatever runs the model: n samples, each with its log-probability, cut at the answer's end."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from llm_compiler.errors import InputError, LlmcError

_ENDS = 1 << 20  # bytes at either end of a file that identify it, beside its size


class EngineError(LlmcError):
    """A model that cannot be loaded or run, or a server that is down or answers nonsense."""


@dataclass(frozen=True)
class Sample:
    """An answer, without the end mark. finished: it came to its end, and was not cut off at `tokens`.

    logprob: of all its tokens together, in nats; None where the engine does not tell.
    """

    text: str
    tokens: int
    finished: bool
    logprob: float | None = None


class Engine(Protocol):
    """context: tokens of prompt and answer together."""

    name: str
    context: int

    def count(self, prompt: str) -> int:
        """The prompt's tokens."""
        ...

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        """Answers to a prompt, best first. temperature: 0 for the most likely token each time (one sample is enough).

        grammar: GBNF that an answer must follow. Raises InputError for a prompt beyond the context, EngineError when
        the model cannot be run.
        """
        ...

    def close(self) -> None: ...


def check_length(prompt: int, tokens: int, context: int) -> None:
    """Raises InputError when a prompt of so many tokens leaves no room for an answer."""
    if prompt + tokens > context:
        raise InputError(f"the prompt has {prompt} tokens; with an answer of {tokens} it does not fit into {context}")


def check_vocabulary(tokens: int, known: object, tokenizer: Path) -> None:
    """Raises InputError when a tokenizer has more tokens than the model knows, if it tells that."""
    if isinstance(known, int) and tokens > known:
        raise InputError(f"{tokenizer} has {tokens} tokens and the model {known}: it belongs to another model")


def first_line(error: Exception) -> str:
    """What an exception of a library says, on one line."""
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


def ranked(samples: Sequence[Sample]) -> list[Sample]:
    """Each answer once, finished ones first, the likelier first."""
    kept: dict[str, Sample] = {}
    for sample in sorted(samples, key=lambda sample: (not sample.finished, -(sample.logprob or 0.0), sample.text)):
        kept.setdefault(sample.text, sample)
    return list(kept.values())


def fingerprint(*paths: Path) -> str:
    """What tells one model from another: a hash of the names, sizes and both ends of its files and folders.

    Raises InputError for a file that cannot be read.
    """
    found = hashlib.sha256()
    for path in paths:
        files = sorted(item for item in path.rglob("*") if item.is_file()) if path.is_dir() else [path]
        try:
            for item in files:
                size = item.stat().st_size
                found.update(f"{item.relative_to(path) if item != path else ''} {size}\n".encode())
                with item.open("rb") as file:
                    found.update(file.read(_ENDS))
                    file.seek(max(0, size - _ENDS), os.SEEK_SET)
                    found.update(file.read(_ENDS))
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error
    return found.hexdigest()[:32]
