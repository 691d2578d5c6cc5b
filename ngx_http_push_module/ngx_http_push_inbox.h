/*
 * ngx_http_push_inbox: datagrams between the workers of one node
 *
 *     deliver --parts--> slot's socketpair --> other worker --> delivery
 *        ^                                          |
 *        +--------------- answers ------------------+
 *
 * in:   items of one deliver body; out: one summed answer an item
 * owns: the zone's slots, the socketpairs (made by the master before fork),
 *       batches that wait for answers (deadline 300 ms)
 */

#ifndef NGX_HTTP_PUSH_INBOX_H
#define NGX_HTTP_PUSH_INBOX_H

#include "ngx_http_push_module.h"

#define NGX_HTTP_PUSH_SLOT_FREE   0
#define NGX_HTTP_PUSH_SLOT_RUN    1
#define NGX_HTTP_PUSH_SLOT_DRAIN  2

struct ngx_http_push_slot_s {
    ngx_atomic_t                pid;            /* 0: free */
    ngx_atomic_t                started;        /* start time of pid, ticks */
    ngx_atomic_t                generation;
    ngx_atomic_t                state;
    ngx_atomic_t                worker;         /* ngx_worker */
    ngx_atomic_t                fd_rx;
    ngx_atomic_t                fd_tx;
    ngx_http_push_counters_t    counters;
    /* padded to a cache line by the zone's layout */
};

struct ngx_http_push_zone_s {
    uint64_t                    instance;
    ngx_uint_t                  slots;
    ngx_http_push_counters_t    gone;           /* of workers that have left */
    ngx_http_push_slot_t        slot[1];
};

/* postconfiguration: adds the zone.  Its init fills it. */
ngx_int_t ngx_http_push_inbox_add_zone(ngx_conf_t *cf,
    ngx_http_push_main_conf_t *conf);
/* init_module, in the master: instance and socketpairs, once. */
ngx_int_t ngx_http_push_inbox_init_module(ngx_cycle_t *cycle,
    ngx_http_push_main_conf_t *conf);
/* init_process: claims a slot, fills w->zone, slot, generation, counters,
   instance; adds the read event.  Its read handler hears the quit as well
   (idle connection): calls ngx_http_push_drain_start(). */
ngx_int_t ngx_http_push_inbox_init(ngx_http_push_worker_t *w,
    ngx_cycle_t *cycle);
/* exit_process: the slot is FREE, its counters added to zone->gone. */
void ngx_http_push_inbox_destroy(ngx_http_push_worker_t *w);

typedef struct ngx_http_push_batch_s  ngx_http_push_batch_t;

/*
 * One deliver body: answers[0 .. n) hold the sums when done is called, exactly
 * once, never before ngx_http_push_batch_end() returns.
 */
typedef void (*ngx_http_push_batch_pt)(ngx_http_push_batch_t *b, void *data);

ngx_http_push_batch_t *ngx_http_push_batch_create(ngx_uint_t max,
    struct push_str epoch, ngx_http_push_batch_pt done, void *data);
/* Carries the item out here and sends it to the workers that it concerns. */
ngx_int_t ngx_http_push_batch_item(ngx_http_push_batch_t *b,
    const struct push_lines_item *item);
void ngx_http_push_batch_end(ngx_http_push_batch_t *b);
struct push_lines_answer *ngx_http_push_batch_answers(ngx_http_push_batch_t *b,
    ngx_uint_t *n);
/* After done, or when the requester has left before it. */
void ngx_http_push_batch_destroy(ngx_http_push_batch_t *b);

#endif
