/*
 * store_mongo_db: the URL, the pool, connections, errors for people
 *
 *     URL --> options --> pool --> store_mongo_schema --> info
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
#include <time.h>

const char *const store_mongo_names[] = {
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

    rc = store_mongo_schema(&c, uri, info);

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
                                db->database, store_mongo_names[i]);
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
    bson_append_date_time(&set, "at", -1, store_mongo_now_ms());
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


int64_t
store_mongo_now_ms(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_REALTIME, &ts);

    return (int64_t) ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
