/*
 * collector_repair: what an earlier process did not hand over, and the mark
 */

#include "collector_repair.h"

#include <stdlib.h>
#include <string.h>

#include "collector_hand_over.h"
#include "fault_point.h"

#define REPAIR_ITEMS    1000
#define REPAIR_BYTES    PUSH_BODY_MAX
#define REPAIR_ERROR_MS 1000        /* after an error of the store */

/* repair is NULL once its owner has gone: `done` frees the request then. */
struct repair_tail {
    struct store_tail        t;
    struct collector_repair *repair;
    bool                     busy;
};

struct repair_mark {
    struct store_mark_put    m;
    struct collector_repair *repair;
    bool                     busy;
};

struct collector_repair {
    struct collector             *c;
    struct collector_mark        *mark;
    const struct collector_debts *debts;
    struct repair_tail           *tail;
    struct repair_mark           *put;
    int64_t                       not_before_ms;
    bool                          told;     /* the end, in the log */
};

static void repair_tail_done(struct store_request *request);
static void repair_mark_done(struct store_request *request);


struct collector_repair *
collector_repair_create(struct collector *c, struct collector_mark *mark,
    const struct collector_debts *debts)
{
    struct collector_repair  *r;

    r = calloc(1, sizeof(*r));
    if (r == NULL) {
        return NULL;
    }

    r->c = c;
    r->mark = mark;
    r->debts = debts;
    r->told = !mark->repairing;

    r->tail = calloc(1, sizeof(*r->tail));
    r->put = calloc(1, sizeof(*r->put));

    if (r->tail == NULL || r->put == NULL) {
        free(r->tail);
        free(r->put);
        free(r);
        return NULL;
    }

    r->tail->repair = r;
    r->put->repair = r;

    if (mark->repairing) {
        log_info(c->log, "repair_begins", "row=%lld",
                 (long long) mark->put);
    }

    return r;
}


void
collector_repair_destroy(struct collector_repair *r)
{
    if (r->tail->busy) {
        r->tail->repair = NULL;

    } else {
        free(r->tail);
    }

    if (r->put->busy) {
        r->put->repair = NULL;

    } else {
        free(r->put);
    }

    free(r);
}


void
collector_repair_run(struct collector_repair *r)
{
    struct store_tail                 *t = &r->tail->t;
    struct collector_hand_over_state   state;

    if (r->told || r->tail->busy || r->mark->repair.count != 0) {
        return;
    }

    memset(t, 0, sizeof(*t));

    if (!collector_mark_repair(r->mark, &t->after, &t->until)) {
        r->mark->repairing = false;
        r->told = true;

        log_info(r->c->log, "repair_ended", "row=%lld",
                 (long long) r->mark->repaired);
        return;
    }

    collector_hand_over_state(r->c, &state);

    if (state.peers_up == 0 || daemon_monotonic_ms() < r->not_before_ms) {
        return;
    }

    t->r.done = repair_tail_done;
    t->r.data = r->tail;
    t->max = REPAIR_ITEMS;
    t->max_bytes = REPAIR_BYTES;

    r->tail->busy = store_tail(r->c->store, t) == PUSH_OK;
}


void
collector_repair_mark(struct collector_repair *r)
{
    int64_t                 row;
    struct store_mark_put  *m = &r->put->m;

    row = collector_mark_row(r->mark, collector_debts_row(r->debts));

    if (r->put->busy || row <= r->mark->put) {
        return;
    }

    memset(m, 0, sizeof(*m));

    m->r.done = repair_mark_done;
    m->r.data = r->put;
    m->row = row;

    r->put->busy = store_mark_put(r->c->store, m) == PUSH_OK;
}


static void
repair_tail_done(struct store_request *request)
{
    size_t                     i;
    struct repair_tail        *tail = request->data;
    struct store_tail         *t = &tail->t;
    struct collector_repair   *r = tail->repair;
    struct collector_message   m;

    tail->busy = false;

    if (r == NULL) {
        store_release(request);
        free(tail);
        return;
    }

    if (request->result != STORE_OK) {
        log_error(r->c->log, "repair_failed", "reason=%s", request->error);
        r->not_before_ms = daemon_monotonic_ms() + REPAIR_ERROR_MS;
        store_release(request);
        return;
    }

    for (i = 0; i < t->count; i++) {
        memset(&m, 0, sizeof(m));
        m.log = t->items[i].log;
        m.data = t->items[i].data;
        m.seq = t->items[i].seq;
        m.ts_ms = t->items[i].ts_ms;
        m.expires = t->items[i].expires;
        m.row = t->items[i].row;

        collector_hand_over_repair(r->c, &m);
    }

    collector_mark_repaired(r->mark, t->last,
                            t->count == 0 && t->last == t->after);
    store_release(request);
}


static void
repair_mark_done(struct store_request *request)
{
    struct repair_mark       *put = request->data;
    struct collector_repair  *r = put->repair;

    put->busy = false;

    if (r == NULL) {
        free(put);
        return;
    }

    PUSH_FAULT_POINT("mark-written");

    if (request->result == STORE_OK) {
        r->mark->put = put->m.row;
        log_debug(r->c->log, "mark", "row=%lld", (long long) put->m.row);
    }
}
