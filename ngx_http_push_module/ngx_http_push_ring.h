/*
 * ngx_http_push_ring: last messages of the shared log `all`, one copy a worker
 *
 *     item all, answer to index 0 --> | 17 | 18 | 19 | --fan_out--> connections
 *
 * The worker follows the log once for all its connections: a lost hint costs a
 * request a worker.  A connection reads from the ring; only one that is behind
 * its tail asks for itself.
 *
 * in:   items of push_lines; out: answers, messages given to connections
 * owns: the ring (push_ring_size bytes, 1024 messages), the worker's own
 *       delivery state of the log
 */

#ifndef NGX_HTTP_PUSH_RING_H
#define NGX_HTTP_PUSH_RING_H

#include "ngx_http_push_module.h"

#define NGX_HTTP_PUSH_RING_MESSAGES   1024

/* w->all; NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_ring_init(ngx_http_push_worker_t *w);
void ngx_http_push_ring_destroy(ngx_http_push_worker_t *w);

/*
 * all (seq 0: ephemeral); begin, conn, void and tip that answer the worker's
 * own request.  The answer to `all` says ok <connections here>, or
 * gap, slow (ephemeral: too many wait), none.
 */
struct push_lines_answer ngx_http_push_ring_item(
    const struct push_lines_item *item);

/* The log is followed from now on: a connection has begun. */
void ngx_http_push_ring_follow(ngx_http_push_worker_t *w);
/* A raw connection begins: it gets what comes from now on. */
void ngx_http_push_ring_join(ngx_http_push_conn_t *ws);
/* Something may have been missed: asks. */
void ngx_http_push_ring_resync(ngx_http_push_worker_t *w);
/* Another epoch: forgets everything and starts at the tip. */
void ngx_http_push_ring_reset(ngx_http_push_worker_t *w);

/* Looks at the worker's own asks; called by the wheel's tick. */
void ngx_http_push_ring_tick(ngx_http_push_worker_t *w, uint32_t now);

/*
 * Gives ws what the ring holds behind its sent, as its window and queue allow.
 * NGX_OK: nothing is left to give; NGX_AGAIN: window or queue is full;
 * NGX_DECLINED: ws is behind the ring's tail, `want` is raised, it has to ask
 * for itself; NGX_ERROR: ws was closed.
 */
ngx_int_t ngx_http_push_ring_read(ngx_http_push_conn_t *ws);

#endif
