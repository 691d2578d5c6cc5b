/*
 * redis_stream: a member of a consumer group
 *
 *     up --> XGROUP CREATE --> own pending, from 0 --> XAUTOCLAIM --> '>' -+
 *              ^                                          ^                |
 *              +--- NOGROUP ------------------------------+-- one a time --+
 *
 * in:   XREADGROUP on a connection of its own, one read at a time
 * out:  entries as arrays of fields, in batches
 * owns: the connection, the scratch arrays of a batch
 */

#include "redis.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"

#define REDIS_STREAM_BATCH     100
#define REDIS_STREAM_BLOCK_MS  1000
#define REDIS_STREAM_RETRY_MS  1000     /* after an error that we cannot mend */
#define REDIS_STREAM_ACKS      1000
#define REDIS_STREAM_ID        48       /* two 64-bit numbers */

enum redis_stream_step {
    REDIS_STREAM_CREATE,        /* the group is to be made */
    REDIS_STREAM_PENDING,       /* what this consumer has had before */
    REDIS_STREAM_LIVE
};

struct redis_stream {
    struct redis_stream_conf conf;
    struct redis            *redis;
    struct event            *retry;
    enum redis_stream_step   step;
    bool                     asked;         /* a command is under way */
    bool                     paused;
    bool                     rewind;        /* the next read is of pending */
    bool                     claim;
    int64_t                  claim_due_ms;  /* monotonic */
    char                     pending[REDIS_STREAM_ID];  /* read up to here */
    char                     claimed[REDIS_STREAM_ID];  /* XAUTOCLAIM's cursor */
    char                     batch[16];
    char                     block[16];
    char                     idle[16];

    struct redis_entry      *entries;       /* scratch of one batch */
    size_t                   entries_size;
    struct push_str         *fields;
    size_t                   fields_size;
};

static void redis_stream_next(struct redis_stream *s);


static struct push_str
redis_stream_text(const char *s)
{
    return (struct push_str) { s, strlen(s) };
}


static void
redis_stream_later(struct redis_stream *s)
{
    struct timeval  tv = { REDIS_STREAM_RETRY_MS / 1000, 0 };

    event_add(s->retry, &tv);
}


static void
redis_stream_on_retry(evutil_socket_t fd, short what, void *data)
{
    (void) fd;
    (void) what;

    redis_stream_next(data);
}


static bool
redis_stream_error_is(const struct redis_reply *reply, const char *word)
{
    struct push_str  s;

    s = redis_str(reply);

    return redis_type(reply) == REDIS_ERROR && s.len >= strlen(word)
           && memcmp(s.data, word, strlen(word)) == 0;
}


/* What to do about an error reply of a read. */
static void
redis_stream_error(struct redis_stream *s, const struct redis_reply *reply)
{
    struct push_str  text;

    /* the stream or the group is gone: FLUSHALL, a new server */

    if (redis_stream_error_is(reply, "NOGROUP")
        || redis_stream_error_is(reply, "UNBLOCKED"))
    {
        s->step = REDIS_STREAM_CREATE;
        redis_stream_next(s);
        return;
    }

    text = redis_str(reply);
    log_warn(s->conf.log, "stream_error", "stream=%s reason=%.*s",
             s->conf.stream, LOG_STR(text));
    redis_stream_later(s);
}


static int
redis_stream_room(struct redis_stream *s, size_t entries, size_t fields)
{
    void  *more;

    if (entries > s->entries_size) {
        more = realloc(s->entries, entries * sizeof(*s->entries));
        if (more == NULL) {
            return PUSH_ERROR;
        }

        s->entries = more;
        s->entries_size = entries;
    }

    if (fields > s->fields_size) {
        more = realloc(s->fields, fields * sizeof(*s->fields));
        if (more == NULL) {
            return PUSH_ERROR;
        }

        s->fields = more;
        s->fields_size = fields;
    }

    return PUSH_OK;
}


/* list is [[id, [name, value, …]], …].  Hands it on; PUSH_ERROR: no memory. */
static int
redis_stream_entries(struct redis_stream *s, const struct redis_reply *list)
{
    size_t                     i, k, n, total;
    struct redis_entry        *e;
    const struct redis_reply  *one, *fields;

    n = redis_count(list);
    total = 0;

    for (i = 0; i < n; i++) {
        total += redis_count(redis_at(redis_at(list, i), 1));
    }

    if (n == 0) {
        return PUSH_OK;
    }

    if (redis_stream_room(s, n, total) != PUSH_OK) {
        log_error(s->conf.log, "out_of_memory", "what=%s", s->conf.stream);
        return PUSH_ERROR;
    }

    total = 0;

    for (i = 0; i < n; i++) {
        one = redis_at(list, i);
        fields = redis_at(one, 1);

        e = &s->entries[i];
        e->id = redis_str(redis_at(one, 0));
        e->fields = s->fields + total;
        e->count = redis_count(fields) / 2;

        for (k = 0; k < 2 * e->count; k++) {
            s->fields[total++] = redis_str(redis_at(fields, k));
        }
    }

    s->conf.on_entries(s->entries, n, s->conf.data);

    return PUSH_OK;
}


