"""OpenVINO GenAI gives the answers of the same tiny model, and says in one sentence what is wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("openvino_genai")
pytest.importorskip("transformers")

import numpy as np
import numpy.typing as npt
import openvino
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from llm_compiler.errors import InputError
from llm_compiler.inference.backend import Form, open_backend
from llm_compiler.llvm import registry
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.target import Profile
from llm_compiler.models import safetensors_file
from llm_compiler.models.engine import EngineError, ranked
from llm_compiler.models.local import Local
from llm_compiler.models.openvino import MODEL, VOCABULARY, OpenVino
from llm_compiler.models.openvino_file import WEIGHTS, write_openvino
from llm_compiler.models.shapes import Shape
from llm_compiler.tasks.grammar import pass_list_grammar
from llm_compiler.tasks.labels.search import list_space
from token_data import code, make_tokenizer

TINY = Shape("tiny", 64, 2, 4, 2, 128, vocabulary=400, context=512)
PROMPT = f"<|optimize|>{code(1, 3)}<|answer|>"


def make_model(folder: Path, shape: Shape, kind: torch.dtype = torch.bfloat16) -> Path:
    """A model whose weights are drawn large enough that its answers are not all one token."""
    torch.manual_seed(1)
    LlamaForCausalLM(LlamaConfig(**{**shape.config(), "initializer_range": 0.15})).to(kind).save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(shape.config()))
    make_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model"), TINY)


@pytest.fixture(scope="module")
def converted(folder: Path) -> Path:
    write_openvino(folder, folder / "openvino")
    return folder / "openvino"


@pytest.fixture(scope="module")
def engine(converted: Path) -> Iterator[OpenVino]:
    engine = OpenVino(converted, context=256, threads=1, slots=4)
    yield engine
    engine.close()


def logits(folder: Path, ids: list[int], parts: list[int]) -> npt.NDArray[np.float32]:
    """Of a prompt given in parts, in float32, beside another one with which it changes places at every part."""
    exact = {"INFERENCE_PRECISION_HINT": "f32", "DYNAMIC_QUANTIZATION_GROUP_SIZE": "0", "KV_CACHE_PRECISION": "f32"}
    request = openvino.Core().compile_model(folder / MODEL, "CPU", {**exact, "INFERENCE_NUM_THREADS": 1}
                                            ).create_infer_request()
    found, begin = [], 0
    for number, end in enumerate(parts):
        rows = [ids[begin:end], ids[::-1][begin:end]]
        row = number % 2
        told: Any = request.infer({
            "input_ids": np.array(rows[::-1] if row else rows, np.int64), "attention_mask": np.ones((2, end), np.int64),
            "beam_idx": np.array([1, 0], np.int32), "position_ids": np.array([range(begin, end)] * 2, np.int64)})
        found.append(told["logits"][row].copy())
        begin = end
    return np.concatenate(found)


@pytest.mark.parametrize("shape", [
    TINY, replace(TINY, kv_heads=4, tied=False), replace(TINY, kv_heads=1)], ids=["tied", "untied", "one"])
def test_logits_are_those_of_transformers(shape: Shape, tmp_path: Path) -> None:
    folder = make_model(tmp_path / "model", shape, torch.float16)
    ids = [(7 * number) % 391 for number in range(40)]
    with torch.no_grad():
        true = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)(torch.tensor([ids])).logits[0].numpy()
    for quantisation, error in (("f32", 1e-4), ("int8", 0.05)):
        write_openvino(folder, tmp_path / quantisation, quantisation=quantisation)
        found = logits(tmp_path / quantisation, ids, [30, 31, 32, 40])
        assert (found - true).std() < error * true.std()
    assert (tmp_path / "int8" / WEIGHTS).stat().st_size < 0.35 * (tmp_path / "f32" / WEIGHTS).stat().st_size


def test_answers_are_those_of_transformers(folder: Path, engine: OpenVino) -> None:
    local, same = Local(folder, device="cpu"), 0
    assert local.count(PROMPT) == engine.count(PROMPT)
    for number in range(8):
        prompt = f"<|ir|>{code(number, 4)[:60]}"
        (one,), (other,) = (made.complete(prompt, tokens=1 + number) for made in (local, engine))
        assert one.logprob is not None
        if one.text == other.text:
            same += 1
            assert (one.finished, one.tokens) == (other.finished, other.tokens)
            assert other.logprob == pytest.approx(one.logprob, abs=0.1 * one.tokens)
    assert same >= 6


def test_samples_differ_and_repeat_with_the_seed(engine: OpenVino) -> None:
    first, again, other = (
        engine.complete(PROMPT, samples=4, tokens=8, temperature=1.0, seed=seed) for seed in (7, 7, 8))
    assert len(first) > 1 and first == ranked(first)
    assert [sample.text for sample in again] == [sample.text for sample in first]
    assert [sample.text for sample in other] != [sample.text for sample in first]


def test_answers_follow_a_grammar(engine: OpenVino) -> None:
    grammar = 'root ::= pass ("," pass){0,2}\npass ::= "gvn" | "sroa" | "dce"'
    found = engine.complete(PROMPT, samples=6, tokens=40, temperature=1.0, grammar=grammar)
    assert len(found) > 1
    for sample in (*found, *engine.complete(PROMPT, tokens=40, grammar=grammar)):
        assert sample.finished and set(sample.text.split(",")) <= {"gvn", "sroa", "dce"}
    known, seen = registry.load(), set()
    grammar = pass_list_grammar(list_space(Profile.DEPLOY), longest=4)
    for sample in engine.complete(PROMPT, samples=6, tokens=150, temperature=1.5, grammar=grammar):
        if sample.finished:
            known.validate(PassList.parse(sample.text))
            seen.add(sample.text)
    assert len(seen) > 1
    with pytest.raises(EngineError, match="gave no answer: EBNF parser error"):
        engine.complete(PROMPT, tokens=4, grammar="root ::= (")
    assert engine.complete(PROMPT, tokens=4)


def test_the_command_that_converts(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from llm_compiler.cli import run

    assert run(["convert", str(folder), "-o", str(tmp_path / "new" / "model"), "--to", "openvino"]) == 0
    with open_backend(str(tmp_path / "new" / "model"), threads=1) as backend:
        assert (backend.engine.name, backend.engine.context, backend.form) == (OpenVino.name, 512, Form.COMPACT)
        assert backend.engine.complete("<|ir|>", tokens=1)
    (tmp_path / "file").write_text("")
    capsys.readouterr()
    for words, said in (([str(tmp_path), "-o", str(tmp_path / "other")], "is missing"),
                        ([str(folder), "-o", str(tmp_path / "other"), "--quantisation", "q8_0"], "no quantisation"),
                        ([str(folder), "-o", str(tmp_path / "file")], "cannot write")):
        assert run(["convert", *words, "--to", "openvino"]) == 2
        told = capsys.readouterr().err
        assert said in told and len(told.splitlines()) == 1
    assert not (tmp_path / "other").exists()


def test_what_cannot_be_written_is_told(folder: Path, tmp_path: Path) -> None:
    def broken(change: str, **config: Any) -> Path:
        copy = tmp_path / change
        shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("openvino"))
        (copy / "config.json").write_text(json.dumps({**TINY.config(), **config}))
        return copy

    data = (folder / "model.safetensors").read_bytes()
    cut, text, empty = (broken(name) for name in ("cut", "text", "empty"))
    (cut / "model.safetensors").write_bytes(data[:-100])
    (text / "model.safetensors").write_bytes(b"1234567890")
    (empty / "model.safetensors").write_bytes(b"")
    for made, sentence in (
            (cut, "is cut off"), (text, "cannot be read"), (empty, "cannot be read"),
            (broken("gpt", model_type="gpt2"), "holds no Llama"),
            (broken("less", hidden_size=None), "does not tell hidden"),
            (broken("none", num_attention_heads=0), "does not tell num_attention"),
            (broken("deep", num_hidden_layers=3), "have no model.layers.2"),
            (broken("wide", intermediate_size=64), "do not fit"), (broken("vast", vocab_size=401), "do not fit"),
            (broken("long", rope_parameters={"rope_type": "yarn"}), "scaled positions")):
        with pytest.raises(InputError, match=sentence) as told:
            write_openvino(made, tmp_path / "out")
        assert "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_run_is_told(converted: Path, engine: OpenVino, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit into 256"):
        engine.complete(PROMPT * 9, tokens=8)
    with pytest.raises(InputError, match="prompt is empty"):
        engine.complete("")

    def broken(name: str, data: bytes | None) -> Path:
        copy = tmp_path / f"{name}-{'none' if data is None else len(data)}"
        shutil.copytree(converted, copy)
        (copy / name).unlink() if data is None else (copy / name).write_bytes(data)
        return copy

    xml = (converted / MODEL).read_bytes()
    larger = make_tokenizer(tmp_path, 420).read_bytes()
    foreign = (converted / VOCABULARY).read_bytes()
    for made in (broken(WEIGHTS, (converted / WEIGHTS).read_bytes()[:9000]), broken(WEIGHTS, None),
                 broken(WEIGHTS, b""), broken(MODEL, xml[:5000]), broken(MODEL, b"text"), broken(MODEL, foreign),
                 broken("config.json", b"[]"), broken("config.json", None),
                 broken("tokenizer.json", b"{}"), broken("tokenizer.json", None), broken("tokenizer.json", larger)):
        with pytest.raises(InputError) as told:
            open_backend(str(made))
        assert "\n" not in str(told.value) and str(made) in str(told.value)
    plain = OpenVino(broken(VOCABULARY, None), threads=1)
    assert plain.complete(PROMPT, tokens=2)
    with pytest.raises(EngineError, match="convert the model anew"):
        plain.complete(PROMPT, tokens=2, grammar='root ::= "gvn"')
    plain.close()
    with pytest.raises(EngineError, match="closed"):
        plain.complete(PROMPT)


def test_weights_are_those_of_torch(folder: Path) -> None:
    from safetensors.torch import load_file

    found, true = safetensors_file.read(folder), load_file(folder / "model.safetensors")
    assert set(found) == set(true) and len(found) == len(true)
    for name, weight in true.items():
        assert np.array_equal(found[name], weight.float().numpy())
