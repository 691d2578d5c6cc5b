/*
 * ngx_http_push_table: uid -> connections, id -> connection, of this worker
 *
 * Linear hashing: with each new entry beyond the load one bucket is split,
 * b into b and b + 2^k, so that no turn of the event loop pays for a million.
 * A walk goes upward and a split moves upward: who is there all the time is
 * seen.  It never shrinks: what is left over is 8 bytes an entry of the peak.
 *
 * in:   connections; out: connections.  owns: users and the buckets
 */

#include "ngx_http_push_table.h"
#include "ngx_http_push_slab.h"


#define NGX_HTTP_PUSH_TABLE_BUCKETS  64
#define NGX_HTTP_PUSH_TABLE_BLOCK    1024       /* buckets of one realloc */


typedef struct {
    void       **buckets;
    ngx_uint_t   n;             /* in use, 2^k <= n < 2^(k+1) */
    ngx_uint_t   mask;          /* 2^(k+1) - 1 */
    ngx_uint_t   allocated;
    ngx_uint_t   count;         /* entries */
} ngx_http_push_hash_t;

struct ngx_http_push_table_s {
    ngx_http_push_hash_t  users;
    ngx_http_push_hash_t  ids;
    uint32_t              seed;
};


static ngx_int_t ngx_http_push_hash_init(ngx_http_push_hash_t *h);
static ngx_uint_t ngx_http_push_hash_bucket(ngx_http_push_hash_t *h,
    uint32_t hash);
static ngx_uint_t ngx_http_push_hash_grow(ngx_http_push_hash_t *h);
static uint32_t ngx_http_push_table_uid_hash(const u_char *p, size_t len);
static ngx_http_push_user_t *ngx_http_push_table_find(const u_char *uid,
    size_t len, uint32_t hash);
static void ngx_http_push_table_split_users(ngx_http_push_hash_t *h);
static void ngx_http_push_table_split_ids(ngx_http_push_hash_t *h);

#define ngx_http_push_user_size(len)                                          \
    (offsetof(ngx_http_push_user_t, name) + (len))

/* indexes are given one after the other: no better hash */
#define ngx_http_push_id_hash(id)  ((uint32_t) push_conn_index(id))


