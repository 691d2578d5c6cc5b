/*
 * log: one line an event, key=value, on stderr
 *
 *     log_info(log, "verify", "user=%s groups=%zu", uid, n)
 *         --> time=… level=info daemon=push-auth event=verify user=u42 groups=2
 *
 * in:   an event's name and a printf format whose spaces part the pairs
 * out:  one write(2) a line; under journald "<N>" in front and no time
 * owns: a small table that counts repeats
 *
 * The compiler checks the arguments.  Each value is cut at LOG_VALUE_MAX
 * bytes, control bytes and '"' are escaped, and it is quoted where it has a
 * space, '=' or is empty, so nothing that a peer sends makes a second line or
 * pair.  Never give it a token, a secret or a payload.
 */

#ifndef LOG_H
#define LOG_H

#include <pthread.h>

#include "push.h"

#define LOG_VALUE_MAX   256     /* bytes of a value before escaping */
#define LOG_BURST       100     /* lines of one event in one second */
#define LOG_EVENTS      64      /* events that are counted at a time */

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

/* Words of a configuration, in the order of enum log_level; NULL at the end. */
extern const char *const log_level_words[];

struct log_repeat {
    const char *event;          /* compared as text */
    int64_t     second;         /* monotonic; of the counted lines */
    unsigned    lines;
    unsigned    suppressed;     /* not yet told */
};

/* Fill with log_init(); level and fd may be set at any time by the loop. */
struct log {
    int               fd;
    enum log_level    level;    /* lines above it are not written */
    const char       *daemon;   /* borrowed */
    bool              journal;  /* stderr is journald's */
    pthread_mutex_t   lock;     /* of repeats */
    struct log_repeat repeats[LOG_EVENTS];
};

void log_init(struct log *log, const char *daemon);
void log_deinit(struct log *log);

/*
 * Writes one line, from any thread.  event is a literal.  format takes d i u
 * x c s g with h l ll z j, flags but the space, width and precision, "%.*s",
 * "%%"; a space in it ends a pair, so texts with spaces go through %s.  More
 * than LOG_BURST lines of one event in a second are counted only: the next
 * one has suppressed=<n>.
 */
void log_write(struct log *log, enum log_level level, const char *event,
    const char *format, ...) __attribute__((format(printf, 4, 5)));

#define log_error(log, ...)  log_write(log, LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(log, ...)   log_write(log, LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(log, ...)   log_write(log, LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(log, ...)                                                   \
    do {                                                                      \
        if ((log)->level >= LOG_LEVEL_DEBUG) {                                \
            log_write(log, LOG_LEVEL_DEBUG, __VA_ARGS__);                     \
        }                                                                     \
    } while (0)

/* The two arguments of "%.*s" for a struct push_str. */
#define LOG_STR(s)  (int) (s).len, (s).data

/* Says suppressed=<n> of events that have gone quiet.  Called each second. */
void log_flush(struct log *log);

#endif
