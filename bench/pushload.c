/*
 * pushload: many push.v1 clients and one publisher, to measure with
 *
 *     pushload idle IP:PORT TOKENS            connects one client a line, says
 *                                             "ready", stays until its input
 *                                             ends
 *     pushload rate IP:PORT TOKENS KEYS RATE SECONDS
 *                                             publishes to them at RATE a
 *                                             second; prints JSON
 *
 * in:   TOKENS: lines `user token`; KEYS: an API key file (`name:key`)
 * out:  latencies in microseconds, from the moment a message was due to the
 *       moment its client has read it; so a publisher that falls behind is
 *       seen in the figures
 * owns: all sockets; one thread, one epoll
 */

#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define GRACE_NS  UINT64_C(5000000000)  /* for the last messages */

void
load_die(const char *format, ...)
{
    va_list args;

    fputs("pushload: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

uint64_t
load_now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

static int
by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}

static uint32_t
quantile(const uint32_t *sorted, size_t n, double q)
{
    size_t i = (size_t) (q * (double) n);

    return n == 0 ? 0 : sorted[i < n ? i : n - 1];
}

/* --- files -------------------------------------------------------------- */

static void
read_tokens(struct load *l, const char *path)
{
    FILE   *f = fopen(path, "r");
    char   *line = NULL;
    size_t  size = 0;

    if (f == NULL) {
        load_die("%s: %s", path, strerror(errno));
    }

    l->clients = calloc(CLIENT_MAX, sizeof(struct client));
    if (l->clients == NULL) {
        load_die("out of memory");
    }

    while (getline(&line, &size, f) > 0) {
        char *user = strtok(line, " \n"), *token = strtok(NULL, " \n");

        if (token == NULL || l->count == CLIENT_MAX) {
            load_die("%s: line %zu: want 'user token', at most %d", path,
                l->count + 1, CLIENT_MAX);
        }

        l->clients[l->count].fd = -1;
        l->clients[l->count].user = strdup(user);
        l->clients[l->count++].token = strdup(token);
    }

    free(line);
    fclose(f);
}

static void
read_key(struct load *l, const char *path)
{
    FILE *f = fopen(path, "r");
    char  line[256];

    if (f == NULL || fgets(line, sizeof(line), f) == NULL
        || strchr(line, ':') == NULL)
    {
        load_die("%s: no line 'name:key'", path);
    }

    snprintf(l->key, sizeof(l->key), "%s", strchr(line, ':') + 1);
    l->key[strcspn(l->key, "\r\n")] = '\0';
    fclose(f);
}

/* --- sockets ------------------------------------------------------------ */

int
load_open(struct load *l, void *data, uint32_t events)
{
    int                 fd, one = 1;
    struct epoll_event  ev = { .events = events, .data.ptr = data };

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        load_die("socket: %s (raise the limit of open files)", strerror(errno));
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (connect(fd, (struct sockaddr *) &l->to, sizeof(l->to)) == -1
        && errno != EINPROGRESS)
    {
        load_die("connect: %s", strerror(errno));
    }

    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
        load_die("epoll_ctl: %s", strerror(errno));
    }

    return fd;
}

bool
load_send(int fd, const char *data, size_t len)
{
    return send(fd, data, len, MSG_NOSIGNAL) == (ssize_t) len;
}

bool
load_number(const char *text, const char *name, uint64_t *value)
{
    const char *p = strstr(text, name);

    if (p == NULL) {
        return false;
    }

    *value = strtoull(p + strlen(name), NULL, 10);

    return true;
}

void
load_sample(struct load *l, uint64_t due)
{
    uint64_t us = (load_now_ns() - due) / 1000;

    if (l->nsamples < l->room) {
        l->samples[l->nsamples++] = us > UINT32_MAX ? UINT32_MAX
                                                    : (uint32_t) us;
    }
}

/* --- publishers --------------------------------------------------------- */

static void
publish(struct load *l, struct publisher *p, uint64_t due)
{
    char  body[256], text[1024];
    int   len;

    len = snprintf(body, sizeof(body),
        "{\"to\":{\"user\":\"%s\"},\"data\":{\"t\":%llu,\"pad\":\"%0*d\"}}",
        l->clients[l->sent % l->count].user, (unsigned long long) due, 100, 0);
    len = snprintf(text, sizeof(text),
        "POST /v1/messages HTTP/1.1\r\nHost: localhost\r\n"
        "Authorization: Bearer %s\r\nContent-Length: %d\r\n\r\n%s",
        l->key, len, body);

    p->due = due;
    p->have = 0;
    l->sent++;

    if (!load_send(p->fd, text, (size_t) len)) {
        load_die("the publisher's connection broke: %s", strerror(errno));
    }
}

