/*
 * set: the replica set: a primary, a majority behind it, elections
 */

#include "set.h"

#include <string.h>

#include "net.h"
#include "plant.h"

#define SET_TIMEOUT_MS   3000       /* a collector waits for an answer */
#define SET_ELECTION_MS  6000       /* at most */
#define SET_OPS          65536
#define SET_VIEWS        64

struct set_replicated {
    int64_t op;
    int64_t at_us;
};

uint64_t  set_stepdowns, set_rolled_back;

static int64_t                set_primary_us;   /* from when there is one */
static int64_t                set_lag_us;       /* slow until */
static int64_t                set_last_us;      /* of the youngest op */
static struct set_replicated  set_queue[SET_OPS];
static size_t                 set_first, set_count;
static int64_t                set_queued;       /* ops up to it are in queue */
static struct set_command    *set_waiting;
static struct set_replicated  set_views[SET_VIEWS];     /* of commit */
static size_t                 set_view;
static struct sim_event       set_timer;
static unsigned               set_life;

static void set_arrive(void *data);
static void set_advance(void *data);
static void set_answer(struct set_command *c, bool known);
static void set_come(void *data);
static void set_time_out(void *data);
static void set_wake(int64_t above, bool known);


void
set_init(void)
{
    set_primary_us = 0;
    set_lag_us = 0;
    set_last_us = 0;
    set_first = set_count = 0;
    set_queued = 0;
    set_waiting = NULL;
    set_view = 0;
    memset(set_views, 0, sizeof(set_views));
    memset(&set_timer, 0, sizeof(set_timer));
    set_timer.fn = set_advance;
}


void
set_send(struct set_command *c)
{
    int64_t  us;

    c->life = set_life;
    sim_after(MS(SET_TIMEOUT_MS) + sim_below(500000), set_time_out, c,
              c->proc);

    us = net_delay();

    if (net_lost(c->proc->place, PLACE_STORE)) {
        return;
    }

    if (!c->read && sim_fault(FAULT_ZOMBIE) && sim_chance(20)) {
        us += MS(SET_TIMEOUT_MS) + sim_below(6000000);
    }

    sim_after(us, set_arrive, c, NULL);
}


static void
set_arrive(void *data)
{
    struct set_command  *c = data;

    if (c->life != set_life) {
        return;
    }

    if (c->read && c->certain && sim.now_us < set_primary_us) {
        set_answer(c, false);
        return;
    }

    if (c->read) {
        c->view = c->certain ? base_commit : set_majority();
        c->apply(c);
        set_answer(c, true);
        return;
    }

    if (sim.now_us < set_primary_us) {

        /* some drivers wait for the election, some are told at once */

        if (sim_chance(500)) {
            sim_after(set_primary_us - sim.now_us + sim_below(1000),
                      set_arrive, c, NULL);

        } else {
            set_answer(c, false);
        }

        return;
    }

    c->apply(c);

    if (!c->later) {
        set_applied(c);
    }
}


void
set_applied(struct set_command *c)
{
    if (c->life != set_life) {
        return;
    }

    set_done();

    if (plant(PLANT_W1) || c->op <= base_commit) {
        set_answer(c, true);
        return;
    }

    c->next = set_waiting;
    set_waiting = c;
}


void
set_done(void)
{
    int64_t  at_us;

    while (set_queued < base_last) {
        at_us = sim.now_us + sim_about(sim.mix.lag_us);

        if (set_lag_us > at_us) {
            at_us = set_lag_us + sim_below(20000);
        }

        if (at_us < set_last_us) {
            at_us = set_last_us;
        }

        set_last_us = at_us;
        set_queue[(set_first + set_count++) % SET_OPS] =
            (struct set_replicated) { ++set_queued, at_us };
    }

    if (set_count > 0 && set_timer.place == 0) {
        sim_at(&set_timer, set_queue[set_first].at_us);
    }
}


static void
set_advance(void *data)
{
    struct set_replicated  *r;

    (void) data;

    while (set_count > 0) {
        r = &set_queue[set_first];

        if (r->at_us > sim.now_us) {
            sim_at(&set_timer, r->at_us);
            break;
        }

        base_commit = r->op;
        set_first = (set_first + 1) % SET_OPS;
        set_count--;
    }

    set_views[set_view++ % SET_VIEWS] =
        (struct set_replicated) { base_commit, sim.now_us };

    set_wake(base_commit, true);
}


int64_t
set_majority(void)
{
    size_t   i;
    int64_t  before_us;

    if (!sim_fault(FAULT_STALE_READ) || !sim_chance(300)) {
        return base_commit;
    }

    before_us = sim.now_us - sim_below(2000000);

    for (i = set_view; i > 0 && i + SET_VIEWS > set_view; i--) {
        if (set_views[(i - 1) % SET_VIEWS].at_us <= before_us) {
            i = (i - 1) % SET_VIEWS;
            return set_views[i].op < base_commit ? set_views[i].op
                                                 : base_commit;
        }
    }

    return base_commit;
}


/* The new primary has all that is majority, and perhaps some more. */
void
set_step_down(void)
{
    int64_t  kept;

    kept = base_commit;

    if (sim_chance(500)) {
        kept += sim_below((uint32_t) (base_last - base_commit) + 1);
    }

    sim_trace("store: step-down, commit %lld, kept %lld of %lld",
              (long long) base_commit, (long long) kept,
              (long long) base_last);

    set_stepdowns++;
    set_rolled_back += (uint64_t) (base_last - kept);
    base_roll_back(kept);

    set_primary_us = sim.now_us + MS(100)
                     + sim_below(MS(SET_ELECTION_MS));
    set_lag_us = 0;
    set_last_us = set_primary_us;
    set_first = set_count = 0;
    set_queued = base_commit;
    sim_cancel(&set_timer);
    set_done();

    set_wake(INT64_MAX, false);
}


void
set_lag(int64_t us)
{
    set_lag_us = sim.now_us + us;
}


void
set_restore(int64_t op)
{
    set_life++;
    base_roll_back(op);
    base_commit = op;
    set_view = 0;
    memset(set_views, 0, sizeof(set_views));
    set_first = set_count = 0;
    set_queued = op;
    sim_cancel(&set_timer);
    set_wake(INT64_MAX, false);
}


/* Those whose op is at most this. */
static void
set_wake(int64_t op, bool known)
{
    struct set_command  *c, **at;

    for (at = &set_waiting; (c = *at) != NULL; ) {

        if (c->op > op) {
            at = &c->next;
            continue;
        }

        *at = c->next;
        set_answer(c, known);
    }
}


static void
set_answer(struct set_command *c, bool known)
{
    if (c->answered) {
        return;
    }

    if (known && !c->read && sim_fault(FAULT_LOST_ANSWER) && sim_chance(30)) {
        return;
    }

    if (net_lost(PLACE_STORE, c->proc->place)) {
        return;
    }

    c->known = known;
    sim_after(net_delay(), set_come, c, c->proc);
}


static void
set_come(void *data)
{
    struct set_command  *c = data;

    if (!c->answered) {
        c->answered = true;
        c->done(c);
    }
}


static void
set_time_out(void *data)
{
    struct set_command  *c = data;

    if (!c->answered) {
        c->answered = true;
        c->known = false;
        c->done(c);
    }
}
