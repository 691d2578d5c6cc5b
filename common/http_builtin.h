/*
 * http_builtin: GET /healthz, /readyz and /metrics of every daemon
 *
 * Only for http_intake.c.
 */

#ifndef HTTP_BUILTIN_H
#define HTTP_BUILTIN_H

#include "http_request.h"

/* Ends with .method = NULL.  Answered while draining, too. */
extern const struct http_server_route http_builtin_routes[];

#endif
