"""The data that the search starts from, read from the package and fitted to the library in use."""

from __future__ import annotations

import json
import tomllib
from functools import lru_cache
from importlib import resources
from typing import Any

from llm_compiler.llvm.oz import known_to
from llm_compiler.llvm.pipeline import FORCE_ATTRIBUTE, Candidate, PassList
from llm_compiler.llvm.registry import Registry, Tier


def _read(name: str) -> str:
    return resources.files("llm_compiler.data").joinpath(name).read_text()


@lru_cache(maxsize=1)
def _options() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = tomllib.loads(_read("options.toml"))["group"]
    return groups


def option_groups(kind: str, tier: Tier, arch: str) -> tuple[tuple[str, ...], ...]:
    """Groups of options of a kind (`codegen`, `pass`) that a tier opens, for an architecture."""
    return tuple(
        tuple(group["options"])
        for group in _options()
        if group["kind"] == kind
        and Tier.parse(group.get("tier", "production")) <= tier
        and not (arch != "x86_64" and any("x86" in option for option in group["options"]))
    )


def option_tier(option: str) -> Tier:
    """The tier of an option; one that the table does not name is experimental.

    Forcing `noinline` or `alwaysinline` is production: every pipeline runs forceattrs, and both leave behaviour alone.
    """
    if option.startswith(FORCE_ATTRIBUTE) and option.endswith((":noinline", ":alwaysinline")):
        return Tier.PRODUCTION
    for group in _options():
        if option in group["options"]:
            return Tier.parse(group.get("tier", "production"))
    return Tier.EXPERIMENTAL


def candidate_tier(candidate: Candidate, registry: Registry) -> Tier:
    """The least trusted tier of a candidate's passes and options."""
    options = (*candidate.codegen_options, *candidate.pass_options)
    return max([registry.tier_of(candidate.passes), *(option_tier(option) for option in options)])


def core_set(registry: Registry, tier: Tier, profile: str, arch: str, oz: PassList) -> tuple[Candidate, ...]:
    """The ranked core set of a profile, as far as the tier and the library allow it."""
    found = []
    allowed = {option for kind in ("codegen", "pass") for group in option_groups(kind, tier, arch) for option in group}
    for row in json.loads(_read("core-set.json")).get(profile, []):
        passes = known_to(PassList.parse(row["passes"]), registry) if row["passes"] else oz
        candidate = Candidate(
            passes,
            tuple(option for option in row["codegen_options"] if option in allowed),
            tuple(option for option in row["pass_options"] if option in allowed),
        )
        if registry.tier_of(passes) <= tier and candidate not in found:
            found.append(candidate)
    return tuple(found)


def head_start(tier: Tier, profile: str, arch: str) -> tuple[str, ...]:
    """The set of options that saves most in total on files that are not searched at all; empty when none is known."""
    allowed = {option for group in option_groups("codegen", tier, arch) for option in group}
    return tuple(option for option in json.loads(_read("core-set.json")).get(f"{profile}-head-start", ())
                 if option in allowed)
