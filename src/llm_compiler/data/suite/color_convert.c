// Colour conversion: YCbCr by tables and by arithmetic, RGB565, planar subsampling, alpha blending, gamma, dithering.
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

enum { W = 32, H = 12 };

typedef struct { uint8_t r, g, b, a; } Pixel;
typedef struct { uint8_t y[H][W], cb[H / 2][W / 2], cr[H / 2][W / 2]; } Planes;

static Pixel picture[H][W];
static Planes planes;
static int32_t luma_table[3][256];

static uint8_t clamp8(int v) { return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v); }

static void make_tables(void) {
    for (int i = 255; i >= 0; i--) {
        luma_table[0][i] = 19595 * i;
        luma_table[1][i] = 38470 * i;
        luma_table[2][i] = 7471 * i + 32768;
    }
}

static uint8_t luma(Pixel p) { return (uint8_t)((19595 * p.r + 38470 * p.g + 7471 * p.b + 32768) >> 16); }

NOINLINE static void to_ycc(Pixel p, uint8_t out[3]) {
    out[0] = (uint8_t)((luma_table[0][p.r] + luma_table[1][p.g] + luma_table[2][p.b]) >> 16);
    out[1] = clamp8(((-11059 * p.r - 21709 * p.g + 32768 * p.b + 32767) >> 16) + 128);
    out[2] = clamp8(((32768 * p.r - 27439 * p.g - 5329 * p.b + 32767) >> 16) + 128);
}

static Pixel to_rgb(int y, int cb, int cr) {
    cb -= 128, cr -= 128;
    return (Pixel){clamp8(y + ((91881 * cr + 32768) >> 16)), clamp8(y - ((22554 * cb + 46802 * cr + 32768) >> 16)),
                   clamp8(y + ((116130 * cb + 32768) >> 16)), 255};
}

static uint16_t pack565(Pixel p) { return (uint16_t)((p.r >> 3) << 11 | (p.g >> 2) << 5 | p.b >> 3); }

static Pixel unpack565(uint16_t v) {
    unsigned r = v >> 11, g = v >> 5 & 63, b = v & 31;
    return (Pixel){(uint8_t)(r << 3 | r >> 2), (uint8_t)(g << 2 | g >> 4), (uint8_t)(b << 3 | b >> 2), 255};
}

NOINLINE static void subsample(Pixel (*in)[W], Planes *out) {
    for (int y = 0; y < H; y += 2)
        for (int x = 0; x < W; x += 2) {
            unsigned cb = 2, cr = 2;
            for (int k = 0; k < 4; k++) {
                uint8_t ycc[3];
                to_ycc(in[y + (k >> 1)][x + (k & 1)], ycc);
                out->y[y + (k >> 1)][x + (k & 1)] = ycc[0];
                cb += ycc[1];
                cr += ycc[2];
            }
            out->cb[y / 2][x / 2] = (uint8_t)(cb / 4);
            out->cr[y / 2][x / 2] = (uint8_t)(cr / 4);
        }
}

static uint8_t blend(unsigned a, unsigned b, unsigned alpha) {
    unsigned t = a * alpha + b * (255 - alpha) + 128;
    return (uint8_t)((t + (t >> 8)) >> 8);
}

// All four channels of a word at a time.
static uint32_t average_words(uint32_t a, uint32_t b) { return (a & b) + (((a ^ b) & 0xfefefefe) >> 1); }

static uint32_t add_words_saturated(uint32_t a, uint32_t b) {
    uint32_t low = (a & 0x7f7f7f7f) + (b & 0x7f7f7f7f), carry = ((a & b) | ((a | b) & low)) & 0x80808080;
    return (low ^ ((a ^ b) & 0x80808080)) | ((carry >> 7) * 255);
}

// Error diffusion of a row to two levels; what is kept of the error sums to what was lost.
NOINLINE static int dither(const uint8_t *in, uint8_t *out, int count) {
    int error = 0;
    for (int i = 0; i < count; i++) {
        int want = in[i] + error;
        out[i] = want >= 128 ? 255 : 0;
        error = want - out[i];
    }
    return error;
}

static void histogram(const uint8_t *p, size_t count, uint32_t bins[16]) {
    memset(bins, 0, 16 * sizeof *bins);
    while (count--) bins[*p++ >> 4]++;
}

int main(void) {
    make_tables();
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint32_t v = rnd();
            picture[y][x] = (Pixel){(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
        }
    subsample(picture, &planes);
    for (int y = 0; y < H; y++) {
        uint8_t bits[W];
        int kept = dither(planes.y[y], bits, W), sum = 0;
        for (int x = 0; x < W; x++) {
            Pixel p = picture[y][x], q = picture[H - 1 - y][x], back, wide;
            uint8_t ycc[3];
            to_ycc(p, ycc);
            CHECK(ycc[0] == luma(p) && planes.y[y][x] == luma(p));
            back = to_rgb(ycc[0], ycc[1], ycc[2]);
            CHECK(abs(back.r - p.r) <= 3 && abs(back.g - p.g) <= 3 && abs(back.b - p.b) <= 3);
            wide = unpack565(pack565(p));
            CHECK(pack565(wide) == pack565(p) && abs(wide.r - p.r) < 8 && abs(wide.g - p.g) < 4);
            CHECK(blend(p.r, q.r, p.a) == (p.r * p.a + q.r * (255 - p.a) + 127) / 255);
            uint32_t a, b, mean, sums;
            memcpy(&a, &p, 4);
            memcpy(&b, &q, 4);
            mean = average_words(a, b);
            sums = add_words_saturated(a, b);
            for (int s = 0; s < 32; s += 8) {
                unsigned u = a >> s & 255, v = b >> s & 255;
                CHECK((mean >> s & 255) == (u + v) / 2);
                CHECK((sums >> s & 255) == (u + v > 255 ? 255 : u + v));
            }
            mix(mean ^ pack565(back));
            sum += planes.y[y][x] - bits[x];
        }
        CHECK(sum == kept);
    }
    uint32_t bins[16], total = 0;
    histogram(&planes.y[0][0], sizeof planes.y, bins);
    for (int i = 0; i < 16; i++) total += bins[i], mix(bins[i]);
    CHECK(total == H * W);
    for (int i = 0; i < H / 2 * (W / 2); i++) mix(planes.cb[i / 16][i % 16] * 256u + planes.cr[i / 16][i % 16]);
    Pixel white = to_rgb(255, 128, 128), red = to_rgb(76, 85, 255);
    CHECK(white.r == 255 && white.g == 255 && white.b == 255 && red.r == 254 && red.g == 0 && red.b == 0);
    printf("digest %08x\n", digest);
    return 0;
}
