/*
 * store_model: the store as collectors see it: collector/store.h over base
 *
 * Requests are the collector's memory: after its death none is touched.  What
 * is sent to the set lives in the run's memory and holds the request until
 * then.
 */

#include "store_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collector_hand_over.h"
#include "daemon.h"
#include "daemons.h"
#include "plant.h"
#include "store_state.h"

#define MODEL_COMMIT_US  4000       /* of the store without replicas */
#define MODEL_QUEUE      2000       /* messages */

static struct sim_proc  *model_opener;
static int64_t           model_mark, model_first_row, model_backup_op;
static bool              model_unclean;

static int model_open(struct store **store, const struct store_conf *conf,
    char *error, size_t size);
static void model_close(struct store *store);
static int model_fd(const struct store *store);
static void model_run(struct store *store);
static int model_submit(struct store *store, struct store_request *r);
static void model_health(struct store *store, struct store_health *health);

static void model_turn(void *data);
static void model_lite(struct store_model *s);
static void model_lite_append(struct store_append *a);
static void model_copy_cursors(struct model_call *call,
    const struct store_cursors_put *put);
static void model_call_apply(struct set_command *c);
static void model_call_done(struct set_command *c);
static void model_done(struct store_model *s, struct store_request *r,
    enum store_result result, const char *error);

/* One model for both: `store` of collector.conf chooses by its scheme. */
#define MODEL_BACKEND(s)                                                      \
    { .scheme = s, .open = model_open, .close = model_close,                  \
      .fd = model_fd, .run = model_run, .submit = model_submit,               \
      .health = model_health }

const struct store_backend  store_sqlite = MODEL_BACKEND("sqlite:");
const struct store_backend  store_mongo = MODEL_BACKEND("mongodb:");


void
store_model_init(void)
{
    base_init();
    set_init();
    model_mark = 0;
    model_first_row = 0;
    model_backup_op = -1;
    model_unclean = false;
}


void
store_model_collect(void)
{
    if (sim.mix.lite) {
        base_heads();
        base_commit = base_last;
        base_collect();
        base_commit = base_last;
        return;
    }

    /* what the last slice wrote into the heads is majority, or it waits */

    base_collect();
    base_heads();
    set_done();
}


void
store_model_backup(void)
{
    model_backup_op = base_commit;
}


void
store_model_restore(void)
{
    if (model_backup_op < 0) {
        return;
    }

    set_restore(model_backup_op);

    if (model_mark > base_last) {
        model_mark = base_last;
    }

    model_unclean = true;
    snprintf(base_epoch, sizeof(base_epoch), "%016llx",
             (unsigned long long) sim_random64());
    sim_trace("store: restored to op %lld, epoch %s",
              (long long) model_backup_op, base_epoch);
}


void
store_model_opener(struct sim_proc *proc)
{
    model_opener = proc;
}


/* --- the backend --------------------------------------------------------- */

static int
model_open(struct store **store, const struct store_conf *conf, char *error,
    size_t size)
{
    struct store_model  *s;

    (void) error;
    (void) size;

    s = sim_alloc(sizeof(*s));
    s->store.backend = sim.mix.lite ? &store_sqlite : &store_mongo;
    s->proc = model_opener;
    s->open = true;
    s->last = &s->first;
    s->turn.fn = model_turn;
    s->turn.data = s;
    s->turn.proc = s->proc;

    memcpy(s->store.info.epoch, base_epoch, sizeof(base_epoch));

    if (sim.mix.lite) {
        s->store.info.mark = model_mark;
        s->store.info.repair = model_mark < base_last ? STORE_REPAIR_ROWS
                                                      : STORE_REPAIR_NONE;
    } else {
        s->store.info.repair = daemons_crashed(conf->node) || model_unclean
                               ? STORE_REPAIR_ALL : STORE_REPAIR_NONE;
        s->rule = store_append_rule_create(sim_random64());
    }

    *store = &s->store;

    return PUSH_OK;
}


