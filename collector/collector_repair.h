/*
 * collector_repair: what an earlier process did not hand over, and the mark
 *
 *     store_tail(mark ...) --page--> hand_over_repair --> the usual way
 *     mark of what waits  --each second--> store_mark_put
 *
 * in:   a collector_mark.  out: its rows again, its row to the store
 * owns: the two requests; one that is under way ends without its owner
 *
 * A page is read when the last one has arrived or is owed, and only while a
 * dispatcher is up: a long queue of old rows takes no memory.
 */

#ifndef COLLECTOR_REPAIR_H
#define COLLECTOR_REPAIR_H

#include "collector.h"
#include "collector_debts.h"
#include "collector_mark.h"

struct collector_repair;

/* mark and debts are borrowed.  NULL: out of memory. */
struct collector_repair *collector_repair_create(struct collector *c,
    struct collector_mark *mark, const struct collector_debts *debts);

/* Before store_close(). */
void collector_repair_destroy(struct collector_repair *r);

/* Reads the next page if it is time: each tick. */
void collector_repair_run(struct collector_repair *r);

/* Tells the store the mark if it moved: each second, and at the end. */
void collector_repair_mark(struct collector_repair *r);

#endif
