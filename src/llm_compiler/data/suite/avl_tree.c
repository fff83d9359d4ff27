// AVL trees: insertion, deletion, rotations by links, ranks by subtree size; shape and order checked after each step.
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

typedef struct Node { struct Node *child[2]; int key; int8_t height; uint16_t size; } Node;

static Node pool[256];
static Node *spare;

static Node *make(int key) {
    Node *n = spare;
    spare = n->child[0];
    *n = (Node){{NULL, NULL}, key, 1, 1};
    return n;
}

static void release(Node *n) {
    n->child[0] = spare;
    spare = n;
}

static int height(const Node *n) { return n ? n->height : 0; }
static int size(const Node *n) { return n ? n->size : 0; }

static void update(Node *n) {
    int a = height(n->child[0]), b = height(n->child[1]);
    n->height = (int8_t)((a > b ? a : b) + 1);
    n->size = (uint16_t)(size(n->child[0]) + size(n->child[1]) + 1);
}

NOINLINE static Node *rotate(Node *n, int side) {
    Node *up = n->child[!side];
    n->child[!side] = up->child[side];
    up->child[side] = n;
    update(n);
    update(up);
    return up;
}

static Node *balance(Node *n) {
    update(n);
    int lean = height(n->child[1]) - height(n->child[0]);
    if (lean >= -1 && lean <= 1) return n;
    int heavy = lean > 0;
    Node *c = n->child[heavy];
    if (height(c->child[!heavy]) > height(c->child[heavy])) n->child[heavy] = rotate(c, heavy);
    return rotate(n, !heavy);
}

static Node *insert(Node *n, int key, int *added) {
    if (!n) {
        *added = 1;
        return make(key);
    }
    if (key != n->key) n->child[key > n->key] = insert(n->child[key > n->key], key, added);
    return balance(n);
}

static Node *take_least(Node *n, Node **least) {
    if (!n->child[0]) {
        *least = n;
        return n->child[1];
    }
    n->child[0] = take_least(n->child[0], least);
    return balance(n);
}

NOINLINE static Node *erase(Node *n, int key, int *removed) {
    if (!n) return NULL;
    if (key < n->key) n->child[0] = erase(n->child[0], key, removed);
    else if (key > n->key) n->child[1] = erase(n->child[1], key, removed);
    else {
        *removed = 1;
        Node *left = n->child[0], *right = n->child[1], *least;
        release(n);
        if (!right) return left;
        right = take_least(right, &least);
        least->child[0] = left, least->child[1] = right;
        n = least;
    }
    return balance(n);
}

static int nth(const Node *n, int rank) {
    for (;;) {
        int left = size(n->child[0]);
        if (rank == left) return n->key;
        if (rank > left) rank -= left + 1, n = n->child[1];
        else n = n->child[0];
    }
}

static int verify(const Node *n, int low, int high) {
    if (!n) return 0;
    CHECK(n->key > low && n->key < high);
    int a = verify(n->child[0], low, n->key), b = verify(n->child[1], n->key, high);
    CHECK(a - b <= 1 && b - a <= 1 && n->height == (a > b ? a : b) + 1);
    CHECK(n->size == size(n->child[0]) + size(n->child[1]) + 1);
    return n->height;
}

// In order without recursion or parent links.
static int walk(const Node *n, int *out) {
    const Node *stack[16];
    int depth = 0, count = 0;
    while (n || depth) {
        for (; n; n = n->child[0]) stack[depth++] = n;
        n = stack[--depth];
        out[count++] = n->key;
        n = n->child[1];
    }
    return count;
}

int main(void) {
    static uint8_t present[220];
    int keys[256], count = 0;
    Node *root = NULL;
    for (int i = 0; i < 256; i++) release(&pool[i]);
    for (int round = 0; round < 1800; round++) {
        int key = round < 100 ? round : (int)(rnd() % 220), changed = 0, adding = round < 100 || rnd() % 100 < 52;
        if (adding) root = insert(root, key, &changed);
        else root = erase(root, key, &changed);
        CHECK(changed == (adding ? !present[key] : present[key]));
        present[key] = (uint8_t)adding;
        count += adding ? changed : -changed;
        CHECK(size(root) == count);
        if (round % 8 == 0) verify(root, -1, 1000);
        if (round % 16 == 0) {
            CHECK(walk(root, keys) == count);
            for (int i = 0, k = 0; k < 220; k++)
                if (present[k]) CHECK(keys[i] == k && nth(root, i) == k), i++;
        }
        mix((uint32_t)(count * 64 + height(root)) ^ (uint32_t)(root ? root->key : 0) << 16);
    }
    printf("digest %08x\n", digest);
    return 0;
}
