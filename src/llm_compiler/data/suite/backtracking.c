// Backtracking: queens by arrays and by bits, sudoku with candidate sets, subset sums, graph colouring, knight's moves.
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

static int columns[12], found;

NOINLINE static int safe(int row, int column) {
    for (int r = 0; r < row; r++) {
        int d = columns[r] - column;
        if (d == 0 || d == row - r || d == r - row) return 0;
    }
    return 1;
}

static void queens(int n, int row) {
    if (row == n) {
        found++;
        for (int i = 0; i < n; i++) mix((uint32_t)columns[i]);
        return;
    }
    for (int c = 0; c < n; c++)
        if (safe(row, c)) columns[row] = c, queens(n, row + 1);
}

static int queens_bits(uint32_t all, uint32_t taken, uint32_t left, uint32_t right) {
    if (taken == all) return 1;
    int count = 0;
    for (uint32_t open = all & ~(taken | left | right); open;) {
        uint32_t bit = open & -open;
        open ^= bit;
        count += queens_bits(all, taken | bit, (left | bit) << 1, (right | bit) >> 1);
    }
    return count;
}

typedef struct { uint8_t cell[81]; uint16_t row[9], column[9], box[9]; } Sudoku;

static int place(Sudoku *s, int at, int digit) {
    uint16_t bit = (uint16_t)(1 << digit);
    uint16_t *sets[3] = {&s->row[at / 9], &s->column[at % 9], &s->box[at / 27 * 3 + at % 9 / 3]};
    if ((*sets[0] | *sets[1] | *sets[2]) & bit) return 0;
    for (int i = 0; i < 3; i++) *sets[i] |= bit;
    s->cell[at] = (uint8_t)digit;
    return 1;
}

// The cell with the fewest candidates first; the position is copied at every level.
NOINLINE static int solve(Sudoku s, Sudoku *solution) {
    int best = -1, fewest = 10, solutions = 0;
    for (int at = 0; at < 81; at++) {
        if (s.cell[at]) continue;
        int used = s.row[at / 9] | s.column[at % 9] | s.box[at / 27 * 3 + at % 9 / 3];
        int count = 9 - __builtin_popcount((unsigned)used);
        if (count < fewest) fewest = count, best = at;
    }
    if (best < 0) {
        *solution = s;
        return 1;
    }
    for (int digit = 1; digit <= 9 && solutions < 2; digit++) {
        Sudoku next = s;
        if (place(&next, best, digit)) solutions += solve(next, solution);
    }
    return solutions;
}

static int subset_sums(const int *v, int n, int target) {
    return n == 0 ? target == 0 : subset_sums(v + 1, n - 1, target) + subset_sums(v + 1, n - 1, target - *v);
}

NOINLINE static int subset_table(const int *v, int n, int target) {
    int ways[201] = {1};
    for (int i = 0; i < n; i++)
        for (int s = 200; s >= v[i]; s--) ways[s] += ways[s - v[i]];
    return ways[target];
}

static int colourings(const uint16_t *edges, int n, int at, int *colour, int limit) {
    if (at == n) return 1;
    int total = 0;
    for (colour[at] = 0; colour[at] < limit; colour[at]++) {
        int clash = 0;
        for (int k = 0; k < at && !clash; k++) clash = (edges[at] >> k & 1) && colour[k] == colour[at];
        if (!clash) total += colourings(edges, n, at + 1, colour, limit);
    }
    return total;
}

static uint64_t knight_moves(uint64_t from) {
    const uint64_t a = 0xfefefefefefefefe, ab = 0xfcfcfcfcfcfcfcfc, h = 0x7f7f7f7f7f7f7f7f, gh = 0x3f3f3f3f3f3f3f3f;
    return (from << 17 & a) | (from << 10 & ab) | (from >> 6 & ab) | (from >> 15 & a) | (from >> 17 & h) |
           (from >> 10 & gh) | (from << 6 & gh) | (from << 15 & h);
}

static int knight_distance(int from, int to) {
    uint64_t seen = 1ull << from;
    int steps = 0;
    for (; !(seen >> to & 1); steps++) seen |= knight_moves(seen);
    return steps;
}

int main(void) {
    static const int solutions[] = {1, 1, 0, 0, 2, 10, 4, 40, 92};
    for (int n = 1; n <= 8; n++) {
        found = 0;
        queens(n, 0);
        CHECK(found == solutions[n] && queens_bits((1u << n) - 1, 0, 0, 0) == found);
    }
    volatile int nine = 9;
    CHECK(queens_bits((1u << nine) - 1, 0, 0, 0) == 352);
    static const char puzzle[] = "530070000600195000098000060800060003400803001700020006060000280000419005000080079";
    static const char answer[] = "534678912672195348198342567859761423426853791713924856961537284287419635345286179";
    Sudoku s, done;
    memset(&s, 0, sizeof s);
    for (int at = 0; at < 81; at++) CHECK(puzzle[at] == '0' || place(&s, at, puzzle[at] - '0'));
    CHECK(!place(&s, 2, 5) && solve(s, &done) == 1);
    for (int at = 0; at < 81; at++) CHECK(done.cell[at] == answer[at] - '0');
    for (int round = 0; round < 20; round++) {
        int v[10], target = (int)(rnd() % 200), colour[6];
        for (int i = 0; i < 10; i++) v[i] = 1 + (int)(rnd() % 40);
        CHECK(subset_sums(v, 10, target) == subset_table(v, 10, target));
        mix((uint32_t)subset_table(v, 9, target));
        uint16_t complete[6], ring[6];
        for (int i = 0; i < 6; i++) complete[i] = 63, ring[i] = (uint16_t)(1 << (i + 5) % 6 | 1 << (i + 1) % 6);
        int k = 2 + round % 4, tree = 1, around = 1;
        for (int i = 0; i < 6; i++) tree *= k - i, around *= k - 1;
        CHECK(colourings(complete, 6, 0, colour, k) == tree && colourings(ring, 6, 0, colour, k) == around + k - 1);
        int from = (int)(rnd() % 64), to = (int)(rnd() % 64);
        CHECK(knight_distance(from, to) == knight_distance(63 - to, 63 - from));
        CHECK((knight_distance(from, to) + from / 8 + from + to / 8 + to) % 2 == 0);
        mix((uint32_t)knight_distance(from, to));
    }
    CHECK(knight_distance(0, 63) == 6 && knight_distance(0, 9) == 4 && knight_distance(0, 0) == 0);
    printf("digest %08x\n", digest);
    return 0;
}
