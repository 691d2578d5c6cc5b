/*
 * collector_mark: up to which row everything has been handed over
 *
 *     rows of this process     | 7 | 9 | 10 |  the lowest that waits - 1
 *     rows of an earlier one   | 3 | 4 |       is the mark
 *     debts                    2               (or theirs)
 *
 * in:   items with rows as they come and go, rows that became debts
 * out:  the mark for store_mark_put(); rows to be read again after a crash
 * owns: nothing but two lists through the items
 *
 * Pure.  A row below the mark is never needed again; one above it is handed
 * over again by the next process, however this one ends.
 */

#ifndef COLLECTOR_MARK_H
#define COLLECTOR_MARK_H

#include "collector_item.h"

struct collector_mark_order {
    struct collector_item *first;       /* the lowest row */
    struct collector_item *last;
    size_t                 count;
};

struct collector_mark {
    struct collector_mark_order now;
    struct collector_mark_order repair;

    int64_t last;           /* highest row that came to this process */
    int64_t first;          /* lowest one, 0: none yet */
    int64_t put;            /* mark that the store has */
    int64_t repaired;       /* rows up to this were read again */
    bool    repairing;
};

/* put: the store's mark; repairing: the rows above it are to be read again. */
void collector_mark_init(struct collector_mark *m, int64_t put,
    bool repairing);

/* A row of this process, its item may be in no list. */
void collector_mark_seen(struct collector_mark *m, int64_t row);

/* The item (row > 0) waits from now on; it does no more. */
void collector_mark_add(struct collector_mark *m, struct collector_item *item);
void collector_mark_remove(struct collector_mark *m,
    struct collector_item *item);

/*
 * Rows to be read again lie above *after, up to *until (0: to the end).
 * false: that is done.
 */
bool collector_mark_repair(const struct collector_mark *m, int64_t *after,
    int64_t *until);

/* A page up to this row was read and its items added. */
void collector_mark_repaired(struct collector_mark *m, int64_t row, bool end);

/* debts_row: the lowest of them, INT64_MAX: none.  The mark; at least put. */
int64_t collector_mark_row(const struct collector_mark *m, int64_t debts_row);

#endif
