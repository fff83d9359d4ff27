"""Every engine gives the answers of the same tiny model, and says in one sentence what is wrong."""

from __future__ import annotations

import json
import shutil
import struct
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("xllamacpp")
pytest.importorskip("torch")

from llm_compiler.errors import InputError
from llm_compiler.llvm import registry
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.target import Profile
from llm_compiler.models.embedded import Embedded, served
from llm_compiler.models.engine import EngineError, Sample, ranked
from llm_compiler.models.gguf_file import write_gguf
from llm_compiler.models.local import Local
from llm_compiler.models.server import Server
from llm_compiler.models.shapes import Shape
from llm_compiler.tasks.grammar import pass_list_grammar
from llm_compiler.tasks.labels.search import list_space
from llm_compiler.training.config import Data, RunConfig
from llm_compiler.training.trainer import MODEL, Run
from token_data import code, make_export, make_tokenizer

TINY = Shape("tiny", 64, 2, 4, 2, 128, vocabulary=400, context=512)
PROMPT = f"<|optimize|>{code(1, 3)}<|answer|>"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    scratch = tmp_path_factory.mktemp("model")
    tokenizer = make_tokenizer(scratch)
    data = make_export(scratch, tokenizer, "pretraining", 200, prompts=False)
    monkeypatch = pytest.MonkeyPatch()
    monkeypatch.setattr("llm_compiler.training.trainer.shape_of", lambda name, **_: TINY)
    config = RunConfig("pretraining", (Data(str(data)),), "3m", tokenizer=str(tokenizer), context=128, batch=512,
                       epochs=8.0, learning_rate=1e-2, warmup=2, precision="fp32")
    Run(config, scratch / "run", resume=False, scratch=scratch).train()
    monkeypatch.undo()
    folder = scratch / "run" / MODEL
    write_gguf(folder, folder / "model.gguf", quantisation="f32")
    return folder


@pytest.fixture(scope="module")
def embedded(folder: Path) -> Iterator[Embedded]:
    engine = Embedded(folder / "model.gguf", folder / "tokenizer.json", context=256, threads=1, slots=4)
    yield engine
    engine.close()


def test_llama_cpp_and_transformers_agree(folder: Path, embedded: Embedded) -> None:
    local = Local(folder, device="cpu")
    assert local.count(PROMPT) == embedded.count(PROMPT)
    for number in range(6):
        prompt = f"<|ir|>{code(number, 4)[:60]}"
        (one,), (other,) = (engine.complete(prompt, tokens=9 + number) for engine in (local, embedded))
        assert (one.text, one.finished, one.tokens) == (other.text, other.finished, other.tokens)
        assert one.logprob == pytest.approx(other.logprob, abs=0.05)


def test_a_gguf_file_behind_a_server(folder: Path) -> None:
    prompt = code(3, 4)[:60]
    [wanted] = Local(folder, device="cpu").complete(prompt, tokens=9)
    with served(folder / "model.gguf", context=256, threads=1) as (address, key):
        [found] = Server(address, key=key).complete(prompt, tokens=9)
        assert found.text == wanted.text
        with pytest.raises(EngineError, match="refuses with 401"):
            Server(address).complete(prompt, tokens=9)


def test_samples_differ_and_repeat_with_the_seed(embedded: Embedded) -> None:
    first, again = (embedded.complete("<|ir|>", samples=4, tokens=8, temperature=1.0, seed=7) for _ in range(2))
    assert len(first) > 1 and first == ranked(first)
    assert [sample.text for sample in again] == [sample.text for sample in first]


def test_an_answer_follows_a_grammar(embedded: Embedded) -> None:
    grammar = 'root ::= pass ("," pass){0,2}\npass ::= "gvn" | "sroa" | "dce"'
    for sample in embedded.complete(PROMPT, samples=4, tokens=40, temperature=1.0, grammar=grammar):
        assert sample.finished and set(sample.text.split(",")) <= {"gvn", "sroa", "dce"}


