"""Builds recorded in both modes: what is captured, and that the build notices nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")

from llm_compiler import cli
from llm_compiler.corpus import recording as recordings
from llm_compiler.corpus.capture import BESIDE, INSTEAD, dependency_flags, read_arguments
from llm_compiler.corpus.recording import Recording, Report, collect, record_command
from llm_compiler.corpus.schema import Origin
from llm_compiler.corpus.shards import read_shards
from llm_compiler.corpus.sources import IncludeGuess, add_paths
from llm_compiler.errors import InputError, StorageError
from llm_compiler.llvm.module import digest

needs_gcc = pytest.mark.skipif(shutil.which("gcc") is None or shutil.which("make") is None, reason="no gcc or no make")
ORIGIN = Origin("demo", "1.0", "MIT")

MAKEFILE = """\
OBJECTS = main.o shapes.o odd.o gnu.o
all: app tool lib/deep.o $(EXTRA)
app: $(OBJECTS)
\tc++ -o $@ $(OBJECTS)
main.o: main.c
\tcc -MD -MP -DNAME='"a b"' -g -O2 -Wall -flto -fno-lto -c main.c
shapes.o: shapes.cc
\tc++ @flags.txt -MD -MF deps/shapes.P -c -o $@ $<
odd.o: odd.c
\tcc -Wno-all -c odd.c -o odd.o
gnu.o: gnu.c
\tgcc -fno-tree-dominator-opts -fira-hoist-pressure --param max-inline-insns-auto=10 -c gnu.c
tool: two\\ words.c main.c
\tcc -DTOOL "two words.c" odd.c -o tool
lib/deep.o: lib/deep.c
\tcd lib && cc -I. -c deep.c
nested.o: nested.c
\tcc -c nested.c
probe:
\techo 'int main(void){return 0;}' > conftest.c; cc -c conftest.c -o conftest.o; rm conftest.c
\techo 'int main(void){return 0;}' > try.c; cc -c try.c; rm try.c
bad:
\tcc -c bad.c
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "my project"
    for name in ("lib", "deps"):
        (folder / name).mkdir(parents=True)
    texts: dict[str, str | bytes] = {
        "Makefile": MAKEFILE,
        "flags.txt": "-DWIDTH=3\n-I 'lib' -O1\n",
        "main.c": '#include "lib/deep.h"\nint area(int);\nint odd(void);int gnu(int);\n'
                  "int main(void) { return area(DEEP) + odd() + gnu(2); }\n",
        "shapes.cc": "#include <vector>\n#include <deep.h>\n"
                     'extern "C" int area(int n) { std::vector<int> v(WIDTH, n); int s = 0;\n'
                     "for (int x : v) s += x; return s - 3 * DEEP; }\n",
        "odd.c": b'const char *word = "\xe9\xff";\nint odd(void) { return word[0] == 0; } /* \xfc */\n',
        "gnu.c": "inline int half(int x) { return x / 2; }\nint gnu(int x) { return x - 2; }\n",
        "two words.c": "int odd(void);\nint main(void) { return odd(); }\n",
        "lib/deep.h": "#define DEEP 7\n",
        "lib/deep.c": '#include "deep.h"\nint deep(int x) { return x * DEEP; }\n',
        "nested.c": "int f(int a) { int g(int b) { return a + b; } return g(1); }\n",  # gcc's, not clang's
        "bad.c": "int f( {\n",
    }  # fmt: skip
    for name, text in texts.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def make(recording: Recording, folder: Path, mode: str, *words: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if name not in ("CC", "CXX")}
    return subprocess.run(["make", "-j2", *words], cwd=folder, env=recording.environment(env, mode), text=True,
                          capture_output=True, check=False)  # fmt: skip


def modules_of(corpus: Path) -> list[dict[str, Any]]:
    return list(read_shards(corpus / "modules"))


