/*
 * ngx_http_push_binding_loss: Redis went away, came back, forgot us
 *
 *     down ... up: dirty ones again
 *     another start, away for long, lease gone: all again, and all asked
 *         --> a walk through the table, in slices, 5000 connections a second
 *
 * in:   Redis' ups and downs, dirty connections; out: adds, resyncs
 * owns: the walk and its timer
 */

#include "ngx_http_push_binding_state.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_ring.h"
#include "ngx_http_push_table.h"


#define NGX_HTTP_PUSH_BINDING_LOSS_MS   7500    /* half a lease */
#define NGX_HTTP_PUSH_BINDING_SLICE_MS  100
#define NGX_HTTP_PUSH_BINDING_SLICE     500     /* 5000 connections a second */
#define NGX_HTTP_PUSH_BINDING_SPREAD_MS 10000   /* resyncs: at least, and */
#define NGX_HTTP_PUSH_BINDING_PACE      200     /* at most so many a second */


static void ngx_http_push_binding_walk_handler(ngx_event_t *ev);
static void ngx_http_push_binding_walk_one(ngx_http_push_conn_t *ws,
    void *data);


void
ngx_http_push_binding_loss_init(ngx_http_push_binding_t *b)
{
    b->walk.handler = ngx_http_push_binding_walk_handler;
    b->walk.data = b;
    b->walk.log = ngx_cycle->log;
    b->walk.cancelable = 1;
}


void
ngx_http_push_binding_loss_destroy(ngx_http_push_binding_t *b)
{
    if (b->walk.timer_set) {
        ngx_del_timer(&b->walk);
    }
}


void
ngx_http_push_binding_up(struct push_str run_id, void *ctx)
{
    ngx_uint_t                other;
    ngx_http_push_binding_t  *b;

    b = ctx;

    other = b->run_id_len
            && !(run_id.len == b->run_id_len
                 && ngx_memcmp(run_id.data, b->run_id, run_id.len) == 0);

    b->run_id_len = ngx_min(run_id.len, sizeof(b->run_id));
    ngx_memcpy(b->run_id, run_id.data, b->run_id_len);

    if (other) {
        ngx_http_push_binding_lost(b, "it is another start");

    } else if (b->down_at
               && ngx_current_msec - b->down_at
                  > NGX_HTTP_PUSH_BINDING_LOSS_MS)
    {
        ngx_http_push_binding_lost(b, "it was away for long");

    } else if (b->dirty || b->walking) {
        ngx_http_push_binding_walk_start(b, 1);
    }

    b->down_at = 0;

    ngx_http_push_binding_lease_send(b);
    ngx_http_push_binding_stream_flush(b);
}


void
ngx_http_push_binding_down(void *ctx)
{
    ngx_http_push_binding_t  *b;

    b = ctx;

    if (b->down_at == 0) {
        b->down_at = ngx_current_msec ? ngx_current_msec : 1;
    }

    if (b->walk.timer_set) {
        ngx_del_timer(&b->walk);        /* goes on when Redis is back */
    }
}


void
ngx_http_push_binding_lost(ngx_http_push_binding_t *b, const char *why)
{
    ngx_uint_t  n;

    n = b->w->connections;

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "push: redis has forgotten us (%s): %ui connections are "
                  "registered again", why, n);

    b->walk_all = 1;
    b->walk_cursor = 0;
    b->walk_spread = ngx_max(NGX_HTTP_PUSH_BINDING_SPREAD_MS,
                             n * 1000 / NGX_HTTP_PUSH_BINDING_PACE);

    ngx_http_push_ring_resync(b->w);
    ngx_http_push_binding_walk_start(b, 1);
}


void
ngx_http_push_binding_walk_start(ngx_http_push_binding_t *b,
    ngx_msec_t in_ms)
{
    if (!b->walking) {
        b->walking = 1;
        b->walk_cursor = 0;
        b->dirty = 0;
    }

    if (!b->walk.timer_set) {
        ngx_add_timer(&b->walk, in_ms);
    }
}


static void
ngx_http_push_binding_walk_handler(ngx_event_t *ev)
{
    ngx_http_push_binding_t  *b;

    b = ev->data;

    if (!ngx_http_push_redis_ready(b->redis)) {
        return;
    }

    if (ngx_http_push_table_walk(&b->walk_cursor, NGX_HTTP_PUSH_BINDING_SLICE,
                                 ngx_http_push_binding_walk_one, b)
        == NGX_AGAIN)
    {
        ngx_add_timer(ev, NGX_HTTP_PUSH_BINDING_SLICE_MS);
        return;
    }

    b->walking = 0;
    b->walk_all = 0;

    if (b->dirty) {                     /* new ones, or it found no room */
        ngx_http_push_binding_walk_start(b, NGX_HTTP_PUSH_BINDING_RETRY_MS);
    }
}


static void
ngx_http_push_binding_walk_one(ngx_http_push_conn_t *ws, void *data)
{
    ngx_int_t                 rc;
    ngx_http_push_binding_t  *b;

    b = data;

    if (ws->closing || !(ws->bind_dirty || (b->walk_all && ws->bound))) {
        return;
    }

    rc = ngx_http_push_binding_register(b, ws,
                                        b->walk_all
                                            ? NGX_HTTP_PUSH_BINDING_LOST
                                            : NGX_HTTP_PUSH_BINDING_DIRTY);

    if (rc != NGX_OK) {
        ws->bind_dirty = 1;
        b->dirty = 1;
    }

    if (b->walk_all) {
        ngx_http_push_delivery_resync(ws, ngx_http_push_now()
                                          + ngx_random() % b->walk_spread);
    }
}
