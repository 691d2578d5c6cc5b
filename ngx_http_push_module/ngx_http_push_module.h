/*
 * ngx_http_push_module: what the stages of the edge share
 *
 *     handshake --> conn --> table          deliver --> inbox --> delivery
 *                    |                                               |
 *                    +--> delivery --> binding --> redis      queue <+
 *
 * Everything after the 101 belongs to one worker and is reached through
 * ngx_http_push_worker.  Only the zone is shared between processes, and it
 * holds numbers, no payload.
 *
 * A connection's life: ngx_http_push_handshake.c makes it inside a request,
 * ngx_http_push_conn_start() takes it over after the request was freed, and
 * ngx_http_push_conn_close() is the one way out.
 */

#ifndef NGX_HTTP_PUSH_MODULE_H
#define NGX_HTTP_PUSH_MODULE_H

#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include "ngx_http_push_heap.h"
#include "push.h"
#include "push_frame.h"
#include "push_delivery.h"
#include "push_lines.h"
#include "push_json.h"

#ifdef PUSH_VERSION
#define NGX_HTTP_PUSH_VERSION  PUSH_VERSION
#else
#define NGX_HTTP_PUSH_VERSION  "0.1.0"
#endif

/* --- differences between nginx's versions, and only here ---------------- */

#if (nginx_version >= 1023000)
#define ngx_http_push_header_next(h)  (h)->next = NULL
#else
#define ngx_http_push_header_next(h)
#endif

typedef struct ngx_http_push_conn_s    ngx_http_push_conn_t;
typedef struct ngx_http_push_user_s    ngx_http_push_user_t;
typedef struct ngx_http_push_msg_s     ngx_http_push_msg_t;
typedef struct ngx_http_push_ring_s    ngx_http_push_ring_t;
typedef struct ngx_http_push_fan_out_s ngx_http_push_fan_out_t;
typedef struct ngx_http_push_table_s   ngx_http_push_table_t;
typedef struct ngx_http_push_wheel_s   ngx_http_push_wheel_t;
typedef struct ngx_http_push_slab_s    ngx_http_push_slab_t;
typedef struct ngx_http_push_cells_s   ngx_http_push_cells_t;
typedef struct ngx_http_push_input_s   ngx_http_push_input_t;
typedef struct ngx_http_push_inbox_s   ngx_http_push_inbox_t;
typedef struct ngx_http_push_batches_s ngx_http_push_batches_t;
typedef struct ngx_http_push_binding_s ngx_http_push_binding_t;
typedef struct ngx_http_push_drain_s   ngx_http_push_drain_t;
typedef struct ngx_http_push_zone_s    ngx_http_push_zone_t;
typedef struct ngx_http_push_slot_s    ngx_http_push_slot_t;
typedef struct ngx_http_push_limits_s  ngx_http_push_limits_t;

/* --- counters: one row is the name in C, JSON and Prometheus ------------ */

/*
 * X(name, help): only ever grow; closed_* come from PUSH_CLOSE_REASONS.
 * Each worker slot has its own; status adds them up.
 */
#define NGX_HTTP_PUSH_COUNTERS(X)                                             \
    X(handshakes_ok,         "handshakes answered 101")                       \
    X(handshakes_bad,        "handshakes refused with 400, 405, 426...")      \
    X(handshakes_denied,     "handshakes answered 401 or 403")                \
    X(handshakes_limited,    "handshakes refused with 429")                   \
    X(handshakes_full,       "handshakes refused by push_limit_connections")  \
    X(handshakes_failed,     "handshakes that ended with 5xx or were left")   \
    X(messages_in,           "client messages received")                      \
    X(messages_out,          "messages written to clients")                   \
    X(bytes_in,              "bytes received after the 101")                  \
    X(bytes_out,             "bytes sent after the 101")                      \
    X(messages_dropped,      "ephemeral and raw messages without room")       \
    X(messages_forgotten,    "stored messages to be asked for again")         \
    X(deliver_requests,      "deliver bodies accepted")                       \
    X(deliver_bad,           "deliver bodies refused with 400 or 413")        \
    X(deliver_denied,        "deliver bodies refused with 403")               \
    X(items_ok,              "deliver items answered ok")                     \
    X(items_queued,          "deliver items answered queued")                 \
    X(items_gap,             "deliver items answered gap")                    \
    X(items_slow,            "deliver items answered slow")                   \
    X(items_none,            "deliver items answered none")                   \
    X(items_unknown,         "deliver items answered unknown")                \
    X(inbox_sent,            "datagrams sent to other workers")               \
    X(inbox_received,        "datagrams received")                            \
    X(inbox_dropped,         "datagrams given up: full or malformed")         \
    X(inbox_late,            "parts answered unknown at the deadline")        \
    X(resyncs,               "resync requests written")                       \
    X(acks,                  "acks from clients")                             \
    X(redis_connects,        "connections made to Redis")                     \
    X(redis_errors,          "connections to Redis that failed or broke")     \
    X(redis_commands,        "commands sent to Redis")

