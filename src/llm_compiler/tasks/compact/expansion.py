"""A module out of the compact form."""

from __future__ import annotations

import re

from llm_compiler.llvm.target import X86_64
from llm_compiler.tasks.compact.attributes import DECLARATION, DEFINITION, Attributes, place
from llm_compiler.tasks.compact.functions import Told, long_header
from llm_compiler.tasks.compact.header import Flags, long_flags, long_global, long_target, parse_flags
from llm_compiler.tasks.compact.instructions import long_line
from llm_compiler.tasks.compact.metadata import LongMetadata
from llm_compiler.tasks.compact.syntax import CALL_START, LOCAL, RESULT, VERBATIM, parse_call

_LITERAL_TYPE = re.compile(rf"{LOCAL} = [<{{]")
_TYPE = re.compile(rf"{LOCAL} = type ")


def expand(text: str) -> str:
    """IR text that LLVM parses, from the compact form. What is no compact IR comes out as something LLVM refuses."""
    numbers = (int(number) for number in re.findall(r"!(\d+)", text) if len(number) < 9)
    module = _Expansion(1 + max(numbers, default=-1))
    for line in text.splitlines():
        module.read(line)
    return module.text()


class _Expansion:
    """A module that is read line by line. first: the first free number of metadata."""

    def __init__(self, first: int) -> None:
        self._triple = X86_64
        self._layout: str | None = None
        self._language = "c"
        self._flags: Flags = ()
        self._groups: dict[Attributes, int] = {}
        self._metadata = LongMetadata(first)
        self._told = Told()
        self._present: set[str] = set()
        self._lines: list[str] = []
        self._nodes: list[str] = []

    def read(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if line.startswith(VERBATIM):
            self._verbatim(line[1:])
        elif word == "target":
            self._triple = "" if rest == "none" else rest
        elif word == "layout":
            self._layout = "" if rest == "none" else rest
        elif word == "tbaa":
            self._language = rest
        elif word == "flags":
            self._flags = parse_flags(rest)
        elif line.startswith("!"):
            self._nodes.append(line)
        elif word in ("define", "declare"):
            self._header(line, DEFINITION if word == "define" else DECLARATION)
        elif line.startswith("@"):
            self._present.add(line.partition(" = ")[0])
            self._lines.append(self._metadata.attachments(long_global(line)))
        elif _LITERAL_TYPE.match(line):
            self._lines.append(line.replace(" = ", " = type ", 1))
        elif line.startswith(("}", "$", "module asm")) or line.endswith(":") or _TYPE.match(line):
            self._lines.append(line)
        elif line:
            self._instruction(line)

    def _verbatim(self, line: str) -> None:
        line = self._metadata.attachments(line)
        if line.startswith(("define ", "declare ")):
            call = parse_call(line)
            if call is not None:
                self._present.add(call.callee)
            self._lines.append(line)
        else:
            self._lines.append(f"  {line}")

    def _header(self, line: str, base: Attributes) -> None:
        full, attributes = long_header(line, base)
        call = parse_call(full)
        if call is not None:
            self._present.add(call.callee)
            full = call.text(call.arguments, place(call.rest, self._group(attributes)))
        self._lines.append(self._metadata.attachments(full))

    def _instruction(self, line: str) -> None:
        result = RESULT.match(line)
        full, attributes = long_line(line[result.end() :] if result else line)
        if CALL_START.match(full) and (call := parse_call(full)) and " asm " not in call.head:
            self._told.learn(call, attributes)
            full = call.text(call.arguments, self._group(attributes) + call.rest)
        self._lines.append(self._metadata.attachments(f"  {result[1]} = {full}" if result else f"  {full}"))

    def _group(self, attributes: Attributes) -> str:
        return f" #{self._groups.setdefault(attributes, len(self._groups))}" if attributes else ""

    def text(self) -> str:
        """The module. To be called once: it numbers what is left."""
        declarations = [declaration.text + self._group(declaration.attributes)
                        for declaration in self._told.missing(self._present)]
        nodes = self._metadata.nodes(self._nodes, self._language)
        flags = long_flags(self._flags, self._metadata.next)
        groups = [f"attributes #{number} = {{ {' '.join(attributes)} }}" for attributes, number in self._groups.items()]
        return "\n".join([*long_target(self._triple, self._layout), *self._lines, *declarations, *nodes, *flags,
                          *groups]) + "\n"
