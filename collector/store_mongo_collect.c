/*
 * store_mongo_collect: what is expired leaves the set, in rounds
 *
 *     LIST    due messages, slice by slice:  heads --> stubs
 *     WAIT    longer than anybody believes a tip
 *     DELETE  what the heads cover, log by log
 *
 * in:   one connection, the time of day, a clock that never goes back
 * out:  a slice of work a call
 * owns: a round: the cursor over what is due, the logs it found
 *
 * R5: tip and floor of a log are written, by a majority, before anything of it
 * is deleted.  R6: messages.collect is never below ts plus an hour; and who
 * believes a tip from before the head was written does not any more when the
 * deletes begin, whatever the clocks of the collectors say.  R7: readers tell
 * what is missing below the head as a range.
 *
 * Several collectors may be at it at once: all that is written here only
 * raises numbers, or takes away what is due.
 */

#include "store_mongo.h"

#include <stdlib.h>
#include <string.h>

#include "fault_point.h"

#define COLLECT_SLICE    500            /* messages */
#define COLLECT_LOGS     20000          /* of a round */
#define COLLECT_DELETES  100            /* logs of a command */
#define COLLECT_WAIT_MS  (2 * STORE_TIP_MS)

enum collect_state { COLLECT_LIST, COLLECT_WAIT, COLLECT_DELETE };

/* What of a log is to be deleted: numbers, and due when the round began. */
struct collect_log {
    int64_t from;
    int64_t to;
    uint8_t len;
    char    name[PUSH_LOG_MAX];
};

/* A message of a slice. */
struct collect_message {
    int64_t seq;
    int64_t keep_until;         /* a stub until then, 0: delete */
    size_t  log;                /* in the slice's names */
};

struct store_mongo_collect {
    enum collect_state       state;
    mongoc_cursor_t         *cursor;    /* of LIST */
    int64_t                  until_s;   /* due when the round began */
    int64_t                  head_ms;   /* the last head was written */
    struct collect_log      *logs;      /* found in this round, with deletes */
    size_t                   log_count;
    size_t                   deleted;   /* of them */
    struct collect_message   slice[COLLECT_SLICE];
    size_t                   slice_count;
    struct store_mongo_log   names[COLLECT_SLICE];
    char                     text[COLLECT_SLICE][PUSH_LOG_MAX];
    int64_t                  highest[COLLECT_SLICE];    /* of a log, here */
    size_t                   name_count;
};

static int collect_list(struct store_mongo_collect *g,
    struct store_mongo_conn *c, struct store_gc *gc, int64_t now_s,
    int64_t clock_ms);
static int collect_begin(struct store_mongo_collect *g,
    struct store_mongo_conn *c, int64_t now_s);
static void collect_take(struct store_mongo_collect *g, const bson_t *doc,
    int64_t now_s);
static size_t collect_name(struct store_mongo_collect *g,
    struct push_str name);
static int collect_heads(struct store_mongo_collect *g,
    struct store_mongo_conn *c);
static int collect_floor(struct store_mongo_collect *g,
    struct store_mongo_conn *c, const struct store_mongo_log *log,
    int64_t *floor);
static int collect_stubs(struct store_mongo_collect *g,
    struct store_mongo_conn *c, struct store_gc *gc);
static void collect_remember(struct store_mongo_collect *g);
static int collect_delete(struct store_mongo_collect *g,
    struct store_mongo_conn *c, struct store_gc *gc);
static mongoc_bulk_operation_t *collect_bulk(struct store_mongo_conn *c,
    enum mongo_collection which);
static int collect_run(struct store_mongo_conn *c,
    mongoc_bulk_operation_t *bulk, const char *field, int64_t *count);
static void collect_end(struct store_mongo_collect *g);


struct store_mongo_collect *
store_mongo_collect_create(void)
{
    struct store_mongo_collect  *g;

    g = calloc(1, sizeof(*g));

    if (g == NULL) {
        return NULL;
    }

    g->logs = calloc(COLLECT_LOGS, sizeof(struct collect_log));

    if (g->logs == NULL) {
        free(g);
        return NULL;
    }

    return g;
}


void
store_mongo_collect_destroy(struct store_mongo_collect *g)
{
    collect_end(g);
    free(g->logs);
    free(g);
}


