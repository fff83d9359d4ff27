// Heaps: binary with sift up and down, indexed with decrease-key, four-way, pairing heap; heap sort; a timer wheel.
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

enum { N = 120 };
typedef struct { uint32_t v[N]; int n; } Heap;
typedef struct { uint32_t key[N]; int heap[N], where[N], n; } Indexed;
typedef struct Pair { uint32_t key; struct Pair *child, *next; } Pair;

static Indexed indexed;

static void push(Heap *h, uint32_t x) {
    int i = h->n++;
    for (; i > 0 && h->v[(i - 1) / 2] > x; i = (i - 1) / 2) h->v[i] = h->v[(i - 1) / 2];
    h->v[i] = x;
}

NOINLINE static uint32_t pop(Heap *h) {
    uint32_t least = h->v[0], x = h->v[--h->n];
    int i = 0;
    for (int c; (c = 2 * i + 1) < h->n; i = c) {
        if (c + 1 < h->n && h->v[c + 1] < h->v[c]) c++;
        if (h->v[c] >= x) break;
        h->v[i] = h->v[c];
    }
    h->v[i] = x;
    return least;
}

static void sift(uint32_t *v, int i, int n, int ways) {
    for (;;) {
        int largest = i;
        for (int c = ways * i + 1; c <= ways * i + ways && c < n; c++)
            if (v[c] > v[largest]) largest = c;
        if (largest == i) return;
        uint32_t t = v[i];
        v[i] = v[largest];
        v[largest] = t;
        i = largest;
    }
}

NOINLINE static void heap_sort(uint32_t *v, int n, int ways) {
    for (int i = n; i-- > 0;) sift(v, i, n, ways);
    while (n-- > 1) {
        uint32_t t = v[0];
        v[0] = v[n], v[n] = t;
        sift(v, 0, n, ways);
    }
}

static void place(Indexed *h, int at, int item) { h->heap[at] = item, h->where[item] = at; }

static void rise(Indexed *h, int item) {
    int at = h->where[item];
    while (at > 0) {
        int up = (at - 1) >> 1, other = h->heap[up];
        if (h->key[other] <= h->key[item]) break;
        place(h, at, other);
        at = up;
    }
    place(h, at, item);
}

static int take(Indexed *h) {
    int least = h->heap[0], last = h->heap[--h->n], at = 0;
    h->where[least] = -1;
    if (!h->n) return least;
    for (int c = 1; c < h->n; c = 2 * at + 1) {
        if (c + 1 < h->n && h->key[h->heap[c + 1]] < h->key[h->heap[c]]) c++;
        if (h->key[h->heap[c]] >= h->key[last]) break;
        place(h, at, h->heap[c]);
        at = c;
    }
    place(h, at, last);
    return least;
}

static Pair *meld(Pair *a, Pair *b) {
    if (!a || !b) return a ? a : b;
    if (b->key < a->key) {
        Pair *t = a;
        a = b, b = t;
    }
    b->next = a->child;
    a->child = b;
    return a;
}

NOINLINE static Pair *two_pass(Pair *list) {
    if (!list || !list->next) return list;
    Pair *a = list, *b = a->next, *rest = b->next;
    a->next = b->next = NULL;
    return meld(meld(a, b), two_pass(rest));
}

int main(void) {
    static Pair nodes[N];
    for (int round = 0; round < 25; round++) {
        uint32_t values[N], sorted[N], other[N];
        int n = 1 + (int)(rnd() % N);
        for (int i = 0; i < n; i++) values[i] = rnd() % (round & 1 ? 50 : 1u << 31);
        memcpy(sorted, values, sizeof sorted);
        for (int i = 1; i < n; i++)
            for (int j = i; j > 0 && sorted[j - 1] > sorted[j]; j--) {
                uint32_t t = sorted[j];
                sorted[j] = sorted[j - 1], sorted[j - 1] = t;
            }
        for (int ways = 2; ways <= 5; ways++) {
            memcpy(other, values, sizeof other);
            heap_sort(other, n, ways);
            CHECK(!memcmp(other, sorted, (size_t)n * sizeof *other));
        }
        Heap h = {.n = 0};
        Pair *root = NULL;
        indexed.n = 0;
        for (int i = 0; i < n; i++) {
            push(&h, values[i]);
            nodes[i] = (Pair){values[i], NULL, NULL};
            root = meld(root, &nodes[i]);
            indexed.key[i] = values[i] + 1000;
            place(&indexed, indexed.n++, i);
            rise(&indexed, i);
        }
        for (int i = n - 1; i >= 0; i--) indexed.key[i] = values[i], rise(&indexed, i);
        for (int i = 0; i < n; i++) {
            CHECK(pop(&h) == sorted[i] && root->key == sorted[i]);
            root = two_pass(root->child);
            int item = take(&indexed);
            CHECK(values[item] == sorted[i] && indexed.where[item] == -1);
            mix((uint32_t)item + sorted[i]);
        }
        CHECK(h.n == 0 && !root && indexed.n == 0);
    }
    printf("digest %08x\n", digest);
    return 0;
}
