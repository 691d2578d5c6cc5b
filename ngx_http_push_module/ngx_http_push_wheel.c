/*
 * ngx_http_push_wheel: one timer for all connections of a worker
 *
 *     at_ms --> slot (at_ms / tick) mod slots --tick--> look
 *
 * A time beyond the wheel's turn waits in its last slot: a look more.
 *
 * in:   connections and times; out: calls of look, of the ring's tick
 * owns: the slots, one nginx timer
 */

#include "ngx_http_push_wheel.h"
#include "ngx_http_push_binding.h"
#include "ngx_http_push_cell.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_ring.h"


struct ngx_http_push_wheel_s {
    uint32_t                slots[NGX_HTTP_PUSH_WHEEL_SLOTS];   /* cells */
    uint32_t                tick;           /* the next one to be looked at */
    ngx_event_t             event;
    ngx_http_push_wheel_pt  look;
};


static void ngx_http_push_wheel_handler(ngx_event_t *ev);
static void ngx_http_push_wheel_tick(ngx_http_push_wheel_t *wheel,
    uint32_t now);

#define ngx_http_push_wheel_ticks(ms)  ((ms) / NGX_HTTP_PUSH_WHEEL_TICK_MS)
#define ngx_http_push_wheel_slot(wheel, tick)                                 \
    (&(wheel)->slots[(tick) % NGX_HTTP_PUSH_WHEEL_SLOTS])

#define NGX_HTTP_PUSH_WHEEL_LINK  offsetof(ngx_http_push_conn_t, wheel_link)


ngx_int_t
ngx_http_push_wheel_init(ngx_http_push_worker_t *w,
    ngx_http_push_wheel_pt look)
{
    ngx_http_push_wheel_t  *wheel;

    wheel = ngx_calloc(sizeof(ngx_http_push_wheel_t), ngx_cycle->log);
    if (wheel == NULL) {
        return NGX_ERROR;
    }

    wheel->look = look;
    wheel->event.handler = ngx_http_push_wheel_handler;
    wheel->event.data = w;
    wheel->event.log = ngx_cycle->log;

    w->wheel = wheel;

    return NGX_OK;
}


void
ngx_http_push_wheel_destroy(ngx_http_push_worker_t *w)
{
    if (w->wheel == NULL) {
        return;
    }

    if (w->wheel->event.timer_set) {
        ngx_del_timer(&w->wheel->event);
    }

    ngx_free(w->wheel);
    w->wheel = NULL;
}


void
ngx_http_push_wheel_at(ngx_http_push_conn_t *ws, uint32_t at_ms)
{
    uint32_t                tick, ticks;
    ngx_http_push_wheel_t  *wheel;

    wheel = ngx_http_push_worker->wheel;

    /* rounded up: a look is not early */

    if (ngx_http_push_before(at_ms,
                             wheel->tick * NGX_HTTP_PUSH_WHEEL_TICK_MS))
    {
        ticks = 0;

    } else {
        ticks = ngx_http_push_wheel_ticks(at_ms
                                - wheel->tick * NGX_HTTP_PUSH_WHEEL_TICK_MS
                                + NGX_HTTP_PUSH_WHEEL_TICK_MS - 1);
        ticks = ngx_min(ticks, NGX_HTTP_PUSH_WHEEL_SLOTS - 1);
    }

    tick = wheel->tick + ticks;

    if (ws->on_wheel && !ngx_http_push_before(tick, ws->wheel_tick)) {
        return;
    }

    ngx_http_push_wheel_remove(ws);

    ws->wheel_tick = tick;
    ws->on_wheel = 1;

    ngx_http_push_cell_append(ngx_http_push_wheel_slot(wheel, tick), ws,
                              NGX_HTTP_PUSH_WHEEL_LINK);
}


void
ngx_http_push_wheel_remove(ngx_http_push_conn_t *ws)
{
    if (ws->on_wheel) {
        ngx_http_push_cell_remove(
            ngx_http_push_wheel_slot(ngx_http_push_worker->wheel,
                                     ws->wheel_tick),
            ws, NGX_HTTP_PUSH_WHEEL_LINK);

        ws->on_wheel = 0;
    }
}


void
ngx_http_push_wheel_start(ngx_http_push_worker_t *w)
{
    ngx_http_push_wheel_t  *wheel;

    wheel = w->wheel;

    if (!wheel->event.timer_set) {
        wheel->tick = ngx_http_push_wheel_ticks(ngx_http_push_now());
        ngx_add_timer(&wheel->event, NGX_HTTP_PUSH_WHEEL_TICK_MS);
    }
}


static void
ngx_http_push_wheel_handler(ngx_event_t *ev)
{
    uint32_t                 now;
    ngx_http_push_worker_t  *w;

    w = ev->data;
    now = ngx_http_push_now();

    ngx_http_push_wheel_tick(w->wheel, now);
    ngx_http_push_ring_tick(w, now);
    ngx_http_push_heap_tick(&w->heap, w->queue_bytes, w->connections == 0,
                            now);

    /* a leaving worker also waits until Redis has heard of its last ones */

    if (w->connections
        || (ngx_exiting && ngx_http_push_binding_pending(w)))
    {
        ngx_add_timer(ev, NGX_HTTP_PUSH_WHEEL_TICK_MS);
    }
}


static void
ngx_http_push_wheel_tick(ngx_http_push_wheel_t *wheel, uint32_t now)
{
    uint32_t               tick, *slot;
    ngx_http_push_conn_t  *ws;

    while (!ngx_http_push_before(now,
                                 wheel->tick * NGX_HTTP_PUSH_WHEEL_TICK_MS))
    {
        tick = wheel->tick++;
        slot = ngx_http_push_wheel_slot(wheel, tick);

        /* a look may put itself behind them, for the wheel's next turn */

        while (*slot) {
            ws = ngx_http_push_cell(*slot);

            if (ws->wheel_tick != tick) {
                break;
            }

            ngx_http_push_wheel_remove(ws);
            wheel->look(ws, now);
        }
    }
}
