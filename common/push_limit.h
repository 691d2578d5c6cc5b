/*
 * push_limit: who has how many, and who speaks how often
 *
 *     name --hash--> a column of each row: +1, -1     get: the least of them
 *     frames --> | level | --> runs off with time     full: too many
 *
 * Counts are kept without names: two that share a column in every row are
 * counted together.  So a count may be too high, never too low: a limit may
 * refuse early, and never lets more through.
 *
 * Pure: no clock, no allocation.
 */

#ifndef PUSH_LIMIT_H
#define PUSH_LIMIT_H

#include "push.h"

#define PUSH_LIMIT_MAX      65535           /* of a count */
#define PUSH_LIMIT_ROWS     2
#define PUSH_LIMIT_COLUMNS  131072          /* a power of two */

/*
 * 512 KB, all zero at first.  One process writes, others may read meanwhile.
 */
struct push_limit_counts {
    uint16_t n[PUSH_LIMIT_ROWS][PUSH_LIMIT_COLUMNS];
};

/* SipHash-2-4: who does not know the key cannot choose where names fall. */
uint64_t push_limit_hash(const uint64_t key[2], const void *data, size_t len);

/* One more; PUSH_DECLINED: it is PUSH_LIMIT_MAX, nothing was changed. */
int push_limit_add(struct push_limit_counts *counts, uint64_t hash);
/* One less; only after push_limit_add() of the same hash. */
void push_limit_remove(struct push_limit_counts *counts, uint64_t hash);
/* As many as were added and not removed, or more. */
unsigned push_limit_get(const struct push_limit_counts *counts, uint64_t hash);

/*
 * A bucket's level after some time: `rate` a millisecond runs off.  With
 * levels in thousandths of a frame, rate is frames a second.
 */
uint32_t push_limit_drained(uint32_t level, uint32_t rate,
    uint32_t elapsed_ms);

#endif
