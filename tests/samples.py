"""Small programs that exercise the back end in different ways. Each prints a checksum of what it computed."""

CRC = r"""
#include <stdint.h>
#include <stdio.h>

static uint32_t table[256];

static void make_table(void) {
  for (uint32_t n = 0; n < 256; n++) {
    uint32_t c = n;
    for (int k = 0; k < 8; k++)
      c = c & 1 ? 0xedb88320u ^ (c >> 1) : c >> 1;
    table[n] = c;
  }
}

uint32_t update(uint32_t crc, const unsigned char *data, unsigned long length) {
  for (unsigned long i = 0; i < length; i++)
    crc = table[(crc ^ data[i]) & 0xff] ^ (crc >> 8);
  return crc;
}

unsigned adler(const unsigned char *data, unsigned long length) {
  unsigned a = 1, b = 0;
  while (length--) {
    a = (a + *data++) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

int main(void) {
  unsigned char data[1000];
  make_table();
  for (int i = 0; i < 1000; i++)
    data[i] = (unsigned char)(i * i ^ i >> 3);
  printf("%08x %08x\n", ~update(~0u, data, sizeof data), adler(data, sizeof data));
  return 0;
}
"""

INTERPRETER = r"""
#include <stdio.h>

enum { PUSH, ADD, SUB, MUL, DUP, SWAP, OVER, DROP, JNZ, OUT, NOT, XOR, SHL, HALT };

unsigned long run(const int *code, long limit) {
  unsigned long stack[32], sum = 0;
  int top = 0, pc = 0;
  while (limit-- > 0) {
    switch (code[pc++]) {
    case PUSH: stack[top++] = (unsigned long)code[pc++]; break;
    case ADD: top--; stack[top - 1] += stack[top]; break;
    case SUB: top--; stack[top - 1] -= stack[top]; break;
    case MUL: top--; stack[top - 1] *= stack[top]; break;
    case DUP: stack[top] = stack[top - 1]; top++; break;
    case SWAP: { unsigned long t = stack[top - 1]; stack[top - 1] = stack[top - 2]; stack[top - 2] = t; break; }
    case OVER: stack[top] = stack[top - 2]; top++; break;
    case DROP: top--; break;
    case JNZ: top--; if (stack[top]) pc = code[pc]; else pc++; break;
    case OUT: sum = sum * 31 + stack[--top]; break;
    case NOT: stack[top - 1] = ~stack[top - 1]; break;
    case XOR: top--; stack[top - 1] ^= stack[top]; break;
    case SHL: top--; stack[top - 1] <<= stack[top] & 7; break;
    case HALT: return sum;
    default: return 1;
    }
  }
  return sum;
}

const char *name(int op) {
  switch (op) {
  case PUSH: return "push";
  case ADD: return "add";
  case SUB: return "subtract";
  case MUL: return "multiply";
  case JNZ: return "jump";
  case HALT: return "halt";
  }
  return "other";
}

int main(void) {
  static const int code[] = {PUSH, 20, DUP, DUP, MUL, OUT, DUP, PUSH, 5, XOR, PUSH, 3, SHL, NOT, OUT,
                             PUSH, 1, SUB, DUP, JNZ, 2, HALT};
  unsigned letters = 0;
  for (int op = 0; op < 14; op++)
    for (const char *c = name(op); *c; c++)
      letters = letters * 7 + (unsigned)*c;
  printf("%lu %u\n", run(code, 10000), letters & 0xffff);
  return 0;
}
"""

FLOATS = r"""
#include <stdio.h>

typedef struct { double x, y, z; } vec;

static vec add(vec a, vec b) { return (vec){a.x + b.x, a.y + b.y, a.z + b.z}; }
static vec scale(vec a, double f) { return (vec){a.x * f, a.y * f, a.z * f}; }
double dot(vec a, vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }

double root(double x) {
  double r = x > 1 ? x : 1;
  for (int i = 0; i < 30; i++)
    r = 0.5 * (r + x / r);
  return r;
}

void multiply(float *out, const float *a, const float *b, int n) {
  for (int i = 0; i < n; i++)
    for (int j = 0; j < n; j++) {
      float sum = 0;
      for (int k = 0; k < n; k++)
        sum += a[i * n + k] * b[k * n + j];
      out[i * n + j] = sum;
    }
}

unsigned long steps(vec p, vec v, int count) {
  unsigned long hash = 0;
  for (int i = 0; i < count; i++) {
    vec pull = scale(p, -1.0 / (root(dot(p, p)) * dot(p, p)));
    v = add(v, scale(pull, 0.125));
    p = add(p, scale(v, 0.125));
    hash = hash * 33 + (unsigned long)(long)(p.x * 1000) + (unsigned)(int)(p.y * 100);
  }
  return hash;
}

int main(void) {
  float a[36], b[36], c[36];
  for (int i = 0; i < 36; i++) {
    a[i] = (float)(i % 7) - 2.5f;
    b[i] = (float)(i % 5) * 0.5f;
  }
  multiply(c, a, b, 6);
  double sum = 0;
  for (int i = 0; i < 36; i++)
    sum += c[i] * (i + 1);
  printf("%.3f %.6f %lu\n", sum, root(2), steps((vec){4, 0, 0}, (vec){0, 0.5, 0.25}, 50) % 100003);
  return 0;
}
"""

