/*
 * store_sqlite_read: pages, one message, cursors
 *
 * in:   a read request.  out: its results, in one block of memory
 * owns: nothing; the connection is the reader's, and sees commits only (R4)
 *
 * Each request is one snapshot: the GC cannot come between two statements.
 */

#include "store_sqlite.h"

#include "store_page.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READ_STEPS_MAX  20000       /* rows that a tail may skip as expired */

static int read_page(struct store_sqlite_db *db, struct store_read *r,
    int64_t now_s);
static int read_page_rows(struct store_sqlite_db *db, struct store_page *page,
    int64_t id);
static int read_tail(struct store_sqlite_db *db, struct store_tail *t,
    int64_t now_s);
static int read_get(struct store_sqlite_db *db, struct store_get *g,
    int64_t now_s);
static int read_acked(struct store_sqlite_db *db, struct store_get *g,
    int64_t id);
static int read_cursors(struct store_sqlite_db *db,
    struct store_cursors_get *g);
static int read_number(struct store_sqlite_db *db,
    enum store_sqlite_statement which, int64_t log,
    const struct store_place *p, int64_t *value);


void
store_sqlite_read(struct store_sqlite_db *db, struct store_request *r,
    int64_t now_ms)
{
    int  rc;

    rc = store_sqlite_db_do(db, STORE_SQLITE_BEGIN);

    if (rc == PUSH_OK) {
        switch (r->call) {

        case STORE_READ:
            rc = read_page(db, (struct store_read *) r, now_ms / 1000);
            break;

        case STORE_TAIL:
            rc = read_tail(db, (struct store_tail *) r, now_ms / 1000);
            break;

        case STORE_GET:
            rc = read_get(db, (struct store_get *) r, now_ms / 1000);
            break;

        default:    /* STORE_CURSORS_GET */
            rc = read_cursors(db, (struct store_cursors_get *) r);
        }
    }

    if (rc != PUSH_OK) {
        r->result = STORE_UNAVAILABLE;

        if (rc == PUSH_DECLINED) {
            snprintf(r->error, sizeof(r->error), "out of memory");

        } else {
            store_sqlite_db_error(db, r->error, sizeof(r->error));
        }
    }

    (void) store_sqlite_db_do(db, STORE_SQLITE_ROLLBACK);
}