@needs_gcc
@pytest.mark.parametrize("mode", [BESIDE, INSTEAD])
def test_a_build_is_recorded_and_notices_nothing(project: Path, tmp_path: Path, mode: str) -> None:
    recording = Recording.create(tmp_path / "record", tmp_path, mode)
    done = make(recording, project, mode, "all", "probe")
    assert done.returncode == 0, done.stderr
    assert subprocess.run([project / "app"], check=False).returncode == 0
    assert "lib/deep.h" in (project / "main.d").read_text().replace("\\\n", " ")
    assert (project / "deps/shapes.P").read_text().startswith("shapes.o:")
    assert (project / "main.d").read_text().startswith("main.o:")

    corpus, report = tmp_path / "corpus", Report("demo")
    collect(recording, project, ORIGIN, corpus, report, jobs=2)
    assert report.commands["seen"] == report.commands["captured"] == 7
    assert report.commands["probes"] == 1  # try.c is gone; conftest.c is known by its name
    rows = modules_of(corpus)
    assert [row["file"] for row in rows] == ["gnu.c", "lib/deep.c", "main.c", "odd.c", "shapes.cc", "two words.c"]
    assert report.counts["duplicates"] == 1  # odd.c, compiled twice alike
    for row in rows:
        assert row["module"] == digest(row["bitcode"]) and row["functions"] > 0 and row["instructions"] > 0
        assert (row["package"], row["version"], row["licence"]) == ("demo", "1.0", "MIT")
    by_file = {row["file"]: row for row in rows}
    assert by_file["shapes.cc"]["language"] == "c++" and by_file["main.c"]["language"] == "c"
    assert by_file["main.c"]["flags"] == ['-DNAME="a b"', "-fno-lto"]
    assert by_file["shapes.cc"]["flags"][:3] == ["-DWIDTH=3", "-I", "lib"]
    assert "-fira-hoist-pressure" not in by_file["gnu.c"]["flags"]


@needs_gcc
def test_beside_leaves_the_objects_and_messages_of_the_real_compiler(project: Path, tmp_path: Path) -> None:
    (project / "odd.c").write_text("int odd(void) { int unused; return 1 / 0; }\n")
    plain = subprocess.run(["gcc", "-Wall", "-c", "odd.c", "-o", "o.o"], cwd=project, capture_output=True, check=False)
    expected = (project / "o.o").read_bytes()
    recording = Recording.create(tmp_path / "record", tmp_path)
    env = recording.environment(os.environ)
    seen = subprocess.run(["gcc", "-Wall", "-c", "odd.c", "-o", "o.o"], cwd=project, env=env, capture_output=True,
                          check=False)  # fmt: skip
    assert (seen.returncode, seen.stdout, seen.stderr) == (0, plain.stdout, plain.stderr)
    assert b"unused" in seen.stderr and (project / "o.o").read_bytes() == expected
    assert recording.captured() == 1
    refused = subprocess.run(["gcc", "-c", "bad.c"], cwd=project, env=env, capture_output=True, check=False)
    assert refused.returncode == 1 and b"bad.c" in refused.stderr
    assert [entry["status"] for entry in recording.entries()] == ["captured", "refused"]


@needs_gcc
@pytest.mark.parametrize("mode", [BESIDE, INSTEAD])
def test_what_only_gcc_compiles_is_built_and_counted(project: Path, tmp_path: Path, mode: str) -> None:
    recording = Recording.create(tmp_path / "record", tmp_path, mode)
    assert make(recording, project, mode, "nested.o").returncode == 0
    assert (project / "nested.o").read_bytes().startswith(b"\x7fELF")
    assert make(recording, project, mode, "bad").returncode == 2
    report = Report("demo")
    collect(recording, project, ORIGIN, tmp_path / "corpus", report)
    assert report.commands == {"seen": 1, "failed": 1, "refused": 1}
    [(reason, entry)] = report.failures.items()
    first = "function definition is not allowed here"
    assert "function definition" in reason and entry == {"count": 1, "names": ["nested.c"], "first": first}
    assert not (tmp_path / "corpus").exists()


@needs_gcc
def test_an_excluded_file_is_refused_and_named(project: Path, tmp_path: Path) -> None:
    (project / "zlib").mkdir()
    shutil.copy(project / "odd.c", project / "zlib" / "inflate.c")
    recording = Recording.create(tmp_path / "record", tmp_path)
    subprocess.run(["gcc", "-c", "zlib/inflate.c", "gnu.c"], cwd=project, env=recording.environment(os.environ),
                   check=True)  # fmt: skip
    report = Report("demo")
    collect(recording, project, ORIGIN, tmp_path / "corpus", report)
    assert report.commands["excluded"] == 1 and report.commands["seen"] == 1
    assert any("zlib/inflate.c" in entry["names"] for entry in report.failures.values())
    assert [row["file"] for row in modules_of(tmp_path / "corpus")] == ["gnu.c"]


