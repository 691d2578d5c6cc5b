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
    const char             *pos;
    const char             *begin;
    const char             *end;
    unsigned                depth;      /* levels that are allowed */
    struct push_json_error *error;      /* or NULL */
};

static int push_json_start(struct push_json_reader *r, struct push_str text,
    unsigned depth, struct push_json_error *error);
static int push_json_end(struct push_json_reader *r);
static int push_json_open(struct push_json_reader *r, unsigned level);
static int push_json_more(struct push_json_reader *r, int close, bool first);
static int push_json_name(struct push_json_reader *r, struct push_str *name);
static int push_json_value(struct push_json_reader *r, unsigned level,
    struct push_json_value *value);
static int push_json_skip(struct push_json_reader *r, unsigned level);
static int push_json_scalar(struct push_json_reader *r);
static int push_json_word(struct push_json_reader *r, struct push_str word);
static int push_json_number(struct push_json_reader *r);
static int push_json_digits(struct push_json_reader *r);
static int push_json_text(struct push_json_reader *r);
static int push_json_twice(struct push_json_reader *r,
    const struct push_json_member *members, size_t n);
static int push_json_fail(struct push_json_reader *r, const char *text);


/* The next byte, or -1 at the end. */
static inline int
push_json_peek(const struct push_json_reader *r)
{
    return r->pos != r->end ? (unsigned char) *r->pos : -1;
}


static inline void
push_json_space(struct push_json_reader *r)
{
    int  c;

    for ( ;; ) {
        c = push_json_peek(r);

        if (c > ' ' || (c != ' ' && c != '\n' && c != '\r' && c != '\t')) {
            return;
        }

        r->pos++;
    }
}


int
push_json_check(struct push_str text, unsigned depth,
    struct push_json_value *value, struct push_json_error *error)
{
    struct push_json_value   found;
    struct push_json_reader  r;

