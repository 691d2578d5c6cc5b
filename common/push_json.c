/*
 * push_json: validating slicer for client frames and publish bodies
 *
 *     { name : value , name : value }   outermost: each becomes a slice
 *                 |
 *                 +-- scalar, or nested: one loop, one bit a level says
 *                     whether '}' or ']' is to close it
 *
 * in:   a whole text in memory
 * out:  slices of it, or where and why it is no JSON
 * owns: nothing
 */

#include "push_json.h"
#include "push_json_string.h"

#include <stdio.h>
#include <string.h>

#define PUSH_JSON_LEVELS_MAX  64        /* bits of the stack */

struct push_json_reader {
    const char             *begin;
    const char             *end;
    unsigned                depth;      /* levels that are allowed */
    struct push_json_error *error;      /* or NULL */
};

/* Each takes where it begins and returns where it ended; NULL: it failed. */

static const char *push_json_start(struct push_json_reader *r,
    struct push_str text, unsigned depth, struct push_json_error *error);
static const char *push_json_open(struct push_json_reader *r, const char *p,
    int bracket);
static const char *push_json_name(struct push_json_reader *r, const char *p,
    struct push_str *name);
static const char *push_json_value(struct push_json_reader *r, const char *p,
    unsigned level, struct push_json_value *value);
static const char *push_json_skip(struct push_json_reader *r, const char *p,
    unsigned level);
static const char *push_json_scalar(struct push_json_reader *r, const char *p);
static const char *push_json_word(struct push_json_reader *r, const char *p,
    struct push_str word);
static const char *push_json_number(struct push_json_reader *r, const char *p);
static const char *push_json_digits(struct push_json_reader *r, const char *p);
static const char *push_json_text(struct push_json_reader *r, const char *p);
static const char *push_json_fail(struct push_json_reader *r, const char *p,
    const char *text);
static int push_json_end(struct push_json_reader *r, const char *p);
static int push_json_twice(struct push_json_reader *r,
    const struct push_json_member *members, size_t n);


/* The byte at p, or -1 at the end. */
static inline int
push_json_peek(const struct push_json_reader *r, const char *p)
{
    return p != r->end ? (unsigned char) *p : -1;
}


static inline const char *
push_json_space(const struct push_json_reader *r, const char *p)
{
    int  c;

    for ( ;; ) {
        c = push_json_peek(r, p);

        if (c > ' ' || (c != ' ' && c != '\n' && c != '\r' && c != '\t')) {
            return p;
        }

        p++;
    }
}


/*
 * Behind an opening bracket (first) or a value: true, the next member or
 * element begins at *pos; false, the closing bracket has been eaten, or *pos
 * is NULL: it failed.
 */
static inline bool
push_json_more(struct push_json_reader *r, const char **pos, int close,
    bool first)
{
    int          c;
    const char  *p;

    p = push_json_space(r, *pos);
    c = push_json_peek(r, p);

    if (c == close) {
        *pos = p + 1;
        return false;
    }

    if (first) {
        *pos = p;
        return true;
    }

    if (c != ',') {
        *pos = push_json_fail(r, p, close == '}' ? "expected ',' or '}'"
                                                 : "expected ',' or ']'");
        return false;
    }

    *pos = push_json_space(r, p + 1);

    return true;
}


int
push_json_check(struct push_str text, unsigned depth,
    struct push_json_value *value, struct push_json_error *error)
{
    const char              *p;
    struct push_json_value   found = { PUSH_JSON_NULL, { NULL, 0 } };
    struct push_json_reader  r;

    p = push_json_start(&r, text, depth, error);
    if (p == NULL) {
        return PUSH_ERROR;
    }

    p = push_json_value(&r, p, 0, &found);

    if (p == NULL || push_json_end(&r, p) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (value != NULL) {
        *value = found;
    }

    return PUSH_OK;
}


int
push_json_object(struct push_str text, unsigned depth,
    struct push_json_member *members, size_t max, size_t *count,
    struct push_json_error *error)
{
    size_t                   n;
    const char              *p;
    struct push_json_member  m;
    struct push_json_reader  r;

