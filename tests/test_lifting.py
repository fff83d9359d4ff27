"""Lifting by rules: what is lifted lowers back to the same code, or does the same; what no rule covers is refused."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from llm_compiler.inference.disassembly import Disassembled, Verdict, disassemble
from llm_compiler.inference.functions import Function, read_functions
from llm_compiler.inference.rules import Rules
from llm_compiler.lifting import Choice, LiftError, Lifting
from support import write_source

SOURCE = r"""
int printf(const char *, ...); void *malloc(unsigned long); int first(int, int); void ext(int *); void stop(int);
__attribute__((noreturn)) void fatal(const char *, int);
typedef struct { long a; int b; char c; } item;
extern int counter; extern _Thread_local int mine;
static const int table[5] = {3, 1, 4, 1, 5};
int combine(int a, int b) { return a * 3 - b; }
void keep(int *p, int v) { p[0] = v; p[2] = v + 7; }
int relay(int a, int b) { return first(a, b) + 1; }
void greet(const char *who) { printf("hello %s, welcome\n", who); counter++; }
int below(int a, int b) { return a < b; }
int look(unsigned i) { return i < 5 ? table[i] : -1; }
int choose(int k) {
  switch (k) { case 0: return 40; case 1: return first(k, 7); case 2: greet("two"); return 9;
  case 3: greet("bob"); return 1; case 4: return counter; case 5: return 77; }
  return -1;
}
double scale(double x, int n) { return x * 1.5 + n; }
float half(float x) { return x < 0 ? -x : x / 2; }
unsigned adler(const unsigned char *data, unsigned long length) {
  unsigned a = 1, b = 0;
  while (length--) { a = (a + *data++) % 65521; b = (b + a) % 65521; }
  return b << 16 | a;
}
int local(int n) { int v = n; ext(&v); return v + n; }
int field(item *p, long i) { return p[i].b + p[i].c; }
item *make(long n) { item *p = malloc(sizeof(item) * n); if (!p) fatal("memory", 3); p->a = n; return p; }
unsigned rotate(unsigned x) { return x << 7 | x >> 25; }
unsigned long swap(unsigned long x) { return __builtin_bswap64(x); }
int divide(int a, int b, int *rest) { *rest = a % b; return a / b; }
int swapped(int *p, int old, int new) { return __sync_bool_compare_and_swap(p, old, new); }
int thread(void) { return ++mine; }
void back(int (*f)(int), int n) { if (n) stop(f(n)); }
short narrow(short a, signed char b) { return a * b; }
void clear(long *p) { p[0] = 0; p[1] = -1; }
int vprint(const char *, __builtin_va_list);
void tell(int level, const char *text, ...) {
  __builtin_va_list list; __builtin_va_start(list, text); if (level) vprint(text, list); __builtin_va_end(list);
}
"""
NAMES = ("combine", "keep", "relay", "greet", "below", "look", "choose", "scale", "half", "adler", "local", "field",
         "make", "rotate", "swap", "divide", "swapped", "thread", "back", "narrow", "clear")


@pytest.fixture(scope="module")
def lifted(tmp_path_factory: pytest.TempPathFactory, clang: str) -> dict[tuple[str, str], Disassembled]:
    """Each function's -Oz IR, lowered at both levels, with what the rules make of it."""
    folder = tmp_path_factory.mktemp("lifting")
    write_source(folder, "in.c", SOURCE)

    def run(*arguments: str) -> None:
        subprocess.run([clang, "-w", *arguments], cwd=folder, check=True)

    run("-Oz", "-S", "-emit-llvm", "in.c", "-o", "in.ll")
    found = {}
    with Rules() as rules:
        for level in ("-Oz", "-O0"):
            run(level, "-S", "-Xclang", "-disable-llvm-passes", "in.ll", "-o", "in.s")
            for item in disassemble(read_functions(folder / "in.s"), rules):
                found[item.function, level] = item
    return found


@pytest.fixture(scope="module")
def rules() -> Iterator[Rules]:
    with Rules() as made:
        yield made


