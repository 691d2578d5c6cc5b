/*
 * store_read: what reads of the store give
 *
 * in:   a request, the op up to which it sees.  out: its results, of the
 *       run's memory.  owns: nothing
 */

#include "store_state.h"

#include "daemons.h"
#include "plant.h"

static void model_page(struct store_read *r, int64_t view);
static void model_tail(struct store_tail *t);


void
store_model_read(struct store_request *r, int64_t view)
{
    size_t                     i;
    struct store_cursors_get  *get = (struct store_cursors_get *) r;

    switch (r->call) {

    case STORE_READ:
        model_page((struct store_read *) r, view);
        break;

    case STORE_CURSORS_GET:
        for (i = 0; i < get->count; i++) {
            base_place(&get->places[i], view);
        }
        break;

    case STORE_TAIL:
        model_tail((struct store_tail *) r);
        break;

    default:
        break;
    }
}


static void
model_gone(struct store_read *r, int64_t from, int64_t to)
{
    struct store_item  *item;

    if (r->count > 0 && r->items[r->count - 1].why != NULL) {
        r->items[r->count - 1].to = to;
        return;
    }

    item = &r->items[r->count++];
    item->seq = from;
    item->to = to;
    item->why = "expired";
}


static void
model_page(struct store_read *r, int64_t view)
{
    size_t              bytes;
    int64_t             seq;
    unsigned            log;
    struct base_doc    *d;
    struct store_item  *item;

    log = base_log(r->log);
    r->floor = base_floor(log, view);
    r->tip = base_tip(log, view);
    r->items = sim_alloc((r->max + 1) * sizeof(*r->items));
    r->count = 0;
    r->last = r->after;
    bytes = 0;

    if (r->after < r->floor && r->floor <= r->tip) {
        model_gone(r, r->after + 1, r->floor);
        r->last = r->floor;
    }

    for (seq = r->last + 1; seq <= r->tip; seq++) {

        if (plant(PLANT_TIMESTAMP)) {
            d = base_next(log, seq - 1, view);
            seq = d->seq;

        } else {
            d = base_by_seq(log, seq, view);
        }

        if (d == NULL || d->stubbed <= view || base_expired(d)) {

            if (r->count == r->max && r->items[r->count - 1].why == NULL) {
                break;
            }

            model_gone(r, seq, seq);
            r->last = seq;
            continue;
        }

        if (r->count == r->max
            || (r->count > 0 && bytes + d->data.len > r->max_bytes))
        {
            break;
        }

        item = &r->items[r->count++];
        item->seq = seq;
        item->to = seq;
        item->ts_ms = d->ts_ms;
        item->expires = d->expires;
        item->data = d->data;
        bytes += d->data.len;
        r->last = seq;
    }
}


static void
model_tail(struct store_tail *t)
{
    int64_t             row;
    struct base_doc    *d;
    struct store_item  *item;

    t->items = sim_alloc(t->max * sizeof(*t->items));
    t->count = 0;
    t->last = t->after;

    while (t->count < t->max && (d = base_row(t->last, &row)) != NULL
           && (t->until == 0 || row <= t->until))
    {
        t->last = row;

        if (base_expired(d)) {
            continue;
        }

        item = &t->items[t->count++];
        item->log = daemons_log(d->log);
        item->seq = d->seq;
        item->ts_ms = d->ts_ms;
        item->expires = d->expires;
        item->data = d->data;
        item->row = row;
    }
}
