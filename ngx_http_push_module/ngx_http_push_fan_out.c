/*
 * ngx_http_push_fan_out: what everybody gets, in slices of the event loop
 *
 *     ring, ephemeral items --> walk over the table --> delivery --> writes
 *
 *     a turn: | sockets, inbox | posted: unicast, answers | a slice, 1 ms |
 *
 * Nearly all of a fan-out is the kernel's work on a write for each connection,
 * so a slice writes what it gives, a few connections at a time, and is measured
 * with that.  It goes behind all that its turn of the event loop has brought:
 * a unicast waits for one slice at most.  Between two slices the processor is
 * offered to others: with more workers than processors a unicast would have to
 * wait longer for its worker's turn than for the worker.
 *
 * in:   "the ring has something new", ephemeral messages for all, a pace
 * out:  each connection is given what it lacks
 * owns: the walk under way, the ephemeral messages that wait
 */

#include "ngx_http_push_fan_out.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_latency.h"
#include "ngx_http_push_message.h"
#include "ngx_http_push_ring.h"
#include "ngx_http_push_table.h"


#define NGX_HTTP_PUSH_SLICE_STEP    16          /* between looks at the clock */
#define NGX_HTTP_PUSH_SLICE_US      1000
#define NGX_HTTP_PUSH_PACE_MS       20          /* between paced slices */


typedef struct {
    ngx_queue_t                 link;
    ngx_http_push_message_t     m;
} ngx_http_push_ephemeral_t;


struct ngx_http_push_fan_out_s {
    ngx_event_t                 slice;          /* posted, or timed by pace */
    ngx_queue_t                 ephemerals;     /* for the next walk */
    ngx_queue_t                 now;            /* this walk gives them */
    ngx_uint_t                  nephemerals;    /* of both */
    ngx_uint_t                  cursor;
    uint64_t                    walk_us;        /* when it began */
    uint64_t                    slice_us;       /* when the last one began */

    ngx_uint_t                  pace;           /* connections/s, 0: none */
    int64_t                     paced;          /* millionths of connections
                                                   that may be given more */
    uint64_t                    paced_us;       /* as of then */

    unsigned                    walking:1;
    unsigned                    again:1;        /* new behind the walk */
    unsigned                    last:1;         /* behind what waits already */
};


static void ngx_http_push_fan_out_drop(ngx_http_push_fan_out_t *f,
    ngx_queue_t *ephemerals);
static void ngx_http_push_fan_out_slice(ngx_event_t *ev);
static ngx_int_t ngx_http_push_fan_out_walk(ngx_http_push_fan_out_t *f,
    uint64_t start);
static void ngx_http_push_fan_out_begin(ngx_http_push_fan_out_t *f,
    uint64_t now);
static ngx_uint_t ngx_http_push_fan_out_paced(ngx_http_push_fan_out_t *f,
    uint64_t now);
static void ngx_http_push_fan_out_visit(ngx_http_push_conn_t *ws, void *data);


ngx_int_t
ngx_http_push_fan_out_init(ngx_http_push_worker_t *w)
{
    ngx_http_push_fan_out_t  *f;

    f = ngx_calloc(sizeof(ngx_http_push_fan_out_t), ngx_cycle->log);
    if (f == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&f->ephemerals);
    ngx_queue_init(&f->now);

    f->slice.handler = ngx_http_push_fan_out_slice;
    f->slice.data = f;
    f->slice.log = ngx_cycle->log;
    f->slice.cancelable = 1;

    w->fan_out = f;

    return NGX_OK;
}


void
ngx_http_push_fan_out_destroy(ngx_http_push_worker_t *w)
{
    ngx_http_push_fan_out_t  *f;

    f = w->fan_out;
    if (f == NULL) {
        return;
    }

    w->fan_out = NULL;

    if (f->slice.posted) {
        ngx_delete_posted_event(&f->slice);
    }

    if (f->slice.timer_set) {
        ngx_del_timer(&f->slice);
    }

    ngx_http_push_fan_out_drop(f, &f->now);
    ngx_http_push_fan_out_drop(f, &f->ephemerals);

    ngx_free(f);
}


