"""Assembly of a whole file cut into its functions, each with the constants that it needs, as if compiled by itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from llm_compiler.tasks.assembly import comment_mark

LABEL = re.compile(r'\s*([A-Za-z_.$][\w.$@]*|"[^"]+"):\s*(.*)$')
_SECTION = re.compile(r"\s*\.(?:section|text|data|bss)\b")
_CONSTANT_SECTION = re.compile(r'\s*\.section\s+"?\.(?:rodata|data\.rel\.ro|gcc_except_table)\b')
_CODE_SECTION = re.compile(r'\s*(?:\.text\b|\.section\s+"?\.(?:text|init|fini)\b|\.section\s[^#]*,\s*"[^"]*x[^"]*")')
_BETWEEN = re.compile(r"\s*\.(?:globl|global|weak|hidden|protected|internal|local|type|p2align|align|balign|comm|set|"
                      r"file|ident|addrsig|addrsig_sym|symver|end)\b")
# Ends a function without .size; alignment stands within code, too.
_ENDS = re.compile(r"\s*\.(?:globl|global|weak|hidden|protected|internal|type|comm|local|ident|addrsig)\b")
_DROPPED = re.compile(r"\s*\.(?:loc|file|ident|addrsig|addrsig_sym|symver|comm|local|set|cfi_sections|end)\b")
_TYPE = re.compile(r"\s*\.type\s+([^\s,]+)\s*,\s*[@%](\w+)")
_SIZE = re.compile(r"\s*\.size\s")
_EXPORT = re.compile(r"\s*\.(?:globl|global|weak)\s+(\S+)")
_WORD = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_.$][\w.$]*')
_OWN = re.compile(r"(?<![\w.$])(\.LBB|\.LCPI|\.LJTI|\.Lfunc_begin|\.Lfunc_end|GCC_except_table)\d+")
_SERIES = re.compile(r"(?<![\w.$])(\.L(?:tmp|exception|ttbaseref|ttbase|cst_begin|cst_end))(\d+)\b")
_STRING = re.compile(r"(?<![\w.$])\.L\.str(?:\.\d+)*(?![\w.$])")
_TYPED = re.compile(r"^\t\.type\t(\.L\.str(?:\.\d+)?),@object +# @\.str[.\d]*$", re.MULTILINE)
_LOCAL_NAME = re.compile(r"(?<![\w.$])\.L([\w.$]+)\$local\b")
_MAX_CONSTANTS = 64 * 1024  # characters of the constants that come along with one function
_TABLE = re.compile(r'\s*\.section\s+"?\.gcc_except_table\b')  # its parts are read as one
_DATA = re.compile(r"\s*\.(?:byte|short|value|long|int|quad|[248]byte|octa|ascii|asciz|string|zero|skip|space|word|"
                   r"xword|hword|uleb128|sleb128|fill|single|float|double|incbin)\b")


@dataclass
class _Piece:
    """A labelled part of a section: its lines, with those before its label. section: the directive that opens it;
    more: further labels of the same place.
    """

    section: str
    label: str
    function: bool
    lines: list[str] = field(default_factory=list)
    more: list[str] = field(default_factory=list)

    @property
    def constant(self) -> bool:
        return not self.function and (bool(_CONSTANT_SECTION.match(self.section)) or _is_reference(self.label))

    def words(self) -> list[str]:
        return [word for line in self.lines for word in _WORD.findall(line) if not word.startswith('"')]


def cut(text: str) -> dict[str, str]:
    """Each function of an assembly file as a file of its own, by name, in the order of the file.

    Read-only data of local linkage that it refers to comes along. Labels and strings are numbered as in a file that
    holds nothing else.
    """
    mark = comment_mark(text)
    pieces, exported = _pieces(text, mark)
    data = {label: piece for piece in pieces for label in (piece.label, *piece.more)
            if piece.constant and (label not in exported or _is_reference(label))}
    return {piece.label.strip('"'): _alone(piece, pieces, data) for piece in pieces if piece.function}


def _pieces(text: str, mark: str) -> tuple[list[_Piece], set[str]]:
    kinds = {match[1]: match[2] for match in map(_TYPE.match, text.splitlines()) if match}
    exported = {match[1] for match in map(_EXPORT.match, text.splitlines()) if match}
    pieces: list[_Piece] = []
    section, pending = "\t.text", list[str]()
    current: _Piece | None = None
    filled = False  # the current piece holds data, or its function is at its end
    for line in text.splitlines():
        bare = line.strip()
        comment = not bare or bare.startswith((mark, "#"))
        if comment:
            if current is not None and not pending:
                current.lines.append(line)
            continue
        label = LABEL.match(line)
        if _SECTION.match(line):
            section, current = line, None
            pending.append(line)
        elif label:
            name, code = label[1], bool(_CODE_SECTION.match(section))
            inside = code and current is not None and current.function and (
                name.startswith(".L") or (name not in kinds and name not in exported))
            if inside and current is not None:
                current.lines += [*pending, line]
            elif current is not None and not code and (
                    _TABLE.match(section) or not (current.function or filled or pending)):
                current.lines += [*pending, line]
                current.more.append(name)
            else:
                function = code and not name.startswith(".L") and kinds.get(name, "function") == "function"
                current = _Piece(section, name, function, [*pending, line])
                pieces.append(current)
            pending, filled = [], bool(label[2])
        elif current is not None and not current.function and _DATA.match(line):
            current.lines += [*pending, line]
            pending, filled = [], True
        elif current is None or pending:
            pending.append(line)
        elif _SIZE.match(line) or bare.startswith(".cfi_"):
            current.lines.append(line)
            filled = filled or not bare.startswith(".cfi_")
        elif (_ENDS if current.function and not filled else _BETWEEN).match(line) and (filled or current.function):
            pending.append(line)
        else:
            current.lines.append(line)
            filled = not current.function
    for piece in pieces:
        piece.lines = [line for line in piece.lines if not _DROPPED.match(line)]
    return pieces, exported


def _alone(function: _Piece, pieces: Iterable[_Piece], data: Mapping[str, _Piece]) -> str:
    needed: dict[str, _Piece] = {}
    todo = function.words()
    room = _MAX_CONSTANTS
    for word in todo:  # grows while it is walked
        piece = data.get(word)
        if piece is None or piece.label in needed:
            continue
        size = sum(map(len, piece.lines))
        if size > room and not word.startswith(".L"):
            continue  # named: it may as well lie elsewhere
        room -= size
        needed[piece.label] = piece
        todo += piece.words()
    order = list(pieces)
    at = next(index for index, piece in enumerate(order) if piece is function)
    wanted = {id(piece) for piece in needed.values()}
    before = [piece for piece in order[:at] if id(piece) in wanted]
    after = [piece for piece in order[at:] if id(piece) in wanted and not _is_string(piece)]
    strings = [piece for piece in needed.values() if _is_string(piece)]
    before = [piece for piece in before if not _is_string(piece)]
    lines = ["\t.text", '\t.file\t"input"']
    section = "\t.text"
    for piece in (*before, function, *after, *strings):
        section = _append(lines, piece, section)
    return _renamed("\n".join([*lines, '\t.section\t".note.GNU-stack","",@progbits', ""]), function.label)


def _is_reference(label: str) -> bool:
    """How exception tables name a personality and types."""
    return label.startswith("DW.ref.") or label.endswith(".DW.stub")


def _is_string(piece: _Piece) -> bool:
    return bool(_STRING.fullmatch(piece.label))


def _append(lines: list[str], piece: _Piece, section: str) -> str:
    """Add a piece, in its section; the section that lines are in then."""
    own = [line for line in piece.lines if not _SECTION.match(line)]
    if piece.section.strip() != section.strip():
        own.insert(1 if _TYPE.match(own[0]) and not piece.function else 0, piece.section)
    lines += own
    return piece.section


def _renamed(text: str, name: str) -> str:
    """Labels as in a file with one function."""
    text = _OWN.sub(r"\g<1>0", text)
    text = _LOCAL_NAME.sub(lambda match: match[0] if match[1] == name else match[1], text)
    numbers: dict[str, dict[str, int]] = {}

    def number(match: re.Match[str]) -> str:
        known = numbers.setdefault(match[1], {})
        return f"{match[1]}{known.setdefault(match[2], len(known))}"

    text = _SERIES.sub(number, text)
    strings: dict[str, str] = {}

    def string(match: re.Match[str]) -> str:
        return strings.setdefault(match[0], f".L.str.{len(strings)}" if strings else ".L.str")

    return _TYPED.sub(_commented, _STRING.sub(string, text))


def _commented(match: re.Match[str]) -> str:
    """A string's first line as LLVM prints it: its name in IR behind it, in column 40."""
    code = f"\t.type\t{match[1]},@object"
    return f"{code}{' ' * max(1, 40 - len(code.expandtabs()))}# @{match[1][2:]}"
