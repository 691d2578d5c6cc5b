/*
 * ngx_http_push_conn_close: the ways out of a connection
 *
 *     close --> Close queued --> sent --> peer's Close --> FIN --> EOF
 *                  2 s            |            2 s                  |
 *     abort ----------------------+--------------------------> dead: freed
 *
 * Nothing is freed under its caller: who is dead waits for the end of the
 * turn, and only ngx_http_push_conn_turn() frees.
 *
 * in:   reasons; out: Close, FIN, the end of table, wheel, queue and socket
 * owns: nothing
 */

#include "ngx_http_push_conn.h"
#include "ngx_http_push_cell.h"
#include "ngx_http_push_conn_log.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_device.h"
#include "ngx_http_push_input.h"
#include "ngx_http_push_latency.h"
#include "ngx_http_push_limit.h"
#include "ngx_http_push_msg.h"
#include "ngx_http_push_queue.h"
#include "ngx_http_push_table.h"
#include "ngx_http_push_wheel.h"


static void ngx_http_push_conn_leaving(ngx_http_push_conn_t *ws,
    enum push_close reason, ngx_uint_t code);
static void ngx_http_push_conn_free(ngx_http_push_conn_t *ws);


void
ngx_http_push_conn_close(ngx_http_push_conn_t *ws, enum push_close reason,
    ngx_uint_t code, const char *text, size_t len)
{
    u_char                frame[PUSH_FRAME_CONTROL_MAX + 2];
    size_t                n;
    ngx_int_t             rc;
    ngx_http_push_msg_t  *m;

    if (ws->closing) {
        return;
    }

    if (reason == PUSH_CLOSE_LOST) {
        ngx_http_push_conn_abort(ws, reason);
        return;
    }

    if (code == 0) {
        code = push_close_code(reason);
    }

    if (text == NULL) {
        text = push_close_text(reason);
        len = ngx_strlen(text);
    }

    ngx_http_push_conn_leaving(ws, reason, code);
    ngx_http_push_queue_leave(ws, reason == PUSH_CLOSE_SLOW);

    n = 2;      /* 1005 is never on the wire: an empty Close is echoed empty */

    if (code != 1005) {
        n = push_frame_close(frame, code, text, len);
    }

    m = ngx_http_push_msg_control(PUSH_FRAME_CLOSE, frame + 2, n - 2);
    if (m == NULL) {
        ngx_http_push_conn_abort(ws, reason);
        return;
    }

    rc = ngx_http_push_queue_add(ws, m, 1);

    ngx_http_push_msg_put(m);

    if (rc != NGX_OK) {
        ngx_http_push_conn_abort(ws, reason);
        return;
    }

    ws->seen_ms = ngx_http_push_now();
    ngx_http_push_conn_wake_at(ws, ws->seen_ms
                                   + NGX_HTTP_PUSH_CONN_CLOSING_MS);
    ngx_http_push_conn_mark(ws);
}


void
ngx_http_push_conn_abort(ngx_http_push_conn_t *ws, enum push_close reason)
{
    if (ws->dead) {
        return;
    }

    if (!ws->closing) {
        ngx_http_push_conn_leaving(ws, reason, push_close_code(reason));
    }

    ngx_http_push_queue_leave(ws, 0);

    ws->dead = 1;

    ngx_http_push_wheel_remove(ws);
    ngx_http_push_conn_mark(ws);
}


/* Both Closes have been said: FIN, and what the peer still sends is read. */

void
ngx_http_push_conn_finish(ngx_http_push_conn_t *ws)
{
    if (!ws->close_sent || ws->fin_sent || ws->dead
        || !(ws->peer_closed || ws->failed))
    {
        return;
    }

    if (ws->tls || ngx_shutdown_socket(ws->c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_http_push_conn_abort(ws, PUSH_CLOSE_LOST);
        return;
    }

    ws->fin_sent = 1;
    ws->seen_ms = ngx_http_push_now();
}


static void
ngx_http_push_conn_leaving(ngx_http_push_conn_t *ws, enum push_close reason,
    ngx_uint_t code)
{
    ngx_http_push_counters_t  *counters;

    counters = ngx_http_push_worker->counters;

    ws->closing = 1;
    ws->close_reason = (uint8_t) reason;
    ws->close_code = (uint16_t) code;

    switch (reason) {

#define X(name, number, text, counter)                                        \
    case PUSH_CLOSE_##name:                                                   \
        counters->counter++;                                                  \
        break;

    PUSH_CLOSE_REASONS(X)
#undef X

    default:
        break;
    }

    ngx_http_push_limit_put(ws);
    ngx_http_push_delivery_close(ws);
}


/* The end of a turn: what is queued is written, who is dead is freed. */

void
ngx_http_push_conn_turn(ngx_event_t *ev)
{
    uint32_t                 n;
    ngx_http_push_conn_t    *ws;
    ngx_http_push_worker_t  *w;

    w = ev->data;

    /* who is marked meanwhile, or dies, has the next turn */

    n = w->turn_first;
    w->turn_first = 0;

    while (n) {
        ws = ngx_http_push_cell(n);
        n = ws->next_turn;

        ws->in_turn = 0;

        if (ws->dead) {
            ngx_http_push_conn_free(ws);
            continue;
        }

        ngx_http_push_conn_log_enter(ws);
        ngx_http_push_conn_flush(ws);
        ngx_http_push_conn_log_leave(ws);
    }

    ngx_http_push_latency_flushed();

    w->counters->queue_bytes = w->queue_bytes;
}


static void
ngx_http_push_conn_free(ngx_http_push_conn_t *ws)
{
    struct linger            linger;
    ngx_connection_t        *c;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;
    c = ws->c;

    ngx_http_push_conn_log_line(ws);

    if (ws->queue) {
        c->error = 1;           /* no TLS alert into a record half written */
    }

    if (c->error && ws->close_reason == PUSH_CLOSE_SLOW) {
        /* or the kernel would keep for minutes what it does not read */
        ngx_memzero(&linger, sizeof(struct linger));
        linger.l_onoff = 1;

        (void) setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &linger,
                          sizeof(struct linger));
    }

    ngx_http_push_table_remove(ws);
    ngx_http_push_queue_clear(ws);
    ngx_http_push_input_free(ws);
    ngx_http_push_device_free(ws);

    w->connections--;
    w->counters->connections = w->connections;

    c->data = NULL;

    if (ws->slim) {
#if (NGX_STAT_STUB)
        (void) ngx_atomic_fetch_add(ngx_stat_active, -1);
#endif
        c->destroyed = 1;
        ngx_close_connection(c);

    } else {
        ngx_http_close_connection(c);   /* with TLS perhaps a bit later */
    }

    ngx_http_push_conn_release(ws);
}
