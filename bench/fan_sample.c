/*
 * fan_sample: users that get unicast, and the dispatcher that posts it
 *
 * in:   a rate; lines: a period begins, or is asked for
 * out:  bodies; JSON of each period.  owns: the connection to push_deliver
 */

#include "fan.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX      200           /* items of a body */

/* --- the sample --------------------------------------------------------- */

struct post {
    int       fd;
    bool      busy;
    uint64_t  start;                /* ns; of the first message */
    uint64_t  due;                  /* messages that are due by now, */
    uint64_t  sent;                 /* of which so many were posted */
    uint64_t  posts;
    size_t    have;
    char      buffer[65536];
};

static size_t
post_items(struct post *p, const struct crowd *w, uint64_t every, char *text,
    size_t room)
{
    size_t   n;
    char     data[160];
    int      items, len;

    n = (size_t) snprintf(text, room, "epoch bench\n");

    for (items = 0; items < BODY_MAX && p->sent < p->due; items++) {
        len = snprintf(data, sizeof(data), "{\"data\":\"s%llu:%090d\"}",
                       (unsigned long long) (p->start + p->sent * every), 0);
        n += (size_t) snprintf(text + n, room - n,
                               "user %s%u 0 0 %d 8\n%s\n", w->prefix,
                               (unsigned) (p->sent % w->count), len, data);
        p->sent++;
    }

    return n;
}

static void
post_send(struct post *p, const struct crowd *w, uint64_t every,
    const char *secret)
{
    static char  body[BODY_MAX * 256], text[BODY_MAX * 256 + 512];
    size_t       n;
    int          len;

    n = post_items(p, w, every, body, sizeof(body));
    len = snprintf(text, sizeof(text),
        "POST /deliver HTTP/1.1\r\nHost: localhost\r\nPush-Secret: %s\r\n"
        "Content-Length: %zu\r\n\r\n%.*s", secret, n, (int) n, body);

    if (send(p->fd, text, (size_t) len, MSG_NOSIGNAL) != len) {
        die("cannot post: %s", strerror(errno));
    }

    p->busy = true;
    p->have = 0;
    p->posts++;
}

static void
post_read(struct post *p)
{
    char    *body, *length;
    ssize_t  n;

    n = recv(p->fd, p->buffer + p->have, sizeof(p->buffer) - 1 - p->have,
             MSG_DONTWAIT);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        die("the deliver connection has ended");
    }

    p->have += (size_t) n;
    p->buffer[p->have] = '\0';

    body = strstr(p->buffer, "\r\n\r\n");
    length = strstr(p->buffer, "Content-Length: ");

    if (body == NULL || length == NULL
        || p->have < (size_t) (body + 4 - p->buffer)
                     + strtoul(length + 16, NULL, 10))
    {
        return;
    }

    if (strncmp(p->buffer, "HTTP/1.1 200 ", 13) != 0) {
        die("a body was answered '%.*s'", 12, p->buffer);
    }

    p->busy = false;
}

static int
by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}

static void
sample_report(struct crowd *w, const struct post *p)
{
    size_t          n;
    uint32_t       *us;
    struct period  *period;

    printf("{\"sent\":%llu,\"posts\":%llu,\"faults\":%llu,\"periods\":[",
           (unsigned long long) p->sent, (unsigned long long) p->posts,
           (unsigned long long) w->faults);

    for (period = w->periods; period < w->periods + PERIODS; period++) {
        n = period->n;
        us = period->us;

        qsort(us, n, sizeof(*us), by_value);

        printf("%s{\"count\":%zu,\"50\":%u,\"99\":%u,\"max\":%u}",
               period == w->periods ? "" : ",", n, n ? us[n / 2] : 0,
               n ? us[n * 99 / 100] : 0, n ? us[n - 1] : 0);
    }

    say("]}");
}

/* Of each line its one character. */
static void
sample_lines(struct crowd *w, const struct post *p, const char *line,
    size_t len)
{
    for ( /* void */ ; len > 0; line++, len--) {
        if (*line == '?') {
            sample_report(w, p);

        } else if (*line >= '0' && *line < '0' + PERIODS) {
            w->period = (unsigned) (*line - '0');
        }
    }
}

void
sample_main(char **argv)
{
    char                line[16];
    int                 i, n;
    ssize_t             len;
    uint64_t            every;
    struct crowd        w = { .to = address(argv[0]), .prefix = "s" };
    struct sockaddr_in  to = address(argv[1]);
    struct post         p = { 0 };
    struct epoll_event  ev = { .events = EPOLLIN }, events[256];

    w.count = count_of(argv[3], PROCESS_MAX);
    every = 1000000000 / count_of(argv[4], 100000);

    for (i = 0; i < PERIODS; i++) {
        w.periods[i].us = malloc(SAMPLES_MAX * sizeof(uint32_t));
        if (w.periods[i].us == NULL) {
            die("out of memory");
        }
    }

    run_at(-20);
    crowd_connect(&w);

    p.fd = dial(&to, 0);
    ev.data.ptr = &p;
    epoll_ctl(w.epoll, EPOLL_CTL_ADD, p.fd, &ev);
    ev.data.ptr = NULL;
    epoll_ctl(w.epoll, EPOLL_CTL_ADD, 0, &ev);

    say("ready");
    p.start = now_ns() + 1000000;

    for ( ;; ) {
        p.due = now_ns() > p.start ? (now_ns() - p.start) / every : 0;

        if (!p.busy && p.sent < p.due) {
            post_send(&p, &w, every, argv[2]);
        }

        n = epoll_wait(w.epoll, events, 256, 1);

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr == &p) {
                post_read(&p);

            } else if (events[i].data.ptr != NULL) {
                client_read(&w, events[i].data.ptr);

            } else {
                len = read(0, line, sizeof(line));
                if (len <= 0) {
                    return;
                }

                sample_lines(&w, &p, line, (size_t) len);
            }
        }
    }
}
