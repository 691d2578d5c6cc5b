/*
 * load_batch: publishers that lose nothing
 *
 * Messages go round the users, each to one publisher's HTTP connection, which
 * has one batch under way.  A batch that is not answered, or not taken, is sent
 * again with its keys until it is stored, so a user's messages are stored once
 * and in order.
 */

#ifndef LOAD_BATCH_H
#define LOAD_BATCH_H

#include "load.h"

struct load_batch;

/* Borrows l.  Ends the program when memory lacks. */
struct load_batch *load_batch_create(struct load *l);

/* From now on rate messages a second, count in all (0: until the next call);
   and one to `all` each all_ms (0: none).  rate 0: no more. */
void load_batch_pace(struct load_batch *b, uint64_t rate, uint64_t count,
    uint64_t all_ms);
/* What has no end goes no further; what has one is sent to it. */
void load_batch_stop(struct load_batch *b);

/* Sends what is due. */
void load_batch_tick(struct load_batch *b);

/* data of an event is one of ours. */
bool load_batch_owns(const struct load_batch *b, const void *data);
void load_batch_event(struct load_batch *b, void *data, uint32_t events);

/* Everything that was due has been sent and answered. */
bool load_batch_idle(const struct load_batch *b);

struct load_batch_sum {
    uint64_t  acked;                /* messages stored, 200 or 201 */
    uint64_t  acked_all;            /* of them to `all` */
    uint64_t  repeated;             /* batches sent again */
    uint64_t  late_ms;              /* the oldest message that waits to be
                                       sent */
};

void load_batch_sum(const struct load_batch *b, struct load_batch_sum *sum);
/* Messages of one user that were stored. */
uint64_t load_batch_acked(const struct load_batch *b, size_t user);

#endif
