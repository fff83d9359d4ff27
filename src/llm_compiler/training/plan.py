"""What a training run takes: operations, memory, devices, days, money. Arithmetic alone; nothing is run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from llm_compiler.errors import InputError
from llm_compiler.models.shapes import Shape, shape_of
from llm_compiler.training.config import FILE, RunConfig


@dataclass(frozen=True)
class Device:
    """peak: dense bf16 operations a second that the datasheet promises; memory: bytes."""

    name: str
    peak: float
    memory: float


DEVICES: Mapping[str, Device] = MappingProxyType({device.name: device for device in (
    Device("A100", 312e12, 80e9), Device("L40S", 362e12, 48e9), Device("H100", 989e12, 80e9),
    Device("H200", 989e12, 141e9), Device("B200", 2250e12, 180e9))})

REFERENCE_TOKENS: Mapping[str, float] = MappingProxyType(
    {"pretraining": 401e9, "emulation": 145e9, "flags": 84e9, "disassembly": 80e9})
"""Tokens of the reference's stages (arXiv 2407.02524, figure 2)."""

# Bytes of one layer's activations that are kept for a token and a hidden number (Korthikanti et al., arXiv 2205.05198,
# equation 2, without the attention matrix, which flash attention never stores), and with recomputation.
_ACTIVATION, _RECOMPUTED = 34.0, 2.0
# Master weights, their gradients and AdamW's two moments in float32, and the copy in bf16 that is multiplied with.
_STATE = 16.0 + 2.0
_LOGITS = 4.0 + 4.0 + 2.0  # of a token and a vocabulary entry: float32, its gradient, bf16
_RESERVE = 0.9  # of a device's memory that a run may count on


@dataclass(frozen=True)
class Plan:
    """memory: bytes a device needs; fits: whether it has them. days, gpu_hours and cost are of the whole run."""

    shape: Shape
    tokens: float
    context: int
    device: Device
    devices: int
    flops: float
    days: float
    gpu_hours: float
    cost: float
    tokens_a_second: float
    memory: float
    rows_at_once: int
    recompute: bool
    fits: bool


def plan(shape: Shape, tokens: float, device: Device, devices: int, *, context: int = 16_384, document: float = 4096.0,
         mfu: float = 0.4, price: float = 0.0, rows_at_once: int = 1, recompute: bool = False) -> Plan:
    """A run of `tokens` on `devices`, which share weights and optimizer evenly (FSDP).

    document: mean tokens of what attends to itself. mfu: the share of the peak that is reached. price: of a device's
    hour. Raises InputError for numbers that make no sense.
    """
    if tokens <= 0 or devices < 1 or not 0 < mfu <= 1 or document <= 0 or price < 0 or rows_at_once < 1:
        raise InputError("tokens, devices and documents must be positive, MFU lies between 0 and 1")
    attended = min(document, context) / 2
    flops = tokens * shape.training_flops(attended)
    rate = mfu * device.peak * devices
    seconds = flops / rate
    memory = memory_of(shape, devices, context, rows_at_once, recompute=recompute)
    hours = seconds * devices / 3600
    return Plan(shape, tokens, context, device, devices, flops, seconds / 86_400, hours, hours * price,
                tokens / seconds, memory, rows_at_once, recompute, memory <= _RESERVE * device.memory)


def memory_of(shape: Shape, devices: int, context: int, rows: int, *, recompute: bool) -> float:
    """Bytes on each device: its share of the state, one layer gathered, activations and logits of a micro-batch."""
    tokens = context * rows
    kept = _RECOMPUTED * shape.layers + _ACTIVATION if recompute else _ACTIVATION * shape.layers
    return (_STATE * shape.parameters / devices + 2.0 * shape.layer_parameters + kept * tokens * shape.hidden
            + _LOGITS * tokens * shape.vocabulary)


def tokens_of(text: str) -> float:
    """A number as 84B, 1.5M or 300000000. Raises InputError."""
    units = {"K": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}
    unit = units.get(text[-1:].upper(), 1.0)
    try:
        return float(text[:-1] if unit != 1.0 else text) * unit
    except ValueError as error:
        raise InputError(f"'{text}' is no number of tokens; write 84B, 500M or 300000") from error


@dataclass(frozen=True)
class Measured:
    """A run that was made, beside what the plan says of it at the MFU that it had. seconds: of its steps."""

    tokens: int
    seconds: float
    mfu: float | None
    predicted_seconds: float | None


def measured(folder: Path, device: Device | None = None) -> Measured:
    """The run in a folder (`llmc train`), from its configuration and log. Its median MFU leaves warm-up aside.

    Raises InputError for a folder without a run.
    """
    config = RunConfig.read(folder / FILE)
    try:
        records = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
        steps = [record for record in records if "loss" in record]
        last = steps[-1]
        tokens, seconds = int(last["tokens"]), float(last["seconds"])
    except (OSError, ValueError, KeyError, IndexError) as error:
        raise InputError(f"{folder} holds no log of a run") from error
    found = [record["mfu"] for record in steps[len(steps) // 4 :] if record.get("mfu")]
    if not found or device is None:
        return Measured(tokens, seconds, None, None)
    mfu = statistics.median(found)
    made = plan(shape_of(config.model), tokens, device, 1, context=config.context, mfu=mfu, document=config.context)
    return Measured(tokens, seconds, mfu, made.days * 86_400)
