// Packed and unaligned layouts, big and little endian fields, type-length-value records, flexible arrays.
#include <stddef.h>
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

#pragma pack(push, 1)
typedef struct { uint8_t kind; uint32_t id; int16_t delta; uint64_t stamp; double value; char tail[3]; } Packed;
#pragma pack(pop)
typedef struct { uint8_t kind; uint32_t id; int16_t delta; uint64_t stamp; double value; char tail[3]; } Loose;
typedef struct { uint16_t count; uint8_t kind; uint32_t items[]; } Flexible;

static uint8_t wire[512];

static uint32_t get_big(const uint8_t *p, int n) {
    uint32_t v = 0;
    while (n--) v = v << 8 | *p++;
    return v;
}

static uint64_t get_little(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = 0; i < n; i++) v |= (uint64_t)p[i] << 8 * i;
    return v;
}

NOINLINE static uint8_t *put_big(uint8_t *p, uint64_t v, int n) {
    for (int i = n - 1; i >= 0; i--, v >>= 8) p[i] = (uint8_t)v;
    return p + n;
}

static uint8_t *put_little(uint8_t *p, uint64_t v, int n) {
    for (; n; n--, v >>= 8) *p++ = (uint8_t)v;
    return p;
}

NOINLINE static void pack(const Loose *from, Packed *to) {
    to->kind = from->kind, to->id = from->id, to->delta = from->delta;
    to->stamp = from->stamp, to->value = from->value;
    memcpy(to->tail, from->tail, sizeof to->tail);
}

static Loose unpack(const Packed *p) {
    Loose l;
    memset(&l, 0, sizeof l);
    l.kind = p->kind, l.id = p->id, l.delta = p->delta, l.stamp = p->stamp, l.value = p->value;
    for (size_t i = 0; i < sizeof l.tail; i++) l.tail[i] = p->tail[i];
    return l;
}

static uint64_t sum_packed(const Packed *p, int n) {
    uint64_t s = 0;
    for (int i = 0; i < n; i++) s += p[i].id * (uint64_t)(i + 1) + p[i].stamp + (uint64_t)(int64_t)p[i].delta;
    return s;
}

static int read_number(const uint8_t **p, uint32_t *v) {
    int shift = 0;
    for (*v = 0; **p & 0x80; (*p)++, shift += 7) *v |= (uint32_t)(**p & 0x7f) << shift;
    *v |= (uint32_t)*(*p)++ << shift;
    return shift / 7 + 1;
}

static uint8_t *write_number(uint8_t *p, uint32_t v) {
    for (; v > 0x7f; v >>= 7) *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

// Records of (tag, length, value), nested one level; unknown tags are passed over.
NOINLINE static int64_t read_records(const uint8_t *p, const uint8_t *end, int depth) {
    int64_t total = 0;
    while (p < end) {
        uint32_t tag, length;
        read_number(&p, &tag), read_number(&p, &length);
        switch (tag) {
        case 1: total += (int32_t)get_big(p, (int)length); break;
        case 2: total -= (int64_t)get_little(p, (int)length); break;
        case 3: total += depth < 2 ? 2 * read_records(p, p + length, depth + 1) : 0; break;
        case 300: for (uint32_t i = 0; i < length; i++) total += (int8_t)p[i]; break;
        default: break;
        }
        p += length;
    }
    return total;
}

static uint32_t zigzag(int32_t v) { return (uint32_t)v << 1 ^ (v < 0 ? ~0u : 0); }
static int32_t unzigzag(uint32_t v) { return (int32_t)(v >> 1 ^ (v & 1 ? ~0u : 0)); }

int main(void) {
    CHECK(sizeof(Packed) == 26 && offsetof(Packed, stamp) == 7 && offsetof(Packed, tail) == 23);
    CHECK(offsetof(Loose, stamp) % _Alignof(uint64_t) == 0 && offsetof(Flexible, items) == 4);
    static Packed array[9];
    for (int round = 0; round < 120; round++) {
        uint64_t sum = 0;
        for (int i = 0; i < 9; i++) {
            Loose l = {(uint8_t)i, rnd(), (int16_t)rnd(), 0, 0, {'a', 'b', (char)('a' + i)}}, back;
            l.stamp = (uint64_t)l.id << 21 ^ (uint16_t)l.delta, l.value = l.id / 8.0;
            pack(&l, &array[i]);
            back = unpack(&array[i]);
            CHECK(back.id == l.id && back.delta == l.delta && back.stamp == l.stamp && back.value == l.value);
            CHECK(back.kind == i && !memcmp(back.tail, l.tail, 3));
            sum += l.id * (uint64_t)(i + 1) + l.stamp + (uint64_t)(int64_t)l.delta;
        }
        CHECK(sum_packed(array, 9) == sum);
        mix((uint32_t)(sum >> 13));
        uint32_t a = rnd(), b = rnd() >> round % 32, number;
        int width = 1 + round % 4;
        uint8_t *p = wire, *inner, *last;
        const uint8_t *q;
        CHECK(put_big(wire, a, 4) == wire + 4 && get_big(wire, 4) == a && get_little(wire, 4) == __builtin_bswap32(a));
        CHECK(get_big(wire + 1, 2) == (a >> 8 & 0xffff));
        last = write_number(wire, b);
        q = wire;
        CHECK(read_number(&q, &number) == last - wire && q == last && number == b);
        CHECK(unzigzag(zigzag((int32_t)a)) == (int32_t)a && zigzag(-3) == 5 &&
              zigzag((int32_t)(b & 63)) == (b & 63) * 2);
        int64_t wanted = 0;
        p = put_big(write_number(write_number(p, 1), 4), a, 4), wanted += (int32_t)a;
        p = put_little(write_number(write_number(p, 2), (uint32_t)width), b, width);
        wanted -= (int64_t)(b & (0xffffffffu >> (32 - 8 * width)));
        p = write_number(write_number(p, 77), 3), p += 3;
        p = write_number(p, 3), inner = p++;
        p = put_little(write_number(write_number(p, 2), 8), a, 8), wanted -= 2 * (int64_t)a;
        p = write_number(write_number(p, 300), 2), *p++ = 0x80, *p++ = (uint8_t)round, wanted += 2 * (round - 128);
        *inner = (uint8_t)(p - inner - 1);
        CHECK(read_records(wire, p, 0) == wanted);
        mix((uint32_t)wanted);
        Flexible *f = malloc(sizeof *f + 20 * sizeof *f->items);
        CHECK(f);
        f->count = (uint16_t)(round % 20), f->kind = 1;
        uint32_t total = 0;
        for (int i = 0; i < f->count; i++) f->items[i] = a + (uint32_t)i * b;
        for (int i = f->count; i-- > 0;) total += f->items[i];
        uint32_t n = f->count;
        CHECK(total == n * a + b * (n * (n - !!n) / 2) && f->count == round % 20);
        free(f);
    }
    printf("digest %08x\n", digest);
    return 0;
}
