/*
 * ngx_http_push_batch_parcel: items and answers on their way between workers
 *
 *     item --> parcel of a slot --full, end--> inbox      (longer: in pieces)
 *     ITEMS of another worker --> carried out --> ANSWERS
 *     ANSWERS --> the part's items, summed
 *
 * in:   items, parcels; out: parcels, answers
 * owns: parcels being filled, parts that are not answered
 */

#include "ngx_http_push_batch_state.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_inbox.h"
#include "ngx_http_push_item.h"
#include "ngx_http_push_latency.h"


static void ngx_http_push_batch_big(ngx_http_push_batch_t *b, ngx_uint_t slot,
    const struct push_lines_item *item, size_t len, ngx_uint_t index);
static ngx_int_t ngx_http_push_batch_pieces(ngx_http_push_batch_t *b,
    ngx_uint_t slot, const u_char *whole, size_t len);
static void ngx_http_push_batch_head(ngx_http_push_batch_t *b,
    struct push_parcel *p, enum push_parcel_kind kind);
static void ngx_http_push_batch_sent(ngx_http_push_batch_t *b, ngx_uint_t slot,
    uint32_t number, const uint16_t *indexes, ngx_uint_t count, ngx_int_t rc);
static ngx_int_t ngx_http_push_batch_items(ngx_http_push_worker_t *w,
    const struct push_parcel *p);
static ngx_int_t ngx_http_push_batch_answered(ngx_http_push_worker_t *w,
    const struct push_parcel *p);
static ngx_http_push_batch_t *ngx_http_push_batch_find(
    ngx_http_push_batches_t *batches, uint64_t id);
static ngx_http_push_batch_part_t *ngx_http_push_batch_part(
    ngx_http_push_batch_t *b, const struct push_parcel *p);


void
ngx_http_push_batch_add(ngx_http_push_batch_t *b, ngx_uint_t slot,
    const struct push_lines_item *item, ngx_uint_t index)
{
    size_t                         need, left;
    ngx_http_push_batches_t       *batches;
    ngx_http_push_batch_parcel_t  *parcel;

    batches = ngx_http_push_worker->batches;
    parcel = batches->parcel[slot];

    if (parcel == NULL) {
        parcel = ngx_alloc(sizeof(ngx_http_push_batch_parcel_t),
                           ngx_cycle->log);
        if (parcel == NULL) {
            push_lines_answer_add(&b->answers[index],
                (struct push_lines_answer) { PUSH_LINES_UNKNOWN, 0 });
            return;
        }

        parcel->len = 0;
        batches->parcel[slot] = parcel;
    }

    need = push_lines_write(NULL, 0, item);

    /* behind the head, the epoch line and the numbers of all items */

    if (parcel->len
        && (parcel->batch != b
            || PUSH_PARCEL_HEAD + parcel->len + need + 2 * (parcel->count + 1)
               > PUSH_PARCEL_MAX))
    {
        ngx_http_push_batch_flush(parcel->batch, slot);
    }

    if (PUSH_PARCEL_HEAD + b->epoch_len + need + 2 > PUSH_PARCEL_MAX) {
        ngx_http_push_batch_big(b, slot, item, need, index);
        return;
    }

    if (parcel->len == 0) {
        parcel->batch = b;
        parcel->count = 0;
        parcel->len = b->epoch_len;
        ngx_memcpy(parcel->data + PUSH_PARCEL_HEAD, b->epoch, b->epoch_len);
    }

    left = PUSH_PARCEL_MAX - PUSH_PARCEL_HEAD - parcel->len;

    parcel->len += push_lines_write((char *) parcel->data + PUSH_PARCEL_HEAD
                                    + parcel->len, left, item);
    parcel->indexes[parcel->count++] = (uint16_t) index;
}


/* What was collected for a slot leaves. */

void
ngx_http_push_batch_flush(ngx_http_push_batch_t *b, ngx_uint_t slot)
{
    size_t                         len;
    ngx_int_t                      rc;
    struct push_parcel             p;
    ngx_http_push_batch_parcel_t  *parcel;

    parcel = ngx_http_push_worker->batches->parcel[slot];

    ngx_http_push_batch_head(b, &p, PUSH_PARCEL_ITEMS);
    p.part = b->next_part++;
    p.count = parcel->count;
    p.body.len = parcel->len;

    push_parcel_head((char *) parcel->data, &p);

    len = PUSH_PARCEL_HEAD + parcel->len;
    ngx_memcpy(parcel->data + len, parcel->indexes, 2 * parcel->count);
    len += 2 * parcel->count;

    rc = ngx_http_push_inbox_send(ngx_http_push_worker, slot, parcel->data,
                                  len);

    ngx_http_push_batch_sent(b, slot, p.part, parcel->indexes, parcel->count,
                             rc);

    parcel->len = 0;
    parcel->batch = NULL;
}


