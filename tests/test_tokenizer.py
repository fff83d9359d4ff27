"""The tokenizer gives back what it took, and the same texts give the same tokenizer."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("tokenizers")

from llm_compiler import cli
from llm_compiler.corpus.tokens import compact_texts
from llm_compiler.errors import InputError
from llm_compiler.models import tokenizer as ours
from llm_compiler.tasks.prompts import SPECIAL_TOKENS
from token_data import code, make_export, make_tokenizer

TRAINED = ours.train((code(number, 9) for number in range(80)), 500)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_categories=("Cs",))))
def test_text_is_given_back(text: str) -> None:
    if any(token in text for token in SPECIAL_TOKENS):
        return
    assert TRAINED.decode(TRAINED.encode(text, add_special_tokens=False).ids, skip_special_tokens=False) == text


@settings(deadline=None)
@given(st.text())
def test_pieces_leave_nothing_out(text: str) -> None:
    assert "".join(re.findall(ours.PIECES, text)) == text


def test_what_belongs_together_is_a_piece() -> None:
    line = "\n  %12 = getelementptr inbounds i32, ptr %array.idx, i64 65536, !dbg !7"
    assert re.findall(ours.PIECES, line) == [
        "\n  ", "%12", " =", " getelementptr", " inbounds", " i", "32", ",", " ptr", " %array.idx", ",", " i", "64",
        " 655", "36", ",", " !dbg", " !7"]


def test_special_tokens_come_first_and_are_learnt_from_no_text(tmp_path: Path) -> None:
    assert [TRAINED.id_to_token(number) for number in range(len(SPECIAL_TOKENS))] == list(SPECIAL_TOKENS)
    texts = [f"<|ir|>{code(number, 9)}<|end|>" for number in range(80)]
    again = ours.train(texts, 500)
    assert again.to_str() == TRAINED.to_str()
    assert TRAINED.encode("<|ir|>x<|end|>", add_special_tokens=False).tokens[0] == "<|ir|>"
    ours.save(again, tmp_path / "tokenizer.json")
    assert ours.load(tmp_path / "tokenizer.json").to_str() == again.to_str()
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"is no tokenizer\.json"):
        ours.load(tmp_path / "tokenizer.json")


def test_lengths() -> None:
    found = ours.measure(TRAINED, ["ret", "\n  ret void"], (1, 100))
    assert (found.texts, found.bytes, found.fits[100]) == (2, 14, 1.0) and 0 <= found.fits[1] < 1
    with pytest.raises(InputError, match="no text"):
        ours.measure(TRAINED, [])


def test_the_command_trains_on_datasets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_export(tmp_path, make_tokenizer(tmp_path), "flags", 40, prompts=True)
    folder, out = tmp_path / "flags-dataset", tmp_path / "made" / "tokenizer.json"
    assert sum(map(len, compact_texts(folder, 900))) in range(900, 2000)
    assert cli.run(["dataset", "tokenizer", str(folder), "-o", str(out), "--size", "420", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[str(folder)]["texts"] == 4
    assert ours.load(out).get_vocab_size() == 420
    assert json.loads((out.parent / "tokenizer_config.json").read_text())["eos_token"] == "<|end|>"
