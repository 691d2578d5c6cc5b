/*
 * store_world: an open store of its own, for the store's tests
 *
 * Calls that wait: each submits a request and runs the store until it is done.
 * Whoever includes this has included cmocka.h.
 *
 * SQLite's is in a directory of its own.  MongoDB's is a database of its own
 * in the set that PUSH_TEST_MONGO names, "mongodb://127.0.0.1:1/?replicaSet=x"
 * (t/230-store-mongo.t starts one); without it MongoDB's cases do not run.
 */

#ifndef STORE_WORLD_H
#define STORE_WORLD_H

#include "store.h"

#include <dirent.h>
#include <mongoc/mongoc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORLD_NOW_MS  INT64_C(1700000000000)

struct store_world {
    char               dir[64];     /* SQLite's; "": none */
    char               database[64];        /* MongoDB's */
    char               url[256];
    struct store_conf  conf;
    struct store      *store;
    int64_t            now_ms;      /* the store's clock */
};


static inline struct push_str
world_str(const char *s)
{
    return (struct push_str) { s, strlen(s) };
}


static inline int64_t
world_now_ms(void *data)
{
    struct store_world  *w;

    w = data;

    return __atomic_load_n(&w->now_ms, __ATOMIC_RELAXED);
}


static inline void
world_open(struct store_world *w)
{
    char  error[512];

    if (store_open(&w->store, &w->conf, error, sizeof(error)) != PUSH_OK) {
        fail_msg("%s", error);
    }
}


static inline void
world_close(struct store_world *w)
{
    store_close(w->store);
    w->store = NULL;
}


/* Before the path of PUSH_TEST_MONGO comes `name`; without one: NULL. */
static inline const char *
world_mongo_url(char *to, size_t size, const char *name)
{
    const char  *set, *path;

    set = getenv("PUSH_TEST_MONGO");

    if (set == NULL) {
        return NULL;
    }

    path = strchr(set + strlen("mongodb://"), '/');
    assert_non_null(path);
    snprintf(to, size, "%.*s/%s%s", (int) (path - set), set, name, path + 1);

    return to;
}


static inline void
world_mongo_drop(struct store_world *w)
{
    bson_error_t        error;
    mongoc_client_t    *client;
    mongoc_database_t  *database;

    client = mongoc_client_new(w->url);
    assert_non_null(client);
    database = mongoc_client_get_database(client, w->database);

    if (!mongoc_database_drop(database, &error)) {
        fail_msg("%s", error.message);
    }

    mongoc_database_destroy(database);
    mongoc_client_destroy(client);
}


/* scheme: "sqlite:" or "mongodb:" */
static inline void
world_create(struct store_world *w, const char *scheme)
{
    static unsigned  number;

    memset(w, 0, sizeof(*w));

    if (strcmp(scheme, "mongodb:") == 0) {
        snprintf(w->database, sizeof(w->database), "push_test_%d_%u",
                 (int) getpid(), ++number);
        assert_non_null(world_mongo_url(w->url, sizeof(w->url), w->database));

    } else {
        strcpy(w->dir, "/tmp/push-store-XXXXXX");
        assert_non_null(mkdtemp(w->dir));
        snprintf(w->url, sizeof(w->url), "%s%s/push.db", scheme, w->dir);
    }

    w->now_ms = WORLD_NOW_MS;
    w->conf.url = w->url;
    w->conf.node = "collector-1";
    w->conf.queue_messages = 10000;
    w->conf.queue_bytes = 64 * 1024 * 1024;
    w->conf.now_ms = world_now_ms;
    w->conf.now_data = w;
    w->conf.gc_by_hand = true;
    world_open(w);
}


