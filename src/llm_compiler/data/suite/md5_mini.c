// MD5 with the constants of a table of sines in fixed point, MurmurHash3, FNV and Jenkins; known answers.
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

static uint32_t sines[64];

// floor(2^32 |sin(i)|): Taylor series in 128-bit fixed point (2^-96) after the angle is brought below pi.
static void make_sines(void) {
    const unsigned __int128 pi = (unsigned __int128)0x3243f6a88 << 64 | 0x85a308d313198a2e;  // pi * 2^96
    for (unsigned i = 1; i <= 64; i++) {
        unsigned __int128 x = (unsigned __int128)i << 96;
        while (x >= pi) x -= pi;
        if (x > pi / 2) x = pi - x;
        uint64_t angle = (uint64_t)(x >> 34);  // 2^-62
        __int128 term = angle, sum = angle;
        for (int k = 2; k < 24; k += 2) {
            term = (__int128)((unsigned __int128)term * angle >> 62);
            term = (__int128)((unsigned __int128)term * angle >> 62) / (k * (k + 1));
            sum += k % 4 ? -term : term;
        }
        sines[i - 1] = (uint32_t)(sum >> 30);
    }
}

static uint32_t rotate(uint32_t v, unsigned n) { return v << n | v >> (32 - n); }

NOINLINE static void md5_block(uint32_t state[4], const uint8_t *p) {
    static const uint8_t shifts[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t m[16], a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 16; i++, p += 4) m[i] = (uint32_t)(p[0] | p[1] << 8 | p[2] << 16) | (uint32_t)p[3] << 24;
    for (unsigned i = 0; i < 64; i++) {
        uint32_t f;
        unsigned k;
        switch (i / 16) {
        case 0: f = (b & c) | (~b & d), k = i; break;
        case 1: f = (d & b) | (~d & c), k = (5 * i + 1) % 16; break;
        case 2: f = b ^ c ^ d, k = (3 * i + 5) % 16; break;
        default: f = c ^ (b | ~d), k = 7 * i % 16;
        }
        uint32_t t = d;
        d = c, c = b;
        b += rotate(a + f + sines[i] + m[k], shifts[i / 16][i % 4]);
        a = t;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

static void md5(const uint8_t *p, size_t n, char hex[33]) {
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    uint8_t tail[128] = {0};
    size_t rest = n % 64, total = rest < 56 ? 64 : 128;
    for (size_t at = 0; at + 64 <= n; at += 64) md5_block(state, p + at);
    memcpy(tail, p + n - rest, rest);
    tail[rest] = 0x80;
    for (int i = 0; i < 8; i++) tail[total - 8 + (size_t)i] = (uint8_t)((uint64_t)n * 8 >> 8 * i);
    for (size_t at = 0; at < total; at += 64) md5_block(state, tail + at);
    for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", state[i / 4] >> i % 4 * 8 & 255);
}

NOINLINE static uint32_t murmur3(const uint8_t *p, size_t n, uint32_t h) {
    uint32_t k;
    size_t left = n;
    for (; left >= 4; left -= 4, p += 4) {
        k = p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        h ^= rotate(k * 0xcc9e2d51, 15) * 0x1b873593;
        h = rotate(h, 13) * 5 + 0xe6546b64;
    }
    k = 0;
    switch (left) {
    case 3: k ^= (uint32_t)p[2] << 16;  // fallthrough
    case 2: k ^= (uint32_t)p[1] << 8;  // fallthrough
    case 1: k ^= p[0], h ^= rotate(k * 0xcc9e2d51, 15) * 0x1b873593;
    }
    h ^= (uint32_t)n;
    h = (h ^ h >> 16) * 0x85ebca6b;
    h = (h ^ h >> 13) * 0xc2b2ae35;
    return h ^ h >> 16;
}

static uint32_t fnv(const char *s) {
    uint32_t h = 0x811c9dc5;
    while (*s) h = (h ^ (unsigned char)*s++) * 0x01000193;
    return h;
}

static uint32_t jenkins(const uint8_t *p, size_t n) {
    uint32_t h = 0;
    while (n--) h += *p++, h += h << 10, h ^= h >> 6;
    h += h << 3, h ^= h >> 11;
    return h + (h << 15);
}

int main(void) {
    static const struct { const char *text, *hex; } known[] = {
        {"", "d41d8cd98f00b204e9800998ecf8427e"}, {"a", "0cc175b9c0f1b6a831c399e269772661"},
        {"abc", "900150983cd24fb0d6963f7d28e17f72"}, {"message digest", "f96b697d7cb7938d525a2f31aaf161d0"},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
         "57edf4a22be3c955ac49da2e2107b67a"}};
    char hex[33];
    static uint8_t data[150];
    make_sines();
    CHECK(sines[0] == 0xd76aa478 && sines[1] == 0xe8c7b756 && sines[63] == 0xeb86d391);
    for (int i = 0; i < 5; i++) {
        md5((const uint8_t *)known[i].text, strlen(known[i].text), hex);
        CHECK(!strcmp(hex, known[i].hex));
    }
    CHECK(murmur3(data, 0, 1) == 0x514e28b7 && murmur3((const uint8_t *)"test", 4, 0) == 0xba6bd213);
    CHECK(murmur3((const uint8_t *)"Hello, world!", 13, 0x9747b28c) == 0x24884cba);
    CHECK(fnv("foobar") == 0xbf9cf968 && jenkins((const uint8_t *)"a", 1) == 0xca2e9442);
    for (size_t n = 0; n < 150; n++) {
        for (size_t i = 0; i < n; i++) data[i] = (uint8_t)(rnd() >> 5);
        md5(data, n, hex);
        mix(fnv(hex) ^ murmur3(data, n, (uint32_t)n) ^ jenkins(data, n));
    }
    printf("digest %08x\n", digest);
    return 0;
}
