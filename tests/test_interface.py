"""What is read from unoptimised modules: signatures, and what their pointers point to."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from llm_compiler.errors import InputError
from llm_compiler.llvm import library
from llm_compiler.llvm.library import Library
from llm_compiler.llvm.module import Context
from llm_compiler.llvm.walk import Walk
from llm_compiler.validation.interface import Function, Global, Interface, Kind, Layout, Parameter, read_interface
from support import bitcode_of, unoptimised


def interface_of(folder: Path, text: str, name: str = "input.c") -> Interface:
    return read_interface(unoptimised(folder, name, text).read_bytes())


def function(interface: Interface, name: str) -> Function:
    return next(found for found in interface.functions if found.name == name)


def variable(interface: Interface, name: str) -> Global:
    return next(found for found in interface.globals if found.name == name)


def parameter(interface: Interface, name: str, index: int = 0) -> Parameter:
    return function(interface, name).signature.parameters[index]


def pointee(interface: Interface, found: Parameter | None) -> Layout:
    assert found is not None and found.kind is Kind.POINTER and found.layout >= 0, found
    return interface.layouts[found.layout]


def target(interface: Interface, layout: Layout, offset: int = 0) -> Layout:
    """What the pointer at an offset leads to."""
    slot = next(slot for slot in layout.slots if slot.offset == offset)
    assert slot.kind is Kind.POINTER and slot.target >= 0, (layout.name, slot)
    return interface.layouts[slot.target]


def test_linked_list_leads_to_itself(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct node { int value; struct node *next; char tag; };
        int sum(const struct node *list) {
            int total = 0;
            for (; list; list = list->next) total += list->value + list->tag;
            return total;
        }
        int forward(struct node *list) { return sum(list); }
        """)
    node = pointee(interface, parameter(interface, "sum"))
    assert (node.name, node.size) == ("struct.node", 24)
    assert [(slot.offset, slot.kind, slot.size) for slot in node.slots] == [
        (0, Kind.INT, 4), (8, Kind.POINTER, 8), (16, Kind.INT, 1)]
    assert target(interface, node, 8) is node
    assert pointee(interface, parameter(interface, "forward")) is node


def test_function_pointer_in_a_struct(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct stream { int (*read)(struct stream *self, char *buffer, unsigned long size); char *data; };
        int first(struct stream *s) { char c; return s->read(s, &c, 1) == 1 ? c + s->data[0] : -1; }
        static int nothing(struct stream *s, char *b, unsigned long n) { return s->data == b && n; }
        struct stream empty = { nothing, 0 };
        """)
    stream = pointee(interface, parameter(interface, "first"))
    code = target(interface, stream, 0)
    signature = interface.indirect[code.function]
    assert [found.type for found in signature.parameters] == ["ptr", "ptr", "i64"]
    assert pointee(interface, signature.parameters[0]) is stream
    assert pointee(interface, signature.parameters[1]).name == "i8"
    assert signature.result is not None and signature.result.type == "i32"
    assert function(interface, "first").indirect_calls == 1
    assert function(interface, "nothing").address_taken and not function(interface, "first").address_taken
    assert interface.layouts[variable(interface, "empty").layout] is stream


def test_callback_parameter(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct item { double weight; int id; };
        typedef int visitor(struct item *, void *);
        int each(struct item *items, int n, visitor *visit, void *context) {
            int seen = 0;
            for (int i = 0; i < n; i++) if (items[i].id > 0) seen += visit(&items[i], context);
            return seen;
        }
        void qsort(void *, unsigned long, unsigned long, int (*)(const void *, const void *));
        static int compare(const void *a, const void *b) { return ((struct item *)a)->id - ((struct item *)b)->id; }
        void sort(struct item *items, int n) { qsort(items, n, sizeof *items, compare); }
        """)
    visit = interface.indirect[pointee(interface, parameter(interface, "each", 2)).function]
    assert pointee(interface, visit.parameters[0]).name == "struct.item"
    compare = interface.indirect[pointee(interface, parameter(interface, "qsort", 3)).function]
    assert [pointee(interface, found).name for found in compare.parameters] == ["struct.item"] * 2
    assert pointee(interface, parameter(interface, "sort")).name == "struct.item"


