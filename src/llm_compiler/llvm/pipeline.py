"""Pass lists and candidates as frozen values: parse, print, canonicalise, hash.

The text is what `opt -passes=` takes (llvm/lib/Passes/PassBuilder.cpp, parsePipelineText): elements separated by
commas, each a name, optionally `<parameters>`, optionally `(nested elements)`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from llm_compiler.errors import PipelineError

ADAPTORS = ("module", "cgscc", "function", "loop", "loop-mssa", "loopnest", "machine-function")
"""Names that hold a nested pipeline; `devirt<N>` and `repeat<N>` do too, inside any of these."""

FORCE_ATTRIBUTE = "-force-attribute="
"""Pass option `-force-attribute=FUNCTION:ATTRIBUTE`, in force where the pass list holds `forceattrs`."""

MAXIMUM_DEPTH = 32
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
# The nesting that a pass of a level needs when it stands at module level.
_WRAPPING = {
    "module": (),
    "cgscc": ("cgscc",),
    "function": ("function",),
    "loop": ("function", "loop"),
    "loop-mssa": ("function", "loop-mssa"),
}


@dataclass(frozen=True, slots=True)
class Pass:
    """One element: `name`, the text between `<` and `>` (None when absent), and what is nested in it."""

    name: str
    parameters: str | None = None
    children: tuple[Pass, ...] = ()

    def __str__(self) -> str:
        text = self.name if self.parameters is None else f"{self.name}<{self.parameters}>"
        return f"{text}({','.join(map(str, self.children))})" if self.children else text

    def walk(self) -> Iterator[Pass]:
        """This element and everything nested in it, outermost first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True)
class PassList:
    """An immutable module pipeline. `PassList.parse(str(x)) == x`."""

    passes: tuple[Pass, ...] = ()

    @staticmethod
    def parse(text: str) -> PassList:
        """Parse pipeline text; an outer `module(…)` is dropped, blanks and empty `<>` as well.

        Raises PipelineError with the place of the mistake.
        """
        parser = _Parser(text)
        passes = parser.pipeline(0)
        if parser.position != len(parser.text):
            raise parser.error("unbalanced ')'")
        while len(passes) == 1 and passes[0].name == "module" and passes[0].parameters is None:
            passes = passes[0].children
        return PassList(passes)

    @cached_property
    def text(self) -> str:
        return ",".join(map(str, self.passes))

    def __str__(self) -> str:
        return self.text

    def __len__(self) -> int:
        return sum(1 for item in self.walk() if not item.children)

    def walk(self) -> Iterator[Pass]:
        """Every element, adaptors included, in the order of the text."""
        for item in self.passes:
            yield from item.walk()

    def names(self) -> frozenset[str]:
        """Names of the passes, without adaptors."""
        return frozenset(item.name for item in self.walk() if not item.children)

    def canonical(self, level_of: Callable[[str], str | None]) -> PassList:
        """Every element inside the adaptors that its level needs, neighbours of one level sharing them, as
        `opt` does for a list of bare names.

        Raises PipelineError for a pass that `level_of` (see `registry.Registry.level`) does not know.
        """
        return PassList(_wrap(self.passes, level_of))


def _wrap(passes: tuple[Pass, ...], level_of: Callable[[str], str | None]) -> tuple[Pass, ...]:
    out: list[Pass] = []
    run: list[Pass] = []
    run_level: str | None = None

    def flush() -> None:
        nonlocal run
        if run and run_level is not None:
            nested = tuple(run)
            for adaptor in reversed(_WRAPPING[run_level]):
                nested = (Pass(adaptor, None, nested),)
            out.extend(nested)
        run = []

    for item in passes:
        level: str | None
        if item.name in ("loop", "loop-mssa", "loopnest"):
            level = "function"
        elif item.name in ("devirt",):
            level = "cgscc"
        elif item.name in ADAPTORS or item.children:
            level = "module"
        else:
            level = level_of(item.name)
        if level is None:
            raise PipelineError(f"unknown pass '{item.name}'; `llmc passes` lists the ones that this LLVM knows")
        if level != run_level:
            flush()
            run_level = level
        run.append(item)
    flush()
    return tuple(out)


class _Parser:
    def __init__(self, text: str) -> None:
        self.text = "".join(text.split())
        self.position = 0

    def error(self, what: str) -> PipelineError:
        near = self.text[max(0, self.position - 12) : self.position + 12]
        return PipelineError(f"pass list: {what} at character {self.position + 1}, near '{near}'")

    def peek(self) -> str:
        return self.text[self.position : self.position + 1]

    def pipeline(self, depth: int) -> tuple[Pass, ...]:
        if depth > MAXIMUM_DEPTH:
            raise self.error("nested too deeply")
        passes: list[Pass] = []
        if not self.text:
            return ()
        while True:
            passes.append(self.element(depth))
            if self.peek() != ",":
                return tuple(passes)
            self.position += 1

    def element(self, depth: int) -> Pass:
        match = _NAME.match(self.text, self.position)
        if not match:
            raise self.error("a pass name is missing")
        self.position = match.end()
        parameters: str | None = None
        if self.peek() == "<":
            parameters = self.parameters() or None
        children: tuple[Pass, ...] = ()
        if self.peek() == "(":
            self.position += 1
            children = self.pipeline(depth + 1)
            if self.peek() != ")":
                raise self.error("unbalanced '('")
            self.position += 1
        elif match.group() in ADAPTORS:
            raise self.error(f"'{match.group()}' needs a nested list")
        return Pass(match.group(), parameters, children)

    def parameters(self) -> str:
        start = self.position + 1
        level = 0
        for index in range(self.position, len(self.text)):
            if self.text[index] == "<":
                level += 1
            elif self.text[index] == ">":
                level -= 1
                if level == 0:
                    self.position = index + 1
                    return self.text[start:index].rstrip(";")
        raise self.error("unbalanced '<'")


@dataclass(frozen=True)
class Candidate:
    """What the search varies: a pass list and LLVM options.

    `codegen_options` are given to the lowering only; `pass_options` (inliner thresholds and the like) are in force
    both while the passes run and while the result is lowered. Both are written as for `clang -mllvm`, sorted.
    """

    passes: PassList
    codegen_options: tuple[str, ...] = ()
    pass_options: tuple[str, ...] = ()


    def __post_init__(self) -> None:
        object.__setattr__(self, "codegen_options", tuple(sorted(set(self.codegen_options))))
        object.__setattr__(self, "pass_options", tuple(sorted(set(self.pass_options))))

    @cached_property
    def key(self) -> str:
        """A stable text that identifies the candidate, for memos and stores."""
        return " ".join((self.passes.text, "|", *self.pass_options, "|", *self.codegen_options))

    @property
    def lowering_options(self) -> tuple[str, ...]:
        """The options that the lowering needs: all but the attributes that `forceattrs` sets before the passes."""
        return (*(option for option in self.pass_options if not option.startswith(FORCE_ATTRIBUTE)),
                *self.codegen_options)

    @property
    def digest(self) -> str:
        """16 hexadecimal digits of the key's SHA-256."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:16]
