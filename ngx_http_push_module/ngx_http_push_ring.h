/*
 * ngx_http_push_ring: last messages of a shared log, one copy a worker
 *
 *     item all, answer to conn 0 --> | 17 | 18 | 19 | --slices--> connections
 *
 * in:   messages in the order of seq; out: verdicts
 * owns: the ring (push_ring_size bytes, 1024 messages), the worker's own
 *       delivery state of the log, the fan-out under way
 */

#ifndef NGX_HTTP_PUSH_RING_H
#define NGX_HTTP_PUSH_RING_H

#include "ngx_http_push_module.h"

ngx_int_t ngx_http_push_ring_init(ngx_http_push_worker_t *w);
void ngx_http_push_ring_destroy(ngx_http_push_worker_t *w);

/*
 * An item `all` (seq 0: ephemeral), or conn, void, begin, tip with index 0.
 * The fan-out goes on in slices of the event loop (at most 256 connections or
 * 2 ms each); the answer says ok <connections here>, or gap, slow, none.
 */
struct push_lines_answer ngx_http_push_ring_item(
    const struct push_lines_item *item);

/* item `resync all` or `resync *`: asks for what may be missing */
void ngx_http_push_ring_resync(ngx_http_push_worker_t *w);

/* Looks at the worker's own asks; called by the wheel's tick. */
void ngx_http_push_ring_tick(ngx_http_push_worker_t *w, uint32_t now);

/*
 * Gives ws what the ring holds behind its sent, as its window and queue allow.
 * NGX_OK: nothing is left to give; NGX_AGAIN: window or queue is full;
 * NGX_DECLINED: ws is behind the ring's tail and has to ask for itself.
 */
ngx_int_t ngx_http_push_ring_read(ngx_http_push_conn_t *ws);

#endif
