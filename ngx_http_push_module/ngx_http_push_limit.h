/*
 * ngx_http_push_limit: how many connections, and how fast they may speak
 *
 *     handshake --take--> counters of our slot, in the zone --put--> close
 *                              | sum over slots
 *                              +--> more than the limit: 429
 *
 * Users and addresses are counted for the whole node, by keyed hash: a limit
 * lets never more through, and may seldom refuse early (push_limit.h).  A
 * connection counts from before its 101 until its Close is queued.
 *
 * in:   handshakes, signs of life, messages; out: yes or no.  It closes none.
 * owns: the counters: none in a node where neither limit is used
 */

#ifndef NGX_HTTP_PUSH_LIMIT_H
#define NGX_HTTP_PUSH_LIMIT_H

#include "ngx_http_push_module.h"
#include "push_limit.h"

/* --- the zone ------------------------------------------------------------ */

/* Bytes of the zone that the counters of all slots take. */
size_t ngx_http_push_limit_size(ngx_uint_t slots);
/* zone->limits; NGX_ERROR: no room, or no random key; logged. */
ngx_int_t ngx_http_push_limit_init_zone(ngx_http_push_zone_t *zone,
    ngx_slab_pool_t *shpool, ngx_log_t *log);
/* Under the zone's mutex: a slot begins with zeroes. */
void ngx_http_push_limit_clear(ngx_http_push_zone_t *zone, ngx_uint_t slot);

/* --- handshakes ---------------------------------------------------------- */

typedef enum {
    NGX_HTTP_PUSH_LIMIT_OK = 0,
    NGX_HTTP_PUSH_LIMIT_USER,
    NGX_HTTP_PUSH_LIMIT_ADDR
} ngx_http_push_limit_t;

/* This worker has as many connections as push_limit_connections allows;
   `more` of them are to come. */
ngx_uint_t ngx_http_push_limit_full(ngx_uint_t more);

/*
 * Counts a connection that conn_create() made, or says which limit it is
 * beyond.  user_max: what push_limit_user says, 0: no limit.
 */
ngx_http_push_limit_t ngx_http_push_limit_take(ngx_http_push_conn_t *ws,
    ngx_uint_t user_max);
/* Counted no more; again changes nothing. */
void ngx_http_push_limit_put(ngx_http_push_conn_t *ws);

/* --- a connection's rate -------------------------------------------------- */

/* The client has been heard: seen_ms is now, and its levels run off. */
void ngx_http_push_limit_seen(ngx_http_push_conn_t *ws);
/* After seen(): NGX_DECLINED if it was one message, or one ping or pong, too
   many. */
ngx_int_t ngx_http_push_limit_message(ngx_http_push_conn_t *ws);
ngx_int_t ngx_http_push_limit_control(ngx_http_push_conn_t *ws);

#endif
