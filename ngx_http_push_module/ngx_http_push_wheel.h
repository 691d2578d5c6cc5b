/*
 * ngx_http_push_wheel: one timer for all connections of a worker
 *
 *     conn --at--> | 100 ms | 100 ms | ... --tick--> conn's look
 *
 * in:   a connection and when it wants to be looked at; out: calls, at most two
 *       ticks late, and early only if the time is beyond the wheel's turn
 * owns: the slots and one nginx timer that runs while connections exist, not
 *       cancelable: it keeps a leaving worker alive until the last has gone
 */

#ifndef NGX_HTTP_PUSH_WHEEL_H
#define NGX_HTTP_PUSH_WHEEL_H

#include "ngx_http_push_module.h"

#define NGX_HTTP_PUSH_WHEEL_TICK_MS  100
#define NGX_HTTP_PUSH_WHEEL_SLOTS    1024

typedef void (*ngx_http_push_wheel_pt)(ngx_http_push_conn_t *ws, uint32_t now);

/* look is called for each connection that is due; it is off the wheel then. */
ngx_int_t ngx_http_push_wheel_init(ngx_http_push_worker_t *w,
    ngx_http_push_wheel_pt look);
void ngx_http_push_wheel_destroy(ngx_http_push_worker_t *w);

/* Not later than at_ms; an earlier place stays. */
void ngx_http_push_wheel_at(ngx_http_push_conn_t *ws, uint32_t at_ms);
void ngx_http_push_wheel_remove(ngx_http_push_conn_t *ws);

/* The timer runs while this is true for anybody. */
void ngx_http_push_wheel_start(ngx_http_push_worker_t *w);

#endif
