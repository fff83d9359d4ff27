// Tables of solutions: edit distance in two forms, common subsequence, knapsack, matrix chains, coins, intervals.
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

enum { LONG = 40 };

static int min3(int a, int b, int c) { return a < b ? (a < c ? a : c) : b < c ? b : c; }

NOINLINE static int edit_table(const char *a, int n, const char *b, int m) {
    int t[LONG + 1][LONG + 1];
    for (int i = 0; i <= n; i++)
        for (int j = 0; j <= m; j++)
            t[i][j] = !i ? j : !j ? i : min3(t[i - 1][j] + 1, t[i][j - 1] + 1,
                                             t[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
    return t[n][m];
}

// Myers: a column at a time in two words of bits.
static int edit_bits(const char *a, int n, const char *b, int m) {
    uint64_t equal[256] = {0}, up = ~0ull, down = 0, last = 1ull << (n - 1);
    int distance = n;
    for (int i = 0; i < n; i++) equal[(unsigned char)a[i]] |= 1ull << i;
    if (!n) return m;
    for (int j = 0; j < m; j++) {
        uint64_t e = equal[(unsigned char)b[j]], x = (((e & up) + up) ^ up) | e | down;
        uint64_t plus = down | ~(x | up), minus = up & x;
        distance += !!(plus & last) - !!(minus & last);
        plus = plus << 1 | 1, minus <<= 1;
        up = minus | ~((e | down) | plus), down = plus & (e | down);
    }
    return distance;
}

NOINLINE static int common(const char *a, int n, const char *b, int m, char *out) {
    static uint8_t t[LONG + 1][LONG + 1];
    for (int i = n; i >= 0; i--)
        for (int j = m; j >= 0; j--) {
            if (i == n || j == m) t[i][j] = 0;
            else if (a[i] == b[j]) t[i][j] = t[i + 1][j + 1] + 1;
            else t[i][j] = t[i + 1][j] > t[i][j + 1] ? t[i + 1][j] : t[i][j + 1];
        }
    int k = 0;
    for (int i = 0, j = 0; i < n && j < m;) {
        if (a[i] == b[j]) out[k++] = a[i], i++, j++;
        else if (t[i + 1][j] >= t[i][j + 1]) i++;
        else j++;
    }
    return k;
}

static int is_subsequence(const char *part, int k, const char *text, int n) {
    int i = 0;
    for (int j = 0; j < n && i < k; j++) i += part[i] == text[j];
    return i == k;
}

static int knapsack(const int *weight, const int *value, int n, int room) {
    int best[121] = {0};
    for (int i = 0; i < n; i++)
        for (int r = room; r >= weight[i]; r--)
            if (best[r - weight[i]] + value[i] > best[r]) best[r] = best[r - weight[i]] + value[i];
    return best[room];
}

static int knapsack_all(const int *weight, const int *value, int n, int room) {
    int best = 0;
    for (unsigned set = 0; set < 1u << n; set++) {
        int w = 0, v = 0;
        for (int i = 0; i < n; i++)
            if (set >> i & 1) w += weight[i], v += value[i];
        if (w <= room && v > best) best = v;
    }
    return best;
}

NOINLINE static int chain(const int *d, int from, int to, int (*memo)[12]) {
    if (to - from < 2) return 0;
    if (memo && memo[from][to]) return memo[from][to];
    int best = 1 << 30;
    for (int k = from + 1; k < to; k++) {
        int cost = chain(d, from, k, memo) + chain(d, k, to, memo) + d[from] * d[k] * d[to];
        if (cost < best) best = cost;
    }
    return memo ? memo[from][to] = best : best;
}

static int increasing(const int *v, int n) {
    int tails[LONG], count = 0;
    for (int i = 0; i < n; i++) {
        int low = 0, high = count;
        while (low < high) {
            int mid = (low + high) / 2;
            if (tails[mid] < v[i]) low = mid + 1;
            else high = mid;
        }
        tails[low] = v[i];
        count += low == count;
    }
    return count;
}

static int increasing_square(const int *v, int n) {
    int best[LONG], most = 0;
    for (int i = 0; i < n; i++) {
        best[i] = 1;
        for (int j = 0; j < i; j++)
            if (v[j] < v[i] && best[j] >= best[i]) best[i] = best[j] + 1;
        most = best[i] > most ? best[i] : most;
    }
    return most;
}

int main(void) {
    volatile int size = 6;
    CHECK(edit_table("kitten", size, "sitting", 7) == 3 && edit_bits("kitten", size, "sitting", 7) == 3);
    for (int round = 0; round < 60; round++) {
        char a[LONG], b[LONG], c[LONG];
        int n = 1 + (int)(rnd() % LONG), m = (int)(rnd() % LONG), v[LONG], w[10], memo[12][12] = {{0}};
        for (int i = 0; i < LONG; i++) a[i] = (char)('a' + rnd() % 4), b[i] = i % 3 ? a[i] : 'b',
            v[i] = (int)(rnd() % 50);
        int d = edit_table(a, n, b, m), k = common(a, n, b, m, c);
        CHECK(edit_bits(a, n, b, m) == d && edit_table(b, m, a, n) == d);
        CHECK(is_subsequence(c, k, a, n) && is_subsequence(c, k, b, m) && d <= n + m - 2 * k &&
              k >= (n + m - 2 * d) / 2);
        for (int i = 0; i < 10; i++) w[i] = 1 + (int)(rnd() % 30);
        CHECK(knapsack(w, v, 8, 60) == knapsack_all(w, v, 8, 60));
        CHECK(chain(w, 0, 7, memo) == chain(w, 0, 7, NULL));
        CHECK(increasing(v, n) == increasing_square(v, n));
        mix((uint32_t)(d * 64 + k) ^ (uint32_t)memo[0][7] << 12);
        mix((uint32_t)(knapsack(w, v, 10, 120) + increasing(v, LONG)));
    }
    printf("digest %08x\n", digest);
    return 0;
}
