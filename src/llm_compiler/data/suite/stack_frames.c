// Stacks: large frames, alloca in loops, variable-length arrays of one and two dimensions, escaping addresses.
#include <alloca.h>
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

typedef struct Link { struct Link *next; uint32_t value; } Link;

NOINLINE static uint32_t checksum(const uint8_t *p, size_t n) {
    uint32_t s = 1;
    for (size_t i = 0; i < n; i++) s = s * 131 + p[i];
    return s;
}

static uint32_t large_frame(uint32_t v) {
    uint8_t bytes[9000];
    uint32_t words[700];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(v >> i % 25);
    for (size_t i = 0; i < 700; i++) words[i] = bytes[i * 12 + 3] * 256u + bytes[i];
    return checksum(bytes, sizeof bytes) ^ checksum((const uint8_t *)&words[600], 4) ^ words[v % 700];
}

static uint32_t large_frame_model(uint32_t v) {
    uint32_t s = 1, k = v % 700;
    for (size_t i = 0; i < 9000; i++) s = s * 131 + (uint8_t)(v >> i % 25);
    uint32_t word = (uint8_t)(v >> (600 * 12 + 3) % 25) * 256u + (uint8_t)(v >> 600 % 25);
    s ^= checksum((const uint8_t *)&word, 4);
    return s ^ ((uint8_t)(v >> (k * 12 + 3) % 25) * 256u + (uint8_t)(v >> k % 25));
}

// A list whose nodes all lie in this frame.
NOINLINE static uint32_t list_in_frame(int n, uint32_t v) {
    Link *head = NULL;
    for (int i = 0; i < n; i++) {
        Link *l = alloca(sizeof *l);
        l->next = head, l->value = v + (uint32_t)i;
        head = l;
    }
    uint32_t sum = 0;
    for (Link *l = head; l; l = l->next) sum = sum * 3 + l->value;
    return sum;
}

static int64_t convolve(int n, int m, uint32_t v) {
    int64_t a[n], b[m], out[n + m - 1];
    memset(out, 0, sizeof out);
    for (int i = 0; i < n; i++) a[i] = (int64_t)(v % 97) - i;
    for (int j = 0; j < m; j++) b[j] = j * j - (int64_t)(v % 31);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < m; j++) out[i + j] += a[i] * b[j];
    int64_t sum = 0;
    for (size_t i = 0; i < sizeof out / sizeof *out; i++) sum += out[i];
    return sum;
}

NOINLINE static uint32_t corner_turn(int rows, int columns, const uint16_t (*from)[columns], uint16_t (*to)[rows]) {
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++) to[c][r] = from[r][c];
    return (uint32_t)sizeof *from * 100 + (uint32_t)sizeof *to;
}

static uint32_t turned(int rows, int columns, uint32_t v) {
    uint16_t a[rows][columns], b[columns][rows], c[rows][columns];
    for (int i = 0; i < rows * columns; i++) a[i / columns][i % columns] = (uint16_t)(v * (uint32_t)(i + 1) >> 3);
    CHECK(corner_turn(rows, columns, (const uint16_t (*)[columns])a, b) == (uint32_t)(columns * 200 + rows * 2));
    corner_turn(columns, rows, (const uint16_t (*)[rows])b, c);
    CHECK(!memcmp(a, c, sizeof a));
    return b[columns - 1][rows / 2];
}

// Arrays that end with their block: every round has its own size.
static uint32_t rounds(int n) {
    uint32_t sum = 0;
    for (int i = 1; i <= n; i++) {
        uint8_t block[i * 3];
        memset(block, i, sizeof block);
        if (i % 4 == 0) continue;
        block[i] = 1;
        sum += checksum(block, sizeof block);
        if (i == 25) break;
    }
    return sum;
}

static uint32_t rounds_model(int n) {
    uint32_t sum = 0;
    for (int i = 1; i <= n && i <= 25; i++) {
        uint32_t s = 1;
        for (int k = 0; k < i * 3; k++) s = s * 131 + (uint32_t)(k == i ? 1 : i);
        sum += i % 4 ? s : 0;
    }
    return sum;
}

static const int *frames[64];

NOINLINE static int deep(int depth, int *outer) {
    int mine[5] = {depth, depth * 2, *outer, 0, -depth};
    frames[depth] = mine;
    mine[3] = depth < 40 ? deep(depth + 1, &mine[depth % 3]) : 1;
    for (int i = 0; i < depth; i++) CHECK(frames[i] != mine && frames[i][0] == i && frames[i][4] == -i);
    *outer += 1;
    return mine[0] + mine[3] + (mine[depth % 3] & 1);
}

static char *join(char *out, int n, ...) {
    __builtin_va_list list;
    __builtin_va_start(list, n);
    char *copy = alloca((size_t)n + 1), *p = copy;
    while (n--) *p++ = (char)__builtin_va_arg(list, int);
    *p = 0;
    __builtin_va_end(list);
    return strcpy(out, copy);
}

int main(void) {
    for (int round = 0; round < 30; round++) {
        uint32_t v = rnd(), sum = 0;
        CHECK(large_frame(v) == large_frame_model(v));
        for (int i = round - 1; i >= 0; i--) sum = sum * 3 + v + (uint32_t)i;
        CHECK(list_in_frame(round, v) == sum);
        int n = 1 + (int)(v % 20), m = 1 + (int)(v >> 8) % 15;
        int64_t a = 0, b = 0;
        for (int i = 0; i < n; i++) a += (int64_t)(v % 97) - i;
        for (int j = 0; j < m; j++) b += j * j - (int64_t)(v % 31);
        CHECK(convolve(n, m, v) == a * b);
        mix(turned(n, m, v) ^ sum ^ (uint32_t)a);
        CHECK(rounds(round) == rounds_model(round));
        char text[16];
        CHECK(!strcmp(join(text, 5, 'a', 'b', 'c' + round % 5, 'd', 'e'), (char[]){'a', 'b', (char)('c' + round % 5),
            'd', 'e', 0}));
    }
    int start = 0, total = deep(0, &start);
    CHECK(start == 1 && total >= 820 && total <= 870);
    mix((uint32_t)total);
    printf("digest %08x\n", digest);
    return 0;
}
