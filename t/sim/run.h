/*
 * run: one seed, from the first process to the verdict
 *
 *     faults --> healed: all arrives in time --> calm: at once --> the store
 */

#ifndef RUN_H
#define RUN_H

#include "sim.h"

/* check: with the periodic check.  The verdict is check_verdict(). */
void run_seed(uint64_t seed, bool check, bool trace);

/* What all runs did: printed. */
void run_counts(void);

#endif
