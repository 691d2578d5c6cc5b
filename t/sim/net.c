/*
 * net: what happens to bytes between two places
 */

#include "net.h"

#include <string.h>

static int64_t  net_until[PLACE_COUNT][PLACE_COUNT];


void
net_init(void)
{
    memset(net_until, 0, sizeof(net_until));
}


int64_t
net_delay(void)
{
    int64_t  us;

    us = sim_about(sim.mix.delay_us);

    if (sim_fault(FAULT_DELAY) && sim_chance(20)) {
        us += sim_below(3000000);
    }

    return us;
}


bool
net_cut(unsigned from, unsigned to)
{
    return net_until[from][to] > sim.now_us;
}


bool
net_lost(unsigned from, unsigned to)
{
    return net_cut(from, to) || (sim_fault(FAULT_LOSS) && sim_chance(20));
}


void
net_part(unsigned a, unsigned b, int64_t us, bool both)
{
    net_until[a][b] = sim.now_us + us;

    if (both) {
        net_until[b][a] = sim.now_us + us;
    }
}


void
net_heal(void)
{
    memset(net_until, 0, sizeof(net_until));
}