static int
read_page(struct store_sqlite_db *db, struct store_read *r, int64_t now_s)
{
    int                rc;
    int64_t            id;
    struct store_page  page;

    if (store_sqlite_log_get(db, r->log, &id, &r->floor, &r->tip) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (r->after == STORE_AFTER_FLOOR) {
        r->after = r->floor;

    } else if (r->after == STORE_AFTER_TIP) {
        r->after = r->tip;
    }

    r->last = r->after;

    if (r->after >= r->tip) {
        return PUSH_OK;
    }

    if (store_page_begin(&page, r, now_s) != PUSH_OK) {
        return PUSH_DECLINED;
    }

    rc = read_page_rows(db, &page, id);

    if (rc == PUSH_OK) {
        store_page_end(&page);

    } else {
        store_page_drop(&page);
    }

    return rc;
}


static int
read_page_rows(struct store_sqlite_db *db, struct store_page *page, int64_t id)
{
    int            rc, added;
    const void    *data;
    sqlite3_stmt  *st;

    st = store_sqlite_db_get(db, STORE_SQLITE_PAGE);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_int64(st, 2, page->r->after);

    added = PUSH_OK;

    while (added == PUSH_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        data = sqlite3_column_blob(st, 3);

        if (data == NULL && sqlite3_column_type(st, 3) != SQLITE_NULL) {
            data = "";                      /* no bytes, and no stub */
        }

        added = store_page_add(page, sqlite3_column_int64(st, 0),
                               sqlite3_column_int64(st, 1),
                               sqlite3_column_int64(st, 2), data,
                               (size_t) sqlite3_column_bytes(st, 3));
    }

    if (added == PUSH_OK && rc != SQLITE_DONE) {
        return PUSH_ERROR;
    }

    sqlite3_reset(st);

    if (added == PUSH_OK && page->r->last < page->r->tip) {
        added = store_page_gone(page, page->r->tip);
    }

    return added == PUSH_DECLINED ? PUSH_DECLINED : PUSH_OK;
}


static int
read_tail(struct store_sqlite_db *db, struct store_tail *t, int64_t now_s)
{
    int                 rc;
    bool                gone;
    size_t              i, len, bytes, steps;
    int64_t             expires;
    sqlite3_stmt       *st;
    struct push_str     log, data;
    struct store_block   b;
    struct store_item  *item;

    t->last = t->after;
    st = store_sqlite_db_get(db, STORE_SQLITE_TAIL);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    if (!store_block_begin(&b, t->max * sizeof(struct store_item))) {
        return PUSH_DECLINED;
    }

    sqlite3_bind_int64(st, 1, t->after);
    sqlite3_bind_int64(st, 2, t->until ? t->until : INT64_MAX);

    rc = SQLITE_DONE;
    bytes = 0;
    steps = 0;

    while (t->count < t->max && steps++ < READ_STEPS_MAX
           && (rc = sqlite3_step(st)) == SQLITE_ROW)
    {
        expires = sqlite3_column_int64(st, 3);
        gone = (expires && now_s >= expires)
               || sqlite3_column_type(st, 5) == SQLITE_NULL;

        if (gone) {
            t->last = sqlite3_column_int64(st, 0);
            continue;
        }

        len = (size_t) sqlite3_column_bytes(st, 5);

        if (t->count && (bytes >= t->max_bytes || len > t->max_bytes - bytes)) {
            break;
        }

        if (!store_block_add(&b, &data, sqlite3_column_blob(st, 5), len)
            || !store_block_add(&b, &log, sqlite3_column_text(st, 4),
                               (size_t) sqlite3_column_bytes(st, 4)))
        {
            sqlite3_reset(st);
            free(b.start);
            t->count = 0;
            return PUSH_DECLINED;
        }

        item = (struct store_item *) b.start + t->count++;
        memset(item, 0, sizeof(*item));
        item->log = log;
        item->data = data;
        item->row = sqlite3_column_int64(st, 0);
        item->seq = sqlite3_column_int64(st, 1);
        item->to = item->seq;
        item->ts_ms = sqlite3_column_int64(st, 2);
        item->expires = expires;

        t->last = item->row;
        bytes += len;
        rc = SQLITE_DONE;
    }

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        free(b.start);
        t->count = 0;
        return PUSH_ERROR;
    }

    sqlite3_reset(st);

    t->r.memory = b.start;
    t->items = (struct store_item *) b.start;

    for (i = 0; i < t->count; i++) {
        store_block_fix(&b, &t->items[i].log);
        store_block_fix(&b, &t->items[i].data);
    }

    return PUSH_OK;
}


static int
read_get(struct store_sqlite_db *db, struct store_get *g, int64_t now_s)
{
    int            rc;
    int64_t        id, floor, tip;
    sqlite3_stmt  *st;

    g->state = STORE_NEVER;
    g->ts_ms = 0;
    g->expires = 0;

    if (store_sqlite_log_get(db, g->log, &id, &floor, &tip) != PUSH_OK) {
        return PUSH_ERROR;
    }

    if (g->seq < 1 || g->seq > tip) {
        return PUSH_OK;
    }

    st = store_sqlite_db_get(db, STORE_SQLITE_MESSAGE_GET);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_int64(st, 2, g->seq);
    rc = sqlite3_step(st);

    if (rc != SQLITE_ROW && rc != SQLITE_DONE) {
        return PUSH_ERROR;
    }

    g->state = STORE_EXPIRED;

    if (rc == SQLITE_ROW) {
        g->ts_ms = sqlite3_column_int64(st, 0);
        g->expires = sqlite3_column_int64(st, 1);

        if (!sqlite3_column_int(st, 2)
            && (g->expires == 0 || now_s < g->expires))
        {
            g->state = STORE_THERE;
        }
    }

    sqlite3_reset(st);

    return read_acked(db, g, id);
}


