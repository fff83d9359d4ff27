// ChaCha20 and Poly1305 of RFC 8439: streams split anywhere, 130-bit arithmetic in 26-bit limbs; SipHash.
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

static uint32_t load32(const uint8_t *p) { return (uint32_t)(p[0] | p[1] << 8 | p[2] << 16) | (uint32_t)p[3] << 24; }
static uint32_t rotate(uint32_t v, int n) { return v << n | v >> (32 - n); }

static void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d) {
    *a += *b, *d = rotate(*d ^ *a, 16);
    *c += *d, *b = rotate(*b ^ *c, 12);
    *a += *b, *d = rotate(*d ^ *a, 8);
    *c += *d, *b = rotate(*b ^ *c, 7);
}

NOINLINE static void chacha_block(const uint32_t in[16], uint8_t out[64]) {
    uint32_t x[16];
    memcpy(x, in, sizeof x);
    for (int i = 0; i < 80; i++) {
        int k = i % 4, turn = i / 4 % 2;
        quarter(&x[k], &x[4 + (k + turn) % 4], &x[8 + (k + 2 * turn) % 4], &x[12 + (k + 3 * turn) % 4]);
    }
    for (int i = 0; i < 64; i++) out[i] = (uint8_t)((x[i / 4] + in[i / 4]) >> i % 4 * 8);
}

typedef struct { uint32_t input[16]; uint8_t block[64]; int used; } Stream;

static void stream_init(Stream *s, const uint8_t key[32], uint32_t counter, const uint8_t nonce[12]) {
    static const char magic[] = "expand 32-byte k";
    for (int i = 0; i < 4; i++) s->input[i] = load32((const uint8_t *)magic + 4 * i);
    for (int i = 0; i < 8; i++) s->input[4 + i] = load32(key + 4 * i);
    s->input[12] = counter;
    for (int i = 0; i < 3; i++) s->input[13 + i] = load32(nonce + 4 * i);
    s->used = 64;
}

static void stream_xor(Stream *s, uint8_t *data, size_t n) {
    for (; n--; data++) {
        if (s->used == 64) chacha_block(s->input, s->block), s->input[12]++, s->used = 0;
        *data ^= s->block[s->used++];
    }
}

NOINLINE static void poly1305(const uint8_t key[32], const uint8_t *m, size_t n, uint8_t tag[16]) {
    uint32_t r[5], h[5] = {0}, mask = 0x3ffffff;
    r[0] = load32(key) & mask, r[1] = load32(key + 3) >> 2 & 0x3ffff03, r[2] = load32(key + 6) >> 4 & 0x3ffc0ff;
    r[3] = load32(key + 9) >> 6 & 0x3f03fff, r[4] = load32(key + 12) >> 8 & 0x00fffff;
    while (n) {
        uint8_t block[17] = {0};
        size_t take = n < 16 ? n : 16;
        memcpy(block, m, take);
        block[take] = 1, m += take, n -= take;
        for (int i = 0; i < 4; i++) h[i] += load32(block + 3 * i) >> 2 * i & mask;
        h[4] += load32(block + 13);
        uint64_t d[5] = {0}, carry = 0;
        for (int i = 0; i < 5; i++)
            for (int j = 0; j < 5; j++) d[(i + j) % 5] += (uint64_t)h[i] * r[j] * (i + j < 5 ? 1 : 5);
        for (int i = 0; i < 5; i++) d[i] += carry, carry = d[i] >> 26, h[i] = (uint32_t)d[i] & mask;
        carry = h[0] + carry * 5;
        h[0] = (uint32_t)carry & mask, h[1] += (uint32_t)(carry >> 26);
    }
    for (int pass = 0; pass < 2; pass++) {
        uint32_t carry = 0;
        for (int i = 0; i < 5; i++) h[i] += carry, carry = h[i] >> 26, h[i] &= mask;
        h[0] += carry * 5;
    }
    uint32_t g[5], carry = 5;
    for (int i = 0; i < 5; i++) g[i] = h[i] + carry, carry = g[i] >> 26, g[i] &= mask;
    const uint32_t *v = carry ? g : h;  // h - p when h >= p
    uint64_t sum = 0, held = 0;
    for (int i = 0, limb = 0, bits = 0; i < 4; i++, sum >>= 32) {
        for (; bits < 32 && limb < 5; bits += 26) held |= (uint64_t)v[limb++] << bits;
        sum += (held & 0xffffffff) + load32(key + 16 + 4 * i);
        held >>= 32, bits -= 32;
        for (int k = 0; k < 4; k++) tag[4 * i + k] = (uint8_t)(sum >> 8 * k);
    }
}