def test_arrays_strings_and_pointers_to_pointers(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        unsigned long strlen(const char *);
        int total(const int *numbers, int n) { int t = 0; while (n--) t += numbers[n]; return t; }
        double mean(double *v, long n) { double t = 0; for (long i = 0; i < n; i++) t += v[i]; return t / n; }
        int spaces(char *s) { int n = 0; for (; *s; s++) n += *s == ' '; return n; }
        int words(int argc, char **argv) { int n = 0; for (int i = 1; i < argc; i++) n += argv[i][0] != '-'; return n; }
        int length(const char *s) { return strlen(s); }
        void set(long *out, short *other) { *out = 1; *other = 2; }
        """)
    assert pointee(interface, parameter(interface, "total")).name == "i32"
    assert pointee(interface, parameter(interface, "mean")).slots[0].kind is Kind.DOUBLE
    assert pointee(interface, parameter(interface, "spaces")).size == 1
    arguments = pointee(interface, parameter(interface, "words", 1))
    assert arguments.size == 8
    assert target(interface, arguments).name == "i8"
    assert pointee(interface, parameter(interface, "length")).name == "i8"
    assert [pointee(interface, parameter(interface, "set", index)).size for index in (0, 1)] == [8, 2]


def test_nested_structs_and_arrays_of_struct_pointers(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct leaf { short key; float value; };
        struct inner { struct leaf *slots[3]; long double wide; };
        struct outer { char name[5]; struct inner parts[2]; };
        float read(struct outer *o, int i, int j) {
            return o->name[0] ? o->parts[i].slots[j]->value + o->parts[i].wide : o->parts[0].slots[0]->key;
        }
        """)
    outer = pointee(interface, parameter(interface, "read"))
    assert outer.size == 112
    pointers = [slot.offset for slot in outer.slots if slot.kind is Kind.POINTER]
    assert pointers == [16, 24, 32, 64, 72, 80]
    assert {target(interface, outer, offset).name for offset in pointers} == {"struct.leaf"}
    assert [slot.offset for slot in outer.slots if slot.kind is Kind.LONG_DOUBLE] == [48, 96]
    assert [slot.kind for slot in target(interface, outer, 16).slots] == [Kind.INT, Kind.FLOAT]


def test_large_arrays_are_cut(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, "struct big { int n[1000]; }; int f(struct big *b) { return b->n[999]; }")
    big = pointee(interface, parameter(interface, "f"))
    assert big.size == 4000
    assert len(big.slots) == 256


def test_how_arguments_are_passed(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct big { long a, b; char *text; };
        struct pair { char *text; long length; };
        int held(struct big b) { return b.text[b.a]; }
        struct big made(signed char c) { struct big b = { c, 2, 0 }; return b; }
        _Bool split(struct pair p, unsigned short u) { return p.text[p.length] == u; }
        int use(struct big *b) { return held(*b); }
        """)
    held = parameter(interface, "held")
    assert (held.abi, held.by_value) == ("byval([24 x i8]) align 8", 24)
    assert target(interface, pointee(interface, held), 16).name == "i8"
    made = function(interface, "made").signature
    assert made.result is None
    assert (made.parameters[0].abi, made.parameters[0].struct_return) == ("sret([24 x i8]) align 8", 24)
    assert (made.parameters[0].noalias, made.parameters[1].abi, made.parameters[1].bits) == (True, "signext", 8)
    split = function(interface, "split").signature
    assert split.result is not None and (split.result.type, split.result.abi) == ("i1", "zeroext")
    assert pointee(interface, split.parameters[0]).name == "i8"
    assert split.parameters[2].abi == "zeroext"


def test_volatile_registers(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct device { unsigned control, status; };
        struct object { int kind; volatile int count; };
        void start(volatile struct device *d) { d->control = 1; while (!(d->status & 4)) ; }
        unsigned poll(volatile unsigned *reg) { return *reg; }
        int mixed(struct object *o) { return o->kind + o->count; }
        int released(struct object *o) { return --o->count; }
        volatile int flag;
        int plain;
        int get(void) { return flag + plain; }
        """)
    assert pointee(interface, parameter(interface, "start")).volatile
    assert pointee(interface, parameter(interface, "poll")).volatile
    assert not pointee(interface, parameter(interface, "mixed")).volatile
    assert not pointee(interface, parameter(interface, "released")).volatile
    assert variable(interface, "flag").volatile and not variable(interface, "plain").volatile
    assert function(interface, "start").uses_volatile and not function(interface, "mixed").uses_atomics


