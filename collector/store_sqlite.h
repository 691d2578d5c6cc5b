/*
 * store_sqlite: what the files of this backend share
 *
 *     store_sqlite.c        queues, threads, health
 *     store_sqlite_db.c     the file: open, check, schema, statements, errors
 *     store_sqlite_write.c  the writer's transaction: group commit, mark
 *     store_sqlite_put.c    one message, one cursor
 *     store_sqlite_collect.c  the GC: one slice, rules R5 to R7
 *     store_sqlite_read.c   pages, one message, cursors
 *
 * A connection belongs to one thread; nothing but the queues is shared.
 */

#ifndef STORE_SQLITE_H
#define STORE_SQLITE_H

#include "store.h"

#include <sqlite3.h>

/* X(NAME, SQL): the writer's and the reader's, each prepared when needed. */
#define STORE_SQLITE_STATEMENTS(X)                                            \
    X(BEGIN, "BEGIN")                                                         \
    X(BEGIN_WRITE, "BEGIN IMMEDIATE")                                         \
    X(COMMIT, "COMMIT")                                                       \
    X(ROLLBACK, "ROLLBACK")                                                   \
    X(META_GET, "SELECT value FROM meta WHERE name = ?1")                     \
    X(META_PUT, "INSERT INTO meta VALUES (?1, ?2)"                            \
      " ON CONFLICT (name) DO UPDATE SET value = excluded.value")             \
    X(LOG_GET, "SELECT id, floor,"                                            \
      " max(tip, ifnull((SELECT max(seq) FROM messages WHERE log = id), 0))"  \
      " FROM logs WHERE name = ?1")                                           \
    X(LOG_ADD, "INSERT INTO logs (name) VALUES (?1)")                         \
    X(APPEND, "INSERT INTO messages"                                          \
      " (row, log, seq, ts, expires, collect, key, hash, data)"               \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")                         \
    X(KEY_GET, "SELECT seq, ts, expires, hash FROM messages"                  \
      " WHERE log = ?1 AND key = ?2")                                         \
    X(PAGE, "SELECT seq, ts, expires, data FROM messages"                     \
      " WHERE log = ?1 AND seq > ?2 ORDER BY seq")                            \
    X(TAIL, "SELECT row, seq, ts, expires, name, data"                        \
      " FROM messages JOIN logs ON id = log"                                  \
      " WHERE row > ?1 AND row <= ?2 ORDER BY row")                           \
    X(MESSAGE_GET, "SELECT ts, expires, data IS NULL FROM messages"           \
      " WHERE log = ?1 AND seq = ?2")                                         \
    X(ROW_LAST, "SELECT ifnull(max(row), 0) FROM messages")                   \
    X(ACKED_LIST, "SELECT uid, device FROM cursors"                           \
      " WHERE log = ?1 AND start < ?2 AND acked >= ?2")                       \
    X(CURSOR_GET, "SELECT max(start, acked) FROM cursors"                     \
      " WHERE log = ?1 AND uid = ?2 AND device = ?3")                         \
    X(CURSOR_HIGHEST, "SELECT max(acked) FROM cursors"                        \
      " WHERE log = ?1 AND uid = ?2")                                         \
    X(CURSOR_ACK, "UPDATE cursors SET acked = ?4, at = ?5"                    \
      " WHERE log = ?1 AND uid = ?2 AND device = ?3 AND acked < ?4")          \
    X(CURSOR_ADD, "INSERT OR IGNORE INTO cursors"                             \
      " (log, uid, device, start, acked, at)"                                 \
      " VALUES (?1, ?2, ?3, ?4, ?5, ?6)")                                     \
    X(CURSOR_COUNT, "SELECT count(*) FROM cursors"                            \
      " WHERE log = ?1 AND uid = ?2")                                         \
    X(CURSOR_EVICT, "DELETE FROM cursors"                                     \
      " WHERE log = ?1 AND uid = ?2 AND device = (SELECT device FROM cursors" \
      "  WHERE log = ?1 AND uid = ?2 AND device != ?3"                        \
      "  ORDER BY at LIMIT 1)")                                               \
    X(GC_LIST, "SELECT row, log, ts, key IS NOT NULL, data IS NULL"           \
      " FROM messages INDEXED BY messages_collect"                            \
      " WHERE collect <= ?1 ORDER BY collect LIMIT ?2")                       \
    X(GC_STUB, "UPDATE messages SET data = NULL, collect = ?2"                \
      " WHERE row = ?1")                                                      \
    X(GC_DELETE, "DELETE FROM messages WHERE row = ?1")                       \
    X(GC_TIP, "UPDATE logs SET tip = max(tip,"                                \
      " (SELECT ifnull(max(seq), 0) FROM messages WHERE log = ?1))"           \
      " WHERE id = ?1")                                                       \
    X(GC_FLOOR, "UPDATE logs SET floor = ifnull((SELECT seq - 1"              \
      " FROM messages WHERE log = ?1 AND seq > floor AND data IS NOT NULL"    \
      " ORDER BY seq LIMIT 1),"                                               \
      " max(tip, ifnull((SELECT max(seq) FROM messages WHERE log = ?1), 0)))" \
      " WHERE id = ?1")

enum store_sqlite_statement {
#define X(name, sql)  STORE_SQLITE_##name,
    STORE_SQLITE_STATEMENTS(X)
#undef X
    STORE_SQLITE_STATEMENT_COUNT
};

/* One connection. */
struct store_sqlite_db {
    sqlite3      *db;
    const char   *path;         /* borrowed */
    sqlite3_stmt *statements[STORE_SQLITE_STATEMENT_COUNT];
};

/*
 * Opens the file.  create: makes it (mode 0600) and its schema if it is not
 * there, checks it, sets WAL: the writer's, which must be first.  PUSH_OK or
 * PUSH_ERROR and a text that names the file.
 */
int store_sqlite_db_open(struct store_sqlite_db *db, const char *path,
    bool create, char *error, size_t size);
void store_sqlite_db_close(struct store_sqlite_db *db);

/*
 * The statement, reset and ready for bind; NULL: it could not be prepared, and
 * store_sqlite_db_error() says why.
 */
sqlite3_stmt *store_sqlite_db_get(struct store_sqlite_db *db,
    enum store_sqlite_statement which);

/* Binds; the bytes are borrowed until the statement is bound anew. */
void store_sqlite_bind(sqlite3_stmt *st, int at, struct push_str s);

/* Runs a statement without rows.  PUSH_OK or PUSH_ERROR. */
int store_sqlite_db_run(struct store_sqlite_db *db, sqlite3_stmt *st);
int store_sqlite_db_do(struct store_sqlite_db *db,
    enum store_sqlite_statement which);

/* The last fault for people: "disk full", "locked by another process"... */
void store_sqlite_db_error(const struct store_sqlite_db *db, char *error,
    size_t size);

/* An integer of meta, or otherwise.  PUSH_OK, PUSH_ERROR. */
int store_sqlite_meta_get(struct store_sqlite_db *db, const char *name,
    int64_t *value);
int store_sqlite_meta_put(struct store_sqlite_db *db, const char *name,
    int64_t value);

/* id 0: the log is not there.  PUSH_OK, PUSH_ERROR. */
int store_sqlite_log_get(struct store_sqlite_db *db, struct push_str name,
    int64_t *id, int64_t *floor, int64_t *tip);

#define STORE_SQLITE_LOGS  262144       /* a power of 2 */

/* What is known of a log; valid while its generation is the writer's. */
struct store_sqlite_log {
    uint32_t generation;
    uint8_t  len;
    char     name[PUSH_LOG_MAX];
    uint64_t used;              /* grows with each use */
    int64_t  id;
    int64_t  tip;
};

/* The writer: one transaction at a time. */
struct store_sqlite_writer {
    struct store_sqlite_db  db;
    char                   *wal;        /* path */
    int64_t                 row;        /* last one given */
    int64_t                 mark;       /* committed */
    int64_t                 probe;      /* writes of a probe */
    int64_t                 mark_new;   /* in the transaction under way */
    uint32_t                generation;
    struct store_sqlite_log      *cache;      /* by hash, 4 rows each */
    uint64_t                used;
};

struct store_sqlite_writer *store_sqlite_writer_create(const char *path,
    struct store_info *info, char *error, size_t size);
void store_sqlite_writer_destroy(struct store_sqlite_writer *w);

/* What one transaction did. */
struct store_sqlite_group {
    struct store_request *finished;     /* in order */
    bool                  committed;
    bool                  tried;        /* something was to be written */
    char                  error[STORE_ERROR_SIZE];
    uint64_t              stored;
    uint64_t              duplicates;
    uint64_t              collected;
};

/*
 * Takes requests from the head of *work until the group is full, commits,
 * gives back what is finished; a long append may stay at the head.
 */
void store_sqlite_writer_group(struct store_sqlite_writer *w,
    struct store_request **work, int64_t now_ms,
    struct store_sqlite_group *group);

/*
 * One slice of the GC, counted in g and added to *group, in a transaction of
 * its own.  *more: call again.
 */
void store_sqlite_writer_collect(struct store_sqlite_writer *w,
    struct store_gc *g, int64_t now_ms, struct store_sqlite_group *group,
    bool *more);

/* A harmless write: is the disk there again? */
void store_sqlite_writer_probe(struct store_sqlite_writer *w,
    struct store_sqlite_group *group);

uint64_t store_sqlite_writer_wal_bytes(const struct store_sqlite_writer *w);

/* One message, one cursor: store_sqlite_put.c. */
int store_sqlite_put_message(struct store_sqlite_writer *w,
    struct store_message *m);
int store_sqlite_put_cursor(struct store_sqlite_writer *w,
    struct store_cursor *c, int64_t now_ms);

/* The slice itself.  PUSH_ERROR: the caller tells why and rolls back. */
int store_sqlite_collect(struct store_sqlite_db *db, struct store_gc *g,
    int64_t now_s, bool *more, bool *tried);

/* Answers one read request: result, error, memory. */
void store_sqlite_read(struct store_sqlite_db *db, struct store_request *r,
    int64_t now_ms);

#endif