static int
read_acked(struct store_sqlite_db *db, struct store_get *g, int64_t id)
{
    int                   rc;
    size_t                i;
    sqlite3_stmt         *st;
    struct push_str       uid, device;
    struct store_block     b;
    struct store_device  *list;

    st = store_sqlite_db_get(db, STORE_SQLITE_ACKED_LIST);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, id);
    sqlite3_bind_int64(st, 2, g->seq);

    memset(&b, 0, sizeof(b));

    while ((rc = sqlite3_step(st)) == SQLITE_ROW) {

        g->acked_count++;

        if (g->acked_listed == STORE_ACKED_MAX) {
            continue;
        }

        if (b.start == NULL
            && !store_block_begin(&b, STORE_ACKED_MAX
                                      * sizeof(struct store_device)))
        {
            sqlite3_reset(st);
            return PUSH_DECLINED;
        }

        if (!store_block_add(&b, &uid, sqlite3_column_text(st, 0),
                            (size_t) sqlite3_column_bytes(st, 0))
            || !store_block_add(&b, &device, sqlite3_column_text(st, 1),
                               (size_t) sqlite3_column_bytes(st, 1)))
        {
            sqlite3_reset(st);
            free(b.start);
            g->acked_listed = 0;
            return PUSH_DECLINED;
        }

        list = (struct store_device *) b.start;
        list[g->acked_listed].uid = uid;
        list[g->acked_listed++].device = device;
    }

    if (rc != SQLITE_DONE) {
        free(b.start);
        g->acked_listed = 0;
        return PUSH_ERROR;
    }

    sqlite3_reset(st);

    g->r.memory = b.start;
    g->acked = (struct store_device *) b.start;

    for (i = 0; i < g->acked_listed; i++) {
        store_block_fix(&b, &g->acked[i].uid);
        store_block_fix(&b, &g->acked[i].device);
    }

    return PUSH_OK;
}


static int
read_cursors(struct store_sqlite_db *db, struct store_cursors_get *g)
{
    size_t               i;
    int64_t              id;
    struct store_place  *p;

    for (i = 0; i < g->count; i++) {
        p = &g->places[i];

        if (store_sqlite_log_get(db, p->log, &id, &p->floor, &p->tip)
                != PUSH_OK
            || read_number(db, STORE_SQLITE_CURSOR_GET, id, p, &p->cursor)
                != PUSH_OK
            || read_number(db, STORE_SQLITE_CURSOR_HIGHEST, id, p, &p->acked)
                != PUSH_OK)
        {
            return PUSH_ERROR;
        }
    }

    return PUSH_OK;
}


/* -1: no row. */
static int
read_number(struct store_sqlite_db *db, enum store_sqlite_statement which,
    int64_t log, const struct store_place *p, int64_t *value)
{
    int            rc;
    sqlite3_stmt  *st;

    *value = -1;
    st = store_sqlite_db_get(db, which);

    if (st == NULL) {
        return PUSH_ERROR;
    }

    sqlite3_bind_int64(st, 1, log);
    store_sqlite_bind(st, 2, p->uid);

    if (which == STORE_SQLITE_CURSOR_GET) {
        store_sqlite_bind(st, 3, p->device);
    }

    rc = sqlite3_step(st);

    if (rc == SQLITE_ROW) {
        if (sqlite3_column_type(st, 0) != SQLITE_NULL) {
            *value = sqlite3_column_int64(st, 0);
        }

    } else if (rc != SQLITE_DONE) {
        return PUSH_ERROR;
    }

    sqlite3_reset(st);

    return PUSH_OK;
}
