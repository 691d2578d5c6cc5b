/*
 * store_mongo: what the files of this backend share
 *
 *     store_mongo.c          queues, health, begin and end of the threads
 *     store_mongo_work.c     what the threads do
 *     store_mongo_db.c       the URL, the pool, connections, errors for people
 *     store_mongo_schema.c   the set: check, indexes, epoch, clean
 *     store_mongo_bson.c     ids, ranges, options: built in one place
 *     store_mongo_append.c   a step of store_append_rule: tips, keys, inserts
 *     store_mongo_outcome.c  a reply to inserts --> what became of each (pure)
 *     store_mongo_logs.c     tips and floors of many logs
 *     store_mongo_cursors.c  cursors, many at a time
 *     store_mongo_read.c     pages, one message, places
 *     store_mongo_collect.c  the GC: heads, stubs, and later deletes
 *
 * Collections of the database:
 *
 *     messages   {_id: {log, seq}, ts, expires?, collect?, key?, hash?, data?}
 *                without data: a stub, which remembers the key
 *     heads      {_id: log, tip, floor}: written by the GC only
 *     cursors    {_id: {log, uid}, devices: {<name>: {start, acked, at}}}
 *     meta       {_id: "epoch", value}
 *     collectors {_id: node, clean, at, confirmed?}
 *
 * Every write is w: majority, j: true, and tried once; every read sees what a
 * majority has.  A client of the driver belongs to one thread.
 */

#ifndef STORE_MONGO_H
#define STORE_MONGO_H

#include "store.h"
#include "store_append_rule.h"

#include <mongoc/mongoc.h>

#define MONGO_COLLECTIONS(X)                                                  \
    X(MESSAGES, "messages")                                                   \
    X(HEADS, "heads")                                                         \
    X(CURSORS, "cursors")                                                     \
    X(META, "meta")                                                           \
    X(COLLECTORS, "collectors")

enum mongo_collection {
#define X(name, text)  MONGO_##name,
    MONGO_COLLECTIONS(X)
#undef X
    MONGO_COLLECTION_COUNT
};

extern const char *const store_mongo_names[];

#define MONGO_WRITE_MS  5000        /* wtimeout */
#define MONGO_READ_MS   5000        /* maxTimeMS */
#define MONGO_CHUNK     200         /* sub-queries of one command */

/* The set as all threads use it. */
struct store_mongo_db {
    mongoc_client_pool_t *pool;
    char                 *name;         /* "mongodb://host:port/db", no user */
    char                 *database;
    char                 *node;
};

/* One thread's: a client, and what is made once. */
struct store_mongo_conn {
    const struct store_mongo_db *db;
    mongoc_client_t             *client;
    mongoc_collection_t         *collections[MONGO_COLLECTION_COUNT];
    mongoc_client_session_t     *session;       /* of the read under way */
    char                         error[STORE_ERROR_SIZE];   /* the last one */
};

/*
 * Connects, checks that it is a replica set with a primary, makes what is
 * missing.  PUSH_OK and *info, or PUSH_ERROR and a text without credentials.
 */
int store_mongo_db_open(struct store_mongo_db *db,
    const struct store_conf *conf, struct store_info *info, char *error,
    size_t size);
void store_mongo_db_close(struct store_mongo_db *db);

/* PUSH_ERROR: out of memory. */
int store_mongo_conn_open(struct store_mongo_conn *c,
    const struct store_mongo_db *db);
void store_mongo_conn_close(struct store_mongo_conn *c);

/* Checks the set, makes what is missing.  PUSH_OK and *info; PUSH_ERROR:
   c->error. */
int store_mongo_schema(struct store_mongo_conn *c, const mongoc_uri_t *uri,
    struct store_info *info);

int64_t store_mongo_now_ms(void);

/* A harmless write: is there a majority again? */
int store_mongo_probe(struct store_mongo_conn *c);

/* The next start need not repair anything. */
int store_mongo_clean(struct store_mongo_conn *c, bool clean);

