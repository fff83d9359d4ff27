// Unions and bit-fields: signed and unsigned fields across storage units, tagged unions, register maps, punning.
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

typedef union {
    uint32_t word;
    uint16_t halves[2];
    uint8_t bytes[4];
    struct { uint32_t low : 5, middle : 11, high : 16; } field;
    struct { int32_t low : 5, middle : 11, high : 16; } sign;
} Cell;

typedef struct {
    unsigned enable : 1, mode : 3;
    int offset : 6;
    unsigned : 0;
    uint64_t address : 40, length : 17;
    signed char small : 3;
    _Bool ready : 1;
} Descriptor;

typedef struct {
    enum { INTEGER, REAL, TEXT, LIST } kind;
    union {
        int64_t integer;
        double real;
        char text[8];
        struct { uint16_t count; int16_t items[3]; };
    };
} Value;

static Descriptor table[16];

static int little_endian(void) {
    Cell c = {.word = 1};
    return c.bytes[0];
}

static int32_t extend(uint32_t v, int width) {
    uint32_t sign = 1u << (width - 1);
    v &= (1u << width) - 1;
    return (int32_t)(v ^ sign) - (int32_t)sign;
}

NOINLINE static void write_fields(Descriptor *d, uint64_t v) {
    d->enable = v & 1;
    d->mode = (unsigned)(v >> 1);
    d->offset = (int)(int8_t)(v >> 4);
    d->address = v;
    d->length = v >> 44;
    d->small = (signed char)(v >> 13 & 7) - 4;
    d->ready = v & 0x700 ? 1 : 0;
}

static uint64_t read_fields(const Descriptor *d) {
    return d->address ^ (uint64_t)d->length << 41 ^ (uint64_t)d->mode << 59 ^ (uint64_t)d->enable << 62 ^
           (uint64_t)d->ready << 63;
}

static void bump(Descriptor *d) {
    d->mode++;
    d->offset--;
    d->length += 3;
    d->address -= 1;
    d->enable ^= 1;
}

NOINLINE static double number(const Value *v) {
    switch (v->kind) {
    case INTEGER: return (double)v->integer;
    case REAL: return v->real;
    case TEXT: return (double)strtol(v->text, NULL, 10);
    default: {
        double sum = 0;
        for (int i = 0; i < v->count; i++) sum = sum * 100 + v->items[i];
        return sum;
    }
    }
}

static Value make(int kind, int number_) {
    Value v;
    memset(&v, 0, sizeof v);
    v.kind = kind;
    if (kind == INTEGER) v.integer = number_;
    else if (kind == REAL) v.real = number_;
    else if (kind == TEXT) snprintf(v.text, sizeof v.text, "%d", number_);
    else v.count = 2, v.items[0] = (int16_t)(number_ / 100), v.items[1] = (int16_t)(number_ % 100);
    return v;
}

static float scale_by_exponent(float x, int by) {
    union { float value; uint32_t word; } u = {.value = x};
    u.word += (uint32_t)by << 23;
    return u.value;
}

int main(void) {
    for (int i = 0; i < 400; i++) {
        Cell c = {.word = rnd()};
        uint32_t w = c.word;
        if (little_endian()) {
            CHECK(c.field.low == (w & 31) && c.field.middle == (w >> 5 & 2047) && c.field.high == w >> 16);
            CHECK(c.sign.low == extend(w, 5) && c.sign.middle == extend(w >> 5, 11));
            CHECK(c.sign.high == (int16_t)(w >> 16));
            CHECK(c.halves[1] == w >> 16 && c.bytes[2] == (w >> 16 & 255));
            c.field.middle = w >> 3;
            CHECK(c.word == ((w & ~(2047u << 5)) | (w >> 3 & 2047) << 5));
            c.sign.low = -1;
            CHECK((c.word & 31) == 31 && c.field.high == w >> 16);
            c.bytes[3] = 0x5a;
            CHECK(c.field.high >> 8 == 0x5a);
        }
        mix(c.word ^ (uint32_t)c.sign.middle);

        uint64_t v = (uint64_t)w << 29 ^ rnd();
        Descriptor *d = &table[i % 16], before;
        write_fields(d, v);
        CHECK(d->enable == (v & 1) && d->mode == (v >> 1 & 7) && d->offset == extend((uint32_t)(v >> 4), 6));
        CHECK(d->address == (v & 0xffffffffff) && d->length == (v >> 44 & 0x1ffff));
        CHECK(d->small == (int)(v >> 13 & 7) - 4 && d->ready == ((v & 0x700) != 0));
        before = *d;
        bump(d);
        CHECK(d->mode == ((before.mode + 1) & 7) && d->length == ((before.length + 3) & 0x1ffff));
        CHECK(d->offset == extend((uint32_t)before.offset - 1, 6));
        CHECK(d->address == ((before.address - 1) & 0xffffffffff));
        CHECK(d->small == before.small && d->ready == before.ready && d->enable != before.enable);
        mix((uint32_t)(read_fields(d) >> 17) ^ (uint32_t)d->offset ^ (uint32_t)d->small << 7);

        int n = (int)(rnd() % 9999) + 1;
        Value values[4];
        for (int kind = INTEGER; kind <= LIST; kind++) values[kind] = make(kind, n);
        for (int kind = INTEGER; kind <= LIST; kind++) CHECK(number(&values[(kind + i) & 3]) == n);
        CHECK(scale_by_exponent((float)n, 3) == (float)n * 8 && scale_by_exponent((float)n, -2) * 4 == (float)n);
    }
    printf("digest %08x\n", digest);
    return 0;
}
