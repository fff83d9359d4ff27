// Irreducible control flow: jumps into loops, two-entry loops, state machines of goto, Duff's device, nested exits.
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

// Two entries into one loop.
NOINLINE static uint32_t two_entries(uint32_t v, int second) {
    int n = 0;
    if (second) goto odd;
even:
    v = v * 5 + 1;
    if (++n > 20) return v;
    if (v & 16) goto even;
odd:
    v ^= v >> 3;
    if (++n > 20) return v + 1;
    goto even;
}

static uint32_t two_entries_model(uint32_t v, int second) {
    for (int n = 0, odd = second;;) {
        if (odd) v ^= v >> 3, odd = 0;
        else v = v * 5 + 1, odd = 2;
        if (++n > 20) return odd ? v : v + 1;
        if (odd) odd = !(v & 16);
    }
}

// Four states, every one of which can reach every other.
static int tangle(const uint8_t *moves, int n, int trace[4]) {
    int i = 0, cost = 0;
    goto a;
a:
    trace[0]++, cost += 1;
    if (i == n) return cost;
    switch (moves[i++] & 3) { case 0: goto a; case 1: goto b; case 2: goto c; default: goto d; }
b:
    trace[1]++, cost += 10;
    if (i == n) return cost;
    switch (moves[i++] & 3) { case 0: goto b; case 1: goto c; case 2: goto d; default: goto a; }
c:
    trace[2]++, cost ^= 5;
    if (i == n) return cost;
    switch (moves[i++] & 3) { case 0: goto c; case 1: goto d; case 2: goto a; default: goto b; }
d:
    trace[3]++, cost = cost * 3 % 1000003;
    if (i == n) return cost;
    switch (moves[i++] & 3) { case 0: goto d; case 1: goto a; case 2: goto b; default: goto c; }
}

static int tangle_model(const uint8_t *moves, int n, int trace[4]) {
    int state = 0, cost = 0;
    for (int i = 0;; i++) {
        trace[state]++;
        cost = state == 0 ? cost + 1 : state == 1 ? cost + 10 : state == 2 ? cost ^ 5 : cost * 3 % 1000003;
        if (i == n) return cost;
        state = (state + moves[i]) & 3;
    }
}

// The loop is entered through a case label.
NOINLINE static void duff(uint16_t *to, const uint16_t *from, int count) {
    int rounds = (count + 7) / 8;
    if (count <= 0) return;
    switch (count % 8) {
    case 0: do { *to++ = *from++;
    case 7:      *to++ = *from++;
    case 6:      *to++ = *from++;
    case 5:      *to++ = *from++;
    case 4:      *to++ = *from++;
    case 3:      *to++ = *from++;
    case 2:      *to++ = *from++;
    case 1:      *to++ = *from++;
            } while (--rounds > 0);
    }
}

static int search(int (*grid)[9], int wanted, int *y, int *x) {
    int steps = 0;
    for (int i = 0; i < 7; i++) {
        for (int j = 0; j < 9; j++) {
            if (grid[i][j] < 0) goto next_row;
            steps++;
            if (grid[i][j] == wanted) {
                *y = i, *x = j;
                goto found;
            }
        }
        steps += 100;
    next_row:;
    }
    return -steps;
found:
    return steps;
}

static int search_model(int (*grid)[9], int wanted) {
    int steps = 0;
    for (int i = 0; i < 7; i++) {
        int j = 0, stop = 0;
        while (j < 9 && !stop) {
            stop = grid[i][j] < 0;
            if (stop) break;
            steps++;
            if (grid[i][j++] == wanted) return steps;
        }
        if (!stop) steps += 100;
    }
    return -steps;
}

int main(void) {
    for (int round = 0; round < 200; round++) {
        uint32_t v = rnd();
        for (int s = 0; s < 2; s++) {
            CHECK(two_entries(v, s) == two_entries_model(v, s));
            mix(two_entries(v >> 7, !s));
        }
        uint8_t moves[50];
        int a[4] = {0}, b[4] = {0};
        for (int i = 0; i < 50; i++) moves[i] = (uint8_t)(rnd() >> 13);
        int cost = tangle(moves, round % 51, a);
        CHECK(cost == tangle_model(moves, round % 51, b) && !memcmp(a, b, sizeof a));
        CHECK(a[0] + a[1] + a[2] + a[3] == round % 51 + 1);
        uint16_t from[40], to[40] = {0};
        for (int i = 0; i < 40; i++) from[i] = (uint16_t)(v + (uint32_t)i * 77) | 1;
        duff(to, from, round % 40 - 1);
        for (int i = 0; i < 40; i++) CHECK(to[i] == (i < round % 40 - 1 ? from[i] : 0));
        int grid[7][9], y = -1, x = -1;
        for (int i = 0; i < 63; i++) grid[i / 9][i % 9] = (int)(rnd() % 30) - 1;
        int steps = search(grid, round % 30, &y, &x);
        CHECK(steps == search_model(grid, round % 30) && (steps > 0) == (y >= 0));
        CHECK(y < 0 || grid[y][x] == round % 30);
        mix((uint32_t)(cost * 100 + steps));
    }
    printf("digest %08x\n", digest);
    return 0;
}
