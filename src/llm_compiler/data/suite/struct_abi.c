// Structs of all sizes and kinds passed and returned by value, direct and through pointers, changed by the callee.
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

#define BYTES(n) \
    typedef struct { uint8_t b[n]; } Bytes##n; \
    NOINLINE static Bytes##n rotate##n(Bytes##n v, unsigned by) { \
        Bytes##n r; \
        for (unsigned i = 0; i < n; i++) r.b[(i + by) % n] = v.b[i]; \
        v.b[0] ^= 0xff; \
        return r; \
    } \
    static Bytes##n twice##n(Bytes##n v, Bytes##n (*f)(Bytes##n, unsigned)) { return f(f(v, 1), n - 1); } \
    static void test##n(void) { \
        Bytes##n v, r; \
        for (unsigned i = 0; i < n; i++) v.b[i] = (uint8_t)rnd(); \
        r = twice##n(v, rotate##n); \
        CHECK(memcmp(&r, &v, n) == 0); \
        r = rotate##n(v, n / 2); \
        for (unsigned i = 0; i < n; i++) CHECK(r.b[(i + n / 2) % n] == v.b[i]), mix(r.b[i]); \
    }

BYTES(1) BYTES(2) BYTES(3) BYTES(4) BYTES(5) BYTES(6) BYTES(7) BYTES(8) BYTES(9) BYTES(11) BYTES(12) BYTES(15)
BYTES(16) BYTES(17) BYTES(23) BYTES(24) BYTES(31) BYTES(32) BYTES(33) BYTES(64) BYTES(100)

typedef struct { float x, y; } F2;
typedef struct { float x, y, z; } F3;
typedef struct { double x; float y; int32_t n; } Mixed;
typedef struct { int64_t a; double b; } IntReal;
typedef struct { double a; int64_t b; } RealInt;
typedef struct { char c; short s; int i; } Small;
typedef struct { Small s[2]; F2 f; } Nested;
typedef struct { int32_t n; } One;
typedef struct { const char *name; IntReal value; int (*check)(IntReal); } Entry;

NOINLINE static F2 swap2(F2 v) { return (F2){v.y, v.x}; }
static F3 cross(F3 a, F3 b) { return (F3){a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x}; }
NOINLINE static Mixed turn(Mixed m) { return (Mixed){m.y, (float)m.n, (int32_t)m.x}; }
static RealInt exchange(IntReal v) { return (RealInt){(double)v.a, (int64_t)v.b}; }
NOINLINE static IntReal exchange_back(RealInt v) { return (IntReal){(int64_t)v.a, (double)v.b}; }

NOINLINE static double many(int a, F2 b, double c, IntReal d, char e, F3 f, RealInt g, Small h, float i, Bytes17 j,
                            int64_t k, Mixed l, One m, Nested n) {
    return a + 2 * (b.x + 3 * b.y) + 4 * c + 5 * (double)d.a + 6 * d.b + 7 * e + 8 * (f.x + f.y - f.z) + 9 * g.a +
           10 * (double)g.b + 11 * (h.c + h.s + h.i) + 12 * i + 13 * j.b[16] + 14 * (double)k + 15 * (l.x + l.y + l.n) +
           16 * m.n + 17 * (n.s[0].c + n.s[1].i + n.s[1].s + n.f.y);
}

static Nested rebuild(Nested n, int by) {
    Nested r = n;
    r.s[0] = n.s[1], r.s[1] = n.s[0];
    r.s[0].i += by, r.f = swap2(n.f);
    n.s[0].i = 0;
    return r;
}

static Bytes33 chain(Bytes33 v, int depth) {
    v.b[depth]++;
    return depth ? chain(v, depth - 1) : v;
}

static int is_positive(IntReal v) { return v.a > 0 && v.b > 0; }
static int is_equal(IntReal v) { return (double)v.a == v.b; }
static Entry choose(const Entry *table, int at) { return table[at]; }

int main(void) {
    for (int round = 0; round < 40; round++) {
        test1(), test2(), test3(), test4(), test5(), test6(), test7(), test8(), test9(), test11(), test12();
        test15(), test16(), test17(), test23(), test24(), test31(), test32(), test33(), test64(), test100();
        int p = (int)(rnd() % 200) - 100, q = (int)(rnd() % 200) - 100, r = (int)(rnd() % 200) - 100;
        F2 f2 = swap2((F2){(float)p, (float)q});
        CHECK(f2.x == q && f2.y == p);
        F3 a = {(float)p, (float)q, (float)r}, b = {(float)q, (float)r, 1}, c = cross(a, b);
        CHECK(c.x == q - r * r && c.y == r * q - p && c.z == p * r - q * q);
        CHECK(c.x * a.x + c.y * a.y + c.z * a.z == 0);
        Mixed m = turn(turn(turn((Mixed){p, (float)q, r})));
        CHECK(m.x == p && m.y == q && m.n == r);
        IntReal ir = exchange_back(exchange((IntReal){p, q}));
        CHECK(ir.a == p && ir.b == q);
        Small s = {(char)(p & 63), (short)q, r};
        Nested n = {{s, {1, 2, 3}}, {5, 6}}, t = rebuild(n, 7), u = rebuild(t, 9);
        CHECK(t.s[0].i == 10 && t.s[1].s == q && t.f.x == 6 && u.s[0].i == r + 9 && u.f.x == 5 && n.s[0].i == r);
        Bytes17 j = {{0}};
        j.b[16] = (uint8_t)round;
        double total = many(p, f2, q, ir, (char)(r & 31), a, (RealInt){p, q}, s, 2.5f, j, r, m, (One){p}, n);
        int64_t sum = p + 2 * (q + 3 * p) + 4 * q + 5 * p + 6 * q + 7 * (r & 31) + 8 * (p + q - r) + 9 * p + 10 * q +
                      11 * (s.c + q + r) + 30 + 13 * round + 14 * r + 15 * (p + q + r) + 16 * p +
                      17 * (s.c + 3 + 2 + 6);
        CHECK(total == (double)sum);
        mix((uint32_t)sum);
        Bytes33 line = chain((Bytes33){{0}}, round % 33);
        for (int i = 0; i < 33; i++) CHECK(line.b[i] == (i <= round % 33));
        Entry table[] = {{"plus", {p, q}, is_positive}, {"same", {r, r}, is_equal}, {"unlike", {r, r + 1}, is_equal}};
        Entry e = choose(table, round % 3);
        CHECK(e.check(e.value) == (round % 3 == 0 ? p > 0 && q > 0 : round % 3 == 1));
        mix((uint32_t)e.name[0]);
    }
    printf("digest %08x\n", digest);
    return 0;
}
