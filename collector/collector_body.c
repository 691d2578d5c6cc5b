/*
 * collector_body: the body of one POST /dispatch, while it is filled
 */

#include "collector_body.h"

#include <string.h>

#include "push_lines.h"

#define BODY_NODE  "node "


void
collector_body_begin(struct collector_body *b, char *to,
    struct push_str epoch)
{
    struct push_lines_item  item;

    memset(b, 0, sizeof(*b));
    b->to = to;

    memset(&item, 0, sizeof(item));
    item.verb = PUSH_LINES_EPOCH;
    item.epoch = epoch;

    b->len = push_lines_write(to, PUSH_BODY_MAX, &item);
}


int
collector_body_add(struct collector_body *b, struct push_str node,
    struct push_str text, unsigned lines)
{
    bool             change;
    char            *p;
    size_t           need;
    struct push_str  name;

    change = !push_str_eq(b->node, node);
    name = node.len ? node : PUSH_STR("-");
    need = text.len + (change ? sizeof(BODY_NODE) + name.len : 0);

    if (lines > PUSH_ITEMS_MAX - b->lines || need > PUSH_BODY_MAX - b->len) {
        return PUSH_DECLINED;
    }

    p = b->to + b->len;

    if (change) {
        memcpy(p, BODY_NODE, sizeof(BODY_NODE) - 1);
        p += sizeof(BODY_NODE) - 1;

        memcpy(p, name.data, name.len);
        b->node = (struct push_str) { p, node.len };
        p += name.len;

        *p++ = '\n';
    }

    memcpy(p, text.data, text.len);

    b->len += need;
    b->lines += lines;

    return PUSH_OK;
}
