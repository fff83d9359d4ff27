"""Functions cut out of a module's text with what they need.

What `extract` leaves out or changes:
- Metadata goes, but for attachments that say what a value is or how it is used (`moduletext.KEPT`), loop properties
  (llvm.loop.mustprogress decides whether a loop may be deleted), and metadata operands of calls. Types for alias
  analysis (!tbaa) go: they are an eighth of the text, and most modules come out of -Oz the same without them (33 of 45
  measured; 1.1 % more instructions in total, and objects 1.2 % smaller). Module flags go too: who lowers the function
  chooses the relocation model.
- Linkage and comdat of the function go, so that it survives alone. What was local becomes dso_local, which is what
  decides how its address is formed.
- Constants of local linkage (strings, tables) come along up to a size; every other variable becomes a declaration.
- Attribute groups, metadata, private strings and types with a number for a suffix are numbered anew; values too, where
  they have names.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from llm_compiler.corpus.moduletext import (
    NUMBERED,
    PARAMETER_NAME,
    TOKEN,
    WORD,
    ModuleText,
    count_instructions,
    definition,
)
from llm_compiler.errors import InputError

MAX_CONSTANTS = 8192
"""Bytes of all constants that come along with one function."""

PRIVATE_STRING = re.compile(r"@\.str(?:\.\d+)*")
_PREDECESSORS = re.compile(r": +; (?:preds = |No predecessors).*")
_DEBUG_CALL = re.compile(r"\n  (?:tail )?call void @llvm\.dbg\..*")
_NESTED = re.compile(r"\([^()]*\)|\{[^{}]*\}|<[^<>]*>|\[[^][]*\]")
_LABEL_OR_RESULT = re.compile(rf"^(?:({WORD}):|  (%{WORD}) = )", re.MULTILINE)
_LABEL = re.compile(rf"^({WORD}):", re.MULTILINE)
_NAMED_LOCAL = re.compile(r'^(?:  %)?[-a-zA-Z$._"]', re.MULTILINE)  # a label or a result
_SUFFIX = re.compile(r'(?:\.\d+)+("?)$')


@dataclass(frozen=True)
class Extracted:
    """One function's definition and what it needs, in pieces and as the text of a module.

    name: without `@` and quotes; symbol: with them. linkage: what it had in its module; empty for external.
    instructions: in its body. types, constants, declarations: lines by name, in order of first use. groups, metadata:
    by their new number.
    """

    name: str
    linkage: str
    instructions: int
    triple: str
    layout: str
    symbol: str
    header: str
    body: str
    types: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, str], ...]
    declarations: tuple[tuple[str, str], ...]
    groups: tuple[str, ...]
    metadata: tuple[str, ...]

    @cached_property
    def text(self) -> str:
        """A module that LLVM reads."""
        parts = [f"{self.layout}{self.triple}"]
        parts.append("".join(f"{name} = type {line}\n" for name, line in self.types))
        parts.append("".join(f"{line}\n" for _, line in self.constants)
                     + "".join(f"{line}\n" for _, line in self.declarations if line.startswith("@")))
        parts.append(f"{self.header}{self.body}")
        parts += [f"{line}\n" for _, line in self.declarations if not line.startswith("@")]
        parts.append("".join(f"attributes #{number} = {{ {group} }}\n" for number, group in enumerate(self.groups)))
        parts.append("".join(f"!{number} = {node}\n" for number, node in enumerate(self.metadata)))
        return "\n".join(part for part in parts if part)


def extract(module: ModuleText, symbol: str) -> Extracted:
    """The function `symbol` by itself. Raises KeyError for one that the module does not define, and InputError for one
    with a value and a type of one name.
    """
    header, body = module.raw(symbol)
    linkage = module.linkage(symbol)
    header = definition(header, linkage)
    if "; " in body:
        body = _PREDECESSORS.sub(":", body)
    if "@llvm.dbg." in body:
        body = _DEBUG_CALL.sub("", f"\n{body}")[1:]
    numbers = _numbering(symbol, header, body, module.types)
    if numbers:
        header = NUMBERED.sub(lambda found: numbers.get(found.group(), found.group()), header)
        body = _renamed_locals(body, numbers)

    used = dict.fromkeys(TOKEN.findall(header)) | dict.fromkeys(TOKEN.findall(body))
    constants, declared = _used_globals(module, symbol, used)
    if numbers:
        constants = {name: _renamed_blocks(line, symbol, numbers) for name, line in constants.items()}
    used |= dict.fromkeys(TOKEN.findall("\n".join([*constants.values(), *declared.values()])))
    types = _used_types(module, used)
    groups, group_names = _used_groups(module, used)
    nodes, node_names = _used_nodes(module, used)

    strings = [name for name in (*constants, *declared) if PRIVATE_STRING.fullmatch(name)]
    new = {**group_names, **node_names, **_series(strings, 1), **_series(types, 0)}
    new = {old: name for old, name in new.items() if old != name}
    pieces = [header, body]
    for lines in (types, constants, declared):
        pieces += [*lines, *lines.values()]
    pieces += nodes
    if new:  # all in one go; no piece holds a null
        text = TOKEN.sub(lambda found: new.get(found.group(), found.group()), "\0".join(pieces))
        pieces = text.split("\0")
    rest = iter(pieces)
    header, body = next(rest), next(rest)

    def pairs(count: int) -> tuple[tuple[str, str], ...]:
        names = [next(rest) for _ in range(count)]
        return tuple((name, next(rest)) for name in names)

    return Extracted(symbol[1:].strip('"'), linkage, count_instructions(body), module.triple, module.layout, symbol,
                     header, body, pairs(len(types)), pairs(len(constants)), pairs(len(declared)), groups, tuple(rest))


# --- what it uses ----------------------------------------------------------------------------------------------------


def _used_globals(module: ModuleText, symbol: str, used: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
    """Constants that come along, and declarations of all else; in order of first use."""
    constants: dict[str, str] = {}
    declared: dict[str, str] = {}
    todo = [token for token in used if token[0] == "@"]
    room = MAX_CONSTANTS
    for token in todo:  # grows while it is walked
        if token == symbol or token in constants or token in declared:
            continue
        constant = module.constant(token)
        if constant is not None and constant.size <= room and constant.blocks <= {symbol}:
            room -= constant.size
            constants[token] = constant.line
            todo += constant.references
        elif declaration := module.declaration(token):
            declared[token] = declaration
    return constants, declared


def _used_types(module: ModuleText, used: Iterable[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    for token in [*used, *module.numbered_types]:
        if token[0] == "%" and token not in names and token in module.types:
            for name in module.type_closure(token):
                names[name] = module.types[name]
    return names


def _used_groups(module: ModuleText, used: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The groups' texts, equal ones once, and their new names."""
    names: dict[str, str] = {}
    texts: dict[str, int] = {}
    for token in used:
        if token[0] == "#" and token in module.groups:
            number = texts.setdefault(module.groups[token], len(texts))
            names[token] = f"#{number}"
    return tuple(texts), names