static uint64_t siphash(const uint8_t key[16], const uint8_t *m, size_t n) {
    uint64_t k0, k1, v[4];
    memcpy(&k0, key, 8), memcpy(&k1, key + 8, 8);
    v[0] = k0 ^ 0x736f6d6570736575, v[1] = k1 ^ 0x646f72616e646f6d, v[2] = k0 ^ 0x6c7967656e657261,
        v[3] = k1 ^ 0x7465646279746573;
    for (size_t at = 0; at <= n / 8 * 8 + 8; at += 8) {
        uint64_t word = at > n ? 0 : (uint64_t)n << 56;
        int rounds = at > n / 8 * 8 ? 4 : 2;
        if (at + 8 <= n) memcpy(&word, m + at, 8);
        else for (size_t i = at; i < n; i++) word |= (uint64_t)m[i] << 8 * (i - at);
        if (rounds == 4) v[2] ^= 0xff, word = 0;
        v[3] ^= word;
        while (rounds--) {
            v[0] += v[1], v[1] = (v[1] << 13 | v[1] >> 51) ^ v[0], v[0] = v[0] << 32 | v[0] >> 32;
            v[2] += v[3], v[3] = (v[3] << 16 | v[3] >> 48) ^ v[2];
            v[0] += v[3], v[3] = (v[3] << 21 | v[3] >> 43) ^ v[0];
            v[2] += v[1], v[1] = (v[1] << 17 | v[1] >> 47) ^ v[2], v[2] = v[2] << 32 | v[2] >> 32;
        }
        v[0] ^= word;
    }
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

int main(void) {
    static const uint8_t nonce[12] = {0, 0, 0, 9, 0, 0, 0, 0x4a}, first[16] = {0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b,
        0x59, 0x15,
                                                                         0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71,
                                                                             0xc4};
    static const uint8_t poly_key[32] = {0x85, 0xd6, 0xbe, 0x78, 0x57, 0x55, 0x6d, 0x33, 0x7f, 0x44, 0x52, 0xfe, 0x42,
                                         0xd5, 0x06, 0xa8,
                                         0x01, 0x03, 0x80, 0x8a, 0xfb, 0x0d, 0xb2, 0xfd, 0x4a, 0xbf, 0xf6, 0xaf, 0x41,
                                             0x49, 0xf5, 0x1b};
    static const uint8_t poly_tag[16] = {0xa8, 0x06, 0x1d, 0xc1, 0x30, 0x51, 0x36, 0xc6, 0xc2, 0x2b, 0x8b, 0xaf, 0x0c,
                                         0x01, 0x27, 0xa9};
    uint8_t key[32], data[200] = {0}, copy[200], tag[16], other[16];
    for (volatile int i = 0; i < 32; i++) key[i] = (uint8_t)i;
    Stream s;
    stream_init(&s, key, 1, nonce);
    stream_xor(&s, data, 64);
    CHECK(!memcmp(data, first, 16));
    poly1305(poly_key, (const uint8_t *)"Cryptographic Forum Research Group", 34, tag);
    CHECK(!memcmp(tag, poly_tag, 16));
    for (volatile int i = 0; i < 15; i++) data[i] = (uint8_t)i;
    CHECK(siphash(key, data, 15) == 0xa129ca6149be45e5 && siphash(key, data, 0) == 0x726fdb47dd0e0e31);
    for (int round = 0; round < 40; round++) {
        size_t n = rnd() % 200, cut = n ? rnd() % n : 0;
        for (size_t i = 0; i < 200; i++) data[i] = copy[i] = (uint8_t)(rnd() >> 3);
        memcpy(key, data, 32);
        stream_init(&s, key, (uint32_t)round - 1, nonce);
        stream_xor(&s, data, n);
        stream_init(&s, key, (uint32_t)round - 1, nonce);
        poly1305(key, data, n, tag);
        for (size_t i = 0; i < 16; i++) mix(tag[i]);
        stream_xor(&s, data, cut), stream_xor(&s, data + cut, n - cut);
        CHECK(!memcmp(data, copy, 200));
        memset(key, 0, 16), key[0] = 1;  // r = 1: the sum of the blocks
        poly1305(key, data, 16, tag), poly1305(key, data, 32, other);
        unsigned carry = 0;
        uint8_t wanted[16];
        for (int i = 0; i < 16; i++) carry += tag[i] + data[16 + i], wanted[i] = (uint8_t)carry, carry >>= 8;
        CHECK(carry || !memcmp(other, wanted, 16));
        mix((uint32_t)siphash(data, data, n));
    }
    printf("digest %08x\n", digest);
    return 0;
}
