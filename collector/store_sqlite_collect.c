/*
 * store_sqlite_collect: what is expired leaves the file, slice by slice
 *
 *     body --expired, older than an hour--> stub --key's day over--> nothing
 *       |                                                              ^
 *       +--------------------- without a key --------------------------+
 *
 * in:   the writer's connection, the time
 * out:  at most COLLECT_SLICE rows less, in one transaction
 * owns: nothing
 *
 * R5: the log's tip and floor are written in the transaction that deletes, so
 * no seq is given twice.  R6: messages.collect is never below ts plus an hour.
 * R7: readers tell what is missing below the tip as a range.
 */

#include "store_sqlite.h"

#include "fault_point.h"

#define COLLECT_SLICE  200

struct collect_row {
    int64_t row;
    int64_t log;
    int64_t keep_until;         /* a stub until then, 0: delete */
};

static int collect_list(struct store_sqlite_db *db, int64_t now_s,
    struct collect_row *rows, size_t *count);
static int collect_numbers(struct store_sqlite_db *db,
    enum store_sqlite_statement which, int64_t first, int64_t second);


int
store_sqlite_collect(struct store_sqlite_db *db, struct store_gc *g,
    int64_t now_s, bool *more, bool *tried)
{
    size_t              i, j, count;
    struct collect_row  rows[COLLECT_SLICE], *r;

    *more = false;

    /* looked at outside of a transaction: mostly there is nothing */

    if (collect_list(db, now_s, rows, &count) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (count == 0) {
        return PUSH_OK;
    }

    *tried = true;

    if (store_sqlite_db_do(db, STORE_SQLITE_BEGIN_WRITE) != PUSH_OK) {
        return PUSH_ERROR;
    }

    for (i = 0; i < count; i++) {
        if (collect_numbers(db, STORE_SQLITE_GC_TIP, rows[i].log, 0)
            != PUSH_OK)
        {
            return PUSH_ERROR;
        }
    }

    PUSH_FAULT_POINT("gc-head");

    for (i = 0; i < count; i++) {
        r = &rows[i];

        if (collect_numbers(db, r->keep_until ? STORE_SQLITE_GC_STUB
                                              : STORE_SQLITE_GC_DELETE,
                            r->row, r->keep_until)
            != PUSH_OK)
        {
            return PUSH_ERROR;
        }
    }

    for (i = 0; i < count; i++) {

        for (j = 0; j < i && rows[j].log != rows[i].log; j++) { /* void */ }

        if (j == i
            && collect_numbers(db, STORE_SQLITE_GC_FLOOR, rows[i].log, 0)
               != PUSH_OK)
        {
            return PUSH_ERROR;
        }
    }

    PUSH_FAULT_POINT("gc-delete");

    if (store_sqlite_db_do(db, STORE_SQLITE_COMMIT) != PUSH_OK) {
        return PUSH_ERROR;
    }

    for (i = 0; i < count; i++) {
        if (rows[i].keep_until) {
            g->stubbed++;

        } else {
            g->deleted++;
        }
    }

    *more = count == COLLECT_SLICE;

    return PUSH_OK;
}


static int
collect_list(struct store_sqlite_db *db, int64_t now_s,
    struct collect_row *rows, size_t *count)
{
    int                  rc;
    int64_t              until;
    sqlite3_stmt        *st;
    struct collect_row  *r;

    *count = 0;
    st = store_sqlite_db_get(db, STORE_SQLITE_GC_LIST);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, now_s);
    sqlite3_bind_int64(st, 2, COLLECT_SLICE);

    while ((rc = sqlite3_step(st)) == SQLITE_ROW && *count < COLLECT_SLICE) {
        r = &rows[(*count)++];
        r->row = sqlite3_column_int64(st, 0);
        r->log = sqlite3_column_int64(st, 1);
        r->keep_until = 0;

        until = (sqlite3_column_int64(st, 2) + 999) / 1000 + STORE_KEY_S;

        if (sqlite3_column_int(st, 3) && !sqlite3_column_int(st, 4)
            && until > now_s)
        {
            r->keep_until = until;
        }
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return PUSH_ERROR;
    }

    sqlite3_reset(st);

    return PUSH_OK;
}


static int
collect_numbers(struct store_sqlite_db *db, enum store_sqlite_statement which,
    int64_t first, int64_t second)
{
    sqlite3_stmt  *st;

    st = store_sqlite_db_get(db, which);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, first);

    if (sqlite3_bind_parameter_count(st) == 2) {
        sqlite3_bind_int64(st, 2, second);
    }

    return store_sqlite_db_run(db, st);
}
