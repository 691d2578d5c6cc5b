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

#include "store_mongo.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#define MONGO_APPENDERS     3
#define MONGO_READERS       2
#define MONGO_THREADS       (MONGO_APPENDERS + MONGO_READERS + 1)
#define MONGO_PUTS_MAX      256         /* waiting writes but appends */
#define MONGO_READS_MAX     10000       /* waiting reads */
#define MONGO_TICK_MS       1000        /* the GC looks, or a probe */
#define MONGO_TICK_BUSY_MS  50          /* the GC has more to do */
#define MONGO_PROBE_MS      5000        /* without any other commit */

struct mongo_queue {
    struct store_request  *first;
    struct store_request **last;
};

/* What one piece of work did, for the books. */
struct mongo_work {
    bool        tried;          /* something was to be written */
    bool        committed;
    const char *error;          /* why not */
    int64_t     us;
};

struct store_mongo;

struct mongo_thread {
    struct store_mongo      *s;
    struct store_mongo_conn  conn;
    pthread_t                thread;
    bool                     running;

    /* an appender's */
    struct store_mongo_append *append;
    struct store_step         *step;
};

struct store_mongo {
    struct store                store;      /* first */
    struct store_conf           conf;       /* its strings are not kept */
    struct store_mongo_db       db;
    int                         fd;         /* eventfd, -1 */
    struct mongo_thread         threads[MONGO_THREADS];
    struct store_mongo_collect *collect;    /* the writer's */
    int64_t                     tick_ms;    /* the writer's: next one */

    pthread_mutex_t             lock;       /* of all below */
    pthread_cond_t              append;
    pthread_cond_t              write;
    pthread_cond_t              read;
    struct store_append_rule   *rule;
    struct mongo_queue          writes;
    struct mongo_queue          reads;
    struct mongo_queue          finished;
    int64_t                     mark;       /* rows handed over */
    int64_t                     commit_ms;  /* the last one */
    size_t                      messages;   /* of appends, submit to finish */
    size_t                      bytes;
    size_t                      puts;       /* other writes, alike */
    size_t                      pending;    /* reads, alike */
    bool                        closing;
    struct store_health         health;
};

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
static void *mongo_appender(void *data);
static void mongo_appended_locked(struct store_mongo *s,
    struct store_request *r);
static void *mongo_writer(void *data);
static void mongo_write(struct mongo_thread *t, struct store_request *r);
static int mongo_collect_all(struct mongo_thread *t, struct store_gc *gc);
static void mongo_tick(struct mongo_thread *t);
static void *mongo_reader(void *data);
static void mongo_work_locked(struct store_mongo *s,
    const struct mongo_work *work);
static void mongo_finish_locked(struct store_mongo *s,
    struct store_request *r);
static void mongo_wait(pthread_cond_t *cond, pthread_mutex_t *lock,
    int64_t until_ms);
