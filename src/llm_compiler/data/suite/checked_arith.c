// Overflow builtins, saturating arithmetic and checked conversions of every width, against wider arithmetic.
#include <limits.h>
#include <stdbool.h>
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

NOINLINE static bool add_i32(int32_t a, int32_t b, int32_t *r) { return __builtin_add_overflow(a, b, r); }
static bool sub_i32(int32_t a, int32_t b, int32_t *r) { return __builtin_sub_overflow(a, b, r); }
static bool mul_i32(int32_t a, int32_t b, int32_t *r) { return __builtin_mul_overflow(a, b, r); }
static bool add_u8(uint8_t a, uint8_t b, uint8_t *r) { return __builtin_add_overflow(a, b, r); }
NOINLINE static bool mul_i64(int64_t a, int64_t b, int64_t *r) { return __builtin_mul_overflow(a, b, r); }
static bool sub_u64(uint64_t a, uint64_t b, uint64_t *r) { return __builtin_sub_overflow(a, b, r); }
static bool mixed(int64_t a, uint32_t b, int16_t *r) { return __builtin_add_overflow(a, b, r); }

static int32_t saturating_add(int32_t a, int32_t b) {
    int32_t r;
    if (__builtin_add_overflow(a, b, &r)) return b < 0 ? INT32_MIN : INT32_MAX;
    return r;
}

NOINLINE static int32_t saturating_add_bits(int32_t a, int32_t b) {
    uint32_t x = (uint32_t)a, y = (uint32_t)b, r = x + y;
    uint32_t limit = (x >> 31) + INT32_MAX;
    return (int32_t)(~(x ^ y) & (y ^ r) & 0x80000000 ? limit : r);
}

static uint16_t saturating_sub(uint16_t a, uint16_t b) { return a > b ? (uint16_t)(a - b) : 0; }
static uint16_t saturating_sub_bits(uint16_t a, uint16_t b) {
    uint16_t r = (uint16_t)(a - b);
    return r & (uint16_t)-(r <= a);
}

static bool narrow(int64_t v, int bits, int64_t *out) {
    int64_t limit = (int64_t)1 << (bits - 1);
    if (v < -limit || v >= limit) return false;
    *out = v;
    return true;
}

// Parses with exact overflow detection.
NOINLINE static bool parse(const char *s, int32_t *out) {
    bool negative = *s == '-';
    int32_t v = 0;
    if (negative) s++;
    if (!*s) return false;
    for (; *s; s++) {
        if (*s < '0' || *s > '9') return false;
        if (__builtin_mul_overflow(v, 10, &v)) return false;
        if (negative ? __builtin_sub_overflow(v, *s - '0', &v) : __builtin_add_overflow(v, *s - '0', &v)) return false;
    }
    *out = v;
    return true;
}

static size_t checked_size(size_t count, size_t size, size_t header, bool *ok) {
    size_t total;
    *ok = !__builtin_mul_overflow(count, size, &total) && !__builtin_add_overflow(total, header, &total);
    return *ok ? total : 0;
}

static int32_t midpoint(int32_t a, int32_t b) { return (a & b) + ((a ^ b) >> 1); }

static void accumulate(const int32_t *v, int n, int32_t *total, int *wraps) {
    for (int i = 0; i < n; i++) *wraps += __builtin_add_overflow(*total, v[i], total);
}

int main(void) {
    static volatile int32_t edges[] = {0, 1, -1, 2, -2, 46340, 46341, -46341, 65536, INT_MAX, INT_MIN, INT_MAX - 1,
                                       INT_MIN + 1};
    enum { COUNT = sizeof edges / sizeof *edges };
    int32_t list[64];
    for (int i = 0; i < 3000; i++) {
        int32_t a = i < COUNT * COUNT ? edges[i / COUNT] : (int32_t)rnd(), r;
        int32_t b = i < COUNT * COUNT ? edges[i % COUNT] : (int32_t)rnd() >> i % 31;
        int64_t sum = (int64_t)a + b, difference = (int64_t)a - b, product = (int64_t)a * b;
        CHECK(add_i32(a, b, &r) == (sum != (int32_t)sum) && r == (int32_t)sum);
        mix((uint32_t)r);
        CHECK(sub_i32(a, b, &r) == (difference != (int32_t)difference) && r == (int32_t)difference);
        CHECK(mul_i32(a, b, &r) == (product != (int32_t)product) && r == (int32_t)product);
        mix((uint32_t)r);
        uint8_t u8;
        CHECK(add_u8((uint8_t)a, (uint8_t)b, &u8) == ((uint8_t)a + (uint8_t)b > 255) &&
              u8 == (uint8_t)(a + (int64_t)b));
        int64_t wide = (int64_t)((uint64_t)a << 11), r64;
        __int128 exact = (__int128)wide * product;
        CHECK(mul_i64(wide, product, &r64) == (exact != (int64_t)exact) && r64 == (int64_t)exact);
        uint64_t ru;
        CHECK(sub_u64((uint64_t)product, (uint64_t)wide, &ru) == ((uint64_t)product < (uint64_t)wide));
        CHECK(ru + (uint64_t)wide == (uint64_t)product);
        int16_t r16;
        __int128 mixed_sum = (__int128)(product >> 16) + (uint32_t)b;
        CHECK(mixed(product >> 16, (uint32_t)b, &r16) == (mixed_sum != (int16_t)mixed_sum) &&
              r16 == (int16_t)mixed_sum);
        int32_t clamped = (int32_t)(sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : sum);
        CHECK(saturating_add(a, b) == clamped && saturating_add_bits(a, b) == clamped);
        CHECK(saturating_sub((uint16_t)a, (uint16_t)b) == saturating_sub_bits((uint16_t)a, (uint16_t)b));
        CHECK(midpoint(a, b) == (int32_t)(sum >> 1));
        int64_t kept = 77;
        CHECK(narrow(a, 12, &kept) == (a >= -2048 && a <= 2047) && kept == (a >= -2048 && a <= 2047 ? a : 77));
        char text[24];
        snprintf(text, sizeof text, "%lld", (long long)sum);
        r = 5;
        CHECK(parse(text, &r) == (sum == (int32_t)sum) && r == (sum == (int32_t)sum ? (int32_t)sum : 5));
        bool ok;
        size_t size = checked_size((uint32_t)a, (size_t)(uint32_t)b << 2, 24, &ok);
        unsigned __int128 size_exact = (unsigned __int128)(uint32_t)a * ((uint64_t)(uint32_t)b << 2) + 24;
        CHECK(ok == (size_exact >> 64 == 0) && size == (ok ? (size_t)size_exact : 0));
        list[i % 64] = a;
        if (i % 64 == 63) {
            int32_t total = 0;
            int wraps = 0;
            int64_t plain = 0;
            accumulate(list, 64, &total, &wraps);
            for (int k = 0; k < 64; k++) plain += list[k];
            CHECK(total == (int32_t)plain && (wraps > 0 || total == plain));
            mix((uint32_t)total + (uint32_t)wraps);
        }
    }
    CHECK(!parse("", list) && !parse("-", list) && !parse("12a", list) && parse("-2147483648", list) &&
          *list == INT_MIN);
    printf("digest %08x\n", digest);
    return 0;
}
