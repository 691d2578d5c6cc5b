/*
 * ngx_http_push_limit: how many connections, and how fast they may speak
 *
 *     zone | key | slot 0: users, addresses | slot 1 | ...
 *
 * A slot's counters are written by its own worker only.  It counts first and
 * sums then, so that of two handshakes at once at least one sees both.  Whoever
 * is over the limit looks again: the counters of a worker that was killed go,
 * and under the mutex one of two is let through if there is room for one.
 *
 * in:   handshakes, signs of life, messages; out: yes or no
 * owns: the counters in the zone
 */

#include "ngx_http_push_limit.h"
#include "ngx_http_push_conn.h"
#include "ngx_http_push_slot.h"

#include <sys/random.h>


/* pings and pongs: 100 a second, 1000 at once; levels in tenths of a frame */
#define NGX_HTTP_PUSH_LIMIT_CONTROL        10
#define NGX_HTTP_PUSH_LIMIT_CONTROLS       (1000 * NGX_HTTP_PUSH_LIMIT_CONTROL)
#define NGX_HTTP_PUSH_LIMIT_CONTROL_RATE   1    /* tenths a millisecond */

#define NGX_HTTP_PUSH_LIMIT_MESSAGE        1000 /* thousandths of a message */


enum {
    NGX_HTTP_PUSH_LIMIT_USERS = 0,
    NGX_HTTP_PUSH_LIMIT_ADDRS,
    NGX_HTTP_PUSH_LIMIT_KINDS
};

struct ngx_http_push_limits_s {
    uint64_t                    key[2];         /* random, of the zone */
    struct push_limit_counts    counts[1][NGX_HTTP_PUSH_LIMIT_KINDS];
                                                /* of each slot; not zeroed
                                                   before it is claimed */
};


static ngx_int_t ngx_http_push_limit_count(ngx_http_push_worker_t *w,
    ngx_uint_t kind, uint64_t hash, ngx_uint_t max);
static ngx_uint_t ngx_http_push_limit_sum(ngx_http_push_zone_t *zone,
    ngx_uint_t kind, uint64_t hash);
static void ngx_http_push_limit_bury(ngx_http_push_worker_t *w,
    ngx_uint_t kind, uint64_t hash);
static uint64_t ngx_http_push_limit_user_hash(ngx_http_push_conn_t *ws);
static ngx_int_t ngx_http_push_limit_addr_hash(ngx_http_push_conn_t *ws,
    uint64_t *hash);


/* --- the zone ------------------------------------------------------------ */

size_t
ngx_http_push_limit_size(ngx_uint_t slots)
{
    return offsetof(ngx_http_push_limits_t, counts)
           + slots * NGX_HTTP_PUSH_LIMIT_KINDS
             * sizeof(struct push_limit_counts);
}


ngx_int_t
ngx_http_push_limit_init_zone(ngx_http_push_zone_t *zone,
    ngx_slab_pool_t *shpool, ngx_log_t *log)
{
    ngx_http_push_limits_t  *limits;

    /* without calloc: pages that no worker uses are never touched */

    limits = ngx_slab_alloc(shpool, ngx_http_push_limit_size(zone->slots));
    if (limits == NULL) {
        return NGX_ERROR;
    }

    if (getrandom(limits->key, sizeof(limits->key), 0)
        != sizeof(limits->key))
    {
        ngx_log_error(NGX_LOG_EMERG, log, ngx_errno,
                      "push: getrandom() failed");
        return NGX_ERROR;
    }

    zone->limits = limits;

    return NGX_OK;
}


void
ngx_http_push_limit_clear(ngx_http_push_zone_t *zone, ngx_uint_t slot)
{
    if (zone->limits) {
        ngx_memzero(zone->limits->counts[slot],
                    sizeof(zone->limits->counts[slot]));
    }
}


/* --- handshakes ---------------------------------------------------------- */

ngx_uint_t
ngx_http_push_limit_full(ngx_uint_t more)
{
    ngx_uint_t               max;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;
    max = w->conf->limit_connections;

    return max && w->connections + w->handshakes + more > max;
}


