// Multiple and virtual inheritance: diamonds, thunks, offsets of bases, construction order, casts across and down.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <typeinfo>

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

static char order[64];
static int order_length;
static void note(char c) { order[order_length++] = c, order[order_length] = 0; }

struct Top {
    int64_t top;
    explicit Top(int v = -1) : top(v) { note('T'); }
    virtual ~Top() { note('t'); }
    virtual int id() const { return 1; }
};
struct Left : virtual Top {
    int left[3];
    explicit Left(int v) : Top(v + 100), left{v, v + 1, v + 2} { note('L'), seen = id(); }
    ~Left() override { note('l'); }
    int id() const override { return 2; }
    virtual int sum() const { return left[0] + left[1] + left[2]; }
    int seen;
};
struct Right : virtual Top {
    char right;
    explicit Right(int v) : right(static_cast<char>(v)) { note('R'); }
    ~Right() override { note('r'); }
    virtual int sum() const { return right; }
    virtual Top *as_top() { return this; }
};
struct Bottom : Left, Right {
    int16_t bottom = 7;
    explicit Bottom(int v) : Top(v * 2), Left(v), Right(v & 31) { note('B'); }
    ~Bottom() override { note('b'); }
    int id() const override { return 4; }
    int sum() const override { return Left::sum() + Right::sum() + bottom; }
    Bottom *as_top() override { return this; }
};
struct Extra {
    virtual int extra(int x) const { return x; }
    virtual ~Extra() = default;
    int pad = 3;
};
struct Deep : Bottom, Extra {
    explicit Deep(int v) : Top(v * 3), Bottom(v) {}
    int id() const override { return 5 + pad; }
    int extra(int x) const override { return x * id() + static_cast<int>(top); }
};
struct Printer { virtual ~Printer() = default; virtual int print(int) = 0; };
struct Logger { virtual ~Logger() = default; virtual int print(int) = 0; int lines = 0; };
struct Console : Printer, Logger { int print(int n) override { return lines += n, lines * 2; } };

NOINLINE static int through_left(const Left &l) { return l.sum() * 10 + l.id(); }
NOINLINE static int through_right(const Right &r) { return r.sum() * 10 + r.id(); }
static int through_top(const Top &t) { return static_cast<int>(t.top) * 10 + t.id(); }
static int through_extra(const Extra *e, int x) { return e->extra(x); }
NOINLINE static int print_both(Printer *p, Logger *l) { return p->print(1) * 100 + l->print(2); }

static Left *cross(Right *r) { return dynamic_cast<Left *>(r); }

static bool ordered(const char *wanted) {
    bool same = !std::strcmp(order, wanted);
    order_length = 0;
    return same;
}

int main() {
    for (int round = 0; round < 50; round++) {
        int v = static_cast<int>(rnd() % 1000), small = v & 31;
        {
            Bottom b(v);
            CHECK(ordered("TLRB") && b.seen == 2);
            CHECK(through_left(b) == (3 * v + 3 + small + 7) * 10 + 4);
            CHECK(through_right(b) == through_left(b) && through_top(b) == 20 * v + 4);
            Right *r = &b;
            CHECK(cross(r) == &b && r->as_top() == static_cast<Top *>(&b) && cross(r)->left[2] == v + 2);
            CHECK(static_cast<void *>(r) != static_cast<void *>(cross(r)));
            CHECK(dynamic_cast<void *>(r) == dynamic_cast<void *>(static_cast<Left *>(&b)));
            mix(static_cast<uint32_t>(through_right(*r)));
        }
        CHECK(ordered("brlt"));
        {
            Right alone(small);
            CHECK(ordered("TR") && alone.top == -1 && !cross(&alone) && through_right(alone) == small * 10 + 1);
            Left other(v);
            CHECK(other.top == v + 100 && other.seen == 2 && through_left(other) == (3 * v + 3) * 10 + 2);
        }
        CHECK(ordered("TLltrt"));
        Deep *d = new Deep(v);
        CHECK(through_top(*d) == 30 * v + 8 && through_extra(d, small) == small * 8 + 3 * v);
        CHECK(through_left(*d) == (3 * v + 3 + small + 7) * 10 + 8);
        Extra *e = d;
        CHECK(dynamic_cast<Deep *>(e) == d && dynamic_cast<Right *>(e) == static_cast<Right *>(d));
        CHECK(typeid(*e) == typeid(Deep) && typeid(*e) != typeid(Bottom) && !dynamic_cast<Console *>(e));
        mix(static_cast<uint32_t>(through_extra(e, v)));
        delete static_cast<Top *>(d);
        CHECK(ordered("TLRBbrlt"));
        Console c;
        CHECK(print_both(&c, &c) == 206 && c.lines == 3);
    }
    std::printf("digest %08x\n", digest);
    return 0;
}
