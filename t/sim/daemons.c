/*
 * daemons: the collectors and dispatchers of this run
 *
 * What collector_main.c and dispatcher_main.c do, less options, signals,
 * listening and metrics.
 */

#include "daemons.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector_append.h"
#include "collector_conns.h"
#include "collector_cursors.h"
#include "collector_hand_over.h"
#include "collector_resync.h"
#include "dispatcher_nodes.h"
#include "dispatcher_send.h"
#include "http.h"
#include "redis.h"
#include "store_model.h"

#define DAEMONS_TIGHT_BYTES  14000      /* of hand-over: one full answer */

struct daemons_collector {
    struct sim_proc   proc;
    struct collector *c;
    char              node[8];
    bool              crashed;
};

struct daemons_dispatcher {
    struct sim_proc    proc;
    struct dispatcher *d;
};

static struct daemons_collector   daemons_c[SIM_COLLECTORS];
static struct daemons_dispatcher  daemons_d[SIM_DISPATCHERS];
static struct sim_proc            daemons_others[PLACE_COLLECTOR];

static void daemons_start_collector(unsigned i);
static void daemons_start_dispatcher(unsigned i);
static void daemons_kill_collector(unsigned i);
static void daemons_kill_dispatcher(unsigned i);


void
daemons_init(void)
{
    unsigned  i;

    memset(daemons_c, 0, sizeof(daemons_c));
    memset(daemons_d, 0, sizeof(daemons_d));
    memset(daemons_others, 0, sizeof(daemons_others));

    for (i = 0; i < PLACE_COUNT; i++) {
        sim_proc(i)->place = i;
        snprintf(sim_proc(i)->name, sizeof(sim_proc(i)->name), "%s%u",
                 i < PLACE_EDGE ? "place" : i < PLACE_COLLECTOR ? "edge"
                 : i < PLACE_DISPATCHER ? "collector" : "dispatcher",
                 i < PLACE_EDGE ? i : i < PLACE_COLLECTOR ? i - PLACE_EDGE
                 : i < PLACE_DISPATCHER ? i - PLACE_COLLECTOR
                 : i - PLACE_DISPATCHER);
    }

    for (i = 0; i < sim.mix.dispatchers; i++) {
        daemons_start_dispatcher(i);
    }

    for (i = 0; i < sim.mix.collectors; i++) {
        daemons_start_collector(i);
    }
}


void
daemons_start(unsigned place)
{
    if (place >= PLACE_DISPATCHER) {
        daemons_start_dispatcher(place - PLACE_DISPATCHER);

    } else {
        daemons_start_collector(place - PLACE_COLLECTOR);
    }
}


void
daemons_kill(unsigned place)
{
    sim_trace("kill -9 %s", sim_proc(place)->name);

    sim_proc(place)->up = false;
    sim_proc(place)->thaw_us = 0;
    http_killed(sim_proc(place));

    if (place >= PLACE_DISPATCHER) {
        daemons_kill_dispatcher(place - PLACE_DISPATCHER);

    } else {
        daemons_kill_collector(place - PLACE_COLLECTOR);
    }
}


void
daemons_end(void)
{
    unsigned  i;

    for (i = PLACE_COLLECTOR; i < PLACE_COUNT; i++) {
        if (sim_proc(i)->up) {
            daemons_kill(i);
        }
    }
}


struct collector *
daemons_collector(unsigned i)
{
    return daemons_c[i].c;
}


struct dispatcher *
daemons_dispatcher(unsigned i)
{
    return daemons_d[i].d;
}


bool
daemons_crashed(const char *node)
{
    return daemons_c[node[1] - '0'].crashed;
}


struct sim_proc *
sim_proc(unsigned place)
{
    return place >= PLACE_DISPATCHER
           ? &daemons_d[place - PLACE_DISPATCHER].proc
           : place >= PLACE_COLLECTOR ? &daemons_c[place - PLACE_COLLECTOR].proc
           : &daemons_others[place];
}


struct push_str
daemons_log(unsigned log)
{
    static const char *const names[] = {
        "user:u0", "user:u1", "user:u2", "user:u3"
    };

    return log == SIM_ALL ? PUSH_STR("all")
                          : (struct push_str) { names[log], 7 };
}


static void
daemons_failed(const char *what, const char *error)
{
    fprintf(stderr, "sim: %s: %s\n", what, error);
    exit(2);
}


