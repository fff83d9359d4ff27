"""Functions cut out of a module's text with what they need, their hash, and shingles for finding near duplicates.

Text as LLVM prints it is taken apart at its top-level lines, once a module. evidence/irtext.py takes a module apart as
well, down to blocks and instructions that it can drop and put together again; here bodies stay whole pieces of text, so
that megabytes a second go through.

What `extract` leaves out or changes:
- Metadata goes, but for attachments that say what a value is or how it is used (`KEPT`), loop properties
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

import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from llm_compiler.errors import InputError

# Attachments that stay.
KEPT = ("range", "nonnull", "noundef", "align", "dereferenceable", "dereferenceable_or_null", "nontemporal",
        "invariant.load", "fpmath", "unpredictable", "prof", "llvm.loop")
MAX_CONSTANT = 1024  # bytes of a constant that comes along
MAX_CONSTANTS = 8192  # and of all that come along with one function

_WORD = r'(?:[-a-zA-Z$._0-9]+|"[^"]*")'
_NAME = r'(?:[-a-zA-Z$._][-a-zA-Z$._0-9]*|"[^"]*")'
# A reference or a string, which may look like one. Numbered locals are left out: they are most of a body.
_TOKEN = re.compile(rf'@(?:{_NAME}|\d+)|%{_NAME}|"[^"]*"|#\d+|!\d+')
_NUMBERED = re.compile(rf'%{_WORD}|"[^"]*"')  # locals by number too
_DROPPED_METADATA = re.compile(r", !(?!(?:" + "|".join(re.escape(kind) for kind in KEPT) + r") )[-\w.$]+ !\d+")
_HEADER_METADATA = re.compile(r" ![-\w.$]+ !\d+")
_PREDECESSORS = re.compile(r": +; (?:preds = |No predecessors).*")
_DEBUG_CALL = re.compile(r"\n  (?:tail )?call void @llvm\.dbg\..*")
_COMDAT = re.compile(rf" comdat(?:\(\${_WORD}\))?")
_LINKAGE = re.compile(r"(define|declare) (?:(private|internal|available_externally|linkonce_odr|linkonce|weak_odr|weak|"
                      r"common|appending|extern_weak|external) )?")
_HEADER_NAME = re.compile(rf"(@{_WORD})\(")
_PARAMETER_NAME = re.compile(rf" (%{_WORD})(?=[,)])")
_NESTED = re.compile(r"\([^()]*\)|\{[^{}]*\}|<[^<>]*>|\[[^][]*\]")
_VARIABLE = re.compile(rf"(@{_WORD}) = ((?:[a-z_]+(?:\([a-z0-9\"]+\))? )*?)(global|constant|alias|ifunc) ")
_BLOCK_ADDRESS = re.compile(rf"blockaddress\((@{_WORD}),")
_VARIABLE_LINKAGE = re.compile(r"\b(?:private|internal|available_externally|linkonce_odr|linkonce|weak_odr|weak|common|"
                               r"appending|dso_local) ")
_VARIABLE_TAIL = re.compile(
    rf', (?:(align) (\d+)|(section|partition|code_model) ("[^"]*")|comdat(?:\(\${_WORD}\))?|![-\w.$]+ !\d+|'
    r"(?:no_)?sanitize_\w+|#\d+)$")
_LABEL_OR_RESULT = re.compile(rf"^(?:({_WORD}):|  (%{_WORD}) = )", re.MULTILINE)
_LABEL = re.compile(rf"^({_WORD}):", re.MULTILINE)
_STRING_ATTRIBUTE = re.compile(r' ?"(?:[^"]*)"(?:="[^"]*")?')
_PRIVATE_STRING = re.compile(r"@\.str(?:\.\d+)*")
_SUFFIX = re.compile(r'(?:\.\d+)+("?)$')
_NAMED_LOCAL = re.compile(r'^(?:  %)?[-a-zA-Z$._"]', re.MULTILINE)  # a label or a result
_PLACEMENT = re.compile(r"\b(?:dso_local|hidden|protected|local_unnamed_addr|unnamed_addr) ")
_ATTACHMENT = re.compile(r", ![-\w.$]+ !\d+")
# Every branch begins with a character that seldom occurs otherwise: this runs over every body.
_NO_SHAPE = re.compile(rf"%(?:\d+|{_NAME})|@(?!llvm\.)(?:{_NAME}|\d+)|#\d+|, (?:align \d+|![-\w.$]+ !\d+)")
_NO_SHAPE_WORDS = tuple(f" {word}" for word in (
    "noundef", "zeroext", "signext", "nonnull", "nocapture", "noalias", "readonly", "writeonly", "returned", "immarg",
    "dso_local", "hidden", "local_unnamed_addr", "unnamed_addr"))
_DEREFERENCEABLE = re.compile(r" dereferenceable(?:_or_null)?\(\d+\)")
SHINGLE = 3
_MIX = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)


@dataclass(frozen=True)
class Extracted:
    """One function's definition and what it needs, in pieces and as the text of a module.

    name: without `@` and quotes. linkage: what it had in its module; empty for external. instructions: in its body.
    types, constants, declarations: lines by name, in order of first use. groups: attribute groups by their new number.
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


