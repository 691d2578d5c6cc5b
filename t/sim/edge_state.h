/*
 * edge_state: what the files of the edge's model share
 */

#ifndef EDGE_STATE_H
#define EDGE_STATE_H

#include "edge.h"
#include "push_delivery.h"
#include "push_lines.h"
#include "redis.h"

#define EDGE_OWN         0
#define EDGE_ALL         1
#define EDGE_RING        64         /* messages of `all` */
#define EDGE_CHECK_MS    10000      /* if there is a periodic check */

struct edge_message {
    int64_t         seq;
    uint64_t        expires;
    unsigned        message;
    struct push_str id;             /* as the frame says: <log>@<seq> */
};

struct edge_ring {
    struct push_delivery d;
    int64_t              tail;
    uint32_t             check_ms;
    uint32_t             tick_ms;   /* when somebody was here last */
    bool                 started;
    struct edge_message  messages[EDGE_RING];
};

struct edge_conn {
    struct edge         *edge;
    struct edge_conn    *next;      /* of the edge */
    struct socket       *socket;
    uint64_t             id;
    unsigned             user;
    char                 uid[4];
    char                 device[8];
    char                 epoch[17];     /* of the hello, until answered */
    struct push_delivery logs[FRAME_LOGS];
    struct sim_event     wake;
    bool                 ready;
    bool                 closing;
    bool                 past;          /* of an earlier epoch: only Close */
    bool                 bound;
    bool                 bind_dirty;
    bool                 ack_dirty;
    bool                 all_dirty;
    int64_t              since_ms;      /* Redis' clock */
    uint32_t             bound_ms;
    uint32_t             check_ms;
    uint32_t             ack_ms;
    uint32_t             heard_ms;
};

struct edge {
    struct sim_proc  *proc;
    unsigned          number;
    uint64_t          instance;
    char              hex[17];
    char              node[4];
    struct redis     *redis;
    struct edge_conn *conns;
    uint64_t          index;        /* of the last connection */
    uint32_t          rid;
    char              epoch[17];    /* empty: none was heard */
    struct edge_ring  ring;
    struct sim_event  tick;

    /* edge_redis.c */
    struct sim_event  lease;
    struct sim_event  pack_timer;
    struct sim_event  walk;
    bool              leased;
    bool              lease_new;    /* since lease_us */
    int64_t           lease_us;
    bool              walk_all;
    int64_t           down_us;      /* -1: it is up */
    char              run_id[24];
    char              pack[8192];
    size_t            pack_len;
    char              pack_epoch[17];
};

/* edge.c */
extern struct edge  edges[SIM_EDGES];

void edge_ask(struct edge_conn *conn);
void edge_tick(struct edge_conn *conn);
void edge_wake_at(struct edge_conn *conn, uint32_t at_ms);
void edge_resync(struct edge_conn *conn, uint32_t at_ms);
void edge_close(struct edge_conn *conn, unsigned code, bool tell);
void edge_synced(struct edge_conn *conn, unsigned log);
struct edge_conn *edge_find(struct edge *e, uint64_t id);
struct push_lines_answer edge_give(struct edge_conn *conn, unsigned log,
    const struct edge_message *m, bool answer);

/* edge_item.c */
struct push_lines_answer edge_item(struct edge *e,
    const struct push_lines_item *item);
void edge_item_message(struct edge_message *m,
    const struct push_lines_item *item);

/* edge_ring.c */
struct push_lines_answer edge_ring_item(struct edge *e,
    const struct push_lines_item *item);
void edge_ring_reset(struct edge *e);
void edge_ring_follow(struct edge *e);
void edge_ring_resync(struct edge *e);
void edge_ring_ask(struct edge *e);
void edge_ring_read(struct edge_conn *conn);

/* edge_stream.c: a command, word by word; requests, acks */
#define EDGE_WORDS     40
#define EDGE_RETRY_MS  1000
#define EDGE_PROMPT_MS 1000

struct edge_words {
    size_t          count;
    struct push_str argv[EDGE_WORDS];
    char           *last;
    char            text[2048];
};

void edge_begin(struct edge_words *w, const char *verb);
void edge_word(struct edge_words *w, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
int edge_send(struct edge *e, struct edge_words *w, redis_pt fn, void *data);
void edge_flush(void *data);

/* edge_redis.c */
void edge_redis_start(struct edge *e);
void edge_bind(struct edge_conn *conn);
void edge_renew(struct edge_conn *conn);
void edge_unbind(struct edge_conn *conn);
/* false: not now, *again_ms is when. */
bool edge_request(struct edge_conn *conn, uint32_t *again_ms);
bool edge_request_all(struct edge *e);
void edge_send_ack(struct edge_conn *conn, unsigned log, int64_t seq);

/* a is before b, on a clock that wraps */
static inline bool
edge_before(uint32_t a, uint32_t b)
{
    return (int32_t) (a - b) < 0;
}

#endif
