/*
 * collector_request: what an edge asks for, and acks, as they stand in streams
 *
 *     fields of push:ev:resync --> request: who, which logs, how much
 *     fields of push:ev:ack ----> lines --> ack: user, device, log, seq
 *     fields of push:ev:conn ---> event: open, close or replace of whom
 *
 * in:   fields and values of an entry (docs/rules.md 4); unknown fields are
 *       ignored.  out: checked values that borrow from them.  owns: nothing
 *
 * Pure.  The edge is trusted with whose connection it is, but not with the
 * form: each name, number and count is checked here.
 */

#ifndef COLLECTOR_REQUEST_H
#define COLLECTOR_REQUEST_H

#include "push.h"

#define REQUEST_LOGS_MAX    66          /* user, all, 64 groups */
#define REQUEST_NONE        (-1)        /* `after` was "-" */
#define REQUEST_ACKS_MAX    1000        /* lines of one entry */
#define REQUEST_NODE_MAX    PUSH_NAME_MAX

struct collector_request_log {
    struct push_str log;        /* full name */
    int64_t         after;      /* REQUEST_NONE, or 0 and up */
    unsigned        n;          /* credit: 0 to PUSH_WINDOW_MAX */
};

struct collector_request {
    struct push_str     node;
    struct push_conn_id id;
    bool                worker;     /* index 0: the worker itself; no uid */
    struct push_str     uid;
    struct push_str     device;
    struct push_str     epoch;      /* empty: none was given */
    uint32_t            rid;
    bool                first;
    size_t              bytes;      /* free in the connection's queue */
    int64_t             due_ms;     /* Unix ms of Redis' clock */

    struct collector_request_log logs[REQUEST_LOGS_MAX];
    size_t                       count;     /* 1 and up, no log twice */
};

/*
 * fields[2 i] is a name, fields[2 i + 1] its value, pairs of them.  PUSH_OK,
 * or PUSH_ERROR and *error: the field that is missing or wrong.
 */
int collector_request_parse(struct collector_request *r,
    const struct push_str *fields, size_t pairs, const char **error);

/* An entry of acks, and a walk through its lines. */
struct collector_acks {
    struct push_str epoch;
    const char     *pos;
    const char     *end;
};

struct collector_ack {
    struct push_str uid;
    struct push_str device;
    struct push_str log;
    int64_t         seq;
};

/* As collector_request_parse(). */
int collector_acks_parse(struct collector_acks *a,
    const struct push_str *fields, size_t pairs, const char **error);

/* PUSH_OK; PUSH_DECLINED: no more; PUSH_ERROR: a bad line, it is passed. */
int collector_acks_next(struct collector_acks *a, struct collector_ack *ack);

enum collector_event_kind {
    EVENT_OPEN,
    EVENT_CLOSE,
    EVENT_REPLACE               /* a newer connection of its device has come */
};

/* What has become of a connection; never of the worker itself. */
struct collector_event {
    enum collector_event_kind kind;
    struct push_str           node;
    struct push_conn_id       id;
    struct push_str           uid;
    struct push_str           device;
};

/* As collector_request_parse(). */
int collector_event_parse(struct collector_event *event,
    const struct push_str *fields, size_t pairs, const char **error);

#endif
