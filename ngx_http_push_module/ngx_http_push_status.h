/*
 * ngx_http_push_status: counters of all slots
 *
 * in:   GET, ?format=json (default) or prometheus, or Accept: text/plain
 * out:  sums and a row a worker
 */

#ifndef NGX_HTTP_PUSH_STATUS_H
#define NGX_HTTP_PUSH_STATUS_H

#include "ngx_http_push_module.h"

/* content handler of a push_status location */
ngx_int_t ngx_http_push_status(ngx_http_request_t *r);

#endif
