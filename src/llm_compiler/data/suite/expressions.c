// Expressions: recursive descent by levels against a shunting yard to postfix and a stack machine.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOINLINE __attribute__((noinline))
#define CHECK(ok) ((ok) ? (void)0 : fail(__LINE__, #ok))

static uint32_t digest = 2166136261u;
static volatile uint32_t seed = 2463534242u;

_Noreturn static void fail(int line, const char *what) { printf("line %d: %s\n", line, what), exit(1); }
static void mix(uint32_t value) { digest = (digest ^ value) * 16777619u ^ digest >> 15; }
NOINLINE static uint32_t rnd(void) {
    uint32_t x = seed;
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    seed = x;
    return x;
}

typedef struct { const char *at; } Input;

static int level(char op) {
    switch (op) {
    case '|': return 1;
    case '^': return 2;
    case '&': return 3;
    case '<': case '>': return 4;
    case '+': case '-': return 5;
    case '*': case '/': case '%': return 6;
    default: return 0;
    }
}

NOINLINE static int32_t apply(char op, int32_t a, int32_t b) {
    uint32_t x = (uint32_t)a, y = (uint32_t)b;
    switch (op) {
    case '+': return (int32_t)(x + y);
    case '-': return (int32_t)(x - y);
    case '*': return (int32_t)(x * y);
    case '/': return b == 0 || b == -1 ? (int32_t)(0 - x) : a / b;
    case '%': return b == 0 || b == -1 ? 0 : a % b;
    case '<': return a < b;
    case '>': return a > b;
    case '&': return a & b;
    case '|': return a | b;
    default: return a ^ b;
    }
}

static int32_t number(Input *in) {
    int32_t v = 0;
    while (*in->at >= '0' && *in->at <= '9') v = v * 10 + (*in->at++ - '0');
    return v;
}

static int32_t binary(Input *in, int at);

static int32_t primary(Input *in) {
    if (*in->at == '(') {
        in->at++;
        int32_t v = binary(in, 1);
        in->at++;
        return v;
    }
    if (*in->at == '-') return in->at++, (int32_t)(0 - (uint32_t)primary(in));
    if (*in->at == '~') return in->at++, ~primary(in);
    return number(in);
}

// One function a level.
static int32_t binary(Input *in, int at) {
    if (at > 6) return primary(in);
    int32_t v = binary(in, at + 1);
    while (level(*in->at) == at) {
        char op = *in->at++;
        v = apply(op, v, binary(in, at + 1));
    }
    return v;
}

NOINLINE static int to_postfix(const char *s, char *out) {
    char stack[64];
    int top = 0, n = 0, operand = 1;
    for (; *s; s++) {
        if (*s >= '0' && *s <= '9') {
            while (*s >= '0' && *s <= '9') out[n++] = *s++;
            out[n++] = ' ', s--, operand = 0;
        } else if (*s == '(') {
            stack[top++] = '(';
        } else if (*s == ')') {
            while (stack[--top] != '(') out[n++] = stack[top];
        } else if (operand) {
            stack[top++] = *s == '-' ? 'm' : *s;
        } else {
            while (top && stack[top - 1] != '(' && (level(stack[top - 1]) >= level(*s) || strchr("m~", stack[top - 1])))
                out[n++] = stack[--top];
            stack[top++] = *s, operand = 1;
        }
    }
    while (top) out[n++] = stack[--top];
    out[n] = 0;
    return n;
}

static int32_t run_postfix(const char *p) {
    int32_t stack[32], *s = stack;
    for (; *p; p++) {
        if (*p >= '0' && *p <= '9') {
            int32_t v = 0;
            for (; *p != ' '; p++) v = v * 10 + *p - '0';
            *s++ = v;
        } else if (*p == 'm') {
            s[-1] = (int32_t)(0 - (uint32_t)s[-1]);
        } else if (*p == '~') {
            s[-1] = ~s[-1];
        } else {
            s--;
            s[-1] = apply(*p, s[-1], s[0]);
        }
    }
    return stack[0];
}

static char *random_text(char *to, int depth) {
    uint32_t r = rnd();
    if (depth == 0 || r % 8 < 2) return to + sprintf(to, "%u", r >> 8 & (r & 64 ? 7 : 0xffff));
    if (r % 8 == 2) return *to++ = "-~"[r >> 8 & 1], random_text(to, depth - 1);
    int inner = r % 8 < 5;
    if (inner) *to++ = '(';
    to = random_text(to, depth - 1);
    *to++ = "|^&<>+-*/%"[(r >> 8) % 10];
    to = random_text(to, depth - 1);
    if (inner) *to++ = ')';
    *to = 0;
    return to;
}

int main(void) {
    static char text[1024], postfix[1024];
    static const struct { const char *text; int32_t value; } known[] = {
        {"1+2*3", 7}, {"(1+2)*3", 9}, {"10-4-3", 3}, {"-(2-5)*~0", -3}, {"7/2*2+7%2", 7}, {"1|6^5&3", 7}, {"2<3>0", 1}};
    for (int round = 0; round < 250; round++) {
        if (round < 7) strcpy(text, known[round].text);
        else *random_text(text, 4) = 0;
        Input in = {text};
        int32_t v = binary(&in, 1);
        CHECK(!*in.at && (round >= 7 || v == known[round].value));
        mix((uint32_t)to_postfix(text, postfix));
        CHECK(run_postfix(postfix) == v);
        mix((uint32_t)v);
    }
    printf("digest %08x\n", digest);
    return 0;
}