def _used_nodes(module: ModuleText, used: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """The nodes without debug information, and their new names."""
    todo = [token for token in used if token[0] == "!"]
    names: dict[str, str] = {}
    nodes: list[str] = []
    for token in todo:  # grows while it is walked
        if token in names or token not in module.nodes:
            continue
        node = module.nodes[token]
        if "!DI" in node:
            node = "!{}"
        for name in TOKEN.findall(node):
            # Where a loop stood in the source.
            if name[0] == "!" and module.nodes.get(name, "").startswith(("!DI", "distinct !DI")):
                node = re.sub(rf", {re.escape(name)}(?=[,}}])", "", node)
        names[token] = f"!{len(nodes)}"
        nodes.append(node)
        todo += [name for name in TOKEN.findall(node) if name[0] == "!"]
    return nodes, names


# --- new names -------------------------------------------------------------------------------------------------------


def _series(names: Iterable[str], first: int) -> dict[str, str]:
    """Names without their numeric suffixes; a number from `first` on where that makes them equal."""
    new: dict[str, str] = {}
    taken: dict[str, int] = {}
    for name in names:
        stem = _SUFFIX.sub(r"\1", name)
        if stem not in taken:
            taken[stem] = first
            new[name] = stem
            continue
        number, taken[stem] = taken[stem], taken[stem] + 1
        new[name] = f'{stem[:-1]}.{number}"' if stem.endswith('"') else f"{stem}.{number}"
    return new


def _numbering(symbol: str, header: str, body: str, types: Collection[str]) -> dict[str, str]:
    """The numbers that LLVM gives to values without names: parameters, then blocks and results as they come. Empty when
    no value has a name.
    """
    if not _NAMED_LOCAL.search(body) and all(name[1].isdigit() for name in PARAMETER_NAME.findall(header)):
        return {}
    parameters = header[header.index("(", header.index("@")) + 1 :]
    while (plain := _NESTED.sub("", parameters)) != parameters:  # types may hold names of types
        parameters = plain
    names = PARAMETER_NAME.findall(f" {parameters.partition(')')[0]})")
    new = {name: f"%{number}" for number, name in enumerate(names)}
    count = len(new)
    if not _LABEL.match(body):
        count += 1  # the entry block
    for label, result in _LABEL_OR_RESULT.findall(body):
        new[result or f"%{label}"] = f"%{count}"
        count += 1
    shared = next((name for name in new if name in types), None)
    if shared:
        raise InputError(f"{symbol}: {shared} names a value and a type; give the module as bitcode, without names")
    return new


def _renamed_locals(text: str, new: Mapping[str, str]) -> str:
    text = NUMBERED.sub(lambda found: new.get(found.group(), found.group()), text)
    entry = _LABEL.match(text)
    if entry:
        text = text[entry.end() :].partition("\n")[2]
    return _LABEL.sub(lambda found: new.get(f"%{found.group(1)}", "%?")[1:] + ":", text)


def _renamed_blocks(line: str, symbol: str, new: Mapping[str, str]) -> str:
    return re.sub(rf"(blockaddress\({re.escape(symbol)}, )(%{WORD})\)",
                  lambda found: f"{found.group(1)}{new.get(found.group(2), found.group(2))})", line)
