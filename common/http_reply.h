/*
 * http_reply: what comes back of a call, with bounds
 *
 * in:   lines of the head, pieces of the body.  out: wanted headers, the body
 * owns: copies of both
 *
 * Pure but for its memory.  Only for http_client.c.
 */

#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include "http_client.h"

/* Read the fields, change them by the functions. */
struct http_reply {
    const char *wanted[HTTP_CLIENT_WANTED];     /* names, borrowed */
    char       *values[HTTP_CLIENT_WANTED];     /* NULL: absent */
    char       *body;                           /* NULL: empty */
    size_t      len;
    size_t      size;
    size_t      max;
    bool        too_large;
};

void http_reply_init(struct http_reply *reply, const char *const *wanted,
    size_t max);
void http_reply_deinit(struct http_reply *reply);

/* One line of the head, with its line end.  The last of a name counts. */
void http_reply_header(struct http_reply *reply, const char *line, size_t n);

/* PUSH_OK; PUSH_ERROR: too large (then too_large is set), or no memory. */
int http_reply_body(struct http_reply *reply, const char *piece, size_t n);

#endif
