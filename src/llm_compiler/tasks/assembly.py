"""Assembly and disassembly listings with fewer tokens."""

from __future__ import annotations

import re
from itertools import zip_longest

_DROPPED = (".file", ".ident", ".addrsig", ".addrsig_sym", ".type", ".size")
_DATA = (".byte", ".short", ".long", ".quad", ".ascii", ".asciz", ".zero", ".word", ".xword", ".hword")
_SECTIONS = (".text", ".data", ".bss")


def compact_assembly(text: str, *, keep_cfi: bool = False) -> str:
    """Assembly with what matters to its code: assembled as it stands it gives the same .text.

    Dropped: comments, .file, .ident, .addrsig, .type, .size, the note about the stack, labels that nothing refers to
    (`.Lfunc_end0:`), .p2align where a section begins, blanks; .cfi_* unless `keep_cfi`, or code has landing pads.
    """
    mark = comment_mark(text)
    kept: list[str] = []
    lines = [line for line in (_plain(raw, mark) for raw in text.splitlines()) if line]
    keep_cfi = keep_cfi or any(line.startswith((".cfi_personality", ".cfi_lsda")) for line in lines)
    fresh = True
    for line in lines:
        word = line.split(" ", 1)[0]
        if word in _DROPPED or (word.startswith(".cfi_") and not keep_cfi) or ".note.GNU-stack" in line:
            continue
        if word == ".section" or word in _SECTIONS:
            # A section that is returned to goes on where it ended.
            fresh = line not in kept
        elif word == ".p2align":
            if fresh:
                continue
            line = line.removesuffix(", 0x90")
        elif word in _DATA or not (word.startswith(".") or line.endswith(":")):
            fresh = False
        kept.append(line)
    used = set(re.findall(r"\.L[\w.$]+", "\n".join(line for line in kept if not line.endswith(":"))))
    return "".join(f"{line}\n" for line in kept
                   if not (line.startswith(".L") and line.endswith(":") and line[:-1] not in used))


def comment_mark(text: str) -> str:
    """What begins a comment: `//` in AArch64's assembly as clang prints it, `#` in x86-64's."""
    return "//" if re.search(r"^\s+\.(?:arch|xword|hword|word)\b|\t// |^// %bb", text, re.MULTILINE) else "#"


def _plain(line: str, mark: str) -> str:
    """A line without comment and needless blanks; strings keep theirs."""
    parts, at = [], 0
    for string in re.finditer(r'"(?:[^"\\]|\\.)*"', line):
        before = line[at : string.start()]
        if mark in before:
            break
        parts += [re.sub(r"\s+", " ", before), string.group()]
        at = string.end()
    parts.append(re.sub(r"\s+", " ", line[at:].partition(mark)[0]))
    return "".join(parts).strip()


# --- listings ----------------------------------------------------------------------------------------------------

_FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$", re.MULTILINE)
_LINE = re.compile(r"^\s*([0-9a-f]+):\s+(.*)$")
_TARGET = re.compile(r"(?<![\w(])(?:0x)?([0-9a-f]+) <([^<>+]+)(?:\+0x([0-9a-f]+))?>")
_ADDRESS = re.compile(r"[ \t]#[ \t](0x[0-9a-f]+)$")
_COMMENT = re.compile(r"[ \t]+(?:#|//)[ \t].*$")
_SYMBOL = re.compile(r"[ \t]+(?:#|//) 0x[0-9a-f]+ <([^<>]+)>$")


def functions_of(dump: str) -> dict[str, str]:
    """What `llvm-objdump -d --no-show-raw-insn` prints, by function, each with its first line."""
    found: dict[str, str] = {}
    heads = list(_FUNCTION.finditer(dump))
    for head, following in zip_longest(heads, heads[1:]):
        body = dump[head.start() : following.start() if following else len(dump)]
        found[head[1]] = body.partition("\n\n")[0].rstrip("\n") + "\n"
    return found


def compact_listing(text: str) -> str:
    """A function of a listing without addresses: labels where jumps go, names where calls and data are named.

    `jmp 0x13ad <f+0x29>` becomes `jmp L1`; `callq 0x1410 <printf@plt>` becomes `callq printf@plt`; the symbol behind
    `0x21b1(%rip)  # 0x3540 <cnt>` stands in its place, and the address of what has no symbol. Comments go.
    """
    text = re.sub(r"\n\s+(?=(?:#|//) )", " ", text)  # a second comment has a line of its own
    head = _FUNCTION.match(text)
    name = head[1] if head else ""
    lines = [(int(match[1], 16), match[2]) for line in text.splitlines() if (match := _LINE.match(line))]
    places = {address for address, _ in lines}
    targets: set[int] = set()
    for _, line in lines:
        for match in _TARGET.finditer(line):
            if match[2] == name and int(match[1], 16) in places and not _SYMBOL.search(line):
                targets.add(int(match[1], 16))
    labels = {address: f"L{number}" for number, address in enumerate(sorted(targets))}

    def replace(match: re.Match[str]) -> str:
        label = labels.get(int(match[1], 16)) if match[2] == name else None
        return label or (match[2] if match[3] is None else f"{match[2]}+{int(match[3], 16)}")

    out = [f"{name}:"] if head else []
    for place, line in lines:
        if place in labels:
            out.append(f"{labels[place]}:")
        symbol = _SYMBOL.search(line)
        if symbol:
            line = re.sub(r"-?(?:0x)?[0-9a-f]+\(%rip\)", lambda _, name=symbol[1]: f"{name}(%rip)",
                          line[: symbol.start()], count=1)
        else:
            address = _ADDRESS.search(line)
            if address:
                line = re.sub(r"-?(?:0x)?[0-9a-f]*\(%rip\)", f"{address[1]}(%rip)", line, count=1)
            line = _TARGET.sub(replace, line)
        line = _COMMENT.sub("", line)
        out.append(re.sub(r"\s+", " ", line).strip())
    return "\n".join(out) + "\n"