STRINGS = r"""
#include <stdio.h>
#include <string.h>

struct entry { const char *key; int value; };

static const struct entry entries[] = {
  {"auto", 1}, {"break", 2}, {"case", 3}, {"char", 4}, {"const", 5}, {"continue", 6}, {"default", 7}, {"do", 8},
};

int find(const char *key) {
  for (unsigned i = 0; i < sizeof entries / sizeof *entries; i++)
    if (!strcmp(entries[i].key, key))
      return entries[i].value;
  return -1;
}

int magic(const void *data) {
  if (memcmp(data, "\177ELF", 4) == 0) return 1;
  if (memcmp(data, "PK\3\4", 4) == 0) return 2;
  if (memcmp(data, "\211PNG\r\n\032\n", 8) == 0) return 3;
  return memcmp(data, "%PDF", 4) < 0 ? 4 : 5;
}

int equal(const char *a, const char *b, unsigned long n) { return memcmp(a, b, n) == 0; }

unsigned long copy(char *out, const char *in, unsigned long room) {
  unsigned long n = strlen(in);
  if (n >= room) n = room - 1;
  memcpy(out, in, n);
  memset(out + n, 0, room - n);
  return n;
}

int main(void) {
  char buffer[64];
  int sum = 0;
  for (unsigned i = 0; i < 8; i++)
    sum = sum * 9 + find(entries[i].key);
  sum += find("nothing");
  unsigned long n = copy(buffer, "a string that is to be copied", 20);
  printf("%d %lu %s %d%d%d%d%d %d %d\n", sum, n, buffer, magic("\177ELF...."), magic("PK\3\4...."),
         magic("\211PNG\r\n\032\n"), magic("!!!!!!!!"), magic("zzzzzzzz"), equal(buffer, "a str", 5),
         equal(buffer, "another", 7));
  return strchr("abc", 'd') != 0;
}
"""

VARARGS = r"""
#include <stdarg.h>
#include <stdio.h>

static char *digits(char *out, unsigned long value, unsigned base) {
  char reversed[24];
  int n = 0;
  do {
    reversed[n++] = "0123456789abcdef"[value % base];
  } while (value /= base);
  while (n) *out++ = reversed[--n];
  return out;
}

int format(char *out, const char *text, ...) {
  char *start = out;
  va_list arguments;
  va_start(arguments, text);
  for (; *text; text++) {
    if (*text != '%') { *out++ = *text; continue; }
    switch (*++text) {
    case 'd': {
      int value = va_arg(arguments, int);
      if (value < 0) { *out++ = '-'; value = -value; }
      out = digits(out, (unsigned)value, 10);
      break;
    }
    case 'x': out = digits(out, va_arg(arguments, unsigned long), 16); break;
    case 's': for (const char *s = va_arg(arguments, const char *); *s; s++) *out++ = *s; break;
    case 'f': {
      double value = va_arg(arguments, double);
      out = digits(out, (unsigned long)value, 10);
      *out++ = '.';
      out = digits(out, (unsigned long)((value - (double)(unsigned long)value) * 1000), 10);
      break;
    }
    default: *out++ = *text;
    }
  }
  va_end(arguments);
  *out = 0;
  return (int)(out - start);
}

int main(void) {
  char buffer[200];
  int n = format(buffer, "%d %x %s %f %% %d", -1234, 0xbeef1234ul, "words", 12.625, 99);
  printf("%d %s\n", n, buffer);
  return 0;
}
"""

