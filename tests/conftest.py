"""What every test gets: a cache of its own, no LLMC_* setting from outside, and the clang of this environment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_compiler.llvm.frontend import find_clang


@pytest.fixture(scope="session", autouse=True)
def private_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """LLMC_CACHE for the session: the registry is read once, the results of the machine's user are not touched."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith("LLMC_") and name != "LLMC_LIBLLVM":
                patch.delenv(name)
        patch.setenv("LLMC_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def clang(private_cache: Path) -> str:
    """The path of clang."""
    found = find_clang()
    if found is None:
        pytest.skip("there is no clang")
    return str(found)
