"""The passes that the libLLVM in use knows: level, parameters, trust tier and why.

LLVM's C API lists no passes. Every lower-case string in the library is tried as a pass name, in a child process:
the text `NAME,no-such-pass` fails on its second element exactly when the first is a pass, and nothing is run.
The answer is kept in the cache folder, keyed by the library's path, size and time.

The rule for tiers (`tier_of_pass`), from trust.toml and from the evidence of our campaigns, first match wins:

    experimental  trust.toml suspects the pass and says why
    experimental  a trial in which the compiled program misbehaved is attributed to the pass
    production    LLVM 17's own -O1 to -Oz pipelines run it
    experimental  a trial in which LLVM crashed or hung is attributed to it
    extended      at least 300 trials in which it changed code, in at least 30 programs: with no failure in 300, at most
                  1 % of such trials fail, at 95 % confidence (the rule of three)
    experimental  there is less evidence than that

Evidence of one LLVM says nothing about another: with a library of another version than the table's no pass is extended,
and no failure counts. What a failing list is attributed to is said in `validation.campaign`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
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


MINIMUM_CHANGED = 300
"""Trials that changed code without a failure, before a pass that no pipeline of LLVM's runs is trusted."""

MINIMUM_PROGRAMS = 30
"""Programs in which those trials changed code."""

MISCOMPILED = frozenset({"wrong", "crashed", "hung"})
"""Verdicts on what the compiled program did; the other failures end in the compiler, and no object comes of them."""


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
class Example:
    """A failing trial: the program, the candidate as texts, and what became of it."""

    program: str
    passes: str
    verdict: str
    codegen_options: tuple[str, ...] = ()
    pass_options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What campaigns found about a pass, an option or a list.

    A trial is one list on one program. changed: trials whose object differed from the one without what is on trial (for
    a list: from that of -Oz). programs_changed: programs of those. failures: trials by verdict, attributed ones only.
    """

    lists: int = 0
    programs: int = 0
    trials: int = 0
    changed: int = 0
    programs_changed: int = 0
    failures: tuple[tuple[str, int], ...] = ()
    example: Example | None = None

    @property
    def miscompiles(self) -> int:
        """Trials in which the compiled program misbehaved."""
        return sum(count for verdict, count in self.failures if verdict in MISCOMPILED)

    @property
    def failed(self) -> int:
        return sum(count for _, count in self.failures)

    @staticmethod
    def from_json(record: dict[str, Any]) -> Evidence:
        example = record.get("example")
        return Evidence(
            record["lists"], record["programs"], record["trials"], record["changed"], record["programs_changed"],
            tuple(sorted(record.get("failures", {}).items())),
            None if example is None else Example(
                example["program"], example["passes"], example["verdict"],
                tuple(example.get("codegen_options", ())), tuple(example.get("pass_options", ()))))


@dataclass(frozen=True, slots=True)
class PassInfo:
    """A pass: the innermost manager it runs in, whether it takes `<…>`, whether it can change code, its tier and why,
    and the evidence for that; None when there is none for this version of LLVM.
    """

    name: str
    level: str
    parametrised: bool
    transforms: bool
    tier: Tier
    reason: str
    evidence: Evidence | None = None


def tier_of_pass(run_by: str | None, suspected: str | None, evidence: Evidence | None) -> tuple[Tier, str]:
    """The tier and the reason for it: the rule at the top of this file.

    run_by: the levels of LLVM's own pipelines that run the pass; suspected: what trust.toml has against it.
    """
    seen = evidence or Evidence()
    if suspected is not None:
        return Tier.EXPERIMENTAL, suspected
    if seen.miscompiles:
        return Tier.EXPERIMENTAL, f"miscompiles: {_failures(seen)}"
    if run_by is not None:
        return Tier.PRODUCTION, f"run by {run_by}"
    if seen.failed:
        return Tier.EXPERIMENTAL, f"LLVM does not survive it: {_failures(seen)}"
    if seen.changed >= MINIMUM_CHANGED and seen.programs_changed >= MINIMUM_PROGRAMS:
        return Tier.EXTENDED, (f"no failure in {seen.changed:,} trials that changed code, in {seen.programs_changed} "
                               "programs")
    return Tier.EXPERIMENTAL, (
        f"too little evidence: {seen.changed:,} trials that changed code, in {seen.programs_changed} programs "
        f"({MINIMUM_CHANGED} in {MINIMUM_PROGRAMS} are wanted)")


def _failures(evidence: Evidence) -> str:
    counts = ", ".join(f"{count:,} {verdict.replace('_', ' ')}" for verdict, count in evidence.failures)
    text = f"{counts} of {evidence.trials:,} trials"
    return f"{text}, such as {evidence.example.program}" if evidence.example else text


class Registry:
    """Passes of one library."""

    def __init__(
        self, version: str, levels: dict[str, str], parametrised: frozenset[str],
        evidence: Mapping[str, Evidence] | None = None,
    ) -> None:
        """`evidence`, by pass, is about this very version; without it the package's own table is read."""
        self.version = version
        self._levels = levels
        known = evidence_for(version) if evidence is None else evidence
        run_by, suspected = trusted()
        self._passes: dict[str, PassInfo] = {}
        for name, level in sorted(levels.items()):
            transforms = not _NOT_TRANSFORMING.match(name)
            if transforms or name in run_by or name in suspected:
                tier, reason = tier_of_pass(run_by.get(name), suspected.get(name), known.get(name))
            else:
                tier, reason = Tier.EXPERIMENTAL, "does not transform code, so there is nothing to try"
            self._passes[name] = PassInfo(name, level, name in parametrised, transforms, tier, reason, known.get(name))

    def __len__(self) -> int:
        return len(self._passes)

    def __hash__(self) -> int:
        return hash((self.version, len(self._levels)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Registry) and (self.version, self._passes) == (other.version, other._passes)

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
    run_by, suspected = trusted()
    return sorted({*run_by, *suspected})


@lru_cache(maxsize=1)
def trusted() -> tuple[dict[str, str], dict[str, str]]:
    """What trust.toml says: pass -> the levels of LLVM's pipelines that run it, and pass -> what is held against it."""
    trust = tomllib.loads(resources.files("llm_compiler.data").joinpath("trust.toml").read_text())
    return {name: where for where, names in trust["production"].items() for name in names}, trust["suspected"]


@lru_cache(maxsize=2)
def evidence_for(version: str) -> Mapping[str, Evidence]:
    """The package's evidence by pass; empty when it was gathered with another version of LLVM."""
    table = json.loads(resources.files("llm_compiler.data").joinpath("evidence.json").read_text())
    if table["llvm"] != version:
        return {}
    return {name: Evidence.from_json(record) for name, record in table["passes"].items()}


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