def test_outside_functions(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct entry { int id; struct entry *next; };
        extern struct entry *lookup(const char *name, unsigned flags);
        extern int get_pair(int *first, long *second, char *text);
        extern int format(char *text, const char *how, ...);
        extern void free(void *);
        extern void stop(void) __attribute__((noreturn));
        extern int pure(int) __attribute__((pure));
        extern int constant(int) __attribute__((const));
        extern void *grab(unsigned long, unsigned long) __attribute__((alloc_size(1, 2), malloc));
        int use(const char *name) {
            int a; long b[4]; char text[32];
            struct entry *found = lookup(name, 3);
            if (!found || !name[0]) stop();
            int rc = get_pair(&a, b + 1, text) + pure(a) + constant(a);
            format(text, "%s!", name);
            double *d = grab(4, 8); d[0] = 1; free(d); free(found);
            return found->next->id + rc;
        }
        """)
    lookup = function(interface, "lookup")
    entry = pointee(interface, lookup.signature.result)
    assert target(interface, entry, 8) is entry
    assert pointee(interface, lookup.signature.parameters[0]).name == "i8"
    assert not lookup.defined
    pair = function(interface, "get_pair").signature.parameters
    assert [found.stack_size for found in pair] == [4, 24, 32]
    assert [pointee(interface, found).name for found in pair[:2]] == ["i32", "i64"]
    assert function(interface, "format").signature.variadic
    assert function(interface, "stop").noreturn
    assert [function(interface, name).effects for name in ("pure", "constant", "free")] == ["read", "none", "any"]
    assert function(interface, "grab").allocation_size == (0, 1)
    assert pointee(interface, function(interface, "grab").signature.result).name == "double"
    # What goes through free does not make an entry of the doubles, nor the other way round.
    assert entry.name == "struct.entry"
    assert function(interface, "use").callees[:3] == ("lookup", "stop", "get_pair")
    assert interface.strings == (b"%s!",)


def test_room_on_the_stack_of_indirect_calls(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct impulse { float normal[2], tangent[2]; int count; };
        struct listener { void (*solved)(struct listener *, const struct impulse *, int *); };
        void report(struct listener *to, int n) {
            struct impulse one = { .count = n };
            int counts[4] = { n };
            to->solved(to, &one, counts + 1);
        }
        void again(struct listener *to, int *counts) {
            struct impulse one[2] = { { .count = 3 } };
            to->solved(to, one, counts);
        }
        """)
    assert [[found.stack_size for found in solved.parameters] for solved in interface.indirect] == [[0, 20, 12]] * 2


def test_variables_that_a_function_mentions(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        static int hits, table[9]; int level; static const int fixed[3] = { 1, 2, 3 }; extern int outside;
        int count(int i) { return ++hits + fixed[i % 3]; }
        int *entry(void) { return &table[4]; }
        int all(void) { return count(level) + outside; }
        """)
    assert function(interface, "count").variables == ("hits",)
    assert function(interface, "entry").variables == ("table",)
    assert function(interface, "all").variables == ("level",)


def test_void_pointers_take_what_is_passed(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct state { int n; char *at; };
        struct holder { void *opaque; };
        static int step(void *context) { struct state *s = context; return s->at[s->n]; }
        int run(void *context) { return step(context); }
        int held(struct holder *h) { return step(h->opaque); }
        void copy(struct state *into, const void *from) { __builtin_memcpy(into, from, sizeof *into); into->n = 0; }
        """)
    state = pointee(interface, parameter(interface, "run"))
    assert state.name == "struct.state"
    assert target(interface, pointee(interface, parameter(interface, "held"))) is state
    assert pointee(interface, parameter(interface, "copy", 1)) is state


