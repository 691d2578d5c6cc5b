/*
 * nemesis: what breaks, and when
 */

#include "nemesis.h"

#include <stdio.h>

#include "base.h"
#include "check.h"
#include "client.h"
#include "daemons.h"
#include "edge.h"
#include "net.h"
#include "plant.h"
#include "redis_link.h"
#include "redis_model.h"
#include "set.h"
#include "store_model.h"

#define NEMESIS_FINALE_MS  4000
#define NEMESIS_LONG_MS    18000

struct nemesis_counts  nemesis_counts;

/* Each fault by itself, about so often. */
struct nemesis_row {
    enum sim_fault   fault;
    unsigned         every_ms;
    void           (*fn)(void);
};

static void nemesis_strike(void *data);
static void nemesis_finale(void *data);
static void nemesis_finale_long(void *data);
static void nemesis_restart(void *data);
static void nemesis_kill(unsigned place);
static unsigned nemesis_victim(unsigned first, unsigned count);


static void
nemesis_step_down(void)
{
    if (!sim.mix.lite) {
        set_step_down();
    }
}


static void
nemesis_lag(void)
{
    if (!sim.mix.lite) {
        set_lag(MS(500) + sim_below(3000000));

        /* an old primary writes on for a while, alone */

        if (sim_fault(FAULT_STEPDOWN) && sim_chance(600)) {
            sim_after(sim_below(3000000), (void (*)(void *)) nemesis_step_down,
                      NULL, NULL);
        }
    }
}


static void
nemesis_wipe(void)
{
    sim_trace("redis: wiped");
    nemesis_counts.wipes++;
    redis_model_wipe();
}


static void
nemesis_evict(void)
{
    char  key[16];

    snprintf(key, sizeof(key), "push:{u%u}", sim_below(sim.mix.users));
    sim_trace("redis: %s is evicted", key);
    redis_model_evict(key);
}


static void
nemesis_redis_start(void *data)
{
    (void) data;
    sim_trace("redis: start");
    redis_link_start();
}


static void
nemesis_redis_down(void)
{
    sim_trace("redis: down");
    redis_link_kill();
    sim_after(MS(50) + sim_below(sim_chance(500) ? 500000 : 12000000),
              nemesis_redis_start, NULL, NULL);
}


static void
nemesis_redis_save(void)
{
    redis_model_save();
}


static void
nemesis_snapshot(void)
{
    if (redis_model_load()) {
        sim_trace("redis: as it was saved");
        redis_link_kill();
        sim_after(MS(50) + sim_below(3000000), nemesis_redis_start, NULL,
                  NULL);
    }
}


static void
nemesis_edge_kill(void)
{
    nemesis_kill(nemesis_victim(PLACE_EDGE, sim.mix.edges));
}


static void
nemesis_reload(void)
{
    unsigned  i;

    i = sim_below(sim.mix.edges);

    if (sim_proc(PLACE_EDGE + i)->up) {
        edge_reload(i);
    }
}


static void
nemesis_collector_crash(void)
{
    nemesis_counts.collector_kills++;
    nemesis_kill(nemesis_victim(PLACE_COLLECTOR, sim.mix.collectors));
}


static void
nemesis_dispatcher_crash(void)
{
    nemesis_counts.dispatcher_kills++;
    nemesis_kill(nemesis_victim(PLACE_DISPATCHER, sim.mix.dispatchers));
}


static void
nemesis_freeze(void)
{
    unsigned  place;

    place = PLACE_EDGE + sim_below(PLACE_COUNT - PLACE_EDGE);

    if (sim_proc(place)->up) {
        nemesis_counts.freezes++;
        sim_trace("stop %s", sim_proc(place)->name);
        sim_proc(place)->thaw_us = sim.now_us + MS(200)
                                   + sim_below(sim_chance(300) ? 20000000
                                                               : 4000000);
    }
}


