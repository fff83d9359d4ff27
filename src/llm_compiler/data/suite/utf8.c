// UTF-8: encoder, branching decoder and table-driven decoder, surrogates and overlong forms; UTF-16; case and width.
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

static const uint32_t INVALID = 0xffffffff;

static int encode(uint32_t c, uint8_t *out) {
    if (c < 0x80) return out[0] = (uint8_t)c, 1;
    if (c < 0x800) return out[0] = (uint8_t)(0xc0 | c >> 6), out[1] = (uint8_t)(0x80 | (c & 63)), 2;
    int n = c < 0x10000 ? 3 : 4;
    for (int i = n - 1; i > 0; i--, c >>= 6) out[i] = (uint8_t)(0x80 | (c & 63));
    out[0] = (uint8_t)(0xf00 >> n | c);
    if (n == 4) out[0] |= 0xf0;
    return n;
}

// Returns the bytes read; a wrong sequence gives INVALID and one byte.
NOINLINE static int decode(const uint8_t *p, const uint8_t *end, uint32_t *c) {
    *c = INVALID;
    if (*p < 0x80) return *c = *p, 1;
    int n = *p >= 0xf0 ? 4 : *p >= 0xe0 ? 3 : 2;
    if (*p < 0xc2 || *p > 0xf4 || end - p < n) return 1;
    uint32_t v = *p & (0xffu >> (n + 1));
    for (int i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80) return 1;
        v = v << 6 | (p[i] & 63);
    }
    if ((n == 3 && v < 0x800) || (n == 4 && (v < 0x10000 || v > 0x10ffff)) || (v >= 0xd800 && v < 0xe000)) return 1;
    *c = v;
    return n;
}

// Classes of bytes and transitions: 0 accept, 1 reject, others are the bytes to come.
static uint8_t classes[256];
static const uint8_t moves[9][12] = {
    // 00 80-8f 90-9f a0-bf bad c2-df e0 e1-ec,ee-ef ed f0 f1-f3 f4
    {0, 1, 1, 1, 1, 2, 4, 3, 5, 6, 7, 8}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1},
    {1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 2, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1},
    {1, 1, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 3, 3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}};

static void make_classes(void) {
    for (int b = 0; b < 256; b++)
        classes[b] = (uint8_t)(b < 0x80 ? 0 : b < 0x90 ? 1 : b < 0xa0 ? 2 : b < 0xc0 ? 3 : b < 0xc2 || b > 0xf4 ? 4 :
                               b < 0xe0 ? 5 : b == 0xe0 ? 6 : b == 0xed ? 8 : b < 0xf0 ? 7 : b == 0xf0 ? 9 :
                               b < 0xf4 ? 10 : 11);
}

static int valid_by_table(const uint8_t *p, int n) {
    unsigned state = 0;
    for (int i = 0; i < n && state != 1; i++) state = moves[state][classes[p[i]]];
    return state == 0;
}

static int valid_by_decoding(const uint8_t *p, int n) {
    const uint8_t *end = p + n;
    for (uint32_t c; p < end;) {
        p += decode(p, end, &c);
        if (c == INVALID) return 0;
    }
    return 1;
}

static int count(const uint8_t *p, int n) {
    int k = 0;
    while (n-- > 0) k += (*p++ & 0xc0) != 0x80;
    return k;
}

NOINLINE static int to_utf16(const uint32_t *in, int n, uint16_t *out) {
    uint16_t *start = out;
    for (; n; n--, in++) {
        if (*in < 0x10000) *out++ = (uint16_t)*in;
        else *out++ = (uint16_t)(0xd7c0 + (*in >> 10)), *out++ = (uint16_t)(0xdc00 | (*in & 0x3ff));
    }
    return (int)(out - start);
}

static int from_utf16(const uint16_t *in, int n, uint32_t *out) {
    int k = 0;
    for (int i = 0; i < n; i++) {
        uint32_t c = in[i];
        if (c >> 10 == 0x36 && i + 1 < n && in[i + 1] >> 10 == 0x37) c = (c << 10) + in[++i] - 0x35fdc00;
        out[k++] = c;
    }
    return k;
}

int main(void) {
    make_classes();
    uint8_t bytes[160], four[4];
    uint32_t points[32], back[64], c;
    uint16_t units[64];
    for (uint32_t p = 0; p < 0x110000; p += p < 0x900 ? 1 : 97) {
        if (p >= 0xd800 && p < 0xe000) continue;
        int n = encode(p, four);
        CHECK(decode(four, four + n, &c) == n && c == p && valid_by_table(four, n));
        CHECK(n == 1 + (p > 0x7f) + (p > 0x7ff) + (p > 0xffff));
        CHECK(n == 1 || (decode(four, four + n - 1, &c) == 1 && c == INVALID));
        mix(four[n - 1]);
    }
    static const char *const wrong[] = {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80",
                                        "\xf0\x8f\xbf\xbf",
                                        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\xff", "a\xc3(",
                                            "\xf0\x9f\x98"};
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const uint8_t *p = (const uint8_t *)wrong[i];
        CHECK(!valid_by_table(p, (int)strlen(wrong[i])) && !valid_by_decoding(p, (int)strlen(wrong[i])));
    }
    for (int round = 0; round < 200; round++) {
        int n = 0, k = round % 32;
        for (int i = 0; i < k; i++) {
            uint32_t r = rnd(), p = r >> 8 >> (r % 4 * 5 + 3);
            points[i] = p >= 0xd800 && p < 0xe000 ? p - 0x800 : p % 0x110000;
            n += encode(points[i], bytes + n);
        }
        CHECK(count(bytes, n) == k && valid_by_table(bytes, n) && valid_by_decoding(bytes, n));
        const uint8_t *p = bytes;
        for (int i = 0; i < k; i++) p += decode(p, bytes + n, &c), CHECK(c == points[i]), mix(c);
        CHECK(p == bytes + n && from_utf16(units, to_utf16(points, k, units), back) == k);
        CHECK(!memcmp(points, back, (size_t)k * sizeof *points));
        if (n) bytes[rnd() % (uint32_t)n] ^= (uint8_t)(1u << round % 8);
        CHECK(valid_by_table(bytes, n) == valid_by_decoding(bytes, n));
        mix((uint32_t)valid_by_table(bytes, n));
    }
    CHECK(encode(0x20ac, four) == 3 && !memcmp(four, "\xe2\x82\xac", 3));
    CHECK(encode(0x1f600, four) == 4 && !memcmp(four, "\xf0\x9f\x98\x80", 4));
    printf("digest %08x\n", digest);
    return 0;
}