/* X(name, name in seconds, help): histograms of microseconds; latency.h */
#define NGX_HTTP_PUSH_TIMES(X)                                                \
    X(unicast_us,       "unicast",                                            \
                        "from a body with a message for a user to its write") \
    X(fan_out_us,       "fan_out",                                            \
                        "a walk over all connections of a worker")            \
    X(fan_out_slice_us, "fan_out_slice",                                      \
                        "a slice of a walk, its writes included")             \
    X(fan_out_turn_us,  "fan_out_turn",                                       \
                        "a turn of the event loop during a walk")

#define NGX_HTTP_PUSH_TIME_BUCKETS  61

typedef struct {
    ngx_atomic_t                buckets[NGX_HTTP_PUSH_TIME_BUCKETS];
    ngx_atomic_t                sum;
    ngx_atomic_t                max;
} ngx_http_push_time_t;

typedef struct {
#define X(name, help)  ngx_atomic_t  name;
    NGX_HTTP_PUSH_COUNTERS(X)
#undef X
#define X(name, seconds, help)  ngx_http_push_time_t  name;
    NGX_HTTP_PUSH_TIMES(X)
#undef X
#define X(name, code, text, counter)  ngx_atomic_t  counter;
    PUSH_CLOSE_REASONS(X)
#undef X
    ngx_atomic_t                connections;    /* gauges: set, not added */
    ngx_atomic_t                users;
    ngx_atomic_t                queue_bytes;
    ngx_atomic_t                redis_up;
    ngx_atomic_t                redis_rtt_us;
} ngx_http_push_counters_t;

#define ngx_http_push_count(name)                                             \
    (void) ngx_http_push_worker->counters->name++
#define ngx_http_push_count_n(name, n)                                        \
    (void) (ngx_http_push_worker->counters->name += (n))

/* --- configuration ------------------------------------------------------ */

#define NGX_HTTP_PUSH_SECRETS  2

typedef struct {
    ngx_flag_t                  used;           /* push_websocket, push_deliver
                                                   or push_status is there */
    ngx_str_t                   node;           /* push_node NAME */
    ngx_str_t                   deliver;        /* push_node ... deliver=URL */
    ngx_str_t                   redis_url;      /* for messages: no password */
    ngx_str_t                   redis_file;     /* where push_redis stands */
    ngx_uint_t                  redis_line;
    ngx_url_t                   redis;          /* resolved at configuration */
    ngx_str_t                   redis_user;
    ngx_str_t                   redis_password;
    ngx_uint_t                  redis_db;
    ngx_str_t                   secrets[NGX_HTTP_PUSH_SECRETS];
    ngx_uint_t                  nsecrets;
    ngx_msec_t                  drain_time;     /* push_drain_time, 30s */
    size_t                      ring_bytes;     /* push_ring_size, 1m */
    size_t                      send_memory;    /* push_send_memory, 256m */
    ngx_uint_t                  limit_connections;      /* of a worker, 0: no */
    ngx_flag_t                  limits;         /* users or addresses are
                                                   counted somewhere */
    ngx_shm_zone_t             *shm_zone;
    ngx_uint_t                  slots;          /* min(255, max(64, 4 x w)) */
} ngx_http_push_main_conf_t;

typedef struct {
    ngx_flag_t                  websocket;      /* push_websocket, here */
    ngx_flag_t                  deliver;        /* push_deliver, here */
    ngx_http_complex_value_t   *user;           /* push_user */
    ngx_http_complex_value_t   *expires;        /* push_expires */
    ngx_http_complex_value_t   *limit_user;     /* push_limit_user */
    ngx_uint_t                  limit_addr;     /* push_limit_addr, 0: no */
    ngx_uint_t                  message_rate;   /* a second, 0: no limit */
    ngx_uint_t                  message_burst;  /* messages at once */
    ngx_array_t                *origins;        /* of ngx_str_t; NULL: any */
    ngx_msec_t                  heartbeat_timeout;      /* 60s, 5s .. 1h */
    ngx_msec_t                  hello_timeout;          /* 1s */
    ngx_msec_t                  ack_interval;           /* 5s */
    ngx_msec_t                  resync_interval;        /* 5m, +- 20 % */
    size_t                      max_message_size;       /* 16k */
    size_t                      queue_bytes;            /* push_send_queue */
    ngx_uint_t                  queue_count;            /* count, bytes */
    ngx_log_t                  *error_log;      /* the location's */
    ngx_log_t                  *log;            /* of its connections: outlives
                                                   each of them; made for the
                                                   first one */
    ngx_log_t                  *debug_log;      /* the same, debug_connection */
    ngx_http_push_main_conf_t  *main;
    ngx_str_t                   file;           /* where push_websocket or */
    ngx_uint_t                  line;           /* push_deliver stands */
} ngx_http_push_loc_conf_t;

