/*
 * ngx_http_push_refuse: the answer to a handshake that is none, or is too many
 *
 * in:   a reason; out: problem+json with its status, a counter, a log line
 * owns: the sentences
 */

#ifndef NGX_HTTP_PUSH_REFUSE_H
#define NGX_HTTP_PUSH_REFUSE_H

#include "ngx_http_push_module.h"

/*
 * Why a handshake is refused: X(NAME, status, title, detail, header, value).
 * The order is that in which a client can mend it.
 */
#define NGX_HTTP_PUSH_REFUSALS(X)                                             \
    X(METHOD, 405, "Method Not Allowed",                                      \
      "a WebSocket handshake is a GET", "Allow", "GET")                       \
    X(HTTP2, 400, "Bad Request",                                              \
      "a WebSocket handshake needs HTTP/1.1, not HTTP/2 or HTTP/3",           \
      NULL, NULL)                                                             \
    X(HTTP10, 400, "Bad Request",                                             \
      "a WebSocket handshake needs HTTP/1.1", NULL, NULL)                     \
    X(BODY, 400, "Bad Request",                                               \
      "a WebSocket handshake has no body", NULL, NULL)                        \
    X(UPGRADE, 426, "Upgrade Required",                                       \
      "header Upgrade: websocket is missing", "Sec-WebSocket-Version", "13")  \
    X(CONNECTION, 426, "Upgrade Required",                                    \
      "header Connection does not contain Upgrade",                           \
      "Sec-WebSocket-Version", "13")                                          \
    X(VERSIONS, 400, "Bad Request",                                           \
      "header Sec-WebSocket-Version is doubled", NULL, NULL)                  \
    X(VERSION, 426, "Upgrade Required",                                       \
      "header Sec-WebSocket-Version is not 13",                               \
      "Sec-WebSocket-Version", "13")                                          \
    X(KEYS, 400, "Bad Request",                                               \
      "header Sec-WebSocket-Key is doubled", NULL, NULL)                      \
    X(NO_KEY, 400, "Bad Request",                                             \
      "header Sec-WebSocket-Key is missing", NULL, NULL)                      \
    X(KEY, 400, "Bad Request",                                                \
      "header Sec-WebSocket-Key is not 16 bytes in base64", NULL, NULL)       \
    X(PROTOCOL, 400, "Bad Request",                                           \
      "header Sec-WebSocket-Protocol does not offer push.v1", NULL, NULL)     \
    X(ORIGINS, 400, "Bad Request",                                            \
      "header Origin is doubled", NULL, NULL)                                 \
    X(ORIGIN, 403, "Forbidden",                                               \
      "this Origin is not in push_origins", NULL, NULL)                       \
    X(NOBODY, 401, "Unauthorized",                                            \
      "nobody says which user this is", "WWW-Authenticate", "Bearer")         \
    X(USER, 403, "Forbidden",                                                 \
      "the user's name is not 1 to 128 bytes of A-Z a-z 0-9 . _ : @ -",       \
      NULL, NULL)                                                             \
    X(EXPIRED, 401, "Unauthorized",                                           \
      "the token has expired", "WWW-Authenticate", "Bearer")                  \
    X(LIMIT_USER, 429, "Too Many Requests",                                   \
      "this user has as many connections as it may have",                     \
      "Retry-After", "10")                                                    \
    X(LIMIT_ADDR, 429, "Too Many Requests",                                   \
      "this address has as many connections as it may have",                  \
      "Retry-After", "10")                                                    \
    X(FULL, 503, "Service Unavailable",                                       \
      "this process has as many connections as it takes",                     \
      "Retry-After", "5")                                                     \
    X(LEAVING, 503, "Service Unavailable",                                    \
      "this process takes no new connections", "Retry-After", "1")

typedef enum {
    NGX_HTTP_PUSH_REFUSE_NOT = 0,
#define X(name, status, title, detail, header, value)                         \
    NGX_HTTP_PUSH_REFUSE_##name,
    NGX_HTTP_PUSH_REFUSALS(X)
#undef X
} ngx_http_push_refuse_t;

/* Answers the request; the result is a content handler's.  Not with
   NGX_HTTP_PUSH_REFUSE_NOT. */
ngx_int_t ngx_http_push_refuse(ngx_http_request_t *r,
    ngx_http_push_refuse_t refuse);

#endif
