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

#ifndef NGX_HTTP_PUSH_WORKER_H
#define NGX_HTTP_PUSH_WORKER_H

#include "ngx_http_push_module.h"

/*
 * init_process of a worker that uses the module.  NGX_OK, also while all slots
 * are taken: then it serves no WebSockets until one is free.
 */
ngx_int_t ngx_http_push_worker_init(ngx_cycle_t *cycle,
    ngx_http_push_main_conf_t *pmcf);

/* exit_process; without ngx_http_push_worker nothing happens. */
void ngx_http_push_worker_deinit(void);

#endif
