/*
 * collector_stats: what /metrics says of a collector
 *
 * in: the state.  out: rows of metrics.h.  owns: nothing
 */

#ifndef COLLECTOR_STATS_H
#define COLLECTOR_STATS_H

#include "collector.h"

/* Makes c->metrics with the counters and gauges.  PUSH_OK, PUSH_ERROR. */
int collector_stats_create(struct collector *c);

#endif
