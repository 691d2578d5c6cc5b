/*
 * ngx_http_push_queue: frames that wait for one slow client
 *
 *     conn --add--> | m7 | m8 | m9 | --writev--> client
 *
 * in:   messages as they go on the wire, counted, one copy in the worker
 * out:  NGX_OK; NGX_DECLINED: full; NGX_ERROR: no memory
 * owns: ws->queue and one count of each message in it; idle: nothing at all
 */

#ifndef NGX_HTTP_PUSH_QUEUE_H
#define NGX_HTTP_PUSH_QUEUE_H

#include "ngx_http_push_module.h"

/* Frames and bytes that wait. */
#define ngx_http_push_queue_count(ws)  ((ws)->queue ? (ws)->queue->count : 0)
#define ngx_http_push_queue_bytes(ws)  ((ws)->queue ? (ws)->queue->bytes : 0)

/*
 * own: beyond the bounds, up to a hard cap (then NGX_DECLINED as well).  Where
 * push_send_memory is used up, whoever has waited longest, and for a second at
 * least, goes at once to make room.
 */
ngx_int_t ngx_http_push_queue_add(ngx_http_push_conn_t *ws,
    ngx_http_push_msg_t *m, ngx_uint_t own);

/* A frame of len bytes would be taken now. */
ngx_uint_t ngx_http_push_queue_room(ngx_http_push_conn_t *ws, size_t len);

#define NGX_HTTP_PUSH_QUEUE_LOOK_MS  1000   /* after since_ms: first look */

/*
 * For the wheel, while something waits: NGX_AGAIN: look again at *at_ms;
 * NGX_DECLINED: the peer has taken nothing for 10 s.
 */
ngx_int_t ngx_http_push_queue_look(ngx_http_push_conn_t *ws, uint32_t now,
    uint32_t *at_ms);

/*
 * It is closing: no more in the way of others.  drop: what has not begun to
 * leave is forgotten.
 */
void ngx_http_push_queue_leave(ngx_http_push_conn_t *ws, ngx_uint_t drop);

/*
 * Writes what the socket takes, at most 64 frames a call of writev.
 * NGX_OK: empty now; NGX_AGAIN: blocked, the write event is armed; NGX_ERROR.
 */
ngx_int_t ngx_http_push_queue_flush(ngx_http_push_conn_t *ws);

/* Drops everything. */
void ngx_http_push_queue_clear(ngx_http_push_conn_t *ws);

#endif
