// Pointers to pointers: one object behind two handles, slots chosen by branches and loops, cells that swap, heap cells.
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

typedef struct { int64_t *cell; int used; } Handle;

NOINLINE static void observe(int64_t v) { mix((uint32_t)v); }

static int below(int64_t **p, int64_t limit) { return **p < limit; }

static void advance(int64_t **p, int64_t by) {
    observe(**p);
    **p += by;
}

static int run(int64_t **test, int64_t **step, int64_t limit) {
    int rounds = 0;
    while (below(test, limit) && rounds < 1000) advance(step, 3), rounds++;
    return rounds;
}

static void run_handles(Handle *a, Handle *b, int64_t limit) {
    for (; *a->cell < limit; b->used++) *b->cell += b->used + 1;
}

// What is stored depends on the way; it is read behind a join, through either of two slots.
NOINLINE static float chosen(int way, float given, float *seen) {
    float one = 0, other = 5, *slot = &one;
    if (way & 1) slot = &other, other = given;
    if (way & 2) *slot = 1;
    else if (way & 4) other = *slot + 2, slot = &other;
    *seen = *slot;
    return way & 5 ? other : one;
}

static float chosen_model(int way, float given, float *seen) {
    float values[2] = {0, way & 1 ? given : 5};
    int slot = way & 1;
    if (way & 2) values[slot] = 1;
    else if (way & 4) values[1] = values[slot] + 2, slot = 1;
    *seen = values[slot];
    return values[(way & 5) != 0];
}

// A loop carries which of two locals is current; the other keeps the value before.
static int64_t alternate(const int32_t *v, int n, int64_t *before) {
    int64_t a = 0, b = 0, *now = &a, *old = &b;
    for (int i = 0; i < n; i++) {
        int64_t *t = now;
        *old = *now + v[i];
        now = old, old = t;
    }
    *before = *old;
    return *now;
}

NOINLINE static int64_t *identity(int64_t *p) { return p; }
static int64_t *pick(int64_t *a, int64_t *b, int which) { return which ? a : b; }

static int64_t through_returns(int64_t start, int which) {
    int64_t x = start, y = -start, *p = identity(&x), **q = &p;
    *pick(*q, &y, which) += 5;
    p = pick(&x, &y, !which);
    **q *= 3;
    return x * 1000003 + y;
}

typedef struct Chain { struct Chain *inner; int64_t value; } Chain;

NOINLINE static int64_t bump_all(Chain *c, Chain *alias) {
    int64_t sum = 0;
    for (; c; c = c->inner) {
        alias->value += 10;
        sum = sum * 7 + c->value;
    }
    return sum;
}

static void initialise(int64_t **out, int64_t *storage, int64_t v) {
    *storage = v;
    *out = storage;
}

static int64_t local_array(unsigned from, unsigned to, int64_t v) {
    int64_t cells[4] = {1, 2, 3, 4}, *p[2] = {&cells[from & 3], &cells[to & 3]}, **q = p;
    **q++ = v;
    **q += 7;
    return cells[0] + 10 * cells[1] + 100 * cells[2] + 1000 * cells[3];
}

int main(void) {
    for (int round = 0; round < 60; round++) {
        int64_t limit = 10 + (int64_t)(rnd() % 90), start = round % 7;
        int64_t *cell = malloc(sizeof *cell), **one = malloc(sizeof *one), **two = malloc(sizeof *two);
        CHECK(cell && one && two);
        *cell = start, *one = cell, *two = cell;
        int rounds = run(one, two, limit);
        CHECK(rounds == (int)((limit - start + 2) / 3) && *cell >= limit && *cell < limit + 3 && **one == *cell);
        Handle a = {cell, 0}, b = {cell, 0};
        *cell = 0;
        run_handles(&a, &b, limit);
        CHECK(a.used == 0 && *cell == (int64_t)b.used * (b.used + 1) / 2 && *cell - b.used < limit);
        int64_t apart = start, *apart_pointer = &apart;
        *cell = 0;
        CHECK(run(&apart_pointer, one, start + (round & 1)) == (round & 1) * 1000 && *cell == (round & 1) * 3000);
        free(two), free(one), free(cell);

        float seen, wanted, given = (float)(rnd() % 100) / 4;
        for (int way = 0; way < 8; way++) {
            float got = chosen(way, given, &seen), model = chosen_model(way, given, &wanted);
            CHECK(seen == wanted && got == model);
            mix((uint32_t)(got * 4));
        }
        int32_t v[20];
        int64_t sum = 0, last = 0, before;
        int n = round % 20;
        for (int i = 0; i < 20; i++) v[i] = (int32_t)rnd() >> 8;
        for (int i = 0; i < n; i++) last = sum, sum += v[i];
        CHECK(alternate(v, n, &before) == sum && before == last);
        CHECK(through_returns(limit, 1) == (limit + 5) * 1000003 + -limit * 3);
        CHECK(through_returns(limit, 0) == limit * 3 * 1000003 + -limit + 5);
        Chain c[4] = {{&c[1], 1}, {&c[2], 2}, {&c[3], 3}, {NULL, start}};
        int64_t expected = 0;
        for (int i = 0, which = round & 3; i < 4; i++)
            expected = expected * 7 + c[i].value + (i == which ? 10 * (i + 1) : 0);
        CHECK(bump_all(c, &c[round & 3]) == expected &&
              c[round & 3].value == (round % 4 == 3 ? start : round % 4 + 1) + 40);
        int64_t storage, *out;
        initialise(&out, &storage, limit);
        *out += 1;
        CHECK(storage == limit + 1);
        unsigned from = rnd() & 3, to = (unsigned)round & 3;
        int64_t cells[4] = {1, 2, 3, 4};
        cells[from] = limit, cells[to] += 7;
        CHECK(local_array(from, to, limit) == cells[0] + 10 * cells[1] + 100 * cells[2] + 1000 * cells[3]);
        mix((uint32_t)(expected + sum));
    }
    printf("digest %08x\n", digest);
    return 0;
}
