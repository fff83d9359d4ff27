"""GGUF models in this process, by llama.cpp (the wheel xllamacpp): no torch, no server to be started."""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from llm_compiler.errors import InputError
from llm_compiler.models import tokenizer as tokenizers
from llm_compiler.models.engine import EngineError, Sample, check_length, check_vocabulary, first_line, ranked


class Embedded:
    """A GGUF file and its tokenizer.json. context: tokens of prompt and answer together, never more than the model was
    made for; threads: of the processor; slots: answers that are written at a time.

    Raises InputError for a file that is no model, EngineError when llama.cpp does not take it.
    """

    name = "embedded"

    def __init__(self, model: Path, tokenizer: Path, *, context: int = 8192, threads: int | None = None,
                 slots: int = 8) -> None:
        longest, known = told_by(model)
        self.tokenizer = tokenizers.load(tokenizer)
        check_vocabulary(self.tokenizer.get_vocab_size(), known, tokenizer)
        self.context = min(context, longest or context)
        self._server, _ = _open(model, self.context, threads, slots, special=True)
        self.slots = slots

    def count(self, prompt: str) -> int:
        return len(tokenizers.encoded(self.tokenizer, prompt))

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        ids = tokenizers.encoded(self.tokenizer, prompt)
        check_length(len(ids), tokens, self.context)
        asked: dict[str, Any] = {
            "prompt": ids, "n": samples, "n_predict": tokens, "temperature": temperature, "seed": seed, "n_probs": 1,
            "cache_prompt": True, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "repeat_penalty": 1.0}
        if grammar is not None:
            asked["grammar"] = grammar
        if self._server is None:
            raise EngineError("the model is closed")
        try:
            told: Any = self._server.handle_completions(asked)
            if "error" in told:
                raise EngineError(f"the model gave no answer: {told['error'].get('message', told['error'])}")
            return ranked([self._sample(choice) for choice in told["choices"]])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise EngineError(f"the model gave no answer: {first_line(error)}") from error

    def _sample(self, choice: Mapping[str, Any]) -> Sample:
        content = (choice.get("logprobs") or {}).get("content") or []
        finished = choice["finish_reason"] == "stop"
        # Bytes that make no character by themselves are told with the token that completes them; the end mark is told.
        told = content[:-1] if finished else content
        data = b"".join(bytes(item["bytes"]) for item in told)
        return Sample(data.decode(errors="replace"), len(content), finished, sum(item["logprob"] for item in content))

    def close(self) -> None:
        self._server = None


@contextmanager
def served(model: Path, *, context: int = 8192, threads: int | None = None, slots: int = 1
           ) -> Iterator[tuple[str, str]]:
    """A GGUF file behind OpenAI's completions on this machine, for programs that ask a server: its address, which ends
    in /v1, and its key. Raises as `Embedded` does.
    """
    server, key = _open(model, min(context, told_by(model)[0] or context), threads, slots, special=False)
    try:
        yield f"{server.listening_address.rstrip('/')}/v1", key
    finally:
        del server  # which stops it


def _open(model: Path, context: int, threads: int | None, slots: int, *, special: bool) -> tuple[Any, str]:
    """llama.cpp's server and its key. context: of each answer. special: marks such as the end are told as text."""
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineError("xllamacpp is missing: pip install 'llm-compiler[model]'") from error
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.n_ctx = context * slots
    params.n_parallel = slots
    params.kv_unified = True
    params.n_batch = params.n_ubatch = 512
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads or len(os.sched_getaffinity(0))
    params.warmup = False
    params.special = special
    params.verbosity = -1
    params.ui = False
    key = secrets.token_hex(16)
    params.api_keys = [key]
    try:
        return xllamacpp.Server(params), key
    except Exception as error:  # whatever the wheel raises
        raise EngineError(f"{model} cannot be run; it may be damaged, or too large: {first_line(error)}") from error


_SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of GGUF's types of values, in bytes
_STRING, _ARRAY = 8, 9
_LONGEST_KEY = 65_535  # bytes


def told_by(model: Path) -> tuple[int | None, int | None]:
    """The context that a GGUF file says it was made for, and how many tokens it knows; None for what it does not say.

    Raises InputError. github.com/ggml-org/ggml, docs/gguf.md: magic, version, number of tensors and of keys, the keys.
    """
    context = tokens = None
    try:
        with model.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise InputError(f"{model} is no GGUF file")
            _, _, keys = struct.unpack("<IQQ", file.read(20))
            for _ in range(keys):
                key = file.read(min(_number(file, 8), _LONGEST_KEY))
                kind = _number(file, 4)
                if key.endswith(b".context_length") and kind in _SIZES:
                    context = _number(file, _SIZES[kind])
                elif key == b"tokenizer.ggml.tokens" and kind == _ARRAY:
                    tokens = _skip_array(file)
                else:
                    _skip(file, kind)
                if context is not None and tokens is not None:
                    break
    except OSError as error:
        raise InputError(f"the model {model} cannot be read: {error.strerror}") from error
    except (struct.error, KeyError, OverflowError, RecursionError):
        pass  # cut off or damaged: llama.cpp says so
    return context, tokens


def _number(file: BinaryIO, size: int) -> int:
    data = file.read(size)
    if len(data) < size:
        raise struct.error
    return int.from_bytes(data, "little")


def _skip(file: BinaryIO, kind: int) -> None:
    if kind == _STRING:
        file.seek(_number(file, 8), os.SEEK_CUR)
    elif kind == _ARRAY:
        _skip_array(file)
    else:
        file.seek(_SIZES[kind], os.SEEK_CUR)


def _skip_array(file: BinaryIO) -> int:
    """How many elements it has."""
    inner, count = _number(file, 4), _number(file, 8)
    if inner in _SIZES:
        file.seek(count * _SIZES[inner], os.SEEK_CUR)
    else:
        for _ in range(count):
            _skip(file, inner)
    return count
