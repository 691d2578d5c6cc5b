/*
 * http_intake: what libmicrohttpd has parsed --> route, limits, body, handler
 *
 *     begin --> headers: route, length, early --> pieces --> handler --> queue
 *                  \--- refused: the rest is read and dropped ---------/
 */

#include "http_intake.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fault_point.h"
#include "http_builtin.h"

/*
 * A refused body is read and dropped up to this size, then answered on a live
 * connection: a close with unread input is a reset, which may overtake the
 * answer.  Beyond, the answer goes out at once, and MHD closes.
 */
#define HTTP_INTAKE_DROP  (32 * 1024 * 1024)


static uint64_t
http_intake_us(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}


/* The whole target, before anything else is known of the request. */
void *
http_intake_begin(void *data, const char *target, struct MHD_Connection *c)
{
    struct http_server          *s = data;
    struct http_server_request  *r;

    r = http_request_create(target);
    if (r == NULL) {
        return NULL;            /* http_intake_access() breaks it off */
    }

    r->server = s;
    r->connection = c;
    r->began_us = http_intake_us();

    r->next = s->requests;
    r->prev = &s->requests;

    if (r->next != NULL) {
        r->next->prev = &r->next;
    }

    s->requests = r;
    s->active++;

    return r;
}


void
http_intake_end(void *data, struct MHD_Connection *c, void **con,
    enum MHD_RequestTerminationCode code)
{
    uint64_t                    *counter;
    struct http_server          *s = data;
    struct http_server_request  *r = *con;

    (void) c;

    if (r == NULL) {
        return;
    }

    *con = NULL;
    *r->prev = r->next;

    if (r->next != NULL) {
        r->next->prev = r->prev;
    }

    s->active--;
    s->bodies -= r->body_size;

    if (r->response == NULL || code != MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        counter = &s->counters.broken;

    } else {
        counter = r->status < 400 ? &s->counters.answers_2xx
                  : r->status < 500 ? &s->counters.answers_4xx
                  : &s->counters.answers_5xx;
        metrics_observe_us(&s->seconds, http_intake_us() - r->began_us);
    }

    metrics_add(counter, 1);
    PUSH_FAULT_POINT_IF(r->body_len > 0, "replied");

    if (r->cancel != NULL) {
        r->cancel(r->cancel_data);
    }

    http_request_destroy(r);
}


static enum MHD_Result
http_intake_queue(struct http_server_request *r)
{
    if (r->response == NULL) {
        return MHD_NO;          /* out of memory */
    }

    if (r->server->draining) {
        MHD_add_response_header(r->response, "Connection", "close");
    }

    return MHD_queue_response(r->connection, r->status, r->response);
}


/* PUSH_OK: r->route and its parameters are set; PUSH_ERROR: answered. */
static int
http_intake_route(struct http_server *s, struct http_server_request *r)
{
    int               rc;
    char              allow[64], *query;
    struct push_str   path;

    query = strchr(r->target, '?');
    path.data = r->target;
    path.len = query != NULL ? (size_t) (query - r->target)
                             : strlen(r->target);

    rc = http_route_find(http_builtin_routes, r->method, path, r->store,
                         &r->params, &r->route, allow, sizeof(allow));

    if (rc == PUSH_DECLINED && s->draining) {
        http_server_busy(r, 1, "draining");
        return PUSH_ERROR;
    }

    if (rc == PUSH_DECLINED) {
        rc = http_route_find(s->conf.routes, r->method, path, r->store,
                             &r->params, &r->route, allow, sizeof(allow));
    }

    switch (rc) {

    case PUSH_OK:
        if (query != NULL
            && http_route_query((struct push_str) { query + 1,
                                                    strlen(query + 1) },
                                r->store + path.len, &r->query) != PUSH_OK)
        {
            http_server_problem(r, 400, "bad query");
            return PUSH_ERROR;
        }

        return PUSH_OK;

    case PUSH_AGAIN:
        http_server_add_header(r, "Allow", allow);
        http_server_problem(r, 405, "only %s is possible here", allow);
        return PUSH_ERROR;

    case PUSH_DECLINED:
        http_server_problem(r, 404, "no such path");
        return PUSH_ERROR;

    default:
        http_server_problem(r, 400, "bad percent-encoding in the path");
        return PUSH_ERROR;
    }
}


