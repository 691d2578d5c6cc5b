/*
 * js: JSON that is not on the hot path, behind getters with limits
 *
 * in:   a text.  out: values of a wanted type and range, or why not
 * owns: the tree of a struct js from js_parse(); what the getters give borrows
 *
 * jansson refuses doubled members, 1e400, long integers and \u0000 in names;
 * what must pass as the bytes that came goes through push_json instead.
 */

#ifndef JS_H
#define JS_H

#include "push.h"

struct js;

struct js_error {
    char text[160];         /* "line 3 column 7: …" */
};

/*
 * One JSON value of at most max bytes and depth levels.  NULL: error is set.
 * Freed by js_free(), which takes NULL.
 */
struct js *js_parse(struct push_str text, size_t max, unsigned depth,
    struct js_error *error);
void js_free(struct js *js);

/*
 * A member of an object.  PUSH_OK; PUSH_DECLINED: js is no object or has no
 * such member; PUSH_ERROR: wrong type or too long.  *out is set on PUSH_OK only.
 * A string has at most max bytes and may hold NUL.
 */
int js_string(const struct js *js, const char *name, size_t max,
    struct push_str *out);
int js_array(const struct js *js, const char *name, const struct js **out);

/* Of an array: 0 and NULL for anything else and beyond the end. */
size_t js_count(const struct js *js);
const struct js *js_at(const struct js *js, size_t i);

/* Compact text, to be freed by the caller; NULL: out of memory. */
char *js_dump(const struct js *js);

#endif
