/*
 * store_mongo_append: a step of the append rule, carried out
 *
 *     TIPS:   [last messages] --> heads --> tips
 *     KEYS:   the first copies, as a majority has them
 *     INSERT: one command --> store_mongo_outcome --> results
 *
 * in:   a step.  out: the same with its results
 * owns: the documents, whose memory is used again
 */

#include "store_mongo.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault_point.h"

struct store_mongo_append {
    bson_t                  documents[STORE_STEP_MAX];
    const bson_t           *pointers[STORE_STEP_MAX];
    struct store_mongo_log  logs[STORE_STEP_MAX];
};

static int append_tips(struct store_mongo_append *a,
    struct store_mongo_conn *c, struct store_step *step);
static int append_keys(struct store_mongo_conn *c, struct store_step *step);
static int append_keys_chunk(struct store_mongo_conn *c,
    struct store_step *step, size_t from, size_t to);
static void append_key_found(struct store_step *step, size_t from, size_t to,
    const bson_t *doc);
static int append_inserts(struct store_mongo_append *a,
    struct store_mongo_conn *c, struct store_step *step);
static void append_document(bson_t *to, const struct store_step_item *item);


struct store_mongo_append *
store_mongo_append_create(void)
{
    size_t                      i;
    struct store_mongo_append  *a;

    a = calloc(1, sizeof(*a));

    if (a == NULL) {
        return NULL;
    }

    for (i = 0; i < STORE_STEP_MAX; i++) {
        bson_init(&a->documents[i]);
        a->pointers[i] = &a->documents[i];
    }

    return a;
}


void
store_mongo_append_destroy(struct store_mongo_append *a)
{
    size_t  i;

    for (i = 0; i < STORE_STEP_MAX; i++) {
        bson_destroy(&a->documents[i]);
    }

    free(a);
}


int
store_mongo_append_step(struct store_mongo_append *a,
    struct store_mongo_conn *c, struct store_step *step)
{
    int     rc;
    size_t  i;

    rc = step->kind == STORE_STEP_TIPS ? append_tips(a, c, step)
         : step->kind == STORE_STEP_KEYS ? append_keys(c, step)
         : append_inserts(a, c, step);

    if (rc != PUSH_OK) {
        for (i = 0; i < step->count; i++) {
            step->items[i].result = STORE_STEP_UNKNOWN;
        }

        snprintf(step->error, sizeof(step->error), "%s", c->error);
    }

    return rc;
}


static int
append_tips(struct store_mongo_append *a, struct store_mongo_conn *c,
    struct store_step *step)
{
    size_t  i;

    for (i = 0; i < step->count; i++) {
        a->logs[i].name = step->items[i].log;
        a->logs[i].tip = step->items[i].seq;
        a->logs[i].last = step->items[i].last;
    }

    if (store_mongo_logs(c, a->logs, step->count) != PUSH_OK) {
        return PUSH_ERROR;
    }

    for (i = 0; i < step->count; i++) {
        step->items[i].seq = a->logs[i].tip;
        step->items[i].result = STORE_STEP_DONE;
    }

    PUSH_FAULT_POINT("store-tips");

    return PUSH_OK;
}


