/*
 * store_mongo_cursors: cursors, many at a time
 *
 *     {_id: {log, uid}, devices: {phone: {start, acked, at}, ...}}
 *
 *     put: tips, if need be --> documents --> what changes --> one bulk
 *     get: tips and floors  --> documents --> places
 *
 * in:   cursors, places.  out: the same with their results
 * owns: nothing
 *
 * Two collectors may write the same document at once: an ack only raises its
 * numbers, a start only writes a device that is not there.  The bound of
 * devices may be passed by one then, until the next new device.
 */

#include "store_mongo_owners.h"

#include <stdlib.h>
#include <string.h>

#define CURSORS_DUPLICATE  11000

static int cursors_above(struct store_mongo_conn *c,
    struct store_cursors_put *p);
static int cursors_bulk(struct store_mongo_conn *c,
    const struct store_cursors_put *p, const struct mongo_owners *o,
    int64_t now_ms);
static size_t cursors_owner(mongoc_bulk_operation_t *bulk,
    const struct store_cursors_put *p, const struct mongo_owners *o,
    const struct mongo_owner *owner, int64_t now_ms);
static void cursors_update(mongoc_bulk_operation_t *bulk,
    const struct store_cursor *cursor, int64_t now_ms);
static size_t cursors_evict(mongoc_bulk_operation_t *bulk,
    const struct store_cursors_put *p, const struct mongo_owners *o,
    const struct mongo_owner *owner, size_t fresh);
static bool cursors_put_has(const struct store_cursors_put *p,
    const struct mongo_owners *o, const struct mongo_owner *owner,
    size_t until, const struct mongo_device *device);
static int cursors_run(struct store_mongo_conn *c,
    mongoc_bulk_operation_t *bulk);
static bool cursors_harmless(const bson_t *reply);
static void cursors_place(struct store_place *place,
    const struct mongo_owner *owner);


int
store_mongo_cursors_put(struct store_mongo_conn *c,
    struct store_cursors_put *p, int64_t now_ms)
{
    int                  rc;
    size_t               i;
    struct mongo_owners  o;

