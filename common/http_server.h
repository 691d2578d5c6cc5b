/*
 * http_server: requests to handlers by a table of routes (libmicrohttpd)
 *
 *     client --MHD--> route, limits, body in memory --handler--> answer, now
 *                                                          or in a later turn
 *
 * in:   HTTP/1.1 from nginx and from our own daemons, never from the public
 * out:  calls of handlers, each request once; their answers
 * owns: the listening socket, connections, requests until they are answered
 *
 * Everything runs in the loop's thread.  Unknown paths are 404, known ones
 * with another method 405 with Allow, bodies above the route's limit 413, all
 * as problem+json.  GET /healthz, /readyz and /metrics are built in.  HEAD is
 * answered where GET is.
 */

#ifndef HTTP_SERVER_H
#define HTTP_SERVER_H

#include "log.h"
#include "metrics.h"
#include "push.h"

struct event_base;
struct http_server;
struct http_server_request;

/*
 * Answers, or keeps r and answers later.  data is the conf's.  The body is
 * complete.
 */
typedef void (*http_server_pt)(struct http_server_request *r, void *data);

/*
 * "/v1/users/{uid}/messages": a {name} takes one path segment of any bytes but
 * '/', percent-decoded (so %2F is in it).  The first row that fits wins.
 */
struct http_server_route {
    const char     *method;     /* "GET", "POST", "PUT", "DELETE" */
    const char     *path;
    http_server_pt  handler;
    size_t          body_max;   /* bytes; 0: a body is refused */

    /*
     * Called before the body is read, may answer (wrong key, queue full): then
     * the handler is not called.  NULL: none.
     */
    http_server_pt  early;
};

struct http_server_conf {
    const char                     *listen;     /* "127.0.0.1:7717",
                                                   "unix:/path"; copied */
    const struct http_server_route *routes;     /* ends with .method = NULL */
    void                           *data;       /* for handlers and ready */
    struct log                     *log;
    struct metrics                 *metrics;    /* of /metrics; gets ours too */

    /* /readyz: true, or false and why not ("redis is down") in text. */
    bool                          (*ready)(void *data, char *text, size_t size);

    unsigned                        connections_max;    /* 0: 1024 */
    unsigned                        idle_timeout_s;     /* 0: 75 */
    size_t                          bodies_max;     /* bytes in memory of all
                                                       requests; 0: 256 MB;
                                                       beyond: 503 */
};

/*
 * What conf points to is borrowed.  NULL: error says why ("cannot listen on …").  A
 * unix socket's file is replaced, and removed at the end.
 */
struct http_server *http_server_create(struct event_base *base,
    const struct http_server_conf *conf, char *error, size_t size);

/*
 * No new connections; requests that still come in get 503 with Retry-After and
 * Connection: close; /readyz is 503.  Those under way are answered.
 */
void http_server_drain(struct http_server *s);

/* Requests that came in and are not answered completely. */
size_t http_server_active(const struct http_server *s);

/* Unanswered requests are cancelled.  Not from a handler.  NULL is fine. */
void http_server_destroy(struct http_server *s);

/* What the request says; all borrowed until it is answered. */
const char *http_server_method(const struct http_server_request *r);
struct push_str http_server_body(const struct http_server_request *r);
/* A {name} of the route: decoded.  The name must be one of the route's. */
struct push_str http_server_param(const struct http_server_request *r,
    const char *name);
/* The first value of the query's name, decoded; data NULL: not there. */
struct push_str http_server_query(const struct http_server_request *r,
    const char *name);
/* The first header of that name (any case), or NULL. */
const char *http_server_header(const struct http_server_request *r,
    const char *name);
/* All of that name: up to max are stored, returns how many there are. */
size_t http_server_headers(const struct http_server_request *r,
    const char *name, const char **values, size_t max);

/*
 * For a request that is kept: fn runs once if it ends without our answer (its
 * connection broke, or the server is destroyed); r is gone after it.  A client
 * that leaves while we work is mostly not noticed: then the answer is thrown
 * away, and fn does not run.
 */
void http_server_on_cancel(struct http_server_request *r,
    void (*fn)(void *data), void *data);

/* A header of the answer to come; copied.  Not Content-Length. */
void http_server_add_header(struct http_server_request *r, const char *name,
    const char *value);

/*
 * The answer, exactly one; r must not be used after it.  body is copied; type
 * NULL: no Content-Type.
 */
void http_server_answer(struct http_server_request *r, unsigned status,
    const char *type, struct push_str body);

/* The same; body is from malloc and taken. */
void http_server_answer_taken(struct http_server_request *r, unsigned status,
    const char *type, char *body, size_t len);

/*
 * RFC 9457: {"type":"about:blank","title":"<of the status>","status":n,
 * "detail":"…"}.  The detail is cut at 1 KB; bytes that are no UTF-8 become
 * '?'.
 */
void http_server_problem(struct http_server_request *r, unsigned status,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

/* 503 and Retry-After: a full queue is a normal answer. */
void http_server_busy(struct http_server_request *r, unsigned retry_after_s,
    const char *detail);

#endif