int
store_mongo_collect(struct store_mongo_collect *g, struct store_mongo_conn *c,
    struct store_gc *gc, int64_t now_ms, int64_t clock_ms, bool at_once,
    bool *more)
{
    int  rc;

    rc = PUSH_OK;
    *more = false;

    switch (g->state) {

    case COLLECT_LIST:
        rc = collect_list(g, c, gc, now_ms / 1000, clock_ms);
        *more = rc == PUSH_OK && (g->state == COLLECT_LIST ? g->cursor != NULL
                                                           : at_once);
        break;

    case COLLECT_WAIT:
        if (at_once || clock_ms - g->head_ms >= COLLECT_WAIT_MS) {
            g->state = COLLECT_DELETE;
            *more = true;
        }

        break;

    case COLLECT_DELETE:
        rc = collect_delete(g, c, gc);
        *more = rc == PUSH_OK;
    }

    if (rc != PUSH_OK && g->state == COLLECT_LIST) {
        collect_end(g);                 /* from the beginning, later */
    }

    return rc;
}


static int
collect_list(struct store_mongo_collect *g, struct store_mongo_conn *c,
    struct store_gc *gc, int64_t now_s, int64_t clock_ms)
{
    bool           end;
    const bson_t  *doc;
    bson_error_t   error;

    if (g->cursor == NULL && collect_begin(g, c, now_s) != PUSH_OK) {
        return PUSH_ERROR;
    }

    g->slice_count = 0;
    g->name_count = 0;
    end = false;

    while (g->slice_count < COLLECT_SLICE && !end) {
        end = !mongoc_cursor_next(g->cursor, &doc);

        if (!end) {
            collect_take(g, doc, now_s);
        }
    }

    if (mongoc_cursor_error(g->cursor, &error)) {
        return store_mongo_fail(c, &error);
    }

    if (g->slice_count) {
        if (collect_heads(g, c) != PUSH_OK) {
            return PUSH_ERROR;
        }

        PUSH_FAULT_POINT("gc-head");

        if (collect_stubs(g, c, gc) != PUSH_OK) {
            return PUSH_ERROR;
        }

        g->head_ms = clock_ms;
        collect_remember(g);
    }

    if (end || g->log_count + COLLECT_SLICE > COLLECT_LOGS) {
        mongoc_cursor_destroy(g->cursor);
        g->cursor = NULL;
        g->state = g->log_count ? COLLECT_WAIT : COLLECT_LIST;
    }

    return PUSH_OK;
}


/* What a stub has to know, not the bodies. */
static int
collect_begin(struct store_mongo_collect *g, struct store_mongo_conn *c,
    int64_t now_s)
{
    int      rc;
    bson_t   query, *options;

    g->until_s = now_s;
    g->log_count = 0;
    g->deleted = 0;

    bson_init(&query);
    BCON_APPEND(&query, "collect", "{", "$lte", BCON_INT64(now_s), "}");

    options = BCON_NEW("sort", "{", "collect", BCON_INT32(1), "}",
                       "hint", BCON_UTF8("collect"),
                       "batchSize", BCON_INT32(COLLECT_SLICE),
                       "projection", "{",
                           "ts", BCON_BOOL(true), "key", BCON_BOOL(true),
                           "stub", "{", "$eq", "[",
                               "{", "$type", BCON_UTF8("$data"), "}",
                               BCON_UTF8("missing"), "]", "}", "}");
    rc = store_mongo_read_options(c, options);

    if (rc == PUSH_OK) {
        g->cursor = mongoc_collection_find_with_opts(
                        c->collections[MONGO_MESSAGES], &query, options, NULL);
    }

    bson_destroy(options);
    bson_destroy(&query);

    return rc;
}


static void
collect_take(struct store_mongo_collect *g, const bson_t *doc, int64_t now_s)
{
    int64_t                  until;
    bson_iter_t              iter;
    struct collect_message  *m;

    m = &g->slice[g->slice_count++];
    m->seq = store_mongo_get_int(doc, "_id.seq");
    m->log = collect_name(g, store_mongo_get_str(doc, "_id.log"));
    m->keep_until = 0;

    if (m->seq > g->highest[m->log]) {
        g->highest[m->log] = m->seq;
    }

    until = (store_mongo_get_int(doc, "ts") + 999) / 1000 + STORE_KEY_S;

    if (bson_has_field(doc, "key") && until > now_s
        && bson_iter_init_find(&iter, doc, "stub")
        && !bson_iter_as_bool(&iter))
    {
        m->keep_until = until;
    }
}