static int
append_keys(struct store_mongo_conn *c, struct store_step *step)
{
    size_t  from, to;

    for (from = 0; from < step->count; from = to) {
        to = from + MONGO_CHUNK < step->count ? from + MONGO_CHUNK
                                              : step->count;

        if (append_keys_chunk(c, step, from, to) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}


static int
append_keys_chunk(struct store_mongo_conn *c, struct store_step *step,
    size_t from, size_t to)
{
    int                      rc;
    char                     buf[16];
    size_t                   i;
    bson_t                   query, options, any, one, fields;
    const char              *at;
    const bson_t            *doc;
    bson_error_t             error;
    mongoc_cursor_t         *cursor;
    struct store_step_item  *item;

    bson_init(&query);
    bson_append_array_begin(&query, "$or", -1, &any);

    for (i = from; i < to; i++) {
        item = &step->items[i];
        item->result = STORE_STEP_MISSING;

        bson_uint32_to_string((uint32_t) (i - from), &at, buf, sizeof(buf));
        bson_append_document_begin(&any, at, -1, &one);
        store_mongo_str(&one, "_id.log", item->log);
        store_mongo_str(&one, "key", item->message->key);
        bson_append_document_end(&any, &one);
    }

    bson_append_array_end(&query, &any);

    bson_init(&options);
    bson_append_document_begin(&options, "projection", -1, &fields);
    bson_append_bool(&fields, "data", -1, false);
    bson_append_document_end(&options, &fields);
    rc = store_mongo_read_options(c, &options);

    if (rc == PUSH_OK) {
        cursor = mongoc_collection_find_with_opts(
                     c->collections[MONGO_MESSAGES], &query, &options, NULL);

        while (mongoc_cursor_next(cursor, &doc)) {
            append_key_found(step, from, to, doc);
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


/* A log is in a step once. */
static void
append_key_found(struct store_step *step, size_t from, size_t to,
    const bson_t *doc)
{
    size_t                   i;
    uint32_t                 len;
    bson_iter_t              iter;
    const uint8_t           *hash;
    bson_subtype_t           type;
    struct push_str          log;
    struct store_step_item  *item;

    log = store_mongo_get_str(doc, "_id.log");

    for (i = from; i < to; i++) {
        item = &step->items[i];

        if (!push_str_eq(item->log, log)) {
            continue;
        }

        item->result = STORE_STEP_DONE;
        item->seq = store_mongo_get_int(doc, "_id.seq");
        item->ts_ms = store_mongo_get_int(doc, "ts");
        item->expires = store_mongo_get_int(doc, "expires");
        memset(item->hash, 0, STORE_HASH_LEN);

        if (bson_iter_init_find(&iter, doc, "hash")
            && BSON_ITER_HOLDS_BINARY(&iter))
        {
            bson_iter_binary(&iter, &type, &len, &hash);

            if (len == STORE_HASH_LEN) {
                memcpy(item->hash, hash, STORE_HASH_LEN);
            }
        }

        return;
    }
}


static int
append_inserts(struct store_mongo_append *a, struct store_mongo_conn *c,
    struct store_step *step)
{
    int           rc;
    bool          ok;
    size_t        i;
    bson_t        options, reply;
    bson_error_t  error;

    for (i = 0; i < step->count; i++) {
        append_document(&a->documents[i], &step->items[i]);
    }

    bson_init(&options);
    bson_append_bool(&options, "ordered", -1, step->ordered);
    bson_append_bool(&options, "validate", -1, false);

    PUSH_FAULT_POINT("store-sent");

    ok = mongoc_collection_insert_many(c->collections[MONGO_MESSAGES],
                                       a->pointers, step->count, &options,
                                       &reply, &error);

    PUSH_FAULT_POINT("store-acked");
    PUSH_FAULT_POINT_IF(step->ordered, "store-hot");

    rc = store_mongo_outcome(step, ok, &reply, &error, c->error,
                             sizeof(c->error));

    if (rc != PUSH_OK && !ok && !bson_has_field(&reply, "writeErrors.0")
        && !bson_has_field(&reply, "writeConcernErrors.0"))
    {
        (void) store_mongo_fail(c, &error);
    }

    bson_destroy(&reply);
    bson_destroy(&options);

    return rc;
}


static void
append_document(bson_t *to, const struct store_step_item *item)
{
    int64_t                      collect;
    const struct store_message  *m;

    m = item->message;

    bson_reinit(to);
    store_mongo_id(to, "_id", m->log, item->seq);
    bson_append_int64(to, "ts", -1, m->ts_ms);

    if (m->expires) {
        collect = m->ts_ms / 1000 + STORE_YOUNG_S;
        bson_append_int64(to, "expires", -1, m->expires);
        bson_append_int64(to, "collect", -1,
                          m->expires > collect ? m->expires : collect);
    }

    if (m->key.len) {
        store_mongo_str(to, "key", m->key);
        bson_append_binary(to, "hash", -1, BSON_SUBTYPE_BINARY, m->hash,
                           STORE_HASH_LEN);
    }

    store_mongo_str(to, "data", m->data);
}
