/*
 * collector_check: a publish body, checked
 *
 *     body --push_json--> members --to, data, key, ttl, ephemeral--> check
 *
 * in: a text.  out: see the header.  owns: nothing.  Pure.
 */

#include "collector_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "push_json.h"

#define CHECK_MEMBERS   16          /* beyond it some are unknown anyway */
#define CHECK_TABLE     2048        /* slots for CHECK_USERS_MAX; power of 2 */

#define CHECK_NAME_TEXT  "must be 1 to 128 bytes of A-Z a-z 0-9 . _ : @ -"

/* A body under way. */
struct check {
    struct push_str               body;
    struct collector_check       *c;
    struct collector_check_error *error;
    bool                          key;      /* members that were there */
    bool                          ttl;
};

static int check_to(struct check *k, const struct push_json_value *v);
static int check_user(struct check *k, const struct push_json_value *v);
static int check_users(struct check *k, const struct push_json_value *v);
static int check_all(struct check *k, const struct push_json_value *v);
static int check_group(struct check *k, const struct push_json_value *v);
static int check_data(struct check *k, const struct push_json_value *v);
static int check_key(struct check *k, const struct push_json_value *v);
static int check_ttl(struct check *k, const struct push_json_value *v);
static int check_ephemeral(struct check *k, const struct push_json_value *v);
static int check_one_uid(const struct push_json_value *v, char *uid,
    size_t *len, struct collector_check_error *error, const char *where);
static bool check_seen(const struct push_str *raws, size_t n,
    uint16_t table[CHECK_TABLE], const char *uid, size_t len);
static int check_json(struct check *k, struct push_str text,
    const struct push_json_error *e);
static int check_unknown(struct collector_check_error *error,
    const char *where, struct push_str name);
static int check_fail(struct collector_check_error *error, unsigned status,
    const char *format, ...) __attribute__((format(printf, 3, 4)));

struct check_row {
    const char *name;
    int       (*check)(struct check *k, const struct push_json_value *v);
};

static const struct check_row check_members[] = {
    { "to",        check_to },
    { "data",      check_data },
    { "key",       check_key },
    { "ttl",       check_ttl },
    { "ephemeral", check_ephemeral },
    { NULL, NULL }
};

static const struct check_row check_targets[] = {
    { "user",  check_user },
    { "users", check_users },
    { "all",   check_all },
    { "group", check_group },
    { NULL, NULL }
};


static const struct check_row *
check_find(const struct check_row *rows, const struct push_json_member *m)
{
    for (/* void */; rows->name; rows++) {
        if (push_json_name_is(m, rows->name)) {
            return rows;
        }
    }

    return NULL;
}


int
collector_check_publish(struct push_str body, struct collector_check *c,
    struct collector_check_error *error)
{
    size_t                   i, count;
    struct check             k;
    struct push_json_error   e;
    const struct check_row  *row;
    struct push_json_member  m[CHECK_MEMBERS];

    memset(c, 0, sizeof(*c));
    memset(&k, 0, sizeof(k));
    k.body = body;
    k.c = c;
    k.error = error;

    if (body.len > CHECK_BODY_MAX) {
        return check_fail(error, 413, "a publish is at most %u bytes",
                          CHECK_BODY_MAX);
    }

    if (push_json_object(body, PUSH_DEPTH_MAX + 1, m, CHECK_MEMBERS, &count,
                         &e) != PUSH_OK)
    {
        return check_json(&k, body, &e);
    }

