/*
 * ngx_http_push_ring: last messages of the shared log `all`, one copy a worker
 *
 *     item all, answer to index 0 --> | 17 | 18 | 19 | --slices--> connections
 *
 * in:   items of push_lines; out: answers, messages given to connections
 * owns: the ring (push_ring_size bytes, 1024 messages), the worker's own
 *       delivery state of the log, the fan-out under way
 */

#include "ngx_http_push_ring.h"
#include "ngx_http_push_binding.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_msg.h"
#include "ngx_http_push_table.h"


/* A slice ends after as many connections or this long, whichever is first. */
#define NGX_HTTP_PUSH_SLICE_CONNS   256
#define NGX_HTTP_PUSH_SLICE_STEP    32          /* between looks at the clock */
#define NGX_HTTP_PUSH_SLICE_US      2000
#define NGX_HTTP_PUSH_PACE_MS       20          /* between paced slices */

/* The ring was not looked at for so long: hints may have gone elsewhere. */
#define NGX_HTTP_PUSH_RING_IDLE_MS  1000
#define NGX_HTTP_PUSH_RING_CHECK_MS 300000      /* +- 20 % */


typedef struct {
    ngx_queue_t                       link;
    ngx_http_push_delivery_message_t  m;
} ngx_http_push_ring_ephemeral_t;


struct ngx_http_push_ring_s {
    struct push_delivery              d;        /* sent: head of the ring */
    int64_t                           tail;     /* lowest seq that is held */
    size_t                            bytes;
    uint32_t                          tick_ms;
    uint32_t                          check_ms;
    ngx_uint_t                        pace;     /* frames/s, 0: none */

    ngx_event_t                       slice;    /* posted, or timed by pace */
    ngx_queue_t                       ephemerals;
    ngx_uint_t                        nephemerals;
    ngx_http_push_ring_ephemeral_t   *now;      /* this walk gives it; or NULL */
    ngx_uint_t                        cursor;

    unsigned                          started:1;
    unsigned                          walking:1;
    unsigned                          again:1;  /* appended behind the walk */

    /* seq % NGX_HTTP_PUSH_RING_MESSAGES; tail .. d.sent are filled */
    ngx_http_push_delivery_message_t  messages[NGX_HTTP_PUSH_RING_MESSAGES];
};


static struct push_lines_answer ngx_http_push_ring_message(
    ngx_http_push_ring_t *ring, const struct push_lines_item *item,
    ngx_uint_t answer);
static struct push_lines_answer ngx_http_push_ring_ephemeral(
    ngx_http_push_ring_t *ring, const struct push_lines_item *item);
static void ngx_http_push_ring_ask(ngx_http_push_ring_t *ring);
static ngx_int_t ngx_http_push_ring_append(ngx_http_push_ring_t *ring,
    const struct push_lines_item *item);
static void ngx_http_push_ring_clear(ngx_http_push_ring_t *ring);
static ngx_int_t ngx_http_push_ring_copy(ngx_http_push_delivery_message_t *m,
    const struct push_lines_item *item);
static void ngx_http_push_ring_fan_out(ngx_http_push_ring_t *ring);
static void ngx_http_push_ring_slice(ngx_event_t *ev);
static ngx_uint_t ngx_http_push_ring_walk(ngx_http_push_ring_t *ring,
    ngx_uint_t max);
static void ngx_http_push_ring_visit(ngx_http_push_conn_t *ws, void *data);


ngx_int_t
ngx_http_push_ring_init(ngx_http_push_worker_t *w)
{
    ngx_http_push_ring_t  *ring;

    ring = ngx_calloc(sizeof(ngx_http_push_ring_t), ngx_cycle->log);
    if (ring == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&ring->ephemerals);

    ring->slice.handler = ngx_http_push_ring_slice;
    ring->slice.data = ring;
    ring->slice.log = ngx_cycle->log;
    ring->slice.cancelable = 1;

    w->all = ring;

    return NGX_OK;
}


