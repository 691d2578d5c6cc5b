/*
 * collector_conns: what the edges say of connections that come and go
 *
 *     entries -> each: count, or close -> XACK of all that were handed on
 *
 * Nothing is kept here: what hand_over does not take now stays in Redis and is
 * read again.
 */

#include "collector_conns.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector_hand_over.h"
#include "collector_reader.h"
#include "collector_request.h"
#include "push_lines.h"

#define CONNS_BATCH     500         /* entries of one read */
#define CONNS_PACE_MS   20          /* between reads, unless it is busy */
#define CONNS_ROOM_MS   100         /* a full hand_over is asked again */
#define CONNS_CLAIM_MS  60000       /* what dead collectors have left */
#define CONNS_LINE_MAX  128         /* a close, with its text */

struct collector_conns {
    struct collector        *c;
    struct collector_reader  reader;
};

static void conns_entries(const struct redis_entry *entries, size_t count,
    void *data);
static int conns_entry(struct collector *c, const struct redis_entry *e);
static int conns_close(struct collector *c,
    const struct collector_event *event);
static void conns_wait(struct collector_conns *k, int64_t ms);
static void conns_time(void *data);

static const struct collector_reader_conf conns_reader = {
    .name = "push-collector-conns",
    .stream = "push:ev:conn",
    .batch = CONNS_BATCH,
    .claim_ms = CONNS_CLAIM_MS,
    .on_entries = conns_entries,
    .on_time = conns_time,
};


int
collector_conns_create(struct collector *c, char *error, size_t size)
{
    struct collector_conns  *k;

    k = calloc(1, sizeof(*k));
    if (k == NULL) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    k->c = c;
    c->conns = k;

    if (collector_reader_open(&k->reader, c, &conns_reader, k, error, size)
        != PUSH_OK)
    {
        collector_conns_destroy(c);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


void
collector_conns_stop(struct collector *c)
{
    collector_reader_stop(&c->conns->reader);
}


void
collector_conns_destroy(struct collector *c)
{
    struct collector_conns  *k = c->conns;

    if (k == NULL) {
        return;
    }

    collector_reader_close(&k->reader);
    free(k);
    c->conns = NULL;
}


/* A lost XACK: the entries come again. */
static void
conns_entries(const struct redis_entry *entries, size_t count, void *data)
{
    size_t                   i, n;
    struct push_str          ids[CONNS_BATCH];
    struct collector_conns  *k = data;

    for (i = n = 0; i < count && n < CONNS_BATCH; i++) {

        if (conns_entry(k->c, &entries[i]) != PUSH_OK) {
            break;
        }

        ids[n++] = entries[i].id;
    }

    if (n > 0) {
        (void) redis_stream_ack(k->reader.stream, k->c->redis, NULL, NULL,
                                ids, n);
    }

    if (i < count) {
        redis_stream_rewind(k->reader.stream);
        conns_wait(k, CONNS_ROOM_MS);

    } else if (count < CONNS_BATCH) {
        conns_wait(k, CONNS_PACE_MS);
    }
}


/* PUSH_OK: it is done with; PUSH_DECLINED: no room, it has to come again. */
static int
conns_entry(struct collector *c, const struct redis_entry *e)
{
    const char              *error;
    struct collector_event   event;

    if (e->count == 0) {
        return PUSH_OK;         /* read before, and trimmed since */
    }

    if (collector_event_parse(&event, e->fields, e->count, &error) != PUSH_OK)
    {
        metrics_add(&c->counters.conns_bad, 1);
        log_warn(c->log, "conn_bad", "entry=%.*s field=%s",
                 LOG_STR(e->id), error);
        return PUSH_OK;
    }

    switch (event.kind) {

    case EVENT_OPEN:
        metrics_add(&c->counters.conns_opened, 1);
        break;

    case EVENT_CLOSE:
        metrics_add(&c->counters.conns_closed, 1);
        break;

    case EVENT_REPLACE:

        if (conns_close(c, &event) != PUSH_OK) {
            return PUSH_DECLINED;
        }

        metrics_add(&c->counters.conns_replaced, 1);
        break;
    }

    return PUSH_OK;
}


/* By the user's log, behind the answers that are under way to him. */
static int
conns_close(struct collector *c, const struct collector_event *event)
{
    char                    key[PUSH_LOG_MAX], line[CONNS_LINE_MAX];
    size_t                  len;
    struct push_lines_item  item;

    memcpy(key, "user:", 5);
    memcpy(key + 5, event->uid.data, event->uid.len);

    memset(&item, 0, sizeof(item));
    item.verb = PUSH_LINES_CLOSE;
    item.id = event->id;
    item.code = push_close_code(PUSH_CLOSE_REPLACED);
    item.payload.data = push_close_text(PUSH_CLOSE_REPLACED);
    item.payload.len = strlen(item.payload.data);

    len = push_lines_write(line, sizeof(line), &item);

    if (collector_hand_over_answer(c,
            (struct push_str) { key, 5 + event->uid.len }, event->node,
            event->id.instance, (struct push_str) { line, len }, 1)
        != PUSH_OK)
    {
        return PUSH_DECLINED;
    }

    log_debug(c->log, "replace", "user=%.*s device=%.*s node=%.*s",
              LOG_STR(event->uid), LOG_STR(event->device),
              LOG_STR(event->node));

    return PUSH_OK;
}


static void
conns_wait(struct collector_conns *k, int64_t ms)
{
    collector_reader_pause(&k->reader);
    collector_reader_wait(&k->reader, ms);
}


static void
conns_time(void *data)
{
    struct collector_conns  *k = data;

    if (!collector_hand_over_room(k->c)) {
        conns_wait(k, CONNS_ROOM_MS);
        return;
    }

    collector_reader_resume(&k->reader);
}