/* One item that is longer than a datagram: a parcel in pieces. */

static void
ngx_http_push_batch_big(ngx_http_push_batch_t *b, ngx_uint_t slot,
    const struct push_lines_item *item, size_t len, ngx_uint_t index)
{
    size_t               size;
    u_char              *whole, *text;
    uint16_t             number;
    uint32_t             part;
    ngx_int_t            rc;
    struct push_parcel   p;

    number = (uint16_t) index;
    part = b->next_part;
    size = PUSH_PARCEL_HEAD + b->epoch_len + len + 2;
    rc = NGX_DECLINED;

    whole = (size <= PUSH_PARCEL_WHOLE) ? ngx_alloc(size, ngx_cycle->log)
                                        : NULL;
    if (whole) {
        ngx_http_push_batch_head(b, &p, PUSH_PARCEL_ITEMS);
        p.part = part;
        p.count = 1;
        p.body.len = b->epoch_len + len;
        push_parcel_head((char *) whole, &p);

        text = ngx_cpymem(whole + PUSH_PARCEL_HEAD, b->epoch, b->epoch_len);
        (void) push_lines_write((char *) text, len, item);
        push_parcel_index_write((char *) whole + size - 2, number);

        rc = ngx_http_push_batch_pieces(b, slot, whole, size);
        ngx_free(whole);
    }

    b->next_part++;
    ngx_http_push_batch_sent(b, slot, part, &number, 1, rc);
}


static ngx_int_t
ngx_http_push_batch_pieces(ngx_http_push_batch_t *b, ngx_uint_t slot,
    const u_char *whole, size_t len)
{
    size_t               at, n;
    u_char              *piece;
    struct push_parcel   p;

    /* the slot's parcel is empty now: its memory serves */
    piece = ngx_http_push_worker->batches->parcel[slot]->data;

    for (at = 0; at < len; at += n) {
        n = ngx_min(len - at, PUSH_PARCEL_MAX - PUSH_PARCEL_HEAD);

        ngx_http_push_batch_head(b, &p, PUSH_PARCEL_PIECE);
        p.part = b->next_part;
        p.offset = (uint32_t) at;
        p.total = (uint32_t) len;
        p.body.len = n;

        push_parcel_head((char *) piece, &p);
        ngx_memcpy(piece + PUSH_PARCEL_HEAD, whole + at, n);

        if (ngx_http_push_inbox_send(ngx_http_push_worker, slot, piece,
                                     PUSH_PARCEL_HEAD + n)
            != NGX_OK)
        {
            return NGX_DECLINED;
        }
    }

    return NGX_OK;
}


static void
ngx_http_push_batch_head(ngx_http_push_batch_t *b, struct push_parcel *p,
    enum push_parcel_kind kind)
{
    ngx_http_push_worker_t  *w;

    w = ngx_http_push_worker;

    ngx_memzero(p, sizeof(struct push_parcel));

    p->kind = kind;
    p->from_slot = w->slot_number;
    p->from_generation = w->generation;
    p->batch = b->id;
    p->at_us = b->at_us;
    p->epoch_unknown = b->epoch_unknown;
}


/* A part waits for its answers, unless it cannot or need not. */

static void
ngx_http_push_batch_sent(ngx_http_push_batch_t *b, ngx_uint_t slot,
    uint32_t number, const uint16_t *indexes, ngx_uint_t count, ngx_int_t rc)
{
    ngx_http_push_worker_t      *w;
    ngx_http_push_batch_part_t  *part;

    w = ngx_http_push_worker;
    part = NULL;

    if (rc == NGX_OK && w->batches->late[slot] == 0) {
        part = ngx_alloc(offsetof(ngx_http_push_batch_part_t, indexes)
                         + count * sizeof(uint16_t), ngx_cycle->log);
    }

    if (part == NULL) {
        ngx_http_push_batch_sum(b, indexes, count, PUSH_LINES_UNKNOWN);
        return;
    }

    part->slot = slot;
    part->number = number;
    part->count = (uint32_t) count;
    ngx_memcpy(part->indexes, indexes, count * sizeof(uint16_t));

    ngx_queue_insert_tail(&b->parts, &part->link);
}


