/*
 * collector_request: what an edge asks for, and acks, as they stand in streams
 *
 * A field of an entry is one row of a table: its name and who reads its value.
 */

#include "collector_request.h"

#include <string.h>

#define REQUEST_BYTES_MAX  (64 * 1024 * 1024)

struct request_row {
    const char *name;
    int       (*read)(struct collector_request *r, struct push_str value);
};

static int request_version(struct collector_request *r, struct push_str value);
static int request_node(struct collector_request *r, struct push_str value);
static int request_inst(struct collector_request *r, struct push_str value);
static int request_conn(struct collector_request *r, struct push_str value);
static int request_uid(struct collector_request *r, struct push_str value);
static int request_dev(struct collector_request *r, struct push_str value);
static int request_epoch(struct collector_request *r, struct push_str value);
static int request_rid(struct collector_request *r, struct push_str value);
static int request_first(struct collector_request *r, struct push_str value);
static int request_bytes(struct collector_request *r, struct push_str value);
static int request_due_ms(struct collector_request *r, struct push_str value);
static int request_logs(struct collector_request *r, struct push_str value);
static int request_log(struct collector_request *r, struct push_str line);

/* In this order: logs are checked against conn and uid. */
static const struct request_row request_rows[] = {
    { "v",      request_version },
    { "node",   request_node },
    { "inst",   request_inst },
    { "conn",   request_conn },
    { "uid",    request_uid },
    { "dev",    request_dev },
    { "epoch",  request_epoch },
    { "rid",    request_rid },
    { "first",  request_first },
    { "bytes",  request_bytes },
    { "due_ms", request_due_ms },
    { "logs",   request_logs },
};

static int event_kind(struct push_str value, enum collector_event_kind *kind);
static bool request_field(const struct push_str *fields, size_t pairs,
    const char *name, struct push_str *value);
static struct push_str request_cut(struct push_str *rest, char at);


