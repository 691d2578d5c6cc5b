/*
 * ngx_http_push_redis: one pipelined connection to Redis a worker
 *
 *     CONNECT -> SETUP: AUTH, SELECT, PING, INFO, TIME -> READY
 *        ^                                                  |
 *        +------------------- BACKOFF <---------------------+
 *
 * in:   commands as arrays of strings; out: replies, or LOST
 * owns: the socket, its timers, the pipeline (at most 10,000 unanswered
 *       commands and 8 MB of them)
 *
 * Of hiredis only the reply parser is used: it knows no socket, and nothing
 * that a peer sends makes it abort.  Its async layer asserts on a reply that
 * nobody waits for, and a wrong peer would end every worker.
 */

#ifndef NGX_HTTP_PUSH_REDIS_H
#define NGX_HTTP_PUSH_REDIS_H

#include "ngx_http_push_module.h"

typedef struct ngx_http_push_redis_s  ngx_http_push_redis_t;

typedef enum {
    NGX_HTTP_PUSH_REDIS_LOST,       /* no reply: nobody knows */
    NGX_HTTP_PUSH_REDIS_INTEGER,
    NGX_HTTP_PUSH_REDIS_STRING,     /* status replies too */
    NGX_HTTP_PUSH_REDIS_NIL,
    NGX_HTTP_PUSH_REDIS_ARRAY,      /* of strings; other elements are empty */
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

/*
 * Called exactly once for each command that was accepted, in their order,
 * never inside of ngx_http_push_redis_command().  May give further commands.
 */
typedef void (*ngx_http_push_redis_pt)(ngx_http_push_redis_reply_t *reply,
    uint64_t data);

/*
 * up: READY; run_id is borrowed and empty if INFO is not allowed to us.
 * down: no longer READY; all callbacks have run with LOST before.
 */
typedef struct {
    void (*up)(struct push_str run_id, void *ctx);
    void (*down)(void *ctx);
    void *ctx;
} ngx_http_push_redis_hooks_t;

/*
 * Connects at once, in the background.  conf->redis must have an address.
 * NULL: no memory.
 */
ngx_http_push_redis_t *ngx_http_push_redis_create(
    ngx_http_push_main_conf_t *conf, ngx_http_push_redis_hooks_t *hooks,
    ngx_log_t *log);
/* Every unanswered command is LOST; down is not called.  r may be NULL. */
void ngx_http_push_redis_destroy(ngx_http_push_redis_t *r);

/*
 * handler may be NULL.  NGX_OK; NGX_DECLINED: down, the pipeline is full, or
 * no memory.  Arguments are copied.
 */
ngx_int_t ngx_http_push_redis_command(ngx_http_push_redis_t *r,
    ngx_http_push_redis_pt handler, uint64_t data, ngx_uint_t argc,
    const struct push_str *argv);

/*
 * Room for n commands of together len bytes: whoever needs all of them or
 * none asks first.  0: no room, or down.
 */
ngx_uint_t ngx_http_push_redis_room(ngx_http_push_redis_t *r, ngx_uint_t n,
    size_t len);

/* Waits for the outstanding replies, blocking, for at most ms. */
void ngx_http_push_redis_flush(ngx_http_push_redis_t *r, ngx_msec_t ms);

ngx_uint_t ngx_http_push_redis_ready(ngx_http_push_redis_t *r);
ngx_uint_t ngx_http_push_redis_pending(ngx_http_push_redis_t *r);

/* Unix ms by Redis' clock; before the first connection by ours. */
uint64_t ngx_http_push_redis_time_ms(ngx_http_push_redis_t *r);

#endif
