// Recursion: Ackermann, mutual, tail calls with accumulators, Hanoi, Takeuchi, deep, through pointers, with arrays.
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

NOINLINE static unsigned ackermann(unsigned m, unsigned n) {
    if (m == 0) return n + 1;
    return n == 0 ? ackermann(m - 1, 1) : ackermann(m - 1, ackermann(m, n - 1));
}

static int takeuchi(int x, int y, int z) {
    return y < x ? takeuchi(takeuchi(x - 1, y, z), takeuchi(y - 1, z, x), takeuchi(z - 1, x, y)) : y;
}

static int is_odd(unsigned n);
static int is_even(unsigned n) { return n == 0 ? 1 : is_odd(n - 1); }
static int is_odd(unsigned n) { return n == 0 ? 0 : is_even(n - 1); }

static int male(int n);
NOINLINE static int female(int n) { return n ? n - male(female(n - 1)) : 1; }
static int male(int n) { return n ? n - female(male(n - 1)) : 0; }

static uint64_t gcd(uint64_t a, uint64_t b) { return b ? gcd(b, a % b) : a; }

static uint32_t sum_tail(const uint32_t *v, int n, uint32_t total) {
    if (n == 0) return total;
    return sum_tail(v + 1, n - 1, total * 3 + *v);
}

NOINLINE static uint32_t sum_deep(const uint32_t *v, int n) { return n ? v[n - 1] + 3 * sum_deep(v, n - 1) : 0; }

static uint32_t collatz(uint64_t n, uint32_t steps) {
    if (n == 1) return steps;
    if (n & 1) return collatz(3 * n + 1, steps + 1);
    return collatz(n / 2, steps + 1);
}

static int pegs[3][12], heights[3];

NOINLINE static int hanoi(int n, int from, int to) {
    if (n == 0) return 0;
    int other = 3 - from - to, moves = hanoi(n - 1, from, other);
    int disc = pegs[from][--heights[from]];
    CHECK(heights[to] == 0 || pegs[to][heights[to] - 1] > disc);
    pegs[to][heights[to]++] = disc;
    mix((uint32_t)(disc * 9 + from * 3 + to));
    return moves + 1 + hanoi(n - 1, other, to);
}

typedef struct Step { int (*next)(const struct Step *, int); int amount; } Step;

static int finish(const Step *s, int v) { return v * 2 + s->amount; }
static int climb(const Step *s, int v) { return s[1].next(s + 1, v + s->amount); }
static int mirror(const Step *s, int v) { return v > 100 ? s[1].next(s + 1, v - 100) : s->next(s, v + s->amount); }

// Permutations in place; every level undoes its swap.
static void permute(int *v, int n, int at, unsigned *count, uint32_t *order) {
    if (at == n) {
        uint32_t rank = 0;
        for (int i = 0; i < n; i++) {
            uint32_t smaller = 0;
            for (int j = i + 1; j < n; j++) smaller += v[j] < v[i];
            rank = rank * (uint32_t)(n - i) + smaller;
        }
        *order ^= rank * 2654435761u;
        ++*count;
        return;
    }
    for (int i = at; i < n; i++) {
        int t = v[at];
        v[at] = v[i], v[i] = t;
        permute(v, n, at + 1, count, order);
        t = v[at];
        v[at] = v[i], v[i] = t;
    }
}

static unsigned partitions(unsigned n, unsigned largest) {
    if (n == 0) return 1;
    unsigned total = 0;
    for (unsigned k = largest < n ? largest : n; k; k--) total += partitions(n - k, k);
    return total;
}

static int flood(uint8_t (*grid)[16], int y, int x) {
    if (y < 0 || x < 0 || y >= 16 || x >= 16 || grid[y][x] != 1) return 0;
    grid[y][x] = 2;
    return 1 + flood(grid, y + 1, x) + flood(grid, y - 1, x) + flood(grid, y, x + 1) + flood(grid, y, x - 1);
}

int main(void) {
    volatile unsigned two = 2, n = 40;
    for (unsigned k = 0; k < 8; k++) {
        CHECK(ackermann(two, k) == 2 * k + 3 && ackermann(1, k) == k + 2);
        CHECK(k > 5 || ackermann(two + 1, k) == (8u << k) - 3);
    }
    CHECK(takeuchi(8, (int)two * 2, 0) == 8 && takeuchi(6, 8, (int)two) == 8 && takeuchi(1, 0, 5) == 5);
    for (unsigned k = 0; k < 400; k += 7) CHECK(is_even(k) == !(k & 1) && is_odd(k + two) == (int)(k & 1));
    static const int males[] = {0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7, 8};
    for (int k = 0; k < 14; k++) CHECK(male(k) == males[k]), mix((uint32_t)female(k + 9));
    static uint32_t values[500];
    for (int i = 0; i < 500; i++) values[i] = rnd();
    for (int k = 0; k < 500; k += 41) {
        uint32_t loop = 0;
        for (int i = 0; i < k; i++) loop = loop * 3 + values[i];
        CHECK(sum_tail(values, k, 0) == loop && sum_deep(values, k) == loop);
        uint64_t a = values[k], b = values[k + 1] % 5000 + 1, g = gcd(a, b);
        CHECK(a % g == 0 && b % g == 0 && gcd(a / g, b / g) == 1 && gcd(b, a) == g);
        mix(loop ^ (uint32_t)g);
    }
    CHECK(collatz(27, 0) == 111 && collatz(97, 0) == 118 && collatz(1, 5) == 5);
    for (heights[0] = 0; heights[0] < 9; heights[0]++) pegs[0][heights[0]] = 9 - heights[0];
    CHECK(hanoi(9, 0, (int)two) == 511 && heights[0] == 0 && heights[2] == 9 && pegs[2][0] == 9);
    Step steps[] = {{climb, 3}, {climb, -7}, {mirror, 13}, {climb, 1}, {finish, 5}};
    CHECK(steps[0].next(steps, (int)n) == ((40 - 4 + 13 * 5 + 1 - 100) * 2 + 5));
    int v[7] = {3, 1, 4, 0, 5, 2, 6};
    unsigned count = 0;
    uint32_t order = 0, all = 0;
    permute(v, 7, 0, &count, &order);
    for (uint32_t rank = 0; rank < 5040; rank++) all ^= rank * 2654435761u;
    CHECK(count == 5040 && order == all && v[0] == 3 && v[6] == 6);
    CHECK(partitions(n, n) == 37338 && partitions(20, 20) == 627 && partitions(10, two) == 6);
    uint8_t grid[16][16];
    int ones = 0, covered = 0;
    for (int i = 0; i < 256; i++) grid[i / 16][i % 16] = rnd() % 5 < 3, ones += grid[i / 16][i % 16];
    for (int i = 0; i < 256; i++) covered += flood(grid, i / 16, i % 16), mix((uint32_t)covered);
    CHECK(covered == ones);
    printf("digest %08x\n", digest);
    return 0;
}
