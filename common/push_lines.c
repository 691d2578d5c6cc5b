/*
 * push_lines: the line protocol of deliver and dispatch (docs/rules.md 3)
 *
 *     "user u42 18 0 61 47\n" --verb--> "USXV" --a row a letter--> item
 *     item --the same rows--> the same bytes
 *
 * in:   a whole body, or an item.  out: an item, or bytes.  owns: nothing
 *
 * A letter of push_lines_verbs finds its row in push_lines_fields: the kind
 * says how the bytes look, the offset where the value stands in the item.
 */

#include "push_lines.h"

#include <stdio.h>
#include <string.h>

enum push_lines_kind {
    KIND_NAME,          /* up to KIND_WHY: a push_str */
    KIND_ANY_NAME,      /* or "*" */
    KIND_EPOCH,
    KIND_LOG,
    KIND_WHY,
    KIND_TARGET,
    KIND_NODE,
    KIND_CONN,
    KIND_INT64,         /* from here on: a number */
    KIND_UINT64,
    KIND_UINT32,
    KIND_CODE,
    KIND_LEN,           /* len of a payload; */
    KIND_LEN_OFF        /* and where its data stands */
};

struct push_lines_field {
    const char           *title;
    enum push_lines_kind  kind;
    size_t                offset;
    uint64_t              max;
};

#define FIELD(letter, title, kind, member, max)                               \
    [letter - 'A'] = { title, kind, offsetof(struct push_lines_item, member), \
                       max }

static const struct push_lines_field push_lines_fields['Z' - 'A' + 1] = {
    FIELD('A', "after",    KIND_INT64,    seq,     PUSH_SEQ_MAX),
    FIELD('B', "length",   KIND_LEN,      payload, PUSH_BODY_MAX),
    FIELD('C', "conn",     KIND_CONN,     id,      0),
    FIELD('D', "device",   KIND_ANY_NAME, device,  0),
    FIELD('E', "epoch",    KIND_EPOCH,    epoch,   0),
    FIELD('F', "from",     KIND_INT64,    seq,     PUSH_SEQ_MAX),
    FIELD('G', "group",    KIND_NAME,     group,   0),
    FIELD('I', "expiry",   KIND_UINT64,   expires, PUSH_SEQ_MAX),
    FIELD('K', "code",     KIND_CODE,     code,    4999),
    FIELD('L', "log",      KIND_LOG,      log,     0),
    FIELD('N', "node",     KIND_NODE,     name,    0),
    FIELD('O', "to",       KIND_INT64,    to,      PUSH_SEQ_MAX),
    FIELD('P', "tip",      KIND_INT64,    seq,     PUSH_SEQ_MAX),
    FIELD('Q', "rate",     KIND_UINT32,   rate,    UINT32_MAX),
    FIELD('R', "rid",      KIND_UINT32,   rid,     UINT32_MAX),
    FIELD('S', "seq",      KIND_INT64,    seq,     PUSH_SEQ_MAX),
    FIELD('T', "target",   KIND_TARGET,   log,     0),
    FIELD('U', "user",     KIND_NAME,     name,    0),
    FIELD('V', "length",   KIND_LEN_OFF,  payload, PUSH_BODY_MAX),
    FIELD('W', "reason",   KIND_WHY,      why,     0),
    FIELD('X', "expiry",   KIND_UINT64,   expires, PUSH_SEQ_MAX),
};

static const struct push_lines_verb_row {
    const char *text;
    size_t      len;
    const char *fields;
} push_lines_verbs[PUSH_LINES_VERB_COUNT] = {
#define X(name, text, fields)  { text, sizeof(text) - 1, fields },
    PUSH_LINES_VERBS(X)
#undef X
};

/* Where a writer stands; to is NULL while bytes are only counted. */
struct push_lines_out {
    char   *to;
    size_t  len;
};

static int push_lines_fail(struct push_lines *l, unsigned line,
    const char *what, const char *detail);
static int push_lines_verb(struct push_lines *l, struct push_str word,
    struct push_lines_item *item);
static int push_lines_field(struct push_lines *l, char letter,
    struct push_str *rest, struct push_lines_item *item);
static int push_lines_value(const struct push_lines_field *field,
    struct push_str word, struct push_lines_item *item);
static int push_lines_payload(struct push_lines *l,
    struct push_lines_item *item);
static int push_lines_check(struct push_lines *l,
    struct push_lines_item *item);
static int push_lines_node_parse(struct push_str s,
    struct push_lines_item *item);
static int push_lines_target_parse(struct push_str s,
    struct push_lines_item *item);
static bool push_lines_epoch_valid(struct push_str s);
static struct push_str push_lines_word(struct push_str *rest);
static void push_lines_emit(struct push_lines_out *o,
    const struct push_lines_item *item);
