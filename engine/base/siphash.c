/* siphash.c - SipHash-2-4, from the paper's description. */
#include "base/siphash.h"

struct state {
    uint64_t v0, v1, v2, v3;
};

static uint64_t rotate(uint64_t value, int bits)
{
    return value << bits | value >> (64 - bits);
}

static void rounds(struct state *s, int count)
{
    while (count-- > 0) {
        s->v0 += s->v1;
        s->v2 += s->v3;
        s->v1 = rotate(s->v1, 13) ^ s->v0;
        s->v3 = rotate(s->v3, 16) ^ s->v2;
        s->v0 = rotate(s->v0, 32);
        s->v2 += s->v1;
        s->v0 += s->v3;
        s->v1 = rotate(s->v1, 17) ^ s->v2;
        s->v3 = rotate(s->v3, 21) ^ s->v0;
        s->v2 = rotate(s->v2, 32);
    }
}

/* Up to eight bytes, little-endian whatever the machine is. */
static uint64_t word_of(const char *data, size_t len)
{
    uint64_t word = 0;
    for (size_t i = 0; i < len; i++)
        word |= (uint64_t)(unsigned char)data[i] << 8 * i;
    return word;
}

static void absorb(struct state *s, uint64_t word)
{
    s->v3 ^= word;
    rounds(s, 2);
    s->v0 ^= word;
}

uint64_t tael_siphash(const struct tael_siphash_seed *seed, struct tael_span data)
{
    struct state s = {
        seed->k0 ^ UINT64_C(0x736f6d6570736575),
        seed->k1 ^ UINT64_C(0x646f72616e646f6d),
        seed->k0 ^ UINT64_C(0x6c7967656e657261),
        seed->k1 ^ UINT64_C(0x7465646279746573),
    };
    size_t whole = data.len / 8 * 8;
    for (size_t at = 0; at < whole; at += 8)
        absorb(&s, word_of(data.data + at, 8));
    absorb(&s, word_of(data.data + whole, data.len - whole) | (uint64_t)data.len << 56);
    s.v2 ^= 0xff;
    rounds(&s, 4);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}
