/*
 * store_steps: the product's rule of appending, on the replica set
 *
 *     rule --step--> wire --network--> set, documents --> results --> rule
 *
 * in:   steps.  out: their results.  owns: what is on the way
 */

#include "store_state.h"

#include <stdio.h>
#include <string.h>

#include "collector_hand_over.h"
#include "daemon.h"
#include "daemons.h"
#include "plant.h"

static void model_step_send(struct store_model *s, struct model_step *step);
static void model_step_apply(struct set_command *c);
static bool model_step_insert(struct model_wire *w, struct model_item *item);
static void model_step_planted(struct model_wire *w);
static void model_step_later(void *data);
static void model_step_done(struct set_command *c);
static void model_step_result(struct store_model *s, struct model_wire *w,
    struct store_step_item *to, struct model_item *item);


void
store_model_steps(struct store_model *s)
{
    size_t              i;
    int64_t             wait_ms, now_ms;
    struct model_step  *step;

    now_ms = daemon_monotonic_ms();

    for (i = 0; i < MODEL_WORKERS; i++) {

        if (s->steps[i] != NULL && s->steps[i]->wire != NULL) {
            continue;
        }

        if (s->steps[i] == NULL) {
            s->steps[i] = sim_alloc(sizeof(*step));
        }

        step = s->steps[i];

        if (!store_append_rule_next(s->rule, now_ms, &step->step)) {
            break;
        }

        model_step_send(s, step);
        s->steps[i] = step;
    }

    wait_ms = store_append_rule_wait(s->rule, now_ms);

    if (wait_ms > 0) {
        sim_at(&s->turn, sim.now_us + MS(wait_ms));
    }
}


struct push_str
store_model_str(struct push_str s)
{
    return (struct push_str) { sim_copy(s.data, s.len), s.len };
}


static void
model_step_send(struct store_model *s, struct model_step *step)
{
    size_t              i, n;
    struct model_item  *item;
    struct model_wire  *w;

    n = step->step.count;
    w = sim_alloc(sizeof(*w) + n * sizeof(w->items[0]));
    step->wire = w;
    step->store = s;
    w->step = step;
    w->kind = step->step.kind;
    w->ordered = step->step.ordered;
    w->count = n;
    w->c.proc = s->proc;
    w->c.data = w;
    w->c.read = w->kind != STORE_STEP_INSERT;
    w->c.apply = model_step_apply;
    w->c.done = model_step_done;

    for (i = 0; i < n; i++) {
        item = &w->items[i];
        item->log = base_log(step->step.items[i].log);
        item->seq = step->step.items[i].seq;
        item->last = step->step.items[i].last;

        if (plant(PLANT_TIMESTAMP) && w->kind == STORE_STEP_INSERT) {
            item->seq = sim.now_us * 8 + (int64_t) i;
        }

        if (step->step.items[i].message != NULL) {
            item->m = *step->step.items[i].message;
            item->m.key = store_model_str(item->m.key);
            item->m.data = store_model_str(item->m.data);
        }
    }

    set_send(&w->c);
}


static void
model_step_apply(struct set_command *c)
{
    size_t              i;
    int64_t             view, tip, before;
    struct model_wire  *w = c->data;
    struct model_item  *item;

    if (w->kind == STORE_STEP_INSERT
        && (plant(PLANT_COUNTER) || (plant(PLANT_UNORDERED) && w->ordered)))
    {
        model_step_planted(w);
        return;
    }

    before = base_last;

    for (i = 0; i < w->count; i++) {
        item = &w->items[i];

        switch (w->kind) {

        case STORE_STEP_TIPS:
            view = plant(PLANT_TIP_LOCAL) ? base_last : c->view;
            tip = item->last || plant(PLANT_TIP_LOCAL)
                  ? base_tip(item->log, view)
                  : base_head_tip(item->log, view);
            item->seq = tip > item->seq ? tip : item->seq;
            item->result = STORE_STEP_DONE;
            break;

        case STORE_STEP_KEYS:
            view = plant(PLANT_EARLY_DUPLICATE) ? base_last : c->view;
            item->doc = base_by_key(item->log, item->m.key, view);
            item->result = item->doc != NULL ? STORE_STEP_DONE
                                             : STORE_STEP_MISSING;
            break;

        default:
            if (!model_step_insert(w, item) && w->ordered) {
                while (++i < w->count) {
                    w->items[i].result = STORE_STEP_NOT_TRIED;
                }
            }
        }
    }

    c->op = plant(PLANT_EARLY_DUPLICATE) && base_last == before ? 0
                                                               : base_last;
}


