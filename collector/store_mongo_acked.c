/*
 * store_mongo_acked: which devices have acked a message
 *
 * in:   a store_get.  out: its list and its count
 * owns: nothing
 */

#include "store_mongo_owners.h"

#include "store_block.h"

#include <stdlib.h>
#include <string.h>

static void acked_pipeline(bson_t *to, struct push_str log, int64_t seq);
static int acked_list(struct store_mongo_conn *c, struct store_get *g,
    const bson_t *doc);


int
store_mongo_cursors_acked(struct store_mongo_conn *c, struct store_get *g)
{
    int               rc;
    bson_t            pipeline, options;
    const bson_t     *doc;
    bson_error_t      error;
    mongoc_cursor_t  *cursor;

    bson_init(&pipeline);
    bson_init(&options);
    acked_pipeline(&pipeline, g->log, g->seq);
    rc = store_mongo_read_options(c, &options);

    if (rc == PUSH_OK) {
        cursor = mongoc_collection_aggregate(c->collections[MONGO_CURSORS],
                     MONGOC_QUERY_NONE, &pipeline, &options, NULL);

        if (mongoc_cursor_next(cursor, &doc)) {
            rc = acked_list(c, g, doc);
        }

        if (rc == PUSH_OK && mongoc_cursor_error(cursor, &error)) {
            rc = store_mongo_fail(c, &error);
        }

        mongoc_cursor_destroy(cursor);
    }

    bson_destroy(&options);
    bson_destroy(&pipeline);

    return rc;
}


/* All documents of the log, their devices that started below and acked. */
static void
acked_pipeline(bson_t *to, struct push_str log, int64_t seq)
{
    bson_t  stages, stage, body, id, bound;
    bson_t *rest;

    bson_append_array_begin(to, "pipeline", -1, &stages);

    bson_append_document_begin(&stages, "0", -1, &stage);
    bson_append_document_begin(&stage, "$match", -1, &body);
    bson_append_document_begin(&body, "_id", -1, &id);
    bson_append_document_begin(&id, "$gte", -1, &bound);
    store_mongo_str(&bound, "log", log);
    bson_append_document_end(&id, &bound);
    bson_append_document_begin(&id, "$lt", -1, &bound);
    store_mongo_str(&bound, "log", log);
    bson_append_maxkey(&bound, "uid", -1);
    bson_append_document_end(&id, &bound);
    bson_append_document_end(&body, &id);
    bson_append_document_end(&stage, &body);
    bson_append_document_end(&stages, &stage);

    rest = BCON_NEW("$project", "{",
                        "uid", BCON_UTF8("$_id.uid"),
                        "device", "{", "$objectToArray",
                            BCON_UTF8("$devices"), "}", "}");
    bson_append_document(&stages, "1", -1, rest);
    bson_destroy(rest);

    rest = BCON_NEW("$unwind", BCON_UTF8("$device"));
    bson_append_document(&stages, "2", -1, rest);
    bson_destroy(rest);

    rest = BCON_NEW("$match", "{",
                        "device.v.start", "{", "$lt", BCON_INT64(seq), "}",
                        "device.v.acked", "{", "$gte", BCON_INT64(seq), "}",
                    "}");
    bson_append_document(&stages, "3", -1, rest);
    bson_destroy(rest);

    rest = BCON_NEW("$facet", "{",
                        "all", "[", "{", "$count", BCON_UTF8("count"), "}",
                        "]",
                        "some", "[",
                            "{", "$limit", BCON_INT64(STORE_ACKED_MAX), "}",
                            "{", "$project", "{",
                                "_id", BCON_BOOL(false),
                                "uid", BCON_BOOL(true),
                                "device", BCON_UTF8("$device.k"), "}", "}",
                        "]", "}");
    bson_append_document(&stages, "4", -1, rest);
    bson_destroy(rest);

    bson_append_array_end(to, &stages);
}


static int
acked_list(struct store_mongo_conn *c, struct store_get *g, const bson_t *doc)
{
    char                  name[PUSH_NAME_MAX];
    size_t                i;
    bson_t                one;
    uint32_t              len;
    bson_iter_t           iter, list;
    const uint8_t        *data;
    struct push_str       uid, device;
    struct store_block    b;
    struct store_device  *devices;

    g->acked_count = store_mongo_get_int(doc, "all.0.count");

    if (g->acked_count == 0 || !bson_iter_init_find(&iter, doc, "some")
        || !BSON_ITER_HOLDS_ARRAY(&iter) || !bson_iter_recurse(&iter, &list))
    {
        return PUSH_OK;
    }

    if (!store_block_begin(&b, STORE_ACKED_MAX * sizeof(struct store_device)))
    {
        return store_mongo_say(c, "out of memory");
    }

    while (g->acked_listed < STORE_ACKED_MAX && bson_iter_next(&list)) {

        if (!BSON_ITER_HOLDS_DOCUMENT(&list)) {
            continue;
        }

        bson_iter_document(&list, &len, &data);

        if (!bson_init_static(&one, data, len)) {
            continue;
        }

        uid = store_mongo_get_str(&one, "uid");
        device = mongo_device_name(name, store_mongo_get_str(&one, "device"));

        if (!store_block_add(&b, &uid, uid.data, uid.len)
            || !store_block_add(&b, &device, device.data, device.len))
        {
            free(b.start);
            g->acked_listed = 0;
            return store_mongo_say(c, "out of memory");
        }

        devices = (struct store_device *) b.start;
        devices[g->acked_listed].uid = uid;
        devices[g->acked_listed++].device = device;
    }

    g->r.memory = b.start;
    g->acked = (struct store_device *) b.start;

    for (i = 0; i < g->acked_listed; i++) {
        store_block_fix(&b, &g->acked[i].uid);
        store_block_fix(&b, &g->acked[i].device);
    }

    return PUSH_OK;
}
