"""Wrong answers to questions for the IR of functions: which functions of test_disassemble, and what is changed."""

from __future__ import annotations

import re
from collections.abc import Callable

Change = Callable[[str], str]


def swap(old: str, new: str) -> Change:
    def change(text: str) -> str:
        assert old in text, text
        return text.replace(old, new)
    return change


def pattern(old: str, new: str) -> Change:
    def change(text: str) -> str:
        changed, times = re.subn(old, new, text, flags=re.MULTILINE)
        assert times, text
        return changed
    return change


def also(more: str) -> Change:
    return lambda text: f"{text}\n{more}\n"


def body(*lines: str, result: str = "i32", words: str = "") -> Change:
    """`combine` with another body."""
    inner = "".join(f"  {line}\n" if not line.endswith(":") else f"{line}\n" for line in lines)
    return lambda _: f"define {result} @combine(i32 %0, i32 %1) {words}{{\n{inner}}}\n"


def crossed(text: str) -> str:
    """A switch with two of its targets exchanged."""
    one, other = re.findall(r"i32 [45], label %(\d+)", text)
    return text.replace(f"i32 4, label %{one}", "i32 4, label %X").replace(
        f"i32 5, label %{other}", f"i32 5, label %{one}").replace("label %X", f"label %{other}")


HELLO = '[19 x i8] c"hello %s, welcome\\0A\\00"'
TABLE = "[5 x i32] [i32 3, i32 1, i32 4, i32 1, i32 5]"
ASSEMBLY = 'tail call i32 asm "leal (%rdi,%rdi,2), %eax; subl %esi, %eax", "={ax},{di},{si}"(i32 %0, i32 %1)'
CALLEE = r"^declare .*@first\(.*$"
HEAD = r"^(define .*\)[^#{]*)"
NARROW = """define i64 @wide(i64 %0, i64 %1) {
  %3 = trunc i64 %0 to i32
  %4 = trunc i64 %1 to i32
  %5 = add i32 %3, %4
  %6 = sext i32 %5 to i64
  ret i64 %6
}
"""
SWAPPED = """define void @keep(ptr %0, i32 %1) {
  %3 = add i32 %1, 7
  store i32 %3, ptr %0, align 4
  %4 = getelementptr i32, ptr %0, i64 2
  store i32 %1, ptr %4, align 4
  ret void
}
"""

