/*
 * redis: one pipelined connection, and readers of streams (hiredis, libevent)
 *
 *     redis         connect, AUTH, SELECT, SETNAME, INFO, TIME --> up
 *                   commands --one write a turn--> replies in order
 *                   2 s without a reply, or an error --> down, back-off, again
 *     redis_stream  XREADGROUP … BLOCK on a connection of its own --> entries
 *
 * in:   argument vectors.  out: each command's reply once, NULL: unknown
 * owns: the connections; replies during their callback
 */

#ifndef REDIS_H
#define REDIS_H

#include "log.h"
#include "push.h"

struct event_base;
struct redis;
struct redis_reply;
struct redis_stream;

#define REDIS_CONNECT_MS    2000    /* until up */
#define REDIS_REPLY_MS      2000    /* no reply at all for so long: down */
#define REDIS_BACKOFF_MS    50      /* doubled to the next, +- 50 % */
#define REDIS_BACKOFF_MAX_MS  5000
#define REDIS_CLOCK_MS      300000  /* TIME is asked again */
#define REDIS_IN_FLIGHT     10000   /* unanswered commands; more: declined */

struct redis_conf {
    const char *url;            /* redis://[[user]:password@]host[:port][/db],
                                   unix:/path; copied */
    const char *name;           /* CLIENT SETNAME; borrowed */
    struct log *log;
    unsigned    in_flight;      /* 0: REDIS_IN_FLIGHT */
    unsigned    reply_ms;       /* 0: REDIS_REPLY_MS */

    /* Up: commands are taken from now on.  Down: replies under way had NULL. */
    void      (*on_up)(void *data);     /* each may be NULL */
    void      (*on_down)(void *data);
    void       *data;
};

/* NULL: bad URL or out of memory.  Connects by itself, for ever. */
struct redis *redis_create(struct event_base *base,
    const struct redis_conf *conf);
/* Commands under way get NULL; hooks do not run.  Not from a callback. */
void redis_destroy(struct redis *r);

bool redis_is_up(const struct redis *r);
/* Of the server that we were last connected to; "" before the first. */
const char *redis_run_id(const struct redis *r);
/*
 * Redis' Unix ms, by our monotonic clock and its offset: whoever sets our wall
 * clock changes nothing here.
 */
int64_t redis_now_ms(const struct redis *r);
size_t redis_in_flight(const struct redis *r);

/* reply: borrowed for the call's time; NULL: lost, it may have been done. */
typedef void (*redis_pt)(const struct redis_reply *reply, void *data);

/*
 * Appends a command; arguments are copied.  PUSH_OK: fn (may be NULL) runs
 * exactly once, in order.  PUSH_DECLINED: down or too many under way, fn will
 * not run.
 */
int redis_command(struct redis *r, redis_pt fn, void *data,
    const struct push_str *argv, size_t argc);

/* redis_call(r, fn, data, PUSH_STR("GET"), key) */
#define redis_call(r, fn, data, ...)                                          \
    redis_command(r, fn, data, (struct push_str[]) { __VA_ARGS__ },           \
        sizeof((struct push_str[]) { __VA_ARGS__ }) / sizeof(struct push_str))

enum redis_type {
    REDIS_NIL,                  /* also of a NULL reply */
    REDIS_STRING,               /* bulk or status */
    REDIS_INTEGER,
    REDIS_ARRAY,
    REDIS_ERROR
};

enum redis_type redis_type(const struct redis_reply *reply);
/* Of REDIS_STRING and REDIS_ERROR; else empty. */
struct push_str redis_str(const struct redis_reply *reply);
/* Of REDIS_INTEGER; else 0. */
int64_t redis_int(const struct redis_reply *reply);
/* Of REDIS_ARRAY; else 0 and NULL. */
size_t redis_count(const struct redis_reply *reply);
const struct redis_reply *redis_at(const struct redis_reply *reply, size_t i);

/* For a conf_row's check. */
int redis_url_check(const char *value, char *error, size_t size);

/*
 * One entry of a stream: fields[2 i] is a name, fields[2 i + 1] its value.  One
 * that was pending and has been trimmed meanwhile has no fields: acknowledge
 * it.
 */
struct redis_entry {
    struct push_str        id;          /* "1700000000123-0" */
    const struct push_str *fields;
    size_t                 count;       /* of pairs */
};

/* The value of the first such name; data NULL: none. */
struct push_str redis_entry_field(const struct redis_entry *e,
    const char *name);

/* Borrowed for the call's time; may pause the stream. */
typedef void (*redis_entries_pt)(const struct redis_entry *entries,
    size_t count, void *data);

/*
 * A member of a consumer group.  The group is made with id 0 and MKSTREAM at
 * each connect, and again after NOGROUP (FLUSHALL).  With noack entries are
 * Redis' past once they are read.  Without, what this consumer's name has
 * pending is read again first after each connect, so an entry may come twice;
 * and what other consumers have left pending for claim_ms is claimed now and
 * then (XAUTOCLAIM, Redis 6.2).
 */
struct redis_stream_conf {
    const char       *url;          /* copied */
    const char       *name;         /* CLIENT SETNAME; these are borrowed */
    const char       *stream;
    const char       *group;
    const char       *consumer;
    bool              noack;
    unsigned          batch;        /* COUNT; 0: 100 */
    unsigned          block_ms;     /* 0: 1000 */
    unsigned          claim_ms;     /* 0: never */
    struct log       *log;
    redis_entries_pt  on_entries;
    void             *data;
};

/* NULL: bad URL or out of memory. */
struct redis_stream *redis_stream_create(struct event_base *base,
    const struct redis_stream_conf *conf);
void redis_stream_destroy(struct redis_stream *s);

/*
 * Back-pressure: no further read goes out until resume.  The read that is out
 * may still bring one batch.
 */
void redis_stream_pause(struct redis_stream *s);
void redis_stream_resume(struct redis_stream *s);

/*
 * The next read begins with what this consumer has pending, as after a
 * connect: for entries that could not be used when they came.  Not with noack.
 */
void redis_stream_rewind(struct redis_stream *s);

/*
 * XACK of up to 1000 ids, on an ordinary connection (this one is blocked in
 * its read).  As redis_command().
 */
int redis_stream_ack(struct redis_stream *s, struct redis *r, redis_pt fn,
    void *data, const struct push_str *ids, size_t count);

#endif
