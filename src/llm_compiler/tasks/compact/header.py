"""What a module says of itself, and its globals: target, data layout, module flags, strings; shorter and back."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from llm_compiler.llvm.target import AARCH64, X86_64

LAYOUTS = {
    X86_64: "e-m:e-p270:32:32-p271:32:32-p272:64:64-i64:64-f80:128-n8:16:32:64-S128",
    AARCH64: "e-m:e-i8:8:32-i16:16:32-i64:64-i128:128-n32:64-S128",
}
"""Data layouts that LLVM 17 gives the two targets (X86TargetMachine.cpp, AArch64TargetMachine.cpp)."""

Flags = tuple[tuple[str, int], ...]
_BEHAVIOURS = {"wchar_size": 1, "PIC Level": 8, "PIE Level": 7, "uwtable": 7, "frame-pointer": 7, "RtLibUseGOT": 7,
               "Code Model": 1, "openmp": 7, "direct-access-external-data": 7}
# Flags of modules as clang makes them without options, with -fPIC and with -fPIE, by name.
_USUAL: dict[str, Flags] = {
    "": (),
    "static": (("wchar_size", 4), ("uwtable", 2)),
    "pic": (("wchar_size", 4), ("PIC Level", 2), ("uwtable", 2)),
    "pie": (("wchar_size", 4), ("PIC Level", 2), ("PIE Level", 2), ("uwtable", 2)),
}
_STRING = re.compile(r'(@\S+) = private unnamed_addr constant \[(\d+) x i8\] c"([^"]*)\\00", align 1$')
_SHORT_STRING = re.compile(r'(@\S+) = str "([^"]*)"$')


# --- target ------------------------------------------------------------------------------------------------------


def short_target(lines: Sequence[str]) -> list[str]:
    """Lines for triple and data layout where they are not the usual ones."""
    found = dict(re.findall(r'^target (triple|datalayout) = "([^"]*)"', "\n".join(lines), re.MULTILINE))
    triple = found.get("triple", "")
    out = [] if triple == X86_64 else [f"target {triple or 'none'}"]
    layout = found.get("datalayout", "")
    return out if layout == LAYOUTS.get(triple, "") else [*out, f"layout {layout or 'none'}"]


def long_target(triple: str, layout: str | None) -> list[str]:
    """layout: None for that of the triple."""
    layout = LAYOUTS.get(triple, "") if layout is None else layout
    return ([f'target datalayout = "{layout}"'] if layout else []) + ([f'target triple = "{triple}"'] if triple else [])


# --- module flags ------------------------------------------------------------------------------------------------


def short_flags(value: str, nodes: Mapping[int, str]) -> list[str] | None:
    """The line for the module's flags, none for an empty list of them; None when one is unusual.

    value: of `!llvm.module.flags`.
    """
    found = []
    for number in re.findall(r"!(\d+)", value):
        match = re.fullmatch(r'!\{i32 (\d+), !"([^"]+)", i32 (\d+)\}', nodes.get(int(number), ""))
        if match is None or _BEHAVIOURS.get(match[2]) != int(match[1]):
            return None
        found.append((match[2], int(match[3])))
    usual = next((name for name, known in _USUAL.items() if known == tuple(found)), None)
    if usual is not None:
        return [f"flags {usual}"] if usual else []
    return [f"flags {', '.join(f'{name} {number}' for name, number in found)}"]


def parse_flags(text: str) -> Flags:
    """What follows `flags` in a line of compact IR; flags that nobody knows are passed over."""
    found = [item.rpartition(" ") for item in text.split(", ")]
    return _USUAL.get(text) or tuple(
        (name, int(value)) for name, _, value in found if value.isdecimal() and name in _BEHAVIOURS)


def long_flags(flags: Flags, first: int) -> list[str]:
    """first: the number of the first flag's node."""
    if not flags:
        return []
    listed = ", ".join(f"!{first + at}" for at in range(len(flags)))
    return [f"!llvm.module.flags = !{{{listed}}}",
            *(f'!{first + at} = !{{i32 {_BEHAVIOURS[name]}, !"{name}", i32 {value}}}'
              for at, (name, value) in enumerate(flags))]


# --- strings -----------------------------------------------------------------------------------------------------


def short_global(line: str) -> str:
    match = _STRING.match(line)
    if match and _bytes_of(match[3]) + 1 == int(match[2]):
        return f'{match[1]} = str "{match[3]}"'
    return line


def long_global(line: str) -> str:
    match = _SHORT_STRING.match(line)
    if match is None:
        return line
    return (f'{match[1]} = private unnamed_addr constant [{_bytes_of(match[2]) + 1} x i8] c"{match[2]}\\00", '
            "align 1")


def _bytes_of(text: str) -> int:
    """Bytes of a string as LLVM prints it, escapes and all."""
    return len(re.sub(r"\\[0-9A-F]{2}|\\\\", ".", text).encode())
