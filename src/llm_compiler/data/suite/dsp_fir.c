// Fixed-point FIR filters: direct, circular buffer, folded symmetric, decimating, interpolating; Q15 with saturation.
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

enum { TAPS = 32, LENGTH = 200 };

typedef struct { int16_t line[TAPS]; unsigned head; } Delay;

static int16_t taps[TAPS], input[LENGTH], other[LENGTH];

static int16_t saturate(int64_t v) { return (int16_t)(v > 32767 ? 32767 : v < -32768 ? -32768 : v); }

static int16_t round_q15(int64_t acc) { return saturate((acc + (1 << 14)) >> 15); }

// The definition: y[n] = sum h[k] x[n - k].
NOINLINE static int64_t reference(const int16_t *h, const int16_t *x, int n) {
    int64_t acc = 0;
    for (int k = 0; k < TAPS; k++)
        if (n - k >= 0) acc += (int64_t)h[k] * x[n - k];
    return acc;
}

static void fir_direct(const int16_t *restrict h, const int16_t *restrict x, int16_t *restrict y, int count) {
    for (int n = 0; n < count; n++) {
        int64_t acc = 0;
        int limit = n < TAPS - 1 ? n : TAPS - 1;
        const int16_t *p = x + n;
        for (int k = 0; k <= limit; k++) acc += h[k] * *p--;
        y[n] = round_q15(acc);
    }
}

static int16_t fir_push(Delay *d, const int16_t *h, int16_t sample) {
    d->line[d->head] = sample;
    unsigned at = d->head;
    d->head = (d->head + 1) & (TAPS - 1);
    int64_t acc = 0;
    for (int k = 0; k < TAPS; k++, at = (at - 1) & (TAPS - 1)) acc += (int32_t)h[k] * d->line[at];
    return round_q15(acc);
}

// Linear phase: h[k] == h[TAPS - 1 - k].
NOINLINE static void fir_folded(const int16_t *h, const int16_t *x, int16_t *y, int count) {
    int16_t state[TAPS] = {0};
    for (int n = 0; n < count; n++) {
        memmove(state + 1, state, (TAPS - 1) * sizeof *state);
        state[0] = x[n];
        int64_t acc = 0;
        for (int i = 0, j = TAPS - 1; i < j; i++, j--) acc += (int64_t)h[i] * (state[i] + state[j]);
        y[n] = round_q15(acc);
    }
}

static int fir_decimate(const int16_t *h, const int16_t *x, int16_t *y, int count, int factor) {
    int out = 0;
    for (int n = 0; n < count; n += factor) {
        int64_t acc = 0;
        for (int k = 0; k < TAPS && k <= n; k++) acc += (int64_t)h[k] * x[n - k];
        y[out++] = round_q15(acc);
    }
    return out;
}

// Polyphase: the zeros that interpolation puts between the samples are never multiplied.
NOINLINE static void fir_interpolate(const int16_t *h, const int16_t *x, int16_t *y, int count, int factor) {
    for (int n = 0; n < count; n++)
        for (int phase = 0; phase < factor; phase++) {
            int64_t acc = 0;
            for (int k = phase, i = n; k < TAPS && i >= 0; k += factor, i--) acc += (int64_t)h[k] * x[i];
            *y++ = round_q15(acc);
        }
}

static void fill(int16_t *x, int count, int amplitude) {
    for (int i = 0; i < count; i++) x[i] = (int16_t)((int)(rnd() % (2 * (unsigned)amplitude)) - amplitude);
}

int main(void) {
    int16_t a[LENGTH], b[LENGTH], up[LENGTH * 3], sparse[LENGTH];
    for (int round = 0; round < 6; round++) {
        int loud = round & 1 ? 32767 : 3000;  // loud rounds saturate
        fill(input, LENGTH, loud);
        for (int k = 0; k < TAPS / 2; k++) taps[k] = taps[TAPS - 1 - k] = (int16_t)((int)(rnd() % 20000) - 9000);
        Delay delay = {0};
        fir_direct(taps, input, a, LENGTH);
        fir_folded(taps, input, b, LENGTH);
        for (int n = 0; n < LENGTH; n++) {
            CHECK(a[n] == round_q15(reference(taps, input, n)));
            CHECK(a[n] == b[n]);
            CHECK(fir_push(&delay, taps, input[n]) == a[n]);
            mix((uint16_t)a[n]);
        }
        for (int factor = 2; factor <= 5; factor++) {
            int count = fir_decimate(taps, input, b, LENGTH, factor);
            CHECK(count == (LENGTH + factor - 1) / factor);
            for (int i = 0; i < count; i++) CHECK(b[i] == a[i * factor]);
        }
        fir_interpolate(taps, input, up, LENGTH / 3, 3);
        memset(sparse, 0, sizeof sparse);
        for (int i = 0; i < LENGTH / 3; i++) sparse[i * 3] = input[i];
        fir_direct(taps, sparse, other, LENGTH / 3 * 3);
        CHECK(memcmp(up, other, LENGTH / 3 * 3 * sizeof *up) == 0);
        mix((uint16_t)up[LENGTH / 2]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
