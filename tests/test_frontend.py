"""clang and this package agree: baseline, in-process lowering, the -Oz pipeline written out, other targets."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from llm_compiler.errors import CompileError, InputError, ToolchainError
from llm_compiler.llvm import frontend, registry
from llm_compiler.llvm.job import Job
from llm_compiler.llvm.objectfile import measure, read_sections
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.target import AARCH64, X86_64, Lowering, Profile
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.tuning.budget import Budget
from llm_compiler.tuning.result import TuningStatus
from llm_compiler.tuning.tuner import Tuner, TuningOptions
from samples import IR, PROGRAMS, TINY
from support import candidate, clang, inspected, measured, unoptimised, write_source

NAMES = sorted(PROGRAMS)


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1) as pool:
        yield pool


def plain_object(folder: Path, name: str, *flags: str) -> bytes:
    """What `clang -Oz -c` makes."""
    source = write_source(folder, name, PROGRAMS[name])
    output = folder / f"{name}.plain.o"
    clang(source).run([*flags, "-Oz", "-c", str(source), "-o", str(output)])
    return output.read_bytes()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flags", [(), ("-ffunction-sections", "-fno-pic", "-fno-asynchronous-unwind-tables")],
                         ids=["plain", "flags"])
def test_the_baseline_is_clangs_own_object(tmp_path: Path, name: str, flags: tuple[str, ...]) -> None:
    wanted = plain_object(tmp_path, name, *flags)
    options = TuningOptions(budget=Budget(evaluations=1), jobs=1, store=False, cflags=flags)
    with Tuner(options) as tuner:
        prepared = tuner._prepare(tmp_path / name, flags, None)
        from_ir = tuner._prepare(unoptimised(tmp_path, name, PROGRAMS[name], flags), flags, None)
    assert prepared.baseline_object == wanted
    assert prepared.baseline == measure(wanted)
    assert from_ir.baseline == measure(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_lowering_in_process_is_clangs(tmp_path: Path, pool: WorkerPool, name: str) -> None:
    wanted = plain_object(tmp_path, name)
    optimised = tmp_path / "optimised.bc"
    frontend.emit_optimised(clang(name), tmp_path / name, (), optimised)
    found = measured(pool, Job(optimised, candidate(), inspected(pool, optimised), keep_object=True))
    assert found.size is not None
    # LLVM's C API cannot ask for .init_array; its .ctors takes as much room.
    sections = tuple((section.replace(".ctors", ".init_array"), size) for section, size in found.size.sections)
    assert replace(found.size, sections=sections) == measure(wanted)
    again = tmp_path / "again.o"
    frontend.lower(clang(name), optimised, again, Profile.DEPLOY)
    assert again.read_bytes() == wanted


@pytest.mark.parametrize("flags", [("-fno-pic",), ("-mcmodel=medium",), ("-fPIC",)], ids=" ".join)
def test_lowering_follows_the_modules_flags(tmp_path: Path, pool: WorkerPool, flags: tuple[str, ...]) -> None:
    wanted = plain_object(tmp_path, "globals.c", *flags)
    optimised = tmp_path / "optimised.bc"
    frontend.emit_optimised(clang("a.c"), tmp_path / "globals.c", flags, optimised)
    assert measured(pool, Job(optimised, candidate(), inspected(pool, optimised))).size == measure(wanted)


def test_the_written_out_pipeline_is_clangs_oz(tmp_path: Path, pool: WorkerPool) -> None:
    oz = oz_pipeline(registry.load()).text
    equal = []
    for name in NAMES:
        source = unoptimised(tmp_path, name, PROGRAMS[name])
        found = measured(pool, Job(source, candidate(oz), inspected(pool, source))).size
        wanted = measure(plain_object(tmp_path, name))
        assert found is not None
        assert abs(found.total - wanted.total) <= 0.03 * wanted.total, name
        if found.total == wanted.total:
            equal.append(name)
    # Bitcode that is written in process forgets the order of uses, which moves a few bytes either way.
    assert len(equal) >= 5, equal


def test_the_paper_profile_lowers_at_level_0(tmp_path: Path, pool: WorkerPool) -> None:
    source = unoptimised(tmp_path, "crc.c", PROGRAMS["crc.c"])
    options = TuningOptions(budget=Budget(evaluations=1), profile=Profile.PAPER, jobs=1, store=False)
    with Tuner(options) as tuner:
        baseline = tuner._prepare(source, (), None).baseline
    optimised = tmp_path / "optimised.bc"
    frontend.emit_optimised(clang("a.c"), source, (), optimised)
    lowering = replace(inspected(pool, optimised), profile=Profile.PAPER)
    assert measured(pool, Job(optimised, candidate(), lowering)).size == baseline
    assert baseline.total > measure(plain_object(tmp_path, "crc.c")).total


# --- flags ---


@pytest.mark.parametrize(("given", "kept"), [
    ("", ""),
    ("-I include -Iother -DNAME -D NAME=1 -U X -isystem here -include a.h -std=c11 -Wall -w -O2 -Os -ansi", ""),
    ("-MD -MF deps -MT target -MMD -MP", ""),
    ("-fPIC -ffunction-sections -march=haswell -m32 -g -fno-exceptions -pthread",
     "-fPIC -ffunction-sections -march=haswell -m32 -g -fno-exceptions -pthread"),
    ("-mllvm -inline-threshold=3 -mcpu=native", "-mllvm -inline-threshold=3 -mcpu=native"),
    ("-x c++ -fno-rtti", "-fno-rtti"),
    ("-include-pch a.pch -fPIC", "-fPIC"),
    ("-MJ commands.json -fPIC", "-fPIC"),
    ("-cxx-isystem folder -iframework folder -ivfsoverlay file -iwithsysroot folder -fPIC", "-fPIC"),
    ("--sysroot folder --sysroot=folder -isysroot folder -fPIC", "-fPIC"),
    ("-Xpreprocessor -DX -Wp,-DY -Wno-all -pedantic-errors -fPIC", "-fPIC"),
    ("-mllvm -Wl -fPIC", "-mllvm -Wl -fPIC"),
    ("-Xclang -Imacro -fPIC", "-fPIC"),
    ("-Xclang -target-feature -Xclang +avx2 -fPIC", "-Xclang -target-feature -Xclang +avx2 -fPIC"),
    ("-Xclang -include -Xclang a.h -fPIC", "-fPIC"),
    ("-mllvm", "-mllvm"), ("-I", ""),
])
def test_lowering_flags(given: str, kept: str) -> None:
    assert frontend.lowering_flags(given.split()) == kept.split()


def test_lowering_arguments() -> None:
    words = frontend.lowering_arguments("in.bc", "out.o", Profile.DEPLOY, cflags=["-Ix", "-fPIC"],
                                        options=["-a", "-b=1"])
    assert words[:2] == ["-fPIC", "-Oz"] and words[-6:] == ["-c", "-x", "ir", "in.bc", "-o", "out.o"]
    assert words[words.index("-a") - 1] == words[words.index("-b=1") - 1] == "-mllvm"
    assert "-O0" in frontend.lowering_arguments("i", "o", Profile.PAPER)
    assert "-S" in frontend.lowering_arguments("i", "o", Profile.DEPLOY, assembly=True)


# --- what goes wrong ---


def test_clangs_complaints_are_kept(tmp_path: Path) -> None:
    source = write_source(tmp_path, "a.c", "int f(void) { return nothing; }\n#warning later\n")
    with pytest.raises(CompileError, match=r"a\.c:1:22: error: use of undeclared identifier 'nothing'") as caught:
        frontend.emit_unoptimised(clang(source), source, (), tmp_path / "a.bc")
    assert "nothing" in caught.value.diagnostics and "\n" not in str(caught.value)
    assert not (tmp_path / "a.bc").exists()
    with pytest.raises(CompileError, match=r"unknown argument|unsupported option"):
        frontend.emit_unoptimised(clang(source), source, ("-fno-such-flag",), tmp_path / "a.bc")


def test_a_program_that_is_no_clang(tmp_path: Path) -> None:
    with pytest.raises(ToolchainError, match="cannot run nowhere"):
        frontend.Clang((str(tmp_path / "nowhere"),)).run(["-c"])
    fake = write_source(tmp_path, "clang", "#!/bin/sh\nkill -9 $$\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(CompileError, match="killed by signal 9"):
        frontend.Clang((str(fake),)).run([])
    assert frontend.Clang((str(fake),)).version() == "does not run"
    slow = write_source(tmp_path, "slow", "#!/bin/sh\nexec sleep 30\n")
    slow.chmod(slow.stat().st_mode | stat.S_IXUSR)
    with pytest.raises(CompileError, match=r"took more than 0\.2 s"):
        frontend.Clang((str(slow),)).run([], timeout=0.2)


def test_no_clang_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMC_CLANG", str(tmp_path / "absent"))
    assert frontend.find_clang() is None
    frontend.clang_for.cache_clear()
    try:
        with pytest.raises(ToolchainError, match=r"no clang was found: .*LLMC_CLANG"):
            frontend.clang_for(X86_64)
    finally:
        frontend.clang_for.cache_clear()


def test_first_error() -> None:
    assert frontend.first_error("note: x\nclang: error: no input files\nmore", 1) == "error: no input files"
    assert frontend.first_error("just this\n", 1) == "just this"
    assert frontend.first_error("", 3) == "exit code 3" and frontend.first_error("", -11) == "killed by signal 11"


def test_check_readable(tmp_path: Path) -> None:
    empty = write_source(tmp_path, "empty.c", "")
    for path, message in ((tmp_path, "is a directory"), (tmp_path / "absent.c", "does not exist"), (empty, "is empty")):
        with pytest.raises(InputError, match=message):
            frontend.check_readable(path)
    frontend.check_readable(write_source(tmp_path, "a.c", TINY))
    locked = write_source(tmp_path, "locked.c", TINY)
    locked.chmod(0)
    if os.geteuid() != 0:
        with pytest.raises(InputError, match="cannot be read"):
            frontend.check_readable(locked)


def test_ir_text_is_lowered_as_clang_does(tmp_path: Path, pool: WorkerPool) -> None:
    source = write_source(tmp_path, "scale.ll", IR)
    output = tmp_path / "scale.o"
    clang(source).run(["-Oz", "-c", str(source), "-o", str(output)])
    found = measured(pool, Job(source, candidate("default<Oz>"), inspected(pool, source)))
    assert found.size == measure(output.read_bytes())


# --- another target ---


@pytest.fixture(scope="module")
def zig() -> frontend.Clang:
    pytest.importorskip("ziglang")
    return frontend.clang_for(AARCH64)


def test_zig_is_clang_17(zig: frontend.Clang) -> None:
    assert zig.name == "zig clang" and "clang version 17" in zig.version()


@pytest.mark.parametrize("name", ["interpreter.c", "strings.c", "constructors.cc", "exceptions.cc"])
def test_aarch64_objects(tmp_path: Path, zig: frontend.Clang, name: str) -> None:
    bitcode = unoptimised(tmp_path, name, PROGRAMS[name], triple=AARCH64)
    wanted, lowered, optimised = tmp_path / "plain.o", tmp_path / "lowered.o", tmp_path / "optimised.bc"
    driver = clang(name, AARCH64)
    driver.run(["-Oz", "-c", str(tmp_path / name), "-o", str(wanted)])
    frontend.emit_optimised(driver, bitcode, (), optimised)
    frontend.lower(driver, optimised, lowered, Profile.DEPLOY)
    assert measure(lowered.read_bytes()) == measure(wanted.read_bytes())
    assert wanted.read_bytes()[18] == 183  # EM_AARCH64
    assert any(section.executable for section in read_sections(wanted.read_bytes()))


def test_aarch64_is_tuned(tmp_path: Path, zig: frontend.Clang) -> None:
    source = write_source(tmp_path, "interpreter.c", PROGRAMS["interpreter.c"])
    results = []
    for jobs in (1, 2):
        options = TuningOptions(budget=Budget(evaluations=16), target="aarch64-linux-gnu", jobs=jobs, store=False)
        with Tuner(options) as tuner:
            results.append(tuner.tune(source))
    one, two = results
    assert one.status is not TuningStatus.FAILED, one.message
    assert one.target == AARCH64 and one.baseline is not None and one.best is not None
    assert one.best.bytes <= one.baseline.bytes
    assert one.object is not None and one.object[18] == 183
    assert (one.candidate, one.best, one.object) == (two.candidate, two.best, two.object)


def test_without_zig_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frontend, "find_zig", lambda: None)
    frontend.clang_for.cache_clear()
    try:
        with pytest.raises(ToolchainError, match=r"pip install 'llm-compiler\[aarch64\]'"):
            frontend.clang_for(AARCH64)
    finally:
        frontend.clang_for.cache_clear()


def test_the_target_of_an_object_is_known(tmp_path: Path) -> None:
    assert frontend.needs_external_lowering(Lowering(triple=AARCH64), ("X86",))
    assert not frontend.needs_external_lowering(Lowering(triple=AARCH64), ("X86", "AArch64"))
    assert not frontend.needs_external_lowering(Lowering(), ("X86",))
