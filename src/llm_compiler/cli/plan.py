"""`llmc plan`: what training a model would take."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llm_compiler.errors import InputError

if TYPE_CHECKING:
    from llm_compiler.training.plan import Device


def plan(
    model: Annotated[str, typer.Option("--model", metavar="NAME", help="A preset: 3m to 13b.")] = "7b",
    stage: Annotated[str | None, typer.Option(
        "--stage", metavar="STAGE", help="One of the reference's stages; all four unless said.")] = None,
    tokens: Annotated[str | None, typer.Option(
        "--tokens", metavar="N", help="Tokens of the run, as 84B or 500M, instead of the reference's.")] = None,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help="A100, L40S, H100, H200 or B200.")] = "H100",
    devices: Annotated[int, typer.Option("--devices", metavar="N", min=1, help="How many.")] = 128,
    context: Annotated[int, typer.Option("--context", metavar="N", min=1, help="Tokens of a row.")] = 16_384,
    document: Annotated[float, typer.Option(
        "--document", metavar="N", min=1, help="Tokens of a document on average: what attends to itself.")] = 4096,
    rows: Annotated[int, typer.Option("--rows", metavar="N", min=1, help="Rows of a micro-batch.")] = 1,
    recompute: Annotated[bool, typer.Option("--recompute", help="Keep no activations within layers.")] = False,
    mfu: Annotated[float, typer.Option("--mfu", metavar="SHARE", help="Share of the peak that is reached.")] = 0.4,
    price: Annotated[float, typer.Option("--price", metavar="MONEY", min=0, help="Of a device's hour.")] = 2.0,
    run: Annotated[Path | None, typer.Option(
        "--run", metavar="DIR", help="Compare with a run that `llmc train` made on one such device.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> int:
    """Say what training takes: tokens, operations, memory of a device, days, device-hours, cost. Nothing is run."""
    from llm_compiler.models.shapes import shape_of
    from llm_compiler.training.plan import DEVICES, REFERENCE_TOKENS, tokens_of
    from llm_compiler.training.plan import plan as make

    if device not in DEVICES:
        raise InputError(f"there is no device '{device}'; use {', '.join(DEVICES)}")
    if run is not None:
        return _compare(run, DEVICES[device], as_json)
    if stage is not None and stage not in REFERENCE_TOKENS:
        raise InputError(f"there is no stage '{stage}'; use {', '.join(REFERENCE_TOKENS)}")
    shape = shape_of(model, context=context)
    wanted = {stage: REFERENCE_TOKENS[stage]} if stage else dict(REFERENCE_TOKENS)
    if tokens is not None:
        wanted = {stage or "run": tokens_of(tokens)}
    plans = {name: make(shape, number, DEVICES[device], devices, context=context, document=document, mfu=mfu,
                        price=price, rows_at_once=rows, recompute=recompute) for name, number in wanted.items()}
    if as_json:
        print(json.dumps({name: asdict(found) for name, found in plans.items()}, indent=1))
        return 0
    some = next(iter(plans.values()))
    print(f"{model}: {shape.parameters / 1e6:,.1f} million parameters; {devices} x {device} at {100 * mfu:.0f} % of "
          f"the peak: {some.tokens_a_second:,.0f} tokens/s")
    print(f"memory of a device: {some.memory / 1e9:.1f} of {some.device.memory / 1e9:.0f} GB"
          + ("" if some.fits else "; too much: take more devices, fewer rows, or --recompute"))
    print(f"{'stage':12} {'tokens':>9} {'PFLOP':>12} {'days':>8} {'GPU-hours':>10} {'cost':>12}")
    for name, found in plans.items():
        print(f"{name:12} {found.tokens / 1e9:8.2f}B {found.flops / 1e15:12,.0f} {found.days:8.2f} "
              f"{found.gpu_hours:10,.0f} {found.cost:12,.0f}")
    if len(plans) > 1:
        print(f"{'all':12} {sum(p.tokens for p in plans.values()) / 1e9:8.2f}B "
              f"{sum(p.flops for p in plans.values()) / 1e15:12,.0f} {sum(p.days for p in plans.values()):8.2f} "
              f"{sum(p.gpu_hours for p in plans.values()):10,.0f} {sum(p.cost for p in plans.values()):12,.0f}")
    return 0 if some.fits else 1


def _compare(run: Path, device: Device, as_json: bool) -> int:
    from llm_compiler.training.plan import measured

    found = measured(run, device)
    if as_json:
        print(json.dumps(asdict(found)))
    elif found.mfu is None or found.predicted_seconds is None:
        print(f"{found.tokens:,} tokens in {found.seconds:.1f} s; the run does not say what share of a peak it had")
    else:
        print(f"{found.tokens:,} tokens in {found.seconds:.1f} s; planned at its median MFU of "
              f"{100 * found.mfu:.1f} %: {found.predicted_seconds:.1f} s")
    return 0
