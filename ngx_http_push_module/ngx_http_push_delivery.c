/*
 * ngx_http_push_delivery: a connection and the delivery rule
 *
 *     hello, ack (client) ---+
 *     messages (item, ring) -+--> push_delivery --> write, ask, close
 *     wheel, room in queue --+
 *
 * in:  what client.c and item.c understood, in the owning worker
 * out: frames, requests through binding, an answer for each message
 */

#include "ngx_http_push_delivery.h"
#include "fault_point.h"
#include "ngx_http_push_binding.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_device.h"
#include "ngx_http_push_drain.h"
#include "ngx_http_push_ring.h"
#include "ngx_http_push_table.h"


/* A binding lives 90 s and is renewed every 30 s +- 10 % (docs/rules.md 1). */
#define NGX_HTTP_PUSH_RENEW_MS         27000
#define NGX_HTTP_PUSH_RENEW_JITTER_MS  6000

#define NGX_HTTP_PUSH_NO_ACK           "no ack progress"


static void ngx_http_push_delivery_start(ngx_http_push_conn_t *ws,
    ngx_http_push_hello_t *hello);
static uint32_t ngx_http_push_delivery_renew_in(void);
static ngx_msec_t ngx_http_push_delivery_check_in(ngx_http_push_conn_t *ws);
static void ngx_http_push_delivery_past(ngx_http_push_conn_t *ws, void *data);


/* --- life ---------------------------------------------------------------- */

void
ngx_http_push_delivery_open(ngx_http_push_conn_t *ws)
{
    ngx_uint_t             i;
    ngx_http_push_hello_t  hello;

    if (!ws->raw) {
        return;                         /* waits for its hello */
    }

    ngx_http_push_client_hello_init(&hello);

    for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        push_delivery_init(&ws->logs[i], PUSH_DELIVERY_UNKNOWN, hello.window,
                           ngx_http_push_now());
        ws->logs[i].flags = 0;          /* live only: it never asks */
    }

    ngx_http_push_ring_join(ws);
    ngx_http_push_delivery_start(ws, &hello);
}


void
ngx_http_push_delivery_begin(ngx_http_push_conn_t *ws)
{
    ngx_http_push_hello_t  hello;

    if (ws->ready || ws->closing) {
        return;
    }

    ngx_http_push_client_hello_init(&hello);
    ngx_http_push_delivery_hello(ws, &hello);
}


void
ngx_http_push_delivery_hello(ngx_http_push_conn_t *ws,
    ngx_http_push_hello_t *hello)
{
    u_char      conn[PUSH_CONN_TEXT_LEN];
    ngx_int_t   rc;
    ngx_str_t   node;
    ngx_uint_t  i;

    struct push_str      device;
    struct push_conn_id  id;

    if (ngx_http_push_device_set(ws, hello->device, hello->epoch) != NGX_OK) {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_INTERNAL, 0, NULL, 0);
        return;
    }

    for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        push_delivery_init(&ws->logs[i], hello->cursors[i], hello->window,
                           ngx_http_push_now());
    }

    id.instance = ngx_http_push_worker->instance;
    id.conn = ws->id;
    push_conn_id_write((char *) conn, id);

    node = ngx_http_push_worker->conf->node;
    device = ngx_http_push_device(ws);

    rc = ngx_http_push_conn_sendf(ws,
            "{\"type\":\"welcome\",\"user\":\"%*s\",\"device\":\"%*s\","
            "\"conn\":\"%*s\",\"node\":\"%V\",\"heartbeat\":%M,"
            "\"window\":%ui}",
            (size_t) ws->user->len, ws->user->name, device.len, device.data,
            (size_t) sizeof(conn), conn, &node,
            ws->conf->heartbeat_timeout / 2000, hello->window);

    if (rc != NGX_OK && rc != NGX_AGAIN) {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_INTERNAL, 0, NULL, 0);
        return;
    }

    ngx_http_push_delivery_start(ws, hello);
}


static void
ngx_http_push_delivery_start(ngx_http_push_conn_t *ws,
    ngx_http_push_hello_t *hello)
{
    uint32_t  now;

    now = ngx_http_push_now();

    ws->ready = 1;
    ws->bound_ms = now + ngx_http_push_delivery_renew_in();
    ws->ack_ms = now - (uint32_t) ws->conf->ack_interval;
    ws->check_ms = now + (uint32_t) ngx_http_push_delivery_check_in(ws);

    ngx_http_push_ring_follow(ngx_http_push_worker);

    /* in this order in one pipeline: whoever reads the request finds the
       binding */
    ngx_http_push_binding_add(ws);

    ngx_http_push_delivery_tick(ws, now);
}


