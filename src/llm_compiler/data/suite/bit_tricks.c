// Bit tricks against loops over bits: population count, leading and trailing zeros, rotates, reversal, deposit, Morton.
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

static int naive_count(uint64_t v) {
    int n = 0;
    for (int i = 0; i < 64; i++) n += (int)(v >> i & 1);
    return n;
}

NOINLINE static int swar_count(uint64_t v) {
    v -= v >> 1 & 0x5555555555555555;
    v = (v & 0x3333333333333333) + (v >> 2 & 0x3333333333333333);
    v = (v + (v >> 4)) & 0x0f0f0f0f0f0f0f0f;
    return (int)(v * 0x0101010101010101 >> 56);
}

static int kernighan_count(uint64_t v) {
    int n = 0;
    for (; v; v &= v - 1) n++;
    return n;
}

static int naive_clz(uint32_t v) {
    int n = 0;
    while (n < 32 && !(v & 0x80000000 >> n)) n++;
    return n;
}

static int branchy_log2(uint32_t v) {
    int n = 0;
    if (v >> 16) v >>= 16, n += 16;
    if (v >> 8) v >>= 8, n += 8;
    if (v >> 4) v >>= 4, n += 4;
    if (v >> 2) v >>= 2, n += 2;
    return n + (int)(v >> 1);
}

static uint32_t reverse(uint32_t v) {
    v = (v >> 1 & 0x55555555) | (v & 0x55555555) << 1;
    v = (v >> 2 & 0x33333333) | (v & 0x33333333) << 2;
    v = (v >> 4 & 0x0f0f0f0f) | (v & 0x0f0f0f0f) << 4;
    return __builtin_bswap32(v);
}

static uint32_t naive_reverse(uint32_t v) {
    uint32_t r = 0;
    for (int i = 0; i < 32; i++, v >>= 1) r = r << 1 | (v & 1);
    return r;
}

static uint32_t swap_bytes(uint32_t v) { return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24; }
static uint32_t rotate_left(uint32_t v, unsigned n) { return v << (n & 31) | v >> (-n & 31); }
NOINLINE static uint64_t rotate_right64(uint64_t v, unsigned n) { return v >> (n & 63) | v << (-n & 63); }
static uint8_t rotate8(uint8_t v, unsigned n) { return (uint8_t)(v << (n & 7) | v >> (8 - (n & 7))); }

static uint32_t deposit(uint32_t v, uint32_t mask) {
    uint32_t r = 0;
    for (uint32_t bit = 1; mask; bit <<= 1, mask &= mask - 1)
        if (v & bit) r |= mask & -mask;
    return r;
}

NOINLINE static uint32_t extract(uint32_t v, uint32_t mask) {
    uint32_t r = 0, at = 0;
    for (int i = 0; i < 32; i++)
        if (mask >> i & 1) r |= (v >> i & 1) << at++;
    return r;
}

static uint32_t spread(uint32_t v) {
    v = (v | v << 8) & 0x00ff00ff;
    v = (v | v << 4) & 0x0f0f0f0f;
    v = (v | v << 2) & 0x33333333;
    return (v | v << 1) & 0x55555555;
}

static uint32_t next_same_count(uint32_t v) {
    uint32_t low = v & -v, ripple = v + low;
    return ripple | (((v ^ ripple) >> 2) / low);
}

static uint32_t round_up_power(uint32_t v) {
    v--;
    for (int i = 1; i < 32; i <<= 1) v |= v >> i;
    return v + 1;
}

static int has_zero_byte(uint32_t v) { return ((v - 0x01010101) & ~v & 0x80808080) != 0; }
static int32_t absolute(int32_t v) { return (v ^ v >> 31) - (v >> 31); }
static uint32_t gray(uint32_t v) { return v ^ v >> 1; }

static uint32_t ungray(uint32_t v) {
    for (unsigned i = 1; i < 32; i *= 2) v ^= v >> i;
    return v;
}

int main(void) {
    for (int i = 0; i < 1200; i++) {
        uint64_t w = rnd64() >> i % 64;
        uint32_t v = (uint32_t)w, mask = rnd();
        unsigned n = (unsigned)i % 67;
        int ones = naive_count(w);
        CHECK(swar_count(w) == ones && kernighan_count(w) == ones && __builtin_popcountll(w) == ones);
        CHECK(__builtin_parityll(w) == (ones & 1));
        if (v) {
            CHECK(__builtin_clz(v) == naive_clz(v) && branchy_log2(v) == 31 - naive_clz(v));
            CHECK(__builtin_ctz(v) == naive_clz(naive_reverse(v)) && __builtin_ffs((int)v) == __builtin_ctz(v) + 1);
            CHECK((v & (v - 1)) == (v ^ (1u << __builtin_ctz(v))));
        }
        if (w) CHECK(__builtin_clzll(w) == (w >> 32 ? naive_clz((uint32_t)(w >> 32)) : 32 + naive_clz(v)));
        CHECK(reverse(v) == naive_reverse(v) && swap_bytes(v) == __builtin_bswap32(v));
        CHECK(__builtin_bswap64(w) == ((uint64_t)swap_bytes(v) << 32 | swap_bytes((uint32_t)(w >> 32))));
        CHECK(rotate_left(rotate_left(v, n), 32 - n % 32) == v && (rotate_left(v, n) >> n % 32 & 1) == (v & 1));
        CHECK(rotate_right64(w, n) == (n % 64 ? w >> n % 64 | w << (64 - n % 64) : w));
        for (unsigned k = 0; k < 9; k++) CHECK(rotate8((uint8_t)v, k) == (((v & 255) * 257 << k % 8) >> 8 & 255));
        CHECK(extract(deposit(v, mask), mask) == (v & (uint32_t)((1ull << __builtin_popcount(mask)) - 1)));
        CHECK(deposit(extract(v, mask), mask) == (v & mask) && spread(v & 0xffff) == deposit(v, 0x55555555));
        uint32_t small = (v >> 7 & 0xfffff) | 1, next = next_same_count(small);
        CHECK(next > small && __builtin_popcount(next) == __builtin_popcount(small));
        CHECK(small == 1 || (round_up_power(small) >= small && round_up_power(small) / 2 < small));
        CHECK(has_zero_byte(v) == (!(v & 255) || !(v >> 8 & 255) || !(v >> 16 & 255) || !(v >> 24)));
        CHECK(absolute((int32_t)(v >> 1)) == (int32_t)(v >> 1) && absolute(-(int32_t)(v >> 1)) == (int32_t)(v >> 1));
        CHECK(ungray(gray(v)) == v && __builtin_popcount(gray(v) ^ gray(v + 1)) == 1);
        mix(reverse(v) + deposit(v, mask) + next + rotate_left(mask, n) + (uint32_t)ones);
    }
    printf("digest %08x\n", digest);
    return 0;
}
