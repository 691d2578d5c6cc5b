/*
 * load_batch: publishers that lose nothing
 *
 *     due --> batch --POST--> answered, all lines 200 or 201 --> acked
 *               ^                |
 *               +---- again -----+  broke, 5xx, a line that is not stored
 *
 * in:   a rate, the time.  out: requests; what was stored of each user
 * owns: the connections and the bodies under way
 */

#include "load_batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUBLISHERS    8
#define LINES_MAX     200           /* messages a batch, no user twice */
#define LINE_SIZE    320
#define BODY_SIZE     (LINES_MAX * LINE_SIZE)
#define ANSWER_SIZE   (128 * 1024)
#define AGAIN_MS      100
#define ANSWER_MS     15000

enum phase { CLOSED, OPENING, FREE, SENT };

struct publisher {
    int          fd;
    enum phase   phase;
    uint64_t     due;               /* CLOSED: to connect; else: give up */
    uint64_t     next;              /* number of its next message */
    size_t       lines;             /* of the batch under way, 0: none */
    uint32_t     users[LINES_MAX];  /* CLIENT_MAX: `all` */
    char        *body;
    size_t       len;
    char        *answer;
    size_t       have;
};

struct load_batch {
    struct load       *load;
    struct publisher   publishers[PUBLISHERS];
    uint32_t           run;         /* random: keys of this run */
    uint64_t           rate;
    uint64_t           begin;       /* ns; message first is due then */
    uint64_t           first;
    uint64_t           end;         /* no message from here on */
    uint64_t           all_ns;      /* 0: none */
    uint64_t           all_due;
    uint64_t           all_made;
    uint64_t          *stored;      /* a user's */
    uint64_t           acked;
    uint64_t           acked_all;
    uint64_t           repeated;
};

struct load_batch *
load_batch_create(struct load *l)
{
    size_t              i;
    struct load_batch  *b = calloc(1, sizeof(*b));

    if (b == NULL || (b->stored = calloc(l->count, sizeof(uint64_t))) == NULL) {
        load_die("out of memory");
    }

    b->load = l;

    if (getrandom(&b->run, sizeof(b->run), 0) != sizeof(b->run)) {
        load_die("getrandom: %s", strerror(errno));
    }

    for (i = 0; i < PUBLISHERS; i++) {
        b->publishers[i].fd = -1;
        b->publishers[i].next = i < l->count ? i : UINT64_MAX;
        b->publishers[i].body = malloc(BODY_SIZE);
        b->publishers[i].answer = malloc(ANSWER_SIZE);

        if (b->publishers[i].body == NULL || b->publishers[i].answer == NULL) {
            load_die("out of memory");
        }
    }

    return b;
}

/* Message k goes to user k % count, and each user has one publisher. */
static uint64_t
publisher_of(const struct load_batch *b, uint64_t k)
{
    return k % b->load->count % PUBLISHERS;
}

static uint64_t
after(const struct load_batch *b, uint64_t k)
{
    uint64_t i = publisher_of(b, k), round = k / b->load->count;

    if (k % b->load->count + PUBLISHERS < b->load->count) {
        return k + PUBLISHERS;
    }

    return (round + 1) * b->load->count + i;
}

static uint64_t
due_of(const struct load_batch *b, uint64_t k)
{
    return b->begin + (k - b->first) * 1000000000 / b->rate;
}

void
load_batch_pace(struct load_batch *b, uint64_t rate, uint64_t count,
    uint64_t all_ms)
{
    size_t    i;
    uint64_t  first = 0, now = load_now();

    /* Numbers that some publisher has not reached yet are left out. */
    for (i = 0; i < PUBLISHERS && i < b->load->count; i++) {
        first = b->publishers[i].next > first ? b->publishers[i].next : first;
    }

    first = (first + b->load->count - 1) / b->load->count * b->load->count;

    for (i = 0; i < PUBLISHERS; i++) {
        b->publishers[i].next = i < b->load->count ? first + i : UINT64_MAX;
    }

    b->rate = rate;
    b->begin = now;
    b->first = first;
    b->end = rate == 0 ? first : count == 0 ? UINT64_MAX : first + count;
    b->all_ns = all_ms * MS;
    b->all_due = now + b->all_ns;
}

void
load_batch_stop(struct load_batch *b)
{
    if (b->end == UINT64_MAX) {
        load_batch_pace(b, 0, 0, 0);
    }
}

/* --- requests ------------------------------------------------------------ */

static void
again(struct load_batch *b, struct publisher *p, uint64_t now)
{
    if (p->phase == SENT) {
        b->repeated++;
    }

    close(p->fd);
    p->fd = -1;
    p->phase = CLOSED;
    p->due = now + AGAIN_MS * MS;
}

static void
add_line(struct load_batch *b, struct publisher *p, uint32_t user,
    uint64_t due)
{
    char            to[160];
    uint64_t        n;
    struct client  *c;

    if (user == CLIENT_MAX) {
        n = ++b->all_made;
        snprintf(to, sizeof(to), "\"all\":true");

    } else {
        c = &b->load->clients[user];
        n = ++c->published;
        snprintf(to, sizeof(to), "\"user\":\"%.128s\"", c->user);
    }

    p->len += (size_t) snprintf(p->body + p->len, BODY_SIZE - p->len,
        "{\"to\":{%s},\"data\":{\"t\":%llu,\"n\":%llu},"
        "\"key\":\"%08x.%u.%llu\"}\n", to, (unsigned long long) due,
        (unsigned long long) n, b->run, user, (unsigned long long) n);
    p->users[p->lines++] = user;
}

