// Virtual functions: abstract bases, several levels, calls in constructors, covariant returns; tables by hand.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>

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

struct Shape {
    virtual ~Shape() { destroyed += weight; }
    virtual int64_t area() const = 0;
    virtual int64_t grow(int by) { return size += by, area(); }
    virtual std::unique_ptr<Shape> twin() const = 0;
    virtual const char *name() const { return "shape"; }
    virtual Shape *self() { return this; }
    int64_t doubled() const { return 2 * area(); }
    int size, weight = 1;
    static int destroyed;

protected:
    explicit Shape(int s) : size(s) {}
};
int Shape::destroyed = 0;

struct Square : Shape {
    explicit Square(int s) : Shape(s) { first = area(); }  // the square's own, also inside a cube
    int64_t area() const override { return int64_t{size} * size; }
    std::unique_ptr<Shape> twin() const override { return std::make_unique<Square>(*this); }
    const char *name() const override { return "square"; }
    Square *self() override { return this; }
    int64_t first;
};

struct Cube final : Square {
    explicit Cube(int s) : Square(s) { weight = 10; }
    ~Cube() override { destroyed += static_cast<int>(first); }
    int64_t area() const override { return 6 * Square::area(); }
    std::unique_ptr<Shape> twin() const override { return std::make_unique<Cube>(*this); }
    const char *name() const final { return "cube"; }
    Cube *self() override { return this; }
    int cubic() const { return size * size * size; }
};

struct Strip : Shape {
    Strip(int s, int w) : Shape(s), width(w) {}
    int64_t area() const override { return int64_t{size} * width; }
    int64_t grow(int by) override { return width += by, Shape::grow(1); }
    std::unique_ptr<Shape> twin() const override { return std::unique_ptr<Shape>(new Strip(size, width)); }
    int width;
};

NOINLINE static int64_t total(Shape *const *shapes, int n) {
    int64_t sum = 0;
    for (int i = 0; i < n; i++) sum += shapes[i]->area() * (i + 1) + shapes[i]->doubled();
    return sum;
}

static int64_t model(int kind, int size, int width) {
    return kind == 0 ? int64_t{size} * size : kind == 1 ? int64_t{6} * size * size : int64_t{size} * width;
}

static Shape *make(int kind, int size, int width) {
    if (kind == 0) return new Square(size);
    if (kind == 1) return new Cube(size);
    return new Strip(size, width);
}

using Method = int64_t (Shape::*)() const;
static int64_t call(const Shape &s, Method m) { return (s.*m)(); }

// Written out by hand: what the compiler makes of the above.
struct Table { int (*get)(const void *); void (*set)(void *, int); };
struct Plain { const Table *table; int value; };
static int get_plain(const void *p) { return static_cast<const Plain *>(p)->value; }
static int get_negated(const void *p) { return -static_cast<const Plain *>(p)->value; }
static void set_plain(void *p, int v) { static_cast<Plain *>(p)->value = v; }
static void set_twice(void *p, int v) { static_cast<Plain *>(p)->value = 2 * v; }
static const Table tables[] = {{get_plain, set_plain}, {get_negated, set_plain}, {get_plain, set_twice}};

int main() {
    static const char *const names[] = {"square", "cube", "shape"};
    for (int round = 0; round < 60; round++) {
        Shape *shapes[6];
        int64_t sum = 0;
        int destroyed = Shape::destroyed, expected = 0;
        for (int i = 0; i < 6; i++) {
            int kind = static_cast<int>(rnd() % 3), size = static_cast<int>(rnd() % 50),
                width = static_cast<int>(rnd() % 9);
            shapes[i] = make(kind, size, width);
            CHECK(shapes[i]->area() == model(kind, size, width) && !std::strcmp(shapes[i]->name(), names[kind]));
            CHECK(shapes[i]->grow(3) == model(kind, size + (kind == 2 ? 1 : 3), width + 3));
            size += kind == 2 ? 1 : 3, width += 3;
            sum += model(kind, size, width) * (i + 3);
            CHECK(call(*shapes[i], &Shape::area) == shapes[i]->area());
            std::unique_ptr<Shape> copy = shapes[i]->twin();
            copy->grow(1);
            CHECK(copy->area() >= shapes[i]->area() && copy->name() == shapes[i]->name() && copy->self() == copy.get());
            int first = kind == 1 ? (size - 3) * (size - 3) : 0;
            expected += 2 * (kind == 1 ? 10 + first : 1);
            if (kind == 1) CHECK(static_cast<Cube *>(shapes[i])->self()->cubic() == size * size * size);
            mix(static_cast<uint32_t>(copy->area()));
        }
        CHECK(total(shapes, 6) == sum);
        for (Shape *s : shapes) delete s;
        CHECK(Shape::destroyed - destroyed == expected);
        Plain p{&tables[round % 3], 0};
        p.table->set(&p, round);
        CHECK(p.table->get(&p) == (round % 3 == 0 ? round : round % 3 == 1 ? -round : 2 * round));
        mix(static_cast<uint32_t>(p.value));
    }
    std::printf("digest %08x\n", digest);
    return 0;
}
