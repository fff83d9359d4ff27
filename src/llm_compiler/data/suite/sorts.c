// Sorting: insertion, shell, quick in three ways, merge up and down, radix, against the standard qsort.
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

enum { N = 220 };
typedef uint32_t Key;

static void insertion(Key *v, int n) {
    for (int i = 1; i < n; i++) {
        Key x = v[i];
        int j = i;
        while (j > 0 && v[j - 1] > x) v[j] = v[j - 1], j--;
        v[j] = x;
    }
}

NOINLINE static void shell(Key *v, int n) {
    int gap = 1;
    while (gap < n / 3) gap = gap * 3 + 1;
    for (; gap; gap /= 3)
        for (int i = gap; i < n; i++) {
            Key x = v[i];
            int j = i;
            for (; j >= gap && v[j - gap] > x; j -= gap) v[j] = v[j - gap];
            v[j] = x;
        }
}

static void swap(Key *a, Key *b) {
    Key t = *a;
    *a = *b, *b = t;
}

static void quick_hoare(Key *v, int n) {
    while (n > 8) {
        Key pivot = v[n / 2];
        int i = 0, j = n - 1;
        while (i <= j) {
            while (v[i] < pivot) i++;
            while (v[j] > pivot) j--;
            if (i <= j) swap(&v[i++], &v[j--]);
        }
        quick_hoare(v + i, n - i);
        n = j + 1;
    }
    insertion(v, n);
}

static void quick_three(Key *v, int n) {
    if (n < 2) return;
    Key pivot = v[n / 3];
    int low = 0, at = 0, high = n;
    while (at < high)
        if (v[at] < pivot) swap(&v[low++], &v[at++]);
        else if (v[at] > pivot) swap(&v[at], &v[--high]);
        else at++;
    quick_three(v, low);
    quick_three(v + high, n - high);
}

NOINLINE static void quick_stack(Key *v, int n) {
    int stack[64], top = 0;
    stack[top++] = 0, stack[top++] = n - 1;
    while (top) {
        int high = stack[--top], low = stack[--top];
        if (low >= high) continue;
        int edge = low;
        swap(&v[(low + high) / 2], &v[high]);
        for (int i = low; i < high; i++)
            if (v[i] < v[high]) swap(&v[i], &v[edge++]);
        swap(&v[edge], &v[high]);
        int left = edge - low > high - edge;
        stack[top++] = left ? low : edge + 1, stack[top++] = left ? edge - 1 : high;
        stack[top++] = left ? edge + 1 : low, stack[top++] = left ? high : edge - 1;
    }
}

static void merge_runs(const Key *v, int a, int b, int c, Key *to) {
    for (int i = a, j = b, k = a; k < c; k++) to[k] = i < b && (j >= c || v[i] <= v[j]) ? v[i++] : v[j++];
}

static void merge_up(Key *v, int n) {
    Key space[N], *from = v, *to = space;
    for (int width = 1; width < n; width *= 2) {
        for (int i = 0; i < n; i += 2 * width)
            merge_runs(from, i, i + width < n ? i + width : n, i + 2 * width < n ? i + 2 * width : n, to);
        Key *t = from;
        from = to, to = t;
    }
    if (from != v) memcpy(v, from, (size_t)n * sizeof *v);
}

NOINLINE static void merge_down(Key *v, int n) {
    if (n < 2) return;
    int half = n / 2;
    Key copy[N];
    merge_down(v, half);
    merge_down(v + half, n - half);
    memcpy(copy, v, (size_t)n * sizeof *v);
    merge_runs(copy, 0, half, n, v);
}

static void radix(Key *v, int n) {
    Key space[N];
    for (int shift = 0; shift < 32; shift += 8) {
        int start[257] = {0};
        for (int i = 0; i < n; i++) start[(v[i] >> shift & 255) + 1]++;
        for (int i = 0; i < 256; i++) start[i + 1] += start[i];
        for (int i = 0; i < n; i++) space[start[v[i] >> shift & 255]++] = v[i];
        memcpy(v, space, (size_t)n * sizeof *v);
    }
}

static int compare(const void *a, const void *b) {
    Key x = *(const Key *)a, y = *(const Key *)b;
    return x < y ? -1 : x > y;
}

int main(void) {
    static void (*const sorters[])(Key *, int) = {insertion, shell, quick_hoare, quick_three, quick_stack,
                                                  merge_up, merge_down, radix};
    Key input[N], sorted[N], v[N + 1];
    for (int round = 0; round < 24; round++) {
        int n = round < 4 ? round : (int)(rnd() % N);
        for (int i = 0; i < n; i++) {
            Key r = rnd();
            input[i] = round % 4 == 0 ? r : round % 4 == 1 ? r % 8 : round % 4 == 2 ? (Key)i : (Key)(n - i) + r % 3;
        }
        memcpy(sorted, input, sizeof sorted);
        qsort(sorted, (size_t)n, sizeof *sorted, compare);
        for (unsigned k = 0; k < sizeof sorters / sizeof *sorters; k++) {
            memcpy(v, input, sizeof input);
            v[n] = 0xdeadbeef;
            sorters[k](v, n);
            CHECK(!memcmp(v, sorted, (size_t)n * sizeof *v) && v[n] == 0xdeadbeef);
        }
        for (int i = 0; i < n; i++) mix(v[i]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