int
collector_request_parse(struct collector_request *r,
    const struct push_str *fields, size_t pairs, const char **error)
{
    size_t           i;
    struct push_str  value;

    memset(r, 0, sizeof(*r));

    for (i = 0; i < sizeof(request_rows) / sizeof(request_rows[0]); i++) {

        if (!request_field(fields, pairs, request_rows[i].name, &value)
            || request_rows[i].read(r, value) != PUSH_OK)
        {
            *error = request_rows[i].name;
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}


int
collector_acks_parse(struct collector_acks *a, const struct push_str *fields,
    size_t pairs, const char **error)
{
    size_t           lines;
    const char      *p;
    struct push_str  value;

    if (!request_field(fields, pairs, "v", &value)
        || !push_str_eq(value, PUSH_STR("1")))
    {
        *error = "v";
        return PUSH_ERROR;
    }

    if (!request_field(fields, pairs, "epoch", &a->epoch)
        || a->epoch.len == 0 || a->epoch.len > PUSH_NAME_MAX)
    {
        *error = "epoch";
        return PUSH_ERROR;
    }

    *error = "acks";

    if (!request_field(fields, pairs, "acks", &value) || value.len == 0) {
        return PUSH_ERROR;
    }

    a->pos = value.data;
    a->end = value.data + value.len;
    lines = 0;

    for (p = a->pos;
         (p = memchr(p, '\n', (size_t) (a->end - p))) != NULL;
         p++)
    {
        if (++lines == REQUEST_ACKS_MAX) {
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}


int
collector_acks_next(struct collector_acks *a, struct collector_ack *ack)
{
    uint64_t            seq;
    struct push_str     rest, line, name;
    enum push_log_kind  kind;

    if (a->pos == a->end) {
        return PUSH_DECLINED;
    }

    rest = (struct push_str) { a->pos, (size_t) (a->end - a->pos) };
    line = request_cut(&rest, '\n');
    a->pos = rest.len ? rest.data : a->end;

    ack->uid = request_cut(&line, ' ');
    ack->device = request_cut(&line, ' ');
    ack->log = request_cut(&line, ' ');

    if (!push_name_valid(ack->uid) || !push_name_valid(ack->device)
        || push_log_parse(ack->log, &kind, &name) != PUSH_OK
        || (kind == PUSH_LOG_USER && !push_str_eq(name, ack->uid))
        || push_uint_parse(line, (uint64_t) PUSH_SEQ_MAX, &seq) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    ack->seq = (int64_t) seq;

    return PUSH_OK;
}


int
collector_event_parse(struct collector_event *event,
    const struct push_str *fields, size_t pairs, const char **error)
{
    struct push_str  value;

    *error = "v";

    if (!request_field(fields, pairs, "v", &value)
        || !push_str_eq(value, PUSH_STR("1")))
    {
        return PUSH_ERROR;
    }

    *error = "node";

    if (!request_field(fields, pairs, "node", &event->node)
        || !push_name_valid(event->node))
    {
        return PUSH_ERROR;
    }

    *error = "inst";

    if (!request_field(fields, pairs, "inst", &value)
        || push_hex64_parse(value, &event->id.instance) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    *error = "conn";

    if (!request_field(fields, pairs, "conn", &value)
        || push_hex64_parse(value, &event->id.conn) != PUSH_OK
        || push_conn_index(event->id.conn) == 0)
    {
        return PUSH_ERROR;
    }

    *error = "uid";

    if (!request_field(fields, pairs, "uid", &event->uid)
        || !push_name_valid(event->uid))
    {
        return PUSH_ERROR;
    }

    *error = "dev";

    if (!request_field(fields, pairs, "dev", &event->device)
        || !push_name_valid(event->device))
    {
        return PUSH_ERROR;
    }

    *error = "event";

    if (!request_field(fields, pairs, "event", &value)
        || event_kind(value, &event->kind) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    *error = "dev";             /* no device: replaces nobody */

    return event->kind == EVENT_REPLACE
           && push_str_eq(event->device, PUSH_STR("-")) ? PUSH_ERROR : PUSH_OK;
}


static int
event_kind(struct push_str value, enum collector_event_kind *kind)
{
    if (push_str_eq(value, PUSH_STR("open"))) {
        *kind = EVENT_OPEN;

    } else if (push_str_eq(value, PUSH_STR("close"))) {
        *kind = EVENT_CLOSE;

    } else if (push_str_eq(value, PUSH_STR("replace"))) {
        *kind = EVENT_REPLACE;

    } else {
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


static int
request_version(struct collector_request *r, struct push_str value)
{
    (void) r;

    return push_str_eq(value, PUSH_STR("1")) ? PUSH_OK : PUSH_ERROR;
}


static int
request_node(struct collector_request *r, struct push_str value)
{
    r->node = value;

    return push_name_valid(value) ? PUSH_OK : PUSH_ERROR;
}


static int
request_inst(struct collector_request *r, struct push_str value)
{
    return push_hex64_parse(value, &r->id.instance);
}


static int
request_conn(struct collector_request *r, struct push_str value)
{
    if (push_hex64_parse(value, &r->id.conn) != PUSH_OK) {
        return PUSH_ERROR;
    }

    r->worker = push_conn_index(r->id.conn) == 0;

    return PUSH_OK;
}


static int
request_uid(struct collector_request *r, struct push_str value)
{
    r->uid = value;

    return push_name_valid(value) ? PUSH_OK : PUSH_ERROR;
}


static int
request_dev(struct collector_request *r, struct push_str value)
{
    r->device = value;

    return push_name_valid(value) ? PUSH_OK : PUSH_ERROR;
}


/* A client's epoch is any text: it is only compared. */
static int
request_epoch(struct collector_request *r, struct push_str value)
{
    if (!push_str_eq(value, PUSH_STR("-"))) {
        r->epoch = value;
    }

    return value.len > 0 && value.len <= PUSH_NAME_MAX ? PUSH_OK : PUSH_ERROR;
}


static int
request_rid(struct collector_request *r, struct push_str value)
{
    uint64_t  n;

    if (push_uint_parse(value, UINT32_MAX, &n) != PUSH_OK) {
        return PUSH_ERROR;
    }

    r->rid = (uint32_t) n;

    return PUSH_OK;
}


static int
request_first(struct collector_request *r, struct push_str value)
{
    uint64_t  n;

    if (push_uint_parse(value, 1, &n) != PUSH_OK) {
        return PUSH_ERROR;
    }

    r->first = n == 1;

    return PUSH_OK;
}


static int
request_bytes(struct collector_request *r, struct push_str value)
{
    uint64_t  n;

    if (push_uint_parse(value, UINT64_MAX, &n) != PUSH_OK) {
        return PUSH_ERROR;
    }

    r->bytes = n < REQUEST_BYTES_MAX ? (size_t) n : REQUEST_BYTES_MAX;

    return PUSH_OK;
}


static int
request_due_ms(struct collector_request *r, struct push_str value)
{
    uint64_t  n;

    if (push_uint_parse(value, INT64_MAX, &n) != PUSH_OK) {
        return PUSH_ERROR;
    }

    r->due_ms = (int64_t) n;

    return PUSH_OK;
}


static int
request_logs(struct collector_request *r, struct push_str value)
{
    while (value.len) {

        if (request_log(r, request_cut(&value, '\n')) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    return r->count ? PUSH_OK : PUSH_ERROR;
}


/* "<full log> <after or -> <n>"; a user's log is its own user's only. */
static int
request_log(struct collector_request *r, struct push_str line)
{
    size_t                         i;
    uint64_t                       n;
    struct push_str                word, name;
    enum push_log_kind             kind;
    struct collector_request_log  *l;

    if (r->count == REQUEST_LOGS_MAX) {
        return PUSH_ERROR;
    }

    l = &r->logs[r->count];
    l->log = request_cut(&line, ' ');

    if (push_log_parse(l->log, &kind, &name) != PUSH_OK
        || (kind == PUSH_LOG_USER
            && (r->worker || !push_str_eq(name, r->uid))))
    {
        return PUSH_ERROR;
    }

    for (i = 0; i < r->count; i++) {
        if (push_str_eq(r->logs[i].log, l->log)) {
            return PUSH_ERROR;
        }
    }

    word = request_cut(&line, ' ');
    l->after = REQUEST_NONE;

    if (!push_str_eq(word, PUSH_STR("-"))) {

        if (push_uint_parse(word, (uint64_t) PUSH_SEQ_MAX, &n) != PUSH_OK) {
            return PUSH_ERROR;
        }

        l->after = (int64_t) n;
    }

    if (push_uint_parse(line, UINT32_MAX, &n) != PUSH_OK) {
        return PUSH_ERROR;
    }

    l->n = n < PUSH_WINDOW_MAX ? (unsigned) n : PUSH_WINDOW_MAX;
    r->count++;

    return PUSH_OK;
}


static bool
request_field(const struct push_str *fields, size_t pairs, const char *name,
    struct push_str *value)
{
    size_t  i, len;

    len = strlen(name);

    for (i = 0; i < pairs; i++) {

        if (fields[2 * i].len == len
            && memcmp(fields[2 * i].data, name, len) == 0)
        {
            *value = fields[2 * i + 1];
            return true;
        }
    }

    return false;
}


/* The part before the byte `at`; rest is what comes behind it. */
static struct push_str
request_cut(struct push_str *rest, char at)
{
    const char      *p;
    struct push_str  part;

    part = *rest;
    p = rest->len ? memchr(rest->data, at, rest->len) : NULL;

    if (p == NULL) {
        *rest = (struct push_str) { "", 0 };
        return part;
    }

    part.len = (size_t) (p - rest->data);
    rest->data = p + 1;
    rest->len -= part.len + 1;

    return part;
}