    if (push_json_start(&r, text, depth, error) != PUSH_OK
        || push_json_value(&r, 0, &found) != PUSH_OK
        || push_json_end(&r) != PUSH_OK)
    {
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
    int                      rc;
    size_t                   n;
    struct push_json_member  m;
    struct push_json_reader  r;

    if (push_json_start(&r, text, depth, error) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (push_json_peek(&r) != '{') {
        return push_json_fail(&r, "expected an object");
    }

    if (push_json_open(&r, 0) != PUSH_OK) {
        return PUSH_ERROR;
    }

    for (n = 0; /* void */ ; n++) {
        rc = push_json_more(&r, '}', n == 0);

        if (rc == PUSH_DECLINED) {
            break;
        }

        if (rc != PUSH_OK || push_json_name(&r, &m.name) != PUSH_OK) {
            return PUSH_ERROR;
        }

        m.escaped = m.name.len && memchr(m.name.data, '\\', m.name.len);

        if (push_json_value(&r, 1, &m.value) != PUSH_OK) {
            return PUSH_ERROR;
        }

        if (n == max) {
            r.pos = m.name.data - 1;
            return push_json_fail(&r, "too many members");
        }

        members[n] = m;

        if (push_json_twice(&r, members, n) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    *count = n;

    return push_json_end(&r);
}


int
push_json_array(struct push_str text, unsigned depth,
    struct push_json_value *values, size_t max, size_t *count,
    struct push_json_error *error)
{
    int                      rc;
    size_t                   n;
    struct push_json_value   v;
    struct push_json_reader  r;

    if (push_json_start(&r, text, depth, error) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (push_json_peek(&r) != '[') {
        return push_json_fail(&r, "expected an array");
    }

    if (push_json_open(&r, 0) != PUSH_OK) {
        return PUSH_ERROR;
    }

    for (n = 0; /* void */ ; n++) {
        rc = push_json_more(&r, ']', n == 0);

        if (rc == PUSH_DECLINED) {
            break;
        }

        if (rc != PUSH_OK || push_json_value(&r, 1, &v) != PUSH_OK) {
            return PUSH_ERROR;
        }

        if (n == max) {
            r.pos = v.raw.data;
            return push_json_fail(&r, "too many elements");
        }

        values[n] = v;
    }

    *count = n;

    return push_json_end(&r);
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
    struct push_json_reader  r;

    (void) push_json_start(&r, array, PUSH_JSON_LEVELS_MAX, NULL);

    first = *pos == NULL;
    r.pos = first ? array.data + 1 : *pos;

    if (push_json_more(&r, ']', first) != PUSH_OK
        || push_json_value(&r, 1, value) != PUSH_OK)
    {
        return false;
    }

    *pos = r.pos;

    return true;
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


static int
push_json_start(struct push_json_reader *r, struct push_str text,
    unsigned depth, struct push_json_error *error)
{
    r->begin = text.len ? text.data : "";
    r->pos = r->begin;
    r->end = r->begin + text.len;
    r->depth = depth < PUSH_JSON_LEVELS_MAX ? depth : PUSH_JSON_LEVELS_MAX;
    r->error = error;

    push_json_space(r);

    if (r->pos == r->end) {
        return push_json_fail(r, "the text is empty");
    }

    return PUSH_OK;
}


static int
push_json_end(struct push_json_reader *r)
{
    push_json_space(r);

    if (r->pos != r->end) {
        return push_json_fail(r, "something follows the value");
    }

    return PUSH_OK;
}


/* Steps over '{' or '[', the beginning of a level below this one. */
static int
push_json_open(struct push_json_reader *r, unsigned level)
{
    if (level == r->depth) {
        return push_json_fail(r, "nested too deeply");
    }

    r->pos++;

    return PUSH_OK;
}


/*
 * Behind an opening bracket (first) or a value: PUSH_OK, the next member or
 * element begins at pos; PUSH_DECLINED, the closing bracket has been eaten.
 */
static int
push_json_more(struct push_json_reader *r, int close, bool first)
{
    int  c;

    push_json_space(r);

    c = push_json_peek(r);

    if (c == close) {
        r->pos++;
        return PUSH_DECLINED;
    }

    if (first) {
        return PUSH_OK;
    }

    if (c != ',') {
        return push_json_fail(r, close == '}' ? "expected ',' or '}'"
                                              : "expected ',' or ']'");
    }

    r->pos++;
    push_json_space(r);

    return PUSH_OK;
}


/* A name and its colon; pos is then at the value. */
static int
push_json_name(struct push_json_reader *r, struct push_str *name)
{
    const char  *begin;

    if (push_json_peek(r) != '"') {
        return push_json_fail(r, "expected a member's name in quotes");
    }

    begin = r->pos + 1;

    if (push_json_text(r) != PUSH_OK) {
        return PUSH_ERROR;
    }

    *name = (struct push_str) { begin, (size_t) (r->pos - 1 - begin) };

    push_json_space(r);

    if (push_json_peek(r) != ':') {
        return push_json_fail(r, "expected ':' after a member's name");
    }

    r->pos++;
    push_json_space(r);

    return PUSH_OK;
}


static int
push_json_value(struct push_json_reader *r, unsigned level,
    struct push_json_value *value)
{
    const char  *begin;

    begin = r->pos;

    if (push_json_skip(r, level) != PUSH_OK) {
        return PUSH_ERROR;
    }

    value->raw = (struct push_str) { begin, (size_t) (r->pos - begin) };

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

    return PUSH_OK;
}


/* Steps over one value of any shape that begins below so many levels. */
static int
push_json_skip(struct push_json_reader *r, unsigned level)
{
    int              c, rc;
    bool             first;
    unsigned         top;
    uint64_t         objects;       /* a bit a level, the innermost lowest */
    struct push_str  name;

    top = level;
    objects = 0;

    for ( ;; ) {
        c = push_json_peek(r);
        first = c == '{' || c == '[';

        if (first) {
            if (push_json_open(r, level) != PUSH_OK) {
                return PUSH_ERROR;
            }

            level++;
            objects = objects << 1 | (c == '{');

        } else if (push_json_scalar(r) != PUSH_OK) {
            return PUSH_ERROR;
        }

        for ( ;; ) {
            if (level == top) {
                return PUSH_OK;
            }

            rc = push_json_more(r, objects & 1 ? '}' : ']', first);

            if (rc != PUSH_DECLINED) {
                break;
            }

            level--;
            objects >>= 1;
            first = false;
        }

        if (rc != PUSH_OK) {
            return PUSH_ERROR;
        }

        if ((objects & 1) && push_json_name(r, &name) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }
}


static int
push_json_scalar(struct push_json_reader *r)
{
    switch (push_json_peek(r)) {

    case '"':
        return push_json_text(r);

    case 'n':
        return push_json_word(r, PUSH_STR("null"));

    case 't':
        return push_json_word(r, PUSH_STR("true"));

    case 'f':
        return push_json_word(r, PUSH_STR("false"));

    case '-':
    case '0' ... '9':
        return push_json_number(r);

    case -1:
        return push_json_fail(r, "the text ends where a value is expected");

    default:
        return push_json_fail(r, "expected a value");
    }
}


static int
push_json_word(struct push_json_reader *r, struct push_str word)
{
    if ((size_t) (r->end - r->pos) < word.len
        || memcmp(r->pos, word.data, word.len) != 0)
    {
        return push_json_fail(r, "expected null, true or false");
    }

    r->pos += word.len;

    return PUSH_OK;
}


static int
push_json_number(struct push_json_reader *r)
{
    int  c;

    if (*r->pos == '-') {
        r->pos++;
    }

    if (push_json_peek(r) == '0') {
        r->pos++;
        c = push_json_peek(r);

        if (c >= '0' && c <= '9') {
            return push_json_fail(r, "a number has a leading zero");
        }

    } else if (push_json_digits(r) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (push_json_peek(r) == '.') {
        r->pos++;

        if (push_json_digits(r) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    c = push_json_peek(r);

    if (c != 'e' && c != 'E') {
        return PUSH_OK;
    }

    r->pos++;
    c = push_json_peek(r);

    if (c == '+' || c == '-') {
        r->pos++;
    }

    return push_json_digits(r);
}


/* One digit or more. */
static int
push_json_digits(struct push_json_reader *r)
{
    int          c;
    const char  *begin;

    begin = r->pos;

    for ( ;; ) {
        c = push_json_peek(r);

        if (c < '0' || c > '9') {
            break;
        }

        r->pos++;
    }

    if (r->pos == begin) {
        return push_json_fail(r, "expected a digit");
    }

    return PUSH_OK;
}


/* Steps over a string with its quotes. */
static int
push_json_text(struct push_json_reader *r)
{
    const char  *fault;

    r->pos++;
    fault = push_json_string_scan(&r->pos, r->end);

    return fault == NULL ? PUSH_OK : push_json_fail(r, fault);
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

    r->pos = m->name.data - 1;

    if (m->name.len > 40 || !push_name_valid(m->name)) {
        return push_json_fail(r, "a member's name comes twice");
    }

    snprintf(text, sizeof(text), "the member \"%.*s\" comes twice",
             (int) m->name.len, m->name.data);

    return push_json_fail(r, text);
}


static int
push_json_fail(struct push_json_reader *r, const char *text)
{
    if (r->error != NULL) {
        r->error->at = (size_t) (r->pos - r->begin);
        snprintf(r->error->text, sizeof(r->error->text), "%s", text);
    }

    return PUSH_ERROR;
}