void
ngx_http_push_ring_destroy(ngx_http_push_worker_t *w)
{
    ngx_queue_t                     *q;
    ngx_http_push_ring_t            *ring;
    ngx_http_push_ring_ephemeral_t  *e;

    ring = w->all;
    if (ring == NULL) {
        return;
    }

    w->all = NULL;

    if (ring->slice.posted) {
        ngx_delete_posted_event(&ring->slice);
    }

    if (ring->slice.timer_set) {
        ngx_del_timer(&ring->slice);
    }

    if (ring->now) {
        ngx_http_push_delivery_message_done(&ring->now->m);
        ngx_free(ring->now);
    }

    while (!ngx_queue_empty(&ring->ephemerals)) {
        q = ngx_queue_head(&ring->ephemerals);
        ngx_queue_remove(q);
        e = ngx_queue_data(q, ngx_http_push_ring_ephemeral_t, link);
        ngx_http_push_delivery_message_done(&e->m);
        ngx_free(e);
    }

    if (ring->started) {
        ngx_http_push_ring_clear(ring);
    }

    ngx_free(ring);
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

    if (item->verb == PUSH_LINES_PACE) {
        ring->pace = item->rate;
        return ok;
    }

    if (item->verb == PUSH_LINES_ALL) {
        if (w->connections == 0) {
            return none;            /* whoever comes will ask */
        }

        return item->seq == 0 ? ngx_http_push_ring_ephemeral(ring, item)
                              : ngx_http_push_ring_message(ring, item, 0);
    }

    if (!ring->started || !push_str_eq(item->log, PUSH_STR("all"))) {
        return none;
    }

    verdict = PUSH_DELIVERY_SKIP;

    switch (item->verb) {

    case PUSH_LINES_BEGIN:
        from = ring->d.sent;
        verdict = push_delivery_begin(&ring->d, item->rid, item->seq);
        ring->d.acked = ring->d.sent;

        if (ring->d.sent != from) {
            ring->tail = ring->d.sent + 1;      /* it has just started */
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
            ring->d.sent = from - 1;
            ngx_http_push_ring_clear(ring);
            ring->d.sent = item->to;
            ring->d.acked = item->to;
            ring->tail = item->to + 1;
            ngx_http_push_ring_fan_out(ring);
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
        ring->d.acked = ring->d.sent;

        if (ngx_http_push_ring_append(ring, item) != NGX_OK) {
            /* no memory: as if it had been long ago, connections ask */
            ring->d.sent--;
            ngx_http_push_ring_clear(ring);
            ring->d.sent = ring->d.acked = item->seq;
            ring->tail = item->seq + 1;
        }

        ngx_http_push_ring_fan_out(ring);
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


static struct push_lines_answer
ngx_http_push_ring_ephemeral(ngx_http_push_ring_t *ring,
    const struct push_lines_item *item)
{
    struct push_lines_answer         reply;
    ngx_http_push_ring_ephemeral_t  *e;

    reply.reply = PUSH_LINES_SLOW;
    reply.count = 0;

    if (ring->nephemerals == NGX_HTTP_PUSH_RING_EPHEMERAL) {
        ngx_http_push_count(messages_dropped);
        return reply;
    }

    e = ngx_alloc(sizeof(ngx_http_push_ring_ephemeral_t), ngx_cycle->log);
    if (e == NULL) {
        return reply;
    }

    if (ngx_http_push_ring_copy(&e->m, item) != NGX_OK) {
        ngx_free(e);
        return reply;
    }

    ngx_queue_insert_tail(&ring->ephemerals, &e->link);
    ring->nephemerals++;

    ngx_http_push_ring_fan_out(ring);

    reply.reply = PUSH_LINES_OK;
    reply.count = ngx_http_push_worker->connections;

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

    if (ring->started && ring->d.sent != PUSH_DELIVERY_UNKNOWN) {
        ws->logs[NGX_HTTP_PUSH_ALL].sent = ring->d.sent;
        ws->logs[NGX_HTTP_PUSH_ALL].acked = ring->d.sent;
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
        ngx_http_push_ring_clear(ring);
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
    ngx_http_push_delivery_message_t   m, *old;

    if (ngx_http_push_ring_copy(&m, item) != NGX_OK) {
        return NGX_ERROR;
    }

    while (ring->tail < item->seq
           && (item->seq - ring->tail >= NGX_HTTP_PUSH_RING_MESSAGES
               || ring->bytes + m.payload.len
                  > ngx_http_push_worker->conf->ring_bytes))
    {
        old = ngx_http_push_ring_at(ring, ring->tail);
        ring->bytes -= old->payload.len;
        ngx_http_push_delivery_message_done(old);
        ring->tail++;
    }

    *ngx_http_push_ring_at(ring, item->seq) = m;
    ring->bytes += m.payload.len;

    return NGX_OK;
}


/* forgets tail .. d.sent */

static void
ngx_http_push_ring_clear(ngx_http_push_ring_t *ring)
{
    ngx_http_push_delivery_message_t  *old;

    while (ring->tail <= ring->d.sent) {
        old = ngx_http_push_ring_at(ring, ring->tail);
        ring->bytes -= old->payload.len;
        ngx_http_push_delivery_message_done(old);
        ring->tail++;
    }
}


/* The item's payload lives in the request; ours lives in the frame. */

static ngx_int_t
ngx_http_push_ring_copy(ngx_http_push_delivery_message_t *m,
    const struct push_lines_item *item)
{
    m->msg = ngx_http_push_msg_text((u_char *) item->payload.data,
                                    item->payload.len);
    if (m->msg == NULL) {
        return NGX_ERROR;
    }

    m->payload.data = (char *) m->msg->frame + m->msg->len - item->payload.len;
    m->payload.len = item->payload.len;
    m->off = item->off;
    m->seq = item->seq;
    m->expires = item->expires;
    m->raw = NULL;

    return NGX_OK;
}


ngx_int_t
ngx_http_push_ring_read(ngx_http_push_conn_t *ws)
{
    int64_t                            next;
    ngx_http_push_ring_t              *ring;
    struct push_delivery              *d;
    struct push_lines_answer           answer;
    ngx_http_push_delivery_message_t  *m;

    ring = ngx_http_push_worker->all;
    d = &ws->logs[NGX_HTTP_PUSH_ALL];

    if (!ring->started || ring->d.sent == PUSH_DELIVERY_UNKNOWN
        || !ws->ready || ws->closing)
    {
        return NGX_OK;
    }

    if (ws->raw) {
        if (d->sent < ring->tail - 1) {
            d->sent = d->acked = ring->tail - 1;        /* live only */
        }

    } else if (d->sent == PUSH_DELIVERY_UNKNOWN
               || (d->flags & PUSH_DELIVERY_ASKING))
    {
        return NGX_OK;                  /* its answer comes first */
    }

    while ((next = d->sent + 1) <= ring->d.sent) {

        m = ngx_http_push_ring_at(ring, next);

        if (next < ring->tail
            || (!ws->raw && m->expires
                && m->expires <= (uint64_t) ngx_time()))
        {
            (void) push_delivery_heard(d, ring->d.sent, ngx_http_push_now());
            return NGX_DECLINED;
        }

        answer = ngx_http_push_delivery_give(ws, NGX_HTTP_PUSH_ALL, m, 0);

        if (ws->closing) {
            return NGX_ERROR;
        }

        if (d->sent < next) {
            if (!ws->raw) {
                return answer.reply == PUSH_LINES_SLOW ? NGX_AGAIN
                                                       : NGX_DECLINED;
            }

            d->sent = d->acked = next;          /* dropped, it was its chance */
        }
    }

    if (!ws->raw && push_delivery_caught_up(d)) {
        ngx_http_push_delivery_synced(ws, NGX_HTTP_PUSH_ALL);
    }

    return NGX_OK;
}


/* --- fan-out in slices --------------------------------------------------- */

static void
ngx_http_push_ring_fan_out(ngx_http_push_ring_t *ring)
{
    ring->again = 1;

    if (!ring->slice.posted && !ring->slice.timer_set) {
        /* at the end of this turn: a whole body's messages go in one walk */
        ngx_post_event(&ring->slice, &ngx_posted_events);
    }
}


static void
ngx_http_push_ring_slice(ngx_event_t *ev)
{
    ngx_uint_t              more;
    ngx_http_push_ring_t   *ring;

    ring = ev->data;

    if (ring->pace) {
        more = ngx_http_push_ring_walk(ring,
                   ngx_max(1, ring->pace * NGX_HTTP_PUSH_PACE_MS / 1000));

        if (more) {
            ngx_add_timer(&ring->slice, NGX_HTTP_PUSH_PACE_MS);
        }

        return;
    }

    if (ngx_http_push_ring_walk(ring, NGX_HTTP_PUSH_SLICE_CONNS)) {
        /* after the events that wait: unicast goes in between */
        ngx_post_event(&ring->slice, &ngx_posted_next_events);
    }
}


/* Returns 1 if the walk, or another one, has to go on. */

static ngx_uint_t
ngx_http_push_ring_walk(ngx_http_push_ring_t *ring, ngx_uint_t max)
{
    ngx_int_t         rc;
    ngx_uint_t        n;
    ngx_queue_t      *q;
    struct timespec   start, now;

    clock_gettime(CLOCK_MONOTONIC, &start);

    for (n = 0; n < max; n += NGX_HTTP_PUSH_SLICE_STEP) {

        if (!ring->walking) {

            if (!ngx_queue_empty(&ring->ephemerals)) {
                q = ngx_queue_head(&ring->ephemerals);
                ngx_queue_remove(q);
                ring->nephemerals--;
                ring->now = ngx_queue_data(q, ngx_http_push_ring_ephemeral_t,
                                           link);

            } else if (!ring->again) {
                return 0;
            }

            ring->again = 0;
            ring->walking = 1;
            ring->cursor = 0;
        }

        rc = ngx_http_push_table_walk(&ring->cursor,
                                      ngx_min(max - n,
                                              NGX_HTTP_PUSH_SLICE_STEP),
                                      ngx_http_push_ring_visit, ring);

        if (rc == NGX_OK) {
            ring->walking = 0;

            if (ring->now) {
                ngx_http_push_delivery_message_done(&ring->now->m);
                ngx_free(ring->now);
                ring->now = NULL;
            }
        }

        clock_gettime(CLOCK_MONOTONIC, &now);

        if ((now.tv_sec - start.tv_sec) * 1000000
            + (now.tv_nsec - start.tv_nsec) / 1000
            > NGX_HTTP_PUSH_SLICE_US)
        {
            break;
        }
    }

    return ring->walking || ring->again || !ngx_queue_empty(&ring->ephemerals);
}


static void
ngx_http_push_ring_visit(ngx_http_push_conn_t *ws, void *data)
{
    ngx_http_push_ring_t *ring = data;

    /* stored ones first: an ephemeral message never overtakes them */

    if (ws->raw) {
        if (ngx_http_push_ring_read(ws) == NGX_ERROR) {
            return;
        }

    } else {
        ngx_http_push_delivery_ask(ws);
    }

    if (ring->now && !ws->closing) {
        (void) ngx_http_push_delivery_give(ws, NGX_HTTP_PUSH_ALL,
                                           &ring->now->m, 0);
    }
}
