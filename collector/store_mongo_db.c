/*
 * store_mongo_db: the URL, the set: open, check, schema, epoch
 *
 *     URL --> pool --> hello: a replica set? --> indexes --> epoch, clean
 *
 * in:   the URL.  out: clients for the threads, texts for people
 * owns: the pool; who opened a connection closes it before
 *
 * Time-outs that the URL does not name are short: a publisher waits.  Writes
 * are never tried again by the driver: an outcome that is not known is told.
 */

#include "store_mongo.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static const char *const db_collections[] = {
#define X(name, text)  text,
    MONGO_COLLECTIONS(X)
#undef X
};

/* Unless the URL says so. */
static const struct db_option {
    const char *name;
    int32_t     value;
} db_options[] = {
    { MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 3000 },
    { MONGOC_URI_CONNECTTIMEOUTMS,         2000 },
    { MONGOC_URI_SOCKETTIMEOUTMS,         10000 },
    { MONGOC_URI_HEARTBEATFREQUENCYMS,     2000 },
};

#define DB_OPTIONS  (sizeof(db_options) / sizeof(db_options[0]))

/* What the driver calls a fault, and what we say.  code 0: any of a domain. */
static const struct db_fault {
    uint32_t    domain;
    uint32_t    code;
    const char *text;
    bool        more;           /* the driver's words after it */
} db_faults[] = {
    { MONGOC_ERROR_SERVER_SELECTION, 0,
      "no primary of the replica set can be reached", true },
    { MONGOC_ERROR_CLIENT, MONGOC_ERROR_CLIENT_AUTHENTICATE,
      "authentication failed", false },
    { MONGOC_ERROR_SERVER, 18, "authentication failed", false },
    { MONGOC_ERROR_SERVER, 13, "not authorized", true },
    { MONGOC_ERROR_WRITE_CONCERN, 0,
      "no majority of the replica set has confirmed the write", false },
    { MONGOC_ERROR_WRITE_CONCERN_ERROR, 0,
      "no majority of the replica set has confirmed the write", false },
    { MONGOC_ERROR_STREAM, 0, "the connection was lost", true },
};

#define DB_FAULTS  (sizeof(db_faults) / sizeof(db_faults[0]))

static pthread_once_t  db_once = PTHREAD_ONCE_INIT;

static void db_init(void);
static void db_quiet(mongoc_log_level_t level, const char *domain,
    const char *text, void *data);
static mongoc_uri_t *db_uri(struct store_mongo_db *db, const char *url,
    char *error, size_t size);
static int db_name(struct store_mongo_db *db, const mongoc_uri_t *uri);
static int db_check(struct store_mongo_db *db, struct store_mongo_conn *c,
    const mongoc_uri_t *uri);
static bool db_diagnose(struct store_mongo_conn *c, const mongoc_uri_t *uri);
static int db_schema(struct store_mongo_conn *c);
static int db_epoch(struct store_mongo_conn *c, struct store_info *info);
static int db_repair(struct store_mongo_conn *c, struct store_info *info);
static int db_find_and_modify(struct store_mongo_conn *c,
    enum mongo_collection which, const char *id, bool after, bson_t *update,
    bson_t *reply);
static int db_command(struct store_mongo_conn *c, const bson_t *command,
    bson_t *reply);
static int64_t db_now_ms(void);


int
store_mongo_db_open(struct store_mongo_db *db, const struct store_conf *conf,
    struct store_info *info, char *error, size_t size)
{
    int                       rc;
    mongoc_uri_t             *uri;
    struct store_mongo_conn   c;

    pthread_once(&db_once, db_init);
    memset(db, 0, sizeof(*db));

    uri = db_uri(db, conf->url, error, size);

    if (uri == NULL) {
        return PUSH_ERROR;
    }

    db->node = strdup(conf->node);
    db->pool = mongoc_client_pool_new(uri);

    if (db->pool == NULL || db->node == NULL) {
        snprintf(error, size, "store \"%s\": the URL has an option that the "
                 "driver was not built for", db->name);
        goto failed;
    }

    mongoc_client_pool_set_error_api(db->pool, MONGOC_ERROR_API_VERSION_2);

    if (store_mongo_conn_open(&c, db) != PUSH_OK) {
        snprintf(error, size, "out of memory");
        goto failed;
    }

    rc = db_check(db, &c, uri);

    if (rc == PUSH_OK) {
        rc = db_schema(&c);
    }

    if (rc == PUSH_OK) {
        rc = db_epoch(&c, info);
    }

    if (rc == PUSH_OK) {
        rc = db_repair(&c, info);
    }

    if (rc != PUSH_OK) {
        snprintf(error, size, "store \"%s\": %s", db->name, c.error);
    }

    store_mongo_conn_close(&c);

    if (rc != PUSH_OK) {
        goto failed;
    }

    mongoc_uri_destroy(uri);

    return PUSH_OK;

failed:

    mongoc_uri_destroy(uri);
    store_mongo_db_close(db);

