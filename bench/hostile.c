/*
 * hostile: clients that behave, and clients that do not, to measure with
 *
 *     hostile honest PORT DELIVER SECRET COUNT RATE SECONDS
 *         COUNT connections that read, RATE messages a second to them by
 *         deliver; prints JSON: how many came, latencies in microseconds
 *     hostile attack PORT DELIVER SECRET COUNT
 *         all of the kinds below until its input ends, COUNT of them zero-window
 *         readers; says "ready" when all have connected; prints JSON: how each
 *         kind was closed, code by code
 *
 * PORT has the location /?user=NAME, DELIVER a push_deliver; 127.0.0.1.
 *
 * owns: all sockets; one thread, one epoll
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
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
#include <time.h>
#include <unistd.h>

#define NS          UINT64_C(1000000000)
#define CLIENTS     20000
#define CODES       8
#define POSTED      50              /* items of one POST of the flood */
#define FLOOD_LEN   4000

/*
 * X(NAME, how many, of COUNT / 100; bytes of one step; ms between steps;
 * reads; what a step sends)
 *
 * A kind that is closed comes again half a second later.
 */
#define KINDS(X)                                                              \
    X(honest,     0,      0,    0, true,  "")                                 \
    X(zero,       100,    0,    0, false, "")                                 \
    X(asker,      5,      0,    5, false, "\x81\x8f" "\0\0\0\0"               \
                                          "{\"type\":\"ping\"}")              \
    X(fragments,  5,      0,    5, true,  "\x00\x81" "\0\0\0\0" "x")          \
    X(pings,      5,      0,    5, true,  "\x89\x81" "\0\0\0\0" "p")          \
    X(dribble,    5,      1, 1000, true,  " ")                                \
    X(lengths,    5,      1,  100, true,  "\x81\xff\x7f\xff\xff\xff\xff\xff"  \
                                          "\xff\xff")                         \
    X(head,       5,      1, 1000, true,  "x")                                \
    X(silent,     5,      0,    0, true,  "")

enum kind {
#define X(name, share, step, ms, reads, text)  KIND_##name,
    KINDS(X)
#undef X
    KIND_COUNT
};

static const struct {
    const char  *name;
    unsigned     share;
    unsigned     step;              /* 0: many of text at once */
    unsigned     ms;
    bool         reads;
    const char  *text;
    size_t       len;
} kinds[] = {
#define X(name, share, step, ms, reads, text)                                 \
    { #name, share, step, ms, reads, text, sizeof(text) - 1 },
    KINDS(X)
#undef X
};

enum state {
    STATE_DOWN,                     /* connects again at due */
    STATE_HEAD,                     /* waits for the end of the 101 */
    STATE_OPEN
};

struct client {
    int         fd;
    enum kind   kind;
    enum state  state;
    unsigned    number;
    uint64_t    due;                /* of the next step */
    size_t      have;
    uint8_t     buffer[8192];       /* a frame that is not whole */
};

struct poster {                     /* one POST in flight */
    int     fd;
    bool    busy;
    size_t  have;
    char    buffer[65536];
};

struct world {
    int                 epoll;
    struct sockaddr_in  to, deliver;
    const char         *secret;
    struct client      *clients;
    size_t              count, open;
    struct poster       poster;
    uint64_t            sent, nsamples;
    uint32_t           *samples;
    size_t              room;
    uint64_t            opened[KIND_COUNT];
    struct {
        unsigned  code;
        uint64_t  n;
    } closed[KIND_COUNT][CODES];
};

static void
die(const char *format, ...)
{
    va_list args;

    fputs("hostile: ", stderr);
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

    return (uint64_t) t.tv_sec * NS + (uint64_t) t.tv_nsec;
}

/* --- sockets ------------------------------------------------------------ */

static int
connect_to(struct world *w, struct sockaddr_in *to, void *data, int rcvbuf)
{
    int                 fd, one = 1;
    struct epoll_event  ev = { .events = EPOLLIN, .data.ptr = data };

    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1) {
        die("socket: %s (raise the limit of open files)", strerror(errno));
    }

    if (rcvbuf) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
    }

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    if (connect(fd, (struct sockaddr *) to, sizeof(*to)) == -1) {
        die("connect: %s", strerror(errno));
    }

    if (fcntl(fd, F_SETFL, O_NONBLOCK) == -1
        || epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) == -1)
    {
        die("epoll_ctl: %s", strerror(errno));
    }

    return fd;
}