static void
nemesis_partition(void)
{
    bool      both;
    int64_t   us;
    unsigned  a, b;

    us = MS(500) + sim_below(sim_chance(300) ? 20000000 : 5000000);
    both = sim_chance(600);
    a = PLACE_EDGE + sim_below(PLACE_COUNT - PLACE_EDGE);
    b = a >= PLACE_DISPATCHER && sim_chance(500)
        ? PLACE_EDGE + sim_below(sim.mix.edges)
        : a >= PLACE_COLLECTOR && a < PLACE_DISPATCHER
        ? (sim_chance(300) ? PLACE_STORE : sim_chance(400) ? PLACE_OUTSIDE
           : sim_chance(500)
           ? PLACE_DISPATCHER + sim_below(sim.mix.dispatchers) : PLACE_REDIS)
        : PLACE_REDIS;

    nemesis_counts.partitions++;
    sim_trace("cut %s %s %u for %.1f s", sim_proc(a)->name,
              both ? "and" : "to", b, (double) us / 1e6);

    if (both || sim_chance(500)) {
        net_part(a, b, us, both);

    } else {
        net_part(b, a, us, false);
    }

    if (b == PLACE_REDIS) {
        redis_link_cut(a);
    }
}


static void
nemesis_flash(void)
{
    client_flash(client_at(sim_below(client_count())));
}


static void
nemesis_half_open(void)
{
    client_half_open(client_at(sim_below(client_count())));
}


static void
nemesis_slow(void)
{
    client_at(sim_below(client_count()))->slow_us =
        sim.now_us + MS(500) + sim_below(15000000);
}


/* The procedure of a restore: collectors down, data back, another epoch. */
static void
nemesis_restore(void)
{
    unsigned  i;

    static const unsigned  once = 1;

    if (check_message(1)->log != 0 && sim.now_us < S(5)) {
        return;
    }

    for (i = 0; i < sim.mix.collectors; i++) {
        if (sim_proc(PLACE_COLLECTOR + i)->up) {
            daemons_kill(PLACE_COLLECTOR + i);
        }

        sim_after(MS(500) + sim_below(2000000), nemesis_restart,
                  sim_proc(PLACE_COLLECTOR + i), NULL);
    }

    store_model_restore();
    check_restored();
    sim.mix.faults &= ~(once << FAULT_RESTORE);
}


static void
nemesis_collect(void)
{
    store_model_collect();
}


static const struct nemesis_row  nemesis_rows[] = {
    { FAULT_STEPDOWN, 4000, nemesis_step_down },
    { FAULT_LAG, 6000, nemesis_lag },
    { FAULT_WIPE, 12000, nemesis_wipe },
    { FAULT_EVICT, 6000, nemesis_evict },
    { FAULT_REDIS_DOWN, 15000, nemesis_redis_down },
    { FAULT_SNAPSHOT, 10000, nemesis_redis_save },
    { FAULT_SNAPSHOT, 15000, nemesis_snapshot },
    { FAULT_EDGE_KILL, 6000, nemesis_edge_kill },
    { FAULT_RELOAD, 10000, nemesis_reload },
    { FAULT_COLLECTOR_CRASH, 6000, nemesis_collector_crash },
    { FAULT_DISPATCHER_CRASH, 6000, nemesis_dispatcher_crash },
    { FAULT_FREEZE, 6000, nemesis_freeze },
    { FAULT_PARTITION, 5000, nemesis_partition },
    { FAULT_FLASH, 1000, nemesis_flash },
    { FAULT_HALF_OPEN, 3000, nemesis_half_open },
    { FAULT_SLOW, 2000, nemesis_slow },
    { FAULT_RESTORE, 25000, nemesis_restore },
    { FAULT_COLLECT, 1500, nemesis_collect }
};


