/*
 * ngx_http_push_answer: what collector and auth say to one connection
 *
 *     begin, conn, void, tip --> push_delivery --> frames, the next request
 *     reset, close, extend, sent --> a frame, a close code, an expiry
 *
 * in:  the connection that the item's id names, ready and not closing
 * out: what the item's line is answered
 */

#include "ngx_http_push_answer.h"
#include "fault_point.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_device.h"
#include "ngx_http_push_message.h"
#include "ngx_http_push_msg.h"


#define ngx_http_push_answer_none  ((struct push_lines_answer)                \
                                    { PUSH_LINES_NONE, 0 })
#define ngx_http_push_answer_ok    ((struct push_lines_answer)                \
                                    { PUSH_LINES_OK, 1 })


static ngx_int_t ngx_http_push_answer_log(ngx_http_push_conn_t *ws,
    struct push_str log);


/* --- answers to its requests --------------------------------------------- */

struct push_lines_answer
ngx_http_push_answer_begin(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_int_t  log;

    log = ngx_http_push_answer_log(ws, item->log);

    if (log == NGX_ERROR
        || push_delivery_begin(&ws->logs[log], item->rid, item->seq)
           == PUSH_DELIVERY_SKIP)
    {
        return ngx_http_push_answer_none;
    }

    /* compared for all of them: from here on the edge's own counts */

    for (log = 0; log < NGX_HTTP_PUSH_LOGS; log++) {
        if (ws->logs[log].flags & PUSH_DELIVERY_FIRST) {
            return ngx_http_push_answer_ok;
        }
    }

    ngx_http_push_device_forget_epoch(ws);

    return ngx_http_push_answer_ok;
}


struct push_lines_answer
ngx_http_push_answer_message(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_int_t                 log;
    ngx_http_push_message_t   m;
    struct push_lines_answer  answer;

    log = ngx_http_push_answer_log(ws, item->log);
    if (log == NGX_ERROR || item->seq == 0) {
        return ngx_http_push_answer_none;
    }

    ngx_http_push_message_init(&m, item);

    answer = ngx_http_push_message_give(ws, log, &m, 1);
    PUSH_FAULT_POINT("edge-answer");

    if (answer.reply == PUSH_LINES_GAP || answer.reply == PUSH_LINES_SLOW) {
        ngx_http_push_delivery_ask(ws);
    }

    ngx_http_push_message_done(&m);

    return answer;
}


struct push_lines_answer
ngx_http_push_answer_void(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    int64_t    from;
    ngx_int_t  log;

    log = ngx_http_push_answer_log(ws, item->log);
    if (log == NGX_ERROR) {
        return ngx_http_push_answer_none;
    }

    from = item->seq;

    /* what the void says is no ack: the client may never hear it */

    ngx_http_push_delivery_tell_ack(ws, log);

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

        return ngx_http_push_answer_ok;

    case PUSH_DELIVERY_HAD:
        return ngx_http_push_answer_ok;

    case PUSH_DELIVERY_GAP:
        return (struct push_lines_answer) { PUSH_LINES_GAP, 0 };

    default:
        return ngx_http_push_answer_none;
    }
}


struct push_lines_answer
ngx_http_push_answer_tip(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_int_t                   log;
    enum push_delivery_verdict  verdict;

    log = ngx_http_push_answer_log(ws, item->log);
    if (log == NGX_ERROR) {
        return ngx_http_push_answer_none;
    }

    verdict = push_delivery_tip(&ws->logs[log], item->rid, item->seq,
                                ngx_http_push_now());

    if (verdict == PUSH_DELIVERY_SKIP) {
        return ngx_http_push_answer_none;
    }

    if (verdict == PUSH_DELIVERY_WRITE) {
        ngx_http_push_delivery_synced(ws, log);
    }

    ngx_http_push_delivery_ask(ws);

    return ngx_http_push_answer_ok;
}


struct push_lines_answer
ngx_http_push_answer_reset(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    ngx_uint_t            i;
    ngx_http_push_msg_t  *msg;

    if (ws->raw || ws->past) {
        return ngx_http_push_answer_none;
    }

    /* docs/rules.md 2: only before a log's first message */

    for (i = 0; i < NGX_HTTP_PUSH_LOGS; i++) {
        if (!(ws->logs[i].flags & PUSH_DELIVERY_FIRST)) {
            return ngx_http_push_answer_none;
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

    return ngx_http_push_answer_ok;
}


/* --- what auth, collector and dispatcher want of it ---------------------- */

struct push_lines_answer
ngx_http_push_answer_close(ngx_http_push_conn_t *ws,
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

    return ngx_http_push_answer_ok;
}


struct push_lines_answer
ngx_http_push_answer_extend(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    size_t  len;
    char    error[512];

    if (ws->raw) {
        return ngx_http_push_answer_none;
    }

    if (item->expires) {
        ws->expires = (uint32_t) ngx_min(item->expires, UINT32_MAX);

        (void) ngx_http_push_conn_sendf(ws,
            "{\"type\":\"token\",\"expires\":%uL}", item->expires);

        return ngx_http_push_answer_ok;
    }

    len = push_json_quote(error, sizeof(error), item->payload);
    if (len > sizeof(error)) {
        len = push_json_quote(error, sizeof(error), PUSH_STR("refused"));
    }

    (void) ngx_http_push_conn_sendf(ws, "{\"type\":\"token\",\"error\":%*s}",
                                    len, error);

    return ngx_http_push_answer_ok;
}


struct push_lines_answer
ngx_http_push_answer_sent(ngx_http_push_conn_t *ws,
    const struct push_lines_item *item)
{
    if (ws->raw || !push_key_valid(item->payload)) {
        return ngx_http_push_answer_none;
    }

    (void) ngx_http_push_conn_sendf(ws, "{\"type\":\"sent\",\"id\":\"%*s\"}",
                                    item->payload.len, item->payload.data);

    return ngx_http_push_answer_ok;
}


/*
 * The place of the log's state.  A late answer must never reach another user:
 * the uid is compared, not only the connection (docs/rules.md 1).
 */

static ngx_int_t
ngx_http_push_answer_log(ngx_http_push_conn_t *ws, struct push_str log)
{
    struct push_str     name;
    enum push_log_kind  kind;

    if (ws->raw || ws->past || push_log_parse(log, &kind, &name) != PUSH_OK) {
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
