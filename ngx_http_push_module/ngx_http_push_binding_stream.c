/*
 * ngx_http_push_binding_stream: what the collector reads (docs/rules.md 4)
 *
 *     ask ---paced--> push:ev:resync     one request for all logs that are due
 *     ack --packed--> push:ev:ack        up to 500, or 50 ms
 *     open, close --> push:ev:conn
 *
 * in:   connections; out: XADD, never awaited
 * owns: the pace of requests, the pack of acks and its timer
 */

#include "ngx_http_push_binding_state.h"
#include "fault_point.h"
#include "ngx_http_push_device.h"
#include "ngx_http_push_queue.h"


#define NGX_HTTP_PUSH_ASK_PACE_MS   5           /* 200 requests a second */
#define NGX_HTTP_PUSH_ASK_BURST_MS  100         /* 20 at once after silence */
#define NGX_HTTP_PUSH_ASK_LATER_MS  1000        /* Redis is down or full */
#define NGX_HTTP_PUSH_ACK_LINES     500
#define NGX_HTTP_PUSH_ACK_MS        50
#define NGX_HTTP_PUSH_ACK_RETRY_MS  1000
#define NGX_HTTP_PUSH_ACK_LINE      (2 * PUSH_NAME_MAX + PUSH_LOG_MAX + 20 + 4)


/* One request: of a connection, or of the worker itself. */
typedef struct {
    uint64_t                    id;
    struct push_str             uid;
    struct push_str             device;
    struct push_str             epoch;
    ngx_uint_t                  first;
    size_t                      bytes;          /* free in its queue */
    uint32_t                    rid;
    uint32_t                    due_ms;         /* from now: then it repeats */
    u_char                     *logs_last;
    u_char                      logs[NGX_HTTP_PUSH_LOGS
                                     * (PUSH_LOG_MAX + 20 + 12)];
} ngx_http_push_binding_request_t;


static void ngx_http_push_binding_log(ngx_http_push_binding_request_t *rq,
    struct push_delivery *d, const char *prefix, struct push_str name);
static ngx_int_t ngx_http_push_binding_request(ngx_http_push_binding_t *b,
    ngx_http_push_binding_request_t *rq);
static ngx_int_t ngx_http_push_binding_pace(ngx_http_push_binding_t *b,
    uint32_t *again_ms);
static struct push_str ngx_http_push_binding_epoch(ngx_http_push_worker_t *w);
static void ngx_http_push_binding_xadd(ngx_http_push_binding_command_t *cmd,
    const char *stream, const char *maxlen);
static void ngx_http_push_binding_ack_handler(ngx_event_t *ev);


ngx_int_t
ngx_http_push_binding_stream_init(ngx_http_push_binding_t *b)
{
    b->pack = ngx_alloc(NGX_HTTP_PUSH_BINDING_PACK, ngx_cycle->log);
    if (b->pack == NULL) {
        return NGX_ERROR;
    }

    b->ack.handler = ngx_http_push_binding_ack_handler;
    b->ack.data = b;
    b->ack.log = ngx_cycle->log;
    b->ack.cancelable = 1;

    return NGX_OK;
}


void
ngx_http_push_binding_stream_destroy(ngx_http_push_binding_t *b)
{
    if (b->ack.timer_set) {
        ngx_del_timer(&b->ack);
    }

    ngx_free(b->pack);
    b->pack = NULL;
}


/* --- requests ------------------------------------------------------------ */

