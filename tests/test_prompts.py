"""Prompts and answers: the reference's to the character, ours back and forth, and what truncated answers give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_compiler.llvm.pipeline import PassList
from llm_compiler.tasks import prompts
from llm_compiler.tasks.prompts import (
    Code,
    DisassemblyPrompt,
    Emulated,
    EmulationPrompt,
    FlagsPrompt,
    Output,
    Prompt,
    Sizes,
    Unparsed,
)

# Code in which marks of either form, and half of them, occur.
CODE = st.lists(st.one_of(st.text(max_size=20), st.sampled_from(
    [*prompts.SPECIAL_TOKENS, "<|", "<||", "|>", "<", "|", "<code>", "</code>", "[/INST]", "\n\n", "'"]))).map("".join)
PASSES = st.sampled_from(["default<Oz>", "cgscc(inline),function(sroa<modify-cfg>,loop(licm))", "globaldce"])
SIZES = st.builds(Sizes, st.integers(0, 10**9 - 1), st.integers(0, 10**9 - 1))


def test_reference_prompts_to_the_character() -> None:
    ir = "define void @f() {\n  ret void\n}\n"
    assert FlagsPrompt(ir).reference() == (
        "[INST] Tell me how to optimize this LLVM-IR for object file size:\n\n<code>" + ir + "</code> [/INST]")
    assert DisassemblyPrompt("\tretq\n").reference() == (
        "[INST] Disassemble this code to LLVM-IR:\n\n<code>\tretq\n</code> [/INST]")
    for output in Output:
        assert EmulationPrompt(ir, "default<Oz>", output, Sizes(8, 65)).reference() == (
            f"[INST] Give the {output} for the following code when optimized using opt -p 'module(default<Oz>)':\n\n"
            f"<code>{ir}</code>\n\nThe input code has instruction count 8 and binary size 65 bytes. [/INST]")


@given(st.one_of(st.builds(FlagsPrompt, CODE), st.builds(EmulationPrompt, CODE, PASSES, st.sampled_from(Output), SIZES),
                 st.builds(DisassemblyPrompt, CODE)))
def test_reference_prompts_come_back(prompt: Prompt) -> None:
    assert prompts.parse_prompt(prompt.reference()) == prompt


@given(st.one_of(st.builds(FlagsPrompt, CODE), st.builds(EmulationPrompt, CODE, PASSES, st.sampled_from(Output)),
                 st.builds(DisassemblyPrompt, CODE, st.sampled_from(["x86_64", "aarch64"]), st.booleans())))
def test_compact_prompts_come_back(prompt: Prompt) -> None:
    assert prompts.parse_compact_prompt(prompt.compact()) == prompt


@given(CODE)
def test_escaped_text_holds_no_special_token(text: str) -> None:
    escaped = prompts.escape(text)
    assert prompts.unescape(escaped) == text
    assert not any(token in escaped for token in prompts.SPECIAL_TOKENS)


@given(PASSES)
def test_flags_answers_come_back(text: str) -> None:
    passes = PassList.parse(text)
    assert prompts.parse_flags(prompts.flags_answer(passes.text)) == passes
    assert prompts.parse_compact_flags(prompts.compact_flags_answer(passes.text)) == passes


@given(CODE.filter(str.strip), SIZES, SIZES)
def test_code_answers_come_back(code: str, before: Sizes, after: Sizes) -> None:
    assert prompts.parse_code(prompts.code_answer(code)) == Code(code)
    assert prompts.parse_compact_code(prompts.compact_code_answer(code)) == Code(code)
    assert prompts.parse_emulation(prompts.emulation_answer(code, after)) == Emulated(code, after)
    assert prompts.parse_compact_emulation(prompts.compact_emulation_answer(code, before, after)) == Emulated(
        code, after, before)


@given(CODE, st.integers(0, 200))
def test_no_cut_answer_raises(code: str, end: int) -> None:
    answers = [prompts.flags_answer(code), prompts.code_answer(code), prompts.emulation_answer(code, Sizes(1, 2)),
               prompts.compact_emulation_answer(code, Sizes(1, 2), Sizes(3, 4)), prompts.compact_code_answer(code)]
    readers = [prompts.parse_flags, prompts.parse_compact_flags, prompts.parse_code, prompts.parse_compact_code,
               prompts.parse_emulation, prompts.parse_compact_emulation]
    for answer in answers:
        for read in readers:
            found = read(answer[:end])
            assert not isinstance(found, Unparsed) or found.reason


def test_cut_answers() -> None:
    assert prompts.parse_code("Here:\n<code>define void @f() {") == Code("define void @f() {", truncated=True)
    assert prompts.parse_code("```llvm\nret void\n```") == Code("ret void\n")
    assert prompts.parse_code("I cannot say.") == Unparsed("the answer holds no <code>")
    assert isinstance(prompts.parse_flags("opt -p 'module(default<O"), Unparsed)
    assert prompts.parse_compact_flags("default<Oz>") == Unparsed("the answer is cut off: it has no end")
    sizes = Emulated("", Sizes(7, 60), Sizes(8, 65), truncated=True)
    assert prompts.parse_compact_emulation("<|sizes|>8 65 7 60") == sizes
    assert isinstance(prompts.parse_compact_emulation("<|sizes|>8 65 7"), Unparsed)


@pytest.mark.parametrize("answer", [
    "opt -p 'module(default<Oz>)'", "Run opt -p \"module(default<Oz>)\" on it.", "<code>module(default<Oz>)</code>",
    "module(default<Oz>)", "`default<Oz>`", "opt -passes=module(default<Oz>)",
])
def test_flags_in_the_ways_that_models_say_them(answer: str) -> None:
    assert prompts.parse_flags(answer) == PassList.parse("default<Oz>")


def test_special_tokens_are_all_of_them_once() -> None:
    written = {value for name, value in vars(prompts).items() if isinstance(value, str) and value.startswith("<|")}
    assert len(set(prompts.SPECIAL_TOKENS)) == len(prompts.SPECIAL_TOKENS)
    assert written == set(prompts.SPECIAL_TOKENS)
