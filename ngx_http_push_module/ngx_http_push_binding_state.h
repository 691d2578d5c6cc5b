/*
 * ngx_http_push_binding_state: what the files of binding share
 *
 * A command is built in place and borrows what it is given: fields of names
 * that outlive the call, numbers formatted into its own text.
 */

#ifndef NGX_HTTP_PUSH_BINDING_STATE_H
#define NGX_HTTP_PUSH_BINDING_STATE_H

#include "ngx_http_push_binding.h"
#include "ngx_http_push_redis.h"

#define NGX_HTTP_PUSH_BINDING_ARGS    40
#define NGX_HTTP_PUSH_BINDING_TEXT    1024
#define NGX_HTTP_PUSH_BINDING_PACK    65536
#define NGX_HTTP_PUSH_BINDING_FLUSH_MS  200

typedef struct {
    ngx_uint_t                  argc;
    struct push_str             argv[NGX_HTTP_PUSH_BINDING_ARGS];
    u_char                     *last;           /* free part of text */
    u_char                      text[NGX_HTTP_PUSH_BINDING_TEXT];
} ngx_http_push_binding_command_t;

struct ngx_http_push_binding_s {
    ngx_http_push_worker_t     *w;
    ngx_http_push_redis_t      *redis;          /* NULL: no push_redis */
    u_char                      instance[16];   /* as text */

    /* binding_loss.c: re-registration, in slices */
    ngx_event_t                 walk;
    ngx_uint_t                  walk_cursor;
    uint32_t                    walk_spread;    /* ms; of the resyncs */
    ngx_msec_t                  down_at;        /* 0: up */
    ngx_uint_t                  run_id_len;
    u_char                      run_id[64];     /* of the server that knew us */

    /* binding_lease.c */
    ngx_event_t                 lease;

    /* binding_stream.c */
    uint32_t                    rid;            /* of the last request */
    ngx_msec_t                  ask_free;       /* the pace allows one then */
    ngx_msec_t                  ask_promised;   /* latest *again_ms given */
    ngx_event_t                 ack;            /* sends the pack */
    ngx_uint_t                  pack_lines;
    size_t                      pack_len;
    size_t                      pack_epoch_len;
    u_char                      pack_epoch[PUSH_EPOCH_MAX];
    u_char                     *pack;           /* NGX_HTTP_PUSH_BINDING_PACK */

    unsigned                    walking:1;
    unsigned                    walk_all:1;     /* not only the dirty ones */
    unsigned                    dirty:1;        /* some have bind_dirty */
    unsigned                    leased:1;       /* our field of it was there */
    unsigned                    lease_new:1;    /* since lease_ms */
    uint32_t                    lease_ms;
};

/* --- commands ------------------------------------------------------------ */

void ngx_http_push_binding_begin(ngx_http_push_binding_command_t *cmd,
    const char *verb);
void ngx_http_push_binding_arg(ngx_http_push_binding_command_t *cmd,
    const void *data, size_t len);
#define ngx_http_push_binding_word(cmd, word)                                 \
    ngx_http_push_binding_arg(cmd, "" word, sizeof(word) - 1)
/* as by ngx_sprintf */
void ngx_http_push_binding_argf(ngx_http_push_binding_command_t *cmd,
    const char *fmt, ...);
ngx_int_t ngx_http_push_binding_send(ngx_http_push_binding_t *b,
    ngx_http_push_binding_command_t *cmd, ngx_http_push_redis_pt handler,
    uint64_t data);

/* --- between the files --------------------------------------------------- */

/* Why a connection is registered. */
typedef enum {
    NGX_HTTP_PUSH_BINDING_FIRST,    /* it has come */
    NGX_HTTP_PUSH_BINDING_DIRTY,    /* it could not be; if Redis had lost it,
                                       it asks for what it missed */
    NGX_HTTP_PUSH_BINDING_LOST      /* all are, and all ask anyway */
} ngx_http_push_binding_why_t;

#define NGX_HTTP_PUSH_BINDING_RETRY_MS  1000

/* All commands of it, or NGX_DECLINED: Redis is down or full. */
ngx_int_t ngx_http_push_binding_register(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws, ngx_http_push_binding_why_t why);

/* NULL: it has gone meanwhile, or goes. */
ngx_http_push_conn_t *ngx_http_push_binding_bound(uint64_t id);

/* A first ZADD has failed: again later. */
void ngx_http_push_binding_failed(ngx_http_push_conn_t *ws);

/* What ZRANGEBYSCORE found; again: for one that was bound before. */
void ngx_http_push_binding_members(ngx_http_push_redis_reply_t *reply,
    uint64_t data);
void ngx_http_push_binding_again(ngx_http_push_redis_reply_t *reply,
    uint64_t data);

void ngx_http_push_binding_loss_init(ngx_http_push_binding_t *b);
void ngx_http_push_binding_loss_destroy(ngx_http_push_binding_t *b);
/* hooks of redis.c */
void ngx_http_push_binding_up(struct push_str run_id, void *ctx);
void ngx_http_push_binding_down(void *ctx);
/* Redis may have forgotten us: all bindings again, all asked, paced. */
void ngx_http_push_binding_lost(ngx_http_push_binding_t *b, const char *why);
/* The dirty ones again, in in_ms. */
void ngx_http_push_binding_walk_start(ngx_http_push_binding_t *b,
    ngx_msec_t in_ms);

void ngx_http_push_binding_lease_init(ngx_http_push_binding_t *b);
void ngx_http_push_binding_lease_send(ngx_http_push_binding_t *b);
void ngx_http_push_binding_lease_remove(ngx_http_push_binding_t *b);
void ngx_http_push_binding_lease_destroy(ngx_http_push_binding_t *b);

ngx_int_t ngx_http_push_binding_stream_init(ngx_http_push_binding_t *b);
void ngx_http_push_binding_stream_destroy(ngx_http_push_binding_t *b);
/* what waits in the pack leaves now */
void ngx_http_push_binding_stream_flush(ngx_http_push_binding_t *b);

/* One entry of push:ev:conn; event: open, close, replace. */
typedef struct {
    struct push_str             node;
    struct push_str             instance;
    struct push_str             conn;           /* 16 hex digits */
    struct push_str             uid;
    struct push_str             device;
    uint64_t                    since_ms;
} ngx_http_push_binding_conn_t;

ngx_int_t ngx_http_push_binding_event(ngx_http_push_binding_t *b,
    const char *event, ngx_http_push_binding_conn_t *conn, ngx_uint_t code);

/* key and member of a connection's binding */
void ngx_http_push_binding_key(ngx_http_push_binding_command_t *cmd,
    struct push_str uid);
void ngx_http_push_binding_member(ngx_http_push_binding_command_t *cmd,
    ngx_http_push_binding_conn_t *conn);

/* Our own connection in that form; hex holds 16 bytes. */
void ngx_http_push_binding_conn(ngx_http_push_binding_t *b,
    ngx_http_push_conn_t *ws, ngx_http_push_binding_conn_t *conn,
    u_char *hex);

#endif