static void
send_batch(struct load_batch *b, struct publisher *p, uint64_t now)
{
    char  head[512];
    int   len;

    len = snprintf(head, sizeof(head),
        "POST /v1/messages/batch HTTP/1.1\r\nHost: localhost\r\n"
        "Authorization: Bearer %s\r\nContent-Length: %zu\r\n\r\n",
        b->load->key, p->len);

    p->have = 0;
    p->phase = SENT;
    p->due = now + ANSWER_MS * MS;

    if (!load_send(p->fd, head, (size_t) len)
        || !load_send(p->fd, p->body, p->len))
    {
        again(b, p, now);
    }
}

/* What is due of this publisher, each user at most once. */
static void
fill(struct load_batch *b, struct publisher *p, uint64_t now)
{
    uint64_t  k, first = p->next;

    if (p == b->publishers && b->all_ns != 0 && b->all_due <= now
        && b->rate != 0)
    {
        add_line(b, p, CLIENT_MAX, b->all_due);
        b->all_due += b->all_ns;
    }

    for (k = p->next; k < b->end && p->lines < LINES_MAX
                      && k < first + b->load->count
                      && due_of(b, k) <= now; k = after(b, k))
    {
        add_line(b, p, (uint32_t) (k % b->load->count), due_of(b, k));
    }

    p->next = k;
}

static void
publisher_tick(struct load_batch *b, struct publisher *p, uint64_t now)
{
    if (p->phase == CLOSED && p->due <= now) {
        p->fd = load_open(b->load, p);
        p->phase = OPENING;
        p->due = now + ANSWER_MS * MS;

        if (p->fd == -1) {
            p->phase = CLOSED;
            p->due = now + AGAIN_MS * MS;
        }

        return;
    }

    if (p->phase == FREE) {
        if (p->lines == 0) {
            p->len = 0;
            fill(b, p, now);
        }

        if (p->lines) {
            send_batch(b, p, now);
        }

        return;
    }

    if ((p->phase == SENT || p->phase == OPENING) && p->due <= now) {
        again(b, p, now);
    }
}

void
load_batch_tick(struct load_batch *b)
{
    size_t    i;
    uint64_t  now = load_now();

    for (i = 0; i < PUBLISHERS; i++) {
        publisher_tick(b, &b->publishers[i], now);
    }
}

/* --- answers ------------------------------------------------------------- */

/* Every line of the batch is stored. */
static bool
is_stored(const struct publisher *p, const char *body)
{
    size_t      n = 0;
    const char *line = body;

    while (line != NULL && *line != '\0') {
        if (strncmp(line, "{\"status\":201,", 14) != 0
            && strncmp(line, "{\"status\":200,", 14) != 0)
        {
            return false;
        }

        n++;
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }

    return n == p->lines;
}

static void
answered(struct load_batch *b, struct publisher *p, char *body)
{
    size_t    i;
    uint64_t  now = load_now();

    if (strncmp(p->answer, "HTTP/1.1 4", 10) == 0
        || strstr(body, "{\"status\":4") != NULL)
    {
        load_die("a batch was refused: %.300s", p->answer);
    }

    if (strncmp(p->answer, "HTTP/1.1 200 ", 13) != 0 || !is_stored(p, body)) {
        again(b, p, now);
        return;
    }

    for (i = 0; i < p->lines; i++) {
        b->acked++;

        if (p->users[i] == CLIENT_MAX) {
            b->acked_all++;

        } else {
            b->stored[p->users[i]]++;
        }
    }

    p->lines = 0;
    p->phase = FREE;

    if (strstr(p->answer, "\r\nConnection: close\r\n") != NULL) {
        close(p->fd);
        p->fd = -1;
        p->phase = CLOSED;
        p->due = now;
    }
}

bool
load_batch_owns(const struct load_batch *b, const void *data)
{
    const char *p = data;

    return p >= (const char *) b->publishers
           && p < (const char *) (b->publishers + PUBLISHERS);
}

void
load_batch_event(struct load_batch *b, void *data, uint32_t events)
{
    ssize_t            n;
    char              *body;
    uint64_t           len;
    struct publisher  *p = data;

    if (p->phase == OPENING && !(events & (EPOLLERR | EPOLLHUP))) {
        load_opened(b->load, p->fd, p);
        p->phase = FREE;
        return;
    }

    if (p->fd == -1) {
        return;
    }

    n = recv(p->fd, p->answer + p->have, ANSWER_SIZE - 1 - p->have, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        again(b, p, load_now());        /* the keys make it harmless */
        return;
    }

    p->have += (size_t) n;
    p->answer[p->have] = '\0';
    body = strstr(p->answer, "\r\n\r\n");

    if (body == NULL) {
        return;
    }

    body += 4;

    if (!load_number(p->answer, "Content-Length: ", &len)) {
        load_die("an answer without Content-Length: %.200s", p->answer);
    }

    if (p->have >= (size_t) (body - p->answer) + len) {
        answered(b, p, body);
    }
}

/* --- figures ------------------------------------------------------------- */

bool
load_batch_idle(const struct load_batch *b)
{
    size_t i;

    for (i = 0; i < PUBLISHERS; i++) {
        if (b->publishers[i].lines || b->publishers[i].next < b->end) {
            return false;
        }
    }

    return true;
}

void
load_batch_sum(const struct load_batch *b, struct load_batch_sum *sum)
{
    size_t    i;
    uint64_t  now = load_now(), due, late = 0;

    for (i = 0; i < PUBLISHERS; i++) {
        if (b->rate != 0 && b->publishers[i].next < b->end) {
            due = due_of(b, b->publishers[i].next);
            late = now > due && now - due > late ? now - due : late;
        }
    }

    sum->acked = b->acked;
    sum->acked_all = b->acked_all;
    sum->repeated = b->repeated;
    sum->late_ms = late / MS;
}

uint64_t
load_batch_acked(const struct load_batch *b, size_t user)
{
    return b->stored[user];
}