def test_every_pass_list_of_the_grammar_is_valid(embedded: Embedded) -> None:
    known, seen = registry.load(), set()
    for profile in Profile:
        grammar = pass_list_grammar(list_space(profile), longest=4)
        for seed in range(3):
            for sample in embedded.complete(PROMPT, samples=4, tokens=150, temperature=1.5, seed=seed, grammar=grammar):
                if sample.finished:
                    passes = PassList.parse(sample.text)
                    known.validate(passes)
                    seen.add(passes.text)
    assert len(seen) > 5


def test_q8_is_close(folder: Path, embedded: Embedded, tmp_path: Path) -> None:
    write_gguf(folder, tmp_path / "small.gguf", quantisation="q8_0")
    assert (tmp_path / "small.gguf").stat().st_size < 0.5 * (folder / "model.gguf").stat().st_size
    small = Embedded(tmp_path / "small.gguf", folder / "tokenizer.json", context=256, threads=1, slots=1)
    (one,), (other,) = (engine.complete("<|ir|>", tokens=1) for engine in (small, embedded))
    assert one.logprob == pytest.approx(other.logprob, abs=0.5)
    small.close()


def test_the_command_that_converts(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from llm_compiler.cli import run

    assert run(["convert", str(folder), "-o", str(tmp_path / "new" / "model.gguf")]) == 0
    engine = Embedded(tmp_path / "new" / "model.gguf", tmp_path / "new" / "tokenizer.json", threads=1, slots=1)
    assert engine.complete("<|ir|>", tokens=1)
    engine.close()
    capsys.readouterr()
    for words, said in (([str(tmp_path)], "is missing"),
                        ([str(folder), "--quantisation", "q2"], "no quantisation 'q2'")):
        assert run(["convert", *words, "-o", str(tmp_path / "other.gguf")]) == 2
        assert said in capsys.readouterr().err
    (tmp_path / "tokenizer.json").write_text("{}")
    assert run(["convert", str(folder), "-o", str(tmp_path / "other.gguf")]) == 2
    assert "is another model's" in capsys.readouterr().err
    shutil.copytree(folder, tmp_path / "bare")
    (tmp_path / "bare" / "config.json").write_text('{"model_type": "llama"}')
    assert run(["convert", str(tmp_path / "bare"), "-o", str(tmp_path / "bare" / "other.gguf")]) == 2
    assert "holds no Llama" in capsys.readouterr().err
    assert not list(tmp_path.rglob("*other.gguf*"))


def test_what_cannot_be_run_is_told(folder: Path, embedded: Embedded, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit into 256"):
        embedded.complete(PROMPT * 9, tokens=8)
    (tmp_path / "cut.gguf").write_bytes((folder / "model.gguf").read_bytes()[:3000])
    with pytest.raises(EngineError, match="cannot be run"):
        Embedded(tmp_path / "cut.gguf", folder / "tokenizer.json")
    (tmp_path / "huge.gguf").write_bytes(b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 1 << 62) + b"key")
    with pytest.raises(EngineError, match="cannot be run"):
        Embedded(tmp_path / "huge.gguf", folder / "tokenizer.json")
    (tmp_path / "no.gguf").write_bytes(b"text")
    with pytest.raises(InputError, match="is no GGUF file"):
        Embedded(tmp_path / "no.gguf", folder / "tokenizer.json")
    with pytest.raises(InputError, match="cannot be read"):
        Embedded(tmp_path / "none.gguf", folder / "tokenizer.json")
    with pytest.raises(InputError, match="holds no model"):
        Local(tmp_path)
    make_tokenizer(tmp_path, 700)
    with pytest.raises(InputError, match="it belongs to another model"):
        Embedded(folder / "model.gguf", tmp_path / "tokenizer.json")
    shutil.copytree(folder, tmp_path / "copy")
    shutil.copy(tmp_path / "tokenizer.json", tmp_path / "copy")
    with pytest.raises(InputError, match="it belongs to another model"):
        Local(tmp_path / "copy")
    shutil.copy(folder / "tokenizer.json", tmp_path / "copy")
    for config in ("[]", '{"max_position_embeddings": null}'):
        (tmp_path / "none").mkdir(exist_ok=True)
        (tmp_path / "none" / "config.json").write_text(config)
        with pytest.raises(InputError, match="holds no model"):
            Local(tmp_path / "none")
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"1234567890")
    with pytest.raises(EngineError, match="cannot be loaded"):
        Local(tmp_path / "copy")
    with pytest.raises(InputError, match=r"weights in .* cannot be read"):
        write_gguf(tmp_path / "copy", tmp_path / "out.gguf")
    assert not [path for path in tmp_path.iterdir() if "out.gguf" in path.name]


