/*
 * collector_text: a growing text of JSON, for answers
 *
 * in: pieces.  out: one block.  owns: the block until it is taken
 */

#include "collector_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "push_json.h"


static bool
text_grow(struct collector_text *t, size_t need)
{
    char   *data;
    size_t  size;

    if (t->failed) {
        return false;
    }

    if (need <= t->size - t->len) {
        return true;
    }

    size = t->size * 2 + need + 256;
    data = realloc(t->data, size);

    if (data == NULL) {
        t->failed = true;
        return false;
    }

    t->data = data;
    t->size = size;

    return true;
}


void
collector_text_add(struct collector_text *t, struct push_str s)
{
    if (s.len && text_grow(t, s.len)) {
        memcpy(t->data + t->len, s.data, s.len);
        t->len += s.len;
    }
}


void
collector_text_quote(struct collector_text *t, struct push_str s)
{
    size_t  need;

    need = push_json_quote(NULL, 0, s);

    if (text_grow(t, need)) {
        t->len += push_json_quote(t->data + t->len, t->size - t->len, s);
    }
}


void
collector_text_int(struct collector_text *t, int64_t n)
{
    char  s[24];
    int   len;

    len = snprintf(s, sizeof(s), "%" PRId64, n);
    collector_text_add(t, (struct push_str) { s, (size_t) len });
}


void
collector_text_id(struct collector_text *t, struct push_str log, int64_t seq)
{
    collector_text_add(t, log);
    collector_text_lit(t, "@");
    collector_text_int(t, seq);
}


void
collector_text_free(struct collector_text *t)
{
    free(t->data);
    memset(t, 0, sizeof(*t));
}
