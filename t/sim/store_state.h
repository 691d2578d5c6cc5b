/*
 * store_state: what a collector's store has under way
 */

#ifndef STORE_STATE_H
#define STORE_STATE_H

#include "set.h"
#include "store_append_rule.h"
#include "store_model.h"

#define MODEL_WORKERS  4

/* A document of a step on its way, by itself: it may arrive very late. */
struct model_item {
    unsigned               log;
    struct store_message   m;
    int64_t                seq;
    bool                   last;        /* TIPS: of the last message, too */
    enum store_step_result result;
    struct base_doc       *doc;         /* KEYS: the first copy */
};

struct model_wire {
    struct set_command   c;
    struct model_step   *step;
    enum store_step_kind kind;
    bool                 ordered;
    size_t               left;          /* planted: not yet inserted */
    size_t               count;
    struct model_item    items[];
};

struct model_step {
    struct store_model *store;
    struct model_wire  *wire;           /* NULL: free */
    struct store_step   step;
};

struct store_model {
    struct store              store;
    struct sim_proc          *proc;
    bool                      open;
    size_t                    queued;       /* messages */

    struct store_append_rule *rule;
    struct model_step        *steps[MODEL_WORKERS];
    struct sim_event          turn;

    struct store_request     *first;        /* without replicas: in order */
    struct store_request    **last;
    struct model_call        *calls;        /* under way in the set */
    int64_t                   assumed[SIM_LOGS];    /* PLANT_UNKNOWN_TIP */
};

struct model_call {
    struct set_command    c;
    struct store_model   *store;
    struct store_request *r;                /* NULL: it was ended */
    struct model_call    *next;
    struct store_cursor  *cursors;          /* a copy: it may arrive late */
    size_t                count;
};

struct push_str store_model_str(struct push_str s);

/* store_steps.c: sends what the rule has ready */
void store_model_steps(struct store_model *s);
/* Appends that the rule gave back. */
void store_model_finish(struct store_model *s, struct store_request *r);

/* store_read.c: fills the results as they are seen at that op */
void store_model_read(struct store_request *r, int64_t view);

#endif
