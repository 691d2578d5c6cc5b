/*
 * log: one line an event, key=value, on stderr
 *
 *     format --walk--> "key=" and one conversion at a time --escape--> line
 *
 * in:   format and arguments that the compiler has checked
 * out:  one write(2) a line
 * owns: the counts of repeats
 */

#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINE_MAX  8192

/* A line under way, and the value that grows in it. */
struct log_line {
    char   text[LOG_LINE_MAX];
    size_t len;
    char   value[LOG_VALUE_MAX + 1];
    size_t value_len;
    bool   in_value;
    bool   cut;             /* the value was longer */
};

const char *const log_level_words[] = {
    "error", "warn", "info", "debug", NULL
};

/* syslog's numbers, for journald. */
static const char log_priorities[] = { '3', '4', '6', '7' };


static bool
log_is_journal(void)
{
    const char         *s;
    struct stat         st;
    unsigned long long  dev, ino;

    /* systemd.exec(5): "<device>:<inode>" of what stderr is connected to */

    s = getenv("JOURNAL_STREAM");

    if (s == NULL || sscanf(s, "%llu:%llu", &dev, &ino) != 2
        || fstat(STDERR_FILENO, &st) != 0)
    {
        return false;
    }

    return st.st_dev == (dev_t) dev && st.st_ino == (ino_t) ino;
}


void
log_init(struct log *log, const char *daemon)
{
    memset(log, 0, sizeof(*log));

    log->fd = STDERR_FILENO;
    log->level = LOG_LEVEL_INFO;
    log->daemon = daemon;
    log->journal = log_is_journal();
    pthread_mutex_init(&log->lock, NULL);
}


void
log_deinit(struct log *log)
{
    log_flush(log);
    pthread_mutex_destroy(&log->lock);
}


static void
log_put(struct log_line *l, const char *s, size_t len)
{
    size_t  room;

    room = sizeof(l->text) - 1 - l->len;    /* the newline has its place */
    len = len < room ? len : room;

    memcpy(l->text + l->len, s, len);
    l->len += len;
}


static void
log_value(struct log_line *l, const char *s, size_t len)
{
    size_t  room;

    room = LOG_VALUE_MAX - l->value_len;

    if (len > room) {
        len = room;
        l->cut = true;
    }

    memcpy(l->value + l->value_len, s, len);
    l->value_len += len;
}


/* Ends a value: quoted where it must be, so that a line stays one line. */
static void
log_value_end(struct log_line *l)
{
    char           hex[5];
    bool           quote;
    size_t         i;
    unsigned char  c;

    if (!l->in_value) {
        return;
    }

    quote = l->value_len == 0 || l->cut;

    for (i = 0; i < l->value_len; i++) {
        c = (unsigned char) l->value[i];

        if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f) {
            quote = true;
            break;
        }
    }

    if (quote) {
        log_put(l, "\"", 1);
    }

    for (i = 0; i < l->value_len; i++) {
        c = (unsigned char) l->value[i];

        if (c == '"' || c == '\\') {
            log_put(l, "\\", 1);
            log_put(l, &l->value[i], 1);

        } else if (c < ' ' || c == 0x7f) {
            snprintf(hex, sizeof(hex), "\\x%02x", c);
            log_put(l, hex, 4);

        } else {
            log_put(l, &l->value[i], 1);
        }
    }

    if (l->cut) {
        log_put(l, "...", 3);
    }

    if (quote) {
        log_put(l, "\"", 1);
    }

    l->in_value = false;
    l->cut = false;
    l->value_len = 0;
}


/* Text of the format itself: "key=" or a part of a value. */
static void
log_literal(struct log_line *l, char c)
{
    if (c == ' ') {
        log_value_end(l);
        log_put(l, " ", 1);

    } else if (l->in_value) {
        log_value(l, &c, 1);

    } else {
        log_put(l, &c, 1);
        l->in_value = c == '=';
    }
}


