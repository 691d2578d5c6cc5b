/*
 * fanload: very many raw clients of one edge, which read slowly and check what
 * they get; and some that measure
 *
 *     fanload crowd IP:PORT COUNT        connects COUNT clients in processes
 *                                        of 18,000, says "ready"; from then on
 *                                        they read a few at a time, all of them
 *                                        within seconds; when its input ends it
 *                                        prints JSON: what they got
 *     fanload sample IP:PORT IP:DELIVER SECRET COUNT RATE
 *                                        connects COUNT clients, says "ready",
 *                                        posts RATE messages a second to them;
 *                                        at each line of input it prints JSON
 *                                        of the time since the last one
 *
 * A broadcast's data is "b<number>:...", counted from 1; a sample's is
 * "s<due in ns>:...".  Bodies are posted as a dispatcher
 * does: one at a time, what becomes due meanwhile goes into the next one.
 *
 * in:   an edge with push_user $arg_user, and its push_deliver location
 * out:  microseconds from the moment a message was due until it was read
 * owns: all sockets and child processes
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROCESS_MAX   18000         /* clients of a process */
#define OPENING_MAX   64            /* handshakes under way in a process */
#define BODY_MAX      200           /* items of a body */
#define BURST         32            /* clients that are read at a time, */
#define BURST_PAUSE_NS 2000000      /* with such a pause behind it */
#define SAMPLES_MAX   1000000
#define NUMBER_END    32            /* in a payload the number ends before it */

struct client {
    int       fd;
    bool      open;                 /* the 101 was read */
    bool      digits;               /* number is not at its end */
    unsigned char head[4];          /* of the frame under way */
    uint32_t  have;                 /* bytes of head */
    uint32_t  at;                   /* bytes of its payload so far, */
    uint32_t  len;                  /* of so many */
    char      kind;
    uint64_t  number;               /* in its data, so far */
    uint64_t  last;                 /* broadcast */
    uint64_t  got;                  /* broadcasts */
};

struct crowd {
    struct sockaddr_in  to;
    struct client      *clients;
    unsigned            count;
    unsigned            first;      /* number of the first one's user */
    const char         *prefix;     /* of users */
    int                 epoll;
    unsigned            next;       /* to be opened */
    unsigned            opening;
    unsigned            ready;
    uint64_t            faults;     /* not the broadcast that had to come */

    uint32_t           *samples;    /* microseconds; or NULL */
    size_t              nsamples;
};

struct report {
    uint64_t  clients;
    uint64_t  messages;
    uint64_t  least;                /* of a client */
    uint64_t  most;
    uint64_t  faults;
};

static void __attribute__((format(printf, 1, 2), noreturn))
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

static uint64_t
now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);

    return (uint64_t) t.tv_sec * 1000000000 + (uint64_t) t.tv_nsec;
}

static struct sockaddr_in
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

static unsigned
count_of(const char *text, unsigned max)
{
    long n = strtol(text, NULL, 10);

    if (n < 1 || n > (long) max) {
        die("a number from 1 to %u, not '%s'", max, text);
    }

    return (unsigned) n;
}

static void
say(const char *text)
{
    puts(text);
    fflush(stdout);
}

/* --- handshakes --------------------------------------------------------- */

/* Ports of one address do not suffice, and few that are free are found late:
   2,000 clients each from 127.1.1.1 and those that follow. */
static int
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

