/*
 * store_mongo_owners: the documents of many cursors, and the logs they are in
 */

#include "store_mongo_owners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mongo_owner *owners_get(const struct mongo_owners *o,
    struct push_str log, struct push_str uid);
static int owners_compare(const void *a, const void *b);
static int owners_compare_refs(const void *a, const void *b);
static int names_compare(const void *a, const void *b);
static int names_compare_str(struct push_str a, struct push_str b);


int
mongo_owners_init(struct mongo_owners *o, size_t max)
{
    memset(o, 0, sizeof(*o));
    o->refs = calloc(max, sizeof(struct mongo_ref));
    o->owners = calloc(max, sizeof(struct mongo_owner));

    if (o->refs && o->owners) {
        return PUSH_OK;
    }

    free(o->refs);
    free(o->owners);

    return PUSH_ERROR;
}


void
mongo_owners_add(struct mongo_owners *o, struct push_str log,
    struct push_str uid, size_t index)
{
    struct mongo_ref  *ref;

    ref = &o->refs[o->ref_count++];
    ref->log = log;
    ref->uid = uid;
    ref->index = index;
}


int
mongo_owners_find(struct mongo_owners *o, struct store_mongo_conn *c)
{
    int                   rc;
    char                  buf[16];
    size_t                i;
    bson_t                query, options;
    const bson_t         *doc;
    bson_error_t          error;
    mongoc_cursor_t      *cursor;
    struct mongo_ref     *ref;
    struct mongo_owner   *owner;
    struct store_mongo_in  in;

    if (o->ref_count == 0) {
        return PUSH_OK;
    }

    qsort(o->refs, o->ref_count, sizeof(struct mongo_ref),
          owners_compare_refs);

    bson_init(&query);
    store_mongo_in_begin(&in, &query, "_id");

    for (i = 0; i < o->ref_count; i++) {
        ref = &o->refs[i];
        owner = o->count ? &o->owners[o->count - 1] : NULL;

        if (owner == NULL || !push_str_eq(owner->log, ref->log)
            || !push_str_eq(owner->uid, ref->uid))
        {
            owner = &o->owners[o->count++];
            owner->log = ref->log;
            owner->uid = ref->uid;
            owner->first = i;
            mongo_owner_id(&in.array,
                           store_mongo_in_next(&in, buf, sizeof(buf)),
                           ref->log, ref->uid);
        }

        owner->count++;
    }

    store_mongo_in_end(&in, &query);
    bson_init(&options);
    rc = store_mongo_read_options(c, &options);

    if (rc == PUSH_OK) {
        cursor = mongoc_collection_find_with_opts(
                     c->collections[MONGO_CURSORS], &query, &options, NULL);

        while (mongoc_cursor_next(cursor, &doc)) {
            owner = owners_get(o, store_mongo_get_str(doc, "_id.log"),
                               store_mongo_get_str(doc, "_id.uid"));

            if (owner && owner->document == NULL) {
                owner->document = bson_copy(doc);
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


void
mongo_owners_deinit(struct mongo_owners *o)
{
    size_t  i;

    for (i = 0; i < o->count; i++) {
        if (o->owners[i].document) {
            bson_destroy(o->owners[i].document);
        }
    }

    free(o->owners);
    free(o->refs);
}


void
mongo_owner_id(bson_t *to, const char *name, struct push_str log,
    struct push_str uid)
{
    bson_t  id;

    bson_append_document_begin(to, name, -1, &id);
    store_mongo_str(&id, "log", log);
    store_mongo_str(&id, "uid", uid);
    bson_append_document_end(to, &id);
}


static struct mongo_owner *
owners_get(const struct mongo_owners *o, struct push_str log,
    struct push_str uid)
{
    struct mongo_owner  key;

    key.log = log;
    key.uid = uid;

    return bsearch(&key, o->owners, o->count, sizeof(key), owners_compare);
}


bool
mongo_owner_next(const struct mongo_owner *owner, bool first,
    bson_iter_t *iter, struct mongo_device *device)
{
    bson_t          fields;
    uint32_t        len;
    bson_iter_t     devices;
    const uint8_t  *data;

    if (first
        && (owner->document == NULL
            || !bson_iter_init_find(&devices, owner->document, "devices")
            || !BSON_ITER_HOLDS_DOCUMENT(&devices)
            || !bson_iter_recurse(&devices, iter)))
    {
        return false;
    }

    while (bson_iter_next(iter)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(iter)) {
            continue;
        }

        bson_iter_document(iter, &len, &data);

        if (!bson_init_static(&fields, data, len)) {
            continue;
        }

        device->name.data = bson_iter_key(iter);
        device->name.len = strlen(device->name.data);
        device->start = store_mongo_get_int(&fields, "start");
        device->acked = store_mongo_get_int(&fields, "acked");
        device->at = store_mongo_get_int(&fields, "at");
        return true;
    }

    return false;
}


bool
mongo_owner_device(const struct mongo_owner *owner, struct push_str name,
    struct mongo_device *device)
{
    bool         first;
    bson_iter_t  iter;

    for (first = true; mongo_owner_next(owner, first, &iter, device);
         first = false)
    {
        if (mongo_device_is(device, name)) {
            return true;
        }
    }

    return false;
}


bool
mongo_device_is(const struct mongo_device *device, struct push_str name)
{
    char    a, b;
    size_t  i;

    if (device->name.len != name.len) {
        return false;
    }

    for (i = 0; i < name.len; i++) {
        a = device->name.data[i];
        b = name.data[i];

        if ((a == '/' ? '.' : a) != (b == '/' ? '.' : b)) {
            return false;
        }
    }

    return true;
}


void
mongo_device_path(char *to, struct push_str name, const char *field)
{
    size_t  i, begin;

    begin = strlen("devices.");
    (void) snprintf(to, MONGO_PATH_MAX, "devices.%.*s%s%s", (int) name.len,
                    name.data, field ? "." : "", field ? field : "");

    for (i = begin; i < begin + name.len; i++) {
        if (to[i] == '.') {
            to[i] = '/';
        }
    }
}


struct push_str
mongo_device_name(char *to, struct push_str field)
{
    size_t           i;
    struct push_str  name;

    name.data = to;
    name.len = field.len < PUSH_NAME_MAX ? field.len : PUSH_NAME_MAX;

    for (i = 0; i < name.len; i++) {
        to[i] = field.data[i] == '/' ? '.' : field.data[i];
    }

    return name;
}


int
mongo_names_init(struct mongo_names *n, size_t max)
{
    n->count = 0;
    n->logs = calloc(max, sizeof(struct store_mongo_log));

    return n->logs ? PUSH_OK : PUSH_ERROR;
}


void
mongo_names_add(struct mongo_names *n, struct push_str name)
{
    n->logs[n->count].name = name;
    n->logs[n->count++].last = true;
}


int
mongo_names_find(struct mongo_names *n, struct store_mongo_conn *c)
{
    size_t  i, to;

    if (n->count == 0) {
        return PUSH_OK;
    }

    qsort(n->logs, n->count, sizeof(struct store_mongo_log), names_compare);

    for (i = 1, to = 1; i < n->count; i++) {
        if (!push_str_eq(n->logs[i].name, n->logs[to - 1].name)) {
            n->logs[to++] = n->logs[i];
        }
    }

    n->count = to;

    return store_mongo_logs(c, n->logs, n->count);
}


struct store_mongo_log *
mongo_names_get(const struct mongo_names *n, struct push_str name)
{
    struct store_mongo_log  key;

    key.name = name;

    return bsearch(&key, n->logs, n->count, sizeof(key), names_compare);
}


void
mongo_names_deinit(struct mongo_names *n)
{
    free(n->logs);
}


static int
owners_compare(const void *a, const void *b)
{
    int                        rc;
    const struct mongo_owner  *x, *y;

    x = a;
    y = b;
    rc = names_compare_str(x->log, y->log);

    return rc ? rc : names_compare_str(x->uid, y->uid);
}


/* The caller's order within an owner. */
static int
owners_compare_refs(const void *a, const void *b)
{
    int                      rc;
    const struct mongo_ref  *x, *y;

    x = a;
    y = b;
    rc = names_compare_str(x->log, y->log);

    if (rc == 0) {
        rc = names_compare_str(x->uid, y->uid);
    }

    return rc ? rc : (x->index > y->index) - (x->index < y->index);
}


static int
names_compare(const void *a, const void *b)
{
    return names_compare_str(((const struct store_mongo_log *) a)->name,
                             ((const struct store_mongo_log *) b)->name);
}


static int
names_compare_str(struct push_str a, struct push_str b)
{
    int     rc;
    size_t  len;

    len = a.len < b.len ? a.len : b.len;
    rc = len ? memcmp(a.data, b.data, len) : 0;

    return rc ? rc : (a.len > b.len) - (a.len < b.len);
}
