// Fixed-point IIR filters: biquad cascades in two forms, a one-pole smoother, a DC blocker, Goertzel, an AGC loop.
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

enum { LENGTH = 256, STAGES = 3 };

typedef struct { int32_t b0, b1, b2, a1, a2; } Coefficients;  // Q14
typedef struct { int32_t x1, x2, y1, y2; } State;

static const Coefficients design[STAGES] = {
    {1024, 2048, 1024, -20000, 8000}, {9000, -17000, 9000, -15000, 4200}, {12000, 3, -12000, 100, -7000}};
static int16_t signal[LENGTH], result[LENGTH];

static int32_t clamp16(int64_t v) {
    if (v > INT16_MAX) return INT16_MAX;
    if (v < INT16_MIN) return INT16_MIN;
    return (int32_t)v;
}

static int32_t biquad(const Coefficients *c, State *s, int32_t x) {
    int64_t acc = (int64_t)c->b0 * x + (int64_t)c->b1 * s->x1 + (int64_t)c->b2 * s->x2;
    acc -= (int64_t)c->a1 * s->y1 + (int64_t)c->a2 * s->y2;
    s->x2 = s->x1;
    s->x1 = x;
    s->y2 = s->y1;
    return s->y1 = clamp16((acc + 8192) >> 14);
}

NOINLINE static void cascade(const Coefficients *c, State *s, int stages, const int16_t *in, int16_t *out, int n) {
    for (int i = 0; i < n; i++) {
        int32_t v = in[i];
        for (int k = 0; k < stages; k++) v = biquad(&c[k], &s[k], v);
        out[i] = (int16_t)v;
    }
}

// The same filter over whole arrays: every stage reads what the stage before it wrote.
static void cascade_in_place(int16_t *data, int n) {
    static int32_t history[LENGTH + 2];
    for (int k = 0; k < STAGES; k++) {
        const Coefficients c = design[k];
        int32_t y1 = 0, y2 = 0;
        history[0] = history[1] = 0;
        for (int i = 0; i < n; i++) history[i + 2] = data[i];
        for (int i = 0; i < n; i++) {
            const int32_t *x = history + i;
            int64_t acc = (int64_t)c.b0 * x[2] + (int64_t)c.b1 * x[1] + (int64_t)c.b2 * x[0];
            acc += 8192 - (int64_t)c.a1 * y1 - (int64_t)c.a2 * y2;
            y2 = y1;
            y1 = clamp16(acc >> 14);
            data[i] = (int16_t)y1;
        }
    }
}

NOINLINE static int32_t smooth(int32_t *state, int32_t x, int shift) { return *state += ((x << 8) - *state) >> shift; }

static int16_t dc_block(int32_t *x1, int32_t *acc, int16_t x) {
    *acc += ((int32_t)x - *x1) * 256;
    *x1 = x;
    *acc -= *acc >> 6;
    return (int16_t)clamp16(*acc >> 8);
}

// Powers of one DFT bin; coefficient is 2 cos(w) in Q14.
static int64_t goertzel(const int16_t *x, int n, int32_t coefficient) {
    int64_t s1 = 0, s2 = 0;
    for (int i = 0; i < n; i++) {
        int64_t s0 = x[i] + ((coefficient * s1) >> 14) - s2;
        s2 = s1;
        s1 = s0;
    }
    return s1 * s1 + s2 * s2 - ((s1 * s2) >> 14) * coefficient;
}

static int agc(const int16_t *in, int16_t *out, int n, int target) {
    int gain = 256, changes = 0;
    for (int i = 0; i < n; i++) {
        int v = (int)clamp16(((int64_t)in[i] * gain) >> 8), level = v < 0 ? -v : v;
        if (level > target && gain > 16) gain -= gain >> 4, changes++;
        else if (level < target / 2 && gain < 4096) gain += 1 + (gain >> 6), changes++;
        out[i] = (int16_t)v;
    }
    return changes << 16 | gain;
}

int main(void) {
    int16_t copy[LENGTH];
    for (int round = 0; round < 8; round++) {
        int amplitude = 500 << round % 7;
        for (int i = 0; i < LENGTH; i++) signal[i] = (int16_t)((int)(rnd() % (2u * (unsigned)amplitude)) - amplitude);
        State states[STAGES];
        memset(states, 0, sizeof states);
        int half = 100 + round;
        cascade(design, states, STAGES, signal, result, half);  // state carries over between the blocks
        cascade(design, states, STAGES, signal + half, result + half, LENGTH - half);
        memcpy(copy, signal, sizeof copy);
        cascade_in_place(copy, LENGTH);
        CHECK(memcmp(copy, result, sizeof copy) == 0);
        State single = {0, 0, 0, 0};
        cascade(design + 2, &single, 1, signal, copy, LENGTH);
        int32_t level = 0, x1 = 0, acc = 0;
        for (int i = 0; i < LENGTH; i++) {
            mix((uint16_t)result[i] ^ (uint32_t)(uint16_t)copy[i] << 16);
            smooth(&level, signal[i] < 0 ? -signal[i] : signal[i], 3);
            mix((uint32_t)dc_block(&x1, &acc, (int16_t)(signal[i] / 2 + 5000)));
        }
        CHECK(level >= 0 && level >> 8 <= amplitude);
        mix((uint32_t)agc(signal, copy, LENGTH, 2000));
        mix((uint32_t)goertzel(signal, LENGTH, -32768 + round * 3001));
    }
    for (int i = 0; i < LENGTH; i++) signal[i] = (int16_t)(i % 4 == 0 ? 1000 : i % 4 == 2 ? -1000 : 0);
    CHECK(goertzel(signal, LENGTH, 0) == 128ll * 128 * 1000 * 1000);  // all of it is in the bin at a quarter
    int32_t x1 = 0, acc = 0, last = 0, state = 0;
    for (int i = 0; i < 900; i++) last = dc_block(&x1, &acc, 9000), smooth(&state, 77, 4);
    CHECK(last >= -1 && last <= 1);
    CHECK(state >> 8 == 76 || state >> 8 == 77);
    printf("digest %08x\n", digest);
    return 0;
}
