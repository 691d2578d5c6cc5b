/*
 * store_sqlite_db: the database file of store_sqlite
 *
 *     path --open--> mode 0600, WAL, FULL --> ours? version? --> quick_check
 *
 * in:   a path
 * out:  a connection with its statements, or a text that says what is wrong
 * owns: the connection; a lock file beside the database says that one
 *       collector has it (the writer keeps the tips of logs in memory)
 */

#include "store_sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define STORE_SQLITE_VERSION    1
#define STORE_SQLITE_APP        0x70757368      /* "push" */
#define STORE_SQLITE_BUSY_MS    2000

/*
 * A check reads the whole file.  Beyond this size a restart would take longer
 * than it is worth: damage then shows when a page is read.
 */
#define STORE_SQLITE_CHECK_MAX  (256 * 1024 * 1024)

/*
 * Pages of 4 KB.  More between two checkpoints write an index page less often:
 * 1000 gave 61k messages/s on a disk, 4000 75k, 16000 76k.  A thread of its
 * own for checkpoints gained nothing and let the log grow.
 */
#define STORE_SQLITE_CHECKPOINT  "PRAGMA wal_autocheckpoint = 4000"

/*
 * row is the order of commits.  collect is when the GC looks at the row, NULL:
 * never.  data NULL: a stub, only its key is remembered.  tip and floor of a
 * log count only what the GC has taken: the tip is max(tip, last seq).
 * cursors.acked -1: has acked nothing.
 */
