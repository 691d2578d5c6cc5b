/*
 * store: from a URL to a backend, and from a typed call to its queue
 *
 * in: store.h's calls.  out: the backend's.  owns: nothing
 */

#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct store_backend *const store_backends[] = {
    &store_sqlite,
    &store_mongo,
    NULL
};


int
store_open(struct store **store, const struct store_conf *conf, char *error,
    size_t size)
{
    size_t                             len;
    const struct store_backend *const *b;

    *store = NULL;

    for (b = store_backends; *b; b++) {
        len = strlen((*b)->scheme);

        if (strncmp(conf->url, (*b)->scheme, len) == 0) {
            return (*b)->open(store, conf, error, size);
        }
    }

    len = strcspn(conf->url, ":");          /* no password gets any further */
    snprintf(error, size, "store \"%.*s:...\": unknown kind, known: "
             "sqlite:/path, mongodb://host/database?replicaSet=name",
             (int) len, conf->url);

    return PUSH_ERROR;
}


void
store_close(struct store *store)
{
    store->backend->close(store);
}


const struct store_info *
store_info(const struct store *store)
{
    return &store->info;
}


int
store_fd(const struct store *store)
{
    return store->backend->fd(store);
}


void
store_run(struct store *store)
{
    store->backend->run(store);
}


void
store_health(struct store *store, struct store_health *health)
{
    memset(health, 0, sizeof(*health));
    store->backend->health(store, health);
}


size_t
store_append_bytes(const struct store_append *a)
{
    size_t  i, bytes;

    bytes = 0;

    for (i = 0; i < a->count; i++) {
        if (i == 0 || a->messages[i].data.data != a->messages[i - 1].data.data)
        {
            bytes += a->messages[i].data.len;
        }
    }

    return bytes;
}


static int
store_submit(struct store *store, struct store_request *r,
    enum store_call call)
{
    r->call = call;
    r->result = STORE_OK;
    r->error[0] = '\0';
    r->next = NULL;
    r->memory = NULL;

    return store->backend->submit(store, r);
}


int
store_append(struct store *store, struct store_append *a)
{
    a->committed = 0;

    return store_submit(store, &a->r, STORE_APPEND);
}


int
store_cursors_put(struct store *store, struct store_cursors_put *p)
{
    return store_submit(store, &p->r, STORE_CURSORS_PUT);
}


int
store_mark_put(struct store *store, struct store_mark_put *m)
{
    return store_submit(store, &m->r, STORE_MARK_PUT);
}


int
store_gc(struct store *store, struct store_gc *g)
{
    g->stubbed = 0;
    g->deleted = 0;

    return store_submit(store, &g->r, STORE_GC);
}


int
store_read(struct store *store, struct store_read *r)
{
    r->items = NULL;
    r->count = 0;

    return store_submit(store, &r->r, STORE_READ);
}


int
store_tail(struct store *store, struct store_tail *t)
{
    t->items = NULL;
    t->count = 0;

    return store_submit(store, &t->r, STORE_TAIL);
}


int
store_get(struct store *store, struct store_get *g)
{
    g->acked = NULL;
    g->acked_listed = 0;
    g->acked_count = 0;

    return store_submit(store, &g->r, STORE_GET);
}


int
store_cursors_get(struct store *store, struct store_cursors_get *g)
{
    return store_submit(store, &g->r, STORE_CURSORS_GET);
}


void
store_release(struct store_request *r)
{
    free(r->memory);
    r->memory = NULL;
}
