// Game of Life on bytes, on bit rows with full adders and by scattering; elementary automata by cells and by planes.
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

enum { N = 32 };
typedef struct { uint8_t cell[N][N]; } Board;

static int neighbours(const Board *b, int y, int x) {
    int n = -b->cell[y][x];
    for (int i = -1; i <= 1; i++)
        for (int j = -1; j <= 1; j++) n += b->cell[(y + i + N) % N][(x + j + N) % N];
    return n;
}

NOINLINE static void step_bytes(const Board *from, Board *to) {
    for (int y = 0; y < N; y++)
        for (int x = 0; x < N; x++) {
            int n = neighbours(from, y, x);
            to->cell[y][x] = n == 3 || (n == 2 && from->cell[y][x]);
        }
}

static uint32_t left(uint32_t v) { return v << 1 | v >> 31; }
static uint32_t right(uint32_t v) { return v >> 1 | v << 31; }

static void add(uint32_t *ones, uint32_t *twos, uint32_t *fours, uint32_t v) {
    uint32_t carry = *ones & v;
    *ones ^= v;
    *fours |= *twos & carry;
    *twos ^= carry;
}

// 32 cells at a time.
NOINLINE static void step_bits(uint32_t rows[N]) {
    uint32_t old[N];
    memcpy(old, rows, sizeof old);
    for (int y = 0; y < N; y++) {
        uint32_t up = old[(y + N - 1) % N], here = old[y], down = old[(y + 1) % N], ones = 0, twos = 0, fours = 0;
        add(&ones, &twos, &fours, left(up)), add(&ones, &twos, &fours, up), add(&ones, &twos, &fours, right(up));
        add(&ones, &twos, &fours, left(here)), add(&ones, &twos, &fours, right(here));
        add(&ones, &twos, &fours, left(down)), add(&ones, &twos, &fours, down), add(&ones, &twos, &fours, right(down));
        rows[y] = twos & ~fours & (ones | here);
    }
}

// Every live cell tells its neighbours; only those that were told are looked at.
static void step_scatter(Board *b) {
    static uint8_t told[N * N];
    memset(told, 0, sizeof told);
    for (int at = 0; at < N * N; at++) {
        if (!b->cell[at / N][at % N]) continue;
        for (int k = 0; k < 9; k++)
            if (k != 4) told[(at / N + k / 3 + N - 1) % N * N + (at + k % 3 + N - 1) % N]++;
    }
    for (int at = 0; at < N * N; at++) {
        uint8_t *c = &b->cell[at / N][at % N];
        if (told[at] != 2) *c = told[at] == 3;
    }
}

static uint32_t automaton(uint32_t row, uint8_t rule) {
    uint32_t next = 0;
    for (int i = 0; i < 32; i++) {
        uint32_t three = (left(row) >> i & 1) << 2 | (row >> i & 1) << 1 | (right(row) >> i & 1);
        next |= (uint32_t)(rule >> three & 1) << i;
    }
    return next;
}

static uint32_t automaton_by_planes(uint32_t row, uint8_t rule) {
    uint32_t a = left(row), c = right(row), next = 0;
    for (int k = 0; k < 8; k++)
        if (rule >> k & 1) next |= (k & 4 ? a : ~a) & (k & 2 ? row : ~row) & (k & 1 ? c : ~c);
    return next;
}

int main(void) {
    static Board a, b, c;
    uint32_t rows[N], row = 1;
    for (int round = 0; round < 4; round++) {
        memset(&a, 0, sizeof a);
        static const uint8_t glider[5][2] = {{0, 1}, {1, 2}, {2, 0}, {2, 1}, {2, 2}};
        for (int i = 0; i < N * N && round; i++) a.cell[i / N][i % N] = rnd() % 4 < (uint32_t)round;
        for (int i = 0; i < 5 && !round; i++) a.cell[glider[i][0]][glider[i][1]] = 1;
        memset(rows, 0, sizeof rows);
        for (int i = 0; i < N * N; i++) rows[i / N] |= (uint32_t)a.cell[i / N][i % N] << i % N;
        Board first = a;
        c = a;
        for (int t = 0; t < (round ? 12 : 128); t++) {
            step_bytes(&a, &b);
            a = b;
            step_bits(rows);
            step_scatter(&c);
            CHECK(!memcmp(&a, &c, sizeof a));
            for (int i = 0; i < N * N; i++) CHECK(a.cell[i / N][i % N] == (rows[i / N] >> i % N & 1));
            if (t % 8 == 0) for (int y = 0; y < N; y++) mix(rows[y]);
        }
        CHECK(round || !memcmp(&a, &first, sizeof a));  // a glider comes round after 128 steps
    }
    for (int t = 0; t < 400; t++) {
        uint8_t rule = (uint8_t)(t < 200 ? 110 : t * 37);
        uint32_t next = automaton(row, rule);
        CHECK(next == automaton_by_planes(row, rule));
        row = next ? next : rnd();
        mix(row);
    }
    printf("digest %08x\n", digest);
    return 0;
}