@pytest.mark.parametrize("level", ["-Oz", "-O0"])
@pytest.mark.parametrize("name", NAMES)
def test_code_comes_back(lifted: dict[tuple[str, str], Disassembled], name: str, level: str) -> None:
    best = lifted[name, level].best
    assert best.verdict.good, best.sentence
    assert " undef" not in best.ir and f"@{name}(" in best.ir


def test_most_of_it_is_identical(lifted: dict[tuple[str, str], Disassembled]) -> None:
    other = [key for key, item in lifted.items()
             if key[0] in NAMES and item.best.verdict is not Verdict.IDENTICAL]
    assert len(other) <= 4, other


def test_lists_of_arguments_are_begun(lifted: dict[tuple[str, str], Disassembled]) -> None:
    for level in ("-Oz", "-O0"):
        best = lifted["tell", level].best
        assert best.verdict is not Verdict.FAILED and best.ir.count("call void @llvm.va_start(") == 1
        assert "@tell(i32 %" in best.ir and ", ...)" in best.ir and "alloca [24 x i8], align 16" in best.ir


# --- what the texts say ----------------------------------------------------------------------------------------------


def text(code: str, **choice: bool | str) -> str:
    lines = "".join(f"\t{line}\n" if not line.endswith(":") else f"{line}\n" for line in code.splitlines())
    return Lifting(f"\t.text\n\t.globl\tf\nf:\n{lines}\t.size\tf, .-f\n", "f").text(Choice(**choice))[0]  # type: ignore[arg-type]


def test_types_come_from_use() -> None:
    found = text("movl (%rdi,%rsi,4), %eax\naddl %edx, %eax\nretq")
    assert "define dso_local i32 @f(ptr %v1, i64 %v2, i32 %v3)" in found
    assert "getelementptr i32, ptr %v1, i64 %v2" in found and "align 1" in found


def test_nothing_is_promised_that_the_code_does_not_show() -> None:
    found = text("shll %cl, %edi\nmovl %edi, %eax\nincl %eax\nretq".replace("shll %cl", "movl %esi, %ecx\nshll %cl"))
    assert "and i32" in found and ", 31" in found  # as the machine does
    assert not any(word in found for word in (" nsw ", " nuw ", " inbounds ", " exact "))


def test_an_address_is_a_pointer_wherever_it_goes() -> None:
    found = text("movq 8(%rdi), %rax\nmovq %rax, %rcx\n.L1:\nmovq (%rcx), %rcx\ntestq %rcx, %rcx\njne .L1\nretq")
    assert "phi ptr" in found and "icmp eq ptr" in found and "inttoptr" not in found


def test_slots_that_nobody_else_sees_are_no_memory() -> None:
    found = text("movq %rdi, -8(%rsp)\nmovl %esi, -12(%rsp)\nmovq -8(%rsp), %rax\nmovl -12(%rsp), %ecx\n"
                 "movl %ecx, (%rax)\nretq", result="void")
    assert "alloca" not in found and "store i32 %v2, ptr %v1" in found


def test_a_jump_through_a_table_is_a_switch() -> None:
    code = ("cmpl $2, %edi\nja .L1\nmovl %edi, %eax\nleaq .LJTI0_0(%rip), %rcx\nmovslq (%rcx,%rax,4), %rax\n"
            "addq %rcx, %rax\njmpq *%rax\n.L2:\nmovl $7, %eax\nretq\n.L3:\nmovl $9, %eax\nretq\n.L1:\n"
            "xorl %eax, %eax\nretq\n.section .rodata\n.LJTI0_0:\n.long .L2-.LJTI0_0\n.long .L1-.LJTI0_0\n"
            ".long .L3-.LJTI0_0")
    found = text(code)
    assert "switch i32 %v1, label %b5 [ i32 0, label %b2 i32 2, label %b3 ]" in found.replace("%b4", "%b5") or (
        "switch i32 %v1" in found and "i32 1, label" not in found)


