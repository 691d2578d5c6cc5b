/*
 * store_sqlite: the embedded store: one file, one writer, one reader
 *
 *     loop --submit--> writes --writer thread--> group commit --+
 *       |               reads --reader thread--> snapshot ------+
 *       +<-- done -- run <-- eventfd <-- finished requests <----+
 *
 * in:   requests of store.h.  out: the same, in store_run()
 * owns: both threads and the requests between submit and done
 *
 * Where a request waits: in `writes` until the transaction that runs now is
 * committed (whatever queued meanwhile goes with the next one), in `reads`
 * until the one before is answered, in `finished` until the loop's next turn.
 * The writer makes SQLite's checkpoints within its commits.
 */

#include "store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SQLITE_PUTS_MAX      256        /* waiting writes but appends */
#define SQLITE_READS_MAX     10000      /* waiting reads */
#define SQLITE_TICK_MS       1000       /* the GC looks, or a probe */
#define SQLITE_TICK_BUSY_MS  50         /* the GC has more to do */

struct sqlite_queue {
    struct store_request  *first;
    struct store_request **last;
};

struct store_sqlite {
    struct store                store;      /* first */
    struct store_conf           conf;       /* its strings are not kept */
    char                       *path;
    int                         lock_fd;    /* path.lock, -1 */
    int                         fd;         /* eventfd, -1 */
    struct store_sqlite_writer *writer;     /* the writer thread's */
    struct store_sqlite_db      reader;     /* the reader thread's */
    pthread_t                   writer_thread;
    pthread_t                   reader_thread;
    int64_t                     tick_ms;    /* the writer's: next one */

    pthread_mutex_t             lock;       /* of all below */
    pthread_cond_t              write;
    pthread_cond_t              read;
    struct sqlite_queue         writes;
    struct sqlite_queue         reads;
    struct sqlite_queue         finished;
    size_t                      messages;   /* of appends, submit to finish */
    size_t                      bytes;
    size_t                      puts;       /* other writes, alike */
    size_t                      pending;    /* reads, alike */
    bool                        closing;
    struct store_health         health;
};

static int sqlite_open(struct store **store, const struct store_conf *conf,
    char *error, size_t size);
static int sqlite_start(struct store_sqlite *s, char *error, size_t size);
static int sqlite_thread(pthread_t *thread, void *(*run)(void *), void *data);
static int sqlite_lock_file(struct store_sqlite *s, char *error, size_t size);
static void sqlite_free(struct store_sqlite *s);
static void sqlite_stop(struct store_sqlite *s);
static void sqlite_close(struct store *store);
static int sqlite_fd(const struct store *store);
static void sqlite_run(struct store *store);
static int sqlite_submit(struct store *store, struct store_request *r);
static bool sqlite_admit_locked(struct store_sqlite *s,
    struct store_request *r);
static void sqlite_health(struct store *store, struct store_health *health);
static void *sqlite_writer(void *data);
static void sqlite_writer_tick(struct store_sqlite *s);
static void sqlite_writer_finish(struct store_sqlite *s,
    struct store_sqlite_group *group, uint64_t us);
static void *sqlite_reader(void *data);
static void sqlite_queue_init(struct sqlite_queue *q);
static void sqlite_queue_add(struct sqlite_queue *q, struct store_request *r);
static int64_t sqlite_now_ms(const struct store_sqlite *s);
static int64_t sqlite_clock_us(void);

const struct store_backend store_sqlite = {
    "sqlite:",
    sqlite_open,
    sqlite_close,
    sqlite_fd,
    sqlite_run,
    sqlite_submit,
    sqlite_health
};