/* --- a connection ------------------------------------------------------- */

/*
 * Frames that wait; see queue.h.  An idle connection has none.
 */
typedef struct {
    uint32_t                    bytes;          /* of all waiting frames */
    uint32_t                    offset;         /* of the head, sent already */
    uint16_t                    head;
    uint16_t                    count;          /* at least 1 */
    uint16_t                    size;           /* entries of the ring */
    uint32_t                    since_ms;       /* it has not been empty since */
    uint32_t                    moved_ms;       /* the peer last took a byte */
    int                         outq;           /* bytes in the socket, at the
                                                   last look; -1: no look yet */
    ngx_http_push_conn_t       *ws;
    ngx_queue_t                 link;           /* worker->waiting; closing: by
                                                   itself */
    ngx_http_push_msg_t        *ring[];
} ngx_http_push_queue_t;

/* The logs of a connection; groups will add more. */
enum {
    NGX_HTTP_PUSH_OWN = 0,                      /* user:<uid> */
    NGX_HTTP_PUSH_ALL,
    NGX_HTTP_PUSH_LOGS
};

/* Numbers of cells, see cell.h. */
typedef struct {
    uint32_t                    prev;
    uint32_t                    next;
} ngx_http_push_link_t;

/*
 * 192 bytes, and there may be a million of them: see docs/memory.md.
 */
struct ngx_http_push_conn_s {
    uint64_t                    id;             /* slot, generation, index */
    uint32_t                    next_turn;      /* in worker->turn; of a free
                                                   cell: the next free one */

    unsigned                    listed:1;       /* in the tables */
    unsigned                    raw:1;          /* no subprotocol */
    unsigned                    slim:1;         /* c->pool has gone */
    unsigned                    ready:1;        /* welcome (raw: 101) is out */
    unsigned                    bound:1;        /* the binding was sent */
    unsigned                    bind_dirty:1;   /* Redis must be told again */
    unsigned                    ack_dirty:1;    /* own log's ack not told yet */
    unsigned                    all_dirty:1;    /* `all`: told at the close */
    unsigned                    asked_once:1;   /* first request is out */
    unsigned                    opened:1;       /* event `open` was written */
    unsigned                    in_turn:1;      /* is looked at when the turn
                                                   ends */
    unsigned                    on_wheel:1;
    unsigned                    has_epoch:1;    /* the client's is in device:
                                                   until the first answer */
    unsigned                    full:1;         /* the queue refused a frame */
    unsigned                    closing:1;      /* Close is queued or sent: takes
                                                   no frame, but stays in the
                                                   table until it is freed */
    unsigned                    close_sent:1;   /* waits for the peer's end */
    unsigned                    fin_sent:1;     /* input is thrown away */
    unsigned                    failed:1;       /* input cannot be parsed */
    unsigned                    dead:1;         /* freed at the turn's end */
    unsigned                    peer_closed:1;  /* the client sent Close */
    unsigned                    pong_wanted:1;  /* queue blocked: latest ping */
    unsigned                    draining:1;     /* bye was sent */
    unsigned                    past:1;         /* of an earlier epoch: its
                                                   numbers mean nothing now */
    unsigned                    tls:1;
    unsigned                    user_counted:1; /* in the zone: limit.c */
    unsigned                    addr_counted:1;
    unsigned                    era:6;          /* the worker's, when it came */

    ngx_connection_t           *c;
    ngx_http_push_loc_conf_t   *conf;
    ngx_http_push_user_t       *user;           /* before conn_start(): of its
                                                   own, in no table */
    u_char                     *device;         /* device.c's; NULL: "-" */
    ngx_http_push_queue_t      *queue;          /* NULL: nothing waits */
    ngx_http_push_input_t      *input;          /* input.c's; NULL: no message
                                                   and no frame is cut */
    ngx_http_push_link_t        user_link;      /* in user->conns */
    ngx_http_push_link_t        wheel_link;
    struct push_delivery        logs[NGX_HTTP_PUSH_LOGS];

    uint32_t                    wheel_tick;     /* place on the wheel */
    uint32_t                    seen_ms;        /* last sign of life; closing:
                                                   last step of the closing */
    uint32_t                    bound_ms;       /* next renewal of the binding */
    uint32_t                    ack_ms;         /* last ack sent to Redis; before
                                                   ready: of the 101 */
    uint32_t                    check_ms;       /* next periodic check */
    uint32_t                    expires;        /* Unix s of the token, 0: never */
    uint32_t                    message_level;  /* as of seen_ms: limit.c */
    uint32_t                    messages;       /* written, for the close line */

