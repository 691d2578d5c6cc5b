/*
 * ngx_http_push_outcome: how a handshake ended, counted once
 *
 *     preaccess --watch--> request --its end--> handshakes_*
 *
 * What auth refuses never gets to our content handler; error_page may take the
 * request to another location.  Its cleanup runs all the same.
 *
 * in:   requests of push locations; out: handshakes_*.  owns: nothing
 */

#include "ngx_http_push_outcome.h"


static void ngx_http_push_outcome_end(void *data);


static ngx_http_cleanup_t *
ngx_http_push_outcome_find(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_http_push_outcome_end) {
            return cln;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_push_outcome_watch(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    if (ngx_http_push_worker == NULL || ngx_http_push_outcome_find(r)) {
        return NGX_OK;
    }

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_push_outcome_end;
    cln->data = r;

    return NGX_OK;
}


void
ngx_http_push_outcome_counted(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_push_outcome_find(r);

    if (cln) {
        cln->handler = NULL;
    }
}


static void
ngx_http_push_outcome_end(void *data)
{
    ngx_http_request_t  *r = data;

    ngx_http_push_outcome_count(r->err_status ? r->err_status
                                              : r->headers_out.status);
}


/* 0, 101, 408, 499: the client left, or had nothing but the 101. */

void
ngx_http_push_outcome_count(ngx_uint_t status)
{
    switch (status) {

    case NGX_HTTP_UNAUTHORIZED:
    case NGX_HTTP_FORBIDDEN:
        ngx_http_push_count(handshakes_denied);
        break;

    case NGX_HTTP_TOO_MANY_REQUESTS:
        ngx_http_push_count(handshakes_limited);
        break;

    case NGX_HTTP_REQUEST_TIME_OUT:
    case NGX_HTTP_CLIENT_CLOSED_REQUEST:
        ngx_http_push_count(handshakes_failed);
        break;

    default:
        if (status >= NGX_HTTP_MOVED_PERMANENTLY
            && status < NGX_HTTP_INTERNAL_SERVER_ERROR)
        {
            ngx_http_push_count(handshakes_bad);

        } else {
            ngx_http_push_count(handshakes_failed);
        }
    }
}