void
ngx_http_push_delivery_close(ngx_http_push_conn_t *ws)
{
    if (!ws->ready) {
        return;
    }

    ngx_http_push_delivery_tell_ack(ws, NGX_HTTP_PUSH_OWN);
    ngx_http_push_delivery_tell_ack(ws, NGX_HTTP_PUSH_ALL);
    ngx_http_push_binding_remove(ws);
}


void
ngx_http_push_delivery_tell_ack(ngx_http_push_conn_t *ws, ngx_uint_t i)
{
    char             own[PUSH_LOG_MAX];
    struct push_str  log;

    if (i == NGX_HTTP_PUSH_ALL) {
        if (!ws->all_dirty) {
            return;
        }

        ws->all_dirty = 0;
        log = PUSH_STR("all");

    } else {
        if (!ws->ack_dirty) {
            return;
        }

        ws->ack_dirty = 0;
        ws->ack_ms = ngx_http_push_now();
        log.data = own;
        log.len = ngx_sprintf((u_char *) own, "user:%*s",
                              (size_t) ws->user->len, ws->user->name)
                  - (u_char *) own;
    }

    ngx_http_push_binding_ack(ws, log, push_delivery_acked(&ws->logs[i]));
}


/* --- what the wheel, acks and the queue bring ---------------------------- */

void
ngx_http_push_delivery_tick(ngx_http_push_conn_t *ws, uint32_t now)
{
    uint32_t    at;
    ngx_uint_t  i;

    if (!ws->ready || ws->closing) {
        return;
    }

    for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        if (!ws->raw && !ws->past
            && push_delivery_is_slow(&ws->logs[i], now))
        {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_SLOW, 0,
                                     NGX_HTTP_PUSH_NO_ACK,
                                     sizeof(NGX_HTTP_PUSH_NO_ACK) - 1);
            return;
        }
    }

    if (!ngx_http_push_before(now, ws->bound_ms)) {
        if (ws->bound || ws->bind_dirty) {
            ngx_http_push_binding_renew(ws);
        }

        ws->bound_ms = now + ngx_http_push_delivery_renew_in();

        /* or it would be ahead of us after 2^31 ms without an ack */

        if (!ws->ack_dirty
            && ngx_http_push_before(ws->ack_ms
                                    + (uint32_t) ws->conf->ack_interval, now))
        {
            ws->ack_ms = now - (uint32_t) ws->conf->ack_interval;
        }
    }

    at = ws->bound_ms;

    if (!ws->raw) {
        if (!ngx_http_push_before(now, ws->check_ms)) {
            push_delivery_resync(&ws->logs[NGX_HTTP_PUSH_OWN], now);
            ws->check_ms = now
                           + (uint32_t) ngx_http_push_delivery_check_in(ws);
        }

        if (ngx_http_push_before(ws->check_ms, at)) {
            at = ws->check_ms;
        }

        if (ws->ack_dirty) {
            if (!ngx_http_push_before(now, ws->ack_ms
                                           + (uint32_t) ws->conf->ack_interval))
            {
                ngx_http_push_delivery_tell_ack(ws, NGX_HTTP_PUSH_OWN);

            } else if (ngx_http_push_before(ws->ack_ms
                                            + (uint32_t) ws->conf->ack_interval,
                                            at))
            {
                at = ws->ack_ms + (uint32_t) ws->conf->ack_interval;
            }
        }
    }

    ngx_http_push_conn_wake_at(ws, at);
    ngx_http_push_delivery_ask(ws);
}


void
ngx_http_push_delivery_ask(ngx_http_push_conn_t *ws)
{
    uint32_t    now, at;
    ngx_int_t   rc;
    ngx_uint_t  i, n, due;

    if (!ws->ready || ws->closing || ws->raw || ws->past) {
        return;
    }

    now = ngx_http_push_now();

    /* what this worker holds needs no question */
    rc = ngx_http_push_ring_read(ws);
    if (rc == NGX_ERROR || ws->closing) {
        return;
    }

    /* those without an answer go first, and alone */

    for (n = 0; n < NGX_HTTP_PUSH_LOGS; n++) {

        for (due = 0, i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
            due |= push_delivery_ask_due(&ws->logs[i], now);
        }

        if (!due) {
            break;
        }

        if (ngx_http_push_binding_ask(ws, &at) != NGX_OK) {
            ngx_http_push_conn_wake_at(ws, at);
            break;
        }
    }

    for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        if (push_delivery_timer(&ws->logs[i], &at)
            && !push_delivery_ask_due(&ws->logs[i], now))
        {
            ngx_http_push_conn_wake_at(ws, at);
        }

        if (push_delivery_slow_at(&ws->logs[i], now, &at)) {
            ngx_http_push_conn_wake_at(ws, at);
        }
    }
}