/* Where the log is among the names of the slice. */
static size_t
collect_name(struct store_mongo_collect *g, struct push_str name)
{
    size_t                   i;
    struct store_mongo_log  *log;

    for (i = g->name_count; i > 0; i--) {       /* neighbours are alike */
        if (push_str_eq(g->names[i - 1].name, name)) {
            return i - 1;
        }
    }

    i = g->name_count++;
    log = &g->names[i];
    memset(log, 0, sizeof(*log));
    log->name.data = g->text[i];
    log->name.len = name.len < PUSH_LOG_MAX ? name.len : PUSH_LOG_MAX;
    memcpy(g->text[i], name.data, log->name.len);
    log->last = true;
    g->highest[i] = 0;

    return i;
}


static int
collect_heads(struct store_mongo_collect *g, struct store_mongo_conn *c)
{
    int                       rc;
    size_t                    i;
    bson_t                    id, update, max, options;
    int64_t                   floor, count;
    mongoc_bulk_operation_t  *bulk;

    /* what stays is not looked for in an older view than the tips */

    rc = store_mongo_session_begin(c);

    if (rc == PUSH_OK) {
        rc = store_mongo_logs(c, g->names, g->name_count);
    }

    bulk = collect_bulk(c, MONGO_HEADS);
    count = 0;

    for (i = 0; i < g->name_count && rc == PUSH_OK; i++) {
        rc = collect_floor(g, c, &g->names[i], &floor);

        bson_init(&id);
        store_mongo_str(&id, "_id", g->names[i].name);
        bson_init(&update);
        bson_append_document_begin(&update, "$max", -1, &max);
        bson_append_int64(&max, "tip", -1, g->highest[i]);
        bson_append_int64(&max, "floor", -1, floor);
        bson_append_document_end(&update, &max);
        bson_init(&options);
        bson_append_bool(&options, "upsert", -1, true);
        (void) mongoc_bulk_operation_update_one_with_opts(bulk, &id, &update,
                                                          &options, NULL);
        bson_destroy(&options);
        bson_destroy(&update);
        bson_destroy(&id);
    }

    store_mongo_session_end(c);

    if (rc == PUSH_OK) {
        rc = collect_run(c, bulk, "nMatched", &count);
    }

    mongoc_bulk_operation_destroy(bulk);

    return rc;
}


/* Below the first message that stays; the tip was read before. */
static int
collect_floor(struct store_mongo_collect *g, struct store_mongo_conn *c,
    const struct store_mongo_log *log, int64_t *floor)
{
    int               rc;
    bson_t            query, *options;
    const bson_t     *doc;
    bson_error_t      error;
    mongoc_cursor_t  *cursor;

    *floor = log->tip;

    bson_init(&query);
    store_mongo_range(&query, log->name, log->floor, PUSH_SEQ_MAX);
    BCON_APPEND(&query, "data", "{", "$exists", BCON_BOOL(true), "}",
                "$or", "[",
                    "{", "collect", "{", "$exists", BCON_BOOL(false), "}", "}",
                    "{", "collect", "{", "$gt", BCON_INT64(g->until_s), "}",
                    "}", "]");

    options = BCON_NEW("sort", "{", "_id", BCON_INT32(1), "}",
                       "hint", BCON_UTF8("_id_"),
                       "limit", BCON_INT64(1),
                       "projection", "{", "_id", BCON_BOOL(true), "}");
    rc = store_mongo_read_options(c, options);

    if (rc == PUSH_OK) {
        cursor = mongoc_collection_find_with_opts(
                     c->collections[MONGO_MESSAGES], &query, options, NULL);

        if (mongoc_cursor_next(cursor, &doc)) {
            *floor = store_mongo_get_int(doc, "_id.seq") - 1;
        }

        if (mongoc_cursor_error(cursor, &error)) {
            rc = store_mongo_fail(c, &error);
        }

        mongoc_cursor_destroy(cursor);
    }

    bson_destroy(options);
    bson_destroy(&query);

    return rc;
}


static int
collect_stubs(struct store_mongo_collect *g, struct store_mongo_conn *c,
    struct store_gc *gc)
{
    int                       rc;
    size_t                    i, stubs;
    bson_t                    id, *update;
    mongoc_bulk_operation_t  *bulk;
    struct collect_message   *m;

    bulk = collect_bulk(c, MONGO_MESSAGES);
    stubs = 0;

    for (i = 0; i < g->slice_count; i++) {
        m = &g->slice[i];

        if (m->keep_until == 0) {
            continue;
        }

        bson_init(&id);
        store_mongo_id(&id, "_id", g->names[m->log].name, m->seq);
        BCON_APPEND(&id, "data", "{", "$exists", BCON_BOOL(true), "}");
        update = BCON_NEW("$unset", "{", "data", BCON_BOOL(true), "}",
                          "$set", "{", "collect", BCON_INT64(m->keep_until),
                          "}");
        (void) mongoc_bulk_operation_update_one_with_opts(bulk, &id, update,
                                                          NULL, NULL);
        bson_destroy(update);
        bson_destroy(&id);
        stubs++;
    }

