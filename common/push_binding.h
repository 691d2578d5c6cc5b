/*
 * push_binding: a member of push:{<uid>}: where a user is connected
 *
 *     <node>/<instance>/<conn>/<device>/<since_ms>        (docs/rules.md 1)
 *
 * Pure.  The edge writes it; edge and dispatcher read it.
 */

#ifndef PUSH_BINDING_H
#define PUSH_BINDING_H

#include "push.h"

/* Parts borrow the member. */
struct push_binding {
    struct push_str     node;
    struct push_str     device;
    struct push_str     instance;       /* 16 hex digits */
    struct push_str     conn;           /* 16 hex digits */
    struct push_conn_id id;             /* the same as numbers */
    uint64_t            since_ms;
};

/* PUSH_ERROR: it is none. */
int push_binding_parse(struct push_str member, struct push_binding *binding);

#endif