def test_a_result_that_is_left_over_is_one_choice_of_two() -> None:
    code = "movq (%rdi), %rax\nmovq %rax, (%rsi)\nretq"
    assert "define dso_local i64 @f" in text(code)
    assert "define dso_local void @f" in text(code, result="void")


def test_a_loop_that_begins_with_the_function() -> None:
    found = text("decq %rdi\njne f\nretq", result="void")
    assert "phi i64" in found and "br label %b1" in found


def test_alignment_as_gcc_writes_it() -> None:
    assert "phi i64" in text(".L1:\n.p2align 4,,10\n.p2align 3\ndecq %rdi\njne .L1\nretq", result="void")


def test_strings_are_set() -> None:
    found = text("movq %rsi, %rcx\nxorl %eax, %eax\nrep;stosb %al, %es:(%rdi)\nretq", result="void")
    assert "call void @llvm.memset.p0.i64(ptr %v1, i8 0, i64 %v2, i1 false)" in found


def test_flags_meet_conditions() -> None:
    found = text("cmpl %esi, %edi\nsetb %al\nretq")
    assert "icmp ult i32 %v1, %v2" in found
    found = text("decl %edi\njs .L1\nmovl $1, %eax\nretq\n.L1:\nxorl %eax, %eax\nretq")
    assert "icmp slt i32" in found


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "reason"), [
    ("vpshufb %xmm0, %xmm1, %xmm2\nretq", "no rule for vpshufb"),
    ("cpuid\nretq", "no rule for cpuid"),
    ("subq %rdi, %rsp\nretq", "the stack pointer is computed"),
    ("pushq %rdi\nretq", "the stack pointer is not where it was"),
    ("movl $1, %ebx\nretq", "rbx does not come back as it was"),
    ("movq %r10, (%rdi)\nretq", "it reads r10, which nothing has set"),
    ("movq %rbx, (%rdi)\nretq", "it uses rbx of its caller"),
    ("jmpq *%rax", "it reads rax"),
    ("movl $1, %eax", "control leaves the function at its end"),
    ("cmpl $1, %edi\njp .L1\n.L1:\nretq", "no rule for the flags that `p` looks at"),
    ("movq 8(%rsp), %rax\nmovq %rax, (%rsp)\nretq", "the return address is written to"),
    ("movl %gs:8, %eax\nretq", "no rule for the segment gs"),
    ("movq %rdi, %rdx\nmovq %rsi, %rax\ndivq %rcx\nretq", "a division of more bits than its result has"),
])
def test_what_no_rule_covers_is_refused(code: str, reason: str) -> None:
    with pytest.raises(LiftError, match=reason.replace("*", r"\*")):
        text(code)


def test_a_refusal_is_a_failed_answer(rules: Rules) -> None:
    function = Function("f", "x86_64", "\t.text\n\t.globl\tf\nf:\n\tcpuid\n\tretq\n\t.size\tf, .-f\n")
    found, = disassemble([function], rules, run=False)
    assert found.best.sentence == "failed: no rule for cpuid" and found.answers == 1
    found, = disassemble([Function("f", "aarch64", "f:\n\tret\n")], rules, run=False)
    assert found.best.sentence == "failed: no rules for aarch64"


def test_changed_code_is_no_longer_identical(rules: Rules, clang: str, tmp_path: Path) -> None:
    """The check is of the function's own code: an answer for another constant does not pass."""
    write_source(tmp_path, "in.c", "int f(int x) { return x * 5 + 11; }")
    subprocess.run([clang, "-Oz", "-S", "in.c", "-o", "in.s"], cwd=tmp_path, check=True)
    function, = read_functions(tmp_path / "in.s")
    other = Function("f", "x86_64", function.shown.replace("$11", "$12").replace("11(", "12("))
    texts = rules.propose(function)
    assert other.shown != function.shown and texts != rules.propose(other)
    found, = disassemble([other], rules)
    assert found.best.verdict is Verdict.IDENTICAL and "12" in found.best.ir
