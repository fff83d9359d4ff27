"""A module's text, taken apart at its top-level lines, once a module.

evidence/irtext.py takes a module apart as well, down to blocks and instructions that it can drop and put together
again; here bodies stay whole pieces of text, so that megabytes a second go through.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from llm_compiler.llvm.irtypes import TypeSizes, type_end

KEPT = ("range", "nonnull", "noundef", "align", "dereferenceable", "dereferenceable_or_null", "nontemporal",
        "invariant.load", "fpmath", "unpredictable", "prof", "llvm.loop")
"""Kinds of metadata that stay: they say what a value is or how it is used."""

MAX_CONSTANT = 1024
"""Bytes of a constant that comes along with a function."""

WORD = r'(?:[-a-zA-Z$._0-9]+|"[^"]*")'
NAME = r'(?:[-a-zA-Z$._][-a-zA-Z$._0-9]*|"[^"]*")'
# A reference or a string, which may look like one. Numbered locals are left out: they are most of a body.
TOKEN = re.compile(rf'@(?:{NAME}|\d+)|%{NAME}|"[^"]*"|#\d+|!\d+')
NUMBERED = re.compile(rf'%{WORD}|"[^"]*"')  # locals by number too
PARAMETER_NAME = re.compile(rf" (%{WORD})(?=[,)])")

_DROPPED_METADATA = re.compile(r", !(?!(?:" + "|".join(re.escape(kind) for kind in KEPT) + r") )[-\w.$]+ !\d+")
_HEADER_METADATA = re.compile(r" ![-\w.$]+ !\d+")
_HEADER_NAME = re.compile(rf"(@{WORD})\(")
_COMDAT = re.compile(rf" comdat(?:\(\${WORD}\))?")
_LINKAGE = re.compile(r"(define|declare) (?:(private|internal|available_externally|linkonce_odr|linkonce|weak_odr|weak|"
                      r"common|appending|extern_weak|external) )?")
_VARIABLE = re.compile(rf"(@{WORD}) = ((?:[a-z_]+(?:\([a-z0-9\"]+\))? )*?)(global|constant|alias|ifunc) ")
_VARIABLE_LINKAGE = re.compile(r"\b(?:private|internal|available_externally|linkonce_odr|linkonce|weak_odr|weak|common|"
                               r"appending|dso_local) ")
_VARIABLE_TAIL = re.compile(
    rf', (?:(align) (\d+)|(section|partition|code_model) ("[^"]*")|comdat(?:\(\${WORD}\))?|![-\w.$]+ !\d+|'
    r"(?:no_)?sanitize_\w+|#\d+)$")
_BLOCK_ADDRESS = re.compile(rf"blockaddress\((@{WORD}),")


@dataclass(frozen=True)
class Constant:
    """A constant of local linkage that may come along with a function.

    size: bytes. blocks: functions that it has addresses of blocks of. line: without attachments. references: symbols.
    """

    size: int
    blocks: frozenset[str]
    line: str
    references: tuple[str, ...]


class ModuleText:
    """types, groups, nodes: bodies of named types, attribute groups and metadata nodes, by their names in the module
    (`%struct.s`, `#0`, `!0`). layout, triple: the module's lines, or empty.
    """

    def __init__(self, text: str) -> None:
        self.layout = self.triple = ""
        self.types: dict[str, str] = {}
        self.groups: dict[str, str] = {}
        self.nodes: dict[str, str] = {}
        self._variables: dict[str, str] = {}
        self._declared: dict[str, str] = {}
        self._defined: dict[str, tuple[str, str]] = {}
        self._take_apart(_DROPPED_METADATA.sub("", text))
        self.numbered_types = tuple(name for name in self.types if name[1].isdigit())
        self._sizes = TypeSizes(self.types)
        self._constants: dict[str, Constant | None] = {}
        self._declarations: dict[str, str] = {}
        self._closures: dict[str, tuple[str, ...]] = {}

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
                self.types[name] = body
            elif first == "@":
                self._variables[line.partition(" = ")[0]] = line
            elif first == "!":
                name, _, node = line.partition(" = ")
                if name[1:].isdigit():
                    self.nodes[name] = node
            elif line.startswith("declare "):
                found = _HEADER_NAME.search(line)
                if found:
                    self._declared[found.group(1)] = line
            elif line.startswith("attributes #"):
                name, _, group = line[11:].partition(" = { ")
                self.groups[name] = group.removesuffix(" }")
            elif line.startswith("target datalayout"):
                self.layout = f"{line}\n"
            elif line.startswith("target triple"):
                self.triple = f"{line}\n"

    # --- functions ---------------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        """The symbols of the functions with a body (`@f`, quoted where need be), in the module's order."""
        return list(self._defined)

    def raw(self, symbol: str) -> tuple[str, str]:
        """The line with `define` and the body, closing brace included. Raises KeyError for what is not defined."""
        return self._defined[symbol]

    def linkage(self, symbol: str) -> str:
        """`internal`, `linkonce_odr` …; empty for external."""
        found = _LINKAGE.match(self._defined[symbol][0])
        return (found.group(2) or "") if found else ""

    def instructions(self, symbol: str) -> int:
        """In the function's body."""
        return count_instructions(self._defined[symbol][1])

    # --- what a function may need ------------------------------------------------------------------------------------

    def type_closure(self, name: str) -> tuple[str, ...]:
        """The names of a type and of those that it holds."""
        found = self._closures.get(name)
        if found is None:
            seen = {name: None}
            todo = [name]
            while todo:
                for inner in NUMBERED.findall(self.types[todo.pop()]):
                    if inner not in seen and inner in self.types:
                        seen[inner] = None
                        todo.append(inner)
            found = self._closures[name] = tuple(seen)
        return found

    def constant(self, symbol: str) -> Constant | None:
        """None for what is no constant of local linkage, or is too large to come along."""
        if symbol not in self._constants:
            self._constants[symbol] = self._constant(self._variables.get(symbol, ""))
        return self._constants[symbol]

    def _constant(self, line: str) -> Constant | None:
        found = _VARIABLE.match(line)
        if not found or found.group(3) != "constant" or not re.search("private|internal", found.group(2)):
            return None
        blocks = frozenset(_BLOCK_ADDRESS.findall(line))
        # A table of blocks is part of its function, whatever its size.
        size = 0 if blocks else self._sizes.size(line[found.end() : type_end(line, found.end())])
        if size is None or size > MAX_CONSTANT:
            return None
        return Constant(size, blocks, _without_tail(line),
                        tuple(name for name in TOKEN.findall(line) if name[0] == "@"))

    def declaration(self, symbol: str) -> str:
        """A declaration of a function or variable of the module; empty for what it does not know."""
        found = self._declarations.get(symbol)
        if found is None:
            found = self._declarations[symbol] = self._declaration(symbol)
        return found

    def _declaration(self, symbol: str) -> str:
        if symbol in self._defined:
            return self._declaration_of(self._defined[symbol][0])
        if symbol in self._declared:
            line = re.sub(r"^declare (?:![-\w.$]+ !\d+ )+", "declare ", self._declared[symbol])
            # LLVM gives intrinsics their attributes when it reads them.
            return re.sub(r"(?: #\d+)+$", "", line) if symbol.startswith(("@llvm.", '@"llvm.')) else line
        return _variable_declaration(self._variables.get(symbol, ""))

    def _declaration_of(self, header: str) -> str:
        """header: the line with `define`."""
        local = re.match("define (?:private|internal) ", header) is not None
        line = definition(header, "internal" if local else "").rstrip().removesuffix("{").rstrip()
        line = line.replace("define ", "declare ", 1)
        line = re.sub(r" (?:personality|prefix|prologue) .*$| gc \"[^\"]*\"", "", line)
        start = line.index("(", line.index("@"))
        return line[:start] + PARAMETER_NAME.sub(
            lambda found: found.group() if found.group(1) in self.types else "", line[start:])


