/*
 * dispatcher_plan: the next step of an item, by its nodes' replies
 *
 *     item --route--> all, one node, or look-up
 *                                       |
 *       bindings --targets--> nodes --> plan --> PLAN_ANSWER: the collector
 *          ^                             |                    hears it
 *          +-------- PLAN_LOOKUP --------+   a stale binding: look once more
 *
 * in:   a verb, the bindings of a user, replies of nodes
 * out:  a step, and the item's answer when it is known
 * owns: nothing
 *
 * Pure.  A node is known by its instance, which is random per nginx start.
 */

#ifndef DISPATCHER_PLAN_H
#define DISPATCHER_PLAN_H

#include "push_lines.h"

enum dispatcher_plan_route {
    PLAN_ROUTE_LOOKUP,          /* the nodes that hold this user */
    PLAN_ROUTE_NODE,            /* the node that a `node` line named */
    PLAN_ROUTE_ALL,             /* every known node */
    PLAN_ROUTE_REFUSED          /* belongs to a connection, names no node */
};

enum dispatcher_plan_step {
    PLAN_WAIT,                  /* other nodes have not replied yet */
    PLAN_LOOKUP,                /* the bindings were stale: look once more */
    PLAN_ANSWER                 /* item->answer is final */
};

enum dispatcher_plan_state {
    PLAN_BINDING_OPEN,          /* no reply yet */
    PLAN_BINDING_HAD,           /* its node took the item, or may have */
    PLAN_BINDING_STALE          /* its instance said none: to be removed */
};

/* push:{<uid>}: <node>/<instance>/<conn>/<device>/<since_ms> */
struct dispatcher_plan_binding {
    struct push_str            member;      /* whole; borrowed */
    struct push_str            node;        /* in member */
    uint64_t                   instance;
    enum dispatcher_plan_state state;
    bool                       target;      /* the first of its instance: the
                                               item goes there */
};

/* Zero at the start, but for the answer: dispatcher_plan_init(). */
struct dispatcher_plan_item {
    struct push_lines_answer        answer;
    struct dispatcher_plan_binding *bindings;   /* the caller's */
    size_t                          count;
    unsigned                        waiting;    /* targets without reply */
    bool                            by_lookup;
    bool                            looked_again;
};

void dispatcher_plan_init(struct dispatcher_plan_item *item);

/* Where an item goes.  addressed: a `node` line other than `node -` holds. */
enum dispatcher_plan_route dispatcher_plan_route(enum push_lines_verb verb,
    bool addressed);

/* Fills binding from member.  PUSH_OK, or PUSH_ERROR: not of this form. */
int dispatcher_plan_binding_parse(struct push_str member,
    struct dispatcher_plan_binding *binding);

/*
 * The result of a look-up: sets target in those bindings to whose node the
 * item is to go now (one of each instance; none that has had it in the first
 * round), and waiting to their number, which is returned.  From now on
 * bindings belong to item; the former ones are not used any more.
 */
unsigned dispatcher_plan_targets(struct dispatcher_plan_item *item,
    struct dispatcher_plan_binding *bindings, size_t count);

/*
 * One target has replied, or could not be reached (UNKNOWN).  target: the
 * instance that was meant; instance: the one that replied (Push-Instance), 0
 * if it did not say.
 */
enum dispatcher_plan_step dispatcher_plan_reply(
    struct dispatcher_plan_item *item, uint64_t target, uint64_t instance,
    struct push_lines_answer answer);

/*
 * The same for a node that is gone: its lease has run out in Redis.  It counts
 * as none, but the binding is left to expire, and nobody looks again.
 */
enum dispatcher_plan_step dispatcher_plan_gone(
    struct dispatcher_plan_item *item);

/* All that waited for is there (also: there was no target at all). */
enum dispatcher_plan_step dispatcher_plan_next(
    struct dispatcher_plan_item *item);

#endif
