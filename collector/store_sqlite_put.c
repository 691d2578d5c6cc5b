/*
 * store_sqlite_put: one message, one cursor, inside the writer's transaction
 *
 *     message --> tip of its log + 1 --insert--> STORED
 *                      ^                  |
 *                      +-- (log, seq) ----+---- (log, key) --> DUPLICATE,
 *                          is taken             is taken       CONFLICT
 *
 * in:   a message or a cursor.  out: its outcome; PUSH_ERROR: the transaction
 *       is lost, store_sqlite_db_error() tells why
 * owns: nothing; the tips in memory are the writer's
 *
 * Tips in memory are right because nobody else writes (the lock file); if
 * somebody did, the unique index tells, and the tip is read again.
 */

#include "store_sqlite.h"

#include <string.h>

#define PUT_TRIES  8            /* of one compare-and-append */
#define PUT_WAYS   4            /* rows where a log may be */

static int put_same(struct store_sqlite_writer *w, int64_t log,
    struct store_message *m, bool *found);
static int put_new_device(struct store_sqlite_writer *w, int64_t log,
    struct store_cursor *c);
static int put_log(struct store_sqlite_writer *w, struct push_str name,
    bool add, struct store_sqlite_log **log);
static struct store_sqlite_log *put_row(struct store_sqlite_writer *w,
    struct push_str name);
static bool put_row_is(const struct store_sqlite_writer *w,
    const struct store_sqlite_log *row, struct push_str name);


int
store_sqlite_put_message(struct store_sqlite_writer *w, struct store_message *m)
{
    int                       tries, rc;
    bool                      found;
    int64_t                   collect;
    sqlite3_stmt             *st;
    struct store_sqlite_log  *log;

    m->row = 0;
    m->seq = 0;

    for (tries = 0; tries < PUT_TRIES; tries++) {

        if (put_log(w, m->log, true, &log) != PUSH_OK) {
            return PUSH_ERROR;
        }

        if (log->tip >= PUSH_SEQ_MAX) {
            m->outcome = STORE_REFUSED;
            m->text = "the log is full";
            return PUSH_OK;
        }

        st = store_sqlite_db_get(&w->db, STORE_SQLITE_APPEND);

        if (st == NULL) {
            return PUSH_ERROR;
        }

        sqlite3_bind_int64(st, 1, w->row + 1);
        sqlite3_bind_int64(st, 2, log->id);
        sqlite3_bind_int64(st, 3, log->tip + 1);
        sqlite3_bind_int64(st, 4, m->ts_ms);
        sqlite3_bind_int64(st, 5, m->expires);

        if (m->expires) {
            collect = m->ts_ms / 1000 + STORE_YOUNG_S;
            collect = m->expires > collect ? m->expires : collect;
            sqlite3_bind_int64(st, 6, collect);

        } else {
            sqlite3_bind_null(st, 6);
        }

        if (m->key.len) {
            store_sqlite_bind(st, 7, m->key);
            sqlite3_bind_blob(st, 8, m->hash, STORE_HASH_LEN, SQLITE_STATIC);

        } else {
            sqlite3_bind_null(st, 7);
            sqlite3_bind_null(st, 8);
        }

        sqlite3_bind_blob(st, 9, m->data.len ? m->data.data : "",
                          (int) m->data.len, SQLITE_STATIC);

        rc = sqlite3_step(st);

        if (rc == SQLITE_DONE) {
            sqlite3_reset(st);
            m->outcome = STORE_STORED;
            m->seq = ++log->tip;
            m->row = ++w->row;
            return PUSH_OK;
        }

        if ((rc & 0xff) != SQLITE_CONSTRAINT) {
            return PUSH_ERROR;
        }

        sqlite3_reset(st);

        if (m->key.len) {
            if (put_same(w, log->id, m, &found) != PUSH_OK) {
                return PUSH_ERROR;
            }

            if (found) {
                return PUSH_OK;
            }
        }

        log->generation = 0;        /* somebody else took it: read again */
    }

    m->outcome = STORE_REFUSED;
    m->text = "the log is written by somebody else";

    return PUSH_OK;
}


static int
put_same(struct store_sqlite_writer *w, int64_t log,
    struct store_message *m, bool *found)
{
    int            rc;
    sqlite3_stmt  *st;

    *found = false;
    st = store_sqlite_db_get(&w->db, STORE_SQLITE_KEY_GET);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, log);
    store_sqlite_bind(st, 2, m->key);
    rc = sqlite3_step(st);

    if (rc == SQLITE_DONE) {
        sqlite3_reset(st);
        return PUSH_OK;
    }

    if (rc != SQLITE_ROW) {
        return PUSH_ERROR;
    }

    *found = true;
    m->seq = sqlite3_column_int64(st, 0);

    if (sqlite3_column_bytes(st, 3) == STORE_HASH_LEN
        && memcmp(sqlite3_column_blob(st, 3), m->hash, STORE_HASH_LEN) == 0)
    {
        m->outcome = STORE_DUPLICATE;
        m->ts_ms = sqlite3_column_int64(st, 1);
        m->expires = sqlite3_column_int64(st, 2);
    } else {
        m->outcome = STORE_CONFLICT;
    }

    sqlite3_reset(st);

    return PUSH_OK;
}


