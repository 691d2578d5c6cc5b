/*
 * ngx_http_push_msg: a whole WebSocket frame, counted, one copy a worker
 *
 * in:   payloads; out: frames.  owns: nothing itself: the last put frees
 */

#include "ngx_http_push_msg.h"


static ngx_http_push_msg_t *ngx_http_push_msg_frame(
    enum push_frame_opcode opcode, const u_char *payload, size_t len);


ngx_http_push_msg_t *
ngx_http_push_msg_text(const u_char *payload, size_t len)
{
    return ngx_http_push_msg_frame(PUSH_FRAME_TEXT, payload, len);
}


ngx_http_push_msg_t *
ngx_http_push_msg_control(enum push_frame_opcode opcode, const u_char *payload,
    size_t len)
{
    return ngx_http_push_msg_frame(opcode, payload,
                                   ngx_min(len, PUSH_FRAME_CONTROL_MAX));
}


ngx_http_push_msg_t *
ngx_http_push_msg_raw(const u_char *payload, size_t len, size_t off)
{
    if (len == 0 || off >= len) {
        return NULL;
    }

    return ngx_http_push_msg_frame(PUSH_FRAME_TEXT, payload + off,
                                   len - 1 - off);
}


void
ngx_http_push_msg_get(ngx_http_push_msg_t *m)
{
    m->refs++;
}


void
ngx_http_push_msg_put(ngx_http_push_msg_t *m)
{
    if (--m->refs == 0) {
        ngx_free(m);
    }
}


static ngx_http_push_msg_t *
ngx_http_push_msg_frame(enum push_frame_opcode opcode, const u_char *payload,
    size_t len)
{
    u_char                head[PUSH_FRAME_HEADER_MAX];
    size_t                n;
    ngx_http_push_msg_t  *m;

    n = push_frame_header(head, opcode, len);

    m = ngx_alloc(ngx_http_push_msg_size(n + len), ngx_cycle->log);
    if (m == NULL) {
        return NULL;
    }

    m->refs = 1;
    m->len = (uint32_t) (n + len);
    m->queued = 0;
    m->seq = 0;
    m->expires = 0;

    ngx_memcpy(m->frame, head, n);

    if (len) {
        ngx_memcpy(m->frame + n, payload, len);
    }

    return m;
}
