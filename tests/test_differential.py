"""Differential execution: right versions agree, wrong ones are noticed, and what is undefined counts for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path

import pytest

from llm_compiler.errors import InputError
from llm_compiler.llvm import frontend
from llm_compiler.llvm.job import Inspection, Job, Limits
from llm_compiler.llvm.pipeline import PassList
from llm_compiler.llvm.target import AARCH64
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.validation.differential import (
    Differential,
    Effort,
    FunctionStatus,
    Level,
    ProgramError,
    Verification,
    open_differential,
)
from support import candidate, clang, inspected, lowering_for, measured, unoptimised, write_source

HEADER = """
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
struct node { int value; struct node *next; };
struct point { int x, y; double z; };
struct ops { int (*apply)(int, int); int bias; };
extern int outside(int, const char *);
extern void sink(int *);
"""


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1, Limits(60.0)) as pool:
        yield pool


def opened(pool: WorkerPool, folder: Path, text: str, name: str = "unit.c", effort: Effort = Effort()) -> Differential:
    bitcode = unoptimised(folder, name, HEADER + text)
    return open_differential(pool, bitcode, inspected(pool, bitcode), compiled(folder, text, name), folder, effort)


def compiled(folder: Path, text: str, name: str = "unit.c", level: str = "-Oz") -> bytes:
    source = write_source(folder, f"version-{name}", HEADER + text)
    output = folder / "version.o"
    clang(source).run(["-w", level, "-c", str(source), "-o", str(output)])
    return output.read_bytes()


def verdict(verification: Verification, name: str) -> FunctionStatus:
    return next(item.status for item in verification.functions if item.name == name)


RIGHT = {
    "list": "int f(struct node *n) { int s = 0; for (int i = 0; n && i < 9; i++, n = n->next) s += n->value; "
        "return s; }",
    "array": "void f(int *a, unsigned n) { for (unsigned i = 0; i < n % 32; i++) a[i] = a[i] * 3 + (int)i; }",
    "text": "unsigned f(const char *s, char c) { unsigned n = 0; for (; *s; s++) n += *s == c; return n; }",
    "double": "double f(const double *d, int n) { double s = 0; for (int i = 0; i < (n & 15); i++) s += d[i]; "
        "return s; }",
    "struct": "struct point f(int a, double b) { struct point p = {a, a ^ 7, b}; return p; }",
    "by value": "double f(struct point p, struct point q) { return p.x < q.y ? p.z : q.z; }",
    "calls": "int f(int a, const char *s) { if (a == 42) return outside(a, s) ^ 1; printf(\"x %d\\n\", a); return "
        "outside(a / 2, s); }",
    "callback": "int f(struct ops *o, int a) { return o->apply(a, o->bias) ^ o->apply(o->bias, 3); }",
    "out": "int f(int a) { int x[4] = {a, 2, 3, 4}; sink(x); return x[0] ^ x[3]; }",
    "heap": "char *f(const char *s) { char *p = malloc(strlen(s) + 1); strcpy(p, s); p[0] = '!'; return p; }",
    "wide": "__int128 f(__int128 a, long b) { return a * b + (a >> 3); }",
    "variadic": "int f(int n, ...) { va_list l; va_start(l, n); int s = va_arg(l, int); va_end(l); return s ^ n; }",
    "log": "extern void note(const char *, ...); "
        "void f(int a, double d) { note(\"%d %f\", a / 3, d); note(\"%d\", a); "
        "if (d > 1) note(\"%d %f %s\", a, d * 2, \"x\"); }",
    "device": "struct uart { unsigned status, data; }; void f(volatile struct uart *u, const char *s, int n) { "
        "for (int i = 0; i < (n & 7); i++) { while (u->status == 77 && i < 3) i++; u->data = s[i]; u->status |= 4; } }",
    "register": "volatile int reg; static volatile int own; "
        "int f(int a) { own = a; reg = a; reg = 3; return reg + reg + own; }",
    "large": "struct big { char text[3000]; int used, limit; }; "
        "int f(struct big *b, int n) { if (n > b->limit) return -1; b->used = 0; return b->limit - n; }",
    "flag": "struct flags { int n; _Bool on; };\nint f(struct flags *p) { return p->on ? p->n : -p->n; }",
    "errno": "#include <errno.h>\nint f(int a) { if (a > 5) { errno = EINVAL; return -1; } return a; }",
    "static": "static int g(int *p, int k) { return p[k & 7] / 3; } int f(int *p, int a, int b) { return g(p, a) * "
        "31 + g(p, b); }",
    "global": "int table[16]; static int hits; int f(unsigned i) { hits += i; table[i % 16] += hits; return "
        "table[3]; }",
    "ends": "int f(int a) { if (a < 3) abort(); if (a == 5) exit(a); return a << 1; }",
    "switch": "int f(unsigned char c, int x) { switch (c) { case 3: return x ^ 1; case 77: return x / 3; case 200: "
        "return ~x; } return 0; }",
}


@pytest.mark.parametrize("name", RIGHT)
def test_right_versions_agree(pool: WorkerPool, tmp_path: Path, name: str) -> None:
    with opened(pool, tmp_path, RIGHT[name]) as differential:
        for level in ("-O1", "-O3"):
            verification = differential.check(compiled(tmp_path, RIGHT[name], level=level))
            assert verification.wrong is None, verification.wrong
        differential.explore()
        state = next(item for item in differential.executability() if item.name == "f")
        assert state.inputs >= 3, state
        assert state.blocks >= state.all_blocks * 0.7


WRONG = {
    "result": ("list", "s += n->value", "s -= n->value"),
    "store": ("array", "a[i] * 3", "a[i] * 5"),
    "dropped store": ("heap", "p[0] = '!';", ""),
    "boundary": ("array", "n % 32", "n % 31"),
    "character": ("text", "*s == c", "*s == c + 1"),
    "float": ("double", "s += d[i]", "s -= d[i]"),
    "field": ("struct", "a ^ 7", "a ^ 5"),
    "by value": ("by value", "p.x < q.y", "p.x <= q.x"),
    "argument": ("calls", "outside(a / 2, s)", "outside(a / 3, s)"),
    "call": ("calls", "outside(a, s) ^ 1", "1"),
    "output": ("calls", "x %d", "y %d"),
    "constant": ("calls", "a == 42", "a == 43"),
    "indirect": ("callback", "o->apply(o->bias, 3)", "o->apply(o->bias, 4)"),
    "escaped": ("out", "{a, 2, 3, 4}", "{a, 2, 9, 4}"),
    "wide": ("wide", "a >> 3", "a >> 4"),
    "volatile store": ("device", "u->data = s[i];", "if (i) u->data = s[i];"),
    "volatile order": ("device", "u->data = s[i]; u->status |= 4;", "u->status |= 4; u->data = s[i];"),
    "volatile load": ("register", "reg + reg", "2 * reg"),
    "dropped volatile store": ("register", "reg = a; reg = 3;", "reg = 3;"),
    "beyond what is described": ("large", "b->used = 0; ", ""),
    "flag": ("flag", "p->n : -p->n", "-p->n : p->n"),
    "error number": ("errno", "EINVAL", "ERANGE"),
    "variable argument": ("log", "d * 2", "d * 3"),
    "local": ("static", "p[k & 7] / 3", "p[k & 7] / 4"),
    "hidden state": ("global", "hits += i", "hits = i + 1"),
    "end": ("ends", "abort()", "exit(1)"),
    "case": ("switch", "case 77", "case 78"),
    "crash": ("array", "a[i] = ", "*(int *)(long)i = "),
    "no end": ("text", "; s++)", "; )"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_versions_differ(pool: WorkerPool, tmp_path: Path, name: str) -> None:
    unit, old, new = WRONG[name]
    assert old in RIGHT[unit]
    with opened(pool, tmp_path, RIGHT[unit], effort=Effort(first=96, rounds=8, kept=128)) as differential:
        other = compiled(tmp_path, RIGHT[unit].replace(old, new))
        verification = differential.check(other)
        wrong = verification.wrong
        assert wrong is not None and wrong.name == "f", verification.summary
        example = wrong.counterexample
        assert example is not None and example.call.startswith("f(") and example.difference
        call, difference = differential.replay(other, "f", example.seeds)
        assert (call, difference) == (example.call, example.difference)
        assert differential.replay(compiled(tmp_path, RIGHT[unit]), "f", example.seeds)[1] == ""
        assert Verification.from_record(verification.as_record()) == replace(verification, seconds=0.0)


UNDEFINED = {
    "uninitialised": ("int f(int a) { int x; if (a == 1) x = 3; return x + a; }", "int f(int a) { return 3 + a; }"),
    "null": ("int f(int *p) { int v = *p; return p ? v : 7; }", "int f(int *p) { return *p; }"),
    # As -Oz has it, and as it may be had where no pointer lies that far from another.
    "pointer out of bounds": tuple(
        f"int f(const char *p, long n, const char *q, long m) {{ const char *end = p + n - 1; int i = 0; "
        f"for (; p {test} && m > 0; p++, m--) i += *q++; return i; }}" for test in ("< end", "!= end && n > 1")),
    "padding": tuple(
        "struct s { char c; int i; }; extern void take(struct s *); "
        f"void f(int a) {{ struct s v{start}; v.c = a; v.i = a; take(&v); }}" for start in ("", " = {0}")),
    # What looks like half of a pointer is padding, too.
    "padding beside a pointer": tuple(
        "struct s { int i; void *q; }; struct t { int i, pad; void *q; }; extern void take(void *); "
        f"void f(int a, void *q) {{ struct {kind} v; v.i = a; v.q = q; {more} take(&v); }}"
        for kind, more in (("s", ""), ("t", "v.pad = (unsigned long)&v >> 32;"))),
    # clang's two versions agree by chance where such a byte holds 4.
    "bool in a struct": tuple(
        f"struct s {{ int n; _Bool b; }}; unsigned f(struct s *p) {{ {test} return (p->n + !p->b) % 4u; }}"
        for test in ("", "if (*(unsigned char *)&p->b > 1) return 9;")),
    "bool in bytes": tuple(
        f"unsigned f(unsigned char *p) {{ {test} return (p[0] + !*(_Bool *)(p + 1)) % 4u; }}"
        for test in ("", "if (p[1] > 1) return 9;")),
    "overflow that is returned": ("long f(int a) { return a * 3; }", "long f(int a) { return 3l * a; }"),
    "shift too far": ("void f(int *p, long *q) { p[0] = 1 << (p[1] & 63); *q = p[0]; }",
                      "void f(int *p, long *q) { p[0] = *q = 1l << (p[1] & 63); }"),
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_what_is_undefined_is_no_difference(pool: WorkerPool, tmp_path: Path, name: str) -> None:
    one, other = UNDEFINED[name]
    with opened(pool, tmp_path, one) as differential:
        verification = differential.check(compiled(tmp_path, other))
        assert verification.wrong is None, verification.wrong


def test_an_overflow_that_only_memory_sees_is_undefined(pool: WorkerPool, tmp_path: Path) -> None:
    with opened(pool, tmp_path, "void f(int *p) { int big = (p[1] & 99) | 1 << 30; p[0] = big * 4; }") as differential:
        differential.explore()
        (found,) = differential.executability()
        assert found.status is FunctionStatus.NOT_EXECUTED and "undefined" in found.reason


def test_the_known_miscompile_is_found(pool: WorkerPool, tmp_path: Path) -> None:
    # HumanEval-X passes it; LLVM 17's attributor drops the stores of DCTs (benchmarks/known_miscompile.py).
    passes = ("default<Os>,function(reg2mem,instcombine),cgscc(attributor-cgscc),function(sroa),"
              "cgscc(attributor-cgscc),default<Oz>")
    text = resources.files("llm_compiler").joinpath("data", "suite", "idct_fast.c").read_text()
    bitcode = unoptimised(tmp_path, "dct.c", text)
    source = write_source(tmp_path, "dct-oz.c", text)
    clang(source).run(["-w", "-Oz", "-c", str(source), "-o", str(tmp_path / "oz.o")])
    lowering = inspected(pool, bitcode)
    object_ = measured(pool, Job(bitcode, candidate(passes), lowering, keep_object=True)).object
    assert object_ is not None
    with open_differential(pool, bitcode, lowering, (tmp_path / "oz.o").read_bytes(), tmp_path) as found:
        wrong = found.check(object_).wrong
        assert wrong is not None and wrong.name == "fast_block"


def test_objects_whose_addresses_meet_matter_only_when_touched(pool: WorkerPool, tmp_path: Path) -> None:
    # Of the 512 texts that the first page of `rows` points to, two get one address.
    text = ("int f(int *a, int *b, int *c, unsigned char **rows, unsigned n) { int s = *a + *b + *c; "
            "for (int i = 0; i < 8; i++) s += rows[i][n & 3]; return s; }")
    with opened(pool, tmp_path, text) as differential:
        differential.explore()
        (found,) = differential.executability()
        assert found.status is FunctionStatus.AGREED and found.inputs > 20


def test_where_a_witness_departs_too_is_no_difference(pool: WorkerPool, tmp_path: Path) -> None:
    wrong = compiled(tmp_path, RIGHT["array"].replace("a[i] = ", "a[i] = 1 + "))
    with opened(pool, tmp_path, RIGHT["array"]) as differential:
        assert differential.check(wrong).wrong is not None
    with opened(pool, tmp_path, RIGHT["array"]) as differential:
        differential._make_witnesses = lambda: (wrong,)
        assert differential.check(wrong).wrong is None


def test_unchanged_code_is_not_run(pool: WorkerPool, tmp_path: Path) -> None:
    with opened(pool, tmp_path, RIGHT["list"]) as differential:
        verification = differential.check(compiled(tmp_path, RIGHT["list"]))
        assert verdict(verification, "f") is FunctionStatus.UNCHANGED
        assert "no function's code changed" in verification.summary


def test_verdicts_do_not_depend_on_the_run(pool: WorkerPool, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    found = []
    for folder in folders:
        folder.mkdir()
        with opened(pool, folder, RIGHT["calls"] + RIGHT["global"].replace(" f(", " g(")) as differential:
            found.append(differential.check(compiled(folder, RIGHT["calls"] + RIGHT["global"].replace(" f(", " g("),
                                                     level="-O2")).functions)
    assert found[0] == found[1]


def test_cxx_methods_virtual_calls_and_constructors(pool: WorkerPool, tmp_path: Path) -> None:
    text = """
