/*
 * ngx_http_push_input: what comes from one client
 *
 *     socket --recv--> scratch --push_frame--> message --> client.c
 *                                         \--> ping, pong, close --> conn.c
 *
 * in:   bytes; out: whole text messages, signs of life, a close with its reason
 * owns: ws->input while a frame or message is cut, or a pong waits
 */

#ifndef NGX_HTTP_PUSH_INPUT_H
#define NGX_HTTP_PUSH_INPUT_H

#include "ngx_http_push_module.h"

/*
 * Bytes that came behind the request, copied: the first ones to be read.
 * NULL: no memory.
 */
ngx_http_push_input_t *ngx_http_push_input_early(const u_char *data,
    size_t len);

/* The read handler of a connection. */
void ngx_http_push_input_handler(ngx_event_t *rev);

/*
 * The latest ping that could not be answered while the queue was blocked:
 * its pong with one reference, or NULL.
 */
ngx_http_push_msg_t *ngx_http_push_input_pong(ngx_http_push_conn_t *ws);

/*
 * NGX_AGAIN: a message or frame is cut, and must be whole at *at_ms;
 * NGX_OK: none is.
 */
ngx_int_t ngx_http_push_input_look(ngx_http_push_conn_t *ws, uint32_t *at_ms);

/* Frees what it owns. */
void ngx_http_push_input_free(ngx_http_push_conn_t *ws);

#endif
