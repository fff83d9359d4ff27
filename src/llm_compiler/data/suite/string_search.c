// String search: Knuth-Morris-Pratt, Horspool, Rabin-Karp, shift-or, suffix array, palindromes; against naive search.
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

enum { LONGEST = 30, TEXT = 400 };

static int naive(const char *t, int n, const char *p, int m, int from) {
    for (int i = from; i + m <= n; i++) {
        int k = 0;
        while (k < m && t[i + k] == p[k]) k++;
        if (k == m) return i;
    }
    return -1;
}

NOINLINE static int kmp(const char *t, int n, const char *p, int m, int from) {
    int fail_to[LONGEST + 1];
    fail_to[0] = -1;
    for (int i = 0, k = -1; i < m; fail_to[++i] = ++k)
        while (k >= 0 && p[i] != p[k]) k = fail_to[k];
    for (int i = from, k = 0; i < n; i++) {
        while (k >= 0 && t[i] != p[k]) k = fail_to[k];
        if (++k == m) return i - m + 1;
    }
    return -1;
}

static int horspool(const char *t, int n, const char *p, int m, int from) {
    int skip[256];
    for (int c = 0; c < 256; c++) skip[c] = m;
    for (int i = 0; i < m - 1; i++) skip[(unsigned char)p[i]] = m - 1 - i;
    for (int i = from; i + m <= n; i += skip[(unsigned char)t[i + m - 1]]) {
        int k = m - 1;
        while (k >= 0 && t[i + k] == p[k]) k--;
        if (k < 0) return i;
    }
    return -1;
}

NOINLINE static int rabin_karp(const char *t, int n, const char *p, int m, int from) {
    uint32_t want = 0, have = 0, top = 1;
    if (from + m > n) return -1;
    for (int i = 0; i < m; i++) {
        want = want * 257 + (unsigned char)p[i];
        have = have * 257 + (unsigned char)t[from + i];
        if (i) top *= 257;
    }
    for (int i = from;; i++) {
        if (have == want && !memcmp(t + i, p, (size_t)m)) return i;
        if (i + m >= n) return -1;
        have = (have - (unsigned char)t[i] * top) * 257 + (unsigned char)t[i + m];
    }
}

static int shift_or(const char *t, int n, const char *p, int m, int from) {
    uint32_t masks[256], state = ~0u;
    memset(masks, 0xff, sizeof masks);
    for (int i = 0; i < m; i++) masks[(unsigned char)p[i]] &= ~(1u << i);
    for (int i = from; i < n; i++) {
        state = state << 1 | masks[(unsigned char)t[i]];
        if (!(state >> (m - 1) & 1)) return i - m + 1;
    }
    return -1;
}

static int (*const searches[])(const char *, int, const char *, int, int) = {kmp, horspool, rabin_karp, shift_or};

static char text[TEXT + 1];
static int suffixes[TEXT];

static int by_suffix(const void *a, const void *b) { return strcmp(text + *(const int *)a, text + *(const int *)b); }

// Number of occurrences by two binary searches.
static int count_suffixes(int n, const char *p, int m) {
    int edges[2];
    for (int upper = 0; upper < 2; upper++) {
        int low = 0, high = n;
        while (low < high) {
            int mid = (low + high) / 2, order = strncmp(text + suffixes[mid], p, (size_t)m);
            if (upper ? order <= 0 : order < 0) low = mid + 1;
            else high = mid;
        }
        edges[upper] = low;
    }
    return edges[1] - edges[0];
}

// Longest palindrome by Manacher, odd lengths only, and by expansion.
NOINLINE static int manacher(const char *t, int n) {
    int radius[TEXT], best = 0;
    for (int i = 0, left = 0, right = -1; i < n; i++) {
        int k = i > right ? 1 : radius[left + right - i] < right - i + 1 ? radius[left + right - i] : right - i + 1;
        while (i - k >= 0 && i + k < n && t[i - k] == t[i + k]) k++;
        radius[i] = k;
        if (i + k - 1 > right) left = i - k + 1, right = i + k - 1;
        if (2 * k - 1 > best) best = 2 * k - 1;
    }
    return best;
}

static int expand(const char *t, int n) {
    int best = 0;
    for (int i = 0; i < n; i++) {
        int k = 0;
        while (i - k >= 0 && i + k < n && t[i - k] == t[i + k]) k++;
        if (2 * k - 1 > best) best = 2 * k - 1;
    }
    return best;
}

int main(void) {
    for (int round = 0; round < 8; round++) {
        unsigned letters = 1 + (unsigned)round % 4;
        for (int i = 0; i < TEXT; i++) text[i] = (char)('a' + rnd() % letters);
        if (round % 5 == 4) memset(text + 40, '\xe9', 60);
        for (int i = 0; i < TEXT; i++) suffixes[i] = i;
        qsort(suffixes, TEXT, sizeof *suffixes, by_suffix);
        for (int trial = 0; trial < 8; trial++) {
            char pattern[LONGEST + 1] = {0};
            int m = 1 + (int)(rnd() % (letters > 1 ? 9 : LONGEST)), at = (int)(rnd() % (TEXT - LONGEST)), count = 0;
            memcpy(pattern, text + at, (size_t)m);
            if (trial & 1) pattern[m - 1] = trial & 2 ? 'z' : pattern[0];
            for (int from = 0, found; from < TEXT; from = found + 1, count++) {
                found = naive(text, TEXT, pattern, m, from);
                for (int k = 0; k < 4; k++) CHECK(searches[k](text, TEXT, pattern, m, from) == found);
                if (found < 0) break;
                mix((uint32_t)found);
            }
            CHECK(trial & 1 || count > 0);
            CHECK(count_suffixes(TEXT, pattern, m) == count);
        }
        CHECK(manacher(text, TEXT) == expand(text, TEXT));
        mix((uint32_t)manacher(text + round, TEXT - 2 * round));
    }
    printf("digest %08x\n", digest);
    return 0;
}
