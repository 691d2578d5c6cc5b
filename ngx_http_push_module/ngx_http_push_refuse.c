/*
 * ngx_http_push_refuse: the answer to a handshake that is none, or is too many
 *
 * in:   a reason; out: problem+json with its status, a counter, a log line
 * owns: the sentences
 */

#include "ngx_http_push_refuse.h"
#include "ngx_http_push_outcome.h"
#include "ngx_http_push_upgrade.h"


#define NGX_HTTP_PUSH_REFUSE_TEXT  256      /* bytes of the answer */


typedef struct {
    ngx_uint_t   status;
    const char  *title;
    const char  *detail;
    const char  *header;        /* or NULL */
    const char  *header_value;
} ngx_http_push_refusal_t;


static const ngx_http_push_refusal_t  ngx_http_push_refusals[] = {
    { 0, NULL, NULL, NULL, NULL },
#define X(name, status, title, detail, header, value)                         \
    { status, title, detail, header, value },
    NGX_HTTP_PUSH_REFUSALS(X)
#undef X
};


ngx_int_t
ngx_http_push_refuse(ngx_http_request_t *r, ngx_http_push_refuse_t refuse)
{
    u_char                    *p;
    ngx_int_t                  rc;
    ngx_str_t                  type;
    ngx_http_complex_value_t   cv;

    const ngx_http_push_refusal_t  *refusal;

    refusal = &ngx_http_push_refusals[refuse];

    if (ngx_http_push_worker) {
        ngx_http_push_outcome_counted(r);

        if (refuse == NGX_HTTP_PUSH_REFUSE_FULL) {
            ngx_http_push_count(handshakes_full);

        } else {
            ngx_http_push_outcome_count(refusal->status);
        }
    }

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "push handshake refused with %ui: %s", refusal->status,
                  refusal->detail);

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (refusal->header
        && ngx_http_push_upgrade_header(r, refusal->header,
                                          refusal->header_value,
                                          ngx_strlen(refusal->header_value))
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (refusal->status == NGX_HTTP_BAD_REQUEST) {
        r->keepalive = 0;
    }

    p = ngx_pnalloc(r->pool, NGX_HTTP_PUSH_REFUSE_TEXT);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&cv, sizeof(ngx_http_complex_value_t));

    cv.value.data = p;
    cv.value.len = ngx_snprintf(p, NGX_HTTP_PUSH_REFUSE_TEXT,
                                "{\"title\":\"%s\",\"status\":%ui,"
                                "\"detail\":\"%s\"}" CRLF,
                                refusal->title, refusal->status,
                                refusal->detail)
                   - p;

    ngx_str_set(&type, "application/problem+json");

    return ngx_http_send_response(r, refusal->status, &type, &cv);
}
