// A bytecode interpreter with three dispatchers (switch, computed goto, table of functions) that must agree.
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

enum Op { PUSH, ADD, SUB, MUL, DUP, SWAP, OVER, DROP, JZ, JMP, LOAD, STORE, LT, CALL, RET, HALT, OPS };

typedef struct { int32_t stack[64]; int sp; int32_t memory[16]; int calls[16]; int cp, pc, steps; } Machine;

static uint8_t code[128];

static int run_switch(Machine *m, const uint8_t *p) {
    for (;; m->steps++) {
        int32_t *top = &m->stack[m->sp];
        switch (p[m->pc++]) {
        case PUSH: m->stack[++m->sp] = (int8_t)p[m->pc++]; break;
        case ADD: top[-1] = (int32_t)((uint32_t)top[-1] + (uint32_t)top[0]), m->sp--; break;
        case SUB: top[-1] = (int32_t)((uint32_t)top[-1] - (uint32_t)top[0]), m->sp--; break;
        case MUL: top[-1] = (int32_t)((uint32_t)top[-1] * (uint32_t)top[0]), m->sp--; break;
        case DUP: top[1] = top[0], m->sp++; break;
        case SWAP: top[1] = top[0], top[0] = top[-1], top[-1] = top[1]; break;
        case OVER: top[1] = top[-1], m->sp++; break;
        case DROP: m->sp--; break;
        case JZ: m->pc = m->stack[m->sp--] ? m->pc + 1 : p[m->pc]; break;
        case JMP: m->pc = p[m->pc]; break;
        case LOAD: m->stack[++m->sp] = m->memory[p[m->pc++]]; break;
        case STORE: m->memory[p[m->pc++]] = m->stack[m->sp--]; break;
        case LT: top[-1] = top[-1] < top[0], m->sp--; break;
        case CALL: m->calls[m->cp++] = m->pc + 1, m->pc = p[m->pc]; break;
        case RET: m->pc = m->calls[--m->cp]; break;
        default: return m->stack[m->sp];
        }
    }
}

NOINLINE static int run_goto(Machine *m, const uint8_t *program) {
    static const void *const labels[] = {&&push, &&add, &&sub, &&mul, &&dup, &&swap, &&over, &&drop,
                                         &&jz, &&jmp, &&load, &&store, &&lt, &&call, &&ret, &&halt};
    const uint8_t *p = program;
    int32_t *s = m->stack + m->sp, t;
    int steps = m->steps;
#define NEXT do { steps++; goto *labels[*p++]; } while (0)
    steps--;
    NEXT;
push: *++s = (int8_t)*p++; NEXT;
add: s--, s[0] = (int32_t)((uint32_t)s[0] + (uint32_t)s[1]); NEXT;
sub: s--, s[0] = (int32_t)((uint32_t)s[0] - (uint32_t)s[1]); NEXT;
mul: s--, s[0] = (int32_t)((uint32_t)s[0] * (uint32_t)s[1]); NEXT;
dup: s[1] = s[0], s++; NEXT;
swap: t = s[0], s[0] = s[-1], s[-1] = t; NEXT;
over: s[1] = s[-1], s++; NEXT;
drop: s--; NEXT;
jz: if (*s--) p++; else p = program + *p; NEXT;
jmp: p = program + *p; NEXT;
load: *++s = m->memory[*p++]; NEXT;
store: m->memory[*p++] = *s--; NEXT;
lt: s--, s[0] = s[0] < s[1]; NEXT;
call: m->calls[m->cp++] = (int)(p + 1 - program), p = program + *p; NEXT;
ret: p = program + m->calls[--m->cp]; NEXT;
halt:
    m->sp = (int)(s - m->stack), m->pc = (int)(p - program), m->steps = steps;
    return *s;
}

#define BINARY(name, expression) \
    static int name(Machine *m, int x) { \
        int32_t b = m->stack[m->sp--], a = m->stack[m->sp]; \
        m->stack[m->sp] = (int32_t)(expression); \
        return x; \
    }
