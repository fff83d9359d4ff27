// DCTs of 4, 8, 16 and 32 points in the style of video codecs: recursive even/odd butterflies against the matrix.
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

enum { MAX = 32 };

// First column of the 32-point matrix: every other entry is one of these, with a sign.
static const int8_t column[32] = {64, 90, 90, 90, 89, 88, 87, 85, 83, 82, 80, 78, 75, 73, 70, 67,
                                  64, 61, 57, 54, 50, 46, 43, 38, 36, 31, 25, 22, 18, 13, 9,  4};
static int8_t matrix[MAX][MAX];

static void make_matrix(void) {
    for (int u = 0; u < MAX; u++)
        for (int x = 0; x < MAX; x++) {
            int angle = (2 * x + 1) * u % 128, sign = 1;  // in units of pi / 64
            if (angle > 64) angle = 128 - angle;
            if (angle > 32) angle = 64 - angle, sign = -1;
            matrix[u][x] = (int8_t)(angle == 32 ? 0 : sign * column[angle]);
        }
}

static int entry(int size, int u, int x) { return matrix[u * (MAX / size)][x]; }

NOINLINE static void matrix_forward(const int32_t *in, int32_t *out, int size) {
    for (int u = 0; u < size; u++) {
        int32_t acc = 0;
        for (int x = 0; x < size; x++) acc += entry(size, u, x) * in[x];
        out[u] = acc;
    }
}

static void matrix_inverse(const int32_t *in, int32_t *out, int size) {
    for (int x = 0; x < size; x++) {
        out[x] = 0;
        for (int u = 0; u < size; u++) out[x] += entry(size, u, x) * in[u];
    }
}

// Sums go to the half-size transform, which is the even rows; differences to the odd rows. `in` may be `out`.
static void forward(const int32_t *in, int32_t *out, int size) {
    if (size == 1) {
        out[0] = 64 * in[0];
        return;
    }
    int half = size / 2;
    int32_t sums[MAX / 2], differences[MAX / 2], evens[MAX / 2];
    for (int i = 0, j = size - 1; i < half; i++, j--) {
        sums[i] = in[i] + in[j];
        differences[i] = in[i] - in[j];
    }
    forward(sums, evens, half);
    for (int k = 0; k < half; k++) {
        int32_t acc = 0;
        for (int i = 0; i < half; i++) acc += entry(size, 2 * k + 1, i) * differences[i];
        out[2 * k] = evens[k];
        out[2 * k + 1] = acc;
    }
}

NOINLINE static void inverse(const int32_t *in, int32_t *out, int size) {
    if (size == 1) {
        out[0] = 64 * in[0];
        return;
    }
    int half = size >> 1;
    int32_t evens[MAX / 2], even[MAX / 2], odd[MAX / 2];
    for (int k = 0; k < half; k++) {
        evens[k] = in[2 * k];
        odd[k] = 0;
        for (int i = 0; i < half; i++) odd[k] += entry(size, 2 * i + 1, k) * in[2 * i + 1];
    }
    inverse(evens, even, half);
    for (int k = 0; k < half; k++) {
        out[k] = even[k] + odd[k];
        out[size - 1 - k] = even[k] - odd[k];
    }
}

// The 4-point kernel as it is written out by hand.
static void forward4(int32_t *v, int stride) {
    int32_t a = v[0] + v[3 * stride], b = v[stride] + v[2 * stride];
    int32_t c = v[0] - v[3 * stride], d = v[stride] - v[2 * stride];
    v[0] = 64 * (a + b);
    v[2 * stride] = 64 * (a - b);
    v[stride] = 83 * c + 36 * d;
    v[3 * stride] = 36 * c - 83 * d;
}

static void shift_all(int32_t *v, int count, int shift) {
    int32_t half = 1 << (shift - 1);
    for (int32_t *end = v + count; v != end; v++) *v = (*v + half) >> shift;
}

static void two_dimensional(int32_t *block, int size, void (*kernel)(const int32_t *, int32_t *, int)) {
    int32_t line[MAX];
    for (int y = 0; y < size; y++) kernel(block + y * size, block + y * size, size);
    shift_all(block, size * size, 6);
    for (int x = 0; x < size; x++) {
        for (int y = 0; y < size; y++) line[y] = block[y * size + x];
        kernel(line, line, size);
        for (int y = size; y-- > 0;) block[y * size + x] = line[y];
    }
}

int main(void) {
    make_matrix();
    for (int size = 4; size <= MAX; size *= 2)
        for (int round = 0; round < 10; round++) {
            int32_t in[MAX], a[MAX], b[MAX], c[MAX];
            for (int i = 0; i < size; i++) in[i] = (int32_t)(rnd() % 512) - 256;
            matrix_forward(in, a, size);
            forward(in, b, size);
            CHECK(memcmp(a, b, (size_t)size * sizeof *a) == 0);
            if (size == 4) {
                memcpy(c, in, 4 * sizeof *c);
                forward4(c, 1);
                CHECK(memcmp(a, c, 4 * sizeof *c) == 0);
            }
            shift_all(a, size, 4);
            matrix_inverse(a, b, size);
            memcpy(c, a, sizeof c);
            inverse(c, c, size);
            CHECK(memcmp(b, c, (size_t)size * sizeof *b) == 0);
            for (int i = 0; i < size; i++) {
                mix((uint32_t)a[i]);
                int error = b[i] - in[i] * (size * 256);  // rows are almost orthogonal, of norm 64 * 64 * size
                CHECK(error < size * 6400 && error > -size * 6400);
            }
        }
    static int32_t block[64], other[64];
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 64; i++) block[i] = other[i] = (int32_t)(rnd() % 256) - 128;
        two_dimensional(block, 8, forward);
        two_dimensional(other, 4, forward);
        two_dimensional(other + 16, 4, forward);
        for (int i = 0; i < 64; i++) mix((uint32_t)(block[i] ^ other[i]));
        shift_all(block, 64, 8);
        two_dimensional(block, 8, inverse);
        mix((uint32_t)block[round * 7]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
