/*
 * collector_resync: requests of the edges for what their clients miss
 *
 *     push:ev:resync --entry--> request --cursors_get--> where to begin
 *          ^                                                   |
 *          | pause while 256 are in work,                 cursors_put
 *          | or hand_over has no room                          |
 *          |                                            read, log by log
 *          |                                                   v
 *     dispatcher <--hand_over, by node-- begin, conn, void, tip, reset
 *
 * in:   entries of the stream (docs/rules.md 4), read once (NOACK)
 * out:  one block of lines a request, in one body, to the node that asked
 * owns: the reader, requests in work, the answer that is being written
 *
 * A request that fails anywhere (overdue, the store is busy, no room) is
 * forgotten and counted: the edge asks again after 2 s.
 */

#ifndef COLLECTOR_RESYNC_H
#define COLLECTOR_RESYNC_H

#include "collector.h"

#define RESYNC_IN_WORK  256         /* requests at most */

/*
 * Uses c->conf, base, store, redis, hand_over.  PUSH_OK and c->resync, or
 * PUSH_ERROR and a text.
 */
int collector_resync_create(struct collector *c, char *error, size_t size);

/* Reads no more; what is in work is finished.  For the drain. */
void collector_resync_stop(struct collector *c);
bool collector_resync_idle(const struct collector *c);

/* Before store_close(): requests in work are freed in their `done`. */
void collector_resync_destroy(struct collector *c);

#endif
