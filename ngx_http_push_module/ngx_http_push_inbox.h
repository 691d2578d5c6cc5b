/*
 * ngx_http_push_inbox: datagrams between the workers of one node
 *
 *     batch --parcel--> slot's socketpair --> other worker --> batch
 *
 * in:   parcels (push_parcel) for a slot; out: parcels for batch.c
 * owns: the zone's slots, the socketpairs (made by the master before fork),
 *       parcels that a full socket did not take, pieces being put together
 */

#ifndef NGX_HTTP_PUSH_INBOX_H
#define NGX_HTTP_PUSH_INBOX_H

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
    void                       *sockets;        /* of the master: who closes
                                                   them; NULL: not made yet */
    ngx_http_push_counters_t    gone;           /* of workers that have left */
    ngx_http_push_slot_t        slot[1];
};

/* postconfiguration: adds the zone.  Its init fills it. */
ngx_int_t ngx_http_push_inbox_add_zone(ngx_conf_t *cf,
    ngx_http_push_main_conf_t *conf);
/* init_module, in the master: the socketpairs, once for a zone. */
ngx_int_t ngx_http_push_inbox_init_module(ngx_cycle_t *cycle,
    ngx_http_push_main_conf_t *conf);
/* init_process: claims a slot, fills w->zone, slot, generation, counters,
   instance; adds the read event.  Its read handler hears the quit as well
   (idle connection): calls ngx_http_push_drain_start(). */
ngx_int_t ngx_http_push_inbox_init(ngx_http_push_worker_t *w,
    ngx_cycle_t *cycle);
/* exit_process: the slot is FREE, its counters added to zone->gone. */
void ngx_http_push_inbox_destroy(ngx_http_push_worker_t *w);

/*
 * A datagram for another worker, copied.  NGX_OK: sent, or kept until the
 * socket takes it; NGX_DECLINED: too much waits already, it is dropped.
 */
ngx_int_t ngx_http_push_inbox_send(ngx_http_push_worker_t *w, ngx_uint_t slot,
    const u_char *data, size_t len);

/* The process that claimed the slot lives; a zombie counts as living. */
ngx_uint_t ngx_http_push_inbox_alive(ngx_http_push_slot_t *slot);
/* Living workers, and the connections of all of them. */
void ngx_http_push_inbox_sum(ngx_http_push_zone_t *zone, ngx_uint_t *workers,
    ngx_uint_t *connections);
/* into += from, counters only: no gauges */
void ngx_http_push_inbox_add(ngx_http_push_counters_t *into,
    const ngx_http_push_counters_t *from);

#endif
