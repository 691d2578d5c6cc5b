/*
 * collector_cursors: acks of clients become cursors in the store
 *
 *     entries -> batch: sorted, the maximum of each -> put, put, ... -> XACK
 *
 * One batch at a time: entries that come meanwhile stay in Redis.
 */

#include "collector_cursors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector_reader.h"
#include "collector_request.h"
#include "fault_point.h"

#define CURSORS_BATCH      100          /* entries of one read */
#define CURSORS_PACE_MS    100          /* between commits, unless it is busy */
#define CURSORS_RETRY_MS   1000         /* the store is unavailable */
#define CURSORS_CLAIM_MS   60000        /* what dead collectors have left */

/* Of one call of on_entries.  Queued, as a claim may come beside a read. */
struct cursors_batch {
    struct collector_cursors *k;
    struct cursors_batch     *next;
    struct store_cursors_put  put;
    struct store_cursor      *cursors;
    size_t                    count;
    size_t                    done;     /* of them, committed */
    size_t                    entries;
    struct push_str          *ids;
    char                     *text;     /* ids and acks */
};

/* Lives until it was destroyed and no commit is under way. */
struct collector_cursors {
    struct collector       *c;          /* NULL: destroyed */
    struct collector_reader reader;     /* its timer: to read on, or to try
                                           again */
    struct cursors_batch   *first;      /* the one that is committed */
    struct cursors_batch   *last;
    bool                    committing;
    int64_t                 next_ms;    /* no read before */
};

static void cursors_entries(const struct redis_entry *entries, size_t count,
    void *data);
static struct cursors_batch *cursors_copy(struct collector_cursors *k,
    const struct redis_entry *entries, size_t count);
static void cursors_entry(struct collector_cursors *k, struct cursors_batch *b,
    const struct redis_entry *e, char **text);
static void cursors_merge(struct cursors_batch *b);
static int cursors_compare(const void *one, const void *two);
static int cursors_compare_str(struct push_str a, struct push_str b);
static void cursors_commit(struct collector_cursors *k);
static void cursors_put_done(struct store_request *r);
static void cursors_confirm(struct collector_cursors *k);
static void cursors_batch_free(struct cursors_batch *b);
static void cursors_time(void *data);

static const struct collector_reader_conf cursors_reader = {
    .name = "push-collector-acks",
    .stream = "push:ev:ack",
    .batch = CURSORS_BATCH,
    .claim_ms = CURSORS_CLAIM_MS,
    .on_entries = cursors_entries,
    .on_time = cursors_time,
};


