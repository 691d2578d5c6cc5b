/*
 * store_model: the store as collectors see it: collector/store.h over base
 *
 *     store_append --> store_append_rule --steps--> set --> outcomes
 *     store_read, store_cursors_put ... ---------> set --> results
 *     the same without replicas: one writer, a group commit each few ms
 *
 * in:   requests of collectors.  out: their `done`
 * owns: what is under way; a collector that dies forgets it
 */

#ifndef STORE_MODEL_H
#define STORE_MODEL_H

#include "sim.h"

void store_model_init(void);

/* One slice of the GC. */
void store_model_collect(void);

/* From a backup: all collectors are down meanwhile.  Another epoch. */
void store_model_backup(void);
void store_model_restore(void);

/* The process that opens a store next. */
void store_model_opener(struct sim_proc *proc);

#endif
