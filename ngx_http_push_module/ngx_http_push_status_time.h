/*
 * ngx_http_push_status_time: histograms as text
 *
 * in:   the histograms of a worker, or of all; out: text
 */

#ifndef NGX_HTTP_PUSH_STATUS_TIME_H
#define NGX_HTTP_PUSH_STATUS_TIME_H

#include "ngx_http_push_module.h"

/*
 * Members of a JSON object, each behind a comma: count, sum, p50, p99, max of
 * each histogram, in microseconds; with buckets: how many lie below each bound
 * and above the one before.
 */
u_char *ngx_http_push_status_time_json(u_char *p, u_char *last,
    const ngx_http_push_counters_t *counters, ngx_uint_t buckets);

/* Prometheus: in seconds, bounds of 1, 2 and 5, and the largest as a gauge. */
u_char *ngx_http_push_status_time_text(u_char *p, u_char *last,
    const ngx_http_push_counters_t *counters);

/* Bytes that either format needs at most, with the rows of so many workers. */
size_t ngx_http_push_status_time_size(ngx_uint_t workers);

#endif