def test_unknown_pointers_stay_unknown(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, "struct file; int at_end(struct file *); int f(struct file *x)"
                                       "{ return x && !at_end(x); }")
    assert parameter(interface, "f").layout == -1
    assert parameter(interface, "at_end").layout == -1


def test_bytes_that_are_only_moved(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        void move(void *to, const void *from, unsigned long n) { __builtin_memmove(to, from, n); }
        void clear(void *header) { __builtin_memset(header, 0, 40); }
        struct point { int x, y; };
        int known(struct point *p, const void *raw) { __builtin_memcpy(p, raw, sizeof *p); return p->x; }
        """)
    assert [pointee(interface, parameter(interface, "move", index)).name for index in (0, 1)] == ["i8", "i8"]
    header = pointee(interface, parameter(interface, "clear"))
    assert (header.size, len(header.slots)) == (40, 40)
    assert pointee(interface, parameter(interface, "known", 1)).name == "struct.point"


def test_constants_of_switches_and_of_callees(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        static int inner(int x) { return x > 4242 ? x & 255 : x; }
        int outer(int x, __int128 w) {
            switch (x) { case -77: return 1; case 900: return inner(x); }
            return (x == 31337) + (w > ((__int128)1 << 90));
        }
        int many(int x) { int n = 0;
        """ + "".join(f"n += x == {index * 1000};" for index in range(100)) + "return n; }")
    outer = function(interface, "outer").constants
    assert {-77, 900, 31337, 4242, 255} <= set(outer)
    assert list(outer) == sorted(set(outer))
    assert max(outer) == 31337
    assert len(function(interface, "many").constants) == 64


def test_globals(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct row { const char *name; int (*run)(int); };
        static int twice(int x) { return x + x; }
        static const struct row rows[] = { { "twice", twice }, { "none", 0 } };
        struct row *current;
        _Thread_local int here __attribute__((aligned(32)));
        extern int elsewhere[];
        int calls;
        __attribute__((constructor)) static void prepare(void) { calls = 1; }
        int run(int i) { here = elsewhere[i]; return rows[i].run(i) + (current ? current->name[0] : 0); }
        int other(int) __attribute__((alias("run")));
        __asm__(".globl marker");
        """)
    rows = variable(interface, "rows")
    assert (rows.size, rows.constant, rows.local, rows.defined) == (32, True, True, True)
    row = interface.layouts[rows.layout]
    assert row.size == 16
    assert target(interface, row, 0).name == "i8"
    assert interface.indirect[target(interface, row, 8).function].parameters[0].type == "i32"
    assert target(interface, interface.layouts[variable(interface, "current").layout]) is row
    here = variable(interface, "here")
    assert (here.thread_local, here.align, here.size) == (True, 32, 4)
    assert not variable(interface, "elsewhere").defined
    assert interface.aliases == (("other", "run"),)
    assert interface.constructors == ("prepare",)
    assert interface.inline_assembly
    assert interface.triple.startswith("x86_64")
    twice = function(interface, "twice")
    assert (twice.local, twice.linkage, twice.address_taken, twice.blocks) == (True, "internal", True, 1)


def test_methods_and_virtual_calls(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        struct Shape { virtual int area(int scale) const = 0; int id; };
        struct Box : Shape { int w, h; int area(int scale) const override; };
        int Box::area(int scale) const { return w * h * scale + id; }
        int twice(const Shape &shape) { return shape.area(2) + shape.id; }
        class Counter { long count = 0; double last; public: Counter &add(double x); };
        Counter &Counter::add(double x) { count++; last = x; return *this; }
        """, "input.cc")
    box = pointee(interface, parameter(interface, "_ZNK3Box4areaEi"))
    assert (box.name, box.size) == ("struct.Box", 24)
    shape = pointee(interface, parameter(interface, "_Z5twiceRK5Shape"))
    method = interface.indirect[target(interface, target(interface, shape)).function]
    assert [found.type for found in method.parameters] == ["ptr", "i32"]
    assert pointee(interface, method.parameters[0]) is shape
    add = function(interface, "_ZN7Counter3addEd").signature
    assert add.parameters[0].nonnull and add.parameters[0].dereferenceable == 16
    assert pointee(interface, add.result) is pointee(interface, add.parameters[0])


