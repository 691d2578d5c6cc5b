/*
 * store_mongo_logs: tips and floors of many logs
 *
 *     names --one command: the last message of each--> seq
 *           --one command: the heads----------------> max(seq, tip), floor
 *
 * in:   logs, each once.  out: their numbers
 * owns: nothing
 *
 * The head after the messages: whatever the GC had deleted when we looked for
 * the last message was in the head before.
 */

#include "store_mongo.h"

#include <stdlib.h>
#include <string.h>

static int logs_last(struct store_mongo_conn *c, struct store_mongo_log *logs,
    size_t count, struct store_mongo_log **sorted);
static int logs_last_chunk(struct store_mongo_conn *c,
    struct store_mongo_log *const *some, size_t some_count,
    struct store_mongo_log **sorted, size_t count);
static void logs_pipeline(bson_t *to, struct push_str log);
static int logs_heads(struct store_mongo_conn *c,
    struct store_mongo_log **sorted, size_t count);
static struct store_mongo_log *logs_find(struct store_mongo_log **sorted,
    size_t count, struct push_str name);
static int logs_compare(const void *a, const void *b);
static int logs_compare_name(struct push_str a, struct push_str b);


int
store_mongo_logs(struct store_mongo_conn *c, struct store_mongo_log *logs,
    size_t count)
{
    int                       rc;
    bool                      began;
    size_t                    i;
    struct store_mongo_log  **sorted;

    sorted = malloc((count ? count : 1) * sizeof(*sorted));

    if (sorted == NULL) {
        return store_mongo_say(c, "out of memory");
    }

    for (i = 0; i < count; i++) {
        logs[i].floor = 0;
        logs[i].head = 0;
        sorted[i] = &logs[i];
    }

    qsort(sorted, count, sizeof(*sorted), logs_compare);

    began = c->session == NULL;
    rc = store_mongo_session_begin(c);

    if (rc == PUSH_OK) {
        rc = logs_last(c, logs, count, sorted);
    }

    if (rc == PUSH_OK) {
        rc = logs_heads(c, sorted, count);
    }

    if (began) {
        store_mongo_session_end(c);
    }

    free(sorted);

    return rc;
}


static int
logs_last(struct store_mongo_conn *c, struct store_mongo_log *logs,
    size_t count, struct store_mongo_log **sorted)
{
    size_t                   i, n;
    struct store_mongo_log  *some[MONGO_CHUNK];

    n = 0;

    for (i = 0; i < count; i++) {

        if (logs[i].last) {
            some[n++] = &logs[i];
        }

        if (n == MONGO_CHUNK || (n && i == count - 1)) {
            if (logs_last_chunk(c, some, n, sorted, count) != PUSH_OK) {
                return PUSH_ERROR;
            }

            n = 0;
        }
    }

    return PUSH_OK;
}


/* Each log's own pipeline: an index seek; together one round trip. */
static int
logs_last_chunk(struct store_mongo_conn *c,
    struct store_mongo_log *const *some, size_t some_count,
    struct store_mongo_log **sorted, size_t count)
{
    int                      rc;
    char                     buf[16];
    size_t                   i;
    bson_t                   pipeline, stages, stage, with, inner, options;
    int64_t                  seq;
    uint32_t                 at;
    const char              *name;
    const bson_t            *doc;
    bson_error_t             error;
    mongoc_cursor_t         *cursor;
    struct store_mongo_log  *log;

    bson_init(&pipeline);
    bson_append_array_begin(&pipeline, "pipeline", -1, &stages);
    logs_pipeline(&stages, some[0]->name);
    at = 4;

    for (i = 1; i < some_count; i++) {
        bson_uint32_to_string(at++, &name, buf, sizeof(buf));
        bson_append_document_begin(&stages, name, -1, &stage);
        bson_append_document_begin(&stage, "$unionWith", -1, &with);
        bson_append_utf8(&with, "coll", -1, "messages", -1);
        bson_append_array_begin(&with, "pipeline", -1, &inner);
        logs_pipeline(&inner, some[i]->name);
        bson_append_array_end(&with, &inner);
        bson_append_document_end(&stage, &with);
        bson_append_document_end(&stages, &stage);
    }

    bson_append_array_end(&pipeline, &stages);

    bson_init(&options);
    bson_append_int32(&options, "batchSize", -1, MONGO_CHUNK + 1);
    rc = store_mongo_read_options(c, &options);