static inline void
world_destroy(struct store_world *w)
{
    DIR            *dir;
    char            path[512];
    struct dirent  *e;

    if (w->store) {
        world_close(w);
    }

    if (w->database[0]) {
        world_mongo_drop(w);
        return;
    }

    dir = opendir(w->dir);
    assert_non_null(dir);

    while ((e = readdir(dir)) != NULL) {
        if (e->d_name[0] != '.') {
            snprintf(path, sizeof(path), "%s/%s", w->dir, e->d_name);
            unlink(path);
        }
    }

    closedir(dir);
    assert_int_equal(rmdir(w->dir), 0);
}


/* Strings are borrowed; the hash is of data's length and ends only. */
static inline struct store_message
world_message(const struct store_world *w, const char *log, const char *key,
    const char *data)
{
    struct store_message  m;

    memset(&m, 0, sizeof(m));
    m.log = world_str(log);
    m.key = world_str(key);
    m.data = world_str(data);
    m.ts_ms = w->now_ms;
    m.hash[0] = (uint8_t) data[0];
    m.hash[1] = (uint8_t) strlen(data);
    m.hash[2] = strlen(data) ? (uint8_t) data[strlen(data) - 1] : 0;

    return m;
}


static inline void
world_done(struct store_request *r)
{
    --*(size_t *) r->data;
}


/* Counts *pending up now, and down when the request is done. */
static inline struct store_request
world_request(size_t *pending)
{
    struct store_request  r;

    memset(&r, 0, sizeof(r));
    r.done = world_done;
    r.data = pending;
    ++*pending;

    return r;
}


static inline void
world_wait(struct store_world *w, size_t *pending)
{
    struct pollfd  p;

    while (*pending) {
        p.fd = store_fd(w->store);
        p.events = POLLIN;
        assert_int_equal(poll(&p, 1, 30000), 1);
        store_run(w->store);
    }
}


static inline void
world_append_all(struct store_world *w, struct store_append *a,
    struct store_message *messages, size_t count)
{
    size_t  pending;

    pending = 0;
    memset(a, 0, sizeof(*a));
    a->r = world_request(&pending);
    a->messages = messages;
    a->count = count;
    assert_int_equal(store_append(w->store, a), PUSH_OK);
    world_wait(w, &pending);
}


/* Appends one; *m has the outcome. */
static inline enum store_outcome
world_append(struct store_world *w, struct store_message *m)
{
    struct store_append  a;

    world_append_all(w, &a, m, 1);

    return m->outcome;
}


/* Stores one without key for good; its seq. */
static inline int64_t
world_store(struct store_world *w, const char *log, const char *data)
{
    struct store_message  m;

    m = world_message(w, log, "", data);
    assert_int_equal(world_append(w, &m), STORE_STORED);

    return m.seq;
}


static inline void
world_read(struct store_world *w, struct store_read *r, const char *log,
    int64_t after, size_t max, size_t max_bytes)
{
    size_t  pending;

    pending = 0;
    memset(r, 0, sizeof(*r));
    r->r = world_request(&pending);
    r->log = world_str(log);
    r->after = after;
    r->max = max;
    r->max_bytes = max_bytes;
    assert_int_equal(store_read(w->store, r), PUSH_OK);
    world_wait(w, &pending);
    assert_int_equal(r->r.result, STORE_OK);
}


static inline void
world_tail(struct store_world *w, struct store_tail *t, int64_t after,
    int64_t until, size_t max, size_t max_bytes)
{
    size_t  pending;

    pending = 0;
    memset(t, 0, sizeof(*t));
    t->r = world_request(&pending);
    t->after = after;
    t->until = until;
    t->max = max;
    t->max_bytes = max_bytes;
    assert_int_equal(store_tail(w->store, t), PUSH_OK);
    world_wait(w, &pending);
    assert_int_equal(t->r.result, STORE_OK);
}


