/*
 * ngx_http_push_batch: the items of one deliver body, in all workers
 *
 *     item --> carried out here
 *         \--> parcel of each slot that it concerns (batch_parcel.c)
 *     all parts answered, or 300 ms: unknown, the slot is late --> done
 *
 * in:   items; out: answers
 * owns: batches, who is late
 *
 * A slot that missed a deadline is late: it still gets parcels, but nobody
 * waits for it until it answers anything again.
 */

#include "ngx_http_push_batch_state.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_item.h"
#include "ngx_http_push_latency.h"
#include "ngx_http_push_slot.h"


#define NGX_HTTP_PUSH_BATCH_DEADLINE_MS  300


static void ngx_http_push_batch_targets(ngx_http_push_batch_t *b);
static ngx_int_t ngx_http_push_batch_slot(const struct push_lines_item *item,
    ngx_uint_t *slot);
static void ngx_http_push_batch_handler(ngx_event_t *ev);
static void ngx_http_push_batch_free(ngx_http_push_batch_t *b);


ngx_int_t
ngx_http_push_batch_init(ngx_http_push_worker_t *w)
{
    w->batches = ngx_calloc(sizeof(ngx_http_push_batches_t), ngx_cycle->log);
    if (w->batches == NULL) {
        return NGX_ERROR;
    }

    ngx_queue_init(&w->batches->waiting);

    return NGX_OK;
}


void
ngx_http_push_batch_exit(ngx_http_push_worker_t *w)
{
    ngx_uint_t                i;
    ngx_queue_t              *q;
    ngx_http_push_batches_t  *batches;

    batches = w->batches;

    if (batches == NULL) {
        return;
    }

    while (!ngx_queue_empty(&batches->waiting)) {
        q = ngx_queue_head(&batches->waiting);
        ngx_http_push_batch_free(ngx_queue_data(q, ngx_http_push_batch_t,
                                                link));
    }

    for (i = 0; i < NGX_HTTP_PUSH_SLOTS_MAX; i++) {
        if (batches->parcel[i]) {
            ngx_free(batches->parcel[i]);
        }
    }

    ngx_free(batches);
    w->batches = NULL;
}


/* --- the asking worker --------------------------------------------------- */

ngx_http_push_batch_t *
ngx_http_push_batch_create(ngx_uint_t max, struct push_str epoch,
    ngx_http_push_batch_pt done, void *data)
{
    u_char                  *p;
    ngx_uint_t               i;
    ngx_http_push_batch_t   *b;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    b = ngx_alloc(offsetof(ngx_http_push_batch_t, answers)
                  + max * sizeof(struct push_lines_answer), ngx_cycle->log);
    if (b == NULL) {
        return NULL;
    }

    ngx_memzero(b, offsetof(ngx_http_push_batch_t, answers));

    for (i = 0; i < max; i++) {
        b->answers[i].reply = PUSH_LINES_NONE;
        b->answers[i].count = 0;
    }

    b->at_us = ngx_http_push_latency_now();
    ngx_http_push_latency_begin(b->at_us);

    b->id = ++w->batches->last_id;
    b->done = done;
    b->data = data;
    b->max = max;

    b->event.handler = ngx_http_push_batch_handler;
    b->event.data = b;
    b->event.log = ngx_cycle->log;

    ngx_queue_init(&b->parts);
    ngx_queue_insert_tail(&w->batches->waiting, &b->link);

    if (epoch.len) {
        ngx_http_push_delivery_epoch(epoch);

    } else {
        epoch = PUSH_STR("0");
        b->epoch_unknown = 1;
    }

    p = ngx_sprintf(b->epoch, "epoch %*s\n", epoch.len, epoch.data);
    b->epoch_len = p - b->epoch;

    ngx_http_push_batch_targets(b);

    return b;
}


/* All other workers that may have connections, those that leave too. */

static void
ngx_http_push_batch_targets(ngx_http_push_batch_t *b)
{
    ngx_uint_t               i;
    ngx_http_push_slot_t    *slot;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    for (i = 0; i < w->zone->slots; i++) {
        slot = &w->zone->slot[i];

        if (slot->state == NGX_HTTP_PUSH_SLOT_FREE || i == w->slot_number) {
            continue;
        }

        if (w->batches->late[i] != slot->generation + 1) {
            w->batches->late[i] = 0;

        } else if (!ngx_http_push_slot_alive(slot)) {
            continue;           /* killed, and its connections with it */
        }

        b->target[b->targets++] = i;
    }
}


ngx_int_t
ngx_http_push_batch_item(ngx_http_push_batch_t *b,
    const struct push_lines_item *item)
{
    ngx_int_t                rc;
    ngx_uint_t               i, slot, index;
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    if (b->n == b->max) {
        return NGX_ERROR;
    }

    index = b->n++;

    rc = ngx_http_push_batch_slot(item, &slot);

    if (rc == NGX_DECLINED) {
        return NGX_OK;                          /* none */
    }

    if (rc == NGX_OK && slot != w->slot_number) {
        ngx_http_push_batch_add(b, slot, item, index);
        return NGX_OK;
    }

    push_lines_answer_add(&b->answers[index], ngx_http_push_item(item));

    if (rc == NGX_AGAIN) {
        for (i = 0; i < b->targets; i++) {
            ngx_http_push_batch_add(b, b->target[i], item, index);
        }
    }

    return NGX_OK;
}


