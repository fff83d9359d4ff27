// Reference counts: intrusive and shared pointers with weak ones, cycles broken, observers, copy on write.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
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

static int alive;

class Counted {
    mutable int count = 0;

public:
    Counted() { alive++; }
    Counted(const Counted &) { alive++; }
    Counted &operator=(const Counted &) = delete;
    virtual ~Counted() { alive--; }
    void retain() const { count++; }
    void release() const { if (--count == 0) delete this; }
    int uses() const { return count; }
};

template <class T> class Ref {
    T *p = nullptr;

public:
    Ref() = default;
    explicit Ref(T *q) : p(q) { if (p) p->retain(); }
    Ref(const Ref &o) : Ref(o.p) {}
    Ref(Ref &&o) noexcept : p(std::exchange(o.p, nullptr)) {}
    template <class U> Ref(const Ref<U> &o) : Ref(static_cast<T *>(o.get())) {}
    ~Ref() { if (p) p->release(); }
    Ref &operator=(Ref o) noexcept { return std::swap(p, o.p), *this; }
    T *operator->() const { return p; }
    T &operator*() const { return *p; }
    T *get() const { return p; }
    explicit operator bool() const { return p; }
};

struct Node : Counted {
    explicit Node(uint32_t v) : value(v) {}
    uint32_t value;
    Ref<Node> next;
    virtual uint32_t weight() const { return value; }
};
struct Heavy final : Node {
    using Node::Node;
    uint32_t weight() const override { return value * 3; }
};

// Long lists would recurse in their destructors: they are taken apart from the front.
static void drop(Ref<Node> &list) {
    while (list && list->uses() == 1) list = Ref<Node>(list->next);
    list = Ref<Node>();
}

NOINLINE static uint32_t total(Ref<Node> list) {
    uint32_t sum = 0;
    for (; list; list = list->next) sum = sum * 5 + list->weight();
    return sum;
}

class Buffer {
    struct Data : Counted {
        uint32_t words[8] = {};
    };
    Ref<Data> data{new Data};

public:
    uint32_t get(unsigned i) const { return data->words[i]; }
    void set(unsigned i, uint32_t v) {
        if (data->uses() > 1) data = Ref<Data>(new Data(*data));
        data->words[i] = v;
    }
    bool shares(const Buffer &o) const { return data.get() == o.data.get(); }
};

struct Parent;
struct Child {
    std::weak_ptr<Parent> parent;
    uint32_t id;
    explicit Child(uint32_t i) : id(i) { alive++; }
    ~Child() { alive--; }
};
struct Parent : std::enable_shared_from_this<Parent> {
    std::shared_ptr<Child> children[3];
    uint32_t id;
    explicit Parent(uint32_t i) : id(i) { alive++; }
    ~Parent() { alive--; }
    void adopt(int at, std::shared_ptr<Child> c) {
        c->parent = weak_from_this();
        children[at] = std::move(c);
    }
};

int main() {
    for (int round = 0; round < 60; round++) {
        uint32_t base = rnd(), wanted = 0;
        int n = round % 25;
        Ref<Node> list;
        for (int i = 0; i < n; i++) {
            Ref<Node> head = Ref<Heavy>(new Heavy(base ^ 5));
            if (i % 3) head = Ref<Node>(new Node(base + static_cast<uint32_t>(i)));
            head->next = list;
            list = head;
            CHECK(head->uses() == 2);
        }
        for (uint32_t i = static_cast<uint32_t>(n); i-- > 0;) wanted = wanted * 5 + (i % 3 ? base + i : (base ^ 5) * 3);
        CHECK(total(list) == wanted && alive == n);
        Ref<Node> middle = list;
        for (int i = 0; i < n / 2; i++) middle = middle->next;
        drop(list);
        CHECK(alive == n - n / 2);
        mix(total(middle) ^ wanted);
        drop(middle);
        CHECK(alive == 0);

        Buffer a, b = a;
        CHECK(a.shares(b) && alive == 1);
        b.set(base % 8, base);
        CHECK(!a.shares(b) && a.get(base % 8) == 0 && b.get(base % 8) == base && alive == 2);
        a = b;
        CHECK(alive == 1);
        a.set(1, 7), a.set(2, 8);
        CHECK(alive == 2 && b.get(1) == (base % 8 == 1 ? base : 0) && a.get(2) == 8);

        auto p = std::make_shared<Parent>(base);
        auto orphan = std::make_shared<Child>(9);
        for (int i = 0; i < 3; i++) p->adopt(i, i == round % 3 ? orphan : std::make_shared<Child>(base));
        std::weak_ptr<Parent> watch = p;
        std::shared_ptr<uint32_t> alias(p, &p->id);
        CHECK(alive == 6 && p.use_count() == 2 && orphan.use_count() == 2 && orphan->parent.lock() == p);
        p.reset();
        CHECK(!watch.expired() && *alias == base && alive == 6);
        alias.reset();
        CHECK(watch.expired() && !orphan->parent.lock() && orphan.use_count() == 1 && alive == 3);
    }
    CHECK(alive == 0);
    std::printf("digest %08x\n", digest);
    return 0;
}
