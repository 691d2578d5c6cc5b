/*
 * ngx_http_push_slot: the worker slots of a node, and their sockets
 *
 * in:   workers that come and go; out: a slot each, sums over all of them
 * owns: the zone, the socketpairs (made by the master before fork)
 */

#ifndef NGX_HTTP_PUSH_SLOT_H
#define NGX_HTTP_PUSH_SLOT_H

#include "ngx_http_push_module.h"

#define NGX_HTTP_PUSH_SLOTS_MAX   255

#define NGX_HTTP_PUSH_SLOT_FREE   0
#define NGX_HTTP_PUSH_SLOT_RUN    1
#define NGX_HTTP_PUSH_SLOT_DRAIN  2

struct ngx_http_push_slot_s {
    ngx_atomic_t                pid;            /* 0: free */
    ngx_atomic_t                started;        /* start time of pid, ticks */
    ngx_atomic_t                generation;
    ngx_atomic_t                state;
    ngx_atomic_t                worker;         /* ngx_worker */
    ngx_atomic_t                fd_rx;          /* in every process alike */
    ngx_atomic_t                fd_tx;
    ngx_http_push_counters_t    counters;
} __attribute__ ((aligned (64)));               /* a cache line is one's own */

struct ngx_http_push_zone_s {
    uint64_t                    instance;
    ngx_uint_t                  slots;
    ngx_http_push_limits_t     *limits;         /* NULL: nobody is counted */
    void                       *sockets;        /* of the master: who closes
                                                   them; NULL: not made yet */
    ngx_http_push_counters_t    gone;           /* of workers that have left */
    ngx_http_push_slot_t        slot[1];
};

/* postconfiguration: adds the zone.  Its init fills it. */
ngx_int_t ngx_http_push_slot_add_zone(ngx_conf_t *cf,
    ngx_http_push_main_conf_t *conf);
/* init_module, in the master: the socketpairs, once for a zone. */
ngx_int_t ngx_http_push_slot_init_module(ngx_cycle_t *cycle,
    ngx_http_push_main_conf_t *conf);

/* Fills w->zone, instance, slot, generation, counters.  NGX_DECLINED: all
   are taken. */
ngx_int_t ngx_http_push_slot_claim(ngx_http_push_worker_t *w);
/* Nobody needs to send anything to this worker any more. */
void ngx_http_push_slot_close(ngx_http_push_worker_t *w);
/* The slot is free, its counters are added to zone->gone. */
void ngx_http_push_slot_leave(ngx_http_push_worker_t *w);

/* The process that claimed the slot lives; a zombie counts as living. */
ngx_uint_t ngx_http_push_slot_alive(ngx_http_push_slot_t *slot);
/* Of living workers that are not closed: how many, how many of them leave, and
   the connections of all of them. */
typedef struct {
    ngx_uint_t                  workers;
    ngx_uint_t                  leaving;
    ngx_uint_t                  connections;
} ngx_http_push_slot_sum_t;

void ngx_http_push_slot_sum(ngx_http_push_zone_t *zone,
    ngx_http_push_slot_sum_t *sum);
/* into += from, counters and histograms: no gauges */
void ngx_http_push_slot_add(ngx_http_push_counters_t *into,
    const ngx_http_push_counters_t *from);

#endif
