/*
 * dispatcher: finds the nodes that hold a user, and is alone in talking to them
 *
 *     collector --POST /dispatch--> in: items of a request
 *                                   |
 *                lookup  <-- user --+-- all, node --> nodes: leases
 *       Redis <--  |                                    |
 *                  +--> plan: targets ------------------+--> send: a batch
 *                        ^                                   a node
 *                        |                                   |
 *                        +-------- one answer an item <------+-- edge
 *
 * Where an item waits: in Redis' pipeline for its look-up (2 s at most), then
 * in its node's batches (DISPATCHER_WAIT_MS), then at the edge
 * (DISPATCHER_EDGE_MS).  Nothing is repeated here but a batch of which no byte
 * was sent: the collector repeats what was answered `unknown`.
 *
 * Nothing is kept that Redis cannot give again in a second.  One loop thread.
 */

#ifndef DISPATCHER_H
#define DISPATCHER_H

#include "daemon.h"
#include "dispatcher_plan.h"
#include "metrics.h"
#include "push.h"

struct http_server;
struct http_server_request;
struct http_client;
struct redis;
struct dispatcher_nodes;
struct dispatcher_node;
struct dispatcher_send;

#define DISPATCHER_EDGE_MS      2000    /* an edge's time to reply */
#define DISPATCHER_WAIT_MS      2500    /* a batch waits for the one before */
#define DISPATCHER_LATE_MS      500     /* no reply for so long: late */
#define DISPATCHER_REFRESH_MS   2000    /* leases are read again */
#define DISPATCHER_LEASE_MS     15000   /* life of a lease */
#define DISPATCHER_RENEW_MS     33000   /* all bindings have been renewed */
#define DISPATCHER_NODES_MAX    10000
#define DISPATCHER_BINDINGS_MAX 1000    /* of a user; more: all nodes */

/* The file dispatcher.conf; the rows are in dispatcher_conf.c. */
struct dispatcher_conf {
    struct daemon_conf  daemon;
    char               *redis;              /* URL */
    char               *secret_file;        /* Push-Secret, both ways */
    int64_t             queue_bytes;        /* bodies and batches in memory */
    int64_t             node_queue_bytes;   /* batches of one node */
    int64_t             forget_nodes_ms;    /* without lease: out of the set */
};

/* X(field, name, labels, help): metrics.h */
#define DISPATCHER_COUNTERS(X)                                                \
    X(requests, "push_dispatcher_requests_total", "result=\"answered\"",      \
      "Dispatch requests.")                                                   \
    X(requests_bad, "push_dispatcher_requests_total", "result=\"bad\"",       \
      "Dispatch requests.")                                                   \
    X(requests_full, "push_dispatcher_requests_total", "result=\"full\"",     \
      "Dispatch requests.")                                                   \
    X(requests_refused, "push_dispatcher_requests_total",                     \
      "result=\"refused\"", "Dispatch requests.")                             \
    X(items_offline, "push_dispatcher_items_total", "reply=\"offline\"",      \
      "Items by their answer.")                                               \
    X(items_none, "push_dispatcher_items_total", "reply=\"none\"",            \
      "Items by their answer.")                                               \
    X(items_ok, "push_dispatcher_items_total", "reply=\"ok\"",                \
      "Items by their answer.")                                               \
    X(items_queued, "push_dispatcher_items_total", "reply=\"queued\"",        \
      "Items by their answer.")                                               \
    X(items_slow, "push_dispatcher_items_total", "reply=\"slow\"",            \
      "Items by their answer.")                                               \
    X(items_gap, "push_dispatcher_items_total", "reply=\"gap\"",              \
      "Items by their answer.")                                               \
    X(items_unknown, "push_dispatcher_items_total", "reply=\"unknown\"",      \
      "Items by their answer.")                                               \
    X(lookups, "push_dispatcher_lookups_total", "",                           \
      "Users looked up in Redis.")                                            \
    X(lookups_failed, "push_dispatcher_lookups_failed_total", "",             \
      "Look-ups without an answer, sent to all nodes.")                       \
    X(stale, "push_dispatcher_stale_bindings_total", "",                      \
      "Bindings removed because their node said none.")                       \
    X(batches, "push_dispatcher_batches_total", "result=\"ok\"",              \
      "Batches sent to nodes.")                                               \
    X(batches_failed, "push_dispatcher_batches_total", "result=\"failed\"",   \
      "Batches sent to nodes.")                                               \
    X(batches_late, "push_dispatcher_batches_total", "result=\"late\"",       \
      "Batches sent to nodes.")                                               \
    X(batch_items, "push_dispatcher_batch_items_total", "",                   \
      "Items in the batches sent.")                                           \
    X(send_full, "push_dispatcher_full_total", "",                            \
      "Items that found their node's queue full.")                            \
    X(send_late, "push_dispatcher_late_total", "",                            \
      "Items unknown at once because their node does not reply.")

struct dispatcher_counters { DISPATCHER_COUNTERS(METRICS_FIELD) };

struct dispatcher {
    struct dispatcher_conf      conf;
    struct dispatcher_counters  counters;
    struct metrics_histogram    request_time;   /* until the answer */
    struct metrics_histogram    batch_time;     /* until the edge's reply */
    struct conf_secrets         secrets;
    size_t                      bytes;      /* of conf.queue_bytes, in use */

    /* in the order of creation; destroyed in the reverse */
    struct daemon               daemon;
    struct metrics             *metrics;
    struct http_client         *client;
    struct dispatcher_send     *send;
    struct redis               *redis;
    struct dispatcher_nodes    *nodes;
    struct http_server         *server;
};

/* One line of a request, from its parsing to its answer. */
struct dispatcher_item {
    struct dispatcher_request   *request;
    struct push_lines_item       line;      /* borrows from request->body */
    struct dispatcher_plan_item  plan;
    struct push_str              node;      /* of the `node` line; empty: - */
    uint64_t                     instance;
};

/*
 * One POST: made by in, destroyed by in when its last item is answered, also
 * if the collector has left meanwhile.
 */
struct dispatcher_request {
    struct dispatcher          *dispatcher;
    struct http_server_request *r;          /* NULL: it was cancelled */
    char                       *body;       /* our own copy */
    size_t                      len;
    struct push_str             epoch;
    struct dispatcher_item     *items;
    unsigned                    count;
    unsigned                    waiting;    /* items without answer */
    unsigned                    error_line; /* 0: the body was good */
    char                        error[96];
    int64_t                     since_ms;   /* monotonic */
};

#endif
