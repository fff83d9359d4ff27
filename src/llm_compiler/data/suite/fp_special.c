// flags: -lm
// Floating point: NaN, infinities, negative zero; comparisons in every form; selects that look like fmin and fmax.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
#define CHECK(ok) ((ok) ? (void)0 : fail(__LINE__, #ok))

static uint32_t digest = 2166136261u;

_Noreturn static void fail(int line, const char *what) { printf("line %d: %s\n", line, what), exit(1); }
static void mix(uint32_t value) { digest = (digest ^ value) * 16777619u ^ digest >> 15; }

static volatile double inputs[] = {0.0, -0.0, 1.0, -1.0, 0.5, 1e308, -1e308, 5e-324, -5e-324, INFINITY, -INFINITY, NAN};
enum { COUNT = sizeof inputs / sizeof *inputs };
enum { LT = 1, LE = 2, GT = 4, GE = 8, EQ = 16, NE = 32, UNORDERED = 64 };

static uint64_t bits(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}

static int is_nan_bits(double x) { return bits(x) << 1 > 0xffe0000000000000u; }

NOINLINE static int relations(double a, double b) {
    int r = 0;
    if (a < b) r |= LT;
    if (a <= b) r |= LE;
    if (a > b) r |= GT;
    if (a >= b) r |= GE;
    if (a == b) r |= EQ;
    if (a != b) r |= NE;
    if (isunordered(a, b)) r |= UNORDERED;
    return r;
}

static int relations_negated(double a, double b) {
    int r = LT | LE | GT | GE | EQ | NE;
    if (!(a < b)) r &= ~LT;
    if (!(a <= b)) r &= ~LE;
    if (!(a > b)) r &= ~GT;
    if (!(a >= b)) r &= ~GE;
    if (!(a == b)) r &= ~EQ;
    if (!(a != b)) r &= ~NE;
    return a != a || b != b ? r | UNORDERED : r;
}

static int64_t key(double x) {
    uint64_t u = bits(x);
    return u >> 63 ? -(int64_t)(u & INT64_MAX) : (int64_t)u;
}

static int relations_by_bits(double a, double b) {
    if (is_nan_bits(a) || is_nan_bits(b)) return NE | UNORDERED;
    int64_t x = key(a), y = key(b);
    return (x < y ? LT | LE | NE : 0) | (x > y ? GT | GE | NE : 0) | (x == y ? LE | GE | EQ : 0);
}

static double low(double a, double b) { return a < b ? a : b; }
static double low_or_equal(double a, double b) { return a <= b ? a : b; }
static double high(double a, double b) { return b < a ? a : b; }
NOINLINE static double high_not(double a, double b) { return !(a > b) ? b : a; }
static double (*const selects[])(double, double) = {low, low_or_equal, high, high_not};
static const int select_taken[] = {LT, LE, GT, GT};

static int class_by_bits(double x) {
    uint64_t u = bits(x) & INT64_MAX;
    if (u == 0) return FP_ZERO;
    if (u < 1ull << 52) return FP_SUBNORMAL;
    if (u < 0x7ffull << 52) return FP_NORMAL;
    return u == 0x7ffull << 52 ? FP_INFINITE : FP_NAN;
}

NOINLINE static void identities(double x, double out[8]) {
    out[0] = x + 0.0;
    out[1] = x - 0.0;
    out[2] = 0.0 - x;
    out[3] = -x;
    out[4] = x * 0.0;
    out[5] = x - x;
    out[6] = x * -1.0;
    out[7] = fabs(x);
}

static int first_not_less(const volatile double *values, int count, double bound) {
    int i = 0;
    while (i < count && values[i] < bound) i++;
    return i;
}

int main(void) {
    for (int i = 0; i < COUNT; i++) {
        double a = inputs[i], out[8];
        for (int j = 0; j < COUNT; j++) {
            double b = inputs[j];
            int r = relations(a, b);
            CHECK(r == relations_by_bits(a, b));
            CHECK(r == relations_negated(a, b));
            mix((uint32_t)r);
            for (int s = 0; s < 4; s++) {
                double chosen = selects[s](a, b);
                CHECK(bits(chosen) == bits(r & select_taken[s] ? a : b));
            }
            CHECK(bits(low(a, b)) == bits(r & LT ? a : b));
        }
        CHECK(fpclassify(a) == class_by_bits(a));
        CHECK(!signbit(a) == !(bits(a) >> 63));
        identities(a, out);
        CHECK(bits(out[3]) == (bits(a) ^ 1ull << 63));
        CHECK(bits(out[7]) == (bits(a) & INT64_MAX));
        if (isnan(a)) {
            for (int k = 0; k < 8; k++) CHECK(is_nan_bits(out[k]));
            continue;
        }
        CHECK(bits(out[0]) == (a == 0 ? 0 : bits(a)));
        CHECK(bits(out[1]) == bits(a));
        CHECK(bits(out[2]) == (a == 0 ? 0 : bits(out[3])));
        CHECK(bits(out[6]) == bits(out[3]));
        if (isinf(a)) {
            CHECK(is_nan_bits(out[4]) && is_nan_bits(out[5]));
        } else {
            CHECK(bits(out[4]) == (bits(a) & 1ull << 63));
            CHECK(bits(out[5]) == 0);
        }
        for (int k = 0; k < 8; k++) mix(isnan(out[k]) ? 7 : (uint32_t)(bits(out[k]) >> 32));
    }
    CHECK(first_not_less(inputs, COUNT, 0.75) == 2);
    CHECK(first_not_less(inputs, COUNT, inputs[COUNT - 1]) == 0);
    CHECK(first_not_less(inputs + 3, COUNT - 3, inputs[9]) == 6);
    printf("digest %08x\n", digest);
    return 0;
}
