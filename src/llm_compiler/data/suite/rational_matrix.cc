// Operators: exact rationals, a matrix template over them, inverse and determinant two ways; saturating types.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
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

class Rational {
    int64_t n, d;
    static int64_t gcd(int64_t a, int64_t b) { return b ? gcd(b, a % b) : a < 0 ? -a : a; }

public:
    Rational(int64_t numerator = 0, int64_t denominator = 1) : n(numerator), d(denominator) {
        int64_t g = gcd(n, d);
        if (d < 0) g = -g;
        n /= g, d /= g;
    }
    Rational operator-() const { return {-n, d}; }
    Rational &operator+=(const Rational &o) { return *this = Rational(n * o.d + o.n * d, d * o.d); }
    Rational &operator*=(const Rational &o) { return *this = Rational(n * o.n, d * o.d); }
    friend Rational operator+(Rational a, const Rational &b) { return a += b; }
    friend Rational operator-(Rational a, const Rational &b) { return a += -b; }
    friend Rational operator*(Rational a, const Rational &b) { return a *= b; }
    friend Rational operator/(const Rational &a, const Rational &b) { return {a.n * b.d, a.d * b.n}; }
    friend bool operator==(const Rational &a, const Rational &b) { return a.n == b.n && a.d == b.d; }
    friend bool operator!=(const Rational &a, const Rational &b) { return !(a == b); }
    friend bool operator<(const Rational &a, const Rational &b) { return a.n * b.d < b.n * a.d; }
    explicit operator bool() const { return n != 0; }
    uint32_t digest() const { return static_cast<uint32_t>(n * 31 + d); }
};

template <class T, int N> struct Matrix {
    T m[N][N] = {};
    T *operator[](int i) { return m[i]; }
    const T *operator[](int i) const { return m[i]; }
    static Matrix identity() {
        Matrix r;
        for (int i = 0; i < N; i++) r[i][i] = 1;
        return r;
    }
    friend Matrix operator*(const Matrix &a, const Matrix &b) {
        Matrix r;
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++)
                for (int k = 0; k < N; k++) r[i][j] += a[i][k] * b[k][j];
        return r;
    }
    friend bool operator==(const Matrix &a, const Matrix &b) {
        for (int i = 0; i < N * N; i++)
            if (a[i / N][i % N] != b[i / N][i % N]) return false;
        return true;
    }
    NOINLINE T eliminate(Matrix &inverse) const {
        Matrix a = *this;
        T det = 1;
        inverse = identity();
        for (int c = 0; c < N; c++) {
            int p = c;
            while (p < N && !a[p][c]) p++;
            if (p == N) return 0;
            if (p != c) std::swap(a.m[p], a.m[c]), std::swap(inverse.m[p], inverse.m[c]), det = -det;
            T scale = a[c][c];
            det *= scale;
            for (int j = 0; j < N; j++) a[c][j] = a[c][j] / scale, inverse[c][j] = inverse[c][j] / scale;
            for (int i = 0; i < N; i++) {
                if (i == c || !a[i][c]) continue;
                T f = -a[i][c];
                for (int j = 0; j < N; j++) a[i][j] += f * a[c][j], inverse[i][j] += f * inverse[c][j];
            }
        }
        return det;
    }
};

// Laplace, along the first row that is left.
template <int N> static Rational laplace(const Matrix<Rational, N> &a, int row, unsigned columns) {
    if (row == N) return 1;
    Rational sum;
    int sign = 1;
    for (int j = 0; j < N; j++) {
        if (!(columns >> j & 1)) continue;
        sum += Rational(sign) * a[row][j] * laplace(a, row + 1, columns & ~(1u << j));
        sign = -sign;
    }
    return sum;
}

template <class T, int low, int high> class Saturating {
    T v;

public:
    Saturating(int64_t x = 0) : v(static_cast<T>(x < low ? low : x > high ? high : x)) {}
    friend Saturating operator+(Saturating a, Saturating b) { return int64_t{a.v} + b.v; }
    friend Saturating operator*(Saturating a, Saturating b) { return int64_t{a.v} * b.v; }
    Saturating &operator++() { return *this = *this + 1; }
    Saturating operator++(int) { Saturating old = *this; return ++*this, old; }
    int64_t value() const { return v; }
};

template <int N> NOINLINE static void test() {
    for (int round = 0; round < 12; round++) {
        Matrix<Rational, N> a, inverse;
        for (int i = 0; i < N * N; i++) {
            int top = static_cast<int>(rnd() % 9) - 4;
            a[i / N][i % N] = round & 1 ? Rational(top) : Rational(top, 1 + static_cast<int>(rnd() % 2));
        }
        if (round % 4 == 3) std::memcpy(static_cast<void *>(a[0]), a[N - 1], sizeof a.m[0]);
        Rational det = a.eliminate(inverse);
        CHECK(det == laplace(a, 0, (1u << N) - 1));
        mix(det.digest());
        CHECK(round % 4 != 3 || N == 1 || !det);
        if (!det) continue;
        CHECK(a * inverse == (Matrix<Rational, N>::identity()) && inverse * a == (Matrix<Rational, N>::identity()));
        Matrix<Rational, N> back;
        CHECK(inverse.eliminate(back) * det == Rational(1) && back == a);
        mix(inverse[N - 1][0].digest());
    }
}

int main() {
    test<1>(), test<2>(), test<3>(), test<4>();
    CHECK(Rational(1, 3) + Rational(1, 6) == Rational(1, 2) && Rational(-2, -4) == Rational(1, 2) &&
          Rational(1, -3) < Rational(-1, 4));
    for (int i = 0; i < 200; i++) {
        int a = static_cast<int>(rnd() % 400) - 200, b = static_cast<int>(rnd() % 400) - 200;
        using S8 = Saturating<int8_t, -128, 127>;
        int64_t x = S8(a).value(), y = S8(b).value(), sum = x + y, product = x * y;
        CHECK((S8(a) + S8(b)).value() == (sum > 127 ? 127 : sum < -128 ? -128 : sum));
        CHECK((S8(a) * S8(b)).value() == (product > 127 ? 127 : product < -128 ? -128 : product));
        S8 up(a);
        CHECK(up++.value() == x && up.value() == (x == 127 ? 127 : x + 1));
        mix(static_cast<uint32_t>((S8(a) * S8(b)).value()));
    }
    std::printf("digest %08x\n", digest);
    return 0;
}
