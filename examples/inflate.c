/* A decoder of DEFLATE streams (RFC 1951) with the CRC-32 of what it wrote; no C library needed. */
#include <stddef.h>
#include <stdint.h>

enum { OK, TRUNCATED = -1, CORRUPTED = -2, TOO_SMALL = -3 };
enum { MAX_BITS = 15, LITERALS = 288, DISTANCES = 30 };

typedef struct {
    const uint8_t *in;
    size_t in_length, in_at;
    uint8_t *out;
    size_t out_length, out_at;
    uint32_t bits;
    int bit_count;
    int error;
} stream;

typedef struct {
    uint16_t counts[MAX_BITS + 1];
    uint16_t symbols[LITERALS];
} huffman;

static uint32_t take_bits(stream *s, int count) {
    while (s->bit_count < count) {
        if (s->in_at == s->in_length) {
            s->error = TRUNCATED;
            return 0;
        }
        s->bits |= (uint32_t)s->in[s->in_at++] << s->bit_count;
        s->bit_count += 8;
    }
    uint32_t value = s->bits & ((1u << count) - 1);
    s->bits >>= count;
    s->bit_count -= count;
    return value;
}

static int build(huffman *h, const uint8_t *lengths, int count) {
    uint16_t offsets[MAX_BITS + 1];
    for (int length = 0; length <= MAX_BITS; length++) h->counts[length] = 0;
    for (int symbol = 0; symbol < count; symbol++) h->counts[lengths[symbol]]++;
    int left = 1;
    for (int length = 1; length <= MAX_BITS; length++) {
        left = (left << 1) - h->counts[length];
        if (left < 0) return CORRUPTED;
    }
    offsets[1] = 0;
    for (int length = 1; length < MAX_BITS; length++) offsets[length + 1] = offsets[length] + h->counts[length];
    for (int symbol = 0; symbol < count; symbol++)
        if (lengths[symbol]) h->symbols[offsets[lengths[symbol]]++] = (uint16_t)symbol;
    return OK;
}

static int decode(stream *s, const huffman *h) {
    int code = 0, first = 0, index = 0;
    for (int length = 1; length <= MAX_BITS; length++) {
        code |= (int)take_bits(s, 1);
        if (s->error) return s->error;
        int count = h->counts[length];
        if (code - count < first) return h->symbols[index + (code - first)];
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    return s->error = CORRUPTED;
}

static void put(stream *s, uint8_t byte) {
    if (s->out_at == s->out_length)
        s->error = TOO_SMALL;
    else
        s->out[s->out_at++] = byte;
}

static void stored(stream *s) {
    s->bits = 0;
    s->bit_count = 0;
    uint32_t length = take_bits(s, 16), complement = take_bits(s, 16);
    if (!s->error && length != (~complement & 0xffff)) s->error = CORRUPTED;
    while (!s->error && length--) put(s, (uint8_t)take_bits(s, 8));
}

static void codes(stream *s, const huffman *literals, const huffman *distances) {
    static const uint16_t length_base[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                           31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_extra[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                           2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    static const uint16_t distance_base[] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                             193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    static const uint8_t distance_extra[] = {0, 0, 0, 0, 1, 1, 2, 2,  3,  3,  4,  4,  5,  5,  6,
                                             6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13};
    while (!s->error) {
        int symbol = decode(s, literals);
        if (s->error || symbol == 256) return;
        if (symbol < 256) {
            put(s, (uint8_t)symbol);
            continue;
        }
        symbol -= 257;
        if (symbol >= 29) {
            s->error = CORRUPTED;
            return;
        }
        uint32_t length = length_base[symbol] + take_bits(s, length_extra[symbol]);
        symbol = decode(s, distances);
        if (s->error) return;
        if (symbol >= DISTANCES) {
            s->error = CORRUPTED;
            return;
        }
        uint32_t distance = distance_base[symbol] + take_bits(s, distance_extra[symbol]);
        if (distance > s->out_at) s->error = CORRUPTED;
        while (!s->error && length--) put(s, s->out[s->out_at - distance]);
    }
}

static void fixed(stream *s) {
    uint8_t lengths[LITERALS];
    huffman literals, distances;
    for (int symbol = 0; symbol < LITERALS; symbol++)
        lengths[symbol] = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
    build(&literals, lengths, LITERALS);
    for (int symbol = 0; symbol < DISTANCES; symbol++) lengths[symbol] = 5;
    build(&distances, lengths, DISTANCES);
    codes(s, &literals, &distances);
}

static void dynamic(stream *s) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[LITERALS + DISTANCES + 2] = {0};
    huffman literals, distances;
    int literal_count = (int)take_bits(s, 5) + 257, distance_count = (int)take_bits(s, 5) + 1;
    int code_count = (int)take_bits(s, 4) + 4;
    if (s->error) return;
    if (literal_count > 286 || distance_count > DISTANCES) {
        s->error = CORRUPTED;
        return;
    }
    for (int index = 0; index < code_count; index++) lengths[order[index]] = (uint8_t)take_bits(s, 3);
    if (s->error || (s->error = build(&literals, lengths, 19))) return;
    for (int index = 0; index < literal_count + distance_count;) {
        int symbol = decode(s, &literals);
        if (s->error) return;
        if (symbol < 16) {
            lengths[index++] = (uint8_t)symbol;
            continue;
        }
        uint8_t value = 0;
        int repeat;
        if (symbol == 16) {
            if (!index) {
                s->error = CORRUPTED;
                return;
            }
            value = lengths[index - 1];
            repeat = 3 + (int)take_bits(s, 2);
        } else {
            repeat = symbol == 17 ? 3 + (int)take_bits(s, 3) : 11 + (int)take_bits(s, 7);
        }
        if (index + repeat > literal_count + distance_count) s->error = CORRUPTED;
        if (s->error) return;
        while (repeat--) lengths[index++] = value;
    }
    if ((s->error = build(&literals, lengths, literal_count))) return;
    if ((s->error = build(&distances, lengths + literal_count, distance_count))) return;
    codes(s, &literals, &distances);
}

uint32_t crc32(uint32_t crc, const uint8_t *data, size_t length) {
    crc = ~crc;
    while (length--) {
        crc ^= *data++;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (0xedb88320u & -(crc & 1));
    }
    return ~crc;
}

/* Returns 0, or a negative error; *written is how far it came. */
int inflate(uint8_t *out, size_t out_length, const uint8_t *in, size_t in_length, size_t *written, uint32_t *crc) {
    stream s = {in, in_length, 0, out, out_length, 0, 0, 0, OK};
    uint32_t last = 0;
    while (!last && !s.error) {
        last = take_bits(&s, 1);
        switch (take_bits(&s, 2)) {
        case 0: stored(&s); break;
        case 1: fixed(&s); break;
        case 2: dynamic(&s); break;
        default: s.error = CORRUPTED;
        }
    }
    *written = s.out_at;
    *crc = crc32(0, out, s.out_at);
    return s.error;
}
