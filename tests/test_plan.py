"""Plans, against numbers that can be worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llm_compiler import cli
from llm_compiler.errors import InputError
from llm_compiler.models.shapes import shape_of
from llm_compiler.training.config import Data, RunConfig
from llm_compiler.training.plan import DEVICES, measured, memory_of, plan, tokens_of


def test_the_reference_s_first_stage() -> None:
    shape = shape_of("7b")
    found = plan(shape, 401e9, DEVICES["A100"], 256, mfu=0.5, document=2048, price=2.0)
    # 6 operations a weight and token, without the embedding's look-up, and attention over 1,024 tokens on average.
    weights = shape.parameters - shape.vocabulary * shape.hidden - shape.hidden
    assert found.flops == pytest.approx(401e9 * (6 * weights + 12 * 32 * 4096 * 1024))
    assert found.gpu_hours == pytest.approx(found.flops / (0.5 * 312e12) / 3600)
    assert found.days == pytest.approx(found.gpu_hours / 256 / 24) and found.cost == 2 * found.gpu_hours
    assert found.tokens_a_second == pytest.approx(401e9 / (found.days * 86400))


def test_memory_falls_with_devices_and_recomputation() -> None:
    shape = shape_of("7b")
    alone = memory_of(shape, 1, 16_384, 1, recompute=False)
    assert alone > 18 * shape.parameters
    many = memory_of(shape, 64, 16_384, 1, recompute=False)
    assert many < alone - 17 * shape.parameters
    assert memory_of(shape, 64, 16_384, 1, recompute=True) < many / 2
    assert not plan(shape, 1e9, DEVICES["H100"], 1).fits
    assert plan(shape, 1e9, DEVICES["H100"], 64, recompute=True).fits
    assert plan(shape_of("34m"), 1e9, DEVICES["H200"], 1, context=4096, rows_at_once=8).fits


def test_wrong_numbers_are_told() -> None:
    assert [tokens_of(text) for text in ("84B", "1.5m", "300")] == [84e9, 1.5e6, 300.0]
    with pytest.raises(InputError, match="is no number of tokens"):
        tokens_of("many")
    with pytest.raises(InputError, match="MFU lies between"):
        plan(shape_of("3m"), 1e9, DEVICES["H100"], 1, mfu=1.5)


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["plan", "--model", "13b", "--recompute"]) == 0
    out = capsys.readouterr().out
    assert "13,016.0 million parameters" in out and "pretraining    401.00B" in out and "all" in out
    assert cli.run(["plan", "--model", "34m", "--tokens", "1B", "--devices", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["run"]["tokens"] == 1e9
    assert cli.run(["plan", "--model", "7b", "--devices", "1"]) == 1  # it does not fit
    for words in (["--model", "8x"], ["--device", "abacus"], ["--stage", "six"], ["--tokens", "many"]):
        assert cli.run(["plan", *words]) == 2


def test_a_run_beside_its_plan(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = RunConfig("pretraining", (Data("x"),), "34m", context=4096)
    config.write(tmp_path)
    lines = [{"step": step, "loss": 1.0, "tokens": 1_000_000 * step, "seconds": 2.0 * step, "mfu": 0.3}
             for step in range(1, 9)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    found = measured(tmp_path, DEVICES["H200"])
    expected = 8e6 * shape_of("34m").training_flops(2048) / (0.3 * 989e12)
    assert (found.tokens, found.seconds, found.mfu) == (8_000_000, 16.0, 0.3)
    assert found.predicted_seconds == pytest.approx(expected)
    assert measured(tmp_path).predicted_seconds is None
    assert cli.run(["plan", "--run", str(tmp_path), "--device", "H200"]) == 0
    assert f"median MFU of 30.0 %: {expected:.1f} s" in capsys.readouterr().out
    (tmp_path / "log.jsonl").write_text("")
    with pytest.raises(InputError, match="no log of a run"):
        measured(tmp_path)
