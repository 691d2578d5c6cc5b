/*
 * ngx_http_push_handshake: an Upgrade request becomes a connection
 *
 *     request -> checks, origin, user, limits -> 101 -> request freed -> conn
 *
 * in:   GET with Upgrade (RFC 6455 4.2.1), after auth_request
 * out:  101 and a started connection, or 400, 401, 403, 405, 426, 429, 500,
 *       503
 */

#ifndef NGX_HTTP_PUSH_HANDSHAKE_H
#define NGX_HTTP_PUSH_HANDSHAKE_H

#include "ngx_http_push_module.h"

/* preaccess phase: refuses what is no handshake, before auth_request */
ngx_int_t ngx_http_push_handshake_preaccess(ngx_http_request_t *r);
/* content handler of a push_websocket location: who is it? */
ngx_int_t ngx_http_push_handshake(ngx_http_request_t *r);
/* rewrite phase: cuts the arguments off r->request_line, so that no token
   gets into the error log (docs/rules.md 6) */
ngx_int_t ngx_http_push_handshake_rewrite(ngx_http_request_t *r);

#endif
