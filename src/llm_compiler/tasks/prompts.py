"""What models are asked and what they answer, in two forms.

Reference: the prompts of Meta's released models (arXiv 2407.02524), to the character; of their answers only that code
stands in `<code>…</code>` and that pass lists look like `module(default<Oz>)` is known, so answers are read tolerantly,
and the sentences around code in the answers that we render are ours.

Compact: for models of our own. Special tokens mark the parts, and sizes come first in an answer, so that they can be
had without the code. Code is in the form of `tasks.compact`.

    flags         <|optimize|>IR<|answer|>                     PASSES<|end|>
    emulation     <|emulate|><|ir|>PASSES<|code|>IR<|answer|>  <|sizes|>N B N B<|code|>IR<|end|>
                  with <|asm|> in place of <|ir|> for assembly; N instructions and B bytes before and after
    disassembly   <|disassemble|><|x86_64|>ASM<|answer|>       IR<|end|>
                  <|listing|> after the target: what a disassembler shows of a linked file
    pretraining   <|ir|>IR<|end|>, <|asm|><|x86_64|>ASM<|end|>, <|text|>TEXT<|end|>
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from llm_compiler.errors import PipelineError
from llm_compiler.llvm.pipeline import PassList

OPTIMIZE, EMULATE, DISASSEMBLE = "<|optimize|>", "<|emulate|>", "<|disassemble|>"
IR, ASM, LISTING, TEXT = "<|ir|>", "<|asm|>", "<|listing|>", "<|text|>"
X86_64, AARCH64 = "<|x86_64|>", "<|aarch64|>"
CODE, SIZES, ANSWER, END = "<|code|>", "<|sizes|>", "<|answer|>", "<|end|>"

SPECIAL_TOKENS = (END, OPTIMIZE, EMULATE, DISASSEMBLE, IR, ASM, LISTING, TEXT, X86_64, AARCH64, CODE, SIZES, ANSWER)
"""Every special token of the compact form, in the order of their numbers in a tokenizer."""

TARGETS = {"x86_64": X86_64, "aarch64": AARCH64}

_FLAGS = "[INST] Tell me how to optimize this LLVM-IR for object file size:\n\n<code>{}</code> [/INST]"
_DISASSEMBLY = "[INST] Disassemble this code to LLVM-IR:\n\n<code>{}</code> [/INST]"
_EMULATION = ("[INST] Give the {} for the following code when optimized using opt -p '{}':\n\n<code>{}</code>\n\n"
              "The input code has instruction count {} and binary size {} bytes. [/INST]")
_MAXIMUM_PASSES = 4096  # characters of a pass list


class Output(StrEnum):
    """What emulation is asked for, as the reference's prompt names it."""

    IR = "LLVM-IR"
    ASSEMBLY = "assembly"


@dataclass(frozen=True)
class Unparsed:
    """A text that says nothing usable, and why."""

    reason: str


@dataclass(frozen=True)
class Sizes:
    """IR instructions, and bytes of .text and .data of the object."""

    instructions: int
    bytes: int


@dataclass(frozen=True)
class Code:
    """An answer that is code. `truncated`: its end is missing."""

    text: str
    truncated: bool = False


@dataclass(frozen=True)
class Emulated:
    """An answer to an emulation prompt; sizes where the answer says them."""

    code: str
    after: Sizes | None = None
    before: Sizes | None = None
    truncated: bool = False


@dataclass(frozen=True)
class FlagsPrompt:
    """How can this be made smaller? `ir`: IR text, in the compact prompt in compact form."""

    ir: str

    def reference(self) -> str:
        return _FLAGS.format(self.ir)

    def compact(self) -> str:
        return f"{OPTIMIZE}{escape(self.ir)}{ANSWER}"


@dataclass(frozen=True)
class EmulationPrompt:
    """What does `opt -p 'module(passes)'` make of this? passes: without the outer `module(…)`.

    before: for the reference's prompt, which tells them.
    """

    ir: str
    passes: str
    output: Output
    before: Sizes = Sizes(0, 0)

    def reference(self) -> str:
        return _EMULATION.format(self.output, f"module({self.passes})", self.ir, self.before.instructions,
                                 self.before.bytes)

    def compact(self) -> str:
        return f"{EMULATE}{IR if self.output is Output.IR else ASM}{escape(self.passes)}{CODE}{escape(self.ir)}{ANSWER}"


