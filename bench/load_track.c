/*
 * load_track: what one device has seen of one log
 *
 * in:   numbers as they come.  out: what is wrong with each; how many lack
 * owns: a bit a number
 */

#include "load_track.h"

#include <stdlib.h>
#include <string.h>

static bool
load_track_bit(const struct load_track *t, uint64_t i)
{
    return i / 8 < t->size && (t->bits[i / 8] >> (i % 8) & 1);
}

void
load_track_begin(struct load_track *t, uint64_t base)
{
    t->begun = true;
    t->base = base;
    t->last = base;
}

enum load_track_seen
load_track_seen(struct load_track *t, uint64_t seq)
{
    uint64_t  i = seq - t->base - 1, last = t->last;
    uint8_t  *bits;
    size_t    size;

    if (seq <= t->base || i >= LOAD_TRACK_MAX) {
        return LOAD_TRACK_BEFORE;
    }

    if (load_track_bit(t, i)) {
        return LOAD_TRACK_DOUBLED;
    }

    if (i / 8 >= t->size) {
        size = (i / 8 + 1) * 2;
        bits = realloc(t->bits, size);

        if (bits == NULL) {
            abort();
        }

        memset(bits + t->size, 0, size - t->size);
        t->bits = bits;
        t->size = size;
    }

    t->bits[i / 8] |= (uint8_t) (1 << (i % 8));

    if (seq < last) {
        return LOAD_TRACK_REORDERED;
    }

    t->last = seq;

    return seq == last + 1 ? LOAD_TRACK_NEXT : LOAD_TRACK_GAP;
}

uint64_t
load_track_missing(const struct load_track *t, uint64_t to)
{
    uint64_t i, n = 0;

    for (i = 0; t->base + i < to; i++) {
        n += !load_track_bit(t, i);
    }

    return n;
}

void
load_track_deinit(struct load_track *t)
{
    free(t->bits);
    memset(t, 0, sizeof(*t));
}
