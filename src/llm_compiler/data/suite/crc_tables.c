// CRC-8, 16, 32 and 64 by bits, nibbles, tables and slices; Adler; combination of two CRCs.
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

static uint32_t table[4][256];
static uint16_t table16[256];
static uint64_t table64[256];

static uint32_t reflect_bits(uint32_t crc, uint8_t byte) {
    crc ^= byte;
    for (int i = 0; i < 8; i++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    return crc;
}

static void make_tables(void) {
    for (unsigned i = 0; i < 256; i++) {
        table[0][i] = reflect_bits(0, (uint8_t)i);
        uint16_t c16 = (uint16_t)(i << 8);
        uint64_t c64 = i;
        for (int k = 0; k < 8; k++) {
            c16 = (uint16_t)(c16 & 0x8000 ? c16 << 1 ^ 0x1021 : c16 << 1);
            c64 = c64 & 1 ? c64 >> 1 ^ 0xc96c5795d7870f42 : c64 >> 1;
        }
        table16[i] = c16;
        table64[i] = c64;
    }
    for (unsigned i = 0; i < 256; i++)
        for (int k = 1; k < 4; k++) table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

static uint32_t crc32_bits(uint32_t crc, const uint8_t *p, size_t n) {
    crc = ~crc;
    while (n--) crc = reflect_bits(crc, *p++);
    return ~crc;
}

NOINLINE static uint32_t crc32_table(uint32_t crc, const uint8_t *p, size_t n) {
    crc = ~crc;
    for (const uint8_t *end = p + n; p < end; p++) crc = crc >> 8 ^ table[0][(crc ^ *p) & 255];
    return ~crc;
}

static uint32_t crc32_nibbles(uint32_t crc, const uint8_t *p, size_t n) {
    static const uint32_t nibbles[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c};
    crc = ~crc;
    while (n--) {
        crc = crc >> 4 ^ nibbles[(crc ^ *p) & 15];
        crc = crc >> 4 ^ nibbles[(crc ^ *p++ >> 4) & 15];
    }
    return ~crc;
}

NOINLINE static uint32_t crc32_slices(uint32_t crc, const uint8_t *p, size_t n) {
    crc = ~crc;
    for (; n >= 4; n -= 4, p += 4) {
        crc ^= p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = table[3][crc & 255] ^ table[2][crc >> 8 & 255] ^ table[1][crc >> 16 & 255] ^ table[0][crc >> 24];
    }
    while (n--) crc = crc >> 8 ^ table[0][(crc ^ *p++) & 255];
    return ~crc;
}

static uint8_t crc8(const uint8_t *p, size_t n) {
    uint8_t crc = 0;
    for (; n; n--) {
        crc ^= *p++;
        for (int i = 8; i; i--) crc = (uint8_t)(crc & 0x80 ? crc << 1 ^ 7 : crc << 1);
    }
    return crc;
}

static uint16_t crc16_ccitt(uint16_t crc, const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++) crc = (uint16_t)(crc << 8 ^ table16[(crc >> 8 ^ p[i]) & 255]);
    return crc;
}

// No table and no loop over bits.
static uint16_t crc16_shifts(uint16_t crc, const uint8_t *p, size_t n) {
    while (n--) {
        uint8_t x = (uint8_t)(crc >> 8 ^ *p++);
        x ^= x >> 4;
        crc = (uint16_t)(crc << 8 ^ x << 12 ^ x << 5 ^ x);
    }
    return crc;
}

static uint64_t crc64(const uint8_t *p, size_t n) {
    uint64_t crc = ~0ull;
    while (n--) crc = crc >> 8 ^ table64[(crc ^ *p++) & 255];
    return ~crc;
}

NOINLINE static uint32_t adler(const uint8_t *p, size_t n) {
    uint32_t a = 1, b = 0;
    while (n) {
        size_t block = n > 97 ? 97 : n;  // sums stay below 2^32 for far longer, but the remainder is part of the test
        n -= block;
        while (block--) b += a += *p++;
        a %= 65521, b %= 65521;
    }
    return b << 16 | a;
}

static uint32_t apply_zeros(uint32_t crc, size_t n) {
    while (n--) crc = reflect_bits(crc, 0);
    return crc;
}

int main(void) {
    static const uint8_t digits[] = "123456789";
    static uint8_t data[400];
    make_tables();
    volatile size_t nine = 9;
    CHECK(crc8(digits, nine) == 0xf4 && crc16_ccitt(0xffff, digits, nine) == 0x29b1);
    CHECK(crc16_ccitt(0, digits, nine) == 0x31c3 && crc32_table(0, digits, nine) == 0xcbf43926);
    CHECK(crc64(digits, nine) == 0x995dc9bbdf1939fa && adler(digits, nine) == 0x091e01de);
    CHECK(adler((const uint8_t *)"Wikipedia", nine) == 0x11e60398);
    for (int round = 0; round < 60; round++) {
        size_t n = rnd() % 400, cut = n ? rnd() % n : 0, offset = n < 390 ? (size_t)round % 8 : 0;
        for (size_t i = 0; i < 400; i++) data[i] = (uint8_t)(rnd() >> 11);
        uint32_t crc = crc32_bits(0, data + offset, n);
        CHECK(crc32_table(0, data + offset, n) == crc && crc32_nibbles(0, data + offset, n) == crc);
        CHECK(crc32_slices(0, data + offset, n) == crc);
        uint32_t first = crc32_slices(0, data + offset, cut), second = crc32_table(0, data + offset + cut, n - cut);
        CHECK(crc32_slices(first, data + offset + cut, n - cut) == crc);
        CHECK((apply_zeros(first, n - cut) ^ second) == crc);
        CHECK(crc16_ccitt(0xffff, data, n) == crc16_shifts(0xffff, data, n));
        uint64_t a = 1, b = 0;
        for (size_t i = 0; i < n; i++) a += data[i], b += a;
        CHECK(adler(data, n) == (b % 65521 << 16 | a % 65521));
        data[cut] ^= 1;
        CHECK(n == 0 || crc32_slices(0, data, n) != crc || offset);
        mix(crc ^ (uint32_t)crc64(data, n) ^ (uint32_t)crc8(data, n) << 9);
    }
    printf("digest %08x\n", digest);
    return 0;
}
