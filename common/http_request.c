/*
 * http_request: what a handler reads of a request, and its answer
 *
 * in:   a request from http_server.c.  out: an MHD response in it
 * owns: the request's memory
 */

#include "http_request.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "push_frame.h"
#include "push_json.h"

#define HTTP_REQUEST_DETAIL  1024


struct http_server_request *
http_request_create(const char *target)
{
    struct http_server_request  *r;

    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }

    r->target = strdup(target);
    r->store = malloc(strlen(target) + 1);

    if (r->target == NULL || r->store == NULL) {
        http_request_destroy(r);
        return NULL;
    }

    return r;
}


void
http_request_destroy(struct http_server_request *r)
{
    while (r->headers_count > 0) {
        r->headers_count--;
        free(r->headers[r->headers_count][0]);
        free(r->headers[r->headers_count][1]);
    }

    if (r->response != NULL) {
        MHD_destroy_response(r->response);
    }

    free(r->body);
    free(r->store);
    free(r->target);
    free(r);
}


const char *
http_server_method(const struct http_server_request *r)
{
    return r->method;
}


struct push_str
http_server_body(const struct http_server_request *r)
{
    return (struct push_str) { r->body != NULL ? r->body : "", r->body_len };
}


struct push_str
http_server_param(const struct http_server_request *r, const char *name)
{
    return http_route_get(&r->params, name);
}


struct push_str
http_server_query(const struct http_server_request *r, const char *name)
{
    return http_route_get(&r->query, name);
}


const char *
http_server_header(const struct http_server_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->connection, MHD_HEADER_KIND, name);
}


struct http_request_values {
    const char  *name;
    const char **values;
    size_t       max;
    size_t       count;
};

static enum MHD_Result
http_request_value(void *data, enum MHD_ValueKind kind, const char *name,
    const char *value)
{
    struct http_request_values  *v = data;

    (void) kind;

    if (strcasecmp(name, v->name) == 0) {
        if (v->count < v->max) {
            v->values[v->count] = value != NULL ? value : "";
        }

        v->count++;
    }

    return MHD_YES;
}


size_t
http_server_headers(const struct http_server_request *r, const char *name,
    const char **values, size_t max)
{
    struct http_request_values  v = { name, values, max, 0 };

    MHD_get_connection_values(r->connection, MHD_HEADER_KIND,
                              http_request_value, &v);

    return v.count;
}


void
http_server_on_cancel(struct http_server_request *r, void (*fn)(void *data),
    void *data)
{
    r->cancel = fn;
    r->cancel_data = data;
}


void
http_server_add_header(struct http_server_request *r, const char *name,
    const char *value)
{
    char  **pair;

    if (r->headers_count == HTTP_REQUEST_HEADERS) {
        return;
    }

    pair = r->headers[r->headers_count];
    pair[0] = strdup(name);
    pair[1] = strdup(value);

    if (pair[0] == NULL || pair[1] == NULL) {
        free(pair[0]);
        free(pair[1]);
        return;
    }

    r->headers_count++;
}


static void
http_request_respond(struct http_server_request *r, unsigned status,
    const char *type, struct MHD_Response *response)
{
    size_t  i;

    if (r->response != NULL || response == NULL) {
        /* answered twice, or out of memory: http_server.c breaks it off */
        if (response != NULL) {
            MHD_destroy_response(response);
        }

    } else {
        if (type != NULL) {
            MHD_add_response_header(response, "Content-Type", type);
        }

        for (i = 0; i < r->headers_count; i++) {
            MHD_add_response_header(response, r->headers[i][0],
                                    r->headers[i][1]);
        }

        r->response = response;
    }

    r->status = status;
    r->cancel = NULL;
    http_server_answered(r);
}


void
http_server_answer(struct http_server_request *r, unsigned status,
    const char *type, struct push_str body)
{
    http_request_respond(r, status, type,
                         MHD_create_response_from_buffer(body.len,
                             (void *) (uintptr_t) body.data,
                             MHD_RESPMEM_MUST_COPY));
}


void
http_server_answer_taken(struct http_server_request *r, unsigned status,
    const char *type, char *body, size_t len)
{
    struct MHD_Response  *response;

    response = MHD_create_response_from_buffer(len, body,
                                               MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(body);
    }

    http_request_respond(r, status, type, response);
}


static const char *
http_request_title(unsigned status)
{
    const char  *title;

    switch (status) {
    case 413:
        return "Content Too Large";     /* RFC 9110's names */
    case 422:
        return "Unprocessable Content";
    }

    title = MHD_get_reason_phrase_for(status);

    return title != NULL ? title : "Error";
}


/* The detail may quote what a peer sent, or be cut; JSON must be UTF-8. */
static void
http_request_utf8(char *s)
{
    if (push_frame_utf8(0, (uint8_t *) s, strlen(s)) == 0) {
        return;
    }

    for ( ; *s != '\0'; s++) {
        if ((unsigned char) *s >= 0x80) {
            *s = '?';
        }
    }
}


void
http_server_problem(struct http_server_request *r, unsigned status,
    const char *format, ...)
{
    char     detail[HTTP_REQUEST_DETAIL], quoted[6 * HTTP_REQUEST_DETAIL];
    char     body[sizeof(quoted) + 256];
    int      n;
    size_t   len;
    va_list  ap;

    va_start(ap, format);
    vsnprintf(detail, sizeof(detail), format, ap);
    va_end(ap);

    http_request_utf8(detail);
    len = push_json_quote(quoted, sizeof(quoted),
                          (struct push_str) { detail, strlen(detail) });

    n = snprintf(body, sizeof(body), "{\"type\":\"about:blank\","
                 "\"title\":\"%s\",\"status\":%u,\"detail\":%.*s}\n",
                 http_request_title(status), status, (int) len, quoted);

    http_server_answer(r, status, "application/problem+json",
                       (struct push_str) { body, (size_t) n });
}


void
http_server_busy(struct http_server_request *r, unsigned retry_after_s,
    const char *detail)
{
    char  text[16];

    snprintf(text, sizeof(text), "%u", retry_after_s);
    http_server_add_header(r, "Retry-After", text);
    http_server_problem(r, 503, "%s", detail);
}