ngx_http_push_limit_t
ngx_http_push_limit_take(ngx_http_push_conn_t *ws, ngx_uint_t user_max)
{
    uint64_t                 hash;
    ngx_int_t                rc;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    if (w->zone->limits == NULL) {
        return NGX_HTTP_PUSH_LIMIT_OK;
    }

    if (ws->conf->limit_user) {
        rc = ngx_http_push_limit_count(w, NGX_HTTP_PUSH_LIMIT_USERS,
                                       ngx_http_push_limit_user_hash(ws),
                                       user_max);
        if (rc == NGX_DECLINED) {
            return NGX_HTTP_PUSH_LIMIT_USER;
        }

        ws->user_counted = (rc == NGX_OK);
    }

    if (ws->conf->limit_addr
        && ngx_http_push_limit_addr_hash(ws, &hash) == NGX_OK)
    {
        rc = ngx_http_push_limit_count(w, NGX_HTTP_PUSH_LIMIT_ADDRS, hash,
                                       ws->conf->limit_addr);
        if (rc == NGX_DECLINED) {
            ngx_http_push_limit_put(ws);
            return NGX_HTTP_PUSH_LIMIT_ADDR;
        }

        ws->addr_counted = (rc == NGX_OK);
    }

    return NGX_HTTP_PUSH_LIMIT_OK;
}


void
ngx_http_push_limit_put(ngx_http_push_conn_t *ws)
{
    uint64_t                   hash;
    ngx_http_push_worker_t    *w;
    struct push_limit_counts  *mine;

    if (!ws->user_counted && !ws->addr_counted) {
        return;
    }

    w = ngx_http_push_worker;
    mine = w->zone->limits->counts[w->slot_number];

    if (ws->user_counted) {
        ws->user_counted = 0;
        push_limit_remove(&mine[NGX_HTTP_PUSH_LIMIT_USERS],
                          ngx_http_push_limit_user_hash(ws));
    }

    if (ws->addr_counted) {
        ws->addr_counted = 0;

        if (ngx_http_push_limit_addr_hash(ws, &hash) == NGX_OK) {
            push_limit_remove(&mine[NGX_HTTP_PUSH_LIMIT_ADDRS], hash);
        }
    }
}


/* NGX_OK: counted; NGX_AGAIN: not counted, but no limit says no. */

static ngx_int_t
ngx_http_push_limit_count(ngx_http_push_worker_t *w, ngx_uint_t kind,
    uint64_t hash, ngx_uint_t max)
{
    ngx_uint_t                 n;
    ngx_slab_pool_t           *shpool;
    struct push_limit_counts  *mine;

    mine = &w->zone->limits->counts[w->slot_number][kind];

    if (push_limit_add(mine, hash) != PUSH_OK) {
        return max ? NGX_DECLINED : NGX_AGAIN;
    }

    /* others see ours before we read theirs */
    __atomic_thread_fence(__ATOMIC_SEQ_CST);

    if (max == 0 || ngx_http_push_limit_sum(w->zone, kind, hash) <= max) {
        return NGX_OK;
    }

    ngx_http_push_limit_bury(w, kind, hash);

    shpool = (ngx_slab_pool_t *) w->conf->shm_zone->shm.addr;

    ngx_shmtx_lock(&shpool->mutex);

    n = ngx_http_push_limit_sum(w->zone, kind, hash);

    if (n > max) {
        push_limit_remove(mine, hash);
    }

    ngx_shmtx_unlock(&shpool->mutex);

    return n > max ? NGX_DECLINED : NGX_OK;
}


static ngx_uint_t
ngx_http_push_limit_sum(ngx_http_push_zone_t *zone, ngx_uint_t kind,
    uint64_t hash)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < zone->slots; i++) {
        if (zone->slot[i].pid) {
            n += push_limit_get(&zone->limits->counts[i][kind], hash);
        }
    }

    return n;
}


/* An old worker that is killed has no successor that would claim its slot. */

