/*
 * http_intake: what libmicrohttpd has parsed --> route, limits, body, handler
 *
 * in:   MHD's callbacks; data is the struct http_server
 * out:  calls of handlers, queued responses
 * owns: the list of requests
 *
 * Only for http_server.c.
 */

#ifndef HTTP_INTAKE_H
#define HTTP_INTAKE_H

#include <microhttpd.h>

#include "http_request.h"

/* MHD_OPTION_URI_LOG_CALLBACK, NOTIFY_COMPLETED, UNESCAPE_CALLBACK. */
void *http_intake_begin(void *data, const char *target,
    struct MHD_Connection *c);
void http_intake_end(void *data, struct MHD_Connection *c, void **con,
    enum MHD_RequestTerminationCode code);
size_t http_intake_no_unescape(void *data, struct MHD_Connection *c, char *s);

/* The access handler: headers, each piece of the body, the end; resumed. */
enum MHD_Result http_intake_access(void *data, struct MHD_Connection *c,
    const char *url, const char *method, const char *version,
    const char *piece, size_t *len, void **con);

#endif
