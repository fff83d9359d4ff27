// Linkage: weak symbols, aliases, constructors and destructors, sections, static locals, atexit, attributes.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
#define CHECK(ok) ((ok) ? (void)0 : fail(__LINE__, #ok))

static uint32_t digest = 2166136261u;
static volatile uint32_t seed = 2463534242u;

_Noreturn static void fail(int line, const char *what) { printf("line %d: %s\n", line, what), exit(1); }
static void mix(uint32_t value) { digest = (digest ^ value) * 16777619u ^ digest >> 15; }
NOINLINE static uint32_t rnd(void) {
    uint32_t x = seed;
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    seed = x;
    return x;
}

static char order[32];
static int at;
static void note(char c) { order[at++] = c; }

__attribute__((constructor(201))) static void first(void) { note('a'); }
__attribute__((constructor(202))) static void second(void) { note('b'); }
__attribute__((constructor)) static void third(void) { note('c'); }

extern int missing(int) __attribute__((weak));
extern int missing_data __attribute__((weak));

__attribute__((weak)) int scale(int x) { return x * 10; }
int twice(int x) { return x * 2 + 1; }
int doubled(int x) __attribute__((alias("twice")));
int weakly(int x) __attribute__((weak, alias("twice")));
static int hidden_twice(int x) __attribute__((alias("twice"), unused));

int table[4] = {1, 2, 3, 4};
extern int table_alias[4] __attribute__((alias("table")));
int tentative;
int tentative;
__attribute__((visibility("hidden"))) int hidden = 5;
static const int *const volatile constant_view = table;

__attribute__((section("llmc_items"), used)) static int item_a = 11;
__attribute__((section("llmc_items"), used)) static int item_b = 22;
__attribute__((section("llmc_items"), used)) static int item_c = 33;
extern int __start_llmc_items[], __stop_llmc_items[];

NOINLINE static int counter(int step) {
    static int count = 100;
    static int calls;
    calls++;
    count += step;
    return count * 10 + calls % 10;
}

static int other_counter(void) {
    static int count;
    return ++count;
}

static int (*chosen)(int) = doubled;
static int (*const candidates[])(int) = {twice, doubled, weakly, scale};

static int *grow(int *p) {
    static int spare[8];
    static int used;
    spare[used % 8] = p ? *p + used : used;
    return &spare[used++ % 8];
}

// Written through the alias, read through the original and through a view that is constant.
NOINLINE static int write_alias(int i, int v) {
    int before = table[i];
    table_alias[i] = v;
    return table[i] - before + constant_view[i];
}

__attribute__((noreturn, noinline)) static void leave(int code) { exit(code); }
__attribute__((pure, noinline)) static int weight(const int *v, int n) { return n ? *v + weight(v + 1,
    n - 1) : hidden; }
__attribute__((const, noinline)) static int cube(int x) { return x * x * x; }
__attribute__((always_inline)) static inline int clip(int x) { return x > 99 ? 99 : x; }
__attribute__((cold, noinline)) static int rare(int x) { return tentative += x; }
__attribute__((flatten)) static int all(int x) { return clip(cube(x)) + weight(table, 4); }

static void at_end(void) {
    // Exit handlers run in reverse; this was registered first.
    if (strcmp(order, "abcyx")) _Exit(1);
    printf("digest %08x\n", digest);
}
static void say_x(void) { note('x'); }
static void say_y(void) { note('y'); }

__attribute__((destructor)) static void last(void) {
    if (strcmp(order, "abcyx")) _Exit(1);
}

int main(void) {
    CHECK(!strcmp(order, "abc"));
    CHECK(!missing && !&missing_data);
    CHECK(atexit(at_end) == 0 && atexit(say_x) == 0 && atexit(say_y) == 0);
    int sum = 0, items = 0;
    for (const int *p = __start_llmc_items; p < __stop_llmc_items; p++) sum += *p, items++;
    CHECK(sum == 66 && items == 3);
    CHECK(item_a + item_b + item_c == 66);
    int calls = 0, total = 100;
    for (int round = 0; round < 100; round++) {
        int x = (int)(rnd() % 1000), i = x % 4, before = table[i];
        CHECK(write_alias(i, x) == x - before + x && table[i] == x);
        CHECK(candidates[i](x) == (i == 3 ? 10 * x : 2 * x + 1) && chosen(x) == candidates[round % 3](x));
        CHECK(hidden_twice(x) == doubled(x));
        total += x, calls++;
        CHECK(counter(x) == total * 10 + calls % 10);
        CHECK(other_counter() == round + 1);
        int *a = grow(NULL), *b = grow(a), held = *a;
        CHECK(*b == held + 2 * round + 1 && a != b);
        CHECK(all(x % 7) == clip((x % 7) * (x % 7) * (x % 7)) + table[0] + table[1] + table[2] + table[3] + hidden);
        hidden ^= x;
        int old = tentative;
        if (x % 16 == 0) CHECK(rare(x) == old + x);
        else CHECK(tentative == old);
        mix((uint32_t)(*b + counter(0) + hidden)), calls++;
    }
    if (doubled(1) == 3) leave(0);
    return 1;
}