static void
ngx_http_push_limit_bury(ngx_http_push_worker_t *w, ngx_uint_t kind,
    uint64_t hash)
{
    ngx_uint_t             i;
    ngx_slab_pool_t       *shpool;
    ngx_atomic_uint_t      generation;
    ngx_http_push_slot_t  *slot;

    shpool = (ngx_slab_pool_t *) w->conf->shm_zone->shm.addr;

    for (i = 0; i < w->zone->slots; i++) {
        slot = &w->zone->slot[i];
        generation = slot->generation;

        if (i == w->slot_number || slot->pid == 0
            || push_limit_get(&w->zone->limits->counts[i][kind], hash) == 0
            || ngx_http_push_slot_alive(slot))
        {
            continue;
        }

        ngx_shmtx_lock(&shpool->mutex);

        if (slot->generation == generation) {
            ngx_http_push_limit_clear(w->zone, i);
        }

        ngx_shmtx_unlock(&shpool->mutex);
    }
}


static uint64_t
ngx_http_push_limit_user_hash(ngx_http_push_conn_t *ws)
{
    return push_limit_hash(ngx_http_push_worker->zone->limits->key,
                           ws->user->name, ws->user->len);
}


/* NGX_DECLINED: it has none (a unix socket). */

static ngx_int_t
ngx_http_push_limit_addr_hash(ngx_http_push_conn_t *ws, uint64_t *hash)
{
    size_t                len;
    u_char               *p;
    struct sockaddr      *sa;
#if (NGX_HAVE_INET6)
    struct sockaddr_in6  *sin6;
#endif

    sa = ngx_http_push_conn_sockaddr(ws);

    switch (sa->sa_family) {

    case AF_INET:
        p = (u_char *) &((struct sockaddr_in *) sa)->sin_addr;
        len = 4;
        break;

#if (NGX_HAVE_INET6)
    case AF_INET6:
        sin6 = (struct sockaddr_in6 *) sa;
        p = sin6->sin6_addr.s6_addr;
        len = 8;        /* a subscriber has a /64 at least */

        if (IN6_IS_ADDR_V4MAPPED(&sin6->sin6_addr)) {
            p += 12;
            len = 4;
        }

        break;
#endif

    default:
        return NGX_DECLINED;
    }

    *hash = push_limit_hash(ngx_http_push_worker->zone->limits->key, p, len);

    return NGX_OK;
}


/* --- a connection's rate -------------------------------------------------- */

void
ngx_http_push_limit_seen(ngx_http_push_conn_t *ws)
{
    uint32_t  now, elapsed;

    now = ngx_http_push_now();
    elapsed = now - ws->seen_ms;

    if (elapsed) {
        ws->message_level = push_limit_drained(ws->message_level,
                                         (uint32_t) ws->conf->message_rate,
                                         elapsed);
        ws->control_level = (uint16_t)
            push_limit_drained(ws->control_level,
                               NGX_HTTP_PUSH_LIMIT_CONTROL_RATE, elapsed);
        ws->seen_ms = now;
    }
}


ngx_int_t
ngx_http_push_limit_message(ngx_http_push_conn_t *ws)
{
    uint32_t  level;

    if (ws->conf->message_rate == 0) {
        return NGX_OK;
    }

    level = ws->message_level + NGX_HTTP_PUSH_LIMIT_MESSAGE;

    if (level > ws->conf->message_burst * NGX_HTTP_PUSH_LIMIT_MESSAGE) {
        return NGX_DECLINED;
    }

    ws->message_level = level;

    return NGX_OK;
}


ngx_int_t
ngx_http_push_limit_control(ngx_http_push_conn_t *ws)
{
    uint32_t  level;

    level = ws->control_level + NGX_HTTP_PUSH_LIMIT_CONTROL;

    if (level > NGX_HTTP_PUSH_LIMIT_CONTROLS) {
        return NGX_DECLINED;
    }

    ws->control_level = (uint16_t) level;

    return NGX_OK;
}
