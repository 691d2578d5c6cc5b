/*
 * ngx_http_push_item: items of a deliver body, in the worker that owns the
 * connections
 *
 *     deliver, inbox --item--> table by verb --> delivery, ring, conn --> answer
 *
 * in:  an item of push_lines; the epoch of its body was told to delivery
 * out: its answer for this worker's connections
 */

#include "ngx_http_push_item.h"
#include "ngx_http_push_binding.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_msg.h"
#include "ngx_http_push_ring.h"
#include "ngx_http_push_table.h"


typedef struct push_lines_answer  ngx_http_push_answer_t;

typedef ngx_http_push_answer_t (*ngx_http_push_item_pt)(
    const struct push_lines_item *item);

/* of an item with a conn id: ws is ready and not closing */
typedef ngx_http_push_answer_t (*ngx_http_push_item_conn_pt)(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);


static ngx_http_push_answer_t ngx_http_push_item_user(
    const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_kick(
    const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_resync(
    const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_check(
    const struct push_lines_item *item);

static ngx_http_push_answer_t ngx_http_push_item_begin(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_message(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_void(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_tip(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_reset(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_close(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_extend(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
static ngx_http_push_answer_t ngx_http_push_item_sent(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);

static ngx_int_t ngx_http_push_item_log(ngx_http_push_conn_t *ws,
    struct push_str log);
static void ngx_http_push_item_resync_one(ngx_http_push_conn_t *ws,
    void *data);


/* What a verb does: for whoever it names, or for one connection. */
static const struct {
    ngx_http_push_item_pt       any;
    ngx_http_push_item_conn_pt  conn;
} ngx_http_push_item_verbs[PUSH_LINES_VERB_COUNT] = {
    [PUSH_LINES_USER]   = { ngx_http_push_item_user, NULL },
    [PUSH_LINES_ALL]    = { ngx_http_push_ring_item, NULL },
    [PUSH_LINES_BEGIN]  = { ngx_http_push_ring_item, ngx_http_push_item_begin },
    [PUSH_LINES_CONN]   = { ngx_http_push_ring_item,
                            ngx_http_push_item_message },
    [PUSH_LINES_VOID]   = { ngx_http_push_ring_item, ngx_http_push_item_void },
    [PUSH_LINES_TIP]    = { ngx_http_push_ring_item, ngx_http_push_item_tip },
    [PUSH_LINES_RESET]  = { NULL, ngx_http_push_item_reset },
    [PUSH_LINES_CLOSE]  = { NULL, ngx_http_push_item_close },
    [PUSH_LINES_KICK]   = { ngx_http_push_item_kick, NULL },
    [PUSH_LINES_EXTEND] = { NULL, ngx_http_push_item_extend },
    [PUSH_LINES_SENT]   = { NULL, ngx_http_push_item_sent },
    [PUSH_LINES_RESYNC] = { ngx_http_push_item_resync, NULL },
    [PUSH_LINES_CHECK]  = { ngx_http_push_item_check, NULL },
    [PUSH_LINES_PACE]   = { ngx_http_push_ring_item, NULL }
};

#define ngx_http_push_item_none  ((ngx_http_push_answer_t)                    \
                                  { PUSH_LINES_NONE, 0 })
#define ngx_http_push_item_ok    ((ngx_http_push_answer_t)                    \
                                  { PUSH_LINES_OK, 1 })


struct push_lines_answer
ngx_http_push_item(const struct push_lines_item *item)
{
    ngx_http_push_conn_t        *ws;
    ngx_http_push_worker_t      *w;
    ngx_http_push_item_pt        any;
    ngx_http_push_item_conn_pt   handler;

    w = ngx_http_push_worker;

    any = ngx_http_push_item_verbs[item->verb].any;
    handler = ngx_http_push_item_verbs[item->verb].conn;

    if (handler == NULL) {
        return any ? any(item) : ngx_http_push_item_none;
    }

    if (item->id.instance != w->instance) {
        return ngx_http_push_item_none;
    }

    if (push_conn_index(item->id.conn) == 0) {
        /* an answer to the worker itself, about a shared log */

        if (any == NULL
            || item->id.conn != push_conn_make(w->slot_number, w->generation,
                                               0))
        {
            return ngx_http_push_item_none;
        }

        return any(item);
    }

    ws = ngx_http_push_table_conn(item->id.conn);

    if (ws == NULL || !ws->ready || ws->closing) {
        return ngx_http_push_item_none;
    }

    return handler(ws, item);
}


/* --- by user ------------------------------------------------------------- */

static ngx_http_push_answer_t
ngx_http_push_item_user(const struct push_lines_item *item)
{
    ngx_queue_t                       *q, *next;
    ngx_http_push_user_t              *user;
    ngx_http_push_conn_t              *ws;
    ngx_http_push_answer_t             answer, one;
    ngx_http_push_delivery_message_t   m;

    answer = ngx_http_push_item_none;

    user = ngx_http_push_table_user(item->name.data, item->name.len);
    if (user == NULL) {
        return answer;
    }

    m.payload = item->payload;
    m.off = item->off;
    m.seq = item->seq;
    m.expires = item->expires;
    m.msg = NULL;
    m.raw = NULL;

    /* a connection that fails leaves the queue, its user may go with it: the
       next one is known before, and the end is the user's own head */

    for (q = ngx_queue_head(&user->conns);
         q != ngx_queue_sentinel(&user->conns);
         q = next)
    {
        ws = ngx_queue_data(q, ngx_http_push_conn_t, user_link);
        next = ngx_queue_next(q);

        one = ngx_http_push_delivery_give(ws, NGX_HTTP_PUSH_OWN, &m, 0);

        if (one.reply == PUSH_LINES_GAP || one.reply == PUSH_LINES_SLOW) {
            ngx_http_push_delivery_ask(ws);
        }

        push_lines_answer_add(&answer, one);
    }

    ngx_http_push_delivery_message_done(&m);

    return answer;
}


static ngx_http_push_answer_t
ngx_http_push_item_kick(const struct push_lines_item *item)
{
    ngx_queue_t             *q, *next;
    ngx_uint_t               any;
    ngx_http_push_user_t    *user;
    ngx_http_push_conn_t    *ws;
    ngx_http_push_answer_t   answer;

    answer = ngx_http_push_item_none;
    any = push_str_eq(item->device, PUSH_STR("*"));

    user = ngx_http_push_table_user(item->name.data, item->name.len);
    if (user == NULL) {
        return answer;
    }

    for (q = ngx_queue_head(&user->conns);
         q != ngx_queue_sentinel(&user->conns);
         q = next)
    {
        ws = ngx_queue_data(q, ngx_http_push_conn_t, user_link);
        next = ngx_queue_next(q);

        if (ws->closing) {
            continue;
        }

        if (!any) {
            if (ws->device_len == 0) {
                if (!push_str_eq(item->device, PUSH_STR("-"))) {
                    continue;
                }

            } else if (item->device.len != ws->device_len
                       || ngx_memcmp(item->device.data, ws->device,
                                     ws->device_len)
                          != 0)
            {
                continue;
            }
        }

        ngx_http_push_conn_close(ws, PUSH_CLOSE_KICKED, item->code,
                                 item->payload.data, item->payload.len);

        push_lines_answer_add(&answer, ngx_http_push_item_ok);
    }

    return answer;
}


static ngx_http_push_answer_t
ngx_http_push_item_check(const struct push_lines_item *item)
{
    ngx_queue_t             *q;
    ngx_http_push_user_t    *user;
    ngx_http_push_conn_t    *ws;
    ngx_http_push_answer_t   answer;

    answer = ngx_http_push_item_none;

    user = ngx_http_push_table_user(item->name.data, item->name.len);
    if (user == NULL) {
        return answer;
    }

    /* whoever has no fresh heartbeat was closed by the wheel already */

    for (q = ngx_queue_head(&user->conns);
         q != ngx_queue_sentinel(&user->conns);
         q = ngx_queue_next(q))
    {
        ws = ngx_queue_data(q, ngx_http_push_conn_t, user_link);

        if (ws->ready && !ws->closing) {
            ngx_http_push_binding_renew(ws);
            push_lines_answer_add(&answer, ngx_http_push_item_ok);
        }
    }

    return answer;
}


typedef struct {
    uint32_t                spread_ms;
    ngx_http_push_answer_t  answer;
} ngx_http_push_item_resync_t;


static ngx_http_push_answer_t
ngx_http_push_item_resync(const struct push_lines_item *item)
{
    ngx_uint_t                    cursor;
    ngx_queue_t                  *q;
    struct push_str               name;
    enum push_log_kind            kind;
    ngx_http_push_user_t         *user;
    ngx_http_push_worker_t       *w;
    ngx_http_push_item_resync_t   r;

    w = ngx_http_push_worker;

    r.answer = ngx_http_push_item_none;

    if (push_str_eq(item->log, PUSH_STR("*"))) {
        ngx_http_push_ring_resync(w);

        /* WIRES section 2: over max(10 s, connections / 200 per s) */
        r.spread_ms = ngx_max(10000, w->connections * 5);
        cursor = 0;

        while (ngx_http_push_table_walk(&cursor, (ngx_uint_t) -1,
                                        ngx_http_push_item_resync_one, &r)
               == NGX_AGAIN)
        {
            /* void */
        }

        return r.answer;
    }

    name = item->name;

    if (name.len == 0) {
        if (push_log_parse(item->log, &kind, &name) != PUSH_OK) {
            return r.answer;
        }

        if (kind == PUSH_LOG_ALL) {
            ngx_http_push_ring_resync(w);
            r.answer.reply = w->connections ? PUSH_LINES_OK : PUSH_LINES_NONE;
            r.answer.count = w->connections;
            return r.answer;
        }

        if (kind == PUSH_LOG_GROUP) {
            return r.answer;
        }
    }

    user = ngx_http_push_table_user(name.data, name.len);
    if (user == NULL) {
        return r.answer;
    }

    r.spread_ms = 0;

    for (q = ngx_queue_head(&user->conns);
         q != ngx_queue_sentinel(&user->conns);
         q = ngx_queue_next(q))
    {
        ngx_http_push_item_resync_one(
            ngx_queue_data(q, ngx_http_push_conn_t, user_link), &r);
    }

    return r.answer;
}


static void
ngx_http_push_item_resync_one(ngx_http_push_conn_t *ws, void *data)
{
    ngx_http_push_item_resync_t *r = data;

    uint32_t  at;

    if (!ws->ready || ws->closing) {
        return;
    }

    at = ngx_http_push_now();

    if (r->spread_ms) {
        at += ngx_random() % r->spread_ms;
    }

    ngx_http_push_delivery_resync(ws, at);

    push_lines_answer_add(&r->answer, ngx_http_push_item_ok);
}


/* --- by connection: answers to its requests ------------------------------ */

static ngx_http_push_answer_t
ngx_http_push_item_begin(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_int_t  log;

    log = ngx_http_push_item_log(ws, item->log);

    if (log == NGX_ERROR
        || push_delivery_begin(&ws->logs[log], item->rid, item->seq)
           == PUSH_DELIVERY_SKIP)
    {
        return ngx_http_push_item_none;
    }

    /* the collector has compared it; from here on the edge's own counts */
    if (ws->epoch) {
        ngx_free(ws->epoch);
        ws->epoch = NULL;
    }

    return ngx_http_push_item_ok;
}


static ngx_http_push_answer_t
ngx_http_push_item_message(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_int_t                         log;
    ngx_http_push_answer_t            answer;
    ngx_http_push_delivery_message_t  m;

    log = ngx_http_push_item_log(ws, item->log);
    if (log == NGX_ERROR || item->seq == 0) {
        return ngx_http_push_item_none;
    }

    m.payload = item->payload;
    m.off = item->off;
    m.seq = item->seq;
    m.expires = item->expires;
    m.msg = NULL;
    m.raw = NULL;

    answer = ngx_http_push_delivery_give(ws, log, &m, 1);

    if (answer.reply == PUSH_LINES_GAP || answer.reply == PUSH_LINES_SLOW) {
        ngx_http_push_delivery_ask(ws);
    }

    ngx_http_push_delivery_message_done(&m);

    return answer;
}


static ngx_http_push_answer_t
ngx_http_push_item_void(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    int64_t    from;
    ngx_int_t  log;

    log = ngx_http_push_item_log(ws, item->log);
    if (log == NGX_ERROR) {
        return ngx_http_push_item_none;
    }

    from = item->seq;

    switch (push_delivery_void(&ws->logs[log], &from, item->to,
                               ngx_http_push_now()))
    {
    case PUSH_DELIVERY_WRITE:
        if (ngx_http_push_conn_sendf(ws,
                "{\"type\":\"void\",\"log\":\"%s\",\"from\":%L,\"to\":%L,"
                "\"why\":\"%*s\"}",
                ngx_http_push_delivery_log(log), from, item->to,
                item->why.len, item->why.data)
            == NGX_ERROR)
        {
            ngx_http_push_conn_close(ws, PUSH_CLOSE_INTERNAL, 0, NULL, 0);
        }

        return ngx_http_push_item_ok;

    case PUSH_DELIVERY_HAD:
        return ngx_http_push_item_ok;

    case PUSH_DELIVERY_GAP:
        return (ngx_http_push_answer_t) { PUSH_LINES_GAP, 0 };

    default:
        return ngx_http_push_item_none;
    }
}


static ngx_http_push_answer_t
ngx_http_push_item_tip(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_int_t                   log;
    enum push_delivery_verdict  verdict;

    log = ngx_http_push_item_log(ws, item->log);
    if (log == NGX_ERROR) {
        return ngx_http_push_item_none;
    }

    verdict = push_delivery_tip(&ws->logs[log], item->rid, item->seq,
                                ngx_http_push_now());

    if (verdict == PUSH_DELIVERY_SKIP) {
        return ngx_http_push_item_none;
    }

    if (verdict == PUSH_DELIVERY_WRITE) {
        ngx_http_push_delivery_synced(ws, log);
    }

    ngx_http_push_delivery_ask(ws);

    return ngx_http_push_item_ok;
}


static ngx_http_push_answer_t
ngx_http_push_item_reset(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_uint_t            i;
    ngx_http_push_msg_t  *msg;

    if (ws->raw) {
        return ngx_http_push_item_none;
    }

    /* WIRES section 2: only before a log's first message */

    for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        if (!(ws->logs[i].flags & PUSH_DELIVERY_FIRST)) {
            return ngx_http_push_item_none;
        }
    }

    msg = ngx_http_push_msg_text((u_char *) item->payload.data,
                                 item->payload.len);

    if (msg == NULL || ngx_http_push_conn_send(ws, msg, 1) == NGX_ERROR) {
        ngx_http_push_conn_close(ws, PUSH_CLOSE_INTERNAL, 0, NULL, 0);

    } else {
        for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
            push_delivery_reset(&ws->logs[i]);
        }
    }

    if (msg) {
        ngx_http_push_msg_put(msg);
    }

    return ngx_http_push_item_ok;
}


/* --- by connection: what auth, collector and dispatcher want of it ------- */

static ngx_http_push_answer_t
ngx_http_push_item_close(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_uint_t  reason;

    for (reason = 0; reason < PUSH_CLOSE_COUNT; reason++) {
        if (push_close_code(reason) == item->code) {
            break;
        }
    }

    if (reason == PUSH_CLOSE_COUNT) {
        reason = PUSH_CLOSE_KICKED;
    }

    ngx_http_push_conn_close(ws, reason, item->code, item->payload.data,
                             item->payload.len);

    return ngx_http_push_item_ok;
}


static ngx_http_push_answer_t
ngx_http_push_item_extend(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    size_t  len;
    char    error[512];

    if (ws->raw) {
        return ngx_http_push_item_none;
    }

    if (item->expires) {
        ws->expires = (uint32_t) ngx_min(item->expires, UINT32_MAX);

        (void) ngx_http_push_conn_sendf(ws,
            "{\"type\":\"token\",\"expires\":%uL}", item->expires);

        return ngx_http_push_item_ok;
    }

    len = push_json_quote(error, sizeof(error), item->payload);
    if (len > sizeof(error)) {
        len = push_json_quote(error, sizeof(error), PUSH_STR("refused"));
    }

    (void) ngx_http_push_conn_sendf(ws, "{\"type\":\"token\",\"error\":%*s}",
                                    len, error);

    return ngx_http_push_item_ok;
}


static ngx_http_push_answer_t
ngx_http_push_item_sent(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    if (ws->raw || !push_key_valid(item->payload)) {
        return ngx_http_push_item_none;
    }

    (void) ngx_http_push_conn_sendf(ws, "{\"type\":\"sent\",\"id\":\"%*s\"}",
                                    item->payload.len, item->payload.data);

    return ngx_http_push_item_ok;
}


/*
 * The place of the log's state.  A late answer must never reach another user:
 * the uid is compared, not only the connection (WIRES section 1).
 */

static ngx_int_t
ngx_http_push_item_log(ngx_http_push_conn_t *ws, struct push_str log)
{
    struct push_str     name;
    enum push_log_kind  kind;

    if (ws->raw || push_log_parse(log, &kind, &name) != PUSH_OK) {
        return NGX_ERROR;
    }

    if (kind == PUSH_LOG_ALL) {
        return NGX_HTTP_PUSH_ALL;
    }

    if (kind == PUSH_LOG_USER
        && name.len == ws->user->len
        && ngx_memcmp(name.data, ws->user->name, name.len) == 0)
    {
        return NGX_HTTP_PUSH_OWN;
    }

    return NGX_ERROR;
}
