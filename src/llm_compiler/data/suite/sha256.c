// SHA-256 by blocks with a streaming interface, constants computed from cube roots, HMAC; known digests.
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

typedef struct { uint32_t state[8]; uint64_t length; uint8_t block[64]; } Hash;

static uint32_t constants[64], start[8];

static uint32_t rotate(uint32_t v, int n) { return v >> n | v << (32 - n); }

// First 32 bits of the fraction of a square (2) or cube (3) root, by bisection in integers.
static uint32_t root_fraction(uint32_t p, int degree) {
    uint64_t low = 0, high = 20ull << 32;
    while (high - low > 1) {
        uint64_t mid = (low + high) / 2;
        unsigned __int128 power = (unsigned __int128)mid * mid * (degree == 2 ? 1ull << 32 : mid);
        if (power >> 96 >= p) high = mid;
        else low = mid;
    }
    return (uint32_t)low;
}

static void make_constants(void) {
    int n = 0;
    for (uint32_t p = 2; n < 64; p++) {
        uint32_t d = 2;
        while (p % d) d++;
        if (d != p) continue;
        if (n < 8) start[n] = root_fraction(p, 2);
        constants[n++] = root_fraction(p, 3);
    }
}

NOINLINE static void compress(uint32_t state[8], const uint8_t *p) {
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++, p += 4) w[i] = (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7];
        w[i] += (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
    }
    memcpy(v, state, sizeof v);
    for (int i = 0; i < 64; i++) {
        uint32_t e = v[4], a = v[0];
        uint32_t t = v[7] + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + constants[i] + w[i];
        t += (e & v[5]) ^ (~e & v[6]);
        uint32_t u = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof *v);
        v[4] += t, v[0] = t + u;
    }
    for (int i = 0; i < 8; i++) state[i] += v[i];
}

static void hash_init(Hash *h) {
    memcpy(h->state, start, sizeof start);
    h->length = 0;
}

static void hash_add(Hash *h, const void *data, size_t n) {
    const uint8_t *p = data;
    size_t used = h->length % 64;
    h->length += n;
    if (used + n < 64) {
        memcpy(h->block + used, p, n);
        return;
    }
    memcpy(h->block + used, p, 64 - used);
    compress(h->state, h->block);
    for (p += 64 - used, n -= 64 - used; n >= 64; p += 64, n -= 64) compress(h->state, p);
    memcpy(h->block, p, n);
}

NOINLINE static void hash_end(Hash *h, uint8_t out[32]) {
    uint8_t tail[72] = {0x80};
    uint64_t bits = h->length * 8;
    size_t pad = (119 - h->length % 64) % 64 + 1;
    for (size_t i = 0; i < 8; i++) tail[pad + i] = (uint8_t)(bits >> (56 - 8 * i));
    hash_add(h, tail, pad + 8);
    for (int i = 0; i < 32; i++) out[i] = (uint8_t)(h->state[i / 4] >> (24 - i % 4 * 8));
}

static void hash_all(const void *data, size_t n, uint8_t out[32]) {
    Hash h;
    hash_init(&h);
    hash_add(&h, data, n);
    hash_end(&h, out);
}

static void hmac(const uint8_t *key, size_t n, const void *data, size_t length, uint8_t out[32]) {
    uint8_t pads[2][64];
    Hash h;
    for (size_t i = 0; i < 64; i++) pads[0][i] = (i < n ? key[i] : 0) ^ 0x36, pads[1][i] = pads[0][i] ^ 0x6a;
    for (int pass = 0; pass < 2; pass++) {
        hash_init(&h);
        hash_add(&h, pads[pass], 64);
        if (pass) hash_add(&h, out, 32);
        else hash_add(&h, data, length);
        hash_end(&h, out);
    }
}

static int is(const uint8_t *digest_, const char *hex) {
    char text[65];
    for (int i = 0; i < 32; i++) snprintf(text + 2 * i, 3, "%02x", digest_[i]);
    return !strcmp(text, hex);
}

int main(void) {
    static uint8_t data[300];
    uint8_t out[32], again[32];
    make_constants();
    CHECK(constants[0] == 0x428a2f98 && constants[63] == 0xc67178f2 && start[7] == 0x5be0cd19);
    hash_all("", 0, out);
    CHECK(is(out, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    hash_all("abc", 3, out);
    CHECK(is(out, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    hash_all("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56, out);
    CHECK(is(out, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"));
    hmac((const uint8_t *)"Jefe", 4, "what do ya want for nothing?", 28, out);
    CHECK(is(out, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    for (size_t n = 0; n < 300; n += 7) {
        Hash h;
        for (size_t i = 0; i < n; i++) data[i] = (uint8_t)rnd();
        hash_all(data, n, out);
        hash_init(&h);
        for (size_t at = 0, step = 1; at < n; at += step, step = step * 3 % 71) {
            if (step > n - at) step = n - at;
            hash_add(&h, data + at, step);
        }
        hash_end(&h, again);
        CHECK(!memcmp(out, again, 32));
        for (int i = 0; i < 32; i++) mix(out[i]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