int
collector_cursors_create(struct collector *c, char *error, size_t size)
{
    struct collector_cursors  *k;

    k = calloc(1, sizeof(*k));
    if (k == NULL) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    k->c = c;
    c->cursors = k;

    if (collector_reader_open(&k->reader, c, &cursors_reader, k, error, size)
        != PUSH_OK)
    {
        collector_cursors_destroy(c);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


void
collector_cursors_stop(struct collector *c)
{
    collector_reader_stop(&c->cursors->reader);
}


bool
collector_cursors_idle(const struct collector *c)
{
    return c->cursors->first == NULL;
}


void
collector_cursors_destroy(struct collector *c)
{
    struct cursors_batch      *b, *next;
    struct collector_cursors  *k = c->cursors;

    if (k == NULL) {
        return;
    }

    collector_reader_close(&k->reader);

    /* not confirmed: the next process reads them again */

    for (b = k->committing ? k->first->next : k->first; b != NULL; b = next) {
        next = b->next;
        cursors_batch_free(b);
    }

    k->c = NULL;
    c->cursors = NULL;

    if (!k->committing) {
        free(k);
    }
}


static void
cursors_entries(const struct redis_entry *entries, size_t count, void *data)
{
    struct cursors_batch      *b;
    struct collector_cursors  *k = data;

    collector_reader_pause(&k->reader);

    k->next_ms = daemon_monotonic_ms()
                 + (count < CURSORS_BATCH ? CURSORS_PACE_MS : 0);

    b = cursors_copy(k, entries, count);

    if (b == NULL) {
        /* not confirmed: read again after the next connect, or claimed */
        log_error(k->c->log, "acks_forgotten", "reason=%s", "out of memory");
        collector_reader_wait(&k->reader, CURSORS_RETRY_MS);
        return;
    }

    if (k->last != NULL) {
        k->last->next = b;

    } else {
        k->first = b;
    }

    k->last = b;

    if (k->first == b) {
        cursors_commit(k);
    }
}


/* NULL: out of memory. */
static struct cursors_batch *
cursors_copy(struct collector_cursors *k, const struct redis_entry *entries,
    size_t count)
{
    char                  *text;
    size_t                 i, len, lines;
    const char            *p, *end;
    struct push_str        acks;
    struct cursors_batch  *b;

    for (i = len = lines = 0; i < count; i++) {
        acks = redis_entry_field(&entries[i], "acks");
        len += entries[i].id.len + acks.len;
        lines++;

        for (p = acks.data, end = p + acks.len;
             p < end && (p = memchr(p, '\n', (size_t) (end - p))) != NULL;
             p++)
        {
            lines++;
        }
    }

    b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return NULL;
    }

    b->k = k;
    b->cursors = calloc(lines, sizeof(*b->cursors));
    b->ids = calloc(count, sizeof(*b->ids));
    b->text = malloc(len);

    if (b->cursors == NULL || b->ids == NULL || b->text == NULL) {
        cursors_batch_free(b);
        return NULL;
    }

    text = b->text;

    for (i = 0; i < count; i++) {
        memcpy(text, entries[i].id.data, entries[i].id.len);
        b->ids[b->entries++] = (struct push_str) { text, entries[i].id.len };
        text += entries[i].id.len;

        cursors_entry(k, b, &entries[i], &text);
    }

    cursors_merge(b);

    return b;
}


/* Its acks, copied to *text, are added to the batch. */
static void
cursors_entry(struct collector_cursors *k, struct cursors_batch *b,
    const struct redis_entry *e, char **text)
{
    int                     rc;
    size_t                  len, bad;
    const char             *error, *epoch;
    struct collector_ack    ack;
    struct collector_acks   acks;
    struct store_cursor    *cursor;

    if (collector_acks_parse(&acks, e->fields, e->count, &error) != PUSH_OK) {
        metrics_add(&k->c->counters.acks_bad, 1);
        log_warn(k->c->log, "acks_bad", "entry=%.*s field=%s",
                 LOG_STR(e->id), error);
        return;
    }

    len = (size_t) (acks.end - acks.pos);
    memcpy(*text, acks.pos, len);
    acks.pos = *text;
    acks.end = *text + len;
    *text += len;

    epoch = store_info(k->c->store)->epoch;
    bad = 0;

    while ((rc = collector_acks_next(&acks, &ack)) != PUSH_DECLINED) {

        if (rc != PUSH_OK) {
            bad++;
            continue;
        }

        metrics_add(&k->c->counters.acks_read, 1);

        if (!push_str_eq(acks.epoch,
                         (struct push_str) { epoch, strlen(epoch) }))
        {
            metrics_add(&k->c->counters.acks_dropped, 1);
            continue;
        }

        cursor = &b->cursors[b->count++];
        cursor->log = ack.log;
        cursor->uid = ack.uid;
        cursor->device = ack.device;
        cursor->seq = ack.seq;
    }

    if (bad) {
        metrics_add(&k->c->counters.acks_bad, bad);
        log_warn(k->c->log, "acks_bad", "entry=%.*s lines=%zu",
                 LOG_STR(e->id), bad);
    }
}


/* One cursor a (log, uid, device): the highest. */
static void
cursors_merge(struct cursors_batch *b)
{
    size_t                i, n;
    struct store_cursor  *c = b->cursors;

    if (b->count == 0) {
        return;
    }

    qsort(c, b->count, sizeof(*c), cursors_compare);

    for (i = 1, n = 0; i < b->count; i++) {

        if (cursors_compare(&c[n], &c[i]) != 0) {
            c[++n] = c[i];

        } else if (c[i].seq > c[n].seq) {
            c[n].seq = c[i].seq;
        }
    }

    b->count = n + 1;
}


static int
cursors_compare(const void *one, const void *two)
{
    int                         rc;
    const struct store_cursor  *a = one, *b = two;

    rc = cursors_compare_str(a->log, b->log);

    if (rc == 0) {
        rc = cursors_compare_str(a->uid, b->uid);
    }

    return rc != 0 ? rc : cursors_compare_str(a->device, b->device);
}


static int
cursors_compare_str(struct push_str a, struct push_str b)
{
    int  rc;

    rc = memcmp(a.data, b.data, a.len < b.len ? a.len : b.len);

    return rc != 0 ? rc : (a.len > b.len) - (a.len < b.len);
}


/* The next slice of the first batch; none is left: the entries are done. */
static void
cursors_commit(struct collector_cursors *k)
{
    struct cursors_batch      *b;
    struct store_cursors_put  *put;

    while ((b = k->first) != NULL) {

        if (b->done == b->count) {
            cursors_confirm(k);
            continue;
        }

        put = &b->put;
        memset(put, 0, sizeof(*put));

        put->r.done = cursors_put_done;
        put->r.data = b;
        put->cursors = b->cursors + b->done;
        put->count = b->count - b->done;

        if (put->count > STORE_CURSORS_MAX) {
            put->count = STORE_CURSORS_MAX;
        }

        PUSH_FAULT_POINT("ack-read");
        k->committing = store_cursors_put(k->c->store, put) == PUSH_OK;

        if (!k->committing) {
            collector_reader_wait(&k->reader, CURSORS_PACE_MS);
        }

        return;
    }

    collector_reader_wait(&k->reader, k->next_ms - daemon_monotonic_ms());
}


static void
cursors_put_done(struct store_request *r)
{
    size_t                     i;
    struct cursors_batch      *b = r->data;
    struct collector_cursors  *k = b->k;

    k->committing = false;

    if (k->c == NULL) {
        cursors_batch_free(b);
        free(k);
        return;
    }

    if (r->result != STORE_OK) {
        log_error(k->c->log, "acks_failed", "reason=%s", r->error);
        collector_reader_wait(&k->reader, CURSORS_RETRY_MS);
        return;
    }

    for (i = 0; i < b->put.count; i++) {
        if (b->put.cursors[i].above) {
            metrics_add(&k->c->counters.acks_dropped, 1);
        }
    }

    PUSH_FAULT_POINT("ack-written");
    b->done += b->put.count;
    cursors_commit(k);
}


/* A lost XACK: the entries come again, and change nothing. */
static void
cursors_confirm(struct collector_cursors *k)
{
    struct cursors_batch  *b = k->first;

    (void) redis_stream_ack(k->reader.stream, k->c->redis, NULL, NULL,
                            b->ids, b->entries);

    k->first = b->next;

    if (k->first == NULL) {
        k->last = NULL;
    }

    cursors_batch_free(b);
}


static void
cursors_batch_free(struct cursors_batch *b)
{
    free(b->cursors);
    free(b->ids);
    free(b->text);
    free(b);
}


static void
cursors_time(void *data)
{
    struct collector_cursors  *k = data;

    if (k->first != NULL && !k->committing) {
        cursors_commit(k);

    } else if (k->first == NULL) {
        collector_reader_resume(&k->reader);
    }
}
