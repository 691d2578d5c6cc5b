/*
 * ngx_http_push_drain: a worker that leaves sends its clients elsewhere
 *
 *     quit, reload, new epoch --> slices of 100 ms --> bye, Close 1012
 *
 * All of them at once would come back at once.  Who is not in a slice yet goes
 * on as before.
 *
 * in:   quit, reload or upgrade has begun, or a new epoch was heard
 * out:  bye and 1012 over push_drain_time, by 2 s less than
 *       worker_shutdown_timeout
 * owns: the slices' timer
 */

#include "ngx_http_push_drain.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_table.h"


#define NGX_HTTP_PUSH_DRAIN_SLICE_MS   100
#define NGX_HTTP_PUSH_DRAIN_MARGIN_MS  2000     /* for the closing handshakes */
#define NGX_HTTP_PUSH_DRAIN_AGAIN_MS   1000     /* until the last one went */
#define NGX_HTTP_PUSH_DRAIN_RETRY_MS   200      /* the shortest retry_ms */
#define NGX_HTTP_PUSH_DRAIN_SPREAD_MS  2000     /* and what is added at random */


struct ngx_http_push_drain_s {
    ngx_event_t   event;
    ngx_uint_t    cursor;       /* of the walk through the table */
    uint32_t      end_ms;       /* when the last slice is due */
    ngx_uint_t    left;         /* of the walk, for the slices to come */
};


static ngx_http_push_drain_t *ngx_http_push_drain_get(
    ngx_http_push_worker_t *w);
static void ngx_http_push_drain_begin(ngx_http_push_worker_t *w,
    ngx_msec_t time);
static void ngx_http_push_drain_all(ngx_http_push_worker_t *w);
static void ngx_http_push_drain_handler(ngx_event_t *ev);
static void ngx_http_push_drain_bye(ngx_http_push_conn_t *ws, void *data);


void
ngx_http_push_drain_start(ngx_http_push_worker_t *w)
{
    ngx_msec_t        time;
    ngx_core_conf_t  *ccf;

    if (w->exiting) {
        return;
    }

    w->exiting = 1;

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);
    time = w->conf->drain_time;

    if (ccf->shutdown_timeout) {
        time = ngx_min(time, ccf->shutdown_timeout
                             - ngx_min(ccf->shutdown_timeout,
                                       NGX_HTTP_PUSH_DRAIN_MARGIN_MS));
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "push drain connections=%ui ms=%M", w->connections, time);

    ngx_http_push_drain_begin(w, time);
}


void
ngx_http_push_drain_epoch(ngx_http_push_worker_t *w)
{
    if (w->exiting) {
        return;                 /* all of them go already */
    }

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "push drain connections=%ui ms=%M reason=\"new epoch\"",
                  w->connections, w->conf->drain_time);

    ngx_http_push_drain_begin(w, w->conf->drain_time);
}


void
ngx_http_push_drain_destroy(ngx_http_push_worker_t *w)
{
    if (w->drain == NULL) {
        return;
    }

    if (w->drain->event.timer_set) {
        ngx_del_timer(&w->drain->event);
    }

    ngx_free(w->drain);
    w->drain = NULL;
}


static void
ngx_http_push_drain_begin(ngx_http_push_worker_t *w, ngx_msec_t time)
{
    ngx_http_push_drain_t  *drain;

    drain = ngx_http_push_drain_get(w);
    if (drain == NULL) {
        return;                 /* worker_shutdown_timeout will end them */
    }

    ngx_http_push_drain_all(w);
    drain->end_ms = ngx_http_push_now() + (uint32_t) time;

    if (!drain->event.timer_set) {
        ngx_add_timer(&drain->event, 1);
    }
}


/* Who is here goes, who comes from now on stays. */

static void
ngx_http_push_drain_all(ngx_http_push_worker_t *w)
{
    if (w->era_begun) {
        w->era++;
        w->era_begun = 0;
    }

    w->drain->cursor = 0;
    w->drain->left = ngx_http_push_table_length();
}


static void
ngx_http_push_drain_handler(ngx_event_t *ev)
{
    int32_t                  left_ms;
    ngx_uint_t               slices, max;
    ngx_http_push_drain_t   *drain;
    ngx_http_push_worker_t  *w;

    w = ev->data;
    drain = w->drain;

    left_ms = (int32_t) (drain->end_ms - ngx_http_push_now());

    if (left_ms > 0) {
        slices = left_ms / NGX_HTTP_PUSH_DRAIN_SLICE_MS + 1;
        max = ngx_max((drain->left + slices - 1) / slices, 1);
        drain->left -= ngx_min(drain->left, max);

    } else {
        max = NGX_MAX_INT_T_VALUE;      /* the time is over: all that are left */
    }

    if (ngx_http_push_table_walk(&drain->cursor, max, ngx_http_push_drain_bye,
                                 w)
        == NGX_AGAIN)
    {
        ngx_add_timer(ev, NGX_HTTP_PUSH_DRAIN_SLICE_MS);
        return;
    }

    if (w->exiting) {
        /* a handshake that was under way may end after the last one went */
        ngx_http_push_drain_all(w);
        ngx_add_timer(ev, NGX_HTTP_PUSH_DRAIN_AGAIN_MS);
    }
}


static void
ngx_http_push_drain_bye(ngx_http_push_conn_t *ws, void *data)
{
    ngx_uint_t               retry_ms;
    ngx_http_push_worker_t  *w = data;

    if (ws->closing || ws->era == w->era) {
        return;
    }

    if (!ws->raw) {
        /* the more there are, the later some of them come back */

        retry_ms = NGX_HTTP_PUSH_DRAIN_RETRY_MS
                   + ngx_random() % (NGX_HTTP_PUSH_DRAIN_SPREAD_MS
                                     + w->connections / 2);

        (void) ngx_http_push_conn_sendf(ws, "{\"type\":\"bye\",\"code\":1012,"
                                        "\"retry_ms\":%ui}", retry_ms);
        ws->draining = 1;
    }

    ngx_http_push_conn_close(ws, PUSH_CLOSE_RESTART, 0, NULL, 0);
}


static ngx_http_push_drain_t *
ngx_http_push_drain_get(ngx_http_push_worker_t *w)
{
    ngx_http_push_drain_t  *drain;

    if (w->drain) {
        return w->drain;
    }

    drain = ngx_calloc(sizeof(ngx_http_push_drain_t), ngx_cycle->log);
    if (drain == NULL) {
        return NULL;
    }

    drain->event.handler = ngx_http_push_drain_handler;
    drain->event.data = w;
    drain->event.log = ngx_cycle->log;
    drain->event.cancelable = 1;    /* connections keep the worker, not this */

    w->drain = drain;

    return drain;
}
