"""The model in training: a Llama of transformers, attention within documents alone, and the loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from llm_compiler.errors import InputError
from llm_compiler.models.shapes import Shape
from llm_compiler.training.packing import IGNORED, Batch

if TYPE_CHECKING:
    from torch.nn.attention.flex_attention import BlockMask
    from transformers import LlamaForCausalLM

FLEX, SDPA = "flex", "sdpa"
_NAMES = {FLEX: "flex_attention", SDPA: "sdpa"}


def new_model(shape: Shape, seed: int) -> LlamaForCausalLM:
    """Random weights, the same for the same seed. Projections back into the stream are scaled by depth (GPT-2)."""
    from transformers import LlamaConfig, LlamaForCausalLM

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(LlamaConfig(**shape.config()))
        scale = (2 * shape.layers) ** -0.5
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith(("o_proj.weight", "down_proj.weight")):
                    weight.mul_(scale)
    return model


def open_model(folder: Path) -> LlamaForCausalLM:
    """A Llama in transformers' form. Raises InputError for a folder that holds none, or a damaged one."""
    from safetensors import SafetensorError
    from transformers import LlamaForCausalLM

    try:
        kind = json.loads((folder / "config.json").read_text()).get("model_type")
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no model: it has no config.json") from error
    except (OSError, ValueError, AttributeError) as error:
        raise InputError(f"{folder / 'config.json'} is no model's configuration: {error}") from error
    if kind != "llama":
        raise InputError(f"{folder} holds a model of the kind {kind}; only llama is known here")
    try:
        return LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError, SafetensorError) as error:
        raise InputError(f"the model in {folder} cannot be read: {str(error).splitlines()[0]}") from error


def shape_in(model: LlamaForCausalLM, name: str) -> Shape:
    """The shape of a model that was opened."""
    config = model.config
    return Shape(name, config.hidden_size, config.num_hidden_layers, config.num_attention_heads,
                 config.num_key_value_heads or config.num_attention_heads, config.intermediate_size, config.vocab_size,
                 config.max_position_embeddings, bool(config.tie_word_embeddings))


class Learner(nn.Module):
    """A model with its loss. attention: `flex` (compiled, skips what is masked) or `sdpa` (any device)."""

    def __init__(self, model: LlamaForCausalLM, attention: str, *, recompute: bool = False) -> None:
        super().__init__()
        self.model = model
        self.attention = attention
        model.config.use_cache = False
        model.set_attn_implementation(_NAMES[attention])
        if recompute:
            model.gradient_checkpointing_enable({"use_reentrant": False})

    def forward(self, tokens: Tensor, targets: Tensor, positions: Tensor, documents: Tensor) -> Tensor:
        """The sum of the losses, in nats, over targets that are not IGNORED. All of shape rows × context."""
        hidden = self.model.model(input_ids=tokens, position_ids=positions,
                                  attention_mask=document_mask(documents, self.attention)).last_hidden_state
        wanted = targets != IGNORED
        logits = self.model.lm_head(hidden[wanted])
        return functional.cross_entropy(logits.float(), targets[wanted], reduction="sum")


def document_mask(documents: Tensor, attention: str) -> Tensor | BlockMask:
    """What each token may look at: itself and what precedes it in its document."""
    rows, length = documents.shape
    if attention == SDPA:
        same = documents[:, :, None] == documents[:, None, :]
        return (same & torch.ones(length, length, dtype=torch.bool, device=documents.device).tril())[:, None]
    from torch.nn.attention.flex_attention import create_block_mask

    def looks(row: Tensor, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        return (query >= key) & (documents[row, query] == documents[row, key])

    return create_block_mask(looks, rows, None, length, length, device=str(documents.device), _compile=True)


def tensors(batch: Batch, device: torch.device) -> dict[str, Tensor]:
    """A batch as `Learner.forward` takes it."""
    def moved(array: Any) -> Tensor:
        found = torch.from_numpy(array)
        return found.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else found

    return {"tokens": moved(batch.tokens), "targets": moved(batch.targets), "positions": moved(batch.positions),
            "documents": moved(batch.documents)}


def optimizer_for(model: nn.Module, rate: float, decay: float, betas: tuple[float, float],
                  device: torch.device) -> torch.optim.AdamW:
    """AdamW; weights of norms do not decay."""
    matrices = [weight for weight in model.parameters() if weight.ndim >= 2]
    others = [weight for weight in model.parameters() if weight.ndim < 2]
    groups = [{"params": matrices, "weight_decay": decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=rate, betas=betas, eps=1e-8, fused=device.type == "cuda")
