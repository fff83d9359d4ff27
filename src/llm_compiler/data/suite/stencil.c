// Stencils: three-point and five-point, in place and by copies, convolution with borders, erosion, median, box sums.
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

enum { W = 20, H = 14 };
static int32_t plane[H][W], result[H][W];
static uint32_t integral[H + 1][W + 1];

NOINLINE static void smooth_in_place(int32_t *v, int n) {
    int32_t before = v[0];
    for (int i = 1; i + 1 < n; i++) {
        int32_t here = v[i];
        v[i] = before + 2 * here + v[i + 1];
        before = here;
    }
}

static void smooth_copy(const int32_t *restrict v, int32_t *restrict to, int n) {
    to[0] = v[0], to[n - 1] = v[n - 1];
    for (int i = 1; i < n - 1; i++) to[i] = v[i - 1] + 2 * v[i] + v[i + 1];
}

// Gauss-Seidel: what was written is read again by the next.
NOINLINE static void relax(int32_t (*p)[W]) {
    for (int y = 1; y < H - 1; y++)
        for (int x = 1; x < W - 1; x++) p[y][x] = (p[y - 1][x] + p[y][x - 1] + p[y + 1][x] + p[y][x + 1]) / 4;
}

static void relax_flat(int32_t *p) {
    for (int at = W + 1; at < W * (H - 1) - 1; at++) {
        if (at % W == 0 || at % W == W - 1) continue;
        p[at] = (p[at - W] + p[at - 1] + p[at + W] + p[at + 1]) / 4;
    }
}

static int32_t at_clamped(int32_t (*p)[W], int y, int x) {
    y = y < 0 ? 0 : y >= H ? H - 1 : y;
    x = x < 0 ? 0 : x >= W ? W - 1 : x;
    return p[y][x];
}

static void convolve(int32_t (*p)[W], const int8_t kernel[3][3], int32_t (*to)[W]) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            int32_t acc = 0;
            for (int i = -1; i <= 1; i++)
                for (int j = -1; j <= 1; j++) acc += kernel[i + 1][j + 1] * at_clamped(p, y + i, x + j);
            to[y][x] = acc;
        }
}

// The separable kernel (1 2 1) x (1 2 1), rows in a ring of three.
NOINLINE static void convolve_separable(int32_t (*p)[W], int32_t (*to)[W]) {
    int32_t ring[3][W];
    for (int y = -1; y <= H; y++) {
        int32_t *row = ring[(y + 3) % 3];
        for (int x = 0; x < W; x++) row[x] = at_clamped(p, y, x - 1) + 2 * at_clamped(p, y, x) + at_clamped(p, y,
            x + 1);
        if (y < 1) continue;
        for (int x = 0; x < W; x++) to[y - 1][x] = ring[(y + 1) % 3][x] + 2 * ring[(y + 2) % 3][x] + row[x];
    }
}

static void make_integral(void) {
    for (int y = 0; y < H; y++) {
        uint32_t row = 0;
        for (int x = 0; x < W; x++) {
            row += (uint32_t)plane[y][x];
            integral[y + 1][x + 1] = integral[y][x + 1] + row;
        }
    }
}

static uint32_t box(int y0, int x0, int y1, int x1) {
    return integral[y1][x1] - integral[y0][x1] - integral[y1][x0] + integral[y0][x0];
}

static void order(int32_t *a, int32_t *b) {
    int32_t low = *a < *b ? *a : *b, high = *a < *b ? *b : *a;
    *a = low, *b = high;
}

NOINLINE static int32_t median5(int32_t a, int32_t b, int32_t c, int32_t d, int32_t e) {
    order(&a, &b), order(&c, &d), order(&a, &c), order(&b, &d);
    order(&b, &c), order(&b, &e), order(&c, &e), order(&b, &c);
    return c > a ? c : a;
}

static int32_t rank_of(const int32_t *v, int n, int32_t x, int equal) {
    int count = 0;
    for (int i = 0; i < n; i++) count += equal ? v[i] <= x : v[i] < x;
    return count;
}

static uint32_t total(int32_t (*p)[W]) {
    uint32_t s = 0;
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) s = s * 33 + (uint32_t)p[y][x];
    return s;
}

int main(void) {
    static const int8_t gauss[3][3] = {{1, 2, 1}, {2, 4, 2}, {1, 2, 1}}, edge[3][3] = {{-1, 0, 1}, {-2, 0, 2}, {-1, 0,
        1}};
    int32_t copy[H][W], line[64], smooth[64];
    for (int round = 0; round < 25; round++) {
        for (int i = 0; i < W * H; i++) plane[i / W][i % W] = (int32_t)(rnd() % 2001) - 1000;
        int n = 3 + round * 2;
        for (int i = 0; i < 64; i++) line[i] = (int32_t)rnd() >> 12;
        smooth_copy(line, smooth, n);
        smooth_in_place(line, n);
        CHECK(!memcmp(line, smooth, (size_t)n * sizeof *line));
        convolve(plane, gauss, result);
        convolve_separable(plane, copy);
        CHECK(!memcmp(result, copy, sizeof result));
        mix(total(result));
        convolve(plane, edge, result);
        for (int y = 1; y < H - 1; y++)
            CHECK(result[y][5] == plane[y - 1][6] + 2 * plane[y][6] + plane[y + 1][6] -
                                      (plane[y - 1][4] + 2 * plane[y][4] + plane[y + 1][4]));
        make_integral();
        int y0 = round % H, x0 = round % W, y1 = y0 + (H - y0) / 2, x1 = x0 + (W - x0) / 3 + 1;
        int32_t sum = 0;
        for (int y = y0; y < y1; y++)
            for (int x = x0; x < x1; x++) sum += plane[y][x];
        CHECK(box(y0, x0, y1, x1) == (uint32_t)sum);
        for (int y = 1; y < H - 1; y++)
            for (int x = 1; x < W - 1; x++) {
                int32_t v[5] = {plane[y][x], plane[y - 1][x], plane[y + 1][x], plane[y][x - 1], plane[y][x + 1]};
                int32_t m = median5(v[0], v[1], v[2], v[3], v[4]);
                CHECK(rank_of(v, 5, m, 0) <= 2 && rank_of(v, 5, m, 1) >= 3);
                mix((uint32_t)m);
            }
        memcpy(copy, plane, sizeof copy);
        for (int k = 0; k < 5; k++) relax(plane), relax_flat(&copy[0][0]);
        CHECK(!memcmp(plane, copy, sizeof copy));
        mix(total(plane));
    }
    printf("digest %08x\n", digest);
    return 0;
}
