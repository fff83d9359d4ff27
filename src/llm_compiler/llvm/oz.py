"""clang -Oz written out as a pass list, fitted to the library in use."""

from __future__ import annotations

from functools import lru_cache
from importlib import resources

from llm_compiler.errors import PipelineError
from llm_compiler.llvm.pipeline import Pass, PassList
from llm_compiler.llvm.registry import Registry


@lru_cache(maxsize=4)
def oz_pipeline(registry: Registry) -> PassList:
    """clang -Oz written out for LLVM 17; what another version does not know is left out."""
    text = resources.files("llm_compiler.data").joinpath("oz-17.txt").read_text()
    return known_to(PassList.parse(text), registry)


def known_to(passes: PassList, registry: Registry) -> PassList:
    """A pass list without what the library in use does not know."""
    return PassList(_known(passes.passes, registry))


def _known(items: tuple[Pass, ...], registry: Registry) -> tuple[Pass, ...]:
    kept = []
    for item in items:
        if item.children:
            children = _known(item.children, registry)
            if children:
                kept.append(Pass(item.name, item.parameters, children))
        elif registry.level(item.name) is not None:
            kept.append(item if _takes(registry, item) else Pass(item.name))
    return tuple(kept)


@lru_cache(maxsize=512)
def _takes(registry: Registry, item: Pass) -> bool:
    """Whether the library takes the parameters; their spelling changes between versions."""
    if item.parameters is None or item.name in ("require", "invalidate") or registry.version.startswith("17."):
        return True
    try:
        registry.validate(PassList((item,)))
    except PipelineError:
        return False
    return True
