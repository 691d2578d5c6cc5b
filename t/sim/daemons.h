/*
 * daemons: the collectors and dispatchers of this run
 *
 *     start: what their main() does, on the played loop, Redis, HTTP, store
 *     kill:  nothing that they do arrives any more; their memory goes
 *
 * in:   the product's own code.  out: the same.  owns: the processes
 */

#ifndef DAEMONS_H
#define DAEMONS_H

#include "collector.h"
#include "dispatcher.h"
#include "dispatcher_in.h"
#include "sim.h"

void daemons_init(void);

void daemons_start(unsigned place);
void daemons_kill(unsigned place);
/* All of them, at the end of a run. */
void daemons_end(void);

struct collector *daemons_collector(unsigned i);
struct dispatcher *daemons_dispatcher(unsigned i);

/* This collector was killed before. */
bool daemons_crashed(const char *node);

/* Any process by its place. */
struct sim_proc *sim_proc(unsigned place);

/* "user:u3", "all" */
struct push_str daemons_log(unsigned log);

#endif
