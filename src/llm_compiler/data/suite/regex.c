// Regular expressions: a backtracking matcher, a compiler to a Thompson automaton and its simulation, which must agree.
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

// Backtracking, after the syntax c . * + ? ^ $ [a-z].
static int match_here(const char *re, const char *text);

static const char *class_end(const char *re) { return *re == '[' ? strchr(re, ']') + 1 : re + 1; }

NOINLINE static int match_one(const char *re, char c) {
    if (!c) return 0;
    if (*re != '[') return *re == '.' || *re == c;
    int negated = re[1] == '^', found = 0;
    for (re += 1 + negated; *re != ']'; re++) {
        if (re[1] == '-') found |= c >= re[0] && c <= re[2], re += 2;
        else found |= *re == c;
    }
    return found != negated;
}

static int match_repeat(const char *re, const char *rest, const char *text, int least, int most) {
    int n = 0;
    while (n < most && match_one(re, text[n])) n++;
    for (; n >= least; n--)
        if (match_here(rest, text + n)) return 1;
    return 0;
}

static int match_here(const char *re, const char *text) {
    if (!*re) return 1;
    if (*re == '$' && !re[1]) return !*text;
    const char *end = class_end(re);
    switch (*end) {
    case '*': return match_repeat(re, end + 1, text, 0, 1000);
    case '+': return match_repeat(re, end + 1, text, 1, 1000);
    case '?': return match_repeat(re, end + 1, text, 0, 1);
    }
    return match_one(re, *text) && match_here(end, text + 1);
}

static int backtrack(const char *re, const char *text) {
    if (*re == '^') return match_here(re + 1, text);
    do
        if (match_here(re, text)) return 1;
    while (*text++);
    return 0;
}

// A program of states; all of them run at once.
enum { ONE, SPLIT, END, ACCEPT };
typedef struct { uint8_t op, next, other; const char *one; } State;
typedef struct { uint8_t list[64], mark[64]; int n; } Set;

static State program[64];
static int length;

static void compile(const char *re) {
    length = 0;
    for (; *re; ) {
        if (*re == '$' && !re[1]) {
            program[length] = (State){END, (uint8_t)(length + 1), 0, NULL};
            length++, re++;
            continue;
        }
        const char *end = class_end(re);
        uint8_t at = (uint8_t)length;
        if (*end == '*' || *end == '?') {
            program[length++] = (State){SPLIT, (uint8_t)(at + 1), (uint8_t)(at + 2), NULL};
            program[length++] = (State){ONE, *end == '*' ? at : (uint8_t)(at + 2), 0, re};
        } else {
            program[length++] = (State){ONE, (uint8_t)(at + 1), 0, re};
            if (*end == '+') program[length++] = (State){SPLIT, at, (uint8_t)(at + 2), NULL};
        }
        re = *end && strchr("*+?", *end) ? end + 1 : end;
    }
    program[length++] = (State){ACCEPT, 0, 0, NULL};
}

static int enter(Set *s, uint8_t at, int last) {
    if (s->mark[at]) return 0;
    s->mark[at] = 1;
    switch (program[at].op) {
    case SPLIT: return enter(s, program[at].next, last) | enter(s, program[at].other, last);
    case END: return last && enter(s, program[at].next, last);
    case ACCEPT: return 1;
    }
    s->list[s->n++] = at;
    return 0;
}

NOINLINE static int simulate(const char *re, const char *text) {
    int anchored = *re == '^';
    compile(re + anchored);
    Set now = {.n = 0}, next;
    if (enter(&now, 0, !*text)) return 1;
    for (; *text; text++) {
        next = (Set){.n = 0};
        for (int i = 0; i < now.n; i++) {
            const State *s = &program[now.list[i]];
            if (match_one(s->one, *text) && enter(&next, s->next, !text[1])) return 1;
        }
        if (!anchored && enter(&next, 0, !text[1])) return 1;
        now = next;
    }
    return 0;
}

int main(void) {
    static const struct { const char *re, *text; int matches; } cases[] = {
        {"a*b", "xaab", 1}, {"^a*b", "xaab", 0}, {"^a.c$", "abc", 1}, {"^a.c$", "abcd", 0}, {"", "", 1}, {"^$", "", 1},
        {"^$", "a", 0}, {"[b-d]+x", "abcdx", 1}, {"^[^b-d]+$", "axyz", 1}, {"^[^b-d]+$", "axcz", 0}, {"a?a?a?aaa",
            "aaa", 1},
        {"^a?b+c*$", "bbb", 1}, {"z", "abc", 0}, {".*.*=.*", "x=x", 1}, {"^(.)*$", "(a)", 1}};
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK(backtrack(cases[i].re, cases[i].text) == cases[i].matches);
        CHECK(simulate(cases[i].re, cases[i].text) == cases[i].matches);
    }
    static const char *const pieces[] = {"a", "b", "c", ".", "[ab]", "[^a]", "[b-c]"};
    int hits = 0;
    for (int round = 0; round < 1200; round++) {
        char re[48] = "", text[16];
        uint32_t r = rnd();
        if (r & 1) strcat(re, "^");
        for (uint32_t k = 0; k < 1 + (r >> 4) % 4; k++) {
            uint32_t piece = rnd();
            strcat(re, pieces[piece % 7]);
            const char *suffix[] = {"", "", "*", "+", "?"};
            strcat(re, suffix[(piece >> 8) % 5]);
        }
        if (r & 2) strcat(re, "$");
        int n = (int)(rnd() % 10);
        for (int i = 0; i < n; i++) text[i] = (char)('a' + rnd() % 3);
        text[n] = 0;
        int found = backtrack(re, text);
        CHECK(found == simulate(re, text));
        hits += found;
        mix((uint32_t)(found * 2 + length));
    }
    CHECK(hits > 300 && hits < 1100);
    printf("digest %08x\n", digest);
    return 0;
}
