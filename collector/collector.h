/*
 * collector: the business's counter: publish requests in, stored messages out
 *
 *     nginx --HTTP--> in -> check -> append --> store (its own threads)
 *                      ^                |          |
 *                      |  201 ----------+<- done --+
 *                      |                |
 *                      |            hand_over --HTTP--> dispatcher, by hash
 *     push:ev:resync --> resync  --pages-- ^            of the log
 *     push:ev:ack -----> cursors --> store   |
 *     push:ev:conn ----> conns ----closes----+
 *
 * One loop thread runs everything but the store's threads; all functions of
 * this folder are called on it.
 *
 * Where a message waits: in the store's queue until its commit (queue_messages,
 * queue_bytes: full is 503), then in hand_over's memory until a dispatcher has
 * answered (hand_over_bytes: full becomes a debt, a `resync` of its log).
 */

#ifndef COLLECTOR_H
#define COLLECTOR_H

#include "daemon.h"
#include "metrics.h"
#include "push.h"
#include "store.h"

struct http_server;
struct http_client;
struct redis;
struct event;
struct collector_keys;
struct collector_append;
struct collector_hand_over;
struct collector_resync;
struct collector_cursors;
struct collector_conns;

/* The file collector.conf; the rows are in collector_conf.c. */
struct collector_conf {
    struct daemon_conf  daemon;
    char               *redis;              /* URL */
    char               *node;               /* this collector: a legal name */
    char               *store;              /* "sqlite:/path/push.db" */
    char               *api_keys;           /* file, mode 0600 */
    char               *secret_file;        /* Push-Secret of /dispatch */
    struct conf_list    dispatchers;        /* URLs, at least one */
    int64_t             queue_messages;     /* of the store */
    int64_t             queue_bytes;
    int64_t             hand_over_bytes;    /* memory of hand_over */
};

/*
 * X(field, name, labels, help): metrics.h; counted on the loop thread.
 */
#define COLLECTOR_COUNTERS(X)                                                 \
    X(publish_requests, "push_collector_publish_requests_total",              \
      "", "Publish requests, a batch is one.")                                \
    X(publish_stored, "push_collector_publish_messages_total",                \
      "result=\"stored\"", "Messages of publish requests.")                   \
    X(publish_duplicates, "push_collector_publish_messages_total",            \
      "result=\"duplicate\"", "Messages of publish requests.")                \
    X(publish_ephemeral, "push_collector_publish_messages_total",             \
      "result=\"ephemeral\"", "Messages of publish requests.")                \
    X(publish_conflicts, "push_collector_publish_messages_total",             \
      "result=\"conflict\"", "Messages of publish requests.")                 \
    X(publish_wrong, "push_collector_publish_messages_total",                 \
      "result=\"wrong\"", "Messages of publish requests.")                    \
    X(publish_full, "push_collector_publish_messages_total",                  \
      "result=\"full\"", "Messages of publish requests.")                     \
    X(publish_refused, "push_collector_publish_messages_total",               \
      "result=\"refused\"", "Messages of publish requests.")                  \
    X(publish_unknown, "push_collector_publish_messages_total",               \
      "result=\"unknown\"", "Messages of publish requests.")                  \
    X(unauthorized, "push_collector_unauthorized_total",                      \
      "", "Requests without a right API key.")                                \
    X(hand_over_items, "push_collector_hand_over_items_total",                \
      "", "Items given to a dispatcher.")                                     \
    X(hand_over_bodies, "push_collector_hand_over_bodies_total",              \
      "", "Dispatch bodies sent.")                                            \
    X(hand_over_retries, "push_collector_hand_over_retries_total",            \
      "", "Items sent again.")                                                \
    X(hand_over_dropped, "push_collector_hand_over_dropped_total",            \
      "", "Items dropped, owed as a resync.")                                 \
    X(hand_over_lost, "push_collector_hand_over_lost_total",                  \
      "", "Ephemeral items dropped.")                                         \
    X(hand_over_errors, "push_collector_hand_over_errors_total",              \
      "", "Dispatch bodies without a good answer.")                           \
    X(hand_over_repaired, "push_collector_hand_over_repaired_total",          \
      "", "Items handed over again after a crash.")                           \
    X(resync_requests, "push_collector_resync_requests_total",                \
      "", "Resync requests read.")                                            \
    X(resync_overdue, "push_collector_resync_overdue_total",                  \
      "", "Resync requests skipped: overdue.")                                \
    X(resync_bad, "push_collector_resync_bad_total",                          \
      "", "Resync requests refused: wrong fields.")                           \
    X(resync_forgotten, "push_collector_resync_forgotten_total",              \
      "", "Resync requests whose answer did not arrive.")                     \
    X(resync_messages, "push_collector_resync_messages_total",                \
      "", "Messages of resync answers.")                                      \
    X(acks_read, "push_collector_acks_read_total",                            \
      "", "Acks read.")                                                       \
    X(acks_dropped, "push_collector_acks_dropped_total",                      \
      "", "Acks of another epoch or above the tip.")                          \
    X(acks_bad, "push_collector_acks_bad_total",                              \
      "", "Ack entries refused: wrong fields.")                               \
    X(conns_opened, "push_collector_conn_events_total",                       \
      "event=\"open\"", "What edges said of connections.")                    \
    X(conns_closed, "push_collector_conn_events_total",                       \
      "event=\"close\"", "What edges said of connections.")                   \
    X(conns_replaced, "push_collector_conn_events_total",                     \
      "event=\"replace\"", "What edges said of connections.")                 \
    X(conns_bad, "push_collector_conn_events_bad_total",                      \
      "", "Such entries refused: wrong fields.")

struct collector_counters { COLLECTOR_COUNTERS(METRICS_FIELD) };

struct collector {
    struct collector_conf       conf;
    struct collector_counters   counters;
    struct event_base          *base;       /* the daemon's */
    struct log                 *log;        /* the daemon's */

    /* in the order of creation; destroyed in the reverse */
    struct daemon               daemon;
    struct metrics             *metrics;
    struct store               *store;      /* store_run() is hooked to base */
    struct event               *store_event;
    struct redis               *redis;      /* commands, clock */
    struct http_client         *client;
    struct collector_keys      *keys;
    struct collector_hand_over *hand_over;
    struct collector_cursors   *cursors;
    struct collector_resync    *resync;
    struct collector_conns     *conns;
    struct collector_append    *append;
    struct http_server         *server;
};

/*
 * A message on its way out, as append gives it to hand_over: all borrowed for
 * the time of the call.
 */
struct collector_message {
    struct push_str log;        /* full name */
    struct push_str data;       /* JSON as it came */
    int64_t         seq;        /* 0: ephemeral */
    int64_t         ts_ms;
    int64_t         expires;    /* Unix s, 0: never */
    int64_t         row;        /* store.h; 0: ephemeral, or no rows */
};

/*
 * The parts have headers of their own.  create: PUSH_OK and c-><part> is set,
 * or PUSH_ERROR and a text.  destroy: NULL is fine.  idle: nothing is under
 * way, for the drain.
 */

#endif
