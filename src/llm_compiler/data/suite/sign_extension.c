// Sign and zero extension, truncation, shifts of narrow types, mixed comparisons, conversions to bool and enum.
#include <stdbool.h>
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

enum Level { LOW = -3, NONE = 0, FULL = 200 };
typedef enum { RED = 1, GREEN = 2, BLUE = 4 } Colour;

static volatile int8_t s8;
static volatile uint8_t u8;
static volatile int16_t s16;
static volatile uint16_t u16;
static volatile int32_t s32;
static volatile uint32_t u32;

// By arithmetic only.
static int64_t wrap(int64_t v, int bits, int is_signed) {
    unsigned __int128 modulus = (unsigned __int128)1 << bits;
    __int128 r = v % (__int128)modulus;
    if (r < 0) r += (__int128)modulus;
    if (is_signed && r >= (__int128)(modulus / 2)) r -= (__int128)modulus;
    return (int64_t)r;
}

NOINLINE static int64_t narrow(int64_t v, int kind) {
    switch (kind) {
    case 0: return (int8_t)v;
    case 1: return (uint8_t)v;
    case 2: return (int16_t)v;
    case 3: return (uint16_t)v;
    case 4: return (int32_t)v;
    case 5: return (uint32_t)v;
    case 6: return (int8_t)(uint16_t)v;
    case 7: return (uint16_t)(int8_t)v;
    case 8: return (uint32_t)(int8_t)v;
    default: return (int64_t)(uint32_t)(int16_t)v;
    }
}

static int64_t narrow_model(int64_t v, int kind) {
    static const int8_t first[] = {8, 8, 16, 16, 32, 32, 8, 8, 8, 16}, second[] = {8, 8, 16, 16, 32, 32, 8, 16, 32, 32};
    int is_signed = kind == 6 || (kind < 6 && kind % 2 == 0);
    return wrap(wrap(v, first[kind], kind > 6 || is_signed), second[kind], is_signed);
}

static int mixed_less(int32_t a, uint32_t b) { return (uint32_t)a < b; }
static int promoted_less(int16_t a, uint16_t b) { return a < b; }
NOINLINE static int long_less(int32_t a, uint32_t b) { return (int64_t)a < b; }
static unsigned char rotate8(unsigned char v) { return (unsigned char)(v << 1 | v >> 7); }
static uint16_t complement(uint8_t v) { return (uint16_t)~v >> 4; }
static int is_minus_one(uint16_t v) { return (int16_t)v == -1; }
static int32_t field(uint32_t v, int at, int width) { return (int32_t)(v << (32 - at - width)) >> (32 - width); }

NOINLINE static int count_up(uint8_t from) {
    int n = 0;
    for (int8_t i = (int8_t)from; i >= 0; i = (int8_t)(i - 7)) n++;
    return n;
}

static const char *level_name(enum Level l) { return l < 0 ? "low" : !l ? "none" : l >= FULL ? "full" : "other"; }

static int truths(double d, const void *p, int64_t v, Colour c) {
    bool a = d, b = p, e = v, f = c & GREEN;
    return a + 2 * b + 4 * e + 8 * f;
}

static uint64_t table_index(const uint64_t *table, const char *text, size_t n) {
    uint64_t s = 0;
    for (size_t i = 0; i < n; i++) s = s * 3 + table[(unsigned char)text[i]] + (uint64_t)(int64_t)(signed char)text[i];
    return s;
}

static uint32_t accumulate(const int8_t *v, int n) {
    uint8_t narrow_sum = 0;
    int16_t wide_sum = 0;
    for (int i = 0; i < n; i++) narrow_sum += (uint8_t)v[i], wide_sum = (int16_t)(wide_sum + v[i] * 3);
    return (uint32_t)narrow_sum << 16 | (uint16_t)wide_sum;
}

int main(void) {
    uint64_t table[256];
    for (int i = 0; i < 256; i++) table[i] = rnd64();
    for (int i = 0; i < 600; i++) {
        int64_t v = (int64_t)rnd64() >> i % 60;
        for (int kind = 0; kind < 10; kind++) CHECK(narrow(v, kind) == narrow_model(v, kind)), mix((uint32_t)narrow(v,
            kind));
        s8 = (int8_t)v, u8 = (uint8_t)v, s16 = (int16_t)v, u16 = (uint16_t)v, s32 = (int32_t)v, u32 = (uint32_t)v;
        CHECK((s8 == u8) == (u8 < 128) && (s16 == u16) == (u16 < 32768) && ((uint32_t)s32 == u32));
        CHECK(s8 >> 3 == wrap(v, 8, 1) >> 3 && u8 >> 3 == wrap(v, 8, 0) / 8 &&
              (uint8_t)(u8 << 3) == wrap((v & 0xff) * 8, 8, 0));
        CHECK(-u8 == -(int)wrap(v, 8, 0) && ~u16 == -1 - (int)wrap(v, 16, 0) &&
              (uint64_t)-(int64_t)u32 == 0 - (uint64_t)u32);
        int32_t a = s32;
        uint32_t b = (uint32_t)(v >> 7);
        CHECK(mixed_less(a, b) == (wrap(a, 32, 0) < (int64_t)b) && long_less(a, b) == ((int64_t)a < (int64_t)b));
        CHECK(promoted_less(s16, (uint16_t)b) == (wrap(v, 16, 1) < wrap(b, 16, 0)));
        CHECK(rotate8(u8) == (u8 * 2 + u8 / 128) % 256 && complement(u8) == (0xffff - u8) / 16);
        CHECK(is_minus_one(u16) == (u16 == 0xffff) && is_minus_one((uint16_t)(u16 | 0xffff)));
        int width = 1 + i % 20, at = i % (33 - width);
        CHECK(field((uint32_t)v, at, width) == wrap((int64_t)((uint32_t)v >> at), width, 1));
        CHECK(count_up(u8) == (u8 > 127 ? 0 : u8 / 7 + 1));
        enum Level l = i % 3 == 0 ? LOW : i % 3 == 1 ? NONE : i & 1 ? FULL : 17;
        CHECK(level_name(l)[0] == (i % 3 == 0 ? 'l' : i % 3 == 1 ? 'n' : i & 1 ? 'f' : 'o'));
        double d = i % 4 ? 0x1p-1060 * i : -0.0;
        CHECK(truths(d, i & 1 ? &d : NULL, (int64_t)((uint64_t)v << 33), (Colour)(i % 8)) ==
              (i % 4 > 0) + 2 * (i & 1) + 4 * ((v & 0x7fffffff) != 0) + 8 * (i >> 1 & 1));
        int8_t list[20];
        int sum = 0, n = i % 20;
        for (int k = 0; k < n; k++) list[k] = (int8_t)(v >> k), sum += list[k];
        CHECK(accumulate(list, n) == ((uint32_t)(sum & 255) << 16 | ((uint32_t)sum * 3 & 0xffff)));
        char text[8];
        memcpy(text, &v, 8);
        uint64_t s = 0;
        for (int k = 0; k < 8; k++) s = s * 3 + table[text[k] & 255] + (uint64_t)wrap(text[k], 8, 1);
        CHECK(table_index(table, text, 8) == s);
        mix((uint32_t)s);
    }
    printf("digest %08x\n", digest);
    return 0;
}
