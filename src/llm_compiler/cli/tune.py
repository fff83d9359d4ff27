"""`llmc tune`: search for smaller objects, report them, write them."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_compiler.cli.common import cflags, cores, exit_code, say
from llm_compiler.cli.emulate import Context, Form, Model, Name, Tokenizer
from llm_compiler.errors import InputError, LlmcError

if TYPE_CHECKING:
    from llm_compiler.cli.live import LiveTable, Totals
    from llm_compiler.tuning.result import TuningResult
    from llm_compiler.tuning.tuner import Proposer, TuningOptions

_LANGUAGES = {"c": ".c", "cpp-output": ".i", "c++": ".cc", "c++-cpp-output": ".ii", "ir": ".ll"}
_INTERRUPTED = 130


@dataclass(frozen=True)
class _Unit:
    """An input: its name for the user, its file, flags of its own (None: those of the command line), its output."""

    name: str
    path: Path
    flags: tuple[str, ...] | None = None
    output: Path | None = None


def tune(
    ctx: typer.Context,
    inputs: Annotated[list[str] | None, typer.Argument(
        metavar="INPUT", show_default=False,
        help="C, C++, IR or bitcode files (.c .cc .cpp .ll .bc); - is standard input, in the language that -x among "
             "CFLAGS names (c, c++ or ir).")] = None,
    output: Annotated[Path | None, typer.Option(
        "-o", "--output", metavar="OUT", show_default=False,
        help="Where to write: .o the object, .bc or .ll the optimised IR, .s assembly; a folder for several inputs. "
             "Without it nothing is written.")] = None,
    budget: Annotated[str, typer.Option(
        metavar="BUDGET", help="For each file: a time (10s, 500ms, 2m) or a number of evaluations (400).")] = "10s",
    profile: Annotated[str, typer.Option(
        metavar="PROFILE", help="deploy: lower as `clang -Oz` does; paper: at codegen level -O0.")] = "deploy",
    strategy: Annotated[str, typer.Option(
        metavar="NAME",
        help="adaptive, coreset, evolution, pipeline or random; with a model, the ranking that comes with the package "
             "unless --model names another: hybrid (adaptive, its lists first) or model (these alone).")] = "hybrid",
    trust: Annotated[str, typer.Option(
        metavar="TIER", help="Passes and options to use: production, extended or experimental.")] = "production",
    target: Annotated[str, typer.Option(
        metavar="TRIPLE", help="x86_64-linux-gnu or aarch64-linux-gnu.")] = "x86_64-linux-gnu",
    jobs: Annotated[int | None, typer.Option(
        metavar="N", show_default="one per core", help="Worker processes.")] = None,
    seed: Annotated[int, typer.Option(
        metavar="N", help="Decides the search; with a budget in evaluations it decides the result.")] = 0,
    verify: Annotated[str, typer.Option(
        metavar="LEVEL", help="Run changed functions beside clang's: quick (at most 30 % of the budget), full or off.",
    )] = "quick",
    model: Model = None,
    tokenizer: Tokenizer = None,
    model_name: Name = "",
    form: Form = None,
    context: Context = None,
    samples: Annotated[int, typer.Option(
        "-n", "--samples", min=1, help="Lists of the model to try on each file.")] = 8,
    json_lines: Annotated[bool, typer.Option("--json", help="Print one JSON object a file.")] = False,
    no_store: Annotated[bool, typer.Option(
        "--no-store", help="Neither look up earlier results nor keep these.")] = False,
    compile_commands: Annotated[Path | None, typer.Option(
        "-p", "--compile-commands", metavar="FILE", show_default=False,
        help="Tune the files of a compile_commands.json with their flags; INPUTs restrict it to these files.")] = None,
) -> int:
    """Find a smaller object than clang -Oz makes.

    Prints what was gained and the recipe for it. CFLAGS are clang's flags (-I, -D, -std= …). Ctrl-C ends the search
    and keeps what was found.
    """
    from llm_compiler.llvm.frontend import temporary_folder
    from llm_compiler.llvm.registry import Tier
    from llm_compiler.llvm.target import Profile
    from llm_compiler.tuning.budget import Budget
    from llm_compiler.tuning.tuner import WITH_MODEL, TuningOptions
    from llm_compiler.validation.differential import Level

    named = None
    if model is not None:
        from llm_compiler.inference.backend import EMBEDDED, open_backend
        from llm_compiler.inference.tuning import ModelProposer

        named = None if model == EMBEDDED else model
    if profile not in list(Profile):
        raise InputError(f"unknown profile '{profile}'; use {' or '.join(Profile)}")
    if jobs is not None and jobs < 1:
        raise InputError("--jobs must be at least 1")
    options = TuningOptions(
        budget=Budget.parse(budget), profile=Profile(profile),
        strategy=strategy, tier=Tier.parse(trust),
        target=target, jobs=jobs or cores(), seed=seed, cflags=cflags(ctx), store=not no_store,
        verify=Level.parse(verify), proposals=samples)
    if model is not None and options.strategy not in WITH_MODEL:
        raise InputError(f"--model goes with {' or '.join(WITH_MODEL)}, not with the strategy '{options.strategy}'")
    with contextlib.ExitStack() as stack:
        units = _units(inputs or [], options.cflags, compile_commands, Path(stack.enter_context(temporary_folder())))
        units = _with_outputs(units, output)
        proposer = None
        if named is not None:
            backend = stack.enter_context(open_backend(
                named, tokenizer=tokenizer, name=model_name, form=form, context=context))
            proposer = ModelProposer.of(backend, options, samples=samples)
        return _tune_all(units, options, proposer, json_lines=json_lines)


# --- inputs and outputs ---


def _units(inputs: list[str], flags: tuple[str, ...], compile_commands: Path | None, folder: Path) -> list[_Unit]:
    """What to tune, each file once."""
    if compile_commands is not None:
        return _project_units(inputs, flags, compile_commands)
    if not inputs:
        raise InputError("name at least one input, or -p compile_commands.json")
    found: dict[str, _Unit] = {}
    for name in inputs:
        key = name if name == "-" else os.path.realpath(name)
        if key not in found:
            found[key] = _standard_input(flags, folder) if name == "-" else _Unit(name, Path(name))
    return list(found.values())


def _project_units(inputs: list[str], flags: tuple[str, ...], compile_commands: Path) -> list[_Unit]:
    from llm_compiler.tuning.project import read_compile_commands

    file = compile_commands / "compile_commands.json" if compile_commands.is_dir() else compile_commands
    compilations = read_compile_commands(file)
    if not compilations:
        raise InputError(f"{file} names no C or C++ file")
    wanted = {os.path.realpath(name): name for name in inputs}
    known = {os.path.realpath(item.source) for item in compilations}
    for real, name in wanted.items():
        if real not in known:
            raise InputError(f"{file} has no entry for {name}")
    return [_Unit(os.path.relpath(item.source), item.source, (*item.flags, *flags)) for item in compilations
            if not wanted or os.path.realpath(item.source) in wanted]


def _standard_input(flags: tuple[str, ...], folder: Path) -> _Unit:
    """Standard input in a file, and the flags that make clang read it as the same."""
    language = "c"
    rest = list(flags)
    for index, word in enumerate(flags):
        if word == "-x" and index + 1 < len(flags):
            language = flags[index + 1]
            del rest[index : index + 2]
        elif word.startswith("-x") and len(word) > 2:
            language = word[2:]
            del rest[index]
        else:
            continue
        break
    if language not in _LANGUAGES:
        raise InputError(f"standard input in the language '{language}' cannot be tuned; use -x c, c++ or ir")
    path = folder / f"stdin{_LANGUAGES[language]}"
    path.write_bytes(sys.stdin.buffer.read())
    if not path.stat().st_size:
        raise InputError("standard input is empty")
    return _Unit("-", path, ("-x", language, *rest, f"-iquote{os.getcwd()}"))


def _with_outputs(units: list[_Unit], output: Path | None) -> list[_Unit]:
    """The units with the files to write, checked before any time is spent."""
    from llm_compiler.tuning.output import kind_of

    if output is None:
        return units
    if len(units) == 1 and not output.is_dir():
        kind_of(output)
        if not output.parent.is_dir():
            raise InputError(f"cannot write {output}: {output.parent} is not a folder")
        return [_Unit(units[0].name, units[0].path, units[0].flags, output)]
    if not output.is_dir():
        if output.exists() or output.suffix in (".o", ".bc", ".ll", ".s"):
            raise InputError(f"with {len(units)} inputs -o must be a folder, and {output} is none")
        try:
            output.mkdir(parents=True)
        except OSError as error:
            raise InputError(f"cannot make the folder {output}: {error.strerror}") from error
    out: list[_Unit] = []
    taken: set[str] = set()
    for unit in units:
        stem = "stdin" if unit.name == "-" else unit.path.stem
        name, count = f"{stem}.o", 1
        while name in taken:
            count += 1
            name = f"{stem}-{count}.o"
        taken.add(name)
        out.append(_Unit(unit.name, unit.path, unit.flags, output / name))
    return out


# --- tuning ---


def _tune_all(units: list[_Unit], options: TuningOptions, proposer: Proposer | None, *, json_lines: bool) -> int:
    from llm_compiler.cli.live import LiveTable, Totals
    from llm_compiler.tuning.tuner import Tuner

    totals = Totals()
    table = LiveTable(len(units), options.budget, totals, shown=sys.stderr.isatty())
    interrupted = False
    seen = 0
    with Tuner(options, on_progress=table.progress, proposer=proposer) as tuner, table:
        for unit in units:
            table.begin(unit.name)
            try:
                result = tuner.tune(unit.path, cflags=unit.flags, name=unit.name)
                interrupted = result.interrupted
                _finish(unit, result, options, table, totals, json_lines=json_lines, alone=len(units) == 1)
            except KeyboardInterrupt:
                interrupted = True
            else:
                seen += 1
            if interrupted:
                break
    if interrupted:
        say(f"interrupted after {seen} of {len(units)} files")
    if len(units) > 1 and seen:
        print(totals.sentence(seen), file=sys.stderr if json_lines else sys.stdout)
    return _INTERRUPTED if interrupted else exit_code(seen - totals.failed, totals.failed)


def _finish(unit: _Unit, result: TuningResult, options: TuningOptions, table: LiveTable, totals: Totals, *,
            json_lines: bool, alone: bool) -> None:
    """Write, count and print one result."""
    from llm_compiler.tuning.result import TuningStatus

    problem = ""
    written: Path | None = None
    if result.status is TuningStatus.FAILED:
        problem = result.message if alone or unit.name in result.message else f"{unit.name}: {result.message}"
    elif unit.output is not None:
        try:
            _write(unit, unit.output, result, options)
            written = unit.output
        except LlmcError as error:
            problem = str(error)
    totals.add(result, failed=bool(problem))
    table.end(result)
    with table.paused():
        if json_lines:
            record = result.as_record()
            print(json.dumps({**record, "output": str(written)} if written else record), flush=True)
        elif result.status is not TuningStatus.FAILED:
            print(_recipe(result, written) if alone else _row(result, written), flush=True)
        if problem:
            say(problem)


def _write(unit: _Unit, output: Path, result: TuningResult, options: TuningOptions) -> None:
    from llm_compiler.paths import write_atomically
    from llm_compiler.tuning.output import kind_of, output_of

    write_atomically(output, output_of(result, kind_of(output), unit.path, options, unit.flags))


# --- plain text ---


def _row(result: TuningResult, written: Path | None) -> str:
    text = _sizes(result)
    if written is not None:
        text += f" → {written}"
    return f"{result.input}: {text}" + (f"; {result.message}" if result.message else "")


def _sizes(result: TuningResult) -> str:
    if result.baseline is None or result.best is None:
        return "no size"
    if result.best.bytes == result.baseline.bytes:
        return f"{result.baseline.bytes} bytes, no gain"
    return f"{result.baseline.bytes} → {result.best.bytes} bytes, {result.saving_pct:.2f} % smaller"


def _recipe(result: TuningResult, written: Path | None) -> str:
    """One result in full: what was gained, how, and the stock commands for it."""
    origin = "from the store" if result.from_store else f"{result.seconds:.1f} s"
    lines = [f"{result.input}: {_sizes(result)} ({result.evaluations} evaluations, {origin}, seed {result.seed})"]
    rows = []
    if result.candidate is not None:
        rows += [
            ("pass list", result.pass_list or "none"),
            ("pass options", " ".join(result.candidate.pass_options)),
            ("codegen options", " ".join(result.candidate.codegen_options)),
            ("tier", result.tier),
        ]
    rows += [("verification", result.verification.summary), ("note", result.message), ("written", str(written or ""))]
    lines += [f"  {name + ':':17}{value}" for name, value in rows if value]
    if result.reproduce:
        lines += ["  the same object without llmc:", *(f"    {line}" for line in result.reproduce)]
    return "\n".join(lines)
