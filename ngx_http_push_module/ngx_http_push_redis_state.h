/*
 * ngx_http_push_redis_state: what the two files of redis share
 */

#ifndef NGX_HTTP_PUSH_REDIS_STATE_H
#define NGX_HTTP_PUSH_REDIS_STATE_H

#include "ngx_http_push_redis.h"

#define NGX_HTTP_PUSH_REDIS_RUN_ID      64

typedef enum {
    NGX_HTTP_PUSH_REDIS_BACKOFF,
    NGX_HTTP_PUSH_REDIS_CONNECT,
    NGX_HTTP_PUSH_REDIS_SETUP_SENT,
    NGX_HTTP_PUSH_REDIS_READY
} ngx_http_push_redis_state_t;

struct ngx_http_push_redis_s {
    ngx_http_push_main_conf_t    *conf;
    ngx_http_push_redis_hooks_t   hooks;
    ngx_log_t                    *log;

    ngx_http_push_redis_state_t   state;
    ngx_connection_t             *c;            /* NULL in BACKOFF */
    ngx_http_push_pipeline_t      pipeline;
    ngx_uint_t                    address;      /* next of conf->redis.addrs */
    ngx_uint_t                    failures;     /* in a row */

    ngx_event_t                   timer;        /* BACKOFF: connect again; else
                                                   a reply's deadline */
    ngx_event_t                   clock;        /* TIME again */
    ngx_event_t                   flush;        /* posted: send all */

    ngx_msec_t                    ready_since;
    uint64_t                      clock_ms;     /* Redis' clock, Unix ms, at */
    ngx_msec_t                    clock_at;     /* this monotonic time; 0: not
                                                   measured yet */
    uint64_t                      time_sent_us; /* TIME is under way since */
    uint64_t                      rtt_sent_us;  /* 0: none is measured now */
    uint64_t                      rtt_reply;    /* the reply that ends it, by
                                                   pipeline.replies */

    ngx_uint_t                    run_id_len;
    u_char                        run_id[NGX_HTTP_PUSH_REDIS_RUN_ID];
};

void ngx_http_push_redis_setup_init(ngx_http_push_redis_t *r);
/* The socket is connected: ends in READY, or pipeline.error is set. */
void ngx_http_push_redis_setup(ngx_http_push_redis_t *r);

/* A command in any state; NGX_DECLINED: no room. */
ngx_int_t ngx_http_push_redis_put(ngx_http_push_redis_t *r,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv);
/* One end for every fault: closed once, all callbacks, back-off. */
void ngx_http_push_redis_fail(ngx_http_push_redis_t *r, const char *text,
    ngx_err_t err);

/* Not nginx's cached time. */
uint64_t ngx_http_push_redis_monotonic_us(void);

#endif