def test_answers_are_ranked_once_each() -> None:
    samples = [Sample("b", 1, True, -3.0), Sample("a", 1, True, -1.0), Sample("b", 1, True, -3.0),
               Sample("c", 9, False, -0.1)]
    assert [sample.text for sample in ranked(samples)] == ["a", "b", "c"]


# --- a server ---


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, Any]]]:
    """A server whose answer is `told`, and what it was asked."""
    told: dict[str, Any] = {"status": 200, "body": b"", "wait": 0.0, "asked": None, "length": None}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told["asked"] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told["headers"] = dict(self.headers)
            time.sleep(told["wait"])
            self.send_response(told["status"])
            if told["length"]:
                self.send_header("Content-Length", told["length"])
            self.end_headers()
            self.wfile.write(told["body"])

        def log_message(self, *_: object) -> None:
            pass

    made = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_port}/v1", told
    made.shutdown()
    thread.join()
    made.server_close()


def test_a_server_is_asked_and_read(server: tuple[str, dict[str, Any]]) -> None:
    address, told = server
    told["body"] = json.dumps({"choices": [
        {"text": "gvn", "finish_reason": "length", "logprobs": {"token_logprobs": [None, -0.5]}},
        {"text": "dce", "finish_reason": "stop", "logprobs": {"content": [{"logprob": -1.5}]}},
        {"text": "sroa", "finish_reason": "stop"}]}).encode()
    found = Server(address, "meta", key="secret").complete("[INST] x [/INST]", samples=3, temperature=0.6, tokens=9)
    assert found == [Sample("sroa", 0, True, None), Sample("dce", 1, True, -1.5), Sample("gvn", 2, False, -0.5)]
    assert told["asked"] | {"prompt": "[INST] x [/INST]", "n": 3, "model": "meta", "max_tokens": 9} == told["asked"]
    assert told["headers"]["Authorization"] == "Bearer secret"


def test_a_server_that_fails_is_told(server: tuple[str, dict[str, Any]]) -> None:
    address, told = server
    for status, body, sentence in ((500, b"no  memory", "refuses with 500: no memory"), (503, b"", "refuses with 503$"),
                                   (200, b"<html>", "no JSON"), (200, b"\xff", "no JSON"),
                                   (200, b"[" * 100_000, "no JSON"), (200, b'{"choices": [{}]}', "no completion"),
                                   (200, b"[]", "no completion"), (200, b'{"choices": []}', "no completion"),
                                   (200, b'{"choices": [{"text": null}]}', "no completion"),
                                   (200, b'{"choices": [{"text": "", "logprobs": 7}]}', "no completion")):
        told["status"], told["body"] = status, body
        with pytest.raises(EngineError, match=sentence):
            Server(address).complete("x")
    told["body"] = b'{"choices": [{"text": "\\ud800", "logprobs": {"token_logprobs": [NaN]}}]}'
    assert Server(address).complete("x") == [Sample("?", 1, False, None)]
    told["length"] = "1000"
    with pytest.raises(EngineError, match="breaks off"):
        Server(address).complete("x")
    told["wait"] = 1.0
    with pytest.raises(EngineError, match="gave no answer in 0 s"):
        Server(address, seconds=0.1).complete("x")
    with pytest.raises(EngineError, match="cannot be reached"):
        Server("http://127.0.0.1:9/v1").complete("x")
    for none in ("localhost", "http://", "http://localhost:x/v1", "http://a b/v1", "http://[::1/v1", "ftp://a/v1"):
        with pytest.raises(InputError, match="is no address"):
            Server(none)
    with pytest.raises(InputError, match="LLMC_API_KEY"):
        Server(address, key="a\nb")