static bool
model_step_insert(struct model_wire *w, struct model_item *item)
{
    struct collector_message  m;

    switch (base_insert(item->log, item->seq, &item->m)) {

    case BASE_DUPLICATE_SEQ:
        item->result = STORE_STEP_SEQ_TAKEN;
        return false;

    case BASE_DUPLICATE_KEY:
        item->result = STORE_STEP_KEY_TAKEN;
        return false;

    default:
        item->result = STORE_STEP_DONE;
        break;
    }

    if (plant(PLANT_EARLY_DISPATCH) && w->c.proc->up) {
        memset(&m, 0, sizeof(m));
        m.log = item->m.log;
        m.data = item->m.data;
        m.seq = item->seq;
        m.ts_ms = item->m.ts_ms;
        m.expires = item->m.expires;
        m.log = daemons_log(item->log);
        collector_hand_over_add(daemons_collector(w->c.proc->place
                                                  - PLACE_COLLECTOR), &m, 1);
    }

    return true;
}


/* Each one by itself, in any order; or its number first. */
static void
model_step_planted(struct model_wire *w)
{
    size_t               i;
    struct model_item  **one;

    w->c.later = true;
    w->left = w->count;

    for (i = 0; i < w->count; i++) {

        if (plant(PLANT_COUNTER)) {
            w->items[i].seq = base_count(w->items[i].log);
        }

        one = sim_alloc(2 * sizeof(*one));
        one[0] = &w->items[i];
        one[1] = (struct model_item *) w;
        sim_after(sim_below(30000), model_step_later, one, NULL);
    }
}


static void
model_step_later(void *data)
{
    struct model_item **one = data;
    struct model_wire  *w = (struct model_wire *) one[1];

    (void) model_step_insert(w, one[0]);
    w->c.op = base_last;

    if (--w->left == 0) {
        set_applied(&w->c);

    } else {
        set_done();
    }
}


static void
model_step_done(struct set_command *c)
{
    size_t                 i;
    struct model_wire     *w = c->data;
    struct model_step     *step = w->step;
    struct store_model    *s = step->store;
    struct store_request  *done;

    if (!s->open || !s->proc->up) {
        return;
    }

    for (i = 0; i < w->count; i++) {
        model_step_result(s, w, &step->step.items[i], &w->items[i]);
    }

    if (!c->known) {
        snprintf(step->step.error, sizeof(step->step.error),
                 "no answer of a majority");
    }

    step->wire = NULL;
    done = store_append_rule_done(s->rule, &step->step,
                                  daemon_monotonic_ms());
    sim_at(&s->turn, sim.now_us);
    store_model_finish(s, done);
}


static void
model_step_result(struct store_model *s, struct model_wire *w,
    struct store_step_item *to, struct model_item *item)
{
    to->result = w->c.known ? item->result : STORE_STEP_UNKNOWN;

    if (to->result == STORE_STEP_UNKNOWN) {

        if (w->kind == STORE_STEP_INSERT && item->seq > s->assumed[item->log])
        {
            s->assumed[item->log] = item->seq;
        }

        return;
    }

    to->seq = item->seq;

    if (w->kind == STORE_STEP_TIPS && plant(PLANT_UNKNOWN_TIP)
        && s->assumed[item->log] > to->seq)
    {
        to->seq = s->assumed[item->log];
    }

    if (item->doc != NULL) {
        to->seq = item->doc->seq;
        to->ts_ms = item->doc->ts_ms;
        to->expires = item->doc->expires;
        memcpy(to->hash, item->doc->hash, sizeof(to->hash));
    }
}


void
store_model_finish(struct store_model *s, struct store_request *r)
{
    struct store_request  *next;

    for ( ; r != NULL; r = next) {
        next = r->next;
        s->queued -= ((struct store_append *) r)->count;
        r->done(r);
    }
}
