"""`llmc tune` with a model: its pass lists are tried first, and none is taken on trust."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from llm_compiler.inference.backend import Backend, Form
from llm_compiler.inference.tuning import ModelProposer
from llm_compiler.models.engine import EngineError, Sample
from llm_compiler.models.server import Server
from llm_compiler.tasks import prompts
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.result import TuningStatus
from llm_compiler.tuning.tuner import Tuner, TuningOptions

EXAMPLE = Path(__file__).parent.parent / "examples" / "json.c"
OPTIONS = TuningOptions(Budget(evaluations=12), strategy="model", store=False, jobs=1)
GOOD = "default<Oz>,function(simplifycfg),default<Oz>"
FIRST = GOOD, "cgscc(inline", "default<Os>"


class Fake:
    """An engine that answers with given texts; a prompt has a token for every four characters."""

    name = "fake"

    def __init__(self, *answers: str, context: int = 1 << 20, finished: bool = True) -> None:
        self.answers = answers
        self.context = context
        self.finished = finished
        self.prompts: list[str] = []

    def count(self, prompt: str) -> int:
        return len(prompt) // 4

    def complete(self, prompt: str, *, samples: int = 1, tokens: int = 256, temperature: float = 0.0, seed: int = 0,
                 grammar: str | None = None) -> Sequence[Sample]:
        self.prompts.append(prompt)
        chosen = self.answers[:1] if not temperature else self.answers[1 : 1 + samples]
        return [Sample(answer, 5, self.finished, -1.0) for answer in chosen]

    def close(self) -> None:
        pass


class Down(Fake):
    def complete(self, *_: Any, **__: Any) -> Sequence[Sample]:
        raise EngineError("the server is down")


def tuned(engine: Fake, options: TuningOptions = OPTIONS, form: Form = Form.COMPACT) -> Any:
    proposer = ModelProposer(Backend(engine, form), samples=3)
    with Tuner(options, proposer=proposer) as tuner:
        return tuner.tune(EXAMPLE)


@pytest.mark.parametrize("form", list(Form))
def test_lists_are_measured_and_the_best_is_taken(form: Form) -> None:
    answers = FIRST if form is Form.COMPACT else tuple(prompts.flags_answer(text) for text in FIRST)
    engine = Fake(*answers)
    result = tuned(engine, form=form)
    assert result.status in (TuningStatus.IMPROVED, TuningStatus.NO_GAIN) and result.best.bytes <= result.baseline.bytes
    assert "1 answers that are no pass list" in result.message
    # Two lists, and what minimising them tries; never the core set.
    assert result.evaluations >= 2
    begin = prompts.OPTIMIZE if form is Form.COMPACT else "[INST] Tell me how to optimize"
    assert len(engine.prompts) == 2 and all(prompt.startswith(begin) for prompt in engine.prompts)


def test_a_model_that_says_nothing_leaves_clangs_object() -> None:
    result = tuned(Fake("what?", "<code>", "no idea ("))
    assert result.status is TuningStatus.NO_GAIN and result.evaluations == 0
    assert result.best.bytes == result.baseline.bytes and "3 answers that are no pass list" in result.message


def test_hybrid_goes_on_with_the_search() -> None:
    alone = tuned(Fake("default<O3>"))
    both = tuned(Fake("default<O3>"), replace(OPTIONS, strategy="hybrid", budget=Budget(evaluations=24)))
    assert alone.status is TuningStatus.NO_GAIN
    assert both.status is TuningStatus.IMPROVED and both.evaluations > alone.evaluations


def test_what_trust_does_not_cover_is_not_tried() -> None:
    wrong = "default<Oz>,function(structurizecfg)"
    result = tuned(Fake(wrong, "function(no-such-pass)"))
    assert result.status is TuningStatus.NO_GAIN and result.evaluations == 0
    assert "2 lists of the model hold passes beyond --trust production" in result.message


def test_a_program_beyond_the_context_is_asked_for_by_function() -> None:
    engine = Fake(GOOD, "default<Os>", context=1500)
    result = tuned(engine)
    assert "does not fit into the model's 1500 tokens; it was asked for 4 of its" in result.message
    assert engine.prompts and all(engine.count(prompt) + 256 <= 1500 for prompt in engine.prompts)
    assert all(prompt.count("define ") == 1 for prompt in engine.prompts)


def test_answers_that_are_cut_off_are_no_lists() -> None:
    assert "3 answers that are no pass list" in tuned(Fake(*FIRST[:1] * 3, finished=False)).message


def test_a_model_that_cannot_be_run_is_one_sentence() -> None:
    result = tuned(Down())
    assert result.status is TuningStatus.FAILED and result.message == "the server is down"


def test_results_are_kept_by_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMC_CACHE", str(tmp_path))
    kept = replace(OPTIONS, store=True)
    first, again = Fake(*FIRST), Fake(*FIRST)
    one, two = tuned(first, kept), tuned(again, kept)
    assert first.prompts and not again.prompts and one.best == two.best
    (tmp_path / "model.gguf").write_bytes(b"another")
    other = ModelProposer(Backend(again, Form.COMPACT, files=(tmp_path / "model.gguf",)), samples=3)
    with Tuner(kept, proposer=other) as tuner:
        tuner.tune(EXAMPLE)
    assert again.prompts


def test_what_makes_it_another_model(tmp_path: Path) -> None:
    def identity(engine: Any = Fake(), *files: Path, form: Form = Form.COMPACT) -> str:
        return ModelProposer(Backend(engine, form, files=files)).identity

    model, tokenizer = tmp_path / "model.gguf", tmp_path / "tokenizer.json"
    model.write_bytes(b"weights")
    tokenizer.write_text("{}")
    seen = [identity(Fake(), model, tokenizer)]
    assert identity(Fake(), model, tokenizer) == seen[0]
    model.write_bytes(b"Weights")
    seen.append(identity(Fake(), model, tokenizer))
    tokenizer.write_text("{ }")
    seen += [identity(Fake(), model, tokenizer), identity(Fake(context=512), model, tokenizer),
             identity(Fake(), model, tokenizer, form=Form.REFERENCE)]
    seen += [identity(Server(address, name))
             for address in ("http://a/v1", "http://b/v1") for name in ("", "one", "two")]
    assert len(set(seen)) == len(seen) == 11


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from llm_compiler.cli import run

    for words, said in ((["--model", str(tmp_path / "m.gguf")], "there is no model"),
                        (["--model", "embedded", "--strategy", "coreset"], "goes with model or hybrid"),
                        (["--model", "m.gguf", "--strategy", "random"], "goes with model or hybrid")):
        assert run(["tune", str(EXAMPLE), *words]) == 2
        assert said in capsys.readouterr().err
