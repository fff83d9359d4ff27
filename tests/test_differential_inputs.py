"""What inputs are made of, and that the code under test is asked what it wants: one wrong version for every way to find
out that random inputs do not have.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_compiler.errors import InputError
from llm_compiler.llvm.job import Limits
from llm_compiler.llvm.worker import WorkerPool
from llm_compiler.validation.differential import Differential, Effort
from llm_compiler.validation.differential.directing import Director, Hint
from llm_compiler.validation.differential.inputs import BEFORE, LAYERS, PATCHES, Input, Patch
from llm_compiler.validation.interface import Kind
from test_differential import compiled, opened

WORD = st.integers(0, 2**64 - 1)
SEED = st.integers(2**32, 2**64 - 1)
PATCH = st.builds(Patch, WORD, st.integers(0, 2**32 - 1), st.integers(1, 8), WORD)
ENTRY = st.integers(0, 2**28 - 1)
INPUT = st.builds(Input, st.lists(SEED, min_size=1, max_size=LAYERS).map(tuple),
                  st.lists(ENTRY, max_size=BEFORE).map(tuple), st.one_of(st.just(-1), ENTRY),
                  st.lists(PATCH, max_size=PATCHES).map(tuple))


@pytest.fixture(scope="module")
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(1, Limits(60.0)) as pool:
        yield pool


@given(INPUT)
def test_inputs_are_printed_and_read_again(item: Input) -> None:
    assert Input.parse(item.words) == item
    assert len(item.packed()) == len(Input((2**32,)).packed())


@pytest.mark.parametrize("words", [(), (3,), (2**32, 3 << 28), (2**32, 2 << 28 | 1, 5), (2**64,), (2**32,) * 17])
def test_what_is_no_input_is_refused(words: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="input"):
        Input.parse(words)


def test_variants_of_an_input() -> None:
    random_ = random.Random(1)
    item = Input.drawn(random_)
    varied = item.varied(random_)
    assert varied.layers[0] == item.layers[0] and len(varied.layers) == 2
    full = replace(item, layers=item.layers * LAYERS).varied(random_)
    assert len(full.layers) == LAYERS
    patched = item.patched([Patch(1, 0, 4, 7)])
    assert patched is not None and patched.patched([Patch(1, 0, 4, 9)]) == replace(item, patches=(Patch(1, 0, 4, 9),))
    assert patched.patched([Patch(2, at, 8, 0) for at in range(0, 8 * PATCHES, 8)]) is None


def test_hints_are_followed_a_few_times() -> None:
    base, director = Input((2**40,)), Director()
    compared = Hint(where=5, path=1, value=3, wanted=40, offset=16, type=1, kind=Kind.INT, size=4, group=0)
    (exact,) = director.exact(base, [compared])
    assert exact.patches == (Patch(1, 16, 4, 40),)
    around = [item.patches[0].value for item in director.around(base, [compared])]
    assert around == [41, 39, 40 + 0x10000, 40 + 0x100]
    assert len(list(director.exact(base, [compared] * 5))) == 1
    loaded = replace(compared, type=2, value=0x80, size=1, where=6)
    assert [item.patches[0].value for item in director.neighbours(base, [loaded])] == [0, 0]
    parts = [Hint(7, 2, 0, value, 8 * number, 3, Kind.BYTES, 8, 4) for number, value in enumerate((11, 12))]
    (together,) = director.exact(base, parts)
    assert together.patches == (Patch(2, 0, 8, 11), Patch(2, 8, 8, 12))


# What only an input shows that meets what the code asks for: a unit, what is wrong, and how.
ASKED = {
    "number": ("int f(const unsigned *p) { return p[3] == 0x7b1c93u ? 5 : 0; }", "? 5", "? 6"),
    "two numbers": ("int f(struct point *p, int a) { if (p->x != 0x12345678) return 1; if (a != p->y * 3 + 7) "
                    "return 2; return p->z > 3; }", "return 2", "return 3"),
    "case": ("int f(unsigned c) { switch (c) { case 7247001: return 1; case 31153002: return 2; } return 0; }",
             "return 2", "return 3"),
    "bytes": ('int f(const unsigned char *p) { return memcmp(p, "\\x89PNG\\r\\n\\x1a\\n", 8) == 0 ? 5 : 0; }',
              "? 5", "? 6"),
    "copied bytes": ("int f(const char *p) { char t[24]; memcpy(t, p, 20); return "
                     'memcmp(t, "a long text to compare", 20) ? 0 : 5; }', "0 : 5", "0 : 6"),
    "text": ('int f(const char *s) { return strcmp(s, "--an-option-of-many") ? 0 : 5; }', "0 : 5", "0 : 6"),
    "form": ('int f(const char *s) { unsigned a, b, c; return sscanf(s, "%8x-%4x{%u}", &a, &b, &c) == 3 '
             "? (int)(a ^ b) : 0; }", "a ^ b", "a ^ c"),
    "count": ("unsigned f(const unsigned char *p, unsigned n) { unsigned s = 0, i; for (i = 0; i < n; i++) s += p[i]; "
              "return s ^ i; }", "s ^ i", "s ^ (i & 0xffff)"),
    "cut to 16 bits": ("int f(int mode, int a) { return mode == 31153 ? a / 3 : a; }", "mode ==", "(short)mode =="),
    "sign": ("int f(const unsigned char *p) { return p[2] + 1; }", "p[2] + 1", "(signed char)p[2] + 1"),
    "equal reals": ("int f(const double *p, const double *q) { return p[1] < q[1] ? 3 : 4; }", "p[1] < q", "p[1] <= q"),
    "no number": ("int f(double a, double b) { return a < b ? 3 : 4; }", "a < b ? 3 : 4", "a >= b ? 4 : 3"),
}


@pytest.mark.parametrize("name", ASKED)
def test_inputs_have_what_the_code_asks_for(pool: WorkerPool, tmp_path: Path, name: str) -> None:
    text, old, new = ASKED[name]
    assert old in text
    with opened(pool, tmp_path, text, effort=Effort.full()) as differential:
        assert differential.check(compiled(tmp_path, text, level="-O2")).wrong is None
        verification = differential.check(compiled(tmp_path, text.replace(old, new)))
        wrong = verification.wrong
        assert wrong is not None and wrong.counterexample is not None, verification.summary
        call, difference = differential.replay(compiled(tmp_path, text.replace(old, new)), "f",
                                               wrong.counterexample.seeds)
        assert (call, difference) == (wrong.counterexample.call, wrong.counterexample.difference)


# What shows in other memory, or in another call.
SEEN = {
    "stack of an indirect call": (
        "int f(struct ops *o, int (*told)(struct point *), int a) { struct point p = {a, a * 3, 2.5}; return told(&p) "
        "+ o->bias; }", "a * 3", "a * 5"),
    "variable of an outside call": ("static int seed; extern int draws(int *); int f(int a) { seed = a ^ 77; "
                                    "return draws(&seed); }", "a ^ 77", "a ^ 78"),
    "variable of another module": ("extern int *current; void f(int *a, int n) { if (n > 3) current = a + 1; }",
                                   "current = a + 1;", ";"),
    "byte on the stack": ("extern int put(struct node *, const char *, int); int f(struct node *n) { char c = 0; "
                          "return put(n, &c, 1); }", "char c = 0;", "char c;"),
    "exported variable": ("int level = 0; int f(int a) { return level > 3 ? a / 3 : a; }", "a / 3", "a / 5"),
    "error number": ("#include <errno.h>\nint f(const char *s) { errno = 0; int a = atoi(s); return errno ? -1 : a; }",
                     "errno = 0;", ""),
    "third call": ("static int state; void first(int a) { if (a == 3) state = 1; } void second(int a) { "
                   "if (state == 1 && a == 5) state = 2; } int f(int a) { return state == 2 ? a / 3 : a; }",
                   "a / 3", "a / 5"),
    "object of another call": (
        "struct box { int size, kind; }; struct box *made(int n) { struct box *b = malloc(sizeof *b); b->size = n; "
        "b->kind = 0x5aa5; return b; } int f(struct box *b) { return b->kind == 0x5aa5 ? b->size / 3 : -1; }",
        "b->size = n", "b->size = n + 1"),
    "pointers as variable arguments": (
        "int f(int n, ...) { va_list l; va_start(l, n); int *p = va_arg(l, int *); va_end(l); *p = n ^ 5; return n; }",
        "n ^ 5", "n ^ 6"),
}


@pytest.mark.parametrize("name", SEEN)
def test_what_a_call_leaves_is_seen(pool: WorkerPool, tmp_path: Path, name: str) -> None:
    text, old, new = SEEN[name]
    assert old in text
    with opened(pool, tmp_path, text, effort=Effort.full()) as differential:
        assert differential.check(compiled(tmp_path, text, level="-O2")).wrong is None
        verification = differential.check(compiled(tmp_path, text.replace(old, new, 1)))
        assert verification.wrong is not None, verification.summary


def test_what_is_stored_before_it_is_freed_means_nothing(pool: WorkerPool, tmp_path: Path) -> None:
    text = "void f(struct node *n) { n->value = 0; free(n); } int g(struct node *n) { return n ? n->value : 1; }"
    with opened(pool, tmp_path, text, effort=Effort.full()) as differential:
        verification = differential.check(compiled(tmp_path, text.replace("n->value = 0;", "")))
        assert verification.wrong is None, verification.wrong


def test_a_replay_refuses_what_is_no_input(pool: WorkerPool, tmp_path: Path) -> None:
    text = "int f(int a) { return a / 3; }"
    with opened(pool, tmp_path, text) as differential:
        assert isinstance(differential, Differential)
        with pytest.raises(InputError, match="no input that a verification printed"):
            differential.replay(compiled(tmp_path, text), "f", [3])


def test_the_sign_of_a_nan_means_nothing(pool: WorkerPool, tmp_path: Path) -> None:
    text = ("struct pair { float x, y; }; struct pair f(float *p, double *q, float a) { struct pair r; "
            "p[0] = p[1] - a; q[0] = q[1] * q[2]; r.x = p[1] * a; r.y = a * p[2]; return r; }")
    other = (text.replace("p[1] - a", "-(a - p[1])").replace("q[1] * q[2]", "-q[2] * -q[1]")
             .replace("p[1] * a", "a * p[1]").replace("a * p[2]", "-a * -p[2]"))
    with opened(pool, tmp_path, text, effort=Effort.full()) as differential:
        version = compiled(tmp_path, other.replace("-(a - p[1])", "p[1] + -a"))
        assert differential.check(version).wrong is None
        assert differential.check(compiled(tmp_path, text.replace("p[1] * a", "p[1] / a"))).wrong is not None