    uint64_t                    bytes:48;       /* written, for the close line */
    uint64_t                    close_reason:8; /* closing: enum push_close */
    uint64_t                    socklen:8;      /* of the client's address */

    union {
        struct {
            uint64_t            since_ms:48;    /* Unix; of the 101, then of the
                                                   binding */
            uint64_t            control_level:16;   /* as of seen_ms: limit.c */
        };
        struct {
            uint64_t            :48;
            uint64_t            close_code:16;  /* closing: as sent or heard */
        };
    };

    union {                                     /* conn_sockaddr() */
        u_char                  near_address[8];    /* socklen is at most 8 */
        struct sockaddr        *far_address;
    };
};

struct ngx_http_push_user_s {
    ngx_http_push_user_t       *next;           /* chain of the table */
    uint32_t                    conns;          /* the first: table.h */
    uint8_t                     len;
    u_char                      name[1];        /* len bytes */
};

/* --- moments: when bodies came whose messages are not written yet ------- */

#define NGX_HTTP_PUSH_MOMENTS  64

typedef struct {
    ngx_uint_t                  n;              /* the one being filled */
    struct {
        uint64_t                at_us;
        ngx_uint_t              messages;
    }                           moment[NGX_HTTP_PUSH_MOMENTS];
} ngx_http_push_moments_t;

/* --- the worker --------------------------------------------------------- */

typedef struct {
    ngx_http_push_main_conf_t  *conf;
    ngx_http_push_zone_t       *zone;
    ngx_http_push_slot_t       *slot;           /* ours */
    ngx_uint_t                  slot_number;
    ngx_uint_t                  generation;     /* of the slot, 16 bits */
    ngx_http_push_counters_t   *counters;       /* in the slot */
    uint64_t                    instance;       /* random per nginx start */
    ngx_uint_t                  connections;
    ngx_uint_t                  handshakes;     /* connections whose 101 is
                                                   not out yet */
    size_t                      queue_bytes;    /* memory of all queues, each
                                                   message once */
    ngx_queue_t                 waiting;        /* queues, by since_ms */

    ngx_http_push_table_t      *table;
    ngx_http_push_wheel_t      *wheel;
    ngx_http_push_inbox_t      *inbox;
    ngx_http_push_batches_t    *batches;        /* that wait for answers */
    ngx_http_push_binding_t    *binding;
    ngx_http_push_ring_t       *all;            /* shared log `all` */
    ngx_http_push_fan_out_t    *fan_out;
    ngx_http_push_drain_t      *drain;

    uint32_t                    turn_first;     /* connections with frames to
                                                   write, or to be freed */
    uint32_t                    turn_last;
    ngx_event_t                 flush;          /* posted: writes, frees */
    ngx_http_push_moments_t     moments;        /* latency.h */
    ngx_http_push_slab_t       *slab;
    ngx_http_push_cells_t      *cells;
    ngx_http_push_heap_t        heap;           /* since it was trimmed */
    u_char                     *scratch;        /* NGX_HTTP_PUSH_SCRATCH */

    u_char                      epoch[PUSH_EPOCH_MAX];
    ngx_uint_t                  epoch_len;      /* 0: not heard of yet */

    unsigned                    exiting:1;      /* quit or reload has begun */
    unsigned                    era:6;          /* drains so far, modulo 64 */
    unsigned                    era_begun:1;    /* a connection is of this one */
} ngx_http_push_worker_t;

#define NGX_HTTP_PUSH_SCRATCH  65536

/* NULL in processes that are no worker, and while the module is unused. */
extern ngx_http_push_worker_t  *ngx_http_push_worker;

extern ngx_module_t  ngx_http_push_module;

/* Milliseconds of nginx's monotonic clock, modulo 2^32. */
#define ngx_http_push_now()  ((uint32_t) ngx_current_msec)
/* a before b, on that clock */
#define ngx_http_push_before(a, b)  ((int32_t) ((a) - (b)) < 0)

/* Unix milliseconds of nginx's cached wall clock. */
#define ngx_http_push_wall_ms()                                               \
    ((uint64_t) ngx_cached_time->sec * 1000 + ngx_cached_time->msec)

/* What `make test-module` adds is in t/echo; a product has nothing of it. */

#if (NGX_HTTP_PUSH_TEST)
#include "ngx_http_push_echo.h"
#else
#define NGX_HTTP_PUSH_ECHO_COMMANDS
#define ngx_http_push_echoes(ws)                   0
#define ngx_http_push_echo(ws, opcode, data, len)  (void) 0
#endif

#endif
