/*
 * store_block: the memory of a read's results, one piece
 *
 *     | item item item . | bytes bytes bytes ->
 *
 * in:   room for items, then strings.  out: store_request.memory
 * owns: the piece, until the caller takes block->start
 *
 * While it grows its strings are offsets; store_block_fix() makes them
 * pointers.
 */

#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include "push.h"

struct store_block {
    char   *start;
    size_t  len;
    size_t  size;
};

/* Zeroed room for what comes first.  False: out of memory. */
bool store_block_begin(struct store_block *b, size_t room);

/* Copies; *to is an offset.  False: out of memory. */
bool store_block_add(struct store_block *b, struct push_str *to,
    const void *data, size_t len);

void store_block_fix(const struct store_block *b, struct push_str *s);

#endif
