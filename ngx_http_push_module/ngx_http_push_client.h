/*
 * ngx_http_push_client: what a push.v1 client says (docs/protocol.md 1)
 *
 *     text --push_json--> type --table--> hello, ack, ping, send --> delivery
 *
 * in:   a whole text message, UTF-8 already
 * out:  calls of delivery; 4400 with a sentence for whatever breaks a rule
 * owns: nothing
 */

#ifndef NGX_HTTP_PUSH_CLIENT_H
#define NGX_HTTP_PUSH_CLIENT_H

#include "ngx_http_push_module.h"

/* What a hello says; all zero is a client without one. */
typedef struct {
    struct push_str  device;                    /* empty: "-" */
    struct push_str  epoch;                     /* empty: the current one */
    int64_t          cursors[NGX_HTTP_PUSH_LOGS];   /* or UNKNOWN */
    ngx_uint_t       window;
} ngx_http_push_hello_t;

void ngx_http_push_client_hello_init(ngx_http_push_hello_t *hello);

/* May close ws. */
void ngx_http_push_client_message(ngx_http_push_conn_t *ws,
    const u_char *text, size_t len);

#endif