/*
 * NGX_OK: only *slot; NGX_AGAIN: all of them; NGX_DECLINED: nobody, as the
 * connection is of another start or of a worker that has gone.
 */

static ngx_int_t
ngx_http_push_batch_slot(const struct push_lines_item *item, ngx_uint_t *slot)
{
    ngx_http_push_slot_t  *s;
    ngx_http_push_zone_t  *zone;

    switch (item->verb) {

    case PUSH_LINES_BEGIN:
    case PUSH_LINES_GROUPS:
    case PUSH_LINES_CONN:
    case PUSH_LINES_VOID:
    case PUSH_LINES_TIP:
    case PUSH_LINES_RESET:
    case PUSH_LINES_CLOSE:
    case PUSH_LINES_EXTEND:
    case PUSH_LINES_SENT:
        break;

    default:
        return NGX_AGAIN;
    }

    zone = ngx_http_push_worker->zone;
    *slot = push_conn_slot(item->id.conn);

    if (item->id.instance != zone->instance || *slot >= zone->slots) {
        return NGX_DECLINED;
    }

    s = &zone->slot[*slot];

    if (s->state == NGX_HTTP_PUSH_SLOT_FREE
        || s->generation != push_conn_generation(item->id.conn))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_http_push_batch_sum(ngx_http_push_batch_t *b, const uint16_t *indexes,
    ngx_uint_t count, enum push_lines_reply reply)
{
    ngx_uint_t                i;
    struct push_lines_answer  answer;

    answer.reply = reply;
    answer.count = 0;

    for (i = 0; i < count; i++) {
        push_lines_answer_add(&b->answers[indexes[i]], answer);
    }
}


void
ngx_http_push_batch_end(ngx_http_push_batch_t *b)
{
    ngx_uint_t                     i;
    ngx_http_push_batches_t       *batches;
    ngx_http_push_batch_parcel_t  *parcel;

    batches = ngx_http_push_worker->batches;

    for (i = 0; i < ngx_http_push_worker->zone->slots; i++) {
        parcel = batches->parcel[i];

        if (parcel && parcel->len && parcel->batch == b) {
            ngx_http_push_batch_flush(b, i);
        }
    }

    b->ended = 1;

    if (ngx_queue_empty(&b->parts)) {
        ngx_post_event(&b->event, &ngx_posted_events);

    } else {
        /* not cancelable: a leaving worker still answers its dispatcher */
        ngx_add_timer(&b->event, NGX_HTTP_PUSH_BATCH_DEADLINE_MS);
    }
}


struct push_lines_answer *
ngx_http_push_batch_answers(ngx_http_push_batch_t *b, ngx_uint_t *n)
{
    *n = b->n;
    return b->answers;
}


void
ngx_http_push_batch_destroy(ngx_http_push_batch_t *b)
{
    if (b->finished || !b->ended) {
        ngx_http_push_batch_free(b);

    } else {
        b->abandoned = 1;       /* the items are carried out all the same */
    }
}


/* The deadline, or the end of a batch that nobody else had to answer. */

static void
ngx_http_push_batch_handler(ngx_event_t *ev)
{
    ngx_queue_t                 *q;
    ngx_http_push_slot_t        *slot;
    ngx_http_push_batch_t       *b;
    ngx_http_push_worker_t      *w;
    ngx_http_push_batch_part_t  *part;

    b = ev->data;
    w = ngx_http_push_worker;

    while (!ngx_queue_empty(&b->parts)) {
        q = ngx_queue_head(&b->parts);
        ngx_queue_remove(q);
        part = ngx_queue_data(q, ngx_http_push_batch_part_t, link);
        slot = &w->zone->slot[part->slot];

        w->batches->late[part->slot] = (uint32_t) slot->generation + 1;

        if (ngx_http_push_slot_alive(slot)) {
            ngx_http_push_batch_sum(b, part->indexes, part->count,
                                    PUSH_LINES_UNKNOWN);
            ngx_http_push_count(inbox_late);
        }

        ngx_free(part);
    }

    ngx_http_push_batch_finish(b);
}


void
ngx_http_push_batch_finish(ngx_http_push_batch_t *b)
{
    b->finished = 1;

    if (b->abandoned || b->done == NULL) {
        ngx_http_push_batch_free(b);
        return;
    }

    if (b->event.timer_set) {
        ngx_del_timer(&b->event);
    }

    ngx_queue_remove(&b->link);
    ngx_queue_init(&b->link);

    b->done(b, b->data);
}


static void
ngx_http_push_batch_free(ngx_http_push_batch_t *b)
{
    ngx_uint_t                     i;
    ngx_queue_t                   *q;
    ngx_http_push_batches_t       *batches;
    ngx_http_push_batch_parcel_t  *parcel;

    batches = ngx_http_push_worker->batches;

    for (i = 0; !b->ended && i < NGX_HTTP_PUSH_SLOTS_MAX; i++) {
        parcel = batches->parcel[i];

        if (parcel && parcel->len && parcel->batch == b) {
            parcel->len = 0;
            parcel->batch = NULL;
        }
    }

    while (!ngx_queue_empty(&b->parts)) {
        q = ngx_queue_head(&b->parts);
        ngx_queue_remove(q);
        ngx_free(ngx_queue_data(q, ngx_http_push_batch_part_t, link));
    }

    if (b->event.timer_set) {
        ngx_del_timer(&b->event);
    }

    if (b->event.posted) {
        ngx_delete_posted_event(&b->event);
    }

    ngx_queue_remove(&b->link);
    ngx_free(b);
}


