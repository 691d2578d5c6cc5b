/*
 * load_steady: clients that come back, publishers that lose nothing, and
 * somebody who says what happens next
 *
 *     rate N [MS]     N messages a second from now on, and one to `all` each MS
 *     send N RATE     N messages, then no more
 *     storm MS        all connections end now, all come back within MS
 *     ready S         answers when all clients are connected and synced
 *     settle S        publishes no more; answers when all that was stored has
 *                     arrived
 *     report          answers a line of JSON
 *
 * in:   commands on the input, a line each; its end ends the program
 * out:  a line for each: "ok", "ready MS", "settled MS", "late ...", or JSON
 * owns: the command that is waited for
 */

#include "load_batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define SAMPLES    (8 * 1024 * 1024)
#define LINE_SIZE  256

enum wait { NOTHING, FOR_READY, FOR_SETTLED };

struct steady {
    struct load        *load;
    struct load_batch  *batch;
    enum wait           wait;
    uint64_t            since;      /* ns */
    uint64_t            until;
    char                line[LINE_SIZE];
    size_t              have;
    bool                ended;
};

static void
say(const char *what, uint64_t ms)
{
    printf("%s %llu\n", what, (unsigned long long) ms);
    fflush(stdout);
}

/* --- report -------------------------------------------------------------- */

static uint64_t
missing(const struct steady *s)
{
    size_t                 i;
    uint64_t               n = 0;
    struct client         *c;
    struct load_batch_sum  sum;

    load_batch_sum(s->batch, &sum);

    for (i = 0; i < s->load->count; i++) {
        c = &s->load->clients[i];
        n += load_track_missing(&c->logs[OWN], c->logs[OWN].base
                                              + load_batch_acked(s->batch, i));
        n += load_track_missing(&c->logs[ALL], c->logs[ALL].base
                                              + sum.acked_all);
    }

    return n;
}

static void
report(struct steady *s)
{
    size_t                 i;
    struct load           *l = s->load;
    struct load_batch_sum  sum;

    load_batch_sum(s->batch, &sum);
    load_sort(&l->samples);
    load_sort(&l->live);

    const struct { const char *name; uint64_t value; } rows[] = {
        { "clients", l->count },
        { "ready", l->ready },
        { "acked", sum.acked },
        { "acked_all", sum.acked_all },
        { "repeated", sum.repeated },
        { "late_ms", sum.late_ms },
        { "expected", sum.acked + sum.acked_all * (l->count - 1) },
        { "received", l->received - l->doubled },
        { "missing", missing(s) },
        { "doubled", l->doubled },
        { "reordered", l->reordered },
        { "gaps", l->gaps },
        { "foreign", l->foreign },
        { "voids", l->voids },
        { "opened", l->opened },
        { "reconnects", l->opened - (l->next < l->opened ? l->next
                                                         : l->opened) },
        { "restarts", l->restarts },
        { "refused", l->refused },
        { "lost", l->lost },
        { "closed", l->closed },
        { "p50_us", load_quantile(&l->samples, 0.50) },
        { "p99_us", load_quantile(&l->samples, 0.99) },
        { "max_us", load_quantile(&l->samples, 1.0) },
        { "live_p50_us", load_quantile(&l->live, 0.50) },
        { "live_p99_us", load_quantile(&l->live, 0.99) },
        { "live_max_us", load_quantile(&l->live, 1.0) },
    };

    for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        printf("%s\"%s\":%llu", i ? "," : "{", rows[i].name,
            (unsigned long long) rows[i].value);
    }

    printf("}\n");
    fflush(stdout);
}

/* --- commands ------------------------------------------------------------ */

static void
storm(struct steady *s, uint32_t ms)
{
    size_t i;

    s->load->opening_max = s->load->count;

    for (i = 0; i < s->load->next; i++) {
        load_client_drop(s->load, &s->load->clients[i], load_random(ms));
    }
}

static void
wait_for(struct steady *s, enum wait wait, unsigned long seconds)
{
    s->wait = wait;
    s->since = load_now();
    s->until = s->since + seconds * 1000 * MS;
}

static void
command(struct steady *s, const char *line)
{
    unsigned long a = 0, b = 0;

    if (s->wait != NOTHING) {
        load_die("'%s' before the answer to the last command", line);
    }

    if (sscanf(line, "rate %lu %lu", &a, &b) >= 1) {
        load_batch_pace(s->batch, a, 0, b);

    } else if (sscanf(line, "send %lu %lu", &a, &b) == 2 && a && b) {
        load_batch_pace(s->batch, b, a, 0);

    } else if (sscanf(line, "storm %lu", &a) == 1) {
        storm(s, (uint32_t) a);

    } else if (sscanf(line, "ready %lu", &a) == 1) {
        wait_for(s, FOR_READY, a);
        return;

    } else if (sscanf(line, "settle %lu", &a) == 1) {
        load_batch_stop(s->batch);
        wait_for(s, FOR_SETTLED, a);
        return;

    } else if (strcmp(line, "report") == 0) {
        report(s);
        return;

    } else {
        load_die("unknown command '%s'", line);
    }

    printf("ok\n");
    fflush(stdout);
}

static void
input(struct steady *s)
{
    char    *end;
    ssize_t  n;

    n = read(STDIN_FILENO, s->line + s->have, LINE_SIZE - 1 - s->have);

    if (n <= 0) {
        s->ended = true;
        return;
    }

    s->have += (size_t) n;

    while ((end = memchr(s->line, '\n', s->have)) != NULL) {
        *end = '\0';
        command(s, s->line);
        s->have -= (size_t) (end + 1 - s->line);
        memmove(s->line, end + 1, s->have);
    }
}

/* --- the loop ------------------------------------------------------------ */

static bool
is_settled(const struct steady *s)
{
    struct load_batch_sum  sum;
    const struct load     *l = s->load;

    load_batch_sum(s->batch, &sum);

    return l->ready == l->count && load_batch_idle(s->batch)
           && l->received - l->doubled
              >= sum.acked + sum.acked_all * (l->count - 1);
}

static void
look(struct steady *s)
{
    uint64_t  now = load_now(), ms = (now - s->since) / MS;
    bool      ready = s->load->ready == s->load->count;

    if (s->wait == FOR_READY && ready) {
        s->wait = NOTHING;
        say("ready", ms);

    } else if (s->wait == FOR_SETTLED && is_settled(s)) {
        s->wait = NOTHING;
        say("settled", ms);

    } else if (s->wait != NOTHING && now > s->until) {
        s->wait = NOTHING;
        say("late", ms);
    }
}

void
load_steady(struct load *l)
{
    int                 i, n;
    void               *p;
    struct steady       s = { .load = l, .batch = load_batch_create(l) };
    struct epoll_event  events[256],
                        in = { .events = EPOLLIN, .data.ptr = NULL };

    l->returns = true;
    load_samples_init(&l->samples, SAMPLES);
    load_samples_init(&l->live, SAMPLES);

    if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, STDIN_FILENO, &in) == -1) {
        load_die("commands come from a pipe: %s", strerror(errno));
    }

    while (!s.ended) {
        load_client_tick(l);
        load_batch_tick(s.batch);
        n = epoll_wait(l->epoll, events, 256, 1);

        for (i = 0; i < n; i++) {
            p = events[i].data.ptr;

            if (p == NULL) {
                input(&s);

            } else if (load_batch_owns(s.batch, p)) {
                load_batch_event(s.batch, p, events[i].events);

            } else {
                load_client_event(l, p, events[i].events);
            }
        }

        look(&s);
    }
}
