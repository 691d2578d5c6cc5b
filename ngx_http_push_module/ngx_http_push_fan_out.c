/*
 * ngx_http_push_fan_out: what everybody gets, in slices of the event loop
 *
 *     ring, ephemeral item --> walk over the table --> delivery
 *
 * A slice ends after 256 connections or 2 ms, and what else waits in the event
 * loop comes in between: a fan-out never holds a unicast up for longer.
 *
 * in:   "the ring has something new", ephemeral messages for all, a pace
 * out:  each connection is given what it lacks
 * owns: the walk under way, the ephemeral messages that wait
 */

#include "ngx_http_push_fan_out.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_message.h"
#include "ngx_http_push_ring.h"
#include "ngx_http_push_table.h"


#define NGX_HTTP_PUSH_SLICE_CONNS   256
#define NGX_HTTP_PUSH_SLICE_STEP    32          /* between looks at the clock */
#define NGX_HTTP_PUSH_SLICE_US      2000
#define NGX_HTTP_PUSH_PACE_MS       20          /* between paced slices */


typedef struct {
    ngx_queue_t                       link;
    ngx_http_push_message_t  m;
} ngx_http_push_ephemeral_t;


struct ngx_http_push_fan_out_s {
    ngx_event_t                 slice;          /* posted, or timed by pace */
    ngx_queue_t                 ephemerals;
    ngx_uint_t                  nephemerals;
    ngx_http_push_ephemeral_t  *now;            /* this walk gives it; or NULL */
    ngx_uint_t                  cursor;
    ngx_uint_t                  pace;           /* connections/s, 0: none */

    unsigned                    walking:1;
    unsigned                    again:1;        /* new behind the walk */
};


static void ngx_http_push_fan_out_drop(ngx_http_push_ephemeral_t *e);
static void ngx_http_push_fan_out_slice(ngx_event_t *ev);
static ngx_uint_t ngx_http_push_fan_out_walk(ngx_http_push_fan_out_t *f,
    ngx_uint_t max);
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
    ngx_queue_t              *q;
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

    if (f->now) {
        ngx_http_push_fan_out_drop(f->now);
    }

    while (!ngx_queue_empty(&f->ephemerals)) {
        q = ngx_queue_head(&f->ephemerals);
        ngx_queue_remove(q);
        ngx_http_push_fan_out_drop(ngx_queue_data(q, ngx_http_push_ephemeral_t,
                                                  link));
    }

    ngx_free(f);
}


static void
ngx_http_push_fan_out_drop(ngx_http_push_ephemeral_t *e)
{
    ngx_http_push_message_done(&e->m);
    ngx_free(e);
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
    struct push_lines_answer  reply;

    ngx_http_push_worker->fan_out->pace = item->rate;

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


static void
ngx_http_push_fan_out_slice(ngx_event_t *ev)
{
    ngx_uint_t                more;
    ngx_http_push_fan_out_t  *f;

    f = ev->data;

    if (f->pace) {
        more = ngx_http_push_fan_out_walk(f,
                   ngx_max(1, f->pace * NGX_HTTP_PUSH_PACE_MS / 1000));

        if (more) {
            ngx_add_timer(&f->slice, NGX_HTTP_PUSH_PACE_MS);
        }

        return;
    }

    if (ngx_http_push_fan_out_walk(f, NGX_HTTP_PUSH_SLICE_CONNS)) {
        /* after the events that wait: unicast goes in between */
        ngx_post_event(&f->slice, &ngx_posted_next_events);
    }
}


/* Returns 1 if the walk, or another one, has to go on. */

static ngx_uint_t
ngx_http_push_fan_out_walk(ngx_http_push_fan_out_t *f, ngx_uint_t max)
{
    ngx_int_t         rc;
    ngx_uint_t        n;
    ngx_queue_t      *q;
    struct timespec   start, now;

    clock_gettime(CLOCK_MONOTONIC, &start);

    for (n = 0; n < max; n += NGX_HTTP_PUSH_SLICE_STEP) {

        if (!f->walking) {

            if (!ngx_queue_empty(&f->ephemerals)) {
                q = ngx_queue_head(&f->ephemerals);
                ngx_queue_remove(q);
                f->nephemerals--;
                f->now = ngx_queue_data(q, ngx_http_push_ephemeral_t, link);

            } else if (!f->again) {
                return 0;
            }

            f->again = 0;
            f->walking = 1;
            f->cursor = 0;
        }

        rc = ngx_http_push_table_walk(&f->cursor,
                                      ngx_min(max - n,
                                              NGX_HTTP_PUSH_SLICE_STEP),
                                      ngx_http_push_fan_out_visit, f);

        if (rc == NGX_OK) {
            f->walking = 0;

            if (f->now) {
                ngx_http_push_fan_out_drop(f->now);
                f->now = NULL;
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

    return f->walking || f->again || !ngx_queue_empty(&f->ephemerals);
}


static void
ngx_http_push_fan_out_visit(ngx_http_push_conn_t *ws, void *data)
{
    ngx_http_push_fan_out_t *f = data;

    /* stored ones first: an ephemeral message never overtakes them */

    if (ws->raw) {
        if (ngx_http_push_ring_read(ws) == NGX_ERROR) {
            return;
        }

    } else {
        ngx_http_push_delivery_ask(ws);
    }

    if (f->now && !ws->closing) {
        (void) ngx_http_push_message_give(ws, NGX_HTTP_PUSH_ALL,
                                           &f->now->m, 0);
    }
}