struct Shape { virtual int area() const = 0; int scale; };
struct Box : Shape { int w, h; int area() const override; };
int Box::area() const { return (w & 255) * (h & 255) + scale / 2; }
static int started = outside(3, "x");
int total(const Box *b, int n) { int s = started; for (int i = 0; i < (n & 3); i++) s ^= b[i].Box::area(); return s; }
int throws(int a) { if (a == 4) throw 7; return a / 3; }
"""
    cxx = text.replace("extern", "extern")
    bitcode = unoptimised(tmp_path, "unit.cc", 'extern "C" int outside(int, const char *);\n' + cxx)
    def version(text: str, level: str) -> bytes:
        source = write_source(tmp_path, "version.cc", 'extern "C" int outside(int, const char *);\n' + text)
        clang(source).run(["-w", level, "-c", str(source), "-o", str(tmp_path / "version.o")])
        return (tmp_path / "version.o").read_bytes()
    with open_differential(pool, bitcode, inspected(pool, bitcode), version(cxx, "-Oz"), tmp_path) as differential:
        assert differential.check(version(cxx, "-O3")).wrong is None
        for old, new in (("scale / 2", "scale / 3"), ("a == 4", "a == 5")):
            assert differential.check(version(cxx.replace(old, new), "-Oz")).wrong is not None, old


def test_a_known_miscompile_is_found(pool: WorkerPool, tmp_path: Path) -> None:
    """structurizecfg after -Oz: HumanEval-X finds it in 2 of 164 programs; our example's own functions show it."""
    source = Path(__file__).parent.parent / "examples" / "json.c"
    bitcode, reference = tmp_path / "json.bc", tmp_path / "json.o"
    frontend.emit_unoptimised(clang(source), source, [], bitcode)
    clang(source).run(["-Oz", "-c", str(source), "-o", str(reference)])
    lowering = inspected(pool, bitcode)
    other = measured(pool, Job(bitcode, candidate("default<Oz>,function(structurizecfg)"), lowering, keep_object=True))
    assert other.object is not None
    with open_differential(pool, bitcode, lowering, reference.read_bytes(), tmp_path) as differential:
        assert differential.check(other.object).wrong is not None


