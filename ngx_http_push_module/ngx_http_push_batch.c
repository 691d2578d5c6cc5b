/*
 * ngx_http_push_batch: the items of one deliver body, in all workers
 *
 *     item --> carried out here
 *         \--> parcel of each slot that it concerns --full, end--> inbox
 *     ANSWERS --> the part's items, summed;  300 ms: unknown, slot is late
 *
 * in:   items, parcels; out: answers
 * owns: batches, their parts that are not answered, parcels being filled
 *
 * A slot that missed a deadline is late: it still gets parcels, but nobody
 * waits for it until it answers anything again.
 */

#include "ngx_http_push_batch.h"
#include "ngx_http_push_delivery.h"
#include "ngx_http_push_inbox.h"
#include "ngx_http_push_item.h"
#include "ngx_http_push_slot.h"


#define NGX_HTTP_PUSH_BATCH_DEADLINE_MS  300


/* A parcel of items on its way to a slot. */
typedef struct {
    ngx_queue_t                 link;           /* in batch->parts */
    ngx_uint_t                  slot;
    uint32_t                    number;
    uint32_t                    count;
    uint16_t                    indexes[1];
} ngx_http_push_batch_part_t;

/* A parcel being filled; at most one a slot, within one turn. */
typedef struct {
    size_t                      len;            /* of text; 0: empty */
    ngx_uint_t                  count;
    ngx_http_push_batch_t      *batch;
    uint16_t                    indexes[PUSH_ITEMS_MAX];
    u_char                      data[PUSH_PARCEL_MAX];  /* head, text */
} ngx_http_push_batch_parcel_t;

struct ngx_http_push_batch_s {
    ngx_queue_t                 link;           /* in batches->waiting */
    uint64_t                    id;
    ngx_http_push_batch_pt      done;
    void                       *data;
    ngx_event_t                 event;          /* deadline, or posted */
    ngx_queue_t                 parts;          /* not answered */
    uint32_t                    next_part;
    size_t                      epoch_len;
    u_char                      epoch[PUSH_EPOCH_MAX + sizeof("epoch \n")];
    ngx_uint_t                  max;
    ngx_uint_t                  n;
    ngx_uint_t                  targets;
    u_char                      target[NGX_HTTP_PUSH_SLOTS_MAX];

    unsigned                    epoch_unknown:1;
    unsigned                    ended:1;
    unsigned                    finished:1;
    unsigned                    abandoned:1;    /* destroyed before done */

    struct push_lines_answer    answers[1];
};

struct ngx_http_push_batches_s {
    ngx_queue_t                    waiting;
    uint64_t                       last_id;
    ngx_http_push_batch_parcel_t  *parcel[NGX_HTTP_PUSH_SLOTS_MAX];
    uint32_t                       late[NGX_HTTP_PUSH_SLOTS_MAX];
                                        /* generation + 1 that was; 0: not */
};


static void ngx_http_push_batch_targets(ngx_http_push_batch_t *b);
static ngx_int_t ngx_http_push_batch_slot(const struct push_lines_item *item,
    ngx_uint_t *slot);
static void ngx_http_push_batch_add(ngx_http_push_batch_t *b, ngx_uint_t slot,
    const struct push_lines_item *item, ngx_uint_t index);
static void ngx_http_push_batch_flush(ngx_http_push_batches_t *batches,
    ngx_uint_t slot);
static void ngx_http_push_batch_big(ngx_http_push_batch_t *b, ngx_uint_t slot,
    const struct push_lines_item *item, size_t len, ngx_uint_t index);
static ngx_int_t ngx_http_push_batch_pieces(ngx_http_push_batch_t *b,
    ngx_uint_t slot, const u_char *whole, size_t len);
static void ngx_http_push_batch_head(ngx_http_push_batch_t *b,
    struct push_parcel *p, enum push_parcel_kind kind);
static void ngx_http_push_batch_sent(ngx_http_push_batch_t *b, ngx_uint_t slot,
    uint32_t number, const uint16_t *indexes, ngx_uint_t count, ngx_int_t rc);
static void ngx_http_push_batch_sum(ngx_http_push_batch_t *b,
    const uint16_t *indexes, ngx_uint_t count, enum push_lines_reply reply);
static ngx_int_t ngx_http_push_batch_items(ngx_http_push_worker_t *w,
    const struct push_parcel *p);
static ngx_int_t ngx_http_push_batch_answered(ngx_http_push_worker_t *w,
    const struct push_parcel *p);
static void ngx_http_push_batch_handler(ngx_event_t *ev);
static void ngx_http_push_batch_finish(ngx_http_push_batch_t *b);
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


static void
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
        ngx_http_push_batch_flush(batches, slot);
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

static void
ngx_http_push_batch_flush(ngx_http_push_batches_t *batches, ngx_uint_t slot)
{
    size_t                         len;
    ngx_int_t                      rc;
    ngx_http_push_batch_t         *b;
    struct push_parcel             p;
    ngx_http_push_batch_parcel_t  *parcel;

    parcel = batches->parcel[slot];
    b = parcel->batch;

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


static void
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
            ngx_http_push_batch_flush(batches, i);
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


static void
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


/* --- parcels ------------------------------------------------------------- */

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
    ngx_queue_t                 *q;
    ngx_http_push_batch_t       *b;
    ngx_http_push_batch_part_t  *part;

    w->batches->late[p->from_slot] = 0;

    if (p->to_generation != w->generation) {
        return NGX_OK;          /* for the worker that was here before */
    }

    for (q = ngx_queue_head(&w->batches->waiting);
         q != ngx_queue_sentinel(&w->batches->waiting);
         q = ngx_queue_next(q))
    {
        b = ngx_queue_data(q, ngx_http_push_batch_t, link);

        if (b->id == p->batch) {
            break;
        }
    }

    if (q == ngx_queue_sentinel(&w->batches->waiting)) {
        return NGX_OK;          /* answered at its deadline */
    }

    for (q = ngx_queue_head(&b->parts);
         q != ngx_queue_sentinel(&b->parts);
         q = ngx_queue_next(q))
    {
        part = ngx_queue_data(q, ngx_http_push_batch_part_t, link);

        if (part->slot != p->from_slot || part->number != p->part) {
            continue;
        }

        if (part->count != p->count) {
            return NGX_ERROR;
        }

        for (i = 0; i < part->count; i++) {
            push_lines_answer_add(&b->answers[part->indexes[i]],
                                  push_parcel_answer(p, i));
        }

        ngx_queue_remove(q);
        ngx_free(part);

        if (b->ended && ngx_queue_empty(&b->parts)) {
            ngx_http_push_batch_finish(b);
        }

        break;
    }

    return NGX_OK;
}