@needs_gcc
def test_record_command(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                        capfd: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    monkeypatch.chdir(project)
    for name in ("CC", "CXX"):
        monkeypatch.delenv(name, raising=False)
    corpus = tmp_path / "corpus"
    words = ["corpus", "record", "--corpus", str(corpus), "--package", "demo", "--version", "2", "--licence", "MIT"]
    assert cli.run([*words, "--json", "--", "make", "-j2", "-k", "EXTRA=bad"]) == 2
    assert cli.run(["corpus", "record", "--corpus", str(corpus), "--", "make", "app"]) == 1  # it is up to date
    assert "no compilation was seen" in capfd.readouterr().err
    report = json.loads((corpus / "modules" / "demo.json").read_text())
    assert report["commands"]["captured"] == 7 and report["commands"]["refused"] == 1
    assert report["parameters"]["exit_code"] == 2 and report["version"] == "2"
    [info] = report["shards"]
    assert info["name"] == "demo-000.parquet" and info["rows"] == 6
    assert not (corpus / "work" / "record" / "demo").exists()
    with pytest.raises(InputError, match="may not enter"):
        record_command(["true"], corpus=corpus, origin=Origin("zlib"))
    with pytest.raises(InputError, match="package's name"):
        record_command(["true"], corpus=corpus, origin=Origin("../up"))
    with pytest.raises(InputError, match="cannot run no-such-program"):
        record_command(["no-such-program"], corpus=corpus, origin=ORIGIN)
    # What failed left the earlier recording in place.
    assert Report.read(corpus / "modules", "demo") is not None and len(modules_of(corpus)) == 6


@needs_gcc
def test_a_recording_again_replaces_the_package_alone(project: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "corpus"
    for package, target in (("demo", "app"), ("demo-two", "app"), ("demo", "lib/deep.o")):
        recording = Recording.create(tmp_path / "record", tmp_path, INSTEAD)
        make(recording, project, INSTEAD, "-B", target)
        collect(recording, project, Origin(package), corpus, Report(package))
    rows = [(row["package"], row["file"]) for row in modules_of(corpus)]
    assert rows.count(("demo", "lib/deep.c")) == 1 and len([row for row in rows if row[0] == "demo"]) == 1
    assert len([row for row in rows if row[0] == "demo-two"]) == 4


@needs_gcc
def test_shards_are_bounded_and_torn_lines_passed_over(project: Path, tmp_path: Path,
                                                       monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    monkeypatch.setattr(recordings, "SHARD_MODULES", 2)
    recording = Recording.create(tmp_path / "record", tmp_path, INSTEAD)
    assert make(recording, project, INSTEAD, "app", "lib/deep.o").returncode == 0
    log = recording.folder / "log.jsonl"
    first, _, rest = log.read_text().partition("\n")
    log.write_text(first + "\n" + first[:40] + "\n" + rest)
    report = Report("demo")
    collect(recording, project, ORIGIN, tmp_path / "corpus", report)
    assert [info["rows"] for info in report.shards] == [2, 2, 1]
    assert len(modules_of(tmp_path / "corpus")) == 5


@needs_gcc
def test_a_full_disk_leaves_no_half_package(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise StorageError("cannot write demo-000.parquet: No space left on device")

    recording = Recording.create(tmp_path / "record", tmp_path, INSTEAD)
    assert make(recording, project, INSTEAD, "app").returncode == 0
    monkeypatch.setattr(recordings, "write_shard", full)
    with pytest.raises(StorageError, match="No space left"):
        collect(recording, project, ORIGIN, tmp_path / "corpus", Report("demo"))
    assert list((tmp_path / "corpus" / "modules").iterdir()) == []


@needs_gcc
def test_a_recorder_that_cannot_write_lets_the_build_pass(project: Path, tmp_path: Path) -> None:
    for mode in (BESIDE, INSTEAD):
        recording = Recording.create(tmp_path / "record", tmp_path, mode)
        shutil.rmtree(recording.folder / "objects")
        (recording.folder / "log.jsonl").mkdir()
        assert make(recording, project, mode, "-B", "app").returncode == 0
        assert subprocess.run([project / "app"], check=False).returncode == 0


@needs_gcc
def test_interruption_ends_the_build_and_leaves_nothing(project: Path, tmp_path: Path) -> None:
    (project / "Makefile").write_text("all: gnu.o\n\ttouch begun; sleep 60\ngnu.o: gnu.c\n\tcc -c gnu.c\n")
    corpus = tmp_path / "corpus"
    command = [sys.executable, "-m", "llm_compiler", "corpus", "record", "--corpus", str(corpus), "--package", "demo",
               "--", "make"]  # fmt: skip
    with subprocess.Popen(command, cwd=project, start_new_session=True, stderr=subprocess.DEVNULL) as process:
        until(lambda: (project / "begun").exists())
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    assert not list(corpus.glob("modules/*")) and not (corpus / "work" / "record" / "demo").exists()


def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


# --- command lines -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [
    "-E a.c", "-M a.c", "--version", "a.o -o a", "-c a.S", "-c -x assembler a.c", "-c -x c-header a.h", "a.h",
    "-c -", "-fsyntax-only a.c", "-c conftest.c", "-c CMakeFiles/CMakeScratch/x/a.c", "-c a.c -o /dev/null", "-c a.f",
    "-c @missing.txt",
])  # fmt: skip
def test_what_is_no_compilation(words: str) -> None:
    assert read_arguments(words.split(), cxx=False, cwd="/build") is None


def test_what_a_command_line_compiles() -> None:
    words = "-DA -I inc -include c.h -O3 -g3 -Wall -Werror -flto=auto -fPIC -march=x86-64-v3 -MD -MF d -c a.c -o b.o"
    found = read_arguments(words.split(), cxx=False, cwd="/")
    assert found is not None
    assert found.sources == (("a.c", False),) and found.object == "b.o" and found.compile and not found.only_real
    assert found.flags == ("-DA", "-I", "inc", "-include", "c.h", "-fPIC", "-march=x86-64-v3")
    assert found.lowering == ("-fPIC", "-march=x86-64-v3")
    for words, sources in (("-c -x c++ a.c", (("a.c", True),)), ("a.cc b.c -o x", (("a.cc", True), ("b.c", False)))):
        found = read_arguments(words.split(), cxx=False, cwd="/")
        assert found is not None and found.sources == sources
    for words in ("-c -fsanitize=address a.c", "-S a.c", "-c -fprofile-generate a.c", "-c -fopenmp a.c"):
        found = read_arguments(words.split(), cxx=False, cwd="/")
        assert found is not None and found.only_real and not found.flags


@pytest.mark.parametrize(("words", "expected"), [
    ("-MD -c s/a.c", "-MD -MF a.d -MQ a.o"),
    ("-MMD -MP -c a.c -o o/a.lo", "-MMD -MF o/a.d -MQ o/a.lo -MP"),
    ("-MD -MFx.d -MT t -c a.c", "-MD -MF x.d -MT t"),
    ("-Wp,-MD,deps/a.P -c a.c -o a.o", "-MD -MF deps/a.P -MQ a.o"),
    ("-Wp,-MMD,a.P,-MT,t -c a.c", "-MMD -MF a.P -MT t"),
    ("-c a.c", ""),
])  # fmt: skip
def test_depfiles_are_named_as_the_command_names_them(words: str, expected: str) -> None:
    found = read_arguments(words.split(), cxx=False, cwd="/")
    assert found is not None and dependency_flags(found) == expected.split()


# --- sources without a build -------------------------------------------------------------------------------------


def test_a_tree_is_added_with_guessed_include_paths(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for folder in ("src", "include/api", "third/deep/inc", "win32"):
        (tree / folder).mkdir(parents=True)
    (tree / "config.h").write_text("#define LIMIT 4\n")
    (tree / "include/api/a.h").write_text("#include <b.h>\nint a(int);\n")
    (tree / "third/deep/inc/b.h").write_text("#define B 1\n")
    (tree / "src/a.c").write_text('#include "config.h"\n#include <api/a.h>\nint a(int x) { return x + LIMIT + B; }\n')
    (tree / "src/b.cpp").write_text("template <class T> T twice(T x) { return x + x; }\nint b() { return twice(2); }\n")
    (tree / "src/broken.c").write_text("int f( {\n")
    (tree / "src/missing.c").write_text('#include "nowhere.h"\n')
    (tree / "src/latin.c").write_bytes(b"/* \xe9 */ int latin(void) { return '\xe9'; }\n")
    (tree / "src/empty.c").write_text("")
    (tree / "src/binary.c").write_bytes(os.urandom(300))
    (tree / "win32/port.c").write_text("#include <windows.h>\n")
    report = add_paths([tree], corpus=tmp_path / "corpus", origin=ORIGIN, jobs=2)
    files = {row["file"]: row for row in modules_of(tmp_path / "corpus")}
    assert set(files) == {"src/a.c", "src/b.cpp", "src/latin.c", "src/empty.c"}
    assert files["src/empty.c"]["functions"] == 0 and files["src/b.cpp"]["functions"] == 2
    assert report.commands["seen"] == 7 and report.commands["failed"] == 3
    named = {name for entry in report.failures.values() for name in entry["names"]}
    assert named == {"src/broken.c", "src/missing.c", "src/binary.c"}


def test_the_place_of_a_build_is_not_in_its_code(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "a.c").write_text("const char *where(void) { return __FILE__; }\n")
        add_paths([tmp_path / place], corpus=tmp_path / "corpus", origin=Origin(place))
    here, there = (next(row for row in modules_of(tmp_path / "corpus") if row["package"] == place)
                   for place in ("here", "there"))
    assert here["module"] == there["module"] and here["bitcode"] == there["bitcode"]
    assert b"tmp" not in here["bitcode"]


def test_the_nearest_folder_is_guessed_first(tmp_path: Path) -> None:
    for folder in ("one/inc", "two/inc"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "same.h").write_text("\n")
    guess = IncludeGuess(tmp_path)
    source = str(tmp_path / "two" / "x.c")
    assert guess.flags(source)[1] == str(tmp_path / "two" / "inc")
    assert guess.folder_of("same.h", source) == str(tmp_path / "two" / "inc")
    assert guess.folder_of("inc/same.h", source) == str(tmp_path / "two")
    assert guess.folder_of("other.h", source) is None


def test_ir_and_compile_commands_are_added(tmp_path: Path) -> None:
    ir, project = tmp_path / "ir", tmp_path / "project"
    ir.mkdir()
    project.mkdir()
    (ir / "good.ll").write_text("define i32 @f(i32 %x) {\n  %y = add i32 %x, 1\n  ret i32 %y\n}\n")
    (ir / "bad.ll").write_text("define i32 @f(")
    (ir / "empty.bc").write_bytes(b"")
    (ir / "broken.bc").write_bytes(b"BC\xc0\xde" + b"\0" * 40)
    (project / "p.c").write_text("int p(void) { return VALUE; }\n")
    entry = {"directory": str(project), "file": "p.c", "command": "gcc -DVALUE=3 -O2 -g -Werror -c p.c -o p.o"}
    database = project / "compile_commands.json"
    database.write_text(json.dumps([entry]))
    report = add_paths([ir, database], corpus=tmp_path / "corpus", origin=ORIGIN)
    rows = {row["file"]: row for row in modules_of(tmp_path / "corpus")}
    assert set(rows) == {"ir/good.ll", "project/p.c"}
    assert rows["ir/good.ll"]["language"] == "ir" and rows["ir/good.ll"]["instructions"] == 2
    assert rows["ir/good.ll"]["bitcode"].startswith(b"BC")
    assert rows["ir/good.ll"]["module"] == digest(rows["ir/good.ll"]["bitcode"])
    assert rows["project/p.c"]["flags"][0] == "-DVALUE=3"
    named = {name for entry in report.failures.values() for name in entry["names"]}
    assert named == {"ir/bad.ll", "ir/empty.bc", "ir/broken.bc"}


def test_paths_that_cannot_be_added(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    for name, message in (("none", "does not exist"), ("a.txt", "is no C")):
        with pytest.raises(InputError, match=message):
            add_paths([tmp_path / name], corpus=tmp_path / "corpus", origin=ORIGIN)
