"""A Llama in transformers' form as one GGUF file, which llama.cpp and everything built on it runs."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_compiler.errors import InputError, StorageError
from llm_compiler.models.engine import first_line

QUANTISATIONS = ("f32", "f16", "q8_0")
_LAYER = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
}
_OTHERS = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
           "lm_head.weight": "output.weight"}
_NORMAL, _CONTROL = 1, 3  # kinds of tokens


def write_gguf(folder: Path, output: Path, *, quantisation: str = "q8_0", name: str = "llm-compiler") -> None:
    """Convert folder/model.safetensors with its tokenizer.json. Norms stay float32.

    Raises InputError for what is no Llama with a byte-level BPE, StorageError when the file cannot be written.
    """
    from gguf import GGMLQuantizationType, GGUFWriter
    from gguf.quants import quantize

    if quantisation not in QUANTISATIONS:
        raise InputError(f"there is no quantisation '{quantisation}'; use {', '.join(QUANTISATIONS)}")
    config, tokenizer = _json(folder / "config.json"), _json(folder / "tokenizer.json")
    if config.get("model_type") != "llama" or tokenizer.get("model", {}).get("type") != "BPE":
        raise InputError(f"{folder} holds no Llama with a byte-level BPE tokenizer")
    kinds = {"f32": GGMLQuantizationType.F32, "f16": GGMLQuantizationType.F16, "q8_0": GGMLQuantizationType.Q8_0}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
    except OSError as error:
        raise StorageError(f"cannot write to {output.parent}: {error.strerror}") from error
    os.close(handle)
    try:
        writer = GGUFWriter(temporary, "llama")
        _add_shape(writer, config, name)
        _add_tokenizer(writer, config, tokenizer)
        for key, weight in _weights(folder, config):
            kind = GGMLQuantizationType.F32 if weight.ndim == 1 else kinds[quantisation]
            writer.add_tensor(key, quantize(weight, kind), raw_dtype=kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.chmod(temporary, 0o644)
        os.replace(temporary, output)
    except OSError as error:
        raise StorageError(f"cannot write {output}: {error.strerror or error}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{folder} holds no Llama with a byte-level BPE tokenizer: {type(error).__name__} "
                         f"{first_line(error)}") from error
    finally:
        Path(temporary).unlink(missing_ok=True)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise InputError(f"{path} holds no JSON object")
    return found


def _add_shape(writer: Any, config: Mapping[str, Any], name: str) -> None:
    heads = config["num_attention_heads"]
    writer.add_name(name)
    writer.add_vocab_size(config["vocab_size"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    rope = config.get("rope_parameters") or {}
    writer.add_rope_freq_base(float(rope.get("rope_theta", config.get("rope_theta", 10_000.0))))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])


def _add_tokenizer(writer: Any, config: Mapping[str, Any], tokenizer: Mapping[str, Any]) -> None:
    """Prompts are encoded with tokenizer.json itself and sent as numbers; the file tells what the numbers mean."""
    vocabulary = {number: token for token, number in tokenizer["model"]["vocab"].items()}
    added = {item["id"]: item for item in tokenizer.get("added_tokens", ())}
    tokens, types = [], []
    for number in range(config["vocab_size"]):
        item = added.get(number)
        tokens.append(item["content"] if item else vocabulary.get(number, f"<|unused{number}|>"))
        types.append(_CONTROL if item or number not in vocabulary else _NORMAL)
    merges = [merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(merges)
    ends = [number for number, item in added.items() if item["content"] in ("<|end|>", "</s>", "<|endoftext|>")]
    if ends:
        writer.add_eos_token_id(ends[0])
    writer.add_add_bos_token(False)


def _weights(folder: Path, config: Mapping[str, Any]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """GGUF's names and float32 weights. llama.cpp rotates neighbours where transformers rotates halves."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            for key in sorted(file.keys()):
                weight = file.get_tensor(key).float().numpy()
                if key.endswith("q_proj.weight"):
                    weight = _permuted(weight, config["num_attention_heads"])
                elif key.endswith("k_proj.weight"):
                    weight = _permuted(weight, config["num_key_value_heads"])
                yield _named(key), weight
    except (FileNotFoundError, SafetensorError) as error:
        raise InputError(f"the weights in {folder} cannot be read: {first_line(error)}") from error


def _named(key: str) -> str:
    if key in _OTHERS:
        return _OTHERS[key]
    prefix, layer, rest = key.removeprefix("model.").split(".", 2)
    kind = rest.removesuffix(".weight")
    if prefix != "layers" or kind not in _LAYER:
        raise InputError(f"a Llama has no weight {key}")
    return f"blk.{layer}.{_LAYER[kind]}.weight"


def _permuted(weight: npt.NDArray[np.float32], heads: int) -> npt.NDArray[np.float32]:
    rows, columns = weight.shape
    found: npt.NDArray[np.float32] = np.ascontiguousarray(
        weight.reshape(heads, 2, rows // heads // 2, columns).swapaxes(1, 2).reshape(rows, columns))
    return found
