/*
 * store_block: the memory of a read's results, one piece
 */

#include "store_block.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_MORE  4096


bool
store_block_begin(struct store_block *b, size_t room)
{
    b->start = malloc(room + BLOCK_MORE);
    b->len = room;
    b->size = room + BLOCK_MORE;

    if (b->start == NULL) {
        return false;
    }

    memset(b->start, 0, room);

    return true;
}


bool
store_block_add(struct store_block *b, struct push_str *to, const void *data,
    size_t len)
{
    char    *start;
    size_t   size;

    if (len > b->size - b->len) {
        size = b->len + len + b->size / 2;
        start = realloc(b->start, size);

        if (start == NULL) {
            return false;
        }

        b->start = start;
        b->size = size;
    }

    if (len) {
        memcpy(b->start + b->len, data, len);
    }

    to->data = (const char *) (uintptr_t) b->len;
    to->len = len;
    b->len += len;

    return true;
}


void
store_block_fix(const struct store_block *b, struct push_str *s)
{
    s->data = b->start + (uintptr_t) s->data;
}