static void
redis_stream_on_read(const struct redis_reply *reply, void *data)
{
    size_t                     n;
    struct push_str            id;
    struct redis_stream       *s = data;
    const struct redis_reply  *list;

    s->asked = false;

    if (reply == NULL) {
        return;                 /* on_up begins again */
    }

    if (redis_type(reply) == REDIS_ERROR) {
        redis_stream_error(s, reply);
        return;
    }

    /* [[stream, entries]]; nil when BLOCK ran out */

    list = redis_at(redis_at(reply, 0), 1);
    n = redis_count(list);

    if (s->step == REDIS_STREAM_PENDING) {

        if (n == 0) {
            s->step = REDIS_STREAM_LIVE;

        } else {
            id = redis_str(redis_at(redis_at(list, n - 1), 0));
            snprintf(s->pending, sizeof(s->pending), "%.*s", LOG_STR(id));
        }
    }

    if (redis_stream_entries(s, list) != PUSH_OK) {
        redis_stream_later(s);
        return;
    }

    redis_stream_next(s);
}


static void
redis_stream_on_claim(const struct redis_reply *reply, void *data)
{
    struct push_str       text;
    struct redis_stream  *s = data;

    s->asked = false;

    if (reply == NULL) {
        return;
    }

    if (redis_stream_error_is(reply, "ERR unknown command")) {
        s->claim = false;
        log_warn(s->conf.log, "stream_claim", "stream=%s reason=%s",
                 s->conf.stream, "XAUTOCLAIM needs Redis 6.2");
        redis_stream_next(s);
        return;
    }

    if (redis_type(reply) == REDIS_ERROR) {
        redis_stream_error(s, reply);
        return;
    }

    /* [cursor, entries, …]; the cursor is 0-0 at the end */

    text = redis_str(redis_at(reply, 0));
    snprintf(s->claimed, sizeof(s->claimed), "%.*s", LOG_STR(text));

    if (strcmp(s->claimed, "0-0") == 0 || text.len == 0) {
        snprintf(s->claimed, sizeof(s->claimed), "0-0");
        s->claim_due_ms = daemon_monotonic_ms() + s->conf.claim_ms / 2;
    }

    if (redis_stream_entries(s, redis_at(reply, 1)) != PUSH_OK) {
        redis_stream_later(s);
        return;
    }

    redis_stream_next(s);
}


static void
redis_stream_on_create(const struct redis_reply *reply, void *data)
{
    struct redis_stream  *s = data;

    s->asked = false;

    if (reply == NULL) {
        return;
    }

    if (redis_type(reply) == REDIS_ERROR
        && !redis_stream_error_is(reply, "BUSYGROUP"))
    {
        redis_stream_error(s, reply);
        return;
    }

    s->step = REDIS_STREAM_LIVE;
    redis_stream_rewind(s);

    redis_stream_next(s);
}


static int
redis_stream_read(struct redis_stream *s)
{
    bool             live;
    size_t           n;
    struct push_str  argv[16];

    n = 0;
    live = s->step == REDIS_STREAM_LIVE;

    argv[n++] = PUSH_STR("XREADGROUP");
    argv[n++] = PUSH_STR("GROUP");
    argv[n++] = redis_stream_text(s->conf.group);
    argv[n++] = redis_stream_text(s->conf.consumer);
    argv[n++] = PUSH_STR("COUNT");
    argv[n++] = redis_stream_text(s->batch);

    if (live) {
        argv[n++] = PUSH_STR("BLOCK");
        argv[n++] = redis_stream_text(s->block);
    }

    if (s->conf.noack) {
        argv[n++] = PUSH_STR("NOACK");
    }

    argv[n++] = PUSH_STR("STREAMS");
    argv[n++] = redis_stream_text(s->conf.stream);
    argv[n++] = live ? PUSH_STR(">") : redis_stream_text(s->pending);

    return redis_command(s->redis, redis_stream_on_read, s, argv, n);
}


