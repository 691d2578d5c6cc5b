/*
 * hash_ring: consistent hash, log -> dispatcher and user -> edge
 *
 *     key --hash--> .  o .   o . o   .   the next point on the circle
 *                      ^--------------   and its member
 *
 * in:   names of members, a key.  out: the index of a member
 * owns: the points, sorted
 */

#include "hash_ring.h"

#include <stdlib.h>
#include <string.h>

struct hash_ring_point {
    uint64_t  hash;
    uint32_t  member;
};

struct hash_ring {
    size_t                  members;
    size_t                  count;
    struct hash_ring_point  points[];
};

static uint64_t hash_ring_hash(const char *s, size_t len, uint64_t seed);
static int hash_ring_compare(const void *one, const void *two);
static size_t hash_ring_first(const struct hash_ring *ring,
    struct push_str key);


struct hash_ring *
hash_ring_create(const struct push_str *names, size_t n)
{
    size_t             i, j;
    struct hash_ring  *ring;

    if (n == 0 || n > UINT32_MAX / HASH_RING_POINTS) {
        return NULL;
    }

    ring = malloc(sizeof(*ring)
                  + n * HASH_RING_POINTS * sizeof(ring->points[0]));
    if (ring == NULL) {
        return NULL;
    }

    ring->members = n;
    ring->count = 0;

    for (i = 0; i < n; i++) {
        for (j = 0; j < HASH_RING_POINTS; j++) {
            ring->points[ring->count].hash =
                hash_ring_hash(names[i].data, names[i].len, j + 1);
            ring->points[ring->count].member = (uint32_t) i;
            ring->count++;
        }
    }

    qsort(ring->points, ring->count, sizeof(ring->points[0]),
          hash_ring_compare);

    return ring;
}


void
hash_ring_destroy(struct hash_ring *ring)
{
    free(ring);
}


size_t
hash_ring_find(const struct hash_ring *ring, struct push_str key)
{
    return ring->points[hash_ring_first(ring, key)].member;
}


size_t
hash_ring_order(const struct hash_ring *ring, struct push_str key,
    size_t *order, size_t max)
{
    size_t  at, i, n, found, member;

    if (max > ring->members) {
        max = ring->members;
    }

    at = hash_ring_first(ring, key);
    found = 0;

    for (n = 0; n < ring->count && found < max; n++) {
        member = ring->points[(at + n) % ring->count].member;

        for (i = 0; i < found && order[i] != member; i++) {
            /* void */
        }

        if (i == found) {
            order[found++] = member;
        }
    }

    return found;
}


/*
 * FNV-1a takes the bytes in, one by one, so that the machine's byte order does
 * not matter; the mixing behind it spreads the last of them over all 64 bits,
 * which FNV alone does not.
 */
static uint64_t
hash_ring_hash(const char *s, size_t len, uint64_t seed)
{
    size_t    i;
    uint64_t  h = UINT64_C(0xcbf29ce484222325);

    for (i = 0; i < len; i++) {
        h = (h ^ (unsigned char) s[i]) * UINT64_C(0x100000001b3);
    }

    h += seed * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);

    return h ^ (h >> 31);
}


static int
hash_ring_compare(const void *one, const void *two)
{
    const struct hash_ring_point  *a = one, *b = two;

    if (a->hash != b->hash) {
        return a->hash < b->hash ? -1 : 1;
    }

    return (a->member > b->member) - (a->member < b->member);
}


/* The first point at or behind the key's, round the circle. */
static size_t
hash_ring_first(const struct hash_ring *ring, struct push_str key)
{
    size_t    low, high, middle;
    uint64_t  hash;

    hash = hash_ring_hash(key.data, key.len, 0);
    low = 0;
    high = ring->count;

    while (low < high) {
        middle = low + (high - low) / 2;

        if (ring->points[middle].hash < hash) {
            low = middle + 1;

        } else {
            high = middle;
        }
    }

    return low == ring->count ? 0 : low;
}
