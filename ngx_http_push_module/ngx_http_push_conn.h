/*
 * ngx_http_push_conn: one live connection after its 101
 *
 *     handshake --> start --> live --close--> closing --> dead --> freed
 *                              |                 2 s + 2 s    ^
 *                              +-------------abort------------+
 *
 * in:   frames to send, times to look, reasons to close; what comes from the
 *       client goes through ngx_http_push_input.c
 * out:  bytes through the queue, calls of delivery
 * owns: the connection, from its 101 to its end; nobody else closes one
 */

#ifndef NGX_HTTP_PUSH_CONN_H
#define NGX_HTTP_PUSH_CONN_H

#include "ngx_http_push_module.h"

/* init_process: queues, scratch, wheel; exit_process: all go at once. */
ngx_int_t ngx_http_push_conn_init(ngx_http_push_worker_t *w);
void ngx_http_push_conn_destroy(ngx_http_push_worker_t *w);

/*
 * Before the 101, inside the request: memory for the connection and its user,
 * freed by ngx_http_push_conn_discard() if the handshake ends otherwise.
 * NULL: no memory.
 */
ngx_http_push_conn_t *ngx_http_push_conn_create(ngx_connection_t *c,
    ngx_http_push_loc_conf_t *conf, ngx_str_t *uid, time_t expires,
    ngx_uint_t raw);
void ngx_http_push_conn_discard(ngx_http_push_conn_t *ws);

/*
 * After ngx_http_free_request(): takes c over (slim if nobody else holds
 * c->pool), joins table and wheel, posts a read.  early: bytes that came
 * behind the request (ngx_http_push_input_early()), taken over, may be NULL.
 */
void ngx_http_push_conn_start(ngx_http_push_conn_t *ws,
    ngx_http_push_input_t *early);

/*
 * The one way out, with a reason: sends `bye`-less Close unless the reason is
 * LOST or the peer must not hear it, gives the queue 2 s to leave and the peer
 * 2 s to answer, then frees.  May be called anywhere; ws stays valid until the
 * end of this turn of the event loop.  text may be NULL: the reason's own;
 * code 0: the reason's own.  A second call changes nothing.
 */
void ngx_http_push_conn_close(ngx_http_push_conn_t *ws, enum push_close reason,
    ngx_uint_t code, const char *text, size_t len);

/* At once, nothing is sent: fast shutdown and broken sockets. */
void ngx_http_push_conn_abort(ngx_http_push_conn_t *ws, enum push_close reason);

/*
 * Puts a frame behind those that wait and writes at the end of this turn.
 * Takes its own reference.  NGX_OK: will leave at once as far as is known;
 * NGX_AGAIN: queued behind others; NGX_DECLINED: no room.  own: a frame of ours
 * (welcome, pong, synced...) always has room; they are few for each input.
 */
ngx_int_t ngx_http_push_conn_send(ngx_http_push_conn_t *ws,
    ngx_http_push_msg_t *m, ngx_uint_t own);

/* The queue takes len more bytes. */
ngx_uint_t ngx_http_push_conn_room(ngx_http_push_conn_t *ws, size_t len);

/* Text of a JSON frame of our own, formatted as by ngx_sprintf. */
ngx_int_t ngx_http_push_conn_sendf(ngx_http_push_conn_t *ws,
    const char *fmt, ...);

/*
 * Between the files of a connection only.  flush: writes what the socket takes;
 * finish: FIN, if both Closes have been said; mark: flush at the turn's end;
 * turn: that end, where the dead are freed; release: the memory alone.
 */
void ngx_http_push_conn_flush(ngx_http_push_conn_t *ws);
void ngx_http_push_conn_finish(ngx_http_push_conn_t *ws);
void ngx_http_push_conn_mark(ngx_http_push_conn_t *ws);
void ngx_http_push_conn_turn(ngx_event_t *ev);
void ngx_http_push_conn_release(ngx_http_push_conn_t *ws);

#define NGX_HTTP_PUSH_CONN_CLOSING_MS  2000     /* for each of two steps */

/*
 * The client's address, a copy of ws->socklen bytes: a sockaddr_in has only
 * its first 8, the rest is padding.
 */
#define ngx_http_push_conn_sockaddr(ws)                                       \
    ((ws)->socklen <= sizeof((ws)->near_address)                              \
     ? (struct sockaddr *) (ws)->near_address : (ws)->far_address)

/* Its next look is at_ms at the latest (wheel). */
void ngx_http_push_conn_wake_at(ngx_http_push_conn_t *ws, uint32_t at_ms);

#endif
