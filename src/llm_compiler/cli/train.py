"""`llmc train`: a stage of training, on a CPU, a GPU or, under torchrun, many."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llm_compiler.cli.common import resumable, say, seconds
from llm_compiler.errors import InputError

if TYPE_CHECKING:
    from llm_compiler.training.config import Data, RunConfig
    from llm_compiler.training.trainer import Progress


@resumable
def train(
    stage: Annotated[str | None, typer.Argument(
        metavar="[STAGE]", help="pretraining, emulation, flags or disassembly; not with --resume.")] = None,
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The run's folder.")] = Path("run"),
    data: Annotated[list[str] | None, typer.Option(
        "--data", metavar="DIR[=SHARE]", help="Tokenised shards, and the share of their tokens in an epoch; may be "
        "given several times.")] = None,
    replay: Annotated[list[Path] | None, typer.Option(
        "--replay", metavar="DIR", help="Shards of an earlier stage: 15 % of their tokens stand in an epoch.")] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="NAME", help="A preset: 3m to 13b.")] = None,
    init: Annotated[Path | None, typer.Option(
        "--init", metavar="DIR", help="Begin with this model (Llama, transformers' form), not at random.")] = None,
    config: Annotated[Path | None, typer.Option(
        "--config", metavar="FILE", help="A run.toml; options given here stand over it.")] = None,
    settings: Annotated[list[str] | None, typer.Option(
        "--set", metavar="NAME=VALUE", help="Any other value of a run.toml, as learning_rate=3e-4.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the folder's last checkpoint.")] = False,
    time_budget: Annotated[str | None, typer.Option(
        "--time-budget", metavar="TIME", help="Stop after this time (9m, 2h) with a checkpoint.")] = None,
    scratch: Annotated[Path | None, typer.Option(
        "--scratch", metavar="DIR", help="Where the data is laid out; the cache folder unless said.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print how the run ended as JSON.")] = False,
) -> int:
    """Train a Llama model on tokenised shards (`llmc dataset export`).

    Checkpoints, log.jsonl, TensorBoard's events and, at the end, the model lie in the run's folder. Exit code 0 when
    the run is at its end or at its budget.
    """
    _need_torch()
    from llm_compiler.training.config import FILE, RunConfig

    limit = None if time_budget is None else seconds(time_budget)
    if resume and (output / FILE).exists():
        if stage or data or replay or model or init or config or settings:
            raise InputError("--resume takes the run's own configuration; leave the other options away")
        chosen = RunConfig.read(output / FILE)
    else:
        chosen = _configuration(stage, data, replay, model, init, config, settings)
    from llm_compiler.training.trainer import Run

    begun = time.monotonic()
    line = _Line()
    run = Run(chosen, output, resume=resume, scratch=scratch, on_progress=line.show)
    if run.accelerator.is_main_process:
        say(f"{chosen.stage}, {run.shape.parameters / 1e6:.1f} million parameters, {run.progress.steps} steps of "
            f"{chosen.batch} tokens on {run.accelerator.num_processes} x {run.device.type}, from step "
            f"{run.progress.step}")
    progress = run.train(None if limit is None else max(0.0, limit - (time.monotonic() - begun)))
    line.end()
    if run.accelerator.is_main_process:
        print(json.dumps(vars(progress)) if as_json else
              f"step {progress.step} of {progress.steps}: {progress.reason}; loss {progress.loss:.4f}"
              + "".join(f", {name} {loss:.4f}" for name, loss in progress.validation.items()))
    return 130 if progress.reason == "interrupted" else 0


def _configuration(stage: str | None, data: list[str] | None, replay: list[Path] | None, model: str | None,
                   init: Path | None, file: Path | None, settings: list[str] | None) -> RunConfig:
    from llm_compiler.training.config import REPLAY, Data, RunConfig

    told: dict[str, Any] = {}
    for setting in settings or ():
        name, equals, value = setting.partition("=")
        if not equals:
            raise InputError(f"--set takes NAME=VALUE, not '{setting}'")
        told[name] = _value(name, value)
    sources = [_data(text) for text in data or ()] + [Data(os.path.abspath(path), REPLAY) for path in replay or ()]
    if sources:
        told["data"] = tuple(sources)
    told |= {name: value for name, value in (("stage", stage), ("model", model), ("init", init and str(init)))
             if value is not None}
    if file is not None:
        return replace(RunConfig.read(file), **told)
    if stage is None:
        raise InputError("name a stage: pretraining, emulation, flags or disassembly")
    return RunConfig(**{"data": (), **told})


def _data(text: str) -> Data:
    from llm_compiler.training.config import Data

    folder, equals, share = text.rpartition("=")
    if not equals:
        return Data(os.path.abspath(text))
    try:
        return Data(os.path.abspath(folder), float(share))
    except ValueError as error:
        raise InputError(f"'{share}' in --data {text} is no share; write DIR=0.5") from error


def _value(name: str, text: str) -> Any:
    """A setting as its field has it. Raises InputError."""
    from llm_compiler.training.config import RunConfig

    kinds = {field.name: str(field.type) for field in fields(RunConfig) if field.name != "data"}
    if name not in kinds:
        raise InputError(f"a run's configuration has no '{name}'; it has {', '.join(kinds)}")
    try:
        if kinds[name] == "bool":
            return {"true": True, "false": False}[text]
        return {"str": str, "int": int, "float": float}[kinds[name]](text)
    except (KeyError, ValueError) as error:
        raise InputError(f"'{text}' is no value of {name}, which is of the kind {kinds[name]}") from error


def _need_torch() -> None:
    missing = [name for name in ("torch", "transformers", "accelerate", "pyarrow")
               if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"{' and '.join(missing)} missing; pip install 'llm-compiler[train]'")


class _Line:
    """One line of progress on a terminal."""

    def __init__(self) -> None:
        self._on = sys.stderr.isatty()
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        if not self._on or time.monotonic() - self._shown < 0.5:
            return
        self._shown = time.monotonic()
        left = (progress.steps - progress.step) * progress.seconds / max(1, progress.step)
        mfu = "" if progress.mfu is None else f", {100 * progress.mfu:.0f} % MFU"
        print(f"\r\x1b[Kstep {progress.step}/{progress.steps}, loss {progress.loss:.4f}, "
              f"{progress.tokens_a_second:,.0f} tokens/s{mfu}, {left / 60:.1f} min left", end="", file=sys.stderr,
              flush=True)

    def end(self) -> None:
        if self._on and self._shown:
            print(file=sys.stderr)
