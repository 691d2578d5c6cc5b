/*
 * run: one seed, from the first process to the verdict
 */

#include "run.h"

#include <stdio.h>
#include <string.h>

#include "base.h"
#include "check.h"
#include "client.h"
#include "daemons.h"
#include "edge.h"
#include "http.h"
#include "nemesis.h"
#include "net.h"
#include "publisher.h"
#include "redis_link.h"
#include "redis_model.h"
#include "set.h"
#include "store_model.h"

#define RUN_CALM_MS  35000          /* bindings were renewed by then */

static uint64_t  run_runs, run_events, run_virtual_us;

static void run_mix(bool check);
static void run_calm(void *data);
static uint32_t run_theme(void);


void
run_seed(uint64_t seed, bool check, bool trace)
{
    int64_t  settled_us;

    memset(&sim, 0, sizeof(sim));
    sim.seed = seed;
    sim.random = seed * 2 + 1;
    sim.trace = trace;
    sim.base_ms = INT64_C(1700000000000) + (int64_t) (sim_random64() >> 32);
    run_mix(check);

    net_init();
    http_init();
    redis_model_init();
    redis_link_init();
    store_model_init();
    check_init();
    daemons_init();
    edge_init();
    client_init();
    publisher_init();
    nemesis_init();

    sim_run(sim.mix.faults_us);

    if (sim.phase == PHASE_FAULTS) {
        sim.phase = PHASE_HEALED;
        sim.heal_us = sim.now_us;
        nemesis_heal();
    }

    settled_us = sim.heal_us + MS(CHECK_SETTLE_MS);

    if (sim.mix.faults >> FAULT_COLLECTOR_CRASH & 1) {
        settled_us += MS(CHECK_PACE_MS);
    }

    sim_run(sim.heal_us + MS(RUN_CALM_MS));

    if (sim.phase == PHASE_HEALED) {
        sim.phase = PHASE_CALM;

        if (!check || sim.mix.faults >> FAULT_STALE_READ & 1) {
            check_idle();
        }

        /* in every other seed: a message repairs what a tail lacks */

        if (sim.seed % 2 == 0) {
            run_calm(NULL);
        }
    }

    sim_run(settled_us);

    if (sim.phase == PHASE_CALM) {
        check_settled();
    }

    if (sim.phase != PHASE_OVER) {
        check_store();
    }

    run_runs++;
    run_events += sim.events;
    run_virtual_us += (uint64_t) sim.now_us;

    sim.phase = PHASE_OVER;
    daemons_end();
    sim_forget();
}


void
run_counts(void)
{
    printf("%llu runs of %.0f s, %llu events; %llu acks (%llu again), "
           "%llu frames, %llu voids, %llu resets;\n%llu step-downs, %llu ops "
           "rolled back, %llu kills of edges, %llu of collectors, %llu of "
           "dispatchers,\n%llu stops, %llu cuts, %llu wipes of Redis\n",
           (unsigned long long) run_runs,
           (double) run_virtual_us / 1e6 / (double) run_runs,
           (unsigned long long) run_events,
           (unsigned long long) check_counts.acks,
           (unsigned long long) check_counts.duplicates,
           (unsigned long long) check_counts.frames,
           (unsigned long long) check_counts.voids,
           (unsigned long long) check_counts.resets,
           (unsigned long long) set_stepdowns,
           (unsigned long long) set_rolled_back,
           (unsigned long long) edge_kills,
           (unsigned long long) nemesis_counts.collector_kills,
           (unsigned long long) nemesis_counts.dispatcher_kills,
           (unsigned long long) nemesis_counts.freezes,
           (unsigned long long) nemesis_counts.partitions,
           (unsigned long long) nemesis_counts.wipes);
}


/* In half of the runs faults that belong together, and a few others. */
static uint32_t
run_theme(void)
{
#define BIT(name)  (1u << FAULT_##name)
    static const uint32_t  themes[] = {
        BIT(STEPDOWN) | BIT(LAG) | BIT(FLASH) | BIT(LOST_ANSWER)
        | BIT(PARALLEL),
        BIT(STEPDOWN) | BIT(LAG) | BIT(BURST) | BIT(STALE_READ) | BIT(FLASH),
        BIT(WIPE) | BIT(EVICT) | BIT(HALF_OPEN) | BIT(FLASH),
        BIT(REDIS_DOWN) | BIT(SNAPSHOT) | BIT(PARTITION) | BIT(FREEZE),
        BIT(TIGHT) | BIT(DISPATCHER_CRASH) | BIT(PARTITION) | BIT(FREEZE),
        BIT(COLLECT) | BIT(STEPDOWN) | BIT(FLASH),
        BIT(RESTORE) | BIT(FLASH) | BIT(AMNESIA) | BIT(EDGE_KILL)
    };
#undef BIT

    return sim_chance(500)
           ? themes[sim_below(sizeof(themes) / sizeof(themes[0]))] : 0;
}


/* Each fault in every third run or so; both modes of a seed have the same. */
static void
run_mix(bool check)
{
    unsigned         i, often;
    struct sim_mix  *mix = &sim.mix;

    mix->check = check;
    mix->lite = sim_chance(200);
    mix->users = 2 + sim_below(SIM_USERS - 1);
    mix->edges = 1 + sim_below(SIM_EDGES);
    mix->collectors = mix->lite ? 1 : 1 + sim_below(SIM_COLLECTORS);
    mix->dispatchers = 1 + sim_below(SIM_DISPATCHERS);
    mix->publishers = 2 + sim_below(SIM_PUBLISHERS - 1);
    mix->delay_us = sim_chance(500) ? 500 : 5000;
    mix->lag_us = sim_chance(500) ? 2000 : 30000;

    mix->faults = run_theme();
    often = mix->faults != 0 ? 200 : 350;

    for (i = 0; i < FAULT_COUNT; i++) {
        mix->faults |= (uint32_t) sim_chance(often) << i;
    }

    if (sim_chance(500)) {
        mix->faults &= ~(1u << FAULT_RESTORE);
    }

    /* what only the periodic check repairs */

    if (!check) {
        mix->faults &= ~(1u << FAULT_STALE_READ);
    }

    mix->faults_us = S(30) + sim_below(15000000);

    if (mix->faults >> FAULT_COLLECT & 1) {
        mix->faults_us = S(85);
    }

    for (i = 0; sim.trace && i < FAULT_COUNT; i++) {
        if (mix->faults >> i & 1) {
            sim_tracef("fault: %s", sim_fault_text((enum sim_fault) i));
        }
    }
}


/* A message now and then; each is looked at when it must have arrived. */
static void
run_calm(void *data)
{
    unsigned  m;

    if (data != NULL) {
        check_calm((unsigned) (uintptr_t) data);
        return;
    }

    m = publisher_calm();

    if (m != 0) {
        check_calm_begins(m);
        sim_after(MS(CHECK_CALM_MS), run_calm, (void *) (uintptr_t) m, NULL);
    }

    if (sim.now_us < sim.heal_us + MS(CHECK_SETTLE_MS - CHECK_CALM_MS - 1000))
    {
        sim_after(MS(700) + sim_below(1000000), run_calm, NULL, NULL);
    }
}
