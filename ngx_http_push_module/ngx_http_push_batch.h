/*
 * ngx_http_push_batch: the items of one deliver body, in all workers
 *
 *     deliver --items--> here, and parcels --> inbox --> other workers
 *        ^                                                   |
 *        +-------- answers, summed <------- parcels ---------+
 *
 * in:   items; out: one summed answer an item, before a deadline of 300 ms
 * owns: batches that wait for answers, parcels being filled, who is late
 */

#ifndef NGX_HTTP_PUSH_BATCH_H
#define NGX_HTTP_PUSH_BATCH_H

#include "ngx_http_push_module.h"
#include "push_parcel.h"

typedef struct ngx_http_push_batch_s    ngx_http_push_batch_t;

/*
 * answers[0 .. n) hold the sums when done is called, exactly once, never
 * before ngx_http_push_batch_end() returns, not at all after destroy.
 */
typedef void (*ngx_http_push_batch_pt)(ngx_http_push_batch_t *b, void *data);

/*
 * At most max items.  epoch is told to all workers; empty: not known.  From
 * here to ngx_http_push_batch_end() nothing may wait.  NULL: no memory.
 */
ngx_http_push_batch_t *ngx_http_push_batch_create(ngx_uint_t max,
    struct push_str epoch, ngx_http_push_batch_pt done, void *data);
/*
 * Carries the item out here and sends it to the workers that it concerns.
 * NGX_ERROR: more than max.
 */
ngx_int_t ngx_http_push_batch_item(ngx_http_push_batch_t *b,
    const struct push_lines_item *item);
void ngx_http_push_batch_end(ngx_http_push_batch_t *b);
struct push_lines_answer *ngx_http_push_batch_answers(ngx_http_push_batch_t *b,
    ngx_uint_t *n);
/* After done, or when the requester has left before it. */
void ngx_http_push_batch_destroy(ngx_http_push_batch_t *b);

/* A whole parcel came in: ITEMS or ANSWERS.  NGX_ERROR: malformed. */
ngx_int_t ngx_http_push_batch_parcel(ngx_http_push_worker_t *w,
    const struct push_parcel *p);

ngx_int_t ngx_http_push_batch_init(ngx_http_push_worker_t *w);
/* exit_process: done is not called any more. */
void ngx_http_push_batch_exit(ngx_http_push_worker_t *w);

#endif