void
ngx_http_push_delivery_ack(ngx_http_push_conn_t *ws, ngx_uint_t log,
    int64_t seq)
{
    uint32_t  now, at;

    if (ws->closing || ws->past) {
        return;
    }

    now = ngx_http_push_now();

    ngx_http_push_count(acks);

    switch (push_delivery_ack(&ws->logs[log], seq, now)) {

    case PUSH_DELIVERY_BAD:
        ngx_http_push_conn_close(ws, PUSH_CLOSE_BAD_FRAME, 0,
            (char *) "ack is above what was sent",
            sizeof("ack is above what was sent") - 1);
        return;

    case PUSH_DELIVERY_WRITE:
        PUSH_FAULT_POINT("edge-ack");
        break;

    default:
        return;
    }

    if (log == NGX_HTTP_PUSH_ALL) {
        ws->all_dirty = 1;

    } else {
        ws->ack_dirty = 1;
        at = ws->ack_ms + (uint32_t) ws->conf->ack_interval;
        ngx_http_push_conn_wake_at(ws,
                                   ngx_http_push_before(at, now) ? now : at);
    }

    ngx_http_push_delivery_ask(ws);
}


void
ngx_http_push_delivery_room(ngx_http_push_conn_t *ws)
{
    uint32_t    now;
    ngx_uint_t  i;

    if (ws->raw || !ws->ready || ws->closing) {
        return;
    }

    now = ngx_http_push_now();

    for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        push_delivery_room(&ws->logs[i], now);
    }

    ngx_http_push_delivery_ask(ws);
}


void
ngx_http_push_delivery_resync(ngx_http_push_conn_t *ws, uint32_t at_ms)
{
    if (ws->raw || !ws->ready || ws->closing) {
        return;
    }

    /* the periodic check, brought forward: gaps meanwhile do not wait for it */
    if (ngx_http_push_before(at_ms, ws->check_ms)) {
        ws->check_ms = at_ms;
        ngx_http_push_conn_wake_at(ws, at_ms);
    }
}


static uint32_t
ngx_http_push_delivery_renew_in(void)
{
    return NGX_HTTP_PUSH_RENEW_MS
           + (uint32_t) ngx_random() % NGX_HTTP_PUSH_RENEW_JITTER_MS;
}


/* push_resync_interval +- 20 %: the last net under a lost hint */

static ngx_msec_t
ngx_http_push_delivery_check_in(ngx_http_push_conn_t *ws)
{
    ngx_msec_t  interval;

    interval = ws->conf->resync_interval;

    return interval - interval / 5 + ngx_random() % (interval * 2 / 5 + 1);
}


/* --- frames of our own, the epoch --------------------------------------- */

void
ngx_http_push_delivery_synced(ngx_http_push_conn_t *ws, ngx_uint_t log)
{
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    if (ngx_http_push_conn_sendf(ws,
            "{\"type\":\"synced\",\"log\":\"%s\",\"seq\":%L,"
            "\"epoch\":\"%*s\"}",
            ngx_http_push_delivery_log(log),
            push_delivery_sent(&ws->logs[log]),
            w->epoch_len, w->epoch)
        == NGX_ERROR)
    {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_INTERNAL, 0, NULL, 0);
    }
}


const char *
ngx_http_push_delivery_log(ngx_uint_t log)
{
    return log == NGX_HTTP_PUSH_OWN ? "user" : "all";
}


void
ngx_http_push_delivery_epoch(struct push_str epoch)
{
    ngx_uint_t               cursor;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    if (epoch.len == w->epoch_len
        && ngx_memcmp(epoch.data, w->epoch, epoch.len) == 0)
    {
        return;
    }

    if (epoch.len == 0 || epoch.len > PUSH_EPOCH_MAX) {
        return;
    }

    if (w->epoch_len) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "push: the store's epoch changed from \"%*s\" to "
                      "\"%*s\", clients are sent to resume",
                      w->epoch_len, w->epoch, epoch.len, epoch.data);

        cursor = 0;
        (void) ngx_http_push_table_walk(&cursor, (ngx_uint_t) -1,
                                        ngx_http_push_delivery_past, NULL);

        ngx_http_push_ring_reset(w);
        ngx_http_push_drain_epoch(w);
    }

    ngx_memcpy(w->epoch, epoch.data, epoch.len);
    w->epoch_len = epoch.len;
}


/*
 * Until it is drained it must not hear a word of the new history, in which its
 * numbers may be another message's; nor may its acks be taken for one there.
 * A raw one has no history: what is live goes on, under any number.
 */

static void
ngx_http_push_delivery_past(ngx_http_push_conn_t *ws, void *data)
{
    ngx_uint_t  i;

    (void) data;

    if (ws->raw) {
        for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
            push_delivery_jump(&ws->logs[i], PUSH_DELIVERY_UNKNOWN);
        }

        return;
    }

    ws->past = 1;
    ws->ack_dirty = 0;
    ws->all_dirty = 0;
}
