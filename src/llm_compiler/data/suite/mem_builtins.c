// memmove with overlap, unaligned memcpy, memset, memchr, memcmp, memory loops that look like them; all against bytes.
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

enum { SIZE = 160 };
static uint8_t global_a[SIZE], global_b[SIZE];

NOINLINE static void fill(uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = (uint8_t)(rnd() >> 9);
}

static void naive_move(uint8_t *to, const uint8_t *from, size_t n) {
    volatile uint8_t *t = to;
    if (to <= from)
        for (size_t i = 0; i < n; i++) t[i] = from[i];
    else
        while (n--) t[n] = from[n];
}

// Forwards byte by byte: with to = from + 1 this is a fill, and no memcpy or memmove.
NOINLINE static void copy_forward(uint8_t *to, const uint8_t *from, size_t n) {
    for (size_t i = 0; i < n; i++) to[i] = from[i];
}

static void copy_backward(uint8_t *to, const uint8_t *from, size_t n) {
    while (n > 0) n--, to[n] = from[n];
}

static void copy_words(uint32_t *to, const uint32_t *from, int n) {
    for (int i = 0; i < n; i++) to[i] = from[i];
}

NOINLINE static void set_pattern(uint8_t *p, size_t n, uint8_t v) {
    for (uint8_t *end = p + n; p < end; p++) *p = v;
}

static void set_pairs(uint16_t *p, int n, uint16_t v) {
    for (int i = 0; i < n; i++) p[i] = v;
}

static uint32_t load32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void store64(void *p, uint64_t v) { memcpy(p, &v, sizeof v); }

static int naive_compare(const uint8_t *a, const uint8_t *b, size_t n) {
    for (; n--; a++, b++)
        if (*a != *b) return *a < *b ? -1 : 1;
    return 0;
}

static int sign(int v) { return (v > 0) - (v < 0); }

static uint32_t sum_of(const uint8_t *p, size_t n) {
    uint32_t s = 0;
    for (size_t i = 0; i < n; i++) s = s * 31 + p[i];
    return s;
}

// Constant sizes become loads and stores; struct copies become memcpy.
typedef struct { uint8_t bytes[37]; } Odd;
static void swap_odd(Odd *a, Odd *b) {
    Odd t = *a;
    *a = *b;
    *b = t;
}

int main(void) {
    uint8_t local[SIZE], model[SIZE];
    for (int round = 0; round < 300; round++) {
        size_t n = rnd() % 70, from = rnd() % 80, shift = rnd() % 80, to = round % 3 ? from + shift % 9 : shift;
        fill(local, SIZE);
        memcpy(model, local, SIZE);
        memmove(local + to, local + from, n);
        naive_move(model + to, model + from, n);
        CHECK(memcmp(local, model, SIZE) == 0);
        copy_backward(local + to, local + from, n);
        if (to >= from) naive_move(model + to, model + from, n);
        else for (size_t i = n; i-- > 0;) *(volatile uint8_t *)&model[to + i] = model[from + i];
        CHECK(memcmp(local, model, SIZE) == 0);
        size_t gap = 1 + rnd() % 5;
        copy_forward(local + 20 + gap, local + 20, n);
        for (size_t i = 0; i < n; i++) CHECK(local[20 + gap + i] == local[20 + i % gap]);
        mix(sum_of(local, SIZE));

        fill(global_a, SIZE);
        memcpy(global_b, global_a, SIZE);
        CHECK(load32(global_a + from) == load32(global_b + from));
        store64(global_a + from, 0x1122334455667788 + n);
        uint64_t back;
        memcpy(&back, global_a + from, 8);
        CHECK(back == 0x1122334455667788 + n && naive_compare(global_a, global_b, from) == 0);
        CHECK(memcmp(global_a + from + 8, global_b + from + 8, SIZE - from - 8) == 0);
        CHECK(sign(memcmp(global_a, global_b, SIZE)) == naive_compare(global_a, global_b, SIZE));
        CHECK((memcmp(global_a + to, global_b + to, n) == 0) == (naive_compare(global_a + to, global_b + to, n) == 0));

        memset(global_b + from, round, n);
        set_pattern(global_a + from, n, (uint8_t)round);
        CHECK(memcmp(global_a + from, global_b + from, n) == 0);
        const uint8_t *found = memchr(local, round, SIZE), *p = local;
        while (p < local + SIZE && *p != (uint8_t)round) p++;
        CHECK(found ? found == p : p == local + SIZE);

        uint32_t words[12], copy[12];
        uint16_t pairs[9];
        for (int i = 0; i < 12; i++) words[i] = load32(local + i * 4 + 1);
        memset(copy, 0xff, sizeof copy);
        copy_words(copy, words, (int)n % 13);
        for (size_t i = 0; i < 12; i++) CHECK(copy[i] == (i < n % 13 ? words[i] : 0xffffffff));
        copy_words(words + 1, words, 11);  // overlapping: every word is the first
        for (int i = 1; i < 12; i++) CHECK(words[i] == words[0]);
        memset(pairs, 0, sizeof pairs);
        set_pairs(pairs + 1, (int)n % 8, (uint16_t)words[0]);
        CHECK(pairs[0] == 0 && pairs[n % 8 + 1] == 0 && (n % 8 == 0 || pairs[n % 8] == (uint16_t)words[0]));

        Odd odds[2];
        memcpy(odds, local, sizeof odds);
        swap_odd(&odds[round & 1], &odds[1]);
        CHECK(memcmp(odds + 1, local + (round & 1 ? 37 : 0), 37) == 0);
        mix(sum_of(global_a, SIZE) ^ sum_of(odds[0].bytes, sizeof odds));
    }
    printf("digest %08x\n", digest);
    return 0;
}
