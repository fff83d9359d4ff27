// Static initialisation: order in a file, guarded locals, recursion of initialisers that throw, thread_local, at exit.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

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

static char order[40];
static int at;
static void note(char c) { order[at++] = c, order[at] = 0; }

struct Global {
    char name;
    int value;
    Global(char n, int v) : name(n), value(v) { note(n); }
    ~Global() {
        note(static_cast<char>(name - 32));
        if (name == 'a') std::printf("%s %08x\n", order, digest);  // the first to be built is the last to go
    }
};

static int compute(int x) {
    volatile int v = x;
    return v * v;
}

static Global first('a', compute(3));
static Global second('b', first.value + 1);
static int plain = second.value * 2;
constexpr int folded = 6 * 7;
static const int dynamic = compute(folded) + plain;
static int *reference_target = &plain;
static int &reference = *reference_target;

static int attempts;
struct Risky {
    int value;
    explicit Risky(int v) : value(v) {
        attempts++;
        if (attempts < 3) throw attempts;
    }
};

NOINLINE static int risky(int v) {
    static Risky r(v);
    return r.value;
}

static Global &lazy(int v) {
    static Global g('l', v);
    return g;
}

template <int N> struct Registry {
    static int count;
    static int next() { return count += N; }
};
template <int N> int Registry<N>::count = compute(N);

inline int shared_inline() {
    static int calls = compute(2);
    return ++calls;
}

NOINLINE static int nested(int n) {
    static int deepest = 0;
    static const int start = compute(n);
    if (n > deepest) deepest = n;
    return n == 0 ? start * 100 + deepest : nested(n - 1);
}

static thread_local int per_thread = compute(5);
struct Member {
    int base = next++;
    int twice = base * 2;
    int list[3] = {base, twice, base + twice};
    static int next;
};
int Member::next = 10;
static Member members[3];

struct alignas(16) Arena {
    unsigned char bytes[64];
    size_t used = 0;
};
static Arena arena;
struct Pooled {
    int64_t a, b;
    static void *operator new(size_t n) {
        void *p = arena.bytes + arena.used;
        arena.used += n;
        return p;
    }
    static void operator delete(void *, size_t n) { arena.used -= n; }
};

static int sum_all() {
    int total = 0;
    for (const Member &m : members)
        for (int v : m.list) total += v;
    return total;
}

int main() {
    CHECK(!std::strcmp(order, "ab") && first.value == 9 && second.value == 10 && plain == 20 &&
          dynamic == 42 * 42 + 20);
    reference += 5;
    CHECK(plain == 25 && &reference == &plain);
    for (int i = 1; i <= 4; i++) {
        int result = 0;
        try {
            result = risky(i * 11);
        } catch (int a) {
            result = -a;
        }
        CHECK(result == (i < 3 ? -i : 33) && attempts == (i < 3 ? i : 3));
    }
    CHECK(&lazy(5) == &lazy(6) && lazy(7).value == 5 && !std::strcmp(order, "abl"));
    CHECK(Registry<3>::count == 9 && Registry<3>::next() == 12 && Registry<5>::next() == 30 &&
          Registry<3>::next() == 15);
    CHECK(shared_inline() == 5 && shared_inline() == 6 && nested(4) == 1604 && nested(2) == 1604 && nested(9) == 1609);
    CHECK(per_thread == 25 && ++per_thread == 26);
    CHECK(sum_all() == (10 + 11 + 12) * 6 && Member::next == 13 && Member{}.list[2] == 39);
    for (int i = 0; i < 50; i++) {
        auto *p = new Pooled{i, static_cast<int64_t>(rnd())};
        auto *q = new Pooled{p->b, p->a};
        CHECK(q - p == 1 && q->b == i && arena.used == 2 * sizeof(Pooled));
        mix(static_cast<uint32_t>(q->a));
        delete q;
        delete p;
        CHECK(arena.used == 0 && lazy(i).value == 5 + i);
        lazy(0).value++;
    }
    return 0;
}
