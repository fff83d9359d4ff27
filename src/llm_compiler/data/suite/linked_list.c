// Linked lists: intrusive doubly linked rings, an LRU cache on them, merge sort in two ways, reversal.
#include <stddef.h>
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

typedef struct Ring { struct Ring *next, *previous; } Ring;
typedef struct { int key; Ring recent; uint32_t payload; Ring bucket; } Entry;
typedef struct Cell { struct Cell *next; uint32_t value; int order; } Cell;

#define OWNER(ring, type, field) ((type *)(void *)((char *)(ring) - offsetof(type, field)))
enum { CAPACITY = 12, BUCKETS = 5 };

static Entry entries[CAPACITY];
static Ring recent, buckets[BUCKETS];

static void ring_init(Ring *r) { r->next = r->previous = r; }

static void ring_insert(Ring *after, Ring *r) {
    r->next = after->next;
    r->previous = after;
    after->next->previous = r;
    after->next = r;
}

NOINLINE static void ring_remove(Ring *r) {
    r->previous->next = r->next;
    r->next->previous = r->previous;
    ring_init(r);
}

static Entry *lru_find(int key) {
    Ring *b = &buckets[key % BUCKETS];
    for (Ring *r = b->next; r != b; r = r->next) {
        Entry *e = OWNER(r, Entry, bucket);
        if (e->key == key) return e;
    }
    return NULL;
}

NOINLINE static uint32_t lru_get(int key, int *hit) {
    Entry *e = lru_find(key);
    *hit = e != NULL;
    if (!e) {
        e = OWNER(recent.previous, Entry, recent);
        ring_remove(&e->bucket);
        e->key = key;
        e->payload = (uint32_t)key * 2654435761u;
        ring_insert(&buckets[key % BUCKETS], &e->bucket);
    }
    ring_remove(&e->recent);
    ring_insert(&recent, &e->recent);
    return e->payload;
}

static Cell *reverse(Cell *list) {
    Cell *done = NULL;
    while (list) {
        Cell *next = list->next;
        list->next = done;
        done = list, list = next;
    }
    return done;
}

static Cell *merge(Cell *a, Cell *b) {
    Cell *head = NULL, **tail = &head;
    while (a && b) {
        Cell **least = b->value < a->value ? &b : &a;
        *tail = *least;
        *least = (*least)->next;
        tail = &(*tail)->next;
    }
    *tail = a ? a : b;
    return head;
}

NOINLINE static Cell *sort(Cell *list) {
    if (!list || !list->next) return list;
    Cell *slow = list, *fast = list->next;
    while (fast && fast->next) slow = slow->next, fast = fast->next->next;
    Cell *rest = slow->next;
    slow->next = NULL;
    return merge(sort(list), sort(rest));
}

static Cell *sort_bottom_up(Cell *list) {
    Cell *bins[12] = {NULL};
    while (list) {
        Cell *carry = list;
        list = list->next;
        carry->next = NULL;
        int i = 0;
        for (; bins[i]; bins[i++] = NULL) carry = merge(bins[i], carry);
        bins[i] = carry;
    }
    for (int i = 0; i < 12; i++) list = merge(bins[i], list);
    return list;
}

int main(void) {
    int model[CAPACITY];
    ring_init(&recent);
    for (int i = 0; i < BUCKETS; i++) ring_init(&buckets[i]);
    for (int i = 0; i < CAPACITY; i++) {
        ring_init(&entries[i].bucket);
        entries[i].key = model[i] = -1;
        ring_insert(&recent, &entries[i].recent);
    }
    for (int round = 0; round < 1500; round++) {
        int key = (int)(rnd() % (round % 200 < 100 ? 16 : 40)), hit, at = 0;
        CHECK(lru_get(key, &hit) == (uint32_t)key * 2654435761u);
        while (at < CAPACITY && model[at] != key) at++;
        CHECK(hit == (at < CAPACITY));
        if (at == CAPACITY) at--;
        for (; at > 0; at--) model[at] = model[at - 1];
        model[0] = key;
        int i = 0;
        for (Ring *r = recent.next; r != &recent; r = r->next) CHECK(OWNER(r, Entry, recent)->key == model[i++]);
        CHECK(i == CAPACITY);
        mix((uint32_t)hit);
    }
    static Cell cells[150];
    for (int round = 0; round < 30; round++) {
        int n = round * 5;
        Cell *list = NULL, *p;
        for (int i = n - 1; i >= 0; i--) cells[i] = (Cell){list, rnd() % 64, i}, list = &cells[i];
        list = reverse(reverse(list));
        CHECK(n == 0 || list == &cells[0]);
        list = round & 1 ? sort(list) : sort_bottom_up(list);
        int seen = 0;
        for (p = list; p; p = p->next, seen++) {
            CHECK(!p->next || p->value < p->next->value || (p->value == p->next->value && p->order < p->next->order));
            mix(p->value * 256 + (uint32_t)p->order);
        }
        CHECK(seen == n);
    }
    printf("digest %08x\n", digest);
    return 0;
}
