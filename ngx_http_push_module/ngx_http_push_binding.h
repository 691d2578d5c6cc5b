/*
 * ngx_http_push_binding: what Redis knows of this worker (docs/rules.md 1, 2, 4)
 *
 *     conn --> ZADD, XADD resync --+
 *     wheel -> renewals            +--> redis.c: one pipeline
 *     acks  -> packed XADD         |
 *     lease -> HSET, PEXPIRE ------+
 *
 * in:   connections and what they need; out: commands, never awaited
 * owns: the connection to Redis, the pack of acks, the lease's timer, the walk
 *       after a loss
 *
 * binding.c has the bindings, binding_replace.c devices that connect again,
 * binding_loss.c what happens when Redis has forgotten us, binding_stream.c the
 * streams, binding_lease.c the lease of the node.
 * Without push_redis nothing of this happens: nobody is bound, nothing asked.
 */

#ifndef NGX_HTTP_PUSH_BINDING_H
#define NGX_HTTP_PUSH_BINDING_H

#include "ngx_http_push_module.h"

ngx_int_t ngx_http_push_binding_init(ngx_http_push_worker_t *w);
/* exit_process: sends what is pending for at most 200 ms, then leaves */
void ngx_http_push_binding_destroy(ngx_http_push_worker_t *w);

/*
 * The first time for a connection: binding and event `open`; since_ms becomes
 * now by Redis' clock.  Others of the device are replaced.  Redis down or the
 * pipeline full: kept as dirty bit, tried again with pacing.
 */
void ngx_http_push_binding_add(ngx_http_push_conn_t *ws);
/* Renewal (ZADD, PEXPIRE); a reply of 1 calls delivery_resync, and looks
   whether a newer connection of the device is there. */
void ngx_http_push_binding_renew(ngx_http_push_conn_t *ws);
/* ZREM of the exact member, event `close` with the code. */
void ngx_http_push_binding_remove(ngx_http_push_conn_t *ws);

/*
 * One request to push:ev:resync for the logs whose ask is due:
 * calls push_delivery_asked() for each of them if it was written.  Returns
 * NGX_OK, or NGX_DECLINED: Redis is down or full, or the pace of 200/s is
 * used up; ask again when the clock (ngx_http_push_now) shows *again_ms.
 */
ngx_int_t ngx_http_push_binding_ask(ngx_http_push_conn_t *ws,
    uint32_t *again_ms);
/* The same for the worker's own follow-up of `all` (conn index 0). */
ngx_int_t ngx_http_push_binding_ask_all(struct push_delivery *d,
    size_t bytes, uint32_t *again_ms);

/*
 * An ack for push:ev:ack; packed with others for up to 50 ms.  Dropped while
 * Redis is down and the pack is full: a later ack includes it.
 */
void ngx_http_push_binding_ack(ngx_http_push_conn_t *ws, struct push_str log,
    int64_t seq);

/* Commands that are not answered yet; a leaving worker waits for 0. */
ngx_uint_t ngx_http_push_binding_pending(ngx_http_push_worker_t *w);

/*
 * This worker leaves.  When all of them do, the lease says draining: after a
 * reload the new ones do not.
 */
void ngx_http_push_binding_draining(ngx_http_push_worker_t *w);

#endif
