// flags: -pthread
// Threads of the standard library: atomics, a stack without locks, channels, futures with exceptions, thread_local.
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <future>
#include <mutex>
#include <thread>
#include <vector>

#define NOINLINE __attribute__((noinline))
#define CHECK(ok) ((ok) ? (void)0 : fail(__LINE__, #ok))

static uint32_t digest = 2166136261u;
static volatile uint32_t seed = 2463534242u;

[[noreturn]] static void fail(int line, const char *what) { std::printf("line %d: %s\n", line, what), std::exit(1); }
static void mix(uint32_t value) { digest = (digest ^ value) * 16777619u ^ digest >> 15; }
NOINLINE static uint32_t rnd() {
    uint32_t x = seed;
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    seed = x;
    return x;
}

static std::atomic<uint32_t> counter{0}, largest{0};
static std::atomic<int64_t> balance{0};
static std::mutex guard;
static thread_local uint32_t own = 3;

template <class T> class Channel {
    std::vector<T> items;
    std::mutex lock;
    std::condition_variable changed;
    bool closed = false;

public:
    void put(T v) {
        std::lock_guard<std::mutex> hold(lock);
        items.push_back(std::move(v));
        changed.notify_one();
    }
    void close() {
        std::lock_guard<std::mutex> hold(lock);
        closed = true;
        changed.notify_all();
    }
    bool get(T &v) {
        std::unique_lock<std::mutex> hold(lock);
        changed.wait(hold, [this] { return closed || !items.empty(); });
        if (items.empty()) return false;
        v = std::move(items.back());
        items.pop_back();
        return true;
    }
};

// A stack without locks; nodes come from an array and are used once.
struct Node { uint32_t value; Node *next; };
static std::atomic<Node *> top{nullptr};
static Node nodes[400];

static void push(Node *n) {
    n->next = top.load(std::memory_order_relaxed);
    while (!top.compare_exchange_weak(n->next, n, std::memory_order_release, std::memory_order_relaxed)) {}
}

NOINLINE static void work(uint32_t id) {
    for (uint32_t i = 0; i < 100; i++) {
        own = own * 17 + id + i;
        counter.fetch_add(i % 5, std::memory_order_relaxed);
        balance.fetch_add(id & 1 ? -static_cast<int64_t>(i) : static_cast<int64_t>(i) * 1000000007,
                          std::memory_order_acq_rel);
        uint32_t seen = largest.load();
        while (seen < own && !largest.compare_exchange_strong(seen, own)) {}
        nodes[id * 100 + i].value = id * 1000 + i;
        push(&nodes[id * 100 + i]);
    }
}

static uint32_t model(uint32_t id, uint32_t &peak) {
    uint32_t v = 3;
    for (uint32_t i = 0; i < 100; i++) {
        v = v * 17 + id + i;
        if (v > peak) peak = v;
    }
    return v;
}

static uint32_t risky(uint32_t v) {
    if (v % 3 == 0) throw static_cast<int>(v);
    return v * v;
}

int main() {
    uint32_t peak = 0, finals[4], results[4] = {};
    for (uint32_t id = 0; id < 4; id++) finals[id] = model(id, peak);
    std::vector<std::thread> threads;
    for (uint32_t id = 0; id < 4; id++)
        threads.emplace_back([id, &results] {
            work(id);
            std::lock_guard<std::mutex> hold(guard);
            results[id] = own;
        });
    for (auto &t : threads) t.join();
    CHECK(!std::memcmp(results, finals, sizeof results) && own == 3 && counter == 4 * 200 && largest == peak);
    CHECK(balance == 2 * 4950 * int64_t{1000000007} - 2 * 4950);
    uint32_t seen = 0, last[4] = {100, 100, 100, 100};
    for (Node *n = top.exchange(nullptr); n; n = n->next, seen++) {
        uint32_t id = n->value / 1000, i = n->value % 1000;
        CHECK(i + 1 == last[id]);  // every thread's nodes are in reverse
        last[id] = i;
    }
    CHECK(seen == 400 && top.load() == nullptr);

    Channel<uint32_t> work_items, answers;
    std::thread squares[2];
    for (auto &t : squares)
        t = std::thread([&] {
            for (uint32_t v; work_items.get(v);) answers.put(v * v);
        });
    uint32_t sum = 0, wanted = 0;
    for (uint32_t i = 0; i < 60; i++) {
        uint32_t v = rnd() % 1000;
        wanted += v * v;
        work_items.put(v);
    }
    work_items.close();
    for (auto &t : squares) t.join();
    answers.close();
    for (uint32_t v; answers.get(v);) sum += v;
    CHECK(sum == wanted);
    mix(sum);

    for (uint32_t i = 0; i < 6; i++) {
        auto future = std::async(std::launch::async, risky, i);
        int caught = -1;
        uint32_t value = 0;
        try {
            value = future.get();
        } catch (int v) {
            caught = v;
        }
        CHECK(i % 3 == 0 ? caught == static_cast<int>(i) : value == i * i && caught == -1);
        mix(value);
    }
    std::promise<std::vector<int>> promise;
    auto future = promise.get_future();
    std::thread maker([&promise] { promise.set_value({1, 2, 3}); });
    maker.join();
    CHECK(future.get().back() == 3);
    for (uint32_t v : finals) mix(v);
    std::printf("digest %08x\n", digest);
    return 0;
}
