// Exceptions: unwinding runs destructors in reverse order, also of half-built objects, arrays, temporaries and members.
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

static char trace[256];
static int length, live;

static void note(char c) { trace[length++] = c, trace[length] = 0; }
static bool traced(const char *wanted) {
    bool same = !std::strcmp(trace, wanted);
    for (const char *p = trace; *p; p++) mix(static_cast<unsigned char>(*p));
    length = 0, trace[0] = 0;
    return same;
}

static volatile int fuse;
static void burn() { if (fuse && --fuse == 0) throw fuse + 42; }

struct Part {
    char name;
    explicit Part(char n) : name(n) { burn(), live++, note(n); }
    Part(const Part &other) : name(static_cast<char>(other.name - 32)) { burn(), live++, note(name); }
    Part &operator=(const Part &) = delete;
    ~Part() { live--, note(static_cast<char>(name ^ 0x11)); }
};

struct Whole {
    Part a{'a'}, b{'b'};
    Part c;
    explicit Whole(char last) : c(last) { note('!'), burn(); }
    ~Whole() { note('~'); }
};

struct Derived : Whole {
    Part d{'d'};
    Derived() : Whole('c') { burn(); }
};

struct Slots {
    Part parts[3] = {Part('x'), Part('y'), Part('z')};
};

NOINLINE static int build_derived(int at) {
    fuse = at;
    try {
        Derived object;
        note('+');
    } catch (int code) {
        note('c');
        return code;
    }
    return 0;
}

static int build_slots(int at) {
    fuse = at;
    try {
        Slots slots;
        return static_cast<int>(slots.parts[1].name);
    } catch (int) {
        return -1;
    }
}

NOINLINE static void pass(Part p, int depth) {
    Part local(static_cast<char>('0' + depth));
    if (depth == 0) throw p.name;
    pass(p, depth - 1);
    note('?');  // never
}

static char through_temporaries(int at) {
    fuse = at;
    try {
        pass(Part('p'), 2);
    } catch (char c) {
        return c;
    } catch (...) {
        return '*';
    }
    return '-';
}

struct Finally {
    int &count;
    ~Finally() { count++; }
};

static int loop(int stop) {
    int count = 0;
    for (int i = 0; i < 10; i++) {
        Finally f{count};
        try {
            if (i == stop) throw i;
            if (i == stop + 2) break;
            if (i & 1) continue;
            count += 10;
        } catch (int v) {
            count += 100 * v;
        }
    }
    return count;
}

NOINLINE static Part *make(int at) {
    fuse = at;
    try {
        return new Part('n');
    } catch (int) {
        return nullptr;
    }
}

int main() {
    CHECK(build_derived(0) == 0 && traced("abc!d+u~rsp"));
    CHECK(build_derived(1) == 42 && traced("c"));
    CHECK(build_derived(2) == 42 && traced("apc"));
    CHECK(build_derived(3) == 42 && traced("abspc"));
    CHECK(build_derived(4) == 42 && traced("abc!rspc"));
    CHECK(build_derived(5) == 42 && traced("abc!~rspc"));
    CHECK(build_derived(6) == 42 && traced("abc!du~rspc"));
    CHECK(build_slots(0) == 'y' && traced("xyzkhi") && build_slots(3) == -1 && traced("xyhi"));
    CHECK(through_temporaries(0) == static_cast<char>('p' - 64));
    for (int at = 0; at < 8; at++) mix(static_cast<unsigned char>(through_temporaries(at)));
    for (const char *p = trace; *p; p++) mix(static_cast<unsigned char>(*p)), CHECK(*p != '?');
    length = 0;
    for (int stop = 0; stop < 10; stop++) {
        int count = 0, last = stop + 2 < 10 ? stop + 2 : 9;
        for (int i = 0; i <= last; i++) count += 1 + (i != stop && i != stop + 2 && i % 2 == 0 ? 10 : 0);
        CHECK(loop(stop) == count + 100 * stop);
        mix(static_cast<uint32_t>(rnd() % 7 + static_cast<uint32_t>(loop(stop))));
    }
    Part *p = make(0);
    CHECK(p && !make(1) && live == 1);
    delete p;
    CHECK(live == 0);
    std::printf("digest %08x\n", digest);
    return 0;
}
