/*
 * dispatcher_nodes: the edges that are alive, by their leases in Redis
 *
 *     push:nodes --SMEMBERS, each 2 s--> members --HMGET lease--> the table
 *     an instance that is not in it ----------- HMGET lease ----> the same
 *
 * in:   the set and the leases, read again and again; one by one on demand
 * out:  instance -> node, with the URL of its deliver location
 * owns: the nodes; the batches that wait for them are send's
 *
 * While Redis is down the table stays as it was, and for DISPATCHER_LEASE_MS
 * after it came back nobody is dropped: the edges write their leases first.
 */

#ifndef DISPATCHER_NODES_H
#define DISPATCHER_NODES_H

#include "dispatcher.h"

struct dispatcher_batch;

struct dispatcher_node {
    uint64_t   instance;
    char       name[2 * PUSH_NAME_MAX];     /* "<node>/<instance>", ended */
    char      *deliver;                     /* URL; NULL: never had a lease */
    bool       leased;
    int64_t    lost_ms;             /* not leased: since when, monotonic */
    unsigned   round;               /* of the refresh that saw it last */

    /* send's: the batches, the first is in flight, the last one fills */
    struct dispatcher_batch *head;
    struct dispatcher_batch *tail;
    size_t                   bytes;
    bool                     ready;         /* in the list of this turn */
    bool                     late;          /* did not reply in time */
    struct dispatcher_node  *next_ready;
};

/* PUSH_OK and d->nodes, or PUSH_ERROR: out of memory. */
int dispatcher_nodes_create(struct dispatcher *d);
void dispatcher_nodes_destroy(struct dispatcher *d);

/* The hooks of redis_conf: all bindings may be missing after a new start. */
void dispatcher_nodes_redis_up(void *d);
void dispatcher_nodes_redis_down(void *d);

/*
 * The set has been read at least once: without it nothing can be said of who
 * is online.
 */
bool dispatcher_nodes_known(const struct dispatcher *d);

/*
 * Bindings can be believed: Redis is up and has not just lost them all (it
 * came back with another run_id less than DISPATCHER_RENEW_MS ago).
 */
bool dispatcher_nodes_bindings_trusted(const struct dispatcher *d);

/* Those with a lease: all of them by index, borrowed until the next turn. */
size_t dispatcher_nodes_count(const struct dispatcher *d);
struct dispatcher_node *dispatcher_nodes_at(const struct dispatcher *d,
    size_t i);

/* With a lease or without, by index; NULL behind the last. */
struct dispatcher_node *dispatcher_nodes_each(const struct dispatcher *d,
    size_t i);

/* The one with a lease, or NULL. */
struct dispatcher_node *dispatcher_nodes_find(const struct dispatcher *d,
    uint64_t instance);

/*
 * Reads the lease of one instance that find() does not know.  PUSH_OK: done
 * runs exactly once, later, with the node or NULL; said: Redis has told us, so
 * NULL means that it has no lease.  PUSH_DECLINED: Redis is down or busy, done
 * will not run.
 */
typedef void (*dispatcher_nodes_pt)(struct dispatcher_node *node, bool said,
    void *data);
int dispatcher_nodes_ask(struct dispatcher *d, struct push_str name,
    uint64_t instance, dispatcher_nodes_pt done, void *data);

#endif
