/*
 * http_client: requests to our own daemons, edges and the business (libcurl)
 *
 * in:   method, URL, headers, body, deadlines
 * out:  one result a call, in a later turn of the loop
 * owns: connections, kept alive; a call until its callback or its cancel
 *
 * No redirect, no proxy, no repeat by itself: the result says whether a byte
 * of the request may have left, so that the caller can decide.
 */

#ifndef HTTP_CLIENT_H
#define HTTP_CLIENT_H

#include "log.h"
#include "push.h"

struct event_base;
struct http_client;
struct http_client_call;

struct http_client_conf {
    unsigned host_connections;  /* at most, to one host and port; 0: 8 */
    unsigned connections;       /* at most in all; 0: 256; more calls wait */
    unsigned calls;             /* at most under way or waiting; 0: 4096 */
};

#define HTTP_CLIENT_WANTED  4   /* reply headers of a call */

/* Copied by http_client_send(), but for the body. */
struct http_client_request {
    const char        *method;      /* "GET", "POST", "PUT", "DELETE" */
    const char        *url;         /* http://host:port/path, https:// */
    const char *const *headers;     /* "Name: value", NULL at the end; or NULL */
    struct push_str    body;        /* borrowed until the callback or cancel */
    unsigned           connect_timeout_ms;  /* 0: 1000 */
    unsigned           timeout_ms;          /* of all, waiting too; 0: 5000 */
    size_t             reply_max;           /* bytes; 0: 64 KB; more: an error */
    const char        *wanted[HTTP_CLIENT_WANTED];  /* names, literals */
};

/* Borrowed for the callback's time. */
struct http_client_result {
    unsigned         status;        /* 0: no complete answer came */
    bool             sent;          /* a byte of the request may have left */
    const char      *error;         /* for the log, when status is 0; else "" */
    struct push_str  body;
    const char      *wanted[HTTP_CLIENT_WANTED];    /* values; NULL: absent */
    uint64_t         took_us;
};

typedef void (*http_client_pt)(const struct http_client_result *result,
    void *data);

/* NULL: out of memory. */
struct http_client *http_client_create(struct event_base *base,
    struct log *log, const struct http_client_conf *conf);
/* Calls under way are cancelled.  Not from a callback.  NULL is fine. */
void http_client_destroy(struct http_client *c);

/*
 * done runs exactly once, never inside this call, unless it is cancelled.
 * NULL: too many calls or out of memory; done will not run.
 */
struct http_client_call *http_client_send(struct http_client *c,
    const struct http_client_request *request, http_client_pt done,
    void *data);

/* done will not run; the body is not used any more.  Not from done itself. */
void http_client_cancel(struct http_client_call *call);

/* Calls that wait for their result. */
size_t http_client_active(const struct http_client *c);

/* "http://host[:port][/path]" or https: for a conf_row's check. */
int http_client_url_check(const char *value, char *error, size_t size);

#endif
