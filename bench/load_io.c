/*
 * load_io: sockets, files and figures of pushload
 *
 * in:   addresses, paths, moments.  out: sockets on the epoll, clients without
 *       connections, quantiles
 * owns: nothing
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SEND_BUFFER  (256 * 1024)

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
load_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

uint32_t
load_random(uint32_t below)
{
    return below == 0 ? 0 : (uint32_t) random() % below;
}

/* --- files --------------------------------------------------------------- */

void
load_address(char *text, struct sockaddr_in *to)
{
    char *colon = strchr(text, ':');

    to->sin_family = AF_INET;

    if (colon == NULL || (*colon++ = '\0', 0)
        || inet_pton(AF_INET, text, &to->sin_addr) != 1)
    {
        load_die("an address is IP:PORT");
    }

    to->sin_port = htons((uint16_t) atoi(colon));
}

void
load_read_tokens(struct load *l, const char *path)
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

void
load_read_key(struct load *l, const char *path)
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

/* --- sockets ------------------------------------------------------------- */

int
load_open(struct load *l, void *data)
{
    int                 fd, on = 1, size = SEND_BUFFER;
    struct epoll_event  ev = { .events = EPOLLIN | EPOLLOUT, .data.ptr = data };

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        load_die("socket: %s (raise the limit of open files)", strerror(errno));
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));

    if (l->from.sin_family == AF_INET) {
        /* the port is chosen with the peer known, so that it may be used for
           several peers */
        setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));

        if (bind(fd, (struct sockaddr *) &l->from, sizeof(l->from)) == -1) {
            load_die("bind: %s", strerror(errno));
        }
    }

    if (connect(fd, (struct sockaddr *) &l->to, sizeof(l->to)) == -1
        && errno != EINPROGRESS)
    {
        close(fd);
        return -1;
    }

    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) == -1) {
        load_die("epoll_ctl: %s", strerror(errno));
    }

    return fd;
}

void
load_opened(struct load *l, int fd, void *data)
{
    struct epoll_event ev = { .events = EPOLLIN, .data.ptr = data };

    epoll_ctl(l->epoll, EPOLL_CTL_MOD, fd, &ev);
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

/* --- figures ------------------------------------------------------------- */

void
load_samples_init(struct samples *s, size_t room)
{
    s->n = 0;
    s->room = room;
    s->us = calloc(room, sizeof(uint32_t));

    if (s->us == NULL) {
        load_die("out of memory");
    }
}

void
load_sample(struct samples *s, uint64_t due)
{
    uint64_t us = (load_now() - due) / 1000;

    if (s->n < s->room) {
        s->us[s->n++] = us > UINT32_MAX ? UINT32_MAX : (uint32_t) us;
    }
}

static int
by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}

void
load_sort(struct samples *s)
{
    qsort(s->us, s->n, sizeof(uint32_t), by_value);
}

uint32_t
load_quantile(const struct samples *s, double q)
{
    size_t i = (size_t) (q * (double) s->n);

    return s->n == 0 ? 0 : s->us[i < s->n ? i : s->n - 1];
}
