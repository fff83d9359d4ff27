// 8x8 DCT as a JPEG codec has it: integer butterflies, inverse, quantisation, zigzag, run lengths; against the matrix.
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

typedef int16_t Block[64];
// round(4096 * c(u) * cos((2x + 1) u pi / 16) / 2), c(0) = 1 / sqrt 2
static const int16_t basis[8][8] = {
    {1448, 1448, 1448, 1448, 1448, 1448, 1448, 1448},     {2009, 1703, 1138, 400, -400, -1138, -1703, -2009},
    {1892, 784, -784, -1892, -1892, -784, 784, 1892},     {1703, -400, -2009, -1138, 1138, 2009, 400, -1703},
    {1448, -1448, -1448, 1448, 1448, -1448, -1448, 1448}, {1138, -2009, 400, 1703, -1703, -400, 2009, -1138},
    {784, -1892, 1892, -784, -784, 1892, -1892, 784},     {400, -1138, 1703, -2009, 2009, -1703, 1138, -400}};
static uint8_t zigzag[64];
static uint16_t steps[64];

static int descale(int32_t v, int n) { return (v + (1 << (n - 1))) >> n; }

static void make_tables(int quality) {
    for (int d = 0, at = 0; d < 15; d++)
        for (int k = 0; k <= d; k++) {
            int row = d & 1 ? k : d - k, column = d - row;
            if (row < 8 && column < 8) zigzag[at++] = (uint8_t)(row * 8 + column);
        }
    for (int i = 0; i < 64; i++) steps[i] = (uint16_t)(3 + (i / 8 + i % 8) * quality);
}

// Even and odd halves apart: 22 multiplications for a row of 8. Results are written with a stride.
static void butterfly(const int16_t *in, int stride, int16_t *out, int shift) {
    int32_t s[4], d[4];
    for (int k = 0; k < 4; k++) {
        s[k] = in[k * stride] + in[(7 - k) * stride];
        d[k] = in[k * stride] - in[(7 - k) * stride];
    }
    int32_t e0 = s[0] + s[3], e1 = s[1] + s[2], o0 = s[0] - s[3], o1 = s[1] - s[2];
    out[0] = (int16_t)descale((e0 + e1) * 1448, shift);
    out[4 * stride] = (int16_t)descale((e0 - e1) * 1448, shift);
    out[2 * stride] = (int16_t)descale(o0 * 1892 + o1 * 784, shift);
    out[6 * stride] = (int16_t)descale(o0 * 784 - o1 * 1892, shift);
    out[1 * stride] = (int16_t)descale(d[0] * 2009 + d[1] * 1703 + d[2] * 1138 + d[3] * 400, shift);
    out[3 * stride] = (int16_t)descale(d[0] * 1703 - d[1] * 400 - d[2] * 2009 - d[3] * 1138, shift);
    out[5 * stride] = (int16_t)descale(d[0] * 1138 - d[1] * 2009 + d[2] * 400 + d[3] * 1703, shift);
    out[7 * stride] = (int16_t)descale(d[0] * 400 - d[1] * 1138 + d[2] * 1703 - d[3] * 2009, shift);
}

NOINLINE static void forward(Block b) {
    for (int y = 0; y < 8; y++) butterfly(b + y * 8, 1, b + y * 8, 9);
    for (int x = 0; x < 8; x++) butterfly(b + x, 8, b + x, 15);
}

static void forward_matrix(const Block in, Block out) {
    int32_t rows[8][8];
    for (int y = 0; y < 8; y++)
        for (int u = 0; u < 8; u++) {
            int32_t acc = 0;
            for (int x = 0; x < 8; x++) acc += basis[u][x] * in[y * 8 + x];
            rows[y][u] = descale(acc, 9);
        }
    for (int u = 0; u < 8; u++)
        for (int v = 0; v < 8; v++) {
            int32_t acc = 0;
            for (int y = 0; y < 8; y++) acc += basis[v][y] * rows[y][u];
            out[v * 8 + u] = (int16_t)descale(acc, 15);
        }
}

NOINLINE static void inverse(const Block in, uint8_t *out, int pitch) {
    int32_t temporary[64];
    for (int u = 0; u < 8; u++)
        for (int y = 0; y < 8; y++) {
            int32_t acc = 0;
            for (int v = 0; v < 8; v++) acc += basis[v][y] * in[v * 8 + u];
            temporary[y * 8 + u] = descale(acc, 9);
        }
    for (int y = 0; y < 8; y++, out += pitch)
        for (int x = 0; x < 8; x++) {
            int32_t acc = 0;
            for (int u = 0; u < 8; u++) acc += basis[u][x] * temporary[y * 8 + u];
            int v = descale(acc, 15) + 128;
            out[x] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
        }
}

// (run of zeros, level) pairs, then 0xffff.
static int encode(const Block b, uint16_t *out) {
    int run = 0, n = 0;
    for (int i = 0; i < 64; i++) {
        int v = b[zigzag[i]], step = steps[zigzag[i]];
        int level = (v + (v < 0 ? -step / 2 : step / 2)) / step;
        if (!level) run++;
        else out[n++] = (uint16_t)run, out[n++] = (uint16_t)level, run = 0;
    }
    out[n] = 0xffff;
    return n;
}

static void decode(const uint16_t *in, Block b) {
    memset(b, 0, sizeof(Block));
    for (int i = 0; *in != 0xffff; i++, in += 2) {
        i += in[0];
        b[zigzag[i]] = (int16_t)((int16_t)in[1] * steps[zigzag[i]]);
    }
}

int main(void) {
    static uint8_t image[8 * 24], decoded[8 * 24];
    for (int round = 0; round < 24; round++) {
        make_tables(round % 4);
        int offset = round % 3 * 8, smooth = round % 5;
        for (int i = 0; i < 64; i++) {
            int ramp = smooth ? 20 + i % 8 * 13 * (smooth & 1) + i / 8 * 9 : 0;
            image[i / 8 * 24 + offset + i % 8] = (uint8_t)(rnd() % (smooth ? 16 : 256) + (uint32_t)ramp);
        }
        Block block, expected, source;
        uint16_t coded[130];
        for (int i = 0; i < 64; i++) source[i] = block[i] = (int16_t)(image[i / 8 * 24 + offset + i % 8] - 128);
        forward(block);
        forward_matrix(source, expected);
        CHECK(memcmp(block, expected, sizeof block) == 0);
        inverse(block, decoded + offset, 24);
        for (int i = 0; i < 64; i++) {
            int at = i / 8 * 24 + offset + i % 8;
            CHECK(abs(image[at] - decoded[at]) <= 1);
        }
        for (int i = encode(block, coded); i-- > 0;) mix(coded[i]);
        decode(coded, expected);
        for (int i = 0; i < 64; i++) CHECK(abs(block[i] - expected[i]) * 2 <= steps[i]);
        inverse(expected, decoded + offset, 24);
        for (int i = 0; i < 64; i++) mix(decoded[i / 8 * 24 + offset + i % 8]);
    }
    CHECK(zigzag[2] == 8 && zigzag[3] == 16 && zigzag[63] == 63 && zigzag[35] == 56);
    printf("digest %08x\n", digest);
    return 0;
}