    return PUSH_ERROR;
}


void
store_mongo_db_close(struct store_mongo_db *db)
{
    if (db->pool) {
        mongoc_client_pool_destroy(db->pool);
        db->pool = NULL;
    }

    free(db->node);
    free(db->database);
    free(db->name);
    memset(db, 0, sizeof(*db));
}


/* The driver can begin once only, so it ends with the process. */
static void
db_init(void)
{
    mongoc_init();
    mongoc_log_set_handler(db_quiet, NULL);
    atexit(mongoc_cleanup);
}


/* What matters comes as an error of a call. */
static void
db_quiet(mongoc_log_level_t level, const char *domain, const char *text,
    void *data)
{
    (void) level;
    (void) domain;
    (void) text;
    (void) data;
}


static mongoc_uri_t *
db_uri(struct store_mongo_db *db, const char *url, char *error, size_t size)
{
    size_t         i;
    bson_error_t   e;
    mongoc_uri_t  *uri;

    uri = mongoc_uri_new_with_error(url, &e);

    if (uri == NULL) {
        /* its text may hold a part of the URL, and so of a password */
        snprintf(error, size, "store: this is no MongoDB URL, such as "
                 "mongodb://host1,host2,host3/push?replicaSet=name");
        return NULL;
    }

    if (db_name(db, uri) != PUSH_OK) {
        snprintf(error, size, "out of memory");
        goto failed;
    }

    if (mongoc_uri_get_replica_set(uri) == NULL) {
        snprintf(error, size, "store \"%s\": the URL must name the replica "
                 "set: ?replicaSet=name", db->name);
        goto failed;
    }

    for (i = 0; i < DB_OPTIONS; i++) {
        if (!mongoc_uri_has_option(uri, db_options[i].name)) {
            mongoc_uri_set_option_as_int32(uri, db_options[i].name,
                                           db_options[i].value);
        }
    }

    mongoc_uri_set_option_as_bool(uri, MONGOC_URI_RETRYWRITES, false);

    return uri;

failed:

    mongoc_uri_destroy(uri);
    store_mongo_db_close(db);

    return NULL;
}


/* What may be told of the URL: its hosts and its database. */
static int
db_name(struct store_mongo_db *db, const mongoc_uri_t *uri)
{
    char                       *longer;
    const char                 *database;
    const mongoc_host_list_t   *host;

    database = mongoc_uri_get_database(uri);
    db->database = strdup(database && database[0] ? database : "push");
    db->name = strdup("mongodb://");

    for (host = mongoc_uri_get_hosts(uri); db->name && host;
         host = host->next)
    {
        if (asprintf(&longer, "%s%s%s", db->name, host->host_and_port,
                     host->next ? "," : "") == -1)
        {
            longer = NULL;
        }

        free(db->name);
        db->name = longer;
    }

    if (db->name == NULL || db->database == NULL
        || asprintf(&longer, "%s/%s", db->name, db->database) == -1)
    {
        free(db->name);
        free(db->database);
        db->name = NULL;
        db->database = NULL;
        return PUSH_ERROR;
    }

    free(db->name);
    db->name = longer;

    return PUSH_OK;
}


int
store_mongo_conn_open(struct store_mongo_conn *c,
    const struct store_mongo_db *db)
{
    int                      i;
    mongoc_read_prefs_t     *prefs;
    mongoc_read_concern_t   *read;
    mongoc_write_concern_t  *write;

    memset(c, 0, sizeof(*c));
    c->db = db;
    c->client = mongoc_client_pool_pop(db->pool);

    if (c->client == NULL) {
        return PUSH_ERROR;
    }

    prefs = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
    read = mongoc_read_concern_new();
    write = mongoc_write_concern_new();
    mongoc_read_concern_set_level(read, MONGOC_READ_CONCERN_LEVEL_MAJORITY);
    mongoc_write_concern_set_wmajority(write, MONGO_WRITE_MS);
    mongoc_write_concern_set_journal(write, true);

    for (i = 0; i < MONGO_COLLECTION_COUNT; i++) {
        c->collections[i] = mongoc_client_get_collection(c->client,
                                db->database, db_collections[i]);
        mongoc_collection_set_read_prefs(c->collections[i], prefs);
        mongoc_collection_set_read_concern(c->collections[i], read);
        mongoc_collection_set_write_concern(c->collections[i], write);
    }

    mongoc_write_concern_destroy(write);
    mongoc_read_concern_destroy(read);
    mongoc_read_prefs_destroy(prefs);

    return PUSH_OK;
}


void
store_mongo_conn_close(struct store_mongo_conn *c)
{
    int  i;

    if (c->client == NULL) {
        return;
    }

    store_mongo_session_end(c);

    for (i = 0; i < MONGO_COLLECTION_COUNT; i++) {
        mongoc_collection_destroy(c->collections[i]);
    }

    mongoc_client_pool_push(c->db->pool, c->client);
    c->client = NULL;
}


