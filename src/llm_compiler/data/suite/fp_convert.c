// flags: -lm
// Conversions: integers to float and back, double to float, rounding functions, each against a version on the bits.
#include <math.h>
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
static uint64_t rnd64(void) {
    uint64_t high = rnd();
    return high << 32 | rnd();
}

static uint64_t bits64(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
static uint32_t bits32(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
static double from64(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }

// Round a shifted-out fraction to nearest, ties to even.
static uint64_t round_shift(uint64_t m, int shift) {
    if (shift <= 0) return m << -shift;
    uint64_t q = m >> shift, rest = m & ((1ull << shift) - 1), half = 1ull << (shift - 1);
    return q + (rest > half || (rest == half && (q & 1)));
}

NOINLINE static uint32_t soft_u64_to_f32(uint64_t v) {
    if (!v) return 0;
    int top = 63 - __builtin_clzll(v);
    return (uint32_t)(((uint64_t)(126 + top) << 23) + round_shift(v, top - 23));
}

NOINLINE static uint64_t soft_i64_to_f64(int64_t v) {
    uint64_t m = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    if (!m) return 0;
    int top = 63 - __builtin_clzll(m);
    return ((uint64_t)(v < 0) << 63) + ((uint64_t)(1022 + top) << 52) + round_shift(m, top - 52);
}

static uint32_t soft_f64_to_f32(uint64_t d) {
    uint32_t sign = (uint32_t)(d >> 63) << 31;
    int e = (int)(d >> 52 & 0x7ff) - 896;
    uint64_t m = d & ((1ull << 52) - 1);
    if (e < -24) return sign;
    uint64_t r = e > 0 ? ((uint64_t)e << 23) + round_shift(m, 29) : round_shift(m | 1ull << 52, 30 - e);
    return sign | (uint32_t)(r >= 0x7f800000 ? 0x7f800000 : r);
}

// Towards zero, for |x| < 2^63.
static int64_t soft_truncate(uint64_t d) {
    int e = (int)(d >> 52 & 0x7ff) - 1075;
    uint64_t m = (d & ((1ull << 52) - 1)) | 1ull << 52;
    if (e < -52) return 0;
    m = e < 0 ? m >> -e : m << e;
    return d >> 63 ? -(int64_t)m : (int64_t)m;
}

static double any_double(int low_exponent, int high_exponent) {
    uint64_t span = (uint64_t)(high_exponent - low_exponent);
    uint64_t e = (uint64_t)(1023 + low_exponent) + rnd() % span;
    uint64_t m = rnd64() & ((1ull << 52) - 1);
    if (rnd() % 3 == 0) m &= ~0ull << 29;
    if (rnd() % 3 == 0) m = (m & ~0ull << 29) | 1ull << 28;
    return from64((rnd64() & 1ull << 63) | e << 52 | m);
}

static void integers(uint64_t v) {
    CHECK(bits32((float)v) == soft_u64_to_f32(v));
    CHECK(bits64((double)(int64_t)v) == soft_i64_to_f64((int64_t)v));
    CHECK(bits32((float)(uint32_t)v) == soft_u64_to_f32((uint32_t)v));
    CHECK(bits64((double)(int32_t)v) == soft_i64_to_f64((int32_t)v));
    CHECK(bits64((double)(uint32_t)v) == soft_i64_to_f64((uint32_t)v));
    CHECK(bits64((double)(int16_t)v) == soft_i64_to_f64((int16_t)v));
    CHECK(bits64((double)(uint8_t)v) == soft_i64_to_f64((uint8_t)v));
    CHECK((int32_t)(double)(int32_t)v == (int32_t)v);
    mix(bits32((float)(int64_t)v));
}

NOINLINE static void truncations(double x, int64_t *out) {
    out[0] = (int64_t)x;
    out[1] = (int32_t)(int64_t)x;
    out[2] = (uint8_t)(int64_t)x;
    out[3] = x >= 0 ? (int64_t)((uint64_t)x >> 1) : -1;
}

static void rounding(double x) {
    int64_t whole = soft_truncate(bits64(x));
    double part = x - (double)whole;
    CHECK(trunc(x) == (double)whole);
    CHECK(floor(x) == (double)(whole - (part < 0)));
    CHECK(ceil(x) == (double)(whole + (part > 0)));
    CHECK(round(x) == (double)(whole + (part >= 0.5) - (part <= -0.5)));
    double odd = whole & 1 ? 0.5 : 0.75;
    int64_t even = whole + (part > 0.5 || part == odd) - (part < -0.5 || part == -odd);
    CHECK(rint(x) == (double)even);
    CHECK(lrint(x) == even);
    CHECK(nearbyint(-x) == (double)-even);
    mix((uint32_t)even);
}

int main(void) {
    static const uint64_t edges[] = {0, 1, 0xffffff, 0x1000001, 0x1000003, 0x7fffffff, 0x80000000, 0xffffffff,
                                     0x20000000000001, 0x20000000000003, INT64_MAX, 1ull << 63, UINT64_MAX};
    for (unsigned i = 0; i < sizeof edges / sizeof *edges; i++) integers(edges[i]);
    for (int i = 0; i < 4000; i++) integers(rnd64() >> i % 64);
    for (int i = 0; i < 4000; i++) {
        double x = any_double(-152, 130), y = any_double(-3, 62), z = any_double(-4, 40);
        int64_t out[4], whole = soft_truncate(bits64(y));
        CHECK(bits32((float)x) == soft_f64_to_f32(bits64(x)));
        CHECK(bits64((double)(float)z) == bits64(z) || (float)z != z);
        truncations(y, out);
        CHECK(out[0] == whole && out[1] == (int32_t)whole && out[2] == (uint8_t)whole);
        CHECK(y < 0 || out[3] == whole >> 1);
        rounding(z);
        rounding((double)(int)(rnd() % 201 - 100) * 0.5);
        mix(bits32((float)x) ^ (uint32_t)whole);
    }
    CHECK((uint64_t)from64(bits64(0x1p63) + 3) == (1ull << 63) + 3 * 2048);
    printf("digest %08x\n", digest);
    return 0;
}