def test_assembly_and_atomics(tmp_path: Path) -> None:
    interface = interface_of(tmp_path, """
        int swap(int *p, int v) { return __atomic_exchange_n(p, v, 5); }
        unsigned ticks(void) { unsigned t; __asm__ volatile("rdtsc" : "=a"(t) :: "edx"); return t; }
        """)
    assert function(interface, "swap").uses_atomics
    assert pointee(interface, parameter(interface, "swap")).name == "i32"
    assert function(interface, "ticks").has_inline_assembly and not function(interface, "swap").has_inline_assembly


def test_conventions_and_vectors() -> None:
    interface = read_interface(bitcode_of("""
        define fastcc { i32, <4 x float> } @f(ptr inreg readonly noalias align 16 dereferenceable(8) %p, half %h) {
          %v = load volatile i32, ptr %p
          ret { i32, <4 x float> } zeroinitializer
        }
        """))
    found = function(interface, "f").signature
    assert found.convention == 8
    assert found.result is not None
    assert (found.result.type, found.result.kind, found.result.size) == ("{ i32, <4 x float> }", Kind.BYTES, 32)
    pointer, half = found.parameters
    assert (pointer.abi, pointer.writable, pointer.noalias, pointer.align) == ("inreg", False, True, 16)
    assert (pointer.dereferenceable, pointer.nonnull) == (8, True)
    assert (half.kind, half.size) == (Kind.BYTES, 2)


def test_pointers_that_only_phis_join() -> None:
    # The phi is read before the pointer that comes round the loop.
    interface = read_interface(bitcode_of("""
        %node = type { i64, ptr }
        define i64 @last(ptr %start) {
        entry:
          br label %loop
        loop:
          %here = phi ptr [ %start, %entry ], [ %next, %loop ]
          %field = getelementptr %node, ptr %here, i32 0, i32 1
          %next = load ptr, ptr %field
          %end = icmp eq ptr %next, null
          br i1 %end, label %out, label %loop
        out:
          %value = load i64, ptr %here
          ret i64 %value
        }
        """))
    node = pointee(interface, parameter(interface, "last"))
    assert node.name == "node"
    assert target(interface, node, 8) is node


def test_equal_input_gives_equal_values(tmp_path: Path) -> None:
    text = """
        struct a { struct b *b; }; struct b { struct a *a; char **names; void (*f)(struct a *); };
        void run(struct a *x) { x->b->f(x->b->a); x->b->names[0][0] = 1; }
        """
    data = unoptimised(tmp_path, "input.c", text).read_bytes()
    first = read_interface(data)
    assert read_interface(data) == first
    assert pickle.loads(pickle.dumps(first)) == first


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(InputError, match="cannot read it"):
        read_interface(b"no bitcode")


@pytest.fixture(scope="module")
def lib() -> Library:
    return library.load()


def test_types_and_integers_of_a_walk(lib: Library) -> None:
    with Context(lib) as context:
        module = context.parse(b"""
            %inner = type <{ i8, [2 x { i32, ptr }] }>
            @g = global %inner zeroinitializer
            @n = constant i128 -5
            @w = constant i128 1208925819614629174706176
            @s = constant [3 x i8] c"ab\\00"
            @z = constant [3 x i8] zeroinitializer
            """)
        walk = Walk(module)
        g, n, w, s, z = walk.variables()
        inner = walk.value_type(g)
        assert (inner.name, inner.size, inner.text) == ("inner", 33, "<{ i8, [2 x { i32, ptr }] }>")
        pair, offset, held = inner.field_at(25) or (None, 0, None)
        assert pair is inner.elements[1].element and offset == 8
        assert held is walk.type_of(g)
        integers = [walk.integer(walk.initialiser(variable) or 0) for variable in (n, w)]
        assert integers == [-5, None]
        assert walk.string(walk.initialiser(s) or 0) == b"ab\0"
        assert walk.string(walk.initialiser(z) or 0) is None
