/*
 * ngx_http_push_delivery: a connection and the delivery rule
 *
 *     hello, ack (client) ---+
 *     messages (item, ring) -+--> push_delivery --> write, ask, close
 *     wheel, room in queue --+
 *
 * in:  what client.c and item.c understood, in the owning worker
 * out: frames, requests through binding, an answer for each message
 */

#ifndef NGX_HTTP_PUSH_DELIVERY_H
#define NGX_HTTP_PUSH_DELIVERY_H

#include "ngx_http_push_module.h"
#include "ngx_http_push_client.h"

/* The connection is in the table: raw ones are bound at once. */
void ngx_http_push_delivery_open(ngx_http_push_conn_t *ws);
/* The client's hello, the first frame: welcome, binding, first request. */
void ngx_http_push_delivery_hello(ngx_http_push_conn_t *ws,
    ngx_http_push_hello_t *hello);
/* No hello came: begins without one, unless it has begun. */
void ngx_http_push_delivery_begin(ngx_http_push_conn_t *ws);
/* log is a place in ws->logs.  May close ws. */
void ngx_http_push_delivery_ack(ngx_http_push_conn_t *ws, ngx_uint_t log,
    int64_t seq);
/* Tells Redis what the client has acked in this log, if that is not told. */
void ngx_http_push_delivery_tell_ack(ngx_http_push_conn_t *ws, ngx_uint_t log);
/* The wheel's look: asks that are due, renewals, slow ones. May close ws. */
void ngx_http_push_delivery_tick(ngx_http_push_conn_t *ws, uint32_t now);
/* The queue has drained to half. */
void ngx_http_push_delivery_room(ngx_http_push_conn_t *ws);
/* It goes: last acks, binding removed, event written. */
void ngx_http_push_delivery_close(ngx_http_push_conn_t *ws);
/*
 * Something may have been missed (binding was gone, Redis came back): asks for
 * the own log at at_ms.
 */
void ngx_http_push_delivery_resync(ngx_http_push_conn_t *ws, uint32_t at_ms);
/* Asks for whatever is due, after the ring has given what it holds. */
void ngx_http_push_delivery_ask(ngx_http_push_conn_t *ws);

/* Writes `synced`: all that was stored in the log has been given. */
void ngx_http_push_delivery_synced(ngx_http_push_conn_t *ws, ngx_uint_t log);

/* The name of a log in client frames. */
const char *ngx_http_push_delivery_log(ngx_uint_t log);

/* The epoch of a body, before its items. */
void ngx_http_push_delivery_epoch(struct push_str epoch);

#endif
