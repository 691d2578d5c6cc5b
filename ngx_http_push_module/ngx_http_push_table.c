/*
 * ngx_http_push_table: uid -> connections, id -> connection, of this worker
 *
 * An id finds its connection's cell, which says whether it is still there.
 *
 * Users: linear hashing.  With each new one beyond the load one bucket is
 * split, b into b and b + 2^k, so that no turn of the event loop pays for a
 * million.  It never shrinks: what is left over is 4 bytes a user of the peak.
 *
 * in:   connections; out: connections.  owns: users and the buckets
 */

#include "ngx_http_push_table.h"
#include "ngx_http_push_cell.h"
#include "ngx_http_push_slab.h"


#define NGX_HTTP_PUSH_TABLE_BUCKETS  64
#define NGX_HTTP_PUSH_TABLE_BLOCK    1024       /* buckets of one realloc */
#define NGX_HTTP_PUSH_TABLE_LOAD     2          /* users of a bucket */
#define NGX_HTTP_PUSH_TABLE_SKIP     16         /* free cells cost a walk as much
                                                   as one connection */


struct ngx_http_push_table_s {
    ngx_http_push_user_t  **buckets;
    ngx_uint_t              n;          /* in use, 2^k <= n < 2^(k+1) */
    ngx_uint_t              mask;       /* 2^(k+1) - 1 */
    ngx_uint_t              allocated;
    ngx_uint_t              users;
    uint32_t                seed;
};


static ngx_http_push_user_t **ngx_http_push_table_bucket(
    ngx_http_push_table_t *t, uint32_t hash);
static void ngx_http_push_table_grow(ngx_http_push_table_t *t);
static uint32_t ngx_http_push_table_hash(const u_char *p, size_t len);
static ngx_http_push_user_t *ngx_http_push_table_find(const u_char *uid,
    size_t len);

#define ngx_http_push_user_size(len)                                          \
    (offsetof(ngx_http_push_user_t, name) + (len))

#define NGX_HTTP_PUSH_USER_LINK  offsetof(ngx_http_push_conn_t, user_link)


ngx_int_t
ngx_http_push_table_init(ngx_http_push_worker_t *w)
{
    ngx_http_push_table_t  *t;

    t = ngx_calloc(sizeof(ngx_http_push_table_t), ngx_cycle->log);
    if (t == NULL) {
        return NGX_ERROR;
    }

    t->buckets = ngx_calloc(NGX_HTTP_PUSH_TABLE_BUCKETS * sizeof(void *),
                            ngx_cycle->log);
    if (t->buckets == NULL) {
        ngx_free(t);
        return NGX_ERROR;
    }

    t->n = NGX_HTTP_PUSH_TABLE_BUCKETS;
    t->mask = 2 * NGX_HTTP_PUSH_TABLE_BUCKETS - 1;
    t->allocated = NGX_HTTP_PUSH_TABLE_BUCKETS;
    t->seed = (uint32_t) ngx_random();

    w->table = t;

    return NGX_OK;
}


void
ngx_http_push_table_destroy(ngx_http_push_worker_t *w)
{
    if (w->table == NULL) {
        return;
    }

    ngx_free(w->table->buckets);
    ngx_free(w->table);
    w->table = NULL;
}


ngx_int_t
ngx_http_push_table_prepare(ngx_http_push_conn_t *ws, const u_char *uid,
    size_t len)
{
    ngx_http_push_user_t  *user;

    user = ngx_http_push_slab_alloc(ngx_http_push_user_size(len));
    if (user == NULL) {
        return NGX_ERROR;
    }

    user->next = NULL;
    user->conns = 0;
    user->len = (uint8_t) len;
    ngx_memcpy(user->name, uid, len);

    ws->user = user;

    return NGX_OK;
}


void
ngx_http_push_table_discard(ngx_http_push_conn_t *ws)
{
    ngx_http_push_slab_free(ws->user, ngx_http_push_user_size(ws->user->len));
    ws->user = NULL;
}


void
ngx_http_push_table_add(ngx_http_push_conn_t *ws)
{
    ngx_http_push_user_t   *user, **bucket;
    ngx_http_push_table_t  *t;

    t = ngx_http_push_worker->table;

    user = ngx_http_push_table_find(ws->user->name, ws->user->len);

    if (user) {
        ngx_http_push_table_discard(ws);
        ws->user = user;

    } else {
        user = ws->user;

        ngx_http_push_table_grow(t);

        bucket = ngx_http_push_table_bucket(t,
                             ngx_http_push_table_hash(user->name, user->len));
        user->next = *bucket;
        *bucket = user;
        t->users++;
    }

    ngx_http_push_cell_append(&user->conns, ws, NGX_HTTP_PUSH_USER_LINK);
    ws->listed = 1;

    ngx_http_push_worker->counters->users = t->users;
}


