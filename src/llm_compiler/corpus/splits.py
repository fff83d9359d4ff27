"""Which split a source package belongs to: whole packages, so that nothing of a test package is ever trained on."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from llm_compiler.corpus.schema import TEST, TRAIN, VALIDATION
from llm_compiler.errors import InputError

ORDER = (TEST, VALIDATION, TRAIN)  # of precedence: what is in one is left out of those after it
_PERCENT = {TEST: 5, VALIDATION: 5}

# The packages that the project's benchmarks hold out (benchmarks/sources.py): always test.
HELD_OUT = ("box2d", "brotli", "file", "flac", "giflib", "grep", "libxml2", "lua5.4", "mbedtls", "opus", "re2",
            "yaml-cpp", "zlib")


# Small packages of several kinds, so that a corpus of the core set has a validation split whatever their hashes say.
VALIDATING = ("hunspell", "libsodium", "tcpdump", "tmux", "unbound")


@dataclass(frozen=True)
class Splits:
    """assigned: split by family, beyond the rule."""

    assigned: Mapping[str, str] = field(default_factory=lambda: {
        family(name): split for split, names in ((TEST, HELD_OUT), (VALIDATION, VALIDATING)) for name in names})

    @classmethod
    def load(cls, table: Path | None = None) -> Self:
        """The rule, and a TOML file's word where it differs: `test = ["curl"]`, `validation = […]`, `train = […]`.

        A package stands for its family. Raises InputError.
        """
        rule = cls()
        if table is None:
            return rule
        try:
            content = tomllib.loads(table.read_text())
        except OSError as error:
            raise InputError(f"cannot read {table}: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{table} is no TOML file: {error}") from error
        assigned = dict(rule.assigned)
        named: dict[str, str] = {}
        for split, packages in content.items():
            if split not in ORDER or not isinstance(packages, list) or not all(isinstance(x, str) for x in packages):
                raise InputError(f"{table}: write lists of packages named test, validation, train; '{split}' is none")
            for package in packages:
                if named.setdefault(family(package), split) != split:
                    raise InputError(f"{table}: {package} is in {named[family(package)]} and in {split} (packages that "
                                     "differ in a version only count as one)")
        return cls({**assigned, **named})

    def of(self, package: str) -> str:
        """train, validation or test."""
        name = family(package)
        if name in self.assigned:
            return self.assigned[name]
        at = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") % 100
        for split, percent in _PERCENT.items():
            if at < percent:
                return split
            at -= percent
        return TRAIN


def family(package: str) -> str:
    """The name without what tells versions apart: lua5.3 and lua5.4, postgresql-15, gtk+3.0, llvm-toolchain-16."""
    return re.sub(r"[-_.+]*\d[-_.\d]*$", "", package) or package
