// Fixed-point radix-2 FFT with a sine table made by recurrence, inverse and Parseval; number-theoretic transform.
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

enum { LOG = 6, N = 1 << LOG };
static const uint32_t P = 998244353;

typedef struct { int32_t re, im; } Complex;

static int32_t sine[N];  // Q30
static Complex signal[N], spectrum[N];

// sin and cos of pi / 32 in Q30; the rest by rotation, from both ends so that the errors stay below 2^-25.
static void make_sine(void) {
    int64_t c = 1073741824, s = 0;
    for (int i = 0; i <= N / 4; i++) {
        sine[i] = (int32_t)s;
        int64_t next = (c * 1068571464 - s * 105245103 + (1 << 29)) >> 30;
        s = (s * 1068571464 + c * 105245103 + (1 << 29)) >> 30;
        c = next;
    }
    for (int i = N / 4 + 1; i <= N / 2; i++) sine[i] = sine[N / 2 - i];
    for (int i = N / 2 + 1; i < N; i++) sine[i] = -sine[i - N / 2];
}

static Complex turn(Complex a, int k) {
    int64_t c = sine[(k + N / 4) & (N - 1)], s = sine[k & (N - 1)];
    return (Complex){(int32_t)((a.re * c + a.im * s + (1 << 29)) >> 30),
                     (int32_t)((a.im * c - a.re * s + (1 << 29)) >> 30)};
}

static unsigned reverse_bits(unsigned v, int count) {
    unsigned r = 0;
    while (count--) r = r << 1 | (v & 1), v >>= 1;
    return r;
}

NOINLINE static void fft(Complex *x, int direction) {
    for (unsigned i = 0; i < N; i++) {
        unsigned j = reverse_bits(i, LOG);
        if (i < j) {
            Complex t = x[i];
            x[i] = x[j];
            x[j] = t;
        }
    }
    for (int half = 1; half < N; half <<= 1)
        for (int start = 0; start < N; start += half << 1)
            for (int k = 0; k < half; k++) {
                Complex *a = &x[start + k], *b = a + half, t = turn(*b, direction * k * (N / 2 / half));
                *b = (Complex){a->re - t.re, a->im - t.im};
                a->re += t.re, a->im += t.im;
            }
}

static Complex dft_bin(const Complex *x, int bin) {
    int64_t re = 0, im = 0;
    for (int n = 0; n < N; n++) {
        int64_t c = sine[(n * bin + N / 4) % N], s = sine[n * bin % N];
        re += x[n].re * c + x[n].im * s;
        im += x[n].im * c - x[n].re * s;
    }
    return (Complex){(int32_t)(re >> 30), (int32_t)(im >> 30)};
}

static uint32_t modular(uint64_t v) { return (uint32_t)(v % P); }

static uint32_t power(uint32_t base, uint32_t exponent) {
    uint32_t r = 1;
    for (; exponent; exponent >>= 1, base = modular((uint64_t)base * base))
        if (exponent & 1) r = modular((uint64_t)r * base);
    return r;
}

NOINLINE static void ntt(uint32_t *x, uint32_t root) {
    for (unsigned i = 0, j = 0; i < N; i++) {
        if (i < j) {
            uint32_t t = x[i];
            x[i] = x[j], x[j] = t;
        }
        unsigned bit = N >> 1;
        while (j & bit) j ^= bit, bit >>= 1;
        j |= bit;
    }
    for (unsigned length = 2; length <= N; length *= 2) {
        uint32_t step = power(root, N / length);
        for (unsigned start = 0; start < N; start += length) {
            uint32_t w = 1;
            for (uint32_t *a = x + start, *b = a + length / 2; a < x + start + length / 2; a++, b++) {
                uint32_t t = modular((uint64_t)*b * w), u = *a;
                *a = u + t >= P ? u + t - P : u + t;
                *b = u < t ? u + P - t : u - t;
                w = modular((uint64_t)w * step);
            }
        }
    }
}

int main(void) {
    make_sine();
    CHECK(abs(sine[N / 4] - (1 << 30)) < 64 && abs(sine[8] - 759250125) < 64);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < N; i++) {
            signal[i].re = (int32_t)(rnd() % 65536) - 32768;
            signal[i].im = round & 1 ? 0 : (int32_t)(rnd() % 65536) - 32768;
        }
        memcpy(spectrum, signal, sizeof spectrum);
        fft(spectrum, 1);
        int64_t energy = 0, power_sum = 0;
        for (int k = 0; k < N; k++) {
            Complex bin = dft_bin(signal, k), got = spectrum[k], mirror = spectrum[-k & (N - 1)];
            CHECK(abs(bin.re - got.re) < 32 && abs(bin.im - got.im) < 32);
            CHECK(!(round & 1) || (abs(got.re - mirror.re) < 32 && abs(got.im + mirror.im) < 32));
            energy += (int64_t)signal[k].re * signal[k].re + (int64_t)signal[k].im * signal[k].im;
            power_sum += (int64_t)got.re * got.re + (int64_t)got.im * got.im;
            mix((uint32_t)got.re * 31 + (uint32_t)got.im);
        }
        CHECK(llabs(power_sum / N - energy) < energy / 1000);
        fft(spectrum, -1);
        for (int i = 0; i < N; i++) CHECK(abs(spectrum[i].re - signal[i].re * N) < 1024);
        uint32_t a[N] = {0}, b[N] = {0}, wanted[N] = {0};
        for (int i = 0; i < N / 2; i++) a[i] = rnd() % P, b[i] = rnd() % P;
        for (int i = 0; i < N / 2; i++)
            for (int j = 0; j < N / 2; j++) wanted[i + j] = modular(wanted[i + j] + (uint64_t)a[i] * b[j]);
        uint32_t root = power(3, (P - 1) / N);
        ntt(a, root);
        ntt(b, root);
        for (int i = 0; i < N; i++) a[i] = modular((uint64_t)a[i] * b[i]);
        ntt(a, power(root, P - 2));
        for (int i = 0; i < N; i++) {
            CHECK(modular((uint64_t)a[i] * power(N, P - 2)) == wanted[i]);
            mix(wanted[i]);
        }
    }
    printf("digest %08x\n", digest);
    return 0;
}
