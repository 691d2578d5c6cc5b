/*
 * ngx_http_push_conn: one live connection after its 101
 *
 *     handshake --> start --> live --close--> closing --> dead --> freed
 *                              |                 2 s + 2 s    ^
 *                              +-------------abort------------+
 *
 * On a plain connection c->pool goes as well, if nobody else has a cleanup in
 * it: what nginx may still look at (log, addresses) is pointed elsewhere.
 *
 * in:   frames to send, times to look, reasons to close
 * out:  bytes through the queue, calls of delivery
 * owns: the connection, from its 101 to its end
 */

#include "ngx_http_push_conn.h"
#include "ngx_http_push_cell.h"
#include "ngx_http_push_conn_log.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_input.h"
#include "ngx_http_push_limit.h"
#include "ngx_http_push_msg.h"
#include "ngx_http_push_queue.h"
#include "ngx_http_push_slab.h"
#include "ngx_http_push_table.h"
#include "ngx_http_push_wheel.h"


#define NGX_HTTP_PUSH_CONN_GRACE       30       /* s after a token's end */
#define NGX_HTTP_PUSH_CONN_FRAME       2048     /* bytes of a frame of ours */

#define NGX_HTTP_PUSH_CONN_ROOM_MS     1000     /* to look for memory again */
#define NGX_HTTP_PUSH_CONN_STUCK       "does not read"
#define NGX_HTTP_PUSH_CONN_DRIBBLE     "a message takes longer than 10 s"


static ngx_int_t ngx_http_push_conn_set_address(ngx_http_push_conn_t *ws,
    struct sockaddr *sa, socklen_t len);
static void ngx_http_push_conn_slim(ngx_http_push_conn_t *ws);
static void ngx_http_push_conn_write_handler(ngx_event_t *wev);
static void ngx_http_push_conn_look(ngx_http_push_conn_t *ws, uint32_t now);
static void ngx_http_push_conn_abort_each(ngx_http_push_conn_t *ws,
    void *data);


ngx_int_t
ngx_http_push_conn_init(ngx_http_push_worker_t *w)
{
    w->scratch = ngx_alloc(NGX_HTTP_PUSH_SCRATCH, ngx_cycle->log);
    if (w->scratch == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&w->waiting);

    w->flush.handler = ngx_http_push_conn_turn;
    w->flush.data = w;
    w->flush.log = ngx_cycle->log;

    return ngx_http_push_wheel_init(w, ngx_http_push_conn_look);
}


void
ngx_http_push_conn_destroy(ngx_http_push_worker_t *w)
{
    ngx_uint_t  cursor;

    if (w->wheel) {
        cursor = 0;
        (void) ngx_http_push_table_walk(&cursor, NGX_MAX_INT_T_VALUE,
                                        ngx_http_push_conn_abort_each, w);

        ngx_http_push_conn_turn(&w->flush);
        ngx_http_push_wheel_destroy(w);
    }

    if (w->flush.posted) {
        ngx_delete_posted_event(&w->flush);
    }

    ngx_free(w->scratch);
    w->scratch = NULL;
}


static void
ngx_http_push_conn_abort_each(ngx_http_push_conn_t *ws, void *data)
{
    ngx_http_push_conn_abort(ws, PUSH_CLOSE_GOING_AWAY);
}


/* --- from the handshake ------------------------------------------------- */

ngx_http_push_conn_t *
ngx_http_push_conn_create(ngx_connection_t *c, ngx_http_push_loc_conf_t *conf,
    ngx_str_t *uid, time_t expires, ngx_uint_t raw)
{
    ngx_http_push_conn_t    *ws;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    if (ngx_http_push_conn_log_init(conf) != NGX_OK) {
        return NULL;
    }

    ws = ngx_http_push_cell_alloc();
    if (ws == NULL) {
        return NULL;
    }

    ws->c = c;
    ws->conf = conf;
    ws->expires = (uint32_t) expires;
    ws->raw = raw;

#if (NGX_SSL || NGX_COMPAT)
    ws->tls = (c->ssl != NULL);
#endif

    ws->era = w->era;
    w->era_begun = 1;

    /* now: realip takes its address back when the request goes */

    if (ngx_http_push_conn_set_address(ws, c->sockaddr, c->socklen) != NGX_OK) {
        ngx_http_push_cell_free(ws);
        return NULL;
    }

    if (ngx_http_push_table_prepare(ws, uid->data, uid->len) != NGX_OK) {
        ngx_http_push_conn_release(ws);
        return NULL;
    }

    w->handshakes++;

    return ws;
}


