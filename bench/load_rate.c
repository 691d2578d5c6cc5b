/*
 * load_rate: one message a request, at a rate; how long each takes
 *
 * in:   clients that are ready.  out: JSON: latencies from the moment a message
 *       was due, so a publisher that falls behind is seen in the figures
 * owns: the publishers' connections
 */

#include "load.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUBLISHERS  16              /* HTTP connections, a request on each */
#define GRACE_MS    5000            /* for the last messages */

struct publisher {
    int       fd;
    uint64_t  due;                  /* of the message under way, 0: free */
    size_t    have;
    char      buffer[BUFFER_SIZE];
};

struct rate {
    struct load       *load;
    struct publisher   publishers[PUBLISHERS];
    uint64_t           sent;
    uint64_t           stored;
    uint64_t           refused;
};

static void
publish(struct rate *r, struct publisher *p, uint64_t due)
{
    char  body[256], text[1024];
    int   len;

    len = snprintf(body, sizeof(body),
        "{\"to\":{\"user\":\"%s\"},\"data\":{\"t\":%llu,\"pad\":\"%0*d\"}}",
        r->load->clients[r->sent % r->load->count].user,
        (unsigned long long) due, 100, 0);
    len = snprintf(text, sizeof(text),
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
        "Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
        r->load->key, len, body);

    p->due = due;
    p->have = 0;
    r->sent++;

    if (!load_send(p->fd, text, (size_t) len)) {
        load_die("the publisher's connection broke: %s", strerror(errno));
    }
}

static void
publisher_open(struct rate *r, struct publisher *p)
{
    p->fd = load_open(r->load, p);

    if (p->fd == -1) {
        load_die("the publisher cannot connect");
    }
}

static void
publisher_event(struct rate *r, struct publisher *p)
{
    ssize_t     n;
    char       *body;
    uint64_t    len;

    n = recv(p->fd, p->buffer + p->have, sizeof(p->buffer) - 1 - p->have, 0);

    if (n == -1 && errno == EAGAIN) {
        load_opened(r->load, p->fd, p);
        return;
    }

    if (n <= 0 && p->due == 0) {
        close(p->fd);                   /* the server had enough of it */
        publisher_open(r, p);
        return;
    }

    if (n <= 0) {
        load_die("the publisher's connection broke inside a request");
    }

    p->have += (size_t) n;
    p->buffer[p->have] = '\0';
    body = strstr(p->buffer, "\r\n\r\n");

    if (body == NULL || !load_number(p->buffer, "Content-Length: ", &len)
        || p->have < (size_t) (body + 4 - p->buffer) + len)
    {
        return;
    }

    if (strncmp(p->buffer, "HTTP/1.1 201 ", 13) == 0) {
        r->stored++;

    } else if (r->refused++ == 0) {
        fprintf(stderr, "pushload: %.*s\n", (int) (p->have < 300 ? p->have
                                                                 : 300),
                p->buffer);
    }

    p->due = 0;

    if (strstr(p->buffer, "\r\nConnection: close\r\n") != NULL) {
        close(p->fd);
        publisher_open(r, p);
    }
}

static void
turn(struct rate *r)
{
    int                 i, n;
    struct epoll_event  events[256];

    load_client_tick(r->load);
    n = epoll_wait(r->load->epoll, events, 256, 1);

    for (i = 0; i < n; i++) {
        char *p = events[i].data.ptr;

        if (p >= (char *) r->publishers
            && p < (char *) (r->publishers + PUBLISHERS))
        {
            publisher_event(r, events[i].data.ptr);

        } else {
            load_client_event(r->load, events[i].data.ptr, events[i].events);
        }
    }
}

void
load_rate(struct load *l, uint64_t rate, uint64_t seconds)
{
    static struct rate  state;
    struct rate        *r = &state;
    struct samples     *s = &l->samples;
    uint64_t            total = rate * seconds, begin, due, now, last;
    size_t              i;

    r->load = l;
    load_samples_init(s, total);

    for (i = 0; i < PUBLISHERS; i++) {
        publisher_open(r, &r->publishers[i]);
    }

    begin = load_now() + 100 * MS;
    last = begin;

    while (s->n < total) {
        now = load_now();

        for (i = 0; i < PUBLISHERS && r->sent < total; i++) {
            due = begin + r->sent * 1000000000 / rate;

            if (due > now) {
                break;
            }

            if (r->publishers[i].due == 0) {
                publish(r, &r->publishers[i], due);
                last = now;
            }
        }

        if (r->sent == total && now > last + GRACE_MS * MS) {
            break;                          /* what is missing is lost */
        }

        turn(r);
    }

    load_sort(s);
    printf("{\"sent\":%llu,\"stored\":%llu,\"refused\":%llu,\"received\":%zu,"
           "\"faults\":%llu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
           (unsigned long long) r->sent, (unsigned long long) r->stored,
           (unsigned long long) r->refused, s->n,
           (unsigned long long) (l->gaps + l->doubled + l->reordered),
           load_quantile(s, 0.50), load_quantile(s, 0.99),
           load_quantile(s, 1.0));
}
