/*
 * ngx_http_push_answer: what collector and auth say to one connection
 *
 *     begin, conn, void, tip --> push_delivery --> frames, the next request
 *     reset, close, extend, sent --> a frame, a close code, an expiry
 *
 * in:  the connection that the item's id names, ready and not closing
 * out: what the item's line is answered
 */

#ifndef NGX_HTTP_PUSH_ANSWER_H
#define NGX_HTTP_PUSH_ANSWER_H

#include "ngx_http_push_module.h"

/*
 * Each takes an item of its verb (message: `conn`).  none: of a request that
 * nobody waits for any more, of a log that is not the connection's, or for a
 * raw one.  They may close ws.
 */
struct push_lines_answer ngx_http_push_answer_begin(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
struct push_lines_answer ngx_http_push_answer_message(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
struct push_lines_answer ngx_http_push_answer_void(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
struct push_lines_answer ngx_http_push_answer_tip(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
struct push_lines_answer ngx_http_push_answer_reset(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
struct push_lines_answer ngx_http_push_answer_close(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
struct push_lines_answer ngx_http_push_answer_extend(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);
struct push_lines_answer ngx_http_push_answer_sent(
    ngx_http_push_conn_t *ws, const struct push_lines_item *item);

#endif