static inline void
world_get(struct store_world *w, struct store_get *g, const char *log,
    int64_t seq)
{
    size_t  pending;

    pending = 0;
    memset(g, 0, sizeof(*g));
    g->r = world_request(&pending);
    g->log = world_str(log);
    g->seq = seq;
    assert_int_equal(store_get(w->store, g), PUSH_OK);
    world_wait(w, &pending);
    assert_int_equal(g->r.result, STORE_OK);
}


/* True: above the tip. */
static inline bool
world_cursor(struct store_world *w, const char *log, const char *uid,
    const char *device, int64_t seq, bool start)
{
    size_t                    pending;
    struct store_cursor       c;
    struct store_cursors_put  p;

    pending = 0;
    memset(&c, 0, sizeof(c));
    memset(&p, 0, sizeof(p));
    c.log = world_str(log);
    c.uid = world_str(uid);
    c.device = world_str(device);
    c.seq = seq;
    c.start = start;
    p.r = world_request(&pending);
    p.cursors = &c;
    p.count = 1;
    assert_int_equal(store_cursors_put(w->store, &p), PUSH_OK);
    world_wait(w, &pending);
    assert_int_equal(p.r.result, STORE_OK);

    return c.above;
}


static inline struct store_place
world_place_as(struct store_world *w, const char *log, const char *uid,
    const char *device, bool certain)
{
    size_t                    pending;
    struct store_place        p;
    struct store_cursors_get  g;

    pending = 0;
    memset(&p, 0, sizeof(p));
    memset(&g, 0, sizeof(g));
    p.log = world_str(log);
    p.uid = world_str(uid);
    p.device = world_str(device);
    g.r = world_request(&pending);
    g.places = &p;
    g.count = 1;
    g.certain = certain;
    assert_int_equal(store_cursors_get(w->store, &g), PUSH_OK);
    world_wait(w, &pending);
    assert_int_equal(g.r.result, STORE_OK);

    return p;
}


static inline struct store_place
world_place(struct store_world *w, const char *log, const char *uid,
    const char *device)
{
    return world_place_as(w, log, uid, device, false);
}


static inline void
world_mark(struct store_world *w, int64_t row)
{
    size_t                 pending;
    struct store_mark_put  m;

    pending = 0;
    memset(&m, 0, sizeof(m));
    m.r = world_request(&pending);
    m.row = row;
    assert_int_equal(store_mark_put(w->store, &m), PUSH_OK);
    world_wait(w, &pending);
    assert_int_equal(m.r.result, STORE_OK);
}


static inline struct store_gc
world_gc(struct store_world *w)
{
    size_t           pending;
    struct store_gc  g;

    pending = 0;
    memset(&g, 0, sizeof(g));
    g.r = world_request(&pending);
    assert_int_equal(store_gc(w->store, &g), PUSH_OK);
    world_wait(w, &pending);
    assert_int_equal(g.r.result, STORE_OK);

    return g;
}


/*
 * The contract's tests: one more backend is one row, and every case of every
 * test_store*.c runs on it.
 */
struct world_backend {
    const char *scheme;
    bool        rows;           /* has an order of commits */
};

static const struct world_backend world_backends[] = {
    { "sqlite:", true },
    { "mongodb:", false },
};

/* All that can be had here. */
#define WORLD_BACKENDS  (getenv("PUSH_TEST_MONGO") ? 2u : 1u)

struct world {
    struct store_world           s;
    const struct world_backend  *backend;
};


static inline int
world_setup(void **state)
{
    struct world  *w;

    w = calloc(1, sizeof(*w));
    assert_non_null(w);
    w->backend = *state;
    world_create(&w->s, w->backend->scheme);
    *state = w;

    return 0;
}


static inline int
world_teardown(void **state)
{
    struct world  *w;

    w = *state;
    world_destroy(&w->s);
    free(w);

    return 0;
}


/* For main(): CASES(X) has one X(name) a case. */
#define WORLD_CASE(name)                                                      \
    cmocka_unit_test_prestate_setup_teardown(name, world_setup,               \
                                             world_teardown, backend),

#endif
