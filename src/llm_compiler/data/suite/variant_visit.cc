// A tagged union with placement new and visitors, an interpreter of a small tree language by visitor and by recursion.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>
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

template <class... T> class Variant {
    static constexpr size_t size = std::max({sizeof(T)...}), align = std::max({alignof(T)...});
    alignas(align) unsigned char bytes[size];
    int which = -1;

    template <class U, int i, class First, class... Rest> static constexpr int index() {
        if constexpr (std::is_same_v<U, First>) return i;
        else return index<U, i + 1, Rest...>();
    }
    template <class F> void each(F f) const {
        int i = 0;
        ((which == i++ ? (f(reinterpret_cast<const T *>(bytes)), 0) : 0), ...);
    }
    void destroy() {
        each([](const auto *p) { std::destroy_at(p); });
        which = -1;
    }

public:
    template <class U, class = std::enable_if_t<(std::is_same_v<U, T> || ...)>> Variant(U u) : which(index<U, 0,
        T...>()) {
        new (bytes) U(std::move(u));
    }
    Variant(const Variant &o) {
        o.each([this](const auto *p) { new (bytes) std::decay_t<decltype(*p)>(*p); });
        which = o.which;
    }
    Variant &operator=(const Variant &o) {
        if (this != &o) destroy(), new (this) Variant(o);
        return *this;
    }
    ~Variant() { destroy(); }
    int tag() const { return which; }
    template <class F> auto visit(F f) const {
        using R = decltype(f(std::declval<const std::tuple_element_t<0, std::tuple<T...>> &>()));
        R result{};
        each([&](const auto *p) { result = f(*p); });
        return result;
    }
};

static int alive;
struct Owned {
    std::vector<int> v;
    explicit Owned(int n) : v(static_cast<size_t>(n), n) { alive++; }
    Owned(const Owned &o) : v(o.v) { alive++; }
    ~Owned() { alive--; }
};
using Value = Variant<char, int64_t, double, Owned>;

NOINLINE static int64_t weigh(const Value &v) {
    struct {
        int64_t operator()(char c) { return c; }
        int64_t operator()(int64_t n) { return n * 2; }
        int64_t operator()(double d) { return static_cast<int64_t>(d * 4); }
        int64_t operator()(const Owned &o) { return static_cast<int64_t>(o.v.size()) * o.v.front(); }
    } visitor;
    return v.visit(visitor);
}

struct Number;
struct Operation;
struct Visitor {
    virtual ~Visitor() = default;
    virtual void see(const Number &) = 0;
    virtual void see(const Operation &) = 0;
};
struct Tree {
    virtual ~Tree() = default;
    virtual void accept(Visitor &) const = 0;
    virtual int64_t value(int64_t x) const = 0;
};
using Ptr = std::unique_ptr<Tree>;
struct Number final : Tree {
    int64_t n;  // 0 is the variable
    explicit Number(int64_t v) : n(v) {}
    void accept(Visitor &v) const override { v.see(*this); }
    int64_t value(int64_t x) const override { return n ? n : x; }
};
struct Operation final : Tree {
    char op;
    Ptr a, b;
    Operation(char o, Ptr p, Ptr q) : op(o), a(std::move(p)), b(std::move(q)) {}
    void accept(Visitor &v) const override { v.see(*this); }
    int64_t value(int64_t x) const override {
        int64_t l = a->value(x), r = b->value(x);
        return (op == '+' ? l + r : op == '-' ? l - r : l * r) % 100003;
    }
};
struct Evaluator : Visitor {
    std::vector<int64_t> stack;
    int64_t x;
    explicit Evaluator(int64_t v) : x(v) {}
    int64_t pop() { int64_t v = stack.back(); return stack.pop_back(), v; }
    void see(const Number &n) override { stack.push_back(n.n ? n.n : x); }
    void see(const Operation &o) override {
        o.b->accept(*this), o.a->accept(*this);
        int64_t l = pop(), r = pop();
        stack.push_back((o.op == '+' ? l + r : o.op == '-' ? l - r : l * r) % 100003);
    }
};

static Ptr grow(int depth) {
    uint32_t r = rnd();
    if (depth == 0 || r % 7 == 0) return std::make_unique<Number>(static_cast<int64_t>(r >> 8) % 50);
    Ptr a = grow(depth - 1), b = grow(depth - 1);
    return std::make_unique<Operation>("+-*"[r % 3], std::move(a), std::move(b));
}

int main() {
    for (int round = 0; round < 80; round++) {
        int64_t n = static_cast<int64_t>(rnd() % 100) + 1;
        Value values[] = {'a', n, n / 4.0, Owned(static_cast<int>(n))};
        const int64_t weights[] = {'a', n * 2, n, n * n};
        for (int i = 0; i < 16; i++) {
            Value copy = values[i % 4];
            const Value &same = copy = values[i / 4];
            copy = same;
            CHECK(copy.tag() == i / 4 && weigh(copy) == weights[i / 4]);
        }
        CHECK(alive == 1 && weigh(values[1]) == 2 * n);
        Ptr tree = grow(5);
        for (int64_t x = -3; x < 4; x++) {
            Evaluator e(x);
            tree->accept(e);
            CHECK(e.pop() == tree->value(x) && e.stack.empty());
            mix(static_cast<uint32_t>(tree->value(x)));
        }
    }
    CHECK(alive == 0);
    std::printf("digest %08x\n", digest);
    return 0;
}
