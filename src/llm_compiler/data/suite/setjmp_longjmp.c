// setjmp and longjmp: a try/catch of macros, nested handlers, rethrow, jumps out of deep recursion, cleanup stacks.
#include <setjmp.h>
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

enum Code { NONE, OVERFLOW, UNDERFLOW, SYNTAX, FATAL };

typedef struct Cleanup { void (*run)(void *); void *argument; struct Cleanup *next; } Cleanup;
typedef struct Handler { jmp_buf where; struct Handler *outer; Cleanup *mark; } Handler;

static Handler *current;
static Cleanup *cleanups;
static jmp_buf finder;
static int open_count, trace_length, found_at;
static char trace[64];

static void note(char c) {
    if (trace_length < 63) trace[trace_length++] = c;
    trace[trace_length] = 0;
}

static void close_one(void *argument) {
    open_count--;
    note(*(char *)argument);
}

static void unwind_to(Cleanup *stop) {
    while (cleanups != stop) {
        Cleanup *c = cleanups;
        cleanups = c->next;
        c->run(c->argument);
    }
}

// The cleanups run while the frames that hold them are still there.
_Noreturn NOINLINE static void raise_code(int code) {
    Handler *h = current;
    current = h->outer;
    unwind_to(h->mark);
    longjmp(h->where, code);
}

// Runs body; returns the code that was raised in it.
NOINLINE static int attempt(int (*body)(int), int argument, int *result) {
    Handler h;
    h.outer = current;
    h.mark = cleanups;
    current = &h;
    int code = setjmp(h.where);
    if (code == NONE) {
        *result = body(argument);
        current = h.outer;
    }
    return code;
}

static int descend(int depth) {
    char name = (char)('a' + depth % 26);
    Cleanup mine = {close_one, &name, cleanups};
    cleanups = &mine;
    open_count++;
    if (depth == 7) raise_code(OVERFLOW);
    int below = depth > 9 || depth <= 0 ? depth : descend(depth - 1);
    unwind_to(mine.next);
    return below + depth;
}

static int divide(int n) {
    if (n == 0) raise_code(SYNTAX);
    return 5040 / n;
}

static int convert_code(int n) {
    int value = -1, code = attempt(divide, n, &value);
    if (code == SYNTAX) raise_code(UNDERFLOW);
    return value + code;
}

static int nested(int n) {
    int a = 0, b = 0;
    int first = attempt(convert_code, n, &a);
    int second = attempt(divide, n - 1, &b);
    if (first && second) raise_code(FATAL);
    return a * 3 + b + first * 1000 + second * 10000;
}

// Locals that change between setjmp and longjmp are volatile; a retry loop counts them.
NOINLINE static int retries(int needed) {
    jmp_buf again;
    volatile int tries = 0, sum = 0;
    int why = setjmp(again);
    sum += why;
    if (tries < needed) {
        tries++;
        longjmp(again, tries);
    }
    return sum;
}

static void search(const int *tree, int count, int node, int wanted) {
    if (node >= count) return;
    if (tree[node] == wanted) {
        found_at = node;
        longjmp(finder, 1);
    }
    search(tree, count, 2 * node + 1, wanted);
    search(tree, count, 2 * node + 2, wanted);
}

static int find(const int *tree, int count, int wanted) {
    if (setjmp(finder)) return found_at;
    search(tree, count, 0, wanted);
    return -1;
}

int main(void) {
    int result = 0;
    CHECK(attempt(descend, 6, &result) == NONE && result == 21 && open_count == 0);
    CHECK(!strcmp(trace, "abcdefg"));
    trace_length = 0;
    CHECK(attempt(descend, 9, &result) == OVERFLOW && result == 21 && open_count == 0);
    CHECK(!strcmp(trace, "hij"));
    CHECK(attempt(descend, 30, &result) == NONE && result == 60);
    for (int n = -3; n < 12; n++) {
        int code = attempt(nested, n, &result);
        CHECK(code == NONE && current == NULL);
        if (n == 0) CHECK(result == UNDERFLOW * 1000 - 5040);
        else if (n == 1) CHECK(result == 15120 + SYNTAX * 10000);
        else CHECK(result == 5040 / n * 3 + 5040 / (n - 1));
        mix((uint32_t)result);
    }
    int tree[60];
    for (int n = 0; n < 30; n++) CHECK(retries(n) == n * (n + 1) / 2);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < 60; i++) tree[i] = (int)((unsigned)i * 7 + rnd() % 7);
        int at = (int)(rnd() % 60);
        CHECK(find(tree, 60, tree[at]) == at && find(tree, 60, -1) == -1);
        mix((uint32_t)tree[find(tree, 60, tree[at])]);
    }
    mix((uint32_t)trace[0] + (uint32_t)open_count);
    printf("digest %08x\n", digest);
    return 0;
}