void
ngx_http_push_table_remove(ngx_http_push_conn_t *ws)
{
    ngx_http_push_user_t   **link, *user;
    ngx_http_push_table_t   *t;

    t = ngx_http_push_worker->table;

    user = ws->user;
    ws->user = NULL;
    ws->listed = 0;

    ngx_http_push_cell_remove(&user->conns, ws, NGX_HTTP_PUSH_USER_LINK);

    if (user->conns) {
        return;
    }

    link = ngx_http_push_table_bucket(t,
                             ngx_http_push_table_hash(user->name, user->len));

    while (*link != user) {
        link = &(*link)->next;
    }

    *link = user->next;
    t->users--;

    ngx_http_push_slab_free(user, ngx_http_push_user_size(user->len));

    ngx_http_push_worker->counters->users = t->users;
}


ngx_http_push_user_t *
ngx_http_push_table_user(const char *uid, size_t len)
{
    return ngx_http_push_table_find((const u_char *) uid, len);
}


ngx_http_push_conn_t *
ngx_http_push_table_conn(uint64_t id)
{
    uint32_t                n;
    ngx_http_push_conn_t   *ws;
    ngx_http_push_cells_t  *cells;

    cells = ngx_http_push_worker->cells;
    n = (uint32_t) id & cells->mask;

    if (n == 0 || n >= cells->count) {
        return NULL;
    }

    ws = ngx_http_push_cell(n);

    return ws->listed && ws->id == id ? ws : NULL;
}


ngx_http_push_conn_t *
ngx_http_push_table_next(ngx_http_push_user_t *user, ngx_http_push_conn_t *ws)
{
    uint32_t  n;

    if (ws == NULL) {
        return ngx_http_push_cell(user->conns);
    }

    n = ws->user_link.next;

    return n == user->conns ? NULL : ngx_http_push_cell(n);
}


ngx_int_t
ngx_http_push_table_walk(ngx_uint_t *cursor, ngx_uint_t max,
    ngx_http_push_table_pt fn, void *data)
{
    ngx_uint_t              seen, skipped;
    ngx_http_push_conn_t   *ws;
    ngx_http_push_cells_t  *cells;

    cells = ngx_http_push_worker->cells;
    seen = 0;
    skipped = 0;

    while (*cursor + 1 < cells->count && seen < max) {

        ws = ngx_http_push_cell((uint32_t) ++*cursor);

        if (ws->listed) {
            fn(ws, data);
            seen++;

        } else if (++skipped % NGX_HTTP_PUSH_TABLE_SKIP == 0) {
            seen++;
        }
    }

    return *cursor + 1 < cells->count ? NGX_AGAIN : NGX_OK;
}


ngx_uint_t
ngx_http_push_table_length(void)
{
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    return w->connections + w->cells->count / NGX_HTTP_PUSH_TABLE_SKIP;
}


/* --- linear hashing ----------------------------------------------------- */

static ngx_http_push_user_t **
ngx_http_push_table_bucket(ngx_http_push_table_t *t, uint32_t hash)
{
    ngx_uint_t  b;

    b = hash & t->mask;

    return &t->buckets[b < t->n ? b : (hash & (t->mask >> 1))];
}


/*
 * Beyond the load: a new bucket n - 1 takes its part of bucket
 * n - 1 - (mask + 1) / 2.  Without memory the chains grow instead.
 */

static void
ngx_http_push_table_grow(ngx_http_push_table_t *t)
{
    uint32_t                hash;
    ngx_http_push_user_t  **buckets, **from, **to, *user, *next;

    if (t->users < NGX_HTTP_PUSH_TABLE_LOAD * t->n) {
        return;
    }

    if (t->n == t->allocated) {
        buckets = realloc(t->buckets,
                          (t->allocated + NGX_HTTP_PUSH_TABLE_BLOCK)
                          * sizeof(void *));
        if (buckets == NULL) {
            return;
        }

        t->buckets = buckets;
        t->allocated += NGX_HTTP_PUSH_TABLE_BLOCK;
    }

    if (t->n > t->mask) {
        t->mask = 2 * t->mask + 1;
    }

    to = &t->buckets[t->n++];
    from = to - (t->mask + 1) / 2;

    user = *from;
    *from = NULL;
    *to = NULL;

    for ( /* void */ ; user; user = next) {
        next = user->next;
        hash = ngx_http_push_table_hash(user->name, user->len);

        if ((hash & t->mask) == t->n - 1) {
            user->next = *to;
            *to = user;

        } else {
            user->next = *from;
            *from = user;
        }
    }
}


static ngx_http_push_user_t *
ngx_http_push_table_find(const u_char *uid, size_t len)
{
    ngx_http_push_user_t  *user;

    user = *ngx_http_push_table_bucket(ngx_http_push_worker->table,
                                       ngx_http_push_table_hash(uid, len));

    while (user
           && (user->len != len || ngx_memcmp(user->name, uid, len) != 0))
    {
        user = user->next;
    }

    return user;
}


/* Users choose their names: a seed, so that they cannot choose their bucket. */

static uint32_t
ngx_http_push_table_hash(const u_char *p, size_t len)
{
    uint64_t  h, word;

    h = (uint64_t) ngx_http_push_worker->table->seed << 32 | (uint32_t) len;

    while (len >= 8) {
        ngx_memcpy(&word, p, 8);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
        p += 8;
        len -= 8;
    }

    word = 0;
    ngx_memcpy(&word, p, len);
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);

    return (uint32_t) (h >> 32);
}
