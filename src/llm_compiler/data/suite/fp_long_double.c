// long double beside double, passed, returned, stored in structs and arrays; mixed arithmetic that is exact.
#include <float.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

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
static uint64_t rnd64(void) {
    uint64_t high = rnd();
    return high << 32 | rnd();
}

typedef struct { char tag; long double value; float scale; } Sample;
typedef struct { double re, im; } Pair;
typedef struct { long double re, im; } LongPair;

static Sample samples[24];

NOINLINE static long double from_integer(int64_t v) { return (long double)v; }
static int64_t to_integer(long double v) { return (int64_t)v; }

static Pair multiply(Pair a, Pair b) { return (Pair){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re}; }

NOINLINE static LongPair multiply_long(LongPair a, LongPair b) {
    LongPair r;
    r.re = a.re * b.re - a.im * b.im;
    r.im = a.re * b.im + a.im * b.re;
    return r;
}

static long double polynomial(const long double *c, int n, long double x) {
    long double y = 0;
    while (n--) y = y * x + c[n];
    return y;
}

NOINLINE static long double sum(int count, ...) {
    va_list list;
    va_start(list, count);
    long double total = 0;
    for (int i = 0; i < count; i++) {
        switch (i % 3) {
        case 0: total += va_arg(list, long double); break;
        case 1: total += (long double)va_arg(list, double); break;
        default: total += va_arg(list, int);
        }
    }
    va_end(list);
    return total;
}

static void fill(Sample *s, int n) {
    for (int i = 0; i < n; i++) {
        s[i].tag = (char)('a' + i);
        s[i].value = from_integer((int64_t)(rnd() % 100000) - 50000) / 16;
        s[i].scale = (float)(rnd() % 64) / 8;
    }
}

static int64_t power(int64_t x, int n) { return n ? x * power(x, n - 1) : 1; }

NOINLINE static int compare(const void *a, const void *b) {
    long double x = ((const Sample *)a)->value, y = ((const Sample *)b)->value;
    return (x > y) - (x < y);
}

int main(void) {
    for (int i = 0; i < 500; i++) {
        int64_t v = (int64_t)rnd64() >> 10;
        CHECK(to_integer(from_integer(v)) == v);
        CHECK(to_integer(from_integer(v) / 2) == v / 2);
        CHECK((from_integer(v) < 0) == (v < 0));
        CHECK((double)from_integer(v) == (double)v);
        CHECK((float)from_integer(v >> 30) == (float)(v >> 30));
        mix((uint32_t)to_integer(from_integer(v) * 0.125L));
    }
    for (int i = 0; i < 200; i++) {
        int a = (int)(rnd() % 2001) - 1000, b = (int)(rnd() % 2001) - 1000, c = (int)(rnd() % 2001) - 1000, d = a ^ 5;
        Pair p = multiply((Pair){a, b}, (Pair){c, d});
        LongPair q = multiply_long((LongPair){a, b}, (LongPair){c, d});
        CHECK(p.re == a * c - b * d && p.im == a * d + b * c);
        CHECK(q.re == (long double)p.re && q.im == (long double)p.im);
        CHECK(sum(5, (long double)a / 4, (double)b / 4, c, (long double)d / 4, -(double)b / 4) * 4 == a + 4 * c + d);
        mix((uint32_t)(int32_t)q.im);
    }
    long double coefficients[6];
    for (int x = -9; x < 10; x++) {
        int64_t wanted = 0;
        for (int k = 0; k < 6; k++) {
            int c = (int)(rnd() % 199) - 99;
            coefficients[k] = c;
            wanted += c * power(x, k);
        }
        CHECK(polynomial(coefficients, 6, x) == wanted);
        CHECK(polynomial(coefficients + 6, 0, x) == 0);
        mix((uint32_t)wanted);
    }
    fill(samples, 24);
    long double total = 0, scaled = 0, after = 0;
    for (int i = 0; i < 24; i++) total += samples[i].value, scaled += samples[i].value * samples[i].scale;
    qsort(samples, 24, sizeof *samples, compare);
    for (int i = 0; i < 24; i++) {
        after += samples[i].value * samples[i].scale;
        CHECK(!i || samples[i - 1].value <= samples[i].value);
        mix((uint32_t)(unsigned char)samples[i].tag << 24 ^ (uint32_t)(int32_t)(samples[i].value * 16));
    }
    CHECK(after == scaled && sum(1, total) == total);
    CHECK(LDBL_MANT_DIG >= DBL_MANT_DIG);
    volatile long double third = 1.0L / 3, one = 1;
    CHECK(LDBL_MANT_DIG == DBL_MANT_DIG || (long double)(double)third != third);
    CHECK(one + LDBL_EPSILON > one && one + LDBL_EPSILON / 2 == one);
    printf("digest %08x\n", digest);
    return 0;
}
