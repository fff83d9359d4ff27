// Floating-point sums where the order matters: two-sum and Kahan compensation, pairwise sums, Horner, dot products.
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
#pragma STDC FP_CONTRACT OFF

enum { N = 257 };
static double values[N], weights[N];

static void two_sum(double a, double b, double *sum, double *error) {
    double s = a + b, t = s - a;
    *sum = s;
    *error = (a - (s - t)) + (b - t);
}

NOINLINE static double plain(const double *x, int n) {
    double s = 0;
    for (int i = 0; i < n; i++) s += x[i];
    return s;
}

static double backwards(const double *x, int n) {
    double s = 0;
    while (n-- > 0) s += x[n];
    return s;
}

NOINLINE static double kahan(const double *x, int n) {
    double s = 0, c = 0;
    for (int i = 0; i < n; i++) {
        double y = x[i] - c, t = s + y;
        c = (t - s) - y;
        s = t;
    }
    return s;
}

static double pairwise(const double *x, int n) {
    if (n <= 2) return n == 2 ? x[0] + x[1] : n ? x[0] : 0;
    return pairwise(x, n / 2) + pairwise(x + n / 2, n - n / 2);
}

static double dot(const double *a, const double *b, int n, int stride) {
    double s = 0;
    for (int i = 0; i < n; i += stride) s += a[i] * b[i];
    return s;
}

NOINLINE static void running_mean(const double *x, int n, double *out) {
    double mean = 0;
    for (int i = 0; i < n; i++) {
        mean += (x[i] - mean) / (i + 1);
        out[i] = mean;
    }
}

static double horner(const double *c, int n, double x) {
    double y = 0;
    for (int i = n - 1; i >= 0; i--) y = y * x + c[i];
    return y;
}

static uint32_t fold(double x) {
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    return (uint32_t)(u ^ u >> 32);
}

int main(void) {
    // Small integers over a power of two: every order is exact and equals the sum of integers.
    for (int round = 0; round < 20; round++) {
        int64_t total = 0, product = 0;
        for (int i = 0; i < N; i++) {
            int a = (int)(rnd() % 20001) - 10000, b = (int)(rnd() % 2001) - 1000;
            values[i] = a / 64.0;
            weights[i] = b;
            total += a;
            if (i % 3 == 0) product += (int64_t)a * b;
        }
        double exact = (double)total / 64;
        CHECK(plain(values, N) == exact && backwards(values, N) == exact);
        CHECK(pairwise(values, N) == exact && kahan(values, N) == exact);
        CHECK(dot(values, weights, N, 3) == (double)product / 64);
        mix(fold(exact) ^ fold(dot(weights, values, N - 9, 1)));
    }
    // The parts that rounding takes away are in the error term: a + b == s + e, in integers.
    for (int i = 0; i < 2000; i++) {
        int64_t x = (int64_t)(rnd64() >> 11), y = (int64_t)rnd() - 0x80000000ll;
        double a = (double)x * 1024, b = (double)y, s, e;
        two_sum(a, b, &s, &e);
        CHECK((__int128)s + (__int128)e == (__int128)x * 1024 + y);
        two_sum(b, a, &s, &e);
        CHECK((__int128)s + (__int128)e == (__int128)x * 1024 + y);
        mix(fold(s) + fold(e));
    }
    // 2^53 swallows ones that are added to it one by one.
    for (int i = 1; i < N; i++) values[i] = 1;
    values[0] = 0x1p53;
    CHECK(plain(values, N) == 0x1p53);
    CHECK(backwards(values, N) == 0x1p53 + 256);
    CHECK(kahan(values, N) == 0x1p53 + 256);
    values[0] = -0.0;
    CHECK(1 / (plain(values, 1) + values[0]) > 0);
    for (int i = 0; i < N; i++) values[i] = (double)(rnd() % 1000) / 7, weights[i] = (double)rnd() * 0x1p-32;
    running_mean(values, N, weights);
    double mean = plain(values, N) / N;
    CHECK(weights[N - 1] - mean < 1e-10 && mean - weights[N - 1] < 1e-10);
    for (int i = 0; i < N; i += 8) mix(fold(weights[i]) ^ fold(plain(values + i, N - i)));
    static const double cubes[] = {-27, 27, -9, 1};  // (x - 3)^3
    for (int x = -20; x < 20; x++) CHECK(horner(cubes, 4, x / 4.0) * 64 == (double)(x - 12) * (x - 12) * (x - 12));
    CHECK(horner(values, 0, 3) == 0 && horner(values, 1, 3) == values[0]);
    printf("digest %08x\n", digest);
    return 0;
}
