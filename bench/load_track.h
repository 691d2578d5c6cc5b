/*
 * load_track: what one device has seen of one log
 *
 * Numbers begin behind `base`.  Each is seen once, one after the other, or what
 * was wrong is said.
 */

#ifndef LOAD_TRACK_H
#define LOAD_TRACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOAD_TRACK_MAX  (1 << 24)   /* numbers of a log that are looked at */

enum load_track_seen {
    LOAD_TRACK_NEXT,
    LOAD_TRACK_GAP,                 /* some before it have not been seen */
    LOAD_TRACK_DOUBLED,
    LOAD_TRACK_REORDERED,           /* first seen behind a higher one */
    LOAD_TRACK_BEFORE               /* at or below base, or far too high */
};

struct load_track {
    bool      begun;                /* base is known */
    uint64_t  base;
    uint64_t  last;                 /* highest seen, or base */
    uint8_t  *bits;                 /* owned; one a number above base */
    size_t    size;                 /* bytes */
};

/* The log's first number is base + 1; once. */
void load_track_begin(struct load_track *t, uint64_t base);

enum load_track_seen load_track_seen(struct load_track *t, uint64_t seq);

/* How many of base + 1 .. to have not been seen. */
uint64_t load_track_missing(const struct load_track *t, uint64_t to);

void load_track_deinit(struct load_track *t);

#endif
