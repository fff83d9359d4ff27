// Exceptions: which handler catches; bases, pointers, rethrow, nested throws, function try blocks, noexcept.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
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

struct Error { virtual ~Error() = default; virtual int code() const { return 1; } int detail = 0; };
struct Io : Error { int code() const override { return 2; } };
struct Timeout : virtual Io { int code() const override { return 3; } int after = 5; };
struct Reset : virtual Io { int code() const override { return 4; } };
struct Both : Timeout, Reset { int code() const override { return 5; } };
class Hidden : Error {};

NOINLINE static void raise(int kind) {
    switch (kind) {
    case 0: return;
    case 1: throw Error();
    case 2: throw Io();
    case 3: throw Timeout();
    case 4: throw Reset();
    case 5: throw Both();
    case 6: throw Hidden();
    case 7: throw 7;
    case 8: throw 8L;
    case 9: throw "nine";
    case 10: { static Timeout t; throw &t; }
    case 11: throw static_cast<void *>(nullptr);
    case 12: throw std::bad_alloc();
    default: throw static_cast<unsigned char>(kind);
    }
}

static int which(int kind) {
    try {
        raise(kind);
    } catch (const Timeout &e) {
        return 300 + e.code() * 10 + e.after;
    } catch (Io &e) {
        return 200 + e.code();
    } catch (const Error &e) {
        Error sliced = e;
        return 100 + e.code() * 10 + sliced.code();
    } catch (int v) {
        return 400 + v;
    } catch (const char *s) {
        return 500 + s[0];
    } catch (const Io *p) {
        return 600 + (p ? p->code() : 0);
    } catch (const std::exception &) {
        return 700;
    } catch (...) {
        return 800;
    }
    return 0;
}

static int rethrow(int kind) {
    int passed = 0;
    try {
        try {
            raise(kind);
            passed = 1000;
        } catch (Error &e) {
            e.detail = 17;
            throw;
        } catch (long) {
            raise(2);
        } catch (...) {
            passed += 50;
            throw;
        }
    } catch (Error &e) {
        return passed + e.detail + e.code();
    } catch (int v) {
        return passed + v;
    } catch (...) {
        return passed + 9;
    }
    return passed;
}

struct Guarded {
    int value;
    explicit Guarded(int kind) try : value(check(kind)) {
    } catch (int v) {
        throw v + 1000;
    }
    static int check(int kind) { return raise(kind), kind; }
};

NOINLINE static int function_try(int kind) try {
    Guarded g(kind);
    return g.value;
} catch (int v) {
    return v;
} catch (...) {
    return -1;
}

static int depth_of(int n) {
    if (n == 0) throw 0;
    try {
        depth_of(n - 1);
    } catch (int v) {
        if (n & 1) throw v + 1;
        try {
            throw v + 2L;
        } catch (long w) {
            throw static_cast<int>(w) + v - v;
        }
    }
    return -1;
}

static void silent(int kind) noexcept {
    try {
        raise(kind);
    } catch (...) {
        mix(static_cast<uint32_t>(kind));
    }
}

int main() {
    static const int wanted[] = {0, 111, 202, 335, 204, 355, 800, 407, 800, 610, 603, 800, 700, 800};
    static const int again[] = {1000, 18, 19, 20, 21, 22, 59, 57, 2, 59, 59, 59, 59, 59};
    for (int round = 0; round < 4; round++)
        for (int k = 0; k < 14; k++) {
            int kind = (k * 5 + round) % 14, got = which(kind);
            CHECK(got == (kind == 9 ? 500 + 'n' : wanted[kind]) && rethrow(kind) == again[kind]);
            CHECK(function_try(kind) == (kind == 7 ? 1007 : kind == 0 ? 0 : -1));
            mix(static_cast<uint32_t>(got));
            silent(kind);
        }
    for (int n = 1; n < 12; n++)
        try {
            depth_of(n);
            CHECK(false);
        } catch (int v) {
            CHECK(v == n + n / 2);
            mix(static_cast<uint32_t>(v) + rnd());
        }
    std::printf("digest %08x\n", digest);
    return 0;
}
