/*
 * push_limit: who has how many, and who speaks how often
 *
 * in:   hashes, levels; out: counts that are never too low.  owns: nothing
 */

#include "push_limit.h"


static void push_limit_round(uint64_t v[4]);
static uint32_t push_limit_column(uint64_t hash, unsigned row);


/* SipHash-2-4, as its authors' paper defines it (Aumasson, Bernstein 2012) */

uint64_t
push_limit_hash(const uint64_t key[2], const void *data, size_t len)
{
    size_t                i, left;
    uint64_t              v[4], word;
    const unsigned char  *p;

    p = data;

    v[0] = key[0] ^ UINT64_C(0x736f6d6570736575);
    v[1] = key[1] ^ UINT64_C(0x646f72616e646f6d);
    v[2] = key[0] ^ UINT64_C(0x6c7967656e657261);
    v[3] = key[1] ^ UINT64_C(0x7465646279746573);

    for (left = len; /* void */ ; left -= 8) {
        word = left < 8 ? (uint64_t) (len & 0xff) << 56 : 0;

        for (i = 0; i < (left < 8 ? left : 8); i++) {
            word |= (uint64_t) *p++ << (8 * i);
        }

        v[3] ^= word;
        push_limit_round(v);
        push_limit_round(v);
        v[0] ^= word;

        if (left < 8) {
            break;          /* that was the last word, with the length */
        }
    }

    v[2] ^= 0xff;

    for (i = 0; i < 4; i++) {
        push_limit_round(v);
    }

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}


static void
push_limit_round(uint64_t v[4])
{
#define rotate(x, n)  (((x) << (n)) | ((x) >> (64 - (n))))

    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32);

    v[2] += v[1];
    v[0] += v[3];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);

#undef rotate
}


/* 64 bits are enough for a place in each row. */

static uint32_t
push_limit_column(uint64_t hash, unsigned row)
{
    return (uint32_t) (hash >> (32 * row)) & (PUSH_LIMIT_COLUMNS - 1);
}


int
push_limit_add(struct push_limit_counts *counts, uint64_t hash)
{
    unsigned   row;
    uint16_t  *n;

    for (row = 0; row < PUSH_LIMIT_ROWS; row++) {
        if (counts->n[row][push_limit_column(hash, row)] == PUSH_LIMIT_MAX) {
            return PUSH_DECLINED;
        }
    }

    for (row = 0; row < PUSH_LIMIT_ROWS; row++) {
        n = &counts->n[row][push_limit_column(hash, row)];
        __atomic_store_n(n, (uint16_t) (*n + 1), __ATOMIC_RELAXED);
    }

    return PUSH_OK;
}


void
push_limit_remove(struct push_limit_counts *counts, uint64_t hash)
{
    unsigned   row;
    uint16_t  *n;

    for (row = 0; row < PUSH_LIMIT_ROWS; row++) {
        n = &counts->n[row][push_limit_column(hash, row)];

        if (*n) {
            __atomic_store_n(n, (uint16_t) (*n - 1), __ATOMIC_RELAXED);
        }
    }
}


unsigned
push_limit_get(const struct push_limit_counts *counts, uint64_t hash)
{
    unsigned  row, n, least;

    least = PUSH_LIMIT_MAX;

    for (row = 0; row < PUSH_LIMIT_ROWS; row++) {
        n = __atomic_load_n(&counts->n[row][push_limit_column(hash, row)],
                            __ATOMIC_RELAXED);

        if (n < least) {
            least = n;
        }
    }

    return least;
}


uint32_t
push_limit_drained(uint32_t level, uint32_t rate, uint32_t elapsed_ms)
{
    uint64_t  off;

    off = (uint64_t) rate * elapsed_ms;

    return off < level ? level - (uint32_t) off : 0;
}