static void
publisher_read(struct load *l, struct publisher *p)
{
    ssize_t     n;
    char       *body;
    uint64_t    len;

    n = recv(p->fd, p->buffer + p->have, sizeof(p->buffer) - 1 - p->have, 0);

    if (n <= 0 && p->due == 0) {
        close(p->fd);                   /* the server had enough of it */
        p->fd = load_open(l, p, EPOLLIN);
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
        l->stored++;

    } else if (l->refused++ == 0) {
        fprintf(stderr, "pushload: %.*s\n", (int) (p->have < 300 ? p->have
                                                                 : 300),
                p->buffer);
    }

    p->due = 0;

    if (strstr(p->buffer, "\r\nConnection: close\r\n") != NULL) {
        close(p->fd);
        p->fd = load_open(l, p, EPOLLIN);
    }
}

/* --- the loop ----------------------------------------------------------- */

static bool
is_publisher(struct load *l, void *data)
{
    return (char *) data >= (char *) l->publishers
           && (char *) data < (char *) (l->publishers + PUBLISHERS);
}

static void
turn(struct load *l, int timeout_ms)
{
    int                 i, n;
    struct epoll_event  events[256];

    n = epoll_wait(l->epoll, events, 256, timeout_ms);

    for (i = 0; i < n; i++) {
        if (is_publisher(l, events[i].data.ptr)) {
            publisher_read(l, events[i].data.ptr);

        } else {
            load_client_event(l, events[i].data.ptr, events[i].events);
        }
    }
}

static void
connect_all(struct load *l)
{
    uint64_t until = load_now_ns() + UINT64_C(120000000000);

    while (l->ready + l->failed < l->count) {
        load_client_open(l);
        turn(l, 100);

        if (load_now_ns() > until) {
            load_die("%zu of %zu clients are ready after 120 s", l->ready,
                l->count);
        }
    }

    if (l->failed) {
        load_die("%zu clients failed", l->failed);
    }
}

static void
run_rate(struct load *l, uint64_t rate, uint64_t seconds)
{
    uint64_t  total = rate * seconds, begin, due, now, last;
    size_t    i;

    l->room = total;
    l->samples = calloc(total, sizeof(uint32_t));
    if (l->samples == NULL) {
        load_die("out of memory");
    }

    for (i = 0; i < PUBLISHERS; i++) {
        l->publishers[i].fd = load_open(l, &l->publishers[i], EPOLLIN);
    }

    begin = load_now_ns() + 100000000;
    last = begin;

    while (l->nsamples < total) {
        now = load_now_ns();

        for (i = 0; i < PUBLISHERS && l->sent < total; i++) {
            due = begin + l->sent * 1000000000 / rate;

            if (due > now) {
                break;
            }

            if (l->publishers[i].due == 0) {
                publish(l, &l->publishers[i], due);
                last = now;
            }
        }

        if (l->sent == total && now > last + GRACE_NS) {
            break;                          /* what is missing is lost */
        }

        turn(l, 1);
    }

    qsort(l->samples, l->nsamples, sizeof(uint32_t), by_value);
    printf("{\"sent\":%llu,\"stored\":%llu,\"refused\":%llu,\"received\":%zu,"
           "\"faults\":%llu,\"p50_us\":%u,\"p99_us\":%u,\"max_us\":%u}\n",
           (unsigned long long) l->sent, (unsigned long long) l->stored,
           (unsigned long long) l->refused, l->nsamples,
           (unsigned long long) l->faults,
           quantile(l->samples, l->nsamples, 0.50),
           quantile(l->samples, l->nsamples, 0.99),
           quantile(l->samples, l->nsamples, 1.0));
}

/* Whatever the clients hear is left unread: they are idle. */
static void
run_idle(void)
{
    char byte;

    printf("ready\n");
    fflush(stdout);

    while (read(STDIN_FILENO, &byte, 1) > 0) {
        /* until its end */
    }
}

int
main(int argc, char **argv)
{
    char          *colon;
    struct load    l = { 0 };
    struct rlimit  limit;

    if (!(argc == 4 && strcmp(argv[1], "idle") == 0)
        && !(argc == 7 && strcmp(argv[1], "rate") == 0))
    {
        load_die("usage: idle IP:PORT TOKENS | rate IP:PORT TOKENS KEYS RATE "
            "SECONDS");
    }

    colon = strchr(argv[2], ':');
    l.to.sin_family = AF_INET;

    if (colon == NULL || (*colon++ = '\0', 0)
        || inet_pton(AF_INET, argv[2], &l.to.sin_addr) != 1)
    {
        load_die("the address is IP:PORT");
    }

    l.to.sin_port = htons((uint16_t) atoi(colon));

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    read_tokens(&l, argv[3]);
    connect_all(&l);

    if (argc == 4) {
        run_idle();

    } else {
        read_key(&l, argv[4]);
        run_rate(&l, strtoull(argv[5], NULL, 10), strtoull(argv[6], NULL, 10));
    }

    return 0;
}
