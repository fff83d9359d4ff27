"""Numbers that tell programs apart, from unoptimised IR text: what a nearest neighbour or a tree can learn from."""

from __future__ import annotations

import math
import re
from collections import Counter

_OPCODES = (
    "add", "sub", "mul", "sdiv", "udiv", "srem", "urem", "shl", "lshr", "ashr", "and", "or", "xor", "fadd", "fsub",
    "fmul", "fdiv", "fneg", "icmp", "fcmp", "select", "phi", "trunc", "zext", "sext", "bitcast", "ptrtoint", "inttoptr",
    "fptrunc", "fpext", "fptosi", "sitofp", "uitofp", "alloca", "load", "store", "getelementptr", "call", "invoke",
    "landingpad", "br", "switch", "ret", "unreachable", "extractvalue", "insertvalue", "extractelement",
    "insertelement", "shufflevector", "atomicrmw", "cmpxchg", "freeze",
)
_SHAPES = {  # of the text: what opcodes alone do not say
    "conditional branches": re.compile(r"^  br i1 ", re.MULTILINE),
    "cases": re.compile(r"^    i\d+ -?\d+, label ", re.MULTILINE),
    "blocks": re.compile(r"^[\w.$-]+:(?: |$)", re.MULTILINE),
    "functions": re.compile(r"^define ", re.MULTILINE),
    "internal functions": re.compile(r"^define (?:internal|private|linkonce_odr) ", re.MULTILINE),
    "declarations": re.compile(r"^declare ", re.MULTILINE),
    "globals": re.compile(r"^@\S+ = ", re.MULTILINE),
    "strings": re.compile(r"^@\S+ = private unnamed_addr constant \[\d+ x i8\]", re.MULTILINE),
    "intrinsics": re.compile(r" call [^@\n]*@llvm\.", re.MULTILINE),
    "lifetimes": re.compile(r" call [^@\n]*@llvm\.lifetime\.", re.MULTILINE),
    "copies": re.compile(r" call [^@\n]*@llvm\.mem", re.MULTILINE),
    "indirect calls": re.compile(r" (?:call|invoke) [^@\n]*?%[\w.]+\(", re.MULTILINE),
    "variable arguments": re.compile(r", \.\.\.\)", re.MULTILINE),
    "i1": re.compile(r"\bi1\b"), "i8": re.compile(r"\bi8\b"), "i16": re.compile(r"\bi16\b"),
    "i32": re.compile(r"\bi32\b"), "i64": re.compile(r"\bi64\b"), "i128": re.compile(r"\bi128\b"),
    "float": re.compile(r"\bfloat\b"), "double": re.compile(r"\bdouble\b"), "vectors": re.compile(r"<\d+ x "),
    "aggregates": re.compile(r"getelementptr inbounds %(?:struct|class|union)"), "volatile": re.compile(r" volatile "),
    "zero": re.compile(r", 0$", re.MULTILINE), "one": re.compile(r", 1$", re.MULTILINE),
}
_INSTRUCTION = re.compile(r"^  (?:%\S+ = )?(?:(?:tail|musttail|notail) )?([a-z]+)", re.MULTILINE)

NAMES = (*_OPCODES, *_SHAPES, "instructions", "instructions a block", "loads an instruction", "calls an instruction")
"""What the numbers of `features` are."""


def features(ir: str) -> list[float]:
    """Logarithms of counts, and a few ratios, in the order of NAMES."""
    counts = Counter(_INSTRUCTION.findall(ir))
    opcodes = [counts[name] for name in _OPCODES]
    shapes = {name: len(pattern.findall(ir)) for name, pattern in _SHAPES.items()}
    total = sum(opcodes)
    logs = [math.log1p(count) for count in (*opcodes, *shapes.values(), total)]
    least = max(1, total)
    return [*logs, math.log1p(total / max(1, shapes["blocks"] + shapes["functions"])),
            counts["load"] / least, (counts["call"] + counts["invoke"]) / least]
