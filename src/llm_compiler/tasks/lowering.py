"""How code of a corpus is read and lowered: x86-64 in the LLVM worker, AArch64 by clang."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from llm_compiler.errors import CompileError, InputError, ToolchainError
from llm_compiler.llvm import frontend, library, registry
from llm_compiler.llvm.module import Context, Module
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.target import AARCH64, Lowering, Profile, TargetMachine, lowering_of
from llm_compiler.tasks.compact import LAYOUTS

_ALWAYS = "wchar_size"  # a module flag that clang always writes
_X86_ONLY = re.compile(r"x86_fp80|x86_mmx|x86_amx|@llvm\.x86\.|\bx86_\w+cc\b|^module asm|\bcc \d+\b|"
                       r'\basm (?:sideeffect |alignstack |inteldialect |unwind )*"', re.MULTILINE)
_X86_ATTRIBUTE = re.compile(r'"(?:target-cpu|target-features|tune-cpu|min-legal-vector-width|prefer-vector-width)"='
                            r'"[^"]*" ?')
_INPUTS_A_CLANG = 32


# --- in the LLVM worker ------------------------------------------------------------------------------------------


@lru_cache(maxsize=8)
def machine(lowering: Lowering) -> TargetMachine:
    """A target machine of this process, which comments assembly as clang does. It is kept: no option of LLVM's is ever
    set in workers that make datasets.
    """
    made = TargetMachine(library.load(), lowering)
    library.load().LLVMSetTargetMachineAsmVerbosity(made.handle, 1)
    return made


def lowering_for(module: Module, profile: Profile) -> Lowering:
    """How a function or module of a corpus is lowered: as clang does at its flags.

    Functions are cut out without module flags; they are lowered as position-independent code, which is clang's default.
    Code that was compiled without it has flags, but no PIC Level.
    """
    lowering = lowering_of(module, profile)
    return replace(lowering, relocation=2) if _bare(module) else lowering


def _bare(module: Module) -> bool:
    return all(module.flag(name) is None for name in ("PIC Level", "PIE Level", _ALWAYS))


def emit(module: Module, machine: TargetMachine, *, assembly: bool = False) -> bytes:
    """A module's object or assembly. One without flags is taken as part of an executable, as clang's default has it:
    LLVM would name every function twice (`.Lf$local`) otherwise. Its code is the same.
    """
    if _bare(module):
        module.add_flag("PIE Level", 2)
    return module.emit(machine.handle, assembly=assembly)


def executable(text: str) -> str:
    """IR text for another program to lower, with the flag that `emit` adds."""
    if "!llvm.module.flags" in text:
        return text
    return f'{text}\n!llvm.module.flags = !{{!1000000}}\n!1000000 = !{{i32 1, !"PIE Level", i32 2}}\n'


def normalise(data: bytes) -> bytes:
    """Bitcode without value names, verified. Raises InputError."""
    with Context(library.load()) as context:
        module = context.parse(data)
        broken = module.verify()
        if broken:
            raise InputError(f"LLVM's verifier refuses it: {broken.splitlines()[0]}")
        return module.bitcode()


@lru_cache(maxsize=1)
def oz_text() -> str:
    return str(oz_pipeline(registry.load()))


def text_of(bitcode: bytes) -> str:
    with Context(library.load()) as context:
        return clean(context.parse(bitcode).text())


def clean(text: str) -> str:
    """IR text without the names of files: they are ours, not the program's."""
    return re.sub(r"\A; ModuleID = .*\n(?:source_filename = .*\n)?", "", text)


# --- AArch64 -----------------------------------------------------------------------------------------------------


def retarget(text: str) -> str | None:
    """x86-64 IR text made one for AArch64; None when it holds what only x86-64 has.

    Data layout, triple and target attributes are replaced; how arguments are passed in structs stays x86-64's.
    """
    if _X86_ONLY.search(text):
        return None
    text = re.sub(r'^target datalayout = .*$', f'target datalayout = "{LAYOUTS[AARCH64]}"', text, flags=re.MULTILINE)
    text = re.sub(r'^target triple = .*$', f'target triple = "{AARCH64}"', text, flags=re.MULTILINE)
    return _X86_ATTRIBUTE.sub("", text)


def aarch64_clang() -> frontend.Clang | None:
    """The clang that lowers for AArch64; None when it is not installed."""
    try:
        return frontend.clang_for(AARCH64)
    except ToolchainError:
        return None


def clang_batch(clang: frontend.Clang, inputs: Sequence[bytes | str], flags: Sequence[str], suffix: str,
                seconds: float = 120.0) -> list[bytes | None]:
    """What clang makes of IR texts with `flags`, several a call; None for those that it refuses.

    suffix: of the outputs: `.s`, `.o` or `.ll`, as the flags say.
    """
    out: list[bytes | None] = []
    for start in range(0, len(inputs), _INPUTS_A_CLANG):
        chunk = inputs[start : start + _INPUTS_A_CLANG]
        with tempfile.TemporaryDirectory(prefix="clang-") as name:
            folder = Path(name)
            for number, data in enumerate(chunk):
                (folder / f"in{number}.txt").write_bytes(data.encode() if isinstance(data, str) else data)
            command = [*clang.command, *clang.target_flags, *flags, "-w", "-x", "ir",
                       *(f"in{number}.txt" for number in range(len(chunk)))]
            try:
                # Its exit code says that one input failed, not which: the outputs do.
                subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, timeout=seconds, check=False)
            except subprocess.TimeoutExpired:
                if len(chunk) > 1:
                    for data in chunk:
                        out += clang_batch(clang, [data], flags, suffix, seconds)
                    continue
            except OSError as error:
                raise CompileError(f"cannot run {clang.name}: {error.strerror}") from error
            for number in range(len(chunk)):
                path = folder / f"in{number}{suffix}"
                out.append(path.read_bytes() if path.exists() else None)
    return out
