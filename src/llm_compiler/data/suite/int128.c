// 128-bit integers: carries, products, quotients, shifts and comparisons against pairs of 64-bit words.
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

typedef unsigned __int128 u128;
typedef __int128 i128;
typedef struct { uint64_t low, high; } Pair;

static Pair split(u128 v) { return (Pair){(uint64_t)v, (uint64_t)(v >> 64)}; }
static u128 join(Pair p) { return (u128)p.high << 64 | p.low; }
static int equal(Pair a, Pair b) { return a.low == b.low && a.high == b.high; }

NOINLINE static Pair add(Pair a, Pair b) {
    Pair r = {a.low + b.low, a.high + b.high};
    r.high += r.low < a.low;
    return r;
}

static Pair negate(Pair a) { return add((Pair){~a.low, ~a.high}, (Pair){1, 0}); }

static Pair multiply64(uint64_t a, uint64_t b) {
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, m1 = a1 * b0 + (low >> 32), m2 = a0 * b1 + (uint32_t)m1;
    return (Pair){m2 << 32 | (uint32_t)low, a1 * b1 + (m1 >> 32) + (m2 >> 32)};
}

NOINLINE static Pair multiply(Pair a, Pair b) {
    Pair r = multiply64(a.low, b.low);
    r.high += a.low * b.high + a.high * b.low;
    return r;
}

static Pair shift_left(Pair a, unsigned n) {
    if (n >= 64) return (Pair){0, a.low << (n - 64)};
    return n ? (Pair){a.low << n, a.high << n | a.low >> (64 - n)} : a;
}

static Pair shift_right(Pair a, unsigned n, int arithmetic) {
    uint64_t fill = arithmetic && a.high >> 63 ? ~0ull : 0;
    if (n == 0) return a;
    if (n == 64) return (Pair){a.high, fill};
    if (n > 64) return (Pair){a.high >> (n - 64) | fill << (128 - n), fill};
    return (Pair){a.low >> n | a.high << (64 - n), a.high >> n | fill << (64 - n)};
}

static int less(Pair a, Pair b) { return a.high != b.high ? a.high < b.high : a.low < b.low; }

NOINLINE static void divide(Pair n, Pair d, Pair *quotient, Pair *remainder) {
    Pair q = {0, 0}, r = {0, 0};
    for (int i = 127; i >= 0; i--) {
        int lost = (int)(r.high >> 63);
        r = shift_left(r, 1);
        r.low |= shift_right(n, (unsigned)i, 0).low & 1;
        if (lost || !less(r, d)) {
            r = add(r, negate(d));
            q = add(q, shift_left((Pair){1, 0}, (unsigned)i));
        }
    }
    *quotient = q;
    *remainder = r;
}

static u128 any(void) {
    u128 high = rnd64(), v = high << 64 | rnd64();
    uint32_t kind = rnd();
    if (kind % 5 == 0) v >>= 64 + kind / 8 % 60;
    if (kind % 7 == 0) v = ~(v >> 90);
    return v;
}

static int decimal(u128 v, char *out) {
    if (v >= 10) out += decimal(v / 10, out) * 0 + (int)strlen(out);
    out[0] = (char)('0' + (int)(v % 10));
    out[1] = 0;
    return 1;
}

static u128 parse(const char *text) {
    u128 v = 0;
    for (; *text; text++) v = v * 10 + (unsigned)(*text - '0');
    return v;
}

NOINLINE static uint64_t modular_power(uint64_t base, uint64_t exponent, uint64_t modulus) {
    uint64_t r = 1;
    for (; exponent; exponent >>= 1) {
        if (exponent & 1) r = (uint64_t)((u128)r * base % modulus);
        base = (uint64_t)((u128)base * base % modulus);
    }
    return r;
}

int main(void) {
    for (int i = 0; i < 400; i++) {
        u128 x = any(), y = any();
        Pair a = split(x), b = split(y), q, r;
        unsigned n = (unsigned)i % 128;
        CHECK(equal(add(a, b), split(x + y)));
        CHECK(equal(add(a, negate(b)), split(x - y)));
        CHECK(equal(multiply(a, b), split(x * y)));
        CHECK(equal(multiply64(a.low, b.low), split((u128)a.low * b.low)));
        CHECK(equal(shift_left(a, n), split(x << n)));
        CHECK(equal(shift_right(a, n, 0), split(x >> n)));
        CHECK(equal(shift_right(a, n, 1), split((u128)((i128)x >> n))));
        CHECK(less(a, b) == (x < y) && less(b, a) == (x > y));
        int64_t ah = (int64_t)a.high, bh = (int64_t)b.high;
        CHECK(((i128)x < (i128)y) == (ah != bh ? ah < bh : a.low < b.low));
        CHECK((x == y) == equal(a, b) && (x ^ y) == join((Pair){a.low ^ b.low, a.high ^ b.high}));
        if (y) {
            divide(a, b, &q, &r);
            CHECK(equal(q, split(x / y)) && equal(r, split(x % y)));
            i128 sx = (i128)(x >> 2) - (i128)(y >> 3), sy = (i128)(y >> 2) + 1, sq = sx / -sy;
            CHECK((sx < 0) == (sq > 0) || sq == 0);
            CHECK(sq * -sy + sx % -sy == sx);
            mix((uint32_t)q.low ^ (uint32_t)(r.high >> 7));
        }
        char text[48];
        decimal(x, text);
        CHECK(parse(text) == x);
        int64_t s = (int64_t)a.low;
        i128 product = (i128)s * (int64_t)b.high;
        CHECK((int64_t)(product >> 64) == (int64_t)((u128)product >> 64) && (uint64_t)product == a.low * b.high);
        mix((uint32_t)(product >> 61));
    }
    CHECK(modular_power(3, 18446744073709551556ull, 18446744073709551557ull) == 1);  // the largest prime below 2^64
    CHECK(modular_power(2, 1000000006, 1000000007) == 1);
    printf("digest %08x\n", digest);
    return 0;
}
