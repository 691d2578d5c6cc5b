/*
 * ngx_http_push_outcome: how a handshake ended, counted once
 *
 * in:   requests of push locations; out: handshakes_*.  owns: nothing
 */

#ifndef NGX_HTTP_PUSH_OUTCOME_H
#define NGX_HTTP_PUSH_OUTCOME_H

#include "ngx_http_push_module.h"

/*
 * However the request ends, it is counted: by its status, which auth or a
 * limit of nginx's own may have chosen, unless _counted() was called before.
 * Again for the same request: nothing.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_push_outcome_watch(ngx_http_request_t *r);

/* Whoever calls counts it. */
void ngx_http_push_outcome_counted(ngx_http_request_t *r);

/* One more handshake that was answered with this status, and no 101. */
void ngx_http_push_outcome_count(ngx_uint_t status);

#endif
