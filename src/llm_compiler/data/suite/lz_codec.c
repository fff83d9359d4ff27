// LZ77 codec: hash chains, greedy and lazy matching, overlapping copies in the decoder; run-length and move-to-front.
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

enum { SIZE = 600, WINDOW = 255, MIN_MATCH = 3, HASHES = 64 };

static uint8_t packed[SIZE * 2], unpacked[SIZE + 16];
static int16_t heads[HASHES], previous[SIZE];

static unsigned hash(const uint8_t *p) { return (p[0] * 33u ^ p[1] * 7u ^ p[2]) % HASHES; }

NOINLINE static int longest(const uint8_t *data, int at, int n, int *where) {
    int best = 0;
    if (at + MIN_MATCH > n) return 0;
    for (int from = heads[hash(data + at)], tries = 16; from >= 0 && at - from <= WINDOW && tries; tries--) {
        int k = 0;
        while (at + k < n && k < 66 && data[from + k] == data[at + k]) k++;
        if (k > best) best = k, *where = from;
        from = previous[from];
    }
    return best < MIN_MATCH ? 0 : best;
}

static void remember(const uint8_t *data, int at, int n) {
    if (at + MIN_MATCH > n) return;
    unsigned h = hash(data + at);
    previous[at] = heads[h];
    heads[h] = (int16_t)at;
}

static uint8_t *literals(uint8_t *out, const uint8_t *from, int count) {
    while (count > 0) {
        int n = count > 64 ? 64 : count;
        *out++ = (uint8_t)(n - 1);
        memcpy(out, from, (size_t)n);
        out += n, from += n, count -= n;
    }
    return out;
}

static int compress(const uint8_t *data, int n, uint8_t *out, int lazy) {
    uint8_t *start = out;
    int pending = 0;
    memset(heads, 0xff, sizeof heads);
    for (int at = 0; at < n;) {
        int where = 0, next, length = longest(data, at, n, &where);
        remember(data, at, n);
        if (length && lazy && at + 1 < n && longest(data, at + 1, n, &next) > length) length = 0;
        if (!length) {
            pending++, at++;
            continue;
        }
        out = literals(out, data + at - pending, pending);
        pending = 0;
        *out++ = (uint8_t)(0x80 | (length - MIN_MATCH));
        *out++ = (uint8_t)(at - where);
        for (int end = at++ + length; at < end; at++) remember(data, at, n);
    }
    return (int)(literals(out, data + n - pending, pending) - start);
}

NOINLINE static int decompress(const uint8_t *in, int n, uint8_t *out) {
    const uint8_t *end = in + n;
    uint8_t *start = out;
    while (in < end) {
        int c = *in++;
        if (c & 0x80) {
            const uint8_t *from = out - *in++;
            for (int k = (c & 0x7f) + MIN_MATCH; k; k--) *out++ = *from++;  // may read what it has just written
        } else {
            for (; c >= 0; c--) *out++ = *in++;
        }
    }
    return (int)(out - start);
}

static int run_length(const uint8_t *in, int n, uint8_t *out) {
    int k = 0;
    for (int i = 0, run; i < n; i += run) {
        for (run = 1; run < 200 && i + run < n && in[i + run] == in[i]; run++) {}
        out[k++] = (uint8_t)run, out[k++] = in[i];
    }
    return k;
}

static void move_to_front(const uint8_t *in, int n, uint8_t *out, int back) {
    uint8_t order[256];
    for (int i = 0; i < 256; i++) order[i] = (uint8_t)i;
    for (int i = 0; i < n; i++) {
        int at = back ? in[i] : 0;
        uint8_t c = order[at];
        while (!back && c != in[i]) c = order[++at];
        memmove(order + 1, order, (size_t)at);
        order[0] = c;
        out[i] = back ? c : (uint8_t)at;
    }
}

int main(void) {
    static uint8_t data[SIZE], coded[SIZE];
    for (int round = 0; round < 24; round++) {
        int n = round < 5 ? round : (int)(rnd() % SIZE);
        for (int i = 0; i < n; i++) {
            uint32_t r = rnd();
            data[i] = (uint8_t)(round % 4 == 0 ? r : round % 4 == 1 ? 'x' : i > 30 &&
                                r % 16 ? data[i - 7 - round] : r % 9 + 'a');
        }
        int greedy = compress(data, n, packed, 0), m = decompress(packed, greedy, unpacked);
        CHECK(m == n && !memcmp(unpacked, data, (size_t)n));
        for (int i = 0; i < greedy; i++) mix(packed[i]);
        int lazy = compress(data, n, packed, 1);
        CHECK(decompress(packed, lazy, unpacked) == n && !memcmp(unpacked, data, (size_t)n));
        CHECK(n < 200 || round % 4 == 0 || (greedy < n && lazy < n));
        CHECK(lazy <= n + n / 64 + 1);
        int k = run_length(data, n, packed), at = 0;
        for (int i = 0; i < k; i += 2) memset(unpacked + at, packed[i + 1], packed[i]), at += packed[i];
        CHECK(at == n && !memcmp(unpacked, data, (size_t)n));
        move_to_front(data, n, coded, 0);
        move_to_front(coded, n, unpacked, 1);
        CHECK(!memcmp(unpacked, data, (size_t)n));
        for (int i = 1; i < n; i++) CHECK((coded[i] == 0) == (data[i] == data[i - 1]));
        mix((uint32_t)(greedy * 1000 + lazy) ^ (uint32_t)k << 20);
    }
    printf("digest %08x\n", digest);
    return 0;
}
