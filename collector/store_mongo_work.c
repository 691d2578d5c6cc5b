/*
 * store_mongo_work: what the threads of store_mongo do
 */

#include "store_mongo_work.h"

#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define WORK_TICK_BUSY_MS  50           /* the GC has more to do */
#define WORK_PROBE_MS      5000         /* without any other commit */

/* What one piece of work did, for the books. */
struct mongo_work {
    bool        tried;          /* something was to be written */
    bool        committed;
    const char *error;          /* why not */
    int64_t     us;
};

static void work_appended_locked(struct store_mongo *s,
    struct store_request *r);
static void work_put(struct mongo_thread *t, struct store_request *r);
static int work_collect_all(struct mongo_thread *t, struct store_gc *gc);
static void work_tick(struct mongo_thread *t);
static void work_book_locked(struct store_mongo *s,
    const struct mongo_work *work);
static void work_wait(pthread_cond_t *cond, pthread_mutex_t *lock,
    int64_t until_ms);
static struct store_request *work_queue_take(struct mongo_queue *q);
static int64_t work_now_ms(const struct store_mongo *s);
static int64_t work_clock_us(void);


void *
mongo_work_append(void *data)
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

        if (!store_append_rule_next(s->rule, mongo_work_clock_ms(), t->step)) {
            if (s->closing && s->messages == 0) {
                break;
            }

            wait_ms = store_append_rule_wait(s->rule, mongo_work_clock_ms());
            work_wait(&s->append, &s->lock,
                       wait_ms < 0 ? -1 : mongo_work_clock_ms() + wait_ms);
            continue;
        }

        if (store_append_rule_wait(s->rule, mongo_work_clock_ms()) == 0) {
            pthread_cond_signal(&s->append);
        }

        pthread_mutex_unlock(&s->lock);

        began_us = work_clock_us();
        rc = store_mongo_append_step(t->append, &t->conn, t->step);

        memset(&work, 0, sizeof(work));
        work.committed = rc == PUSH_OK;
        work.tried = rc != PUSH_OK || t->step->kind == STORE_STEP_INSERT;
        work.error = t->conn.error;
        work.us = work_clock_us() - began_us;

        pthread_mutex_lock(&s->lock);
        work_book_locked(s, &work);
        work_appended_locked(s, store_append_rule_done(s->rule, t->step,
                                                        mongo_work_clock_ms()));

        if (rc != PUSH_OK) {
            work_appended_locked(s, store_append_rule_fail(s->rule,
                                                            t->step->error));
        }
    }

    pthread_cond_broadcast(&s->append);
    pthread_mutex_unlock(&s->lock);

    return NULL;
}


static void
work_appended_locked(struct store_mongo *s, struct store_request *r)
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

        mongo_work_finish_locked(s, r);
    }
}


void *
mongo_work_write(void *data)
{
    struct store_mongo    *s;
    struct mongo_thread   *t;
    struct store_request  *r;

    t = data;
    s = t->s;

    pthread_mutex_lock(&s->lock);

    for ( ;; ) {
        r = work_queue_take(&s->writes);

        if (r) {
            pthread_mutex_unlock(&s->lock);
            work_put(t, r);
            pthread_mutex_lock(&s->lock);
            s->puts--;
            mongo_work_finish_locked(s, r);

        } else if (s->closing) {
            break;

        } else if (mongo_work_clock_ms() < s->tick_ms) {
            work_wait(&s->write, &s->lock, s->tick_ms);
            continue;
        }

        if (mongo_work_clock_ms() >= s->tick_ms) {
            pthread_mutex_unlock(&s->lock);
            work_tick(t);
            pthread_mutex_lock(&s->lock);
        }
    }

    pthread_mutex_unlock(&s->lock);

    return NULL;
}


