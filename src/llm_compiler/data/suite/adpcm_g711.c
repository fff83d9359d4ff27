// Speech codecs: IMA ADPCM encoder and decoder in nibbles, G.711 mu-law and A-law by segments and by search.
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

static const int16_t step_sizes[89] = {
    7,    8,    9,    10,   11,   12,   13,   14,   16,   17,   19,   21,   23,   25,   28,   31,    34,    37,
    41,   45,   50,   55,   60,   66,   73,   80,   88,   97,   107,  118,  130,  143,  157,  173,   190,   209,
    230,  253,  279,  307,  337,  371,  408,  449,  494,  544,  598,  658,  724,  796,  876,  963,   1060,  1166,
    1282, 1411, 1552, 1707, 1878, 2066, 2272, 2499, 2749, 3024, 3327, 3660, 4026, 4428, 4871, 5358,  5894,  6484,
    7132, 7845, 8630, 9493, 10442, 11487, 12635, 13899, 15289, 16818, 18500, 20350, 22385, 24623, 27086, 29794, 32767};
static const int8_t step_moves[8] = {-1, -1, -1, -1, 2, 4, 6, 8};

typedef struct { int16_t value; int8_t index; } Predictor;

static int clamp(int v, int low, int high) { return v < low ? low : v > high ? high : v; }

static int decode_nibble(Predictor *p, unsigned code) {
    int step = step_sizes[p->index], delta = step >> 3;
    if (code & 4) delta += step;
    if (code & 2) delta += step >> 1;
    if (code & 1) delta += step >> 2;
    p->value = (int16_t)clamp(code & 8 ? p->value - delta : p->value + delta, -32768, 32767);
    p->index = (int8_t)clamp(p->index + step_moves[code & 7], 0, 88);
    return p->value;
}

// As the reference encoder does it: successive approximation beside a running prediction.
NOINLINE static unsigned encode_nibble(Predictor *p, int sample) {
    int step = step_sizes[p->index], difference = sample - p->value, approximation = step >> 3;
    unsigned code = 0;
    if (difference < 0) code = 8, difference = -difference;
    for (unsigned mask = 4; mask; mask >>= 1, step >>= 1)
        if (difference >= step) {
            code |= mask;
            difference -= step;
            approximation += step;
        }
    int value = p->value + (code & 8 ? -approximation : approximation);
    p->value = (int16_t)(value > 32767 ? 32767 : value < -32768 ? -32768 : value);
    int index = p->index + step_moves[code & 7];
    p->index = (int8_t)(index < 0 ? 0 : index > 88 ? 88 : index);
    return code;
}

static size_t encode(Predictor *p, const int16_t *in, size_t count, uint8_t *out) {
    uint8_t *start = out;
    for (size_t i = 0; i < count; i++) {
        unsigned code = encode_nibble(p, in[i]);
        if (i & 1) *out++ |= (uint8_t)(code << 4);
        else *out = (uint8_t)code;
    }
    return (size_t)(out - start) + (count & 1);
}

NOINLINE static void decode(Predictor *p, const uint8_t *in, size_t count, int16_t *out) {
    unsigned buffer = 0;
    for (size_t i = 0; i < count; i++) {
        buffer = i & 1 ? buffer >> 4 : *in++;
        out[i] = (int16_t)decode_nibble(p, buffer & 15);
    }
}

NOINLINE static uint8_t mulaw_encode(int16_t sample) {
    int v = sample, sign = v < 0 ? 0x80 : 0, segment = 7;
    if (sign) v = -v;
    v = (v > 32635 ? 32635 : v) + 132;
    for (int mask = 0x4000; !(v & mask) && segment > 0; mask >>= 1) segment--;
    return (uint8_t)~(sign | segment << 4 | (v >> (segment + 3) & 15));
}

static int mulaw_decode(uint8_t code) {
    code = (uint8_t)~code;
    int v = (((code & 15) << 3) + 132) << (code >> 4 & 7);
    return code & 0x80 ? 132 - v : v - 132;
}

static uint8_t alaw_encode(int16_t sample) {
    int v = sample >> 3, mask = 0xd5, segment = 0;
    if (v < 0) v = -v - 1, mask = 0x55;
    while (segment < 8 && v > (0x20 << segment) - 1) segment++;
    if (segment > 7) return (uint8_t)(0x7f ^ mask);
    return (uint8_t)((segment << 4 | (v >> (segment < 2 ? 1 : segment) & 15)) ^ mask);
}

static int alaw_decode(uint8_t code) {
    code ^= 0x55;
    int v = (code & 15) << 4, segment = code >> 4 & 7;
    v = segment == 0 ? v + 8 : (v + 0x108) << (segment - 1);
    return code & 0x80 ? v : -v;
}

int main(void) {
    enum { COUNT = 301 };
    static int16_t samples[COUNT], decoded[COUNT];
    uint8_t packed[COUNT / 2 + 1];
    for (int round = 0; round < 10; round++) {
        int amplitude = 20 << round, value = 0;
        for (int i = 0; i < COUNT; i++) {
            value = clamp(value + (int)(rnd() % (2u * (unsigned)amplitude + 1)) - amplitude, -32768, 32767);
            samples[i] = (int16_t)value;
        }
        Predictor there = {0, (int8_t)round}, back = there;
        CHECK(encode(&there, samples, COUNT, packed) == COUNT / 2 + 1);
        decode(&back, packed, COUNT, decoded);
        CHECK(there.value == back.value && there.index == back.index);  // encoder and decoder stay in step
        if (round < 4)
            for (int i = 60; i < COUNT; i++) CHECK(abs(decoded[i] - samples[i]) < 24 * amplitude);
        for (int i = 0; i < COUNT; i++) mix((uint16_t)decoded[i]);
    }
    for (int i = 0; i < 256; i++) {
        uint8_t code = (uint8_t)i;
        CHECK(alaw_encode((int16_t)alaw_decode(code)) == code);
        CHECK(mulaw_encode((int16_t)mulaw_decode(code)) == (code == 0x7f ? 0xff : code));  // -0 is 0
        mix((uint32_t)(alaw_decode(code) * 65537 ^ mulaw_decode(code)));
    }
    for (int i = 0; i < 300; i++) {
        int16_t sample = (int16_t)rnd();
        CHECK(abs(mulaw_decode(mulaw_encode(sample)) - sample) <= (abs(sample) + 132) / 32);
        CHECK(abs(alaw_decode(alaw_encode(sample)) - sample) <= abs(sample) / 32 + 9);
        mix(mulaw_encode(sample) * 256u + alaw_encode(sample));
    }
    CHECK(mulaw_encode(0) == 0xff && mulaw_encode(-32768) == 0 && mulaw_decode(0) == -32124);
    CHECK(alaw_encode(0) == 0xd5 && alaw_encode(-1) == 0x55 && alaw_decode(0xaa) == 32256);
    printf("digest %08x\n", digest);
    return 0;
}
