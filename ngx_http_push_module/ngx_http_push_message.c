/*
 * ngx_http_push_message: one message for one connection
 *
 *     item, ring, fan_out --give--> the rule --> frame --> the queue
 *
 * in:   a message of a body or of the ring, a connection
 * out:  its frame, or that it is forgotten; an answer for the item
 * owns: the frames that were made for it, until done()
 */

#include "ngx_http_push_message.h"
#include "fault_point.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_conn_log.h"
#include "ngx_http_push_msg.h"


static ngx_http_push_msg_t *ngx_http_push_message_frame(
    ngx_http_push_conn_t *ws, ngx_http_push_message_t *m);
static struct push_lines_answer ngx_http_push_message_live(
    ngx_http_push_conn_t *ws, ngx_uint_t log,
    ngx_http_push_message_t *m);
static struct push_lines_answer ngx_http_push_message_sent(ngx_int_t rc);
static struct push_lines_answer ngx_http_push_message_reply(
    enum push_delivery_verdict verdict);


struct push_lines_answer
ngx_http_push_message_give(ngx_http_push_conn_t *ws, ngx_uint_t log,
    ngx_http_push_message_t *m, ngx_uint_t answer)
{
    uint32_t                    now, at;
    ngx_int_t                   rc;
    ngx_uint_t                  room;
    ngx_http_push_msg_t        *msg;
    struct push_delivery       *d;
    enum push_delivery_verdict  verdict;

    if (!ws->ready || ws->closing) {
        return (struct push_lines_answer) { PUSH_LINES_NONE, 0 };
    }

    if (m->seq == 0 || ws->raw) {
        return ngx_http_push_message_live(ws, log, m);
    }

    if (ws->past) {
        return (struct push_lines_answer) { PUSH_LINES_NONE, 0 };
    }

    d = &ws->logs[log];

    now = ngx_http_push_now();

    if (m->expires && m->expires <= (uint64_t) ngx_time()) {
        /* it is asked for again, and the answer says void */
        verdict = push_delivery_heard(d, m->seq, now);

    } else {
        room = ngx_http_push_conn_room(ws, m->payload.len
                                           + PUSH_FRAME_HEADER_MAX);

        verdict = answer ? push_delivery_message(d, m->seq, room, now)
                         : push_delivery_push(d, m->seq, room, now);
    }

    if (verdict != PUSH_DELIVERY_WRITE) {
        if (verdict == PUSH_DELIVERY_GAP || verdict == PUSH_DELIVERY_SLOW) {
            ngx_http_push_count(messages_forgotten);
        }

        return ngx_http_push_message_reply(verdict);
    }

    msg = ngx_http_push_message_frame(ws, m);
    rc = msg ? ngx_http_push_conn_send(ws, msg, 1) : NGX_ERROR;

    if (rc == NGX_ERROR || rc == NGX_DECLINED) {
        /* it is counted as sent: only a new connection mends that */
        ngx_http_push_conn_close(ws, PUSH_CLOSE_INTERNAL, 0, NULL, 0);
        return (struct push_lines_answer) { PUSH_LINES_GAP, 0 };
    }

    PUSH_FAULT_POINT("edge-enqueued");
    ngx_http_push_count(messages_out);
    ws->messages++;

    if (push_delivery_slow_at(d, now, &at)) {
        ngx_http_push_conn_wake_at(ws, at);
    }

    return ngx_http_push_message_sent(rc);
}


/* Ephemeral messages and raw connections: now or never. */