static void
daemons_start_collector(unsigned i)
{
    char                       error[256] = "";
    struct collector          *c;
    struct redis_conf          redis;
    struct store_conf          store;
    struct daemons_collector  *p = &daemons_c[i];

    static char *dispatchers[] = { "http://d0", "http://d1" };

    sim_trace("start %s", p->proc.name);

    c = calloc(1, sizeof(*c));
    if (c == NULL) {
        daemons_failed("collector", "out of memory");
    }

    p->c = c;
    p->proc.up = true;
    snprintf(p->node, sizeof(p->node), "c%u", i);

    c->base = (struct event_base *) &p->proc;
    c->log = &c->daemon.log;
    c->daemon.base = c->base;
    c->daemon.log.daemon = p->proc.name;

    c->conf.node = p->node;
    c->conf.redis = "redis:";
    c->conf.store = "sqlite:model";       /* the mix decides what it is */
    c->conf.secret_file = "secret";
    c->conf.dispatchers.items = dispatchers;
    c->conf.dispatchers.count = sim.mix.dispatchers;
    c->conf.queue_messages = 10000;
    c->conf.queue_bytes = 16 * 1024 * 1024;
    c->conf.hand_over_bytes = sim.mix.faults >> FAULT_TIGHT & 1
                              ? DAEMONS_TIGHT_BYTES : 16 * 1024 * 1024;

    memset(&store, 0, sizeof(store));
    store.url = c->conf.store;
    store.node = c->conf.node;

    memset(&redis, 0, sizeof(redis));
    redis.url = c->conf.redis;
    redis.name = p->proc.name;
    redis.log = c->log;

    store_model_opener(&p->proc);
    c->metrics = metrics_create();
    c->redis = redis_create(c->base, &redis);
    c->client = http_client_create(c->base, c->log, NULL);

    if (c->metrics == NULL
        || store_open(&c->store, &store, error, sizeof(error)) != PUSH_OK
        || collector_hand_over_create(c, error, sizeof(error)) != PUSH_OK
        || collector_cursors_create(c, error, sizeof(error)) != PUSH_OK
        || collector_resync_create(c, error, sizeof(error)) != PUSH_OK
        || collector_conns_create(c, error, sizeof(error)) != PUSH_OK
        || collector_append_create(c, error, sizeof(error)) != PUSH_OK)
    {
        daemons_failed(p->proc.name, error);
    }
}


/* Nothing goes out: the process is not up. */
static void
daemons_kill_collector(unsigned i)
{
    struct collector          *c;
    struct daemons_collector  *p = &daemons_c[i];

    c = p->c;
    p->crashed = true;

    collector_conns_destroy(c);
    collector_resync_destroy(c);
    collector_cursors_destroy(c);
    collector_hand_over_destroy(c);
    store_close(c->store);
    collector_append_destroy(c);
    http_client_destroy(c->client);
    redis_destroy(c->redis);
    metrics_destroy(c->metrics);
    free(c);

    p->c = NULL;
}


static void
daemons_start_dispatcher(unsigned i)
{
    struct dispatcher          *d;
    struct redis_conf           redis;
    struct daemons_dispatcher  *p = &daemons_d[i];

    sim_trace("start %s", p->proc.name);

    d = calloc(1, sizeof(*d));
    if (d == NULL) {
        daemons_failed("dispatcher", "out of memory");
    }

    p->d = d;
    p->proc.up = true;
    d->daemon.base = (struct event_base *) &p->proc;
    d->daemon.log.daemon = p->proc.name;
    d->conf.queue_bytes = 64 * 1024 * 1024;
    d->conf.node_queue_bytes = 4 * 1024 * 1024;
    d->conf.forget_nodes_ms = 3600 * 1000;

    memset(&redis, 0, sizeof(redis));
    redis.on_up = dispatcher_nodes_redis_up;
    redis.on_down = dispatcher_nodes_redis_down;
    redis.data = d;
    redis.log = &d->daemon.log;

    if (dispatcher_nodes_create(d) != PUSH_OK
        || dispatcher_send_create(d) != PUSH_OK)
    {
        daemons_failed(p->proc.name, "out of memory");
    }

    d->client = http_client_create(d->daemon.base, &d->daemon.log, NULL);
    d->redis = redis_create(d->daemon.base, &redis);
}


static void
daemons_kill_dispatcher(unsigned i)
{
    struct dispatcher  *d = daemons_d[i].d;

    redis_destroy(d->redis);
    http_client_destroy(d->client);
    dispatcher_send_destroy(d);
    dispatcher_nodes_destroy(d);
    free(d);

    daemons_d[i].d = NULL;
}
