/*
 * ngx_http_push_item: items of a deliver body, in the worker that owns the
 * connections
 *
 *     deliver, inbox --item--> table by verb --> delivery, ring, conn --> answer
 *
 * in:  an item of push_lines; the epoch of its body was told to delivery
 * out: its answer for this worker's connections
 */

#ifndef NGX_HTTP_PUSH_ITEM_H
#define NGX_HTTP_PUSH_ITEM_H

#include "ngx_http_push_module.h"

/*
 * group, groups, join and leave find nobody in this version: none.  A user or
 * connection that is not here, an id of another start, or a log that is not
 * the connection's: none.
 */
struct push_lines_answer ngx_http_push_item(
    const struct push_lines_item *item);

#endif
