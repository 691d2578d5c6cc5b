/*
 * collector_append: publish requests become stored messages, and answers
 *
 *     job: body --slice--> entries, messages --store--> outcomes --render--+
 *            ^                                                             |
 *            +------------------ the batch has more lines -----------------+
 *
 * in:   bodies.  out: answers, and what is committed to hand_over
 * owns: jobs; one job is one HTTP request, one slice of it is in the store
 */

#include "collector_append.h"

#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "collector_check.h"
#include "collector_hand_over.h"
#include "collector_job.h"
#include "collector_result.h"
#include "fault_point.h"

#define APPEND_RETRY_AFTER_S  1
#define APPEND_FULL           "the queue is full, try again later"

struct collector_append {
    struct collector           *c;
    size_t                      jobs;
    struct metrics_histogram    seconds;    /* arrival to answer */
};

static void append_start(struct collector *c, struct http_server_request *r,
    bool batch);
static size_t append_lines(struct push_str body);
static int append_room(struct collector_job *job, size_t size);
static void append_run(struct collector_job *job);
static void append_slice(struct collector_job *job);
static bool append_entry(struct collector_job *job, struct push_str text);
static void append_refuse(struct collector_job *job,
    struct collector_entry *e, unsigned status, const char *detail);
static void append_ephemeral(struct collector_job *job,
    struct collector_entry *e, const struct collector_check *check,
    int64_t now_ms);
static void append_messages(struct collector_job *job,
    struct collector_entry *e, const struct collector_check *check,
    int64_t now_ms);
static void append_full(struct collector_job *job);
static void append_done(struct store_request *r);
static void append_hand_over(struct collector_job *job);
static void append_count(struct collector_job *job);
static void append_cancelled(void *data);
static void append_finish(struct collector_job *job);
static int64_t append_now_us(void);