static void
ngx_http_push_fan_out_drop(ngx_http_push_fan_out_t *f, ngx_queue_t *ephemerals)
{
    ngx_queue_t                *q;
    ngx_http_push_ephemeral_t  *e;

    while (!ngx_queue_empty(ephemerals)) {
        q = ngx_queue_head(ephemerals);
        ngx_queue_remove(q);

        e = ngx_queue_data(q, ngx_http_push_ephemeral_t, link);
        ngx_http_push_message_done(&e->m);
        ngx_free(e);

        f->nephemerals--;
    }
}


struct push_lines_answer
ngx_http_push_fan_out_ephemeral(ngx_http_push_worker_t *w,
    const struct push_lines_item *item)
{
    ngx_http_push_fan_out_t    *f;
    struct push_lines_answer    reply;
    ngx_http_push_ephemeral_t  *e;

    f = w->fan_out;

    reply.reply = PUSH_LINES_SLOW;
    reply.count = 0;

    if (f->nephemerals == NGX_HTTP_PUSH_EPHEMERAL_MAX) {
        ngx_http_push_count(messages_dropped);
        return reply;
    }

    e = ngx_alloc(sizeof(ngx_http_push_ephemeral_t), ngx_cycle->log);
    if (e == NULL) {
        return reply;
    }

    if (ngx_http_push_message_copy(&e->m, item) != NGX_OK) {
        ngx_free(e);
        return reply;
    }

    ngx_queue_insert_tail(&f->ephemerals, &e->link);
    f->nephemerals++;

    ngx_http_push_fan_out_start(w);

    reply.reply = PUSH_LINES_OK;
    reply.count = w->connections;

    return reply;
}


struct push_lines_answer
ngx_http_push_fan_out_pace(const struct push_lines_item *item)
{
    ngx_http_push_fan_out_t   *f;
    struct push_lines_answer   reply;

    f = ngx_http_push_worker->fan_out;

    f->pace = item->rate;
    f->paced = 0;
    f->paced_us = ngx_http_push_latency_now();

    reply.reply = PUSH_LINES_OK;
    reply.count = 1;

    return reply;
}


void
ngx_http_push_fan_out_start(ngx_http_push_worker_t *w)
{
    ngx_http_push_fan_out_t  *f;

    f = w->fan_out;
    f->again = 1;

    if (!f->slice.posted && !f->slice.timer_set) {
        /* at the end of this turn: a whole body's messages go in one walk */
        ngx_post_event(&f->slice, &ngx_posted_events);
    }
}


/* --- slices -------------------------------------------------------------- */

static void
ngx_http_push_fan_out_slice(ngx_event_t *ev)
{
    uint64_t                   start;
    ngx_http_push_fan_out_t   *f;
    ngx_http_push_counters_t  *counters;

    f = ev->data;
    counters = ngx_http_push_worker->counters;

    if (!f->last) {
        /* unicast, answers and closes of this turn go before */
        f->last = 1;
        ngx_post_event(&f->slice, &ngx_posted_events);
        return;
    }

    f->last = 0;

    start = ngx_http_push_latency_now();

    if (f->slice_us) {
        ngx_http_push_latency_add(&counters->fan_out_turn_us,
                                  start - f->slice_us, 1);
        f->slice_us = 0;
    }

    switch (ngx_http_push_fan_out_walk(f, start)) {

    case NGX_AGAIN:
        f->slice_us = start;
        ngx_post_event(&f->slice, &ngx_posted_next_events);
        break;

    case NGX_BUSY:
        ngx_add_timer(&f->slice, NGX_HTTP_PUSH_PACE_MS);
        break;

    default:
        break;
    }

    ngx_http_push_latency_add(&counters->fan_out_slice_us,
                              ngx_http_push_latency_now() - start, 1);

    if (f->slice_us) {
        /* who waits for this processor has it now, not amid the next slice */
        (void) sched_yield();
    }
}


