"""The passes that the libLLVM in use knows: level, parameters, trust tier and why.

LLVM's C API lists no passes. Every lower-case string in the library is tried as a pass name, in a child process:
the text `NAME,no-such-pass` fails on its second element exactly when the first is a pass, and nothing is run.
The answer is kept in the cache folder, keyed by the library's path, size and time.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from importlib import resources
from typing import Any

from llm_compiler.errors import PipelineError, ToolchainError
from llm_compiler.llvm import library
from llm_compiler.llvm.library import Library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.pipeline import ADAPTORS, PassList
from llm_compiler.paths import cache_folder, write_atomically

# Innermost first: the text of an outer level takes passes of the inner ones too, and wraps them itself.
_PROBES = {
    "loop": "function(loop({},no-such-pass))",
    "function": "function({},no-such-pass)",
    "cgscc": "cgscc({},no-such-pass)",
    "module": "module({},no-such-pass)",
}
_NEED_MEMORY_SSA = frozenset({"licm", "lnicm"})  # PassBuilder.cpp, parseFunctionPass
_EMPTY_MODULE = b'target triple = "x86_64-unknown-linux-gnu"\n'
# Names that look at the module, print it, or check it, and change nothing a candidate could want.
_NOT_TRANSFORMING = re.compile(
    r"(print|dot|view|verify|invalidate|require|lint|debugify|check-|no-op|trigger-|instrument|count-visits|"
    r"annotation-remarks|transform-warning|opt-remark|aa-eval|helloworld|da$|domtree|.*-printer|write-|instnamer|"
    r"metarenamer|strip|canonicalize-aliases|name-anon-globals|embed-bitcode|extract-blocks|pgo-|sample-profile|"
    r"insert-gcov|memprof|asan|hwasan|msan|tsan|dfsan|kcfi|sancov|poison-checking|bounds-checking|"
    r"redundant-dbg|make-guards|guard-widening|place-safepoints|rewrite-statepoints|chr$|synthetic-counts|"
    r"cross-dso|cg-profile|attributor-light|internalize|print-|pseudo-probe|tlshoist|ee-instrument)"
)


class Tier(IntEnum):
    """How far a pass is trusted. A search uses its own tier and the ones below it."""

    PRODUCTION = 0
    EXTENDED = 1
    EXPERIMENTAL = 2

    @staticmethod
    def parse(text: str) -> Tier:
        try:
            return Tier[text.upper()]
        except KeyError:
            raise PipelineError(f"unknown trust tier '{text}'; use production, extended or experimental") from None

    def __str__(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class PassInfo:
    """A pass: the innermost manager it runs in, whether it takes `<…>`, and whether it can change code."""

    name: str
    level: str
    parametrised: bool
    transforms: bool
    tier: Tier
    reason: str


class Registry:
    """Passes of one library."""

    def __init__(self, version: str, levels: dict[str, str], parametrised: frozenset[str]) -> None:
        self.version = version
        self._levels = levels
        trust = _trust()
        production: dict[str, str] = {name: where for where, names in trust["production"].items() for name in names}
        experimental: dict[str, str] = trust["experimental"]
        self._passes: dict[str, PassInfo] = {}
        for name, level in sorted(levels.items()):
            if name in experimental:
                tier, reason = Tier.EXPERIMENTAL, experimental[name]
            elif name in production:
                tier, reason = Tier.PRODUCTION, f"run by {production[name]}"
            else:
                tier, reason = Tier.EXTENDED, "in the library, but no default pipeline runs it"
            transforms = not _NOT_TRANSFORMING.match(name)
            self._passes[name] = PassInfo(name, level, name in parametrised, transforms, tier, reason)

    def __len__(self) -> int:
        return len(self._passes)

    def __hash__(self) -> int:
        return hash((self.version, len(self._levels)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registry) and (self.version, self._levels) == (other.version, other._levels)

    def get(self, name: str) -> PassInfo | None:
        return self._passes.get(name)

    def level(self, name: str) -> str | None:
        """The level of a pass, None when the library does not know it; pipelines such as `default` are at module
        level."""
        if name in ("default", "lto", "lto-pre-link", "thinlto", "thinlto-pre-link", "require", "invalidate"):
            return "module"
        return self._levels.get(name)

    def passes(self, tier: Tier = Tier.EXPERIMENTAL) -> Iterator[PassInfo]:
        """Passes of a tier and of the ones below it, by name."""
        return (info for info in self._passes.values() if info.tier <= tier)

    def tier_of(self, passes: PassList) -> Tier:
        """The least trusted tier in a list."""
        tiers = [info.tier for name in passes.names() if (info := self._passes.get(name)) is not None]
        return max(tiers, default=Tier.PRODUCTION)

    def validate(self, passes: PassList) -> None:
        """Raises PipelineError for a pass that the library does not know or that stands at the wrong level."""
        for item in passes.walk():
            if item.children or item.name in ADAPTORS:
                continue
            if self.level(item.name) is None:
                close = [name for name in self._levels if name.startswith(item.name[:4])][:3]
                hint = f"did you mean {' or '.join(close)}?" if close else "`llmc passes` lists them"
                raise PipelineError(f"LLVM {self.version} has no pass '{item.name}'; {hint}")
        if not passes.passes:
            return
        checked = _check_in_child(str(passes.canonical(self.level)))
        if checked is not None:
            raise PipelineError(f"LLVM {self.version} does not take the pass list: {checked}")


@lru_cache(maxsize=2)
def load(*, full: bool = False) -> Registry:
    """The registry of the library in use.

    Without `full` only the names in trust.toml are tried (0.1 s the first time): enough for the production tier.
    With it, every name in the library (5 s the first time). Raises ToolchainError when nothing can be read.
    """
    lib = library.load()
    names = sorted(lib.option_names()) if full else _trusted_names()
    stat = lib.path.stat()
    key = f"{lib.path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{','.join(names)}"
    file = cache_folder() / f"registry-{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    try:
        found = json.loads(file.read_text())
        return Registry(found["version"], found["levels"], frozenset(found["parametrised"]))
    except (OSError, ValueError, KeyError, TypeError):
        pass
    found = _in_child(lambda: _discover(lib, names))
    if not found or not found["levels"]:
        raise ToolchainError(f"the passes of {lib.path} could not be read; unset LLMC_LIBLLVM or name another library")
    write_atomically(file, json.dumps(found).encode(), required=False)
    return Registry(found["version"], found["levels"], frozenset(found["parametrised"]))


def _trusted_names() -> list[str]:
    trust = _trust()
    return sorted({name for names in trust["production"].values() for name in names} | set(trust["experimental"]))


@lru_cache(maxsize=1)
def _trust() -> dict[str, dict[str, Any]]:
    return tomllib.loads(resources.files("llm_compiler.data").joinpath("trust.toml").read_text())


def _discover(lib: Library, names: list[str]) -> dict[str, object]:
    levels: dict[str, str] = {}
    parametrised = []
    with Context(lib) as context:
        module = context.parse(_EMPTY_MODULE)

        def message(text: str) -> str:
            try:
                module.run_passes(text, None)
            except PipelineError as error:
                return str(error)
            return ""

        for name in names:
            # Alone and followed by nonsense: the message names the first element that is not known.
            if f"'{name}'" in message(f"{name},no-such-pass"):
                continue
            for level, probe in _PROBES.items():
                said = message(probe.format(name))
                if "no-such-pass" in said and f"'{name}'" not in said:
                    levels[name] = "loop-mssa" if name in _NEED_MEMORY_SSA else level
                    if "pass parameter" in message(probe.format(f"{name}<no-such-parameter>")):
                        parametrised.append(name)
                    break
    return {"version": lib.version_text, "levels": levels, "parametrised": parametrised}


def _check_in_child(text: str) -> str | None:
    """What LLVM says against a pass list; None when nothing."""

    def check() -> str:
        lib = library.load()
        with Context(lib) as context:
            try:
                # The unknown element at the end keeps LLVM from running anything.
                context.parse(_EMPTY_MODULE).run_passes(f"{text},no-such-pass", None)
            except PipelineError as error:
                said = str(error)
                return "" if "no-such-pass" in said else said
        return ""

    said: str | None = _in_child(check)
    return "it dies on it" if said is None else said or None


def _in_child(task: Callable[[], Any]) -> Any:
    """What `task` returns when it runs in a forked child, by way of JSON; None when the child dies."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(read)
            null = os.open(os.devnull, os.O_RDWR)
            os.dup2(null, 1)
            os.dup2(null, 2)
            with os.fdopen(write, "w") as out:
                json.dump(task(), out)
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as source:
        text = source.read()
    os.waitpid(pid, 0)
    try:
        return json.loads(text)
    except ValueError:
        return None
