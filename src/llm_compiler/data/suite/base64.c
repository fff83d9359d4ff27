// Base64, base32 and hexadecimal with padding and errors; URL escapes; quoted printable; known answers.
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

static const char alphabet64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet32[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

NOINLINE static int encode64(const uint8_t *in, int n, char *out) {
    char *start = out;
    for (; n > 2; n -= 3, in += 3) {
        uint32_t v = (uint32_t)in[0] << 16 | in[1] << 8 | in[2];
        for (int shift = 18; shift >= 0; shift -= 6) *out++ = alphabet64[v >> shift & 63];
    }
    if (n) {
        uint32_t v = (uint32_t)in[0] << 16 | (n == 2 ? in[1] << 8 : 0);
        *out++ = alphabet64[v >> 18];
        *out++ = alphabet64[v >> 12 & 63];
        *out++ = n == 2 ? alphabet64[v >> 6 & 63] : '=';
        *out++ = '=';
    }
    *out = 0;
    return (int)(out - start);
}

static int value64(char c) {
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

static int decode64(const char *in, uint8_t *out) {
    uint32_t held = 0;
    int bits = 0, n = 0, count = 0;
    for (; *in && *in != '='; in++, count++) {
        int v = value64(*in);
        if (v < 0) return -1;
        held = held << 6 | (uint32_t)v;
        if ((bits += 6) >= 8) out[n++] = (uint8_t)(held >> (bits -= 8));
    }
    for (; *in == '='; in++) count++;
    return *in || count % 4 || (held & ((1u << bits) - 1)) ? -1 : n;
}

// Any alphabet of a power of two, bit by bit.
NOINLINE static int encode_bits(const uint8_t *in, int n, char *out, const char *alphabet, int width) {
    int k = 0;
    for (int bit = 0; bit < n * 8; bit += width) {
        int v = 0;
        for (int i = bit; i < bit + width; i++) v = v * 2 + (i < n * 8 ? in[i / 8] >> (7 - i % 8) & 1 : 0);
        out[k++] = alphabet[v];
    }
    out[k] = 0;
    return k;
}

static int decode32(const char *in, uint8_t *out) {
    uint64_t held = 0;
    int bits = 0, n = 0;
    for (; *in; in++) {
        const char *p = strchr(alphabet32, *in);
        if (!p) return -1;
        held = held << 5 | (uint64_t)(p - alphabet32);
        bits += 5;
        if (bits >= 8) bits -= 8, out[n++] = (uint8_t)(held >> bits);
    }
    return n;
}

static int hex_value(int c) {
    return c >= '0' && c <= '9' ? c - '0' : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10 : -1;
}

static int escape(const uint8_t *in, int n, char *out, char mark) {
    int k = 0;
    for (int i = 0; i < n; i++) {
        int c = in[i], plain = c > 32 && c < 127 && c != mark && !(mark == '%' && strchr("&=+#?", c));
        if (plain) out[k++] = (char)c;
        else k += snprintf(out + k, 4, "%c%02X", mark, c);
    }
    out[k] = 0;
    return k;
}

static int unescape(const char *in, uint8_t *out, char mark) {
    int n = 0;
    while (*in) {
        if (*in != mark) {
            out[n++] = (uint8_t)*in++;
            continue;
        }
        int high = hex_value(in[1]), low = high < 0 ? -1 : hex_value(in[2]);
        if (low < 0) return -1;
        out[n++] = (uint8_t)(high << 4 | low);
        in += 3;
    }
    return n;
}

int main(void) {
    static const char *const known[][3] = {{"", "", ""}, {"f", "Zg==", "MY"}, {"fo", "Zm8=", "MZXQ"}, {"foo", "Zm9v",
        "MZXW6"},
                                           {"foob", "Zm9vYg==", "MZXW6YQ"}, {"foobar", "Zm9vYmFy", "MZXW6YTBOI"}};
    static const char *const wrong[] = {"Zg=", "Z", "Zm8=x", "Zm!v", "Zh==", "Zm9vY"};
    char text[200], other[200];
    uint8_t data[64], back[128];
    for (int i = 0; i < 6; i++) {
        int n = (int)strlen(known[i][0]);
        CHECK(encode64((const uint8_t *)known[i][0], n, text) % 4 == 0 && !strcmp(text, known[i][1]));
        encode_bits((const uint8_t *)known[i][0], n, text, alphabet32, 5);
        CHECK(!strcmp(text, known[i][2]) && decode32(text, back) == n && !memcmp(back, known[i][0], (size_t)n));
        CHECK(decode64(wrong[i], back) == -1);
    }
    for (int round = 0; round < 150; round++) {
        int n = (int)(rnd() % 60);
        for (int i = 0; i < n; i++) data[i] = (uint8_t)(rnd() >> 12);
        int length = encode64(data, n, text);
        CHECK(length == (n + 2) / 3 * 4 && decode64(text, back) == n && !memcmp(back, data, (size_t)n));
        int bits = encode_bits(data, n, other, alphabet64, 6);
        CHECK(bits == (n * 8 + 5) / 6 && !strncmp(text, other, (size_t)bits));
        for (int i = 0; i < length; i++) mix((unsigned char)text[i]);
        CHECK(encode_bits(data, n, text, "0123456789abcdef", 4) == 2 * n);
        for (int i = 0; i < n; i++) CHECK(hex_value(text[2 * i]) * 16 + hex_value(text[2 * i + 1]) == data[i]);
        for (int k = 0; k < 2; k++) {
            mix((uint32_t)escape(data, n, text, "%="[k]));
            CHECK(unescape(text, back, "%="[k]) == n && !memcmp(back, data, (size_t)n));
        }
    }
    CHECK(unescape("a%4", back, '%') == -1 && unescape("%g0", back, '%') == -1 && unescape("a%4a", back, '%') == 2);
    printf("digest %08x\n", digest);
    return 0;
}
