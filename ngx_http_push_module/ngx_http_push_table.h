/*
 * ngx_http_push_table: uid -> connections, id -> connection, of this worker
 *
 * owns: users and both hash tables; they grow and shrink in steps
 */

#ifndef NGX_HTTP_PUSH_TABLE_H
#define NGX_HTTP_PUSH_TABLE_H

#include "ngx_http_push_module.h"

/* ngx_http_push_worker->table; NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_table_init(ngx_http_push_worker_t *w);
void ngx_http_push_table_destroy(ngx_http_push_worker_t *w);

/* Puts ws into both tables under its id and uid.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_table_add(ngx_http_push_conn_t *ws, const u_char *uid,
    size_t len);
/* Takes it out; a user without connections is freed. */
void ngx_http_push_table_remove(ngx_http_push_conn_t *ws);

ngx_http_push_user_t *ngx_http_push_table_user(const char *uid, size_t len);
ngx_http_push_conn_t *ngx_http_push_table_conn(uint64_t id);

/*
 * A walk over all connections in slices: *cursor starts as 0, the call gives
 * at least one bucket and stops after about max connections; calls fn for
 * each.  fn may close the one that it is given, and no other.  Connections
 * that come or go meanwhile may be missed or not; nobody is seen twice unless
 * the table grew.  NGX_OK: at the end; NGX_AGAIN: call again.
 */
typedef void (*ngx_http_push_table_pt)(ngx_http_push_conn_t *ws, void *data);
ngx_int_t ngx_http_push_table_walk(ngx_uint_t *cursor, ngx_uint_t max,
    ngx_http_push_table_pt fn, void *data);

#endif
