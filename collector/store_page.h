/*
 * store_page: what a backend finds in a log --> a page of it
 *
 *     seq 3, 4, (5 expired), 9 --add--> 3 | 4 | gone 5 to 8 | 9 --> store_read
 *
 * in:   the messages after r->after, in order, as they are found
 * out:  items that cover each seq once, within the page's limits
 * owns: the block until it ends
 *
 * Both backends build their pages here, so a page means the same.
 */

#ifndef STORE_PAGE_H
#define STORE_PAGE_H

#include "store.h"
#include "store_block.h"

struct store_page {
    struct store_read  *r;          /* count, last grow with it */
    struct store_block  block;
    size_t              bytes;
    size_t              steps;
    int64_t             now_s;
};

/* r->after is a number; r->last begins there.  PUSH_OK, PUSH_DECLINED. */
int store_page_begin(struct store_page *p, struct store_read *r,
    int64_t now_s);

/*
 * The next message that is there; data NULL: a stub.  What lies between it and
 * the one before is gone.  PUSH_OK: go on; PUSH_AGAIN: the page is full, this
 * one may not be in it; PUSH_DECLINED: out of memory.
 */
int store_page_add(struct store_page *p, int64_t seq, int64_t ts_ms,
    int64_t expires, const void *data, size_t len);

/* Nothing is there from the last one up to this.  As add(). */
int store_page_gone(struct store_page *p, int64_t to);

/* r->items, memory: the caller's. */
void store_page_end(struct store_page *p);

/* As if nothing had been read. */
void store_page_drop(struct store_page *p);

#endif
