/*
 * publisher: a business that publishes, with keys, until it is told
 *
 * One message, or a batch of one log, is under way at a time.
 */

#include "publisher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"
#include "collector_append.h"
#include "daemons.h"
#include "http.h"
#include "net.h"

#define PUBLISHER_GIVE_UP_MS  15000
#define PUBLISHER_BATCH       60
#define PUBLISHER_LAST_MS     1500      /* before the faults end */
#define PUBLISHER_QUIET_MS    6000      /* user 0 is quiet from then */
#define PUBLISHER_AGAIN_MS    74000     /* and until then */

struct publisher {
    struct sim_event timer;
    struct sim_event timeout;
    unsigned         tries;         /* of requests, all of them */
    unsigned         log;
    unsigned         messages[PUBLISHER_BATCH];
    unsigned         ttls[PUBLISHER_BATCH];
    bool             done[PUBLISHER_BATCH];
    unsigned         count;
    int64_t          since_us;
    bool             calm;
};

/* One request; a late answer belongs to it, not to the next. */
struct publisher_try {
    struct publisher *p;
    unsigned          number;
    unsigned          collector;
    unsigned          messages[PUBLISHER_BATCH];
    unsigned          count;
    struct push_str   body;
    unsigned          status;
    unsigned          epoch;        /* of the answer: check_now() */
    struct push_str   reply;
    bool              batch;
    bool              aside;        /* in parallel, nobody waits for it */
};

static struct publisher  publishers[SIM_PUBLISHERS + 1];

static void publisher_next(void *data);
static void publisher_send(struct publisher *p, bool aside);
static void publisher_arrive(void *data);
static void publisher_replied(void *data, unsigned status,
    struct push_str body);
static void publisher_come(void *data);
static bool publisher_one(const struct publisher_try *t, const char *text,
    size_t len, unsigned message, unsigned status);
static void publisher_retry(void *data);
static unsigned publisher_ttl(unsigned log);
static unsigned publisher_log(void);


void
publisher_init(void)
{
    unsigned           i;
    struct publisher  *p;

    memset(publishers, 0, sizeof(publishers));

    for (i = 0; i < sim.mix.publishers; i++) {
        p = &publishers[i];
        p->timer.fn = publisher_next;
        p->timer.data = p;
        p->timeout.fn = publisher_retry;
        p->timeout.data = p;
        sim_at(&p->timer, MS(200) + sim_below(2000000));
    }
}


unsigned
publisher_calm(void)
{
    struct publisher  *p = &publishers[SIM_PUBLISHERS];

    if (p->timeout.place != 0) {
        return 0;                   /* the last one is still under way */
    }

    p->timeout.fn = publisher_retry;
    p->timeout.data = p;
    p->calm = true;
    p->log = publisher_log();
    p->count = 1;
    p->ttls[0] = 0;
    p->done[0] = false;
    p->messages[0] = check_invoke(p->log, 0);
    p->since_us = sim.now_us;
    publisher_send(p, false);

    return p->messages[0];
}


static void
publisher_next(void *data)
{
    unsigned           i;
    struct publisher  *p = data;

    if (sim.now_us > sim.mix.faults_us - MS(PUBLISHER_LAST_MS)) {
        return;                     /* what is last is what is easily lost */
    }

    p->log = publisher_log();
    p->count = 1;

    if (p->log == SIM_ALL && (sim.mix.faults >> FAULT_BURST & 1)
        && sim_chance(300))
    {
        p->count = 16 + sim_below(PUBLISHER_BATCH - 16);
    }

    for (i = 0; i < p->count; i++) {
        p->ttls[i] = p->count == 1 ? publisher_ttl(p->log) : 0;
        p->messages[i] = check_invoke(p->log, p->ttls[i]);
        p->done[i] = false;

        if (p->messages[i] == 0) {
            return;                 /* enough for this run */
        }
    }

    p->since_us = sim.now_us;
    publisher_send(p, false);

    if (sim_fault(FAULT_PARALLEL) && sim_chance(300)) {
        publisher_send(p, true);
    }
}


static unsigned
publisher_log(void)
{
    unsigned  log;

    log = sim_chance(250) ? SIM_ALL : sim_below(sim.mix.users);

    /* a log that is silent for long, so that all of it is collected */

    if ((sim.mix.faults >> FAULT_COLLECT & 1) && log == 0
        && sim.now_us > MS(PUBLISHER_QUIET_MS)
        && sim.now_us < MS(PUBLISHER_AGAIN_MS))
    {
        log = sim.mix.users - 1;
    }

    return log;
}


static unsigned
publisher_ttl(unsigned log)
{
    if (!(sim.mix.faults >> FAULT_COLLECT & 1)) {
        return 0;
    }

    return log == 0 ? 2 + sim_below(3) : sim_chance(100) ? 2 + sim_below(8)
                                                          : 0;
}