/* "%-08.3lld": flags, width and precision, then the size, then the letter. */
struct log_conversion {
    char   format[24];          /* "%-08.3", and what is appended to it */
    size_t len;
    int    precision;           /* -1: none */
    char   size;                /* 0, 'l', 'L' (ll), 'z', 'j' */
};


static void
log_string(struct log_line *l, const char *s, int precision)
{
    size_t  len;

    if (s == NULL) {
        s = "-";
        precision = -1;
    }

    /* no byte behind what can be shown is touched, terminated or not */
    len = precision >= 0 ? strnlen(s, (size_t) precision)
                         : strnlen(s, LOG_VALUE_MAX + 1);
    log_value(l, s, len);
}


static intmax_t
log_signed(const struct log_conversion *c, va_list *ap)
{
    switch (c->size) {
    case 'l':
        return va_arg(*ap, long);
    case 'L':
        return va_arg(*ap, long long);
    case 'z':
        return va_arg(*ap, ssize_t);
    case 'j':
        return va_arg(*ap, intmax_t);
    default:
        return va_arg(*ap, int);
    }
}


static uintmax_t
log_unsigned(const struct log_conversion *c, va_list *ap)
{
    switch (c->size) {
    case 'l':
        return va_arg(*ap, unsigned long);
    case 'L':
        return va_arg(*ap, unsigned long long);
    case 'z':
        return va_arg(*ap, size_t);
    case 'j':
        return va_arg(*ap, uintmax_t);
    default:
        return va_arg(*ap, unsigned);
    }
}


/* From behind the '%' to the letter. */
static const char *
log_conversion_parse(struct log_conversion *c, const char *p, va_list *ap)
{
    c->format[0] = '%';
    c->len = 1;
    c->precision = -1;
    c->size = '\0';

    for ( ; *p != '\0' && strchr("-+#.*0123456789hlzj", *p) != NULL; p++) {

        if (*p == '*') {
            c->precision = va_arg(*ap, int);    /* only as in "%.*s" */

        } else if (*p == 'l' || *p == 'z' || *p == 'j') {
            c->size = c->size == 'l' ? 'L' : *p;

        } else if (*p != 'h' && c->len < sizeof(c->format) - 4) {
            c->format[c->len++] = *p;
        }

        if (*p == '.') {
            c->precision = atoi(p + 1);
        }
    }

    return p;
}


/*
 * One conversion, from its '%': va_list is given by address, so that the
 * caller's walk goes on behind the arguments that this one took.
 */
static const char *
log_conversion(struct log_line *l, const char *p, va_list *ap)
{
    char                   text[64];
    struct log_conversion  c;

    p = log_conversion_parse(&c, p + 1, ap);

    switch (*p) {

    case '\0':
        return p;

    case '%':
        log_literal(l, '%');
        return p + 1;

    case 's':
        log_string(l, va_arg(*ap, const char *), c.precision);
        return p + 1;

    case 'c':
        text[0] = (char) va_arg(*ap, int);
        log_value(l, text, 1);
        return p + 1;
    }

    if (*p != 'g') {
        c.format[c.len++] = 'j';
    }

    c.format[c.len++] = *p;
    c.format[c.len] = '\0';

    if (*p == 'g') {
        snprintf(text, sizeof(text), c.format, va_arg(*ap, double));

    } else if (*p == 'd' || *p == 'i') {
        snprintf(text, sizeof(text), c.format, log_signed(&c, ap));

    } else {
        snprintf(text, sizeof(text), c.format, log_unsigned(&c, ap));
    }

    log_value(l, text, strlen(text));

    return p + 1;
}


static void
log_head(const struct log *log, struct log_line *l, enum log_level level,
    const char *event)
{
    int              n;
    char             text[64];
    struct tm        tm;
    struct timespec  now;

    if (log->journal) {
        n = snprintf(text, sizeof(text), "<%c>", log_priorities[level]);
        log_put(l, text, (size_t) n);

    } else {
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        n = (int) strftime(text, sizeof(text), "time=%Y-%m-%dT%H:%M:%S", &tm);
        n += snprintf(text + n, sizeof(text) - (size_t) n, ".%03ldZ ",
                      now.tv_nsec / 1000000);
        log_put(l, text, (size_t) n);
    }

    log_put(l, "level=", 6);
    log_put(l, log_level_words[level], strlen(log_level_words[level]));
    log_put(l, " daemon=", 8);
    log_put(l, log->daemon, strlen(log->daemon));
    log_put(l, " event=", 7);
    log_put(l, event, strlen(event));
}