    if (cursors_above(c, p) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (mongo_owners_init(&o, p->count) != PUSH_OK) {
        return store_mongo_say(c, "out of memory");
    }

    for (i = 0; i < p->count; i++) {
        if (!p->cursors[i].above) {
            mongo_owners_add(&o, p->cursors[i].log, p->cursors[i].uid, i);
        }
    }

    rc = mongo_owners_find(&o, c);

    if (rc == PUSH_OK) {
        rc = cursors_bulk(c, p, &o, now_ms);
    }

    mongo_owners_deinit(&o);

    return rc;
}


/* Of those that may be above the tip, which are? */
static int
cursors_above(struct store_mongo_conn *c, struct store_cursors_put *p)
{
    int                      rc;
    size_t                   i;
    struct store_cursor     *cursor;
    struct mongo_names       names;
    struct store_mongo_log  *log;

    if (mongo_names_init(&names, p->count) != PUSH_OK) {
        return store_mongo_say(c, "out of memory");
    }

    for (i = 0; i < p->count; i++) {
        if (p->cursors[i].above) {
            mongo_names_add(&names, p->cursors[i].log);
        }
    }

    rc = mongo_names_find(&names, c);

    for (i = 0; rc == PUSH_OK && i < p->count; i++) {
        cursor = &p->cursors[i];

        if (cursor->above) {
            log = mongo_names_get(&names, cursor->log);
            cursor->above = cursor->seq > log->tip;
        }
    }

    mongo_names_deinit(&names);

    return rc;
}


static int
cursors_bulk(struct store_mongo_conn *c, const struct store_cursors_put *p,
    const struct mongo_owners *o, int64_t now_ms)
{
    int                       rc;
    size_t                    i, updates;
    bson_t                    options;
    mongoc_bulk_operation_t  *bulk;

    bson_init(&options);
    bson_append_bool(&options, "ordered", -1, false);
    bulk = mongoc_collection_create_bulk_operation_with_opts(
               c->collections[MONGO_CURSORS], &options);
    bson_destroy(&options);

    updates = 0;

    for (i = 0; i < o->count; i++) {
        updates += cursors_owner(bulk, p, o, &o->owners[i], now_ms);
    }

    rc = updates ? cursors_run(c, bulk) : PUSH_OK;
    mongoc_bulk_operation_destroy(bulk);

    return rc;
}


/* The updates of one document: their number. */
static size_t
cursors_owner(mongoc_bulk_operation_t *bulk, const struct store_cursors_put *p,
    const struct mongo_owners *o, const struct mongo_owner *owner,
    int64_t now_ms)
{
    bool                        there;
    size_t                      i, updates, fresh;
    struct mongo_device         device;
    const struct store_cursor  *cursor;

    updates = 0;
    fresh = 0;

    for (i = owner->first; i < owner->first + owner->count; i++) {
        cursor = &p->cursors[o->refs[i].index];
        there = mongo_owner_device(owner, cursor->device, &device);

        if (there && (cursor->start || device.acked >= cursor->seq)) {
            continue;
        }

        if (!there) {
            device.name = cursor->device;
            fresh += !cursors_put_has(p, o, owner, i, &device);
        }

        cursors_update(bulk, cursor, now_ms);
        updates++;
    }

    return updates + (fresh ? cursors_evict(bulk, p, o, owner, fresh) : 0);
}


/* An ack raises; a start writes a device that is not there. */
static void
cursors_update(mongoc_bulk_operation_t *bulk,
    const struct store_cursor *cursor, int64_t now_ms)
{
    char    path[MONGO_PATH_MAX];
    bson_t  id, update, body, device, options;

    bson_init(&id);
    mongo_owner_id(&id, "_id", cursor->log, cursor->uid);
    bson_init(&update);

    if (cursor->start) {
        mongo_device_path(path, cursor->device, NULL);
        bson_append_document_begin(&id, path, -1, &body);
        bson_append_bool(&body, "$exists", -1, false);
        bson_append_document_end(&id, &body);

        bson_append_document_begin(&update, "$set", -1, &body);
        bson_append_document_begin(&body, path, -1, &device);
        bson_append_int64(&device, "start", -1, cursor->seq);
        bson_append_int64(&device, "acked", -1, -1);
        bson_append_int64(&device, "at", -1, now_ms);
        bson_append_document_end(&body, &device);
        bson_append_document_end(&update, &body);

    } else {
        bson_append_document_begin(&update, "$max", -1, &body);
        mongo_device_path(path, cursor->device, "start");
        bson_append_int64(&body, path, -1, 0);
        mongo_device_path(path, cursor->device, "acked");
        bson_append_int64(&body, path, -1, cursor->seq);
        mongo_device_path(path, cursor->device, "at");
        bson_append_int64(&body, path, -1, now_ms);
        bson_append_document_end(&update, &body);
    }

    bson_init(&options);
    bson_append_bool(&options, "upsert", -1, true);
    (void) mongoc_bulk_operation_update_one_with_opts(bulk, &id, &update,
                                                      &options, NULL);
    bson_destroy(&options);
    bson_destroy(&update);
    bson_destroy(&id);
}


/* Those that were written longest ago make room. */
static size_t
cursors_evict(mongoc_bulk_operation_t *bulk, const struct store_cursors_put *p,
    const struct mongo_owners *o, const struct mongo_owner *owner,
    size_t fresh)
{
    char                 path[MONGO_PATH_MAX];
    size_t               i, count, gone;
    bson_t               id, update, body;
    int64_t              after;
    bson_iter_t          iter;
    struct mongo_device  device, oldest;

    count = fresh;

    for (i = 0; mongo_owner_next(owner, i == 0, &iter, &device); i++) {
        count++;
    }

    if (count <= STORE_DEVICES_MAX) {
        return 0;
    }

    bson_init(&id);
    mongo_owner_id(&id, "_id", owner->log, owner->uid);
    bson_init(&update);
    bson_append_document_begin(&update, "$unset", -1, &body);

    after = INT64_MIN;
    gone = 0;

    while (count - gone > STORE_DEVICES_MAX) {
        oldest.at = INT64_MAX;

        for (i = 0; mongo_owner_next(owner, i == 0, &iter, &device); i++) {
            if (device.at > after && device.at < oldest.at
                && !cursors_put_has(p, o, owner, owner->first + owner->count,
                                    &device))
            {
                oldest = device;
            }
        }

        if (oldest.at == INT64_MAX) {
            break;
        }

        mongo_device_path(path, oldest.name, NULL);
        bson_append_bool(&body, path, -1, true);
        after = oldest.at;
        gone++;
    }

    bson_append_document_end(&update, &body);

    if (gone) {
        (void) mongoc_bulk_operation_update_one_with_opts(bulk, &id, &update,
                                                          NULL, NULL);
    }

    bson_destroy(&update);
    bson_destroy(&id);

    return gone ? 1 : 0;
}


/* Among the owner's cursors before `until`. */
static bool
cursors_put_has(const struct store_cursors_put *p,
    const struct mongo_owners *o, const struct mongo_owner *owner,
    size_t until, const struct mongo_device *device)
{
    size_t  i;

    for (i = owner->first; i < until; i++) {
        if (mongo_device_is(device, p->cursors[o->refs[i].index].device)) {
            return true;
        }
    }

    return false;
}


static int
cursors_run(struct store_mongo_conn *c, mongoc_bulk_operation_t *bulk)
{
    int           rc;
    bson_t        reply;
    bson_error_t  error;

    rc = mongoc_bulk_operation_execute(bulk, &reply, &error) != 0
         ? PUSH_OK : PUSH_ERROR;

    if (rc != PUSH_OK && cursors_harmless(&reply)) {
        rc = PUSH_OK;
    }

    if (rc != PUSH_OK) {
        (void) store_mongo_fail(c, &error);
    }

    bson_destroy(&reply);

    return rc;
}


/* Nothing but starts of devices that somebody else had started. */
static bool
cursors_harmless(const bson_t *reply)
{
    bool         any;
    bson_t       doc;
    uint32_t     len;
    bson_iter_t  iter, errors;
    const uint8_t  *data;

    if (bson_has_field(reply, "writeConcernErrors.0")
        || !bson_iter_init_find(&iter, reply, "writeErrors")
        || !BSON_ITER_HOLDS_ARRAY(&iter)
        || !bson_iter_recurse(&iter, &errors))
    {
        return false;
    }

    any = false;

    while (bson_iter_next(&errors)) {
        if (!BSON_ITER_HOLDS_DOCUMENT(&errors)) {
            return false;
        }

        bson_iter_document(&errors, &len, &data);

        if (!bson_init_static(&doc, data, len)
            || store_mongo_get_int(&doc, "code") != CURSORS_DUPLICATE)
        {
            return false;
        }

        any = true;
    }

    return any;
}


int
store_mongo_cursors_get(struct store_mongo_conn *c,
    struct store_cursors_get *g)
{
    int                      rc;
    size_t                   i, j;
    struct store_place      *place;
    struct mongo_names       names;
    struct mongo_owners      o;
    struct store_mongo_log  *log;