    if (rc == PUSH_OK) {
        cursor = mongoc_collection_aggregate(c->collections[MONGO_MESSAGES],
                     MONGOC_QUERY_NONE, &pipeline, &options, NULL);

        while (mongoc_cursor_next(cursor, &doc)) {
            log = logs_find(sorted, count,
                            store_mongo_get_str(doc, "_id.log"));
            seq = store_mongo_get_int(doc, "_id.seq");

            if (log && seq > log->tip) {
                log->tip = seq;
            }
        }

        if (mongoc_cursor_error(cursor, &error)) {
            rc = store_mongo_fail(c, &error);
        }

        mongoc_cursor_destroy(cursor);
    }

    bson_destroy(&options);
    bson_destroy(&pipeline);

    return rc;
}


/* The id of the last message: four stages. */
static void
logs_pipeline(bson_t *to, struct push_str log)
{
    bson_t  stage, body;

    bson_append_document_begin(to, "0", -1, &stage);
    bson_append_document_begin(&stage, "$match", -1, &body);
    store_mongo_range(&body, log, 0, PUSH_SEQ_MAX);
    bson_append_document_end(&stage, &body);
    bson_append_document_end(to, &stage);

    bson_append_document_begin(to, "1", -1, &stage);
    bson_append_document_begin(&stage, "$sort", -1, &body);
    bson_append_int32(&body, "_id", -1, -1);
    bson_append_document_end(&stage, &body);
    bson_append_document_end(to, &stage);

    bson_append_document_begin(to, "2", -1, &stage);
    bson_append_int32(&stage, "$limit", -1, 1);
    bson_append_document_end(to, &stage);

    bson_append_document_begin(to, "3", -1, &stage);
    bson_append_document_begin(&stage, "$project", -1, &body);
    bson_append_int32(&body, "_id", -1, 1);
    bson_append_document_end(&stage, &body);
    bson_append_document_end(to, &stage);
}


static int
logs_heads(struct store_mongo_conn *c, struct store_mongo_log **sorted,
    size_t count)
{
    int                      rc;
    char                     buf[16];
    size_t                   i;
    bson_t                   query, options;
    const bson_t            *doc;
    bson_error_t             error;
    mongoc_cursor_t         *cursor;
    struct store_mongo_in    in;
    struct store_mongo_log  *log;

    bson_init(&query);
    store_mongo_in_begin(&in, &query, "_id");

    for (i = 0; i < count; i++) {
        store_mongo_str(&in.array, store_mongo_in_next(&in, buf, sizeof(buf)),
                        sorted[i]->name);
    }

    store_mongo_in_end(&in, &query);

    bson_init(&options);
    rc = store_mongo_read_options(c, &options);

    if (rc == PUSH_OK) {
        cursor = mongoc_collection_find_with_opts(c->collections[MONGO_HEADS],
                                                  &query, &options, NULL);

        while (mongoc_cursor_next(cursor, &doc)) {
            log = logs_find(sorted, count, store_mongo_get_str(doc, "_id"));

            if (log) {
                log->head = store_mongo_get_int(doc, "tip");
                log->floor = store_mongo_get_int(doc, "floor");
                log->tip = log->head > log->tip ? log->head : log->tip;
            }
        }

        if (mongoc_cursor_error(cursor, &error)) {
            rc = store_mongo_fail(c, &error);
        }

        mongoc_cursor_destroy(cursor);
    }

    bson_destroy(&options);
    bson_destroy(&query);

    return rc;
}


static struct store_mongo_log *
logs_find(struct store_mongo_log **sorted, size_t count, struct push_str name)
{
    struct store_mongo_log  key, *wanted, **found;

    key.name = name;
    wanted = &key;
    found = bsearch(&wanted, sorted, count, sizeof(*sorted), logs_compare);

    return found ? *found : NULL;
}


static int
logs_compare(const void *a, const void *b)
{
    return logs_compare_name((*(struct store_mongo_log *const *) a)->name,
                             (*(struct store_mongo_log *const *) b)->name);
}


static int
logs_compare_name(struct push_str a, struct push_str b)
{
    int     rc;
    size_t  len;

    len = a.len < b.len ? a.len : b.len;
    rc = len ? memcmp(a.data, b.data, len) : 0;

    return rc ? rc : (a.len > b.len) - (a.len < b.len);
}
