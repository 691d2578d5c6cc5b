/*
 * ngx_http_push_redis: hiredis on nginx events; the one file that sees hiredis
 *
 *     INIT -> CONNECT -> AUTH -> SELECT -> READY -> BACKOFF -> CONNECT ...
 *
 * in:   commands as arrays of strings; out: replies, or NULL if unknown
 * owns: the connection, its timers, the pipeline (at most 10,000 unanswered
 *       commands or 8 MB)
 */

#ifndef NGX_HTTP_PUSH_REDIS_H
#define NGX_HTTP_PUSH_REDIS_H

#include "ngx_http_push_module.h"

typedef struct ngx_http_push_redis_s  ngx_http_push_redis_t;

typedef enum {
    NGX_HTTP_PUSH_REDIS_LOST,       /* no reply: nobody knows */
    NGX_HTTP_PUSH_REDIS_INTEGER,
    NGX_HTTP_PUSH_REDIS_STRING,
    NGX_HTTP_PUSH_REDIS_NIL,
    NGX_HTTP_PUSH_REDIS_ARRAY,      /* of strings: strings[0 .. n) */
    NGX_HTTP_PUSH_REDIS_ERROR
} ngx_http_push_redis_type_t;

/* Valid during the callback. */
typedef struct {
    ngx_http_push_redis_type_t  type;
    int64_t                     integer;
    struct push_str             string;     /* STRING, ERROR */
    struct push_str            *strings;
    ngx_uint_t                  n;
} ngx_http_push_redis_reply_t;

/* Called exactly once for each command that was accepted. */
typedef void (*ngx_http_push_redis_pt)(ngx_http_push_redis_reply_t *reply,
    uint64_t data);

/*
 * up: READY with run_id (borrowed) known and clock measured; down: lost.
 */
typedef struct {
    void (*up)(struct push_str run_id, void *ctx);
    void (*down)(void *ctx);
    void *ctx;
} ngx_http_push_redis_hooks_t;

ngx_http_push_redis_t *ngx_http_push_redis_create(
    ngx_http_push_main_conf_t *conf, ngx_http_push_redis_hooks_t *hooks,
    ngx_log_t *log);
void ngx_http_push_redis_destroy(ngx_http_push_redis_t *r);

/*
 * handler may be NULL.  NGX_OK; NGX_DECLINED: down or the pipeline is full.
 * Arguments are copied.
 */
ngx_int_t ngx_http_push_redis_command(ngx_http_push_redis_t *r,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv);

ngx_uint_t ngx_http_push_redis_ready(ngx_http_push_redis_t *r);
ngx_uint_t ngx_http_push_redis_pending(ngx_http_push_redis_t *r);

/* Unix ms by Redis' clock, from the offset measured at connect. */
uint64_t ngx_http_push_redis_time_ms(ngx_http_push_redis_t *r);

#endif