ngx_int_t
ngx_http_push_binding_ask(ngx_http_push_conn_t *ws, uint32_t *again_ms)
{
    size_t                            queued;
    uint32_t                          now;
    ngx_uint_t                        i, due, first;
    struct push_str                   name[NGX_HTTP_PUSH_LOGS];
    struct push_delivery              logs[NGX_HTTP_PUSH_LOGS];
    ngx_http_push_binding_t          *b;
    ngx_http_push_binding_request_t   rq;

    static const char  *prefix[NGX_HTTP_PUSH_LOGS] = { "user:", "all" };

    b = ngx_http_push_worker->binding;
    now = ngx_http_push_now();

    *again_ms = now + NGX_HTTP_PUSH_ASK_LATER_MS
                + ngx_random() % NGX_HTTP_PUSH_ASK_LATER_MS;

    /* whoever reads a request must find the binding */
    if (b->redis == NULL || !ngx_http_push_redis_ready(b->redis)
        || ws->bind_dirty)
    {
        return NGX_DECLINED;
    }

    if (ws->asked_once && ngx_http_push_binding_pace(b, again_ms) != NGX_OK) {
        return NGX_DECLINED;
    }

    rq.id = ws->id;
    rq.uid.data = (char *) ws->user->name;
    rq.uid.len = ws->user->len;
    rq.first = 1;
    rq.rid = b->rid + 1 ? b->rid + 1 : 1;
    rq.due_ms = PUSH_DELIVERY_REPEAT_MAX_MS * 2;
    rq.logs_last = rq.logs;

    rq.device = ngx_http_push_device(ws);
    queued = ngx_http_push_queue_bytes(ws);
    rq.bytes = ws->conf->queue_bytes > queued ? ws->conf->queue_bytes - queued
                                              : 0;

    name[NGX_HTTP_PUSH_OWN] = rq.uid;
    name[NGX_HTTP_PUSH_ALL] = PUSH_STR("");

    /* asked() tells when it repeats: on a copy, until the request is written */

    ngx_memcpy(logs, ws->logs, sizeof(logs));

    /*
     * A reset is for all logs, and names those of its request: the ones that
     * have had no answer stay together when it is repeated, and alone, with
     * the epoch of the hello.  If the reset has passed and what came behind it
     * was lost, they go on from the floor that way.
     */

    for (first = 0, i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        first |= push_delivery_ask_due(&logs[i], now)
                 && (logs[i].flags & PUSH_DELIVERY_FIRST);
    }

    rq.epoch = first ? ngx_http_push_device_epoch(ws) : PUSH_STR("");

    if (rq.epoch.len == 0) {
        rq.epoch = ngx_http_push_binding_epoch(b->w);
    }

    for (due = 0, i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {

        if (first ? !(logs[i].flags & PUSH_DELIVERY_FIRST)
                  : !push_delivery_ask_due(&logs[i], now))
        {
            continue;
        }

        /* a first request's `after` counts as an ack: nothing may be on the
           wire above it */
        if (!(logs[i].flags & PUSH_DELIVERY_FIRST)
            || push_delivery_sent(&logs[i]) != push_delivery_acked(&logs[i]))
        {
            rq.first = 0;
        }

        ngx_http_push_binding_log(&rq, &logs[i], prefix[i], name[i]);
        due++;
    }

    if (due == 0) {
        return NGX_OK;
    }

    if (ngx_http_push_binding_request(b, &rq) != NGX_OK) {
        return NGX_DECLINED;
    }

    ngx_memcpy(ws->logs, logs, sizeof(logs));

    if (ws->asked_once) {
        b->ask_free += NGX_HTTP_PUSH_ASK_PACE_MS;
    }

    ws->asked_once = 1;

    return NGX_OK;
}


ngx_int_t
ngx_http_push_binding_ask_all(struct push_delivery *d, size_t bytes,
    uint32_t *again_ms)
{
    struct push_delivery              log;
    ngx_http_push_worker_t           *w;
    ngx_http_push_binding_t          *b;
    ngx_http_push_binding_request_t   rq;

    w = ngx_http_push_worker;
    b = w->binding;

    *again_ms = ngx_http_push_now() + NGX_HTTP_PUSH_ASK_LATER_MS;

    if (b->redis == NULL || !ngx_http_push_redis_ready(b->redis)) {
        return NGX_DECLINED;
    }

    rq.id = push_conn_make(w->slot_number, w->generation, 0);
    rq.uid = PUSH_STR("-");
    rq.device = PUSH_STR("-");
    rq.epoch = ngx_http_push_binding_epoch(w);
    rq.first = 0;
    rq.bytes = bytes;
    rq.rid = b->rid + 1 ? b->rid + 1 : 1;
    rq.due_ms = PUSH_DELIVERY_REPEAT_MAX_MS * 2;
    rq.logs_last = rq.logs;

    log = *d;
    ngx_http_push_binding_log(&rq, &log, "all", PUSH_STR(""));

    if (ngx_http_push_binding_request(b, &rq) != NGX_OK) {
        return NGX_DECLINED;
    }

    *d = log;

    return NGX_OK;
}


/* One line, "<full log> <after|-> <n>", and asked() with the request's rid. */

static void
ngx_http_push_binding_log(ngx_http_push_binding_request_t *rq,
    struct push_delivery *d, const char *prefix, struct push_str name)
{
    u_char    *p, *last;
    uint32_t   now, at;

    p = rq->logs_last;
    last = rq->logs + sizeof(rq->logs);
    now = ngx_http_push_now();

    if (p != rq->logs) {
        *p++ = LF;
    }

    p = ngx_slprintf(p, last, "%s%*s ", prefix, name.len, name.data);

    if (push_delivery_sent(d) == PUSH_DELIVERY_UNKNOWN) {
        p = ngx_slprintf(p, last, "-");

    } else {
        p = ngx_slprintf(p, last, "%L", push_delivery_sent(d));
    }

    p = ngx_slprintf(p, last, " %ui", (ngx_uint_t) push_delivery_credit(d));

    rq->logs_last = p;

    push_delivery_asked(d, rq->rid, now,
                        (uint32_t) ngx_random() ^ (uint32_t) ngx_random() << 1);

    /* of the repeat, also while no credit holds it */
    (void) push_delivery_timer(d, &at);

    if (at - now < rq->due_ms) {
        rq->due_ms = at - now;
    }
}


static ngx_int_t
ngx_http_push_binding_request(ngx_http_push_binding_t *b,
    ngx_http_push_binding_request_t *rq)
{
    ngx_str_t                        *node;
    ngx_http_push_binding_command_t   cmd;

    node = &b->w->conf->node;

    ngx_http_push_binding_xadd(&cmd, "push:ev:resync", "500000");
    ngx_http_push_binding_word(&cmd, "node");
    ngx_http_push_binding_arg(&cmd, node->data, node->len);
    ngx_http_push_binding_word(&cmd, "inst");
    ngx_http_push_binding_arg(&cmd, b->instance, sizeof(b->instance));
    ngx_http_push_binding_word(&cmd, "conn");
    ngx_http_push_binding_argf(&cmd, "%016xL", rq->id);
    ngx_http_push_binding_word(&cmd, "uid");
    ngx_http_push_binding_arg(&cmd, rq->uid.data, rq->uid.len);
    ngx_http_push_binding_word(&cmd, "dev");
    ngx_http_push_binding_arg(&cmd, rq->device.data, rq->device.len);
    ngx_http_push_binding_word(&cmd, "epoch");
    ngx_http_push_binding_arg(&cmd, rq->epoch.data, rq->epoch.len);
    ngx_http_push_binding_word(&cmd, "rid");
    ngx_http_push_binding_argf(&cmd, "%ui", (ngx_uint_t) rq->rid);
    ngx_http_push_binding_word(&cmd, "first");
    ngx_http_push_binding_argf(&cmd, "%ui", rq->first);
    ngx_http_push_binding_word(&cmd, "bytes");
    ngx_http_push_binding_argf(&cmd, "%uz", rq->bytes);
    ngx_http_push_binding_word(&cmd, "due_ms");
    ngx_http_push_binding_argf(&cmd, "%uL",
                               ngx_http_push_redis_time_ms(b->redis)
                               + rq->due_ms);
    ngx_http_push_binding_word(&cmd, "groups");
    ngx_http_push_binding_word(&cmd, "");
    ngx_http_push_binding_word(&cmd, "logs");
    ngx_http_push_binding_arg(&cmd, rq->logs, rq->logs_last - rq->logs);

    if (ngx_http_push_binding_send(b, &cmd, NULL, 0) != NGX_OK) {
        return NGX_DECLINED;
    }

    PUSH_FAULT_POINT_DO("edge-asked",
        ngx_http_push_redis_flush(b->redis, NGX_HTTP_PUSH_BINDING_FLUSH_MS));

    b->rid = rq->rid;
    ngx_http_push_count(resyncs);

    return NGX_OK;
}


/*
 * One request each 5 ms.  Who is sent away is told a time of its own, so that
 * they do not all come back at once.
 */

static ngx_int_t
ngx_http_push_binding_pace(ngx_http_push_binding_t *b, uint32_t *again_ms)
{
    ngx_msec_t  now, at;

    now = ngx_current_msec;

    if ((ngx_msec_int_t) (now - b->ask_free) > NGX_HTTP_PUSH_ASK_BURST_MS) {
        b->ask_free = now - NGX_HTTP_PUSH_ASK_BURST_MS;
    }

    if ((ngx_msec_int_t) (now - b->ask_free) >= 0) {
        return NGX_OK;
    }

    at = b->ask_promised + NGX_HTTP_PUSH_ASK_PACE_MS;

    /* who comes back too early is promised again: not further for each time */

    if ((ngx_msec_int_t) (at - b->ask_free) < 0
        || (ngx_msec_int_t) (at - b->ask_free)
           > (ngx_msec_int_t) (b->w->connections * NGX_HTTP_PUSH_ASK_PACE_MS))
    {
        at = b->ask_free;
    }

    b->ask_promised = at;
    *again_ms = (uint32_t) at;

    return NGX_DECLINED;
}


static struct push_str
ngx_http_push_binding_epoch(ngx_http_push_worker_t *w)
{
    struct push_str  epoch;

    if (w->epoch_len == 0) {
        return PUSH_STR("-");
    }

    epoch.data = (char *) w->epoch;
    epoch.len = w->epoch_len;

    return epoch;
}


/* --- acks ---------------------------------------------------------------- */

void
ngx_http_push_binding_ack(ngx_http_push_conn_t *ws, struct push_str log,
    int64_t seq)
{
    u_char                   *p;
    struct push_str           epoch, device;
    ngx_http_push_binding_t  *b;

    b = ngx_http_push_worker->binding;

    if (b->redis == NULL) {
        return;
    }

    epoch = ngx_http_push_binding_epoch(b->w);

    if (b->pack_lines
        && (epoch.len != b->pack_epoch_len
            || ngx_memcmp(epoch.data, b->pack_epoch, epoch.len) != 0))
    {
        ngx_http_push_binding_stream_flush(b);
        b->pack_lines = 0;      /* of another epoch: worth nothing later */
        b->pack_len = 0;
    }

    if (b->pack_lines >= NGX_HTTP_PUSH_ACK_LINES
        || b->pack_len + NGX_HTTP_PUSH_ACK_LINE > NGX_HTTP_PUSH_BINDING_PACK)
    {
        ngx_http_push_binding_stream_flush(b);

        if (b->pack_lines) {
            return;
        }
    }

    device = ngx_http_push_device(ws);
    p = b->pack + b->pack_len;

    if (b->pack_lines++) {
        *p++ = LF;

    } else {
        b->pack_epoch_len = epoch.len;
        ngx_memcpy(b->pack_epoch, epoch.data, epoch.len);
    }

    p = ngx_sprintf(p, "%*s %*s %*s %L", (size_t) ws->user->len,
                    ws->user->name, device.len, device.data, log.len,
                    log.data, seq);

    b->pack_len = p - b->pack;

    if (!b->ack.timer_set) {
        ngx_add_timer(&b->ack, NGX_HTTP_PUSH_ACK_MS);
    }
}


void
ngx_http_push_binding_stream_flush(ngx_http_push_binding_t *b)
{
    ngx_str_t                        *node;
    ngx_http_push_binding_command_t   cmd;

    if (b->pack_lines == 0) {
        return;
    }

    node = &b->w->conf->node;

    ngx_http_push_binding_xadd(&cmd, "push:ev:ack", "1000000");
    ngx_http_push_binding_word(&cmd, "node");
    ngx_http_push_binding_arg(&cmd, node->data, node->len);
    ngx_http_push_binding_word(&cmd, "epoch");
    ngx_http_push_binding_arg(&cmd, b->pack_epoch, b->pack_epoch_len);
    ngx_http_push_binding_word(&cmd, "acks");
    ngx_http_push_binding_arg(&cmd, b->pack, b->pack_len);

    PUSH_FAULT_POINT("edge-acks");

    if (ngx_http_push_binding_send(b, &cmd, NULL, 0) == NGX_OK) {
        b->pack_lines = 0;
        b->pack_len = 0;
    }
}


static void
ngx_http_push_binding_ack_handler(ngx_event_t *ev)
{
    ngx_http_push_binding_t  *b;

    b = ev->data;

    ngx_http_push_binding_stream_flush(b);

    if (b->pack_lines) {
        ngx_add_timer(ev, NGX_HTTP_PUSH_ACK_RETRY_MS);
    }
}


/* --- connections --------------------------------------------------------- */

ngx_int_t
ngx_http_push_binding_event(ngx_http_push_binding_t *b, const char *event,
    ngx_http_push_binding_conn_t *conn, ngx_uint_t code)
{
    ngx_http_push_binding_command_t  cmd;

    ngx_http_push_binding_xadd(&cmd, "push:ev:conn", "1000000");
    ngx_http_push_binding_word(&cmd, "node");
    ngx_http_push_binding_arg(&cmd, conn->node.data, conn->node.len);
    ngx_http_push_binding_word(&cmd, "inst");
    ngx_http_push_binding_arg(&cmd, conn->instance.data, conn->instance.len);
    ngx_http_push_binding_word(&cmd, "conn");
    ngx_http_push_binding_arg(&cmd, conn->conn.data, conn->conn.len);
    ngx_http_push_binding_word(&cmd, "uid");
    ngx_http_push_binding_arg(&cmd, conn->uid.data, conn->uid.len);
    ngx_http_push_binding_word(&cmd, "dev");
    ngx_http_push_binding_arg(&cmd, conn->device.data, conn->device.len);
    ngx_http_push_binding_word(&cmd, "event");
    ngx_http_push_binding_arg(&cmd, event, ngx_strlen(event));
    ngx_http_push_binding_word(&cmd, "code");
    ngx_http_push_binding_argf(&cmd, "%ui", code);
    ngx_http_push_binding_word(&cmd, "since_ms");
    ngx_http_push_binding_argf(&cmd, "%uL", conn->since_ms);
    ngx_http_push_binding_word(&cmd, "at_ms");
    ngx_http_push_binding_argf(&cmd, "%uL",
                               ngx_http_push_redis_time_ms(b->redis));

    return ngx_http_push_binding_send(b, &cmd, NULL, 0);
}


static void
ngx_http_push_binding_xadd(ngx_http_push_binding_command_t *cmd,
    const char *stream, const char *maxlen)
{
    ngx_http_push_binding_begin(cmd, "XADD");
    ngx_http_push_binding_arg(cmd, stream, ngx_strlen(stream));
    ngx_http_push_binding_word(cmd, "MAXLEN");
    ngx_http_push_binding_word(cmd, "~");
    ngx_http_push_binding_arg(cmd, maxlen, ngx_strlen(maxlen));
    ngx_http_push_binding_word(cmd, "*");
    ngx_http_push_binding_word(cmd, "v");
    ngx_http_push_binding_word(cmd, "1");
}