    if (mongo_names_init(&names, g->count) != PUSH_OK) {
        return store_mongo_say(c, "out of memory");
    }

    if (mongo_owners_init(&o, g->count) != PUSH_OK) {
        mongo_names_deinit(&names);
        return store_mongo_say(c, "out of memory");
    }

    for (i = 0; i < g->count; i++) {
        place = &g->places[i];
        mongo_names_add(&names, place->log);
        mongo_owners_add(&o, place->log, place->uid, i);
    }

    rc = mongo_names_find(&names, c);

    if (rc == PUSH_OK) {
        rc = mongo_owners_find(&o, c);
    }

    for (i = 0; rc == PUSH_OK && i < o.count; i++) {
        log = mongo_names_get(&names, o.owners[i].log);

        for (j = 0; j < o.owners[i].count; j++) {
            place = &g->places[o.refs[o.owners[i].first + j].index];
            place->floor = log->floor;
            place->tip = log->tip;
            cursors_place(place, &o.owners[i]);
        }
    }

    mongo_owners_deinit(&o);
    mongo_names_deinit(&names);

    return rc;
}


static void
cursors_place(struct store_place *place, const struct mongo_owner *owner)
{
    bool                 first;
    bson_iter_t          iter;
    struct mongo_device  device;

    place->cursor = -1;
    place->acked = -1;

    for (first = true; mongo_owner_next(owner, first, &iter, &device);
         first = false)
    {
        if (device.acked > place->acked) {
            place->acked = device.acked;
        }

        if (mongo_device_is(&device, place->device)) {
            place->cursor = device.start > device.acked ? device.start
                                                        : device.acked;
        }
    }
}
