"""A Llama in transformers' form as files that OpenVINO GenAI runs, with weights of 8 bits. Needs no torch."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from llm_compiler.errors import InputError, StorageError
from llm_compiler.models import safetensors_file, tokenizer
from llm_compiler.models.openvino import ENDS, MODEL, VOCABULARY, sentence

WEIGHTS = "openvino_model.bin"
QUANTISATIONS = ("int8", "f32")
_STEPS = 127  # of the symmetric scale of int8
_LOWEST = float(np.finfo(np.float32).min)
_NEEDED = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
           "num_key_value_heads", "max_position_embeddings", "rms_norm_eps")


def write_openvino(folder: Path, output: Path, *, quantisation: str = "int8") -> None:
    """Write OpenVINO's model and tokenizer, config.json and tokenizer.json into the folder `output`.

    Weights of matrices are int8 with a scale for every row, the rest float32. Raises InputError for what is no Llama,
    StorageError when the files cannot be written, ImportError without openvino-genai or transformers.
    """
    import openvino

    if quantisation not in QUANTISATIONS:
        raise InputError(f"there is no quantisation '{quantisation}' for OpenVINO; use {' or '.join(QUANTISATIONS)}")
    config = _config(folder)
    encoder, decoder = _tokenizers(folder / "tokenizer.json")
    weights = safetensors_file.read(folder)
    try:
        model = _Writer(config, weights, quantisation == "int8").model()
    except KeyError as error:
        raise InputError(f"the weights in {folder} have no {error.args[0]}") from error
    except (ValueError, RuntimeError) as error:
        raise InputError(f"the weights in {folder} do not fit config.json: {sentence(error)}") from error
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".openvino.", dir=output) as scratch:
            openvino.save_model(model, Path(scratch) / MODEL, compress_to_fp16=False)
            openvino.save_model(encoder, Path(scratch) / VOCABULARY)
            openvino.save_model(decoder, Path(scratch) / "openvino_detokenizer.xml")
            for name in ("config.json", "tokenizer.json"):
                shutil.copyfile(folder / name, Path(scratch) / name)
            # What tells the folder's form comes last.
            for path in sorted(Path(scratch).iterdir(), key=lambda path: path.name == MODEL):
                os.replace(path, output / path.name)
    except (OSError, RuntimeError) as error:
        said = error.strerror if isinstance(error, OSError) else None
        raise StorageError(f"cannot write to {output}: {said or str(error).splitlines()[0]}") from error


def _tokenizers(path: Path) -> tuple[Any, Any]:
    """OpenVINO's models that encode and decode."""
    import openvino_tokenizers
    from transformers import PreTrainedTokenizerFast

    found = tokenizer.load(path)
    end = next((mark for mark in ENDS if found.token_to_id(mark) is not None), None)
    made: tuple[Any, Any] = openvino_tokenizers.convert_tokenizer(
        PreTrainedTokenizerFast(tokenizer_file=str(path), eos_token=end), with_detokenizer=True)
    return made


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    try:
        config: Any = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError(f"{path} is missing") from error
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if not isinstance(config, dict) or config.get("model_type") != "llama":
        raise InputError(f"{folder} holds no Llama")
    missing = [key for key in _NEEDED if not isinstance(config.get(key), int | float) or config[key] <= 0]
    if missing:
        raise InputError(f"{path} does not tell {', '.join(missing)}")
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    plain = isinstance(rope, dict) and (rope.get("rope_type") or rope.get("type") or "default") == "default"
    if not plain or config.get("attention_bias") or config.get("mlp_bias"):
        raise InputError(f"{folder} holds a Llama with biases or scaled positions, which is not written")
    return config


