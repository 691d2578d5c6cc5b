/*
 * net: what happens to bytes between two places
 *
 * in:   places, faults.  out: delays, and whether anything arrives
 * owns: the cuts
 */

#ifndef SIM_NET_H
#define SIM_NET_H

#include "sim.h"

void net_init(void);

/* How long one way takes now. */
int64_t net_delay(void);

/* Nothing that leaves `from` arrives at `to`. */
bool net_cut(unsigned from, unsigned to);
/* This one does not arrive: cut, or bad luck. */
bool net_lost(unsigned from, unsigned to);

/* Cuts a pair of places for a while: both ways, or one. */
void net_part(unsigned a, unsigned b, int64_t us, bool both);
void net_heal(void);

#endif
