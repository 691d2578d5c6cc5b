/*
 * collector: the business's counter: publish requests in, stored messages out
 *
 *     nginx --HTTP--> in -> check -> append --> store (its own threads)
 *                      ^                |          |
 *                      |  201 ----------+<- done --+
 *                      |                |
 *                      |            hand_over --HTTP--> dispatcher, by hash
 *     push:ev:resync --> resync  --pages-- ^            of the log
 *     push:ev:ack -----> cursors --> store
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

#include "push.h"
#include "store.h"

struct event_base;
struct daemon;
struct http_server;
struct http_client;
struct redis;
struct collector_keys;
struct collector_append;
struct collector_hand_over;
struct collector_resync;
struct collector_cursors;

/* The file collector.conf; texts end with a NUL and live as long as this. */
struct collector_conf {
    const char  *listen;            /* "127.0.0.1:7718" */
    const char  *redis;             /* URL */
    const char  *node;              /* this collector's name: a legal name */
    const char  *store;             /* "sqlite:/path/push.db" */
    const char  *api_keys;          /* file, mode 0600 */
    const char  *secret_file;       /* Push-Secret of /dispatch */
    const char **dispatchers;       /* URLs without a path, at least one */
    size_t       dispatcher_count;
    size_t       queue_messages;    /* of the store */
    size_t       queue_bytes;
    size_t       hand_over_bytes;   /* memory of hand_over */
};

/* X(field, help): each is counted on the loop thread, as push_collector_... */
#define COLLECTOR_COUNTERS(X)                                                 \
    X(publish_requests,     "publish requests, a batch is one")               \
    X(publish_messages,     "messages of publish requests")                   \
    X(publish_stored,       "messages answered 201")                          \
    X(publish_duplicates,   "messages answered as duplicates")                \
    X(publish_conflicts,    "messages refused: same key, other data")         \
    X(publish_refused,      "messages refused: wrong")                        \
    X(publish_full,         "messages refused: a queue is full")              \
    X(publish_unknown,      "messages whose outcome is not known")            \
    X(publish_ephemeral,    "ephemeral messages")                             \
    X(publish_unauthorized, "requests without a right API key")               \
    X(hand_over_items,      "items given to a dispatcher")                    \
    X(hand_over_bodies,     "dispatch bodies sent")                           \
    X(hand_over_retries,    "items sent again")                               \
    X(hand_over_dropped,    "items dropped, owed as a resync")                \
    X(hand_over_lost,       "ephemeral items dropped")                        \
    X(hand_over_errors,     "dispatch bodies without a good answer")          \
    X(hand_over_repaired,   "items handed over again after a crash")          \
    X(resync_requests,      "resync requests read")                           \
    X(resync_overdue,       "resync requests skipped: overdue")               \
    X(resync_bad,           "resync requests refused: wrong fields")          \
    X(resync_messages,      "messages of resync answers")                     \
    X(acks_read,            "acks read")                                      \
    X(acks_dropped,         "acks of another epoch or above the tip")         \
    X(acks_bad,             "ack entries refused: wrong fields")

struct collector_counters {
#define X(field, help)  uint64_t field;
    COLLECTOR_COUNTERS(X)
#undef X
};

struct collector {
    struct collector_conf       conf;
    struct collector_counters   counters;
    bool                        draining;   /* TERM came: take nothing new */

    /* in the order of creation; destroyed in the reverse */
    struct daemon              *daemon;
    struct event_base          *base;       /* the daemon's */
    struct store               *store;      /* store_run() is hooked to base */
    struct redis               *redis;      /* commands; a blocking XREADGROUP
                                               makes a connection of its own */
    struct http_client         *client;
    struct collector_keys      *keys;
    struct collector_hand_over *hand_over;
    struct collector_cursors   *cursors;
    struct collector_resync    *resync;
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
 * The parts; each has a header of its own with these and its promises.
 * create: PUSH_OK and c-><part> set, or PUSH_ERROR and a text for the log.
 * destroy: NULL is fine.  idle: nothing is under way (for the drain).
 *
 *     int  collector_hand_over_create(struct collector *c, char *error,
 *              size_t size);
 *              looks at store_info(): repairs what was not handed over; puts
 *              the mark each second
 *     void collector_hand_over_add(struct collector *c,
 *              const struct collector_message *messages, size_t count);
 *              in the order of commits; copies; never refuses
 *     bool collector_hand_over_idle(const struct collector *c);
 *     int  collector_hand_over_reload(struct collector *c);   conf is new
 *     void collector_hand_over_destroy(struct collector *c);
 *
 *     int  collector_resync_create(c, error, size);  _idle, _destroy
 *     int  collector_cursors_create(c, error, size); _idle, _destroy
 */

#endif
