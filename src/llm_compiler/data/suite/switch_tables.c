// switch: dense, sparse, ranges, fallthrough, negative, 64-bit and char labels, nested; against chains of if.
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

NOINLINE static int dense(int v) {
    switch (v) {
    case 0: return 7;
    case 1: return -3;
    case 2: return 12;
    case 3: return 5;
    case 4: return 0;
    case 5: return 91;
    case 6: return -8;
    case 8: return 14;
    default: return v;
    }
}

static int dense_if(int v) {
    static const int8_t table[] = {7, -3, 12, 5, 0, 91, -8, 0, 14};
    return v < 0 || v > 8 || v == 7 ? v : table[v];
}

static const char *sparse(int64_t v) {
    switch (v) {
    case INT64_MIN: return "least";
    case -1000000007: return "prime";
    case -1: return "minus";
    case 0: return "zero";
    case 65536: return "page";
    case 0x100000000: return "word";
    case 0x100000001: return "odd";
    case INT64_MAX: return "most";
    }
    return "other";
}

static const struct { int64_t value; const char *name; } names[] = {
    {INT64_MIN, "least"}, {-1000000007, "prime"}, {-1, "minus"},        {0, "zero"},
    {65536, "page"},      {0x100000000, "word"},  {0x100000001, "odd"}, {INT64_MAX, "most"}};

static const char *sparse_search(int64_t v) {
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].value == v) return names[i].name;
    return "other";
}

NOINLINE static int classify(unsigned char c) {
    switch (c) {
    case '0' ... '9': return 1;
    case 'a' ... 'f':
    case 'A' ... 'F': return 2;
    case 'g' ... 'z':
    case 'G' ... 'Z': return 3;
    case ' ':
    case '\t' ... '\n': return 4;
    case 0x80 ... 0xbf: return 5;
    case 0xc2 ... 0xf4: return 6;
    default: return 0;
    }
}

static int classify_if(int c) {
    if (c >= '0' && c <= '9') return 1;
    int lower = c | 32;
    if (c < 128 && lower >= 'a' && lower <= 'z') return lower <= 'f' ? 2 : 3;
    if (c == 32 || c == 9 || c == 10) return 4;
    return c >= 0xc2 && c <= 0xf4 ? 6 : c >= 0x80 && c <= 0xbf ? 5 : 0;
}

// Fallthrough accumulates; the default stands in the middle.
static uint32_t fall(int v, uint32_t x) {
    switch (v) {
    case 5: x += 1;  // fallthrough
    case 4: x *= 3;  // fallthrough
    case 3: x ^= 0x55; break;
    default: x = ~x;  // fallthrough
    case 2: x <<= 1;  // fallthrough
    case 1: x -= 9;
    case 0:;
    }
    return x;
}

static uint32_t fall_if(int v, uint32_t x) {
    if (v >= 3 && v <= 5) {
        if (v == 5) x++;
        if (v >= 4) x *= 3;
        return x ^ 0x55;
    }
    int other = v < 0 || v > 5;
    if (other) x = ~x;
    if (other || v == 2) x *= 2;
    if (other || v >= 1) x -= 9;
    return x;
}

NOINLINE static unsigned days(unsigned month, unsigned year) {
    switch (month) {
    case 4: case 6: case 9: case 11: return 30;
    case 2:
        switch (year % 400) {
        case 100: case 200: case 300: return 28;
        default: return year % 4 ? 28 : 29;
        }
    case 1: case 3: case 5: case 7: case 8: case 10: case 12: return 31;
    }
    return 0;
}

int main(void) {
    for (int i = 0; i < 600; i++) {
        int v = (int)(rnd() % 14) - 3;
        uint32_t x = rnd();
        CHECK(dense(v) == dense_if(v) && dense((int)x) == dense_if((int)x));
        CHECK(fall(v, x) == fall_if(v, x));
        int64_t key = i & 1 ? names[x % 8].value : (int64_t)x;
        key += (x >> 8) % 4 == 0 && key != INT64_MAX;
        CHECK(strcmp(sparse(key), sparse_search(key)) == 0);
        mix((uint32_t)dense(v) + fall(v, x) + (uint32_t)sparse(key)[0]);
        unsigned year = 1500 + x % 1000, sum = 0;
        for (unsigned month = 0; month < 14; month++) sum += days(month, year);
        CHECK(sum == 365u + (year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)));
    }
    for (int c = 0; c < 256; c++) {
        CHECK(classify((unsigned char)c) == classify_if(c));
        mix((uint32_t)classify((unsigned char)c));
    }
    printf("digest %08x\n", digest);
    return 0;
}
