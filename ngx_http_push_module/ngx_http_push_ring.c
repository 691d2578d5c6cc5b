/*
 * ngx_http_push_ring: last messages of the shared log `all`, one copy a worker
 *
 *     item all, answer to index 0 --> | 17 | 18 | 19 | --fan_out--> connections
 *
 * in:   items of push_lines; out: answers, messages given to connections
 * owns: the ring (push_ring_size bytes, 1024 messages), the worker's own
 *       delivery state of the log
 */

#include "ngx_http_push_ring.h"
#include "ngx_http_push_binding.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_fan_out.h"
#include "ngx_http_push_message.h"


/* The ring was not looked at for so long: hints may have gone elsewhere. */
#define NGX_HTTP_PUSH_RING_IDLE_MS  1000
#define NGX_HTTP_PUSH_RING_CHECK_MS 300000      /* +- 20 % */


struct ngx_http_push_ring_s {
    struct push_delivery              d;        /* sent: head of the ring */
    int64_t                           tail;     /* lowest seq that is held */
    size_t                            bytes;
    uint32_t                          tick_ms;
    uint32_t                          check_ms;

    unsigned                          started:1;

    /* seq % NGX_HTTP_PUSH_RING_MESSAGES; tail .. d.sent are filled */
    ngx_http_push_message_t  messages[NGX_HTTP_PUSH_RING_MESSAGES];
};


static struct push_lines_answer ngx_http_push_ring_message(
    ngx_http_push_ring_t *ring, const struct push_lines_item *item,
    ngx_uint_t answer);
static void ngx_http_push_ring_ask(ngx_http_push_ring_t *ring);
static ngx_int_t ngx_http_push_ring_append(ngx_http_push_ring_t *ring,
    const struct push_lines_item *item);
static void ngx_http_push_ring_clear(ngx_http_push_ring_t *ring,
    int64_t last);


ngx_int_t
ngx_http_push_ring_init(ngx_http_push_worker_t *w)
{
    ngx_http_push_ring_t  *ring;

    ring = ngx_calloc(sizeof(ngx_http_push_ring_t), ngx_cycle->log);
    if (ring == NULL) {
        return NGX_ERROR;
    }

    w->all = ring;

    return NGX_OK;
}


void
ngx_http_push_ring_destroy(ngx_http_push_worker_t *w)
{
    if (w->all == NULL) {
        return;
    }

    if (w->all->started) {
        ngx_http_push_ring_clear(w->all, push_delivery_sent(&w->all->d));
    }

    ngx_free(w->all);
    w->all = NULL;
}


/* --- what comes in ------------------------------------------------------- */

struct push_lines_answer
ngx_http_push_ring_item(const struct push_lines_item *item)
{
    int64_t                     from;
    uint32_t                    now;
    ngx_http_push_ring_t       *ring;
    ngx_http_push_worker_t     *w;
    struct push_lines_answer    ok, none;
    enum push_delivery_verdict  verdict;

    w = ngx_http_push_worker;
    ring = w->all;
    now = ngx_http_push_now();

    ok.reply = PUSH_LINES_OK;
    ok.count = 1;
    none.reply = PUSH_LINES_NONE;
    none.count = 0;

    if (item->verb == PUSH_LINES_ALL) {
        if (w->connections == 0) {
            return none;            /* whoever comes will ask */
        }

        return item->seq == 0 ? ngx_http_push_fan_out_ephemeral(w, item)
                              : ngx_http_push_ring_message(ring, item, 0);
    }

    if (!ring->started || !push_str_eq(item->log, PUSH_STR("all"))) {
        return none;
    }

    verdict = PUSH_DELIVERY_SKIP;

    switch (item->verb) {

    case PUSH_LINES_BEGIN:
        from = push_delivery_sent(&ring->d);
        verdict = push_delivery_begin(&ring->d, item->rid, item->seq);

        if (push_delivery_sent(&ring->d) != from) {
            /* it has just started: who is behind asks for itself */
            ring->tail = push_delivery_sent(&ring->d) + 1;
            ngx_http_push_fan_out_start(w);
        }

        break;

    case PUSH_LINES_CONN:
        return item->seq == 0 ? none
                              : ngx_http_push_ring_message(ring, item, 1);

    case PUSH_LINES_VOID:
        from = item->seq;
        verdict = push_delivery_void(&ring->d, &from, item->to, now);

        if (verdict == PUSH_DELIVERY_WRITE) {
            /* each connection has to hear it: it asks, being behind */
            ngx_http_push_ring_clear(ring, from - 1);
            ring->tail = item->to + 1;
            ngx_http_push_fan_out_start(ngx_http_push_worker);
        }

        break;

    case PUSH_LINES_TIP:
        verdict = push_delivery_tip(&ring->d, item->rid, item->seq, now);
        ngx_http_push_ring_ask(ring);
        break;

    default:
        break;
    }

    return verdict == PUSH_DELIVERY_SKIP ? none : ok;
}


