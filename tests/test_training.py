"""Mixtures, packing, and runs that go on bit by bit where they were interrupted."""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

import torch

from llm_compiler import cli
from llm_compiler.errors import InputError
from llm_compiler.models.shapes import SHAPES, Shape, shape_of
from llm_compiler.training.config import Data, RunConfig
from llm_compiler.training.documents import Documents, open_documents
from llm_compiler.training.learner import Learner, new_model, open_model, tensors
from llm_compiler.training.packing import IGNORED, Mixture, Packer, Piece, fill, learned
from llm_compiler.training.trainer import CHECKPOINTS, LOG, MODEL, Run, TrainingError, checkpoints, learning_rate
from token_data import make_export, make_tokenizer

TINY = Shape("tiny", 64, 2, 4, 2, 128, vocabulary=512, context=256)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    return make_export(tmp_path_factory.mktemp("plain"), tokenizer, "pretraining", 60, prompts=False, lines=12)


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, tokenizer: Path) -> Path:
    return make_export(tmp_path_factory.mktemp("asked"), tokenizer, "flags", 60, prompts=True)


@pytest.fixture
def sources(plain: Path, asked: Path, tmp_path: Path) -> list[Documents]:
    return [open_documents(folder, "train", tmp_path / "flat") for folder in (plain, asked)]


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llm_compiler.training.trainer.shape_of",
                        lambda name, **sizes: shape_of(name, **sizes) if name != "3m" else TINY)


def config(*folders: Path, **changed: object) -> RunConfig:
    values: dict[str, object] = {
        "stage": "flags", "data": tuple(Data(str(folder)) for folder in folders), "model": "3m", "context": 128,
        "batch": 512, "epochs": 3.0, "learning_rate": 3e-3, "warmup": 2, "rows_at_once": 2, "precision": "fp32",
        "compile": False, "evaluate": 4, "evaluate_tokens": 600, "save": 1e9} | changed
    return RunConfig(**values)  # type: ignore[arg-type]


# --- mixtures and packing ---


def test_a_mixture_keeps_its_shares_and_every_epoch_has_each_document(sources: list[Documents]) -> None:
    mixture = Mixture(sources, [3.0, 1.0], 5)
    drawn = [mixture.draw() for _ in range(4 * len(sources[0]))]
    tokens = [sum(sources[number].length(index) for source, index in drawn if source == number) for number in (0, 1)]
    assert tokens[0] / tokens[1] == pytest.approx(3, rel=0.05)
    first = [index for source, index in drawn if source == 0][: len(sources[0])]
    assert sorted(first) == list(range(len(sources[0]))) and first != sorted(first)
    state = mixture.state()
    after = [mixture.draw() for _ in range(50)]
    again = Mixture(sources, [3.0, 1.0], 5)
    again.restore(json.loads(json.dumps(state)))
    assert [again.draw() for _ in range(50)] == after


def test_rows_hold_every_document_whole_and_once(sources: list[Documents]) -> None:
    packer = Packer(Mixture(sources, [1.0, 1.0], 0), 4, 128)
    seen: Counter[tuple[int, int, int]] = Counter()
    used = 0
    for _ in range(8):
        rows = packer.plan()
        assert len(rows) == 4 and all(sum(map(len, row)) <= 128 for row in rows)
        used += sum(len(piece) for row in rows for piece in row)
        seen.update((piece.source, piece.index, piece.start) for row in rows for piece in row)
    assert used / (8 * 512) > 0.9
    assert set(seen.values()) <= {1, 2}  # twice only in another epoch
    long = [index for index in range(len(sources[0])) if sources[0].length(index) > 128]
    assert long, "the test needs documents that are cut"
    cuts = packer._pieces(0, long[0])
    assert [(cut.start, cut.stop) for cut in cuts][:2] == [(0, 128), (128, min(256, sources[0].length(long[0])))]


