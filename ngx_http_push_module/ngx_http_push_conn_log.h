/*
 * ngx_http_push_conn_log: who speaks in the error log
 *
 * in:   connections; out: lines.  owns: two ngx_log_t a location
 */

#ifndef NGX_HTTP_PUSH_CONN_LOG_H
#define NGX_HTTP_PUSH_CONN_LOG_H

#include "ngx_http_push_module.h"

/* conf->log and debug_log, for the first connection.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_conn_log_init(ngx_http_push_loc_conf_t *conf);

/* What nginx logs between these two names client and user. */
void ngx_http_push_conn_log_enter(ngx_http_push_conn_t *ws);
void ngx_http_push_conn_log_leave(ngx_http_push_conn_t *ws);

/* The line of its beginning; once it is dead, the one that tells all. */
void ngx_http_push_conn_log_line(ngx_http_push_conn_t *ws);

#endif