int
store_sqlite_put_cursor(struct store_sqlite_writer *w, struct store_cursor *c,
    int64_t now_ms)
{
    sqlite3_stmt             *st;
    struct store_sqlite_log  *log;

    /* an empty log gets its row with the first cursor */

    if (put_log(w, c->log, c->seq == 0, &log) != PUSH_OK) {
        return PUSH_ERROR;
    }

    c->above = (log == NULL || c->seq > log->tip);

    if (c->above) {
        return PUSH_OK;
    }

    if (!c->start) {
        st = store_sqlite_db_get(&w->db, STORE_SQLITE_CURSOR_ACK);

        if (st == NULL) {
            return PUSH_ERROR;
        }

        sqlite3_bind_int64(st, 1, log->id);
        store_sqlite_bind(st, 2, c->uid);
        store_sqlite_bind(st, 3, c->device);
        sqlite3_bind_int64(st, 4, c->seq);
        sqlite3_bind_int64(st, 5, now_ms);

        if (store_sqlite_db_run(&w->db, st) != PUSH_OK) {
            return PUSH_ERROR;
        }

        if (sqlite3_changes(w->db.db) > 0) {
            return PUSH_OK;
        }
    }

    st = store_sqlite_db_get(&w->db, STORE_SQLITE_CURSOR_ADD);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, log->id);
    store_sqlite_bind(st, 2, c->uid);
    store_sqlite_bind(st, 3, c->device);
    sqlite3_bind_int64(st, 4, c->start ? c->seq : 0);
    sqlite3_bind_int64(st, 5, c->start ? -1 : c->seq);
    sqlite3_bind_int64(st, 6, now_ms);

    if (store_sqlite_db_run(&w->db, st) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (sqlite3_changes(w->db.db) == 0) {
        return PUSH_OK;
    }

    return put_new_device(w, log->id, c);
}


/* The one that was written longest ago makes room. */
static int
put_new_device(struct store_sqlite_writer *w, int64_t log,
    struct store_cursor *c)
{
    int64_t        count;
    sqlite3_stmt  *st;

    st = store_sqlite_db_get(&w->db, STORE_SQLITE_CURSOR_COUNT);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, log);
    store_sqlite_bind(st, 2, c->uid);

    if (sqlite3_step(st) != SQLITE_ROW) {
        return PUSH_ERROR;
    }

    count = sqlite3_column_int64(st, 0);
    sqlite3_reset(st);

    if (count <= STORE_DEVICES_MAX) {
        return PUSH_OK;
    }

    st = store_sqlite_db_get(&w->db, STORE_SQLITE_CURSOR_EVICT);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, log);
    store_sqlite_bind(st, 2, c->uid);
    store_sqlite_bind(st, 3, c->device);

    return store_sqlite_db_run(&w->db, st);
}


/*
 * What is known of the log.  NULL: it is not there and is not to be added.
 * Valid until the next call.
 */
static int
put_log(struct store_sqlite_writer *w, struct push_str name, bool add,
    struct store_sqlite_log **log)
{
    int64_t                   id, floor, tip;
    sqlite3_stmt             *st;
    struct store_sqlite_log  *l;

    l = put_row(w, name);
    *log = l;

    if (put_row_is(w, l, name)) {
        l->used = ++w->used;
        return PUSH_OK;
    }

    *log = NULL;

    if (store_sqlite_log_get(&w->db, name, &id, &floor, &tip) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (id == 0) {
        if (!add) {
            return PUSH_OK;
        }

        st = store_sqlite_db_get(&w->db, STORE_SQLITE_LOG_ADD);

        if (st == NULL) {
            return PUSH_ERROR;
        }

        store_sqlite_bind(st, 1, name);

        if (store_sqlite_db_run(&w->db, st) != PUSH_OK) {
            return PUSH_ERROR;
        }

        id = sqlite3_last_insert_rowid(w->db.db);
    }

    l->used = ++w->used;
    l->generation = w->generation;
    l->len = (uint8_t) name.len;
    memcpy(l->name, name.data, name.len);
    l->id = id;
    l->tip = tip;
    *log = l;

    return PUSH_OK;
}


/* Its row, or the one of its few that was used longest ago. */
static struct store_sqlite_log *
put_row(struct store_sqlite_writer *w, struct push_str name)
{
    size_t                    i;
    uint32_t                  hash;
    struct store_sqlite_log  *row, *oldest;

    hash = 2166136261u;                                     /* FNV-1a */

    for (i = 0; i < name.len; i++) {
        hash = (hash ^ (uint8_t) name.data[i]) * 16777619u;
    }

    row = &w->cache[(hash ^ (hash >> 17)) % (STORE_SQLITE_LOGS / PUT_WAYS)
                    * PUT_WAYS];
    oldest = row;

    for (i = 0; i < PUT_WAYS; i++, row++) {
        if (put_row_is(w, row, name)) {
            return row;
        }

        if (row->used < oldest->used) {
            oldest = row;
        }
    }

    return oldest;
}


static bool
put_row_is(const struct store_sqlite_writer *w,
    const struct store_sqlite_log *row, struct push_str name)
{
    return row->generation == w->generation && row->len == name.len
           && memcmp(row->name, name.data, name.len) == 0;
}
