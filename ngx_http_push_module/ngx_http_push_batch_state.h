/*
 * ngx_http_push_batch_state: what the two files of batch share
 */

#ifndef NGX_HTTP_PUSH_BATCH_STATE_H
#define NGX_HTTP_PUSH_BATCH_STATE_H

#include "ngx_http_push_batch.h"
#include "ngx_http_push_slot.h"

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
    uint64_t                    at_us;          /* the body was here */
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

/* The item goes into the slot's parcel; index: its place in b. */
void ngx_http_push_batch_add(ngx_http_push_batch_t *b, ngx_uint_t slot,
    const struct push_lines_item *item, ngx_uint_t index);
/* What was collected for a slot leaves; it is b's and not empty. */
void ngx_http_push_batch_flush(ngx_http_push_batch_t *b, ngx_uint_t slot);

/* Adds one word to the answers of these items. */
void ngx_http_push_batch_sum(ngx_http_push_batch_t *b,
    const uint16_t *indexes, ngx_uint_t count, enum push_lines_reply reply);
/* Calls done; b may be gone afterwards. */
void ngx_http_push_batch_finish(ngx_http_push_batch_t *b);

#endif
