"""A module in the compact form."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from llm_compiler.tasks.compact.attributes import DECLARATION, DEFINITION, Attributes, parse_group
from llm_compiler.tasks.compact.functions import Told, short_header
from llm_compiler.tasks.compact.header import short_flags, short_global, short_target
from llm_compiler.tasks.compact.instructions import short_line
from llm_compiler.tasks.compact.metadata import ShortMetadata
from llm_compiler.tasks.compact.syntax import logical_lines


def compact(text: str) -> str:
    """A module in the compact form; see the package. The text must be as LLVM prints it."""
    module = _Module.parse(text)
    metadata = ShortMetadata(module.nodes)
    value = module.named.pop("llvm.module.flags", "")
    flags = short_flags(value, module.nodes)
    if flags is None:
        flags, module.named["llvm.module.flags"] = [], value
    body: list[str] = []
    declarations: list[str] = []
    told = Told()
    for line in module.lines:
        if line.startswith(("source_filename", "target ")):
            continue
        if line.startswith("declare "):
            declarations.append(line)  # what calls tell of them is known at the end
        elif line.startswith("define "):
            body.append(short_header(metadata.shorten(line), module.groups, DEFINITION))
        elif line.startswith("  "):
            body.append(short_line(metadata.shorten(line.strip()), module.groups, told))
        elif line.startswith("@"):
            body.append(short_global(metadata.shorten(line)))
        elif line.startswith("%"):
            body.append(re.sub(r" = type (?=[<{])", " = ", line))
        else:
            body.append(line)
    body += [short_header(metadata.shorten(line), module.groups, DECLARATION) for line in declarations
             if not told.tells(line, module.groups)]
    named = [f"!{name} = {metadata.shorten(value)}" for name, value in module.named.items()]
    language = [f"tbaa {metadata.language}"] if metadata.language == "c++" else []
    return "\n".join([*short_target(module.lines), *flags, *language, *body, *named, *metadata.lines()]) + "\n"


@dataclass
class _Module:
    """Attribute groups, metadata by number and by name, and all other lines."""

    groups: dict[str, Attributes] = field(default_factory=dict)
    nodes: dict[int, str] = field(default_factory=dict)
    named: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)

    @classmethod
    def parse(cls, text: str) -> _Module:
        found = cls()
        for line in logical_lines(text):
            if line.startswith("attributes #"):
                name, attributes = parse_group(line)
                found.groups[name] = attributes
            elif match := re.match(r"!(\d+) = (.*)$", line):
                found.nodes[int(match[1])] = match[2]
            elif match := re.match(r"!([\w.]+) = (!\{.*\})$", line):
                found.named[match[1]] = match[2]
            else:
                found.lines.append(line)
        found.named.pop("llvm.ident", None)
        return found
