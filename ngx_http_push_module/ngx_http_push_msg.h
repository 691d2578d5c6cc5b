/*
 * ngx_http_push_msg: a whole WebSocket frame, counted, one copy a worker
 *
 * owns: the bytes; freed by the last put.  Not atomic: it never leaves its
 * worker.
 */

#ifndef NGX_HTTP_PUSH_MSG_H
#define NGX_HTTP_PUSH_MSG_H

#include "ngx_http_push_module.h"

struct ngx_http_push_msg_s {
    uint32_t  refs;
    uint32_t  len;              /* of the frame */
    uint32_t  queued;           /* in so many queues */
    int64_t   seq;              /* 0: ephemeral, or a frame of our own */
    uint32_t  expires;          /* Unix s, 0: never */
    u_char    frame[1];
};

/* Its memory. */
#define ngx_http_push_msg_size(len)                                           \
    (offsetof(ngx_http_push_msg_t, frame) + (len))

/* A text frame around payload, with one reference.  NULL: no memory. */
ngx_http_push_msg_t *ngx_http_push_msg_text(const u_char *payload, size_t len);

/* Any control frame; payload at most 125 bytes. */
ngx_http_push_msg_t *ngx_http_push_msg_control(enum push_frame_opcode opcode,
    const u_char *payload, size_t len);

/*
 * A text frame of a message's data alone, [off, len - 1) of payload: what a
 * raw connection gets.
 */
ngx_http_push_msg_t *ngx_http_push_msg_raw(const u_char *payload, size_t len,
    size_t off);

void ngx_http_push_msg_get(ngx_http_push_msg_t *m);
void ngx_http_push_msg_put(ngx_http_push_msg_t *m);

#endif