/* --- what comes in ------------------------------------------------------- */

ngx_int_t
ngx_http_push_batch_parcel(ngx_http_push_worker_t *w,
    const struct push_parcel *p)
{
    return p->kind == PUSH_PARCEL_ITEMS ? ngx_http_push_batch_items(w, p)
                                        : ngx_http_push_batch_answered(w, p);
}


/* Another worker's items, for our connections. */

static ngx_int_t
ngx_http_push_batch_items(ngx_http_push_worker_t *w,
    const struct push_parcel *p)
{
    u_char                  *to;
    ngx_uint_t               n;
    struct push_lines        lines;
    struct push_parcel       reply;
    struct push_lines_item   item;

    u_char  data[PUSH_PARCEL_HEAD + PUSH_PARCEL_ANSWER * PUSH_ITEMS_MAX];

    push_lines_init(&lines, p->body.data, p->body.len, 0);

    if (push_lines_next(&lines, &item) != PUSH_OK) {
        return NGX_ERROR;
    }

    if (!p->epoch_unknown) {
        ngx_http_push_delivery_epoch(item.epoch);
    }

    ngx_http_push_latency_begin(p->at_us);

    to = data + PUSH_PARCEL_HEAD;

    for (n = 0; n < p->count; n++) {
        if (push_lines_next(&lines, &item) != PUSH_OK) {
            return NGX_ERROR;
        }

        push_parcel_answer_write((char *) to, ngx_http_push_item(&item));
        to += PUSH_PARCEL_ANSWER;
    }

    ngx_memzero(&reply, sizeof(struct push_parcel));

    reply.kind = PUSH_PARCEL_ANSWERS;
    reply.from_slot = w->slot_number;
    reply.from_generation = w->generation;
    reply.to_generation = p->from_generation;
    reply.batch = p->batch;
    reply.part = p->part;
    reply.count = p->count;
    reply.body.len = PUSH_PARCEL_ANSWER * p->count;

    push_parcel_head((char *) data, &reply);

    /* no room: the deadline answers */
    (void) ngx_http_push_inbox_send(w, p->from_slot, data, to - data);

    return NGX_OK;
}


static ngx_int_t
ngx_http_push_batch_answered(ngx_http_push_worker_t *w,
    const struct push_parcel *p)
{
    ngx_uint_t                   i;
    ngx_http_push_batch_t       *b;
    ngx_http_push_batch_part_t  *part;

    w->batches->late[p->from_slot] = 0;

    if (p->to_generation != w->generation) {
        return NGX_OK;          /* for the worker that was here before */
    }

    b = ngx_http_push_batch_find(w->batches, p->batch);
    part = b ? ngx_http_push_batch_part(b, p) : NULL;

    if (part == NULL) {
        return NGX_OK;          /* answered at its deadline */
    }

    if (part->count != p->count) {
        return NGX_ERROR;
    }

    for (i = 0; i < part->count; i++) {
        push_lines_answer_add(&b->answers[part->indexes[i]],
                              push_parcel_answer(p, i));
    }

    ngx_queue_remove(&part->link);
    ngx_free(part);

    if (b->ended && ngx_queue_empty(&b->parts)) {
        ngx_http_push_batch_finish(b);
    }

    return NGX_OK;
}


static ngx_http_push_batch_t *
ngx_http_push_batch_find(ngx_http_push_batches_t *batches, uint64_t id)
{
    ngx_queue_t            *q;
    ngx_http_push_batch_t  *b;

    for (q = ngx_queue_head(&batches->waiting);
         q != ngx_queue_sentinel(&batches->waiting);
         q = ngx_queue_next(q))
    {
        b = ngx_queue_data(q, ngx_http_push_batch_t, link);

        if (b->id == id) {
            return b;
        }
    }

    return NULL;
}


static ngx_http_push_batch_part_t *
ngx_http_push_batch_part(ngx_http_push_batch_t *b, const struct push_parcel *p)
{
    ngx_queue_t                 *q;
    ngx_http_push_batch_part_t  *part;

    for (q = ngx_queue_head(&b->parts);
         q != ngx_queue_sentinel(&b->parts);
         q = ngx_queue_next(q))
    {
        part = ngx_queue_data(q, ngx_http_push_batch_part_t, link);

        if (part->slot == p->from_slot && part->number == p->part) {
            return part;
        }
    }

    return NULL;
}