@dataclass(frozen=True)
class DisassemblyPrompt:
    """What IR is this the assembly of? target: `x86_64` or `aarch64`; listing: of a linked file, by a disassembler."""

    assembly: str
    target: str = "x86_64"
    listing: bool = False

    def reference(self) -> str:
        return _DISASSEMBLY.format(self.assembly)

    def compact(self) -> str:
        return f"{DISASSEMBLE}{TARGETS[self.target]}{LISTING if self.listing else ''}{escape(self.assembly)}{ANSWER}"


Prompt = FlagsPrompt | EmulationPrompt | DisassemblyPrompt


# --- rendering ---------------------------------------------------------------------------------------------------


def escape(text: str) -> str:
    """Text in which no special token can occur; `unescape` takes it back."""
    return text.replace("<|", "<||")


def unescape(text: str) -> str:
    return text.replace("<||", "<|")


def flags_answer(passes: str) -> str:
    """The reference's form; passes without the outer `module(…)`."""
    return f"opt -p 'module({passes})'"


def compact_flags_answer(passes: str) -> str:
    return f"{escape(passes)}{END}"


def code_answer(code: str) -> str:
    """The reference's form of a disassembly."""
    return f"<code>{code}</code>"


def compact_code_answer(code: str) -> str:
    return f"{escape(code)}{END}"


def emulation_answer(code: str, after: Sizes) -> str:
    return (f"<code>{code}</code>\n\nThe output code has instruction count {after.instructions} and binary size "
            f"{after.bytes} bytes.")


def compact_emulation_answer(code: str, before: Sizes, after: Sizes) -> str:
    numbers = f"{before.instructions} {before.bytes} {after.instructions} {after.bytes}"
    return f"{SIZES}{numbers}{CODE}{escape(code)}{END}"


def document(text: str, *, kind: str = TEXT, target: str = "") -> str:
    """A compact pretraining document. kind: IR, ASM or TEXT; target: for ASM."""
    return f"{kind}{TARGETS[target] if target else ''}{escape(text)}{END}"


# --- reading answers ---------------------------------------------------------------------------------------------

_OPTION = re.compile(r"-p(?:asses)?[= ]\s*(?:'([^']*)'?|\"([^\"]*)\"?|(\S+))")
_COUNTS = re.compile(r"instruction count (\d{1,9}) and binary size (\d{1,9}) bytes")


def parse_flags(answer: str) -> PassList | Unparsed:
    """The pass list of a reference answer: after `opt -p`, in `<code>…</code>`, or the whole answer.

    A list that is cut off is refused: what is left of it is another list.
    """
    text = answer.strip()
    match = _OPTION.search(text)
    if match:
        found = next(group for group in match.groups() if group is not None)
    else:
        inner = re.search(r"<code>(.*?)(?:</code>|$)", text, re.DOTALL)
        found = inner[1] if inner else text
    return _passes(found)


def parse_compact_flags(answer: str) -> PassList | Unparsed:
    """An answer without <|end|> is cut off and refused."""
    body, end, _ = answer.partition(END)
    if not end:
        return Unparsed("the answer is cut off: it has no end")
    return _passes(unescape(body))


def _passes(text: str) -> PassList | Unparsed:
    text = text.strip().strip("'\"`")
    if not text:
        return Unparsed("the answer is empty")
    if len(text) > _MAXIMUM_PASSES:
        return Unparsed(f"the pass list is longer than {_MAXIMUM_PASSES} characters")
    try:
        return PassList.parse(text)
    except PipelineError as error:
        return Unparsed(str(error))


def parse_code(answer: str) -> Code | Unparsed:
    """The code of a reference answer: in `<code>…</code>`, cut off or not, or in a Markdown fence."""
    start = answer.find("<code>")
    if start >= 0:
        end = answer.rfind("</code>")
        if end < start:
            return _code(answer[start + 6 :], truncated=True)
        return _code(answer[start + 6 : end], truncated=False)
    fence = re.search(r"```\w*\n(.*?)(```|$)", answer, re.DOTALL)
    if fence:
        return _code(fence[1], truncated=not fence[2])
    return Unparsed("the answer holds no <code>")


