// Templates: expression templates, CRTP, variadic folds, specialisations, constexpr against run time, type lists.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <type_traits>

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

template <class E> struct Expression {
    const E &self() const { return static_cast<const E &>(*this); }
    uint32_t operator[](int i) const { return self().at(i); }
};

template <int N> struct Vec : Expression<Vec<N>> {
    std::array<uint32_t, N> v{};
    uint32_t at(int i) const { return v[static_cast<size_t>(i)]; }
    template <class E> Vec &operator=(const Expression<E> &e) {
        for (int i = 0; i < N; i++) v[static_cast<size_t>(i)] = e[i];
        return *this;
    }
    Vec() = default;
    template <class E> Vec(const Expression<E> &e) { *this = e; }
};

template <class A, class B, class Op> struct Binary : Expression<Binary<A, B, Op>> {
    const A &a;
    const B &b;
    Binary(const A &x, const B &y) : a(x), b(y) {}
    uint32_t at(int i) const { return Op::apply(a[i], b[i]); }
};
struct Plus { static uint32_t apply(uint32_t a, uint32_t b) { return a + b; } };
struct Times { static uint32_t apply(uint32_t a, uint32_t b) { return a * b; } };
struct Exclusive { static uint32_t apply(uint32_t a, uint32_t b) { return a ^ b; } };

template <class A, class B> auto operator+(const Expression<A> &a, const Expression<B> &b) {
    return Binary<A, B, Plus>(a.self(), b.self());
}
template <class A, class B> auto operator*(const Expression<A> &a, const Expression<B> &b) {
    return Binary<A, B, Times>(a.self(), b.self());
}
template <class A, class B> auto operator^(const Expression<A> &a, const Expression<B> &b) {
    return Binary<A, B, Exclusive>(a.self(), b.self());
}

template <class D> struct Counter {
    int count = 0;
    int step() { return count += static_cast<D *>(this)->stride(); }
};
struct ByTwo : Counter<ByTwo> { int stride() const { return 2; } };
struct Growing : Counter<Growing> { int stride() { return ++by; } int by = 0; };

template <class... T> NOINLINE static int64_t sum(T... v) { return (int64_t{0} + ... + v); }
template <class... T> static int alternating(T... v) {
    int sign = -1, total = 0;
    ((total += (sign = -sign) * v), ...);
    return total;
}
template <class T> constexpr const char *kind() {
    if constexpr (std::is_pointer_v<T>) return "pointer";
    else if constexpr (std::is_unsigned_v<T>) return "unsigned";
    else if constexpr (std::is_floating_point_v<T>) return "real";
    else return "other";
}

template <unsigned N> struct Fibonacci {
    static constexpr uint64_t value = Fibonacci<N - 1>::value + Fibonacci<N - 2>::value;
};
template <> struct Fibonacci<1> { static constexpr uint64_t value = 1; };
template <> struct Fibonacci<0> { static constexpr uint64_t value = 0; };

constexpr uint32_t hash(const char *s) {
    uint32_t h = 5381;
    while (*s) h = h * 33 ^ static_cast<unsigned char>(*s++);
    return h;
}
constexpr std::array<uint16_t, 64> squares() {
    std::array<uint16_t, 64> a{};
    for (unsigned i = 0; i < 64; i++) a[i] = static_cast<uint16_t>(i * i);
    return a;
}
static constexpr auto square_table = squares();
static constexpr uint32_t dispatch = hash("dispatch");

template <class T, T... values> struct List {
    static bool has(T x) { return ((x == values) || ...); }
    static constexpr size_t size = sizeof...(values);
};
template <class F, class T, class... Rest> static T fold(F f, T first, Rest... rest) {
    if constexpr (sizeof...(rest) == 0) return first;
    else return f(first, fold(f, rest...));
}

NOINLINE static uint64_t fibonacci(unsigned n) {
    uint64_t a = 0, b = 1;
    for (; n; n--) b += a, a = b - a;
    return a;
}

int main() {
    for (int round = 0; round < 100; round++) {
        Vec<8> a, b, c;
        for (auto *v : {&a, &b, &c})
            for (auto &x : v->v) x = rnd();
        Vec<8> r = a + b * c, s = (a ^ b) * (b + c) + a;
        for (int i = 0; i < 8; i++) {
            CHECK(r[i] == a[i] + b[i] * c[i] && s[i] == (a[i] ^ b[i]) * (b[i] + c[i]) + a[i]);
            mix(r[i] ^ s[i]);
        }
        a = a + a * a;  // reads what it writes, element by element
        CHECK(((a ^ b)[3]) == (a[3] ^ b[3]));
        ByTwo two;
        Growing growing;
        for (int i = 0; i < round; i++) two.step(), growing.step();
        CHECK(two.count == 2 * round && growing.count == round * (round + 1) / 2);
        int x = static_cast<int>(rnd() % 1000);
        CHECK(sum(x, short{-3}, 5L, static_cast<unsigned char>(200), x) == 2 * x + 202 && sum() == 0);
        CHECK(alternating(x, 1, 2, 3) == x - 2 && alternating(x) == x && square_table[x % 64] == (x % 64) * (x % 64));
        CHECK((List<int, 2, 3, 5, 7, 11>::has(x % 13)) == (x % 13 == 2 || x % 13 == 3 || x % 13 == 5 || x % 13 == 7 ||
                                                           x % 13 == 11));
        CHECK(fold([](int p, int q) { return p - q; }, x, 10, 3) == x - 7);
    }
    volatile unsigned n = 90;
    CHECK(fibonacci(n) == Fibonacci<90>::value && hash(n > 5 ? "dispatch" : "") == dispatch);
    CHECK(kind<int *>()[0] == 'p' && kind<size_t>()[0] == 'u' && kind<float>()[0] == 'r' && kind<int>()[0] == 'o');
    std::printf("digest %08x\n", digest);
    return 0;
}
