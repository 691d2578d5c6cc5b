/*
 * fan_client: handshakes, and the parser of what raw clients get
 *
 * in:   bytes of sockets.  out: counts, faults, microseconds of samples
 * owns: the sockets
 */

#include "fan.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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

#define OPENING_MAX   64            /* handshakes under way in a process */
#define NUMBER_END    32            /* in a payload the number ends before it */

void
die(const char *format, ...)
{
    va_list args;

    fputs("fanload: ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

struct sockaddr_in
address(const char *text)
{
    char                ip[64];
    const char         *colon = strchr(text, ':');
    struct sockaddr_in  to = { .sin_family = AF_INET };

    if (colon == NULL || (size_t) (colon - text) >= sizeof(ip)) {
        die("want IP:PORT, not '%s'", text);
    }

    memcpy(ip, text, (size_t) (colon - text));
    ip[colon - text] = '\0';
    to.sin_port = htons((uint16_t) atoi(colon + 1));

    if (inet_pton(AF_INET, ip, &to.sin_addr) != 1) {
        die("not an address: '%s'", text);
    }

    return to;
}

unsigned
count_of(const char *text, unsigned max)
{
    long n = strtol(text, NULL, 10);

    if (n < 1 || n > (long) max) {
        die("a number from 1 to %u, not '%s'", max, text);
    }

    return (unsigned) n;
}

void
say(const char *text)
{
    puts(text);
    fflush(stdout);
}

void
run_at(int nice)
{
    int  fd;

    setpriority(PRIO_PROCESS, 0, nice);

    if (setsid() == -1) {
        return;
    }

    fd = open("/proc/self/autogroup", O_WRONLY | O_CLOEXEC);
    if (fd != -1) {
        dprintf(fd, "%d", nice);
        close(fd);
    }
}

/* --- handshakes --------------------------------------------------------- */

/* Ports of one address do not suffice, and few that are free are found late:
   2,000 clients each from 127.1.1.1 and those that follow. */
int
dial(const struct sockaddr_in *to, unsigned user)
{
    int                 fd, one = 1;
    struct sockaddr_in  from = { .sin_family = AF_INET };

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        die("socket: %s (raise the limit of open files)", strerror(errno));
    }

    from.sin_addr.s_addr = htonl(0x7f010101 + user / 2000);
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (bind(fd, (struct sockaddr *) &from, sizeof(from)) == -1
        || (connect(fd, (const struct sockaddr *) to, sizeof(*to)) == -1
            && errno != EINPROGRESS))
    {
        die("connect: %s", strerror(errno));
    }

    return fd;
}

static void
client_handshake(struct crowd *w, struct client *c)
{
    int                 len;
    char                text[512];
    struct epoll_event  ev = { .events = EPOLLIN, .data.ptr = c };

    len = snprintf(text, sizeof(text),
        "GET /ws?user=%s%u HTTP/1.1\r\nHost: localhost\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        w->prefix, w->first + (unsigned) (c - w->clients));

    if (send(c->fd, text, (size_t) len, MSG_NOSIGNAL) != len) {
        die("cannot send a handshake: %s", strerror(errno));
    }

    epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

static void
client_upgraded(struct crowd *w, struct client *c)
{
    char     text[1024];
    char    *end;
    ssize_t  n, left;

    /* the head alone: what follows it is a frame */
    n = recv(c->fd, text, sizeof(text) - 1, MSG_PEEK);
    if (n <= 0) {
        die("a handshake was not answered: %s", strerror(errno));
    }

    text[n] = '\0';
    end = strstr(text, "\r\n\r\n");

    if (end == NULL) {
        return;
    }

    if (strncmp(text, "HTTP/1.1 101 ", 13) != 0) {
        die("a handshake was answered '%.*s'", 12, text);
    }

    left = end + 4 - text;
    if (recv(c->fd, text, (size_t) left, 0) != left) {
        die("recv: %s", strerror(errno));
    }

    c->open = true;
    w->opening--;
    w->ready++;
}

void
crowd_connect(struct crowd *w)
{
    int                 i, n;
    struct client      *c;
    struct epoll_event  ev, events[256];

    w->clients = calloc(w->count, sizeof(struct client));
    w->epoll = epoll_create1(EPOLL_CLOEXEC);

    if (w->clients == NULL || w->epoll == -1) {
        die("out of memory or descriptors");
    }

    while (w->ready < w->count) {

        while (w->next < w->count && w->opening < OPENING_MAX) {
            c = &w->clients[w->next];
            c->fd = dial(&w->to, w->first + w->next++);
            w->opening++;

            ev.events = EPOLLOUT;
            ev.data.ptr = c;
            epoll_ctl(w->epoll, EPOLL_CTL_ADD, c->fd, &ev);
        }

        n = epoll_wait(w->epoll, events, 256, 10000);
        if (n <= 0) {
            die("no handshake for 10 s");
        }

        for (i = 0; i < n; i++) {
            c = events[i].data.ptr;

            if (events[i].events & EPOLLOUT) {
                client_handshake(w, c);

            } else if (!c->open) {
                client_upgraded(w, c);
            }
        }
    }
}

/* --- frames ------------------------------------------------------------- */

static void
client_message(struct crowd *w, struct client *c)
{
    uint64_t       us;
    struct period *period = &w->periods[w->period];

    if (c->kind == 's' && period->us != NULL) {
        us = (now_ns() - c->number) / 1000;

        if (period->n < SAMPLES_MAX) {
            period->us[period->n++] = us > UINT32_MAX ? UINT32_MAX
                                                      : (uint32_t) us;
        }

        return;
    }

    if (c->kind != 'b' || c->number != c->last + 1) {
        w->faults++;
    }

    c->last = c->number;
    c->got++;
}

static void
client_head(struct client *c, unsigned char byte)
{
    c->head[c->have++] = byte;

    if (c->have == 1 && byte != 0x81) {
        die("a frame that is no message: 0x%02x", byte);
    }

    if (c->have == 2) {
        c->len = byte;
    }

    if (c->have == 4) {
        c->len = (uint32_t) c->head[2] << 8 | byte;
    }

    c->at = 0;
    c->number = 0;
    c->digits = true;
}

/* One byte of a payload: '"', kind, digits, ':'. */
static void
client_byte(struct client *c, char byte)
{
    if (c->at == 1) {
        c->kind = byte;

    } else if (c->at > 1 && c->digits) {
        c->digits = byte >= '0' && byte <= '9';
        c->number = c->digits ? c->number * 10 + (uint64_t) (byte - '0')
                              : c->number;
    }

    c->at++;
}

static void
client_bytes(struct crowd *w, struct client *c, const char *p, size_t n)
{
    size_t      skip;
    const char *end = p + n;

    while (p < end) {
        if (c->have < 2 || (c->head[1] == 126 && c->have < 4)) {
            client_head(c, (unsigned char) *p++);
            continue;
        }

        if (c->at < NUMBER_END) {
            client_byte(c, *p++);

        } else {
            skip = c->len - c->at;
            skip = skip < (size_t) (end - p) ? skip : (size_t) (end - p);
            p += skip;
            c->at += (uint32_t) skip;
        }

        if (c->at == c->len) {
            client_message(w, c);
            c->have = 0;
        }
    }
}

/* true: there may be more */
bool
client_read(struct crowd *w, struct client *c)
{
    char    buffer[16384];
    ssize_t n;

    n = recv(c->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

    if (n > 0) {
        client_bytes(w, c, buffer, (size_t) n);
        return n == (ssize_t) sizeof(buffer);
    }

    if (n == 0 || errno != EAGAIN) {
        die("a client was lost: %s", n ? strerror(errno) : "end of file");
    }

    return false;
}