static void mongo_queue_init(struct mongo_queue *q);
static void mongo_queue_add(struct mongo_queue *q, struct store_request *r);
static struct store_request *mongo_queue_take(struct mongo_queue *q);
static int64_t mongo_now_ms(const struct store_mongo *s);
static int64_t mongo_clock_us(void);
static int64_t mongo_clock_ms(void);

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
        seed = (uint64_t) mongo_clock_us();
    }

    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    s->rule = store_append_rule_create(seed);
    s->collect = store_mongo_collect_create();
    s->mark = s->store.info.repair == STORE_REPAIR_ALL ? 0 : STORE_ROW_ALL;
    s->commit_ms = mongo_clock_ms();
    s->tick_ms = s->commit_ms + MONGO_TICK_MS;

    if (s->fd == -1 || s->rule == NULL || s->collect == NULL) {
        snprintf(error, size, "out of memory or descriptors");
        return PUSH_ERROR;
    }

    for (i = 0; i < MONGO_THREADS; i++) {
        run = i < MONGO_APPENDERS ? mongo_appender
              : i < MONGO_THREADS - 1 ? mongo_reader : mongo_writer;

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

    if (run == mongo_appender) {
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
        mongo_finish_locked(s, r);
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


static void *
mongo_appender(void *data)
{
    int                   rc;
    int64_t               wait_ms, began_us;
    struct mongo_work     work;
    struct store_mongo   *s;
    struct mongo_thread  *t;

    t = data;
    s = t->s;

    pthread_mutex_lock(&s->lock);

    for ( ;; ) {

        if (!store_append_rule_next(s->rule, mongo_clock_ms(), t->step)) {
            if (s->closing && s->messages == 0) {
                break;
            }

            wait_ms = store_append_rule_wait(s->rule, mongo_clock_ms());
            mongo_wait(&s->append, &s->lock,
                       wait_ms < 0 ? -1 : mongo_clock_ms() + wait_ms);
            continue;
        }

        if (store_append_rule_wait(s->rule, mongo_clock_ms()) == 0) {
            pthread_cond_signal(&s->append);
        }

        pthread_mutex_unlock(&s->lock);

        began_us = mongo_clock_us();
        rc = store_mongo_append_step(t->append, &t->conn, t->step);

        memset(&work, 0, sizeof(work));
        work.committed = rc == PUSH_OK;
        work.tried = rc != PUSH_OK || t->step->kind == STORE_STEP_INSERT;
        work.error = t->conn.error;
        work.us = mongo_clock_us() - began_us;

        pthread_mutex_lock(&s->lock);
        mongo_work_locked(s, &work);
        mongo_appended_locked(s, store_append_rule_done(s->rule, t->step,
                                                        mongo_clock_ms()));

        if (rc != PUSH_OK) {
            mongo_appended_locked(s, store_append_rule_fail(s->rule,
                                                            t->step->error));
        }
    }

    pthread_cond_broadcast(&s->append);
    pthread_mutex_unlock(&s->lock);

    return NULL;
}


static void
mongo_appended_locked(struct store_mongo *s, struct store_request *r)
{
    size_t                 i;
    struct store_append   *a;
    struct store_request  *next;

    for (/* void */; r; r = next) {
        next = r->next;
        a = (struct store_append *) r;
        s->messages -= a->count;
        s->bytes -= a->bytes;

        for (i = 0; i < a->count; i++) {
            s->health.stored += a->messages[i].outcome == STORE_STORED;
            s->health.duplicates += a->messages[i].outcome == STORE_DUPLICATE;
        }

        mongo_finish_locked(s, r);
    }
}


static void *
mongo_writer(void *data)
{
    struct store_mongo    *s;
    struct mongo_thread   *t;
    struct store_request  *r;

    t = data;
    s = t->s;

    pthread_mutex_lock(&s->lock);

    for ( ;; ) {
        r = mongo_queue_take(&s->writes);

        if (r) {
            pthread_mutex_unlock(&s->lock);
            mongo_write(t, r);
            pthread_mutex_lock(&s->lock);
            s->puts--;
            mongo_finish_locked(s, r);

        } else if (s->closing) {
            break;

        } else if (mongo_clock_ms() < s->tick_ms) {
            mongo_wait(&s->write, &s->lock, s->tick_ms);
            continue;
        }

        if (mongo_clock_ms() >= s->tick_ms) {
            pthread_mutex_unlock(&s->lock);
            mongo_tick(t);
            pthread_mutex_lock(&s->lock);
        }
    }

    pthread_mutex_unlock(&s->lock);

    return NULL;
}


static void
mongo_write(struct mongo_thread *t, struct store_request *r)
{
    int                        rc;
    size_t                     i;
    int64_t                    began_us;
    struct mongo_work          work;
    struct store_mongo        *s;
    struct store_cursor       *cursor;
    struct store_cursors_put  *p;

    s = t->s;
    began_us = mongo_clock_us();

    if (r->call == STORE_GC) {
        rc = mongo_collect_all(t, (struct store_gc *) r);

    } else {
        p = (struct store_cursors_put *) r;

        /* mostly it is known that the message acked is there */

        pthread_mutex_lock(&s->lock);

        for (i = 0; i < p->count; i++) {
            cursor = &p->cursors[i];
            cursor->above = cursor->seq > store_append_rule_tip(s->rule,
                                                                cursor->log);
        }

        pthread_mutex_unlock(&s->lock);
        rc = store_mongo_cursors_put(&t->conn, p, mongo_now_ms(s));
    }

    if (rc != PUSH_OK) {
        r->result = STORE_UNAVAILABLE;
        memcpy(r->error, t->conn.error, sizeof(r->error));
    }

    work.tried = true;
    work.committed = rc == PUSH_OK;
    work.error = t->conn.error;
    work.us = mongo_clock_us() - began_us;

    pthread_mutex_lock(&s->lock);
    mongo_work_locked(s, &work);
    pthread_mutex_unlock(&s->lock);
}


/* By hand: nobody else writes, so nobody believes an old tip. */
static int
mongo_collect_all(struct mongo_thread *t, struct store_gc *gc)
{
    int                  rc;
    bool                 more;
    struct store_mongo  *s;

    s = t->s;

    do {
        rc = store_mongo_collect(s->collect, &t->conn, gc, mongo_now_ms(s),
                                 mongo_clock_ms(), true, &more);
    } while (rc == PUSH_OK && more);

    pthread_mutex_lock(&s->lock);
    s->health.collected += (uint64_t) (gc->stubbed + gc->deleted);
    pthread_mutex_unlock(&s->lock);

    return rc;
}


/*
 * Each second: a slice of the GC.  A probe, if nothing was committed for a
 * while, or a fault may be over.
 */
static void
mongo_tick(struct mongo_thread *t)
{
    bool                 more, probe;
    int64_t              began_us;
    struct store_gc      gc;
    struct mongo_work    work;
    struct store_mongo  *s;

    s = t->s;
    more = false;
    memset(&work, 0, sizeof(work));
    memset(&gc, 0, sizeof(gc));
    began_us = mongo_clock_us();

    pthread_mutex_lock(&s->lock);
    probe = !s->health.ready || began_us / 1000 - s->commit_ms > MONGO_PROBE_MS;
    pthread_mutex_unlock(&s->lock);

    if (probe) {
        work.tried = true;
        work.committed = store_mongo_probe(&t->conn) == PUSH_OK;

    } else if (!s->conf.gc_by_hand) {
        work.tried = store_mongo_collect(s->collect, &t->conn, &gc,
                                         mongo_now_ms(s), began_us / 1000,
                                         false, &more) != PUSH_OK;
    }

    work.error = t->conn.error;
    work.us = mongo_clock_us() - began_us;

    pthread_mutex_lock(&s->lock);
    s->health.collected += (uint64_t) (gc.stubbed + gc.deleted);
    mongo_work_locked(s, &work);
    s->tick_ms = mongo_clock_ms() + (more ? MONGO_TICK_BUSY_MS : MONGO_TICK_MS);
    pthread_mutex_unlock(&s->lock);
}


static void *
mongo_reader(void *data)
{
    struct store_mongo    *s;
    struct mongo_thread   *t;
    struct store_request  *r;

    t = data;
    s = t->s;

    pthread_mutex_lock(&s->lock);

    for ( ;; ) {
        r = mongo_queue_take(&s->reads);

        if (r == NULL) {
            if (s->closing) {
                break;
            }

            mongo_wait(&s->read, &s->lock, -1);
            continue;
        }

        pthread_mutex_unlock(&s->lock);
        store_mongo_read(&t->conn, r, mongo_now_ms(s));
        pthread_mutex_lock(&s->lock);

        s->pending--;
        s->health.reads++;
        mongo_finish_locked(s, r);
    }

    pthread_mutex_unlock(&s->lock);

    return NULL;
}


static void
mongo_work_locked(struct store_mongo *s, const struct mongo_work *work)
{
    if (!work->tried) {
        return;
    }

    s->health.ready = work->committed;

    if (work->committed) {
        s->health.text[0] = '\0';
        s->health.commits++;
        s->health.commit_us += (uint64_t) work->us;
        s->commit_ms = mongo_clock_ms();

    } else {
        s->health.commits_failed++;
        memcpy(s->health.text, work->error, sizeof(s->health.text));
    }
}


static void
mongo_finish_locked(struct store_mongo *s, struct store_request *r)
{
    r->next = NULL;
    mongo_queue_add(&s->finished, r);
    eventfd_write(s->fd, 1);
}


/* until_ms: -1: until it is signalled. */
static void
mongo_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
{
    struct timespec  until;

    if (until_ms < 0) {
        pthread_cond_wait(cond, lock);
        return;
    }

    until.tv_sec = until_ms / 1000;
    until.tv_nsec = until_ms % 1000 * 1000000;
    pthread_cond_timedwait(cond, lock, &until);
}


static void
mongo_queue_init(struct mongo_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}


static void
mongo_queue_add(struct mongo_queue *q, struct store_request *r)
{
    *q->last = r;
    q->last = &r->next;
}


static struct store_request *
mongo_queue_take(struct mongo_queue *q)
{
    struct store_request  *r;

    r = q->first;

    if (r) {
        q->first = r->next;

        if (q->first == NULL) {
            q->last = &q->first;
        }

        r->next = NULL;
    }

    return r;
}


static int64_t
mongo_now_ms(const struct store_mongo *s)
{
    struct timespec  ts;

    if (s->conf.now_ms) {
        return s->conf.now_ms(s->conf.now_data);
    }

    clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static int64_t
mongo_clock_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


static int64_t
mongo_clock_ms(void)
{
    return mongo_clock_us() / 1000;
}
