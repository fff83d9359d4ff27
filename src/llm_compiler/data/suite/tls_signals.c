// flags: -pthread
// Thread-local variables with threads, mutexes and conditions; signal handlers by raise; atomics of C11.
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
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

enum { THREADS = 4, ROUNDS = 400 };

static _Thread_local uint32_t local_sum = 7;
static _Thread_local struct { int calls; uint32_t last[4]; } scratch;
static uint32_t shared_total;
static atomic_uint counter, maximum, bits, spin_flag;
static atomic_flag lock_flag = ATOMIC_FLAG_INIT;
static uint32_t guarded, queue[8];
static int queued, taken;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int once_count;

static void run_once(void) { once_count++; }

NOINLINE static uint32_t step(uint32_t v) {
    scratch.last[scratch.calls++ & 3] = v;
    return local_sum = local_sum * 31 + v;
}

static void raise_maximum(uint32_t v) {
    uint32_t seen = atomic_load(&maximum);
    while (v > seen && !atomic_compare_exchange_weak(&maximum, &seen, v)) {}
}

static void *worker(void *argument) {
    uint32_t id = *(const uint32_t *)argument;
    pthread_once(&once, run_once);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        step(i * (id + 1));
        atomic_fetch_add_explicit(&counter, i & 3, memory_order_relaxed);
        raise_maximum(i * 4 + id);
        atomic_fetch_xor(&bits, 1u << (i + id) % 32);
        if (i % 8 == 0) {
            while (atomic_flag_test_and_set_explicit(&lock_flag, memory_order_acquire)) {}
            guarded += id + 1;
            atomic_flag_clear_explicit(&lock_flag, memory_order_release);
        }
    }
    pthread_mutex_lock(&mutex);
    shared_total += local_sum;
    pthread_mutex_unlock(&mutex);
    return (void *)(uintptr_t)scratch.calls;
}

static uint32_t worker_model(uint32_t id) {
    uint32_t s = 7;
    for (uint32_t i = 0; i < ROUNDS; i++) s = s * 31 + i * (id + 1);
    return s;
}

static void *producer(void *argument) {
    for (uint32_t i = 1; i <= 100; i++) {
        pthread_mutex_lock(&mutex);
        while (queued - taken == 8) pthread_cond_wait(&not_full, &mutex);
        queue[queued++ % 8] = i * i;
        pthread_cond_signal(&not_empty);
        pthread_mutex_unlock(&mutex);
    }
    return argument;
}

static uint32_t consume(void) {
    uint32_t sum = 0;
    while (taken < 100) {
        pthread_mutex_lock(&mutex);
        while (queued == taken) pthread_cond_wait(&not_empty, &mutex);
        sum = sum * 3 + queue[taken++ % 8];
        pthread_cond_signal(&not_full);
        pthread_mutex_unlock(&mutex);
    }
    return sum;
}

// Message passing: the data is plain, the flag is released and acquired.
static uint32_t message[4];
static void *sender(void *argument) {
    for (uint32_t i = 0; i < 4; i++) message[i] = (i + 1) * 0x01010101u;
    atomic_store_explicit(&spin_flag, 1, memory_order_release);
    return argument;
}

static volatile sig_atomic_t caught, depth;
static void on_signal(int number) {
    caught = caught * 10 + (number == SIGUSR1 ? 1 : 2);
    if (number == SIGUSR1 && depth++ == 0) raise(SIGUSR2);
}

int main(void) {
    pthread_t threads[THREADS], other;
    uint32_t ids[THREADS], total = 0, model = 0, flips = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        ids[i] = i;
        total += worker_model(i);
        CHECK(pthread_create(&threads[i], NULL, worker, &ids[i]) == 0);
    }
    step(5);
    for (int i = 0; i < THREADS; i++) {
        void *result;
        CHECK(pthread_join(threads[i], &result) == 0 && (uintptr_t)result == ROUNDS);
        for (uint32_t k = 0; k < ROUNDS; k++) flips ^= 1u << (k + (uint32_t)i) % 32;
    }
    CHECK(local_sum == 7 * 31 + 5 && scratch.calls == 1 && scratch.last[0] == 5 && once_count == 1);
    CHECK(shared_total == total && counter == THREADS * ROUNDS / 4 * 6 && maximum == (ROUNDS - 1) * 4 + THREADS - 1);
    CHECK(bits == flips && guarded == 10 * ROUNDS / 8);
    CHECK(pthread_create(&other, NULL, producer, NULL) == 0);
    for (uint32_t i = 1; i <= 100; i++) model = model * 3 + i * i;
    CHECK(consume() == model && pthread_join(other, NULL) == 0);
    CHECK(pthread_create(&other, NULL, sender, NULL) == 0);
    while (!atomic_load_explicit(&spin_flag, memory_order_acquire)) {}
    for (uint32_t i = 0; i < 4; i++) CHECK(message[i] == (i + 1) * 0x01010101u);
    CHECK(pthread_join(other, NULL) == 0);
    CHECK(signal(SIGUSR1, on_signal) != SIG_ERR && signal(SIGUSR2, on_signal) != SIG_ERR);
    for (volatile int i = 0; i < 3; i++) CHECK(raise(i == 1 ? SIGUSR2 : SIGUSR1) == 0);
    CHECK(caught == 1221 && depth == 2);
    CHECK(signal(SIGUSR2, SIG_IGN) == on_signal && raise(SIGUSR2) == 0 && caught == 1221);
    atomic_uint a = rnd();
    uint32_t v = a, expected = v + 1;
    CHECK(atomic_exchange(&a, v + 9) == v && !atomic_compare_exchange_strong(&a, &expected, 1) && expected == v + 9);
    CHECK(atomic_fetch_sub(&a, 4) == v + 9 && atomic_fetch_and(&a, 0xff) == v + 5 &&
          atomic_fetch_or(&a, 0x100) == ((v + 5) & 0xff));
    mix(shared_total ^ model), mix(bits ^ guarded), mix(a + (uint32_t)caught);
    printf("digest %08x\n", digest);
    return 0;
}