    p = push_json_start(&r, text, depth, error);

    if (p != NULL) {
        p = push_json_open(&r, p, '{');
    }

    for (n = 0; p != NULL && push_json_more(&r, &p, '}', n == 0); n++) {
        p = push_json_name(&r, p, &m.name);

        if (p == NULL) {
            break;
        }

        m.escaped = m.name.len && memchr(m.name.data, '\\', m.name.len);
        p = push_json_value(&r, p, 1, &m.value);

        if (p == NULL) {
            break;
        }

        if (n == max) {
            p = push_json_fail(&r, m.name.data - 1, "too many members");
            break;
        }

        members[n] = m;

        if (push_json_twice(&r, members, n) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    if (p == NULL) {
        return PUSH_ERROR;
    }

    *count = n;

    return push_json_end(&r, p);
}


int
push_json_array(struct push_str text, unsigned depth,
    struct push_json_value *values, size_t max, size_t *count,
    struct push_json_error *error)
{
    size_t                   n;
    const char              *p;
    struct push_json_value   v;
    struct push_json_reader  r;

    p = push_json_start(&r, text, depth, error);

    if (p != NULL) {
        p = push_json_open(&r, p, '[');
    }

    for (n = 0; p != NULL && push_json_more(&r, &p, ']', n == 0); n++) {
        p = push_json_value(&r, p, 1, &v);

        if (p == NULL) {
            break;
        }

        if (n == max) {
            p = push_json_fail(&r, v.raw.data, "too many elements");
            break;
        }

        values[n] = v;
    }

    if (p == NULL) {
        return PUSH_ERROR;
    }

    *count = n;

    return push_json_end(&r, p);
}


bool
push_json_name_is(const struct push_json_member *m, const char *name)
{
    struct push_str  s;

    s = (struct push_str) { name, strlen(name) };

    return m->escaped ? push_json_string_eq(m->name, s)
                      : push_str_eq(m->name, s);
}


bool
push_json_next(struct push_str array, const char **pos,
    struct push_json_value *value)
{
    bool                     first;
    const char              *p;
    struct push_json_reader  r;

    first = *pos == NULL;
    p = push_json_start(&r, array, PUSH_JSON_LEVELS_MAX, NULL);

    if (p == NULL) {
        return false;
    }

    p = first ? p + 1 : *pos;

    if (!push_json_more(&r, &p, ']', first)) {
        return false;
    }

    *pos = push_json_value(&r, p, 1, value);

    return *pos != NULL;
}


size_t
push_json_string(const struct push_json_value *value, char *to, size_t size)
{
    struct push_str  s;

    if (value->type != PUSH_JSON_STRING) {
        return (size_t) -1;
    }

    s = (struct push_str) { value->raw.data + 1, value->raw.len - 2 };

    return push_json_string_decode(s, to, size);
}


int
push_json_uint(const struct push_json_value *value, uint64_t max,
    uint64_t *number)
{
    if (value->type != PUSH_JSON_NUMBER) {
        return PUSH_ERROR;
    }

    return push_uint_parse(value->raw, max, number);
}


size_t
push_json_quote(char *to, size_t size, struct push_str s)
{
    size_t         i, need;
    unsigned char  c;

    static const char  letter[256] = {
        ['"'] = '"', ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
        ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'
    };

    need = s.len + 2;

    for (i = 0; i < s.len; i++) {
        c = (unsigned char) s.data[i];
        need += letter[c] ? 1 : c < ' ' ? 5 : 0;
    }

    if (need > size) {
        return need;
    }

    *to++ = '"';

    for (i = 0; i < s.len; i++) {
        c = (unsigned char) s.data[i];

        if (letter[c]) {
            *to++ = '\\';
            *to++ = letter[c];

        } else if (c < ' ') {
            memcpy(to, "\\u00", 4);
            to[4] = (char) ('0' + (c >> 4));
            to[5] = "0123456789abcdef"[c & 15];
            to += 6;

        } else {
            *to++ = (char) c;
        }
    }

    *to = '"';

    return need;
}


static const char *
push_json_start(struct push_json_reader *r, struct push_str text,
    unsigned depth, struct push_json_error *error)
{
    const char  *p;

    r->begin = text.len ? text.data : "";
    r->end = r->begin + text.len;
    r->depth = depth < PUSH_JSON_LEVELS_MAX ? depth : PUSH_JSON_LEVELS_MAX;
    r->error = error;

    p = push_json_space(r, r->begin);

    return p != r->end ? p : push_json_fail(r, p, "the text is empty");
}


/* The outermost bracket. */
static const char *
push_json_open(struct push_json_reader *r, const char *p, int bracket)
{
    if (*p != bracket) {
        return push_json_fail(r, p, bracket == '{' ? "expected an object"
                                                   : "expected an array");
    }

    if (r->depth == 0) {
        return push_json_fail(r, p, "nested too deeply");
    }

    return p + 1;
}


/* A name, its colon, and the space before the value. */
static const char *
push_json_name(struct push_json_reader *r, const char *p,
    struct push_str *name)
{
    const char  *begin;

    if (push_json_peek(r, p) != '"') {
        return push_json_fail(r, p, "expected a member's name in quotes");
    }

    begin = p + 1;
    p = push_json_text(r, p);

    if (p == NULL) {
        return NULL;
    }

    name->data = begin;
    name->len = (size_t) (p - 1 - begin);

    p = push_json_space(r, p);

    if (push_json_peek(r, p) != ':') {
        return push_json_fail(r, p, "expected ':' after a member's name");
    }

    return push_json_space(r, p + 1);
}


static const char *
push_json_value(struct push_json_reader *r, const char *p, unsigned level,
    struct push_json_value *value)
{
    const char  *begin;

    begin = p;
    p = push_json_skip(r, p, level);

    if (p == NULL) {
        return NULL;
    }

    value->raw.data = begin;
    value->raw.len = (size_t) (p - begin);

    switch (*begin) {
    case 'n':
        value->type = PUSH_JSON_NULL;
        break;
    case 'f':
        value->type = PUSH_JSON_FALSE;
        break;
    case 't':
        value->type = PUSH_JSON_TRUE;
        break;
    case '"':
        value->type = PUSH_JSON_STRING;
        break;
    case '[':
        value->type = PUSH_JSON_ARRAY;
        break;
    case '{':
        value->type = PUSH_JSON_OBJECT;
        break;
    default:
        value->type = PUSH_JSON_NUMBER;
    }

    return p;
}


/* One value of any shape, which stands below so many levels. */
static const char *
push_json_skip(struct push_json_reader *r, const char *p, unsigned level)
{
    int              c;
    bool             first;
    unsigned         top;
    uint64_t         objects;       /* a bit a level, the innermost lowest */
    struct push_str  name;

    top = level;
    objects = 0;

    for ( ;; ) {
        c = push_json_peek(r, p);
        first = c == '{' || c == '[';

        if (first) {
            if (level == r->depth) {
                return push_json_fail(r, p, "nested too deeply");
            }

            p++;
            level++;
            objects = objects << 1 | (c == '{');

        } else {
            p = c == '"' ? push_json_text(r, p) : push_json_scalar(r, p);

            if (p == NULL) {
                return NULL;
            }
        }

        for ( ;; ) {
            if (level == top) {
                return p;
            }

            if (push_json_more(r, &p, objects & 1 ? '}' : ']', first)) {
                break;
            }

            if (p == NULL) {
                return NULL;
            }

            level--;
            objects >>= 1;
            first = false;
        }

        if (objects & 1) {
            p = push_json_name(r, p, &name);

            if (p == NULL) {
                return NULL;
            }
        }
    }
}


/* A value that is neither string, array nor object. */
static const char *
push_json_scalar(struct push_json_reader *r, const char *p)
{
    switch (push_json_peek(r, p)) {

    case 'n':
        return push_json_word(r, p, PUSH_STR("null"));

    case 't':
        return push_json_word(r, p, PUSH_STR("true"));

    case 'f':
        return push_json_word(r, p, PUSH_STR("false"));

    case '-':
    case '0' ... '9':
        return push_json_number(r, p);

    case -1:
        return push_json_fail(r, p, "the text ends where a value is expected");

    default:
        return push_json_fail(r, p, "expected a value");
    }
}


static const char *
push_json_word(struct push_json_reader *r, const char *p, struct push_str word)
{
    if ((size_t) (r->end - p) < word.len
        || memcmp(p, word.data, word.len) != 0)
    {
        return push_json_fail(r, p, "expected null, true or false");
    }

    return p + word.len;
}


static const char *
push_json_number(struct push_json_reader *r, const char *p)
{
    int  c;

    if (*p == '-') {
        p++;
    }

    if (push_json_peek(r, p) == '0') {
        p++;
        c = push_json_peek(r, p);

        if (c >= '0' && c <= '9') {
            return push_json_fail(r, p, "a number has a leading zero");
        }

    } else {
        p = push_json_digits(r, p);
    }

    if (p != NULL && push_json_peek(r, p) == '.') {
        p = push_json_digits(r, p + 1);
    }

    if (p == NULL) {
        return NULL;
    }

    c = push_json_peek(r, p);

    if (c != 'e' && c != 'E') {
        return p;
    }

    p++;
    c = push_json_peek(r, p);

    return push_json_digits(r, c == '+' || c == '-' ? p + 1 : p);
}


/* One digit or more. */
static const char *
push_json_digits(struct push_json_reader *r, const char *p)
{
    int          c;
    const char  *begin;

    begin = p;

    for ( ;; ) {
        c = push_json_peek(r, p);

        if (c < '0' || c > '9') {
            break;
        }

        p++;
    }

    return p != begin ? p : push_json_fail(r, p, "expected a digit");
}


/* A string with its quotes. */
static const char *
push_json_text(struct push_json_reader *r, const char *p)
{
    struct push_json_fault  fault;

    p = push_json_string_scan(p + 1, r->end, &fault);

    return p != NULL ? p : push_json_fail(r, fault.at, fault.text);
}


/* Nothing but space may follow. */
static int
push_json_end(struct push_json_reader *r, const char *p)
{
    p = push_json_space(r, p);

    if (p == r->end) {
        return PUSH_OK;
    }

    (void) push_json_fail(r, p, "something follows the value");

    return PUSH_ERROR;
}


/*
 * Is the name of members[n] among those before it?  At worst max passes over
 * the names: the caller's table bounds it.
 */
static int
push_json_twice(struct push_json_reader *r,
    const struct push_json_member *members, size_t n)
{
    char                            text[96];
    bool                            same;
    size_t                          i;
    const struct push_json_member  *m;

    m = &members[n];

    for (i = 0; i < n; i++) {
        same = members[i].escaped || m->escaped
               ? push_json_string_eq(members[i].name, m->name)
               : push_str_eq(members[i].name, m->name);

        if (same) {
            break;
        }
    }

    if (i == n) {
        return PUSH_OK;
    }

    if (m->name.len > 40 || !push_name_valid(m->name)) {
        snprintf(text, sizeof(text), "a member's name comes twice");

    } else {
        snprintf(text, sizeof(text), "the member \"%.*s\" comes twice",
                 (int) m->name.len, m->name.data);
    }

    (void) push_json_fail(r, m->name.data - 1, text);

    return PUSH_ERROR;
}


static const char *
push_json_fail(struct push_json_reader *r, const char *p, const char *text)
{
    if (r->error != NULL) {
        r->error->at = (size_t) (p - r->begin);
        snprintf(r->error->text, sizeof(r->error->text), "%s", text);
    }

    return NULL;
}
