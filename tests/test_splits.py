"""Which split a package falls into."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import pytest

from llm_compiler.corpus.schema import TEST, TRAIN, VALIDATION
from llm_compiler.corpus.splits import HELD_OUT, Splits, family
from llm_compiler.errors import InputError


@pytest.mark.parametrize(("package", "expected"), [
    ("lua5.3", "lua"), ("lua5.4", "lua"), ("postgresql-15", "postgresql"), ("llvm-toolchain-16", "llvm-toolchain"),
    ("gtk+3.0", "gtk"), ("gtk4", "gtk"), ("glib2.0", "glib"), ("libsdl2", "libsdl"), ("xz-utils", "xz-utils"),
    ("box2d", "box2d"), ("7zip", "7zip"), ("python3.11", "python"), ("libsigc++-2.0", "libsigc"), ("2048", "2048"),
    ("qt6-base", "qt6-base"),
])
def test_family(package: str, expected: str) -> None:
    assert family(package) == expected


def test_what_the_benchmarks_hold_out_is_test() -> None:
    sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
    try:
        from sources import SETS
    finally:
        sys.path.pop(0)
    assert sorted(SETS["held-out"]) == sorted(HELD_OUT)
    splits = Splits()
    assert {splits.of(name) for name in HELD_OUT} == {TEST}
    assert splits.of("lua5.1") == TEST


def test_the_rule_gives_each_its_share_and_never_changes() -> None:
    splits = Splits()
    counts = Counter(splits.of(f"package-{number}-x") for number in range(4000))
    assert 0.88 < counts[TRAIN] / 4000 < 0.92
    assert 0.035 < counts[TEST] / 4000 < 0.065
    assert 0.035 < counts[VALIDATION] / 4000 < 0.065
    # A change here would mix a published test set into training.
    known = {"curl": TRAIN, "nginx": TRAIN, "ncurses": TRAIN, "rsync": VALIDATION, "apache2": TEST, "prboom-plus": TEST}
    assert {name: splits.of(name) for name in known} == known


def test_a_table_overrides_the_rule(tmp_path: Path) -> None:
    table = tmp_path / "splits.toml"
    table.write_text('test = ["curl"]\ntrain = ["lua5.4"]\n')
    splits = Splits.load(table)
    assert splits.of("curl") == TEST
    assert splits.of("lua5.1") == TRAIN
    assert splits.of("zlib") == TEST


@pytest.mark.parametrize(("content", "message"), [
    ('tests = ["curl"]', "'tests' is none"),
    ("test = 3", "'test' is none"),
    ('test = ["lua5.3"]\ntrain = ["lua5.4"]', "lua5.4 is in test and in train"),
    ("test = [", "is no TOML file"),
])
def test_a_bad_table_is_named(tmp_path: Path, content: str, message: str) -> None:
    table = tmp_path / "splits.toml"
    table.write_text(content)
    with pytest.raises(InputError, match=message):
        Splits.load(table)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot read"):
        Splits.load(tmp_path / "none.toml")