/* Only a process that was killed closes here: nothing more is written. */
static void
model_close(struct store *store)
{
    size_t                 i;
    struct model_call     *call;
    struct store_model    *s = (struct store_model *) store;
    struct store_request  *r, *next;

    s->open = false;
    sim_cancel(&s->turn);

    /* a commit under way ends, or it does not */

    if (sim.mix.lite && s->first != NULL && sim_chance(500)) {
        model_lite(s);
    }

    for (r = s->first; r != NULL; r = next) {
        next = r->next;
        model_done(s, r, STORE_UNAVAILABLE, "killed");
    }

    for (call = s->calls; call != NULL; call = call->next) {
        if (call->r != NULL) {
            r = call->r;
            call->r = NULL;
            model_done(s, r, STORE_UNAVAILABLE, "killed");
        }
    }

    if (s->rule == NULL) {
        return;
    }

    for (i = 0; i < MODEL_WORKERS; i++) {
        if (s->steps[i] != NULL && s->steps[i]->wire != NULL) {
            s->steps[i]->wire->c.answered = true;
            s->steps[i]->wire = NULL;
            store_model_finish(s, store_append_rule_done(s->rule,
                                                   &s->steps[i]->step,
                                                   daemon_monotonic_ms()));
        }
    }

    store_model_finish(s, store_append_rule_fail(s->rule, "killed"));
    store_append_rule_destroy(s->rule);
    s->rule = NULL;
}


static int
model_fd(const struct store *store)
{
    (void) store;

    return -1;
}


static void
model_run(struct store *store)
{
    (void) store;
}


static int
model_submit(struct store *store, struct store_request *r)
{
    struct model_call    *call;
    struct store_model   *s = (struct store_model *) store;
    struct store_append  *a = (struct store_append *) r;

    if (!s->open || !s->proc->up) {
        return PUSH_DECLINED;
    }

    r->result = STORE_OK;
    r->next = NULL;

    if (r->call == STORE_APPEND) {

        if (s->queued + a->count > MODEL_QUEUE) {
            return PUSH_DECLINED;
        }

        s->queued += a->count;
    }

    if (sim.mix.lite) {
        *s->last = r;
        s->last = &r->next;

        if (s->turn.place == 0) {
            sim_at(&s->turn, sim.now_us + sim_about(MODEL_COMMIT_US));
        }

        return PUSH_OK;
    }

    if (r->call == STORE_APPEND) {

        if (store_append_rule_add(s->rule, a) != PUSH_OK) {
            s->queued -= a->count;
            return PUSH_DECLINED;
        }

        if (s->turn.place == 0 || s->turn.at_us > sim.now_us + 200) {
            sim_at(&s->turn, sim.now_us + 200);
        }

        return PUSH_OK;
    }

    call = sim_alloc(sizeof(*call));
    call->store = s;
    call->r = r;
    call->next = s->calls;
    s->calls = call;
    call->c.proc = s->proc;
    call->c.data = call;
    call->c.read = r->call != STORE_CURSORS_PUT && r->call != STORE_MARK_PUT;
    call->c.apply = model_call_apply;
    call->c.done = model_call_done;

    call->c.certain = r->call == STORE_CURSORS_GET
                      && !plant(PLANT_STALE_RESET)
                      && ((struct store_cursors_get *) r)->certain;

    if (r->call == STORE_CURSORS_PUT) {
        model_copy_cursors(call, (struct store_cursors_put *) r);
    }

    set_send(&call->c);

    return PUSH_OK;
}


static void
model_health(struct store *store, struct store_health *health)
{
    (void) store;
    memset(health, 0, sizeof(*health));
}


static void
model_turn(void *data)
{
    struct store_model  *s = data;

    if (!s->open || !s->proc->up) {
        return;
    }

    if (sim.mix.lite) {
        model_lite(s);

    } else {
        store_model_steps(s);
    }
}


/* --- one writer, no replicas --------------------------------------------- */