WRONG: dict[str, tuple[str, Change]] = {
    "a constant": ("combine", swap("i32 %0, 3", "i32 %0, 5")),
    "a constant of a store": ("keep", swap("%1, 7", "%1, 8")),
    "swapped operands": ("combine", swap("i32 %3, %1", "i32 %1, %3")),
    "another operation": ("combine", pattern(r"= sub (?:nsw )?i32", "= add i32")),
    "a dropped store": ("keep", pattern(r"^  store i32 %1, .*\n", "")),
    "another place": ("keep", pattern(r"(getelementptr .*i64) 2$", r"\1 3")),
    "a narrower store": ("keep", pattern(r"store i32 %1, ", "%low = trunc i32 %1 to i16\n  store i16 %low, ")),
    "another callee": ("relay", swap("@first(", "@second(")),
    "other arguments": ("relay", swap("i32 noundef %0, i32 noundef %1) #", "i32 noundef %1, i32 noundef %0) #")),
    "a dropped call": ("greet", pattern(r"^  .*call i32 .*@printf.*\n  %3", "  %2")),
    "other text": ("greet", swap("hello", "hullo")),
    "longer text": ("greet", swap(HELLO, '[20 x i8] c"hello %s, welcome\\0A!\\00"')),
    "text without its end": ("greet", swap(HELLO, '[18 x i8] c"hello %s, welcome\\0A"')),
    "another variable": ("greet", swap("@counter", "@countdown")),
    "another comparison": ("below", swap("icmp slt", "icmp sle")),
    "an unsigned comparison": ("below", swap("icmp slt", "icmp ult")),
    "a narrower addition": ("wide", lambda _: NARROW),
    "a narrower function": ("wide", lambda text: text.replace("i64", "i32")),
    "a table's element": ("look", swap("i32 3, i32 1", "i32 3, i32 2")),
    "a shorter table": ("look", swap(TABLE, "[4 x i32] [i32 3, i32 1, i32 4, i32 1]")),
    "a longer table": ("look", swap(TABLE, "[6 x i32] [i32 3, i32 1, i32 4, i32 1, i32 5, i32 9]")),
    "a table that can be written": ("look", swap("internal unnamed_addr constant", "internal unnamed_addr global")),
    "another bound": ("look", swap("icmp ult i32 %0, 5", "icmp ult i32 %0, 6")),
    "other targets of a switch": ("choose", crossed),
    "swapped strings": ("choose", swap('c"two\\00"', 'c"bob\\00"')),
    "another value of a phi": ("choose", swap("[ 77, ", "[ 78, ")),
    "another number": ("scale", swap("1.500000e+00", "1.250000e+00")),
    "an addition that is left out": ("scale", pattern(r"double 2\.5\d+e-01\)", "double 0.000000e+00)")),
    "a loop without an end": ("combine", body("br label %3", "3:", "br label %3")),
    "nothing": ("combine", body("unreachable")),
    "undef": ("combine", body("ret i32 undef")),
    "no result": ("combine", body("ret void", result="void")),
    "another function": ("combine", swap("@combine(", "@combined(")),
    "a local function": ("combine", swap("define dso_local", "define internal")),
    "a body for others": ("combine", swap("define dso_local", "define available_externally dso_local")),
    "a section that is more": ("combine", also('@c = private constant i8 1, section "x\\0A\\09ret"')),
    "a library": ("combine", also('!llvm.dependent-libraries = !{!9}\n!9 = !{!"m"}')),
    "only a declaration": ("combine", lambda _: "declare i32 @combine(i32, i32)\n"),
    "a second function": ("combine", also("define i32 @more() {\n  ret i32 1\n}")),
    "the callee, too": ("relay", pattern(CALLEE, "define i32 @first(i32 %0, i32 %1) {\n  ret i32 0\n}")),
    "a local callee": ("relay", pattern(
        CALLEE, "define internal i32 @first(i32 %0, i32 %1) noinline {\n  ret i32 0\n}")),
    "the variable, too": ("greet", pattern(r"^@counter = external (.*) i32, align 4", r"@counter = \1 i32 0, align 4")),
    "inline assembly": ("combine", body(f"%3 = {ASSEMBLY}", "ret i32 %3")),
    "module assembly": ("combine", also('module asm ".globl first"\nmodule asm "first: ret"')),
    "an alias": ("combine", also("@other = alias i32 (i32, i32), ptr @combine")),
    "an ifunc": ("combine", also("@other = ifunc i32 (i32, i32), ptr @combine")),
    "a constructor": ("keep", also("@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] "
                                   "[{ i32, ptr, ptr } { i32 1, ptr @keep, ptr null }]")),
    "it does not return": ("combine", pattern(HEAD, r"\1 noreturn ")),
    "it writes nothing": ("keep", pattern(r"memory\([^)]*\)", "memory(none)")),
    "it only reads": ("greet", pattern(HEAD, r"\1 memory(read) ")),
    "an argument is returned": ("combine", pattern(r"(define .*\()i32 ", r"\1i32 returned ")),
    "a callee does not return": ("relay", pattern(r"^(declare .*@first\(.*\)[^#\n]*)", r"\1 noreturn ")),
    "naked": ("combine", body("unreachable", words="naked ")),
    "a prologue": ("combine", pattern(r"^(define .*)\{$", r"\1prologue i8 -112 {")),
    "for another machine": ("combine", swap("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu")),
    "a huge constant": ("combine", also("@big = private constant [4000000000 x i8] zeroinitializer")),
    "cut off": ("combine", lambda text: text[: text.index("ret i32")]),
    "no IR": ("combine", lambda _: "int combine(int a, int b) { return a * 3 - b; }"),
    "a type that is unknown": ("combine", swap("i32 %0, 3", "%struct.none %0, 3")),
    "not in SSA form": ("combine", pattern(r"  ret i32 %4", "  ret i32 %5\n  %5 = add i32 %3, 1")),
}

UNPRINTED = ("cut off", "no IR", "a type that is unknown")
"""What LLVM does not print, so that it has no compact form."""


def no_result(text: str) -> str:
    return re.sub(r"^  ret i64 .*$", "  ret void", text.replace("define dso_local i64", "define dso_local void"),
                  flags=re.MULTILINE)


# Where code differs from the original's anyway, only running it can tell.
WRONG_WHEN_RUN: dict[str, tuple[str, Change]] = {
    "a constant": ("adler", swap(", 65521", ", 65520")),
    "a first value": ("adler", swap("phi i32 [ 1, ", "phi i32 [ 2, ")),
    "a shift": ("adler", pattern(r"= shl (?:nuw |nsw )*i32 (%\d+), 16", r"= shl i32 \1, 15")),
    "a signed byte": ("adler", pattern(r"= zext i8 (%\d+) to i32", r"= sext i8 \1 to i32")),
    "no result": ("count", no_result),
    "another factor": ("count", swap(", 5", ", 6")),
    "a special case that is left out": ("rare", lambda _: (
        "define i32 @rare(i32 %0, i32 %1) {\n  %3 = add i32 %0, %1\n  ret i32 %3\n}\n")),
    "another special case": ("rare", swap("74565", "74566")),
    "a narrower count": ("count", lambda text: text.replace("i64", "i32")),
    "swapped operands": ("combine", swap("i32 %3, %1", "i32 %1, %3")),
    "another comparison": ("below", swap("icmp slt", "icmp sgt")),
    "an unsigned comparison": ("below", swap("icmp slt", "icmp ult")),
    "swapped stores": ("keep", lambda _: SWAPPED),
    "the other branch": ("rare", pattern(r"select i1 (%\d+), i32 7, i32 (%\d+)", r"select i1 \1, i32 \2, i32 7")),
}
ONLY_WHEN_RUN = ("swapped operands", "another comparison", "an unsigned comparison", "the other branch")
"""Those of code that looks alike: the same numbers, the same calls."""
