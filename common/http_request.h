/*
 * http_request: one request, from its first line to the end of its answer
 *
 *     NEW --headers--> BODY --complete--> HANDLED --answer--> ANSWERED
 *      \-----------------\---refused------------------------/
 *
 * Only for http_*.c of the server; handlers see http_server.h.
 */

#ifndef HTTP_REQUEST_H
#define HTTP_REQUEST_H

#include "http_route.h"

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;
struct event;

#define HTTP_REQUEST_HEADERS  16    /* that a handler may add */

#define HTTP_SERVER_COUNTERS(X)                                               \
    X(answers_2xx, "push_http_answers_total", "code=\"2xx\"",                 \
      "HTTP requests that were answered.")                                    \
    X(answers_4xx, "push_http_answers_total", "code=\"4xx\"",                 \
      "HTTP requests that were answered.")                                    \
    X(answers_5xx, "push_http_answers_total", "code=\"5xx\"",                 \
      "HTTP requests that were answered.")                                    \
    X(broken, "push_http_broken_total", "",                                   \
      "HTTP requests that ended without an answer.")

struct http_server_counters {
    HTTP_SERVER_COUNTERS(METRICS_FIELD)
};

struct http_server {
    struct http_server_conf      conf;
    struct event_base           *base;
    struct MHD_Daemon           *mhd;
    struct event                *readable;      /* MHD's epoll */
    struct event                *timer;         /* MHD's time-outs */
    struct event                *again;         /* something was resumed */
    struct http_server_request  *requests;
    size_t                       active;
    size_t                       bodies;        /* bytes */
    char                        *listen;
    int                          listen_fd;     /* -1: MHD's */
    const char                  *unix_path;     /* in listen; removed at the end */
    bool                         draining;
    struct http_server_counters  counters;
    struct metrics_histogram     seconds;
};

enum http_request_state {
    HTTP_REQUEST_NEW,           /* the first line is here */
    HTTP_REQUEST_BODY,          /* accepted, the body comes in */
    HTTP_REQUEST_HANDLED        /* a handler has it, or had it */
};

struct http_server_request {
    struct http_server_request     *next;       /* of the server's list */
    struct http_server_request    **prev;
    struct http_server             *server;
    struct MHD_Connection          *connection;
    enum http_request_state         state;
    bool                            suspended;  /* MHD waits for our answer */
    bool                            late;       /* answer only when the body
                                                   has been read and dropped */
    const struct http_server_route *route;
    const char                     *method;     /* MHD's */
    char                           *target;     /* "/path?query", ours */
    char                           *store;      /* decoded pairs, ours */
    struct http_route_pairs         params;
    struct http_route_pairs         query;
    char                           *body;       /* ours */
    size_t                          body_len;
    size_t                          body_size;  /* counted in the server */
    size_t                          dropped;    /* body bytes after a refusal */
    char                           *headers[HTTP_REQUEST_HEADERS][2];
    size_t                          headers_count;
    struct MHD_Response            *response;   /* once answered */
    unsigned                        status;
    uint64_t                        began_us;
    void                          (*cancel)(void *data);
    void                           *cancel_data;
};

/* NULL: out of memory.  target is copied. */
struct http_server_request *http_request_create(const char *target);
void http_request_destroy(struct http_server_request *r);

/* By http_server.c: the answer is there, a kept request goes on. */
void http_server_answered(struct http_server_request *r);

#endif
