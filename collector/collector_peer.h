/*
 * collector_peer: one dispatcher: its queues, one POST at a time
 *
 *     debts, live, answers --> | body | --POST /dispatch--> dispatcher
 *                                ^                              |
 *                  on_answer <---+------ one line an item ------+
 *                  on_down   <---- no answer:  probes after 0.5 s .. 8 s --+
 *                  on_up     <---- a probe (a body without items): 200 ----+
 *
 * in:   items.  out: each one back, by on_answer or collector_peer_take
 * owns: its queues, the body, the call
 *
 * A body begins with debts, at most half of it; live items and answers share
 * the rest by halves, so that neither starves the other.
 */

#ifndef COLLECTOR_PEER_H
#define COLLECTOR_PEER_H

#include "collector.h"
#include "collector_body.h"
#include "collector_debts.h"
#include "collector_item.h"

#define PEER_TIMEOUT_MS  5000       /* a dispatcher's time to answer */
#define PEER_DEBTS       500        /* names of one body */

struct collector_peer;

enum collector_peer_reply {
    PEER_ARRIVED,               /* any word but `unknown` */
    PEER_UNKNOWN,               /* `unknown`, or no line for it */
    PEER_REFUSED                /* the dispatcher does not understand it */
};

struct collector_peer_conf {
    struct collector       *c;      /* client, log, counters */
    struct push_str         epoch;  /* borrowed */
    const char             *address;        /* "http://host:port"; copied */
    const char             *secret;         /* copied */
    struct collector_debts *debts;

    /* The item is the callee's from then on. */
    void (*on_answer)(struct collector_item *item,
                      enum collector_peer_reply reply, void *data);
    /* It has no answer.  What was under way is in its queues again. */
    void (*on_down)(struct collector_peer *p, void *data);
    void (*on_up)(struct collector_peer *p, void *data);
    /* An answer has been worked through: the next body may go. */
    void (*on_free)(struct collector_peer *p, void *data);
    void  *data;
};

/* NULL: out of memory. */
struct collector_peer *collector_peer_create(
    const struct collector_peer_conf *conf);
/* Stopped, and its queues were taken.  NULL is fine. */
void collector_peer_destroy(struct collector_peer *p);

bool collector_peer_up(const struct collector_peer *p);

/* Behind all others of its kind. */
void collector_peer_add(struct collector_peer *p, struct collector_item *item);

/*
 * Fills a body and sends it, unless one is under way or there is nothing.
 * While it is down: a probe when its time has come.  Not from a hook.
 */
void collector_peer_send(struct collector_peer *p, int64_t now_ms);

/* Takes all items out of its queues, in order. */
void collector_peer_take(struct collector_peer *p,
    struct collector_item_queue *items);

/*
 * Ends what is under way: stored messages are in the queues again, what must
 * go out once only is answered PEER_UNKNOWN.  Not from a hook.
 */
void collector_peer_stop(struct collector_peer *p);

/* Takes out what came before `stored_ms`, `once_ms` (those sent once). */
void collector_peer_take_old(struct collector_peer *p, int64_t stored_ms,
    int64_t once_ms, struct collector_item_queue *items);

#endif