ngx_int_t
ngx_http_push_table_init(ngx_http_push_worker_t *w)
{
    ngx_http_push_table_t  *t;

    t = ngx_calloc(sizeof(ngx_http_push_table_t), ngx_cycle->log);
    if (t == NULL) {
        return NGX_ERROR;
    }

    w->table = t;
    t->seed = (uint32_t) ngx_random();

    if (ngx_http_push_hash_init(&t->users) != NGX_OK
        || ngx_http_push_hash_init(&t->ids) != NGX_OK)
    {
        ngx_http_push_table_destroy(w);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_push_table_destroy(ngx_http_push_worker_t *w)
{
    if (w->table == NULL) {
        return;
    }

    ngx_free(w->table->users.buckets);
    ngx_free(w->table->ids.buckets);
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
    user->hash = ngx_http_push_table_uid_hash(uid, len);
    user->len = (uint8_t) len;
    ngx_memcpy(user->name, uid, len);
    ngx_queue_init(&user->conns);

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
    void                  **bucket;
    ngx_http_push_user_t   *user;
    ngx_http_push_table_t  *t;

    t = ngx_http_push_worker->table;

    user = ngx_http_push_table_find(ws->user->name, ws->user->len,
                                    ws->user->hash);

    if (user) {
        ngx_http_push_table_discard(ws);
        ws->user = user;

    } else {
        user = ws->user;

        if (ngx_http_push_hash_grow(&t->users)) {
            ngx_http_push_table_split_users(&t->users);
        }

        bucket = &t->users.buckets[ngx_http_push_hash_bucket(&t->users,
                                                             user->hash)];
        user->next = *bucket;
        *bucket = user;
        t->users.count++;
    }

    ngx_queue_insert_tail(&user->conns, &ws->user_link);

    if (ngx_http_push_hash_grow(&t->ids)) {
        ngx_http_push_table_split_ids(&t->ids);
    }

    bucket = &t->ids.buckets[ngx_http_push_hash_bucket(&t->ids,
                                           ngx_http_push_id_hash(ws->id))];
    ws->id_next = *bucket;
    *bucket = ws;
    t->ids.count++;

    ngx_http_push_worker->counters->users = t->users.count;
}


void
ngx_http_push_table_remove(ngx_http_push_conn_t *ws)
{
    ngx_http_push_conn_t   **conn;
    ngx_http_push_user_t   **link, *user;
    ngx_http_push_table_t   *t;

    t = ngx_http_push_worker->table;

    conn = (ngx_http_push_conn_t **)
           &t->ids.buckets[ngx_http_push_hash_bucket(&t->ids,
                                           ngx_http_push_id_hash(ws->id))];

    while (*conn != ws) {
        conn = &(*conn)->id_next;
    }

    *conn = ws->id_next;
    t->ids.count--;

    user = ws->user;
    ws->user = NULL;

    ngx_queue_remove(&ws->user_link);

    if (!ngx_queue_empty(&user->conns)) {
        return;
    }

    link = (ngx_http_push_user_t **)
           &t->users.buckets[ngx_http_push_hash_bucket(&t->users,
                                                       user->hash)];

    while (*link != user) {
        link = &(*link)->next;
    }

    *link = user->next;
    t->users.count--;

    ngx_http_push_slab_free(user, ngx_http_push_user_size(user->len));

    ngx_http_push_worker->counters->users = t->users.count;
}


ngx_http_push_user_t *
ngx_http_push_table_user(const char *uid, size_t len)
{
    const u_char  *p;

    p = (const u_char *) uid;

    return ngx_http_push_table_find(p, len,
                                    ngx_http_push_table_uid_hash(p, len));
}


ngx_http_push_conn_t *
ngx_http_push_table_conn(uint64_t id)
{
    ngx_http_push_hash_t  *h;
    ngx_http_push_conn_t  *ws;

    h = &ngx_http_push_worker->table->ids;

    for (ws = h->buckets[ngx_http_push_hash_bucket(h,
                                                 ngx_http_push_id_hash(id))];
         ws;
         ws = ws->id_next)
    {
        if (ws->id == id) {
            return ws;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_push_table_walk(ngx_uint_t *cursor, ngx_uint_t max,
    ngx_http_push_table_pt fn, void *data)
{
    ngx_uint_t             seen;
    ngx_http_push_hash_t  *h;
    ngx_http_push_conn_t  *ws, *next;

    h = &ngx_http_push_worker->table->ids;

    for (seen = 0; *cursor < h->n && seen < max; (*cursor)++) {

        for (ws = h->buckets[*cursor]; ws; ws = next) {
            next = ws->id_next;
            fn(ws, data);
            seen++;
        }
    }

    return *cursor < h->n ? NGX_AGAIN : NGX_OK;
}


/* --- linear hashing ----------------------------------------------------- */

static ngx_int_t
ngx_http_push_hash_init(ngx_http_push_hash_t *h)
{
    h->buckets = ngx_calloc(NGX_HTTP_PUSH_TABLE_BUCKETS * sizeof(void *),
                            ngx_cycle->log);
    if (h->buckets == NULL) {
        return NGX_ERROR;
    }

    h->n = NGX_HTTP_PUSH_TABLE_BUCKETS;
    h->mask = 2 * NGX_HTTP_PUSH_TABLE_BUCKETS - 1;
    h->allocated = NGX_HTTP_PUSH_TABLE_BUCKETS;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_push_hash_bucket(ngx_http_push_hash_t *h, uint32_t hash)
{
    ngx_uint_t  b;

    b = hash & h->mask;

    return b < h->n ? b : (hash & (h->mask >> 1));
}


/*
 * True: a new bucket h->n - 1 is there, empty, and takes its part of bucket
 * h->n - 1 - (h->mask + 1) / 2.  Without memory the chains grow instead.
 */

static ngx_uint_t
ngx_http_push_hash_grow(ngx_http_push_hash_t *h)
{
    void  **buckets;

    if (h->count < h->n) {
        return 0;
    }

    if (h->n == h->allocated) {
        buckets = realloc(h->buckets,
                          (h->allocated + NGX_HTTP_PUSH_TABLE_BLOCK)
                          * sizeof(void *));
        if (buckets == NULL) {
            return 0;
        }

        h->buckets = buckets;
        h->allocated += NGX_HTTP_PUSH_TABLE_BLOCK;
    }

    if (h->n > h->mask) {
        h->mask = 2 * h->mask + 1;
    }

    h->buckets[h->n++] = NULL;

    return 1;
}


static void
ngx_http_push_table_split_users(ngx_http_push_hash_t *h)
{
    ngx_http_push_user_t  *user, *next, **from, **to;

    to = (ngx_http_push_user_t **) &h->buckets[h->n - 1];
    from = to - (h->mask + 1) / 2;

    user = *from;
    *from = NULL;

    for ( /* void */ ; user; user = next) {
        next = user->next;

        if ((user->hash & h->mask) == h->n - 1) {
            user->next = *to;
            *to = user;

        } else {
            user->next = *from;
            *from = user;
        }
    }
}


static void
ngx_http_push_table_split_ids(ngx_http_push_hash_t *h)
{
    ngx_http_push_conn_t  *ws, *next, **from, **to;

    to = (ngx_http_push_conn_t **) &h->buckets[h->n - 1];
    from = to - (h->mask + 1) / 2;

    ws = *from;
    *from = NULL;

    for ( /* void */ ; ws; ws = next) {
        next = ws->id_next;

        if ((ngx_http_push_id_hash(ws->id) & h->mask) == h->n - 1) {
            ws->id_next = *to;
            *to = ws;

        } else {
            ws->id_next = *from;
            *from = ws;
        }
    }
}


static ngx_http_push_user_t *
ngx_http_push_table_find(const u_char *uid, size_t len, uint32_t hash)
{
    ngx_http_push_hash_t  *h;
    ngx_http_push_user_t  *user;

    h = &ngx_http_push_worker->table->users;

    for (user = h->buckets[ngx_http_push_hash_bucket(h, hash)];
         user;
         user = user->next)
    {
        if (user->hash == hash && user->len == len
            && ngx_memcmp(user->name, uid, len) == 0)
        {
            return user;
        }
    }

    return NULL;
}


/* Users choose their names: a seed, so that they cannot choose their bucket. */

static uint32_t
ngx_http_push_table_uid_hash(const u_char *p, size_t len)
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
