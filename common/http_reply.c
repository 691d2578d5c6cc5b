/*
 * http_reply: what comes back of a call, with bounds
 */

#include "http_reply.h"

#include <stdlib.h>
#include <string.h>


void
http_reply_init(struct http_reply *reply, const char *const *wanted,
    size_t max)
{
    memset(reply, 0, sizeof(*reply));
    memcpy(reply->wanted, wanted, sizeof(reply->wanted));
    reply->max = max;
}


void
http_reply_deinit(struct http_reply *reply)
{
    size_t  i;

    for (i = 0; i < HTTP_CLIENT_WANTED; i++) {
        free(reply->values[i]);
    }

    free(reply->body);
}


void
http_reply_header(struct http_reply *reply, const char *line, size_t n)
{
    size_t       i, len;
    const char  *name, *value, *end;

    for (i = 0; i < HTTP_CLIENT_WANTED; i++) {
        name = reply->wanted[i];
        len = name != NULL ? strlen(name) : n;

        if (n <= len || line[len] != ':' || strncasecmp(line, name, len) != 0)
        {
            continue;
        }

        value = line + len + 1;
        end = line + n;

        while (value < end && (*value == ' ' || *value == '\t')) {
            value++;
        }

        while (end > value && (unsigned char) end[-1] <= ' ') {
            end--;
        }

        free(reply->values[i]);
        reply->values[i] = strndup(value, (size_t) (end - value));
    }
}


int
http_reply_body(struct http_reply *reply, const char *piece, size_t n)
{
    char    *body;
    size_t   size;

    if (n > reply->max - reply->len) {
        reply->too_large = true;
        return PUSH_ERROR;
    }

    if (n > reply->size - reply->len) {
        size = reply->len + n;
        size = size < 2 * reply->size ? 2 * reply->size : size;

        body = realloc(reply->body, size);
        if (body == NULL) {
            return PUSH_ERROR;
        }

        reply->body = body;
        reply->size = size;
    }

    memcpy(reply->body + reply->len, piece, n);
    reply->len += n;

    return PUSH_OK;
}