static void
log_out(const struct log *log, struct log_line *l)
{
    ssize_t  n;

    l->text[l->len++] = '\n';

    do {
        n = write(log->fd, l->text, l->len);
    } while (n < 0 && errno == EINTR);

    /* what cannot be logged is lost: nobody could be told */
}


static int64_t
log_second(void)
{
    struct timespec  now;

    clock_gettime(CLOCK_MONOTONIC, &now);

    return now.tv_sec;
}


/*
 * Counts a line of the event.  false: it is one too many.  *suppressed is what
 * has not been told since the last line.  A full table lets lines through.
 */
static bool
log_may(struct log *log, const char *event, unsigned *suppressed)
{
    bool                may;
    size_t              i;
    int64_t             second;
    struct log_repeat  *r, *place;

    place = NULL;
    *suppressed = 0;
    second = log_second();

    pthread_mutex_lock(&log->lock);

    for (i = 0; i < LOG_EVENTS; i++) {
        r = &log->repeats[i];

        if (r->event != NULL && strcmp(r->event, event) == 0) {
            place = r;
            break;
        }

        if (place == NULL
            && (r->event == NULL
                || (r->suppressed == 0 && r->second != second)))
        {
            place = r;
        }
    }

    if (place == NULL) {
        pthread_mutex_unlock(&log->lock);
        return true;
    }

    if (i == LOG_EVENTS) {
        *place = (struct log_repeat) { .event = event, .second = second };
    }

    if (place->second != second) {
        place->second = second;
        place->lines = 0;
        *suppressed = place->suppressed;
        place->suppressed = 0;
    }

    may = place->lines < LOG_BURST;

    if (may) {
        place->lines++;

    } else {
        place->suppressed++;
    }

    pthread_mutex_unlock(&log->lock);

    return may;
}


static void
log_suppressed(struct log_line *l, unsigned n)
{
    int   len;
    char  text[32];

    if (n > 0) {
        len = snprintf(text, sizeof(text), " suppressed=%u", n);
        log_put(l, text, (size_t) len);
    }
}


void
log_write(struct log *log, enum log_level level, const char *event,
    const char *format, ...)
{
    va_list          ap;
    unsigned         suppressed;
    const char      *p;
    struct log_line  l;

    if (level > log->level || !log_may(log, event, &suppressed)) {
        return;
    }

    l.len = 0;
    l.value_len = 0;
    l.in_value = false;
    l.cut = false;

    log_head(log, &l, level, event);

    if (*format != '\0') {
        log_put(&l, " ", 1);
    }

    va_start(ap, format);

    for (p = format; *p != '\0'; /* void */) {
        if (*p == '%') {
            p = log_conversion(&l, p, &ap);

        } else {
            log_literal(&l, *p++);
        }
    }

    va_end(ap);

    log_value_end(&l);
    log_suppressed(&l, suppressed);
    log_out(log, &l);
}


void
log_flush(struct log *log)
{
    size_t             i;
    int64_t            second;
    struct log_line    l;
    struct log_repeat  r;

    second = log_second();

    for (i = 0; i < LOG_EVENTS; i++) {
        pthread_mutex_lock(&log->lock);

        r = log->repeats[i];

        if (r.suppressed > 0 && r.second != second) {
            log->repeats[i].suppressed = 0;

        } else {
            r.suppressed = 0;
        }

        pthread_mutex_unlock(&log->lock);

        if (r.suppressed > 0) {
            l.len = 0;
            log_head(log, &l, LOG_LEVEL_WARN, r.event);
            log_suppressed(&l, r.suppressed);
            log_out(log, &l);
        }
    }
}
