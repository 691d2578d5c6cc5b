/*
 * collector_cursors: acks of clients become cursors in the store
 *
 *     push:ev:ack --a batch of entries--> maximum by (log, uid, device)
 *         ^                                        |
 *         | XACK after commit,                cursors_put, 1000 a call
 *         | next read 100 ms later                 |
 *         +----------------------------------------+
 *
 * in:   entries of the stream (docs/rules.md 4)
 * out:  cursors; an entry leaves the stream's pending list when its acks are
 *       committed, so that a collector that dies reads it again
 * owns: the reader, one batch
 *
 * Acks of another epoch or above a log's tip are dropped and counted, a bad
 * entry is logged, counted and done with.  While the store is unavailable the
 * batch is tried again each second and nothing else is read.
 */

#ifndef COLLECTOR_CURSORS_H
#define COLLECTOR_CURSORS_H

#include "collector.h"

/*
 * Uses c->conf, base, store, redis.  PUSH_OK and c->cursors, or PUSH_ERROR and
 * a text.
 */
int collector_cursors_create(struct collector *c, char *error, size_t size);

/* Reads no more; the batch is committed and confirmed.  For the drain. */
void collector_cursors_stop(struct collector *c);
bool collector_cursors_idle(const struct collector *c);

/* Before store_close(): a batch in work is freed in its `done`. */
void collector_cursors_destroy(struct collector *c);

#endif
