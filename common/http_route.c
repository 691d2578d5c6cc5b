/*
 * http_route: path and query of a request, by a table of routes
 *
 *     /v1/users/a%2Fb/messages  fits  /v1/users/{uid}/messages  uid = a/b
 */

#include "http_route.h"

#include <stdio.h>
#include <string.h>


static int
http_route_hex(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c = (char) (c | 0x20);

    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}


size_t
http_route_decode(char *to, const char *from, size_t len, bool plus)
{
    int     high, low;
    size_t  i, n;

    n = 0;

    for (i = 0; i < len; i++) {

        if (from[i] == '+' && plus) {
            to[n++] = ' ';
            continue;
        }

        if (from[i] != '%') {
            to[n++] = from[i];
            continue;
        }

        if (len - i < 3) {
            return (size_t) -1;
        }

        high = http_route_hex(from[i + 1]);
        low = http_route_hex(from[i + 2]);

        if (high < 0 || low < 0) {
            return (size_t) -1;
        }

        to[n++] = (char) (high * 16 + low);
        i += 2;
    }

    return n;
}


static struct push_str
http_route_segment(const char *s, const char *end)
{
    const char  *slash;

    slash = memchr(s, '/', (size_t) (end - s));

    return (struct push_str) { s, (size_t) ((slash != NULL ? slash : end) - s) };
}


/* PUSH_OK, PUSH_DECLINED: another path, PUSH_ERROR: bad escape. */
static int
http_route_match(const char *pattern, struct push_str path, char *store,
    struct http_route_pairs *params)
{
    size_t           n;
    const char      *p, *s, *p_end, *s_end;
    struct push_str  want, have;

    params->count = 0;
    p = pattern;
    p_end = pattern + strlen(pattern);
    s = path.data;
    s_end = path.data + path.len;

    while (p < p_end && s < s_end && *s == '/') {

        want = http_route_segment(++p, p_end);
        have = http_route_segment(++s, s_end);
        p += want.len;
        s += have.len;

        n = http_route_decode(store, have.data, have.len, false);
        if (n == (size_t) -1) {
            return PUSH_ERROR;
        }

        if (want.len > 0 && want.data[0] == '{') {

            if (n == 0 || params->count == HTTP_ROUTE_PAIRS) {
                return PUSH_DECLINED;
            }

            params->pairs[params->count++] = (struct http_route_pair) {
                { want.data + 1, want.len - 2 }, { store, n }
            };
            store += n;

        } else if (!push_str_eq(want, (struct push_str) { store, n })) {
            return PUSH_DECLINED;
        }
    }

    return p == p_end && s == s_end ? PUSH_OK : PUSH_DECLINED;
}


static void
http_route_allow(char *allow, size_t size, const char *method)
{
    size_t  n;

    n = strlen(allow);
    snprintf(allow + n, size - n, "%s%s%s", n ? ", " : "", method,
             strcmp(method, "GET") == 0 ? ", HEAD" : "");
}


int
http_route_find(const struct http_server_route *routes, const char *method,
    struct push_str path, char *store, struct http_route_pairs *params,
    const struct http_server_route **route, char *allow, size_t size)
{
    int  rc;

    allow[0] = '\0';
    method = strcmp(method, "HEAD") == 0 ? "GET" : method;

    for ( ; routes->method != NULL; routes++) {
        rc = http_route_match(routes->path, path, store, params);

        if (rc == PUSH_ERROR) {
            return PUSH_ERROR;
        }

        if (rc == PUSH_OK) {
            if (strcmp(routes->method, method) == 0) {
                *route = routes;
                return PUSH_OK;
            }

            http_route_allow(allow, size, routes->method);
        }
    }

    return allow[0] != '\0' ? PUSH_AGAIN : PUSH_DECLINED;
}


int
http_route_query(struct push_str query, char *store,
    struct http_route_pairs *pairs)
{
    size_t                   name_len, value_len;
    const char              *s, *end, *stop, *eq;
    struct http_route_pair  *pair;

    pairs->count = 0;
    end = query.data + query.len;

    for (s = query.data; s < end; s = stop + 1) {
        stop = memchr(s, '&', (size_t) (end - s));
        stop = stop != NULL ? stop : end;

        if (stop == s) {
            continue;
        }

        if (pairs->count == HTTP_ROUTE_PAIRS) {
            return PUSH_ERROR;
        }

        eq = memchr(s, '=', (size_t) (stop - s));
        name_len = (size_t) ((eq != NULL ? eq : stop) - s);
        value_len = eq != NULL ? (size_t) (stop - eq) - 1 : 0;

        pair = &pairs->pairs[pairs->count++];

        pair->name.data = store;
        pair->name.len = http_route_decode(store, s, name_len, true);
        if (pair->name.len == (size_t) -1) {
            return PUSH_ERROR;
        }

        store += pair->name.len;

        pair->value.data = store;
        pair->value.len = http_route_decode(store, stop - value_len, value_len,
                                            true);
        if (pair->value.len == (size_t) -1) {
            return PUSH_ERROR;
        }

        store += pair->value.len;
    }

    return PUSH_OK;
}


struct push_str
http_route_get(const struct http_route_pairs *pairs, const char *name)
{
    size_t  i;

    for (i = 0; i < pairs->count; i++) {
        if (push_str_eq(pairs->pairs[i].name,
                        (struct push_str) { name, strlen(name) }))
        {
            return pairs->pairs[i].value;
        }
    }

    return (struct push_str) { NULL, 0 };
}
