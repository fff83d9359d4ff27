/* A JSON tokenizer (RFC 8259) that allocates nothing: it fills an array of tokens with types, places and parents. */
#include <stddef.h>
#include <stdint.h>

typedef enum { T_OBJECT, T_ARRAY, T_STRING, T_NUMBER, T_TRUE, T_FALSE, T_NULL } kind;
typedef struct {
    kind type;
    uint32_t start, end;
    int32_t parent;
    uint32_t children;
} token;

enum { E_SYNTAX = -1, E_TOKENS = -2, E_DEPTH = -3, E_STRING = -4 };
enum { MAX_DEPTH = 64 };

typedef struct {
    const char *text;
    size_t length, at;
    token *tokens;
    int count, capacity, depth;
} parser;

static void blanks(parser *p) {
    while (p->at < p->length) {
        char c = p->text[p->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') return;
        p->at++;
    }
}

static int peek(const parser *p) { return p->at < p->length ? (unsigned char)p->text[p->at] : -1; }

static int is_digit(int c) { return c >= '0' && c <= '9'; }

static int is_hex(int c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

static int add(parser *p, kind type, int parent) {
    if (p->count == p->capacity) return E_TOKENS;
    token *t = &p->tokens[p->count];
    t->type = type;
    t->start = (uint32_t)p->at;
    t->end = t->start;
    t->parent = parent;
    t->children = 0;
    if (parent >= 0) p->tokens[parent].children++;
    return p->count++;
}

static int string(parser *p, int parent) {
    int index = add(p, T_STRING, parent);
    if (index < 0) return index;
    p->at++;
    for (;;) {
        int c = peek(p);
        if (c < 0x20) return E_STRING;
        p->at++;
        if (c == '"') break;
        if (c != '\\') continue;
        switch (peek(p)) {
        case '"': case '\\': case '/': case 'b': case 'f': case 'n': case 'r': case 't':
            p->at++;
            break;
        case 'u':
            p->at++;
            for (int digit = 0; digit < 4; digit++, p->at++)
                if (!is_hex(peek(p))) return E_STRING;
            break;
        default:
            return E_STRING;
        }
    }
    p->tokens[index].end = (uint32_t)p->at;
    return index;
}

static int digits(parser *p) {
    if (!is_digit(peek(p))) return E_SYNTAX;
    while (is_digit(peek(p))) p->at++;
    return 0;
}

static int number(parser *p, int parent) {
    int index = add(p, T_NUMBER, parent);
    if (index < 0) return index;
    if (peek(p) == '-') p->at++;
    if (peek(p) == '0')
        p->at++;
    else if (digits(p) < 0)
        return E_SYNTAX;
    if (peek(p) == '.') {
        p->at++;
        if (digits(p) < 0) return E_SYNTAX;
    }
    if (peek(p) == 'e' || peek(p) == 'E') {
        p->at++;
        if (peek(p) == '+' || peek(p) == '-') p->at++;
        if (digits(p) < 0) return E_SYNTAX;
    }
    p->tokens[index].end = (uint32_t)p->at;
    return index;
}

static int word(parser *p, const char *expected, kind type, int parent) {
    int index = add(p, type, parent);
    if (index < 0) return index;
    for (; *expected; expected++, p->at++)
        if (peek(p) != *expected) return E_SYNTAX;
    p->tokens[index].end = (uint32_t)p->at;
    return index;
}

static int value(parser *p, int parent);

static int members(parser *p, int parent, kind type) {
    int index = add(p, type, parent);
    if (index < 0) return index;
    int closing = type == T_OBJECT ? '}' : ']';
    if (++p->depth > MAX_DEPTH) return E_DEPTH;
    p->at++;
    blanks(p);
    if (peek(p) != closing) {
        for (;;) {
            int child = index;
            blanks(p);
            if (type == T_OBJECT) {
                if (peek(p) != '"') return E_SYNTAX;
                child = string(p, index);
                if (child < 0) return child;
                blanks(p);
                if (peek(p) != ':') return E_SYNTAX;
                p->at++;
            }
            child = value(p, child);
            if (child < 0) return child;
            blanks(p);
            if (peek(p) == closing) break;
            if (peek(p) != ',') return E_SYNTAX;
            p->at++;
        }
    }
    p->at++;
    p->depth--;
    p->tokens[index].end = (uint32_t)p->at;
    return index;
}

static int value(parser *p, int parent) {
    blanks(p);
    int c = peek(p);
    switch (c) {
    case '{': return members(p, parent, T_OBJECT);
    case '[': return members(p, parent, T_ARRAY);
    case '"': return string(p, parent);
    case 't': return word(p, "true", T_TRUE, parent);
    case 'f': return word(p, "false", T_FALSE, parent);
    case 'n': return word(p, "null", T_NULL, parent);
    default: return c == '-' || is_digit(c) ? number(p, parent) : E_SYNTAX;
    }
}

/* The number of tokens, or a negative error; *stopped is where the text was left. */
int json_tokenize(const char *text, size_t length, token *tokens, int capacity, size_t *stopped) {
    parser p = {text, length, 0, tokens, 0, capacity, 0};
    int result = value(&p, -1);
    blanks(&p);
    *stopped = p.at;
    if (result < 0) return result;
    return p.at == length ? p.count : E_SYNTAX;
}

/* The token of the value under a key of an object; -1 when there is none. */
int json_find(const char *text, const token *tokens, int count, int object, const char *key) {
    for (int index = object + 1; index < count && tokens[index].start < tokens[object].end; index++) {
        if (tokens[index].parent != object || tokens[index].type != T_STRING) continue;
        uint32_t at = tokens[index].start + 1, end = tokens[index].end - 1;
        const char *wanted = key;
        while (at < end && *wanted && text[at] == *wanted) at++, wanted++;
        if (at == end && !*wanted) return index + 1 < count ? index + 1 : -1;
    }
    return -1;
}