static void
model_lite(struct store_model *s)
{
    size_t                 i;
    struct store_request  *r, *next, *all;

    all = s->first;
    s->first = NULL;
    s->last = &s->first;

    for (r = all; r != NULL; r = r->next) {

        switch (r->call) {

        case STORE_APPEND:
            model_lite_append((struct store_append *) r);
            break;

        case STORE_CURSORS_PUT:
            for (i = 0; i < ((struct store_cursors_put *) r)->count; i++) {
                ((struct store_cursors_put *) r)->cursors[i].above =
                    !base_cursor_put(&((struct store_cursors_put *) r)
                                     ->cursors[i]);
            }
            break;

        case STORE_MARK_PUT:
            if (((struct store_mark_put *) r)->row > model_mark) {
                model_mark = ((struct store_mark_put *) r)->row;
            }
            break;

        default:
            break;
        }
    }

    base_commit = base_last;

    for (r = all; r != NULL; r = next) {
        next = r->next;
        store_model_read(r, base_commit);

        if (r->call == STORE_APPEND) {
            s->queued -= ((struct store_append *) r)->count;
        }

        model_done(s, r, STORE_OK, "");
    }
}


static void
model_lite_append(struct store_append *a)
{
    size_t                 i;
    unsigned               log;
    struct base_doc       *d;
    struct store_message  *m;

    for (i = 0; i < a->count; i++) {
        m = &a->messages[i];
        log = base_log(m->log);

        if (m->key.len != 0 && !plant(PLANT_NO_KEY)
            && (d = base_by_key(log, m->key, base_last)) != NULL)
        {
            m->outcome = memcmp(d->hash, m->hash, STORE_HASH_LEN) == 0
                         ? STORE_DUPLICATE : STORE_CONFLICT;
            m->seq = d->seq;
            m->ts_ms = d->ts_ms;
            m->expires = d->expires;
            m->row = 0;
            continue;
        }

        m->seq = base_tip(log, base_last) + 1;
        (void) base_insert(log, m->seq, m);
        m->row = base_last;
        m->outcome = STORE_STORED;
    }
}


/* --- the replica set: the other calls ------------------------------------ */

static void
model_copy_cursors(struct model_call *call,
    const struct store_cursors_put *put)
{
    size_t  i;

    call->count = put->count;
    call->cursors = sim_alloc(put->count * sizeof(*call->cursors));

    for (i = 0; i < put->count; i++) {
        call->cursors[i] = put->cursors[i];
        call->cursors[i].log = store_model_str(put->cursors[i].log);
        call->cursors[i].uid = store_model_str(put->cursors[i].uid);
        call->cursors[i].device = store_model_str(put->cursors[i].device);
    }
}


static void
model_call_apply(struct set_command *c)
{
    size_t              i;
    struct model_call  *call = c->data;

    if (c->read) {

        if (call->r != NULL) {
            store_model_read(call->r, plant(PLANT_EARLY_REPLAY) ? base_last
                                                          : c->view);
        }

        return;
    }

    for (i = 0; i < call->count; i++) {
        call->cursors[i].above = !base_cursor_put(&call->cursors[i]);
    }

    c->op = base_last;
}


static void
model_call_done(struct set_command *c)
{
    size_t                     i;
    struct model_call         *call = c->data;
    struct store_request      *r = call->r;
    struct store_cursors_put  *put = (struct store_cursors_put *) r;
    struct model_call        **at;

    if (r == NULL || !call->store->proc->up) {
        return;
    }

    if (c->known && r->call == STORE_CURSORS_PUT) {
        for (i = 0; i < call->count; i++) {
            put->cursors[i].above = call->cursors[i].above;
        }
    }

    call->r = NULL;

    for (at = &call->store->calls; *at != call; at = &(*at)->next) {
        /* void */
    }

    *at = call->next;

    model_done(call->store, r, c->known ? STORE_OK : STORE_UNAVAILABLE,
               c->known ? "" : "no answer of a majority");
}


static void
model_done(struct store_model *s, struct store_request *r,
    enum store_result result, const char *error)
{
    size_t                i;
    struct store_append  *a = (struct store_append *) r;

    (void) s;

    r->result = result;
    snprintf(r->error, sizeof(r->error), "%s", error);

    if (r->call == STORE_APPEND && result != STORE_OK) {
        for (i = 0; i < a->count; i++) {
            a->messages[i].outcome = STORE_UNKNOWN;
            a->messages[i].text = r->error;
        }
    }

    r->done(r);
}
