/*
 * edge_item: what a deliver body says, line by line
 *
 * After ngx_http_push_item.c and ngx_http_push_answer.c.
 */

#include "edge_state.h"

#include <stdlib.h>
#include <string.h>

#include "plant.h"

#define ANSWER_OK    ((struct push_lines_answer) { PUSH_LINES_OK, 1 })
#define ANSWER_NONE  ((struct push_lines_answer) { PUSH_LINES_NONE, 0 })
#define ANSWER_GAP   ((struct push_lines_answer) { PUSH_LINES_GAP, 0 })

#define EDGE_SPREAD_MS  10000

static struct push_lines_answer edge_user(struct edge *e,
    const struct push_lines_item *item);
static struct push_lines_answer edge_item_resync(struct edge *e,
    const struct push_lines_item *item);
static struct push_lines_answer edge_answer(struct edge_conn *conn,
    const struct push_lines_item *item);
static struct push_lines_answer edge_answer_reset(struct edge_conn *conn,
    const struct push_lines_item *item);
static struct push_lines_answer edge_answer_void(struct edge_conn *conn,
    unsigned log, const struct push_lines_item *item);
static struct push_lines_answer edge_answer_tip(struct edge_conn *conn,
    unsigned log, const struct push_lines_item *item);


struct push_lines_answer
edge_item(struct edge *e, const struct push_lines_item *item)
{
    struct edge_conn  *conn;

    switch (item->verb) {

    case PUSH_LINES_USER:
        return edge_user(e, item);

    case PUSH_LINES_ALL:
        return edge_ring_item(e, item);

    case PUSH_LINES_RESYNC:
        return edge_item_resync(e, item);

    default:
        break;
    }

    if (item->id.instance != e->instance) {
        return ANSWER_NONE;
    }

    if (push_conn_index(item->id.conn) == 0) {
        return edge_ring_item(e, item);
    }

    conn = edge_find(e, item->id.conn);

    if (conn == NULL || !conn->ready || conn->closing) {
        return ANSWER_NONE;
    }

    return edge_answer(conn, item);
}


/* The collector's frame: {"type":"message",…,"id":"<log>@<seq>","data":"17"} */
void
edge_item_message(struct edge_message *m, const struct push_lines_item *item)
{
    const char  *p, *end;

    m->seq = item->seq;
    m->expires = item->expires;
    m->message = (unsigned) strtoul(item->payload.data + item->off, NULL, 10);
    m->id = PUSH_STR("");

    p = memmem(item->payload.data, item->off, "\"id\":\"", 6);

    if (p != NULL) {
        p += 6;
        end = memchr(p, '"', 64);
        m->id.data = sim_copy(p, (size_t) (end - p));
        m->id.len = (size_t) (end - p);
    }
}


static struct push_lines_answer
edge_user(struct edge *e, const struct push_lines_item *item)
{
    struct edge_conn          *conn, *next;
    struct edge_message        m;
    struct push_lines_answer   answer, one;

    answer = ANSWER_NONE;
    edge_item_message(&m, item);

    for (conn = e->conns; conn != NULL; conn = next) {
        next = conn->next;

        if (item->name.data[1] != conn->uid[1]) {
            continue;
        }

        one = edge_give(conn, EDGE_OWN, &m, false);

        if (one.reply == PUSH_LINES_GAP || one.reply == PUSH_LINES_SLOW) {
            edge_ask(conn);
        }

        push_lines_answer_add(&answer, one);
    }

    return answer;
}


static struct push_lines_answer
edge_item_resync(struct edge *e, const struct push_lines_item *item)
{
    bool                       all;
    uint32_t                   at;
    struct edge_conn          *conn, *next;
    struct push_lines_answer   answer;

    answer = ANSWER_NONE;
    all = push_str_eq(item->log, PUSH_STR("*"));

    if (all || push_str_eq(item->log, PUSH_STR("all"))) {
        edge_ring_resync(e);
    }

    if (push_str_eq(item->log, PUSH_STR("all"))) {
        return e->conns != NULL ? ANSWER_OK : ANSWER_NONE;
    }

    for (conn = e->conns; conn != NULL; conn = next) {
        next = conn->next;

        if (conn->ready && (all || item->log.data[6] == conn->uid[1])) {
            at = sim_ms32() + (all ? sim_below(EDGE_SPREAD_MS) : 0);
            edge_resync(conn, at);
            push_lines_answer_add(&answer, ANSWER_OK);
        }
    }

    return answer;
}


