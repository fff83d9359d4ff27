// Pointers to members, data and functions, virtual and not, through bases; tables of states; ref qualifiers.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

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

struct Counter {
    int hits = 0, misses = 0;
    virtual ~Counter() = default;
    virtual int apply(int x) { return hits += x; }
    int drop(int x) { return misses += x, hits -= x; }
    int total() const { return hits * 1000 + misses; }
};
struct Padding { virtual int unused() { return 0; } int pad[3] = {1, 2, 3}; virtual ~Padding() = default; };
struct Doubler : Counter, Padding {
    int factor = 2;
    int apply(int x) override { return Counter::apply(x * factor); }
    int change(int x) { return factor = x % 5 + 1; }
};

using Method = int (Counter::*)(int);
using Field = int Counter::*;

NOINLINE static int invoke(Counter &c, Method m, int x) { return (c.*m)(x); }
static int read(const Counter &c, Field f) { return c.*f; }
static void write(Counter *c, Field f, int v) { c->*f = v; }

static const Method methods[] = {&Counter::apply, &Counter::drop, static_cast<Method>(&Doubler::change)};
static const Field fields[] = {&Counter::hits, &Counter::misses, static_cast<Field>(&Doubler::factor)};

// A protocol machine: a state is a member function that returns the next.
class Parser {
    struct Next { Next (Parser::*state)(char); };
    Next state{&Parser::blank};
    int sign = 1, value = 0;

    Next blank(char c) {
        if (c == '-') return sign = -1, Next{&Parser::digits};
        if (c >= '0' && c <= '9') return digits(c);
        if (c == '#') return {&Parser::comment};
        return {&Parser::blank};
    }
    Next digits(char c) {
        if (c >= '0' && c <= '9') return value = value * 10 + (c - '0'), Next{&Parser::digits};
        sum += sign * value, count++;
        sign = 1, value = 0;
        return blank(c);
    }
    Next comment(char c) { return {c == '\n' ? &Parser::blank : &Parser::comment}; }

public:
    int sum = 0, count = 0;
    void feed(const char *text) {
        for (; *text; text++) state = (this->*state.state)(*text);
    }
    bool idle() const { return state.state == &Parser::blank; }
};

struct Text {
    int n = 0;
    int kind() & { return 1 + n; }
    int kind() const & { return 2 + n; }
    int kind() && { return 3 + n; }
    Text &operator++() { return n++, *this; }
    Text operator++(int) { Text old = *this; return n++, old; }
    int operator()(int a, int b) const { return n + a * b; }
    int operator[](const char *s) const { return n + static_cast<int>(std::strlen(s)); }
    explicit operator bool() const { return n % 2 != 0; }
    Text *operator->() { return this; }
};

template <class T, class R> static R total(const T *items, int n, R T::*field) {
    R sum{};
    for (int i = 0; i < n; i++) sum += items[i].*field;
    return sum;
}
template <class T, class... A> static int fold(T &object, int (T::*const (&list)[2])(A...), A... a) {
    int sum = 0;
    for (auto m : list) sum = sum * 7 + (object.*m)(a...);
    return sum;
}

int main() {
    for (int round = 0; round < 100; round++) {
        Counter plain;
        Doubler doubler;
        int hits = 0, misses = 0, factor = 2;
        for (int i = 0; i < 12; i++) {
            uint32_t r = rnd();
            int x = static_cast<int>(r >> 8) % 50, which = static_cast<int>(r % 3);
            if (which == 0) hits += x * factor;
            else if (which == 1) misses += x, hits -= x;
            else factor = x % 5 + 1;
            CHECK(invoke(doubler, methods[which], x) == (which == 2 ? factor : hits));
            if (which < 2) invoke(plain, methods[which], x);
            CHECK(read(doubler, fields[0]) == hits && read(doubler, fields[1]) == misses &&
                  read(doubler, fields[2]) == factor);
        }
        CHECK(doubler.pad[0] + doubler.pad[1] + doubler.pad[2] == 6 && plain.misses == misses);
        write(&doubler, fields[round % 3], 77);
        CHECK(doubler.*static_cast<int Doubler::*>(fields[round % 3]) == 77);
        int (Counter::*reader)() const = &Counter::total;
        const Counter &view = doubler;
        CHECK((view.*reader)() == doubler.hits * 1000 + doubler.misses);
        mix(static_cast<uint32_t>((view.*reader)() + factor));
        Parser p;
        char text[64];
        int a = static_cast<int>(rnd() % 2000) - 1000, b = static_cast<int>(rnd() % 100);
        std::snprintf(text, sizeof text, " %d,%d #12\n 7-%d ", a, b, b);
        p.feed(text);
        CHECK(p.sum == a + 7 && p.count == 4 && p.idle());
        std::snprintf(text, sizeof text, "%d", b);
        p.feed(text);
        CHECK(!p.idle() && p.count == 4);
        Text t;
        const Text &constant = t;
        ++t, t++;
        CHECK(t++.n == 2 && t.kind() == 4 && constant.kind() == 5 && Text{}.kind() == 3 && t(a, b) == 3 + a * b);
        CHECK(t["four"] == 7 && t && (++t)->n == 4 && !t);
        Counter items[4];
        for (int i = 0; i < 4; i++) items[i].hits = a + i, items[i].misses = b * i;
        CHECK(total(items, 4, &Counter::hits) == 4 * a + 6 && total(items, 4, &Counter::misses) == 6 * b);
        static constexpr int (Counter::*pair[2])(int) = {&Counter::apply, &Counter::drop};
        CHECK(fold(items[0], pair, b) == (a + b) * 7 + a && methods[0] == pair[0] && methods[1] != pair[0]);
        mix(static_cast<uint32_t>(items[0].hits));
    }
    std::printf("digest %08x\n", digest);
    return 0;
}
