// Loops of many shapes: downward, unsigned wrap, strides, triangular, side effects in conditions; sums in closed form.
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

static int32_t grid[24][24];

NOINLINE static uint32_t up(uint32_t from, uint32_t to, uint32_t step) {
    uint32_t s = 0;
    for (uint32_t i = from; i < to; i += step) s += i;
    return s;
}

static uint32_t down(uint32_t from) {
    uint32_t s = 0;
    while (from-- > 0) s += from;
    return s;
}

static uint32_t down_signed(int from, int to, int step) {
    uint32_t s = 0;
    for (int i = from; i >= to; i -= step) s += (uint32_t)i;
    return s;
}

NOINLINE static unsigned wrap8(uint8_t from, uint8_t to) {
    unsigned n = 0;
    for (uint8_t i = from; i != to; i++) n++;
    return n;
}

static unsigned not_equal_stride(uint16_t stride) {
    unsigned n = 0;
    uint16_t i = 0;
    do i = (uint16_t)(i + stride), n++;
    while (i);
    return n;
}

static uint64_t triangle(int n) {
    uint64_t s = 0;
    for (int i = 0; i < n; i++)
        for (int j = i; j >= 0; j--) s += (uint64_t)(i * j);
    return s;
}

NOINLINE static int tetrahedron(int n, int skip) {
    int count = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j <= i; j++) {
            if (j == skip) continue;
            for (int k = j; k < i; k++) {
                if (k + j > n) break;
                count++;
            }
        }
    return count;
}

static int tetrahedron_filter(int n, int skip) {
    int count = 0;
    for (int k = n; k >= 0; k--)
        for (int j = n; j >= 0; j--)
            for (int i = n - 1; i >= 0; i--) count += j <= i && j != skip && k >= j && k < i && k + j <= n;
    return count;
}

static int two_pointers(const int32_t *v, int n, int32_t target) {
    int pairs = 0;
    for (int i = 0, j = n - 1; i < j;) {
        int32_t s = v[i] + v[j];
        if (s < target) i++;
        else if (s > target) j--;
        else pairs++, i++, j--;
    }
    return pairs;
}

NOINLINE static int digits(uint32_t v, int base) {
    int n = 0, sum = 0;
    do sum += (int)(v % (uint32_t)base), n++;
    while ((v /= (uint32_t)base) != 0);
    return n * 1000 + sum;
}

static void spiral(int n) {
    int top = 0, left = 0, bottom = n - 1, right = n - 1, next = 0;
    while (top <= bottom && left <= right) {
        for (int x = left; x <= right; x++) grid[top][x] = next++;
        top++;
        for (int y = top; y <= bottom; y++) grid[y][right] = next++;
        right--;
        for (int x = right; top <= bottom && x >= left; x--) grid[bottom][x] = next++;
        bottom--;
        for (int y = bottom; left <= right && y >= top; y--) grid[y][left] = next++;
        left++;
    }
}

static int consume(const char **text, int (*test)(int)) {
    const char *start = *text;
    while (test((unsigned char)**text)) ++*text;
    return (int)(*text - start);
}

static int is_letter(int c) { return c > ' '; }
static int is_space(int c) { return c == ' '; }

int main(void) {
    for (int round = 0; round < 40; round++) {
        uint32_t n = rnd() % 500, step = 1 + rnd() % 9, k = (n + step - 1) / step;
        CHECK(up(0, n, 1) == down(n) && down(n) == (n ? n * (n - 1) / 2 : 0));
        CHECK(up(5, 5 + n, step) == k * 5 + step * (k ? k * (k - 1) / 2 : 0));
        CHECK(down_signed((int)n, -(int)n, 1) == 0 &&
              down_signed((int)n, (int)(n % step), (int)step) == up(n % step, n + 1, step));
        CHECK(wrap8((uint8_t)n, (uint8_t)step) == (uint8_t)(step - n));
        CHECK(not_equal_stride((uint16_t)step) == 65536u >> __builtin_ctz(step));
        uint64_t m = n % 90;
        CHECK(triangle((int)m) == (m ? (m - 1) * m * (m + 1) * (3 * m - 2) / 24 : 0));
        CHECK(tetrahedron(round % 17, (int)step) == tetrahedron_filter(round % 17, (int)step));
        int32_t sorted[50], seen = 0;
        for (int i = 0; i < 50; i++) sorted[i] = i * 3 + (int32_t)step;
        for (int i = 0; i < 50; i++)
            for (int j = i + 1; j < 50; j++) seen += sorted[i] + sorted[j] == (int32_t)n;
        CHECK(two_pointers(sorted, 50, (int32_t)n) == seen);
        CHECK((digits(n, 10) % 1000 - (int)n) % 9 == 0);
        CHECK(digits(n, 2) % 1000 == __builtin_popcount(n));
        int size = 1 + round % 24;
        memset(grid, 255, sizeof grid);
        spiral(size);
        int64_t total = 0, cells = size * size;
        for (int i = 0; i < 24; i++)
            for (int j = 0; j < 24; j++) total += grid[i][j] + (i >= size || j >= size);
        CHECK(total == cells * (cells - 1) / 2 && grid[size / 2][(size - 1) / 2] == cells - 1);
        mix((uint32_t)(total * 7 + digits(n, 7)) + n + (uint32_t)grid[size / 2][size / 3]);
    }
    const char *text = "some  words of   text", *at = text;
    int letters = 0, spaces = 0, words = 0;
    while (*at) letters += consume(&at, is_letter), spaces += consume(&at, is_space), words++;
    CHECK(letters == 15 && spaces == 6 && words == 4 && at == text + 21);
    printf("digest %08x\n", digest);
    return 0;
}
