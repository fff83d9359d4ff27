// Lambdas: captures by value and reference, mutable state, generic, recursive, returned, a type-erased function class.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

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

template <class> class Function;
template <class R, class... A> class Function<R(A...)> {
    struct Base {
        virtual ~Base() = default;
        virtual R call(A...) = 0;
        virtual std::unique_ptr<Base> clone() const = 0;
    };
    template <class F> struct Holder final : Base {
        F f;
        explicit Holder(F g) : f(std::move(g)) {}
        R call(A... a) override { return f(static_cast<A>(a)...); }
        std::unique_ptr<Base> clone() const override { return std::make_unique<Holder>(f); }
    };
    std::unique_ptr<Base> held;

public:
    Function() = default;
    template <class F> Function(F f) : held(new Holder<F>(std::move(f))) {}
    Function(const Function &o) : held(o.held ? o.held->clone() : nullptr) {}
    Function(Function &&) noexcept = default;
    Function &operator=(Function o) noexcept { return held.swap(o.held), *this; }
    explicit operator bool() const { return held != nullptr; }
    R operator()(A... a) const { return held->call(a...); }
};

NOINLINE static Function<int(int)> adder(int by) { return [by](int x) { return x + by; }; }
static Function<int(int)> compose(Function<int(int)> f, Function<int(int)> g) {
    return [f = std::move(f), g = std::move(g)](int x) { return f(g(x)); };
}
template <class F> NOINLINE static int64_t apply(F &&f, int n) {
    int64_t total = 0;
    for (int i = 0; i < n; i++) total += f(i);
    return total;
}
static int plain(int x) { return x * x - 1; }

struct Machine {
    int state = 0;
    Function<void(int)> actions[3];
    Machine() {
        actions[0] = [this](int x) { state += x; };
        actions[1] = [this](int x) { state ^= x; };
        actions[2] = [this](int) { if (state & 1) actions[0](5); else actions[1](9); };
    }
    Machine(const Machine &) = delete;
    Machine &operator=(const Machine &) = delete;
};

int main() {
    for (int round = 0; round < 100; round++) {
        int a = static_cast<int>(rnd() % 1000), b = static_cast<int>(rnd() % 1000), n = round % 20;
        auto by_value = [=](int x) { return a * x + b; };
        auto by_reference = [&](int x) { return a * x + b; };
        int before = a;
        a += 7;
        CHECK(by_value(3) == before * 3 + b && by_reference(3) == a * 3 + b);
        CHECK(apply(by_value, n) == int64_t{before} * n * (n - 1) / 2 + int64_t{b} * n);
        auto counter = [count = 0]() mutable { return ++count; };
        auto second = counter;
        counter(), counter();
        CHECK(counter() == 3 && second() == 1);
        int calls = 0;
        CHECK(apply([&calls, k = a](int i) { return calls++, i ^ k; }, n) == apply([a](int i) { return a ^ i; }, n));
        CHECK(calls == n && apply(plain, n) == apply([](int x) { return plain(x); }, n));
        Function<int(int)> f = adder(a), g = compose(adder(b), f), h = compose(g, plain), k = h;
        f = Function<int(int)>(plain);
        CHECK(g(1) == 1 + a + b && h(n) == n * n - 1 + a + b && k(2) == 3 + a + b && f(4) == 15);
        h = Function<int(int)>();
        CHECK(!h && k && g(0) == a + b);
        auto state = std::make_unique<int>(b);
        auto owner = [p = std::move(state)](int by) { return *p += by; };
        owner(1);
        CHECK(owner(a) == b + 1 + a && !state);
        auto factorial = [](auto self, int m) -> int64_t { return m < 2 ? 1 : m * self(self, m - 1); };
        int64_t product = 1;
        for (int i = 2; i <= n % 15; i++) product *= i;
        CHECK(factorial(factorial, n % 15) == product);
        auto pick = [](auto x, auto y) { return x < y ? y : x; };
        CHECK(pick(a, b) == (a < b ? b : a) && pick(1.5, 2.5) == 2.5 && pick('a', 'b') == 'b');
        int (*pointer)(int) = [](int x) { return -x; };
        CHECK(pointer(a) == -a);
        Machine m;
        int model = 0;
        for (int i = 0; i < 12; i++) {
            int x = static_cast<int>(rnd() % 3), value = a + i;
            m.actions[x](value);
            if (x == 0) model += value;
            else if (x == 1) model ^= value;
            else model = model & 1 ? model + 5 : model ^ 9;
            CHECK(m.state == model);
        }
        mix(static_cast<uint32_t>(model + g(n)) ^ static_cast<uint32_t>(product));
    }
    std::printf("digest %08x\n", digest);
    return 0;
}