static struct push_lines_answer
ngx_http_push_ring_message(ngx_http_push_ring_t *ring,
    const struct push_lines_item *item, ngx_uint_t answer)
{
    uint32_t                    now;
    struct push_lines_answer    reply;
    enum push_delivery_verdict  verdict;

    reply.reply = PUSH_LINES_OK;
    reply.count = ngx_http_push_worker->connections;

    if (!ring->started) {
        /* connections here have not begun yet: they will ask */
        reply.reply = PUSH_LINES_NONE;
        reply.count = 0;
        return reply;
    }

    now = ngx_http_push_now();

    verdict = answer ? push_delivery_message(&ring->d, item->seq, 1, now)
                     : push_delivery_push(&ring->d, item->seq, 1, now);

    switch (verdict) {

    case PUSH_DELIVERY_WRITE:
        push_delivery_jump(&ring->d, item->seq);

        if (ngx_http_push_ring_append(ring, item) != NGX_OK) {
            /* no memory: as if it had been long ago, connections ask */
            ngx_http_push_ring_clear(ring, item->seq - 1);
            ring->tail = item->seq + 1;
        }

        ngx_http_push_fan_out_start(ngx_http_push_worker);
        break;

    case PUSH_DELIVERY_GAP:
    case PUSH_DELIVERY_SLOW:
        ngx_http_push_ring_ask(ring);
        reply.reply = PUSH_LINES_GAP;
        reply.count = 0;
        break;

    case PUSH_DELIVERY_SKIP:
        reply.reply = PUSH_LINES_NONE;
        reply.count = 0;
        break;

    default:
        break;
    }

    return reply;
}


/* --- following the log --------------------------------------------------- */

void
ngx_http_push_ring_follow(ngx_http_push_worker_t *w)
{
    uint32_t               now;
    ngx_http_push_ring_t  *ring;

    ring = w->all;
    now = ngx_http_push_now();

    if (!ring->started) {
        ngx_http_push_ring_reset(w);
        ring->started = 1;

    } else if (ngx_http_push_before(ring->tick_ms + NGX_HTTP_PUSH_RING_IDLE_MS,
                                    now))
    {
        /* nobody was here: hints of that time were answered none */
        push_delivery_resync(&ring->d, now);
    }

    ring->tick_ms = now;
    ngx_http_push_ring_ask(ring);
}


void
ngx_http_push_ring_join(ngx_http_push_conn_t *ws)
{
    ngx_http_push_ring_t  *ring;

    ring = ngx_http_push_worker->all;

    if (ring->started
        && push_delivery_sent(&ring->d) != PUSH_DELIVERY_UNKNOWN) {
        push_delivery_jump(&ws->logs[NGX_HTTP_PUSH_ALL],
                           push_delivery_sent(&ring->d));
    }
}


void
ngx_http_push_ring_resync(ngx_http_push_worker_t *w)
{
    if (w->all->started) {
        push_delivery_resync(&w->all->d, ngx_http_push_now());
        ngx_http_push_ring_ask(w->all);
    }
}


void
ngx_http_push_ring_reset(ngx_http_push_worker_t *w)
{
    uint32_t               now;
    ngx_http_push_ring_t  *ring;

    ring = w->all;
    now = ngx_http_push_now();

    if (ring->started) {
        ngx_http_push_ring_clear(ring, push_delivery_sent(&ring->d));
    }

    push_delivery_init(&ring->d, PUSH_DELIVERY_UNKNOWN, PUSH_WINDOW_MAX, now);

    ring->tail = 0;
    ring->check_ms = now + NGX_HTTP_PUSH_RING_CHECK_MS;
}


