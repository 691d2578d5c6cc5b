/*
 * fuzz_json: the slicer against jansson
 *
 * They must agree, but for what jansson cannot hold: numbers out of the range
 * of a double, lone surrogates, a NUL in a name; for our depth; and for a byte
 * 0 behind the value, which jansson takes for the end.
 */

#include "fuzz.h"
#include "push_json.h"

#include <jansson.h>

#define MEMBERS  32

static void
quote_reads_back(const char *s, size_t len)
{
    char                   *quoted, *back;
    size_t                  n;
    struct push_json_value  v;

    n = push_json_quote(NULL, 0, (struct push_str) { s, len });
    quoted = malloc(n);
    back = malloc(len + 1);
    FUZZ_MUST(quoted != NULL && back != NULL);

    FUZZ_MUST(push_json_quote(quoted, n, (struct push_str) { s, len }) == n);
    FUZZ_MUST(push_json_check((struct push_str) { quoted, n }, 0, &v, NULL)
              == PUSH_OK);
    FUZZ_MUST(push_json_string(&v, back, len) == len);
    FUZZ_MUST(memcmp(back, s, len) == 0);

    free(quoted);
    free(back);
}


static void
same_value(const struct push_json_value *v, const json_t *j)
{
    char      *s;
    size_t     n;
    uint64_t   number;

    switch (json_typeof(j)) {

    case JSON_STRING:
        FUZZ_MUST(v->type == PUSH_JSON_STRING);
        s = malloc(v->raw.len);
        FUZZ_MUST(s != NULL);
        n = push_json_string(v, s, v->raw.len);

        if (memchr(json_string_value(j), 0, json_string_length(j)) != NULL) {
            FUZZ_MUST(n == (size_t) -1);

        } else {
            FUZZ_MUST(n == json_string_length(j));
            FUZZ_MUST(memcmp(s, json_string_value(j), n) == 0);
            FUZZ_MUST(push_json_string(v, s, n) == n);
            FUZZ_MUST(n == 0
                      || push_json_string(v, s, n - 1) == (size_t) -1);
            quote_reads_back(s, n);
        }

        free(s);
        break;

    case JSON_REAL:
        FUZZ_MUST(v->type == PUSH_JSON_NUMBER);

        if (push_json_uint(v, PUSH_SEQ_MAX, &number) == PUSH_OK) {
            FUZZ_MUST((double) number == json_real_value(j));
        }

        break;

    case JSON_OBJECT:
        FUZZ_MUST(v->type == PUSH_JSON_OBJECT);
        break;

    case JSON_ARRAY:
        FUZZ_MUST(v->type == PUSH_JSON_ARRAY);
        break;

    default:
        FUZZ_MUST((int) json_typeof(j) - (int) JSON_TRUE
                  == (v->type == PUSH_JSON_TRUE ? 0
                      : v->type == PUSH_JSON_FALSE ? 1
                      : v->type == PUSH_JSON_NULL ? 2 : -1));
    }
}


static void
same_members(struct push_str text, json_t *j)
{
    size_t                   i, n;
    char                    *name;
    json_t                  *member;
    struct push_json_value   v;
    struct push_json_error   error;
    struct push_json_member  m[MEMBERS];

    if (push_json_object(text, 32, m, MEMBERS, &n, &error) != PUSH_OK) {
        FUZZ_MUST(strstr(error.text, "twice") || strstr(error.text, "many"));
        return;
    }

    FUZZ_MUST(json_object_size(j) == n);

    for (i = 0; i < n; i++) {
        v.type = PUSH_JSON_STRING;
        v.raw.data = m[i].name.data - 1;
        v.raw.len = m[i].name.len + 2;

        name = calloc(1, m[i].name.len + 1);
        FUZZ_MUST(name != NULL);
        FUZZ_MUST(push_json_string(&v, name, m[i].name.len) != (size_t) -1);
        FUZZ_MUST(strchr(name, '\\') || push_json_name_is(&m[i], name));

        member = json_object_get(j, name);
        FUZZ_MUST(member != NULL);
        same_value(&m[i].value, member);
        free(name);
    }
}


static void
same_elements(struct push_str raw, const json_t *j)
{
    size_t                  i;
    const char             *pos;
    struct push_json_value  v;

    pos = NULL;

    for (i = 0; push_json_next(raw, &pos, &v); i++) {
        FUZZ_MUST(i < json_array_size(j));
        same_value(&v, json_array_get(j, i));
    }

    FUZZ_MUST(i == json_array_size(j));
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                      rc;
    json_t                  *j;
    json_error_t             other;
    struct push_str          text;
    struct push_json_value   v;
    struct push_json_error   error;

    text = (struct push_str) { (const char *) data, size };

    rc = push_json_check(text, 32, &v, &error);
    j = json_loadb(text.data, text.len, JSON_DECODE_ANY | JSON_ALLOW_NUL
                                        | JSON_DECODE_INT_AS_REAL, &other);

    if (rc != PUSH_OK) {
        FUZZ_MUST(error.at <= size);
        FUZZ_MUST(error.text[0] != '\0');
        FUZZ_MUST(j == NULL || memchr(data, 0, size) != NULL
                  || strcmp(error.text, "nested too deeply") == 0);
        json_decref(j);

        return 0;
    }

    if (j == NULL) {
        FUZZ_MUST(json_error_code(&other) == json_error_numeric_overflow
                  || json_error_code(&other) == json_error_null_byte_in_key
                  || strstr(other.text, "invalid Unicode") != NULL);

        return 0;
    }

    same_value(&v, j);

    if (v.type == PUSH_JSON_OBJECT) {
        same_members(text, j);

    } else if (v.type == PUSH_JSON_ARRAY) {
        same_elements(v.raw, j);
    }

    json_decref(j);

    return 0;
}
