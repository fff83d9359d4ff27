"""A training run: steps, checkpoints, logs. `run` is what `llmc train` calls, on one process or under torchrun."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import os
import pickle
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from llm_compiler.corpus.schema import TRAIN, VALIDATION
from llm_compiler.corpus.tokens import TOKENIZER
from llm_compiler.errors import InputError, LlmcError, StorageError
from llm_compiler.models.shapes import Shape, shape_of
from llm_compiler.paths import write_atomically
from llm_compiler.training.config import FILE, RunConfig
from llm_compiler.training.documents import Documents, open_documents
from llm_compiler.training.learner import (
    FLEX,
    SDPA,
    Learner,
    new_model,
    open_model,
    optimizer_for,
    shape_in,
    tensors,
)
from llm_compiler.training.packing import Mixture, Packer, Row, fill, learned
from llm_compiler.training.plan import DEVICES

LOG, CHECKPOINTS, MODEL = "log.jsonl", "checkpoints", "model"
_KEPT = 2  # checkpoints
_STATE = "state.json"
_VALIDATION_SEED = 1


class TrainingError(LlmcError):
    """A run that cannot go on."""


@dataclass
class Progress:
    """Where a run is. seconds: of steps, over all its processes' lives; reason: why it ended."""

    step: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    loss: float = math.nan
    tokens_a_second: float = 0.0
    mfu: float | None = None
    reason: str = ""
    validation: dict[str, float] = field(default_factory=dict)