class ModuleText:
    """A module's text, taken apart at its top-level lines."""

    def __init__(self, text: str) -> None:
        self.layout = self.triple = ""
        self._types: dict[str, str] = {}
        self._variables: dict[str, str] = {}
        self._declared: dict[str, str] = {}
        self._defined: dict[str, tuple[str, str]] = {}
        self._groups: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._take_apart(_DROPPED_METADATA.sub("", text))
        self._numbered_types = tuple(name for name in self._types if name[1].isdigit())
        self._declarations: dict[str, str] = {}
        self._constants: dict[str, tuple[int | None, frozenset[str], str, list[str]]] = {}
        self._type_closures: dict[str, tuple[str, ...]] = {}
        self._sizes: dict[str, tuple[int, int] | None] = {}

    def _take_apart(self, text: str) -> None:
        at = 0
        text = f"\n{text}"
        while True:
            start = text.find("\ndefine ", at)
            self._top_level(text[at:] if start < 0 else text[at:start])
            if start < 0:
                return
            end = text.find("\n", start + 1)
            close = text.find("\n}", end)
            if end < 0 or close < 0:
                return
            header = text[start + 1 : end + 1]
            found = _HEADER_NAME.search(header)
            if found:
                self._defined[found.group(1)] = (header, text[end + 1 : close + 2] + "\n")
            at = close + 2

    def _top_level(self, text: str) -> None:
        for line in text.splitlines():
            first = line[:1]
            if first == "%":
                name, _, body = line.partition(" = type ")
                self._types[name] = body
            elif first == "@":
                self._variables[line.partition(" = ")[0]] = line
            elif first == "!":
                name, _, node = line.partition(" = ")
                if name[1:].isdigit():
                    self._nodes[name] = node
            elif line.startswith("declare "):
                found = _HEADER_NAME.search(line)
                if found:
                    self._declared[found.group(1)] = line
            elif line.startswith("attributes #"):
                name, _, group = line[11:].partition(" = { ")
                self._groups[name] = group.removesuffix(" }")
            elif line.startswith("target datalayout"):
                self.layout = f"{line}\n"
            elif line.startswith("target triple"):
                self.triple = f"{line}\n"

    # --- what there is ---------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The symbols of the functions with a body (`@f`, quoted where need be), in the module's order."""
        return list(self._defined)

    def raw(self, symbol: str) -> tuple[str, str]:
        """The line with `define` and the body, closing brace included."""
        return self._defined[symbol]

    def linkage(self, symbol: str) -> str:
        """`internal`, `linkonce_odr` …; empty for external."""
        found = _LINKAGE.match(self._defined[symbol][0])
        return (found.group(2) or "") if found else ""

    def instructions(self, symbol: str) -> int:
        """In the function's body."""
        return _count(self._defined[symbol][1])

    # --- one function ----------------------------------------------------------------------------------------------

    def extract(self, symbol: str) -> Extracted:
        """The function `symbol` by itself. Raises KeyError for one that the module does not define."""
        header, body = self._defined[symbol]
        linkage = self.linkage(symbol)
        header = _definition(header, linkage)
        if "; " in body:
            body = _PREDECESSORS.sub(":", body)
        if "@llvm.dbg." in body:
            body = _DEBUG_CALL.sub("", f"\n{body}")[1:]
        used = dict.fromkeys(_TOKEN.findall(header))
        used |= dict.fromkeys(_TOKEN.findall(body))
        locals_: dict[str, str] = {}
        if _NAMED_LOCAL.search(body) or any(not name[1].isdigit() for name in _PARAMETER_NAME.findall(header)):
            locals_ = _numbering(symbol, header, body, self._types)
            header = _NUMBERED.sub(lambda found: locals_.get(found.group(), found.group()), header)
            body = _renamed_locals(body, locals_)
            used = dict.fromkeys([*_TOKEN.findall(header), *_TOKEN.findall(body)])
        constants, declared = self._globals(symbol, used)
        if locals_:
            constants = {name: _renamed_blocks(line, symbol, locals_) for name, line in constants.items()}
        used |= dict.fromkeys(_TOKEN.findall("\n".join([*constants.values(), *declared.values()])))
        types = self._used_types(used)
        groups, group_names = self._used_groups(used)
        nodes, node_names = self._used_nodes(used)
        strings = [name for name in (*constants, *declared) if _PRIVATE_STRING.fullmatch(name)]
        new = {**group_names, **node_names, **_series(strings, 1), **_series(types, 0)}
        new = {old: name for old, name in new.items() if old != name}

        pieces = [header, body]
        for lines in ({name: self._types[name] for name in types}, constants, declared):
            pieces += [*lines, *lines.values()]
        pieces += nodes
        if new:  # all in one go; no piece holds a null
            text = _TOKEN.sub(lambda found: new.get(found.group(), found.group()), "\0".join(pieces))
            pieces = text.split("\0")
        rest = iter(pieces)
        header, body = next(rest), next(rest)

        def pairs(count: int) -> tuple[tuple[str, str], ...]:
            names = [next(rest) for _ in range(count)]
            return tuple((name, next(rest)) for name in names)

        return Extracted(symbol[1:].strip('"'), linkage, _count(body), self.triple, self.layout, symbol, header, body,
                         pairs(len(types)), pairs(len(constants)), pairs(len(declared)), groups, tuple(rest))

    def _globals(self, symbol: str, used: Iterable[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Constants that come along, and declarations of all else; in order of first use."""
        constants: dict[str, str] = {}
        declared: dict[str, str] = {}
        todo = [token for token in used if token[0] == "@"]
        room = MAX_CONSTANTS
        for token in todo:  # grows while it is walked
            if token == symbol or token in constants or token in declared:
                continue
            if token in self._variables:
                constant = self._constants.get(token)
                if constant is None:
                    constant = self._constants[token] = self._constant(self._variables[token])
                size, blocks, line, inner = constant
                if size is not None and size <= room and blocks <= {symbol}:
                    room -= size
                    constants[token] = line
                    todo += inner
                    continue
            declaration = self._declarations.get(token)
            if declaration is None:
                declaration = self._declarations[token] = self._declaration(token)
            if declaration:
                declared[token] = declaration
        return constants, declared

    def _constant(self, line: str) -> tuple[int | None, frozenset[str], str, list[str]]:
        """Bytes of a constant of local linkage that is small enough to come along, else None; the functions that it has
        addresses of blocks of; its line without attachments; what it refers to.
        """
        found = _VARIABLE.match(line)
        if not found or found.group(3) != "constant" or not re.search("private|internal", found.group(2)):
            return None, frozenset(), "", []
        blocks = frozenset(_BLOCK_ADDRESS.findall(line))
        # A table of blocks is part of its function, whatever its size.
        size = 0 if blocks else self._size(line[found.end() : _type_end(line, found.end())])
        if size is None or size > MAX_CONSTANT:
            return None, frozenset(), "", []
        return size, blocks, _without_tail(line), [name for name in _TOKEN.findall(line) if name[0] == "@"]

    def _declaration(self, token: str) -> str:
        """A declaration of a function or variable of the module; empty for what it does not know."""
        if token in self._defined:
            header = self._defined[token][0]
            local = re.match("define (?:private|internal) ", header) is not None
            return _declaration_of(header, local, self._types)
        if token in self._declared:
            line = re.sub(r"^declare (?:![-\w.$]+ !\d+ )+", "declare ", self._declared[token])
            # LLVM gives intrinsics their attributes when it reads them.
            return re.sub(r"(?: #\d+)+$", "", line) if token.startswith(("@llvm.", '@"llvm.')) else line
        line = self._variables.get(token, "")
        found = _VARIABLE.match(line)
        if not found:
            return ""
        name, prefix, kind = found.groups()
        end = _type_end(line, found.end())
        type_ = line[found.end() : end]
        if kind in ("alias", "ifunc"):
            if type_.endswith(")"):
                result, _, parameters = type_.partition(" (")
                return f"declare {result} {name}({parameters}"
            return f"{name} = external global {type_}"
        if "external " in prefix or "extern_weak " in prefix:
            return _without_tail(line)
        local = re.search("private |internal ", prefix) is not None
        prefix = _VARIABLE_LINKAGE.sub("", prefix)
        dso = "dso_local " if local or " dso_local " in line[: found.end()] else ""
        align = "".join(re.findall(r'"[^"]*"|(, align \d+)', _tail(line)))
        return f"{name} = external {dso}{prefix}{kind} {type_}{align}"

    # --- what it uses ----------------------------------------------------------------------------------------------

    def _used_types(self, used: Iterable[str]) -> dict[str, str]:
        names: dict[str, str] = {}
        for token in [*used, *self._numbered_types]:
            if token[0] == "%" and token not in names and token in self._types:
                for name in self._closure(token):
                    names[name] = self._types[name]
        return names

    def _closure(self, name: str) -> tuple[str, ...]:
        """The type and those that it holds."""
        found = self._type_closures.get(name)
        if found is None:
            seen = {name: None}
            todo = [name]
            while todo:
                for inner in _NUMBERED.findall(self._types[todo.pop()]):
                    if inner not in seen and inner in self._types:
                        seen[inner] = None
                        todo.append(inner)
            found = self._type_closures[name] = tuple(seen)
        return found

    def _used_groups(self, used: Iterable[str]) -> tuple[tuple[str, ...], dict[str, str]]:
        numbers: dict[str, str] = {}
        texts: dict[str, int] = {}
        for token in used:
            if token[0] == "#" and token in self._groups:
                number = texts.setdefault(self._groups[token], len(texts))
                numbers[token] = f"#{number}"
        return tuple(texts), numbers

    def _used_nodes(self, used: Iterable[str]) -> tuple[list[str], dict[str, str]]:
        todo = [token for token in used if token[0] == "!"]
        names: dict[str, str] = {}
        nodes: list[str] = []
        for token in todo:  # grows while it is walked
            if token in names or token not in self._nodes:
                continue
            node = self._nodes[token]
            if "!DI" in node:
                node = "!{}"
            inner = [name for name in _TOKEN.findall(node) if name[0] == "!"]
            for name in inner:
                if self._nodes.get(name, "").startswith(("!DI", "distinct !DI")):  # where a loop stood in the source
                    node = re.sub(rf", {re.escape(name)}(?=[,}}])", "", node)
            names[token] = f"!{len(nodes)}"
            nodes.append(node)
            todo += [name for name in _TOKEN.findall(node) if name[0] == "!"]
        return nodes, names

    def _size(self, type_: str) -> int | None:
        """Bytes of a type on a 64-bit target; None for one whose layout is not known."""
        found = self._layout_of(type_)
        return found[0] if found else None

    def _layout_of(self, type_: str) -> tuple[int, int] | None:
        if type_ not in self._sizes:
            self._sizes[type_] = None
            self._sizes[type_] = self._measure(type_)
        return self._sizes[type_]

    def _measure(self, type_: str) -> tuple[int, int] | None:
        scalar = {"ptr": (8, 8), "float": (4, 4), "double": (8, 8), "half": (2, 2), "bfloat": (2, 2),
                  "x86_fp80": (16, 16), "fp128": (16, 16)}.get(type_)
        if scalar:
            return scalar
        if re.fullmatch(r"i\d+", type_):
            size = 1 << max(0, ((int(type_[1:]) + 7) // 8 - 1).bit_length())
            return size, min(size, 16)
        if type_[:1] == "%":
            return self._layout_of(self._types[type_]) if type_ in self._types else None
        array = re.fullmatch(r"[\[<](\d+) x (.*)[\]>]", type_)
        if array:
            element = self._layout_of(array.group(2))
            return (int(array.group(1)) * element[0], element[1]) if element else None
        packed = type_.startswith("<{")
        inner = type_.strip("<>").removeprefix("{").removesuffix("}").strip()
        if type_[:1] not in ("{", "<"):
            return None
        size, widest = 0, 1
        for field in _split(inner):
            found = self._layout_of(field)
            if found is None:
                return None
            align = 1 if packed else found[1]
            size = -(-size // align) * align + found[0]
            widest = max(widest, align)
        return -(-size // widest) * widest, widest


def extract(text: str, name: str) -> Extracted:
    """One function of a module's text. Raises KeyError when the module does not define it."""
    module = ModuleText(text)
    return module.extract(f"@{name}" if f"@{name}" in module.names() else f'@"{name}"')


def extract_all(text: str) -> Iterator[Extracted]:
    """Every function that has a body, in the module's order."""
    module = ModuleText(text)
    for symbol in module.names():
        yield module.extract(symbol)


# --- headers, lines, types -------------------------------------------------------------------------------------------


def _definition(header: str, linkage: str) -> str:
    """The line with `define`, visible from outside."""
    header = _COMDAT.sub("", _HEADER_METADATA.sub("", header))
    header = _LINKAGE.sub("define ", header, count=1)
    return header.replace("define ", "define dso_local ", 1) if linkage in ("internal", "private") else header


def _declaration_of(header: str, local: bool, types: dict[str, str]) -> str:
    """A declaration of a function that the module defines."""
    line = _definition(header, "internal" if local else "").rstrip().removesuffix("{").rstrip()
    line = line.replace("define ", "declare ", 1)
    line = re.sub(r" (?:personality|prefix|prologue) .*$| gc \"[^\"]*\"", "", line)
    start = line.index("(", line.index("@"))
    return line[:start] + _PARAMETER_NAME.sub(
        lambda found: found.group() if found.group(1) in types else "", line[start:])


def _tail(line: str) -> str:
    """`, align 16, section ".x"` and the like at a variable's end."""
    end = len(line)
    while found := _VARIABLE_TAIL.search(line, 0, end):
        end = found.start()
    return line[end:]


def _without_tail(line: str) -> str:
    """A variable's line with nothing after its initialiser but section and alignment."""
    tail = _tail(line)
    kept = re.findall(r', (?:section "[^"]*"|align \d+)', tail)
    return line[: len(line) - len(tail)] + "".join(kept)


def _type_end(text: str, at: int) -> int:
    """Where the type that begins at `at` ends, parameters of a function type included."""
    depth = 0
    quoted = False
    for index in range(at, len(text)):
        char = text[index]
        if char == '"':
            quoted = not quoted
        elif quoted:
            continue
        elif char in "[{<(":
            depth += 1
        elif char in "]}>)":
            depth -= 1
        elif depth == 0 and char in " ,":
            if char == " " and text.startswith((" (", " addrspace("), index):
                continue
            return index
    return len(text)


def _split(text: str) -> list[str]:
    """The members of a structure type."""
    found, at = [], 0
    while at < len(text):
        end = _type_end(text, at)
        found.append(text[at:end])
        at = end + 2
    return found


def _count(body: str) -> int:
    """Instructions: lines indented by two, but not the ends of switches."""
    return (body.count("\n  ") + body.startswith("  ")) - body.count("\n   ") - body.count("\n  ]")


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


# --- named values ----------------------------------------------------------------------------------------------------


def _numbering(symbol: str, header: str, body: str, types: dict[str, str]) -> dict[str, str]:
    """The numbers that LLVM gives to values without names: parameters, then blocks and results as they come."""
    parameters = header[header.index("(", header.index("@")) + 1 :]
    while (plain := _NESTED.sub("", parameters)) != parameters:  # types may hold names of types
        parameters = plain
    names = _PARAMETER_NAME.findall(f" {parameters.partition(')')[0]})")
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


def _renamed_locals(text: str, new: dict[str, str]) -> str:
    text = _NUMBERED.sub(lambda found: new.get(found.group(), found.group()), text)
    entry = _LABEL.match(text)
    if entry:
        text = text[entry.end() :].partition("\n")[2]
    return _LABEL.sub(lambda found: new.get(f"%{found.group(1)}", "%?")[1:] + ":", text)


def _renamed_blocks(line: str, symbol: str, new: dict[str, str]) -> str:
    return re.sub(rf"(blockaddress\({re.escape(symbol)}, )(%{_WORD})\)",
                  lambda found: f"{found.group(1)}{new.get(found.group(2), found.group(2))})", line)


# --- hashes ----------------------------------------------------------------------------------------------------------


def canonical_hash(function: Extracted) -> str:
    """32 hexadecimal digits that do not depend on names of values, types, private constants and the function itself, on
    linkage, metadata, string attributes, and the order of the module.
    """
    new = {function.symbol: "@F"}
    new |= {name: f"@C{number}" for number, (name, _) in enumerate(function.constants)}
    strings = (name for name, _ in function.declarations if _PRIVATE_STRING.fullmatch(name))
    new |= {name: f"@S{number}" for number, name in enumerate(strings)}
    new |= {name: f"%T{number}" for number, (name, _) in enumerate(function.types)}
    for number, group in enumerate(function.groups):
        new[f"#{number}"] = f"#{{{_STRING_ATTRIBUTE.sub('', group).strip()}}}"

    def token(found: re.Match[str]) -> str:
        text = found.group()
        return "!" if text[0] == "!" else new.get(text, text)

    lines = [function.header, *(line for _, line in (*function.types, *function.constants, *function.declarations))]
    text = "\n".join([function.triple, _PLACEMENT.sub("", "\n".join(lines)), function.body])
    text = _ATTACHMENT.sub("", text)
    text = _TOKEN.sub(token, text).replace(" #{}", "")
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def shapes(function: Extracted) -> list[str]:
    """A text for the header and for each line of the body: operation, types, flags, constants, intrinsics; without
    names, locals, metadata, alignment, and attributes.
    """
    return [line.decode() for line in _shapes(function)]


def _shapes(function: Extracted) -> list[bytes]:
    text = _NO_SHAPE.sub("", function.header + function.body)
    for word in _NO_SHAPE_WORDS:
        text = text.replace(word, "")
    if " dereferenceable" in text:
        text = _DEREFERENCEABLE.sub("", text)
    lines = text.encode().split(b"\n")
    return [lines[0], *[line for line in lines[1:] if line[:2] == b"  "]]


def shingles(function: Extracted) -> npt.NDArray[np.uint64]:
    """Hashes of every three consecutive shapes, later occurrences of one told apart."""
    lines = np.array([zlib.crc32(line) for line in _shapes(function)], np.uint64)
    if len(lines) < SHINGLE:
        return np.zeros(0, np.uint64)
    # Products modulo 2^64 by odd numbers mix well enough: crc32 has spread the bits already.
    mixed = lines[:-2] * _MIX[0] + lines[1:-1] * _MIX[1] + lines[2:] * _MIX[2]
    mixed.sort()
    starts = np.flatnonzero(np.concatenate(([True], mixed[1:] != mixed[:-1])))
    run = np.arange(len(mixed)) - np.repeat(starts, np.diff(np.append(starts, len(mixed))))
    found_twice: npt.NDArray[np.uint64] = mixed + run.astype(np.uint64) * _MIX[3]
    return found_twice
