/*
 * collector_text: a growing text of JSON, for answers
 *
 * Out of memory is remembered, later calls do nothing: who takes the text
 * looks at it once.
 */

#ifndef COLLECTOR_TEXT_H
#define COLLECTOR_TEXT_H

#include "push.h"

/* All zero: empty.  data is from malloc, not terminated. */
struct collector_text {
    char   *data;
    size_t  len;
    size_t  size;
    bool    failed;
};

void collector_text_add(struct collector_text *t, struct push_str s);
/* A JSON string, with quotes. */
void collector_text_quote(struct collector_text *t, struct push_str s);
void collector_text_int(struct collector_text *t, int64_t n);
/* "<log>@<seq>": names need no escapes. */
void collector_text_id(struct collector_text *t, struct push_str log,
    int64_t seq);
void collector_text_free(struct collector_text *t);

#define collector_text_lit(t, s)  collector_text_add(t, PUSH_STR(s))

#endif
