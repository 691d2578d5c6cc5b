/*
 * dispatcher_send: one batch in flight a node, while the next one fills
 *
 *     items --add--> | batch | batch | --POST deliver--> edge
 *                      fills   in flight     |
 *     lookup <-------- one answer an item ---+
 *
 * in:   items for a node, in order; edges' replies
 * out:  bodies of docs/rules.md 3; dispatcher_lookup_replied() for each item
 * owns: the batches: copies of the items' lines
 *
 * A batch begins to fly at the end of the turn that filled it, or when the one
 * before it has landed.  It is sent again once, if no byte of it had left.
 *
 * A node that does not reply in time is late: one that hangs must not hold up
 * every request that has an item for it.  It takes no more items, and gets
 * empty bodies one after the other until it replies to one, refuses the
 * connection at once or has no lease any more.
 */

#ifndef DISPATCHER_SEND_H
#define DISPATCHER_SEND_H

#include "dispatcher.h"

/* Uses d->client.  PUSH_OK and d->send, or PUSH_ERROR: out of memory. */
int dispatcher_send_create(struct dispatcher *d);

/*
 * All items that wait or fly are replied to as unknown.  After
 * http_client_destroy(), before dispatcher_nodes_destroy().
 */
void dispatcher_send_destroy(struct dispatcher *d);

/*
 * The item's line is copied; dispatcher_lookup_replied() runs exactly once,
 * later.  PUSH_DECLINED: the node is late, or its queue or all memory is full;
 * it will not run.
 */
int dispatcher_send_add(struct dispatcher *d, struct dispatcher_node *node,
    struct dispatcher_item *item);

/* Items that wait or fly. */
size_t dispatcher_send_items(const struct dispatcher *d);

#endif
