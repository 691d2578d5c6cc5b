/*
 * collector_reader: a stream of Redis that this collector reads, at its pace
 *
 *     push:ev:... --entries--> on_entries()
 *                   ^   | pause, wait
 *                   +---+ on_time(): read on, or wait again
 *
 * in:   one conf; pauses and waits
 * out:  on_entries(), on_time()
 * owns: the stream's reader and one timer
 *
 * All streams have the group "collector"; the consumer is this node.
 */

#ifndef COLLECTOR_READER_H
#define COLLECTOR_READER_H

#include "collector.h"
#include "redis.h"

struct event;

/* Borrowed; data goes to both functions. */
struct collector_reader_conf {
    const char       *name;         /* CLIENT SETNAME */
    const char       *stream;
    bool              noack;
    unsigned          batch;        /* entries of one read */
    unsigned          claim_ms;     /* 0: never: what dead collectors left */
    redis_entries_pt  on_entries;
    void            (*on_time)(void *data);
};

struct collector_reader {
    struct redis_stream                *stream;     /* NULL: closed */
    struct event                       *timer;
    const struct collector_reader_conf *conf;
    void                               *data;
    bool                                stopped;    /* reads no more */
};

/*
 * r is zeroed by the caller.  PUSH_OK; or PUSH_ERROR and a text, and r is to
 * be closed all the same.
 */
int collector_reader_open(struct collector_reader *r, struct collector *c,
    const struct collector_reader_conf *conf, void *data, char *error,
    size_t size);

/* Neither function is called after it.  Twice is fine. */
void collector_reader_close(struct collector_reader *r);

/* For good: resume does nothing any more.  on_time still comes. */
void collector_reader_stop(struct collector_reader *r);

/* Back-pressure: the read that is out may still bring one batch. */
void collector_reader_pause(struct collector_reader *r);
void collector_reader_resume(struct collector_reader *r);

/* on_time in so many ms, 0 or less: in the next turn; one at a time. */
void collector_reader_wait(struct collector_reader *r, int64_t ms);

#endif