def parse_compact_code(answer: str) -> Code | Unparsed:
    body, end, _ = answer.partition(END)
    return _code(unescape(body), truncated=not end)


def _code(text: str, *, truncated: bool) -> Code | Unparsed:
    return Code(text, truncated) if text.strip() else Unparsed("the answer's code is empty")


def parse_emulation(answer: str) -> Emulated | Unparsed:
    """Code and, where the answer says them, the sizes after the passes."""
    code = parse_code(answer)
    if isinstance(code, Unparsed):
        return code
    counts = _COUNTS.search(answer, answer.rfind("</code>") if "</code>" in answer else len(answer))
    after = Sizes(int(counts[1]), int(counts[2])) if counts else None
    return Emulated(code.text, after, truncated=code.truncated)


def parse_compact_emulation(answer: str) -> Emulated | Unparsed:
    """Sizes and code; the code is empty when the answer ends before it."""
    match = re.match(rf"{re.escape(SIZES)}(\d{{1,9}}) (\d{{1,9}}) (\d{{1,9}}) (\d{{1,9}})(?!\d)", answer)
    if match is None:
        return Unparsed("the answer does not begin with four sizes")
    numbers = [int(text) for text in match.groups()]
    rest = answer[match.end() :]
    before, after = Sizes(*numbers[:2]), Sizes(*numbers[2:])
    if not rest.startswith(CODE):
        return Emulated("", after, before, truncated=True)
    body, end, _ = rest.removeprefix(CODE).partition(END)
    return Emulated(unescape(body), after, before, truncated=not end)


# --- reading prompts ---------------------------------------------------------------------------------------------

_REFERENCE_PROMPTS = tuple(
    re.compile(re.escape(text).replace(r"\{\}", "(.*)"), re.DOTALL) for text in (_FLAGS, _DISASSEMBLY, _EMULATION))


def parse_prompt(text: str) -> Prompt | Unparsed:
    """A prompt in the reference's form. Its disassembly prompt does not say the target; x86_64 is assumed."""
    flags, disassembly, emulation = _REFERENCE_PROMPTS
    if match := flags.fullmatch(text):
        return FlagsPrompt(match[1])
    if match := disassembly.fullmatch(text):
        return DisassemblyPrompt(match[1])
    match = emulation.fullmatch(text)
    if match is None or match[1] not in tuple(Output):
        return Unparsed("it is none of the reference's prompts")
    passes = re.fullmatch(r"module\((.*)\)", match[2], re.DOTALL)
    if passes is None or not (match[4].isdecimal() and match[5].isdecimal()):
        return Unparsed("the emulation prompt lacks its pass list or its sizes")
    return EmulationPrompt(match[3], passes[1], Output(match[1]), Sizes(int(match[4]), int(match[5])))


def parse_compact_prompt(text: str) -> Prompt | Unparsed:
    """A prompt in our form; sizes are no part of it."""
    body = text.removesuffix(ANSWER)
    if body == text:
        return Unparsed(f"the prompt does not end with {ANSWER}")
    if body.startswith(OPTIMIZE):
        return FlagsPrompt(unescape(body.removeprefix(OPTIMIZE)))
    if body.startswith(EMULATE):
        match = re.fullmatch(r"<\|(ir|asm)\|>(.*?)<\|code\|>(.*)", body.removeprefix(EMULATE), re.DOTALL)
        if match is None:
            return Unparsed("the emulation prompt lacks its output, its pass list or its code")
        return EmulationPrompt(unescape(match[3]), unescape(match[2]),
                               Output.IR if match[1] == "ir" else Output.ASSEMBLY)
    if body.startswith(DISASSEMBLE):
        rest = body.removeprefix(DISASSEMBLE)
        for name, token in TARGETS.items():
            if rest.startswith(token):
                rest = rest.removeprefix(token)
                return DisassemblyPrompt(unescape(rest.removeprefix(LISTING)), name, rest.startswith(LISTING))
    return Unparsed("it is none of the compact prompts")
