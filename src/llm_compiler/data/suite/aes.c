// AES-128: tables computed in GF(256), encryption and decryption, counter mode, CBC; the vectors of FIPS 197.
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

static uint8_t box[256], inverse_box[256];

static uint8_t times2(uint8_t v) { return (uint8_t)(v << 1 ^ (v & 0x80 ? 0x1b : 0)); }

static uint8_t multiply(uint8_t a, uint8_t b) {
    uint8_t r = 0;
    for (; b; b >>= 1, a = times2(a))
        if (b & 1) r ^= a;
    return r;
}

static void make_boxes(void) {
    uint8_t p = 1, q = 1;
    do {
        p ^= times2(p);  // times 3
        q ^= (uint8_t)(q << 1), q ^= (uint8_t)(q << 2), q ^= (uint8_t)(q << 4);
        if (q & 0x80) q ^= 9;  // divided by 3
        uint8_t v = q;
        for (int i = 1; i < 5; i++) v ^= (uint8_t)(q << i | q >> (8 - i));
        box[p] = v ^ 0x63;
    } while (p != 1);
    box[0] = 0x63;
    for (int i = 0; i < 256; i++) inverse_box[box[i]] = (uint8_t)i;
}

NOINLINE static void expand(const uint8_t key[16], uint8_t out[176]) {
    uint8_t constant = 1;
    memcpy(out, key, 16);
    for (int i = 16; i < 176; i += 4) {
        uint8_t t[4];
        memcpy(t, out + i - 4, 4);
        if (i % 16 == 0) {
            uint8_t first = t[0];
            t[0] = box[t[1]] ^ constant, t[1] = box[t[2]], t[2] = box[t[3]], t[3] = box[first];
            constant = times2(constant);
        }
        for (int k = 0; k < 4; k++) out[i + k] = out[i + k - 16] ^ t[k];
    }
}

static void add_key(uint8_t s[16], const uint8_t *key) { for (int i = 0; i < 16; i++) s[i] ^= key[i]; }

static void substitute(uint8_t s[16], const uint8_t *table, int shift) {
    uint8_t t[16];
    for (int i = 0; i < 16; i++) t[(i + shift * 4 * (i % 4)) & 15] = table[s[i]];
    memcpy(s, t, 16);
}

static void mix_columns(uint8_t s[16]) {
    for (uint8_t *c = s; c < s + 16; c += 4) {
        uint8_t all = c[0] ^ c[1] ^ c[2] ^ c[3], first = c[0];
        for (int i = 0; i < 4; i++) c[i] ^= all ^ times2(c[i] ^ (i < 3 ? c[i + 1] : first));
    }
}

static void unmix_columns(uint8_t s[16]) {
    static const uint8_t row[4] = {14, 11, 13, 9};
    for (int c = 0; c < 16; c += 4) {
        uint8_t t[4] = {0};
        for (int i = 0; i < 16; i++) t[i / 4] ^= multiply(s[c + i % 4], row[(i % 4 - i / 4) & 3]);
        memcpy(s + c, t, 4);
    }
}

NOINLINE static void encrypt(const uint8_t keys[176], const uint8_t in[16], uint8_t out[16]) {
    uint8_t s[16];
    memcpy(s, in, 16);
    add_key(s, keys);
    for (int round = 1; round <= 10; round++) {
        substitute(s, box, 3);
        if (round < 10) mix_columns(s);
        add_key(s, keys + 16 * round);
    }
    memcpy(out, s, 16);
}

static void decrypt(const uint8_t keys[176], uint8_t s[16]) {
    for (int round = 10; round >= 1; round--) {
        add_key(s, keys + 16 * round);
        if (round < 10) unmix_columns(s);
        substitute(s, inverse_box, 1);
    }
    add_key(s, keys);
}

static void counter_mode(const uint8_t *keys, uint8_t counter[16], uint8_t *data, int n) {
    uint8_t block[16];
    for (int i = 0; i < n; i++) {
        if (i % 16 == 0) {
            encrypt(keys, counter, block);
            for (int k = 15; k >= 0 && ++counter[k] == 0; k--) {}
        }
        data[i] ^= block[i % 16];
    }
}

int main(void) {
    static const uint8_t wanted[16] = {0x69, 0xc4, 0xe0, 0xd8, 0x6a, 0x7b, 0x04, 0x30,
                                       0xd8, 0xcd, 0xb7, 0x80, 0x70, 0xb4, 0xc5, 0x5a};
    uint8_t key[16], keys[176], text[16], coded[16], counter[16], data[100], copy[100];
    make_boxes();
    CHECK(box[0x53] == 0xed && inverse_box[0x16] == 0xff && multiply(0x57, 0x83) == 0xc1);
    for (volatile int i = 0; i < 16; i++) key[i] = (uint8_t)i, text[i] = (uint8_t)(i * 17);
    expand(key, keys);
    encrypt(keys, text, coded);
    CHECK(!memcmp(coded, wanted, 16));
    decrypt(keys, coded);
    CHECK(!memcmp(coded, text, 16));
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 16; i++) key[i] = (uint8_t)rnd();
        expand(key, keys);
        for (int i = 0; i < 100; i++) data[i] = copy[i] = (uint8_t)(rnd() >> 7);
        uint8_t previous[16] = {0};
        for (int at = 0; at + 16 <= 100; at += 16) {
            add_key(data + at, previous);
            encrypt(keys, data + at, data + at);
            memcpy(previous, data + at, 16);
            mix(data[at] * 256u + data[at + 15]);
        }
        for (int at = 80; at >= 0; at -= 16) {
            decrypt(keys, data + at);
            if (at) add_key(data + at, data + at - 16);
        }
        CHECK(!memcmp(data, copy, 100));
        memset(counter, 0xff, 16);
        counter_mode(keys, counter, data, 100);
        CHECK(memcmp(data, copy, 100) && counter[15] == 6 && counter[0] == 0);
        mix(data[99]);
        memset(counter, 0xff, 16);
        counter_mode(keys, counter, data, 100);
        CHECK(!memcmp(data, copy, 100));
    }
    printf("digest %08x\n", digest);
    return 0;
}