static struct push_lines_answer
ngx_http_push_message_live(ngx_http_push_conn_t *ws, ngx_uint_t log,
    ngx_http_push_message_t *m)
{
    size_t                len;
    ngx_int_t             rc;
    ngx_http_push_msg_t  *msg;

    if (m->seq && m->seq <= push_delivery_sent(&ws->logs[log])) {
        return (struct push_lines_answer) { PUSH_LINES_OK, 1 };
    }

    len = m->payload.len + PUSH_FRAME_HEADER_MAX;

    if (!ngx_http_push_conn_room(ws, len) && ws->c->write->ready) {
        /* many at once: full is only who does not read */
        ngx_http_push_conn_log_enter(ws);
        ngx_http_push_conn_flush(ws);
        ngx_http_push_conn_log_leave(ws);
    }

    if ((m->expires && m->expires <= (uint64_t) ngx_time())
        || !ngx_http_push_conn_room(ws, len))
    {
        ngx_http_push_count(messages_dropped);
        return (struct push_lines_answer) { PUSH_LINES_SLOW, 0 };
    }

    msg = ngx_http_push_message_frame(ws, m);
    rc = msg ? ngx_http_push_conn_send(ws, msg, 0) : NGX_ERROR;

    if (rc == NGX_ERROR || rc == NGX_DECLINED) {
        ngx_http_push_count(messages_dropped);
        return (struct push_lines_answer) { PUSH_LINES_SLOW, 0 };
    }

    if (m->seq) {
        push_delivery_jump(&ws->logs[log], m->seq);
    }

    ngx_http_push_count(messages_out);
    ws->messages++;

    return ngx_http_push_message_sent(rc);
}


/* One copy a worker, however many connections share it. */

static ngx_http_push_msg_t *
ngx_http_push_message_frame(ngx_http_push_conn_t *ws,
    ngx_http_push_message_t *m)
{
    if (ws->raw) {
        if (m->raw == NULL) {
            m->raw = ngx_http_push_msg_raw((u_char *) m->payload.data,
                                           m->payload.len, m->off);
        }

        return m->raw;
    }

    if (m->msg == NULL) {
        m->msg = ngx_http_push_msg_text((u_char *) m->payload.data,
                                        m->payload.len);
    }

    return m->msg;
}


void
ngx_http_push_message_init(ngx_http_push_message_t *m,
    const struct push_lines_item *item)
{
    m->payload = item->payload;
    m->off = item->off;
    m->seq = item->seq;
    m->expires = item->expires;
    m->msg = NULL;
    m->raw = NULL;
}


ngx_int_t
ngx_http_push_message_copy(ngx_http_push_message_t *m,
    const struct push_lines_item *item)
{
    ngx_http_push_message_init(m, item);

    m->msg = ngx_http_push_msg_text((u_char *) item->payload.data,
                                    item->payload.len);
    if (m->msg == NULL) {
        return NGX_ERROR;
    }

    m->payload.data = (char *) m->msg->frame + m->msg->len - item->payload.len;

    return NGX_OK;
}


void
ngx_http_push_message_done(ngx_http_push_message_t *m)
{
    if (m->msg) {
        ngx_http_push_msg_put(m->msg);
        m->msg = NULL;
    }

    if (m->raw) {
        ngx_http_push_msg_put(m->raw);
        m->raw = NULL;
    }
}


static struct push_lines_answer
ngx_http_push_message_sent(ngx_int_t rc)
{
    return (struct push_lines_answer) {
        rc == NGX_AGAIN ? PUSH_LINES_QUEUED : PUSH_LINES_OK, 1
    };
}


static struct push_lines_answer
ngx_http_push_message_reply(enum push_delivery_verdict verdict)
{
    switch (verdict) {

    case PUSH_DELIVERY_WRITE:
    case PUSH_DELIVERY_HAD:
        return (struct push_lines_answer) { PUSH_LINES_OK, 1 };

    case PUSH_DELIVERY_GAP:
        return (struct push_lines_answer) { PUSH_LINES_GAP, 0 };

    case PUSH_DELIVERY_SLOW:
        return (struct push_lines_answer) { PUSH_LINES_SLOW, 0 };

    default:
        return (struct push_lines_answer) { PUSH_LINES_NONE, 0 };
    }
}