    rc = stubs ? collect_run(c, bulk, "nModified", &gc->stubbed) : PUSH_OK;
    mongoc_bulk_operation_destroy(bulk);

    return rc;
}


/* What is to be deleted, by logs. */
static void
collect_remember(struct store_mongo_collect *g)
{
    size_t                   i, j, at[COLLECT_SLICE];
    struct collect_log      *log;
    struct collect_message  *m;

    memset(at, 0xff, sizeof(at));

    for (i = 0; i < g->slice_count; i++) {
        m = &g->slice[i];
        j = m->log;

        if (m->keep_until) {
            continue;
        }

        if (at[j] == SIZE_MAX) {
            at[j] = g->log_count++;
            log = &g->logs[at[j]];
            log->from = m->seq;
            log->to = m->seq;
            log->len = (uint8_t) g->names[j].name.len;
            memcpy(log->name, g->names[j].name.data, log->len);
        }

        log = &g->logs[at[j]];
        log->from = m->seq < log->from ? m->seq : log->from;
        log->to = m->seq > log->to ? m->seq : log->to;
    }
}


/*
 * A command a call.  What has become a stub is not due any more; what is due
 * and should, because the round was cut short, stays for the next one.
 */
static int
collect_delete(struct store_mongo_collect *g, struct store_mongo_conn *c,
    struct store_gc *gc)
{
    int                       rc;
    size_t                    i, to;
    bson_t                    query;
    struct push_str           name;
    struct collect_log       *log;
    mongoc_bulk_operation_t  *bulk;

    to = g->deleted + COLLECT_DELETES;
    to = to < g->log_count ? to : g->log_count;
    bulk = collect_bulk(c, MONGO_MESSAGES);

    for (i = g->deleted; i < to; i++) {
        log = &g->logs[i];
        name.data = log->name;
        name.len = log->len;

        bson_init(&query);
        store_mongo_range(&query, name, log->from - 1, log->to);
        BCON_APPEND(&query, "collect", "{", "$lte", BCON_INT64(g->until_s),
                    "}", "$or", "[",
                        "{", "key", "{", "$exists", BCON_BOOL(false), "}", "}",
                        "{", "data", "{", "$exists", BCON_BOOL(false), "}",
                        "}",
                        "{", "ts", "{", "$lte",
                            BCON_INT64((g->until_s - STORE_KEY_S) * 1000),
                        "}", "}", "]");
        (void) mongoc_bulk_operation_remove_many_with_opts(bulk, &query, NULL,
                                                           NULL);
        bson_destroy(&query);
    }

    PUSH_FAULT_POINT("gc-delete");
    rc = collect_run(c, bulk, "nRemoved", &gc->deleted);
    mongoc_bulk_operation_destroy(bulk);

    if (rc != PUSH_OK) {
        return PUSH_ERROR;
    }

    g->deleted = to;

    if (to == g->log_count) {
        collect_end(g);
    }

    return PUSH_OK;
}


static mongoc_bulk_operation_t *
collect_bulk(struct store_mongo_conn *c, enum mongo_collection which)
{
    bson_t                    options;
    mongoc_bulk_operation_t  *bulk;

    bson_init(&options);
    bson_append_bool(&options, "ordered", -1, false);
    bulk = mongoc_collection_create_bulk_operation_with_opts(
               c->collections[which], &options);
    bson_destroy(&options);

    return bulk;
}


/* Adds the reply's number of `field` to *count. */
static int
collect_run(struct store_mongo_conn *c, mongoc_bulk_operation_t *bulk,
    const char *field, int64_t *count)
{
    int           rc;
    bson_t        reply;
    bson_error_t  error;

    rc = mongoc_bulk_operation_execute(bulk, &reply, &error) != 0
         ? PUSH_OK : store_mongo_fail(c, &error);

    if (rc == PUSH_OK) {
        *count += store_mongo_get_int(&reply, field);
    }

    bson_destroy(&reply);

    return rc;
}


static void
collect_end(struct store_mongo_collect *g)
{
    if (g->cursor) {
        mongoc_cursor_destroy(g->cursor);
        g->cursor = NULL;
    }

    g->state = COLLECT_LIST;
    g->log_count = 0;
    g->deleted = 0;
}