def test_functions_that_never_end_or_always_crash_say_so(pool: WorkerPool, tmp_path: Path) -> None:
    text = "int f(void) { for (;;) outside(1, \"\"); } int g(int a) { return *(volatile int *)16 + a; }"
    with opened(pool, tmp_path, text) as differential:
        differential.explore()
        reasons = {item.name: item.reason for item in differential.executability()}
        assert "none of" in reasons["f"] and "do not end" in reasons["f"]
        assert "crash" in reasons["g"]


def test_a_deadline_is_kept_and_said(pool: WorkerPool, tmp_path: Path) -> None:
    with opened(pool, tmp_path, RIGHT["array"]) as differential:
        verification = differential.check(compiled(tmp_path, RIGHT["array"], level="-O3"), deadline=0.0)
        assert verdict(verification, "f") is FunctionStatus.NOT_EXECUTED
        assert "time ran out" in verification.summary


def test_what_cannot_be_run_here_is_said(pool: WorkerPool, tmp_path: Path) -> None:
    bitcode = unoptimised(tmp_path, "unit.c", 'asm(".globl x\\nx: ret"); int f(int a) { return a; }')
    with pytest.raises(ProgramError, match="assembly outside functions"):
        open_differential(pool, bitcode, inspected(pool, bitcode), b"", tmp_path)
    (tmp_path / "other.ll").write_text(f'target triple = "{AARCH64}"\ndefine i32 @f() {{\n  ret i32 0\n}}\n')
    found = pool.inspect(tmp_path / "other.ll")
    assert isinstance(found, Inspection)
    with pytest.raises(ProgramError, match="cannot be run on this machine"):
        open_differential(pool, tmp_path / "other.ll", lowering_for(found), b"", tmp_path)