static void
client_open(struct world *w, struct client *c)
{
    int   len;
    char  text[512];
    bool  raw = c->kind == KIND_zero || c->number % 2;

    c->fd = connect_to(w, &w->to, c, kinds[c->kind].reads ? 0 : 1);
    c->have = 0;
    c->state = STATE_HEAD;
    c->due = now_ns();
    w->opened[c->kind]++;

    if (c->kind == KIND_silent) {
        c->state = STATE_OPEN;
        w->open++;
        return;
    }

    len = snprintf(text, sizeof(text),
        "GET /?user=%s%u HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n%s"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s",
        kinds[c->kind].name, c->number,
        raw ? "" : "Sec-WebSocket-Protocol: push.v1\r\n",
        c->kind == KIND_head ? "X-Long: " : "\r\n");

    if (send(c->fd, text, (size_t) len, MSG_NOSIGNAL) != len) {
        die("a handshake does not fit into its socket");
    }

    if (c->kind == KIND_head) {
        c->state = STATE_OPEN;
        w->open++;
    }
}

static void
client_closed(struct world *w, struct client *c, unsigned code)
{
    size_t i;

    for (i = 0; i < CODES - 1 && w->closed[c->kind][i].n
                && w->closed[c->kind][i].code != code; i++)
    {
        /* its row, or a free one */
    }

    w->closed[c->kind][i].code = code;
    w->closed[c->kind][i].n++;

    if (c->state == STATE_OPEN) {
        w->open--;
    }

    close(c->fd);
    c->state = STATE_DOWN;
    c->due = now_ns() + NS / 2;
}

/* --- what comes --------------------------------------------------------- */

static void
sample(struct world *w, const char *text)
{
    uint64_t     us;
    const char  *p = strstr(text, "\"t\":");

    if (p != NULL && w->nsamples < w->room) {
        us = (now_ns() - strtoull(p + 4, NULL, 10)) / 1000;
        w->samples[w->nsamples++] = us > UINT32_MAX ? UINT32_MAX
                                                    : (uint32_t) us;
    }
}

/* One frame out of the buffer; false: there is none. */
static bool
client_frame(struct world *w, struct client *c)
{
    size_t   len, at = 2;
    char     text[256];
    uint8_t *b = c->buffer;

    if (c->have < 4) {
        return false;
    }

    len = b[1];

    if (len == 126) {
        len = (size_t) b[2] << 8 | b[3];
        at = 4;
    }

    if (len > sizeof(c->buffer) - 4) {
        die("a frame of %zu bytes", len);
    }

    if (c->have < at + len) {
        return false;
    }

    if ((b[0] & 15) == 8) {
        client_closed(w, c, len >= 2 ? (unsigned) b[at] << 8 | b[at + 1]
                                     : 1005);
        return false;
    }

    if (c->kind == KIND_honest && len < sizeof(text)) {
        memcpy(text, b + at, len);
        text[len] = '\0';
        sample(w, text);
    }

    memmove(b, b + at + len, c->have - at - len);
    c->have -= at + len;

    return true;
}

