// Canonical Huffman codes with a bit writer and reader, length-limited by heuristics; Elias gamma; a range coder.
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

enum { SYMBOLS = 24, COUNT = 300 };
typedef struct { uint8_t bytes[1200]; uint32_t held; int bits, at; } Bits;

static Bits stream;
static uint32_t frequency[SYMBOLS];
static uint8_t lengths[SYMBOLS];
static uint16_t codes[SYMBOLS];

static void put_bits(Bits *b, uint32_t v, int n) {
    b->held = b->held << n | (v & ((1u << n) - 1));
    b->bits += n;
    while (b->bits >= 8) b->bytes[b->at++] = (uint8_t)(b->held >> (b->bits -= 8));
}

static void flush(Bits *b) {
    if (b->bits) b->bytes[b->at++] = (uint8_t)(b->held << (8 - b->bits));
    b->bits = b->at = 0;
}

NOINLINE static uint32_t get_bits(Bits *b, int n) {
    while (b->bits < n) b->held = b->held << 8 | b->bytes[b->at++], b->bits += 8;
    b->bits -= n;
    return b->held >> b->bits & ((1u << n) - 1);
}

// Joins the two rarest; O(n^2), but without a heap.
NOINLINE static void make_lengths(void) {
    uint32_t weight[2 * SYMBOLS];
    int parent[2 * SYMBOLS] = {0}, n = SYMBOLS;
    for (int i = 0; i < SYMBOLS; i++) weight[i] = frequency[i] + 1;
    for (; n < 2 * SYMBOLS - 1; n++) {
        int a = -1, b = -1;
        for (int i = 0; i < n; i++) {
            if (parent[i]) continue;
            if (a < 0 || weight[i] < weight[a]) b = a, a = i;
            else if (b < 0 || weight[i] < weight[b]) b = i;
        }
        weight[n] = weight[a] + weight[b];
        parent[a] = parent[b] = n;
    }
    for (int i = 0; i < SYMBOLS; i++) {
        lengths[i] = 0;
        for (int k = i; parent[k]; k = parent[k]) lengths[i]++;
    }
}

static uint32_t make_codes(void) {
    uint32_t next = 0, kraft = 0;
    for (int length = 1; length < 16; length++, next <<= 1)
        for (int i = 0; i < SYMBOLS; i++)
            if (lengths[i] == length) codes[i] = (uint16_t)next++, kraft += 1u << (16 - length);
    return kraft;
}

static int decode_symbol(Bits *b) {
    uint32_t code = 0;
    for (int length = 1; length < 16; length++) {
        code = code << 1 | get_bits(b, 1);
        for (int i = 0; i < SYMBOLS; i++)
            if (lengths[i] == length && codes[i] == code) return i;
    }
    return -1;
}

static void put_gamma(Bits *b, uint32_t v) {
    int top = 31 - __builtin_clz(v);
    put_bits(b, 0, top);
    put_bits(b, v, top + 1);
}

static uint32_t get_gamma(Bits *b) {
    int zeros = 0;
    while (!get_bits(b, 1)) zeros++;
    return 1u << zeros | (zeros ? get_bits(b, zeros) : 0);
}

// Adaptive binary range coder, carryless.
typedef struct { uint32_t low, high, code; uint16_t chance; uint8_t *at; } Coder;

NOINLINE static int code_bit(Coder *c, int bit, int decoding) {
    uint32_t mid = c->low + (uint32_t)((uint64_t)(c->high - c->low) * c->chance >> 16);
    if (decoding) bit = c->code <= mid;
    if (bit) c->high = mid, c->chance += (65535 - c->chance) >> 5;
    else c->low = mid + 1, c->chance -= c->chance >> 5;
    while (!((c->low ^ c->high) >> 24)) {
        if (decoding) c->code = c->code << 8 | *c->at++;
        else *c->at++ = (uint8_t)(c->high >> 24);
        c->low <<= 8, c->high = c->high << 8 | 255;
    }
    return bit;
}

int main(void) {
    uint8_t message[COUNT], buffer[COUNT + 8];
    uint32_t numbers[COUNT];
    for (int round = 0; round < 12; round++) {
        memset(frequency, 0, sizeof frequency);
        for (int i = 0; i < COUNT; i++) {
            uint32_t r = rnd() % (1u << round), s = r ? (uint32_t)__builtin_ctz(r) * 2 : 20;
            message[i] = (uint8_t)((s + (r >> 9)) % SYMBOLS);
            frequency[message[i]]++;
            numbers[i] = (r ^ (uint32_t)i << 4) + 1;
        }
        make_lengths();
        CHECK(make_codes() == 65536);
        uint64_t total = 0, flat = 5 * COUNT;
        for (int i = 0; i < SYMBOLS; i++) total += (uint64_t)frequency[i] * lengths[i],
            mix(codes[i] * 16u + lengths[i]);
        CHECK(total <= flat + 60);
        for (int i = 0; i < COUNT; i++) put_bits(&stream, codes[message[i]], lengths[message[i]]);
        CHECK((uint64_t)stream.at * 8 + (uint64_t)stream.bits == total);
        flush(&stream);
        for (int i = 0; i < COUNT; i++) CHECK(decode_symbol(&stream) == message[i]);
        stream.bits = stream.at = 0;
        for (int i = 0; i < COUNT; i++) put_gamma(&stream, numbers[i]);
        mix((uint32_t)stream.at);
        flush(&stream);
        for (int i = 0; i < COUNT; i++) CHECK(get_gamma(&stream) == numbers[i]);
        stream.bits = stream.at = 0;
        Coder c = {0, ~0u, 0, 32768, buffer};
        for (int i = 0; i < COUNT; i++) code_bit(&c, numbers[i] % 8 == 0, 0);
        int used = (int)(c.at - buffer);
        for (int k = 24; k >= 0; k -= 8) *c.at++ = (uint8_t)(c.high >> k);
        c = (Coder){0, ~0u, 0, 32768, buffer};
        for (int k = 0; k < 4; k++) c.code = c.code << 8 | *c.at++;
        for (int i = 0; i < COUNT; i++) CHECK(code_bit(&c, 0, 1) == (numbers[i] % 8 == 0));
        CHECK(used < COUNT / 8 && used > 0);
        mix((uint32_t)used);
    }
    printf("digest %08x\n", digest);
    return 0;
}
