// Graphs: Dijkstra with a heap, Bellman-Ford, Floyd-Warshall, Kruskal with union-find against Prim, topological order.
#include <limits.h>
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

enum { N = 18, EDGES = 60 };
typedef struct { int from, to, cost; } Edge;

static Edge edges[EDGES];
static int matrix[N][N], parent[N], first[N], next_edge[EDGES];
static const int FAR = INT_MAX / 4;

static void floyd(void) {
    for (int k = 0; k < N; k++)
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                if (matrix[i][k] + matrix[k][j] < matrix[i][j]) matrix[i][j] = matrix[i][k] + matrix[k][j];
}

NOINLINE static int bellman_ford(int start, int *distance) {
    int rounds = 0, changed = 1;
    for (int i = 0; i < N; i++) distance[i] = i == start ? 0 : FAR;
    for (; changed && rounds < N; rounds++) {
        changed = 0;
        for (const Edge *e = edges; e < edges + EDGES; e++)
            if (distance[e->from] < FAR && distance[e->from] + e->cost < distance[e->to])
                distance[e->to] = distance[e->from] + e->cost, changed = 1;
    }
    return rounds;
}

typedef struct { int cost, node; } Item;

static void dijkstra(int start, int *distance, int *before) {
    Item heap[EDGES + 2];
    int n = 0, done[N] = {0};
    for (int i = 0; i < N; i++) distance[i] = FAR, before[i] = -1;
    distance[start] = 0;
    heap[n++] = (Item){0, start};
    while (n) {
        Item top = heap[0], last = heap[--n];
        int i = 0;
        for (int c; (c = 2 * i + 1) < n; i = c) {
            c += c + 1 < n && heap[c + 1].cost < heap[c].cost;
            if (heap[c].cost >= last.cost) break;
            heap[i] = heap[c];
        }
        heap[i] = last;
        if (done[top.node]++) continue;
        for (int e = first[top.node]; e >= 0; e = next_edge[e]) {
            int cost = top.cost + edges[e].cost, to = edges[e].to, at = n;
            if (cost >= distance[to]) continue;
            distance[to] = cost, before[to] = top.node;
            for (n++; at > 0 && heap[(at - 1) / 2].cost > cost; at = (at - 1) / 2) heap[at] = heap[(at - 1) / 2];
            heap[at] = (Item){cost, to};
        }
    }
}

static int root_of(int v) {
    while (parent[v] != v) v = parent[v] = parent[parent[v]];
    return v;
}

static int by_cost(const void *a, const void *b) { return ((const Edge *)a)->cost - ((const Edge *)b)->cost; }

NOINLINE static int kruskal(int *parts) {
    Edge sorted[EDGES];
    int total = 0;
    *parts = N;
    memcpy(sorted, edges, sizeof edges);
    qsort(sorted, EDGES, sizeof *sorted, by_cost);
    for (int i = 0; i < N; i++) parent[i] = i;
    for (int i = 0; i < EDGES; i++) {
        int a = root_of(sorted[i].from), b = root_of(sorted[i].to);
        if (a != b) parent[a] = b, total += sorted[i].cost, --*parts;
    }
    return total;
}

static int prim(int *parts) {
    int best[N], inside[N] = {0}, total = 0;
    for (int i = 0; i < N; i++) best[i] = FAR;
    *parts = 0;
    for (int count = 0; count < N; count++) {
        int v = -1;
        for (int i = 0; i < N; i++)
            if (!inside[i] && (v < 0 || best[i] < best[v])) v = i;
        if (best[v] == FAR) ++*parts;
        else total += best[v];
        inside[v] = 1;
        for (const Edge *e = edges; e < edges + EDGES; e++) {
            if (e->from == v && e->cost < best[e->to]) best[e->to] = e->cost;
            if (e->to == v && e->cost < best[e->from]) best[e->from] = e->cost;
        }
    }
    return total;
}

static int topological(int *order) {
    int degree[N] = {0}, n = 0;
    for (int i = 0; i < EDGES; i++) degree[edges[i].to] += edges[i].from < edges[i].to;
    for (int i = 0; i < N; i++)
        if (!degree[i]) order[n++] = i;
    for (int at = 0; at < n; at++)
        for (int e = first[order[at]]; e >= 0; e = next_edge[e])
            if (edges[e].to > order[at] && --degree[edges[e].to] == 0) order[n++] = edges[e].to;
    return n;
}

int main(void) {
    for (int round = 0; round < 20; round++) {
        memset(first, 0xff, sizeof first);
        for (int i = 0; i < N * N; i++) matrix[i / N][i % N] = i / N == i % N ? 0 : FAR;
        for (int i = 0; i < EDGES; i++) {
            Edge e = {0, 0, 0};
            e.from = (int)(rnd() % N), e.to = (int)(rnd() % (uint32_t)(5 + round % 14)), e.cost = (int)(rnd() % 90);
            edges[i] = e, next_edge[i] = first[e.from], first[e.from] = i;
            if (e.cost < matrix[e.from][e.to]) matrix[e.from][e.to] = e.cost;
        }
        floyd();
        for (int start = 0; start < N; start++) {
            int a[N], b[N], before[N];
            CHECK(bellman_ford(start, a) < N);
            dijkstra(start, b, before);
            for (int i = 0; i < N; i++) {
                CHECK(a[i] == b[i] && (matrix[start][i] == a[i] || (a[i] == FAR && matrix[start][i] >= FAR)));
                CHECK(before[i] < 0 ? i == start || a[i] == FAR : a[before[i]] <= a[i]);
                mix((uint32_t)a[i]);
            }
        }
        int p, q, order[N], at[N], n = topological(order);
        CHECK(kruskal(&p) == prim(&q) && p == q && n == N);
        for (int i = 0; i < N; i++) at[order[i]] = i;
        for (int i = 0; i < EDGES; i++) CHECK(edges[i].from >= edges[i].to || at[edges[i].from] < at[edges[i].to]);
        mix((uint32_t)(prim(&q) * 32 + q));
    }
    printf("digest %08x\n", digest);
    return 0;
}
