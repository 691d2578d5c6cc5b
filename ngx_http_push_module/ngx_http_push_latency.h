/*
 * ngx_http_push_latency: how long things take inside the edge
 *
 *     deliver, inbox --begin--> item --written--> flush --flushed--> histogram
 *
 * in:   moments of the monotonic clock, which all workers of a node share
 * out:  histograms in the worker's slot, summed and shown by status.c
 * owns: the moments of bodies whose messages are not written yet
 *
 * Microseconds of wall time: a worker that had to wait for a processor is seen
 * in them.  One look at the clock a body and one a flush, whatever the number
 * of items and connections.
 */

#ifndef NGX_HTTP_PUSH_LATENCY_H
#define NGX_HTTP_PUSH_LATENCY_H

#include "ngx_http_push_module.h"

/* The upper bound of bucket i in microseconds; i < BUCKETS - 1, whose last has
   none. */
uint32_t ngx_http_push_latency_bound(ngx_uint_t i);
/* It is 1, 2 or 5 times a power of ten. */
ngx_uint_t ngx_http_push_latency_round(ngx_uint_t i);

/* Counts n times us. */
void ngx_http_push_latency_add(ngx_http_push_time_t *t, uint64_t us,
    ngx_uint_t n);
/* into += from */
void ngx_http_push_latency_sum(ngx_http_push_time_t *into,
    const ngx_http_push_time_t *from);
/* The bound below which permille of all lie, at most 30 % too high; 0: none. */
ngx_uint_t ngx_http_push_latency_quantile(const ngx_http_push_time_t *t,
    ngx_uint_t permille);

uint64_t ngx_http_push_latency_now(void);

/*
 * The items that follow stand in a body that was here at at_us, in this worker
 * or in the one that sent them.
 */
void ngx_http_push_latency_begin(uint64_t at_us);
/* n messages for users went into queues whose sockets take more. */
void ngx_http_push_latency_written(ngx_uint_t n);
/* All queues were written: counts what was said before. */
void ngx_http_push_latency_flushed(void);

#endif
