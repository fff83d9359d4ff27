"""Source packages made here, built and recorded without a network."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from llm_compiler import cli
from llm_compiler.corpus import debian
from llm_compiler.corpus.archive import SourceError, TimeLimitError, check_hashes, field_of, licence_names, run
from llm_compiler.corpus.debian import Options, Recipe, build_packages, read_sets, totals
from llm_compiler.corpus.exclusion import Exclusion
from llm_compiler.corpus.recording import Report
from llm_compiler.corpus.schema import TEST
from llm_compiler.corpus.shards import read_shards
from llm_compiler.corpus.splits import HELD_OUT, Splits
from llm_compiler.errors import InputError

TOOLS = ("dpkg-source", "dpkg-architecture", "gcc", "make")
needs_dpkg = pytest.mark.skipif(any(shutil.which(tool) is None for tool in TOOLS), reason="no dpkg-dev, gcc or make")

CONTROL = """\
Source: {name}
Section: misc
Priority: optional
Maintainer: Nobody <nobody@example.org>
Standards-Version: 4.6.2

Package: {name}
Architecture: any
Description: test
"""
COPYRIGHT = "Format: x\n\nFiles: *\nCopyright: nobody\nLicense: MIT\n\nFiles: debian/*\nLicense: GPL-2+\n"
RULES = "#!/usr/bin/make -f\nbuild-arch:\n\t$(MAKE) CFLAGS='$(shell dpkg-buildflags --get CFLAGS)'\n"
SOURCES = {
    "Makefile": "all: one.o two.o\n\tcc -o prog one.o two.o\n%.o: %.c\n\t$(CC) $(CFLAGS) -c $<\n",
    "one.c": "int two(void);\nint main(void) { return two() - 2; }\n",
    "two.c": "int two(void) { return 2; }\n",
}


def source_package(folder: Path, name: str = "demo", **changed: str) -> Path:
    """A native source package; `changed` files (a__b for a/b, dots as _dot_) replace or join ours."""
    files = {**SOURCES, "debian/control": CONTROL.format(name=name), "debian/copyright": COPYRIGHT,
             "debian/rules": RULES, "debian/source/format": "3.0 (native)\n",
             "debian/changelog": f"{name} (1.5) unstable; urgency=low\n\n  * Test.\n\n"
                                 " -- Nobody <nobody@example.org>  Thu, 01 Jan 2026 00:00:00 +0000\n"}  # fmt: skip
    for key, text in changed.items():
        path = key.replace("__", "/").replace("_dot_", ".")
        if text:
            files[path] = text
        else:
            del files[path]
    tree = folder / f"{name}-1.5"
    for path, text in files.items():
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_text(text)
    (tree / "debian/rules").chmod(0o755)
    subprocess.run(["dpkg-source", "-b", tree.name], cwd=folder, check=True, capture_output=True)
    shutil.rmtree(tree)
    return folder / f"{name}_1.5.dsc"


def build(corpus: Path, dsc: Path, recipe: Recipe = Recipe(), **options: object) -> Report:
    words: list[str] = []
    found = Options(**{"time_limit": 60.0, **options})  # type: ignore[arg-type]
    [report] = build_packages({str(dsc): recipe}, corpus, found, archive=None, say=words.append)
    assert any(report.package in line for line in words)
    return report


def files_of(corpus: Path) -> list[str]:
    return [row["file"] for row in read_shards(corpus / "modules")]


@needs_dpkg
def test_a_package_is_built_and_recorded(tmp_path: Path) -> None:
    dsc, corpus = source_package(tmp_path), tmp_path / "corpus"
    report = build(corpus, dsc)
    assert report.failed == "" and report.how == ["debian/rules"]
    assert (report.package, report.version, report.licence) == ("demo", "1.5", "GPL-2+ AND MIT")
    assert report.commands == {"seen": 2, "captured": 2}
    assert files_of(corpus) == ["one.c", "two.c"]
    row = next(iter(read_shards(corpus / "modules")))
    assert not [flag for flag in row["flags"] if flag.startswith(("-O", "-g", "-fstack-protector", "-Wp,"))]
    assert report.parameters["dsc_sha256"] == hashlib.sha256(dsc.read_bytes()).hexdigest()
    assert not (corpus / "work/debian/demo/source").exists() and not (corpus / "work/debian/demo/record").exists()
    assert (corpus / "work/debian/demo/build.log").exists()


@needs_dpkg
def test_a_finished_package_is_passed_over_and_a_changed_recipe_is_not(tmp_path: Path) -> None:
    dsc, corpus = source_package(tmp_path), tmp_path / "corpus"
    build(corpus, dsc)
    shard = corpus / "modules" / "demo-000.parquet"
    written = shard.stat().st_mtime_ns
    assert build(corpus, dsc).commands["captured"] == 2
    assert shard.stat().st_mtime_ns == written
    # Without its report a package is not finished, whatever else is there.
    (corpus / "modules" / "demo.json").unlink()
    build(corpus, dsc)
    again = shard.stat().st_mtime_ns
    assert again > written
    assert build(corpus, dsc, Recipe(build="upstream")).how == ["upstream"]
    assert shard.stat().st_mtime_ns > again


@needs_dpkg
def test_a_wrong_hash_is_refused(tmp_path: Path) -> None:
    dsc, corpus = source_package(tmp_path), tmp_path / "corpus"
    archive = next(tmp_path.glob("demo_1.5.tar.*"))
    archive.write_bytes(archive.read_bytes() + b"\0")
    report = build(corpus, dsc)
    assert "has another hash" in report.failed and not list(corpus.glob("modules/*.parquet"))
    saved = Report.read(corpus / "modules", "demo")
    assert saved is not None and saved.failed == report.failed
    archive.unlink()
    with pytest.raises(SourceError, match="cannot be read"):
        check_hashes(dsc)
    dsc.write_text("Source: demo\n")
    with pytest.raises(SourceError, match="lists no SHA-256"):
        check_hashes(dsc)


@needs_dpkg
def test_upstream_is_built_where_the_rules_fail(tmp_path: Path) -> None:
    dsc = source_package(tmp_path, debian__rules="#!/usr/bin/make -f\nbuild-arch:\n\tno-such-helper\n")
    report = build(tmp_path / "corpus", dsc)
    assert report.how == ["debian/rules (not to its end)", "upstream"]
    assert report.commands == {"seen": 2, "captured": 2} and "failed with status" in report.notes[0]


@needs_dpkg
def test_cmake_is_an_upstream(tmp_path: Path) -> None:
    if shutil.which("cmake", path="/usr/bin:/bin") is None:
        pytest.skip("no cmake")
    dsc = source_package(tmp_path, Makefile="", CMakeLists_dot_txt="cmake_minimum_required(VERSION 3.5)\n"
                         "project(demo C)\nadd_executable(prog one.c two.c)\n")  # fmt: skip
    report = build(tmp_path / "corpus", dsc, Recipe(build="upstream"))
    assert report.how == ["upstream"] and report.commands["captured"] == report.commands["seen"] == 2


@needs_dpkg
def test_what_a_broken_build_left_is_compiled_file_by_file(tmp_path: Path) -> None:
    dsc, corpus = source_package(
        tmp_path, two_dot_c="#error not today\n", three_dot_c='#include "t.h"\nint three(void) { return T; }\n',
        include__t_dot_h="#define T 3\n",
    ), tmp_path / "corpus"  # fmt: skip
    report = build(corpus, dsc)
    assert report.how == ["debian/rules (not to its end)", "2 single files"]
    assert files_of(corpus) == ["one.c", "three.c"]
    # two.c was refused by the compiler in the build and failed alone.
    assert report.commands == {"seen": 3, "captured": 2, "failed": 1, "refused": 1}
    assert build(tmp_path / "other", dsc, single_files=False).commands["captured"] == 1


@needs_dpkg
def test_the_time_limit_keeps_what_was_captured_and_kills_the_rest(tmp_path: Path) -> None:
    marker = f"{300 + os.getpid() % 100}.25"
    dsc = source_package(tmp_path, Makefile=f"all: one.o\n\tsleep {marker} & sleep {marker}\n"
                         "one.o: one.c\n\tcc -c one.c\n")  # fmt: skip
    started, corpus = time.monotonic(), tmp_path / "corpus"
    report = build(corpus, dsc, time_limit=4.0)
    assert time.monotonic() - started < 30
    assert report.notes == ["debian/rules: the time limit was reached"] and report.commands["captured"] == 1
    assert not [path for path in Path("/proc").glob("[0-9]*/cmdline") if marker.encode() in _bytes(path)]
    shard = corpus / "modules" / "demo-000.parquet"
    written = shard.stat().st_mtime_ns
    build(corpus, dsc, time_limit=3.0)
    assert shard.stat().st_mtime_ns == written
    build(corpus, dsc, time_limit=5.0)  # more time than it had
    assert shard.stat().st_mtime_ns > written


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@needs_dpkg
def test_a_package_that_compiles_nothing_fails_by_name_and_the_run_goes_on(tmp_path: Path) -> None:
    empty = source_package(tmp_path, "empty", Makefile="all:\n", one_dot_c="", two_dot_c="")
    good, refused = source_package(tmp_path, "good"), source_package(tmp_path, "zlib")
    corpus = tmp_path / "corpus"
    wanted = dict.fromkeys(map(str, (empty, refused, tmp_path / "gone_1.dsc", good)), Recipe())
    reports = build_packages(wanted, corpus, Options(), archive=None, say=lambda _: None)
    assert [bool(report.failed) for report in reports] == [True, True, True, False]
    assert "nothing was captured" in reports[0].failed and "may not enter" in reports[1].failed
    assert "does not exist" in reports[2].failed
    assert totals(reports) == {"packages": 1, "failed": ["empty", "gone", "zlib"], "seen": 2, "captured": 2,
                               "share": 1.0, "modules": 2, "functions": 2}  # fmt: skip


@needs_dpkg
def test_a_full_disk_fails_the_package_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dsc, corpus = source_package(tmp_path), tmp_path / "corpus"
    with monkeypatch.context() as patched:
        patched.setattr(debian, "DISK_RESERVE", 1 << 60)
        report = build(corpus, dsc)
    assert "the disk is full" in report.failed
    assert build(corpus, dsc).failed == ""


@needs_dpkg
def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    first, second = source_package(tmp_path, "first"), source_package(
        tmp_path, "second", Makefile="all: one.o two.o\n\ttest -e /tmp/nowhere || touch ../begun && sleep 3\n"
        "%.o: %.c\n\tcc -c $<\n")  # fmt: skip
    corpus = tmp_path / "corpus"
    words = ["corpus", "debian", "--corpus", str(corpus), str(first), str(second)]
    command = [sys.executable, "-m", "llm_compiler", *words]
    with subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + 90
        while not (corpus / "work/debian/second/begun").exists():
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    assert (corpus / "modules/first.json").exists() and not (corpus / "modules/second.json").exists()
    assert not (corpus / "work/debian/second/source").exists()
    shard = (corpus / "modules/first-000.parquet").stat().st_mtime_ns
    assert cli.run(words) == 0
    assert (corpus / "modules/first-000.parquet").stat().st_mtime_ns == shard
    assert sorted(files_of(corpus)) == ["one.c", "one.c", "two.c", "two.c"]


@needs_dpkg
def test_the_command_prints_totals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dsc = source_package(tmp_path)
    assert cli.run(["corpus", "debian", "--json", "--corpus", str(tmp_path / "corpus"), str(dsc)]) == 0
    assert json.loads(capsys.readouterr().out)["modules"] == 2
    for words, message in ((["--time-limit", "soon", str(dsc)], "is no time"), (["--set", "no"], "no set no"),
                           ([], "name a package or a set")):  # fmt: skip
        assert cli.run(["corpus", "debian", "--corpus", str(tmp_path / "other"), *words]) == 2
        assert message in capsys.readouterr().err


@needs_dpkg
def test_an_unknown_package_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                       capsys: pytest.CaptureFixture[str]) -> None:
    programs, corpus = tmp_path / "bin", tmp_path / "corpus"
    programs.mkdir()
    (programs / "apt-get").write_text('#!/bin/sh\ncase "$*" in *update) exit 0;; esac\n'
                                      "echo 'E: Unable to find a source package for nosuch'; exit 100\n")
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    assert cli.run(["corpus", "debian", "nosuch", "--corpus", str(corpus)]) == 2
    assert "has no source package nosuch" in capsys.readouterr().err
    assert not list((corpus / "modules").iterdir())


def test_a_command_is_limited_and_its_end_is_told(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(SourceError, match="failed with status 3"):
        run(["sh", "-c", "echo told; exit 3"], cwd=tmp_path, log=log)
    assert "told" in log.read_text()
    with pytest.raises(TimeLimitError):
        run(["sleep", "60"], cwd=tmp_path, log=log, limit=0.2)
    with pytest.raises(SourceError, match="cannot be run"):
        run(["no-such-program"], cwd=tmp_path, log=log)


def test_fields_and_licences(tmp_path: Path) -> None:
    dsc = tmp_path / "a.dsc"
    dsc.write_text("Source: a\nVersion: 1.2-3\nChecksums-Sha256:\n aa 1 x\n bb 2 y\nFiles:\n cc 3 z\n")
    assert field_of(dsc, "Version") == "1.2-3" and field_of(dsc, "Nothing") == ""
    assert field_of(dsc, "Checksums-Sha256").split() == ["aa", "1", "x", "bb", "2", "y"]
    assert licence_names(tmp_path) == []


def test_the_package_list() -> None:
    sets = read_sets()
    names = [name for members in sets.values() for name in members]
    assert len(names) == len(set(names)) and len(sets["core"]) >= 90
    exclusion = Exclusion.load()
    assert [name for name in names if exclusion.package(name)] == []
    # What is held out is in a set of its own, and all of it is for tests.
    assert {name for name in names if Splits().of(name) == TEST and name in HELD_OUT} == set(sets["held-out"])
    assert set(sets["held-out"]) == {name for name in HELD_OUT if not exclusion.package(name)}
    kinds = {recipe.kind for members in sets.values() for recipe in members.values()}
    assert {"library", "tool", "server", "media", "crypto", "language", "game"} <= kinds
    assert all(recipe.build in ("rules", "upstream") for members in sets.values() for recipe in members.values())


def test_a_broken_package_list(tmp_path: Path) -> None:
    path = tmp_path / "list.toml"
    for text in ("[core", "[core]\na = { colour = 'red' }\n", "core = 3\n"):
        path.write_text(text)
        with pytest.raises(InputError, match="not a list of packages"):
            read_sets(path)