static ngx_int_t
ngx_http_push_conn_set_address(ngx_http_push_conn_t *ws, struct sockaddr *sa,
    socklen_t len)
{
    struct sockaddr  *copy;

    if (sa->sa_family == AF_INET) {
        len = offsetof(struct sockaddr_in, sin_zero);
    }

    copy = (struct sockaddr *) ws->near_address;

    if (len > sizeof(ws->near_address)) {
        copy = ngx_http_push_slab_alloc(len);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        ws->far_address = copy;
    }

    ngx_memcpy(copy, sa, len);
    ws->socklen = (uint8_t) len;

    return NGX_OK;
}


void
ngx_http_push_conn_release(ngx_http_push_conn_t *ws)
{
    if (ws->socklen > sizeof(ws->near_address)) {
        ngx_http_push_slab_free(ws->far_address, ws->socklen);
    }

    ngx_http_push_cell_free(ws);
}


void
ngx_http_push_conn_discard(ngx_http_push_conn_t *ws)
{
    ngx_http_push_worker->handshakes--;

    ngx_http_push_limit_put(ws);
    ngx_http_push_table_discard(ws);
    ngx_http_push_conn_release(ws);
}


void
ngx_http_push_conn_start(ngx_http_push_conn_t *ws,
    ngx_http_push_input_t *early)
{
    uint32_t                 now;
    ngx_event_t             *rev, *wev;
    ngx_connection_t        *c;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;
    c = ws->c;
    rev = c->read;
    wev = c->write;
    now = ngx_http_push_now();

    if (rev->timer_set) {
        ngx_del_timer(rev);
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    rev->delayed = 0;
    rev->timedout = 0;
    wev->delayed = 0;
    wev->timedout = 0;

    if (c->tcp_nopush == NGX_TCP_NOPUSH_SET) {
        (void) ngx_tcp_push(c->fd);
        c->tcp_nopush = NGX_TCP_NOPUSH_UNSET;
    }

    (void) ngx_tcp_nodelay(c);

    ngx_reusable_connection(c, 0);
    c->idle = 0;
    c->data = ws;

    rev->handler = ngx_http_push_input_handler;
    wev->handler = ngx_http_push_conn_write_handler;

    ngx_http_push_conn_slim(ws);

    ws->input = early;

    ws->since_ms = ngx_http_push_wall_ms();
    ws->seen_ms = now;
    ws->ack_ms = now;

    w->handshakes--;
    w->connections++;
    w->counters->connections = w->connections;
    ngx_http_push_heap_started(&w->heap);

    ngx_http_push_table_add(ws);
    ngx_http_push_wheel_start(w);
    ngx_http_push_conn_wake_at(ws, now + (uint32_t)
                               (ws->raw ? ws->conf->heartbeat_timeout
                                        : ngx_min(ws->conf->hello_timeout,
                                                ws->conf->heartbeat_timeout)));

    ngx_http_push_conn_log_line(ws);

    /* the caller's stack still knows c: nothing is read, sent or closed here */

    ngx_post_event(rev, &ngx_posted_events);

    ngx_http_push_delivery_open(ws);
}


static void
ngx_http_push_conn_slim(ngx_http_push_conn_t *ws)
{
    ngx_log_t         *log;
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    c = ws->c;
    pool = c->pool;

    if (ws->tls) {
#if (NGX_SSL)
        c->ssl->buffer = 0;     /* the queue keeps its bytes in place */
#endif
        return;
    }

    if (pool->cleanup) {
        return;                 /* somebody wants to hear of its end */
    }

    log = (c->log->log_level & NGX_LOG_DEBUG_CONNECTION) ? ws->conf->debug_log
                                                         : ws->conf->log;
    c->log = log;
    c->read->log = log;
    c->write->log = log;

    c->sockaddr = ngx_http_push_conn_sockaddr(ws);
    c->socklen = ws->socklen;
    ngx_str_null(&c->addr_text);

    c->local_sockaddr = c->listening->sockaddr;
    c->local_socklen = c->listening->socklen;

    c->proxy_protocol = NULL;
    c->buffer = NULL;

#if (NGX_THREADS || NGX_COMPAT)
    c->sendfile_task = NULL;
#endif

    c->pool = NULL;
    ws->slim = 1;

    ngx_destroy_pool(pool);
}


/* --- frames ------------------------------------------------------------- */

ngx_int_t
ngx_http_push_conn_send(ngx_http_push_conn_t *ws, ngx_http_push_msg_t *m,
    ngx_uint_t own)
{
    ngx_int_t  rc;

    if (ws->closing) {
        return NGX_DECLINED;
    }

    rc = ngx_http_push_queue_add(ws, m, own);

    if (rc != NGX_OK) {
        ws->full = 1;

        if (own) {
            /* it asks for more than it reads */
            ngx_http_push_conn_close(ws, PUSH_CLOSE_SLOW, 0, NULL, 0);
        }

        return rc;
    }

    ngx_http_push_conn_mark(ws);

    return ws->c->write->ready ? NGX_OK : NGX_AGAIN;
}


ngx_uint_t
ngx_http_push_conn_room(ngx_http_push_conn_t *ws, size_t len)
{
    if (ws->closing) {
        return 0;
    }

    if (ngx_http_push_queue_room(ws, len)) {
        return 1;
    }

    ws->full = 1;

    if (ws->queue == NULL) {
        /* the worker's memory is used up: nothing will drain here */
        ngx_http_push_conn_wake_at(ws, ngx_http_push_now()
                                       + NGX_HTTP_PUSH_CONN_ROOM_MS);
    }

    return 0;
}


ngx_int_t
ngx_http_push_conn_sendf(ngx_http_push_conn_t *ws, const char *fmt, ...)
{
    u_char               *p, buf[NGX_HTTP_PUSH_CONN_FRAME];
    va_list               args;
    ngx_int_t             rc;
    ngx_http_push_msg_t  *m;

    if (ws->closing) {
        return NGX_DECLINED;
    }

    va_start(args, fmt);
    p = ngx_vslprintf(buf, buf + sizeof(buf), fmt, args);
    va_end(args);

    if (p == buf + sizeof(buf)) {
        return NGX_ERROR;       /* cut */
    }

    m = ngx_http_push_msg_text(buf, p - buf);
    if (m == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_push_conn_send(ws, m, 1);

    ngx_http_push_msg_put(m);

    return rc;
}


void
ngx_http_push_conn_mark(ngx_http_push_conn_t *ws)
{
    uint32_t                 n;
    ngx_http_push_worker_t  *w;

    if (ws->in_turn) {
        return;
    }

    w = ngx_http_push_worker;
    n = ngx_http_push_cell_number(ws);

    ws->in_turn = 1;
    ws->next_turn = 0;

    if (w->turn_first) {
        ngx_http_push_cell(w->turn_last)->next_turn = n;

    } else {
        w->turn_first = n;
    }

    w->turn_last = n;

    ngx_post_event(&w->flush, &ngx_posted_events);
}


static void
ngx_http_push_conn_write_handler(ngx_event_t *wev)
{
    ngx_connection_t      *c;
    ngx_http_push_conn_t  *ws;

    c = wev->data;
    ws = c->data;

    if (ws->dead) {
        return;
    }

    ngx_http_push_conn_log_enter(ws);
    ngx_http_push_conn_flush(ws);
    ngx_http_push_conn_log_leave(ws);
}


void
ngx_http_push_conn_flush(ngx_http_push_conn_t *ws)
{
    ngx_int_t                  rc;
    ngx_http_push_msg_t       *pong;
    ngx_http_push_loc_conf_t  *conf;

    rc = ngx_http_push_queue_flush(ws);

    if (rc == NGX_OK && ws->pong_wanted && !ws->closing) {
        pong = ngx_http_push_input_pong(ws);

        if (pong) {
            (void) ngx_http_push_queue_add(ws, pong, 1);
            ngx_http_push_msg_put(pong);

            rc = ngx_http_push_queue_flush(ws);
        }
    }

    if (rc == NGX_ERROR) {
        ngx_http_push_conn_abort(ws, PUSH_CLOSE_LOST);
        return;
    }

    if (ws->closing) {
        if (rc == NGX_OK && !ws->close_sent) {
            ws->close_sent = 1;
            ws->seen_ms = ngx_http_push_now();
            ngx_http_push_conn_finish(ws);
        }

        return;
    }

    if (rc == NGX_AGAIN && ws->queue->outq == -1) {
        ngx_http_push_conn_wake_at(ws, ws->queue->since_ms
                                       + NGX_HTTP_PUSH_QUEUE_LOOK_MS);
    }

    conf = ws->conf;

    if (ws->full
        && ngx_http_push_queue_bytes(ws) <= conf->queue_bytes / 2
        && ngx_http_push_queue_count(ws) <= conf->queue_count / 2)
    {
        ws->full = 0;
        ngx_http_push_delivery_room(ws);
    }
}


/* --- time --------------------------------------------------------------- */

void
ngx_http_push_conn_wake_at(ngx_http_push_conn_t *ws, uint32_t at_ms)
{
    if (!ws->dead) {
        ngx_http_push_wheel_at(ws, at_ms);
    }
}


static void
ngx_http_push_conn_look(ngx_http_push_conn_t *ws, uint32_t now)
{
    int64_t   left;
    uint32_t  at;

    if (ws->closing) {
        at = ws->seen_ms + NGX_HTTP_PUSH_CONN_CLOSING_MS;

        if (ngx_http_push_before(now, at)) {
            ngx_http_push_conn_wake_at(ws, at);

        } else {
            ngx_http_push_conn_abort(ws, PUSH_CLOSE_LOST);
        }

        return;
    }

    at = ws->seen_ms + (uint32_t) ws->conf->heartbeat_timeout;

    if (!ngx_http_push_before(now, at)) {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_HEARTBEAT, 0, NULL, 0);
        return;
    }

    ngx_http_push_conn_wake_at(ws, at);

    if (ws->expires) {
        left = (int64_t) ws->expires + NGX_HTTP_PUSH_CONN_GRACE - ngx_time();

        if (left <= 0) {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_EXPIRED, 0, NULL, 0);
            return;
        }

        /* once a minute: the wall clock may jump, a token may be renewed */

        ngx_http_push_conn_wake_at(ws, now
                                       + 1000 * (uint32_t) ngx_min(left, 60));
    }

    if (ngx_http_push_input_look(ws, &at) == NGX_AGAIN) {
        if (!ngx_http_push_before(now, at)) {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_POLICY, 0,
                                     NGX_HTTP_PUSH_CONN_DRIBBLE,
                                     sizeof(NGX_HTTP_PUSH_CONN_DRIBBLE) - 1);
            return;
        }

        ngx_http_push_conn_wake_at(ws, at);
    }

    if (ws->queue) {
        if (ngx_http_push_queue_look(ws, now, &at) == NGX_DECLINED) {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_SLOW, 0,
                                     NGX_HTTP_PUSH_CONN_STUCK,
                                     sizeof(NGX_HTTP_PUSH_CONN_STUCK) - 1);
            return;
        }

        ngx_http_push_conn_wake_at(ws, at);

    } else if (ws->full) {
        ws->full = 0;
        ngx_http_push_delivery_room(ws);
    }

    if (!ws->raw && !ws->ready) {
        at = ws->ack_ms + (uint32_t) ws->conf->hello_timeout;

        if (ngx_http_push_before(now, at)) {
            ngx_http_push_conn_wake_at(ws, at);
            return;
        }

        ngx_http_push_delivery_begin(ws);
    }

    ngx_http_push_delivery_tick(ws, now);
}
