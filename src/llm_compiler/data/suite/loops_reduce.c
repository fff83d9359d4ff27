// Reductions and recurrences: sums, extremes with index, bit folds, conditional stores, compaction, prefix sums, scans.
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

enum { N = 203 };
static int32_t data[N + 8], out[N + 8];
static uint8_t flags[N];

NOINLINE static int64_t sum(const int32_t *v, int n) {
    int64_t s = 0;
    for (int i = 0; i < n; i++) s += v[i];
    return s;
}

static int64_t sum_split(const int32_t *v, int n) {
    int64_t s[4] = {0};
    int i = 0;
    for (; i + 4 <= n; i += 4)
        for (int k = 0; k < 4; k++) s[k] += v[i + k];
    for (; i < n; i++) s[0] += v[i];
    return s[0] + s[1] + s[2] + s[3];
}

typedef struct { int32_t low, high; int low_at, high_at; } Range;

NOINLINE static Range extremes(const int32_t *v, int n) {
    Range r = {v[0], v[0], 0, 0};
    for (int i = 1; i < n; i++) {
        if (v[i] < r.low) r.low = v[i], r.low_at = i;
        if (v[i] >= r.high) r.high = v[i], r.high_at = i;
    }
    return r;
}

static uint32_t fold_xor(const int32_t *v, int n) { return n ? (uint32_t)v[n - 1] ^ fold_xor(v, n - 1) : 0; }
static uint32_t fold_and(const int32_t *v, int n) {
    uint32_t x = ~0u;
    for (int i = 0; i < n; i++) x &= (uint32_t)v[i];
    return x;
}
static uint32_t fold_or(const int32_t *v, int n) { return n > 0 ? (uint32_t)*v | fold_or(v + 1, n - 1) : 0; }
static uint32_t product(const int32_t *v, int n) {
    uint32_t x = 1;
    for (const int32_t *end = v + n; v < end; v++) x *= (uint32_t)*v | 1;
    return x;
}

// Only some elements are stored; the others keep what they had.
NOINLINE static int clamp_where(int32_t *v, const uint8_t *where, int n, int32_t limit) {
    int changed = 0;
    for (int i = 0; i < n; i++)
        if (where[i] && v[i] > limit) v[i] = limit, changed++;
    return changed;
}

static int compact(const int32_t *from, int n, int32_t *to) {
    int k = 0;
    for (int i = 0; i < n; i++) {
        to[k] = from[i];
        k += from[i] > 0;
    }
    return k;
}

static void prefix(const int32_t *v, int32_t *to, int n) {
    uint32_t s = 0;
    for (int i = 0; i < n; i++) to[i] = (int32_t)(s += (uint32_t)v[i]);
}

// Each element depends on those three before it.
static void recurrence(uint32_t *x, int n) {
    for (int i = 3; i < n; i++) x[i] = x[i - 1] * 3 + x[i - 2] * 5 - x[i - 3];
}

static uint32_t recurrence_last(uint32_t a, uint32_t b, uint32_t c, int n) {
    for (int i = 3; i < n; i++) {
        uint32_t d = c * 3 + b * 5 - a;
        a = b, b = c, c = d;
    }
    return c;
}

NOINLINE static int first_duplicate(const int32_t *v, int n) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++)
            if (v[i] == v[j]) return i * 1000 + j;
    return -1;
}

static int64_t best_slice(const int32_t *v, int n) {
    int64_t best = 0, here = 0;
    for (int i = 0; i < n; i++) {
        here = here + v[i] > 0 ? here + v[i] : 0;
        if (here > best) best = here;
    }
    return best;
}

int main(void) {
    uint32_t chain[N];
    for (int round = 0; round < 60; round++) {
        int n = 1 + (int)(rnd() % N);
        for (int i = 0; i < N; i++) data[i] = (int32_t)rnd() >> (8 + round % 20), flags[i] = rnd() & 1;
        CHECK(sum(data, n) == sum_split(data, n) && sum(data + 1, n - 1) + data[0] == sum_split(data, n));
        Range r = extremes(data, n);
        for (int i = 0; i < n; i++) {
            CHECK(data[i] >= r.low && data[i] <= r.high);
            CHECK((i >= r.low_at || data[i] > r.low) && (i <= r.high_at || data[i] < r.high));
        }
        CHECK(fold_xor(data, n) == (fold_xor(data, n / 2) ^ fold_xor(data + n / 2, n - n / 2)));
        CHECK(fold_or(data, n) == (fold_or(data, n / 3) | fold_or(data + n / 3, n - n / 3)));
        CHECK(fold_and(data, n) == (fold_and(data, 1) & fold_and(data + 1, n - 1)) && fold_and(data, 0) == ~0u);
        CHECK(product(data, n) == product(data, n - 1) * ((uint32_t)data[n - 1] | 1));
        int positive = compact(data, n, out), seen = 0;
        for (int i = 0; i < n; i++)
            if (data[i] > 0) CHECK(out[seen++] == data[i]);
        CHECK(positive == seen);
        prefix(data, out, n);
        CHECK(out[n - 1] == (int32_t)sum(data, n) && out[0] == data[0]);
        chain[0] = 1, chain[1] = (uint32_t)n, chain[2] = (uint32_t)data[0];
        recurrence(chain, n);
        CHECK(n < 3 || chain[n - 1] == recurrence_last(1, (uint32_t)n, (uint32_t)data[0], n));
        int64_t best = 0;
        for (int i = 0; i < n && n < 80; i++)
            for (int j = i; j < n; j++) best = sum(data + i, j - i + 1) > best ? sum(data + i, j - i + 1) : best;
        CHECK(n >= 80 || best_slice(data, n) == best);
        int duplicate = first_duplicate(data, n);
        CHECK(duplicate < 0 || data[duplicate / 1000] == data[duplicate % 1000]);
        mix((uint32_t)duplicate ^ product(data, n) ^ (uint32_t)best_slice(data, n));
        memcpy(out, data, sizeof data);
        int changed = clamp_where(out, flags, n, 3);
        for (int i = 0; i < N; i++) {
            int hit = i < n && flags[i] && data[i] > 3;
            CHECK(out[i] == (hit ? 3 : data[i]));
            changed -= hit;
        }
        CHECK(changed == 0);
    }
    printf("digest %08x\n", digest);
    return 0;
}