/*
 * NGX_OK: everybody has everything; NGX_AGAIN: the slice is over; NGX_BUSY: the
 * pace allows no more for now.
 */

static ngx_int_t
ngx_http_push_fan_out_walk(ngx_http_push_fan_out_t *f, uint64_t start)
{
    uint64_t                 now;
    ngx_int_t                rc;
    ngx_uint_t               n;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;
    now = start;

    do {
        if (!f->walking) {

            if (!f->again) {
                return NGX_OK;
            }

            ngx_http_push_fan_out_begin(f, now);
        }

        n = ngx_http_push_fan_out_paced(f, now);

        if (n == 0) {
            return NGX_BUSY;
        }

        rc = ngx_http_push_table_walk(&f->cursor, n,
                                      ngx_http_push_fan_out_visit, f);

        /* nobody's handler is on the stack: it may also free */
        ngx_http_push_conn_turn(&w->flush);

        now = ngx_http_push_latency_now();

        if (rc == NGX_OK) {
            f->walking = 0;
            ngx_http_push_fan_out_drop(f, &f->now);
            ngx_http_push_latency_add(&w->counters->fan_out_us,
                                      now - f->walk_us, 1);
        }

    } while (now - start < NGX_HTTP_PUSH_SLICE_US);

    return f->walking || f->again ? NGX_AGAIN : NGX_OK;
}


/* All that waits goes in one walk: nothing waits for more than one other. */

static void
ngx_http_push_fan_out_begin(ngx_http_push_fan_out_t *f, uint64_t now)
{
    f->again = 0;
    f->walking = 1;
    f->cursor = 0;
    f->walk_us = now;

    if (!ngx_queue_empty(&f->ephemerals)) {
        ngx_queue_add(&f->now, &f->ephemerals);
        ngx_queue_init(&f->ephemerals);
    }
}


/* How many connections may be given something now, at most a step's. */

static ngx_uint_t
ngx_http_push_fan_out_paced(ngx_http_push_fan_out_t *f, uint64_t now)
{
    int64_t  most;

    if (f->pace == 0) {
        return NGX_HTTP_PUSH_SLICE_STEP;
    }

    /* what was not used is lost: no more than an interval's at once */
    most = ngx_max((int64_t) f->pace * NGX_HTTP_PUSH_PACE_MS * 1000, 1000000);

    f->paced += (int64_t) f->pace
                * (int64_t) ngx_min(now - f->paced_us, 1000000);
    f->paced = ngx_min(f->paced, most);
    f->paced_us = now;

    return f->paced < 1000000
           ? 0 : ngx_min(f->paced / 1000000, NGX_HTTP_PUSH_SLICE_STEP);
}


static void
ngx_http_push_fan_out_visit(ngx_http_push_conn_t *ws, void *data)
{
    ngx_http_push_fan_out_t *f = data;

    ngx_queue_t                *q;
    ngx_http_push_ephemeral_t  *e;

    f->paced -= 1000000;

    /* stored ones first: an ephemeral message never overtakes them */

    if (ws->raw) {
        if (ngx_http_push_ring_read(ws) == NGX_ERROR) {
            return;
        }

    } else {
        ngx_http_push_delivery_ask(ws);
    }

    for (q = ngx_queue_head(&f->now);
         q != ngx_queue_sentinel(&f->now) && !ws->closing;
         q = ngx_queue_next(q))
    {
        e = ngx_queue_data(q, ngx_http_push_ephemeral_t, link);
        (void) ngx_http_push_message_give(ws, NGX_HTTP_PUSH_ALL, &e->m, 0);
    }
}
