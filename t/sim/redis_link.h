/*
 * redis_link: everybody's connections to Redis
 *
 * Plays common/redis.h; here is what the nemesis calls.
 */

#ifndef REDIS_LINK_H
#define REDIS_LINK_H

#include "redis.h"
#include "sim.h"

void redis_link_init(void);

/* The server is killed: all connections break, nothing answers. */
void redis_link_kill(void);
/* It starts again: another run_id. */
void redis_link_start(void);

/* What goes to or comes from this place arrives no more: found out later. */
void redis_link_cut(unsigned place);

#endif