static void
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
    uint64_t us;

    if (c->kind == 's' && w->samples != NULL) {
        us = (now_ns() - c->number) / 1000;

        if (w->nsamples < SAMPLES_MAX) {
            w->samples[w->nsamples++] = us > UINT32_MAX ? UINT32_MAX
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
static bool
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

/* --- the crowd ---------------------------------------------------------- */

static void
crowd_sweep(struct crowd *w)
{
    unsigned        i;
    struct timespec pause = { .tv_nsec = BURST_PAUSE_NS };

    for (i = 0; i < w->count; i++) {
        while (client_read(w, &w->clients[i])) { /* void */ }

        if (i % BURST == 0) {
            nanosleep(&pause, NULL);
        }
    }
}

/* A child: says one byte when all are here, reads until its input ends. */
static void
crowd_child(struct crowd *w, int in, int out)
{
    char           byte = 'r';
    unsigned       i;
    struct report  r = { .least = UINT64_MAX };

    crowd_connect(w);

    /* nothing waits for their data: the edge pays for their sockets alone */
    close(w->epoll);

    if (write(out, &byte, 1) != 1) {
        exit(1);
    }

    while (recv(in, &byte, 1, MSG_DONTWAIT) == -1) {
        crowd_sweep(w);
    }

    crowd_sweep(w);

    for (i = 0; i < w->count; i++) {
        uint64_t got = w->clients[i].got;

        r.messages += got;
        r.least = got < r.least ? got : r.least;
        r.most = got > r.most ? got : r.most;
    }

    r.clients = w->count;
    r.faults = w->faults;

    exit(write(out, &r, sizeof(r)) != (ssize_t) sizeof(r));
}

static void
crowd_main(char **argv)
{
    int            sv[32][2];
    char           byte;
    unsigned       i, n, left, count = count_of(argv[1], 30 * PROCESS_MAX);
    struct crowd   w = { .to = address(argv[0]), .prefix = "c" };
    struct report  r, all = { .least = UINT64_MAX };

    n = (count + PROCESS_MAX - 1) / PROCESS_MAX;
    left = count;

    for (i = 0; i < n; i++) {
        w.count = (left + (n - i) - 1) / (n - i);

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv[i]) == -1) {
            die("socketpair: %s", strerror(errno));
        }

        if (fork() == 0) {
            unsigned other;

            for (other = 0; other <= i; other++) {
                close(sv[other][0]);
            }

            crowd_child(&w, sv[i][1], sv[i][1]);
        }

        close(sv[i][1]);
        w.first += w.count;
        left -= w.count;
    }

    for (i = 0; i < n; i++) {
        if (read(sv[i][0], &byte, 1) != 1) {
            die("a process of clients has failed");
        }
    }

    say("ready");

    while (read(0, &byte, 1) > 0) { /* void */ }

    for (i = 0; i < n; i++) {
        shutdown(sv[i][0], SHUT_WR);

        if (read(sv[i][0], &r, sizeof(r)) != (ssize_t) sizeof(r)) {
            die("a process of clients has failed");
        }

        all.clients += r.clients;
        all.messages += r.messages;
        all.faults += r.faults;
        all.least = r.least < all.least ? r.least : all.least;
        all.most = r.most > all.most ? r.most : all.most;
    }

    while (wait(NULL) > 0) { /* void */ }

    printf("{\"clients\":%llu,\"messages\":%llu,\"least\":%llu,\"most\":%llu,"
           "\"faults\":%llu}\n",
           (unsigned long long) all.clients, (unsigned long long) all.messages,
           (unsigned long long) all.least, (unsigned long long) all.most,
           (unsigned long long) all.faults);
}

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
    size_t    n = w->nsamples;
    uint32_t *s = w->samples;

    qsort(s, n, sizeof(*s), by_value);

    printf("{\"received\":%zu,\"p50\":%u,\"p99\":%u,\"max\":%u,\"sent\":%llu,"
           "\"posts\":%llu,\"faults\":%llu}\n",
           n, n ? s[n / 2] : 0, n ? s[n * 99 / 100] : 0, n ? s[n - 1] : 0,
           (unsigned long long) p->sent, (unsigned long long) p->posts,
           (unsigned long long) w->faults);
    fflush(stdout);
    w->nsamples = 0;
}

static void
sample_main(char **argv)
{
    char                line[16];
    int                 i, n;
    uint64_t            every;
    struct crowd        w = { .to = address(argv[0]), .prefix = "s" };
    struct sockaddr_in  to = address(argv[1]);
    struct post         p = { 0 };
    struct epoll_event  ev = { .events = EPOLLIN }, events[256];

    w.count = count_of(argv[3], PROCESS_MAX);
    every = 1000000000 / count_of(argv[4], 100000);
    w.samples = malloc(SAMPLES_MAX * sizeof(uint32_t));
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

            } else if (read(0, line, sizeof(line)) <= 0) {
                return;

            } else {
                sample_report(&w, &p);
            }
        }
    }
}

int
main(int argc, char **argv)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }

    if (argc == 4 && strcmp(argv[1], "crowd") == 0) {
        crowd_main(argv + 2);

    } else if (argc == 7 && strcmp(argv[1], "sample") == 0) {
        sample_main(argv + 2);

    } else {
        die("crowd IP:PORT COUNT | sample IP:PORT IP:DELIVER SECRET COUNT"
            " RATE");
    }

    return 0;
}
