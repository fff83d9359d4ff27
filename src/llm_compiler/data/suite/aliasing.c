// Pointer aliasing: one array through two pointers, overlapping windows, restrict where it holds, char views.
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

enum { N = 96 };
static int32_t shared[N];
static int32_t *cursor;
static int counter;

NOINLINE static void add_windows(int32_t *to, const int32_t *a, const int32_t *b, int n) {
    for (int i = 0; i < n; i++) to[i] = (int32_t)((uint32_t)a[i] + (uint32_t)b[i]);
}

static void add_apart(int32_t *restrict to, const int32_t *restrict a, const int32_t *restrict b, int n) {
    for (int i = 0; i < n; i++) to[i] = (int32_t)((uint32_t)a[i] + (uint32_t)b[i]);
}

// `scale` may be an element of v.
NOINLINE static void scale_all(int32_t *v, const int32_t *scale, int n) {
    for (int i = 0; i < n; i++) v[i] = (int32_t)((uint32_t)v[i] * (uint32_t)*scale);
}

static int32_t store_load(int32_t *p, int32_t *q) {
    *p = 1;
    *q = 2;
    *p += 10;
    return *p + *q;
}

static void sum_and_product(const int32_t *v, int n, int32_t *sum, int32_t *product) {
    *sum = 0, *product = 1;
    for (int i = 0; i < n; i++) {
        *sum += v[i];
        *product = *product * v[i] % 1009;
    }
}

NOINLINE static int count_to(int *limit, int *at) {
    int steps = 0;
    for (*at = 0; *at < *limit; ++*at) steps++;
    return steps;
}

static void bytes_of(void *p, size_t n, uint8_t mask) {
    for (uint8_t *b = p; n--; b++) *b ^= mask;
}

static int32_t through_bytes(int32_t *p) {
    int32_t before = *p;
    bytes_of(p, sizeof *p, 0xff);
    return before ^ *p;
}

static void push(int32_t v) { *cursor++ = v, counter++; }

NOINLINE static int fill_shared(int n) {
    cursor = shared;
    for (int i = 0; i < n; i++) push(shared[N - 1] + i);
    return counter;
}

typedef struct Node { struct Node *next; int32_t value; } Node;

static void relink(Node **where, Node *node) {
    node->next = *where;
    *where = node;
}

static void swap(int32_t *a, int32_t *b) {
    int32_t t = *a;
    *a = *b;
    *b = t;
}

static void rotate(int32_t *v, int n, int by) {
    for (int from = 0, to = n - 1; from < to; from++, to--) swap(v + from, v + to);
    for (int from = 0, to = by - 1; from < to; from++, to--) swap(v + from, v + to);
    for (int from = by, to = n - 1; from < to; from++, to--) swap(v + from, v + to);
}

int main(void) {
    int32_t local[N], model[N], a[N], b[N];
    for (int round = 0; round < 60; round++) {
        for (int i = 0; i < N; i++) local[i] = a[i] = (int32_t)(rnd() % 200) - 100, b[i] = a[i] * 3;
        int n = 8 + round % 40, x = round % 9, y = round * 5 % 13, z = round * 3 % 11;
        memcpy(model, local, sizeof model);
        add_windows(local + x, local + y, local + z, n);
        for (volatile int i = 0; i < n; i++) model[x + i] = (int32_t)((uint32_t)model[y + i] + (uint32_t)model[z + i]);
        CHECK(!memcmp(local, model, sizeof local));
        add_windows(model, a, b, N);
        add_apart(local, a, b, N);
        CHECK(!memcmp(local, model, sizeof local));
        int32_t at = local[x];
        scale_all(local, local + x, n);
        for (int i = 0; i < n; i++) {
            uint32_t factor = (uint32_t)at * (i > x ? (uint32_t)at : 1);
            CHECK(local[i] == (int32_t)((uint32_t)model[i] * factor));
        }
        mix((uint32_t)local[n]);
        CHECK(store_load(a, a) == 24 && store_load(a, b) == 13 && a[0] == 11 && b[0] == 2);
        int32_t sum, product, cell[2] = {round % 7 + 2, 3};
        sum_and_product(a + 1, 9, &sum, &product);
        int32_t total = 0, times = 1;
        for (int i = 1; i < 10; i++) total += a[i], times = times * a[i] % 1009;
        CHECK(sum == total && product == times);
        sum_and_product(cell, 2, &cell[0], &sum);  // the sum overwrites what is summed
        CHECK(cell[0] == 3 && sum == 0);
        int limit = n, k = -1;
        CHECK(count_to(&limit, &k) == n && k == n);
        CHECK(through_bytes(&shared[round]) == -1 && through_bytes(&local[5]) == -1);
        counter = 0;
        shared[N - 1] = round;
        CHECK(fill_shared(N) == N && cursor == shared + N && shared[N - 1] == round + N - 1 && shared[5] == round + 5);
        Node nodes[5] = {{NULL, 0}}, *head = NULL, **tail = &head;
        for (int i = 0; i < 5; i++) {
            nodes[i].value = i + round;
            relink(i & 1 ? tail : &head, &nodes[i]);
            tail = &head->next;
        }
        int seen = 0;
        for (Node *p = head; p; p = p->next, seen++) mix((uint32_t)p->value);
        CHECK(seen == 5 && head == &nodes[4]);
        memcpy(model, a, sizeof model);
        rotate(a, N, round);
        for (int i = 0; i < N; i++) CHECK(a[(i + round) % N] == model[i]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
