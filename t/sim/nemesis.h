/*
 * nemesis: what breaks, and when
 *
 * in:   the faults of this run.  out: kills, cuts, wipes, step-downs
 */

#ifndef NEMESIS_H
#define NEMESIS_H

#include "sim.h"

void nemesis_init(void);

/* Everything is up and connected again, and stays so. */
void nemesis_heal(void);

struct nemesis_counts {
    uint64_t wipes, collector_kills, dispatcher_kills, partitions, freezes;
};

extern struct nemesis_counts  nemesis_counts;

#endif
