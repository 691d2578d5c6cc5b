/*
 * ngx_http_push_drain: a worker that leaves sends its clients elsewhere
 *
 * in:   quit, reload or upgrade has begun; out: bye and 1012 in slices over
 *       push_drain_time (less than worker_shutdown_timeout by 2 s)
 * owns: the slices' timer
 */

#ifndef NGX_HTTP_PUSH_DRAIN_H
#define NGX_HTTP_PUSH_DRAIN_H

#include "ngx_http_push_module.h"

void ngx_http_push_drain_start(ngx_http_push_worker_t *w);
/* Connections older than now are sent elsewhere, paced: a new epoch. */
void ngx_http_push_drain_epoch(ngx_http_push_worker_t *w);
void ngx_http_push_drain_destroy(ngx_http_push_worker_t *w);

#endif
