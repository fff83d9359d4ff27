// Coroutines by switch: generators, a tree walk, a resumable decoder, a scheduler of tasks with a semaphore.
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

#define BEGIN(state) switch (state) { case 0:
#define YIELD(state, value) do { state = __LINE__; return value; case __LINE__:; } while (0)
#define END(state) } state = -1

typedef struct Tree { int value; struct Tree *left, *right; } Tree;
typedef struct { int at, depth; Tree *stack[24]; } Walk;

NOINLINE static int next_leaf(Walk *w, Tree *root) {
    Tree *t;
    BEGIN(w->at)
    w->stack[w->depth++] = root;
    while (w->depth) {
        t = w->stack[--w->depth];
        if (t->left || t->right) {
            if (t->right) w->stack[w->depth++] = t->right;
            if (t->left) w->stack[w->depth++] = t->left;
            continue;
        }
        YIELD(w->at, t->value);
    }
    END(w->at);
    return -1;
}

typedef struct { int at, length, i; uint32_t sum; uint8_t kind; } Decoder;

// Bytes are pushed in; a record is done when this returns 1.
static int push(Decoder *d, uint8_t c) {
    BEGIN(d->at)
    for (;;) {
        while (c != 0xa5) YIELD(d->at, 0);
        YIELD(d->at, 0);
        d->kind = c & 3, d->length = c >> 2 & 7, d->sum = 0;
        for (d->i = 0; d->i < d->length; d->i++) {
            YIELD(d->at, 0);
            d->sum = d->kind & 1 ? d->sum * 257 + c : d->sum ^ (uint32_t)c << d->i;
        }
        YIELD(d->at, 1);
    }
    END(d->at);
    return -1;
}

typedef struct Task { int at, left, id; struct Task *next; } Task;
static int semaphore = 2, log_length;
static uint8_t log_of[600];

NOINLINE static int run(Task *t) {
    BEGIN(t->at)
    while (semaphore == 0) YIELD(t->at, 1);
    semaphore--;
    for (; t->left > 0; t->left--) {
        log_of[log_length++] = (uint8_t)t->id;
        YIELD(t->at, 1);
    }
    semaphore++;
    END(t->at);
    return 0;
}

static Tree pool[128];
static int used;

static Tree *grow(int from, int to, uint32_t shape) {
    Tree *t = &pool[used++];
    *t = (Tree){from, NULL, NULL};
    if (to - from > 1) {
        int middle = from + 1 + (int)(shape % (uint32_t)(to - from - 1));
        t->left = grow(from, middle, shape / 3 + 1), t->right = grow(middle, to, shape / 5 + 7);
    }
    return t;
}

int main(void) {
    for (int round = 0; round < 40; round++) {
        int n = 1 + round % 20, leaf;
        used = 0;
        Tree *a = grow(0, n, rnd()), *b = grow(0, n, rnd());
        Walk w = {0, 0, {NULL}}, v = w;
        for (int i = 0; i < n; i++) {
            leaf = next_leaf(&w, a);
            CHECK(leaf == i && next_leaf(&v, b) == i);
            mix((uint32_t)(w.depth * 32 + v.depth));
        }
        CHECK(next_leaf(&w, a) == -1 && next_leaf(&v, b) == -1);

        uint8_t bytes[12];
        Decoder d = {0, 0, 0, 0, 0};
        uint32_t header = rnd() & 31;
        bytes[0] = 0xa5, bytes[1] = (uint8_t)(header | 0x40);
        int length = (int)(header >> 2), done = 0;
        uint32_t sum = 0;
        for (int i = 0; i < length; i++) {
            bytes[2 + i] = (uint8_t)rnd();
            sum = header & 1 ? sum * 257 + bytes[2 + i] : sum ^ (uint32_t)bytes[2 + i] << i;
        }
        for (int again = 0; again < 3; again++) {
            for (int noise = 0; noise < again * 2; noise++) done += push(&d, (uint8_t)(noise * 3));
            for (int i = 0; i < length + 2; i++) done += push(&d, bytes[i]);
            CHECK(done == again + 1 && d.sum == sum && d.kind == (header & 3) && d.length == length);
            CHECK(push(&d, 0) == 0 && done == again + 1);
        }
        mix(sum);

        Task tasks[6];
        int counts[6] = {0}, total = 0, alive = 6, inside = 0;
        log_length = 0;
        for (int i = 0; i < 6; i++) tasks[i] = (Task){0, 1 + (int)(rnd() % 16), i, &tasks[(i + 1) % 6]},
            total += tasks[i].left;
        int wanted[6];
        for (int i = 0; i < 6; i++) wanted[i] = tasks[i].left;
        for (Task *t = tasks; alive; t = t->next)
            if (t->at >= 0 && !run(t)) alive--;
        CHECK(log_length == total && semaphore == 2);
        for (int i = 0; i < total; i++) {
            int id = log_of[i];
            inside += counts[id]++ == 0;
            inside -= counts[id] == wanted[id];
            CHECK(inside <= 2);
            mix((uint32_t)id);
        }
        CHECK(inside == 0);
    }
    printf("digest %08x\n", digest);
    return 0;
}
