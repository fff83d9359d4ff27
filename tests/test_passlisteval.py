"""PassListEval: suites are read or refused, wrong candidates are found, and what is known is not done again."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from llm_compiler.cli import run
from llm_compiler.errors import InputError
from llm_compiler.llvm import registry
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.oz import oz_pipeline
from llm_compiler.llvm.pipeline import Candidate
from llm_compiler.validation import schedule, suites
from llm_compiler.validation.passlisteval import PassListEval, Trial, Verdict
from llm_compiler.validation.sandbox import SandboxLimits
from llm_compiler.validation.suites import Program
from llm_compiler.validation.trialcache import TrialCache
from samples import EXCEPTIONS, VARARGS
from support import HAS_PROC, candidate, children, eventually, write_source

pytestmark = pytest.mark.skipif(not HAS_PROC, reason="needs /proc")

HUMANEVAL = Path(__file__).resolve().parents[2] / "shared" / "humaneval-x" / "humaneval_cpp.jsonl.gz"

# Counting as HumanEval-X's CPP/64 does, which structurizecfg breaks.
VOWELS = r"""
#include <stdio.h>
#include <string.h>
static int vowels(const char *s) {
  int n = 0, l = (int)strlen(s);
  for (int i = 0; i < l; i++)
    if (strchr("aeiouAEIOU", s[i])) n++;
  if (l && (s[l - 1] == 'y' || s[l - 1] == 'Y')) n++;
  return n;
}
int main(int argc, char **argv) {
  const char *words[] = {"abcde", "Alone", "key", "bye", "keY", "bYe", "ACEDY", argv[0]};
  for (int i = 0; i < 7; i++) printf("%d\n", vowels(words[i]));
  return argc > 7;
}
"""
THREADS = r"""/* Sums in threads. */
// flags: -pthread -DCOUNT=100
#include <pthread.h>
#include <stdio.h>
static void *work(void *sum) {
  for (int i = 0; i < COUNT; i++) __atomic_add_fetch((int *)sum, i, __ATOMIC_SEQ_CST);
  return 0;
}
int main(void) {
  pthread_t threads[4];
  int sum = 0;
  for (int i = 0; i < 4; i++) if (pthread_create(&threads[i], 0, work, &sum)) return 1;
  for (int i = 0; i < 4; i++) pthread_join(threads[i], 0);
  return sum != 4 * COUNT * (COUNT - 1) / 2;
}
"""
OZ = candidate("default<Oz>")
WRONG = candidate("default<Oz>,function(structurizecfg)")
ENDLESS = "repeat<1000000000>(function(instcombine))"
QUICK = SandboxLimits(cpu_seconds=5, wall_seconds=5)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mine")
    for name, text in (("vowels.c", VOWELS), ("threads.c", THREADS), ("exceptions.cc", EXCEPTIONS)):
        write_source(folder, name, text)
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("passlisteval")


@pytest.fixture(scope="module")
def evaluation(suite: Path, cache: Path, clang: str) -> Iterator[PassListEval]:
    with PassListEval(suites.load(str(suite)), limits=QUICK, folder=cache) as evaluation:
        assert evaluation.prepare() == ()
        yield evaluation


def by_name(trials: Iterator[Trial]) -> dict[str, Trial]:
    return {trial.program.rpartition("/")[2]: trial for trial in trials}


def program(text: str, name: str = "p.c", *, strict: bool = False, **more: Any) -> Program:
    return Program(f"t/{name}", "t", text, name.endswith(".cc"), strict=strict, **more)


# --- trials ---


def test_a_right_and_a_wrong_candidate(evaluation: PassListEval) -> None:
    right = by_name(evaluation.check([OZ]))
    assert {name: trial.verdict for name, trial in right.items()} == dict.fromkeys(right, Verdict.PASSED)
    assert len(right) == 3 and all(trial.bytes and not trial.detail for trial in right.values())
    wrong = by_name(evaluation.check([WRONG]))
    assert wrong["vowels.c"].verdict is Verdict.WRONG and wrong["vowels.c"].changed
    assert wrong["vowels.c"].detail == "line 3 of the output is '1' instead of '2'"
    assert wrong["threads.c"].verdict is Verdict.PASSED
    assert wrong["exceptions.cc"].verdict is Verdict.COMPILER_CRASHED  # it branches around landing pads
    assert wrong["exceptions.cc"].detail.startswith(("the verifier refuses the result: function '", "SIGSEGV")), wrong


def test_only_other_objects_are_changed(evaluation: PassListEval) -> None:
    oz = oz_pipeline(registry.load())
    same, aligned = Candidate(oz), Candidate(oz, ("-align-all-functions=6",))
    trials = list(evaluation.check([same, aligned]))
    assert {(trial.candidate, trial.changed) for trial in trials} == {(same, False), (aligned, True)}
    assert all(trial.verdict is Verdict.PASSED for trial in trials)
    assert {trial.program for trial in evaluation.check([OZ], programs={"none", evaluation.programs[0].name})} == {
        evaluation.programs[0].name}


def test_what_is_known_is_not_done_again(evaluation: PassListEval, suite: Path, cache: Path,
                                         monkeypatch: pytest.MonkeyPatch) -> None:
    first = by_name(evaluation.check([WRONG]))

    def refuse(_: object) -> None:
        raise AssertionError("a process was started")

    with PassListEval(suites.load(str(suite)), limits=QUICK, folder=cache) as again:
        monkeypatch.setattr(schedule, "_start", refuse)
        assert again.prepare() == ()
        # Another text, and the same objects: compiled, and not run.
        same_objects = by_name(again.check([candidate("default<Oz>,function(structurizecfg),globaldce")]))
        assert {name: trial.verdict for name, trial in same_objects.items()} == {
            name: trial.verdict for name, trial in first.items()}
        assert not any(trial.from_cache for trial in same_objects.values())
        monkeypatch.setattr(again._pool, "submit", refuse)
        known = by_name(again.check([WRONG]))
    assert all(trial.from_cache and trial.seconds == 0 for trial in known.values())
    for name, trial in known.items():
        assert (trial.verdict, trial.detail, trial.bytes, trial.changed) == (
            first[name].verdict, first[name].detail, first[name].bytes, first[name].changed)


def test_what_the_compiler_does(evaluation: PassListEval, suite: Path, cache: Path) -> None:
    (vowels,) = (name for name in (item.name for item in evaluation.programs) if "vowels" in name)
    crash, unknown = candidate("trigger-crash"), candidate("gvn", ["-no-such-option"])
    found = {trial.candidate: trial for trial in evaluation.check([crash, unknown], programs={vowels})}
    assert found[crash].verdict is Verdict.COMPILER_CRASHED and "SIGABRT" in found[crash].detail
    assert found[unknown].verdict is Verdict.INVALID and "-no-such-option" in found[unknown].detail
    assert found[crash].bytes is None and not found[crash].changed
    with PassListEval(suites.load(str(suite)), limits=QUICK, folder=cache, compile_limits=Limits(1.0)) as hasty:
        (hung,) = hasty.check([candidate(ENDLESS)], programs={vowels})
        assert hung.verdict is Verdict.COMPILER_HUNG and not hung.from_cache
        (passed,) = hasty.check([OZ], programs={vowels})
        assert passed.verdict is Verdict.PASSED


@pytest.mark.parametrize(("text", "verdict", "detail"), [
    ("int main(void) { return 0; }", Verdict.WRONG, "0 lines of output instead of 7"),
    ("int main(void) { return 3; }", Verdict.WRONG, "exit code 3"),
    ("int main(void) { *(volatile int *)8 = 1; }", Verdict.CRASHED, "SIGSEGV"),
    ("void abort(void); int main(void) { abort(); }", Verdict.CRASHED, "SIGABRT"),
    ("#include <assert.h>\nint main(void) { assert(1 == 2); }", Verdict.WRONG, "Assertion `1 == 2' failed"),
    ("int puts(const char *); int main(void) { for (;;) puts(\"more\"); }", Verdict.WRONG, "printed more than"),
    ("int main(void) { for (volatile int i = 0;; i++) {} }", Verdict.HUNG, "more than 1 s"),
    ("int gone(void); int main(void) { return gone(); }", Verdict.WRONG, "does not link: ld.lld: error: undefined"),
], ids=["nothing", "exit", "fault", "abort", "assertion", "output", "hang", "link"])
def test_fates_of_objects(suite: Path, cache: Path, tmp_path: Path, clang: str, monkeypatch: pytest.MonkeyPatch,
                          text: str, verdict: Verdict, detail: str) -> None:
    subprocess.run([clang, "-c", "-O0", write_source(tmp_path, "o.c", text), "-o", tmp_path / "o.o"], check=True)
    object_ = (tmp_path / "o.o").read_bytes()
    programs = [item for item in suites.load(str(suite)) if "vowels" in item.name]
    with PassListEval(programs, limits=SandboxLimits(cpu_seconds=1, wall_seconds=3), folder=cache) as hasty:
        found = hasty.run_object(programs[0].name, object_)
        assert found[0] is verdict and detail in found[1]
        monkeypatch.setattr(schedule, "_start", lambda _: pytest.fail("it ran again"))
        assert hasty.run_object(programs[0].name, object_) == found


def test_more_time_is_given_to_what_hung(suite: Path, tmp_path: Path, clang: str) -> None:
    spin = "#include <time.h>\nint main(void) { while (clock() < 13 * CLOCKS_PER_SEC / 10) {} return 5; }"
    subprocess.run([clang, "-c", write_source(tmp_path, "o.c", spin), "-o", tmp_path / "o.o"], check=True)
    object_ = (tmp_path / "o.o").read_bytes()
    programs = [item for item in suites.load(str(suite)) if "vowels" in item.name]
    for seconds, verdict in ((1, Verdict.HUNG), (10, Verdict.WRONG)):
        limits = SandboxLimits(cpu_seconds=seconds, wall_seconds=3 * seconds)
        with PassListEval(programs, limits=limits, folder=tmp_path / "cache") as evaluation:
            assert evaluation.run_object(programs[0].name, object_)[0] is verdict


def test_a_check_that_is_left_leaves_nothing(evaluation: PassListEval) -> None:
    evaluation._pool.close()
    before = children(os.getpid())
    with PassListEval([program(VARARGS)], limits=QUICK) as other:
        trials = other.check(candidate(f"default<Oz>,repeat<{n}>(function(adce))") for n in range(1, 1000))
        next(trials)
        with pytest.raises(ValueError, match="under way"):
            next(other.check([OZ]))
        trials.close()
        assert [trial.verdict for trial in other.check([OZ])] == [Verdict.PASSED]
    assert children(os.getpid()) == before and not other._scratch.exists()


# --- references ---


@pytest.mark.parametrize(("text", "reason"), [
    ("int main(void) { return nothing; }", "does not compile (program.c:1:25: error: use of undeclared"),
    ("#include <no/such.h>\nint main(void) { return 0; }", "'no/such.h' file not found"),
    ("int gone(void); int main(void) { return gone(); }", "does not link (ld.lld: error: undefined symbol: gone)"),
    ("int main(void) { return 4; }", "fails at -O0 (exit code 4)"),
    ("int main(void) { __builtin_trap(); }", "fails at -O0 (SIGILL"),
    ("int main(void) { for (volatile int i = 0;; i++) {} }", "takes more than 0.2 s at -O0"),
    ("#include <stdio.h>\nint main(void) {\n#ifdef __OPTIMIZE__\nputs(\"1\");\n#else\nputs(\"0\");\n#endif\n}",
     "differs between -O0 and -Oz (line 1 of the output is '1' instead of '0')"),
], ids=["syntax", "header", "link", "exit", "trap", "slow", "optimised"])
def test_programs_that_cannot_serve(clang: str, cache: Path, text: str, reason: str) -> None:
    limits = SandboxLimits(cpu_seconds=1, wall_seconds=2)
    with PassListEval([program(VARARGS), program(text, "q.c")], limits=limits, folder=cache) as evaluation:
        (line,) = evaluation.prepare()
        assert line.startswith("t/q.c: ") and reason in line
        assert evaluation.left_out["t/q.c"] in line and [item.name for item in evaluation.programs] == ["t/p.c"]
        assert [trial.program for trial in evaluation.check([OZ])] == ["t/p.c"]
    with (PassListEval([program(text, strict=True)], limits=limits, folder=cache) as evaluation,
          pytest.raises(InputError, match=r"t/p\.c cannot serve as a test: it ")):
        evaluation.prepare()


def test_nothing_left_and_names_that_repeat(clang: str, cache: Path) -> None:
    with (PassListEval([program("int main(void) { return 1; }")], folder=cache) as evaluation,
          pytest.raises(InputError, match=r"no program of the suite can serve: t/p\.c fails at -O0")):
        list(evaluation.check([OZ]))
    with PassListEval([], folder=cache) as empty, pytest.raises(InputError, match="no program of the suite"):
        empty.prepare()
    with pytest.raises(InputError, match="2 programs are called t/p"):
        PassListEval([program(VARARGS), program(VARARGS)])


def test_precompiled_headers_change_nothing(clang: str, tmp_path: Path) -> None:
    texts = [f"#include <cstdio>\n#include <cstdlib>\nint main() {{ std::printf(\"{n}\\n\"); return std::abs(0); }}\n"
             for n in range(4)]
    found = []
    for count in (1, 4):
        programs = [program(text, f"{n}.cc") for n, text in enumerate(texts[:count])]
        with PassListEval(programs, folder=tmp_path / str(count)) as evaluation:
            assert evaluation.prepare() == ()
            found.append(evaluation.bitcode("t/0.cc").read_bytes())
    assert found[0] == found[1]


def test_a_folder_that_cannot_be_written_keeps_nothing(clang: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with PassListEval([program(VARARGS)], folder=tmp_path / "file" / "cache") as evaluation:
        assert [trial.verdict for trial in evaluation.check([OZ, OZ])] == [Verdict.PASSED] * 2


def test_the_cache_is_bounded(tmp_path: Path) -> None:
    cache = TrialCache(tmp_path, tmp_path / "spare", bound=250)
    for name in "abc":
        os.utime(cache.put_file(f"{name}.o", name.encode() * 100), (1000, 1000 + ord(name)))
    assert cache.file("a.o") is not None  # now the one used last
    cache.put("run", "x", record={"n": 1})
    cache.close()
    again = TrialCache(tmp_path, tmp_path / "spare")
    assert again.get("run", "x") == {"n": 1} and again.get("run", "y") is None
    assert again.file("b.o") is None and again.file("a.o") and again.file("c.o")
    again.close()


# --- suites ---


def rows(*changes: dict[str, object]) -> bytes:
    good = {"task_id": "CPP/0", "declaration": "int f(){", "canonical_solution": "return 1;}", "test": "int main(){}"}
    return b"".join(json.dumps({**good, **change}).encode() + b"\n" for change in changes)


def test_humaneval_is_read_plain_and_compressed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = rows({}, {"task_id": "CPP/1", "declaration": "#include<openssl/md5.h>\n"}) + b"\n"
    (tmp_path / "plain").write_bytes(text)
    (tmp_path / "packed").write_bytes(gzip.compress(text))
    first, second = suites.load(f"humaneval:{tmp_path}/plain")
    assert (first.name, first.suite, first.cxx, first.link) == ("CPP/0", "humaneval", True, ())
    assert first.text == "int f(){return 1;}int main(){}" and second.link == ("-lcrypto",)
    monkeypatch.setenv("LLMC_HUMANEVAL", str(tmp_path / "packed"))
    assert suites.load("humaneval") == [first, second]


@pytest.mark.parametrize(("content", "message"), [
    (b"", "holds no problem"),
    (rows({}) + b"{\n", "line 2: not JSON"),
    (b"\n" + rows({"test": None}), "line 2: not a problem of HumanEval-X"),
    (b"[1]\n", "line 1: not a problem of HumanEval-X"),
    (rows({}, {}), "line 2: CPP/0 stands there twice"),
    (b"\xff\xfe\n", "line 1: not JSON"),
    (gzip.compress(rows({}))[:-9], "a damaged gzip file"),
])
def test_malformed_humaneval(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "f").write_bytes(content)
    with pytest.raises(InputError, match=message):
        suites.humaneval(tmp_path / "f")


def test_suites_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMC_CACHE", str(tmp_path))
    for spec, message in (("humaneval", "HumanEval-X was not found: name"), (f"humaneval:{tmp_path}/x", "No such file"),
                          ("nosuch", "there is no suite 'nosuch'; use own, humaneval"), (str(tmp_path), "holds no .c"),
                          ("csmith:0", "names no csmith programs"), ("csmith:x", "names no csmith programs")):
        with pytest.raises(InputError, match=message):
            suites.load(spec)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="csmith was not found: install it"):
        suites.load("csmith:1")


def test_csmith_by_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = write_source(tmp_path, "csmith", '#!/bin/sh\n[ "$2" = 8 ] && exit 3\necho "int main(void) { return $2; }"\n')
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("LLMC_CSMITH_INCLUDE", str(tmp_path))
    with pytest.raises(InputError, match=r"csmith\.h was not found in"):
        suites.load("csmith:1")
    write_source(tmp_path, "csmith.h", "")
    seven, eight = suites.load("csmith:2@7")
    assert (seven.name, seven.text) == ("csmith/7", "int main(void) { return 7; }\n")
    assert f"-I{tmp_path}" in seven.flags and eight.text == "#error csmith ended with 3\n"


def test_csmith_itself(clang: str, cache: Path) -> None:
    try:
        programs = suites.load("csmith:3@1")
    except InputError as error:
        pytest.skip(str(error))
    assert programs == suites.load("csmith:3@1")
    with PassListEval(programs, folder=cache) as evaluation:
        assert all(trial.verdict is Verdict.PASSED for trial in evaluation.check([OZ]))


def test_own_suite_and_flags(tmp_path: Path) -> None:
    own = suites.own()
    assert len(own) >= 60 and all(item.name.startswith("own/") and not item.strict for item in own)
    write_source(tmp_path, "a.c", "/* Words.\n * flags: -DX='a b' -lm -pthread */\nint main(void) { return 0; }\n")
    write_source(tmp_path, "b.cc", "int main() { return 0; }\n// flags: -DLATE\n")
    write_source(tmp_path, "notes.txt", "no program")
    first, second = suites.load(str(tmp_path))
    assert (first.flags, first.link, first.cxx) == (("-DX=a b", "-pthread"), ("-lm", "-pthread"), False)
    assert (second.flags, second.link, second.cxx, second.strict) == ((), (), True, True)


@pytest.mark.slow
def test_every_program_of_our_own_serves(clang: str) -> None:
    with PassListEval(suites.own()) as evaluation:
        assert evaluation.prepare() == ()
        assert all(trial.verdict is Verdict.PASSED for trial in evaluation.check([OZ]))


@pytest.mark.skipif(not HUMANEVAL.exists(), reason="HumanEval-X is not here")
def test_humaneval_finds_structurizecfg(clang: str, cache: Path) -> None:
    programs = [item for item in suites.humaneval(HUMANEVAL) if item.name in ("CPP/64", "CPP/22")]
    with PassListEval(programs, folder=cache) as evaluation:
        (left_out,) = evaluation.prepare()
        assert left_out.startswith("CPP/22: does not compile (")  # boost is missing, or too old for libc++
        assert [trial.verdict for trial in evaluation.check([OZ, WRONG])] == [Verdict.PASSED, Verdict.WRONG]


# --- the command ---


Check = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(suite: Path, clang: str, capfd: pytest.CaptureFixture[str]) -> Check:
    """Run `llmc check` on the suite; its exit code, stdout and stderr."""

    def call(*argv: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = run(["check", f"--suite={suite}", "--timeout=5", *map(str, argv)])
        return code, *capfd.readouterr()

    return call


def test_check_prints_counts_and_failures(check: Check, suite: Path) -> None:
    assert check("default<Oz>", "") == (0, "default<Oz>: 3 of 3 passed\n(empty): 3 of 3 passed\n", "")
    code, out, err = check("default<Oz>,structurizecfg")
    head, broken, failure = out.splitlines()
    assert code == 1 and not err
    assert head == "default<Oz>,structurizecfg: 1 of 3 passed, 1 wrong, 1 compiler crashed"
    assert broken.startswith(f"  {suite.name}/exceptions.cc: compiler crashed: ")
    assert failure == f"  {suite.name}/vowels.c: wrong: line 3 of the output is '1' instead of '2'"


def test_check_in_json_and_from_files(check: Check, tmp_path: Path) -> None:
    best = {"pass_list": "default<Oz>", "codegen_options": ["-align-all-functions=6"], "pass_options": []}
    lists = write_source(tmp_path, "lists", f"# two\nstructurizecfg\n\n{json.dumps({'best': best})}\n")
    code, out, _ = check("--json", f"@{lists}", "--codegen-option=-disable-lsr", "--pass-option=-inline-threshold=5")
    first, second = (json.loads(line) for line in out.splitlines())
    assert code == (1 if first["failures"] else 0) and first["pass_list"] == "function(structurizecfg)"
    assert first["codegen_options"] == ["-disable-lsr"] and first["pass_options"] == ["-inline-threshold=5"]
    assert second["codegen_options"] == ["-align-all-functions=6", "-disable-lsr"] and second["changed"] == 3
    assert second["programs"] == sum(second["verdicts"].values()) == 3 and not second["left_out"]


@pytest.mark.parametrize(("words", "message"), [
    (["no-such-pass"], "has no pass 'no-such-pass'"),
    (["gvn("], "pass list: a pass name is missing"),
    (["gvn", "--codegen-option=-no-such"], "LLVM does not take the pass list or an option (llmc: Unknown command line"),
    (["@/no/such"], "/no/such cannot be read: No such file"),
    (["gvn", "--suite=nosuch"], "there is no suite 'nosuch'"),
    (["gvn", "--suite=humaneval:/no/such"], "/no/such cannot be read"),
    (["gvn", "--jobs=0"], "Invalid value for '-j' / '--jobs'"),
    ([], "Missing argument 'PASSLIST"),
])
def test_check_misused(check: Check, words: list[str], message: str) -> None:
    code, out, err = check(*words)
    assert code == 2 and not out and message in err and err.startswith("llmc: ") and err.count("\n") == 1, err


@pytest.mark.parametrize(("content", "message"), [
    ("", "holds no pass list"),
    ("\n{}\n", "line 2: no result of `llmc tune --json`"),
    ("gvn\nno-such-pass\n", "line 2: LLVM 17.0.6 has no pass"),
    ('{"best": {"pass_list": 1, "codegen_options": [], "pass_options": []}}', "line 1: no result of"),
])
def test_check_of_bad_files(check: Check, tmp_path: Path, content: str, message: str) -> None:
    code, out, err = check(f"@{write_source(tmp_path, 'lists', content)}")
    assert code == 2 and not out and message in err, err


def test_check_of_a_program_that_fails(check: Check, tmp_path: Path) -> None:
    write_source(tmp_path, "bad.c", "int main(void) { return 9; }\n")
    code, out, err = check("gvn", f"--suite={tmp_path}")
    assert (code, out) == (2, "") and "bad.c cannot serve as a test: it fails at -O0 (exit code 9)" in err


def test_check_interrupted(suite: Path, clang: str) -> None:
    words = [sys.executable, "-m", "llm_compiler", "check", ENDLESS, f"--suite={suite}", "--timeout=5"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert eventually(lambda: len(children(process.pid)) == 2, 30)
        time.sleep(0.3)
        started = children(process.pid)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (130, b"", b"")
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started))