static void
http_intake_too_large(struct http_server_request *r)
{
    if (r->route->body_max == 0) {
        http_server_problem(r, 413, "a body is not accepted here");

    } else {
        http_server_problem(r, 413, "the body is larger than %zu bytes",
                            r->route->body_max);
    }
}


/* Room for n more bytes of the body.  false: answered. */
static bool
http_intake_room(struct http_server *s, struct http_server_request *r,
    size_t n)
{
    char    *body;
    size_t   size, max;

    max = s->conf.bodies_max;

    if (n <= r->body_size - r->body_len) {
        return true;
    }

    if (n > r->route->body_max - r->body_len) {
        http_intake_too_large(r);
        return false;
    }

    /* doubled, so that a chunked body is not copied at each piece */

    size = r->body_len + n;

    if (size < 2 * r->body_size) {
        size = 2 * r->body_size;
    }

    if (size > r->route->body_max) {
        size = r->route->body_max;
    }

    if (size - r->body_size > max - s->bodies) {
        http_server_busy(r, 1, "too many request bodies in memory");
        return false;
    }

    body = realloc(r->body, size);
    if (body == NULL) {
        http_server_busy(r, 1, "out of memory");
        return false;
    }

    s->bodies += size - r->body_size;
    r->body = body;
    r->body_size = size;

    return true;
}


/* The headers are here.  What can be refused now is refused now. */
static void
http_intake_headers_done(struct http_server *s, struct http_server_request *r)
{
    bool         chunked;
    uint64_t     len;
    const char  *value;

    len = 0;
    r->state = HTTP_REQUEST_BODY;

    value = http_server_header(r, "Transfer-Encoding");
    chunked = value != NULL;

    value = http_server_header(r, "Content-Length");

    if (value != NULL
        && push_uint_parse((struct push_str) { value, strlen(value) },
                           UINT64_MAX, &len) != PUSH_OK)
    {
        /* MHD has refused what is no number; this one is as good as endless */
        len = UINT64_MAX;
    }

    /* beyond, the answer goes out at once and MHD closes */
    r->late = chunked || len <= HTTP_INTAKE_DROP;

    if (http_intake_route(s, r) != PUSH_OK) {
        return;
    }

    if (len > r->route->body_max || (chunked && r->route->body_max == 0)) {
        http_intake_too_large(r);
        return;
    }

    if (r->route->early != NULL) {
        r->route->early(r, s->conf.data);
    }

    if (r->response == NULL && len > 0) {
        http_intake_room(s, r, (size_t) len);
    }
}


static enum MHD_Result
http_intake_body_piece(struct http_server *s, struct http_server_request *r,
    const char *piece, size_t *len)
{
    if (r->response == NULL && http_intake_room(s, r, *len)) {
        memcpy(r->body + r->body_len, piece, *len);
        r->body_len += *len;

    } else {
        r->dropped += *len;
    }

    *len = 0;

    return r->dropped <= HTTP_INTAKE_DROP ? MHD_YES : MHD_NO;
}


enum MHD_Result
http_intake_access(void *data, struct MHD_Connection *c, const char *url,
    const char *method, const char *version, const char *piece, size_t *len,
    void **con)
{
    struct http_server          *s = data;
    struct http_server_request  *r = *con;

    (void) url;
    (void) version;

    if (r == NULL) {
        return MHD_NO;
    }

    r->method = method;

    if (r->state == HTTP_REQUEST_NEW) {
        http_intake_headers_done(s, r);
        return r->response != NULL && !r->late ? http_intake_queue(r)
                                               : MHD_YES;
    }

    if (*len > 0) {
        return http_intake_body_piece(s, r, piece, len);
    }

    if (r->state == HTTP_REQUEST_BODY && r->response == NULL) {
        r->state = HTTP_REQUEST_HANDLED;
        r->route->handler(r, s->conf.data);

        if (r->response == NULL && r->status == 0) {
            r->suspended = true;
            MHD_suspend_connection(c);
            return MHD_YES;
        }
    }

    return http_intake_queue(r);
}


/* MHD would decode the path before we have cut it into segments. */
size_t
http_intake_no_unescape(void *data, struct MHD_Connection *c, char *s)
{
    (void) data;
    (void) c;

    return strlen(s);
}
