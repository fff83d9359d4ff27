"""`llmc passes`: what the libLLVM in use can run, how far it is trusted, and on what evidence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_compiler.errors import PipelineError

if TYPE_CHECKING:
    from llm_compiler.llvm.registry import PassInfo


def passes(
    name: Annotated[str | None, typer.Argument(
        metavar="NAME", show_default=False, help="Only this pass, with its evidence.")] = None,
    trust: Annotated[str, typer.Option(
        metavar="TIER", help="Only passes of this tier and of the ones above it in trust.")] = "experimental",
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a pass.")] = False,
) -> int:
    """List LLVM's passes and how far they are trusted.

    Each with its level, whether it takes parameters, its trust tier and the reason for it. With NAME also what
    campaigns found: trials, programs, failures, the smallest failing example and how to repeat it.
    """
    from llm_compiler.llvm import registry

    tier = registry.Tier.parse(trust)
    known = registry.load(full=True)
    found = list(known.passes(tier))
    if name is not None:
        found = [info for info in known.passes() if info.name == name]
        if not found:
            close = [info.name for info in known.passes() if name[:4] and info.name.startswith(name[:4])][:3]
            hint = f"did you mean {' or '.join(close)}?" if close else "`llmc passes` lists them"
            raise PipelineError(f"LLVM {known.version} has no pass '{name}'; {hint}")
    for info in found:
        if json_lines:
            print(json.dumps(_record(info, known.version)))
        else:
            print(_plain(info))
            if name is not None:
                print(_detail(info, known.version))
    return 0


def _parameters(info: PassInfo) -> list[str]:
    from llm_compiler.tuning.space import PARAMETERS

    return [text for text in PARAMETERS.get(info.name, ()) if text]


def _record(info: PassInfo, version: str) -> dict[str, Any]:
    from llm_compiler.evidence.table import repeat, to_json

    evidence = None
    if info.evidence is not None:
        evidence = {"llvm": version, **to_json(info.evidence)}
        if info.evidence.example is not None:
            evidence["repeat"] = repeat(info.evidence.example)
    return {"name": info.name, "level": info.level, "parametrised": info.parametrised,
            "parameters_searched": _parameters(info), "transforms": info.transforms, "tier": str(info.tier),
            "reason": info.reason, "evidence": evidence}


def _plain(info: PassInfo) -> str:
    spelled = f"{info.name}<…>" if info.parametrised else info.name
    return f"{spelled:36} {info.level:10} {info.tier!s:13} {info.reason}"


def _detail(info: PassInfo, version: str) -> str:
    from llm_compiler.evidence.table import repeat

    evidence = info.evidence
    if evidence is None:
        return f"  no trials with LLVM {version}"
    lines = [f"trials with LLVM {version}: {evidence.trials:,}, of {evidence.lists:,} lists on {evidence.programs:,} "
             f"programs; {evidence.changed:,} changed code, in {evidence.programs_changed:,} programs"]
    failures = ", ".join(f"{count:,} {verdict.replace('_', ' ')}" for verdict, count in evidence.failures)
    lines.append(f"failures: {failures or 'none'}")
    if evidence.example is not None:
        lines += [f"smallest example: {evidence.example.program}, {evidence.example.verdict.replace('_', ' ')}",
                  f"repeat it: {repeat(evidence.example)}"]
    return "\n".join(f"  {line}" for line in lines)

