// A software single-precision add, subtract, multiply, divide, square root and compare, against the hardware's.
// flags: -lm
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
#pragma STDC FP_CONTRACT OFF

typedef uint32_t soft;

static float hard(soft u) { float x; memcpy(&x, &u, sizeof x); return x; }
static soft bits(float x) { soft u; memcpy(&u, &x, sizeof u); return u; }

typedef struct { int negative, exponent; uint64_t mantissa; } Parts;

static Parts unpack(soft u) {
    int e = (int)(u >> 23 & 255);
    uint32_t m = u & 0x7fffff;
    return (Parts){(int)(u >> 31), e ? e - 150 : -149, e ? m | 0x800000 : m};
}

// mantissa * 2^exponent, rounded to nearest even.
NOINLINE static soft pack(Parts p) {
    soft sign = (soft)p.negative << 31;
    if (!p.mantissa) return sign;
    int top = 63 - __builtin_clzll(p.mantissa), target = p.exponent + top - 23;
    if (target < -149) target = -149;
    int shift = target - p.exponent;
    uint64_t q = 0;
    if (shift > 63) {
        q = 0;
    } else if (shift > 0) {
        uint64_t rest = p.mantissa & ((1ull << shift) - 1), half = 1ull << (shift - 1);
        q = p.mantissa >> shift;
        q += rest > half || (rest == half && (q & 1));
    } else {
        q = p.mantissa << -shift;
    }
    if (q == 0x1000000) q >>= 1, target++;
    if (q < 0x800000) return sign | (soft)q;
    if (target + 150 >= 255) return sign | 0x7f800000;
    return sign | (soft)(target + 150) << 23 | ((soft)q & 0x7fffff);
}

static soft soft_add(soft x, soft y) {
    Parts a = unpack(x), b = unpack(y);
    if (a.exponent < b.exponent || (a.exponent == b.exponent && a.mantissa < b.mantissa)) {
        Parts t = a;
        a = b;
        b = t;
    }
    int distance = a.exponent - b.exponent;
    uint64_t small = b.mantissa;
    if (distance > 38) distance = 38, small = small != 0;
    a.mantissa <<= distance;
    a.exponent -= distance;
    if (a.negative == b.negative) {
        a.mantissa += small;
    } else {
        a.mantissa -= small;
        if (!a.mantissa) a.negative = 0;
    }
    return pack(a);
}

static soft soft_multiply(soft x, soft y) {
    Parts a = unpack(x), b = unpack(y);
    return pack((Parts){a.negative ^ b.negative, a.exponent + b.exponent, a.mantissa * b.mantissa});
}

NOINLINE static soft soft_divide(soft x, soft y) {
    Parts a = unpack(x), b = unpack(y);
    while (a.mantissa && a.mantissa < 0x800000) a.mantissa <<= 1, a.exponent--;
    uint64_t n = a.mantissa << 39, q = n / b.mantissa;
    return pack((Parts){a.negative ^ b.negative, a.exponent - b.exponent - 40, q << 1 | (n % b.mantissa != 0)});
}

static soft soft_root(soft x) {
    Parts a = unpack(x);
    while (a.mantissa && a.mantissa < 0x800000) a.mantissa <<= 1, a.exponent--;
    if (a.exponent & 1) a.mantissa <<= 1, a.exponent--;
    uint64_t n = a.mantissa << 30, root = 0;
    for (uint64_t bit = 1ull << 31; bit; bit >>= 1)
        if ((root | bit) * (root | bit) <= n) root |= bit;
    return pack((Parts){0, (a.exponent - 30) / 2 - 1, root << 1 | (root * root != n)});
}

static int soft_less(soft a, soft b) {
    if ((a | b) << 1 == 0) return 0;
    if ((a ^ b) >> 31) return a >> 31;
    return a >> 31 ? b < a : a < b;
}

static soft any(void) {
    soft u = rnd();
    uint32_t kind = rnd() % 8;
    if (kind == 0) u &= 0x807fffff;
    if (kind == 1) u &= 0xff800000;
    if (kind == 2) u = (u & 0x807fffff) | (127 - 12 + rnd() % 24) << 23;
    return (u >> 23 & 255) == 255 ? u & 0xbfffffff : u;
}

int main(void) {
    volatile soft edges[] = {0, 0x80000000, 1, 0x7fffff, 0x800000, 0x7f7fffff, 0x3f800000, 0xbf800000, 0x3f7fffff};
    int count = sizeof edges / sizeof *edges;
    for (int i = 0; i < 8000; i++) {
        soft x = i < 81 ? edges[i / count] : any(), y = i < 81 ? edges[i % count] : any();
        if (i >= 81 && i % 4 == 0) y = x ^ (rnd() & 0x80000003);
        volatile float a = hard(x), b = hard(y);
        CHECK(soft_add(x, y) == bits(a + b));
        CHECK(soft_add(x, y ^ 0x80000000) == bits(a - b));
        CHECK(soft_multiply(x, y) == bits(a * b));
        CHECK(soft_less(x, y) == (a < b) && soft_less(y, x) == (a > b));
        if (y << 1) {
            CHECK(soft_divide(x, y) == bits(a / b));
            mix(soft_divide(x, y));
        }
        if (x << 1) CHECK(soft_root(x & 0x7fffffff) == bits(sqrtf(fabsf(a))));
        mix(soft_add(x, y) ^ soft_multiply(x, y));
    }
    printf("digest %08x\n", digest);
    return 0;
}
