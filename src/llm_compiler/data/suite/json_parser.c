// A JSON parser into an arena of nodes, with escapes, numbers and errors by position; a printer; round trips.
#include <stdarg.h>
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

typedef enum { NIL, BOOLEAN, NUMBER, STRING, ARRAY, OBJECT } Kind;
typedef struct Node { Kind kind; double number; const char *key, *text; struct Node *first, *next; } Node;
typedef struct { const char *at, *start; int error, depth; } Parser;

static Node nodes[256];
static char strings[2048], out[2048];
static int node_count, string_at, out_at;

static Node *leaf(Kind kind, double number, const char *text) {
    if (text) nodes[node_count] = (Node){kind, number, NULL, text, NULL, NULL};
    return text ? &nodes[node_count++] : NULL;
}

static Node *wrong(Parser *p) {
    if (!p->error) p->error = 1 + (int)(p->at - p->start);
    return NULL;
}

static void skip(Parser *p) { while (*p->at && strchr(" \t\r\n", *p->at)) p->at++; }
static int accept(Parser *p, char c) { return skip(p), *p->at == c ? p->at++, 1 : 0; }

NOINLINE static const char *string(Parser *p) {
    char *start = &strings[string_at], *to = start;
    if (!accept(p, '"')) return wrong(p), NULL;
    for (; *p->at != '"'; p->at++) {
        char c = *p->at;
        if ((unsigned char)c < 32) return wrong(p), NULL;
        if (c == '\\' && *++p->at != '"' && *p->at != 'n') return wrong(p), NULL;
        if (c == '\\') c = *p->at == 'n' ? '\n' : '"';
        *to++ = c;
    }
    p->at++;
    *to++ = 0;
    string_at = (int)(to - strings);
    return start;
}

static Node *value(Parser *p);

static Node *list(Parser *p, Kind kind, char close) {
    Node *n = leaf(kind, 0, ""), **tail = &n->first;
    if (++p->depth > 20) return wrong(p);
    for (int done = accept(p, close); !done; done = !accept(p, ',')) {
        const char *key = NULL;
        if (kind == OBJECT && (!(key = string(p)) || !accept(p, ':'))) return wrong(p);
        if (!(*tail = value(p))) return NULL;
        (*tail)->key = key;
        tail = &(*tail)->next;
    }
    p->depth--;
    return !n->first || accept(p, close) ? n : wrong(p);
}

static Node *value(Parser *p) {
    skip(p);
    switch (*p->at) {
    case '{': p->at++; return list(p, OBJECT, '}');
    case '[': p->at++; return list(p, ARRAY, ']');
    case '"': return leaf(STRING, 0, string(p));
    case '-': case '0' ... '9': {
        char *end;
        double v = strtod(p->at, &end);
        if (end == p->at) return wrong(p);
        p->at = end;
        return leaf(NUMBER, v, "");
    }
    }
    static const char *const words[] = {"null", "false", "true"};
    for (int i = 0; i < 3; i++)
        if (!strncmp(p->at, words[i], strlen(words[i]))) {
            p->at += strlen(words[i]);
            return leaf(i ? BOOLEAN : NIL, i == 2, "");
        }
    return wrong(p);
}

static Node *parse(const char *text, int *error) {
    Parser p = {text, text, 0, 0};
    node_count = string_at = 0;
    Node *n = value(&p);
    skip(&p);
    if (n && *p.at) n = wrong(&p);
    *error = p.error;
    return n;
}

static void emit(const char *format, ...) {
    va_list list;
    va_start(list, format);
    out_at += vsnprintf(out + out_at, sizeof out - (size_t)out_at, format, list);
    va_end(list);
}

NOINLINE static int print(const Node *n) {
    int count = 1;
    if (n->key) emit("\"%s\":", n->key);
    switch (n->kind) {
    case NIL:
    case BOOLEAN: emit(n->kind == NIL ? "null" : n->number != 0 ? "true" : "false"); break;
    case NUMBER: emit("%.17g", n->number); break;
    case STRING: emit("\"%s\"", n->text); break;
    default:
        emit("%c", n->kind == ARRAY ? '[' : '{');
        for (const Node *c = n->first; c; c = c->next) count += print(c), emit(c->next ? "," : "");
        emit("%c", n->kind == ARRAY ? ']' : '}');
    }
    return count;
}

int main(void) {
    static const struct { const char *text; int error; } wrongs[] = {
        {"", 1}, {"[1,]", 4}, {"{\"a\" 1}", 6}, {"[1 2]", 4}, {"\"a\\x\"", 4}, {"nul", 1}, {"[1]]", 4}, {"{1:2}", 2},
            {"[[[", 4}};
    int error;
    for (unsigned i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        CHECK(!parse(wrongs[i].text, &error) && error == wrongs[i].error);
    Node *n = parse(" { \"a\\n\\\"\" : [ 1 , -2.5e1, true ] , \"b\":{}, \"c\":null } ", &error);
    CHECK(n && n->kind == OBJECT && !strcmp(n->first->key, "a\n\"") && n->first->first->next->number == -25);
    CHECK(n->first->next->kind == OBJECT && !n->first->next->first && n->first->next->next->kind == NIL &&
          node_count == 7);
    static const char *const documents[] = {
        "{\"k\":[true,false,{}],\"key\":{\"a b\":-0.125}}", "[[[1,2,[3]],[]],[4,[5.5]]]", "[\"\",{\"x\":null},1048576]",
        "[{\"a\":1,\"b\":2},{\"a\":3,\"c\":[-17]},\"end\"]"};
    for (int round = 0; round < 100; round++) {
        char text[64];
        strcpy(text, documents[round % 4]);
        n = parse(text, &error);
        out_at = 0;
        CHECK(n && !error && print(n) == node_count && !strcmp(out, text));
        for (const char *p = out; *p; p++) mix((unsigned char)*p);
        size_t at = rnd() % strlen(text);
        text[at] = 0;
        CHECK(!parse(text, &error) && error > 0 && error <= (int)at + 1);  // every document is one list or object
        mix((uint32_t)error);
    }
    printf("digest %08x\n", digest);
    return 0;
}