class Run:
    """One run in a folder. Raises InputError for wrong data, StorageError, TrainingError."""

    def __init__(self, config: RunConfig, folder: Path, *, resume: bool, scratch: Path | None = None,
                 on_progress: Callable[[Progress], None] = lambda progress: None) -> None:
        self.config = config
        self.folder = folder
        self.on_progress = on_progress
        _quieten()
        self.accelerator = Accelerator(mixed_precision="bf16" if config.precision == "bf16" else "no")
        self.device = self.accelerator.device
        self._check_folder(resume)
        if config.rows % self.accelerator.num_processes:
            raise InputError(f"{config.rows} rows do not share out over {self.accelerator.num_processes} processes")
        with self.accelerator.main_process_first():
            self.sources = [open_documents(Path(data.folder), TRAIN, scratch) for data in config.data]
            self.held_out = [_open_validation(Path(data.folder), scratch) for data in config.data]
        _check_tokenizers(self.sources)
        weights = [data.share * source.total for data, source in zip(config.data, self.sources, strict=True)]
        self.packer = Packer(Mixture(self.sources, weights, config.seed), config.rows, config.context)
        self.progress = Progress(steps=max(1, round(config.epochs * sum(weights) / config.batch)))
        set_seed(config.seed)
        model = open_model(Path(config.init)) if config.init else new_model(self._shape(), config.seed)
        self.shape = shape_in(model, config.model)
        if self.shape.vocabulary < max(source.vocabulary for source in self.sources):
            raise InputError(f"the data has {self.sources[0].vocabulary} tokens, the model {self.shape.vocabulary}: "
                             "they were made for different tokenizers")
        attention = config.attention
        if attention == "auto":
            attention = FLEX if self.device.type == "cuda" else SDPA
        learner = Learner(model, attention, recompute=config.recompute)
        if config.compile and self.device.type == "cuda":
            model.model.compile(dynamic=False)
        optimizer = optimizer_for(learner, config.learning_rate, config.weight_decay, (config.beta1, config.beta2),
                                  self.device)
        self.learner, self.optimizer = self.accelerator.prepare(learner, optimizer)
        self.attended = 0.0
        if resume:
            self._resume()

    def _shape(self) -> Shape:
        # A multiple of 128 keeps matrix units busy.
        size = -(-max(source.vocabulary for source in self.sources) // 128) * 128
        return shape_of(self.config.model, vocabulary=size, context=max(self.config.context, 4096))

    # --- the loop ---

    def train(self, budget: float | None = None) -> Progress:
        """Steps until the end, or until `budget` seconds are over; then a checkpoint. The same run, started with
        `resume`, goes on as if it had not been interrupted.
        """
        started = saved = time.monotonic()
        last = 0.0
        progress = self.progress
        writer = _Writer(self.folder) if self.accelerator.is_main_process else None
        try:
            while progress.step < progress.steps:
                begun = time.monotonic()
                # A checkpoint takes its time, too.
                if self._agree(budget is not None and begun - started + 1.5 * last + self._saving > budget):
                    progress.reason = "the time budget is over"
                    break
                record = self._step()
                last = time.monotonic() - begun
                progress.seconds += last
                if writer is not None:
                    writer.add(record | {"seconds": round(progress.seconds, 3)})
                if progress.step % self.config.evaluate == 0:
                    self._evaluate_and_write(writer)
                self.on_progress(progress)
                if self._agree(time.monotonic() - saved > self.config.save):
                    self.save()
                    saved = time.monotonic()
            else:
                progress.reason = "the end is reached"
                self._evaluate_and_write(writer)
        except KeyboardInterrupt:
            progress.reason = "interrupted"
        finally:
            if writer is not None:
                writer.close()
        self.save()
        if progress.step >= progress.steps:
            self.export()
        return progress

    _saving = 2.0  # seconds that the last checkpoint took, at least

    def _agree(self, wish: bool) -> bool:
        """What the main process decides, so that all do the same."""
        if self.accelerator.num_processes == 1:
            return wish
        told = torch.tensor([int(wish)], device=self.device)
        torch.distributed.broadcast(told, 0)
        return bool(told.item())

    def _step(self) -> dict[str, Any]:
        """One step. Raises TrainingError when the loss is no number."""
        config, progress = self.config, self.progress
        rows = self.packer.plan()
        count = learned(rows, self.sources)
        used = sum(len(piece) for row in rows for piece in row)
        rate = learning_rate(config, progress.step, progress.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        begun = time.monotonic()
        total = self._backward(self._own(rows), count)
        norm = self.accelerator.clip_grad_norm_(self.learner.parameters(), config.clip)
        loss = float(self.accelerator.reduce(total, "sum")) / max(1, count)
        if not math.isfinite(loss) or not math.isfinite(float(norm)):
            raise TrainingError(f"the loss is no number at step {progress.step + 1}; go on from the last checkpoint in "
                                f"{self.folder / CHECKPOINTS} with a lower learning rate")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        seconds = time.monotonic() - begun
        attended = sum(len(piece) * (len(piece) + 1) / 2 for row in rows for piece in row) / max(1, used)
        progress.step += 1
        progress.tokens += used
        progress.loss = loss
        progress.tokens_a_second = used / seconds
        progress.mfu = self._mfu(used, attended, seconds)
        return {"step": progress.step, "loss": loss, "norm": float(norm), "rate": rate, "tokens": progress.tokens,
                "learned": count, "filled": round(used / config.batch, 4), "tokens_a_second": round(used / seconds),
                "mfu": progress.mfu}

    def _own(self, rows: Sequence[Row]) -> Sequence[Row]:
        share = len(rows) // self.accelerator.num_processes
        start = share * self.accelerator.process_index
        return rows[start : start + share]

    def _backward(self, rows: Sequence[Row], count: int) -> torch.Tensor:
        """Gradients of the mean loss over all processes' rows; the sum of the own losses."""
        size = self.config.rows_at_once
        total = torch.zeros((), device=self.device)
        for start in range(0, len(rows), size):
            inputs = tensors(fill(rows[start : start + size], self.sources, self.config.context), self.device)
            last = start + size >= len(rows)
            with contextlib.nullcontext() if last else self.accelerator.no_sync(self.learner):
                loss = self._loss(inputs)
                # Gradients are averaged over processes; the loss is a mean over the tokens of all.
                self.accelerator.backward(loss * self.accelerator.num_processes / max(1, count))
            total += loss.detach()
        return total

    def _loss(self, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
        loss: torch.Tensor = self.learner(**inputs)
        return loss

    def _mfu(self, tokens: int, attended: float, seconds: float) -> float | None:
        if self.device.type != "cuda":
            return None
        name = torch.cuda.get_device_name(self.device)
        peak = next((device.peak for device in DEVICES.values() if device.name in name), None)
        if peak is None:
            return None
        done = tokens * self.shape.training_flops(attended) / seconds
        return float(round(done / (peak * self.accelerator.num_processes), 4))

    # --- evaluation ---

    def _evaluate_and_write(self, writer: _Writer | None) -> None:
        self.progress.validation = self.evaluate()
        if writer is not None and self.progress.validation:
            writer.add({"step": self.progress.step, "validation": self.progress.validation})

    def evaluate(self) -> dict[str, float]:
        """Mean loss of held-out documents, nats a token, by source; a fixed set of at most `evaluate_tokens`."""
        found: dict[str, float] = {}
        self.learner.eval()
        for source in self.held_out:
            if source is None:
                continue
            packer = Packer(Mixture([source], [1.0], _VALIDATION_SEED), self.config.rows, self.config.context)
            total, count, left = torch.zeros((), device=self.device), 0, min(self.config.evaluate_tokens, source.total)
            while left > 0:
                rows = packer.plan()
                left -= max(1, sum(len(piece) for row in rows for piece in row))
                count += learned(rows, [source])
                own, size = self._own(rows), self.config.rows_at_once
                with torch.no_grad():
                    for start in range(0, len(own), size):
                        batch = fill(own[start : start + size], [source], self.config.context)
                        total += self._loss(tensors(batch, self.device))
            found[source.name] = float(self.accelerator.reduce(total, "sum")) / max(1, count)
        self.learner.train()
        return found

    # --- checkpoints ---

    def _check_folder(self, resume: bool) -> None:
        held = (self.folder / FILE).exists()
        self.accelerator.wait_for_everyone()  # nobody looks when the main process has written already
        if held and not resume:
            raise InputError(f"{self.folder} holds a run already; go on with --resume, or name another folder")
        if self.accelerator.is_main_process:
            try:
                (self.folder / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise StorageError(f"cannot write to {self.folder}: {error.strerror}") from error
            for torn in (self.folder / CHECKPOINTS).glob(".step-*"):
                shutil.rmtree(torn, ignore_errors=True)
            self.config.write(self.folder)

    def save(self) -> Path:
        """A checkpoint, whole or not there at all. Raises StorageError; the one before stays."""
        begun = time.monotonic()
        name = f"step-{self.progress.step:08d}"
        made, final = self.folder / CHECKPOINTS / f".{name}", self.folder / CHECKPOINTS / name
        if final.exists():
            return final
        try:
            self.accelerator.save_state(str(made))
            if self.accelerator.is_main_process:
                self.config.write(made)
                state = {"step": self.progress.step, "steps": self.progress.steps, "tokens": self.progress.tokens,
                         "seconds": self.progress.seconds, "loss": self.progress.loss, "packer": self.packer.state(),
                         "tokenizer": self.sources[0].tokenizer}
                write_atomically(made / _STATE, json.dumps(state).encode())
                for path in (path for path in made.rglob("*") if path.is_file()):
                    with path.open("rb") as file:
                        os.fsync(file.fileno())
                os.rename(made, final)
                for old in checkpoints(self.folder)[:-_KEPT]:
                    shutil.rmtree(old, ignore_errors=True)
        except OSError as error:
            shutil.rmtree(made, ignore_errors=True)
            raise StorageError(f"no checkpoint could be written to {self.folder}: {error.strerror or error}; the one "
                               "before is kept") from error
        self.accelerator.wait_for_everyone()
        self._saving = max(2.0, 1.2 * (time.monotonic() - begun))
        return final

    def _resume(self) -> None:
        found = checkpoints(self.folder)
        if not found:
            return
        try:
            state = json.loads((found[-1] / _STATE).read_text())
            if state["tokenizer"] != self.sources[0].tokenizer:
                raise InputError(f"{found[-1]} was trained with another tokenizer than the data has")
            self.accelerator.load_state(str(found[-1]))
            self.packer.restore(state["packer"])
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, pickle.UnpicklingError) as error:
            raise InputError(f"{found[-1]} cannot be read ({str(error).splitlines()[0]}); remove it to go on from the "
                             "checkpoint before") from error
        progress = self.progress
        progress.step, progress.tokens, progress.seconds = state["step"], state["tokens"], state["seconds"]
        progress.loss = state["loss"]
        if self.accelerator.is_main_process:
            _cut_log(self.folder / LOG, progress.step)

    def export(self) -> Path:
        """The model in transformers' form, in run/model."""
        state = self.accelerator.get_state_dict(self.learner)
        target = self.folder / MODEL
        if self.accelerator.is_main_process:
            model = self.accelerator.unwrap_model(self.learner).model
            weights = {name.removeprefix("model."): weight.to(torch.bfloat16) for name, weight in state.items()}
            made = self.folder / f".{MODEL}"
            shutil.rmtree(made, ignore_errors=True)
            try:
                model.save_pretrained(made, state_dict=weights, safe_serialization=True)
                tokenizer = Path(self.config.tokenizer or Path(self.config.data[0].folder) / TOKENIZER)
                if self.config.tokenizer or tokenizer.exists():
                    shutil.copy(tokenizer, made / TOKENIZER)
                shutil.rmtree(target, ignore_errors=True)
                os.rename(made, target)
            except OSError as error:
                raise StorageError(f"the model could not be written to {target}: {error}") from error
        self.accelerator.wait_for_everyone()
        return target


def learning_rate(config: RunConfig, step: int, steps: int) -> float:
    """Of a step, from 0: linear warm-up, then half a cosine down to `final` of the highest."""
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = min(1.0, (step - config.warmup) / max(1, steps - config.warmup))
    return config.learning_rate * (config.final + (1 - config.final) * 0.5 * (1 + math.cos(math.pi * done)))


def checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints of a run, oldest first."""
    return sorted(path for path in (folder / CHECKPOINTS).glob("step-*") if (path / _STATE).exists())


def _quieten() -> None:
    """Libraries that tell of what is meant: embeddings that are shared, files that are written."""
    transformers_logging.disable_progress_bar()
    logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)


def _open_validation(folder: Path, scratch: Path | None) -> Documents | None:
    try:
        return open_documents(folder, VALIDATION, scratch)
    except InputError:
        return None


def _check_tokenizers(sources: Sequence[Documents]) -> None:
    if len({source.tokenizer for source in sources}) > 1:
        raise InputError("the data was made with different tokenizers; export all of it with the same one")


def _cut_log(path: Path, step: int) -> None:
    """Drop what was logged after a step: it is done again."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text().splitlines():
        try:
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue  # torn by a kill
    write_atomically(path, "".join(f"{line}\n" for line in kept).encode())


class _Writer:
    """log.jsonl, and TensorBoard's events where it is installed."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / LOG).open("a")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            self._board = None
        else:
            self._board = SummaryWriter(str(folder / "tensorboard"))

    def add(self, record: dict[str, Any]) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._board is None:
            return
        step = record["step"]
        for name, value in (record | record.get("validation", {})).items():
            if isinstance(value, int | float) and name not in ("step",):
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        self._file.close()
        if self._board is not None:
            self._board.close()
