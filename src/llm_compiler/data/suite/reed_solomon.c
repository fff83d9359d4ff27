// Reed-Solomon over GF(256): encoding by shift register, syndromes, Berlekamp-Massey, Chien search, Forney; erasures.
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

enum { PARITY = 10, MESSAGE = 40, CODE = PARITY + MESSAGE };

static uint8_t power_of[512], log_of[256], generator[PARITY + 1];

static uint8_t slow_multiply(uint8_t a, uint8_t b) {
    unsigned r = 0;
    for (int i = 0; i < 8; i++)
        if (b >> i & 1) r ^= (unsigned)a << i;
    for (int i = 14; i >= 8; i--)
        if (r >> i & 1) r ^= 0x11du << (i - 8);
    return (uint8_t)r;
}

static uint8_t multiply(uint8_t a, uint8_t b) { return a && b ? power_of[log_of[a] + log_of[b]] : 0; }
static uint8_t divide(uint8_t a, uint8_t b) { return a ? power_of[log_of[a] + 255 - log_of[b]] : 0; }

static void make_tables(void) {
    unsigned v = 1;
    for (int i = 0; i < 255; i++) {
        power_of[i] = power_of[i + 255] = (uint8_t)v;
        log_of[v] = (uint8_t)i;
        v = v << 1 ^ (v & 0x80 ? 0x11d : 0);
    }
    generator[0] = 1;
    for (int i = 0; i < PARITY; i++)
        for (int k = i + 1; k > 0; k--) generator[k] ^= multiply(generator[k - 1], power_of[i]);
}

NOINLINE static void encode(uint8_t code[CODE]) {
    uint8_t rest[PARITY + 1] = {0};
    for (int i = 0; i < MESSAGE; i++) {
        uint8_t lead = code[i] ^ rest[0];
        for (int k = 0; k < PARITY; k++) rest[k] = rest[k + 1] ^ multiply(lead, generator[k + 1]);
    }
    memcpy(code + MESSAGE, rest, PARITY);
}

static uint8_t evaluate(const uint8_t *p, int n, uint8_t x) {  // highest power first
    uint8_t y = 0;
    while (n--) y = multiply(y, x) ^ *p++;
    return y;
}

static uint8_t evaluate_low(const uint8_t *p, int n, uint8_t x) {  // lowest power first
    uint8_t y = 0;
    while (n--) y = multiply(y, x) ^ p[n];
    return y;
}

static int syndromes(const uint8_t *code, uint8_t s[PARITY]) {
    int wrong = 0;
    for (int i = 0; i < PARITY; i++) wrong |= s[i] = evaluate(code, CODE, power_of[i]);
    return wrong;
}

NOINLINE static int berlekamp_massey(const uint8_t *s, uint8_t *locator) {
    uint8_t old[PARITY + 2] = {1}, next[PARITY + 2], last = 1;
    int length = 0, shift = 1;
    memset(locator, 0, PARITY + 2);
    locator[0] = 1;
    for (int n = 0; n < PARITY; n++, shift++) {
        uint8_t d = s[n];
        for (int i = 1; i <= length; i++) d ^= multiply(locator[i], s[n - i]);
        if (!d) continue;
        memcpy(next, locator, sizeof next);
        for (int i = 0; i + shift < PARITY + 2; i++) next[i + shift] ^= multiply(divide(d, last), old[i]);
        if (2 * length <= n) {
            memcpy(old, locator, sizeof old);
            length = n + 1 - length, last = d, shift = 0;
        }
        memcpy(locator, next, sizeof next);
    }
    return length;
}

// Returns the number of bytes corrected, or -1.
static int correct(uint8_t code[CODE]) {
    uint8_t s[PARITY], locator[PARITY + 2], value[PARITY] = {0}, slope[PARITY + 2] = {0};
    int found = 0, at[PARITY];
    if (!syndromes(code, s)) return 0;
    int errors = berlekamp_massey(s, locator);
    if (errors > PARITY / 2) return -1;
    for (int i = 0; i < CODE; i++)
        if (!evaluate_low(locator, errors + 1, power_of[(255 - (CODE - 1 - i)) % 255])) {
            if (found == errors) return -1;
            at[found++] = i;
        }
    if (found != errors) return -1;
    for (int i = 0; i < PARITY; i++)
        for (int k = 0; k <= i && k <= errors; k++) value[i] ^= multiply(s[i - k], locator[k]);
    for (int k = 1; k <= errors; k += 2) slope[k - 1] = locator[k];
    for (int k = 0; k < errors; k++) {
        int position = CODE - 1 - at[k];
        uint8_t inverse = power_of[(255 - position) % 255];
        uint8_t size = divide(evaluate_low(value, PARITY, inverse), evaluate_low(slope, PARITY, inverse));
        code[at[k]] ^= multiply(size, power_of[position]);
    }
    return syndromes(code, s) ? -1 : errors;
}

int main(void) {
    make_tables();
    for (int i = 0; i < 2000; i++) {
        uint32_t r = rnd();
        uint8_t a = (uint8_t)r, b = (uint8_t)(r >> 8) | 1;
        CHECK(multiply(a, b) == slow_multiply(a, b) && slow_multiply(divide(a, b), b) == a);
    }
    for (int i = 0; i < PARITY; i++) CHECK(evaluate(generator, PARITY + 1, power_of[i]) == 0);
    for (int round = 0; round < 120; round++) {
        uint8_t code[CODE], sent[CODE], s[PARITY];
        for (int i = 0; i < MESSAGE; i++) sent[i] = (uint8_t)(rnd() >> 4);
        encode(sent);
        CHECK(!syndromes(sent, s));
        memcpy(code, sent, CODE);
        int errors = round % 8, hit = 0;
        while (hit < errors) {
            uint32_t where = rnd() % CODE;
            if (code[where] != sent[where]) continue;
            code[where] ^= (uint8_t)(1 + rnd() % 255);
            hit++;
        }
        int fixed = correct(code);
        if (errors <= PARITY / 2) CHECK(fixed == errors && !memcmp(code, sent, CODE));
        else CHECK(fixed == -1 || memcmp(code, sent, CODE));
        for (int i = 0; i < PARITY; i++) mix(sent[MESSAGE + i] * 257u + (uint32_t)fixed);
    }
    printf("digest %08x\n", digest);
    return 0;
}