int
collector_append_create(struct collector *c, char *error, size_t size)
{
    struct collector_append  *a;

    a = calloc(1, sizeof(*a));

    if (a == NULL
        || metrics_histogram(c->metrics, "push_collector_publish_seconds", "",
                             "Arrival of a publish request to its answer.",
                             &a->seconds) != PUSH_OK)
    {
        free(a);
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    a->c = c;
    c->append = a;

    return PUSH_OK;
}


void
collector_append_destroy(struct collector *c)
{
    free(c->append);
    c->append = NULL;
}


bool
collector_append_idle(const struct collector *c)
{
    return c->append->jobs == 0;
}


void
collector_append_publish(struct collector *c, struct http_server_request *r)
{
    append_start(c, r, false);
}


void
collector_append_batch(struct collector *c, struct http_server_request *r)
{
    append_start(c, r, true);
}


static void
append_start(struct collector *c, struct http_server_request *r, bool batch)
{
    char                  *body;
    size_t                 lines;
    struct push_str        came;
    struct collector_job  *job;

    metrics_add(&c->counters.publish_requests, 1);

    came = http_server_body(r);
    job = calloc(1, sizeof(*job));
    body = malloc(came.len + 1);

    if (job == NULL || body == NULL) {
        free(body);
        free(job);
        http_server_busy(r, APPEND_RETRY_AFTER_S, "out of memory");
        return;
    }

    if (came.len) {
        memcpy(body, came.data, came.len);
    }

    job->append = c->append;
    job->request = r;
    job->batch = batch;
    job->began_us = append_now_us();
    job->body.data = body;
    job->body.len = came.len;
    job->pos = body;
    c->append->jobs++;

    lines = batch ? append_lines(job->body) : 1;

    if (append_room(job, lines < STORE_APPEND_MAX ? lines : STORE_APPEND_MAX)
        != PUSH_OK)
    {
        job->request = NULL;
        append_finish(job);
        http_server_busy(r, APPEND_RETRY_AFTER_S, "out of memory");
        return;
    }

    http_server_on_cancel(r, append_cancelled, job);
    append_run(job);
}


static size_t
append_lines(struct push_str body)
{
    size_t       n;
    const char  *p, *end;

    end = body.data + body.len;
    n = 1;

    for (p = body.data;
         p < end && (p = memchr(p, '\n', (size_t) (end - p))) != NULL;
         p++)
    {
        n++;
    }

    return n;
}


/*
 * Room for so many messages and entries; only between slices, or before the
 * first message of one.
 */
static int
append_room(struct collector_job *job, size_t size)
{
    void  *entries, *messages, *logs, *committed;

    if (size <= job->size) {
        return PUSH_OK;
    }

    entries = realloc(job->entries, size * sizeof(struct collector_entry));
    job->entries = entries ? entries : job->entries;
    messages = realloc(job->messages, size * sizeof(struct store_message));
    job->messages = messages ? messages : job->messages;
    logs = realloc(job->logs, size * sizeof(struct collector_job_log));
    job->logs = logs ? logs : job->logs;
    committed = realloc(job->committed,
                        size * sizeof(struct collector_message));
    job->committed = committed ? committed : job->committed;

    if (entries == NULL || messages == NULL || logs == NULL
        || committed == NULL)
    {
        return PUSH_ERROR;
    }

    job->size = size;

    return PUSH_OK;
}


/* Slices that need no commit are over at once. */
static void
append_run(struct collector_job *job)
{
    for ( ;; ) {
        append_slice(job);

        if (job->count) {
            memset(&job->store, 0, sizeof(job->store));
            job->store.r.done = append_done;
            job->store.r.data = job;
            job->store.messages = job->messages;
            job->store.count = job->count;

            if (store_append(job->append->c->store, &job->store) == PUSH_OK) {
                return;
            }

            append_full(job);
        }

        append_count(job);

        if (job->batch && !job->declined) {
            collector_result_lines(job);
        }

        if (job->over) {
            append_finish(job);
            return;
        }
    }
}


/* Entries until the body ends, or the slice is full. */
static void
append_slice(struct collector_job *job)
{
    unsigned         line;
    const char      *pos;
    struct push_str  text;

    job->entry_count = 0;
    job->count = 0;
    job->details.len = 0;

    if (!job->batch) {
        (void) append_entry(job, job->body);
        job->over = true;
        return;
    }

    while (job->entry_count < job->size && job->count < job->size) {
        pos = job->pos;
        line = job->line;

        if (!collector_check_line(job->body, &job->pos, &text, &job->line)) {
            job->over = true;
            return;
        }

        if (!append_entry(job, text)) {
            job->pos = pos;             /* it begins the next slice */
            job->line = line;
            return;
        }
    }
}


/* false: the slice has no room for its targets. */
static bool
append_entry(struct collector_job *job, struct push_str text)
{
    int64_t                       now_ms;
    struct collector_entry          *e;
    struct collector_check        check;
    struct collector_check_error  error;

    e = &job->entries[job->entry_count];
    memset(e, 0, sizeof(*e));
    e->first = job->count;

    if (collector_check_publish(text, &check, &error) != PUSH_OK) {
        append_refuse(job, e, error.status, error.text);
        job->entry_count++;
        return true;
    }

    if (!check.ephemeral && check.count > job->size - job->count) {

        if (job->entry_count) {
            return false;
        }

        if (append_room(job, check.count) != PUSH_OK) {
            append_refuse(job, e, 503, "out of memory");
            job->entry_count++;
            return true;
        }

        e = &job->entries[0];
    }

    e->users = check.users;
    now_ms = daemon_unix_ms();

    if (check.ephemeral) {
        append_ephemeral(job, e, &check, now_ms);

    } else {
        append_messages(job, e, &check, now_ms);
    }

    job->entry_count++;

    return true;
}


static void
append_refuse(struct collector_job *job, struct collector_entry *e,
    unsigned status, const char *detail)
{
    char  line[32];

    e->status = status;
    e->detail = job->details.len;

    if (job->batch && status < 500) {
        snprintf(line, sizeof(line), "line %u: ", job->line);
        collector_text_add(&job->details,
                           (struct push_str) { line, strlen(line) });
    }

    collector_text_add(&job->details,
                       (struct push_str) { detail, strlen(detail) });
    e->detail_len = job->details.len - e->detail;
}


/*
 * Not stored, so given on at once.  Its names are not kept: the answer to a
 * list has only how many there were room for.
 */
static void
append_ephemeral(struct collector_job *job, struct collector_entry *e,
    const struct collector_check *check, int64_t now_ms)
{
    char                      log[PUSH_LOG_MAX];
    size_t                    len;
    const char               *pos;
    struct collector         *c;
    struct collector_text     text;
    struct collector_message  m;

    c = job->append->c;
    memset(&text, 0, sizeof(text));
    memset(&m, 0, sizeof(m));
    m.data = check->data;
    m.ts_ms = now_ms;
    pos = NULL;

    while ((len = collector_check_log(check, &pos, log)) > 0) {
        m.log.data = log;
        m.log.len = len;

        if (collector_hand_over_ephemeral(c, &m) != PUSH_OK) {
            collector_text_free(&text);
            append_refuse(job, e, 503, "no dispatcher takes it now, an "
                          "ephemeral message is not kept");
            return;
        }

        collector_text_add(&text, text.len ? PUSH_STR(",") : PUSH_STR(""));
        collector_text_lit(&text, "{\"log\":");
        collector_text_quote(&text, m.log);
        collector_text_lit(&text, "}");
    }

    e->status = 202;
    e->detail = job->details.len;
    e->detail_len = text.len;
    collector_text_add(&job->details,
                       (struct push_str) { text.data, text.len });
    job->details.failed |= text.failed;
    collector_text_free(&text);
}


static void
append_messages(struct collector_job *job, struct collector_entry *e,
    const struct collector_check *check, int64_t now_ms)
{
    size_t                 len;
    uint8_t                hash[STORE_HASH_LEN];
    const char            *pos;
    struct store_message  *m;

    pos = NULL;
    memset(hash, 0, sizeof(hash));
    memcpy(e->key, check->key, check->key_len);

    if (check->key_len) {
        SHA256((const unsigned char *) check->data.data, check->data.len,
               hash);
    }

    while ((len = collector_check_log(check, &pos,
                                      job->logs[job->count].name)) > 0)
    {
        m = &job->messages[job->count];
        memset(m, 0, sizeof(*m));
        m->log.data = job->logs[job->count].name;
        m->log.len = len;
        m->key.data = e->key;
        m->key.len = check->key_len;
        m->data = check->data;
        m->ts_ms = now_ms;
        memcpy(m->hash, hash, sizeof(hash));

        if (check->ttl) {
            /* rounded up: it never lives shorter than was asked for */
            m->expires = (now_ms + 999) / 1000 + check->ttl;
        }

        e->count++;

        if (++job->count == job->size) {
            break;
        }
    }
}


/*
 * Nothing of the slice was taken.  If nothing was before it either the whole
 * batch is refused, so that the publisher waits; else only these lines.
 */
static void
append_full(struct collector_job *job)
{
    size_t                   i;
    struct collector_entry  *e;

    job->declined = job->batch && job->out.len == 0;

    for (i = 0; i < job->entry_count; i++) {
        e = &job->entries[i];

        if (e->status == 0) {
            append_refuse(job, e, 503, APPEND_FULL);
            metrics_add(&job->append->c->counters.publish_full, e->count);
            e->count = 0;

        } else if (e->status == 202) {
            job->declined = false;
        }
    }

    job->count = 0;
    job->over |= job->declined;
}


static void
append_done(struct store_request *r)
{
    struct collector_job  *job;

    job = r->data;

    PUSH_FAULT_POINT("hand-over");
    append_hand_over(job);
    append_count(job);

    if (job->batch) {
        collector_result_lines(job);

        if (!job->over) {
            append_run(job);
            return;
        }
    }

    append_finish(job);
}


/*
 * A duplicate goes out again, because its first copy's outcome may have been
 * unknown, and was not given on then.
 */
static void
append_hand_over(struct collector_job *job)
{
    size_t                          i, n;
    int64_t                         now_s;
    const struct store_message     *m;
    struct collector_message       *out;

    if (job->append->c->hand_over == NULL) {
        return;                     /* the end: the mark tells the next start */
    }

    now_s = daemon_unix_ms() / 1000;
    n = 0;

    for (i = 0; i < job->count; i++) {
        m = &job->messages[i];

        if (m->outcome != STORE_STORED
            && (m->outcome != STORE_DUPLICATE
                || (m->expires && now_s >= m->expires)))
        {
            continue;
        }

        out = &job->committed[n++];
        out->log = m->log;
        out->data = m->data;
        out->seq = m->seq;
        out->ts_ms = m->ts_ms;
        out->expires = m->expires;
        out->row = m->outcome == STORE_STORED ? m->row : 0;
    }

    if (n) {
        collector_hand_over_add(job->append->c, job->committed, n);
    }
}


static void
append_count(struct collector_job *job)
{
    size_t                      i;
    struct collector_counters  *n;

    n = &job->append->c->counters;

    for (i = 0; i < job->entry_count; i++) {
        switch (job->entries[i].status) {

        case 0:
        case 503:
            break;

        case 202:
            metrics_add(&n->publish_ephemeral, 1);
            break;

        default:
            metrics_add(&n->publish_wrong, 1);
        }
    }

    for (i = 0; i < job->count; i++) {
        switch (job->messages[i].outcome) {

        case STORE_STORED:
            metrics_add(&n->publish_stored, 1);
            break;

        case STORE_DUPLICATE:
            metrics_add(&n->publish_duplicates, 1);
            break;

        case STORE_CONFLICT:
            metrics_add(&n->publish_conflicts, 1);
            break;

        case STORE_REFUSED:
            metrics_add(&n->publish_refused, 1);
            break;

        case STORE_UNKNOWN:
            metrics_add(&n->publish_unknown, 1);
        }
    }
}


static void
append_cancelled(void *data)
{
    ((struct collector_job *) data)->request = NULL;
}


static void
append_finish(struct collector_job *job)
{
    if (job->request) {
        PUSH_FAULT_POINT("publish-reply");
        collector_result_answer(job);
    }

    metrics_observe_us(&job->append->seconds,
                       (uint64_t) (append_now_us() - job->began_us));

    job->append->jobs--;
    collector_text_free(&job->details);
    collector_text_free(&job->out);
    free(job->committed);
    free(job->logs);
    free(job->messages);
    free(job->entries);
    free((char *) (uintptr_t) job->body.data);
    free(job);
}


static int64_t
append_now_us(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