def test_an_example_that_is_too_long_is_left_out_and_counted(sources: list[Documents]) -> None:
    longest = max(map(sources[1].length, range(len(sources[1]))))
    packer = Packer(Mixture(sources[1:], [1.0], 0), 1, longest - 1)
    while not packer.too_long:
        assert all(piece.stop - piece.start < longest for row in packer.plan() for piece in row)
    with pytest.raises(InputError, match="longer than 8 tokens; raise context"):
        Packer(Mixture(sources[1:], [1.0], 0), 1, 8).plan()


def test_targets_are_the_next_tokens_of_answers(sources: list[Documents]) -> None:
    rows = [[Piece(1, 3, 0, sources[1].length(3)), Piece(0, 2, 0, 40)]]
    batch = fill(rows, sources, 128)
    size, given = sources[1].length(3), int(sources[1].prompts[3])
    assert given > 2
    ids = sources[1].document(3)
    assert batch.tokens[0, :size].tolist() == ids.tolist()
    assert (batch.targets[0, : given - 1] == IGNORED).all() and batch.targets[0, size - 1] == IGNORED
    assert batch.targets[0, given - 1 : size - 1].tolist() == ids[given:].tolist()
    other = sources[0].document(2)[:40]
    assert batch.targets[0, size : size + 39].tolist() == other[1:].tolist()
    assert batch.positions[0, size : size + 40].tolist() == list(range(40))
    assert set(batch.documents[0].tolist()) == {0, 1, 2} and (batch.targets[0, size + 39 :] == IGNORED).all()
    assert int((batch.targets != IGNORED).sum()) == learned(rows, sources) == size - given + 39


def test_documents_of_a_row_do_not_see_each_other(sources: list[Documents]) -> None:
    learner = Learner(new_model(TINY, 1), "sdpa").eval()
    pieces = [Piece(0, 2, 0, 40), Piece(1, 3, 0, sources[1].length(3))]
    device = torch.device("cpu")
    with torch.no_grad():
        alone = [float(learner(**tensors(fill([[piece]], sources, 128), device))) for piece in pieces]
        packed = float(learner(**tensors(fill([pieces], sources, 128), device)))
    assert packed == pytest.approx(sum(alone), rel=1e-5)


def test_flat_documents_are_those_of_the_export(asked: Path, tmp_path: Path) -> None:
    from llm_compiler.corpus.tokens import read_tokens

    found = open_documents(asked, "train", tmp_path)
    wanted = [document for _, document in read_tokens(asked, "train")]
    assert len(found) == len(wanted) and found.total == sum(len(document.tokens) for document in wanted)
    for index, document in enumerate(wanted):
        assert np.array_equal(found.document(index), document.tokens) and found.prompts[index] == document.prompt
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    with pytest.raises(InputError, match="no documents of the split other"):
        open_documents(asked, "other", tmp_path)
    with pytest.raises(InputError, match="holds no tokenised shards"):
        open_documents(tmp_path, "train", tmp_path)


# --- configurations and shapes ---


def test_a_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = config(tmp_path / 'a "b"', learning_rate=1e-4, compile=True)
    written.write(tmp_path)
    assert RunConfig.read(tmp_path / "run.toml") == written


@pytest.mark.parametrize(("changed", "sentence"), [
    ({"stage": "five"}, "there is no stage 'five'"), ({"batch": 500}, "no multiple of a row"),
    ({"model": "2t"}, "there is no model '2t'"), ({"data": ()}, "a run needs data"),
    ({"precision": "fp8"}, "precision is bf16, fp32"), ({"learning_rate": 0.0}, "learning_rate must be more than 0")])