BINARY(op_add, (uint32_t)a + (uint32_t)b)
BINARY(op_sub, (uint32_t)a - (uint32_t)b)
BINARY(op_mul, (uint32_t)a * (uint32_t)b)
BINARY(op_lt, a < b)
static int op_push(Machine *m, int x) { return m->stack[++m->sp] = (int8_t)x, m->pc++, 0; }
static int op_dup(Machine *m, int x) { return m->stack[m->sp + 1] = m->stack[m->sp], m->sp++, x; }
static void exchange(int32_t *a, int32_t *b) { *a ^= *b, *b ^= *a, *a ^= *b; }
static int op_swap(Machine *m, int x) { return exchange(&m->stack[m->sp], &m->stack[m->sp - 1]), x; }
static int op_over(Machine *m, int x) { return m->stack[m->sp + 1] = m->stack[m->sp - 1], m->sp++, x; }
static int op_drop(Machine *m, int x) { return m->sp--, x; }
static int op_jz(Machine *m, int x) { return m->pc = m->stack[m->sp--] ? m->pc + 1 : x; }
static int op_jmp(Machine *m, int x) { return m->pc = x; }
static int op_load(Machine *m, int x) { return m->pc++, m->stack[++m->sp] = m->memory[x]; }
static int op_store(Machine *m, int x) { return m->pc++, m->memory[x] = m->stack[m->sp--]; }
static int op_call(Machine *m, int x) { return m->calls[m->cp++] = m->pc + 1, m->pc = x; }
static int op_ret(Machine *m, int x) { return m->pc = m->calls[--m->cp], x; }

static int (*const table[])(Machine *, int) = {op_push, op_add, op_sub, op_mul, op_dup, op_swap, op_over, op_drop,
                                               op_jz, op_jmp, op_load, op_store, op_lt, op_call, op_ret};

static int run_table(Machine *m, const uint8_t *p) {
    for (uint8_t op; (op = p[m->pc++]) != HALT; m->steps++) table[op](m, p[m->pc]);
    return m->stack[m->sp];
}

static int (*const runners[])(Machine *, const uint8_t *) = {run_switch, run_goto, run_table};

static int all(int first, int32_t argument) {
    Machine machines[3];
    int results[3];
    memset(machines, 0, sizeof machines);
    for (int i = 0; i < 3; i++) {
        machines[i].memory[0] = argument;
        results[i] = runners[(i + first) % 3](&machines[i], code);
        CHECK(results[i] == results[0] && machines[i].steps == machines[0].steps && machines[i].sp == machines[0].sp);
        CHECK(!memcmp(machines[i].memory, machines[0].memory, sizeof machines[0].memory));
    }
    mix((uint32_t)machines[first % 3].steps);
    mix((uint32_t)results[2]);
    return results[1];
}

int main(void) {
    // r = 1; while (0 < n) { r = r * n; n = n - 1 }
    static const uint8_t factorial[] = {PUSH, 1, STORE, 1, PUSH, 0, LOAD, 0, LT, JZ, 24, LOAD, 1, LOAD, 0, MUL,
                                        STORE, 1, LOAD, 0, PUSH, 255, ADD, JMP, 29, LOAD, 1, HALT, HALT, STORE, 0,
                                            JMP, 4};
    memcpy(code, factorial, sizeof factorial);
    code[10] = 25;
    uint32_t product = 1;
    for (int n = 0; n < 15; n++) {
        product *= n ? (uint32_t)n : 1;
        CHECK(all(n, n) == (int32_t)product);
    }
    CHECK(all(1, -5) == 1);
    // Straight-line programs from the generator, with the stack kept between 2 and 40 deep.
    for (int round = 0; round < 40; round++) {
        int n = 0, depth = 0;
        while (n < 100) {
            int op = depth < 2 ? PUSH : (int)(rnd() % HALT);
            if (op == JZ || op == JMP || op == CALL || op == RET || (depth < 4 &&
                (op == DROP || op == STORE))) continue;
            code[n++] = (uint8_t)op;
            if (op == PUSH || op == LOAD || op == STORE) code[n++] = (uint8_t)(rnd() % (op == PUSH ? 256 : 16));
            depth += op == PUSH || op == DUP || op == OVER || op == LOAD;
            depth -= op == ADD || op == SUB || op == MUL || op == LT || op == DROP || op == STORE;
            if (depth > 40) code[n++] = DROP, depth--;
        }
        code[n] = HALT;
        all(round, (int32_t)rnd());
    }
    printf("digest %08x\n", digest);
    return 0;
}