static void push_lines_emit_value(struct push_lines_out *o,
    const struct push_lines_field *field, const struct push_lines_item *item);
static void push_lines_put(struct push_lines_out *o, const char *s,
    size_t len);
static void push_lines_put_uint(struct push_lines_out *o, uint64_t value);


void
push_lines_init(struct push_lines *l, const char *body, size_t len,
    bool dispatch)
{
    memset(l, 0, sizeof(*l));

    l->pos = body;
    l->end = body + len;
    l->line = 1;
    l->dispatch = dispatch;

    if (len > PUSH_BODY_MAX) {
        push_lines_fail(l, 1, "the body is too large", NULL);
    }
}


int
push_lines_next(struct push_lines *l, struct push_lines_item *item)
{
    const char      *lf, *letter;
    struct push_str  rest, word;

    if (l->error_line != 0) {
        return PUSH_ERROR;
    }

    if (l->pos == l->end) {
        return l->epoch_seen ? PUSH_DECLINED
                             : push_lines_fail(l, l->line,
                                               "no epoch line", NULL);
    }

    memset(item, 0, sizeof(*item));
    item->line = l->line;

    lf = memchr(l->pos, '\n', (size_t) (l->end - l->pos));
    if (lf == NULL) {
        return push_lines_fail(l, l->line, "the line does not end", NULL);
    }

    rest.data = l->pos;
    rest.len = (size_t) (lf - l->pos);
    l->pos = lf + 1;
    l->line++;

    word = push_lines_word(&rest);

    if (push_lines_verb(l, word, item) != PUSH_OK) {
        return PUSH_ERROR;
    }

    for (letter = push_lines_verbs[item->verb].fields; *letter; letter++) {
        if (push_lines_field(l, *letter, &rest, item) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    if (rest.data != NULL) {
        return push_lines_fail(l, item->line, "more fields than the verb has",
                               push_lines_verbs[item->verb].text);
    }

    if (item->payload.data != NULL
        && push_lines_payload(l, item) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    return push_lines_check(l, item);
}


size_t
push_lines_write(char *to, size_t size, const struct push_lines_item *item)
{
    struct push_lines_out  o = { NULL, 0 };

    push_lines_emit(&o, item);

    if (o.len <= size && to != NULL) {
        o.to = to;
        o.len = 0;
        push_lines_emit(&o, item);
    }

    return o.len;
}


const char *
push_lines_verb_text(enum push_lines_verb verb)
{
    return verb < PUSH_LINES_VERB_COUNT ? push_lines_verbs[verb].text : "";
}


/* Sets the error that all later calls repeat; what comes from outside, no. */
static int
push_lines_fail(struct push_lines *l, unsigned line, const char *what,
    const char *detail)
{
    l->error_line = line;
    l->pos = l->end;

    if (detail != NULL) {
        snprintf(l->error, sizeof(l->error), "%s: %s", detail, what);

    } else {
        snprintf(l->error, sizeof(l->error), "%s", what);
    }

    return PUSH_ERROR;
}


/* Which verb it is, and whether it may stand here. */
static int
push_lines_verb(struct push_lines *l, struct push_str word,
    struct push_lines_item *item)
{
    unsigned  i;

    for (i = 0; i < PUSH_LINES_VERB_COUNT; i++) {
        if (word.len == push_lines_verbs[i].len
            && memcmp(word.data, push_lines_verbs[i].text, word.len) == 0)
        {
            break;
        }
    }

    if (i == PUSH_LINES_VERB_COUNT
        || (i == PUSH_LINES_NODE && !l->dispatch))
    {
        return push_lines_fail(l, item->line,
                               l->epoch_seen ? "unknown verb"
                                             : "no epoch line", NULL);
    }

    item->verb = (enum push_lines_verb) i;

    if ((item->verb == PUSH_LINES_EPOCH) == l->epoch_seen) {
        return push_lines_fail(l, item->line,
                               l->epoch_seen ? "a second epoch line"
                                             : "no epoch line", NULL);
    }

    l->epoch_seen = true;

    if (item->verb != PUSH_LINES_EPOCH && item->verb != PUSH_LINES_NODE
        && l->items++ == PUSH_ITEMS_MAX)
    {
        return push_lines_fail(l, item->line, "too many items", NULL);
    }

    return PUSH_OK;
}


static int
push_lines_field(struct push_lines *l, char letter, struct push_str *rest,
    struct push_lines_item *item)
{
    uint64_t                        off;
    struct push_str                 word;
    const char                     *verb;
    const struct push_lines_field  *field;

    verb = push_lines_verbs[item->verb].text;
    field = &push_lines_fields[letter - 'A'];

    if (rest->data == NULL) {
        return push_lines_fail(l, item->line, "a field is missing", verb);
    }

    word = push_lines_word(rest);

    if (push_lines_value(field, word, item) != PUSH_OK) {
        char  detail[32];

        snprintf(detail, sizeof(detail), "%s %s", verb, field->title);
        return push_lines_fail(l, item->line, "not a legal value", detail);
    }

    if (field->kind != KIND_LEN_OFF) {
        return PUSH_OK;
    }

    if (rest->data == NULL) {
        return push_lines_fail(l, item->line, "a field is missing", verb);
    }

    word = push_lines_word(rest);

    if (push_uint_parse(word, PUSH_BODY_MAX, &off) != PUSH_OK
        || off >= item->payload.len)
    {
        return push_lines_fail(l, item->line,
                               "the offset is outside of the payload", verb);
    }

    item->off = (size_t) off;

    return PUSH_OK;
}


static int
push_lines_value(const struct push_lines_field *field, struct push_str word,
    struct push_lines_item *item)
{
    void                *at;
    bool                 legal;
    uint64_t             number;
    struct push_str      name;
    enum push_log_kind   kind;

    at = (char *) item + field->offset;
    number = 0;

    if (field->kind >= KIND_INT64) {

        if (push_uint_parse(word, field->max, &number) != PUSH_OK) {
            return PUSH_ERROR;
        }

    } else if (field->kind <= KIND_WHY) {
        *(struct push_str *) at = word;
    }

    switch (field->kind) {

    case KIND_NAME:
        legal = push_name_valid(word);
        break;

    case KIND_ANY_NAME:
        legal = push_name_valid(word) || push_str_eq(word, PUSH_STR("*"));
        break;

    case KIND_EPOCH:
        legal = push_lines_epoch_valid(word);
        break;

    case KIND_LOG:
        legal = push_log_parse(word, &kind, &name) == PUSH_OK;
        break;

    case KIND_WHY:
        legal = push_str_eq(word, PUSH_STR("expired"))
                || push_str_eq(word, PUSH_STR("overflow"));
        break;

    case KIND_TARGET:
        return push_lines_target_parse(word, item);

    case KIND_NODE:
        return push_lines_node_parse(word, item);

    case KIND_CONN:
        return push_conn_id_parse(word, &item->id);

    case KIND_INT64:
        *(int64_t *) at = (int64_t) number;
        return PUSH_OK;

    case KIND_UINT64:
        *(uint64_t *) at = number;
        return PUSH_OK;

    case KIND_CODE:
        /* 1004-1006 and 1015 are never in a Close frame: RFC 6455 7.4.1. */
        legal = number >= 3000
                || (number >= 1007 && number <= 1014)
                || (number >= 1000 && number <= 1003);
        *(uint32_t *) at = (uint32_t) number;
        break;

    case KIND_UINT32:
        *(uint32_t *) at = (uint32_t) number;
        return PUSH_OK;

    default:    /* a length: push_lines_payload() finds where it stands */
        item->payload.data = "";
        item->payload.len = (size_t) number;
        return PUSH_OK;
    }

    return legal ? PUSH_OK : PUSH_ERROR;
}


/* The bytes behind the line, and the newline behind them. */
static int
push_lines_payload(struct push_lines *l, struct push_lines_item *item)
{
    size_t       left;
    const char  *p, *verb;

    left = (size_t) (l->end - l->pos);
    verb = push_lines_verbs[item->verb].text;

    if (item->payload.len >= left) {
        return push_lines_fail(l, item->line, "the payload is cut short",
                               verb);
    }

    item->payload.data = l->pos;
    l->pos += item->payload.len;

    if (*l->pos != '\n') {
        return push_lines_fail(l, item->line,
                               "no newline where the payload should end",
                               verb);
    }

    l->pos++;
    l->line++;

    /* JSON may hold newlines; an error names the line that an editor shows. */

    for (p = item->payload.data;
         (p = memchr(p, '\n', (size_t) (l->pos - 1 - p))) != NULL;
         p++)
    {
        l->line++;
    }

    return PUSH_OK;
}


/* What one field alone cannot tell. */
static int
push_lines_check(struct push_lines *l, struct push_lines_item *item)
{
    const struct push_lines_verb_row  *verb = &push_lines_verbs[item->verb];

    if (item->verb == PUSH_LINES_VOID
        && (item->seq < 1 || item->seq > item->to))
    {
        return push_lines_fail(l, item->line, "not a range from 1 on",
                               verb->text);
    }

    if (strchr(verb->fields, 'V') != NULL
        && item->payload.data[item->payload.len - 1] != '}')
    {
        return push_lines_fail(l, item->line,
                               "the payload does not end with }", verb->text);
    }

    return PUSH_OK;
}


/* "<node>/<instance>" or "-". */
static int
push_lines_node_parse(struct push_str s, struct push_lines_item *item)
{
    const char      *slash;
    struct push_str  instance;

    if (push_str_eq(s, PUSH_STR("-"))) {
        return PUSH_OK;
    }

    slash = memchr(s.data, '/', s.len);
    if (slash == NULL) {
        return PUSH_ERROR;
    }

    item->name.data = s.data;
    item->name.len = (size_t) (slash - s.data);

    instance.data = slash + 1;
    instance.len = s.len - item->name.len - 1;

    if (!push_name_valid(item->name)) {
        return PUSH_ERROR;
    }

    return push_hex64_parse(instance, &item->id.instance);
}


/* "*", a full log name, or else a uid. */
static int
push_lines_target_parse(struct push_str s, struct push_lines_item *item)
{
    struct push_str     name;
    enum push_log_kind  kind;

    item->log = s;

    if (push_str_eq(s, PUSH_STR("*"))
        || push_log_parse(s, &kind, &name) == PUSH_OK)
    {
        return PUSH_OK;
    }

    item->name = s;

    return push_name_valid(s) ? PUSH_OK : PUSH_ERROR;
}


static bool
push_lines_epoch_valid(struct push_str s)
{
    size_t  i;

    for (i = 0; i < s.len; i++) {
        if (!((s.data[i] >= '0' && s.data[i] <= '9')
              || (s.data[i] >= 'a' && s.data[i] <= 'z')))
        {
            return false;
        }
    }

    return s.len >= 1 && s.len <= PUSH_EPOCH_MAX;
}


/*
 * Takes the bytes up to one space; rest->data is NULL once the line is used
 * up, so that a space at its end leaves an empty, illegal field.
 */
static struct push_str
push_lines_word(struct push_str *rest)
{
    const char      *space;
    struct push_str  word = *rest;

    space = memchr(rest->data, ' ', rest->len);

    if (space == NULL) {
        rest->data = NULL;
        rest->len = 0;
        return word;
    }

    word.len = (size_t) (space - rest->data);
    rest->data = space + 1;
    rest->len -= word.len + 1;

    return word;
}


static void
push_lines_emit(struct push_lines_out *o, const struct push_lines_item *item)
{
    const char                        *letter;
    bool                               payload;
    const struct push_lines_field     *field;
    const struct push_lines_verb_row  *verb;

    verb = &push_lines_verbs[item->verb];
    payload = false;

    push_lines_put(o, verb->text, verb->len);

    for (letter = verb->fields; *letter; letter++) {
        field = &push_lines_fields[*letter - 'A'];

        if (field->kind == KIND_LEN || field->kind == KIND_LEN_OFF) {
            payload = true;
        }

        push_lines_put(o, " ", 1);
        push_lines_emit_value(o, field, item);
    }

    push_lines_put(o, "\n", 1);

    if (payload) {
        push_lines_put(o, item->payload.data, item->payload.len);
        push_lines_put(o, "\n", 1);
    }
}


static void
push_lines_emit_value(struct push_lines_out *o,
    const struct push_lines_field *field, const struct push_lines_item *item)
{
    char                    text[PUSH_CONN_TEXT_LEN];
    const void             *at;
    const struct push_str  *s;

    at = (const char *) item + field->offset;

    switch (field->kind) {

    case KIND_NODE:
        if (item->name.len == 0) {
            push_lines_put(o, "-", 1);
            return;
        }

        push_hex64_write(text, item->id.instance);
        push_lines_put(o, item->name.data, item->name.len);
        push_lines_put(o, "/", 1);
        push_lines_put(o, text, 16);
        return;

    case KIND_CONN:
        push_conn_id_write(text, item->id);
        push_lines_put(o, text, PUSH_CONN_TEXT_LEN);
        return;

    case KIND_INT64:
        push_lines_put_uint(o, (uint64_t) *(const int64_t *) at);
        return;

    case KIND_UINT64:
        push_lines_put_uint(o, *(const uint64_t *) at);
        return;

    case KIND_UINT32:
    case KIND_CODE:
        push_lines_put_uint(o, *(const uint32_t *) at);
        return;

    case KIND_LEN_OFF:
        push_lines_put_uint(o, item->payload.len);
        push_lines_put(o, " ", 1);
        push_lines_put_uint(o, item->off);
        return;

    case KIND_LEN:
        push_lines_put_uint(o, item->payload.len);
        return;

    default:
        s = at;
        push_lines_put(o, s->data, s->len);
        return;
    }
}


static void
push_lines_put(struct push_lines_out *o, const char *s, size_t len)
{
    if (o->to != NULL && len != 0) {
        memcpy(o->to + o->len, s, len);
    }

    o->len += len;
}


static void
push_lines_put_uint(struct push_lines_out *o, uint64_t value)
{
    char   digits[20];
    char  *p = digits + sizeof(digits);

    do {
        *--p = (char) ('0' + value % 10);
        value /= 10;
    } while (value != 0);

    push_lines_put(o, p, (size_t) (digits + sizeof(digits) - p));
}
