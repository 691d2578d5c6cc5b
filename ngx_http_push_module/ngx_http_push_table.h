/*
 * ngx_http_push_table: uid -> connections, id -> connection, of this worker
 *
 * owns: users and their hash table; it grows by one bucket at a time (no pause
 * at a million) and never shrinks
 */

#ifndef NGX_HTTP_PUSH_TABLE_H
#define NGX_HTTP_PUSH_TABLE_H

#include "ngx_http_push_module.h"

/* ngx_http_push_worker->table; NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_table_init(ngx_http_push_worker_t *w);
void ngx_http_push_table_destroy(ngx_http_push_worker_t *w);

/* ws->user: in no table yet.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_push_table_prepare(ngx_http_push_conn_t *ws,
    const u_char *uid, size_t len);
/* Frees what prepare made, if it was never added. */
void ngx_http_push_table_discard(ngx_http_push_conn_t *ws);

/* ws is found by its id and its user's name from here on. */
void ngx_http_push_table_add(ngx_http_push_conn_t *ws);
/*
 * Takes it out; a user without connections is freed.  Only conn.c does it, at
 * the end of a turn: a walk through a user's connections may close any of them.
 */
void ngx_http_push_table_remove(ngx_http_push_conn_t *ws);

ngx_http_push_user_t *ngx_http_push_table_user(const char *uid, size_t len);
ngx_http_push_conn_t *ngx_http_push_table_conn(uint64_t id);

/*
 * A user's connections, oldest first: ws NULL: the first one; NULL: that was
 * the last one.
 */
ngx_http_push_conn_t *ngx_http_push_table_next(ngx_http_push_user_t *user,
    ngx_http_push_conn_t *ws);

/*
 * A walk over all connections in slices: *cursor starts as 0, the call stops
 * after about max connections; calls fn for each.  fn may close any.  Who is
 * there all the time is seen once; who comes or goes meanwhile may be missed.
 * NGX_OK: at the end; NGX_AGAIN: call again.
 */
typedef void (*ngx_http_push_table_pt)(ngx_http_push_conn_t *ws, void *data);
ngx_int_t ngx_http_push_table_walk(ngx_uint_t *cursor, ngx_uint_t max,
    ngx_http_push_table_pt fn, void *data);

/* The sum of max that a walk from 0 to the end takes now, free cells too. */
ngx_uint_t ngx_http_push_table_length(void);

#endif
