"""Shapes of Llama models, from some 3 million parameters to 13 billion, and what training one costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from llm_compiler.errors import InputError

ROPE_BASE = 1e6  # Code Llama's and the reference's


@dataclass(frozen=True)
class Shape:
    """A Llama model. tied: input and output embeddings are one matrix. Sizes of heads are hidden / heads."""

    name: str
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    vocabulary: int = 16_384
    context: int = 16_384
    tied: bool = True

    @property
    def layer_parameters(self) -> int:
        attention = 2 * self.hidden * self.hidden + 2 * self.hidden * self.hidden * self.kv_heads // self.heads
        return attention + 3 * self.hidden * self.intermediate + 2 * self.hidden

    @property
    def parameters(self) -> int:
        embeddings = self.vocabulary * self.hidden * (1 if self.tied else 2)
        return embeddings + self.layers * self.layer_parameters + self.hidden

    def training_flops(self, attended: float) -> float:
        """Floating-point operations of training on one token: 6 for each weight that it is multiplied with, and
        attention over `attended` tokens on average. The embedding's look-up counts nothing (as in Chowdhery et al.,
        "PaLM", appendix B).
        """
        weights = self.layers * self.layer_parameters + self.vocabulary * self.hidden
        return 6.0 * weights + 12.0 * self.layers * self.hidden * attended

    def config(self) -> dict[str, Any]:
        """What transformers calls a LlamaConfig."""
        return {
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": self.vocabulary,
            "hidden_size": self.hidden, "intermediate_size": self.intermediate, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
            "max_position_embeddings": self.context, "rms_norm_eps": 1e-5, "tie_word_embeddings": self.tied,
            "rope_parameters": {"rope_type": "default", "rope_theta": ROPE_BASE}, "attention_bias": False,
            "mlp_bias": False, "hidden_act": "silu", "initializer_range": 0.02,
        }


def _shapes() -> dict[str, Shape]:
    found = [
        Shape("3m", 256, 2, 4, 2, 768, vocabulary=8192, context=4096),
        Shape("4m", 256, 4, 4, 2, 768, vocabulary=4096, context=4096),
        Shape("8m", 256, 6, 4, 2, 768, context=8192),
        Shape("20m", 512, 6, 8, 2, 1280),
        Shape("34m", 512, 10, 8, 2, 1536),
        Shape("60m", 768, 9, 12, 2, 2048),
        Shape("120m", 768, 16, 12, 4, 2304),
        Shape("350m", 1024, 24, 16, 4, 3072),
        Shape("1b", 2048, 20, 32, 8, 5632, 32_016, tied=False),
        Shape("3b", 3072, 26, 24, 8, 8192, 32_016, tied=False),
        Shape("7b", 4096, 32, 32, 32, 11_008, 32_016, tied=False),  # Code Llama
        Shape("13b", 5120, 40, 40, 40, 13_824, 32_016, tied=False),  # Code Llama
    ]
    return {shape.name: shape for shape in found}


SHAPES: Mapping[str, Shape] = MappingProxyType(_shapes())


def shape_of(name: str, *, vocabulary: int | None = None, context: int | None = None) -> Shape:
    """The preset of a name, with the vocabulary of a tokenizer. Raises InputError."""
    if name not in SHAPES:
        raise InputError(f"there is no model '{name}'; use {', '.join(SHAPES)}")
    shape = SHAPES[name]
    if vocabulary is not None:
        shape = replace(shape, vocabulary=vocabulary)
    return shape if context is None else replace(shape, context=context)