# --- lines -----------------------------------------------------------------------------------------------------------


def count_instructions(body: str) -> int:
    """Lines indented by two, but not the ends of switches."""
    return (body.count("\n  ") + body.startswith("  ")) - body.count("\n   ") - body.count("\n  ]")


def definition(header: str, linkage: str) -> str:
    """The line with `define`, visible from outside. linkage: what it has now."""
    header = _COMDAT.sub("", _HEADER_METADATA.sub("", header))
    header = _LINKAGE.sub("define ", header, count=1)
    return header.replace("define ", "define dso_local ", 1) if linkage in ("internal", "private") else header


def _variable_declaration(line: str) -> str:
    """A declaration from a variable's or an alias's line; empty for another line."""
    found = _VARIABLE.match(line)
    if not found:
        return ""
    name, prefix, kind = found.groups()
    type_ = line[found.end() : type_end(line, found.end())]
    if kind in ("alias", "ifunc"):
        if type_.endswith(")"):
            result, _, parameters = type_.partition(" (")
            return f"declare {result} {name}({parameters}"
        return f"{name} = external global {type_}"
    if "external " in prefix or "extern_weak " in prefix:
        return _without_tail(line)
    local = re.search("private |internal ", prefix) is not None
    dso = "dso_local " if local or " dso_local " in line[: found.end()] else ""
    align = "".join(re.findall(r'"[^"]*"|(, align \d+)', _tail(line)))
    return f"{name} = external {dso}{_VARIABLE_LINKAGE.sub('', prefix)}{kind} {type_}{align}"


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
