/*
 * hash_ring: consistent hash, log -> dispatcher and user -> edge
 *
 * in: names of members, a key.  out: the index of a member.  owns: its points
 *
 * Pure but for the one allocation in create.  The same members give the same
 * answers in every process and at every start, whatever their order.
 */

#ifndef HASH_RING_H
#define HASH_RING_H

#include "push.h"

#define HASH_RING_POINTS  160       /* of each member */

struct hash_ring;

/* names are copied; n >= 1.  NULL: out of memory. */
struct hash_ring *hash_ring_create(const struct push_str *names, size_t n);
void hash_ring_destroy(struct hash_ring *ring);

/* The member for the key, in 0 .. n - 1. */
size_t hash_ring_find(const struct hash_ring *ring, struct push_str key);

/*
 * The next best: fills order[] with up to max different members, the one of
 * hash_ring_find first.  Returns how many.
 */
size_t hash_ring_order(const struct hash_ring *ring, struct push_str key,
    size_t *order, size_t max);

#endif
