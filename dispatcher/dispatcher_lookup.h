/*
 * dispatcher_lookup: users -> bindings -> nodes
 *
 *     item --ZRANGEBYSCORE push:{uid} now +inf--> bindings --plan--> nodes
 *          <--none: ZREM of the exact binding, once more--
 *
 * in:   items, replies of nodes.  out: items to send, answers to in
 * owns: the bindings of an item until it is answered
 *
 * redis writes once a turn of the loop, so all users of a turn are looked up
 * in one round trip.  While Redis is down, or has just lost the bindings, items
 * go to all known nodes.
 */

#ifndef DISPATCHER_LOOKUP_H
#define DISPATCHER_LOOKUP_H

#include "dispatcher.h"

/*
 * Takes the item to where it belongs.  dispatcher_in_answered() is called for
 * it exactly once, now or later.
 */
void dispatcher_lookup_start(struct dispatcher_item *item);

/* send: a node has replied, or has not (UNKNOWN, instance 0). */
void dispatcher_lookup_replied(struct dispatcher_item *item, uint64_t target,
    uint64_t instance, struct push_lines_answer answer);

/* Before an item is freed. */
void dispatcher_lookup_forget(struct dispatcher_item *item);

#endif
