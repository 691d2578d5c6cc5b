/*
 * js: JSON that is not on the hot path, behind getters with limits
 *
 * in:   a text.  out: values.  owns: a counted jansson tree
 *
 * A struct js is jansson's json_t under a name of ours, so that nobody else
 * sees the library.
 */

#include "js.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#define JS_JSON(js)  ((json_t *) (uintptr_t) (js))


/* jansson's own bound on nesting is fixed when it is built: count first. */
static bool
js_too_deep(struct push_str text, unsigned max)
{
    bool      string;
    size_t    i;
    unsigned  depth;

    depth = 0;
    string = false;

    for (i = 0; i < text.len; i++) {
        switch (text.data[i]) {

        case '\\':
            i += string;
            break;

        case '"':
            string = !string;
            break;

        case '{':
        case '[':
            if (!string && ++depth > max) {
                return true;
            }

            break;

        case '}':
        case ']':
            if (!string && depth > 0) {
                depth--;
            }

            break;
        }
    }

    return false;
}


struct js *
js_parse(struct push_str text, size_t max, unsigned depth,
    struct js_error *error)
{
    json_t        *json;
    json_error_t   e;

    if (text.len > max) {
        snprintf(error->text, sizeof(error->text), "more than %zu bytes", max);
        return NULL;
    }

    if (js_too_deep(text, depth)) {
        snprintf(error->text, sizeof(error->text), "more than %u levels",
                 depth);
        return NULL;
    }

    json = json_loadb(text.data, text.len,
                      JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);

    if (json == NULL) {
        snprintf(error->text, sizeof(error->text), "line %d column %d: %.120s",
                 e.line, e.column, e.text);
        return NULL;
    }

    return (struct js *) json;
}


void
js_free(struct js *js)
{
    json_decref(JS_JSON(js));
}


int
js_string(const struct js *js, const char *name, size_t max,
    struct push_str *out)
{
    json_t  *v;

    v = json_object_get(JS_JSON(js), name);
    if (v == NULL) {
        return PUSH_DECLINED;
    }

    if (!json_is_string(v) || json_string_length(v) > max) {
        return PUSH_ERROR;
    }

    out->data = json_string_value(v);
    out->len = json_string_length(v);

    return PUSH_OK;
}


int
js_array(const struct js *js, const char *name, const struct js **out)
{
    json_t  *v;

    v = json_object_get(JS_JSON(js), name);
    if (v == NULL) {
        return PUSH_DECLINED;
    }

    if (!json_is_array(v)) {
        return PUSH_ERROR;
    }

    *out = (struct js *) v;

    return PUSH_OK;
}


size_t
js_count(const struct js *js)
{
    return json_array_size(JS_JSON(js));
}


const struct js *
js_at(const struct js *js, size_t i)
{
    return (struct js *) json_array_get(JS_JSON(js), i);
}


char *
js_dump(const struct js *js)
{
    return json_dumps(JS_JSON(js), JSON_COMPACT | JSON_ENCODE_ANY);
}
