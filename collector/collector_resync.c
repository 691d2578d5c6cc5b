/*
 * collector_resync: requests of the edges for what their clients miss
 *
 *     entry -> work: get -> (put) -> read, read, ... -> answer -> gone
 *                     ^ |
 *                     +-+ for certain, before a reset for a tip's sake
 *
 * Each step is a call of the store and its `done`.  A work has a copy of what
 * it needs of the entry, its own buffer for the answer, and one request of
 * each kind.
 */

#include "collector_resync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector_answer.h"
#include "collector_hand_over.h"
#include "collector_reader.h"
#include "fault_point.h"

#define RESYNC_BATCH       100          /* entries of one read */
#define RESYNC_FIELDS      32           /* pairs of an entry, no more */
#define RESYNC_ENTRY_MAX   65536        /* bytes of its values */
#define RESYNC_ROOM_MS     20           /* a full hand_over is asked again */

/*
 * Lives until it was destroyed and the last work is done: a `done` may come
 * from store_close().
 */
struct collector_resync {
    struct collector        *c;         /* NULL: destroyed */
    struct collector_reader  reader;    /* its timer: while paused for room */
    size_t                   in_work;
    bool                     paused;
};

struct resync_work {
    struct collector_resync       *s;
    struct collector_request       request;

    struct store_cursors_get       get;
    struct store_cursors_put       put;
    struct store_read              read;

    struct store_place             places[REQUEST_LOGS_MAX];
    struct store_cursor            cursors[REQUEST_LOGS_MAX];
    struct collector_answer_start  starts[REQUEST_LOGS_MAX];

    struct collector_answer        answer;
    size_t                         i;       /* the log that is read */

    char                           text[];  /* values of the entry */
};

static void resync_entries(const struct redis_entry *entries, size_t count,
    void *data);
static void resync_entry(struct collector_resync *s,
    const struct redis_entry *e);
static struct resync_work *resync_copy(const struct redis_entry *e,
    struct push_str *fields, size_t *pairs);
static void resync_get(struct resync_work *w);
static void resync_get_done(struct store_request *r);
static int resync_put(struct resync_work *w);
static void resync_put_done(struct store_request *r);
static void resync_logs(struct resync_work *w);
static void resync_read_done(struct store_request *r);
static int resync_log(struct resync_work *w, const struct store_item *items,
    size_t count, int64_t tip);
static int resync_room(struct resync_work *w, size_t more);
static void resync_answer(struct resync_work *w);
static void resync_forget(struct resync_work *w, const char *reason);
static void resync_done(struct resync_work *w);
static void resync_pace(struct collector_resync *s);
static void resync_time(void *data);

static const struct collector_reader_conf resync_reader = {
    .name = "push-collector-resync",
    .stream = "push:ev:resync",
    .noack = true,
    .batch = RESYNC_BATCH,
    .on_entries = resync_entries,
    .on_time = resync_time,
};


