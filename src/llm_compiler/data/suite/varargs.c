// Variable arguments: a formatter of its own against snprintf, va_copy, more arguments than registers, structs.
#include <stdarg.h>
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

typedef struct { int16_t x, y; } Small;
typedef struct { double a; int64_t b; } Mixed;
typedef struct { int64_t words[5]; } Large;

typedef struct { char *at, *end; } Sink;

static void put(Sink *s, char c) {
    if (s->at < s->end) *s->at++ = c;
}

static void put_number(Sink *s, uint64_t v, unsigned base, int negative, int width, char fill) {
    char digits[32];
    int n = 0;
    do digits[n++] = "0123456789abcdef"[v % base];
    while (v /= base);
    if (negative && fill == '0') put(s, '-'), width--;
    for (int k = n + (negative && fill != '0'); k < width; k++) put(s, fill);
    if (negative && fill != '0') put(s, '-');
    while (n) put(s, digits[--n]);
}

NOINLINE static size_t format_list(char *out, size_t size, const char *text, va_list list) {
    Sink s = {out, out + size - 1};
    for (; *text; text++) {
        if (*text != '%') {
            put(&s, *text);
            continue;
        }
        char fill = ' ';
        int width = 0, longs = 0;
        if (*++text == '0') fill = '0', text++;
        while (*text >= '0' && *text <= '9') width = width * 10 + *text++ - '0';
        if (*text == '*') width = va_arg(list, int), text++;
        while (*text == 'l') longs++, text++;
        switch (*text) {
        case 'd': {
            long long v = longs == 2 ? va_arg(list, long long) : longs ? va_arg(list, long) : va_arg(list, int);
            put_number(&s, v < 0 ? 0 - (uint64_t)v : (uint64_t)v, 10, v < 0, width, fill);
            break;
        }
        case 'u':
        case 'x':
        case 'o': {
            uint64_t v = longs ? va_arg(list, unsigned long) : va_arg(list, unsigned);
            put_number(&s, v, *text == 'x' ? 16 : *text == 'o' ? 8 : 10, 0, width, fill);
            break;
        }
        case 's':
            for (const char *p = va_arg(list, const char *); *p; p++) put(&s, *p);
            break;
        case 'c': put(&s, (char)va_arg(list, int)); break;
        default: put(&s, *text);
        }
    }
    *s.at = 0;
    return (size_t)(s.at - out);
}

static size_t format(char *out, size_t size, const char *text, ...) {
    va_list list;
    va_start(list, text);
    size_t n = format_list(out, size, text, list);
    va_end(list);
    return n;
}

// The same list is read twice.
NOINLINE static double mean_and_spread(double *spread, int count, ...) {
    va_list first, second;
    va_start(first, count);
    va_copy(second, first);
    double sum = 0, deviation = 0;
    for (int i = 0; i < count; i++) sum += i & 1 ? (double)va_arg(first, int) : va_arg(first, double);
    for (int i = 0; i < count; i++) {
        double v = (i & 1 ? (double)va_arg(second, int) : va_arg(second, double)) * count - sum;
        deviation += v < 0 ? -v : v;
    }
    va_end(second);
    va_end(first);
    *spread = deviation;
    return sum;
}

static int64_t gather(const char *kinds, ...) {
    va_list list;
    va_start(list, kinds);
    int64_t total = 0;
    for (int64_t weight = 1; *kinds; kinds++, weight += 2) {
        if (*kinds == 's') {
            Small v = va_arg(list, Small);
            total += weight * (v.x * 3 + v.y);
        } else if (*kinds == 'm') {
            Mixed v = va_arg(list, Mixed);
            total += weight * ((int64_t)v.a + v.b * 5);
        } else if (*kinds == 'l') {
            Large v = va_arg(list, Large);
            for (int i = 0; i < 5; i++) total += weight * v.words[i] * (i + 1);
        } else {
            total += weight * *va_arg(list, int *);
        }
    }
    va_end(list);
    return total;
}

int main(void) {
    char ours[200], theirs[200];
    for (int i = 0; i < 300; i++) {
        int a = (int)rnd(), width = (int)(rnd() % 14);
        long b = (long)((uint64_t)rnd() << 20) - 123456789012;
        unsigned c = rnd() >> i % 32;
        unsigned long d = (unsigned long)c * 4294967311u;
        size_t n = format(ours, sizeof ours, "%d|%5d|%08d|%ld|%*ld|%u %x %09x %lo%%%c%s|%lld", a, a % 1000, -a / 2, b,
                          width, b / 1000, c, c, c, d, 'a' + i % 26, &"text"[i % 5], (long long)b * 3);
        int m = snprintf(theirs, sizeof theirs, "%d|%5d|%08d|%ld|%*ld|%u %x %09x %lo%%%c%s|%lld", a, a % 1000, -a / 2,
                         b, width, b / 1000, c, c, c, d, 'a' + i % 26, &"text"[i % 5], (long long)b * 3);
        CHECK((int)n == m && strcmp(ours, theirs) == 0);
        for (size_t k = 0; k < n; k++) mix((unsigned char)ours[k]);
        CHECK(format(ours, 6, "%d%d", 123, 456789) == 5 && !strcmp(ours, "12345"));
        double spread, x = a % 100, y = a % 77;
        CHECK(mean_and_spread(&spread, 3, x, 5, y) == x + 5 + y);
        double deviations[] = {3 * x - x - 5 - y, 15 - x - 5 - y, 3 * y - x - 5 - y}, wanted = 0;
        for (int k = 0; k < 3; k++) wanted += deviations[k] < 0 ? -deviations[k] : deviations[k];
        CHECK(spread == wanted);
        CHECK(mean_and_spread(&spread, 12, x, 1, y, 2, x, 3, y, 4, x, 5, x, 6) == 4 * x + 2 * y + 21);
        Small s = {(int16_t)a, (int16_t)i};
        Mixed f = {i, a};
        Large l = {{a, i, b >> 20, -1, width}};
        int64_t tail = l.words[0] + 2 * l.words[1] + 3 * l.words[2] + 4 * l.words[3] + 5 * l.words[4];
        int64_t head = 10 * (s.x * 3 + s.y) + 14 * (i + 5ll * a);
        CHECK(gather("smlpsm", s, f, l, &a, s, f) == head + 5 * tail + 7ll * a);
        mix((uint32_t)gather("llp", l, l, &width));
    }
    printf("digest %08x\n", digest);
    return 0;
}