static void
publisher_send(struct publisher *p, bool aside)
{
    int                    n;
    char                   body[PUBLISHER_BATCH * 128], to[32];
    size_t                 len;
    unsigned               i;
    struct publisher_try  *t;

    t = sim_alloc(sizeof(*t));
    t->p = p;
    t->number = aside ? 0 : ++p->tries;
    t->aside = aside;
    t->batch = p->count > 1;
    t->collector = sim_below(sim.mix.collectors);
    len = 0;

    if (p->log == SIM_ALL) {
        snprintf(to, sizeof(to), "{\"all\":true}");

    } else {
        snprintf(to, sizeof(to), "{\"user\":\"u%u\"}", p->log);
    }

    for (i = 0; i < p->count; i++) {

        if (p->done[i]) {
            continue;
        }

        n = snprintf(body + len, sizeof(body) - len,
                     "{\"to\":%s,\"data\":%u,\"key\":\"k%u\"", to,
                     p->messages[i], p->messages[i]);
        len += (size_t) n;

        if (p->ttls[i] != 0) {
            n = snprintf(body + len, sizeof(body) - len, ",\"ttl\":%u",
                         p->ttls[i]);
            len += (size_t) n;
        }

        n = snprintf(body + len, sizeof(body) - len, "}\n");
        len += (size_t) n;
        t->messages[t->count++] = p->messages[i];
    }

    t->body = (struct push_str) { sim_copy(body, len), len };

    if (!aside) {
        sim_at(&p->timeout, sim.now_us + MS(3000) + sim_below(2000000));
    }

    if (!net_lost(PLACE_OUTSIDE, PLACE_COLLECTOR + t->collector)) {
        sim_after(net_delay(), publisher_arrive, t,
                  sim_proc(PLACE_COLLECTOR + t->collector));
    }
}


static void
publisher_arrive(void *data)
{
    struct sim_proc             *proc;
    struct publisher_try        *t = data;
    struct http_server_request  *r;

    proc = sim_proc(PLACE_COLLECTOR + t->collector);

    if (!proc->up) {
        publisher_replied(t, 0, PUSH_STR(""));
        return;
    }

    r = http_request(proc, t->body, publisher_replied, t);

    if (t->batch) {
        collector_append_batch(daemons_collector(t->collector), r);

    } else {
        collector_append_publish(daemons_collector(t->collector), r);
    }
}


static void
publisher_replied(void *data, unsigned status, struct push_str body)
{
    struct publisher_try  *t = data;

    t->status = status;
    t->epoch = check_now();
    t->reply = body;

    if (!net_lost(PLACE_COLLECTOR + t->collector, PLACE_OUTSIDE)) {
        sim_after(net_delay(), publisher_come, t, NULL);
    }
}


static void
publisher_come(void *data)
{
    bool                   all;
    const char            *line, *end, *next;
    unsigned               i, j, status;
    struct publisher      *p;
    struct publisher_try  *t = data;

    p = t->p;
    line = t->reply.data;
    end = line + t->reply.len;
    all = true;

    for (i = 0; i < t->count; i++) {
        next = memchr(line, '\n', (size_t) (end - line));
        next = next != NULL ? next : end;
        status = t->status;

        if (t->batch && status == 200) {
            status = line < end ? (unsigned) atoi(line + strlen("{\"status\":"))
                                : 0;
        }

        if (!publisher_one(t, line, (size_t) (next - line), t->messages[i],
                           status))
        {
            all = false;

        } else {
            for (j = 0; j < p->count; j++) {
                p->done[j] |= p->messages[j] == t->messages[i];
            }
        }

        line = next < end ? next + 1 : end;
    }

    if (t->aside || t->number != p->tries || p->timeout.place == 0) {
        return;
    }

    if (!all) {
        sim_at(&p->timeout, sim.now_us + MS(100) + sim_below(1000000));
        return;
    }

    sim_cancel(&p->timeout);

    if (!p->calm) {
        sim_at(&p->timer, sim.now_us + MS(100) + sim_below(900000));
    }
}


/* true: it is known to be stored. */
static bool
publisher_one(const struct publisher_try *t, const char *text, size_t len,
    unsigned message, unsigned status)
{
    const char  *seq;

    if (status == 200 || status == 201) {
        seq = memmem(text, len, "\"seq\":", 6);
        check_ok(message, atoll(seq + 6), t->epoch);
        return true;
    }

    if (status != 0 && status != 503) {
        check_fail("wrong-end", "message %u was answered %u", message,
                   status);
    }

    return false;
}


/* No answer, or not the one that was hoped for. */
static void
publisher_retry(void *data)
{
    struct publisher  *p = data;

    if (sim.phase == PHASE_FAULTS && !p->calm
        && sim.now_us - p->since_us > MS(PUBLISHER_GIVE_UP_MS))
    {
        sim_at(&p->timer, sim.now_us + sim_below(500000));
        return;
    }

    publisher_send(p, false);
}
