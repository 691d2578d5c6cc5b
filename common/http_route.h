/*
 * http_route: path and query of a request, by a table of routes
 *
 * in:   a request target as it came.  out: a row, decoded parameters
 * owns: nothing; decoded bytes go into the caller's store
 *
 * Pure.  Only for http_server.c and http_request.c.
 */

#ifndef HTTP_ROUTE_H
#define HTTP_ROUTE_H

#include "http_server.h"

#define HTTP_ROUTE_PAIRS  16        /* parameters of a path, and of a query */

struct http_route_pair {
    struct push_str name;
    struct push_str value;          /* decoded */
};

struct http_route_pairs {
    struct http_route_pair pairs[HTTP_ROUTE_PAIRS];
    size_t                 count;
};

/*
 * %XX to bytes; plus: '+' is a space.  to holds len bytes.  Returns the length,
 * or (size_t) -1: a '%' without two hex digits.
 */
size_t http_route_decode(char *to, const char *from, size_t len, bool plus);

/*
 * The first row that fits path (without query) and method; HEAD is taken as
 * GET.  store holds path.len bytes; params borrow from it and from the row.
 * PUSH_OK: *route; PUSH_DECLINED: no such path; PUSH_AGAIN: not with this
 * method, allow (at least 64 bytes) lists what is; PUSH_ERROR: bad escape.
 */
int http_route_find(const struct http_server_route *routes, const char *method,
    struct push_str path, char *store, struct http_route_pairs *params,
    const struct http_server_route **route, char *allow, size_t size);

/*
 * a=b&c=d, decoded into store (query.len bytes).  PUSH_OK, or PUSH_ERROR: bad
 * escape, or more than HTTP_ROUTE_PAIRS.
 */
int http_route_query(struct push_str query, char *store,
    struct http_route_pairs *pairs);

/* The first of that name; data NULL: none. */
struct push_str http_route_get(const struct http_route_pairs *pairs,
    const char *name);

#endif
