/*
 * ngx_http_push_redis: one connection to Redis a worker, made again and again
 *
 *     CONNECT -> SETUP: AUTH, SELECT, PING, INFO, TIME -> READY
 *        ^                                                  |
 *        +------------------- BACKOFF <---------------------+
 *
 * in:   commands for the pipeline; out: replies, or LOST
 * owns: the socket, its timers, Redis' clock
 */

#ifndef NGX_HTTP_PUSH_REDIS_H
#define NGX_HTTP_PUSH_REDIS_H

#include "ngx_http_push_module.h"
#include "ngx_http_push_pipeline.h"

typedef struct ngx_http_push_redis_s  ngx_http_push_redis_t;

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
/* Commands without a reply; 0 while it is down: nothing is to be had. */
ngx_uint_t ngx_http_push_redis_pending(ngx_http_push_redis_t *r);

/* Unix ms by Redis' clock; before the first connection by ours. */
uint64_t ngx_http_push_redis_time_ms(ngx_http_push_redis_t *r);

#endif
