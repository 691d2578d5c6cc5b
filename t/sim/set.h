/*
 * set: the replica set: a primary, a majority behind it, elections
 *
 *     write --> primary: ops 8, 9 --lag--> commit 9 --> answer
 *                  | step-down: a new primary has op 8, not 9: rolled back
 *     read  --> what is committed, as it is known to whom we ask
 *
 * in:   commands of collectors.  out: their outcomes.  owns: who waits
 */

#ifndef SET_H
#define SET_H

#include "base.h"
#include "sim.h"

/* A command; zero it, set proc, apply, done. */
struct set_command {
    struct sim_proc    *proc;       /* the collector */
    bool                read;
    bool                certain;    /* read: of a primary that still is one */
    int64_t             view;       /* read: what is seen */
    int64_t             op;         /* write: the last op, 0: none */
    bool                known;      /* outcome: the answer came */
    bool                later;      /* apply goes on: then set_applied() */

    /* On the primary, or where the read goes. */
    void              (*apply)(struct set_command *c);
    /* Runs once, unless the collector has died. */
    void              (*done)(struct set_command *c);
    void               *data;

    struct set_command *next;
    unsigned            life;       /* of the set: a restore ends it */
    bool                answered;
};

void set_init(void);

void set_send(struct set_command *c);

void set_applied(struct set_command *c);

/* The primary goes; what a new one does not have is lost. */
void set_step_down(void);
/* Replication is slow for so long. */
void set_lag(int64_t us);
/* Ops were done here without a command: they become majority, too. */
void set_done(void);
/* What all members have is put back to this op; it is committed. */
void set_restore(int64_t op);

/* The number up to which a majority has it, or an old primary believes so. */
int64_t set_majority(void);

extern uint64_t  set_stepdowns, set_rolled_back;

#endif