/* A replica set, with a primary that we may talk to. */
static int
db_check(struct store_mongo_db *db, struct store_mongo_conn *c,
    const mongoc_uri_t *uri)
{
    bool          ok;
    bson_t        ping;
    bson_error_t  error;

    bson_init(&ping);
    bson_append_int32(&ping, "ping", -1, 1);
    ok = mongoc_client_command_simple(c->client, db->database, &ping, NULL,
                                      NULL, &error);
    bson_destroy(&ping);

    if (ok) {
        return PUSH_OK;
    }

    if (error.domain != MONGOC_ERROR_SERVER_SELECTION
        || !db_diagnose(c, uri))
    {
        (void) store_mongo_fail(c, &error);
    }

    return PUSH_ERROR;
}


/* Asks the first host alone who it is.  True: c->error says what is wrong. */
static bool
db_diagnose(struct store_mongo_conn *c, const mongoc_uri_t *uri)
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
db_schema(struct store_mongo_conn *c)
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

    rc = db_command(c, command, NULL);
    bson_destroy(command);

    return rc;
}


/* Made by whoever comes first. */
static int
db_epoch(struct store_mongo_conn *c, struct store_info *info)
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

    rc = db_find_and_modify(c, MONGO_META, "epoch", true, &update, &reply);

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
db_repair(struct store_mongo_conn *c, struct store_info *info)
{
    int          rc;
    bson_t       update, set, reply;
    bson_iter_t  iter, clean;

    bson_init(&update);
    bson_append_document_begin(&update, "$set", -1, &set);
    bson_append_bool(&set, "clean", -1, false);
    bson_append_date_time(&set, "at", -1, db_now_ms());
    bson_append_document_end(&update, &set);

    rc = db_find_and_modify(c, MONGO_COLLECTORS, c->db->node, false, &update,
                            &reply);

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


int
store_mongo_clean(struct store_mongo_conn *c, bool clean)
{
    bool          ok;
    bson_t        id, update, set;
    bson_error_t  error;

    bson_init(&id);
    bson_init(&update);
    bson_append_utf8(&id, "_id", -1, c->db->node, -1);
    bson_append_document_begin(&update, "$set", -1, &set);
    bson_append_bool(&set, "clean", -1, clean);
    bson_append_date_time(&set, "at", -1, db_now_ms());
    bson_append_document_end(&update, &set);

    ok = mongoc_collection_update_one(c->collections[MONGO_COLLECTORS], &id,
                                      &update, NULL, NULL, &error);
    bson_destroy(&update);
    bson_destroy(&id);

    return ok ? PUSH_OK : store_mongo_fail(c, &error);
}


int
store_mongo_probe(struct store_mongo_conn *c)
{
    return store_mongo_clean(c, false);
}


/*
 * Upserts; reply has the document in "value", as it was before or after.  Two
 * at once may both try to insert: the second then finds what the first made.
 */
static int
db_find_and_modify(struct store_mongo_conn *c, enum mongo_collection which,
    const char *id, bool after, bson_t *update, bson_t *reply)
{
    int      rc, tries;
    bson_t   command, query;

    bson_init(&command);
    bson_append_utf8(&command, "findAndModify", -1, db_collections[which], -1);
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

        rc = db_command(c, &command, reply);
    }

    bson_destroy(&command);

    return rc;
}


/* reply: NULL, or to be destroyed in any case. */
static int
db_command(struct store_mongo_conn *c, const bson_t *command, bson_t *reply)
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


int
store_mongo_fail(struct store_mongo_conn *c, const bson_error_t *error)
{
    size_t                  i;
    const char             *more;
    const struct db_fault  *f;

    for (i = 0; i < DB_FAULTS; i++) {
        f = &db_faults[i];

        if (error->domain != f->domain || (f->code && error->code != f->code)) {
            continue;
        }

        more = "";

        if (f->more) {
            /* what the driver found at each host, without what we said */
            more = strstr(error->message, "expired: ");
            more = more ? more + strlen("expired: ")
                   : f->domain == MONGOC_ERROR_SERVER_SELECTION ? ""
                   : error->message;
        }

        return store_mongo_say(c, "%s%s%s", f->text, more[0] ? ": " : "",
                               more);
    }

    return store_mongo_say(c, "%s", error->message);
}


int
store_mongo_session_begin(struct store_mongo_conn *c)
{
    bson_error_t  error;

    if (c->session == NULL) {
        c->session = mongoc_client_start_session(c->client, NULL, &error);
    }

    return c->session ? PUSH_OK : store_mongo_fail(c, &error);
}


void
store_mongo_session_end(struct store_mongo_conn *c)
{
    if (c->session) {
        mongoc_client_session_destroy(c->session);
        c->session = NULL;
    }
}


int
store_mongo_say(struct store_mongo_conn *c, const char *format, ...)
{
    va_list  args;

    va_start(args, format);
    (void) vsnprintf(c->error, sizeof(c->error), format, args);
    va_end(args);

    return PUSH_ERROR;
}


static int64_t
db_now_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
