/*
 * store_mongo_schema: is it a set that we can use, and what has to be there
 *
 *     ping --> who is there, if nobody is --> indexes --> epoch --> clean?
 *
 * in:   a connection.  out: the store's info, or what is wrong
 * owns: nothing
 */

#include "store_mongo.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static int schema_ping(struct store_mongo_conn *c, const mongoc_uri_t *uri);
static bool schema_diagnose(struct store_mongo_conn *c,
    const mongoc_uri_t *uri);
static int schema_indexes(struct store_mongo_conn *c);
static int schema_epoch(struct store_mongo_conn *c, struct store_info *info);
static int schema_repair(struct store_mongo_conn *c, struct store_info *info);
static int schema_find_and_modify(struct store_mongo_conn *c,
    enum mongo_collection which, const char *id, bool after, bson_t *update,
    bson_t *reply);
static int schema_command(struct store_mongo_conn *c, const bson_t *command,
    bson_t *reply);


int
store_mongo_schema(struct store_mongo_conn *c, const mongoc_uri_t *uri,
    struct store_info *info)
{
    if (schema_ping(c, uri) != PUSH_OK
        || schema_indexes(c) != PUSH_OK
        || schema_epoch(c, info) != PUSH_OK
        || schema_repair(c, info) != PUSH_OK)
    {
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


/* A replica set, with a primary that we may talk to. */
static int
schema_ping(struct store_mongo_conn *c, const mongoc_uri_t *uri)
{
    bool          ok;
    bson_t        ping;
    bson_error_t  error;

    bson_init(&ping);
    bson_append_int32(&ping, "ping", -1, 1);
    ok = mongoc_client_command_simple(c->client, c->db->database, &ping,
                                      NULL, NULL, &error);
    bson_destroy(&ping);

    if (ok) {
        return PUSH_OK;
    }

    if (error.domain != MONGOC_ERROR_SERVER_SELECTION
        || !schema_diagnose(c, uri))
    {
        (void) store_mongo_fail(c, &error);
    }

    return PUSH_ERROR;
}


/* Asks the first host alone who it is.  True: c->error says what is wrong. */
static bool
schema_diagnose(struct store_mongo_conn *c, const mongoc_uri_t *uri)
{
    bool                       found;
    bson_t                     hello, reply;
    const char                *wanted;
    mongoc_uri_t              *direct;
    struct push_str            set;
    mongoc_client_t           *client;
    const mongoc_host_list_t  *host;

    host = mongoc_uri_get_hosts(uri);

    if (host == NULL || mongoc_uri_get_tls(uri)) {
        return false;
    }

    direct = mongoc_uri_new_for_host_port(host->host, host->port);
    client = direct ? mongoc_client_new_from_uri(direct) : NULL;

    if (client == NULL) {
        mongoc_uri_destroy(direct);
        return false;
    }

    bson_init(&hello);
    bson_append_int32(&hello, "hello", -1, 1);
    wanted = mongoc_uri_get_replica_set(uri);
    found = mongoc_client_command_simple(client, "admin", &hello, NULL, &reply,
                                         NULL);

    if (found) {
        set = store_mongo_get_str(&reply, "setName");

        if (set.len == 0) {
            store_mongo_say(c, "%s is no member of a replica set: start it "
                            "with --replSet and initiate the set",
                            host->host_and_port);

        } else if (set.len != strlen(wanted)
                   || memcmp(set.data, wanted, set.len) != 0)
        {
            store_mongo_say(c, "%s is a member of the replica set \"%.*s\", "
                            "not of \"%s\"", host->host_and_port,
                            (int) set.len, set.data, wanted);

        } else {
            found = false;
        }
    }

    bson_destroy(&reply);
    bson_destroy(&hello);
    mongoc_client_destroy(client);
    mongoc_uri_destroy(direct);

    return found;
}


/*
 * Partial indexes: most messages have no time to live, and a second one
 * without a key would be refused.  There is no TTL index: mongod would delete
 * before the head is written.
 */
static int
schema_indexes(struct store_mongo_conn *c)
{
    int      rc;
    bson_t  *command;

    command = BCON_NEW("createIndexes", BCON_UTF8("messages"),
        "indexes", "[",
            "{", "name", BCON_UTF8("log_key"), "unique", BCON_BOOL(true),
                "key", "{", "_id.log", BCON_INT32(1), "key", BCON_INT32(1),
                "}",
                "partialFilterExpression", "{",
                    "key", "{", "$exists", BCON_BOOL(true), "}", "}", "}",
            "{", "name", BCON_UTF8("collect"),
                "key", "{", "collect", BCON_INT32(1), "}",
                "partialFilterExpression", "{",
                    "collect", "{", "$exists", BCON_BOOL(true), "}", "}", "}",
        "]");

    rc = schema_command(c, command, NULL);
    bson_destroy(command);

    return rc;
}


/* Made by whoever comes first. */
static int
schema_epoch(struct store_mongo_conn *c, struct store_info *info)
{
    int              rc;
    char             text[17];
    bson_t           update, set, reply;
    uint64_t         random, epoch;
    struct push_str  value;

    do {
        if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
            random = 0;
        }
    } while (random == 0);

    push_hex64_write(text, random);
    text[16] = '\0';

    bson_init(&update);
    bson_append_document_begin(&update, "$setOnInsert", -1, &set);
    bson_append_utf8(&set, "value", -1, text, -1);
    bson_append_document_end(&update, &set);

    rc = schema_find_and_modify(c, MONGO_META, "epoch", true, &update, &reply);

    if (rc == PUSH_OK) {
        value = store_mongo_get_str(&reply, "value.value");

        if (push_hex64_parse(value, &epoch) == PUSH_OK) {
            memcpy(info->epoch, value.data, 16);
            info->epoch[16] = '\0';

        } else {
            rc = store_mongo_say(c, "the document \"epoch\" of the "
                                 "collection meta is damaged");
        }
    }

    bson_destroy(&reply);
    bson_destroy(&update);

    return rc;
}


/* This node's document: was it closed, with everything handed over? */
static int
schema_repair(struct store_mongo_conn *c, struct store_info *info)
{
    int          rc;
    bson_t       update, set, reply;
    bson_iter_t  iter, clean;

    bson_init(&update);
    bson_append_document_begin(&update, "$set", -1, &set);
    bson_append_bool(&set, "clean", -1, false);
    bson_append_date_time(&set, "at", -1, store_mongo_now_ms());
    bson_append_document_end(&update, &set);

    rc = schema_find_and_modify(c, MONGO_COLLECTORS, c->db->node, false,
                                &update, &reply);

    info->repair = STORE_REPAIR_NONE;
    info->mark = STORE_ROW_ALL;

    if (rc == PUSH_OK && bson_iter_init(&iter, &reply)
        && bson_iter_find_descendant(&iter, "value.clean", &clean)
        && !bson_iter_as_bool(&clean))
    {
        info->repair = STORE_REPAIR_ALL;
        info->mark = 0;
    }

    bson_destroy(&reply);
    bson_destroy(&update);

    return rc;
}


/*
 * Upserts; reply has the document in "value", as it was before or after.  Two
 * at once may both try to insert: the second then finds what the first made.
 */
static int
schema_find_and_modify(struct store_mongo_conn *c, enum mongo_collection which,
    const char *id, bool after, bson_t *update, bson_t *reply)
{
    int      rc, tries;
    bson_t   command, query;

    bson_init(&command);
    bson_append_utf8(&command, "findAndModify", -1, store_mongo_names[which],
                     -1);
    bson_append_document_begin(&command, "query", -1, &query);
    bson_append_utf8(&query, "_id", -1, id, -1);
    bson_append_document_end(&command, &query);
    bson_append_document(&command, "update", -1, update);
    bson_append_bool(&command, "upsert", -1, true);
    bson_append_bool(&command, "new", -1, after);

    rc = PUSH_ERROR;

    for (tries = 0; tries < 2 && rc != PUSH_OK; tries++) {
        if (tries) {
            bson_destroy(reply);
        }

        rc = schema_command(c, &command, reply);
    }

    bson_destroy(&command);

    return rc;
}


/* reply: NULL, or to be destroyed in any case. */
static int
schema_command(struct store_mongo_conn *c, const bson_t *command, bson_t *reply)
{
    bool          ok;
    bson_t        options;
    bson_error_t  error;

    bson_init(&options);
    store_mongo_write_options(&options);
    ok = mongoc_client_write_command_with_opts(c->client, c->db->database,
                                               command, &options, reply,
                                               &error);
    bson_destroy(&options);

    return ok ? PUSH_OK : store_mongo_fail(c, &error);
}