@dataclass
class _Writer:
    """The graph that OpenVINO GenAI expects: input_ids, attention_mask, position_ids and beam_idx give logits; keys and
    values are state. Its patterns are those of transformers' export, as OpenVINO's fusions look for them.
    """

    config: Mapping[str, Any]
    weights: Mapping[str, npt.NDArray[Any]]
    int8: bool

    def __post_init__(self) -> None:
        import openvino.opset13 as ops

        self.ops: Any = ops
        self.heads = int(self.config["num_attention_heads"])
        self.kv_heads = int(self.config["num_key_value_heads"])
        self.vocabulary, self.width = int(self.config["vocab_size"]), int(self.config["hidden_size"])
        self.size = int(self.config.get("head_dim") or self.width // self.heads)
        self.sinks: list[Any] = []
        self.matrices: dict[str, Any] = {}

    def model(self) -> Any:
        import openvino

        ops = self.ops
        ids, mask, positions = (ops.parameter([-1, -1], np.int64, name=name)
                                for name in ("input_ids", "attention_mask", "position_ids"))
        self.beams = ops.parameter([-1], np.int32, name="beam_idx")
        self.batch = ops.gather(ops.shape_of(ids, "i64"), self.ints([0]), self.ints(0))
        embedding = self.matrix("model.embed_tokens.weight", self.vocabulary, self.width)
        state = ops.gather(embedding, ops.convert(ids, "i32"), self.ints(0))
        self.cos, self.sin = self.rotations(positions)
        self.allowed = self.causal(ids, mask)
        for layer in range(int(self.config["num_hidden_layers"])):
            name = f"model.layers.{layer}."
            state = ops.add(state, self.attention(layer, self.norm(state, name + "input_layernorm.weight")))
            state = ops.add(state, self.feed_forward(
                name + "mlp.", self.norm(state, name + "post_attention_layernorm.weight")))
        head = "model.embed_tokens.weight" if self.config.get("tie_word_embeddings") else "lm_head.weight"
        logits = self.linear(self.norm(state, "model.norm.weight"), head, self.vocabulary, self.width)
        result = ops.result(logits, name="logits")
        parameters = [ids, mask, positions, self.beams]
        for node in parameters:
            node.output(0).get_tensor().set_names({node.get_friendly_name()})
        logits.output(0).get_tensor().set_names({"logits"})
        return openvino.Model([result], self.sinks, parameters, "llama")

    def ints(self, value: Any) -> Any:
        return self.ops.constant(np.array(value, np.int64))

    def floats(self, value: Any) -> Any:
        return self.ops.constant(np.array(value, np.float32))

    def tensor(self, name: str, *shape: int) -> npt.NDArray[np.float32]:
        found = np.asarray(self.weights[name], np.float32)
        if found.shape != shape:
            raise ValueError(f"{name} is {' x '.join(map(str, found.shape))}, not {' x '.join(map(str, shape))}")
        return found

    def matrix(self, name: str, rows: int, columns: int) -> Any:
        """A weight. Both uses of a tied embedding share the constant, but not what widens it."""
        if name not in self.matrices:
            weight = self.tensor(name, rows, columns)
            if not self.int8:
                self.matrices[name] = (self.ops.constant(weight),)
            else:
                scale = np.maximum(np.abs(weight).max(axis=1, keepdims=True), 1e-12) / _STEPS
                small = np.rint(weight / scale).astype(np.int8)
                self.matrices[name] = (self.ops.constant(small), self.ops.constant(scale.astype(np.float32)))
        found = self.matrices[name]
        return found[0] if len(found) == 1 else self.ops.multiply(self.ops.convert(found[0], "f32"), found[1])

    def linear(self, state: Any, name: str, size: int, given: int) -> Any:
        return self.ops.matmul(state, self.matrix(name, size, given), False, True)

    def norm(self, state: Any, name: str) -> Any:
        ops = self.ops
        mean = ops.reduce_mean(ops.power(state, self.floats([[[2.0]]])), self.ints([-1]), True)
        root = ops.sqrt(ops.add(mean, self.floats([[[self.config["rms_norm_eps"]]]])))
        scaled = ops.multiply(state, ops.divide(self.floats([[[1.0]]]), root))
        return ops.multiply(self.ops.constant(self.tensor(name, self.width)[None, None]), scaled)

    def rotations(self, positions: Any) -> tuple[Any, Any]:
        """Cosines and sines of the positions' angles, batch x 1 x tokens x size."""
        ops = self.ops
        rope = self.config.get("rope_parameters") or self.config
        base = float(rope.get("rope_theta") or self.config.get("rope_theta") or 10_000.0)
        frequencies = base ** (-np.arange(0, self.size, 2, dtype=np.float64) / self.size)
        columns = ops.broadcast(self.floats(frequencies[None, :, None]), ops.concat(
            [self.batch, self.ints([self.size // 2]), self.ints([1])], 0))
        angles = ops.matmul(columns, ops.convert(ops.unsqueeze(positions, self.ints(1)), "f32"), False, False)
        angles = ops.transpose(angles, self.ints([0, 2, 1]))
        both = ops.concat([angles, angles], -1)
        cos, sin = (ops.unsqueeze(made, self.ints(1)) for made in (ops.cos(both), ops.sin(both)))
        return cos, sin

    def rotated(self, state: Any) -> Any:
        """transformers' rotate_half: the halves of a head are the two parts of its complex numbers."""
        ops, half = self.ops, self.size // 2
        first, second = (ops.slice(state, self.ints([begin]), self.ints([end]), self.ints([1]), self.ints([3]))
                         for begin, end in ((0, half), (half, np.iinfo(np.int64).max)))
        turned = ops.concat([ops.multiply(second, self.floats([[[[-1.0]]]])), first], -1)
        return ops.add(ops.multiply(state, self.cos), ops.multiply(turned, self.sin))

    def causal(self, ids: Any, mask: Any) -> Any:
        """What is added to scores, batch x 1 x tokens x all tokens."""
        ops = self.ops
        total = ops.gather(ops.shape_of(mask, "i64"), self.ints(1), self.ints(0))
        new = ops.gather(ops.shape_of(ids, "i64"), self.ints(1), self.ints(0))
        keys = ops.range(self.ints(0), total, self.ints(1), "i64")
        queries = ops.unsqueeze(ops.range(ops.subtract(total, new), total, self.ints(1), "i64"), self.ints(1))
        seen = ops.unsqueeze(ops.less_equal(keys, queries), self.ints([0, 1]))
        real = ops.unsqueeze(ops.convert(mask, "boolean"), self.ints([1, 2]))
        return ops.select(ops.logical_and(seen, real), self.floats(0.0), self.floats(_LOWEST))

    def attention(self, layer: int, state: Any) -> Any:
        ops, name = self.ops, f"model.layers.{layer}.self_attn."
        query, key, value = (
            ops.transpose(ops.reshape(self.linear(state, f"{name}{kind}_proj.weight", heads * self.size, self.width),
                                      self.ints([0, 0, heads, self.size]), True), self.ints([0, 2, 1, 3]))
            for kind, heads in (("q", self.heads), ("k", self.kv_heads), ("v", self.kv_heads)))
        key = self.remembered(f"past_key_values.{layer}.key", self.rotated(key))
        value = self.remembered(f"past_key_values.{layer}.value", value)
        found = ops.scaled_dot_product_attention(self.rotated(query), self.repeated(key), self.repeated(value),
                                                 self.allowed)
        found = ops.transpose(found, self.ints([0, 2, 1, 3]))
        merged = ops.reshape(found, self.ints([0, 0, self.heads * self.size]), True)
        return self.linear(merged, f"{name}o_proj.weight", self.width, self.heads * self.size)

    def remembered(self, name: str, new: Any) -> Any:
        """All keys or values so far: the state's, in the order of the beams, then the new ones, which become state."""
        import openvino

        ops = self.ops
        info = openvino.op.util.VariableInfo()
        info.data_shape = openvino.PartialShape([-1, self.kv_heads, -1, self.size])
        info.data_type = openvino.Type.f32
        info.variable_id = name + name.replace("past_key_values", "present")
        variable = openvino.op.util.Variable(info)
        empty = ops.broadcast(self.floats(0.0), ops.concat(
            [self.batch, self.ints([self.kv_heads]), self.ints([0]), self.ints([self.size])], 0))
        past = ops.read_value(empty, variable)
        everything = ops.concat([ops.gather(past, self.beams, self.ints(0)), new], 2)
        self.sinks.append(ops.assign(everything, variable))
        return everything

    def repeated(self, state: Any) -> Any:
        """A key or value head for every query head."""
        groups = self.heads // self.kv_heads
        if groups == 1:
            return state
        ops = self.ops
        shape = ops.shape_of(state, "i64")
        length = ops.gather(shape, self.ints([2]), self.ints(0))
        wide = ops.broadcast(ops.unsqueeze(state, self.ints(2)), ops.concat(
            [self.batch, self.ints([self.kv_heads]), self.ints([groups]), length, self.ints([self.size])], 0),
            broadcast_spec="BIDIRECTIONAL")
        return ops.reshape(wide, self.ints([0, self.heads, -1, self.size]), True)

    def feed_forward(self, name: str, state: Any) -> Any:
        inner = int(self.config["intermediate_size"])
        gate, up = (self.linear(state, f"{name}{kind}_proj.weight", inner, self.width) for kind in ("gate", "up"))
        return self.linear(self.ops.multiply(self.ops.swish(gate), up), name + "down_proj.weight", self.width, inner)
