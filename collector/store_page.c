/*
 * store_page: what a backend finds in a log --> a page of it
 */

#include "store_page.h"

#include <stdlib.h>
#include <string.h>

#define PAGE_STEPS_MAX  20000       /* messages that may be skipped */


int
store_page_begin(struct store_page *p, struct store_read *r, int64_t now_s)
{
    memset(p, 0, sizeof(*p));
    p->r = r;
    p->now_s = now_s;
    r->count = 0;
    r->last = r->after;

    return store_block_begin(&p->block, r->max * sizeof(struct store_item))
           ? PUSH_OK : PUSH_DECLINED;
}


int
store_page_add(struct store_page *p, int64_t seq, int64_t ts_ms,
    int64_t expires, const void *data, size_t len)
{
    bool                gone;
    struct push_str     copy;
    struct store_item  *item;
    struct store_read  *r;

    r = p->r;
    gone = data == NULL || (expires && p->now_s >= expires);

    if ((seq > r->last + 1 || gone)
        && store_page_gone(p, gone ? seq : seq - 1) != PUSH_OK)
    {
        return PUSH_AGAIN;
    }

    if (++p->steps == PAGE_STEPS_MAX) {
        return PUSH_AGAIN;
    }

    if (gone) {
        return PUSH_OK;
    }

    if (r->count == r->max
        || (r->count && (p->bytes >= r->max_bytes
                         || len > r->max_bytes - p->bytes)))
    {
        return PUSH_AGAIN;
    }

    if (!store_block_add(&p->block, &copy, data, len)) {
        return PUSH_DECLINED;
    }

    item = (struct store_item *) p->block.start + r->count++;
    item->seq = seq;
    item->to = seq;
    item->ts_ms = ts_ms;
    item->expires = expires;
    item->data = copy;

    r->last = seq;
    p->bytes += len;

    return PUSH_OK;
}


/* Joined to a range just before it. */
int
store_page_gone(struct store_page *p, int64_t to)
{
    struct store_item  *item;
    struct store_read  *r;

    r = p->r;
    item = (struct store_item *) p->block.start + r->count;

    if (r->count && item[-1].why) {
        item[-1].to = to;
        r->last = to;
        return PUSH_OK;
    }

    if (r->count == r->max) {
        return PUSH_AGAIN;
    }

    item->seq = r->last + 1;
    item->to = to;
    item->why = "expired";
    r->count++;
    r->last = to;

    return PUSH_OK;
}


void
store_page_end(struct store_page *p)
{
    size_t              i;
    struct store_read  *r;

    r = p->r;
    r->r.memory = p->block.start;
    r->items = (struct store_item *) p->block.start;

    for (i = 0; i < r->count; i++) {
        if (r->items[i].why == NULL) {
            store_block_fix(&p->block, &r->items[i].data);
        }
    }
}


void
store_page_drop(struct store_page *p)
{
    free(p->block.start);
    p->block.start = NULL;
    p->r->count = 0;
    p->r->last = p->r->after;
}
