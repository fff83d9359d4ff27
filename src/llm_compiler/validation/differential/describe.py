"""Counterexamples in words."""

from __future__ import annotations

import struct

from llm_compiler.validation.differential.driver import Driver, Entry
from llm_compiler.validation.differential.program import Event, Run, RunStatus
from llm_compiler.validation.interface import Kind, Parameter

_ARGUMENT, _CALL, _CALL_ARGUMENT, _RESULT, _MEMORY, _GLOBAL, _OUTPUT = range(1, 8)
_ORIGIN = 0x15540  # where an object begins in its region (runtime.c)
_ARENA = range(0x100000000000, 0x200000000000)


def describe(driver: Driver, entry: Entry, expected: Run, told: Run) -> tuple[str, str]:
    """The call, and how `told` (the candidate) differs from `expected` (clang's)."""
    arguments = [
        _value(item, event.place)
        for event in expected.events if event.kind == _ARGUMENT
        for item in entry.signature.parameters[event.index : event.index + 1]
    ]
    return f"{entry.function.name}({', '.join(arguments)})", _difference(driver, entry, expected, told)


def _value(item: Parameter, raw: int) -> str:
    if item.kind is Kind.POINTER:
        if raw == 0:
            return "null"
        return f"object {raw >> 20 & 0xFFFFFF:x}" if raw in _ARENA else f"{raw:#x}"
    if item.kind is Kind.DOUBLE:
        return repr(struct.unpack("<d", struct.pack("<Q", raw))[0])
    if item.kind is Kind.FLOAT:
        return repr(struct.unpack("<f", struct.pack("<I", raw & 0xFFFFFFFF))[0])
    if item.kind is Kind.INT and item.bits < 64:
        raw &= (1 << item.bits) - 1
    if item.kind is Kind.INT and item.bits <= 64 and item.bits > 1 and raw >> (item.bits - 1):
        return str(raw - (1 << item.bits))
    return str(raw)


def _difference(driver: Driver, entry: Entry, expected: Run, told: Run) -> str:
    if expected.status != told.status:
        return f"clang's {_ending(driver, expected)}, the candidate {_ending(driver, told)}"
    if expected.result != told.result:
        result = entry.signature.result
        if result is not None and result.kind is not Kind.POINTER:
            return f"clang's returns {_value(result, expected.result)}, the candidate {_value(result, told.result)}"
        return "they return different pointers"
    if expected.calls != told.calls:
        return _first_call(driver, expected, told)
    if expected.memory != told.memory:
        return _first_store(expected, told)
    return "what was passed or returned by value differs"


def _ending(driver: Driver, run: Run) -> str:
    if run.status is RunStatus.RETURNED:
        return "returns"
    if run.status is RunStatus.ENDED_BY_CALL:
        known = run.where < len(driver.stubs)
        return f"ends in {driver.stubs[run.where].name}" if known else "ends the process or throws"
    if run.status is RunStatus.CRASHED:
        return f"crashes (signal {run.signal} at {run.where:#x})"
    return {RunStatus.HUNG: "does not end", RunStatus.OUT_OF_MEMORY: "needs too much memory"}.get(
        run.status, "could not be run")


def _calls(driver: Driver, events: tuple[Event, ...]) -> list[tuple[str, tuple[int, ...]]]:
    calls: list[tuple[str, list[int]]] = []
    for event in events:
        if event.kind == _CALL:
            calls.append((driver.stubs[event.index].name, []))
        elif event.kind == _CALL_ARGUMENT and calls:
            calls[-1][1].append(event.value)
        elif event.kind == _OUTPUT:
            calls.append(("output", [event.value]))
    return [(name, tuple(values)) for name, values in calls]


def _first_call(driver: Driver, expected: Run, told: Run) -> str:
    ours, theirs = _calls(driver, expected.events), _calls(driver, told.events)
    for number, (one, other) in enumerate(zip(ours, theirs, strict=False), start=1):
        if one[0] != other[0]:
            return f"call {number}: clang's is of {one[0]}, the candidate's of {other[0]}"
        if one[1] != other[1]:
            return f"call {number}, of {one[0]}: the arguments differ"
    if len(ours) != len(theirs):
        return f"clang's makes {len(ours)} calls, the candidate {len(theirs)}"
    return "the calls differ"


def _first_store(expected: Run, told: Run) -> str:
    ours = {(event.kind, event.place, event.index): event.value
            for event in expected.events if event.kind in (_MEMORY, _GLOBAL)}
    theirs = {(event.kind, event.place, event.index): event.value
              for event in told.events if event.kind in (_MEMORY, _GLOBAL)}
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            what = "a global" if key[0] == _GLOBAL else "memory behind a pointer"
            one = f"{ours[key]:#x}" if key in ours else "nothing"
            other = f"{theirs[key]:#x}" if key in theirs else "nothing"
            offset = key[2] if key[0] == _GLOBAL else key[2] - _ORIGIN
            return f"at offset {offset} of {what} clang's leaves {one}, the candidate {other}"
    return "memory differs"
