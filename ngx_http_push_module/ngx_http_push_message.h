/*
 * ngx_http_push_message: one message for one connection
 *
 *     item, ring, fan_out --give--> the rule --> frame --> the queue
 *
 * in:   a message of a body or of the ring, a connection
 * out:  its frame, or that it is forgotten; an answer for the item
 * owns: the frames that were made for it, until done()
 */

#ifndef NGX_HTTP_PUSH_MESSAGE_H
#define NGX_HTTP_PUSH_MESSAGE_H

#include "ngx_http_push_module.h"

typedef struct {
    struct push_str       payload;              /* the client frame's text */
    size_t                off;                  /* of data's value in it */
    int64_t               seq;                  /* 0: ephemeral */
    uint64_t              expires;              /* Unix s, 0: never */
    ngx_http_push_msg_t  *msg;                  /* made when first needed */
    ngx_http_push_msg_t  *raw;                  /* the same for raw mode */
} ngx_http_push_message_t;

/* Borrows the item's payload; put back by done(). */
void ngx_http_push_message_init(ngx_http_push_message_t *m,
    const struct push_lines_item *item);

/*
 * A message that outlives the item's body: its payload is that of its own
 * frame.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_push_message_copy(ngx_http_push_message_t *m,
    const struct push_lines_item *item);

/* Puts the frames. */
void ngx_http_push_message_done(ngx_http_push_message_t *m);

/*
 * answer: it belongs to the answer that the connection waits for
 * (push_delivery_message), else it came by itself.  The answer says ok or
 * queued 1, gap, slow or none; after gap and slow the caller calls
 * ngx_http_push_delivery_ask().  May close ws.
 */
struct push_lines_answer ngx_http_push_message_give(ngx_http_push_conn_t *ws,
    ngx_uint_t log, ngx_http_push_message_t *m, ngx_uint_t answer);

#endif
