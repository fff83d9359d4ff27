"""`llmc check`: pass lists tried on programs that test themselves."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_compiler.cli.common import cores, say, validated
from llm_compiler.errors import InputError, PipelineError

if TYPE_CHECKING:
    from llm_compiler.llvm.pipeline import Candidate
    from llm_compiler.validation.passlisteval import PassListEval, Trial
    from llm_compiler.validation.suites import Program


def check(
    passlists: Annotated[list[str], typer.Argument(
        metavar="PASSLIST", show_default=False,
        help="A pass list, as for `opt -passes=`; may be empty. @FILE: one a line, as text or as `llmc tune --json` "
             "prints it.")],
    suite: Annotated[list[str] | None, typer.Option(
        metavar="SUITE", show_default=False,
        help="own, humaneval, humaneval:FILE, csmith:COUNT, csmith:COUNT@SEED, or a folder of C and C++ programs. May "
             "be given several times; own, and humaneval where it is found, unless said.")] = None,
    pass_options: Annotated[list[str] | None, typer.Option(
        "--pass-option", metavar="OPTION", show_default=False,
        help="An LLVM option for passes and lowering, such as --pass-option=-inline-threshold=5.")] = None,
    codegen_options: Annotated[list[str] | None, typer.Option(
        "--codegen-option", metavar="OPTION", show_default=False,
        help="An LLVM option for the lowering only, such as --codegen-option=-disable-lsr.")] = None,
    jobs: Annotated[int | None, typer.Option(
        "-j", "--jobs", metavar="N", min=1, show_default=False,
        help="Compilations at once; the number of processors unless said.")] = None,
    timeout: Annotated[float, typer.Option(
        metavar="SECONDS", min=0.1, help="Processor time of a program's run, of which -O0 may take a fifth.")] = 10.0,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a pass list.")] = False,
) -> int:
    """Try pass lists on programs that test themselves.

    Every program is compiled with the pass list and the options, linked, and run in a sandbox; it passes when it ends
    with 0 and prints what it prints at -O0. Exit code 1 when a program does not pass. Objects that were run before are
    not run again.
    """
    from llm_compiler.validation import suites
    from llm_compiler.validation.passlisteval import PassListEval, Verdict
    from llm_compiler.validation.sandbox import SandboxLimits, filtered

    candidates = _candidates(passlists, codegen_options or (), pass_options or ())
    specs = suite or ["own", *(["humaneval"] if suites.humaneval_file() else [])]
    programs = [program for spec in dict.fromkeys(specs) for program in suites.load(spec)]
    if not filtered():
        say("this kernel takes no seccomp filter: programs run under limits only")
    failed = False
    # On a busy machine a program waits for its processor.
    limits = SandboxLimits(cpu_seconds=timeout, wall_seconds=3 * timeout)
    with PassListEval(programs, jobs=jobs or cores(), limits=limits) as evaluation:
        for line in evaluation.prepare(_progress("programs made ready")):
            say(f"left out {line}")
        for label, candidate in candidates:
            trials = _trials(evaluation, candidate, label)
            failed = failed or any(trial.verdict is not Verdict.PASSED for trial in trials)
            record = _record(label, candidate, trials, evaluation.left_out)
            print(json.dumps(record) if json_lines else _plain(record), flush=True)
    return 1 if failed else 0


def _candidates(texts: Sequence[str], codegen: Sequence[str], options: Sequence[str]) -> list[tuple[str, Candidate]]:
    """What to call each pass list, and the list with its options. Raises PipelineError and InputError."""
    from llm_compiler.llvm.pipeline import Candidate

    found = []
    for text in texts:
        for place, line in _lines(text):
            words, own_codegen, own_options = _read(place, line) if line.startswith("{") else (line, (), ())
            try:
                passes = validated(words)
            except PipelineError as error:
                raise PipelineError(f"{place}: {error}" if place else str(error)) from error
            found.append((words or "(empty)", Candidate(passes, (*own_codegen, *codegen), (*own_options, *options))))
    return found


def _lines(text: str) -> list[tuple[str, str]]:
    """Pass lists, each with its place in a file (empty for one of the command line)."""
    if not text.startswith("@"):
        return [("", text)]
    try:
        lines = Path(text[1:]).read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"{text[1:]} cannot be read: {reason}") from error
    found = [(f"{text[1:]}, line {number}", line.strip()) for number, line in enumerate(lines, 1)
             if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise InputError(f"{text[1:]} holds no pass list")
    return found


def _read(place: str, line: str) -> tuple[str, Sequence[str], Sequence[str]]:
    """Pass list, code-generation options and pass options of a result of `llmc tune --json`."""
    try:
        best = json.loads(line)["best"]
        words, codegen, options = best["pass_list"], best["codegen_options"], best["pass_options"]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{place}: no result of `llmc tune --json` that holds a pass list") from error
    if not isinstance(words, str) or not all(isinstance(option, str) for option in (*codegen, *options)):
        raise InputError(f"{place}: no result of `llmc tune --json` that holds a pass list")
    return words, codegen, options


def _trials(evaluation: PassListEval, candidate: Candidate, label: str) -> list[Trial]:
    """The trials of a candidate, in the order of the programs. Raises PipelineError when LLVM does not take it."""
    from llm_compiler.validation.passlisteval import Verdict

    programs: Sequence[Program] = evaluation.programs
    progress = _progress(label if len(label) < 40 else f"{label[:40]}…")
    trials: dict[str, Trial] = {}
    for trial in evaluation.check([candidate]):
        if trial.verdict is Verdict.INVALID:
            raise PipelineError(f"LLVM does not take the pass list or an option ({trial.detail})")
        trials[trial.program] = trial
        progress(len(trials), len(programs))
    return [trials[program.name] for program in programs]


def _progress(what: str) -> Callable[[int, int], None]:
    """Counts on a terminal, in one line that goes away."""

    def show(done: int, total: int) -> None:
        if sys.stderr.isatty():
            text = f"{what}: {done} of {total}" if done < total else ""
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)

    return show


def _record(label: str, candidate: Candidate, trials: Sequence[Trial], left_out: dict[str, str]) -> dict[str, Any]:
    from llm_compiler.validation.passlisteval import Verdict

    counts = Counter(trial.verdict for trial in trials)
    return {
        "pass_list": candidate.passes.text, "given": label, "codegen_options": list(candidate.codegen_options),
        "pass_options": list(candidate.pass_options), "programs": len(trials),
        "suites": dict(Counter(trial.suite for trial in trials)),
        "verdicts": {str(verdict): counts[verdict] for verdict in Verdict if verdict is not Verdict.INVALID},
        "changed": sum(trial.changed for trial in trials), "from_cache": sum(trial.from_cache for trial in trials),
        "cpu_seconds": round(sum(trial.seconds for trial in trials), 3),
        "failures": [{"program": trial.program, "suite": trial.suite, "verdict": str(trial.verdict),
                      "detail": trial.detail} for trial in trials if trial.verdict is not Verdict.PASSED],
        "left_out": [{"program": name, "reason": reason} for name, reason in left_out.items()],
    }


def _plain(record: dict[str, Any]) -> str:
    counts = ", ".join(f"{count} {verdict.replace('_', ' ')}" for verdict, count in record["verdicts"].items()
                       if count and verdict != "passed")
    head = f"{record['given']}: {record['verdicts']['passed']} of {record['programs']} passed"
    lines = [f"{head}, {counts}" if counts else head]
    lines += [f"  {item['program']}: {item['verdict'].replace('_', ' ')}: {item['detail']}"
              for item in record["failures"]]
    return "\n".join(lines)
