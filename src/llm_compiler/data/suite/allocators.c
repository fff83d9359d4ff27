// Allocators in a static arena: bitmap, buddy, free list with coalescing, all checked against each other.
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

enum { UNITS = 128, ORDERS = 8 };

static uint32_t bitmap[UNITS / 32];
static uint8_t owner[UNITS];

static int bit(int i) { return (int)(bitmap[i / 32] >> i % 32 & 1); }

NOINLINE static void set_range(int from, int n, int value) {
    while (n) {
        int at = from % 32, span = 32 - at < n ? 32 - at : n;
        uint32_t mask = (span == 32 ? ~0u : (1u << span) - 1) << at;
        if (value) bitmap[from / 32] |= mask;
        else bitmap[from / 32] &= ~mask;
        from += span, n -= span;
    }
}

static int first_fit(int n) {
    for (int i = 0, run = 0; i < UNITS; i++) {
        run = bit(i) ? 0 : run + 1;
        if (run == n) return i - n + 1;
    }
    return -1;
}

static uint8_t order_of[UNITS], used_at[UNITS];  // of blocks that start there; order + 1, 0 when none does

NOINLINE static int buddy_take(int order) {
    int best = -1;
    for (int i = 0; i < UNITS; i += order_of[i] ? 1 << (order_of[i] - 1) : 1)
        if (order_of[i] > order && !used_at[i] && (best < 0 || order_of[i] < order_of[best])) best = i;
    if (best < 0) return -1;
    while (order_of[best] - 1 > order) {
        int half = --order_of[best] - 1;
        order_of[best + (1 << half)] = (uint8_t)(half + 1);
    }
    used_at[best] = 1;
    return best;
}

static void buddy_give(int at) {
    used_at[at] = 0;
    for (;;) {
        int order = order_of[at] - 1, other = at ^ 1 << order;
        if (order == ORDERS - 1 || used_at[other] || order_of[other] != order_of[at]) return;
        if (other < at) {
            order_of[at] = 0;
            at = other;
        } else {
            order_of[other] = 0;
        }
        order_of[at]++;
    }
}

typedef struct Block { struct Block *next; size_t size; } Block;
static _Alignas(16) uint8_t heap[2048];
static Block *free_list;

static void *heap_take(size_t size) {
    size = (size + sizeof(Block) + 15) / 16 * 16;
    for (Block **p = &free_list; *p; p = &(*p)->next) {
        Block *b = *p;
        if (b->size < size) continue;
        if (b->size - size >= 32) {
            Block *rest = (Block *)(void *)((uint8_t *)b + size);
            *rest = (Block){b->next, b->size - size};
            b->size = size;
            *p = rest;
        } else {
            *p = b->next;
        }
        return b + 1;
    }
    return NULL;
}

// The list is in order of address; neighbours become one.
NOINLINE static void heap_give(void *memory) {
    Block *b = (Block *)memory - 1, **p = &free_list, *before = NULL;
    for (; *p && *p < b; p = &(*p)->next) before = *p;
    b->next = *p;
    *p = b;
    if (b->next && (uint8_t *)b + b->size == (uint8_t *)b->next) b->size += b->next->size, b->next = b->next->next;
    if (before && (uint8_t *)before + before->size == (uint8_t *)b) before->size += b->size, before->next = b->next;
}

int main(void) {
    struct { int at, n, buddy, order; uint8_t *memory; uint8_t fill; } live[12];
    memset(live, 0, sizeof live), order_of[0] = ORDERS;
    free_list = (Block *)(void *)heap;
    *free_list = (Block){NULL, sizeof heap};
    for (int round = 0; round < 1500; round++) {
        uint32_t r = rnd();
        int k = (int)(r % 12), n = 1 + (int)(r >> 8) % 40;
        if (live[k].n) {
            for (int i = 0; i < live[k].n; i++) CHECK(owner[live[k].at + i] == k + 1 &&
                                                      live[k].memory[i] == live[k].fill);
            memset(owner + live[k].at, 0, (size_t)live[k].n);
            set_range(live[k].at, live[k].n, 0);
            if (live[k].buddy >= 0) buddy_give(live[k].buddy);
            heap_give(live[k].memory);
            live[k].n = 0;
        }
        int at = first_fit(n), expected = -1;
        for (int i = 0, run = 0; i < UNITS && expected < 0; i++) {
            run = owner[i] ? 0 : run + 1;
            if (run == n) expected = i - n + 1;
        }
        CHECK(at == expected);
        uint8_t *memory = at < 0 ? NULL : heap_take((size_t)n);
        if (memory) {
            int order = 32 - __builtin_clz((unsigned)n) - ((n & (n - 1)) == 0);
            set_range(at, n, 1);
            memset(owner + at, k + 1, (size_t)n);
            memset(memory, (int)(r >> 24), (size_t)n);
            live[k].at = at, live[k].n = n, live[k].memory = memory, live[k].fill = (uint8_t)(r >> 24);
            live[k].buddy = buddy_take(order), live[k].order = order;
            CHECK(live[k].buddy < 0 || live[k].buddy % (1 << order) == 0);
            mix((uint32_t)(at * 128 + live[k].buddy + (int)(memory - heap)));
        }
        for (int i = 0; i < UNITS; i++) CHECK(bit(i) == (owner[i] != 0));
        for (int i = 0; i < 12; i++)
            for (int j = 0; j < i; j++) {
                if (!live[i].n || !live[j].n || live[i].buddy < 0 || live[j].buddy < 0) continue;
                int a = live[i].buddy, b = live[j].buddy;
                CHECK(a + (1 << live[i].order) <= b || b + (1 << live[j].order) <= a);
            }
    }
    for (int k = 0; k < 12; k++) {
        if (!live[k].n) continue;
        heap_give(live[k].memory);
        if (live[k].buddy >= 0) buddy_give(live[k].buddy);
    }
    CHECK(free_list == (Block *)(void *)heap && free_list->size == sizeof heap && !free_list->next &&
          order_of[0] == ORDERS);
    printf("digest %08x\n", digest);
    return 0;
}
