/*
 * collector_reader: a stream of Redis that this collector reads, at its pace
 *
 * in:   conf, pauses.  out: entries, the timer's time.  owns: both
 */

#include "collector_reader.h"

#include <event2/event.h>
#include <stdio.h>
#include <string.h>

#define READER_GROUP  "collector"

static void reader_timer(evutil_socket_t fd, short what, void *data);


int
collector_reader_open(struct collector_reader *r, struct collector *c,
    const struct collector_reader_conf *conf, void *data, char *error,
    size_t size)
{
    struct redis_stream_conf  stream;

    r->conf = conf;
    r->data = data;

    r->timer = event_new(c->base, -1, 0, reader_timer, r);
    if (r->timer == NULL) {
        snprintf(error, size, "out of memory");
        return PUSH_ERROR;
    }

    memset(&stream, 0, sizeof(stream));
    stream.url = c->conf.redis;
    stream.name = conf->name;
    stream.stream = conf->stream;
    stream.group = READER_GROUP;
    stream.consumer = c->conf.node;
    stream.noack = conf->noack;
    stream.batch = conf->batch;
    stream.claim_ms = conf->claim_ms;
    stream.log = c->log;
    stream.on_entries = conf->on_entries;
    stream.data = data;

    r->stream = redis_stream_create(c->base, &stream);
    if (r->stream == NULL) {
        snprintf(error, size, "the reader of %s could not be made",
                 conf->stream);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


void
collector_reader_close(struct collector_reader *r)
{
    if (r->stream != NULL) {
        redis_stream_destroy(r->stream);
        r->stream = NULL;
    }

    if (r->timer != NULL) {
        event_free(r->timer);
        r->timer = NULL;
    }
}


void
collector_reader_stop(struct collector_reader *r)
{
    r->stopped = true;
    collector_reader_pause(r);
}


void
collector_reader_pause(struct collector_reader *r)
{
    redis_stream_pause(r->stream);
}


void
collector_reader_resume(struct collector_reader *r)
{
    if (!r->stopped) {
        redis_stream_resume(r->stream);
    }
}


void
collector_reader_wait(struct collector_reader *r, int64_t ms)
{
    struct timeval  tv = { 0, 0 };

    if (ms > 0) {
        tv.tv_sec = ms / 1000;
        tv.tv_usec = (ms % 1000) * 1000;
    }

    (void) event_add(r->timer, &tv);
}


static void
reader_timer(evutil_socket_t fd, short what, void *data)
{
    struct collector_reader  *r = data;

    (void) fd;
    (void) what;

    r->conf->on_time(r->data);
}
