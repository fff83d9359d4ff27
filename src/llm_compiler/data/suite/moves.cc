// Move semantics: a growing vector, a string with a small buffer, copies counted, self-assignment, throwing copies.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
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

static int copies, moves, alive, throw_at;

struct Item {
    uint32_t value;
    explicit Item(uint32_t v) : value(v) { alive++; }
    Item(const Item &o) : value(o.value) {
        if (throw_at && --throw_at == 0) throw value;
        copies++, alive++;
    }
    Item(Item &&o) noexcept : value(o.value) { o.value = 0, moves++, alive++; }
    Item &operator=(const Item &o) { return value = o.value, copies++, *this; }
    Item &operator=(Item &&o) noexcept { return value = std::exchange(o.value, 0), moves++, *this; }
    ~Item() { alive--; }
};

template <class T> class Vector {
    T *data = nullptr;
    size_t used = 0, room = 0;

    void grow() {
        size_t larger = room ? room * 2 : 2;
        T *fresh = static_cast<T *>(::operator new(larger * sizeof(T)));
        for (size_t i = 0; i < used; i++) new (fresh + i) T(std::move(data[i])), data[i].~T();
        ::operator delete(data);
        data = fresh, room = larger;
    }

public:
    Vector() = default;
    Vector(const Vector &o) : data(static_cast<T *>(::operator new(o.used * sizeof(T)))), room(o.used) {
        try {
            for (; used < o.used; used++) new (data + used) T(o.data[used]);
        } catch (...) {
            clear();
            ::operator delete(data);
            throw;
        }
    }
    Vector(Vector &&o) noexcept : data(std::exchange(o.data, nullptr)), used(std::exchange(o.used, 0)),
        room(std::exchange(o.room, 0)) {}
    Vector &operator=(Vector o) noexcept { return swap(o), *this; }
    ~Vector() { clear(), ::operator delete(data); }
    void swap(Vector &o) noexcept { std::swap(data, o.data), std::swap(used, o.used), std::swap(room, o.room); }
    void clear() { while (used) data[--used].~T(); }
    template <class... A> T &emplace(A &&...a) {
        if (used == room) grow();
        return *new (data + used++) T(std::forward<A>(a)...);
    }
    void erase(size_t at) {
        for (size_t i = at + 1; i < used; i++) data[i - 1] = std::move(data[i]);
        data[--used].~T();
    }
    size_t size() const { return used; }
    T *begin() { return data; }
    T *end() { return data + used; }
    T &operator[](size_t i) { return data[i]; }
};

class Text {
    union { char small[16]; char *large; };
    size_t length;
    bool is_small() const { return length < sizeof small; }

public:
    Text(const char *s = "") : length(std::strlen(s)) {
        if (!is_small()) large = new char[length + 1];
        std::memcpy(is_small() ? small : large, s, length + 1);
    }
    Text(const Text &o) : Text(o.c_str()) {}
    Text(Text &&o) noexcept : length(o.length) {
        if (is_small()) std::memcpy(small, o.small, length + 1);
        else large = o.large;
        o.length = 0, o.small[0] = 0;
    }
    Text &operator=(Text o) noexcept {
        char held[sizeof small];
        std::memcpy(held, this, sizeof held), std::memcpy(static_cast<void *>(this), &o, sizeof held);
        std::memcpy(static_cast<void *>(&o), held, sizeof held);
        return std::swap(length, o.length), *this;
    }
    ~Text() { if (!is_small()) delete[] large; }
    const char *c_str() const { return is_small() ? small : large; }
    size_t size() const { return length; }
};

NOINLINE static Vector<Item> filled(uint32_t from, uint32_t n) {
    Vector<Item> v;
    for (uint32_t i = 0; i < n; i++) v.emplace(from + i);
    return v;
}

int main() {
    for (int round = 0; round < 60; round++) {
        uint32_t n = rnd() % 40, base = rnd();
        copies = moves = 0;
        Vector<Item> a = filled(base, n);
        int growths = 0;
        for (uint32_t room = 2; room < n; room *= 2) growths += static_cast<int>(room);
        CHECK(copies == 0 && moves == growths && alive == static_cast<int>(n));
        Vector<Item> b = a, c = std::move(a);
        CHECK(copies == static_cast<int>(n) && moves == growths && a.size() == 0 && c.size() == n);
        a = b;
        a = std::move(a);
        CHECK(a.size() == n && alive == static_cast<int>(3 * n));
        if (n > 3) {
            moves = 0;
            c.erase(n / 2);
            CHECK(moves == static_cast<int>(n - n / 2 - 1) && c[n / 2].value == base + n / 2 + (n / 2 < n - 1));
            throw_at = 3;
            bool thrown = false;
            try {
                Vector<Item> d = b;
            } catch (uint32_t v) {
                thrown = v == base + 2;
            }
            CHECK(thrown && alive == static_cast<int>(3 * n - 1));
        }
        for (Item &i : b) mix(i.value);
        Text texts[3] = {"short", "a text that does not fit in the object", ""};
        Text copy = texts[round % 3], moved = std::move(texts[round % 3]);
        CHECK(!std::strcmp(copy.c_str(), moved.c_str()) && texts[round % 3].size() == 0 && !*texts[round % 3].c_str());
        texts[(round + 1) % 3] = copy;
        copy = texts[round % 3] = texts[(round + 1) % 3];
        CHECK(copy.size() == moved.size() && !std::strcmp(texts[round % 3].c_str(), moved.c_str()));
        mix(static_cast<uint32_t>(copy.size()));
    }
    CHECK(alive == 0);
    std::printf("digest %08x\n", digest);
    return 0;
}
