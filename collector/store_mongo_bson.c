/*
 * store_mongo_bson: ids, ranges and options: built in one place
 *
 * in:   names, numbers.  out: BSON
 * owns: nothing
 *
 * The order of an id's fields counts: {seq, log} would be another id.  A range
 * is one of whole ids: conditions on "_id.log" would read the collection.
 */

#include "store_mongo.h"

#include <string.h>


void
store_mongo_str(bson_t *to, const char *name, struct push_str s)
{
    bson_append_utf8(to, name, -1, s.len ? s.data : "", (int) s.len);
}


void
store_mongo_id(bson_t *to, const char *name, struct push_str log, int64_t seq)
{
    bson_t  id;

    bson_append_document_begin(to, name, -1, &id);
    store_mongo_str(&id, "log", log);
    bson_append_int64(&id, "seq", -1, seq);
    bson_append_document_end(to, &id);
}


void
store_mongo_range(bson_t *to, struct push_str log, int64_t after,
    int64_t until)
{
    bson_t  id;

    bson_append_document_begin(to, "_id", -1, &id);
    store_mongo_id(&id, "$gt", log, after);
    store_mongo_id(&id, "$lte", log, until);
    bson_append_document_end(to, &id);
}


void
store_mongo_write_options(bson_t *options)
{
    bson_t  concern;

    bson_append_document_begin(options, "writeConcern", -1, &concern);
    bson_append_utf8(&concern, "w", -1, "majority", -1);
    bson_append_bool(&concern, "j", -1, true);
    bson_append_int64(&concern, "wtimeout", -1, MONGO_WRITE_MS);
    bson_append_document_end(options, &concern);
}


int
store_mongo_read_options(struct store_mongo_conn *c, bson_t *options)
{
    bson_error_t  error;

    bson_append_int64(options, "maxTimeMS", -1, MONGO_READ_MS);

    if (c->session
        && !mongoc_client_session_append(c->session, options, &error))
    {
        return store_mongo_fail(c, &error);
    }

    return PUSH_OK;
}


void
store_mongo_in_begin(struct store_mongo_in *in, bson_t *to, const char *name)
{
    in->count = 0;
    bson_append_document_begin(to, name, -1, &in->in);
    bson_append_array_begin(&in->in, "$in", -1, &in->array);
}


const char *
store_mongo_in_next(struct store_mongo_in *in, char *buf, size_t size)
{
    const char  *name;

    bson_uint32_to_string(in->count++, &name, buf, size);

    return name;
}


void
store_mongo_in_end(struct store_mongo_in *in, bson_t *to)
{
    bson_append_array_end(&in->in, &in->array);
    bson_append_document_end(to, &in->in);
}


int64_t
store_mongo_get_int(const bson_t *doc, const char *path)
{
    bson_iter_t  iter, at;

    if (!bson_iter_init(&iter, doc)
        || !bson_iter_find_descendant(&iter, path, &at)
        || !BSON_ITER_HOLDS_NUMBER(&at))
    {
        return 0;
    }

    return bson_iter_as_int64(&at);
}


struct push_str
store_mongo_get_str(const bson_t *doc, const char *path)
{
    uint32_t         len;
    bson_iter_t      iter, at;
    struct push_str  s;

    s = PUSH_STR("");

    if (bson_iter_init(&iter, doc)
        && bson_iter_find_descendant(&iter, path, &at)
        && BSON_ITER_HOLDS_UTF8(&at))
    {
        s.data = bson_iter_utf8(&at, &len);
        s.len = len;
    }

    return s;
}