static void
client_read(struct world *w, struct client *c, uint32_t events)
{
    char    *end;
    ssize_t  n;

    if (c->state == STATE_DOWN) {
        return;
    }

    if (c->state == STATE_OPEN && !kinds[c->kind].reads) {
        /* it hears nothing but the end, whatever waits for it before that */

        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            client_closed(w, c, 1006);
        }

        return;
    }

    n = recv(c->fd, c->buffer + c->have, sizeof(c->buffer) - 1 - c->have, 0);

    if (n == 0 || (n == -1 && errno != EAGAIN)) {
        client_closed(w, c, 1006);
        return;
    }

    if (n == -1) {
        return;
    }

    c->have += (size_t) n;
    c->buffer[c->have] = '\0';

    if (c->state == STATE_HEAD || c->kind == KIND_head) {
        end = strstr((char *) c->buffer, "\r\n\r\n");

        if (end == NULL) {
            return;
        }

        if (strncmp((char *) c->buffer, "HTTP/1.1 101", 12) != 0) {
            client_closed(w, c, (unsigned) atoi((char *) c->buffer + 9));
            return;
        }

        c->have -= (size_t) (end + 4 - (char *) c->buffer);
        memmove(c->buffer, end + 4, c->have);
        c->state = STATE_OPEN;
        w->open++;

        if (!kinds[c->kind].reads) {
            struct epoll_event ev = { .events = EPOLLRDHUP, .data.ptr = c };

            epoll_ctl(w->epoll, EPOLL_CTL_MOD, c->fd, &ev);
        }

        if (c->kind == KIND_honest && c->number % 2 == 0) {
            static const char hello[] =
                "\x81\x90" "\0\0\0\0" "{\"type\":\"hello\"}";

            if (send(c->fd, hello, sizeof(hello) - 1, MSG_NOSIGNAL) == -1) {
                die("hello: %s", strerror(errno));
            }
        }

        if (c->kind == KIND_fragments) {
            (void) send(c->fd, "\x01\x81\0\0\0\0x", 7, MSG_NOSIGNAL);
        }

        if (c->kind == KIND_dribble) {
            (void) send(c->fd, "\x81\xfe\x10\x00\0\0\0\0", 8, MSG_NOSIGNAL);
        }
    }

    while (c->state == STATE_OPEN && client_frame(w, c)) {
        /* one after the other */
    }
}

/* --- what goes ---------------------------------------------------------- */