def test_levels() -> None:
    assert Level.parse("full").effort.kept > Level.parse("quick").effort.kept
    with pytest.raises(InputError, match="use off, quick or full"):
        Level.parse("some")
    assert PassList.parse("sancov-module").text == "sancov-module"


def test_inline_functions_of_c_have_a_body(pool: WorkerPool, tmp_path: Path) -> None:
    text = ("inline int twice(int a) { return a * 2 + (a > 9 ? outside(a, \"\") : 0); } "
            "int f(int a) { return twice(a) ^ 1; }")
    with opened(pool, tmp_path, text) as differential:
        assert differential.check(compiled(tmp_path, text, level="-O1")).wrong is None
        assert any(item.name == "f" and item.inputs >= 3 for item in differential.executability())
        assert differential.check(compiled(tmp_path, text.replace("^ 1", "^ 2"))).wrong is not None


def test_only_callers_that_were_run_vouch_for_a_local_function(pool: WorkerPool, tmp_path: Path) -> None:
    """`g` is wrong, and stops the run before `f`, the only way to `local`, had its turn."""
    text = ("int g(int a) { return a / 3; } static __attribute__((noinline)) int local(int a) { return a / 7; } "
            "int f(int a) { return local(a) ^ local(a + 1); }")
    with opened(pool, tmp_path, text) as differential:
        differential.explore()
        other = compiled(tmp_path, text.replace("a / 3", "a / 5").replace("a / 7", "a / 9"))
        stopped = differential.check(other, stop=True)
        assert verdict(stopped, "g") is FunctionStatus.DIFFERS
        assert verdict(stopped, "local") is FunctionStatus.NOT_EXECUTED
        right = differential.check(compiled(tmp_path, text, level="-O1"))
        assert right.wrong is None
