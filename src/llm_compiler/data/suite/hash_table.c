// Hash tables: open addressing with tombstones, Robin Hood with backward shift, chains; all against a plain list.
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

enum { SLOTS = 128, CHAINS = 37 };
enum { FREE, USED, DELETED };

typedef struct { uint32_t key; int32_t value; uint8_t state; } Slot;
typedef struct { Slot slots[SLOTS]; int used, filled; } Open;
typedef struct { uint32_t keys[SLOTS]; int32_t values[SLOTS]; uint8_t distance[SLOTS]; int used; } Robin;
typedef struct Link { uint32_t key; int32_t value; struct Link *next; } Link;

static Open open_table;
static Robin robin;
static Link pool[200], *free_links, *chains[CHAINS];

static uint32_t hash(uint32_t k) { return (k ^ k >> 9) * 2654435769u >> 25; }

static Slot *open_find(Open *t, uint32_t key, int insert) {
    Slot *grave = NULL;
    for (uint32_t i = hash(key);; i = (i + 1) % SLOTS) {
        Slot *s = &t->slots[i];
        if (s->state == USED && s->key == key) return s;
        if (s->state == DELETED && !grave) grave = s;
        if (s->state == FREE) return insert ? grave ? grave : s : NULL;
    }
}

NOINLINE static void open_put(Open *t, uint32_t key, int32_t value) {
    Slot *s = open_find(t, key, 1);
    if (s->state != USED) t->used++, t->filled += s->state == FREE;
    *s = (Slot){key, value, USED};
}

static int open_remove(Open *t, uint32_t key) {
    Slot *s = open_find(t, key, 0);
    if (s) s->state = DELETED, t->used--;
    return s != NULL;
}

// A table full of graves is written anew.
static void open_rehash(Open *t) {
    Open old = *t;
    memset(t, 0, sizeof *t);
    for (int i = 0; i < SLOTS; i++)
        if (old.slots[i].state == USED) open_put(t, old.slots[i].key, old.slots[i].value);
}

static int robin_at(const Robin *t, uint32_t key) {
    uint32_t i = hash(key);
    for (int d = 1; t->distance[i] >= d; d++, i = (i + 1) & (SLOTS - 1))
        if (t->keys[i] == key) return (int)i;
    return -1;
}

NOINLINE static void robin_put(Robin *t, uint32_t key, int32_t value) {
    int at = robin_at(t, key);
    if (at >= 0) {
        t->values[at] = value;
        return;
    }
    uint8_t d = 1;
    uint32_t i = hash(key);
    for (; t->distance[i]; i = (i + 1) & (SLOTS - 1), d++)
        if (t->distance[i] < d) {
            uint32_t k = t->keys[i];
            int32_t v = t->values[i];
            uint8_t e = t->distance[i];
            t->keys[i] = key, t->values[i] = value, t->distance[i] = d;
            key = k, value = v, d = e;
        }
    t->keys[i] = key, t->values[i] = value, t->distance[i] = d;
    t->used++;
}

static int robin_remove(Robin *t, uint32_t key) {
    int at = robin_at(t, key);
    if (at < 0) return 0;
    uint32_t i = (uint32_t)at, next;
    while (next = (i + 1) & (SLOTS - 1), t->distance[next] > 1) {
        t->keys[i] = t->keys[next], t->values[i] = t->values[next];
        t->distance[i] = (uint8_t)(t->distance[next] - 1);
        i = next;
    }
    t->distance[i] = 0;
    t->used--;
    return 1;
}

static Link **chain_find(uint32_t key) {
    Link **p = &chains[key % CHAINS];
    while (*p && (*p)->key != key) p = &(*p)->next;
    return p;
}

static void chain_put(uint32_t key, int32_t value) {
    Link **p = chain_find(key);
    if (!*p) *p = free_links, free_links = free_links->next, **p = (Link){key, value, NULL};
    (*p)->value = value;
}

NOINLINE static int chain_remove(uint32_t key) {
    Link **p = chain_find(key), *l = *p;
    if (!l) return 0;
    *p = l->next;
    l->next = free_links;
    free_links = l;
    return 1;
}

int main(void) {
    static int32_t model[160];
    int count = 0;
    for (int i = 0; i < 200; i++) pool[i].next = free_links, free_links = &pool[i];
    for (int round = 0; round < 3000; round++) {
        uint32_t id = rnd() % 160, key = id * 2246822519u;
        if (rnd() % 100 < (count > 90 ? 30u : 60u)) {
            int32_t value = (int32_t)(rnd() >> 1) | 1;
            open_put(&open_table, key, value), robin_put(&robin, key, value), chain_put(key, value);
            count += !model[id];
            model[id] = value;
        } else {
            int present = model[id] != 0;
            CHECK(open_remove(&open_table, key) == present && robin_remove(&robin, key) == present);
            CHECK(chain_remove(key) == present);
            count -= present;
            model[id] = 0;
        }
        if (open_table.filled > 110) open_rehash(&open_table);
        CHECK(open_table.used == count && robin.used == count);
        uint32_t probe = rnd() % 160;
        Slot *s = open_find(&open_table, probe * 2246822519u, 0);
        int at = robin_at(&robin, probe * 2246822519u);
        Link *l = *chain_find(probe * 2246822519u);
        CHECK((s ? s->value : 0) == model[probe] && (at < 0 ? 0 : robin.values[at]) == model[probe]);
        CHECK((l ? l->value : 0) == model[probe]);
        mix((uint32_t)model[probe]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
