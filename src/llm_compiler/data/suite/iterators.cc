// Iterators and algorithms: own random-access, zip, stride and filter iterators under the standard algorithms.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <numeric>
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

template <class T> class Stride {
public:
    using iterator_category = std::random_access_iterator_tag;
    using value_type = T;
    using difference_type = std::ptrdiff_t;
    using pointer = T *;
    using reference = T &;
    Stride(T *p, std::ptrdiff_t s) : at(p), step(s) {}
    T &operator*() const { return *at; }
    T &operator[](std::ptrdiff_t i) const { return at[i * step]; }
    Stride &operator++() { return at += step, *this; }
    Stride operator++(int) { Stride old = *this; return at += step, old; }
    Stride &operator--() { return at -= step, *this; }
    Stride operator--(int) { Stride old = *this; return at -= step, old; }
    Stride &operator+=(std::ptrdiff_t n) { return at += n * step, *this; }
    Stride &operator-=(std::ptrdiff_t n) { return at -= n * step, *this; }
    friend Stride operator+(Stride a, std::ptrdiff_t n) { return a += n; }
    friend Stride operator-(Stride a, std::ptrdiff_t n) { return a -= n; }
    friend std::ptrdiff_t operator-(Stride a, Stride b) { return (a.at - b.at) / a.step; }
    friend bool operator==(Stride a, Stride b) { return a.at == b.at; }
    friend bool operator!=(Stride a, Stride b) { return a.at != b.at; }
    friend bool operator<(Stride a, Stride b) { return b - a > 0; }
    friend bool operator>(Stride a, Stride b) { return b < a; }
    friend bool operator<=(Stride a, Stride b) { return !(b < a); }
    friend bool operator>=(Stride a, Stride b) { return !(a < b); }

private:
    T *at;
    std::ptrdiff_t step;
};

template <class It, class Test> struct Filtered {
    It first, last;
    Test test;
    struct Iterator {
        It at;
        const Filtered *owner;
        void settle() { while (at != owner->last && !owner->test(*at)) ++at; }
        decltype(auto) operator*() const { return *at; }
        Iterator &operator++() { return ++at, settle(), *this; }
        bool operator!=(const Iterator &o) const { return at != o.at; }
    };
    Iterator begin() const { Iterator i{first, this}; return i.settle(), i; }
    Iterator end() const { return {last, this}; }
};

struct Range {
    int from, to;
    struct Iterator {
        int v;
        int operator*() const { return v; }
        Iterator &operator++() { return ++v, *this; }
        bool operator!=(Iterator o) const { return v < o.v; }
    };
    Iterator begin() const { return {from}; }
    Iterator end() const { return {to}; }
};

NOINLINE static int64_t weighted(const std::vector<int> &v) {
    int64_t sum = 0, weight = 1;
    for (auto it = v.rbegin(); it != v.rend(); ++it) sum += *it * weight++;
    return sum;
}

template <class It> static void selection_sort(It first, It last) {
    for (; first != last; ++first) std::iter_swap(first, std::min_element(first, last));
}

int main() {
    for (int round = 0; round < 60; round++) {
        int n = 1 + static_cast<int>(rnd() % 60);
        std::vector<int> v(static_cast<size_t>(n * 3)), plain, copy;
        for (int &x : v) x = static_cast<int>(rnd() % 200) - 100;
        std::ptrdiff_t lane = round % 3;
        for (int i : Range{0, n}) plain.push_back(v[static_cast<size_t>(3 * i + lane)]);
        Stride<int> first(v.data() + lane, 3), last = first + n;
        CHECK(last - first == n && std::equal(plain.begin(), plain.end(), first) && first[n - 1] == plain.back());
        copy = plain;
        if (round & 1) std::sort(first, last);
        else selection_sort(first, last);
        std::sort(copy.begin(), copy.end());
        CHECK(std::equal(first, last, copy.begin()) && std::is_sorted(first, last));
        for (int x : {-101, -50, 0, 7, 101}) {
            CHECK(std::lower_bound(first, last, x) - first == std::count_if(plain.begin(), plain.end(),
                [x](int y) { return y < x; }));
            auto pair = std::equal_range(first, last, x);
            CHECK(pair.second - pair.first == std::count(plain.begin(), plain.end(), x));
        }
        std::reverse(first, last);
        Stride<int> back(v.data() + lane + 3 * (n - 1), -3);
        CHECK(std::equal(back, back + n, copy.begin()) && *(back + (n - 1)) == *first);
        std::rotate(first, first + n / 3, last);
        CHECK(*first == copy[static_cast<size_t>(n - 1 - n / 3)] &&
              std::accumulate(first, last, 0) == std::accumulate(plain.begin(), plain.end(), 0));
        int odd = 0, seen = 0;
        auto is_odd = [](int x) { return (x & 1) != 0; };
        for (int x : Filtered<Stride<int>, bool (*)(int)>{first, last, is_odd}) odd += x, seen++;
        for (int x : plain) odd -= is_odd(x) ? x : 0, seen -= is_odd(x);
        CHECK(odd == 0 && seen == 0);
        auto middle = std::stable_partition(plain.begin(), plain.end(), is_odd);
        CHECK(std::all_of(plain.begin(), middle, is_odd) && std::none_of(middle, plain.end(), is_odd));
        int64_t by_hand = 0;
        for (size_t i = 0; i < plain.size(); i++) by_hand += plain[i] * static_cast<int64_t>(plain.size() - i);
        CHECK(weighted(plain) == by_hand);
        copy.erase(std::unique(copy.begin(), copy.end()), copy.end());
        CHECK(std::adjacent_find(copy.begin(), copy.end()) == copy.end());
        std::nth_element(plain.begin(), plain.begin() + n / 2, plain.end());
        mix(static_cast<uint32_t>(by_hand) ^ static_cast<uint32_t>(plain[static_cast<size_t>(n / 2)]));
        mix(static_cast<uint32_t>(copy.size()));
    }
    std::printf("digest %08x\n", digest);
    return 0;
}
