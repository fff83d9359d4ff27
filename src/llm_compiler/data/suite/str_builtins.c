// String functions against naive loops: strcpy chains, strcat, strncpy, strspn, strtok, strstr, strtol, strchr.
#include <errno.h>
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

static size_t naive_length(const char *s) {
    const volatile char *p = s;
    while (*p) p++;
    return (size_t)(p - s);
}

static int naive_compare(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return (unsigned char)*a - (unsigned char)*b;
}

static const char *naive_find(const char *text, const char *what) {
    for (;; text++) {
        size_t i = 0;
        while (what[i] && text[i] == what[i]) i++;
        if (!what[i]) return text;
        if (!*text) return NULL;
    }
}

static int sign(int v) { return (v > 0) - (v < 0); }

NOINLINE static void word(char *out, unsigned letters, unsigned longest) {
    unsigned n = rnd() % (longest + 1);
    for (unsigned i = 0; i < n; i++) out[i] = (char)('a' + rnd() % letters);
    out[n] = 0;
}

// Each call starts where the last one ended.
static char *append(char *end, const char *text) {
    while ((*end = *text)) end++, text++;
    return end;
}

NOINLINE static void join(char *out, const char *const *parts, int count, const char *between) {
    *out = 0;
    for (int i = 0; i < count; i++) {
        if (i) strcat(out, between);
        strcat(out, parts[i]);
    }
}

static int split(char *text, const char *marks, char **out, int limit) {
    int n = 0;
    for (char *p = strtok(text, marks); p && n < limit; p = strtok(NULL, marks)) out[n++] = p;
    return n;
}

static void reverse(char *s) {
    size_t n = strlen(s);
    for (size_t i = 0; i < n / 2; i++) {
        char t = s[i];
        s[i] = s[n - 1 - i];
        s[n - 1 - i] = t;
    }
}

NOINLINE static int replace_all(char *s, char from, char to) {
    int n = 0;
    while ((s = strchr(s, from))) *s++ = to, n++;
    return n;
}

int main(void) {
    char a[80], b[80], c[320], d[320], padded[24];
    for (int round = 0; round < 300; round++) {
        word(a, 3, 40);
        word(b, 2, 3);
        size_t n = strlen(a), m = strlen(b);
        CHECK(n == naive_length(a) && strnlen(a, 7) == (n < 7 ? n : 7));
        CHECK(sign(strcmp(a, b)) == sign(naive_compare(a, b)) && sign(strcmp(b, a)) == -sign(strcmp(a, b)));
        CHECK(strstr(a, b) == naive_find(a, b) && strstr(a, "cab") == naive_find(a, "cab"));
        strcpy(c, a);
        strcat(c, b);
        CHECK(strlen(c) == n + m && strncmp(c, a, n) == 0 && strcmp(c + n, b) == 0);
        CHECK(append(append(append(d, a), "-"), b) == d + n + m + 1 && d[n] == '-');
        memset(padded, 'x', sizeof padded);
        strncpy(padded, a, 20);
        for (size_t i = 0; i < 24; i++) CHECK(padded[i] == (i >= 20 ? 'x' : i < n ? a[i] : 0));
        const char *first = strchr(a, 'b'), *last = strrchr(a, 'b');
        CHECK(!first == !last && (!first || (first <= last && *first == 'b' && *last == 'b')));
        CHECK(!first || (strcspn(a, "b") == (size_t)(first - a) && !memchr(a, 'b', (size_t)(first - a))));
        CHECK(first || strcspn(a, "b") == n);
        size_t run = strspn(a, "ac");
        CHECK(run == n || a[run] == 'b');
        CHECK(strchr(a, 0) == a + n && strpbrk(a, "cb") == (strcspn(a, "bc") == n ? NULL : a + strcspn(a, "bc")));
        const char *parts[] = {a, b, "one", c};
        join(d, parts, 4, "+");
        char *tokens[8];
        strcpy(c, d);
        int count = split(c, "+", tokens, 8);
        CHECK(count == 2 + (n > 0) + (n + m > 0) - 1 + (m > 0));
        CHECK(count < 2 || strcmp(tokens[0], n ? a : m ? b : "one") == 0);
        strcpy(c, d);
        reverse(c);
        CHECK(c[0] == d[strlen(d) - 1]);
        reverse(c);
        CHECK(strcmp(c, d) == 0);
        int changed = replace_all(c, 'a', 'z'), again = replace_all(c, 'z', 'a');
        CHECK(changed == again && strcmp(c, d) == 0);
        for (const char *p = d; *p; p++) mix((unsigned char)*p);
        mix((uint32_t)changed);

        long v = (long)(int32_t)rnd() * (round & 1 ? 1 : 40961), base = 2 + round % 35;
        char *p = c + 60, *end;
        *p = 0;
        for (unsigned long u = v < 0 ? 0 - (unsigned long)v : (unsigned long)v; u; u /= (unsigned long)base)
            *--p = "0123456789abcdefghijklmnopqrstuvwxyz"[u % (unsigned long)base];
        if (v < 0) *--p = '-';
        CHECK(strtol(p, &end, (int)base) == v && end == c + 60);
        snprintf(d, sizeof d, "  %+ld,%#lx", v, (unsigned long)v);
        CHECK(strtol(d, &end, 10) == v && *end == ',' && strtoul(end + 1, &end, 0) == (unsigned long)v && !*end);
        CHECK(atoi("  -77x") == -77 && strtol("zz", &end, 10) == 0 && end[0] == 'z');
    }
    errno = 0;
    CHECK(strtol("99999999999999999999", NULL, 10) == LONG_MAX && errno == ERANGE);
    printf("digest %08x\n", digest);
    return 0;
}
