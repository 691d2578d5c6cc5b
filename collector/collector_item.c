/*
 * collector_item: what waits for a dispatcher, and the queues it waits in
 */

#include "collector_item.h"

#include <stdlib.h>
#include <string.h>


struct collector_item *
collector_item_create(struct push_str key, struct push_str node,
    struct push_str text, int64_t now_ms)
{
    char                   *p;
    struct collector_item  *item;

    item = malloc(collector_item_need(key, node, text));
    if (item == NULL) {
        return NULL;
    }

    memset(item, 0, sizeof(*item));
    item->since_ms = now_ms;
    item->key_len = (uint16_t) key.len;
    item->node_len = (uint16_t) node.len;
    item->text_len = (uint32_t) text.len;

    p = item->bytes;
    memcpy(p, key.data, key.len);
    p += key.len;
    memcpy(p, node.data, node.len);
    p += node.len;
    memcpy(p, text.data, text.len);

    return item;
}
