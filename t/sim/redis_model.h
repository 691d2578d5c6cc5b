/*
 * redis_model: a Redis server: sorted sets, hashes, sets, streams with a group
 *
 *     argv --> redis_model_run --> reply
 *
 * in:   commands as the daemons and the edge send them; time
 * out:  replies of this run's memory
 * owns: the keys; it can be wiped, and put back to an earlier state
 */

#ifndef REDIS_MODEL_H
#define REDIS_MODEL_H

#include "redis.h"
#include "sim.h"

struct redis_reply {
    enum redis_type     type;
    struct push_str     str;
    int64_t             n;
    size_t              count;
    struct redis_reply *at;
};

void redis_model_init(void);

/*
 * *block_ms: set if a read that waits (BLOCK) has nothing to say yet, and the
 * reply is NULL; it is to be run again when a stream has grown.
 */
struct redis_reply *redis_model_run(const struct push_str *argv, size_t argc,
    int64_t *block_ms);

void redis_model_wipe(void);
/* All bindings of one user, as if memory had run out. */
void redis_model_evict(const char *key);
void redis_model_save(void);
/* false: nothing was saved. */
bool redis_model_load(void);

#endif