/* The one place that decides what is asked next. */
static void
redis_stream_next(struct redis_stream *s)
{
    int  rc;

    if (s->asked || s->paused || !redis_is_up(s->redis)) {
        return;
    }

    if (s->rewind && s->step != REDIS_STREAM_CREATE) {
        s->rewind = false;
        s->step = REDIS_STREAM_PENDING;
        snprintf(s->pending, sizeof(s->pending), "0");
    }

    if (s->step == REDIS_STREAM_CREATE) {
        rc = redis_call(s->redis, redis_stream_on_create, s,
                        PUSH_STR("XGROUP"), PUSH_STR("CREATE"),
                        redis_stream_text(s->conf.stream),
                        redis_stream_text(s->conf.group), PUSH_STR("0"),
                        PUSH_STR("MKSTREAM"));

    } else if (s->step == REDIS_STREAM_LIVE && s->claim
               && daemon_monotonic_ms() >= s->claim_due_ms)
    {
        rc = redis_call(s->redis, redis_stream_on_claim, s,
                        PUSH_STR("XAUTOCLAIM"),
                        redis_stream_text(s->conf.stream),
                        redis_stream_text(s->conf.group),
                        redis_stream_text(s->conf.consumer),
                        redis_stream_text(s->idle),
                        redis_stream_text(s->claimed), PUSH_STR("COUNT"),
                        redis_stream_text(s->batch));

    } else {
        rc = redis_stream_read(s);
    }

    if (rc == PUSH_OK) {
        s->asked = true;

    } else {
        redis_stream_later(s);
    }
}


static void
redis_stream_on_up(void *data)
{
    struct redis_stream  *s = data;

    s->asked = false;
    s->step = REDIS_STREAM_CREATE;

    redis_stream_next(s);
}


struct redis_stream *
redis_stream_create(struct event_base *base,
    const struct redis_stream_conf *conf)
{
    struct redis_stream  *s;
    struct redis_conf     rc = { 0 };

    s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return NULL;
    }

    s->conf = *conf;
    s->conf.batch = conf->batch != 0 ? conf->batch : REDIS_STREAM_BATCH;
    s->conf.block_ms = conf->block_ms != 0 ? conf->block_ms
                                           : REDIS_STREAM_BLOCK_MS;
    s->claim = conf->claim_ms != 0 && !conf->noack;

    snprintf(s->claimed, sizeof(s->claimed), "0-0");
    snprintf(s->batch, sizeof(s->batch), "%u", s->conf.batch);
    snprintf(s->block, sizeof(s->block), "%u", s->conf.block_ms);
    snprintf(s->idle, sizeof(s->idle), "%u", s->conf.claim_ms);

    rc.url = conf->url;
    rc.name = conf->name;
    rc.log = conf->log;
    rc.in_flight = 16;
    rc.reply_ms = s->conf.block_ms + REDIS_REPLY_MS;
    rc.on_up = redis_stream_on_up;
    rc.data = s;

    s->conf.url = NULL;
    s->retry = event_new(base, -1, 0, redis_stream_on_retry, s);
    s->redis = s->retry != NULL ? redis_create(base, &rc) : NULL;

    if (s->redis == NULL) {
        redis_stream_destroy(s);
        return NULL;
    }

    return s;
}


void
redis_stream_destroy(struct redis_stream *s)
{
    if (s == NULL) {
        return;
    }

    redis_destroy(s->redis);

    if (s->retry != NULL) {
        event_free(s->retry);
    }

    free(s->entries);
    free(s->fields);
    free(s);
}


void
redis_stream_pause(struct redis_stream *s)
{
    s->paused = true;
}


void
redis_stream_resume(struct redis_stream *s)
{
    s->paused = false;
    redis_stream_next(s);
}


void
redis_stream_rewind(struct redis_stream *s)
{
    s->rewind = !s->conf.noack;
}


int
redis_stream_ack(struct redis_stream *s, struct redis *r, redis_pt fn,
    void *data, const struct push_str *ids, size_t count)
{
    size_t           i;
    struct push_str  argv[REDIS_STREAM_ACKS + 3];

    if (count == 0 || count > REDIS_STREAM_ACKS) {
        return PUSH_DECLINED;
    }

    argv[0] = PUSH_STR("XACK");
    argv[1] = redis_stream_text(s->conf.stream);
    argv[2] = redis_stream_text(s->conf.group);

    for (i = 0; i < count; i++) {
        argv[3 + i] = ids[i];
    }

    return redis_command(r, fn, data, argv, count + 3);
}


struct push_str
redis_entry_field(const struct redis_entry *e, const char *name)
{
    size_t  i;

    for (i = 0; i < e->count; i++) {
        if (push_str_eq(e->fields[2 * i], redis_stream_text(name))) {
            return e->fields[2 * i + 1];
        }
    }

    return (struct push_str) { NULL, 0 };
}
