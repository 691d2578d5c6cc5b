/*
 * auth_in: GET /verify as nginx's auth_request asks it
 *
 * in:   Authorization, Sec-WebSocket-Protocol, X-Original-URI
 * out:  204 with X-Push-User, X-Push-Expires, X-Push-Groups, X-Push-Limit (the
 *       last two if the token has them); 401, 403 as problem+json
 * owns: nothing
 */

#ifndef AUTH_IN_H
#define AUTH_IN_H

#include "http_server.h"

/* Routes for the server; their data is the struct auth. */
extern const struct http_server_route auth_in_routes[];

#endif