GLOBALS = r"""
#include <stdio.h>
#include <stdlib.h>

struct shape { int kind; int a, b; struct shape *next; };

static int counter = 3;
int exported[5] = {5, 4, 3, 2, 1};
static char scratch[4096];
__thread int per_thread = 11;

static int square(const struct shape *s) { return s->a * s->a; }
static int rectangle(const struct shape *s) { return s->a * s->b; }
static int triangle(const struct shape *s) { return s->a * s->b / 2; }
static int (*const areas[])(const struct shape *) = {square, rectangle, triangle};

__attribute__((noinline)) static int bump(int by) {
  static int total;
  total += by + counter++;
  return total;
}

struct shape *push(struct shape *list, int kind, int a, int b) {
  struct shape *s = malloc(sizeof *s);
  if (!s) abort();
  *s = (struct shape){kind, a, b, list};
  return s;
}

static int compare(const void *a, const void *b) { return *(const int *)a - *(const int *)b; }

int main(void) {
  struct shape *list = 0;
  for (int i = 0; i < 12; i++)
    list = push(list, i % 3, i + 1, 2 * i + 1);
  unsigned sum = 0;
  while (list) {
    struct shape *next = list->next;
    sum = sum * 3 + (unsigned)(areas[list->kind](list) + bump(list->a));
    scratch[sum & 4095]++;
    free(list);
    list = next;
  }
  qsort(exported, 5, sizeof *exported, compare);
  for (int i = 0; i < 5; i++)
    sum = sum * 7 + (unsigned)exported[i];
  for (int i = 0; i < 4096; i++)
    sum += (unsigned)(scratch[i] * i);
  per_thread += counter;
  printf("%u %d\n", sum, per_thread);
  return 0;
}
"""

CONSTRUCTORS = r"""
extern "C" int printf(const char *, ...);

template <typename T, int N> struct Ring {
  T items[N] = {};
  int at = 0;
  void push(T item) { items[at++ % N] = item; }
  T sum() const { T s = 0; for (const T &item : items) s = s * 3 + item; return s; }
};

struct Shape {
  virtual ~Shape() {}
  virtual int area() const = 0;
  virtual int corners() const { return 0; }
};
struct Square : Shape {
  int a;
  explicit Square(int a) : a(a) {}
  int area() const override { return a * a; }
  int corners() const override { return 4; }
};
struct Circle : Shape {
  int r;
  explicit Circle(int r) : r(r) {}
  int area() const override { return r * r * 355 / 113; }
};

static unsigned log_sum = 1;
struct Logger {
  int id;
  explicit Logger(int id) : id(id) { log_sum = log_sum * 10 + static_cast<unsigned>(id); }
  ~Logger() { log_sum -= static_cast<unsigned>(id); }
};
static Logger first(1), second(2);
static Ring<int, 5> ring;
Ring<long, 3> wide;

inline int helper(int x) { static int calls = 0; return x + ++calls; }
int (*pointer)(int) = helper;

int main() {
  Square square(7);
  Circle circle(5);
  const Shape *shapes[] = {&square, &circle};
  for (int i = 0; i < 9; i++) {
    Logger local(i);
    ring.push(shapes[i & 1]->area() + i);
    wide.push(shapes[i & 1]->corners() + pointer(i));
  }
  printf("%d %ld %u\n", ring.sum(), wide.sum(), log_sum);
  return 0;
}
"""

EXCEPTIONS = r"""
extern "C" int printf(const char *, ...);

struct Failure { int code; explicit Failure(int code) : code(code) {} };
struct Worse : Failure { using Failure::Failure; };

static int unwound;
struct Guard { int weight; explicit Guard(int w) : weight(w) {} ~Guard() { unwound += weight; } };

__attribute__((noinline)) int risky(int x) {
  Guard guard(x);
  if (x % 5 == 0) throw Failure(x);
  if (x % 7 == 0) throw Worse(x * 2);
  if (x % 11 == 0) throw x;
  return x;
}

int attempt(int x) {
  Guard outer(1);
  try {
    return risky(x) + risky(x + 1);
  } catch (const Worse &worse) {
    return 1000 + worse.code;
  } catch (const Failure &failure) {
    return 2000 + failure.code;
  }
}

int main() {
  unsigned sum = 0;
  for (int i = 1; i < 40; i++) {
    try {
      sum = sum * 3 + static_cast<unsigned>(attempt(i));
    } catch (int value) {
      sum -= static_cast<unsigned>(value);
    } catch (...) {
      return 1;
    }
  }
  printf("%u %d\n", sum, unwound);
  return 0;
}
"""

PROGRAMS: dict[str, str] = {
    "crc.c": CRC,
    "interpreter.c": INTERPRETER,
    "floats.c": FLOATS,
    "strings.c": STRINGS,
    "varargs.c": VARARGS,
    "globals.c": GLOBALS,
    "constructors.cc": CONSTRUCTORS,
    "exceptions.cc": EXCEPTIONS,
}

TINY = "int twice(int x) { return x + x; }\n"

IR = """\
target triple = "x86_64-unknown-linux-gnu"

define i32 @scale(i32 %x) {
  %y = mul i32 %x, 8
  %z = add i32 %y, 0
  ret i32 %z
}
"""

OPTNONE_IR = """\
target triple = "x86_64-unknown-linux-gnu"

define i32 @frozen(i32 %x) noinline optnone {
  %y = add i32 %x, 0
  ret i32 %y
}
"""
