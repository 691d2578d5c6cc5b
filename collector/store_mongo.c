/*
 * store_mongo: a MongoDB replica set, and any number of collectors on it
 *
 *     loop --submit--> rule   <--steps-- 3 appenders --bulk inserts--> set
 *       |              writes ---------- 1 writer    --cursors, GC---> set
 *       |              reads  ---------- 2 readers   <---------------- set
 *       +<-- done -- run <-- eventfd <-- finished requests
 *
 * in:   requests of store.h.  out: the same, in store_run()
 * owns: the threads and the requests between submit and done
 *
 * Where a message waits: in the rule (store_append_rule) until an appender is
 * free and the one before it in its log is committed; whatever came meanwhile
 * goes in one command.  Rows only count what this process has stored: they
 * tell at the end whether all of it was handed over.
 */

#include "store_mongo_work.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#define MONGO_PUTS_MAX      256         /* waiting writes but appends */
#define MONGO_READS_MAX     10000       /* waiting reads */

static int mongo_open(struct store **store, const struct store_conf *conf,
    char *error, size_t size);
static int mongo_start(struct store_mongo *s, const struct store_conf *conf,
    char *error, size_t size);
static int mongo_thread_start(struct store_mongo *s, struct mongo_thread *t,
    void *(*run)(void *));
static void mongo_stop(struct store_mongo *s);
static void mongo_free(struct store_mongo *s);
static void mongo_close(struct store *store);
static int mongo_fd(const struct store *store);
static void mongo_run(struct store *store);
static int mongo_submit(struct store *store, struct store_request *r);
static int mongo_submit_append_locked(struct store_mongo *s,
    struct store_append *a);
static int mongo_submit_write_locked(struct store_mongo *s,
    struct store_request *r);
static int mongo_submit_read_locked(struct store_mongo *s,
    struct store_request *r);
static void mongo_health(struct store *store, struct store_health *health);

const struct store_backend store_mongo = {
    "mongodb",                  /* mongodb:// and mongodb+srv:// */
    mongo_open,
    mongo_close,
    mongo_fd,
    mongo_run,
    mongo_submit,
    mongo_health
};


static int
mongo_open(struct store **store, const struct store_conf *conf, char *error,
    size_t size)
{
    pthread_condattr_t   attr;
    struct store_mongo  *s;

    s = calloc(1, sizeof(*s));

    if (s == NULL) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    s->store.backend = &store_mongo;
    s->conf = *conf;
    s->conf.url = NULL;
    s->conf.node = NULL;
    s->fd = -1;
    s->health.ready = true;

    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->append, &attr);
    pthread_cond_init(&s->write, &attr);
    pthread_cond_init(&s->read, &attr);
    pthread_condattr_destroy(&attr);

    mongo_queue_init(&s->writes);
    mongo_queue_init(&s->reads);
    mongo_queue_init(&s->finished);

    if (mongo_start(s, conf, error, size) != PUSH_OK) {
        mongo_stop(s);
        mongo_free(s);
        return PUSH_ERROR;
    }

    *store = &s->store;

    return PUSH_OK;
}


static int
mongo_start(struct store_mongo *s, const struct store_conf *conf, char *error,
    size_t size)
{
    int       i;
    uint64_t  seed;
    void     *(*run)(void *);

    if (store_mongo_db_open(&s->db, conf, &s->store.info, error, size)
        != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed)) {
        seed = (uint64_t) mongo_work_clock_ms();
    }

    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->rule = store_append_rule_create(seed);
    s->collect = store_mongo_collect_create();
    s->mark = s->store.info.repair == STORE_REPAIR_ALL ? 0 : STORE_ROW_ALL;
    s->commit_ms = mongo_work_clock_ms();
    s->tick_ms = s->commit_ms + MONGO_TICK_MS;

    if (s->fd == -1 || s->rule == NULL || s->collect == NULL) {
        snprintf(error, size, "out of memory or descriptors");
        return PUSH_ERROR;
    }

    for (i = 0; i < MONGO_THREADS; i++) {
        run = i < MONGO_APPENDERS ? mongo_work_append
              : i < MONGO_THREADS - 1 ? mongo_work_read : mongo_work_write;

        if (mongo_thread_start(s, &s->threads[i], run) != PUSH_OK) {
            snprintf(error, size, "out of memory or threads");
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}


/* Signals belong to the loop. */
static int
mongo_thread_start(struct store_mongo *s, struct mongo_thread *t,
    void *(*run)(void *))
{
    sigset_t  all, old;

    t->s = s;

    if (store_mongo_conn_open(&t->conn, &s->db) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (run == mongo_work_append) {
        t->append = store_mongo_append_create();
        t->step = calloc(1, sizeof(*t->step));

        if (t->append == NULL || t->step == NULL) {
            return PUSH_ERROR;
        }
    }

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    t->running = pthread_create(&t->thread, NULL, run, t) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);

    return t->running ? PUSH_OK : PUSH_ERROR;
}


/* Waits until all that was taken is finished. */
static void
mongo_stop(struct store_mongo *s)
{
    int  i;

    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->append);
    pthread_cond_broadcast(&s->write);
    pthread_cond_broadcast(&s->read);
    pthread_mutex_unlock(&s->lock);

    for (i = 0; i < MONGO_THREADS; i++) {
        if (s->threads[i].running) {
            pthread_join(s->threads[i].thread, NULL);
        }
    }
}


