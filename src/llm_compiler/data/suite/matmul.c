// Matrix products in several loop orders, transposed, blocked, Strassen; inverse modulo a prime, transposes in place.
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

enum { N = 16 };
static const uint32_t P = 65521;
typedef uint32_t Matrix[N][N];
static Matrix a, b, c, d, identity;

static void ijk(Matrix x, Matrix y, Matrix to) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            uint32_t acc = 0;
            for (int k = 0; k < N; k++) acc += x[i][k] * y[k][j];
            to[i][j] = acc;
        }
}

NOINLINE static void ikj(Matrix x, Matrix y, Matrix to) {
    memset(to, 0, sizeof(Matrix));
    for (int i = 0; i < N; i++)
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++) to[i][j] += x[i][k] * y[k][j];
}

static void transpose(Matrix m) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < i; j++) m[i][j] ^= m[j][i], m[j][i] ^= m[i][j], m[i][j] ^= m[j][i];
}

NOINLINE static void blocked(Matrix x, Matrix y, Matrix to, int block) {
    memset(to, 0, sizeof(Matrix));
    for (int ii = 0; ii < N; ii += block)
        for (int kk = 0; kk < N; kk += block)
            for (int jj = 0; jj < N; jj += block)
                for (int i = ii; i < ii + block && i < N; i++)
                    for (int k = kk; k < kk + block && k < N; k++)
                        for (int j = jj; j < jj + block && j < N; j++) to[i][j] += x[i][k] * y[k][j];
}

static void by_rows(Matrix x, Matrix y, Matrix to) {
    transpose(y);
    for (uint32_t *p = &x[0][0], *r = &to[0][0]; p < &x[0][0] + N * N; p += N)
        for (uint32_t *q = &y[0][0]; q < &y[0][0] + N * N; q += N, r++)
            for (int k = *r = 0; k < N; k++) *r += p[k] * q[k];
    transpose(y);
}

static void add(const uint32_t *x, int sx, const uint32_t *y, int sy, uint32_t *to, int n, uint32_t sign) {
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) to[i * n + j] = x[i * sx + j] + sign * y[i * sy + j];
}

// Strassen; strides of the operands are given, the result is dense.
static void strassen(const uint32_t *x, int sx, const uint32_t *y, int sy, uint32_t *to, int n) {
    if (n == 1) {
        *to = *x * *y;
        return;
    }
    int h = n / 2;
    const uint32_t *x2 = x + h, *x3 = x + h * sx, *x4 = x3 + h, *y2 = y + h, *y3 = y + h * sy, *y4 = y3 + h;
    uint32_t s[64], t[64], m[7][64];
    add(x, sx, x4, sx, s, h, 1), add(y, sy, y4, sy, t, h, 1), strassen(s, h, t, h, m[0], h);
    add(x3, sx, x4, sx, s, h, 1), strassen(s, h, y, sy, m[1], h);
    add(y2, sy, y4, sy, t, h, ~0u), strassen(x, sx, t, h, m[2], h);
    add(y3, sy, y, sy, t, h, ~0u), strassen(x4, sx, t, h, m[3], h);
    add(x, sx, x2, sx, s, h, 1), strassen(s, h, y4, sy, m[4], h);
    add(x3, sx, x, sx, s, h, ~0u), add(y, sy, y2, sy, t, h, 1), strassen(s, h, t, h, m[5], h);
    add(x2, sx, x4, sx, s, h, ~0u), add(y3, sy, y4, sy, t, h, 1), strassen(s, h, t, h, m[6], h);
    for (int i = 0; i < h; i++)
        for (int j = 0; j < h; j++) {
            int at = i * h + j;
            to[i * n + j] = m[0][at] + m[3][at] - m[4][at] + m[6][at];
            to[i * n + j + h] = m[2][at] + m[4][at];
            to[(i + h) * n + j] = m[1][at] + m[3][at];
            to[(i + h) * n + j + h] = m[0][at] - m[1][at] + m[2][at] + m[5][at];
        }
}

NOINLINE static uint32_t inverse_of(uint32_t v) {
    int64_t t = 0, next = 1, r = P, rest = v;
    while (rest) {
        int64_t q = r / rest, s = t - q * next, u = r - q * rest;
        t = next, next = s, r = rest, rest = u;
    }
    return (uint32_t)(t < 0 ? t + P : t);
}

static int invert(Matrix m, Matrix to) {
    memcpy(to, identity, sizeof identity);
    for (int col = 0; col < N; col++) {
        int pivot = col;
        while (pivot < N && !m[pivot][col]) pivot++;
        if (pivot == N) return 0;
        for (int j = 0; j < N; j++) {
            uint32_t t = m[col][j], u = to[col][j];
            m[col][j] = m[pivot][j], m[pivot][j] = t, to[col][j] = to[pivot][j], to[pivot][j] = u;
        }
        uint32_t scale = inverse_of(m[col][col]);
        for (int j = 0; j < N; j++) m[col][j] = m[col][j] * scale % P, to[col][j] = to[col][j] * scale % P;
        for (int i = 0; i < N; i++) {
            uint32_t f = P - m[i][col];
            for (int j = 0; j < N && i != col; j++) {
                m[i][j] = (m[i][j] + (uint64_t)f * m[col][j]) % P;
                to[i][j] = (to[i][j] + (uint64_t)f * to[col][j]) % P;
            }
        }
    }
    return 1;
}

int main(void) {
    static void (*const kernels[])(Matrix, Matrix, Matrix) = {ikj, by_rows};
    for (int i = 0; i < N; i++) identity[i][i] = 1;
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < N * N; i++) a[i / N][i % N] = rnd(), b[i / N][i % N] = rnd();
        ijk(a, b, c);
        for (int k = 0; k < 2; k++) {
            kernels[(k + round) % 2](a, b, d);
            CHECK(!memcmp(c, d, sizeof c));
        }
        blocked(a, b, d, 3 + round);
        CHECK(!memcmp(c, d, sizeof c));
        strassen(&a[0][0], N, &b[0][0], N, &d[0][0], N);
        CHECK(!memcmp(c, d, sizeof c));
        for (int i = 0; i < N; i++) mix(c[i][(i * 7 + round) % N]);
        for (int i = 0; i < N * N; i++) a[i / N][i % N] %= 60000;
        memcpy(b, a, sizeof a);
        if (round & 1) b[0][0] = a[0][0] = 0;
        if (!invert(b, c)) continue;
        CHECK(!memcmp(b, identity, sizeof b));
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                uint64_t acc = 0;
                for (int k = 0; k < N; k++) acc += (uint64_t)a[i][k] * c[k][j];
                CHECK(acc % P == identity[i][j]);
            }
        mix(c[round][N - 1]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
