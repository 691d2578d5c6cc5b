/*
 * ngx_http_push_device: what a client calls itself in its hello
 *
 * in:   a device, and the epoch that the client knew
 * out:  both, for whoever tells Redis; the epoch until the first answer
 * owns: ws->device, one block for both
 */

#ifndef NGX_HTTP_PUSH_DEVICE_H
#define NGX_HTTP_PUSH_DEVICE_H

#include "ngx_http_push_module.h"

/*
 * Copied, once a connection; device empty: "-"; epoch empty: the current one.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_push_device_set(ngx_http_push_conn_t *ws,
    struct push_str device, struct push_str epoch);

/* Borrowed until the connection is freed; "-" if it has no name. */
struct push_str ngx_http_push_device(ngx_http_push_conn_t *ws);

/* The client has given a name. */
ngx_uint_t ngx_http_push_device_named(ngx_http_push_conn_t *ws);

/* Borrowed until it is forgotten; empty if there is none. */
struct push_str ngx_http_push_device_epoch(ngx_http_push_conn_t *ws);
void ngx_http_push_device_forget_epoch(ngx_http_push_conn_t *ws);

void ngx_http_push_device_free(ngx_http_push_conn_t *ws);

#endif