static void
mongo_free(struct store_mongo *s)
{
    int                   i;
    struct mongo_thread  *t;

    if (s->collect) {
        store_mongo_collect_destroy(s->collect);
    }

    for (i = 0; i < MONGO_THREADS; i++) {
        t = &s->threads[i];
        store_mongo_conn_close(&t->conn);

        if (t->append) {
            store_mongo_append_destroy(t->append);
        }

        free(t->step);
    }

    store_mongo_db_close(&s->db);

    if (s->rule) {
        store_append_rule_destroy(s->rule);
    }

    if (s->fd != -1) {
        close(s->fd);
    }

    pthread_cond_destroy(&s->read);
    pthread_cond_destroy(&s->write);
    pthread_cond_destroy(&s->append);
    pthread_mutex_destroy(&s->lock);
    free(s);
}


/* What was stored and not handed over, the next start has to repair. */
static void
mongo_close(struct store *store)
{
    struct store_mongo  *s;

    s = (struct store_mongo *) store;

    mongo_stop(s);
    mongo_run(store);

    if (s->mark >= store_append_rule_row(s->rule)) {
        (void) store_mongo_clean(&s->threads[0].conn, true);
    }

    mongo_free(s);
}


static int
mongo_fd(const struct store *store)
{
    return ((const struct store_mongo *) store)->fd;
}


static void
mongo_run(struct store *store)
{
    uint64_t               count;
    struct store_mongo    *s;
    struct store_request  *r, *next;

    s = (struct store_mongo *) store;

    (void) !read(s->fd, &count, sizeof(count));

    pthread_mutex_lock(&s->lock);
    r = s->finished.first;
    mongo_queue_init(&s->finished);
    pthread_mutex_unlock(&s->lock);

    for (/* void */; r; r = next) {
        next = r->next;
        r->next = NULL;
        r->done(r);
    }
}


static int
mongo_submit(struct store *store, struct store_request *r)
{
    int                  rc;
    struct store_mongo  *s;

    s = (struct store_mongo *) store;

    pthread_mutex_lock(&s->lock);

    rc = s->closing ? PUSH_DECLINED
         : r->call == STORE_APPEND
           ? mongo_submit_append_locked(s, (struct store_append *) r)
         : r->call >= STORE_READ ? mongo_submit_read_locked(s, r)
         : mongo_submit_write_locked(s, r);

    pthread_mutex_unlock(&s->lock);

    return rc;
}


/* An empty queue takes any append. */
static int
mongo_submit_append_locked(struct store_mongo *s, struct store_append *a)
{
    a->bytes = store_append_bytes(a);

    if (s->messages && (s->messages + a->count > s->conf.queue_messages
                        || s->bytes + a->bytes > s->conf.queue_bytes))
    {
        return PUSH_DECLINED;
    }

    if (store_append_rule_add(s->rule, a) != PUSH_OK) {
        return PUSH_DECLINED;
    }

    s->messages += a->count;
    s->bytes += a->bytes;
    pthread_cond_signal(&s->append);

    return PUSH_OK;
}


static int
mongo_submit_write_locked(struct store_mongo *s, struct store_request *r)
{
    struct store_mark_put  *m;

    if (s->puts == MONGO_PUTS_MAX) {
        return PUSH_DECLINED;
    }

    s->puts++;

    if (r->call == STORE_MARK_PUT) {
        m = (struct store_mark_put *) r;
        s->mark = m->row > s->mark ? m->row : s->mark;
        s->puts--;
        mongo_work_finish_locked(s, r);
        return PUSH_OK;
    }

    mongo_queue_add(&s->writes, r);
    pthread_cond_signal(&s->write);

    return PUSH_OK;
}


static int
mongo_submit_read_locked(struct store_mongo *s, struct store_request *r)
{
    if (s->pending == MONGO_READS_MAX) {
        return PUSH_DECLINED;
    }

    s->pending++;
    mongo_queue_add(&s->reads, r);
    pthread_cond_signal(&s->read);

    return PUSH_OK;
}


static void
mongo_health(struct store *store, struct store_health *health)
{
    struct store_mongo  *s;

    s = (struct store_mongo *) store;

    pthread_mutex_lock(&s->lock);
    *health = s->health;
    health->queue_messages = s->messages;
    health->queue_bytes = s->bytes;
    pthread_mutex_unlock(&s->lock);
}
