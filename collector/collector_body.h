/*
 * collector_body: the body of one POST /dispatch, while it is filled
 *
 *     begin: epoch   add: [node …] lines   add: lines   add: [node -] lines
 *
 * in:   whole lines, and the node that they are for.  out: bytes within the
 *       bounds of docs/rules.md 3.  owns: nothing
 *
 * Pure.
 */

#ifndef COLLECTOR_BODY_H
#define COLLECTOR_BODY_H

#include "push.h"

struct collector_body {
    char            *to;        /* PUSH_BODY_MAX bytes, the caller's */
    size_t           len;
    unsigned         lines;     /* that are answered: at most PUSH_ITEMS_MAX */
    struct push_str  node;      /* of the last lines, in `to`; empty: "-" */
};

void collector_body_begin(struct collector_body *b, char *to,
    struct push_str epoch);

/*
 * node: "<node>/<instance>", empty: to be looked up.  PUSH_OK, or
 * PUSH_DECLINED: it does not fit, nothing was added.
 */
int collector_body_add(struct collector_body *b, struct push_str node,
    struct push_str text, unsigned lines);

/* Nothing but the epoch. */
static inline bool
collector_body_empty(const struct collector_body *b)
{
    return b->lines == 0;
}

#endif
