"""One run's configuration: frozen, checked when it is made, kept as run.toml in the run's folder and checkpoints."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from llm_compiler.errors import InputError
from llm_compiler.models.shapes import shape_of
from llm_compiler.paths import write_atomically

STAGES = ("pretraining", "emulation", "flags", "disassembly")
REPLAY = 0.15
"""Of the tokens of every earlier stage, how many stand in a stage's mixture (arXiv 2407.02524, section 3)."""

PRECISIONS = ("bf16", "fp32")
ATTENTION = ("flex", "sdpa", "auto")
FILE = "run.toml"


@dataclass(frozen=True)
class Data:
    """Tokenised shards (`llmc dataset export`). share: of their tokens that stand in one epoch of the mixture."""

    folder: str
    share: float = 1.0


@dataclass(frozen=True)
class RunConfig:
    """What decides a run.

    init: a checkpoint or any Llama folder in transformers' form; empty to begin with random weights. context: tokens of
    a row. batch: tokens of a step. epochs: passes over the mixture. learning_rate: the highest, after `warmup` steps;
    it ends at `final` of it, by a cosine. rows_at_once: rows of a micro-batch. evaluate: steps between evaluations.
    save: seconds between checkpoints.
    """

    stage: str
    data: tuple[Data, ...]
    model: str = "34m"
    init: str = ""
    tokenizer: str = ""
    context: int = 4096
    batch: int = 131_072
    epochs: float = 1.0
    learning_rate: float = 1e-3
    warmup: int = 100
    final: float = 0.1
    weight_decay: float = 0.1
    beta1: float = 0.9
    beta2: float = 0.95
    clip: float = 1.0
    rows_at_once: int = 8
    seed: int = 0
    precision: str = "bf16"
    attention: str = "auto"
    compile: bool = True
    recompute: bool = False
    evaluate: int = 500
    evaluate_tokens: int = 500_000
    save: float = 300.0

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            raise InputError(f"there is no stage '{self.stage}'; use {', '.join(STAGES)}")
        if not self.data:
            raise InputError("a run needs data: name folders that `llmc dataset export` wrote")
        shape_of(self.model)
        for name, known in (("precision", PRECISIONS), ("attention", ATTENTION)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} is {', '.join(known)}, not '{getattr(self, name)}'")
        for name in ("context", "batch", "rows_at_once", "evaluate", "evaluate_tokens"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} must be at least 1")
        for name in ("epochs", "learning_rate", "clip", "save"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} must be more than 0")
        if not 0 <= self.final <= 1 or self.warmup < 0 or any(not data.share > 0 for data in self.data):
            raise InputError("final lies between 0 and 1, warmup and shares are not negative")
        if self.batch % self.context:
            raise InputError(f"a batch of {self.batch} tokens is no multiple of a row of {self.context}")

    @property
    def rows(self) -> int:
        """Rows of a step, on all devices together."""
        return self.batch // self.context

    def text(self) -> str:
        """As TOML."""
        lines = [f"{field.name} = {_toml(getattr(self, field.name))}" for field in fields(self) if field.name != "data"]
        for data in self.data:
            lines += ["", "[[data]]", *(f"{name} = {_toml(value)}" for name, value in asdict(data).items())]
        return "\n".join(lines) + "\n"

    def write(self, folder: Path) -> None:
        write_atomically(folder / FILE, self.text().encode())

    @classmethod
    def read(cls, path: Path) -> RunConfig:
        """A run.toml. Raises InputError for what is none."""
        try:
            return cls.of(tomllib.loads(path.read_text()))
        except FileNotFoundError as error:
            raise InputError(f"there is no {path}") from error
        except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{path} is no configuration of a run: {error}") from error

    @classmethod
    def of(cls, values: dict[str, Any]) -> RunConfig:
        """Raises InputError for names or values that no configuration has."""
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(set(values) - set(known))
        if unknown:
            raise InputError(f"a run's configuration has no '{unknown[0]}'; it has {', '.join(known)}")
        try:
            data = tuple(Data(**item) for item in values.get("data", ()))
            checked = {name: _checked(name, value, known[name].type) for name, value in values.items()
                       if name != "data"}
            return cls(**{**checked, "data": data})
        except TypeError as error:
            raise InputError(f"a run's configuration is wrong: {error}") from error


def _checked(name: str, value: Any, kind: Any) -> Any:
    """The value as its field has it; a whole number does for a real one."""
    wanted = {"str": str, "int": int, "float": float, "bool": bool}[str(kind)]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        raise InputError(f"{name} = {value!r} in a run's configuration is no {kind}")
    return value


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)