static void
work_put(struct mongo_thread *t, struct store_request *r)
{
    int                        rc;
    size_t                     i;
    int64_t                    began_us;
    struct mongo_work          work;
    struct store_mongo        *s;
    struct store_cursor       *cursor;
    struct store_cursors_put  *p;

    s = t->s;
    began_us = work_clock_us();

    if (r->call == STORE_GC) {
        rc = work_collect_all(t, (struct store_gc *) r);

    } else {
        p = (struct store_cursors_put *) r;

        /* mostly it is known that the message acked is there */

        pthread_mutex_lock(&s->lock);

        for (i = 0; i < p->count; i++) {
            cursor = &p->cursors[i];
            cursor->above =
                cursor->seq > store_append_rule_tip(s->rule, cursor->log);
        }

        pthread_mutex_unlock(&s->lock);
        rc = store_mongo_cursors_put(&t->conn, p, work_now_ms(s));
    }

    if (rc != PUSH_OK) {
        r->result = STORE_UNAVAILABLE;
        memcpy(r->error, t->conn.error, sizeof(r->error));
    }

    work.tried = true;
    work.committed = rc == PUSH_OK;
    work.error = t->conn.error;
    work.us = work_clock_us() - began_us;

    pthread_mutex_lock(&s->lock);
    work_book_locked(s, &work);
    pthread_mutex_unlock(&s->lock);
}


/* By hand: nobody else writes, so nobody believes an old tip. */
static int
work_collect_all(struct mongo_thread *t, struct store_gc *gc)
{
    int                  rc;
    bool                 more;
    struct store_mongo  *s;

    s = t->s;

    do {
        rc = store_mongo_collect(s->collect, &t->conn, gc, work_now_ms(s),
                                 mongo_work_clock_ms(), true, &more);
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
work_tick(struct mongo_thread *t)
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
    began_us = work_clock_us();

    pthread_mutex_lock(&s->lock);
    probe = !s->health.ready || began_us / 1000 - s->commit_ms > WORK_PROBE_MS;
    pthread_mutex_unlock(&s->lock);

    if (probe) {
        work.tried = true;
        work.committed = store_mongo_probe(&t->conn) == PUSH_OK;

    } else if (!s->conf.gc_by_hand) {
        work.tried = store_mongo_collect(s->collect, &t->conn, &gc,
                                         work_now_ms(s), began_us / 1000,
                                         false, &more) != PUSH_OK;
    }

    work.error = t->conn.error;
    work.us = work_clock_us() - began_us;

    pthread_mutex_lock(&s->lock);
    s->health.collected += (uint64_t) (gc.stubbed + gc.deleted);
    work_book_locked(s, &work);
    s->tick_ms = mongo_work_clock_ms()
                 + (more ? WORK_TICK_BUSY_MS : MONGO_TICK_MS);
    pthread_mutex_unlock(&s->lock);
}


void *
mongo_work_read(void *data)
{
    struct store_mongo    *s;
    struct mongo_thread   *t;
    struct store_request  *r;

    t = data;
    s = t->s;

    pthread_mutex_lock(&s->lock);

    for ( ;; ) {
        r = work_queue_take(&s->reads);

        if (r == NULL) {
            if (s->closing) {
                break;
            }

            work_wait(&s->read, &s->lock, -1);
            continue;
        }

        pthread_mutex_unlock(&s->lock);
        store_mongo_read(&t->conn, r, work_now_ms(s));
        pthread_mutex_lock(&s->lock);

        s->pending--;
        s->health.reads++;
        mongo_work_finish_locked(s, r);
    }

    pthread_mutex_unlock(&s->lock);

    return NULL;
}


static void
work_book_locked(struct store_mongo *s, const struct mongo_work *work)
{
    if (!work->tried) {
        return;
    }

    s->health.ready = work->committed;

    if (work->committed) {
        s->health.text[0] = '\0';
        s->health.commits++;
        s->health.commit_us += (uint64_t) work->us;
        s->commit_ms = mongo_work_clock_ms();

    } else {
        s->health.commits_failed++;
        memcpy(s->health.text, work->error, sizeof(s->health.text));
    }
}


void
mongo_work_finish_locked(struct store_mongo *s, struct store_request *r)
{
    r->next = NULL;
    mongo_queue_add(&s->finished, r);
    eventfd_write(s->fd, 1);
}


/* until_ms: -1: until it is signalled. */
static void
work_wait(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t until_ms)
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


void
mongo_queue_init(struct mongo_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}


void
mongo_queue_add(struct mongo_queue *q, struct store_request *r)
{
    *q->last = r;
    q->last = &r->next;
}


static struct store_request *
work_queue_take(struct mongo_queue *q)
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
work_now_ms(const struct store_mongo *s)
{
    struct timespec  ts;

    if (s->conf.now_ms) {
        return s->conf.now_ms(s->conf.now_data);
    }

    clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static int64_t
work_clock_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


int64_t
mongo_work_clock_ms(void)
{
    return work_clock_us() / 1000;
}
