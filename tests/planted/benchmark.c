/* A program in the manner of embedded benchmarks, written for this test: a differential coder of samples and a radix
   tree of addresses, driven by a generator. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int step_table[16] = {7, 9, 11, 14, 18, 24, 31, 40, 52, 68, 88, 115, 150, 195, 253, 330};
static const int index_change[8] = {-1, -1, -1, 0, 1, 2, 3, 5};

struct coder_state {
    int predicted;
    int index;
    long energy;
};

struct tree_node {
    unsigned key;
    unsigned mask;
    int bit;
    int hits;
    struct tree_node *left, *right;
};

static unsigned long generator_state = 12345;

static int next_sample(void)
{
    generator_state = generator_state * 1103515245UL + 12345UL;
    int noise = (int)((generator_state >> 16) & 1023) - 512;
    int wave = (int)((generator_state >> 8) & 255);
    if (wave > 128)
        wave = 256 - wave;
    return noise * 8 + wave * 16;
}

static int clamp(int value, int low, int high)
{
    if (value < low)
        return low;
    if (value > high)
        return high;
    return value;
}

void encode_block(const short *samples, unsigned char *codes, int count, struct coder_state *state)
{
    int predicted = state->predicted;
    int index = state->index;
    int half = 0;
    int pending = 0;
    for (int i = 0; i < count; i++) {
        int step = step_table[index];
        int difference = samples[i] - predicted;
        int sign = difference < 0 ? 8 : 0;
        if (sign)
            difference = -difference;
        int code = 0;
        int rebuilt = step >> 3;
        if (difference >= step) {
            code |= 4;
            difference -= step;
            rebuilt += step;
        }
        step >>= 1;
        if (difference >= step) {
            code |= 2;
            difference -= step;
            rebuilt += step;
        }
        step >>= 1;
        if (difference >= step) {
            code |= 1;
            rebuilt += step;
        }
        predicted += sign ? -rebuilt : rebuilt;
        predicted = clamp(predicted, -32768, 32767);
        index = clamp(index + index_change[code], 0, 15);
        if (half) {
            *codes++ = (unsigned char)(pending | ((code | sign) << 4));
        } else {
            pending = code | sign;
        }
        half = !half;
    }
    if (half)
        *codes = (unsigned char)pending;
    for (int i = 0; i < count; i++)
        state->energy += (long)samples[i] * samples[i];
    state->predicted = predicted;
    state->index = index;
}

void decode_block(const unsigned char *codes, short *samples, int count, struct coder_state *state)
{
    int predicted = state->predicted;
    int index = state->index;
    for (int i = 0; i < count; i++) {
        int code = i & 1 ? codes[i / 2] >> 4 : codes[i / 2] & 15;
        int step = step_table[index];
        int rebuilt = step >> 3;
        if (code & 4)
            rebuilt += step;
        if (code & 2)
            rebuilt += step >> 1;
        if (code & 1)
            rebuilt += step >> 2;
        predicted += code & 8 ? -rebuilt : rebuilt;
        predicted = clamp(predicted, -32768, 32767);
        index = clamp(index + index_change[code & 7], 0, 15);
        samples[i] = (short)predicted;
    }
    state->predicted = predicted;
    state->index = index;
}

struct tree_node *tree_insert(struct tree_node *root, unsigned key, unsigned mask)
{
    struct tree_node *node = root;
    struct tree_node **link = &root;
    int bit = 31;
    while (node && node->bit <= bit && (node->key & node->mask) == (key & node->mask)) {
        if (node->key == key && node->mask == mask) {
            node->hits++;
            return root;
        }
        bit = node->bit - 1;
        link = (key >> node->bit) & 1 ? &node->right : &node->left;
        node = *link;
    }
    struct tree_node *fresh = malloc(sizeof *fresh);
    if (!fresh)
        exit(1);
    memset(fresh, 0, sizeof *fresh);
    fresh->key = key;
    fresh->mask = mask;
    fresh->bit = bit < 0 ? 0 : bit;
    fresh->hits = 1;
    if (node) {
        if ((node->key >> fresh->bit) & 1)
            fresh->right = node;
        else
            fresh->left = node;
    }
    *link = fresh;
    return root;
}

int tree_sum(const struct tree_node *node, int depth)
{
    int total = 0;
    while (node) {
        total += node->hits * (depth + 1);
        total ^= (int)(node->key & 255);
        if (node->left && node->right)
            total += tree_sum(node->right, depth + 1);
        node = node->left ? node->left : node->right;
        depth++;
    }
    return total;
}

int main(int argc, char **argv)
{
    short input[256], output[256];
    unsigned char codes[128];
    struct coder_state coder = {0, 0, 0}, decoder = {0, 0, 0};
    struct tree_node *root = NULL;
    int rounds = argc > 1 ? atoi(argv[1]) : 100;
    long error = 0;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 256; i++)
            input[i] = (short)next_sample();
        encode_block(input, codes, 256, &coder);
        decode_block(codes, output, 256, &decoder);
        for (int i = 0; i < 256; i++)
            error += abs(input[i] - output[i]);
        root = tree_insert(root, (unsigned)generator_state, 0xffffff00u >> (round & 7));
    }
    printf("error %ld energy %ld tree %d\n", error, coder.energy, tree_sum(root, 0));
    return 0;
}