static struct push_lines_answer
edge_answer(struct edge_conn *conn, const struct push_lines_item *item)
{
    unsigned                  log;
    struct edge_message       m;
    struct push_lines_answer  answer;

    if (item->verb == PUSH_LINES_CLOSE) {
        edge_close(conn, item->code, true);
        return ANSWER_OK;
    }

    if (conn->past) {
        return ANSWER_NONE;
    }

    if (item->verb == PUSH_LINES_RESET) {
        return edge_answer_reset(conn, item);
    }

    /* a late answer must never reach another user */

    if (push_str_eq(item->log, PUSH_STR("all"))) {
        log = EDGE_ALL;

    } else if (item->log.data[6] == conn->uid[1]) {
        log = EDGE_OWN;

    } else {
        return ANSWER_NONE;
    }

    if (item->verb == PUSH_LINES_BEGIN) {
        sim_trace("%s: u%u.%s is answered, rid %u, log %u from %lld",
                  conn->edge->proc->name, conn->user, conn->device, item->rid,
                  log, (long long) item->seq);
    }

    switch (item->verb) {

    case PUSH_LINES_BEGIN:
        if (push_delivery_begin(&conn->logs[log], item->rid, item->seq)
            == PUSH_DELIVERY_SKIP)
        {
            return ANSWER_NONE;
        }

        if (plant(PLANT_APART)
            || !((conn->logs[0].flags | conn->logs[1].flags)
                 & PUSH_DELIVERY_FIRST))
        {
            conn->epoch[0] = '\0';
        }

        return ANSWER_OK;

    case PUSH_LINES_CONN:
        edge_item_message(&m, item);
        answer = edge_give(conn, log, &m, true);

        if (answer.reply == PUSH_LINES_GAP || answer.reply == PUSH_LINES_SLOW)
        {
            edge_ask(conn);
        }

        return answer;

    case PUSH_LINES_VOID:
        return edge_answer_void(conn, log, item);

    case PUSH_LINES_TIP:
        return edge_answer_tip(conn, log, item);

    default:
        return ANSWER_NONE;
    }
}


static struct push_lines_answer
edge_answer_void(struct edge_conn *conn, unsigned log,
    const struct push_lines_item *item)
{
    int64_t                from, acked;
    struct frame          *f;
    struct push_delivery  *d = &conn->logs[log];

    from = item->seq;
    acked = push_delivery_acked(d);

    switch (push_delivery_void(d, &from, item->to, sim_ms32())) {

    case PUSH_DELIVERY_WRITE:
        break;

    case PUSH_DELIVERY_HAD:
        return ANSWER_OK;

    case PUSH_DELIVERY_GAP:
        return ANSWER_GAP;

    default:
        return ANSWER_NONE;
    }

    if (plant(PLANT_VOID_WINDOW) && acked >= 0
        && item->to - acked <= (int64_t) d->window)
    {
        d->unacked = (unsigned) (item->to - acked) & 0x1ff;
    }

    f = socket_frame(FRAME_VOID);
    f->log = log;
    f->seq = from;
    f->to = item->to;
    socket_write(conn->socket, f);

    return ANSWER_OK;
}


static struct push_lines_answer
edge_answer_tip(struct edge_conn *conn, unsigned log,
    const struct push_lines_item *item)
{
    struct push_delivery        *d = &conn->logs[log];
    enum push_delivery_verdict   verdict;

    verdict = push_delivery_tip(d, item->rid, item->seq, sim_ms32());

    if (plant(PLANT_NO_ASK)) {
        d->flags &= (uint8_t) ~PUSH_DELIVERY_ASK;
    }

    if (verdict == PUSH_DELIVERY_SKIP) {
        return ANSWER_NONE;
    }

    if (verdict == PUSH_DELIVERY_WRITE) {
        edge_synced(conn, log);
    }

    edge_ask(conn);

    return ANSWER_OK;
}


/* {"type":"reset","epoch":"…","logs":{"user":{"floor":0,"tip":12},…}} */
static struct push_lines_answer
edge_answer_reset(struct edge_conn *conn, const struct push_lines_item *item)
{
    unsigned      i;
    const char   *p, *end;
    struct frame *f;

    static const char *const names[] = { "\"user\":{\"floor\":",
                                         "\"all\":{\"floor\":" };

    for (i = 0; i < FRAME_LOGS; i++) {
        if (!(conn->logs[i].flags & PUSH_DELIVERY_FIRST)) {
            return ANSWER_NONE;
        }
    }

    f = socket_frame(FRAME_RESET);
    p = item->payload.data;
    end = p + item->payload.len;
    memcpy(f->epoch, (char *) memmem(p, item->payload.len, "\"epoch\":\"", 9)
                     + 9, 16);

    for (i = 0; i < FRAME_LOGS; i++) {
        p = memmem(item->payload.data, item->payload.len, names[i],
                   strlen(names[i]));
        f->cursors[i] = p != NULL && p < end ? atoll(p + strlen(names[i]))
                                             : -1;
        push_delivery_reset(&conn->logs[i]);
    }

    socket_write(conn->socket, f);

    return ANSWER_OK;
}
