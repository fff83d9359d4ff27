"""Models in transformers' form, run by torch on this machine: Meta's released ones, checkpoints of our own."""

from __future__ import annotations

import contextlib
import importlib.util
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.models.engine import EngineError, Sample, check_length, check_vocabulary, first_line, ranked


def configuration(folder: Path) -> dict[str, Any]:
    """A folder's config.json. Raises EngineError without torch and transformers, InputError for what is no model."""
    if any(importlib.util.find_spec(name) is None for name in ("torch", "transformers")):
        raise EngineError("torch and transformers are missing: pip install 'llm-compiler[train]'")
    try:
        found = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        said = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{folder} holds no model that transformers reads: config.json: {said}") from error
    if not isinstance(found, dict) or not isinstance(found.get("max_position_embeddings", 1), int):
        raise InputError(f"{folder} holds no model that transformers reads: its config.json is none of a model")
    return found


def load(folder: Path, device: str | None = None) -> tuple[Any, str]:
    """The model of a folder, ready to be asked, and the device that it is on. Raises EngineError."""
    import torch
    from transformers import AutoModelForCausalLM

    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with told_of(folder, "cannot be loaded"):
        model: Any = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=torch.bfloat16 if device == "cuda" else torch.float32)
        return model.to(device).eval(), device


@contextlib.contextmanager
def told_of(folder: Path, what: str) -> Iterator[None]:
    """Whatever the libraries raise, as one sentence."""
    try:
        yield
    except Exception as error:
        raise EngineError(f"the model in {folder} {what}: {first_line(error)}") from error


class Local:
    """A folder that transformers reads: config.json, weights, tokenizer. device: cpu or cuda, chosen unless said.

    Raises InputError for a folder that holds no model, EngineError when it cannot be loaded.
    """

    name = "transformers"

    def __init__(self, folder: Path, *, device: str | None = None, context: int | None = None) -> None:
        config = configuration(folder)
        longest = config.get("max_position_embeddings", 4096)
        if not (folder / "tokenizer.json").exists():
            raise InputError(f"there is no tokenizer {folder / 'tokenizer.json'}")
        self.folder = folder
        self.context = min(context or longest, longest)
        from transformers import PreTrainedTokenizerFast

        with told_of(folder, "cannot be loaded"):
            self._tokenizer: Any = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))
        check_vocabulary(len(self._tokenizer), config.get("vocab_size"), folder / "tokenizer.json")
        self._model, self.device = load(folder, device)
        ends = [self._tokenizer.convert_tokens_to_ids(mark) for mark in ("<|end|>", "</s>", "<|endoftext|>")]
        self._ends = [number for number in ends if number is not None and number != self._tokenizer.unk_token_id]

    def count(self, prompt: str) -> int:
        return len(self._tokenizer.encode(prompt))

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        import torch

        if grammar is not None:
            raise EngineError("grammars need the embedded engine or a server")
        ids = torch.tensor([self._tokenizer.encode(prompt)], device=self.device)
        check_length(ids.shape[1], tokens, self.context)
        torch.manual_seed(seed)
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {
            "do_sample": False}
        with torch.no_grad(), told_of(self.folder, "gave no answer"):
            out = self._model.generate(
                ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, num_return_sequences=samples,
                eos_token_id=self._ends or None, pad_token_id=(self._ends or [0])[0], return_dict_in_generate=True,
                output_logits=True, **sampling)
        found = []
        for row in range(samples):
            answer = out.sequences[row, ids.shape[1] :].tolist()
            stop = next((at for at, number in enumerate(answer) if number in self._ends), None)
            kept = answer if stop is None else answer[:stop]
            told = answer if stop is None else answer[: stop + 1]
            logprob = sum(float(torch.log_softmax(out.logits[at][row].float(), -1)[number])
                          for at, number in enumerate(told))
            found.append(Sample(self._tokenizer.decode(kept), len(told), stop is not None, logprob))
        return ranked(found)

    def close(self) -> None:
        self._model = None
