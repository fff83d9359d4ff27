// printf and scanf round trips: integers of every length, floats, widths, hexadecimal floats, wide strings.
#include <float.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

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
static uint64_t rnd64(void) {
    uint64_t high = rnd();
    return high << 32 | rnd();
}

static char text[256];

NOINLINE static double any_double(void) {
    uint64_t u = rnd64();
    if ((u >> 52 & 0x7ff) == 0x7ff) u ^= 1ull << 60;
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static int same_bits(double a, double b) { return !memcmp(&a, &b, sizeof a); }

static void integers(uint64_t v) {
    int64_t s = (int64_t)v, a;
    uint64_t u, x, o;
    int i;
    short h;
    signed char c;
    snprintf(text, sizeof text, "%" PRId64 " %" PRIu64 " %#" PRIx64 " %" PRIo64 " %d %hd %hhd", s, v, v, v, (int)v,
             (short)v, (signed char)v);
    CHECK(sscanf(text, "%" SCNd64 " %" SCNu64 " %" SCNx64 " %" SCNo64 " %d %hd %hhd", &a, &u, &x, &o, &i, &h, &c) == 7);
    CHECK(a == s && u == v && x == v && o == v && i == (int)v && h == (short)v && c == (signed char)v);
    for (const char *p = text; *p; p++) mix((unsigned char)*p);
}

static void reals(double x) {
    double y, z;
    float f;
    snprintf(text, sizeof text, "%.17g", x);
    CHECK(sscanf(text, "%lf", &y) == 1 && same_bits(x, y) && same_bits(strtod(text, NULL), x));
    snprintf(text, sizeof text, "%a|%.*e", x, DBL_DECIMAL_DIG - 1, x);
    CHECK(sscanf(text, "%la|%le", &y, &z) == 2 && same_bits(x, y) && same_bits(x, z));
    float g = (float)(x > -1e30 && x < 1e30 ? x : 1.5);
    snprintf(text, sizeof text, "%.9g", (double)g);
    CHECK(sscanf(text, "%f", &f) == 1 && f == g);
    mix((unsigned char)text[strlen(text) / 2]);
}

// Digits by hand for values of a thousandth; printf must agree.
NOINLINE static void thousandths(int64_t v) {
    char mine[40], *p = mine + sizeof mine;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    *--p = 0;
    for (int i = 0; i < 3; i++, u /= 10) *--p = (char)('0' + u % 10);
    *--p = '.';
    do *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0) *--p = '-';
    snprintf(text, sizeof text, "%.3f", (double)v / 1000);
    CHECK(!strcmp(text, p));
}

static void widths(int n, int width, int precision) {
    char plain[32], other[64];
    int k = snprintf(plain, sizeof plain, "%d", n);
    int total = snprintf(text, sizeof text, "[%*d][%-*d][%0*d][%+d][%.*d]", width, n, width, n, width, n, n,
                         precision, n);
    CHECK((int)strlen(text) == total);
    int pad = width > k ? width - k : 0;
    memset(other, ' ', (size_t)pad);
    strcpy(other + pad, plain);
    CHECK(!strncmp(text + 1, other, strlen(other)) && text[1 + pad + k] == ']');
    CHECK(snprintf(text, 4, "%d", n) == k && strlen(text) == (size_t)(k < 3 ? k : 3) &&
          !strncmp(text, plain, strlen(text)));
    CHECK(snprintf(NULL, 0, "%*s|%.2s", width, plain, plain) == (width > k ? width : k) + 1 + (k < 2 ? k : 2));
}

static void wide(uint32_t v) {
    wchar_t a[40], b[40];
    size_t n = 0;
    for (; v; v >>= 4) a[n++] = L"0123456789\u00e4\u00f6\u03b1\u03b2\u4e2d\u6587"[v & 15];
    a[n] = 0;
    CHECK(wcslen(a) == n && wcscpy(b, a) == b && wcscmp(a, b) == 0);
    wcscat(b, L"!");
    CHECK(wcscmp(a, b) < 0 && wcsncmp(a, b, n) == 0 && wcschr(b, L'!') == b + n && wmemcmp(a, b, n) == 0);
    wmemmove(b + 1, b, n + 1);
    CHECK(b[n + 1] == L'!' && (n == 0 || wcsncmp(b + 1, a, n) == 0) &&
          wmemchr(b, L'\u4e2d', n + 2) == wcschr(b, L'\u4e2d'));
    for (size_t i = 0; i < n; i++) mix((uint32_t)b[i + 1]);
    static const wchar_t *const numbers[] = {L"42", L" -0x1f", L"077", L"9z"};
    CHECK(wcstol(numbers[n % 4], NULL, 0) == (n % 4 == 0 ? 42 : n % 4 == 1 ? -31 : n % 4 == 2 ? 63 : 9));
    CHECK(swprintf(b, 40, L"%d-%ls", (int)n, L"\u03b1") == (n > 9 ? 4 : 3) && b[wcslen(b) - 1] == L'\u03b1');
}

int main(void) {
    for (int i = 0; i < 150; i++) {
        integers(rnd64() >> i % 64);
        reals(any_double());
        reals((double)(int32_t)rnd() / 64);
        thousandths((int64_t)(rnd64() >> (24 + i % 30)) * (i & 1 ? 1 : -1));
        widths((int32_t)rnd() >> i % 31, i % 17, i % 9);
        wide(rnd() >> i % 32);
    }
    char word[8], set[8], c;
    int n = 0, a, b;
    CHECK(sscanf("  key=12ab;34", "%7[a-z]", word) == 0 &&
          sscanf("  key=12ab;34", " %7[a-z]=%2d%7[^;]%c%d%n", word, &a, set, &c, &b, &n) == 5);
    CHECK(!strcmp(word, "key") && a == 12 && !strcmp(set, "ab") && c == ';' && b == 34 && n == 13);
    CHECK(sscanf("10 020 0x30", "%i %i %i", &a, &b, &n) == 3 && a == 10 && b == 16 && n == 48);
    printf("digest %08x\n", digest);
    return 0;
}
