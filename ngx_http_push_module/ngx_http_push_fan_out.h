/*
 * ngx_http_push_fan_out: what everybody gets, in slices of the event loop
 *
 *     ring, ephemeral items --> walk over the table --> delivery --> writes
 *
 * A slice ends after 1 ms, writes included, and what else waits in the event
 * loop comes in between: a fan-out never holds a unicast up for longer.  What
 * comes during a walk goes together in the next one, so two walks are the most
 * that a message needs, however many come at once.
 *
 * in:   "the ring has something new", ephemeral messages for all, a pace
 * out:  each connection is given what it lacks
 * owns: the walk under way, the ephemeral messages that wait
 */

#ifndef NGX_HTTP_PUSH_FAN_OUT_H
#define NGX_HTTP_PUSH_FAN_OUT_H

#include "ngx_http_push_module.h"

#define NGX_HTTP_PUSH_EPHEMERAL_MAX  64         /* held at once; stored ones are
                                                   bounded by the ring */

/* w->fan_out; NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_fan_out_init(ngx_http_push_worker_t *w);
void ngx_http_push_fan_out_destroy(ngx_http_push_worker_t *w);

/* The ring has something new: the walk begins at the end of this turn. */
void ngx_http_push_fan_out_start(ngx_http_push_worker_t *w);

/* Item `all` with seq 0: ok <connections here>, or slow: too many wait. */
struct push_lines_answer ngx_http_push_fan_out_ephemeral(
    ngx_http_push_worker_t *w, const struct push_lines_item *item);

/* Item `pace`: at most so many connections a second; 0: as fast as it goes. */
struct push_lines_answer ngx_http_push_fan_out_pace(
    const struct push_lines_item *item);

#endif
