// Tables of function pointers as drivers have them: devices stacked on devices, default operations, registration.
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

typedef struct Device Device;
typedef struct {
    const char *name;
    int (*open)(Device *, uint32_t);
    int (*read)(Device *, uint8_t *, int);
    int (*write)(Device *, const uint8_t *, int);
    uint32_t (*control)(Device *, int, uint32_t);
} Operations;

struct Device { const Operations *ops; Device *below; uint32_t state, count; uint8_t buffer[64]; int head, tail; };

enum { GET_COUNT, SET_KEY, RESET };
static const Operations *registry[8];
static int registered;

static const Operations *find_driver(const char *name) {
    for (int i = registered; i-- > 0;)
        if (!strcmp(registry[i]->name, name)) return registry[i];
    return NULL;
}

static int register_driver(const Operations *ops) {
    if (find_driver(ops->name)) return -1;
    registry[registered] = ops;
    return registered++;
}

// Operations that are left out go to the device below.
static int device_write(Device *d, const uint8_t *data, int n) {
    while (d && !d->ops->write) d = d->below;
    return d ? d->ops->write(d, data, n) : -1;
}

NOINLINE static int device_read(Device *d, uint8_t *data, int n) {
    while (d && !d->ops->read) d = d->below;
    return d ? d->ops->read(d, data, n) : -1;
}

static uint32_t device_control(Device *d, int what, uint32_t value) {
    return d->ops->control ? d->ops->control(d, what, value) : d->below ? device_control(d->below, what, value) : 0;
}

static int generic_open(Device *d, uint32_t key) {
    d->state = key;
    d->count = 0, d->head = d->tail = 0;
    return d->below ? d->below->ops->open(d->below, key + 1) + 1 : 1;
}

static int pipe_write(Device *d, const uint8_t *data, int n) {
    int done = 0;
    for (; done < n && d->head - d->tail < 64; done++) d->buffer[d->head++ & 63] = data[done];
    d->count += (uint32_t)done;
    return done;
}

static int pipe_read(Device *d, uint8_t *data, int n) {
    int done = 0;
    while (done < n && d->tail != d->head) data[done++] = d->buffer[d->tail++ & 63];
    return done;
}

static uint32_t pipe_control(Device *d, int what, uint32_t value) {
    return what == GET_COUNT ? d->count : what == RESET ? (uint32_t)d->ops->open(d, value) : 0;
}

static int xor_write(Device *d, const uint8_t *data, int n) {
    uint8_t coded[64];
    uint32_t state = d->state;
    for (int i = 0; i < n; i++) coded[i] = data[i] ^ (uint8_t)(state = state * 5 + 3);
    int done = device_write(d->below, coded, n);
    for (int i = 0; i < done; i++) d->state = d->state * 5 + 3;
    return done;
}

static uint32_t xor_control(Device *d, int what, uint32_t value) {
    if (what != SET_KEY) return device_control(d->below, what, value);
    uint32_t old = d->state;
    d->state = value;
    return old;
}

static int case_read(Device *d, uint8_t *data, int n) {
    int done = device_read(d->below, data, n);
    for (int i = 0; i < done; i++) data[i] = data[i] >= 'a' && data[i] <= 'z' ? data[i] - 32 : data[i];
    return done;
}

static const Operations pipe_ops = {"pipe", generic_open, pipe_read, pipe_write, pipe_control};
static const Operations xor_ops = {"xor", generic_open, NULL, xor_write, xor_control};
static const Operations case_ops = {.name = "case", .open = generic_open, .read = case_read};

int main(void) {
    CHECK(register_driver(&pipe_ops) == 0 && register_driver(&xor_ops) == 1 && register_driver(&case_ops) == 2);
    CHECK(register_driver(&xor_ops) == -1 && !find_driver("none"));
    static const char *const stacks[][4] = {
        {"pipe"}, {"xor", "pipe"}, {"case", "pipe"}, {"xor", "xor", "pipe"}, {"case", "xor", "pipe"}, {"xor", "case",
            "pipe"}};
    for (int round = 0; round < 60; round++) {
        const char *const *names = stacks[round % 6];
        Device devices[4];
        int depth = 0, has_case = 0;
        memset(devices, 0, sizeof devices);
        for (; depth < 4 && names[depth]; depth++) {
            devices[depth].ops = find_driver(names[depth]);
            has_case |= devices[depth].ops == &case_ops;
            if (depth) devices[depth - 1].below = &devices[depth];
        }
        uint32_t keys[2] = {rnd(), rnd()};
        CHECK(devices[0].ops->open(devices, keys[0]) == depth &&
              devices[depth - 1].state == keys[0] + (uint32_t)depth - 1);
        uint8_t sent[40], wanted[40], got[64];
        for (int block = 0; block < 5; block++) {
            int n = 1 + (int)(rnd() % 40), m;
            for (int i = 0; i < n; i++) sent[i] = wanted[i] = (uint8_t)(32 + rnd() % 95);
            for (int k = 0; k < depth; k++) {
                if (devices[k].ops != &xor_ops) continue;
                uint32_t state = devices[k].state;
                for (int i = 0; i < n; i++) wanted[i] ^= (uint8_t)(state = state * 5 + 3);
            }
            CHECK(device_write(devices, sent, n) == n);
            memset(got, 0, sizeof got);
            m = device_read(devices, got, n / 2);
            CHECK(m == n / 2 && device_read(devices, got + m, 64 - m) == n - m);
            for (int i = 0; i < n; i++) {
                uint8_t v = wanted[i];
                if (has_case && v >= 'a' && v <= 'z') v -= 32;
                CHECK(got[i] == v);
                mix(v);
            }
        }
        mix(device_control(devices, GET_COUNT, 0));
        uint32_t old = device_control(devices, SET_KEY, 99);
        CHECK(devices[0].ops != &xor_ops || (devices[0].state == 99 && old != 99));
        CHECK(device_control(devices, RESET, 7) == 1 && device_control(devices, GET_COUNT, 0) == 0);
        for (int i = 0; i < 5; i++) CHECK(device_write(&devices[depth - 1], sent, 16) == (i < 4 ? 16 : 0));
    }
    printf("digest %08x\n", digest);
    return 0;
}