def test_a_wrong_configuration_is_told(changed: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        config(Path("x"), **changed)


def test_unknown_names_in_a_file_are_told(tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    config(Path("x")).write(tmp_path)
    path.write_text(path.read_text().replace("warmup = 2", "warmups = 2"))
    with pytest.raises(InputError, match="has no 'warmups'"):
        RunConfig.read(path)
    path.write_text("stage = [")
    with pytest.raises(InputError, match="is no configuration"):
        RunConfig.read(path)


def test_shapes_count_their_parameters() -> None:
    for shape in (SHAPES["3m"], SHAPES["8m"], TINY):
        assert sum(weight.numel() for weight in new_model(shape, 0).parameters()) == shape.parameters
    # Llama 2's, with Code Llama's 16 tokens more.
    assert SHAPES["7b"].parameters == 6_738_415_616 + 2 * 16 * 4096
    assert SHAPES["13b"].parameters == 13_015_864_320 + 2 * 16 * 5120


def test_the_learning_rate_warms_up_and_falls(tmp_path: Path) -> None:
    chosen = config(tmp_path, warmup=10, learning_rate=1.0, final=0.1)
    rates = [learning_rate(chosen, step, 110) for step in range(111)]
    assert rates[0] == pytest.approx(0.1) and rates[10] == 1.0 and rates[110] == pytest.approx(0.1)
    assert rates[10:] == sorted(rates[10:], reverse=True)


# --- runs ---


def losses(folder: Path) -> dict[int, float]:
    records = [json.loads(line) for line in (folder / LOG).read_text().splitlines()]
    return {record["step"]: record["loss"] for record in records if "loss" in record}


def test_a_resumed_run_is_the_unbroken_one(plain: Path, asked: Path, tmp_path: Path,
                                           monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = config(plain, asked)
    unbroken = Run(chosen, tmp_path / "a", resume=False, scratch=tmp_path / "flat").train()
    assert unbroken.reason == "the end is reached" and unbroken.step == unbroken.steps > 8
    broken = Run(chosen, tmp_path / "b", resume=False, scratch=tmp_path / "flat")
    steps = iter(range(5))
    real = broken._step
    monkeypatch.setattr(broken, "_step", lambda: real() if next(steps, None) is not None else interrupt())

    def interrupt() -> None:
        raise KeyboardInterrupt

    assert broken.train().reason == "interrupted"
    # What a kill leaves: a checkpoint that was not finished, and a line that is half there.
    (tmp_path / "b" / CHECKPOINTS / ".step-00000007").mkdir()
    with (tmp_path / "b" / LOG).open("a") as file:
        file.write('{"step": 6, "lo')
    rest = Run(chosen, tmp_path / "b", resume=True, scratch=tmp_path / "flat")
    assert rest.progress.step == 5
    rest.train()
    assert losses(tmp_path / "b") == losses(tmp_path / "a")
    first, second = (open_model(tmp_path / name / MODEL) for name in "ab")
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    assert losses(tmp_path / "a")[unbroken.steps] < losses(tmp_path / "a")[1] - 1
    assert rest.progress.validation == unbroken.validation and len(unbroken.validation) == 2


def test_a_budget_ends_a_run_with_a_checkpoint(asked: Path, tmp_path: Path) -> None:
    run = Run(config(asked), tmp_path / "run", resume=False, scratch=tmp_path / "flat")
    assert run.train(budget=0.01).reason == "the time budget is over"
    assert [path.name for path in checkpoints(tmp_path / "run")] == ["step-00000000"]
    with pytest.raises(InputError, match="go on with --resume"):
        Run(config(asked), tmp_path / "run", resume=False, scratch=tmp_path / "flat")


def test_a_loss_that_is_no_number_ends_the_run(asked: Path, tmp_path: Path) -> None:
    run = Run(config(asked, learning_rate=1e30, clip=1e30), tmp_path / "run", resume=False, scratch=tmp_path / "flat")
    with pytest.raises(TrainingError, match=r"no number at step \d+; go on from the last checkpoint"):
        run.train()


def test_a_damaged_checkpoint_is_told_and_the_one_before_is_there(asked: Path, tmp_path: Path) -> None:
    chosen = config(asked, save=1e-9)
    Run(chosen, tmp_path / "run", resume=False, scratch=tmp_path / "flat").train()
    before, last = checkpoints(tmp_path / "run")
    weights = next(last.glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(InputError, match="remove it to go on from the checkpoint before"):
        Run(chosen, tmp_path / "run", resume=True, scratch=tmp_path / "flat")
    shutil.rmtree(last)
    again = Run(chosen, tmp_path / "run", resume=True, scratch=tmp_path / "flat")
    assert again.progress.step == int(before.name.removeprefix("step-"))


def test_a_run_begins_with_a_model_that_is_given(plain: Path, asked: Path, tmp_path: Path) -> None:
    Run(config(plain, stage="pretraining"), tmp_path / "first", resume=False, scratch=tmp_path / "flat").train()
    run = Run(config(asked, init=str(tmp_path / "first" / MODEL)), tmp_path / "second", resume=False,
              scratch=tmp_path / "flat")
    first = dict(open_model(tmp_path / "first" / MODEL).named_parameters())
    assert all(torch.equal(weight, first[name.removeprefix("model.")])
               for name, weight in run.learner.named_parameters())
    (tmp_path / "first" / MODEL / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(InputError, match="a model of the kind gpt2"):
        Run(config(asked, init=str(tmp_path / "first" / MODEL)), tmp_path / "third", resume=False)


def test_data_of_another_tokenizer_is_refused(asked: Path, tmp_path: Path) -> None:
    other = make_export(tmp_path, make_tokenizer(tmp_path, 380), "other", 30, prompts=True)
    with pytest.raises(InputError, match="different tokenizers"):
        Run(config(asked, other), tmp_path / "run", resume=False, scratch=tmp_path / "flat")


def test_the_command_trains_and_goes_on(asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, words = tmp_path / "run", ["--scratch", str(tmp_path / "flat"), "--json"]
    chosen = ["--set", "context=128", "--set", "batch=512", "--set", "precision=fp32", "--set", "compile=false"]
    assert cli.run(["train", "flags", "--data", f"{asked}=0.5", "--model", "3m", "-o", str(run), *chosen, *words,
                    "--time-budget", "1s"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["reason"] in ("the time budget is over", "the end is reached")
    assert cli.run(["train", "-o", str(run), "--resume", *words]) == 0
    assert json.loads(capsys.readouterr().out)["reason"] == "the end is reached"
    assert (run / MODEL / "model.safetensors").exists() and list((run / "tensorboard").iterdir())
    assert (run / MODEL / "tokenizer.json").read_bytes() == (asked / "tokenizer.json").read_bytes()
    for wrong, sentence in ((["flags"], "a run needs data"), (["six", "--data", str(asked)], "there is no stage 'six'"),
                            ([], "name a stage"), (["flags", "--data", str(asked), "--set", "rate=1"], "has no 'rate'"),
                            (["flags", "--data", f"{asked}=much"], "is no share"),
                            (["flags", "--resume"], "leave the other options away")):
        where = run if "--resume" in wrong else tmp_path / "other"
        assert cli.run(["train", *wrong, "-o", str(where), *words]) == 2
        assert sentence in capsys.readouterr().err


TWO = """
import sys
from pathlib import Path
from llm_compiler.training import trainer
from llm_compiler.training.config import RunConfig
from test_training import TINY
trainer.shape_of = lambda name, **sizes: TINY
run = trainer.Run(RunConfig.read(Path(sys.argv[1])), Path(sys.argv[2]), resume=False, scratch=Path(sys.argv[3]))
run.train()
"""


def test_two_processes_have_the_losses_of_one(plain: Path, asked: Path, tmp_path: Path) -> None:
    chosen = config(plain, asked, epochs=1.0)
    Run(chosen, tmp_path / "one", resume=False, scratch=tmp_path / "flat").train()
    (tmp_path / "config").mkdir()
    chosen.write(tmp_path / "config")
    (tmp_path / "two.py").write_text(TWO)
    env = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "OMP_NUM_THREADS": "1",
                        "ACCELERATE_USE_CPU": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", tmp_path / "two.py",
         tmp_path / "config" / "run.toml", tmp_path / "two", tmp_path / "flat"],
        env=env, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    one, two = losses(tmp_path / "one"), losses(tmp_path / "two")
    assert list(one) == list(two)
    assert all(math.isclose(one[step], two[step], rel_tol=1e-5) for step in one)
