"""Models in OpenVINO's form in this process, by OpenVINO GenAI (the extra `fast`): the quick one for long prompts."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.models import tokenizer as tokenizers
from llm_compiler.models.engine import EngineError, Sample, check_length, check_vocabulary, ranked

MODEL = "openvino_model.xml"
VOCABULARY = "openvino_tokenizer.xml"
"""Of the files that grammars need: OpenVINO's own form of the tokenizer, which encodes nothing here."""
ENDS = ("<|end|>", "</s>", "<|endoftext|>")
"""Tokens that end an answer, where a tokenizer has them."""
_BLOCK = 32  # tokens whose keys and values are kept together, on processors
_SEEDS, _STRIDE = 2**31 - 1, 8191
_RAISED = (RuntimeError, ValueError, IndexError, TypeError)
_INPUTS = {"input_ids", "attention_mask", "position_ids", "beam_idx"}


class OpenVino:
    """A folder that `llmc convert --to openvino` wrote. context: tokens of prompt and answer together, never more than
    the model was made for; threads: of the processor; slots: answers whose keys and values are kept at a time.

    Raises InputError for a folder that holds no such model, EngineError without OpenVINO GenAI.
    """

    name = "openvino"

    def __init__(self, folder: Path, *, context: int = 8192, threads: int | None = None, slots: int = 8) -> None:
        try:
            import numpy
            import openvino
            import openvino_genai
        except ImportError as error:
            raise EngineError("openvino-genai is missing: pip install 'llm-compiler[fast]'") from error
        self.context = min(context, _made_for(folder))
        self.tokenizer = tokenizers.load(folder / "tokenizer.json")
        self._ends = {number for mark in ENDS if (number := self.tokenizer.token_to_id(mark)) is not None}
        self._grammars = (folder / VOCABULARY).is_file()
        self._tensor: Any = lambda ids: openvino.Tensor(numpy.array([ids], numpy.int64))
        self._genai: Any = openvino_genai
        scheduler = openvino_genai.SchedulerConfig()
        scheduler.enable_prefix_caching = True
        scheduler.num_kv_blocks = -(-self.context * slots // _BLOCK)
        properties = {"INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)), "ENABLE_CPU_PINNING": False,
                      # Eight bits, the default, are slower for several answers at a time, and further off.
                      "KV_CACHE_PRECISION": "f16"}
        try:
            _check(openvino.Core().read_model(folder / MODEL), folder, self.tokenizer.get_vocab_size())
            self._opened: Any = lambda: openvino_genai.ContinuousBatchingPipeline(
                str(folder), scheduler, "CPU", properties)
            self._pipeline: Any = self._opened()
        except _RAISED as error:
            raise InputError(f"the model in {folder} cannot be run: {sentence(error)}") from error

    def count(self, prompt: str) -> int:
        return len(tokenizers.encoded(self.tokenizer, prompt))

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        ids = tokenizers.encoded(self.tokenizer, prompt)
        check_length(len(ids), tokens, self.context)
        if not ids:
            raise InputError("the prompt is empty")
        if self._pipeline is None:
            raise EngineError("the model is closed")
        if grammar is not None and not self._grammars:
            raise EngineError(f"grammars need {VOCABULARY} in the model's folder: convert the model anew")
        # With a grammar, sequences of one request are nonsense from the second on (2026.4.1).
        alone = grammar is not None or temperature <= 0
        requests = [
            self._asked(tokens, temperature, (seed * _STRIDE + number) % _SEEDS, 1 if alone else samples, grammar)
            for number in range(samples if alone and temperature > 0 else 1)]
        given = self._tensor(ids)
        handles: list[Any] = []
        try:
            for number, request in enumerate(requests):
                handles.append(self._pipeline.add_request(number, given, request))
                # The keys and values of the first one's prompt serve the others.
                while number == 0 and self._pipeline.has_non_finished_requests() and not handles[0].can_read():
                    self._pipeline.step()
            while self._pipeline.has_non_finished_requests():
                self._pipeline.step()
            told = [output for handle in handles for output in handle.read_all()]
        except _RAISED as error:
            self._pipeline = self._opened()  # the request that failed would fail again
            raise EngineError(f"the model gave no answer: {sentence(error)}") from error
        if not told:
            raise EngineError("the model gave no answer: its memory for keys and values is too small")
        return ranked([self._sample(output) for output in told])

    def _asked(self, tokens: int, temperature: float, seed: int, samples: int, grammar: str | None) -> Any:
        config = self._genai.GenerationConfig()
        config.max_new_tokens = tokens
        config.logprobs = 1
        config.eos_token_id = min(self._ends, default=0)
        config.stop_token_ids = self._ends or {0}
        config.ignore_eos = not self._ends
        if temperature > 0:
            config.do_sample, config.temperature, config.rng_seed = True, temperature, seed
            config.top_k, config.top_p = 0, 1.0
            config.num_return_sequences = samples
        if grammar is not None:
            config.structured_output_config = self._genai.StructuredOutputConfig(grammar=grammar)
        return config

    def _sample(self, output: Any) -> Sample:
        ids = list(output.generated_ids)
        finished = output.finish_reason == self._genai.GenerationFinishReason.STOP
        text: str = self.tokenizer.decode(ids[:-1] if finished else ids, skip_special_tokens=False)
        return Sample(text, len(ids), finished, float(sum(output.generated_log_probs)))

    def close(self) -> None:
        self._pipeline = None


def is_openvino(folder: Path) -> bool:
    """A folder holds a model in OpenVINO's form."""
    return (folder / MODEL).is_file()


def _made_for(folder: Path) -> int:
    """The context of config.json, in tokens."""
    path = folder / "config.json"
    try:
        return int(json.loads(path.read_text())["max_position_embeddings"])
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} does not tell the model's context") from error


def _check(model: Any, folder: Path, tokens: int) -> None:
    """Raises InputError for what is no language model, or not that of a tokenizer of so many tokens."""
    names = {name for port in model.inputs for name in port.get_names()}
    if not names >= _INPUTS or len(model.outputs) != 1 or not model.get_sinks():
        raise InputError(f"{folder / MODEL} is no language model as `llmc convert --to openvino` writes one")
    known = model.output(0).get_partial_shape()[-1]
    check_vocabulary(tokens, known.get_length() if known.is_static else None, folder / "tokenizer.json")


def sentence(error: Exception) -> str:
    """The last line of what OpenVINO says; those before tell where in its sources."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^\[[\d:]+\] \S+:\d+: ", "", lines[-1]) if lines else type(error).__name__