static int
sqlite_open(struct store **store, const struct store_conf *conf, char *error,
    size_t size)
{
    pthread_condattr_t    attr;
    struct store_sqlite  *s;

    s = calloc(1, sizeof(*s));

    if (s == NULL) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    s->store.backend = &store_sqlite;
    s->conf = *conf;
    s->conf.url = NULL;
    s->conf.node = NULL;
    s->lock_fd = -1;
    s->fd = -1;
    s->health.ready = true;

    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&s->write, &attr);
    pthread_cond_init(&s->read, &attr);
    pthread_condattr_destroy(&attr);

    sqlite_queue_init(&s->writes);
    sqlite_queue_init(&s->reads);
    sqlite_queue_init(&s->finished);

    s->path = strdup(conf->url + strlen(store_sqlite.scheme));

    if (s->path == NULL) {
        snprintf(error, size, "out of memory");
        goto failed;
    }

    if (s->path[0] == '\0') {
        snprintf(error, size, "store \"%s\": the path is missing", conf->url);
        goto failed;
    }

    if (sqlite_start(s, error, size) != PUSH_OK) {
        goto failed;
    }

    *store = &s->store;

    return PUSH_OK;

failed:

    sqlite_free(s);

    return PUSH_ERROR;
}


static int
sqlite_start(struct store_sqlite *s, char *error, size_t size)
{
    s->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

    if (s->fd == -1) {
        snprintf(error, size, "eventfd: %s", strerror(errno));
        return PUSH_ERROR;
    }

    if (sqlite_lock_file(s, error, size) != PUSH_OK) {
        return PUSH_ERROR;
    }

    s->writer = store_sqlite_writer_create(s->path, &s->store.info, error,
                                           size);

    if (s->writer == NULL
        || store_sqlite_db_open(&s->reader, s->path, false, error, size)
           != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    s->tick_ms = sqlite_clock_us() / 1000 + SQLITE_TICK_MS;

    if (sqlite_thread(&s->writer_thread, sqlite_writer, s) != PUSH_OK) {
        snprintf(error, size, "store %s: no thread", s->path);
        return PUSH_ERROR;
    }

    if (sqlite_thread(&s->reader_thread, sqlite_reader, s) != PUSH_OK) {
        sqlite_stop(s);
        pthread_join(s->writer_thread, NULL);
        snprintf(error, size, "store %s: no thread", s->path);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


/* Signals belong to the loop. */
static int
sqlite_thread(pthread_t *thread, void *(*run)(void *), void *data)
{
    int       rc;
    sigset_t  all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    rc = pthread_create(thread, NULL, run, data);
    pthread_sigmask(SIG_SETMASK, &old, NULL);

    return rc == 0 ? PUSH_OK : PUSH_ERROR;
}


/*
 * One collector only.  The database itself cannot be used: closing any
 * descriptor of it would drop SQLite's own locks.
 */
static int
sqlite_lock_file(struct store_sqlite *s, char *error, size_t size)
{
    char  *path;

    if (asprintf(&path, "%s.lock", s->path) == -1) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (s->lock_fd == -1) {
        snprintf(error, size, "store %s: %s", path, strerror(errno));
        free(path);
        return PUSH_ERROR;
    }

    free(path);

    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == -1) {
        snprintf(error, size, "store %s: %s", s->path, errno == EWOULDBLOCK
                 ? "is in use by another collector" : strerror(errno));
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static void
sqlite_free(struct store_sqlite *s)
{
    store_sqlite_db_close(&s->reader);

    if (s->writer) {
        store_sqlite_writer_destroy(s->writer);     /* last: a checkpoint */
    }

    if (s->lock_fd != -1) {
        close(s->lock_fd);
    }

    if (s->fd != -1) {
        close(s->fd);
    }

    pthread_cond_destroy(&s->read);
    pthread_cond_destroy(&s->write);
    pthread_mutex_destroy(&s->lock);
    free(s->path);
    free(s);
}


static void
sqlite_stop(struct store_sqlite *s)
{
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_signal(&s->write);
    pthread_cond_signal(&s->read);
    pthread_mutex_unlock(&s->lock);
}


static void
sqlite_close(struct store *store)
{
    struct store_sqlite  *s;

    s = (struct store_sqlite *) store;

    sqlite_stop(s);
    pthread_join(s->writer_thread, NULL);
    pthread_join(s->reader_thread, NULL);
    sqlite_run(store);
    sqlite_free(s);
}


static int
sqlite_fd(const struct store *store)
{
    return ((const struct store_sqlite *) store)->fd;
}


static void
sqlite_run(struct store *store)
{
    uint64_t               count;
    struct store_sqlite   *s;
    struct store_request  *r, *next;

    s = (struct store_sqlite *) store;

    (void) !read(s->fd, &count, sizeof(count));

    pthread_mutex_lock(&s->lock);
    r = s->finished.first;
    sqlite_queue_init(&s->finished);
    pthread_mutex_unlock(&s->lock);

    for (/* void */; r; r = next) {
        next = r->next;
        r->next = NULL;
        r->done(r);
    }
}


static int
sqlite_submit(struct store *store, struct store_request *r)
{
    struct store_sqlite  *s;

    s = (struct store_sqlite *) store;

    if (r->call == STORE_APPEND) {
        ((struct store_append *) r)->bytes =
            store_append_bytes((struct store_append *) r);
    }

    pthread_mutex_lock(&s->lock);

    if (s->closing || !sqlite_admit_locked(s, r)) {
        pthread_mutex_unlock(&s->lock);
        return PUSH_DECLINED;
    }

    if (r->call >= STORE_READ) {
        sqlite_queue_add(&s->reads, r);
        pthread_cond_signal(&s->read);

    } else {
        sqlite_queue_add(&s->writes, r);
        pthread_cond_signal(&s->write);
    }

    pthread_mutex_unlock(&s->lock);

    return PUSH_OK;
}


/* Counts it in, if there is room; an empty queue takes any append. */
static bool
sqlite_admit_locked(struct store_sqlite *s, struct store_request *r)
{
    struct store_append  *a;

    if (r->call >= STORE_READ) {
        if (s->pending == SQLITE_READS_MAX) {
            return false;
        }

        s->pending++;
        return true;
    }

    if (r->call != STORE_APPEND) {
        if (s->puts == SQLITE_PUTS_MAX) {
            return false;
        }

        s->puts++;
        return true;
    }

    a = (struct store_append *) r;

    if (s->messages && (s->messages + a->count > s->conf.queue_messages
                        || s->bytes + a->bytes > s->conf.queue_bytes))
    {
        return false;
    }

    s->messages += a->count;
    s->bytes += a->bytes;

    return true;
}


static void
sqlite_health(struct store *store, struct store_health *health)
{
    struct store_sqlite  *s;

    s = (struct store_sqlite *) store;

    pthread_mutex_lock(&s->lock);
    *health = s->health;
    health->queue_messages = s->messages;
    health->queue_bytes = s->bytes;
    pthread_mutex_unlock(&s->lock);

    health->wal_bytes = store_sqlite_writer_wal_bytes(s->writer);
}


static void *
sqlite_writer(void *data)
{
    int64_t                    started;
    struct timespec            until;
    struct store_sqlite       *s;
    struct store_request      *work, **last;
    struct store_sqlite_group  group;

    s = data;
    work = NULL;

    for ( ;; ) {
        pthread_mutex_lock(&s->lock);

        if (work == NULL && s->writes.first == NULL && !s->closing) {
            until.tv_sec = s->tick_ms / 1000;
            until.tv_nsec = s->tick_ms % 1000 * 1000000;
            pthread_cond_timedwait(&s->write, &s->lock, &until);
        }

        if (s->writes.first) {
            for (last = &work; *last; last = &(*last)->next) { /* void */ }

            *last = s->writes.first;
            sqlite_queue_init(&s->writes);

        } else if (work == NULL && s->closing) {
            pthread_mutex_unlock(&s->lock);
            return NULL;
        }

        pthread_mutex_unlock(&s->lock);

        started = sqlite_clock_us();

        if (work) {
            store_sqlite_writer_group(s->writer, &work, sqlite_now_ms(s),
                                      &group);
            sqlite_writer_finish(s, &group,
                                 (uint64_t) (sqlite_clock_us() - started));
        }

        if (started / 1000 >= s->tick_ms) {
            sqlite_writer_tick(s);
        }
    }
}


/* Each second: a slice of the GC, or a try whether a fault is over. */
static void
sqlite_writer_tick(struct store_sqlite *s)
{
    bool                       more, ready;
    int64_t                    started;
    struct store_gc            g;
    struct store_sqlite_group  group;

    more = false;
    started = sqlite_clock_us();

    pthread_mutex_lock(&s->lock);
    ready = s->health.ready;
    pthread_mutex_unlock(&s->lock);

    memset(&group, 0, sizeof(group));

    if (!ready) {
        store_sqlite_writer_probe(s->writer, &group);

    } else if (!s->conf.gc_by_hand) {
        memset(&g, 0, sizeof(g));
        store_sqlite_writer_collect(s->writer, &g, sqlite_now_ms(s), &group,
                                    &more);
    }

    sqlite_writer_finish(s, &group, (uint64_t) (sqlite_clock_us() - started));

    s->tick_ms = sqlite_clock_us() / 1000
                 + (more ? SQLITE_TICK_BUSY_MS : SQLITE_TICK_MS);
}


static void
sqlite_writer_finish(struct store_sqlite *s, struct store_sqlite_group *group,
    uint64_t us)
{
    bool                   wake;
    struct store_append   *a;
    struct store_request  *r, *next;

    pthread_mutex_lock(&s->lock);

    if (group->tried) {
        s->health.ready = group->committed;
        memcpy(s->health.text, group->error, sizeof(s->health.text));

        if (group->committed) {
            s->health.commits++;
            s->health.commit_us += us;

        } else {
            s->health.commits_failed++;
        }
    }

    s->health.stored += group->stored;
    s->health.duplicates += group->duplicates;
    s->health.collected += group->collected;

    wake = group->finished != NULL;

    for (r = group->finished; r; r = next) {
        next = r->next;
        r->next = NULL;

        if (r->call == STORE_APPEND) {
            a = (struct store_append *) r;
            s->messages -= a->count;
            s->bytes -= a->bytes;

        } else {
            s->puts--;
        }

        sqlite_queue_add(&s->finished, r);
    }

    pthread_mutex_unlock(&s->lock);

    if (wake) {
        eventfd_write(s->fd, 1);
    }
}


static void *
sqlite_reader(void *data)
{
    struct store_sqlite   *s;
    struct store_request  *r;

    s = data;

    pthread_mutex_lock(&s->lock);

    for ( ;; ) {
        r = s->reads.first;

        if (r == NULL) {
            if (s->closing) {
                break;
            }

            pthread_cond_wait(&s->read, &s->lock);
            continue;
        }

        s->reads.first = r->next;

        if (r->next == NULL) {
            s->reads.last = &s->reads.first;
        }

        pthread_mutex_unlock(&s->lock);

        r->next = NULL;
        store_sqlite_read(&s->reader, r, sqlite_now_ms(s));

        pthread_mutex_lock(&s->lock);
        s->pending--;
        s->health.reads++;
        sqlite_queue_add(&s->finished, r);
        eventfd_write(s->fd, 1);
    }

    pthread_mutex_unlock(&s->lock);

    return NULL;
}


static void
sqlite_queue_init(struct sqlite_queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}


static void
sqlite_queue_add(struct sqlite_queue *q, struct store_request *r)
{
    *q->last = r;
    q->last = &r->next;
}


static int64_t
sqlite_now_ms(const struct store_sqlite *s)
{
    struct timespec  ts;

    if (s->conf.now_ms) {
        return s->conf.now_ms(s->conf.now_data);
    }

    clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}


static int64_t
sqlite_clock_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