void
ngx_http_push_ring_tick(ngx_http_push_worker_t *w, uint32_t now)
{
    ngx_http_push_ring_t  *ring;

    ring = w->all;

    if (ring == NULL || !ring->started) {
        return;
    }

    ring->tick_ms = now;

    if (!ngx_http_push_before(now, ring->check_ms)) {
        push_delivery_resync(&ring->d, now);
        ring->check_ms = now + NGX_HTTP_PUSH_RING_CHECK_MS * 4 / 5
                         + ngx_random() % (NGX_HTTP_PUSH_RING_CHECK_MS * 2 / 5);
    }

    ngx_http_push_ring_ask(ring);
}


static void
ngx_http_push_ring_ask(ngx_http_push_ring_t *ring)
{
    uint32_t  again;

    if (push_delivery_ask_due(&ring->d, ngx_http_push_now())) {
        /* refused: the next tick asks again */
        (void) ngx_http_push_binding_ask_all(&ring->d,
                                             ngx_http_push_worker->conf
                                                 ->ring_bytes,
                                             &again);
    }
}


/* --- the ring ------------------------------------------------------------ */

#define ngx_http_push_ring_at(ring, seq)                                      \
    (&(ring)->messages[(seq) % NGX_HTTP_PUSH_RING_MESSAGES])


/* d.sent is item->seq already: it becomes the head */

static ngx_int_t
ngx_http_push_ring_append(ngx_http_push_ring_t *ring,
    const struct push_lines_item *item)
{
    ngx_http_push_message_t  m, *old;

    if (ngx_http_push_message_copy(&m, item) != NGX_OK) {
        return NGX_ERROR;
    }

    while (ring->tail < item->seq
           && (item->seq - ring->tail >= NGX_HTTP_PUSH_RING_MESSAGES
               || ring->bytes + m.payload.len
                  > ngx_http_push_worker->conf->ring_bytes))
    {
        old = ngx_http_push_ring_at(ring, ring->tail);
        ring->bytes -= old->payload.len;
        ngx_http_push_message_done(old);
        ring->tail++;
    }

    *ngx_http_push_ring_at(ring, item->seq) = m;
    ring->bytes += m.payload.len;

    return NGX_OK;
}


/* forgets tail .. last */

static void
ngx_http_push_ring_clear(ngx_http_push_ring_t *ring, int64_t last)
{
    ngx_http_push_message_t  *old;

    while (ring->tail <= last) {
        old = ngx_http_push_ring_at(ring, ring->tail);
        ring->bytes -= old->payload.len;
        ngx_http_push_message_done(old);
        ring->tail++;
    }
}


ngx_int_t
ngx_http_push_ring_read(ngx_http_push_conn_t *ws)
{
    int64_t                    next, head;
    struct push_delivery      *d;
    ngx_http_push_ring_t      *ring;
    ngx_http_push_message_t   *m;
    struct push_lines_answer   answer;

    ring = ngx_http_push_worker->all;
    d = &ws->logs[NGX_HTTP_PUSH_ALL];
    head = push_delivery_sent(&ring->d);

    if (!ring->started || head == PUSH_DELIVERY_UNKNOWN
        || !ws->ready || ws->closing)
    {
        return NGX_OK;
    }

    if (ws->raw) {
        if (push_delivery_sent(d) < ring->tail - 1) {
            push_delivery_jump(d, ring->tail - 1);      /* live only */
        }

    } else if (push_delivery_sent(d) == PUSH_DELIVERY_UNKNOWN
               || (d->flags & PUSH_DELIVERY_ASKING))
    {
        return NGX_OK;                  /* its answer comes first */
    }

    while ((next = push_delivery_sent(d) + 1) <= head) {

        m = ngx_http_push_ring_at(ring, next);

        if (next < ring->tail
            || (!ws->raw && m->expires
                && m->expires <= (uint64_t) ngx_time()))
        {
            (void) push_delivery_heard(d, head, ngx_http_push_now());
            return NGX_DECLINED;
        }

        answer = ngx_http_push_message_give(ws, NGX_HTTP_PUSH_ALL, m, 0);

        if (ws->closing) {
            return NGX_ERROR;
        }

        if (push_delivery_sent(d) < next) {
            if (!ws->raw) {
                return answer.reply == PUSH_LINES_SLOW ? NGX_AGAIN
                                                       : NGX_DECLINED;
            }

            push_delivery_jump(d, next);        /* dropped, it was its chance */
        }
    }

    if (!ws->raw && push_delivery_caught_up(d)) {
        ngx_http_push_delivery_synced(ws, NGX_HTTP_PUSH_ALL);
    }

    return NGX_OK;
}
