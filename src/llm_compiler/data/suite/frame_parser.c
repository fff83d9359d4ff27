// A global state machine: byte-stuffed frames with length and checksum, split anywhere, damaged, statistics in statics.
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

enum { FLAG = 0x7e, ESCAPE = 0x7d, LIMIT = 48 };
enum State { HUNT, LENGTH, BODY, CHECK_LOW, CHECK_HIGH };

static struct {
    enum State state;
    uint8_t escaped, length, at;
    uint16_t sum;
    uint8_t body[LIMIT];
} rx;
static struct { unsigned good, bad_sum, too_long, aborted, bytes; } statistics;
static uint32_t received;
static void (*on_frame)(const uint8_t *, int);

static uint16_t step_sum(uint16_t sum, uint8_t c) { return (uint16_t)((uint16_t)(sum << 3 | sum >> 13) + c); }

static void deliver(const uint8_t *body, int n) {
    static unsigned serial;
    for (int i = 0; i < n; i++) received = received * 131 + body[i];
    serial++;
    received ^= serial;
}

static void ignore(const uint8_t *body, int n) { mix((uint32_t)n + (n ? body[0] : 0)); }

NOINLINE static void feed(uint8_t c) {
    statistics.bytes++;
    if (c == FLAG) {
        if (rx.state > LENGTH) statistics.aborted++;
        rx.state = LENGTH, rx.escaped = 0, rx.sum = 0xffff;
        return;
    }
    if (rx.state == HUNT) return;
    if (c == ESCAPE) {
        rx.escaped = 1;
        return;
    }
    if (rx.escaped) c ^= 0x20, rx.escaped = 0;
    switch (rx.state) {
    case LENGTH:
        if (c > LIMIT) {
            statistics.too_long++;
            rx.state = HUNT;
            break;
        }
        rx.length = c, rx.at = 0;
        rx.sum = step_sum(rx.sum, c);
        rx.state = c ? BODY : CHECK_LOW;
        break;
    case BODY:
        rx.body[rx.at++] = c;
        rx.sum = step_sum(rx.sum, c);
        if (rx.at == rx.length) rx.state = CHECK_LOW;
        break;
    case CHECK_LOW:
        rx.sum ^= c;
        rx.state = CHECK_HIGH;
        break;
    case CHECK_HIGH:
        rx.state = HUNT;
        if ((rx.sum ^ c << 8) == 0) {
            statistics.good++;
            on_frame(rx.body, rx.length);
        } else {
            statistics.bad_sum++;
        }
        break;
    default: break;
    }
}

static int put(uint8_t *out, int n, uint8_t c) {
    if (c == FLAG || c == ESCAPE) out[n++] = ESCAPE, c ^= 0x20;
    out[n++] = c;
    return n;
}

NOINLINE static int encode(const uint8_t *body, uint8_t length, uint8_t *out) {
    int n = 0;
    uint16_t sum = step_sum(0xffff, length);
    out[n++] = FLAG;
    n = put(out, n, length);
    for (int i = 0; i < length; i++) sum = step_sum(sum, body[i]), n = put(out, n, body[i]);
    n = put(out, n, (uint8_t)sum);
    return put(out, n, (uint8_t)(sum >> 8));
}

int main(void) {
    uint8_t body[LIMIT], wire[2 * LIMIT + 8];
    unsigned good = 0, bad = 0;
    uint32_t model = 0;
    on_frame = deliver;
    for (int round = 0; round < 300; round++) {
        uint8_t length = (uint8_t)(rnd() % (LIMIT + 1));
        for (int i = 0; i < length; i++) {
            uint32_t v = rnd();
            body[i] = (uint8_t)(v & 0x300 ? v : v & 0x400 ? FLAG : ESCAPE);
        }
        int n = encode(body, length, wire), damage = round % 3 == 2 && wire[n - 1] != 0x5e && wire[n - 1] != 0x5d;
        if (damage) wire[n - 1] ^= 0x80;
        damage = damage && wire[n - 1] != FLAG && wire[n - 1] != ESCAPE;
        if (round % 3 == 2 && !damage) continue;
        if (round % 5 == 0) feed((uint8_t)round | 0x80);  // noise between frames
        for (int i = 0; i < n; i++) feed(wire[i]);
        CHECK(rx.state == HUNT);
        if (damage) {
            bad++;
        } else {
            good++;
            for (int i = 0; i < length; i++) model = model * 131 + body[i];
            model ^= good;
        }
        CHECK(statistics.good == good && statistics.bad_sum == bad && received == model);
        mix(received + (uint32_t)n);
    }
    CHECK(statistics.aborted == 0 && statistics.too_long == 0 && good > 150 && bad > 50);
    on_frame = ignore;
    static const uint8_t cut[] = {FLAG, 3, 1, 2, FLAG, FLAG, 200, 1, 2, FLAG, 0};
    for (unsigned i = 0; i < sizeof cut; i++) feed(cut[i]);
    CHECK(statistics.aborted == 1 && statistics.too_long == 1 && rx.state == CHECK_LOW && received == model);
    mix(statistics.bytes);
    printf("digest %08x\n", digest);
    return 0;
}