static const char store_sqlite_schema[] =
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;"
    "CREATE TABLE logs (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " floor INTEGER NOT NULL DEFAULT 0, tip INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE messages (row INTEGER PRIMARY KEY, log INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, ts INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " collect INTEGER, key TEXT, hash BLOB, data BLOB);"
    "CREATE UNIQUE INDEX messages_seq ON messages (log, seq);"
    "CREATE UNIQUE INDEX messages_key ON messages (log, key)"
    " WHERE key IS NOT NULL;"
    "CREATE INDEX messages_collect ON messages (collect)"
    " WHERE collect IS NOT NULL;"
    "CREATE TABLE cursors (log INTEGER NOT NULL, uid TEXT NOT NULL,"
    " device TEXT NOT NULL, start INTEGER NOT NULL, acked INTEGER NOT NULL,"
    " at INTEGER NOT NULL, PRIMARY KEY (log, uid, device)) WITHOUT ROWID;";

static const char *const store_sqlite_sql[] = {
#define X(name, sql)  sql,
    STORE_SQLITE_STATEMENTS(X)
#undef X
};

static int store_sqlite_db_create_file(const char *path, char *error,
    size_t size);
static int store_sqlite_db_prepare(struct store_sqlite_db *db, char *error,
    size_t size);
static int store_sqlite_db_check(struct store_sqlite_db *db, char *error,
    size_t size);
static int store_sqlite_db_pragma(struct store_sqlite_db *db, const char *sql,
    char *text, size_t size);


int
store_sqlite_db_open(struct store_sqlite_db *db, const char *path, bool create,
    char *error, size_t size)
{
    char  why[STORE_ERROR_SIZE];

    memset(db, 0, sizeof(*db));
    db->path = path;

    if (create && store_sqlite_db_create_file(path, error, size) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (sqlite3_open_v2(path, &db->db, SQLITE_OPEN_READWRITE
                        | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
    {
        goto failed;
    }

    sqlite3_extended_result_codes(db->db, 1);
    sqlite3_busy_timeout(db->db, STORE_SQLITE_BUSY_MS);

    if (create) {
        if (store_sqlite_db_prepare(db, error, size) != PUSH_OK) {
            store_sqlite_db_close(db);
            return PUSH_ERROR;
        }

    } else if (store_sqlite_db_pragma(db, "PRAGMA query_only = 1", NULL, 0)
               != PUSH_OK)
    {
        goto failed;
    }

    return PUSH_OK;

failed:

    store_sqlite_db_error(db, why, sizeof(why));
    snprintf(error, size, "store %s: %s", path, why);
    store_sqlite_db_close(db);

    return PUSH_ERROR;
}


void
store_sqlite_db_close(struct store_sqlite_db *db)
{
    size_t  i;

    for (i = 0; i < STORE_SQLITE_STATEMENT_COUNT; i++) {
        sqlite3_finalize(db->statements[i]);
        db->statements[i] = NULL;
    }

    sqlite3_close(db->db);
    db->db = NULL;
}


/* SQLite gives its -wal and -shm the mode of the database. */
static int
store_sqlite_db_create_file(const char *path, char *error, size_t size)
{
    int  fd;

    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd == -1) {
        snprintf(error, size, "store %s: %s", path, strerror(errno));
        return PUSH_ERROR;
    }

    close(fd);

    return PUSH_OK;
}


static int
store_sqlite_db_prepare(struct store_sqlite_db *db, char *error, size_t size)
{
    char  why[STORE_ERROR_SIZE], text[32], version[32], app[32];

    if (store_sqlite_db_pragma(db, "PRAGMA user_version", version,
                               sizeof(version)) != PUSH_OK
        || store_sqlite_db_pragma(db, "PRAGMA application_id", app,
                                  sizeof(app)) != PUSH_OK
        || store_sqlite_db_pragma(db, "SELECT count(*) FROM sqlite_master",
                                  text, sizeof(text)) != PUSH_OK)
    {
        goto failed;
    }

    if (strcmp(text, "0") != 0) {
        snprintf(why, sizeof(why), "%d", STORE_SQLITE_APP);

        if (strcmp(app, why) != 0) {
            snprintf(error, size, "store %s: is the database of another "
                     "program", db->path);
            return PUSH_ERROR;
        }

        snprintf(why, sizeof(why), "%d", STORE_SQLITE_VERSION);

        if (strcmp(version, why) != 0) {
            snprintf(error, size, "store %s: schema version %s, this program "
                     "knows %s", db->path, version, why);
            return PUSH_ERROR;
        }

        if (store_sqlite_db_check(db, error, size) != PUSH_OK) {
            return PUSH_ERROR;
        }
    }

    if (sqlite3_db_readonly(db->db, "main") == 1) {
        snprintf(error, size, "store %s: is read-only", db->path);
        return PUSH_ERROR;
    }

    if (store_sqlite_db_pragma(db, "PRAGMA journal_mode = WAL", text,
                               sizeof(text)) != PUSH_OK)
    {
        goto failed;
    }

    if (strcmp(text, "wal") != 0) {
        snprintf(error, size, "store %s: this file system allows no WAL "
                 "(shared memory)", db->path);
        return PUSH_ERROR;
    }

    if (store_sqlite_db_pragma(db, "PRAGMA synchronous = FULL", NULL, 0)
            != PUSH_OK
        || store_sqlite_db_pragma(db, "PRAGMA cache_size = -32768", NULL, 0)
            != PUSH_OK
        || store_sqlite_db_pragma(db, STORE_SQLITE_CHECKPOINT, NULL, 0)
            != PUSH_OK
        || store_sqlite_db_do(db, STORE_SQLITE_BEGIN_WRITE) != PUSH_OK)
    {
        goto failed;
    }

    if (store_sqlite_db_pragma(db, "SELECT count(*) FROM sqlite_master", text,
                               sizeof(text)) != PUSH_OK)
    {
        goto failed;
    }

    if (strcmp(text, "0") == 0) {
        snprintf(why, sizeof(why), "PRAGMA application_id = %d; "
                 "PRAGMA user_version = %d", STORE_SQLITE_APP,
                 STORE_SQLITE_VERSION);

        if (sqlite3_exec(db->db, store_sqlite_schema, NULL, NULL, NULL)
                != SQLITE_OK
            || sqlite3_exec(db->db, why, NULL, NULL, NULL) != SQLITE_OK)
        {
            goto failed;
        }
    }

    /* also shows here, not at the first publish, that the disk is full */

    if (store_sqlite_meta_put(db, "probe", 0) != PUSH_OK
        || store_sqlite_db_do(db, STORE_SQLITE_COMMIT) != PUSH_OK)
    {
        goto failed;
    }

    return PUSH_OK;

failed:

    store_sqlite_db_error(db, why, sizeof(why));
    snprintf(error, size, "store %s: %s", db->path, why);

    return PUSH_ERROR;
}


static int
store_sqlite_db_check(struct store_sqlite_db *db, char *error, size_t size)
{
    char         text[STORE_ERROR_SIZE];
    struct stat  st;

    if (stat(db->path, &st) == 0 && st.st_size > STORE_SQLITE_CHECK_MAX) {
        return PUSH_OK;
    }

    if (store_sqlite_db_pragma(db, "PRAGMA quick_check(1)", text, sizeof(text))
        != PUSH_OK)
    {
        store_sqlite_db_error(db, text, sizeof(text));
        snprintf(error, size, "store %s: %s", db->path, text);
        return PUSH_ERROR;
    }

    if (strcmp(text, "ok") != 0) {
        text[strcspn(text, "\n")] = '\0';
        snprintf(error, size, "store %s: damaged: %s", db->path, text);
        return PUSH_ERROR;
    }

    return PUSH_OK;
}


/* The first column of the first row as text, "" without one. */
static int
store_sqlite_db_pragma(struct store_sqlite_db *db, const char *sql, char *text,
    size_t size)
{
    int            rc;
    sqlite3_stmt  *st;

    if (sqlite3_prepare_v2(db->db, sql, -1, &st, NULL) != SQLITE_OK) {
        return PUSH_ERROR;
    }

    rc = sqlite3_step(st);

    if (size) {
        snprintf(text, size, "%s", rc == SQLITE_ROW
                 ? (const char *) sqlite3_column_text(st, 0) : "");
    }

    rc = sqlite3_finalize(st);

    return rc == SQLITE_OK ? PUSH_OK : PUSH_ERROR;
}


sqlite3_stmt *
store_sqlite_db_get(struct store_sqlite_db *db,
    enum store_sqlite_statement which)
{
    sqlite3_stmt  **st;

    st = &db->statements[which];

    if (*st == NULL) {
        if (sqlite3_prepare_v3(db->db, store_sqlite_sql[which], -1,
                               SQLITE_PREPARE_PERSISTENT, st, NULL)
            != SQLITE_OK)
        {
            return NULL;
        }

    } else {
        sqlite3_reset(*st);
    }

    return *st;
}


void
store_sqlite_bind(sqlite3_stmt *st, int at, struct push_str s)
{
    sqlite3_bind_text(st, at, s.len ? s.data : "", (int) s.len, SQLITE_STATIC);
}


int
store_sqlite_db_run(struct store_sqlite_db *db, sqlite3_stmt *st)
{
    int  rc;

    (void) db;

    rc = sqlite3_step(st);

    if (rc == SQLITE_DONE || rc == SQLITE_ROW) {
        sqlite3_reset(st);
        return PUSH_OK;
    }

    return PUSH_ERROR;      /* not reset: sqlite3_errmsg() still tells */
}


int
store_sqlite_db_do(struct store_sqlite_db *db,
    enum store_sqlite_statement which)
{
    sqlite3_stmt  *st;

    st = store_sqlite_db_get(db, which);

    return st ? store_sqlite_db_run(db, st) : PUSH_ERROR;
}


void
store_sqlite_db_error(const struct store_sqlite_db *db, char *error,
    size_t size)
{
    switch (sqlite3_errcode(db->db) & 0xff) {

    case SQLITE_FULL:
        snprintf(error, size, "disk full");
        break;

    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        snprintf(error, size, "locked by another process");
        break;

    case SQLITE_READONLY:
        snprintf(error, size, "is read-only");
        break;

    case SQLITE_CORRUPT:
        snprintf(error, size, "damaged: %s", sqlite3_errmsg(db->db));
        break;

    case SQLITE_NOTADB:
        snprintf(error, size, "is not an SQLite database, or damaged");
        break;

    case SQLITE_IOERR:
        snprintf(error, size, "%s: %s", sqlite3_errmsg(db->db),
                 strerror(sqlite3_system_errno(db->db)));
        break;

    case SQLITE_NOMEM:
        snprintf(error, size, "out of memory");
        break;

    default:
        snprintf(error, size, "%s", sqlite3_errmsg(db->db));
    }
}


int
store_sqlite_meta_get(struct store_sqlite_db *db, const char *name,
    int64_t *value)
{
    int            rc;
    sqlite3_stmt  *st;

    st = store_sqlite_db_get(db, STORE_SQLITE_META_GET);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        *value = sqlite3_column_int64(st, 0);

    } else if (rc != SQLITE_DONE) {
        return PUSH_ERROR;
    }

    sqlite3_reset(st);

    return PUSH_OK;
}


int
store_sqlite_meta_put(struct store_sqlite_db *db, const char *name,
    int64_t value)
{
    sqlite3_stmt  *st;

    st = store_sqlite_db_get(db, STORE_SQLITE_META_PUT);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_int64(st, 2, value);

    return store_sqlite_db_run(db, st);
}


int
store_sqlite_log_get(struct store_sqlite_db *db, struct push_str name,
    int64_t *id, int64_t *floor, int64_t *tip)
{
    int            rc;
    sqlite3_stmt  *st;

    *id = 0;
    *floor = 0;
    *tip = 0;

    st = store_sqlite_db_get(db, STORE_SQLITE_LOG_GET);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    store_sqlite_bind(st, 1, name);
    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        *id = sqlite3_column_int64(st, 0);
        *floor = sqlite3_column_int64(st, 1);
        *tip = sqlite3_column_int64(st, 2);

    } else if (rc != SQLITE_DONE) {
        return PUSH_ERROR;
    }

    sqlite3_reset(st);

    return PUSH_OK;
}