static void
client_step(struct client *c)
{
    char    many[2400];
    size_t  i, len = kinds[c->kind].len;

    if (kinds[c->kind].step) {
        (void) send(c->fd, kinds[c->kind].text, len, MSG_NOSIGNAL);
        return;
    }

    for (i = 0; i + len <= sizeof(many) && i < 50 * len; i += len) {
        memcpy(many + i, kinds[c->kind].text, len);
    }

    (void) send(c->fd, many, i, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
post(struct world *w, const char *body, size_t len)
{
    int   n;
    char  head[512];

    n = snprintf(head, sizeof(head),
        "POST /deliver HTTP/1.1\r\nHost: x\r\nPush-Secret: %s\r\n"
        "Content-Length: %zu\r\n\r\n", w->secret, len);

    struct iovec   iov[2] = { { head, (size_t) n }, { (char *) body, len } };
    struct msghdr  msg = { .msg_iov = iov, .msg_iovlen = 2 };
    size_t         left = (size_t) n + len;
    ssize_t        sent;

    w->poster.busy = true;
    w->poster.have = 0;

    while (left) {
        sent = sendmsg(w->poster.fd, &msg, MSG_NOSIGNAL);

        if (sent == -1 && errno != EAGAIN) {
            die("deliver: %s", strerror(errno));
        }

        if (sent > 0) {
            left -= (size_t) sent;

            while (sent > 0) {
                size_t take = (size_t) sent < msg.msg_iov->iov_len
                              ? (size_t) sent : msg.msg_iov->iov_len;

                msg.msg_iov->iov_base = (char *) msg.msg_iov->iov_base + take;
                msg.msg_iov->iov_len -= take;
                sent -= (ssize_t) take;

                if (msg.msg_iov->iov_len == 0 && msg.msg_iovlen > 1) {
                    msg.msg_iov++;
                    msg.msg_iovlen--;
                }
            }
        }
    }
}

static void
poster_read(struct world *w)
{
    ssize_t         n;
    char           *body, *p;
    struct poster  *o = &w->poster;

    n = recv(o->fd, o->buffer + o->have, sizeof(o->buffer) - 1 - o->have, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0 && !o->busy) {
        close(o->fd);
        o->fd = connect_to(w, &w->deliver, o, 0);
        return;
    }

    if (n <= 0) {
        die("deliver: the connection broke");
    }

    o->have += (size_t) n;
    o->buffer[o->have] = '\0';
    body = strstr(o->buffer, "\r\n\r\n");
    p = strstr(o->buffer, "Content-Length: ");

    if (body == NULL || p == NULL
        || o->have < (size_t) (body + 4 - o->buffer)
                     + strtoull(p + 16, NULL, 10))
    {
        return;
    }

    if (strncmp(o->buffer, "HTTP/1.1 200 ", 13) != 0) {
        die("deliver: %.60s", o->buffer);
    }

    o->busy = false;

    if (strstr(o->buffer, "\r\nConnection: close\r\n") != NULL) {
        close(o->fd);
        o->fd = connect_to(w, &w->deliver, o, 0);
    }
}

/* The next messages of the flood: unicast, and one to all now and then. */
static void
flood(struct world *w, size_t zero)
{
    static char      body[POSTED * (FLOOD_LEN + 200)];
    static unsigned  next, posts;
    int              i, n = snprintf(body, sizeof(body), "epoch e1\n");

    for (i = 0; i < POSTED; i++) {
        int len = FLOOD_LEN;

        if (i == 0 && posts++ % 10 == 0) {
            n += snprintf(body + n, sizeof(body) - (size_t) n,
                "all 0 0 %d 8\n{\"data\":\"%0*d\"}\n", len, len - 11, 0);
        } else {
            n += snprintf(body + n, sizeof(body) - (size_t) n,
                "user zero%u 0 0 %d 8\n{\"data\":\"%0*d\"}\n",
                next++ % (unsigned) zero, len, len - 11, 0);
        }
    }

    post(w, body, (size_t) n);
}

/* --- the loop ----------------------------------------------------------- */

static void
turn(struct world *w, int timeout_ms)
{
    int                 i, n;
    struct epoll_event  events[256];

    n = epoll_wait(w->epoll, events, 256, timeout_ms);

    for (i = 0; i < n; i++) {
        if (events[i].data.ptr == &w->poster) {
            poster_read(w);

        } else if (events[i].data.ptr != w) {
            client_read(w, events[i].data.ptr, events[i].events);
        }
    }
}

static void
add(struct world *w, enum kind kind, unsigned count)
{
    unsigned i;

    for (i = 0; i < count; i++) {
        struct client *c = &w->clients[w->count];

        if (w->count++ == CLIENTS) {
            die("at most %d clients", CLIENTS);
        }

        c->kind = kind;
        c->number = i;
        client_open(w, c);

        if (i % 64 == 0) {
            turn(w, 0);
        }
    }
}

static int
by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}

static uint32_t
quantile(struct world *w, double q)
{
    size_t i = (size_t) (q * (double) w->nsamples);

    return w->nsamples ? w->samples[i < w->nsamples ? i : w->nsamples - 1] : 0;
}

static void
run_honest(struct world *w, unsigned count, uint64_t rate, uint64_t seconds)
{
    int       n;
    char      body[512], json[256];
    uint64_t  begin, due, total = rate * seconds;

    w->room = total;
    w->samples = calloc(total, sizeof(uint32_t));

    if (w->samples == NULL) {
        die("out of memory");
    }

    add(w, KIND_honest, count);

    while (w->open < count) {
        turn(w, 100);
    }

    begin = now_ns() + NS / 2;      /* hellos have been heard by then */

    while (w->nsamples < total && now_ns() < begin + (seconds + 10) * NS) {
        due = begin + w->sent * NS / rate;

        if (w->sent < total && !w->poster.busy && due <= now_ns()) {
            n = snprintf(json, sizeof(json),
                "{\"data\":{\"t\":%llu,\"pad\":\"%0*d\"}}",
                (unsigned long long) due, 100, 0);
            n = snprintf(body, sizeof(body),
                "epoch e1\nuser honest%u 0 0 %d 8\n%s\n",
                (unsigned) (w->sent++ % count), n, json);
            post(w, body, (size_t) n);
        }

        turn(w, 1);
    }

    qsort(w->samples, w->nsamples, sizeof(uint32_t), by_value);
    printf("{\"sent\":%llu,\"received\":%llu,\"open\":%zu,\"p50_us\":%u,"
           "\"p99_us\":%u,\"max_us\":%u}\n", (unsigned long long) w->sent,
           (unsigned long long) w->nsamples, w->open, quantile(w, 0.50),
           quantile(w, 0.99), quantile(w, 1.0));
}

static void
run_attack(struct world *w, unsigned count)
{
    size_t              i, k;
    uint64_t            now, flooded = 0;
    bool                said = false, ends = false;
    struct epoll_event  ev = { .events = EPOLLIN, .data.ptr = w };

    epoll_ctl(w->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &ev);
    fcntl(STDIN_FILENO, F_SETFL, O_NONBLOCK);

    for (k = 0; k < KIND_COUNT; k++) {
        add(w, (enum kind) k, count * kinds[k].share / 100);
    }

    while (!ends) {
        char byte;

        turn(w, 2);
        now = now_ns();

        if (!said) {
            for (i = 0; i < w->count && w->clients[i].state != STATE_HEAD;
                 i++)
            {
                /* all have an answer */
            }

            if (i == w->count) {
                said = true;
                printf("ready\n");
                fflush(stdout);
            }
        }

        for (i = 0; i < w->count; i++) {
            struct client *c = &w->clients[i];

            if (c->due > now) {
                continue;
            }

            if (c->state == STATE_DOWN) {
                client_open(w, c);

            } else if (c->state == STATE_OPEN && kinds[c->kind].ms) {
                client_step(c);
                c->due = now + kinds[c->kind].ms * UINT64_C(1000000);
            }
        }

        if (said && !w->poster.busy && now > flooded) {
            flood(w, count);
            flooded = now + NS / 50;
        }

        ends = read(STDIN_FILENO, &byte, 1) == 0;
    }

    putchar('{');

    for (k = 1; k < KIND_COUNT; k++) {
        printf("%s\"%s\":{\"opened\":%llu", k > 1 ? "," : "", kinds[k].name,
               (unsigned long long) w->opened[k]);

        for (i = 0; i < CODES && w->closed[k][i].n; i++) {
            printf(",\"%u\":%llu", w->closed[k][i].code,
                   (unsigned long long) w->closed[k][i].n);
        }

        putchar('}');
    }

    puts("}");
}

int
main(int argc, char **argv)
{
    struct world   w = { 0 };
    struct rlimit  limit;

    if (argc < 6 || (strcmp(argv[1], "honest") == 0 ? argc != 8 : argc != 6)) {
        die("usage: honest PORT DELIVER SECRET COUNT RATE SECONDS | "
            "attack PORT DELIVER SECRET COUNT");
    }

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);

    w.to.sin_family = w.deliver.sin_family = AF_INET;
    w.to.sin_addr.s_addr = w.deliver.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w.to.sin_port = htons((uint16_t) atoi(argv[2]));
    w.deliver.sin_port = htons((uint16_t) atoi(argv[3]));
    w.secret = argv[4];
    w.epoll = epoll_create1(EPOLL_CLOEXEC);
    w.clients = calloc(CLIENTS, sizeof(struct client));

    if (w.clients == NULL) {
        die("out of memory");
    }

    w.poster.fd = connect_to(&w, &w.deliver, &w.poster, 0);

    if (strcmp(argv[1], "honest") == 0) {
        run_honest(&w, (unsigned) atoi(argv[5]), strtoull(argv[6], NULL, 10),
            strtoull(argv[7], NULL, 10));
    } else {
        run_attack(&w, (unsigned) atoi(argv[5]));
    }

    return 0;
}