int
collector_resync_create(struct collector *c, char *error, size_t size)
{
    struct collector_resync  *s;

    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    s->c = c;
    c->resync = s;

    if (collector_reader_open(&s->reader, c, &resync_reader, s, error, size)
        != PUSH_OK)
    {
        collector_resync_destroy(c);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


void
collector_resync_stop(struct collector *c)
{
    collector_reader_stop(&c->resync->reader);
}


bool
collector_resync_idle(const struct collector *c)
{
    return c->resync->in_work == 0;
}


void
collector_resync_destroy(struct collector *c)
{
    struct collector_resync  *s = c->resync;

    if (s == NULL) {
        return;
    }

    collector_reader_close(&s->reader);
    s->c = NULL;
    c->resync = NULL;

    if (s->in_work == 0) {
        free(s);
    }
}


static void
resync_entries(const struct redis_entry *entries, size_t count, void *data)
{
    size_t                    i;
    struct collector_resync  *s = data;

    for (i = 0; i < count; i++) {
        metrics_add(&s->c->counters.resync_requests, 1);
        resync_entry(s, &entries[i]);
    }

    resync_pace(s);
}


static void
resync_entry(struct collector_resync *s, const struct redis_entry *e)
{
    int                       rc;
    size_t                    pairs;
    const char               *error;
    struct push_str           fields[2 * RESYNC_FIELDS];
    struct resync_work       *w;
    struct collector_request *r;

    w = resync_copy(e, fields, &pairs);

    if (w == NULL) {
        metrics_add(&s->c->counters.resync_bad, 1);
        log_warn(s->c->log, "resync_bad", "entry=%.*s reason=%s",
                 LOG_STR(e->id), "too long, or out of memory");
        return;
    }

    w->s = s;
    r = &w->request;

    rc = collector_request_parse(r, fields, pairs, &error);

    if (rc != PUSH_OK) {
        metrics_add(&s->c->counters.resync_bad, 1);
        log_warn(s->c->log, "resync_bad", "entry=%.*s field=%s",
                 LOG_STR(e->id), error);
        free(w);
        return;
    }

    /* the edge has asked again, or is about to */

    if (r->due_ms <= redis_now_ms(s->c->redis)) {
        metrics_add(&s->c->counters.resync_overdue, 1);
        free(w);
        return;
    }

    s->in_work++;
    resync_get(w);
}


/* NULL: too much of it, or out of memory. */
static struct resync_work *
resync_copy(const struct redis_entry *e, struct push_str *fields,
    size_t *pairs)
{
    char                *p;
    size_t               i, len;
    struct resync_work  *w;

    *pairs = e->count < RESYNC_FIELDS ? e->count : RESYNC_FIELDS;

    for (i = len = 0; i < 2 * *pairs; i++) {
        len += e->fields[i].len;
    }

    if (len > RESYNC_ENTRY_MAX) {
        return NULL;
    }

    w = calloc(1, sizeof(*w) + len);
    if (w == NULL) {
        return NULL;
    }

    p = w->text;

    for (i = 0; i < 2 * *pairs; i++) {
        memcpy(p, e->fields[i].data, e->fields[i].len);
        fields[i] = (struct push_str) { p, e->fields[i].len };
        p += e->fields[i].len;
    }

    return w;
}


static void
resync_get(struct resync_work *w)
{
    size_t  i;

    for (i = 0; i < w->request.count; i++) {
        w->places[i].log = w->request.logs[i].log;
        w->places[i].uid = w->request.uid;
        w->places[i].device = w->request.device;
    }

    w->get.r.done = resync_get_done;
    w->get.r.data = w;
    w->get.places = w->places;
    w->get.count = w->request.count;

    if (store_cursors_get(w->s->c->store, &w->get) != PUSH_OK) {
        resync_forget(w, "the store is busy");
    }
}


static void
resync_get_done(struct store_request *r)
{
    bool                 reset;
    struct push_str      epoch;
    struct resync_work  *w = r->data;

    if (w->s->c == NULL || r->result != STORE_OK) {
        resync_forget(w, r->error);
        return;
    }

    epoch.data = store_info(w->s->c->store)->epoch;
    epoch.len = strlen(epoch.data);

    if (!w->get.certain
        && collector_answer_doubtful(&w->request, epoch, w->places))
    {
        w->get.certain = true;
        resync_get(w);
        return;
    }

    reset = collector_answer_begin(&w->request, epoch, w->places, w->starts);

    w->answer.r = &w->request;

    if (reset) {

        if (resync_room(w, collector_answer_reset_size(&w->request))
            != PUSH_OK)
        {
            resync_forget(w, "out of memory");
            return;
        }

        collector_answer_reset(&w->answer, epoch, w->places);
    }

    switch (resync_put(w)) {

    case PUSH_OK:           /* the answer leaves after the commit */
        break;

    case PUSH_DECLINED:
        resync_forget(w, "the store is busy");
        break;

    default:
        resync_logs(w);
    }
}


/* PUSH_OK: under way; PUSH_DECLINED: the store is full; PUSH_AGAIN: no need. */
static int
resync_put(struct resync_work *w)
{
    size_t                i, n;
    struct store_cursor  *cursor;

    for (i = n = 0; i < w->request.count; i++) {

        if (w->starts[i].put == ANSWER_PUT_NOTHING) {
            continue;
        }

        cursor = &w->cursors[n++];
        cursor->log = w->request.logs[i].log;
        cursor->uid = w->request.uid;
        cursor->device = w->request.device;
        cursor->seq = w->starts[i].after;
        cursor->start = w->starts[i].put == ANSWER_PUT_START;
    }

    if (n == 0) {
        return PUSH_AGAIN;
    }

    w->put.r.done = resync_put_done;
    w->put.r.data = w;
    w->put.cursors = w->cursors;
    w->put.count = n;

    return store_cursors_put(w->s->c->store, &w->put);
}


static void
resync_put_done(struct store_request *r)
{
    struct resync_work  *w = r->data;

    if (w->s->c == NULL || r->result != STORE_OK) {
        resync_forget(w, r->error);
        return;
    }

    PUSH_FAULT_POINT("resync-start");
    resync_logs(w);
}


/* From log i on: reads the next one, or says the tip where nothing fits. */
static void
resync_logs(struct resync_work *w)
{
    struct store_read  *read = &w->read;

    for ( ; w->i < w->request.count; w->i++) {

        memset(read, 0, sizeof(*read));

        if (w->starts[w->i].after < w->places[w->i].tip
            && collector_answer_room(&w->answer, w->i, &read->max,
                                     &read->max_bytes))
        {
            read->r.done = resync_read_done;
            read->r.data = w;
            read->log = w->request.logs[w->i].log;
            read->after = w->starts[w->i].after;

            if (store_read(w->s->c->store, read) != PUSH_OK) {
                resync_forget(w, "the store is busy");
            }

            return;
        }

        if (resync_log(w, NULL, 0, w->places[w->i].tip) != PUSH_OK) {
            resync_forget(w, "out of memory");
            return;
        }
    }

    resync_answer(w);
}


static void
resync_read_done(struct store_request *r)
{
    int                  rc;
    struct resync_work  *w = r->data;

    if (w->s->c == NULL || r->result != STORE_OK) {
        store_release(r);
        resync_forget(w, r->error);
        return;
    }

    rc = resync_log(w, w->read.items, w->read.count, w->read.tip);

    store_release(r);

    if (rc != PUSH_OK) {
        resync_forget(w, "out of memory");
        return;
    }

    PUSH_FAULT_POINT("resync-page");

    w->i++;
    resync_logs(w);
}


static int
resync_log(struct resync_work *w, const struct store_item *items,
    size_t count, int64_t tip)
{
    if (resync_room(w, collector_answer_log_size(items, count)) != PUSH_OK) {
        return PUSH_ERROR;
    }

    collector_answer_log(&w->answer, w->i, w->starts[w->i].after, items, count,
                         tip);

    return PUSH_OK;
}


static int
resync_room(struct resync_work *w, size_t more)
{
    char                     *p;
    struct collector_answer  *a = &w->answer;

    if (more <= a->size - a->len) {
        return PUSH_OK;
    }

    p = realloc(a->to, a->len + more);
    if (p == NULL) {
        return PUSH_ERROR;
    }

    a->to = p;
    a->size = a->len + more;

    return PUSH_OK;
}


/* Answers to one user keep their order: one key for all its connections. */
static void
resync_answer(struct resync_work *w)
{
    char                      key[5 + PUSH_NAME_MAX];
    size_t                    len;
    struct collector         *c = w->s->c;
    struct collector_request *r = &w->request;

    if (r->worker) {
        push_conn_id_write(key, r->id);
        len = PUSH_CONN_TEXT_LEN;

    } else {
        memcpy(key, "user:", 5);
        memcpy(key + 5, r->uid.data, r->uid.len);
        len = 5 + r->uid.len;
    }

    if (collector_hand_over_answer(c, (struct push_str) { key, len }, r->node,
            r->id.instance,
            (struct push_str) { w->answer.to, w->answer.len },
            w->answer.lines)
        != PUSH_OK)
    {
        resync_forget(w, "no room, or no dispatcher is up");
        return;
    }

    metrics_add(&c->counters.resync_messages, w->answer.messages);
    PUSH_FAULT_POINT("resync-answered");

    resync_done(w);
}


static void
resync_forget(struct resync_work *w, const char *reason)
{
    struct collector  *c = w->s->c;

    if (c != NULL) {
        metrics_add(&c->counters.resync_forgotten, 1);
        log_warn(c->log, "resync_forgotten", "user=%.*s node=%.*s reason=%s",
                 LOG_STR(w->request.uid), LOG_STR(w->request.node), reason);
    }

    resync_done(w);
}


static void
resync_done(struct resync_work *w)
{
    struct collector_resync  *s = w->s;

    free(w->answer.to);
    free(w);

    s->in_work--;

    if (s->c != NULL) {
        resync_pace(s);

    } else if (s->in_work == 0) {
        free(s);
    }
}


/* Reads on while there is less than enough in work and somebody to take it. */
static void
resync_pace(struct collector_resync *s)
{
    bool  room, full;

    if (s->reader.stopped || s->reader.stream == NULL) {
        return;
    }

    room = collector_hand_over_room(s->c);
    full = s->in_work >= (s->paused ? RESYNC_IN_WORK / 2 : RESYNC_IN_WORK);

    if (room && !full) {

        if (s->paused) {
            s->paused = false;
            collector_reader_resume(&s->reader);
        }

        return;
    }

    if (!s->paused) {
        s->paused = true;
        collector_reader_pause(&s->reader);
    }

    if (!room) {
        collector_reader_wait(&s->reader, RESYNC_ROOM_MS);
    }
}


static void
resync_time(void *data)
{
    resync_pace(data);
}