void
nemesis_init(void)
{
    size_t  i;

    for (i = 0; i < sizeof(nemesis_rows) / sizeof(nemesis_rows[0]); i++) {
        if (sim.mix.faults >> nemesis_rows[i].fault & 1) {
            sim_after(S(3) + sim_below((uint32_t) MS(nemesis_rows[i].every_ms)),
                      nemesis_strike, (void *) &nemesis_rows[i], NULL);
        }
    }

    sim_after(sim.mix.faults_us - MS(NEMESIS_FINALE_MS), nemesis_finale, NULL,
              NULL);
    sim_after(sim.mix.faults_us - MS(NEMESIS_LONG_MS), nemesis_finale_long,
              NULL, NULL);

    if (sim.mix.faults >> FAULT_RESTORE & 1) {
        sim_after(S(8) + sim_below(5000000),
                  (void (*)(void *)) store_model_backup, NULL, NULL);
    }
}


/* What happens last is repaired by nothing that follows. */
static void
nemesis_finale(void *data)
{
    unsigned  i;

    (void) data;

    for (i = 0; i < client_count(); i++) {
        if (sim_fault(FAULT_FLASH) && sim_chance(700)) {
            sim_after(sim_below(NEMESIS_FINALE_MS * 900),
                      (void (*)(void *)) client_flash, client_at(i), NULL);
        }
    }
}


static void
nemesis_finale_long(void *data)
{
    unsigned  i;

    (void) data;

    if (sim_fault(FAULT_PARTITION) && sim_chance(500)) {
        i = PLACE_EDGE + sim_below(sim.mix.edges);
        sim_trace("cut %s from redis to the end", sim_proc(i)->name);
        net_part(i, PLACE_REDIS, MS(NEMESIS_LONG_MS), true);
        redis_link_cut(i);
    }

    if (sim_fault(FAULT_TIGHT) && sim_chance(500)) {
        for (i = PLACE_DISPATCHER; i < PLACE_COUNT; i++) {
            if (sim_proc(i)->up) {
                daemons_kill(i);
            }
        }
    }
}


static void
nemesis_strike(void *data)
{
    const struct nemesis_row  *row = data;

    if (!sim_fault(row->fault)
        || (row->fault == FAULT_RESTORE && sim.now_us < S(18)))
    {
        if (sim_fault(row->fault)) {
            sim_after(S(5), nemesis_strike, data, NULL);

        } else if (row->fault == FAULT_COLLECT) {
            row->fn();                  /* no fault: it goes on */
            sim_after(MS(row->every_ms), nemesis_strike, data, NULL);
        }

        return;
    }

    row->fn();
    sim_after(MS(row->every_ms / 4)
              + sim_below((uint32_t) MS(row->every_ms * 3 / 2)),
              nemesis_strike, data, NULL);
}


void
nemesis_heal(void)
{
    unsigned  i;

    sim_trace("healed");
    net_heal();
    redis_link_start();
    client_heal();

    for (i = PLACE_EDGE; i < PLACE_COUNT; i++) {
        sim_proc(i)->thaw_us = 0;
        nemesis_restart(sim_proc(i));
    }
}


static void
nemesis_kill(unsigned place)
{
    if (!sim_proc(place)->up) {
        return;
    }

    if (place < PLACE_COLLECTOR) {
        edge_kill(place - PLACE_EDGE);

    } else {
        daemons_kill(place);
    }

    sim_after(MS(200) + sim_below(sim_chance(700) ? 2000000 : 15000000),
              nemesis_restart, sim_proc(place), NULL);
}


static void
nemesis_restart(void *data)
{
    unsigned          place;
    struct sim_proc  *proc = data;

    place = proc->place;

    if (proc->up
        || (place < PLACE_COLLECTOR && place - PLACE_EDGE >= sim.mix.edges)
        || (place >= PLACE_COLLECTOR && place < PLACE_DISPATCHER
            && place - PLACE_COLLECTOR >= sim.mix.collectors)
        || (place >= PLACE_DISPATCHER
            && place - PLACE_DISPATCHER >= sim.mix.dispatchers))
    {
        return;
    }

    if (place < PLACE_COLLECTOR) {
        edge_start(place - PLACE_EDGE);

    } else {
        daemons_start(place);
    }
}


static unsigned
nemesis_victim(unsigned first, unsigned count)
{
    return first + sim_below(count);
}
