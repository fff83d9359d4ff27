// volatile: a simulated UART and timer behind register pointers; counts of reads and writes, polling, flags.
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

typedef struct { volatile uint32_t data, status, control, divisor; } Uart;

enum { TX_EMPTY = 1, RX_READY = 2, OVERRUN = 4, ENABLE = 1, LOOPBACK = 2, PARITY = 4 };

static Uart ports[3];
static volatile unsigned ticks;
static volatile uint8_t fifo[8];
static volatile unsigned head, tail;
static const volatile uint16_t fuse = 0xb00c;

// The device, which runs between two accesses of the driver.
NOINLINE static void device(Uart *u) {
    ticks++;
    if (!(u->control & ENABLE)) return;
    if (!(u->status & TX_EMPTY) && ticks % (u->divisor + 1) == 0) {
        if (u->control & LOOPBACK) {
            if (head - tail < sizeof fifo) fifo[head++ % sizeof fifo] = (uint8_t)u->data;
            else u->status |= OVERRUN;
        }
        u->status |= TX_EMPTY;
    }
    if (head != tail) u->status |= RX_READY;
    else u->status &= ~(uint32_t)RX_READY;
}

static void uart_init(Uart *u, unsigned divisor, unsigned flags) {
    u->control = 0;
    u->status = TX_EMPTY;
    u->divisor = divisor;
    u->control |= ENABLE;
    u->control |= flags;
}

static int parity(uint8_t v) {
    v ^= v >> 4;
    return 0x6996 >> (v & 15) & 1;
}

NOINLINE static unsigned uart_put(Uart *u, uint8_t c) {
    unsigned spins = 0;
    while (!(u->status & TX_EMPTY)) device(u), spins++;
    u->data = u->control & PARITY ? c | (uint32_t)parity(c) << 8 : c;
    u->status &= ~(uint32_t)TX_EMPTY;
    return spins;
}

static int uart_get(Uart *u, unsigned patience) {
    for (; patience; patience--) {
        if (u->status & RX_READY) {
            uint8_t c = fifo[tail % sizeof fifo];
            tail++;
            device(u);
            return c;
        }
        device(u);
    }
    return -1;
}

static unsigned wait_ticks(unsigned count, Uart *u) {
    unsigned start = ticks, polls = 0;
    while (ticks - start < count) device(u), polls++;
    return polls;
}

// Every access happens: two writes of the same value, reads whose values are dropped.
static unsigned touch(volatile uint32_t *r, const uint32_t *pattern, int count) {
    unsigned ones = 0;
    for (int i = 0; i < count; i++) {
        *r = pattern[i];
        *r = ~*r;
        (void)*r;
        uint32_t v = *r;
        while (v) ones += v & 1, v >>= 1;
        *r = 0;
    }
    return ones;
}

NOINLINE static uint32_t local_counter(int n) {
    volatile uint32_t a = 1;
    uint32_t b = 1;
    for (int i = 0; i < n; i++) {
        a = a * 3;
        a += (uint32_t)i;
        b = b * 3 + (uint32_t)i;
    }
    return a ^ b;
}

static void copy_volatile(volatile uint8_t *to, const volatile uint8_t *from, size_t n) {
    while (n--) *to++ = *from++;
}

int main(void) {
    for (int round = 0; round < 30; round++) {
        Uart *u = &ports[round % 3];
        unsigned divisor = (unsigned)round % 5, flags = LOOPBACK | (round & 1 ? PARITY : 0);
        uart_init(u, divisor, flags);
        head = tail = 0;
        for (int i = 0; i < 20; i++) {
            uint8_t c = (uint8_t)rnd();
            unsigned start = ticks;
            CHECK(uart_put(u, c) == 0);
            CHECK(u->data == (round & 1 ? c | (uint32_t)parity(c) << 8 : c));
            CHECK(uart_get(u, 20) == c);
            CHECK(ticks - start <= divisor + 4);
            mix(c + (ticks - start));
        }
        CHECK(uart_get(u, 3) == -1 && head == 20 && tail == 20);
        CHECK(wait_ticks(17, u) == 17);
        for (int i = 0; i < 10; i++) mix(uart_put(u, (uint8_t)i));
        wait_ticks(10, u);
        CHECK((u->status & OVERRUN) && head - tail == 8);
        for (int i = 0; i < 8; i++) CHECK(uart_get(u, 1) == i);
        u->control &= ~(uint32_t)ENABLE;
        u->status &= ~(uint32_t)TX_EMPTY;
        wait_ticks(9, u);
        CHECK(!(u->status & TX_EMPTY));
    }
    uint32_t pattern[16];
    unsigned ones = 0;
    for (int i = 0; i < 16; i++) pattern[i] = rnd(), ones += 32 - (unsigned)__builtin_popcount(pattern[i]);
    CHECK(touch(&ports[0].data, pattern, 16) == ones && ports[0].data == 0);
    for (int n = 0; n < 40; n += 3) CHECK(local_counter(n) == 0);
    uint8_t plain[8];
    volatile uint8_t shadow[8];
    for (int i = 0; i < 8; i++) plain[i] = (uint8_t)rnd();
    copy_volatile(shadow, plain, 8);
    copy_volatile(fifo, shadow, 8);
    for (int i = 0; i < 8; i++) CHECK(fifo[i] == plain[i]);
    CHECK((fuse >> 12) + (fuse & 15) == 0xb + 0xc);
    mix(ticks);
    printf("digest %08x\n", digest);
    return 0;
}