    for (i = 0; i < count; i++) {
        row = check_find(check_members, &m[i]);

        if (row == NULL) {
            return check_unknown(error, "", m[i].name);
        }

        if (row->check(&k, &m[i].value) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    if (c->count == 0) {
        return check_fail(error, 400, "member \"to\" is missing");
    }

    if (c->data.data == NULL) {
        return check_fail(error, 400, "member \"data\" is missing");
    }

    if (c->ephemeral && (k.key || k.ttl)) {
        return check_fail(error, 400, "member \"%s\" is not allowed with "
                          "\"ephemeral\": true", k.key ? "key" : "ttl");
    }

    return PUSH_OK;
}


static int
check_to(struct check *k, const struct push_json_value *v)
{
    size_t                   i, count;
    struct push_json_error   e;
    const struct check_row  *row;
    struct push_json_member  m[CHECK_MEMBERS];

    if (v->type != PUSH_JSON_OBJECT) {
        return check_fail(k->error, 400, "member \"to\" must be an object");
    }

    if (push_json_object(v->raw, PUSH_DEPTH_MAX, m, CHECK_MEMBERS, &count, &e)
        != PUSH_OK)
    {
        return check_json(k, v->raw, &e);
    }

    for (i = 0; i < count; i++) {
        if (check_find(check_targets, &m[i]) == NULL) {
            return check_unknown(k->error, "to.", m[i].name);
        }
    }

    if (count != 1) {
        return check_fail(k->error, 400, "member \"to\" must have exactly one "
                          "of \"user\", \"users\", \"all\"");
    }

    row = check_find(check_targets, &m[0]);

    return row->check(k, &m[0].value);
}


static int
check_user(struct check *k, const struct push_json_value *v)
{
    char    uid[PUSH_NAME_MAX];
    size_t  len;

    k->c->count = 1;
    k->c->target = v->raw;

    return check_one_uid(v, uid, &len, k->error, "to.user");
}


static int
check_users(struct check *k, const struct push_json_value *v)
{
    char                    uid[PUSH_NAME_MAX], where[32];
    size_t                  n, len;
    const char             *pos;
    uint16_t                table[CHECK_TABLE];
    struct push_str         raws[CHECK_USERS_MAX];
    struct push_json_value  one;

    if (v->type != PUSH_JSON_ARRAY) {
        return check_fail(k->error, 400,
                          "member \"to.users\" must be an array");
    }

    memset(table, 0, sizeof(table));
    pos = NULL;

    for (n = 0; push_json_next(v->raw, &pos, &one); n++) {

        if (n == CHECK_USERS_MAX) {
            return check_fail(k->error, 400, "member \"to.users\" has more "
                              "than %u users", CHECK_USERS_MAX);
        }

        snprintf(where, sizeof(where), "to.users[%zu]", n);

        if (check_one_uid(&one, uid, &len, k->error, where) != PUSH_OK) {
            return PUSH_ERROR;
        }

        raws[n] = one.raw;

        if (check_seen(raws, n, table, uid, len)) {
            return check_fail(k->error, 400, "member \"%s\": user \"%.*s\" "
                              "comes twice", where, (int) len, uid);
        }
    }

    if (n == 0) {
        return check_fail(k->error, 400, "member \"to.users\" has no user");
    }

    k->c->users = true;
    k->c->count = n;
    k->c->target = v->raw;

    return PUSH_OK;
}


static int
check_all(struct check *k, const struct push_json_value *v)
{
    if (v->type != PUSH_JSON_TRUE) {
        return check_fail(k->error, 400, "member \"to.all\" must be true");
    }

    k->c->count = 1;

    return PUSH_OK;
}


static int
check_group(struct check *k, const struct push_json_value *v)
{
    (void) v;

    return check_fail(k->error, 400, "member \"to.group\": groups are not "
                      "available in this version");
}


static int
check_data(struct check *k, const struct push_json_value *v)
{
    if (v->raw.len > PUSH_DATA_MAX) {
        return check_fail(k->error, 413, "member \"data\" has %zu bytes, at "
                          "most %u are allowed", v->raw.len, PUSH_DATA_MAX);
    }

    k->c->data = v->raw;

    return PUSH_OK;
}


static int
check_key(struct check *k, const struct push_json_value *v)
{
    size_t  len;

    len = v->type == PUSH_JSON_STRING
          ? push_json_string(v, k->c->key, sizeof(k->c->key)) : (size_t) -1;

    if (len == (size_t) -1
        || !push_key_valid((struct push_str) { k->c->key, len }))
    {
        return check_fail(k->error, 400, "member \"key\" must be a string of "
                          "1 to 64 bytes of A-Z a-z 0-9 . _ : -");
    }

    k->c->key_len = len;
    k->key = true;

    return PUSH_OK;
}


static int
check_ttl(struct check *k, const struct push_json_value *v)
{
    uint64_t  ttl;

    if (v->type != PUSH_JSON_NUMBER
        || push_json_uint(v, CHECK_TTL_MAX, &ttl) != PUSH_OK || ttl == 0)
    {
        return check_fail(k->error, 400, "member \"ttl\" must be an integer "
                          "of 1 to %u seconds", CHECK_TTL_MAX);
    }

    k->c->ttl = (int64_t) ttl;
    k->ttl = true;

    return PUSH_OK;
}


static int
check_ephemeral(struct check *k, const struct push_json_value *v)
{
    if (v->type != PUSH_JSON_TRUE && v->type != PUSH_JSON_FALSE) {
        return check_fail(k->error, 400,
                          "member \"ephemeral\" must be true or false");
    }

    k->c->ephemeral = v->type == PUSH_JSON_TRUE;

    return PUSH_OK;
}


/* uid holds PUSH_NAME_MAX bytes. */
static int
check_one_uid(const struct push_json_value *v, char *uid, size_t *len,
    struct collector_check_error *error, const char *where)
{
    *len = v->type == PUSH_JSON_STRING
           ? push_json_string(v, uid, PUSH_NAME_MAX) : (size_t) -1;

    if (*len == (size_t) -1
        || !push_name_valid((struct push_str) { uid, *len }))
    {
        return check_fail(error, 400, "member \"%s\" " CHECK_NAME_TEXT, where);
    }

    if (*len >= 8 && memcmp(uid, ".canary.", 8) == 0) {
        return check_fail(error, 400, "member \"%s\": names that begin with "
                          "\".canary.\" are reserved", where);
    }

    return PUSH_OK;
}


/* Is the uid, which is raws[n], among those before it? */
static bool
check_seen(const struct push_str *raws, size_t n, uint16_t table[CHECK_TABLE],
    const char *uid, size_t len)
{
    char                    other[PUSH_NAME_MAX];
    size_t                  i;
    uint32_t                hash;
    struct push_json_value  v;

    hash = 2166136261u;                                     /* FNV-1a */

    for (i = 0; i < len; i++) {
        hash = (hash ^ (uint8_t) uid[i]) * 16777619u;
    }

    v.type = PUSH_JSON_STRING;

    for (hash ^= hash >> 16; table[hash & (CHECK_TABLE - 1)]; hash++) {
        v.raw = raws[table[hash & (CHECK_TABLE - 1)] - 1];

        if (push_json_string(&v, other, sizeof(other)) == len
            && memcmp(other, uid, len) == 0)
        {
            return true;
        }
    }

    table[hash & (CHECK_TABLE - 1)] = (uint16_t) (n + 1);

    return false;
}


static int
check_json(struct check *k, struct push_str text,
    const struct push_json_error *e)
{
    size_t  i;
    char    s[sizeof(e->text)];

    for (i = 0; e->text[i]; i++) {      /* it may quote a member's name */
        s[i] = e->text[i] >= ' ' && e->text[i] <= '~' ? e->text[i] : '?';
    }

    s[i] = '\0';

    return check_fail(k->error, 400, "JSON at byte %zu: %s",
                      (size_t) (text.data - k->body.data) + e->at, s);
}


static int
check_unknown(struct collector_check_error *error, const char *where,
    struct push_str name)
{
    char    s[41];
    size_t  i;

    for (i = 0; i < name.len && i < sizeof(s) - 1; i++) {
        s[i] = name.data[i] >= ' ' && name.data[i] <= '~' ? name.data[i] : '?';
    }

    s[i] = '\0';

    return check_fail(error, 400, "unknown member \"%s%s%s\"", where, s,
                      i < name.len ? "..." : "");
}


static int
check_fail(struct collector_check_error *error, unsigned status,
    const char *format, ...)
{
    va_list  args;

    error->status = status;

    va_start(args, format);
    vsnprintf(error->text, sizeof(error->text), format, args);
    va_end(args);

    return PUSH_ERROR;
}


size_t
collector_check_log(const struct collector_check *c, const char **pos,
    char log[PUSH_LOG_MAX])
{
    size_t                  len;
    struct push_json_value  v;

    if (c->users) {
        if (!push_json_next(c->target, pos, &v)) {
            return 0;
        }

    } else {
        if (*pos) {
            return 0;
        }

        *pos = c->data.data;

        if (c->target.len == 0) {
            memcpy(log, "all", 3);
            return 3;
        }

        v.type = PUSH_JSON_STRING;
        v.raw = c->target;
    }

    memcpy(log, "user:", 5);
    len = push_json_string(&v, log + 5, PUSH_NAME_MAX);

    return len == (size_t) -1 ? 0 : len + 5;
}


bool
collector_check_line(struct push_str body, const char **pos,
    struct push_str *line, unsigned *number)
{
    size_t       i;
    const char  *end, *newline;

    end = body.data + body.len;

    while (*pos < end) {
        newline = memchr(*pos, '\n', (size_t) (end - *pos));
        newline = newline ? newline : end;

        line->data = *pos;
        line->len = (size_t) (newline - *pos);
        *pos = newline < end ? newline + 1 : end;
        ++*number;

        for (i = 0; i < line->len; i++) {
            if (line->data[i] != ' ' && line->data[i] != '\t'
                && line->data[i] != '\r')
            {
                return true;
            }
        }
    }

    return false;
}


int
collector_check_id(struct push_str id, struct push_str *log, int64_t *seq)
{
    size_t              i;
    uint64_t            value;
    struct push_str     name;
    enum push_log_kind  kind;

    for (i = id.len; i && id.data[i - 1] != '@'; i--) { /* a uid may have @ */ }

    if (i == 0) {
        return PUSH_ERROR;
    }

    log->data = id.data;
    log->len = i - 1;

    if (push_log_parse(*log, &kind, &name) != PUSH_OK
        || push_uint_parse((struct push_str) { id.data + i, id.len - i },
                           PUSH_SEQ_MAX, &value) != PUSH_OK
        || value == 0)
    {
        return PUSH_ERROR;
    }

    *seq = (int64_t) value;

    return PUSH_OK;
}


int
collector_check_uid(struct push_str uid, struct collector_check_error *error)
{
    if (!push_name_valid(uid)) {
        return check_fail(error, 400, "the user's name " CHECK_NAME_TEXT);
    }

    return PUSH_OK;
}


int
collector_check_page(struct push_str after, struct push_str limit,
    int64_t *from, size_t *max, struct collector_check_error *error)
{
    uint64_t  value;

    value = 0;

    if (after.data && push_uint_parse(after, PUSH_SEQ_MAX, &value) != PUSH_OK)
    {
        return check_fail(error, 400,
                          "after must be a number of 0 to 2^53 - 1");
    }

    *from = (int64_t) value;
    value = CHECK_LIMIT;

    if (limit.data
        && (push_uint_parse(limit, CHECK_LIMIT_MAX, &value) != PUSH_OK
            || value == 0))
    {
        return check_fail(error, 400, "limit must be a number of 1 to %u",
                          CHECK_LIMIT_MAX);
    }

    *max = (size_t) value;

    return PUSH_OK;
}
