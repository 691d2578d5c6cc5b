/*
 * collector_conns: what the edges say of connections that come and go
 *
 *     push:ev:conn --entry--> open, close: counted
 *         ^   ^               replace ----> close <conn> 4003 --by node--> edge
 *         |   |                                 |
 *         |   +--- XACK once it is handed on ---+
 *         +------- again, while hand_over has no room
 *
 * in:   entries of the stream (rules.md section 4)
 * out:  for a device that has connected on another nginx the close of its older
 *       connection, through the dispatcher of the user's log
 * owns: the reader
 *
 * A bad entry is logged, counted and done with.  An entry may come twice: who
 * was closed already is not there any more.  A close that does not arrive is
 * not repeated: the older connection finds out when it renews its binding.
 */

#ifndef COLLECTOR_CONNS_H
#define COLLECTOR_CONNS_H

#include "collector.h"

/*
 * Uses c->conf, base, redis, hand_over.  PUSH_OK and c->conns, or PUSH_ERROR
 * and a text.
 */
int collector_conns_create(struct collector *c, char *error, size_t size);

/* Reads no more.  For the drain; there is nothing to wait for. */
void collector_conns_stop(struct collector *c);

void collector_conns_destroy(struct collector *c);

#endif
