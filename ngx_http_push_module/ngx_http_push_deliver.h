/*
 * ngx_http_push_deliver: the dispatcher's POST
 *
 *     body --push_lines--> items --inbox--> answers, in order
 *
 * in:   POST, Push-Secret; out: 200 with a line an item, 400, 403, 405, 413
 */

#ifndef NGX_HTTP_PUSH_DELIVER_H
#define NGX_HTTP_PUSH_DELIVER_H

#include "ngx_http_push_module.h"

/* content handler of a push_deliver location */
ngx_int_t ngx_http_push_deliver(ngx_http_request_t *r);

#endif
