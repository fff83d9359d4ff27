// Evaluation order where it is defined: && || ?: and comma with side effects, compound literals, nested conditionals.
#include <stdbool.h>
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

static char trace[64];
static int length;

static int note(char c, int value) {
    if (length < 63) trace[length++] = c;
    trace[length] = 0;
    return value;
}

static bool traced(const char *wanted) {
    bool same = !strcmp(trace, wanted);
    for (int i = 0; i < length; i++) mix((unsigned char)trace[i]);
    length = 0, trace[0] = 0;
    return same;
}

NOINLINE static int both(int a, int b, int c) { return note('a', a) && note('b', b) && note('c', c); }
static int either(int a, int b, int c) { return note('a', a) || note('b', b) || note('c', c); }
static int mixed(int a, int b, int c, int d) { return (note('a', a) && note('b', b)) || (note('c', c) &&
    !note('d', d)); }

static int bits_only(int a, int b, int c, int d) { return (a & b) | (c & (d ^ 1)); }

NOINLINE static const char *grade(int v) {
    return v < 0 ? "negative" : v < 10 ? v & 1 ? "odd" : v ? "even" : "zero" :
           v < 100 ? "tens" : v == 100 ? "hundred" : "more";
}

static const char *grade_model(int v) {
    if (v < 0) return "negative";
    if (v == 0) return "zero";
    if (v < 10) return v % 2 ? "odd" : "even";
    if (v < 100) return "tens";
    return v > 100 ? "more" : "hundred";
}

// The pointer is looked at only when it is there.
typedef struct Node { struct Node *next; int value; } Node;
static int second_value(const Node *n) { return n && n->next && n->next->value > 0 ? n->next->value : -1; }

static int find(const int *v, int n, int x) {
    int i = 0;
    while (i < n && v[i] != x) i++;
    return i < n ? i : -1;
}

NOINLINE static int guarded_divide(int a, int b) { return b != 0 && !(a == INT32_MIN && b == -1) &&
                                                  a % b == 0 ? a / b : 0; }

static int commas(int n) {
    int a = 0, b = 1, t;
    for (int i = 0; t = a + b, i < n; a = b, b = t % 10007, i++) {}
    int left = (a++, b += a, a);
    return left + (note('x', 1), b);
}

static int commas_model(int n) {
    int a = 0, b = 1;
    for (int i = 0; i < n; i++) {
        int t = (a + b) % 10007;
        a = b, b = t;
    }
    return a + 1 + b + a + 1;
}

typedef struct { int x, y; const int *list; } Point;
NOINLINE static int weigh(Point p, const Point *q) { return p.x * 3 + p.y + q->x * q->y + (p.list ? p.list[2] : 0); }

static int literals(int a, int b) {
    Point *kept = &(Point){.y = b, .x = a};
    int total = weigh((Point){a, b, (int[]){a, b, a + b, 0}}, &(Point){.x = b});
    kept->x += total;
    total += weigh(*kept, kept);
    for (int i = 0; i < 3; i++) total += *(int[1]){i * a}, kept = &(Point){i, kept->y, NULL}, total += kept->x;
    return total + ((const char[]){'p', 'q'})[b & 1];
}

static int literals_model(int a, int b) {
    int first = a * 3 + b + a + b, x = a + first;
    return first + x * 3 + b + x * b + 3 * a + 3 + (b & 1 ? 'q' : 'p');
}

static int conditional_store(int *p, int *q, bool c) {
    *(c ? p : q) += 5;
    (c ? note : note)(c ? 'p' : 'q', 0);
    c ? (*p)++ : (*q)--;
    return *p * 100 + *q;
}

int main(void) {
    for (int m = 0; m < 16; m++) {
        int a = m & 1, b = m >> 1 & 1, c = m >> 2 & 1, d = m >> 3 & 1;
        CHECK(both(a, b, c) == (a & b & c) && traced(!a ? "a" : !b ? "ab" : "abc"));
        CHECK(either(a, b, c) == (a | b | c) && traced(a ? "a" : b ? "ab" : "abc"));
        CHECK(mixed(a, b, c, d) == bits_only(a, b, c, d));
        CHECK(traced(a ? (b ? "ab" : c ? "abcd" : "abc") : c ? "acd" : "ac"));
        int x = m, y = 3;
        CHECK(conditional_store(&x, &y, m & 2) == (m & 2 ? (m + 6) * 100 + 3 : m * 100 + 7) &&
              traced(m & 2 ? "p" : "q"));
        CHECK(conditional_store(&x, &x, b) == (m & 2 ? m + 12 : m + 4) * 101);
        length = 0;
    }
    for (int i = 0; i < 400; i++) {
        int v = (int)(rnd() % 140) - 15, w = (int)(rnd() % 9) - 4, list[10];
        CHECK(!strcmp(grade(v), grade_model(v)));
        Node tail = {NULL, w}, head = {i & 1 ? &tail : NULL, v};
        CHECK(second_value(&head) == (i & 1 && w > 0 ? w : -1) && second_value(i & 1 ? &tail : NULL) == -1);
        for (int k = 0; k < 10; k++) list[k] = (v + k * 7) % 5;
        int at = find(list, 10, w);
        CHECK(at < 0 ? find(list, 10, w + 100) == -1 : list[at] == w && find(list, at, w) == -1);
        CHECK(guarded_divide(v, w) == (w && v == v / w * w ? v / w : 0) && guarded_divide(INT32_MIN, w / 9 - 1) == 0);
        CHECK(commas(i % 50) == commas_model(i % 50));
        CHECK(literals(v, w) == literals_model(v, w));
        int k = 0, steps = 0;
        while (k++ < 10 && (steps += k, list[k - 1] >= 0 || k % 3)) if (k == 5 && v & 1) break;
        mix((uint32_t)(steps * 16 + k) ^ (uint32_t)literals(w, v));
        length = 0;
    }
    printf("digest %08x\n", digest);
    return 0;
}
