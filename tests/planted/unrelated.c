/* Of the benchmark's size, and nothing of it: a calculator over lines of text, and a small cache. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    char name[24];
    double value;
    unsigned long used;
};

struct cache {
    struct entry entries[32];
    int filled;
    unsigned long clock;
};

struct reader {
    const char *at;
    int failed;
    struct cache *names;
};

static double sum(struct reader *in);

static void blanks(struct reader *in)
{
    while (isspace((unsigned char)*in->at))
        in->at++;
}

struct entry *cache_find(struct cache *cache, const char *name)
{
    for (int i = 0; i < cache->filled; i++)
        if (strcmp(cache->entries[i].name, name) == 0) {
            cache->entries[i].used = ++cache->clock;
            return &cache->entries[i];
        }
    return NULL;
}

void cache_store(struct cache *cache, const char *name, double value)
{
    struct entry *found = cache_find(cache, name);
    if (!found) {
        if (cache->filled < 32) {
            found = &cache->entries[cache->filled++];
        } else {
            found = cache->entries;
            for (int i = 1; i < 32; i++)
                if (cache->entries[i].used < found->used)
                    found = &cache->entries[i];
        }
        snprintf(found->name, sizeof found->name, "%s", name);
    }
    found->value = value;
    found->used = ++cache->clock;
}

static double factor(struct reader *in)
{
    blanks(in);
    if (*in->at == '(') {
        in->at++;
        double inner = sum(in);
        blanks(in);
        if (*in->at == ')')
            in->at++;
        else
            in->failed = 1;
        return inner;
    }
    if (*in->at == '-') {
        in->at++;
        return -factor(in);
    }
    if (isalpha((unsigned char)*in->at)) {
        char name[24];
        size_t length = 0;
        while (isalnum((unsigned char)*in->at) && length + 1 < sizeof name)
            name[length++] = *in->at++;
        name[length] = 0;
        struct entry *found = cache_find(in->names, name);
        if (!found)
            in->failed = 1;
        return found ? found->value : 0.0;
    }
    char *end;
    double number = strtod(in->at, &end);
    if (end == in->at)
        in->failed = 1;
    in->at = end;
    return number;
}

static double product(struct reader *in)
{
    double left = factor(in);
    for (;;) {
        blanks(in);
        if (*in->at == '*') {
            in->at++;
            left *= factor(in);
        } else if (*in->at == '/') {
            in->at++;
            double right = factor(in);
            if (right == 0.0)
                in->failed = 1;
            else
                left /= right;
        } else {
            return left;
        }
    }
}

static double sum(struct reader *in)
{
    double left = product(in);
    for (;;) {
        blanks(in);
        if (*in->at != '+' && *in->at != '-')
            return left;
        left = *in->at++ == '+' ? left + product(in) : left - product(in);
    }
}

int calculate(struct cache *names, const char *line, char *reply, size_t room)
{
    struct reader in = {line, 0, names};
    const char *equals = strchr(line, '=');
    if (equals)
        in.at = equals + 1;
    double value = sum(&in);
    blanks(&in);
    if (in.failed || *in.at) {
        snprintf(reply, room, "cannot read it at '%.10s'", in.at);
        return 0;
    }
    if (equals) {
        char name[24] = "";
        sscanf(line, " %23[A-Za-z0-9]", name);
        cache_store(names, name, value);
    }
    snprintf(reply, room, "%.10g", value);
    return 1;
}
