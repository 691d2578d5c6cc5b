/*
 * ngx_http_push_inbox: datagrams between the workers of one node
 *
 *     batch --parcel--> slot's socketpair --> other worker --> batch
 *
 * in:   parcels (push_parcel) for a slot; out: parcels for batch.c
 * owns: parcels that a full socket did not take, pieces being put together
 */

#ifndef NGX_HTTP_PUSH_INBOX_H
#define NGX_HTTP_PUSH_INBOX_H

#include "ngx_http_push_module.h"

/* init_process: claims a slot (slot.h), then batch.c; adds the read event.
   Its read handler hears the quit as well (idle connection): calls
   ngx_http_push_drain_start().  NGX_DECLINED: no slot is free. */
ngx_int_t ngx_http_push_inbox_init(ngx_http_push_worker_t *w,
    ngx_cycle_t *cycle);
/* exit_process: the slot is free. */
void ngx_http_push_inbox_destroy(ngx_http_push_worker_t *w);

/*
 * A datagram for another worker, copied.  NGX_OK: sent, or kept until the
 * socket takes it; NGX_DECLINED: too much waits already, it is dropped.
 */
ngx_int_t ngx_http_push_inbox_send(ngx_http_push_worker_t *w, ngx_uint_t slot,
    const u_char *data, size_t len);

#endif