/* c->error from the driver's, for people.  PUSH_ERROR. */
int store_mongo_fail(struct store_mongo_conn *c, const bson_error_t *error);
/* c->error, cut to what it may have.  PUSH_ERROR. */
int store_mongo_say(struct store_mongo_conn *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Reads after begin() see at least what those before saw, even if another
 * member answers.  PUSH_OK; PUSH_ERROR: c->error.
 */
int store_mongo_session_begin(struct store_mongo_conn *c);
void store_mongo_session_end(struct store_mongo_conn *c);

/* store_mongo_bson.c: the one place where ids and options are made. */
void store_mongo_str(bson_t *to, const char *name, struct push_str s);
void store_mongo_id(bson_t *to, const char *name, struct push_str log,
    int64_t seq);
/* _id: above {log, after}, up to {log, to} */
void store_mongo_range(bson_t *to, struct push_str log, int64_t after,
    int64_t until);
/* Of a command; collections have theirs. */
void store_mongo_write_options(bson_t *options);
/* Of a find or an aggregate: a limit of time, and the session under way. */
int store_mongo_read_options(struct store_mongo_conn *c, bson_t *options);
/* Begins and ends {name: {$in: [...]}}. */
struct store_mongo_in {
    bson_t   in;
    bson_t   array;
    uint32_t count;
};
void store_mongo_in_begin(struct store_mongo_in *in, bson_t *to,
    const char *name);
const char *store_mongo_in_next(struct store_mongo_in *in, char *buf,
    size_t size);
void store_mongo_in_end(struct store_mongo_in *in, bson_t *to);
/* Fields of a reply; missing or of another type: 0, "". */
int64_t store_mongo_get_int(const bson_t *doc, const char *path);
struct push_str store_mongo_get_str(const bson_t *doc, const char *path);

/* One log's place in a bulk of reads. */
struct store_mongo_log {
    struct push_str name;
    bool            last;       /* in: read the last message too */
    int64_t         tip;        /* in: known to be committed; out: at least */
    int64_t         head;       /* out: the head's tip; no number above it is
                                   gone */
    int64_t         floor;      /* out */
};

/* Tips and floors of many logs, each once.  PUSH_OK, PUSH_ERROR: c->error. */
int store_mongo_logs(struct store_mongo_conn *c, struct store_mongo_log *logs,
    size_t count);

/*
 * Carries out a step.  PUSH_ERROR: the set could not be reached, or did not
 * commit: step->error, and all items are UNKNOWN.
 */
struct store_mongo_append;
struct store_mongo_append *store_mongo_append_create(void);
void store_mongo_append_destroy(struct store_mongo_append *a);
int store_mongo_append_step(struct store_mongo_append *a,
    struct store_mongo_conn *c, struct store_step *step);

/*
 * From the reply of an insert to the results of its step.  accepted: the
 * driver's own verdict.  PUSH_ERROR: nothing is known, and why; no item was
 * touched.
 */
int store_mongo_outcome(struct store_step *step, bool accepted,
    const bson_t *reply, const bson_error_t *error, char *why, size_t size);

/*
 * Cursors with `above` set may be above the tip: it is looked up.  PUSH_OK, or
 * PUSH_ERROR and c->error: none, some or all were written.
 */
int store_mongo_cursors_put(struct store_mongo_conn *c,
    struct store_cursors_put *p, int64_t now_ms);
int store_mongo_cursors_get(struct store_mongo_conn *c,
    struct store_cursors_get *g);
int store_mongo_cursors_acked(struct store_mongo_conn *c,
    struct store_get *g);

/* Answers one read request: result, error, memory. */
void store_mongo_read(struct store_mongo_conn *c, struct store_request *r,
    int64_t now_ms);

/* The GC's memory between heads and deletes. */
struct store_mongo_collect;
struct store_mongo_collect *store_mongo_collect_create(void);
void store_mongo_collect_destroy(struct store_mongo_collect *g);

/*
 * One slice: what is expired at now_ms gets its head and its stub; what had
 * its head for STORE_TIP_MS and more by clock_ms (monotonic) is deleted; at
 * once: without that wait.  Counted in *gc.  *more: call again.  PUSH_OK;
 * PUSH_ERROR: c->error.
 */
int store_mongo_collect(struct store_mongo_collect *g,
    struct store_mongo_conn *c, struct store_gc *gc, int64_t now_ms,
    int64_t clock_ms, bool at_once, bool *more);

#endif
