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
#include "ngx_http_push_answer.h"
#include "ngx_http_push_binding.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_device.h"
#include "ngx_http_push_fan_out.h"
#include "ngx_http_push_latency.h"
#include "ngx_http_push_message.h"
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

static void ngx_http_push_item_resync_one(ngx_http_push_conn_t *ws,
    void *data);


/* What a verb does: for whoever it names, or for one connection. */
static const struct {
    ngx_http_push_item_pt       any;
    ngx_http_push_item_conn_pt  conn;
} ngx_http_push_item_verbs[PUSH_LINES_VERB_COUNT] = {
    [PUSH_LINES_USER]   = { ngx_http_push_item_user, NULL },
    [PUSH_LINES_ALL]    = { ngx_http_push_ring_item, NULL },
    [PUSH_LINES_BEGIN]  = { ngx_http_push_ring_item, ngx_http_push_answer_begin },
    [PUSH_LINES_CONN]   = { ngx_http_push_ring_item,
                            ngx_http_push_answer_message },
    [PUSH_LINES_VOID]   = { ngx_http_push_ring_item, ngx_http_push_answer_void },
    [PUSH_LINES_TIP]    = { ngx_http_push_ring_item, ngx_http_push_answer_tip },
    [PUSH_LINES_RESET]  = { NULL, ngx_http_push_answer_reset },
    [PUSH_LINES_CLOSE]  = { NULL, ngx_http_push_answer_close },
    [PUSH_LINES_KICK]   = { ngx_http_push_item_kick, NULL },
    [PUSH_LINES_EXTEND] = { NULL, ngx_http_push_answer_extend },
    [PUSH_LINES_SENT]   = { NULL, ngx_http_push_answer_sent },
    [PUSH_LINES_RESYNC] = { ngx_http_push_item_resync, NULL },
    [PUSH_LINES_CHECK]  = { ngx_http_push_item_check, NULL },
    [PUSH_LINES_PACE]   = { ngx_http_push_fan_out_pace, NULL }
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
    ngx_uint_t                written;
    ngx_http_push_user_t     *user;
    ngx_http_push_conn_t     *ws;
    ngx_http_push_answer_t    answer, one;
    ngx_atomic_uint_t         before;
    ngx_http_push_message_t   m;

    answer = ngx_http_push_item_none;

    user = ngx_http_push_table_user(item->name.data, item->name.len);
    if (user == NULL) {
        return answer;
    }

    ngx_http_push_message_init(&m, item);
    written = 0;

    /* who is closed here stays in the table until the turn ends */

    for (ws = ngx_http_push_table_next(user, NULL);
         ws;
         ws = ngx_http_push_table_next(user, ws))
    {
        before = ngx_http_push_worker->counters->messages_out;

        one = ngx_http_push_message_give(ws, NGX_HTTP_PUSH_OWN, &m, 0);

        if (one.reply == PUSH_LINES_OK) {
            /* not what the connection had already */
            written += ngx_http_push_worker->counters->messages_out - before;
        }

        if (one.reply == PUSH_LINES_GAP || one.reply == PUSH_LINES_SLOW) {
            ngx_http_push_delivery_ask(ws);
        }

        push_lines_answer_add(&answer, one);
    }

    ngx_http_push_message_done(&m);
    ngx_http_push_latency_written(written);

    return answer;
}


static ngx_http_push_answer_t
ngx_http_push_item_kick(const struct push_lines_item *item)
{
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

    for (ws = ngx_http_push_table_next(user, NULL);
         ws;
         ws = ngx_http_push_table_next(user, ws))
    {
        if (ws->closing) {
            continue;
        }

        if (!any && !push_str_eq(item->device, ngx_http_push_device(ws))) {
            continue;
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
    ngx_http_push_user_t    *user;
    ngx_http_push_conn_t    *ws;
    ngx_http_push_answer_t   answer;

    answer = ngx_http_push_item_none;

    user = ngx_http_push_table_user(item->name.data, item->name.len);
    if (user == NULL) {
        return answer;
    }

    /* whoever has no fresh heartbeat was closed by the wheel already */

    for (ws = ngx_http_push_table_next(user, NULL);
         ws;
         ws = ngx_http_push_table_next(user, ws))
    {
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
    struct push_str               name;
    enum push_log_kind            kind;
    ngx_http_push_conn_t         *ws;
    ngx_http_push_user_t         *user;
    ngx_http_push_worker_t       *w;
    ngx_http_push_item_resync_t   r;

    w = ngx_http_push_worker;

    r.answer = ngx_http_push_item_none;

    if (push_str_eq(item->log, PUSH_STR("*"))) {
        ngx_http_push_ring_resync(w);

        /* docs/rules.md 2: over max(10 s, connections / 200 per s) */
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

    for (ws = ngx_http_push_table_next(user, NULL);
         ws;
         ws = ngx_http_push_table_next(user, ws))
    {
        ngx_http_push_item_resync_one(ws, &r);
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
