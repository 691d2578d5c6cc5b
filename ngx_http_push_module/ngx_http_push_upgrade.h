/*
 * ngx_http_push_upgrade: the 101, and how a connection leaves its request
 *
 * in:   a request that was found good; out: a started connection
 */

#ifndef NGX_HTTP_PUSH_UPGRADE_H
#define NGX_HTTP_PUSH_UPGRADE_H

#include "ngx_http_push_module.h"

/* The module's context of a request that is answered 101. */
typedef struct {
    ngx_http_push_conn_t   *ws;             /* gone after the detach */
    ngx_http_cleanup_t     *cleanup;
    ngx_str_t               user;           /* for the access log */
    uint64_t                conn;
} ngx_http_push_upgrade_ctx_t;

/* preconfiguration: $push_user and $push_conn, for the access log */
ngx_int_t ngx_http_push_upgrade_variables(ngx_conf_t *cf);

/*
 * Answers 101 and hands ws over, which is taken: if the request ends otherwise
 * it is discarded.  key: the client's, checked; uid is in the request's pool.
 * The result is the content handler's.
 */
ngx_int_t ngx_http_push_upgrade(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *uid, ngx_http_push_conn_t *ws);

/* Adds a header to the answer; the value is copied, the name is a constant. */
ngx_int_t ngx_http_push_upgrade_header(ngx_http_request_t *r,
    const char *name, const char *value, size_t len);

#endif
