// Big numbers in 32-bit limbs: add, subtract, schoolbook and Karatsuba products, Knuth's division, decimal, powers.
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

enum { LIMBS = 40 };
typedef struct { uint32_t d[LIMBS]; int n; } Big;

static void trim(Big *a) { while (a->n && !a->d[a->n - 1]) a->n--; }

static uint32_t add_to(uint32_t *to, const uint32_t *a, int n) {
    uint64_t carry = 0;
    for (int i = 0; i < n; i++, carry >>= 32) to[i] = (uint32_t)(carry += (uint64_t)to[i] + a[i]);
    return (uint32_t)carry;
}

NOINLINE static uint32_t subtract_from(uint32_t *to, const uint32_t *a, int n) {
    int64_t borrow = 0;
    for (int i = 0; i < n; i++, borrow >>= 32) to[i] = (uint32_t)(borrow += (int64_t)to[i] - a[i]);
    return (uint32_t)-borrow;
}

static void schoolbook(const uint32_t *a, const uint32_t *b, int n, int m, uint32_t *to) {
    memset(to, 0, (size_t)(n + m) * sizeof *to);
    for (int i = 0; i < n; i++) {
        uint64_t t = 0;
        for (int j = 0; j < m; j++, t >>= 32) to[i + j] = (uint32_t)(t += (uint64_t)a[i] * b[j] + to[i + j]);
        to[i + m] = (uint32_t)t;
    }
}

NOINLINE static void karatsuba(const uint32_t *a, const uint32_t *b, int n, uint32_t *to) {
    if (n <= 4 || n & 1) {
        schoolbook(a, b, n, n, to);
        return;
    }
    int h = n / 2;
    uint32_t sa[LIMBS / 2 + 2], sb[LIMBS / 2 + 2], middle[LIMBS + 4];
    memcpy(sa, a, (size_t)h * 4), memcpy(sb, b, (size_t)h * 4);
    sa[h] = add_to(sa, a + h, h), sb[h] = add_to(sb, b + h, h);
    sa[h + 1] = sb[h + 1] = 0;
    int w = h + 1 + (h + 1) % 2;
    karatsuba(sa, sb, w, middle);
    karatsuba(a, b, h, to);
    karatsuba(a + h, b + h, h, to + n);
    uint32_t edge = subtract_from(middle, to, n);
    subtract_from(middle + n, &edge, 1);
    edge = subtract_from(middle, to + n, n);
    subtract_from(middle + n, &edge, 1);
    uint32_t carry = add_to(to + h, middle, n + 1);
    for (to += h + n + 1; carry; to++) carry = (*to += carry) < carry;
}

static Big multiply(const Big *a, const Big *b) {
    Big r = {{0}, a->n + b->n};
    schoolbook(a->d, b->d, a->n, b->n, r.d);
    trim(&r);
    return r;
}

static uint32_t divide_small(Big *a, uint32_t by) {
    uint64_t rest = 0;
    for (int i = a->n; i-- > 0; rest %= by) a->d[i] = (uint32_t)((rest = rest << 32 | a->d[i]) / by);
    trim(a);
    return (uint32_t)rest;
}

// Knuth's algorithm D. a becomes the remainder; b has at least two limbs.
NOINLINE static Big divide(Big *a, const Big *b) {
    int s = __builtin_clz(b->d[b->n - 1]), n = b->n, m = a->n - n;
    Big q = {{0}, m < 0 ? 0 : m + 1};
    if (m < 0) return q;
    uint32_t v[LIMBS], u[LIMBS + 1];
    for (int i = 0; i < n; i++) v[i] = b->d[i] << s | (i && s ? b->d[i - 1] >> (32 - s) : 0);
    for (int i = 0; i <= a->n; i++)
        u[i] = (i < a->n ? a->d[i] << s : 0) | (i && s ? a->d[i - 1] >> (32 - s) : 0);
    for (int j = m; j >= 0; j--) {
        uint64_t top = (uint64_t)u[j + n] << 32 | u[j + n - 1], guess = top / v[n - 1], rest = top % v[n - 1];
        while (guess >> 32 || guess * v[n - 2] > (rest << 32 | u[j + n - 2])) {
            guess--, rest += v[n - 1];
            if (rest >> 32) break;
        }
        uint64_t borrow = 0, product = 0;
        for (int i = 0; i < n; i++) {
            product = guess * v[i] + (product >> 32);
            uint64_t t = (uint64_t)u[i + j] - (uint32_t)product - borrow;
            u[i + j] = (uint32_t)t, borrow = t >> 63;
        }
        uint64_t t = (uint64_t)u[j + n] - (product >> 32) - borrow;
        u[j + n] = (uint32_t)t;
        if (t >> 63) guess--, u[j + n] += add_to(u + j, v, n);
        q.d[j] = (uint32_t)guess;
    }
    memset(a, 0, sizeof *a);
    for (int i = 0; i < n; i++) a->d[i] = u[i] >> s | (s ? u[i + 1] << (32 - s) : 0);
    a->n = n;
    trim(a), trim(&q);
    return q;
}

static char *decimal(Big a, char *end) {
    for (*--end = 0; a.n; *--end = (char)('0' + divide_small(&a, 10))) {}
    return end;
}

static Big random_big(int n) {
    Big a = {{0}, n};
    for (int i = 0; i < n; i++) a.d[i] = rnd();
    if (a.d[0] % 4 == 0) for (int i = 1; i < n; i++) a.d[i] = (a.d[0] & 16) ? ~0u : 0x80000000;
    if (n) a.d[n - 1] |= 1;
    return a;
}

int main(void) {
    Big f = {{1}, 1};
    char text[400];
    for (uint32_t i = 2; i <= 40; i++) {
        Big k = {{i}, 1};
        f = multiply(&f, &k);
    }
    CHECK(!strcmp(decimal(f, text + 400), "815915283247897734345611269596115894272000000000"));
    for (uint32_t i = 40; i > 1; i--) CHECK(divide_small(&f, i) == 0);
    CHECK(f.n == 1 && f.d[0] == 1);
    for (int round = 0; round < 150; round++) {
        Big a = random_big(1 + round % 18), b = random_big(2 + round % 7), p = multiply(&a, &b), again, rest = p;
        Big q = divide(&rest, &b);
        CHECK(rest.n == 0 && q.n == a.n && !memcmp(q.d, a.d, (size_t)a.n * 4));
        rest = a;
        q = divide(&rest, &b);
        again = multiply(&q, &b);
        again.n = again.n > rest.n ? again.n : rest.n;
        CHECK(add_to(again.d, rest.d, LIMBS) == 0 && !memcmp(again.d, a.d, sizeof a.d));
        for (int i = 0; i < p.n; i++) mix(p.d[i] + rest.d[i]);
        uint32_t x[20], y[20], r1[48], r2[48];
        int n = 2 + round % 19;
        for (int i = 0; i < n; i++) x[i] = rnd() | (round & 1 ? 0xffff0000 : 0), y[i] = rnd();
        schoolbook(x, y, n, n, r1);
        karatsuba(x, y, n, r2);
        CHECK(!memcmp(r1, r2, (size_t)n * 8));
        mix(r1[n]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
