/*
 * ngx_http_push_deliver: the dispatcher's POST
 *
 *     body --push_lines--> items --batch--> answers, in order
 *
 * in:   POST, Push-Secret; out: 200 with a line an item, 400, 403, 405, 411,
 *       413
 */

#ifndef NGX_HTTP_PUSH_DELIVER_H
#define NGX_HTTP_PUSH_DELIVER_H

#include "ngx_http_push_module.h"

/* content handler of a push_deliver location */
ngx_int_t ngx_http_push_deliver(ngx_http_request_t *r);

/*
 * While the location of cf is merged: bodies of up to 1 MB are taken whatever
 * client_max_body_size says, and no file is ever written.
 */
void ngx_http_push_deliver_merge(ngx_conf_t *cf);

#endif
