/*
 * collector_item: what waits for a dispatcher, and the queues it waits in
 *
 *     new --> a peer's queue --> in flight --> done
 *               ^                   |
 *               +---- waiting <-----+ unknown       (see hand_over, peer)
 *
 * An item is in one queue at a time; a stored one with a row is in the order
 * of rows as well, from new to done.
 *
 * Pure but for the allocation in create.
 */

#ifndef COLLECTOR_ITEM_H
#define COLLECTOR_ITEM_H

#include "push.h"

#define RETRY_MS      500           /* doubled to */
#define RETRY_MAX_MS  8000
#define RETRY_LEVELS  5             /* different waits: 0.5, 1, 2, 4, 8 s */
#define RETRY_ALL_MS  30000         /* from the first try to the last */

enum collector_item_kind {
    ITEM_STORED,                    /* tried again, then owed */
    ITEM_LIVE,                      /* ephemeral: once */
    ITEM_ANSWER                     /* to a request, for one node: once */
};

struct collector_item {
    struct collector_item   *next;      /* of its queue */
    struct collector_item   *before;    /* of the order of rows */
    struct collector_item   *after;
    int64_t                  row;       /* 0: in no order */
    int64_t                  since_ms;  /* when it came; monotonic */
    int64_t                  due_ms;    /* while it waits */
    uint8_t                  kind;
    uint8_t                  tries;     /* answered `unknown` */
    uint8_t                  repair;    /* of an earlier process */
    uint16_t                 lines;
    uint16_t                 key_len;
    uint16_t                 node_len;  /* 0: looked up */
    uint32_t                 text_len;
    char                     bytes[];   /* key, node, text */
};

struct collector_item_queue {
    struct collector_item *first;
    struct collector_item *last;
};

/*
 * All is copied; kind, lines, row are the caller's to set.  NULL: out of
 * memory.  To be freed by free().
 */
struct collector_item *collector_item_create(struct push_str key,
    struct push_str node, struct push_str text, int64_t now_ms);

/* What collector_item_size() of such an item will be. */
static inline size_t
collector_item_need(struct push_str key, struct push_str node,
    struct push_str text)
{
    return sizeof(struct collector_item) + key.len + node.len + text.len;
}


/* How long to wait after so many tries. */
static inline int64_t
collector_retry_ms(unsigned tries)
{
    return tries >= RETRY_LEVELS - 1 ? RETRY_MAX_MS : RETRY_MS << tries;
}


/*
 * How long this one waits before it is tried again; -1: not any more, either
 * because of its kind or because the time would be over.
 */
static inline int64_t
collector_item_retry_ms(const struct collector_item *item, int64_t now_ms)
{
    int64_t  wait_ms;

    wait_ms = collector_retry_ms(item->tries);

    if (item->kind != ITEM_STORED
        || now_ms + wait_ms - item->since_ms > RETRY_ALL_MS)
    {
        return -1;
    }

    return wait_ms;
}


/* A full log name, or whose answers keep their order. */
static inline struct push_str
collector_item_key(const struct collector_item *item)
{
    return (struct push_str) { item->bytes, item->key_len };
}


/* "<node>/<instance>", or empty. */
static inline struct push_str
collector_item_node(const struct collector_item *item)
{
    return (struct push_str) { item->bytes + item->key_len, item->node_len };
}


static inline struct push_str
collector_item_text(const struct collector_item *item)
{
    return (struct push_str) { item->bytes + item->key_len + item->node_len,
                               item->text_len };
}


static inline size_t
collector_item_size(const struct collector_item *item)
{
    return sizeof(*item) + item->key_len + item->node_len + item->text_len;
}


static inline void
collector_item_push(struct collector_item_queue *q,
    struct collector_item *item)
{
    item->next = NULL;

    if (q->last != NULL) {
        q->last->next = item;

    } else {
        q->first = item;
    }

    q->last = item;
}


/* NULL: empty. */
static inline struct collector_item *
collector_item_pop(struct collector_item_queue *q)
{
    struct collector_item  *item;

    item = q->first;

    if (item != NULL) {
        q->first = item->next;

        if (q->first == NULL) {
            q->last = NULL;
        }
    }

    return item;
}


/* All of `more` behind those of q; more is empty then. */
static inline void
collector_item_join(struct collector_item_queue *q,
    struct collector_item_queue *more)
{
    if (more->first == NULL) {
        return;
    }

    if (q->last != NULL) {
        q->last->next = more->first;

    } else {
        q->first = more->first;
    }

    q->last = more->last;
    more->first = more->last = NULL;
}

#endif
