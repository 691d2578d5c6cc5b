/*
 * ngx_http_push_delivery: messages in both directions meet the delivery rule
 *
 *     hello, ack, ping, send (client) --+
 *                                       +--> push_delivery --> write, ask, close
 *     items (deliver, inbox, ring) -----+
 *
 * in:  parsed client messages; items of push_lines, in the owning worker
 * out: frames, requests through binding, an answer for each item
 */

#ifndef NGX_HTTP_PUSH_DELIVERY_H
#define NGX_HTTP_PUSH_DELIVERY_H

#include "ngx_http_push_module.h"

/* A whole text message of a push.v1 client.  May close ws. */
void ngx_http_push_delivery_message(ngx_http_push_conn_t *ws,
    const u_char *text, size_t len);

/* The connection is in the table: raw ones are bound at once. */
void ngx_http_push_delivery_open(ngx_http_push_conn_t *ws);
/* No hello within its time: begins without one. */
void ngx_http_push_delivery_begin(ngx_http_push_conn_t *ws);
/* The wheel's look: asks that are due, renewals, slow ones. May close ws. */
void ngx_http_push_delivery_tick(ngx_http_push_conn_t *ws, uint32_t now);
/* The queue has drained to half. */
void ngx_http_push_delivery_room(ngx_http_push_conn_t *ws);
/* It goes: last acks, binding removed, event written. */
void ngx_http_push_delivery_close(ngx_http_push_conn_t *ws);
/* Redis says that the binding had gone, or came back: ask for all logs. */
void ngx_http_push_delivery_resync(ngx_http_push_conn_t *ws);

/*
 * Carries one item out for this worker's connections.  The epoch of its body
 * was told by ngx_http_push_delivery_epoch() before.  group, join, leave and
 * groups find nobody: none.
 */
struct push_lines_answer ngx_http_push_delivery_item(
    const struct push_lines_item *item);

void ngx_http_push_delivery_epoch(struct push_str epoch);

#endif
