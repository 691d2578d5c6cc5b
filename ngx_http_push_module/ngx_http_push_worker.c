/*
 * ngx_http_push_worker: all that a worker begins with, and ends
 *
 *     init --> slot, inbox, table, conn, ring, fan_out, binding --> deinit
 *      |
 *      +--> no slot is free: look again each second
 *
 * in:   the start and the end of a worker process
 * out:  ngx_http_push_worker, or NULL while it waits for a slot
 * owns: the worker's state
 */

#include "ngx_http_push_worker.h"
#include "ngx_http_push_cell.h"
#include "ngx_http_push_binding.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_drain.h"
#include "ngx_http_push_fan_out.h"
#include "ngx_http_push_inbox.h"
#include "ngx_http_push_ring.h"
#include "ngx_http_push_slab.h"
#include "ngx_http_push_table.h"


#define NGX_HTTP_PUSH_WAIT_MS  1000             /* between looks for a slot */


static ngx_int_t ngx_http_push_worker_start(ngx_cycle_t *cycle,
    ngx_http_push_main_conf_t *pmcf);
static void ngx_http_push_worker_wait(ngx_event_t *ev);


ngx_http_push_worker_t  *ngx_http_push_worker;

static ngx_event_t                 ngx_http_push_wait;      /* for a slot */
static ngx_http_push_main_conf_t  *ngx_http_push_waiting;


ngx_int_t
ngx_http_push_worker_init(ngx_cycle_t *cycle,
    ngx_http_push_main_conf_t *pmcf)
{
    ngx_int_t  rc;

    rc = ngx_http_push_worker_start(cycle, pmcf);

    if (rc == NGX_DECLINED) {

        /*
         * Many reloads while old workers drain: an error would end this worker
         * for good, so it serves all but WebSockets until a slot is free.
         */

        ngx_log_error(NGX_LOG_ERR, cycle->log, 0,
                      "push: all %ui worker slots are taken, too many old "
                      "workers are still leaving: this worker takes no "
                      "WebSockets until one has gone", pmcf->slots);

        ngx_http_push_waiting = pmcf;

        ngx_http_push_wait.handler = ngx_http_push_worker_wait;
        ngx_http_push_wait.data = cycle;
        ngx_http_push_wait.log = cycle->log;
        ngx_http_push_wait.cancelable = 1;

        ngx_add_timer(&ngx_http_push_wait, NGX_HTTP_PUSH_WAIT_MS);

        return NGX_OK;
    }

    return rc;
}


/* Everything of this worker.  NGX_DECLINED: all slots are taken, nothing is. */

static ngx_int_t
ngx_http_push_worker_start(ngx_cycle_t *cycle, ngx_http_push_main_conf_t *pmcf)
{
    ngx_int_t                rc;
    ngx_http_push_worker_t  *w;

    w = ngx_pcalloc(cycle->pool, sizeof(ngx_http_push_worker_t));
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->conf = pmcf;

    ngx_http_push_worker = w;

    if (ngx_http_push_slab_init(w) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_push_inbox_init(w, cycle);

    if (rc == NGX_DECLINED) {
        ngx_http_push_slab_destroy(w);
        ngx_http_push_worker = NULL;
        ngx_pfree(cycle->pool, w);
        return rc;
    }

    if (rc != NGX_OK
        || ngx_http_push_cell_init(w) != NGX_OK
        || ngx_http_push_table_init(w) != NGX_OK
        || ngx_http_push_conn_init(w) != NGX_OK
        || ngx_http_push_ring_init(w) != NGX_OK
        || ngx_http_push_fan_out_init(w) != NGX_OK
        || ngx_http_push_binding_init(w) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_http_push_worker_wait(ngx_event_t *ev)
{
    ngx_int_t     rc;
    ngx_cycle_t  *cycle;

    cycle = ev->data;

    if (ngx_exiting) {
        return;
    }

    rc = ngx_http_push_worker_start(cycle, ngx_http_push_waiting);

    if (rc == NGX_DECLINED) {
        ngx_add_timer(ev, NGX_HTTP_PUSH_WAIT_MS);

    } else if (rc == NGX_OK) {
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                      "push: this worker has a slot and takes WebSockets");

    } else {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "push: no memory or connections to take WebSockets: "
                      "this worker leaves, another one will start");
        ngx_quit = 1;
    }
}


void
ngx_http_push_worker_deinit(void)
{
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    if (w == NULL) {
        return;
    }

    /* against the order of the start: nobody misses what it calls */

    ngx_http_push_drain_destroy(w);
    ngx_http_push_conn_destroy(w);
    ngx_http_push_binding_destroy(w);
    ngx_http_push_fan_out_destroy(w);
    ngx_http_push_ring_destroy(w);
    ngx_http_push_table_destroy(w);
    ngx_http_push_cell_destroy(w);
    ngx_http_push_inbox_destroy(w);
    ngx_http_push_slab_destroy(w);

    ngx_http_push_worker = NULL;
}
