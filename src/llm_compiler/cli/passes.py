"""`llmc passes`: what the libLLVM in use can run, and how far it is trusted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_compiler.errors import PipelineError

if TYPE_CHECKING:
    from llm_compiler.llvm.registry import PassInfo


def passes(
    name: Annotated[str | None, typer.Argument(
        metavar="NAME", show_default=False, help="Only this pass.")] = None,
    trust: Annotated[str, typer.Option(
        metavar="TIER", help="Only passes of this tier and of the ones above it in trust.")] = "experimental",
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a pass.")] = False,
) -> int:
    """List LLVM's passes and how far they are trusted.

    Each with its level, whether it takes parameters, its trust tier and the reason for it.
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
        print(json.dumps(_record(info)) if json_lines else _plain(info))
    return 0


def _parameters(info: PassInfo) -> list[str]:
    from llm_compiler.tuning.space import PARAMETERS

    return [text for text in PARAMETERS.get(info.name, ()) if text]


def _record(info: PassInfo) -> dict[str, Any]:
    return {"name": info.name, "level": info.level, "parametrised": info.parametrised,
            "parameters_searched": _parameters(info), "transforms": info.transforms, "tier": str(info.tier),
            "reason": info.reason}


def _plain(info: PassInfo) -> str:
    spelled = f"{info.name}<…>" if info.parametrised else info.name
    return f"{spelled:36} {info.level:10} {info.tier!s:13} {info.reason}"
